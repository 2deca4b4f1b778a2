//! SIGCHLD as an event that names the children which ended, and takes no end away from whoever waits for it.
//!
//! SIGCHLD does not queue: one may stand for many ends. So this looks for all zombies of the process, through /proc, and
//! asks how each ended without reaping it (`WNOWAIT`). When to look says a signalfd and a handler that rings a bell: a signal
//! for which neither is there is thrown away ([`child_bell`](super::child_bell)).

use super::child::waitid;
use super::child_bell::{self, Ear};
use super::process_tree;
use super::signals::Signals;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;

/// A child that has ended and was not waited for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedChild {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
}

/// Tells which children of this process have ended. It reaps none: a wait for each still finds its end.
///
/// Children of all threads, whatever those block. The thread that makes it blocks SIGCHLD, as [`Signals`] does. Its
/// descriptor ([`AsFd`]) is readable when children may have ended. A child whose end somebody has waited for before it is
/// asked here is not named. In a forked child it answers `Forked`.
///
/// The first one installs a handler for SIGCHLD, which stays in this process. A handler of the program's own is called by it,
/// but not for what is taken here, so do not count on that one. Where another one is installed later, the next receive puts
/// itself before it; a receive that sleeps already may miss children of threads that do not block SIGCHLD. The handler may interrupt system calls of such threads (`EINTR`), those
/// that `SA_RESTART` does not continue, as poll(2).
#[derive(Debug)]
pub struct ChildEnds {
    ear: Ear,
    signals: Signals,
    /// Whose children.
    pid: u32,
    /// Named already, and still not waited for.
    named: Vec<u32>,
}

impl ChildEnds {
    /// Blocks SIGCHLD in the calling thread and begins.
    ///
    /// # Errors
    /// `System(ECHILD)` where SIGCHLD is ignored: then the system takes the ends of all children itself. What it reports: no
    /// descriptor left.
    pub fn take() -> Result<ChildEnds> {
        let signals = Signals::take([libc::SIGCHLD])?;
        Ok(ChildEnds { ear: Ear::new(signals.as_fd())?, signals, pid: std::process::id(), named: Vec::new() })
    }

    /// The children that have ended, each once; waits until there is one.
    ///
    /// # Errors
    /// As [`ChildEnds::take`]; `Forked`; what reading /proc reports.
    pub fn receive(&mut self) -> Result<Vec<EndedChild>> {
        self.receive_until(Deadline::never())
    }

    /// The children that have ended and were not named yet; may be none.
    ///
    /// # Errors
    /// As [`ChildEnds::receive`].
    pub fn try_receive(&mut self) -> Result<Vec<EndedChild>> {
        if std::process::id() != self.pid {
            return Err(ErrorKind::Forked.into());
        }
        child_bell::install()?; // somebody may have installed another handler
        // Before the look: an end after it rings anew.
        self.ear.hush()?;
        while self.signals.try_receive()?.is_some() {}
        let ended = ended_children()?;
        let new = ended.iter().filter(|child| !self.named.contains(&child.pid)).copied().collect();
        self.named = ended.iter().map(|child| child.pid).collect();
        Ok(new)
    }

    /// As [`ChildEnds::receive`], until the deadline.
    ///
    /// # Errors
    /// As [`ChildEnds::receive`]; `Timeout`; `Interrupted`.
    pub fn receive_until(&mut self, until: Deadline) -> Result<Vec<EndedChild>> {
        loop {
            let ended = self.try_receive()?;
            if !ended.is_empty() {
                return Ok(ended);
            }
            super::wait::ready(self.ear.as_fd(), nix::poll::PollFlags::POLLIN, until)?;
        }
    }
}

impl AsFd for ChildEnds {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

/// All children of this process that have ended and that nobody has waited for: its zombies. Reaps none.
///
/// # Errors
/// What reading /proc reports.
pub fn ended_children() -> Result<Vec<EndedChild>> {
    let mut ended = Vec::new();
    for pid in children()? {
        // A number that was used again belongs to no child of ours: ECHILD.
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if let Ok(Some((pid, status))) = waitid(libc::P_PID, pid, flags, Deadline::now()) {
            ended.push(EndedChild { pid, status });
        }
    }
    Ok(ended)
}

fn children() -> Result<Vec<u32>> {
    by_threads().map_or_else(by_parent, Ok)
}

/// The children of each thread, by a file that not every kernel has. `None` also if a thread has ended meanwhile: it gave its
/// children to another one, whose file was perhaps read before.
fn by_threads() -> Option<Vec<u32>> {
    let lives = |thread: &u32| process_tree::state(*thread).is_ok();
    let threads = fs::read_dir("/proc/self/task").ok()?.flatten();
    let threads: Vec<u32> =
        threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(lives).collect();
    let mut all = Vec::new();
    for thread in &threads {
        let list = fs::read_to_string(format!("/proc/self/task/{thread}/children")).ok()?;
        all.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    threads.iter().all(lives).then_some(all)
}

/// All processes whose parent we are.
fn by_parent() -> Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").map_err(|error| {
        Error::os(error.raw_os_error().unwrap_or(libc::EIO), "read the children in /proc; is it mounted?")
    })?;
    let me = std::process::id();
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|pid| process_tree::read(*pid).is_some_and(|node| node.ppid == me)).collect())
}
