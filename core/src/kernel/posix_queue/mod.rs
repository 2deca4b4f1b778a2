//! POSIX message queues (mq_overview(7)).
//!
//! # What the kernel guarantees
//!
//! A message is sent and received whole, and once. Those of a higher priority come first, those of the same in the order
//! in which they were sent. Concurrent senders and receivers need no lock of their own.
//!
//! # What is left
//!
//! A queue and its messages stay when all its users have ended, also when they were killed, until somebody removes the
//! name or the machine restarts. Who dies inside a call has sent, or received, its message or not at all.
//!
//! # How it waits
//!
//! The try form is mq_timedsend(3) or mq_timedreceive(3) with a time that has passed, so that the description, which
//! forked children and plain programs may share, stays blocking. Deadlines are poll(2) on the queue's descriptor: the
//! timed calls themselves go by the clock of the day, which can be set.

mod info;
mod open;
#[cfg(all(test, not(loom)))]
mod tests;

pub use info::PosixQueueInfo;
pub use open::{PosixQueueOptions, QueueAccess};

use super::owned::Owned;
use super::wait::{restarting, waiting};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// A moment that has passed: a timed call with it does not wait.
const PASSED: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// A POSIX message queue: messages of up to `message_size` bytes with a priority each, from any number of senders to any
/// number of receivers.
///
/// Processes find it by its name, `/lab` or `lab`; they need not be related. Messages go one way: for an answer there
/// is a second queue. Threads may share a handle, a forked child goes on using its parent's. A [`WaitSet`](crate::WaitSet),
/// poll(2) and select(2) can wait for its descriptor.
///
/// ```
/// use triveni::kernel::{PosixQueue, PosixQueueOptions};
/// # fn main() -> triveni::Result<()> {
/// # let name = format!("/triveni-doc-{}", std::process::id());
/// let queue = PosixQueueOptions::new().capacity(4).message_size(64).create(&name)?;
/// queue.send(b"later")?;
/// queue.send_with(b"urgent", 9)?;
///
/// let same = PosixQueue::open(&name)?; // in any process
/// let mut message = [0; 64];
/// assert_eq!(same.receive_envelope(&mut message)?, (6, 9));
/// assert_eq!(same.receive(&mut message)?, 5);
/// assert_eq!(same.try_receive(&mut message)?, None);
/// PosixQueue::unlink(&name)
/// # }
/// ```
pub struct PosixQueue {
    fd: OwnedFd,
    /// With its slash.
    name: Box<str>,
    /// Does not change as long as the queue is there.
    message_size: usize,
    capacity: usize,
    _owned: Option<Owned>,
}

impl PosixQueue {
    /// The highest priority there is on Linux; POSIX promises 31.
    pub const MAX_PRIORITY: u32 = 32767;

