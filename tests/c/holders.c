/*
 * Who holds something and ends, forks, calls exec, is stopped or is killed: the same stories for every object that can
 * be held.
 */
#include "check.h"
#include <pthread.h>

static struct all {
    tvn_segment_t *segment;
    tvn_mutex_t *mutex;
    tvn_monitor_t *monitor;
    tvn_rwlock_t *rwlock;
    tvn_semaphore_t *leased;
} all;

static int lock_mutex(int ms) { return tvn_mutex_lock(all.mutex, ms); }
static int unlock_mutex(void) { return tvn_mutex_unlock(all.mutex); }
static int recover_mutex(void) { return tvn_mutex_recover(all.mutex); }
static int enter(int ms) { return tvn_monitor_enter(all.monitor, ms); }
static int leave(void) { return tvn_monitor_leave(all.monitor); }
static int recover_monitor(void) { return tvn_monitor_recover(all.monitor); }
static int write_lock(int ms) { return tvn_rwlock_write(all.rwlock, ms); }
static int read_lock(int ms) { return tvn_rwlock_read(all.rwlock, ms); }
static int unlock(void) { return tvn_rwlock_unlock(all.rwlock); }
static int recover_rwlock(void) { return tvn_rwlock_recover(all.rwlock); }
static int wait_permit(int ms) { return tvn_semaphore_wait(all.leased, ms); }
static int post_permit(void) { return tvn_semaphore_post(all.leased); }

/* What can be held, how somebody else tries to get past, and what he is told after the holder's death. */
static const struct kind {
    const char *name;
    int (*take)(int);
    int (*give)(void);
    int (*contend)(int);
    int (*recover)(void);
    int after_death;
} kinds[] = {
    {"mutex", lock_mutex, unlock_mutex, lock_mutex, recover_mutex, -EOWNERDEAD},
    {"monitor", enter, leave, enter, recover_monitor, -EOWNERDEAD},
    {"writer", write_lock, unlock, write_lock, recover_rwlock, -EOWNERDEAD},
    {"reader", read_lock, unlock, write_lock, NULL, 0},
    {"leased permit", wait_permit, post_permit, wait_permit, NULL, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void find_all(void) {
    is(tvn_mutex(all.segment, "mutex", &all.mutex), 0);
    is(tvn_monitor(all.segment, "monitor", &all.monitor), 0);
    is(tvn_rwlock(all.segment, "rwlock", TVN_FAIR, &all.rwlock), 0);
    is(tvn_semaphore_leased(all.segment, "leased", 1, &all.leased), 0);
}

static void make_all(void) {
    all.segment = fresh_segment();
    find_all();
}

static void end_all(void) {
    tvn_semaphore_close(all.leased);
    tvn_rwlock_close(all.rwlock);
    tvn_monitor_close(all.monitor);
    tvn_mutex_close(all.mutex);
    tvn_segment_close(all.segment);
}

static void take_all(void *unused) {
    (void)unused;
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].take != read_lock) is(kinds[i].take(TVN_FOREVER), 0);
}

/* Gets it after a death, puts it right, and finds it whole the next time. */
static void gets_past(const struct kind *kind, int timeout_ms) {
    int got = kind->contend(timeout_ms);
    if (got != kind->after_death) fprintf(stderr, "%s: ", kind->name);
    is(got, kind->after_death);
    if (got == -EOWNERDEAD) {
        told("recover");
        is(kind->recover(), 0);
    }
    is(kind->give(), 0);
    is(kind->contend(30000), 0);
    is(kind->give(), 0);
}

static void *take_and_end(void *kind) {
    is(((const struct kind *)kind)->take(TVN_FOREVER), 0);
    pthread_exit(NULL);
}

TEST(a_thread_that_ends_while_it_holds_something_leaves_it_as_a_death_would) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        pthread_t thread;
        is(pthread_create(&thread, NULL, take_and_end, (void *)&kinds[i]), 0);
        is(pthread_join(thread, NULL), 0);
        gets_past(&kinds[i], TVN_TRY); /* at once: nobody had to find out */
    }
    end_all();
}

