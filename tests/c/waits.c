/* Every call that waits: not at all, until a deadline, under signals, and with the object removed meanwhile. */
#include "check.h"
#include <pthread.h>

enum { SHORT_MS = 50 };

static struct all {
    tvn_segment_t *segment;
    tvn_semaphore_t *semaphore; /* empty */
    tvn_semaphore_t *leased;    /* its permit, and these three locks, are with another thread */
    tvn_mutex_t *mutex;
    tvn_monitor_t *monitor;
    tvn_rwlock_t *rwlock;
    tvn_monitor_t *mine; /* that nobody else enters */
    tvn_condition_t *condition;
    tvn_barrier_t *barrier;
    tvn_event_t *event;
    tvn_mailbox_t *empty, *full;
    tvn_producer_t *producer; /* of a full ring */
    tvn_consumer_t *consumer; /* of an empty one */
} all;

static int locked[2], enough[2];

static void *keep_locked(void *unused) {
    is(tvn_mutex_lock(all.mutex, TVN_FOREVER), 0);
    is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
    is(tvn_rwlock_write(all.rwlock, TVN_FOREVER), 0);
    is(tvn_semaphore_wait(all.leased, TVN_FOREVER), 0);
    tell(locked);
    await(enough);
    is(tvn_semaphore_post(all.leased), 0);
    is(tvn_rwlock_unlock(all.rwlock), 0);
    is(tvn_monitor_leave(all.monitor), 0);
    is(tvn_mutex_unlock(all.mutex), 0);
    return unused;
}

static pthread_t locker;

static void make_all(void) {
    tvn_ring_t *full, *empty;
    all.segment = fresh_segment();
    is(tvn_semaphore(all.segment, "s", 0, &all.semaphore), 0);
    is(tvn_semaphore_leased(all.segment, "leased", 1, &all.leased), 0);
    is(tvn_mutex(all.segment, "l", &all.mutex), 0);
    is(tvn_monitor(all.segment, "monitor", &all.monitor), 0);
    is(tvn_rwlock(all.segment, "rwlock", TVN_FAIR, &all.rwlock), 0);
    is(tvn_monitor(all.segment, "mine", &all.mine), 0);
    is(tvn_condition(all.mine, "c", &all.condition), 0);
    is(tvn_barrier(all.segment, "barrier", 2, &all.barrier), 0);
    is(tvn_event(all.segment, "event", 4, &all.event), 0);
    is(tvn_mailbox(all.segment, "empty", 2, 16, &all.empty), 0);
    is(tvn_mailbox(all.segment, "full", 2, 16, &all.full), 0);
    is(tvn_ring(all.segment, "full ring", 256, &full), 0);
    is(tvn_ring(all.segment, "empty ring", 256, &empty), 0);
    is(tvn_ring_producer(full, &all.producer), 0);
    is(tvn_ring_consumer(empty, &all.consumer), 0);
    tvn_ring_close(full);
    tvn_ring_close(empty);
    while (tvn_mailbox_send(all.full, "x", 1, TVN_TRY) == 0) {}
    while (tvn_producer_write(all.producer, "x", 1, TVN_TRY) == 0) {}
    is(pipe(locked) | pipe(enough), 0);
    is(pthread_create(&locker, NULL, keep_locked, NULL), 0);
    await(locked);
}

static void end_all(void) {
    tell(enough);
    is(pthread_join(locker, NULL), 0);
    tvn_producer_close(all.producer);
    tvn_consumer_close(all.consumer);
    tvn_mailbox_close(all.empty);
    tvn_mailbox_close(all.full);
    tvn_event_close(all.event);
    tvn_barrier_close(all.barrier);
    tvn_condition_close(all.condition);
    tvn_monitor_close(all.mine);
    tvn_rwlock_close(all.rwlock);
    tvn_monitor_close(all.monitor);
    tvn_mutex_close(all.mutex);
    tvn_semaphore_close(all.leased);
    tvn_semaphore_close(all.semaphore);
    tvn_segment_close(all.segment);
}

/* Inside its monitor afterwards, whatever it answers, unless the monitor is gone. */
static int wait_inside(int timeout_ms) {
    int entered = tvn_monitor_enter(all.mine, timeout_ms);
    if (entered < 0) return entered;
    int waited;
    while ((waited = tvn_condition_wait(all.condition, timeout_ms)) == 0) {} /* it may come back without a signal */
    int left = tvn_monitor_leave(all.mine);
    if (waited != -EIDRM) is(left, 0);
    return waited;
}

