//! Locks on ranges of files (open file description locks) in C.

use crate::argument::{descriptor, output, path};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint};
use std::ops::Bound;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use triveni::kernel::{LockMode, RangeLock};
use triveni::{ErrorKind, Result};

/// A file of which ranges of bytes can be locked (F_OFD_SETLK): one holder, however many threads use the handle. The locks
/// belong to the open file description: a forked child has them too. They exclude those of lockf() and F_SETLK as well.
pub struct tvn_range_lock_t(RangeLock);

/// A lock that is in the way.
#[repr(C)]
pub struct tvn_range_blocker_t {
    /// Its first byte.
    pub start: u64,
    /// How many bytes it has; 0 if it has no end.
    pub length: u64,
    /// The process, if the lock is of the older kind, which belongs to one; 0 if the kernel names none.
    pub pid: u32,
    /// Is it exclusive?
    pub exclusive: bool,
}

/// Opens the file `path` to lock ranges of it: for reading and writing if that is permitted, otherwise for reading. Lends
/// `path`, gives `*out`. Does not wait. Any thread.
/// @return 0; -ENOENT; -EACCES; what open(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_open(path: *const c_char, out: *mut *mut tvn_range_lock_t) -> c_int {
    call("tvn_range_lock_open", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || RangeLock::open(self::path(path)?).map(tvn_range_lock_t)) }
    })
}

/// Opens the file `path`, or makes it with `mode` less the umask. Lends `path`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EACCES; what open(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_open_or_create(
    path: *const c_char,
    mode: c_uint,
    out: *mut *mut tvn_range_lock_t,
) -> c_int {
    call("tvn_range_lock_open_or_create", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || RangeLock::open_or_create(self::path(path)?, mode).map(tvn_range_lock_t)) }
    })
}

/// Makes a handle of a descriptor that is open. Takes `fd`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_from_fd(fd: c_int, out: *mut *mut tvn_range_lock_t) -> c_int {
    call("tvn_range_lock_from_fd", || {
        // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
        unsafe {
            descriptor(fd)?;
            give(out, || Ok(tvn_range_lock_t(OwnedFd::from_raw_fd(fd).into())))
        }
    })
}

/// Closes the handle. Takes `lock`; NULL is fine. Its locks end with it, unless a forked process has it as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_close(lock: *mut tvn_range_lock_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_range_lock_close", || unsafe { take(lock) });
}

/// Locks `length` bytes from `start` on alone, 0 for all that the file may grow to; blocks until no other handle has one of
/// them. Lends `lock`. Bytes that the handle has already are changed, not waited for. When a holder dies the kernel
/// unlocks. The kernel does not look for deadlocks among these locks: give a deadline, or lock in ascending order. With
/// TVN_FOREVER it blocks in the kernel; with a deadline it tries again after pauses that grow to 4 ms. Threads: any; they
/// are one holder.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT, and tvn_last_error() says what is in the way; -EINTR if this thread is
/// interruptible; -EBADF if the file is not open for writing; -EINVAL beyond 2^63; -ENOLCK if there is no room for locks
/// or no lock service (NFS).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_lock(
    lock: *const tvn_range_lock_t,
    start: u64,
    length: u64,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_range_lock_lock", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        acquire(unsafe { &lend(lock)?.0 }, LockMode::Exclusive, range(start, length), timeout_ms)
    })
}

/// Locks `length` bytes from `start` on together with others that do so. Otherwise as tvn_range_lock_lock().
/// @return as tvn_range_lock_lock(); -EBADF if the file is not open for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_lock_shared(
    lock: *const tvn_range_lock_t,
    start: u64,
    length: u64,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_range_lock_lock_shared", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        acquire(unsafe { &lend(lock)?.0 }, LockMode::Shared, range(start, length), timeout_ms)
    })
}

/// Unlocks `length` bytes from `start` on, 0 for all that follow, also for forked processes that have the handle. Bytes
/// that are not locked stay so. Lends `lock`. Never blocks. Any thread.
/// @return 0; -EINVAL beyond 2^63; what fcntl(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_unlock(lock: *const tvn_range_lock_t, start: u64, length: u64) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_range_lock_unlock", || unsafe { lend(lock)?.0.release(range(start, length)) })
}

/// What would be in the way of locking `length` bytes from `start` on, alone if `exclusive`: the first such lock. It may
/// be gone by the time you look. Lends `lock` and `out`. Never blocks. Any thread.
/// @return 1 if there is one; 0 if nothing is in the way, and `*out` is untouched; as tvn_range_lock_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_blocker(
    lock: *const tvn_range_lock_t,
    start: u64,
    length: u64,
    exclusive: bool,
    out: *mut tvn_range_blocker_t,
) -> c_int {
    call("tvn_range_lock_blocker", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (lock, out) = unsafe { (&lend(lock)?.0, output(out)?) };
        let mode = if exclusive { LockMode::Exclusive } else { LockMode::Shared };
        let found = lock.blocker(mode, range(start, length))?;
        if let Some(blocker) = &found {
            out.write(tvn_range_blocker_t {
                start: blocker.start,
                length: blocker.last.map_or(0, |last| last - blocker.start + 1),
                pid: blocker.pid.unwrap_or(0),
                exclusive: blocker.mode == LockMode::Exclusive,
            });
        }
        Ok(found.is_some())
    })
}

/// The descriptor of the file, to read and write with. It stays the handle's: do not close it. Lends `lock`.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_range_lock_fd(lock: *const tvn_range_lock_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_range_lock_fd", || Ok(unsafe { lend(lock)? }.0.as_fd().as_raw_fd()))
}

/// As the kernel counts: a length of 0 has no end. What passes the largest number is refused by core.
fn range(start: u64, length: u64) -> (Bound<u64>, Bound<u64>) {
    let end = match length {
        0 => Bound::Unbounded,
        length => Bound::Excluded(start.saturating_add(length)),
    };
    (Bound::Included(start), end)
}

fn acquire(lock: &RangeLock, mode: LockMode, range: (Bound<u64>, Bound<u64>), timeout_ms: c_int) -> Result<()> {
    match timeout_ms {
        TVN_TRY if lock.try_acquire(mode, range)? => Ok(()),
        TVN_TRY => Err(ErrorKind::WouldBlock.into()),
        ms => lock.acquire(mode, range, deadline(ms)),
    }
}
