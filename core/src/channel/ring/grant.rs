//! Borrowed room: a record is built where the consumer will read it, and read where the producer built it.
//!
//! A grant borrows its end of the ring, so there is one at a time. It holds no claim that others could see:
//! who dies with a grant has written nothing, or read nothing. Many grants, one after the other, become one batch by
//! `stage` and `hold`.

use super::{Consumer, Producer, cells::Record, cells::Room};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{copy_in, copy_out};
use std::fmt;
use std::mem::ManuallyDrop;

/// Borrowed room in a ring. Dropping it cancels.
pub struct WriteGrant<'a> {
    producer: &'a mut Producer,
    room: Room,
}

impl<'a> WriteGrant<'a> {
    pub(super) fn new(producer: &'a mut Producer, room: Room) -> WriteGrant<'a> {
        WriteGrant { producer, room }
    }

    /// First byte of the room. Valid until commit, cancel or drop.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.producer.ring().place.payload(self.room.start).as_ptr()
    }

    /// The size that was asked for.
    pub fn size(&self) -> usize {
        self.room.size as usize
    }

    /// Copies `bytes` to `offset`; `TooLarge` if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.producer.ours()?;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.size()) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "write {} bytes at {offset} of a reservation in ring \"{}\": it has {} bytes; reserve more",
                    bytes.len(),
                    self.producer.ring().object.address(),
                    self.size()
                ),
            ));
        }
        // SAFETY: `offset + bytes.len()` is within the reservation, checked above, which is within the ring's
        // cells; `bytes` is the caller's own memory. A misbehaving peer may access it too: `copy_in` bears that.
        unsafe { copy_in(self.as_mut_ptr().add(offset), bytes) };
        Ok(())
    }

    /// Publishes the first `size` bytes, and all that was staged before. If they are more than was asked for, `TooLarge`, and all is cancelled.
    #[inline]
    pub fn commit(self, size: usize) -> Result<()> {
        self.producer.commit(size)
    }

    /// Completes the first `size` bytes, to be seen together with what comes next: at the next commit or write, or at
    /// [`Producer::publish`]. `TooLarge` as for a commit.
    #[inline]
    pub fn stage(self, size: usize) -> Result<()> {
        self.producer.stage(size)
    }

    /// Gives the room back. What was staged before stays so.
    pub fn cancel(self) {}
}

impl fmt::Debug for WriteGrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGrant").field("ring", self.producer.ring()).field("size", &self.size()).finish()
    }
}

impl Drop for WriteGrant<'_> {
    fn drop(&mut self) {
        self.producer.cancel();
    }
}

/// A record, in place. Dropping it keeps the record: the next peek sees it again.
pub struct ReadGrant<'a> {
    consumer: &'a mut Consumer,
    record: Record,
}

impl<'a> ReadGrant<'a> {
    pub(super) fn new(consumer: &'a mut Consumer, record: Record) -> ReadGrant<'a> {
        ReadGrant { consumer, record }
    }

    /// First byte. Valid until release or drop. Peers can write there, so it is no slice.
    pub fn as_ptr(&self) -> *const u8 {
        self.consumer.ring().place.payload(self.record.start).as_ptr()
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.record.len as usize
    }

    /// Copies it out, from `offset` on, as far as `buffer` goes; returns how much.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let n = self.size().saturating_sub(offset).min(buffer.len());
        if n > 0 {
            // SAFETY: `offset + n` is within the record, whose checked length is our own copy and which is
            // within the ring's cells; `buffer` is the caller's own memory. A peer may write there meanwhile:
            // `copy_out` bears that.
            unsafe { copy_out(self.as_ptr().add(offset), &mut buffer[..n]) };
        }
        n
    }

    /// Frees the room, and that of all that is held.
    #[inline]
    pub fn release(self) -> Result<()> {
        ManuallyDrop::new(self).consumer.release()
    }

    /// Keeps the record in hand and lets the next peek see the one behind it. The next release frees both; until then
    /// it may be read in place. See [`Consumer::hold`].
    #[inline]
    pub fn hold(self) -> Result<()> {
        ManuallyDrop::new(self).consumer.hold()
    }
}

impl fmt::Debug for ReadGrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGrant").field("ring", self.consumer.ring()).field("size", &self.size()).finish()
    }
}

impl Drop for ReadGrant<'_> {
    fn drop(&mut self) {
        self.consumer.keep();
    }
}
