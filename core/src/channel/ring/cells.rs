//! The ring's cells: where a record begins, how long it is, and whether it is there yet.
//!
//! # State
//!
//! N cells of 64 bytes, N a power of two. Positions count cells and never wrap; position p lies in cell
//! p mod N. A record of L bytes takes ceil((8 + L) / 64) consecutive cells: a header word, then the bytes.
//! Up to 56 bytes header and record are one cache line, and one line is all that moves.
//!
//! The header of the record at position p: the high half is the *tag* of p, (2p + 1) mod 2^32, which is never
//! 0 and differs for all positions of one cell that could be confused; the low half is the length (28 bits)
//! or, with the bit PAD, how many cells are skipped to the end of the ring. The three bits above are reserved.
//!
//! | header of cell p mod N | meaning for a consumer at position p                          |
//! |------------------------|---------------------------------------------------------------|
//! | another tag, or 0      | nothing yet                                                   |
//! | tag(p), length         | a record                                                      |
//! | tag(p), PAD, N - index | the record is at index 0, behind this pad                     |
//! | tag(p), anything else  | garbage                                                       |
//!
//! # What the next header's cell may hold
//!
//! A record longer than one cell leaves payload where a later lap has a header, and payload can look like
//! anything, also like a valid header. So before the producer publishes a record it stores 0 to the cell
//! behind it, where the consumer will look next. That store is needed only where something other than a
//! header can have been left: below `dirty_until`, which every reservation of more than one cell (a pad comes
//! only with such) raises to one lap behind its end. It is also not needed when the ring is full to the last cell: then
//! that cell holds the header of the oldest record, whose tag is another one. Streams of records of up to 56
//! bytes never pay for it.
//!
//! # Orderings
//!
//! Edge `record`: the producer releases the first header, the consumer acquires it: it sees the bytes, the
//! header behind a pad, and the 0 in the next header's cell.
//! Edge `room`: the consumer releases its position, the producer acquires it before it writes where the
//! consumer has read.
//! Edge `look`: the producer releases its position, who looks from outside acquires it: the consumer's position that it
//! loads behind that is at most a lap back. Successors do not need it: edge `role` orders all for them.
//!
//! # Many at once
//!
//! A record is *staged* when all of it is there but the store that makes it visible. The first of those staged keeps
//! its header, or that of its pad, in the producer's own memory; the others have theirs in their cells already, where
//! no consumer comes before it has passed the first. So one store publishes them all, and who dies before it has
//! published none. Likewise the consumer *holds* records: it goes on to the next one, and one store frees them all.
//! Records that were staged and given up leave headers of this very lap, hence `dirty_until` is raised for them too.
//!
//! # When a peer dies
//!
//! The producer, before the store that publishes: the record, or all that were staged, never was. Nothing is torn, as nothing else is
//! looked at. The successor starts behind the last published record, and takes all cells of one lap for dirty.
//! The producer, between that store and its position: the record is there; the successor walks over it.
//! The producer, before it rings: the consumer looks again when its slice ends.
//! The consumer, before its position: its successor reads the record in hand again. After: it is consumed.

use super::role::Role;
use super::stream::Stream;
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release},
    fence, prefetch, prefetch_to_write,
};
use crate::wait::ParkWord;

/// Bytes of a cell: one cache line.
pub const CELL: u64 = 64;
/// The least number of cells.
pub const CELLS_MIN: u64 = 4;
/// The greatest number of cells: what a pad can count, far below what a tag can tell apart.
pub const CELLS_MAX: u64 = 1 << 28;

const LEN: u64 = (1 << 28) - 1;
pub const PAD: u64 = 1 << 28;
const LOW: u64 = 0xFFFF_FFFF;

/// No honest ring ever gets there; so sums of positions and sizes below it do not overflow.
pub const LAST_POSITION: u64 = 1 << 62;

/// The largest record of a ring of `cells` cells: with its header, half of them.
pub const fn max_record(cells: u64) -> u64 {
    let half = cells / 2 * CELL - 8;
    if half < LEN { half } else { LEN }
}

/// Cells of a record of `len` bytes.
const fn cells_for(len: u64) -> u64 {
    (8 + len).div_ceil(CELL)
}

