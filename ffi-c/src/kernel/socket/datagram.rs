//! Datagram sockets in C: UDP, or Unix.

use super::{bind_options, descriptors, given, of_c, print, taking, to_c, tvn_socket_address_t};
use crate::argument::{buffer, bytes, optional, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::Datagram;

/// A socket for datagrams: UDP, or Unix. Any number of threads and forked processes may send and receive: each datagram
/// goes to one of them, whole. Over UDP datagrams may be lost, come twice or out of order; over Unix not: a full
/// receiver stops the sender.
pub struct tvn_datagram_t(Datagram);

/// Makes a socket that receives what is sent to `address`: `udp:127.0.0.1:9000`, `unix:/tmp/x.sock`, or `unix:` for a
/// name that the kernel chooses. Lends `address`, gives `*out`, close-on-exec. A socket file is made with `mode` (0600)
/// less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Does not wait. Any thread.
/// @return as tvn_listener_bind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_bind(
    address: *const c_char,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_datagram_t,
) -> c_int {
    call("tvn_datagram_bind", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let options = bind_options(mode, flags)?;
                Datagram::bind_with(text(address)?, options).map(tvn_datagram_t)
            })
        }
    })
}

/// Makes a socket that talks with `address` alone: it sends there, and receives from there. It has an address of its
/// own that the kernel chose, so that the other can answer. Lends `address`, gives `*out`, close-on-exec. Never waits.
/// Any thread.
/// @return 0; over Unix -ECONNREFUSED, -ENOENT, -EACCES and -TVN_EINCOMPATIBLE as tvn_stream_connect(): UDP does not
/// notice whether anybody is there; -EINVAL for what is no address of datagrams; -EMFILE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_connect(address: *const c_char, out: *mut *mut tvn_datagram_t) -> c_int {
    call("tvn_datagram_connect", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Datagram::connect(text(address)?).map(tvn_datagram_t)) }
    })
}

/// Makes two Unix sockets that are connected to each other, for a parent and a child. Gives `*a` and `*b`,
/// close-on-exec. After fork each process closes the one that it does not use. Does not wait. Any thread.
/// @return 0; -EMFILE, -ENFILE if there are too many descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_pair(a: *mut *mut tvn_datagram_t, b: *mut *mut tvn_datagram_t) -> c_int {
    call("tvn_datagram_pair", || {
        // SAFETY: the C contract: NULL or places for handles.
        unsafe {
            output(a)?;
            output(b)?;
            let ends = Datagram::pair()?;
            give(a, || Ok(tvn_datagram_t(ends.0)))?;
            give(b, || Ok(tvn_datagram_t(ends.1)))
        }
    })
}

/// Closes the socket in this process. Takes `socket`; NULL is fine. What nobody has received is gone with the last one.
/// A socket file stays, unless it is owned. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_close(socket: *mut tvn_datagram_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_datagram_close", || unsafe { take(socket) });
}

/// From now on the socket talks with `address` alone, and tvn_datagram_send() goes there. Lends `socket` and `address`.
/// Never blocks. Any thread.
/// @return as tvn_datagram_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_set_peer(
    socket: *const tvn_datagram_t,
    address: *const tvn_socket_address_t,
) -> c_int {
    call("tvn_datagram_set_peer", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or an address.
        let (socket, address) = unsafe { (&lend(socket)?.0, of_c(address)?) };
        socket.set_peer(&address)
    })
}

/// Sends a datagram to the peer; blocks until there is room. Lends `socket` and `data`. Any thread.
/// @return 0; -EDESTADDRREQ (Unix: -ENOTCONN) without a peer; -EMSGSIZE beyond 65507 bytes of UDP (65527 over IPv6), or
/// what the send buffer holds; -ECONNREFUSED if nobody is there any more, which UDP reports late; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible. Nothing was sent then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_send(
    socket: *const tvn_datagram_t,
    data: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_datagram_send", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (socket, data) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_send(data)?.then_some(())),
            ms => socket.send_until(data, deadline(ms)),
        }
    })
}

/// Sends a datagram to `address`; blocks until there is room. Lends `socket`, `data` and `address`. Over Unix, with a
/// timeout and while the receiver is full, it tries again after pauses that grow to 4 ms. Any thread.
/// @return as tvn_datagram_send(); -ENOENT if there is no such socket file; -EACCES; -TVN_EINCOMPATIBLE; -EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_send_to(
    socket: *const tvn_datagram_t,
    data: *const c_void,
    size: usize,
    address: *const tvn_socket_address_t,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_datagram_send_to", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read; NULL or an address.
        let (socket, data, address) = unsafe { (&lend(socket)?.0, bytes(data.cast(), size)?, of_c(address)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_send_to(data, &address)?.then_some(())),
            ms => socket.send_to_until(data, &address, deadline(ms)),
        }
    })
}

