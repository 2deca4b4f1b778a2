//! Seqpacket sockets: a connection that keeps the borders of messages.
//!
//! # What the kernel gives
//!
//! Messages both ways, in order, none lost, each whole: with a connection and its end as a stream has them, and the
//! borders of a datagram. Over Unix sockets only. A message is at most as large as the send buffer; a full receiver
//! stops the sender.
//!
//! # The end
//!
//! recv(2) answers 0 for an empty message and for the end alike. They are told apart here: an empty message has size
//! 0, the end is `Closed`. Where several receive from one socket at once and the last message is empty, each may receive
//! an empty one before the end.
//!
//! # When a peer dies
//!
//! The kernel closes its end. What it sent stays, then comes the end. If it died with messages unreceived, the
//! connection is reset: `PeerDead`.

use super::address::{SocketAddress, ToSocketAddress};
use super::call::{self, Type};
use super::connecting::{Connecting, connect};
use super::credentials::{PeerCredentials, of_peer};
use super::failure;
use super::kept::Kept;
use super::message::Messages;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::fmt;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A Unix connection that carries messages.
///
/// Threads and forked processes may all send and receive: each message goes to one of them, whole. SIGPIPE is never
/// raised.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let (a, b) = triveni::kernel::Seqpacket::pair()?;
/// a.send(b"one")?;
/// a.send(b"")?;
/// let mut message = [0; 64];
/// assert_eq!(b.receive(&mut message)?, 3);
/// assert_eq!(b.receive(&mut message)?, 0);
/// # Ok(()) }
/// ```
pub struct Seqpacket {
    fd: OwnedFd,
}

impl Messages for Seqpacket {
    fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    const TYPE: Type = Type::Seqpacket;

    fn kept(&self) -> Option<&Kept> {
        None
    }

    /// While the peer can send, there is no end. Then a message comes with a timestamp, if one asks for that, and the end
    /// without. There is no room for the timestamp, nor for descriptors that came with the message: that it was cut
    /// says enough.
    #[cold]
    fn is_end(&self) -> Result<bool> {
        let failed = |errno| failure::receiving(errno, self.what());
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::from_bits_retain(libc::POLLRDHUP))];
        if poll(&mut fds, PollTimeout::ZERO).map_err(failed)? == 0 {
            return Ok(false);
        }
        // Left on: another thread or process may be asking at this moment.
        setsockopt(&self.fd, sockopt::ReceiveTimestamp, &true).map_err(failed)?;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        match call::receive_message(self.fd.as_fd(), &mut [], &mut [], flags) {
            Err(Errno::EAGAIN) => Ok(false), // somebody else was faster
            looked => Ok(looked.map_err(failed)?.flags & libc::MSG_CTRUNC == 0),
        }
    }
}

impl Seqpacket {
    /// `None` if there is none, and there is no deadline.
    #[inline]
    fn take(&self, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<usize>> {
        self.transfer(PollFlags::POLLIN, until, |flags, until| {
            self.take_once(flags, until, buffer.len(), |fd, flags| call::receive(fd, buffer, flags))
        })
    }

    /// Connects to the address; waits while the listener's queue is full.
    ///
    /// # Errors
    /// `System(ECONNREFUSED)` if nobody listens there; `NotFound` if there is no such socket file; `Permission`;
    /// `Incompatible` if the socket there is of another type; `Invalid` for an address of another type.
    pub fn connect(address: impl ToSocketAddress) -> Result<Seqpacket> {
        Seqpacket::connect_until(address, Deadline::never())
    }

    /// Connects if that needs no waiting: `None` if the listener's queue is full.
    ///
    /// # Errors
    /// As [`Seqpacket::connect`].
    pub fn try_connect(address: impl ToSocketAddress) -> Result<Option<Seqpacket>> {
        match Seqpacket::connect_until(address, Deadline::now()) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            connected => connected.map(Some),
        }
    }

