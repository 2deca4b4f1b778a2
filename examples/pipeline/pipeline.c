/*
 * A shell's line in code: `sort <<words | uniq -c | sort -rn >FILE`, and what happens to a writer whose reader has gone.
 *
 *     pipeline
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

static int64_t must(int64_t result) {
    if (result < 0) tvn_perror("pipeline"), exit(1);
    return result;
}

int main(void) {
    const char *words = "pipe\nqueue\npipe\nsignal\npipe\nqueue\n", *data;
    const char *sort[] = {"sort", NULL}, *uniq[] = {"uniq", "-c", NULL}, *most[] = {"sort", "-rn", NULL};
    char file[64], ours[4096];
    snprintf(file, sizeof file, "/tmp/pipeline-%d", (int)getpid());
    tvn_redirect_t input = {0, TVN_REDIRECT_BYTES, 0, words, strlen(words)};
    tvn_redirect_t output = {1, TVN_REDIRECT_WRITE, 0, file, 0};
    tvn_stage_t count[] = {{sort, NULL}, {uniq, NULL}, {most, NULL}};
    tvn_pipeline_t *run;
    must(tvn_pipeline_start(count, 3, &input, &output, &run));
    int64_t status = must(tvn_pipeline_wait(run, NULL, 0, TVN_FOREVER));
    tvn_pipeline_close(run);
    FILE *written = fopen(file, "r");
    if (!written) return perror(file), 1;
    size_t size = fread(ours, 1, sizeof ours, written);
    fclose(written);
    unlink(file);
    fwrite(ours, 1, size, stdout);

    const char *shell[] = {"sh", "-c", "sort | uniq -c | sort -rn", NULL};
    tvn_stage_t line = {shell, NULL};
    must(tvn_pipeline_start(&line, 1, &input, NULL, &run));
    must(tvn_pipeline_wait(run, NULL, 0, TVN_FOREVER));
    int same = (size_t)must(tvn_pipeline_output(run, &data)) == size && !memcmp(data, ours, size) && status == 0;
    printf("the same bytes as from the shell: %s\n", same ? "yes" : "no");
    tvn_pipeline_close(run);

    const char *yes[] = {"yes", NULL}, *head[] = {"head", "-n", "1", NULL};
    tvn_stage_t pair[] = {{yes, NULL}, {head, NULL}};
    int statuses[2];
    char name[32];
    must(tvn_pipeline_start(pair, 2, NULL, NULL, &run));
    status = must(tvn_pipeline_wait(run, statuses, 2, TVN_FOREVER));
    must(tvn_signal_name(WTERMSIG(statuses[0]), name, sizeof name));
    printf("yes | head -n 1: yes was ended by %s, pipefail says %d\n", name, (int)status);
    tvn_pipeline_close(run);
    return 0;
}
