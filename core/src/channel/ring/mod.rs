//! A ring: records of any size from one producer to one consumer, without a copy if wished.
//!
//! # State
//!
//! Cells of 64 bytes, in `cells.rs`: where a record lies, when it is there, and why nothing else can look like
//! one. Two ends, in `role.rs`: each belongs to one process at a time. Two park words: the consumer sleeps on
//! one until there is a record, the producer on the other until there is room.
//!
//! # Orderings
//!
//! Edges `record`, `room` and `role`, argued in `cells.rs` and `role.rs`. Neither end fences after it has
//! published; what that means for who is about to sleep stands in `wait/park.rs`.
//!
//! # When a peer dies
//!
//! | killed                                | what the other end sees                                              |
//! |---------------------------------------|----------------------------------------------------------------------|
//! | producer before it has committed      | nothing of the record; when the ring is empty, `PeerDead`            |
//! | producer after that, before its wake  | the record, at the end of a slice at the latest                      |
//! | consumer before it has released       | nothing; its successor reads that record again                       |
//! | consumer after that                   | room                                                                 |
//! | consumer, and the ring is full        | `PeerDead`                                                           |
//! | either, and a successor has come      | nothing: it goes on where the dead one stopped                       |
//!
//! An end that was given back, or that nobody has taken yet, is no death: who waits for it goes on waiting.
//!
//! # Cost
//!
//! A record of up to 56 bytes moves one cache line. No locked instruction, no system call unless the other end
//! sleeps. An end asks whether the other one is alive only after it has slept, or, if it only tries, once a
//! millisecond.

mod cells;
mod grant;
#[cfg(any(test, loom))]
mod heap;
mod place;
mod ready;
mod role;
#[cfg(all(test, not(loom)))]
mod simulation;
#[cfg(all(test, not(loom)))]
mod tests;

pub use grant::{ReadGrant, WriteGrant};
pub(crate) use place::geometry;

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Spin, World};
use cells::{CELL, End, Fault, Memory, Reader, Record, Room, Writer, max_record};
use place::Place;
use role::Holder;
use std::cell::Cell;
use std::fmt;

/// The algorithm without a segment around it, for the models in `tests/loom_ring.rs`.
#[cfg(loom)]
pub mod model {
    pub use super::cells::{End, Fault, Memory, Reader, Record, Room, Writer};
    pub use super::heap::{Heap, Mortal};
    pub use super::role::{Holder, Role};
}

/// What the sweep and the observers need to know.
pub static KIND: Kind =
    Kind { kind: ObjectKind::Ring, repair, ring: wake_all, leave: |_, _, _| {}, holds: |_| Holds::Nobody, state };

/// Leaves neither role to `slot`, whose process is dead.
fn repair(view: View<'_>, slot: u32) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        place.producer().role.bury(slot);
        place.consumer().role.bury(slot);
    }
}

fn wake_all(view: View<'_>) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        place.filled().ring();
        place.freed().ring();
    }
}

fn state(view: View<'_>) -> Result<ObjectState> {
    // SAFETY: `place` ends with this function, before `view` does.
    let place = unsafe { Place::new(view) }?;
    let owner = |end: &End| match end.role.holder() {
        Holder::Slot(slot) => Some(slot),
        Holder::Nobody | Holder::Died => None,
    };
    match cells::used(&place) {
        Some(used) => Ok(ObjectState::Ring {
            size: (place.cells() * CELL) as usize,
            used: used as usize,
            producer: owner(place.producer()),
            consumer: owner(place.consumer()),
        }),
        None => Err(Error::new(ErrorKind::Corrupt, "a position that cannot be; remove the ring and create it anew")),
    }
}

/// A ring. Reading and writing goes through its two roles.
#[derive(Clone)]
pub struct Ring {
    object: Object,
    /// Checked at attach. Valid as long as `object` lives.
    place: Place,
}

