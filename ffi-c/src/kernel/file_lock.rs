//! Locks on whole files (flock) in C.

use crate::argument::{array, descriptor, path};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, take};
use crate::segment::fill;
use std::ffi::{c_char, c_int, c_uint};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use triveni::kernel::{FileLock, LockMode};
use triveni::{ErrorKind, Result};

/// A file that can be locked as a whole (flock): one holder, however many threads use the handle. The lock belongs to the
/// open file description: a forked child has it too, until both have closed the handle or one of them has unlocked. Who
/// opens the file anew is somebody else, in the same process also.
pub struct tvn_file_lock_t(FileLock);

/// Opens the file `path` to lock it: for reading and writing if that is permitted, otherwise for reading. Lends `path`,
/// gives `*out`. Does not wait. Any thread.
/// @return 0; -ENOENT; -EACCES; what open(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_open(path: *const c_char, out: *mut *mut tvn_file_lock_t) -> c_int {
    call("tvn_file_lock_open", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || FileLock::open(self::path(path)?).map(tvn_file_lock_t)) }
    })
}

/// Opens the file `path`, or makes it with `mode` less the umask. Lends `path`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EACCES; what open(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_open_or_create(
    path: *const c_char,
    mode: c_uint,
    out: *mut *mut tvn_file_lock_t,
) -> c_int {
    call("tvn_file_lock_open_or_create", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || FileLock::open_or_create(self::path(path)?, mode).map(tvn_file_lock_t)) }
    })
}

/// Makes a handle of a descriptor that is open. Takes `fd`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_from_fd(fd: c_int, out: *mut *mut tvn_file_lock_t) -> c_int {
    call("tvn_file_lock_from_fd", || {
        // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
        unsafe {
            descriptor(fd)?;
            give(out, || Ok(tvn_file_lock_t(OwnedFd::from_raw_fd(fd).into())))
        }
    })
}

/// Closes the handle. Takes `lock`; NULL is fine. The lock ends with it, unless a forked process has it as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_close(lock: *mut tvn_file_lock_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_file_lock_close", || unsafe { take(lock) });
}

/// Locks the file alone; blocks until nobody else holds it. Lends `lock`. A lock that the handle has already is changed,
/// not in one step: somebody else may come in between. When a holder dies the kernel unlocks. With TVN_FOREVER it blocks
/// in the kernel; with a deadline it tries again after pauses that grow to 4 ms. Threads: any; they are one holder.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ENOLCK if there is no room for
/// locks or no lock service (NFS); -EBADF on NFS if the file is not open for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_lock(lock: *const tvn_file_lock_t, timeout_ms: c_int) -> c_int {
    call("tvn_file_lock_lock", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        acquire(unsafe { &lend(lock)?.0 }, LockMode::Exclusive, timeout_ms)
    })
}

/// Locks the file together with others that do so; blocks until nobody holds it alone. Otherwise as tvn_file_lock_lock().
/// @return as tvn_file_lock_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_lock_shared(lock: *const tvn_file_lock_t, timeout_ms: c_int) -> c_int {
    call("tvn_file_lock_lock_shared", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        acquire(unsafe { &lend(lock)?.0 }, LockMode::Shared, timeout_ms)
    })
}

fn acquire(lock: &FileLock, mode: LockMode, timeout_ms: c_int) -> Result<()> {
    match timeout_ms {
        TVN_TRY if lock.try_acquire(mode)? => Ok(()),
        TVN_TRY => Err(ErrorKind::WouldBlock.into()),
        ms => lock.acquire(mode, deadline(ms)),
    }
}

/// Unlocks, also for forked processes that have the handle. If it was not locked nothing happens. Lends `lock`. Never
/// blocks. Any thread.
/// @return 0; what flock(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_unlock(lock: *const tvn_file_lock_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_file_lock_unlock", || unsafe { lend(lock)?.0.release() })
}

/// Who took the lock, as /proc/locks lists it: stores at most `count` pids. One that took it before a fork may be dead
/// while its child holds it. Lends `lock` and `pids` (NULL will do with 0). Never blocks. Any thread.
/// @return how many there are, which may be more than `count`; 0 if nobody holds it or the kernel does not say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_holders(lock: *const tvn_file_lock_t, pids: *mut u32, count: usize) -> i64 {
    call("tvn_file_lock_holders", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `count` items to write.
        let (lock, pids) = unsafe { (&lend(lock)?.0, array(pids, count)?) };
        Ok(fill(pids, lock.holders().into_iter()))
    })
}

/// The descriptor of the file, to read and write with. It stays the handle's: do not close it. Lends `lock`.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_file_lock_fd(lock: *const tvn_file_lock_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_file_lock_fd", || Ok(unsafe { lend(lock)? }.0.as_fd().as_raw_fd()))
}
