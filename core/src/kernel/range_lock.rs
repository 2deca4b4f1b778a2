//! Locks on ranges of a file: open-file-description locks, `F_OFD_SETLK` of fcntl(2).
//!
//! As flock's, the lock belongs to the open file description, is inherited by fork, and goes with the last process that
//! has it. (The older `F_SETLK` belongs to the process, and closing *any* descriptor of the file drops it; nobody should
//! want that. Both exclude each other: programs that use `lockf` or `F_SETLK` are kept out.) It is advisory.
//!
//! Ranges may reach beyond the end of the file. One without an end covers all that the file may grow to.
//!
//! # One handle is one holder
//!
//! A range that the handle has already is changed, not waited for, and neighbouring ranges melt together: the kernel
//! keeps a set of bytes. Unlocking takes bytes out of it, whoever of the handle's users locked them.
//!
//! # Deadlock
//!
//! The kernel does not look for deadlocks among these locks (it does for `F_SETLK`: `EDEADLK`). Give a deadline, or lock
//! ranges in ascending order.

use super::file_lock::{LockMode, failed, opened};
use super::wait::{restarting, retrying};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A file of which ranges of bytes can be locked.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::kernel::RangeLock;
/// # let path = std::env::temp_dir().join(format!("range-lock-{}", std::process::id()));
/// let (mine, yours) = (RangeLock::open_or_create(&path, 0o600)?, RangeLock::open(&path)?);
/// let _first_record = mine.lock(0..100)?;
/// assert!(yours.try_lock(50..)?.is_none());
/// let _second_record = yours.lock(100..200)?;
/// # std::fs::remove_file(path).unwrap();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RangeLock {
    file: File,
    path: PathBuf,
}

/// A locked range; dropping it unlocks these bytes. In a forked child it does nothing when it is dropped: parent and child
/// hold the lock together.
#[derive(Debug)]
#[must_use = "the range is unlocked when this is dropped"]
pub struct RangeLockGuard<'l> {
    lock: &'l RangeLock,
    range: Range,
    pid: u32,
}

/// A lock that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeBlocker {
    /// How it is locked.
    pub mode: LockMode,
    /// Its first byte.
    pub start: u64,
    /// Its last byte; `None` if it has no end.
    pub last: Option<u64>,
    /// The process, if it is a lock of the older kind, which belongs to one. An open file description may be many
    /// processes', so the kernel names none.
    pub pid: Option<u32>,
}

/// A checked range, as the kernel has it: a length of 0 has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: i64,
    length: i64,
}

impl RangeLock {
    /// Opens the file `path`, for reading and writing if that is permitted, otherwise for reading.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, what open(2) reports.
    pub fn open(path: impl AsRef<Path>) -> Result<RangeLock> {
        let path = path.as_ref();
        opened(path, None).map(|file| RangeLock { file, path: path.into() })
    }

    /// Opens the file `path`, or makes it with `mode`, less the umask.
    ///
    /// # Errors
    /// `Permission`, what open(2) reports.
    pub fn open_or_create(path: impl AsRef<Path>, mode: u32) -> Result<RangeLock> {
        let path = path.as_ref();
        opened(path, Some(mode)).map(|file| RangeLock { file, path: path.into() })
    }

