/* An array: elements in place, writers as a whole, snapshots; a writer that dies; what is refused. */
#include "check.h"
#include <pthread.h>

enum { ROWS = 3, COLUMNS = 5, ALL = ROWS * COLUMNS };
static const size_t shape[] = {ROWS, COLUMNS};

static tvn_segment_t *segment;
static tvn_array_t *array;

static void make(void) {
    segment = fresh_segment();
    is(tvn_array(segment, "a", "d", shape, 2, &array), 0);
}

static void unmake(void) {
    tvn_array_close(array);
    tvn_segment_close(segment);
}

TEST(elements_are_shared_with_other_processes) {
    make();
    double *elements = tvn_array_data(array);
    holds((uintptr_t)elements % 4096 == 0);
    for (int i = 0; i < ALL; i++) holds(elements[i] == 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_array_t *other;
        if (tvn_array_open(segment, "a", "d", &other) != 0) _exit(1);
        ((double *)tvn_array_data(other))[COLUMNS + 2] = 1.5;
        tvn_array_close(other);
        _exit(0);
    }
    is(exit_of(child), 0);
    holds(elements[COLUMNS + 2] == 1.5);
    size_t sizes[TVN_DIMENSIONS_MAX] = {0}, steps[TVN_DIMENSIONS_MAX] = {0};
    is(tvn_array_shape(array, sizes, TVN_DIMENSIONS_MAX), 2);
    is(tvn_array_strides(array, steps, TVN_DIMENSIONS_MAX), 2);
    holds(sizes[0] == ROWS && sizes[1] == COLUMNS && steps[0] == COLUMNS * sizeof(double) && steps[1] == sizeof(double));
    is(tvn_array_shape(array, sizes + 2, 1), 2); /* so many as there is room for */
    holds(sizes[2] == ROWS && sizes[3] == 0);
    is(tvn_array_shape(array, NULL, 0), 2);
    is(tvn_array_length(array), ALL);
    is(tvn_array_size(array), ALL * sizeof(double));
    char tag[8];
    is(tvn_array_type(array, tag, sizeof tag), 1);
    holds(strcmp(tag, "d") == 0);
    unmake();
}

TEST(an_array_may_hold_structs_or_one_element) {
    struct point {
        double x, y;
        int32_t id;
    };
    segment = fresh_segment();
    size_t many[] = {100};
    is(tvn_array(segment, "points", TVN_TYPE(struct point, x, y, id), many, 1, &array), 0);
    is(tvn_array_size(array), 100 * sizeof(struct point));
    struct point *points = tvn_array_data(array);
    points[99].id = 7;
    tvn_array_close(array);
    is(tvn_array(segment, "one", "i", NULL, 0, &array), 0);
    is(tvn_array_length(array), 1);
    is(tvn_array_shape(array, NULL, 0), 0);
    unmake();
}

static int begun[2], end_now[2];

static void *writes(void *unused) {
    is(tvn_array_write(array, TVN_FOREVER), 0);
    tell(begun);
    await(end_now);
    double *elements = tvn_array_data(array);
    for (int i = 0; i < ALL; i++) elements[i] = 7;
    is(tvn_array_end_write(array), 0);
    return unused;
}

TEST(one_thread_at_a_time_writes_as_a_whole) {
    make();
    holds(pipe(begun) == 0 && pipe(end_now) == 0);
    double copy[ALL];
    is(tvn_array_end_write(array), -EPERM);
    is(tvn_array_recover(array), -EPERM);
    is(tvn_array_write(array, TVN_TRY), 0);
    is(tvn_array_write(array, TVN_FOREVER), -EDEADLK);
    is(tvn_array_end_write(array), 0);
    is(tvn_array_version(array), 1);
    tvn_holder_t who;
    is(tvn_array_writer(array, &who), 0);
    pthread_t writer;
    is(pthread_create(&writer, NULL, writes, NULL), 0);
    await(begun);
    is(tvn_array_writer(array, &who), 1);
    is(who.pid, getpid());
    is(tvn_array_write(array, TVN_TRY), -EAGAIN);
    is(tvn_array_write(array, 10), -ETIMEDOUT);
    is(tvn_array_snapshot(array, copy, sizeof copy, TVN_TRY), -EAGAIN);
    is(tvn_array_snapshot(array, copy, sizeof copy, 10), -ETIMEDOUT);
    is(tvn_array_end_write(array), -EPERM); /* another thread's */
    is(tvn_interruptible(true), 0);
    timer_t often = signal_often();
    is(tvn_array_write(array, TVN_FOREVER), -EINTR);
    is(timer_delete(often), 0);
    is(tvn_interruptible(false), 1);
    tell(end_now);
    is(tvn_array_snapshot(array, copy, sizeof copy, TVN_FOREVER), 0);
    for (int i = 0; i < ALL; i++) holds(copy[i] == 7);
    is(pthread_join(writer, NULL), 0);
    is(tvn_array_version(array), 2);
    unmake();
}

TEST(a_snapshot_has_the_arrays_size) {
    make();
    double copy[ALL + 1];
    is(tvn_array_snapshot(array, copy, sizeof copy, TVN_TRY), -EINVAL);
    is(tvn_array_snapshot(array, copy, sizeof(double), TVN_FOREVER), -EINVAL);
    is(tvn_array_snapshot(array, NULL, ALL * sizeof(double), TVN_TRY), -EINVAL);
    is(tvn_array_snapshot(array, copy, ALL * sizeof(double), TVN_TRY), 0);
    unmake();
}

static void begins_to_write(void *unused) {
    (void)unused;
    is(tvn_array_write(array, TVN_TRY), 0);
    *(double *)tvn_array_data(array) = 99;
}

