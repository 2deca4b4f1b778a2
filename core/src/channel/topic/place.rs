//! Where a topic lies in its segment, checked once.
//!
//! | byte                | what                                                                     |
//! |---------------------|--------------------------------------------------------------------------|
//! | 0                   | the writer's role, its position, counts                                  |
//! | 128                 | eventcount: subscribers sleep here                                       |
//! | 256                 | park word: the writer sleeps here                                        |
//! | 384 + 128 · i       | cursor i                                                                 |
//! | behind, · `stride`  | slot i: word (8), length (4), drops (4); the message from 16 on, or from 64 on |
//!
//! A message of at most 48 bytes lies on one cache line with its word. Larger ones begin at the next line, so that
//! arrays in them are aligned. The five geometry words: capacity, message size, cursors, policy, nanoseconds until
//! eviction (0: never). All zero bytes are an empty topic.

use super::options::{TopicOptions, TopicPolicy};
use super::words::{Control, Cursor, Head, Memory};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::object::{InSegment, View};
use std::ptr::NonNull;
use std::time::Duration;

const CURSORS: usize = 384;
const CURSOR: usize = 128;
/// The most messages.
const MOST_SLOTS: usize = 1 << 20;
/// The largest message size: 2^31 - 1 bytes.
const MOST_BYTES: usize = (1 << 31) - 1;
/// The most subscribers.
const MOST_CURSORS: usize = 256;
/// Messages of up to so many bytes share a cache line with their word.
const ONE_LINE: usize = 48;

// SAFETY: `repr(C)`, made of prim's atomics, an eventcount and a park word, which are too; the rest is padding
// nobody reads.
unsafe impl InSegment for Control {}

/// The words of one topic in one mapping.
#[derive(Clone, Copy)]
pub struct Place {
    /// First byte of the object, 128-aligned. All that `extent` counts is mapped from here on.
    base: NonNull<u8>,
    /// Byte of slot 0; a multiple of 64.
    first: usize,
    /// Bytes from slot to slot; a multiple of 64.
    stride: usize,
    /// Byte of the message in a slot: `payload + message_size <= stride`.
    payload: usize,
    /// 1 to [`MOST_SLOTS`].
    capacity: u64,
    /// `capacity - 1` where that is a mask, for a fast remainder; otherwise 0.
    mask: u64,
    pub message_size: usize,
    /// 1 to [`MOST_CURSORS`].
    cursors: u32,
    pub policy: TopicPolicy,
    pub evict_after: Option<Duration>,
}

// SAFETY: a `Place` is an address and numbers. What lies there is reached through atomics only, or through
// `payload`, whose users say why they may; the mapping belongs to the process, not to a thread.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// Stride, byte of the message in a slot, byte of slot 0, and bytes of all, of numbers within their limits.
fn extent(capacity: usize, message_size: usize, cursors: usize) -> Option<(usize, usize, usize, usize)> {
    let payload = if message_size <= ONE_LINE { size_of::<Head>() } else { 64 };
    let stride = message_size.checked_add(payload)?.checked_next_multiple_of(64)?;
    let first = CURSORS + cursors * CURSOR;
    Some((stride, payload, first, capacity.checked_mul(stride)?.checked_add(first)?))
}

impl Place {
    /// Geometry words and bytes behind the header for a new topic; or what is wrong with the options.
    pub fn geometry(options: &TopicOptions<'_>) -> std::result::Result<([u64; 5], usize), String> {
        let TopicOptions { capacity, message_size, subscribers, policy, evict_after, .. } = *options;
        if !(1..=MOST_SLOTS).contains(&capacity) {
            return Err(format!("of capacity {capacity}: it keeps 1 to {MOST_SLOTS} messages"));
        }
        if !(1..=MOST_BYTES).contains(&message_size) {
            return Err(format!("with messages of {message_size} bytes: 1 to {MOST_BYTES} are possible"));
        }
        if !(1..=MOST_CURSORS).contains(&subscribers) {
            return Err(format!("for {subscribers} subscribers: 1 to {MOST_CURSORS} are possible"));
        }
        let evict_ns = match evict_after {
            None => 0,
            Some(time) if time.is_zero() => {
                return Err(
                    "with eviction after no time: nobody could ever read; give a duration, or none at all".into()
                );
            }
            Some(time) => {
                u64::try_from(time.as_nanos()).map_err(|_| format!("with eviction after {time:?}: too long"))?
            }
        };
        let Some((.., size)) = extent(capacity, message_size, subscribers) else {
            return Err(format!("of {capacity} messages of {message_size} bytes: no memory has that size"));
        };
        Ok(([capacity as u64, message_size as u64, subscribers as u64, policy.number(), evict_ns], size))
    }

