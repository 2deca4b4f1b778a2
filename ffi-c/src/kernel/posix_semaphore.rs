//! POSIX semaphores in C.

use super::owned;
use crate::argument::text;
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint, c_void};
use triveni::Result;
use triveni::kernel::{PosixSemaphore, PosixSemaphoreOptions};

/// A POSIX semaphore, named or in memory that processes share. Any number of threads may use one handle.
pub struct tvn_posix_semaphore_t(PosixSemaphore);

fn options(mode: c_uint, flags: c_uint) -> Result<PosixSemaphoreOptions> {
    Ok(PosixSemaphoreOptions::new().mode(mode).owned(owned(flags)?))
}

/// Creates the semaphore `name` ("/counter") with `initial` permits. `mode` says who may use it: 0600 is this user
/// alone; the umask takes nothing away. `flags`: 0 or TVN_OWNED. Plain programs open it by sem_open(3).
///
/// It keeps its value when all its users have ended or were killed, until tvn_posix_semaphore_unlink().
/// Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST; -EINVAL for a bad name or more than 2147483647 permits; -EACCES; -ENOSPC if /dev/shm is full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_create(
    name: *const c_char,
    initial: u32,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_semaphore_t,
) -> c_int {
    call("tvn_posix_semaphore_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.create(text(name)?, initial).map(tvn_posix_semaphore_t)) }
    })
}

/// Opens the semaphore `name`, which must exist. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child
/// too.
/// @return 0; -ENOENT; -EINVAL for a bad name; -EACCES; -TVN_ECORRUPT if its file is too small to be one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_open(name: *const c_char, out: *mut *mut tvn_posix_semaphore_t) -> c_int {
    call("tvn_posix_semaphore_open", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || PosixSemaphore::open(text(name)?).map(tvn_posix_semaphore_t)) }
    })
}

/// Opens the semaphore `name`, or creates it as tvn_posix_semaphore_create() does; one that is there keeps its value and
/// is not owned. Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return as tvn_posix_semaphore_create(), without -EEXIST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_open_or_create(
    name: *const c_char,
    initial: u32,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_semaphore_t,
) -> c_int {
    call("tvn_posix_semaphore_open_or_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.open_or_create(text(name)?, initial).map(tvn_posix_semaphore_t)) }
    })
}

/// Removes the name. Who has the semaphore open keeps it; it goes with the last of them. Lends `name`. Does not wait. Any
/// thread.
/// @return 0; -ENOENT; -EINVAL for a bad name; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_unlink(name: *const c_char) -> c_int {
    // SAFETY: the C contract: NULL or a string.
    call("tvn_posix_semaphore_unlink", || PosixSemaphore::unlink(unsafe { text(name) }?))
}

/// Makes an unnamed semaphore with `initial` permits at `at`, over whatever lies there: sizeof(sem_t) bytes of memory that
/// processes share, at an address that is a multiple of 8, mapped until tvn_posix_semaphore_close(). One process does
/// this, before the others call tvn_posix_semaphore_open_at(). Gives `*out`. Does not wait. Any thread; a forked child
/// too.
/// @return 0; -EINVAL for another address or more than 2147483647 permits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_init_at(
    at: *mut c_void,
    initial: u32,
    out: *mut *mut tvn_posix_semaphore_t,
) -> c_int {
    call("tvn_posix_semaphore_init_at", || {
        // SAFETY: the C contract: NULL or room for a semaphore, mapped until the close; NULL or a place for a handle.
        unsafe { give(out, || PosixSemaphore::init_at(at.cast(), initial).map(tvn_posix_semaphore_t)) }
    })
}

/// Takes the unnamed semaphore that somebody has made at `at`, by tvn_posix_semaphore_init_at() or sem_init(3). Nothing
/// tells it from other bytes. Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EINVAL for an address that is no multiple of 8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_open_at(at: *mut c_void, out: *mut *mut tvn_posix_semaphore_t) -> c_int {
    call("tvn_posix_semaphore_open_at", || {
        // SAFETY: the C contract: NULL or room for a semaphore, mapped until the close; NULL or a place for a handle.
        unsafe { give(out, || PosixSemaphore::open_at(at.cast()).map(tvn_posix_semaphore_t)) }
    })
}

/// Lets go of the semaphore, and unlinks its name if it is owned, in the process that made it. Takes `semaphore`; NULL is
/// fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_close(semaphore: *mut tvn_posix_semaphore_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_posix_semaphore_close", || unsafe { take(semaphore) });
}

/// Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. A process that dies before its post
/// never gives that permit. Lends `semaphore`. Any thread; a forked child too.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_wait(semaphore: *const tvn_posix_semaphore_t, timeout_ms: c_int) -> c_int {
    call("tvn_posix_semaphore_wait", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        let semaphore = &unsafe { lend(semaphore) }?.0;
        match timeout_ms {
            TVN_TRY => tried(semaphore.try_wait()?.then_some(())),
            ms => semaphore.wait_until(deadline(ms)),
        }
    })
}

/// Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a forked child
/// too.
/// @return 0; -EOVERFLOW at 2147483647, and nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_post(semaphore: *const tvn_posix_semaphore_t) -> c_int {
    call("tvn_posix_semaphore_post", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(semaphore) }?.0.post()
    })
}

/// How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks. Any thread; a
/// forked child too.
/// @return the permits, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_semaphore_value(semaphore: *const tvn_posix_semaphore_t) -> i64 {
    call("tvn_posix_semaphore_value", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(semaphore) }?.0.value()))
    })
}
