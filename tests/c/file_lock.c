/* Locks on files: the three of them, their errors, and what a forked child has. */
#include "check.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static char path[128], lock_path[140];

static void make(void) {
    snprintf(path, sizeof path, "/tmp/%s", fresh);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
}

static void unmake(void) {
    unlink(path);
    unlink(lock_path);
}

TEST(a_file_lock_excludes_other_handles_and_plain_flock) {
    make();
    tvn_file_lock_t *mine, *yours;
    is(tvn_file_lock_open(path, &mine), -ENOENT);
    is(tvn_file_lock_open_or_create(path, 0600, &mine), 0);
    is(tvn_file_lock_open(path, &yours), 0);
    is(tvn_file_lock_lock(mine, TVN_FOREVER), 0);
    is(tvn_file_lock_lock(mine, TVN_TRY), 0); /* one handle is one holder */
    is(tvn_file_lock_lock(yours, TVN_TRY), -EAGAIN);
    is(tvn_file_lock_lock_shared(yours, TVN_TRY), -EAGAIN);
    double begin = seconds();
    is(tvn_file_lock_lock(yours, 20), -ETIMEDOUT);
    holds(seconds() - begin >= 0.02);
    told("holds it");
    uint32_t pids[2];
    is(tvn_file_lock_holders(yours, pids, 2), 1);
    is(pids[0], getpid());
    is(tvn_file_lock_holders(yours, NULL, 0), 1);
    int plain = open(path, O_RDONLY);
    is(flock(plain, LOCK_SH | LOCK_NB), -1);
    is(tvn_file_lock_unlock(mine), 0);
    is(tvn_file_lock_unlock(mine), 0);
    is(flock(plain, LOCK_SH | LOCK_NB), 0);
    is(tvn_file_lock_lock_shared(mine, TVN_FOREVER), 0);
    is(tvn_file_lock_lock(yours, TVN_TRY), -EAGAIN);
    close(plain);
    tvn_file_lock_close(mine);
    is(tvn_file_lock_lock(yours, 1000), 0);
    is(fcntl(tvn_file_lock_fd(yours), F_GETFD), FD_CLOEXEC);
    tvn_file_lock_close(yours);
    is(tvn_file_lock_lock(NULL, TVN_TRY), -EINVAL);
    is(tvn_file_lock_from_fd(-1, &mine), -EINVAL);
    unmake();
}

TEST(ranges_exclude_where_they_overlap_and_say_what_is_in_the_way) {
    make();
    tvn_range_lock_t *mine, *yours, *reads;
    tvn_range_blocker_t blocker;
    is(tvn_range_lock_open_or_create(path, 0600, &mine), 0);
    is(tvn_range_lock_open(path, &yours), 0);
    is(tvn_range_lock_lock(mine, 10, 10, TVN_FOREVER), 0);
    is(tvn_range_lock_lock(yours, 0, 11, TVN_TRY), -EAGAIN);
    is(tvn_range_lock_lock(yours, 0, 10, TVN_TRY), 0);
    is(tvn_range_lock_lock(yours, 20, 0, TVN_TRY), 0);
    is(tvn_range_lock_blocker(yours, 0, 0, true, &blocker), 1);
    holds(blocker.start == 10 && blocker.length == 10 && blocker.pid == 0 && blocker.exclusive);
    is(tvn_range_lock_lock(yours, 19, 1, 20), -ETIMEDOUT);
    told("has bytes 10 to 19");
    is(tvn_range_lock_unlock(mine, 0, 0), 0);
    is(tvn_range_lock_blocker(yours, 0, 0, true, &blocker), 0);
    is(tvn_range_lock_lock_shared(mine, 0, 5, TVN_TRY), -EAGAIN);
    is(tvn_range_lock_lock(mine, UINT64_MAX, 1, TVN_TRY), -EINVAL);
    is(tvn_range_lock_lock(mine, 1, UINT64_MAX, TVN_FOREVER), -EINVAL);
    is(tvn_range_lock_from_fd(open(path, O_RDONLY | O_CLOEXEC), &reads), 0);
    is(tvn_range_lock_lock_shared(reads, 15, 1, TVN_FOREVER), 0);
    is(tvn_range_lock_lock(reads, 15, 1, TVN_FOREVER), -EBADF);
    told("needs it open for writing");
    struct flock plain = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 11, .l_len = 1};
    is(fcntl(tvn_range_lock_fd(reads), F_SETLK, &plain), 0);
    is(tvn_range_lock_blocker(mine, 11, 1, true, &blocker), 1);
    is(blocker.pid, getpid());
    tvn_range_lock_close(mine);
    tvn_range_lock_close(yours);
    tvn_range_lock_close(reads);
    unmake();
}

TEST(a_lock_file_says_whose_it_is_and_is_taken_over_when_asked) {
    make();
    tvn_lock_file_t *lock, *second;
    tvn_lock_file_holder_t holder;
    is(tvn_lock_file_holder(lock_path, &holder), 0);
    is(tvn_lock_file_lock(lock_path, 0600, 4, TVN_TRY, &lock), -EINVAL);
    int pipe_ends[2];
    is(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_lock_file_lock(lock_path, 0640, 0, TVN_FOREVER, &lock), 0);
        is(write(pipe_ends[1], "x", 1), 1);
        for (;;) pause();
    }
    char byte;
    is(read(pipe_ends[0], &byte, 1), 1);
    is(tvn_lock_file_holder(lock_path, &holder), 1);
    holds(holder.pid == (uint32_t)child && holder.alive == 1 && holder.program[0]);
    is(tvn_lock_file_lock(lock_path, 0600, 0, TVN_TRY, &lock), -EAGAIN);
    is(tvn_lock_file_lock(lock_path, 0600, TVN_TAKE_OVER, 20, &lock), -ETIMEDOUT);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    is(tvn_lock_file_lock(lock_path, 0600, 0, TVN_FOREVER, &lock), -ECONNRESET);
    told("is dead");
    is(tvn_lock_file_lock(lock_path, 0600, TVN_TAKE_OVER, TVN_FOREVER, &lock), 0);
    is(tvn_lock_file_left_by(lock), child);
    is(tvn_lock_file_lock(lock_path, 0600, TVN_TAKE_OVER, TVN_TRY, &second), -EAGAIN);
    child = fork();
    if (child == 0) _exit(tvn_lock_file_unlock(lock) == -EPERM ? 7 : 1);
    int status;
    waitpid(child, &status, 0);
    is(WEXITSTATUS(status), 7);
    is(tvn_lock_file_holder(lock_path, &holder), 1);
    is(tvn_lock_file_unlock(lock), 0);
    is(access(lock_path, F_OK), -1);
    is(tvn_lock_file_unlock(NULL), 0);
    is(tvn_lock_file_lock(lock_path, 0600, TVN_OWNED, TVN_TRY, &lock), 0);
    is(tvn_lock_file_left_by(lock), 0);
    is(unlink(lock_path), 0);
    is(tvn_lock_file_unlock(lock), -EPERM);
    is(tvn_lock_file_lock("/nowhere/lock", 0600, 0, TVN_TRY, &lock), -ENOENT);
    is(tvn_lock_file_lock(NULL, 0600, 0, TVN_TRY, &lock), -EINVAL);
    unmake();
}
