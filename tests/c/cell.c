/* A cell: the latest value, whole, whatever writers do; types; waits for a newer one. */
#include "check.h"
#include <pthread.h>

struct reading {
    int32_t sensor_id;
    float temperature;
    double time;
};
#define READING TVN_TYPE(struct reading, sensor_id, temperature, time)

static tvn_segment_t *segment;
static tvn_cell_t *cell;

static void make(void) {
    segment = fresh_segment();
    is(tvn_cell(segment, "c", sizeof(struct reading), READING, 0, &cell), 0);
}

static void unmake(void) {
    tvn_cell_close(cell);
    tvn_segment_close(segment);
}

TEST(the_latest_value_is_loaded) {
    make();
    struct reading written = {1, 21.5f, 0.25}, loaded = {0, 0, 0};
    is(tvn_cell_version(cell), 0);
    is(tvn_cell_load(cell, &loaded, sizeof loaded), -EAGAIN);
    for (int i = 1; i <= 20; i++) {
        written.sensor_id = i;
        is(tvn_cell_store(cell, &written, sizeof written, i % 2 ? TVN_TRY : TVN_FOREVER), i);
        is(tvn_cell_load(cell, &loaded, sizeof loaded), i);
        holds(memcmp(&written, &loaded, sizeof loaded) == 0);
    }
    is(tvn_cell_version(cell), 20);
    is(tvn_cell_size(cell), sizeof written);
    char tag[64];
    is(tvn_cell_type(cell, tag, sizeof tag), strlen(READING));
    holds(strcmp(tag, READING) == 0);
    is(tvn_cell_type(cell, tag, 4), strlen(READING));
    holds(strlen(tag) == 3); /* cut, and it ends */
    is(tvn_cell_type(cell, NULL, 0), strlen(READING));
    unmake();
}

TEST(values_of_another_size_are_refused) {
    make();
    struct reading value = {1, 2, 3};
    char larger[sizeof value + 1] = {0};
    is(tvn_cell_store(cell, &value, sizeof value - 1, TVN_TRY), -EINVAL);
    is(tvn_cell_store(cell, NULL, 0, TVN_TRY), -EINVAL);
    told("0 bytes, but a value");
    is(tvn_cell_store(cell, larger, sizeof larger, TVN_FOREVER), -EMSGSIZE);
    is(tvn_cell_version(cell), 0);
    is(tvn_cell_store(cell, &value, sizeof value, TVN_TRY), 1);
    is(tvn_cell_load(cell, &value, sizeof value - 1), -EMSGSIZE);
    is(tvn_cell_load(cell, larger, sizeof larger), -EINVAL);
    is(tvn_cell_load_newer(cell, 0, larger, sizeof larger, TVN_TRY), -EINVAL);
    is(tvn_cell_load(cell, NULL, sizeof value), -EINVAL);
    is(tvn_cell_store(cell, NULL, sizeof value, TVN_TRY), -EINVAL);
    unmake();
}

static void *stores_two(void *unused) {
    until_asleep(segment, 1);
    struct reading value = {7, 1, 1};
    is(tvn_cell_store(cell, &value, sizeof value, TVN_FOREVER), 2);
    return unused;
}

TEST(a_newer_value_is_waited_for) {
    make();
    struct reading value = {1, 2, 3};
    is(tvn_cell_load_newer(cell, 0, &value, sizeof value, TVN_TRY), -EAGAIN);
    double begin = seconds();
    is(tvn_cell_load_newer(cell, 0, &value, sizeof value, 20), -ETIMEDOUT);
    holds(seconds() - begin >= 0.02);
    is(tvn_cell_store(cell, &value, sizeof value, TVN_TRY), 1);
    is(tvn_cell_load_newer(cell, 0, &value, sizeof value, TVN_FOREVER), 1);
    pthread_t writer;
    is(pthread_create(&writer, NULL, stores_two, NULL), 0);
    is(tvn_cell_load_newer(cell, 1, &value, sizeof value, TVN_FOREVER), 2);
    is(value.sensor_id, 7);
    is(pthread_join(writer, NULL), 0);
    is(tvn_interruptible(true), 0);
    timer_t often = signal_often();
    is(tvn_cell_load_newer(cell, 2, &value, sizeof value, TVN_FOREVER), -EINTR);
    is(timer_delete(often), 0);
    is(tvn_interruptible(false), 1);
    unmake();
}

