//! SIGPIPE, which kills a program that writes without a reader: held back for the thread that writes.

use crate::deadline::Deadline;
use crate::kernel::wait::restarting;
use nix::errno::Errno;

/// What a write without a reader does besides failing.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sigpipe {
    /// The program ignores it: nothing is to be done.
    Ignored,
    /// It is to be held back.
    HeldBack,
    /// The program wants it.
    Raised,
}

impl Sigpipe {
    /// What this program does with SIGPIPE now.
    pub(super) fn of_program() -> Sigpipe {
        // SAFETY: an all-zero sigaction is one; the old action is written to memory of ours, none is set.
        let ignored = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
        };
        if ignored { Sigpipe::Ignored } else { Sigpipe::HeldBack }
    }

    /// Runs a write of `size` bytes, again if a signal ends it and `until` is not interruptible.
    #[inline]
    pub(super) fn writing(
        self,
        until: Deadline,
        size: usize,
        mut write: impl FnMut() -> nix::Result<Option<usize>>,
    ) -> nix::Result<Option<usize>> {
        match self {
            Sigpipe::HeldBack => restarting(until, || {
                // A reader that leaves in the middle raises it as well, and the write counts what was taken before.
                let mut part = None;
                let written = without_sigpipe(|| match write() {
                    Ok(Some(n)) if n < size => {
                        part = Some(n);
                        Err(Errno::EPIPE)
                    }
                    written => written,
                });
                if part.is_some() { Ok(part) } else { written }
            }),
            Sigpipe::Ignored | Sigpipe::Raised => restarting(until, write),
        }
    }
}

/// Runs a write with SIGPIPE blocked in this thread, and takes the one that it raised.
#[cold]
pub(in crate::kernel) fn without_sigpipe<T>(write: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    // SAFETY: all-zero sigset_ts are sets, and all are ours and outlive the calls. Only this thread's mask changes, and
    // is put back. sigtimedwait takes a SIGPIPE that is pending for this thread only if none was before: the one
    // that the write raised, which is sent to the thread that writes.
    unsafe {
        let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let blocked = libc::sigismember(&before, libc::SIGPIPE) == 1;
        let was_pending =
            blocked && libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, libc::SIGPIPE) == 1;
        let written = write();
        if matches!(written, Err(Errno::EPIPE)) && !was_pending {
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&pipe, std::ptr::null_mut(), &at_once) < 0 && Errno::last() == Errno::EINTR {}
        }
        if !blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        }
        written
    }
}
