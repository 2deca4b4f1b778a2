//! Open-file-description locks on single bytes: the kernel's word on who is alive.
//!
//! They belong to the open file description, not to the process: closing another descriptor of the same file
//! does not drop them, and the kernel releases them only after every thread of the last holder is gone.
//! Bytes beyond the end of the file can be locked like any other.

use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

fn flock(kind: libc::c_int, at: i64, len: i64) -> libc::flock {
    // SAFETY: `flock` is a plain C struct of integers; all zero is a value of it. `l_pid` must be 0 for these.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at;
    lock.l_len = len;
    lock
}

/// Takes the write lock on one byte if nobody else has it.
pub fn try_lock(fd: BorrowedFd<'_>, at: i64) -> Result<bool> {
    let lock = flock(libc::F_WRLCK, at, 1);
    // SAFETY: `fd` is open and `lock` a valid flock that outlives the call. F_OFD_SETLK never blocks.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
        return Ok(true);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        errno => Err(Error::os(errno.unwrap_or(libc::EINVAL), "lock a byte of the segment's file")),
    }
}

/// Gives the lock on one byte back. Nothing happens if this description does not hold it.
pub fn unlock(fd: BorrowedFd<'_>, at: i64) {
    let lock = flock(libc::F_UNLCK, at, 1);
    // SAFETY: as in `try_lock`. Unlocking can fail only for a bad descriptor, and then there is no lock.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
}

/// Does another description hold a lock anywhere in these bytes?
pub fn held_by_another(fd: BorrowedFd<'_>, at: i64, len: i64) -> Result<bool> {
    let mut lock = flock(libc::F_WRLCK, at, len);
    // SAFETY: `fd` is open and `lock` is valid and writable for the call.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } != 0 {
        return Err(Error::last_os("ask for a lock on the segment's file"));
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}
