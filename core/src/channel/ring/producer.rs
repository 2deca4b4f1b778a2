//! The writing end of a ring.

use super::cells::{Fault, Room};
use super::grant::WriteGrant;
use super::side::Writing;
use super::{Door, Doubt, Memory, Ring, suspect};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::WaitMode;
use crate::sys::memory::copy_in;
use crate::wait::{self, Spin, World};
use std::cell::Cell;
use std::fmt;

/// The writing end. Dropping it gives the role back. `Forked` after a fork.
///
/// Many records with one store: [`Producer::write_many`] copies them, [`WriteGrant::stage`] does it in place, and in a
/// ring of packed records there are [`Producer::write_packed`] and [`Producer::reserve_packed`]. A batch is seen as a
/// whole or, if its producer dies first, not at all.
pub struct Producer {
    pub(super) ring: Ring,
    writer: Writing,
    /// The room of the grant that is out, or was forgotten.
    pending: Option<Room>,
    /// The role word that says we have it.
    pub(super) mine: u32,
    /// The fork number under which we took it.
    fork: u32,
    spin: Spin,
    doubt: Doubt,
}

impl Producer {
    pub(super) fn take(ring: &Ring) -> Result<Producer> {
        if ring.is_shut_down() {
            return Err(ring.closed());
        }
        let (mine, writer) = ring.take("producer", ring.place.producer(), Writing::take)?;
        Ok(Producer {
            fork: ring.object.fork_number(),
            ring: ring.clone(),
            writer,
            pending: None,
            mine,
            spin: Spin::default(),
            doubt: Doubt::default(),
        })
    }

    /// Writes a copy of `record`; waits for room for ever. `PeerDead` if it is full and the consumer is dead, `Closed`
    /// after a shutdown. In a packed ring a record has the record size, else `Invalid` or `TooLarge`.
    #[inline]
    pub fn write(&mut self, record: &[u8]) -> Result<()> {
        self.write_until(record, Deadline::never())
    }

    /// Writes if there is room; `false` if not.
    #[inline]
    pub fn try_write(&mut self, record: &[u8]) -> Result<bool> {
        match self.try_room(One(record.len()))? {
            Some(room) => self.put(room, record).map(|()| true),
            None => Ok(false),
        }
    }

    /// Writes; waits for room until the deadline.
    #[inline]
    pub fn write_until(&mut self, record: &[u8], deadline: Deadline) -> Result<()> {
        let room = self.room_until(One(record.len()), deadline)?;
        self.put(room, record)
    }

    /// Writes copies of all `records` and shows them with one store; waits for ever until there is room for them all.
    /// `TooLarge` if they do not fit into the ring together, otherwise as [`Producer::write`]. After an error none of
    /// them is written.
    pub fn write_many(&mut self, records: &[impl AsRef<[u8]>]) -> Result<()> {
        self.write_many_until(records, Deadline::never())
    }

    /// Writes them all if there is room; none of them and `false` if not.
    pub fn try_write_many(&mut self, records: &[impl AsRef<[u8]>]) -> Result<bool> {
        self.all_or_none(|producer| {
            for record in records {
                let record = record.as_ref();
                let Some(room) = producer.try_room(One(record.len()))? else { return Ok(false) };
                producer.copy(room, record)?;
            }
            Ok(true)
        })
    }

    /// Writes them all; waits for room until the deadline.
    pub fn write_many_until(&mut self, records: &[impl AsRef<[u8]>], deadline: Deadline) -> Result<()> {
        let all = self.all_or_none(|producer| {
            for record in records {
                let record = record.as_ref();
                let room = producer.room_until(One(record.len()), deadline)?;
                producer.copy(room, record)?;
            }
            Ok(true)
        });
        all.map(|_| ())
    }

    /// Writes copies of packed `records` that lie back to back, as [`Producer::write_many`] does. `Invalid` if they are
    /// no multiple of the record size, or the ring's records have any size.
    #[inline]
    pub fn write_packed(&mut self, records: &[u8]) -> Result<()> {
        self.write_packed_until(records, Deadline::never())
    }

    /// Writes them all if there is room; none of them and `false` if not.
    #[inline]
    pub fn try_write_packed(&mut self, records: &[u8]) -> Result<bool> {
        let n = self.ring.packed_count(records.len())?;
        match self.try_room(All(n))? {
            Some(room) => self.put_packed(room, records).map(|()| true),
            None => Ok(false),
        }
    }

    /// Writes them all; waits for room until the deadline.
    #[inline]
    pub fn write_packed_until(&mut self, records: &[u8], deadline: Deadline) -> Result<()> {
        let n = self.ring.packed_count(records.len())?;
        let room = self.room_until(All(n), deadline)?;
        self.put_packed(room, records)
    }

