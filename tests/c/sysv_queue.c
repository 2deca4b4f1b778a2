/* System V message queues through the C API: keys, types, waits, removal, what there is to know. */
#include "check.h"
#include <sys/ipc.h>
#include <sys/msg.h>

static tvn_sysv_queue_t *queue;
static int number = -1;

static void remove_it(void) {
    msgctl(number, IPC_RMID, NULL);
}

/* A private queue for `bytes` bytes, 0 for the default; it goes at the end of the test. */
static void make(uint64_t bytes) {
    is(tvn_sysv_queue_create(IPC_PRIVATE, bytes, 0600, 0, &queue), 0);
    number = tvn_sysv_queue_id(queue);
    atexit(remove_it);
}

TEST(a_receiver_chooses_by_type) {
    make(0);
    char message[16];
    int64_t mtype;
    is(tvn_sysv_queue_send_with(queue, "five", 4, 5, TVN_FOREVER), 0);
    is(tvn_sysv_queue_send_with(queue, "two", 3, 2, TVN_TRY), 0);
    is(tvn_sysv_queue_send_with(queue, NULL, 0, INT64_MAX, 1000), 0);
    is(tvn_sysv_queue_send(queue, "one", 3, TVN_TRY), 0);
    is(tvn_sysv_queue_length(queue), 4);
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, TVN_SELECT_TYPE, 3, TVN_TRY, &mtype), -EAGAIN);
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, TVN_SELECT_UP_TO, 5, TVN_TRY, &mtype), 3);
    is(mtype, 1);
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, TVN_SELECT_EXCEPT, 5, 1000, &mtype), 3);
    is(mtype, 2);
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, TVN_SELECT_TYPE, INT64_MAX, TVN_FOREVER, NULL), 0);
    is(tvn_sysv_queue_receive(queue, message, sizeof message, TVN_FOREVER), 4);
    is(tvn_sysv_queue_receive(queue, message, sizeof message, TVN_TRY), -EAGAIN);
    is(tvn_sysv_queue_send_with(queue, "x", 1, 0, TVN_TRY), -EINVAL);
    told("numbers from 1 on");
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, TVN_SELECT_TYPE, -1, TVN_TRY, NULL), -EINVAL);
    is(tvn_sysv_queue_receive_selected(queue, message, sizeof message, 9, 1, TVN_TRY, NULL), -EINVAL);
    tvn_sysv_queue_close(queue);
}

TEST(a_key_is_created_once_opened_and_unlinked) {
    int key, theirs = ftok("/etc", 'q');
    is(tvn_sysv_key("/etc", 'q', &key), 0);
    is(key, theirs);
    is(tvn_sysv_key("/no/such/file", 1, &key), -ENOENT);
    is(tvn_sysv_key("/etc", 256, &key), -EINVAL);
    key = 0x20000000 | (getpid() & 0xFFFFFF);
    tvn_sysv_queue_t *other = NULL;
    is(tvn_sysv_queue_create(key, 0, 0600, 0, &queue), 0);
    number = tvn_sysv_queue_id(queue);
    atexit(remove_it);
    is(tvn_sysv_queue_create(key, 0, 0600, 0, &other), -EEXIST);
    is(tvn_sysv_queue_open_or_create(key, 0, 0600, TVN_OWNED, &other), 0);
    is(tvn_sysv_queue_id(other), number);
    tvn_sysv_queue_close(other); /* who found it does not own it */
    is(tvn_sysv_queue_open(key, &other), 0);
    tvn_sysv_queue_close(other);
    is(tvn_sysv_queue_open_id(number, &other), 0);
    tvn_sysv_queue_close(other);
    is(tvn_sysv_queue_unlink(key), 0);
    is(tvn_sysv_queue_unlink(key), -ENOENT);
    is(tvn_sysv_queue_open(key, &other), -ENOENT);
    is(tvn_sysv_queue_open(IPC_PRIVATE, &other), -EINVAL);
    is(tvn_sysv_queue_open_id(number, &other), -ENOENT);
    is(tvn_sysv_queue_send(queue, "x", 1, TVN_TRY), -EIDRM);
    is(tvn_sysv_queue_remove(queue), -EIDRM);
    tvn_sysv_queue_close(queue);
}

TEST(an_owned_queue_goes_with_its_handle_and_not_with_a_childs) {
    is(tvn_sysv_queue_create(IPC_PRIVATE, 0, 0600, TVN_OWNED, &queue), 0);
    number = tvn_sysv_queue_id(queue);
    pid_t child = fork();
    if (child == 0) {
        tvn_sysv_queue_close(queue);
        _exit(0);
    }
    is(exit_of(child), 0);
    tvn_sysv_queue_t *other;
    is(tvn_sysv_queue_open_id(number, &other), 0);
    tvn_sysv_queue_close(other);
    tvn_sysv_queue_close(queue);
    is(tvn_sysv_queue_open_id(number, &other), -ENOENT);
}