TEST(a_value_is_written_in_place) {
    segment = fresh_segment();
    is(tvn_cell(segment, "c", sizeof(struct reading), READING, 1, &cell), 0);
    tvn_store_t store, other, forged;
    struct reading *written, value;
    is(tvn_cell_reserve(cell, TVN_TRY, &store), 0);
    holds((uintptr_t)store.value % 16 == 0);
    written = store.value;
    *written = (struct reading){7, 1.5f, 2.5};
    is(tvn_cell_load(cell, &value, sizeof value), -EAGAIN);
    is(tvn_cell_commit(cell, &store), 1);
    is(tvn_cell_load(cell, &value, sizeof value), 1);
    holds(memcmp(&value, written, sizeof value) == 0);
    is(tvn_cell_commit(cell, &store), -EPERM);
    is(tvn_cell_cancel(cell, &store), -EPERM);
    is(tvn_cell_reserve(cell, TVN_FOREVER, &store), 0);
    memset(store.value, 9, sizeof value);
    forged = store;
    forged.index = 4000000000u;
    is(tvn_cell_commit(cell, &forged), -EPERM);
    pid_t child = fork();
    if (child == 0) _exit(tvn_cell_cancel(cell, &store) == -EPERM ? 0 : 1); /* it is its parent's */
    is(exit_of(child), 0);
    is(tvn_cell_reserve(cell, TVN_TRY, &other), 0);
    is(tvn_cell_store(cell, &value, sizeof value, TVN_TRY), -EAGAIN); /* each counts as a writer */
    is(tvn_cell_reserve(cell, 5, &forged), -ETIMEDOUT);
    is(tvn_cell_cancel(cell, &store), 0);
    is(tvn_cell_cancel(cell, &other), 0);
    is(tvn_cell_load(cell, &value, sizeof value), 1);
    is(value.sensor_id, 7);
    is(tvn_cell_reserve(NULL, TVN_TRY, &store), -EINVAL);
    is(tvn_cell_reserve(cell, TVN_TRY, NULL), -EINVAL);
    is(tvn_cell_commit(cell, NULL), -EINVAL);
    unmake();
}

static void reserves(void *unused) {
    (void)unused;
    tvn_store_t store;
    for (int i = 0; i < 2; i++) is(tvn_cell_reserve(cell, TVN_TRY, &store), 0);
    memset(store.value, 9, sizeof(struct reading));
}

TEST(what_a_dead_process_wrote_in_place_was_never_stored) {
    segment = fresh_segment();
    is(tvn_cell(segment, "c", sizeof(struct reading), READING, 1, &cell), 0);
    struct reading value = {1, 2, 3};
    is(tvn_cell_store(cell, &value, sizeof value, TVN_TRY), 1);
    kill_it(stays_after(reserves, NULL));
    is(tvn_cell_load(cell, &value, sizeof value), 1);
    is(value.sensor_id, 1);
    is(tvn_cell_store(cell, &value, sizeof value, TVN_FOREVER), 2); /* its room is free again */
    unmake();
}

enum { WORDS = 512 };

static void stores_for_ever(void *unused) {
    (void)unused;
    static uint64_t words[WORDS];
    for (uint64_t n = 1;; n++) {
        for (int i = 0; i < WORDS; i++) words[i] = n;
        if (tvn_cell_store(cell, words, sizeof words, TVN_FOREVER) < 0) _exit(1);
    }
}

TEST(a_writer_that_is_killed_leaves_a_whole_value) {
    segment = fresh_segment();
    is(tvn_cell(segment, "c", WORDS * sizeof(uint64_t), NULL, 2, &cell), 0);
    static uint64_t words[WORDS];
    int64_t seen = 0;
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) stores_for_ever(NULL);
        for (int i = 0; i < 50; i++) {
            seen = tvn_cell_load_newer(cell, (uint64_t)seen, words, sizeof words, TVN_FOREVER);
            holds(seen > 0);
            for (int w = 1; w < WORDS; w++) holds(words[w] == words[0]);
        }
        kill_it(child);
        seen = tvn_cell_load(cell, words, sizeof words);
        for (int w = 1; w < WORDS; w++) holds(words[w] == words[0]);
    }
    for (int i = 1; i <= 8; i++) is(tvn_cell_store(cell, words, sizeof words, TVN_FOREVER), seen + i); /* none is in the way */
    unmake();
}

