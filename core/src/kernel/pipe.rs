//! Anonymous pipes, and the two ends that a FIFO has as well.
//!
//! # What the kernel gives
//!
//! Bytes in one direction, first in first out, through a buffer of [`PipeReader::capacity`] bytes. A write of up to
//! [`Pipe::ATOMIC`] bytes (POSIX calls it PIPE_BUF) is one piece, whoever else writes; a longer one may be mixed with
//! others'. A full pipe stops its writer, an empty one its reader.
//!
//! # Ends
//!
//! Which end a handle is, is its type: a [`PipeReader`] cannot be written to. The stream ends when the last writing
//! end is closed, in whatever process; a write fails with `Closed` when the last reading end is. So a process that
//! forks has to close the end that it does not use, or its own reader never sees the end: [`Pipe::into_reader`] and
//! [`Pipe::into_writer`] do so, and [`Pipe::to_child`] and [`Pipe::from_child`] fork and do it by themselves.
//!
//! # When a peer dies
//!
//! The kernel closes its ends. What it wrote stays readable. A message that it had begun is cut: `Closed`.

use super::child::Child;
use super::fork::fork;
use super::stream::{Inbox, Outbox, Sink, Source};
use super::wait::{restarting, waiting};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Both ends of an anonymous pipe. Close one, or take them apart.
#[derive(Debug)]
pub struct Pipe {
    /// The end to read from.
    pub reader: PipeReader,
    /// The end to write to.
    pub writer: PipeWriter,
}

/// Makes an anonymous pipe. Both ends are close-on-exec: a child gets one as a redirection, or by fork.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let triveni::kernel::Pipe { mut reader, mut writer } = triveni::kernel::pipe()?;
/// writer.send(b"hello")?;
/// let mut message = [0; 64];
/// assert_eq!(reader.receive(&mut message)?, 5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `System(EMFILE)` if the process has as many descriptors as it may.
pub fn pipe() -> Result<Pipe> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| match errno {
        Errno::EMFILE => Error::new(
            ErrorKind::System(libc::EMFILE),
            format!("make a pipe: this process has all the descriptors that it may have, {}; close some, or raise `ulimit -n`", descriptor_limit()),
        ),
        Errno::ENFILE => Error::new(
            ErrorKind::System(libc::ENFILE),
            "make a pipe: the system has all the files open that it may have; /proc/sys/fs/file-max says how many, and for users that are not root /proc/sys/fs/pipe-user-pages-soft how much they may hold in pipes",
        ),
        errno => Error::os(errno as i32, "make a pipe"),
    })?;
    Ok(Pipe { reader: reader.into(), writer: writer.into() })
}

