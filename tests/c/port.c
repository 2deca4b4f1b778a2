/* Ports, rights, port sets and processes by name, and what they refuse. */
#include "check.h"
#include <sys/wait.h>

enum { SIZE = 1024 };
static char buffer[SIZE];

TEST(eight_messages_fit_and_there_is_one_receiver) {
    tvn_segment_t *segment = fresh_segment();
    tvn_port_t *port, *sender, *other;
    is(tvn_port(segment, "p", NULL, &port), 0);
    is(tvn_port(segment, "p", NULL, &other), -EBUSY);
    told("right to receive");
    is(tvn_port_create(segment, "p", NULL, &other), -EEXIST);
    is(tvn_port_open(segment, "none", &other), -ENOENT);
    is(tvn_port_open(segment, "p", &sender), 0);
    is(tvn_port_right(port), TVN_RIGHT_RECEIVE);
    is(tvn_port_right(sender), TVN_RIGHT_SEND);
    is(tvn_port_capacity(port), 8);
    is(tvn_port_message_size(port), SIZE);
    for (int i = 0; i < 8; i++) is(tvn_port_send(sender, &i, sizeof i, TVN_TRY), 0);
    is(tvn_port_send(sender, "", 1, TVN_TRY), -EAGAIN);
    is(tvn_port_send(sender, "", 1, 5), -ETIMEDOUT);
    is(tvn_port_length(port), 8);
    is(tvn_port_send(sender, buffer, SIZE + 1, TVN_TRY), -EMSGSIZE);
    is(tvn_port_receive(port, buffer, SIZE - 1, NULL, TVN_TRY), -EMSGSIZE);
    is(tvn_port_receive(sender, buffer, SIZE, NULL, TVN_TRY), -EPERM);
    is(tvn_port_send(port, "", 1, TVN_TRY), -EPERM);
    for (int i = 0; i < 8; i++) {
        int got;
        is(tvn_port_receive(port, buffer, SIZE, NULL, TVN_FOREVER), sizeof got);
        memcpy(&got, buffer, sizeof got);
        is(got, i);
    }
    is(tvn_port_receive(port, buffer, SIZE, NULL, TVN_TRY), -EAGAIN);
    tvn_port_close(port);
    is(tvn_port_send(sender, "", 1, TVN_FOREVER), -ECONNRESET);
    told("nobody can receive");
    tvn_port_close(sender);
    tvn_segment_close(segment);
}

TEST(a_right_that_was_given_away_is_refused_and_works_where_it_went) {
    tvn_segment_t *segment = fresh_segment();
    tvn_port_t *a, *b, *to_a, *to_b;
    tvn_delivery_t came;
    is(tvn_port(segment, "a", NULL, &a), 0);
    is(tvn_port(segment, "b", NULL, &b), 0);
    is(tvn_port_open(segment, "a", &to_a), 0);
    is(tvn_port_send_right(b, &to_b), 0);
    const tvn_port_t *rights[] = {b, to_b}, *twice[] = {b, b}, *own[] = {a};
    is(tvn_port_send_rights(to_a, "x", 1, twice, 2, TVN_FOREVER), -EPERM);
    is(tvn_port_send_rights(to_a, "x", 1, own, 1, TVN_FOREVER), -EINVAL);
    is(tvn_port_send_rights(to_a, "x", 1, NULL, 1, TVN_FOREVER), -EINVAL);
    is(tvn_port_send_rights(to_a, "x", 1, rights, 2, TVN_FOREVER), 0);
    is(tvn_port_receive(b, buffer, SIZE, NULL, TVN_TRY), -EPERM);
    told("given away");
    is(tvn_port_send(to_b, "x", 1, TVN_TRY), -EPERM);
    is(tvn_port_receive(a, buffer, SIZE, &came, TVN_FOREVER), 1);
    is(came.count, 2);
    is(came.lost, 0);
    is(came.event, 0);
    is(came.reply == NULL, 1);
    is(tvn_port_send(came.rights[1], "yz", 2, TVN_FOREVER), 0);
    is(tvn_port_receive(came.rights[0], buffer, SIZE, NULL, TVN_FOREVER), 2);
    tvn_port_close(b);
    tvn_port_close(to_b);
    is(tvn_port_send(came.rights[1], "yz", 2, TVN_FOREVER), 0); /* the old handles took nothing with them */
    is(tvn_port_deallocate(came.rights[0]), 0);
    is(tvn_port_deallocate(came.rights[0]), -EPERM);
    tvn_port_close(came.rights[0]);
    tvn_port_close(came.rights[1]);
    tvn_port_close(a);
    tvn_port_close(to_a);
    tvn_segment_close(segment);
}

