//! Messages with borders that the kernel keeps: what datagram and seqpacket sockets have in common.
//!
//! # A message that is larger than the buffer
//!
//! recv(2) would cut it and throw the rest away. A datagram is received into spare memory where it does not fit, and is
//! kept in the handle then (`kept.rs`): `TooLarge`, the sentence says how large it is, and a larger buffer gets it. Of a
//! seqpacket message, and where descriptors are asked for, the size is looked at first (MSG_PEEK with MSG_TRUNC), with one
//! more system call, of a fifth of a microsecond: the end has to be told from an empty message (a timestamp with each
//! message tells it too, and costs more), and descriptors belong to their message. Where several receive from one such
//! socket at once, another may take the message in between, and the next one may be too large for this buffer: then it is
//! lost, and the sentence says that.

use super::call::{self, Raw, Type};
use super::descriptors::{self, ReceivedDescriptors};
use super::failure::{self, What};
use super::kept::Kept;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::wait::{restarting, retrying, waiting};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A socket that carries messages.
pub(super) trait Messages {
    fn fd(&self) -> &OwnedFd;
    const TYPE: Type;
    /// Is a message of 0 bytes rather the end? Asked while nothing else is known of it.
    fn is_end(&self) -> Result<bool>;
    /// Where messages are kept that were larger than the buffer, if they are received without a look at their size.
    fn kept(&self) -> Option<&Kept>;

    fn what(&self) -> What<'_> {
        What(self.fd().as_fd(), Self::TYPE)
    }

    /// Receives a message into `buffer`, and descriptors. `None` if there is none, and there is no deadline.
    fn take_descriptors(
        &self,
        buffer: &mut [u8],
        most: usize,
        until: Option<Deadline>,
    ) -> Result<Option<ReceivedDescriptors>> {
        let room = buffer.len();
        match self.kept().and_then(|kept| kept.take(buffer, &mut Raw::empty())) {
            None => {}
            Some(Ok(size)) => return Ok(Some(ReceivedDescriptors { size, descriptors: Vec::new(), cut: false })),
            Some(Err(size)) => return Err(stays(size, room, self.what())),
        }
        self.transfer(PollFlags::POLLIN, until, |flags, until| {
            let mut got = None;
            let size = self.take_once(flags, until, buffer.len(), |fd, flags| {
                let received = descriptors::receive(fd, buffer, most, flags)?;
                let size = received.size;
                got = Some(received);
                Ok(size)
            })?;
            Ok(size.and(got))
        })
    }

    /// Looks at the size of the next message, then takes it with `receive`. `None` for EAGAIN.
    #[inline]
    fn take_once(
        &self,
        flags: libc::c_int,
        until: Deadline,
        room: usize,
        mut receive: impl FnMut(BorrowedFd<'_>, libc::c_int) -> nix::Result<usize>,
    ) -> Result<Option<usize>> {
        let fd = self.fd().as_fd();
        match self.look(flags, until)? {
            None => return Ok(None),
            Some(size) if size > room => return Err(stays(size, room, self.what())),
            Some(_) => {}
        }
        // It is there, unless somebody else was faster.
        match restarting(until, || receive(fd, libc::MSG_TRUNC | libc::MSG_DONTWAIT)) {
            Err(Errno::EAGAIN) => Ok(None),
            Ok(size) if size > room => Err(lost(size, room, self.what())),
            received => received.map(Some).map_err(|errno| failure::receiving(errno, self.what())),
        }
    }

    /// The size of the next message, which stays. `None` for EAGAIN.
    #[inline]
    fn look(&self, flags: libc::c_int, until: Deadline) -> Result<Option<usize>> {
        let fd = self.fd().as_fd();
        match restarting(until, || call::receive(fd, &mut [], libc::MSG_PEEK | libc::MSG_TRUNC | flags)) {
            Err(Errno::EAGAIN) => Ok(None),
            Ok(0) if self.is_end()? => Err(ended(self.what())),
            looked => looked.map(Some).map_err(|errno| failure::receiving(errno, self.what())),
        }
    }

    /// The size of the next message, which stays. `None` if there is none, and there is no deadline.
    fn next_size(&self, until: Option<Deadline>) -> Result<Option<usize>> {
        if let Some(size) = self.kept().and_then(Kept::size) {
            return Ok(Some(size));
        }
        self.transfer(PollFlags::POLLIN, until, |flags, until| self.look(flags, until))
    }

    /// Sends a message by `send`, which gets the flags to send with. `None` if there is no room, and no deadline.
    #[inline]
    fn put(
        &self,
        size: usize,
        pollable: bool,
        until: Option<Deadline>,
        mut send: impl FnMut(libc::c_int) -> nix::Result<usize>,
    ) -> Result<Option<()>> {
        let mut once = |flags, until| match restarting(until, || send(flags)) {
            Ok(_) => Ok(Some(())),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(failure::sending(errno, size, self.what())),
        };
        match until {
            // The receiver is full, and the kernel has nothing to sleep on: this one's own buffer has room.
            Some(until) if !pollable => {
                if until.is_never()
                    && let Some(sent) = once(0, until)?
                {
                    return Ok(Some(sent));
                }
                retrying(until, || once(libc::MSG_DONTWAIT, until)).map(Some)
            }
            until => self.transfer(PollFlags::POLLOUT, until, once),
        }
    }

    /// The three forms of a call: `once` gets MSG_DONTWAIT or nothing.
    #[inline]
    fn transfer<T>(
        &self,
        events: PollFlags,
        until: Option<Deadline>,
        mut once: impl FnMut(libc::c_int, Deadline) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let Some(until) = until else { return once(libc::MSG_DONTWAIT, Deadline::never()) };
        if until.is_never() {
            // Again if somebody else took the message that was looked at; in poll(2) if somebody made the description
            // non-blocking.
            if let Some(done) = once(0, until)? {
                return Ok(Some(done));
            }
        }
        waiting(self.fd().as_fd(), events, until, || once(libc::MSG_DONTWAIT, until)).map(Some)
    }
}

#[cold]
fn ended(what: What<'_>) -> Error {
    Error::new(
        ErrorKind::Closed,
        format!("receive from {what}: the peer has closed its end, and everything was received"),
    )
}

#[cold]
pub(super) fn stays(size: usize, room: usize, what: What<'_>) -> Error {
    let sentence = format!(
        "receive from {what}: the message has {size} bytes, the buffer {room}; it stays, give it a buffer of {size}"
    );
    Error::new(ErrorKind::TooLarge, sentence)
}

#[cold]
pub(super) fn cut(size: usize, room: usize, what: What<'_>) -> Error {
    let sentence = format!(
        "receive from {what}: the message had {size} bytes, the buffer {room}, and it is lost; give it a larger \
         buffer, or ask for the size first"
    );
    Error::new(ErrorKind::TooLarge, sentence)
}

#[cold]
fn lost(size: usize, room: usize, what: What<'_>) -> Error {
    let sentence = format!(
        "receive from {what}: the message had {size} bytes, the buffer {room}, and its end is lost, as others receive \
         here too; give every receiver a buffer for the largest message"
    );
    Error::new(ErrorKind::TooLarge, sentence)
}
