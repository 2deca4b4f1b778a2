/*
 * The print spooler that loses entries, and the one that does not.
 *
 * Two processes, X and Y, enter files into the spooler's directory: each reads `in`, the next free slot, stores
 * its file there, and adds one to `in`. If the system switches to the other process in between, both store into
 * the same slot, and an entry is lost. The directory looks consistent all the same.
 *
 *     print_spooler                  the whole story: without a lock, then with one
 *     print_spooler X unlocked N     one process of it, which waits for Y to begin; or: Y locked N
 *     print_spooler report N         how many of N files that were entered stand in the directory
 *
 * X and Y may be Rust, C or Python. They share the segment `print_spooler` with the barrier `start` and the mutex
 * `mutex`, and plain memory, /dev/shm/print_spooler: `in`, then the slots. A file is known by its number; Y's have
 * a million added. To begin anew: `triveni rm print_spooler; rm /dev/shm/print_spooler`.
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

enum { SLOTS = 10000 };

static struct directory { int in, slot[SLOTS]; } *directory;
static tvn_segment_t *segment;
static tvn_mutex_t *mutex;
static tvn_barrier_t *start;

static void must(int result) {
    if (result < 0) tvn_perror("print_spooler"), exit(1);
}

static void open_all(void) {
    int fd = shm_open("/print_spooler", O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *directory) < 0) perror("print_spooler"), exit(1);
    directory = mmap(NULL, sizeof *directory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (directory == MAP_FAILED) perror("print_spooler"), exit(1);
    must(tvn_segment_open_or_create("print_spooler", TVN_DEFAULT_SIZE, 0600, &segment));
    must(tvn_mutex(segment, "mutex", &mutex));
    must(tvn_barrier(segment, "start", 2, &start));
}

/* Who ends without this looks like somebody who was killed. */
static void close_all(void) {
    tvn_barrier_close(start);
    tvn_mutex_close(mutex);
    tvn_segment_close(segment);
}

static void enter(int file) {
    int next_free_slot = directory->in;
    usleep(100); /* a process switch may come here; to see it often, we invite it */
    directory->slot[next_free_slot] = file;
    directory->in = next_free_slot + 1;
}

static void process(const char *who, const char *how, int n) {
    open_all();
    bool locked = !strcmp(how, "locked");
    int first = *who == 'Y' ? 1000001 : 1;
    must(tvn_barrier_wait(start, TVN_FOREVER));
    for (int file = first; file < first + n; file++) {
        if (locked) must(tvn_mutex_lock(mutex, TVN_FOREVER));
        enter(file);
        if (locked) must(tvn_mutex_unlock(mutex));
    }
    close_all();
}

static void report(int entered) {
    open_all();
    printf("%d files entered, %d in the directory, %d lost\n", entered, directory->in, entered - directory->in);
    close_all();
}

static void fresh(void) {
    tvn_segment_unlink("print_spooler");
    shm_unlink("/print_spooler");
}

static int story(const char *how) {
    fresh();
    printf("%s: ", how);
    fflush(stdout);
    if (fork() == 0) return process("X", how, 1000), exit(0), 0;
    if (fork() == 0) return process("Y", how, 1000), exit(0), 0;
    for (int status; wait(&status) > 0;)
        if (status != 0) return fprintf(stderr, "a process failed\n"), 1;
    report(2000);
    fresh();
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 1) return story("unlocked") || story("locked");
    if (argc == 3 && !strcmp(argv[1], "report")) return report(atoi(argv[2])), 0;
    if (argc == 4) return process(argv[1], argv[2], atoi(argv[3])), 0;
    return fprintf(stderr, "usage: print_spooler [X|Y locked|unlocked N | report N]\n"), 2;
}
