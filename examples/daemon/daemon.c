/*
 * A daemon: it comes up, a second one is refused, and it goes when it is told to.
 *
 *     daemon
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <triveni.h>
#include <unistd.h>

static int must(int result) {
    if (result < 0) tvn_perror("daemon"), exit(1);
    return result;
}

/* What the daemon does: it waits for SIGTERM. Its output goes to a file, as it has no terminal. */
static void serve(tvn_daemon_t *daemon) {
    int term = SIGTERM;
    tvn_signals_t *signals;
    tvn_signal_info_t info;
    if (tvn_signals_take(&term, 1, &signals) < 0) tvn_daemon_failed(daemon, tvn_last_error()), exit(1);
    puts("the daemon serves, and its parent is not the program that started it");
    tvn_daemon_ready(daemon);
    must(tvn_signals_receive(signals, &info, TVN_FOREVER));
    tvn_signals_close(signals);
    fflush(stdout); /* before the file goes that says that we live */
    tvn_daemon_close(daemon);
    exit(0);
}

int main(void) {
    char pid_file[64], log[64], line[200] = "";
    snprintf(pid_file, sizeof pid_file, "/tmp/daemon-%d.pid", (int)getpid());
    snprintf(log, sizeof log, "/tmp/daemon-%d.log", (int)getpid());
    tvn_daemon_options_t options = TVN_DAEMON_OPTIONS;
    options.pid_file = pid_file, options.output = log;
    tvn_daemon_t *daemon;
    int pid = must(tvn_daemonize(&options, &daemon));
    if (pid == 0) serve(daemon);
    puts("the daemon came up");
    fflush(stdout); /* what is buffered would be in both after a fork */
    int second = tvn_daemonize(&options, &daemon);
    if (second == 0) serve(daemon);
    if (second != -EBUSY) return fprintf(stderr, "there are two\n"), 1;
    puts("a second one is refused");
    must(tvn_send_signal(pid, SIGTERM));
    while (access(pid_file, F_OK) == 0) usleep(1000);
    puts("the daemon has ended, and its pid file is gone");
    FILE *output = fopen(log, "r");
    if (!output || !fgets(line, sizeof line, output)) return perror(log), 1;
    fclose(output);
    unlink(log);
    printf("its output: %s", line);
    return 0;
}
