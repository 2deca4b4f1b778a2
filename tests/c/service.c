/* A service: calls and requests, in place and by copies; who gives up, who dies, what is refused. */
#include "check.h"
#include <pthread.h>

enum { SIZE = 256, CALLS = 2 };

static tvn_segment_t *segment;
static tvn_service_t *service;
static char answer[SIZE];

static tvn_service_options_t usual(void) {
    tvn_service_options_t options = TVN_SERVICE_OPTIONS;
    options.request_size = SIZE;
    options.response_size = SIZE;
    options.calls = CALLS;
    return options;
}

static void make(tvn_service_options_t options) {
    segment = fresh_segment();
    is(tvn_service(segment, "s", &options, &service), 0);
}

static void unmake(void) {
    tvn_service_close(service);
    tvn_segment_close(segment);
}

/* Answers so many requests with themselves, backwards. */
static void *turn_round(void *count) {
    for (int left = *(int *)count; left > 0; left--) {
        tvn_request_t request;
        int64_t size = tvn_service_receive(service, TVN_FOREVER, &request);
        holds(size >= 0 && size == request.size);
        is(request.client, getpid());
        char turned[SIZE];
        for (int64_t i = 0; i < size; i++) turned[i] = ((const char *)request.bytes)[size - 1 - i];
        is(tvn_request_reply(service, &request, turned, (size_t)size), 1);
    }
    return NULL;
}

TEST(an_answer_comes_back_to_the_one_who_asked) {
    make(usual());
    static const size_t sizes[] = {0, 1, 47, 48, 49, SIZE};
    int count = sizeof sizes / sizeof *sizes;
    pthread_t server;
    is(pthread_create(&server, NULL, turn_round, &count), 0);
    for (int i = 0; i < count; i++) {
        char request[SIZE];
        for (size_t at = 0; at < sizes[i]; at++) request[at] = (char)at;
        is(tvn_service_call(service, sizes[i] ? request : NULL, sizes[i], answer, SIZE, TVN_FOREVER), sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++) is(answer[at], request[sizes[i] - 1 - at]);
    }
    is(pthread_join(server, NULL), 0);
    is(tvn_service_servers(service), 1);
    unmake();
}

TEST(requests_and_answers_are_written_in_place) {
    make(usual());
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service_reserve(service, 100, TVN_TRY, &call), 0);
    holds(call.size == 100 && (uintptr_t)call.bytes % 64 == 0);
    is(tvn_service_length(service), 0);
    memset(call.bytes, 'q', 100);
    is(tvn_call_send(service, &call, 101), -EMSGSIZE);
    is(tvn_call_send(service, &call, 60), 0); /* a size that was refused left the room as it was */
    is(tvn_call_send(service, &call, 60), -EPERM);
    is(tvn_service_length(service), 1);
    is(tvn_call_wait(service, &call, TVN_TRY), -EAGAIN);
    is(tvn_call_wait(service, &call, 5), -ETIMEDOUT);
    is(tvn_service_receive(service, TVN_FOREVER, &request), 60);
    holds((uintptr_t)request.room % 64 == 0 && memcmp(request.bytes, "qqqq", 4) == 0);
    is(tvn_request_is_cancelled(service, &request), 0);
    memset(request.room, 'a', SIZE);
    is(tvn_request_commit(service, &request, SIZE), 1);
    is(tvn_call_wait(service, &call, TVN_FOREVER), SIZE);
    holds(call.size == SIZE && memcmp(call.bytes, "aaaa", 4) == 0);
    is(tvn_call_wait(service, &call, TVN_TRY), SIZE); /* it stays until its end */
    is(tvn_call_end(service, &call), 0);
    is(tvn_call_end(service, &call), -EPERM);
    is(tvn_call_wait(service, &call, TVN_TRY), -EPERM);
    is(tvn_service_reserve(service, 8, TVN_TRY, &call), 0);
    is(tvn_call_end(service, &call), 0); /* room is given back */
    unmake();
}

