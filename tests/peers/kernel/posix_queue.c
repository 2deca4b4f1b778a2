/* POSIX message queues; the roles are told in posix_queue.rs. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <triveni.h>
#include <unistd.h>

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "posix_queue.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

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

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *name = argv[2];
    uint8_t message[64];
    tvn_posix_queue_t *queue;
    if (!strcmp(role, "leave")) {
        good(tvn_posix_queue_create(name, 10, 64, 0600, 0, &queue));
        for (uint64_t k = 0; k < 10; k++)
            good(tvn_posix_queue_send_with(queue, message, make(k, message), 3 * k % 7, TVN_FOREVER));
    } else if (!strcmp(role, "own")) {
        good(tvn_posix_queue_create(name, 10, 64, 0600, TVN_OWNED, &queue));
        puts("holding");
        fflush(stdout);
        for (;;) pause();
    } else {
        good(tvn_posix_queue_open(name, 0, &queue));
    }
    if (!strcmp(role, "collect")) {
        for (int i = 0; i < 10; i++) {
            uint32_t priority;
            int64_t size = good(tvn_posix_queue_receive_envelope(queue, message, sizeof message, TVN_FOREVER, &priority));
            printf("%llu:%u\n", (unsigned long long)number(message, (size_t)size), priority);
        }
    } else if (!strcmp(role, "send")) {
        for (uint64_t k = strtoull(argv[3], NULL, 10), end = strtoull(argv[4], NULL, 10); k < end; k++)
            good(tvn_posix_queue_send(queue, message, make(k, message), TVN_FOREVER));
    } else if (!strcmp(role, "take")) {
        for (int64_t size; (size = good(tvn_posix_queue_receive(queue, message, sizeof message, TVN_FOREVER))) > 0;) {
            printf("got %llu\n", (unsigned long long)number(message, (size_t)size));
            fflush(stdout);
        }
    } else if (!strcmp(role, "notify")) {
        sigset_t set;
        siginfo_t info;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 3);
        sigprocmask(SIG_BLOCK, &set, NULL);
        good(tvn_posix_queue_notify(queue, SIGRTMIN + 3, atoi(argv[3])));
        puts("asked");
        fflush(stdout);
        sigwaitinfo(&set, &info);
        if (info.si_code != SI_MESGQ || info.si_value.sival_int != atoi(argv[3])) return 1;
        good(tvn_posix_queue_receive(queue, message, sizeof message, TVN_TRY));
        puts("told");
    } else if (strcmp(role, "leave")) {
        return 2;
    }
    tvn_posix_queue_close(queue);
    return 0;
}