impl Ring {
    /// Checks what lies there.
    pub(crate) fn attach(object: Object) -> Result<Ring> {
        // SAFETY: `object` keeps its memory mapped at this address as long as it lives, and stays beside `place`.
        match unsafe { Place::new(object.view()) } {
            Ok(place) => Ok(Ring { object, place }),
            Err(e) => Err(Error::new(e.kind(), format!("open ring \"{}\": it has {e}", object.address()))),
        }
    }

    /// Becomes its producer. `Busy` if a live process is; takes over from a dead one.
    pub fn producer(&self) -> Result<Producer> {
        let (mine, writer) = self.take("producer", self.place.producer(), Writer::take)?;
        Ok(Producer {
            fork: self.object.fork_number(),
            ring: self.clone(),
            writer,
            pending: None,
            mine,
            spin: Spin::default(),
            doubt: Doubt::default(),
        })
    }

    /// Becomes its consumer. `Busy` if a live process is; takes over from a dead one.
    pub fn consumer(&self) -> Result<Consumer> {
        let (mine, reader) = self.take("consumer", self.place.consumer(), Reader::take)?;
        Ok(Consumer {
            fork: self.object.fork_number(),
            ring: self.clone(),
            reader,
            lent: None,
            mine,
            spin: Spin::default(),
            doubt: Doubt::default(),
        })
    }

    /// Bytes of its cells.
    pub fn size(&self) -> usize {
        (self.place.cells() * CELL) as usize
    }

    /// The largest record in bytes: half the ring less eight, and 2^28 - 1 at most.
    pub fn max_record(&self) -> usize {
        max_record(self.place.cells()) as usize
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// Takes an end and finds out where its last owner stopped. Gives it back if that cannot be.
    fn take<T>(
        &self,
        what: &str,
        end: &End,
        start: impl FnOnce(&Place) -> std::result::Result<T, Fault>,
    ) -> Result<(u32, T)> {
        self.object.still_there()?;
        let me = self.object.me()?;
        let mine = end.role.take(me, |slot| self.object.is_dead(slot)).map_err(|slot| self.busy(what, slot, me))?;
        match start(&self.place) {
            Ok(side) => Ok((mine, side)),
            Err(fault) => {
                end.role.release(mine);
                Err(self.fault(fault))
            }
        }
    }

    #[cold]
    fn busy(&self, what: &str, slot: u32, me: u32) -> Error {
        let who = if slot == me { "this process".to_string() } else { self.process(slot) };
        let name = self.object.address();
        Error::new(
            ErrorKind::Busy,
            format!(
                "become {what} of ring \"{name}\": {who} is; there is one at a time, so wait until it lets go or ends"
            ),
        )
    }

    fn process(&self, slot: u32) -> String {
        self.object.pid_of(slot).map_or_else(|| format!("the process in slot {slot}"), |pid| format!("process {pid}"))
    }

    #[cold]
    fn fault(&self, fault: Fault) -> Error {
        let name = self.object.address();
        match fault {
            Fault::TooLarge { asked, most } => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "write {asked} bytes to ring \"{name}\": there is room for {most}; ask for less, or make the ring larger"
                ),
            ),
            Fault::Garbage(what, found) => Error::new(
                ErrorKind::Corrupt,
                format!(
                    "ring \"{name}\": {what} is {found:#x}, which cannot be; some process wrote there. Remove the ring and create it anew"
                ),
            ),
        }
    }

    /// Says what is wrong if whoever has `end` is dead: then only a successor can end the wait.
    #[cold]
    fn check_peer(&self, what: &str, end: &End, because: &str) -> Result<()> {
        let who = match end.role.holder() {
            Holder::Nobody => return Ok(()),
            Holder::Slot(slot) if !self.object.is_dead(slot) => return Ok(()),
            Holder::Slot(slot) => format!("{what}, {},", self.process(slot)),
            Holder::Died => what.to_string(),
        };
        let name = self.object.address();
        Err(Error::new(
            ErrorKind::PeerDead,
            format!("ring \"{name}\" is {because} and its {who} is dead; start a new {what}"),
        ))
    }

    #[cold]
    fn forked(&self, what: &str) -> Error {
        let name = self.object.address();
        Error::new(
            ErrorKind::Forked,
            format!("this {what} of ring \"{name}\" belongs to the parent process; it stays so while that one has it"),
        )
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("address", &self.object.address()).field("size", &self.size()).finish()
    }
}