    /// Checks the geometry against the extent.
    ///
    /// # Safety
    /// - What `view` views must stay mapped as long as the `Place` is used: its methods reach into it.
    pub unsafe fn new(view: View<'_>) -> Result<Place> {
        let [capacity, message_size, cursors, policy, evict_ns] = view.geometry();
        let wrong = |why: &str| {
            let said = format!("{capacity} messages of {message_size} bytes for {cursors} subscribers");
            let size = view.size();
            Error::new(
                ErrorKind::Corrupt,
                format!("its header says {said}, in {size} bytes: {why}; remove it and create it anew"),
            )
        };
        let numbers = [capacity, message_size, cursors].map(|word| usize::try_from(word).unwrap_or(usize::MAX));
        let ([slots, bytes, seats], Some(policy)) = (numbers, TopicPolicy::of(policy)) else {
            return Err(wrong("no such policy"));
        };
        if !(1..=MOST_SLOTS).contains(&slots)
            || !(1..=MOST_BYTES).contains(&bytes)
            || !(1..=MOST_CURSORS).contains(&seats)
        {
            return Err(wrong("out of range"));
        }
        let Some((stride, payload, first, size)) = extent(slots, bytes, seats) else { return Err(wrong("too much")) };
        if size > view.size() {
            return Err(wrong("that does not fit together"));
        }
        match NonNull::new(view.base()) {
            Some(base) if base.as_ptr().addr().is_multiple_of(128) => Ok(Place {
                base,
                first,
                stride,
                payload,
                capacity,
                mask: if capacity.is_power_of_two() { capacity - 1 } else { 0 },
                message_size: bytes,
                cursors: seats as u32,
                policy,
                evict_after: (evict_ns != 0).then(|| Duration::from_nanos(evict_ns)),
            }),
            _ => Err(wrong("no memory is there")),
        }
    }

    /// Byte of the slot of `position`, within the extent whatever the position.
    #[inline(always)]
    fn slot(&self, position: u64) -> usize {
        let index = if self.mask != 0 { position & self.mask } else { position % self.capacity };
        self.first + index as usize * self.stride
    }

    /// First byte of the message at `position`: `message_size` bytes are there.
    #[inline(always)]
    pub fn payload(&self, position: u64) -> *mut u8 {
        // SAFETY: the slot's index is below `capacity`, and `payload` within a slot, so this stays inside the extent
        // that `new` checked.
        unsafe { self.base.as_ptr().add(self.slot(position) + self.payload) }
    }

    /// The resident at byte `at`.
    ///
    /// # Safety
    /// - A `T` made of prim's atomics must lie at `at`, aligned, within the extent that `new` checked.
    #[inline(always)]
    unsafe fn resident<T>(&self, at: usize) -> &T {
        // SAFETY: in bounds and aligned by the caller's word and `base`'s alignment; mapped as long as the `Place` is
        // used, by `new`'s contract. Any bits are a `T`, and peers may store to it while we hold this: it is all
        // atomics.
        unsafe { self.base.add(at).cast().as_ref() }
    }
}

impl Memory for Place {
    #[inline(always)]
    fn capacity(&self) -> u64 {
        self.capacity
    }
    #[inline(always)]
    fn head(&self, position: u64) -> &Head {
        // SAFETY: the slot is within the extent and a multiple of 64; it begins with its head.
        unsafe { self.resident(self.slot(position)) }
    }
    #[inline(always)]
    fn cursors(&self) -> u32 {
        self.cursors
    }
    #[inline(always)]
    fn cursor(&self, index: u32) -> &Cursor {
        debug_assert!(index < self.cursors);
        let index = if index < self.cursors { index as usize } else { 0 };
        // SAFETY: the cursors lie from `CURSORS` on, `CURSOR` bytes each, and `index` is below their number.
        unsafe { self.resident(CURSORS + index * CURSOR) }
    }
    #[inline(always)]
    fn control(&self) -> &Control {
        // SAFETY: it lies at 0, and `extent` counts the 384 bytes before the cursors.
        unsafe { self.resident(0) }
    }
}
