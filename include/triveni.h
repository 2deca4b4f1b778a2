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
 * right by whoever waits for it. Each function says what that means for it.
 *
 * THREADS AND FORK  Segment, semaphore, mutex, mailbox and ring handles may be used by many threads at once,
 * and go on working in a forked child, which becomes a participant of its own at its first call (-ENOSPC
 * if the segment's table of participants is full). Producers and consumers serve one thread at a time and
 * stay with the process that made them: in the child they answer -TVN_EFORKED. No function here may be
 * called from a signal handler, nor by a thread that can be cancelled (pthread_setcancelstate). Descriptors
 * that the program did not open are not the program's to close.
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

/**
 * For `timeout_ms`: waits for ever.
 */
#define TVN_FOREVER -1

/**
 * For `timeout_ms`: does not wait; the answer is -EAGAIN where it would have to.
 */
#define TVN_TRY 0

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
 * Kind of a ring.
 */
#define TVN_KIND_RING 7

/**
 * Kind of a mailbox.
 */
#define TVN_KIND_MAILBOX 8

/**
 * The most permits a semaphore holds.
 */
#define TVN_SEMAPHORE_MAX 2147483647

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
 * The reading end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_consumer_t tvn_consumer_t;

/**
 * A mailbox, a bounded queue of messages for any number of senders and receivers: a handle on one that lies
 * in a segment.
 */
typedef struct tvn_mailbox_t tvn_mailbox_t;

/**
 * A robust mutex: a handle on one that lies in a segment.
 */
typedef struct tvn_mutex_t tvn_mutex_t;

/**
 * The writing end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_producer_t tvn_producer_t;

/**
 * A ring, records of any size from one producer to one consumer: a handle on one that lies in a segment.
 */
typedef struct tvn_ring_t tvn_ring_t;

/**
 * A segment, one piece of shared memory with named objects in it: this process's handle.
 */
typedef struct tvn_segment_t tvn_segment_t;

/**
 * A counting semaphore (Dijkstra's P and V): a handle on one that lies in a segment.
 */
typedef struct tvn_semaphore_t tvn_semaphore_t;

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
 * Who holds a mutex.
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
   * The thread, by its number in its process.
   */
  uint32_t thread;
} tvn_holder_t;

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
   * Mailbox: the most messages. Ring: bytes of its cells. Semaphore: TVN_SEMAPHORE_MAX.
   */
  uint64_t capacity;
  /**
   * Mailbox: messages in it. Ring: bytes occupied by records. Semaphore: permits.
   */
  uint64_t length;
  /**
   * Mailbox: the largest message in bytes.
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
   * Mutex: the slot of the process that holds it, 0 if it is free.
   */
  uint32_t holder;
  /**
   * Mutex: the number of the thread that holds it, in its process.
   */
  uint32_t thread;
  /**
   * Mutex: the last holder died, and nobody has called recover since.
   */
  bool owner_died;
  /**
   * Ring: the slot of its producer, 0 if it has none.
   */
  uint32_t producer;
  /**
   * Ring: the slot of its consumer, 0 if it has none.
   */
  uint32_t consumer;
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

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Chooses what a signal handler that has run during a wait of the calling thread does to the wait: with
 * `on`, it ends with -EINTR; without, it goes on to its deadline (this is how every thread begins).
 * Never blocks; affects the calling thread only, and is inherited over fork.
 * @return what was chosen before, 0 or 1.
 */
int tvn_interruptible(bool on);

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
 * Finds the mailbox `name`, or creates it for up to `capacity` messages of up to `message_size` bytes each;
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
 * -EINTR if this thread is interruptible; -EIDRM if the mailbox was removed.
 */
int tvn_mailbox_send(const tvn_mailbox_t *mailbox, const void *message, size_t size, int timeout_ms);

/**
 * Receives the oldest message into `message`, which must have room for the largest the mailbox takes
 * (`size` ≥ tvn_mailbox_message_size()); blocks while the mailbox is empty, or until `timeout_ms` has passed.
 * Lends `mailbox` and `message`. What a dead receiver had claimed is delivered again, possibly after younger
 * messages; what a dead sender had claimed is skipped. Any thread; a forked child too.
 * @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY;
 * -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the mailbox was removed.
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
 * if this thread is interruptible; -EIDRM if the mailbox was removed.
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
 * -EDEADLK if the calling thread holds it already; -EIDRM if the mutex was removed.
 */
