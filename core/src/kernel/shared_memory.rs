//! What POSIX and System V shared memory have in common: bytes that other processes change while we look at them.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory;
use memmap2::MmapRaw;
use std::sync::Arc;

/// Kernel shared memory of either kind, attached: [`PosixSharedMemory`](super::PosixSharedMemory) or
/// [`SysvSharedMemory`](super::SysvSharedMemory). A [`PosixSemaphore`](super::PosixSemaphore) can lie in it.
pub trait SharedMemory: sealed::Attached {}

pub(crate) mod sealed {
    use super::{Arc, Attachment};

    /// Only types of this crate are shared memory.
    pub trait Attached {
        fn attachment(&self) -> &Arc<Attachment>;
    }
}

/// A range of shared memory in the address space of this process, until it is dropped.
pub struct Attachment {
    /// The first of `size` bytes, mapped as long as `self` lives.
    at: *mut u8,
    size: usize,
    writable: bool,
    source: Source,
}

enum Source {
    /// Unmapped by its own drop.
    Mmap(#[expect(dead_code, reason = "kept for its drop")] MmapRaw),
    Shmat,
}

// SAFETY: `at` is shared with other processes anyway; the methods copy with accesses that may race, and whoever uses
// the bare pointer is told so.
unsafe impl Send for Attachment {}
// SAFETY: as above; nothing else changes after the construction.
unsafe impl Sync for Attachment {}

impl Attachment {
    pub(crate) fn of_map(map: MmapRaw, writable: bool) -> Attachment {
        Attachment { at: map.as_mut_ptr(), size: map.len(), writable, source: Source::Mmap(map) }
    }

    /// # Safety
    /// - `at` came from shmat(2), writable if `writable`, for a segment of `size` bytes, and is given up here; otherwise
    ///   copies go astray.
    pub(crate) unsafe fn of_shmat(at: *mut u8, size: usize, writable: bool) -> Attachment {
        Attachment { at, size, writable, source: Source::Shmat }
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.at
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn is_read_only(&self) -> bool {
        !self.writable
    }

    /// Copies the bytes at `offset` out.
    pub(crate) fn read_at(&self, offset: usize, target: &mut [u8]) -> Result<()> {
        let at = self.range("read", offset, target.len())?;
        // SAFETY: `range` says that so many bytes at `at` are ours and mapped; `target` is private memory.
        unsafe { memory::copy_out(at, target) };
        Ok(())
    }

    /// Copies `source` to the bytes at `offset`.
    pub(crate) fn write_at(&self, offset: usize, source: &[u8]) -> Result<()> {
        let at = self.range("write", offset, source.len())?;
        if !self.writable {
            return Err(Error::new(
                ErrorKind::Permission,
                "this shared memory is attached read-only; open it without read_only to write",
            ));
        }
        // SAFETY: `range` says that so many bytes at `at` are ours and mapped, and they are writable; `source` is
        // private memory.
        unsafe { memory::copy_in(at, source) };
        Ok(())
    }

    /// The address of `size` bytes at `offset`, if there are so many.
    pub(crate) fn range(&self, verb: &str, offset: usize, size: usize) -> Result<*mut u8> {
        match offset.checked_add(size) {
            Some(end) if end <= self.size => Ok(self.at.wrapping_add(offset)),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                format!("{verb} {size} bytes at {offset}: this shared memory has {} bytes", self.size),
            )),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Source::Shmat = self.source {
            // SAFETY: from shmat (`of_shmat`), detached here and nowhere else.
            unsafe { libc::shmdt(self.at.cast()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(writable: bool) -> Attachment {
        let map = MmapRaw::from(memmap2::MmapMut::map_anon(64).unwrap());
        Attachment::of_map(map, writable)
    }

    #[test]
    fn copies_stay_within_bounds() {
        let memory = attachment(true);
        memory.write_at(60, b"abcd").unwrap();
        memory.write_at(64, b"").unwrap();
        let mut back = [0; 4];
        memory.read_at(60, &mut back).unwrap();
        assert_eq!(&back, b"abcd");
        for (offset, size) in [(61, 4), (64, 1), (65, 0), (usize::MAX, 2)] {
            let error = memory.read_at(offset, &mut vec![0; size]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("64 bytes"), "{error}");
            assert!(memory.write_at(offset, &vec![0; size]).is_err());
        }
    }

    #[test]
    fn read_only_memory_is_not_written() {
        assert_eq!(attachment(false).write_at(0, b"x").unwrap_err().kind(), ErrorKind::Permission);
    }
}
