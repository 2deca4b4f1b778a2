//! A mailbox: a bounded queue of messages for any number of senders and receivers.
//!
//! # State
//!
//! | bytes                    | what                                                                  |
//! |--------------------------|-----------------------------------------------------------------------|
//! | 0–511                    | control: `tail`, `head`, two eventcounts, two counters, see `slots.rs`  |
//! | 512 + `stride` · i       | slot i: word (8), length (4), deliveries (4), payload (`message_size`)  |
//!
//! Geometry: capacity, message size, stride (16 + message size, rounded up to 64), 0, 0. It is read once,
//! checked against the memory that is really there, and never read again. A message of at most 48 bytes
//! lies on one cache line with the word that announces it. All zero bytes are an empty mailbox.
//!
//! # Waiting
//!
//! Receivers and peekers sleep on `rx`, senders on `tx`; each message and each place given back wakes one.
//! That wake can be spent on somebody who cannot use it: on a peeker, or on a receiver that finds an older
//! message still being written. So whoever waited and got through wakes the next one if there is more.
//!
//! # When a peer dies
//!
//! Row by row in `slots.rs`. Whoever is barred by the claim of a dead participant repairs it: at the end of
//! the first slice when it waits; at most once per millisecond when it polls, so that polling stays free
//! of system calls. Nobody is barred: the sweep does it.
//!
//! # Cost
//!
//! `send` and `receive`: three compare-and-swaps and a copy; a system call only if somebody sleeps.

mod slots;

#[cfg(any(test, loom))]
mod death;
#[cfg(all(test, not(loom)))]
mod handle_tests;
#[cfg(loom)]
pub mod model;
mod ready;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::deadline::now_ns;
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::segment::object::{Holds, InSegment, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Spin, World};
use crate::{Deadline, Error, ErrorKind, Result};
use slots::{Attempt, Claim, Control, Garbage, Head, Heads, MOST_SLOTS, Oldest, Slots};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Where slot 0 begins.
const SLOTS: usize = 512;
/// Where the payload begins in a slot.
const PAYLOAD: usize = 16;
/// The largest message size: 2^28 - 1 bytes.
const MOST_BYTES: usize = (1 << 28) - 1;
/// How long a claim may be in the way before its owner is asked for, and how often.
const PATIENCE_NS: u64 = 1_000_000;
/// And the first time: longer than a copy takes and than one spins, so that nobody asks who need not sleep.
const FIRST_PATIENCE_NS: u64 = 60_000;

// SAFETY: `repr(C)`, made of prim's atomics and of eventcounts, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}

// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl InSegment for Head {}

/// A mailbox: messages of up to `message_size` bytes, first in, first out, from any number of senders to any
/// number of receivers, in threads and processes. Each message is received once.
///
/// A clone is another handle on the same mailbox. Handles stay good in a forked child.
pub struct Mailbox {
    object: Object,
    memory: Memory,
    /// How long receivers and senders through this handle spin before they sleep.
    spin_rx: Spin,
    spin_tx: Spin,
    /// For the `try_` forms; a wait has its own.
    patience: Patience,
}

/// What `receive` and `peek` say about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its size in bytes.
    pub size: usize,
    /// How many receivers died with it before: 0 unless it is delivered again. One too many if a process that
    /// repaired it died half-way.
    pub redelivered: u16,
}

/// A reservation as plain data, for bindings. Stale or forged ones are refused, never harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLoan {
    /// Index of the slot.
    pub index: u32,
    /// The size that was asked for.
    pub size: u32,
    /// The slot's word at the claim.
    pub word: u64,
}

