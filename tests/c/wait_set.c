/* Wait for any of several: who is ready is told, nothing is taken. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

enum { MOST = 16 };

static tvn_ready_t ready[MOST];

/* Is exactly this member ready? */
static void only(tvn_wait_set_t *set, int64_t token, int timeout_ms) {
    is(tvn_wait_set_wait(set, ready, MOST, timeout_ms), 1);
    is(ready[0].token, token);
    is(ready[0].count, 1);
}

static tvn_wait_set_t *new_set(void) {
    tvn_wait_set_t *set = NULL;
    is(tvn_wait_set_new(&set), 0);
    return set;
}

static struct all {
    tvn_segment_t *segment;
    tvn_semaphore_t *semaphore; /* empty */
    tvn_mutex_t *mutex;         /* held by another thread, as is the monitor */
    tvn_monitor_t *monitor;
    tvn_event_t *event;
    tvn_mailbox_t *empty, *full;
    tvn_ring_t *empty_ring, *full_ring;
    tvn_consumer_t *consumer, *other_consumer;
    tvn_producer_t *producer, *other_producer;
} all;

static int locked[2], unlock_now[2];
static pthread_t locker;

static void *keep_locked(void *unused) {
    is(tvn_mutex_lock(all.mutex, TVN_FOREVER), 0);
    is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
    tell(locked);
    await(unlock_now);
    is(tvn_mutex_unlock(all.mutex), 0);
    await(unlock_now);
    is(tvn_monitor_leave(all.monitor), 0);
    return unused;
}

static void make_all(void) {
    all.segment = fresh_segment();
    is(tvn_semaphore(all.segment, "semaphore", 0, &all.semaphore), 0);
    is(tvn_mutex(all.segment, "mutex", &all.mutex), 0);
    is(tvn_monitor(all.segment, "monitor", &all.monitor), 0);
    is(tvn_event(all.segment, "event", 0, &all.event), 0);
    is(tvn_mailbox(all.segment, "empty", 2, 16, &all.empty), 0);
    is(tvn_mailbox(all.segment, "full", 2, 16, &all.full), 0);
    while (tvn_mailbox_send(all.full, "x", 1, TVN_TRY) == 0) {}
    is(tvn_ring(all.segment, "empty ring", 256, &all.empty_ring), 0);
    is(tvn_ring(all.segment, "full ring", 256, &all.full_ring), 0);
    is(tvn_ring_consumer(all.empty_ring, &all.consumer), 0);
    is(tvn_ring_producer(all.empty_ring, &all.other_producer), 0);
    is(tvn_ring_producer(all.full_ring, &all.producer), 0);
    is(tvn_ring_consumer(all.full_ring, &all.other_consumer), 0);
    while (tvn_producer_write(all.producer, "x", 1, TVN_TRY) == 0) {}
    is(pipe(locked) | pipe(unlock_now), 0);
    is(pthread_create(&locker, NULL, keep_locked, NULL), 0);
    await(locked);
}

static void end_all(void) {
    tvn_semaphore_close(all.semaphore);
    tvn_mutex_close(all.mutex);
    tvn_monitor_close(all.monitor);
    tvn_event_close(all.event);
    tvn_mailbox_close(all.empty);
    tvn_mailbox_close(all.full);
    tvn_producer_close(all.producer);
    tvn_producer_close(all.other_producer);
    tvn_consumer_close(all.consumer);
    tvn_consumer_close(all.other_consumer);
    tvn_ring_close(all.empty_ring);
    tvn_ring_close(all.full_ring);
    tvn_segment_close(all.segment);
}

/* Another thread makes member number `which` ready, when somebody sleeps. */
static void *make_ready(void *which) {
    char text[16];
    until_asleep(all.segment, 1);
    switch ((intptr_t)which) {
    case 0: is(tvn_semaphore_post(all.semaphore), 0); break;
    case 1: case 2: tell(unlock_now); break;
    case 3: is(tvn_event_set(all.event, 2, NULL), 0); break;
    case 4: is(tvn_event_set(all.event, 4, NULL), 0); break;
    case 5: is(tvn_mailbox_send(all.empty, "x", 1, TVN_TRY), 0); break;
    case 6: is(tvn_mailbox_receive(all.full, text, sizeof text, TVN_TRY), 1); break;
    case 7: is(tvn_producer_write(all.other_producer, "x", 1, TVN_TRY), 0); break;
    case 8: is(tvn_consumer_read(all.other_consumer, text, sizeof text, TVN_TRY), 1); break;
    }
    return NULL;
}

