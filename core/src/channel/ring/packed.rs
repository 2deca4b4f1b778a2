//! A packed ring: records of one size, back to back, without a header.
//!
//! # State
//!
//! An array of N records, N a power of two. Positions count records and never wrap; record p lies at index p mod N.
//! Written and not yet freed are the records from the consumer's position up to the producer's.
//!
//! # Orderings
//!
//! Edge `record`: the producer releases its position, the consumer acquires it: it sees the bytes of all records
//! before it. Edge `room`: the consumer releases its position, the producer acquires it before it writes there again.
//! Each end keeps what it has last seen of the other one, and looks again only when that is used up.
//!
//! # Many at once
//!
//! The producer *stages* records by writing them ahead of its position, the consumer *holds* records by reading ahead
//! of its own; one store publishes or frees them all.
//!
//! # When a peer dies
//!
//! What its position covers is done, what lies beyond was never begun. A successor starts at the position.
//!
//! # Cost
//!
//! Two lines move for one small record, one of them the position. Many records share it, and the lines of their
//! bytes: a stream of batches costs what its bytes cost.

use super::cells::{FEW, Fault, LAST_POSITION, Memory, READER_PAUSES, WRITER_PAUSES, few, look_from_outside, publish};
use super::stream::Stream;
use crate::prim::Ordering::{Acquire, Relaxed};

/// The producer's side.
#[derive(Debug)]
pub struct Writer {
    /// Behind the records that can be seen.
    at: u64,
    /// Behind those that are staged. `at <= ahead <= at + N`.
    ahead: u64,
    /// The consumer's position as last seen; it only grows. `ahead - N <= freed <= at`.
    freed: u64,
    stream: Stream,
}

/// Both positions, if they can be.
fn positions(memory: &impl Memory) -> Result<(u64, u64), Fault> {
    // Relaxed: edge `role` has ordered the predecessor's stores before this.
    let written = memory.producer().position.load(Relaxed);
    // ORDER room: Acquire; pairs with the Release in `release_held`.
    let freed = memory.consumer().position.load(Acquire);
    if written > LAST_POSITION || freed > written || written - freed > memory.cells() {
        return Err(Fault::Garbage("distance between producer and consumer", written.wrapping_sub(freed)));
    }
    Ok((written, freed))
}

impl Writer {
    /// Starts where the predecessor stopped. The caller has the producer's role.
    pub fn take(memory: &impl Memory) -> Result<Writer, Fault> {
        let (at, freed) = positions(memory)?;
        Ok(Writer { at, ahead: at, freed, stream: Stream::new(WRITER_PAUSES) })
    }

    /// How many records there is room for behind those staged: all that is known of at once, or more if `wanted` is.
    #[inline(always)]
    pub fn room(&mut self, memory: &impl Memory, wanted: u64) -> Result<u64, Fault> {
        let all = memory.cells();
        let free = all - (self.ahead - self.freed);
        if free >= wanted {
            return Ok(free);
        }
        if wanted > all - (self.ahead - self.at) {
            return Err(Fault::TooMany);
        }
        self.stream.slip();
        // ORDER room: Acquire; pairs with the Release in `release_held`.
        let freed = memory.consumer().position.load(Acquire);
        if !(self.freed..=self.at).contains(&freed) {
            return Err(Fault::Garbage("consumer's position", freed));
        }
        self.stream.found(freed - self.freed, few(all));
        self.freed = freed;
        Ok(all - (self.ahead - freed))
    }

    /// The next `n` records, for which there is room, are complete.
    #[inline(always)]
    pub fn stage(&mut self, n: u64) {
        self.ahead += n;
    }

    /// Shows all that is staged, with one store.
    #[inline(always)]
    pub fn publish(&mut self, memory: &impl Memory) {
        if self.at != self.ahead {
            self.at = self.ahead;
            // ORDER record: Release; pairs with the Acquire in `there`.
            publish(memory, &memory.producer().position, self.at);
            memory.filled().unpark();
        }
    }

    /// Where the next record goes.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.ahead
    }

    /// Gives up what was staged since `mark`.
    pub fn back(&mut self, mark: u64) {
        if (self.at..self.ahead).contains(&mark) {
            self.ahead = mark;
        }
    }

    /// Where what nobody can see yet begins.
    #[inline]
    pub fn seen(&self) -> u64 {
        self.at
    }
}

/// The consumer's side.
#[derive(Debug)]
pub struct Reader {
    /// The next record to read.
    at: u64,
    /// Before it, records are held.
    freed: u64,
    /// The producer's position as last seen; it only grows. `at <= written <= freed + N`.
    written: u64,
    stream: Stream,
}

impl Reader {
    /// Starts where the predecessor stopped. The caller has the consumer's role.
    pub fn take(memory: &impl Memory) -> Result<Reader, Fault> {
        let (_, freed) = positions(memory)?;
        Ok(Reader { at: freed, freed, written: freed, stream: Stream::new(READER_PAUSES) })
    }

    /// How many records there are to read: all that is known of, or more if `wanted` is.
    #[inline(always)]
    pub fn there(&mut self, memory: &impl Memory, wanted: u64) -> Result<u64, Fault> {
        if self.written - self.at < wanted {
            self.stream.slip();
            // ORDER record: Acquire; pairs with the Release in `publish`.
            let written = memory.producer().position.load(Acquire);
            if !(self.written..=self.freed + memory.cells()).contains(&written) {
                return Err(Fault::Garbage("producer's position", written));
            }
            self.stream.found(written - self.written, FEW);
            self.written = written;
        }
        Ok(self.written - self.at)
    }

    /// How many of them are known to be there without looking.
    #[inline(always)]
    pub fn known(&self) -> u64 {
        self.written - self.at
    }

    /// Goes on behind the next `n` records, which are there, without freeing them.
    #[inline(always)]
    pub fn hold(&mut self, n: u64) {
        self.at += n;
    }

    /// Gives all that is held back to the producer.
    #[inline(always)]
    pub fn release_held(&mut self, memory: &impl Memory) {
        self.freed = self.at;
        // ORDER room: Release; pairs with the Acquire in `room`.
        publish(memory, &memory.consumer().position, self.at);
        memory.freed().unpark();
    }

    /// The next record's position.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.at
    }

    /// Lets go of what was held since `mark`: it is there to be read again.
    pub fn back(&mut self, mark: u64) {
        self.at = mark;
    }
}

/// Records in it, for observers: a moment's truth. `None` if the positions are garbage.
pub fn used(memory: &impl Memory) -> Option<u64> {
    let all = memory.cells();
    let mut ahead = u64::MAX;
    for _ in 0..3 {
        // The consumer first: then the producer can only be too far ahead, by what went through in between.
        // ORDER room: Acquire; the producer's position is no older than the records that were released.
        let freed = memory.consumer().position.load(Acquire);
        ahead = memory.producer().position.load(Relaxed).wrapping_sub(freed);
        if ahead <= all {
            return Some(ahead);
        }
    }
    (ahead <= LAST_POSITION).then_some(all)
}

/// Is there a record? For who has the consumer's role without its [`Reader`] at hand.
pub fn has_record(memory: &impl Memory) -> Result<bool, Fault> {
    look_from_outside(memory, || Ok(Reader::take(memory)?.there(memory, 1)? > 0))
}

#[cfg(all(test, not(loom)))]
#[path = "packed_tests.rs"]
mod tests;
