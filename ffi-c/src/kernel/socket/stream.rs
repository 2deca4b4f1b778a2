//! Streams in C: TCP, or Unix.

use super::{descriptors, direction, given, print, taking, tvn_peer_credentials_t};
use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::Stream;

/// A connection that carries bytes, or messages in them: TCP, or Unix. One thread may send while another receives; two
/// that send messages take turns, and so do two that receive them. After fork both processes have the connection, and
/// each byte goes to one of them; what was begun of a message is the parent's, and not in the child. No call raises
/// SIGPIPE.
pub struct tvn_stream_t(pub(super) Stream);

/// Connects to an address, `tcp:127.0.0.1:7777` or `unix:/tmp/x.sock`; blocks until there is an answer, and while the
/// listener's queue is full. Lends `address`, gives `*out`, close-on-exec. Any thread.
/// @return 0; -ECONNREFUSED if nobody listens there; -ENOENT if there is no such socket file; -EACCES;
/// -TVN_EINCOMPATIBLE if the socket there is of another type; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
/// is interruptible; -EINVAL for what is no address of a stream; -EMFILE. Nothing stays behind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_connect(
    address: *const c_char,
    timeout_ms: c_int,
    out: *mut *mut tvn_stream_t,
) -> c_int {
    call("tvn_stream_connect", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let address = text(address)?;
                let connected = match timeout_ms {
                    TVN_TRY => tried(Stream::try_connect(address)?)?,
                    ms => Stream::connect_until(address, deadline(ms))?,
                };
                Ok(tvn_stream_t(connected))
            })
        }
    })
}

/// Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
/// close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
/// @return 0; -EMFILE, -ENFILE if there are too many descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_pair(a: *mut *mut tvn_stream_t, b: *mut *mut tvn_stream_t) -> c_int {
    call("tvn_stream_pair", || {
        // SAFETY: the C contract: NULL or places for handles.
        unsafe {
            output(a)?;
            output(b)?;
            let ends = Stream::pair()?;
            give(a, || Ok(tvn_stream_t(ends.0)))?;
            give(b, || Ok(tvn_stream_t(ends.1)))
        }
    })
}

/// Closes the connection in this process. Takes `socket`; NULL is fine. What is kept of a message (tvn_stream_flush())
/// is lost. When the last process has closed it, the peer reads what is on its way, and then the end. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_close(socket: *mut tvn_stream_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_stream_close", || unsafe { take(socket) });
}

/// Reads some bytes, at most `size`; blocks until there are any. Lends `socket` and `buffer`. What a peer sent before
/// it died stays readable. Threads: any number; each byte goes to one.
/// @return how many; 0 at the end: the peer sends no more; -ECONNRESET if it died, or closed, with bytes unread;
/// -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_read(
    socket: *const tvn_stream_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_stream_read", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_read(buffer)?),
            ms => socket.read_until(buffer, deadline(ms)),
        }
    })
}

/// Reads exactly `size` bytes. Lends `socket` and `buffer`. Threads as tvn_stream_read().
/// @return 0; -EPIPE if the stream ends before; -ECONNRESET; -ETIMEDOUT or -EINTR also in the middle, with what came in
/// `buffer`: tvn_last_error() says how much. With TVN_TRY it does not wait: -ETIMEDOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_receive_exact(
    socket: *const tvn_stream_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_stream_receive_exact", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        socket.receive_exact_until(buffer, deadline(timeout_ms))
    })
}

/// Receives one message of tvn_stream_send() into `buffer`; blocks until all of it is there. Lends `socket` and
/// `buffer`. On the stream a message is its length in 4 bytes, most significant first, and its bytes. What came before
/// a deadline is kept for the next call. Any thread.
/// @return its size; -EPIPE at the end of the stream, also in the middle of a message; -ECONNRESET; -EMSGSIZE if `size`
/// is too small: the message stays, and tvn_stream_message_size() tells its size; -EAGAIN with TVN_TRY; -ETIMEDOUT;
/// -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_receive(
    socket: *const tvn_stream_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_stream_receive", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_receive(buffer)?),
            ms => socket.receive_until(buffer, deadline(ms)),
        }
    })
}

