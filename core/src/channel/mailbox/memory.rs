//! The memory of a mailbox: what lies where, checked once.

use super::options::{Capacity, Order};
use super::pages::{Ground, Hints, Paged, Pages, Paging, SYSTEM_PAGE};
use super::queue::{Control, FREE, Head, Heads, turn, word};
use super::rendezvous::{self, Hall, Meeting};
use super::slots::{MOST_SLOTS, Slots};
use super::sorted::{Entries, Entry, Sorted};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::AtomicU64;
use crate::prim::Ordering::{Acquire, Relaxed};
use crate::segment::object::{Object, View};
use std::ptr::NonNull;

/// Where the control block ends: the directory of the algorithm begins here, if it has one, then place 0.
const BEHIND: usize = size_of::<Control>();
/// Where the payload begins in a place.
const PAYLOAD: usize = size_of::<Head>();
/// The largest message size: 2^28 - 1 bytes.
pub(super) const MOST_BYTES: usize = (1 << 28) - 1;
/// The most places of a sorted mailbox, in which a receiver looks at each.
pub(super) const MOST_SORTED: u32 = 1 << 16;

/// Which algorithm: the low half of geometry word 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Fifo = 0,
    Sorted = 1,
    Rendezvous = 2,
    Unbounded = 3,
}

impl Mode {
    fn of(number: u64) -> Option<Mode> {
        [Mode::Fifo, Mode::Sorted, Mode::Rendezvous, Mode::Unbounded].into_iter().find(|mode| *mode as u64 == number)
    }
}

/// What lies where in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes from one place to the next: a multiple of 64.
    pub stride: usize,
    /// How many places there are.
    pub places: u32,
    /// Where place 0 begins: a multiple of 64. Of an unbounded one: its head, and the heads lie together.
    pub first: usize,
    /// Bytes at the beginning that are committed from the beginning.
    pub committed: usize,
    /// Bytes in all.
    pub size: usize,
    /// Of an unbounded one; else zeros.
    pub paging: Paging,
}

impl Layout {
    /// `None`: no memory has that size, or no such mailbox is there yet.
    pub fn of(mode: Mode, capacity: usize, message_size: usize) -> Option<Layout> {
        let stride = message_size.checked_add(PAYLOAD)?.checked_next_multiple_of(64)?;
        let capacity = u32::try_from(capacity).ok()?;
        let (places, directory) = match mode {
            Mode::Fifo => (capacity, 0),
            Mode::Sorted => (capacity, (capacity as usize).checked_mul(size_of::<Entry>())?),
            Mode::Rendezvous => (rendezvous::places(stride), size_of::<Hall>()),
            Mode::Unbounded => {
                let paging = Paging::of(BEHIND, capacity, message_size)?;
                let Paging { stride, heads: first, memory: committed, size, .. } = paging;
                return Some(Layout { stride, places: capacity, first, committed, size, paging });
            }
        };
        let first = BEHIND.checked_add(directory)?.checked_next_multiple_of(64)?;
        let size = (places as usize).checked_mul(stride)?.checked_add(first)?;
        Some(Layout { stride, places, first, committed: size, size, paging: Paging::default() })
    }
}

/// How many bytes at the beginning of a mailbox of this geometry and size are committed when it is created.
pub(crate) fn committed(geometry: &[u64; 5], size: usize) -> usize {
    let [capacity, message_size, _, modes, _] = *geometry;
    let layout = Mode::of(modes & 0xFFFF)
        .filter(|mode| *mode == Mode::Unbounded)
        .and_then(|mode| Layout::of(mode, usize::try_from(capacity).ok()?, usize::try_from(message_size).ok()?));
    layout.map_or(size, |layout| layout.committed.min(size))
}

