//! The end that is read from.

use super::without_waiting::{Reopened, failed, read_now};
use super::{capacity, end, set_capacity};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::stream::{Inbox, Source};
use crate::kernel::turn::Turn;
use crate::kernel::wait::{restarting, waiting};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The end of a pipe or FIFO that is read from.
///
/// Bytes with `read` and `receive_exact`, or messages with `receive` (each behind its length, in 4 bytes, most
/// significant first). Who mixes both has to know where a message ends.
///
/// Threads: one at a time for messages; `read` from many at once gives each some of the bytes. fork: both processes
/// have the end then, and each byte goes to one of them. A message that was begun stays the parent's: the child begins
/// with what the parent has not read of the stream.
pub struct PipeReader {
    fd: OwnedFd,
    again: Reopened,
    inbox: Turn<Inbox>,
}

impl Source for PipeReader {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn read_now(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        restarting(Deadline::never(), || read_now(self.fd(), &self.again, buffer)).map_err(|errno| self.failed(errno))
    }

    #[inline]
    fn read_blocking(&self, buffer: &mut [u8], until: Deadline) -> Result<usize> {
        let read = || nix::unistd::read(&self.fd, buffer);
        match restarting(until, read) {
            // A description that somebody made non-blocking.
            Err(Errno::EAGAIN) => waiting(self.fd(), PollFlags::POLLIN, until, || self.read_now(buffer)),
            read => read.map_err(|errno| self.failed(errno)),
        }
    }

    fn what(&self) -> String {
        format!("the reading end of pipe {}", self.fd.as_raw_fd())
    }
}

impl PipeReader {
    /// All that it has open, for a child that has no handle to close; -1 is nothing.
    pub(super) fn descriptors(&self) -> [RawFd; 2] {
        [self.fd.as_raw_fd(), self.again.number()]
    }

    /// Reads some bytes; waits until there are any. 0 is the end: nobody has a writing end any more.
    ///
    /// # Errors
    /// What read(2) reports.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_until(buffer, Deadline::never())
    }

    /// Reads some bytes if there are any. `Some(0)` is the end.
    ///
    /// # Errors
    /// As [`PipeReader::read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.read_now(buffer)
    }

    /// As [`PipeReader::read`], until the deadline.
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
    /// `Closed` if the stream ends before; what came is in the buffer, and the sentence says how much.
    pub fn receive_exact(&self, buffer: &mut [u8]) -> Result<()> {
        self.receive_exact_until(buffer, Deadline::never())
    }

    /// As [`PipeReader::receive_exact`], until the deadline.
    ///
    /// # Errors
    /// As `receive_exact`; `Timeout`, also after a part: the sentence says how much; `Interrupted` likewise.
    pub fn receive_exact_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        self.read_whole(buffer, deadline)
    }

    /// Receives one message into `buffer`; waits for it. Returns its size.
    ///
    /// # Errors
    /// `Closed` at the end of the stream; in the middle of a message too, and the sentence says so. `TooLarge` if the
    /// buffer is too small: the message stays, and [`PipeReader::message_size`] knows its size.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives one message if all of it is there. What is there of one that is not whole is kept for the next call.
    ///
    /// # Errors
    /// As [`PipeReader::receive`].
    pub fn try_receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.inbox.receive(self, buffer, None)
    }

    /// As [`PipeReader::receive`], until the deadline. What came before it is kept for the next call.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn receive_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let received = self.inbox.receive(self, buffer, Some(deadline))?;
        received.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message; waits until its length is there. The message stays.
    ///
    /// # Errors
    /// As [`PipeReader::receive_until`], without `TooLarge`.
    pub fn message_size(&mut self, deadline: Deadline) -> Result<usize> {
        let size = self.inbox.size(self, Some(deadline))?;
        size.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message, if its length is there.
    ///
    /// # Errors
    /// As [`PipeReader::receive`], without `TooLarge`.
    pub fn try_message_size(&mut self) -> Result<Option<usize>> {
        self.inbox.size(self, None)
    }

    /// How many bytes the kernel's buffer has room for.
    ///
    /// # Errors
    /// `System(EBADF)` if this is no pipe.
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.fd.as_fd())
    }

    /// Asks for a buffer of so many bytes; the kernel rounds up to pages and powers of two. Returns what it is now.
    ///
    /// # Errors
    /// `Permission` above `/proc/sys/fs/pipe-max-size` without CAP_SYS_RESOURCE; `Busy` below what is in the pipe;
    /// `Invalid` for 0.
    pub fn set_capacity(&self, bytes: usize) -> Result<usize> {
        set_capacity(self.fd.as_fd(), bytes)
    }

    /// How many bytes can be read at this moment.
    ///
    /// # Errors
    /// What ioctl(2) reports.
    pub fn len(&self) -> Result<usize> {
        let mut n: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int to memory of ours.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::FIONREAD, &mut n) } < 0 {
            return Err(self.failed(Errno::last()));
        }
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// Is there nothing to read at this moment?
    ///
    /// # Errors
    /// As [`PipeReader::len`].
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|n| n == 0)
    }

    #[cold]
    fn failed(&self, errno: Errno) -> Error {
        failed(errno, format!("read from {}", self.what()))
    }
}

end!(PipeReader, again: Reopened::not_yet(), inbox: Turn::default());

impl From<io::PipeReader> for PipeReader {
    fn from(end: io::PipeReader) -> PipeReader {
        OwnedFd::from(end).into()
    }
}

impl io::Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(PipeReader::read(self, buffer)?)
    }
}
