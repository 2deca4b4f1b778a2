//! Both kinds of rings behind one face: cells for records of any size, or packed records of one size.

use super::cells::{self, Fault, Memory, Record, Room};
use super::packed;
use super::place::Place;

/// The producer's side.
#[derive(Debug)]
pub enum Writing {
    /// Records of any size.
    Cells(cells::Writer),
    /// Records of one size.
    Packed(packed::Writer),
}

impl Writing {
    /// Starts where the predecessor stopped. The caller has the producer's role.
    pub fn take(place: &Place) -> Result<Writing, Fault> {
        match place.record_size() {
            None => cells::Writer::take(place).map(Writing::Cells),
            Some(_) => packed::Writer::take(place).map(Writing::Packed),
        }
    }

    /// Finds room for one record. `None`: the ring is too full.
    #[inline(always)]
    pub fn reserve(&mut self, place: &Place, size: u64) -> Result<Option<Room>, Fault> {
        match self {
            Writing::Cells(writer) => writer.reserve(place, size),
            Writing::Packed(writer) => match place.max_record() {
                most if size > most => Err(Fault::TooLarge { asked: size, most }),
                one if size < one => Err(Fault::OtherSize { asked: size, size: one }),
                _ => Ok((writer.room(place, 1)? > 0).then(|| Room { start: writer.mark(), size })),
            },
        }
    }

    /// Finds room for up to `n` packed records in one piece; for all of them if `all`. `None`: the ring is too full.
    #[inline(always)]
    pub fn reserve_packed(&mut self, place: &Place, n: u64, all: bool) -> Result<Option<Room>, Fault> {
        let Writing::Packed(writer) = self else { return Ok(None) };
        let least = if all { n } else { 1 };
        let free = writer.room(place, least)?;
        if free < least {
            return Ok(None);
        }
        let start = writer.mark();
        let n = place.together(start, n.min(free));
        Ok(Some(Room { start, size: n * place.max_record() }))
    }

    /// Completes the first `len` bytes of `room`, the last reservation. They are seen once published.
    #[inline(always)]
    pub fn stage(&mut self, place: &Place, room: Room, len: u64) -> Result<(), Fault> {
        match self {
            Writing::Cells(writer) => writer.stage(place, room, len),
            Writing::Packed(writer) => {
                let size = place.max_record();
                if len > room.size {
                    return Err(Fault::TooLarge { asked: len, most: room.size });
                }
                if !len.is_multiple_of(size) {
                    return Err(Fault::OtherSize { asked: len, size });
                }
                writer.stage(place.records(len));
                Ok(())
            }
        }
    }

    /// Shows all that is staged.
    #[inline(always)]
    pub fn publish(&mut self, place: &Place) {
        match self {
            Writing::Cells(writer) => writer.publish(place),
            Writing::Packed(writer) => writer.publish(place),
        }
    }

    /// Behind what is staged.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        match self {
            Writing::Cells(writer) => writer.mark(),
            Writing::Packed(writer) => writer.mark(),
        }
    }

    /// Gives up what was staged since `mark`.
    pub fn back(&mut self, place: &Place, mark: u64) {
        match self {
            Writing::Cells(writer) => writer.back(place, mark),
            Writing::Packed(writer) => writer.back(mark),
        }
    }

    /// Gives up all that is staged.
    pub fn discard(&mut self, place: &Place) {
        let seen = match self {
            Writing::Cells(writer) => writer.seen(),
            Writing::Packed(writer) => writer.seen(),
        };
        self.back(place, seen);
    }
}

/// The consumer's side.
#[derive(Debug)]
pub enum Reading {
    /// Records of any size.
    Cells(cells::Reader),
    /// Records of one size.
    Packed(packed::Reader),
}

impl Reading {
    /// Starts where the predecessor stopped. The caller has the consumer's role.
    pub fn take(place: &Place) -> Result<Reading, Fault> {
        match place.record_size() {
            None => cells::Reader::take(place).map(Reading::Cells),
            Some(_) => packed::Reader::take(place).map(Reading::Packed),
        }
    }

    /// The next record; in a packed ring up to `n` of them in one piece. `None`: there is none yet.
    #[inline(always)]
    pub fn peek(&mut self, place: &Place, n: u64) -> Result<Option<Record>, Fault> {
        match self {
            Reading::Cells(reader) => reader.peek(place),
            Reading::Packed(reader) => {
                let there = reader.there(place, n)?;
                let start = reader.mark();
                let len = place.together(start, there.min(n)) * place.max_record();
                Ok((there > 0).then_some(Record { start, len }))
            }
        }
    }

    /// Up to `n` more packed records, at the ring's beginning, if the last ones that were held ended where it does.
    /// Only what is known to be there.
    #[inline(always)]
    pub fn peek_more(&self, place: &Place, n: u64) -> Option<Record> {
        match self {
            Reading::Packed(reader) => {
                let n = n.min(reader.known());
                let start = reader.mark();
                (n > 0).then(|| Record { start, len: place.together(start, n) * place.max_record() })
            }
            Reading::Cells(_) => None,
        }
    }

    /// Goes on behind `record`, the last one peeked at, without freeing it.
    #[inline(always)]
    pub fn hold(&mut self, place: &Place, record: Record) {
        match self {
            Reading::Cells(reader) => reader.hold(record),
            Reading::Packed(reader) => reader.hold(place.records(record.len)),
        }
    }

    /// Frees all that is held.
    #[inline(always)]
    pub fn release_held(&mut self, place: &Place) {
        match self {
            Reading::Cells(reader) => reader.release_held(place),
            Reading::Packed(reader) => reader.release_held(place),
        }
    }

    /// Behind what is held.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        match self {
            Reading::Cells(reader) => reader.mark(),
            Reading::Packed(reader) => reader.mark(),
        }
    }

    /// Lets go of what was held since `mark`.
    pub fn back(&mut self, mark: u64) {
        match self {
            Reading::Cells(reader) => reader.back(mark),
            Reading::Packed(reader) => reader.back(mark),
        }
    }
}

/// Bytes that records occupy, for observers. `None` if the positions are garbage.
pub fn used(place: &Place) -> Option<u64> {
    match place.record_size() {
        None => cells::used(place),
        Some(size) => packed::used(place).map(|records| records * size),
    }
}

/// Is there room for a record of up to `size` bytes? For who has the producer's role without its [`Writing`] at hand.
pub fn has_room(place: &Place, size: u64) -> Result<bool, Fault> {
    match place.record_size() {
        None => cells::has_room(place, size),
        Some(_) => match packed::used(place) {
            Some(used) => Ok(used < place.cells()),
            None => Err(Fault::Garbage("distance between producer and consumer", u64::MAX)),
        },
    }
}

/// Is there a record? For who has the consumer's role without its [`Reading`] at hand.
pub fn has_record(place: &Place) -> Result<bool, Fault> {
    match place.record_size() {
        None => cells::has_record(place),
        Some(_) => packed::has_record(place),
    }
}
