/* The mailbox' kinds: priorities and types, a rendezvous, unbounded; messages read in place; batches; shutdown. */
#include "check.h"
#include <pthread.h>

static tvn_segment_t *segment;
static tvn_mailbox_t *box;

static tvn_mailbox_t *make(tvn_mailbox_options_t options) {
    segment = fresh_segment();
    is(tvn_mailbox_with(segment, "m", &options, &box), 0);
    return box;
}

static void unmake(void) {
    tvn_mailbox_close(box);
    tvn_segment_close(segment);
}

static tvn_mailbox_options_t options_of(size_t capacity, size_t message_size, uint32_t order) {
    tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
    options.capacity = capacity;
    options.message_size = message_size;
    options.order = order;
    return options;
}

TEST(the_highest_priority_is_received_first_and_types_are_selected) {
    make(options_of(8, 16, TVN_PRIORITY));
    is(tvn_mailbox_send_with(box, "low", 3, 0, 7, TVN_TRY), 0);
    is(tvn_mailbox_send_with(box, "high", 4, TVN_MAX_PRIORITY, 0, TVN_TRY), 0);
    is(tvn_mailbox_send_with(box, "two", 3, 5, 2, TVN_TRY), 0);
    char message[16];
    tvn_received_t received;
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_TYPE, 7, TVN_TRY, &received), 3);
    is(received.mtype, 7);
    is(received.priority, 0);
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_TYPE, 7, TVN_TRY, NULL), -EAGAIN);
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_UP_TO, 9, TVN_TRY, &received), 3);
    holds(memcmp(message, "two", 3) == 0 && received.priority == 5 && received.size == 3);
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_EXCEPT, 7, 20, &received), 4);
    is(received.priority, TVN_MAX_PRIORITY);
    is(tvn_mailbox_receive_selected(box, message, sizeof message, 9, 0, TVN_TRY, NULL), -EINVAL);
    is(tvn_mailbox_send_with(box, "x", 1, TVN_MAX_PRIORITY + 1, 0, TVN_TRY), -EINVAL);
    is(tvn_mailbox_send_with(box, "x", 1, 70000, 0, TVN_TRY), -EINVAL);
    tvn_loan_t loan;
    is(tvn_mailbox_reserve(box, 1, TVN_TRY, &loan), 0);
    is(tvn_mailbox_commit_with(box, &loan, 1, 3, 4), 0);
    tvn_borrowed_t lent;
    is(tvn_mailbox_borrow_selected(box, TVN_SELECT_TYPE, 4, TVN_TRY, &lent), 1);
    is(lent.priority, 3);
    is(tvn_mailbox_release(box, &lent), 0);
    unmake();
}

TEST(first_in_first_out_has_no_priorities) {
    make(options_of(2, 16, TVN_FIFO));
    char message[16];
    is(tvn_mailbox_send_with(box, "x", 1, 1, 0, TVN_TRY), -EINVAL);
    told("first in, first out");
    is(tvn_mailbox_send_with(box, "x", 1, 0, 0, TVN_TRY), 0);
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_TYPE, 1, TVN_TRY, NULL), -EINVAL);
    told("by type");
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_ANY, 0, TVN_TRY, NULL), 1);
    unmake();
}

TEST(a_message_is_read_in_place_and_released_or_given_back) {
    tvn_mailbox_options_t options = options_of(2, 64, TVN_FIFO);
    options.max_deliveries = 2;
    make(options);
    is(tvn_mailbox_send(box, "message", 7, TVN_TRY), 0);
    tvn_borrowed_t lent, again;
    is(tvn_mailbox_borrow(box, TVN_TRY, &lent), 7);
    holds(lent.size == 7 && lent.redelivered == 0 && memcmp(lent.message, "message", 7) == 0);
    is(tvn_mailbox_borrow(box, TVN_TRY, &again), -EAGAIN);
    is(tvn_mailbox_borrow(box, 10, &again), -ETIMEDOUT);
    is(tvn_mailbox_give_back(box, &lent), 0);
    is(tvn_mailbox_give_back(box, &lent), -EPERM);
    is(tvn_mailbox_release(box, &lent), -EPERM);
    is(tvn_mailbox_borrow(box, TVN_FOREVER, &lent), 7);
    is(lent.redelivered, 1);
    is(tvn_mailbox_give_back(box, &lent), 0);
    is(tvn_mailbox_dropped(box), 1);
    is(tvn_mailbox_length(box), 0);
    is(tvn_mailbox_send(box, "", 0, TVN_TRY), 0);
    is(tvn_mailbox_borrow(box, TVN_TRY, &lent), 0);
    lent.index = 77; /* forged: refused, never harmful */
    is(tvn_mailbox_release(box, &lent), -EPERM);
    unmake();
}

