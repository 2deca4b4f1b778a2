//! Stream sockets: bytes in both directions, in order, none lost.
//!
//! # What the kernel gives
//!
//! Two streams of bytes, one each way, without borders: what was sent in two pieces may come in one, and the other way
//! round. A full buffer stops the sender. Over TCP the other end may be on another machine; over Unix it can take
//! descriptors and says who it is.
//!
//! # Messages
//!
//! `send` and `receive` put borders where the stream has none: 4 bytes of length, most significant first, and the
//! message, as on a pipe. A deadline may pass in the middle: what has come is kept for the next `receive`, what had no
//! room is kept and goes before the next `send`.
//!
//! # When a peer dies
//!
//! The kernel closes its end. What it sent stays readable, then comes the end: `read` is 0, `receive` is `Closed`. If
//! it died with bytes unread, the connection is *reset*: `PeerDead`, and over TCP what was on its way may be lost. A
//! machine that dies says nothing; only a deadline tells, or TCP's keepalive.

use super::address::{SocketAddress, ToSocketAddress};
use super::call::{self, Type};
use super::connecting::{Connecting, connect};
use super::credentials::{PeerCredentials, of_peer};
use super::descriptors::{self, ReceivedDescriptors};
use super::failure::{self, What};
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::kernel::stream::{Inbox, Outbox, Sink, Source};
use crate::kernel::turn::Turn;
use crate::kernel::wait::{restarting, waiting};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A connection that carries bytes: TCP, or Unix.
///
/// Bytes with `read`, `write`, `send_all` and `receive_exact`, or messages with `send` and `receive`. Who mixes both
/// has to know where a message ends.
///
/// Threads: one may send while another receives; two that send messages take turns, and so do two that receive them.
/// fork: both processes have the connection then, and each byte goes to one of them. A message that was begun stays the
/// parent's, also where another thread is in the middle of it: the child has nothing of it, so finish it before a fork
/// if the child is to go on. SIGPIPE is never raised.
pub struct Stream {
    fd: OwnedFd,
    inbox: Turn<Inbox>,
    outbox: Turn<Outbox>,
}

impl Stream {
    /// Connects to the address; waits for an answer, and while the listener's queue is full.
    ///
    /// # Errors
    /// `System(ECONNREFUSED)` if nobody listens there; `NotFound` if there is no such socket file; `Permission`;
    /// `Incompatible` if the socket there is of another type; `Timeout` when TCP gives up; `Invalid` for an address of
    /// another type.
    pub fn connect(address: impl ToSocketAddress) -> Result<Stream> {
        Stream::connect_until(address, Deadline::never())
    }

