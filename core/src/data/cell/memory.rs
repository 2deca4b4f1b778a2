//! Where a cell's words and values lie, and the check that they lie inside their object.

use super::words::{Buffers, Control, Words};
use crate::prim::AtomicU64;
use crate::segment::object::{InSegment, View};
use crate::{Error, ErrorKind, Result};
use std::ptr::NonNull;

/// Where buffer 0 begins.
const FIRST: usize = size_of::<Control>();
/// Where the value begins in a buffer.
const VALUE: usize = 16;
/// The largest value.
pub const MOST_BYTES: usize = 1 << 40;
/// The most writers.
pub const MOST_WRITERS: usize = 128;
// SAFETY: `repr(C)`, made of prim's atomics and of eventcounts, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}

/// Stride and bytes of a cell, of numbers within their limits.
pub fn extent(size: usize, buffers: usize) -> Option<(usize, usize)> {
    let stride = size.checked_add(VALUE)?.checked_next_multiple_of(64)?;
    Some((stride, buffers.checked_mul(stride)?.checked_add(FIRST)?))
}

/// The memory of a cell, checked once.
#[derive(Clone, Copy)]
pub struct Memory {
    /// First byte; mapped as long as the object that this comes from.
    control: NonNull<Control>,
    /// First byte of buffer 0; `count` buffers of `stride` bytes, a multiple of 64, follow each other from here, all
    /// of them inside the object.
    first: NonNull<u8>,
    count: u32,
    stride: usize,
    /// At most `stride` - [`VALUE`].
    pub size: usize,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: words are atomics, values are copied
// by raw pointers. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    pub fn of(view: View<'_>) -> Result<Memory> {
        let g = view.geometry();
        let wrong = || {
            let why = format!(
                "its header says {} buffers of {} bytes, stride {}, in {} bytes, which does not fit together; \
                 remove the object and create it anew",
                g[1],
                g[0],
                g[2],
                view.size()
            );
            Error::new(ErrorKind::Corrupt, why)
        };
        let (Ok(size), Ok(count)) = (usize::try_from(g[0]), usize::try_from(g[1])) else { return Err(wrong()) };
        if size == 0 || size > MOST_BYTES || !(3..=MOST_WRITERS + 2).contains(&count) {
            return Err(wrong());
        }
        match extent(size, count) {
            Some((stride, bytes)) if g[2..] == [stride as u64, 0, 0] && bytes <= view.size() => {
                let control = NonNull::from(view.at::<Control>(0)?);
                // In bounds by what was just checked, and not null as it lies behind `control`.
                let first = NonNull::new(view.base().wrapping_add(FIRST)).ok_or_else(wrong)?;
                Ok(Memory { control, first, count: count as u32, stride, size })
            }
            _ => Err(wrong()),
        }
    }

    #[inline]
    pub fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the handle its
        // object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and peers may store to it.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    pub fn words(&self) -> Words<'_, Memory> {
        Words { control: self.control(), buffers: self, count: self.count }
    }

    /// First byte of buffer `index`, in bounds whatever the index.
    #[inline]
    fn buffer(&self, index: u32) -> *mut u8 {
        let index = if index < self.count { index as usize } else { 0 };
        // SAFETY: `index` is below `count`, so this stays inside the object, as `first` says.
        unsafe { self.first.as_ptr().add(index * self.stride) }
    }

    /// First byte of the value in buffer `index`: `size` bytes.
    #[inline]
    pub fn value(&self, index: u32) -> *mut u8 {
        self.buffer(index).wrapping_add(VALUE)
    }
}

impl Buffers for Memory {
    #[inline]
    fn word(&self, index: u32) -> &AtomicU64 {
        // SAFETY: in bounds, and a multiple of 64 behind a 128-aligned base. Any bits are an `AtomicU64`, and peers may
        // store to it at any time. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.buffer(index).cast() }
    }
}