TEST(waits_end_when_their_time_is_up) {
    make(usual());
    tvn_call_t calls[CALLS], more;
    tvn_request_t request;
    is(tvn_service_receive(service, TVN_TRY, &request), -EAGAIN);
    double begin = seconds();
    is(tvn_service_receive(service, 20, &request), -ETIMEDOUT);
    is(tvn_service_call(service, "x", 1, answer, SIZE, 20), -ETIMEDOUT);
    holds(seconds() - begin >= 0.04);
    is(tvn_service_call(service, "x", 1, answer, SIZE, TVN_TRY), -EAGAIN);
    is(tvn_service_length(service), 0); /* who gave up left nothing behind */
    for (int i = 0; i < CALLS; i++) is(tvn_service_start(service, &i, sizeof i, TVN_TRY, &calls[i]), 0);
    is(tvn_service_start(service, "x", 1, TVN_TRY, &more), -EAGAIN);
    is(tvn_service_start(service, "x", 1, 10, &more), -ETIMEDOUT);
    is(tvn_service_reserve(service, 1, TVN_TRY, &more), -EAGAIN);
    is(tvn_service_reserve(service, 1, 10, &more), -ETIMEDOUT);
    is(tvn_interruptible(true), 0);
    timer_t often = signal_often();
    is(tvn_service_receive(service, TVN_TRY, &request), sizeof(int));
    is(tvn_request_reply(service, &request, NULL, 0), 1);
    is(tvn_call_wait(service, &calls[1], TVN_FOREVER), -EINTR);
    is(tvn_service_reserve(service, 1, TVN_FOREVER, &more), -EINTR);
    is(timer_delete(often), 0);
    is(tvn_interruptible(false), 1);
    is(tvn_call_wait(service, &calls[0], TVN_FOREVER), 0);
    for (int i = 0; i < CALLS; i++) is(tvn_call_end(service, &calls[i]), 0);
    unmake();
}

TEST(sizes_that_do_not_fit_are_refused) {
    make(usual());
    static const char much[SIZE + 1];
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service_call(service, much, SIZE + 1, answer, SIZE, TVN_TRY), -EMSGSIZE);
    told("too large");
    is(tvn_service_call(service, "x", 1, answer, SIZE - 1, TVN_FOREVER), -EMSGSIZE);
    told("too small");
    is(tvn_service_length(service), 0);
    is(tvn_service_start(service, much, SIZE + 1, TVN_TRY, &call), -EMSGSIZE);
    is(tvn_service_reserve(service, SIZE + 1, TVN_TRY, &call), -EMSGSIZE);
    is(tvn_service_start(service, NULL, 1, TVN_TRY, &call), -EINVAL);
    for (int in_place = 0; in_place < 2; in_place++) {
        is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
        is(tvn_service_receive(service, TVN_TRY, &request), 1);
        is(in_place ? tvn_request_commit(service, &request, SIZE + 1) : tvn_request_reply(service, &request, much, SIZE + 1),
           -EMSGSIZE);
        is(tvn_call_wait(service, &call, TVN_FOREVER), -TVN_EFAILED); /* the client is told as well */
        is(tvn_call_end(service, &call), 0);
    }
    unmake();
}

TEST(a_server_that_cannot_answer_says_why) {
    make(usual());
    tvn_call_t call;
    tvn_request_t request;
    char text[400];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = 0;
    static const char *why[] = {"no tea left", "", NULL};
    for (int i = 0; i < 3; i++) {
        is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
        is(tvn_service_receive(service, TVN_TRY, &request), 1);
        is(tvn_request_fail(service, &request, why[i] ? why[i] : text), 1);
        is(tvn_request_fail(service, &request, "again"), -EPERM);
        is(tvn_call_wait(service, &call, TVN_FOREVER), -TVN_EFAILED);
        told(why[i] ? why[i] : "yyyy");
        is(tvn_call_end(service, &call), 0);
    }
    is(tvn_request_fail(service, &request, NULL), -EINVAL);
    unmake();
}

TEST(a_client_that_gives_up_is_seen_and_its_answer_dropped) {
    make(usual());
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    is(tvn_call_end(service, &call), 0);
    is(tvn_service_receive(service, TVN_TRY, &request), -EAGAIN); /* nobody had begun */
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    is(tvn_service_receive(service, TVN_TRY, &request), 1);
    is(tvn_call_end(service, &call), 0);
    is(tvn_request_is_cancelled(service, &request), 1);
    is(tvn_request_reply(service, &request, "late", 4), 0);
    is(tvn_request_reply(service, &request, "late", 4), -EPERM);
    is(tvn_request_is_cancelled(service, &request), -EPERM);
    unmake();
}