/* What is made ready is taken by who was told, and then it is not ready any more. */
static void take(int64_t which) {
    char text[16];
    switch (which) {
    case 0: is(tvn_semaphore_wait(all.semaphore, TVN_TRY), 0); break;
    case 1: is(tvn_mutex_lock(all.mutex, TVN_TRY), 0); break;
    case 2: is(tvn_monitor_enter(all.monitor, TVN_TRY), 0); break;
    case 3: is(tvn_event_wait_any(all.event, 2, true, TVN_TRY, NULL), 0); break;
    case 4: is(tvn_event_wait_all(all.event, 12, true, TVN_TRY), 0); break;
    case 5: is(tvn_mailbox_receive(all.empty, text, sizeof text, TVN_TRY), 1); break;
    case 6: is(tvn_mailbox_send(all.full, "x", 1, TVN_TRY), 0); break;
    case 7: is(tvn_consumer_read(all.consumer, text, sizeof text, TVN_TRY), 1); break;
    case 8: is(tvn_producer_write(all.producer, "x", 1, TVN_TRY), 0); break;
    }
}

static void every_object_wakes(tvn_wait_set_t *set) {
    make_all();
    is(tvn_event_set(all.event, 8, NULL), 0);
    int64_t tokens[] = {
        tvn_wait_set_add_semaphore(set, all.semaphore),
        tvn_wait_set_add_mutex(set, all.mutex),
        tvn_wait_set_add_monitor(set, all.monitor),
        tvn_wait_set_add_event(set, all.event, 3, false),
        tvn_wait_set_add_event(set, all.event, 12, true),
        tvn_wait_set_add_mailbox(set, all.empty, TVN_RECEIVE),
        tvn_wait_set_add_mailbox(set, all.full, TVN_SEND),
        tvn_wait_set_add_consumer(set, all.consumer),
        tvn_wait_set_add_producer(set, all.producer, 1),
    };
    int64_t first = tokens[0];
    for (int i = 0; i < 9; i++) is(tokens[i], first + i);
    is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -EAGAIN);
    for (int i = 0; i < 9; i++) {
        pthread_t thread;
        is(pthread_create(&thread, NULL, make_ready, (void *)(intptr_t)i), 0);
        only(set, tokens[i], TVN_FOREVER);
        is(pthread_join(thread, NULL), 0);
        only(set, tokens[i], TVN_TRY); /* told again: nothing was taken */
        only(set, tokens[i], 30000);
        take(i);
        is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -EAGAIN);
    }
    is(pthread_join(locker, NULL), 0);
    tvn_wait_set_close(set);
    is(tvn_mutex_unlock(all.mutex), 0);
    is(tvn_monitor_leave(all.monitor), 0);
    end_all();
}

TEST(every_object_wakes_who_waits_for_any) {
    every_object_wakes(new_set());
}

TEST(every_object_wakes_who_waits_for_descriptors_as_well) {
    tvn_wait_set_t *set = new_set();
    is(tvn_wait_set_add_timer(set, 3600 * 1000), 0);
    every_object_wakes(set);
}

TEST(all_that_are_ready_are_told_at_once_and_the_array_has_room_for_them) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set();
    tvn_semaphore_t *a, *b;
    is(tvn_semaphore(segment, "a", 1, &a), 0);
    is(tvn_semaphore(segment, "b", 1, &b), 0);
    is(tvn_wait_set_add_semaphore(set, a), 0);
    is(tvn_wait_set_add_semaphore(set, b), 1);
    is(tvn_wait_set_length(set), 2);
    is(tvn_wait_set_wait(set, ready, 1, TVN_TRY), -EINVAL);
    told("2");
    is(tvn_wait_set_wait(set, NULL, 2, TVN_TRY), -EINVAL);
    is(tvn_wait_set_wait(set, ready, 2, TVN_FOREVER), 2);
    is(ready[0].token + ready[1].token, 1);
    tvn_semaphore_close(a); /* the member stays */
    is(tvn_wait_set_wait(set, ready, 2, TVN_TRY), 2);
    is(tvn_wait_set_remove(set, 1), 0);
    is(tvn_wait_set_remove(set, 1), -ENOENT);
    is(tvn_wait_set_remove(set, -1), -ENOENT);
    only(set, 0, TVN_FOREVER);
    is(tvn_wait_set_add_semaphore(set, b), 2); /* a token is never used again */
    is(tvn_wait_set_remove(set, 0), 0);
    is(tvn_wait_set_remove(set, 2), 0);
    is(tvn_wait_set_length(set), 0);
    is(tvn_wait_set_wait(set, NULL, 0, TVN_TRY), -EAGAIN);
    is(tvn_wait_set_wait(set, NULL, 0, TVN_FOREVER), -EINVAL); /* would never end */
    told("members");
    tvn_semaphore_close(b);
    tvn_wait_set_close(set);
    tvn_segment_close(segment);
}

