/* Processes, pipelines, daemons and signals. */
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>

static tvn_child_t *shell(const char *script, const tvn_spawn_options_t *options) {
    const char *argv[] = {"sh", "-c", script, NULL};
    tvn_child_t *child = NULL;
    is(tvn_spawn(argv, options, &child), 0);
    return child;
}

static int ends_with(tvn_child_t *child) {
    int status = 0;
    is(tvn_child_wait(child, &status, 60000), 0);
    tvn_child_close(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(an_end_is_told_as_waitpid_tells_it) {
    is(ends_with(shell("exit 7", NULL)), 7);
    is(ends_with(shell("kill -TERM $$", NULL)), -SIGTERM);
    tvn_child_t *child = shell("exit 3", NULL);
    int first = 0, second = 0;
    struct pollfd ready = {tvn_child_fd(child), POLLIN, 0};
    is(poll(&ready, 1, 60000), 1);
    is(tvn_child_wait(child, &first, TVN_TRY), 0);
    is(tvn_child_wait(child, &second, TVN_FOREVER), 0);
    holds(first == second && WEXITSTATUS(first) == 3);
    is(waitpid(tvn_child_pid(child), NULL, 0), -1); /* reaped */
    is(tvn_child_kill(child), -ESRCH);
    tvn_child_close(child);
    tvn_child_close(NULL);
}

TEST(a_child_stops_continues_and_ends) {
    tvn_child_t *child = shell("exec sleep 1000", NULL);
    int status = 0;
    is(tvn_child_wait(child, &status, TVN_TRY), -EAGAIN);
    double begin = seconds();
    is(tvn_child_wait(child, NULL, 30), -ETIMEDOUT);
    holds(seconds() - begin >= 0.03);
    is(tvn_child_stop(child), 0);
    is(tvn_child_wait_change(child, &status, 60000), 0);
    holds(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    is(tvn_child_cont(child), 0);
    is(tvn_child_wait_change(child, &status, TVN_FOREVER), 0);
    holds(WIFCONTINUED(status));
    is(tvn_child_send(child, 99), -EINVAL);
    is(tvn_child_send(child, SIGKILL), 0);
    is(ends_with(child), -SIGKILL);
}

TEST(a_failed_start_says_why_and_leaves_no_child) {
    const char *none[] = {"no-such-program", NULL}, *sleeper[] = {"sleep", "1000", NULL}, *empty[] = {NULL};
    tvn_child_t *child = NULL;
    is(tvn_spawn(none, NULL, &child), -ENOENT);
    told("PATH is");
    is(tvn_spawn(empty, NULL, &child), -EINVAL);
    is(tvn_spawn(NULL, NULL, &child), -EINVAL);
    is(tvn_spawn(sleeper, NULL, NULL), -EINVAL);
    tvn_spawn_options_t options = TVN_SPAWN_OPTIONS;
    options.directory = "/no/such/place";
    is(tvn_spawn(sleeper, &options, &child), -ENOENT);
    told("/no/such/place");
    tvn_redirect_t strange = {1, 99, 0, NULL, 0};
    options.directory = NULL, options.redirects = &strange, options.redirect_count = 1;
    is(tvn_spawn(sleeper, &options, &child), -EINVAL);
    strange.kind = TVN_REDIRECT_READ;
    is(tvn_spawn(sleeper, &options, &child), -EINVAL);
    strange.path = "/no/such/file";
    is(tvn_spawn(sleeper, &options, &child), -ENOENT);
    options.size = 3;
    is(tvn_spawn(sleeper, &options, &child), -EINVAL);
    holds(child == NULL);
    is(waitpid(-1, NULL, WNOHANG), -1);
    is(errno, ECHILD);
}

TEST(what_a_program_gets_is_what_was_said) {
    char out[] = "/tmp/triveni-c-XXXXXX", text[256] = "";
    int fd = mkstemp(out), leak = fcntl(fd, F_DUPFD, 70);
    const char *variables[] = {"A=1", "B=2", "B", NULL};
    int inherited[] = {fd};
    tvn_redirect_t redirects[] = {
        {0, TVN_REDIRECT_BYTES, 0, "input\n", 6}, {1, TVN_REDIRECT_APPEND, 0, out, 0}, {2, TVN_REDIRECT_SAME, 1, NULL, 0}};
    tvn_spawn_options_t options = TVN_SPAWN_OPTIONS;
    options.environment = variables, options.directory = "/";
    options.redirects = redirects, options.redirect_count = 3, options.inherit = inherited, options.inherit_count = 1;
    char script[200];
    snprintf(script, sizeof script, "echo \"$A$B\"; pwd >&2; cat; test -e /proc/self/fd/%d && test ! -e /proc/self/fd/%d", fd, leak);
    is(ends_with(shell(script, &options)), 0);
    holds(pread(fd, text, sizeof text - 1, 0) > 0);
    is(strcmp(text, "1\n/\ninput\n"), 0);
    unlink(out);
    close(fd), close(leak);
}

TEST(a_pipeline_gives_what_the_shell_gives) {
    const char *sort[] = {"sort", NULL}, *uniq[] = {"uniq", "-c", NULL}, *exits[] = {"sh", "-c", "cat; exit 3", NULL}, *data;
    tvn_stage_t stages[] = {{sort, NULL}, {exits, NULL}, {uniq, NULL}};
    tvn_redirect_t input = {0, TVN_REDIRECT_BYTES, 0, "b\na\nb\n", 6};
    tvn_pipeline_t *run;
    int statuses[3];
    is(tvn_pipeline_start(stages, 3, &input, NULL, &run), 0);
    is(tvn_pipeline_output(run, &data), -EAGAIN);
    is(tvn_pipeline_wait(run, statuses, 3, TVN_FOREVER), 3);
    is(tvn_pipeline_wait(run, NULL, 0, TVN_TRY), 3);
    holds(WEXITSTATUS(statuses[1]) == 3 && statuses[0] == 0 && statuses[2] == 0);
    is(tvn_pipeline_output(run, &data), 20);
    is(memcmp(data, "      1 a\n      2 b\n", 20), 0);
    tvn_pipeline_close(run);

    const char *yes[] = {"yes", NULL}, *head[] = {"head", "-n", "1", NULL};
    tvn_stage_t pair[] = {{yes, NULL}, {head, NULL}};
    tvn_pipe_reader_t *reader;
    char text[8] = "";
    is(tvn_pipeline_start(pair, 2, NULL, NULL, &run), 0);
    is(tvn_pipeline_take_output(run, &reader), 0);
    is(tvn_pipeline_take_output(run, &reader), -ENOENT);
    is(tvn_pipe_reader_receive_exact(reader, (uint8_t *)text, 2, TVN_FOREVER), 0);
    is(strcmp(text, "y\n"), 0);
    tvn_pipe_reader_close(reader);
    is(tvn_pipeline_wait(run, statuses, 2, 60000), 128 + SIGPIPE);
    tvn_pipeline_close(run);

    const char *sleeper[] = {"sleep", "1000", NULL};
    tvn_stage_t slow = {sleeper, NULL};
    is(tvn_pipeline_start(&slow, 1, NULL, NULL, &run), 0);
    is(tvn_pipeline_wait(run, NULL, 0, TVN_TRY), -EAGAIN);
    is(tvn_pipeline_wait(run, NULL, 0, 20), -ETIMEDOUT);
    tvn_pipeline_close(run);
    is(waitpid(-1, NULL, WNOHANG), -1); /* killed and reaped */
    is(tvn_pipeline_start(NULL, 0, NULL, NULL, &run), -EINVAL);
}

TEST(a_forked_child_uses_an_open_segment) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore;
    tvn_child_t *child = NULL;
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    int pid = tvn_fork(&child);
    if (pid == 0) {
        is(child == NULL, 1);
        is(tvn_semaphore_post(semaphore), 0);
        _exit(5);
    }
    is(pid, tvn_child_pid(child));
    is(tvn_semaphore_wait(semaphore, 60000), 0);
    pid_t stranger = fork();
    if (stranger == 0) _exit(tvn_child_wait(child, NULL, TVN_FOREVER) != -TVN_EFORKED);
    is(exit_of(stranger), 0);
    is(ends_with(child), 5);
    is(tvn_child_adopt(getppid(), &child), -ECHILD);
    is(tvn_child_adopt(-1, &child), -EINVAL);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(the_chain_and_the_fan_and_their_trees) {
    tvn_family_t *family;
    tvn_member_t members[4];
    tvn_tree_node_t nodes[8];
    char drawn[1000];
    is(tvn_chain(4, &family), 0);
    is(tvn_family_members(family, members, 4), 4);
    for (int i = 0, parent = getpid(); i < 4; parent = members[i++].pid) is(members[i].ppid, parent);
    is(tvn_process_tree(members[0].pid, nodes, 8), 4);
    is(nodes[3].depth, 3);
    is(tvn_process_tree_draw(members[2].pid, drawn, sizeof drawn), strlen(drawn));
    holds(strstr(drawn, "\n└─ "));
    is(tvn_process_tree_draw(0, NULL, 0) > 0, 1);
    tvn_family_close(family);
    is(tvn_process_tree(members[0].pid, nodes, 8), -ESRCH);
    is(tvn_fan(4, &family), 0);
    is(tvn_family_members(family, members, 2), 4);
    is(members[1].ppid, getpid());
    tvn_family_close(family);
    is(waitpid(-1, NULL, WNOHANG), -1);
    is(tvn_chain(0, &family), -EINVAL);
}

TEST(standard_signals_coalesce_and_real_time_signals_queue) {
    int which[] = {SIGUSR1, SIGRTMIN};
    tvn_signals_t *signals;
    tvn_signal_info_t info;
    is(tvn_signals_take(which, 2, &signals), 0);
    is(tvn_signals_receive(signals, &info, TVN_TRY), -EAGAIN);
    is(tvn_signals_receive(signals, &info, 10), -ETIMEDOUT);
    for (int n = 0; n < 3; n++) {
        is(tvn_send_signal(getpid(), SIGUSR1), 0);
        is(tvn_queue_signal(getpid(), SIGRTMIN, n - 1), 0);
    }
    struct pollfd ready = {tvn_signals_fd(signals), POLLIN, 0};
    is(poll(&ready, 1, 0), 1);
    is(tvn_signals_receive(signals, &info, TVN_FOREVER), 0);
    holds(info.signal == SIGUSR1 && info.pid == getpid() && info.uid == getuid());
    for (int n = 0; n < 3; n++) {
        is(tvn_signals_receive(signals, &info, TVN_FOREVER), 0);
        holds(info.signal == SIGRTMIN && info.value == n - 1 && info.code == SI_QUEUE);
    }
    is(tvn_signals_receive(signals, &info, TVN_TRY), -EAGAIN);
    tvn_signals_close(signals);
    int untakable[] = {SIGKILL};
    is(tvn_signals_take(untakable, 1, &signals), -EINVAL);
    is(tvn_send_signal(0, SIGTERM), -EINVAL);
    is(tvn_send_signal(-1, SIGTERM), -EINVAL);
    is(tvn_send_signal(0x3fffff + 2, 0), -ESRCH);
}

static volatile sig_atomic_t came;
static void count(int signal) { (void)signal, came++; }

TEST(a_signal_between_the_check_and_the_sleep_is_not_lost) {
    int which[] = {SIGUSR1};
    tvn_mask_t *mask;
    signal(SIGUSR1, count);
    is(tvn_mask_block(which, 1, &mask), 0);
    for (int n = 1; n <= 50; n++) {
        is(raise(SIGUSR1), 0);
        is(came, n - 1);
        is(tvn_mask_suspend(mask, TVN_FOREVER), 0);
        is(came, n);
    }
    is(tvn_mask_suspend(mask, 10), -ETIMEDOUT);
    raise(SIGUSR1);
    tvn_mask_close(mask);
    is(came, 51);
}

static void add(const tvn_signal_info_t *info, void *sum) { *(int *)sum += info->value; }

TEST(callbacks_run_in_dispatch_alone) {
    tvn_handlers_t *handlers;
    int sum = 0;
    is(tvn_handlers(&handlers), 0);
    is(tvn_handlers_on_signal(handlers, SIGRTMIN + 1, add, &sum), 0);
    is(tvn_handlers_on_signal(handlers, SIGRTMIN + 1, NULL, NULL), -EINVAL);
    is(tvn_handlers_on_signal(handlers, SIGSTOP, add, &sum), -EINVAL);
    is(tvn_handlers_dispatch(handlers, TVN_TRY), -EAGAIN);
    for (int n = 1; n <= 4; n++) is(tvn_queue_signal(getpid(), SIGRTMIN + 1, n), 0);
    is(sum, 0);
    is(tvn_handlers_dispatch(handlers, TVN_FOREVER), 4);
    is(sum, 10);
    is(tvn_handlers_dispatch(handlers, 10), -ETIMEDOUT);
    holds(tvn_handlers_fd(handlers) >= 0);
    tvn_handlers_close(handlers);
}

TEST(children_that_ended_are_named_and_left_to_their_waiters) {
    tvn_child_ends_t *ends;
    tvn_ended_child_t ended[3];
    pid_t pids[3];
    int named = 0;
    is(tvn_child_ends(&ends), 0);
    is(tvn_child_ends_receive(ends, ended, 3, TVN_TRY), -EAGAIN);
    for (int n = 0; n < 3; n++)
        if ((pids[n] = fork()) == 0) _exit(n);
    while (named < 3) {
        is(tvn_child_ends_receive(ends, &ended[named], 1, 60000), 1);
        named++;
    }
    is(tvn_child_ends_receive(ends, ended, 3, 10), -ETIMEDOUT);
    is(tvn_child_ends_receive(ends, NULL, 0, TVN_TRY), -EINVAL);
    for (int n = 0; n < 3; n++) {
        int status;
        is(waitpid(pids[n], &status, 0), pids[n]);
        is(WEXITSTATUS(status), n);
    }
    /* Ignored, SIGCHLD means that the system takes all ends. */
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    is(tvn_child_ends_receive(ends, ended, 3, 10), -ECHILD);
    signal(SIGCHLD, before);
    is(tvn_child_ends_receive(ends, ended, 3, 10), -ETIMEDOUT);
    pid_t child = fork();
    if (child == 0) _exit(tvn_child_ends_receive(ends, ended, 3, TVN_TRY) != -TVN_EFORKED);
    is(tvn_child_ends_receive(ends, ended, 3, 60000), 1);
    is(ended[0].pid, child);
    is(ended[0].status, 0);
    is(waitpid(child, NULL, 0), child);
    tvn_child_ends_close(ends);
}

TEST(one_stops_and_the_other_continues_it) {
    int fds[2];
    char said[3] = "";
    is(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_stop_self(), 0);
        _exit(write(fds[1], "Y", 1) != 1);
    }
    is(tvn_wait_stopped(child, 60000), 0);
    is(tvn_is_stopped(child), 1);
    is(write(fds[1], "X", 1), 1);
    is(tvn_continue_stopped(child, 60000), 0);
    is(read(fds[0], said, 1) + read(fds[0], said + 1, 1), 2);
    is(strcmp(said, "XY"), 0);
    is(exit_of(child), 0);
    is(tvn_is_stopped(child), -ESRCH);
    tvn_stop_lock_t *lock;
    is(tvn_stop_lock(getpid(), &lock), -EINVAL);
    child = fork();
    if (child == 0)
        for (;;) {}
    is(tvn_stop_lock(child, &lock), 0);
    is(tvn_stop_lock_lock(lock, 60000), 0);
    is(tvn_is_stopped(child), 1);
    is(tvn_stop_lock_unlock(lock), 0);
    tvn_stop_lock_close(lock);
    kill(child, SIGKILL);
    is(exit_of(child), -1);
}

TEST(a_daemon_comes_up_once) {
    char place[] = "/tmp/triveni-daemon-XXXXXX";
    int fd = mkstemp(place);
    close(fd), unlink(place);
    tvn_daemon_options_t options = TVN_DAEMON_OPTIONS;
    options.pid_file = place;
    tvn_daemon_t *daemon;
    int pid = tvn_daemonize(&options, &daemon);
    if (pid == 0) {
        tvn_daemon_ready(daemon);
        alarm(0), sleep(60), _exit(0);
    }
    holds(pid > 0 && pid != getpid());
    is(tvn_process_tree(pid, NULL, 0), 1);
    is(tvn_daemonize(&options, &daemon), -EBUSY);
    told("holds the pid file");
    is(tvn_send_signal(pid, SIGKILL), 0);
    options.pid_file = NULL;
    pid = tvn_daemonize(&options, &daemon);
    if (pid == 0) tvn_daemon_failed(daemon, "the coffee is out"), _exit(1);
    is(pid, -TVN_EFAILED);
    told("the coffee is out");
    pid = tvn_daemonize(NULL, &daemon);
    if (pid == 0) _exit(1);
    is(pid, -ECONNRESET);
    unlink(place);
}

TEST(a_wait_keeps_its_deadline_in_a_storm_of_signals) {
    struct itimerval every = {{0, 2000}, {0, 2000}}, none = {{0, 0}, {0, 0}};
    tvn_child_t *child = shell("exec sleep 1000", NULL);
    signal(SIGALRM, count);
    setitimer(ITIMER_REAL, &every, NULL);
    double begin = seconds();
    is(tvn_child_wait(child, NULL, 80), -ETIMEDOUT);
    holds(seconds() - begin >= 0.08 && came > 5);
    tvn_interruptible(true);
    is(tvn_child_wait(child, NULL, TVN_FOREVER), -EINTR);
    tvn_interruptible(false);
    setitimer(ITIMER_REAL, &none, NULL);
    tvn_child_kill(child);
    is(ends_with(child), -SIGKILL);
}
