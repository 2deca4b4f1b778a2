//! The reading end of a ring.

use super::cells::Record;
use super::grant::ReadGrant;
use super::side::Reading;
use super::{Door, Doubt, Memory, Ring, suspect};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::WaitMode;
use crate::sys::memory::copy_out;
use crate::wait::{self, Spin, World};
use std::cell::Cell;
use std::fmt;

/// The reading end. Dropping it gives the role back. `Forked` after a fork.
///
/// Many records with one release: [`Consumer::read_many`] copies them, [`ReadGrant::hold`] does it in place, and in a
/// ring of packed records there are [`Consumer::read_packed`] and [`Consumer::peek_packed`].
pub struct Consumer {
    pub(super) ring: Ring,
    reader: Reading,
    /// Where the oldest record begins that is not released; before it nothing is held.
    freed: u64,
    /// The record of the grant that is out, or was forgotten.
    lent: Option<Record>,
    /// The role word that says we have it.
    pub(super) mine: u32,
    /// The fork number under which we took it.
    fork: u32,
    spin: Spin,
    doubt: Doubt,
}

impl Consumer {
    pub(super) fn take(ring: &Ring) -> Result<Consumer> {
        let (mine, reader) = ring.take("consumer", ring.place.consumer(), Reading::take)?;
        Ok(Consumer {
            fork: ring.object.fork_number(),
            ring: ring.clone(),
            freed: reader.mark(),
            reader,
            lent: None,
            mine,
            spin: Spin::default(),
            doubt: Doubt::default(),
        })
    }

