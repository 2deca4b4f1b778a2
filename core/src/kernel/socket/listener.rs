//! The server's side of a connection: bind, listen, accept.
//!
//! accept(2) has no flag for "do not wait". So the first `try_accept`, or accept with a deadline, makes the listener
//! non-blocking, and from then on `accept` sleeps in poll(2): right also where several processes accept from one
//! listener. A server that only ever calls `accept` keeps the plain blocking call, which wakes one of them for each
//! connection. A plain program that has inherited the listener would see EAGAIN once it is non-blocking; handing the
//! descriptor over ([`OwnedFd`] from [`Listener`]) makes it blocking again.

use super::address::{SocketAddress, ToSocketAddress};
use super::binding::{BindOptions, bind};
use super::call::{self, Type};
use super::failure::{self, What};
use super::seqpacket::Seqpacket;
use super::stream::Stream;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::kernel::owned::Owned;
use crate::kernel::wait::waiting;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{Backlog, listen};
use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What both listeners are.
struct Acceptor {
    fd: OwnedFd,
    socket_type: Type,
    /// Did this handle make the description non-blocking?
    nonblocking: AtomicBool,
    owned: Option<Owned>,
}

impl Acceptor {
    fn bind(address: &SocketAddress, socket_type: Type, options: BindOptions) -> Result<Acceptor> {
        let (fd, owned) = bind(address, socket_type, options)?;
        // A queue longer than the system's limit is cut by it; an i32 that Backlog refuses is longer than any.
        let backlog = Backlog::new(options.backlog.max(0)).unwrap_or(Backlog::MAXCONN);
        listen(&fd, backlog).map_err(|errno| failure::binding(errno, address))?;
        Ok(Acceptor { owned, ..Acceptor::of(fd, socket_type) })
    }

    fn of(fd: OwnedFd, socket_type: Type) -> Acceptor {
        Acceptor { fd, socket_type, nonblocking: AtomicBool::new(false), owned: None }
    }

    fn accept(&self, until: Deadline) -> Result<OwnedFd> {
        if until.is_never() && !self.nonblocking.load(Relaxed) {
            return match self.accept_once(until)? {
                Some(connection) => Ok(connection),
                None => waiting(self.fd.as_fd(), PollFlags::POLLIN, until, || self.accept_once(until)), // another process's doing
            };
        }
        self.make_nonblocking()?;
        waiting(self.fd.as_fd(), PollFlags::POLLIN, until, || self.accept_once(until))
    }

    fn try_accept(&self) -> Result<Option<OwnedFd>> {
        self.make_nonblocking()?;
        self.accept_once(Deadline::now())
    }

    fn accept_once(&self, until: Deadline) -> Result<Option<OwnedFd>> {
        loop {
            match call::accept(self.fd.as_fd()) {
                Ok(connection) => return Ok(Some(connection)),
                Err(Errno::EAGAIN) => return Ok(None),
                // The client has given up meanwhile: no reason to tell a server.
                Err(Errno::ECONNABORTED | Errno::EPROTO) => {}
                Err(Errno::EINTR) if !until.is_interruptible() => {}
                Err(Errno::EINTR) => return Err(ErrorKind::Interrupted.into()),
                Err(errno) => return Err(failure::accepting(errno, self.what())),
            }
        }
    }

    fn make_nonblocking(&self) -> Result<()> {
        // Relaxed: set once, and only this object's own calls go by it; the kernel's word is what counts.
        if !self.nonblocking.load(Relaxed) {
            super::set_nonblocking(self.fd.as_fd(), true).map_err(|errno| failure::accepting(errno, self.what()))?;
            self.nonblocking.store(true, Relaxed);
        }
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddress> {
        super::local_address(self.fd.as_fd(), self.socket_type)
    }

    /// The descriptor as any program expects it. A socket file stays, also if it is owned: its record then tells of it.
    fn into_fd(self) -> OwnedFd {
        if self.nonblocking.load(Relaxed) {
            let _ = super::set_nonblocking(self.fd.as_fd(), false); // cannot fail on a socket of ours
        }
        std::mem::forget(self.owned);
        self.fd
    }

    fn what(&self) -> What<'_> {
        What(self.fd.as_fd(), self.socket_type)
    }
}

