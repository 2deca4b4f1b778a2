//! What went wrong with a socket, in a sentence: what was tried, where, and what stands in the way.

use super::address::SocketAddress;
use super::call::{self, Type};
use crate::error::{Error, ErrorKind};
use crate::kernel::pipe::descriptor_limit;
use crate::kernel::sysctl::Sysctl;
use crate::sys::process::effective_uid;
use nix::errno::Errno;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

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

#[cold]
fn permission(sentence: String) -> Error {
    Error::new(ErrorKind::Permission, sentence)
}

/// What any call can report.
#[cold]
pub(super) fn making(errno: Errno, tried: impl fmt::Display) -> Error {
    let told = |why: &str| Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: {why}"));
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
            format!(
                "{tried}: the system has all the files open that it may have; {}; close some, or let an administrator \
                 write more to that file",
                Sysctl("fs/file-max")
            ),
        ),
        Errno::EAFNOSUPPORT | Errno::ESOCKTNOSUPPORT | Errno::EPROTONOSUPPORT => Error::new(
            ErrorKind::Unsupported,
            format!(
                "{tried}: this system has no such sockets; if it is IPv6 that is switched off \
                 (/proc/sys/net/ipv6/conf/all/disable_ipv6), take an address of IPv4"
            ),
        ),
        Errno::EACCES | Errno::EPERM => permission(format!(
            "{tried}: a security policy of this system, or of the container, forbids it; ask who administers it"
        )),
        Errno::ENOBUFS | Errno::ENOMEM => told("the kernel has no memory for it now; try again later"),
        Errno::ENOTSOCK => told("its descriptor is no socket's; make the handle of one that is"),
        Errno::EBADF => told(
            "its descriptor was closed by some other part of this program; it belongs to this handle, so leave that to \
             the handle",
        ),
        Errno::EOPNOTSUPP => told("this kind of socket has nothing like that; leave this call out"),
        Errno::ENOTCONN => told("it is connected to nobody, or no more; connect a new one"),
        Errno::EINTR => ErrorKind::Interrupted.into(),
        errno => Error::os(errno as i32, tried),
    }
}

/// What accept(2) reports.
#[cold]
pub(super) fn accepting(errno: Errno, what: What<'_>) -> Error {
    let tried = format!("accept at {what}");
    match errno {
        Errno::EINVAL | Errno::EOPNOTSUPP => Error::new(
            ErrorKind::from_errno(errno as i32),
            format!("{tried}: it does not listen; make the handle of a socket that does, or bind a listener"),
        ),
        errno => making(errno, tried),
    }
}

/// What bind(2) and listen(2) report.
#[cold]
pub(super) fn binding(errno: Errno, address: &SocketAddress) -> Error {
    let tried = format!("bind {address}");
    let told = |why: String| Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: {why}"));
    match (errno, address.port()) {
        (Errno::EADDRINUSE, Some(0)) => told(format!("no port is free; {}", ports())),
        (Errno::EADDRINUSE, Some(port)) => told(format!(
            "the port is taken; `ss -apn 'sport = :{port}'` says by whom. End that program, or take another port (0 for \
             any)"
        )),
        (Errno::EADDRINUSE, None) => {
            told("a live socket has this name; `ss -apx` says whose. End that program, or take another name".into())
        }
        (Errno::EACCES, Some(_)) => {
            let first = Sysctl("net/ipv4/ip_unprivileged_port_start");
            told(format!("ports below a limit need the capability CAP_NET_BIND_SERVICE; {first}; take a higher port"))
        }
        (Errno::EADDRNOTAVAIL, _) => told(
            "no interface of this machine has this address; take one that `ip address` lists, or 0.0.0.0 or [::] for \
             all of them"
                .into(),
        ),
        (Errno::EINVAL | Errno::ENODEV, Some(_)) => told(interface(address)),
        (errno, None) => match address.path() {
            Some(path) => making_file(errno, &tried, path),
            None => making(errno, tried),
        },
        (errno, _) => making(errno, tried),
    }
}

/// Why there is no socket file at this path.
fn making_file(errno: Errno, tried: &str, path: &Path) -> Error {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let told = |why: &str| Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: {why}"));
    match errno {
        Errno::ENOENT if folder.is_dir() => told("no file can be made in this folder; take another one"),
        Errno::ENOENT => told("the folder is not there; make it first"),
        Errno::ENOTDIR => told("a part of the path before its last name is a file, not a folder; take another path"),
        Errno::EACCES | Errno::EPERM => permission(format!(
            "{tried}: user {} may not make files in the folder {folder:?}; take another one, or ask its owner",
            effective_uid()
        )),
        Errno::EROFS => told("the file system is mounted read-only; take a folder on another one"),
        Errno::ENOSPC | Errno::EDQUOT => told("there is no room for one more file; remove some (`df -i`, `quota`)"),
        Errno::ELOOP | Errno::ENAMETOOLONG => told(&format!("{}; take another path", errno.desc())),
        errno => making(errno, tried),
    }
}

