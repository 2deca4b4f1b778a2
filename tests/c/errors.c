/* Every wrong use has its number and a story that names the value. */
#include "check.h"
#include <pthread.h>

#define UNTOUCHED(type) ((type *)(uintptr_t)0x10)

TEST(a_bad_name_is_refused_and_the_output_untouched) {
    char long_name[65] = {0};
    memset(long_name, 'x', 64);
    const char *bad[] = {NULL, "", "a/b", "..", "a\nb", "\xff\xfe", long_name};
    tvn_segment_t *segment = fresh_segment();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tvn_segment_t *none = UNTOUCHED(tvn_segment_t);
        is(tvn_segment_create(bad[i], TVN_DEFAULT_SIZE, 0600, &none), -EINVAL);
        is(tvn_segment_open(bad[i], &none), -EINVAL);
        is(tvn_segment_open_or_create(bad[i], TVN_DEFAULT_SIZE, 0600, &none), -EINVAL);
        is(tvn_segment_unlink(bad[i]), -EINVAL);
        is(tvn_segment_remove(segment, bad[i]), -EINVAL);
        holds(none == UNTOUCHED(tvn_segment_t));
        tvn_mailbox_t *box = UNTOUCHED(tvn_mailbox_t);
        is(tvn_mailbox(segment, bad[i], 1, 1, &box), -EINVAL);
        is(tvn_mailbox_open(segment, bad[i], &box), -EINVAL);
        holds(box == UNTOUCHED(tvn_mailbox_t));
        tvn_semaphore_t *semaphore = NULL;
        is(tvn_semaphore_create(segment, bad[i], 1, &semaphore), -EINVAL);
        tvn_mutex_t *mutex = NULL;
        is(tvn_mutex(segment, bad[i], &mutex), -EINVAL);
        tvn_ring_t *ring = NULL;
        is(tvn_ring(segment, bad[i], 4096, &ring), -EINVAL);
        tvn_semaphore_t *permits = UNTOUCHED(tvn_semaphore_t);
        is(tvn_semaphore_binary(segment, bad[i], true, &permits), -EINVAL);
        is(tvn_semaphore_leased_create(segment, bad[i], 1, &permits), -EINVAL);
        is(tvn_semaphore_limited(segment, bad[i], 1, 1, &permits), -EINVAL);
        holds(permits == UNTOUCHED(tvn_semaphore_t));
        tvn_monitor_t *monitor = UNTOUCHED(tvn_monitor_t);
        is(tvn_monitor(segment, bad[i], &monitor), -EINVAL);
        is(tvn_monitor_open(segment, bad[i], &monitor), -EINVAL);
        holds(monitor == UNTOUCHED(tvn_monitor_t));
        tvn_rwlock_t *rwlock = UNTOUCHED(tvn_rwlock_t);
        is(tvn_rwlock(segment, bad[i], TVN_FAIR, &rwlock), -EINVAL);
        is(tvn_rwlock_open(segment, bad[i], &rwlock), -EINVAL);
        holds(rwlock == UNTOUCHED(tvn_rwlock_t));
        tvn_barrier_t *barrier = UNTOUCHED(tvn_barrier_t);
        is(tvn_barrier(segment, bad[i], 1, &barrier), -EINVAL);
        is(tvn_barrier_open(segment, bad[i], &barrier), -EINVAL);
        holds(barrier == UNTOUCHED(tvn_barrier_t));
        tvn_event_t *event = UNTOUCHED(tvn_event_t);
        is(tvn_event(segment, bad[i], 1, &event), -EINVAL);
        is(tvn_event_open(segment, bad[i], &event), -EINVAL);
        holds(event == UNTOUCHED(tvn_event_t));
        told("name");
    }
    tvn_segment_close(segment);
}