/// The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
/// @return the size; otherwise as tvn_stream_receive(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_message_size(socket: *const tvn_stream_t, timeout_ms: c_int) -> i64 {
    call("tvn_stream_message_size", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        let socket = &unsafe { lend(socket) }?.0;
        match timeout_ms {
            TVN_TRY => tried(socket.try_message_size()?),
            ms => socket.message_size(deadline(ms)),
        }
    })
}

/// Writes; blocks until there is room for all of it, or, with a timeout, for some. Lends `socket` and `data`. Any
/// thread.
/// @return how many bytes were taken; -EPIPE if the peer has closed, and no SIGPIPE; -ECONNRESET; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_write(
    socket: *const tvn_stream_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_stream_write", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (socket, data) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_write(data)?),
            ms => socket.write_until(data, deadline(ms)),
        }
    })
}

/// Writes all of `data`. Lends `socket` and `data`. Any thread.
/// @return 0; -EPIPE; -ECONNRESET; -ETIMEDOUT or -EINTR also in the middle: tvn_last_error() says how much was written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_send_all(
    socket: *const tvn_stream_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_stream_send_all", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (socket, data) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?) };
        socket.send_all_until(data, deadline(timeout_ms))
    })
}

/// Sends one message: its length in 4 bytes, most significant first, then itself; blocks until there is room. Lends
/// `socket` and `data`. A message whose beginning is out is not taken back: what had no room until the deadline is kept
/// and goes before the next message, or with tvn_stream_flush(). Any thread.
/// @return 0; -EPIPE; -ECONNRESET; -EMSGSIZE beyond 4 GiB; -EAGAIN with TVN_TRY if there was no room for its beginning;
/// -ETIMEDOUT and -EINTR: tvn_stream_unsent() says whether it was begun.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_send(
    socket: *const tvn_stream_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_stream_send", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (socket, data) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_send(data)?.then_some(())),
            ms => socket.send_until(data, deadline(ms)),
        }
    })
}

/// Sends what is kept of the last message, if anything is. Lends `socket`. Any thread.
/// @return as tvn_stream_write(), and 0 for success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_flush(socket: *const tvn_stream_t, timeout_ms: c_int) -> c_int {
    call("tvn_stream_flush", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        let socket = &unsafe { lend(socket) }?.0;
        match timeout_ms {
            TVN_TRY => tried(socket.try_flush()?.then_some(())),
            ms => socket.flush_until(deadline(ms)),
        }
    })
}

/// How many bytes of the last message are kept. Lends `socket`. Waits while another thread sends a message. Any thread.
/// @return the bytes, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_unsent(socket: *const tvn_stream_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_unsent", || Ok(unsafe { lend(socket) }?.0.unsent()))
}

/// Writes at least one byte, and `count` descriptors with the first of them; blocks until there is room. The receiver
/// gets descriptors of its own on the same open files. Over Unix. Lends `socket`, `data` and `fds`: they stay open
/// here, and may be closed at once. Any thread.
/// @return how many bytes were taken: write the rest without descriptors; -EPIPE; -ECONNRESET; -EMSGSIZE beyond
/// TVN_DESCRIPTORS_MAX; -EINVAL without a byte, over TCP, or for what is no descriptor; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_write_descriptors(
    socket: *const tvn_stream_t,
    data: *const c_void,
    size: usize,
    fds: *const c_int,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_stream_write_descriptors", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes and `count` descriptors to
        // read, which nobody closes meanwhile.
        let (socket, data, fds) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?, descriptors(fds, count)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_write_descriptors(data, &fds)?),
            ms => socket.write_descriptors_until(data, &fds, deadline(ms)),
        }
    })
}

