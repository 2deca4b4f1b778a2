/* glibc: what POSIX gives to processes that share memory. The mutexes also lock for the condition. */
#define _GNU_SOURCE
#include "speak.h"
#include <errno.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <semaphore.h>

enum { PARTIES = 3 };

static struct shared {
    pthread_mutex_t plain, robust;
    pthread_rwlock_t rwlock;
    pthread_barrier_t barrier;
    pthread_cond_t cond;
    unsigned count;                                /* what the condition is about */
    sem_t sem;
} *s;

static int is(int error)
{
    if (error == 0) return OK;
    snprintf(detail, sizeof detail, "%s", strerror(error));
    return FAIL;
}
static int sem_is(int result) { return is(result ? errno : 0); }

static int plain_lock(void) { return is(pthread_mutex_lock(&s->plain)); }
static int plain_unlock(void) { return is(pthread_mutex_unlock(&s->plain)); }

static int robust_lock(void)
{
    int error = pthread_mutex_lock(&s->robust);
    if (error != EOWNERDEAD) return is(error);
    return is(pthread_mutex_consistent(&s->robust)) == OK ? TOLD : FAIL;
}
static int robust_unlock(void) { return is(pthread_mutex_unlock(&s->robust)); }

static int rw_read(void) { return is(pthread_rwlock_rdlock(&s->rwlock)); }
static int rw_write(void) { return is(pthread_rwlock_wrlock(&s->rwlock)); }
static int rw_unlock(void) { return is(pthread_rwlock_unlock(&s->rwlock)); }

static int barrier_wait(void)
{
    int error = pthread_barrier_wait(&s->barrier);
    return is(error == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : error);
}

static int cond_wait(void)
{
    int told = robust_lock();
    if (told == FAIL) return FAIL;
    while (s->count == 0) {
        int error = pthread_cond_wait(&s->cond, &s->robust);
        if (error == EOWNERDEAD) { pthread_mutex_consistent(&s->robust); told = TOLD; }
        else if (error) return is(error);
    }
    s->count--;
    return robust_unlock() == OK ? told : FAIL;
}
static int cond_signal(void)
{
    int told = robust_lock();
    if (told == FAIL) return FAIL;
    s->count++;
    pthread_cond_signal(&s->cond);
    return robust_unlock() == OK ? told : FAIL;
}

static int sem_take(void) { int r; while ((r = sem_wait(&s->sem)) && errno == EINTR) ; return sem_is(r); }
static int sem_give(void) { return sem_is(sem_post(&s->sem)); }

static const struct command commands[] = {
    {"mutex", "lock", plain_lock}, {"mutex", "unlock", plain_unlock},
    {"robust", "lock", robust_lock}, {"robust", "unlock", robust_unlock},
    {"rwlock", "read", rw_read}, {"rwlock", "write", rw_write}, {"rwlock", "unlock", rw_unlock},
    {"barrier", "wait", barrier_wait},
    {"cond", "lock", robust_lock}, {"cond", "unlock", robust_unlock}, {"cond", "wait", cond_wait}, {"cond", "signal", cond_signal},
    {"sem", "wait", sem_take}, {"sem", "post", sem_give},
    {NULL, NULL, NULL},
};

static void create(void)
{
    pthread_mutexattr_t m; pthread_rwlockattr_t r; pthread_barrierattr_t b; pthread_condattr_t c;
    pthread_mutexattr_init(&m); pthread_rwlockattr_init(&r); pthread_barrierattr_init(&b); pthread_condattr_init(&c);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED); pthread_rwlockattr_setpshared(&r, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED); pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->plain, &m);
    pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->robust, &m);
    pthread_rwlock_init(&s->rwlock, &r);
    pthread_barrier_init(&s->barrier, &b, PARTIES);
    pthread_cond_init(&s->cond, &c);
    sem_init(&s->sem, 1, 1);
}

int main(int argc, char **argv)
{
    if (argc == 2) return printf("glibc %s\n", gnu_get_libc_version()) < 0;
    int is_owner = !strcmp(argv[3], "create");
    int fd = shm_open(argv[2], O_RDWR | (is_owner ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0 || (is_owner && ftruncate(fd, sizeof *s))) return perror(argv[2]), 1;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s == MAP_FAILED) return perror("mmap"), 1;
    if (is_owner) create();
    serve(commands, argv[1], argv[2]);
    if (is_owner) shm_unlink(argv[2]);
}