/// Geometry words and bytes behind the header for a new mailbox.
pub(crate) fn geometry(capacity: usize, message_size: usize) -> Result<([u64; 5], usize)> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    if capacity == 0 {
        return refuse("mailbox of capacity 0: rendezvous is not there yet; give it a capacity of 1 or more".into());
    }
    if capacity > MOST_SLOTS as usize {
        return refuse(format!("mailbox of capacity {capacity}: the most is {MOST_SLOTS} messages"));
    }
    if message_size == 0 || message_size > MOST_BYTES {
        return refuse(format!("mailbox with messages of {message_size} bytes: 1 to {MOST_BYTES} are possible"));
    }
    match extent(capacity, message_size) {
        Some((stride, size)) => Ok(([capacity as u64, message_size as u64, stride as u64, 0, 0], size)),
        None => refuse(format!("mailbox of {capacity} messages of {message_size} bytes: no memory has that size")),
    }
}

/// Stride and bytes of a mailbox, of numbers within their limits.
fn extent(capacity: usize, message_size: usize) -> Option<(usize, usize)> {
    let stride = message_size.checked_add(PAYLOAD)?.checked_next_multiple_of(64)?;
    Some((stride, capacity.checked_mul(stride)?.checked_add(SLOTS)?))
}

/// The handle on an object that is a mailbox by its header.
pub(crate) fn attach(object: Object) -> Result<Mailbox> {
    let memory =
        Memory::of(object.view()).map_err(|e| Error::new(e.kind(), format!("mailbox {:?}: {e}", object.address())))?;
    Ok(Mailbox { object, memory, spin_rx: Spin::default(), spin_tx: Spin::default(), patience: Patience::from_now() })
}

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Mailbox,
    repair: |view, slot| {
        if let Ok(memory) = Memory::of(view) {
            memory.slots().repair(slot);
        }
    },
    ring: |view| {
        if let Ok(memory) = Memory::of(view) {
            memory.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let memory = Memory::of(view)?;
        let tally = &memory.control().tally.0;
        Ok(ObjectState::Mailbox {
            capacity: memory.capacity as usize,
            message_size: memory.message_size,
            len: memory.slots().len().map_err(|garbage| corrupt("mailbox", garbage))? as usize,
            // Relaxed: numbers to be shown.
            voided: tally.voided.load(Relaxed),
            redelivered: tally.redelivered.load(Relaxed),
        })
    },
};

/// The memory of a mailbox, checked once.
#[derive(Clone, Copy)]
struct Memory {
    /// First byte of the control block.
    control: NonNull<Control>,
    /// First byte of slot 0; `capacity` slots of `stride` bytes, a multiple of 64, follow each other from here,
    /// all of them inside the object.
    first: NonNull<u8>,
    /// 1 to [`MOST_SLOTS`].
    capacity: u32,
    stride: usize,
    /// At most `stride` - [`PAYLOAD`].
    message_size: usize,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: control words are atomics,
// payload is copied by raw pointers under a claim. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    fn of(view: View<'_>) -> Result<Memory> {
        let g = view.geometry();
        let wrong = |why: &str| {
            let why = format!(
                "its header says {} messages of {} bytes, stride {}, in {} bytes: {why}",
                g[0],
                g[1],
                g[2],
                view.size()
            );
            Err(Error::new(ErrorKind::Corrupt, why))
        };
        let (Ok(capacity), Ok(message_size)) = (usize::try_from(g[0]), usize::try_from(g[1])) else {
            return wrong("no such numbers");
        };
        if capacity == 0 || capacity > MOST_SLOTS as usize || message_size == 0 || message_size > MOST_BYTES {
            return wrong("out of range; remove the object and create it anew");
        }
        match extent(capacity, message_size) {
            Some((stride, size)) if g[2..] == [stride as u64, 0, 0] && size <= view.size() => {
                let control = NonNull::from(view.at::<Control>(0)?);
                // In bounds by what was just checked, and not null as it lies behind `control`.
                let Some(first) = NonNull::new(view.base().wrapping_add(SLOTS)) else { return wrong("no memory") };
                Ok(Memory { control, first, capacity: capacity as u32, stride, message_size })
            }
            _ => wrong("that does not fit together; remove the object and create it anew"),
        }
    }

    #[inline]
    fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the
        // handle its object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and
        // peers may store to it at any time, as it is all atomics.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    fn slots(&self) -> Slots<'_, Memory> {
        Slots { control: self.control(), heads: self, capacity: self.capacity }
    }

    /// First byte of slot `index`, in bounds whatever the index.
    #[inline]
    fn slot(&self, index: u32) -> *mut u8 {
        debug_assert!(index < self.capacity);
        let index = if index < self.capacity { index as usize } else { 0 };
        // SAFETY: `index` is below `capacity`, so this stays inside the object, as `first` says.
        unsafe { self.first.as_ptr().add(index * self.stride) }
    }

    /// First byte of the payload of slot `index`: `message_size` bytes.
    #[inline]
    fn payload(&self, index: u32) -> *mut u8 {
        self.slot(index).wrapping_add(PAYLOAD)
    }

    /// The length in slot `index`: a stranger's number, checked.
    #[inline]
    fn len(&self, index: u32) -> Option<usize> {
        // Relaxed: the claim or the look at the word orders it (edges `message`, `overwrite`).
        let len = self.head(index).len.load(Relaxed) as usize;
        (len <= self.message_size).then_some(len)
    }

    fn ring(&self) {
        self.control().rx.0.ring();
        self.control().tx.0.ring();
    }
}

