/*
 * The other process, in C:  peer ROLE SEGMENT OBJECT N [EXTRA]
 *
 * The same roles as peer.rs and peer.py. Objects are opened and must exist; `ready` is printed once they are
 * open. Exit 0 when the role is done, 1 with a reason on stderr.
 *
 *   send receive     N messages through a mailbox, copied       reserve peek   N records through a ring, in place
 *   write read       N records through a ring, copied           post wait      N permits of a semaphore
 *   lock             N times: lock, add 1 to the 8-byte number in file EXTRA, unlock
 *   lock-once        locks within 10 s: prints `ok` or, after recovering, `owner_died`
 *   hold             locks, prints `holding`, pauses for ever
 *   claim            reserves in a mailbox, prints `holding`, pauses for ever
 *
 * Message number k: k in 8 bytes, little-endian, then k % 40 bytes of which byte i is (k * 7 + i) & 0xff.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <triveni.h>
#include <unistd.h>

enum { MESSAGE_MAX = 8 + 39, BUFFER = 65536 };

static uint64_t n;
static const char *extra;

static void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("peer: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

/* A result that is not negative; otherwise the story of the failure ends the program. */
static int64_t good(int64_t result) {
    if (result < 0) fail("%s: %s", tvn_strerror((int)result), tvn_last_error());
    return result;
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static void pause_for_ever(void) {
    say("holding");
    for (;;) pause();
}

static size_t make(uint64_t k, uint8_t *message) {
    size_t rest = k % 40;
    for (int i = 0; i < 8; i++) message[i] = (uint8_t)(k >> 8 * i);
    for (size_t i = 0; i < rest; i++) message[8 + i] = (uint8_t)(k * 7 + i);
    return 8 + rest;
}

static void check(uint64_t k, const uint8_t *message, size_t size) {
    uint8_t wanted[MESSAGE_MAX];
    size_t wanted_size = make(k, wanted);
    if (size != wanted_size) fail("message %llu has %zu bytes, not %zu", (unsigned long long)k, size, wanted_size);
    for (size_t i = 0; i < size; i++)
        if (message[i] != wanted[i])
            fail("message %llu: byte %zu is %d, not %d", (unsigned long long)k, i, message[i], wanted[i]);
}

static void done(void) {
    printf("ok %llu\n", (unsigned long long)n);
}

static void send_all(tvn_mailbox_t *mailbox) {
    uint8_t message[MESSAGE_MAX];
    for (uint64_t k = 0; k < n; k++) {
        size_t size = make(k, message);
        good(tvn_mailbox_send(mailbox, message, size, TVN_FOREVER));
    }
}

static void receive_all(tvn_mailbox_t *mailbox) {
    static uint8_t message[BUFFER];
    for (uint64_t k = 0; k < n; k++)
        check(k, message, (size_t)good(tvn_mailbox_receive(mailbox, message, sizeof message, TVN_FOREVER)));
    done();
}

static void claim(tvn_mailbox_t *mailbox) {
    tvn_loan_t loan;
    good(tvn_mailbox_reserve(mailbox, (size_t)good(tvn_mailbox_message_size(mailbox)), TVN_FOREVER, &loan));
    pause_for_ever();
}

static void write_all(tvn_producer_t *producer) {
    uint8_t record[MESSAGE_MAX];
    for (uint64_t k = 0; k < n; k++) {
        size_t size = make(k, record);
        good(tvn_producer_write(producer, record, size, TVN_FOREVER));
    }
}

static void reserve_all(tvn_producer_t *producer) {
    for (uint64_t k = 0; k < n; k++) {
        void *room;
        good(tvn_producer_reserve(producer, MESSAGE_MAX, TVN_FOREVER, &room));
        good(tvn_producer_commit(producer, make(k, room)));
    }
}

static void read_all(tvn_consumer_t *consumer) {
    static uint8_t record[BUFFER];
    for (uint64_t k = 0; k < n; k++)
        check(k, record, (size_t)good(tvn_consumer_read(consumer, record, sizeof record, TVN_FOREVER)));
    done();
}

static void peek_all(tvn_consumer_t *consumer) {
    for (uint64_t k = 0; k < n; k++) {
        const void *record;
        int64_t size = good(tvn_consumer_peek(consumer, TVN_FOREVER, &record));
        check(k, record, (size_t)size);
        good(tvn_consumer_release(consumer));
    }
    done();
}

static void post_all(tvn_semaphore_t *semaphore) {
    for (uint64_t k = 0; k < n; k++) good(tvn_semaphore_post(semaphore));
}

static void wait_all(tvn_semaphore_t *semaphore) {
    for (uint64_t k = 0; k < n; k++) good(tvn_semaphore_wait(semaphore, TVN_FOREVER));
    done();
}

static void lock_all(tvn_mutex_t *mutex) {
    int file = extra ? open(extra, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) fail("lock needs a file with an 8-byte number as EXTRA");
    for (uint64_t k = 0; k < n; k++) {
        uint64_t number;
        good(tvn_mutex_lock(mutex, TVN_FOREVER));
        if (pread(file, &number, sizeof number, 0) != sizeof number) fail("%s: shorter than 8 bytes", extra);
        number++;
        if (pwrite(file, &number, sizeof number, 0) != sizeof number) fail("%s: cannot be written", extra);
        good(tvn_mutex_unlock(mutex));
    }
    done();
}

static void lock_once(tvn_mutex_t *mutex) {
    int locked = tvn_mutex_lock(mutex, 10000);
    if (locked == -EOWNERDEAD)
        good(tvn_mutex_recover(mutex));
    else
        good(locked);
    good(tvn_mutex_unlock(mutex));
    say(locked ? "owner_died" : "ok");
}

static void hold(tvn_mutex_t *mutex) {
    good(tvn_mutex_lock(mutex, TVN_FOREVER));
    pause_for_ever();
}

/* A role works on one kind of object; the other four are NULL. */
static const struct role {
    const char *name;
    void (*mailbox)(tvn_mailbox_t *);
    void (*producer)(tvn_producer_t *);
    void (*consumer)(tvn_consumer_t *);
    void (*semaphore)(tvn_semaphore_t *);
    void (*mutex)(tvn_mutex_t *);
} roles[] = {
    {.name = "send", .mailbox = send_all},       {.name = "receive", .mailbox = receive_all},
    {.name = "claim", .mailbox = claim},         {.name = "write", .producer = write_all},
    {.name = "reserve", .producer = reserve_all}, {.name = "read", .consumer = read_all},
    {.name = "peek", .consumer = peek_all},      {.name = "post", .semaphore = post_all},
    {.name = "wait", .semaphore = wait_all},     {.name = "lock", .mutex = lock_all},
    {.name = "lock-once", .mutex = lock_once},   {.name = "hold", .mutex = hold},
};

static void run(const struct role *role, tvn_segment_t *segment, const char *object) {
    if (role->mailbox) {
        tvn_mailbox_t *mailbox;
        good(tvn_mailbox_open(segment, object, &mailbox));
        say("ready");
        role->mailbox(mailbox);
        tvn_mailbox_close(mailbox);
    } else if (role->semaphore) {
        tvn_semaphore_t *semaphore;
        good(tvn_semaphore_open(segment, object, &semaphore));
        say("ready");
        role->semaphore(semaphore);
        tvn_semaphore_close(semaphore);
    } else if (role->mutex) {
        tvn_mutex_t *mutex;
        good(tvn_mutex_open(segment, object, &mutex));
        say("ready");
        role->mutex(mutex);
        tvn_mutex_close(mutex);
    } else {
        tvn_ring_t *ring;
        tvn_producer_t *producer = NULL;
        tvn_consumer_t *consumer = NULL;
        good(tvn_ring_open(segment, object, &ring));
        good(role->producer ? tvn_ring_producer(ring, &producer) : tvn_ring_consumer(ring, &consumer));
        say("ready");
        if (producer) role->producer(producer);
        if (consumer) role->consumer(consumer);
        tvn_producer_close(producer);
        tvn_consumer_close(consumer);
        tvn_ring_close(ring);
    }
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 6) fail("usage: peer ROLE SEGMENT OBJECT N [EXTRA]");
    char *end;
    n = strtoull(argv[4], &end, 10);
    if (*end || end == argv[4]) fail("%s is no number of rounds", argv[4]);
    extra = argv[5];
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i].name, argv[1])) {
            tvn_segment_t *segment;
            good(tvn_segment_open(argv[2], &segment));
            run(&roles[i], segment, argv[3]);
            tvn_segment_close(segment);
            return 0;
        }
    fail("no role is called %s", argv[1]);
}
