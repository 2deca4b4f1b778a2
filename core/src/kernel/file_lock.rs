//! A lock on a whole file: flock(2).
//!
//! The lock belongs to the *open file description*: to what one open(2) made, with all its duplicates. Processes that
//! fork share it: a child holds what its parent held, and the lock is free when the last of them has closed the file, or
//! one of them has unlocked it. Whoever opens the file anew is somebody else, also in the same process or thread.
//!
//! It is advisory: it keeps out who asks for the lock, not who just reads or writes.
//!
//! # Death
//!
//! The kernel unlocks when the last process that has the description is gone, however it ended. Nothing is left.
//!
//! # Limits
//!
//! No order among waiters is promised. Changing a shared lock into an exclusive one is not one step: the kernel lets go
//! first, and somebody else may come in between. On NFS Linux makes a lock on the byte range of the whole file of it: then
//! it also excludes [`RangeLock`](super::RangeLock), and an exclusive one needs the file open for writing.

use super::wait::{restarting, retrying};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Together with others that lock it so.
    Shared,
    /// Alone.
    Exclusive,
}

/// A file that can be locked as a whole; one holder, however many threads use it. The lock belongs to the open
/// file description: a forked child has it too, and who opens the file anew is somebody else.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use std::io::Write;
/// use triveni::kernel::FileLock;
/// # let path = std::env::temp_dir().join(format!("file-lock-{}", std::process::id()));
/// let mut lock = FileLock::open_or_create(&path, 0o600)?;
/// let mut file = lock.lock()?; // until the guard goes
/// file.write_all(b"one at a time").expect("it is writable");
/// assert!(FileLock::open(&path)?.try_lock()?.is_none());
/// # std::fs::remove_file(path).unwrap();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// A locked file; dropping it unlocks. It is the file: read and write through it.
///
/// In a forked child the guard's copy does nothing when it is dropped: parent and child hold the lock together, and it is
/// free when both have let go.
#[derive(Debug)]
#[must_use = "the file is unlocked when this is dropped"]
pub struct FileLockGuard<'l> {
    lock: &'l FileLock,
    pid: u32,
}

impl FileLock {
    /// Opens the file `path`, for reading and writing if that is permitted, otherwise for reading.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, what open(2) reports.
    pub fn open(path: impl AsRef<Path>) -> Result<FileLock> {
        let path = path.as_ref();
        opened(path, None).map(|file| FileLock { file, path: path.into() })
    }

    /// Opens the file `path`, or makes it with `mode`, less the umask.
    ///
    /// # Errors
    /// `Permission`, what open(2) reports.
    pub fn open_or_create(path: impl AsRef<Path>, mode: u32) -> Result<FileLock> {
        let path = path.as_ref();
        opened(path, Some(mode)).map(|file| FileLock { file, path: path.into() })
    }