static int come_so_far[2], end_now[2];

static void *take_and_end_when_told(void *kind) {
    is(((const struct kind *)kind)->take(TVN_FOREVER), 0);
    tell(come_so_far);
    await(end_now);
    return NULL;
}

static void *end_it_when_one_sleeps(void *unused) {
    until_asleep(all.segment, 1);
    tell(end_now);
    return unused;
}

TEST(the_end_of_a_thread_wakes_who_sleeps_for_what_it_holds) {
    make_all();
    is(pipe(come_so_far) | pipe(end_now), 0);
    for (int i = 0; i < KINDS; i++) {
        pthread_t holder, helper;
        is(pthread_create(&holder, NULL, take_and_end_when_told, (void *)&kinds[i]), 0);
        await(come_so_far);
        is(pthread_create(&helper, NULL, end_it_when_one_sleeps, NULL), 0);
        gets_past(&kinds[i], TVN_FOREVER);
        is(pthread_join(holder, NULL), 0);
        is(pthread_join(helper, NULL), 0);
    }
    end_all();
}

TEST(a_forked_child_holds_nothing_that_its_parent_holds) {
    make_all();
    int mine[2];
    is(pipe(mine), 0);
    for (int i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        is(kind->take(TVN_FOREVER), 0);
        pid_t child = fork();
        if (child == 0) {
            is(kind->give(), -EPERM);
            if (kind->recover) is(kind->recover(), -EPERM);
            is(kind->contend(TVN_TRY), -EAGAIN);
            is(kind->contend(20), -ETIMEDOUT);
            tell(mine);
            is(kind->contend(TVN_FOREVER), 0); /* the parent gives it back meanwhile */
            is(kind->give(), 0);
            _exit(0);
        }
        await(mine);
        until_asleep(all.segment, 1);
        is(kind->give(), 0); /* still the parent's */
        is(exit_of(child), 0);
        is(kind->take(TVN_FOREVER), 0); /* and whole: the child ended holding nothing */
        is(kind->give(), 0);
    }
    end_all();
}

TEST(a_child_that_dies_takes_nothing_of_its_parents_with_it) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        is(kinds[i].take(TVN_FOREVER), 0);
        pid_t child = fork();
        if (child == 0) {
            is(tvn_segment_sweep(all.segment), 0); /* now it takes part */
            kill(getpid(), SIGKILL);
        }
        is(exit_of(child), -1);
        is(tvn_segment_sweep(all.segment), 1);
        is(kinds[i].give(), 0);
        is(kinds[i].contend(TVN_TRY), 0);
        is(kinds[i].give(), 0);
    }
    end_all();
}

static void take_one(void *kind) {
    is(((const struct kind *)kind)->take(TVN_FOREVER), 0);
}

TEST(what_a_killed_process_held_goes_to_the_next_one) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        kill_it(stays_after(take_one, (void *)&kinds[i]));
        gets_past(&kinds[i], 30000);
        kill_it(stays_after(take_one, (void *)&kinds[i]));
        for (int tries = 0;; tries++) { /* a loop of tries gets past a dead holder too */
            int got = kinds[i].contend(TVN_TRY);
            if (got == -EAGAIN) continue;
            is(got, kinds[i].after_death);
            break;
        }
        if (kinds[i].recover) is(kinds[i].recover(), 0);
        is(kinds[i].give(), 0);
    }
    end_all();
}

static void *kill_him_when_one_sleeps(void *pid) {
    until_asleep(all.segment, 1);
    is(kill((pid_t)(intptr_t)pid, SIGKILL), 0);
    return NULL;
}