TEST(null_is_refused_everywhere_and_fine_to_close) {
    tvn_segment_t *segment = NULL;
    tvn_semaphore_t *semaphore = NULL;
    tvn_mutex_t *mutex = NULL;
    tvn_mailbox_t *mailbox = NULL;
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    tvn_monitor_t *monitor = NULL;
    tvn_condition_t *condition = NULL;
    tvn_rwlock_t *rwlock = NULL;
    tvn_barrier_t *barrier = NULL;
    tvn_event_t *event = NULL;
    tvn_watcher_t *watcher = NULL;
    tvn_holder_t holder;
    tvn_loan_t loan = {0};
    uint32_t count;
    void *room;
    const void *record;
    char text[8];
    is(tvn_segment_create(fresh, TVN_DEFAULT_SIZE, 0600, NULL), -EINVAL);
    is(tvn_segment_open(fresh, &segment), -ENOENT); /* what could not be handed over was not made */
    is(tvn_segment_anonymous(TVN_DEFAULT_SIZE, NULL), -EINVAL);
    is(tvn_segment_from_fd(-1, &segment), -EINVAL);
    is(tvn_segment_fd(NULL), -EINVAL);
    is(tvn_segment_size(NULL), -EINVAL);
    is(tvn_segment_is_unlinked(NULL), -EINVAL);
    is(tvn_segment_remove(NULL, "x"), -EINVAL);
    is(tvn_segment_sweep(NULL), -EINVAL);
    is(tvn_segment_objects(NULL, NULL, 0), -EINVAL);
    is(tvn_segment_participants(NULL, NULL, 0), -EINVAL);
    is(tvn_semaphore(NULL, "s", 0, &semaphore), -EINVAL);
    is(tvn_semaphore_create(NULL, "s", 0, &semaphore), -EINVAL);
    is(tvn_semaphore_open(NULL, "s", &semaphore), -EINVAL);
    is(tvn_semaphore_wait(NULL, 0), -EINVAL);
    is(tvn_semaphore_post(NULL), -EINVAL);
    is(tvn_semaphore_value(NULL), -EINVAL);
    is(tvn_semaphore_binary(NULL, "s", true, &semaphore), -EINVAL);
    is(tvn_semaphore_binary_create(NULL, "s", true, &semaphore), -EINVAL);
    is(tvn_semaphore_limited(NULL, "s", 1, 1, &semaphore), -EINVAL);
    is(tvn_semaphore_limited_create(NULL, "s", 1, 1, &semaphore), -EINVAL);
    is(tvn_semaphore_leased(NULL, "s", 1, &semaphore), -EINVAL);
    is(tvn_semaphore_leased_create(NULL, "s", 1, &semaphore), -EINVAL);
    is(tvn_semaphore_wait_n(NULL, 1, 0), -EINVAL);
    is(tvn_semaphore_post_n(NULL, 1), -EINVAL);
    is(tvn_semaphore_max(NULL), -EINVAL);
    is(tvn_semaphore_is_leased(NULL), -EINVAL);
    is(tvn_semaphore_holders(NULL, NULL, 0), -EINVAL);
    is(tvn_monitor(NULL, "m", &monitor), -EINVAL);
    is(tvn_monitor_create(NULL, "m", &monitor), -EINVAL);
    is(tvn_monitor_open(NULL, "m", &monitor), -EINVAL);
    is(tvn_monitor_enter(NULL, 0), -EINVAL);
    is(tvn_monitor_leave(NULL), -EINVAL);
    is(tvn_monitor_recover(NULL), -EINVAL);
    is(tvn_monitor_holder(NULL, &holder), -EINVAL);
    is(tvn_condition(NULL, "c", &condition), -EINVAL);
    is(tvn_condition_wait(NULL, 0), -EINVAL);
    is(tvn_condition_signal(NULL), -EINVAL);
    is(tvn_condition_broadcast(NULL), -EINVAL);
    is(tvn_rwlock(NULL, "l", TVN_FAIR, &rwlock), -EINVAL);
    is(tvn_rwlock_create(NULL, "l", TVN_FAIR, &rwlock), -EINVAL);
    is(tvn_rwlock_open(NULL, "l", &rwlock), -EINVAL);
    is(tvn_rwlock_read(NULL, 0), -EINVAL);
    is(tvn_rwlock_write(NULL, 0), -EINVAL);
    is(tvn_rwlock_unlock(NULL), -EINVAL);
    is(tvn_rwlock_downgrade(NULL), -EINVAL);
    is(tvn_rwlock_recover(NULL), -EINVAL);
    is(tvn_rwlock_writer(NULL, &holder), -EINVAL);
    is(tvn_rwlock_readers(NULL), -EINVAL);
    is(tvn_rwlock_policy(NULL), -EINVAL);
    is(tvn_barrier(NULL, "b", 1, &barrier), -EINVAL);
    is(tvn_barrier_create(NULL, "b", 1, &barrier), -EINVAL);
    is(tvn_barrier_open(NULL, "b", &barrier), -EINVAL);
    is(tvn_barrier_wait(NULL, 0), -EINVAL);
    is(tvn_barrier_reset(NULL), -EINVAL);
    is(tvn_barrier_arrived(NULL), -EINVAL);
    is(tvn_barrier_parties(NULL), -EINVAL);
    is(tvn_barrier_is_broken(NULL), -EINVAL);
    is(tvn_event(NULL, "e", 0, &event), -EINVAL);
    is(tvn_event_create(NULL, "e", 0, &event), -EINVAL);
    is(tvn_event_open(NULL, "e", &event), -EINVAL);
    is(tvn_event_set(NULL, 1, NULL), -EINVAL);
    is(tvn_event_clear(NULL, 1, NULL), -EINVAL);
    is(tvn_event_flags(NULL), -EINVAL);
    is(tvn_event_wait_any(NULL, 1, false, 0, NULL), -EINVAL);
    is(tvn_event_wait_all(NULL, 1, false, 0), -EINVAL);
    is(tvn_segment_waits(NULL, NULL, 0), -EINVAL);
    is(tvn_segment_deadlocks(NULL, NULL, 0), -EINVAL);
    is(tvn_segment_deadlock(NULL, NULL, 0), -EINVAL);
    is(tvn_segment_detects_deadlocks(NULL), -EINVAL);
    is(tvn_segment_watch(NULL, &watcher), -EINVAL);
    is(tvn_watcher_deaths(NULL), -EINVAL);
    is(tvn_mutex(NULL, "l", &mutex), -EINVAL);
    is(tvn_mutex_create(NULL, "l", &mutex), -EINVAL);
    is(tvn_mutex_open(NULL, "l", &mutex), -EINVAL);
    is(tvn_mutex_lock(NULL, 0), -EINVAL);
    is(tvn_mutex_unlock(NULL), -EINVAL);
    is(tvn_mutex_recover(NULL), -EINVAL);
    is(tvn_mutex_holder(NULL, &holder), -EINVAL);
    is(tvn_mailbox(NULL, "m", 1, 1, &mailbox), -EINVAL);
    is(tvn_mailbox_create(NULL, "m", 1, 1, &mailbox), -EINVAL);
    is(tvn_mailbox_open(NULL, "m", &mailbox), -EINVAL);
    is(tvn_mailbox_send(NULL, "x", 1, 0), -EINVAL);
    is(tvn_mailbox_receive(NULL, text, 8, 0), -EINVAL);
    is(tvn_mailbox_receive_counted(NULL, text, 8, 0, &count), -EINVAL);
    is(tvn_mailbox_peek(NULL, text, 8, 0), -EINVAL);
    is(tvn_mailbox_reserve(NULL, 1, 0, &loan), -EINVAL);
    is(tvn_mailbox_commit(NULL, &loan, 1), -EINVAL);
    is(tvn_mailbox_cancel(NULL, &loan), -EINVAL);
    is(tvn_mailbox_capacity(NULL), -EINVAL);
    is(tvn_mailbox_message_size(NULL), -EINVAL);
    is(tvn_mailbox_length(NULL), -EINVAL);
    is(tvn_mailbox_voided(NULL), -EINVAL);
    is(tvn_ring(NULL, "r", 4096, &ring), -EINVAL);
    is(tvn_ring_create(NULL, "r", 4096, &ring), -EINVAL);
    is(tvn_ring_open(NULL, "r", &ring), -EINVAL);
    is(tvn_ring_size(NULL), -EINVAL);
    is(tvn_ring_max_record(NULL), -EINVAL);
    is(tvn_ring_producer(NULL, &producer), -EINVAL);
    is(tvn_ring_consumer(NULL, &consumer), -EINVAL);
    is(tvn_producer_write(NULL, "x", 1, 0), -EINVAL);
    is(tvn_producer_reserve(NULL, 1, 0, &room), -EINVAL);
    is(tvn_producer_commit(NULL, 1), -EINVAL);
    is(tvn_producer_cancel(NULL), -EINVAL);
    is(tvn_consumer_read(NULL, text, 8, 0), -EINVAL);
    is(tvn_consumer_peek(NULL, 0, &record), -EINVAL);
    is(tvn_consumer_release(NULL), -EINVAL);
    is(tvn_consumer_keep(NULL), -EINVAL);
    told("NULL");
    tvn_segment_close(NULL);
    tvn_semaphore_close(NULL);
    tvn_mutex_close(NULL);
    tvn_monitor_close(NULL);
    tvn_condition_close(NULL);
    tvn_rwlock_close(NULL);
    tvn_barrier_close(NULL);
    tvn_event_close(NULL);
    tvn_watcher_close(NULL);
    tvn_mailbox_close(NULL);
    tvn_ring_close(NULL);
    tvn_producer_close(NULL);
    tvn_consumer_close(NULL);
}

