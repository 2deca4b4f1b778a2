/* Pipes and FIFOs through the C API: bytes, messages, deadlines, the end of a stream, SIGPIPE, fork. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/time.h>

static tvn_pipe_reader_t *reader;
static tvn_pipe_writer_t *writer;

static void make(void) {
    is(tvn_pipe(&reader, &writer), 0);
}

static void release(void) {
    tvn_pipe_reader_close(reader);
    tvn_pipe_writer_close(writer);
}

TEST(messages_keep_their_borders_and_a_small_buffer_loses_nothing) {
    make();
    char message[64];
    is(tvn_pipe_reader_receive(reader, message, sizeof message, TVN_TRY), -EAGAIN);
    is(tvn_pipe_writer_send(writer, "first", 5, TVN_FOREVER), 0);
    is(tvn_pipe_writer_send(writer, NULL, 0, TVN_TRY), 0);
    is(tvn_pipe_writer_send(writer, "third", 5, 1000), 0);
    is(tvn_pipe_reader_receive(reader, message, 4, TVN_TRY), -EMSGSIZE);
    told("5 bytes, the buffer 4");
    is(tvn_pipe_reader_message_size(reader, TVN_TRY), 5);
    is(tvn_pipe_reader_receive(reader, message, 5, 1000), 5);
    holds(memcmp(message, "first", 5) == 0);
    is(tvn_pipe_reader_receive(reader, NULL, 0, TVN_FOREVER), 0);
    is(tvn_pipe_reader_receive(reader, message, sizeof message, TVN_FOREVER), 5);
    holds(memcmp(message, "third", 5) == 0);
    release();
}

TEST(bytes_are_read_as_they_come_and_exactly) {
    make();
    char buffer[16];
    is(tvn_pipe_reader_read(reader, buffer, sizeof buffer, TVN_TRY), -EAGAIN);
    is(tvn_pipe_reader_read(reader, buffer, sizeof buffer, 5), -ETIMEDOUT);
    is(tvn_pipe_writer_write(writer, "abcdef", 6, TVN_FOREVER), 6);
    is(tvn_pipe_reader_len(reader), 6);
    is(tvn_pipe_reader_read(reader, buffer, 2, TVN_FOREVER), 2);
    is(tvn_pipe_reader_receive_exact(reader, buffer, 4, 1000), 0);
    holds(memcmp(buffer, "cdef", 4) == 0);
    is(tvn_pipe_writer_send_all(writer, "xy", 2, TVN_FOREVER), 0);
    is(tvn_pipe_reader_receive_exact(reader, buffer, 4, 5), -ETIMEDOUT);
    told("after 2 of them");
    release();
}

TEST(the_end_of_the_stream_is_0_bytes_and_EPIPE_for_messages) {
    make();
    is(tvn_pipe_writer_write(writer, "\0\0\0\5ab", 6, TVN_FOREVER), 6);
    tvn_pipe_writer_close(writer);
    char buffer[16];
    is(tvn_pipe_reader_receive(reader, buffer, sizeof buffer, TVN_FOREVER), -EPIPE);
    told("2 of the 5 bytes of a message");
    is(tvn_pipe_reader_read(reader, buffer, sizeof buffer, TVN_TRY), 0);
    is(tvn_pipe_reader_receive_exact(reader, buffer, 1, TVN_FOREVER), -EPIPE);
    tvn_pipe_reader_close(reader);
}

static volatile sig_atomic_t pipes_broken;

static void broken(int signal) {
    (void)signal;
    pipes_broken++;
}

TEST(a_write_without_a_reader_is_EPIPE_and_kills_nobody) {
    make(); /* SIGPIPE has its default action here: it would end this test */
    tvn_pipe_reader_close(reader);
    is(tvn_pipe_writer_write(writer, "x", 1, TVN_FOREVER), -EPIPE);
    is(tvn_pipe_writer_send(writer, "x", 1, TVN_TRY), -EPIPE);
    is(tvn_pipe_writer_write(writer, "x", 1, 1000), -EPIPE);
    signal(SIGPIPE, broken);
    is(tvn_pipe_writer_write(writer, "x", 1, TVN_FOREVER), -EPIPE);
    holds(pipes_broken == 0);
    is(tvn_pipe_writer_raise_sigpipe(writer, true), 0);
    is(tvn_pipe_writer_write(writer, "x", 1, TVN_FOREVER), -EPIPE);
    holds(pipes_broken == 1);
    tvn_pipe_writer_close(writer);
}

