//! The descriptors of a wait set: those it was given, one for each signal and timer, and one that says "look at the
//! objects". All of them lie in one epoll descriptor, which is readable when any of them is.

use super::{Interest, Ready, Token};
use crate::deadline::now_ns;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Woken;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// No member's token: the bell.
const BELL: u64 = u64::MAX;
/// How many that are ready one look reports; the others come with the next, as epoll goes round.
const AT_ONCE: usize = 64;

/// Takes over the descriptor that a system call has returned; `tried` says what was tried.
fn owned(fd: libc::c_int, tried: &str) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last_os(format_args!("{tried} for a wait set")));
    }
    // SAFETY: the system has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads `size_of::<T>()` bytes. `None`: there is nothing to read.
fn read<T: Plain>(fd: &OwnedFd) -> Option<T> {
    let mut value = T::ZERO;
    // SAFETY: `value` is writable for its size, and any bits are a `T` (`Plain`). The descriptor does not block.
    let n = unsafe { libc::read(fd.as_raw_fd(), (&raw mut value).cast(), size_of::<T>()) };
    (usize::try_from(n) == Ok(size_of::<T>())).then_some(value)
}

/// # Safety
/// - Any bits must be a value: the kernel writes them.
unsafe trait Plain: Sized {
    const ZERO: Self;
}

// SAFETY: an integer.
unsafe impl Plain for u64 {
    const ZERO: u64 = 0;
}

// SAFETY: a C struct of integers; it is 128 bytes for ever.
unsafe impl Plain for [u8; size_of::<libc::signalfd_siginfo>()] {
    const ZERO: Self = [0; size_of::<libc::signalfd_siginfo>()];
}

/// The bell that is heard in `poll`: an eventfd.
#[derive(Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Makes it readable.
    pub fn ring(&self) {
        let one = 1u64;
        // SAFETY: `one` is 8 readable bytes. It fails only if 2^64 - 2 rings were not heard: it is readable then.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Makes it unreadable.
    pub fn hush(&self) {
        read::<u64>(&self.0);
    }
}

enum Source {
    /// Ours, a duplicate of the caller's.
    Given(OwnedFd),
    Signal(OwnedFd),
    Timer(OwnedFd),
}

impl Source {
    fn fd(&self) -> RawFd {
        match self {
            Source::Given(fd) | Source::Signal(fd) | Source::Timer(fd) => fd.as_raw_fd(),
        }
    }
}

/// All descriptors of one set.
pub struct Descriptors {
    epoll: OwnedFd,
    bell: Bell,
    sources: Vec<(Token, Source)>,
}

