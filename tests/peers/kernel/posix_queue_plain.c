/* POSIX message queues with libc alone; the roles are told in posix_queue.rs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t make(uint64_t k, uint8_t *message) {
    for (int i = 0; i < 8; i++) message[i] = (uint8_t)(k >> 8 * i);
    for (uint64_t i = 0; i < k % 40; i++) message[8 + i] = (uint8_t)(k * 7 + i);
    return 8 + k % 40;
}

/* The number of a message, which must be whole. */
static uint64_t number(const uint8_t *message, size_t size) {
    uint64_t k = 0;
    uint8_t wanted[64];
    for (int i = 0; i < 8; i++) k |= (uint64_t)message[i] << 8 * i;
    if (size != make(k, wanted) || memcmp(message, wanted, size)) fputs("wrong message\n", stderr), exit(1);
    return k;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *name = argv[2];
    char message[64];
    uint8_t *bytes = (uint8_t *)message;
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 64};
    mqd_t queue = !strcmp(role, "leave") ? mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr) : mq_open(name, O_RDWR);
    if (queue == (mqd_t)-1) fail(name);
    if (!strcmp(role, "leave")) {
        for (uint64_t k = 0; k < 10; k++)
            if (mq_send(queue, message, make(k, bytes), (unsigned)(3 * k % 7))) fail("mq_send");
    } else if (!strcmp(role, "collect")) {
        for (int i = 0; i < 10; i++) {
            unsigned priority;
            ssize_t size = mq_receive(queue, message, sizeof message, &priority);
            if (size < 0) fail("mq_receive");
            printf("%llu:%u\n", (unsigned long long)number(bytes, (size_t)size), priority);
        }
    } else if (!strcmp(role, "send")) {
        for (uint64_t k = strtoull(argv[3], NULL, 10), end = strtoull(argv[4], NULL, 10); k < end; k++)
            if (mq_send(queue, message, make(k, bytes), 0)) fail("mq_send");
    } else if (!strcmp(role, "take")) {
        for (ssize_t size; (size = mq_receive(queue, message, sizeof message, NULL)) != 0;) {
            if (size < 0) fail("mq_receive");
            printf("got %llu\n", (unsigned long long)number(bytes, (size_t)size));
            fflush(stdout);
        }
    } else if (!strcmp(role, "notify")) {
        sigset_t set;
        siginfo_t info;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 3);
        sigprocmask(SIG_BLOCK, &set, NULL);
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
        event.sigev_value.sival_int = atoi(argv[3]);
        if (mq_notify(queue, &event)) fail("mq_notify");
        puts("asked");
        fflush(stdout);
        sigwaitinfo(&set, &info);
        if (info.si_code != SI_MESGQ || info.si_value.sival_int != atoi(argv[3])) return 1;
        if (mq_receive(queue, message, sizeof message, NULL) < 0) fail("mq_receive");
        puts("told");
    } else {
        return 2;
    }
    mq_close(queue);
    return 0;
}
