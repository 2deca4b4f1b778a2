/* What each of the objects for synchronisation does, and what it refuses. */
#include "check.h"
#include <pthread.h>

/* The answer of a call that another thread makes. */
static int by_another_thread(void *(*call)(void *), void *argument) {
    pthread_t thread;
    void *answer;
    is(pthread_create(&thread, NULL, call, argument), 0);
    is(pthread_join(thread, &answer), 0);
    return (int)(intptr_t)answer;
}

static pthread_t begin(void *(*body)(void *), void *argument) {
    pthread_t thread;
    is(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

static int end(pthread_t thread) {
    void *answer;
    is(pthread_join(thread, &answer), 0);
    return (int)(intptr_t)answer;
}

/* -------- semaphore -------- */

TEST(a_binary_semaphore_is_free_or_taken) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore, *other;
    is(tvn_semaphore_binary(segment, "b", true, &semaphore), 0);
    is(tvn_semaphore_max(semaphore), 1);
    is(tvn_semaphore_is_leased(semaphore), 0);
    is(tvn_semaphore_post(semaphore), -EOVERFLOW);
    told("/b");
    is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
    is(tvn_semaphore_wait(semaphore, TVN_TRY), -EAGAIN);
    is(tvn_semaphore_binary(segment, "b", true, &other), 0); /* found: `free` counts only for the creator */
    is(tvn_semaphore_value(other), 0);
    tvn_semaphore_close(other);
    is(tvn_semaphore_binary_create(segment, "b", true, &other), -EEXIST);
    is(tvn_semaphore(segment, "b", 1, &other), -TVN_EINCOMPATIBLE);
    is(tvn_semaphore_leased(segment, "b", 1, &other), -TVN_EINCOMPATIBLE);
    told("leased");
    is(tvn_semaphore_open(segment, "b", &other), 0);
    is(tvn_semaphore_post(other), 0);
    is(tvn_semaphore_wait_n(semaphore, 2, TVN_FOREVER), -EINVAL);
    tvn_semaphore_close(other);
    is(tvn_semaphore_binary_create(segment, "taken", false, &other), 0);
    is(tvn_semaphore_value(other), 0);
    tvn_semaphore_close(other);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(a_limited_semaphore_refuses_what_is_too_much_and_adds_nothing) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore, *other;
    is(tvn_semaphore_limited(segment, "s", 4, 3, &semaphore), -EINVAL);
    told("4");
    is(tvn_semaphore_limited(segment, "s", 0, 0, &semaphore), -EINVAL);
    is(tvn_semaphore_limited(segment, "s", 0, TVN_SEMAPHORE_MAX + 1u, &semaphore), -EINVAL);
    is(tvn_semaphore_limited(segment, "s", 1, 3, &semaphore), 0);
    is(tvn_semaphore_max(semaphore), 3);
    is(tvn_semaphore_limited(segment, "s", 1, 4, &other), -TVN_EINCOMPATIBLE);
    told("4");
    is(tvn_semaphore_limited_create(segment, "s", 1, 3, &other), -EEXIST);
    is(tvn_semaphore_post_n(semaphore, 3), -EOVERFLOW);
    is(tvn_semaphore_value(semaphore), 1); /* all or none */
    is(tvn_semaphore_post_n(semaphore, 2), 0);
    is(tvn_semaphore_post(semaphore), -EOVERFLOW);
    is(tvn_semaphore_post_n(semaphore, 0), -EINVAL);
    is(tvn_semaphore_wait_n(semaphore, 0, TVN_TRY), -EINVAL);
    is(tvn_semaphore_wait_n(semaphore, 4, TVN_FOREVER), -EINVAL); /* would never end */
    told("3");
    is(tvn_semaphore_wait_n(semaphore, 3, TVN_TRY), 0);
    is(tvn_semaphore_wait_n(semaphore, 1, TVN_TRY), -EAGAIN);
    is(tvn_semaphore_limited_create(segment, "new", 2, 2, &other), 0);
    is(tvn_semaphore_value(other), 2);
    tvn_semaphore_close(other);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

static void *wait_for_three(void *semaphore) {
    return (void *)(intptr_t)tvn_semaphore_wait_n(semaphore, 3, TVN_FOREVER);
}

TEST(three_permits_are_taken_at_once_or_not_at_all) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(segment, "s", 2, &semaphore), 0);
    pthread_t waiter = begin(wait_for_three, semaphore);
    until_asleep(segment, 1);
    is(tvn_semaphore_value(semaphore), 2); /* it holds none meanwhile */
    is(tvn_semaphore_post_n(semaphore, 2), 0);
    is(end(waiter), 0);
    is(tvn_semaphore_value(semaphore), 1);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

static void *post_it(void *semaphore) {
    return (void *)(intptr_t)tvn_semaphore_post(semaphore);
}

TEST(a_leased_permit_belongs_to_who_took_it) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore, *other;
    is(tvn_semaphore_leased(segment, "s", 0, &semaphore), -EINVAL);
    is(tvn_semaphore_leased(segment, "s", TVN_SEMAPHORE_LEASED_MAX + 1, &semaphore), -EINVAL);
    told("4097");
    is(tvn_semaphore_leased(segment, "s", 3, &semaphore), 0);
    is(tvn_semaphore_max(semaphore), 3);
    is(tvn_semaphore_is_leased(semaphore), 1);
    is(tvn_semaphore_post(semaphore), -EPERM);
    told("/s");
    is(tvn_semaphore_wait_n(semaphore, 2, TVN_FOREVER), 0);
    is(tvn_semaphore_value(semaphore), 1);
    is(by_another_thread(post_it, semaphore), -EPERM);
    is(tvn_semaphore_post_n(semaphore, 3), -EPERM);
    is(tvn_semaphore_value(semaphore), 1);
    tvn_object_info_t info;
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.leases, 2);
    tvn_holder_t holders[3];
    is(tvn_semaphore_holders(semaphore, holders, 3), 2);
    is(holders[0].pid, getpid());
    is(memcmp(&holders[0], &holders[1], sizeof *holders), 0); /* both are this thread's */
    is(tvn_semaphore_holders(semaphore, holders, 1), 2);
    is(tvn_semaphore_holders(semaphore, NULL, 1), -EINVAL);
    is(info.capacity, 3);
    is(info.length, 1);
    is(tvn_semaphore_post_n(semaphore, 2), 0);
    is(tvn_semaphore_post(semaphore), -EPERM);
    is(tvn_semaphore_leased(segment, "s", 4, &other), -TVN_EINCOMPATIBLE);
    is(tvn_semaphore(segment, "s", 3, &other), -TVN_EINCOMPATIBLE);
    is(tvn_semaphore_leased_create(segment, "s", 3, &other), -EEXIST);
    is(tvn_semaphore_leased_create(segment, "t", 1, &other), 0);
    is(tvn_semaphore_wait(other, TVN_TRY), 0);
    is(tvn_semaphore_post(other), 0);
    tvn_semaphore_close(other);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

