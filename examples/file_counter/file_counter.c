/*
 * A file as a channel between processes: a counter that loses updates, and one that does not.
 *
 * Two processes, X and Y, add one to the number in a file, again and again: each reads it, adds one, and writes it
 * back. If the other does so in between, one of the two is lost. Any of three locks on files prevents that: a lock on the
 * whole file (`flock`), on the range of bytes that the number has (`range`), or a lock file (`lock_file`).
 *
 *     file_counter               the whole story: without a lock, then with each
 *     file_counter X flock N     one process of it, which adds one N times; or: Y range N
 *     file_counter report N      how many of N updates are in the file
 *
 * X and Y may be Rust, C or Python. The file is /dev/shm/file_counter: a number as text. It stays when they have ended;
 * to begin anew: `rm -f /dev/shm/file_counter*`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

#define PATH "/dev/shm/file_counter"
enum { DIGITS = 10 };

static void must(int result) {
    if (result < 0) tvn_perror("file_counter"), exit(1);
}

static int read_number(int fd) {
    char text[DIGITS + 1] = "";
    return pread(fd, text, DIGITS, 0) < 0 ? 0 : atoi(text); /* an empty file is 0 */
}

static void add_one(int fd) {
    char text[2 * DIGITS];
    int number = read_number(fd);
    usleep(50); /* a process switch may come here; to see it often, we invite it */
    snprintf(text, sizeof text, "%*d", DIGITS, number + 1);
    if (pwrite(fd, text, DIGITS, 0) != DIGITS) perror("file_counter"), exit(1);
}

static void process(const char *how, int n) {
    tvn_file_lock_t *whole;
    tvn_range_lock_t *range;
    tvn_lock_file_t *file;
    must(tvn_file_lock_open_or_create(PATH, 0600, &whole));
    must(tvn_range_lock_open(PATH, &range));
    int fd = tvn_range_lock_fd(range);
    for (int i = 0; i < n; i++) {
        if (!strcmp(how, "flock")) {
            must(tvn_file_lock_lock(whole, TVN_FOREVER));
            add_one(fd);
            must(tvn_file_lock_unlock(whole));
        } else if (!strcmp(how, "range")) {
            must(tvn_range_lock_lock(range, 0, DIGITS, TVN_FOREVER));
            add_one(fd);
            must(tvn_range_lock_unlock(range, 0, DIGITS));
        } else if (!strcmp(how, "lock_file")) {
            must(tvn_lock_file_lock(PATH ".lock", 0600, TVN_TAKE_OVER, TVN_FOREVER, &file));
            add_one(fd);
            must(tvn_lock_file_unlock(file));
        } else {
            add_one(fd);
        }
    }
    tvn_range_lock_close(range);
    tvn_file_lock_close(whole);
}

static void report(int added) {
    int fd = open(PATH, O_RDONLY | O_CLOEXEC), there = fd < 0 ? 0 : read_number(fd);
    printf("%d added, %d in the file, %d lost\n", added, there, added - there);
    if (fd >= 0) close(fd);
}

static int story(const char *how) {
    unlink(PATH);
    printf("%s: ", how);
    fflush(stdout);
    if (fork() == 0) return process(how, 500), exit(0), 0;
    if (fork() == 0) return process(how, 500), exit(0), 0;
    for (int status; wait(&status) > 0;)
        if (status != 0) return fprintf(stderr, "a process failed\n"), 1;
    report(1000);
    unlink(PATH);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 1) return story("unlocked") || story("flock") || story("range") || story("lock_file");
    if (argc == 3 && !strcmp(argv[1], "report")) return report(atoi(argv[2])), 0;
    if (argc == 4 && strchr("XY", argv[1][0])) return process(argv[2], atoi(argv[3])), 0;
    return fprintf(stderr, "usage: file_counter [X|Y unlocked|flock|range|lock_file N | report N]\n"), 2;
}