TEST(a_death_wakes_who_sleeps_for_what_the_dead_one_held) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        pthread_t killer;
        pid_t holder = stays_after(take_one, (void *)&kinds[i]);
        is(pthread_create(&killer, NULL, kill_him_when_one_sleeps, (void *)(intptr_t)holder), 0);
        gets_past(&kinds[i], TVN_FOREVER);
        is(pthread_join(killer, NULL), 0);
        is(exit_of(holder), -1);
    }
    end_all();
}

TEST(who_does_not_recover_passes_the_news_on) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        if (!kinds[i].recover) continue;
        kill_it(stays_after(take_one, (void *)&kinds[i]));
        is(kinds[i].contend(30000), -EOWNERDEAD);
        is(kinds[i].give(), 0);
        gets_past(&kinds[i], 30000);
    }
    end_all();
}

TEST(a_dead_writer_is_told_to_readers_until_a_writer_recovers) {
    make_all();
    kill_it(stays_after(take_one, (void *)&kinds[2]));
    is(tvn_rwlock_read(all.rwlock, 30000), -EOWNERDEAD);
    told("reading");
    is(tvn_rwlock_readers(all.rwlock), 1); /* held */
    is(tvn_rwlock_recover(all.rwlock), -EPERM); /* a reader cannot have put it right */
    is(tvn_rwlock_unlock(all.rwlock), 0);
    is(tvn_rwlock_read(all.rwlock, TVN_FOREVER), -EOWNERDEAD);
    is(tvn_rwlock_unlock(all.rwlock), 0);
    is(tvn_rwlock_write(all.rwlock, TVN_FOREVER), -EOWNERDEAD);
    is(tvn_rwlock_recover(all.rwlock), 0);
    is(tvn_rwlock_downgrade(all.rwlock), 0);
    is(tvn_rwlock_unlock(all.rwlock), 0);
    is(tvn_rwlock_read(all.rwlock, TVN_FOREVER), 0);
    is(tvn_rwlock_unlock(all.rwlock), 0);
    end_all();
}

TEST(exec_is_a_death_to_those_who_wait) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        int out[2], in[2];
        is(pipe(out) | pipe(in), 0);
        pid_t child = fork();
        if (child == 0) {
            is(kinds[i].take(TVN_FOREVER), 0);
            dup2(in[0], 0);
            dup2(out[1], 1);
            close(in[1]);
            execl("/bin/sh", "sh", "-c", "echo; read forever", (char *)NULL);
            _exit(9);
        }
        await(out); /* the shell runs: exec is over, the process lives */
        gets_past(&kinds[i], 30000);
        is(waitpid(child, NULL, WNOHANG), 0);
        kill_it(child);
        for (int k = 0; k < 2; k++) close(in[k]), close(out[k]);
    }
    end_all();
}

TEST(a_process_that_ends_without_giving_back_leaves_it_as_a_death_would) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        pid_t child = fork();
        if (child == 0) {
            is(kinds[i].take(TVN_FOREVER), 0);
            exit(0);
        }
        is(exit_of(child), 0);
        gets_past(&kinds[i], 30000);
    }
    end_all();
}

TEST(who_leaves_the_segment_while_he_holds_something_leaves_it_too) {
    int go[KINDS][2], left[2];
    pid_t children[KINDS];
    is(pipe(left), 0);
    for (int i = 0; i < KINDS; i++) {
        is(pipe(go[i]), 0);
        if ((children[i] = fork()) == 0) { /* before its parent takes part: it inherits nothing */
            await(go[i]);
            is(tvn_segment_open(fresh, &all.segment), 0);
            find_all();
            is(kinds[i].take(TVN_FOREVER), 0);
            end_all();
            tell(left);
            for (;;) pause();
        }
    }
    make_all();
    for (int i = 0; i < KINDS; i++) {
        tell(go[i]);
        await(left);
        gets_past(&kinds[i], TVN_TRY); /* he lives, and takes no part any more */
        is(waitpid(children[i], NULL, WNOHANG), 0);
        kill_it(children[i]);
    }
    end_all();
}

