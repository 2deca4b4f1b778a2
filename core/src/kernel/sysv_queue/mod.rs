//! System V message queues (sysvipc(7)).
//!
//! # What the kernel guarantees
//!
//! A message is sent and received whole, and once. Each has a type, a number from 1 on, by which receivers choose; among
//! those they choose from, the one that was sent first comes first. Concurrent senders and receivers need no lock of
//! their own.
//!
//! # What is left
//!
//! A queue and its messages stay when all its users have ended, also when they were killed, until somebody removes it
//! or the machine restarts. Who dies inside a call has sent, or received, its message or not at all.
//!
//! # How it waits
//!
//! For ever in msgsnd(2) and msgrcv(2). There is no timed form and no descriptor to poll, so a deadline is IPC_NOWAIT
//! again and again, after pauses that grow from 50 µs to 4 ms.
//!
//! # Copies
//!
//! The kernel wants a message's type right before its bytes, which stand alone in a caller's buffer. So they are copied
//! once more on this side, by way of the stack up to 8 KiB, the usual maximum; a larger one costs an allocation.

mod info;
mod message;
mod open;
mod status;
#[cfg(all(test, not(loom)))]
mod tests;

pub use info::SysvQueueInfo;
pub use open::SysvQueueOptions;

use super::owned::Owned;
use super::sysctl::Sysctl;
use super::sysv_key::SysvKey;
use super::wait::{restarting, retrying};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::process::effective_uid;
use nix::errno::Errno;
use std::fmt;

const MSGMAX: Sysctl = Sysctl("kernel/msgmax");
const MSGMNB: Sysctl = Sysctl("kernel/msgmnb");
const MSGMNI: Sysctl = Sysctl("kernel/msgmni");

/// Which message to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SysvSelect {
    /// The first one. As `msgtyp` 0 of msgrcv(2).
    #[default]
    Any,
    /// The first one of this type. As `msgtyp` > 0.
    Type(i64),
    /// The first one of the lowest type from 1 up to this one. As `msgtyp` < 0.
    UpTo(i64),
    /// The first one of another type than this. As `MSG_EXCEPT`.
    Except(i64),
}

impl SysvSelect {
    /// `msgtyp` and the flags.
    fn arguments(self) -> Option<(libc::c_long, libc::c_int)> {
        match self {
            SysvSelect::Any => Some((0, 0)),
            SysvSelect::Type(n @ 1..) => Some((n, 0)),
            SysvSelect::UpTo(n @ 1..) => Some((-n, 0)),
            SysvSelect::Except(n @ 1..) => Some((n, libc::MSG_EXCEPT)),
            _ => None,
        }
    }
}

/// A System V message queue: messages with a type each, from any number of senders to any number of receivers, which
/// may choose by type.
///
/// Processes find it by its [`SysvKey`], or by its number; they need not be related. Messages go one way: for an answer
/// there is a second queue, or a type that only the asker receives. Threads may share a handle, a forked child goes on
/// using its parent's. There is no descriptor.
///
/// ```
/// use triveni::kernel::{SysvKey, SysvQueue, SysvSelect};
/// # fn main() -> triveni::Result<()> {
/// let queue = SysvQueue::create(SysvKey::PRIVATE)?;
/// queue.send(b"a word")?; // of type 1
/// queue.send_with(b"a number", 7)?;
///
/// let same = SysvQueue::open_id(queue.id())?; // in any process
/// let mut message = [0; 64];
/// assert_eq!(same.receive_selected(SysvSelect::Type(7), &mut message)?, (8, 7));
/// assert_eq!(same.receive(&mut message)?, 6);
/// assert_eq!(same.try_receive(&mut message)?, None);
/// queue.remove()
/// # }
/// ```
pub struct SysvQueue {
    id: libc::c_int,
    key: SysvKey,
    _owned: Option<Owned>,
}