TEST(a_place_for_the_answer_must_be_there_before_anything_is_taken) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    tvn_mutex_t *mutex = NULL;
    char text[8];
    is(tvn_mailbox(segment, "m", 1, 8, &mailbox), 0);
    is(tvn_mailbox_send(mailbox, NULL, 1, TVN_TRY), -EINVAL);
    is(tvn_mailbox_send(mailbox, "x", (size_t)-1, TVN_TRY), -EINVAL);
    is(tvn_mailbox_reserve(mailbox, 1, TVN_TRY, NULL), -EINVAL);
    is(tvn_mailbox_commit(mailbox, NULL, 1), -EINVAL);
    is(tvn_mailbox_send(mailbox, "x", 1, TVN_TRY), 0); /* the only place is still free */
    is(tvn_mailbox_receive(mailbox, NULL, 8, TVN_TRY), -EINVAL);
    is(tvn_mailbox_receive(mailbox, text, (size_t)-1, TVN_TRY), -EINVAL);
    is(tvn_mailbox_receive_counted(mailbox, text, 8, TVN_TRY, NULL), -EINVAL);
    is(tvn_mailbox_receive(mailbox, text, 8, TVN_TRY), 1); /* and the message still there */
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_producer(ring, NULL), -EINVAL);
    is(tvn_ring_consumer(ring, NULL), -EINVAL);
    is(tvn_ring_producer(ring, &producer), 0); /* the roles too */
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(tvn_producer_reserve(producer, 1, TVN_TRY, NULL), -EINVAL);
    is(tvn_consumer_peek(consumer, TVN_TRY, NULL), -EINVAL);
    is(tvn_segment_objects(segment, NULL, 1), -EINVAL);
    is(tvn_mutex(segment, "l", &mutex), 0);
    is(tvn_mutex_holder(mutex, NULL), -EINVAL);
    tvn_mutex_close(mutex);
    tvn_monitor_t *monitor = NULL;
    tvn_rwlock_t *rwlock = NULL;
    is(tvn_monitor(segment, "o", NULL), -EINVAL);
    is(tvn_monitor_open(segment, "o", &monitor), -ENOENT); /* what could not be handed over was not made */
    is(tvn_monitor(segment, "o", &monitor), 0);
    is(tvn_condition(monitor, "c", NULL), -EINVAL);
    is(tvn_monitor_holder(monitor, NULL), -EINVAL);
    is(tvn_rwlock(segment, "w", TVN_FAIR, NULL), -EINVAL);
    is(tvn_rwlock(segment, "w", TVN_FAIR, &rwlock), 0);
    is(tvn_rwlock_writer(rwlock, NULL), -EINVAL);
    is(tvn_barrier(segment, "b", 1, NULL), -EINVAL);
    is(tvn_event(segment, "e", 0, NULL), -EINVAL);
    is(tvn_semaphore_leased(segment, "s", 1, NULL), -EINVAL);
    tvn_rwlock_close(rwlock);
    tvn_monitor_close(monitor);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(create_wants_a_free_name_and_open_a_taken_one) {
    tvn_segment_t *segment = fresh_segment(), *again = NULL;
    tvn_semaphore_t *semaphore = NULL, *other = NULL;
    is(tvn_segment_create(fresh, TVN_DEFAULT_SIZE, 0600, &again), -EEXIST);
    told(fresh);
    is(tvn_semaphore_open(segment, "s", &semaphore), -ENOENT);
    told("\"s\"");
    is(tvn_semaphore_create(segment, "s", 1, &semaphore), 0);
    is(tvn_semaphore_create(segment, "s", 1, &other), -EEXIST);
    is(tvn_semaphore(segment, "s", 99, &other), 0); /* found: 99 counts only for the creator */
    is(tvn_semaphore_value(other), 1);
    tvn_semaphore_close(semaphore);
    tvn_semaphore_close(other);
    is(tvn_segment_remove(segment, "s"), 0);
    is(tvn_segment_remove(segment, "s"), -ENOENT);
    is(tvn_segment_is_unlinked(segment), 0);
    is(tvn_segment_unlink(fresh), 0);
    is(tvn_segment_is_unlinked(segment), 1);
    is(tvn_segment_unlink(fresh), -ENOENT);
    is(tvn_segment_open(fresh, &again), -ENOENT);
    told(fresh);
    tvn_segment_close(segment);
}

