/*
 * triveni: Rust, C and Python processes on one segment of memory and the same named objects in it.
 * Made by cbindgen from ffi-c/src; never edited.   cc prog.c $(pkg-config --cflags --libs triveni)
 *
 * RETURN VALUES  0, a count or a size is success; a negative number is a failure: -EAGAIN and so on from
 * <errno.h>, our own from -1000 down. tvn_strerror() has a sentence for each number, tvn_last_error()
 * the whole story of this thread's last failure. errno says nothing about these calls. Outputs are written
 * on success only.
 *
 * WORDS  A function that *lends* lets go of the pointer when it returns. One that *gives* makes the caller
 * the owner of what it stored. One that *takes* ends the handle: nobody may use it afterwards; NULL is fine.
 *
 * WAITING  timeout_ms is that of poll(2): TVN_FOREVER (any negative number), TVN_TRY (0: answers -EAGAIN
 * instead of waiting), or milliseconds, after which the answer is -ETIMEDOUT. A signal does not end a wait
 * and does not move its deadline, unless this thread has said tvn_interruptible(1).
 *
 * DEATH  A wait never outlives the process that should have ended it: what a dead process held is put
 * right by whoever waits for it. Each function says what that means for it. A thread that ends while it
 * holds a lock or a leased permit leaves it as a death would; so does a process that calls exec. A process
 * that is stopped (SIGSTOP) is alive: nothing is taken from it.
 *
 * THREADS AND FORK  Segments, semaphores, mutexes, monitors and their conditions, readers-writer locks,
 * barriers, event flags, mailboxes, rings, topics, services, arrays and cells may be used by many threads at
 * once, and go on working in a forked child, which becomes a participant of its own at its first call (-ENOSPC
 * if the segment's table of participants is full, -EIDRM if the object is gone by then). What the parent
 * holds, a lock, a leased permit, a loan, a call or a request, stays the parent's: the child that tries to
 * give it back gets -EPERM. Producers, consumers, publishers, subscribers and wait sets serve one thread at a
 * time; they, rights to ports and names of processes stay with the process that made them: in the child they
 * answer -TVN_EFORKED. A watcher's thread does not exist in the child. No function here may be
 * called from a signal handler, nor left by siglongjmp (a place in a queue would stay taken), nor called by a
 * thread that can be cancelled: pthread_setcancelstate; a cancellation inside ends the program.
 * Descriptors that the program did not open are not the program's to close.
 *
 * REMOVED  An object whose name was removed goes on for those who have it open, as long as nobody has to wait:
 * a function that may wait answers -EIDRM only if it would have to, and so does one that takes a role (producer,
 * consumer, publisher, subscriber).
 *
 * EVERYWHERE  -EINVAL: a pointer that must not be NULL is. -TVN_ECORRUPT: some process wrote garbage into
 * the segment. -TVN_EPANIC: a bug in triveni, stopped at this boundary. These three are not repeated below.
 */

#ifndef TRIVENI_H
#define TRIVENI_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <errno.h>
#include <sys/uio.h>

/**
 * All defaults: `tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;`
 */
#define TVN_SEGMENT_OPTIONS {sizeof(tvn_segment_options_t), 0, 0, 0, 0, 0}

/**
 * All defaults: `tvn_ring_options_t options = TVN_RING_OPTIONS;`
 */
#define TVN_RING_OPTIONS {sizeof(tvn_ring_options_t), 0, 0, 0, 0, NULL}

/**
 * All defaults: `tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;`
 */
#define TVN_MAILBOX_OPTIONS {sizeof(tvn_mailbox_options_t), 0, 0, 0, 0, 0, NULL}

/**
 * All defaults: `tvn_topic_options_t options = TVN_TOPIC_OPTIONS;`
 */
#define TVN_TOPIC_OPTIONS {sizeof(tvn_topic_options_t), 0, 0, 0, 0, 0, NULL}

/**
 * All defaults: `tvn_service_options_t options = TVN_SERVICE_OPTIONS;`
 */
#define TVN_SERVICE_OPTIONS {sizeof(tvn_service_options_t), 0, 0, 0, 0, NULL}

/**
 * All defaults: `tvn_spawn_options_t options = TVN_SPAWN_OPTIONS;`
 */
#define TVN_SPAWN_OPTIONS {sizeof(tvn_spawn_options_t), NULL, NULL, NULL, 0, NULL, 0, 0, 0}

/**
 * All defaults: `tvn_daemon_options_t options = TVN_DAEMON_OPTIONS;`
 */
#define TVN_DAEMON_OPTIONS {sizeof(tvn_daemon_options_t), NULL, NULL, NULL, 0}

/**
 * The type tag of a struct, made from the layout that it really has:
 * `struct reading { int32_t sensor_id; float temperature; double time; };`
 * `tvn_cell(segment, "latest", sizeof(struct reading), TVN_TYPE(struct reading, sensor_id, temperature, time), 0, &cell);`
 * Up to 32 members: numbers, bool, char, and arrays of them. Those of a struct inside by their paths: `position.x`.
 * A member that is not named is padding to the others; an array of arrays is listed by hand, as in TVN_FIELD() below.
 * The text stays good as long as the process.
 */
#define TVN_TYPE(S, ...) TVN_TYPE_OF_(S, TVN_FIELDS_(S, __VA_ARGS__))

/**
 * One member, for who lists them: `tvn_field_t fields[] = {TVN_FIELD(S, a), TVN_FIELD(S, b), {NULL, NULL, 0, 0}};`
 * And then tvn_type_tag(sizeof(S), fields). An array of arrays of float: `{"cells", "f", offsetof(S, cells), 6 * sizeof(float)}`.
 */
#define TVN_FIELD(S, member) {#member, TVN_LETTER_(S, member), offsetof(S, member), sizeof(((S *)0)->member)}

#ifdef __cplusplus
template <class T> struct tvn_letter_;
template <class T> struct tvn_letter_<T &> : tvn_letter_<T> {};
template <class T> struct tvn_letter_<T *> { static constexpr const char *is = "P"; };
template <class T, size_t N> struct tvn_letter_<T[N]> : tvn_letter_<T> {};
template <> struct tvn_letter_<bool> { static constexpr const char *is = "?"; };
template <> struct tvn_letter_<char> { static constexpr const char *is = "c"; };
template <> struct tvn_letter_<signed char> { static constexpr const char *is = "b"; };
template <> struct tvn_letter_<unsigned char> { static constexpr const char *is = "B"; };
template <> struct tvn_letter_<short> { static constexpr const char *is = "h"; };
template <> struct tvn_letter_<unsigned short> { static constexpr const char *is = "H"; };
template <> struct tvn_letter_<int> { static constexpr const char *is = "i"; };
template <> struct tvn_letter_<unsigned> { static constexpr const char *is = "I"; };
template <> struct tvn_letter_<long> { static constexpr const char *is = "q"; };
template <> struct tvn_letter_<unsigned long> { static constexpr const char *is = "Q"; };
template <> struct tvn_letter_<long long> { static constexpr const char *is = "q"; };
template <> struct tvn_letter_<unsigned long long> { static constexpr const char *is = "Q"; };
template <> struct tvn_letter_<float> { static constexpr const char *is = "f"; };
template <> struct tvn_letter_<double> { static constexpr const char *is = "d"; };
template <> struct tvn_letter_<long double> { static constexpr const char *is = "g"; };
#define TVN_LETTER_(S, member) tvn_letter_<decltype(((S *)0)->member)>::is
#define TVN_TYPE_OF_(S, ...) \
    ([] { static const tvn_field_t fields[] = {__VA_ARGS__, {NULL, NULL, 0, 0}}; \
          return tvn_type_tag(sizeof(S), fields); }())
#else
/* An array becomes a pointer where its value is asked for; a pointer is one also where its address is asked for. */
#define TVN_ITEM_(S, member, T, letter) T *: _Generic(&((S *)0)->member, T **: "P", default: letter)
#define TVN_LETTER_(S, member) \
    _Generic(((S *)0)->member, \
             bool: "?", char: "c", signed char: "b", unsigned char: "B", short: "h", unsigned short: "H", \
             int: "i", unsigned: "I", long: "q", unsigned long: "Q", long long: "q", unsigned long long: "Q", \
             float: "f", double: "d", long double: "g", float _Complex: "Zf", double _Complex: "Zd", \
             TVN_ITEM_(S, member, bool, "?"), TVN_ITEM_(S, member, char, "c"), \
             TVN_ITEM_(S, member, signed char, "b"), TVN_ITEM_(S, member, unsigned char, "B"), \
             TVN_ITEM_(S, member, short, "h"), TVN_ITEM_(S, member, unsigned short, "H"), \
             TVN_ITEM_(S, member, int, "i"), TVN_ITEM_(S, member, unsigned, "I"), \
             TVN_ITEM_(S, member, long, "q"), TVN_ITEM_(S, member, unsigned long, "Q"), \
             TVN_ITEM_(S, member, long long, "q"), TVN_ITEM_(S, member, unsigned long long, "Q"), \
             TVN_ITEM_(S, member, float, "f"), TVN_ITEM_(S, member, double, "d"), \
             TVN_ITEM_(S, member, long double, "g"), TVN_ITEM_(S, member, float _Complex, "Zf"), \
             TVN_ITEM_(S, member, double _Complex, "Zd"), void *: "P")
#define TVN_TYPE_OF_(S, ...) tvn_type_tag(sizeof(S), (const tvn_field_t[]){__VA_ARGS__, {NULL, NULL, 0, 0}})
#endif

#define TVN_FIELDS_1_(S, a) TVN_FIELD(S, a)
#define TVN_FIELDS_2_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_1_(S, __VA_ARGS__)
#define TVN_FIELDS_3_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_2_(S, __VA_ARGS__)
#define TVN_FIELDS_4_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_3_(S, __VA_ARGS__)
#define TVN_FIELDS_5_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_4_(S, __VA_ARGS__)
#define TVN_FIELDS_6_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_5_(S, __VA_ARGS__)
#define TVN_FIELDS_7_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_6_(S, __VA_ARGS__)
#define TVN_FIELDS_8_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_7_(S, __VA_ARGS__)
#define TVN_FIELDS_9_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_8_(S, __VA_ARGS__)
#define TVN_FIELDS_10_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_9_(S, __VA_ARGS__)
#define TVN_FIELDS_11_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_10_(S, __VA_ARGS__)
#define TVN_FIELDS_12_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_11_(S, __VA_ARGS__)
#define TVN_FIELDS_13_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_12_(S, __VA_ARGS__)
#define TVN_FIELDS_14_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_13_(S, __VA_ARGS__)
#define TVN_FIELDS_15_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_14_(S, __VA_ARGS__)
#define TVN_FIELDS_16_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_15_(S, __VA_ARGS__)
#define TVN_FIELDS_17_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_16_(S, __VA_ARGS__)
#define TVN_FIELDS_18_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_17_(S, __VA_ARGS__)
#define TVN_FIELDS_19_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_18_(S, __VA_ARGS__)
#define TVN_FIELDS_20_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_19_(S, __VA_ARGS__)
#define TVN_FIELDS_21_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_20_(S, __VA_ARGS__)
#define TVN_FIELDS_22_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_21_(S, __VA_ARGS__)
#define TVN_FIELDS_23_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_22_(S, __VA_ARGS__)
#define TVN_FIELDS_24_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_23_(S, __VA_ARGS__)
#define TVN_FIELDS_25_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_24_(S, __VA_ARGS__)
#define TVN_FIELDS_26_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_25_(S, __VA_ARGS__)
#define TVN_FIELDS_27_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_26_(S, __VA_ARGS__)
#define TVN_FIELDS_28_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_27_(S, __VA_ARGS__)
#define TVN_FIELDS_29_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_28_(S, __VA_ARGS__)
#define TVN_FIELDS_30_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_29_(S, __VA_ARGS__)
#define TVN_FIELDS_31_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_30_(S, __VA_ARGS__)
#define TVN_FIELDS_32_(S, a, ...) TVN_FIELD(S, a), TVN_FIELDS_31_(S, __VA_ARGS__)
#define TVN_FIELDS_PICK_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, pick, ...) pick
#define TVN_FIELDS_(S, ...) TVN_FIELDS_PICK_(__VA_ARGS__, TVN_FIELDS_32_, TVN_FIELDS_31_, \
    TVN_FIELDS_30_, TVN_FIELDS_29_, TVN_FIELDS_28_, TVN_FIELDS_27_, TVN_FIELDS_26_, TVN_FIELDS_25_, \
    TVN_FIELDS_24_, TVN_FIELDS_23_, TVN_FIELDS_22_, TVN_FIELDS_21_, TVN_FIELDS_20_, TVN_FIELDS_19_, \
    TVN_FIELDS_18_, TVN_FIELDS_17_, TVN_FIELDS_16_, TVN_FIELDS_15_, TVN_FIELDS_14_, TVN_FIELDS_13_, \
    TVN_FIELDS_12_, TVN_FIELDS_11_, TVN_FIELDS_10_, TVN_FIELDS_9_, TVN_FIELDS_8_, TVN_FIELDS_7_, \
    TVN_FIELDS_6_, TVN_FIELDS_5_, TVN_FIELDS_4_, TVN_FIELDS_3_, TVN_FIELDS_2_, TVN_FIELDS_1_, 0)(S, \
    __VA_ARGS__)

/**
 * The most dimensions of an array.
 */
#define TVN_DIMENSIONS_MAX 8

/**
 * The most parties a barrier waits for.
 */
#define TVN_BARRIER_MAX 65535

/**
 * For `timeout_ms`: waits for ever.
 */
#define TVN_FOREVER -1

/**
 * For `timeout_ms`: does not wait; the answer is -EAGAIN where it would have to.
 */
#define TVN_TRY 0

/**
 * The most processes, and the most classes of resources, of a tvn_deadlock_state_t.
 */
#define TVN_DEADLOCK_MAX 1024

/**
 * The handle was made before fork and belongs to the parent; take it anew.
 */
#define TVN_EFORKED 1000

/**
 * What was read from the segment cannot be: some process wrote garbage into it.
 */
#define TVN_ECORRUPT 1001

/**
 * Another kind of object, another geometry, or a segment of another version.
 */
#define TVN_EINCOMPATIBLE 1002

/**
 * A bug in triveni: a panic was caught.
 */
#define TVN_EPANIC 1003

/**
 * A process that takes part in the barrier died, or somebody reset it.
 */
#define TVN_EBROKEN 1004

/**
 * The writer was faster than this reader: messages were overwritten before they were read.
 */
#define TVN_ELOST 1005

/**
 * This reader kept a writer waiting too long and was put out.
 */
#define TVN_EEVICTED 1006

/**
 * The server of a call said that it could not answer, or let go of the request without an answer.
 */
#define TVN_EFAILED 1007

/**
 * For `flags`: whoever creates it owns it. It is removed when its handle is closed; if its owner is killed first,
 * `triveni ls` shows what is left and `triveni rm --leftovers` removes it.
 */
#define TVN_OWNED 1

/**
 * For `flags` of tvn_lock_file_lock(): a file that a dead process left is taken over instead of -ECONNRESET.
 */
#define TVN_TAKE_OVER 2

/**
 * Writes of up to so many bytes to a pipe or FIFO are one piece, whoever else writes: PIPE_BUF. A message of
 * tvn_pipe_writer_send() may have 4 bytes less.
 */
#define TVN_PIPE_ATOMIC 4096

/**
 * For `flags`: the queue is opened to send only, which is enough where its mode admits no more.
 */
#define TVN_SEND_ONLY 16

/**
 * For `flags`: the queue is opened to receive only.
 */
#define TVN_RECEIVE_ONLY 32

/**
 * The highest priority of a message in a POSIX queue.
 */
#define TVN_POSIX_QUEUE_MAX_PRIORITY 32767

/**
 * For `flags` of shared memory: attaches it to be read only; a write there is a segmentation fault.
 */
#define TVN_READ_ONLY 2

/**
 * To or from /dev/null.
 */
#define TVN_REDIRECT_NULL 0

/**
 * From the file `path`.
 */
#define TVN_REDIRECT_READ 1

/**
 * To the file `path`, made if it is missing and emptied if it is there.
 */
#define TVN_REDIRECT_WRITE 2

/**
 * To the end of the file `path`, made if it is missing.
 */
#define TVN_REDIRECT_APPEND 3

/**
 * To the caller's descriptor `from`, which stays the caller's.
 */
#define TVN_REDIRECT_FD 4

/**
 * Where the program's own descriptor `from` leads by then: `2>&1` is {2, TVN_REDIRECT_SAME, 1, NULL, 0}.
 */
#define TVN_REDIRECT_SAME 5

/**
 * Nowhere: the program does not have it.
 */
#define TVN_REDIRECT_CLOSED 6

/**
 * From the `size` bytes at `path`.
 */
#define TVN_REDIRECT_BYTES 7

/**
 * For `flags` of a program: a session and a process group of its own, without a terminal.
 */
#define TVN_SPAWN_NEW_SESSION 1

/**
 * For `flags` of a program: closing its handle kills it (SIGKILL).
 */
#define TVN_SPAWN_KILL_ON_CLOSE 2

/**
 * For `flags` of a program: it has no variables but those in `environment`.
 */
#define TVN_SPAWN_CLEAR_ENVIRONMENT 4

/**
 * Room for any address as text, its NUL included.
 */
#define TVN_SOCKET_ADDRESS_TEXT_MAX 438

/**
 * The most descriptors that go with one message.
 */
#define TVN_DESCRIPTORS_MAX 253

/**
 * For `flags` of a bind: a socket file that a dead server left is replaced. A live one never is.
 */
#define TVN_REPLACE_STALE 2

/**
 * For `flags` of System V semaphores: what a process did is undone when it ends, also when it is killed.
 */
#define TVN_UNDO 4

/**
 * Messages are received first in, first out.
 */
#define TVN_FIFO 0

/**
 * Messages are received by priority, the highest first and among equals the oldest; receivers may select by type.
 */
#define TVN_PRIORITY 1

/**
 * The highest priority of a message.
 */
#define TVN_MAX_PRIORITY 32767

/**
 * Select the first message in order. As `msgtyp` 0 of msgrcv(2).
 */
#define TVN_SELECT_ANY 0

/**
 * Select the first message of type `mtype`. As `msgtyp` > 0 of msgrcv(2).
 */
#define TVN_SELECT_TYPE 1

/**
 * Select the first message of the lowest type from 1 to `mtype`. As `msgtyp` < 0 of msgrcv(2).
 */
#define TVN_SELECT_UP_TO 2

/**
 * Select the first message of any type but `mtype`. As MSG_EXCEPT of msgrcv(2).
 */
#define TVN_SELECT_EXCEPT 3

/**
 * The most conditions a monitor has.
 */
#define TVN_CONDITIONS_MAX 7

/**
 * The longest name of a condition, in bytes of UTF-8.
 */
#define TVN_CONDITION_NAME_MAX 40

/**
 * If everybody who took part in a segment is dead: put right what they left, keep committed data.
 */
#define TVN_STALE_RECOVER 0

/**
 * If everybody who took part in a segment is dead: remove it. tvn_segment_open_or_create_with() then makes a new
 * one, tvn_segment_open_with() reports -ENOENT.
 */
#define TVN_STALE_RECREATE 1

/**
 * If everybody who took part in a segment is dead: refuse with -ECONNRESET.
 */
#define TVN_STALE_FAIL 2

/**
 * What a handle is a right to: see tvn_port_right().
 */
#define TVN_RIGHT_RECEIVE 1

/**
 * A right to send.
 */
#define TVN_RIGHT_SEND 2

/**
 * A right to send once.
 */
#define TVN_RIGHT_SEND_ONCE 3

/**
 * A port tells that nobody has a right to send to another one any more.
 */
#define TVN_PORT_NO_SENDERS 1

/**
 * A port tells that nobody has the right to receive from another one any more.
 */
#define TVN_PORT_DEAD_NAME 2

/**
 * A port tells that a pending message was taken from another one.
 */
#define TVN_PORT_ACCEPTED 3

/**
 * The most rights a message carries.
 */
#define TVN_PORT_RIGHTS 4

/**
 * Policy of a readers-writer lock: a reader enters whenever no writer is inside. Writers may starve.
 */
#define TVN_READERS_FIRST 1

/**
 * Policy of a readers-writer lock: no reader enters once a writer waits. Readers may starve.
 */
#define TVN_WRITERS_FIRST 2

/**
 * Policy of a readers-writer lock: phase-fair: the readers that a writer kept out all enter before the next
 * writer, so neither side starves. Which writer comes next is as with a mutex.
 */
#define TVN_FAIR 3

/**
 * The size a segment has where you have none in mind. Only what objects use is ever committed.
 */
#define TVN_DEFAULT_SIZE 67108864

/**
 * The longest name of a segment or object, in bytes of UTF-8.
 */
#define TVN_NAME_MAX 63

/**
 * `char` array for any name: TVN_NAME_MAX and a NUL.
 */
#define TVN_NAME_ROOM 64

/**
 * Kind of an object that cannot be read: garbage.
 */
#define TVN_KIND_UNREADABLE 0

/**
 * Kind of a semaphore.
 */
#define TVN_KIND_SEMAPHORE 1

/**
 * Kind of a mutex.
 */
#define TVN_KIND_MUTEX 2

/**
 * Kind of a monitor.
 */
#define TVN_KIND_MONITOR 3

/**
 * Kind of a readers-writer lock.
 */
#define TVN_KIND_RWLOCK 4

/**
 * Kind of a barrier.
 */
#define TVN_KIND_BARRIER 5

/**
 * Kind of event flags.
 */
#define TVN_KIND_EVENT 6

/**
 * Kind of a ring.
 */
#define TVN_KIND_RING 7

/**
 * Kind of a mailbox.
 */
#define TVN_KIND_MAILBOX 8

/**
 * Kind of a topic.
 */
#define TVN_KIND_TOPIC 9

/**
 * Kind of object: a service.
 */
#define TVN_KIND_SERVICE 10

/**
 * Kind of a port.
 */
#define TVN_KIND_PORT 13

/**
 * Kind of an array.
 */
#define TVN_KIND_ARRAY 11

/**
 * Kind of a cell.
 */
#define TVN_KIND_CELL 12

/**
 * The most permits a semaphore holds.
 */
#define TVN_SEMAPHORE_MAX 2147483647

/**
 * The most permits a leased semaphore has.
 */
#define TVN_SEMAPHORE_LEASED_MAX 4096

/**
 * Policy of a topic: the publisher waits for the slowest subscriber.
 */
#define TVN_BLOCK 0

/**
 * Policy of a topic: the publisher overwrites the oldest message; who had not read it is told how many it missed.
 */
#define TVN_DROP_OLDEST 1

/**
 * Policy of a topic: the publisher drops its own message, and says so; subscribers are told how many were dropped.
 */
#define TVN_DROP_NEWEST 2

/**
 * A new subscriber begins with the first message that is published from now on.
 */
#define TVN_LATEST 0

/**
 * A new subscriber begins with the oldest message that is still there.
 */
#define TVN_OLDEST 1

/**
 * The version of this header: major.
 */
#define TVN_VERSION_MAJOR 0

/**
 * The version of this header: minor.
 */
#define TVN_VERSION_MINOR 1

/**
 * The version of this header: patch.
 */
#define TVN_VERSION_PATCH 0

/**
 * The most objects in one wait set. Descriptors, signals and timers do not count.
 */
#define TVN_WAIT_SET_MAX 127

/**
 * Ready for what: a message can be taken, a descriptor can be read.
 */
#define TVN_RECEIVE 1

/**
 * Ready for what: there is room for a message, a descriptor can be written.
 */
#define TVN_SEND 2

/**
 * Ready for what, of a mailbox of capacity 0: there is a place for tvn_mailbox_try_offer(), whether or not a receiver waits.
 * Of any other mailbox the same as TVN_SEND.
 */
#define TVN_ROOM 3

/**
 * What a thread sleeps for: permits of a semaphore.
 */
#define TVN_WAIT_PERMIT 1

/**
 * What a thread sleeps for: to lock a mutex or enter a monitor.
 */
#define TVN_WAIT_LOCK 2

/**
 * What a thread sleeps for: to lock for reading.
 */
#define TVN_WAIT_READ 3

/**
 * What a thread sleeps for: to lock for writing.
 */
#define TVN_WAIT_WRITE 4

/**
 * What a thread sleeps for: a condition of a monitor.
 */
#define TVN_WAIT_CONDITION 5

/**
 * What a thread sleeps for: the others at a barrier.
 */
#define TVN_WAIT_BARRIER 6

/**
 * What a thread sleeps for: event flags.
 */
#define TVN_WAIT_FLAGS 7

/**
 * What a thread sleeps for: room in a mailbox or ring.
 */
#define TVN_WAIT_SEND 8

/**
 * What a thread sleeps for: a message or record.
 */
#define TVN_WAIT_RECEIVE 9

/**
 * What a thread sleeps for: any of several objects, in a wait set.
 */
#define TVN_WAIT_ANY 10

/**
 * What a thread sleeps for: the answer of a service.
 */
#define TVN_WAIT_CALL 11

/**
 * How many of those who are in the way of one waiter a tvn_wait_t names.
 */
#define TVN_BLOCKERS_ROOM 8

/**
 * `char` array for the sentence about a wait.
 */
#define TVN_WAIT_ROOM 256

/**
 * What a watcher saw: a process takes part; those that did already when the watcher started are told first.
 */
#define TVN_WATCH_JOINED 1

/**
 * What a watcher saw: a process has left in order.
 */
#define TVN_WATCH_LEFT 2

/**
 * What a watcher saw: a process has ended without leaving, and what it left has been put right.
 */
#define TVN_WATCH_DIED 3

/**
 * How many of the objects that a dead process held a tvn_watch_event_t names.
 */
#define TVN_HELD_ROOM 8

/**
 * An array, n-dimensional memory of one type: a handle on one that lies in a segment.
 */
typedef struct tvn_array_t tvn_array_t;

/**
 * A cyclic barrier, where nobody goes on until all parties have arrived: a handle on one that lies in a segment.
 */
typedef struct tvn_barrier_t tvn_barrier_t;

/**
 * A cell, the latest value of a struct for any number of writers and readers: a handle on one that lies in a segment.
 */
typedef struct tvn_cell_t tvn_cell_t;

/**
 * SIGCHLD as an event that names the children which ended. One thread at a time.
 */
typedef struct tvn_child_ends_t tvn_child_ends_t;

/**
 * A child process, by a descriptor that names this very process and no later one with its number.
 */
typedef struct tvn_child_t tvn_child_t;

/**
 * A condition of a monitor, for those inside to wait for: a handle.
 */
typedef struct tvn_condition_t tvn_condition_t;

/**
 * The reading end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_consumer_t tvn_consumer_t;

/**
 * The daemon as itself sees it.
 */
typedef struct tvn_daemon_t tvn_daemon_t;

/**
 * A socket for datagrams: UDP, or Unix. Any number of threads and forked processes may send and receive: each datagram
 * goes to one of them, whole. Over UDP datagrams may be lost, come twice or out of order; over Unix not: a full
 * receiver stops the sender.
 */
typedef struct tvn_datagram_t tvn_datagram_t;

/**
 * 32 event flags, to be waited for alone or together: a handle on those that lie in a segment.
 */
typedef struct tvn_event_t tvn_event_t;

/**
 * The processes of a chain or a fan.
 */
typedef struct tvn_family_t tvn_family_t;

/**
 * A FIFO: its name in the file system.
 */
typedef struct tvn_fifo_t tvn_fifo_t;

/**
 * A file that can be locked as a whole (flock): one holder, however many threads use the handle. The lock belongs to the
 * open file description: a forked child has it too, until both have closed the handle or one of them has unlocked. Who
 * opens the file anew is somebody else, in the same process also.
 */
typedef struct tvn_file_lock_t tvn_file_lock_t;

/**
 * Callbacks for signals, which run when the program dispatches them. One thread at a time.
 */
typedef struct tvn_handlers_t tvn_handlers_t;

/**
 * Listens for streams: TCP, or Unix. A server's life is the textbook's: socket, bind and listen (one call,
 * tvn_listener_bind()), tvn_listener_accept() for each client, close.
 */
typedef struct tvn_listener_t tvn_listener_t;

/**
 * A lock that stands as a file: who makes the file has the lock, who removes it lets go.
 */
typedef struct tvn_lock_file_t tvn_lock_file_t;

/**
 * A mailbox, a queue of messages for any number of senders and receivers: a handle on one that lies in a segment.
 */
typedef struct tvn_mailbox_t tvn_mailbox_t;

/**
 * Signals that are blocked in one thread.
 */
typedef struct tvn_mask_t tvn_mask_t;

/**
 * A monitor, with Mesa semantics: of all threads of all processes one at a time is inside. A handle on one that
 * lies in a segment.
 */
typedef struct tvn_monitor_t tvn_monitor_t;

/**
 * A robust mutex: a handle on one that lies in a segment.
 */
typedef struct tvn_mutex_t tvn_mutex_t;

/**
 * A message that lies at a rendezvous, a mailbox of capacity 0, until a receiver has it: for whoever cannot block, but
 * waits in a wait set.
 *
 * If the process that made it dies, the message stays, and is received. If a receiver dies before it has the whole
 * message, the next one gets it.
 */
typedef struct tvn_offer_t tvn_offer_t;

/**
 * The end of a pipe or FIFO that is read from. One thread at a time for messages. What was begun of a message
 * at a fork is the parent's, and not in the child.
 */
typedef struct tvn_pipe_reader_t tvn_pipe_reader_t;

/**
 * The end of a pipe or FIFO that is written to. One thread at a time for messages. What was begun of a message
 * at a fork is the parent's, and not in the child.
 */
typedef struct tvn_pipe_writer_t tvn_pipe_writer_t;

/**
 * A pipeline that runs, and what it left. One thread at a time.
 */
typedef struct tvn_pipeline_t tvn_pipeline_t;

/**
 * A set of ports, to receive from any of them.
 */
typedef struct tvn_port_set_t tvn_port_set_t;

/**
 * A right to a port: to receive from it, to send to it, or to send to it once. The port lies in a segment.
 */
typedef struct tvn_port_t tvn_port_t;

/**
 * A POSIX message queue that is open. Any number of threads may use one handle.
 */
typedef struct tvn_posix_queue_t tvn_posix_queue_t;

/**
 * A POSIX semaphore, named or in memory that processes share. Any number of threads may use one handle.
 */
typedef struct tvn_posix_semaphore_t tvn_posix_semaphore_t;

/**
 * POSIX shared memory, attached. Any number of threads may use one handle.
 */
typedef struct tvn_posix_shared_memory_t tvn_posix_shared_memory_t;

/**
 * This process under a name: for messages to and from processes by name.
 */
typedef struct tvn_process_t tvn_process_t;

/**
 * The writing end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_producer_t tvn_producer_t;

/**
 * The writing end of a topic. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_publisher_t tvn_publisher_t;

/**
 * A file of which ranges of bytes can be locked (F_OFD_SETLK): one holder, however many threads use the handle. The locks
 * belong to the open file description: a forked child has them too. They exclude those of lockf() and F_SETLK as well.
 */
typedef struct tvn_range_lock_t tvn_range_lock_t;

/**
 * A ring, records of any size from one producer to one consumer: a handle on one that lies in a segment.
 */
typedef struct tvn_ring_t tvn_ring_t;

/**
 * A robust readers-writer lock: a handle on one that lies in a segment.
 */
typedef struct tvn_rwlock_t tvn_rwlock_t;

/**
 * A segment, one piece of shared memory with named objects in it: this process's handle.
 */
typedef struct tvn_segment_t tvn_segment_t;

/**
 * A semaphore (Dijkstra's P and V), counting, binary or leased: a handle on one that lies in a segment.
 */
typedef struct tvn_semaphore_t tvn_semaphore_t;

/**
 * Listens for connections that keep the borders of messages: Unix seqpacket sockets.
 */
typedef struct tvn_seqpacket_listener_t tvn_seqpacket_listener_t;

/**
 * A Unix connection that carries messages. Any number of threads and forked processes may send and receive: each
 * message goes to one of them, whole. No call raises SIGPIPE.
 */
typedef struct tvn_seqpacket_t tvn_seqpacket_t;

/**
 * A service, requests from any number of clients that any number of servers answer: a handle on one that lies in a
 * segment.
 */
typedef struct tvn_service_t tvn_service_t;

/**
 * Signals that a thread blocks and takes from a descriptor.
 */
typedef struct tvn_signals_t tvn_signals_t;

/**
 * Mutual exclusion from one other process, by stopping it.
 */
typedef struct tvn_stop_lock_t tvn_stop_lock_t;

/**
 * A connection that carries bytes, or messages in them: TCP, or Unix. One thread may send while another receives; two
 * that send messages take turns, and so do two that receive them. After fork both processes have the connection, and
 * each byte goes to one of them; what was begun of a message is the parent's, and not in the child. No call raises
 * SIGPIPE.
 */
typedef struct tvn_stream_t tvn_stream_t;

/**
 * A reading end of a topic, with a cursor of its own. One thread at a time; stays with the process that made it.
 */
typedef struct tvn_subscriber_t tvn_subscriber_t;

/**
 * A System V message queue. Any number of threads may use one handle.
 */
typedef struct tvn_sysv_queue_t tvn_sysv_queue_t;

/**
 * A set of System V semaphores. Any number of threads may use one handle.
 */
typedef struct tvn_sysv_semaphores_t tvn_sysv_semaphores_t;

/**
 * System V shared memory, attached. Any number of threads may use one handle.
 */
typedef struct tvn_sysv_shared_memory_t tvn_sysv_shared_memory_t;

/**
 * A topic, one publisher's word to any number of subscribers: a handle on one that lies in a segment.
 */
typedef struct tvn_topic_t tvn_topic_t;

/**
 * A set of objects, descriptors, signals and timers, to wait for any of them, as poll(2) does: it says who is ready
 * and takes nothing. One thread at a time; stays with the process that made it.
 *
 * What follows a wait is up to the caller: tvn_semaphore_wait() with TVN_TRY and so on, which may find nothing, as
 * anybody else can be faster. A member is told again as long as it is ready. What a death does to who waits for a
 * member alone makes it ready: the lock of a dead holder, an empty ring whose producer is dead.
 */
