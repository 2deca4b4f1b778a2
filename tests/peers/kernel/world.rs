//! Less privilege, and a world of its own: limits that nobody else meets.

/// The user of least privilege.
const NOBODY: u32 = 65534;

/// Moves this process, which has one thread, into namespaces of its own: of System V objects and POSIX queues, and of
/// mounts. False where it may not.
pub fn own_world() -> bool {
    // SAFETY: unshare and mount change this process only; the strings end with NUL.
    unsafe {
        libc::unshare(libc::CLONE_NEWIPC | libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    }
}

/// Becomes a user without privileges for good. False where it may not.
pub fn nobody() -> bool {
    // SAFETY: both change this process only.
    unsafe { libc::setgid(NOBODY) == 0 && libc::setuid(NOBODY) == 0 }
}