// SAFETY: slots do not overlap, and slot `index` begins at the same byte each time.
unsafe impl Heads for Memory {
    #[inline]
    fn head(&self, index: u32) -> &Head {
        // SAFETY: `slot` is in bounds and a multiple of 64 behind a 128-aligned base, so aligned for a `Head`,
        // which is shorter than the stride. `Head: InSegment`: any bits are one, and peers may store to it at
        // any time, as it is all atomics. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.slot(index).cast() }
    }
}

/// When to ask whether the owner of a claim that is in the way is still alive: a system call.
struct Patience(AtomicU64);

impl Patience {
    fn from_now() -> Patience {
        Patience(AtomicU64::new(now_ns().saturating_sub(PATIENCE_NS - FIRST_PATIENCE_NS)))
    }

    /// True at most once per [`PATIENCE_NS`], and not before [`FIRST_PATIENCE_NS`] are over.
    fn is_over(&self) -> bool {
        let now = now_ns();
        // Relaxed: two threads that ask at once ask twice.
        let over = now.saturating_sub(self.0.load(Relaxed)) >= PATIENCE_NS;
        if over {
            self.0.store(now, Relaxed);
        }
        over
    }
}

#[cold]
fn corrupt(name: &str, garbage: Garbage) -> Error {
    let what = match garbage {
        Garbage::Word(index, word) => format!("the word of slot {index} is {word:#018x}, which no mailbox writes"),
        Garbage::Position(position) => format!("tail or head is {position:#018x}, beyond its slots"),
    };
    Error::new(ErrorKind::Corrupt, format!("{name}: {what}; remove it and create it anew"))
}

impl Clone for Mailbox {
    fn clone(&self) -> Mailbox {
        Mailbox {
            object: self.object.clone(),
            memory: self.memory,
            spin_rx: Spin::default(),
            spin_tx: Spin::default(),
            patience: Patience::from_now(),
        }
    }
}

