/* Sockets; the roles are told in sockets.rs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <triveni.h>
#include <unistd.h>

enum { MOST = 8 };

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "sockets.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

static void must(int so, const char *what) {
    if (!so) fprintf(stderr, "sockets.c: not so: %s\n", what), exit(1);
}

static size_t make(uint64_t k, uint8_t *message) {
    for (int i = 0; i < 8; i++) message[i] = (uint8_t)(k >> 8 * i);
    for (uint64_t i = 0; i < k % 40; i++) message[8 + i] = (uint8_t)(k * 7 + i);
    return 8 + k % 40;
}

static void say(const char *text) {
    puts(text);
    fflush(stdout);
}

static void stay(void) {
    say("holding");
    for (;;) pause();
}

static int is(const char *what, const char *kind) {
    return !strncmp(what, kind, strlen(kind)) && what[strlen(kind)] == '=';
}

/* What was bound, one of the three. */
struct served {
    const char *what;
    tvn_listener_t *streams;
    tvn_seqpacket_listener_t *seqpackets;
    tvn_datagram_t *datagrams;
};

static struct served bound(const char *what) {
    struct served served = {.what = what};
    const char *address = strchr(what, '=') + 1;
    char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
    if (is(what, "datagram")) {
        good(tvn_datagram_bind(address, 0600, 0, &served.datagrams));
        good(tvn_datagram_local_address(served.datagrams, text, sizeof text));
    } else if (is(what, "seqpacket")) {
        good(tvn_seqpacket_listener_bind(address, 5, 0600, 0, &served.seqpackets));
        good(tvn_seqpacket_listener_local_address(served.seqpackets, text, sizeof text));
    } else {
        good(tvn_listener_bind(address, 5, 0600, 0, &served.streams));
        good(tvn_listener_local_address(served.streams, text, sizeof text));
    }
    printf("%.*s=%s\n", (int)(address - what - 1), what, text);
    fflush(stdout);
    return served;
}

static void serve(struct served served, uint64_t n) {
    uint8_t buffer[64];
    if (served.datagrams) {
        tvn_socket_address_t from;
        for (uint64_t k = 0; k < n; k++) {
            size_t size = (size_t)good(tvn_datagram_receive_from(served.datagrams, buffer, sizeof buffer, &from, TVN_FOREVER));
            good(tvn_datagram_send_to(served.datagrams, buffer, size, &from, TVN_FOREVER));
        }
        tvn_datagram_close(served.datagrams);
    } else if (served.seqpackets) {
        tvn_seqpacket_t *client;
        good(tvn_seqpacket_listener_accept(served.seqpackets, TVN_FOREVER, &client));
        for (uint64_t k = 0; k < n; k++) {
            size_t size = (size_t)good(tvn_seqpacket_receive(client, buffer, sizeof buffer, TVN_FOREVER));
            good(tvn_seqpacket_send(client, buffer, size, TVN_FOREVER));
        }
        must(tvn_seqpacket_receive(client, buffer, sizeof buffer, TVN_FOREVER) == -EPIPE, "the end comes");
        tvn_seqpacket_close(client);
        tvn_seqpacket_listener_close(served.seqpackets);
    } else {
        tvn_stream_t *client;
        good(tvn_listener_accept(served.streams, TVN_FOREVER, &client));
        if (is(served.what, "pass")) {
            int fds[4];
            size_t count;
            bool cut;
            good(tvn_stream_read_descriptors(client, buffer, sizeof buffer, fds, 4, &count, &cut, TVN_FOREVER));
            must(count == 1 && !cut, "one descriptor comes");
            must(write(fds[0], "passed", 6) == 6, "it can be written to");
            close(fds[0]);
        } else {
            for (uint64_t k = 0; k < n; k++) {
                size_t size = (size_t)good(tvn_stream_receive(client, buffer, sizeof buffer, TVN_FOREVER));
                good(tvn_stream_send(client, buffer, size, TVN_FOREVER));
            }
            must(tvn_stream_receive(client, buffer, sizeof buffer, TVN_FOREVER) == -EPIPE, "the end comes");
        }
        tvn_stream_close(client);
        tvn_listener_close(served.streams);
    }
}