/// What connect(2) reports.
#[cold]
pub(super) fn connecting(errno: Errno, address: &SocketAddress, socket_type: Type) -> Error {
    let tried = format!("connect to {address}");
    let told = |why: &str| Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: {why}"));
    match errno {
        Errno::ECONNREFUSED => told(&nobody_at(address, socket_type)),
        Errno::ENOENT => {
            told("there is no such file; the server makes it when it binds: start it, or give the path that it has")
        }
        Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => {
            told(&format!("{}; give the path that the server has", errno.desc()))
        }
        Errno::EPERM if address.is_unix() && socket_type == Type::Datagram => permission(format!("{tried}: {TAKEN}")),
        Errno::EACCES | Errno::EPERM if address.is_unix() => permission(format!(
            "{tried}: that takes the right to write to the socket file, and to enter its folders; the server's option \
             `mode` gives the first to user {}",
            effective_uid()
        )),
        Errno::EACCES | Errno::EPERM if socket_type == Type::Datagram => permission(format!("{tried}: {BROADCAST}")),
        Errno::EACCES | Errno::EPERM => permission(format!("{tried}: {FIREWALL}")),
        Errno::EPROTOTYPE => Error::new(
            ErrorKind::Incompatible,
            format!(
                "{tried}: the socket there is no {} socket; connect with the type that the server has (`ss -axp` shows \
                 it)",
                socket_type.name()
            ),
        ),
        Errno::EADDRNOTAVAIL => told(&format!("no local port is free; {}", ports())),
        Errno::ETIMEDOUT => late(address),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH => told(NO_WAY),
        Errno::EINVAL if *address == SocketAddress::unix_unnamed() => told(
            "this is no name, so nobody can be found by it; give the path or the @name that the server is bound to",
        ),
        Errno::EINVAL | Errno::ENODEV if is_link_local(address) => told(&interface(address)),
        // Else the family was the socket's, and the socket made for it.
        Errno::EINVAL | Errno::EAFNOSUPPORT if socket_type == Type::Datagram => {
            Error::new(ErrorKind::Invalid, format!("{tried}: {OTHER_FAMILY}"))
        }
        errno => making(errno, tried),
    }
}

const TAKEN: &str = "the socket there talks with another one alone (set_peer, connect), and takes datagrams from no \
                     other; send to one that is only bound";
const BROADCAST: &str = "if it is a broadcast address, call set_broadcast first; if not, a firewall rule of this machine \
                         forbids it (`nft list ruleset`)";
const FIREWALL: &str = "a firewall rule of this machine forbids it (`nft list ruleset`)";
const NO_WAY: &str = "no way leads there from this socket; `ip route` and `ip -6 route` list those that there are";
const OTHER_FAMILY: &str = "this socket cannot reach it, as its own address is of another family, or of this machine only; \
                            send from one that is bound to an address of that family (udp:0.0.0.0:0, udp:[::]:0, unix:)";

/// Why nobody is there.
fn nobody_at(address: &SocketAddress, socket_type: Type) -> String {
    let name = socket_type.name();
    if let Some(path) = address.path() {
        use std::os::unix::fs::FileTypeExt;
        return match path.metadata() {
            Ok(facts) if !facts.file_type().is_socket() => {
                "this file is no socket; give the path that the server has".to_string()
            }
            _ => {
                "nobody listens on this file; the server that made it has ended, or does not listen yet: start it, or \
                  wait for it"
                    .to_string()
            }
        };
    }
    match address.port() {
        None => format!(
            "no {name} socket listens by this name: start the server, or connect with the type that it has (`ss -axp` \
             shows all names)"
        ),
        Some(0) => "port 0 is nobody's; give the one that the server has got (its local_address)".to_string(),
        Some(_) => "nobody listens there; is the server running, and at this port (`ss -tlnp` there)?".to_string(),
    }
}

/// The ports that the kernel chooses from.
fn ports() -> String {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let range = range.split_whitespace().collect::<Vec<_>>().join(" to ");
    format!(
        "/proc/sys/net/ipv4/ip_local_port_range is {range}; close some connections, or let an administrator widen it"
    )
}

fn is_link_local(address: &SocketAddress) -> bool {
    matches!(address.ip().map(|ip| ip.ip()), Some(IpAddr::V6(v6)) if v6.is_unicast_link_local())
}

/// What is wrong with an IP address that the kernel calls invalid.
fn interface(address: &SocketAddress) -> String {
    match address.ip() {
        Some(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
            format!("no interface has the number {}; `ip link` shows their numbers", v6.scope_id())
        }
        Some(SocketAddr::V6(v6)) if is_link_local(address) => format!(
            "this address holds on one link only, so say on which: [{}%2]:{} is that of interface 2 (`ip link` shows \
             their numbers)",
            v6.ip(),
            v6.port()
        ),
        _ => "the kernel takes no such address; `ip address` lists those of this machine".to_string(),
    }
}