/* -------- monitor -------- */

static void *leave_it(void *monitor) {
    return (void *)(intptr_t)tvn_monitor_leave(monitor);
}

TEST(one_thread_at_a_time_is_inside_a_monitor) {
    tvn_segment_t *segment = fresh_segment();
    tvn_monitor_t *monitor, *other;
    tvn_holder_t holder;
    is(tvn_monitor_open(segment, "m", &monitor), -ENOENT);
    is(tvn_monitor_create(segment, "m", &monitor), 0);
    is(tvn_monitor_create(segment, "m", &other), -EEXIST);
    is(tvn_monitor_holder(monitor, &holder), 0);
    is(tvn_monitor_leave(monitor), -EPERM);
    is(tvn_monitor_recover(monitor), -EPERM);
    is(tvn_monitor_enter(monitor, TVN_TRY), 0);
    is(tvn_monitor_holder(monitor, &holder), 1);
    is(holder.pid, getpid());
    is(tvn_monitor_enter(monitor, TVN_TRY), -EAGAIN);
    is(tvn_monitor_enter(monitor, TVN_FOREVER), -EDEADLK);
    told("/m");
    is(by_another_thread(leave_it, monitor), -EPERM);
    is(tvn_monitor(segment, "m", &other), 0);
    is(tvn_monitor_leave(other), 0); /* two handles, one monitor */
    is(tvn_monitor_leave(monitor), -EPERM);
    tvn_monitor_close(other);
    tvn_monitor_close(monitor);
    tvn_segment_close(segment);
}

