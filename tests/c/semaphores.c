/* Semaphores, POSIX and System V. */
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ipc.h>

static char name[80];

/* Where the system has no System V IPC, there is nothing of it to test. */
static int absent(void) {
    return tvn_sysv_semaphores_list(NULL, 0) == -ENOSYS;
}

static const char *posix_name(void) {
    snprintf(name, sizeof name, "/%s", fresh);
    return name;
}

TEST(a_named_posix_semaphore_is_found_and_counts) {
    tvn_posix_semaphore_t *made, *same;
    is(tvn_posix_semaphore_open(posix_name(), &made), -ENOENT);
    is(tvn_posix_semaphore_create(name, 1, 0600, TVN_OWNED, &made), 0);
    is(tvn_posix_semaphore_create(name, 1, 0600, 0, &same), -EEXIST);
    is(tvn_posix_semaphore_open_or_create(name, 9, 0600, 0, &same), 0);
    is(tvn_posix_semaphore_value(same), 1);
    is(tvn_posix_semaphore_wait(same, TVN_FOREVER), 0);
    is(tvn_posix_semaphore_wait(made, TVN_TRY), -EAGAIN);
    double begin = seconds();
    is(tvn_posix_semaphore_wait(made, 30), -ETIMEDOUT);
    holds(seconds() - begin >= 0.03);
    is(tvn_posix_semaphore_post(same), 0);
    is(tvn_posix_semaphore_wait(made, 30), 0);
    tvn_posix_semaphore_close(same);
    tvn_posix_semaphore_close(made);
    is(tvn_posix_semaphore_unlink(name), -ENOENT);
}

TEST(an_unnamed_posix_semaphore_is_the_plain_one) {
    static sem_t memory;
    tvn_posix_semaphore_t *semaphore, *same;
    is(tvn_posix_semaphore_init_at(&memory, 1, &semaphore), 0);
    is(sem_wait(&memory), 0);
    is(tvn_posix_semaphore_wait(semaphore, TVN_TRY), -EAGAIN);
    is(tvn_posix_semaphore_open_at(&memory, &same), 0);
    is(sem_post(&memory), 0);
    is(tvn_posix_semaphore_wait(same, TVN_FOREVER), 0);
    tvn_posix_semaphore_close(same);
    tvn_posix_semaphore_close(semaphore);
    is(tvn_posix_semaphore_init_at((char *)&memory + 1, 1, &semaphore), -EINVAL);
    is(tvn_posix_semaphore_init_at(&memory, 0x80000000u, &semaphore), -EINVAL);
    is(tvn_posix_semaphore_open_at(NULL, &semaphore), -EINVAL);
}

TEST(the_most_permits_are_a_limit) {
    static sem_t memory;
    tvn_posix_semaphore_t *semaphore;
    is(tvn_posix_semaphore_init_at(&memory, 2147483647, &semaphore), 0);
    is(tvn_posix_semaphore_post(semaphore), -EOVERFLOW);
    tvn_posix_semaphore_close(semaphore);
}

static tvn_sysv_semaphores_t *private_set(const uint16_t *initial, size_t count) {
    tvn_sysv_semaphores_t *set;
    is(tvn_sysv_semaphores_create(IPC_PRIVATE, initial, count, 0600, TVN_OWNED, &set), 0);
    return set;
}