    /// Locks a range alone; waits until no other handle has a byte of it. `10..20`, `10..`, `..` for the whole file.
    ///
    /// # Blocking
    /// In the kernel, for ever.
    ///
    /// # Errors
    /// `Invalid` for an empty range, or one beyond 2^63; `System(EBADF)` if the file is not open for writing;
    /// `System(ENOLCK)` if the kernel has no room for locks, or the file system no lock service.
    pub fn lock(&self, range: impl RangeBounds<u64>) -> Result<RangeLockGuard<'_>> {
        self.lock_until(range, Deadline::never())
    }

    /// Locks a range alone if no other handle has a byte of it.
    ///
    /// # Errors
    /// As [`RangeLock::lock`].
    pub fn try_lock(&self, range: impl RangeBounds<u64>) -> Result<Option<RangeLockGuard<'_>>> {
        let range = self.range(range)?;
        Ok(self.attempt(LockMode::Exclusive, range)?.then(|| self.guard(range)))
    }

    /// As [`RangeLock::lock`], until the deadline: tries again after pauses that grow to 4 ms.
    ///
    /// # Errors
    /// As `lock`; `Timeout`, and the sentence says what is in the way; `Interrupted` if the deadline is interruptible.
    pub fn lock_until(&self, range: impl RangeBounds<u64>, deadline: Deadline) -> Result<RangeLockGuard<'_>> {
        let range = self.range(range)?;
        self.wait(LockMode::Exclusive, range, deadline).map(|()| self.guard(range))
    }

    /// Locks a range together with others that do so.
    ///
    /// # Errors
    /// As [`RangeLock::lock`], and `System(EBADF)` if the file is not open for reading.
    pub fn lock_shared(&self, range: impl RangeBounds<u64>) -> Result<RangeLockGuard<'_>> {
        self.lock_shared_until(range, Deadline::never())
    }

    /// Locks a range together with others if nobody has a byte of it alone.
    ///
    /// # Errors
    /// As [`RangeLock::lock_shared`].
    pub fn try_lock_shared(&self, range: impl RangeBounds<u64>) -> Result<Option<RangeLockGuard<'_>>> {
        let range = self.range(range)?;
        Ok(self.attempt(LockMode::Shared, range)?.then(|| self.guard(range)))
    }

    /// As [`RangeLock::lock_shared`], until the deadline.
    ///
    /// # Errors
    /// As [`RangeLock::lock_until`].
    pub fn lock_shared_until(&self, range: impl RangeBounds<u64>, deadline: Deadline) -> Result<RangeLockGuard<'_>> {
        let range = self.range(range)?;
        self.wait(LockMode::Shared, range, deadline).map(|()| self.guard(range))
    }

    /// Locks without a guard, for who unlocks with [`RangeLock::release`].
    ///
    /// # Errors
    /// As [`RangeLock::lock_until`].
    pub fn acquire(&self, mode: LockMode, range: impl RangeBounds<u64>, deadline: Deadline) -> Result<()> {
        self.wait(mode, self.range(range)?, deadline)
    }

    /// Locks without a guard, if it need not wait for that; says whether it did.
    ///
    /// # Errors
    /// As [`RangeLock::lock`].
    pub fn try_acquire(&self, mode: LockMode, range: impl RangeBounds<u64>) -> Result<bool> {
        self.attempt(mode, self.range(range)?)
    }

    /// Unlocks a range, or part of one, also for the other processes that have this open file description. Bytes that are
    /// not locked stay so.
    ///
    /// # Errors
    /// `Invalid` as for [`RangeLock::lock`]; what fcntl(2) reports.
    pub fn release(&self, range: impl RangeBounds<u64>) -> Result<()> {
        self.unlock(self.range(range)?)
    }

    /// What would be in the way of locking a range: the first such lock, or `None`. It may be gone by the time you look.
    ///
    /// # Errors
    /// As [`RangeLock::lock`].
    pub fn blocker(&self, mode: LockMode, range: impl RangeBounds<u64>) -> Result<Option<RangeBlocker>> {
        self.in_the_way(mode, self.range(range)?)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path; empty for one made of a file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn range(&self, range: impl RangeBounds<u64>) -> Result<Range> {
        let start = match range.start_bound() {
            Bound::Included(start) => Some(*start),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.checked_add(1).map(Some),
            Bound::Excluded(end) => Some(Some(*end)),
            Bound::Unbounded => Some(None),
        };
        let checked = start.zip(end).and_then(|(start, end)| {
            let start = i64::try_from(start).ok()?;
            let length = match end {
                None => 0,
                Some(end) => i64::try_from(end).ok()?.checked_sub(start).filter(|length| *length > 0)?,
            };
            Some(Range { start, length })
        });
        checked.ok_or_else(|| {
            let shown = (range.start_bound(), range.end_bound());
            Error::new(
                ErrorKind::Invalid,
                format!(
                    "lock {shown:?} of file {:?}: that is no range; it has at least one byte, and none beyond 2^63 - 1",
                    self.path
                ),
            )
        })
    }

    fn guard(&self, range: Range) -> RangeLockGuard<'_> {
        RangeLockGuard { lock: self, range, pid: std::process::id() }
    }

    fn wait(&self, mode: LockMode, range: Range, deadline: Deadline) -> Result<()> {
        if !deadline.is_never() {
            let attempt = || Ok(self.attempt(mode, range)?.then_some(()));
            return retrying(deadline, attempt).map_err(|error| self.held(error, mode, range));
        }
        let asked = kernels(kind(mode), range);
        restarting(deadline, || fcntl(&self.file, FcntlArg::F_OFD_SETLKW(&asked)))
            .map(drop)
            .map_err(|errno| failed(errno, "lock a range of", &self.path))
    }

    fn attempt(&self, mode: LockMode, range: Range) -> Result<bool> {
        let asked = kernels(kind(mode), range);
        match restarting(Deadline::never(), || fcntl(&self.file, FcntlArg::F_OFD_SETLK(&asked))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(failed(errno, "lock a range of", &self.path)),
        }
    }

    fn unlock(&self, range: Range) -> Result<()> {
        let asked = kernels(libc::F_UNLCK, range);
        let done = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&asked));
        done.map(drop).map_err(|errno| failed(errno, "unlock a range of", &self.path))
    }

    fn in_the_way(&self, mode: LockMode, range: Range) -> Result<Option<RangeBlocker>> {
        let mut asked = kernels(kind(mode), range);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut asked))
            .map_err(|errno| failed(errno, "look for locks on a range of", &self.path))?;
        let mode = match libc::c_int::from(asked.l_type) {
            libc::F_RDLCK => LockMode::Shared,
            libc::F_WRLCK => LockMode::Exclusive,
            _ => return Ok(None),
        };
        let start = asked.l_start.max(0) as u64;
        let last = u64::try_from(asked.l_len).ok().filter(|length| *length > 0).map(|length| start + (length - 1));
        Ok(Some(RangeBlocker { mode, start, last, pid: u32::try_from(asked.l_pid).ok().filter(|pid| *pid > 0) }))
    }

    #[cold]
    fn held(&self, error: Error, mode: LockMode, range: Range) -> Error {
        if error.kind() != ErrorKind::Timeout {
            return error;
        }
        let (first, path) = (range.start, &self.path);
        let what = match range.length {
            0 => format!("bytes {first} and on"),
            length => format!("bytes {first} to {}", first + (length - 1)),
        };
        let way = match self.in_the_way(mode, range) {
            Ok(Some(blocker)) => {
                let last = blocker.last.map_or("the end".to_string(), |last| last.to_string());
                let who = blocker.pid.map_or("somebody".to_string(), |pid| format!("process {pid}"));
                format!("{who} has bytes {} to {last}", blocker.start)
            }
            _ => "somebody had some of them".to_string(),
        };
        Error::new(ErrorKind::Timeout, format!("lock {what} of file {path:?}: the deadline passed, and {way}"))
    }
}

