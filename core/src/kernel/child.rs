//! A child process, held by a descriptor that names this very process and no later one with its number.
//!
//! # Reaping
//!
//! The kernel keeps the end of a child until its parent has asked for it; until then the child is a zombie. Here every
//! way to let go of a handle sees to that: a wait reaps; the drop of a child that has ended reaps; a child that still
//! runs when its handle is dropped goes on, and is reaped by whatever this module does next after its end (a spawn, a
//! fork, a wait, a drop). No thread and no signal handler is needed for it.
//!
//! # Several waiters
//!
//! A wait looks first (`WNOWAIT`), then writes down what it saw, and reaps last. So any number of threads may wait for
//! one child: who comes too late to see the zombie finds what was written down.

use super::wait::{restarting, retrying, waiting};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A child of this process.
///
/// Its descriptor ([`AsFd`]) is readable once the child has ended, for a wait set, poll or select. Any number of threads
/// may use one handle. After a fork the handle is the parent's: in the child every wait answers `Forked`.
///
/// Dropping it leaves a child that still runs alone, unless [`Child::set_kill_on_drop`] says otherwise. No zombie
/// stays: the drop reaps a child that has ended, and one that ends later is reaped by the next spawn, fork, wait or
/// drop of this module.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: u32,
    /// Whose child it is: a wait is for that process alone.
    parent: u32,
    /// [`SEEN`] and the wait status, once somebody has seen its end.
    status: AtomicU64,
    kill_on_drop: AtomicBool,
}

const SEEN: u64 = 1 << 32;

/// How long the drop of a child that it kills waits for its end. Beyond that a device holds it, and it is reaped later.
const PATIENCE: Duration = Duration::from_secs(1);

impl Child {
    /// # Safety contract of the caller, which is this module's
    /// `pidfd` names a child of the calling process that has this `pid`.
    pub(super) fn new(pidfd: OwnedFd, pid: u32) -> Child {
        sweep();
        let parent = std::process::id();
        Child { pidfd, pid, parent, status: AtomicU64::new(0), kill_on_drop: AtomicBool::new(false) }
    }

    /// A handle on a child that something else has started: `fork`, `posix_spawn`, a library. Nobody may have waited
    /// for its end yet; until then its number cannot be given to another process.
    ///
    /// # Errors
    /// `System(ECHILD)` if there is no such child of this process.
    pub fn adopt(pid: u32) -> Result<Child> {
        let child = Child::new(pidfd_open(pid)?, pid);
        child.look(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
        Ok(child)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if a wait has seen that. Makes no system call.
    pub fn status(&self) -> Option<ExitStatus> {
        // ORDER ended: Acquire; pairs with the Release in `seen`.
        let word = self.status.load(Ordering::Acquire);
        (word & SEEN != 0).then(|| ExitStatus::from_raw(word as u32 as i32))
    }

    /// Waits until it has ended, and says how.
    ///
    /// # Errors
    /// `Forked` in a child of the process that started it; `System(ECHILD)` if somebody else took its end: a
    /// `waitpid(-1)`, or the system itself where SIGCHLD is ignored.
    pub fn wait(&self) -> Result<ExitStatus> {
        self.wait_until(Deadline::never())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.ended(libc::WNOHANG, Deadline::now())
    }

    /// As [`Child::wait`], until the deadline.
    ///
    /// # Errors
    /// As [`Child::wait`]; `Timeout`; `Interrupted`.
    pub fn wait_until(&self, until: Deadline) -> Result<ExitStatus> {
        // A handler with SA_RESTART would go unnoticed in waitid, not in poll.
        if until.is_never() && !until.is_interruptible() {
            return match self.ended(0, until)? {
                Some(status) => Ok(status),
                None => Err(self.taken()),
            };
        }
        waiting(self.pidfd.as_fd(), PollFlags::POLLIN, until, || self.try_wait()).map_err(|error| self.late(error))
    }

    /// Waits until it stops, continues or ends, whatever comes next that nobody has been told yet. The status says
    /// which: `stopped_signal()`, `continued()`, or how it ended.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait_change(&self) -> Result<ExitStatus> {
        self.wait_change_until(Deadline::never())
    }

    /// The next change, if there was one.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait_change(&self) -> Result<Option<ExitStatus>> {
        if self.status().is_none() {
            self.ours()?;
            let changed = self.waitid(libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG, Deadline::now());
            match changed {
                Ok(Some(status)) => return Ok(Some(status)),
                Ok(None) | Err(Errno::ECHILD) => {} // ECHILD: the zombie's time for changes is over
                Err(errno) => return Err(self.refused(errno)),
            }
        }
        self.try_wait()
    }

