//! The wait set in C: one function to add each kind of member.

use crate::argument::{array, descriptor};
use crate::array::tvn_array_t;
use crate::boundary::call;
use crate::cell::tvn_cell_t;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::event::tvn_event_t;
use crate::handle::{give, lend, lend_mut, take};
use crate::mailbox::{tvn_mailbox_t, tvn_offer_t};
use crate::monitor::tvn_monitor_t;
use crate::mutex::tvn_mutex_t;
use crate::port::tvn_port_t;
use crate::ring::{tvn_consumer_t, tvn_producer_t};
use crate::segment::fill;
use crate::semaphore::tvn_semaphore_t;
use crate::service::{call_of, tvn_call_t, tvn_service_t};
use crate::topic::{tvn_publisher_t, tvn_subscriber_t};
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::time::Duration;
use triveni::{Error, ErrorKind, Interest, Ready, Result, WaitSet};

/// A set of objects, descriptors, signals and timers, to wait for any of them, as poll(2) does: it says who is ready
/// and takes nothing. One thread at a time; stays with the process that made it.
///
/// What follows a wait is up to the caller: tvn_semaphore_wait() with TVN_TRY and so on, which may find nothing, as
/// anybody else can be faster. A member is told again as long as it is ready. What a death does to who waits for a
/// member alone makes it ready: the lock of a dead holder, an empty ring whose producer is dead.
pub struct tvn_wait_set_t {
    set: WaitSet,
    /// Used again by each wait.
    ready: Vec<Ready>,
}

/// The most objects in one wait set. Descriptors, signals and timers do not count.
pub const TVN_WAIT_SET_MAX: usize = 127;
const _: () = assert!(TVN_WAIT_SET_MAX == WaitSet::MAX_OBJECTS);

/// Ready for what: a message can be taken, a descriptor can be read.
pub const TVN_RECEIVE: u32 = 1;
/// Ready for what: there is room for a message, a descriptor can be written.
pub const TVN_SEND: u32 = 2;
/// Ready for what, of a mailbox of capacity 0: there is a place for tvn_mailbox_try_offer(), whether or not a receiver waits.
/// Of any other mailbox the same as TVN_SEND.
pub const TVN_ROOM: u32 = 3;

/// A member of a wait set that is ready.
#[repr(C)]
pub struct tvn_ready_t {
    /// Which: what the function that added it returned.
    pub token: i64,
    /// How often a timer has expired since it was last told; 1 for everything else.
    pub count: u64,
}

fn interest(number: u32) -> Result<Interest> {
    match number {
        TVN_RECEIVE => Ok(Interest::Receive),
        TVN_SEND => Ok(Interest::Send),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!("nothing can be ready for {number}; give TVN_RECEIVE or TVN_SEND"),
        )),
    }
}

fn duration(ms: c_int) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Makes an empty wait set. Gives `*out`. Never blocks. Any thread.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_new(out: *mut *mut tvn_wait_set_t) -> c_int {
    call("tvn_wait_set_new", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || Ok(tvn_wait_set_t { set: WaitSet::new()?, ready: Vec::new() })) }
    })
}

/// Ends the wait set. Takes `set`; NULL is fine. Its members are as they were, its descriptor is closed. Does not wait
/// for other users. No other thread may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_close(set: *mut tvn_wait_set_t) {
    // SAFETY: the C contract: NULL, or a wait set that nobody uses any more.
    call("tvn_wait_set_close", || unsafe { take(set) });
}

/// Adds a semaphore: ready when there is a permit. Lends `set` and `semaphore`, whose handle may be closed before the
/// set. Never blocks.
/// @return the member's token, from 0 on, never used again; -ENOSPC beyond TVN_WAIT_SET_MAX objects; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_semaphore(
    set: *mut tvn_wait_set_t,
    semaphore: *const tvn_semaphore_t,
) -> i64 {
    call("tvn_wait_set_add_semaphore", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(semaphore)?.0, Interest::Receive) }
    })
}

/// Adds a mutex: ready when it is free, or its holder dead. Lends `set` and `mutex`, whose handle may be closed before
/// the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_mutex(set: *mut tvn_wait_set_t, mutex: *const tvn_mutex_t) -> i64 {
    call("tvn_wait_set_add_mutex", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(mutex)?.0, Interest::Receive) }
    })
}