TEST(another_kind_or_geometry_is_refused_and_both_are_named) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL, *other = NULL;
    tvn_mutex_t *mutex = NULL;
    tvn_semaphore_t *semaphore = NULL;
    tvn_ring_t *ring = NULL, *larger = NULL;
    is(tvn_mailbox(segment, "m", 10, 256, &mailbox), 0);
    is(tvn_mutex(segment, "m", &mutex), -TVN_EINCOMPATIBLE);
    told("mailbox");
    told("mutex");
    is(tvn_semaphore_open(segment, "m", &semaphore), -TVN_EINCOMPATIBLE);
    tvn_monitor_t *monitor = NULL;
    tvn_rwlock_t *rwlock = NULL;
    tvn_barrier_t *barrier = NULL;
    tvn_event_t *event = NULL;
    is(tvn_monitor(segment, "m", &monitor), -TVN_EINCOMPATIBLE);
    told("monitor");
    is(tvn_rwlock_open(segment, "m", &rwlock), -TVN_EINCOMPATIBLE);
    is(tvn_barrier(segment, "m", 2, &barrier), -TVN_EINCOMPATIBLE);
    is(tvn_event(segment, "m", 0, &event), -TVN_EINCOMPATIBLE);
    told("mailbox");
    is(tvn_mailbox(segment, "m", 20, 256, &other), -TVN_EINCOMPATIBLE);
    told("10");
    told("20");
    is(tvn_mailbox(segment, "m", 10, 512, &other), -TVN_EINCOMPATIBLE);
    told("256");
    told("512");
    is(tvn_mailbox_open(segment, "m", &other), 0);
    is(tvn_mailbox_capacity(other), 10);
    is(tvn_mailbox_message_size(other), 256);
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring(segment, "r", 8192, &larger), -TVN_EINCOMPATIBLE);
    told("4096");
    told("8192");
    tvn_ring_close(ring);
    tvn_mailbox_close(mailbox);
    tvn_mailbox_close(other);
    tvn_segment_close(segment);
}

