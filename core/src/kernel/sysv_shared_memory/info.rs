//! A row of the table of segments.

use crate::kernel::SysvKey;
use crate::kernel::sysv_status::MemoryStatus;

/// What the kernel knows about one System V shared memory segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SysvSharedMemoryInfo {
    /// Its identifier.
    pub id: i32,
    /// Its key; private for one without, and for one that was removed and is still attached.
    pub key: SysvKey,
    /// How many bytes it has.
    pub size: usize,
    /// How many attachments there are: processes, counted once for each time they attached it.
    pub attached: usize,
    /// Who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// Its access mode, nine bits.
    pub mode: u32,
    /// Was it removed? Then it goes with the last attachment.
    pub removed: bool,
    /// The process that made it.
    pub creator_pid: u32,
    /// The process that attached or detached it last; 0 if nobody did.
    pub last_pid: u32,
    /// When somebody last attached it, in seconds since 1970; 0: not yet.
    pub attached_at: i64,
    /// When somebody last detached it, in seconds since 1970; 0: not yet.
    pub detached_at: i64,
    /// When it was made, or its mode changed, in seconds since 1970.
    pub changed_at: i64,
}

/// `SHM_DEST`: to be destroyed with the last attachment.
const DESTROYED: u32 = 0o1000;

impl SysvSharedMemoryInfo {
    pub(super) fn of(id: i32, status: &MemoryStatus) -> SysvSharedMemoryInfo {
        let permissions = &status.permissions;
        SysvSharedMemoryInfo {
            id,
            key: permissions.key(),
            size: status.size,
            attached: usize::try_from(status.attached).unwrap_or(usize::MAX),
            uid: permissions.uid,
            gid: permissions.gid,
            mode: permissions.access(),
            removed: permissions.mode & DESTROYED != 0,
            creator_pid: u32::try_from(status.cpid).unwrap_or(0),
            last_pid: u32::try_from(status.lpid).unwrap_or(0),
            attached_at: status.atime,
            detached_at: status.dtime,
            changed_at: status.ctime,
        }
    }
}