TEST(several_operations_happen_at_once_or_not_at_all) {
    if (absent()) return;
    uint16_t initial[] = {1, 0, 5}, values[3];
    tvn_sysv_semaphores_t *set = private_set(initial, 3);
    tvn_semaphore_operation_t both[] = {{0, -1, 0}, {1, -1, 0}, {2, -2, 0}};
    is(tvn_sysv_semaphores_operate(set, both, 3, TVN_TRY), -EAGAIN);
    is(tvn_sysv_semaphores_operate(set, both, 3, 20), -ETIMEDOUT);
    is(tvn_sysv_semaphores_values(set, values, 3), 3);
    holds(!memcmp(values, initial, sizeof values));
    is(tvn_sysv_semaphores_post(set, 1, 1), 0);
    is(tvn_sysv_semaphores_operate(set, both, 3, TVN_FOREVER), 0);
    is(tvn_sysv_semaphores_value(set, 2), 3);
    tvn_semaphore_operation_t many[40];
    for (int i = 0; i < 40; i++) many[i] = (tvn_semaphore_operation_t){2, 1, 0};
    is(tvn_sysv_semaphores_operate(set, many, 40, TVN_FOREVER), 0);
    is(tvn_sysv_semaphores_value(set, 2), 43);
    tvn_sysv_semaphores_close(set);
}

static void *removes(void *set) {
    tvn_sysv_semaphore_info_t info = {0, 0, 0, 0};
    while (info.waiting == 0) tvn_sysv_semaphores_semaphore_info(set, 0, &info);
    tvn_sysv_semaphores_remove(set);
    return NULL;
}

TEST(removal_ends_a_wait) {
    if (absent()) return;
    tvn_sysv_semaphores_t *set = private_set((uint16_t[]){0}, 1);
    pthread_t thread;
    is(pthread_create(&thread, NULL, removes, set), 0);
    is(tvn_sysv_semaphores_wait(set, 0, 1, TVN_FOREVER), -EIDRM);
    pthread_join(thread, NULL);
    is(tvn_sysv_semaphores_post(set, 0, 1), -EIDRM);
    tvn_sysv_semaphores_close(set);
}

static void takes(void *set) {
    is(tvn_sysv_semaphores_wait(set, 0, 2, TVN_FOREVER), 0);
}

TEST(undo_gives_back_what_a_killed_process_took) {
    if (absent()) return;
    tvn_sysv_semaphores_t *set = private_set((uint16_t[]){2}, 1), *undoing;
    is(tvn_sysv_semaphores_open_id(tvn_sysv_semaphores_id(set), TVN_UNDO, &undoing), 0);
    pid_t child = stays_after(takes, undoing);
    is(tvn_sysv_semaphores_value(set, 0), 0);
    kill_it(child);
    is(tvn_sysv_semaphores_wait(set, 0, 2, TVN_FOREVER), 0);
    tvn_sysv_semaphores_close(undoing);
    tvn_sysv_semaphores_close(set);
}

TEST(a_set_tells_about_itself) {
    if (absent()) return;
    int key = 0x40000000 | (int)(getpid() << 4);
    tvn_sysv_semaphores_t *set, *same;
    tvn_sysv_semaphores_info_t info, all[4096];
    tvn_sysv_semaphore_info_t one;
    is(tvn_sysv_semaphores_create(key, (uint16_t[]){3, 4}, 2, 0600, TVN_OWNED, &set), 0);
    is(tvn_sysv_semaphores_create(key, (uint16_t[]){3, 4}, 2, 0600, 0, &same), -EEXIST);
    is(tvn_sysv_semaphores_open_or_create(key, (uint16_t[]){3}, 1, 0600, 0, &same), -TVN_EINCOMPATIBLE);
    is(tvn_sysv_semaphores_open(key, 0, &same), 0);
    is(tvn_sysv_semaphores_count(same), 2);
    is(tvn_sysv_semaphores_set(same, 0, 7), 0);
    is(tvn_sysv_semaphores_semaphore_info(set, 0, &one), 0);
    holds(one.value == 7 && one.waiting == 0 && one.waiting_for_zero == 0 && one.last_pid == (uint32_t)getpid());
    is(tvn_sysv_semaphores_set_all(same, (uint16_t[]){1, 2}, 2), 0);
    is(tvn_sysv_semaphores_value(set, 1), 2);
    is(tvn_sysv_semaphores_info(set, &info), 0);
    holds(info.key == key && info.count == 2 && info.mode == 0600 && info.operated_at > 0);
    int64_t count = tvn_sysv_semaphores_list(all, 4096), found = 0;
    for (int64_t i = 0; i < count && i < 4096; i++) found += all[i].key == key;
    is(found, 1);
    tvn_sysv_semaphores_close(same);
    tvn_sysv_semaphores_close(set);
    is(tvn_sysv_semaphores_unlink(key), -ENOENT);
}

