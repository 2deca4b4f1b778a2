//! POSIX semaphores (sem_overview(7)): named ones, and unnamed ones in memory that processes share.
//!
//! # What the kernel guarantees
//!
//! A post is a permit for one wait, and what was written before the post is seen after the wait. Who is woken first is
//! not said; a newcomer may be faster than a sleeper.
//!
//! # When a peer dies
//!
//! Before its post: that permit never comes; a deadline is the way out, or a System V semaphore with undo, or a leased
//! one of a [`Segment`](crate::Segment). Who is killed while it waits has taken nothing.
//!
//! # What is left
//!
//! A named semaphore keeps its value until somebody unlinks the name and the last user is gone. An unnamed one is bytes
//! of the memory in which it lies.
//!
//! # Whom it trusts
//!
//! Its state is the C library's `sem_t`. A process that may write there can make its value anything, and the C
//! library may abort on garbage: use a semaphore of a [`Segment`](crate::Segment) with peers that are not trusted.
//! Processes with different C libraries do not understand each other's.
//!
//! # Its file
//!
//! The C library's own file, by the name it has for it. It is made and mapped here: so it has its mode from the beginning,
//! its size is that of the file that is mapped, and nothing depends on the C library's count of who has it open (musl has
//! unmapped a semaphore that was opened twice when it was closed once).
//!
//! # How it waits
//!
//! By sem_clockwait(3) on the monotonic clock, where the C library has it; elsewhere by sem_timedwait(3), whose clock
//! can be set, in slices of 100 ms at most, each computed anew from the monotonic deadline.

#[cfg(all(test, not(loom)))]
mod tests;

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::{Owned, OwnedKind};
use crate::kernel::posix_name::PosixName;
use crate::kernel::shared_memory::{Attachment, SharedMemory};
use crate::sys::memory;
use libc::{c_int, clockid_t, sem_t, timespec};
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How a named POSIX semaphore is created.
#[derive(Clone, Debug)]
#[must_use]
pub struct PosixSemaphoreOptions {
    mode: u32,
    owned: bool,
}

impl Default for PosixSemaphoreOptions {
    fn default() -> Self {
        PosixSemaphoreOptions { mode: 0o600, owned: false }
    }
}

impl PosixSemaphoreOptions {
    /// Mode 0600, not owned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Access mode of a new semaphore; 0o600 unless set. Who is to use it must be allowed to read and to write.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }

    /// The creator unlinks the name together with its handle.
    pub fn owned(mut self, owned: bool) -> Self {
        self.owned = owned;
        self
    }

    /// Makes a new semaphore with `initial` permits.
    ///
    /// # Errors
    /// `Exists`; `Invalid` for a bad name or more than [`PosixSemaphore::MAX`] permits; `NoSpace`.
    pub fn create(&self, name: &str, initial: u32) -> Result<PosixSemaphore> {
        let name = PosixName::of_semaphore(name)?;
        checked_initial(&name, initial)?;
        let failed = |e: Error| name.failed("create", e.errno());
        let file = memory::unnamed(self.mode).map_err(failed)?;
        memory::set_size(&file, PosixSemaphore::SIZE as u64).map_err(failed)?;
        memory::commit(file.as_fd(), 0, PosixSemaphore::SIZE as u64).map_err(failed)?;
        let mut made = PosixSemaphore::map(&name, &file)?;
        made.init(initial)?;
        memory::publish(&file, &name.path()).map_err(failed)?;
        if self.owned {
            made.owned = Some(Owned::new(OwnedKind::PosixSemaphore, name.as_str())?);
        }
        Ok(made)
    }

    /// Opens the semaphore, or makes it with `initial` permits; an existing one keeps its value.
    ///
    /// # Errors
    /// As `create` and `open`, without `Exists` and `NotFound`.
    pub fn open_or_create(&self, name: &str, initial: u32) -> Result<PosixSemaphore> {
        // Each round begins anew because somebody created or removed the name in between.
        for _ in 0..100 {
            match PosixSemaphore::open(name) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                done => return done,
            }
            match self.create(name, initial) {
                Err(e) if e.kind() == ErrorKind::Exists => {}
                done => return done,
            }
        }
        let name = PosixName::of_semaphore(name)?;
        Err(Error::new(ErrorKind::Busy, format!("{name} is created and removed all the time by others")))
    }
}

fn checked_initial(what: &dyn fmt::Display, initial: u32) -> Result<()> {
    if initial <= PosixSemaphore::MAX {
        return Ok(());
    }
    let message = format!("{what}: {initial} permits are too many; the most are {}", PosixSemaphore::MAX);
    Err(Error::new(ErrorKind::Invalid, message))
}