typedef struct tvn_wait_set_t tvn_wait_set_t;

/**
 * A thread that watches a segment, notices deaths at once and puts right what the dead left: a handle.
 */
typedef struct tvn_watcher_t tvn_watcher_t;

/**
 * Who holds a lock or a leased permit.
 */
typedef struct {
  /**
   * The process, by its number in the segment.
   */
  uint32_t slot;
  /**
   * Its pid; 0 if it is not known.
   */
  uint32_t pid;
  /**
   * The thread, by its number in its process. Not a tid.
   */
  uint32_t thread;
} tvn_holder_t;

/**
 * Room for a value that is written in place. Plain data: it lies where the caller wants, and is over with
 * tvn_cell_commit() or tvn_cell_cancel().
 */
typedef struct {
  /**
   * The room, a multiple of 16, of tvn_cell_size() bytes: those of some older value, to be written over.
   */
  void *value;
  /**
   * The room; for triveni only.
   */
  uint64_t word;
  /**
   * The room; for triveni only.
   */
  uint32_t index;
} tvn_store_t;

/**
 * What a system has, who holds it and who asks for more: the two vectors and the two matrices of deadlock detection.
 * Row after row, a row for each process, a column for each class: `uint32_t allocation[3][4]` is `&allocation[0][0]`.
 * Name the members that you give, the others are then NULL:
 * `tvn_deadlock_state_t state = {.processes = 3, .classes = 4, .existing = existing, ...};`
 */
typedef struct {
  /**
   * How many processes there are, 1 to TVN_DEADLOCK_MAX.
   */
  size_t processes;
  /**
   * How many classes of resources there are, 1 to TVN_DEADLOCK_MAX.
   */
  size_t classes;
  /**
   * `classes` numbers: how many of each exist.
   */
  const uint32_t *existing;
  /**
   * `classes` numbers: how many of each nobody holds. NULL: computed; otherwise checked.
   */
  const uint32_t *available;
  /**
   * `processes` times `classes` numbers: who holds how many.
   */
  const uint32_t *allocation;
  /**
   * `processes` times `classes` numbers: who asks for how many.
   */
  const uint32_t *request;
  /**
   * `processes` names, or NULL: `process 1` and so on.
   */
  const char *const *process_names;
  /**
   * `classes` names, or NULL: `class 1` and so on.
   */
  const char *const *class_names;
  /**
   * `classes` flags: which of them any number of processes use at once. NULL: none.
   */
  const bool *sharable;
  /**
   * `classes` flags: which of them the system may take away. NULL: none.
   */
  const bool *preemptible;
} tvn_deadlock_state_t;

/**
 * How a daemon lives. Begin with `tvn_daemon_options_t options = TVN_DAEMON_OPTIONS;` and change what you need.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_DAEMON_OPTIONS sets it.
   */
  size_t size;
  /**
   * Its working directory; NULL: /.
   */
  const char *directory;
  /**
   * The file to whose end its standard output and error go, made with mode 0600; NULL: /dev/null.
   */
  const char *output;
  /**
   * A file with its process id, locked as long as it lives, so that a second instance is refused; NULL: none. It goes
   * with the daemon's handle; if the daemon is killed it stays, unlocked, and the next instance takes it over.
   */
  const char *pid_file;
  /**
   * Which bits the files it makes shall not have; 0: 022.
   */
  unsigned int umask;
} tvn_daemon_options_t;

/**
 * Whose a lock file is, by what lies in it.
 */
typedef struct {
  /**
   * Its maker's pid; 0 if the file does not say.
   */
  uint32_t pid;
  /**
   * 1 if its maker is alive, 0 if it is dead; -1 if nobody can say: another program's file, or another pid namespace.
   */
  int32_t alive;
  /**
   * Its maker's program; empty if the file does not say.
   */
  char program[36];
} tvn_lock_file_holder_t;

/**
 * Where one descriptor of a new program leads.
 */
typedef struct {
  /**
   * The program's descriptor.
   */
  int fd;
  /**
   * TVN_REDIRECT_...
   */
  int kind;
  /**
   * A descriptor, for TVN_REDIRECT_FD and TVN_REDIRECT_SAME.
   */
  int from;
  /**
   * A file, or the bytes for TVN_REDIRECT_BYTES.
   */
  const char *path;
  /**
   * How many bytes, for TVN_REDIRECT_BYTES.
   */
  size_t size;
} tvn_redirect_t;

/**
 * How a program starts. Begin with `tvn_spawn_options_t options = TVN_SPAWN_OPTIONS;` and change what you need.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_SPAWN_OPTIONS sets it.
   */
  size_t size;
  /**
   * Variables for its environment besides the caller's: strings `NAME=value`, and `NAME` for one that it shall not
   * have; the last is NULL. NULL for none.
   */
  const char *const *environment;
  /**
   * Its working directory; NULL: the caller's.
   */
  const char *directory;
  /**
   * Redirections, done in their order as in a shell.
   */
  const tvn_redirect_t *redirects;
  /**
   * How many.
   */
  size_t redirect_count;
  /**
   * Descriptors that it gets under their own numbers, also if they are close-on-exec; no others but 0, 1 and 2.
   */
  const int *inherit;
  /**
   * How many.
   */
  size_t inherit_count;
  /**
   * The signal it gets when the thread that starts it ends; 0 for none.
   */
  int die_with_parent;
  /**
   * TVN_SPAWN_... or 0.
   */
  unsigned int flags;
} tvn_spawn_options_t;

/**
 * One program of a pipeline.
 */
typedef struct {
  /**
   * Its name and its arguments, and NULL at the end.
   */
  const char *const *argv;
  /**
   * How it starts; NULL: all defaults. Its redirections are done after the pipes: {2, TVN_REDIRECT_SAME, 1, NULL, 0} is
   * what the shell writes `2>&1 |`.
   */
  const tvn_spawn_options_t *options;
} tvn_stage_t;

/**
 * What the kernel tells about a POSIX queue. -1: this process may not know.
 */
typedef struct {
  /**
   * Its name, with the slash.
   */
  char name[257];
  /**
   * The bits of its mode.
   */
  uint32_t mode;
  /**
   * The user who owns it.
   */
  uint32_t uid;
  /**
   * The group that owns it.
   */
  uint32_t gid;
  /**
   * The process that asked to be notified and was not told yet; 0: none.
   */
  uint32_t notifies;
  /**
   * How many messages are in it.
   */
  int64_t messages;
  /**
   * How many messages it holds.
   */
  int64_t capacity;
  /**
   * The largest message in bytes.
   */
  int64_t message_size;
  /**
   * Bytes in all its messages.
   */
  int64_t bytes;
} tvn_posix_queue_info_t;

/**
 * One of a chain or a fan, as it reported itself.
 */
typedef struct {
  /**
   * What getpid() told it.
   */
  int pid;
  /**
   * What getppid() told it.
   */
  int ppid;
} tvn_member_t;

/**
 * One process of a tree.
 */
typedef struct {
  /**
   * Its process id.
   */
  int pid;
  /**
   * Its parent's.
   */
  int ppid;
  /**
   * How many steps it is below the root.
   */
  int depth;
  /**
   * R runs, S sleeps, D waits for a device, T stands (SIGSTOP), Z has ended and was not waited for.
   */
  char state;
  /**
   * The name of its program, as ps shows it.
   */
  char name[64];
} tvn_tree_node_t;

/**
 * A lock that is in the way.
 */
typedef struct {
  /**
   * Its first byte.
   */
  uint64_t start;
  /**
   * How many bytes it has; 0 if it has no end.
   */
  uint64_t length;
  /**
   * The process, if the lock is of the older kind, which belongs to one; 0 if the kernel names none.
   */
  uint32_t pid;
  /**
   * Is it exclusive?
   */
  bool exclusive;
} tvn_range_blocker_t;

/**
 * A signal that was taken, and who sent it.
 */
typedef struct {
  /**
   * Its number.
   */
  int signal;
  /**
   * Why it came: SI_USER from kill(), SI_QUEUE with a value, CLD_EXITED and so on for SIGCHLD.
   */
  int code;
  /**
   * The process that sent it, or that it is about (SIGCHLD); 0 if the kernel did.
   */
  int pid;
  /**
   * The user of that process.
   */
  uint32_t uid;
  /**
   * What tvn_queue_signal() sent with it, or 0.
   */
  int value;
} tvn_signal_info_t;

/**
 * What a callback gets: the signal, and the context it was given with.
 */
typedef void (*tvn_on_signal_t)(const tvn_signal_info_t *info, void *context);

/**
 * A child that has ended and was not waited for yet.
 */
typedef struct {
  /**
   * Its process id.
   */
  int pid;
  /**
   * How it ended, as from waitpid(2).
   */
  int status;
} tvn_ended_child_t;

/**
 * The address of a socket: what tvn_datagram_receive_from() says of a sender, and tvn_datagram_send_to() takes. Made
 * of its text by tvn_socket_address(), and printed by tvn_socket_address_text(). A plain value: copy it, compare it
 * with memcmp.
 */
typedef struct {
  /**
   * 0: a Unix socket without a name; 1: a path; 2: an abstract name; 3: TCP; 4: UDP.
   */
  uint8_t kind;
  /**
   * How many of the bytes are a name; for TCP and UDP 4 or 6, the version of IP.
   */
  uint8_t size;
  /**
   * The port, of TCP and UDP.
   */
  uint16_t port;
  /**
   * The scope of an IPv6 address.
   */
  uint32_t scope;
  /**
   * The name, or the IP address, most significant byte first. The rest is 0.
   */
  uint8_t bytes[108];
} tvn_socket_address_t;

/**
 * Who is at the other end of a Unix socket, as the kernel knows it.
 */
typedef struct {
  /**
   * The process; 0 if it has no number in this pid namespace.
   */
  uint32_t pid;
  /**
   * Its effective user.
   */
  uint32_t uid;
  /**
   * Its effective group.
   */
  uint32_t gid;
} tvn_peer_credentials_t;

/**
 * What the kernel tells about a System V queue.
 */
typedef struct {
  /**
   * Its number.
   */
  int id;
  /**
   * Its key (a `key_t`); 0: none.
   */
  int key;
  /**
   * The bits of its mode.
   */
  uint32_t mode;
  /**
   * The user who owns it.
   */
  uint32_t uid;
  /**
   * The group that owns it.
   */
  uint32_t gid;
  /**
   * The process that sent the last message; 0: none yet.
   */
  uint32_t last_sender;
  /**
   * The process that received the last message; 0: none yet.
   */
  uint32_t last_receiver;
  /**
   * How many messages are in it.
   */
  uint64_t messages;
  /**
   * Bytes in all its messages.
   */
  uint64_t bytes;
  /**
   * How many bytes it holds.
   */
  uint64_t max_bytes;
  /**
   * When the last message was sent, in seconds since 1970; 0: not yet.
   */
  int64_t sent_at;
  /**
   * When the last message was received, in seconds since 1970; 0: not yet.
   */
  int64_t received_at;
} tvn_sysv_queue_info_t;

/**
 * What is to happen to one semaphore of a set.
 */
typedef struct {
  /**
   * Which one, from 0 on.
   */
  uint16_t index;
  /**
   * Permits to add; negative: to take; 0: wait until its value is 0.
   */
  int16_t delta;
  /**
   * 0 or TVN_UNDO.
   */
  uint32_t flags;
} tvn_semaphore_operation_t;

/**
 * One semaphore of a set, at one moment.
 */
typedef struct {
  /**
   * Its value.
   */
  uint32_t value;
  /**
   * How many processes wait for permits.
   */
  uint32_t waiting;
  /**
   * How many processes wait for the value 0.
   */
  uint32_t waiting_for_zero;
  /**
   * The process that changed it last; 0: none yet.
   */
  uint32_t last_pid;
} tvn_sysv_semaphore_info_t;

/**
 * What the kernel tells about a set of System V semaphores.
 */
typedef struct {
  /**
   * Its number.
   */
  int id;
  /**
   * Its key (a `key_t`); 0: none.
   */
  int key;
  /**
   * The bits of its mode.
   */
  uint32_t mode;
  /**
   * The user who owns it.
   */
  uint32_t uid;
  /**
   * The group that owns it.
   */
  uint32_t gid;
  /**
   * How many semaphores it has.
   */
  uint32_t count;
  /**
   * When somebody last operated on it, in seconds since 1970; 0: not yet.
   */
  int64_t operated_at;
  /**
   * When it was made, or its values or mode were last set, in seconds since 1970.
   */
  int64_t changed_at;
} tvn_sysv_semaphores_info_t;

/**
 * What the kernel tells about a System V shared memory segment.
 */
typedef struct {
  /**
   * Its number.
   */
  int id;
  /**
   * Its key (a `key_t`); 0: none.
   */
  int key;
  /**
   * The bits of its mode.
   */
  uint32_t mode;
  /**
   * The user who owns it.
   */
  uint32_t uid;
  /**
   * The group that owns it.
   */
  uint32_t gid;
  /**
   * The process that made it.
   */
  uint32_t creator_pid;
  /**
   * The process that attached or detached it last; 0: none yet.
   */
  uint32_t last_pid;
  /**
   * Was it removed? Then it goes with its last attachment.
   */
  bool removed;
  /**
   * How many bytes it has.
   */
  uint64_t size;
  /**
   * How many attachments there are.
   */
  uint64_t attached;
  /**
   * When somebody last attached it, in seconds since 1970; 0: not yet.
   */
  int64_t attached_at;
  /**
   * When somebody last detached it, in seconds since 1970; 0: not yet.
   */
  int64_t detached_at;
  /**
   * When it was made, or its mode changed, in seconds since 1970.
   */
  int64_t changed_at;
} tvn_sysv_shared_memory_info_t;

/**
 * What a mailbox is like. Begin with `tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;` and set `message_size`:
 * 0 is the default everywhere else.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_MAILBOX_OPTIONS sets it.
   */
  size_t size;
  /**
   * How many messages it holds; 0: none, a send returns when a receiver has the message (rendezvous).
   */
  size_t capacity;
  /**
   * The largest message in bytes.
   */
  size_t message_size;
  /**
   * 1: a sender never waits; `capacity` is the ceiling, where it gets -ENOSPC. Memory is taken as it is needed.
   */
  uint32_t unbounded;
  /**
   * TVN_FIFO or TVN_PRIORITY.
   */
  uint32_t order;
  /**
   * How many receivers may have a message in vain, because they die or give it back, before it is dropped; 0: any
   * number.
   */
  uint32_t max_deliveries;
  /**
   * The layout of messages, a type tag; NULL: any bytes.
   */
  const char *type_tag;
} tvn_mailbox_options_t;

/**
 * What there is to say about a message that was received.
 */
typedef struct {
  /**
   * Its size in bytes.
   */
  size_t size;
  /**
   * How many receivers died with it before, or gave it back: 0 for one that is delivered the first time.
   */
  uint32_t redelivered;
  /**
   * Its priority; 0 unless the mailbox is TVN_PRIORITY.
   */
  uint32_t priority;
  /**
   * Its type; 0 unless it was sent with one.
   */
  uint32_t mtype;
} tvn_received_t;

/**
 * Room for one message, claimed in a mailbox. Plain data: it lies where the caller wants, and needs no close.
 */
typedef struct {
  /**
   * First byte of the room, aligned to 16; the caller's until commit or cancel.
   */
  void *room;
  /**
   * The size that was asked for.
   */
  uint32_t size;
  /**
   * The claim; for triveni only.
   */
  uint32_t index;
  /**
   * The claim; for triveni only.
   */
  uint64_t word;
} tvn_loan_t;

/**
 * A message that is read in place. Plain data: it lies where the caller wants, and needs no close.
 */
typedef struct {
  /**
   * First byte of the message, aligned to 16; lent until tvn_mailbox_release() or tvn_mailbox_give_back().
   */
  const void *message;
  /**
   * The claim; for triveni only.
   */
  uint64_t word;
  /**
   * Its size in bytes.
   */
  uint32_t size;
  /**
   * The claim; for triveni only.
   */
  uint32_t index;
  /**
   * How many receivers died with it before, or gave it back.
   */
  uint32_t redelivered;
  /**
   * Its priority.
   */
  uint32_t priority;
  /**
   * Its type.
   */
  uint32_t mtype;
} tvn_borrowed_t;

/**
 * How to create or open a segment. Begin with `tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;` and change
 * what you need: 0 is the default everywhere but in `size`.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_SEGMENT_OPTIONS sets it.
   */
  size_t size;
  /**
   * Access mode of a new segment; 0: 0600, this user alone. With a bit for group or others it also allows opening
   * a segment that belongs to another user, who can deny you service in it.
   */
  uint32_t mode;
  /**
   * What to do if everybody who took part is dead: TVN_STALE_...
   */
  uint32_t stale;
  /**
   * How many processes may take part in a new segment, at most 512; 0: 64.
   */
  uint32_t max_participants;
  /**
   * How many objects a new segment can hold, at most 65536; 0: 256.
   */
  uint32_t max_objects;
  /**
   * In a new segment: 1 if a thread that would close a circle of threads which wait for each other's mutexes,
   * monitors, readers-writer locks or leased permits shall get -EDEADLK, with the circle in tvn_last_error(),
   * instead of waiting. tvn_segment_deadlocks() names circles in any case.
   */
  int detect_deadlocks;
} tvn_segment_options_t;

/**
 * How a port is made; 0 is the default everywhere.
 */
typedef struct {
  /**
   * How many messages the queue holds, up to 1016; 0: 8.
   */
  size_t capacity;
  /**
   * The largest message in bytes; 0: 1024.
   */
  size_t message_size;
  /**
   * How many rights to send there can be at a time, up to 4096; 0: 63.
   */
  size_t rights;
} tvn_port_options_t;

/**
 * What came with a message.
 */
typedef struct {
  /**
   * The rights in it, the caller's now: close them. NULL from `count` on.
   */
  tvn_port_t *rights[TVN_PORT_RIGHTS];
  /**
   * How many.
   */
  size_t count;
  /**
   * The right to answer, if the sender waits in tvn_port_call(); the caller's: close it. NULL otherwise.
   */
  tvn_port_t *reply;
  /**
   * How many rights were lost on the way.
   */
  uint32_t lost;
  /**
   * How many receivers died with the message before.
   */
  uint32_t redelivered;
  /**
   * Not 0: not a message but what the port was asked to tell, TVN_PORT_...
   */
  uint32_t event;
  /**
   * Which port that is about, cut to fit.
   */
  char port[64];
} tvn_delivery_t;

/**
 * What a ring is like. Begin with `tvn_ring_options_t options = TVN_RING_OPTIONS;` and change what you need: 0 is the
 * default everywhere but in `size`.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_RING_OPTIONS sets it.
   */
  size_t size;
  /**
   * Bytes of its cells, for records of any size; 0: 8 MiB, or an eighth of the segment if that is less. Memory that
   * comes round sooner is still in the other CPU's cache, and payload written and read in place up to four times
   * slower.
   */
  size_t ring_size;
  /**
   * The one size of its packed records; 0: records of any size.
   */
  size_t record_size;
  /**
   * Packed: how many records, rounded up to a power of two; 0: as many as fit into the default size.
   */
  size_t capacity;
  /**
   * 1: publish with a full barrier, so that who is about to sleep is never overlooked for a slice of up to 16 ms.
   */
  int exact_wake;
  /**
   * The type of its records, as a PEP 3118 format; NULL: none. Stored with a new ring, compared with one that is there.
   */
  const char *type_tag;
} tvn_ring_options_t;

/**
 * An object, seen from outside. What its kind has no use for is 0.
 */
typedef struct {
  /**
   * Its name.
   */
  char name[TVN_NAME_ROOM];
  /**
   * Its kind: TVN_KIND_...
   */
  uint32_t kind;
  /**
   * How many processes have it open.
   */
  uint32_t attached;
  /**
   * Bytes it occupies, with its header.
   */
  uint64_t size;
  /**
   * Service: the most calls at once. Mailbox, topic: the most messages. Ring: bytes of its cells. Semaphore: the most permits. Barrier: the parties.
   * Monitor: TVN_CONDITIONS_MAX. Array: its elements.
   */
  uint64_t capacity;
  /**
   * Service: requests that nobody has taken. Mailbox: messages in it. Topic: its subscribers. Ring: bytes occupied by records. Semaphore: permits left. Barrier: how many have
   * arrived. Monitor: its conditions. Readers-writer lock: read locks.
   * Array, cell: how often it was written as a whole.
   */
  uint64_t length;
  /**
   * Service: the largest request in bytes. Mailbox, topic: the largest message in bytes. Ring: the size of its packed records, 0 if they have any size.
   * Cell: bytes of its value.
   */
  uint64_t message_size;
  /**
   * Mailbox: claims of dead senders that were given back, so far.
   */
  uint64_t voided;
  /**
   * Mailbox: messages that dead receivers held and that were delivered again, so far.
   */
  uint64_t redelivered;
  /**
   * Mailbox: messages that were dropped because too many receivers had died with them, so far. Topic: messages that
   * publishers dropped, so far.
   */
  uint64_t dropped;
  /**
   * Mutex, monitor: the slot of the process that holds it, 0 if it is free. Readers-writer lock, array: of the writer.
   */
  uint32_t holder;
  /**
   * Mutex, monitor, readers-writer lock: the number of the thread that `holder` is about, in its process.
   */
  uint32_t thread;
  /**
   * Mutex, monitor, readers-writer lock: a holder died, and nobody has called recover since.
   */
  bool owner_died;
  /**
   * Barrier: a participant died, and nobody has called reset since.
   */
  bool broken;
  /**
   * Ring, mailbox, topic: it was shut down.
   */
  bool shut_down;
  /**
   * Leased semaphore: the permits that are out.
   */
  uint32_t leases;
  /**
   * Readers-writer lock: TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR. Topic: TVN_BLOCK, TVN_DROP_OLDEST or
   * TVN_DROP_NEWEST.
   */
  uint32_t policy;
  /**
   * Event: the flags that are set.
   */
  uint32_t flags;
  /**
   * Mailbox: TVN_FIFO or TVN_PRIORITY.
   */
  uint32_t order;
  /**
   * Ring, topic: the slot of its producer or publisher, 0 if it has none.
   */
  uint32_t producer;
  /**
   * Ring: the slot of its consumer, 0 if it has none. Port: of its receiver.
   */
  uint32_t consumer;
  /**
   * Service: how many processes serve.
   */
  uint32_t servers;
} tvn_object_info_t;

/**
 * A process that takes part in a segment.
 */
typedef struct {
  /**
   * The name of its program, cut if it is too long.
   */
  char name[TVN_NAME_ROOM];
  /**
   * Its number in the segment, from 1.
   */
  uint32_t slot;
  /**
   * Its pid, in the pid namespace it lives in.
   */
  uint32_t pid;
  /**
   * Its user.
   */
  uint32_t uid;
  /**
   * False: dead, and not swept yet.
   */
  bool alive;
  /**
   * When it joined, in seconds since 1970.
   */
  double since;
} tvn_participant_info_t;

/**
 * What a service is like. Begin with `tvn_service_options_t options = TVN_SERVICE_OPTIONS;` and set `request_size` and
 * `response_size`: 0 is the default everywhere else.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_SERVICE_OPTIONS sets it.
   */
  size_t size;
  /**
   * The largest request in bytes.
   */
  size_t request_size;
  /**
   * The largest answer in bytes.
   */
  size_t response_size;
  /**
   * The most calls at once, at most 1024; 0: 16.
   */
  size_t calls;
  /**
   * 1 if a request may be served again whose server died over it.
   */
  int idempotent;
  /**
   * What requests and answers are, as one struct of two members: "T{d:request:2d:response:}". NULL: any bytes.
   */
  const char *type_tag;
} tvn_service_options_t;

/**
 * A call, or room for one. Plain data: it lies where the caller wants, and is over with tvn_call_end().
 */
typedef struct {
  /**
   * After tvn_service_reserve() the room, a multiple of 64, to be written until tvn_call_send(); after tvn_call_wait()
   * the answer, to be read until tvn_call_end(); otherwise NULL.
   */
  void *bytes;
  /**
   * The call; for triveni only.
   */
  uint64_t word;
  /**
   * The size of the room, or of the answer.
   */
  uint32_t size;
  /**
   * The call; for triveni only.
   */
  uint32_t index;
} tvn_call_t;

/**
 * A request that was received. Plain data: it lies where the caller wants, and is over with tvn_request_reply(),
 * tvn_request_commit() or tvn_request_fail().
 */
typedef struct {
  /**
   * The request; to be read until it is answered.
   */
  const void *bytes;
  /**
   * Room for an answer that is written in place, a multiple of 64, of tvn_service_response_size() bytes.
   */
  void *room;
  /**
   * The request; for triveni only.
   */
  uint64_t word;
  /**
   * Its size in bytes.
   */
  uint32_t size;
  /**
   * The request; for triveni only.
   */
  uint32_t index;
  /**
   * The pid of the client, in the pid namespace it lives in; 0 if it is gone.
   */
  uint32_t client;
} tvn_request_t;

/**
 * What a topic is like. Begin with `tvn_topic_options_t options = TVN_TOPIC_OPTIONS;` and set `capacity` and
 * `message_size`: 0 is the default everywhere else.
 */
typedef struct {
  /**
   * The size of this structure, for later versions. TVN_TOPIC_OPTIONS sets it.
   */
  size_t size;
  /**
   * How many messages it keeps, from 1 on.
   */
  size_t capacity;
  /**
   * The largest message in bytes.
   */
  size_t message_size;
  /**
   * How many can subscribe at the same time, at most 256; 0: 16.
   */
  size_t subscribers;
  /**
   * What the publisher does when it would overtake the slowest subscriber: TVN_BLOCK, TVN_DROP_OLDEST or
   * TVN_DROP_NEWEST.
   */
  uint32_t policy;
  /**
   * How many milliseconds a subscriber that lives may be in the publisher's way before it is put out; 0: for ever.
   */
  uint32_t evict_after_ms;
  /**
   * The layout of messages, a type tag; NULL: any bytes.
   */
  const char *type_tag;
} tvn_topic_options_t;

/**
 * A member of a struct, as TVN_FIELD() describes it.
 */
typedef struct {
  /**
   * Its name; NULL behind the last member.
   */
  const char *name;
  /**
   * The type of its elements, a letter of PEP 3118.
   */
  const char *letter;
  /**
   * Bytes before it.
   */
  size_t offset;
  /**
   * Its bytes.
   */
  size_t size;
} tvn_field_t;

/**
 * A member of a wait set that is ready.
 */
typedef struct {
  /**
   * Which: what the function that added it returned.
   */
  int64_t token;
  /**
   * How often a timer has expired since it was last told; 1 for everything else.
   */
  uint64_t count;
} tvn_ready_t;

/**
 * A thread that sleeps until an object lets it go on.
 */
typedef struct {
  /**
   * The process, by its number in the segment.
   */
  uint32_t slot;
  /**
   * Its pid.
   */
  uint32_t pid;
  /**
   * The thread, by its number in its process.
   */
  uint32_t thread;
  /**
   * The thread's id in the system, in its own pid namespace.
   */
  uint32_t tid;
  /**
   * The name of the process's program.
   */
  char process[TVN_NAME_ROOM];
  /**
   * The name of the object.
   */
  char object[TVN_NAME_ROOM];
  /**
   * The object's kind: TVN_KIND_...
   */
  uint32_t kind;
  /**
   * What it sleeps for: TVN_WAIT_...
   */
  uint32_t mode;
  /**
   * How many permits, which flags, or how many objects; 0 where that has no meaning.
   */
  uint32_t count;
  /**
   * The condition's name, with TVN_WAIT_CONDITION; otherwise empty.
   */
  char condition[TVN_NAME_ROOM];
  /**
   * For how long it has slept, in nanoseconds.
   */
  uint64_t since_ns;
  /**
   * How many are in its way by holding the object; 0 where nobody in particular is. Of those who read, only the
   * sleepers count: tvn_rwlock_readers() has the number of all.
   */
  uint32_t blockers;
  /**
   * The first TVN_BLOCKERS_ROOM of them.
   */
  tvn_holder_t blocked_by[TVN_BLOCKERS_ROOM];
  /**
   * All that as a sentence: `process 4711 (python3) thread 0 waits to lock "m"`.
   */
  char text[TVN_WAIT_ROOM];
} tvn_wait_t;

/**
 * What a watcher saw.
 */
typedef struct {
  /**
   * What: TVN_WATCH_...
   */
  uint32_t what;
  /**
   * Who.
   */
  tvn_participant_info_t participant;
  /**
   * With TVN_WATCH_DIED: how many objects it held a part of, as far as the watcher saw them before the sweep.
   */
  uint32_t held;
  /**
   * The names of the first TVN_HELD_ROOM of them.
   */
  char names[TVN_HELD_ROOM][TVN_NAME_ROOM];
  /**
   * With TVN_WATCH_DIED: false if somebody else swept it before this watcher did.
   */
  bool swept;
} tvn_watch_event_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Finds the array `name`, or creates it, of zeros: `size_t shape[] = {rows, columns}; tvn_array(segment, "a", "d",
 * shape, 2, &array);`. `type_tag` says what an element is, as PEP 3118: "d" for double, "i" for int, or what
 * TVN_TYPE() makes of a struct. An existing one must have the same type and shape. Lends `segment`, `name`, `type_tag`
 * and `shape`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, type or shape; -TVN_EINCOMPATIBLE if the name belongs to an object of another
 * kind, or an array of another shape or type: tvn_last_error() shows both layouts; -ENOSPC if the segment has no room.
 */
int tvn_array(const tvn_segment_t *segment,
              const char *name,
              const char *type_tag,
              const size_t *shape,
              size_t ndim,
              tvn_array_t **out);

/**
 * Creates the array `name`, as tvn_array() does. Lends `segment`, `name`, `type_tag` and `shape`, gives `*out`. Does
 * not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; otherwise as tvn_array().
 */
int tvn_array_create(const tvn_segment_t *segment,
                     const char *name,
                     const char *type_tag,
                     const size_t *shape,
                     size_t ndim,
                     tvn_array_t **out);

/**
 * Opens the array `name`, which must exist, of whatever shape. Its type must be `type_tag`; NULL asks for none. Lends
 * `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name or type; -TVN_EINCOMPATIBLE as for tvn_array().
 */
int tvn_array_open(const tvn_segment_t *segment,
                   const char *name,
                   const char *type_tag,
                   tvn_array_t **out);

/**
 * Lets go of the array. Takes `array`; NULL is fine. Pointers from tvn_array_data() are no longer good. Its elements
 * stay in the segment. Never blocks. No other thread may be using this handle.
 */
void tvn_array_close(tvn_array_t *array);

/**
 * The first element, at a page; all of them follow each other, the last dimension fastest:
 * `double *a = tvn_array_data(array);`. Good until tvn_array_close(). Other processes may read and write there at any
 * time: elements that several of them change need a lock, or _Atomic. Lends `array`. Never blocks. Any thread; a
 * forked child too.
 * @return the pointer; NULL if `array` is NULL.
 */
void *tvn_array_data(const tvn_array_t *array);

/**
 * Fills `shape` with the dimensions, at most `count`. Lends `array` and `shape` (NULL will do with 0). Never blocks.
 * Any thread; a forked child too.
 * @return how many dimensions it has, at most TVN_DIMENSIONS_MAX.
 */
int64_t tvn_array_shape(const tvn_array_t *array,
                        size_t *shape,
                        size_t count);

/**
 * Fills `strides` with the bytes from an element to the next one in each dimension, at most `count`. Lends `array` and
 * `strides` (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many dimensions it has.
 */
int64_t tvn_array_strides(const tvn_array_t *array,
                          size_t *strides,
                          size_t count);

/**
 * How many elements it has. Lends `array`. Never blocks. Any thread; a forked child too.
 * @return the number.
 */
int64_t tvn_array_length(const tvn_array_t *array);

/**
 * Bytes of all elements. Lends `array`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_array_size(const tvn_array_t *array);

/**
 * Writes the type tag of the elements to `buffer` of `size` bytes, cut if it is too long. Lends `array` and `buffer`
 * (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL.
 */
int64_t tvn_array_type(const tvn_array_t *array,
                       char *buffer,
                       size_t size);

/**
 * Begins to write the elements as a whole; blocks while another thread does so, or until `timeout_ms` has passed.
 * Until tvn_array_end_write() no snapshot is taken, and no other such writer goes on. Lends `array`. A writer that
 * dies in the middle is told of with -EOWNERDEAD: the array IS yours to write then. Put the elements right, call
 * tvn_array_recover() and tvn_array_end_write(); without recover, the next one gets -EOWNERDEAD too. Any thread; a
 * forked child does not write for its parent.
 * @return 0; -EOWNERDEAD, to be written; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
 * -EDEADLK if the calling thread writes already; -EIDRM if the array was removed.
 */
int tvn_array_write(const tvn_array_t *array,
                    int timeout_ms);

/**
 * Says that the elements are whole, and lets others write. Lends `array`. Never blocks. The thread that writes.
 * @return 0; -EPERM if the calling thread does not write.
 */
int tvn_array_end_write(const tvn_array_t *array);

/**
 * Says, after -EOWNERDEAD, that the elements will be whole at tvn_array_end_write(). Lends `array`. Never blocks. The
 * thread that writes.
 * @return 0; -EPERM if the calling thread does not write.
 */
int tvn_array_recover(const tvn_array_t *array);

/**
 * Copies all elements, as they were at one moment between two writers, to the `size` bytes at `elements`, which must be
 * tvn_array_size(); blocks for one that writes, or until `timeout_ms` has passed. Lends `array` and `elements`. Any
 * thread; a forked child too.
 * @return 0; -EOWNERDEAD if a writer died in the middle and nobody has recovered since; -EINVAL for another size;
 * -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the array was removed.
 */
int tvn_array_snapshot(const tvn_array_t *array,
                       void *elements,
                       size_t size,
                       int timeout_ms);

