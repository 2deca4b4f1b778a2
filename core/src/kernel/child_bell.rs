//! A bell that rings whenever a child may have ended, whichever thread started it.
//!
//! # Why a signalfd does not do
//!
//! The kernel sends SIGCHLD to the process, by way of the thread that started the child. If that thread does not block it
//! and the program has no handler, the signal is one that nobody wants: it is thrown away at once, also where
//! another thread blocks it and reads a signalfd. With a handler it is kept: it is delivered to a thread that does not block
//! it, or stays pending if all do. So both are needed: a handler that writes to an eventfd, and a signalfd.
//!
//! # State
//!
//! [`BELL`] is one eventfd of the process, never read and never closed, so that the handler can write to it at any moment.
//! Who listens has an epoll instance that sees each write as an edge. [`BEFORE`] is the handler that was there.
//!
//! # Fork
//!
//! A child inherits the handler, but does not ring its parent's bell: [`BELL`] says whose it is.

use super::wait::restarting;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The pid of its process, and in the low half the eventfd; 0 before there is one.
static BELL: AtomicU64 = AtomicU64::new(0);
/// The handler before ours; `SIG_DFL` if there was none.
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
/// The thread that is in [`BEFORE`] just now, or 0: if that one calls us in turn, it is not called once more.
static INSIDE: AtomicI32 = AtomicI32::new(0);

// Relaxed everywhere: each word stands for itself, what it names is the kernel's or code; sigaction(2) comes after the store.

/// The handler. All it does is async-signal-safe: system calls and atomics.
extern "C" fn ring(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let errno = Errno::last();
    let bell = BELL.load(Relaxed);
    if bell >> 32 == u64::from(std::process::id()) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: 8 bytes of ours. The eventfd stays open as long as this process.
        unsafe { libc::write(bell as RawFd, one.as_ptr().cast(), one.len()) };
    }
    let thread = nix::unistd::gettid().as_raw();
    let before = BEFORE.load(Relaxed);
    if before != libc::SIG_DFL && INSIDE.swap(thread, Relaxed) != thread {
        // SAFETY: sigaction(2) gave us this address as that of the handler for SIGCHLD. One that takes the number alone
        // finds it where it is, whatever comes after it: so the kernel itself calls both kinds.
        let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(before) };
        before(signal, info, context);
        INSIDE.store(0, Relaxed);
    }
    errno.set();
}

/// Makes [`ring`] the handler, if it is not. What was there is called by it, except for signals that a signalfd takes first.
///
/// # Errors
/// `System(ECHILD)` if the program has no wish for the ends of its children: SIGCHLD is ignored.
pub(super) fn install() -> Result<()> {
    // SAFETY: an all-zero sigaction is one.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: nothing is changed; what is asked for is written to memory of ours. It fails only for a wrong number.
    unsafe { libc::sigaction(libc::SIGCHLD, null(), &mut action) };
    let is_ours = action.sa_sigaction == ring as *const () as usize;
    if is_ours && action.sa_flags & libc::SA_SIGINFO != 0 {
        return Ok(()); // without the flag somebody has put it back by signal(2)
    }
    if action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0 {
        let sentence = "look out for children that end: SIGCHLD is ignored, so the system takes their ends itself; \
                        set SIGCHLD to SIG_DFL, without SA_NOCLDWAIT";
        return Err(Error::new(ErrorKind::System(libc::ECHILD), sentence));
    }
    if !is_ours {
        BEFORE.store(action.sa_sigaction, Relaxed);
    }
    if action.sa_sigaction == libc::SIG_DFL {
        action.sa_flags = libc::SA_RESTART | libc::SA_NOCLDSTOP | libc::SA_ONSTACK;
    }
    action.sa_sigaction = ring as *const () as usize;
    action.sa_flags = action.sa_flags & !libc::SA_RESETHAND | libc::SA_SIGINFO;
    // SAFETY: `ring` takes what SA_SIGINFO gives, and does nothing that a handler may not do.
    unsafe { libc::sigaction(libc::SIGCHLD, &action, null_mut()) };
    Ok(())
}

/// The eventfd of this process.
fn bell() -> Result<RawFd> {
    let pid = std::process::id();
    loop {
        let known = BELL.load(Relaxed);
        if known >> 32 == u64::from(pid) {
            return Ok(known as RawFd);
        }
        // SAFETY: numbers only.
        let fd = descriptor(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        let new = u64::from(pid) << 32 | fd.as_raw_fd() as u64;
        if BELL.compare_exchange(known, new, Relaxed, Relaxed).is_ok() {
            std::mem::forget(fd); // the handler's, for ever
        }
    }
}

fn descriptor(fd: libc::c_int) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last_os("a descriptor for the ends of children"));
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Hears the bell, and a signalfd: readable from when one of them rings until [`Ear::hush`].
#[derive(Debug)]
pub(super) struct Ear(OwnedFd);

impl Ear {
    pub(super) fn new(signals: BorrowedFd<'_>) -> Result<Ear> {
        install()?;
        // SAFETY: a number.
        let ear = Ear(descriptor(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        ear.add(bell()?, libc::EPOLLIN | libc::EPOLLET)?; // an edge: nobody reads it
        ear.add(signals.as_raw_fd(), libc::EPOLLIN)?;
        Ok(ear)
    }

    fn add(&self, fd: RawFd, events: i32) -> Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: 0 };
        // SAFETY: two open descriptors, and an event of ours to read.
        let added = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if added < 0 { Err(Error::last_os("listen for the ends of children")) } else { Ok(()) }
    }

    /// Forgets what has rung. The signalfd is the caller's to read.
    pub(super) fn hush(&self) -> Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        restarting(Deadline::never(), || {
            // SAFETY: room for two events, ours.
            Errno::result(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 2, 0) })
        })
        .map(drop)
        .map_err(|errno| Error::os(errno as i32, "listen for the ends of children"))
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