TEST(what_is_too_large_is_refused_and_nothing_is_lost) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    tvn_loan_t loan;
    static char big[8192];
    char small[4];
    void *room;
    is(tvn_mailbox(segment, "m", 2, 100, &mailbox), 0);
    is(tvn_mailbox_send(mailbox, big, 101, TVN_TRY), -EMSGSIZE);
    told("101");
    told("100");
    is(tvn_mailbox_reserve(mailbox, 101, TVN_TRY, &loan), -EMSGSIZE);
    is(tvn_mailbox_send(mailbox, "12345", 5, TVN_TRY), 0);
    is(tvn_mailbox_receive(mailbox, small, sizeof small, TVN_TRY), -EMSGSIZE);
    is(tvn_mailbox_receive(mailbox, big, 100, TVN_TRY), 5);
    is(tvn_mailbox_reserve(mailbox, 10, TVN_TRY, &loan), 0);
    is(tvn_mailbox_commit(mailbox, &loan, 11), -EMSGSIZE);
    is(tvn_mailbox_commit(mailbox, &loan, 10), 0); /* the loan was still good */
    is(tvn_mailbox_receive(mailbox, big, 100, TVN_TRY), 10);

    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(tvn_producer_write(producer, big, 4096, TVN_TRY), -EMSGSIZE);
    told("4096");
    is(tvn_producer_reserve(producer, 4096, TVN_TRY, &room), -EMSGSIZE);
    is(tvn_producer_write(producer, "12345", 5, TVN_TRY), 0);
    is(tvn_consumer_read(consumer, small, sizeof small, TVN_TRY), -EMSGSIZE);
    is(tvn_consumer_read(consumer, big, sizeof big, TVN_TRY), 5);
    is(tvn_producer_reserve(producer, 10, TVN_TRY, &room), 0);
    is(tvn_producer_commit(producer, 11), -EMSGSIZE);
    is(tvn_producer_commit(producer, 10), 0); /* it was still reserved */
    is(tvn_consumer_read(consumer, big, sizeof big, TVN_TRY), 10);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_full_segment_says_so) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_ring_t *ring = NULL;
    is(tvn_mailbox(segment, "m", 1000, 1 << 20, &mailbox), -ENOSPC);
    told("4194304");
    is(tvn_ring(segment, "r", 64 << 20, &ring), -ENOSPC);
    is(tvn_mailbox(segment, "m", 10, 16, &mailbox), 0); /* the failure left no name behind */
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_count_has_its_limit) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore = NULL;
    is(tvn_semaphore(segment, "s", TVN_SEMAPHORE_MAX + 1u, &semaphore), -EINVAL);
    told("2147483648");
    is(tvn_semaphore(segment, "s", TVN_SEMAPHORE_MAX, &semaphore), 0);
    is(tvn_semaphore_post(semaphore), -EOVERFLOW);
    is(tvn_semaphore_value(semaphore), TVN_SEMAPHORE_MAX);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

