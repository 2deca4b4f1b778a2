//! Datagram sockets: single messages, to anybody, without a connection.
//!
//! # What the kernel gives
//!
//! A datagram arrives whole or not at all. Over UDP it may be lost, come twice or out of order, and where a receiver
//! is too slow its buffer overflows: who needs an answer asks for one and asks again. Over Unix none is lost and the
//! order is kept: a full receiver stops the sender. `send` returns when the kernel has the datagram, not when
//! somebody has received it.
//!
//! # When a peer dies
//!
//! There is no end to receive: nobody may ever send again, and only a deadline tells. A send over Unix fails with
//! `System(ECONNREFUSED)`, or `NotFound` without a file; over UDP the first one is lost in silence, and if the peer is
//! on this machine, or its machine answers so, the next call fails with `System(ECONNREFUSED)`.

use super::address::{SocketAddress, ToSocketAddress};
use super::binding::{self, BindOptions};
use super::call::{self, Raw, Type};
use super::failure;
use super::kept::{Kept, with_spill};
use super::message::{self, Messages};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::Owned;
use crate::kernel::wait::restarting;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};
use std::fmt;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Up to here, a copy from spare memory costs less than recvmsg(2) with two buffers instead of recvfrom(2) with one.
const COPIED: usize = 4096;

/// A socket for datagrams: UDP, or Unix.
///
/// Threads and forked processes may all send and receive: each datagram goes to one of them, whole.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::kernel::Datagram;
/// let server = Datagram::bind("udp:127.0.0.1:0")?;
/// let client = Datagram::connect(server.local_address()?)?;
/// client.send(b"hello")?;
/// let mut message = [0; 64];
/// let (size, from) = server.receive_from(&mut message)?;
/// server.send_to(&message[..size], &from)?;
/// assert_eq!(client.receive(&mut message)?, 5);
/// # Ok(()) }
/// ```
pub struct Datagram {
    fd: OwnedFd,
    udp: bool,
    /// All that it ever receives is its peer's: the sender need not be asked for with each datagram.
    one_sender: AtomicBool,
    kept: Kept,
    owned: Option<Owned>,
}

impl Messages for Datagram {
    fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    const TYPE: Type = Type::Datagram;

    fn kept(&self) -> Option<&Kept> {
        Some(&self.kept)
    }

    fn is_end(&self) -> Result<bool> {
        Ok(false) // there is none; an empty datagram is one
    }
}

impl Datagram {
    /// A socket that receives what is sent to the address.
    ///
    /// # Errors
    /// As [`Listener::bind`](super::Listener::bind).
    pub fn bind(address: impl ToSocketAddress) -> Result<Datagram> {
        Datagram::bind_with(address, BindOptions::default())
    }

    /// As [`Datagram::bind`], with options.
    ///
    /// # Errors
    /// As there.
    pub fn bind_with(address: impl ToSocketAddress, options: BindOptions) -> Result<Datagram> {
        let (fd, owned) = binding::bind(&address.to_socket_address()?, Type::Datagram, options)?;
        Ok(Datagram { owned, ..Datagram::from(fd) })
    }

    /// A socket that talks with this address alone: it sends there, and receives from there. It has an address of its
    /// own that the kernel chose, so that the other can answer. Never waits.
    ///
    /// # Errors
    /// Over Unix as [`Stream::connect`](super::Stream::connect); UDP does not notice whether anybody is there.
    pub fn connect(address: impl ToSocketAddress) -> Result<Datagram> {
        let address = address.to_socket_address()?;
        let fd = match address.is_unix() {
            true => binding::bind(&SocketAddress::unix_unnamed(), Type::Datagram, BindOptions::default())?.0,
            false => binding::open(&address, Type::Datagram, 0)?,
        };
        let datagram = Datagram::from(fd);
        datagram.set_peer(&address)?;
        datagram.one_sender.store(true, Relaxed); // nobody knew its address before
        Ok(datagram)
    }

    /// Two Unix sockets that talk with each other alone.
    ///
    /// # Errors
    /// `System(EMFILE)` if the process has as many descriptors as it may.
    pub fn pair() -> Result<(Datagram, Datagram)> {
        let (a, b) =
            call::pair(Type::Datagram).map_err(|errno| failure::making(errno, "make a pair of datagram sockets"))?;
        let one_sender = |fd| Datagram { one_sender: AtomicBool::new(true), ..Datagram::from(fd) };
        Ok((one_sender(a), one_sender(b)))
    }

    #[inline]
    fn has_one_sender(&self) -> bool {
        self.one_sender.load(Relaxed) // a flag of its own: nothing is read through it
    }

    /// From now on it talks with this address alone, and `send` goes there.
    ///
    /// # Errors
    /// As [`Datagram::connect`].
    pub fn set_peer(&self, address: &SocketAddress) -> Result<()> {
        binding::check(address, Type::Datagram)?;
        self.one_sender.store(false, Relaxed); // something of another's may wait to be received
        call::connect(self.fd.as_fd(), &Raw::of(address))
            .map_err(|errno| failure::connecting(errno, address, Type::Datagram))
    }