/// The memory of a mailbox, checked once.
#[derive(Clone)]
pub(super) struct Memory {
    /// First byte of the control block, and of the object.
    control: NonNull<Control>,
    /// First byte of place 0; `places` of `stride` bytes, a multiple of 64, follow each other from here, all of them
    /// inside the object. What the algorithm needs besides lies between the control block and this.
    first: NonNull<u8>,
    pub mode: Mode,
    /// 1 or more.
    places: u32,
    /// From one head to the next.
    stride: usize,
    /// Of an unbounded one; else zeros.
    paging: Paging,
    /// For the pages of an unbounded one: where memory comes from and goes to. `None`: a look from outside.
    object: Option<Object>,
    /// The most messages; 0 at a rendezvous.
    pub capacity: u32,
    /// At most `stride` - [`PAYLOAD`], or a frame's stride.
    pub message_size: usize,
    /// 0: any number.
    pub max_deliveries: u16,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: control words are atomics,
// payload is copied by raw pointers under a claim. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    pub fn of(view: View<'_>) -> Result<Memory> {
        let [capacity, message_size, stride, modes, zero] = view.geometry();
        let wrong = |why: &str| {
            let why = format!(
                "its header says {capacity} messages of {message_size} bytes, stride {stride}, mode {modes:#x}, in {} \
                 bytes: {why}; remove the object and create it anew",
                view.size()
            );
            Err(Error::new(ErrorKind::Corrupt, why))
        };
        let (Some(mode), max_deliveries, 0) = (Mode::of(modes & 0xFFFF), (modes >> 16 & 0xFFFF) as u16, modes >> 32)
        else {
            return wrong("no such mode");
        };
        let (Ok(places @ 0..), Ok(message_size)) = (usize::try_from(capacity), usize::try_from(message_size)) else {
            return wrong("no such numbers");
        };
        let most = if mode == Mode::Sorted { MOST_SORTED } else { MOST_SLOTS } as usize;
        if (places == 0) != (mode == Mode::Rendezvous) || places > most || !(1..=MOST_BYTES).contains(&message_size) {
            return wrong("out of range");
        }
        match Layout::of(mode, places, message_size) {
            Some(layout) if (layout.stride as u64, zero) == (stride, 0) && layout.size <= view.size() => {
                let control = NonNull::from(view.at::<Control>(0)?);
                // In bounds by what was just checked, and not null as it lies behind `control`.
                let Some(first) = NonNull::new(view.base().wrapping_add(layout.first)) else {
                    return wrong("no memory");
                };
                let (capacity, Layout { stride, places, paging, .. }) = (places as u32, layout);
                let stride = if mode == Mode::Unbounded { size_of::<Head>() } else { stride };
                let object = None;
                Ok(Memory {
                    control,
                    first,
                    mode,
                    places,
                    stride,
                    paging,
                    object,
                    capacity,
                    message_size,
                    max_deliveries,
                })
            }
            _ => wrong("that does not fit together"),
        }
    }

    /// How many messages it holds, as it was asked for.
    pub fn kind(&self) -> Capacity {
        match self.mode {
            Mode::Fifo | Mode::Sorted => Capacity::Bounded(self.capacity as usize),
            Mode::Rendezvous => Capacity::Rendezvous,
            Mode::Unbounded => Capacity::Unbounded { ceiling: self.capacity as usize },
        }
    }

    /// In which order messages are received.
    pub fn order(&self) -> Order {
        if self.mode == Mode::Sorted { Order::Priority } else { Order::Fifo }
    }

    #[inline]
    pub fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the
        // handle its object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and
        // peers may store to it at any time, as it is all atomics.
        unsafe { self.control.as_ref() }
    }

    /// The algorithm of [`Mode::Fifo`].
    #[inline]
    pub fn slots(&self) -> Slots<'_, Memory> {
        let max_deliveries = self.max_deliveries;
        Slots { control: self.control(), heads: self, capacity: self.places, max_deliveries, eager: false }
    }

    /// The algorithm of [`Mode::Sorted`].
    pub fn sorted(&self) -> Sorted<'_, Memory> {
        let max_deliveries = self.max_deliveries;
        Sorted { control: self.control(), places: self, capacity: self.places, max_deliveries }
    }

    /// The algorithm of [`Mode::Rendezvous`].
    pub fn meeting(&self) -> Meeting<'_, Memory> {
        debug_assert!(self.mode == Mode::Rendezvous);
        let hall = self.control.as_ptr().cast::<u8>().wrapping_add(BEHIND).cast::<Hall>();
        // SAFETY: `Layout::of` keeps room for a hall between the control block and place 0 of a rendezvous, the only
        // mailbox that asks for it; 128-aligned as the end of the control block is. `Hall: InSegment`: any bits are one,
        // and peers may store to it at any time, as it is all atomics. The mapping lives as long as `self`, see `control`.
        let hall = unsafe { &*hall };
        Meeting { slots: Slots { max_deliveries: 0, ..self.slots() }, hall }
    }

    /// The algorithm of [`Mode::Unbounded`].
    pub fn paged(&self) -> Paged<'_, Memory, Memory> {
        Paged { slots: self.slots(), pages: self.pages(), ground: self }
    }

    /// What an unbounded one has besides.
    pub fn pages(&self) -> Pages<'_> {
        debug_assert!(self.mode == Mode::Unbounded);
        let Paging { each, keep, hints, map, words, .. } = self.paging;
        let base = self.control.as_ptr().cast::<u8>();
        // SAFETY: `Paging::of` keeps room for the hints and both tables between the control block and the heads of an
        // unbounded mailbox, the only one that asks for them; all offsets are multiples of 8, the hints' of 64, behind a
        // 128-aligned base. They are made of atomics, so any bits are good, and peers may store to them at any time. The
        // mapping lives as long as `self`, see `control`.
        let hints = unsafe { &*base.add(hints).cast::<Hints>() };
        // SAFETY: as above; `paging.pages` words, at least one.
        let map = unsafe { std::slice::from_raw_parts(base.add(map).cast::<AtomicU64>(), self.paging.pages) };
        // SAFETY: as above; `paging.frames` words, at least one.
        let frames = unsafe { std::slice::from_raw_parts(base.add(words).cast::<AtomicU64>(), self.paging.frames) };
        Pages { hints, map, frames, each, places: self.places, keep }
    }

    /// With what an unbounded mailbox needs to take memory and to give it back.
    pub fn of_object(object: &Object) -> Result<Memory> {
        let memory = Memory::of(object.view())?;
        let object = (memory.mode == Mode::Unbounded).then(|| object.clone());
        Ok(Memory { object, ..memory })
    }

    /// Where the memory of `frame` begins, from the beginning of the object.
    fn frame(&self, frame: u32) -> usize {
        let base = self.control.as_ptr() as usize;
        // The mapping begins at a page of the system and of the file, so what is aligned here is aligned there.
        let first = (base + self.paging.memory).next_multiple_of(SYSTEM_PAGE) - base;
        debug_assert!((frame as usize) < self.paging.frames);
        first + (frame as usize).min(self.paging.frames - 1) * self.paging.frame
    }

    /// The payload of place `index` of an unbounded mailbox, from the beginning of the object. In bounds whatever the
    /// index and whatever the tables say: without a frame it is the first one's.
    pub fn paged_payload(&self, index: u32) -> usize {
        let frame = self.pages().of::<()>(index.min(self.places - 1)).unwrap_or(0);
        self.frame(frame) + (index % self.paging.each) as usize * self.paging.stride
    }

    /// First byte of place `index`, in bounds whatever the index.
    #[inline]
    fn place(&self, index: u32) -> *mut u8 {
        debug_assert!(index < self.places);
        let index = if index < self.places { index as usize } else { 0 };
        // SAFETY: `index` is below `places`, so this stays inside the object, as `first` says.
        unsafe { self.first.as_ptr().add(index * self.stride) }
    }

    /// The place `n` after `index`, or the first one behind the last.
    #[inline]
    pub fn after(&self, index: u32, n: u32) -> &Head {
        self.head(if index + n < self.places { index + n } else { 0 })
    }

    /// First byte of the payload of place `index`: `message_size` bytes.
    #[inline]
    pub fn payload(&self, index: u32) -> *mut u8 {
        match self.mode {
            Mode::Unbounded => self.control.as_ptr().cast::<u8>().wrapping_add(self.paged_payload(index)),
            _ => self.place(index).wrapping_add(PAYLOAD),
        }
    }

    /// The length in place `index`: a stranger's number, checked.
    #[inline]
    pub fn len(&self, index: u32) -> Option<usize> {
        // Relaxed: the claim or the look at the word orders it (edges `message`, `overwrite`).
        let len = self.head(index).len.load(Relaxed) as usize;
        (len <= self.message_size).then_some(len)
    }
}