TEST(descriptors_signals_and_timers_are_members_too) {
    tvn_wait_set_t *set = new_set();
    int in[2];
    char text[4];
    is(pipe(in), 0);
    int64_t reading = tvn_wait_set_add_fd(set, in[0], TVN_RECEIVE);
    int64_t signalled = tvn_wait_set_add_signal(set, SIGUSR2);
    is(reading, 0);
    is(signalled, 1);
    is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -EAGAIN);
    is(kill(getpid(), SIGUSR2), 0); /* blocked, so it kills nobody */
    only(set, signalled, 30000);
    is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -EAGAIN); /* taken */
    tell(in);
    only(set, reading, TVN_FOREVER);
    only(set, reading, TVN_TRY);
    is(read(in[0], text, 1), 1);
    double start = seconds();
    int64_t often = tvn_wait_set_add_timer(set, 20), once = tvn_wait_set_add_timer_once(set, 30);
    int64_t ended = 0, expired = 0;
    while (ended == 0 || expired == 0) {
        int64_t n = tvn_wait_set_wait(set, ready, MOST, 30000);
        holds(n > 0);
        for (int64_t i = 0; i < n; i++) {
            holds(ready[i].token == often || ready[i].token == once);
            holds(seconds() - start >= (ready[i].token == often ? 0.020 : 0.030));
            if (ready[i].token == once) ended++;
            else expired += (int64_t)ready[i].count;
        }
    }
    is(ended, 1);
    usleep(100 * 1000); /* more than one expiry is told as one */
    is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), 1);
    is(ready[0].token, often);
    holds(ready[0].count >= 2);
    is(tvn_wait_set_remove(set, often), 0);
    is(tvn_wait_set_remove(set, once), 0);
    is(close(in[1]), 0);
    only(set, reading, TVN_FOREVER); /* hung up */
    is(close(in[0]), 0);
    tvn_wait_set_close(set);
}