TEST(what_was_forged_is_refused) {
    make(usual());
    tvn_call_t call, strange;
    tvn_request_t request, odd;
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    is(tvn_service_receive(service, TVN_TRY, &request), 1);
    strange = call, odd = request;
    strange.index = odd.index = 4000000000u;
    is(tvn_call_wait(service, &strange, TVN_TRY), -EPERM);
    is(tvn_call_send(service, &strange, 1), -EPERM);
    is(tvn_call_end(service, &strange), -EPERM);
    is(tvn_request_reply(service, &odd, "y", 1), -EPERM);
    strange = call, odd = request;
    strange.word ^= 1ull << 40, odd.word ^= 1ull << 40;
    is(tvn_call_wait(service, &strange, TVN_TRY), -EPERM);
    is(tvn_request_commit(service, &odd, 1), -EPERM);
    memset(&strange, 0, sizeof strange);
    memset(&odd, 0, sizeof odd);
    is(tvn_call_end(service, &strange), -EPERM);
    is(tvn_request_fail(service, &odd, ""), -EPERM);
    pid_t child = fork(); /* neither is the child's */
    if (child == 0) {
        if (tvn_call_end(service, &call) != -EPERM) _exit(1);
        if (tvn_request_reply(service, &request, "y", 1) != -EPERM) _exit(2);
        _exit(0);
    }
    is(exit_of(child), 0);
    is(tvn_request_reply(service, &request, "y", 1), 1);
    is(tvn_call_wait(service, &call, TVN_FOREVER), 1);
    is(tvn_call_end(service, &call), 0);
    unmake();
}

TEST(after_a_shutdown_clients_are_refused_and_servers_finish) {
    make(usual());
    tvn_call_t begun, waiting;
    tvn_request_t request, none;
    is(tvn_service_start(service, "1", 1, TVN_TRY, &begun), 0);
    is(tvn_service_receive(service, TVN_TRY, &request), 1);
    is(tvn_service_start(service, "2", 1, TVN_TRY, &waiting), 0);
    is(tvn_service_is_shut_down(service), 0);
    is(tvn_service_shutdown(service), 0);
    is(tvn_service_is_shut_down(service), 1);
    is(tvn_service_shutdown(service), 0);
    is(tvn_service_start(service, "3", 1, TVN_FOREVER, &waiting), -EPIPE);
    is(tvn_service_call(service, "3", 1, answer, SIZE, TVN_FOREVER), -EPIPE);
    told("shut down");
    is(tvn_call_wait(service, &waiting, TVN_FOREVER), -EPIPE);
    is(tvn_call_end(service, &waiting), -EPERM); /* that call is over */
    is(tvn_request_reply(service, &request, "yes", 3), 1);
    is(tvn_call_wait(service, &begun, TVN_FOREVER), 3);
    is(tvn_call_end(service, &begun), 0);
    is(tvn_service_receive(service, TVN_FOREVER, &none), -EPIPE);
    is(tvn_service_receive(service, TVN_TRY, &none), -EPIPE);
    unmake();
}

static void takes_a_request(void *unused) {
    (void)unused;
    tvn_request_t request;
    is(tvn_service_receive(service, TVN_FOREVER, &request), 1);
}

TEST(a_dead_server_is_told_to_its_client) {
    make(usual());
    tvn_call_t call;
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    pid_t child = stays_after(takes_a_request, NULL);
    is(tvn_call_wait(service, &call, TVN_TRY), -EAGAIN);
    kill_it(child);
    is(tvn_call_wait(service, &call, TVN_FOREVER), -ECONNRESET);
    told("died over this request");
    is(tvn_call_end(service, &call), 0);
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0); /* the cells are free again */
    is(tvn_call_end(service, &call), 0);
    unmake();
}