    /// Borrows room for a record of up to `size` bytes; waits for ever.
    pub fn reserve(&mut self, size: usize) -> Result<WriteGrant<'_>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Borrows room if there is some.
    #[inline]
    pub fn try_reserve(&mut self, size: usize) -> Result<Option<WriteGrant<'_>>> {
        let room = self.try_room(One(size))?;
        self.pending = room;
        Ok(room.map(|room| WriteGrant::new(self, room)))
    }

    /// Borrows room; waits until the deadline.
    #[inline]
    pub fn reserve_until(&mut self, size: usize, deadline: Deadline) -> Result<WriteGrant<'_>> {
        let room = self.room_until(One(size), deadline)?;
        self.pending = Some(room);
        Ok(WriteGrant::new(self, room))
    }

    /// Borrows room for packed records in one piece: for one at least, for as many up to `n` as there is room for before
    /// the ring's end. [`WriteGrant::size`] says how many bytes. Waits for ever. Commit a multiple of the record size.
    pub fn reserve_packed(&mut self, n: usize) -> Result<WriteGrant<'_>> {
        self.reserve_packed_until(n, Deadline::never())
    }

    /// Borrows room if there is some.
    #[inline]
    pub fn try_reserve_packed(&mut self, n: usize) -> Result<Option<WriteGrant<'_>>> {
        self.ring.packed_count(0)?;
        let room = self.try_room(UpTo(n.max(1) as u64))?;
        self.pending = room;
        Ok(room.map(|room| WriteGrant::new(self, room)))
    }

    /// Borrows room; waits until the deadline.
    #[inline]
    pub fn reserve_packed_until(&mut self, n: usize, deadline: Deadline) -> Result<WriteGrant<'_>> {
        self.ring.packed_count(0)?;
        let room = self.room_until(UpTo(n.max(1) as u64), deadline)?;
        self.pending = Some(room);
        Ok(WriteGrant::new(self, room))
    }

    /// Publishes the first `size` bytes of the pending reservation (of a grant that was forgotten with
    /// `std::mem::forget`), and all that was staged before. `Invalid` if there is none, `TooLarge` if it is smaller.
    /// Until it is committed or cancelled, every other write is `Busy`.
    #[inline]
    pub fn commit(&mut self, size: usize) -> Result<()> {
        self.stage(size)?;
        self.writer.publish(&self.ring.place);
        Ok(())
    }

    /// Completes the pending reservation as [`Producer::commit`] does, but shows it only together with what comes next:
    /// at the next commit, write or [`Producer::publish`]. Until then it is as if it were not there.
    #[inline]
    pub fn stage(&mut self, size: usize) -> Result<()> {
        self.open()?;
        let Some(room) = self.pending else {
            return Err(self.no_reservation());
        };
        self.writer.stage(&self.ring.place, room, size as u64).map_err(|fault| self.ring.fault(fault))?;
        self.pending = None;
        Ok(())
    }

    /// Shows all that is staged, with one store. `Closed` after a shutdown.
    pub fn publish(&mut self) -> Result<()> {
        self.check()?;
        self.writer.publish(&self.ring.place);
        Ok(())
    }

    /// Drops the pending reservation, if there is one. What is staged stays so.
    #[inline]
    pub fn cancel(&mut self) {
        // Nothing shared says that the room was reserved.
        self.pending = None;
    }

    /// Drops all that is staged, and the pending reservation.
    pub fn discard(&mut self) {
        self.cancel();
        self.writer.discard(&self.ring.place);
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    #[inline(always)]
    fn is_ours(&self) -> bool {
        self.fork == self.ring.object.fork_number()
    }

    #[inline(always)]
    pub(super) fn ours(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(self.ring.forked("producer")) }
    }

    /// Is it ours, and may it write?
    #[inline(always)]
    fn open(&self) -> Result<()> {
        self.ours()?;
        if self.ring.object.is_shut_down() { Err(self.ring.closed()) } else { Ok(()) }
    }

    #[inline(always)]
    fn check(&self) -> Result<()> {
        self.open()?;
        if self.pending.is_none() { Ok(()) } else { Err(self.reserved()) }
    }

    #[inline(always)]
    fn try_room(&mut self, wish: impl Wish) -> Result<Option<Room>> {
        self.check()?;
        match wish.reserve(&mut self.writer, &self.ring) {
            Ok(Some(room)) => Ok(Some(room)),
            Ok(None) => {
                self.ring.object.still_there()?;
                if self.doubt.is_due() { look_for_room(&self.ring, &mut self.writer, wish, true) } else { Ok(None) }
            }
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[inline(always)]
    fn room_until(&mut self, wish: impl Wish, deadline: Deadline) -> Result<Room> {
        self.check()?;
        match wish.reserve(&mut self.writer, &self.ring) {
            Ok(Some(room)) => Ok(room),
            Ok(None) => self.wait_for_room(wish, deadline),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[cold]
    fn wait_for_room(&mut self, wish: impl Wish, deadline: Deadline) -> Result<Room> {
        let Producer { ring, writer, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            suspect(ring.place.consumer())
        };
        let attempt = || look_for_room(ring, writer, wish, ask.take());
        let door = Door { park: ring.place.freed(), exact: ring.place.is_exact() };
        wait::until(&ring.object.waiting(WaitMode::Send, 0), &door, spin, deadline, sleeping, attempt)
    }

    /// Copies `record` to `room`, which was reserved for it, and stages it.
    #[inline(always)]
    fn copy(&mut self, room: Room, record: &[u8]) -> Result<()> {
        let to = self.ring.place.payload(room.start).as_ptr();
        // SAFETY: `room` was reserved for `record.len()` bytes, all of them within the ring's cells; `record` is
        // the caller's own memory. A misbehaving peer may access the cells too: `copy_in` bears that.
        unsafe { copy_in(to, record) };
        self.writer.stage(&self.ring.place, room, record.len() as u64).map_err(|fault| self.ring.fault(fault))
    }

    #[inline(always)]
    fn put(&mut self, room: Room, record: &[u8]) -> Result<()> {
        self.copy(room, record)?;
        self.writer.publish(&self.ring.place);
        Ok(())
    }

    /// Copies `records`, for all of which there is room, beginning at `room`; perhaps around the ring's end.
    #[inline(always)]
    fn put_packed(&mut self, room: Room, records: &[u8]) -> Result<()> {
        let (first, rest) = records.split_at(records.len().min(room.size as usize));
        self.copy(Room { start: room.start, size: first.len() as u64 }, first)?;
        if !rest.is_empty() {
            self.copy(Room { start: self.writer.mark(), size: rest.len() as u64 }, rest)?;
        }
        self.writer.publish(&self.ring.place);
        Ok(())
    }

    /// Runs `write`, which stages records, and shows them; unless it says that there was no room, or fails.
    fn all_or_none(&mut self, write: impl FnOnce(&mut Producer) -> Result<bool>) -> Result<bool> {
        self.check()?;
        let mut batch = Batch { mark: self.writer.mark(), producer: self, done: false };
        batch.done = write(batch.producer)?;
        if batch.done {
            batch.producer.writer.publish(&batch.producer.ring.place);
        }
        Ok(batch.done)
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

/// Records that are staged together; given up unless all of them are, also when a caller's code panics.
struct Batch<'a> {
    mark: u64,
    producer: &'a mut Producer,
    done: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.producer.writer.back(&self.producer.ring.place, self.mark);
        }
    }
}

/// What room is wished for.
trait Wish: Copy {
    fn reserve(self, writer: &mut Writing, ring: &Ring) -> std::result::Result<Option<Room>, Fault>;
}

/// One record of so many bytes.
#[derive(Clone, Copy)]
struct One(usize);

impl Wish for One {
    #[inline(always)]
    fn reserve(self, writer: &mut Writing, ring: &Ring) -> std::result::Result<Option<Room>, Fault> {
        writer.reserve(&ring.place, self.0 as u64)
    }
}

/// So many packed records, in two pieces if need be.
#[derive(Clone, Copy)]
struct All(u64);

impl Wish for All {
    #[inline(always)]
    fn reserve(self, writer: &mut Writing, ring: &Ring) -> std::result::Result<Option<Room>, Fault> {
        writer.reserve_packed(&ring.place, self.0, true)
    }
}

/// At least one packed record and at most so many, in one piece.
#[derive(Clone, Copy)]
struct UpTo(u64);

impl Wish for UpTo {
    #[inline(always)]
    fn reserve(self, writer: &mut Writing, ring: &Ring) -> std::result::Result<Option<Room>, Fault> {
        writer.reserve_packed(&ring.place, self.0, false)
    }
}

/// Tries once to reserve. If there is no room, fails after a shutdown and, if `ask` is set, if the consumer is dead.
#[inline]
fn look_for_room(ring: &Ring, writer: &mut Writing, wish: impl Wish, ask: bool) -> Result<Option<Room>> {
    let mut look = || wish.reserve(writer, ring).map_err(|fault| ring.fault(fault));
    let found = look()?;
    if found.is_some() {
        return Ok(found);
    }
    if ring.object.is_shut_down() {
        return Err(ring.closed());
    }
    if !ask {
        return Ok(None);
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