TEST(a_writer_that_died_is_told_until_somebody_recovers) {
    make();
    double copy[ALL];
    kill_it(stays_after(begins_to_write, NULL));
    is(tvn_array_snapshot(array, copy, sizeof copy, TVN_FOREVER), -EOWNERDEAD);
    is(tvn_array_write(array, TVN_FOREVER), -EOWNERDEAD);
    told("tvn_array_recover");
    is(tvn_array_end_write(array), 0);
    is(tvn_array_write(array, TVN_TRY), -EOWNERDEAD); /* nobody has recovered */
    holds(*(double *)tvn_array_data(array) == 99);
    *(double *)tvn_array_data(array) = 0;
    is(tvn_array_recover(array), 0);
    is(tvn_array_end_write(array), 0);
    is(tvn_array_write(array, TVN_TRY), 0);
    is(tvn_array_end_write(array), 0);
    is(tvn_array_snapshot(array, copy, sizeof copy, TVN_FOREVER), 0);
    unmake();
}

TEST(a_wait_set_tells_that_nobody_writes_or_who_did_is_dead) {
    make();
    tvn_wait_set_t *set;
    tvn_ready_t ready;
    is(tvn_wait_set_new(&set), 0);
    is(tvn_wait_set_add_array(set, array, TVN_SEND), -EINVAL);
    is(tvn_wait_set_add_array(set, NULL, TVN_RECEIVE), -EINVAL);
    int64_t token = tvn_wait_set_add_array(set, array, TVN_RECEIVE);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_FOREVER), 1);
    is(ready.token, token);
    is(tvn_array_write(array, TVN_TRY), 0);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_TRY), -EAGAIN);
    is(tvn_array_end_write(array), 0);
    pid_t child = stays_after(begins_to_write, NULL);
    is(tvn_wait_set_wait(set, &ready, 1, 5), -ETIMEDOUT);
    kill_it(child);
    is(tvn_wait_set_wait(set, &ready, 1, TVN_FOREVER), 1);
    is(tvn_array_write(array, TVN_TRY), -EOWNERDEAD);
    tvn_wait_set_close(set);
    unmake();
}

TEST(a_forked_child_does_not_write_for_its_parent) {
    make();
    is(tvn_array_write(array, TVN_TRY), 0);
    pid_t child = fork();
    if (child == 0) _exit(tvn_array_end_write(array) == -EPERM && tvn_array_write(array, TVN_TRY) == -EAGAIN ? 0 : 1);
    is(exit_of(child), 0);
    is(tvn_array_end_write(array), 0);
    unmake();
}

TEST(arrays_that_cannot_be_are_refused) {
    segment = fresh_segment();
    size_t nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, huge[] = {SIZE_MAX, SIZE_MAX}, much[] = {16 << 20}, other[] = {COLUMNS, ROWS};
    tvn_array_t *none = NULL;
    is(tvn_array(segment, "a", "d", nine, 9, &none), -EINVAL);
    told("9 dimensions");
    is(tvn_array(segment, "a", "d", NULL, 2, &none), -EINVAL);
    is(tvn_array(segment, "a", "d", huge, 2, &none), -EINVAL);
    is(tvn_array(segment, "a", "d", much, 1, &none), -ENOSPC);
    is(tvn_array(segment, "a", "k", shape, 2, &none), -EINVAL);
    is(tvn_array(segment, "a", NULL, shape, 2, &none), -EINVAL);
    is(tvn_array(segment, "a/b", "d", shape, 2, &none), -EINVAL);
    is(tvn_array_open(segment, "a", NULL, &none), -ENOENT);
    is(tvn_array_create(segment, "a", "d", shape, 2, &array), 0);
    is(tvn_array_create(segment, "a", "d", shape, 2, &none), -EEXIST);
    is(tvn_array(segment, "a", "d", other, 2, &none), -TVN_EINCOMPATIBLE);
    is(tvn_array(segment, "a", "q", shape, 2, &none), -TVN_EINCOMPATIBLE);
    told("f64");
    told("i64");
    is(tvn_array_open(segment, "a", "q", &none), -TVN_EINCOMPATIBLE);
    tvn_cell_t *cell;
    is(tvn_cell(segment, "c", 8, NULL, 0, &cell), 0);
    is(tvn_array_open(segment, "c", NULL, &none), -TVN_EINCOMPATIBLE);
    tvn_cell_close(cell);
    is(tvn_array(NULL, "a", "d", shape, 2, &none), -EINVAL);
    is(tvn_array(segment, NULL, "d", shape, 2, &none), -EINVAL);
    is(tvn_array(segment, "a", "d", shape, 2, NULL), -EINVAL);
    holds(none == NULL && tvn_array_data(NULL) == NULL);
    is(tvn_array_write(NULL, TVN_TRY), -EINVAL);
    is(tvn_array_writer(array, NULL), -EINVAL);
    is(tvn_array_length(NULL), -EINVAL);
    is(tvn_array_version(NULL), -EINVAL);
    tvn_array_close(NULL);
    unmake();
}

static void *waits_to_write(void *unused) {
    is(tvn_array_write(array, TVN_FOREVER), -EIDRM);
    return unused;
}

TEST(a_removed_array_ends_its_waits) {
    make();
    is(tvn_array_write(array, TVN_TRY), 0);
    pthread_t writer;
    is(pthread_create(&writer, NULL, waits_to_write, NULL), 0);
    until_asleep(segment, 1);
    is(tvn_segment_remove(segment, "a"), 0);
    is(pthread_join(writer, NULL), 0);
    unmake();
}
