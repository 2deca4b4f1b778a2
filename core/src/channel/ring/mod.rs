//! A ring: records of any size from one producer to one consumer, without a copy if wished.

use crate::{Deadline, Result, segment::object::Object};

/// A ring. Reading and writing goes through its two roles.
#[derive(Clone)]
pub struct Ring { object: Object }

impl Ring {
    /// Becomes its producer. `Busy` if a live process is; takes over from a dead one.
    pub fn producer(&self) -> Result<Producer> { todo!() }
    /// Becomes its consumer. `Busy` if a live process is; takes over from a dead one.
    pub fn consumer(&self) -> Result<Consumer> { todo!() }
    /// Bytes of its cells.
    pub fn size(&self) -> usize { todo!() }
    /// The largest record in bytes: half the ring, less eight.
    pub fn max_record(&self) -> usize { todo!() }
    /// Its name.
    pub fn name(&self) -> &str { self.object.name() }
}

/// The writing end. Dropping it gives the role back. `Forked` after a fork.
pub struct Producer { #[allow(dead_code)] ring: Ring }

impl Producer {
    /// Writes a copy of `record`; waits for room for ever. `PeerDead` if it is full and the consumer is dead.
    pub fn write(&mut self, record: &[u8]) -> Result<()> { self.write_until(record, Deadline::never()) }
    /// Writes if there is room; `false` if not.
    pub fn try_write(&mut self, record: &[u8]) -> Result<bool> { let _ = record; todo!() }
    /// Writes; waits for room until the deadline.
    pub fn write_until(&mut self, record: &[u8], deadline: Deadline) -> Result<()> { let _ = (record, deadline); todo!() }
    /// Borrows room for a record of up to `size` bytes; waits for ever.
    pub fn reserve(&mut self, size: usize) -> Result<WriteGrant<'_>> { self.reserve_until(size, Deadline::never()) }
    /// Borrows room if there is some.
    pub fn try_reserve(&mut self, size: usize) -> Result<Option<WriteGrant<'_>>> { let _ = size; todo!() }
    /// Borrows room; waits until the deadline.
    pub fn reserve_until(&mut self, size: usize, deadline: Deadline) -> Result<WriteGrant<'_>> { let _ = (size, deadline); todo!() }
    /// Publishes the first `size` bytes of the pending reservation (of a grant that was forgotten with
    /// `std::mem::forget`). `Invalid` if there is none, `TooLarge` if it is smaller.
    pub fn commit(&mut self, size: usize) -> Result<()> { let _ = size; todo!() }
    /// Drops the pending reservation, if there is one.
    pub fn cancel(&mut self) { todo!() }
    /// The ring.
    pub fn ring(&self) -> &Ring { &self.ring }
}

/// Borrowed room in a ring. Dropping it cancels.
pub struct WriteGrant<'a> { #[allow(dead_code)] producer: &'a mut Producer }

impl WriteGrant<'_> {
    /// First byte of the room. Valid until commit, cancel or drop.
    pub fn as_mut_ptr(&mut self) -> *mut u8 { todo!() }
    /// The size that was asked for.
    pub fn size(&self) -> usize { todo!() }
    /// Copies `bytes` to `offset`; `TooLarge` if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> { let _ = (offset, bytes); todo!() }
    /// Publishes the first `size` bytes.
    pub fn commit(self, size: usize) -> Result<()> { let _ = size; todo!() }
    /// Gives the room back.
    pub fn cancel(self) {}
}

/// The reading end. Dropping it gives the role back. `Forked` after a fork.
pub struct Consumer { #[allow(dead_code)] ring: Ring }

impl Consumer {
    /// Copies the oldest record into `buffer` and releases it; returns its size. `TooLarge` if the buffer is too
    /// small: the record stays. `PeerDead` if the ring is empty and the producer is dead.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> { self.read_until(buffer, Deadline::never()) }
    /// Reads if there is a record.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> { let _ = buffer; todo!() }
    /// Reads; waits until the deadline.
    pub fn read_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> { let _ = (buffer, deadline); todo!() }
    /// Borrows the oldest record; waits for ever.
    pub fn peek(&mut self) -> Result<ReadGrant<'_>> { self.peek_until(Deadline::never()) }
    /// Borrows the oldest record if there is one.
    pub fn try_peek(&mut self) -> Result<Option<ReadGrant<'_>>> { todo!() }
    /// Borrows; waits until the deadline.
    pub fn peek_until(&mut self, deadline: Deadline) -> Result<ReadGrant<'_>> { let _ = deadline; todo!() }
    /// Releases the record last peeked at. `Invalid` if there is none.
    pub fn release(&mut self) -> Result<()> { todo!() }
    /// The ring.
    pub fn ring(&self) -> &Ring { &self.ring }
}

/// A record, in place. Dropping it keeps the record: the next peek sees it again.
pub struct ReadGrant<'a> { #[allow(dead_code)] consumer: &'a mut Consumer }

impl ReadGrant<'_> {
    /// First byte. Valid until release or drop. Peers can write there, so it is no slice.
    pub fn as_ptr(&self) -> *const u8 { todo!() }
    /// Its size in bytes.
    pub fn size(&self) -> usize { todo!() }
    /// Copies it out, from `offset` on, as far as `buffer` goes; returns how much.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> usize { let _ = (offset, buffer); todo!() }
    /// Frees the room.
    pub fn release(self) -> Result<()> { todo!() }
}