/// Where a record of `k` cells lies that would begin at `position`: there, or behind a pad.
const fn start_of(position: u64, k: u64, cells: u64) -> u64 {
    let index = position & (cells - 1);
    if index + k > cells { position + (cells - index) } else { position }
}

/// The high half of the header at `position`.
pub const fn tag(position: u64) -> u64 {
    (2 * position + 1) << 32
}

/// Is this the header of `position`, and not something left from elsewhere?
pub const fn is_header_of(header: u64, position: u64) -> bool {
    (header ^ tag(position)) & !LOW == 0
}

/// One end's words, written by that end only: who has it, and how far it is.
#[repr(C)]
#[derive(Debug)]
pub struct End {
    /// Who has this end.
    pub role: Role,
    _zero: AtomicU32,
    /// Producer: behind its last record. Consumer: behind the last one it released.
    pub position: AtomicU64,
}

impl End {
    /// A fresh one; in a segment, zeroed memory is one.
    #[cfg(any(test, loom))]
    pub fn new() -> End {
        End { role: Role::new(), _zero: AtomicU32::new(0), position: AtomicU64::new(0) }
    }
}

/// Where a ring's words lie: in a segment, or for models and tests on the heap.
pub trait Memory {
    /// How many cells: a power of two from [`CELLS_MIN`] to [`CELLS_MAX`], the same at every call. In a packed ring:
    /// how many records.
    fn cells(&self) -> u64;
    /// The first word of the cell that `position` lies in.
    fn header(&self, position: u64) -> &AtomicU64;
    /// The producer's end.
    fn producer(&self) -> &End;
    /// The consumer's end.
    fn consumer(&self) -> &End;
    /// Where the consumer sleeps until there is a record.
    fn filled(&self) -> &ParkWord;
    /// Where the producer sleeps until there is room.
    fn freed(&self) -> &ParkWord;
    /// Is each publication a full barrier, so that no sleeper is overlooked?
    #[inline(always)]
    fn is_exact(&self) -> bool {
        false
    }
}

/// Shows `value` to the other end: what was stored before is seen with it. Where the ring is exact, the park word that
/// is loaded next is loaded after all can see it.
#[inline(always)]
pub fn publish(memory: &impl Memory, word: &AtomicU64, value: u64) {
    if memory.is_exact() {
        word.swap_full(value);
    } else {
        word.store(value, Release);
    }
}

/// Why there is neither an answer nor a reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes than a record, or than the reservation, holds.
    TooLarge {
        /// How many were asked for.
        asked: u64,
        /// How many it can be.
        most: u64,
    },
    /// Not the one size that records have here.
    OtherSize {
        /// How many bytes were asked for.
        asked: u64,
        /// How many a record has.
        size: u64,
    },
    /// What is staged and this do not fit into the whole ring: it would wait for itself.
    TooMany,
    /// Some process wrote garbage: what was read, and its value.
    Garbage(&'static str, u64),
}

/// Reserved cells. Nothing shared says so: they are what lies ahead of the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Position of the record; its bytes begin 8 bytes into that cell. Ahead of the writer by the pad.
    pub start: u64,
    /// Bytes that were asked for.
    pub size: u64,
}

/// The producer's side.
#[derive(Debug)]
pub struct Writer {
    /// Where the next record to be seen, or its pad, begins.
    at: u64,
    /// Behind the records that are staged. `at <= ahead <= at + N`.
    ahead: u64,
    /// The header that belongs to `at`, once `ahead` is beyond it.
    head: u64,
    /// The consumer's position as last seen; it only grows. `ahead - N <= freed <= at`.
    freed: u64,
    /// Positions below it may lie in cells that hold something other than a header of an earlier lap.
    dirty_until: u64,
    stream: Stream,
}

impl Writer {
    /// Starts where the predecessor stopped. The caller has the producer's role.
    pub fn take(memory: &impl Memory) -> Result<Writer, Fault> {
        let cells = memory.cells();
        // Relaxed: edge `role` has ordered the predecessor's stores before this.
        let written = memory.producer().position.load(Relaxed);
        // ORDER room: Acquire; pairs with the Release in `release`.
        let freed = memory.consumer().position.load(Acquire);
        if written > LAST_POSITION || freed > LAST_POSITION {
            return Err(Fault::Garbage("position", written.max(freed)));
        }
        // The consumer may be further than a producer that died before it stored its position.
        let mut scan = Reader::at(written.max(freed));
        // Each step advances by a cell at least, and the ring's end ends the walk: at most N steps.
        loop {
            if scan.at - freed > cells {
                return Err(Fault::Garbage("distance between producer and consumer", scan.at - freed));
            }
            match scan.peek(memory)? {
                Some(record) => scan.at = record.end(),
                None => break,
            }
        }
        let at = scan.at;
        // Relaxed: read by successors, whom edge `role` orders, and by observers, who want no more than a number.
        memory.producer().position.store(at, Relaxed);
        Ok(Writer { at, ahead: at, head: 0, freed, dirty_until: at + cells + 1, stream: Stream::new(WRITER_PAUSES) })
    }