/**
 * How often it was written as a whole. Lends `array`. Never blocks. Any thread; a forked child too.
 * @return the number.
 */
int64_t tvn_array_version(const tvn_array_t *array);

/**
 * Who writes as a whole at this moment; the next one may be another. Lends `array`, writes `*out` if somebody does.
 * Never blocks. Any thread; a forked child too.
 * @return 1 if somebody writes, else 0.
 */
int tvn_array_writer(const tvn_array_t *array,
                     tvn_holder_t *out);

/**
 * Finds the barrier `name`, or creates it for `parties` threads; an existing one must be for as many. Lends
 * `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, for 0 parties and for more than TVN_BARRIER_MAX; -TVN_EINCOMPATIBLE if the
 * name belongs to a barrier for another number or an object of another kind; -ENOSPC if the segment has no room.
 */
int tvn_barrier(const tvn_segment_t *segment,
                const char *name,
                uint32_t parties,
                tvn_barrier_t **out);

/**
 * Creates the barrier `name` for `parties` threads. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, for 0 parties and for more than
 * TVN_BARRIER_MAX; -ENOSPC if the segment has no room.
 */
int tvn_barrier_create(const tvn_segment_t *segment,
                       const char *name,
                       uint32_t parties,
                       tvn_barrier_t **out);

/**
 * Opens the barrier `name`, which must exist, for whatever number of parties: see tvn_barrier_parties(). Lends
 * `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_barrier_open(const tvn_segment_t *segment,
                     const char *name,
                     tvn_barrier_t **out);

/**
 * Lets go of the barrier. Takes `barrier`; NULL is fine. The barrier stays in its segment. Never blocks. No other
 * thread may be using this handle.
 */
void tvn_barrier_close(tvn_barrier_t *barrier);

/**
 * Arrives; blocks until all parties have, or until `timeout_ms` has passed: who gives up has not arrived. Then
 * the next round begins. With TVN_TRY it arrives only if it is the last one. If a process that has the barrier
 * open dies, everybody who waits or comes later gets -TVN_EBROKEN, until tvn_barrier_reset(). Lends `barrier`.
 * Any thread; a forked child too.
 * @return 1 for the leader: exactly one of them, the last to arrive; 0 for the others. -TVN_EBROKEN; -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the barrier was removed.
 */
int tvn_barrier_wait(const tvn_barrier_t *barrier,
                     int timeout_ms);

/**
 * Begins a new round: who waits gets -TVN_EBROKEN, and a broken barrier is whole again. Lends `barrier`. Does not
 * wait for other users. Any thread; a forked child too.
 * @return 0; -EBUSY if a stopped process is putting right what a dead one left.
 */
int tvn_barrier_reset(const tvn_barrier_t *barrier);

/**
 * How many have arrived in this round, at this moment. Lends `barrier`. Never blocks. Any thread; a forked child
 * too.
 * @return how many wait, from 0 on.
 */
int64_t tvn_barrier_arrived(const tvn_barrier_t *barrier);

/**
 * How many it waits for. Lends `barrier`. Never blocks. Any thread; a forked child too.
 * @return the parties, from 1 on.
 */
int64_t tvn_barrier_parties(const tvn_barrier_t *barrier);

/**
 * Is it broken? Lends `barrier`. Never blocks. Any thread; a forked child too.
 * @return 1 if a participant died and nobody has called tvn_barrier_reset() since, else 0.
 */
int tvn_barrier_is_broken(const tvn_barrier_t *barrier);

/**
 * Finds the cell `name`, or creates it for values of `size` bytes; an existing one must have that size, and the same
 * type if both have one. `type_tag` is what TVN_TYPE() makes, or NULL for bytes without a type. `writers` is how many
 * stores may be in progress at a time so that a further one need not wait, at most 128; 0: 4; an existing cell keeps its
 * own. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any thread; a forked child
 * too.
 * @return 0; -EINVAL for a bad name, size or type; -TVN_EINCOMPATIBLE if the name belongs to an object of another
 * kind, size or type: tvn_last_error() shows both layouts; -ENOSPC if the segment has no room.
 */
int tvn_cell(const tvn_segment_t *segment,
             const char *name,
             size_t size,
             const char *type_tag,
             uint32_t writers,
             tvn_cell_t **out);

/**
 * Creates the cell `name`, as tvn_cell() does. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait
 * for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; otherwise as tvn_cell().
 */
int tvn_cell_create(const tvn_segment_t *segment,
                    const char *name,
                    size_t size,
                    const char *type_tag,
                    uint32_t writers,
                    tvn_cell_t **out);

/**
 * Opens the cell `name`, which must exist, whatever its size: see tvn_cell_size(). If both have a type it must be the
 * same; NULL asks for none. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any
 * thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name or type; -TVN_EINCOMPATIBLE as for tvn_cell().
 */
int tvn_cell_open(const tvn_segment_t *segment,
                  const char *name,
                  const char *type_tag,
                  tvn_cell_t **out);

/**
 * Lets go of the cell. Takes `cell`; NULL is fine. Its value stays in the segment. Never blocks. No other thread may
 * be using this handle.
 */
void tvn_cell_close(tvn_cell_t *cell);

/**
 * Makes a copy of the `size` bytes at `value`, which must be the cell's, the latest value. Blocks only while as many
 * others as the cell has writers are in the middle of a store, until `timeout_ms` has passed; readers are never in the
 * way. Lends `cell` and `value`. A writer that dies here has replaced the value or not touched it. Any thread; a
 * forked child too.
 * @return the value's number, from 1 on; -EMSGSIZE for more bytes than a value has, -EINVAL for fewer; -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
 */
int64_t tvn_cell_store(const tvn_cell_t *cell,
                       const void *value,
                       size_t size,
                       int timeout_ms);

/**
 * Claims room for the next value, to be written in place at `store->value`; blocks as tvn_cell_store() does. As long as
 * it is out it counts as a writer in the middle of a store. Lends `cell`, writes `*store`: make it the latest value with
 * tvn_cell_commit(), or give it back with tvn_cell_cancel(). If this process dies first, nothing was stored. Any thread;
 * the room stays with the process that claimed it.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
 */
int tvn_cell_reserve(const tvn_cell_t *cell,
                     int timeout_ms,
                     tvn_store_t *store);

/**
 * Makes what was written at `store->value` the latest value. Lends `cell` and `store`, which is over. Never blocks. Any
 * thread of the process that claimed it.
 * @return the value's number, from 1 on; -EPERM if this process does not hold this room (any more).
 */
int64_t tvn_cell_commit(const tvn_cell_t *cell,
                        const tvn_store_t *store);

/**
 * Gives room back: nothing was stored. Lends `cell` and `store`, which is over. Never blocks. Any thread of the process
 * that claimed it.
 * @return 0; -EPERM if this process does not hold this room (any more).
 */
int tvn_cell_cancel(const tvn_cell_t *cell,
                    const tvn_store_t *store);

/**
 * Copies the latest value to the `size` bytes at `value`, which must be the cell's. It is whole, whatever writers do.
 * Lends `cell` and `value`. Never blocks. Any thread; a forked child too.
 * @return the value's number, from 1 on; -EAGAIN if nothing was stored yet; -EMSGSIZE for fewer bytes than a value has,
 * -EINVAL for more; -EIDRM if the cell was removed.
 */
int64_t tvn_cell_load(const tvn_cell_t *cell,
                      void *value,
                      size_t size);

/**
 * Copies the latest value once its number is greater than `seen`; blocks until then, or until `timeout_ms` has passed.
 * With 0 it waits for the first one. Values in between are skipped: their numbers are missing. Lends `cell` and
 * `value`, which must have the cell's size. Any thread; a forked child too.
 * @return the value's number; -EMSGSIZE for fewer bytes than a value has, -EINVAL for more; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
 */
int64_t tvn_cell_load_newer(const tvn_cell_t *cell,
                            uint64_t seen,
                            void *value,
                            size_t size,
                            int timeout_ms);

/**
 * How many values were stored so far, which is the number of the latest. Lends `cell`. Never blocks. Any thread; a
 * forked child too.
 * @return the number; 0: none yet.
 */
int64_t tvn_cell_version(const tvn_cell_t *cell);

/**
 * Bytes of a value. Lends `cell`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_cell_size(const tvn_cell_t *cell);

/**
 * Writes the cell's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `cell` and `buffer` (NULL will
 * do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL; 0: the cell has no type.
 */
int64_t tvn_cell_type(const tvn_cell_t *cell,
                      char *buffer,
                      size_t size);

/**
 * Chooses what a signal handler that has run during a wait of the calling thread does to the wait: with
 * `on`, it ends with -EINTR; without, it goes on to its deadline (this is how every thread begins).
 * Never blocks; affects the calling thread only, and is inherited over fork.
 * @return what was chosen before, 0 or 1.
 */
int tvn_interruptible(bool on);

/**
 * Finds out by the detection with matrices whether there is a deadlock. Lends everything. Stores in `order` who can
 * finish, in this order, numbered from 0, as many as can; and in `deadlocked` for each process whether it waits for
 * ever. Both have room for `processes` items, or are NULL. Never blocks. Any thread.
 * @return how many processes wait for ever: 0 if there is no deadlock; -EINVAL with a sentence that names process,
 * class and numbers if they do not agree.
 */
int64_t tvn_deadlock_detect(const tvn_deadlock_state_t *state,
                            size_t *order,
                            bool *deadlocked);

/**
 * Tells the whole story: the matrices at each step, the circles of waiting, Coffman's conditions and the verdict.
 * Lends everything; writes at most `size` bytes to `text`, the last of them NUL. Never blocks. Any thread.
 * @return the length of the text, without the NUL; if that is not less than `size`, the text was cut. -EINVAL as
 * tvn_deadlock_detect().
 */
int64_t tvn_deadlock_text(const tvn_deadlock_state_t *state,
                          char *text,
                          size_t size);

/**
 * Draws the resource allocation graph as SVG. Lends everything; writes at most `size` bytes to `svg`, the last of them
 * NUL. Never blocks. Any thread.
 * @return the length of the picture, without the NUL; if that is not less than `size`, it was cut and is useless: ask
 * with size 0 first. -EMSGSIZE for more than 400 nodes or 4000 edges; -EINVAL as tvn_deadlock_detect().
 */
int64_t tvn_deadlock_svg(const tvn_deadlock_state_t *state,
                         char *svg,
                         size_t size);

/**
 * One sentence about an error number, negative as functions return it, or positive. Never blocks; any thread.
 * @return a string that stays for ever; never NULL.
 */
const char *tvn_strerror(int error);

/**
 * The story of the last failure in the calling thread: what was tried, on what, with which value, and what
 * to do. A success leaves it as it is. Never blocks; each thread and each forked child has its own.
 * @return a string that stays until a call in this thread fails or the thread ends; empty if none has
 * failed yet; never NULL.
 */
const char *tvn_last_error(void);

/**
 * Prints the last failure of the calling thread to standard error, as perror(3) does: `prefix: story`, or
 * the story alone if `prefix` is NULL or empty. Lends `prefix`. Any thread.
 */
void tvn_perror(const char *prefix);

/**
 * Finds the event flags `name`, or creates them, set as in `initial`; existing ones stay as they are. Lends
 * `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
 * -ENOSPC if the segment has no room.
 */
int tvn_event(const tvn_segment_t *segment, const char *name, uint32_t initial, tvn_event_t **out);

/**
 * Creates the event flags `name`, set as in `initial`. Lends `segment` and `name`, gives `*out`. Does not wait
 * for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
 */
int tvn_event_create(const tvn_segment_t *segment,
                     const char *name,
                     uint32_t initial,
                     tvn_event_t **out);

/**
 * Opens the event flags `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there are none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_event_open(const tvn_segment_t *segment, const char *name, tvn_event_t **out);

/**
 * Lets go of the event flags. Takes `event`; NULL is fine. The flags stay in their segment. Never blocks. No other
 * thread may be using this handle.
 */
void tvn_event_close(tvn_event_t *event);

/**
 * Sets these flags and wakes everybody who waits, to look. Stores in `*before`, unless it is NULL, what was set
 * before. Lends `event`. Never blocks. Any thread; a forked child too.
 * @return 0.
 */
int tvn_event_set(const tvn_event_t *event,
                  uint32_t flags,
                  uint32_t *before);

/**
 * Clears these flags. Stores in `*before`, unless it is NULL, what was set before. Lends `event`. Never blocks.
 * Any thread; a forked child too.
 * @return 0.
 */
int tvn_event_clear(const tvn_event_t *event,
                    uint32_t flags,
                    uint32_t *before);

/**
 * The flags that are set at this moment. Lends `event`. Never blocks. Any thread; a forked child too.
 * @return the 32 flags, from 0 on. Flag 31 needs the 64 bits: in an int it would read as a failure.
 */
int64_t tvn_event_flags(const tvn_event_t *event);

/**
 * Blocks until one of the flags in `mask` is set, or until `timeout_ms` has passed. With `clear`, those found set
 * are cleared in the same step, so that exactly one of those who wait for a flag goes on; without, everybody does.
 * Stores in `*seen`, unless it is NULL, which of `mask` were set. Lends `event`. Any thread; a forked child too.
 * @return 0; -EINVAL for an empty `mask`; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
 * interruptible; -EIDRM if the event was removed.
 */
int tvn_event_wait_any(const tvn_event_t *event,
                       uint32_t mask,
                       bool clear,
                       int timeout_ms,
                       uint32_t *seen);

/**
 * Blocks until all the flags in `mask` are set, or until `timeout_ms` has passed. With `clear`, they are cleared
 * in the same step. Lends `event`. Any thread; a forked child too.
 * @return as tvn_event_wait_any().
 */
int tvn_event_wait_all(const tvn_event_t *event,
                       uint32_t mask,
                       bool clear,
                       int timeout_ms);

/**
 * Makes a daemon of this program: fork, setsid, fork; standard streams, directory and umask as `options` say. In the
 * daemon it gives `*out` and returns 0; the daemon says tvn_daemon_ready() or tvn_daemon_failed(). The first process waits
 * for that word and then usually ends. Lends `options` (NULL: all defaults). Flush stdio before: what it has buffered
 * is in both. The daemon has none of the other threads.
 * @return 0 in the daemon. In the first process: the daemon's process id once it is ready; -EBUSY if an instance holds
 * the pid file; -TVN_EFAILED if the daemon said that it failed, and tvn_last_error() has its sentence; -ECONNRESET if it
 * ended without a word; -EAGAIN if a limit on processes is reached; what opening the files reports.
 */
int tvn_daemonize(const tvn_daemon_options_t *options,
                  tvn_daemon_t **out);

/**
 * Tells the first process that the daemon came up. Only the first word counts. Lends `daemon`. Never blocks.
 * @return 0.
 */
int tvn_daemon_ready(tvn_daemon_t *daemon);

/**
 * Tells the first process that the daemon did not come up, and `why`. The daemon should end then. Lends `daemon` and
 * `why`. Never blocks.
 * @return 0.
 */
int tvn_daemon_failed(tvn_daemon_t *daemon,
                      const char *why);

/**
 * Lets go of the daemon's pid file and removes it. Takes `daemon`; NULL is fine.
 */
void tvn_daemon_close(tvn_daemon_t *daemon);

/**
 * Makes the FIFO `path`, with `mode` (0600 for its user alone) less the umask. With TVN_OWNED in `flags` it is
 * removed when the handle is closed. Lends `path`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EEXIST; -EACCES; -ENOENT if the folder is not there; what mkfifo(3) reports.
 */
int tvn_fifo_create(const char *path,
                    unsigned int mode,
                    unsigned int flags,
                    tvn_fifo_t **out);

/**
 * Finds the FIFO `path`, which must be there. Lends `path`, gives `*out`. Does not wait. Any thread.
 * @return 0; -ENOENT; -TVN_EINCOMPATIBLE if it is something else.
 */
int tvn_fifo_open(const char *path, tvn_fifo_t **out);

/**
 * Finds the FIFO `path`, or makes it; one that was there is not owned. Lends `path`, gives `*out`. Does not wait. Any
 * thread.
 * @return as tvn_fifo_create() and tvn_fifo_open(), without -EEXIST.
 */
int tvn_fifo_open_or_create(const char *path,
                            unsigned int mode,
                            unsigned int flags,
                            tvn_fifo_t **out);

/**
 * Removes the FIFO `path`. Who has it open goes on with it. Lends `path`. Does not wait. Any thread.
 * @return 0; -ENOENT; -TVN_EINCOMPATIBLE if it is something else; what unlink(2) reports.
 */
int tvn_fifo_unlink(const char *path);

/**
 * Lets go of the FIFO, and removes it if it is owned, in the process that made it. Takes `fifo`; NULL is fine. Its ends
 * stay open. Never blocks.
 */
void tvn_fifo_close(tvn_fifo_t *fifo);

/**
 * Opens the end to read from; blocks until somebody has the other open. Lends `fifo`, gives `*out`. Any thread; a
 * forked child too.
 * @return 0; -EAGAIN with TVN_TRY if nobody writes; -ETIMEDOUT; -EINTR if this thread is interruptible; -ENOENT if the
 * name is gone; -EACCES.
 */
int tvn_fifo_reader(const tvn_fifo_t *fifo,
                    int timeout_ms,
                    tvn_pipe_reader_t **out);

/**
 * Opens the end to write to; blocks until somebody has the other open. Lends `fifo`, gives `*out`. Any thread; a forked
 * child too.
 * @return as tvn_fifo_reader().
 */
int tvn_fifo_writer(const tvn_fifo_t *fifo,
                    int timeout_ms,
                    tvn_pipe_writer_t **out);

/**
 * Opens the file `path` to lock it: for reading and writing if that is permitted, otherwise for reading. Lends `path`,
 * gives `*out`. Does not wait. Any thread.
 * @return 0; -ENOENT; -EACCES; what open(2) reports.
 */
int tvn_file_lock_open(const char *path,
                       tvn_file_lock_t **out);

/**
 * Opens the file `path`, or makes it with `mode` less the umask. Lends `path`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EACCES; what open(2) reports.
 */
int tvn_file_lock_open_or_create(const char *path,
                                 unsigned int mode,
                                 tvn_file_lock_t **out);

/**
 * Makes a handle of a descriptor that is open. Takes `fd`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`.
 */
int tvn_file_lock_from_fd(int fd, tvn_file_lock_t **out);

/**
 * Closes the handle. Takes `lock`; NULL is fine. The lock ends with it, unless a forked process has it as well.
 */
void tvn_file_lock_close(tvn_file_lock_t *lock);

/**
 * Locks the file alone; blocks until nobody else holds it. Lends `lock`. A lock that the handle has already is changed,
 * not in one step: somebody else may come in between. When a holder dies the kernel unlocks. With TVN_FOREVER it blocks
 * in the kernel; with a deadline it tries again after pauses that grow to 4 ms. Threads: any; they are one holder.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ENOLCK if there is no room for
 * locks or no lock service (NFS); -EBADF on NFS if the file is not open for writing.
 */
int tvn_file_lock_lock(const tvn_file_lock_t *lock,
                       int timeout_ms);

/**
 * Locks the file together with others that do so; blocks until nobody holds it alone. Otherwise as tvn_file_lock_lock().
 * @return as tvn_file_lock_lock().
 */
int tvn_file_lock_lock_shared(const tvn_file_lock_t *lock,
                              int timeout_ms);

/**
 * Unlocks, also for forked processes that have the handle. If it was not locked nothing happens. Lends `lock`. Never
 * blocks. Any thread.
 * @return 0; what flock(2) reports.
 */
int tvn_file_lock_unlock(const tvn_file_lock_t *lock);

/**
 * Who took the lock, as /proc/locks lists it: stores at most `count` pids. One that took it before a fork may be dead
 * while its child holds it. Lends `lock` and `pids` (NULL will do with 0). Never blocks. Any thread.
 * @return how many there are, which may be more than `count`; 0 if nobody holds it or the kernel does not say.
 */
int64_t tvn_file_lock_holders(const tvn_file_lock_t *lock,
                              uint32_t *pids,
                              size_t count);

/**
 * The descriptor of the file, to read and write with. It stays the handle's: do not close it. Lends `lock`.
 * @return the descriptor.
 */
int tvn_file_lock_fd(const tvn_file_lock_t *lock);

/**
 * Makes the lock file `path` with `mode` (0600 for its user alone) less the umask; waits until nobody else has it, and
 * tries again after pauses that grow to 4 ms. The file says who made it; one that a dead process left is recognised. With
 * TVN_TAKE_OVER in `flags` such a file is taken over: ask tvn_lock_file_left_by(). With TVN_OWNED `triveni ls` shows the
 * file as a leftover if this process is killed. Lends `path`, gives `*out`. The lock is this process's: a forked child
 * does not have it. Any thread.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if a dead process left
 * the file; -ENOENT if the folder is not there; -EACCES; what open(2) and link(2) report.
 */
int tvn_lock_file_lock(const char *path,
                       unsigned int mode,
                       unsigned int flags,
                       int timeout_ms,
                       tvn_lock_file_t **out);

/**
 * Removes the lock file. Takes `lock`, also when it fails; NULL is fine. Never blocks. Any thread.
 * @return 0; -EPERM if the file is not ours any more, because somebody removed it, or this is a forked child: nothing is
 * removed then; what unlink(2) reports.
 */
int tvn_lock_file_unlock(tvn_lock_file_t *lock);

/**
 * Who had the lock before, if its file was taken over: put right first what that process may have left half done. Lends
 * `lock`. Never blocks. Any thread.
 * @return the pid of the dead process; 0 if the file was made anew.
 */
int64_t tvn_lock_file_left_by(const tvn_lock_file_t *lock);

/**
 * Whose the lock file `path` is. Lends `path` and `out`. Never blocks. Any thread.
 * @return 1 if it is there; 0 if it is not, and `*out` is untouched; -EACCES if it cannot be read.
 */
int tvn_lock_file_holder(const char *path, tvn_lock_file_holder_t *out);

/**
 * Makes an anonymous pipe, for this process and those that it forks. Gives `*reader` and `*writer`. Both are
 * close-on-exec. After fork each process closes the end that it does not use: as long as any process has the writing
 * end, the reader sees no end of the stream. Does not wait. Any thread.
 * @return 0; -EMFILE, -ENFILE if there are too many descriptors.
 */
int tvn_pipe(tvn_pipe_reader_t **reader,
             tvn_pipe_writer_t **writer);

/**
 * Makes a pipe and forks: the child reads what the parent writes. Gives `*writer` and `*child` to the parent, `*reader`
 * to the child; each process has closed the end that it does not use, and what is not its own is untouched. For the form
 * in which the program closes them: tvn_pipe(), tvn_fork(), tvn_pipe_reader_close() and tvn_pipe_writer_close().
 * @return the child's process id; 0 in the child; -EMFILE, -ENFILE; -EAGAIN if a limit on processes is reached.
 */
int tvn_pipe_to_child(tvn_pipe_reader_t **reader,
                      tvn_pipe_writer_t **writer,
                      tvn_child_t **child);

/**
 * Makes a pipe and forks: the parent reads what the child writes. Gives `*reader` and `*child` to the parent, `*writer`
 * to the child; otherwise as tvn_pipe_to_child().
 * @return as there.
 */
int tvn_pipe_from_child(tvn_pipe_reader_t **reader,
                        tvn_pipe_writer_t **writer,
                        tvn_child_t **child);

/**
 * Makes the reading end of a descriptor of a pipe or FIFO, a standard stream for instance. Takes `fd` and gives `*out`.
 * Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it can be read from shows at the first use.
 */
int tvn_pipe_reader_from_fd(int fd,
                            tvn_pipe_reader_t **out);

/**
 * Makes the writing end of a descriptor of a pipe or FIFO. Takes `fd` and gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it can be written to shows at the first use.
 */
int tvn_pipe_writer_from_fd(int fd,
                            tvn_pipe_writer_t **out);

/**
 * Closes the reading end. Takes `end`; NULL is fine. Writers get -EPIPE once no process has it any more. Never blocks.
 */
void tvn_pipe_reader_close(tvn_pipe_reader_t *end);

/**
 * Closes the writing end. Takes `end`; NULL is fine. What is kept of a message (tvn_pipe_writer_flush()) is lost.
 * Readers see the end of the stream once no process has it any more. Never blocks.
 */
void tvn_pipe_writer_close(tvn_pipe_writer_t *end);

/**
 * Reads some bytes, at most `size`; blocks until there are any. Lends `end` and `buffer`. A writer that dies closes
 * its end; what it wrote stays. Threads: any number; each byte goes to one. A forked child too.
 * @return how many; 0 at the end of the stream; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
 * interruptible; -EBADF if it is no end to read from.
 */
int64_t tvn_pipe_reader_read(const tvn_pipe_reader_t *end,
                             void *buffer,
                             size_t size,
                             int timeout_ms);

/**
 * Reads exactly `size` bytes. Lends `end` and `buffer`. Threads and fork as tvn_pipe_reader_read().
 * @return 0; -EPIPE if the stream ends before; -ETIMEDOUT or -EINTR also in the middle, with what came in `buffer`:
 * tvn_last_error() says how much. With TVN_TRY it does not wait: -ETIMEDOUT.
 */
int tvn_pipe_reader_receive_exact(const tvn_pipe_reader_t *end,
                                  void *buffer,
                                  size_t size,
                                  int timeout_ms);

/**
 * Receives one message of tvn_pipe_writer_send() into `buffer`; blocks until all of it is there. Lends `end` and
 * `buffer`. On the stream a message is its length in 4 bytes, most significant first, and its bytes. What came before
 * a deadline is kept for the next call. One thread at a time.
 * @return its size; -EPIPE at the end of the stream, also in the middle of a message; -EMSGSIZE if `size` is too
 * small: the message stays, and tvn_pipe_reader_message_size() tells its size; -EAGAIN with TVN_TRY; -ETIMEDOUT;
 * -EINTR if this thread is interruptible.
 */
int64_t tvn_pipe_reader_receive(tvn_pipe_reader_t *end,
                                void *buffer,
                                size_t size,
                                int timeout_ms);

/**
 * The size of the next message; blocks until its length is there. The message stays. Lends `end`. One thread at a time.
 * @return the size; otherwise as tvn_pipe_reader_receive(), without -EMSGSIZE.
 */
int64_t tvn_pipe_reader_message_size(tvn_pipe_reader_t *end,
                                     int timeout_ms);

/**
 * Writes; blocks until there is room for all of it, or, with a timeout, for some. Lends `end` and `data`. Threads: any
 * number, each write of up to TVN_PIPE_ATOMIC bytes in one piece. A forked child too.
 * @return how many bytes were taken; -EPIPE if nobody has the reading end any more, and no SIGPIPE (see
 * tvn_pipe_writer_raise_sigpipe()); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_pipe_writer_write(const tvn_pipe_writer_t *end,
                              const void *data,
                              size_t size,
                              int timeout_ms);

/**
 * Writes all of `data`. Lends `end` and `data`. Threads and fork as tvn_pipe_writer_write().
 * @return 0; -EPIPE; -ETIMEDOUT or -EINTR also in the middle: tvn_last_error() says how much was written.
 */
int tvn_pipe_writer_send_all(const tvn_pipe_writer_t *end, const void *data, size_t size, int timeout_ms);

/**
 * Sends one message: its length in 4 bytes, most significant first, then itself; in one piece if it has at most
 * TVN_PIPE_ATOMIC - 4 bytes, so that many processes can send to one reader. Blocks until there is room. Lends `end` and
 * `data`. A message whose beginning is written is not taken back: what had no room until the deadline is kept and goes
 * before the next message, or with tvn_pipe_writer_flush(). One thread at a time.
 * @return 0; -EPIPE; -EMSGSIZE beyond 4 GiB; -EAGAIN with TVN_TRY if there was no room for its beginning; -ETIMEDOUT
 * and -EINTR: tvn_pipe_writer_unsent() says whether it was begun.
 */
int tvn_pipe_writer_send(tvn_pipe_writer_t *end,
                         const void *data,
                         size_t size,
                         int timeout_ms);

/**
 * Sends what is kept of the last message, if anything is. Lends `end`. One thread at a time.
 * @return as tvn_pipe_writer_write(), and 0 for success.
 */
int tvn_pipe_writer_flush(tvn_pipe_writer_t *end, int timeout_ms);

/**
 * How many bytes of the last message are kept. Lends `end`. Never blocks.
 * @return the bytes, from 0 on.
 */
int64_t tvn_pipe_writer_unsent(const tvn_pipe_writer_t *end);

/**
 * Chooses whether a write without a reader raises SIGPIPE as well. At first it does not: in a program that ignores
 * SIGPIPE (`signal(SIGPIPE, SIG_IGN)`, before the end is made) that costs nothing, in others two system calls for each
 * write. Lends `end`. Never blocks. One thread at a time.
 * @return 0.
 */
int tvn_pipe_writer_raise_sigpipe(tvn_pipe_writer_t *end,
                                  bool raise);

/**
 * The size of the kernel's buffer. Lends `end`. Never blocks. Any thread.
 * @return bytes; -EBADF if it is no pipe.
 */
int64_t tvn_pipe_reader_capacity(const tvn_pipe_reader_t *end);

/**
 * The size of the kernel's buffer. Lends `end`. Never blocks. Any thread.
 * @return bytes; -EBADF if it is no pipe.
 */
int64_t tvn_pipe_writer_capacity(const tvn_pipe_writer_t *end);

/**
 * Asks for a buffer of `bytes`; the kernel rounds up. Lends `end`. Never blocks. Any thread.
 * @return what it is now; -EACCES above /proc/sys/fs/pipe-max-size without the privilege; -EBUSY below what is in it;
 * -EINVAL for 0.
 */
int64_t tvn_pipe_reader_set_capacity(const tvn_pipe_reader_t *end,
                                     size_t bytes);

/**
 * Asks for a buffer of `bytes`; as tvn_pipe_reader_set_capacity(), from the other end.
 * @return as there.
 */
int64_t tvn_pipe_writer_set_capacity(const tvn_pipe_writer_t *end, size_t bytes);

/**
 * How many bytes can be read now. Lends `end`. Never blocks. Any thread.
 * @return bytes, from 0 on.
 */
int64_t tvn_pipe_reader_len(const tvn_pipe_reader_t *end);

/**
 * Its descriptor: for poll(2), dup2(2) and wait sets. It stays the handle's. Lends `end`. Never blocks.
 * @return the descriptor.
 */
int tvn_pipe_reader_fd(const tvn_pipe_reader_t *end);

/**
 * Its descriptor: for poll(2), dup2(2) and wait sets. It stays the handle's. Lends `end`. Never blocks.
 * @return the descriptor.
 */
int tvn_pipe_writer_fd(const tvn_pipe_writer_t *end);

/**
 * Starts the programs of a pipeline: each reads what the one before it writes. The first reads from `input` (its `fd` is
 * of no account; NULL: where the caller does), the last writes to `out_to` (NULL: it is collected for
 * tvn_pipeline_output()). Lends all but `out`, gives `*out`. Does not wait for their ends. Any thread.
 * @return 0; -EINVAL for no program; otherwise as tvn_spawn(): then those that were started already are killed.
 */
int tvn_pipeline_start(const tvn_stage_t *stages,
                       size_t count,
                       const tvn_redirect_t *input,
                       const tvn_redirect_t *out_to,
                       tvn_pipeline_t **out);

/**
 * Takes the pipe that the last program writes to, to read it piece by piece. Gives `*out`, lends `pipeline`. Does not wait.
 * @return 0; -ENOENT if its output went elsewhere or was taken.
 */
int tvn_pipeline_take_output(tvn_pipeline_t *pipeline,
                             tvn_pipe_reader_t **out);

/**
 * Reads the output and waits until all programs have ended. Fills `statuses` as from waitpid(2), at most `count`, in the
 * order of the programs. Lends `pipeline` and `statuses` (NULL will do with 0). A later wait says the same.
 * @return what a shell with `pipefail` says: the exit status of the last program that did not end with 0 (128 + n if
 * signal n killed it), or 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int tvn_pipeline_wait(tvn_pipeline_t *pipeline,
                      int *statuses,
                      size_t count,
                      int timeout_ms);

/**
 * What the last program wrote, once tvn_pipeline_wait() has said that all have ended. Lends `pipeline`; `*data` is lent
 * until the pipeline is closed.
 * @return how many bytes; -EAGAIN before the end.
 */
int64_t tvn_pipeline_output(const tvn_pipeline_t *pipeline,
                            const char **data);

/**
 * Lets go of a pipeline. Takes `pipeline`; NULL is fine. Programs that still run are killed.
 */
void tvn_pipeline_close(tvn_pipeline_t *pipeline);

/**
 * Creates the POSIX queue `name` (a slash, then 1 to 255 bytes without one; the slash may be left out) for `capacity`
 * messages of up to `message_size` bytes, 0 for the system's default (10 of 8192). Who may open it says `mode`, exactly,
 * whatever the umask: 0600 is this user alone. `flags`: 0, or TVN_OWNED, TVN_SEND_ONLY, TVN_RECEIVE_ONLY.
 *
 * A queue and its messages stay when all its users have ended or were killed, until tvn_posix_queue_unlink().
 * Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST; -EINVAL for a bad name, and beyond /proc/sys/fs/mqueue/msg_max and msgsize_max; -EMFILE beyond
 * RLIMIT_MSGQUEUE; -ENOSPC beyond /proc/sys/fs/mqueue/queues_max; -ENOSYS where the system has no such queues.
 */
int tvn_posix_queue_create(const char *name,
                           size_t capacity,
                           size_t message_size,
                           unsigned int mode,
                           unsigned int flags,
                           tvn_posix_queue_t **out);

/**
 * Opens the POSIX queue `name`, which must exist. `flags`: 0, TVN_SEND_ONLY or TVN_RECEIVE_ONLY. Lends `name`, gives
 * `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT; -EACCES if its mode does not admit this; -EINVAL for a bad name.
 */
int tvn_posix_queue_open(const char *name,
                         unsigned int flags,
                         tvn_posix_queue_t **out);

