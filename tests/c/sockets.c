/* Sockets as C programs see them. */
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const uint8_t *bytes(const char *text) {
    return (const uint8_t *)text;
}

/* An abstract name that nobody has. */
static const char *name(const char *what) {
    static char text[128];
    snprintf(text, sizeof text, "unix:@%s-%s", fresh, what);
    return text;
}

/* Both ends of a connection over TCP. */
static void connected(tvn_stream_t **client, tvn_stream_t **server) {
    char address[TVN_SOCKET_ADDRESS_TEXT_MAX];
    tvn_listener_t *listener;
    is(tvn_listener_bind("tcp:127.0.0.1:0", 5, 0600, 0, &listener), 0);
    holds(tvn_listener_local_address(listener, address, sizeof address) > 14);
    is(tvn_stream_connect(address, 30000, client), 0);
    is(tvn_listener_accept(listener, 30000, server), 0);
    tvn_listener_close(listener);
}

TEST(a_message_goes_over_tcp_and_the_end_is_told) {
    tvn_stream_t *client, *server;
    char address[TVN_SOCKET_ADDRESS_TEXT_MAX], small[4];
    uint8_t buffer[16];
    connected(&client, &server);
    is(tvn_stream_send(client, bytes("hello"), 5, TVN_FOREVER), 0);
    is(tvn_stream_message_size(server, 30000), 5);
    is(tvn_stream_receive(server, buffer, 3, TVN_FOREVER), -EMSGSIZE);
    is(tvn_stream_receive(server, buffer, sizeof buffer, TVN_FOREVER), 5);
    holds(!memcmp(buffer, "hello", 5));
    is(tvn_stream_receive(server, buffer, sizeof buffer, TVN_TRY), -EAGAIN);
    is(tvn_stream_read(server, buffer, sizeof buffer, TVN_TRY), -EAGAIN);
    is(tvn_stream_read(server, buffer, sizeof buffer, 20), -ETIMEDOUT);
    is(tvn_stream_receive_exact(server, buffer, 1, 20), -ETIMEDOUT);
    is(tvn_stream_send_all(server, bytes("bytes"), 5, TVN_FOREVER), 0);
    is(tvn_stream_receive_exact(client, buffer, 5, 30000), 0);
    is(tvn_stream_write(server, bytes("x"), 1, TVN_TRY), 1);
    is(tvn_stream_read(client, buffer, sizeof buffer, 30000), 1);
    is(tvn_stream_set_nodelay(client, true), 0);
    holds(tvn_stream_set_send_buffer(client, 8192) >= 8192 && tvn_stream_send_buffer(client) >= 8192);
    holds(tvn_stream_set_receive_buffer(client, 8192) >= 8192 && tvn_stream_receive_buffer(client) >= 8192);
    is(tvn_stream_unsent(client), 0);
    is(tvn_stream_flush(client, TVN_FOREVER), 0);
    holds(tvn_stream_peer_address(server, address, sizeof address) > 14);
    is(tvn_stream_local_address(server, small, sizeof small), -EMSGSIZE);
    is(fcntl(tvn_stream_fd(client), F_GETFD), FD_CLOEXEC);
    is(tvn_stream_shutdown(client, SHUT_WR), 0);
    is(tvn_stream_shutdown(client, 9), -EINVAL);
    is(tvn_stream_receive(server, buffer, sizeof buffer, 30000), -EPIPE);
    is(tvn_stream_read(server, buffer, sizeof buffer, 30000), 0);
    is(tvn_stream_send(client, bytes("x"), 1, TVN_FOREVER), -EPIPE); /* and no SIGPIPE */
    tvn_stream_close(client);
    tvn_stream_close(server);
}

TEST(what_is_kept_of_a_message_is_flushed_as_there_is_room) {
    tvn_stream_t *from, *to;
    static uint8_t big[4 << 20], got[4 << 20];
    is(tvn_stream_pair(&from, &to), 0);
    is(tvn_stream_send(from, big, sizeof big, 5), -ETIMEDOUT);
    is(tvn_stream_flush(from, TVN_TRY), -EAGAIN);
    is(tvn_stream_flush(from, 5), -ETIMEDOUT);
    while (tvn_stream_flush(from, TVN_TRY) == -EAGAIN) is(tvn_stream_receive(to, got, sizeof got, TVN_TRY), -EAGAIN);
    is(tvn_stream_unsent(from), 0);
    is(tvn_stream_receive(to, got, sizeof got, TVN_FOREVER), sizeof got);
    tvn_stream_close(from);
    tvn_stream_close(to);
}

