/* ZeroMQ over ipc://: PUSH and PULL; to all receivers XPUB, which blocks instead of dropping, and SUB. A sender has a
 * socket for each receiver and goes round them. */
#include "rival.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define MOST 16

struct channel {
    struct versus_spec spec;
    char name[100];
};

struct end {
    void *context, *socket[MOST];
    int sockets, next, flags;
};

static char why[200], version[40];

static int failed(const char *what)
{
    snprintf(why, sizeof why, "%s: %s", what, zmq_strerror(errno));
    return -1;
}

const char *versus_version(void)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    snprintf(version, sizeof version, "%d.%d.%d", major, minor, patch);
    return version;
}

const char *versus_why(void) { return why; }

void *versus_make(const struct versus_spec *spec)
{
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
    for (int i = 0; i < end->sockets; i++) zmq_close(end->socket[i]);
    zmq_ctx_term(end->context);
    free(end);
}

static struct end *start(struct channel *channel)
{
    struct end *end = calloc(1, sizeof *end);
    end->context = zmq_ctx_new();
    end->flags = channel->spec.blocking ? 0 : ZMQ_DONTWAIT;
    return end;
}

static int add(struct channel *channel, struct end *end, int type, int at, int binds)
{
    char address[120];
    int depth = (int)channel->spec.depth, no_linger = 0, yes = 1;
    void *socket = zmq_socket(end->context, type);
    if (!socket) return failed("zmq_socket");
    end->socket[end->sockets++] = socket;
    zmq_setsockopt(socket, ZMQ_SNDHWM, &depth, sizeof depth);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &depth, sizeof depth);
    zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    if (type == ZMQ_XPUB) zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &yes, sizeof yes);
    if (type == ZMQ_XPUB) zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &yes, sizeof yes);
    if (type == ZMQ_SUB) zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    snprintf(address, sizeof address, "%s-%d", channel->name, at);
    if ((binds ? zmq_bind : zmq_connect)(socket, address) != 0) return failed(binds ? "zmq_bind" : "zmq_connect");
    return 0;
}

void *versus_tx(void *at, int index)
{
    struct channel *channel = at;
    struct end *end = start(channel);
    (void)index;
    if (channel->spec.to_all) {
        if (add(channel, end, ZMQ_XPUB, 0, 1) != 0) return versus_end(end), NULL;
        for (int i = 0; i < channel->spec.receivers; i++) {
            char subscription[8];
            if (zmq_recv(end->socket[0], subscription, sizeof subscription, 0) < 0)
                return failed("zmq_recv of a subscription"), versus_end(end), NULL;
        }
    } else {
        for (int i = 0; i < channel->spec.receivers; i++)
            if (add(channel, end, ZMQ_PUSH, i, 0) != 0) return versus_end(end), NULL;
    }
    return end;
}

void *versus_rx(void *at, int index)
{
    struct channel *channel = at;
    struct end *end = start(channel);
    int all = channel->spec.to_all;
    if (add(channel, end, all ? ZMQ_SUB : ZMQ_PULL, all ? 0 : index, !all) != 0) return versus_end(end), NULL;
    return end;
}

int versus_send(void *tx, const void *message, size_t size)
{
    struct end *end = tx;
    if (zmq_send(end->socket[end->next], message, size, end->flags) < 0)
        return errno == EAGAIN ? 0 : errno == EINTR ? 0 : failed("zmq_send");
    end->next = end->next + 1 == end->sockets ? 0 : end->next + 1;
    return 1;
}

int versus_receive(void *rx, void *message, size_t size)
{
    struct end *end = rx;
    int got = zmq_recv(end->socket[0], message, size, end->flags);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : failed("zmq_recv");
    if ((size_t)got == size) return 1;
    snprintf(why, sizeof why, "a message of %d bytes", got);
    return -1;
}
