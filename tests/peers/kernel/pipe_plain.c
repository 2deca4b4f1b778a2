/* Pipes and FIFOs with libc alone; the roles are told in pipe.rs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
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

static int opened(const char *place, int flags) {
    int fd = place[0] == '/' ? open(place, flags) : atoi(place);
    if (fd < 0) perror(place), exit(1);
    return fd;
}

/* Reads n bytes; 0 at the end of the stream. */
static int whole(int fd, void *buffer, size_t n) {
    for (size_t have = 0; have < n;) {
        ssize_t got = read(fd, (char *)buffer + have, n - have);
        if (got < 0) perror("read"), exit(1);
        if (got == 0) return 0;
        have += (size_t)got;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *place = argv[2];
    uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    uint8_t frame[68], wanted[64], bytes[4096];
    uint32_t length;
    if (!strcmp(role, "send")) {
        int fd = opened(place, O_WRONLY);
        for (uint64_t k = 0; k < n; k++) {
            size_t size = make(k, frame + 4);
            length = htonl((uint32_t)size);
            memcpy(frame, &length, 4);
            if (write(fd, frame, 4 + size) != (ssize_t)(4 + size)) return perror("write"), 1;
        }
    } else if (!strcmp(role, "receive")) {
        int fd = opened(place, O_RDONLY);
        for (uint64_t k = 0; k < n; k++) {
            size_t size = make(k, wanted);
            if (!whole(fd, &length, 4) || ntohl(length) != size || !whole(fd, frame, size)) return 1;
            if (memcmp(frame, wanted, size)) return fputs("wrong message\n", stderr), 1;
        }
        if (read(fd, frame, 1) != 0) return fputs("more than expected\n", stderr), 1;
        printf("ok %llu\n", (unsigned long long)n);
    } else if (!strcmp(role, "count")) {
        int fd = opened(place, O_RDONLY);
        long long sum = 0;
        for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) sum += got;
        printf("ok %lld\n", sum);
    } else if (!strcmp(role, "hold")) {
        opened(place, O_WRONLY);
        puts("holding");
        fflush(stdout);
        for (;;) pause();
    } else {
        return 2;
    }
    return 0;
}
