//! The chain and the fan: n processes made by one loop of `fork`, and who goes on in it.
//!
//! In a *chain* the child goes on: each process is the parent of the next. In a *fan* the parent goes on: all are
//! children of one.

use super::pipe::without_sigpipe;
use super::process_limit::no_process;
use super::process_tree::{self, ProcessTree, TreeNode};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use std::fs::File;
use std::io::{PipeWriter, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// One of a [`Family`]: its own number and its parent's, as it reported them itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What `getpid` told it.
    pub pid: u32,
    /// What `getppid` told it.
    pub ppid: u32,
}

/// The processes of a chain or a fan. They live, asleep, until this is dropped, or its process ends in any way; the drop
/// waits until they are gone.
#[derive(Debug)]
pub struct Family {
    members: Vec<Member>,
    /// Children of the caller itself: one of a chain, all of a fan.
    own: Vec<u32>,
    parent: u32,
    /// Each ends when it gets a byte, or when the last writer is gone: the kernel closes it also if we are killed.
    gate: Option<PipeWriter>,
}

/// The most processes that a family may have.
const MOST: usize = 1024;

/// Makes a chain of `n` processes: the first is a child of the caller, each other one a child of the one before.
///
/// # Errors
/// `Invalid` unless `n` is 1 to 1024; `WouldBlock` (EAGAIN) if a limit on processes is reached, which the error
/// names: those that were made end again.
///
/// # Examples
/// ```
/// let family = triveni::kernel::chain(3)?;
/// print!("{}", family.tree()?);
/// assert_eq!(family.tree()?.depth(), 3);
/// # Ok::<(), triveni::Error>(())
/// ```
pub fn chain(n: usize) -> Result<Family> {
    Family::new(n, true)
}

/// Makes a fan of `n` processes: all are children of the caller.
///
/// # Errors
/// As [`chain`].
pub fn fan(n: usize) -> Result<Family> {
    Family::new(n, false)
}

/// What a member writes to its family's pipe, whole, as it is shorter than PIPE_BUF: its pid and ppid, or 0 and an errno.
type Report = [u8; 8];

impl Family {
    fn new(n: usize, chain: bool) -> Result<Family> {
        if !(1..=MOST).contains(&n) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("a family of {n} processes; give a number from 1 to {MOST}"),
            ));
        }
        let pipe = || std::io::pipe().map_err(|error| Error::os(error.raw_os_error().unwrap_or(libc::EIO), "a pipe"));
        let ((gate, gate_end), (reports, report)) = (pipe()?, pipe()?);
        let mut family =
            Family { members: Vec::new(), own: Vec::new(), parent: std::process::id(), gate: Some(gate_end) };
        let keys = Keys { gate: gate.as_raw_fd(), gate_end: family.gate_end(), report: report.as_raw_fd() };
        let (children, generations) = if chain { (1, n) } else { (n, 1) };
        for _ in 0..children {
            // SAFETY: the child makes system calls only; it neither locks, nor allocates, nor returns.
            match Errno::result(unsafe { libc::fork() }) {
                Ok(0) => member(keys, generations),
                Ok(pid) => family.own.push(pid as u32),
                Err(errno) => return Err(no_process("fork", errno as i32)), // the drop ends those there are
            }
        }
        drop(report);
        let mut reports = File::from(OwnedFd::from(reports));
        for _ in 0..n {
            let mut said: Report = [0; 8];
            // The end of the pipe: somebody killed them all.
            let read = reports.read_exact(&mut said);
            read.map_err(|_| Error::new(ErrorKind::PeerDead, "a process of the family was killed before it reported"))?;
            let [pid, ppid] = [0, 4].map(|at| u32::from_ne_bytes([said[at], said[at + 1], said[at + 2], said[at + 3]]));
            if pid == 0 {
                return Err(no_process("fork", ppid as i32));
            }
            family.members.push(Member { pid, ppid });
        }
        if chain {
            // They report when they run, not in the order of their birth.
            let (mut parent, mut sorted) = (family.parent, Vec::with_capacity(n));
            while let Some(at) = family.members.iter().position(|member| member.ppid == parent) {
                let next = family.members.swap_remove(at);
                parent = next.pid;
                sorted.push(next);
            }
            sorted.append(&mut family.members);
            family.members = sorted;
        } else {
            family.members.sort_by_key(|member| family.own.iter().position(|pid| *pid == member.pid));
        }
        Ok(family)
    }

    fn gate_end(&self) -> RawFd {
        self.gate.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// What they reported, in the order in which they were made.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The tree under the process that made them; other children it has are in it too.
    ///
    /// # Errors
    /// As [`ProcessTree::of`].
    pub fn tree(&self) -> Result<ProcessTree> {
        ProcessTree::of(self.parent)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if self.parent != std::process::id() {
            return; // a fork's copy; its end of the gate closes with it
        }
        if let Some(gate) = self.gate.take() {
            // A byte for each: a process that was forked meanwhile has a copy of this end, and would keep them all.
            let bytes = [0; MOST];
            // Nobody reads: they were killed.
            let _ = without_sigpipe(|| nix::unistd::write(&gate, &bytes));
        }
        for Member { pid, ppid } in &self.members {
            let is_stopped = |node: TreeNode| node.ppid == *ppid && matches!(node.state, 'T' | 't'); // t: it is traced
            if process_tree::read(*pid).is_some_and(is_stopped) {
                let _ = super::send_signal(*pid, libc::SIGCONT); // or it would never end
            }
        }
        for pid in &self.own {
            // Each ends after its own child has, so that nobody is left. ECHILD: somebody else waited for it.
            let _ = super::child::waitid(libc::P_PID, *pid as libc::id_t, libc::WEXITED, Deadline::never());
        }
    }
}

/// The descriptors that a member needs.
#[derive(Clone, Copy)]
struct Keys {
    gate: RawFd,
    gate_end: RawFd,
    report: RawFd,
}

/// The life of a member that has `left - 1` descendants: it reports, makes the next one if there is one, sleeps until the
/// gate opens, waits for its child, and ends. System calls only: other threads of the parent may have held any lock.
fn member(keys: Keys, mut left: usize) -> ! {
    // SAFETY: numbers, and buffers of this frame with their sizes. `_exit` runs nothing of the parent's.
    unsafe {
        libc::close(keys.gate_end);
        let child = loop {
            let mut said: Report = [0; 8];
            said[..4].copy_from_slice(&libc::getpid().to_ne_bytes());
            said[4..].copy_from_slice(&libc::getppid().to_ne_bytes());
            libc::write(keys.report, said.as_ptr().cast(), said.len());
            left -= 1;
            if left == 0 {
                break 0;
            }
            match libc::fork() {
                0 => continue, // the next of the chain goes on in the loop
                -1 => {
                    said = [0; 8];
                    said[4..].copy_from_slice(&(Errno::last() as i32).to_ne_bytes());
                    libc::write(keys.report, said.as_ptr().cast(), said.len());
                    break 0;
                }
                child => break child,
            }
        };
        libc::close(keys.report);
        let mut byte = 0u8;
        // Until a byte comes or the gate closes; a signal's handler may interrupt it.
        while libc::read(keys.gate, (&raw mut byte).cast(), 1) < 0 && Errno::last() == Errno::EINTR {}
        while child > 0 && libc::waitpid(child, std::ptr::null_mut(), 0) < 0 && Errno::last() == Errno::EINTR {}
        libc::_exit(0)
    }
}
