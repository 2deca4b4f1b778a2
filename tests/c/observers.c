/* How a segment is made, and what is to be seen of it: names, waits, deadlocks, deaths. */
#include "check.h"
#include <pthread.h>
#include <sys/stat.h>

static const tvn_segment_options_t defaults = TVN_SEGMENT_OPTIONS;

/* -------- options -------- */

TEST(options_that_are_not_set_are_the_defaults) {
    tvn_segment_t *segment, *again;
    struct stat file;
    char path[128];
    is(tvn_segment_create_with(fresh, 1 << 20, &defaults, &segment), 0);
    is(tvn_segment_size(segment), 1 << 20);
    is(tvn_segment_detects_deadlocks(segment), 0);
    snprintf(path, sizeof path, "/dev/shm/triveni.%s", fresh);
    is(stat(path, &file), 0);
    is(file.st_mode & 0777, 0600);
    is(tvn_segment_create_with(fresh, 1 << 20, NULL, &again), -EEXIST); /* NULL: all defaults */
    is(tvn_segment_open_with(fresh, NULL, &again), 0);
    tvn_segment_close(again);
    is(tvn_segment_open_or_create_with(fresh, 1 << 20, NULL, &again), 0);
    tvn_segment_close(again);
    tvn_segment_close(segment);
}

TEST(options_that_cannot_be_are_refused_and_the_output_untouched) {
    tvn_segment_t *segment = (tvn_segment_t *)(uintptr_t)0x10;
    tvn_segment_options_t zero = {0}, bad = TVN_SEGMENT_OPTIONS;
    is(tvn_segment_create_with(fresh, 1 << 20, &zero, &segment), -EINVAL);
    told("TVN_SEGMENT_OPTIONS");
    zero.size = sizeof zero + 8;
    is(tvn_segment_anonymous_with(1 << 20, &zero, &segment), -EINVAL);
    bad.stale = 3;
    is(tvn_segment_open_or_create_with(fresh, 1 << 20, &bad, &segment), -EINVAL);
    told("3");
    bad.stale = 0;
    bad.max_participants = 513;
    is(tvn_segment_create_with(fresh, 1 << 20, &bad, &segment), -EINVAL);
    told("513");
    bad.max_participants = 0;
    bad.max_objects = 65537;
    is(tvn_segment_create_with(fresh, 1 << 20, &bad, &segment), -EINVAL);
    told("65537");
    is(tvn_segment_create_with(NULL, 1 << 20, &defaults, &segment), -EINVAL);
    is(tvn_segment_create_with(fresh, 1 << 20, &defaults, NULL), -EINVAL);
    is(tvn_segment_open_with(fresh, &defaults, &segment), -ENOENT);
    holds(segment == (tvn_segment_t *)(uintptr_t)0x10);
}

TEST(a_segment_has_the_mode_and_the_room_that_were_asked_for) {
    tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;
    options.mode = 0640;
    options.max_participants = 1;
    options.max_objects = 1;
    tvn_segment_t *segment, *second;
    tvn_event_t *event, *other;
    struct stat file;
    char path[128];
    umask(0);
    is(tvn_segment_create_with(fresh, 1 << 20, &options, &segment), 0);
    snprintf(path, sizeof path, "/dev/shm/triveni.%s", fresh);
    is(stat(path, &file), 0);
    is(file.st_mode & 0777, 0640);
    is(tvn_event(segment, "e", 0, &event), 0);
    is(tvn_event(segment, "f", 0, &other), -ENOSPC);
    told("max_objects");
    pid_t child = fork();
    if (child == 0) {
        is(tvn_segment_open(fresh, &second), -ENOSPC);
        _exit(0);
    }
    is(exit_of(child), 0);
    tvn_event_close(event);
    tvn_segment_close(segment);
    is(tvn_segment_anonymous_with(1 << 20, &options, &segment), 0);
    is(tvn_event(segment, "e", 0, &event), 0);
    is(tvn_event(segment, "f", 0, &other), -ENOSPC);
    tvn_event_close(event);
    tvn_segment_close(segment);
}

static void leave_an_event(void *unused) {
    tvn_segment_t *segment;
    tvn_event_t *event;
    is(tvn_segment_open_or_create(fresh, 1 << 20, 0600, &segment), 0);
    is(tvn_event(segment, "e", 7, &event), 0);
    (void)unused;
}