/// The slot that `end` belongs to: whom its peer waits for.
fn suspect(end: &End) -> Option<u32> {
    match end.role.holder() {
        Holder::Slot(slot) => Some(slot),
        Holder::Nobody | Holder::Died => None,
    }
}

/// When an end last asked whether the other one is alive.
#[derive(Default)]
struct Doubt {
    asked_ns: u64,
}

impl Doubt {
    const EVERY_NS: u64 = 1_000_000;

    /// Is it time to ask again? Says yes once per period.
    fn is_due(&mut self) -> bool {
        let now = now_ns();
        let due = now.saturating_sub(self.asked_ns) >= Self::EVERY_NS;
        if due {
            self.asked_ns = now;
        }
        due
    }
}

/// The writing end. Dropping it gives the role back. `Forked` after a fork.
pub struct Producer {
    ring: Ring,
    writer: Writer,
    /// The room of the grant that is out, or was forgotten.
    pending: Option<Room>,
    /// The role word that says we have it.
    mine: u32,
    /// The fork number under which we took it.
    fork: u32,
    spin: Spin,
    doubt: Doubt,
}

impl Producer {
    /// Writes a copy of `record`; waits for room for ever. `PeerDead` if it is full and the consumer is dead.
    #[inline]
    pub fn write(&mut self, record: &[u8]) -> Result<()> {
        self.write_until(record, Deadline::never())
    }

    /// Writes if there is room; `false` if not.
    #[inline]
    pub fn try_write(&mut self, record: &[u8]) -> Result<bool> {
        match self.try_room(record.len())? {
            Some(room) => self.publish(room, record).map(|()| true),
            None => Ok(false),
        }
    }

    /// Writes; waits for room until the deadline.
    #[inline]
    pub fn write_until(&mut self, record: &[u8], deadline: Deadline) -> Result<()> {
        let room = self.room_until(record.len(), deadline)?;
        self.publish(room, record)
    }

