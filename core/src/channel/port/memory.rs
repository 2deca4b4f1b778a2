//! Where a port lies in its segment: what of the object's memory is what, checked once.
//!
//! | bytes                | what                                                                                   |
//! |----------------------|----------------------------------------------------------------------------------------|
//! | 0–895                | [`Control`]: the next stamp, two eventcounts, counters, who watches, what is asked for |
//! | 896                  | records of rights, 32 bytes each; record 0 is the right to receive                     |
//! | behind them          | the words of the places, 8 bytes each; [`PENDING`] more than the capacity              |
//! | `first` + `stride`·i | message i: [`Envelope`] (96), payload (`message_size`); `first` is a multiple of 64    |
//!
//! Geometry: capacity, message size, number of records, stride, 0. It is read once, checked against the memory that is
//! really there, and never read again. All zero bytes are an empty port that nobody has ever received from.

use super::places::{MOST_PLACES, Places};
use super::rights::{Carrier, Record, Right, Rights, Ticket};
use crate::prim::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::segment::object::{InSegment, View};
use crate::wait::EventCount;
use crate::{Error, ErrorKind, Result};
use std::ptr::NonNull;

/// Places beyond the capacity, for the pending messages of senders that found it full.
pub(super) const PENDING: u32 = 8;
/// The most rights a message carries.
pub(super) const ENCLOSED: usize = 4;
/// How many notifications can be asked for on one port.
const REQUESTS: usize = 16;
/// How many ports are woken when a port's rights change; others find it out by looking.
const WATCHERS: usize = 4;
/// The most records of rights.
const MOST_RIGHTS: usize = 4096;
const MOST_BYTES: usize = (1 << 28) - 1;
const RECORDS: usize = 896;
/// Where the payload begins in a message.
const PAYLOAD: usize = 96;

/// A value on a cache line of its own.
#[repr(C, align(64))]
pub(super) struct Line<T>(pub T);

/// The first bytes of a port.
#[repr(C, align(128))]
pub(super) struct Control {
    pub next: Line<AtomicU64>,
    pad: [AtomicU64; 8],
    /// Whoever receives sleeps here.
    pub rx: Line<EventCount>,
    /// Senders sleep here.
    pub tx: Line<EventCount>,
    /// Messages that a dead receiver held and that were delivered again.
    pub redelivered: AtomicU64,
    /// Rights to send made so far.
    pub made: AtomicU64,
    /// Ports to wake when a right ends here: index and generation, as in a [`Carrier`].
    pub watchers: [AtomicU64; WATCHERS],
    pad_2: [AtomicU64; 10],
    pub requests: [Request; REQUESTS],
}

/// A notification that was asked for, on the port that will tell it: see `notify.rs`.
#[repr(C)]
pub(super) struct Request {
    pub word: AtomicU64,
    /// The port that is watched, as in a [`Carrier`].
    pub port: AtomicU64,
    /// Place and stamp of a pending message.
    pub message: AtomicU64,
    pad: AtomicU64,
}

/// What lies in front of a message. Written by the owner of the place; a stranger's numbers to everybody else.
#[repr(C)]
pub(super) struct Envelope {
    pub len: AtomicU32,
    /// How many receivers died with it.
    pub deliveries: AtomicU32,
    /// The port that is the sender's name, as in a [`Carrier`]; 0: it has none.
    pub from: AtomicU64,
    /// Through which right it was sent: record in the low half, serial in the high half.
    pub via: AtomicU64,
    /// How many rights it carries.
    pub rights: AtomicU32,
    /// 1: the last of them is the right to answer.
    pub reply: AtomicU32,
    pub enclosed: [Enclosed; ENCLOSED],
}

/// A right in a message.
#[repr(C)]
pub(super) struct Enclosed {
    port: AtomicU64,
    /// Record in bits 0–15, kind in 16–17, serial in the high half.
    ticket: AtomicU64,
}

#[cfg(all(test, loom))]
impl Request {
    /// A free one; in a segment, zeroed memory is one.
    pub fn new() -> Request {
        let zero = || AtomicU64::new(0);
        Request { word: zero(), port: zero(), message: zero(), pad: zero() }
    }
}

