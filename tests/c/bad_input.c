/* What is refused is refused with a number, and with a sentence: the object, the value, and what to do. */
#include "check.h"

typedef struct {
    double x;
} number_t;

typedef struct {
    int64_t x;
} other_t;

#define TELLS(call, number, name, value, remedy)              \
    do {                                                      \
        is(call, number);                                     \
        told(name), told(value), told(remedy);                \
    } while (0)

TEST(what_is_larger_than_its_slot) {
    tvn_segment_t *segment = fresh_segment();
    char large[300] = {0};
    for (int kind = 0; kind < 4; kind++) {
        tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
        tvn_mailbox_t *box;
        char name[8] = {'m', (char)('0' + kind), 0};
        options.capacity = kind == 0 ? 0 : 8, options.message_size = 8;
        options.order = kind == 1 ? TVN_PRIORITY : TVN_FIFO, options.unbounded = kind == 2;
        is(tvn_mailbox_with(segment, name, &options, &box), 0);
        TELLS(tvn_mailbox_send(box, large, 9, TVN_FOREVER), -EMSGSIZE, name, "9 bytes", "larger message size");
        tvn_mailbox_close(box);
    }
    tvn_ring_t *ring, *packed;
    tvn_producer_t *producer;
    is(tvn_ring(segment, "ring", 256, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    TELLS(tvn_producer_write(producer, large, 200, TVN_FOREVER), -EMSGSIZE, "/ring\"", "200 bytes", "make the ring larger");
    tvn_producer_close(producer);
    is(tvn_ring_of(segment, "packed", 8, 8, &packed), 0);
    is(tvn_ring_producer(packed, &producer), 0);
    TELLS(tvn_producer_write(producer, large, 9, TVN_FOREVER), -EMSGSIZE, "/packed\"", "9 bytes", "ask for less");
    TELLS(tvn_producer_write(producer, large, 7, TVN_FOREVER), -EINVAL, "/packed\"", "7 bytes", "give whole ones");
    tvn_producer_close(producer);
    tvn_ring_close(ring);
    tvn_ring_close(packed);
    tvn_topic_options_t of_topic = TVN_TOPIC_OPTIONS;
    tvn_topic_t *topic;
    tvn_publisher_t *publisher;
    of_topic.capacity = 2, of_topic.message_size = 8;
    is(tvn_topic(segment, "topic", &of_topic, &topic), 0);
    is(tvn_topic_publisher(topic, &publisher), 0);
    TELLS(tvn_publisher_publish(publisher, large, 9, TVN_FOREVER), -EMSGSIZE, "/topic\"", "9 bytes", "larger message size");
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_service_options_t of_service = TVN_SERVICE_OPTIONS;
    tvn_service_t *service;
    of_service.request_size = of_service.response_size = 8;
    is(tvn_service(segment, "service", &of_service, &service), 0);
    TELLS(tvn_service_call(service, large, 9, large, 8, TVN_FOREVER), -EMSGSIZE, "/service\"", "9 bytes", "larger request size");
    tvn_service_close(service);
    tvn_port_options_t small = {0, 8, 0};
    tvn_port_t *port, *right;
    is(tvn_port(segment, "port", &small, &port), 0);
    is(tvn_port_open(segment, "port", &right), 0);
    TELLS(tvn_port_send(right, large, 9, TVN_FOREVER), -EMSGSIZE, "/port\"", "9 bytes", "larger message size");
    tvn_port_close(right);
    tvn_port_close(port);
    tvn_cell_t *cell;
    is(tvn_cell(segment, "cell", 8, NULL, 2, &cell), 0);
    TELLS(tvn_cell_store(cell, large, 9, TVN_FOREVER), -EMSGSIZE, "/cell\"", "9 bytes", "give exactly as many");
    tvn_cell_close(cell);
    tvn_segment_close(segment);
}

TEST(another_type) {
    tvn_segment_t *segment = fresh_segment();
    const char *tags[] = {TVN_TYPE(number_t, x), TVN_TYPE(other_t, x)};
    for (int i = 0; i < 2; i++) {
        int wanted = i ? -TVN_EINCOMPATIBLE : 0;
        tvn_mailbox_options_t of_mailbox = TVN_MAILBOX_OPTIONS;
        tvn_ring_options_t of_ring = TVN_RING_OPTIONS;
        tvn_topic_options_t of_topic = TVN_TOPIC_OPTIONS;
        tvn_mailbox_t *box = NULL;
        tvn_ring_t *ring = NULL;
        tvn_topic_t *topic = NULL;
        tvn_cell_t *cell = NULL;
        of_mailbox.capacity = of_topic.capacity = 2, of_mailbox.message_size = of_topic.message_size = 8;
        of_ring.ring_size = 256, of_ring.type_tag = of_mailbox.type_tag = of_topic.type_tag = tags[i];
        is(tvn_mailbox_with(segment, "m", &of_mailbox, &box), wanted);
        if (i) told("/m "), told("f64"), told("i64"), told("remove it first");
        is(tvn_ring_with(segment, "r", &of_ring, &ring), wanted);
        if (i) told("/r "), told("f64"), told("i64"), told("remove it first");
        is(tvn_topic(segment, "t", &of_topic, &topic), wanted);
        if (i) told("/t "), told("f64"), told("i64"), told("remove it first");
        is(tvn_cell(segment, "c", 8, tags[i], 2, &cell), wanted);
        if (i) told("/c "), told("f64"), told("i64"), told("remove it first");
        tvn_mailbox_close(box);
        tvn_ring_close(ring);
        tvn_topic_close(topic);
        tvn_cell_close(cell);
    }
    tvn_segment_close(segment);
}

TEST(a_second_one_where_there_is_one) {
    tvn_segment_t *segment = fresh_segment();
    char mine[32];
    snprintf(mine, sizeof mine, "process %d", (int)getpid());
    tvn_ring_t *ring;
    tvn_producer_t *producer, *second;
    tvn_consumer_t *consumer, *another;
    is(tvn_ring(segment, "ring", 256, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    TELLS(tvn_ring_producer(ring, &second), -EBUSY, "/ring\"", "this process", "wait until it lets go or ends");
    TELLS(tvn_ring_consumer(ring, &another), -EBUSY, "/ring\"", "this process", "wait until it lets go or ends");
    tvn_port_t *port, *two;
    tvn_process_t *anna, *other;
    is(tvn_port(segment, "port", NULL, &port), 0);
    TELLS(tvn_port(segment, "port", NULL, &two), -EBUSY, "/port\"", mine, "give it away in a message");
    is(tvn_process(segment, "anna", NULL, &anna), 0);
    TELLS(tvn_process(segment, "anna", NULL, &other), -EBUSY, "\"anna\" is taken", mine, "choose another name");
    tvn_topic_options_t options = TVN_TOPIC_OPTIONS;
    tvn_topic_t *topic;
    tvn_subscriber_t *subscriber, *beyond;
    options.capacity = 2, options.message_size = 8, options.subscribers = 1;
    is(tvn_topic(segment, "topic", &options, &topic), 0);
    is(tvn_topic_subscriber(topic, TVN_LATEST, &subscriber), 0);
    TELLS(tvn_topic_subscriber(topic, TVN_LATEST, &beyond), -ENOSPC, "/topic\"", "1 subscriber", "create it for more");
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_port_close(port);
    tvn_process_close(anna);
    tvn_subscriber_close(subscriber);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(what_is_kept_too_long) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *box;
    tvn_loan_t loan;
    is(tvn_mailbox(segment, "box", 1, 8, &box), 0);
    is(tvn_mailbox_reserve(box, 8, TVN_TRY, &loan), 0);
    TELLS(tvn_mailbox_send(box, "x", 1, 10), -ETIMEDOUT, "/box", "deadline", "passed");
    is(tvn_mailbox_commit(box, &loan, 1), 0);
    is(tvn_mailbox_commit(box, &loan, 1), -EPERM);
    told("/box\"");
    tvn_ring_t *ring;
    tvn_producer_t *producer;
    void *room;
    is(tvn_ring(segment, "ring", 256, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_producer_reserve(producer, 8, TVN_TRY, &room), 0);
    is(tvn_producer_write(producer, "x", 1, TVN_TRY), -EBUSY);
    told("/ring\"");
    tvn_producer_close(producer);
    tvn_ring_close(ring);
    tvn_mailbox_close(box);
    tvn_segment_close(segment);
}

static void take_both(void *segment) {
    tvn_ring_t *full, *empty;
    tvn_consumer_t *consumer;
    tvn_producer_t *producer;
    is(tvn_ring(segment, "full", 256, &full), 0);
    is(tvn_ring(segment, "empty", 256, &empty), 0);
    is(tvn_ring_consumer(full, &consumer), 0);
    is(tvn_ring_producer(empty, &producer), 0);
}

TEST(full_for_good_and_nobody_there) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
    tvn_mailbox_t *box, *meeting;
    char text[64];
    options.capacity = 8, options.message_size = 8, options.unbounded = 1;
    is(tvn_mailbox_with(segment, "box", &options, &box), 0);
    while (tvn_mailbox_length(box) < tvn_mailbox_capacity(box)) is(tvn_mailbox_send(box, "x", 1, TVN_TRY), 0);
    snprintf(text, sizeof text, "ceiling of %d", (int)tvn_mailbox_capacity(box));
    TELLS(tvn_mailbox_send(box, "x", 1, TVN_FOREVER), -ENOSPC, "/box\"", text, "receive some");
    is(tvn_mailbox(segment, "meeting", 0, 8, &meeting), 0);
    kill_it(stays_after(take_both, segment));
    is(tvn_mailbox_send(meeting, "x", 1, TVN_TRY), -EAGAIN);
    TELLS(tvn_mailbox_send(meeting, "x", 1, 10), -ETIMEDOUT, "/meeting", "deadline", "passed");
    tvn_ring_t *full, *empty;
    tvn_producer_t *producer;
    tvn_consumer_t *consumer;
    is(tvn_ring(segment, "full", 256, &full), 0);
    is(tvn_ring(segment, "empty", 256, &empty), 0);
    is(tvn_ring_producer(full, &producer), 0);
    is(tvn_ring_consumer(empty, &consumer), 0);
    int written = 0;
    for (int i = 0; i < 9 && written == 0; i++) written = tvn_producer_write(producer, text, 50, 30000);
    TELLS(written, -ECONNRESET, "/full\"", "is dead", "start a new consumer");
    TELLS(tvn_consumer_read(consumer, text, sizeof text, 30000), -ECONNRESET, "/empty\"", "is dead", "start a new producer");
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(full);
    tvn_ring_close(empty);
    tvn_mailbox_close(box);
    tvn_mailbox_close(meeting);
    tvn_segment_close(segment);
}