pub(crate) fn descriptor_limit() -> u64 {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

impl Pipe {
    /// Writes of up to so many bytes are atomic: PIPE_BUF. POSIX promises 512; Linux has one page.
    pub const ATOMIC: usize = libc::PIPE_BUF;

    /// Keeps the reading end and closes the other: for the process that reads, after a fork.
    pub fn into_reader(self) -> PipeReader {
        self.reader
    }

    /// Keeps the writing end and closes the other: for the process that writes, after a fork.
    pub fn into_writer(self) -> PipeWriter {
        self.writer
    }

    /// Forks a child that reads what this process writes: each has its end, and the other is closed. The child runs
    /// `child` and ends with its result as exit status.
    ///
    /// ```
    /// # fn main() -> triveni::Result<()> {
    /// // SAFETY: this program has no other threads that could hold a lock the child needs.
    /// let (mut writer, child) = unsafe {
    ///     triveni::kernel::pipe()?.to_child(|mut reader| i32::from(!matches!(reader.receive(&mut [0; 8]), Ok(5))))
    /// }?;
    /// writer.send(b"hello")?;
    /// assert!(child.wait()?.success());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`fork`](super::fork()).
    ///
    /// # Safety
    /// - As for [`fork`](super::fork()).
    pub unsafe fn to_child(self, child: impl FnOnce(PipeReader) -> i32) -> Result<(PipeWriter, Child)> {
        let Pipe { reader, writer } = self;
        let other = writer.fd.as_raw_fd();
        // SAFETY: the caller's promise is the one `fork` asks for.
        let child = unsafe {
            fork(move || {
                close_in_child(other);
                child(reader)
            })
        }?;
        Ok((writer, child))
    }

    /// Forks a child that writes what this process reads: each has its end, and the other is closed.
    ///
    /// # Errors
    /// As [`fork`](super::fork()).
    ///
    /// # Safety
    /// - As for [`fork`](super::fork()).
    pub unsafe fn from_child(self, child: impl FnOnce(PipeWriter) -> i32) -> Result<(PipeReader, Child)> {
        let Pipe { reader, writer } = self;
        let other = reader.fd.as_raw_fd();
        // SAFETY: the caller's promise is the one `fork` asks for.
        let child = unsafe {
            fork(move || {
                close_in_child(other);
                child(writer)
            })
        }?;
        Ok((reader, child))
    }
}

/// Closes the child's copy of an end whose handle stays the parent's.
fn close_in_child(fd: RawFd) {
    // SAFETY: the handle that owns this descriptor is in the parent's code, which the child never runs.
    unsafe { libc::close(fd) };
}

/// The end of a pipe or FIFO that is read from.
///
/// Bytes with `read` and `receive_exact`, or messages with `receive` (each behind its length, in 4 bytes, most
/// significant first). Who mixes both has to know where a message ends.
///
/// Threads: one at a time for messages; `read` from many at once gives each some of the bytes. fork: both processes
/// have the end then, and each byte goes to one of them. The handle that remembers half a message is one process's:
/// do not fork in the middle of one.
pub struct PipeReader {
    fd: OwnedFd,
    inbox: Inbox,
}

/// The end of a pipe or FIFO that is written to.
///
/// Without a reader a write fails with `Closed`; SIGPIPE, which would kill the program, is held back (in a program that
/// ignores SIGPIPE at the time the handle is made, as Rust's and Python's do, that costs nothing; else two system
/// calls), unless [`PipeWriter::raise_sigpipe`] asks for it.
///
/// Threads: one at a time for messages; `write` of up to [`Pipe::ATOMIC`] bytes from many at once, each in one piece.
/// Messages of up to `Pipe::ATOMIC - 4` bytes are in one piece as well, so many processes can send to one reader.
/// fork: both processes have the end then.
pub struct PipeWriter {
    fd: OwnedFd,
    outbox: Outbox,
    sigpipe: Sigpipe,
}

/// What a write without a reader does besides failing.
#[derive(Clone, Copy, PartialEq)]
enum Sigpipe {
    /// The program ignores it: nothing is to be done.
    Ignored,
    /// It is to be held back.
    HeldBack,
    /// The program wants it.
    Raised,
}

impl Sigpipe {
    /// What this program does with SIGPIPE now.
    fn of_program() -> Sigpipe {
        // SAFETY: an all-zero sigaction is one; the old action is written to memory of ours, none is set.
        let ignored = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
        };
        if ignored { Sigpipe::Ignored } else { Sigpipe::HeldBack }
    }
}

/// Runs a write with SIGPIPE blocked in this thread, and takes the one that it raised.
#[cold]
pub(super) fn without_sigpipe<T>(write: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    // SAFETY: all-zero sigset_ts are sets, and all are ours and outlive the calls. Only this thread's mask changes, and
    // is put back. sigtimedwait takes a SIGPIPE that is pending for this thread only if none was before: the one
    // that the write raised, which is sent to the thread that writes.
    unsafe {
        let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let blocked = libc::sigismember(&before, libc::SIGPIPE) == 1;
        let was_pending =
            blocked && libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, libc::SIGPIPE) == 1;
        let written = write();
        if matches!(written, Err(Errno::EPIPE)) && !was_pending {
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&pipe, std::ptr::null_mut(), &at_once) < 0 && Errno::last() == Errno::EINTR {}
        }
        if !blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        }
        written
    }
}

