//! What the kernel says about System V semaphore sets and shared memory: its own structures, and walks over its tables.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::SysvKey;
use libc::{c_int, c_long, c_ulong};
use nix::errno::Errno;

/// The kernel's `ipc64_perm`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permissions {
    pub(crate) key: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) cuid: u32,
    pub(crate) cgid: u32,
    /// Above the nine bits of access there are flags.
    pub(crate) mode: u32,
    seq: u16,
    pad: u16,
    unused: [c_ulong; 2],
}

impl Permissions {
    pub(crate) fn key(&self) -> SysvKey {
        SysvKey::new(self.key)
    }

    pub(crate) fn access(&self) -> u32 {
        self.mode & 0o777
    }
}

/// The kernel's `semid64_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetStatus {
    pub(crate) permissions: Permissions,
    pub(crate) otime: c_long,
    #[cfg(target_arch = "x86_64")]
    unused1: c_ulong,
    pub(crate) ctime: c_long,
    #[cfg(target_arch = "x86_64")]
    unused2: c_ulong,
    pub(crate) count: c_ulong,
    unused: [c_ulong; 2],
}

/// The kernel's `shmid64_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryStatus {
    pub(crate) permissions: Permissions,
    pub(crate) size: usize,
    pub(crate) atime: c_long,
    pub(crate) dtime: c_long,
    pub(crate) ctime: c_long,
    pub(crate) cpid: c_int,
    pub(crate) lpid: c_int,
    pub(crate) attached: c_ulong,
    unused: [c_ulong; 2],
}

const _: () = assert!(size_of::<Permissions>() == 48 && size_of::<MemoryStatus>() == 112);
#[cfg(target_arch = "x86_64")]
const _: () = assert!(size_of::<SetStatus>() == 104);
#[cfg(not(target_arch = "x86_64"))]
const _: () = assert!(size_of::<SetStatus>() == 88);

/// What the two tables share.
pub(crate) trait Status: Copy {
    /// The number of semctl(2) or shmctl(2).
    const CALL: c_long;
    /// `SEM_INFO` or `SHM_INFO`: answers the highest index in use.
    const INFO: c_int;
    /// By index, for the readable ones; and for all, from Linux 4.17 on.
    const STAT: c_int;
    const STAT_ANY: c_int;
    const WHAT: &'static str;

    /// The call, whose arguments have another order in each.
    ///
    /// # Safety
    /// - `to` is null or has room for what `command` writes.
    unsafe fn control(id: c_int, command: c_int, to: *mut Self) -> nix::Result<c_int>;
}

impl Status for SetStatus {
    const CALL: c_long = libc::SYS_semctl;
    const INFO: c_int = 19;
    const STAT: c_int = 18;
    const STAT_ANY: c_int = 20;
    const WHAT: &'static str = "System V semaphores";

    unsafe fn control(id: c_int, command: c_int, to: *mut Self) -> nix::Result<c_int> {
        // SAFETY: passed on. The system call itself takes the kernel's structure.
        Errno::result(unsafe { libc::syscall(Self::CALL, id, 0, command, to) }).map(|n| n as c_int)
    }
}

impl Status for MemoryStatus {
    const CALL: c_long = libc::SYS_shmctl;
    const INFO: c_int = 14;
    const STAT: c_int = 13;
    const STAT_ANY: c_int = 15;
    const WHAT: &'static str = "System V shared memory";

    unsafe fn control(id: c_int, command: c_int, to: *mut Self) -> nix::Result<c_int> {
        // SAFETY: passed on. The system call itself takes the kernel's structure.
        Errno::result(unsafe { libc::syscall(Self::CALL, id, command, to) }).map(|n| n as c_int)
    }
}

/// What the kernel says about the object `id` (`command` is `IPC_STAT`), or about the one at an index of its table;
/// with its identifier, in the second case.
pub(crate) fn status<S: Status>(id: c_int, command: c_int) -> nix::Result<(c_int, S)> {
    let mut status = std::mem::MaybeUninit::<S>::zeroed();
    // SAFETY: room for the structure that these commands write.
    let answer = unsafe { S::control(id, command, status.as_mut_ptr()) }?;
    // SAFETY: all zeros is a value of these structures of numbers, and the kernel has filled it.
    Ok((answer, unsafe { status.assume_init() }))
}

/// The whole table: every object's identifier and status.
///
/// # Errors
/// `Unsupported` if the kernel has no System V IPC.
pub(crate) fn table<S: Status>() -> Result<Vec<(c_int, S)>> {
    // `seminfo` and `shm_info` are smaller than the status of an object (asserted in the tests).
    let highest = match status::<S>(0, S::INFO) {
        Ok((highest, _)) => highest,
        Err(Errno::ENOSYS) => return Err(missing(&format!("list {}", S::WHAT))),
        Err(errno) => return Err(Error::os(errno as i32, format_args!("list {}", S::WHAT))),
    };
    let at = |index| match status::<S>(index, S::STAT_ANY) {
        Err(Errno::EINVAL) => status::<S>(index, S::STAT), // no object there, or an older kernel
        found => found,
    };
    // What was removed meanwhile, or is not ours to see, is left out.
    Ok((0..=highest).filter_map(|index| at(index).ok()).collect())
}

/// The error of a system without System V IPC.
#[cold]
pub(crate) fn missing(tried: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{tried}: this kernel or container has no System V IPC (CONFIG_SYSVIPC); use the POSIX form"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_writes_more_than_there_is_room_for() {
        // `struct seminfo` has 10 ints, `struct shm_info` one int and 5 longs.
        assert!(size_of::<SetStatus>() >= 40 && size_of::<MemoryStatus>() >= 48);
    }
}