/* Every call that waits, on an object that makes it wait. */
static int64_t wait_on(int which, int timeout_ms) {
    static char text[16];
    tvn_loan_t loan;
    void *room;
    const void *record;
    uint32_t count;
    switch (which) {
    case 0: return tvn_semaphore_wait(all.semaphore, timeout_ms);
    case 1: return tvn_mutex_lock(all.mutex, timeout_ms);
    case 2: return tvn_mailbox_send(all.full, "x", 1, timeout_ms);
    case 3: return tvn_mailbox_receive(all.empty, text, sizeof text, timeout_ms);
    case 4: return tvn_mailbox_peek(all.empty, text, sizeof text, timeout_ms);
    case 5: return tvn_mailbox_reserve(all.full, 1, timeout_ms, &loan);
    case 6: return tvn_producer_write(all.producer, "x", 1, timeout_ms);
    case 7: return tvn_producer_reserve(all.producer, 1, timeout_ms, &room);
    case 8: return tvn_consumer_read(all.consumer, text, sizeof text, timeout_ms);
    case 9: return tvn_consumer_peek(all.consumer, timeout_ms, &record);
    case 10: return tvn_mailbox_receive_counted(all.empty, text, sizeof text, timeout_ms, &count);
    case 11: return tvn_semaphore_wait_n(all.semaphore, 2, timeout_ms);
    case 12: return tvn_semaphore_wait(all.leased, timeout_ms);
    case 13: return tvn_monitor_enter(all.monitor, timeout_ms);
    case 14: return wait_inside(timeout_ms);
    case 15: return tvn_rwlock_read(all.rwlock, timeout_ms);
    case 16: return tvn_rwlock_write(all.rwlock, timeout_ms);
    case 17: return tvn_barrier_wait(all.barrier, timeout_ms);
    case 18: return tvn_event_wait_any(all.event, 3, false, timeout_ms, &count);
    case 19: return tvn_event_wait_all(all.event, 5, true, timeout_ms);
    default: return -ENOSYS;
    }
}
enum { WAITS = 20 };

TEST(a_try_answers_at_once) {
    make_all();
    for (int i = 0; i < WAITS; i++) is(wait_on(i, TVN_TRY), -EAGAIN);
    end_all();
}

TEST(a_deadline_ends_every_wait_and_not_before_its_time) {
    make_all();
    for (int i = 0; i < WAITS; i++) {
        double start = seconds();
        is(wait_on(i, SHORT_MS), -ETIMEDOUT);
        holds(seconds() - start >= SHORT_MS / 1e3);
    }
    end_all();
}

TEST(signals_do_not_end_a_wait_and_do_not_move_its_deadline) {
    make_all();
    timer_t timer = signal_often();
    for (int i = 0; i < WAITS; i++) {
        int before = signals;
        double start = seconds();
        is(wait_on(i, SHORT_MS), -ETIMEDOUT);
        holds(seconds() - start >= SHORT_MS / 1e3);
        holds(signals > before);
    }
    timer_delete(timer);
    end_all();
}

TEST(an_interruptible_thread_gets_eintr_from_every_wait) {
    make_all();
    is(tvn_interruptible(true), 0);
    timer_t timer = signal_often();
    for (int i = 0; i < WAITS; i++) {
        is(wait_on(i, TVN_FOREVER), -EINTR);
        is(wait_on(i, 30000), -EINTR);
    }
    timer_delete(timer);
    is(tvn_interruptible(false), 1);
    end_all();
}

static void *post_twice(void *unused) {
    is(tvn_semaphore_post(all.semaphore), 0);
    is(tvn_semaphore_post(all.semaphore), 0);
    return unused;
}

TEST(a_post_ends_a_wait) {
    make_all();
    pthread_t thread;
    is(pthread_create(&thread, NULL, post_twice, NULL), 0);
    is(tvn_semaphore_wait(all.semaphore, TVN_FOREVER), 0);
    is(tvn_semaphore_wait(all.semaphore, 30000), 0);
    is(pthread_join(thread, NULL), 0);
    end_all();
}

static void *remove_objects(void *unused) {
    const char *names[] = {"s", "l", "empty", "full", "full ring", "empty ring",
                           "leased", "monitor", "mine", "rwlock", "barrier", "event"};
    until_asleep(all.segment, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) is(tvn_segment_remove(all.segment, names[i]), 0);
    return unused;
}

TEST(a_removed_object_ends_every_wait) {
    make_all();
    pthread_t thread;
    is(pthread_create(&thread, NULL, remove_objects, NULL), 0);
    for (int i = 0; i < WAITS; i++) is(wait_on(i, TVN_FOREVER), -EIDRM);
    is(pthread_join(thread, NULL), 0);
    end_all();
}

/* One wait at a time, so that each is removed from under a sleeper. */
TEST(removing_what_somebody_sleeps_on_wakes_him) {
    const char *names[WAITS] = {[0] = "s", "l", "full", "empty", "empty", "full", "full ring", "full ring",
                                "empty ring", "empty ring", "empty", "s", "leased", "monitor", "mine", "rwlock",
                                "rwlock", "barrier", "event", "event"};
    for (int i = 0; i < WAITS; i++) {
        make_all();
        pid_t child = fork();
        if (child == 0) {
            until_asleep(all.segment, 1);
            is(tvn_segment_remove(all.segment, names[i]), 0);
            _exit(0);
        }
        is(wait_on(i, TVN_FOREVER), -EIDRM);
        told("removed");
        is(exit_of(child), 0);
        end_all();
        is(tvn_segment_unlink(fresh), 0);
    }
}
