/*
 * Signalling and locking with SIGSTOP and SIGCONT, and what goes wrong with it.
 *
 *     stopping
 *
 * Signalling: B stops itself before Y, and A lets it go on after X. Locking: A stops B while it looks at what B changes.
 * A SIGCONT that comes before the stop is lost: the one who sends it has to see first that the other stands.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

static int64_t must(int64_t result) {
    if (result < 0) tvn_perror("stopping"), exit(1);
    return result;
}

int main(void) {
    tvn_child_t *child;
    int fds[2], go[2], status;
    char order[3] = "";
    if (pipe(fds) < 0 || pipe(go) < 0) return perror("stopping"), 1;

    int b = (int)must(tvn_fork(&child));
    if (b == 0) {
        must(tvn_stop_self()); /* before Y, until A says so */
        _exit(write(fds[1], "Y", 1) != 1);
    }
    must(tvn_wait_stopped(b, TVN_FOREVER));
    if (write(fds[1], "X", 1) != 1) return 1;
    must(tvn_continue_stopped(b, TVN_FOREVER));
    must(tvn_child_wait(child, NULL, TVN_FOREVER));
    tvn_child_close(child);
    if (read(fds[0], order, 2) != 2) return 1;
    printf("signalling: %s\n", order);
    fflush(stdout);

    tvn_segment_t *segment;
    tvn_semaphore_t *counter;
    must(tvn_segment_anonymous(1 << 20, &segment));
    must(tvn_semaphore(segment, "counter", 0, &counter));
    b = (int)must(tvn_fork(&child));
    if (b == 0) {
        while (tvn_semaphore_post(counter) == 0) usleep(100);
        _exit(1);
    }
    must(tvn_semaphore_wait(counter, TVN_FOREVER)); /* it counts */
    tvn_stop_lock_t *lock;
    must(tvn_stop_lock(b, &lock));
    must(tvn_stop_lock_lock(lock, TVN_FOREVER));
    int64_t before = tvn_semaphore_value(counter);
    usleep(20000);
    printf("locking: B counted %d while it was locked out\n", (int)(tvn_semaphore_value(counter) - before));
    must(tvn_stop_lock_unlock(lock));
    must(tvn_semaphore_wait_n(counter, (uint32_t)before + 1, TVN_FOREVER));
    printf("locking: B goes on afterwards\n");
    fflush(stdout);
    must(tvn_child_kill(child));
    must(tvn_child_wait(child, NULL, TVN_FOREVER));
    tvn_child_close(child);
    tvn_stop_lock_close(lock);
    tvn_semaphore_close(counter);
    tvn_segment_close(segment);

    b = (int)must(tvn_fork(&child));
    if (b == 0) _exit(read(go[0], order, 1) != 1 || tvn_stop_self() < 0);
    must(tvn_continue_process(b)); /* too early */
    if (write(go[1], "!", 1) != 1) return 1;
    must(tvn_wait_stopped(b, TVN_FOREVER));
    usleep(20000);
    printf("a SIGCONT before the stop: B %s\n", must(tvn_is_stopped(b)) ? "stands still" : "goes on");
    must(tvn_continue_stopped(b, TVN_FOREVER));
    must(tvn_child_wait(child, &status, TVN_FOREVER));
    printf("a SIGCONT after it: B ends with status %d\n", WEXITSTATUS(status));
    tvn_child_close(child);
    return 0;
}