TEST(a_call_waits_for_an_answer_and_ends_with_its_server) {
    tvn_segment_t *segment = fresh_segment();
    tvn_port_t *client, *server;
    is(tvn_port(segment, "s", NULL, &server), 0);
    is(tvn_port_open(segment, "s", &client), 0);
    is(tvn_port_call(client, "x", 1, buffer, SIZE, NULL, 5), -ETIMEDOUT);
    tvn_port_close(server);
    pid_t child = fork();
    if (child == 0) {
        tvn_delivery_t came;
        tvn_port_t *mine;
        if (tvn_port(segment, "s", NULL, &mine) != 0) _exit(1);
        if (tvn_port_receive(mine, buffer, SIZE, &came, TVN_FOREVER) != 1 || came.reply || came.lost != 1) _exit(2);
        if (tvn_port_receive(mine, buffer, SIZE, &came, TVN_FOREVER) != 3 || !came.reply) _exit(3);
        if (tvn_port_send(came.reply, "tea", 3, TVN_FOREVER) != 0) _exit(4);
        if (tvn_port_send(came.reply, "tea", 3, TVN_FOREVER) != -EPERM) _exit(5);
        if (tvn_port_receive(mine, buffer, SIZE, &came, TVN_FOREVER) != 3 || !came.reply) _exit(6);
        _exit(0); /* with the right to answer in its hands */
    }
    int64_t size;
    while ((size = tvn_port_call(client, "get", 3, buffer, SIZE, NULL, TVN_FOREVER)) == -ECONNRESET) {
    } /* not there yet */
    is(size, 3);
    is(memcmp(buffer, "tea", 3), 0);
    is(tvn_port_call(client, "get", 3, buffer, SIZE, NULL, TVN_FOREVER), -ECONNRESET);
    int status;
    is(waitpid(child, &status, 0), child);
    is(status, 0);
    int sent; /* who sends asks once in a millisecond, who finds it full at once */
    while ((sent = tvn_port_send(client, "x", 1, TVN_FOREVER)) == 0) {
    }
    is(sent, -ECONNRESET);
    tvn_port_close(client);
    tvn_segment_close(segment);
}

TEST(a_port_tells_what_was_asked_for) {
    tvn_segment_t *segment = fresh_segment();
    tvn_port_t *port, *notify, *sender;
    tvn_delivery_t came;
    tvn_port_options_t one = {.capacity = 1};
    is(tvn_port(segment, "p", &one, &port), 0);
    is(tvn_port(segment, "n", NULL, &notify), 0);
    is(tvn_port_open(segment, "p", &sender), 0);
    is(tvn_port_request_notification(port, TVN_PORT_NO_SENDERS, notify), 0);
    is(tvn_port_request_notification(sender, TVN_PORT_NO_SENDERS, notify), -EPERM);
    is(tvn_port_request_notification(sender, TVN_PORT_DEAD_NAME, notify), 0);
    is(tvn_port_request_notification(sender, 9, notify), -EINVAL);
    is(tvn_port_send_pending(sender, "1", 1, notify), 1);
    is(tvn_port_send_pending(sender, "2", 1, notify), 0);
    is(tvn_port_send_pending(sender, "3", 1, notify), -EBUSY);
    is(tvn_port_receive(notify, buffer, SIZE, &came, TVN_TRY), -EAGAIN);
    for (int i = 0; i < 2; i++) is(tvn_port_receive(port, buffer, SIZE, NULL, TVN_FOREVER), 1);
    is(tvn_port_receive(notify, buffer, SIZE, &came, TVN_FOREVER), 0);
    is(came.event, TVN_PORT_ACCEPTED);
    is(strcmp(came.port, "p"), 0);
    tvn_port_close(sender);
    is(tvn_port_receive(notify, buffer, SIZE, &came, TVN_FOREVER), 0);
    is(came.event, TVN_PORT_NO_SENDERS);
    tvn_port_close(port);
    is(tvn_port_receive(notify, buffer, SIZE, &came, TVN_FOREVER), 0);
    is(came.event, TVN_PORT_DEAD_NAME);
    tvn_port_close(notify);
    tvn_segment_close(segment);
}

