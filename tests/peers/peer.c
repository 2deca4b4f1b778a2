/*
 * The other process, in C:  peer ROLE SEGMENT OBJECT N [EXTRA]
 *
 * The same roles as peer.rs and peer.py. Objects are opened and must exist; `ready` is printed once they are
 * open. Exit 0 when the role is done, 1 with a reason on stderr.
 *
 *   send receive     N messages through a mailbox, copied       reserve peek   N records through a ring, in place
 *   publish          N messages to a topic, every other one in place, then shuts it down
 *   subscribe        checks order and bytes, every other message in place; prints `ok N MISSED` at the end, N being all
 *                    that it received or was told it missed
 *   call serve       N calls of a service, every other request and answer in place, answered with the request; both
 *                    check order and bytes; the client shuts it down in the end
 *   ask answer       N calls through a port, answered with the message; both check order and bytes
 *   store load       N values of a cell, each loaded one checked
 *   fill scan        an array written as a whole N times, and snapshots until the last one is seen
 *   write read       N records through a ring, copied           post wait      N permits of a semaphore
 *   lock             N times: lock, add 1 to the 8-byte number in file EXTRA, unlock
 *   lock-once        locks within 10 s: prints `ok` or, after recovering, `owner_died`
 *   hold             locks, prints `holding`, pauses for ever
 *   claim            reserves in a mailbox, prints `holding`, pauses for ever
 *   lock-X           N times: lock, add 1 to both 8-byte numbers in file EXTRA, unlock; X is monitor, write (a
 *                    readers-writer lock) or lease (a permit of a leased semaphore); lock-read compares the two
 *   hold-X once-X    as hold and lock-once, on X, also read
 *   put take         N times, in a monitor with the conditions `not_full` and `not_empty`: wait until the number in
 *                    file EXTRA is 0 (put) or not (take), make it the turn's number from 1 on (put), or check that
 *                    it is that and make it 0 (take), signal the other
 *   meet             N times at a barrier; prints `ok N LED`, LED being how often it was the leader
 *   attend           prints `waiting`, arrives at a barrier, prints `ok` or `broken`
 *   set await        N times on event flags: set sets 1 and waits for 2, clearing it, await the reverse
 *   wait-condition   enters, prints `waiting`, waits for the condition `c` within 10 s, prints `ok` or, after
 *                    recovering, `owner_died`, leaves
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

/* In batches of up to 7; the ring is shut down in the end. */
static void write_many(tvn_ring_t *ring, tvn_producer_t *producer) {
    static uint8_t bytes[7][MESSAGE_MAX];
    for (uint64_t k = 0; k < n;) {
        uint64_t numbers[7];
        struct iovec records[7];
        size_t count = 0;
        for (; count < 7 && k < n; count++, k++) {
            numbers[count] = k;
            records[count] = (struct iovec){bytes[count], make(k, bytes[count])};
        }
        if (tvn_ring_record_size(ring) > 0)
            good(tvn_producer_write_packed(producer, numbers, count, TVN_FOREVER));
        else
            good(tvn_producer_write_many(producer, records, count, TVN_FOREVER));
    }
    good(tvn_ring_shutdown(ring));
}