/**
 * Opens the POSIX queue `name`, or creates it as tvn_posix_queue_create() does. One that is there is not owned, and
 * must have the sizes that are asked for, if they are not 0. Lends `name`, gives `*out`. Does not wait. Any thread; a
 * forked child too.
 * @return as tvn_posix_queue_create() and tvn_posix_queue_open(), without -EEXIST and -ENOENT; -TVN_EINCOMPATIBLE for
 * other sizes.
 */
int tvn_posix_queue_open_or_create(const char *name,
                                   size_t capacity,
                                   size_t message_size,
                                   unsigned int mode,
                                   unsigned int flags,
                                   tvn_posix_queue_t **out);

/**
 * Makes a handle of the descriptor of a POSIX queue (an `mqd_t` on Linux), inherited for instance. Takes `fd`, also
 * when it is no queue's; gives `*out`. Does not wait. Any thread.
 * @return 0; -TVN_EINCOMPATIBLE if it is no queue's; -EINVAL for a negative `fd`, and then nothing is taken.
 */
int tvn_posix_queue_from_fd(int fd,
                            tvn_posix_queue_t **out);

/**
 * Removes the name of a POSIX queue. Who has it open goes on with it; it ends, with its messages, at the last close.
 * Lends `name`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT; -EACCES for who neither owns it nor is root.
 */
int tvn_posix_queue_unlink(const char *name);

/**
 * Closes the queue, and removes it if it is owned, in the process that made it. Takes `queue`; NULL is fine. Its
 * messages stay. Never blocks. No other thread may be using this handle.
 */
void tvn_posix_queue_close(tvn_posix_queue_t *queue);

/**
 * Its descriptor: readable (POLLIN) while there is a message, writable (POLLOUT) while there is room. Lends `queue`,
 * whose descriptor it stays. Never blocks. Any thread; a forked child too.
 * @return the descriptor, from 0 on.
 */
int tvn_posix_queue_fd(const tvn_posix_queue_t *queue);

/**
 * Sends a copy of `size` bytes at `message` (NULL will do for 0) with priority 0; blocks while the queue is full, or
 * until `timeout_ms` has passed. Lends `queue` and `message`. A process that dies here has sent the whole message, or
 * none. Any thread; a forked child too.
 * @return 0; -EMSGSIZE for more than tvn_posix_queue_message_size(); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this
 * thread is interruptible; -EBADF if it was opened to receive only.
 */
int tvn_posix_queue_send(const tvn_posix_queue_t *queue,
                         const void *message,
                         size_t size,
                         int timeout_ms);

/**
 * As tvn_posix_queue_send(), with a priority from 0 to TVN_POSIX_QUEUE_MAX_PRIORITY: the highest is received first,
 * among equals the oldest. Lends `queue` and `message`. Any thread; a forked child too.
 * @return as tvn_posix_queue_send(); -EINVAL for a priority that is too high.
 */
int tvn_posix_queue_send_with(const tvn_posix_queue_t *queue,
                              const void *message,
                              size_t size,
                              uint32_t priority,
                              int timeout_ms);

/**
 * Receives the oldest message of the highest priority into `message`, which must have room for the largest the queue
 * takes (`size` ≥ tvn_posix_queue_message_size()); blocks while the queue is empty, or until `timeout_ms` has passed.
 * Lends `queue` and `message`. Any thread; a forked child too.
 * @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small, and nothing is taken; -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EBADF if it was opened to send only.
 */
int64_t tvn_posix_queue_receive(const tvn_posix_queue_t *queue,
                                void *message,
                                size_t size,
                                int timeout_ms);

/**
 * As tvn_posix_queue_receive(), and stores the message's priority in `*priority`. Lends `queue` and `message`. Any
 * thread; a forked child too.
 * @return as tvn_posix_queue_receive().
 */
int64_t tvn_posix_queue_receive_envelope(const tvn_posix_queue_t *queue,
                                         void *message,
                                         size_t size,
                                         int timeout_ms,
                                         uint32_t *priority);

/**
 * Asks for the signal `signal`, carrying `value` (`si_value.sival_int`, with `si_code` SI_MESGQ), when a message comes
 * to the queue while it is empty and nobody waits to receive it. Once: to be told again, ask again, and then receive
 * what is there. The wish ends with this process, and when it closes any descriptor of the queue. Without a signal,
 * poll tvn_posix_queue_fd(). Lends `queue`. Never blocks. Any thread; a forked child asks for itself.
 * @return 0; -EBUSY if a process has asked and was not told yet; -EINVAL for no signal.
 */
int tvn_posix_queue_notify(const tvn_posix_queue_t *queue,
                           int signal,
                           int value);

/**
 * Takes back what tvn_posix_queue_notify() asked. Lends `queue`. Never blocks. Any thread.
 * @return 0, also if this process has not asked.
 */
int tvn_posix_queue_cancel_notify(const tvn_posix_queue_t *queue);

/**
 * How many messages are in it at this moment. Lends `queue`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_posix_queue_length(const tvn_posix_queue_t *queue);

/**
 * How many messages it holds. Lends `queue`. Never blocks. Any thread; a forked child too.
 * @return the number, from 1 on.
 */
int64_t tvn_posix_queue_capacity(const tvn_posix_queue_t *queue);

/**
 * The largest message in bytes. Lends `queue`. Never blocks. Any thread; a forked child too.
 * @return the size, from 1 on.
 */
int64_t tvn_posix_queue_message_size(const tvn_posix_queue_t *queue);

/**
 * Stores in `*info` what the kernel tells about the queue at this moment. Lends `queue`. Never blocks. Any thread; a
 * forked child too.
 * @return 0.
 */
int tvn_posix_queue_info(const tvn_posix_queue_t *queue,
                         tvn_posix_queue_info_t *info);

/**
 * Fills `array` with all POSIX queues of this system, by name, as many as there are and at most `count`. It opens and
 * closes each, which ends a notification that this very process has asked for. Lends `array` (NULL will do with 0).
 * Never blocks. Any thread; a forked child too.
 * @return how many there are, which may be more than `count`; -ENOSYS where no file system of type mqueue is mounted.
 */
int64_t tvn_posix_queue_list(tvn_posix_queue_info_t *array,
                             size_t count);

/**
 * Creates the semaphore `name` ("/counter") with `initial` permits. `mode` says who may use it: 0600 is this user
 * alone; the umask takes nothing away. `flags`: 0 or TVN_OWNED. Plain programs open it by sem_open(3).
 *
 * It keeps its value when all its users have ended or were killed, until tvn_posix_semaphore_unlink().
 * Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST; -EINVAL for a bad name or more than 2147483647 permits; -EACCES; -ENOSPC if /dev/shm is full.
 */
int tvn_posix_semaphore_create(const char *name,
                               uint32_t initial,
                               unsigned int mode,
                               unsigned int flags,
                               tvn_posix_semaphore_t **out);

/**
 * Opens the semaphore `name`, which must exist. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child
 * too.
 * @return 0; -ENOENT; -EINVAL for a bad name; -EACCES; -TVN_ECORRUPT if its file is too small to be one.
 */
int tvn_posix_semaphore_open(const char *name,
                             tvn_posix_semaphore_t **out);

/**
 * Opens the semaphore `name`, or creates it as tvn_posix_semaphore_create() does; one that is there keeps its value and
 * is not owned. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return as tvn_posix_semaphore_create(), without -EEXIST.
 */
int tvn_posix_semaphore_open_or_create(const char *name,
                                       uint32_t initial,
                                       unsigned int mode,
                                       unsigned int flags,
                                       tvn_posix_semaphore_t **out);

/**
 * Removes the name. Who has the semaphore open keeps it; it goes with the last of them. Lends `name`. Does not wait. Any
 * thread.
 * @return 0; -ENOENT; -EINVAL for a bad name; -EACCES.
 */
int tvn_posix_semaphore_unlink(const char *name);

/**
 * Makes an unnamed semaphore with `initial` permits at `at`, over whatever lies there: sizeof(sem_t) bytes of memory that
 * processes share, at an address that is a multiple of 8, mapped until tvn_posix_semaphore_close(). One process does
 * this, before the others call tvn_posix_semaphore_open_at(). Gives `*out`. Does not wait. Any thread; a forked child
 * too.
 * @return 0; -EINVAL for another address or more than 2147483647 permits.
 */
int tvn_posix_semaphore_init_at(void *at,
                                uint32_t initial,
                                tvn_posix_semaphore_t **out);

/**
 * Takes the unnamed semaphore that somebody has made at `at`, by tvn_posix_semaphore_init_at() or sem_init(3). Nothing
 * tells it from other bytes. Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EINVAL for an address that is no multiple of 8.
 */
int tvn_posix_semaphore_open_at(void *at,
                                tvn_posix_semaphore_t **out);

/**
 * Lets go of the semaphore, and unlinks its name if it is owned, in the process that made it. Takes `semaphore`; NULL is
 * fine. Never blocks.
 */
void tvn_posix_semaphore_close(tvn_posix_semaphore_t *semaphore);

/**
 * Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. A process that dies before its post
 * never gives that permit. Lends `semaphore`. Any thread; a forked child too.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int tvn_posix_semaphore_wait(const tvn_posix_semaphore_t *semaphore,
                             int timeout_ms);

/**
 * Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a forked child
 * too.
 * @return 0; -EOVERFLOW at 2147483647, and nothing is added.
 */
int tvn_posix_semaphore_post(const tvn_posix_semaphore_t *semaphore);

/**
 * How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks. Any thread; a
 * forked child too.
 * @return the permits, from 0 on.
 */
int64_t tvn_posix_semaphore_value(const tvn_posix_semaphore_t *semaphore);

/**
 * Creates the POSIX shared memory `name` ("/data") of `size` bytes, all 0, and attaches it. `mode` says who may use it:
 * 0600 is this user alone; the umask takes nothing away. `flags`: 0 or TVN_OWNED. Plain programs get it by shm_open(3)
 * and mmap(2).
 *
 * Its memory is reserved now, so that a full /dev/shm is an error here. It stays when all its users have ended or were
 * killed, until tvn_posix_shared_memory_unlink() and the last detaches it. Who may write to it can also truncate it:
 * whoever touches what is gone then is killed by SIGBUS.
 * Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST; -EINVAL for a bad name or size 0; -EACCES; -ENOSPC if /dev/shm has no room for it.
 */
int tvn_posix_shared_memory_create(const char *name,
                                   size_t size,
                                   unsigned int mode,
                                   unsigned int flags,
                                   tvn_posix_shared_memory_t **out);

/**
 * Attaches the POSIX shared memory `name`, which must exist and have `at_least` bytes (0: as many as there are). `flags`:
 * 0 or TVN_READ_ONLY. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT; -EINVAL for a bad name; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes, or none yet.
 */
int tvn_posix_shared_memory_open(const char *name,
                                 size_t at_least,
                                 unsigned int flags,
                                 tvn_posix_shared_memory_t **out);

/**
 * Attaches the POSIX shared memory `name`, or creates it as tvn_posix_shared_memory_create() does; one that is there has
 * `size` bytes at least and is not owned. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return as tvn_posix_shared_memory_create() and tvn_posix_shared_memory_open(), without -EEXIST and -ENOENT.
 */
int tvn_posix_shared_memory_open_or_create(const char *name,
                                           size_t size,
                                           unsigned int mode,
                                           unsigned int flags,
                                           tvn_posix_shared_memory_t **out);

/**
 * Removes the name. Who has the memory attached keeps it; it goes with the last of them. Lends `name`. Does not wait. Any
 * thread.
 * @return 0; -ENOENT; -EINVAL for a bad name; -EACCES.
 */
int tvn_posix_shared_memory_unlink(const char *name);

/**
 * Detaches the memory, and unlinks its name if it is owned, in the process that made it. Takes `memory`; NULL is fine.
 * Pointers from tvn_posix_shared_memory_data() are no longer good. Never blocks.
 */
void tvn_posix_shared_memory_close(tvn_posix_shared_memory_t *memory);

/**
 * Its first byte. Good until tvn_posix_shared_memory_close(). Other processes read and write there at any time: keep
 * order with a semaphore. Lends `memory`. Never blocks. Any thread; a forked child too.
 * @return the address; NULL only for NULL.
 */
void *tvn_posix_shared_memory_data(const tvn_posix_shared_memory_t *memory);

/**
 * How many bytes are attached. Lends `memory`. Never blocks. Any thread; a forked child too.
 * @return the size, from 1 on.
 */
int64_t tvn_posix_shared_memory_size(const tvn_posix_shared_memory_t *memory);

/**
 * The descriptor of its file: for fstat(2), or to be passed to another process. It stays the handle's. Lends `memory`.
 * Never blocks.
 * @return the descriptor.
 */
int tvn_posix_shared_memory_fd(const tvn_posix_shared_memory_t *memory);

/**
 * Starts a program: `argv` is its name, looked for in PATH unless there is a slash in it, and its arguments, and ends
 * with NULL. It dies of SIGPIPE and blocks no signal, whatever the caller does. Lends `argv` and `options` (NULL: all
 * defaults), gives `*out`. Returns when the program runs; on failure there is no child. Any thread.
 * @return 0; -ENOENT if there is no such program, interpreter, file or directory: tvn_last_error() says where it was
 * looked for; -EACCES if it may not be executed; -ENOEXEC if it is no program; -E2BIG for too many arguments; -EAGAIN if
 * a limit on processes is reached, which tvn_last_error() names; what opening the files reports.
 */
int tvn_spawn(const char *const *argv,
              const tvn_spawn_options_t *options,
              tvn_child_t **out);

/**
 * Makes a child that goes on where the caller does, like fork(2). Gives `*out` to the parent; in the child it is
 * untouched. Segments and objects go on working in the child. What stdio has buffered is in both: fflush() before.
 * @return the child's process id; 0 in the child; -EAGAIN if a limit on processes is reached; -EMFILE without a
 * descriptor for the child: then there is none.
 */
int tvn_fork(tvn_child_t **out);

/**
 * A handle on a child that something else has started, which nobody has waited for. Gives `*out`. Does not wait.
 * @return 0; -ECHILD if there is no such child of this process; -ESRCH if there is no such process.
 */
int tvn_child_adopt(int pid,
                    tvn_child_t **out);

/**
 * Lets go of a child. Takes `child`; NULL is fine. One that still runs goes on, and is reaped by a later call for
 * processes when it has ended: no zombie stays. With TVN_SPAWN_KILL_ON_CLOSE it is killed, and this waits for its end.
 */
void tvn_child_close(tvn_child_t *child);

/**
 * Its process id. Lends `child`. Never blocks.
 * @return the process id.
 */
int tvn_child_pid(const tvn_child_t *child);

/**
 * A descriptor that is readable once the child has ended, for poll() or tvn_wait_set_add_fd(). Lends `child`, and the
 * descriptor until it is closed. Never blocks.
 * @return the descriptor.
 */
int tvn_child_fd(const tvn_child_t *child);

/**
 * Waits until the child has ended, and reaps it. `*status` is as from waitpid(2): WIFEXITED() and so on read it. A
 * second wait says the same. Lends `child` and `status` (NULL will do). Any number of threads; in a forked child it
 * answers -TVN_EFORKED.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECHILD if somebody else took
 * its end, as waitpid(-1) does.
 */
int tvn_child_wait(const tvn_child_t *child,
                   int *status,
                   int timeout_ms);

/**
 * Waits until the child stops, continues or ends, whatever nobody was told yet. `*status` is as from waitpid(2):
 * WIFSTOPPED(), WIFCONTINUED(), WIFEXITED() and so on read it. Lends `child` and `status` (NULL will do). Threads and fork
 * as tvn_child_wait().
 * @return as tvn_child_wait().
 */
int tvn_child_wait_change(const tvn_child_t *child,
                          int *status,
                          int timeout_ms);

/**
 * Sends a signal to this very process, never to a later one with its number: SIGTERM, SIGSTOP, SIGCONT, SIGKILL, ...
 * Lends `child`. Never blocks. Any thread.
 * @return 0; -ESRCH if it has ended; -EACCES if it is another user's by now; -EINVAL for no signal.
 */
int tvn_child_send(const tvn_child_t *child,
                   int signal);

/**
 * Ends the child at once (SIGKILL). Lends `child`. Never blocks; tvn_child_wait() tells when it is gone.
 * @return as tvn_child_send().
 */
int tvn_child_kill(const tvn_child_t *child);

/**
 * Asks the system to stop the child (SIGSTOP). Lends `child`. Never blocks; tvn_child_wait_change() tells when it stands.
 * @return as tvn_child_send().
 */
int tvn_child_stop(const tvn_child_t *child);

/**
 * Lets the child go on (SIGCONT). Lends `child`. Never blocks.
 * @return as tvn_child_send().
 */
int tvn_child_cont(const tvn_child_t *child);

/**
 * Makes a chain of `n` processes: the first is a child of the caller, each other one of the one before. They sleep until
 * tvn_family_close(), or until the caller ends. Gives `*out`. Any thread.
 * @return 0; -EINVAL unless `n` is 1 to 1024; -EAGAIN if a limit on processes is reached, which tvn_last_error() names:
 * then none is left.
 */
int tvn_chain(size_t n,
              tvn_family_t **out);

/**
 * Makes a fan of `n` processes: all are children of the caller. As tvn_chain() in everything else.
 * @return as tvn_chain().
 */
int tvn_fan(size_t n, tvn_family_t **out);

/**
 * Fills `array` with what the processes reported, in the order in which they were made, at most `count`. Lends `family`
 * and `array` (NULL will do with 0). Never blocks.
 * @return how many there are, which may be more than `count`.
 */
int64_t tvn_family_members(const tvn_family_t *family,
                           tvn_member_t *array,
                           size_t count);

/**
 * Ends the processes and waits until they are gone. Takes `family`; NULL is fine.
 */
void tvn_family_close(tvn_family_t *family);

/**
 * Fills `array` with process `pid` (0: the caller) and all that descend from it, each before its children, at most
 * `count`. Lends `array` (NULL will do with 0). Does not wait; it reads /proc. Any thread.
 * @return how many there are, which may be more than `count`; -ESRCH if there is no such process.
 */
int64_t tvn_process_tree(int pid,
                         tvn_tree_node_t *array,
                         size_t count);

/**
 * Draws the tree under process `pid` (0: the caller), a line for each, in UTF-8 with a NUL at its end, cut if it has no
 * room in the `size` bytes of `buffer`. Lends `buffer` (NULL will do with 0). Does not wait. Any thread.
 * @return how many bytes the whole drawing has, without the NUL; -ESRCH if there is no such process.
 */
int64_t tvn_process_tree_draw(int pid,
                              char *buffer,
                              size_t size);

/**
 * Opens the file `path` to lock ranges of it: for reading and writing if that is permitted, otherwise for reading. Lends
 * `path`, gives `*out`. Does not wait. Any thread.
 * @return 0; -ENOENT; -EACCES; what open(2) reports.
 */
int tvn_range_lock_open(const char *path,
                        tvn_range_lock_t **out);

/**
 * Opens the file `path`, or makes it with `mode` less the umask. Lends `path`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EACCES; what open(2) reports.
 */
int tvn_range_lock_open_or_create(const char *path,
                                  unsigned int mode,
                                  tvn_range_lock_t **out);

/**
 * Makes a handle of a descriptor that is open. Takes `fd`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`.
 */
int tvn_range_lock_from_fd(int fd, tvn_range_lock_t **out);

/**
 * Closes the handle. Takes `lock`; NULL is fine. Its locks end with it, unless a forked process has it as well.
 */
void tvn_range_lock_close(tvn_range_lock_t *lock);

/**
 * Locks `length` bytes from `start` on alone, 0 for all that the file may grow to; blocks until no other handle has one of
 * them. Lends `lock`. Bytes that the handle has already are changed, not waited for. When a holder dies the kernel
 * unlocks. The kernel does not look for deadlocks among these locks: give a deadline, or lock in ascending order. With
 * TVN_FOREVER it blocks in the kernel; with a deadline it tries again after pauses that grow to 4 ms. Threads: any; they
 * are one holder.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT, and tvn_last_error() says what is in the way; -EINTR if this thread is
 * interruptible; -EBADF if the file is not open for writing; -EINVAL beyond 2^63; -ENOLCK if there is no room for locks
 * or no lock service (NFS).
 */
int tvn_range_lock_lock(const tvn_range_lock_t *lock,
                        uint64_t start,
                        uint64_t length,
                        int timeout_ms);

/**
 * Locks `length` bytes from `start` on together with others that do so. Otherwise as tvn_range_lock_lock().
 * @return as tvn_range_lock_lock(); -EBADF if the file is not open for reading.
 */
int tvn_range_lock_lock_shared(const tvn_range_lock_t *lock, uint64_t start, uint64_t length, int timeout_ms);

/**
 * Unlocks `length` bytes from `start` on, 0 for all that follow, also for forked processes that have the handle. Bytes
 * that are not locked stay so. Lends `lock`. Never blocks. Any thread.
 * @return 0; -EINVAL beyond 2^63; what fcntl(2) reports.
 */
int tvn_range_lock_unlock(const tvn_range_lock_t *lock,
                          uint64_t start,
                          uint64_t length);

/**
 * What would be in the way of locking `length` bytes from `start` on, alone if `exclusive`: the first such lock. It may
 * be gone by the time you look. Lends `lock` and `out`. Never blocks. Any thread.
 * @return 1 if there is one; 0 if nothing is in the way, and `*out` is untouched; as tvn_range_lock_lock().
 */
int tvn_range_lock_blocker(const tvn_range_lock_t *lock,
                           uint64_t start,
                           uint64_t length,
                           bool exclusive,
                           tvn_range_blocker_t *out);

/**
 * The descriptor of the file, to read and write with. It stays the handle's: do not close it. Lends `lock`.
 * @return the descriptor.
 */
int tvn_range_lock_fd(const tvn_range_lock_t *lock);

/**
 * Sends a signal to a process. Signal 0 asks whether it is there. A process id may come to name a later process; a
 * tvn_child_t does not. Never blocks. Any thread.
 * @return 0; -ESRCH if there is no such process; -EACCES if it is another user's: tvn_last_error() names both users;
 * -EINVAL for no signal, and for a `pid` below 1, which would be a group or everybody.
 */
int tvn_send_signal(int pid,
                    int signal);

/**
 * Sends a signal with a value (sigqueue). Signals from SIGRTMIN on queue, each with its value; of the others one is
 * pending at most. Never blocks. Any thread.
 * @return as tvn_send_signal(); -EAGAIN if as many are pending as RLIMIT_SIGPENDING allows: nothing is sent.
 */
int tvn_queue_signal(int pid,
                     int signal,
                     int value);

/**
 * Writes what a signal is called, SIGTERM or SIGRTMIN+3, with a NUL at its end, cut if it has no room. Lends `buffer` (NULL
 * will do with 0). Never blocks.
 * @return how many bytes the whole name has, without the NUL.
 */
int64_t tvn_signal_name(int signal,
                        char *buffer,
                        size_t size);

/**
 * Blocks `count` signals in the calling thread and takes them from now on. Threads made afterwards inherit the mask;
 * a thread that does not block them still gets them as the program's disposition says, so do this before threads are
 * started. Lends `signals`, gives `*out`. Does not wait.
 * @return 0; -EINVAL for no signal, and for SIGKILL and SIGSTOP.
 */
int tvn_signals_take(const int *signals,
                     size_t count,
                     tvn_signals_t **out);

/**
 * Takes the next signal; waits for it. No handler runs. Lends `signals` and `info`. Any thread; a forked child takes its
 * own signals.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible and the handler of another signal
 * has run.
 */
int tvn_signals_receive(const tvn_signals_t *signals,
                        tvn_signal_info_t *info,
                        int timeout_ms);

/**
 * A descriptor that is readable while one of the signals is pending, for poll() or tvn_wait_set_add_fd(). Lends
 * `signals`, and the descriptor until it is closed. Never blocks.
 * @return the descriptor.
 */
int tvn_signals_fd(const tvn_signals_t *signals);

/**
 * Lets go of the signals; on the thread that took them, gives its mask back: what is still pending is then delivered.
 * Takes `signals`; NULL is fine.
 */
void tvn_signals_close(tvn_signals_t *signals);

/**
 * Blocks `count` signals in the calling thread until tvn_mask_close(): a section that their handlers do not interrupt.
 * Lends `signals`, gives `*out`. Never blocks.
 * @return 0; -EINVAL for no signal, and for SIGKILL and SIGSTOP.
 */
int tvn_mask_block(const int *signals,
                   size_t count,
                   tvn_mask_t **out);

/**
 * Sleeps with the mask from before, until a signal handler has run: one step for the system, so that a signal which came
 * after the block ends it at once, where pause() would sleep for ever. Lends `mask`. On the thread that blocked.
 * @return 0; -ETIMEDOUT, with TVN_TRY too; -EINVAL on another thread.
 */
int tvn_mask_suspend(const tvn_mask_t *mask,
                     int timeout_ms);

/**
 * Gives the thread its mask back. Takes `mask`; NULL is fine. On another thread it changes no mask.
 */
void tvn_mask_close(tvn_mask_t *mask);

/**
 * No callbacks yet. Gives `*out`. Does not wait.
 * @return 0; -EMFILE if there are too many descriptors.
 */
int tvn_handlers(tvn_handlers_t **out);

/**
 * Blocks `signal` in the calling thread and has `callback` run for each that comes, in tvn_handlers_dispatch() and
 * nowhere else: it may allocate, lock and print. It replaces an earlier one for that signal. Lends `handlers`; `context`
 * is kept for the callback. The callback must not use `handlers`. Threads: see tvn_signals_take().
 * @return 0; -EINVAL for no signal, for SIGKILL and SIGSTOP, and for no callback.
 */
int tvn_handlers_on_signal(tvn_handlers_t *handlers,
                           int signal,
                           tvn_on_signal_t callback,
                           void *context);

/**
 * Waits for a signal and runs its callback, and those of all that are pending. Lends `handlers`.
 * @return how many ran; -EAGAIN with TVN_TRY if none was pending; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_handlers_dispatch(tvn_handlers_t *handlers,
                              int timeout_ms);

/**
 * A descriptor that is readable when there is something to dispatch. Lends `handlers`, and the descriptor until it is
 * closed. Never blocks.
 * @return the descriptor.
 */
int tvn_handlers_fd(const tvn_handlers_t *handlers);

/**
 * Lets go of the callbacks; on the thread that made them, gives its mask back. Takes `handlers`; NULL is fine.
 */
void tvn_handlers_close(tvn_handlers_t *handlers);

/**
 * Blocks SIGCHLD in the calling thread and begins to look out for the ends of children, whichever thread started them. The
 * first one installs a handler for SIGCHLD, which stays. A handler of the program's own is called by it, but not for what
 * is taken here, so do not count on that one. Where another one is installed later, the next tvn_child_ends_receive() puts
 * itself before it. Gives `*out`. Does not wait.
 * @return 0; -EMFILE if there are too many descriptors; -ECHILD where SIGCHLD is ignored: the system takes all ends then.
 */
int tvn_child_ends(tvn_child_ends_t **out);

/**
 * Waits until children have ended, and fills `array` with them, at most `count`, each once. It takes no end away: whoever
 * waits for one still gets it. A child that was waited for before is not named. Lends `ends` and `array`.
 * @return how many, at least 1; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EINVAL for a
 * `count` of 0; -TVN_EFORKED in a forked child; -ECHILD as tvn_child_ends().
 */
int64_t tvn_child_ends_receive(tvn_child_ends_t *ends,
                               tvn_ended_child_t *array,
                               size_t count,
                               int timeout_ms);

/**
 * A descriptor that is readable when children may have ended. Lends `ends`, and the descriptor until it is closed.
 * @return the descriptor.
 */
int tvn_child_ends_fd(const tvn_child_ends_t *ends);

/**
 * Ends the look-out; on the thread that began it, gives its mask back. Takes `ends`; NULL is fine.
 */
void tvn_child_ends_close(tvn_child_ends_t *ends);

/**
 * Stops the calling process, all its threads, until somebody sends it SIGCONT.
 * @return 0, after that.
 */
int tvn_stop_self(void);

/**
 * Asks the system to stop process `pid` (SIGSTOP). It may run a little longer: tvn_wait_stopped(). Never blocks.
 * @return as tvn_send_signal().
 */
int tvn_stop_process(int pid);

/**
 * Lets process `pid` go on (SIGCONT). If it does not stand yet, nothing is kept for later: the lost SIGCONT.
 * tvn_continue_stopped() does not lose it. Never blocks.
 * @return as tvn_send_signal().
 */
int tvn_continue_process(int pid);

/**
 * Does process `pid` stand? Never blocks; it reads /proc.
 * @return 1 or 0; -ESRCH if it has ended.
 */
int tvn_is_stopped(int pid);

/**
 * Waits until process `pid` stands, looking at it in /proc with pauses of at most 4 ms.
 * @return 0; -ESRCH if it ends or has ended; -ETIMEDOUT, with TVN_TRY too; -EINTR if this thread is interruptible.
 */
int tvn_wait_stopped(int pid,
                     int timeout_ms);

/**
 * Waits until process `pid` stands, and lets it go on: the SIGCONT that is not lost.
 * @return as tvn_wait_stopped() and tvn_send_signal().
 */
int tvn_continue_stopped(int pid, int timeout_ms);

/**
 * For the process that has the number `pid` now; a later one with that number is never touched. It excludes what the
 * other does next, not what it is in the midst of; and two that stop each other both stand for ever. Gives `*out`.
 * @return 0; -ESRCH if there is no such process; -EINVAL for the calling process.
 */
int tvn_stop_lock(int pid,
                  tvn_stop_lock_t **out);

/**
 * Stops the other process and waits until it stands; if it does not in time, it goes on. Lends `lock`.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ESRCH if it has ended; -EACCES.
 */
int tvn_stop_lock_lock(const tvn_stop_lock_t *lock,
                       int timeout_ms);

/**
 * Lets the other process go on. Lends `lock`. Never blocks.
 * @return 0; -ESRCH if it has ended.
 */
int tvn_stop_lock_unlock(const tvn_stop_lock_t *lock);

/**
 * Lets go of the lock; the other process stays as it is. Takes `lock`; NULL is fine.
 */
void tvn_stop_lock_close(tvn_stop_lock_t *lock);

/**
 * Makes an address of its text: `tcp:127.0.0.1:7777`, `udp:[::1]:9000`, `unix:/tmp/x.sock`, `unix:@abstract`, or
 * `unix:` for none. Lends `address`, writes `*out`. Never blocks. Any thread.
 * @return 0; -EINVAL for what is no address: tvn_last_error() says why.
 */
int tvn_socket_address(const char *address,
                       tvn_socket_address_t *out);

/**
 * Writes an address as text to `buffer`, a NUL behind it. Lends `address` and `buffer`. Never blocks. Any thread.
 * @return its length without the NUL; -EMSGSIZE if it does not fit in `size` bytes; -EINVAL if it is no address.
 */
int64_t tvn_socket_address_text(const tvn_socket_address_t *address,
                                char *buffer,
                                size_t size);

/**
 * Makes a socket that receives what is sent to `address`: `udp:127.0.0.1:9000`, `unix:/tmp/x.sock`, or `unix:` for a
 * name that the kernel chooses. Lends `address`, gives `*out`, close-on-exec. A socket file is made with `mode` (0600)
 * less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Does not wait. Any thread.
 * @return as tvn_listener_bind().
 */
int tvn_datagram_bind(const char *address,
                      unsigned int mode,
                      unsigned int flags,
                      tvn_datagram_t **out);

/**
 * Makes a socket that talks with `address` alone: it sends there, and receives from there. It has an address of its
 * own that the kernel chose, so that the other can answer. Lends `address`, gives `*out`, close-on-exec. Never waits.
 * Any thread.
 * @return 0; over Unix -ECONNREFUSED, -ENOENT, -EACCES and -TVN_EINCOMPATIBLE as tvn_stream_connect(): UDP does not
 * notice whether anybody is there; -EINVAL for what is no address of datagrams; -EMFILE.
 */
int tvn_datagram_connect(const char *address,
                         tvn_datagram_t **out);

/**
 * Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
 * close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
 * @return 0; -EMFILE, -ENFILE if there are too many descriptors.
 */
int tvn_datagram_pair(tvn_datagram_t **a, tvn_datagram_t **b);

/**
 * Closes the socket in this process. Takes `socket`; NULL is fine. What nobody has received is gone with the last one.
 * A socket file stays, unless it is owned. Never blocks.
 */
void tvn_datagram_close(tvn_datagram_t *socket);

/**
 * From now on the socket talks with `address` alone, and tvn_datagram_send() goes there. Lends `socket` and `address`.
 * Never blocks. Any thread.
 * @return as tvn_datagram_connect().
 */
int tvn_datagram_set_peer(const tvn_datagram_t *socket,
                          const tvn_socket_address_t *address);

/**
 * Sends a datagram to the peer; blocks until there is room. Lends `socket` and `data`. Any thread.
 * @return 0; -EDESTADDRREQ (Unix: -ENOTCONN) without a peer; -EMSGSIZE beyond 65507 bytes of UDP (65527 over IPv6), or
 * what the send buffer holds; -ECONNREFUSED if nobody is there any more, which UDP reports late; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible. Nothing was sent then.
 */
int tvn_datagram_send(const tvn_datagram_t *socket,
                      const void *data,
                      size_t size,
                      int timeout_ms);

/**
 * Sends a datagram to `address`; blocks until there is room. Lends `socket`, `data` and `address`. Over Unix, with a
 * timeout and while the receiver is full, it tries again after pauses that grow to 4 ms. Any thread.
 * @return as tvn_datagram_send(); -ENOENT if there is no such socket file; -EACCES; -TVN_EINCOMPATIBLE; -EINVAL.
 */
int tvn_datagram_send_to(const tvn_datagram_t *socket,
                         const void *data,
                         size_t size,
                         const tvn_socket_address_t *address,
                         int timeout_ms);

