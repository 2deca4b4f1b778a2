//! The readers-writer lock in C.

use crate::argument::{output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, take};
use crate::lock::{held_by, locked, tvn_holder_t};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::{Error, ErrorKind, Result, RwLock, RwPolicy};

/// A robust readers-writer lock: a handle on one that lies in a segment.
pub struct tvn_rwlock_t(RwLock);

/// Policy of a readers-writer lock: a reader enters whenever no writer is inside. Writers may starve.
pub const TVN_READERS_FIRST: u32 = 1;
const _: () = assert!(TVN_READERS_FIRST == RwPolicy::ReadersFirst as u32);
/// Policy of a readers-writer lock: no reader enters once a writer waits. Readers may starve.
pub const TVN_WRITERS_FIRST: u32 = 2;
const _: () = assert!(TVN_WRITERS_FIRST == RwPolicy::WritersFirst as u32);
/// Policy of a readers-writer lock: phase-fair: the readers that a writer kept out all enter before the next
/// writer, so neither side starves. Which writer comes next is as with a mutex.
pub const TVN_FAIR: u32 = 3;
const _: () = assert!(TVN_FAIR == RwPolicy::Fair as u32);

const REPAIR_WRITING: &str = "you hold it for writing now: put the state right, call tvn_rwlock_recover and unlock";
const REPAIR_READING: &str = "you hold it for reading now: what you read may be half changed; whoever locks it for \
                              writing puts that right and calls tvn_rwlock_recover";

fn policy(number: u32) -> Result<RwPolicy> {
    match number {
        TVN_READERS_FIRST => Ok(RwPolicy::ReadersFirst),
        TVN_WRITERS_FIRST => Ok(RwPolicy::WritersFirst),
        TVN_FAIR => Ok(RwPolicy::Fair),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!("no policy has the number {number}; give TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR"),
        )),
    }
}

/// Finds the readers-writer lock `name`, or creates it with this `policy`: TVN_READERS_FIRST, TVN_WRITERS_FIRST or
/// TVN_FAIR. An existing one must have the same. Lends `segment` and `name`, gives `*out`. Does not wait for other
/// users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name or policy; -TVN_EINCOMPATIBLE if the name belongs to a lock of another policy
/// or an object of another kind; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock(
    segment: *const tvn_segment_t,
    name: *const c_char,
    policy: u32,
    out: *mut *mut tvn_rwlock_t,
) -> c_int {
    call("tvn_rwlock", || {
        let policy = self::policy(policy)?;
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.rwlock(text(name)?, policy).map(tvn_rwlock_t)) }
    })
}

/// Creates the readers-writer lock `name` with this `policy`: TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR.
/// Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or policy; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    policy: u32,
    out: *mut *mut tvn_rwlock_t,
) -> c_int {
    call("tvn_rwlock_create", || {
        let policy = self::policy(policy)?;
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_rwlock(text(name)?, policy).map(tvn_rwlock_t)) }
    })
}

/// Opens the readers-writer lock `name`, which must exist, whatever its policy: see tvn_rwlock_policy(). Lends
/// `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_rwlock_t,
) -> c_int {
    call("tvn_rwlock_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_rwlock(text(name)?).map(tvn_rwlock_t)) }
    })
}

/// Lets go of the lock. Takes `rwlock`; NULL is fine. Unlock first: closing does not unlock. Never blocks. No
/// other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_close(rwlock: *mut tvn_rwlock_t) {
    // SAFETY: the C contract: NULL, or a lock's handle that nobody uses any more.
    call("tvn_rwlock_close", || unsafe { take(rwlock) });
}

/// Locks for reading, together with other readers; blocks while the policy keeps readers out, or until
/// `timeout_ms` has passed. Lends `rwlock`; the lock belongs to the calling thread until tvn_rwlock_unlock(). A thread
/// that reads already may read again, at once, and unlocks as often. A reader that dies is no reader any more. After a writer died, readers get -EOWNERDEAD until a writer has
/// called tvn_rwlock_recover(): the lock IS held then. Any thread; a forked child holds none of its parent's locks.
/// @return 0; -EOWNERDEAD, held for reading; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
/// interruptible; -EDEADLK if the calling thread holds it for writing, or if the segment detects deadlocks and
/// this wait would close a circle; -EIDRM if the lock was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_read(rwlock: *const tvn_rwlock_t, timeout_ms: c_int) -> c_int {
    call("tvn_rwlock_read", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        let lock = &unsafe { lend(rwlock) }?.0;
        let answer = match timeout_ms {
            TVN_TRY => lock.try_read(),
            ms => lock.read_until(deadline(ms)).map(Some),
        };
        locked(answer, REPAIR_READING)
    })
}

