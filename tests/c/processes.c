/* Fork in between, death in between, and segments that have no name. */
#include "check.h"

TEST(a_child_uses_what_its_parent_opened) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox;
    tvn_semaphore_t *semaphore;
    tvn_mutex_t *mutex;
    char text[16];
    tvn_participant_info_t participants[4];
    is(tvn_mailbox(segment, "m", 4, 16, &mailbox), 0);
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    is(tvn_mutex(segment, "l", &mutex), 0);
    is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_mutex_unlock(mutex), -EPERM); /* the parent's */
        is(tvn_mutex_lock(mutex, TVN_TRY), -EAGAIN);
        is(tvn_segment_participants(segment, participants, 4), 2);
        is(tvn_mailbox_send(mailbox, "from the child", 14, TVN_FOREVER), 0);
        is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
        is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
        is(tvn_mutex_unlock(mutex), 0);
        _exit(0);
    }
    is(tvn_mailbox_receive(mailbox, text, sizeof text, TVN_FOREVER), 14);
    is(memcmp(text, "from the child", 14), 0);
    is(tvn_mutex_unlock(mutex), 0);
    is(tvn_semaphore_post(semaphore), 0);
    is(exit_of(child), 0);
    tvn_mailbox_close(mailbox);
    tvn_semaphore_close(semaphore);
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

TEST(roles_and_loans_stay_with_the_parent) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox;
    tvn_ring_t *ring;
    tvn_producer_t *producer;
    tvn_consumer_t *consumer;
    tvn_loan_t loan;
    char text[16];
    is(tvn_mailbox(segment, "m", 4, 16, &mailbox), 0);
    is(tvn_mailbox_reserve(mailbox, 1, TVN_TRY, &loan), 0);
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_producer_t *mine;
        is(tvn_mailbox_commit(mailbox, &loan, 1), -EPERM);
        is(tvn_producer_write(producer, "x", 1, TVN_TRY), -TVN_EFORKED);
        is(tvn_consumer_read(consumer, text, sizeof text, TVN_TRY), -TVN_EFORKED);
        is(tvn_ring_producer(ring, &mine), -EBUSY); /* the parent lives */
        tvn_producer_close(producer); /* ends the handle, not the parent's role */
        tvn_consumer_close(consumer);
        _exit(0);
    }
    is(exit_of(child), 0);
    is(tvn_mailbox_commit(mailbox, &loan, 1), 0);
    is(tvn_producer_write(producer, "x", 1, TVN_TRY), 0);
    is(tvn_consumer_read(consumer, text, sizeof text, TVN_TRY), 1);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(an_anonymous_segment_goes_to_a_child_and_through_a_descriptor) {
    tvn_segment_t *segment, *other;
    tvn_semaphore_t *semaphore, *same;
    is(tvn_segment_anonymous(1 << 20, &segment), 0);
    holds(tvn_segment_size(segment) >= 1 << 20);
    is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
    int fd = tvn_segment_fd(segment);
    holds(fd >= 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_semaphore_post(semaphore), 0);
        is(tvn_segment_from_fd(fd, &other), 0);
        is(tvn_semaphore_open(other, "s", &same), 0);
        is(tvn_semaphore_post(same), 0);
        _exit(0);
    }
    is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
    is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
    is(exit_of(child), 0);
    is(close(fd), 0);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

/* Kills a child that has locked `mutex`; it has come that far when this returns. */
static void die_holding(tvn_mutex_t *mutex) {
    int fds[2];
    is(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        int locked = tvn_mutex_lock(mutex, TVN_FOREVER);
        holds(locked == 0 || locked == -EOWNERDEAD);
        tell(fds);
        for (;;) pause();
    }
    await(fds);
    is(kill(child, SIGKILL), 0);
    is(exit_of(child), -1);
    close(fds[0]);
    close(fds[1]);
}

TEST(the_lock_of_a_killed_holder_is_inherited_and_can_be_repaired) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mutex_t *mutex;
    tvn_holder_t holder;
    is(tvn_mutex(segment, "l", &mutex), 0);
    die_holding(mutex);
    is(tvn_mutex_lock(mutex, 30000), -EOWNERDEAD);
    told("/l");
    told("recover");
    is(tvn_mutex_holder(mutex, &holder), 1); /* held */
    is(holder.pid, getpid());
    is(tvn_mutex_unlock(mutex), 0);
    is(tvn_mutex_lock(mutex, 30000), -EOWNERDEAD); /* nobody had recovered */
    is(tvn_mutex_recover(mutex), 0);
    is(tvn_mutex_unlock(mutex), 0);
    is(tvn_mutex_lock(mutex, 30000), 0);
    is(tvn_mutex_unlock(mutex), 0);
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

