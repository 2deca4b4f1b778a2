//! Borrowed messages: written where subscribers read them, and read where the publisher wrote them.
//!
//! A grant borrows its end of the topic, so there is one at a time. Who dies with one has published nothing, or read
//! nothing.

use super::subscriber::Lent;
use super::{Publisher, Subscriber};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{copy_in, copy_out};
use std::fmt;
use std::mem::ManuallyDrop;

/// The next slot of a topic, to be written in place. Dropping it cancels.
#[must_use]
pub struct PublishGrant<'a> {
    publisher: &'a mut Publisher,
    size: usize,
}

impl<'a> PublishGrant<'a> {
    pub(super) fn new(publisher: &'a mut Publisher, size: usize) -> PublishGrant<'a> {
        PublishGrant { publisher, size }
    }

    /// First byte of the room, aligned to 64 where messages have more than 48 bytes, otherwise to 16. Valid until
    /// commit, cancel or drop.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.publisher.payload()
    }

    /// The size that was asked for.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    /// `TooLarge` if they do not fit; `Forked`.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.publisher.ours()?;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.size) {
            let (name, len, size) = (self.publisher.topic().name(), bytes.len(), self.size);
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "write {len} bytes at {offset} of a reservation in topic \"{name}\": it has {size} bytes; reserve more"
                ),
            ));
        }
        // SAFETY: `offset + bytes.len()` is within the reservation, checked above, which is at most `message_size`, the
        // bytes that a slot has inside the object; `bytes` is the caller's own memory. A misbehaving peer may access
        // it too: `copy_in` bears that.
        unsafe { copy_in(self.as_mut_ptr().add(offset), bytes) };
        Ok(())
    }

    /// Publishes the first `size` bytes.
    ///
    /// # Errors
    /// `TooLarge` if they are more than was asked for: then all is cancelled; `Forked`.
    pub fn commit(self, size: usize) -> Result<()> {
        self.publisher.commit(size)
    }

    /// Publishes nothing.
    pub fn cancel(self) {}
}

impl fmt::Debug for PublishGrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishGrant").field("topic", self.publisher.topic()).field("size", &self.size).finish()
    }
}

impl Drop for PublishGrant<'_> {
    fn drop(&mut self) {
        self.publisher.cancel();
    }
}

/// A message. Dropping it keeps the message: the next call finds it again.
#[must_use]
pub struct PeekGrant<'a> {
    subscriber: &'a mut Subscriber,
    lent: Lent,
}

impl<'a> PeekGrant<'a> {
    pub(super) fn new(subscriber: &'a mut Subscriber, lent: Lent) -> PeekGrant<'a> {
        PeekGrant { subscriber, lent }
    }

    /// First byte. Valid until release or drop. Peers can write there, so it is no slice.
    pub fn as_ptr(&self) -> *const u8 {
        self.subscriber.lent_at(self.lent)
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.lent.size
    }

    /// Does it lie where the publisher wrote it? Otherwise this is a copy: the policy does not protect the message.
    pub fn is_in_place(&self) -> bool {
        self.lent.in_place
    }

    /// Copies it out, from `offset` on, as far as `buffer` goes; returns how much.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let n = self.size().saturating_sub(offset).min(buffer.len());
        if n > 0 {
            // SAFETY: `offset + n` is within the message, whose checked size is our own copy: within a slot, or within
            // the subscriber's copy. `buffer` is the caller's own memory. A peer may write there meanwhile:
            // `copy_out` bears that.
            unsafe { copy_out(self.as_ptr().add(offset), &mut buffer[..n]) };
        }
        n
    }

    /// Goes on behind it.
    ///
    /// # Errors
    /// `Evicted` if the publisher has put this subscriber out meanwhile: then what was read may be torn; `Forked`.
    pub fn release(self) -> Result<()> {
        ManuallyDrop::new(self).subscriber.release()
    }
}

impl fmt::Debug for PeekGrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekGrant").field("topic", self.subscriber.topic()).field("size", &self.size()).finish()
    }
}

impl Drop for PeekGrant<'_> {
    fn drop(&mut self) {
        self.subscriber.keep();
    }
}