/// Locks for writing, alone; blocks while anybody else holds it, or until `timeout_ms` has passed. Lends
/// `rwlock`; the lock belongs to the calling thread until tvn_rwlock_unlock(). After a writer died, everybody gets
/// -EOWNERDEAD: the lock IS held then. Put the guarded state right, call tvn_rwlock_recover() and unlock. Any
/// thread; a forked child holds none of its parent's locks.
/// @return 0; -EOWNERDEAD, held for writing; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
/// interruptible; -EDEADLK if the calling thread holds it already, for writing or for reading (a read lock cannot
/// become a write lock: two that try wait for each other; unlock first), or if the segment detects deadlocks and
/// this wait would close a circle; -EIDRM if the lock was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_write(rwlock: *const tvn_rwlock_t, timeout_ms: c_int) -> c_int {
    call("tvn_rwlock_write", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        let lock = &unsafe { lend(rwlock) }?.0;
        let answer = match timeout_ms {
            TVN_TRY => lock.try_write(),
            ms => lock.write_until(deadline(ms)).map(Some),
        };
        locked(answer, REPAIR_WRITING)
    })
}

/// Unlocks what the calling thread locked: for writing, or its last read lock. Lends `rwlock`. Never blocks. The
/// thread that locked.
/// @return 0; -EPERM if the calling thread holds it in neither way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_unlock(rwlock: *const tvn_rwlock_t) -> c_int {
    call("tvn_rwlock_unlock", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        unsafe { lend(rwlock) }?.0.unlock()
    })
}

/// Turns the write lock into a read lock; no writer gets in between. Lends `rwlock`. Never blocks. The thread
/// that locked.
/// @return 0; -EPERM unless the calling thread holds it for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_downgrade(rwlock: *const tvn_rwlock_t) -> c_int {
    call("tvn_rwlock_downgrade", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        unsafe { lend(rwlock) }?.0.downgrade()
    })
}

/// Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `rwlock`; it stays held. Never blocks.
/// The thread that locked it for writing.
/// @return 0; -EPERM unless the calling thread holds it for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_recover(rwlock: *const tvn_rwlock_t) -> c_int {
    call("tvn_rwlock_recover", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        unsafe { lend(rwlock) }?.0.recover()
    })
}

/// Who holds the lock for writing, or waits for the readers to leave, at this moment. Lends `rwlock`, writes
/// `*out` if somebody does. Never blocks. Any thread; a forked child too.
/// @return 1 if somebody does, 0 if nobody does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_writer(rwlock: *const tvn_rwlock_t, out: *mut tvn_holder_t) -> c_int {
    call("tvn_rwlock_writer", || {
        // SAFETY: the C contract: NULL or a lock's handle, not closed during this call; NULL or a place for the answer.
        let (lock, out) = unsafe { (&lend(rwlock)?.0, output(out)?) };
        Ok(held_by(lock.writer(), out))
    })
}

/// How many read locks there are at this moment, in all processes. Lends `rwlock`. Never blocks. Any thread; a
/// forked child too.
/// @return the read locks, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_readers(rwlock: *const tvn_rwlock_t) -> i64 {
    call("tvn_rwlock_readers", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        Ok(unsafe { lend(rwlock) }?.0.readers())
    })
}

/// Who goes first. Lends `rwlock`. Never blocks. Any thread; a forked child too.
/// @return TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_rwlock_policy(rwlock: *const tvn_rwlock_t) -> c_int {
    call("tvn_rwlock_policy", || {
        // SAFETY: the C contract: NULL, or a lock's handle that is not closed during this call.
        Ok(unsafe { lend(rwlock) }?.0.policy() as c_int)
    })
}