TEST(connecting_to_nobody_and_to_a_full_queue) {
    tvn_listener_t *listener;
    tvn_stream_t *stream, *kept[8];
    int n = 0, answer;
    is(tvn_stream_connect(name("nobody"), TVN_FOREVER, &stream), -ECONNREFUSED);
    told("no stream socket listens by this name");
    is(tvn_stream_connect("unix:/no/such/socket", TVN_FOREVER, &stream), -ENOENT);
    is(tvn_listener_bind(name("full"), 0, 0600, 0, &listener), 0);
    while ((answer = tvn_stream_connect(name("full"), TVN_TRY, &stream)) == 0 && n < 8) kept[n++] = stream;
    is(answer, -EAGAIN);
    double begin = seconds();
    is(tvn_stream_connect(name("full"), 30, &stream), -ETIMEDOUT);
    holds(seconds() - begin >= 0.03);
    told("queue");
    while (n > 0) tvn_stream_close(kept[--n]);
    tvn_listener_close(listener);
}

TEST(a_socket_file_is_owned_and_a_stale_one_replaced) {
    char path[100], address[120];
    snprintf(path, sizeof path, "/tmp/%s", fresh);
    snprintf(address, sizeof address, "unix:%s", path);
    tvn_listener_t *listener, *second;
    is(tvn_listener_bind(address, -1, 0600, TVN_OWNED, &listener), 0);
    struct stat facts;
    holds(stat(path, &facts) == 0 && (facts.st_mode & 0777) == 0600);
    is(tvn_listener_bind(address, 5, 0600, TVN_OWNED | TVN_REPLACE_STALE, &second), -EADDRINUSE);
    told("a live socket has this name");
    is(tvn_listener_bind(address, 5, 0600, 4, &second), -EINVAL);
    tvn_listener_close(listener);
    holds(stat(path, &facts) == -1);
    is(tvn_listener_bind(address, 5, 0600, 0, &listener), 0);
    tvn_listener_close(listener);
    is(tvn_listener_bind(address, 5, 0600, 0, &listener), -EADDRINUSE);
    told("a dead server left this file");
    is(tvn_listener_bind(address, 5, 0600, TVN_OWNED | TVN_REPLACE_STALE, &listener), 0);
    tvn_listener_close(listener);
}

TEST(datagrams_are_answered_and_stay_when_the_buffer_is_small) {
    tvn_datagram_t *server, *client;
    char address[TVN_SOCKET_ADDRESS_TEXT_MAX], text[TVN_SOCKET_ADDRESS_TEXT_MAX];
    uint8_t buffer[16];
    const char *const places[] = {"udp:127.0.0.1:0", "unix:"};
    for (int i = 0; i < 2; i++) {
        tvn_socket_address_t from, same;
        is(tvn_datagram_bind(places[i], 0600, 0, &server), 0);
        holds(tvn_datagram_local_address(server, address, sizeof address) > 5);
        is(tvn_datagram_connect(address, &client), 0);
        is(tvn_datagram_send(client, bytes("request"), 7, TVN_FOREVER), 0);
        is(tvn_datagram_receive_from(server, buffer, 3, &from, 30000), -EMSGSIZE);
        is(tvn_datagram_message_size(server, TVN_TRY), 7);
        is(tvn_datagram_receive_from(server, buffer, sizeof buffer, &from, 30000), 7);
        holds(tvn_datagram_local_address(client, text, sizeof text) > 5);
        is(tvn_socket_address(text, &same), 0);
        holds(!memcmp(&from, &same, sizeof same));
        is(tvn_socket_address_text(&from, address, sizeof address), strlen(text));
        holds(!strcmp(address, text));
        is(tvn_datagram_send_to(server, bytes("ACK"), 3, &from, TVN_FOREVER), 0);
        is(tvn_datagram_receive(client, buffer, sizeof buffer, 30000), 3);
        is(tvn_datagram_receive(client, buffer, sizeof buffer, TVN_TRY), -EAGAIN);
        is(tvn_datagram_receive(client, buffer, sizeof buffer, 20), -ETIMEDOUT);
        is(tvn_datagram_set_peer(server, &from), 0);
        is(tvn_datagram_send(server, bytes("x"), 1, TVN_TRY), 0);
        tvn_datagram_close(client);
        tvn_datagram_close(server);
    }
    tvn_socket_address_t longest; /* a path fills all of sun_path */
    memset(text, 'x', 5 + 109);
    memcpy(text, "unix:", 5);
    text[5 + 109] = 0;
    is(tvn_socket_address(text, &longest), -EINVAL);
    told("at most 108");
    text[5 + 108] = 0;
    is(tvn_socket_address(text, &longest), 0);
    is(tvn_socket_address_text(&longest, address, sizeof address), 5 + 108);
    holds(!strcmp(text, address));
    tvn_socket_address_t garbage;
    memset(&garbage, 0xee, sizeof garbage);
    is(tvn_socket_address_text(&garbage, text, sizeof text), -EINVAL);
    is(tvn_socket_address("tcp:example.org:80", &garbage), -EINVAL);
    told("getent");
}