/// Adds a monitor: ready when nobody is inside, or who is inside is dead. Lends `set` and `monitor`, whose handle may
/// be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_monitor(set: *mut tvn_wait_set_t, monitor: *const tvn_monitor_t) -> i64 {
    call("tvn_wait_set_add_monitor", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(monitor)?.0, Interest::Receive) }
    })
}

/// Adds event flags: ready when one of `mask` is set, or with `all` all of them. Nothing is cleared. Lends `set` and
/// `event`, whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for an empty `mask`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_event(
    set: *mut tvn_wait_set_t,
    event: *const tvn_event_t,
    mask: u32,
    all: bool,
) -> i64 {
    call("tvn_wait_set_add_event", || {
        let interest = if all { Interest::AllFlags(mask) } else { Interest::AnyFlag(mask) };
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(event)?.0, interest) }
    })
}

/// Adds a mailbox: ready when there is a message (TVN_RECEIVE), or room for one (TVN_SEND). With capacity 0 there is room
/// while a thread blocks to receive; one that waits for TVN_RECEIVE in a set does not count. Two sets meet with
/// tvn_mailbox_try_offer(): the receiver's is ready at once, the sender's when tvn_wait_set_add_offer() says so; TVN_ROOM
/// waits for a place to put one down. Lends `set` and `mailbox`, whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_mailbox(
    set: *mut tvn_wait_set_t,
    mailbox: *const tvn_mailbox_t,
    interest: u32,
) -> i64 {
    call("tvn_wait_set_add_mailbox", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        let (set, mailbox) = unsafe { (lend_mut(set)?, &lend(mailbox)?.0) };
        set.set.add(mailbox, if interest == TVN_ROOM { Interest::Room(0) } else { self::interest(interest)? })
    })
}

/// Adds an offer: ready when a receiver has the message, or the mailbox was shut down, or it was taken back. Take it out
/// then, or it is told again for ever. Lends `set` and `offer`, whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_offer(set: *mut tvn_wait_set_t, offer: *const tvn_offer_t) -> i64 {
    call("tvn_wait_set_add_offer", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an offer's handle.
        unsafe { lend_mut(set)?.set.add(&lend(offer)?.0, Interest::Send) }
    })
}

/// Adds a service: ready when there is a request to be taken (TVN_RECEIVE), when there is a free cell for a request
/// (TVN_SEND), or it was shut down. Lends `set` and `service`, whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_service(
    set: *mut tvn_wait_set_t,
    service: *const tvn_service_t,
    interest: u32,
) -> i64 {
    call("tvn_wait_set_add_service", || {
        let interest = self::interest(interest)?;
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(service)?.0, interest) }
    })
}

/// Adds a call that is out: ready when tvn_call_wait() ends at once, with the answer or with an error. Lends `set`,
/// `service` and `call`. Take it out before tvn_call_end(): waiting says -EPERM for a call that has ended. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EPERM if this process has no such call (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_call(
    set: *mut tvn_wait_set_t,
    service: *const tvn_service_t,
    call: *const tvn_call_t,
) -> i64 {
    self::call("tvn_wait_set_add_call", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or a service's handle; NULL or a
        // call.
        let (set, call) = unsafe { (lend_mut(set)?, call_of(&lend(service)?.0, lend(call)?)?) };
        let token = set.set.add(&call, Interest::Receive);
        call.into_raw(); // it stays
        token
    })
}

/// Adds a port: one to receive from is ready when there is a message or a notification (TVN_RECEIVE), one to send to
/// when there is room, or nobody can receive any more (TVN_SEND). Lends `set` and `port`, whose handle may be closed
/// before the set: the right stays until then. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_port(
    set: *mut tvn_wait_set_t,
    port: *const tvn_port_t,
    interest: u32,
) -> i64 {
    call("tvn_wait_set_add_port", || {
        let interest = self::interest(interest)?;
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or a port's handle.
        unsafe { lend_mut(set)?.set.add(&lend(port)?.0, interest) }
    })
}