macro_rules! listener {
    ($(#[doc = $doc:literal])* $Listener:ident, $Connection:ident, $socket_type:expr, $what:literal) => {
        $(#[doc = $doc])*
        pub struct $Listener(Acceptor);

        impl $Listener {
            /// Binds to the address and listens there.
            ///
            /// # Errors
            /// `System(EADDRINUSE)`: the sentence says whether a live or a dead server has the name, or who can be
            /// asked. `Permission` for a port that needs a privilege, or a folder that may not be written to.
            /// `NotFound` if the folder is not there. `Invalid` for an address of another type.
            pub fn bind(address: impl ToSocketAddress) -> Result<$Listener> {
                $Listener::bind_with(address, BindOptions::default())
            }

            #[doc = concat!("As [`", stringify!($Listener), "::bind`], with options.")]
            ///
            /// # Errors
            /// As there; `Busy` if somebody else replaces a stale file in the same folder for very long.
            pub fn bind_with(address: impl ToSocketAddress, options: BindOptions) -> Result<$Listener> {
                Acceptor::bind(&address.to_socket_address()?, $socket_type, options).map($Listener)
            }

            /// The next connection; waits for it. Connections are accepted in the order in which they came.
            ///
            /// # Errors
            /// `System(EMFILE)` and `System(ENFILE)` if there are too many descriptors: the connection stays in the
            /// queue.
            pub fn accept(&self) -> Result<$Connection> {
                self.accept_until(Deadline::never())
            }

            /// The next connection, if somebody has connected.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($Listener), "::accept`].")]
            pub fn try_accept(&self) -> Result<Option<$Connection>> {
                Ok(self.0.try_accept()?.map($Connection::from))
            }

            #[doc = concat!("As [`", stringify!($Listener), "::accept`], until the deadline.")]
            ///
            /// # Errors
            /// As there; `Timeout`; `Interrupted` if the deadline is interruptible.
            pub fn accept_until(&self, deadline: Deadline) -> Result<$Connection> {
                self.0.accept(deadline).map($Connection::from)
            }

            /// Where it listens: with the port that the kernel chose, if it was to choose one.
            ///
            /// # Errors
            /// What getsockname(2) reports.
            pub fn local_address(&self) -> Result<SocketAddress> {
                self.0.local_address()
            }
        }

        #[doc = concat!("A socket that listens already: ", $what, ".")]
        impl From<OwnedFd> for $Listener {
            fn from(fd: OwnedFd) -> $Listener {
                $Listener(Acceptor::of(fd, $socket_type))
            }
        }

        /// Blocking, as any program expects it. A socket file stays, also if it is owned; `triveni ls` tells of it
        /// once this process has ended.
        impl From<$Listener> for OwnedFd {
            fn from(listener: $Listener) -> OwnedFd {
                listener.0.into_fd()
            }
        }

        impl AsFd for $Listener {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.fd.as_fd()
            }
        }

        impl fmt::Debug for $Listener {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let address = self.local_address().map_or_else(|_| "?".to_string(), |address| address.to_string());
                write!(f, concat!(stringify!($Listener), "({} at {})"), self.0.fd.as_raw_fd(), address)
            }
        }
    };
}

listener! {
    /// Listens for streams: TCP, or Unix.
    ///
    /// Its life is the textbook's: socket, bind and listen (here one call), accept for each client, close. It ends
    /// with its last handle, in whatever process; clients that wait in its queue are then reset. A port can be bound
    /// again at once (SO_REUSEADDR); a socket file stays, unless the listener is owned.
    ///
    /// Threads and forked processes may all accept from one listener: each connection goes to one of them.
    ///
    /// ```
    /// # fn main() -> triveni::Result<()> {
    /// use triveni::kernel::{Listener, Stream};
    /// let listener = Listener::bind("tcp:127.0.0.1:0")?;
    /// let client = Stream::connect(listener.local_address()?)?;
    /// let server = listener.accept()?;
    /// client.send(b"hello")?;
    /// let mut message = [0; 64];
    /// assert_eq!(server.receive(&mut message)?, 5);
    /// # Ok(()) }
    /// ```
    Listener, Stream, Type::Stream, "as a service manager hands it over"
}

listener! {
    /// Listens for connections that keep the borders of messages: Unix seqpacket sockets.
    ///
    /// All that is said of [`Listener`] holds.
    SeqpacketListener, Seqpacket, Type::Seqpacket, "as a service manager hands it over"
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        OwnedFd::from(listener).into()
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        OwnedFd::from(listener).into()
    }
}
