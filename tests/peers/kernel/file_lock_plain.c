/* Locks on files with libc alone; the roles are told in file_lock.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int fd;
static char name[4200];

/* 0, or -1 with errno */
static int lock(const char *how, int shared, int wait) {
    if (!strcmp(how, "flock")) return flock(fd, (shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB));
    if (!strcmp(how, "range")) {
        struct flock range = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_start = 8, .l_len = 8};
        return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range);
    }
    for (;;) {
        int made = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (made >= 0) return dprintf(made, "%10d\n", (int)getpid()), close(made);
        if (errno != EEXIST) return -1;
        if (!wait) return errno = EWOULDBLOCK, -1;
        usleep(1000);
    }
}

static void unlock(const char *how) {
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 8, .l_len = 8};
    if (!strcmp(how, "flock")) flock(fd, LOCK_UN);
    else if (!strcmp(how, "range")) fcntl(fd, F_OFD_SETLK, &range);
    else unlink(name);
}

static int failed(const char *what) { return perror(what), 1; }

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *role = argv[1], *how = argv[2];
    int n = argc > 4 ? atoi(argv[4]) : 0;
    fd = open(argv[3], O_RDWR | O_CLOEXEC);
    if (fd < 0) return failed(argv[3]);
    snprintf(name, sizeof name, "%s.lock", argv[3]);
    if (!strcmp(role, "count")) {
        uint64_t number;
        for (int i = 0; i < n; i++) {
            if (lock(how, 0, 1) < 0) return failed("lock");
            if (pread(fd, &number, 8, 0) != 8) return 1;
            number++;
            if (pwrite(fd, &number, 8, 0) != 8) return 1;
            unlock(how);
        }
        printf("ok %d\n", n);
    } else if (!strcmp(role, "hold") || !strcmp(role, "share")) {
        if (lock(how, *role == 's', 1) < 0) return failed("lock");
        puts("holding"), fflush(stdout);
        for (;;) pause();
    } else if (!strcmp(role, "try")) {
        int result = lock(how, 0, 0);
        if (result < 0 && errno != EWOULDBLOCK) return failed("lock");
        puts(result < 0 ? "busy" : "taken");
        if (result == 0) unlock(how);
    }
    return 0;
}