TEST(a_monitor_has_seven_conditions) {
    tvn_segment_t *segment = fresh_segment();
    tvn_monitor_t *monitor;
    tvn_condition_t *conditions[TVN_CONDITIONS_MAX], *same, *none = NULL;
    char name[] = "condition 0", long_name[TVN_CONDITION_NAME_MAX + 2] = {0};
    is(tvn_monitor(segment, "m", &monitor), 0);
    memset(long_name, 'x', TVN_CONDITION_NAME_MAX + 1);
    is(tvn_condition(monitor, long_name, &none), -EINVAL);
    told("41");
    is(tvn_condition(monitor, "", &none), -EINVAL);
    is(tvn_condition(monitor, NULL, &none), -EINVAL);
    for (int i = 0; i < TVN_CONDITIONS_MAX; i++, name[10]++) is(tvn_condition(monitor, name, &conditions[i]), 0);
    is(tvn_condition(monitor, name, &none), -ENOSPC);
    told("condition 3");
    is(tvn_condition(monitor, "condition 3", &same), 0);
    holds(none == NULL);
    tvn_object_info_t info;
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.kind, TVN_KIND_MONITOR);
    is(info.length, TVN_CONDITIONS_MAX);
    is(info.holder, 0);
    tvn_condition_close(same);
    for (int i = 0; i < TVN_CONDITIONS_MAX; i++) tvn_condition_close(conditions[i]);
    tvn_monitor_close(monitor);
    tvn_segment_close(segment);
}

static struct buffer {
    tvn_monitor_t *monitor;
    tvn_condition_t *not_empty, *not_full;
    int items, taken;
} buffer;

static void *put(void *unused) {
    for (int i = 0; i < 1000; i++) {
        is(tvn_monitor_enter(buffer.monitor, TVN_FOREVER), 0);
        while (buffer.items == 4) is(tvn_condition_wait(buffer.not_full, TVN_FOREVER), 0);
        buffer.items++;
        is(tvn_condition_signal(buffer.not_empty), 0);
        is(tvn_monitor_leave(buffer.monitor), 0);
    }
    return unused;
}

static void *get(void *unused) {
    for (int i = 0; i < 1000; i++) {
        is(tvn_monitor_enter(buffer.monitor, TVN_FOREVER), 0);
        while (buffer.items == 0) is(tvn_condition_wait(buffer.not_empty, 30000), 0);
        buffer.items--;
        buffer.taken++;
        is(tvn_condition_signal(buffer.not_full), 0);
        is(tvn_monitor_leave(buffer.monitor), 0);
    }
    return unused;
}

TEST(a_bounded_buffer_in_a_monitor_loses_nothing) {
    tvn_segment_t *segment = fresh_segment();
    is(tvn_monitor(segment, "m", &buffer.monitor), 0);
    is(tvn_condition(buffer.monitor, "not empty", &buffer.not_empty), 0);
    is(tvn_condition(buffer.monitor, "not full", &buffer.not_full), 0);
    pthread_t threads[4] = {begin(put, NULL), begin(get, NULL), begin(put, NULL), begin(get, NULL)};
    for (int i = 0; i < 4; i++) is(end(threads[i]), 0);
    is(buffer.items, 0);
    is(buffer.taken, 2000);
    tvn_condition_close(buffer.not_empty);
    tvn_condition_close(buffer.not_full);
    tvn_monitor_close(buffer.monitor);
    tvn_segment_close(segment);
}

static int let_go;

static void *wait_inside(void *unused) {
    (void)unused;
    is(tvn_monitor_enter(buffer.monitor, TVN_FOREVER), 0);
    while (!let_go) is(tvn_condition_wait(buffer.not_empty, TVN_FOREVER), 0);
    let_go--;
    is(tvn_monitor_leave(buffer.monitor), 0);
    return NULL;
}