TEST(what_becomes_of_a_segment_whose_users_are_all_dead_is_a_choice) {
    tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;
    tvn_segment_t *segment;
    tvn_event_t *event;
    kill_it(stays_after(leave_an_event, NULL));
    options.stale = TVN_STALE_FAIL;
    is(tvn_segment_open_with(fresh, &options, &segment), -ECONNRESET);
    told(fresh);
    options.stale = TVN_STALE_RECREATE;
    is(tvn_segment_open_or_create_with(fresh, 1 << 20, &options, &segment), 0);
    is(tvn_event_open(segment, "e", &event), -ENOENT);
    tvn_segment_close(segment);
    kill_it(stays_after(leave_an_event, NULL));
    options.stale = TVN_STALE_RECOVER;
    is(tvn_segment_open_with(fresh, &options, &segment), 0);
    is(tvn_event_open(segment, "e", &event), 0);
    is(tvn_event_flags(event), 7);
    tvn_event_close(event);
    tvn_segment_close(segment);
    kill_it(stays_after(leave_an_event, NULL));
    options.stale = TVN_STALE_RECREATE;
    is(tvn_segment_open_with(fresh, &options, &segment), -ENOENT);
}

TEST(the_names_of_all_segments_are_listed) {
    tvn_segment_t *segment = fresh_segment();
    static char names[1000][TVN_NAME_ROOM];
    int64_t count = tvn_segment_list(names, 1000), found = 0;
    holds(count >= 1);
    for (int64_t i = 0; i < count && i < 1000; i++) found += !strcmp(names[i], fresh);
    is(found, 1);
    holds(tvn_segment_list(NULL, 0) >= 1);
    is(tvn_segment_list(NULL, 1), -EINVAL);
    tvn_segment_close(segment);
}

/* -------- waits -------- */

static struct all {
    tvn_segment_t *segment;
    tvn_mutex_t *a, *b;
    tvn_monitor_t *monitor;
    tvn_condition_t *condition;
    tvn_event_t *event;
} all;

static void make_all(bool detect_deadlocks) {
    tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;
    options.detect_deadlocks = detect_deadlocks;
    is(tvn_segment_create_with(fresh, 4 << 20, &options, &all.segment), 0);
    is(tvn_segment_detects_deadlocks(all.segment), detect_deadlocks);
    is(tvn_mutex(all.segment, "a", &all.a), 0);
    is(tvn_mutex(all.segment, "b", &all.b), 0);
    is(tvn_monitor(all.segment, "m", &all.monitor), 0);
    is(tvn_condition(all.monitor, "c", &all.condition), 0);
    is(tvn_event(all.segment, "e", 0, &all.event), 0);
}

static void end_all(void) {
    tvn_event_close(all.event);
    tvn_condition_close(all.condition);
    tvn_monitor_close(all.monitor);
    tvn_mutex_close(all.a);
    tvn_mutex_close(all.b);
    tvn_segment_close(all.segment);
}

static void *lock_a(void *unused) {
    is(tvn_mutex_lock(all.a, TVN_FOREVER), 0);
    is(tvn_mutex_unlock(all.a), 0);
    return unused;
}

TEST(who_sleeps_is_to_be_seen_with_what_for_and_who_is_in_the_way) {
    make_all(false);
    tvn_wait_t wait;
    pthread_t thread;
    is(tvn_segment_waits(all.segment, &wait, 1), 0);
    is(tvn_mutex_lock(all.a, TVN_FOREVER), 0);
    is(pthread_create(&thread, NULL, lock_a, NULL), 0);
    until_asleep(all.segment, 1);
    is(tvn_segment_waits(all.segment, NULL, 1), -EINVAL);
    is(tvn_segment_waits(all.segment, &wait, 1), 1);
    is(wait.pid, getpid());
    holds(wait.tid != (uint32_t)gettid() && wait.tid != 0);
    is(strcmp(wait.object, "a"), 0);
    is(wait.kind, TVN_KIND_MUTEX);
    is(wait.mode, TVN_WAIT_LOCK);
    is(strcmp(wait.condition, ""), 0);
    is(wait.blockers, 1);
    is(wait.blocked_by[0].pid, getpid());
    is(wait.blocked_by[0].slot, wait.slot);
    holds(wait.blocked_by[0].thread != wait.thread);
    holds(wait.process[0] != 0 && strstr(wait.text, "waits to lock \"a\""));
    uint64_t before = wait.since_ns;
    is(tvn_segment_waits(all.segment, &wait, 1), 1);
    holds(wait.since_ns > before);
    tvn_object_info_t objects[8];
    is(tvn_segment_objects(all.segment, objects, 8), 4);
    is(tvn_mutex_unlock(all.a), 0);
    is(pthread_join(thread, NULL), 0);
    is(tvn_segment_waits(all.segment, &wait, 1), 0);
    end_all();
}

