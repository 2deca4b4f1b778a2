/*
 * The frame of the C tests: each TEST runs in a child of its own, under a watchdog, with fresh names that are
 * removed afterwards even when it fails.
 *
 *     TEST(post_wakes_one_sleeper) { ... is(tvn_semaphore_post(s), 0); ... }
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

enum { WATCHDOG_S = 60, TESTS_MAX = 100 };

static struct test {
    const char *name;
    void (*body)(void);
} tests[TESTS_MAX];
static int test_count;
static char fresh[64]; /* a name for a segment that nobody has, new for each test */

#define TEST(sentence)                                                              \
    static void sentence(void);                                                     \
    __attribute__((constructor)) static void add_##sentence(void) {                 \
        if (test_count == TESTS_MAX) abort();                                       \
        tests[test_count].name = #sentence, tests[test_count++].body = sentence;    \
    }                                                                               \
    static void sentence(void)

/* Ends the test unless the condition holds. */
#define holds(condition) ((condition) ? (void)0 : wrong(__FILE__, __LINE__, #condition, 1, 0))

/* Ends the test unless the call answers this number. */
#define is(call, number)                                                            \
    do {                                                                            \
        long long answered_ = (long long)(call), wanted_ = (long long)(number);     \
        if (answered_ != wanted_) wrong(__FILE__, __LINE__, #call " is " #number, wanted_, answered_); \
    } while (0)

/* Ends the test unless the story of the last failure has this text in it. */
#define told(text)                                                                  \
    (strstr(tvn_last_error(), text) ? (void)0 : wrong(__FILE__, __LINE__, "the last error tells of " #text, 1, 0))

static inline void wrong(const char *file, int line, const char *what, long long wanted, long long answered) {
    fprintf(stderr, "%s:%d: not so: %s (wanted %lld, answered %lld: %s); last error: %s\n", file, line, what, wanted,
            answered, tvn_strerror((int)answered), tvn_last_error());
    _exit(1);
}

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline tvn_segment_t *fresh_segment(void) {
    tvn_segment_t *segment = NULL;
    is(tvn_segment_create(fresh, 4 << 20, 0600, &segment), 0);
    return segment;
}

/* Waits for a child's end; -1 unless it ended by itself. */
static inline int exit_of(pid_t child) {
    int status = 0;
    holds(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One side says that it has come so far, the other waits for that. */
static inline void tell(int fds[2]) {
    holds(write(fds[1], "x", 1) == 1);
}
static inline void await(int fds[2]) {
    char c;
    holds(read(fds[0], &c, 1) == 1);
}

/* A child that has done `body(argument)` when this returns, and stays until somebody kills it. */
static inline pid_t stays_after(void (*body)(void *), void *argument) {
    int done[2];
    holds(pipe(done) == 0);
    pid_t child = fork();
    if (child == 0) {
        body(argument);
        tell(done);
        for (;;) pause();
    }
    holds(child > 0);
    await(done);
    close(done[0]);
    close(done[1]);
    return child;
}

static inline void kill_it(pid_t child) {
    is(kill(child, SIGKILL), 0);
    is(exit_of(child), -1);
}

/* Until so many sleep in the segment; the watchdog ends it if that never comes. */
static inline void until_asleep(tvn_segment_t *segment, int count) {
    while (tvn_segment_waits(segment, NULL, 0) != count) usleep(1000);
}

static volatile sig_atomic_t signals;

static inline void count_signal(int signal) {
    (void)signal;
    signals++;
}

/* A signal to this thread every 3 ms, until its watch is stopped. */
static inline timer_t signal_often(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    is(sigaction(SIGUSR1, &action, NULL), 0);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
    event.sigev_notify_thread_id = gettid();
    timer_t timer;
    struct itimerspec often = {{0, 3000000}, {0, 3000000}};
    is(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    is(timer_settime(timer, 0, &often, NULL), 0);
    return timer;
}

int main(int argc, char **argv) {
    int failed = 0, passed = 0;
    for (int i = 0; i < test_count; i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) continue;
        snprintf(fresh, sizeof fresh, "test-c-%d-%d", (int)getpid(), i);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0); /* its children end with it */
            alarm(WATCHDOG_S);
            tests[i].body();
            exit(0); /* not _exit: the leak check runs here */
        }
        int status = 0;
        waitpid(child, &status, 0);
        kill(-child, SIGKILL);
        tvn_segment_unlink(fresh);
        if (status == 0)
            passed++;
        else
            failed++, printf("FAILED %s%s\n", tests[i].name, WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": hangs" : "");
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
#endif
