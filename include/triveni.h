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
 * barriers, event flags, mailboxes and rings may be used by many threads at once, and go on working in a
 * forked child, which becomes a participant of its own at its first call (-ENOSPC if the segment's table
 * of participants is full, -EIDRM if the object is gone by then). What the parent holds, a lock, a leased
 * permit or a loan, stays the parent's: the child that tries to give it back gets -EPERM. Producers,
 * consumers and wait sets serve one thread at a time and stay with the process that made them: in the
 * child they answer -TVN_EFORKED. A watcher's thread does not exist in the child. No function here may be
 * called from a signal handler, nor left by siglongjmp (a place in a queue would stay taken), nor called by a
 * thread that can be cancelled: pthread_setcancelstate; a cancellation inside ends the program.
 * Descriptors that the program did not open are not the program's to close.
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
 * All defaults: `tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;`
 */
#define TVN_SEGMENT_OPTIONS {sizeof(tvn_segment_options_t), 0, 0, 0, 0, 0}

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
 * The most permits a semaphore holds.
 */
#define TVN_SEMAPHORE_MAX 2147483647

/**
 * The most permits a leased semaphore has.
 */
#define TVN_SEMAPHORE_LEASED_MAX 4096

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
 * A cyclic barrier, where nobody goes on until all parties have arrived: a handle on one that lies in a segment.
 */
typedef struct tvn_barrier_t tvn_barrier_t;

/**
 * A condition of a monitor, for those inside to wait for: a handle.
 */
typedef struct tvn_condition_t tvn_condition_t;

/**
 * The reading end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_consumer_t tvn_consumer_t;

/**
 * 32 event flags, to be waited for alone or together: a handle on those that lie in a segment.
 */
typedef struct tvn_event_t tvn_event_t;

/**
 * A mailbox, a bounded queue of messages for any number of senders and receivers: a handle on one that lies
 * in a segment.
 */
typedef struct tvn_mailbox_t tvn_mailbox_t;

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
 * The writing end of a ring. One thread at a time; stays with the process that took it.
 */
typedef struct tvn_producer_t tvn_producer_t;

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
   * Mailbox: the most messages. Ring: bytes of its cells. Semaphore: the most permits. Barrier: the parties.
   * Monitor: TVN_CONDITIONS_MAX.
   */
  uint64_t capacity;
  /**
   * Mailbox: messages in it. Ring: bytes occupied by records. Semaphore: permits left. Barrier: how many have
   * arrived. Monitor: its conditions. Readers-writer lock: read locks.
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
   * Mutex, monitor: the slot of the process that holds it, 0 if it is free. Readers-writer lock: of the writer.
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
   * Leased semaphore: the permits that are out.
   */
  uint32_t leases;
  /**
   * Readers-writer lock: TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR.
   */
  uint32_t policy;
  /**
   * Event: the flags that are set.
   */
  uint32_t flags;
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
 * Adds a mailbox: ready when there is a message (TVN_RECEIVE), or room for one (TVN_SEND). Lends `set` and `mailbox`,
 * whose handle may be closed before the set. Never blocks.
 * @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
 */
int64_t tvn_wait_set_add_mailbox(tvn_wait_set_t *set,
                                 const tvn_mailbox_t *mailbox,
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
