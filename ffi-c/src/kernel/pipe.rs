//! Anonymous pipes in C, and the ends that FIFOs have as well.

use super::process::tvn_child_t;
use crate::argument::{buffer, bytes, descriptor, output};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use triveni::kernel::{Pipe, PipeReader, PipeWriter, fork_raw, pipe};

/// The end of a pipe or FIFO that is read from. One thread at a time for messages. What was begun of a message
/// at a fork is the parent's, and not in the child.
pub struct tvn_pipe_reader_t(PipeReader);

/// The end of a pipe or FIFO that is written to. One thread at a time for messages. What was begun of a message
/// at a fork is the parent's, and not in the child.
pub struct tvn_pipe_writer_t(PipeWriter);

impl tvn_pipe_reader_t {
    pub(crate) fn new(end: PipeReader) -> Self {
        Self(end)
    }
}

impl tvn_pipe_writer_t {
    pub(crate) fn new(end: PipeWriter) -> Self {
        Self(end)
    }
}

/// Writes of up to so many bytes to a pipe or FIFO are one piece, whoever else writes: PIPE_BUF. A message of
/// tvn_pipe_writer_send() may have 4 bytes less.
pub const TVN_PIPE_ATOMIC: usize = 4096;
const _: () = assert!(TVN_PIPE_ATOMIC == Pipe::ATOMIC);

/// Makes an anonymous pipe, for this process and those that it forks. Gives `*reader` and `*writer`. Both are
/// close-on-exec. After fork each process closes the end that it does not use: as long as any process has the writing
/// end, the reader sees no end of the stream. Does not wait. Any thread.
/// @return 0; -EMFILE, -ENFILE if there are too many descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe(reader: *mut *mut tvn_pipe_reader_t, writer: *mut *mut tvn_pipe_writer_t) -> c_int {
    call("tvn_pipe", || {
        // SAFETY: the C contract: NULL or places for handles.
        unsafe {
            output(reader)?;
            output(writer)?;
            let ends = pipe()?;
            give(reader, || Ok(tvn_pipe_reader_t(ends.reader)))?;
            give(writer, || Ok(tvn_pipe_writer_t(ends.writer)))
        }
    })
}

/// Makes a pipe and forks: the child reads what the parent writes. Gives `*writer` and `*child` to the parent, `*reader`
/// to the child; each process has closed the end that it does not use, and what is not its own is untouched. For the form
/// in which the program closes them: tvn_pipe(), tvn_fork(), tvn_pipe_reader_close() and tvn_pipe_writer_close().
/// @return the child's process id; 0 in the child; -EMFILE, -ENFILE; -EAGAIN if a limit on processes is reached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_to_child(
    reader: *mut *mut tvn_pipe_reader_t,
    writer: *mut *mut tvn_pipe_writer_t,
    child: *mut *mut tvn_child_t,
) -> c_int {
    call("tvn_pipe_to_child", || {
        // SAFETY: the C contract: NULL or places for handles; after a fork C has the obligations that fork(2) names.
        unsafe {
            output(reader)?;
            output(writer)?;
            output(child)?;
            let ends = pipe()?;
            let Some(forked) = fork_raw()? else {
                give(reader, || Ok(tvn_pipe_reader_t(ends.into_reader())))?;
                return Ok(0);
            };
            give(writer, || Ok(tvn_pipe_writer_t(ends.into_writer())))?;
            tvn_child_t::give(forked, child)
        }
    })
}

/// Makes a pipe and forks: the parent reads what the child writes. Gives `*reader` and `*child` to the parent, `*writer`
/// to the child; otherwise as tvn_pipe_to_child().
/// @return as there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_from_child(
    reader: *mut *mut tvn_pipe_reader_t,
    writer: *mut *mut tvn_pipe_writer_t,
    child: *mut *mut tvn_child_t,
) -> c_int {
    call("tvn_pipe_from_child", || {
        // SAFETY: the C contract: NULL or places for handles; after a fork C has the obligations that fork(2) names.
        unsafe {
            output(reader)?;
            output(writer)?;
            output(child)?;
            let ends = pipe()?;
            let Some(forked) = fork_raw()? else {
                give(writer, || Ok(tvn_pipe_writer_t(ends.into_writer())))?;
                return Ok(0);
            };
            give(reader, || Ok(tvn_pipe_reader_t(ends.into_reader())))?;
            tvn_child_t::give(forked, child)
        }
    })
}

/// Makes the reading end of a descriptor of a pipe or FIFO, a standard stream for instance. Takes `fd` and gives `*out`.
/// Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it can be read from shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_from_fd(fd: c_int, out: *mut *mut tvn_pipe_reader_t) -> c_int {
    call("tvn_pipe_reader_from_fd", || {
        // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
        unsafe {
            descriptor(fd)?;
            give(out, || Ok(tvn_pipe_reader_t(OwnedFd::from_raw_fd(fd).into())))
        }
    })
}

