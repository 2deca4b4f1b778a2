//! What went wrong with a socket, in a sentence: what was tried, where, and what stands in the way.

use super::address::SocketAddress;
use super::call::{self, Type};
use crate::error::{Error, ErrorKind};
use crate::kernel::pipe::descriptor_limit;
use crate::kernel::sysctl::Sysctl;
use nix::errno::Errno;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A socket, for sentences: `stream socket 5 (tcp:127.0.0.1:40000 to tcp:127.0.0.1:7777)`.
pub(super) struct What<'a>(pub(super) BorrowedFd<'a>, pub(super) Type);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let What(fd, socket_type) = self;
        let address = |raw: nix::Result<call::Raw>| raw.ok().and_then(|raw| raw.address(*socket_type));
        let named = |address: &SocketAddress| *address != SocketAddress::unix_unnamed();
        write!(f, "{} socket {}", socket_type.name(), fd.as_raw_fd())?;
        let local = address(call::local_address(*fd)).filter(named);
        match (local, address(call::peer_address(*fd)).filter(named)) {
            (Some(local), Some(peer)) => write!(f, " ({local} to {peer})"),
            (Some(local), None) => write!(f, " ({local})"),
            (None, Some(peer)) => write!(f, " (to {peer})"),
            (None, None) => Ok(()),
        }
    }
}

#[cold]
fn system(errno: Errno, sentence: String) -> Error {
    Error::new(ErrorKind::System(errno as i32), sentence)
}

/// What any call can report that makes a descriptor.
#[cold]
pub(super) fn making(errno: Errno, tried: impl fmt::Display) -> Error {
    match errno {
        Errno::EMFILE => system(
            errno,
            format!(
                "{tried}: this process has all the descriptors that it may have, {} (RLIMIT_NOFILE); close some, or \
                 raise `ulimit -n`",
                descriptor_limit()
            ),
        ),
        Errno::ENFILE => system(
            errno,
            format!("{tried}: the system has all the files open that it may have; {}", Sysctl("fs/file-max")),
        ),
        Errno::EAFNOSUPPORT => Error::new(
            ErrorKind::Unsupported,
            format!(
                "{tried}: this system has no such sockets; is IPv6 switched off (/proc/sys/net/ipv6/conf/all/disable_ipv6)?"
            ),
        ),
        Errno::EINTR => ErrorKind::Interrupted.into(),
        errno => Error::os(errno as i32, tried),
    }
}

/// What bind(2) and listen(2) report.
#[cold]
pub(super) fn binding(errno: Errno, address: &SocketAddress) -> Error {
    let tried = format!("bind {address}");
    let port = address.port();
    match errno {
        Errno::EADDRINUSE => {
            let port = port.unwrap_or(0);
            system(
                errno,
                format!(
                    "{tried}: the port is taken; `ss -apn 'sport = :{port}'` says by whom. End that program, or take another port (0 for any)"
                ),
            )
        }
        Errno::EACCES if port.is_some() => {
            let first = Sysctl("net/ipv4/ip_unprivileged_port_start");
            Error::new(
                ErrorKind::Permission,
                format!(
                    "{tried}: ports below a limit need the capability CAP_NET_BIND_SERVICE; {first}; take a higher port"
                ),
            )
        }
        Errno::EADDRNOTAVAIL => system(
            errno,
            format!("{tried}: no interface of this machine has this address; `ip address` lists those that there are"),
        ),
        Errno::ENOENT | Errno::ENOTDIR => {
            Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: the folder is not there; make it first"))
        }
        Errno::EACCES | Errno::EPERM => {
            Error::new(ErrorKind::Permission, format!("{tried}: this user may not write to the folder"))
        }
        errno => making(errno, tried),
    }
}

