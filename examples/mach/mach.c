/*
 * Ports as in Mach: rights that go over in messages, calls, sets, notifications; and processes that name each other.
 *
 *     mach                          the whole story: a printer, a desk and three clients; an answerer and three callers
 *     mach printer CLIENTS          receives pages and questions, until nobody can send any more
 *     mach desk CLIENTS             gives each client that calls a right to send to the printer
 *     mach client NAME CLIENTS      asks the desk, prints three pages, asks how many there are, and hears that the printer ends
 *     mach answerer CALLERS         receives from anybody, and learns by whom (asymmetric naming)
 *     mach caller NAME              sends to the answerer and receives from the answerer (symmetric naming)
 *
 * Each process may be Rust, C or Python. They share the segment `mach`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <triveni.h>
#include <unistd.h>

enum { PAGES = 3, SIZE = 1024 };

static tvn_segment_t *segment;
static char buffer[SIZE + 1];

static void must(int64_t result) {
    if (result < 0) tvn_perror("mach"), exit(1);
}

static void claim(int holds, const char *what) {
    if (!holds) fprintf(stderr, "mach: %s\n", what), exit(1);
}

/* Nobody begins before all ports are there. */
static void begin(int clients) {
    tvn_barrier_t *everybody;
    must(tvn_barrier(segment, "begin", (uint32_t)clients + 2, &everybody));
    must(tvn_barrier_wait(everybody, TVN_FOREVER));
    tvn_barrier_close(everybody);
}

static void printer(int clients) {
    static const char *names[] = {"printer", "questions", "printer's notices"};
    tvn_port_t *ports[3], *from;
    tvn_port_set_t *set;
    tvn_delivery_t came;
    must(tvn_port_set_new(&set));
    for (int i = 0; i < 3; i++) must(tvn_port(segment, names[i], NULL, &ports[i]));
    must(tvn_port_request_notification(ports[0], TVN_PORT_NO_SENDERS, ports[2]));
    for (int i = 0; i < 3; i++) must(tvn_port_set_add(set, ports[i]));
    begin(clients);
    int printed = 0, can_come = 1;
    int64_t size;
    while ((size = tvn_port_set_receive(set, buffer, SIZE, &from, &came, can_come ? TVN_FOREVER : TVN_TRY)) >= 0) {
        if (came.event) {
            can_come = 0; /* but what was sent before is printed */
        } else if (came.reply) {
            must(tvn_port_send(came.reply, buffer, (size_t)sprintf(buffer, "%d", printed), TVN_FOREVER));
            tvn_port_close(came.reply);
        } else {
            printed++;
        }
    }
    if (size != -EAGAIN) must(size);
    printf("printer: %d pages printed, and nobody can send any more\n", printed);
    tvn_port_set_close(set);
    for (int i = 0; i < 3; i++) tvn_port_close(ports[i]);
}

static void desk(int clients) {
    tvn_port_t *desk, *to_printer, *right;
    tvn_delivery_t came;
    must(tvn_port(segment, "desk", NULL, &desk));
    begin(clients);
    must(tvn_port_open(segment, "printer", &to_printer));
    for (int i = 0; i < clients; i++) {
        must(tvn_port_receive(desk, buffer, SIZE, &came, TVN_FOREVER));
        claim(came.reply != NULL, "that was no call");
        must(tvn_port_send_right(to_printer, &right));
        const tvn_port_t *given[] = {right};
        must(tvn_port_send_rights(came.reply, "please", 6, given, 1, TVN_FOREVER));
        claim(tvn_port_send(right, "one page for myself", 19, TVN_TRY) == -EPERM, "a right that was given away was used");
        printf("desk: a right that was given away is refused\n");
        tvn_port_close(right);
        tvn_port_close(came.reply);
    }
    tvn_port_close(to_printer);
    tvn_port_close(desk);
}