    /// As [`Child::wait_change`], until the deadline. There is no descriptor for changes: it looks again after pauses
    /// of at most 4 ms.
    ///
    /// # Errors
    /// As [`Child::wait`]; `Timeout`; `Interrupted`.
    pub fn wait_change_until(&self, until: Deadline) -> Result<ExitStatus> {
        if until.is_never() && !until.is_interruptible() && self.status().is_none() {
            self.look(libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED | libc::WNOWAIT)?;
        }
        retrying(until, || self.try_wait_change()).map_err(|error| self.late(error))
    }

    /// Sends a signal to this very process: never to a later one that got its number.
    ///
    /// # Errors
    /// `System(ESRCH)` if it has ended; `Permission` if it has become another user's; `Invalid` for no signal.
    pub fn send(&self, signal: i32) -> Result<()> {
        super::signal::checked(signal)?;
        let sent = pidfd_send_signal(self.pidfd.as_fd(), signal);
        sent.map_err(|errno| super::signal::not_sent(errno, self.pid, signal))
    }

    /// Ends it at once (SIGKILL). A wait tells when it is gone.
    ///
    /// # Errors
    /// As [`Child::send`].
    pub fn kill(&self) -> Result<()> {
        self.send(libc::SIGKILL)
    }

    /// Asks the system to stop it (SIGSTOP), which it cannot refuse. It may run a little longer:
    /// [`Child::wait_change`] tells when it stands.
    ///
    /// # Errors
    /// As [`Child::send`].
    pub fn stop(&self) -> Result<()> {
        self.send(libc::SIGSTOP)
    }

    /// Lets it go on (SIGCONT). If it does not stand, nothing happens and nothing is kept for later.
    ///
    /// # Errors
    /// As [`Child::send`].
    pub fn cont(&self) -> Result<()> {
        self.send(libc::SIGCONT)
    }

    /// Shall the drop of this handle kill the child (SIGKILL) and wait for its end?
    pub fn set_kill_on_drop(&self, kill: bool) {
        self.kill_on_drop.store(kill, Ordering::Relaxed); // nothing hangs on it but the drop, which has `&mut self`
    }

    /// A wait is for the process that started it.
    fn ours(&self) -> Result<()> {
        if self.parent == std::process::id() {
            return Ok(());
        }
        let sentence =
            format!("process {} is a child of process {}; only that one can wait for it", self.pid, self.parent);
        Err(Error::new(ErrorKind::Forked, sentence))
    }

    /// Looks for its end and reaps. `None`: `flags` has `WNOHANG`, and it still runs.
    fn ended(&self, flags: i32, until: Deadline) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.status() {
            return Ok(Some(status));
        }
        self.ours()?;
        match self.waitid(libc::WEXITED | libc::WNOWAIT | flags, until) {
            Ok(Some(status)) => {
                self.seen(status);
                Ok(Some(status))
            }
            Ok(None) => Ok(None),
            // Another thread has just reaped it; it wrote down what it saw before.
            Err(Errno::ECHILD) => self.status().map(Some).ok_or_else(|| self.taken()),
            Err(errno) => Err(self.refused(errno)),
        }
    }

    fn look(&self, flags: i32) -> Result<Option<ExitStatus>> {
        self.ours()?;
        match self.waitid(flags, Deadline::never()) {
            Err(Errno::ECHILD) => self.status().map(Some).ok_or_else(|| self.taken()),
            looked => looked.map_err(|errno| self.refused(errno)),
        }
    }

    fn seen(&self, status: ExitStatus) {
        // ORDER ended: Release; pairs with the Acquire in `status`. Before the reaping: who finds no zombie finds this.
        self.status.store(SEEN | u64::from(status.into_raw() as u32), Ordering::Release);
        let _ = self.waitid(libc::WEXITED | libc::WNOHANG, Deadline::now()); // ECHILD: another thread was faster
        sweep();
    }

    fn waitid(&self, flags: i32, until: Deadline) -> nix::Result<Option<ExitStatus>> {
        waitid(libc::P_PIDFD, self.pidfd.as_raw_fd() as libc::id_t, flags, until)
            .map(|seen| seen.map(|(_, status)| status))
    }

    fn late(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Timeout, format!("child {} has not ended in time", self.pid)),
            _ => error,
        }
    }

    fn refused(&self, errno: Errno) -> Error {
        Error::os(errno as i32, format_args!("wait for child {}", self.pid))
    }

    fn taken(&self) -> Error {
        let sentence = format!(
            "child {}: somebody else took its end, or it is no child of this process; a waitpid(-1) takes every child's, \
             and where SIGCHLD is ignored the system does: set SIGCHLD to SIG_DFL",
            self.pid
        );
        Error::new(ErrorKind::System(libc::ECHILD), sentence)
    }
}