TEST(a_reader_that_leaves_in_the_middle_of_a_write_kills_nobody) {
    static char big[1 << 20];
    tvn_child_t *child;
    if (tvn_pipe_to_child(&reader, &writer, &child) == 0) {
        /* More than the pipe holds: the parent is in the middle of its write. */
        _exit(tvn_pipe_reader_receive_exact(reader, big, 100000, TVN_FOREVER));
    }
    signal(SIGPIPE, SIG_DFL);
    int64_t taken = tvn_pipe_writer_write(writer, big, sizeof big, TVN_FOREVER);
    holds(taken >= 100000 && taken < (int64_t)sizeof big);
    is(tvn_pipe_writer_write(writer, big, sizeof big, TVN_FOREVER), -EPIPE);
    int status;
    is(tvn_child_wait(child, &status, TVN_FOREVER), 0);
    tvn_child_close(child);
    tvn_pipe_writer_close(writer);
}

TEST(a_full_pipe_takes_nothing_and_a_long_message_goes_on_later) {
    make();
    is(tvn_pipe_writer_set_capacity(writer, 4096), 4096);
    is(tvn_pipe_reader_capacity(reader), 4096);
    is(tvn_pipe_writer_set_capacity(writer, 0), -EINVAL);
    static char big[10000], got[10000];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)i;
    is(tvn_pipe_writer_send(writer, big, sizeof big, 5), -ETIMEDOUT);
    told("do not send it again");
    holds(tvn_pipe_writer_unsent(writer) == 10004 - 4096);
    is(tvn_pipe_writer_send(writer, "next", 4, TVN_TRY), -EAGAIN);
    is(tvn_pipe_reader_receive(reader, got, sizeof got, TVN_TRY), -EAGAIN); /* takes what is there */
    is(tvn_pipe_writer_flush(writer, 5), -ETIMEDOUT);
    is(tvn_pipe_reader_receive(reader, got, sizeof got, 5), -ETIMEDOUT);
    is(tvn_pipe_writer_flush(writer, TVN_FOREVER), 0);
    is(tvn_pipe_writer_unsent(writer), 0);
    is(tvn_pipe_reader_receive(reader, got, sizeof got, TVN_FOREVER), sizeof got);
    holds(memcmp(big, got, sizeof big) == 0);
    for (int filled = 0; filled >= 0;) filled = (int)tvn_pipe_writer_write(writer, big, 4096, TVN_TRY) > 0 ? 1 : -1;
    is(tvn_pipe_writer_write(writer, "x", 1, TVN_TRY), -EAGAIN);
    is(tvn_pipe_writer_send(writer, "x", 1, TVN_TRY), -EAGAIN);
    is(tvn_pipe_writer_unsent(writer), 0);
    release();
}

static void nothing(int signal) {
    (void)signal;
}