TEST(a_signal_lets_one_go_on_and_a_broadcast_all) {
    tvn_segment_t *segment = fresh_segment();
    pthread_t threads[3];
    is(tvn_monitor(segment, "m", &buffer.monitor), 0);
    is(tvn_condition(buffer.monitor, "c", &buffer.not_empty), 0);
    is(tvn_condition_signal(buffer.not_empty), 0); /* nobody waits: gone */
    is(tvn_condition_wait(buffer.not_empty, TVN_FOREVER), -EPERM);
    told("inside");
    for (int i = 0; i < 3; i++) threads[i] = begin(wait_inside, NULL);
    until_asleep(segment, 3);
    is(tvn_monitor_enter(buffer.monitor, TVN_FOREVER), 0);
    let_go = 1;
    is(tvn_condition_signal(buffer.not_empty), 0);
    is(tvn_monitor_leave(buffer.monitor), 0);
    until_asleep(segment, 2);
    is(tvn_monitor_enter(buffer.monitor, TVN_FOREVER), 0);
    is(let_go, 0);
    let_go = 2;
    is(tvn_condition_broadcast(buffer.not_empty), 0);
    is(tvn_monitor_leave(buffer.monitor), 0);
    for (int i = 0; i < 3; i++) is(end(threads[i]), 0);
    tvn_condition_close(buffer.not_empty);
    tvn_monitor_close(buffer.monitor);
    tvn_segment_close(segment);
}

TEST(a_condition_comes_back_inside) {
    tvn_segment_t *segment = fresh_segment();
    tvn_monitor_t *monitor;
    tvn_condition_t *condition;
    tvn_holder_t holder;
    is(tvn_monitor(segment, "m", &monitor), 0);
    is(tvn_condition(monitor, "c", &condition), 0);
    is(tvn_monitor_enter(monitor, TVN_FOREVER), 0);
    is(tvn_condition_wait(condition, 20), -ETIMEDOUT);
    is(tvn_monitor_holder(monitor, &holder), 1);
    is(tvn_condition_wait(condition, TVN_TRY), -EAGAIN);
    is(tvn_monitor_holder(monitor, &holder), 1);
    is(tvn_monitor_leave(monitor), 0);
    tvn_monitor_close(monitor);
    is(tvn_condition_signal(condition), 0); /* the handle is good without the monitor's */
    tvn_condition_close(condition);
    tvn_segment_close(segment);
}

/* -------- readers-writer lock -------- */

static void *read_it(void *lock) {
    int answer = tvn_rwlock_read(lock, TVN_TRY);
    if (answer == 0) is(tvn_rwlock_unlock(lock), 0);
    return (void *)(intptr_t)answer;
}

static void *write_it(void *lock) {
    int answer = tvn_rwlock_write(lock, TVN_TRY);
    if (answer == 0) is(tvn_rwlock_unlock(lock), 0);
    return (void *)(intptr_t)answer;
}

static void *unlock_it(void *lock) {
    return (void *)(intptr_t)tvn_rwlock_unlock(lock);
}

TEST(many_read_and_one_writes_whatever_the_policy) {
    tvn_segment_t *segment = fresh_segment();
    for (uint32_t policy = TVN_READERS_FIRST; policy <= TVN_FAIR; policy++) {
        tvn_rwlock_t *lock;
        tvn_holder_t holder;
        is(tvn_rwlock(segment, "l", policy, &lock), 0);
        is(tvn_rwlock_policy(lock), policy);
        is(tvn_rwlock_readers(lock), 0);
        is(tvn_rwlock_writer(lock, &holder), 0);
        is(tvn_rwlock_read(lock, TVN_FOREVER), 0);
        is(tvn_rwlock_readers(lock), 1);
        is(by_another_thread(read_it, lock), 0);
        is(by_another_thread(write_it, lock), -EAGAIN);
        is(by_another_thread(unlock_it, lock), -EPERM);
        is(tvn_rwlock_recover(lock), -EPERM);
        is(tvn_rwlock_downgrade(lock), -EPERM);
        is(tvn_rwlock_unlock(lock), 0);
        is(tvn_rwlock_unlock(lock), -EPERM);
        told("/l");
        is(tvn_rwlock_write(lock, TVN_FOREVER), 0);
        is(tvn_rwlock_writer(lock, &holder), 1);
        is(holder.pid, getpid());
        is(by_another_thread(read_it, lock), -EAGAIN);
        is(by_another_thread(write_it, lock), -EAGAIN);
        is(by_another_thread(unlock_it, lock), -EPERM);
        is(tvn_rwlock_downgrade(lock), 0);
        is(tvn_rwlock_writer(lock, &holder), 0);
        is(tvn_rwlock_readers(lock), 1);
        is(by_another_thread(read_it, lock), 0);
        is(by_another_thread(write_it, lock), -EAGAIN);
        is(tvn_rwlock_unlock(lock), 0);
        is(by_another_thread(write_it, lock), 0);
        tvn_rwlock_close(lock);
        is(tvn_segment_remove(segment, "l"), 0);
    }
    tvn_segment_close(segment);
}

