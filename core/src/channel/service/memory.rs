//! Where the parts of a service lie.
//!
//! | bytes in a cell        | what                                                                        |
//! |------------------------|-----------------------------------------------------------------------------|
//! | 0–63                   | word (8), length (4), park word (4), 48 bytes of a short request or answer    |
//! | 64–127                 | length of a long answer (4)                                                 |
//! | 128                    | a long request                                                              |
//! | 128 + request          | a long answer                                                               |
//!
//! Both areas begin at multiples of 64.

use super::cells::{Cells, Control, Garbage, Head, Heads, MOST_CALLS};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::segment::object::{InSegment, View};
use crate::wait::ParkWord;
use std::ptr::NonNull;

// SAFETY: `repr(C)`, made of prim's atomics, of eventcounts and park words, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}

// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl InSegment for Head {}

/// Where cell 0 begins.
const CELLS: usize = size_of::<Control>();
/// Where short bytes lie in a cell.
const SHORT_AT: usize = 16;
/// How many bytes lie beside the word.
pub(super) const SHORT_MOST: usize = 48;
/// Where the length of a long answer lies.
const ANSWER_LEN_AT: usize = 64;
/// Where the long request begins.
const REQUEST_AT: usize = 128;
/// The largest request and the largest answer: 2^28 - 1 bytes.
pub(super) const MOST_BYTES: usize = (1 << 28) - 1;
/// In the length of a request: it lies in the long area.
const LONG: u32 = 1 << 31;
/// A sentence why there is no answer has room for so much at least.
const LEAST_ANSWER: usize = 256;

/// What is in the geometry words of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// 1 to [`MOST_CALLS`].
    pub calls: u32,
    /// At most [`MOST_BYTES`].
    pub request_size: usize,
    /// At most [`MOST_BYTES`].
    pub response_size: usize,
    pub idempotent: bool,
}

impl Shape {
    /// Bytes of a cell.
    fn stride(&self) -> usize {
        // No overflow: each part has at most 2^28 bytes.
        (self.answer_at() + self.answer_room()).next_multiple_of(128)
    }

    fn answer_at(&self) -> usize {
        REQUEST_AT + self.request_size.next_multiple_of(64)
    }

    /// Bytes of the long answer's area.
    pub fn answer_room(&self) -> usize {
        self.response_size.max(LEAST_ANSWER)
    }

    /// Geometry words, and bytes behind the header.
    pub fn extent(&self) -> ([u64; 5], usize) {
        let stride = self.stride();
        let words = [
            u64::from(self.calls),
            self.request_size as u64,
            self.response_size as u64,
            u64::from(self.idempotent),
            stride as u64,
        ];
        // No overflow: 2^10 cells of less than 2^30 bytes.
        (words, CELLS + self.calls as usize * stride)
    }

    fn of(g: [u64; 5]) -> Option<Shape> {
        let shape = Shape {
            calls: u32::try_from(g[0]).ok().filter(|calls| (1..=MOST_CALLS).contains(calls))?,
            request_size: usize::try_from(g[1]).ok().filter(|size| *size <= MOST_BYTES)?,
            response_size: usize::try_from(g[2]).ok().filter(|size| *size <= MOST_BYTES)?,
            idempotent: g[3] == 1,
        };
        (shape.extent().0 == g).then_some(shape)
    }
}

/// The memory of a service, checked once.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// First byte of the control block.
    control: NonNull<Control>,
    /// First byte of cell 0; `shape.calls` cells of `stride` bytes, a multiple of 128, follow each other from here,
    /// all of them inside the object.
    first: NonNull<u8>,
    stride: usize,
    pub shape: Shape,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: control words are atomics,