TEST(batches_go_and_come) {
    make(options_of(4, 8, TVN_FIFO));
    const char messages[] = "aabbccddeeff";
    is(tvn_mailbox_send_many(box, messages, 2, 6, TVN_TRY), 4);
    is(tvn_mailbox_send_many(box, messages, 2, 1, TVN_TRY), -EAGAIN);
    is(tvn_mailbox_send_many(box, messages, 2, 0, TVN_TRY), 0);
    is(tvn_mailbox_send_many(box, messages, 9, 1, TVN_TRY), -EMSGSIZE);
    char room[24];
    tvn_received_t received[4];
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 4, TVN_TRY), -EMSGSIZE);
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 3, TVN_FOREVER), 3);
    holds(memcmp(room + 8, "bb", 2) == 0 && received[2].size == 2 && memcmp(room + 16, "cc", 2) == 0);
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 3, 1000), 1);
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 3, TVN_TRY), -EAGAIN);
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 3, 10), -ETIMEDOUT);
    is(tvn_mailbox_receive_many(box, room, sizeof room, received, 0, TVN_FOREVER), 0);
    is(tvn_mailbox_send_many(box, NULL, 0, SIZE_MAX, TVN_TRY), -EINVAL);
    is(tvn_mailbox_send_many(box, NULL, 0, (size_t)1 << 40, TVN_TRY), -EINVAL);
    is(tvn_mailbox_send_many(box, NULL, 0, 2, TVN_TRY), 2);
    is(tvn_mailbox_length(box), 2);
    unmake();
}

TEST(after_a_shutdown_senders_are_refused_and_receivers_drain) {
    make(options_of(2, 8, TVN_FIFO));
    char message[8];
    is(tvn_mailbox_send(box, "last", 4, TVN_TRY), 0);
    is(tvn_mailbox_is_shut_down(box), 0);
    is(tvn_mailbox_shutdown(box), 0);
    is(tvn_mailbox_shutdown(box), 0);
    is(tvn_mailbox_is_shut_down(box), 1);
    is(tvn_mailbox_send(box, "x", 1, TVN_FOREVER), -EPIPE);
    told("shut down");
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_FOREVER), 4);
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_FOREVER), -EPIPE);
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_TRY), -EPIPE);
    unmake();
}

static void *receives_one(void *unused) {
    char message[8];
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_FOREVER), 2);
    return unused;
}

TEST(at_a_rendezvous_a_send_returns_when_a_receiver_has_the_message) {
    make(options_of(0, 8, TVN_FIFO));
    char message[8];
    is(tvn_mailbox_capacity(box), 0);
    is(tvn_mailbox_send(box, "hi", 2, TVN_TRY), -EAGAIN);
    is(tvn_mailbox_send(box, "hi", 2, 20), -ETIMEDOUT);
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_TRY), -EAGAIN);
    tvn_loan_t loan;
    is(tvn_mailbox_reserve(box, 2, TVN_TRY, &loan), -EINVAL);
    pthread_t receiver;
    is(pthread_create(&receiver, NULL, receives_one, NULL), 0);
    is(tvn_mailbox_send(box, "hi", 2, TVN_FOREVER), 0);
    is(pthread_join(receiver, NULL), 0);
    unmake();
}

