/*
 * The bounded buffer: producers put numbers into eight places of shared memory, consumers take them out.
 *
 *     producer_consumer               the whole story: two producers, two consumers
 *     producer_consumer producer N    one process of it; so with consumer, producer_pv and consumer_pv
 *     producer_consumer report        what has come of it
 *
 * Each process may be Rust, C or Python. They share the segment `producer_consumer` with the semaphores `mutex`,
 * `empty` and `full`, and plain memory, /dev/shm/producer_consumer: eight numbers, `in`, `out`, and the sum of
 * what was consumed. A run that was broken off leaves both behind:
 * `triveni rm producer_consumer; rm /dev/shm/producer_consumer`.
 *
 * Semaphores have no owner: if a process is killed inside the critical section, the others wait for ever. With a
 * mutex, or leased permits, they would not; see print_spooler and dining_philosophers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { PLACES = 8 };

static struct buffer { int data[PLACES], in, out, sum; } *buffer;
static tvn_segment_t *segment;
static tvn_semaphore_t *mutex, *empty, *full;

static void must(int result) {
    if (result < 0) tvn_perror("producer_consumer"), exit(1);
}

static void open_all(void) {
    int fd = shm_open("/producer_consumer", O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *buffer) < 0) perror("producer_consumer"), exit(1);
    buffer = mmap(NULL, sizeof *buffer, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (buffer == MAP_FAILED) perror("producer_consumer"), exit(1);
    must(tvn_segment_open_or_create("producer_consumer", TVN_DEFAULT_SIZE, 0600, &segment));
    must(tvn_semaphore(segment, "mutex", 1, &mutex));      /* guards in, out and sum */
    must(tvn_semaphore(segment, "empty", PLACES, &empty)); /* counts empty places */
    must(tvn_semaphore(segment, "full", 0, &full));        /* counts full ones */
}

/* Who ends without this looks like somebody who was killed. */
static void close_all(void) {
    tvn_semaphore_close(mutex);
    tvn_semaphore_close(empty);
    tvn_semaphore_close(full);
    tvn_segment_close(segment);
}

static void insert(int item) {
    buffer->data[buffer->in] = item;
    buffer->in = (buffer->in + 1) % PLACES;
}

static int take_out(void) {
    int item = buffer->data[buffer->out];
    buffer->out = (buffer->out + 1) % PLACES;
    return item;
}

static void producer(int n) {
    for (int item = 1; item <= n; item++) {
        must(tvn_semaphore_wait(empty, TVN_FOREVER)); /* until a place is empty */
        must(tvn_semaphore_wait(mutex, TVN_FOREVER)); /* enter the critical section */
        insert(item);
        must(tvn_semaphore_post(mutex)); /* leave it */
        must(tvn_semaphore_post(full));  /* one more place is full */
    }
}

static void consumer(int n) {
    for (int i = 0; i < n; i++) {
        must(tvn_semaphore_wait(full, TVN_FOREVER));
        must(tvn_semaphore_wait(mutex, TVN_FOREVER));
        buffer->sum += take_out();
        must(tvn_semaphore_post(mutex));
        must(tvn_semaphore_post(empty));
    }
}

/* Dijkstra's names: P, proberen, is to try and take; V, verhogen, is to raise. */
#define P(semaphore) must(tvn_semaphore_wait(semaphore, TVN_FOREVER))
#define V(semaphore) must(tvn_semaphore_post(semaphore))
#define filled full

static void producer_pv(int n) {
    for (int item = 1; item <= n; item++) {
        P(empty);
        P(mutex);
        insert(item);
        V(mutex);
        V(filled);
    }
}

static void consumer_pv(int n) {
    for (int i = 0; i < n; i++) {
        P(filled);
        P(mutex);
        buffer->sum += take_out();
        V(mutex);
        V(empty);
    }
}

static void report(int n) {
    (void)n;
    printf("items left in the buffer: %d; sum of those consumed: %d\n", (int)tvn_semaphore_value(full), buffer->sum);
}

static const struct { const char *name; void (*play)(int n); } roles[] = {
    {"producer", producer}, {"consumer", consumer}, {"producer_pv", producer_pv}, {"consumer_pv", consumer_pv}, {"report", report},
};

static void fresh(void) {
    tvn_segment_unlink("producer_consumer");
    shm_unlink("/producer_consumer");
}

static int play(const char *name, int n) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(name, roles[i].name)) {
            open_all();
            roles[i].play(n);
            close_all();
            return 0;
        }
    return fprintf(stderr, "usage: producer_consumer [producer|consumer|producer_pv|consumer_pv N | report]\n"), 2;
}

int main(int argc, char **argv) {
    if (argc > 1) return play(argv[1], argc > 2 ? atoi(argv[2]) : 0);
    fresh(); /* the whole story: each child plays one role */
    for (int i = 0; i < 4; i++)
        if (fork() == 0) return play(roles[i].name, 1000);
    for (int status; wait(&status) > 0;)
        if (status != 0) return fprintf(stderr, "a process failed\n"), 1;
    play("report", 0);
    fresh();
}
