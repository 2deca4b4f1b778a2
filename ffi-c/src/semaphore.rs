//! The semaphore in C.

use crate::argument::text;
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::Semaphore;

/// A counting semaphore (Dijkstra's P and V): a handle on one that lies in a segment.
pub struct tvn_semaphore_t(Semaphore);

/// The most permits a semaphore holds.
pub const TVN_SEMAPHORE_MAX: u32 = 2147483647;
const _: () = assert!(TVN_SEMAPHORE_MAX == Semaphore::MAX);

/// Finds the semaphore `name`, or creates it with `initial` permits; an existing one keeps its count.
/// Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX; -TVN_EINCOMPATIBLE if the name
/// belongs to an object of another kind; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.semaphore(text(name)?, initial).map(tvn_semaphore_t)) }
    })
}

/// Creates the semaphore `name` with `initial` permits. Lends `segment` and `name`, gives `*out`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX;
/// -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_semaphore(text(name)?, initial).map(tvn_semaphore_t)) }
    })
}

/// Opens the semaphore `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_semaphore(text(name)?).map(tvn_semaphore_t)) }
    })
}

/// Lets go of the semaphore. Takes `semaphore`; NULL is fine. The semaphore stays in its segment. Never
/// blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_close(semaphore: *mut tvn_semaphore_t) {
    // SAFETY: the C contract: NULL, or a semaphore's handle that nobody uses any more.
    call("tvn_semaphore_close", || unsafe { take(semaphore) });
}

/// Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. Lends `semaphore`.
/// A process that dies before its post never gives that permit: a timeout is the way out. Any thread; a
/// forked child too.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the
/// semaphore was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_wait(semaphore: *const tvn_semaphore_t, timeout_ms: c_int) -> c_int {
    call("tvn_semaphore_wait", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        let semaphore = &unsafe { lend(semaphore) }?.0;
        match timeout_ms {
            TVN_TRY => tried(semaphore.try_wait()?.then_some(())),
            ms => semaphore.wait_until(deadline(ms)),
        }
    })
}

/// Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a
/// forked child too.
/// @return 0; -EOVERFLOW at TVN_SEMAPHORE_MAX; -EIDRM if the semaphore was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_post(semaphore: *const tvn_semaphore_t) -> c_int {
    call("tvn_semaphore_post", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        unsafe { lend(semaphore) }?.0.post()
    })
}

/// How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks.
/// Any thread; a forked child too.
/// @return the permits, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_value(semaphore: *const tvn_semaphore_t) -> i64 {
    call("tvn_semaphore_value", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(semaphore) }?.0.value()))
    })
}