TEST(a_read_lock_cannot_become_a_write_lock_and_it_says_why) {
    tvn_segment_t *segment = fresh_segment();
    tvn_rwlock_t *lock;
    is(tvn_rwlock(segment, "l", TVN_WRITERS_FIRST, &lock), 0);
    is(tvn_rwlock_read(lock, TVN_FOREVER), 0);
    is(tvn_rwlock_write(lock, TVN_FOREVER), -EDEADLK);
    told("/l");
    is(tvn_rwlock_write(lock, 30000), -EDEADLK);
    is(tvn_rwlock_unlock(lock), 0);
    is(tvn_rwlock_write(lock, TVN_FOREVER), 0);
    is(tvn_rwlock_write(lock, TVN_FOREVER), -EDEADLK);
    is(tvn_rwlock_read(lock, TVN_FOREVER), -EDEADLK);
    is(tvn_rwlock_unlock(lock), 0);
    tvn_rwlock_close(lock);
    tvn_segment_close(segment);
}

static void *write_once(void *lock) {
    is(tvn_rwlock_write(lock, TVN_FOREVER), 0);
    is(tvn_rwlock_unlock(lock), 0);
    return NULL;
}

TEST(who_reads_may_read_again_though_a_writer_waits) {
    tvn_segment_t *segment = fresh_segment();
    char name[] = "lock 0";
    for (uint32_t policy = TVN_READERS_FIRST; policy <= TVN_FAIR; policy++, name[5]++) {
        tvn_rwlock_t *lock;
        is(tvn_rwlock(segment, name, policy, &lock), 0);
        is(tvn_rwlock_read(lock, TVN_FOREVER), 0);
        pthread_t writer = begin(write_once, lock);
        until_asleep(segment, 1);
        is(tvn_rwlock_read(lock, TVN_FOREVER), 0);
        is(tvn_rwlock_read(lock, TVN_TRY), 0);
        is(tvn_rwlock_readers(lock), 3);
        for (int i = 0; i < 3; i++) is(tvn_rwlock_unlock(lock), 0);
        is(end(writer), 0);
        is(tvn_rwlock_unlock(lock), -EPERM);
        tvn_rwlock_close(lock);
    }
    tvn_segment_close(segment);
}

TEST(a_lock_has_the_policy_it_was_made_with) {
    tvn_segment_t *segment = fresh_segment();
    tvn_rwlock_t *lock, *other;
    is(tvn_rwlock(segment, "l", 0, &lock), -EINVAL);
    is(tvn_rwlock(segment, "l", 4, &lock), -EINVAL);
    told("TVN_FAIR");
    is(tvn_rwlock_open(segment, "l", &lock), -ENOENT);
    is(tvn_rwlock_create(segment, "l", TVN_FAIR, &lock), 0);
    is(tvn_rwlock_create(segment, "l", TVN_FAIR, &other), -EEXIST);
    is(tvn_rwlock(segment, "l", TVN_READERS_FIRST, &other), -TVN_EINCOMPATIBLE);
    told("fair");
    told("readers first");
    is(tvn_rwlock_open(segment, "l", &other), 0);
    is(tvn_rwlock_policy(other), TVN_FAIR);
    tvn_object_info_t info;
    is(tvn_rwlock_write(other, TVN_TRY), 0);
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.kind, TVN_KIND_RWLOCK);
    is(info.policy, TVN_FAIR);
    holds(info.holder != 0);
    is(tvn_rwlock_downgrade(other), 0);
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.holder, 0);
    is(info.length, 1);
    is(tvn_rwlock_unlock(lock), 0);
    tvn_rwlock_close(other);
    tvn_rwlock_close(lock);
    tvn_segment_close(segment);
}

static struct counted {
    tvn_rwlock_t *lock;
    long number, twice;
} counted;

static void *write_often(void *unused) {
    for (int i = 0; i < 500; i++) {
        is(tvn_rwlock_write(counted.lock, TVN_FOREVER), 0);
        counted.number++;
        counted.twice += 2;
        is(tvn_rwlock_unlock(counted.lock), 0);
    }
    return unused;
}

static void *read_often(void *unused) {
    for (int i = 0; i < 500; i++) {
        is(tvn_rwlock_read(counted.lock, TVN_FOREVER), 0);
        is(counted.twice, 2 * counted.number);
        is(tvn_rwlock_unlock(counted.lock), 0);
    }
    return unused;
}