static void *wait_for_flags(void *unused) {
    is(tvn_event_wait_any(all.event, 6, false, TVN_FOREVER, NULL), 0);
    return unused;
}

TEST(a_wait_tells_which_flags_and_which_condition) {
    make_all(false);
    tvn_wait_t wait;
    pthread_t thread;
    is(pthread_create(&thread, NULL, wait_for_flags, NULL), 0);
    until_asleep(all.segment, 1);
    is(tvn_segment_waits(all.segment, &wait, 1), 1);
    is(wait.kind, TVN_KIND_EVENT);
    is(wait.mode, TVN_WAIT_FLAGS);
    is(wait.count, 6);
    is(wait.blockers, 0);
    is(tvn_event_set(all.event, 4, NULL), 0);
    is(pthread_join(thread, NULL), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_monitor_enter(all.monitor, TVN_FOREVER), 0);
        for (;;) is(tvn_condition_wait(all.condition, TVN_FOREVER), 0);
    }
    until_asleep(all.segment, 1);
    is(tvn_segment_waits(all.segment, &wait, 1), 1);
    is(wait.pid, child);
    is(wait.mode, TVN_WAIT_CONDITION);
    is(strcmp(wait.condition, "c"), 0);
    is(strcmp(wait.object, "m"), 0);
    kill_it(child);
    is(tvn_segment_sweep(all.segment), 1);
    is(tvn_segment_waits(all.segment, NULL, 0), 0); /* the dead do not wait */
    end_all();
}

/* -------- deadlocks -------- */

static int gate[2];

static void lock_crosswise(tvn_mutex_t *mine, tvn_mutex_t *other, int ready[2]) {
    is(tvn_mutex_lock(mine, TVN_FOREVER), 0);
    tell(ready);
    await(gate);
    int locked = tvn_mutex_lock(other, TVN_FOREVER);
    if (locked == -EDEADLK) {
        told("waiting would never end");
        told("\"a\"");
        told("\"b\"");
        is(tvn_mutex_unlock(mine), 0); /* gives way */
        _exit(5);
    }
    if (locked == -EOWNERDEAD) is(tvn_mutex_recover(other), 0);
    is(tvn_mutex_unlock(other), 0);
    is(tvn_mutex_unlock(mine), 0);
    _exit(locked == -EOWNERDEAD ? 7 : locked);
}

static void cross(pid_t children[2]) {
    int ready[2];
    is(pipe(ready) | pipe(gate), 0);
    for (int i = 0; i < 2; i++)
        if ((children[i] = fork()) == 0) lock_crosswise(i ? all.b : all.a, i ? all.a : all.b, ready);
    for (int i = 0; i < 2; i++) await(ready);
    for (int i = 0; i < 2; i++) tell(gate);
}

TEST(a_deadlock_is_named_while_it_stands) {
    make_all(false);
    pid_t children[2];
    tvn_wait_t waits[4];
    char text[1000], pid[32], small[10];
    is(tvn_segment_deadlocks(all.segment, NULL, 0), 0);
    is(tvn_segment_deadlock(all.segment, waits, 4), 0);
    cross(children);
    while (tvn_segment_deadlocks(all.segment, text, sizeof text) == 0) usleep(1000);
    for (int i = 0; i < 2; i++) {
        snprintf(pid, sizeof pid, "process %d ", (int)children[i]);
        holds(strstr(text, pid) != NULL);
    }
    holds(strstr(text, "\"a\"") && strstr(text, "\"b\""));
    memset(small, 'x', sizeof small);
    is(tvn_segment_deadlocks(all.segment, small, sizeof small), 1);
    is(strlen(small), sizeof small - 1); /* cut, and ended */
    is(tvn_segment_deadlocks(all.segment, NULL, 10), -EINVAL);
    is(tvn_segment_deadlock(all.segment, NULL, 0), 2);
    is(tvn_segment_deadlock(all.segment, waits, 4), 2);
    for (int i = 0; i < 2; i++) {
        is(waits[i].blockers, 1);
        is(waits[i].blocked_by[0].pid, waits[1 - i].pid);
    }
    kill_it(children[0]);
    is(exit_of(children[1]), 7);
    is(tvn_segment_deadlocks(all.segment, NULL, 0), 0);
    end_all();
}