TEST(seqpackets_tell_an_empty_message_from_the_end) {
    tvn_seqpacket_listener_t *listener;
    tvn_seqpacket_t *client, *server;
    tvn_peer_credentials_t peer;
    uint8_t buffer[16];
    is(tvn_seqpacket_listener_bind(name("packets"), 5, 0600, 0, &listener), 0);
    is(tvn_seqpacket_listener_accept(listener, 20, &server), -ETIMEDOUT);
    is(tvn_seqpacket_connect(name("packets"), 30000, &client), 0);
    is(tvn_seqpacket_listener_accept(listener, TVN_FOREVER, &server), 0);
    is(tvn_seqpacket_send(client, bytes("one"), 3, TVN_FOREVER), 0);
    is(tvn_seqpacket_send(client, NULL, 0, TVN_TRY), 0);
    tvn_seqpacket_close(client);
    is(tvn_seqpacket_receive(server, buffer, sizeof buffer, TVN_FOREVER), 3);
    is(tvn_seqpacket_receive(server, buffer, sizeof buffer, TVN_FOREVER), 0);
    is(tvn_seqpacket_receive(server, buffer, sizeof buffer, TVN_FOREVER), -EPIPE);
    is(tvn_seqpacket_peer_credentials(server, &peer), 0);
    holds(peer.pid == (uint32_t)getpid() && peer.uid == geteuid() && peer.gid == getegid());
    tvn_seqpacket_close(server);
    tvn_seqpacket_listener_close(listener);
}