TEST(a_reader_sees_no_half_of_a_write_whatever_the_policy) {
    tvn_segment_t *segment = fresh_segment();
    char name[] = "lock 0";
    for (uint32_t policy = TVN_READERS_FIRST; policy <= TVN_FAIR; policy++, name[5]++) {
        counted.number = counted.twice = 0;
        is(tvn_rwlock(segment, name, policy, &counted.lock), 0);
        pthread_t threads[4] = {begin(write_often, NULL), begin(read_often, NULL), begin(write_often, NULL),
                                begin(read_often, NULL)};
        for (int i = 0; i < 4; i++) is(end(threads[i]), 0);
        is(counted.number, 1000);
        tvn_rwlock_close(counted.lock);
    }
    tvn_segment_close(segment);
}

/* -------- barrier -------- */

static void *arrive(void *barrier) {
    return (void *)(intptr_t)tvn_barrier_wait(barrier, TVN_FOREVER);
}

TEST(one_of_those_who_meet_at_a_barrier_leads_every_round) {
    tvn_segment_t *segment = fresh_segment();
    tvn_barrier_t *barrier, *other;
    is(tvn_barrier(segment, "b", 3, &barrier), 0);
    is(tvn_barrier_parties(barrier), 3);
    is(tvn_barrier_is_broken(barrier), 0);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[2] = {begin(arrive, barrier), begin(arrive, barrier)};
        int leaders = tvn_barrier_wait(barrier, 30000);
        for (int i = 0; i < 2; i++) leaders += end(threads[i]);
        is(leaders, 1);
        is(tvn_barrier_arrived(barrier), 0);
    }
    pthread_t threads[2] = {begin(arrive, barrier), begin(arrive, barrier)};
    until_asleep(segment, 2);
    is(tvn_barrier_arrived(barrier), 2);
    tvn_object_info_t info;
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.kind, TVN_KIND_BARRIER);
    is(info.capacity, 3);
    is(info.length, 2);
    is(info.broken, false);
    is(tvn_barrier_wait(barrier, TVN_TRY), 1); /* the last one leads */
    is(end(threads[0]) + end(threads[1]), 0);
    is(tvn_barrier_open(segment, "b", &other), 0);
    is(tvn_barrier_parties(other), 3);
    tvn_barrier_close(other);
    tvn_barrier_close(barrier);
    tvn_segment_close(segment);
}

TEST(who_gives_up_at_a_barrier_has_not_arrived) {
    tvn_segment_t *segment = fresh_segment();
    tvn_barrier_t *barrier;
    is(tvn_barrier(segment, "b", 2, &barrier), 0);
    is(tvn_barrier_wait(barrier, TVN_TRY), -EAGAIN);
    is(tvn_barrier_arrived(barrier), 0);
    is(tvn_barrier_wait(barrier, 20), -ETIMEDOUT);
    is(tvn_barrier_arrived(barrier), 0);
    tvn_barrier_close(barrier);
    is(tvn_barrier(segment, "alone", 1, &barrier), 0);
    is(tvn_barrier_wait(barrier, TVN_TRY), 1);
    is(tvn_barrier_wait(barrier, TVN_FOREVER), 1);
    tvn_barrier_close(barrier);
    tvn_segment_close(segment);
}

TEST(a_reset_breaks_the_round_and_begins_a_new_one) {
    tvn_segment_t *segment = fresh_segment();
    tvn_barrier_t *barrier;
    is(tvn_barrier(segment, "b", 2, &barrier), 0);
    pthread_t thread = begin(arrive, barrier);
    until_asleep(segment, 1);
    is(tvn_barrier_reset(barrier), 0);
    is(end(thread), -TVN_EBROKEN);
    is(tvn_barrier_is_broken(barrier), 0);
    thread = begin(arrive, barrier);
    int leaders = tvn_barrier_wait(barrier, 30000);
    is(leaders + end(thread), 1);
    tvn_barrier_close(barrier);
    tvn_segment_close(segment);
}

