/* POSIX message queues through the C API: names, sizes, priorities, waits, notification, what there is to know. */
#include "check.h"
#include <poll.h>
#include <pthread.h>

static tvn_posix_queue_t *queue;
static char name[80];

static void unlink_it(void) {
    tvn_posix_queue_unlink(name);
}

/* A queue for `capacity` messages of 16 bytes; its name goes at the end of the test. */
static void make(size_t capacity) {
    snprintf(name, sizeof name, "/%s", fresh);
    is(tvn_posix_queue_create(name, capacity, 16, 0600, 0, &queue), 0);
    atexit(unlink_it);
}

TEST(the_highest_priority_is_received_first) {
    make(4);
    is(tvn_posix_queue_send(queue, "low", 3, TVN_FOREVER), 0);
    is(tvn_posix_queue_send_with(queue, "high", 4, TVN_POSIX_QUEUE_MAX_PRIORITY, TVN_TRY), 0);
    is(tvn_posix_queue_send_with(queue, NULL, 0, 5, 1000), 0);
    is(tvn_posix_queue_length(queue), 3);
    char message[16];
    uint32_t priority;
    is(tvn_posix_queue_receive_envelope(queue, message, sizeof message, TVN_FOREVER, &priority), 4);
    holds(memcmp(message, "high", 4) == 0 && priority == TVN_POSIX_QUEUE_MAX_PRIORITY);
    is(tvn_posix_queue_receive_envelope(queue, message, sizeof message, TVN_TRY, NULL), 0);
    is(tvn_posix_queue_receive(queue, message, sizeof message, 1000), 3);
    is(tvn_posix_queue_receive(queue, message, sizeof message, TVN_TRY), -EAGAIN);
    is(tvn_posix_queue_send_with(queue, "x", 1, TVN_POSIX_QUEUE_MAX_PRIORITY + 1, TVN_TRY), -EINVAL);
    told("32767");
    tvn_posix_queue_close(queue);
}

TEST(a_name_is_created_once_opened_and_unlinked) {
    make(2);
    tvn_posix_queue_t *other = NULL;
    is(tvn_posix_queue_create(name, 2, 16, 0600, 0, &other), -EEXIST);
    is(tvn_posix_queue_open_or_create(name, 3, 16, 0600, 0, &other), -TVN_EINCOMPATIBLE);
    told("2 messages of 16 bytes");
    holds(other == NULL);
    is(tvn_posix_queue_open(name + 1, 0, &other), 0); /* the slash may be left out */
    is(tvn_posix_queue_capacity(other), 2);
    is(tvn_posix_queue_message_size(other), 16);
    is(tvn_posix_queue_send(other, "x", 1, TVN_TRY), 0);
    is(tvn_posix_queue_unlink(name), 0);
    is(tvn_posix_queue_unlink(name), -ENOENT);
    is(tvn_posix_queue_length(queue), 1);
    tvn_posix_queue_close(other);
    tvn_posix_queue_close(queue);
    is(tvn_posix_queue_open(name, 0, &queue), -ENOENT);
    is(tvn_posix_queue_open("/a/b", 0, &queue), -EINVAL);
    is(tvn_posix_queue_create(name, 1 << 20, 16, 0600, 0, &queue), -EINVAL);
    told("/proc/sys/fs/mqueue/msg_max");
}

TEST(an_owned_queue_goes_with_its_handle_and_not_with_a_childs) {
    snprintf(name, sizeof name, "/%s", fresh);
    is(tvn_posix_queue_create(name, 1, 16, 0600, TVN_OWNED, &queue), 0);
    pid_t child = fork();
    if (child == 0) {
        tvn_posix_queue_close(queue);
        _exit(0);
    }
    is(exit_of(child), 0);
    tvn_posix_queue_t *other;
    is(tvn_posix_queue_open(name, TVN_OWNED, &other), -EINVAL);
    is(tvn_posix_queue_open(name, 0, &other), 0);
    tvn_posix_queue_close(other);
    tvn_posix_queue_close(queue);
    is(tvn_posix_queue_open(name, 0, &other), -ENOENT);
}

TEST(a_handle_for_one_direction_refuses_the_other) {
    make(1);
    tvn_posix_queue_t *sender, *receiver;
    is(tvn_posix_queue_open(name, TVN_SEND_ONLY, &sender), 0);
    is(tvn_posix_queue_open(name, TVN_RECEIVE_ONLY, &receiver), 0);
    char message[16];
    is(tvn_posix_queue_receive(sender, message, sizeof message, TVN_TRY), -EBADF);
    is(tvn_posix_queue_send(receiver, "x", 1, TVN_TRY), -EBADF);
    told("for receiving only");
    is(tvn_posix_queue_send(sender, "x", 1, TVN_TRY), 0);
    is(tvn_posix_queue_receive(receiver, message, sizeof message, TVN_TRY), 1);
    tvn_posix_queue_close(sender);
    tvn_posix_queue_close(receiver);
    tvn_posix_queue_close(queue);
}

TEST(what_does_not_fit_is_refused_and_nothing_is_lost) {
    make(1);
    char message[17] = "";
    is(tvn_posix_queue_send(queue, message, 17, TVN_TRY), -EMSGSIZE);
    is(tvn_posix_queue_send(queue, "x", 1, TVN_TRY), 0);
    is(tvn_posix_queue_send(queue, "y", 1, TVN_TRY), -EAGAIN);
    is(tvn_posix_queue_receive(queue, message, 15, TVN_TRY), -EMSGSIZE);
    is(tvn_posix_queue_receive(queue, message, sizeof message, TVN_TRY), 1);
    tvn_posix_queue_close(queue);
}

