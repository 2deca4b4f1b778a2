/*
 * Two ways to wait until another process says so: to ask again and again, or to sleep until woken.
 *
 *     signaling                     the whole story: the same wait, both ways
 *     signaling wait busy           one process of it, which waits; or: wait sleeping
 *     signaling signal              the other process, which works for half a second and then ends the wait
 *
 * Each process may be Rust, C or Python. They share the segment `signaling` with the event flags `events`: 1 says
 * that the work is done, 2 that somebody waits for it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

enum { DONE = 1, WAITING = 2 };

static tvn_segment_t *segment;
static tvn_event_t *events;

static void must(int result) {
    if (result < 0) tvn_perror("signaling"), exit(1);
}

static void open_events(void) {
    must(tvn_segment_open_or_create("signaling", TVN_DEFAULT_SIZE, 0600, &segment));
    must(tvn_event(segment, "events", 0, &events));
}

/* Who ends without this looks like somebody who was killed. */
static void close_events(void) {
    tvn_event_close(events);
    tvn_segment_close(segment);
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_for(const char *how) {
    open_events();
    must(tvn_event_set(events, WAITING, NULL));
    double begin = seconds(CLOCK_MONOTONIC), worked = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (!strcmp(how, "busy")) {
        while (!(tvn_event_flags(events) & DONE)) {} /* busy waiting */
        must(tvn_event_clear(events, DONE, NULL));
    } else {
        must(tvn_event_wait_any(events, DONE, true, TVN_FOREVER, NULL)); /* sleeps */
    }
    begin = seconds(CLOCK_MONOTONIC) - begin, worked = seconds(CLOCK_PROCESS_CPUTIME_ID) - worked;
    printf("%s: waited %.3f s, and used the CPU for %.4f s of them\n", how, begin, worked);
    close_events();
}

static void signal_it(void) {
    open_events();
    must(tvn_event_wait_any(events, WAITING, true, TVN_FOREVER, NULL));
    usleep(500000); /* the work that the other waits for */
    must(tvn_event_set(events, DONE, NULL));
    close_events();
}

static int story(const char *how) {
    tvn_segment_unlink("signaling");
    pid_t waiter = fork();
    if (waiter == 0) return wait_for(how), exit(0), 0;
    signal_it();
    int status;
    waitpid(waiter, &status, 0);
    tvn_segment_unlink("signaling");
    return status != 0;
}

int main(int argc, char **argv) {
    if (argc == 1) return story("busy") || story("sleeping");
    if (argc == 3 && !strcmp(argv[1], "wait")) return wait_for(argv[2]), 0;
    if (argc == 2 && !strcmp(argv[1], "signal")) return signal_it(), 0;
    return fprintf(stderr, "usage: signaling [wait busy | wait sleeping | signal]\n"), 2;
}
