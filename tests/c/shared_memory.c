/* Shared memory, POSIX and System V. */
#include "check.h"
#include <errno.h>
#include <sys/ipc.h>

static char name[80];

/* Where the system has no System V IPC, there is nothing of it to test. */
static int absent(void) {
    return tvn_sysv_shared_memory_list(NULL, 0) == -ENOSYS;
}

static const char *posix_name(void) {
    snprintf(name, sizeof name, "/%s", fresh);
    return name;
}

TEST(posix_memory_is_created_opened_and_unlinked) {
    tvn_posix_shared_memory_t *made, *same;
    is(tvn_posix_shared_memory_open(posix_name(), 0, 0, &made), -ENOENT);
    told("create makes one");
    is(tvn_posix_shared_memory_create(name, 5000, 0600, 0, &made), 0);
    is(tvn_posix_shared_memory_create(name, 5000, 0600, 0, &same), -EEXIST);
    is(tvn_posix_shared_memory_open(name, 5000, 0, &same), 0);
    is(tvn_posix_shared_memory_size(same), 5000);
    holds(tvn_posix_shared_memory_fd(same) >= 0);
    char *here = tvn_posix_shared_memory_data(made), *there = tvn_posix_shared_memory_data(same);
    holds(here != there);
    strcpy(here + 4990, "Hello");
    holds(!strcmp(there + 4990, "Hello"));
    tvn_posix_shared_memory_close(same);
    is(tvn_posix_shared_memory_unlink(name), 0);
    is(tvn_posix_shared_memory_unlink(name), -ENOENT);
    strcpy(here, "still here");
    tvn_posix_shared_memory_close(made);
}

TEST(an_owned_name_goes_with_its_handle_and_a_forked_child_leaves_it) {
    tvn_posix_shared_memory_t *made;
    is(tvn_posix_shared_memory_open_or_create(posix_name(), 64, 0600, TVN_OWNED, &made), 0);
    char *data = tvn_posix_shared_memory_data(made);
    pid_t child = fork();
    if (child == 0) {
        strcpy(data, "child");
        tvn_posix_shared_memory_close(made);
        _exit(0);
    }
    is(exit_of(child), 0);
    holds(!strcmp(data, "child"));
    is(tvn_posix_shared_memory_open_or_create(name, 65, 0600, 0, &(tvn_posix_shared_memory_t *){0}), -TVN_EINCOMPATIBLE);
    told("64 bytes");
    tvn_posix_shared_memory_close(made);
    is(tvn_posix_shared_memory_unlink(name), -ENOENT);
}

TEST(read_only_memory_is_not_to_be_written) {
    tvn_posix_shared_memory_t *made, *seen;
    is(tvn_posix_shared_memory_create(posix_name(), 64, 0600, TVN_OWNED, &made), 0);
    is(tvn_posix_shared_memory_open(name, 0, TVN_READ_ONLY, &seen), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* not the sanitizer's */
        *(volatile char *)tvn_posix_shared_memory_data(seen) = 1;
        _exit(0);
    }
    int status;
    holds(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    tvn_posix_shared_memory_close(seen);
    tvn_posix_shared_memory_close(made);
}

TEST(sysv_memory_is_found_by_its_number_and_listed) {
    if (absent()) return;
    tvn_sysv_shared_memory_t *made, *same;
    tvn_sysv_shared_memory_info_t info, all[4096];
    is(tvn_sysv_shared_memory_create(IPC_PRIVATE, 1024, 0600, 0, &made), 0);
    int id = tvn_sysv_shared_memory_id(made);
    is(tvn_sysv_shared_memory_open_id(id, 1024, TVN_READ_ONLY, &same), 0);
    is(tvn_sysv_shared_memory_size(same), 1024);
    strcpy(tvn_sysv_shared_memory_data(made), "Hello");
    holds(!strcmp(tvn_sysv_shared_memory_data(same), "Hello"));
    is(tvn_sysv_shared_memory_info(made, &info), 0);
    holds(info.id == id && info.key == 0 && info.size == 1024 && info.attached == 2 && info.mode == 0600);
    holds(info.creator_pid == (uint32_t)getpid() && !info.removed && info.attached_at > 0);
    int64_t count = tvn_sysv_shared_memory_list(all, 4096), found = 0;
    for (int64_t i = 0; i < count && i < 4096; i++) found += all[i].id == id && all[i].size == 1024;
    is(found, 1);
    is(tvn_sysv_shared_memory_remove(made), 0);
    tvn_sysv_shared_memory_close(made);
    is(tvn_sysv_shared_memory_info(same, &info), 0);
    holds(info.removed && info.attached == 1);
    tvn_sysv_shared_memory_close(same);
    is(tvn_sysv_shared_memory_open_id(id, 0, 0, &same), -ENOENT);
}

TEST(sysv_memory_is_found_by_its_key) {
    if (absent()) return;
    int key = 0x40000000 | (int)(getpid() << 4);
    tvn_sysv_shared_memory_t *made, *same;
    is(tvn_sysv_shared_memory_create(key, 100, 0600, TVN_OWNED, &made), 0);
    is(tvn_sysv_shared_memory_create(key, 100, 0600, 0, &same), -EEXIST);
    is(tvn_sysv_shared_memory_open(key, 101, 0, &same), -TVN_EINCOMPATIBLE);
    is(tvn_sysv_shared_memory_open_or_create(key, 100, 0600, 0, &same), 0);
    is(tvn_sysv_shared_memory_id(same), tvn_sysv_shared_memory_id(made));
    tvn_sysv_shared_memory_close(same);
    tvn_sysv_shared_memory_close(made);
    is(tvn_sysv_shared_memory_open(key, 0, 0, &same), -ENOENT);
    is(tvn_sysv_shared_memory_unlink(key), -ENOENT);
    is(tvn_sysv_shared_memory_open(IPC_PRIVATE, 0, 0, &same), -EINVAL);
}

TEST(bad_input_is_answered) {
    if (absent()) return;
    tvn_posix_shared_memory_t *posix = NULL;
    tvn_sysv_shared_memory_t *sysv = NULL;
    is(tvn_posix_shared_memory_create("/a/b", 1, 0600, 0, &posix), -EINVAL);
    is(tvn_posix_shared_memory_create(NULL, 1, 0600, 0, &posix), -EINVAL);
    is(tvn_posix_shared_memory_create(posix_name(), 0, 0600, 0, &posix), -EINVAL);
    is(tvn_posix_shared_memory_create(name, 1, 0600, TVN_READ_ONLY, &posix), -EINVAL);
    is(tvn_posix_shared_memory_create(name, 1, 0600, 0, NULL), -EINVAL);
    is(tvn_posix_shared_memory_open(name, 0, 99, &posix), -EINVAL);
    is(tvn_posix_shared_memory_create("/triveni.x", 1, 0600, 0, &posix), -EINVAL);
    is(tvn_sysv_shared_memory_create(IPC_PRIVATE, 0, 0600, 0, &sysv), -EINVAL);
    is(tvn_sysv_shared_memory_open_id(-1, 0, 0, &sysv), -ENOENT);
    holds(!posix && !sysv && !tvn_posix_shared_memory_data(NULL) && !tvn_sysv_shared_memory_data(NULL));
    is(tvn_posix_shared_memory_size(NULL), -EINVAL);
    is(tvn_sysv_shared_memory_info(NULL, NULL), -EINVAL);
    tvn_posix_shared_memory_close(NULL);
    tvn_sysv_shared_memory_close(NULL);
}
