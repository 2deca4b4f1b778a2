/*
 * Echo over a connection: socket, bind, listen, accept here; socket, connect there; close on both sides.
 *
 *     echo                            the whole story: over TCP, then over a Unix socket
 *     echo server ADDRESS CLIENTS     serves so many clients, one after the other
 *     echo client ADDRESS             sends four words, and prints what comes back
 *
 * ADDRESS is `tcp:127.0.0.1:7777`, `unix:/tmp/echo.sock` or `unix:@echo`; nothing else differs. Each process may be Rust,
 * C or Python.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

static int64_t must(int64_t result) {
    if (result < 0) tvn_perror("echo"), exit(1);
    return result;
}

/* Where it listens, in `text`. */
static tvn_listener_t *listening(const char *address, char text[TVN_SOCKET_ADDRESS_TEXT_MAX]) {
    tvn_listener_t *listener;
    /* The socket file goes with the listener, and one that a killed server left is no obstacle. */
    must(tvn_listener_bind(address, 5, 0600, TVN_OWNED | TVN_REPLACE_STALE, &listener));
    must(tvn_listener_local_address(listener, text, TVN_SOCKET_ADDRESS_TEXT_MAX));
    printf("listening at %s\n", text);
    fflush(stdout);
    return listener;
}

static void server(tvn_listener_t *listener, int clients) {
    for (int i = 0; i < clients; i++) {
        tvn_stream_t *client;
        must(tvn_listener_accept(listener, TVN_FOREVER, &client));
        uint8_t buffer[1024];
        int64_t size; /* some bytes: a stream has no borders */
        while ((size = must(tvn_stream_read(client, buffer, sizeof buffer, TVN_FOREVER))) > 0) {
            printf("received: %.*s\n", (int)size, (const char *)buffer);
            fflush(stdout);
            must(tvn_stream_send_all(client, buffer, (size_t)size, TVN_FOREVER));
        }
        tvn_stream_close(client);
        printf("client disconnected\n");
        fflush(stdout);
    }
}

static void client(const char *address) {
    static const char *const words[] = {"Hello", "World", "Echo", "Test"};
    tvn_stream_t *server;
    must(tvn_stream_connect(address, 10000, &server));
    for (int i = 0; i < 4; i++) {
        uint8_t back[8];
        size_t size = strlen(words[i]);
        must(tvn_stream_send_all(server, words[i], size, TVN_FOREVER));
        must(tvn_stream_receive_exact(server, back, size, TVN_FOREVER));
        printf("echo: %.*s\n", (int)size, (const char *)back);
        fflush(stdout);
    }
    tvn_stream_close(server);
}

static int story(void) {
    static const char *const addresses[] = {"tcp:127.0.0.1:0", "unix:/tmp/triveni-echo.sock"};
    int failed = 0, status;
    for (int i = 0; i < 2; i++) {
        char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
        tvn_listener_t *listener = listening(addresses[i], text);
        if (fork() == 0) client(text), exit(0);
        server(listener, 1);
        wait(&status);
        failed |= status != 0;
        tvn_listener_close(listener);
    }
    return failed;
}

int main(int argc, char **argv) {
    if (argc == 1) return story();
    if (argc == 4 && !strcmp(argv[1], "server")) {
        char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
        tvn_listener_t *listener = listening(argv[2], text);
        server(listener, atoi(argv[3]));
        tvn_listener_close(listener);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "client")) return client(argv[2]), 0;
    return fprintf(stderr, "usage: echo [server ADDRESS CLIENTS | client ADDRESS]\n"), 2;
}