/// Adds the writing end of a ring: ready when there is room for a record of `size` bytes (0: of any size the ring
/// takes), or the consumer is dead. Lends `set` and `producer`: use it in the thread that waits, and take the member
/// out before you close it. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EMSGSIZE if the ring takes no record that large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_producer(
    set: *mut tvn_wait_set_t,
    producer: *const tvn_producer_t,
    size: usize,
) -> i64 {
    call("tvn_wait_set_add_producer", || {
        let interest = if size == 0 { Interest::Send } else { Interest::Room(size) };
        // SAFETY: the C contract: NULL or a wait set, NULL or a producer, neither in use by another thread.
        unsafe { lend_mut(set)?.set.add(&lend(producer)?.0, interest) }
    })
}

/// Adds the reading end of a ring: ready when there is a record, or it is empty and the producer dead. Lends `set` and
/// `consumer`: use it in the thread that waits, and take the member out before you close it. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_consumer(set: *mut tvn_wait_set_t, consumer: *const tvn_consumer_t) -> i64 {
    call("tvn_wait_set_add_consumer", || {
        // SAFETY: the C contract: NULL or a wait set, NULL or a consumer, neither in use by another thread.
        unsafe { lend_mut(set)?.set.add(&lend(consumer)?.0, Interest::Receive) }
    })
}

/// Adds the writing end of a topic: ready when it can publish. Lends `set` and `publisher`: use it in the thread that
/// waits, and take the member out before you close it. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_publisher(
    set: *mut tvn_wait_set_t,
    publisher: *const tvn_publisher_t,
) -> i64 {
    call("tvn_wait_set_add_publisher", || {
        // SAFETY: the C contract: NULL or a wait set, NULL or a publisher, neither in use by another thread.
        unsafe { lend_mut(set)?.set.add(&lend(publisher)?.0, Interest::Send) }
    })
}

/// Adds a subscriber of a topic: ready when there is a message, or something to be told: that it missed some, that the
/// topic was shut down, that its publisher is dead. Lends `set` and `subscriber`: use it in the thread that waits, and
/// take the member out before you close it. Never blocks.
/// @return as tvn_wait_set_add_semaphore().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_subscriber(
    set: *mut tvn_wait_set_t,
    subscriber: *const tvn_subscriber_t,
) -> i64 {
    call("tvn_wait_set_add_subscriber", || {
        // SAFETY: the C contract: NULL or a wait set, NULL or a subscriber, neither in use by another thread.
        unsafe { lend_mut(set)?.set.add(&lend(subscriber)?.0, Interest::Receive) }
    })
}

/// Adds an array: ready when nobody writes to it as a whole, or who did is dead (TVN_RECEIVE). Lends `set` and `array`,
/// whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_array(
    set: *mut tvn_wait_set_t,
    array: *const tvn_array_t,
    interest: u32,
) -> i64 {
    call("tvn_wait_set_add_array", || {
        let interest = self::interest(interest)?;
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(array)?.0, interest) }
    })
}

/// Adds a cell: ready when it has a newer value than the last that was loaded through this handle (TVN_RECEIVE). Lends
/// `set` and `cell`, whose handle may be closed before the set. Never blocks.
/// @return as tvn_wait_set_add_semaphore(); -EINVAL for another `interest`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_cell(
    set: *mut tvn_wait_set_t,
    cell: *const tvn_cell_t,
    interest: u32,
) -> i64 {
    call("tvn_wait_set_add_cell", || {
        let interest = self::interest(interest)?;
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; NULL or an object's handle.
        unsafe { lend_mut(set)?.set.add(&lend(cell)?.0, interest) }
    })
}

/// Adds a descriptor: ready when it can be read (TVN_RECEIVE) or written (TVN_SEND), also when it is hung up or broken.
/// Lends `set` and `fd`. The set keeps a duplicate, so the file stays open until the member is taken out. Never blocks.
/// @return the member's token, from 0 on, never used again; -EINVAL for a negative `fd`, another `interest` and a
/// regular file, which is always ready; -EBADF and the like from the system; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_fd(set: *mut tvn_wait_set_t, fd: c_int, interest: u32) -> i64 {
    call("tvn_wait_set_add_fd", || {
        let interest = self::interest(interest)?;
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; nobody closes `fd` during this call.
        unsafe { lend_mut(set)?.set.add_fd(descriptor(fd)?, interest) }
    })
}