    /// Copies the oldest record into `buffer` and releases it; returns its size. `TooLarge` if the buffer is too
    /// small: the record stays. When the ring is empty: `PeerDead` if the producer is dead, `Closed` after a shutdown.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_until(buffer, Deadline::never())
    }

    /// Reads if there is a record.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.try_record(1)? {
            Some(record) => self.consume(record, buffer).map(Some),
            None => Ok(None),
        }
    }

    /// Reads; waits until the deadline.
    #[inline]
    pub fn read_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let record = self.record_until(1, deadline)?;
        self.consume(record, buffer)
    }

    /// Waits for a record; copies as many as there are and as fit, one behind the other, into `buffer`, puts their sizes
    /// into `sizes`, and releases them with one store. Returns how many; 0 only if there is no place for a size.
    /// `TooLarge` if the first one does not fit, otherwise as [`Consumer::read`].
    pub fn read_many(&mut self, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        self.read_many_until(buffer, sizes, Deadline::never())
    }

    /// Reads as many as there are; 0 if there is none.
    pub fn try_read_many(&mut self, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        match self.try_record(1)? {
            Some(first) => self.consume_many(first, buffer, sizes),
            None => Ok(0),
        }
    }

    /// Reads as many as there are; waits for the first until the deadline.
    pub fn read_many_until(&mut self, buffer: &mut [u8], sizes: &mut [usize], deadline: Deadline) -> Result<usize> {
        let first = self.record_until(1, deadline)?;
        self.consume_many(first, buffer, sizes)
    }

    /// Waits for a packed record; copies as many whole ones as there are and as fit into `buffer`, and releases them with
    /// one store. Returns how many. `TooLarge` if not even one fits, `Invalid` if the ring's records have any size.
    #[inline]
    pub fn read_packed(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_packed_until(buffer, Deadline::never())
    }

    /// Reads as many as there are; 0 if there is none.
    #[inline]
    pub fn try_read_packed(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.fitting(buffer.len())?;
        match self.try_record(n)? {
            Some(first) => Ok(self.consume_packed(first, n, buffer)),
            None => Ok(0),
        }
    }

    /// Reads as many as there are; waits for the first until the deadline.
    #[inline]
    pub fn read_packed_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let n = self.fitting(buffer.len())?;
        let first = self.record_until(n, deadline)?;
        Ok(self.consume_packed(first, n, buffer))
    }

    /// Borrows the oldest record that is not held; waits for ever.
    pub fn peek(&mut self) -> Result<ReadGrant<'_>> {
        self.peek_until(Deadline::never())
    }

    /// Borrows it if there is one.
    #[inline]
    pub fn try_peek(&mut self) -> Result<Option<ReadGrant<'_>>> {
        let record = self.try_record(1)?;
        self.lent = record;
        Ok(record.map(|record| ReadGrant::new(self, record)))
    }

    /// Borrows it; waits until the deadline.
    #[inline]
    pub fn peek_until(&mut self, deadline: Deadline) -> Result<ReadGrant<'_>> {
        let record = self.record_until(1, deadline)?;
        self.lent = Some(record);
        Ok(ReadGrant::new(self, record))
    }

    /// Borrows packed records in one piece: one at least, and as many up to `n` as there are before the ring's end.
    /// [`ReadGrant::size`] says how many bytes. Waits for ever. `Invalid` if the ring's records have any size.
    pub fn peek_packed(&mut self, n: usize) -> Result<ReadGrant<'_>> {
        self.peek_packed_until(n, Deadline::never())
    }

    /// Borrows them if there are any.
    #[inline]
    pub fn try_peek_packed(&mut self, n: usize) -> Result<Option<ReadGrant<'_>>> {
        self.ring.packed_count(0)?;
        let records = self.try_record(n.max(1) as u64)?;
        self.lent = records;
        Ok(records.map(|records| ReadGrant::new(self, records)))
    }

    /// Borrows them; waits until the deadline.
    #[inline]
    pub fn peek_packed_until(&mut self, n: usize, deadline: Deadline) -> Result<ReadGrant<'_>> {
        self.ring.packed_count(0)?;
        let records = self.record_until(n.max(1) as u64, deadline)?;
        self.lent = Some(records);
        Ok(ReadGrant::new(self, records))
    }

    /// Releases the record last peeked at, and all that is held. `Invalid` if there is none.
    #[inline]
    pub fn release(&mut self) -> Result<()> {
        self.ours()?;
        if let Some(record) = self.lent.take() {
            self.reader.hold(&self.ring.place, record);
        } else if self.reader.mark() == self.freed {
            return Err(self.nothing_lent());
        }
        self.free();
        Ok(())
    }

    /// Goes on to the next record without releasing the one last peeked at: the next release frees both with one store.
    /// It may be read in place until then; who dies first leaves both to its successor. `Invalid` if there is none. A
    /// [`WaitSet`](crate::WaitSet) goes on counting what is held as there to be read.
    #[inline]
    pub fn hold(&mut self) -> Result<()> {
        self.ours()?;
        match self.lent.take() {
            Some(record) => {
                self.reader.hold(&self.ring.place, record);
                Ok(())
            }
            None => Err(self.nothing_lent()),
        }
    }

    /// Keeps the record last peeked at in the ring, as dropping its grant does. What is held stays so.
    #[inline]
    pub fn keep(&mut self) {
        // Nothing shared says that it was lent.
        self.lent = None;
    }

    /// Keeps it, and all that is held: the next peek sees the oldest record that was not released.
    pub fn rewind(&mut self) {
        self.keep();
        self.reader.back(self.freed);
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
        if self.is_ours() { Ok(()) } else { Err(self.ring.forked("consumer")) }
    }

    #[inline(always)]
    fn try_record(&mut self, n: u64) -> Result<Option<Record>> {
        self.ours()?;
        match self.reader.peek(&self.ring.place, n) {
            Ok(Some(record)) => Ok(Some(record)),
            Ok(None) => {
                self.ring.object.still_there()?;
                look_for_record(&self.ring, &mut self.reader, n, self.doubt.is_due())
            }
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[inline(always)]
    fn record_until(&mut self, n: u64, deadline: Deadline) -> Result<Record> {
        self.ours()?;
        match self.reader.peek(&self.ring.place, n) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => self.wait_for_record(n, deadline),
            Err(fault) => Err(self.ring.fault(fault)),
        }
    }

    #[cold]
    fn wait_for_record(&mut self, n: u64, deadline: Deadline) -> Result<Record> {
        let Consumer { ring, reader, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            suspect(ring.place.producer())
        };
        let attempt = || look_for_record(ring, reader, n, ask.take());
        let door = Door { park: ring.place.filled(), exact: ring.place.is_exact() };
        wait::until(&ring.object.waiting(WaitMode::Receive, 0), &door, spin, deadline, sleeping, attempt)
    }

    /// Frees all that is held.
    #[inline(always)]
    fn free(&mut self) {
        self.reader.release_held(&self.ring.place);
        self.freed = self.reader.mark();
    }

    /// Copies `record` to the front of `buffer`, if it fits, and goes on behind it.
    #[inline(always)]
    fn copy(&mut self, record: Record, buffer: &mut [u8]) -> Option<usize> {
        let size = record.len as usize;
        let target = buffer.get_mut(..size)?;
        // SAFETY: the record's length is our own checked copy, so its bytes lie within the ring's cells;
        // `target` is the caller's own memory. A misbehaving peer may write there: `copy_out` bears that.
        unsafe { copy_out(self.ring.place.payload(record.start).as_ptr(), target) };
        self.reader.hold(&self.ring.place, record);
        Some(size)
    }

    #[inline(always)]
    fn consume(&mut self, record: Record, buffer: &mut [u8]) -> Result<usize> {
        let room = buffer.len();
        let Some(size) = self.copy(record, buffer) else { return Err(self.too_small(record.len, room)) };
        self.lent = None;
        self.free();
        Ok(size)
    }

    fn consume_many(&mut self, first: Record, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        let (mut next, mut at, mut n) = (Some(first), 0, 0);
        while let (Some(record), Some(place)) = (next, sizes.get_mut(n)) {
            let room = buffer.len() - at;
            match self.copy(record, &mut buffer[at..]) {
                Some(size) => *place = size,
                None if n == 0 => return Err(self.too_small(record.len, room)),
                None => break,
            }
            (at, n) = (at + *place, n + 1);
            next = match self.reader.peek(&self.ring.place, 1) {
                Ok(next) => next,
                Err(_) => break, // garbage behind good records: the next call says so
            };
        }
        if n > 0 {
            self.lent = None;
            self.free();
        }
        Ok(n)
    }

    /// Copies packed records: those of `first`, and those at the ring's beginning if it ended there.
    #[inline(always)]
    fn consume_packed(&mut self, first: Record, most: u64, buffer: &mut [u8]) -> usize {
        // `first` has at most `most` records, which is what fits.
        let mut done = self.copy(first, buffer).unwrap_or(0);
        let left = most - self.ring.place.records(first.len);
        if let Some(rest) = self.reader.peek_more(&self.ring.place, left) {
            done += self.copy(rest, &mut buffer[done..]).unwrap_or(0);
        }
        self.lent = None;
        self.free();
        self.ring.place.records(done as u64) as usize
    }

    /// How many packed records fit into so many bytes: at least one.
    #[inline(always)]
    fn fitting(&self, bytes: usize) -> Result<u64> {
        match self.ring.place.record_size() {
            Some(size) if size <= bytes as u64 => Ok(bytes as u64 / size),
            Some(size) => Err(self.too_small(size, bytes)),
            None => Err(self.ring.not_packed()),
        }
    }

    #[cold]
    fn too_small(&self, size: u64, room: usize) -> Error {
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

/// Tries once to find a record. If there is none, fails after a shutdown and, if `ask` is set, if the producer is dead.
#[inline]
fn look_for_record(ring: &Ring, reader: &mut Reading, n: u64, ask: bool) -> Result<Option<Record>> {
    let mut look = || reader.peek(&ring.place, n).map_err(|fault| ring.fault(fault));
    let found = look()?;
    if found.is_some() {
        return Ok(found);
    }
    if ring.object.is_shut_down() {
        // Who shut it down may have committed before.
        return look()?.map_or_else(|| Err(ring.drained()), |record| Ok(Some(record)));
    }
    if !ask {
        return Ok(None);
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
