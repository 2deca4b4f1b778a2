//! Seqpacket sockets in C: Unix connections that keep the borders of messages.

use super::{descriptors, direction, given, print, taking, tvn_peer_credentials_t};
use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::Seqpacket;

/// A Unix connection that carries messages. Any number of threads and forked processes may send and receive: each
/// message goes to one of them, whole. No call raises SIGPIPE.
pub struct tvn_seqpacket_t(pub(super) Seqpacket);

/// Connects to an address, `unix:/tmp/x.sock` or `unix:@name`; blocks while the listener's queue is full. Lends
/// `address`, gives `*out`, close-on-exec. Any thread.
/// @return 0; -ECONNREFUSED if nobody listens there; -ENOENT if there is no such socket file; -EACCES;
/// -TVN_EINCOMPATIBLE if the socket there is of another type; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
/// is interruptible; -EINVAL for what is no Unix address; -EMFILE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_connect(
    address: *const c_char,
    timeout_ms: c_int,
    out: *mut *mut tvn_seqpacket_t,
) -> c_int {
    call("tvn_seqpacket_connect", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let address = text(address)?;
                let connected = match timeout_ms {
                    TVN_TRY => tried(Seqpacket::try_connect(address)?)?,
                    ms => Seqpacket::connect_until(address, deadline(ms))?,
                };
                Ok(tvn_seqpacket_t(connected))
            })
        }
    })
}

/// Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
/// close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
/// @return 0; -EMFILE, -ENFILE if there are too many descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_pair(a: *mut *mut tvn_seqpacket_t, b: *mut *mut tvn_seqpacket_t) -> c_int {
    call("tvn_seqpacket_pair", || {
        // SAFETY: the C contract: NULL or places for handles.
        unsafe {
            output(a)?;
            output(b)?;
            let ends = Seqpacket::pair()?;
            give(a, || Ok(tvn_seqpacket_t(ends.0)))?;
            give(b, || Ok(tvn_seqpacket_t(ends.1)))
        }
    })
}

/// Closes the connection in this process. Takes `socket`; NULL is fine. When the last process has closed it, the peer
/// receives what is on its way, and then the end. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_close(socket: *mut tvn_seqpacket_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_seqpacket_close", || unsafe { take(socket) });
}

/// Sends one message; blocks until there is room. Lends `socket` and `data`. Any thread.
/// @return 0; -EPIPE if the peer has closed, and no SIGPIPE; -ECONNRESET; -EMSGSIZE if the send buffer cannot hold it;
/// -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible. Nothing was sent then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_send(
    socket: *const tvn_seqpacket_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_seqpacket_send", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (socket, data) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_send(data)?.then_some(())),
            ms => socket.send_until(data, deadline(ms)),
        }
    })
}

/// Receives one message into `buffer`; blocks until there is one. Lends `socket` and `buffer`. What a peer sent before
/// it died can still be received. Any thread.
/// @return its size, which may be 0; -EPIPE at the end; -ECONNRESET if the peer died, or closed, with messages
/// unreceived; -EMSGSIZE if `size` is too small: the message stays (unless another one receives here at the same
/// moment: tvn_last_error() says so), and tvn_seqpacket_message_size() tells its size; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_receive(
    socket: *const tvn_seqpacket_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_seqpacket_receive", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_receive(buffer)?),
            ms => socket.receive_until(buffer, deadline(ms)),
        }
    })
}

/// The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
/// @return the size; otherwise as tvn_seqpacket_receive(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_message_size(socket: *const tvn_seqpacket_t, timeout_ms: c_int) -> i64 {
    call("tvn_seqpacket_message_size", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call.
        let socket = &unsafe { lend(socket) }?.0;
        match timeout_ms {
            TVN_TRY => tried(socket.try_message_size()?),
            ms => socket.message_size(deadline(ms)),
        }
    })
}