TEST(a_segment_that_detects_deadlocks_refuses_the_last_one_who_locks) {
    make_all(true);
    pid_t children[2];
    cross(children);
    is(exit_of(children[0]) + exit_of(children[1]), 5); /* one gave way, the other got through */
    end_all();
}

/* -------- the watcher -------- */

static void lock_and_stay(void *unused) {
    is(tvn_mutex_lock(all.a, TVN_FOREVER), 0);
    (void)unused;
}

TEST(a_watcher_sees_a_death_and_puts_it_right) {
    make_all(false);
    tvn_watcher_t *watcher;
    is(tvn_segment_watch(all.segment, NULL), -EINVAL);
    is(tvn_segment_watch(all.segment, &watcher), 0);
    is(tvn_watcher_deaths(watcher), 0);
    kill_it(stays_after(lock_and_stay, NULL));
    while (tvn_watcher_deaths(watcher) != 1) usleep(1000);
    is(tvn_mutex_lock(all.a, TVN_FOREVER), -EOWNERDEAD);
    is(tvn_mutex_recover(all.a), 0);
    is(tvn_mutex_unlock(all.a), 0);
    while (tvn_segment_participants(all.segment, NULL, 0) != 1) usleep(1000); /* swept, by whomever */
    is(tvn_segment_sweep(all.segment), 0);
    tvn_watcher_close(watcher);
    end_all();
}

TEST(a_child_has_none_of_its_parents_watchers) {
    make_all(false);
    tvn_watcher_t *watcher;
    is(tvn_segment_watch(all.segment, &watcher), 0);
    pid_t child = fork();
    if (child == 0) {
        is(tvn_mutex_lock(all.a, TVN_FOREVER), 0);
        is(tvn_mutex_unlock(all.a), 0);
        tvn_watcher_close(watcher); /* ends the handle, and nothing of the parent's */
        end_all();
        _exit(0);
    }
    is(exit_of(child), 0);
    kill_it(stays_after(lock_and_stay, NULL));
    while (tvn_segment_participants(all.segment, NULL, 0) != 1) usleep(1000); /* nobody else sweeps */
    tvn_watcher_close(watcher);
    end_all();
}

TEST(a_watcher_outlives_the_handle_it_was_made_from) {
    make_all(false);
    tvn_watcher_t *watcher;
    is(tvn_segment_watch(all.segment, &watcher), 0);
    pid_t child = stays_after(lock_and_stay, NULL);
    end_all();
    kill_it(child);
    while (tvn_watcher_deaths(watcher) != 1) usleep(1000);
    tvn_watcher_close(watcher);
}

static struct story {
    pthread_mutex_t mutex;
    int joined, left, died, strange;
    char held[TVN_NAME_ROOM];
    uint32_t pid;
} story = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void remember(const tvn_watch_event_t *event, void *data) {
    struct story *it = data;
    pthread_mutex_lock(&it->mutex);
    switch (event->what) {
    case TVN_WATCH_JOINED: it->joined++; break;
    case TVN_WATCH_LEFT: it->left++; break;
    case TVN_WATCH_DIED:
        it->died++;
        it->pid = event->participant.pid;
        if (event->held == 1) strcpy(it->held, event->names[0]);
        if (event->participant.alive) it->strange++;
        break;
    default: it->strange++;
    }
    pthread_mutex_unlock(&it->mutex);
}

static int told_of(int *number) {
    pthread_mutex_lock(&story.mutex);
    int now = *number;
    pthread_mutex_unlock(&story.mutex);
    return now;
}

TEST(a_watcher_tells_who_joins_leaves_and_dies_and_what_he_held) {
    make_all(false);
    tvn_watcher_t *watcher;
    is(tvn_segment_watch_with(all.segment, NULL, NULL, &watcher), -EINVAL);
    is(tvn_segment_watch_with(NULL, remember, &story, &watcher), -EINVAL);
    is(tvn_segment_watch_with(all.segment, remember, &story, &watcher), 0);
    while (told_of(&story.joined) != 1) usleep(1000); /* this process */
    pid_t child = stays_after(lock_and_stay, NULL);
    while (told_of(&story.joined) != 2) usleep(1000);
    kill_it(child);
    while (told_of(&story.died) != 1) usleep(1000);
    is(story.pid, child);
    is(strcmp(story.held, "a"), 0);
    is(tvn_watcher_deaths(watcher), 1);
    tvn_watcher_close(watcher);
    is(story.left + story.strange, 0); /* nobody writes it any more */
    end_all();
}