    /// Finds room for a record of up to `size` bytes behind those staged. `None`: the ring is too full. Stores nothing
    /// shared.
    #[inline(always)]
    pub fn reserve(&mut self, memory: &impl Memory, size: u64) -> Result<Option<Room>, Fault> {
        let cells = memory.cells();
        if size > max_record(cells) {
            return Err(Fault::TooLarge { asked: size, most: max_record(cells) });
        }
        let k = cells_for(size);
        let start = start_of(self.ahead, k, cells);
        if start + k - self.freed > cells {
            if start + k - self.at > cells {
                return Err(Fault::TooMany);
            }
            self.stream.slip();
            // ORDER room: Acquire; pairs with the Release in `release`.
            let freed = memory.consumer().position.load(Acquire);
            if !(self.freed..=self.at).contains(&freed) {
                return Err(Fault::Garbage("consumer's position", freed));
            }
            self.stream.found((freed - self.freed).div_ceil(k), few(cells / k));
            self.freed = freed;
            if start + k - freed > cells {
                return Ok(None);
            }
        }
        if k > 1 {
            self.dirty_until = self.dirty_until.max(start + k + cells);
        }
        Ok(Some(Room { start, size }))
    }

    /// Completes the first `len` bytes of `room`, the last reservation, as a record that [`Writer::publish`] will show.
    #[inline(always)]
    pub fn stage(&mut self, memory: &impl Memory, room: Room, len: u64) -> Result<(), Fault> {
        if len > room.size {
            return Err(Fault::TooLarge { asked: len, most: room.size });
        }
        let record = tag(room.start) | len;
        let pad = room.start - self.ahead;
        let head = if pad > 0 {
            // Relaxed: the consumer comes here only by way of the pad.
            memory.header(room.start).store(record, Relaxed);
            tag(self.ahead) | PAD | pad
        } else {
            record
        };
        if self.ahead == self.at {
            self.head = head;
        } else {
            // Relaxed: the consumer comes here only by way of the first, whose Release orders it.
            memory.header(self.ahead).store(head, Relaxed);
        }
        self.ahead = room.start + cells_for(len);
        Ok(())
    }

    /// Shows all that is staged, with one store.
    #[inline(always)]
    pub fn publish(&mut self, memory: &impl Memory) {
        let (at, end) = (self.at, self.ahead);
        if at == end {
            return;
        }
        if end < self.dirty_until && end - self.freed < memory.cells() {
            // Relaxed: the Release below orders it, and nobody looks there before.
            memory.header(end).store(0, Relaxed);
        }
        // ORDER record: Release; pairs with the Acquire in `peek`.
        publish(memory, memory.header(at), self.head);
        self.fetch_after_next(memory, end - at);
        self.at = end;
        // ORDER look: Release; pairs with the Acquire in `has_room` and with the fence in `look_from_outside`.
        memory.producer().position.store(end, Release);
        memory.filled().unpark();
    }

    /// Asks for the lines of the record after the next one, of `span` cells, if no unread record lies there. Who has other
    /// things to do between two records, as an interpreter, finds them here then; without, its stores pile up behind the
    /// one that waits for its line. Not those of the next record: the consumer looks there.
    #[inline(always)]
    fn fetch_after_next(&self, memory: &impl Memory, span: u64) {
        let after_next = self.ahead + span;
        if after_next + 2 * span - self.freed < memory.cells() {
            for cell in after_next..after_next + span.min(2) {
                prefetch_to_write(std::ptr::from_ref(memory.header(cell)).cast());
            }
        }
    }