// SAFETY: `repr(C)`, made of prim's atomics and of eventcounts, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}
// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl InSegment for Record {}
// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl InSegment for Envelope {}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Control>() == RECORDS && size_of::<Record>() == 32 && size_of::<Request>() == 32);
    assert!(std::mem::offset_of!(Control, rx) == 128 && std::mem::offset_of!(Control, requests) == 384);
    assert!(size_of::<Envelope>() == PAYLOAD && align_of::<Envelope>() == 8);
};

impl Enclosed {
    pub fn set(&self, port: u64, ticket: Ticket) {
        // Relaxed, here and below: the message's word orders it.
        self.port.store(port, Relaxed);
        let kind = (ticket.kind as u64) << 16;
        self.ticket.store(u64::from(ticket.index & 0xFFFF) | kind | u64::from(ticket.serial) << 32, Relaxed);
    }

    /// The port and the right; `None` for garbage.
    pub fn get(&self) -> Option<(u64, Ticket)> {
        let (port, ticket) = (self.port.load(Relaxed), self.ticket.load(Relaxed));
        let kind = match ticket >> 16 & 0xFFFF {
            1 => Right::Receive,
            2 => Right::Send,
            3 => Right::SendOnce,
            _ => return None,
        };
        Some((port, Ticket { index: (ticket & 0xFFFF) as u32, serial: (ticket >> 32) as u32, kind }))
    }
}

/// Geometry words and bytes behind the header for a new port.
pub(super) fn geometry(capacity: usize, message_size: usize, rights: usize) -> Result<([u64; 5], usize)> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    let most = (MOST_PLACES - PENDING) as usize;
    if capacity == 0 || capacity > most {
        return refuse(format!("capacity {capacity}: 1 to {most} messages are possible; a mailbox holds more"));
    }
    if message_size == 0 || message_size > MOST_BYTES {
        return refuse(format!("messages of {message_size} bytes: 1 to {MOST_BYTES} are possible"));
    }
    if rights == 0 || rights > MOST_RIGHTS {
        return refuse(format!("{rights} rights: 1 to {MOST_RIGHTS} rights to send are possible"));
    }
    let (_, stride, size) = extent(capacity, message_size, rights + 1);
    Ok(([capacity as u64, message_size as u64, rights as u64 + 1, stride as u64, 0], size))
}

/// First message, stride, and bytes in all, of numbers within their limits, so without overflow.
fn extent(capacity: usize, message_size: usize, records: usize) -> (usize, usize, usize) {
    let places = capacity + PENDING as usize;
    let first = (RECORDS + records * size_of::<Record>() + places * 8).next_multiple_of(64);
    let stride = (PAYLOAD + message_size).next_multiple_of(64);
    (first, stride, first + places * stride)
}

/// The memory of a port, checked once.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// First byte of the object, 128-aligned; all that `extent` says lies inside the object.
    base: NonNull<u8>,
    /// Messages a port holds, and [`PENDING`] more.
    pub capacity: u32,
    pub message_size: usize,
    records: usize,
    first: usize,
    stride: usize,
}

