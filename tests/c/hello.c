/* The first things anybody does. Compiled as C11 and as C++17. */
#include "check.h"

TEST(a_message_arrives_as_it_was_sent) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    char text[256];
    is(tvn_mailbox(segment, "m", 10, 256, &mailbox), 0);
    is(tvn_mailbox_send(mailbox, "hello", 5, TVN_FOREVER), 0);
    is(tvn_mailbox_length(mailbox), 1);
    is(tvn_mailbox_peek(mailbox, text, sizeof text, TVN_TRY), 5);
    is(tvn_mailbox_receive(mailbox, text, sizeof text, TVN_FOREVER), 5);
    is(memcmp(text, "hello", 5), 0);
    is(tvn_mailbox_length(mailbox), 0);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_message_may_be_empty) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    char text[16];
    is(tvn_mailbox(segment, "m", 1, 16, &mailbox), 0);
    is(tvn_mailbox_send(mailbox, NULL, 0, TVN_TRY), 0);
    is(tvn_mailbox_receive(mailbox, text, sizeof text, TVN_TRY), 0);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_message_written_in_place_arrives) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_loan_t loan;
    double number = 0;
    is(tvn_mailbox(segment, "m", 10, 64, &mailbox), 0);
    is(tvn_mailbox_reserve(mailbox, sizeof number, TVN_FOREVER, &loan), 0);
    is((uintptr_t)loan.room % 16, 0);
    is(loan.size, sizeof number);
    *(double *)loan.room = 2.5;
    is(tvn_mailbox_commit(mailbox, &loan, sizeof number), 0);
    uint32_t redelivered = 7;
    char text[64];
    is(tvn_mailbox_receive_counted(mailbox, text, sizeof text, TVN_TRY, &redelivered), sizeof number);
    memcpy(&number, text, sizeof number);
    holds(number == 2.5);
    is(redelivered, 0);
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
}

TEST(a_record_goes_through_the_ring_by_copy_and_in_place) {
    tvn_segment_t *segment = fresh_segment();
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    is(tvn_ring(segment, "r", 4096, &ring), 0);
    is(tvn_ring_size(ring), 4096);
    is(tvn_ring_max_record(ring), 4096 / 2 - 8);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    tvn_ring_close(ring); /* the two ends go on */

    char text[64];
    is(tvn_producer_write(producer, "copied", 6, TVN_FOREVER), 0);
    is(tvn_consumer_read(consumer, text, sizeof text, TVN_FOREVER), 6);
    is(memcmp(text, "copied", 6), 0);

    void *room = NULL;
    const void *record = NULL;
    is(tvn_producer_reserve(producer, 100, TVN_FOREVER, &room), 0);
    is((uintptr_t)room % 8, 0);
    memcpy(room, "in place", 8);
    is(tvn_producer_commit(producer, 8), 0);
    is(tvn_consumer_peek(consumer, TVN_FOREVER, &record), 8);
    is(memcmp(record, "in place", 8), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 8); /* not released: it is there again */
    is(tvn_consumer_keep(consumer), 0);
    is(tvn_consumer_release(consumer), -EINVAL); /* nothing is lent any more */
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 8);
    is(tvn_consumer_release(consumer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), -EAGAIN);

    is(tvn_producer_reserve(producer, 100, TVN_TRY, &room), 0);
    is(tvn_producer_write(producer, "x", 1, TVN_TRY), -EBUSY);
    is(tvn_producer_cancel(producer), 0);
    is(tvn_producer_cancel(producer), 0); /* nothing to cancel is fine */
    is(tvn_consumer_read(consumer, text, sizeof text, TVN_TRY), -EAGAIN);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_segment_close(segment);
}

TEST(a_semaphore_counts) {
    tvn_segment_t *segment = fresh_segment();
    tvn_semaphore_t *semaphore = NULL;
    is(tvn_semaphore(segment, "s", 2, &semaphore), 0);
    is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
    is(tvn_semaphore_wait(semaphore, TVN_TRY), 0);
    is(tvn_semaphore_wait(semaphore, TVN_TRY), -EAGAIN);
    is(tvn_semaphore_post(semaphore), 0);
    is(tvn_semaphore_value(semaphore), 1);
    tvn_semaphore_close(semaphore);
    tvn_segment_close(segment);
}

TEST(a_mutex_is_held_and_says_by_whom) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mutex_t *mutex = NULL;
    tvn_holder_t holder;
    is(tvn_mutex(segment, "l", &mutex), 0);
    is(tvn_mutex_holder(mutex, &holder), 0);
    is(tvn_mutex_lock(mutex, TVN_FOREVER), 0);
    is(tvn_mutex_holder(mutex, &holder), 1);
    is(holder.pid, getpid());
    is(tvn_mutex_unlock(mutex), 0);
    is(tvn_mutex_lock(mutex, TVN_TRY), 0);
    is(tvn_mutex_unlock(mutex), 0);
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

TEST(what_is_in_a_segment_can_be_listed) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_t *mailbox = NULL;
    tvn_mutex_t *mutex = NULL;
    tvn_semaphore_t *semaphore = NULL;
    tvn_ring_t *ring = NULL;
    tvn_object_info_t objects[8];
    tvn_participant_info_t participants[8];
    is(tvn_segment_objects(segment, NULL, 0), 0);
    is(tvn_mailbox(segment, "a mailbox", 10, 256, &mailbox), 0);
    is(tvn_mutex(segment, "a mutex", &mutex), 0);
    is(tvn_semaphore(segment, "a semaphore", 3, &semaphore), 0);
    is(tvn_ring(segment, "a ring", 4096, &ring), 0);
    is(tvn_mailbox_send(mailbox, "x", 1, TVN_TRY), 0);
    is(tvn_mutex_lock(mutex, TVN_TRY), 0);
    is(tvn_segment_objects(segment, objects, 8), 4);
    int seen = 0;
    for (int i = 0; i < 4; i++) {
        tvn_object_info_t *o = &objects[i];
        is(o->attached, 1);
        if (o->kind == TVN_KIND_MAILBOX && !strcmp(o->name, "a mailbox"))
            seen += o->capacity == 10 && o->message_size == 256 && o->length == 1;
        if (o->kind == TVN_KIND_MUTEX && !strcmp(o->name, "a mutex")) seen += o->holder != 0 && !o->owner_died;
        if (o->kind == TVN_KIND_SEMAPHORE && !strcmp(o->name, "a semaphore")) seen += o->length == 3;
        if (o->kind == TVN_KIND_RING && !strcmp(o->name, "a ring")) seen += o->capacity == 4096 && o->producer == 0;
    }
    is(seen, 4);
    is(tvn_segment_objects(segment, objects, 1), 4); /* how many there are, not how many fit */
    is(tvn_segment_participants(segment, participants, 8), 1);
    is(participants[0].pid, getpid());
    holds(participants[0].alive && participants[0].since > 1e9 && participants[0].name[0]);
    is(tvn_mutex_unlock(mutex), 0);
    tvn_mailbox_close(mailbox);
    tvn_mutex_close(mutex);
    tvn_semaphore_close(semaphore);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(the_version_of_header_and_library_agree) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", TVN_VERSION_MAJOR, TVN_VERSION_MINOR, TVN_VERSION_PATCH);
    is(strcmp(version, tvn_version()), 0);
}