TEST(a_barrier_is_for_one_or_more) {
    tvn_segment_t *segment = fresh_segment();
    tvn_barrier_t *barrier, *other;
    is(tvn_barrier(segment, "b", 0, &barrier), -EINVAL);
    told("\"b\"");
    is(tvn_barrier_create(segment, "b", 0, &barrier), -EINVAL);
    is(tvn_barrier(segment, "b", TVN_BARRIER_MAX + 1, &barrier), -EINVAL);
    told("65536");
    is(tvn_barrier_open(segment, "b", &barrier), -ENOENT);
    is(tvn_barrier_create(segment, "b", TVN_BARRIER_MAX, &barrier), 0);
    is(tvn_barrier_create(segment, "b", TVN_BARRIER_MAX, &other), -EEXIST);
    is(tvn_barrier(segment, "b", 2, &other), -TVN_EINCOMPATIBLE);
    told("65535");
    tvn_barrier_close(barrier);
    tvn_segment_close(segment);
}

/* -------- event -------- */

TEST(flags_are_set_and_cleared_and_tell_what_was_before) {
    tvn_segment_t *segment = fresh_segment();
    tvn_event_t *event, *other;
    uint32_t flags = 99;
    is(tvn_event_open(segment, "e", &event), -ENOENT);
    is(tvn_event_create(segment, "e", 1, &event), 0);
    is(tvn_event_create(segment, "e", 1, &other), -EEXIST);
    is(tvn_event(segment, "e", 6, &other), 0); /* found: 6 counts only for the creator */
    is(tvn_event_flags(other), 1);
    is(tvn_event_set(event, 0x80000000u, &flags), 0);
    is(flags, 1);
    is(tvn_event_flags(event), 0x80000001);
    is(tvn_event_set(event, 2, NULL), 0);
    is(tvn_event_clear(event, 1, &flags), 0);
    is(flags, 0x80000003);
    is(tvn_event_clear(event, 0x80000000u, NULL), 0);
    is(tvn_event_flags(event), 2);
    tvn_object_info_t info;
    is(tvn_segment_objects(segment, &info, 1), 1);
    is(info.kind, TVN_KIND_EVENT);
    is(info.flags, 2);
    tvn_event_close(other);
    tvn_event_close(event);
    tvn_segment_close(segment);
}

TEST(a_wait_is_for_any_or_for_all_and_clears_what_it_was_for) {
    tvn_segment_t *segment = fresh_segment();
    tvn_event_t *event;
    uint32_t seen = 99;
    is(tvn_event(segment, "e", 0, &event), 0);
    is(tvn_event_wait_any(event, 0, false, TVN_FOREVER, &seen), -EINVAL);
    is(tvn_event_wait_all(event, 0, false, TVN_FOREVER), -EINVAL);
    told("/e");
    is(tvn_event_wait_any(event, 3, false, TVN_TRY, &seen), -EAGAIN);
    is(seen, 99); /* untouched */
    is(tvn_event_set(event, 5, NULL), 0);
    is(tvn_event_wait_any(event, 3, false, TVN_TRY, &seen), 0);
    is(seen, 1);
    is(tvn_event_wait_all(event, 3, true, TVN_TRY), -EAGAIN);
    is(tvn_event_flags(event), 5);
    is(tvn_event_wait_any(event, 7, true, TVN_FOREVER, &seen), 0);
    is(seen, 5);
    is(tvn_event_flags(event), 0);
    is(tvn_event_set(event, 0x80000007u, NULL), 0);
    is(tvn_event_wait_all(event, 0x80000001u, true, 30000), 0);
    is(tvn_event_flags(event), 6);
    is(tvn_event_wait_any(event, 2, true, TVN_TRY, NULL), 0);
    is(tvn_event_flags(event), 4);
    tvn_event_close(event);
    tvn_segment_close(segment);
}

static void *wait_for_three_flags(void *event) {
    return (void *)(intptr_t)tvn_event_wait_all(event, 7, true, TVN_FOREVER);
}

TEST(the_last_flag_ends_a_wait_for_all) {
    tvn_segment_t *segment = fresh_segment();
    tvn_event_t *event;
    is(tvn_event(segment, "e", 0, &event), 0);
    pthread_t thread = begin(wait_for_three_flags, event);
    until_asleep(segment, 1);
    is(tvn_event_set(event, 1, NULL), 0);
    is(tvn_event_set(event, 4, NULL), 0);
    is(tvn_event_flags(event), 5);
    is(tvn_event_set(event, 2, NULL), 0);
    is(end(thread), 0);
    is(tvn_event_flags(event), 0);
    tvn_event_close(event);
    tvn_segment_close(segment);
}
