//! Sockets: TCP, UDP, and Unix sockets of three types.
//!
//! | type          | carries                   | over       | lost?                             | order |
//! |---------------|---------------------------|------------|-----------------------------------|-------|
//! | [`Stream`]    | bytes, or framed messages | TCP, Unix  | no                                | kept  |
//! | [`Datagram`]  | datagrams                 | UDP        | where a buffer is full, or on the way | no |
//! | [`Datagram`]  | datagrams                 | Unix       | no: a full receiver stops the sender | kept |
//! | [`Seqpacket`] | messages, on a connection | Unix       | no                                | kept  |
//!
//! A server of streams or seqpackets has a [`Listener`] or [`SeqpacketListener`]; a datagram socket is bound and
//! receives. All of them carry both ways, between processes that need not be related, and are gone when the last
//! process that has them ends: its peers are told at once. Only the file of a Unix socket stays (see
//! [`BindOptions`]).

mod address;
mod binding;
mod call;
mod connecting;
mod credentials;
mod datagram;
mod descriptors;
mod failure;
mod kept;
mod listener;
mod message;
#[cfg(test)]
mod sentences;
mod seqpacket;
mod stream;
#[cfg(test)]
mod tests;

pub use address::{SocketAddress, ToSocketAddress};
pub use binding::BindOptions;
#[doc(hidden)]
pub use connecting::Connecting;
pub use credentials::PeerCredentials;
pub use datagram::Datagram;
pub use descriptors::{DESCRIPTORS_MAX, ReceivedDescriptors};
pub use listener::{Listener, SeqpacketListener};
pub use seqpacket::Seqpacket;
pub use stream::Stream;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use call::Type;
use failure::What;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

fn local_address(fd: BorrowedFd<'_>, socket_type: Type) -> Result<SocketAddress> {
    let raw = call::local_address(fd);
    let raw =
        raw.map_err(|errno| failure::making(errno, format_args!("ask {} for its address", What(fd, socket_type))))?;
    raw.address(socket_type).ok_or_else(|| foreign(fd, socket_type))
}

fn peer_address(fd: BorrowedFd<'_>, socket_type: Type) -> Result<SocketAddress> {
    let raw = call::peer_address(fd).map_err(|errno| failure::peer(errno, What(fd, socket_type)))?;
    raw.address(socket_type).ok_or_else(|| foreign(fd, socket_type))
}

#[cold]
fn foreign(fd: BorrowedFd<'_>, socket_type: Type) -> Error {
    let sentence = format!(
        "{} is neither an IP nor a Unix socket, and has no address of ours; make the handle of one that is",
        What(fd, socket_type)
    );
    Error::new(ErrorKind::Incompatible, sentence)
}

fn only_unix(fd: BorrowedFd<'_>, socket_type: Type, tried: &str) -> Result<()> {
    if local_address(fd, socket_type)?.is_unix() {
        return Ok(());
    }
    let sentence = format!("{tried} {}: only Unix sockets can; take one with a unix: address", What(fd, socket_type));
    Err(Error::new(ErrorKind::Invalid, sentence))
}

fn shutdown(fd: BorrowedFd<'_>, socket_type: Type, how: Shutdown) -> Result<()> {
    use nix::sys::socket::{Shutdown as How, shutdown};
    let how = match how {
        Shutdown::Read => How::Read,
        Shutdown::Write => How::Write,
        Shutdown::Both => How::Both,
    };
    shutdown(fd.as_raw_fd(), how)
        .map_err(|errno| failure::making(errno, format_args!("shut down {}", What(fd, socket_type))))
}

fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let flags = if on { flags | OFlag::O_NONBLOCK } else { flags - OFlag::O_NONBLOCK };
    fcntl(fd, FcntlArg::F_SETFL(flags)).map(drop)
}