/**
 * Receives a datagram into `buffer`; blocks until there is one. Lends `socket` and `buffer`. There is no end to
 * receive: whether a peer has died only a timeout tells. Any thread.
 * @return its size, which may be 0; -EMSGSIZE if `size` is too small: the datagram stays in this handle, where poll(2) does not
 * see it, and tvn_datagram_message_size() tells its size; -ECONNREFUSED if the last datagram sent came to nobody; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_datagram_receive(const tvn_datagram_t *socket,
                             void *buffer,
                             size_t size,
                             int timeout_ms);

/**
 * As tvn_datagram_receive(), and says who sent it, in `*from`, unless that is NULL.
 * @return as there.
 */
int64_t tvn_datagram_receive_from(const tvn_datagram_t *socket,
                                  void *buffer,
                                  size_t size,
                                  tvn_socket_address_t *from,
                                  int timeout_ms);

/**
 * The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
 * @return the size; otherwise as tvn_datagram_receive(), without -EMSGSIZE.
 */
int64_t tvn_datagram_message_size(const tvn_datagram_t *socket, int timeout_ms);

/**
 * Sends one message of at least one byte, and `count` descriptors with it; blocks until there is room. The receiver
 * gets descriptors of its own on the same open files. Over Unix. Lends `socket`, `data` and `fds`: they stay open
 * here, and may be closed at once. Any thread.
 * @return as tvn_datagram_send(); -EMSGSIZE beyond TVN_DESCRIPTORS_MAX; -EINVAL without a byte, over UDP, or for what
 * is no descriptor.
 */
int tvn_datagram_send_descriptors(const tvn_datagram_t *socket,
                                  const void *data,
                                  size_t size,
                                  const int *fds,
                                  size_t count,
                                  int timeout_ms);

/**
 * Receives one message, and at most `capacity` descriptors that came with it; blocks until there is one. Lends
 * `socket`, `buffer` and `fds`; the caller owns the descriptors in `fds`, which are close-on-exec; `*count` is how
 * many, and `*cut` whether more came, which are closed; both may be NULL. A message that is received in another way
 * loses its descriptors: the kernel closes them. Any thread.
 * @return its size; otherwise as tvn_datagram_receive().
 */
int64_t tvn_datagram_receive_descriptors(const tvn_datagram_t *socket,
                                         void *buffer,
                                         size_t size,
                                         int *fds,
                                         size_t capacity,
                                         size_t *count,
                                         bool *cut,
                                         int timeout_ms);

/**
 * Chooses whether it may send to broadcast addresses (SO_BROADCAST). Lends `socket`. Never blocks. Any thread.
 * @return 0.
 */
int tvn_datagram_set_broadcast(const tvn_datagram_t *socket,
                               bool on);

/**
 * Makes a handle of a descriptor that is a datagram socket, an inherited one for instance. Takes `fd` and gives
 * `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
 */
int tvn_datagram_from_fd(int fd,
                         tvn_datagram_t **out);

/**
 * Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
 * Any thread.
 * @return its length without the NUL; -EMSGSIZE if `size` is too small.
 */
int64_t tvn_datagram_local_address(const tvn_datagram_t *socket,
                                   char *text,
                                   size_t size);

/**
 * The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
 * @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
 */
int64_t tvn_datagram_peer_address(const tvn_datagram_t *socket, char *text, size_t size);

/**
 * How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_datagram_send_buffer(const tvn_datagram_t *socket);

/**
 * Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_datagram_set_send_buffer(const tvn_datagram_t *socket, size_t bytes);

/**
 * How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
 * blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_datagram_receive_buffer(const tvn_datagram_t *socket);

/**
 * Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_datagram_set_receive_buffer(const tvn_datagram_t *socket, size_t bytes);

/**
 * Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
 * @return the descriptor.
 */
int tvn_datagram_fd(const tvn_datagram_t *socket);

/**
 * Binds to `address`, `tcp:127.0.0.1:7777` (port 0: any) or `unix:/tmp/x.sock`, and listens. `backlog` connections
 * wait until they are accepted, at most /proc/sys/net/core/somaxconn; a negative number is as many as that. A socket
 * file is made with `mode` (0600) less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Lends
 * `address`, gives `*out`, close-on-exec. Does not wait, except for another server that replaces a stale file in the
 * same folder. Any thread.
 * @return 0; -EADDRINUSE: tvn_last_error() says whether a live or a dead server has the name, or who can be asked;
 * -EACCES for a port that needs a privilege, or a folder that may not be written to; -ENOENT if the folder is not
 * there; -EADDRNOTAVAIL; -EINVAL for what is no such address, or other flags; -EMFILE.
 */
int tvn_listener_bind(const char *address,
                      int backlog,
                      unsigned int mode,
                      unsigned int flags,
                      tvn_listener_t **out);

/**
 * Makes a handle of a socket that listens already, one of a service manager for instance. Takes `fd` and gives `*out`.
 * Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it listens shows at the first use.
 */
int tvn_listener_from_fd(int fd,
                         tvn_listener_t **out);

/**
 * The next connection; blocks until there is one. Lends `listener`, gives `*out`, close-on-exec. Any number of threads
 * and forked processes may accept: each connection goes to one of them.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EMFILE or -ENFILE if there are
 * too many descriptors: the connection stays in the queue. The first call with a timeout makes the descriptor
 * non-blocking.
 */
int tvn_listener_accept(const tvn_listener_t *listener,
                        int timeout_ms,
                        tvn_stream_t **out);

/**
 * Where it listens, as text with a NUL behind it: with the port that the kernel chose, if it was to choose one. Lends
 * `listener` and `text`. Never blocks. Any thread.
 * @return its length without the NUL; -EMSGSIZE if `size` is too small.
 */
int64_t tvn_listener_local_address(const tvn_listener_t *listener,
                                   char *text,
                                   size_t size);

/**
 * Its descriptor: for poll(2) and wait sets, readable when somebody has connected. It stays the handle's. Lends
 * `listener`. Never blocks.
 * @return the descriptor.
 */
int tvn_listener_fd(const tvn_listener_t *listener);

/**
 * Stops listening, in this process. Takes `listener`; NULL is fine. With the last process that listens, clients that
 * wait in the queue are reset; a socket file stays, unless it is owned. Never blocks.
 */
void tvn_listener_close(tvn_listener_t *listener);

/**
 * Binds to `address`, `unix:/tmp/x.sock` or `unix:@name`, and listens. `backlog` connections wait until they are
 * accepted, at most /proc/sys/net/core/somaxconn; a negative number is as many as that. A socket file is made with
 * `mode` (0600) less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Lends `address`, gives `*out`,
 * close-on-exec. Does not wait, except for another server that replaces a stale file in the same folder. Any thread.
 * @return 0; -EADDRINUSE: tvn_last_error() says whether a live or a dead server has the name, or who can be asked;
 * -EACCES for a port that needs a privilege, or a folder that may not be written to; -ENOENT if the folder is not
 * there; -EADDRNOTAVAIL; -EINVAL for what is no such address, or other flags; -EMFILE.
 */
int tvn_seqpacket_listener_bind(const char *address,
                                int backlog,
                                unsigned int mode,
                                unsigned int flags,
                                tvn_seqpacket_listener_t **out);

/**
 * Makes a handle of a socket that listens already, one of a service manager for instance. Takes `fd` and gives `*out`.
 * Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it listens shows at the first use.
 */
int tvn_seqpacket_listener_from_fd(int fd,
                                   tvn_seqpacket_listener_t **out);

/**
 * The next connection; blocks until there is one. Lends `listener`, gives `*out`, close-on-exec. Any number of threads
 * and forked processes may accept: each connection goes to one of them.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EMFILE or -ENFILE if there are
 * too many descriptors: the connection stays in the queue. The first call with a timeout makes the descriptor
 * non-blocking.
 */
int tvn_seqpacket_listener_accept(const tvn_seqpacket_listener_t *listener,
                                  int timeout_ms,
                                  tvn_seqpacket_t **out);

/**
 * Where it listens, as text with a NUL behind it: with the port that the kernel chose, if it was to choose one. Lends
 * `listener` and `text`. Never blocks. Any thread.
 * @return its length without the NUL; -EMSGSIZE if `size` is too small.
 */
int64_t tvn_seqpacket_listener_local_address(const tvn_seqpacket_listener_t *listener,
                                             char *text,
                                             size_t size);

/**
 * Its descriptor: for poll(2) and wait sets, readable when somebody has connected. It stays the handle's. Lends
 * `listener`. Never blocks.
 * @return the descriptor.
 */
int tvn_seqpacket_listener_fd(const tvn_seqpacket_listener_t *listener);

/**
 * Stops listening, in this process. Takes `listener`; NULL is fine. With the last process that listens, clients that
 * wait in the queue are reset; a socket file stays, unless it is owned. Never blocks.
 */
void tvn_seqpacket_listener_close(tvn_seqpacket_listener_t *listener);

/**
 * Connects to an address, `unix:/tmp/x.sock` or `unix:@name`; blocks while the listener's queue is full. Lends
 * `address`, gives `*out`, close-on-exec. Any thread.
 * @return 0; -ECONNREFUSED if nobody listens there; -ENOENT if there is no such socket file; -EACCES;
 * -TVN_EINCOMPATIBLE if the socket there is of another type; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
 * is interruptible; -EINVAL for what is no Unix address; -EMFILE.
 */
int tvn_seqpacket_connect(const char *address,
                          int timeout_ms,
                          tvn_seqpacket_t **out);

/**
 * Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
 * close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
 * @return 0; -EMFILE, -ENFILE if there are too many descriptors.
 */
int tvn_seqpacket_pair(tvn_seqpacket_t **a, tvn_seqpacket_t **b);

/**
 * Closes the connection in this process. Takes `socket`; NULL is fine. When the last process has closed it, the peer
 * receives what is on its way, and then the end. Never blocks.
 */
void tvn_seqpacket_close(tvn_seqpacket_t *socket);

/**
 * Sends one message; blocks until there is room. Lends `socket` and `data`. Any thread.
 * @return 0; -EPIPE if the peer has closed, and no SIGPIPE; -ECONNRESET; -EMSGSIZE if the send buffer cannot hold it;
 * -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible. Nothing was sent then.
 */
int tvn_seqpacket_send(const tvn_seqpacket_t *socket,
                       const void *data,
                       size_t size,
                       int timeout_ms);

/**
 * Receives one message into `buffer`; blocks until there is one. Lends `socket` and `buffer`. What a peer sent before
 * it died can still be received. Any thread.
 * @return its size, which may be 0; -EPIPE at the end; -ECONNRESET if the peer died, or closed, with messages
 * unreceived; -EMSGSIZE if `size` is too small: the message stays (unless another one receives here at the same
 * moment: tvn_last_error() says so), and tvn_seqpacket_message_size() tells its size; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_seqpacket_receive(const tvn_seqpacket_t *socket,
                              void *buffer,
                              size_t size,
                              int timeout_ms);

/**
 * The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
 * @return the size; otherwise as tvn_seqpacket_receive(), without -EMSGSIZE.
 */
int64_t tvn_seqpacket_message_size(const tvn_seqpacket_t *socket, int timeout_ms);

/**
 * Sends one message of at least one byte, and `count` descriptors with it; blocks until there is room. The receiver
 * gets descriptors of its own on the same open files. Over Unix. Lends `socket`, `data` and `fds`: they stay open
 * here, and may be closed at once. Any thread.
 * @return as tvn_seqpacket_send(); -EMSGSIZE beyond TVN_DESCRIPTORS_MAX; -EINVAL without a byte, or for what is no
 * descriptor.
 */
int tvn_seqpacket_send_descriptors(const tvn_seqpacket_t *socket,
                                   const void *data,
                                   size_t size,
                                   const int *fds,
                                   size_t count,
                                   int timeout_ms);

/**
 * Receives one message, and at most `capacity` descriptors that came with it; blocks until there is one. Lends
 * `socket`, `buffer` and `fds`; the caller owns the descriptors in `fds`, which are close-on-exec; `*count` is how
 * many, and `*cut` whether more came, which are closed; both may be NULL. A message that is received in another way
 * loses its descriptors: the kernel closes them. Any thread.
 * @return its size; otherwise as tvn_seqpacket_receive().
 */
int64_t tvn_seqpacket_receive_descriptors(const tvn_seqpacket_t *socket,
                                          void *buffer,
                                          size_t size,
                                          int *fds,
                                          size_t capacity,
                                          size_t *count,
                                          bool *cut,
                                          int timeout_ms);

/**
 * Ends one direction or both, for every process that has the connection: the peer receives what is on its way, and
 * then the end. `how` is shutdown(2)'s: SHUT_RD, SHUT_WR or SHUT_RDWR. Lends `socket`. Never blocks. Any thread.
 * @return 0; -ENOTCONN if the connection is gone already; -EINVAL for another `how`.
 */
int tvn_seqpacket_shutdown(const tvn_seqpacket_t *socket,
                           int how);

/**
 * Who is at the other end of a Unix socket: the process that connected, or listened, as it was then. Lends `socket`,
 * writes `*out`. Never blocks. Any thread.
 * @return 0; -EINVAL over TCP.
 */
int tvn_seqpacket_peer_credentials(const tvn_seqpacket_t *socket,
                                   tvn_peer_credentials_t *out);

/**
 * Makes a handle of a descriptor that is a connected seqpacket socket, an inherited one for instance. Takes `fd` and
 * gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
 */
int tvn_seqpacket_from_fd(int fd,
                          tvn_seqpacket_t **out);

/**
 * Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
 * Any thread.
 * @return its length without the NUL; -EMSGSIZE if `size` is too small.
 */
int64_t tvn_seqpacket_local_address(const tvn_seqpacket_t *socket,
                                    char *text,
                                    size_t size);

/**
 * The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
 * @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
 */
int64_t tvn_seqpacket_peer_address(const tvn_seqpacket_t *socket, char *text, size_t size);

/**
 * How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_seqpacket_send_buffer(const tvn_seqpacket_t *socket);

/**
 * Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_seqpacket_set_send_buffer(const tvn_seqpacket_t *socket, size_t bytes);

/**
 * How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
 * blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_seqpacket_receive_buffer(const tvn_seqpacket_t *socket);

/**
 * Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_seqpacket_set_receive_buffer(const tvn_seqpacket_t *socket, size_t bytes);

/**
 * Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
 * @return the descriptor.
 */
int tvn_seqpacket_fd(const tvn_seqpacket_t *socket);

/**
 * Connects to an address, `tcp:127.0.0.1:7777` or `unix:/tmp/x.sock`; blocks until there is an answer, and while the
 * listener's queue is full. Lends `address`, gives `*out`, close-on-exec. Any thread.
 * @return 0; -ECONNREFUSED if nobody listens there; -ENOENT if there is no such socket file; -EACCES;
 * -TVN_EINCOMPATIBLE if the socket there is of another type; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
 * is interruptible; -EINVAL for what is no address of a stream; -EMFILE. Nothing stays behind.
 */
int tvn_stream_connect(const char *address,
                       int timeout_ms,
                       tvn_stream_t **out);

/**
 * Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
 * close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
 * @return 0; -EMFILE, -ENFILE if there are too many descriptors.
 */
int tvn_stream_pair(tvn_stream_t **a, tvn_stream_t **b);

/**
 * Closes the connection in this process. Takes `socket`; NULL is fine. What is kept of a message (tvn_stream_flush())
 * is lost. When the last process has closed it, the peer reads what is on its way, and then the end. Never blocks.
 */
void tvn_stream_close(tvn_stream_t *socket);

/**
 * Reads some bytes, at most `size`; blocks until there are any. Lends `socket` and `buffer`. What a peer sent before
 * it died stays readable. Threads: any number; each byte goes to one.
 * @return how many; 0 at the end: the peer sends no more; -ECONNRESET if it died, or closed, with bytes unread;
 * -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_stream_read(const tvn_stream_t *socket,
                        void *buffer,
                        size_t size,
                        int timeout_ms);

/**
 * Reads exactly `size` bytes. Lends `socket` and `buffer`. Threads as tvn_stream_read().
 * @return 0; -EPIPE if the stream ends before; -ECONNRESET; -ETIMEDOUT or -EINTR also in the middle, with what came in
 * `buffer`: tvn_last_error() says how much. With TVN_TRY it does not wait: -ETIMEDOUT.
 */
int tvn_stream_receive_exact(const tvn_stream_t *socket,
                             void *buffer,
                             size_t size,
                             int timeout_ms);

/**
 * Receives one message of tvn_stream_send() into `buffer`; blocks until all of it is there. Lends `socket` and
 * `buffer`. On the stream a message is its length in 4 bytes, most significant first, and its bytes. What came before
 * a deadline is kept for the next call. Any thread.
 * @return its size; -EPIPE at the end of the stream, also in the middle of a message; -ECONNRESET; -EMSGSIZE if `size`
 * is too small: the message stays, and tvn_stream_message_size() tells its size; -EAGAIN with TVN_TRY; -ETIMEDOUT;
 * -EINTR if this thread is interruptible.
 */
int64_t tvn_stream_receive(const tvn_stream_t *socket,
                           void *buffer,
                           size_t size,
                           int timeout_ms);

/**
 * The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
 * @return the size; otherwise as tvn_stream_receive(), without -EMSGSIZE.
 */
int64_t tvn_stream_message_size(const tvn_stream_t *socket, int timeout_ms);

/**
 * Writes; blocks until there is room for all of it, or, with a timeout, for some. Lends `socket` and `data`. Any
 * thread.
 * @return how many bytes were taken; -EPIPE if the peer has closed, and no SIGPIPE; -ECONNRESET; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_stream_write(const tvn_stream_t *socket,
                         const void *data,
                         size_t size,
                         int timeout_ms);

/**
 * Writes all of `data`. Lends `socket` and `data`. Any thread.
 * @return 0; -EPIPE; -ECONNRESET; -ETIMEDOUT or -EINTR also in the middle: tvn_last_error() says how much was written.
 */
int tvn_stream_send_all(const tvn_stream_t *socket,
                        const void *data,
                        size_t size,
                        int timeout_ms);

/**
 * Sends one message: its length in 4 bytes, most significant first, then itself; blocks until there is room. Lends
 * `socket` and `data`. A message whose beginning is out is not taken back: what had no room until the deadline is kept
 * and goes before the next message, or with tvn_stream_flush(). Any thread.
 * @return 0; -EPIPE; -ECONNRESET; -EMSGSIZE beyond 4 GiB; -EAGAIN with TVN_TRY if there was no room for its beginning;
 * -ETIMEDOUT and -EINTR: tvn_stream_unsent() says whether it was begun.
 */
int tvn_stream_send(const tvn_stream_t *socket,
                    const void *data,
                    size_t size,
                    int timeout_ms);

/**
 * Sends what is kept of the last message, if anything is. Lends `socket`. Any thread.
 * @return as tvn_stream_write(), and 0 for success.
 */
int tvn_stream_flush(const tvn_stream_t *socket, int timeout_ms);

/**
 * How many bytes of the last message are kept. Lends `socket`. Waits while another thread sends a message. Any thread.
 * @return the bytes, from 0 on.
 */
int64_t tvn_stream_unsent(const tvn_stream_t *socket);

/**
 * Writes at least one byte, and `count` descriptors with the first of them; blocks until there is room. The receiver
 * gets descriptors of its own on the same open files. Over Unix. Lends `socket`, `data` and `fds`: they stay open
 * here, and may be closed at once. Any thread.
 * @return how many bytes were taken: write the rest without descriptors; -EPIPE; -ECONNRESET; -EMSGSIZE beyond
 * TVN_DESCRIPTORS_MAX; -EINVAL without a byte, over TCP, or for what is no descriptor; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible.
 */
int64_t tvn_stream_write_descriptors(const tvn_stream_t *socket,
                                     const void *data,
                                     size_t size,
                                     const int *fds,
                                     size_t count,
                                     int timeout_ms);

/**
 * Reads some bytes, and at most `capacity` descriptors that came with them; blocks until there is something. Lends
 * `socket`, `buffer` and `fds`; the caller owns the descriptors in `fds`, which are close-on-exec; `*count` is how
 * many, and `*cut` whether more came, which are closed; both may be NULL. Bytes that are read in another way lose
 * their descriptors: the kernel closes them. Any thread.
 * @return how many bytes; otherwise as tvn_stream_read().
 */
int64_t tvn_stream_read_descriptors(const tvn_stream_t *socket,
                                    void *buffer,
                                    size_t size,
                                    int *fds,
                                    size_t capacity,
                                    size_t *count,
                                    bool *cut,
                                    int timeout_ms);

/**
 * Ends one direction or both, for every process that has the connection: the peer receives what is on its way, and
 * then the end. `how` is shutdown(2)'s: SHUT_RD, SHUT_WR or SHUT_RDWR. Lends `socket`. Never blocks. Any thread.
 * @return 0; -ENOTCONN if the connection is gone already; -EINVAL for another `how`.
 */
int tvn_stream_shutdown(const tvn_stream_t *socket,
                        int how);

/**
 * Who is at the other end of a Unix socket: the process that connected, or listened, as it was then. Lends `socket`,
 * writes `*out`. Never blocks. Any thread.
 * @return 0; -EINVAL over TCP.
 */
int tvn_stream_peer_credentials(const tvn_stream_t *socket,
                                tvn_peer_credentials_t *out);

/**
 * Chooses whether TCP sends small pieces at once, instead of waiting for the answer to the last one (TCP_NODELAY).
 * Lends `socket`. Never blocks. Any thread.
 * @return 0; -EOPNOTSUPP on a Unix stream.
 */
int tvn_stream_set_nodelay(const tvn_stream_t *socket,
                           bool on);

/**
 * Makes a handle of a descriptor that is a connected stream socket, an inherited one for instance. Takes `fd` and
 * gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
 */
int tvn_stream_from_fd(int fd,
                       tvn_stream_t **out);

/**
 * Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
 * Any thread.
 * @return its length without the NUL; -EMSGSIZE if `size` is too small.
 */
int64_t tvn_stream_local_address(const tvn_stream_t *socket,
                                 char *text,
                                 size_t size);

/**
 * The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
 * @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
 */
int64_t tvn_stream_peer_address(const tvn_stream_t *socket, char *text, size_t size);

/**
 * How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_stream_send_buffer(const tvn_stream_t *socket);

/**
 * Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_stream_set_send_buffer(const tvn_stream_t *socket, size_t bytes);

/**
 * How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
 * blocks. Any thread.
 * @return bytes.
 */
int64_t tvn_stream_receive_buffer(const tvn_stream_t *socket);

/**
 * Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
 * /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
 * @return what it is now.
 */
int64_t tvn_stream_set_receive_buffer(const tvn_stream_t *socket, size_t bytes);

/**
 * Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
 * @return the descriptor.
 */
int tvn_stream_fd(const tvn_stream_t *socket);

/**
 * Makes the key (a `key_t`) of an existing file and a number from 1 to 255, as ftok(3) does, and stores it in `*key`.
 * Two files may have the same one. IPC_PRIVATE is a key without this call, and so is any number both sides know.
 * Lends `path`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT, -EACCES and so on for the file; -EINVAL for another number.
 */
int tvn_sysv_key(const char *path,
                 int id,
                 int *key);

/**
 * Creates the System V queue of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE) that
 * holds `max_bytes` of messages, 0 for the system's default (/proc/sys/kernel/msgmnb). `mode` says who may use it: 0600
 * is this user alone. `flags`: 0 or TVN_OWNED.
 *
 * A queue and its messages stay when all its users have ended or were killed, until tvn_sysv_queue_remove().
 * Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST, unless the key is private; -ENOSPC beyond /proc/sys/kernel/msgmni; -EACCES for more bytes than
 * /proc/sys/kernel/msgmnb without CAP_SYS_RESOURCE; -ENOSYS where the system has no such queues.
 */
int tvn_sysv_queue_create(int key,
                          uint64_t max_bytes,
                          unsigned int mode,
                          unsigned int flags,
                          tvn_sysv_queue_t **out);

/**
 * Opens the System V queue of `key`, which must exist. Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing.
 */
int tvn_sysv_queue_open(int key,
                        tvn_sysv_queue_t **out);

/**
 * Opens the System V queue with the number `id` (tvn_sysv_queue_id()). Gives `*out`. Does not wait. Any thread; a forked
 * child too.
 * @return 0; -ENOENT if there is none, or not any more.
 */
int tvn_sysv_queue_open_id(int id,
                           tvn_sysv_queue_t **out);

/**
 * Opens the System V queue of `key`, or creates it as tvn_sysv_queue_create() does; one that is there is not owned.
 * IPC_PRIVATE always creates. Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return as tvn_sysv_queue_create(), without -EEXIST.
 */
int tvn_sysv_queue_open_or_create(int key,
                                  uint64_t max_bytes,
                                  unsigned int mode,
                                  unsigned int flags,
                                  tvn_sysv_queue_t **out);

/**
 * Removes the System V queue of `key` and all its messages, as tvn_sysv_queue_remove() does. Does not wait. Any thread;
 * a forked child too.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES for who neither owns it nor is root.
 */
int tvn_sysv_queue_unlink(int key);

/**
 * Removes the queue and all its messages, at once. Who waits for it gets -EIDRM. Lends `queue`, which is still to be
 * closed. Never blocks. Any thread; a forked child too.
 * @return 0; -EIDRM if somebody did already; -EACCES for who neither owns it nor is root.
 */
int tvn_sysv_queue_remove(const tvn_sysv_queue_t *queue);

/**
 * Lets go of the queue, and removes it if it is owned, in the process that made it. Takes `queue`; NULL is fine. The
 * queue and its messages stay otherwise. Never blocks. No other thread may be using this handle.
 */
void tvn_sysv_queue_close(tvn_sysv_queue_t *queue);

/**
 * Its number, by which any process can open it: tvn_sysv_queue_open_id(). Lends `queue`. Never blocks. Any thread.
 * @return the number, from 0 on.
 */
int tvn_sysv_queue_id(const tvn_sysv_queue_t *queue);

/**
 * Sends a copy of `size` bytes at `message` (NULL will do for 0) with type 1; blocks while the queue is full, or until
 * `timeout_ms` has passed: with a deadline it tries again after pauses of up to 4 ms, as System V has no timed form.
 * Lends `queue` and `message`. A process that dies here has sent the whole message, or none. Any thread; a forked child
 * too.
 * @return 0; -EMSGSIZE beyond /proc/sys/kernel/msgmax, and for more than the queue can ever hold; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if it is removed; -EACCES.
 */
int tvn_sysv_queue_send(const tvn_sysv_queue_t *queue,
                        const void *message,
                        size_t size,
                        int timeout_ms);

/**
 * As tvn_sysv_queue_send(), with a type from 1 on, by which receivers choose. Lends `queue` and `message`. Any thread; a
 * forked child too.
 * @return as tvn_sysv_queue_send(); -EINVAL for a type below 1.
 */
int tvn_sysv_queue_send_with(const tvn_sysv_queue_t *queue,
                             const void *message,
                             size_t size,
                             int64_t mtype,
                             int timeout_ms);

/**
 * Receives the oldest message into `message`; blocks while the queue is empty, or until `timeout_ms` has passed: with a
 * deadline it tries again after pauses of up to 4 ms, as System V has no timed form. Lends `queue` and `message`. Any
 * thread; a forked child too.
 * @return the size of the message, from 0 on; -EMSGSIZE if it is larger than `size`, and it stays where it is; -EAGAIN
 * with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the queue is removed; -EACCES.
 */
int64_t tvn_sysv_queue_receive(const tvn_sysv_queue_t *queue,
                               void *message,
                               size_t size,
                               int timeout_ms);

/**
 * As tvn_sysv_queue_receive(), of the first message that `how` (TVN_SELECT_...) and `mtype` select, as `msgtyp` of
 * msgrcv(2) does; stores its type in `*received`, unless that is NULL. Lends `queue` and `message`. Any thread; a forked
 * child too.
 * @return as tvn_sysv_queue_receive(); -EINVAL for a type below 1.
 */
int64_t tvn_sysv_queue_receive_selected(const tvn_sysv_queue_t *queue,
                                        void *message,
                                        size_t size,
                                        uint32_t how,
                                        int64_t mtype,
                                        int timeout_ms,
                                        int64_t *received);

/**
 * Changes how many bytes of messages the queue holds. Lends `queue`. Never blocks. Any thread; a forked child too.
 * @return 0; -EACCES beyond /proc/sys/kernel/msgmnb without CAP_SYS_RESOURCE, and for who neither owns it nor is root;
 * -EINVAL for 0; -EIDRM if it was removed.
 */
int tvn_sysv_queue_set_max_bytes(const tvn_sysv_queue_t *queue,
                                 uint64_t bytes);

/**
 * The largest message in bytes at this moment, in any queue: /proc/sys/kernel/msgmax. Lends `queue`. Never blocks. Any
 * thread; a forked child too.
 * @return the size.
 */
int64_t tvn_sysv_queue_message_size(const tvn_sysv_queue_t *queue);

/**
 * How many messages are in it at this moment. Lends `queue`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on; 0 if it was removed, or may not be read.
 */
int64_t tvn_sysv_queue_length(const tvn_sysv_queue_t *queue);

/**
 * Stores in `*info` what the kernel tells about the queue at this moment. Lends `queue`. Never blocks. Any thread; a
 * forked child too.
 * @return 0; -EIDRM if it was removed; -EACCES for who may not receive.
 */
int tvn_sysv_queue_info(const tvn_sysv_queue_t *queue,
                        tvn_sysv_queue_info_t *info);

/**
 * Fills `array` with all System V queues of this system, by number, as many as there are and at most `count`. Lends
 * `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many there are, which may be more than `count`; -ENOSYS where the system has no such queues.
 */
int64_t tvn_sysv_queue_list(tvn_sysv_queue_info_t *array,
                            size_t count);

/**
 * Creates the System V semaphores of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE), one
 * for each of the `count` values `initial`. `mode` says who may use them: 0600 is this user alone. `flags`: TVN_OWNED,
 * and TVN_UNDO for tvn_sysv_semaphores_wait() and _post() of this handle. Plain programs get them by semget(2); who opens
 * them finds these values, never zeros.
 *
 * They keep their values when all their users have ended or were killed, until tvn_sysv_semaphores_remove().
 * Lends `initial`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST, unless the key is private; -EINVAL for no value, one above 32767, or more of them than
 * /proc/sys/kernel/sem admits in one set; -ENOSPC for more in all than that admits; -ENOSYS where the system has none.
 */
int tvn_sysv_semaphores_create(int key,
                               const uint16_t *initial,
                               size_t count,
                               unsigned int mode,
                               unsigned int flags,
                               tvn_sysv_semaphores_t **out);

/**
 * Opens the System V semaphores of `key`, which must exist. `flags`: 0 or TVN_UNDO. Gives `*out`. Waits at most two
 * seconds for the first values of a set that was made just now. Any thread; a forked child too.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing; -EACCES.
 */
int tvn_sysv_semaphores_open(int key,
                             unsigned int flags,
                             tvn_sysv_semaphores_t **out);

/**
 * Opens the System V semaphores with the number `id` (tvn_sysv_semaphores_id()); otherwise as
 * tvn_sysv_semaphores_open(). Gives `*out`. Any thread; a forked child too.
 * @return 0; -ENOENT if there are none, or not any more; -EACCES.
 */
int tvn_sysv_semaphores_open_id(int id, unsigned int flags, tvn_sysv_semaphores_t **out);

/**
 * Opens the System V semaphores of `key`, or creates them as tvn_sysv_semaphores_create() does; those that are there keep
 * their values, are `count`, and are not owned. IPC_PRIVATE always creates. Lends `initial`, gives `*out`. Any thread; a
 * forked child too.
 * @return as tvn_sysv_semaphores_create(), without -EEXIST; -TVN_EINCOMPATIBLE for another count.
 */
int tvn_sysv_semaphores_open_or_create(int key,
                                       const uint16_t *initial,
                                       size_t count,
                                       unsigned int mode,
                                       unsigned int flags,
                                       tvn_sysv_semaphores_t **out);

/**
 * Removes the set; every wait in it ends with -EIDRM, and so does every later call. Lends `set`. Does not wait. Any
 * thread; a forked child too.
 * @return 0; -EACCES unless this user made or owns it; -EIDRM if it is gone already.
 */
int tvn_sysv_semaphores_remove(const tvn_sysv_semaphores_t *set);

/**
 * Removes the System V semaphores of `key`: every wait in it ends with -EIDRM. Does not wait. Any thread.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES unless this user made or owns them.
 */
int tvn_sysv_semaphores_unlink(int key);

/**
 * Lets go of the set, and removes it if it is owned, in the process that made it. Takes `set`; NULL is fine. Never blocks.
 */
void tvn_sysv_semaphores_close(tvn_sysv_semaphores_t *set);

/**
 * Does all `count` operations at one moment; blocks, without having done any of them, until that can be or `timeout_ms`
 * has passed. Lends `set` and `operations`. Any thread; a forked child too.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the set was removed;
 * -EINVAL for no operation, or a semaphore the set does not have; -EMSGSIZE for more operations than
 * /proc/sys/kernel/sem admits in one call; -EOVERFLOW if a value would pass 32767; -ENOSPC if there is no room to note
 * an undo; -EACCES.
 */
int tvn_sysv_semaphores_operate(const tvn_sysv_semaphores_t *set,
                                const tvn_semaphore_operation_t *operations,
                                size_t count,
                                int timeout_ms);

/**
 * Takes `n` permits of one semaphore (P); blocks until there are so many, or until `timeout_ms` has passed. Lends `set`.
 * Any thread; a forked child too.
 * @return as tvn_sysv_semaphores_operate(); -EINVAL unless `n` is from 1 to 32767.
 */
int tvn_sysv_semaphores_wait(const tvn_sysv_semaphores_t *set,
                             uint16_t index,
                             uint16_t n,
                             int timeout_ms);

/**
 * Adds `n` permits to one semaphore (V) and wakes who can go on. Lends `set`. Never blocks. Any thread; a forked child
 * too.
 * @return as tvn_sysv_semaphores_operate(); -EINVAL unless `n` is from 1 to 32767.
 */
int tvn_sysv_semaphores_post(const tvn_sysv_semaphores_t *set,
                             uint16_t index,
                             uint16_t n);