/// Reads some bytes, and at most `capacity` descriptors that came with them; blocks until there is something. Lends
/// `socket`, `buffer` and `fds`; the caller owns the descriptors in `fds`, which are close-on-exec; `*count` is how
/// many, and `*cut` whether more came, which are closed; both may be NULL. Bytes that are read in another way lose
/// their descriptors: the kernel closes them. Any thread.
/// @return how many bytes; otherwise as tvn_stream_read().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_read_descriptors(
    socket: *const tvn_stream_t,
    buffer: *mut c_void,
    size: usize,
    fds: *mut c_int,
    capacity: usize,
    count: *mut usize,
    cut: *mut bool,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_stream_read_descriptors", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        let receive = |most| match timeout_ms {
            TVN_TRY => tried(socket.try_read_descriptors(buffer, most)?),
            ms => socket.read_descriptors_until(buffer, most, deadline(ms)),
        };
        // SAFETY: the C contract: `capacity` numbers to write, NULL or places for the answers.
        unsafe { taking(fds, capacity, count, cut, receive) }
    })
}

/// Ends one direction or both, for every process that has the connection: the peer receives what is on its way, and
/// then the end. `how` is shutdown(2)'s: SHUT_RD, SHUT_WR or SHUT_RDWR. Lends `socket`. Never blocks. Any thread.
/// @return 0; -ENOTCONN if the connection is gone already; -EINVAL for another `how`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_shutdown(socket: *const tvn_stream_t, how: c_int) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_shutdown", || unsafe { lend(socket) }?.0.shutdown(direction(how)?))
}

/// Who is at the other end of a Unix socket: the process that connected, or listened, as it was then. Lends `socket`,
/// writes `*out`. Never blocks. Any thread.
/// @return 0; -EINVAL over TCP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_peer_credentials(
    socket: *const tvn_stream_t,
    out: *mut tvn_peer_credentials_t,
) -> c_int {
    call("tvn_stream_peer_credentials", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (socket, out) = unsafe { (lend(socket)?, output(out)?) };
        out.write(socket.0.peer_credentials()?.into());
        Ok(())
    })
}

/// Chooses whether TCP sends small pieces at once, instead of waiting for the answer to the last one (TCP_NODELAY).
/// Lends `socket`. Never blocks. Any thread.
/// @return 0; -EOPNOTSUPP on a Unix stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_set_nodelay(socket: *const tvn_stream_t, on: bool) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_set_nodelay", || unsafe { lend(socket) }?.0.set_nodelay(on))
}

/// Makes a handle of a descriptor that is a connected stream socket, an inherited one for instance. Takes `fd` and
/// gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_from_fd(fd: c_int, out: *mut *mut tvn_stream_t) -> c_int {
    // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
    call("tvn_stream_from_fd", || unsafe { give(out, || Ok(tvn_stream_t(given(fd)?.into()))) })
}

/// Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
/// Any thread.
/// @return its length without the NUL; -EMSGSIZE if `size` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_local_address(socket: *const tvn_stream_t, text: *mut c_char, size: usize) -> i64 {
    call("tvn_stream_local_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.local_address()?, text, size) }
    })
}

/// The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
/// @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_peer_address(socket: *const tvn_stream_t, text: *mut c_char, size: usize) -> i64 {
    call("tvn_stream_peer_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.peer_address()?, text, size) }
    })
}

/// How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_send_buffer(socket: *const tvn_stream_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_send_buffer", || unsafe { lend(socket) }?.0.send_buffer())
}

/// Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_set_send_buffer(socket: *const tvn_stream_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_set_send_buffer", || unsafe { lend(socket) }?.0.set_send_buffer(bytes))
}

/// How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
/// blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_receive_buffer(socket: *const tvn_stream_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_receive_buffer", || unsafe { lend(socket) }?.0.receive_buffer())
}

/// Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_set_receive_buffer(socket: *const tvn_stream_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_set_receive_buffer", || unsafe { lend(socket) }?.0.set_receive_buffer(bytes))
}

/// Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stream_fd(socket: *const tvn_stream_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_stream_fd", || Ok(unsafe { lend(socket) }?.0.as_fd().as_raw_fd()))
}