fn connect_on(connecting: &mut Option<Connecting>, deadline: Deadline) -> Result<OwnedFd> {
    if let Some(connecting) = connecting {
        connecting.go_on(deadline)?;
    }
    let taken = || Error::new(ErrorKind::Invalid, "connect: this connection is made already; begin a new one");
    connecting.take().ok_or_else(taken)?.finish()
}

/// Which of the two buffers of a socket.
#[derive(Clone, Copy)]
enum Buffer {
    Send,
    Receive,
}

fn buffer(fd: BorrowedFd<'_>, socket_type: Type, which: Buffer) -> Result<usize> {
    let size = match which {
        Buffer::Send => getsockopt(&fd, sockopt::SndBuf),
        Buffer::Receive => getsockopt(&fd, sockopt::RcvBuf),
    };
    size.map_err(|errno| {
        failure::making(errno, format_args!("ask {} for the size of its buffer", What(fd, socket_type)))
    })
}

fn set_buffer(fd: BorrowedFd<'_>, socket_type: Type, which: Buffer, bytes: usize) -> Result<usize> {
    let bytes = bytes.min(i32::MAX as usize / 2); // the kernel doubles it
    let set = match which {
        Buffer::Send => setsockopt(&fd, sockopt::SndBuf, &bytes),
        Buffer::Receive => setsockopt(&fd, sockopt::RcvBuf, &bytes),
    };
    set.map_err(|errno: Errno| failure::making(errno, format_args!("size the buffer of {}", What(fd, socket_type))))?;
    buffer(fd, socket_type, which)
}

/// What every connected socket has.
macro_rules! common {
    ($Socket:ident, $socket_type:expr) => {
        impl $Socket {
            /// Its own address; over Unix mostly none (`unix:`).
            ///
            /// # Errors
            /// What getsockname(2) reports.
            pub fn local_address(&self) -> $crate::error::Result<$crate::kernel::SocketAddress> {
                $crate::kernel::socket::local_address(self.fd.as_fd(), $socket_type)
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// `System(ENOTCONN)` if it is connected to nobody, or no more.
            pub fn peer_address(&self) -> $crate::error::Result<$crate::kernel::SocketAddress> {
                $crate::kernel::socket::peer_address(self.fd.as_fd(), $socket_type)
            }

            /// How many bytes the kernel keeps of what is sent, its own books included.
            ///
            /// # Errors
            /// What getsockopt(2) reports.
            pub fn send_buffer(&self) -> $crate::error::Result<usize> {
                $crate::kernel::socket::buffer(self.fd.as_fd(), $socket_type, $crate::kernel::socket::Buffer::Send)
            }

            /// Asks for a send buffer of so many bytes; returns what it is now: the kernel takes double, for its books,
            /// and at most double of `/proc/sys/net/core/wmem_max`.
            ///
            /// # Errors
            /// What setsockopt(2) reports.
            pub fn set_send_buffer(&self, bytes: usize) -> $crate::error::Result<usize> {
                $crate::kernel::socket::set_buffer(
                    self.fd.as_fd(),
                    $socket_type,
                    $crate::kernel::socket::Buffer::Send,
                    bytes,
                )
            }

            /// How many bytes the kernel keeps of what nobody has received yet, its own books included.
            ///
            /// # Errors
            /// What getsockopt(2) reports.
            pub fn receive_buffer(&self) -> $crate::error::Result<usize> {
                $crate::kernel::socket::buffer(self.fd.as_fd(), $socket_type, $crate::kernel::socket::Buffer::Receive)
            }

            /// Asks for a receive buffer of so many bytes; returns what it is now: the kernel takes double, for its
            /// books, and at most double of `/proc/sys/net/core/rmem_max`.
            ///
            /// # Errors
            /// What setsockopt(2) reports.
            pub fn set_receive_buffer(&self, bytes: usize) -> $crate::error::Result<usize> {
                $crate::kernel::socket::set_buffer(
                    self.fd.as_fd(),
                    $socket_type,
                    $crate::kernel::socket::Buffer::Receive,
                    bytes,
                )
            }
        }

        impl AsFd for $Socket {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }

        impl fmt::Debug for $Socket {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    concat!(stringify!($Socket), "({})"),
                    $crate::kernel::socket::failure::What(self.fd.as_fd(), $socket_type)
                )
            }
        }
    };
}
use common;