/**
 * The value of one semaphore at this moment. Lends `set`. Never blocks. Any thread; a forked child too.
 * @return the value, from 0 on; -EINVAL for one the set does not have; -EIDRM; -EACCES.
 */
int64_t tvn_sysv_semaphores_value(const tvn_sysv_semaphores_t *set, uint16_t index);

/**
 * Fills `array` with the values of all semaphores at one moment, as many as there are and at most `count`. Lends `set` and
 * `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many there are, which may be more than `count`; -EIDRM; -EACCES.
 */
int64_t tvn_sysv_semaphores_values(const tvn_sysv_semaphores_t *set,
                                   uint16_t *array,
                                   size_t count);

/**
 * Sets one semaphore and wakes who can go on; what processes have noted to undo for it is forgotten. Lends `set`. Never
 * blocks. Any thread; a forked child too.
 * @return 0; -EINVAL for one the set does not have, or a value above 32767; -EIDRM; -EACCES.
 */
int tvn_sysv_semaphores_set(const tvn_sysv_semaphores_t *set,
                            uint16_t index,
                            uint16_t value);

/**
 * Sets all semaphores at one moment and wakes who can go on; what processes have noted to undo is forgotten. Lends `set`
 * and `values`. Never blocks. Any thread; a forked child too.
 * @return 0; -EINVAL unless there is one value for each semaphore, none above 32767; -EIDRM; -EACCES.
 */
int tvn_sysv_semaphores_set_all(const tvn_sysv_semaphores_t *set,
                                const uint16_t *values,
                                size_t count);

/**
 * How many semaphores it has. Lends `set`. Never blocks. Any thread; a forked child too.
 * @return the count, from 1 on.
 */
int64_t tvn_sysv_semaphores_count(const tvn_sysv_semaphores_t *set);

/**
 * Its number in the kernel's table. Lends `set`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int tvn_sysv_semaphores_id(const tvn_sysv_semaphores_t *set);

/**
 * Fills `*info` with what the kernel tells about one semaphore: its value, who waits, who was last. Lends `set` and
 * `info`. Never blocks. Any thread; a forked child too.
 * @return 0; -EINVAL for one the set does not have; -EIDRM; -EACCES.
 */
int tvn_sysv_semaphores_semaphore_info(const tvn_sysv_semaphores_t *set,
                                       uint16_t index,
                                       tvn_sysv_semaphore_info_t *info);

/**
 * Fills `*info` with what the kernel tells about the set. Lends `set` and `info`. Never blocks. Any thread; a forked child
 * too.
 * @return 0; -EIDRM; -EACCES.
 */
int tvn_sysv_semaphores_info(const tvn_sysv_semaphores_t *set,
                             tvn_sysv_semaphores_info_t *info);

/**
 * Fills `array` with all sets of System V semaphores of this system, as many as there are and at most `count`. Lends
 * `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many there are, which may be more than `count`; -ENOSYS where the system has none.
 */
int64_t tvn_sysv_semaphores_list(tvn_sysv_semaphores_info_t *array,
                                 size_t count);

/**
 * Creates the System V shared memory of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE)
 * with `size` bytes, all 0, and attaches it. `mode` says who may use it: 0600 is this user alone. `flags`: 0 or
 * TVN_OWNED. Plain programs get it by shmget(2) and shmat(2).
 *
 * It stays when all its users have ended or were killed, until tvn_sysv_shared_memory_remove() and the last detaches it.
 * Its size is fixed. Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EEXIST, unless the key is private; -EINVAL for size 0 or above /proc/sys/kernel/shmmax; -ENOSPC beyond
 * /proc/sys/kernel/shmmni segments or /proc/sys/kernel/shmall pages; -ENOMEM; -ENOSYS where the system has none.
 */
int tvn_sysv_shared_memory_create(int key,
                                  size_t size,
                                  unsigned int mode,
                                  unsigned int flags,
                                  tvn_sysv_shared_memory_t **out);

/**
 * Attaches the System V shared memory of `key`, which must exist and have `at_least` bytes (0: as many as there are).
 * `flags`: 0 or TVN_READ_ONLY. Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes.
 */
int tvn_sysv_shared_memory_open(int key,
                                size_t at_least,
                                unsigned int flags,
                                tvn_sysv_shared_memory_t **out);

/**
 * Attaches the System V shared memory with the number `id` (tvn_sysv_shared_memory_id()); otherwise as
 * tvn_sysv_shared_memory_open(). Gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none, or not any more; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes.
 */
int tvn_sysv_shared_memory_open_id(int id,
                                   size_t at_least,
                                   unsigned int flags,
                                   tvn_sysv_shared_memory_t **out);

/**
 * Attaches the System V shared memory of `key`, or creates it as tvn_sysv_shared_memory_create() does; what is there has
 * `size` bytes at least and is not owned. IPC_PRIVATE always creates. Gives `*out`. Does not wait. Any thread; a forked
 * child too.
 * @return as tvn_sysv_shared_memory_create() and tvn_sysv_shared_memory_open(), without -EEXIST and -ENOENT.
 */
int tvn_sysv_shared_memory_open_or_create(int key,
                                          size_t size,
                                          unsigned int mode,
                                          unsigned int flags,
                                          tvn_sysv_shared_memory_t **out);

/**
 * Removes it: nobody finds it by its key any more, and it goes with its last attachment. This handle keeps its own.
 * Lends `memory`. Does not wait. Any thread; a forked child too.
 * @return 0; -EACCES unless this user made or owns it; -EIDRM if it is gone already.
 */
int tvn_sysv_shared_memory_remove(const tvn_sysv_shared_memory_t *memory);

/**
 * Removes the System V shared memory of `key`: nobody finds it any more, and it goes with its last attachment. Does not wait. Any thread.
 * @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES unless this user made or owns it.
 */
int tvn_sysv_shared_memory_unlink(int key);

/**
 * Detaches the memory, and removes it if it is owned, in the process that made it. Takes `memory`; NULL is fine. Pointers
 * from tvn_sysv_shared_memory_data() are no longer good. Never blocks.
 */
void tvn_sysv_shared_memory_close(tvn_sysv_shared_memory_t *memory);

/**
 * Its first byte. Good until tvn_sysv_shared_memory_close(). Other processes read and write there at any time: keep order
 * with a semaphore. Lends `memory`. Never blocks. Any thread; a forked child too.
 * @return the address; NULL only for NULL.
 */
void *tvn_sysv_shared_memory_data(const tvn_sysv_shared_memory_t *memory);

/**
 * How many bytes it has. Lends `memory`. Never blocks. Any thread; a forked child too.
 * @return the size, from 1 on.
 */
int64_t tvn_sysv_shared_memory_size(const tvn_sysv_shared_memory_t *memory);

/**
 * Its number in the kernel's table. Lends `memory`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int tvn_sysv_shared_memory_id(const tvn_sysv_shared_memory_t *memory);

/**
 * Fills `*info` with what the kernel tells about it at this moment. Lends `memory` and `info`. Never blocks. Any thread; a
 * forked child too.
 * @return 0; -EACCES for who may not read.
 */
int tvn_sysv_shared_memory_info(const tvn_sysv_shared_memory_t *memory,
                                tvn_sysv_shared_memory_info_t *info);

/**
 * Fills `array` with the table of all System V shared memory of this system, as many as there are and at most `count`.
 * Lends `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many there are, which may be more than `count`; -ENOSYS where the system has none.
 */
int64_t tvn_sysv_shared_memory_list(tvn_sysv_shared_memory_info_t *array,
                                    size_t count);

/**
 * Finds the mailbox `name`, or creates it for up to `capacity` messages (0: a rendezvous) of up to `message_size` bytes each;
 * an existing one must have the same two. Lends `segment` and `name`, gives `*out`. Does not wait for other
 * users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, capacity or size; -TVN_EINCOMPATIBLE if the name belongs to an object of
 * another kind or geometry; -ENOSPC if the segment has no room.
 */
int tvn_mailbox(const tvn_segment_t *segment,
                const char *name,
                size_t capacity,
                size_t message_size,
                tvn_mailbox_t **out);

/**
 * Creates the mailbox `name` for up to `capacity` messages of up to `message_size` bytes each. Lends
 * `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, capacity or size; -ENOSPC if the segment
 * has no room.
 */
int tvn_mailbox_create(const tvn_segment_t *segment,
                       const char *name,
                       size_t capacity,
                       size_t message_size,
                       tvn_mailbox_t **out);

/**
 * Finds the mailbox `name`, or creates it with `options`; an existing one must have been made with the same. Lends
 * `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, or options that no mailbox can have; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind, or a mailbox of other options or another type tag; -ENOSPC if the segment has no room.
 */
int tvn_mailbox_with(const tvn_segment_t *segment,
                     const char *name,
                     const tvn_mailbox_options_t *options,
                     tvn_mailbox_t **out);

/**
 * Creates the mailbox `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, or options that no mailbox can have; -ENOSPC if the
 * segment has no room.
 */
int tvn_mailbox_create_with(const tvn_segment_t *segment,
                            const char *name,
                            const tvn_mailbox_options_t *options,
                            tvn_mailbox_t **out);

/**
 * Opens the mailbox `name`, which must exist, whatever its geometry: see tvn_mailbox_capacity() and
 * tvn_mailbox_message_size(). Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any
 * thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_mailbox_open(const tvn_segment_t *segment, const char *name, tvn_mailbox_t **out);

/**
 * Lets go of the mailbox. Takes `mailbox`; NULL is fine. The mailbox and its messages stay in the segment.
 * Commit or cancel loans first: closing does not. Never blocks. No other thread may be using this handle.
 */
void tvn_mailbox_close(tvn_mailbox_t *mailbox);

/**
 * Sends a copy of `size` bytes at `message` (NULL will do for 0); blocks while the mailbox is full, or until
 * `timeout_ms` has passed. Lends `mailbox` and `message`. A sender that dies here sent the whole message or
 * none. Any thread; a forked child too.
 * @return 0; -EMSGSIZE if the message is larger than the mailbox takes; -EAGAIN with TVN_TRY; -ETIMEDOUT;
 * -EINTR if this thread is interruptible; -EPIPE if the mailbox was shut down; -ENOSPC at the ceiling of an unbounded
 * one; -EIDRM if it was removed and this would have to wait: while there is room it goes on.
 */
int tvn_mailbox_send(const tvn_mailbox_t *mailbox,
                     const void *message,
                     size_t size,
                     int timeout_ms);

/**
 * As tvn_mailbox_send(), with a priority from 0 to TVN_MAX_PRIORITY and a type (0: none), for mailboxes of
 * TVN_PRIORITY. Lends `mailbox` and `message`. Any thread; a forked child too.
 * @return as tvn_mailbox_send(); -EINVAL for a priority that is too high, or where order is first in, first out.
 */
int tvn_mailbox_send_with(const tvn_mailbox_t *mailbox,
                          const void *message,
                          size_t size,
                          uint32_t priority,
                          uint32_t mtype,
                          int timeout_ms);

/**
 * Puts a copy of `size` bytes at `message` (NULL will do for 0) down for a receiver, in a mailbox of capacity 0. Lends
 * `mailbox` and `message`, gives `*out`; the mailbox' handle may be closed before the offer. Never blocks: see
 * tvn_wait_set_add_offer(). A process that dies here has put down the whole message, or none. Any thread; it stays with
 * the process that made it.
 * @return 0; -EAGAIN if there is no place for it, as so many messages wait already: see TVN_ROOM; -EINVAL unless the
 * capacity is 0; -EMSGSIZE, -EPIPE and -EIDRM as tvn_mailbox_send().
 */
int tvn_mailbox_try_offer(const tvn_mailbox_t *mailbox,
                          const void *message,
                          size_t size,
                          tvn_offer_t **out);

/**
 * Has a receiver the message? Once it has, it stays so. Lends `offer`. Never blocks. Any thread of the process that made
 * it.
 * @return 1 or 0 (also of one that was taken back); -EPIPE if the mailbox was shut down, -EIDRM if it was removed, and
 * nobody has it yet: take it back; -TVN_EFORKED.
 */
int tvn_offer_is_received(const tvn_offer_t *offer);

/**
 * Takes the message back. Of a receiver and this at the same instant one wins, and both know which. Lends `offer`, which
 * stays to be closed; asked again it answers the same. Never blocks. Any thread of the process that made it.
 * @return 1: no receiver has it, nor will; 0: one has it; -TVN_EFORKED.
 */
int tvn_offer_withdraw(const tvn_offer_t *offer);

/**
 * Takes the message back, unless a receiver has it by then, and ends the offer. Takes `offer`; NULL is fine. Never blocks.
 * No other thread may be using this handle. In a forked child the message stays: it is the parent's.
 */
void tvn_offer_close(tvn_offer_t *offer);

/**
 * Sends copies of `count` messages of `size` bytes each that lie behind each other at `messages`, in their order;
 * blocks while the mailbox is full, or until `timeout_ms` has passed. One call costs less than `count` of them. Lends
 * `mailbox` and `messages`. Any thread; a forked child too.
 * @return how many were sent: fewer than `count` with TVN_TRY, or when the wait for room ended after the first; as
 * tvn_mailbox_send() if none was sent.
 */
int64_t tvn_mailbox_send_many(const tvn_mailbox_t *mailbox,
                              const void *messages,
                              size_t size,
                              size_t count,
                              int timeout_ms);

/**
 * Receives the oldest message into `message`, which must have room for the largest the mailbox takes
 * (`size` ≥ tvn_mailbox_message_size()); blocks while the mailbox is empty, or until `timeout_ms` has passed.
 * Lends `mailbox` and `message`. What a dead receiver had claimed is delivered again, possibly after younger
 * messages; what a dead sender had claimed is skipped. Any thread; a forked child too.
 * @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible; -EPIPE if the mailbox was shut down and all has been received;
 * -EIDRM if it was removed and is empty.
 */
int64_t tvn_mailbox_receive(const tvn_mailbox_t *mailbox,
                            void *message,
                            size_t size,
                            int timeout_ms);

/**
 * As tvn_mailbox_receive(), and stores in `*redelivered` how many receivers died with this message before:
 * 0 for one that is delivered the first time. Lends `mailbox` and `message`. Any thread; a forked child too.
 * @return as tvn_mailbox_receive().
 */
int64_t tvn_mailbox_receive_counted(const tvn_mailbox_t *mailbox,
                                    void *message,
                                    size_t size,
                                    int timeout_ms,
                                    uint32_t *redelivered);

/**
 * As tvn_mailbox_receive(), of the first message that `how` and `mtype` select (TVN_SELECT_...); stores in `*received`
 * what there is to say about it, unless that is NULL. Lends `mailbox` and `message`. Any thread; a forked child too.
 * @return as tvn_mailbox_receive(); -EINVAL for a selection other than TVN_SELECT_ANY where order is first in, first
 * out.
 */
int64_t tvn_mailbox_receive_selected(const tvn_mailbox_t *mailbox,
                                     void *message,
                                     size_t size,
                                     uint32_t how,
                                     uint32_t mtype,
                                     int timeout_ms,
                                     tvn_received_t *received);

/**
 * Receives the messages that are there, at most `count`; blocks while there is none, or until `timeout_ms` has passed.
 * Message i begins at byte i · tvn_mailbox_message_size() of `messages`, which has room for `size` bytes in all, and
 * `received[i]` is what there is to say about it. Lends `mailbox`, `messages` and `received`. Any thread; a forked
 * child too.
 * @return how many there were, from 1 on; -EMSGSIZE if `size` is too small for `count` messages; otherwise as
 * tvn_mailbox_receive().
 */
int64_t tvn_mailbox_receive_many(const tvn_mailbox_t *mailbox,
                                 void *messages,
                                 size_t size,
                                 tvn_received_t *received,
                                 size_t count,
                                 int timeout_ms);

/**
 * Copies the oldest message without taking it; blocks while the mailbox is empty, or until `timeout_ms` has
 * passed. Another receiver may take it at any moment. Lends `mailbox` and `message`, which needs the room
 * that tvn_mailbox_receive() needs. Any thread; a forked child too.
 * @return as tvn_mailbox_receive().
 */
int64_t tvn_mailbox_peek(const tvn_mailbox_t *mailbox, void *message, size_t size, int timeout_ms);

/**
 * Claims room for a message of up to `size` bytes, to be written in place at `loan->room`; blocks while the
 * mailbox is full, or until `timeout_ms` has passed. Lends `mailbox`, writes `*loan`: the room is lent until
 * tvn_mailbox_commit() or tvn_mailbox_cancel(). Be quick: receivers wait at this place for its message. If
 * this process dies first, they skip the place. Any thread; a loan stays with the process that claimed it.
 * @return 0; -EMSGSIZE if the mailbox takes no message that large; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR
 * if this thread is interruptible; -EIDRM if the mailbox was removed and this would have to wait.
 */
int tvn_mailbox_reserve(const tvn_mailbox_t *mailbox, size_t size, int timeout_ms, tvn_loan_t *loan);

/**
 * Sends the first `size` bytes of the room. Lends `mailbox` and `loan`; the loan is over. Never blocks. A
 * process that dies here sent the whole message or none. Any thread of the process that claimed it.
 * @return 0; -EMSGSIZE if the loan is smaller than `size`: it stays; -EPERM if this process does not hold
 * this loan (any more).
 */
int tvn_mailbox_commit(const tvn_mailbox_t *mailbox, const tvn_loan_t *loan, size_t size);

/**
 * As tvn_mailbox_commit(), with a priority from 0 to TVN_MAX_PRIORITY and a type (0: none), for mailboxes of
 * TVN_PRIORITY. Lends `mailbox` and `loan`; the loan is over. Any thread of the process that claimed it.
 * @return as tvn_mailbox_commit(); -EINVAL for a priority that is too high, or where order is first in, first out: then
 * the room is given back.
 */
int tvn_mailbox_commit_with(const tvn_mailbox_t *mailbox,
                            const tvn_loan_t *loan,
                            size_t size,
                            uint32_t priority,
                            uint32_t mtype);

/**
 * Takes the oldest message, to be read in place at `lent->message`; blocks while the mailbox is empty, or until
 * `timeout_ms` has passed. Lends `mailbox`, writes `*lent`: the message is lent until tvn_mailbox_release() or
 * tvn_mailbox_give_back(). While it is, a bounded mailbox has one place less. If this process dies first, the message is
 * delivered again. Any thread; it stays with the process that took it.
 * @return its size, from 0 on; otherwise as tvn_mailbox_receive().
 */
int64_t tvn_mailbox_borrow(const tvn_mailbox_t *mailbox,
                           int timeout_ms,
                           tvn_borrowed_t *lent);

/**
 * As tvn_mailbox_borrow(), of the first message that `how` and `mtype` select (TVN_SELECT_...). Lends `mailbox`, writes
 * `*lent`. Any thread; it stays with the process that took it.
 * @return as tvn_mailbox_borrow(); -EINVAL for a selection other than TVN_SELECT_ANY where order is first in, first out.
 */
int64_t tvn_mailbox_borrow_selected(const tvn_mailbox_t *mailbox,
                                    uint32_t how,
                                    uint32_t mtype,
                                    int timeout_ms,
                                    tvn_borrowed_t *lent);

/**
 * The borrowed message is done with: senders have its place. Lends `mailbox` and `lent`, which is over. Never blocks.
 * Any thread of the process that took it.
 * @return 0; -EPERM if this process does not hold it (any more).
 */
int tvn_mailbox_release(const tvn_mailbox_t *mailbox,
                        const tvn_borrowed_t *lent);

/**
 * The borrowed message is not done with: the next receiver gets it, counted as delivered once more. Lends `mailbox` and
 * `lent`, which is over. Never blocks. Any thread of the process that took it.
 * @return 0; -EPERM if this process does not hold it (any more).
 */
int tvn_mailbox_give_back(const tvn_mailbox_t *mailbox,
                          const tvn_borrowed_t *lent);

/**
 * Nobody sends any more: senders get -EPIPE from now on, receivers get what has been sent, then -EPIPE. There is no way
 * back; doing it twice is fine. Lends `mailbox`. Never blocks. Any thread; a forked child too.
 * @return 0.
 */
int tvn_mailbox_shutdown(const tvn_mailbox_t *mailbox);

/**
 * Was the mailbox shut down? Lends `mailbox`. Never blocks. Any thread; a forked child too.
 * @return 1 or 0.
 */
int tvn_mailbox_is_shut_down(const tvn_mailbox_t *mailbox);

/**
 * Gives the room back: receivers skip the place. Lends `mailbox` and `loan`; the loan is over. Never blocks.
 * Any thread of the process that claimed it.
 * @return 0; -EPERM if this process does not hold this loan (any more).
 */
int tvn_mailbox_cancel(const tvn_mailbox_t *mailbox, const tvn_loan_t *loan);

/**
 * The most messages the mailbox holds. Lends `mailbox`. Never blocks. Any thread; a forked child too.
 * @return the capacity.
 */
int64_t tvn_mailbox_capacity(const tvn_mailbox_t *mailbox);

/**
 * The largest message the mailbox takes, in bytes. Lends `mailbox`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_mailbox_message_size(const tvn_mailbox_t *mailbox);

/**
 * Writes the mailbox' type tag to `buffer` of `size` bytes, cut if it is too long. Lends `mailbox` and `buffer` (NULL
 * will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL; 0: the mailbox has no type.
 */
int64_t tvn_mailbox_type(const tvn_mailbox_t *mailbox,
                         char *buffer,
                         size_t size);

/**
 * How many messages are in the mailbox at this moment; the next one may be another. Lends `mailbox`. Never
 * blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_mailbox_length(const tvn_mailbox_t *mailbox);

/**
 * How many claims of dead senders were given back so far. Lends `mailbox`. Never blocks. Any thread; a
 * forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_mailbox_voided(const tvn_mailbox_t *mailbox);

/**
 * How many messages were dropped so far, because too many receivers had died with them or given them back: see
 * `max_deliveries`. Lends `mailbox`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_mailbox_dropped(const tvn_mailbox_t *mailbox);

/**
 * Finds the monitor `name`, or creates it, with nobody inside. Lends `segment` and `name`, gives `*out`. Does
 * not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
 * -ENOSPC if the segment has no room.
 */
int tvn_monitor(const tvn_segment_t *segment, const char *name, tvn_monitor_t **out);

/**
 * Creates the monitor `name`, with nobody inside. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
 */
int tvn_monitor_create(const tvn_segment_t *segment, const char *name, tvn_monitor_t **out);

/**
 * Opens the monitor `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for other
 * users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_monitor_open(const tvn_segment_t *segment,
                     const char *name,
                     tvn_monitor_t **out);

/**
 * Lets go of the monitor. Takes `monitor`; NULL is fine. Leave first: closing does not leave. Conditions taken
 * from it stay good. Never blocks. No other thread may be using this handle.
 */
void tvn_monitor_close(tvn_monitor_t *monitor);

/**
 * Enters; blocks until nobody is inside, or until `timeout_ms` has passed. Lends `monitor`; the calling thread
 * is inside until tvn_monitor_leave(). If who was inside died, one of those who wait gets -EOWNERDEAD: it IS
 * inside then. Put the guarded state right, call tvn_monitor_recover() and leave; without recover, the next one
 * gets -EOWNERDEAD too. Any thread; a forked child is not inside where its parent is.
 * @return 0; -EOWNERDEAD, inside; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
 * -EDEADLK if the calling thread is inside already, or if the segment detects deadlocks and this wait would
 * close a circle; -EIDRM if the monitor was removed.
 */
int tvn_monitor_enter(const tvn_monitor_t *monitor,
                      int timeout_ms);

/**
 * Leaves, so that the next one may enter. Lends `monitor`. Never blocks. The thread that entered.
 * @return 0; -EPERM if the calling thread is not inside.
 */
int tvn_monitor_leave(const tvn_monitor_t *monitor);

/**
 * Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `monitor`; the thread stays inside.
 * Never blocks. The thread that entered.
 * @return 0; -EPERM if the calling thread is not inside.
 */
int tvn_monitor_recover(const tvn_monitor_t *monitor);

/**
 * Who is inside at this moment; the next one may be another. Lends `monitor`, writes `*out` if somebody is.
 * Never blocks. Any thread; a forked child too.
 * @return 1 if somebody is inside, 0 if nobody is.
 */
int tvn_monitor_holder(const tvn_monitor_t *monitor, tvn_holder_t *out);

/**
 * Finds the condition `name` of the monitor, or makes it. Lends `monitor` and `name`, gives `*out`. The calling
 * thread may be inside or outside. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, or one of more than TVN_CONDITION_NAME_MAX bytes; -ENOSPC if the monitor
 * has TVN_CONDITIONS_MAX others.
 */
int tvn_condition(const tvn_monitor_t *monitor,
                  const char *name,
                  tvn_condition_t **out);

/**
 * Lets go of the condition. Takes `condition`; NULL is fine. It stays in its monitor. Never blocks. No other
 * thread may be using this handle.
 */
void tvn_condition_close(tvn_condition_t *condition);

/**
 * Leaves the monitor, sleeps until signalled, or until `timeout_ms` has passed, and enters again, which may take
 * longer. It may come back without a signal, so look again in a loop:
 * `while (!holds) tvn_condition_wait(c, TVN_FOREVER)`. Lends `condition`. The thread that entered.
 * @return 0; -EOWNERDEAD if somebody died inside meanwhile: put the state right and call tvn_monitor_recover();
 * -EAGAIN with TVN_TRY, which lets others in, yet sleeps for no signal; -ETIMEDOUT; -EINTR if this thread is
 * interruptible: inside again after all of these. -EPERM if the calling thread was not inside, and is not now. -EIDRM
 * if the monitor was removed: it guards nothing any more; tvn_monitor_leave() says whether the thread is still inside.
 * -EDEADLK if the segment detects deadlocks and entering again would close a circle: outside.
 */
int tvn_condition_wait(const tvn_condition_t *condition,
                       int timeout_ms);

/**
 * Wakes one thread that waits for the condition, if any does; a signal that nobody waits for is gone. Lends
 * `condition`. Never blocks. Any thread, best one that is inside; a forked child too.
 * @return 0.
 */
int tvn_condition_signal(const tvn_condition_t *condition);

/**
 * Wakes every thread that waits for the condition. Lends `condition`. Never blocks. Any thread, best one that
 * is inside; a forked child too.
 * @return 0.
 */
int tvn_condition_broadcast(const tvn_condition_t *condition);

/**
 * Finds the mutex `name`, or creates it, unlocked. Lends `segment` and `name`, gives `*out`. Does not wait
 * for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
 * -ENOSPC if the segment has no room.
 */
int tvn_mutex(const tvn_segment_t *segment, const char *name, tvn_mutex_t **out);

/**
 * Creates the mutex `name`, unlocked. Lends `segment` and `name`, gives `*out`. Does not wait for other
 * users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
 */
int tvn_mutex_create(const tvn_segment_t *segment, const char *name, tvn_mutex_t **out);

/**
 * Opens the mutex `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_mutex_open(const tvn_segment_t *segment, const char *name, tvn_mutex_t **out);

/**
 * Lets go of the mutex. Takes `mutex`; NULL is fine. Unlock first: closing does not unlock. Never blocks.
 * No other thread may be using this handle.
 */
void tvn_mutex_close(tvn_mutex_t *mutex);

/**
 * Locks; blocks until the mutex is free, or until `timeout_ms` has passed. Lends `mutex`; the lock belongs
 * to the calling thread until tvn_mutex_unlock(). A holder that dies gives the lock to one of those who
 * wait, with -EOWNERDEAD: it IS held then. Put the guarded state right, call tvn_mutex_recover() and unlock;
 * without recover, the next one gets -EOWNERDEAD too. Any thread; a forked child holds none of its parent's
 * locks.
 * @return 0; -EOWNERDEAD, held; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
 * -EDEADLK if the calling thread holds it already, or if the segment detects deadlocks and this wait would close
 * a circle; -EIDRM if the mutex was removed.
 */
int tvn_mutex_lock(const tvn_mutex_t *mutex,
                   int timeout_ms);

/**
 * Unlocks and wakes one sleeper, if any sleeps. Lends `mutex`. Never blocks. The thread that locked.
 * @return 0; -EPERM if the calling thread does not hold it.
 */
int tvn_mutex_unlock(const tvn_mutex_t *mutex);

/**
 * Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `mutex`; it stays held. Never
 * blocks. The thread that locked.
 * @return 0; -EPERM if the calling thread does not hold it.
 */
int tvn_mutex_recover(const tvn_mutex_t *mutex);

/**
 * Who holds the mutex at this moment; the next one may be another. Lends `mutex`, writes `*out` if somebody
 * does. Never blocks. Any thread; a forked child too.
 * @return 1 if somebody holds it, 0 if it is free.
 */
int tvn_mutex_holder(const tvn_mutex_t *mutex, tvn_holder_t *out);

/**
 * As tvn_segment_create(), with options. Lends `name` and `options` (NULL: all defaults), gives `*out`. Does not
 * wait. Any thread.
 * @return as tvn_segment_create(); -EINVAL for bad options.
 */
int tvn_segment_create_with(const char *name,
                            size_t size,
                            const tvn_segment_options_t *options,
                            tvn_segment_t **out);

/**
 * As tvn_segment_open(), with options, of which `mode` and `stale` count. Lends `name` and `options` (NULL: all
 * defaults), gives `*out`. Does not wait for other users. Any thread.
 * @return as tvn_segment_open(); -EINVAL for bad options; -ECONNRESET with TVN_STALE_FAIL if all its users are dead.
 */
int tvn_segment_open_with(const char *name,
                          const tvn_segment_options_t *options,
                          tvn_segment_t **out);

/**
 * As tvn_segment_open_or_create(), with options; an existing segment keeps what it was created with. Lends `name`
 * and `options` (NULL: all defaults), gives `*out`. Does not wait for other users. Any thread.
 * @return 0; otherwise as tvn_segment_create_with() and tvn_segment_open_with(), without -EEXIST and -ENOENT.
 */
int tvn_segment_open_or_create_with(const char *name,
                                    size_t size,
                                    const tvn_segment_options_t *options,
                                    tvn_segment_t **out);

/**
 * As tvn_segment_anonymous(), with options. Lends `options` (NULL: all defaults), gives `*out`. Does not wait. Any
 * thread.
 * @return as tvn_segment_anonymous(); -EINVAL for bad options.
 */
int tvn_segment_anonymous_with(size_t size,
                               const tvn_segment_options_t *options,
                               tvn_segment_t **out);

/**
 * Finds or makes the port `name` and takes the right to receive from it; `options` is NULL for the default, and must
 * fit what is there. A port whose receiver died or gave up is taken over, with the messages that nobody has received.
 * Lends `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process has the right, or it is in a message; -EINVAL for a bad name or option;
 * -TVN_EINCOMPATIBLE if the name belongs to another kind of object, or a port of another geometry; -ENOSPC.
 */
int tvn_port(const tvn_segment_t *segment,
             const char *name,
             const tvn_port_options_t *options,
             tvn_port_t **out);

/**
 * Makes the port `name` and takes the right to receive from it; `options` is NULL for the default. Lends `segment`,
 * `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; otherwise as tvn_port().
 */
int tvn_port_create(const tvn_segment_t *segment,
                    const char *name,
                    const tvn_port_options_t *options,
                    tvn_port_t **out);

/**
 * Opens the port `name`, which must exist, with a new right to send to it. Lends `segment` and `name`, gives `*out`.
 * Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -ENOSPC if all rights to it are in use; -TVN_EINCOMPATIBLE if the name belongs
 * to an object of another kind.
 */
int tvn_port_open(const tvn_segment_t *segment,
                  const char *name,
                  tvn_port_t **out);

/**
 * Ends the handle, and gives its right up unless it was given away or the port is in a set. With the right to receive
 * the port dies. Takes `port`; NULL is fine. Never waits. No other thread may be using this handle.
 */
void tvn_port_close(tvn_port_t *port);

/**
 * What is `port` a right to? Lends `port`. Never waits. Any thread; a forked child too.
 * @return TVN_RIGHT_RECEIVE, TVN_RIGHT_SEND or TVN_RIGHT_SEND_ONCE; -EINVAL for NULL.
 */
int tvn_port_right(const tvn_port_t *port);

/**
 * The most messages the port holds. Lends `port`. Never waits. Any thread; a forked child too.
 * @return a count; -EINVAL for NULL.
 */
int64_t tvn_port_capacity(const tvn_port_t *port);

/**
 * The largest message in bytes. Lends `port`. Never waits. Any thread; a forked child too.
 * @return a size; -EINVAL for NULL.
 */
int64_t tvn_port_message_size(const tvn_port_t *port);

/**
 * Messages in the port at this moment. Lends `port`. Never waits. Any thread; a forked child too.
 * @return a count; -EINVAL for NULL.
 */
int64_t tvn_port_length(const tvn_port_t *port);

/**
 * A new right to send to the same port, to use or to give away. Lends `port`, gives `*out`. Never waits. Any thread.
 * @return 0; -EPERM if this right was given away or is one to send once; -ENOSPC if all rights are in use;
 * -TVN_EFORKED in a forked child.
 */
int tvn_port_send_right(const tvn_port_t *port,
                        tvn_port_t **out);

/**
 * A new right to send to the same port once; `port` is the right to receive. Lends `port`, gives `*out`. Never waits.
 * Any thread.
 * @return as tvn_port_send_right().
 */
int tvn_port_send_once_right(const tvn_port_t *port,
                             tvn_port_t **out);

/**
 * Gives the right up; with the right to receive the port dies, and senders get -ECONNRESET. Lends `port`, which is
 * still to be closed. Never waits. Any thread.
 * @return 0; -EPERM if it was given away or given up before; -TVN_EFORKED in a forked child.
 */
int tvn_port_deallocate(const tvn_port_t *port);

/**
 * Asks that the port `notify` tell when `event` (TVN_PORT_NO_SENDERS or TVN_PORT_DEAD_NAME) happens to `port`: its
 * receiver gets a tvn_delivery_t with that event instead of a message, once. Lends both. Never waits. Any thread.
 * @return 0; -EPERM if one of the rights was given away, or, for TVN_PORT_NO_SENDERS, `port` is not the right to
 * receive; -ENOSPC if `notify` waits for 16 notifications; -EINVAL; -TVN_EFORKED in a forked child.
 */