// SAFETY: an address and numbers. What lies there is reached through atomics, or copied as raw bytes under a claim;
// the mapping belongs to the process, not to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    pub fn of(view: View<'_>) -> Result<Memory> {
        let g = view.geometry();
        let wrong = |why: &str| {
            let said = format!(
                "its header says {} messages of {} bytes and {} rights, stride {}, in {} bytes: {why}; \
                 remove the port and create it anew",
                g[0],
                g[1],
                g[2],
                g[3],
                view.size()
            );
            Err(Error::new(ErrorKind::Corrupt, said))
        };
        let (capacity, message_size, records) = (g[0], g[1], g[2]);
        if capacity == 0
            || capacity > u64::from(MOST_PLACES - PENDING)
            || message_size == 0
            || message_size > MOST_BYTES as u64
            || !(2..=MOST_RIGHTS as u64 + 1).contains(&records)
        {
            return wrong("out of range");
        }
        let (capacity, message_size, records) = (capacity as usize, message_size as usize, records as usize);
        let (first, stride, size) = extent(capacity, message_size, records);
        if g[3..] != [stride as u64, 0] || size > view.size() {
            return wrong("that does not fit together");
        }
        match NonNull::new(view.base()) {
            Some(base) if base.as_ptr().addr().is_multiple_of(128) => {
                Ok(Memory { base, capacity: capacity as u32, message_size, records, first, stride })
            }
            _ => wrong("it lies nowhere"),
        }
    }

    /// `n` residents of type `T` from byte `at` on.
    ///
    /// # Safety
    /// - They lie within what `extent` says, aligned, so inside the object.
    #[inline]
    unsafe fn residents<T: InSegment>(&self, at: usize, n: usize) -> &[T] {
        // SAFETY: in bounds and aligned by the caller's word; who holds a `Memory` holds the mapping (the handle its
        // object, the functions of `KIND` and lookers-on their view). `T: InSegment`: any bits are one, and peers may
        // store to it at any time, as it is all atomics.
        unsafe { std::slice::from_raw_parts(self.base.add(at).cast().as_ptr(), n) }
    }

    #[inline]
    pub fn control(&self) -> &Control {
        // SAFETY: the first bytes of the object, 128-aligned. The rest as in `residents`.
        unsafe { self.base.cast().as_ref() }
    }

    #[inline]
    pub fn rights(&self) -> Rights<'_> {
        // SAFETY: behind the control block, 32 bytes each, as in `extent`; a multiple of 8.
        Rights(unsafe { self.residents(RECORDS, self.records) })
    }

    #[inline]
    pub fn places(&self) -> Places<'_> {
        let at = RECORDS + self.records * size_of::<Record>();
        // SAFETY: behind the records, one word for each place, as in `extent`; a multiple of 8.
        let words = unsafe { self.residents(at, (self.capacity + PENDING) as usize) };
        Places { next: &self.control().next.0, words }
    }

    /// First byte of message `index`, in bounds whatever the index.
    #[inline]
    fn message(&self, index: u32) -> NonNull<u8> {
        let index = if index < self.capacity + PENDING { index as usize } else { 0 };
        // SAFETY: `index` is below the number of places, so this stays inside the object, as in `extent`.
        unsafe { self.base.add(self.first + index * self.stride) }
    }

    #[inline]
    pub fn envelope(&self, index: u32) -> &Envelope {
        // SAFETY: `message` is in bounds and a multiple of 64, and the stride is larger than an envelope. The rest as in
        // `residents`.
        unsafe { self.message(index).cast().as_ref() }
    }

    /// First byte of the payload of message `index`: `message_size` bytes.
    #[inline]
    pub fn payload(&self, index: u32) -> *mut u8 {
        self.message(index).as_ptr().wrapping_add(PAYLOAD)
    }

    pub fn ring(&self) {
        self.control().rx.0.ring();
        self.control().tx.0.ring();
    }

    /// Leaves nothing that names participant `dead`. The caller holds its repair byte and rings both bells.
    pub fn repair(&self, dead: u32) {
        self.places().repair(dead, |index| {
            // First the count, then the message: who receives it reads a count that is not too small. Relaxed: the
            // place's word orders it.
            let deliveries = &self.envelope(index).deliveries;
            deliveries.store((deliveries.load(Relaxed) & 0xFFFF).saturating_add(1).min(0xFFFF), Relaxed);
            self.control().redelivered.fetch_add(1, Relaxed); // Relaxed: a number to be shown.
        });
        self.rights().repair(dead);
        for request in &self.control().requests {
            request.repair(dead);
        }
    }
}

/// Index and generation in one word, as in [`Carrier::port`].
pub(super) fn port_id(index: u32, generation: u32) -> u64 {
    u64::from(index) | u64::from(generation) << 32
}

/// And back.
pub(super) fn index_and_generation(port: u64) -> (u32, u32) {
    (port as u32, (port >> 32) as u32)
}

impl Carrier {
    /// The message in place `place` of `port`.
    pub fn new(port: u64, claim: super::places::Claim) -> Carrier {
        Carrier { port, place: claim.index, stamp: claim.stamp() }
    }
}
