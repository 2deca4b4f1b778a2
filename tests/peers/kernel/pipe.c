/* Pipes and FIFOs; the roles are told in pipe.rs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <triveni.h>
#include <unistd.h>

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "pipe.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

static size_t make(uint64_t k, uint8_t *message) {
    for (int i = 0; i < 8; i++) message[i] = (uint8_t)(k >> 8 * i);
    for (uint64_t i = 0; i < k % 40; i++) message[8 + i] = (uint8_t)(k * 7 + i);
    return 8 + k % 40;
}

static tvn_fifo_t *fifo(const char *path) {
    tvn_fifo_t *fifo;
    good(tvn_fifo_open(path, &fifo));
    return fifo;
}

static tvn_pipe_reader_t *reader(const char *place) {
    tvn_pipe_reader_t *end;
    if (place[0] != '/') {
        good(tvn_pipe_reader_from_fd(atoi(place), &end));
        return end;
    }
    tvn_fifo_t *named = fifo(place);
    good(tvn_fifo_reader(named, TVN_FOREVER, &end));
    tvn_fifo_close(named);
    return end;
}

static tvn_pipe_writer_t *writer(const char *place) {
    tvn_pipe_writer_t *end;
    if (place[0] != '/') {
        good(tvn_pipe_writer_from_fd(atoi(place), &end));
        return end;
    }
    tvn_fifo_t *named = fifo(place);
    good(tvn_fifo_writer(named, TVN_FOREVER, &end));
    tvn_fifo_close(named);
    return end;
}

static void stay(void) {
    puts("holding");
    fflush(stdout);
    for (;;) pause();
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *place = argv[2];
    uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    uint8_t message[64], wanted[64], bytes[4096];
    if (!strcmp(role, "send")) {
        tvn_pipe_writer_t *end = writer(place);
        for (uint64_t k = 0; k < n; k++) good(tvn_pipe_writer_send(end, message, make(k, message), TVN_FOREVER));
        tvn_pipe_writer_close(end);
    } else if (!strcmp(role, "receive")) {
        tvn_pipe_reader_t *end = reader(place);
        for (uint64_t k = 0; k < n; k++) {
            size_t size = (size_t)good(tvn_pipe_reader_receive(end, message, sizeof message, TVN_FOREVER));
            if (size != make(k, wanted) || memcmp(message, wanted, size)) return fputs("wrong message\n", stderr), 1;
        }
        if (tvn_pipe_reader_receive(end, message, sizeof message, TVN_FOREVER) != -EPIPE) return 1;
        tvn_pipe_reader_close(end);
        printf("ok %llu\n", (unsigned long long)n);
    } else if (!strcmp(role, "count")) {
        tvn_pipe_reader_t *end = reader(place);
        int64_t sum = 0, got;
        while ((got = good(tvn_pipe_reader_read(end, bytes, sizeof bytes, TVN_FOREVER))) > 0) sum += got;
        tvn_pipe_reader_close(end);
        printf("ok %lld\n", (long long)sum);
    } else if (!strcmp(role, "hold")) {
        writer(place);
        stay();
    } else if (!strcmp(role, "own")) {
        tvn_fifo_t *named;
        good(tvn_fifo_create(place, 0600, TVN_OWNED, &named));
        stay();
    } else {
        return 2;
    }
    return 0;
}