int tvn_mutex_lock(const tvn_mutex_t *mutex, int timeout_ms);

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
 * Becomes the ring's producer. A dead one is succeeded: what it had published stays, what it had not is
 * gone. Lends `ring`, gives `*out`. Does not wait. Any thread; a forked child too.
 * @return 0; -EBUSY if a live process is the producer; -EIDRM if the ring was removed.
 */
int tvn_ring_producer(const tvn_ring_t *ring, tvn_producer_t **out);

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
 * @return 0; -EMSGSIZE if the record is larger than the ring takes; -EBUSY while a reservation is pending;
 * -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if it is full and the
 * consumer is dead; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
 */
int tvn_producer_write(tvn_producer_t *producer, const void *record, size_t size, int timeout_ms);

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
 * Publishes the first `size` bytes of the room last reserved. Lends `producer`; the room is over. Never
 * blocks. A producer that dies here published the whole record or none. One thread at a time, in the process
 * that took the role.
 * @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved; -TVN_EFORKED in
 * a forked child.
 */
int tvn_producer_commit(tvn_producer_t *producer,
                        size_t size);

/**
 * Gives the room last reserved back, if there is one. Lends `producer`. Never blocks. One thread at a time,
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
 * dead; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
 */
int64_t tvn_consumer_read(tvn_consumer_t *consumer, void *record, size_t size, int timeout_ms);

/**
 * Borrows the oldest record, to be read in place at `*record`, aligned to 8; blocks while the ring is empty,
 * or until `timeout_ms` has passed. Lends `consumer`, writes `*record`: the record is lent until
 * tvn_consumer_release() or tvn_consumer_keep(); a second peek sees it again. A peer that breaks the rules can
 * write there, so copy what you check. One thread at a time, in the process that took the role.
 * @return the size of the record, from 0 on; otherwise as tvn_consumer_read(), without -EMSGSIZE.
 */
int64_t tvn_consumer_peek(tvn_consumer_t *consumer,
                          int timeout_ms,
                          const void **record);

/**
 * Releases the record last peeked at; its room is free for the producer. Lends `consumer`; the record is
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
 * Removes the name of an object. Who waits on it gets -EIDRM; its memory is used again once the last process
 * has let go. Lends `segment` and `object`. Does not wait for other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name.
 */
int tvn_segment_remove(const tvn_segment_t *segment, const char *object);

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
 * belongs to an object of another kind; -ENOSPC if the segment has no room.
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
 * Opens the semaphore `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
 * other users. Any thread; a forked child too.
 * @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
 * object of another kind.
 */
int tvn_semaphore_open(const tvn_segment_t *segment, const char *name, tvn_semaphore_t **out);

/**
 * Lets go of the semaphore. Takes `semaphore`; NULL is fine. The semaphore stays in its segment. Never
 * blocks. No other thread may be using this handle.
 */
void tvn_semaphore_close(tvn_semaphore_t *semaphore);

/**
 * Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. Lends `semaphore`.
 * A process that dies before its post never gives that permit: a timeout is the way out. Any thread; a
 * forked child too.
 * @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the
 * semaphore was removed.
 */
int tvn_semaphore_wait(const tvn_semaphore_t *semaphore, int timeout_ms);

/**
 * Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a
 * forked child too.
 * @return 0; -EOVERFLOW at TVN_SEMAPHORE_MAX; -EIDRM if the semaphore was removed.
 */
int tvn_semaphore_post(const tvn_semaphore_t *semaphore);

/**
 * How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks.
 * Any thread; a forked child too.
 * @return the permits, from 0 on.
 */
int64_t tvn_semaphore_value(const tvn_semaphore_t *semaphore);

/**
 * The version of the library that is loaded, as text: `0.1.0`. Compare it with TVN_VERSION_MAJOR and its
 * sisters, the version this program was compiled against. Never blocks; any thread.
 * @return a string that stays for ever.
 */
const char *tvn_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TRIVENI_H */
