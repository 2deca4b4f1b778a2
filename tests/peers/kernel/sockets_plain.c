/* Sockets with libc alone; the roles are told in sockets.rs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 8 };

static void must(int so, const char *what) {
    if (!so) perror(what), exit(1);
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

static int type_of(const char *what) {
    return is(what, "datagram") ? SOCK_DGRAM : is(what, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
}

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
};

/* The address of its text; its size. */
static socklen_t parse(const char *text, union address *address) {
    memset(address, 0, sizeof *address);
    const char *rest = strchr(text, ':') + 1;
    if (!strncmp(text, "unix:", 5)) {
        address->un.sun_family = AF_UNIX;
        strncpy(address->un.sun_path, rest, sizeof address->un.sun_path - 1);
        if (rest[0] == '@') address->un.sun_path[0] = 0;
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(rest) + (rest[0] != '@'));
    }
    char host[32];
    int port;
    must(sscanf(rest, "%31[0-9.]:%d", host, &port) == 2, "an address");
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons((uint16_t)port);
    must(inet_pton(AF_INET, host, &address->in.sin_addr) == 1, "inet_pton");
    return sizeof address->in;
}

/* A bound socket; `text` becomes its address. */
static int bound(const char *where, int type, char *text) {
    union address address;
    socklen_t size = parse(where, &address);
    int fd = socket(address.any.sa_family, type, 0);
    must(fd >= 0 && bind(fd, &address.any, size) == 0, "bind");
    must(type == SOCK_DGRAM || listen(fd, 5) == 0, "listen");
    strcpy(text, where);
    if (address.any.sa_family == AF_INET) {
        must(getsockname(fd, &address.any, &size) == 0, "getsockname");
        sprintf(text, "%.3s:127.0.0.1:%d", where, ntohs(address.in.sin_port));
    }
    return fd;
}

static int connected(const char *where, int type) {
    union address address, none = {.un = {.sun_family = AF_UNIX}};
    socklen_t size = parse(where, &address);
    int fd = socket(address.any.sa_family, type, 0);
    must(fd >= 0, "socket");
    if (type == SOCK_DGRAM && address.any.sa_family == AF_UNIX) /* a name, so that the other can answer */
        must(bind(fd, &none.any, sizeof(sa_family_t)) == 0, "bind to any name");
    must(connect(fd, &address.any, size) == 0, "connect");
    return fd;
}

/* One message; 0 at the end. */
static size_t receive(int fd, int type, uint8_t *buffer) {
    ssize_t got;
    if (type != SOCK_STREAM) {
        must((got = recv(fd, buffer, 64, 0)) >= 0, "recv");
        return (size_t)got;
    }
    uint32_t length;
    must((got = recv(fd, &length, 4, MSG_WAITALL)) == 0 || got == 4, "recv");
    if (got == 0) return 0;
    must(recv(fd, buffer, ntohl(length), MSG_WAITALL) == (ssize_t)ntohl(length), "recv");
    return ntohl(length);
}

static void send_one(int fd, int type, const uint8_t *message, size_t size) {
    uint8_t frame[68];
    uint32_t length = htonl((uint32_t)size);
    memcpy(frame, &length, 4);
    memcpy(frame + 4, message, size);
    size_t head = type == SOCK_STREAM ? 0 : 4;
    must(send(fd, frame + head, size + 4 - head, 0) == (ssize_t)(size + 4 - head), "send");
}

/* Room for one descriptor, aligned. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_fd(int socket, int fd) {
    union control control;
    memset(&control, 0, sizeof control);
    struct iovec byte = {"x", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.header.cmsg_level = SOL_SOCKET, control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    must(sendmsg(socket, &message, 0) == 1, "sendmsg");
}

static int receive_fd(int socket) {
    union control control;
    char byte;
    int fd;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    must(recvmsg(socket, &message, 0) == 1 && message.msg_controllen >= CMSG_LEN(sizeof fd), "recvmsg");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return fd;
}

static void serve(int fd, const char *what, uint64_t n) {
    uint8_t buffer[64];
    if (is(what, "datagram")) {
        for (uint64_t k = 0; k < n; k++) {
            union address from;
            socklen_t size = sizeof from;
            ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, &from.any, &size);
            must(got >= 0 && sendto(fd, buffer, (size_t)got, 0, &from.any, size) == got, "recvfrom and sendto");
        }
        return;
    }
    int client = accept(fd, NULL, NULL);
    must(client >= 0, "accept");
    if (is(what, "pass")) {
        int passed = receive_fd(client);
        must(write(passed, "passed", 6) == 6, "write");
        close(passed);
        return;
    }
    for (uint64_t k = 0; k < n; k++) send_one(client, type_of(what), buffer, receive(client, type_of(what), buffer));
    must(receive(client, type_of(what), buffer) == 0, "the end");
    close(client);
}

static void ask(const char *what, uint64_t n) {
    uint8_t wanted[64], buffer[64];
    int fd = connected(strchr(what, '=') + 1, type_of(what));
    if (is(what, "pass")) {
        int ends[2];
        char text[8];
        must(pipe(ends) == 0, "pipe");
        send_fd(fd, ends[1]);
        close(ends[1]);
        must(read(ends[0], text, sizeof text) == 6 && !memcmp(text, "passed", 6), "what the server writes");
    }
    for (uint64_t k = 0; k < n && !is(what, "pass"); k++) {
        size_t size = make(k, wanted);
        send_one(fd, type_of(what), wanted, size);
        must(receive(fd, type_of(what), buffer) == size && !memcmp(wanted, buffer, size), "the message that comes back");
    }
    close(fd);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *address = argv[2];
    char text[200];
    if (!strcmp(role, "serve") && argc <= 3 + MOST) {
        int fds[MOST];
        for (int i = 3; i < argc; i++) {
            const char *where = strchr(argv[i], '=') + 1;
            fds[i - 3] = bound(where, type_of(argv[i]), text);
            printf("%.*s=%s\n", (int)(where - argv[i] - 1), argv[i], text);
            fflush(stdout);
        }
        for (int i = 3; i < argc; i++) serve(fds[i - 3], argv[i], strtoull(argv[2], NULL, 10));
        say("ok");
    } else if (!strcmp(role, "ask")) {
        for (int i = 3; i < argc; i++) ask(argv[i], strtoull(argv[2], NULL, 10));
        say("ok");
    } else if (!strcmp(role, "hold")) {
        int fd = bound(address, SOCK_STREAM, text);
        say(text);
        must(accept(fd, NULL, NULL) >= 0, "accept");
        stay();
    } else if (!strcmp(role, "wait")) {
        int fd = connected(address, SOCK_STREAM);
        say("waiting");
        must(recv(fd, text, sizeof text, 0) == 0 || errno == ECONNRESET, "the end");
        say("ended");
    } else if (!strcmp(role, "half")) {
        int fd = connected(address, SOCK_STREAM);
        must(send(fd, "\0\0\0\x64half", 8, 0) == 8, "send");
        stay();
    } else {
        return 2;
    }
    return 0;
}