int tvn_port_request_notification(const tvn_port_t *port,
                                  uint32_t event,
                                  const tvn_port_t *notify);

/**
 * Sends a copy of `size` bytes at `message` (NULL will do for 0); blocks while the port is full, or until `timeout_ms`
 * has passed. A right to send once is used up. Lends `port` and `message`. A sender that dies here sent the whole
 * message or none. Any thread.
 * @return 0; -ECONNRESET if nobody can receive any more; -EPERM if the right was given away or used up, or is one to
 * receive; -EMSGSIZE; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM;
 * -TVN_EFORKED in a forked child.
 */
int tvn_port_send(const tvn_port_t *port,
                  const void *message,
                  size_t size,
                  int timeout_ms);

/**
 * As tvn_port_send(); the message carries `count` rights, up to TVN_PORT_RIGHTS: whoever receives it has them, and
 * they can no longer be used here (-EPERM). Their handles are still to be closed. If sending fails, all of them stay.
 * Lends everything.
 * @return as tvn_port_send(); -EPERM also if one of `rights` is not this process's any more or is named twice; -EINVAL
 * for more than 4, for the right to receive from the port itself, for `port` itself, and for a port of another segment.
 */
int tvn_port_send_rights(const tvn_port_t *port,
                         const void *message,
                         size_t size,
                         const tvn_port_t *const *rights,
                         size_t count,
                         int timeout_ms);

/**
 * Sends, or, if the port is full, leaves the message there all the same: it is pending. When it was received, `notify`
 * tells (TVN_PORT_ACCEPTED), and another one may be left through this right. Lends everything. Never waits. Any thread.
 * @return 1: sent; 0: pending; -EBUSY if a message that was sent through this right is pending already; -ENOSPC if 8
 * others have one pending, or `notify` waits for 16 notifications; otherwise as tvn_port_send().
 */
int tvn_port_send_pending(const tvn_port_t *port,
                          const void *message,
                          size_t size,
                          const tvn_port_t *notify);

/**
 * Receives the oldest message into `message`, which must have room for the largest the port takes (`size` ≥
 * tvn_port_message_size()); blocks while the port is empty, or until `timeout_ms` has passed. Stores in `*delivery`
 * what came with it; NULL: rights in it are given up. Lends `port` and `message`, gives `*delivery`. Any thread.
 * @return the size of the message, 0 for a notification; -EPERM unless `port` is the right to receive and this
 * process's; -EBUSY if it is in a set; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if
 * this thread is interruptible; -EIDRM; -TVN_EFORKED in a forked child.
 */
int64_t tvn_port_receive(const tvn_port_t *port,
                         void *message,
                         size_t size,
                         tvn_delivery_t *delivery,
                         int timeout_ms);

/**
 * Sends `size` bytes at `message` with a right to answer once, and waits for the answer until `timeout_ms` has passed:
 * `answer` must have room for tvn_port_message_size(). The server receives a `reply` and sends its answer there. Stores
 * in `*delivery` what came with the answer; NULL: rights in it are given up. Lends the rest. Any thread.
 * @return the size of the answer; -ECONNRESET if nobody can receive or answer any more; otherwise as tvn_port_send()
 * and tvn_port_receive().
 */
int64_t tvn_port_call(const tvn_port_t *port,
                      const void *message,
                      size_t size,
                      void *answer,
                      size_t answer_size,
                      tvn_delivery_t *delivery,
                      int timeout_ms);

/**
 * Makes an empty set of ports. Gives `*out`. Never waits. It serves one thread at a time.
 * @return 0; -EMFILE and the like.
 */
int tvn_port_set_new(tvn_port_set_t **out);

/**
 * Ends the set; its ports can be received from directly again. Takes `set`; NULL is fine.
 */
void tvn_port_set_close(tvn_port_set_t *set);

/**
 * Adds a port, of which this process has the right to receive; as long as it is in the set it is received from there
 * only. Take it out before you close its handle. Lends both. Never waits.
 * @return 0; -EPERM unless it is a right to receive; -EBUSY if it is in a set already; -ENOSPC for too many;
 * -TVN_EFORKED in a forked child.
 */
int tvn_port_set_add(tvn_port_set_t *set,
                     tvn_port_t *port);

/**
 * Takes a port out. Lends both. Never waits.
 * @return 0; -ENOENT if it is not in the set; -TVN_EFORKED in a forked child.
 */
int tvn_port_set_remove(tvn_port_set_t *set, tvn_port_t *port);

/**
 * Receives from any of the ports, which take turns, as tvn_port_receive() does; stores in `*from` the handle that was
 * added. `size` is at least the largest message size of all members. Lends `set` and `message`, gives `*delivery`.
 * @return as tvn_port_receive(); -EINVAL for an empty set.
 */
int64_t tvn_port_set_receive(tvn_port_set_t *set,
                             void *message,
                             size_t size,
                             tvn_port_t **from,
                             tvn_delivery_t *delivery,
                             int timeout_ms);

/**
 * Takes a name for this process, for direct communication; `options` (NULL for the default) are those of its port and
 * of partners' ports which it is the first to name. Lends `segment`, `name` and `options`, gives `*out`. Does not wait
 * for other users. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process has the name; -EINVAL for a bad name, or one of more than 55 bytes; -ENOSPC.
 */
int tvn_process(const tvn_segment_t *segment,
                const char *name,
                const tvn_port_options_t *options,
                tvn_process_t **out);

/**
 * Gives the name up. Takes `process`; NULL is fine. No other thread may be using this handle.
 */
void tvn_process_close(tvn_process_t *process);

/**
 * Sends `size` bytes at `message` to the process `to`, which may start later; blocks while 8 (or as its port says) wait
 * for it, or until `timeout_ms` has passed. Lends everything. Any thread.
 * @return 0; -ECONNRESET if that process died or gave its name up; otherwise as tvn_port_send().
 */
int tvn_process_send(const tvn_process_t *process,
                     const char *to,
                     const void *message,
                     size_t size,
                     int timeout_ms);

/**
 * Receives the oldest message from any process, and writes who sent it to `sender`, `sender_size` bytes (64 are
 * enough), with a NUL at its end: "" if that was no process under a name. Otherwise as tvn_port_receive().
 * @return as tvn_port_receive().
 */
int64_t tvn_process_receive(const tvn_process_t *process,
                            char *sender,
                            size_t sender_size,
                            void *message,
                            size_t size,
                            tvn_delivery_t *delivery,
                            int timeout_ms);

/**
 * Receives the oldest message from the process `from`, and leaves the others where they are. Otherwise as
 * tvn_port_receive().
 * @return as tvn_port_receive(); -ECONNRESET if there is no message from that process, and it died or gave its name up.
 */
int64_t tvn_process_receive_from(const tvn_process_t *process,
                                 const char *from,
                                 void *message,
                                 size_t size,
                                 tvn_delivery_t *delivery,
                                 int timeout_ms);

/**
 * Finds the ring `name`, or creates it with `size` bytes (rounded up to a power of two); an existing one must
 * have this size. Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a
 * forked child too.
 * @return 0; -EINVAL for a bad name or size; -TVN_EINCOMPATIBLE if the name belongs to an object of another
 * kind or geometry; -ENOSPC if the segment has no room.
 */
int tvn_ring(const tvn_segment_t *segment, const char *name, size_t size, tvn_ring_t **out);

/**
 * Creates the ring `name` with `size` bytes (rounded up to a power of two). Lends `segment` and `name`, gives
 * `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or size; -ENOSPC if the segment has no room.
 */
int tvn_ring_create(const tvn_segment_t *segment,
                    const char *name,
                    size_t size,
                    tvn_ring_t **out);

/**
 * Opens the ring `name`, which must exist, whatever its size: see tvn_ring_size(). Lends `segment` and
 * `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_ring_open(const tvn_segment_t *segment, const char *name, tvn_ring_t **out);

/**
 * Finds the ring `name`, or creates it as `options` say (NULL: all defaults); an existing one must be so, as far as they
 * say anything. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked
 * child too.
 * @return as tvn_ring(); -EINVAL for bad options; -TVN_EINCOMPATIBLE also for another type tag.
 */
int tvn_ring_with(const tvn_segment_t *segment,
                  const char *name,
                  const tvn_ring_options_t *options,
                  tvn_ring_t **out);

/**
 * Creates the ring `name` as `options` say (NULL: all defaults). Lends `segment`, `name` and `options`, gives `*out`. Does
 * not wait for other users. Any thread; a forked child too.
 * @return as tvn_ring_with(); -EEXIST if the name is taken.
 */
int tvn_ring_create_with(const tvn_segment_t *segment,
                         const char *name,
                         const tvn_ring_options_t *options,
                         tvn_ring_t **out);

/**
 * Finds the ring `name`, or creates it with room for `capacity` records (rounded up to a power of two) of `record_size`
 * bytes each, packed back to back; an existing one must be so. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return as tvn_ring().
 */
int tvn_ring_of(const tvn_segment_t *segment,
                const char *name,
                size_t record_size,
                size_t capacity,
                tvn_ring_t **out);

/**
 * Ends the stream: nothing is written any more, and the consumer gets -EPIPE once it has read what is there. Wakes
 * whoever waits. Lends `ring`. Never blocks; again is nothing new. Any thread; a forked child too.
 * @return 0.
 */
int tvn_ring_shutdown(const tvn_ring_t *ring);

/**
 * Was the ring shut down, by anybody? Lends `ring`. Never blocks. Any thread; a forked child too.
 * @return 1 if it was, 0 if not.
 */
int tvn_ring_is_shut_down(const tvn_ring_t *ring);

/**
 * Lets go of the ring. Takes `ring`; NULL is fine. The ring and its records stay in the segment; producers
 * and consumers made from this handle go on. Never blocks. No other thread may be using this handle.
 */
void tvn_ring_close(tvn_ring_t *ring);

/**
 * The size of the ring in bytes. Lends `ring`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_ring_size(const tvn_ring_t *ring);

/**
 * The largest record the ring takes: half its size, less eight bytes. Lends `ring`. Never blocks. Any
 * thread; a forked child too.
 * @return the size in bytes.
 */
int64_t tvn_ring_max_record(const tvn_ring_t *ring);

/**
 * The one size of its packed records. Lends `ring`. Never blocks. Any thread; a forked child too.
 * @return the size in bytes; 0 if records have any size.
 */
int64_t tvn_ring_record_size(const tvn_ring_t *ring);

/**
 * How many packed records fit. Lends `ring`. Never blocks. Any thread; a forked child too.
 * @return the number; 0 if that depends on their sizes.
 */
int64_t tvn_ring_capacity(const tvn_ring_t *ring);

/**
 * Writes the ring's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `ring` and `buffer` (NULL will
 * do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL; 0: the ring has no type.
 */
int64_t tvn_ring_type(const tvn_ring_t *ring,
                      char *buffer,
                      size_t size);

/**
 * Becomes the ring's producer. A dead one is succeeded: what it had published stays, what it had not is
 * gone. Lends `ring`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process is the producer; -EPIPE after a shutdown; -EIDRM if the ring was removed.
 */
int tvn_ring_producer(const tvn_ring_t *ring,
                      tvn_producer_t **out);

/**
 * Becomes the ring's consumer. A dead one is succeeded: what it had not released is read again. Lends `ring`,
 * gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process is the consumer; -EIDRM if the ring was removed.
 */
int tvn_ring_consumer(const tvn_ring_t *ring, tvn_consumer_t **out);

/**
 * Writes a copy of `size` bytes at `record` (NULL will do for 0); blocks while the ring is full, or until
 * `timeout_ms` has passed. Lends `producer` and `record`. A producer that dies here wrote the whole record or
 * none. One thread at a time, in the process that took the role.
 * @return 0; -EMSGSIZE if the record is larger than the ring takes; -EINVAL if it is smaller than packed records are;
 * -EBUSY while a reservation is pending; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
 * -ECONNRESET if it is full and the consumer is dead; -EPIPE after a shutdown; -EIDRM if the ring was removed;
 * -TVN_EFORKED in a forked child.
 */
int tvn_producer_write(tvn_producer_t *producer,
                       const void *record,
                       size_t size,
                       int timeout_ms);

/**
 * Borrows room for a record of up to `size` bytes, to be written in place at `*room`, aligned to 8; blocks
 * while the ring is full, or until `timeout_ms` has passed. Lends `producer`, writes `*room`: the room is lent
 * until tvn_producer_commit() or tvn_producer_cancel(). If this process dies first, nothing was written. One
 * thread at a time, in the process that took the role.
 * @return as tvn_producer_write().
 */
int tvn_producer_reserve(tvn_producer_t *producer,
                         size_t size,
                         int timeout_ms,
                         void **room);

/**
 * Writes copies of `count` records, of which each entry says where it is and how long, and shows them all at once;
 * blocks until there is room for all of them, or until `timeout_ms` has passed. Lends `producer` and `records`. A
 * producer that dies here wrote all of them or none. One thread at a time, in the process that took the role.
 * @return 0, or an error and nothing is written: as tvn_producer_write(); -EMSGSIZE also if the ring is too small for
 * all of them together.
 */
int tvn_producer_write_many(tvn_producer_t *producer,
                            const struct iovec *records,
                            size_t count,
                            int timeout_ms);

/**
 * Writes copies of `count` packed records that lie back to back at `records`, and shows them all at once; blocks until
 * there is room for all of them, or until `timeout_ms` has passed. Lends `producer` and `records`. A producer that dies
 * here wrote all of them or none. One thread at a time, in the process that took the role.
 * @return as tvn_producer_write_many(); -EINVAL if the ring's records have any size.
 */
int tvn_producer_write_packed(tvn_producer_t *producer,
                              const void *records,
                              size_t count,
                              int timeout_ms);

/**
 * Borrows room for packed records in one piece, to be written in place at `*room`: for one at least, and for as many up
 * to `count` as there is room for before the ring's end; blocks while the ring is full, or until `timeout_ms` has passed.
 * Lends `producer`, writes `*room`: it is lent until tvn_producer_commit(), _stage() or _cancel(), which want bytes. One
 * thread at a time, in the process that took the role.
 * @return for how many records there is room; otherwise as tvn_producer_write_packed().
 */
int64_t tvn_producer_reserve_packed(tvn_producer_t *producer,
                                    size_t count,
                                    int timeout_ms,
                                    void **room);

/**
 * Completes the first `size` bytes of the room last reserved, to be seen together with what comes next: at the next
 * commit or write, or at tvn_producer_publish(). Until then it is as if it were not there; tvn_producer_discard() gives
 * it up. Lends `producer`; the room is over. Never blocks. One thread at a time, in the process that took the role.
 * @return as tvn_producer_commit().
 */
int tvn_producer_stage(tvn_producer_t *producer,
                       size_t size);

/**
 * Shows all that is staged, at once. Lends `producer`. Never blocks. A producer that dies here published all of it or
 * nothing. One thread at a time, in the process that took the role.
 * @return 0; -EBUSY while a reservation is pending; -EPIPE after a shutdown; -TVN_EFORKED in a forked child.
 */
int tvn_producer_publish(tvn_producer_t *producer);

/**
 * Gives up all that is staged, and the room last reserved. Lends `producer`. Never blocks. One thread at a time, in the
 * process that took the role.
 * @return 0.
 */
int tvn_producer_discard(tvn_producer_t *producer);

/**
 * Publishes the first `size` bytes of the room last reserved, and all that is staged. Lends `producer`; the room is over. Never
 * blocks. A producer that dies here published the whole record or none. One thread at a time, in the process
 * that took the role.
 * @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved, or for half a packed
 * record; -EPIPE after a shutdown; -TVN_EFORKED in a forked child.
 */
int tvn_producer_commit(tvn_producer_t *producer,
                        size_t size);

/**
 * Gives the room last reserved back, if there is one; what is staged stays so. Lends `producer`. Never blocks. One thread at a time,
 * in the process that took the role.
 * @return 0.
 */
int tvn_producer_cancel(tvn_producer_t *producer);

/**
 * Gives the role back; the next one may take it. Takes `producer`; NULL is fine. What is written stays, what
 * is only reserved is gone. Never blocks. In a forked child it ends the handle; the parent keeps the role.
 */
void tvn_producer_close(tvn_producer_t *producer);

/**
 * Copies the oldest record into `record` and releases it; blocks while the ring is empty, or until
 * `timeout_ms` has passed. Lends `consumer` and `record`. A consumer that dies here has read the record, or
 * its successor reads it. One thread at a time, in the process that took the role.
 * @return the size of the record, from 0 on; -EMSGSIZE if `size` is too small: the record stays; -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if it is empty and the producer is
 * dead; -EPIPE if it is empty and was shut down; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
 */
int64_t tvn_consumer_read(tvn_consumer_t *consumer,
                          void *record,
                          size_t size,
                          int timeout_ms);

/**
 * Waits for a record; copies as many as there are and as fit, one behind the other, to `records`, puts the size of each
 * into `sizes`, which has room for `count`, and releases them all at once. Blocks while the ring is empty, or until
 * `timeout_ms` has passed. Lends `consumer`, `records` and `sizes`. A consumer that dies here has read all of them, or
 * its successor reads them. One thread at a time, in the process that took the role.
 * @return how many records, 0 only if `count` is 0; -EMSGSIZE if `size` is too small for the first one: it stays;
 * otherwise as tvn_consumer_read().
 */
int64_t tvn_consumer_read_many(tvn_consumer_t *consumer,
                               void *records,
                               size_t size,
                               size_t *sizes,
                               size_t count,
                               int timeout_ms);

/**
 * Waits for a packed record; copies as many as there are, up to `count`, to `records`, and releases them all at once.
 * Blocks while the ring is empty, or until `timeout_ms` has passed. Lends `consumer` and `records`, which has room for
 * `count` of the ring's record size. A consumer that dies here has read all of them, or its successor reads them. One
 * thread at a time, in the process that took the role.
 * @return how many records; -EMSGSIZE if `count` is 0; -EINVAL if the ring's records have any size; otherwise as
 * tvn_consumer_read().
 */
int64_t tvn_consumer_read_packed(tvn_consumer_t *consumer,
                                 void *records,
                                 size_t count,
                                 int timeout_ms);

/**
 * Borrows packed records in one piece, to be read in place at `*records`: one at least, and as many up to `count` as there
 * are before the ring's end; blocks while the ring is empty, or until `timeout_ms` has passed. Lends `consumer`, writes
 * `*records`: lent until tvn_consumer_release() or tvn_consumer_keep(). One thread at a time, in the process that took the
 * role.
 * @return how many records; otherwise as tvn_consumer_read_packed().
 */
int64_t tvn_consumer_peek_packed(tvn_consumer_t *consumer,
                                 size_t count,
                                 int timeout_ms,
                                 const void **records);

/**
 * Goes on to the next record without releasing the one last peeked at: it stays lent, and the next release frees both at
 * once. Lends `consumer`. Never blocks. Who dies first leaves both to its successor. One thread at a time, in the process
 * that took the role.
 * @return 0; -EINVAL if none was peeked at; -TVN_EFORKED in a forked child.
 */
int tvn_consumer_hold(tvn_consumer_t *consumer);

/**
 * Keeps the record last peeked at in the ring, and all that is held: the next peek sees the oldest of them again. Lends
 * `consumer`; the loans are over. Never blocks. One thread at a time, in the process that took the role.
 * @return 0.
 */
int tvn_consumer_rewind(tvn_consumer_t *consumer);

/**
 * Borrows the oldest record that is not held, to be read in place at `*record`, aligned to 8; blocks while the ring is empty,
 * or until `timeout_ms` has passed. Lends `consumer`, writes `*record`: the record is lent until
 * tvn_consumer_release() or tvn_consumer_keep(); a second peek sees it again. A peer that breaks the rules can
 * write there, so copy what you check. One thread at a time, in the process that took the role.
 * @return the size of the record, from 0 on; otherwise as tvn_consumer_read(), without -EMSGSIZE.
 */
int64_t tvn_consumer_peek(tvn_consumer_t *consumer,
                          int timeout_ms,
                          const void **record);

/**
 * Releases the record last peeked at, and all that is held; their room is free for the producer. Lends `consumer`; the record is
 * over. Never blocks. One thread at a time, in the process that took the role.
 * @return 0; -EINVAL if none was peeked at; -TVN_EFORKED in a forked child.
 */
int tvn_consumer_release(tvn_consumer_t *consumer);

/**
 * Keeps the record last peeked at in the ring: the next peek or read sees it again. Lends `consumer`; the loan
 * is over. Never blocks. One thread at a time, in the process that took the role.
 * @return 0, also if none was peeked at.
 */
int tvn_consumer_keep(tvn_consumer_t *consumer);

/**
 * Gives the role back; the next one may take it and reads what is not released. Takes `consumer`; NULL is
 * fine. Never blocks. In a forked child it ends the handle; the parent keeps the role.
 */
void tvn_consumer_close(tvn_consumer_t *consumer);

/**
 * Finds the readers-writer lock `name`, or creates it with this `policy`: TVN_READERS_FIRST, TVN_WRITERS_FIRST or
 * TVN_FAIR. An existing one must have the same. Lends `segment` and `name`, gives `*out`. Does not wait for other
 * users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name or policy; -TVN_EINCOMPATIBLE if the name belongs to a lock of another policy
 * or an object of another kind; -ENOSPC if the segment has no room.
 */
int tvn_rwlock(const tvn_segment_t *segment,
               const char *name,
               uint32_t policy,
               tvn_rwlock_t **out);

/**
 * Creates the readers-writer lock `name` with this `policy`: TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR.
 * Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or policy; -ENOSPC if the segment has no room.
 */
int tvn_rwlock_create(const tvn_segment_t *segment,
                      const char *name,
                      uint32_t policy,
                      tvn_rwlock_t **out);

/**
 * Opens the readers-writer lock `name`, which must exist, whatever its policy: see tvn_rwlock_policy(). Lends
 * `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_rwlock_open(const tvn_segment_t *segment, const char *name, tvn_rwlock_t **out);

/**
 * Lets go of the lock. Takes `rwlock`; NULL is fine. Unlock first: closing does not unlock. Never blocks. No
 * other thread may be using this handle.
 */
void tvn_rwlock_close(tvn_rwlock_t *rwlock);

/**
 * Locks for reading, together with other readers; blocks while the policy keeps readers out, or until
 * `timeout_ms` has passed. Lends `rwlock`; the lock belongs to the calling thread until tvn_rwlock_unlock(). A thread
 * that reads already may read again, at once, and unlocks as often. A reader that dies is no reader any more. After a writer died, readers get -EOWNERDEAD until a writer has
 * called tvn_rwlock_recover(): the lock IS held then. Any thread; a forked child holds none of its parent's locks.
 * @return 0; -EOWNERDEAD, held for reading; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
 * interruptible; -EDEADLK if the calling thread holds it for writing, or if the segment detects deadlocks and
 * this wait would close a circle; -EIDRM if the lock was removed.
 */
int tvn_rwlock_read(const tvn_rwlock_t *rwlock,
                    int timeout_ms);

/**
 * Locks for writing, alone; blocks while anybody else holds it, or until `timeout_ms` has passed. Lends
 * `rwlock`; the lock belongs to the calling thread until tvn_rwlock_unlock(). After a writer died, everybody gets
 * -EOWNERDEAD: the lock IS held then. Put the guarded state right, call tvn_rwlock_recover() and unlock. Any
 * thread; a forked child holds none of its parent's locks.
 * @return 0; -EOWNERDEAD, held for writing; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
 * interruptible; -EDEADLK if the calling thread holds it already, for writing or for reading (a read lock cannot
 * become a write lock: two that try wait for each other; unlock first), or if the segment detects deadlocks and
 * this wait would close a circle; -EIDRM if the lock was removed.
 */
int tvn_rwlock_write(const tvn_rwlock_t *rwlock,
                     int timeout_ms);

/**
 * Unlocks what the calling thread locked: for writing, or its last read lock. Lends `rwlock`. Never blocks. The
 * thread that locked.
 * @return 0; -EPERM if the calling thread holds it in neither way.
 */
int tvn_rwlock_unlock(const tvn_rwlock_t *rwlock);

/**
 * Turns the write lock into a read lock; no writer gets in between. Lends `rwlock`. Never blocks. The thread
 * that locked.
 * @return 0; -EPERM unless the calling thread holds it for writing.
 */
int tvn_rwlock_downgrade(const tvn_rwlock_t *rwlock);

/**
 * Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `rwlock`; it stays held. Never blocks.
 * The thread that locked it for writing.
 * @return 0; -EPERM unless the calling thread holds it for writing.
 */
int tvn_rwlock_recover(const tvn_rwlock_t *rwlock);

/**
 * Who holds the lock for writing, or waits for the readers to leave, at this moment. Lends `rwlock`, writes
 * `*out` if somebody does. Never blocks. Any thread; a forked child too.
 * @return 1 if somebody does, 0 if nobody does.
 */
int tvn_rwlock_writer(const tvn_rwlock_t *rwlock, tvn_holder_t *out);

/**
 * How many read locks there are at this moment, in all processes. Lends `rwlock`. Never blocks. Any thread; a
 * forked child too.
 * @return the read locks, from 0 on.
 */
int64_t tvn_rwlock_readers(const tvn_rwlock_t *rwlock);

/**
 * Who goes first. Lends `rwlock`. Never blocks. Any thread; a forked child too.
 * @return TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR.
 */
int tvn_rwlock_policy(const tvn_rwlock_t *rwlock);

/**
 * Makes a new segment of `size` bytes under `name` (/dev/shm/triveni.NAME), with access `mode` (0600: this
 * user alone). Lends `name`, gives `*out`. Does not wait. Any thread.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or size; -ENOSPC without memory; -EACCES.
 */
int tvn_segment_create(const char *name, size_t size, uint32_t mode, tvn_segment_t **out);

/**
 * Opens the segment `name`, which must exist. If all its users are dead, what they left is put right first
 * and committed data stay. Lends `name`, gives `*out`. Does not wait for other users. Any thread.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -EACCES; -TVN_EINCOMPATIBLE for a segment of
 * another version; -TVN_ECORRUPT if it is none; -ENOSPC if the table of participants is full.
 */
int tvn_segment_open(const char *name, tvn_segment_t **out);

/**
 * Opens the segment `name`, or makes it as tvn_segment_create() does; many processes may do this at once and
 * get the same one. An existing one keeps its size and mode. Lends `name`, gives `*out`. Does not wait for
 * other users. Any thread.
 * @return 0; otherwise as tvn_segment_create() and tvn_segment_open(), without -EEXIST and -ENOENT.
 */
int tvn_segment_open_or_create(const char *name, size_t size, uint32_t mode, tvn_segment_t **out);

/**
 * Makes a segment of `size` bytes without a name: forked children inherit it, others get its descriptor
 * (tvn_segment_fd()). It is sealed: nobody can truncate it. Gives `*out`. Does not wait. Any thread.
 * @return 0; -EINVAL for a bad size; -ENOSPC without memory.
 */
int tvn_segment_anonymous(size_t size, tvn_segment_t **out);

/**
 * Opens the segment that somebody sent as a descriptor. Lends `fd`: it stays the caller's, to close. Gives
 * `*out`. Does not wait for other users. Any thread.
 * @return 0; -EINVAL if `fd` is negative or no segment's; otherwise as tvn_segment_open().
 */
int tvn_segment_from_fd(int fd, tvn_segment_t **out);

/**
 * A new descriptor of the segment, to be sent to another process, which calls tvn_segment_from_fd(). Lends
 * `segment`; the descriptor is the caller's, to close. Closed on exec. Never blocks. Any thread; a forked
 * child too.
 * @return the descriptor, from 0 on; -EMFILE and the like from the system.
 */
int tvn_segment_fd(const tvn_segment_t *segment);

/**
 * Removes the name. Who has the segment open goes on; the memory goes with the last one. Lends `name`.
 * Never blocks. Any thread.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -EACCES.
 */
int tvn_segment_unlink(const char *name);

/**
 * Fills `names` with the names of the segments on this machine, sorted, as many as there are and at most `count`:
 * `char names[100][TVN_NAME_ROOM]; int64_t there = tvn_segment_list(names, 100);`. Lends `names` (NULL will do
 * with 0). Never blocks. Any thread.
 * @return how many segments there are, which may be more than `count`; what reading /dev/shm reports.
 */
int64_t tvn_segment_list(char (*names)[TVN_NAME_ROOM],
                         size_t count);

/**
 * Lets go of the segment. Takes `segment`; NULL is fine. Objects opened through it stay good; the process
 * leaves with the last of them. Never blocks. No other thread may be using this handle.
 */
void tvn_segment_close(tvn_segment_t *segment);

/**
 * The size of the segment in bytes. Lends `segment`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_segment_size(const tvn_segment_t *segment);

/**
 * Has the segment's name been removed, or given to another segment? Lends `segment`. Never blocks. Any
 * thread; a forked child too.
 * @return 1 or 0.
 */
int tvn_segment_is_unlinked(const tvn_segment_t *segment);

/**
 * Does a locker that would close a circle of waits get -EDEADLK instead? See tvn_segment_options_t. Lends
 * `segment`. Never blocks. Any thread; a forked child too.
 * @return 1 or 0.
 */
int tvn_segment_detects_deadlocks(const tvn_segment_t *segment);

/**
 * Removes the name of an object. Who waits on it gets -EIDRM, as does who would have to from now on, or asks for a role;
 * calls that need not wait go on, for those who have it open. Its memory is used again once the last process has let
 * go. Lends `segment` and `object`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name.
 */
int tvn_segment_remove(const tvn_segment_t *segment,
                       const char *object);

/**
 * Puts right, now, what dead processes left. Nobody needs to call this: whoever waits does it too. Lends
 * `segment`. Does not wait for other users. Any thread; a forked child too.
 * @return how many dead processes were swept, from 0 on.
 */
int64_t tvn_segment_sweep(const tvn_segment_t *segment);

/**
 * Fills `array` with what is to be seen of the objects, as many as there are and at most `count`. Lends
 * `segment` and `array` (NULL will do with 0). Does not wait for other users. Any thread; a forked child too.
 * @return how many objects there are, which may be more than `count`.
 */
int64_t tvn_segment_objects(const tvn_segment_t *segment, tvn_object_info_t *array, size_t count);

/**
 * Fills `array` with the processes that take part, also the dead that nobody has swept yet, as many as there
 * are and at most `count`. Lends `segment` and `array` (NULL will do with 0). Does not wait for other users.
 * Any thread; a forked child too.
 * @return how many processes there are, which may be more than `count`.
 */
int64_t tvn_segment_participants(const tvn_segment_t *segment, tvn_participant_info_t *array, size_t count);

/**
 * Finds the semaphore `name`, or creates it with `initial` permits; an existing one keeps its count.
 * Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX; -TVN_EINCOMPATIBLE if the name
 * belongs to an object of another kind, or to a semaphore that is limited, binary or leased; -ENOSPC if the
 * segment has no room.
 */
int tvn_semaphore(const tvn_segment_t *segment, const char *name, uint32_t initial, tvn_semaphore_t **out);

/**
 * Creates the semaphore `name` with `initial` permits. Lends `segment` and `name`, gives `*out`. Does not
 * wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX;
 * -ENOSPC if the segment has no room.
 */
int tvn_semaphore_create(const tvn_segment_t *segment,
                         const char *name,
                         uint32_t initial,
                         tvn_semaphore_t **out);

/**
 * Finds the limited semaphore `name`, or creates it with `initial` permits and at most `max`: a post beyond that
 * is an error. An existing one keeps its count and must have the same `max`. Lends `segment` and `name`, gives
 * `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, a `max` of 0 or above TVN_SEMAPHORE_MAX, or an `initial` above it;
 * -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to a semaphore of another `max` or
 * leased; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_limited(const tvn_segment_t *segment,
                          const char *name,
                          uint32_t initial,
                          uint32_t max,
                          tvn_semaphore_t **out);

/**
 * Creates the limited semaphore `name` with `initial` permits and at most `max`. Lends `segment` and `name`,
 * gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, a `max` of 0 or above TVN_SEMAPHORE_MAX, or
 * an `initial` above it; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_limited_create(const tvn_segment_t *segment,
                                 const char *name,
                                 uint32_t initial,
                                 uint32_t max,
                                 tvn_semaphore_t **out);

/**
 * Finds the binary semaphore `name`, or creates it: one permit at most, there from the beginning if `free`. An
 * existing one keeps its count. Anybody may post; for a lock that knows its holder take a mutex. Lends `segment`
 * and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to
 * another sort of semaphore; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_binary(const tvn_segment_t *segment,
                         const char *name,
                         bool free,
                         tvn_semaphore_t **out);

/**
 * Creates the binary semaphore `name`, free or taken. Lends `segment` and `name`, gives `*out`. Does not wait
 * for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_binary_create(const tvn_segment_t *segment,
                                const char *name,
                                bool free,
                                tvn_semaphore_t **out);

/**
 * Finds the leased semaphore `name`, or creates it with `permits` permits that belong to the thread that took
 * them: only it can post them, and they come back when it ends or its process dies. An existing one must have as
 * many. Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name, or for 0 `permits` or more than TVN_SEMAPHORE_LEASED_MAX;
 * -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to a semaphore that has another number
 * of permits or is not leased; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_leased(const tvn_segment_t *segment,
                         const char *name,
                         uint32_t permits,
                         tvn_semaphore_t **out);

/**
 * Creates the leased semaphore `name` with `permits` permits. Lends `segment` and `name`, gives `*out`. Does not
 * wait for other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, or for 0 `permits` or more than
 * TVN_SEMAPHORE_LEASED_MAX; -ENOSPC if the segment has no room.
 */
int tvn_semaphore_leased_create(const tvn_segment_t *segment,
                                const char *name,
                                uint32_t permits,
                                tvn_semaphore_t **out);