/// What connect(2) reports.
#[cold]
pub(super) fn connecting(errno: Errno, address: &SocketAddress, socket_type: Type) -> Error {
    let tried = format!("connect to {address}");
    match errno {
        Errno::ECONNREFUSED if address.path().is_some() => system(
            errno,
            format!("{tried}: nobody listens on this file; the server that made it has ended, or does not listen yet"),
        ),
        Errno::ECONNREFUSED => system(errno, format!("{tried}: nobody listens there; is the server running?")),
        Errno::ENOENT => Error::new(
            ErrorKind::NotFound,
            format!("{tried}: there is no such file; the server makes it when it binds"),
        ),
        Errno::EACCES | Errno::EPERM if address.is_unix() => Error::new(
            ErrorKind::Permission,
            format!("{tried}: that takes the right to write to the socket file; the server's option `mode` gives it"),
        ),
        Errno::EPROTOTYPE => Error::new(
            ErrorKind::Incompatible,
            format!(
                "{tried}: the socket there is no {} socket; connect with the type that the server has",
                socket_type.name()
            ),
        ),
        Errno::EADDRNOTAVAIL => {
            let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
            let range = range.split_whitespace().collect::<Vec<_>>().join(" to ");
            system(errno, format!("{tried}: no local port is free; /proc/sys/net/ipv4/ip_local_port_range is {range}"))
        }
        Errno::ETIMEDOUT => late(address),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH => {
            system(errno, format!("{tried}: no way leads there; `ip route` lists those that there are"))
        }
        errno => making(errno, tried),
    }
}

/// The deadline passed before somebody accepted.
#[cold]
pub(super) fn late(address: &SocketAddress) -> Error {
    let why = match address.is_unix() {
        true => "the queue of its listener was full all the time: the server accepts too slowly, or not at all",
        false => "no answer in time: nothing there answers, or the queue of its listener is full",
    };
    Error::new(ErrorKind::Timeout, format!("connect to {address}: {why}"))
}

/// What sending reports.
#[cold]
pub(super) fn sending(errno: Errno, size: usize, what: What<'_>) -> Error {
    let tried = format!("send to {what}");
    match errno {
        Errno::EPIPE => Error::new(
            ErrorKind::Closed,
            format!("{tried}: the other side receives no more, or this one was shut down"),
        ),
        Errno::EMSGSIZE => Error::new(ErrorKind::TooLarge, format!("{tried}: {}", too_large(size, &what))),
        Errno::EACCES => Error::new(
            ErrorKind::Permission,
            format!(
                "{tried}: this user may not write to that socket file, or it is a broadcast address; for those, set_broadcast"
            ),
        ),
        Errno::EDESTADDRREQ => system(errno, format!("{tried}: it has no peer; use send_to, or set_peer first")),
        Errno::ETOOMANYREFS => system(
            errno,
            format!(
                "{tried}: too many descriptors are on their way, unreceived; this user may have {} (RLIMIT_NOFILE)",
                descriptor_limit()
            ),
        ),
        errno => transferring(errno, tried, what.1),
    }
}

fn too_large(size: usize, what: &What<'_>) -> String {
    let is_ip =
        call::local_address(what.0).ok().and_then(|raw| raw.address(what.1)).is_some_and(|local| local.ip().is_some());
    if is_ip {
        return format!(
            "{size} bytes are too many for one UDP datagram; 65507 are the most over IPv4, 65527 over IPv6"
        );
    }
    let room = nix::sys::socket::getsockopt(&what.0, nix::sys::socket::sockopt::SndBuf).unwrap_or(0);
    format!(
        "{size} bytes are too many for one message; the send buffer has {room}; set_send_buffer makes it larger, up to \
         a limit: {}",
        Sysctl("net/core/wmem_max")
    )
}

/// What receiving reports.
#[cold]
pub(super) fn receiving(errno: Errno, what: What<'_>) -> Error {
    transferring(errno, format!("receive from {what}"), what.1)
}

fn transferring(errno: Errno, tried: String, socket_type: Type) -> Error {
    let told = |kind, why: &str| Error::new(kind, format!("{tried}: {why}"));
    match errno {
        Errno::ECONNRESET => told(
            ErrorKind::PeerDead,
            "the connection was reset: the peer died, or closed without receiving what was sent",
        ),
        // TCP's own patience, not a deadline of the caller's.
        Errno::ETIMEDOUT => told(ErrorKind::PeerDead, "the peer has not answered for so long that TCP gave up"),
        Errno::ECONNREFUSED if socket_type == Type::Datagram => told(
            ErrorKind::System(errno as i32),
            "nobody receives there; this may be the answer to an earlier datagram",
        ),
        Errno::ENOENT => {
            told(ErrorKind::NotFound, "there is no such socket file; its server has ended, or has not begun")
        }
        Errno::ENOTCONN => told(ErrorKind::System(errno as i32), "it is connected to nobody"),
        Errno::EPROTOTYPE => told(ErrorKind::Incompatible, "the socket there is of another type"),
        Errno::EINTR => ErrorKind::Interrupted.into(),
        errno => making(errno, tried),
    }
}
