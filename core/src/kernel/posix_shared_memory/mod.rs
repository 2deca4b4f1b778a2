//! POSIX shared memory (shm_overview(7)): a file in /dev/shm, mapped by everybody who knows its name.
//!
//! # What the kernel guarantees
//!
//! What one process writes, all see at once: there is one memory. That is all. Nobody waits for anybody, copies of
//! more than a word may be torn, and two processes that add to one counter lose additions: a semaphore beside it, or in
//! it ([`PosixSemaphore::init_in`](super::PosixSemaphore::init_in)), keeps order.
//!
//! # What is left
//!
//! The memory and its contents stay when all its users have ended, also when they were killed, until somebody unlinks
//! the name *and* the last mapping is gone, or the machine restarts. A process that dies leaves what it had written so
//! far.
//!
//! # Sizes
//!
//! Memory is reserved when it is created, so a full /dev/shm is an error there. It appears under its name complete or
//! not at all. But any process that may write to it can truncate it later: who touches a byte beyond the new end is
//! killed by SIGBUS. Where a peer is not trusted, use [`SysvSharedMemory`](super::SysvSharedMemory), whose size is
//! fixed, or an anonymous [`Segment`](crate::Segment), which is sealed.

#[cfg(all(test, not(loom)))]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::{Owned, OwnedKind};
use crate::kernel::posix_name::PosixName;
use crate::kernel::shared_memory::{Attachment, SharedMemory, sealed::Attached};
use crate::sys::memory;
use memmap2::MmapOptions;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

/// How POSIX shared memory is created or opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct PosixSharedMemoryOptions {
    mode: u32,
    owned: bool,
    read_only: bool,
    at_least: usize,
}

impl Default for PosixSharedMemoryOptions {
    fn default() -> Self {
        PosixSharedMemoryOptions { mode: 0o600, owned: false, read_only: false, at_least: 0 }
    }
}

impl PosixSharedMemoryOptions {
    /// Mode 0600, not owned, opened to read and write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Access mode of new memory; 0o600 unless set. The umask takes nothing away from it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }

    /// The creator unlinks the name together with its handle.
    pub fn owned(mut self, owned: bool) -> Self {
        self.owned = owned;
        self
    }

    /// `open` attaches read-only: the memory management unit keeps every write away, also one by `as_ptr`.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// `open` refuses memory of fewer bytes.
    pub fn at_least(mut self, size: usize) -> Self {
        self.at_least = size;
        self
    }

    /// Makes new memory of `size` bytes, all 0, and attaches it.
    ///
    /// # Errors
    /// `Exists`; `Invalid` for a bad name or size 0; `NoSpace` if /dev/shm has no room for it: nothing is left then.
    pub fn create(&self, name: &str, size: usize) -> Result<PosixSharedMemory> {
        let name = PosixName::of_memory(name)?;
        if size == 0 || i64::try_from(size).is_err() {
            return Err(Error::new(ErrorKind::Invalid, format!("create {name}: it cannot have {size} bytes")));
        }
        let file = memory::unnamed(self.mode).map_err(|e| name.failed("create", e.errno()))?;
        memory::set_size(&file, size as u64).map_err(|e| name.failed("create", e.errno()))?;
        memory::commit(file.as_fd(), 0, size as u64)
            .map_err(|e| full(&name, size, &e).unwrap_or_else(|| name.failed("create", e.errno())))?;
        let mut made = PosixSharedMemory::map(&name, file, size, true)?;
        memory::publish(&made.file, &name.path()).map_err(|e| name.failed("create", e.errno()))?;
        if self.owned {
            made.owned = Some(Owned::new(OwnedKind::PosixSharedMemory, name.as_str())?);
        }
        Ok(made)
    }

    /// Attaches existing memory, all of it.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for a bad name; `Incompatible` if it has fewer bytes than
    /// [`at_least`](Self::at_least) asks for, or none: then its creator has not sized it yet.
    pub fn open(&self, name: &str) -> Result<PosixSharedMemory> {
        self.open_checked(&PosixName::of_memory(name)?, self.at_least)
    }

    fn open_checked(&self, name: &PosixName, at_least: usize) -> Result<PosixSharedMemory> {
        let file = OpenOptions::new()
            .read(true)
            .write(!self.read_only)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(name.path())
            .map_err(|e| name.failed("open", e.raw_os_error().unwrap_or(libc::EIO)))?;
        let meta = file.metadata().map_err(|e| name.failed("open", e.raw_os_error().unwrap_or(libc::EIO)))?;
        let size = usize::try_from(meta.len()).unwrap_or(usize::MAX);
        let wrong = if !meta.file_type().is_file() {
            "it is no regular file; remove it".to_string()
        } else if size == 0 {
            "it has no bytes yet: its creator is between shm_open and ftruncate, or ended there; open it again, or unlink it".to_string()
        } else if size < at_least {
            format!("it has {size} bytes, {at_least} are wanted; agree on a size, or unlink it and create it anew")
        } else {
            return PosixSharedMemory::map(name, file, size, !self.read_only);
        };
        Err(Error::new(ErrorKind::Incompatible, format!("open {name}: {wrong}")))
    }

    /// Attaches the memory, or makes it. What exists must have `size` bytes at least.
    ///
    /// # Errors
    /// As `create` and `open`, without `Exists` and `NotFound`.
    pub fn open_or_create(&self, name: &str, size: usize) -> Result<PosixSharedMemory> {
        let checked = PosixName::of_memory(name)?;
        // Each round begins anew because somebody created or removed the name in between.
        for _ in 0..100 {
            match self.open_checked(&checked, size.max(self.at_least)) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                done => return done,
            }
            match self.create(name, size) {
                Err(e) if e.kind() == ErrorKind::Exists => {}
                done => return done,
            }
        }
        Err(Error::new(ErrorKind::Busy, format!("{checked} is created and removed all the time by others")))
    }
}