// Not in the libc crate for Linux. The same in glibc and musl.
unsafe extern "C" {
    fn sem_timedwait(semaphore: *mut sem_t, until: *const timespec) -> c_int;
    fn sem_getvalue(semaphore: *mut sem_t, value: *mut c_int) -> c_int;
}

/// A POSIX semaphore: a counter of permits that processes wait for.
///
/// Named ones are found by their name, `/counter` or `counter`; unnamed ones lie in shared memory at an offset that all
/// agree on. Plain programs use them by `sem_t`. Threads may share a handle; in a forked child it goes on as it is.
///
/// What was written before a post is seen after the wait that took its permit. Permits of a process that dies stay taken:
/// a deadline is the way out, or [`SysvSemaphores`](crate::kernel::SysvSemaphores) with undo. A named one keeps its value
/// until its name is unlinked and the last user is gone. There is no descriptor to poll.
///
/// It trusts who may write to it: the C library may abort on garbage. Processes with another C library do not understand it.
///
/// ```
/// use triveni::kernel::{PosixSemaphore, PosixSharedMemory};
/// # fn main() -> triveni::Result<()> {
/// # let name = format!("/triveni-doc-sem-{}", std::process::id());
/// let memory = PosixSharedMemory::create(&name, 4096)?;
/// let filled = PosixSemaphore::init_in(&memory, 0, 0)?; // 0 permits
/// filled.post()?;
/// assert!(filled.try_wait()?);
/// assert!(!filled.try_wait()?);
/// PosixSharedMemory::unlink(&name)
/// # }
/// ```
pub struct PosixSemaphore {
    /// An aligned `sem_t` in memory that may be written to and stays mapped as long as `place` lives.
    at: NonNull<sem_t>,
    place: Place,
    owned: Option<Owned>,
}

enum Place {
    /// The beginning of its file, which is mapped for it.
    Named(PosixName, #[expect(dead_code, reason = "kept so that it stays mapped")] MmapRaw),
    /// At an offset of shared memory, which stays attached for it.
    In(#[expect(dead_code, reason = "kept so that it stays attached")] Arc<Attachment>, usize),
    /// In memory that the caller keeps.
    At,
}

// SAFETY: a `sem_t` is made to be used by many threads and processes at once.
unsafe impl Send for PosixSemaphore {}
// SAFETY: as above.
unsafe impl Sync for PosixSemaphore {}

impl PosixSemaphore {
    /// The most permits (`SEM_VALUE_MAX`).
    pub const MAX: u32 = i32::MAX as u32;
    /// How many bytes an unnamed semaphore takes.
    pub const SIZE: usize = size_of::<sem_t>();
    /// The offset of an unnamed semaphore is a multiple of this.
    pub const ALIGNMENT: usize = align_of::<sem_t>();

    /// [`PosixSemaphoreOptions::create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn create(name: &str, initial: u32) -> Result<PosixSemaphore> {
        PosixSemaphoreOptions::new().create(name, initial)
    }

    /// Opens an existing semaphore.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for a bad name; `Corrupt` if its file is too small to be one.
    pub fn open(name: &str) -> Result<PosixSemaphore> {
        let name = PosixName::of_semaphore(name)?;
        let failed = |e: std::io::Error| name.failed("open", e.raw_os_error().unwrap_or(libc::EIO));
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name.path()).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() || meta.len() < PosixSemaphore::SIZE as u64 {
            let (path, size) = (name.path(), meta.len());
            let message = format!("open {name}: {} has {size} bytes and is none; remove it", path.display());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        PosixSemaphore::map(&name, &file)
    }

    fn map(name: &PosixName, file: &File) -> Result<PosixSemaphore> {
        let map = MmapOptions::new().len(PosixSemaphore::SIZE).map_raw(file);
        let map = map.map_err(|e| name.failed("map", e.raw_os_error().unwrap_or(libc::ENOMEM)))?;
        let at = NonNull::new(map.as_mut_ptr().cast()).ok_or(ErrorKind::Invalid)?;
        Ok(PosixSemaphore { at, place: Place::Named(name.clone(), map), owned: None })
    }

    /// Makes a semaphore of the bytes there, which processes share.
    fn init(&self, initial: u32) -> Result<()> {
        // SAFETY: `at` has room for a `sem_t`, aligned and to be written to: see its field.
        match unsafe { libc::sem_init(self.at.as_ptr(), 1, initial) } {
            0 => Ok(()),
            _ => Err(self.failed("init")),
        }
    }

    /// [`PosixSemaphoreOptions::open_or_create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(name: &str, initial: u32) -> Result<PosixSemaphore> {
        PosixSemaphoreOptions::new().open_or_create(name, initial)
    }

