//! Receiving signals in the normal course of a program: blocked, and read from a descriptor.
//!
//! # How
//!
//! A blocked signal stays pending. [`Signals`] blocks some in the calling thread and takes them from a signalfd: no
//! handler runs, nothing is interrupted, and a descriptor says when one is there. [`Mask`] blocks some and lets
//! the program sleep until a handler has run, without the gap between a check and a `pause` in which the signal for which
//! one is about to sleep arrives, and is lost.
//!
//! # Threads
//!
//! A mask is a thread's own, and new threads inherit it; a signal for the process goes to any thread that does not
//! block it. So take signals before other threads are started, or they end the program through those. Those that do
//! nothing by default (SIGCHLD, SIGURG, SIGWINCH) do not wait for the thread that has taken them either: for the ends of
//! children there is [`ChildEnds`](super::ChildEnds), which hears of all.

use super::signal::{checked, signal_name};
use super::wait::{restarting, waiting};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::cell::Cell;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A signal that was taken, and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalInfo {
    /// Its number.
    pub signal: i32,
    /// Why it came: `SI_USER` (0) from `kill`, `SI_QUEUE` (-1) with a value, `CLD_…` for SIGCHLD, …
    pub code: i32,
    /// The process that sent it, or that it is about (SIGCHLD); 0 if the kernel did, or a process that cannot be seen.
    pub pid: u32,
    /// The user of that process.
    pub uid: u32,
    /// What [`queue_signal`](super::queue_signal) sent with it; otherwise 0, or the end of the child for SIGCHLD.
    pub value: i32,
}

/// Signals that this thread blocks and takes from a descriptor.
///
/// The descriptor ([`AsFd`]) is readable while one is pending, for a wait set, poll or select. It shows the signals of
/// who reads it: in a forked child the child's own.
///
/// Dropping it on the thread that took it gives that thread's mask back. What is still pending is delivered then, as
/// the program's disposition says: take it before, if that would end the program.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    mask: Blocked,
    signals: Vec<i32>,
}

impl Signals {
    /// Blocks these signals in the calling thread and takes them from now on.
    ///
    /// # Errors
    /// `Invalid` for no signal, and for those that cannot be taken: SIGKILL, SIGSTOP, and 32 and 33, which the C library
    /// keeps for itself.
    pub fn take(signals: impl IntoIterator<Item = i32>) -> Result<Signals> {
        let signals: Vec<i32> = signals.into_iter().collect();
        let set = set_of(&signals)?;
        let mask = Blocked::new(&set);
        Ok(Signals { fd: signalfd(-1, &set)?, mask, signals })
    }

    /// Takes one signal more.
    ///
    /// # Errors
    /// As [`Signals::take`].
    pub fn add(&mut self, signal: i32) -> Result<()> {
        if self.signals.contains(&signal) {
            return Ok(());
        }
        let more: Vec<i32> = self.signals.iter().copied().chain([signal]).collect();
        let set = set_of(&more)?;
        self.mask.more(&set);
        update(self.fd.as_fd(), &set)?;
        self.signals = more;
        Ok(())
    }

    /// Which ones.
    pub fn signals(&self) -> &[i32] {
        &self.signals
    }

    /// Takes the next one; waits for it.
    ///
    /// # Errors
    /// What the system reports.
    pub fn receive(&self) -> Result<SignalInfo> {
        self.receive_until(Deadline::never())
    }

    /// Takes the next one, if one is pending.
    ///
    /// # Errors
    /// What the system reports.
    pub fn try_receive(&self) -> Result<Option<SignalInfo>> {
        // SAFETY: an all-zero signalfd_siginfo is one: integers.
        let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
        let size = size_of_val(&info);
        let read = restarting(Deadline::now(), || {
            // SAFETY: `info` is writable for its size, and any bits are integers. The descriptor does not block.
            Errno::result(unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) })
        });
        match read {
            Ok(_) => Ok(Some(SignalInfo {
                signal: info.ssi_signo as i32,
                code: info.ssi_code,
                pid: info.ssi_pid,
                uid: info.ssi_uid,
                value: if info.ssi_signo == libc::SIGCHLD as u32 { info.ssi_status } else { info.ssi_int },
            })),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(Error::os(errno as i32, "take a signal")),
        }
    }

    /// As [`Signals::receive`], until the deadline.
    ///
    /// # Errors
    /// `Timeout`; `Interrupted` if another signal's handler has run and the deadline is interruptible.
    pub fn receive_until(&self, until: Deadline) -> Result<SignalInfo> {
        waiting(self.fd.as_fd(), PollFlags::POLLIN, until, || self.try_receive()).map_err(|error| match error.kind() {
            ErrorKind::Timeout => {
                let names: Vec<_> = self.signals.iter().map(|signal| signal_name(*signal)).collect();
                Error::new(ErrorKind::Timeout, format!("none of {} came in time", names.join(", ")))
            }
            _ => error,
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Signals that are blocked in this thread as long as this lives: a section that no handler interrupts, and a sleep
/// until one has run.
///
/// # Examples
/// ```no_run
/// # use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// # static CAME: AtomicBool = AtomicBool::new(false); // a handler sets it
/// let mask = triveni::kernel::Mask::block([libc::SIGUSR1])?;
/// while !CAME.load(Relaxed) {
///     mask.suspend()?; // a SIGUSR1 between the check and the sleep ends the sleep
/// }
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the signals are unblocked when it is dropped"]
pub struct Mask(Blocked);

impl Mask {
    /// Blocks these signals in the calling thread.
    ///
    /// # Errors
    /// `Invalid` for no signal, and for SIGKILL and SIGSTOP, which cannot be blocked.
    pub fn block(signals: impl IntoIterator<Item = i32>) -> Result<Mask> {
        let signals: Vec<i32> = signals.into_iter().collect();
        Ok(Mask(Blocked::new(&set_of(&signals)?)))
    }

    /// Sleeps with the mask from before, until a handler has run: one step for the system, so a signal that came after
    /// the block ends it at once (sigsuspend).
    ///
    /// # Errors
    /// `Invalid` on another thread than the one that blocked.
    pub fn suspend(&self) -> Result<()> {
        self.suspend_until(Deadline::never())
    }

    /// As [`Mask::suspend`], until the deadline.
    ///
    /// # Errors
    /// As [`Mask::suspend`]; `Timeout`.
    pub fn suspend_until(&self, until: Deadline) -> Result<()> {
        if !self.0.is_ours() {
            let sentence = "this mask is another thread's; sleep on the thread that blocked the signals";
            return Err(Error::new(ErrorKind::Invalid, sentence));
        }
        let timeout = match super::wait::remaining(until) {
            Err(_) => Some(std::time::Duration::ZERO.into()), // what is pending is served even so
            Ok(left) => left,
        };
        let timeout = timeout.map(|left: nix::sys::time::TimeSpec| *left.as_ref());
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: no descriptors; the timeout and the mask are ours and outlive the call.
        match Errno::result(unsafe { libc::ppoll(ptr::null_mut(), 0, timeout, &self.0.before) }) {
            Err(Errno::EINTR) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Timeout, "no handler of a signal has run in time")),
            Err(errno) => Err(Error::os(errno as i32, "sleep until a signal")),
        }
    }
}

thread_local! {
    /// For each signal, how many [`Blocked`] of this thread have it in `added`: the last one unblocks it, in whatever
    /// order they go.
    static WANTED: [Cell<u32>; 65] = const { [const { Cell::new(0) }; 65] };
}

/// Signals blocked in one thread, and the mask that it had before.
struct Blocked {
    before: libc::sigset_t,
    /// Those that nobody else had blocked before: what we give back.
    added: libc::sigset_t,
    thread: libc::pid_t,
}

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blocked in thread {}", self.thread)
    }
}

