//! How a socket gets its address, and what happens when the name is taken.
//!
//! # Socket files
//!
//! The kernel makes the file when a socket is bound to a path, and leaves it there when the socket is closed: nobody
//! listens on it any more, and nobody can bind to it. Such a *stale* file is told from a live one without disturbing
//! the server: a datagram socket connects to it. A live stream or seqpacket socket answers EPROTOTYPE, a live datagram
//! socket accepts and notices nothing, a dead one refuses. Servers that replace a stale file take turns by a lock on
//! its folder, so none removes what another has just made. A file that is no socket is never removed.

use super::address::SocketAddress;
use super::call::{self, Raw, Type};
use super::failure;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::{Owned, OwnedKind, whose};
use crate::kernel::wait::retrying;
use crate::sys::process::effective_uid;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::stat::{Mode, fchmod};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

/// How long a server waits for another one that replaces a stale file in the same folder.
const TURN: Duration = Duration::from_secs(5);

/// How a socket is bound.
#[derive(Clone, Copy, Debug)]
pub struct BindOptions {
    pub(super) backlog: i32,
    mode: u32,
    owned: bool,
    replace_stale: bool,
}

impl Default for BindOptions {
    /// For its user alone, not owned, as long a queue as the system allows.
    fn default() -> BindOptions {
        BindOptions { backlog: libc::SOMAXCONN, mode: 0o600, owned: false, replace_stale: false }
    }
}

impl BindOptions {
    /// How many connections wait until they are accepted; at most `/proc/sys/net/core/somaxconn`. For listeners.
    pub fn backlog(self, connections: u32) -> BindOptions {
        BindOptions { backlog: i32::try_from(connections).unwrap_or(i32::MAX), ..self }
    }

    /// Who may connect to a socket file (they need the right to write), less the umask; 0600 unless set.
    pub fn mode(self, mode: u32) -> BindOptions {
        BindOptions { mode, ..self }
    }

    /// With `true`, the socket file goes with the handle that made it.
    pub fn owned(self, owned: bool) -> BindOptions {
        BindOptions { owned, ..self }
    }

    /// With `true`, a socket file that a dead server left is replaced. A live one never is.
    pub fn replace_stale(self, replace: bool) -> BindOptions {
        BindOptions { replace_stale: replace, ..self }
    }
}

/// Is the address one for sockets of this type?
pub(super) fn check(address: &SocketAddress, socket_type: Type) -> Result<()> {
    use super::address::Place;
    let wanted = match (&address.0, socket_type) {
        (Place::Tcp(_), Type::Datagram) => "a datagram socket takes udp: or unix: addresses",
        (Place::Udp(_), Type::Stream) => "a stream socket takes tcp: or unix: addresses",
        (Place::Tcp(_) | Place::Udp(_), Type::Seqpacket) => "a seqpacket socket takes unix: addresses",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Invalid, format!("{address}: {wanted}")))
}

/// A new socket for this address, not bound yet.
pub(super) fn open(address: &SocketAddress, socket_type: Type, flags: libc::c_int) -> Result<OwnedFd> {
    check(address, socket_type)?;
    let made = call::socket(address, socket_type, flags);
    made.map_err(|errno| failure::making(errno, format_args!("make a {} socket for {address}", socket_type.name())))
}

/// A socket that is bound to the address.
pub(super) fn bind(
    address: &SocketAddress,
    socket_type: Type,
    options: BindOptions,
) -> Result<(OwnedFd, Option<Owned>)> {
    let fd = open(address, socket_type, 0)?;
    let raw = Raw::of(address);
    let Some(path) = address.path() else {
        if let (Some(_), Type::Stream) = (address.ip(), socket_type) {
            // Connections of a server that has ended may linger for a minute (TIME_WAIT): they are no obstacle.
            setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(|errno| failure::binding(errno, address))?;
        }
        call::bind(fd.as_fd(), &raw).map_err(|errno| failure::binding(errno, address))?;
        return Ok((fd, None));
    };
    // The file gets the mode that the socket has when it is bound: there is no moment in which others may connect.
    fchmod(&fd, Mode::from_bits_truncate(options.mode)).map_err(|errno| failure::binding(errno, address))?;
    match call::bind(fd.as_fd(), &raw) {
        Err(Errno::EADDRINUSE) => replace(&fd, &raw, path, address, options)?,
        bound => bound.map_err(|errno| failure::binding(errno, address))?,
    }
    let owned = options.owned.then(|| Owned::new(OwnedKind::Socket, path)).transpose()?;
    Ok((fd, owned))
}

