//! What the kernel tells about System V queues: one, and all of them, as `ipcs -q` does.

use super::status::QueueStatus;
use super::{SysvQueue, message};
use crate::error::Result;
use crate::kernel::sysv_key::SysvKey;
use crate::kernel::sysv_status::{status, table};
use nix::errno::Errno;
use std::mem::MaybeUninit;

/// What the kernel tells about a System V queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysvQueueInfo {
    /// Its number.
    pub id: i32,
    /// Its key.
    pub key: SysvKey,
    /// Who may use it: the bits of its mode.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many messages are in it.
    pub messages: u64,
    /// Bytes in all its messages.
    pub bytes: u64,
    /// How many bytes it holds.
    pub max_bytes: u64,
    /// The process that sent the last message; 0: none yet.
    pub last_sender: u32,
    /// The process that received the last message; 0: none yet.
    pub last_receiver: u32,
    /// When the last message was sent, in seconds since 1970; 0: not yet.
    pub sent_at: i64,
    /// When the last message was received, in seconds since 1970; 0: not yet.
    pub received_at: i64,
}

impl SysvQueueInfo {
    fn new(id: libc::c_int, status: &QueueStatus) -> SysvQueueInfo {
        SysvQueueInfo {
            id,
            key: status.permissions.key(),
            mode: status.permissions.access(),
            uid: status.permissions.uid,
            gid: status.permissions.gid,
            messages: status.messages,
            bytes: status.bytes,
            max_bytes: status.max_bytes,
            last_sender: u32::try_from(status.last_sender).unwrap_or(0),
            last_receiver: u32::try_from(status.last_receiver).unwrap_or(0),
            sent_at: status.stime,
            received_at: status.rtime,
        }
    }
}

impl SysvQueue {
    /// What the kernel tells about this queue at this moment.
    ///
    /// # Errors
    ///
    /// [`Removed`](crate::ErrorKind::Removed); [`Permission`](crate::ErrorKind::Permission) for who may not receive.
    pub fn info(&self) -> Result<SysvQueueInfo> {
        let status = stat(self.id).map_err(|errno| self.failed(errno, format!("state of {self}"), "reading"))?;
        Ok(SysvQueueInfo::new(self.id, &status))
    }

    /// How many messages are in it at this moment; 0 if it was removed, or may not be read.
    pub fn len(&self) -> usize {
        stat(self.id).map_or(0, |status| status.messages as usize)
    }

    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest message in bytes at this moment, in any queue: `/proc/sys/kernel/msgmax`. A buffer to receive into is
    /// never too small with so many.
    pub fn message_size(&self) -> usize {
        limits().ok().and_then(|limits| usize::try_from(limits.msgmax).ok()).unwrap_or(message::SMALL)
    }

    /// All System V queues of this system (of this container), by number; before Linux 4.17 only those that this process
    /// may read.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the system has no such queues.
    pub fn list() -> Result<Vec<SysvQueueInfo>> {
        let mut all: Vec<_> = table()?.iter().map(|(id, status)| SysvQueueInfo::new(*id, status)).collect();
        all.sort_by_key(|queue| queue.id);
        Ok(all)
    }
}

/// What IPC_STAT tells. EACCES for who may not read.
pub(super) fn stat(id: libc::c_int) -> nix::Result<QueueStatus> {
    status(id, libc::IPC_STAT).map(|(_, status)| status)
}

fn limits() -> nix::Result<libc::msginfo> {
    let mut limits = MaybeUninit::<libc::msginfo>::zeroed();
    // SAFETY: IPC_INFO writes a msginfo, for which there is room; the number of the queue does not matter.
    Errno::result(unsafe { libc::msgctl(0, libc::IPC_INFO, limits.as_mut_ptr().cast()) })?;
    // SAFETY: zeros, overwritten by the kernel: integers either way.
    Ok(unsafe { limits.assume_init() })
}
