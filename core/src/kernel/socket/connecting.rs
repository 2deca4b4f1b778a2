//! The client's side of a connection: connect, with a deadline.
//!
//! TCP: the kernel goes on by itself, and poll(2) tells when it is done. Unix: there is nothing to poll while the
//! listener's queue is full, but connect(2) waits for room there as long as SO_SNDTIMEO says. The socket is new and
//! nobody else has it, so what is set on it for that disturbs nobody, and is put back.

use super::address::SocketAddress;
use super::binding::open;
use super::call::{self, Raw, Type};
use super::failure;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::kernel::wait::{ready, remaining};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// A socket that is connected to the address.
pub(super) fn connect(address: &SocketAddress, socket_type: Type, until: Deadline) -> Result<OwnedFd> {
    let mut connecting = Connecting::new(address, socket_type, !until.is_never())?;
    connecting.go_on(until)?;
    connecting.finish()
}

/// A connection that is being made. A deadline that passes leaves it as it is, and the next call goes on.
#[doc(hidden)]
pub struct Connecting {
    fd: OwnedFd,
    address: SocketAddress,
    socket_type: Type,
    /// Has TCP been asked to connect?
    begun: bool,
    nonblocking: bool,
    /// Is SO_SNDTIMEO set?
    timed: bool,
}

impl Connecting {
    /// `nonblocking`: it may be asked to go on until some deadline. Else the forms that wait for ever are one system
    /// call, and the only ones.
    pub(super) fn new(address: &SocketAddress, socket_type: Type, nonblocking: bool) -> Result<Connecting> {
        let nonblocking = nonblocking && !address.is_unix();
        let flags = if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
        let fd = open(address, socket_type, flags)?;
        Ok(Connecting { fd, address: *address, socket_type, begun: false, nonblocking, timed: false })
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// `Timeout`, and the next call goes on; `Interrupted` likewise; what connect(2) reports.
    pub(super) fn go_on(&mut self, until: Deadline) -> Result<()> {
        let connected = match self.address.is_unix() {
            true => self.over_unix(until),
            false => self.over_ip(until),
        };
        connected.map_err(|error| match error.kind() {
            ErrorKind::Timeout => failure::late(&self.address),
            _ => error,
        })
    }

    /// The socket, as any other.
    pub(super) fn finish(self) -> Result<OwnedFd> {
        if self.nonblocking {
            self.set_nonblocking(false)?;
        }
        if self.timed {
            setsockopt(&self.fd, sockopt::SendTimeout, &TimeVal::zero()).map_err(|errno| self.failed(errno))?;
        }
        Ok(self.fd)
    }

    fn over_ip(&mut self, until: Deadline) -> Result<()> {
        if !self.begun {
            self.begun = true;
            match call::connect(self.fd.as_fd(), &Raw::of(&self.address)) {
                Ok(()) => return Ok(()),
                Err(Errno::EINPROGRESS) => {}
                // The kernel goes on connecting.
                Err(Errno::EINTR) if !until.is_interruptible() => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        ready(self.fd.as_fd(), PollFlags::POLLOUT, until)?;
        match getsockopt(&self.fd, sockopt::SocketError).map_err(|errno| self.failed(errno))? {
            0 => Ok(()),
            errno => Err(self.failed(Errno::from_raw(errno))),
        }
    }

    fn over_unix(&mut self, until: Deadline) -> Result<()> {
        if until.is_try() {
            self.set_nonblocking(true)?;
            let connected = call::connect(self.fd.as_fd(), &Raw::of(&self.address));
            self.set_nonblocking(false)?;
            return connected.map_err(|errno| match errno {
                Errno::EAGAIN => ErrorKind::Timeout.into(), // the queue is full
                errno => self.failed(errno),
            });
        }
        let raw = Raw::of(&self.address);
        loop {
            if let Some(left) = remaining(until)? {
                // 0 would be for ever; the kernel counts in ticks, and rounds up.
                let left = i64::try_from(Duration::from(left).as_micros()).unwrap_or(i64::MAX).max(1);
                self.timed = true;
                setsockopt(&self.fd, sockopt::SendTimeout, &TimeVal::microseconds(left))
                    .map_err(|errno| self.failed(errno))?;
            }
            match call::connect(self.fd.as_fd(), &raw) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => {} // the time is over: `remaining` says so
                Err(Errno::EINTR) if !until.is_interruptible() => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
    }

    fn set_nonblocking(&self, on: bool) -> Result<()> {
        super::set_nonblocking(self.fd.as_fd(), on).map_err(|errno| self.failed(errno))
    }

    fn failed(&self, errno: Errno) -> crate::error::Error {
        failure::connecting(errno, &self.address, self.socket_type)
    }
}