/// Takes over a child of the standard library. Its pipes end: take them out before.
impl TryFrom<std::process::Child> for Child {
    type Error = Error;

    fn try_from(child: std::process::Child) -> Result<Child> {
        Child::adopt(child.id())
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status().is_some() || self.parent != std::process::id() {
            return;
        }
        if *self.kill_on_drop.get_mut() && self.kill().is_ok() {
            let _ = self.wait_until(Deadline::after(PATIENCE)); // or it is reaped later, as below
        }
        if matches!(self.try_wait(), Ok(None))
            && let Ok(pidfd) = self.pidfd.try_clone()
        {
            leave(pidfd);
        }
    }
}

/// Waits for a child by `waitid`; `None` with `WNOHANG` if there is nothing to tell. Its pid and its wait status.
pub(super) fn waitid(
    kind: libc::idtype_t,
    id: libc::id_t,
    flags: i32,
    until: Deadline,
) -> nix::Result<Option<(u32, ExitStatus)>> {
    // SAFETY: an all-zero siginfo_t is one: integers and pointers.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    restarting(until, || {
        // SAFETY: `info` is ours to write to; the rest are numbers.
        Errno::result(unsafe { libc::waitid(kind, id, &mut info, flags) })
    })?;
    // SAFETY: waitid has filled it in as for SIGCHLD, or left the zeros, which read as pid 0.
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let raw = match info.si_code {
        libc::CLD_EXITED => (value & 0xff) << 8,
        libc::CLD_DUMPED => value | 0x80,
        libc::CLD_STOPPED | libc::CLD_TRAPPED => value << 8 | 0x7f,
        libc::CLD_CONTINUED => 0xffff,
        _ => value, // CLD_KILLED
    };
    Ok(Some((pid as u32, ExitStatus::from_raw(raw))))
}

/// A descriptor of the process that has this number now.
pub(super) fn pidfd_open(pid: u32) -> Result<OwnedFd> {
    let number = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0);
    let number =
        number.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("{pid} is no process id; they begin at 1")))?;
    // SAFETY: pidfd_open takes a pid and flags and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
    if fd < 0 {
        let errno = Errno::last() as i32;
        return Err(match errno {
            libc::ESRCH => super::signal::nobody(pid),
            libc::ENOSYS => Error::new(ErrorKind::Unsupported, "descriptors of processes need Linux 5.4 or later"),
            errno => Error::os(errno, format_args!("a descriptor of process {pid}")),
        });
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub(super) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a descriptor, a number, no siginfo_t to read, no flags.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    Errno::result(sent).map(drop)
}

/// Children whose handles were dropped while they ran: their descriptors plus one, or 0. Each slot is taken and filled by
/// single exchanges, so that a fork at any moment leaves nothing locked.
static LEFT: [AtomicI32; 1024] = [const { AtomicI32::new(0) }; 1024];
/// At least as many as there are in [`LEFT`], so that who has left none pays one load.
static LEFT_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Keeps a running child's descriptor until [`sweep`] finds that it has ended. If there is no room, the child becomes
/// a zombie when it ends, and goes with its parent.
fn leave(pidfd: OwnedFd) {
    let fd = pidfd.into_raw_fd();
    LEFT_COUNT.fetch_add(1, Ordering::Relaxed); // before the slot is filled, so that it is never too small
    // Relaxed: the descriptor is the kernel's, no memory of ours hangs on it.
    let kept = LEFT.iter().any(|slot| slot.compare_exchange(0, fd + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok());
    if !kept {
        LEFT_COUNT.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: `fd` came from `into_raw_fd` above and lies in no slot.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

/// Reaps the children that were left running and have ended since.
pub(super) fn sweep() {
    if LEFT_COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    for slot in &LEFT {
        if slot.load(Ordering::Relaxed) == 0 {
            continue;
        }
        let fd = slot.swap(0, Ordering::Relaxed) - 1;
        if fd < 0 {
            continue;
        }
        LEFT_COUNT.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: whoever filled the slot gave the descriptor away, and the swap made it ours alone.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        match waitid(libc::P_PIDFD, fd as libc::id_t, libc::WEXITED | libc::WNOHANG, Deadline::now()) {
            Ok(None) => leave(pidfd),
            // Reaped now, or by somebody else, or we are a fork of its parent.
            Ok(Some(_)) | Err(Errno::ECHILD) => drop(pidfd),
            // Somebody closed it: the number is not ours to close.
            Err(_) => drop(pidfd.into_raw_fd()),
        }
    }
}
