/* Shared memory and semaphores, POSIX and System V; the roles are told in memory.rs. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

static int64_t good(int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "memory.c: %s: %s\n", tvn_strerror((int)result), tvn_last_error());
    exit(1);
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static void stay(void) {
    say("holding");
    for (;;) pause();
}

static void gate(void) {
    while (getchar() != EOF) continue;
}

static char *made(const char *place, size_t size) {
    tvn_posix_shared_memory_t *posix;
    tvn_sysv_shared_memory_t *sysv;
    if (place[0] == '/') {
        good(tvn_posix_shared_memory_create(place, size, 0600, 0, &posix));
        return tvn_posix_shared_memory_data(posix);
    }
    good(tvn_sysv_shared_memory_create(atoi(place), size, 0600, 0, &sysv));
    return tvn_sysv_shared_memory_data(sysv);
}

static char *opened(const char *place, size_t at_least, unsigned flags) {
    tvn_posix_shared_memory_t *posix;
    tvn_sysv_shared_memory_t *sysv;
    if (place[0] == '/') {
        good(tvn_posix_shared_memory_open(place, at_least, flags, &posix));
        return tvn_posix_shared_memory_data(posix);
    }
    good(tvn_sysv_shared_memory_open(atoi(place), at_least, flags, &sysv));
    return tvn_sysv_shared_memory_data(sysv);
}

/* A semaphore of either kind. */
static tvn_posix_semaphore_t *posix;
static tvn_sysv_semaphores_t *sysv;

static void open_lock(const char *place) {
    if (place[0] == '/')
        good(tvn_posix_semaphore_open(place, &posix));
    else
        good(tvn_sysv_semaphores_open(atoi(place), 0, &sysv));
}

static int wait_lock(int timeout_ms) {
    return posix ? tvn_posix_semaphore_wait(posix, timeout_ms) : tvn_sysv_semaphores_wait(sysv, 0, 1, timeout_ms);
}

static void post_lock(void) {
    good(posix ? tvn_posix_semaphore_post(posix) : tvn_sysv_semaphores_post(sysv, 0, 1));
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void drop_of_rain(int signal) {
    (void)signal;
}

static void rain(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = drop_of_rain;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &often, NULL);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *place = argv[2], *third = argc > 3 ? argv[3] : "0";
    uint64_t n = strtoull(argv[argc - 1], NULL, 10);
    if (!strcmp(role, "make")) {
        char *memory = made(place, n);
        for (size_t i = 0; i < n; i++) memory[i] = (char)(i * 7 % 251);
    } else if (!strcmp(role, "check")) {
        const char *memory = opened(place, n, TVN_READ_ONLY);
        for (size_t i = 0; i < n; i++)
            if (memory[i] != (char)(i * 7 % 251)) return 1;
        printf("ok %s\n", third);
    } else if (!strcmp(role, "ask")) {
        char *memory = made(place, 4096);
        volatile uint64_t *number = (volatile uint64_t *)(void *)(memory + 128);
        tvn_posix_semaphore_t *asked, *answered;
        good(tvn_posix_semaphore_init_at(memory, 0, &asked));
        good(tvn_posix_semaphore_init_at(memory + 64, 0, &answered));
        say("made");
        for (uint64_t k = 0; k < n; k++) {
            *number = 2 * k;
            good(tvn_posix_semaphore_post(asked));
            good(tvn_posix_semaphore_wait(answered, TVN_FOREVER));
            if (*number != 2 * k + 1) return 1;
        }
        printf("ok %s\n", third);
    } else if (!strcmp(role, "answer")) {
        char *memory = opened(place, 0, 0);
        volatile uint64_t *number = (volatile uint64_t *)(void *)(memory + 128);
        tvn_posix_semaphore_t *asked, *answered;
        good(tvn_posix_semaphore_open_at(memory, &asked));
        good(tvn_posix_semaphore_open_at(memory + 64, &answered));
        for (uint64_t k = 0; k < n; k++) {
            good(tvn_posix_semaphore_wait(asked, TVN_FOREVER));
            ++*number;
            good(tvn_posix_semaphore_post(answered));
        }
        printf("ok %s\n", third);
    } else if (!strcmp(role, "add")) {
        volatile uint64_t *number = (volatile uint64_t *)(void *)opened(place, 0, 0);
        open_lock(third);
        for (uint64_t k = 0; k < n; k++) {
            good(wait_lock(TVN_FOREVER));
            ++*number;
            post_lock();
        }
        printf("ok %s\n", argv[4]);
    } else if (!strcmp(role, "lose")) {
        volatile uint64_t *memory = (volatile uint64_t *)(void *)opened(place, 0, 0);
        uint64_t number = *memory;
        say("read");
        gate();
        *memory = number + 1;
    } else if (!strcmp(role, "hold")) {
        open_lock(place);
        good(wait_lock(TVN_FOREVER));
        stay();
    } else if (!strcmp(role, "undo")) {
        open_lock(place);
        tvn_semaphore_operation_t operations[] = {{0, -2, TVN_UNDO}, {1, 1, TVN_UNDO}};
        good(tvn_sysv_semaphores_operate(sysv, operations, 2, TVN_FOREVER));
        stay();
    } else if (!strcmp(role, "wait")) {
        open_lock(place);
        say("waiting");
        int result = wait_lock(TVN_FOREVER);
        if (result != -EIDRM) good(result);
        say(result ? "removed" : "taken");
    } else if (!strcmp(role, "race")) {
        uint16_t initial = (uint16_t)n;
        gate();
        if (place[0] == '/')
            good(tvn_posix_semaphore_open_or_create(place, initial, 0600, 0, &posix));
        else
            good(tvn_sysv_semaphores_open_or_create(atoi(place), &initial, 1, 0600, 0, &sysv));
        good(wait_lock(TVN_TRY));
    } else if (!strcmp(role, "storm")) {
        open_lock(place);
        rain();
        long long begin = now_ms();
        if (wait_lock((int)n) != -ETIMEDOUT) return 1;
        if (now_ms() - begin < (long long)n - 1) return fputs("ended early\n", stderr), 1;
        tvn_interruptible(1);
        if (wait_lock(TVN_FOREVER) != -EINTR) return 1;
        printf("timeout %lld\n", now_ms() - begin);
    } else if (!strcmp(role, "own")) {
        uint16_t one = 1;
        tvn_posix_shared_memory_t *memory;
        tvn_sysv_shared_memory_t *segment;
        if (!strcmp(place, "posix semaphore"))
            good(tvn_posix_semaphore_create(third, 1, 0600, TVN_OWNED, &posix));
        else if (!strcmp(place, "posix shared memory"))
            good(tvn_posix_shared_memory_create(third, 64, 0600, TVN_OWNED, &memory));
        else if (!strcmp(place, "sysv semaphores"))
            good(tvn_sysv_semaphores_create(atoi(third), &one, 1, 0600, TVN_OWNED, &sysv));
        else
            good(tvn_sysv_shared_memory_create(atoi(third), 64, 0600, TVN_OWNED, &segment));
        stay();
    } else {
        return 2;
    }
    return 0;
}
