//! A value in anonymous memory that a forked child shares.

use std::ops::Deref;
use std::ptr::NonNull;

/// Types that may lie in shared memory.
///
/// # Safety
/// - All zero bytes are a value; otherwise a fresh one is none.
/// - Whatever changes in it is an atomic or inside an `UnsafeCell`; otherwise a child's store is a data race.
pub unsafe trait Zeroed {}

/// A zeroed `T`, one in all processes forked from here on.
pub struct Shared<T: Zeroed>(NonNull<T>);

impl<T: Zeroed> Shared<T> {
    /// A fresh one on pages of its own, all of them present.
    pub fn new() -> Shared<T> {
        // SAFETY: a new anonymous mapping; nothing is replaced.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        assert_ne!(
            memory,
            libc::MAP_FAILED,
            "{} bytes of shared memory: {}",
            size_of::<T>(),
            std::io::Error::last_os_error()
        );
        Shared(NonNull::new(memory.cast()).expect("mmap does not give out address 0"))
    }
}

impl<T: Zeroed> Deref for Shared<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: from mmap, so aligned, and large enough; zeroed, which `T: Zeroed` allows. What other processes
        // change in it is behind atomics or an `UnsafeCell`. It is unmapped by drop only.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Zeroed> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, with its size; no borrow outlives `self`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// A value on two cache lines of its own.
#[repr(align(128))]
pub struct Apart<T>(pub T);

// SAFETY: as its content.
unsafe impl<T: Zeroed> Zeroed for Apart<T> {}
// SAFETY: as its elements.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] {}
// SAFETY: an atomic.
unsafe impl Zeroed for std::sync::atomic::AtomicU64 {}
// SAFETY: an atomic.
unsafe impl Zeroed for std::sync::atomic::AtomicU32 {}

/// 64 bytes that some lock or signal guards: the payload for what carries none itself.
#[repr(align(64))]
pub struct Slate(std::cell::UnsafeCell<[u8; 64]>);

// SAFETY: bytes in an `UnsafeCell`.
unsafe impl Zeroed for Slate {}

impl Slate {
    /// Writes it.
    ///
    /// # Safety
    /// - Nobody else reads or writes it: whatever guards it is the caller's.
    #[inline(always)]
    pub unsafe fn write(&self, bytes: &[u8; 64]) {
        // SAFETY: in bounds and aligned; exclusive by the caller's promise.
        unsafe { *self.0.get() = *bytes };
    }

    /// Reads it.
    ///
    /// # Safety
    /// - Nobody else writes it: whatever guards it is the caller's.
    #[inline(always)]
    pub unsafe fn read(&self, bytes: &mut [u8; 64]) {
        // SAFETY: in bounds and aligned; nobody writes by the caller's promise.
        *bytes = unsafe { *self.0.get() };
    }
}
