/* Shared memory and semaphores with libc alone; the roles are told in memory.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static void bad(const char *what) {
    perror(what);
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

static char *made(const char *place, size_t size) {
    if (place[0] == '/') {
        int fd = shm_open(place, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd < 0 || ftruncate(fd, (off_t)size) != 0) bad(place);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return memory == MAP_FAILED ? bad("mmap"), NULL : memory;
    }
    int id = shmget((key_t)atoi(place), size, IPC_CREAT | IPC_EXCL | 0600);
    char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    return memory == (char *)-1 ? bad(place), NULL : memory;
}

static char *opened(const char *place, int read_only) {
    if (place[0] == '/') {
        struct stat facts;
        int fd = shm_open(place, read_only ? O_RDONLY : O_RDWR, 0);
        if (fd < 0 || fstat(fd, &facts) != 0) bad(place);
        int access = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
        char *memory = mmap(NULL, (size_t)facts.st_size, access, MAP_SHARED, fd, 0);
        return memory == MAP_FAILED ? bad("mmap"), NULL : memory;
    }
    int id = shmget((key_t)atoi(place), 0, 0);
    char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, read_only ? SHM_RDONLY : 0);
    return memory == (char *)-1 ? bad(place), NULL : memory;
}

/* A semaphore of either kind. */
static sem_t *posix;
static int sysv;

static void open_lock(const char *place) {
    if (place[0] == '/') {
        posix = sem_open(place, 0);
        if (posix == SEM_FAILED) bad(place);
    } else if ((sysv = semget((key_t)atoi(place), 0, 0)) < 0) {
        bad(place);
    }
}

static int change(short delta) {
    struct sembuf operation = {0, delta, 0};
    return semop(sysv, &operation, 1);
}

static int wait_lock(void) {
    return posix ? sem_wait(posix) : change(-1);
}

static void post_lock(void) {
    if ((posix ? sem_post(posix) : change(1)) != 0) bad("post");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1], *place = argv[2], *third = argc > 3 ? argv[3] : "0";
    uint64_t n = strtoull(argv[argc - 1], NULL, 10);
    if (!strcmp(role, "make")) {
        char *memory = made(place, n);
        for (size_t i = 0; i < n; i++) memory[i] = (char)(i * 7 % 251);
    } else if (!strcmp(role, "check")) {
        const char *memory = opened(place, 1);
        for (size_t i = 0; i < n; i++)
            if (memory[i] != (char)(i * 7 % 251)) return 1;
        printf("ok %s\n", third);
    } else if (!strcmp(role, "ask")) {
        char *memory = made(place, 4096);
        volatile uint64_t *number = (volatile uint64_t *)(void *)(memory + 128);
        sem_t *asked = (sem_t *)(void *)memory, *answered = (sem_t *)(void *)(memory + 64);
        if (sem_init(asked, 1, 0) != 0 || sem_init(answered, 1, 0) != 0) bad("sem_init");
        say("made");
        for (uint64_t k = 0; k < n; k++) {
            *number = 2 * k;
            if (sem_post(asked) != 0 || sem_wait(answered) != 0) bad("semaphore");
            if (*number != 2 * k + 1) return 1;
        }
        printf("ok %s\n", third);
    } else if (!strcmp(role, "answer")) {
        char *memory = opened(place, 0);
        volatile uint64_t *number = (volatile uint64_t *)(void *)(memory + 128);
        sem_t *asked = (sem_t *)(void *)memory, *answered = (sem_t *)(void *)(memory + 64);
        for (uint64_t k = 0; k < n; k++) {
            if (sem_wait(asked) != 0) bad("sem_wait");
            ++*number;
            if (sem_post(answered) != 0) bad("sem_post");
        }
        printf("ok %s\n", third);
    } else if (!strcmp(role, "add")) {
        volatile uint64_t *number = (volatile uint64_t *)(void *)opened(place, 0);
        open_lock(third);
        for (uint64_t k = 0; k < n; k++) {
            if (wait_lock() != 0) bad("wait");
            ++*number;
            post_lock();
        }
        printf("ok %s\n", argv[4]);
    } else if (!strcmp(role, "lose")) {
        volatile uint64_t *memory = (volatile uint64_t *)(void *)opened(place, 0);
        uint64_t number = *memory;
        say("read");
        while (getchar() != EOF) continue;
        *memory = number + 1;
    } else if (!strcmp(role, "hold")) {
        open_lock(place);
        if (wait_lock() != 0) bad("wait");
        stay();
    } else if (!strcmp(role, "undo")) {
        open_lock(place);
        struct sembuf operations[] = {{0, -2, SEM_UNDO}, {1, 1, SEM_UNDO}};
        if (semop(sysv, operations, 2) != 0) bad("semop");
        stay();
    } else if (!strcmp(role, "wait")) {
        open_lock(place);
        say("waiting");
        int result = wait_lock();
        if (result != 0 && errno != EIDRM) bad("wait");
        say(result ? "removed" : "taken");
    } else {
        return 2;
    }
    return 0;
}
