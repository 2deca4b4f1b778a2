/* nng over ipc://: push and pull. A sender has a socket for each receiver and goes round them. */
#include "rival.h"
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 16
#define DEEPEST 8192 /* nng's own limit */

struct channel {
    struct versus_spec spec;
    char name[100];
};

struct end {
    nng_socket socket[MOST];
    int sockets, next, flags;
};

static char why[200];

static int failed(const char *what, int error)
{
    snprintf(why, sizeof why, "%s: %s", what, nng_strerror(error));
    return -1;
}

const char *versus_version(void) { return nng_version(); }
const char *versus_why(void) { return why; }

void *versus_make(const struct versus_spec *spec)
{
    if (spec->to_all) {
        snprintf(why, sizeof why, "its publishers drop what a subscriber has no room for, and nobody is told");
        return NULL;
    }
    struct channel *channel = calloc(1, sizeof *channel);
    channel->spec = *spec;
    snprintf(channel->name, sizeof channel->name, "ipc:///tmp/%s", spec->name);
    return channel;
}

void versus_unmake(void *at)
{
    struct channel *channel = at;
    char path[120];
    for (int i = 0; i < MOST; i++) {
        snprintf(path, sizeof path, "%s-%d", channel->name + strlen("ipc://"), i);
        unlink(path);
    }
    free(channel);
}

void versus_end(void *at)
{
    struct end *end = at;
    if (!end) return;
    for (int i = 0; i < end->sockets; i++) nng_close(end->socket[i]);
    free(end);
}

static struct end *start(struct channel *channel)
{
    struct end *end = calloc(1, sizeof *end);
    end->flags = channel->spec.blocking ? 0 : NNG_FLAG_NONBLOCK;
    return end;
}

static int add(struct channel *channel, struct end *end, int sends, int at)
{
    char address[120];
    int depth = channel->spec.depth < DEEPEST ? (int)channel->spec.depth : DEEPEST;
    nng_socket *socket = &end->socket[end->sockets];
    int error = sends ? nng_push0_open(socket) : nng_pull0_open(socket);
    if (error) return failed("open", error);
    end->sockets++;
    snprintf(address, sizeof address, "%s-%d", channel->name, at);
    /* Not every version and protocol has these; then its buffers are as it makes them. */
    nng_socket_set_int(*socket, sends ? NNG_OPT_SENDBUF : NNG_OPT_RECVBUF, depth);
    nng_socket_set_ms(*socket, NNG_OPT_RECONNMINT, 1);
    nng_socket_set_ms(*socket, NNG_OPT_RECONNMAXT, 10);
    nng_socket_set_size(*socket, NNG_OPT_RECVMAXSZ, 0);
    error = sends ? nng_dial(*socket, address, NULL, NNG_FLAG_NONBLOCK) : nng_listen(*socket, address, NULL, 0);
    return error ? failed(sends ? "nng_dial" : "nng_listen", error) : 0;
}

void *versus_tx(void *at, int index)
{
    struct channel *channel = at;
    struct end *end = start(channel);
    (void)index;
    for (int i = 0; i < channel->spec.receivers; i++)
        if (add(channel, end, 1, i) != 0) return versus_end(end), NULL;
    return end;
}

void *versus_rx(void *at, int index)
{
    struct channel *channel = at;
    struct end *end = start(channel);
    if (add(channel, end, 0, index) != 0) return versus_end(end), NULL;
    return end;
}

int versus_send(void *tx, const void *message, size_t size)
{
    struct end *end = tx;
    /* nng's NONBLOCK sends of a push socket fail until it is connected, as when it is full. */
    int error = nng_send(end->socket[end->next], (void *)message, size, end->flags);
    if (error) return error == NNG_EAGAIN ? 0 : failed("nng_send", error);
    end->next = end->next + 1 == end->sockets ? 0 : end->next + 1;
    return 1;
}

int versus_receive(void *rx, void *message, size_t size)
{
    struct end *end = rx;
    size_t got = size;
    int error = nng_recv(end->socket[0], message, &got, end->flags);
    if (error) return error == NNG_EAGAIN ? 0 : failed("nng_recv", error);
    if (got == size) return 1;
    snprintf(why, sizeof why, "a message of %zu bytes", got);
    return -1;
}