/* Receives one message as an event loop does: waits in a set, and tries. */
static void receives_in_a_set(void *unused) {
    tvn_wait_set_t *set;
    tvn_ready_t ready;
    char message[8];
    is(tvn_wait_set_new(&set), 0);
    is(tvn_wait_set_add_mailbox(set, box, TVN_RECEIVE), 0);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_FOREVER), 1);
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_TRY), 5);
    tvn_wait_set_close(set);
    (void)unused;
}

TEST(at_a_rendezvous_two_sets_meet_with_an_offer) {
    make(options_of(0, 8, TVN_FIFO));
    tvn_wait_set_t *set;
    tvn_offer_t *offer;
    tvn_ready_t ready;
    is(tvn_mailbox_try_offer(box, "hello", 5, &offer), 0);
    is(tvn_wait_set_new(&set), 0);
    is(tvn_wait_set_add_offer(set, offer), 0);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), -EAGAIN);
    is(tvn_offer_is_received(offer), 0);
    pid_t partner = stays_after(receives_in_a_set, NULL);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_FOREVER), 1);
    is(tvn_offer_is_received(offer), 1);
    is(tvn_offer_withdraw(offer), 0);
    kill_it(partner);
    is(tvn_offer_is_received(offer), 1);
    is(tvn_wait_set_remove(set, ready.token), 0);
    tvn_offer_close(offer);
    tvn_wait_set_close(set);
    unmake();
}

static void closes_in_the_child(void *offer) {
    is(tvn_offer_is_received(offer), -TVN_EFORKED);
    told("belongs to the parent");
    is(tvn_offer_withdraw(offer), -TVN_EFORKED);
    tvn_offer_close(offer);
}

TEST(an_offer_is_taken_back_by_who_made_it_and_by_nobody_else) {
    make(options_of(0, 8, TVN_FIFO));
    char message[8];
    tvn_offer_t *offer, *offers[17];
    is(tvn_mailbox_try_offer(box, "a", 1, &offer), 0);
    kill_it(stays_after(closes_in_the_child, offer));
    is(tvn_mailbox_length(box), 1);
    is(tvn_offer_withdraw(offer), 1);
    is(tvn_offer_withdraw(offer), 1);
    is(tvn_offer_is_received(offer), 0);
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_TRY), -EAGAIN);
    tvn_offer_close(offer);
    /* As many as there are places, and a set that waits for one. */
    tvn_wait_set_t *set;
    tvn_ready_t ready;
    is(tvn_wait_set_new(&set), 0);
    is(tvn_wait_set_add_mailbox(set, box, TVN_ROOM), 0);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), 1);
    int count = 0, error;
    while ((error = tvn_mailbox_try_offer(box, "b", 1, &offers[count])) == 0 && count < 16) count++;
    is(error, -EAGAIN);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), -EAGAIN);
    tvn_offer_close(offers[0]);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), 1);
    is(tvn_mailbox_shutdown(box), 0);
    is(tvn_offer_is_received(offers[1]), -EPIPE);
    is(tvn_mailbox_try_offer(box, "c", 1, &offer), -EPIPE);
    for (int i = 1; i < count; i++) tvn_offer_close(offers[i]);
    is(tvn_mailbox_length(box), 0);
    tvn_offer_close(NULL);
    tvn_wait_set_close(set);
    unmake();
}

static void offers_one(void *unused) {
    tvn_offer_t *offer;
    is(tvn_mailbox_try_offer(box, "last", 4, &offer), 0);
    (void)unused;
}

TEST(the_offer_of_a_dead_process_is_received) {
    make(options_of(0, 8, TVN_FIFO));
    char message[8];
    kill_it(stays_after(offers_one, NULL));
    is(tvn_mailbox_receive(box, message, sizeof message, TVN_FOREVER), 4);
    unmake();
}