    /// Connects if that needs no waiting: `None` if the listener's queue is full, or no answer has come yet. Nothing
    /// stays behind then.
    ///
    /// # Errors
    /// As [`Stream::connect`].
    pub fn try_connect(address: impl ToSocketAddress) -> Result<Option<Stream>> {
        match Stream::connect_until(address, Deadline::now()) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            connected => connected.map(Some),
        }
    }

    /// As [`Stream::connect`], until the deadline. Nothing stays behind if that passes.
    ///
    /// # Errors
    /// As `connect`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn connect_until(address: impl ToSocketAddress, deadline: Deadline) -> Result<Stream> {
        connect(&address.to_socket_address()?, Type::Stream, deadline).map(Stream::from)
    }

    /// Begins to connect; [`Stream::connect_on`] goes on. For who waits in slices.
    #[doc(hidden)]
    pub fn connecting(address: &SocketAddress) -> Result<Connecting> {
        Connecting::new(address, Type::Stream, true)
    }

    /// Goes on; gives the stream, and nothing more, once it is connected. `Timeout` leaves it as it is.
    #[doc(hidden)]
    pub fn connect_on(connecting: &mut Option<Connecting>, deadline: Deadline) -> Result<Stream> {
        super::connect_on(connecting, deadline).map(Stream::from)
    }

    /// Two Unix streams that are connected to each other: for a parent and a child, or two threads.
    ///
    /// # Errors
    /// `System(EMFILE)` if the process has as many descriptors as it may.
    pub fn pair() -> Result<(Stream, Stream)> {
        let (a, b) =
            call::pair(Type::Stream).map_err(|errno| failure::making(errno, "make a pair of stream sockets"))?;
        Ok((a.into(), b.into()))
    }

    /// Reads some bytes; waits until there are any. 0 is the end: the peer sends no more.
    ///
    /// # Errors
    /// `PeerDead` if the connection was reset.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_until(buffer, Deadline::never())
    }

    /// Reads some bytes if there are any. `Some(0)` is the end.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.read_now(buffer)
    }

    /// As [`Stream::read`], until the deadline.
    ///
    /// # Errors
    /// As `read`; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn read_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.read_some(buffer, deadline)
    }

    /// Fills the whole buffer.
    ///
    /// # Errors
    /// As [`Stream::read`]; `Closed` if the stream ends before: what came is in the buffer, and the sentence says how
    /// much.
    pub fn receive_exact(&self, buffer: &mut [u8]) -> Result<()> {
        self.receive_exact_until(buffer, Deadline::never())
    }

    /// As [`Stream::receive_exact`], until the deadline.
    ///
    /// # Errors
    /// As `receive_exact`; `Timeout`, also after a part: the sentence says how much; `Interrupted` likewise.
    pub fn receive_exact_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        self.read_whole(buffer, deadline)
    }

    /// Writes; waits for room. Returns how many bytes were taken.
    ///
    /// # Errors
    /// `Closed` if the peer has closed its end, or this one was shut down; `PeerDead` if the connection was reset.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_until(bytes, Deadline::never())
    }

    /// Writes as much as there is room for. `None` if there is none.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn try_write(&self, bytes: &[u8]) -> Result<Option<usize>> {
        self.write_now(&[IoSlice::new(bytes)])
    }

    /// Writes as soon as there is room, as much as there is room for; waits until the deadline for some.
    ///
    /// # Errors
    /// As [`Stream::write`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn write_until(&self, bytes: &[u8], deadline: Deadline) -> Result<usize> {
        self.write_some(&[IoSlice::new(bytes)], deadline)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn send_all(&self, bytes: &[u8]) -> Result<()> {
        self.send_all_until(bytes, Deadline::never())
    }

    /// As [`Stream::send_all`], until the deadline.
    ///
    /// # Errors
    /// As `send_all`; `Timeout`, also after a part: the sentence says how much; `Interrupted` likewise.
    pub fn send_all_until(&self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.write_whole(bytes, deadline)
    }

    /// Sends one message: its length in 4 bytes, then itself.
    ///
    /// # Errors
    /// As [`Stream::write`]; `TooLarge` beyond 4 GiB.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends one message if there is room for its beginning; says whether. The rest of a long one, for which there is
    /// no room, is kept, and goes before the next message or with [`Stream::flush_until`].
    ///
    /// # Errors
    /// As [`Stream::send`].
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        Ok(self.outbox.send(self, message, None)?.is_some())
    }

    /// As [`Stream::send`], until the deadline.
    ///
    /// # Errors
    /// As `send`. `Timeout` and `Interrupted`: the sentence says whether the message was begun; then its rest is kept,
    /// and goes before the next message or with [`Stream::flush_until`].
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.outbox.send(self, message, Some(deadline)).map(drop)
    }

    /// Goes on sending a message, for who waits in slices: `begun` says whether its beginning is out. `None` where it
    /// would have to wait and there is no deadline.
    #[doc(hidden)]
    pub fn send_on(&self, message: &[u8], begun: &mut bool, until: Option<Deadline>) -> Result<Option<()>> {
        let Some(mut outbox) = self.outbox.take(until)? else { return Ok(None) };
        if outbox.flush(self, until)?.is_none() {
            return Ok(None);
        }
        if *begun {
            return Ok(Some(()));
        }
        let sent = outbox.send(self, message, until);
        *begun = outbox.left() > 0;
        match sent {
            Ok(Some(())) if *begun => Ok(None),
            sent => sent,
        }
    }

    /// Sends what is kept of the last message, if anything is.
    ///
    /// # Errors
    /// As [`Stream::write_until`].
    pub fn flush_until(&self, deadline: Deadline) -> Result<()> {
        self.outbox.flush(self, Some(deadline)).map(drop)
    }

    /// Sends as much of what is kept as there is room for; is it all?
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn try_flush(&self) -> Result<bool> {
        Ok(self.outbox.flush(self, None)?.is_some())
    }

    /// How many bytes of the last message are kept. Waits while another thread sends a message.
    pub fn unsent(&self) -> usize {
        self.outbox.left(Some(Deadline::never())).ok().flatten().unwrap_or_default()
    }

    /// As [`Stream::unsent`], for who waits in slices. `None` where it would have to wait and there is no deadline.
    #[doc(hidden)]
    pub fn unsent_on(&self, until: Option<Deadline>) -> Result<Option<usize>> {
        self.outbox.left(until)
    }

    /// Receives one message into `buffer`; waits for it. Returns its size.
    ///
    /// # Errors
    /// `Closed` at the end of the stream; in the middle of a message too, and the sentence says so. `PeerDead` if the
    /// connection was reset. `TooLarge` if the buffer is too small: the message stays, and [`Stream::message_size`]
    /// knows its size.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives one message if all of it is there. What is there of one that is not whole is kept for the next call.
    ///
    /// # Errors
    /// As [`Stream::receive`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.inbox.receive(self, buffer, None)
    }

    /// As [`Stream::receive`], until the deadline. What came before it is kept for the next call.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.inbox.receive(self, buffer, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message; waits until its length is there. The message stays.
    ///
    /// # Errors
    /// As [`Stream::receive_until`], without `TooLarge`.
    pub fn message_size(&self, deadline: Deadline) -> Result<usize> {
        self.inbox.size(self, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message, if its length is there.
    ///
    /// # Errors
    /// As [`Stream::receive`], without `TooLarge`.
    pub fn try_message_size(&self) -> Result<Option<usize>> {
        self.inbox.size(self, None)
    }

    /// Writes bytes, and descriptors with the first of them; waits for room. Returns how many bytes were taken: send
    /// the rest, if there is one, without descriptors. For Unix streams.
    ///
    /// # Errors
    /// As [`Stream::write`]; `TooLarge` beyond [`DESCRIPTORS_MAX`](super::DESCRIPTORS_MAX) descriptors; `Invalid`
    /// without a byte, or over TCP.
    pub fn write_descriptors(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize> {
        self.write_descriptors_until(bytes, descriptors, Deadline::never())
    }

    /// As [`Stream::write_descriptors`], if there is room; `None` if there is none.
    ///
    /// # Errors
    /// As there.
    pub fn try_write_descriptors(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        self.check_descriptors(bytes, descriptors)?;
        self.sent(bytes.len(), Deadline::never(), || {
            descriptors::send(self.fd.as_fd(), bytes, descriptors, libc::MSG_DONTWAIT)
        })
    }

    /// As [`Stream::write_descriptors`], until the deadline.
    ///
    /// # Errors
    /// As there; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn write_descriptors_until(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<usize> {
        self.check_descriptors(bytes, descriptors)?;
        if deadline.is_never()
            && let Some(n) =
                self.sent(bytes.len(), deadline, || descriptors::send(self.fd.as_fd(), bytes, descriptors, 0))?
        {
            return Ok(n);
        }
        waiting(self.fd.as_fd(), PollFlags::POLLOUT, deadline, || self.try_write_descriptors(bytes, descriptors))
    }

    fn check_descriptors(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        super::only_unix(self.fd.as_fd(), Type::Stream, "pass descriptors over")?;
        descriptors::check(&self.what().to_string(), bytes, fds)
    }

    /// Reads bytes, and at most `most` descriptors that came with them; waits until there is something. A read never
    /// takes the descriptors of two writes. Bytes that are read in another way lose their descriptors: the kernel
    /// closes them.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn read_descriptors(&self, buffer: &mut [u8], most: usize) -> Result<ReceivedDescriptors> {
        self.read_descriptors_until(buffer, most, Deadline::never())
    }

    /// As [`Stream::read_descriptors`], if there is something.
    ///
    /// # Errors
    /// As there.
    pub fn try_read_descriptors(&self, buffer: &mut [u8], most: usize) -> Result<Option<ReceivedDescriptors>> {
        let receive = || descriptors::receive(self.fd.as_fd(), buffer, most, libc::MSG_DONTWAIT);
        received(restarting(Deadline::never(), receive), || self.what())
    }

    /// As [`Stream::read_descriptors`], until the deadline.
    ///
    /// # Errors
    /// As there; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn read_descriptors_until(
        &self,
        buffer: &mut [u8],
        most: usize,
        deadline: Deadline,
    ) -> Result<ReceivedDescriptors> {
        if deadline.is_never() {
            let receive = || descriptors::receive(self.fd.as_fd(), buffer, most, 0);
            if let Some(received) = received(restarting(deadline, receive), || self.what())? {
                return Ok(received);
            }
        }
        waiting(self.fd.as_fd(), PollFlags::POLLIN, deadline, || self.try_read_descriptors(buffer, most))
    }

    /// Ends one direction or both, for every process that has the connection: the peer reads what is on its way, and
    /// then the end.
    ///
    /// # Errors
    /// `System(ENOTCONN)` if the connection is gone already.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        super::shutdown(self.fd.as_fd(), Type::Stream, how)
    }

    /// With `true`, TCP sends small pieces at once instead of waiting for the answer to the last one (TCP_NODELAY).
    ///
    /// # Errors
    /// What setsockopt(2) reports: `System(EOPNOTSUPP)` on a Unix stream.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        let set = nix::sys::socket::setsockopt(&self.fd, nix::sys::socket::sockopt::TcpNoDelay, &on);
        set.map_err(|errno| failure::making(errno, format_args!("set TCP_NODELAY on {}", self.what())))
    }

    /// Who is at the other end, of a Unix stream: the process that connected, or listened, as it was then.
    ///
    /// # Errors
    /// `Invalid` over TCP.
    pub fn peer_credentials(&self) -> Result<PeerCredentials> {
        of_peer(self.fd.as_fd(), Type::Stream)
    }

    fn what(&self) -> What<'_> {
        What(self.fd.as_fd(), Type::Stream)
    }

    /// Repeats a call that a signal interrupted; EAGAIN is `None`.
    #[inline]
    fn sent(&self, size: usize, until: Deadline, send: impl FnMut() -> nix::Result<usize>) -> Result<Option<usize>> {
        match restarting(until, send) {
            Ok(n) => Ok(Some(n)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(failure::sending(errno, size, self.what())),
        }
    }
}