/// The sentence for a file system that has no room for `size` bytes.
fn full(name: &PosixName, size: usize, error: &Error) -> Option<Error> {
    let full = matches!(error.errno(), libc::ENOSPC | libc::EFBIG);
    full.then(|| name.failed(&format!("reserve {size} bytes for"), libc::ENOSPC))
}

/// POSIX shared memory, attached to this process until the handle is dropped.
///
/// Plain programs get the same by shm_open(3) and mmap(2), Python's by `multiprocessing.shared_memory`; the name is
/// `/data` or `data`. Processes need not be related. Threads may share a handle; in a forked child it goes on as it is.
///
/// Nobody waits for anybody: what others write arrives when it is written, more than a word in parts, and additions of two
/// processes to one counter are lost unless a semaphore keeps order. The memory stays when all its users have ended, also
/// when they were killed, until its name is unlinked and the last detaches it. Whoever may write to it can also truncate
/// it; who touches what is gone then is killed by SIGBUS ([`SysvSharedMemory`](crate::kernel::SysvSharedMemory) and an
/// anonymous [`Segment`](crate::Segment) have a fixed size).
///
/// ```
/// use triveni::kernel::PosixSharedMemory;
/// # fn main() -> triveni::Result<()> {
/// # let name = format!("/triveni-doc-shm-{}", std::process::id());
/// let mine = PosixSharedMemory::create(&name, 4096)?;
/// mine.write_at(0, b"Hello from process A")?;
///
/// let same = PosixSharedMemory::open(&name)?; // in any process
/// let mut said = [0; 20];
/// same.read_at(0, &mut said)?;
/// assert_eq!(&said, b"Hello from process A");
/// PosixSharedMemory::unlink(&name)
/// # }
/// ```
pub struct PosixSharedMemory {
    attachment: Arc<Attachment>,
    file: File,
    name: PosixName,
    /// Removes the name when it is dropped.
    owned: Option<Owned>,
}

impl PosixSharedMemory {
    fn map(name: &PosixName, file: File, size: usize, writable: bool) -> Result<PosixSharedMemory> {
        let mut options = MmapOptions::new();
        options.len(size);
        let map = if writable { options.map_raw(&file) } else { options.map_raw_read_only(&file) };
        let map = map.map_err(|e| {
            Error::os(e.raw_os_error().unwrap_or(libc::ENOMEM), format_args!("map {size} bytes of {name}"))
        })?;
        let attachment = Arc::new(Attachment::of_map(map, writable));
        Ok(PosixSharedMemory { attachment, file, name: name.clone(), owned: None })
    }

    /// [`PosixSharedMemoryOptions::create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn create(name: &str, size: usize) -> Result<PosixSharedMemory> {
        PosixSharedMemoryOptions::new().create(name, size)
    }

    /// [`PosixSharedMemoryOptions::open`], to read and write.
    ///
    /// # Errors
    /// As there.
    pub fn open(name: &str) -> Result<PosixSharedMemory> {
        PosixSharedMemoryOptions::new().open(name)
    }

    /// [`PosixSharedMemoryOptions::open_or_create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(name: &str, size: usize) -> Result<PosixSharedMemory> {
        PosixSharedMemoryOptions::new().open_or_create(name, size)
    }

    /// Removes the name. Who has attached the memory keeps it; it goes with the last of them.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for a bad name.
    pub fn unlink(name: &str) -> Result<()> {
        let name = PosixName::of_memory(name)?;
        // SAFETY: the name is a C string that outlives the call.
        match unsafe { libc::shm_unlink(name.as_c_str().as_ptr()) } {
            0 => Ok(()),
            _ => Err(name.failed("unlink", nix::errno::Errno::last_raw())),
        }
    }

    /// Its name, with the slash.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How many bytes are attached: all that it had when it was opened.
    pub fn size(&self) -> usize {
        self.attachment.size()
    }

    /// Is it attached read-only?
    pub fn is_read_only(&self) -> bool {
        self.attachment.is_read_only()
    }

    /// Its first byte. Others write there at any time: read and write with volatile or atomic accesses, make no `&mut`
    /// of it, and do not use it after the handle is gone.
    pub fn as_ptr(&self) -> *mut u8 {
        self.attachment.as_ptr()
    }

    /// Copies the bytes at `offset` out. No lock is taken: what others write meanwhile arrives in part.
    ///
    /// # Errors
    /// `Invalid` beyond its end.
    pub fn read_at(&self, offset: usize, target: &mut [u8]) -> Result<()> {
        self.attachment.read_at(offset, target)
    }

    /// Copies `source` to the bytes at `offset`. No lock is taken.
    ///
    /// # Errors
    /// `Invalid` beyond its end; `Permission` if it is attached read-only.
    pub fn write_at(&self, offset: usize, source: &[u8]) -> Result<()> {
        self.attachment.write_at(offset, source)
    }

    /// Unmaps it, as dropping the handle does. Semaphores of ours that lie in it keep it attached until they go.
    pub fn detach(self) {}
}

impl Attached for PosixSharedMemory {
    fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }
}

impl SharedMemory for PosixSharedMemory {}

/// The file: for fstat(2), for passing it to another process. Closing it would not unmap the memory.
impl AsFd for PosixSharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for PosixSharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.is_read_only() { ", read-only" } else { "" };
        write!(f, "PosixSharedMemory({:?}, {} bytes{mode})", self.name(), self.size())
    }
}