TEST(another_layout_of_the_same_struct_is_refused_with_both_side_by_side) {
    make();
    struct other {
        int32_t sensor_id;
        int32_t flags;
        double time;
    };
    tvn_cell_t *none = NULL;
    is(tvn_cell(segment, "c", sizeof(struct other), TVN_TYPE(struct other, sensor_id, flags, time), 0, &none),
       -TVN_EINCOMPATIBLE);
    told("temperature");
    told("flags");
    is(tvn_cell_open(segment, "c", "qd", &none), -TVN_EINCOMPATIBLE);
    is(tvn_cell_open(segment, "c", "{", &none), -EINVAL);
    is(tvn_cell(segment, "c", 8, NULL, 0, &none), -TVN_EINCOMPATIBLE);
    is(tvn_cell_create(segment, "c", sizeof(struct reading), READING, 0, &none), -EEXIST);
    is(tvn_cell_open(segment, "none", NULL, &none), -ENOENT);
    holds(none == NULL);
    is(tvn_cell_open(segment, "c", "ifd", &none), 0); /* names that one side leaves out agree */
    tvn_cell_close(none);
    is(tvn_cell_open(segment, "c", NULL, &none), 0);
    tvn_cell_close(none);
    unmake();
}

TEST(a_cell_without_a_type_says_so) {
    segment = fresh_segment();
    is(tvn_cell_create(segment, "bytes", 5, NULL, 128, &cell), 0);
    char tag[4] = "???";
    is(tvn_cell_type(cell, tag, sizeof tag), 0);
    is(tag[0], 0);
    is(tvn_cell_store(cell, "hello", 5, TVN_TRY), 1);
    unmake();
}

TEST(cells_that_cannot_be_are_refused) {
    segment = fresh_segment();
    is(tvn_cell(segment, "c", 8, NULL, 129, &cell), -EINVAL);
    told("129");
    is(tvn_cell(segment, "c", 0, NULL, 0, &cell), -EINVAL);
    is(tvn_cell(segment, "c", 4, "d", 0, &cell), -EINVAL); /* a double has 8 bytes */
    is(tvn_cell(segment, "a/b", 8, NULL, 0, &cell), -EINVAL);
    is(tvn_cell(segment, "c", 64 << 20, NULL, 0, &cell), -ENOSPC);
    is(tvn_cell(NULL, "c", 8, NULL, 0, &cell), -EINVAL);
    is(tvn_cell(segment, NULL, 8, NULL, 0, &cell), -EINVAL);
    is(tvn_cell(segment, "c", 8, NULL, 0, NULL), -EINVAL);
    holds(cell == NULL);
    is(tvn_cell_store(NULL, "x", 1, TVN_TRY), -EINVAL);
    is(tvn_cell_load(NULL, fresh, 1), -EINVAL);
    is(tvn_cell_version(NULL), -EINVAL);
    is(tvn_cell_size(NULL), -EINVAL);
    tvn_cell_close(NULL);
    tvn_segment_close(segment);
}

TEST(a_wait_set_tells_of_a_newer_value_and_a_removed_cell_ends_its_waits) {
    make();
    struct reading value = {1, 2, 3};
    tvn_wait_set_t *set;
    tvn_ready_t ready;
    is(tvn_wait_set_new(&set), 0);
    int64_t token = tvn_wait_set_add_cell(set, cell, TVN_RECEIVE);
    holds(token >= 0);
    is(tvn_wait_set_add_cell(set, cell, TVN_SEND), -EINVAL);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), -EAGAIN);
    is(tvn_cell_store(cell, &value, sizeof value, TVN_TRY), 1);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_FOREVER), 1);
    is(ready.token, token);
    is(tvn_cell_load(cell, &value, sizeof value), 1);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), -EAGAIN);
    tvn_wait_set_close(set);
    is(tvn_segment_remove(segment, "c"), 0);
    is(tvn_cell_load_newer(cell, 1, &value, sizeof value, TVN_FOREVER), -EIDRM);
    unmake();
}