/// Makes the writing end of a descriptor of a pipe or FIFO. Takes `fd` and gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it can be written to shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_from_fd(fd: c_int, out: *mut *mut tvn_pipe_writer_t) -> c_int {
    call("tvn_pipe_writer_from_fd", || {
        // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
        unsafe {
            descriptor(fd)?;
            give(out, || Ok(tvn_pipe_writer_t(OwnedFd::from_raw_fd(fd).into())))
        }
    })
}

/// Closes the reading end. Takes `end`; NULL is fine. Writers get -EPIPE once no process has it any more. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_close(end: *mut tvn_pipe_reader_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_pipe_reader_close", || unsafe { take(end) });
}

/// Closes the writing end. Takes `end`; NULL is fine. What is kept of a message (tvn_pipe_writer_flush()) is lost.
/// Readers see the end of the stream once no process has it any more. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_close(end: *mut tvn_pipe_writer_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_pipe_writer_close", || unsafe { take(end) });
}

/// Reads some bytes, at most `size`; blocks until there are any. Lends `end` and `buffer`. A writer that dies closes
/// its end; what it wrote stays. Threads: any number; each byte goes to one. A forked child too.
/// @return how many; 0 at the end of the stream; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
/// interruptible; -EBADF if it is no end to read from.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_read(
    end: *const tvn_pipe_reader_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_pipe_reader_read", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (end, buffer) = unsafe { (&lend(end)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(end.try_read(buffer)?),
            ms => end.read_until(buffer, deadline(ms)),
        }
    })
}

/// Reads exactly `size` bytes. Lends `end` and `buffer`. Threads and fork as tvn_pipe_reader_read().
/// @return 0; -EPIPE if the stream ends before; -ETIMEDOUT or -EINTR also in the middle, with what came in `buffer`:
/// tvn_last_error() says how much. With TVN_TRY it does not wait: -ETIMEDOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_receive_exact(
    end: *const tvn_pipe_reader_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_pipe_reader_receive_exact", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (end, buffer) = unsafe { (&lend(end)?.0, self::buffer(buffer.cast(), size)?) };
        end.receive_exact_until(buffer, deadline(timeout_ms))
    })
}

/// Receives one message of tvn_pipe_writer_send() into `buffer`; blocks until all of it is there. Lends `end` and
/// `buffer`. On the stream a message is its length in 4 bytes, most significant first, and its bytes. What came before
/// a deadline is kept for the next call. One thread at a time.
/// @return its size; -EPIPE at the end of the stream, also in the middle of a message; -EMSGSIZE if `size` is too
/// small: the message stays, and tvn_pipe_reader_message_size() tells its size; -EAGAIN with TVN_TRY; -ETIMEDOUT;
/// -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_receive(
    end: *mut tvn_pipe_reader_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_pipe_reader_receive", || {
        // SAFETY: the C contract: NULL or a handle that this thread alone uses; `size` bytes to write.
        let (end, buffer) = unsafe { (&mut lend_mut(end)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(end.try_receive(buffer)?),
            ms => end.receive_until(buffer, deadline(ms)),
        }
    })
}

/// The size of the next message; blocks until its length is there. The message stays. Lends `end`. One thread at a time.
/// @return the size; otherwise as tvn_pipe_reader_receive(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_message_size(end: *mut tvn_pipe_reader_t, timeout_ms: c_int) -> i64 {
    call("tvn_pipe_reader_message_size", || {
        // SAFETY: the C contract: NULL or a handle that this thread alone uses.
        let end = &mut unsafe { lend_mut(end) }?.0;
        match timeout_ms {
            TVN_TRY => tried(end.try_message_size()?),
            ms => end.message_size(deadline(ms)),
        }
    })
}

/// Writes; blocks until there is room for all of it, or, with a timeout, for some. Lends `end` and `data`. Threads: any
/// number, each write of up to TVN_PIPE_ATOMIC bytes in one piece. A forked child too.
/// @return how many bytes were taken; -EPIPE if nobody has the reading end any more, and no SIGPIPE (see
/// tvn_pipe_writer_raise_sigpipe()); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_write(
    end: *const tvn_pipe_writer_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_pipe_writer_write", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (end, data) = unsafe { (&lend(end)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(end.try_write(data)?),
            ms => end.write_until(data, deadline(ms)),
        }
    })
}

/// Writes all of `data`. Lends `end` and `data`. Threads and fork as tvn_pipe_writer_write().
/// @return 0; -EPIPE; -ETIMEDOUT or -EINTR also in the middle: tvn_last_error() says how much was written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_send_all(
    end: *const tvn_pipe_writer_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_pipe_writer_send_all", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (end, data) = unsafe { (&lend(end)?.0, bytes(data.cast(), size)?) };
        end.send_all_until(data, deadline(timeout_ms))
    })
}