/// Binds to a path that is taken, if a dead server left it and the options say that it may be replaced.
fn replace(fd: &OwnedFd, raw: &Raw, path: &Path, address: &SocketAddress, options: BindOptions) -> Result<()> {
    let taken = |why: String| Err(Error::new(ErrorKind::System(libc::EADDRINUSE), format!("bind {address}: {why}")));
    let _turn = if options.replace_stale { Some(turn(path, address)?) } else { None };
    match holder(raw, path) {
        Holder::Nobody => {}
        Holder::Dead if options.replace_stale => {
            fs::remove_file(path).map_err(|error| {
                let kind = ErrorKind::from_errno(error.raw_os_error().unwrap_or(libc::EINVAL));
                let sentence = format!(
                    "bind {address}: a dead server left this file, and user {} cannot remove it ({error}); ask its owner, \
                     or take another name",
                    effective_uid()
                );
                Error::new(kind, sentence)
            })?;
        }
        Holder::Dead => {
            let whose = whose(OwnedKind::Socket, path);
            return taken(format!(
                "a dead server left this file{whose}; remove it, or ask to replace it (replace_stale)"
            ));
        }
        Holder::Live => {
            return taken(format!(
                "a live socket has this name{}; `ss -apx` says whose. End that program, or take another name",
                whose(OwnedKind::Socket, path)
            ));
        }
        Holder::File => {
            return taken("there is a file of this name, and it is no socket; take another name".to_string());
        }
        Holder::Unknown(errno) => {
            return taken(format!(
                "the name is taken, and user {} cannot find out whether its server lives ({}); ask its owner, or take \
                 another name",
                effective_uid(),
                errno.desc()
            ));
        }
    }
    call::bind(fd.as_fd(), raw).map_err(|errno| match errno {
        Errno::EADDRINUSE => Error::new(
            ErrorKind::System(libc::EADDRINUSE),
            format!(
                "bind {address}: another server has taken the name at this moment; connect to it, or take another name"
            ),
        ),
        errno => failure::binding(errno, address),
    })
}

enum Holder {
    Nobody,
    Live,
    Dead,
    /// Something that is no socket.
    File,
    Unknown(Errno),
}

/// Who has this path?
fn holder(raw: &Raw, path: &Path) -> Holder {
    match fs::symlink_metadata(path) {
        Ok(facts) if !facts.file_type().is_socket() => return Holder::File,
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(error) => return Holder::Unknown(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))),
    }
    let probe = call::socket(&SocketAddress::unix_unnamed(), Type::Datagram, 0);
    match probe.and_then(|probe| call::connect(probe.as_fd(), raw)) {
        Ok(()) | Err(Errno::EPROTOTYPE) => Holder::Live,
        Err(Errno::ECONNREFUSED) => Holder::Dead,
        Err(Errno::ENOENT) => Holder::Nobody,
        Err(errno) => Holder::Unknown(errno),
    }
}

/// One server at a time replaces files in a folder. The turn ends when it is dropped.
fn turn(path: &Path, address: &SocketAddress) -> Result<Flock<OwnedFd>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |errno: Errno| {
        Error::os(
            errno as i32,
            format_args!("bind {address}: open its folder {folder:?} and lock it, for replace_stale"),
        )
    };
    let mut opened = Some(
        nix::fcntl::open(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(failed)?,
    );
    let locked = retrying(Deadline::after(TURN), || {
        let Some(folder) = opened.take() else { return Ok(None) };
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => Ok(Some(turn)),
            Err((folder, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                opened = Some(folder);
                Ok(None)
            }
            Err((_, errno)) => Err(failed(errno)),
        }
    });
    locked.map_err(|error| match error.kind() {
        ErrorKind::Timeout => Error::new(
            ErrorKind::Busy,
            format!(
                "bind {address}: somebody has held a lock on its folder {folder:?} for {TURN:?}; `lslocks` says who, so \
                 end that program, or try again"
            ),
        ),
        _ => error,
    })
}
