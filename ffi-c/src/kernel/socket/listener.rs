//! Listeners in C: of streams, and of seqpackets.

use super::seqpacket::tvn_seqpacket_t;
use super::stream::tvn_stream_t;
use super::{bind_options, given, print};
use crate::argument::text;
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint};
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::{BindOptions, Listener, SeqpacketListener};

/// A negative backlog is the longest.
fn with_backlog(options: BindOptions, backlog: c_int) -> BindOptions {
    u32::try_from(backlog).map_or(options, |backlog| options.backlog(backlog))
}

/// Listens for streams: TCP, or Unix. A server's life is the textbook's: socket, bind and listen (one call,
/// tvn_listener_bind()), tvn_listener_accept() for each client, close.
pub struct tvn_listener_t(Listener);

/// Binds to `address`, `tcp:127.0.0.1:7777` (port 0: any) or `unix:/tmp/x.sock`, and listens. `backlog` connections
/// wait until they are accepted, at most /proc/sys/net/core/somaxconn; a negative number is as many as that. A socket
/// file is made with `mode` (0600) less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Lends
/// `address`, gives `*out`, close-on-exec. Does not wait, except for another server that replaces a stale file in the
/// same folder. Any thread.
/// @return 0; -EADDRINUSE: tvn_last_error() says whether a live or a dead server has the name, or who can be asked;
/// -EACCES for a port that needs a privilege, or a folder that may not be written to; -ENOENT if the folder is not
/// there; -EADDRNOTAVAIL; -EINVAL for what is no such address, or other flags; -EMFILE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_bind(
    address: *const c_char,
    backlog: c_int,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_listener_t,
) -> c_int {
    call("tvn_listener_bind", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let options = with_backlog(bind_options(mode, flags)?, backlog);
                Listener::bind_with(text(address)?, options).map(tvn_listener_t)
            })
        }
    })
}

/// Makes a handle of a socket that listens already, one of a service manager for instance. Takes `fd` and gives `*out`.
/// Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it listens shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_from_fd(fd: c_int, out: *mut *mut tvn_listener_t) -> c_int {
    // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
    call("tvn_listener_from_fd", || unsafe { give(out, || Ok(tvn_listener_t(given(fd)?.into()))) })
}

/// The next connection; blocks until there is one. Lends `listener`, gives `*out`, close-on-exec. Any number of threads
/// and forked processes may accept: each connection goes to one of them.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EMFILE or -ENFILE if there are
/// too many descriptors: the connection stays in the queue. The first call with a timeout makes the descriptor
/// non-blocking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_accept(
    listener: *const tvn_listener_t,
    timeout_ms: c_int,
    out: *mut *mut tvn_stream_t,
) -> c_int {
    call("tvn_listener_accept", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for a handle.
        unsafe {
            give(out, || {
                let listener = &lend(listener)?.0;
                let accepted = match timeout_ms {
                    TVN_TRY => tried(listener.try_accept()?)?,
                    ms => listener.accept_until(deadline(ms))?,
                };
                Ok(tvn_stream_t(accepted))
            })
        }
    })
}

/// Where it listens, as text with a NUL behind it: with the port that the kernel chose, if it was to choose one. Lends
/// `listener` and `text`. Never blocks. Any thread.
/// @return its length without the NUL; -EMSGSIZE if `size` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_local_address(
    listener: *const tvn_listener_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_listener_local_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(listener)?.0.local_address()?, text, size) }
    })
}

/// Its descriptor: for poll(2) and wait sets, readable when somebody has connected. It stays the handle's. Lends
/// `listener`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_fd(listener: *const tvn_listener_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_listener_fd", || Ok(unsafe { lend(listener) }?.0.as_fd().as_raw_fd()))
}

/// Stops listening, in this process. Takes `listener`; NULL is fine. With the last process that listens, clients that
/// wait in the queue are reset; a socket file stays, unless it is owned. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_listener_close(listener: *mut tvn_listener_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_listener_close", || unsafe { take(listener) });
}