    /// Removes the name. Who has the semaphore open keeps it; it goes with the last of them.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for a bad name.
    pub fn unlink(name: &str) -> Result<()> {
        let name = PosixName::of_semaphore(name)?;
        fs::remove_file(name.path()).map_err(|e| name.failed("unlink", e.raw_os_error().unwrap_or(libc::EIO)))
    }

    /// Makes an unnamed semaphore with `initial` permits at `offset` of `memory`, over whatever lies there. One process
    /// does this, before the others [`open_in`](Self::open_in) it: those that wait already would never be woken.
    ///
    /// # Errors
    /// `Invalid` for an offset that is no multiple of [`ALIGNMENT`](Self::ALIGNMENT) or has not [`SIZE`](Self::SIZE)
    /// bytes after it, and for too many permits; `Permission` for memory that is attached read-only.
    pub fn init_in(memory: &impl SharedMemory, offset: usize, initial: u32) -> Result<PosixSemaphore> {
        checked_initial(&format_args!("POSIX semaphore at {offset}"), initial)?;
        let made = PosixSemaphore::open_in(memory, offset)?;
        made.init(initial)?;
        Ok(made)
    }

    /// Takes the unnamed semaphore that somebody has made at `offset` of `memory`. Nothing tells it from other bytes:
    /// both sides must agree on the offset, and on when it has been made.
    ///
    /// # Errors
    /// As [`init_in`](Self::init_in).
    pub fn open_in(memory: &impl SharedMemory, offset: usize) -> Result<PosixSemaphore> {
        let attachment = memory.attachment();
        let at = attachment.range("place a POSIX semaphore of", offset, PosixSemaphore::SIZE)?.cast::<sem_t>();
        if !at.is_aligned() {
            let message = format!(
                "POSIX semaphore at {offset}: the offset must be a multiple of {}; the next one is {}",
                PosixSemaphore::ALIGNMENT,
                offset.next_multiple_of(PosixSemaphore::ALIGNMENT)
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if attachment.is_read_only() {
            let message =
                format!("POSIX semaphore at {offset}: its memory is attached read-only; waiting writes to it");
            return Err(Error::new(ErrorKind::Permission, message));
        }
        let at = NonNull::new(at).ok_or(ErrorKind::Invalid)?;
        Ok(PosixSemaphore { at, place: Place::In(attachment.clone(), offset), owned: None })
    }

    /// As [`init_in`](Self::init_in), in any memory that processes share, such as a page that is inherited over fork.
    ///
    /// # Errors
    /// `Invalid` for null, for an address that is no multiple of [`ALIGNMENT`](Self::ALIGNMENT), and for too many
    /// permits.
    ///
    /// # Safety
    /// - [`SIZE`](Self::SIZE) bytes at `at` may be written and stay mapped until the handle is dropped; otherwise waiting
    ///   and posting write to memory of others.
    pub unsafe fn init_at(at: *mut u8, initial: u32) -> Result<PosixSemaphore> {
        checked_initial(&format_args!("POSIX semaphore at {at:p}"), initial)?;
        // SAFETY: the caller's promise is the one `open_at` asks for.
        let made = unsafe { PosixSemaphore::open_at(at) }?;
        made.init(initial)?;
        Ok(made)
    }

    /// As [`open_in`](Self::open_in), in any memory that processes share.
    ///
    /// # Errors
    /// As [`init_at`](Self::init_at).
    ///
    /// # Safety
    /// - As for [`init_at`](Self::init_at).
    pub unsafe fn open_at(at: *mut u8) -> Result<PosixSemaphore> {
        match NonNull::new(at.cast::<sem_t>()).filter(|at| at.is_aligned()) {
            Some(at) => Ok(PosixSemaphore { at, place: Place::At, owned: None }),
            None => Err(Error::new(
                ErrorKind::Invalid,
                format!("POSIX semaphore at {at:p}: the address must be a multiple of {}", PosixSemaphore::ALIGNMENT),
            )),
        }
    }

    /// Takes a permit (P); waits for one as long as it takes.
    ///
    /// # Errors
    /// None that a sound semaphore has.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// Takes a permit if there is one; says whether it did.
    ///
    /// # Errors
    /// None that a sound semaphore has.
    #[inline]
    pub fn try_wait(&self) -> Result<bool> {
        loop {
            // SAFETY: `at` is a mapped `sem_t`; see its field.
            if unsafe { libc::sem_trywait(self.at.as_ptr()) } == 0 {
                return Ok(true);
            }
            match Errno::last() {
                Errno::EAGAIN => return Ok(false),
                Errno::EINTR => {}
                _ => return Err(self.failed("wait for")),
            }
        }
    }

    /// Takes a permit; waits for one until `until`.
    ///
    /// # Errors
    /// `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn wait_until(&self, until: Deadline) -> Result<()> {
        loop {
            let waited = match (until.is_never(), sem_clockwait()) {
                // SAFETY: `at` is a mapped `sem_t`; see its field.
                (true, _) => unsafe { libc::sem_wait(self.at.as_ptr()) },
                (false, Some(wait)) => {
                    let moment = timespec_of(until.at_ns());
                    // SAFETY: as above, and `moment` is a valid timespec.
                    unsafe { wait(self.at.as_ptr(), libc::CLOCK_MONOTONIC, &moment) }
                }
                (false, None) => self.wait_slice(until),
            };
            if waited == 0 {
                return Ok(());
            }
            match Errno::last() {
                Errno::EINTR if until.is_interruptible() => return Err(ErrorKind::Interrupted.into()),
                Errno::EINTR => {}
                // The end of a slice, or the deadline.
                Errno::ETIMEDOUT if !until.passed() => {}
                Errno::ETIMEDOUT => return Err(ErrorKind::Timeout.into()),
                _ => return Err(self.failed("wait for")),
            }
        }
    }

    /// sem_timedwait(3), for what is left until `until` or for a slice. A clock that is set back meanwhile makes this
    /// slice longer where the C library sleeps by the clock of the day (glibc before 2.30), and none after it.
    fn wait_slice(&self, until: Deadline) -> c_int {
        const SLICE: u64 = Duration::from_millis(100).as_nanos() as u64;
        let left = until.at_ns().saturating_sub(now_ns()).min(SLICE);
        let mut now = timespec_of(0);
        // SAFETY: `now` is a valid, writable timespec; every Linux has this clock.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
        let moment = timespec_of(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64 + left);
        // SAFETY: `at` is a mapped `sem_t`, see its field; `moment` is a valid timespec.
        unsafe { sem_timedwait(self.at.as_ptr(), &moment) }
    }

    /// Adds a permit (V) and wakes one sleeper, if any sleeps. Never waits. Anybody may post, a signal handler too.
    ///
    /// # Errors
    /// `Overflow` at [`MAX`](Self::MAX); nothing is added then.
    #[inline]
    pub fn post(&self) -> Result<()> {
        // SAFETY: `at` is a mapped `sem_t`; see its field.
        match unsafe { libc::sem_post(self.at.as_ptr()) } {
            0 => Ok(()),
            _ => Err(self.failed("post")),
        }
    }

    /// Permits at this moment; the next one may be another. 0 while somebody waits.
    pub fn value(&self) -> u32 {
        let mut value = 0;
        // SAFETY: `at` is a mapped `sem_t`, see its field; `value` is ours to fill. This cannot fail.
        unsafe { sem_getvalue(self.at.as_ptr(), &mut value) };
        u32::try_from(value).unwrap_or(0)
    }

    /// Its name, with the slash; `None` for an unnamed one.
    pub fn name(&self) -> Option<&str> {
        match &self.place {
            Place::Named(name, _) => Some(name.as_str()),
            Place::In(..) | Place::At => None,
        }
    }

    #[cold]
    fn failed(&self, tried: &str) -> Error {
        match (&self.place, Errno::last()) {
            (_, Errno::EOVERFLOW) => {
                Error::new(ErrorKind::Overflow, format!("post {}: it has {} permits, the most", self.place, Self::MAX))
            }
            (Place::Named(name, _), errno) => name.failed(tried, errno as i32),
            (place, errno) => Error::os(errno as i32, format_args!("{tried} {place}")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Named(name, _) => name.fmt(f),
            Place::In(_, offset) => write!(f, "POSIX semaphore at {offset}"),
            Place::At => f.write_str("unnamed POSIX semaphore"),
        }
    }
}

impl fmt::Debug for PosixSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PosixSemaphore({}, value {})", self.place, self.value())
    }
}

fn timespec_of(ns: u64) -> timespec {
    timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ }
}

type ClockWait = unsafe extern "C" fn(*mut sem_t, clockid_t, *const timespec) -> c_int;

/// sem_clockwait(3), where the C library has it: glibc from 2.30 on.
fn sem_clockwait() -> Option<ClockWait> {
    static FOUND: OnceLock<Option<ClockWait>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: the name is a C string; looking a symbol up runs no code of others.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"sem_clockwait".as_ptr()) };
        // SAFETY: a function of this name has this signature, in glibc and as POSIX.1-2024 has it; null becomes `None`.
        unsafe { std::mem::transmute::<*mut libc::c_void, Option<ClockWait>>(found) }
    })
}
