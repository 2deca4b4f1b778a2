/*
 * Five philosophers, five forks, and everybody needs two of them to eat (Dijkstra, 1965).
 *
 *     left_first   left fork, then right fork: once all have the left one, nobody gets any further
 *     detected     the same in a segment that detects deadlocks: the last one is told, and gives way
 *     ordered      the fork with the lower number first: there can be no circle
 *     room         a semaphore lets only four into the room: one of them gets both forks
 *     monitor      both forks at once, or none: state and conditions in a monitor (Tanenbaum's test(i))
 *
 *     dining_philosophers                         the whole story: all five forms
 *     dining_philosophers philosopher FORM I N    philosopher I, from 0 to 4, eats N times, when all five are there
 *
 * Each philosopher may be Rust, C or Python. They share the segment `dining_philosophers` with the mutexes `fork 0`
 * to `fork 4`, the barrier `table`, the leased semaphore `room`, the monitor `waiter` with the conditions `may eat 0`
 * to `may eat 4`, and plain memory, /dev/shm/dining_philosophers: what each of them does.
 * To begin anew: `triveni rm dining_philosophers; rm /dev/shm/dining_philosophers`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { N = 5, THINKING = 0, HUNGRY, EATING };

static int left(int i) { return (i + N - 1) % N; }
static int right(int i) { return (i + 1) % N; }

static void must(int64_t result) {
    if (result < 0) tvn_perror("dining_philosophers"), exit(1);
}

static tvn_segment_t *segment;
static tvn_mutex_t *forks[N];
static tvn_barrier_t *table;
static tvn_semaphore_t *room;
static tvn_monitor_t *waiter;
static tvn_condition_t *may_eat[N];
static int *state;

static void open_all(const char *form) {
    tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;
    options.detect_deadlocks = !strcmp(form, "detected");
    must(tvn_segment_open_or_create_with("dining_philosophers", TVN_DEFAULT_SIZE, &options, &segment));
    must(tvn_barrier(segment, "table", N, &table));
    must(tvn_semaphore_leased(segment, "room", N - 1, &room));
    must(tvn_monitor(segment, "waiter", &waiter));
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "fork %d", i);
        must(tvn_mutex(segment, name, &forks[i]));
        snprintf(name, sizeof name, "may eat %d", i);
        must(tvn_condition(waiter, name, &may_eat[i]));
    }
    int fd = shm_open("/dining_philosophers", O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, N * sizeof *state) < 0) perror("dining_philosophers"), exit(1);
    state = mmap(NULL, N * sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (state == MAP_FAILED) perror("dining_philosophers"), exit(1);
}

/* Who ends without this looks like somebody who was killed. */
static void close_all(void) {
    for (int i = 0; i < N; i++) tvn_mutex_close(forks[i]), tvn_condition_close(may_eat[i]);
    tvn_monitor_close(waiter);
    tvn_semaphore_close(room);
    tvn_barrier_close(table);
    tvn_segment_close(segment);
}

/* A fork that a dead philosopher held is as good as any: there is nothing to repair. */
static int take(int fork) {
    int answer = tvn_mutex_lock(forks[fork], TVN_FOREVER);
    return answer == -EOWNERDEAD ? tvn_mutex_recover(forks[fork]) : answer;
}

static void put(int fork) { must(tvn_mutex_unlock(forks[fork])); }

static void eat(int i) {
    state[i] = EATING;
    if (state[left(i)] == EATING || state[right(i)] == EATING) fprintf(stderr, "two neighbours eat\n"), exit(1);
    sched_yield();
    state[i] = THINKING;
}

static void left_first(int i) {
    static bool lucky; /* the first time, all are to have their left fork before anyone has the right one */
    for (;;) {
        must(take(i));
        if (!lucky) must(tvn_barrier_wait(table, TVN_FOREVER));
        lucky = true;
        int answer = take(right(i));
        if (answer == 0) break;
        if (answer != -EDEADLK) must(answer);
        printf("  philosopher %d gives way: %s\n", i, tvn_last_error());
        put(i);
        usleep(1000); /* thinks, and his neighbour can eat */
    }
    eat(i);
    put(right(i));
    put(i);
}

static void ordered(int i) {
    int lower = i < right(i) ? i : right(i), higher = i < right(i) ? right(i) : i;
    must(take(lower));
    must(take(higher));
    eat(i);
    put(higher);
    put(lower);
}

static void through_the_room(int i) {
    must(tvn_semaphore_wait(room, TVN_FOREVER));
    must(take(i));
    must(take(right(i)));
    eat(i);
    put(right(i));
    put(i);
    must(tvn_semaphore_post(room));
}

/* If philosopher i is hungry and neither neighbour eats, the forks are handed over. Inside the monitor only. */
static void test(int i) {
    if (state[i] == HUNGRY && state[left(i)] != EATING && state[right(i)] != EATING) {
        state[i] = EATING;
        must(tvn_condition_signal(may_eat[i]));
    }
}

static void with_a_monitor(int i) {
    must(tvn_monitor_enter(waiter, TVN_FOREVER)); /* take both forks */
    state[i] = HUNGRY;
    test(i);
    while (state[i] != EATING) must(tvn_condition_wait(may_eat[i], TVN_FOREVER)); /* outside while it sleeps */
    must(tvn_monitor_leave(waiter));

    sched_yield(); /* eats */

    must(tvn_monitor_enter(waiter, TVN_FOREVER)); /* put both down */
    state[i] = THINKING;
    test(left(i));
    test(right(i));
    must(tvn_monitor_leave(waiter));
}

static const struct { const char *name; void (*dine)(int i); } forms[] = {
    {"left_first", left_first}, {"detected", left_first}, {"ordered", ordered},
    {"room", through_the_room}, {"monitor", with_a_monitor}};

static int philosopher(const char *form, int i, int meals) {
    open_all(form);
    must(tvn_barrier_wait(table, TVN_FOREVER)); /* all sit down */
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        for (int meal = 0; meal < meals && !strcmp(form, forms[f].name); meal++) forms[f].dine(i);
    close_all();
    return 0;
}

static void fresh(void) {
    tvn_segment_unlink("dining_philosophers");
    shm_unlink("/dining_philosophers");
}

static int story(const char *form) {
    fresh();
    printf("%s:\n", form);
    fflush(stdout);
    pid_t philosophers[N];
    for (int i = 0; i < N; i++)
        if ((philosophers[i] = fork()) == 0) exit(philosopher(form, i, 100));
    if (!strcmp(form, "left_first")) {
        char circle[1000];
        open_all(form);
        while (tvn_segment_deadlocks(segment, circle, sizeof circle) == 0) usleep(1000);
        printf("  DEADLOCK: %s\n  philosopher 0 is killed, and the others go on\n", circle);
        close_all();
        kill(philosophers[0], SIGKILL);
    }
    int n = 0;
    for (int status; wait(&status) > 0;)
        if (status == 0) n++;
        else if (!WIFSIGNALED(status)) return fprintf(stderr, "a philosopher failed\n"), 1;
    printf("  %d philosophers have eaten 100 times\n", n);
    fresh();
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* five write to it: whole lines */
    if (argc == 5 && !strcmp(argv[1], "philosopher")) return philosopher(argv[2], atoi(argv[3]) % N, atoi(argv[4]));
    if (argc != 1) return fprintf(stderr, "usage: dining_philosophers [philosopher FORM I N]\n"), 2;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        if (story(forms[f].name) != 0) return 1;
}