TEST(a_set_receives_from_its_members_in_turn) {
    tvn_segment_t *segment = fresh_segment();
    tvn_port_t *a, *b, *to_a, *to_b, *from;
    tvn_port_set_t *set;
    is(tvn_port(segment, "a", NULL, &a), 0);
    is(tvn_port(segment, "b", NULL, &b), 0);
    is(tvn_port_open(segment, "a", &to_a), 0);
    is(tvn_port_open(segment, "b", &to_b), 0);
    is(tvn_port_set_new(&set), 0);
    is(tvn_port_set_receive(set, buffer, SIZE, &from, NULL, TVN_FOREVER), -EINVAL);
    is(tvn_port_set_add(set, a), 0);
    is(tvn_port_set_add(set, a), -EBUSY);
    is(tvn_port_set_add(set, to_b), -EPERM);
    is(tvn_port_set_add(set, b), 0);
    is(tvn_port_receive(a, buffer, SIZE, NULL, TVN_TRY), -EBUSY);
    for (int i = 0; i < 3; i++) {
        is(tvn_port_send(to_a, "a", 1, TVN_TRY), 0);
        is(tvn_port_send(to_b, "bb", 2, TVN_TRY), 0);
    }
    for (int i = 0; i < 3; i++) {
        is(tvn_port_set_receive(set, buffer, SIZE, &from, NULL, TVN_FOREVER), 1);
        is(from == a, 1);
        is(tvn_port_set_receive(set, buffer, SIZE, &from, NULL, TVN_FOREVER), 2);
        is(from == b, 1);
    }
    is(tvn_port_set_receive(set, buffer, SIZE, &from, NULL, TVN_TRY), -EAGAIN);
    is(tvn_port_set_receive(set, buffer, SIZE, &from, NULL, 5), -ETIMEDOUT);
    is(tvn_port_set_remove(set, a), 0);
    is(tvn_port_set_remove(set, a), -ENOENT);
    is(tvn_port_receive(a, buffer, SIZE, NULL, TVN_TRY), -EAGAIN);
    tvn_port_set_close(set);
    tvn_wait_set_t *waits;
    is(tvn_wait_set_new(&waits), 0);
    is(tvn_wait_set_add_port(waits, a, TVN_SEND), -EINVAL);
    is(tvn_wait_set_add_port(waits, a, TVN_RECEIVE), 0);
    is(tvn_wait_set_add_port(waits, to_a, TVN_SEND), 1);
    tvn_wait_set_close(waits);
    tvn_port_close(a);
    tvn_port_close(b);
    tvn_port_close(to_a);
    tvn_port_close(to_b);
    tvn_segment_close(segment);
}

TEST(processes_send_to_each_other_by_name) {
    tvn_segment_t *segment = fresh_segment();
    tvn_process_t *p, *q, *other;
    char sender[64];
    is(tvn_process(segment, "p", NULL, &p), 0);
    is(tvn_process(segment, "p", NULL, &other), -EBUSY);
    is(tvn_process_send(p, "q", "early", 5, TVN_FOREVER), 0);
    is(tvn_process(segment, "q", NULL, &q), 0);
    is(tvn_process_send(q, "q", "self", 4, TVN_FOREVER), 0);
    is(tvn_process_receive_from(q, "q", buffer, SIZE, NULL, TVN_FOREVER), 4);
    is(tvn_process_receive(q, sender, sizeof sender, buffer, SIZE, NULL, TVN_FOREVER), 5);
    is(strcmp(sender, "p"), 0);
    is(tvn_process_receive_from(q, "p", buffer, SIZE, NULL, TVN_TRY), -EAGAIN);
    tvn_process_close(p);
    is(tvn_process_receive_from(q, "p", buffer, SIZE, NULL, TVN_FOREVER), -ECONNRESET);
    is(tvn_process_send(q, "p", "x", 1, TVN_FOREVER), -ECONNRESET);
    tvn_process_close(q);
    tvn_segment_close(segment);
}

TEST(null_is_refused) {
    tvn_port_t *port;
    is(tvn_port(NULL, "p", NULL, &port), -EINVAL);
    is(tvn_port_send(NULL, "", 0, TVN_TRY), -EINVAL);
    is(tvn_port_right(NULL), -EINVAL);
    is(tvn_port_set_new(NULL), -EINVAL);
    tvn_port_close(NULL);
    tvn_port_set_close(NULL);
    tvn_process_close(NULL);
}