TEST(a_holder_killed_while_others_wait_does_not_hang_them) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mutex_t *mutex;
    int fds[2], status = 0;
    is(tvn_mutex(segment, "l", &mutex), 0);
    is(pipe(fds), 0);
    pid_t holder = fork();
    if (holder == 0) {
        is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
        tell(fds);
        for (;;) pause();
    }
    await(fds);
    pid_t waiters[3];
    for (int i = 0; i < 3; i++)
        if ((waiters[i] = fork()) == 0) {
            tell(fds);
            int locked = tvn_mutex_lock(mutex, TVN_FOREVER);
            if (locked == -EOWNERDEAD) is(tvn_mutex_recover(mutex), 0);
            is(tvn_mutex_unlock(mutex), 0);
            _exit(locked == -EOWNERDEAD ? 7 : locked);
        }
    for (int i = 0; i < 3; i++) await(fds);
    is(kill(holder, SIGKILL), 0);
    is(exit_of(holder), -1);
    for (int i = 0; i < 3; i++) status += exit_of(waiters[i]);
    is(status, 7); /* one of them got it as OwnerDied and recovered */
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

TEST(the_claim_of_a_killed_sender_is_skipped) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox;
    int fds[2];
    char text[16];
    is(tvn_mailbox(segment, "m", 4, 16, &mailbox), 0);
    is(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_loan_t loan;
        is(tvn_mailbox_send(mailbox, "first", 5, TVN_FOREVER), 0);
        is(tvn_mailbox_reserve(mailbox, 16, TVN_FOREVER, &loan), 0);
        memcpy(loan.room, "half", 4);
        tell(fds);
        for (;;) pause();
    }
    await(fds);
    is(tvn_mailbox_send(mailbox, "third", 5, TVN_FOREVER), 0);
    is(kill(child, SIGKILL), 0);
    is(exit_of(child), -1);
    is(tvn_mailbox_receive(mailbox, text, sizeof text, 30000), 5);
    is(memcmp(text, "first", 5), 0);
    is(tvn_mailbox_receive(mailbox, text, sizeof text, 30000), 5);
    is(memcmp(text, "third", 5), 0);
    is(tvn_mailbox_receive(mailbox, text, sizeof text, TVN_TRY), -EAGAIN);
    is(tvn_mailbox_voided(mailbox), 1);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_killed_producer_has_a_successor_and_its_records_stay) {
    tvn_segment_t *segment = fresh_segment();
    tvn_ring_t *ring;
    tvn_producer_t *producer;
    tvn_consumer_t *consumer;
    int fds[2];
    void *room;
    char text[16];
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_ring_producer(ring, &producer), 0);
        is(tvn_producer_write(producer, "whole", 5, TVN_FOREVER), 0);
        is(tvn_producer_reserve(producer, 16, TVN_FOREVER, &room), 0);
        memcpy(room, "half", 4);
        tell(fds);
        for (;;) pause();
    }
    await(fds);
    is(kill(child, SIGKILL), 0);
    is(exit_of(child), -1);
    is(tvn_consumer_read(consumer, text, sizeof text, 30000), 5);
    is(tvn_consumer_read(consumer, text, sizeof text, 30000), -ECONNRESET); /* nobody can write any more */
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_producer_write(producer, "next", 4, TVN_TRY), 0);
    is(tvn_consumer_read(consumer, text, sizeof text, 30000), 4);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(the_dead_are_listed_until_they_are_swept) {
    tvn_segment_t *segment = fresh_segment();
    int fds[2];
    tvn_participant_info_t participants[4];
    is(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_segment_t *own;
        is(tvn_segment_open(fresh, &own), 0);
        is(tvn_segment_sweep(own), 0);
        tell(fds);
        for (;;) pause();
    }
    await(fds);
    is(tvn_segment_participants(segment, participants, 4), 2);
    is(kill(child, SIGKILL), 0);
    is(exit_of(child), -1);
    is(tvn_segment_participants(segment, participants, 4), 2);
    is(participants[0].alive + participants[1].alive, 1);
    is(tvn_segment_sweep(segment), 1);
    is(tvn_segment_sweep(segment), 0);
    is(tvn_segment_participants(segment, participants, 4), 1);
    tvn_segment_close(segment);
}

TEST(many_processes_that_open_or_create_get_one_segment) {
    enum { MANY = 16 };
    pid_t children[MANY];
    int gate[2], ready[2];
    is(pipe(gate) | pipe(ready), 0);
    for (int i = 0; i < MANY; i++)
        if ((children[i] = fork()) == 0) {
            tvn_segment_t *segment;
            tvn_semaphore_t *semaphore;
            char c;
            close(gate[1]);
            tell(ready);
            holds(read(gate[0], &c, 1) == 0); /* until the parent closes it for all of them at once */
            is(tvn_segment_open_or_create(fresh, 1 << 20, 0600, &segment), 0);
            is(tvn_semaphore(segment, "s", 0, &semaphore), 0);
            is(tvn_semaphore_post(semaphore), 0);
            tell(ready);
            pause();
        }
    for (int i = 0; i < MANY; i++) await(ready);
    close(gate[1]);
    for (int i = 0; i < MANY; i++) await(ready);
    tvn_segment_t *segment;
    tvn_semaphore_t *semaphore;
    is(tvn_segment_open(fresh, &segment), 0);
    is(tvn_semaphore_open(segment, "s", &semaphore), 0);
    is(tvn_semaphore_value(semaphore), MANY);
    for (int i = 0; i < MANY; i++) {
        is(kill(children[i], SIGKILL), 0);
        is(exit_of(children[i]), -1);
    }
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}