// payload is copied by raw pointers under a claim. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    pub fn of(view: View<'_>) -> Result<Memory> {
        let g = view.geometry();
        let wrong = || {
            let why = format!(
                "its header says {} calls, requests of {} and answers of {} bytes, flags {:#x}, stride {}, in {} bytes: that \
                 does not fit together; remove the object and create it anew",
                g[0],
                g[1],
                g[2],
                g[3],
                g[4],
                view.size()
            );
            Error::new(ErrorKind::Corrupt, why)
        };
        let shape = Shape::of(g).ok_or_else(wrong)?;
        let (words, size) = shape.extent();
        if size > view.size() {
            return Err(wrong());
        }
        let control = NonNull::from(view.at::<Control>(0)?);
        // In bounds by what was just checked, and not null as it lies behind `control`.
        let first = NonNull::new(view.base().wrapping_add(CELLS)).ok_or_else(wrong)?;
        Ok(Memory { control, first, stride: words[4] as usize, shape })
    }

    #[inline]
    pub fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the
        // handle its object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and
        // peers may store to it at any time, as it is all atomics.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    pub fn cells(&self) -> Cells<'_, Memory> {
        Cells { control: self.control(), heads: self, calls: self.shape.calls, idempotent: self.shape.idempotent }
    }

    /// First byte of cell `index`, in bounds whatever the index.
    #[inline]
    fn cell(&self, index: u32) -> *mut u8 {
        debug_assert!(index < self.shape.calls);
        let index = if index < self.shape.calls { index as usize } else { 0 };
        // SAFETY: `index` is below `calls`, so this stays inside the object, as `first` says.
        unsafe { self.first.as_ptr().add(index * self.stride) }
    }

    /// Where the client of cell `index` sleeps.
    #[inline]
    pub fn park(&self, index: u32) -> &ParkWord {
        &self.head(index).park
    }

    /// [`SHORT_MOST`] bytes beside the word.
    #[inline]
    pub fn short(&self, index: u32) -> *mut u8 {
        self.cell(index).wrapping_add(SHORT_AT)
    }

    /// The long request: `request_size` bytes.
    #[inline]
    pub fn long_request(&self, index: u32) -> *mut u8 {
        self.cell(index).wrapping_add(REQUEST_AT)
    }

    /// The long answer: [`Shape::answer_room`] bytes.
    #[inline]
    pub fn long_answer(&self, index: u32) -> *mut u8 {
        self.cell(index).wrapping_add(self.shape.answer_at())
    }

    fn answer_len(&self, index: u32) -> &AtomicU32 {
        // SAFETY: inside the cell, 64 bytes behind its first, so aligned; an atomic, so any bits are one and peers may
        // store to it at any time. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.cell(index).wrapping_add(ANSWER_LEN_AT).cast() }
    }

    /// Says how long the request in cell `index` is and where it lies. By the owner of `BUILD`.
    #[inline]
    pub fn set_request(&self, index: u32, size: usize, long: bool) {
        let long = if long { LONG } else { 0 };
        // Relaxed: `publish` releases it (edge `request`).
        self.head(index).len.store(size as u32 & !LONG | long, Relaxed);
    }

    /// The request in cell `index`: where it begins, and its size. A stranger's number, checked.
    #[inline]
    pub fn request(&self, index: u32) -> Option<(*mut u8, usize)> {
        // Relaxed: `take` acquires it (edge `request`).
        let len = self.head(index).len.load(Relaxed);
        let size = (len & !LONG) as usize;
        let (at, most) = if len & LONG != 0 {
            (self.long_request(index), self.shape.request_size)
        } else {
            (self.short(index), SHORT_MOST.min(self.shape.request_size))
        };
        (size <= most).then_some((at, size))
    }

    /// Does an answer of `size` bytes lie beside the word? Not where the request may be needed again.
    #[inline]
    pub fn is_short_answer(&self, size: usize) -> bool {
        size <= SHORT_MOST && !self.shape.idempotent
    }

    /// Says how long the answer in cell `index` is. By the owner of `SERVING`.
    #[inline]
    pub fn set_answer(&self, index: u32, size: usize, short: bool) {
        let len = if short { &self.head(index).len } else { self.answer_len(index) };
        // Relaxed: `answer` releases it (edge `answer`).
        len.store(size as u32, Relaxed);
    }

    /// The answer in cell `index`: where it begins, and its size. A stranger's number, checked.
    #[inline]
    pub fn answer(&self, index: u32, short: bool) -> Option<(*mut u8, usize)> {
        let (at, len, most) = if short {
            (self.short(index), &self.head(index).len, SHORT_MOST)
        } else {
            (self.long_answer(index), self.answer_len(index), self.shape.answer_room())
        };
        // Relaxed: `look` acquires it (edge `answer`).
        let size = len.load(Relaxed) as usize;
        (size <= most).then_some((at, size))
    }

    /// Wakes everybody.
    pub fn ring(&self) {
        self.control().servers.0.ring();
        self.control().clients.0.ring();
        for index in 0..self.shape.calls {
            self.head(index).park.ring();
        }
    }
}

// SAFETY: cells do not overlap, and cell `index` begins at the same byte each time.
unsafe impl Heads for Memory {
    #[inline]
    fn head(&self, index: u32) -> &Head {
        // SAFETY: `cell` is in bounds and a multiple of 128 behind a 128-aligned base, so aligned for a `Head`,
        // which is shorter than the stride. `Head: InSegment`: any bits are one, and peers may store to it at
        // any time, as it is all atomics. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.cell(index).cast() }
    }
}

#[cold]
pub(super) fn corrupt(name: &str, Garbage { index, word }: Garbage) -> Error {
    let why = format!(
        "{name}: the word of call {index} is {word:#018x}, which no service writes; remove it and create it anew"
    );
    Error::new(ErrorKind::Corrupt, why)
}
