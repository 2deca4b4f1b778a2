/* The topic: one publisher, many subscribers, three policies. */
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <stdint.h>

static tvn_topic_t *topic_of(tvn_segment_t *segment, uint32_t policy, size_t capacity, uint32_t evict_after_ms) {
    tvn_topic_options_t options = TVN_TOPIC_OPTIONS;
    options.capacity = capacity;
    options.message_size = 64;
    options.subscribers = 2;
    options.policy = policy;
    options.evict_after_ms = evict_after_ms;
    tvn_topic_t *topic = NULL;
    is(tvn_topic(segment, "t", &options, &topic), 0);
    is(tvn_topic_capacity(topic), capacity);
    is(tvn_topic_message_size(topic), 64);
    return topic;
}

static tvn_publisher_t *publisher_of(tvn_topic_t *topic) {
    tvn_publisher_t *publisher = NULL;
    is(tvn_topic_publisher(topic, &publisher), 0);
    return publisher;
}

static tvn_subscriber_t *subscriber_of(tvn_topic_t *topic, uint32_t start) {
    tvn_subscriber_t *subscriber = NULL;
    is(tvn_topic_subscriber(topic, start, &subscriber), 0);
    return subscriber;
}

static void next_is(tvn_subscriber_t *subscriber, char letter) {
    char buffer[64];
    is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_TRY), 1);
    is(buffer[0], letter);
}

TEST(each_subscriber_receives_every_message) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_BLOCK, 3, 0);
    tvn_publisher_t *publisher = publisher_of(topic), *second = NULL;
    is(tvn_topic_publisher(topic, &second), -EBUSY);
    told("this process");
    tvn_subscriber_t *a = subscriber_of(topic, TVN_LATEST), *b = subscriber_of(topic, TVN_OLDEST), *c = NULL;
    is(tvn_topic_subscriber(topic, TVN_LATEST, &c), -ENOSPC);
    told("2 subscribers");
    for (const char *letter = "xyz"; *letter; letter++) is(tvn_publisher_publish(publisher, letter, 1, TVN_TRY), 1);
    is(tvn_publisher_publish(publisher, "!", 1, TVN_TRY), -EAGAIN);
    is(tvn_publisher_publish(publisher, "!", 1, 5), -ETIMEDOUT);
    next_is(a, 'x');
    next_is(a, 'y');
    const void *message;
    is(tvn_subscriber_peek(b, TVN_TRY, &message), 1);
    is(*(const char *)message, 'x');
    is(tvn_subscriber_release(b), 0);
    is(tvn_subscriber_release(b), -EINVAL);
    void *room;
    is(tvn_publisher_reserve(publisher, 64, TVN_FOREVER, &room), 1);
    is((uintptr_t)room % 64, 0);
    memset(room, 'w', 64);
    is(tvn_publisher_publish(publisher, "!", 1, TVN_TRY), -EBUSY);
    is(tvn_publisher_commit(publisher, 65), -EMSGSIZE);
    is(tvn_publisher_commit(publisher, 1), 0);
    next_is(b, 'y');
    char small[1];
    is(tvn_publisher_publish(publisher, "too long for a letter", 21, TVN_TRY), 1);
    next_is(a, 'z');
    next_is(a, 'w');
    is(tvn_subscriber_receive(a, small, sizeof small, TVN_TRY), -EMSGSIZE);
    told("21 bytes");
    is(tvn_topic_is_shut_down(topic), 0);
    is(tvn_publisher_shutdown(publisher), 0);
    is(tvn_topic_is_shut_down(topic), 1);
    is(tvn_publisher_publish(publisher, "!", 1, TVN_TRY), -EPIPE);
    char buffer[64];
    is(tvn_subscriber_receive(a, buffer, sizeof buffer, TVN_FOREVER), 21);
    is(tvn_subscriber_receive(a, buffer, sizeof buffer, TVN_FOREVER), -EPIPE);
    told("shut down");
    is(tvn_topic_published(topic), 5);
    tvn_subscriber_close(a);
    tvn_subscriber_close(b);
    tvn_publisher_close(publisher);
    is(tvn_topic_publisher(topic, &publisher), -EPIPE);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(what_was_overwritten_is_told_once_and_counted) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_DROP_OLDEST, 1, 0);
    tvn_publisher_t *publisher = publisher_of(topic);
    tvn_subscriber_t *subscriber = subscriber_of(topic, TVN_LATEST);
    for (char letter = 'a'; letter <= 'e'; letter++) is(tvn_publisher_publish(publisher, &letter, 1, TVN_FOREVER), 1);
    char buffer[64];
    is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_TRY), -TVN_ELOST);
    told("4 messages");
    is(tvn_subscriber_missed(subscriber), 4);
    const void *copy;
    is(tvn_subscriber_peek(subscriber, TVN_TRY, &copy), 1);
    is(*(const char *)copy, 'e');
    is(tvn_subscriber_keep(subscriber), 0);
    next_is(subscriber, 'e');
    is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_TRY), -EAGAIN);
    tvn_subscriber_close(subscriber);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(batches_go_as_far_as_the_policy_lets_them) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_DROP_NEWEST, 3, 0);
    tvn_publisher_t *publisher = publisher_of(topic);
    tvn_subscriber_t *subscriber = subscriber_of(topic, TVN_LATEST);
    size_t sizes[] = {1, 2, 3, 4}, got[4];
    is(tvn_publisher_publish_many(publisher, "abbcccdddd", sizes, 4, TVN_FOREVER), 3);
    is(tvn_topic_dropped(topic), 1);
    is(tvn_publisher_publish(publisher, "x", 1, TVN_FOREVER), 0);
    void *room = NULL;
    is(tvn_publisher_reserve(publisher, 1, TVN_FOREVER, &room), 0);
    holds(room == NULL);
    char buffer[64];
    is(tvn_subscriber_receive_many(subscriber, buffer, sizeof buffer, got, 4, TVN_FOREVER), 3);
    holds(!memcmp(buffer, "abbccc", 6) && got[0] == 1 && got[1] == 2 && got[2] == 3);
    is(tvn_subscriber_receive_many(subscriber, buffer, sizeof buffer, got, 4, TVN_TRY), -EAGAIN);
    is(tvn_publisher_publish(publisher, "y", 1, TVN_FOREVER), 1);
    is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_FOREVER), -TVN_ELOST);
    is(tvn_subscriber_missed(subscriber), 3);
    next_is(subscriber, 'y');
    tvn_subscriber_close(subscriber);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(a_stuck_subscriber_is_put_out) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_BLOCK, 1, 2);
    tvn_publisher_t *publisher = publisher_of(topic);
    tvn_subscriber_t *stuck = subscriber_of(topic, TVN_LATEST);
    is(tvn_publisher_publish(publisher, "a", 1, TVN_FOREVER), 1);
    is(tvn_publisher_publish(publisher, "b", 1, TVN_FOREVER), 1);
    char buffer[64];
    is(tvn_subscriber_receive(stuck, buffer, sizeof buffer, TVN_FOREVER), -TVN_EEVICTED);
    told("subscribe anew");
    tvn_subscriber_close(stuck);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(a_dead_publisher_is_told_of_and_a_dead_subscriber_forgotten) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_BLOCK, 1, 0);
    tvn_subscriber_t *subscriber = subscriber_of(topic, TVN_LATEST);
    pid_t child = fork();
    if (child == 0) {
        subscriber_of(topic, TVN_LATEST);
        is(tvn_publisher_publish(publisher_of(topic), "a", 1, TVN_FOREVER), 1);
        char buffer[64];
        is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_FOREVER), -TVN_EFORKED);
        _exit(0);
    }
    is(exit_of(child), 0);
    next_is(subscriber, 'a');
    char buffer[64];
    is(tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_FOREVER), -ECONNRESET);
    tvn_publisher_t *publisher = publisher_of(topic);
    is(tvn_publisher_publish(publisher, "b", 1, TVN_FOREVER), 1);
    next_is(subscriber, 'b');
    tvn_subscriber_close(subscriber);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(a_set_waits_for_both_ends) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_t *topic = topic_of(segment, TVN_BLOCK, 1, 0);
    tvn_publisher_t *publisher = publisher_of(topic);
    tvn_subscriber_t *subscriber = subscriber_of(topic, TVN_LATEST);
    tvn_wait_set_t *set = NULL;
    is(tvn_wait_set_new(&set), 0);
    int64_t receives = tvn_wait_set_add_subscriber(set, subscriber), sends = tvn_wait_set_add_publisher(set, publisher);
    holds(receives >= 0 && sends >= 0);
    tvn_ready_t ready[2];
    is(tvn_wait_set_wait(set, ready, 2, TVN_FOREVER), 1);
    is(ready[0].token, sends);
    is(tvn_publisher_publish(publisher, "a", 1, TVN_FOREVER), 1);
    is(tvn_wait_set_wait(set, ready, 2, TVN_FOREVER), 1);
    is(ready[0].token, receives);
    tvn_wait_set_close(set);
    tvn_subscriber_close(subscriber);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
    tvn_segment_close(segment);
}