TEST(an_idempotent_request_goes_to_the_next_server) {
    tvn_service_options_t options = usual();
    options.idempotent = 1;
    make(options);
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    kill_it(stays_after(takes_a_request, NULL));
    is(tvn_call_wait(service, &call, 1000), -ETIMEDOUT); /* nobody serves, and it is no error */
    is(tvn_service_receive(service, TVN_FOREVER, &request), 1);
    is(tvn_request_reply(service, &request, "done", 4), 1);
    is(tvn_call_wait(service, &call, TVN_FOREVER), 4);
    is(tvn_call_end(service, &call), 0);
    unmake();
}

static void asks(void *unused) {
    (void)unused;
    tvn_call_t calls[CALLS];
    for (int i = 0; i < CALLS; i++) is(tvn_service_start(service, "x", 1, TVN_TRY, &calls[i]), 0);
}

TEST(what_a_dead_client_had_asked_for_frees_its_cells) {
    make(usual());
    tvn_call_t call;
    tvn_request_t request;
    pid_t child = stays_after(asks, NULL);
    is(tvn_service_receive(service, TVN_TRY, &request), 1);
    is(request.client, child);
    is(tvn_service_start(service, "y", 1, TVN_TRY, &call), -EAGAIN);
    kill_it(child);
    is(tvn_service_start(service, "y", 1, TVN_FOREVER, &call), 0);
    is(tvn_request_is_cancelled(service, &request), 1);
    is(tvn_request_reply(service, &request, "", 0), 0);
    is(tvn_call_end(service, &call), 0);
    unmake();
}

TEST(a_wait_set_tells_of_requests_answers_and_free_cells) {
    make(usual());
    tvn_wait_set_t *set;
    tvn_ready_t ready[3];
    tvn_call_t calls[CALLS];
    tvn_request_t request;
    is(tvn_wait_set_new(&set), 0);
    is(tvn_wait_set_add_service(set, service, 9), -EINVAL);
    int64_t requests = tvn_wait_set_add_service(set, service, TVN_RECEIVE);
    holds(requests >= 0);
    is(tvn_wait_set_wait(set, ready, 3, TVN_TRY), -EAGAIN);
    for (int i = 0; i < CALLS; i++) is(tvn_service_start(service, "x", 1, TVN_TRY, &calls[i]), 0);
    is(tvn_wait_set_wait(set, ready, 3, TVN_FOREVER), 1);
    is(ready[0].token, requests);
    is(tvn_service_receive(service, TVN_TRY, &request), 1);
    is(tvn_wait_set_remove(set, requests), 0);
    int64_t room = tvn_wait_set_add_service(set, service, TVN_SEND);
    int64_t answer_of = tvn_wait_set_add_call(set, service, &calls[0]);
    holds(room >= 0 && answer_of >= 0);
    is(tvn_wait_set_wait(set, ready, 3, TVN_TRY), -EAGAIN);
    is(tvn_request_reply(service, &request, "yes", 3), 1);
    is(tvn_wait_set_wait(set, ready, 3, TVN_FOREVER), 1);
    is(ready[0].token, answer_of);
    is(tvn_wait_set_remove(set, answer_of), 0);
    is(tvn_call_wait(service, &calls[0], TVN_TRY), 3);
    is(tvn_call_end(service, &calls[0]), 0);
    is(tvn_wait_set_wait(set, ready, 3, TVN_FOREVER), 1);
    is(ready[0].token, room);
    is(tvn_wait_set_add_call(set, service, &calls[0]), -EPERM);
    is(tvn_wait_set_add_call(set, service, NULL), -EINVAL);
    is(tvn_wait_set_remove(set, room), 0);
    holds(tvn_wait_set_add_call(set, service, &calls[1]) >= 0);
    kill_it(stays_after(takes_a_request, NULL)); /* a dead server is told as well */
    is(tvn_wait_set_wait(set, ready, 3, TVN_FOREVER), 1);
    is(tvn_call_wait(service, &calls[1], TVN_TRY), -ECONNRESET);
    is(tvn_call_end(service, &calls[1]), 0);
    is(tvn_wait_set_wait(set, ready, 3, TVN_FOREVER), -EPERM); /* it was not taken out */
    tvn_wait_set_close(set);
    unmake();
}

