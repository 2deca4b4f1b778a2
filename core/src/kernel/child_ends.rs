//! SIGCHLD as an event that names the children which ended, and takes no end away from whoever waits for it.
//!
//! SIGCHLD does not queue: one may stand for many ends. So this looks for all zombies of the process, through /proc, and
//! asks how each ended without reaping it (`WNOWAIT`).

use super::child::waitid;
use super::process_tree;
use super::signals::Signals;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
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
/// The thread that makes it blocks SIGCHLD, as [`Signals`] does. Its descriptor ([`AsFd`]) is readable when children may
/// have ended. A child whose end somebody has waited for before it is asked here is not named.
#[derive(Debug)]
pub struct ChildEnds {
    signals: Signals,
    /// Named already, and still not waited for.
    named: Vec<u32>,
}

impl ChildEnds {
    /// Blocks SIGCHLD in the calling thread and begins.
    ///
    /// # Errors
    /// What the system reports: no descriptor left.
    pub fn take() -> Result<ChildEnds> {
        Ok(ChildEnds { signals: Signals::take([libc::SIGCHLD])?, named: Vec::new() })
    }

    /// The children that have ended, each once; waits until there is one.
    ///
    /// # Errors
    /// What reading /proc reports.
    pub fn receive(&mut self) -> Result<Vec<EndedChild>> {
        self.receive_until(Deadline::never())
    }

    /// The children that have ended and were not named yet; may be none.
    ///
    /// # Errors
    /// As [`ChildEnds::receive`].
    pub fn try_receive(&mut self) -> Result<Vec<EndedChild>> {
        while self.signals.try_receive()?.is_some() {} // before the look: an end after it rings anew
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
            super::wait::ready(self.signals.as_fd(), nix::poll::PollFlags::POLLIN, until)?;
        }
    }
}

impl AsFd for ChildEnds {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
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
    let failed = |error: std::io::Error| {
        Error::os(error.raw_os_error().unwrap_or(libc::EIO), "read the children in /proc; is it mounted?")
    };
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/self/task").map_err(failed)?.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => all.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok())),
            // A kernel without this file: all processes are looked at. Or a thread that has just ended.
            Err(_) => {
                let me = std::process::id();
                let processes = fs::read_dir("/proc").map_err(failed)?.flatten();
                let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
                return Ok(numbers
                    .filter(|pid| process_tree::read(*pid).is_some_and(|node| node.ppid == me))
                    .collect());
            }
        }
    }
    Ok(all)
}