    /// Publishes the first `len` bytes of `room`, the last reservation, behind all that is staged.
    #[cfg(any(test, loom))]
    pub fn commit(&mut self, memory: &impl Memory, room: Room, len: u64) -> Result<(), Fault> {
        self.stage(memory, room, len)?;
        self.publish(memory);
        Ok(())
    }

    /// A place to go [`Writer::back`] to: behind what is staged now.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.ahead
    }

    /// Gives up what was staged since `mark`.
    pub fn back(&mut self, memory: &impl Memory, mark: u64) {
        if (self.at..self.ahead).contains(&mark) {
            // Headers of this lap may stand in all of these cells.
            self.dirty_until = self.dirty_until.max(self.ahead + memory.cells());
            self.ahead = mark;
        }
    }

    /// Where what nobody can see yet begins.
    #[inline]
    pub fn seen(&self) -> u64 {
        self.at
    }
}

/// A record that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position; its bytes begin 8 bytes into that cell.
    pub start: u64,
    /// Its length in bytes, checked: it ends before the ring does.
    pub len: u64,
}

impl Record {
    /// The position behind it.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        self.start + cells_for(self.len)
    }
}

/// The consumer's side.
#[derive(Debug)]
pub struct Reader {
    /// Where the next record, or its pad, begins.
    at: u64,
    /// Before it all is published, as far as the producer's position tells; or nothing is known.
    known: u64,
    /// Cells of the last record.
    step: u64,
    /// Before it all cells have been asked for, where records are short.
    fetched: u64,
    stream: Stream,
}

/// So many cells ahead of the reader are on their way to its cache: where the next header is is known only when this
/// one has come, so otherwise each record would take the whole way of a line. Of long ones only the header is wanted.
const FETCH: u64 = 10;
/// A look that shows less than so many records is little.
pub const FEW: u64 = 64;
/// Pauses of a reader: some 0.5 µs, which a record may come late in a stream, and only there.
pub const READER_PAUSES: u32 = 12;
/// The same for a writer that looks for room, in a ring for so many.
pub const fn few(records: u64) -> u64 {
    if records < 4 * FEW { records / 4 } else { FEW }
}
/// Pauses of a writer whose ring is full: all that it writes waits for longer.
pub const WRITER_PAUSES: u32 = 31;

impl Reader {
    /// Starts where the predecessor stopped. The caller has the consumer's role.
    pub fn take(memory: &impl Memory) -> Result<Reader, Fault> {
        // Relaxed: edge `role` has ordered the predecessor's stores before this.
        let at = memory.consumer().position.load(Relaxed);
        let written = memory.producer().position.load(Relaxed);
        if at > LAST_POSITION || written.saturating_sub(at) > memory.cells() {
            return Err(Fault::Garbage("consumer's position", at));
        }
        Ok(Reader::at(at))
    }

    fn at(at: u64) -> Reader {
        Reader { at, known: at, step: 1, fetched: at, stream: Stream::new(READER_PAUSES) }
    }

    /// The oldest record. `None`: there is none yet. Stores nothing.
    #[inline(always)]
    pub fn peek(&mut self, memory: &impl Memory) -> Result<Option<Record>, Fault> {
        let cells = memory.cells();
        let mut start = self.at;
        if self.known <= start && self.stream.flows() {
            self.stream.slip();
            // Relaxed: a hint; whether a record is there its header says.
            self.known = memory.producer().position.load(Relaxed);
            self.stream.found(self.known.saturating_sub(start).div_ceil(self.step), FEW);
        }
        // What is published already the producer does not write to: nothing is taken away from it.
        if self.step < FETCH {
            self.fetched = self.fetched.max(start + 1);
            while self.fetched < self.known.min(start + FETCH) {
                prefetch(memory.header(self.fetched));
                self.fetched += 1;
            }
        } else if start + 4 * self.step < self.known {
            prefetch(memory.header(start + 4 * self.step));
        }
        // ORDER record: Acquire; pairs with the Release in `commit`.
        let mut header = memory.header(start).load(Acquire);
        if !is_header_of(header, start) {
            self.stream.found(0, FEW);
            return Ok(None);
        }
        if self.known <= self.at {
            self.stream.found(1, 0);
        }
        if header & PAD != 0 {
            let index = start & (cells - 1);
            if index == 0 || header & LOW != PAD | (cells - index) {
                return Err(Fault::Garbage("pad", header));
            }
            start += cells - index;
            // Relaxed: stored before the pad was released.
            header = memory.header(start).load(Relaxed);
            if !is_header_of(header, start) {
                return Err(Fault::Garbage("header behind a pad", header));
            }
        }
        // A second pad, or a reserved bit, makes a length that no ring has.
        let len = header & LOW;
        if len > max_record(cells) || (start & (cells - 1)) + cells_for(len) > cells {
            return Err(Fault::Garbage("record's header", header));
        }
        Ok(Some(Record { start, len }))
    }