    /// As [`Seqpacket::connect`], until the deadline.
    ///
    /// # Errors
    /// As `connect`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn connect_until(address: impl ToSocketAddress, deadline: Deadline) -> Result<Seqpacket> {
        connect(&address.to_socket_address()?, Type::Seqpacket, deadline).map(Seqpacket::from)
    }

    /// As [`Stream::connecting`](super::Stream::connecting).
    #[doc(hidden)]
    pub fn connecting(address: &SocketAddress) -> Result<Connecting> {
        Connecting::new(address, Type::Seqpacket, true)
    }

    /// As [`Stream::connect_on`](super::Stream::connect_on).
    #[doc(hidden)]
    pub fn connect_on(connecting: &mut Option<Connecting>, deadline: Deadline) -> Result<Seqpacket> {
        super::connect_on(connecting, deadline).map(Seqpacket::from)
    }

    /// Two sockets that are connected to each other: for a parent and a child, or two threads.
    ///
    /// # Errors
    /// `System(EMFILE)` if the process has as many descriptors as it may.
    pub fn pair() -> Result<(Seqpacket, Seqpacket)> {
        let (a, b) =
            call::pair(Type::Seqpacket).map_err(|errno| failure::making(errno, "make a pair of seqpacket sockets"))?;
        Ok((a.into(), b.into()))
    }

    /// Sends one message; waits for room.
    ///
    /// # Errors
    /// `Closed` if the peer has closed its end, or this one was shut down; `PeerDead` if the connection was reset;
    /// `TooLarge` for a message that the send buffer cannot hold.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends one message if there is room; says whether.
    ///
    /// # Errors
    /// As [`Seqpacket::send`].
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.put_message(message, None).map(|sent| sent.is_some())
    }

    /// As [`Seqpacket::send`], until the deadline.
    ///
    /// # Errors
    /// As `send`; `Timeout`; `Interrupted` if the deadline is interruptible. Nothing of the message was sent then.
    #[inline]
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.put_message(message, Some(deadline)).map(drop)
    }

    #[inline]
    fn put_message(&self, message: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        self.put(message.len(), true, until, |flags| call::send(self.fd.as_fd(), message, flags))
    }

    /// Receives one message into `buffer`; waits for it. Returns its size, which may be 0.
    ///
    /// # Errors
    /// `Closed` at the end; `PeerDead` if the connection was reset; `TooLarge` if the buffer is too small: the message
    /// stays (see [`Datagram::receive`](super::Datagram::receive)).
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives one message if there is one.
    ///
    /// # Errors
    /// As [`Seqpacket::receive`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.take(buffer, None)
    }

    /// As [`Seqpacket::receive`], until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.take(buffer, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message; waits for it. The message stays.
    ///
    /// # Errors
    /// As [`Seqpacket::receive_until`], without `TooLarge`.
    pub fn message_size(&self, deadline: Deadline) -> Result<usize> {
        self.next_size(Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message, if there is one.
    ///
    /// # Errors
    /// As [`Seqpacket::receive`], without `TooLarge`.
    pub fn try_message_size(&self) -> Result<Option<usize>> {
        self.next_size(None)
    }

    /// Ends one direction or both, for every process that has the connection.
    ///
    /// # Errors
    /// `System(ENOTCONN)` if the connection is gone already.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        super::shutdown(self.fd.as_fd(), Type::Seqpacket, how)
    }

    /// Who is at the other end: the process that connected, or listened, as it was then.
    ///
    /// # Errors
    /// What getsockopt(2) reports.
    pub fn peer_credentials(&self) -> Result<PeerCredentials> {
        of_peer(self.fd.as_fd(), Type::Seqpacket)
    }
}

super::carries_descriptors!(Seqpacket, Type::Seqpacket);
super::common!(Seqpacket, Type::Seqpacket);

impl From<Seqpacket> for OwnedFd {
    fn from(socket: Seqpacket) -> OwnedFd {
        socket.fd
    }
}

impl From<OwnedFd> for Seqpacket {
    fn from(fd: OwnedFd) -> Seqpacket {
        Seqpacket { fd }
    }
}
