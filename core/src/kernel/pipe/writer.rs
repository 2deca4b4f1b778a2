//! The end that is written to.

use super::sigpipe::Sigpipe;
use super::without_waiting::{Reopened, failed, write_now};
use super::{capacity, end, set_capacity};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::stream::{Outbox, Sink};
use crate::kernel::turn::Turn;
use crate::kernel::wait::waiting;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The end of a pipe or FIFO that is written to.
///
/// Without a reader a write fails with `Closed`; SIGPIPE, which would kill the program, is held back (in a program that
/// ignores SIGPIPE at the time the handle is made, as Rust's and Python's do, that costs nothing; else two system
/// calls), unless [`PipeWriter::raise_sigpipe`] asks for it.
///
/// Threads: one at a time for messages; `write` of up to [`Pipe::ATOMIC`](super::Pipe::ATOMIC) bytes from many at once,
/// each in one piece. Messages of up to `Pipe::ATOMIC - 4` bytes are in one piece as well, so many processes can send to
/// one reader.
/// fork: both processes have the end then. The rest of a message that was begun stays the parent's: who goes on in the
/// child flushes before the fork.
pub struct PipeWriter {
    fd: OwnedFd,
    again: Reopened,
    outbox: Turn<Outbox>,
    sigpipe: Sigpipe,
}

impl Sink for PipeWriter {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn write_now(&self, bytes: &[IoSlice<'_>]) -> Result<Option<usize>> {
        self.writing(Deadline::never(), bytes, || write_now(self.fd(), &self.again, bytes))
    }

    #[inline]
    fn write_blocking(&self, bytes: &[IoSlice<'_>], until: Deadline) -> Result<usize> {
        let write = || match bytes {
            [whole] => nix::unistd::write(&self.fd, whole), // quicker than writev
            parts => nix::sys::uio::writev(&self.fd, parts),
        };
        let written = self.writing(until, bytes, || match write() {
            Err(Errno::EAGAIN) => Ok(None), // a description that somebody made non-blocking
            done => done.map(Some),
        })?;
        match written {
            Some(n) => Ok(n),
            None => waiting(self.fd(), PollFlags::POLLOUT, until, || self.write_now(bytes)),
        }
    }

    fn what(&self) -> String {
        format!("the writing end of pipe {}", self.fd.as_raw_fd())
    }
}

impl PipeWriter {
    /// As [`PipeReader::descriptors`](super::PipeReader).
    pub(super) fn descriptors(&self) -> [RawFd; 2] {
        [self.fd.as_raw_fd(), self.again.number()]
    }

    /// Writes; waits for room. Returns how many bytes were taken: all, unless a signal came in between.
    ///
    /// # Errors
    /// `Closed` if nobody has the reading end any more.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_until(bytes, Deadline::never())
    }

    /// Writes as much as there is room for: up to [`Pipe::ATOMIC`](super::Pipe::ATOMIC) bytes all or nothing. `None` if
    /// there is no room.
    ///
    /// # Errors
    /// As [`PipeWriter::write`].
    pub fn try_write(&self, bytes: &[u8]) -> Result<Option<usize>> {
        self.write_now(&[IoSlice::new(bytes)])
    }

    /// Writes as soon as there is room, as much as there is room for; waits until the deadline for some.
    ///
    /// # Errors
    /// As [`PipeWriter::write`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn write_until(&self, bytes: &[u8], deadline: Deadline) -> Result<usize> {
        self.write_some(&[IoSlice::new(bytes)], deadline)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As [`PipeWriter::write`].
    pub fn send_all(&self, bytes: &[u8]) -> Result<()> {
        self.send_all_until(bytes, Deadline::never())
    }

    /// As [`PipeWriter::send_all`], until the deadline.
    ///
    /// # Errors
    /// As `send_all`; `Timeout`, also after a part: the sentence says how much; `Interrupted` likewise.
    pub fn send_all_until(&self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.write_whole(bytes, deadline)
    }

    /// Sends one message: its length in 4 bytes, then itself. In one piece up to `Pipe::ATOMIC - 4` bytes.
    ///
    /// # Errors
    /// As [`PipeWriter::write`]; `TooLarge` beyond 4 GiB.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends one message if there is room for its beginning; says whether. The rest of a long one, for which there is
    /// no room, is kept, and goes before the next message or with [`PipeWriter::flush_until`].
    ///
    /// # Errors
    /// As [`PipeWriter::send`].
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool> {
        Ok(self.outbox.send(self, message, None)?.is_some())
    }

    /// As [`PipeWriter::send`], until the deadline.
    ///
    /// # Errors
    /// As `send`. `Timeout` and `Interrupted`: the sentence says whether the message was begun; then its rest is kept,
    /// and goes before the next message or with [`PipeWriter::flush_until`].
    pub fn send_until(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.outbox.send(self, message, Some(deadline)).map(drop)
    }

    /// Sends what is kept of the last message, if anything is.
    ///
    /// # Errors
    /// As [`PipeWriter::write_until`].
    pub fn flush_until(&mut self, deadline: Deadline) -> Result<()> {
        self.outbox.flush(self, Some(deadline)).map(drop)
    }

    /// Sends as much of what is kept as there is room for; is it all?
    ///
    /// # Errors
    /// As [`PipeWriter::write`].
    pub fn try_flush(&mut self) -> Result<bool> {
        Ok(self.outbox.flush(self, None)?.is_some())
    }

    /// How many bytes of the last message are kept.
    pub fn unsent(&self) -> usize {
        self.outbox.left(None).ok().flatten().unwrap_or_default()
    }

    /// With `true`, a write without a reader raises SIGPIPE as well, if the program does not ignore it.
    pub fn raise_sigpipe(&mut self, raise: bool) {
        self.sigpipe = if raise { Sigpipe::Raised } else { Sigpipe::of_program() };
    }

    /// As [`PipeReader::capacity`](super::PipeReader::capacity).
    ///
    /// # Errors
    /// As there.
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.fd.as_fd())
    }

    /// As [`PipeReader::set_capacity`](super::PipeReader::set_capacity).
    ///
    /// # Errors
    /// As there.
    pub fn set_capacity(&self, bytes: usize) -> Result<usize> {
        set_capacity(self.fd.as_fd(), bytes)
    }

    #[inline]
    fn writing(
        &self,
        until: Deadline,
        bytes: &[IoSlice<'_>],
        write: impl FnMut() -> nix::Result<Option<usize>>,
    ) -> Result<Option<usize>> {
        let size = bytes.iter().map(|bytes| bytes.len()).sum();
        let written = self.sigpipe.writing(until, size, write);
        written.map_err(|errno| match errno {
            Errno::EPIPE => Error::new(
                ErrorKind::Closed,
                format!("write to {}: nobody has its reading end any more", Sink::what(self)),
            ),
            errno => failed(errno, format!("write to {}", Sink::what(self))),
        })
    }
}

end!(PipeWriter, again: Reopened::not_yet(), outbox: Turn::default(), sigpipe: Sigpipe::of_program());

impl From<io::PipeWriter> for PipeWriter {
    fn from(end: io::PipeWriter) -> PipeWriter {
        OwnedFd::from(end).into()
    }
}

impl io::Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(PipeWriter::write(self, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.flush_until(Deadline::never())?)
    }
}