TEST(what_cannot_be_a_member_is_refused) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set();
    tvn_mailbox_t *mailbox;
    tvn_event_t *event;
    tvn_ring_t *ring;
    tvn_producer_t *producer;
    tvn_semaphore_t *semaphore;
    is(tvn_mailbox(segment, "m", 1, 1, &mailbox), 0);
    is(tvn_event(segment, "e", 0, &event), 0);
    is(tvn_ring(segment, "r", 256, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    is(tvn_wait_set_add_mailbox(set, mailbox, 0), -EINVAL);
    is(tvn_wait_set_add_mailbox(set, mailbox, 4), -EINVAL);
    told("TVN_SEND");
    is(tvn_wait_set_add_event(set, event, 0, false), -EINVAL);
    told("/e");
    is(tvn_wait_set_add_producer(set, producer, 257), -EMSGSIZE);
    told("257");
    is(tvn_wait_set_add_fd(set, -1, TVN_RECEIVE), -EINVAL);
    is(tvn_wait_set_add_fd(set, 0, 9), -EINVAL);
    is(tvn_wait_set_add_fd(set, 999, TVN_RECEIVE), -EBADF);
    int file = open("/proc/self/exe", O_RDONLY);
    is(tvn_wait_set_add_fd(set, file, TVN_RECEIVE), -EINVAL);
    close(file);
    is(tvn_wait_set_add_signal(set, SIGKILL), -EINVAL);
    is(tvn_wait_set_add_signal(set, 1000), -EINVAL);
    is(tvn_wait_set_add_timer(set, 0), -EINVAL);
    is(tvn_wait_set_add_timer(set, -5), -EINVAL);
    is(tvn_wait_set_add_timer_once(set, 0), -EINVAL);
    is(tvn_wait_set_length(set), 0);
    for (int i = 0; i < TVN_WAIT_SET_MAX; i++) is(tvn_wait_set_add_semaphore(set, semaphore), i);
    is(tvn_wait_set_add_semaphore(set, semaphore), -ENOSPC);
    told("127");
    tvn_semaphore_close(semaphore);
    tvn_producer_close(producer);
    tvn_ring_close(ring);
    tvn_event_close(event);
    tvn_mailbox_close(mailbox);
    tvn_wait_set_close(set);
    tvn_segment_close(segment);
}

TEST(null_is_refused_by_every_function_of_a_wait_set) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    is(tvn_wait_set_new(NULL), -EINVAL);
    is(tvn_wait_set_add_semaphore(NULL, semaphore), -EINVAL);
    is(tvn_wait_set_add_semaphore(set, NULL), -EINVAL);
    is(tvn_wait_set_add_mutex(set, NULL), -EINVAL);
    is(tvn_wait_set_add_monitor(set, NULL), -EINVAL);
    is(tvn_wait_set_add_event(set, NULL, 1, false), -EINVAL);
    is(tvn_wait_set_add_mailbox(set, NULL, TVN_SEND), -EINVAL);
    is(tvn_wait_set_add_producer(set, NULL, 0), -EINVAL);
    is(tvn_wait_set_add_consumer(set, NULL), -EINVAL);
    is(tvn_wait_set_add_fd(NULL, 0, TVN_RECEIVE), -EINVAL);
    is(tvn_wait_set_add_signal(NULL, SIGUSR1), -EINVAL);
    is(tvn_wait_set_add_timer(NULL, 1), -EINVAL);
    is(tvn_wait_set_add_timer_once(NULL, 1), -EINVAL);
    is(tvn_wait_set_remove(NULL, 0), -EINVAL);
    is(tvn_wait_set_length(NULL), -EINVAL);
    is(tvn_wait_set_wait(NULL, ready, MOST, TVN_TRY), -EINVAL);
    is(tvn_wait_set_fd(NULL), -EINVAL);
    told("NULL");
    tvn_wait_set_close(NULL);
    tvn_wait_set_close(set);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(a_wait_for_any_keeps_its_deadline_and_ends_for_a_signal_only_if_asked_to) {
    tvn_wait_set_t *sets[2] = {new_set(), new_set()};
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    is(tvn_wait_set_add_timer(sets[1], 3600 * 1000), 0);
    timer_t timer = signal_often();
    for (int i = 0; i < 2; i++) {
        holds(tvn_wait_set_add_semaphore(sets[i], semaphore) >= 0);
        int before = signals;
        double start = seconds();
        is(tvn_wait_set_wait(sets[i], ready, MOST, 100), -ETIMEDOUT);
        holds(seconds() - start >= 0.1);
        holds(signals > before);
        is(tvn_interruptible(true), 0);
        is(tvn_wait_set_wait(sets[i], ready, MOST, TVN_FOREVER), -EINTR);
        is(tvn_wait_set_wait(sets[i], ready, MOST, 30000), -EINTR);
        is(tvn_interruptible(false), 1);
    }
    timer_delete(timer);
    tvn_wait_set_close(sets[0]);
    tvn_wait_set_close(sets[1]);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(the_descriptor_of_a_set_is_readable_when_a_member_is_ready) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set(), *outer = new_set();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    is(tvn_wait_set_add_semaphore(set, semaphore), 0);
    struct pollfd fd = {tvn_wait_set_fd(set), POLLIN, 0};
    holds(fd.fd >= 0);
    is(tvn_wait_set_fd(set), fd.fd);
    is(tvn_wait_set_add_fd(outer, fd.fd, TVN_RECEIVE), 0); /* a set in a set */
    for (int round = 0; round < 3; round++) {
        /* Once it finds nobody ready the descriptor tells anew. */
        is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -EAGAIN);
        is(poll(&fd, 1, 0), 0);
        is(tvn_semaphore_post(semaphore), 0);
        is(poll(&fd, 1, 30000), 1);
        only(outer, 0, TVN_FOREVER);
        only(set, 0, TVN_TRY);
        is(tvn_semaphore_wait(semaphore, TVN_TRY), 0);
    }
    tvn_wait_set_close(outer);
    tvn_wait_set_close(set);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(who_waits_for_any_is_to_be_seen) {
    make_all();
    pid_t child = fork();
    if (child == 0) {
        tvn_wait_set_t *set = new_set();
        is(tvn_wait_set_add_semaphore(set, all.semaphore), 0);
        is(tvn_wait_set_add_mailbox(set, all.empty, TVN_RECEIVE), 1);
        only(set, 0, TVN_FOREVER);
        _exit(0);
    }
    tvn_wait_t wait;
    until_asleep(all.segment, 1);
    is(tvn_segment_waits(all.segment, &wait, 1), 1);
    is(wait.pid, child);
    is(wait.mode, TVN_WAIT_ANY);
    is(wait.count, 2);
    is(strcmp(wait.object, "semaphore"), 0);
    is(tvn_semaphore_post(all.semaphore), 0);
    is(exit_of(child), 0);
    tell(unlock_now), tell(unlock_now);
    is(pthread_join(locker, NULL), 0);
    end_all();
}

TEST(a_member_whose_object_is_removed_is_named) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set();
    tvn_semaphore_t *a, *b;
    is(tvn_semaphore(segment, "a", 0, &a), 0);
    is(tvn_semaphore(segment, "b", 1, &b), 0);
    is(tvn_wait_set_add_semaphore(set, a), 0);
    pid_t child = fork();
    if (child == 0) {
        until_asleep(segment, 1);
        is(tvn_segment_remove(segment, "a"), 0);
        _exit(0);
    }
    is(tvn_wait_set_wait(set, ready, MOST, TVN_FOREVER), -EIDRM);
    told("member 0");
    told("/a");
    is(exit_of(child), 0);
    is(tvn_wait_set_remove(set, 0), 0);
    is(tvn_wait_set_add_semaphore(set, b), 1);
    only(set, 1, TVN_FOREVER);
    tvn_wait_set_close(set);
    tvn_semaphore_close(a);
    tvn_semaphore_close(b);
    tvn_segment_close(segment);
}