TEST(closing_a_handle_does_not_unlock) {
    make_all();
    tvn_mutex_t *again;
    is(tvn_mutex_lock(all.mutex, TVN_FOREVER), 0);
    tvn_mutex_close(all.mutex);
    is(tvn_mutex_open(all.segment, "mutex", &again), 0);
    is(tvn_mutex_lock(again, TVN_FOREVER), -EDEADLK);
    is(tvn_mutex_unlock(again), 0);
    all.mutex = again;
    is(tvn_rwlock_read(all.rwlock, TVN_FOREVER), 0);
    tvn_rwlock_close(all.rwlock);
    is(tvn_rwlock_open(all.segment, "rwlock", &all.rwlock), 0);
    is(tvn_rwlock_readers(all.rwlock), 1);
    is(tvn_rwlock_unlock(all.rwlock), 0);
    end_all();
}

TEST(nothing_is_taken_from_a_process_that_is_stopped) {
    make_all();
    for (int i = 0; i < KINDS; i++) {
        int go_on[2], status;
        is(pipe(go_on), 0);
        int done[2];
        is(pipe(done), 0);
        pid_t child = fork();
        if (child == 0) {
            is(kinds[i].take(TVN_FOREVER), 0);
            tell(done);
            await(go_on);
            is(kinds[i].give(), 0); /* it was his all the time */
            _exit(0);
        }
        await(done);
        is(kill(child, SIGSTOP), 0);
        is(waitpid(child, &status, WUNTRACED), child);
        holds(WIFSTOPPED(status));
        is(kinds[i].contend(200), -ETIMEDOUT); /* long enough for a sleeper to look more than once */
        is(kinds[i].contend(TVN_TRY), -EAGAIN);
        is(tvn_segment_sweep(all.segment), 0);
        is(kill(child, SIGCONT), 0);
        tell(go_on);
        is(kinds[i].contend(TVN_FOREVER), 0);
        is(kinds[i].give(), 0);
        is(exit_of(child), 0);
        close(go_on[0]), close(go_on[1]), close(done[0]), close(done[1]);
    }
    end_all();
}

TEST(a_process_that_dies_holding_everything_leaves_everything) {
    make_all();
    kill_it(stays_after(take_all, NULL));
    is(tvn_segment_sweep(all.segment), 1);
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].take != read_lock) gets_past(&kinds[i], TVN_TRY);
    end_all();
}

/* The permits of a counting semaphore have no holder: they stay taken, as those of sem_t do. */
static void take_a_permit(void *semaphore) {
    is(tvn_semaphore_wait(semaphore, TVN_FOREVER), 0);
}

TEST(a_permit_that_is_not_leased_stays_taken) {
    make_all();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore(all.segment, "s", 1, &semaphore), 0);
    kill_it(stays_after(take_a_permit, semaphore));
    is(tvn_segment_sweep(all.segment), 1);
    is(tvn_semaphore_wait(semaphore, 100), -ETIMEDOUT);
    is(tvn_semaphore_post(semaphore), 0); /* anybody may */
    is(tvn_semaphore_wait(semaphore, TVN_TRY), 0);
    tvn_semaphore_close(semaphore);
    end_all();
}

static void take_two_of_three(void *semaphore) {
    is(tvn_semaphore_wait_n(semaphore, 2, TVN_FOREVER), 0);
}

TEST(all_leased_permits_of_a_dead_process_come_back) {
    make_all();
    tvn_semaphore_t *semaphore;
    is(tvn_semaphore_leased(all.segment, "three", 3, &semaphore), 0);
    pid_t child = stays_after(take_two_of_three, semaphore);
    is(tvn_semaphore_value(semaphore), 1);
    is(tvn_semaphore_wait_n(semaphore, 3, 100), -ETIMEDOUT);
    kill_it(child);
    is(tvn_semaphore_wait_n(semaphore, 3, 30000), 0);
    is(tvn_semaphore_value(semaphore), 0);
    is(tvn_semaphore_post_n(semaphore, 3), 0);
    tvn_semaphore_close(semaphore);
    end_all();
}

