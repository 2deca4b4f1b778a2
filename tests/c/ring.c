/* Rings in C beyond one record at a time: batches, packed records, options, shutdown. */

#include "check.h"

static tvn_segment_t *segment;

static tvn_segment_t *made(void) {
    is(tvn_segment_anonymous(1 << 20, &segment), 0);
    return segment;
}

TEST(a_batch_is_written_and_read_at_once) {
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    is(tvn_ring(made(), "r", 1024, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    char sun[] = "sun", moon[] = "moon", bytes[64];
    struct iovec records[] = {{sun, 3}, {NULL, 0}, {moon, 4}};
    size_t sizes[8];
    is(tvn_consumer_read_many(consumer, bytes, sizeof bytes, sizes, 8, TVN_TRY), -EAGAIN);
    is(tvn_producer_write_many(producer, records, 3, TVN_FOREVER), 0);
    is(tvn_consumer_read_many(consumer, bytes, 2, sizes, 8, TVN_FOREVER), -EMSGSIZE);
    is(tvn_consumer_read_many(consumer, bytes, sizeof bytes, sizes, 8, TVN_FOREVER), 3);
    is((int)(sizes[0] * 100 + sizes[1] * 10 + sizes[2]), 304);
    is(memcmp(bytes, "sunmoon", 7), 0);
    is(tvn_producer_write_many(producer, NULL, 0, TVN_TRY), 0);
    is(tvn_producer_write_many(producer, NULL, 1, TVN_TRY), -EINVAL);
    is(tvn_producer_write_packed(producer, bytes, 1, TVN_TRY), -EINVAL);
    is(tvn_consumer_read_packed(consumer, bytes, 1, TVN_TRY), -EINVAL);
    struct iovec much[17];
    for (int i = 0; i < 17; i++) much[i] = records[0];
    is(tvn_producer_write_many(producer, much, 17, TVN_FOREVER), -EMSGSIZE);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(staged_records_are_seen_together_and_held_ones_released_together) {
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    void *room;
    const void *record;
    is(tvn_ring_with(made(), "r", NULL, &ring), 0);
    is(tvn_ring_size(ring), 1 << 17); /* an eighth of the segment */
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    for (int i = 0; i < 2; i++) {
        is(tvn_producer_reserve(producer, 100, TVN_FOREVER, &room), 0);
        memset(room, i, 100);
        is(tvn_producer_stage(producer, 100), 0);
    }
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), -EAGAIN);
    is(tvn_producer_stage(producer, 1), -EINVAL);
    is(tvn_producer_publish(producer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 100);
    is(tvn_consumer_hold(consumer), 0);
    is(tvn_consumer_hold(consumer), -EINVAL);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 100);
    is(*(const char *)record, 1);
    is(tvn_consumer_rewind(consumer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 100);
    is(*(const char *)record, 0);
    is(tvn_consumer_hold(consumer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), 100);
    is(tvn_consumer_release(consumer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), -EAGAIN);
    is(tvn_producer_reserve(producer, 100, TVN_FOREVER, &room), 0);
    is(tvn_producer_stage(producer, 100), 0);
    is(tvn_producer_discard(producer), 0);
    is(tvn_producer_publish(producer), 0);
    is(tvn_consumer_peek(consumer, TVN_TRY, &record), -EAGAIN);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(packed_records_lie_back_to_back) {
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL;
    tvn_consumer_t *consumer = NULL;
    uint64_t numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8}, got[8] = {0};
    is(tvn_ring_of(made(), "r", sizeof *numbers, 5, &ring), 0);
    is(tvn_ring_capacity(ring), 8);
    is(tvn_ring_record_size(ring), 8);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(tvn_consumer_read_packed(consumer, got, 8, TVN_TRY), -EAGAIN);
    is(tvn_producer_write_packed(producer, numbers, 6, TVN_FOREVER), 0);
    is(tvn_producer_write_packed(producer, numbers, 3, TVN_TRY), -EAGAIN);
    is(tvn_producer_write_packed(producer, numbers, 9, TVN_TRY), -EMSGSIZE);
    is(tvn_producer_write(producer, numbers, 7, TVN_TRY), -EINVAL);
    is(tvn_consumer_read_packed(consumer, got, 0, TVN_TRY), -EMSGSIZE);
    is(tvn_consumer_read_packed(consumer, got, 5, TVN_FOREVER), 5);
    is(memcmp(got, numbers, 5 * sizeof *got), 0);
    void *room;
    const void *records;
    is(tvn_producer_reserve_packed(producer, 100, TVN_FOREVER, &room), 2); /* as many as lie before the end */
    memcpy(room, numbers, 16);
    is(tvn_producer_commit(producer, 15), -EINVAL);
    is(tvn_producer_commit(producer, 16), 0);
    is(tvn_consumer_peek_packed(consumer, 100, TVN_FOREVER, &records), 3);
    is((int)((const uint64_t *)records)[0], 6);
    is(tvn_consumer_release(consumer), 0);
    is(tvn_consumer_peek_packed(consumer, 1, TVN_TRY, &records), -EAGAIN);
    tvn_producer_close(producer);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(options_are_kept_compared_and_refused) {
    tvn_ring_t *ring = NULL, *again = NULL;
    tvn_ring_options_t options = TVN_RING_OPTIONS;
    options.record_size = 16;
    options.capacity = 64;
    options.exact_wake = 1;
    options.type_tag = "T{d:x:d:y:}";
    is(tvn_ring_create_with(made(), "r", &options, &ring), 0);
    is(tvn_ring_create_with(segment, "r", &options, &again), -EEXIST);
    is(tvn_ring_with(segment, "r", &options, &again), 0);
    tvn_ring_close(again);
    options.type_tag = "T{d:x:q:y:}";
    is(tvn_ring_with(segment, "r", &options, &again), -TVN_EINCOMPATIBLE);
    options.type_tag = NULL;
    options.ring_size = 4096;
    is(tvn_ring_with(segment, "s", &options, &again), -EINVAL);
    options.size = 1;
    is(tvn_ring_with(segment, "s", &options, &again), -EINVAL);
    is(tvn_ring_of(segment, "s", 0, 4, &again), -EINVAL);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(after_a_shutdown_what_is_there_is_read_and_then_it_is_epipe) {
    tvn_ring_t *ring = NULL;
    tvn_producer_t *producer = NULL, *second = NULL;
    tvn_consumer_t *consumer = NULL;
    char bytes[8];
    is(tvn_ring(made(), "r", 1024, &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    is(tvn_producer_write(producer, "last", 4, TVN_FOREVER), 0);
    is(tvn_ring_is_shut_down(ring), 0);
    is(tvn_ring_shutdown(ring), 0);
    is(tvn_ring_is_shut_down(ring), 1);
    is(tvn_producer_write(producer, "more", 4, TVN_FOREVER), -EPIPE);
    tvn_producer_close(producer);
    is(tvn_ring_producer(ring, &second), -EPIPE);
    is(tvn_consumer_read(consumer, bytes, sizeof bytes, TVN_FOREVER), 4);
    is(tvn_consumer_read(consumer, bytes, sizeof bytes, TVN_FOREVER), -EPIPE);
    is(tvn_consumer_read(consumer, bytes, sizeof bytes, TVN_TRY), -EPIPE);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
    tvn_segment_close(segment);
}

TEST(null_is_refused_everywhere) {
    void *room;
    const void *records;
    tvn_ring_t *ring = NULL;
    is(tvn_ring_with(NULL, "r", NULL, &ring), -EINVAL);
    is(tvn_ring_of(NULL, "r", 8, 8, &ring), -EINVAL);
    is(tvn_ring_create_with(NULL, "r", NULL, &ring), -EINVAL);
    is(tvn_ring_shutdown(NULL), -EINVAL);
    is(tvn_ring_is_shut_down(NULL), -EINVAL);
    is(tvn_ring_capacity(NULL), -EINVAL);
    is(tvn_ring_record_size(NULL), -EINVAL);
    is(tvn_producer_write_many(NULL, NULL, 0, TVN_TRY), -EINVAL);
    is(tvn_producer_write_packed(NULL, NULL, 0, TVN_TRY), -EINVAL);
    is(tvn_producer_reserve_packed(NULL, 1, TVN_TRY, &room), -EINVAL);
    is(tvn_producer_stage(NULL, 1), -EINVAL);
    is(tvn_producer_publish(NULL), -EINVAL);
    is(tvn_producer_discard(NULL), -EINVAL);
    is(tvn_consumer_read_many(NULL, NULL, 0, NULL, 0, TVN_TRY), -EINVAL);
    is(tvn_consumer_read_packed(NULL, NULL, 0, TVN_TRY), -EINVAL);
    is(tvn_consumer_peek_packed(NULL, 1, TVN_TRY, &records), -EINVAL);
    is(tvn_consumer_hold(NULL), -EINVAL);
    is(tvn_consumer_rewind(NULL), -EINVAL);
}