    /// Sends a copy of `message` with priority 0; waits for room for ever. An empty message is a message.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) for more than [`message_size`](PosixQueue::message_size) bytes; `EBADF` if the
    /// queue was opened for receiving only.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_with_until(message, 0, Deadline::never())
    }

    /// Sends a copy of `message` if there is room; says whether it did.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::send`].
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.try_send_with(message, 0)
    }

    /// Sends a copy of `message`; waits for room until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::send`], [`Timeout`](ErrorKind::Timeout), and [`Interrupted`](ErrorKind::Interrupted) if the
    /// deadline is interruptible.
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.send_with_until(message, 0, deadline)
    }

    /// As [`PosixQueue::send`], with a priority from 0 to [`PosixQueue::MAX_PRIORITY`]: the highest is received first.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::send`]; [`Invalid`](ErrorKind::Invalid) for a priority that is too high.
    #[inline]
    pub fn send_with(&self, message: &[u8], priority: u32) -> Result<()> {
        self.send_with_until(message, priority, Deadline::never())
    }

    /// As [`PosixQueue::try_send`], with a priority.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::send_with`].
    #[inline]
    pub fn try_send_with(&self, message: &[u8], priority: u32) -> Result<bool> {
        Ok(self.send_now(message, priority, Deadline::now())?.is_some())
    }

    /// As [`PosixQueue::send_until`], with a priority.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::send_until`] and [`PosixQueue::send_with`].
    pub fn send_with_until(&self, message: &[u8], priority: u32, deadline: Deadline) -> Result<()> {
        if deadline.is_never() {
            let (fd, at, size) = (self.raw(), message.as_ptr().cast(), message.len());
            // SAFETY: the descriptor is ours and open; `size` bytes at `at` are the message, which the kernel copies.
            let sent = restarting(deadline, || Errno::result(unsafe { libc::mq_send(fd, at, size, priority) }));
            match sent {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => {} // somebody set O_NONBLOCK on a description that came from elsewhere
                Err(errno) => return Err(self.not_sent(errno, message.len(), priority)),
            }
        }
        waiting(self.fd.as_fd(), PollFlags::POLLOUT, deadline, || self.send_now(message, priority, deadline))
    }

    /// Receives the first message of the highest priority into `buffer`, which must have room for the largest the queue
    /// takes; waits for one for ever. Returns its size.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) if the buffer is smaller than [`message_size`](PosixQueue::message_size):
    /// nothing is taken then; `EBADF` if the queue was opened for sending only.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        self.take_until(buffer, None, Deadline::never())
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::receive`].
    #[inline]
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.take_now(buffer, None, Deadline::now())
    }

    /// Receives a message; waits for one until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::receive`], [`Timeout`](ErrorKind::Timeout), and [`Interrupted`](ErrorKind::Interrupted) if the
    /// deadline is interruptible.
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.take_until(buffer, None, deadline)
    }

    /// As [`PosixQueue::receive`], with the message's priority: `(size, priority)`.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::receive`].
    #[inline]
    pub fn receive_envelope(&self, buffer: &mut [u8]) -> Result<(usize, u32)> {
        self.receive_envelope_until(buffer, Deadline::never())
    }

    /// As [`PosixQueue::try_receive`], with the message's priority.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::receive`].
    #[inline]
    pub fn try_receive_envelope(&self, buffer: &mut [u8]) -> Result<Option<(usize, u32)>> {
        let mut priority = 0;
        Ok(self.take_now(buffer, Some(&mut priority), Deadline::now())?.map(|size| (size, priority)))
    }

    /// As [`PosixQueue::receive_until`], with the message's priority.
    ///
    /// # Errors
    ///
    /// As [`PosixQueue::receive_until`].
    pub fn receive_envelope_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<(usize, u32)> {
        let mut priority = 0;
        let size = self.take_until(buffer, Some(&mut priority), deadline)?;
        Ok((size, priority))
    }

    fn take_until(&self, buffer: &mut [u8], mut priority: Option<&mut u32>, deadline: Deadline) -> Result<usize> {
        if deadline.is_never() {
            let (fd, at, room) = (self.raw(), buffer.as_mut_ptr().cast(), buffer.len());
            let priority = priority.as_deref_mut().map_or(ptr::null_mut(), ptr::from_mut);
            // SAFETY: the descriptor is ours and open; the kernel writes at most `room` bytes to the buffer, which we
            // hold exclusively, and the priority, if asked for, where it may.
            let size = restarting(deadline, || Errno::result(unsafe { libc::mq_receive(fd, at, room, priority) }));
            match size {
                Ok(size) => return Ok(size as usize),
                Err(Errno::EAGAIN) => {} // as in `send_with_until`
                Err(errno) => return Err(self.not_received(errno, buffer.len())),
            }
        }
        waiting(self.fd.as_fd(), PollFlags::POLLIN, deadline, || {
            self.take_now(buffer, priority.as_deref_mut(), deadline)
        })
    }

    fn send_now(&self, message: &[u8], priority: u32, deadline: Deadline) -> Result<Option<()>> {
        let (fd, at, size) = (self.raw(), message.as_ptr().cast(), message.len());
        let sent = restarting(deadline, || {
            // SAFETY: as `mq_send` above; `PASSED` is a valid time.
            Errno::result(unsafe { libc::mq_timedsend(fd, at, size, priority, &PASSED) })
        });
        match sent {
            Ok(_) => Ok(Some(())),
            Err(Errno::ETIMEDOUT | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(self.not_sent(errno, message.len(), priority)),
        }
    }

    fn take_now(&self, buffer: &mut [u8], priority: Option<&mut u32>, deadline: Deadline) -> Result<Option<usize>> {
        let priority = priority.map_or(ptr::null_mut(), ptr::from_mut);
        let (fd, at, room) = (self.raw(), buffer.as_mut_ptr().cast(), buffer.len());
        let size = restarting(deadline, || {
            // SAFETY: as `mq_receive` above; `PASSED` is a valid time.
            Errno::result(unsafe { libc::mq_timedreceive(fd, at, room, priority, &PASSED) })
        });
        match size {
            Ok(size) => Ok(Some(size as usize)),
            Err(Errno::ETIMEDOUT | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(self.not_received(errno, buffer.len())),
        }
    }

    #[cold]
    fn not_sent(&self, errno: Errno, size: usize, priority: u32) -> Error {
        let (name, most) = (&self.name, self.message_size);
        match errno {
            Errno::EMSGSIZE => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "send {size} bytes to POSIX queue {name:?}: its messages have {most} at most; create it with a larger message_size, or send in parts"
                ),
            ),
            Errno::EINVAL if priority > Self::MAX_PRIORITY => Error::new(
                ErrorKind::Invalid,
                format!(
                    "send to POSIX queue {name:?}: priority {priority} is too high; they go from 0 to {}",
                    Self::MAX_PRIORITY
                ),
            ),
            Errno::EBADF => {
                self.unfit(errno, "send to", libc::O_RDONLY, "which was opened for receiving only; open it for both")
            }
            _ => Error::os(errno as i32, format_args!("send {size} bytes to POSIX queue {name:?}")),
        }
    }

    #[cold]
    fn not_received(&self, errno: Errno, room: usize) -> Error {
        let (name, most) = (&self.name, self.message_size);
        match errno {
            Errno::EMSGSIZE => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "receive from POSIX queue {name:?}: the buffer has {room} bytes, and a message may have {most}; give it that many; no message was taken"
                ),
            ),
            Errno::EBADF => {
                self.unfit(errno, "receive from", libc::O_WRONLY, "which was opened for sending only; open it for both")
            }
            _ => Error::os(errno as i32, format_args!("receive from POSIX queue {name:?}")),
        }
    }

    /// The error of a descriptor that does not do: opened for the other direction, or not a queue's any more.
    #[cold]
    fn unfit(&self, errno: Errno, verb: &str, other: libc::c_int, opened: &str) -> Error {
        let name = &self.name;
        let flags = nix::fcntl::fcntl(&self.fd, nix::fcntl::FcntlArg::F_GETFL);
        let why = match flags {
            Ok(flags) if self.attributes().is_ok() && flags & libc::O_ACCMODE == other => opened,
            _ => "whose descriptor was closed by some other part of this program; open it anew",
        };
        Error::os(errno as i32, format_args!("{verb} POSIX queue {name:?}, {why}"))
    }

    /// Asks for the signal `signal`, carrying `value`, when a message comes to the queue while it is empty and nobody
    /// waits to receive it. Once: to be told again, ask again, and then receive what is there.
    ///
    /// The signal's `si_code` is `SI_MESGQ`. One process at a time can ask; this one's wish ends with it, and with a
    /// close of any descriptor of the queue in it. Without a signal, poll the descriptor.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if a process has asked and was not told yet; [`Invalid`](ErrorKind::Invalid) if there is
    /// no such signal.
    pub fn notify(&self, signal: i32, value: i32) -> Result<()> {
        // SAFETY: integers, a pointer that is a number to the kernel, and padding: zeros are a sigevent.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        // `sival_int` is the lower half of the union on a little-endian machine.
        event.sigev_value = libc::sigval { sival_ptr: value as u32 as usize as *mut libc::c_void };
        self.register(&event).map_err(|errno| match errno {
            Errno::EBUSY => Error::new(
                ErrorKind::Busy,
                format!(
                    "notify of POSIX queue {:?}: a process has asked already, and was not told yet; info() says which",
                    self.name
                ),
            ),
            Errno::EINVAL => {
                Error::new(ErrorKind::Invalid, format!("notify of POSIX queue {:?}: no signal {signal}", self.name))
            }
            errno => Error::os(errno as i32, format_args!("notify of POSIX queue {:?}", self.name)),
        })
    }

    /// Takes back what [`PosixQueue::notify`] asked; nothing happens if this process has not asked.
    ///
    /// # Errors
    ///
    /// `EBADF`: none on a handle that is open.
    pub fn cancel_notify(&self) -> Result<()> {
        self.register(std::ptr::null())
            .map_err(|errno| Error::os(errno as i32, format_args!("notify of POSIX queue {:?}", self.name)))
    }

    /// The system call itself: not every C library's wrapper is known to Rust.
    fn register(&self, event: *const libc::sigevent) -> nix::Result<()> {
        // SAFETY: the descriptor is ours and open; `event` is null or points to a whole sigevent, which the kernel reads.
        Errno::result(unsafe { libc::syscall(libc::SYS_mq_notify, self.raw(), event) }).map(drop)
    }

    /// How many messages are in it at this moment.
    pub fn len(&self) -> usize {
        self.attributes().map_or(0, |attributes| attributes.mq_curmsgs as usize)
    }

    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The largest message in bytes; a buffer to receive into has at least so many.
    pub fn message_size(&self) -> usize {
        self.message_size
    }

    /// Its name, with the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn raw(&self) -> libc::mqd_t {
        self.fd.as_raw_fd()
    }

    fn attributes(&self) -> nix::Result<libc::mq_attr> {
        info::attributes(self.fd.as_fd())
    }
}

/// Readable while there is a message, writable while there is room.
impl AsFd for PosixQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for PosixQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosixQueue")
            .field("name", &self.name)
            .field("fd", &self.fd.as_raw_fd())
            .field("messages", &self.len())
            .field("capacity", &self.capacity)
            .field("message_size", &self.message_size)
            .finish()
    }
}