/// The deadline passed before somebody accepted.
#[cold]
pub(super) fn late(address: &SocketAddress) -> Error {
    let why = match address.is_unix() {
        true => {
            "the queue of its listener was full all the time: the server accepts too slowly, or not at all; wait longer, \
             or look what the server does"
        }
        false => {
            "no answer in time: nothing there answers, or the queue of its listener is full; wait longer, or look \
             whether the server accepts (`ss -tln` there)"
        }
    };
    Error::new(ErrorKind::Timeout, format!("connect to {address}: {why}"))
}

/// What sending reports.
#[cold]
pub(super) fn sending(errno: Errno, size: usize, what: What<'_>) -> Error {
    let (tried, is_ip) = (format!("send to {what}"), is_ip(&what));
    let told = |why: &str| Error::new(ErrorKind::from_errno(errno as i32), format!("{tried}: {why}"));
    match errno {
        Errno::EPIPE => Error::new(
            ErrorKind::Closed,
            format!("{tried}: the other side receives no more, or this one was shut down; connect a new one"),
        ),
        Errno::EMSGSIZE => Error::new(ErrorKind::TooLarge, format!("{tried}: {}", too_large(size, &what, is_ip))),
        Errno::EACCES if is_ip => permission(format!("{tried}: {BROADCAST}")),
        Errno::EPERM if is_ip => permission(format!("{tried}: {FIREWALL}")),
        Errno::EACCES => permission(format!(
            "{tried}: user {} may not write to that socket file; its server's option `mode` says who may",
            effective_uid()
        )),
        Errno::EPERM => permission(format!("{tried}: {TAKEN}")),
        Errno::EDESTADDRREQ => told(NO_PEER),
        Errno::ENOTCONN if what.1 == Type::Datagram => told(NO_PEER),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH => told(NO_WAY),
        Errno::EINVAL if is_ip => told(&format!("port 0 is nobody's; and if that is not it, {OTHER_FAMILY}")),
        Errno::EINVAL => told(&format!("`unix:` is no name that anybody has; and if that is not it, {OTHER_FAMILY}")),
        Errno::EAFNOSUPPORT => Error::new(ErrorKind::Invalid, format!("{tried}: {OTHER_FAMILY}")),
        Errno::ETOOMANYREFS => told(&format!(
            "too many descriptors are on their way, unreceived; this user may have {} (RLIMIT_NOFILE): let the receiver \
             receive, or raise `ulimit -n`",
            descriptor_limit()
        )),
        errno => transferring(errno, tried, what.1),
    }
}

const NO_PEER: &str = "it has no peer; use send_to, or set_peer first";

fn is_ip(what: &What<'_>) -> bool {
    call::local_address(what.0).ok().and_then(|raw| raw.address(what.1)).is_some_and(|local| local.ip().is_some())
}

fn too_large(size: usize, what: &What<'_>, is_ip: bool) -> String {
    if is_ip {
        return format!(
            "{size} bytes are too many for one UDP datagram; 65507 are the most over IPv4, 65527 over IPv6: send it in \
             parts, or over a stream"
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
    let errno = match errno {
        Errno::EINVAL if !is_ip(&what) => Errno::ENOTCONN, // what a Unix stream says instead
        errno => errno,
    };
    transferring(errno, format!("receive from {what}"), what.1)
}

/// What getpeername(2) reports.
#[cold]
pub(super) fn peer(errno: Errno, what: What<'_>) -> Error {
    making(errno, format_args!("ask {what} for its peer's address"))
}

fn transferring(errno: Errno, tried: String, socket_type: Type) -> Error {
    let told = |kind, why: &str| Error::new(kind, format!("{tried}: {why}"));
    match errno {
        Errno::ECONNRESET => told(
            ErrorKind::PeerDead,
            "the connection was reset: the peer died, or closed without receiving what was sent; connect a new one",
        ),
        // TCP's own patience, not a deadline of the caller's.
        Errno::ETIMEDOUT => told(
            ErrorKind::PeerDead,
            "the peer has not answered for so long that TCP gave up; look whether its machine runs, and connect a new one",
        ),
        Errno::ECONNREFUSED if socket_type == Type::Datagram => told(
            ErrorKind::System(errno as i32),
            "no datagram socket receives there; this may be the answer to an earlier datagram. Start the receiver, and send again",
        ),
        Errno::ENOENT => told(
            ErrorKind::NotFound,
            "there is no such socket file; its server has ended, or has not begun: start it, or give the path that it has",
        ),
        Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => {
            told(ErrorKind::from_errno(errno as i32), &format!("{}; give the path that the receiver has", errno.desc()))
        }
        Errno::EPROTOTYPE => told(
            ErrorKind::Incompatible,
            "the socket there is of another type; send with the type that it has (`ss -axp` shows it)",
        ),
        errno => making(errno, tried),
    }
}