static void *unlock_it(void *mutex) {
    return (void *)(intptr_t)tvn_mutex_unlock((tvn_mutex_t *)mutex);
}

TEST(a_lock_belongs_to_its_thread) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mutex_t *mutex = NULL;
    pthread_t thread;
    void *answer;
    is(tvn_mutex(segment, "l", &mutex), 0);
    is(tvn_mutex_unlock(mutex), -EPERM);
    is(tvn_mutex_recover(mutex), -EPERM);
    is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
    is(tvn_mutex_lock(mutex, TVN_FOREVER), -EDEADLK);
    told("/l");
    is(pthread_create(&thread, NULL, unlock_it, mutex), 0);
    is(pthread_join(thread, &answer), 0);
    is((intptr_t)answer, -EPERM);
    is(tvn_mutex_unlock(mutex), 0);
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

TEST(a_loan_ends_once_and_a_forged_one_is_refused) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_loan_t loan, forged;
    is(tvn_mailbox(segment, "m", 4, 64, &mailbox), 0);
    is(tvn_mailbox_reserve(mailbox, 8, TVN_TRY, &loan), 0);
    is(tvn_mailbox_cancel(mailbox, &loan), 0);
    is(tvn_mailbox_cancel(mailbox, &loan), -EPERM);
    is(tvn_mailbox_reserve(mailbox, 8, TVN_TRY, &loan), 0);
    forged = loan;
    forged.index = 0xFFFFFFFF;
    holds(tvn_mailbox_commit(mailbox, &forged, 8) < 0);
    forged = loan;
    forged.word++;
    holds(tvn_mailbox_commit(mailbox, &forged, 8) < 0);
    forged = loan;
    forged.size = 0xFFFFFFFF;
    holds(tvn_mailbox_commit(mailbox, &forged, 65) < 0);
    is(tvn_mailbox_commit(mailbox, &loan, 8), 0);
    is(tvn_mailbox_commit(mailbox, &loan, 8), -EPERM);
    is(tvn_mailbox_length(mailbox), 1);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_ring_has_one_end_of_each_kind) {
    tvn_segment_t *segment = fresh_segment();
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL, *second = NULL;
    tvn_consumer_t *consumer = NULL, *other = NULL;
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_producer(ring, &second), -EBUSY);
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(tvn_ring_consumer(ring, &other), -EBUSY);
    told("/r");
    is(tvn_producer_commit(producer, 1), -EINVAL);
    is(tvn_consumer_release(consumer), -EINVAL);
    tvn_producer_close(producer);
    is(tvn_ring_producer(ring, &second), 0); /* given back, so it is free */
    tvn_producer_close(second);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(a_file_that_is_no_segment_is_refused) {
    char path[128];
    tvn_segment_t *segment = NULL;
    snprintf(path, sizeof path, "/dev/shm/triveni.%s", fresh);
    FILE *file = fopen(path, "w");
    holds(file != NULL);
    is(fwrite(path, 1, sizeof path, file), sizeof path);
    fclose(file);
    holds(tvn_segment_open(fresh, &segment) < 0);
    told(fresh);
    is(unlink(path), 0);
    int null = dup(0);
    close(null);
    holds(tvn_segment_from_fd(null, &segment) < 0);
    int fds[2];
    is(pipe(fds), 0);
    holds(tvn_segment_from_fd(fds[0], &segment) < 0);
}