TEST(descriptors_are_passed_and_more_than_asked_for_are_closed) {
    tvn_stream_t *a, *b;
    int ends[2], many[20], got[20];
    uint8_t byte[4];
    size_t count;
    bool cut;
    is(tvn_stream_pair(&a, &b), 0);
    holds(pipe(ends) == 0);
    for (int i = 0; i < 20; i++) many[i] = ends[1];
    is(tvn_stream_write_descriptors(a, bytes("x"), 1, many, 20, TVN_FOREVER), 1);
    close(ends[1]);
    is(tvn_stream_read_descriptors(b, byte, sizeof byte, got, 2, &count, &cut, 30000), 1);
    holds(count == 2 && cut);
    holds(fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    holds(write(got[0], "!", 1) == 1);
    close(got[0]);
    close(got[1]);
    holds(read(ends[0], byte, 4) == 1 && read(ends[0], byte, 4) == 0); /* to the end: nobody has the others */
    is(tvn_stream_write_descriptors(a, bytes(""), 0, ends, 1, TVN_FOREVER), -EINVAL);
    is(tvn_stream_write_descriptors(a, bytes("x"), 1, many, TVN_DESCRIPTORS_MAX + 1, TVN_FOREVER), -EMSGSIZE);
    is(tvn_stream_write_descriptors(a, bytes("x"), 1, NULL, 1, TVN_FOREVER), -EINVAL);
    int none = -1;
    is(tvn_stream_write_descriptors(a, bytes("x"), 1, &none, 1, TVN_FOREVER), -EINVAL);
    is(tvn_stream_read_descriptors(b, byte, 4, NULL, 0, NULL, NULL, TVN_TRY), -EAGAIN);
    tvn_stream_close(a);
    tvn_stream_close(b);
    tvn_datagram_t *c, *d;
    is(tvn_datagram_pair(&c, &d), 0);
    is(tvn_datagram_send_descriptors(c, bytes("x"), 1, ends, 1, TVN_FOREVER), 0);
    is(tvn_datagram_receive_descriptors(d, byte, 4, got, 20, &count, &cut, 30000), 1);
    holds(count == 1 && !cut);
    close(got[0]);
    tvn_datagram_close(c);
    tvn_datagram_close(d);
    tvn_seqpacket_t *e, *f;
    is(tvn_seqpacket_pair(&e, &f), 0);
    is(tvn_seqpacket_send_descriptors(e, bytes("x"), 1, ends, 1, TVN_FOREVER), 0);
    is(tvn_seqpacket_receive_descriptors(f, byte, 4, got, 20, &count, NULL, 30000), 1);
    holds(count == 1);
    close(got[0]);
    tvn_seqpacket_close(e);
    tvn_seqpacket_close(f);
}

TEST(a_parent_and_its_child_talk_over_a_pair) {
    tvn_stream_t *a, *b;
    uint8_t buffer[16];
    is(tvn_stream_pair(&a, &b), 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_stream_close(a);
        is(tvn_stream_receive(b, buffer, sizeof buffer, TVN_FOREVER), 4);
        is(tvn_stream_send(b, bytes("pong"), 4, TVN_FOREVER), 0);
        _exit(0);
    }
    tvn_stream_close(b);
    is(tvn_stream_send(a, bytes("ping"), 4, TVN_FOREVER), 0);
    is(tvn_stream_receive(a, buffer, sizeof buffer, 30000), 4);
    is(exit_of(child), 0);
    is(tvn_stream_receive(a, buffer, sizeof buffer, 30000), -EPIPE);
    tvn_stream_close(a);
}

TEST(a_signal_ends_a_wait_only_if_asked_to) {
    tvn_stream_t *a, *b;
    uint8_t byte;
    is(tvn_stream_pair(&a, &b), 0);
    timer_t often = signal_often();
    double begin = seconds();
    is(tvn_stream_read(a, &byte, 1, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.05 && signals > 3);
    tvn_interruptible(true);
    is(tvn_stream_read(a, &byte, 1, 30000), -EINTR);
    is(tvn_stream_read(a, &byte, 1, TVN_FOREVER), -EINTR);
    timer_delete(often);
    tvn_stream_close(a);
    tvn_stream_close(b);
}

TEST(null_and_what_is_no_descriptor_are_refused) {
    tvn_stream_t *stream;
    tvn_datagram_t *datagram;
    uint8_t byte;
    is(tvn_listener_bind(NULL, 5, 0600, 0, NULL), -EINVAL);
    is(tvn_stream_connect(NULL, TVN_TRY, &stream), -EINVAL);
    is(tvn_stream_pair(&stream, NULL), -EINVAL);
    is(tvn_stream_from_fd(-1, &stream), -EINVAL);
    is(tvn_stream_read(NULL, &byte, 1, TVN_TRY), -EINVAL);
    is(tvn_datagram_send_to(NULL, &byte, 1, NULL, TVN_TRY), -EINVAL);
    is(tvn_datagram_bind("unix:", 0600, 0, &datagram), 0);
    is(tvn_datagram_send_to(datagram, &byte, 1, NULL, TVN_TRY), -EINVAL);
    is(tvn_datagram_send(datagram, &byte, 1, TVN_TRY), -ENOTCONN);
    tvn_datagram_close(datagram);
    tvn_stream_close(NULL);
    tvn_datagram_close(NULL);
    tvn_seqpacket_close(NULL);
    tvn_listener_close(NULL);
    tvn_seqpacket_listener_close(NULL);
}