/// Listens for connections that keep the borders of messages: Unix seqpacket sockets.
pub struct tvn_seqpacket_listener_t(SeqpacketListener);

/// Binds to `address`, `unix:/tmp/x.sock` or `unix:@name`, and listens. `backlog` connections wait until they are
/// accepted, at most /proc/sys/net/core/somaxconn; a negative number is as many as that. A socket file is made with
/// `mode` (0600) less the umask; `flags` are 0, TVN_OWNED, TVN_REPLACE_STALE, or both. Lends `address`, gives `*out`,
/// close-on-exec. Does not wait, except for another server that replaces a stale file in the same folder. Any thread.
/// @return 0; -EADDRINUSE: tvn_last_error() says whether a live or a dead server has the name, or who can be asked;
/// -EACCES for a port that needs a privilege, or a folder that may not be written to; -ENOENT if the folder is not
/// there; -EADDRNOTAVAIL; -EINVAL for what is no such address, or other flags; -EMFILE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_bind(
    address: *const c_char,
    backlog: c_int,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_seqpacket_listener_t,
) -> c_int {
    call("tvn_seqpacket_listener_bind", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let options = with_backlog(bind_options(mode, flags)?, backlog);
                SeqpacketListener::bind_with(text(address)?, options).map(tvn_seqpacket_listener_t)
            })
        }
    })
}

/// Makes a handle of a socket that listens already, one of a service manager for instance. Takes `fd` and gives `*out`.
/// Does not wait. Any thread.
/// @return 0; -EINVAL for a negative `fd`; whether it listens shows at the first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_from_fd(fd: c_int, out: *mut *mut tvn_seqpacket_listener_t) -> c_int {
    // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
    call("tvn_seqpacket_listener_from_fd", || unsafe { give(out, || Ok(tvn_seqpacket_listener_t(given(fd)?.into()))) })
}

/// The next connection; blocks until there is one. Lends `listener`, gives `*out`, close-on-exec. Any number of threads
/// and forked processes may accept: each connection goes to one of them.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EMFILE or -ENFILE if there are
/// too many descriptors: the connection stays in the queue. The first call with a timeout makes the descriptor
/// non-blocking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_accept(
    listener: *const tvn_seqpacket_listener_t,
    timeout_ms: c_int,
    out: *mut *mut tvn_seqpacket_t,
) -> c_int {
    call("tvn_seqpacket_listener_accept", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for a handle.
        unsafe {
            give(out, || {
                let listener = &lend(listener)?.0;
                let accepted = match timeout_ms {
                    TVN_TRY => tried(listener.try_accept()?)?,
                    ms => listener.accept_until(deadline(ms))?,
                };
                Ok(tvn_seqpacket_t(accepted))
            })
        }
    })
}

/// Where it listens, as text with a NUL behind it: with the port that the kernel chose, if it was to choose one. Lends
/// `listener` and `text`. Never blocks. Any thread.
/// @return its length without the NUL; -EMSGSIZE if `size` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_local_address(
    listener: *const tvn_seqpacket_listener_t,
    text: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_seqpacket_listener_local_address", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        unsafe { print(&lend(listener)?.0.local_address()?, text, size) }
    })
}

/// Its descriptor: for poll(2) and wait sets, readable when somebody has connected. It stays the handle's. Lends
/// `listener`. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_fd(listener: *const tvn_seqpacket_listener_t) -> c_int {
    // SAFETY: the C contract: NULL or a handle, not closed during this call.
    call("tvn_seqpacket_listener_fd", || Ok(unsafe { lend(listener) }?.0.as_fd().as_raw_fd()))
}

/// Stops listening, in this process. Takes `listener`; NULL is fine. With the last process that listens, clients that
/// wait in the queue are reset; a socket file stays, unless it is owned. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_seqpacket_listener_close(listener: *mut tvn_seqpacket_listener_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_seqpacket_listener_close", || unsafe { take(listener) });
}