static void client(const char *name, int clients) {
    tvn_port_t *notices, *desk, *questions;
    tvn_delivery_t came;
    snprintf(buffer, sizeof buffer, "%s's notices", name);
    must(tvn_port(segment, buffer, NULL, &notices));
    begin(clients);
    must(tvn_port_open(segment, "desk", &desk));
    must(tvn_port_open(segment, "questions", &questions));
    must(tvn_port_request_notification(questions, TVN_PORT_DEAD_NAME, notices));
    must(tvn_port_call(desk, name, strlen(name), buffer, SIZE, &came, TVN_FOREVER));
    claim(came.count == 1, "there was no right in the answer");
    tvn_port_t *to_printer = came.rights[0];
    for (int page = 0; page < PAGES; page++)
        must(tvn_port_send(to_printer, buffer, (size_t)sprintf(buffer, "%.99s %d", name, page), TVN_FOREVER));
    int64_t size = tvn_port_call(questions, "how many?", 9, buffer, SIZE, &came, TVN_FOREVER);
    must(size);
    buffer[size] = 0;
    claim(atoi(buffer) <= clients * PAGES, "more was printed than was sent");
    tvn_port_close(to_printer);
    must(tvn_port_receive(notices, buffer, SIZE, &came, TVN_FOREVER));
    claim(came.event == TVN_PORT_DEAD_NAME, "something else was told");
    printf("%s: %d pages sent; then dead_name of %s: nobody receives there any more\n", name, PAGES, came.port);
    tvn_port_close(questions);
    tvn_port_close(desk);
    tvn_port_close(notices);
}

static void answerer(int callers) {
    tvn_process_t *me;
    char who[64];
    must(tvn_process(segment, "answerer", NULL, &me));
    for (int i = 0; i < callers; i++) {
        must(tvn_process_receive(me, who, sizeof who, buffer, SIZE, NULL, TVN_FOREVER));
        must(tvn_process_send(me, who, buffer, (size_t)sprintf(buffer, "good morning, %s", who), TVN_FOREVER));
    }
    printf("answerer: %d callers answered, whoever they were\n", callers);
    tvn_process_close(me);
}

static void caller(const char *name) {
    tvn_process_t *me;
    must(tvn_process(segment, name, NULL, &me));
    must(tvn_process_send(me, "answerer", "good morning", 12, TVN_FOREVER));
    int64_t size = tvn_process_receive_from(me, "answerer", buffer, SIZE, NULL, TVN_FOREVER);
    must(size);
    buffer[size] = 0;
    printf("%s heard: %s\n", name, buffer);
    tvn_process_close(me);
}

/* One process; 0 if there is no such role. */
static int role(const char *const *words, int count) {
    must(tvn_segment_open_or_create("mach", TVN_DEFAULT_SIZE, 0600, &segment));
    int known = 1;
    if (count == 2 && !strcmp(words[0], "printer"))
        printer(atoi(words[1]));
    else if (count == 2 && !strcmp(words[0], "desk"))
        desk(atoi(words[1]));
    else if (count == 3 && !strcmp(words[0], "client"))
        client(words[1], atoi(words[2]));
    else if (count == 2 && !strcmp(words[0], "answerer"))
        answerer(atoi(words[1]));
    else if (count == 2 && !strcmp(words[0], "caller"))
        caller(words[1]);
    else
        known = 0;
    tvn_segment_close(segment);
    return known;
}

static int story(void) {
    static const char *const roles[][3] = {{"printer", "3"},       {"desk", "3"},          {"answerer", "3"},
                                           {"client", "ada", "3"}, {"client", "bob", "3"}, {"client", "eve", "3"},
                                           {"caller", "tom"},      {"caller", "kim"},      {"caller", "joe"}};
    enum { COUNT = sizeof roles / sizeof *roles };
    int failed = 0, status;
    tvn_segment_unlink("mach");
    fflush(stdout);
    for (int i = 0; i < COUNT; i++)
        if (fork() == 0) role(roles[i], roles[i][2] ? 3 : 2), exit(0);
    for (int i = 0; i < COUNT; i++) wait(&status), failed |= status != 0;
    tvn_segment_unlink("mach");
    return failed;
}

int main(int argc, char **argv) {
    if (argc == 1) return story();
    if (role((const char *const *)argv + 1, argc - 1)) return 0;
    return fprintf(stderr, "usage: mach [printer CLIENTS | desk CLIENTS | client NAME CLIENTS | answerer CALLERS | caller NAME]\n"), 2;
}