TEST(a_signal_does_not_move_a_deadline_and_ends_a_wait_where_asked) {
    if (absent()) return;
    tvn_posix_semaphore_t *posix;
    tvn_sysv_semaphores_t *sysv = private_set((uint16_t[]){0}, 1);
    is(tvn_posix_semaphore_create(posix_name(), 0, 0600, TVN_OWNED, &posix), 0);
    timer_t timer = signal_often();
    double begin = seconds();
    is(tvn_posix_semaphore_wait(posix, 50), -ETIMEDOUT);
    is(tvn_sysv_semaphores_wait(sysv, 0, 1, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.1 && signals > 2);
    is(tvn_interruptible(1), 0);
    is(tvn_posix_semaphore_wait(posix, TVN_FOREVER), -EINTR);
    is(tvn_sysv_semaphores_wait(sysv, 0, 1, TVN_FOREVER), -EINTR);
    timer_delete(timer);
    tvn_posix_semaphore_close(posix);
    tvn_sysv_semaphores_close(sysv);
}

TEST(bad_input_is_answered) {
    if (absent()) return;
    tvn_posix_semaphore_t *posix = NULL;
    tvn_sysv_semaphores_t *sysv = NULL, *set = private_set((uint16_t[]){1}, 1);
    is(tvn_posix_semaphore_create("/a/b", 0, 0600, 0, &posix), -EINVAL);
    is(tvn_posix_semaphore_create(NULL, 0, 0600, 0, &posix), -EINVAL);
    is(tvn_posix_semaphore_create(posix_name(), 0, 0600, 99, &posix), -EINVAL);
    is(tvn_posix_semaphore_wait(NULL, TVN_TRY), -EINVAL);
    is(tvn_posix_semaphore_post(NULL), -EINVAL);
    is(tvn_posix_semaphore_value(NULL), -EINVAL);
    is(tvn_sysv_semaphores_create(IPC_PRIVATE, NULL, 1, 0600, 0, &sysv), -EINVAL);
    is(tvn_sysv_semaphores_create(IPC_PRIVATE, NULL, 0, 0600, 0, &sysv), -EINVAL);
    is(tvn_sysv_semaphores_open_id(-1, 0, &sysv), -ENOENT);
    is(tvn_sysv_semaphores_open_id(tvn_sysv_semaphores_id(set), TVN_OWNED, &sysv), -EINVAL);
    holds(!posix && !sysv);
    is(tvn_sysv_semaphores_operate(set, NULL, 0, TVN_TRY), -EINVAL);
    is(tvn_sysv_semaphores_operate(set, NULL, 1, TVN_TRY), -EINVAL);
    is(tvn_sysv_semaphores_operate(set, &(tvn_semaphore_operation_t){0, 1, 7}, 1, TVN_TRY), -EINVAL);
    is(tvn_sysv_semaphores_wait(set, 1, 1, TVN_TRY), -EINVAL);
    told("numbered from 0");
    is(tvn_sysv_semaphores_wait(set, 0, 0, TVN_TRY), -EINVAL);
    is(tvn_sysv_semaphores_post(set, 0, 32767), -EOVERFLOW);
    is(tvn_sysv_semaphores_set(set, 0, 32768), -EINVAL);
    is(tvn_sysv_semaphores_set_all(set, NULL, 0), -EINVAL);
    tvn_posix_semaphore_close(NULL);
    tvn_sysv_semaphores_close(NULL);
    tvn_sysv_semaphores_close(set);
}