static void read_many(tvn_ring_t *ring, tvn_consumer_t *consumer) {
    static uint8_t bytes[5 * MESSAGE_MAX];
    uint64_t k = 0, numbers[5];
    for (;;) {
        size_t sizes[5], at = 0;
        bool packed = tvn_ring_record_size(ring) > 0;
        int64_t count = packed ? tvn_consumer_read_packed(consumer, numbers, 5, TVN_FOREVER)
                               : tvn_consumer_read_many(consumer, bytes, sizeof bytes, sizes, 5, TVN_FOREVER);
        if (count == -EPIPE && k == n) break;
        good(count);
        for (int64_t i = 0; i < count; i++, k++) {
            if (!packed) {
                check(k, bytes + at, sizes[i]);
                at += sizes[i];
            } else if (numbers[i] != k) {
                fail("a number is out of order");
            }
        }
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

/* The file EXTRA, with one or two 8-byte numbers in it. */
static int numbers = -1;

static void open_numbers(void) {
    numbers = extra ? open(extra, O_RDWR | O_CLOEXEC) : -1;
    if (numbers < 0) fail("this role needs a file with 8-byte numbers as EXTRA");
}

static uint64_t get_number(int i) {
    uint64_t number;
    if (pread(numbers, &number, sizeof number, 8 * i) != sizeof number) fail("%s: too short", extra);
    return number;
}

static void set_number(int i, uint64_t number) {
    if (pwrite(numbers, &number, sizeof number, 8 * i) != sizeof number) fail("%s: cannot be written", extra);
}

static void lock_all(tvn_mutex_t *mutex) {
    open_numbers();
    for (uint64_t k = 0; k < n; k++) {
        good(tvn_mutex_lock(mutex, TVN_FOREVER));
        set_number(0, get_number(0) + 1);
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

static void put_all(tvn_monitor_t *monitor) {
    tvn_condition_t *not_full, *not_empty;
    good(tvn_condition(monitor, "not_full", &not_full));
    good(tvn_condition(monitor, "not_empty", &not_empty));
    open_numbers();
    for (uint64_t turn = 1; turn <= n; turn++) {
        good(tvn_monitor_enter(monitor, TVN_FOREVER));
        while (get_number(0) != 0) good(tvn_condition_wait(not_full, TVN_FOREVER));
        set_number(0, turn);
        good(tvn_condition_signal(not_empty));
        good(tvn_monitor_leave(monitor));
    }
    done();
}

static void take_all(tvn_monitor_t *monitor) {
    tvn_condition_t *not_full, *not_empty;
    good(tvn_condition(monitor, "not_full", &not_full));
    good(tvn_condition(monitor, "not_empty", &not_empty));
    open_numbers();
    for (uint64_t turn = 1; turn <= n; turn++) {
        uint64_t item;
        good(tvn_monitor_enter(monitor, TVN_FOREVER));
        while ((item = get_number(0)) == 0) good(tvn_condition_wait(not_empty, TVN_FOREVER));
        if (item != turn) fail("item %llu came in turn %llu", (unsigned long long)item, (unsigned long long)turn);
        set_number(0, 0);
        good(tvn_condition_signal(not_full));
        good(tvn_monitor_leave(monitor));
    }
    done();
}

static void wait_condition(tvn_monitor_t *monitor) {
    tvn_condition_t *condition;
    good(tvn_condition(monitor, "c", &condition));
    good(tvn_monitor_enter(monitor, TVN_FOREVER));
    say("waiting");
    int waited = tvn_condition_wait(condition, 10000);
    if (waited == -EOWNERDEAD)
        good(tvn_monitor_recover(monitor));
    else
        good(waited);
    say(waited ? "owner_died" : "ok");
    good(tvn_monitor_leave(monitor));
}

static void meet(tvn_barrier_t *barrier) {
    uint64_t led = 0;
    for (uint64_t k = 0; k < n; k++) led += (uint64_t)good(tvn_barrier_wait(barrier, TVN_FOREVER));
    printf("ok %llu %llu\n", (unsigned long long)n, (unsigned long long)led);
}

static void attend(tvn_barrier_t *barrier) {
    say("waiting");
    int waited = tvn_barrier_wait(barrier, TVN_FOREVER);
    if (waited != -TVN_EBROKEN) good(waited);
    say(waited < 0 ? "broken" : "ok");
}

static void set_all(tvn_event_t *event) {
    for (uint64_t k = 0; k < n; k++) {
        good(tvn_event_set(event, 1, NULL));
        good(tvn_event_wait_any(event, 2, true, TVN_FOREVER, NULL));
    }
    done();
}

static void await_all(tvn_event_t *event) {
    for (uint64_t k = 0; k < n; k++) {
        good(tvn_event_wait_any(event, 1, true, TVN_FOREVER, NULL));
        good(tvn_event_set(event, 2, NULL));
    }
    done();
}

/* What lock-X, hold-X and once-X lock; a run has one of them open. */
static tvn_monitor_t *monitor;
static tvn_rwlock_t *rwlock;
static tvn_semaphore_t *leased;

static int enter(int ms) { return tvn_monitor_enter(monitor, ms); }
static int leave(void) { return tvn_monitor_leave(monitor); }
static int recover_monitor(void) { return tvn_monitor_recover(monitor); }
static int read_lock(int ms) { return tvn_rwlock_read(rwlock, ms); }
static int write_lock(int ms) { return tvn_rwlock_write(rwlock, ms); }
static int unlock(void) { return tvn_rwlock_unlock(rwlock); }
static int recover_rwlock(void) { return tvn_rwlock_recover(rwlock); }
static int wait_permit(int ms) { return tvn_semaphore_wait(leased, ms); }
static int post_permit(void) { return tvn_semaphore_post(leased); }
static int nothing(void) { return 0; } /* readers do not repair, permits guard nothing */

static const struct lock {
    const char *name;
    int (*lock)(int);
    int (*unlock)(void);
    int (*recover)(void);
} locks[] = {
    {"monitor", enter, leave, recover_monitor},
    {"read", read_lock, unlock, nothing},
    {"write", write_lock, unlock, recover_rwlock},
    {"lease", wait_permit, post_permit, nothing},
};

/* Locks; 1 if a holder died, and the lock is held all the same. */
static int lock_it(const struct lock *lock, int timeout_ms) {
    int locked = lock->lock(timeout_ms);
    if (locked != -EOWNERDEAD) good(locked);
    return locked != 0;
}

static void lock_both(const struct lock *lock) {
    open_numbers();
    for (uint64_t k = 0; k < n; k++) {
        lock_it(lock, TVN_FOREVER);
        uint64_t a = get_number(0), b = get_number(1);
        if (a != b)
            fail("locked to %s, and the numbers are %llu and %llu", lock->name, (unsigned long long)a,
                 (unsigned long long)b);
        if (lock->lock != read_lock) {
            set_number(0, a + 1);
            set_number(1, b + 1);
        }
        good(lock->unlock());
    }
    done();
}

static void hold_it(const struct lock *lock) {
    lock_it(lock, TVN_FOREVER);
    pause_for_ever();
}

static void once(const struct lock *lock) {
    int died = lock_it(lock, 10000);
    say(died ? "owner_died" : "ok");
    if (died) good(lock->recover());
    good(lock->unlock());
}

/* `lock-X` and so on: 0 if this is no such role. */
static int run_on_lock(const char *role, tvn_segment_t *segment, const char *object) {
    static const struct {
        const char *name;
        void (*run)(const struct lock *);
    } verbs[] = {{"lock-", lock_both}, {"hold-", hold_it}, {"once-", once}};
    for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++)
        for (size_t l = 0; l < sizeof locks / sizeof *locks; l++) {
            size_t at = strlen(verbs[v].name);
            if (strncmp(role, verbs[v].name, at) || strcmp(role + at, locks[l].name)) continue;
            if (locks[l].lock == enter)
                good(tvn_monitor_open(segment, object, &monitor));
            else if (locks[l].lock == wait_permit)
                good(tvn_semaphore_open(segment, object, &leased));
            else
                good(tvn_rwlock_open(segment, object, &rwlock));
            say("ready");
            verbs[v].run(&locks[l]);
            tvn_monitor_close(monitor);
            tvn_semaphore_close(leased);
            tvn_rwlock_close(rwlock);
            return 1;
        }
    return 0;
}

static void publish_all(tvn_topic_t *topic) {
    tvn_publisher_t *publisher;
    good(tvn_topic_publisher(topic, &publisher));
    say("ready");
    uint8_t message[MESSAGE_MAX];
    for (uint64_t k = 0; k < n; k++) {
        void *room;
        if (k % 2 == 0)
            good(tvn_publisher_publish(publisher, message, make(k, message), TVN_FOREVER));
        else if (good(tvn_publisher_reserve(publisher, MESSAGE_MAX, TVN_FOREVER, &room)))
            good(tvn_publisher_commit(publisher, make(k, room)));
    }
    good(tvn_publisher_shutdown(publisher));
    tvn_publisher_close(publisher);
}

static void subscribe(tvn_topic_t *topic) {
    tvn_subscriber_t *subscriber;
    good(tvn_topic_subscriber(topic, TVN_LATEST, &subscriber));
    say("ready");
    static uint8_t buffer[BUFFER];
    uint64_t received = 0, next = 0;
    for (;;) {
        const void *message = buffer;
        bool in_place = received % 2;
        int64_t size = in_place ? tvn_subscriber_peek(subscriber, TVN_FOREVER, &message)
                                : tvn_subscriber_receive(subscriber, buffer, sizeof buffer, TVN_FOREVER);
        if (size == -EPIPE) break;
        if (size == -TVN_ELOST) continue;
        good(size);
        uint64_t k;
        memcpy(&k, message, sizeof k);
        if (k < next) fail("message %llu after %llu", (unsigned long long)k, (unsigned long long)next);
        check(k, message, (size_t)size);
        if (in_place) good(tvn_subscriber_release(subscriber));
        received++;
        next = k + 1;
    }
    long long missed = good(tvn_subscriber_missed(subscriber));
    printf("ok %lld %lld\n", (long long)received + missed, missed);
    tvn_subscriber_close(subscriber);
}

static void call_all(tvn_segment_t *segment, const char *object) {
    static uint8_t answer[BUFFER];
    uint8_t message[MESSAGE_MAX];
    tvn_service_t *service;
    good(tvn_service_open(segment, object, &service));
    say("ready");
    for (uint64_t k = 0; k < n; k++) {
        size_t size = make(k, message);
        if (k % 2 == 0) {
            int64_t got = good(tvn_service_call(service, message, size, answer, sizeof answer, TVN_FOREVER));
            check(k, answer, (size_t)got);
        } else {
            tvn_call_t call;
            good(tvn_service_reserve(service, sizeof message, TVN_FOREVER, &call));
            memcpy(call.bytes, message, size);
            good(tvn_call_send(service, &call, size));
            int64_t got = good(tvn_call_wait(service, &call, TVN_FOREVER));
            check(k, call.bytes, (size_t)got);
            good(tvn_call_end(service, &call));
        }
    }
    good(tvn_service_shutdown(service));
    tvn_service_close(service);
    done();
}

static void serve_all(tvn_segment_t *segment, const char *object) {
    tvn_service_t *service;
    good(tvn_service_open(segment, object, &service));
    say("ready");
    uint64_t k = 0;
    for (;; k++) {
        tvn_request_t request;
        int64_t size = tvn_service_receive(service, TVN_FOREVER, &request);
        if (size == -EPIPE) break;
        good(size);
        check(k, request.bytes, (size_t)size);
        int answered;
        if (k % 2 == 0) {
            answered = tvn_request_reply(service, &request, request.bytes, (size_t)size);
        } else {
            memcpy(request.room, request.bytes, (size_t)size);
            answered = tvn_request_commit(service, &request, (size_t)size);
        }
        if (good(answered) != 1) fail("the client has given up");
    }
    if (k != n) fail("%llu calls", (unsigned long long)k);
    tvn_service_close(service);
    done();
}

static void ask_all(tvn_segment_t *segment, const char *object) {
    static uint8_t answer[BUFFER];
    uint8_t message[MESSAGE_MAX];
    tvn_port_t *port;
    good(tvn_port_open(segment, object, &port));
    say("ready");
    for (uint64_t k = 0; k < n; k++) {
        size_t size = make(k, message);
        check(k, answer, (size_t)good(tvn_port_call(port, message, size, answer, sizeof answer, NULL, TVN_FOREVER)));
    }
    tvn_port_close(port);
    done();
}

static void answer_all(tvn_segment_t *segment, const char *object) {
    static uint8_t message[BUFFER];
    tvn_port_options_t options = {.message_size = 64};
    tvn_port_t *port;
    tvn_delivery_t came;
    good(tvn_port(segment, object, &options, &port));
    say("ready");
    for (uint64_t k = 0; k < n; k++) {
        size_t size = (size_t)good(tvn_port_receive(port, message, sizeof message, &came, TVN_FOREVER));
        check(k, message, size);
        good(tvn_port_send(came.reply, message, size, TVN_FOREVER));
        tvn_port_close(came.reply);
    }
    tvn_port_close(port);
    done();
}

struct latest {
    uint64_t number;
    double values[4];
};

static tvn_cell_t *open_latest(tvn_segment_t *segment, const char *object) {
    tvn_cell_t *cell;
    if (tvn_cell_open(segment, object, "5d", &cell) != -TVN_EINCOMPATIBLE) fail("five doubles are taken for a struct");
    good(tvn_cell_open(segment, object, TVN_TYPE(struct latest, number, values), &cell));
    say("ready");
    return cell;
}

static void store_all(tvn_segment_t *segment, const char *object) {
    tvn_cell_t *cell = open_latest(segment, object);
    for (uint64_t k = 1; k <= n; k++) {
        double x = (double)k;
        struct latest latest = {k, {x, 2 * x, 3 * x, 4 * x}};
        if (good(tvn_cell_store(cell, &latest, sizeof latest, TVN_FOREVER)) != (int64_t)k) fail("another stored");
    }
    tvn_cell_close(cell);
    done();
}

static void load_all(tvn_segment_t *segment, const char *object) {
    tvn_cell_t *cell = open_latest(segment, object);
    for (uint64_t seen = 0; seen < n;) {
        struct latest latest;
        uint64_t version = (uint64_t)good(tvn_cell_load_newer(cell, seen, &latest, sizeof latest, TVN_FOREVER));
        if (version <= seen || latest.number != version) fail("version %llu", (unsigned long long)version);
        for (int i = 0; i < 4; i++)
            if (latest.values[i] != (double)version * (i + 1)) fail("value %d of %llu", i, (unsigned long long)version);
        seen = version;
    }
    tvn_cell_close(cell);
    done();
}

enum { ELEMENTS = 4 * 5 };

static tvn_array_t *open_grid(tvn_segment_t *segment, const char *object) {
    tvn_array_t *array;
    if (tvn_array_open(segment, object, "q", &array) != -TVN_EINCOMPATIBLE) fail("doubles are taken for integers");
    good(tvn_array_open(segment, object, "d", &array));
    size_t shape[TVN_DIMENSIONS_MAX], strides[TVN_DIMENSIONS_MAX];
    if (good(tvn_array_shape(array, shape, TVN_DIMENSIONS_MAX)) != 2 || shape[0] != 4 || shape[1] != 5) fail("shape");
    if (good(tvn_array_strides(array, strides, TVN_DIMENSIONS_MAX)) != 2 || strides[0] != 40) fail("strides");
    say("ready");
    return array;
}

static void fill_all(tvn_segment_t *segment, const char *object) {
    tvn_array_t *array = open_grid(segment, object);
    double *elements = (double *)tvn_array_data(array);
    for (uint64_t k = 1; k <= n; k++) {
        good(tvn_array_write(array, TVN_FOREVER));
        for (int i = 0; i < ELEMENTS; i++) elements[i] = (double)k;
        good(tvn_array_end_write(array));
    }
    tvn_array_close(array);
    done();
}

static void scan_all(tvn_segment_t *segment, const char *object) {
    tvn_array_t *array = open_grid(segment, object);
    for (double seen = 0; seen < (double)n;) {
        double elements[ELEMENTS];
        good(tvn_array_snapshot(array, elements, sizeof elements, TVN_FOREVER));
        if (elements[0] < seen) fail("%g after %g", elements[0], seen);
        for (int i = 1; i < ELEMENTS; i++)
            if (elements[i] != elements[0]) fail("torn: %g beside %g", elements[i], elements[0]);
        seen = elements[0];
    }
    tvn_array_close(array);
    done();
}

/* A role works on one kind of object; the others are NULL. */
static const struct role {
    const char *name;
    void (*mailbox)(tvn_mailbox_t *);
    void (*producer)(tvn_producer_t *);
    void (*consumer)(tvn_consumer_t *);
    void (*writer)(tvn_ring_t *, tvn_producer_t *);
    void (*reader)(tvn_ring_t *, tvn_consumer_t *);
    void (*semaphore)(tvn_semaphore_t *);
    void (*mutex)(tvn_mutex_t *);
    void (*monitor)(tvn_monitor_t *);
    void (*barrier)(tvn_barrier_t *);
    void (*event)(tvn_event_t *);
    void (*topic)(tvn_topic_t *);
    void (*port)(tvn_segment_t *, const char *object);
} roles[] = {
    {.name = "send", .mailbox = send_all},        {.name = "receive", .mailbox = receive_all},
    {.name = "claim", .mailbox = claim},          {.name = "write", .producer = write_all},
    {.name = "reserve", .producer = reserve_all}, {.name = "read", .consumer = read_all},
    {.name = "peek", .consumer = peek_all},       {.name = "post", .semaphore = post_all},
    {.name = "write-many", .writer = write_many}, {.name = "read-many", .reader = read_many},
    {.name = "wait", .semaphore = wait_all},      {.name = "lock", .mutex = lock_all},
    {.name = "lock-once", .mutex = lock_once},    {.name = "hold", .mutex = hold},
    {.name = "put", .monitor = put_all},          {.name = "take", .monitor = take_all},
    {.name = "meet", .barrier = meet},            {.name = "attend", .barrier = attend},
    {.name = "set", .event = set_all},            {.name = "await", .event = await_all},
    {.name = "wait-condition", .monitor = wait_condition},
    {.name = "call", .port = call_all},          {.name = "serve", .port = serve_all},
    {.name = "ask", .port = ask_all},            {.name = "answer", .port = answer_all},
    {.name = "store", .port = store_all},        {.name = "load", .port = load_all},
    {.name = "fill", .port = fill_all},          {.name = "scan", .port = scan_all},
    {.name = "publish", .topic = publish_all},    {.name = "subscribe", .topic = subscribe},
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
    } else if (role->monitor) {
        good(tvn_monitor_open(segment, object, &monitor));
        if (role->monitor != wait_condition) say("ready");
        role->monitor(monitor);
        tvn_monitor_close(monitor);
    } else if (role->barrier) {
        tvn_barrier_t *barrier;
        good(tvn_barrier_open(segment, object, &barrier));
        if (role->barrier != attend) say("ready");
        role->barrier(barrier);
        tvn_barrier_close(barrier);
    } else if (role->event) {
        tvn_event_t *event;
        good(tvn_event_open(segment, object, &event));
        say("ready");
        role->event(event);
        tvn_event_close(event);
    } else if (role->port) {
        role->port(segment, object);
    } else if (role->topic) {
        tvn_topic_t *topic;
        good(tvn_topic_open(segment, object, &topic));
        role->topic(topic);
        tvn_topic_close(topic);
    } else {
        tvn_ring_t *ring;
        tvn_producer_t *producer = NULL;
        tvn_consumer_t *consumer = NULL;
        good(tvn_ring_open(segment, object, &ring));
        bool writes = role->producer || role->writer;
        good(writes ? tvn_ring_producer(ring, &producer) : tvn_ring_consumer(ring, &consumer));
        say("ready");
        if (role->producer) role->producer(producer);
        if (role->consumer) role->consumer(consumer);
        if (role->writer) role->writer(ring, producer);
        if (role->reader) role->reader(ring, consumer);
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
    tvn_segment_t *segment;
    if (!strncmp(argv[2], "fd:", 3))
        good(tvn_segment_from_fd(atoi(argv[2] + 3), &segment));
    else
        good(tvn_segment_open(argv[2], &segment));
    const struct role *role = NULL;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i].name, argv[1])) role = &roles[i];
    if (role)
        run(role, segment, argv[3]);
    else if (!run_on_lock(argv[1], segment, argv[3]))
        fail("no role is called %s", argv[1]);
    tvn_segment_close(segment);
    return 0;
}