/// Descriptors that go with messages.
macro_rules! carries_descriptors {
    ($Socket:ident, $socket_type:expr) => {
        impl $Socket {
            /// Sends a message, of at least one byte, and descriptors with it, to the peer. Over Unix.
            ///
            /// # Errors
            /// As `send`; `TooLarge` beyond [`DESCRIPTORS_MAX`](super::DESCRIPTORS_MAX) descriptors; `Invalid` without
            /// a byte, or over UDP.
            pub fn send_descriptors(
                &self,
                message: &[u8],
                descriptors: &[BorrowedFd<'_>],
            ) -> $crate::error::Result<()> {
                self.send_descriptors_until(message, descriptors, Deadline::never())
            }

            /// As `send_descriptors`, if there is room; says whether.
            ///
            /// # Errors
            /// As there.
            pub fn try_send_descriptors(
                &self,
                message: &[u8],
                descriptors: &[BorrowedFd<'_>],
            ) -> $crate::error::Result<bool> {
                self.put_descriptors(message, descriptors, None).map(|sent| sent.is_some())
            }

            /// As `send_descriptors`, until the deadline.
            ///
            /// # Errors
            /// As there; `Timeout`; `Interrupted` if the deadline is interruptible. Nothing was sent then.
            pub fn send_descriptors_until(
                &self,
                message: &[u8],
                descriptors: &[BorrowedFd<'_>],
                deadline: Deadline,
            ) -> $crate::error::Result<()> {
                self.put_descriptors(message, descriptors, Some(deadline)).map(drop)
            }

            fn put_descriptors(
                &self,
                message: &[u8],
                fds: &[BorrowedFd<'_>],
                until: Option<Deadline>,
            ) -> $crate::error::Result<Option<()>> {
                use $crate::kernel::socket::descriptors;
                $crate::kernel::socket::only_unix(self.fd.as_fd(), $socket_type, "pass descriptors over")?;
                descriptors::check(&self.what().to_string(), message, fds)?;
                self.put(message.len(), true, until, |flags| descriptors::send(self.fd.as_fd(), message, fds, flags))
            }

            /// Receives a message, and at most `most` descriptors that came with it; waits for it. A message that is
            /// received in another way loses its descriptors: the kernel closes them.
            ///
            /// # Errors
            /// As `receive`.
            pub fn receive_descriptors(
                &self,
                buffer: &mut [u8],
                most: usize,
            ) -> $crate::error::Result<$crate::kernel::ReceivedDescriptors> {
                self.receive_descriptors_until(buffer, most, Deadline::never())
            }

            /// As `receive_descriptors`, if there is a message.
            ///
            /// # Errors
            /// As there.
            pub fn try_receive_descriptors(
                &self,
                buffer: &mut [u8],
                most: usize,
            ) -> $crate::error::Result<Option<$crate::kernel::ReceivedDescriptors>> {
                self.take_descriptors(buffer, most, None)
            }

            /// As `receive_descriptors`, until the deadline.
            ///
            /// # Errors
            /// As there; `Timeout`; `Interrupted` if the deadline is interruptible.
            pub fn receive_descriptors_until(
                &self,
                buffer: &mut [u8],
                most: usize,
                deadline: Deadline,
            ) -> $crate::error::Result<$crate::kernel::ReceivedDescriptors> {
                self.take_descriptors(buffer, most, Some(deadline))?.ok_or_else(|| ErrorKind::Timeout.into())
            }
        }
    };
}
use carries_descriptors;