impl SysvQueue {
    /// Sends a copy of `message` with type 1; waits for room for ever. An empty message is a message.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond `/proc/sys/kernel/msgmax`, or for more than the queue can ever hold;
    /// [`Removed`](ErrorKind::Removed) if the queue is removed, also while this waits; [`Permission`](ErrorKind::Permission).
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_with_until(message, 1, Deadline::never())
    }

    /// Sends a copy of `message` if there is room; says whether it did.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::send`].
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.try_send_with(message, 1)
    }

    /// Sends a copy of `message`; waits for room until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::send`], [`Timeout`](ErrorKind::Timeout), and [`Interrupted`](ErrorKind::Interrupted) if the
    /// deadline is interruptible.
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.send_with_until(message, 1, deadline)
    }

    /// As [`SysvQueue::send`], with a type from 1 on.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::send`]; [`Invalid`](ErrorKind::Invalid) for a type below 1.
    #[inline]
    pub fn send_with(&self, message: &[u8], mtype: i64) -> Result<()> {
        self.send_with_until(message, mtype, Deadline::never())
    }

    /// As [`SysvQueue::try_send`], with a type.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::send_with`].
    #[inline]
    pub fn try_send_with(&self, message: &[u8], mtype: i64) -> Result<bool> {
        message::packed(mtype, message, |packed| self.send_now(packed, Deadline::now()))?.map(|sent| sent.is_some())
    }

    /// As [`SysvQueue::send_until`], with a type.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::send_until`] and [`SysvQueue::send_with`].
    pub fn send_with_until(&self, message: &[u8], mtype: i64, deadline: Deadline) -> Result<()> {
        message::packed(mtype, message, |packed| {
            if !deadline.is_never() {
                return retrying(deadline, || self.send_now(packed, deadline));
            }
            // First without waiting: for a message longer than the whole queue the kernel would wait for ever.
            if self.send_now(packed, deadline)?.is_some() {
                return Ok(());
            }
            match restarting(deadline, || packed.send(self.id, 0)) {
                Ok(()) => Ok(()),
                Err(errno) => Err(self.not_sent(errno, packed)),
            }
        })?
    }

    /// Receives the first message into `buffer`; waits for one for ever. Returns its size.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) if the message is larger than the buffer: it stays where it is;
    /// [`Removed`](ErrorKind::Removed) if the queue is removed, also while this waits; [`Permission`](ErrorKind::Permission).
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.receive_selected_until(SysvSelect::Any, buffer, Deadline::never())?.0)
    }

    /// Receives the first message if there is one.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::receive`].
    #[inline]
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        Ok(self.try_receive_selected(SysvSelect::Any, buffer)?.map(|(size, _)| size))
    }

    /// Receives the first message; waits for one until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::receive`], [`Timeout`](ErrorKind::Timeout), and [`Interrupted`](ErrorKind::Interrupted) if the
    /// deadline is interruptible.
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        Ok(self.receive_selected_until(SysvSelect::Any, buffer, deadline)?.0)
    }

    /// As [`SysvQueue::receive`], of the message that `select` says, with its type: `(size, mtype)`.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::receive`]; [`Invalid`](ErrorKind::Invalid) for a type below 1.
    #[inline]
    pub fn receive_selected(&self, select: SysvSelect, buffer: &mut [u8]) -> Result<(usize, i64)> {
        self.receive_selected_until(select, buffer, Deadline::never())
    }

    /// As [`SysvQueue::try_receive`], of the message that `select` says, with its type.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::receive_selected`].
    #[inline]
    pub fn try_receive_selected(&self, select: SysvSelect, buffer: &mut [u8]) -> Result<Option<(usize, i64)>> {
        self.receive_now(select, buffer, Deadline::now())
    }

    /// As [`SysvQueue::receive_until`], of the message that `select` says, with its type.
    ///
    /// # Errors
    ///
    /// As [`SysvQueue::receive_until`] and [`SysvQueue::receive_selected`].
    pub fn receive_selected_until(
        &self,
        select: SysvSelect,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<(usize, i64)> {
        if !deadline.is_never() {
            return retrying(deadline, || self.receive_now(select, buffer, deadline));
        }
        let (mtype, flags) = self.arguments(select)?;
        restarting(deadline, || message::receive(self.id, buffer, mtype, flags))
            .map_err(|errno| self.not_received(errno, buffer.len()))
    }

    fn send_now(&self, packed: message::Packed<'_>, deadline: Deadline) -> Result<Option<()>> {
        match restarting(deadline, || packed.send(self.id, libc::IPC_NOWAIT)) {
            Ok(()) => Ok(Some(())),
            Err(Errno::EAGAIN) => match self.holds_at_most() {
                Some(most) if (packed.size as u64) > most => Err(self.never_fits(packed.size, most)),
                _ => Ok(None),
            },
            Err(errno) => Err(self.not_sent(errno, packed)),
        }
    }

    fn receive_now(&self, select: SysvSelect, buffer: &mut [u8], deadline: Deadline) -> Result<Option<(usize, i64)>> {
        let (mtype, flags) = self.arguments(select)?;
        match restarting(deadline, || message::receive(self.id, buffer, mtype, flags | libc::IPC_NOWAIT)) {
            Ok(received) => Ok(Some(received)),
            Err(Errno::ENOMSG | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(self.not_received(errno, buffer.len())),
        }
    }

    fn arguments(&self, select: SysvSelect) -> Result<(libc::c_long, libc::c_int)> {
        select.arguments().ok_or_else(|| {
            let message = format!("receive from {self}: there is no {select:?}; types are numbers from 1 on");
            Error::new(ErrorKind::Invalid, message)
        })
    }

    /// How many bytes of messages it may hold at this moment; `None` if this process may not know.
    fn holds_at_most(&self) -> Option<u64> {
        info::stat(self.id).ok().map(|status| status.max_bytes)
    }

    #[cold]
    fn never_fits(&self, size: usize, most: u64) -> Error {
        Error::new(
            ErrorKind::TooLarge,
            format!(
                "send {size} bytes to {self}: it holds {most} bytes in all, so this would wait for ever; set_max_bytes makes it larger (beyond {MSGMNB} with CAP_SYS_RESOURCE)"
            ),
        )
    }

    #[cold]
    fn not_sent(&self, errno: Errno, packed: message::Packed<'_>) -> Error {
        let (size, mtype) = (packed.size, packed.mtype);
        match errno {
            Errno::EINVAL if mtype < 1 => Error::new(
                ErrorKind::Invalid,
                format!("send to {self}: type {mtype} cannot be; types are numbers from 1 on"),
            ),
            Errno::EINVAL if size > self.message_size() => Error::new(
                ErrorKind::TooLarge,
                format!("send {size} bytes to {self}: {MSGMAX}; send in parts, or raise it (sysctl kernel.msgmax)"),
            ),
            errno => self.failed(errno, format!("send {size} bytes to {self}"), "writing"),
        }
    }

    #[cold]
    fn not_received(&self, errno: Errno, room: usize) -> Error {
        match errno {
            Errno::E2BIG => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "receive from {self}: the message is larger than the buffer of {room} bytes; it stays in the queue; {MSGMAX}, a buffer of so many takes any"
                ),
            ),
            errno => self.failed(errno, format!("receive from {self}"), "reading"),
        }
    }

    /// What any call may be refused for.
    #[cold]
    fn failed(&self, errno: Errno, tried: String, purpose: &str) -> Error {
        match errno {
            // EINVAL: the number is nobody's any more.
            Errno::EIDRM | Errno::EINVAL => {
                Error::new(ErrorKind::Removed, format!("{tried}: the queue was removed; make it anew"))
            }
            Errno::EACCES | Errno::EPERM => {
                let me = effective_uid();
                let whose = match info::stat(self.id) {
                    Ok(status) => {
                        let permissions = status.permissions;
                        format!("it is user {}'s with mode {:03o}", permissions.uid, permissions.access())
                    }
                    Err(_) => "its mode says no".to_string(),
                };
                let message = format!("{tried}: {whose}, and you are user {me}; {purpose} is for others");
                Error::new(ErrorKind::Permission, message)
            }
            errno => Error::os(errno as i32, tried),
        }
    }

    /// The number by which any process can attach: [`SysvQueue::open_id`].
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was opened with; [`SysvKey::PRIVATE`] if it has none, or was found by its number and may not be read.
    pub fn key(&self) -> SysvKey {
        self.key
    }
}

/// As in sentences: `System V queue 3 (key 0x4c414230)`.
impl fmt::Display for SysvQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System V queue {} (key {})", self.id, self.key)
    }
}

impl fmt::Debug for SysvQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SysvQueue").field("id", &self.id).field("key", &self.key).finish()
    }
}
