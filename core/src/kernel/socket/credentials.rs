//! Who is at the other end of a Unix socket (SO_PEERCRED).

use super::call::Type;
use super::failure;
use super::failure::What;
use crate::error::Result;
use nix::sys::socket::{getsockopt, sockopt};
use std::os::fd::BorrowedFd;

/// Process, user and group at the other end of a Unix socket, as the kernel knows them: nobody can lie here.
///
/// They are as of the moment when the peer connected, or began to listen, or made the pair. Since then it may have
/// handed the socket to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerCredentials {
    /// The process, by its number in the pid namespace of this one; 0 if it has none there.
    pub pid: u32,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
}

pub(super) fn of_peer(fd: BorrowedFd<'_>, socket_type: Type) -> Result<PeerCredentials> {
    super::only_unix(fd, socket_type, "ask for the peer of")?;
    let found = getsockopt(&fd, sockopt::PeerCredentials);
    let found =
        found.map_err(|errno| failure::making(errno, format_args!("ask for the peer of {}", What(fd, socket_type))))?;
    Ok(PeerCredentials { pid: u32::try_from(found.pid()).unwrap_or(0), uid: found.uid(), gid: found.gid() })
}