    /// Locks the file alone; waits until nobody else holds it. A lock that this handle has already is changed.
    ///
    /// # Blocking
    /// In the kernel, for ever.
    ///
    /// # Errors
    /// `System(ENOLCK)` if the kernel has no room for locks, or the file system no lock service.
    pub fn lock(&mut self) -> Result<FileLockGuard<'_>> {
        self.lock_until(Deadline::never())
    }

    /// Locks the file alone if nobody else holds it.
    ///
    /// # Errors
    /// As [`FileLock::lock`].
    pub fn try_lock(&mut self) -> Result<Option<FileLockGuard<'_>>> {
        Ok(self.try_acquire(LockMode::Exclusive)?.then(|| self.guard()))
    }

    /// As [`FileLock::lock`], until the deadline: tries again after pauses that grow to 4 ms.
    ///
    /// # Errors
    /// As `lock`; `Timeout`, and the sentence says who holds it where the kernel does; `Interrupted` if the deadline is
    /// interruptible.
    pub fn lock_until(&mut self, deadline: Deadline) -> Result<FileLockGuard<'_>> {
        self.acquire(LockMode::Exclusive, deadline).map(|()| self.guard())
    }

    /// Locks the file together with others that do so; waits until nobody holds it alone.
    ///
    /// # Errors
    /// As [`FileLock::lock`].
    pub fn lock_shared(&mut self) -> Result<FileLockGuard<'_>> {
        self.lock_shared_until(Deadline::never())
    }

    /// Locks the file together with others if nobody holds it alone.
    ///
    /// # Errors
    /// As [`FileLock::lock`].
    pub fn try_lock_shared(&mut self) -> Result<Option<FileLockGuard<'_>>> {
        Ok(self.try_acquire(LockMode::Shared)?.then(|| self.guard()))
    }

    /// As [`FileLock::lock_shared`], until the deadline.
    ///
    /// # Errors
    /// As [`FileLock::lock_until`].
    pub fn lock_shared_until(&mut self, deadline: Deadline) -> Result<FileLockGuard<'_>> {
        self.acquire(LockMode::Shared, deadline).map(|()| self.guard())
    }

    /// Locks without a guard, for who unlocks with [`FileLock::release`].
    ///
    /// # Errors
    /// As [`FileLock::lock_until`].
    pub fn acquire(&self, mode: LockMode, deadline: Deadline) -> Result<()> {
        if !deadline.is_never() {
            return retrying(deadline, || Ok(self.try_acquire(mode)?.then_some(()))).map_err(|error| self.held(error));
        }
        let operation = operation(mode);
        // SAFETY: a descriptor of ours and a number.
        restarting(deadline, || Errno::result(unsafe { libc::flock(self.file.as_raw_fd(), operation) }))
            .map(drop)
            .map_err(|errno| self.failed(errno))
    }

    /// Locks without a guard, if it need not wait for that; says whether it did.
    ///
    /// # Errors
    /// As [`FileLock::lock`].
    pub fn try_acquire(&self, mode: LockMode) -> Result<bool> {
        let operation = operation(mode) | libc::LOCK_NB;
        // SAFETY: as above.
        let done =
            restarting(Deadline::never(), || Errno::result(unsafe { libc::flock(self.file.as_raw_fd(), operation) }));
        match done {
            Ok(_) => Ok(true),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Unlocks, also for the other processes that have this open file description. If it was not locked, nothing happens.
    ///
    /// # Errors
    /// What flock(2) reports.
    pub fn release(&self) -> Result<()> {
        // SAFETY: as above.
        let done = Errno::result(unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) });
        done.map(drop).map_err(|errno| self.failed(errno))
    }

    /// Who took the lock: pids of this pid namespace, as the kernel lists them in /proc/locks. One that took it before a
    /// fork may be dead while its child holds it. Empty if nobody holds it, or the kernel does not say.
    pub fn holders(&self) -> Vec<u32> {
        let Ok(facts) = self.file.metadata() else { return Vec::new() };
        let listed = proc_locks();
        listed.lines().filter_map(|line| flock_of(line, facts.dev(), facts.ino())).collect()
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path; empty for one made of a file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn guard(&self) -> FileLockGuard<'_> {
        FileLockGuard { lock: self, pid: std::process::id() }
    }

    #[cold]
    fn held(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Timeout {
            return error;
        }
        let who = match &self.holders()[..] {
            [] => "somebody holds it".to_string(),
            [pid] => format!("process {pid} holds it"),
            pids => format!("processes {pids:?} hold it"),
        };
        Error::new(ErrorKind::Timeout, format!("lock file {:?}: the deadline passed, and {who}", self.path))
    }

    #[cold]
    fn failed(&self, errno: Errno) -> Error {
        failed(errno, "lock", &self.path)
    }
}

fn operation(mode: LockMode) -> libc::c_int {
    match mode {
        LockMode::Shared => libc::LOCK_SH,
        LockMode::Exclusive => libc::LOCK_EX,
    }
}

