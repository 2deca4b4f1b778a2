/* Processes and signals; the roles are told in process.rs. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "process.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

static void take(int n) {
    int which[] = {SIGUSR1, SIGRTMIN + 3};
    tvn_signals_t *signals;
    tvn_signal_info_t info;
    good(tvn_signals_take(which, 2, &signals));
    puts("ready"), fflush(stdout);
    good(tvn_stop_self());
    for (int i = 0; i < n; i++) {
        good(tvn_signals_receive(signals, &info, TVN_FOREVER));
        printf("%d %d %d\n", info.signal, info.value, info.pid);
    }
    if (tvn_signals_receive(signals, &info, TVN_TRY) == -EAGAIN) puts("ok");
    tvn_signals_close(signals);
}

static void queue(pid_t pid, int n) {
    good(tvn_wait_stopped(pid, TVN_FOREVER));
    for (int k = 0; k < n; k++) {
        good(tvn_queue_signal(pid, SIGRTMIN + 3, k));
        good(tvn_send_signal(pid, SIGUSR1));
    }
    good(tvn_continue_stopped(pid, TVN_FOREVER));
}

static void children(int n) {
    for (int k = 0; k < n; k++) {
        tvn_child_t *child;
        int status;
        if (good(tvn_fork(&child)) == 0) _exit(k % 7);
        good(tvn_child_wait(child, &status, TVN_FOREVER));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != k % 7) exit(1);
        tvn_child_close(child);
    }
    printf("ok %d\n", n);
}

static void pipeline(const char *file) {
    const char *sort[] = {"sort", "-n", NULL}, *uniq[] = {"uniq", "-c", NULL}, *tail[] = {"tail", "-n", "5", NULL}, *data;
    tvn_stage_t stages[] = {{sort, NULL}, {uniq, NULL}, {tail, NULL}};
    tvn_redirect_t input = {0, TVN_REDIRECT_READ, 0, file, 0};
    tvn_pipeline_t *run;
    int statuses[3];
    good(tvn_pipeline_start(stages, 3, &input, NULL, &run));
    int pipefail = (int)good(tvn_pipeline_wait(run, statuses, 3, TVN_FOREVER));
    size_t size = (size_t)good(tvn_pipeline_output(run, &data));
    fwrite(data, 1, size, stdout);
    printf("[%d, %d, %d] %d\n", WEXITSTATUS(statuses[0]), WEXITSTATUS(statuses[1]), WEXITSTATUS(statuses[2]), pipefail);
    tvn_pipeline_close(run);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1];
    int first = atoi(argv[2]);
    if (!strcmp(role, "take")) return take(first), 0;
    if (!strcmp(role, "queue") && argc == 4) return queue(first, atoi(argv[3])), 0;
    if (!strcmp(role, "end")) return first >= 0 ? first : (int)good(tvn_send_signal(getpid(), -first));
    if (!strcmp(role, "children")) return children(first), 0;
    if (!strcmp(role, "pipeline")) return pipeline(argv[2]), 0;
    return 2;
}
