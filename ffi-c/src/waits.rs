//! Who waits for what and for whom, in C.

use crate::argument::{array, buffer, chars, write_text};
use crate::boundary::call;
use crate::handle::lend;
use crate::lock::tvn_holder_t;
use crate::segment::{TVN_KIND_UNREADABLE, TVN_NAME_ROOM, fill, tvn_segment_t};
use std::ffi::c_char;
use triveni::{Wait, WaitMode};

/// What a thread sleeps for: permits of a semaphore.
pub const TVN_WAIT_PERMIT: u32 = 1;
const _: () = assert!(TVN_WAIT_PERMIT == WaitMode::Permit as u32);
/// What a thread sleeps for: to lock a mutex or enter a monitor.
pub const TVN_WAIT_LOCK: u32 = 2;
const _: () = assert!(TVN_WAIT_LOCK == WaitMode::Lock as u32);
/// What a thread sleeps for: to lock for reading.
pub const TVN_WAIT_READ: u32 = 3;
const _: () = assert!(TVN_WAIT_READ == WaitMode::Read as u32);
/// What a thread sleeps for: to lock for writing.
pub const TVN_WAIT_WRITE: u32 = 4;
const _: () = assert!(TVN_WAIT_WRITE == WaitMode::Write as u32);
/// What a thread sleeps for: a condition of a monitor.
pub const TVN_WAIT_CONDITION: u32 = 5;
const _: () = assert!(TVN_WAIT_CONDITION == WaitMode::Condition as u32);
/// What a thread sleeps for: the others at a barrier.
pub const TVN_WAIT_BARRIER: u32 = 6;
const _: () = assert!(TVN_WAIT_BARRIER == WaitMode::Barrier as u32);
/// What a thread sleeps for: event flags.
pub const TVN_WAIT_FLAGS: u32 = 7;
const _: () = assert!(TVN_WAIT_FLAGS == WaitMode::Flags as u32);
/// What a thread sleeps for: room in a mailbox or ring.
pub const TVN_WAIT_SEND: u32 = 8;
const _: () = assert!(TVN_WAIT_SEND == WaitMode::Send as u32);
/// What a thread sleeps for: a message or record.
pub const TVN_WAIT_RECEIVE: u32 = 9;
const _: () = assert!(TVN_WAIT_RECEIVE == WaitMode::Receive as u32);
/// What a thread sleeps for: any of several objects, in a wait set.
pub const TVN_WAIT_ANY: u32 = 10;
const _: () = assert!(TVN_WAIT_ANY == WaitMode::Any as u32);
/// What a thread sleeps for: the answer of a service.
pub const TVN_WAIT_CALL: u32 = 11;
const _: () = assert!(TVN_WAIT_CALL == WaitMode::Call as u32);

/// How many of those who are in the way of one waiter a tvn_wait_t names.
pub const TVN_BLOCKERS_ROOM: usize = 8;

/// `char` array for the sentence about a wait.
pub const TVN_WAIT_ROOM: usize = 256;

/// A thread that sleeps until an object lets it go on.
#[repr(C)]
pub struct tvn_wait_t {
    /// The process, by its number in the segment.
    pub slot: u32,
    /// Its pid.
    pub pid: u32,
    /// The thread, by its number in its process.
    pub thread: u32,
    /// The thread's id in the system, in its own pid namespace.
    pub tid: u32,
    /// The name of the process's program.
    pub process: [c_char; TVN_NAME_ROOM],
    /// The name of the object.
    pub object: [c_char; TVN_NAME_ROOM],
    /// The object's kind: TVN_KIND_...
    pub kind: u32,
    /// What it sleeps for: TVN_WAIT_...
    pub mode: u32,
    /// How many permits, which flags, or how many objects; 0 where that has no meaning.
    pub count: u32,
    /// The condition's name, with TVN_WAIT_CONDITION; otherwise empty.
    pub condition: [c_char; TVN_NAME_ROOM],
    /// For how long it has slept, in nanoseconds.
    pub since_ns: u64,
    /// How many are in its way by holding the object; 0 where nobody in particular is. Of those who read, only the
    /// sleepers count: tvn_rwlock_readers() has the number of all.
    pub blockers: u32,
    /// The first TVN_BLOCKERS_ROOM of them.
    pub blocked_by: [tvn_holder_t; TVN_BLOCKERS_ROOM],
    /// All that as a sentence: `process 4711 (python3) thread 0 waits to lock "m"`.
    pub text: [c_char; TVN_WAIT_ROOM],
}

/// Fills `array` with everybody who sleeps for an object of the segment, as many as there are and at most `count`. A
/// moment's truth. Who only spins, for up to 50 µs before sleeping, is not to be seen. Lends `segment` and `array`
/// (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many sleep, which may be more than `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_waits(segment: *const tvn_segment_t, array: *mut tvn_wait_t, count: usize) -> i64 {
    call("tvn_segment_waits", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; `count` items to write.
        let (segment, array) = unsafe { (&lend(segment)?.0, self::array(array, count)?) };
        Ok(fill(array, segment.waits()?.iter().map(wait)))
    })
}

/// Finds the circles of threads that wait for each other's mutexes, monitors, readers-writer locks and leased permits
/// in this segment, and tells them in `text`: a sentence for each wait, a line for each circle, cut if they need more
/// than `size` bytes with their NUL. Lends `segment` and `text` (NULL will do with 0). Does not wait for other users; looks twice, a moment apart, if there is one. Any thread; a
/// forked child too.
/// @return how many circles there are, 0 for no deadlock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_deadlocks(segment: *const tvn_segment_t, text: *mut c_char, size: usize) -> i64 {
    call("tvn_segment_deadlocks", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; `size` bytes to write.
        let (segment, text) = unsafe { (&lend(segment)?.0, buffer(text.cast(), size)?) };
        let circles = segment.deadlocks()?;
        write_text(text, &circles.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        Ok(circles.len())
    })
}

/// Fills `array` with the waits of one circle of threads that wait for each other, as many as there are and at most
/// `count`: each is blocked by the thread of the next one, the last by that of the first. Lends `segment` and `array`
/// (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many waits the circle has, which may be more than `count`; 0 if there is no deadlock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_deadlock(
    segment: *const tvn_segment_t,
    array: *mut tvn_wait_t,
    count: usize,
) -> i64 {
    call("tvn_segment_deadlock", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; `count` items to write.
        let (segment, array) = unsafe { (&lend(segment)?.0, self::array(array, count)?) };
        let circles = segment.deadlocks()?;
        Ok(circles.first().map_or(0, |circle| fill(array, circle.cycle.iter().map(wait))))
    })
}

fn wait(wait: &Wait) -> tvn_wait_t {
    let mut blocked_by = [tvn_holder_t::default(); TVN_BLOCKERS_ROOM];
    for (place, holder) in blocked_by.iter_mut().zip(&wait.blocked_by) {
        *place = (*holder).into();
    }
    tvn_wait_t {
        slot: wait.slot,
        pid: wait.pid,
        thread: wait.thread,
        tid: wait.tid,
        process: chars(&wait.process),
        object: chars(&wait.object),
        kind: wait.kind.map_or(TVN_KIND_UNREADABLE, |kind| kind as u32),
        mode: wait.mode as u32,
        count: wait.count,
        condition: chars(wait.condition.as_deref().unwrap_or_default()),
        since_ns: u64::try_from(wait.since.as_nanos()).unwrap_or(u64::MAX),
        blockers: wait.blocked_by.len() as u32, // at most the threads of 512 processes
        blocked_by,
        text: chars(&wait.to_string()),
    }
}
