//! A process that divides in two.

use super::child::{Child, pidfd_open, waitid};
use super::process_limit::no_process;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use nix::errno::Errno;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a child ends whose closure panicked: as a Rust program does.
const PANICKED: i32 = 101;

/// Makes a child that runs `child` and ends with its result as exit status (its low 8 bits), without running the
/// exit handlers of the parent's copy. What was buffered for the standard output is written before, by each its own.
/// A panic ends the child with status 101.
///
/// Segments and objects that are open go on working in the child, which becomes a participant of its own at its first
/// call; what the parent holds (locks, loans, roles) stays the parent's.
///
/// # Errors
/// `WouldBlock` (EAGAIN) if a limit on processes is reached: the error names the limits;
/// `System(EMFILE)` if there is no descriptor left. Then there is no child.
///
/// # Safety
/// - If this process has other threads, they do not exist in the child, and what they held at that moment stays held
///   there: the child must not use what another thread may have locked, the standard output among it.
/// - What the parent has exclusively outside its own memory is then in two hands: neither may assume that it has it
///   alone.
///
/// # Examples
/// ```
/// // SAFETY: the child uses nothing that another thread could have locked.
/// let child = unsafe { triveni::kernel::fork(|| 7) }?;
/// assert_eq!(child.wait()?.code(), Some(7));
/// # Ok::<(), triveni::Error>(())
/// ```
pub unsafe fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    let _ = std::io::stdout().flush(); // or the child would have the same bytes to write once more
    // SAFETY: the caller's promise is the one `fork_raw` asks for.
    match unsafe { fork_raw() }? {
        Some(child) => Ok(child),
        None => {
            let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            let _ = std::io::stdout().flush();
            // SAFETY: ends this process; nothing of the parent's copy runs any more.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Makes a child that goes on where the parent does: `None` in the child. See [`fork`], which keeps the two apart.
///
/// # Errors
/// As [`fork`].
///
/// # Safety
/// - As for [`fork`].
pub unsafe fn fork_raw() -> Result<Option<Child>> {
    // Takes the room for the child's descriptor, so that the lack of it shows before there is a child.
    let room = pidfd_open(std::process::id())?;
    // SAFETY: the caller's promise covers what the child may touch; this library's fork handlers do the rest.
    match Errno::result(unsafe { libc::fork() }).map_err(|errno| no_process("fork", errno as i32))? {
        0 => Ok(None),
        pid => {
            drop(room);
            match pidfd_open(pid as u32) {
                Ok(pidfd) => Ok(Some(Child::new(pidfd, pid as u32))),
                Err(error) => {
                    // Another thread took the room. Who gets an error has no child.
                    if error.kind() != ErrorKind::System(libc::ESRCH) {
                        // SAFETY: kill takes numbers; nobody has waited for this child, so the number is still its own.
                        unsafe { libc::kill(pid, libc::SIGKILL) };
                        let _ = waitid(libc::P_PID, pid as libc::id_t, libc::WEXITED, Deadline::never());
                    }
                    Err(error)
                }
            }
        }
    }
}