TEST(a_deadline_is_kept_in_a_rain_of_signals) {
    make(1);
    timer_t timer = signal_often();
    char message[16];
    double begin = seconds();
    is(tvn_posix_queue_receive(queue, message, sizeof message, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.05 && signals > 3);
    is(tvn_posix_queue_send(queue, "x", 1, TVN_TRY), 0);
    begin = seconds();
    is(tvn_posix_queue_send(queue, "y", 1, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.05);
    tvn_interruptible(true);
    is(tvn_posix_queue_send(queue, "y", 1, TVN_FOREVER), -EINTR);
    is(tvn_posix_queue_send(queue, "y", 1, 60000), -EINTR);
    timer_delete(timer);
    tvn_posix_queue_close(queue);
}

static void *sends_three(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) is(tvn_posix_queue_send(queue, "abc", 3, TVN_FOREVER), 0);
    return NULL;
}

TEST(the_descriptor_can_be_polled_for_messages_and_for_room) {
    make(1);
    struct pollfd polled = {tvn_posix_queue_fd(queue), POLLIN | POLLOUT, 0};
    is(poll(&polled, 1, 0), 1);
    is(polled.revents, POLLOUT);
    pthread_t sender;
    is(pthread_create(&sender, NULL, sends_three, NULL), 0);
    polled.events = POLLIN;
    char message[16];
    for (int i = 0; i < 3; i++) {
        is(poll(&polled, 1, -1), 1);
        is(tvn_posix_queue_receive(queue, message, sizeof message, TVN_TRY), 3);
    }
    pthread_join(sender, NULL);
    tvn_posix_queue_close(queue);
}

TEST(a_signal_with_a_value_tells_of_a_message_once) {
    make(2);
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    is(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    is(tvn_posix_queue_notify(queue, SIGRTMIN, -7), 0);
    is(tvn_posix_queue_notify(queue, SIGRTMIN, 0), -EBUSY);
    tvn_posix_queue_info_t known;
    is(tvn_posix_queue_info(queue, &known), 0);
    is(known.notifies, getpid());
    is(tvn_posix_queue_send(queue, "x", 1, TVN_TRY), 0);
    is(sigwaitinfo(&set, &info), SIGRTMIN);
    is(info.si_code, SI_MESGQ);
    is(info.si_value.sival_int, -7);
    is(tvn_posix_queue_notify(queue, 1000, 0), -EINVAL);
    is(tvn_posix_queue_notify(queue, SIGRTMIN, 0), 0);
    is(tvn_posix_queue_cancel_notify(queue), 0);
    is(tvn_posix_queue_cancel_notify(queue), 0);
    tvn_posix_queue_close(queue);
}

TEST(info_and_the_list_tell_what_there_is) {
    make(3);
    is(tvn_posix_queue_send(queue, "12345", 5, TVN_TRY), 0);
    tvn_posix_queue_info_t info;
    is(tvn_posix_queue_info(queue, &info), 0);
    holds(strcmp(info.name, name) == 0);
    holds(info.mode == 0600 && info.uid == getuid() && info.notifies == 0);
    holds(info.messages == 1 && info.capacity == 3 && info.message_size == 16 && info.bytes == 5);
    int64_t count = tvn_posix_queue_list(NULL, 0);
    if (count == -ENOSYS)
        told("mount -t mqueue");
    else
        holds(count >= 1);
    tvn_posix_queue_close(queue);
}

TEST(a_descriptor_becomes_a_queue_and_another_one_does_not) {
    make(1);
    tvn_posix_queue_t *same;
    is(tvn_posix_queue_from_fd(dup(tvn_posix_queue_fd(queue)), &same), 0);
    is(tvn_posix_queue_send(same, "x", 1, TVN_TRY), 0);
    is(tvn_posix_queue_length(queue), 1);
    tvn_posix_queue_close(same);
    is(tvn_posix_queue_from_fd(dup(1), &same), -TVN_EINCOMPATIBLE);
    is(tvn_posix_queue_from_fd(-1, &same), -EINVAL);
    tvn_posix_queue_close(queue);
}

TEST(null_and_flags_that_do_not_exist_are_refused) {
    char message[16];
    tvn_posix_queue_t *none = NULL;
    is(tvn_posix_queue_create(NULL, 1, 1, 0600, 0, &none), -EINVAL);
    is(tvn_posix_queue_create("/x", 1, 1, 0600, 0, NULL), -EINVAL);
    is(tvn_posix_queue_create("/x", 1, 1, 0600, 0x8000, &none), -EINVAL);
    is(tvn_posix_queue_send(none, "x", 1, TVN_TRY), -EINVAL);
    is(tvn_posix_queue_receive(none, message, sizeof message, TVN_TRY), -EINVAL);
    is(tvn_posix_queue_fd(none), -EINVAL);
    is(tvn_posix_queue_length(none), -EINVAL);
    is(tvn_posix_queue_info(none, NULL), -EINVAL);
    is(tvn_posix_queue_unlink(NULL), -EINVAL);
    tvn_posix_queue_close(NULL);
    make(1);
    is(tvn_posix_queue_send(queue, NULL, 1, TVN_TRY), -EINVAL);
    is(tvn_posix_queue_receive(queue, NULL, 16, TVN_TRY), -EINVAL);
    tvn_posix_queue_close(queue);
}