    /// Sends a datagram to the peer; waits for room.
    ///
    /// # Errors
    /// `System(EDESTADDRREQ)` if it has no peer; `TooLarge` beyond 65507 bytes of UDP (65527 over IPv6), or what the
    /// send buffer holds; `System(ECONNREFUSED)` if nobody is there any more, which UDP reports late.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends a datagram to the peer if there is room; says whether.
    ///
    /// # Errors
    /// As [`Datagram::send`].
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.put_message(message, None).map(|sent| sent.is_some())
    }

    /// As [`Datagram::send`], until the deadline.
    ///
    /// # Errors
    /// As `send`; `Timeout`; `Interrupted` if the deadline is interruptible. Nothing was sent then.
    #[inline]
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.put_message(message, Some(deadline)).map(drop)
    }

    #[inline]
    fn put_message(&self, message: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        self.put(message.len(), true, until, |flags| call::send(self.fd.as_fd(), message, flags))
    }

    /// Sends a datagram to this address; waits for room.
    ///
    /// # Errors
    /// As [`Datagram::send`]; `NotFound` if there is no such socket file; `Permission`; `Incompatible`.
    #[inline]
    pub fn send_to(&self, message: &[u8], address: &SocketAddress) -> Result<()> {
        self.send_to_until(message, address, Deadline::never())
    }

    /// Sends a datagram to this address if there is room; says whether.
    ///
    /// # Errors
    /// As [`Datagram::send_to`].
    pub fn try_send_to(&self, message: &[u8], address: &SocketAddress) -> Result<bool> {
        self.put_message_to(message, address, None).map(|sent| sent.is_some())
    }

    /// As [`Datagram::send_to`], until the deadline. Over Unix, while the receiver is full, it tries again after pauses
    /// that grow to 4 ms: only a connected socket can sleep until there is room.
    ///
    /// # Errors
    /// As `send_to`; `Timeout`; `Interrupted` if the deadline is interruptible. Nothing was sent then.
    #[inline]
    pub fn send_to_until(&self, message: &[u8], address: &SocketAddress, deadline: Deadline) -> Result<()> {
        self.put_message_to(message, address, Some(deadline)).map(drop)
    }

    #[inline]
    fn put_message_to(&self, message: &[u8], address: &SocketAddress, until: Option<Deadline>) -> Result<Option<()>> {
        binding::check(address, Type::Datagram)?;
        let raw = Raw::of(address);
        let sent =
            self.put(message.len(), self.udp, until, |flags| call::send_to(self.fd.as_fd(), message, flags, &raw));
        sent.map_err(|error| match error.kind() {
            ErrorKind::Timeout | ErrorKind::Interrupted => error,
            kind => Error::new(kind, format!("{error} (it was for {address})")),
        })
    }

    /// Receives a datagram into `buffer`; waits for it. Returns its size, which may be 0.
    ///
    /// # Errors
    /// `TooLarge` if the buffer is too small: the datagram stays, and [`Datagram::message_size`] knows its size. It
    /// stays in this handle, without descriptors that came with it, where poll(2) and other processes do not see it:
    /// ask again. (Only one of more than half a mebibyte is lost; the sentence says so.)
    /// `System(ECONNREFUSED)` if the last datagram sent came to nobody.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives a datagram if there is one.
    ///
    /// # Errors
    /// As [`Datagram::receive`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.take(buffer, None, None)
    }

    /// As [`Datagram::receive`], until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.take(buffer, None, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// Receives a datagram, and says who sent it.
    ///
    /// # Errors
    /// As [`Datagram::receive`].
    #[inline]
    pub fn receive_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddress)> {
        self.receive_from_until(buffer, Deadline::never())
    }

    /// Receives a datagram if there is one, and says who sent it.
    ///
    /// # Errors
    /// As [`Datagram::receive`].
    pub fn try_receive_from(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddress)>> {
        self.take_from(buffer, None)
    }

    /// As [`Datagram::receive_from`], until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn receive_from_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<(usize, SocketAddress)> {
        self.take_from(buffer, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// Its size. `None` if there is none, and there is no deadline.
    #[inline]
    fn take(&self, buffer: &mut [u8], from: Option<&mut Raw>, until: Option<Deadline>) -> Result<Option<usize>> {
        let (room, asked, mut nobody) = (buffer.len(), from.is_some(), Raw::empty());
        let from = from.unwrap_or(&mut nobody);
        match self.kept.take(buffer, from) {
            None => {}
            Some(Ok(size)) => return Ok(Some(size)),
            Some(Err(size)) => return Err(message::stays(size, room, self.what())),
        }
        self.transfer(PollFlags::POLLIN, until, |flags, until| {
            with_spill(|spill| match restarting(until, || self.receive_whole(buffer, spill, flags, from, asked)) {
                Ok(size) if size <= room => Ok(Some(size)),
                Ok(size) => Err(self.keep(size, buffer, spill, from, asked)),
                Err(Errno::EAGAIN) => Ok(None),
                Err(errno) => Err(failure::receiving(errno, self.what())),
            })
        })
    }

    /// Receives a datagram in one system call: into `buffer`, and what does not fit into `spill`. Its size, and its sender
    /// if it is `asked` for or could not be told later.
    #[inline]
    fn receive_whole(
        &self,
        buffer: &mut [u8],
        spill: &mut [MaybeUninit<u8>],
        flags: libc::c_int,
        from: &mut Raw,
        asked: bool,
    ) -> nix::Result<usize> {
        let (fd, room) = (self.fd.as_fd(), buffer.len());
        if room > COPIED {
            return call::receive_spilling(fd, buffer, spill, flags, from);
        }
        let size = match asked || !self.has_one_sender() {
            true => call::receive_from(fd, spill, flags, from)?,
            false => call::receive_whole(fd, spill, flags)?,
        };
        let came = spill.get(..size.min(room)).unwrap_or_default();
        // SAFETY: the kernel has written that many bytes there, and there is room for them. The spare memory is nobody's
        // buffer.
        unsafe { came.as_ptr().cast::<u8>().copy_to_nonoverlapping(buffer.as_mut_ptr(), came.len()) };
        Ok(size)
    }

    /// Keeps a datagram of `size` bytes, more than `buffer` has; the error that says so.
    #[cold]
    fn keep(&self, size: usize, buffer: &[u8], spill: &[MaybeUninit<u8>], from: &Raw, asked: bool) -> Error {
        let room = buffer.len();
        let rest = if room > COPIED { 0 } else { room };
        let Some(rest) = spill.get(rest..rest.saturating_add(size - room)) else {
            return message::cut(size, room, self.what());
        };
        // SAFETY: the kernel has written there what the buffer had no room for.
        let rest = unsafe { std::slice::from_raw_parts(rest.as_ptr().cast::<u8>(), rest.len()) };
        let peer = if asked || !self.has_one_sender() { None } else { call::peer_address(self.fd.as_fd()).ok() };
        self.kept.keep([buffer, rest].concat(), peer.unwrap_or(*from));
        message::stays(size, room, self.what())
    }

    #[inline]
    fn take_from(&self, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<(usize, SocketAddress)>> {
        let mut from = Raw::empty();
        let Some(size) = self.take(buffer, Some(&mut from), until)? else { return Ok(None) };
        let from = from.address(Type::Datagram).ok_or_else(|| super::foreign(self.fd.as_fd(), Type::Datagram))?;
        Ok(Some((size, from)))
    }

    /// The size of the next datagram; waits for it. The datagram stays.
    ///
    /// # Errors
    /// As [`Datagram::receive_until`], without `TooLarge`.
    pub fn message_size(&self, deadline: Deadline) -> Result<usize> {
        self.next_size(Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next datagram, if there is one.
    ///
    /// # Errors
    /// As [`Datagram::receive`], without `TooLarge`.
    pub fn try_message_size(&self) -> Result<Option<usize>> {
        self.next_size(None)
    }

    /// With `true`, it may send to broadcast addresses (SO_BROADCAST).
    ///
    /// # Errors
    /// What setsockopt(2) reports.
    pub fn set_broadcast(&self, on: bool) -> Result<()> {
        let set = setsockopt(&self.fd, sockopt::Broadcast, &on);
        set.map_err(|errno| failure::making(errno, format_args!("set SO_BROADCAST on {}", self.what())))
    }
}

super::carries_descriptors!(Datagram, Type::Datagram);
super::common!(Datagram, Type::Datagram);

impl From<OwnedFd> for Datagram {
    fn from(fd: OwnedFd) -> Datagram {
        let udp = super::local_address(fd.as_fd(), Type::Datagram).is_ok_and(|address| !address.is_unix());
        Datagram { fd, udp, one_sender: AtomicBool::new(false), kept: Kept::default(), owned: None }
    }
}

/// A socket file stays, also if it is owned; `triveni ls` tells of it once this process has ended. A datagram that was too
/// large, and waits in the handle, is lost.
impl From<Datagram> for OwnedFd {
    fn from(datagram: Datagram) -> OwnedFd {
        std::mem::forget(datagram.owned);
        datagram.fd
    }
}

impl From<UdpSocket> for Datagram {
    fn from(socket: UdpSocket) -> Datagram {
        OwnedFd::from(socket).into()
    }
}

impl From<UnixDatagram> for Datagram {
    fn from(socket: UnixDatagram) -> Datagram {
        OwnedFd::from(socket).into()
    }
}