static void *last_error_of_a_new_thread(void *unused) {
    (void)unused;
    return (void *)(uintptr_t)strlen(tvn_last_error());
}

TEST(the_last_error_is_the_threads_own_and_stays_over_a_success) {
    tvn_segment_t *segment = NULL;
    pthread_t thread;
    void *length;
    is(tvn_segment_open(fresh, &segment), -ENOENT);
    const char *story = tvn_last_error();
    holds(strstr(story, fresh) != NULL);
    segment = fresh_segment();
    holds(tvn_last_error() == story && strstr(story, fresh) != NULL);
    is(pthread_create(&thread, NULL, last_error_of_a_new_thread, NULL), 0);
    is(pthread_join(thread, &length), 0);
    is((uintptr_t)length, 0);
    tvn_segment_close(segment);
}

TEST(perror_prints_the_story_after_the_prefix) {
    tvn_segment_t *segment = NULL;
    int fds[2];
    char line[512] = "", wanted[512];
    is(tvn_segment_open(fresh, &segment), -ENOENT);
    is(pipe(fds), 0);
    int old = dup(2);
    dup2(fds[1], 2);
    tvn_perror("sensor");
    tvn_perror(NULL);
    dup2(old, 2);
    holds(read(fds[0], line, sizeof line - 1) > 0);
    snprintf(wanted, sizeof wanted, "sensor: %s\n%s\n", tvn_last_error(), tvn_last_error());
    is(strcmp(line, wanted), 0);
}

TEST(any_number_has_a_sentence) {
    for (int number = -2000; number < 2000; number++) holds(tvn_strerror(number)[0] != 0);
    is(strcmp(tvn_strerror(-TVN_EFORKED), tvn_strerror(TVN_EFORKED)), 0);
    is(strcmp(tvn_strerror(0), "success"), 0);
}