/// The system calls that read and write without waiting, whatever the description says; EAGAIN is `None`.
///
/// RWF_NOWAIT works on anonymous pipes from Linux 6.4 on, and not on FIFOs: there the call is EOPNOTSUPP. Then the end is
/// opened once more for one call, non-blocking: O_NONBLOCK on the description itself would be seen by all who have it.
/// Where that cannot be (no /proc, no descriptor left, no pipe) poll(2) is asked, and at most as many bytes are moved as
/// an end that is ready takes; that is right as long as nobody else uses the same end at the same moment.
fn without_waiting<T>(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    now: impl Fn() -> nix::Result<T>,
    plain: impl Fn(BorrowedFd<'_>, usize) -> nix::Result<T>,
) -> nix::Result<Option<T>> {
    let answer = match now() {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => match reopened(fd, events) {
            Some(end) => plain(end.as_fd(), usize::MAX),
            None => {
                let mut fds = [nix::poll::PollFd::new(fd, events)];
                match nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO)? {
                    0 => return Ok(None),
                    _ => plain(fd, Pipe::ATOMIC),
                }
            }
        },
        answer => answer,
    };
    match answer {
        Err(Errno::EAGAIN) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Another description of the same end, non-blocking. None where nobody has the other end to read from.
fn reopened(fd: BorrowedFd<'_>, events: PollFlags) -> Option<OwnedFd> {
    let facts = nix::sys::stat::fstat(fd).ok()?;
    if facts.st_mode & libc::S_IFMT != libc::S_IFIFO {
        return None;
    }
    let access = if events == PollFlags::POLLIN { OFlag::O_RDONLY } else { OFlag::O_WRONLY };
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()).ok()
}

/// From Linux's uapi/linux/fs.h.
const RWF_NOWAIT: libc::c_int = 8;

fn whole<T: TryInto<usize>>(answer: T) -> nix::Result<usize> {
    answer.try_into().map_err(|_| Errno::last())
}

impl Source for PipeReader {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn read_now(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let fd = self.fd.as_raw_fd();
        let (at, size) = (buffer.as_mut_ptr(), buffer.len());
        let part = libc::iovec { iov_base: at.cast(), iov_len: size };
        // The system call itself, as not every libc has a function for it. -1 asks for no offset.
        // SAFETY: one buffer of `size` bytes that is ours alone for the length of the call.
        let now =
            || whole(unsafe { libc::syscall(libc::SYS_preadv2, fd, &raw const part, 1, -1isize, -1isize, RWF_NOWAIT) });
        // SAFETY: as above.
        let plain = |fd: BorrowedFd<'_>, most| whole(unsafe { libc::read(fd.as_raw_fd(), at.cast(), size.min(most)) });
        restarting(Deadline::never(), || without_waiting(self.fd(), PollFlags::POLLIN, now, plain))
            .map_err(|errno| self.failed(errno))
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

impl Sink for PipeWriter {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn write_now(&self, bytes: &[IoSlice<'_>]) -> Result<Option<usize>> {
        let fd = self.fd.as_raw_fd();
        let (parts, n) = (bytes.as_ptr().cast::<libc::iovec>(), bytes.len().min(2) as i32);
        // SAFETY: `IoSlice` has the layout of iovec; `n` of them are readable for the length of the call.
        let now = || whole(unsafe { libc::syscall(libc::SYS_pwritev2, fd, parts, n, -1isize, -1isize, RWF_NOWAIT) });
        let plain = |fd: BorrowedFd<'_>, most: usize| {
            let (mut left, mut parts) = (most, [IoSlice::new(&[]), IoSlice::new(&[])]);
            for (part, bytes) in parts.iter_mut().zip(bytes) {
                *part = IoSlice::new(bytes.get(..left).unwrap_or(bytes));
                left -= part.len();
            }
            nix::sys::uio::writev(fd, &parts)
        };
        let write = || without_waiting(self.fd(), PollFlags::POLLOUT, now, plain);
        self.writing(Deadline::never(), bytes, write)
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

impl PipeReader {
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
        self.with_inbox(|end, inbox| inbox.receive(end, buffer, None))
    }

    /// As [`PipeReader::receive`], until the deadline. What came before it is kept for the next call.
    ///
    /// # Errors
    /// As `receive`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn receive_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let received = self.with_inbox(|end, inbox| inbox.receive(end, buffer, Some(deadline)))?;
        received.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message; waits until its length is there. The message stays.
    ///
    /// # Errors
    /// As [`PipeReader::receive_until`], without `TooLarge`.
    pub fn message_size(&mut self, deadline: Deadline) -> Result<usize> {
        let size = self.with_inbox(|end, inbox| inbox.size(end, Some(deadline)))?;
        size.ok_or_else(|| ErrorKind::Timeout.into())
    }

    /// The size of the next message, if its length is there.
    ///
    /// # Errors
    /// As [`PipeReader::receive`], without `TooLarge`.
    pub fn try_message_size(&mut self) -> Result<Option<usize>> {
        self.with_inbox(|end, inbox| inbox.size(end, None))
    }

    fn with_inbox<T>(&mut self, f: impl FnOnce(&Self, &mut Inbox) -> T) -> T {
        let mut inbox = std::mem::take(&mut self.inbox);
        let answer = f(self, &mut inbox);
        self.inbox = inbox;
        answer
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

    fn failed(&self, errno: Errno) -> Error {
        match errno {
            Errno::EINTR => ErrorKind::Interrupted.into(),
            errno => Error::os(errno as i32, format_args!("read from {}", self.what())),
        }
    }
}

impl PipeWriter {
    /// Writes; waits for room. Returns how many bytes were taken: all, unless a signal came in between.
    ///
    /// # Errors
    /// `Closed` if nobody has the reading end any more.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_until(bytes, Deadline::never())
    }

    /// Writes as much as there is room for: up to [`Pipe::ATOMIC`] bytes all or nothing. `None` if there is no room.
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
        Ok(self.with_outbox(|end, outbox| outbox.send(end, message, None))?.is_some())
    }

    /// As [`PipeWriter::send`], until the deadline.
    ///
    /// # Errors
    /// As `send`. `Timeout` and `Interrupted`: the sentence says whether the message was begun; then its rest is kept,
    /// and goes before the next message or with [`PipeWriter::flush_until`].
    pub fn send_until(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.with_outbox(|end, outbox| outbox.send(end, message, Some(deadline))).map(drop)
    }

    /// Sends what is kept of the last message, if anything is.
    ///
    /// # Errors
    /// As [`PipeWriter::write_until`].
    pub fn flush_until(&mut self, deadline: Deadline) -> Result<()> {
        self.with_outbox(|end, outbox| outbox.flush(end, Some(deadline))).map(drop)
    }

    /// Sends as much of what is kept as there is room for; is it all?
    ///
    /// # Errors
    /// As [`PipeWriter::write`].
    pub fn try_flush(&mut self) -> Result<bool> {
        Ok(self.with_outbox(|end, outbox| outbox.flush(end, None))?.is_some())
    }

    /// How many bytes of the last message are kept.
    pub fn unsent(&self) -> usize {
        self.outbox.left()
    }

    /// With `true`, a write without a reader raises SIGPIPE as well, if the program does not ignore it.
    pub fn raise_sigpipe(&mut self, raise: bool) {
        self.sigpipe = if raise { Sigpipe::Raised } else { Sigpipe::of_program() };
    }

    /// As [`PipeReader::capacity`].
    ///
    /// # Errors
    /// As there.
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.fd.as_fd())
    }

    /// As [`PipeReader::set_capacity`].
    ///
    /// # Errors
    /// As there.
    pub fn set_capacity(&self, bytes: usize) -> Result<usize> {
        set_capacity(self.fd.as_fd(), bytes)
    }

    fn with_outbox<T>(&mut self, f: impl FnOnce(&Self, &mut Outbox) -> T) -> T {
        let mut outbox = std::mem::take(&mut self.outbox);
        let answer = f(self, &mut outbox);
        self.outbox = outbox;
        answer
    }

    #[inline]
    fn writing(
        &self,
        until: Deadline,
        bytes: &[IoSlice<'_>],
        mut write: impl FnMut() -> nix::Result<Option<usize>>,
    ) -> Result<Option<usize>> {
        let written = match self.sigpipe {
            Sigpipe::HeldBack => restarting(until, || {
                // A reader that leaves in the middle raises it as well, and the write counts what was taken before.
                let (all, mut part) = (bytes.iter().map(|bytes| bytes.len()).sum(), None);
                let written = without_sigpipe(|| match write() {
                    Ok(Some(n)) if n < all => {
                        part = Some(n);
                        Err(Errno::EPIPE)
                    }
                    written => written,
                });
                if part.is_some() { Ok(part) } else { written }
            }),
            Sigpipe::Ignored | Sigpipe::Raised => restarting(until, write),
        };
        written.map_err(|errno| match errno {
            Errno::EINTR => ErrorKind::Interrupted.into(),
            Errno::EPIPE => Error::new(
                ErrorKind::Closed,
                format!("write to {}: nobody has its reading end any more", Sink::what(self)),
            ),
            errno => Error::os(errno as i32, format_args!("write to {}", Sink::what(self))),
        })
    }
}

fn capacity(fd: BorrowedFd<'_>) -> Result<usize> {
    let size = fcntl(fd, FcntlArg::F_GETPIPE_SZ);
    size.map(|size| usize::try_from(size).unwrap_or(0))
        .map_err(|errno| Error::os(errno as i32, format_args!("ask pipe {} for its capacity", fd.as_raw_fd())))
}

fn set_capacity(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize> {
    let set = match i32::try_from(bytes) {
        Ok(0) | Err(_) => Err(Errno::EINVAL),
        Ok(bytes) => fcntl(fd, FcntlArg::F_SETPIPE_SZ(bytes)),
    };
    let tried = || format!("give pipe {} a capacity of {bytes} bytes", fd.as_raw_fd());
    set.map(|size| usize::try_from(size).unwrap_or(0)).map_err(|errno| match errno {
        Errno::EPERM => {
            let most = std::fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap_or_default();
            let sentence = format!(
                "{}: without CAP_SYS_RESOURCE the most is {}, from /proc/sys/fs/pipe-max-size",
                tried(),
                most.trim()
            );
            Error::new(ErrorKind::Permission, sentence)
        }
        Errno::EBUSY => Error::new(ErrorKind::Busy, format!("{}: more than that is in it; read first", tried())),
        Errno::EINVAL => Error::new(ErrorKind::Invalid, format!("{}: give 1 to {} bytes", tried(), i32::MAX)),
        errno => Error::os(errno as i32, tried()),
    })
}

macro_rules! end {
    ($End:ident, $($field:ident: $value:expr),*) => {
        /// A descriptor of a pipe, as it is: whether it is the right end shows at the first use.
        impl From<OwnedFd> for $End {
            fn from(fd: OwnedFd) -> $End {
                $End { fd, $($field: $value),* }
            }
        }

        /// What is kept of a message that is not whole is lost.
        impl From<$End> for OwnedFd {
            fn from(end: $End) -> OwnedFd {
                end.fd
            }
        }

        impl AsFd for $End {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }

        impl fmt::Debug for $End {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($End)).field(&self.fd.as_raw_fd()).finish()
            }
        }
    };
}

end!(PipeReader, inbox: Inbox::default());
end!(PipeWriter, outbox: Outbox::default(), sigpipe: Sigpipe::of_program());

impl From<io::PipeReader> for PipeReader {
    fn from(end: io::PipeReader) -> PipeReader {
        OwnedFd::from(end).into()
    }
}

impl From<io::PipeWriter> for PipeWriter {
    fn from(end: io::PipeWriter) -> PipeWriter {
        OwnedFd::from(end).into()
    }
}

impl io::Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(PipeReader::read(self, buffer)?)
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
