//! FIFOs (named pipes) in C.

use super::owned;
use super::pipe::{tvn_pipe_reader_t, tvn_pipe_writer_t};
use crate::argument::path;
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint};
use triveni::kernel::{Fifo, FifoOptions};

/// A FIFO: its name in the file system.
pub struct tvn_fifo_t(Fifo);

/// Makes the FIFO `path`, with `mode` (0600 for its user alone) less the umask. With TVN_OWNED in `flags` it is
/// removed when the handle is closed. Lends `path`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EEXIST; -EACCES; -ENOENT if the folder is not there; what mkfifo(3) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_create(
    path: *const c_char,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_fifo_t,
) -> c_int {
    call("tvn_fifo_create", || {
        let options = FifoOptions::default().mode(mode).owned(owned(flags)?);
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Fifo::create(self::path(path)?, options).map(tvn_fifo_t)) }
    })
}

/// Finds the FIFO `path`, which must be there. Lends `path`, gives `*out`. Does not wait. Any thread.
/// @return 0; -ENOENT; -TVN_EINCOMPATIBLE if it is something else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_open(path: *const c_char, out: *mut *mut tvn_fifo_t) -> c_int {
    call("tvn_fifo_open", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Fifo::open(self::path(path)?).map(tvn_fifo_t)) }
    })
}

/// Finds the FIFO `path`, or makes it; one that was there is not owned. Lends `path`, gives `*out`. Does not wait. Any
/// thread.
/// @return as tvn_fifo_create() and tvn_fifo_open(), without -EEXIST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_open_or_create(
    path: *const c_char,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_fifo_t,
) -> c_int {
    call("tvn_fifo_open_or_create", || {
        let options = FifoOptions::default().mode(mode).owned(owned(flags)?);
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Fifo::open_or_create(self::path(path)?, options).map(tvn_fifo_t)) }
    })
}

/// Removes the FIFO `path`. Who has it open goes on with it. Lends `path`. Does not wait. Any thread.
/// @return 0; -ENOENT; -TVN_EINCOMPATIBLE if it is something else; what unlink(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_unlink(path: *const c_char) -> c_int {
    // SAFETY: the C contract: NULL or a string.
    call("tvn_fifo_unlink", || Fifo::unlink(unsafe { self::path(path) }?))
}

/// Lets go of the FIFO, and removes it if it is owned, in the process that made it. Takes `fifo`; NULL is fine. Its ends
/// stay open. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_close(fifo: *mut tvn_fifo_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_fifo_close", || unsafe { take(fifo) });
}

/// Opens the end to read from; blocks until somebody has the other open. Lends `fifo`, gives `*out`. Any thread; a
/// forked child too.
/// @return 0; -EAGAIN with TVN_TRY if nobody writes; -ETIMEDOUT; -EINTR if this thread is interruptible; -ENOENT if the
/// name is gone; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_reader(
    fifo: *const tvn_fifo_t,
    timeout_ms: c_int,
    out: *mut *mut tvn_pipe_reader_t,
) -> c_int {
    call("tvn_fifo_reader", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for a handle.
        unsafe {
            let fifo = &lend(fifo)?.0;
            give(out, || {
                let end = match timeout_ms {
                    TVN_TRY => tried(fifo.try_reader()?)?,
                    ms => fifo.reader_until(deadline(ms))?,
                };
                Ok(tvn_pipe_reader_t::new(end))
            })
        }
    })
}

/// Opens the end to write to; blocks until somebody has the other open. Lends `fifo`, gives `*out`. Any thread; a forked
/// child too.
/// @return as tvn_fifo_reader().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fifo_writer(
    fifo: *const tvn_fifo_t,
    timeout_ms: c_int,
    out: *mut *mut tvn_pipe_writer_t,
) -> c_int {
    call("tvn_fifo_writer", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for a handle.
        unsafe {
            let fifo = &lend(fifo)?.0;
            give(out, || {
                let end = match timeout_ms {
                    TVN_TRY => tried(fifo.try_writer()?)?,
                    ms => fifo.writer_until(deadline(ms))?,
                };
                Ok(tvn_pipe_writer_t::new(end))
            })
        }
    })
}
