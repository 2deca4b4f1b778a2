//! The two loops that give a system call a deadline, and the one that survives signals.

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Pauses between attempts, where there is nothing to poll: the first one, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(4)];

/// Runs `attempt`, which never waits and answers `None` where it would have to, until it answers something: sleeps in
/// poll(2) between attempts, until `fd` is ready for `events` or broken.
///
/// # Errors
/// `Timeout`; `Interrupted` if the deadline is interruptible; what `attempt` reports.
pub(crate) fn waiting<T>(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    until: Deadline,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        ready(fd, events, until)?;
    }
}

/// Sleeps until `fd` is ready for `events`, or broken.
pub(crate) fn ready(fd: BorrowedFd<'_>, events: PollFlags, until: Deadline) -> Result<()> {
    let mut fds = [PollFd::new(fd, events)];
    loop {
        let timeout = remaining(until)?;
        // ppoll, for its nanoseconds.
        match nix::poll::ppoll(&mut fds, timeout, None) {
            Ok(0) => continue, // the deadline: `remaining` says so
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => interrupted(until)?,
            Err(errno) => return Err(Error::os(errno as i32, "wait for a descriptor")),
        }
    }
}

/// As [`waiting`], where the kernel offers nothing to sleep on: tries again after pauses that grow.
pub(crate) fn retrying<T>(until: Deadline, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let [mut pause, longest] = PAUSES;
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        let left = remaining(until)?.map_or(pause, |left| Duration::from(left).min(pause));
        let left = libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        // SAFETY: `left` is a valid timespec; no remainder is asked for.
        if unsafe { libc::nanosleep(&left, std::ptr::null_mut()) } != 0 {
            interrupted(until)?;
        }
        pause = (2 * pause).min(longest);
    }
}

/// Repeats a system call that a signal interrupted, unless the deadline is interruptible.
///
/// # Errors
/// `EINTR` then; what the call reports.
pub(crate) fn restarting<T>(until: Deadline, mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) if !until.is_interruptible() => continue,
            done => return done,
        }
    }
}

fn interrupted(until: Deadline) -> Result<()> {
    if until.is_interruptible() { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// The time that is left; `None` for ever; `Timeout` if there is none.
pub(crate) fn remaining(until: Deadline) -> Result<Option<nix::sys::time::TimeSpec>> {
    if until.is_never() {
        return Ok(None);
    }
    match until.at_ns().saturating_sub(now_ns()) {
        0 => Err(ErrorKind::Timeout.into()),
        left => Ok(Some(Duration::from_nanos(left).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::time::Instant;

    #[test]
    fn a_deadline_ends_both_loops_with_timeout() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let begin = Instant::now();
        let until = || Deadline::after(Duration::from_millis(20));
        let polled = waiting(reader.as_fd(), PollFlags::POLLIN, until(), || Ok(None::<()>));
        assert_eq!(polled.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(retrying(until(), || Ok(None::<()>)).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(begin.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn a_deadline_that_has_passed_still_gets_one_attempt() {
        let mut attempts = 0;
        let done = retrying(Deadline::now(), || {
            attempts += 1;
            Ok(Some(7))
        });
        assert_eq!((done.unwrap(), attempts), (7, 1));
    }
}
