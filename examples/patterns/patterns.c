/*
 * The four ways in which senders and receivers can be connected.
 *
 *     patterns                             the whole story: one_to_one, many_to_one, one_to_many, many_to_many
 *     patterns sender PATTERN NUMBER       one process of it, which sends 100 messages
 *     patterns receiver PATTERN NUMBER     another one, which receives until there is nothing more to come
 *
 * Each process may be Rust, C or Python. Where one sends to many, all receive everything: a topic. Otherwise each
 * message is received by one: a mailbox. They share the segment `patterns`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { MESSAGES = 100, SIZE = 32 };

static const struct pattern {
    const char *name;
    int senders, receivers;
} patterns[] = {{"one_to_one", 1, 1}, {"many_to_one", 3, 1}, {"one_to_many", 1, 3}, {"many_to_many", 3, 3}};

static tvn_segment_t *segment;

static void must(int64_t result) {
    if (result < 0) tvn_perror("patterns"), exit(1);
}

/* A name of an object of this pattern: WHAT and the pattern's own. */
static const char *named(const char *what, const struct pattern *pattern) {
    static char name[64];
    snprintf(name, sizeof name, "%s %s", what, pattern->name);
    return name;
}

static tvn_semaphore_t *received_so_far(const struct pattern *pattern) {
    tvn_semaphore_t *counted;
    must(tvn_semaphore(segment, named("received", pattern), 0, &counted));
    return counted;
}

/* Nobody begins before everybody is there. */
static void begin(const struct pattern *pattern) {
    tvn_barrier_t *everybody;
    must(tvn_barrier(segment, named("begin", pattern), (uint32_t)(pattern->senders + pattern->receivers), &everybody));
    must(tvn_barrier_wait(everybody, TVN_FOREVER));
    tvn_barrier_close(everybody);
}

static tvn_mailbox_t *open_mailbox(const struct pattern *pattern) {
    tvn_mailbox_t *mailbox;
    must(tvn_mailbox(segment, pattern->name, 10, SIZE, &mailbox));
    return mailbox;
}

static tvn_topic_t *open_topic(const struct pattern *pattern) {
    tvn_topic_options_t options = TVN_TOPIC_OPTIONS;
    options.capacity = 10, options.message_size = SIZE;
    tvn_topic_t *topic;
    must(tvn_topic(segment, pattern->name, &options, &topic));
    return topic;
}

static size_t message(char *text, int number, int i) {
    return (size_t)snprintf(text, SIZE, "%d %d", number, i);
}

static void send_to_many(const struct pattern *pattern, int number) {
    char text[SIZE];
    tvn_topic_t *topic = open_topic(pattern);
    tvn_publisher_t *publisher;
    must(tvn_topic_publisher(topic, &publisher));
    begin(pattern);
    for (int i = 0; i < MESSAGES; i++) must(tvn_publisher_publish(publisher, text, message(text, number, i), TVN_FOREVER));
    must(tvn_publisher_shutdown(publisher));
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
}

static void send_to_one(const struct pattern *pattern, int number) {
    char text[SIZE];
    tvn_mailbox_t *mailbox = open_mailbox(pattern);
    tvn_barrier_t *end;
    must(tvn_barrier(segment, named("end", pattern), (uint32_t)pattern->senders, &end));
    begin(pattern);
    for (int i = 0; i < MESSAGES; i++) must(tvn_mailbox_send(mailbox, text, message(text, number, i), TVN_FOREVER));
    int last = tvn_barrier_wait(end, TVN_FOREVER); /* 1 for one of the senders */
    must(last);
    if (last) must(tvn_mailbox_shutdown(mailbox));
    tvn_barrier_close(end);
    tvn_mailbox_close(mailbox);
}

static int64_t receive(tvn_mailbox_t *mailbox, tvn_subscriber_t *subscriber, char *text) {
    if (mailbox) return tvn_mailbox_receive(mailbox, text, SIZE, TVN_FOREVER);
    return tvn_subscriber_receive(subscriber, text, SIZE, TVN_FOREVER);
}

static void receiver(const struct pattern *pattern, int number) {
    tvn_mailbox_t *mailbox = NULL;
    tvn_topic_t *topic = NULL;
    tvn_subscriber_t *subscriber = NULL;
    if (!strcmp(pattern->name, "one_to_many")) {
        topic = open_topic(pattern);
        must(tvn_topic_subscriber(topic, TVN_LATEST, &subscriber));
    } else {
        mailbox = open_mailbox(pattern);
    }
    begin(pattern);
    char text[SIZE + 1];
    int64_t size;
    int received = 0, next[3] = {0};
    while ((size = receive(mailbox, subscriber, text)) >= 0) {
        text[size] = 0;
        int of, i;
        if (sscanf(text, "%d %d", &of, &i) != 2 || of < 0 || of > 2 || i < next[of])
            fprintf(stderr, "the message \"%s\" came late\n", text), exit(1);
        next[of] = i + 1, received++;
    }
    if (size != -EPIPE) must(size); /* it is shut down, and empty */
    printf("%s: receiver %d received %d messages\n", pattern->name, number, received);
    tvn_semaphore_t *counted = received_so_far(pattern);
    if (received > 0) must(tvn_semaphore_post_n(counted, (uint32_t)received));
    tvn_semaphore_close(counted);
    tvn_subscriber_close(subscriber);
    tvn_topic_close(topic);
    tvn_mailbox_close(mailbox);
}

static void role(const char *what, const struct pattern *pattern, int number) {
    must(tvn_segment_open_or_create("patterns", TVN_DEFAULT_SIZE, 0600, &segment));
    if (!strcmp(what, "receiver"))
        receiver(pattern, number);
    else if (!strcmp(pattern->name, "one_to_many"))
        send_to_many(pattern, number);
    else
        send_to_one(pattern, number);
    tvn_segment_close(segment);
}

static void start(const char *what, const struct pattern *pattern, int number) {
    fflush(stdout);
    if (fork() == 0) role(what, pattern, number), exit(0);
}

static int story(void) {
    int failed = 0;
    for (const struct pattern *pattern = patterns; pattern < patterns + 4; pattern++) {
        tvn_segment_unlink("patterns");
        for (int i = 0; i < pattern->receivers; i++) start("receiver", pattern, i);
        for (int i = 0; i < pattern->senders; i++) start("sender", pattern, i);
        for (int i = 0, status; i < pattern->senders + pattern->receivers; i++) wait(&status), failed |= status != 0;
        must(tvn_segment_open_or_create("patterns", TVN_DEFAULT_SIZE, 0600, &segment));
        tvn_semaphore_t *counted = received_so_far(pattern);
        printf("%s: %d messages sent, %d received\n", pattern->name, pattern->senders * MESSAGES,
               (int)tvn_semaphore_value(counted));
        tvn_semaphore_close(counted);
        tvn_segment_close(segment);
    }
    tvn_segment_unlink("patterns");
    return failed;
}

int main(int argc, char **argv) {
    if (argc == 1) return story();
    for (const struct pattern *pattern = patterns; argc == 4 && pattern < patterns + 4; pattern++)
        if (!strcmp(pattern->name, argv[2])) return role(argv[1], pattern, atoi(argv[3])), 0;
    return fprintf(stderr, "usage: patterns [sender PATTERN NUMBER | receiver PATTERN NUMBER]\n"), 2;
}