    /// Borrows room for a record of up to `size` bytes; waits for ever.
    pub fn reserve(&mut self, size: usize) -> Result<WriteGrant<'_>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Borrows room if there is some.
    pub fn try_reserve(&mut self, size: usize) -> Result<Option<WriteGrant<'_>>> {
        let room = self.try_room(size)?;
        self.pending = room;
        Ok(room.map(|room| WriteGrant::new(self, room)))
    }

    /// Borrows room; waits until the deadline.
    pub fn reserve_until(&mut self, size: usize, deadline: Deadline) -> Result<WriteGrant<'_>> {
        let room = self.room_until(size, deadline)?;
        self.pending = Some(room);
        Ok(WriteGrant::new(self, room))
    }

    /// Publishes the first `size` bytes of the pending reservation (of a grant that was forgotten with
    /// `std::mem::forget`). `Invalid` if there is none, `TooLarge` if it is smaller. Until it is committed or
    /// cancelled, every other write is `Busy`.
    pub fn commit(&mut self, size: usize) -> Result<()> {
        self.ours()?;
        let Some(room) = self.pending else {
            return Err(self.no_reservation());
        };
        match self.writer.commit(&self.ring.place, room, size as u64) {
            Ok(()) => {
                self.pending = None;
                Ok(())
            }
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    /// Drops the pending reservation, if there is one.
    pub fn cancel(&mut self) {
        // Nothing shared says that the room was reserved.
        self.pending = None;
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    #[inline]
    fn is_ours(&self) -> bool {
        self.fork == self.ring.object.fork_number()
    }

    #[inline]
    fn ours(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(self.ring.forked("producer")) }
    }

    #[inline]
    fn check(&self) -> Result<()> {
        self.ours()?;
        if self.pending.is_none() { Ok(()) } else { Err(self.reserved()) }
    }

    #[inline]
    fn try_room(&mut self, size: usize) -> Result<Option<Room>> {
        self.check()?;
        match self.writer.reserve(&self.ring.place, size as u64) {
            Ok(Some(room)) => Ok(Some(room)),
            Ok(None) if self.doubt.is_due() => {
                self.ring.object.still_there()?;
                look_for_room(&self.ring, &mut self.writer, size, true)
            }
            Ok(None) => Ok(None),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[inline]
    fn room_until(&mut self, size: usize, deadline: Deadline) -> Result<Room> {
        self.check()?;
        match self.writer.reserve(&self.ring.place, size as u64) {
            Ok(Some(room)) => Ok(room),
            Ok(None) => self.wait_for_room(size, deadline),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[cold]
    fn wait_for_room(&mut self, size: usize, deadline: Deadline) -> Result<Room> {
        let Producer { ring, writer, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            suspect(ring.place.consumer())
        };
        let attempt = || look_for_room(ring, writer, size, ask.take());
        wait::until(&ring.object.waiting(WaitMode::Send, 0), ring.place.freed(), spin, deadline, sleeping, attempt)
    }

    #[inline]
    fn publish(&mut self, room: Room, record: &[u8]) -> Result<()> {
        // SAFETY: `room` was reserved for `record.len()` bytes, all of them within the ring's cells; `record` is
        // the caller's own memory. A misbehaving peer may access the cells too: `copy_in` bears that.
        unsafe { copy_in(self.ring.place.payload(room.start).as_ptr(), record) };
        self.writer.commit(&self.ring.place, room, record.len() as u64).map_err(|fault| self.ring.fault(fault))
    }

    #[cold]
    fn reserved(&self) -> Error {
        let name = self.ring.object.address();
        Error::new(
            ErrorKind::Busy,
            format!("write to ring \"{name}\": a reservation is pending; commit or cancel it first"),
        )
    }

    #[cold]
    fn no_reservation(&self) -> Error {
        let name = self.ring.object.address();
        Error::new(ErrorKind::Invalid, format!("commit to ring \"{name}\": nothing is reserved; reserve first"))
    }
}

/// Tries once to reserve. If there is no room and `ask` is set, fails if the consumer is dead.
#[inline]
fn look_for_room(ring: &Ring, writer: &mut Writer, size: usize, ask: bool) -> Result<Option<Room>> {
    let mut look = || writer.reserve(&ring.place, size as u64).map_err(|fault| ring.fault(fault));
    let found = look()?;
    if found.is_some() || !ask {
        return Ok(found);
    }
    match ring.check_peer("consumer", ring.place.consumer(), "full") {
        Ok(()) => Ok(None),
        // It may have made room before it died.
        Err(dead) => look()?.map_or(Err(dead), |room| Ok(Some(room))),
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("ring", &self.ring).finish_non_exhaustive()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // After a fork it is the parent's.
        if self.is_ours() {
            self.ring.place.producer().role.release(self.mine);
        }
    }
}

/// The reading end. Dropping it gives the role back. `Forked` after a fork.
pub struct Consumer {
    ring: Ring,
    reader: Reader,
    /// The record of the grant that is out, or was forgotten.
    lent: Option<Record>,
    /// The role word that says we have it.
    mine: u32,
    /// The fork number under which we took it.
    fork: u32,
    spin: Spin,
    doubt: Doubt,
}

impl Consumer {
    /// Copies the oldest record into `buffer` and releases it; returns its size. `TooLarge` if the buffer is too
    /// small: the record stays. `PeerDead` if the ring is empty and the producer is dead.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_until(buffer, Deadline::never())
    }

    /// Reads if there is a record.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.try_record()? {
            Some(record) => self.consume(record, buffer).map(Some),
            None => Ok(None),
        }
    }

    /// Reads; waits until the deadline.
    #[inline]
    pub fn read_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let record = self.record_until(deadline)?;
        self.consume(record, buffer)
    }

    /// Borrows the oldest record; waits for ever.
    pub fn peek(&mut self) -> Result<ReadGrant<'_>> {
        self.peek_until(Deadline::never())
    }

    /// Borrows the oldest record if there is one.
    pub fn try_peek(&mut self) -> Result<Option<ReadGrant<'_>>> {
        let record = self.try_record()?;
        self.lent = record;
        Ok(record.map(|record| ReadGrant::new(self, record)))
    }

    /// Borrows; waits until the deadline.
    pub fn peek_until(&mut self, deadline: Deadline) -> Result<ReadGrant<'_>> {
        let record = self.record_until(deadline)?;
        self.lent = Some(record);
        Ok(ReadGrant::new(self, record))
    }

    /// Releases the record last peeked at. `Invalid` if there is none.
    pub fn release(&mut self) -> Result<()> {
        self.ours()?;
        match self.lent.take() {
            Some(record) => {
                self.reader.release(&self.ring.place, record);
                Ok(())
            }
            None => Err(self.nothing_lent()),
        }
    }

    /// Keeps the record last peeked at in the ring, as dropping its grant does.
    pub fn keep(&mut self) {
        // Nothing shared says that it was lent.
        self.lent = None;
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    #[inline]
    fn is_ours(&self) -> bool {
        self.fork == self.ring.object.fork_number()
    }

    #[inline]
    fn ours(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(self.ring.forked("consumer")) }
    }

    #[inline]
    fn try_record(&mut self) -> Result<Option<Record>> {
        self.ours()?;
        match self.reader.peek(&self.ring.place) {
            Ok(Some(record)) => Ok(Some(record)),
            Ok(None) if self.doubt.is_due() => {
                self.ring.object.still_there()?;
                look_for_record(&self.ring, &self.reader, true)
            }
            Ok(None) => Ok(None),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[inline]
    fn record_until(&mut self, deadline: Deadline) -> Result<Record> {
        self.ours()?;
        match self.reader.peek(&self.ring.place) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => self.wait_for_record(deadline),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[cold]
    fn wait_for_record(&mut self, deadline: Deadline) -> Result<Record> {
        let Consumer { ring, reader, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            suspect(ring.place.producer())
        };
        let attempt = || look_for_record(ring, reader, ask.take());
        wait::until(&ring.object.waiting(WaitMode::Receive, 0), ring.place.filled(), spin, deadline, sleeping, attempt)
    }

    #[inline]
    fn consume(&mut self, record: Record, buffer: &mut [u8]) -> Result<usize> {
        let size = record.len as usize;
        let room = buffer.len();
        let Some(target) = buffer.get_mut(..size) else {
            return Err(self.too_small(size, room));
        };
        // SAFETY: the record's length is our own checked copy, so its bytes lie within the ring's cells;
        // `target` is the caller's own memory. A misbehaving peer may write there: `copy_out` bears that.
        unsafe { copy_out(self.ring.place.payload(record.start).as_ptr(), target) };
        self.reader.release(&self.ring.place, record);
        self.lent = None;
        Ok(size)
    }

    #[cold]
    fn too_small(&self, size: usize, room: usize) -> Error {
        let name = self.ring.object.address();
        Error::new(
            ErrorKind::TooLarge,
            format!(
                "read from ring \"{name}\": the record has {size} bytes, the buffer {room}; it stays, read it with a larger one"
            ),
        )
    }

    #[cold]
    fn nothing_lent(&self) -> Error {
        let name = self.ring.object.address();
        Error::new(ErrorKind::Invalid, format!("release a record of ring \"{name}\": none is borrowed; peek first"))
    }
}

/// Tries once to find a record. If there is none and `ask` is set, fails if the producer is dead.
#[inline]
fn look_for_record(ring: &Ring, reader: &Reader, ask: bool) -> Result<Option<Record>> {
    let look = || reader.peek(&ring.place).map_err(|fault| ring.fault(fault));
    let found = look()?;
    if found.is_some() || !ask {
        return Ok(found);
    }
    match ring.check_peer("producer", ring.place.producer(), "empty") {
        Ok(()) => Ok(None),
        // It may have committed before it died.
        Err(dead) => look()?.map_or(Err(dead), |record| Ok(Some(record))),
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("ring", &self.ring).finish_non_exhaustive()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // After a fork it is the parent's.
        if self.is_ours() {
            self.ring.place.consumer().role.release(self.mine);
        }
    }
}