TEST(a_removed_service_ends_its_waits) {
    make(usual());
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service_start(service, "x", 1, TVN_TRY, &call), 0);
    is(tvn_segment_remove(segment, "s"), 0);
    is(tvn_call_wait(service, &call, TVN_FOREVER), -EIDRM);
    is(tvn_call_end(service, &call), 0);
    is(tvn_service_receive(service, TVN_FOREVER, &request), -EIDRM);
    unmake();
}

TEST(options_that_no_service_can_have_are_refused) {
    segment = fresh_segment();
    tvn_service_t *none = NULL;
    tvn_service_options_t options = usual();
    is(tvn_service(segment, "s", NULL, &none), -EINVAL);
    told("TVN_SERVICE_OPTIONS");
    is(tvn_service_open(segment, "s", &none), -ENOENT);
    is(tvn_service(segment, "a/b", &options, &none), -EINVAL);
    options.calls = 1025;
    is(tvn_service(segment, "s", &options, &none), -EINVAL);
    options.calls = CALLS;
    options.size++;
    is(tvn_service(segment, "s", &options, &none), -EINVAL);
    told("TVN_SERVICE_OPTIONS");
    options.size--;
    options.request_size = SIZE_MAX / 2;
    holds(tvn_service(segment, "s", &options, &none) < 0);
    options.request_size = SIZE;
    options.type_tag = "T{d:request:2d:response:}";
    is(tvn_service_create(segment, "s", &options, &service), 0);
    is(tvn_service_create(segment, "s", &options, &none), -EEXIST);
    options.type_tag = "T{i:request:2d:response:}";
    is(tvn_service(segment, "s", &options, &none), -TVN_EINCOMPATIBLE);
    told("request");
    options.type_tag = NULL;
    options.calls++;
    is(tvn_service(segment, "s", &options, &none), -TVN_EINCOMPATIBLE);
    told("calls at once");
    is(tvn_service_open(segment, "s", &none), 0);
    is(tvn_service_calls(none), CALLS);
    is(tvn_service_request_size(none), SIZE);
    is(tvn_service_response_size(none), SIZE);
    tvn_service_close(none);
    none = NULL;
    tvn_mailbox_t *box;
    is(tvn_mailbox(segment, "m", 2, 8, &box), 0);
    is(tvn_service_open(segment, "m", &none), -TVN_EINCOMPATIBLE);
    holds(none == NULL); /* untouched by every failure */
    tvn_mailbox_close(box);
    unmake();
}

TEST(null_is_refused) {
    make(usual());
    tvn_service_options_t options = usual();
    tvn_call_t call;
    tvn_request_t request;
    is(tvn_service(NULL, "s", &options, &service), -EINVAL);
    is(tvn_service(segment, NULL, &options, &service), -EINVAL);
    is(tvn_service(segment, "s", &options, NULL), -EINVAL);
    is(tvn_service_call(NULL, "x", 1, answer, SIZE, TVN_TRY), -EINVAL);
    is(tvn_service_call(service, "x", 1, NULL, SIZE, TVN_TRY), -EINVAL);
    is(tvn_service_start(NULL, "x", 1, TVN_TRY, &call), -EINVAL);
    is(tvn_service_start(service, "x", 1, TVN_TRY, NULL), -EINVAL);
    is(tvn_service_reserve(service, 1, TVN_TRY, NULL), -EINVAL);
    is(tvn_call_send(service, NULL, 1), -EINVAL);
    is(tvn_call_wait(service, NULL, TVN_TRY), -EINVAL);
    is(tvn_call_end(NULL, &call), -EINVAL);
    is(tvn_call_end(service, NULL), -EINVAL);
    is(tvn_service_receive(NULL, TVN_TRY, &request), -EINVAL);
    is(tvn_service_receive(service, TVN_TRY, NULL), -EINVAL);
    is(tvn_request_reply(service, NULL, "x", 1), -EINVAL);
    is(tvn_request_commit(NULL, &request, 1), -EINVAL);
    is(tvn_service_servers(NULL), -EINVAL);
    is(tvn_service_shutdown(NULL), -EINVAL);
    is(tvn_service_is_shut_down(NULL), -EINVAL);
    tvn_service_close(NULL);
    unmake();
}
