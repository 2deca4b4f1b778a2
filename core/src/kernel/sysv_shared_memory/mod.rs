//! System V shared memory (sysvipc(7)): segments in a table of the kernel, found by a key or by their identifier.
//!
//! # What the kernel guarantees
//!
//! What one process writes, all that have the segment attached see at once. That is all: nobody waits for anybody, and
//! two processes that add to one counter lose additions. Semaphores keep order:
//! [`SysvSemaphores`](super::SysvSemaphores), or a [`PosixSemaphore`](super::PosixSemaphore::init_in) in the segment.
//! Its size is fixed: nobody can take bytes away from under a reader.
//!
//! # What is left
//!
//! A segment and its contents stay when all its users have ended, also when they were killed, until somebody removes
//! it or the machine restarts. A removed one is gone for newcomers and goes with the last who has it attached. A
//! process that ends is detached by the kernel.

mod info;
mod open;
#[cfg(all(test, not(loom)))]
mod tests;

pub use info::SysvSharedMemoryInfo;
pub use open::SysvSharedMemoryOptions;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::Owned;
use crate::kernel::shared_memory::{Attachment, SharedMemory, sealed::Attached};
use crate::kernel::sysv_status::{self, MemoryStatus};
use crate::kernel::{SysvKey, sysv_status::missing};
use libc::c_int;
use nix::errno::Errno;
use std::fmt;
use std::sync::Arc;

/// System V shared memory, attached to this process until the handle is dropped.
///
/// Plain programs get the same by shmget(2) and shmat(2). Processes need not be related. Threads may share a handle; in
/// a forked child it goes on as it is, and counts as one more attachment.
///
/// Nobody waits for anybody: what others write arrives when it is written, more than a word in parts, and additions of two
/// processes to one counter are lost unless a semaphore keeps order. A segment stays when all its users have ended, also
/// when they were killed, until it is removed and the last detaches it. Its size is fixed.
///
/// ```
/// use triveni::kernel::{SysvKey, SysvSharedMemory};
/// # fn main() -> triveni::Result<()> {
/// let mine = SysvSharedMemory::create(SysvKey::PRIVATE, 1024)?;
/// mine.write_at(0, b"Hello from process A")?;
///
/// let same = SysvSharedMemory::open_id(mine.id())?; // in any process; `open` finds it by a key
/// let mut said = [0; 20];
/// same.read_at(0, &mut said)?;
/// assert_eq!(&said, b"Hello from process A");
/// assert_eq!(mine.info()?.attached, 2);
/// mine.remove() // gone with the last who has it attached
/// # }
/// ```
pub struct SysvSharedMemory {
    attachment: Arc<Attachment>,
    id: c_int,
    key: SysvKey,
    /// Removes the segment when it is dropped.
    _owned: Option<Owned>,
}

impl SysvSharedMemory {
    /// [`SysvSharedMemoryOptions::create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn create(key: SysvKey, size: usize) -> Result<SysvSharedMemory> {
        SysvSharedMemoryOptions::new().create(key, size)
    }

    /// [`SysvSharedMemoryOptions::open`], to read and write.
    ///
    /// # Errors
    /// As there.
    pub fn open(key: SysvKey) -> Result<SysvSharedMemory> {
        SysvSharedMemoryOptions::new().open(key)
    }

    /// [`SysvSharedMemoryOptions::open_id`], to read and write.
    ///
    /// # Errors
    /// As there.
    pub fn open_id(id: i32) -> Result<SysvSharedMemory> {
        SysvSharedMemoryOptions::new().open_id(id)
    }

    /// [`SysvSharedMemoryOptions::open_or_create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(key: SysvKey, size: usize) -> Result<SysvSharedMemory> {
        SysvSharedMemoryOptions::new().open_or_create(key, size)
    }

    /// Removes the segment with this key: nobody finds it any more, and it goes with the last who has it attached.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for [`SysvKey::PRIVATE`]; `Permission` unless the caller's user made or owns it.
    pub fn unlink(key: SysvKey) -> Result<()> {
        remove(open::find(key)?)
    }

    /// Removes this segment: nobody finds it any more. Those who have it attached keep it, this handle too.
    ///
    /// # Errors
    /// `Permission`; `Removed` if somebody else was faster.
    pub fn remove(&self) -> Result<()> {
        remove(self.id).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::Removed, format!("remove {self}: it is removed already")),
            _ => e,
        })
    }

    /// The whole table of segments, as `ipcs -m` shows it.
    ///
    /// # Errors
    /// `Unsupported` if the kernel has no System V IPC.
    pub fn list() -> Result<Vec<SysvSharedMemoryInfo>> {
        let table = sysv_status::table::<MemoryStatus>()?;
        Ok(table.into_iter().map(|(id, status)| SysvSharedMemoryInfo::of(id, &status)).collect())
    }

    /// What the kernel says about this segment at this moment.
    ///
    /// # Errors
    /// `Permission` without the right to read; `Removed`.
    pub fn info(&self) -> Result<SysvSharedMemoryInfo> {
        match sysv_status::status::<MemoryStatus>(self.id, libc::IPC_STAT) {
            Ok((_, status)) => Ok(SysvSharedMemoryInfo::of(self.id, &status)),
            Err(Errno::EINVAL | Errno::EIDRM) => {
                Err(Error::new(ErrorKind::Removed, format!("ask about {self}: it was removed")))
            }
            Err(errno) => Err(Error::os(errno as i32, format_args!("ask about {self}"))),
        }
    }

    /// Its identifier: its index in the kernel's table, made unique. Passed to another process, it opens the segment.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Its key.
    pub fn key(&self) -> SysvKey {
        self.key
    }

    /// How many bytes it has.
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

    /// Detaches it, as dropping the handle does. Semaphores of ours that lie in it keep it attached until they go.
    pub fn detach(self) {}
}

fn remove(id: c_int) -> Result<()> {
    // SAFETY: IPC_RMID takes no structure.
    match unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(match Errno::last() {
            Errno::EINVAL | Errno::EIDRM => {
                let message =
                    format!("remove System V shared memory {id}: there is none; `ipcs -m` lists what there is");
                Error::new(ErrorKind::NotFound, message)
            }
            Errno::ENOSYS => missing(&format!("remove System V shared memory {id}")),
            errno => Error::os(errno as i32, format_args!("remove System V shared memory {id}")),
        }),
    }
}

impl Attached for SysvSharedMemory {
    fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }
}

impl SharedMemory for SysvSharedMemory {}

impl fmt::Display for SysvSharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System V shared memory {} (key {})", self.id, self.key)
    }
}

impl fmt::Debug for SysvSharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.is_read_only() { ", read-only" } else { "" };
        write!(f, "SysvSharedMemory(id {}, key {}, {} bytes{mode})", self.id, self.key, self.size())
    }
}