TEST(what_does_not_fit_is_refused_and_nothing_is_lost) {
    make(10);
    char message[16] = "";
    is(tvn_sysv_queue_send(queue, "12345678", 8, TVN_TRY), 0);
    is(tvn_sysv_queue_send(queue, "abc", 3, TVN_TRY), -EAGAIN);
    is(tvn_sysv_queue_send(queue, message, 11, TVN_FOREVER), -EMSGSIZE); /* would wait for ever */
    is(tvn_sysv_queue_receive(queue, message, 7, TVN_FOREVER), -EMSGSIZE);
    told("it stays in the queue");
    is(tvn_sysv_queue_receive(queue, message, 8, TVN_FOREVER), 8);
    holds(memcmp(message, "12345678", 8) == 0);
    is(tvn_sysv_queue_set_max_bytes(queue, 16), 0);
    is(tvn_sysv_queue_send(queue, message, 16, TVN_TRY), 0);
    is(tvn_sysv_queue_set_max_bytes(queue, 0), -EINVAL);
    int64_t most = tvn_sysv_queue_message_size(queue);
    char *large = calloc((size_t)most + 1, 1);
    is(tvn_sysv_queue_send(queue, large, (size_t)most + 1, TVN_TRY), -EMSGSIZE);
    told("/proc/sys/kernel/msgmax");
    free(large);
    tvn_sysv_queue_close(queue);
}

TEST(a_deadline_is_kept_in_a_rain_of_signals) {
    make(1);
    timer_t timer = signal_often();
    char message[16];
    double begin = seconds();
    is(tvn_sysv_queue_receive(queue, message, sizeof message, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.05 && signals > 3);
    is(tvn_sysv_queue_send(queue, "x", 1, TVN_TRY), 0);
    begin = seconds();
    is(tvn_sysv_queue_send(queue, "y", 1, 50), -ETIMEDOUT);
    holds(seconds() - begin >= 0.05);
    tvn_interruptible(true);
    is(tvn_sysv_queue_send(queue, "y", 1, TVN_FOREVER), -EINTR);
    is(tvn_sysv_queue_send(queue, "y", 1, 60000), -EINTR);
    timer_delete(timer);
    tvn_sysv_queue_close(queue);
}

TEST(removing_a_queue_ends_a_wait_with_a_deadline) {
    make(0);
    pid_t child = fork();
    if (child == 0) {
        char message[16];
        is(tvn_sysv_queue_receive(queue, message, sizeof message, 60000), -EIDRM);
        _exit(0);
    }
    usleep(2000); /* before or while it waits: both answer the same */
    is(tvn_sysv_queue_remove(queue), 0);
    is(exit_of(child), 0);
    tvn_sysv_queue_close(queue);
}

TEST(info_and_the_list_tell_what_there_is) {
    make(100);
    is(tvn_sysv_queue_send(queue, "12345", 5, TVN_TRY), 0);
    tvn_sysv_queue_info_t info;
    is(tvn_sysv_queue_info(queue, &info), 0);
    holds(info.id == number && info.key == 0 && info.mode == 0600 && info.uid == getuid());
    holds(info.messages == 1 && info.bytes == 5 && info.max_bytes == 100);
    holds(info.last_sender == (uint32_t)getpid() && info.last_receiver == 0 && info.received_at == 0);
    int64_t count = tvn_sysv_queue_list(NULL, 0);
    holds(count >= 1);
    size_t room = (size_t)count + 20; /* others may make some meanwhile */
    tvn_sysv_queue_info_t *all = calloc(room, sizeof *all);
    count = tvn_sysv_queue_list(all, room);
    int found = 0;
    for (int64_t i = 0; i < count && i < (int64_t)room; i++) found += all[i].id == number && all[i].messages == 1;
    is(found, 1);
    free(all);
    tvn_sysv_queue_close(queue);
}

TEST(null_and_flags_that_do_not_exist_are_refused) {
    char message[16];
    tvn_sysv_queue_t *none = NULL;
    is(tvn_sysv_queue_create(IPC_PRIVATE, 0, 0600, 0x8000, &none), -EINVAL);
    is(tvn_sysv_queue_create(IPC_PRIVATE, 0, 0600, 0, NULL), -EINVAL);
    is(tvn_sysv_queue_send(none, "x", 1, TVN_TRY), -EINVAL);
    is(tvn_sysv_queue_receive(none, message, sizeof message, TVN_TRY), -EINVAL);
    is(tvn_sysv_queue_id(none), -EINVAL);
    is(tvn_sysv_queue_remove(none), -EINVAL);
    is(tvn_sysv_queue_info(none, NULL), -EINVAL);
    is(tvn_sysv_key(NULL, 1, NULL), -EINVAL);
    tvn_sysv_queue_close(NULL);
    make(0);
    is(tvn_sysv_queue_send(queue, NULL, 1, TVN_TRY), -EINVAL);
    is(tvn_sysv_queue_receive(queue, NULL, 16, TVN_TRY), -EINVAL);
    tvn_sysv_queue_close(queue);
}