TEST(an_offer_that_cannot_be_is_refused) {
    make(options_of(0, 8, TVN_FIFO));
    tvn_offer_t *offer = NULL;
    is(tvn_mailbox_try_offer(box, "too large", 9, &offer), -EMSGSIZE);
    is(tvn_mailbox_try_offer(box, "x", 1, NULL), -EINVAL);
    is(tvn_mailbox_try_offer(NULL, "x", 1, &offer), -EINVAL);
    is(tvn_offer_is_received(NULL), -EINVAL);
    is(tvn_offer_withdraw(NULL), -EINVAL);
    is(tvn_wait_set_add_offer(NULL, offer), -EINVAL);
    unmake();
}

TEST(where_there_is_room_nothing_is_offered) {
    make(options_of(1, 8, TVN_FIFO));
    tvn_offer_t *offer = NULL;
    is(tvn_mailbox_try_offer(box, "x", 1, &offer), -EINVAL);
    told("send to it");
    holds(offer == NULL);
    unmake();
}

TEST(an_unbounded_mailbox_refuses_at_its_ceiling) {
    tvn_mailbox_options_t options = options_of(128, 8, TVN_FIFO);
    options.unbounded = 1;
    make(options);
    int64_t sent = 0;
    while (tvn_mailbox_send(box, "x", 1, TVN_FOREVER) == 0) sent++;
    holds(sent >= 64 && sent <= tvn_mailbox_capacity(box));
    is(tvn_mailbox_send(box, "x", 1, TVN_FOREVER), -ENOSPC);
    told("ceiling");
    char message[8];
    while (tvn_mailbox_receive(box, message, sizeof message, TVN_TRY) == 1) sent--;
    is(sent, 0);
    is(tvn_mailbox_send(box, "x", 1, TVN_FOREVER), 0);
    unmake();
}

TEST(options_that_no_mailbox_can_have_are_refused) {
    tvn_mailbox_t *none = NULL;
    segment = fresh_segment();
    tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
    is(tvn_mailbox_with(segment, "m", NULL, &none), -EINVAL);
    is(tvn_mailbox_with(segment, "m", &options, &none), -EINVAL); /* messages of 0 bytes */
    options.message_size = 8;
    options.order = 7;
    is(tvn_mailbox_with(segment, "m", &options, &none), -EINVAL);
    options.order = TVN_PRIORITY;
    is(tvn_mailbox_create_with(segment, "m", &options, &none), -EINVAL); /* a rendezvous by priority */
    options.capacity = 4;
    options.max_deliveries = 65536;
    is(tvn_mailbox_create_with(segment, "m", &options, &none), -EINVAL);
    options.max_deliveries = 0;
    options.size++;
    is(tvn_mailbox_create_with(segment, "m", &options, &none), -EINVAL);
    told("TVN_MAILBOX_OPTIONS");
    options.size--;
    options.type_tag = "d";
    is(tvn_mailbox_create_with(segment, "m", &options, &box), 0);
    is(tvn_mailbox_create_with(segment, "m", &options, &none), -EEXIST);
    options.type_tag = "i";
    is(tvn_mailbox_with(segment, "m", &options, &none), -TVN_EINCOMPATIBLE);
    options.type_tag = "d";
    options.order = TVN_FIFO;
    is(tvn_mailbox_with(segment, "m", &options, &none), -TVN_EINCOMPATIBLE);
    told("priorities");
    unmake();
}

static void borrows(void *lent) {
    is(tvn_mailbox_borrow(box, TVN_TRY, lent), 5);
}

TEST(what_a_dead_process_had_borrowed_is_delivered_again) {
    make(options_of(1, 8, TVN_PRIORITY));
    is(tvn_mailbox_send(box, "again", 5, TVN_TRY), 0);
    tvn_borrowed_t lent;
    pid_t child = stays_after(borrows, &lent);
    is(tvn_mailbox_length(box), 0);
    kill_it(child);
    char message[8];
    tvn_received_t received;
    is(tvn_mailbox_receive_selected(box, message, sizeof message, TVN_SELECT_ANY, 0, TVN_FOREVER, &received), 5);
    is(received.redelivered, 1);
    unmake();
}