fn kind(mode: LockMode) -> libc::c_int {
    match mode {
        LockMode::Shared => libc::F_RDLCK,
        LockMode::Exclusive => libc::F_WRLCK,
    }
}

fn kernels(kind: libc::c_int, range: Range) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.start,
        l_len: range.length,
        l_pid: 0, // must be 0 for these locks
    }
}

impl RangeLockGuard<'_> {
    /// Unlocks, and says what went wrong, where dropping could not.
    ///
    /// # Errors
    /// What fcntl(2) reports, as if the kernel has no memory to keep what is left of a range.
    pub fn unlock(self) -> Result<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.lock.unlock(guard.range)
    }
}

impl Drop for RangeLockGuard<'_> {
    fn drop(&mut self) {
        if std::process::id() == self.pid {
            let _ = self.lock.unlock(self.range); // nobody to tell; closing the file unlocks as well
        }
    }
}

impl AsFd for RangeLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<File> for RangeLock {
    fn from(file: File) -> RangeLock {
        RangeLock { file, path: PathBuf::new() }
    }
}

impl From<OwnedFd> for RangeLock {
    fn from(fd: OwnedFd) -> RangeLock {
        File::from(fd).into()
    }
}

impl From<RangeLock> for OwnedFd {
    fn from(lock: RangeLock) -> OwnedFd {
        lock.file.into()
    }
}
