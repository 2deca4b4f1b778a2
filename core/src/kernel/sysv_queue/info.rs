//! What the kernel tells about System V queues: one, and all of them, as `ipcs -q` does.

use super::{SysvQueue, message};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::sysv_key::SysvKey;
use nix::errno::Errno;
use std::mem::MaybeUninit;

/// msgctl(2): the queue at a place of the kernel's table, also if it may not be read. Linux 4.17; libc has no name for it.
const MSG_STAT_ANY: libc::c_int = 13;

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
    fn new(id: libc::c_int, stat: &libc::msqid_ds) -> SysvQueueInfo {
        SysvQueueInfo {
            id,
            key: SysvKey::new(stat.msg_perm.__key),
            mode: u32::from(stat.msg_perm.mode) & 0o777,
            uid: stat.msg_perm.uid,
            gid: stat.msg_perm.gid,
            messages: stat.msg_qnum,
            bytes: stat.__msg_cbytes,
            max_bytes: stat.msg_qbytes,
            last_sender: u32::try_from(stat.msg_lspid).unwrap_or(0),
            last_receiver: u32::try_from(stat.msg_lrpid).unwrap_or(0),
            sent_at: stat.msg_stime,
            received_at: stat.msg_rtime,
        }
    }
}

impl SysvQueue {
    /// What the kernel tells about this queue at this moment.
    ///
    /// # Errors
    ///
    /// [`Removed`](ErrorKind::Removed); [`Permission`](ErrorKind::Permission) for who may not receive.
    pub fn info(&self) -> Result<SysvQueueInfo> {
        let stat = stat(self.id).map_err(|errno| self.failed(errno, format!("state of {self}"), "reading"))?;
        Ok(SysvQueueInfo::new(self.id, &stat))
    }

    /// How many messages are in it at this moment; 0 if it was removed, or may not be read.
    pub fn len(&self) -> usize {
        stat(self.id).map_or(0, |stat| stat.msg_qnum as usize)
    }

    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest message in bytes at this moment, in any queue: `/proc/sys/kernel/msgmax`. A buffer to receive into is
    /// never too small with so many.
    pub fn message_size(&self) -> usize {
        limits(libc::IPC_INFO)
            .ok()
            .and_then(|(_, limits)| usize::try_from(limits.msgmax).ok())
            .unwrap_or(message::SMALL)
    }

    /// All System V queues of this system (of this container), by number; before Linux 4.17 only those that this process
    /// may read.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) where the system has no such queues.
    pub fn list() -> Result<Vec<SysvQueueInfo>> {
        let (last, _) = limits(libc::MSG_INFO).map_err(|errno| match errno {
            Errno::ENOSYS => Error::new(ErrorKind::Unsupported, "list System V queues: this system has none"),
            errno => Error::os(errno as i32, "list System V queues"),
        })?;
        let mut all: Vec<_> = (0..=last)
            .filter_map(|place| ctl(place, MSG_STAT_ANY).or_else(|_| ctl(place, libc::MSG_STAT)).ok()) // free places fail
            .map(|(id, stat)| SysvQueueInfo::new(id, &stat))
            .collect();
        all.sort_by_key(|queue| queue.id);
        Ok(all)
    }
}

/// What IPC_STAT tells. EACCES for who may not read.
pub(super) fn stat(id: libc::c_int) -> nix::Result<libc::msqid_ds> {
    ctl(id, libc::IPC_STAT).map(|(_, stat)| stat)
}

/// The limits, and the highest place in use in the kernel's table: IPC_INFO or MSG_INFO.
fn limits(command: libc::c_int) -> nix::Result<(libc::c_int, libc::msginfo)> {
    let mut limits = MaybeUninit::<libc::msginfo>::zeroed();
    // SAFETY: both commands write a msginfo, for which there is room; the number of the queue does not matter.
    let last = Errno::result(unsafe { libc::msgctl(0, command, limits.as_mut_ptr().cast()) })?;
    // SAFETY: zeros, overwritten by the kernel: integers either way.
    Ok((last, unsafe { limits.assume_init() }))
}

fn ctl(id: libc::c_int, command: libc::c_int) -> nix::Result<(libc::c_int, libc::msqid_ds)> {
    let mut stat = MaybeUninit::<libc::msqid_ds>::zeroed();
    // SAFETY: each of the three commands writes a msqid_ds, which is a local.
    let answer = Errno::result(unsafe { libc::msgctl(id, command, stat.as_mut_ptr()) })?;
    // SAFETY: zeros, overwritten by the kernel: integers either way.
    Ok((answer, unsafe { stat.assume_init() }))
}
