/*
 * Readers and writers under three policies, and who starves under which.
 *
 * Three readers and two writers ask for the lock again and again, each keeps it for two milliseconds. Who waits
 * when the time is up has waited until then.
 *
 *     readers_writers                        the whole story: one second under each policy
 *     readers_writers reader POLICY SECONDS  one process of it, or writer; POLICY: readers_first, writers_first, fair
 *     readers_writers table POLICY           waits for the results of the five, and prints them
 *
 * Each process may be Rust, C or Python. They share the segment `readers_writers` with the lock `lock`, the barrier
 * `start`, at which the five wait for each other, and the mailbox `results`: three 32-bit numbers from each, role
 * (0 reader, 1 writer), turns, longest wait in microseconds. To begin anew: `triveni rm readers_writers`.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

enum { READERS = 3, WRITERS = 2 };

static const char *const policies[] = {
    [TVN_READERS_FIRST] = "readers_first", /* a reader enters unless a writer is inside */
    [TVN_WRITERS_FIRST] = "writers_first", /* no reader enters once a writer waits */
    [TVN_FAIR] = "fair",                   /* by turns: the readers that wait, then a writer */
};

static void must(int64_t result) {
    if (result < 0) tvn_perror("readers_writers"), exit(1);
}

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static tvn_segment_t *open_segment(tvn_mailbox_t **results) {
    tvn_segment_t *segment;
    must(tvn_segment_open_or_create("readers_writers", TVN_DEFAULT_SIZE, 0600, &segment));
    must(tvn_mailbox(segment, "results", READERS + WRITERS, 12, results));
    return segment;
}

static void play(bool writes, uint32_t policy, int seconds) {
    tvn_mailbox_t *results;
    tvn_rwlock_t *lock;
    tvn_barrier_t *start;
    tvn_segment_t *segment = open_segment(&results);
    must(tvn_rwlock(segment, "lock", policy, &lock));
    must(tvn_barrier(segment, "start", READERS + WRITERS, &start));
    must(tvn_barrier_wait(start, TVN_FOREVER));
    uint32_t turns = 0, longest = 0;
    for (long asked, end = now_us() + seconds * 1000000; (asked = now_us()) < end;) {
        int patience = (int)((end - asked) / 1000) + 1;
        int answer = writes ? tvn_rwlock_write(lock, patience) : tvn_rwlock_read(lock, patience);
        uint32_t waited = (uint32_t)(now_us() - asked);
        if (waited > longest) longest = waited;
        if (answer == -ETIMEDOUT) break;
        must(answer);
        turns++;
        usleep(2000); /* reads or writes */
        must(tvn_rwlock_unlock(lock));
    }
    must(tvn_mailbox_send(results, (uint32_t[]){writes, turns, longest}, 12, TVN_FOREVER));
    tvn_barrier_close(start); /* who ends without closing looks like somebody who was killed */
    tvn_rwlock_close(lock);
    tvn_mailbox_close(results);
    tvn_segment_close(segment);
}

static void table(const char *policy) {
    tvn_mailbox_t *results;
    tvn_segment_t *segment = open_segment(&results);
    uint32_t turns[2] = {0}, longest[2] = {0};
    for (int i = 0; i < READERS + WRITERS; i++) {
        struct { uint32_t role, turns, longest; } result;
        must(tvn_mailbox_receive(results, &result, sizeof result, TVN_FOREVER));
        turns[result.role & 1] += result.turns;
        if (result.longest > longest[result.role & 1]) longest[result.role & 1] = result.longest;
    }
    printf("%-14s %8u turns, longest wait %7.1f ms %8u turns, longest wait %7.1f ms\n", policy, turns[0],
           longest[0] / 1000.0, turns[1], longest[1] / 1000.0);
    tvn_mailbox_close(results);
    tvn_segment_close(segment);
}

static int story(uint32_t policy) {
    tvn_segment_unlink("readers_writers");
    fflush(stdout);
    for (int i = 0; i < READERS + WRITERS; i++)
        if (fork() == 0) return play(i >= READERS, policy, 1), exit(0), 0;
    for (int status; wait(&status) > 0;)
        if (status != 0) return fprintf(stderr, "a process failed\n"), 1;
    table(policies[policy]);
    tvn_segment_unlink("readers_writers");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 1) {
        printf("policy                       3 readers                              2 writers\n");
        return story(TVN_READERS_FIRST) || story(TVN_WRITERS_FIRST) || story(TVN_FAIR);
    }
    if (argc == 3 && !strcmp(argv[1], "table")) return table(argv[2]), 0;
    for (uint32_t policy = TVN_READERS_FIRST; argc == 4 && policy <= TVN_FAIR; policy++)
        if (!strcmp(argv[2], policies[policy])) return play(!strcmp(argv[1], "writer"), policy, atoi(argv[3])), 0;
    return fprintf(stderr, "usage: readers_writers [reader|writer POLICY SECONDS | table POLICY]\n"), 2;
}