/// Receives a datagram into `buffer`; blocks until there is one. Lends `socket` and `buffer`. There is no end to
/// receive: whether a peer has died only a timeout tells. Any thread.
/// @return its size, which may be 0; -EMSGSIZE if `size` is too small: the datagram stays in this handle, where poll(2) does not
/// see it, and tvn_datagram_message_size() tells its size; -ECONNREFUSED if the last datagram sent came to nobody; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_receive(
    socket: *const tvn_datagram_t,
    buffer: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_datagram_receive", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (socket, buffer) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(socket.try_receive(buffer)?),
            ms => socket.receive_until(buffer, deadline(ms)),
        }
    })
}

/// As tvn_datagram_receive(), and says who sent it, in `*from`, unless that is NULL.
/// @return as there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_receive_from(
    socket: *const tvn_datagram_t,
    buffer: *mut c_void,
    size: usize,
    from: *mut tvn_socket_address_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_datagram_receive_from", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write; NULL or a place for
        // the address.
        let (socket, buffer, out) = unsafe { (&lend(socket)?.0, self::buffer(buffer.cast(), size)?, optional(from)) };
        let (size, from) = match timeout_ms {
            TVN_TRY => tried(socket.try_receive_from(buffer)?)?,
            ms => socket.receive_from_until(buffer, deadline(ms))?,
        };
        if let Some(out) = out {
            out.write(to_c(&from));
        }
        Ok(size)
    })
}

/// The size of the next message; blocks until it is known. The message stays. Lends `socket`. Any thread.
/// @return the size; otherwise as tvn_datagram_receive(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_message_size(socket: *const tvn_datagram_t, timeout_ms: c_int) -> i64 {
    call("tvn_datagram_message_size", || {
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
/// @return as tvn_datagram_send(); -EMSGSIZE beyond TVN_DESCRIPTORS_MAX; -EINVAL without a byte, over UDP, or for what
/// is no descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_send_descriptors(
    socket: *const tvn_datagram_t,
    data: *const c_void,
    size: usize,
    fds: *const c_int,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_datagram_send_descriptors", || {
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
/// @return its size; otherwise as tvn_datagram_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_receive_descriptors(
    socket: *const tvn_datagram_t,
    buffer: *mut c_void,
    size: usize,
    fds: *mut c_int,
    capacity: usize,
    count: *mut usize,
    cut: *mut bool,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_datagram_receive_descriptors", || {
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

/// Chooses whether it may send to broadcast addresses (SO_BROADCAST). Lends `socket`. Never blocks. Any thread.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_set_broadcast(socket: *const tvn_datagram_t, on: bool) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_set_broadcast", || unsafe { lend(socket) }?.0.set_broadcast(on))
}

/// Makes a handle of a descriptor that is a datagram socket, an inherited one for instance. Takes `fd` and gives
/// `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it is the right kind shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_from_fd(fd: c_int, out: *mut *mut tvn_datagram_t) -> c_int {
    // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
    call("tvn_datagram_from_fd", || unsafe { give(out, || Ok(tvn_datagram_t(given(fd)?.into()))) })
}

/// Its own address as text, a NUL behind it; over Unix mostly `unix:`, none. Lends `socket` and `text`. Never blocks.
/// Any thread.
/// @return its length without the NUL; -EMSGSIZE if `size` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_local_address(
    socket: *const tvn_datagram_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_datagram_local_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.local_address()?, text, size) }
    })
}

/// The address of the other end as text, a NUL behind it. Lends `socket` and `text`. Never blocks. Any thread.
/// @return its length without the NUL; -ENOTCONN if it is connected to nobody, or no more; -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_peer_address(
    socket: *const tvn_datagram_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_datagram_peer_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(socket)?.0.peer_address()?, text, size) }
    })
}

/// How many bytes the kernel keeps of what is sent, its own books included. Lends `socket`. Never blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_send_buffer(socket: *const tvn_datagram_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_send_buffer", || unsafe { lend(socket) }?.0.send_buffer())
}

/// Asks for a send buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/wmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_set_send_buffer(socket: *const tvn_datagram_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_set_send_buffer", || unsafe { lend(socket) }?.0.set_send_buffer(bytes))
}

/// How many bytes the kernel keeps of what nobody has received yet, its own books included. Lends `socket`. Never
/// blocks. Any thread.
/// @return bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_receive_buffer(socket: *const tvn_datagram_t) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_receive_buffer", || unsafe { lend(socket) }?.0.receive_buffer())
}

/// Asks for a receive buffer of so many bytes: the kernel takes double, for its books, and at most double of
/// /proc/sys/net/core/rmem_max. Lends `socket`. Never blocks. Any thread.
/// @return what it is now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_set_receive_buffer(socket: *const tvn_datagram_t, bytes: usize) -> i64 {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_set_receive_buffer", || unsafe { lend(socket) }?.0.set_receive_buffer(bytes))
}

/// Its descriptor: for poll(2), setsockopt(2) and wait sets. It stays the handle's. Lends `socket`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_datagram_fd(socket: *const tvn_datagram_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_datagram_fd", || Ok(unsafe { lend(socket) }?.0.as_fd().as_raw_fd()))
}