impl Descriptors {
    /// Only the bell.
    pub fn new() -> Result<Descriptors> {
        // SAFETY: neither call touches memory of ours.
        let (epoll, bell) = unsafe {
            (libc::epoll_create1(libc::EPOLL_CLOEXEC), libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))
        };
        let epoll = owned(epoll, "make an epoll descriptor");
        let bell = owned(bell, "make an eventfd")?;
        let set = Descriptors { epoll: epoll?, bell: Bell(Arc::new(bell)), sources: Vec::new() };
        set.watch(set.bell.0.as_raw_fd(), libc::EPOLLIN, BELL)?;
        Ok(set)
    }

    /// The bell.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The descriptor that is readable when any of them is.
    pub fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// How many besides the bell.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    fn watch(&self, fd: RawFd, events: libc::c_int, data: u64) -> Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: data };
        // SAFETY: `event` is valid for the call, which copies it.
        if unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } == 0 {
            return Ok(());
        }
        Err(match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EPERM) => Error::new(
                ErrorKind::Invalid,
                "add a descriptor to a wait set: a regular file or directory can always be read, so there is nothing to wait for",
            ),
            errno => Error::os(errno.unwrap_or(libc::EINVAL), "add a descriptor to a wait set"),
        })
    }

    fn add(&mut self, token: Token, source: Source, events: libc::c_int) -> Result<()> {
        self.watch(source.fd(), events, token as u64)?;
        self.sources.push((token, source));
        Ok(())
    }

    /// Adds a duplicate of `fd`.
    pub fn add_fd(&mut self, token: Token, fd: BorrowedFd<'_>, interest: Interest) -> Result<()> {
        let events = match interest {
            Interest::Receive => libc::EPOLLIN | libc::EPOLLRDHUP,
            Interest::Send => libc::EPOLLOUT,
            _ => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("wait for descriptor {}: with Receive or Send, not with {interest:?}", fd.as_raw_fd()),
                ));
            }
        };
        let own = fd.try_clone_to_owned().map_err(|e| {
            Error::os(e.raw_os_error().unwrap_or(libc::EBADF), format!("duplicate descriptor {}", fd.as_raw_fd()))
        })?;
        self.add(token, Source::Given(own), events)
    }

    /// Blocks a signal in the calling thread and adds a descriptor that is readable when it is pending.
    pub fn add_signal(&mut self, token: Token, signal: i32) -> Result<()> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::Invalid, format!("wait for signal {signal}: {why}")));
        if [libc::SIGKILL, libc::SIGSTOP].contains(&signal) {
            return refuse("no program can, as it cannot be blocked");
        }
        let Some(mask) = only(signal) else { return refuse("there is no such signal") };
        // SAFETY: `mask` is a signal set and outlives the calls; a new descriptor is made.
        let fd = unsafe { libc::signalfd(-1, &mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        self.add(token, Source::Signal(owned(fd, "make a signalfd")?), libc::EPOLLIN)?;
        // SAFETY: as above; the old mask is not asked for. It cannot fail with these arguments.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &mask, std::ptr::null_mut()) };
        Ok(())
    }

    /// Adds a timer: first after `first`, then every `every`, or never again if that is zero.
    pub fn add_timer(&mut self, token: Token, first: Duration, every: Duration) -> Result<()> {
        if first.is_zero() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a timer of a wait set that expires after no time; give it a duration, or look without waiting",
            ));
        }
        let spec = libc::itimerspec { it_interval: timespec(every), it_value: timespec(first) };
        // SAFETY: touches no memory of ours.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
        let fd = owned(fd, "make a timerfd")?;
        // SAFETY: `spec` outlives the call; the old setting is not asked for.
        if unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &spec, std::ptr::null_mut()) } != 0 {
            return Err(Error::last_os("set a timer of a wait set"));
        }
        self.add(token, Source::Timer(fd), libc::EPOLLIN)
    }

    /// Takes a member out. False: it is not there.
    pub fn remove(&mut self, token: Token) -> bool {
        let Some(i) = self.sources.iter().position(|(t, _)| *t == token) else { return false };
        let (_, source) = self.sources.swap_remove(i);
        // Duplicates of the file may live on, so closing ours would not take it out.
        // SAFETY: the event is ignored; both descriptors are open and ours.
        unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, source.fd(), std::ptr::null_mut());
        }
        true
    }

    /// Tells which are ready now. A signal and the expiries of a timer are taken by that; nothing else is.
    pub fn look(&self, ready: &mut Vec<Ready>) -> Result<()> {
        if self.sources.is_empty() {
            return Ok(());
        }
        let mut events = [libc::epoll_event { events: 0, u64: BELL }; AT_ONCE];
        // SAFETY: `events` has room for AT_ONCE. A time-out of 0 does not sleep, so no signal interrupts it.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), AT_ONCE as i32, 0) };
        if n < 0 {
            return Err(Error::last_os("look at the descriptors of a wait set"));
        }
        for event in events.iter().take(n as usize) {
            let data = event.u64;
            let Some((token, source)) = self.sources.iter().find(|(token, _)| *token as u64 == data) else {
                continue; // The bell: the objects are looked at anyway.
            };
            let count = match source {
                Source::Given(_) => Some(1),
                Source::Signal(fd) => read::<[u8; size_of::<libc::signalfd_siginfo>()]>(fd).map(|_| 1),
                Source::Timer(fd) => read::<u64>(fd),
            };
            ready.extend(count.map(|count| Ready { token: *token, count }));
        }
        Ok(())
    }

    /// Sleeps until any of them is readable, or until `at_ns`.
    pub fn sleep(&self, at_ns: u64) -> Result<Woken> {
        let mut polled = libc::pollfd { fd: self.epoll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let left = timespec(Duration::from_nanos(at_ns.saturating_sub(now_ns())));
        let timeout: *const libc::timespec = if at_ns == u64::MAX { std::ptr::null() } else { &left };
        // SAFETY: one pollfd, writable; `timeout` is null or points to `left`, which outlives the call; no mask.
        match unsafe { libc::ppoll(&mut polled, 1, timeout, std::ptr::null()) } {
            0 => Ok(Woken::TimeUp),
            1.. => Ok(Woken::Perhaps),
            _ => match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => Ok(Woken::Signal),
                errno => Err(Error::os(errno.unwrap_or(libc::EINVAL), "sleep on the descriptors of a wait set")),
            },
        }
    }
}

/// The set of one signal; `None` if there is no such signal.
fn only(signal: i32) -> Option<libc::sigset_t> {
    let mut mask = std::mem::MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises what it is given; `sigaddset` changes it, or fails for a number that is none.
    unsafe {
        libc::sigemptyset(mask.as_mut_ptr());
        (libc::sigaddset(mask.as_mut_ptr(), signal) == 0).then(|| mask.assume_init())
    }
}

/// Runs `f` with all signals blocked: threads that it starts get none.
pub fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    let (mut all, mut before) = (std::mem::MaybeUninit::uninit(), std::mem::MaybeUninit::uninit());
    // SAFETY: `sigfillset` initialises `all`, and `pthread_sigmask` `before`; with these arguments neither fails.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let answer = f();
    // SAFETY: `before` was initialised above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    answer
}

/// A duration as the kernel takes it; one beyond its clock is 292 years.
fn timespec(duration: Duration) -> libc::timespec {
    let seconds = duration.as_secs().min(i64::MAX as u64 / 1_000_000_000);
    libc::timespec { tv_sec: seconds as i64, tv_nsec: duration.subsec_nanos().into() }
}