impl Mailbox {
    /// Sends a copy of `message`; waits for room for ever.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) for more than `message_size` bytes; [`Removed`](ErrorKind::Removed) if
    /// the mailbox is removed while this waits; [`Corrupt`](ErrorKind::Corrupt) if it holds garbage. An empty
    /// message is a message.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends if there is room; `false` if it is full.
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.check_size("send", message.len())?;
        match self.try_room(self.object.me()?)? {
            Some(claim) => self.fill(claim, message).map(|()| true),
            None => Ok(false),
        }
    }

    /// Sends; waits for room until the deadline.
    #[inline]
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.check_size("send", message.len())?;
        let claim = self.room(deadline)?;
        self.fill(claim, message)
    }

    /// Receives the oldest message into `buffer`, which must hold `message_size` bytes; waits for ever.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) if `buffer` is smaller than `message_size`: then nothing is taken, as
    /// with mq_receive(3). Otherwise as for [`send`](Mailbox::send).
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives if there is a message.
    #[inline]
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        self.check_buffer("receive", buffer.len())?;
        match self.try_message(self.object.me()?)? {
            Some(claim) => self.take(claim, buffer).map(Some),
            None => Ok(None),
        }
    }

    /// Receives; waits until the deadline.
    #[inline]
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> {
        self.check_buffer("receive", buffer.len())?;
        let claim = self.message(deadline)?;
        self.take(claim, buffer)
    }

    /// Copies the oldest message without taking it; waits for one for ever.
    ///
    /// The next `receive` may get another one: somebody may have taken this one in between.
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Received> {
        self.peek_until(buffer, Deadline::never())
    }

    /// Copies the oldest message without taking it, if there is one.
    pub fn try_peek(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        self.check_buffer("peek", buffer.len())?;
        let seen = self.look(buffer, &self.patience, &Cell::new(None))?;
        self.or_still_there(seen)
    }

    /// Copies without taking; waits until the deadline.
    pub fn peek_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> {
        self.check_buffer("peek", buffer.len())?;
        let control = self.memory.control();
        let (patience, suspect, tries) = (Patience::from_now(), Cell::new(None), Cell::new(0u32));
        let seen = wait::until(
            &self.object.waiting(WaitMode::Receive, 0),
            &control.rx.0,
            &self.spin_rx,
            deadline,
            || suspect.get(),
            || {
                tries.set(tries.get().saturating_add(1));
                self.look(buffer, &patience, &suspect)
            },
        )?;
        if tries.get() > 1 {
            // The wake may have been meant for a receiver: the message is still there.
            control.rx.0.notify(1);
        }
        Ok(seen)
    }

    /// Claims room for a message of up to `size` bytes, to be written in place; waits for ever.
    ///
    /// Messages keep their order: until the loan ends, receivers wait at its place, and what others send
    /// meanwhile comes after it.
    #[inline]
    pub fn reserve(&self, size: usize) -> Result<Loan<'_>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Claims room if there is some.
    #[inline]
    pub fn try_reserve(&self, size: usize) -> Result<Option<Loan<'_>>> {
        self.check_size("reserve", size)?;
        Ok(self.try_room(self.object.me()?)?.map(|claim| self.loan(claim, size)))
    }

    /// Claims room; waits until the deadline.
    #[inline]
    pub fn reserve_until(&self, size: usize, deadline: Deadline) -> Result<Loan<'_>> {
        self.check_size("reserve", size)?;
        Ok(self.loan(self.room(deadline)?, size))
    }

    /// Makes a loan of plain data again. [`NotOwner`](ErrorKind::NotOwner) if this process does not hold that
    /// claim any more, or never did.
    pub fn resume(&self, raw: RawLoan) -> Result<Loan<'_>> {
        let claim = Claim { index: raw.index, word: raw.word };
        let ours = claim.is_writing_of(self.object.me()?) && self.memory.slots().stands(claim);
        if ours && raw.size as usize <= self.memory.message_size {
            return Ok(self.loan(claim, raw.size as usize));
        }
        Err(self.not_ours(claim))
    }

    /// The most messages it holds.
    pub fn capacity(&self) -> usize {
        self.memory.capacity as usize
    }

    /// The largest message in bytes.
    pub fn message_size(&self) -> usize {
        self.memory.message_size
    }

    /// Messages in it at this moment. Looks at each of them; 0 also if it holds garbage, which the next call
    /// that can fail reports.
    pub fn len(&self) -> usize {
        self.memory.slots().len().unwrap_or(0) as usize
    }

    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool {
        !self.memory.slots().has_message()
    }

    /// Claims of dead senders that were given back so far.
    pub fn voided(&self) -> u64 {
        // Relaxed: a number to be shown.
        self.memory.control().tally.0.voided.load(Relaxed)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// A place to write to, now or never.
    #[inline]
    fn try_room(&self, me: u32) -> Result<Option<Claim>> {
        match self.memory.slots().claim_send(me) {
            Ok(Attempt::Claimed(claim)) => Ok(Some(claim)),
            _ => self.no_room(me),
        }
    }

    #[cold]
    fn no_room(&self, me: u32) -> Result<Option<Claim>> {
        let found = self.claim(|slots| slots.claim_send(me), &self.patience, &Cell::new(None))?;
        self.or_still_there(found)
    }

    /// A message to read, now or never.
    #[inline]
    fn try_message(&self, me: u32) -> Result<Option<Claim>> {
        match self.memory.slots().claim_receive(me) {
            Ok(Attempt::Claimed(claim)) => Ok(Some(claim)),
            _ => self.no_message(me),
        }
    }

    #[cold]
    fn no_message(&self, me: u32) -> Result<Option<Claim>> {
        let found = self.claim(|slots| slots.claim_receive(me), &self.patience, &Cell::new(None))?;
        self.or_still_there(found)
    }

    /// A place to write to, in time.
    #[inline]
    fn room(&self, deadline: Deadline) -> Result<Claim> {
        let me = self.object.me()?;
        match self.memory.slots().claim_send(me) {
            Ok(Attempt::Claimed(claim)) => Ok(claim),
            _ => self.wait_for_room(me, deadline),
        }
    }

    #[cold]
    fn wait_for_room(&self, me: u32, deadline: Deadline) -> Result<Claim> {
        let control = self.memory.control();
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        let claim = wait::until(
            &self.object.waiting(WaitMode::Send, 0),
            &control.tx.0,
            &self.spin_tx,
            deadline,
            || suspect.get(),
            || self.claim(|slots| slots.claim_send(me), &patience, &suspect),
        )?;
        if self.memory.slots().has_room() {
            control.tx.0.notify(1); // its wake may have been spent while this place was barred
        }
        Ok(claim)
    }

    /// A message to read, in time.
    #[inline]
    fn message(&self, deadline: Deadline) -> Result<Claim> {
        let me = self.object.me()?;
        match self.memory.slots().claim_receive(me) {
            Ok(Attempt::Claimed(claim)) => Ok(claim),
            _ => self.wait_for_message(me, deadline),
        }
    }

    #[cold]
    fn wait_for_message(&self, me: u32, deadline: Deadline) -> Result<Claim> {
        let control = self.memory.control();
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        let claim = wait::until(
            &self.object.waiting(WaitMode::Receive, 0),
            &control.rx.0,
            &self.spin_rx,
            deadline,
            || suspect.get(),
            || self.claim(|slots| slots.claim_receive(me), &patience, &suspect),
        )?;
        if self.memory.slots().has_message() {
            control.rx.0.notify(1); // its wake may have been spent while this message was barred
        }
        Ok(claim)
    }

    /// One attempt to claim, and one more if a dead participant's claim was in the way.
    fn claim(
        &self,
        attempt: impl Fn(&Slots<'_, Memory>) -> Result<Attempt, Garbage>,
        patience: &Patience,
        suspect: &Cell<Option<u32>>,
    ) -> Result<Option<Claim>> {
        suspect.set(None);
        for _ in 0..2 {
            match attempt(&self.memory.slots()).map_err(|garbage| self.corrupt(garbage))? {
                Attempt::Claimed(claim) => return Ok(Some(claim)),
                Attempt::Nothing => return Ok(None),
                Attempt::Barred(claim) if self.clear(claim, patience, suspect) => {}
                Attempt::Barred(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Ends the claim that is in the way, if its owner is dead. True: look again.
    fn clear(&self, claim: Claim, patience: &Patience, suspect: &Cell<Option<u32>>) -> bool {
        suspect.set(Some(claim.owner()));
        if !patience.is_over() || !self.object.is_dead(claim.owner()) {
            return false;
        }
        // A sender's claim by itself, so that a stopped sweeper is in nobody's way; then all that the dead
        // left here, under the repair byte, unless somebody is at it.
        let slots = self.memory.slots();
        let voided = slots.void(claim);
        let repaired = self.object.repairing(claim.owner(), || slots.repair(claim.owner())).is_some();
        if repaired {
            self.memory.ring();
        }
        voided || repaired
    }

    /// Copies the oldest message, if there is one.
    fn look(&self, buffer: &mut [u8], patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<Received>> {
        suspect.set(None);
        let slots = self.memory.slots();
        // As often as there are places to be overtaken on: each failure is a message that somebody took.
        for _ in 0..2 * self.memory.capacity + 64 {
            let at = match slots.oldest().map_err(|garbage| self.corrupt(garbage))? {
                Oldest::Message { at, .. } => at,
                Oldest::Nothing => return Ok(None),
                Oldest::Barred(claim) if self.clear(claim, patience, suspect) => continue,
                Oldest::Barred(_) => return Ok(None),
            };
            let len = self.memory.len(at.index);
            let seen = len.map(|len| self.copy(at.index, len, buffer));
            if slots.is_whole(at) {
                return match seen {
                    Some(seen) => Ok(Some(seen)),
                    None => Err(self.bad_length(at)),
                };
            }
        }
        Ok(None)
    }

    /// Copies `len` bytes out of slot `index`; `len` is at most the message size, and so the buffer's.
    #[inline]
    fn copy(&self, index: u32, len: usize, buffer: &mut [u8]) -> Received {
        let (size, target) = match buffer.get_mut(..len) {
            Some(target) => (len, target),
            None => (buffer.len(), buffer), // not reached: `check_buffer`
        };
        // SAFETY: the payload of a slot has `message_size` bytes inside the object, and `target` is no longer:
        // `Memory::len` checked that. Peers may store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_out(self.memory.payload(index), target) };
        // Relaxed: as for the length.
        let deliveries = self.memory.head(index).deliveries.load(Relaxed);
        Received { size, redelivered: (deliveries & 0xFFFF) as u16 }
    }

    /// Copies the claimed message out and gives its place back.
    #[inline]
    fn take(&self, claim: Claim, buffer: &mut [u8]) -> Result<Received> {
        let received = self.memory.len(claim.index).map(|len| self.copy(claim.index, len, buffer));
        let ours = self.memory.slots().release(claim);
        match received {
            Some(received) if ours => Ok(received),
            Some(_) => Err(self.robbed(claim)),
            None => Err(self.bad_length(claim)),
        }
    }

    /// Copies `message`, which fits, into the claimed place and sends it.
    #[inline]
    fn fill(&self, claim: Claim, message: &[u8]) -> Result<()> {
        // SAFETY: the payload of a slot has `message_size` bytes inside the object, and `message` is no longer:
        // `check_size`. Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(self.memory.payload(claim.index), message) };
        if self.post(claim, message.len()) { Ok(()) } else { Err(self.robbed(claim)) }
    }

    /// Sends the `len` bytes that lie in the claimed place.
    #[inline]
    fn post(&self, claim: Claim, len: usize) -> bool {
        let head = self.memory.head(claim.index);
        // Relaxed: `publish` releases both (edge `message`).
        head.len.store(len as u32, Relaxed);
        head.deliveries.store(0, Relaxed);
        self.memory.slots().publish(claim)
    }

    #[inline]
    fn loan(&self, claim: Claim, size: usize) -> Loan<'_> {
        let raw = RawLoan { index: claim.index, size: size as u32, word: claim.word };
        Loan { mailbox: self, raw, fork: self.object.fork_number() }
    }

    /// `found`; where a `try_` form found nothing, an error if the mailbox was removed, so that polling ends.
    fn or_still_there<T>(&self, found: Option<T>) -> Result<Option<T>> {
        if found.is_none() {
            self.object.still_there()?;
        }
        Ok(found)
    }

    #[inline]
    fn check_size(&self, what: &str, size: usize) -> Result<()> {
        if size <= self.memory.message_size { Ok(()) } else { Err(self.too_large(what, size)) }
    }

    #[inline]
    fn check_buffer(&self, what: &str, size: usize) -> Result<()> {
        if size >= self.memory.message_size { Ok(()) } else { Err(self.too_small(what, size)) }
    }

    #[cold]
    fn too_large(&self, what: &str, size: usize) -> Error {
        let most = self.memory.message_size;
        let why = format!(
            "{what}: {size} bytes are too large for mailbox {:?}, whose messages have at most {most}; \
             send less at once, or create it with a larger message size",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn too_small(&self, what: &str, size: usize) -> Error {
        let most = self.memory.message_size;
        let why = format!(
            "{what}: a buffer of {size} bytes is too small for mailbox {:?}, whose messages have up to {most}; \
             pass one of {most} bytes",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn corrupt(&self, garbage: Garbage) -> Error {
        corrupt(&format!("mailbox {:?}", self.object.address()), garbage)
    }

    #[cold]
    fn bad_length(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: the message in slot {} says that it is longer than the {} bytes there are; it was dropped",
            self.object.address(),
            claim.index,
            self.memory.message_size
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    /// A live owner's claim was changed by somebody else, which no process of ours does.
    #[cold]
    fn robbed(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: somebody changed slot {} while this process held it",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    #[cold]
    fn not_ours(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: this process holds no such reservation of slot {}; it has ended, or belongs to another process",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::NotOwner, why)
    }
}

/// Claimed room in a mailbox. Dropping it cancels: receivers skip the place.
///
/// It belongs to the process that reserved it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct Loan<'a> {
    mailbox: &'a Mailbox,
    raw: RawLoan,
    /// The fork number at the claim.
    fork: u32,
}

impl Loan<'_> {
    /// First byte of the room. Valid until commit, cancel or drop; for [`size`](Loan::size) bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.mailbox.memory.payload(self.raw.index)
    }

    /// The size that was asked for.
    pub fn size(&self) -> usize {
        self.raw.size as usize
    }

    /// Copies `bytes` to `offset`; [`TooLarge`](ErrorKind::TooLarge) if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_fork()?;
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.size() => {
                // SAFETY: `end` is within the size that was asked for, which is at most `message_size`, the bytes
                // a payload has inside the object. Peers may read and store there meanwhile: it is a raw copy.
                unsafe { copy_in(self.as_mut_ptr().wrapping_add(offset), bytes) };
                Ok(())
            }
            _ => {
                let (len, size) = (bytes.len(), self.size());
                let why = format!("write: {len} bytes at {offset} are too large for a reservation of {size} bytes");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
        }
    }

    /// Sends the first `size` bytes. [`TooLarge`](ErrorKind::TooLarge) if fewer were asked for, and
    /// [`NotOwner`](ErrorKind::NotOwner) if the claim has ended already; then nothing is sent and the room is
    /// given back.
    pub fn commit(self, size: usize) -> Result<()> {
        self.check_fork()?;
        if size > self.size() {
            let why = format!("commit: {size} bytes are too large for a reservation of {} bytes", self.size());
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        let loan = ManuallyDrop::new(self);
        // The length is stored only while the claim stands: after a stale loan it is another's.
        if loan.mailbox.memory.slots().stands(loan.claim()) && loan.mailbox.post(loan.claim(), size) {
            Ok(())
        } else {
            Err(loan.mailbox.not_ours(loan.claim()))
        }
    }

    /// Gives the room back.
    pub fn cancel(self) {}

    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawLoan {
        ManuallyDrop::new(self).raw
    }

    fn claim(&self) -> Claim {
        Claim { index: self.raw.index, word: self.raw.word }
    }

    fn is_forked(&self) -> bool {
        self.fork != self.mailbox.object.fork_number()
    }

    fn check_fork(&self) -> Result<()> {
        if self.is_forked() { Err(ErrorKind::Forked.into()) } else { Ok(()) }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if !self.is_forked() {
            // False: it had ended already, by a copy of the same plain data.
            let _ = self.mailbox.memory.slots().cancel(self.claim());
        }
    }
}
