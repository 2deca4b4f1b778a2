//! The mutex in C.

use crate::argument::{output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, take};
use crate::lock::{held_by, locked, tvn_holder_t};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::Mutex;

/// A robust mutex: a handle on one that lies in a segment.
pub struct tvn_mutex_t(pub(crate) Mutex);

const REPAIR: &str = "you hold it now: put the state right, call tvn_mutex_recover and unlock";

/// Finds the mutex `name`, or creates it, unlocked. Lends `segment` and `name`, gives `*out`. Does not wait
/// for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
/// -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_mutex_t,
) -> c_int {
    call("tvn_mutex", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.mutex(text(name)?).map(tvn_mutex_t)) }
    })
}

/// Creates the mutex `name`, unlocked. Lends `segment` and `name`, gives `*out`. Does not wait for other
/// users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_mutex_t,
) -> c_int {
    call("tvn_mutex_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_mutex(text(name)?).map(tvn_mutex_t)) }
    })
}

/// Opens the mutex `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_mutex_t,
) -> c_int {
    call("tvn_mutex_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_mutex(text(name)?).map(tvn_mutex_t)) }
    })
}

/// Lets go of the mutex. Takes `mutex`; NULL is fine. Unlock first: closing does not unlock. Never blocks.
/// No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_close(mutex: *mut tvn_mutex_t) {
    // SAFETY: the C contract: NULL, or a mutex' handle that nobody uses any more.
    call("tvn_mutex_close", || unsafe { take(mutex) });
}

/// Locks; blocks until the mutex is free, or until `timeout_ms` has passed. Lends `mutex`; the lock belongs
/// to the calling thread until tvn_mutex_unlock(). A holder that dies gives the lock to one of those who
/// wait, with -EOWNERDEAD: it IS held then. Put the guarded state right, call tvn_mutex_recover() and unlock;
/// without recover, the next one gets -EOWNERDEAD too. Any thread; a forked child holds none of its parent's
/// locks.
/// @return 0; -EOWNERDEAD, held; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
/// -EDEADLK if the calling thread holds it already, or if the segment detects deadlocks and this wait would close
/// a circle; -EIDRM if the mutex was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_lock(mutex: *const tvn_mutex_t, timeout_ms: c_int) -> c_int {
    call("tvn_mutex_lock", || {
        // SAFETY: the C contract: NULL, or a mutex' handle that is not closed during this call.
        let mutex = &unsafe { lend(mutex) }?.0;
        let answer = match timeout_ms {
            TVN_TRY => mutex.try_lock(),
            ms => mutex.lock_until(deadline(ms)).map(Some),
        };
        locked(answer, REPAIR)
    })
}

/// Unlocks and wakes one sleeper, if any sleeps. Lends `mutex`. Never blocks. The thread that locked.
/// @return 0; -EPERM if the calling thread does not hold it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_unlock(mutex: *const tvn_mutex_t) -> c_int {
    call("tvn_mutex_unlock", || {
        // SAFETY: the C contract: NULL, or a mutex' handle that is not closed during this call.
        unsafe { lend(mutex) }?.0.unlock()
    })
}

/// Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `mutex`; it stays held. Never
/// blocks. The thread that locked.
/// @return 0; -EPERM if the calling thread does not hold it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_recover(mutex: *const tvn_mutex_t) -> c_int {
    call("tvn_mutex_recover", || {
        // SAFETY: the C contract: NULL, or a mutex' handle that is not closed during this call.
        unsafe { lend(mutex) }?.0.recover()
    })
}

/// Who holds the mutex at this moment; the next one may be another. Lends `mutex`, writes `*out` if somebody
/// does. Never blocks. Any thread; a forked child too.
/// @return 1 if somebody holds it, 0 if it is free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mutex_holder(mutex: *const tvn_mutex_t, out: *mut tvn_holder_t) -> c_int {
    call("tvn_mutex_holder", || {
        // SAFETY: the C contract: NULL or a mutex' handle, not closed during this call; NULL or a place for the answer.
        let (mutex, out) = unsafe { (&lend(mutex)?.0, output(out)?) };
        Ok(held_by(mutex.holder(), out))
    })
}
