/* Locks on files; the roles are told in file_lock.rs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

static tvn_file_lock_t *whole;
static tvn_range_lock_t *range;
static tvn_lock_file_t *file;
static char name[4200];

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "file_lock.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

static int lock(const char *how, const char *path, bool shared, int timeout_ms) {
    if (!strcmp(how, "flock")) {
        if (!whole) good(tvn_file_lock_open(path, &whole));
        return shared ? tvn_file_lock_lock_shared(whole, timeout_ms) : tvn_file_lock_lock(whole, timeout_ms);
    }
    if (!strcmp(how, "range")) {
        if (!range) good(tvn_range_lock_open(path, &range));
        return shared ? tvn_range_lock_lock_shared(range, 8, 8, timeout_ms) : tvn_range_lock_lock(range, 8, 8, timeout_ms);
    }
    snprintf(name, sizeof name, "%s.lock", path);
    return tvn_lock_file_lock(name, 0600, 0, timeout_ms, &file);
}

static void unlock(void) {
    if (whole) good(tvn_file_lock_unlock(whole));
    else if (range) good(tvn_range_lock_unlock(range, 8, 8));
    else good(tvn_lock_file_unlock(file));
}

static void say(const char *word) { puts(word), fflush(stdout); }

static void drop_of_rain(int signal) { (void)signal; }

static void rain(void) {
    struct sigaction action = {.sa_handler = drop_of_rain};
    struct itimerval often = {{0, 2000}, {0, 2000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *role = argv[1], *how = argv[2], *path = argv[3];
    int n = argc > 4 ? atoi(argv[4]) : 0;
    if (!strcmp(role, "count")) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        uint64_t number; /* this machine stores it least significant byte first */
        for (int i = 0; i < n; i++) {
            good(lock(how, path, false, TVN_FOREVER));
            if (pread(fd, &number, 8, 0) != 8) return 1;
            number++;
            if (pwrite(fd, &number, 8, 0) != 8) return 1;
            unlock();
        }
        printf("ok %d\n", n);
    } else if (!strcmp(role, "hold") || !strcmp(role, "share")) {
        good(lock(how, path, *role == 's', TVN_FOREVER));
        say("holding");
        for (;;) pause();
    } else if (!strcmp(role, "try")) {
        int result = lock(how, path, false, TVN_TRY);
        if (result != -EAGAIN) good(result), unlock();
        say(result == 0 ? "taken" : "busy");
    } else if (!strcmp(role, "rain")) {
        rain();
        long begin = now_ms();
        int result = lock(how, path, false, n);
        if (result != -ETIMEDOUT) good(result < 0 ? result : -EIO);
        printf("timeout %ld\n", now_ms() - begin);
    } else if (!strcmp(role, "late")) {
        rain();
        say("waiting");
        good(lock(how, path, false, TVN_FOREVER));
        say("taken");
        unlock();
    } else {
        return 2;
    }
    tvn_file_lock_close(whole);
    tvn_range_lock_close(range);
    return 0;
}
