/*
 * Requests over UDP, which may lose them or their answers: each is acknowledged by name, and sent again until its ACK
 * comes.
 *
 *     udp_ack                     the whole story
 *     udp_ack server ADDRESS      carries out requests until the last; loses the first ACK of every other one on purpose
 *     udp_ack client ADDRESS      sends four requests and `end`
 *
 * ADDRESS is `udp:127.0.0.1:9000` (`unix:@name` works as well, and loses nothing by itself). Each process may be Rust, C
 * or Python. A request that comes again is acknowledged again, but not carried out again: the server remembers the last
 * one. After the end it stays for a moment, as its last ACK may be lost too: TCP does the same, and calls it TIME_WAIT.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { PATIENCE_MS = 50, LINGER_MS = 200, TRIES = 100, SIZE = 64 };

static int64_t must(int64_t result) {
    if (result < 0) tvn_perror("udp_ack"), exit(1);
    return result;
}

/* Where it receives, in `text`. */
static tvn_datagram_t *receiving(const char *address, char text[TVN_SOCKET_ADDRESS_TEXT_MAX]) {
    tvn_datagram_t *socket;
    must(tvn_datagram_bind(address, 0600, 0, &socket));
    must(tvn_datagram_local_address(socket, text, TVN_SOCKET_ADDRESS_TEXT_MAX));
    printf("receiving at %s\n", text);
    fflush(stdout);
    return socket;
}

static size_t ack(char text[2 * SIZE], const char *request) {
    return (size_t)snprintf(text, 2 * SIZE, "ACK %s", request);
}

static void acknowledge(tvn_datagram_t *socket, const char *request, const tvn_socket_address_t *client) {
    char text[2 * SIZE];
    must(tvn_datagram_send_to(socket, text, ack(text, request), client, TVN_FOREVER));
}

static void server(tvn_datagram_t *socket) {
    char last[SIZE] = "", request[SIZE];
    int carried_out = 0, timeout_ms = TVN_FOREVER;
    tvn_socket_address_t client;
    for (;;) {
        int64_t size = tvn_datagram_receive_from(socket, request, SIZE - 1, &client, timeout_ms);
        if (size == -ETIMEDOUT) break;
        request[must(size)] = 0;
        int first_time = strcmp(request, last) != 0, is_end = !strcmp(request, "end");
        strcpy(last, request);
        if (!first_time)
            printf("%s came again\n", request);
        else if (is_end)
            timeout_ms = LINGER_MS;
        else
            carried_out++, printf("%s is carried out\n", request);
        if (first_time && carried_out % 2 == 1 && !is_end)
            printf("the ACK of %s is lost\n", request);
        else
            acknowledge(socket, request, &client);
        fflush(stdout);
    }
    printf("%d requests carried out\n", carried_out);
    fflush(stdout);
}

static void client(const char *address) {
    static const char *const requests[] = {"request 1", "request 2", "request 3", "request 4", "end"};
    tvn_datagram_t *socket;
    must(tvn_datagram_connect(address, &socket));
    for (int i = 0; i < 5; i++) {
        char answer[SIZE], wanted[2 * SIZE];
        int64_t size, expected = (int64_t)ack(wanted, requests[i]);
        int tries = 0;
        do {
            must(tvn_datagram_send(socket, requests[i], strlen(requests[i]), TVN_FOREVER));
            do /* until it is not the second ACK of a request before */
                size = tvn_datagram_receive(socket, answer, sizeof answer, PATIENCE_MS);
            while (size >= 0 && (size != expected || memcmp(answer, wanted, (size_t)size)));
        } while (++tries < TRIES && size == -ETIMEDOUT);
        must(size);
        printf("%s: ACK after %s\n", requests[i], tries == 1 ? "the first try" : "more than one try");
        fflush(stdout);
    }
    tvn_datagram_close(socket);
}

static int story(void) {
    char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
    int status;
    tvn_datagram_t *socket = receiving("udp:127.0.0.1:0", text);
    if (fork() == 0) client(text), exit(0);
    server(socket);
    wait(&status);
    tvn_datagram_close(socket);
    return status != 0;
}

int main(int argc, char **argv) {
    char text[TVN_SOCKET_ADDRESS_TEXT_MAX];
    if (argc == 1) return story();
    if (argc == 3 && !strcmp(argv[1], "server")) return server(receiving(argv[2], text)), 0;
    if (argc == 3 && !strcmp(argv[1], "client")) return client(argv[2]), 0;
    return fprintf(stderr, "usage: udp_ack [server ADDRESS | client ADDRESS]\n"), 2;
}
