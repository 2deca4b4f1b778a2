//! The barrier in C.

use crate::argument::text;
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::Barrier;

/// A cyclic barrier, where nobody goes on until all parties have arrived: a handle on one that lies in a segment.
pub struct tvn_barrier_t(Barrier);

/// The most parties a barrier waits for.
pub const TVN_BARRIER_MAX: u32 = 65535;
const _: () = assert!(TVN_BARRIER_MAX == Barrier::MAX_PARTIES);

/// Finds the barrier `name`, or creates it for `parties` threads; an existing one must be for as many. Lends
/// `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, for 0 parties and for more than TVN_BARRIER_MAX; -TVN_EINCOMPATIBLE if the
/// name belongs to a barrier for another number or an object of another kind; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier(
    segment: *const tvn_segment_t,
    name: *const c_char,
    parties: u32,
    out: *mut *mut tvn_barrier_t,
) -> c_int {
    call("tvn_barrier", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.barrier(text(name)?, parties).map(tvn_barrier_t)) }
    })
}

/// Creates the barrier `name` for `parties` threads. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, for 0 parties and for more than
/// TVN_BARRIER_MAX; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    parties: u32,
    out: *mut *mut tvn_barrier_t,
) -> c_int {
    call("tvn_barrier_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_barrier(text(name)?, parties).map(tvn_barrier_t)) }
    })
}

/// Opens the barrier `name`, which must exist, for whatever number of parties: see tvn_barrier_parties(). Lends
/// `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_barrier_t,
) -> c_int {
    call("tvn_barrier_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_barrier(text(name)?).map(tvn_barrier_t)) }
    })
}

/// Lets go of the barrier. Takes `barrier`; NULL is fine. The barrier stays in its segment. Never blocks. No other
/// thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_close(barrier: *mut tvn_barrier_t) {
    // SAFETY: the C contract: NULL, or a barrier's handle that nobody uses any more.
    call("tvn_barrier_close", || unsafe { take(barrier) });
}

/// Arrives; blocks until all parties have, or until `timeout_ms` has passed: who gives up has not arrived. Then
/// the next round begins. With TVN_TRY it arrives only if it is the last one. If a process that has the barrier
/// open dies, everybody who waits or comes later gets -TVN_EBROKEN, until tvn_barrier_reset(). Lends `barrier`.
/// Any thread; a forked child too.
/// @return 1 for the leader: exactly one of them, the last to arrive; 0 for the others. -TVN_EBROKEN; -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the barrier was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_wait(barrier: *const tvn_barrier_t, timeout_ms: c_int) -> c_int {
    call("tvn_barrier_wait", || {
        // SAFETY: the C contract: NULL, or a barrier's handle that is not closed during this call.
        let barrier = &unsafe { lend(barrier) }?.0;
        match timeout_ms {
            TVN_TRY => tried(barrier.try_wait()?.then_some(true)),
            ms => barrier.wait_until(deadline(ms)),
        }
    })
}

/// Begins a new round: who waits gets -TVN_EBROKEN, and a broken barrier is whole again. Lends `barrier`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -EBUSY if a stopped process is putting right what a dead one left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_reset(barrier: *const tvn_barrier_t) -> c_int {
    call("tvn_barrier_reset", || {
        // SAFETY: the C contract: NULL, or a barrier's handle that is not closed during this call.
        unsafe { lend(barrier) }?.0.reset()
    })
}

/// How many have arrived in this round, at this moment. Lends `barrier`. Never blocks. Any thread; a forked child
/// too.
/// @return how many wait, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_arrived(barrier: *const tvn_barrier_t) -> i64 {
    call("tvn_barrier_arrived", || {
        // SAFETY: the C contract: NULL, or a barrier's handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(barrier) }?.0.arrived()))
    })
}

/// How many it waits for. Lends `barrier`. Never blocks. Any thread; a forked child too.
/// @return the parties, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_parties(barrier: *const tvn_barrier_t) -> i64 {
    call("tvn_barrier_parties", || {
        // SAFETY: the C contract: NULL, or a barrier's handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(barrier) }?.0.parties()))
    })
}

/// Is it broken? Lends `barrier`. Never blocks. Any thread; a forked child too.
/// @return 1 if a participant died and nobody has called tvn_barrier_reset() since, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_barrier_is_broken(barrier: *const tvn_barrier_t) -> c_int {
    call("tvn_barrier_is_broken", || {
        // SAFETY: the C contract: NULL, or a barrier's handle that is not closed during this call.
        Ok(unsafe { lend(barrier) }?.0.is_broken())
    })
}