    /// Goes on behind `record`, the last one peeked at, without freeing it.
    #[inline(always)]
    pub fn hold(&mut self, record: Record) {
        self.at = record.end();
        self.step = self.at - record.start;
    }

    /// Gives the cells of `record`, the last one peeked at, of the pad before it, and of all that is held, back to the
    /// producer.
    #[cfg(any(test, loom))]
    pub fn release(&mut self, memory: &impl Memory, record: Record) {
        self.hold(record);
        self.release_held(memory);
    }

    /// Gives all that is held back to the producer.
    #[inline(always)]
    pub fn release_held(&mut self, memory: &impl Memory) {
        // ORDER room: Release; pairs with the Acquire in `reserve`.
        publish(memory, &memory.consumer().position, self.at);
        memory.freed().unpark();
    }

    /// A place to go [`Reader::back`] to: behind what is held now.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.at
    }

    /// Lets go of what was held since `mark`: it is there to be read again.
    pub fn back(&mut self, mark: u64) {
        self.at = mark;
    }
}

/// Bytes in cells that are occupied, for observers: a moment's truth. `None` if the positions are garbage.
pub fn used(memory: &impl Memory) -> Option<u64> {
    let cells = memory.cells();
    // The consumer first: then the producer can only be too far ahead, by what went through in between.
    let mut ahead = u64::MAX;
    for _ in 0..3 {
        // ORDER room: Acquire; the producer's position below is no older than the records that were released.
        let freed = memory.consumer().position.load(Acquire);
        let written = memory.producer().position.load(Relaxed);
        // A consumer may be one record ahead of what a producer has stored of its position.
        ahead = if freed.wrapping_sub(written) <= cells { 0 } else { written.wrapping_sub(freed) };
        if ahead <= cells {
            return Some(ahead * CELL);
        }
    }
    // Still more than fits: garbage, or a stream so fast that three looks missed it.
    (ahead <= LAST_POSITION).then_some(cells * CELL)
}

/// Is there room for a record of up to `size` bytes? For who has the producer's role without its [`Writer`] at hand.
pub fn has_room(memory: &impl Memory, size: u64) -> Result<bool, Fault> {
    let cells = memory.cells();
    let k = cells_for(size.min(max_record(cells)));
    // ORDER look: Acquire; pairs with the Release in `publish`. The producer first: the consumer can only be further.
    let written = memory.producer().position.load(Acquire);
    let freed = memory.consumer().position.load(Relaxed);
    // A consumer may be ahead of what a producer has stored of its position.
    let at = written.max(freed);
    if at > LAST_POSITION {
        return Err(Fault::Garbage("position", at));
    }
    if at - freed > cells {
        return Err(Fault::Garbage("distance between producer and consumer", at - freed));
    }
    Ok(start_of(at, k, cells) + k - freed <= cells)
}

/// Is there a record? For who has the consumer's role without its [`Reader`] at hand.
pub fn has_record(memory: &impl Memory) -> Result<bool, Fault> {
    look_from_outside(memory, || Ok(Reader::take(memory)?.peek(memory)?.is_some()))
}

/// What `look` finds, which begins at the consumer's position. If another thread reads meanwhile, it may meet what
/// belongs to a later lap, which is no garbage: there was a record then.
pub fn look_from_outside(memory: &impl Memory, look: impl Fn() -> Result<bool, Fault>) -> Result<bool, Fault> {
    let position = &memory.consumer().position;
    // ORDER room: Acquire; the producer's position is no older than this.
    let before = position.load(Acquire);
    look().or_else(|fault| {
        // ORDER look: pairs with the Release of the producer's position. If that was of a later lap, this is later, too.
        fence(Acquire);
        if position.load(Relaxed) == before { Err(fault) } else { Ok(true) }
    })
}

#[cfg(all(test, not(loom)))]
#[path = "cells_tests.rs"]
mod tests;