/// Adds a signal, which is blocked in the calling thread from now on, also when the member is gone. Threads that were
/// started before do not block it: then its usual action happens in one of them. Each signal that is told is taken.
/// Lends `set`. Never blocks.
/// @return the member's token, from 0 on, never used again; -EINVAL for SIGKILL, SIGSTOP and what is no signal; -EMFILE
/// and the like from the system; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_signal(set: *mut tvn_wait_set_t, signal: c_int) -> i64 {
    call("tvn_wait_set_add_signal", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        unsafe { lend_mut(set) }?.set.add_signal(signal)
    })
}

/// Adds a timer that expires again and again, first `every_ms` milliseconds from now. Lends `set`. Never blocks.
/// @return the member's token, from 0 on, never used again; -EINVAL for no time; -EMFILE and the like from the system;
/// -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_timer(set: *mut tvn_wait_set_t, every_ms: c_int) -> i64 {
    call("tvn_wait_set_add_timer", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        unsafe { lend_mut(set) }?.set.add_timer(duration(every_ms))
    })
}

/// Adds a timer that expires once, `after_ms` milliseconds from now. Lends `set`. Never blocks.
/// @return as tvn_wait_set_add_timer().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_add_timer_once(set: *mut tvn_wait_set_t, after_ms: c_int) -> i64 {
    call("tvn_wait_set_add_timer_once", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        unsafe { lend_mut(set) }?.set.add_timer_once(duration(after_ms))
    })
}

/// Takes a member out. Lends `set`. Never blocks.
/// @return 0; -ENOENT if it has none with this token; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_remove(set: *mut tvn_wait_set_t, token: i64) -> c_int {
    call("tvn_wait_set_remove", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        unsafe { lend_mut(set) }?.set.remove(usize::try_from(token).unwrap_or(usize::MAX))
    })
}

/// How many members it has. Lends `set`. Never blocks.
/// @return the members, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_length(set: *const tvn_wait_set_t) -> i64 {
    call("tvn_wait_set_length", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        Ok(unsafe { lend(set) }?.set.len())
    })
}

/// Blocks until a member is ready, or until `timeout_ms` has passed; fills `array` with those that are. It must have
/// room for all members (`count` ≥ tvn_wait_set_length()). Lends `set` and `array`.
/// @return how many are ready, 1 or more; -EINVAL for too small an array, and for a set without members unless with
/// TVN_TRY; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -TVN_EFORKED. -EIDRM if the object
/// of a member was removed, -EPERM if the end of a ring was closed: tvn_last_error() names the member, which is to be
/// taken out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_wait(
    set: *mut tvn_wait_set_t,
    array: *mut tvn_ready_t,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_wait_set_wait", || {
        // SAFETY: the C contract: NULL or a wait set that no other thread uses; `count` items to write.
        let (tvn_wait_set_t { set, ready }, array) = unsafe { (lend_mut(set)?, self::array(array, count)?) };
        if count < set.len() {
            return Err(too_small(count, set.len()));
        }
        match timeout_ms {
            TVN_TRY => set.try_wait_into(ready)?,
            ms => set.wait_into(ready, deadline(ms))?,
        }
        tried((!ready.is_empty()).then(|| fill(array, ready.iter().map(told))))
    })
}

#[cold]
fn too_small(count: usize, members: usize) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("the array has room for {count}, and the wait set has {members} members; make it as large as that"),
    )
}

fn told(ready: &Ready) -> tvn_ready_t {
    tvn_ready_t { token: ready.token as i64, count: ready.count }
}

/// One descriptor that is readable when a member is ready: for poll(2), epoll, or another set. When it is readable, call
/// tvn_wait_set_wait() with TVN_TRY, until that finds nobody if you ask epoll for edges; nobody reads from it. It may be
/// readable although nobody is ready any more. Lends `set`; the descriptor is the set's, not to be closed. From the
/// first call on, a thread of this process sleeps on the objects in the set.
/// @return the descriptor, from 0 on, the same each time; -EMFILE and the like from the system; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_wait_set_fd(set: *mut tvn_wait_set_t) -> c_int {
    call("tvn_wait_set_fd", || {
        // SAFETY: the C contract: NULL, or a wait set that no other thread uses.
        Ok(unsafe { lend_mut(set) }?.set.fd()?.as_raw_fd())
    })
}