TEST(a_rain_of_signals_neither_ends_a_wait_nor_moves_its_deadline) {
    make();
    struct sigaction action = {.sa_handler = nothing}; /* no SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    struct itimerval rain = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &rain, NULL);
    char byte;
    double begin = seconds();
    is(tvn_pipe_reader_read(reader, &byte, 1, 100), -ETIMEDOUT);
    double took = seconds() - begin;
    holds(took >= 0.1 && took < 30);
    tvn_interruptible(true);
    is(tvn_pipe_reader_read(reader, &byte, 1, TVN_FOREVER), -EINTR);
    is(tvn_pipe_reader_read(reader, &byte, 1, 10000), -EINTR);
    release();
}

TEST(a_child_gets_the_other_end) {
    tvn_child_t *child;
    char message[16];
    int pid = tvn_pipe_to_child(&reader, &writer, &child);
    if (pid == 0) {
        int64_t n = tvn_pipe_reader_receive(reader, message, sizeof message, TVN_FOREVER);
        _exit(n == 5 && tvn_pipe_reader_receive(reader, message, sizeof message, TVN_FOREVER) == -EPIPE ? 7 : 1);
    }
    holds(pid > 0);
    is(tvn_pipe_writer_send(writer, "hello", 5, TVN_FOREVER), 0);
    tvn_pipe_writer_close(writer); /* the only one: the child sees the end */
    int status;
    holds(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    tvn_child_close(child);
    pid = tvn_pipe_from_child(&reader, &writer, &child);
    if (pid == 0) _exit(tvn_pipe_writer_send(writer, "back", 4, TVN_FOREVER) ? 1 : 0);
    is(tvn_pipe_reader_receive(reader, message, sizeof message, TVN_FOREVER), 4);
    is(tvn_pipe_reader_read(reader, message, 1, TVN_FOREVER), 0);
    holds(waitpid(pid, &status, 0) == pid && status == 0);
    tvn_child_close(child);
    tvn_pipe_reader_close(reader);
}

TEST(an_end_is_a_descriptor_that_exec_closes) {
    make();
    int fd = tvn_pipe_reader_fd(reader);
    holds(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(tvn_pipe_writer_fd(writer), F_GETFD) == FD_CLOEXEC);
    holds((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    struct pollfd waits = {fd, POLLIN, 0};
    holds(poll(&waits, 1, 0) == 0);
    is(tvn_pipe_writer_send(writer, "x", 1, TVN_FOREVER), 0);
    holds(poll(&waits, 1, 0) == 1);
    tvn_pipe_reader_t *again;
    is(tvn_pipe_reader_from_fd(dup(fd), &again), 0);
    char message[4];
    is(tvn_pipe_reader_receive(again, message, sizeof message, TVN_TRY), 1);
    tvn_pipe_reader_close(again);
    is(tvn_pipe_reader_from_fd(-1, &again), -EINVAL);
    is(tvn_pipe_reader_read(reader, NULL, 3, TVN_TRY), -EINVAL);
    is(tvn_pipe_reader_read(NULL, message, 1, TVN_TRY), -EINVAL);
    is(tvn_pipe(NULL, &writer), -EINVAL);
    release();
}

static char path[100];

static void unlink_it(void) {
    unlink(path);
}

TEST(a_fifo_is_made_found_and_opened_with_a_deadline) {
    snprintf(path, sizeof path, "/tmp/%s", fresh);
    atexit(unlink_it);
    tvn_fifo_t *fifo, *other;
    is(tvn_fifo_open(path, &fifo), -ENOENT);
    is(tvn_fifo_create(path, 0600, TVN_OWNED, &fifo), 0);
    is(tvn_fifo_create(path, 0600, 0, &other), -EEXIST);
    told("owns it");
    is(tvn_fifo_create("/tmp/no/such/folder", 0600, 0, &other), -ENOENT);
    is(tvn_fifo_create(path, 0600, 77, &other), -EINVAL);
    is(tvn_fifo_open("/dev/null", &other), -TVN_EINCOMPATIBLE);
    is(tvn_fifo_unlink("/dev/null"), -TVN_EINCOMPATIBLE);
    is(tvn_fifo_open_or_create(path, 0600, 0, &other), 0);
    is(tvn_fifo_reader(fifo, TVN_TRY, &reader), -EAGAIN);
    is(tvn_fifo_writer(fifo, 10, &writer), -ETIMEDOUT);
    told("nobody reads");
    pid_t pid = fork();
    if (pid == 0) {
        if (tvn_fifo_writer(other, 10000, &writer)) _exit(1);
        int sent = tvn_pipe_writer_send(writer, "hello", 5, TVN_FOREVER);
        tvn_fifo_close(fifo); /* a child's handle removes nothing */
        _exit(sent ? 1 : access(path, F_OK) ? 2 : 0);
    }
    is(tvn_fifo_reader(fifo, 10000, &reader), 0);
    char message[8];
    is(tvn_pipe_reader_receive(reader, message, sizeof message, TVN_FOREVER), 5);
    int status;
    holds(waitpid(pid, &status, 0) == pid && status == 0);
    tvn_pipe_reader_close(reader);
    tvn_fifo_close(other);
    holds(access(path, F_OK) == 0);
    tvn_fifo_close(fifo);
    holds(access(path, F_OK) != 0);
}
