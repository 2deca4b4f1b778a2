//! What a subscriber finds at its position: a message, that it missed some, or the end.
//!
//! What it missed is told once: an error, and behind it the position, or what is known of dropped messages, has
//! moved on.

use super::words::{Look, Memory, Reader};
use super::{Topic, TopicPolicy};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Ordering::Relaxed;

/// A subscriber's position, and what it missed.
#[derive(Debug)]
pub struct Reading {
    pub reader: Reader,
    /// What it knows of dropped messages, modulo 2^32. `None`: it begins with the first message it finds.
    drops: Option<u32>,
    pub missed: u64,
}

impl Reading {
    pub fn new(topic: &Topic, reader: Reader) -> Reading {
        // Relaxed: whatever is dropped after this has a larger number.
        let drops = topic.place.control().drops.load(Relaxed) as u32;
        // Who begins with history begins with what had been dropped before the oldest message.
        Reading { drops: reader.is_protected().then_some(drops), reader, missed: 0 }
    }

    /// The size of the next message, if there is one. `ask`: fails if there is none and the publisher is dead.
    #[inline]
    pub fn look(&mut self, topic: &Topic, ask: bool) -> Result<Option<usize>> {
        if self.reader.is_out(&topic.place) {
            return Err(self.out(topic));
        }
        match self.reader.look(&topic.place) {
            Look::Message { len, drops } if self.is_plain(topic, len, drops) => Ok(Some(len as usize)),
            Look::Nothing if !ask && !topic.object.is_shut_down() => Ok(None),
            _ => self.look_closely(topic, ask),
        }
    }

    /// The size of the next message, if there is one and nothing to be told before it.
    #[inline]
    pub fn glance(&self, topic: &Topic) -> Option<usize> {
        match self.reader.look(&topic.place) {
            Look::Message { len, drops } if self.is_plain(topic, len, drops) => Some(len as usize),
            _ => None,
        }
    }

    /// A message with nothing missed before it, and of a size that can be.
    #[inline]
    fn is_plain(&self, topic: &Topic, len: u32, drops: u32) -> bool {
        self.drops == Some(drops) && len as usize <= topic.place.message_size
    }

    #[cold]
    fn look_closely(&mut self, topic: &Topic, ask: bool) -> Result<Option<usize>> {
        let found = self.reader.look(&topic.place);
        if found != Look::Nothing {
            return self.found(topic, found);
        }
        let end = if topic.object.is_shut_down() {
            topic.closed("receive from")
        } else if !ask {
            return Ok(None);
        } else if let Err(dead) = topic.check_publisher() {
            dead
        } else {
            return Ok(None);
        };
        // It may have published before it died, or before it said that this was all.
        let found = self.reader.look(&topic.place);
        if found != Look::Nothing {
            return self.found(topic, found);
        }
        // And dropped some after its last message.
        match self.gap(topic.place.control().drops.load(Relaxed) as u32) {
            0 => Err(end),
            gap => Err(self.lost(topic, gap)),
        }
    }

    fn found(&mut self, topic: &Topic, found: Look) -> Result<Option<usize>> {
        match found {
            Look::Nothing => Ok(None),
            Look::Lapped => Err(self.lapped(topic)),
            Look::Message { len, .. } if len as usize > topic.place.message_size => {
                self.go_on(topic);
                Err(bad_length(topic, len))
            }
            Look::Message { len, drops } => match self.gap(drops) {
                0 => Ok(Some(len as usize)),
                gap => Err(self.lost(topic, gap)),
            },
        }
    }

    /// How many messages were dropped that are not told yet, when there were `drops` in all.
    fn gap(&mut self, drops: u32) -> u64 {
        let gap = drops.wrapping_sub(self.drops.unwrap_or(drops));
        // What was known at the start may be newer than the first messages: those have no gap before them.
        if gap > u32::MAX / 2 {
            return 0;
        }
        self.drops = Some(drops);
        u64::from(gap)
    }

    /// Goes on behind the message at its position.
    #[inline]
    pub fn go_on(&mut self, topic: &Topic) {
        self.reader.release(&topic.place, 1, topic.place.policy != TopicPolicy::DropOldest);
    }

    /// What was copied or lent is not what was published: why, and on to what is there.
    #[cold]
    pub fn overwritten(&mut self, topic: &Topic) -> Error {
        if self.reader.is_out(&topic.place) { self.out(topic) } else { self.lapped(topic) }
    }

    #[cold]
    fn lapped(&mut self, topic: &Topic) -> Error {
        match self.reader.skip(&topic.place) {
            Ok(missed) => self.lost(topic, missed),
            Err(garbage) => topic.corrupt(garbage),
        }
    }

    #[cold]
    fn lost(&mut self, topic: &Topic, missed: u64) -> Error {
        self.missed = self.missed.saturating_add(missed);
        let name = topic.address();
        let how = match topic.place.policy {
            TopicPolicy::DropNewest => "dropped by the publisher, as a subscriber was too slow",
            _ => "overwritten before this subscriber read them",
        };
        let messages = if missed == 1 { "message was" } else { "messages were" };
        Error::new(
            ErrorKind::Lost,
            format!("topic \"{name}\": {missed} {messages} {how}; the next call goes on with what is there"),
        )
    }

    /// Its cursor is not its own any more.
    #[cold]
    fn out(&self, topic: &Topic) -> Error {
        let name = topic.address();
        if !self.reader.is_evicted(&topic.place) {
            let why = format!("topic \"{name}\": some process changed this subscriber's cursor; subscribe anew");
            return Error::new(ErrorKind::Corrupt, why);
        }
        let time = topic.place.evict_after.unwrap_or_default();
        Error::new(
            ErrorKind::Evicted,
            format!(
                "topic \"{name}\": this subscriber was in the publisher's way for {time:?} and was put out; subscribe anew"
            ),
        )
    }
}

#[cold]
fn bad_length(topic: &Topic, len: u32) -> Error {
    let (name, most) = (topic.address(), topic.message_size());
    Error::new(
        ErrorKind::Corrupt,
        format!("topic \"{name}\": a message says that it has {len} bytes, where {most} are possible; it was left out"),
    )
}
