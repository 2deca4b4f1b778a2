//! Processes as the kernel sees them: who we are, and whether a pid still names the one that joined.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// What identifies this process to others, as written into its participant slot.
pub struct Myself {
    /// Its pid, in its own pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// When it started, in clock ticks since boot: tells it from a later process with the same pid.
    pub start_ticks: u64,
    /// See [`pid_namespace`].
    pub pidns: u64,
    /// The name of its program, as `ps` shows it.
    pub name: String,
}

/// Who is asking.
pub fn myself() -> Myself {
    let pid = std::process::id();
    Myself {
        pid,
        uid: effective_uid(),
        start_ticks: start_ticks("self").unwrap_or(0),
        pidns: pid_namespace(),
        name: fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end().to_string(),
    }
}

/// The calling thread's id in the system.
pub fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw() as u32
}

/// The effective user of this process.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// A number for what pids and start times mean to this process: its pid and time namespaces. 0, which equals
/// nothing, if /proc is missing or shows another namespace's processes.
pub fn pid_namespace() -> u64 {
    let proc_is_ours =
        fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str());
    if !proc_is_ours {
        return 0;
    }
    let inode = |name: &str| fs::metadata(format!("/proc/self/ns/{name}")).map_or(0, |m| m.ino());
    // Start times are shifted by the reader's time namespace. Kernels before 5.6 have none.
    inode("pid") << 32 | inode("time") & 0xFFFF_FFFF
}

/// Field 22 of /proc/PID/stat. The program's name stands in parentheses before it and may hold anything.
fn start_ticks(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A descriptor of the process that has this pid now.
fn pidfd_open(pid: u32) -> std::io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| std::io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: pidfd_open takes a pid and flags and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// A descriptor that becomes readable when the process that had this pid and started then has ended.
pub fn pidfd(pid: u32, start: u64) -> Option<OwnedFd> {
    let fd = pidfd_open(pid).ok()?;
    (start_ticks(&pid.to_string()) == Some(start)).then_some(fd)
}

/// Is the process that had this pid and started then gone? False when in doubt.
pub fn is_gone(pid: u32, start: u64) -> bool {
    let pidfd = match pidfd_open(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => return error.raw_os_error() == Some(libc::ESRCH),
    };
    // The descriptor is of the process that has the pid *now*; the start time tells whether it is the same.
    if start_ticks(&pid.to_string()).is_some_and(|now| start != 0 && now != start) {
        return true;
    }
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1))
}

/// Runs `f` with all signals blocked, which a thread that it starts inherits.
pub fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: an all-zero sigset_t is one; both sets are ours and outlive the calls.
    unsafe {
        let (mut all, mut before) = std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let answer = f();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        answer
    }
}

/// A number for this boot of the machine.
pub fn boot_hash() -> u64 {
    let id = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // FNV-1a.
    id.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// 128 random bits.
pub fn nonce() -> [u64; 2] {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer is ours and 16 bytes long. Short answers and errors leave zeros, which are valid too:
    // the nonce only makes names of companions unlikely to clash.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    let (a, b) = bytes.split_at(8);
    let word = |half: &[u8]| half.iter().rev().fold(0u64, |w, b| w << 8 | u64::from(*b));
    [word(a), word(b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone_and_a_later_namesake_is_another() {
        let me = myself();
        assert!(me.start_ticks > 0);
        assert!(!is_gone(me.pid, me.start_ticks));
        assert!(is_gone(me.pid, me.start_ticks + 1));
    }

    #[test]
    fn a_reaped_child_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(is_gone(pid, 0));
    }

    #[test]
    fn impossible_pids_are_never_called_gone() {
        assert!(!is_gone(0, 1) && !is_gone(u32::MAX, 1));
    }
}
