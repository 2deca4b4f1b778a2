/* What the probes in C and C++ have in common; the protocol is told in speak.py. `step` is for these alone: the
 * commands stand between two breakpoints, so that a tracer can carry out one instruction at a time. */
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { OK, TOLD, FAIL, SAYS = 4 };                 /* SAYS: OK, and `detail` is worth telling in a loop */
typedef int (*command_function)(void);
struct command { const char *object, *name; command_function run; };

static char detail[200];
static volatile sig_atomic_t stop;
static void on_stop(int signal) { (void)signal; stop = 1; }

static int fail(const char *what) { snprintf(detail, sizeof detail, "%s", what); return FAIL; }

static void say(const char *kind, const char *command, const char *word, const char *more)
{
    struct timespec now;
    char line[512];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(line, sizeof line, "%s %s %lld %s %s\n", kind, command, now.tv_sec * 1000000000LL + now.tv_nsec, word, more);
    if (write(STDOUT_FILENO, line, n) != n) exit(1);
}

static const char *word_of(int result) { return (result & 3) == OK ? "ok" : (result & 3) == TOLD ? "told" : "fail"; }

static command_function find(const struct command *all, const char *object, const char *name)
{
    for (; all->name; all++)
        if (!strcmp(all->name, name) && !strcmp(all->object, object)) return all->run;
    fprintf(stderr, "%s has no command %s\n", object, name);
    exit(2);
}

static void breakpoint(void)
{
#ifdef __x86_64__
    __asm__ volatile("int3" ::: "memory");
#endif
}

static void serve(const struct command *all, const char *object, const char *name)
{
    char line[256], path[256];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_stop;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    snprintf(path, sizeof path, "/dev/shm/%s.log.%d", name, getpid());
    if (write(STDOUT_FILENO, "ready\n", 6) != 6) exit(1);
    while (fgets(line, sizeof line, stdin)) {
        command_function run[8];
        int n = 0, result = OK;
        char *first = strtok(line, " \n"), *word;
        int loop = !strcmp(first, "loop"), step = !strcmp(first, "step");
        if (!loop && !step) run[n++] = find(all, object, first);
        while (n < 8 && (word = strtok(NULL, " \n"))) run[n++] = find(all, object, word);
        detail[0] = 0;
        if (step) {
            breakpoint();
            for (int i = 0; i < n; i++) run[i]();
            breakpoint();
            continue;
        }
        say("begin", first, "", "");
        if (loop) {
            int log = open(path, O_RDWR | O_CREAT, 0600);
            unsigned every = n == 2 ? 64 : 1;              /* so that most of the time is not spent counting */
            for (uint64_t passes = 1; !stop && !(result & FAIL); passes++) {
                for (int i = 0; i < n && !(result & FAIL); i++) {
                    result = run[i]();
                    if (result & SAYS) say("end", first, word_of(result), detail);
                }
                if (passes % every == 0 && pwrite(log, &passes, 8, 0) != 8) exit(1);
            }
        } else {
            result = run[0]();
        }
        say("end", first, word_of(result), detail);
    }
}

/* Numbered messages that show whether they are whole. */
enum { SIZE = 64 };
static const uint64_t MARK = 1ull << 63;
static uint64_t next_number = 1, received;

static void fill(unsigned char *message, int mark)
{
    uint64_t number = mark ? MARK : next_number++;
    memcpy(message, &number, 8);
    memset(message + 8, (int)(number & 0xFF), SIZE - 8);
}

static int check(const unsigned char *message, size_t size)
{
    uint64_t number;
    memcpy(&number, message, 8);
    int whole = size == SIZE;
    for (size_t i = 8; i < size; i++) whole &= message[i] == (number & 0xFF);
    if (!whole) return fail("half a message");
    if (number != MARK) { received++; return OK; }
    snprintf(detail, sizeof detail, "marked %llu", (unsigned long long)received);
    return OK | SAYS;
}