/// Sends one message: its length in 4 bytes, most significant first, then itself; in one piece if it has at most
/// TVN_PIPE_ATOMIC - 4 bytes, so that many processes can send to one reader. Blocks until there is room. Lends `end` and
/// `data`. A message whose beginning is written is not taken back: what had no room until the deadline is kept and goes
/// before the next message, or with tvn_pipe_writer_flush(). One thread at a time.
/// @return 0; -EPIPE; -EMSGSIZE beyond 4 GiB; -EAGAIN with TVN_TRY if there was no room for its beginning; -ETIMEDOUT
/// and -EINTR: tvn_pipe_writer_unsent() says whether it was begun.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_send(
    end: *mut tvn_pipe_writer_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_pipe_writer_send", || {
        // SAFETY: the C contract: NULL or a handle that this thread alone uses; `size` bytes to read.
        let (end, data) = unsafe { (&mut lend_mut(end)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(end.try_send(data)?.then_some(())),
            ms => end.send_until(data, deadline(ms)),
        }
    })
}

/// Sends what is kept of the last message, if anything is. Lends `end`. One thread at a time.
/// @return as tvn_pipe_writer_write(), and 0 for success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_flush(end: *mut tvn_pipe_writer_t, timeout_ms: c_int) -> c_int {
    call("tvn_pipe_writer_flush", || {
        // SAFETY: the C contract: NULL or a handle that this thread alone uses.
        let end = &mut unsafe { lend_mut(end) }?.0;
        match timeout_ms {
            TVN_TRY => tried(end.try_flush()?.then_some(())),
            ms => end.flush_until(deadline(ms)),
        }
    })
}

/// How many bytes of the last message are kept. Lends `end`. Never blocks.
/// @return the bytes, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_unsent(end: *const tvn_pipe_writer_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle that no other thread sends with meanwhile.
    call("tvn_pipe_writer_unsent", || Ok(unsafe { lend(end) }?.0.unsent()))
}

/// Chooses whether a write without a reader raises SIGPIPE as well. At first it does not: in a program that ignores
/// SIGPIPE (`signal(SIGPIPE, SIG_IGN)`, before the end is made) that costs nothing, in others two system calls for each
/// write. Lends `end`. Never blocks. One thread at a time.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_raise_sigpipe(end: *mut tvn_pipe_writer_t, raise: bool) -> c_int {
    call("tvn_pipe_writer_raise_sigpipe", || {
        // SAFETY: the C contract: NULL or a handle that this thread alone uses.
        unsafe { lend_mut(end) }?.0.raise_sigpipe(raise);
        Ok(())
    })
}

/// The size of the kernel's buffer. Lends `end`. Never blocks. Any thread.
/// @return bytes; -EBADF if it is no pipe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_capacity(end: *const tvn_pipe_reader_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_reader_capacity", || unsafe { lend(end) }?.0.capacity())
}

/// The size of the kernel's buffer. Lends `end`. Never blocks. Any thread.
/// @return bytes; -EBADF if it is no pipe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_capacity(end: *const tvn_pipe_writer_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_writer_capacity", || unsafe { lend(end) }?.0.capacity())
}

/// Asks for a buffer of `bytes`; the kernel rounds up. Lends `end`. Never blocks. Any thread.
/// @return what it is now; -EACCES above /proc/sys/fs/pipe-max-size without the privilege; -EBUSY below what is in it;
/// -EINVAL for 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_set_capacity(end: *const tvn_pipe_reader_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_reader_set_capacity", || unsafe { lend(end) }?.0.set_capacity(bytes))
}

/// Asks for a buffer of `bytes`; as tvn_pipe_reader_set_capacity(), from the other end.
/// @return as there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_set_capacity(end: *const tvn_pipe_writer_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_writer_set_capacity", || unsafe { lend(end) }?.0.set_capacity(bytes))
}

/// How many bytes can be read now. Lends `end`. Never blocks. Any thread.
/// @return bytes, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_len(end: *const tvn_pipe_reader_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_reader_len", || unsafe { lend(end) }?.0.len())
}

/// Its descriptor: for poll(2), dup2(2) and wait sets. It stays the handle's. Lends `end`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_reader_fd(end: *const tvn_pipe_reader_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_reader_fd", || Ok(unsafe { lend(end) }?.0.as_fd().as_raw_fd()))
}

/// Its descriptor: for poll(2), dup2(2) and wait sets. It stays the handle's. Lends `end`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipe_writer_fd(end: *const tvn_pipe_writer_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_pipe_writer_fd", || Ok(unsafe { lend(end) }?.0.as_fd().as_raw_fd()))
}
