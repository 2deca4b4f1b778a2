//! The kernel's own structure of a queue: the C libraries name its fields differently.

use crate::kernel::sysv_status::{Permissions, Status};
use libc::{c_int, c_long, c_ulong};
use nix::errno::Errno;

/// The kernel's `msqid64_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueStatus {
    pub(super) permissions: Permissions,
    pub(super) stime: c_long,
    pub(super) rtime: c_long,
    pub(super) ctime: c_long,
    pub(super) bytes: c_ulong,
    pub(super) messages: c_ulong,
    pub(super) max_bytes: c_ulong,
    pub(super) last_sender: c_int,
    pub(super) last_receiver: c_int,
    unused: [c_ulong; 2],
}

const _: () = assert!(size_of::<QueueStatus>() == 120 && size_of::<libc::msginfo>() <= size_of::<QueueStatus>());

impl Status for QueueStatus {
    const CALL: c_long = libc::SYS_msgctl;
    const INFO: c_int = libc::MSG_INFO;
    const STAT: c_int = libc::MSG_STAT;
    const STAT_ANY: c_int = 13;
    const WHAT: &'static str = "System V queues";

    unsafe fn control(id: c_int, command: c_int, to: *mut Self) -> nix::Result<c_int> {
        // SAFETY: passed on. The system call itself takes the kernel's structure.
        Errno::result(unsafe { libc::syscall(Self::CALL, id, command, to) }).map(|n| n as c_int)
    }
}