static tvn_stream_t *connected(const char *address) {
    tvn_stream_t *stream;
    good(tvn_stream_connect(address, TVN_FOREVER, &stream));
    return stream;
}

static void ask(const char *what, uint64_t n) {
    const char *address = strchr(what, '=') + 1;
    uint8_t wanted[64], buffer[64];
    tvn_datagram_t *datagram = NULL;
    tvn_seqpacket_t *seqpacket = NULL;
    tvn_stream_t *stream = NULL;
    if (is(what, "datagram"))
        good(tvn_datagram_connect(address, &datagram));
    else if (is(what, "seqpacket"))
        good(tvn_seqpacket_connect(address, TVN_FOREVER, &seqpacket));
    else
        stream = connected(address);
    if (is(what, "pass")) {
        int ends[2];
        char text[8];
        must(pipe(ends) == 0, "a pipe is made");
        must(good(tvn_stream_write_descriptors(stream, "x", 1, &ends[1], 1, TVN_FOREVER)) == 1, "a byte goes");
        close(ends[1]);
        must(read(ends[0], text, sizeof text) == 6 && !memcmp(text, "passed", 6), "the server writes");
    }
    for (uint64_t k = 0; k < n && !is(what, "pass"); k++) {
        size_t size = make(k, wanted), got;
        if (datagram) {
            good(tvn_datagram_send(datagram, wanted, size, TVN_FOREVER));
            got = (size_t)good(tvn_datagram_receive(datagram, buffer, sizeof buffer, TVN_FOREVER));
        } else if (seqpacket) {
            good(tvn_seqpacket_send(seqpacket, wanted, size, TVN_FOREVER));
            got = (size_t)good(tvn_seqpacket_receive(seqpacket, buffer, sizeof buffer, TVN_FOREVER));
        } else {
            good(tvn_stream_send(stream, wanted, size, TVN_FOREVER));
            got = (size_t)good(tvn_stream_receive(stream, buffer, sizeof buffer, TVN_FOREVER));
        }
        must(got == size && !memcmp(wanted, buffer, size), "the message comes back");
    }
    tvn_datagram_close(datagram);
    tvn_seqpacket_close(seqpacket);
    tvn_stream_close(stream);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *address = argv[2];
    char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
    tvn_listener_t *listener;
    tvn_stream_t *stream;
    if (!strcmp(role, "serve") && argc <= 3 + MOST) {
        struct served served[MOST];
        for (int i = 3; i < argc; i++) served[i - 3] = bound(argv[i]);
        for (int i = 3; i < argc; i++) serve(served[i - 3], strtoull(argv[2], NULL, 10));
        say("ok");
    } else if (!strcmp(role, "ask")) {
        for (int i = 3; i < argc; i++) ask(argv[i], strtoull(argv[2], NULL, 10));
        say("ok");
    } else if (!strcmp(role, "hold")) {
        good(tvn_listener_bind(address, 5, 0600, 0, &listener));
        good(tvn_listener_local_address(listener, text, sizeof text));
        say(text);
        good(tvn_listener_accept(listener, TVN_FOREVER, &stream));
        stay();
    } else if (!strcmp(role, "wait")) {
        stream = connected(address);
        say("waiting");
        int64_t failed = tvn_stream_receive(stream, text, sizeof text, TVN_FOREVER);
        must(failed == -EPIPE || failed == -ECONNRESET, "the end is told");
        say("ended");
    } else if (!strcmp(role, "half")) {
        stream = connected(address);
        good(tvn_stream_send_all(stream, "\0\0\0\x64half", 8, TVN_FOREVER));
        stay();
    } else if (!strcmp(role, "own")) {
        good(tvn_listener_bind(address, 5, 0600, TVN_OWNED, &listener));
        stay();
    } else {
        return 2;
    }
    return 0;
}