/* -------- barrier and condition: nobody holds them, yet a death counts -------- */

TEST(a_death_breaks_a_barrier_until_somebody_resets_it) {
    make_all();
    tvn_barrier_t *barrier;
    is(tvn_barrier(all.segment, "b", 2, &barrier), 0);
    int ready[2];
    is(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_barrier_wait(barrier, TVN_TRY), -EAGAIN); /* now it takes part */
        tell(ready);
        for (;;) pause();
    }
    await(ready);
    pthread_t killer;
    is(pthread_create(&killer, NULL, kill_him_when_one_sleeps, (void *)(intptr_t)child), 0);
    is(tvn_barrier_wait(barrier, TVN_FOREVER), -TVN_EBROKEN);
    told("/b");
    is(pthread_join(killer, NULL), 0);
    is(exit_of(child), -1);
    is(tvn_barrier_is_broken(barrier), 1);
    is(tvn_barrier_wait(barrier, TVN_TRY), -TVN_EBROKEN);
    is(tvn_barrier_wait(barrier, 30000), -TVN_EBROKEN);
    is(tvn_barrier_reset(barrier), 0);
    is(tvn_barrier_is_broken(barrier), 0);
    is(tvn_barrier_wait(barrier, 20), -ETIMEDOUT);
    tvn_barrier_close(barrier);
    end_all();
}

TEST(who_waits_for_a_condition_learns_of_a_death_inside) {
    make_all();
    tvn_condition_t *condition;
    int waiting[2];
    is(tvn_condition(all.monitor, "c", &condition), 0);
    is(pipe(waiting), 0);
    pid_t waiter = fork();
    if (waiter == 0) {
        is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
        tell(waiting);
        int waited;
        while ((waited = tvn_condition_wait(condition, TVN_FOREVER)) == 0) {} /* may come back without a signal */
        is(waited, -EOWNERDEAD);
        told("\"c\"");
        is(tvn_monitor_recover(all.monitor), 0); /* inside */
        is(tvn_monitor_leave(all.monitor), 0);
        _exit(0);
    }
    await(waiting);
    pid_t dying = fork();
    if (dying == 0) {
        is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0); /* the waiter has left it, so it waits */
        is(tvn_condition_signal(condition), 0);
        kill(getpid(), SIGKILL);
    }
    is(exit_of(dying), -1);
    is(exit_of(waiter), 0);
    is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
    is(tvn_monitor_leave(all.monitor), 0);
    tvn_condition_close(condition);
    end_all();
}

TEST(a_child_signals_its_parent_through_what_it_inherited) {
    make_all();
    tvn_condition_t *condition;
    tvn_event_t *event;
    tvn_barrier_t *barrier;
    is(tvn_condition(all.monitor, "c", &condition), 0);
    is(tvn_event(all.segment, "e", 0, &event), 0);
    is(tvn_barrier(all.segment, "b", 2, &barrier), 0);
    is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0); /* when the parent waits */
        is(tvn_event_set(event, 1, NULL), 0);
        is(tvn_condition_broadcast(condition), 0);
        is(tvn_monitor_leave(all.monitor), 0);
        int leads = tvn_barrier_wait(barrier, TVN_FOREVER);
        tvn_barrier_close(barrier);
        tvn_event_close(event);
        tvn_condition_close(condition);
        end_all();
        _exit(leads);
    }
    while (tvn_event_wait_all(event, 1, false, TVN_TRY) != 0) is(tvn_condition_wait(condition, TVN_FOREVER), 0);
    is(tvn_monitor_leave(all.monitor), 0);
    int leads = tvn_barrier_wait(barrier, TVN_FOREVER);
    is(leads + exit_of(child), 1);
    tvn_barrier_close(barrier);
    tvn_event_close(event);
    tvn_condition_close(condition);
    end_all();
}
