//! POSIX shared memory in C.

use super::TVN_OWNED;
use crate::argument::text;
use crate::boundary::call;
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::{PosixSharedMemory, PosixSharedMemoryOptions};
use triveni::{Error, ErrorKind, Result};

/// POSIX shared memory, attached. Any number of threads may use one handle.
pub struct tvn_posix_shared_memory_t(PosixSharedMemory);

/// For `flags` of shared memory: attaches it to be read only; a write there is a segmentation fault.
pub const TVN_READ_ONLY: c_uint = 2;

/// `flags` taken apart: is it owned, is it read-only? `Invalid` for any that are not in `known`.
pub(super) fn choices(flags: c_uint, known: c_uint) -> Result<(bool, bool)> {
    if flags & !known != 0 {
        let message = format!("the flags {flags:#x} are none here; known ones are {known:#x}");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok((flags & TVN_OWNED != 0, flags & TVN_READ_ONLY != 0))
}

fn options(mode: c_uint, flags: c_uint) -> Result<PosixSharedMemoryOptions> {
    Ok(PosixSharedMemoryOptions::new().mode(mode).owned(choices(flags, TVN_OWNED)?.0))
}

/// Creates the POSIX shared memory `name` ("/data") of `size` bytes, all 0, and attaches it. `mode` says who may use it:
/// 0600 is this user alone; the umask takes nothing away. `flags`: 0 or TVN_OWNED. Plain programs get it by shm_open(3)
/// and mmap(2).
///
/// Its memory is reserved now, so that a full /dev/shm is an error here. It stays when all its users have ended or were
/// killed, until tvn_posix_shared_memory_unlink() and the last detaches it. Who may write to it can also truncate it:
/// whoever touches what is gone then is killed by SIGBUS.
/// Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST; -EINVAL for a bad name or size 0; -EACCES; -ENOSPC if /dev/shm has no room for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_create(
    name: *const c_char,
    size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_shared_memory_t,
) -> c_int {
    call("tvn_posix_shared_memory_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.create(text(name)?, size).map(tvn_posix_shared_memory_t)) }
    })
}

/// Attaches the POSIX shared memory `name`, which must exist and have `at_least` bytes (0: as many as there are). `flags`:
/// 0 or TVN_READ_ONLY. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT; -EINVAL for a bad name; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes, or none yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_open(
    name: *const c_char,
    at_least: usize,
    flags: c_uint,
    out: *mut *mut tvn_posix_shared_memory_t,
) -> c_int {
    call("tvn_posix_shared_memory_open", || {
        let (_, read_only) = choices(flags, TVN_READ_ONLY)?;
        let options = PosixSharedMemoryOptions::new().at_least(at_least).read_only(read_only);
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.open(text(name)?).map(tvn_posix_shared_memory_t)) }
    })
}

/// Attaches the POSIX shared memory `name`, or creates it as tvn_posix_shared_memory_create() does; one that is there has
/// `size` bytes at least and is not owned. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return as tvn_posix_shared_memory_create() and tvn_posix_shared_memory_open(), without -EEXIST and -ENOENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_open_or_create(
    name: *const c_char,
    size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_shared_memory_t,
) -> c_int {
    call("tvn_posix_shared_memory_open_or_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.open_or_create(text(name)?, size).map(tvn_posix_shared_memory_t)) }
    })
}

/// Removes the name. Who has the memory attached keeps it; it goes with the last of them. Lends `name`. Does not wait. Any
/// thread.
/// @return 0; -ENOENT; -EINVAL for a bad name; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_unlink(name: *const c_char) -> c_int {
    // SAFETY: the C contract: NULL or a string.
    call("tvn_posix_shared_memory_unlink", || PosixSharedMemory::unlink(unsafe { text(name) }?))
}

/// Detaches the memory, and unlinks its name if it is owned, in the process that made it. Takes `memory`; NULL is fine.
/// Pointers from tvn_posix_shared_memory_data() are no longer good. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_close(memory: *mut tvn_posix_shared_memory_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_posix_shared_memory_close", || unsafe { take(memory) });
}

/// Its first byte. Good until tvn_posix_shared_memory_close(). Other processes read and write there at any time: keep
/// order with a semaphore. Lends `memory`. Never blocks. Any thread; a forked child too.
/// @return the address; NULL only for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_data(memory: *const tvn_posix_shared_memory_t) -> *mut c_void {
    let mut data = std::ptr::null_mut();
    call("tvn_posix_shared_memory_data", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        data = unsafe { lend(memory) }?.0.as_ptr().cast();
        Ok(())
    });
    data
}

/// How many bytes are attached. Lends `memory`. Never blocks. Any thread; a forked child too.
/// @return the size, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_size(memory: *const tvn_posix_shared_memory_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_shared_memory_size", || Ok(unsafe { lend(memory) }?.0.size()))
}

/// The descriptor of its file: for fstat(2), or to be passed to another process. It stays the handle's. Lends `memory`.
/// Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_shared_memory_fd(memory: *const tvn_posix_shared_memory_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_shared_memory_fd", || Ok(unsafe { lend(memory) }?.0.as_fd().as_raw_fd()))
}