/// Sends one message of at least one byte, and `count` descriptors with it; blocks until there is room. The receiver
/// gets descriptors of its own on the same open files. Over Unix. Lends `socket`, `data` and `fds`: they stay open
/// here, and may be closed at once. Any thread.
/// @return as tvn_seqpacket_send(); -EMSGSIZE beyond TVN_DESCRIPTORS_MAX; -EINVAL without a byte, or for what is no
/// descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_send_descriptors(
    socket: *const tvn_seqpacket_t,
    data: *const c_void,
    size: usize,
    fds: *const c_int,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_seqpacket_send_descriptors", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes and `count` descriptors to
        // read, which nobody closes meanwhile.
        let (socket, data, fds) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?, descriptors(fds, count)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_send_descriptors(data, &fds)?.then_some(())),
            ms => socket.send_descriptors_until(data, &fds, deadline(ms)),
        }
    })
}

/// Receives one message, and at most `capacity` descriptors that came with it; blocks until there is one. Lends
/// `socket`, `buffer` and `fds`; the caller owns the descriptors in `fds`, which are close-on-exec; `*count` is how
/// many, and `*cut` whether more came, which are closed; both may be NULL. A message that is received in another way
/// loses its descriptors: the kernel closes them. Any thread.
/// @return its size; otherwise as tvn_seqpacket_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_receive_descriptors(
    socket: *const tvn_seqpacket_t,
    buffer: *mut c_void,
    size: usize,
    fds: *mut c_int,
    capacity: usize,
    count: *mut usize,
    cut: *mut bool,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_seqpacket_receive_descriptors", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        let receive = |most| match timeout_ms {
            TVN_TRY => tried(socket.try_receive_descriptors(buffer, most)?),
            ms => socket.receive_descriptors_until(buffer, most, deadline(ms)),
        };
        // SAFETY: the C contract: `capacity` numbers to write, NULL or places for the answers.
        unsafe { taking(fds, capacity, count, cut, receive) }
    })
}

/// Ends one direction or both, for every process that has the connection: the peer receives what is on its way, and
/// then the end. `how` is shutdown(2)'s: SHUT_RD, SHUT_WR or SHUT_RDWR. Lends `socket`. Never blocks. Any thread.
/// @return 0; -ENOTCONN if the connection is gone already; -EINVAL for another `how`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_shutdown(socket: *const tvn_seqpacket_t, how: c_int) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_shutdown", || unsafe { lend(socket) }?.0.shutdown(direction(how)?))
}

/// Who is at the other end of a Unix socket: the process that connected, or listened, as it was then. Lends `socket`,
/// writes `*out`. Never blocks. Any thread.
/// @return 0; -EINVAL over TCP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_peer_credentials(
    socket: *const tvn_seqpacket_t,
    out: *mut tvn_peer_credentials_t,
) -> c_int {
    call("tvn_seqpacket_peer_credentials", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (socket, out) = unsafe { (lend(socket)?, output(out)?) };
        out.write(socket.0.peer_credentials()?.into());
        Ok(())
    })
}

/// Makes a handle of a descriptor that is a connected seqpacket socket, an inherited one for instance. Takes `fd` and
/// gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_from_fd(fd: c_int, out: *mut *mut tvn_seqpacket_t) -> c_int {
    // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
    call("tvn_seqpacket_from_fd", || unsafe { give(out, || Ok(tvn_seqpacket_t(given(fd)?.into()))) })
}

/// Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
/// Any thread.
/// @return its length without the NUL; -EMSGSIZE if `size` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_local_address(
    socket: *const tvn_seqpacket_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_seqpacket_local_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.local_address()?, text, size) }
    })
}

/// The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
/// @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_peer_address(
    socket: *const tvn_seqpacket_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_seqpacket_peer_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.peer_address()?, text, size) }
    })
}

/// How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_send_buffer(socket: *const tvn_seqpacket_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_send_buffer", || unsafe { lend(socket) }?.0.send_buffer())
}

/// Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_set_send_buffer(socket: *const tvn_seqpacket_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_set_send_buffer", || unsafe { lend(socket) }?.0.set_send_buffer(bytes))
}

/// How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
/// blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_receive_buffer(socket: *const tvn_seqpacket_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_receive_buffer", || unsafe { lend(socket) }?.0.receive_buffer())
}

/// Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_set_receive_buffer(socket: *const tvn_seqpacket_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_set_receive_buffer", || unsafe { lend(socket) }?.0.set_receive_buffer(bytes))
}

/// Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_fd(socket: *const tvn_seqpacket_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_fd", || Ok(unsafe { lend(socket) }?.0.as_fd().as_raw_fd()))
}
