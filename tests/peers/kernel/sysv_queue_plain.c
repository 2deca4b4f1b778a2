/* System V message queues with libc alone; the roles are told in sysv_queue.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

struct message {
    long mtype;
    uint8_t text[64];
};

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

static void collect(int queue, long wanted, int flags) {
    struct message message;
    ssize_t size;
    while ((size = msgrcv(queue, &message, sizeof message.text, wanted, flags | IPC_NOWAIT)) >= 0)
        printf("%llu:%ld\n", (unsigned long long)number(message.text, (size_t)size), message.mtype);
    if (errno != ENOMSG) fail("msgrcv");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1];
    key_t key = atoi(argv[2]);
    struct message message;
    int queue = msgget(key, strcmp(role, "leave") ? 0 : IPC_CREAT | IPC_EXCL | 0600);
    if (queue < 0) fail("msgget");
    if (!strcmp(role, "leave")) {
        for (uint64_t k = 0; k < 10; k++) {
            message.mtype = (long)(1 + 3 * k % 7);
            if (msgsnd(queue, &message, make(k, message.text), 0)) fail("msgsnd");
        }
    } else if (!strcmp(role, "collect")) {
        collect(queue, -2, 0);
        collect(queue, 5, MSG_EXCEPT);
        collect(queue, 5, 0);
    } else if (!strcmp(role, "send")) {
        message.mtype = 1;
        for (uint64_t k = strtoull(argv[3], NULL, 10), end = strtoull(argv[4], NULL, 10); k < end; k++)
            if (msgsnd(queue, &message, make(k, message.text), 0)) fail("msgsnd");
    } else if (!strcmp(role, "take")) {
        for (ssize_t size; (size = msgrcv(queue, &message, sizeof message.text, 0, 0)) != 0;) {
            if (size < 0) fail("msgrcv");
            printf("got %llu\n", (unsigned long long)number(message.text, (size_t)size));
            fflush(stdout);
        }
    } else if (!strcmp(role, "wait")) {
        puts("waiting");
        fflush(stdout);
        if (msgrcv(queue, &message, sizeof message.text, 0, 0) >= 0 || errno != EIDRM) return 1;
        puts("removed");
    } else {
        return 2;
    }
    return 0;
}