/// The kernel's list of locks. In large pieces: between two reads it goes on at a line's number, so that a line is left out
/// when one before it goes meanwhile.
fn proc_locks() -> String {
    let mut listed = Vec::with_capacity(1 << 16);
    let _ = File::open("/proc/locks").and_then(|mut file| io::Read::read_to_end(&mut file, &mut listed)); // or nothing
    String::from_utf8_lossy(&listed).into_owned()
}

/// The pid in a line of /proc/locks that is about a flock on this file: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`.
/// Who waits for it has `->` in front.
fn flock_of(line: &str, device: u64, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next() != Some("FLOCK") {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let same = libc::makedev(major, minor) == device && file.next()?.parse() == Ok(inode);
    same.then_some(pid)
}

/// Opens a file to lock it: for reading and writing where that is permitted.
pub(super) fn opened(path: &Path, create: Option<u32>) -> Result<File> {
    let open = |write: bool| {
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        if let Some(mode) = create {
            options.create(write).mode(mode);
        }
        options.open(path)
    };
    let file = match open(true) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EROFS | libc::EISDIR | libc::EPERM)) => {
            open(false).map_err(|_| error)
        }
        file => file,
    };
    file.map_err(|error| failed_io(error, "open", path))
}

#[cold]
pub(super) fn failed_io(error: io::Error, what: &str, path: &Path) -> Error {
    Error::os(error.raw_os_error().unwrap_or(libc::EINVAL), format_args!("{what} file {path:?}"))
}

#[cold]
pub(super) fn failed(errno: Errno, what: &str, path: &Path) -> Error {
    match errno {
        Errno::EINTR => ErrorKind::Interrupted.into(),
        Errno::ENOLCK => Error::new(
            ErrorKind::System(libc::ENOLCK),
            format!(
                "{what} file {path:?}: no locks available: the kernel has no memory for more, or the file system (NFS?) \
                 has no lock service; unlock others, start the service (rpc.statd), or use a local file"
            ),
        ),
        Errno::EBADF => Error::new(
            ErrorKind::System(libc::EBADF),
            format!(
                "{what} file {path:?}: it is not open for that: an exclusive lock on a range, or on a file on NFS, needs it \
                 open for writing, a shared one for reading; open it so, or change its permissions"
            ),
        ),
        errno => Error::os(errno as i32, format_args!("{what} file {path:?}")),
    }
}

impl Deref for FileLockGuard<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        &self.lock.file
    }
}

impl io::Read for FileLockGuard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.lock.file).read(buffer)
    }
}

impl io::Write for FileLockGuard<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&self.lock.file).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for FileLockGuard<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        (&self.lock.file).seek(to)
    }
}

impl Drop for FileLockGuard<'_> {
    fn drop(&mut self) {
        if std::process::id() == self.pid {
            let _ = self.lock.release(); // nobody to tell; closing the file unlocks as well
        }
    }
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<File> for FileLock {
    fn from(file: File) -> FileLock {
        FileLock { file, path: PathBuf::new() }
    }
}

impl From<OwnedFd> for FileLock {
    fn from(fd: OwnedFd) -> FileLock {
        File::from(fd).into()
    }
}

impl From<FileLock> for OwnedFd {
    fn from(lock: FileLock) -> OwnedFd {
        lock.file.into()
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_locks_is_read_and_garbage_is_not() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF";
        assert_eq!(flock_of(line, libc::makedev(0xfe, 1), 1234), Some(4711));
        assert_eq!(flock_of(line, libc::makedev(0xfe, 1), 1235), None);
        let waits = "1: -> FLOCK  ADVISORY  WRITE 4712 fe:01:1234 0 EOF";
        assert_eq!(flock_of(waits, libc::makedev(0xfe, 1), 1234), None);
        for garbage in ["", "1:", "1: FLOCK", "1: FLOCK a b -1 c 0 EOF", "1: FLOCK a b 1 zz:1 0", "1: FLOCK a b 1 :: 0"]
        {
            assert_eq!(flock_of(garbage, 0, 0), None, "{garbage}");
        }
    }
}