impl Blocked {
    fn new(set: &libc::sigset_t) -> Blocked {
        let mut blocked = Blocked { before: empty(), added: empty(), thread: thread() };
        // SAFETY: both sets are valid and ours. It fails only for a wrong first argument.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, &mut blocked.before) };
        blocked.count(set);
        blocked
    }

    /// Takes note of those that are to be unblocked one day.
    fn count(&mut self, set: &libc::sigset_t) {
        WANTED.with(|wanted| {
            for (signal, wanted) in (0..).zip(wanted).filter(|(signal, _)| has(set, *signal)) {
                if !has(&self.added, signal) && (wanted.get() > 0 || !has(&self.before, signal)) {
                    wanted.set(wanted.get() + 1);
                    // SAFETY: a valid set and a signal of another one.
                    unsafe { libc::sigaddset(&mut self.added, signal) };
                }
            }
        });
    }

    /// Blocks those of a larger set too.
    fn more(&mut self, set: &libc::sigset_t) {
        if self.is_ours() {
            // SAFETY: as in `new`.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, ptr::null_mut()) };
            self.count(set);
        }
    }

    /// Is this the thread that blocked them? The child of a fork has its thread's mask under another number.
    fn is_ours(&self) -> bool {
        self.thread == thread()
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        let mut free = empty();
        WANTED.with(|wanted| {
            for (signal, wanted) in (0..).zip(wanted).filter(|(signal, _)| has(&self.added, *signal)) {
                if wanted.replace(wanted.get().saturating_sub(1)) == 1 {
                    // SAFETY: as in `count`.
                    unsafe { libc::sigaddset(&mut free, signal) };
                }
            }
        });
        // SAFETY: as in `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &free, ptr::null_mut()) };
    }
}

fn thread() -> libc::pid_t {
    nix::unistd::gettid().as_raw()
}

fn empty() -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is one, the empty one.
    unsafe { zeroed() }
}

/// Is the signal in the set? Numbers that are no signal are in none.
fn has(set: &libc::sigset_t, signal: i32) -> bool {
    // SAFETY: a valid set; numbers that are no signal are refused with EINVAL.
    unsafe { libc::sigismember(set, signal) == 1 }
}

pub(super) fn set_of(signals: &[i32]) -> Result<libc::sigset_t> {
    let mut set = empty();
    for signal in signals {
        checked(*signal)?;
        let name = signal_name(*signal);
        if [libc::SIGKILL, libc::SIGSTOP].contains(signal) {
            let sentence = format!("{name} can be neither blocked nor taken: the system alone acts on it");
            return Err(Error::new(ErrorKind::Invalid, sentence));
        }
        // SAFETY: a valid set.
        if unsafe { libc::sigaddset(&mut set, *signal) } < 0 {
            let sentence = format!("{name} is no signal for programs: 0 is none, and the C library keeps 32 and 33");
            return Err(Error::new(ErrorKind::Invalid, sentence));
        }
    }
    Ok(set)
}

fn update(fd: BorrowedFd<'_>, set: &libc::sigset_t) -> Result<()> {
    // SAFETY: a signalfd, a valid set.
    let done = unsafe { libc::signalfd(fd.as_raw_fd(), set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
    if done < 0 { Err(Error::last_os("take one more signal")) } else { Ok(()) }
}

fn signalfd(fd: RawFd, set: &libc::sigset_t) -> Result<OwnedFd> {
    // SAFETY: -1 asks for a new descriptor; a valid set.
    let fd = unsafe { libc::signalfd(fd, set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
    if fd < 0 {
        return Err(Error::last_os("a descriptor for signals"));
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
#[path = "signals_tests.rs"]
mod tests;