/**
 * Opens the semaphore `name`, which must exist, of whatever sort. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_semaphore_open(const tvn_segment_t *segment,
                       const char *name,
                       tvn_semaphore_t **out);

/**
 * Lets go of the semaphore. Takes `semaphore`; NULL is fine. The semaphore stays in its segment. Never
 * blocks. No other thread may be using this handle.
 */
void tvn_semaphore_close(tvn_semaphore_t *semaphore);

/**
 * Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. Lends `semaphore`.
 * A process that dies before its post never gives that permit, unless the semaphore is leased: then it comes
 * back. Any thread; a forked child too, which holds none of its parent's leased permits.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EDEADLK if the segment
 * detects deadlocks and this wait for a leased permit would close a circle; -EIDRM if the semaphore was removed.
 */
int tvn_semaphore_wait(const tvn_semaphore_t *semaphore,
                       int timeout_ms);

/**
 * Takes `n` permits at once; blocks until there are that many, holding none meanwhile, or until `timeout_ms`
 * has passed. Lends `semaphore`. Any thread; a forked child too.
 * @return 0; -EINVAL for 0, and for more than there can ever be; otherwise as tvn_semaphore_wait().
 */
int tvn_semaphore_wait_n(const tvn_semaphore_t *semaphore, uint32_t n, int timeout_ms);

/**
 * Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a
 * forked child too.
 * @return 0; -EOVERFLOW at tvn_semaphore_max(), and nothing is added; -EPERM if it is leased and the calling
 * thread holds no permit.
 */
int tvn_semaphore_post(const tvn_semaphore_t *semaphore);

/**
 * Adds `n` permits, all or none, and wakes who can go on. Lends `semaphore`. Never blocks. Any thread; a
 * forked child too.
 * @return 0; -EINVAL for 0; -EOVERFLOW beyond tvn_semaphore_max(); -EPERM if it is leased and the calling thread
 * holds fewer.
 */
int tvn_semaphore_post_n(const tvn_semaphore_t *semaphore,
                         uint32_t n);

/**
 * How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks.
 * Any thread; a forked child too.
 * @return the permits, from 0 on.
 */
int64_t tvn_semaphore_value(const tvn_semaphore_t *semaphore);

/**
 * The most permits it holds: a post beyond them fails. Lends `semaphore`. Never blocks. Any thread; a forked
 * child too.
 * @return the maximum, from 1 on.
 */
int64_t tvn_semaphore_max(const tvn_semaphore_t *semaphore);

/**
 * Do permits belong to the threads that took them? Lends `semaphore`. Never blocks. Any thread; a forked child
 * too.
 * @return 1 if it is leased, else 0.
 */
int tvn_semaphore_is_leased(const tvn_semaphore_t *semaphore);

/**
 * Fills `array` with the threads that have a leased permit at this moment, once for each permit, as many as there are
 * and at most `count`. Lends `semaphore` and `array` (NULL will do with 0). Never blocks. Any thread; a forked child
 * too.
 * @return how many permits are out, which may be more than `count`; 0 if the semaphore is not leased.
 */
int64_t tvn_semaphore_holders(const tvn_semaphore_t *semaphore,
                              tvn_holder_t *array,
                              size_t count);

/**
 * Finds the service `name`, or creates it with `options`; an existing one must have been made with the same. Lends
 * `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name or bad options; -TVN_EINCOMPATIBLE if the name belongs to an object of another
 * kind, or to a service that was made otherwise; -ENOSPC if the segment has no room.
 */
int tvn_service(const tvn_segment_t *segment,
                const char *name,
                const tvn_service_options_t *options,
                tvn_service_t **out);

/**
 * Creates the service `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; otherwise as tvn_service().
 */
int tvn_service_create(const tvn_segment_t *segment,
                       const char *name,
                       const tvn_service_options_t *options,
                       tvn_service_t **out);

/**
 * Opens the service `name`, which must exist, however it was made. Lends `segment` and `name`, gives `*out`. Does not
 * wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of
 * another kind.
 */
int tvn_service_open(const tvn_segment_t *segment,
                     const char *name,
                     tvn_service_t **out);

/**
 * Lets go of the service. Takes `service`; NULL is fine. The service stays in the segment. End calls and answer
 * requests first: closing does not. Never blocks. No other thread may be using this handle.
 */
void tvn_service_close(tvn_service_t *service);

/**
 * Asks for `request` (NULL will do for 0 bytes), waits for the answer and copies it into `response`, which must have
 * room for the largest (`response_size` ≥ tvn_service_response_size()); blocks until there is a free cell and then
 * until the answer is there, or until `timeout_ms` has passed. Where nobody serves it goes on waiting:
 * see tvn_service_servers(). Lends `service`, `request` and `response`. Any thread; a forked child too.
 * @return the size of the answer, from 0 on; -ECONNRESET if the server died over this request, which may have been
 * served in part; -TVN_EFAILED if the server said so, see tvn_last_error(); -EPIPE if the service was shut down, and
 * then it was not served; -EMSGSIZE if the request is larger than the service takes, or `response_size` too small;
 * -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed. After
 * -EAGAIN, -ETIMEDOUT and -EINTR a server that had begun may go on; its answer is dropped.
 */
int64_t tvn_service_call(const tvn_service_t *service,
                         const void *request,
                         size_t size,
                         void *response,
                         size_t response_size,
                         int timeout_ms);

/**
 * Makes a request and does not wait for the answer: that is tvn_call_wait()'s part. Blocks until there is a free cell,
 * or until `timeout_ms` has passed. Lends `service` and `request` (NULL will do for 0 bytes), writes `*call`: end it
 * with tvn_call_end(). Any thread; a call stays with the process that made it.
 * @return 0; -EPIPE if the service was shut down; -EMSGSIZE; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
 * is interruptible; -EIDRM if the service was removed.
 */
int tvn_service_start(const tvn_service_t *service,
                      const void *request,
                      size_t size,
                      int timeout_ms,
                      tvn_call_t *call);

/**
 * Claims room for a request of up to `size` bytes, to be written in place at `call->bytes`; blocks until there is a
 * free cell, or until `timeout_ms` has passed. Lends `service`, writes `*call`: send it with tvn_call_send(), or give
 * it back with tvn_call_end(). Any thread; the room stays with the process that claimed it.
 * @return as tvn_service_start().
 */
int tvn_service_reserve(const tvn_service_t *service,
                        size_t size,
                        int timeout_ms,
                        tvn_call_t *call);

/**
 * Sends the first `size` bytes of the room as a request. Lends `service`, changes `*call`, which is a call from now on.
 * Never blocks. Any thread of the process that claimed it.
 * @return 0; -EMSGSIZE if the room is smaller than `size`: it stays; -EPERM if this process does not hold this room
 * (any more).
 */
int tvn_call_send(const tvn_service_t *service,
                  tvn_call_t *call,
                  size_t size);

/**
 * Waits for the answer of a call; blocks until it is there, or until `timeout_ms` has passed, and then one may wait
 * again. Lends `service`, changes `*call`: the answer lies at `call->bytes` until tvn_call_end(), which is due in any
 * case. One thread at a time, of the process that made the call.
 * @return the size of the answer, from 0 on; -ECONNRESET, -TVN_EFAILED and -EPIPE as tvn_service_call(); -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed; -EPERM if this
 * process has no such call (any more).
 */
int64_t tvn_call_wait(const tvn_service_t *service,
                      tvn_call_t *call,
                      int timeout_ms);

/**
 * Ends a call, wherever it stands, or gives room back: an answer that comes later is dropped. Lends `service` and
 * `call`; the call is over. Never blocks. Any thread of the process that made it.
 * @return 0; -EPERM if this process has no such call (any more), as after -EPIPE.
 */
int tvn_call_end(const tvn_service_t *service,
                 const tvn_call_t *call);

/**
 * Takes the oldest request; blocks until there is one, or until `timeout_ms` has passed. Lends `service`, writes
 * `*request`: the client waits until it is answered. If this process dies first, the client is told at once, or the
 * next server takes the request if the service is idempotent. Any thread; a request stays with the process that took it.
 * @return the size of the request, from 0 on; -EPIPE if the service was shut down and none is left; -EAGAIN with
 * TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed.
 */
int64_t tvn_service_receive(const tvn_service_t *service,
                            int timeout_ms,
                            tvn_request_t *request);

/**
 * Answers with a copy of `size` bytes at `response` (NULL will do for 0), which may lie in the request. Lends `service`,
 * `request` and `response`; the request is over. Never blocks. Any thread of the process that took it.
 * @return 1; 0 if the client had given up: then the answer was dropped; -EMSGSIZE if the service takes no answer that
 * large: then the client gets -TVN_EFAILED; -EPERM if this process does not serve this request (any more).
 */
int tvn_request_reply(const tvn_service_t *service,
                      const tvn_request_t *request,
                      const void *response,
                      size_t size);

/**
 * Answers with the first `size` bytes that were written at `request->room`. Lends `service` and `request`, which is
 * over. Never blocks. Any thread of the process that took it.
 * @return as tvn_request_reply().
 */
int tvn_request_commit(const tvn_service_t *service,
                       const tvn_request_t *request,
                       size_t size);

/**
 * Tells the client that there is no answer, and `why`: it gets -TVN_EFAILED, and this sentence, of which up to 256
 * bytes arrive, in its tvn_last_error(). Lends `service`, `request` and `why`; the request is over. Never blocks. Any
 * thread of the process that took it.
 * @return 1; 0 if the client had given up; -EPERM if this process does not serve this request (any more).
 */
int tvn_request_fail(const tvn_service_t *service,
                     const tvn_request_t *request,
                     const char *why);

/**
 * Has the client given up, or died? Then nobody waits for the answer. Lends `service` and `request`. Never blocks. Any
 * thread of the process that took it.
 * @return 1 or 0; -EPERM if this process does not serve this request (any more).
 */
int tvn_request_is_cancelled(const tvn_service_t *service,
                             const tvn_request_t *request);

/**
 * Nothing is to be asked any more: calls that nobody serves yet are taken back and end with -EPIPE, as do later ones;
 * those being served end as ever; servers answer what is left and then get -EPIPE. Stays so until the service is
 * removed. Lends `service`. Never blocks. Any thread; a forked child too.
 * @return 0.
 */
int tvn_service_shutdown(const tvn_service_t *service);

/**
 * Was the service shut down, by anybody? Lends `service`. Never blocks. Any thread; a forked child too.
 * @return 1 if it was, 0 if not.
 */
int tvn_service_is_shut_down(const tvn_service_t *service);

/**
 * How many processes serve: those that have asked for a request through a handle that is still open. Lends `service`.
 * Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_service_servers(const tvn_service_t *service);

/**
 * How many requests nobody has taken at this moment. Lends `service`. Never blocks. Any thread; a forked child too.
 * @return the number, from 0 on.
 */
int64_t tvn_service_length(const tvn_service_t *service);

/**
 * The most calls at once. Lends `service`. Never blocks. Any thread; a forked child too.
 * @return the number.
 */
int64_t tvn_service_calls(const tvn_service_t *service);

/**
 * The largest request the service takes, in bytes. Lends `service`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_service_request_size(const tvn_service_t *service);

/**
 * The largest answer the service takes, in bytes. Lends `service`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_service_response_size(const tvn_service_t *service);

/**
 * Writes the service's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `service` and `buffer` (NULL
 * will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL; 0: the service has no type.
 */
int64_t tvn_service_type(const tvn_service_t *service,
                         char *buffer,
                         size_t size);

/**
 * Finds the topic `name`, or creates it with `options`; an existing one must have been made with the same. Lends
 * `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -EINVAL for a bad name or bad options; -TVN_EINCOMPATIBLE if the name belongs to an object of another
 * kind, or a topic of other options or another type tag; -ENOSPC if the segment has no room.
 */
int tvn_topic(const tvn_segment_t *segment,
              const char *name,
              const tvn_topic_options_t *options,
              tvn_topic_t **out);

/**
 * Creates the topic `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -EEXIST if the name is taken; otherwise as tvn_topic().
 */
int tvn_topic_create(const tvn_segment_t *segment,
                     const char *name,
                     const tvn_topic_options_t *options,
                     tvn_topic_t **out);

/**
 * Opens the topic `name`, which must exist, whatever its options. Lends `segment` and `name`, gives `*out`. Does not
 * wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of
 * another kind.
 */
int tvn_topic_open(const tvn_segment_t *segment,
                   const char *name,
                   tvn_topic_t **out);

/**
 * Lets go of the topic. Takes `topic`; NULL is fine. The topic and its messages stay in the segment; publishers and
 * subscribers made from this handle go on. Never blocks. No other thread may be using this handle.
 */
void tvn_topic_close(tvn_topic_t *topic);

/**
 * The largest message in bytes. Lends `topic`. Never blocks. Any thread; a forked child too.
 * @return the size.
 */
int64_t tvn_topic_message_size(const tvn_topic_t *topic);

/**
 * The most messages it keeps. Lends `topic`. Never blocks. Any thread; a forked child too.
 * @return the number.
 */
int64_t tvn_topic_capacity(const tvn_topic_t *topic);

/**
 * How many messages were published so far. Lends `topic`. Never blocks. Any thread; a forked child too.
 * @return the number.
 */
int64_t tvn_topic_published(const tvn_topic_t *topic);

/**
 * How many messages publishers dropped so far, under TVN_DROP_NEWEST. Lends `topic`. Never blocks. Any thread; a
 * forked child too.
 * @return the number.
 */
int64_t tvn_topic_dropped(const tvn_topic_t *topic);

/**
 * Has the publisher said that it was the last one (tvn_publisher_shutdown())? Lends `topic`. Never blocks. Any thread; a forked child too.
 * @return 1 if it was, 0 if not.
 */
int tvn_topic_is_shut_down(const tvn_topic_t *topic);

/**
 * Writes the topic's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `topic` and `buffer` (NULL will
 * do with 0). Never blocks. Any thread; a forked child too.
 * @return how many bytes it has, without the NUL; 0: the topic has no type.
 */
int64_t tvn_topic_type(const tvn_topic_t *topic,
                       char *buffer,
                       size_t size);

/**
 * Becomes the topic's publisher. A dead one is succeeded: what it had published stays, what it had not is gone. Lends
 * `topic`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process is the publisher; -EPIPE if the topic was shut down; -EIDRM if it was removed.
 */
int tvn_topic_publisher(const tvn_topic_t *topic,
                        tvn_publisher_t **out);

/**
 * Subscribes, from TVN_LATEST or TVN_OLDEST on. Of the messages that were published before, under any policy, those
 * can be overwritten that are not read in time; the subscriber is told. Lends `topic`, gives `*out`. Does not wait.
 * Any thread; a forked child too.
 * @return 0; -ENOSPC if as many subscribers as the topic was made for are alive; -EINVAL for another `start`; -EIDRM
 * if it was removed.
 */
int tvn_topic_subscriber(const tvn_topic_t *topic,
                         uint32_t start,
                         tvn_subscriber_t **out);

/**
 * Publishes a copy of `size` bytes at `message` (NULL will do for 0). With TVN_BLOCK it blocks while the slowest
 * subscriber is a whole lap behind, or until `timeout_ms` has passed; the other policies never wait. Lends
 * `publisher` and `message`. A publisher that dies here published the whole message or none. One thread at a time, in
 * the process that took the role.
 * @return 1; 0 if it was dropped (TVN_DROP_NEWEST); -EMSGSIZE if the message is larger than the topic takes; -EBUSY
 * while a reservation is pending; -EPIPE after tvn_publisher_shutdown(); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if
 * this thread is interruptible; -EIDRM if the topic was removed; -TVN_EFORKED in a forked child.
 */
int tvn_publisher_publish(tvn_publisher_t *publisher,
                          const void *message,
                          size_t size,
                          int timeout_ms);

/**
 * Publishes copies of `count` messages, one behind the other at `messages`, whose sizes are in `sizes`, with one wake
 * for all of them; waits as tvn_publisher_publish(). Lends `publisher`, `messages` and `sizes`. A publisher that dies
 * here published the first of them, each of them whole.
 * @return how many were published, from the first on; the others were dropped (TVN_DROP_NEWEST), or the time was up
 * (TVN_BLOCK); otherwise as tvn_publisher_publish().
 */
int64_t tvn_publisher_publish_many(tvn_publisher_t *publisher,
                                   const void *messages,
                                   const size_t *sizes,
                                   size_t count,
                                   int timeout_ms);

/**
 * Borrows room for a message of up to `size` bytes, to be written in place at `*room`, aligned to 64 where messages
 * have more than 48 bytes, otherwise to 16; waits as tvn_publisher_publish(). Lends `publisher`, writes `*room`: the
 * room is lent until tvn_publisher_commit() or tvn_publisher_cancel(). With TVN_DROP_OLDEST the oldest message is gone
 * from here on. If this process dies first, nothing was published. One thread at a time, in the process that took
 * the role.
 * @return 1; 0 if there is no room and the message is dropped (TVN_DROP_NEWEST): then `*room` is as it was; otherwise
 * as tvn_publisher_publish().
 */
int tvn_publisher_reserve(tvn_publisher_t *publisher,
                          size_t size,
                          int timeout_ms,
                          void **room);

/**
 * Publishes the first `size` bytes of the room last reserved. Lends `publisher`; the room is over. Never blocks. A
 * publisher that dies here published the whole message or none. One thread at a time, in the process that took the
 * role.
 * @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved; -TVN_EFORKED in a
 * forked child.
 */
int tvn_publisher_commit(tvn_publisher_t *publisher,
                         size_t size);

/**
 * Gives the room last reserved back, if there is one. Lends `publisher`. Never blocks. One thread at a time, in the
 * process that took the role.
 * @return 0.
 */
int tvn_publisher_cancel(tvn_publisher_t *publisher);

/**
 * Says that this was the last message: subscribers receive what is there, and then -EPIPE; so does whoever wants to
 * publish. Lends `publisher`. Doing it twice is fine. Never blocks. One thread at a time, in the process that took
 * the role.
 * @return 0; -TVN_EFORKED in a forked child.
 */
int tvn_publisher_shutdown(tvn_publisher_t *publisher);

/**
 * Gives the role back; the next one may take it. Takes `publisher`; NULL is fine. What is published stays, what is
 * only reserved is gone. Never blocks. In a forked child it ends the handle; the parent keeps the role.
 */
void tvn_publisher_close(tvn_publisher_t *publisher);

/**
 * Copies the next message into `message` and goes on behind it; blocks while there is none, or until `timeout_ms`
 * has passed. Lends `subscriber` and `message`. One thread at a time, in the process that subscribed.
 * @return the size of the message, from 0 on; -TVN_ELOST, once, if messages were overwritten or dropped before it
 * (tvn_subscriber_missed() says how many in all): the next call goes on with what is there; -EMSGSIZE if `size` is
 * too small: the message stays; -EPIPE if everything was received and the topic shut down; -ECONNRESET if everything
 * was received and the publisher is dead; -TVN_EEVICTED if this subscriber was in the publisher's way for too long:
 * subscribe anew; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the topic was
 * removed; -TVN_EFORKED in a forked child.
 */
int64_t tvn_subscriber_receive(tvn_subscriber_t *subscriber,
                               void *message,
                               size_t size,
                               int timeout_ms);

/**
 * Copies as many messages as are there and fit, at most `count`, one behind the other into `messages`, and their sizes
 * into `sizes`; blocks while there is none, or until `timeout_ms` has passed. Lends `subscriber`, `messages` and
 * `sizes`. One thread at a time, in the process that subscribed.
 * @return how many; otherwise as tvn_subscriber_receive().
 */
int64_t tvn_subscriber_receive_many(tvn_subscriber_t *subscriber,
                                    void *messages,
                                    size_t size,
                                    size_t *sizes,
                                    size_t count,
                                    int timeout_ms);

/**
 * Borrows the next message at `*message`; blocks while there is none, or until `timeout_ms` has passed. With TVN_BLOCK
 * and TVN_DROP_NEWEST it is read where the publisher wrote it; with TVN_DROP_OLDEST, and as long as the messages from
 * before this subscription last, it is a copy. Lends `subscriber`, writes `*message`: the message is lent until
 * tvn_subscriber_release(), tvn_subscriber_keep() or another receive; a second peek finds it again. A peer that breaks
 * the rules can write there, so copy what you check. One thread at a time, in the process that subscribed.
 * @return the size of the message, from 0 on; otherwise as tvn_subscriber_receive(), without -EMSGSIZE.
 */
int64_t tvn_subscriber_peek(tvn_subscriber_t *subscriber,
                            int timeout_ms,
                            const void **message);

/**
 * Goes on behind the message last peeked at. Lends `subscriber`; the message is over. Never blocks. One thread at a
 * time, in the process that subscribed.
 * @return 0; -EINVAL if none was peeked at; -TVN_EEVICTED if the publisher has put this subscriber out meanwhile: what
 * was read may be torn; -TVN_EFORKED in a forked child.
 */
int tvn_subscriber_release(tvn_subscriber_t *subscriber);

/**
 * Keeps the message last peeked at: the next peek or receive finds it again. Lends `subscriber`; the loan is over.
 * Never blocks. One thread at a time, in the process that subscribed.
 * @return 0, also if none was peeked at.
 */
int tvn_subscriber_keep(tvn_subscriber_t *subscriber);

/**
 * How many messages were overwritten or dropped before this subscriber could receive them, in all. Lends `subscriber`.
 * Never blocks. One thread at a time.
 * @return the number.
 */
int64_t tvn_subscriber_missed(tvn_subscriber_t *subscriber);

/**
 * Ends the subscription. Takes `subscriber`; NULL is fine. Never blocks. In a forked child it ends the handle; the
 * parent's subscription goes on.
 */
void tvn_subscriber_close(tvn_subscriber_t *subscriber);

/**
 * What TVN_TYPE() calls: the type tag of a struct of `size` bytes with the members in `fields`, which ends with one
 * whose name is NULL. Lends `fields`. The text stays good as long as the process. Never blocks. Any thread; a forked
 * child too.
 * @return the text. For what cannot be described (a pointer, a union) it is one that every function refuses that takes
 * a type, with the reason.
 */
const char *tvn_type_tag(size_t size,
                         const tvn_field_t *fields);

/**
 * The version of the library that is loaded, as text: `0.1.0`. Compare it with TVN_VERSION_MAJOR and its
 * sisters, the version this program was compiled against. Never blocks; any thread.
 * @return a string that stays for ever.
 */
const char *tvn_version(void);

/**
 * Makes an empty wait set. Gives `*out`. Never blocks. Any thread.
 * @return 0.
 */
int tvn_wait_set_new(tvn_wait_set_t **out);

/**
 * Ends the wait set. Takes `set`; NULL is fine. Its members are as they were, its descriptor is closed. Does not wait
 * for other users. No other thread may be using it.
 */
void tvn_wait_set_close(tvn_wait_set_t *set);

/**
 * Adds a semaphore: ready when there is a permit. Lends `set` and `semaphore`, whose handle may be closed before the
 * set. Never blocks.
 * @return the member's token, from 0 on, never used again; -ENOSPC beyond TVN_WAIT_SET_MAX objects; -TVN_EFORKED.
 */
int64_t tvn_wait_set_add_semaphore(tvn_wait_set_t *set,
                                   const tvn_semaphore_t *semaphore);

/**
 * Adds a mutex: ready when it is free, or its holder dead. Lends `set` and `mutex`, whose handle may be closed before
 * the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_mutex(tvn_wait_set_t *set,
                               const tvn_mutex_t *mutex);

/**
 * Adds a monitor: ready when nobody is inside, or who is inside is dead. Lends `set` and `monitor`, whose handle may
 * be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_monitor(tvn_wait_set_t *set,
                                 const tvn_monitor_t *monitor);

/**
 * Adds event flags: ready when one of `mask` is set, or with `all` all of them. Nothing is cleared. Lends `set` and
 * `event`, whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for an empty `mask`.
 */
int64_t tvn_wait_set_add_event(tvn_wait_set_t *set,
                               const tvn_event_t *event,
                               uint32_t mask,
                               bool all);

/**
 * Adds a mailbox: ready when there is a message (TVN_RECEIVE), or room for one (TVN_SEND). With capacity 0 there is room
 * while a thread blocks to receive; one that waits for TVN_RECEIVE in a set does not count. Two sets meet with
 * tvn_mailbox_try_offer(): the receiver's is ready at once, the sender's when tvn_wait_set_add_offer() says so; TVN_ROOM
 * waits for a place to put one down. Lends `set` and `mailbox`, whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_mailbox(tvn_wait_set_t *set,
                                 const tvn_mailbox_t *mailbox,
                                 uint32_t interest);

/**
 * Adds an offer: ready when a receiver has the message, or the mailbox was shut down, or it was taken back. Take it out
 * then, or it is told again for ever. Lends `set` and `offer`, whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_offer(tvn_wait_set_t *set,
                               const tvn_offer_t *offer);

/**
 * Adds a service: ready when there is a request to be taken (TVN_RECEIVE), when there is a free cell for a request
 * (TVN_SEND), or it was shut down. Lends `set` and `service`, whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_service(tvn_wait_set_t *set,
                                 const tvn_service_t *service,
                                 uint32_t interest);

/**
 * Adds a call that is out: ready when tvn_call_wait() ends at once, with the answer or with an error. Lends `set`,
 * `service` and `call`. Take it out before tvn_call_end(): waiting says -EPERM for a call that has ended. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EPERM if this process has no such call (any more).
 */
int64_t tvn_wait_set_add_call(tvn_wait_set_t *set,
                              const tvn_service_t *service,
                              const tvn_call_t *call);

/**
 * Adds a port: one to receive from is ready when there is a message or a notification (TVN_RECEIVE), one to send to
 * when there is room, or nobody can receive any more (TVN_SEND). Lends `set` and `port`, whose handle may be closed
 * before the set: the right stays until then. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_port(tvn_wait_set_t *set,
                              const tvn_port_t *port,
                              uint32_t interest);

/**
 * Adds the writing end of a ring: ready when there is room for a record of `size` bytes (0: of any size the ring
 * takes), or the consumer is dead. Lends `set` and `producer`: use it in the thread that waits, and take the member
 * out before you close it. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EMSGSIZE if the ring takes no record that large.
 */
int64_t tvn_wait_set_add_producer(tvn_wait_set_t *set,
                                  const tvn_producer_t *producer,
                                  size_t size);

/**
 * Adds the reading end of a ring: ready when there is a record, or it is empty and the producer dead. Lends `set` and
 * `consumer`: use it in the thread that waits, and take the member out before you close it. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_consumer(tvn_wait_set_t *set,
                                  const tvn_consumer_t *consumer);

/**
 * Adds the writing end of a topic: ready when it can publish. Lends `set` and `publisher`: use it in the thread that
 * waits, and take the member out before you close it. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_publisher(tvn_wait_set_t *set,
                                   const tvn_publisher_t *publisher);

/**
 * Adds a subscriber of a topic: ready when there is a message, or something to be told: that it missed some, that the
 * topic was shut down, that its publisher is dead. Lends `set` and `subscriber`: use it in the thread that waits, and
 * take the member out before you close it. Never blocks.
 * @return as tvn_wait_set_add_semaphore().
 */
int64_t tvn_wait_set_add_subscriber(tvn_wait_set_t *set,
                                    const tvn_subscriber_t *subscriber);

/**
 * Adds an array: ready when nobody writes to it as a whole, or who did is dead (TVN_RECEIVE). Lends `set` and `array`,
 * whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_array(tvn_wait_set_t *set,
                               const tvn_array_t *array,
                               uint32_t interest);

/**
 * Adds a cell: ready when it has a newer value than the last that was loaded through this handle (TVN_RECEIVE). Lends
 * `set` and `cell`, whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_cell(tvn_wait_set_t *set,
                              const tvn_cell_t *cell,
                              uint32_t interest);

/**
 * Adds a descriptor: ready when it can be read (TVN_RECEIVE) or written (TVN_SEND), also when it is hung up or broken.
 * Lends `set` and `fd`. The set keeps a duplicate, so the file stays open until the member is taken out. Never blocks.
 * @return the member's token, from 0 on, never used again; -EINVAL for a negative `fd`, another `interest` and a
 * regular file, which is always ready; -EBADF and the like from the system; -TVN_EFORKED.
 */
int64_t tvn_wait_set_add_fd(tvn_wait_set_t *set,
                            int fd,
                            uint32_t interest);

/**
 * Adds a signal, which is blocked in the calling thread from now on, also when the member is gone. Threads that were
 * started before do not block it: then its usual action happens in one of them. Each signal that is told is taken.
 * Lends `set`. Never blocks.
 * @return the member's token, from 0 on, never used again; -EINVAL for SIGKILL, SIGSTOP and what is no signal; -EMFILE
 * and the like from the system; -TVN_EFORKED.
 */
int64_t tvn_wait_set_add_signal(tvn_wait_set_t *set,
                                int signal);

/**
 * Adds a timer that expires again and again, first `every_ms` milliseconds from now. Lends `set`. Never blocks.
 * @return the member's token, from 0 on, never used again; -EINVAL for no time; -EMFILE and the like from the system;
 * -TVN_EFORKED.
 */
int64_t tvn_wait_set_add_timer(tvn_wait_set_t *set,
                               int every_ms);

/**
 * Adds a timer that expires once, `after_ms` milliseconds from now. Lends `set`. Never blocks.
 * @return as tvn_wait_set_add_timer().
 */
int64_t tvn_wait_set_add_timer_once(tvn_wait_set_t *set, int after_ms);

/**
 * Takes a member out. Lends `set`. Never blocks.
 * @return 0; -ENOENT if it has none with this token; -TVN_EFORKED.
 */
int tvn_wait_set_remove(tvn_wait_set_t *set, int64_t token);

/**
 * How many members it has. Lends `set`. Never blocks.
 * @return the members, from 0 on.
 */
int64_t tvn_wait_set_length(const tvn_wait_set_t *set);

/**
 * Blocks until a member is ready, or until `timeout_ms` has passed; fills `array` with those that are. It must have
 * room for all members (`count` ≥ tvn_wait_set_length()). Lends `set` and `array`.
 * @return how many are ready, 1 or more; -EINVAL for too small an array, and for a set without members unless with
 * TVN_TRY; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -TVN_EFORKED. -EIDRM if the object
 * of a member was removed, -EPERM if the end of a ring was closed: tvn_last_error() names the member, which is to be
 * taken out.
 */
int64_t tvn_wait_set_wait(tvn_wait_set_t *set,
                          tvn_ready_t *array,
                          size_t count,
                          int timeout_ms);

/**
 * One descriptor that is readable when a member is ready: for poll(2), epoll, or another set. When it is readable, call
 * tvn_wait_set_wait() with TVN_TRY, until that finds nobody if you ask epoll for edges; nobody reads from it. It may be
 * readable although nobody is ready any more. Lends `set`; the descriptor is the set's, not to be closed. From the
 * first call on, a thread of this process sleeps on the objects in the set.
 * @return the descriptor, from 0 on, the same each time; -EMFILE and the like from the system; -TVN_EFORKED.
 */
int tvn_wait_set_fd(tvn_wait_set_t *set);

/**
 * Fills `array` with everybody who sleeps for an object of the segment, as many as there are and at most `count`. A
 * moment's truth. Who only spins, for up to 50 µs before sleeping, is not to be seen. Lends `segment` and `array`
 * (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many sleep, which may be more than `count`.
 */
int64_t tvn_segment_waits(const tvn_segment_t *segment,
                          tvn_wait_t *array,
                          size_t count);

/**
 * Finds the circles of threads that wait for each other's mutexes, monitors, readers-writer locks and leased permits
 * in this segment, and tells them in `text`: a sentence for each wait, a line for each circle, cut if they need more
 * than `size` bytes with their NUL. Lends `segment` and `text` (NULL will do with 0). Does not wait for other users; looks twice, a moment apart, if there is one. Any thread; a
 * forked child too.
 * @return how many circles there are, 0 for no deadlock.
 */
int64_t tvn_segment_deadlocks(const tvn_segment_t *segment,
                              char *text,
                              size_t size);

/**
 * Fills `array` with the waits of one circle of threads that wait for each other, as many as there are and at most
 * `count`: each is blocked by the thread of the next one, the last by that of the first. Lends `segment` and `array`
 * (NULL will do with 0). Never blocks. Any thread; a forked child too.
 * @return how many waits the circle has, which may be more than `count`; 0 if there is no deadlock.
 */
int64_t tvn_segment_deadlock(const tvn_segment_t *segment,
                             tvn_wait_t *array,
                             size_t count);

/**
 * Starts a thread that notices deaths at once and puts right what the dead left, until tvn_watcher_close(). Nobody
 * needs it: without it, who waits for a dead process finds out by himself within 64 ms. One watcher serves everybody
 * in the segment. Lends `segment`, which may be closed before the watcher, gives `*out`. Does not wait for other
 * users. Any thread; a forked child has none of its parent's watchers.
 * @return 0; -EMFILE, -EAGAIN and the like from the system, without descriptors or threads.
 */
int tvn_segment_watch(const tvn_segment_t *segment,
                      tvn_watcher_t **out);

/**
 * As tvn_segment_watch(), and calls `tell(event, data)` on the watcher's thread for everybody who joins, leaves and
 * dies. It lends the event for the length of the call; it must not close this watcher, and must not leave by longjmp
 * or exception. No call begins after tvn_watcher_close() has returned. Lends `segment`, gives `*out`.
 * @return as tvn_segment_watch(); -EINVAL if `tell` is NULL.
 */
int tvn_segment_watch_with(const tvn_segment_t *segment,
                           void (*tell)(const tvn_watch_event_t *event, void *data),
                           void *data,
                           tvn_watcher_t **out);

/**
 * Ends the watcher's thread. Takes `watcher`; NULL is fine. Waits for the thread's end, which comes at once. No
 * other thread may be using this handle.
 */
void tvn_watcher_close(tvn_watcher_t *watcher);

/**
 * How many deaths the watcher has seen. Lends `watcher`. Never blocks. Any thread.
 * @return the deaths, from 0 on.
 */
int64_t tvn_watcher_deaths(const tvn_watcher_t *watcher);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TRIVENI_H */
