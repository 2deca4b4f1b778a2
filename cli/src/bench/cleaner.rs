//! Removes what an interrupted bench would leave: a process that outlives it.

use std::time::Duration;
use triveni::Result;
use triveni::kernel::{Child, Signals, fork, owned_objects};

/// Starts it. It ends with the bench, or is killed with the handle; no Ctrl-C reaches it.
pub fn cleaner() -> Result<Child> {
    let bench = std::process::id();
    // SAFETY: the command has no other threads yet; the child allocates, makes system calls and ends.
    let child = unsafe { fork(|| i32::from(clean_after(bench).is_err())) }?;
    child.set_kill_on_drop(true);
    Ok(child)
}

fn clean_after(bench: u32) -> Result<()> {
    let signals = Signals::take([libc::SIGUSR1])?;
    // SAFETY: numbers only.
    let is_there = unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1);
        libc::getppid() == bench as libc::pid_t
    };
    if is_there {
        signals.receive()?;
    }
    for _ in 0..100 {
        let left: Vec<_> = owned_objects()?.into_iter().filter(|object| object.pid == bench).collect();
        if left.is_empty() {
            break;
        }
        for object in left {
            let _ = object.remove(); // Busy while the bench is still ending: once more
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