/// EAGAIN is `None`.
#[inline]
fn received<'a, T>(answer: nix::Result<T>, what: impl FnOnce() -> What<'a>) -> Result<Option<T>> {
    match answer {
        Ok(n) => Ok(Some(n)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(failure::receiving(errno, what())),
    }
}

impl Source for Stream {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    #[inline]
    fn read_now(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let receive = || call::receive(self.fd.as_fd(), buffer, libc::MSG_DONTWAIT);
        received(restarting(Deadline::never(), receive), || Stream::what(self))
    }

    #[inline]
    fn read_blocking(&self, buffer: &mut [u8], until: Deadline) -> Result<usize> {
        let receive = || call::receive(self.fd.as_fd(), buffer, 0);
        match received(restarting(until, receive), || Stream::what(self))? {
            Some(n) => Ok(n),
            // A description that somebody made non-blocking.
            None => waiting(self.fd.as_fd(), PollFlags::POLLIN, until, || self.read_now(buffer)),
        }
    }

    fn what(&self) -> String {
        Stream::what(self).to_string()
    }
}

impl Sink for Stream {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    #[inline]
    fn write_now(&self, bytes: &[IoSlice<'_>]) -> Result<Option<usize>> {
        self.sent(0, Deadline::never(), || self.send_parts(bytes, libc::MSG_DONTWAIT))
    }

    #[inline]
    fn write_blocking(&self, bytes: &[IoSlice<'_>], until: Deadline) -> Result<usize> {
        match self.sent(0, until, || self.send_parts(bytes, 0))? {
            Some(n) => Ok(n),
            None => waiting(self.fd.as_fd(), PollFlags::POLLOUT, until, || self.write_now(bytes)),
        }
    }

    fn what(&self) -> String {
        Stream::what(self).to_string()
    }
}

impl Stream {
    #[inline]
    fn send_parts(&self, parts: &[IoSlice<'_>], flags: libc::c_int) -> nix::Result<usize> {
        match parts {
            [bytes] => call::send(self.fd.as_fd(), bytes, flags),
            parts => call::send_message(self.fd.as_fd(), parts, &[], flags),
        }
    }
}

super::common!(Stream, Type::Stream);

/// What is kept of a message that is not whole is lost.
impl From<Stream> for OwnedFd {
    fn from(socket: Stream) -> OwnedFd {
        socket.fd
    }
}

impl From<OwnedFd> for Stream {
    fn from(fd: OwnedFd) -> Stream {
        Stream { fd, inbox: Turn::default(), outbox: Turn::default() }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        OwnedFd::from(stream).into()
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        OwnedFd::from(stream).into()
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(Stream::read(self, buffer)?)
    }
}

impl io::Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(Stream::read(self, buffer)?)
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(Stream::write(self, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.flush_until(Deadline::never())?)
    }
}

impl io::Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(Stream::write(self, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.flush_until(Deadline::never())?)
    }
}