TEST(bad_options_are_refused_with_a_sentence) {
    tvn_segment_t *segment = fresh_segment();
    tvn_topic_options_t options = TVN_TOPIC_OPTIONS;
    tvn_topic_t *topic = NULL;
    is(tvn_topic(segment, "t", NULL, &topic), -EINVAL);
    told("TVN_TOPIC_OPTIONS");
    is(tvn_topic(segment, "t", &options, &topic), -EINVAL);
    told("capacity 0");
    options.capacity = 4, options.message_size = 8, options.policy = 7;
    is(tvn_topic(segment, "t", &options, &topic), -EINVAL);
    told("TVN_DROP_NEWEST");
    options.policy = TVN_DROP_OLDEST, options.type_tag = "no layout";
    is(tvn_topic(segment, "t", &options, &topic), -EINVAL);
    options.type_tag = "T{i:id:f:value:}";
    is(tvn_topic_create(segment, "t", &options, &topic), 0);
    is(tvn_topic_create(segment, "t", &options, &topic), -EEXIST);
    tvn_topic_close(topic);
    options.type_tag = "T{i:id:d:value:}";
    is(tvn_topic(segment, "t", &options, &topic), -TVN_EINCOMPATIBLE);
    options.type_tag = NULL, options.capacity = 5;
    is(tvn_topic(segment, "t", &options, &topic), -TVN_EINCOMPATIBLE);
    told("drop oldest");
    is(tvn_topic_open(segment, "t", &topic), 0);
    tvn_subscriber_t *subscriber = NULL;
    is(tvn_topic_subscriber(topic, 2, &subscriber), -EINVAL);
    tvn_topic_close(topic);
    is(tvn_topic_open(segment, "u", &topic), -ENOENT);
    tvn_segment_close(segment);
}
