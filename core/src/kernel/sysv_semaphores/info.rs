//! What the kernel tells about a set and its semaphores.

use crate::kernel::SysvKey;
use crate::kernel::sysv_status::SetStatus;

/// One semaphore of a set, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SysvSemaphoreInfo {
    /// Its value.
    pub value: u16,
    /// How many processes wait for permits.
    pub waiting: u32,
    /// How many processes wait for the value 0.
    pub waiting_for_zero: u32,
    /// The process that changed it last; 0 if nobody did.
    pub last_pid: u32,
}

/// A row of the table of sets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SysvSemaphoresInfo {
    /// Its identifier.
    pub id: i32,
    /// Its key; private for one without.
    pub key: SysvKey,
    /// How many semaphores it has.
    pub count: usize,
    /// Who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// Its access mode, nine bits.
    pub mode: u32,
    /// When somebody last operated on it, in seconds since 1970; 0: not yet.
    pub operated_at: i64,
    /// When it was made, or its values or mode were last set, in seconds since 1970.
    pub changed_at: i64,
}

impl SysvSemaphoresInfo {
    pub(super) fn of(id: i32, status: &SetStatus) -> SysvSemaphoresInfo {
        let permissions = &status.permissions;
        SysvSemaphoresInfo {
            id,
            key: permissions.key(),
            count: usize::try_from(status.count).unwrap_or(usize::MAX),
            uid: permissions.uid,
            gid: permissions.gid,
            mode: permissions.access(),
            operated_at: status.otime,
            changed_at: status.ctime,
        }
    }
}
