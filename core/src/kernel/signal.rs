//! Sending signals by process id, and what the system's refusals mean.
//!
//! A process id may come to name a later process: whoever has a [`Child`](super::Child) sends by that instead.
//!
//! Of the signals 1 to 31 one is pending at most: a second that comes before the first was taken is lost. Those from
//! SIGRTMIN (34 for programs that use the C library) to SIGRTMAX (64) queue, the lowest first, each with its value and in
//! the order they were sent, up to RLIMIT_SIGPENDING.

use super::process_limit::limit;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use std::mem::zeroed;
use std::os::unix::fs::MetadataExt;

const NAMES: [&str; 32] = [
    "signal 0",
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The highest signal there is.
const SIGNAL_MAX: i32 = 64;

/// What a signal is called: `SIGTERM`, `SIGRTMIN+3`.
pub fn signal_name(signal: i32) -> String {
    let name = usize::try_from(signal).ok().and_then(|n| NAMES.get(n));
    match (name, signal.saturating_sub(libc::SIGRTMIN())) {
        (Some(name), _) => name.to_string(),
        (None, 0) => "SIGRTMIN".to_string(),
        (None, n) if n > 0 && signal <= SIGNAL_MAX => format!("SIGRTMIN+{n}"),
        _ => format!("signal {signal}"),
    }
}

/// Sends a signal to a process. Signal 0 sends nothing and asks whether it is there.
///
/// # Errors
/// `System(ESRCH)` if there is no such process; `Permission` with both users if it is another's; `Invalid` for no signal,
/// and for a `pid` of 0, which would be a whole group.
pub fn send_signal(pid: u32, signal: i32) -> Result<()> {
    let number = process(pid)?;
    checked(signal)?;
    // SAFETY: kill takes numbers.
    Errno::result(unsafe { libc::kill(number, signal) }).map(drop).map_err(|errno| not_sent(errno, pid, signal))
}

/// Sends a signal with a value (sigqueue), which the receiver finds in [`SignalInfo::value`](super::SignalInfo).
///
/// # Errors
/// As [`send_signal`]; `WouldBlock` (EAGAIN) if as many are pending as RLIMIT_SIGPENDING allows: nothing is sent.
pub fn queue_signal(pid: u32, signal: i32, value: i32) -> Result<()> {
    let number = process(pid)?;
    checked(signal)?;
    // SAFETY: an all-zero sigval is one: a null pointer.
    let mut carried: libc::sigval = unsafe { zeroed() };
    // The union's integer is its first four bytes.
    carried.sival_ptr = std::ptr::without_provenance_mut(value as u32 as usize);
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::sigqueue(number, signal, carried) }).map(drop).map_err(|errno| match errno {
        Errno::EAGAIN => {
            let sentence = format!(
                "queue {} to process {pid}: as many signals are pending as RLIMIT_SIGPENDING allows, {} (ulimit -i); \
                 wait until some are taken",
                signal_name(signal),
                limit(nix::sys::resource::Resource::RLIMIT_SIGPENDING)
            );
            Error::new(ErrorKind::WouldBlock, sentence)
        }
        errno => not_sent(errno, pid, signal),
    })
}

/// Is it a signal, or 0?
pub(super) fn checked(signal: i32) -> Result<()> {
    if (0..=SIGNAL_MAX).contains(&signal) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{signal} is no signal; they go from 1 to {SIGNAL_MAX}")))
}

/// A process id, and not one of those that mean a group, or everybody.
fn process(pid: u32) -> Result<libc::pid_t> {
    let number = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0);
    number.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("{pid} is no process id; they begin at 1")))
}

/// The error for a process that is not there.
#[cold]
pub(super) fn nobody(pid: u32) -> Error {
    let sentence = format!("there is no process {pid}: it has ended and was waited for, or it never was");
    Error::new(ErrorKind::System(libc::ESRCH), sentence)
}

/// The error for a signal that could not be sent.
#[cold]
pub(super) fn not_sent(errno: Errno, pid: u32, signal: i32) -> Error {
    match errno {
        Errno::ESRCH => nobody(pid),
        Errno::EPERM => {
            let owner =
                std::fs::metadata(format!("/proc/{pid}")).map_or("unknown".to_string(), |m| m.uid().to_string());
            let sentence = format!(
                "send {} to process {pid}: it runs for user {owner}, this process for user {}; a signal needs the same \
                 user, or CAP_KILL",
                signal_name(signal),
                nix::unistd::geteuid()
            );
            Error::new(ErrorKind::Permission, sentence)
        }
        errno => Error::os(errno as i32, format_args!("send {} to process {pid}", signal_name(signal))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_names() {
        assert_eq!(signal_name(libc::SIGTERM), "SIGTERM");
        assert_eq!(signal_name(libc::SIGCONT), "SIGCONT");
        assert_eq!(signal_name(libc::SIGSYS), "SIGSYS");
        assert_eq!(signal_name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(signal_name(-5), "signal -5");
        assert_eq!(signal_name(i32::MIN), "signal -2147483648");
    }

    #[test]
    fn what_is_no_signal_and_what_is_no_process_is_refused() {
        let me = std::process::id();
        for signal in [-1, 65, i32::MAX, i32::MIN] {
            assert_eq!(send_signal(me, signal).unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(queue_signal(me, signal, 0).unwrap_err().kind(), ErrorKind::Invalid);
        }
        for pid in [0, u32::MAX, 1 << 31] {
            assert_eq!(send_signal(pid, 0).unwrap_err().kind(), ErrorKind::Invalid, "a group, or everybody");
        }
        send_signal(me, 0).unwrap();
        let error = send_signal(i32::MAX as u32, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System(libc::ESRCH));
        assert!(error.to_string().contains("2147483647"));
    }
}
