//! Signalling and locking with SIGSTOP and SIGCONT, as the textbooks begin.
//!
//! *Signalling* (section X of A before section Y of B): B stops itself before Y, and A lets it go on after X.
//! *Locking*: A stops B while A is in its critical section, and lets it go on afterwards.
//!
//! # What goes wrong
//!
//! - **The lost SIGCONT.** It is not kept. If A sends it before B stands, B stops afterwards, for ever. So A has to see
//!   first that B stands: [`continue_stopped`] does, [`continue_process`] alone does not.
//! - **Stopped inside.** SIGSTOP takes hold wherever B is, in its critical section too. Who stops B gets exclusion
//!   from what B does *next*, and B's work half done. B has to be stopped where it is harmless: where it stops itself.
//! - **Both stop each other**, and nobody is left to send a SIGCONT. A third process has to.
//! - Only a process of the same user can do it, and everybody of that user can do it to everybody.
//!
//! That is why there are semaphores and mutexes. What follows shows the lesson, and stops processes for debugging.

use super::child::{pidfd_open, pidfd_send_signal};
use super::process_tree::state;
use super::signal::{not_sent, send_signal};
use super::wait::retrying;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Stops the calling process, all threads of it, until somebody sends it SIGCONT.
///
/// # Errors
/// What the system reports.
pub fn stop_self() -> Result<()> {
    send_signal(std::process::id(), libc::SIGSTOP)
}

/// Asks the system to stop process `pid`, which cannot refuse. It may run a little longer: [`wait_stopped`].
///
/// # Errors
/// As [`send_signal`].
pub fn stop_process(pid: u32) -> Result<()> {
    send_signal(pid, libc::SIGSTOP)
}

/// Lets process `pid` go on. If it does not stand yet, nothing happens and nothing is kept: the lost SIGCONT.
///
/// # Errors
/// As [`send_signal`].
pub fn continue_process(pid: u32) -> Result<()> {
    send_signal(pid, libc::SIGCONT)
}

/// Does process `pid` stand (by SIGSTOP, SIGTSTP, or a debugger)?
///
/// # Errors
/// `System(ESRCH)` if it has ended.
pub fn is_stopped(pid: u32) -> Result<bool> {
    Ok(matches!(state(pid)?, 'T' | 't'))
}

/// Waits until process `pid` stands. It is any process, so it is looked at in /proc, with pauses of at most 4 ms.
///
/// # Errors
/// `System(ESRCH)` if it ends or has ended; `Timeout`; `Interrupted`.
pub fn wait_stopped(pid: u32, until: Deadline) -> Result<()> {
    retrying(until, || Ok(is_stopped(pid)?.then_some(()))).map_err(|error| match error.kind() {
        ErrorKind::Timeout => Error::new(ErrorKind::Timeout, format!("process {pid} has not stopped in time")),
        _ => error,
    })
}

/// Waits until process `pid` stands, and lets it go on: the SIGCONT that is not lost.
///
/// # Errors
/// As [`wait_stopped`] and [`continue_process`].
pub fn continue_stopped(pid: u32, until: Deadline) -> Result<()> {
    wait_stopped(pid, until)?;
    continue_process(pid)
}

/// Mutual exclusion from one other process, by stopping it. See the pitfalls above: it excludes what the other does
/// next, not what it is in the midst of.
#[derive(Debug)]
pub struct StopLock {
    pidfd: OwnedFd,
    pid: u32,
}

impl StopLock {
    /// For the process that has the number `pid` now; a later one with that number is never touched.
    ///
    /// # Errors
    /// `System(ESRCH)` if there is none; `Invalid` for the calling process itself.
    pub fn new(pid: u32) -> Result<StopLock> {
        if pid == std::process::id() {
            let sentence = format!("process {pid} is the caller: stopped, it could not let itself go on");
            return Err(Error::new(ErrorKind::Invalid, sentence));
        }
        Ok(StopLock { pidfd: pidfd_open(pid)?, pid })
    }

    /// Stops the other process and waits until it stands. The guard lets it go on when it is dropped; if this process is
    /// killed before, the other one stands until somebody else sends SIGCONT.
    ///
    /// # Errors
    /// `System(ESRCH)` if it has ended; `Permission`.
    pub fn lock(&self) -> Result<StopGuard<'_>> {
        self.lock_until(Deadline::never())
    }

    /// Stops it, if it stands at once; otherwise it goes on.
    ///
    /// # Errors
    /// As [`StopLock::lock`].
    pub fn try_lock(&self) -> Result<Option<StopGuard<'_>>> {
        match self.lock_until(Deadline::now()) {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`StopLock::lock`], until the deadline; then it goes on.
    ///
    /// # Errors
    /// As [`StopLock::lock`]; `Timeout`; `Interrupted`.
    pub fn lock_until(&self, until: Deadline) -> Result<StopGuard<'_>> {
        self.send(libc::SIGSTOP)?;
        let guard = StopGuard(self);
        wait_stopped(self.pid, until)?;
        Ok(guard)
    }

    /// Lets it go on. For who has no guard: other languages.
    ///
    /// # Errors
    /// `System(ESRCH)` if it has ended.
    pub fn unlock(&self) -> Result<()> {
        self.send(libc::SIGCONT)
    }

    /// The other process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn send(&self, signal: i32) -> Result<()> {
        pidfd_send_signal(self.pidfd.as_fd(), signal).map_err(|errno| not_sent(errno, self.pid, signal))
    }
}

/// The other process stands as long as this lives.
#[derive(Debug)]
#[must_use = "the other process goes on when it is dropped"]
pub struct StopGuard<'a>(&'a StopLock);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // ESRCH: it has ended meanwhile
    }
}