static void lock_it(void *mutex) {
    is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
}

static void *kill_when_one_sleeps(void *pid) {
    until_asleep(all.segment, 1);
    is(kill((pid_t)(intptr_t)pid, SIGKILL), 0);
    return NULL;
}

TEST(the_lock_of_a_killed_holder_is_ready_and_says_so) {
    all.segment = fresh_segment();
    is(tvn_mutex(all.segment, "mutex", &all.mutex), 0);
    for (int with_descriptor = 0; with_descriptor < 2; with_descriptor++) {
        tvn_wait_set_t *set = new_set();
        pthread_t killer;
        pid_t holder = stays_after(lock_it, all.mutex);
        int64_t token = tvn_wait_set_add_mutex(set, all.mutex);
        if (with_descriptor) holds(tvn_wait_set_add_timer(set, 3600 * 1000) > 0);
        is(pthread_create(&killer, NULL, kill_when_one_sleeps, (void *)(intptr_t)holder), 0);
        only(set, token, TVN_FOREVER);
        is(pthread_join(killer, NULL), 0);
        is(exit_of(holder), -1);
        is(tvn_mutex_lock(all.mutex, 30000), -EOWNERDEAD);
        is(tvn_mutex_recover(all.mutex), 0);
        is(tvn_mutex_unlock(all.mutex), 0);
        tvn_wait_set_close(set);
    }
    tvn_mutex_close(all.mutex);
    tvn_segment_close(all.segment);
}

TEST(a_set_stays_with_the_process_that_made_it) {
    tvn_segment_t *segment = fresh_segment();
    tvn_wait_set_t *set = new_set();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(segment, "s", 1, &semaphore), 0);
    is(tvn_wait_set_add_semaphore(set, semaphore), 0);
    holds(tvn_wait_set_fd(set) >= 0); /* and a thread, which the child has not */
    pid_t child = fork();
    if (child == 0) {
        is(tvn_wait_set_wait(set, ready, MOST, TVN_TRY), -TVN_EFORKED);
        is(tvn_wait_set_wait(set, ready, MOST, TVN_FOREVER), -TVN_EFORKED);
        told("fork");
        is(tvn_wait_set_add_semaphore(set, semaphore), -TVN_EFORKED);
        is(tvn_wait_set_add_timer(set, 1), -TVN_EFORKED);
        is(tvn_wait_set_remove(set, 0), -TVN_EFORKED);
        is(tvn_wait_set_fd(set), -TVN_EFORKED);
        tvn_wait_set_close(set); /* ends the handle, and nothing of the parent's */
        set = new_set();
        is(tvn_wait_set_add_semaphore(set, semaphore), 0);
        only(set, 0, TVN_FOREVER);
        tvn_wait_set_close(set);
        _exit(0);
    }
    is(exit_of(child), 0);
    only(set, 0, TVN_FOREVER);
    is(tvn_semaphore_wait(semaphore, TVN_TRY), 0);
    is(tvn_wait_set_wait(set, ready, MOST, 20), -ETIMEDOUT);
    tvn_wait_set_close(set);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}
