/*
 * How many messages a mailbox holds, and what that means for who sends: none, three, or as many as there are.
 *
 *     capacity                       the whole story, all three capacities
 *     capacity sender CAPACITY       one process of it, which sends ten messages: none, three or unbounded
 *     capacity receiver CAPACITY     the other one, which receives them once the sender has done what it can without
 *
 * Each process may be Rust, C or Python. They share the segment `capacity`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { MESSAGES = 10 };

static tvn_segment_t *segment;
static tvn_mailbox_t *mailbox;
static tvn_semaphore_t *may_receive;

static void must(int64_t result) {
    if (result < 0) tvn_perror("capacity"), exit(1);
}

static void open_objects(const char *name) {
    char receive[32];
    snprintf(receive, sizeof receive, "receive %s", name);
    tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
    options.message_size = 16;
    if (!strcmp(name, "three"))
        options.capacity = 3;
    else if (!strcmp(name, "unbounded"))
        options.unbounded = 1, options.capacity = 1000; /* the ceiling */
    else if (strcmp(name, "none"))
        fprintf(stderr, "there is no capacity %s\n", name), exit(2);
    must(tvn_segment_open_or_create("capacity", TVN_DEFAULT_SIZE, 0600, &segment));
    must(tvn_mailbox_with(segment, name, &options, &mailbox));
    must(tvn_semaphore(segment, receive, 0, &may_receive));
}

/* Who ends without this looks like somebody who was killed. */
static void close_objects(void) {
    tvn_semaphore_close(may_receive);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

static void sender(const char *name) {
    open_objects(name);
    char message = 0;
    int sent;
    while (message < MESSAGES && (sent = tvn_mailbox_send(mailbox, &message, 1, TVN_TRY)) != -EAGAIN) must(sent), message++;
    printf("%s: %d of %d messages sent before anybody receives\n", name, message, MESSAGES);
    must(tvn_semaphore_post(may_receive));
    for (; message < MESSAGES; message++)
        must(tvn_mailbox_send(mailbox, &message, 1, TVN_FOREVER)); /* waits: for room, or for a receiver */
    close_objects();
}

static void receiver(const char *name) {
    open_objects(name);
    must(tvn_semaphore_wait(may_receive, TVN_FOREVER));
    char message[16];
    for (int i = 0; i < MESSAGES; i++) {
        must(tvn_mailbox_receive(mailbox, message, sizeof message, TVN_FOREVER));
        if (message[0] != i) fprintf(stderr, "%s: message %d came as number %d\n", name, message[0], i), exit(1);
    }
    printf("%s: %d of %d messages received in order\n", name, MESSAGES, MESSAGES);
    close_objects();
}

static int story(const char *name) {
    tvn_segment_unlink("capacity");
    fflush(stdout);
    pid_t other = fork();
    if (other == 0) return sender(name), exit(0), 0;
    receiver(name);
    int status;
    waitpid(other, &status, 0);
    tvn_segment_unlink("capacity");
    return status != 0;
}

int main(int argc, char **argv) {
    if (argc == 1) return story("none") || story("three") || story("unbounded");
    if (argc == 3 && !strcmp(argv[1], "sender")) return sender(argv[2]), 0;
    if (argc == 3 && !strcmp(argv[1], "receiver")) return receiver(argv[2]), 0;
    return fprintf(stderr, "usage: capacity [sender CAPACITY | receiver CAPACITY]\n"), 2;
}