impl Ground for Memory {
    type Error = i32;

    fn is_free(&self, index: u32) -> bool {
        // ORDER frame: Acquire; pairs with the Release of whoever freed the place.
        let seen = self.head(index).word.load(Acquire);
        seen == word(FREE, 0, turn(seen))
    }

    fn commit(&self, frame: u32) -> std::result::Result<(), i32> {
        let Some(object) = &self.object else { return Err(libc::ENOTSUP) };
        object.commit(self.frame(frame), self.paging.frame).map_err(|error| error.errno())
    }

    fn give_back(&self, frame: u32) {
        if let Some(object) = &self.object {
            object.give_back(self.frame(frame), self.paging.frame);
        }
    }
}

// SAFETY: places do not overlap, and place `index` begins at the same byte each time.
unsafe impl Heads for Memory {
    #[inline]
    fn head(&self, index: u32) -> &Head {
        // SAFETY: `place` is in bounds and a multiple of 16 behind a 128-aligned base, so aligned for a `Head`,
        // which is no longer than the stride. `Head: InSegment`: any bits are one, and peers may store to it at
        // any time, as it is all atomics. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.place(index).cast() }
    }
}

// SAFETY: entries do not overlap, and entry `index` lies at the same bytes each time.
unsafe impl Entries for Memory {
    fn entry(&self, index: u32) -> &Entry {
        debug_assert!(self.mode == Mode::Sorted && index < self.places);
        let index = if index < self.places { index as usize } else { 0 };
        let at = self.control.as_ptr().cast::<u8>().wrapping_add(BEHIND + index * size_of::<Entry>());
        // SAFETY: `Layout::of` keeps room for `places` entries between the control block and place 0 of a sorted
        // mailbox, the only one that has a `Sorted`; `index` is below. 32 bytes each, 128-aligned at the first.
        // `Entry: InSegment`: any bits are one, and peers may store to it at any time, as it is all atomics. The
        // mapping lives as long as `self`, see `control`.
        unsafe { &*at.cast() }
    }
}

/// Does something with the algorithm of a mailbox, whichever it is.
macro_rules! with_queue {
    ($memory:expr, $queue:ident => $what:expr) => {
        match $memory.mode {
            $crate::channel::mailbox::memory::Mode::Sorted => {
                let $queue = $memory.sorted();
                $what
            }
            $crate::channel::mailbox::memory::Mode::Rendezvous => {
                let $queue = $memory.meeting();
                $what
            }
            $crate::channel::mailbox::memory::Mode::Unbounded => {
                let $queue = $memory.paged();
                $what
            }
            $crate::channel::mailbox::memory::Mode::Fifo => {
                let $queue = $memory.slots();
                $what
            }
        }
    };
}
pub(super) use with_queue;
