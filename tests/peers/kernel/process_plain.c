/* Processes and signals with libc alone; the roles are told in process.rs. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void good(int result) {
    if (result < 0) perror("process_plain.c"), exit(1);
}

static void take(int n) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    good(sigprocmask(SIG_BLOCK, &set, NULL));
    puts("ready"), fflush(stdout);
    good(raise(SIGSTOP));
    for (int i = 0; i < n; i++) {
        good(sigwaitinfo(&set, &info));
        printf("%d %d %d\n", info.si_signo, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0, (int)info.si_pid);
    }
    if (sigtimedwait(&set, &info, &(struct timespec){0, 0}) < 0) puts("ok");
}

static char state(pid_t pid) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) perror(path), exit(1);
    fclose(file);
    return strrchr(line, ')')[2];
}

static void queue(pid_t pid, int n) {
    while (state(pid) != 'T') usleep(1000);
    for (int k = 0; k < n; k++) {
        good(sigqueue(pid, SIGRTMIN + 3, (union sigval){.sival_int = k}));
        good(kill(pid, SIGUSR1));
    }
    good(kill(pid, SIGCONT));
}

static void children(int n) {
    for (int k = 0; k < n; k++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) _exit(k % 7);
        good(waitpid(pid, &status, 0));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != k % 7) exit(1);
    }
    printf("ok %d\n", n);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *role = argv[1];
    int first = atoi(argv[2]);
    if (!strcmp(role, "take")) return take(first), 0;
    if (!strcmp(role, "queue") && argc == 4) return queue(first, atoi(argv[3])), 0;
    if (!strcmp(role, "end")) return first >= 0 ? first : raise(-first);
    if (!strcmp(role, "children")) return children(first), 0;
    return 2;
}
