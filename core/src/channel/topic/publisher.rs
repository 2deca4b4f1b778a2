//! The writing end of a topic, and what it does about subscribers that are in its way.

use super::grant::PublishGrant;
use super::words::{Blocker, Memory, Writer, slot_of};
use super::{Doubt, Topic, TopicPolicy};
use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Ordering::Relaxed;
use crate::segment::WaitMode;
use crate::sys::memory::copy_in;
use crate::wait::{self, Spin, World};
use std::cell::Cell;
use std::fmt;

/// The writing end of a topic. Dropping it gives the role back. `Forked` after a fork.
pub struct Publisher {
    topic: Topic,
    writer: Writer,
    /// Messages that were dropped, by whichever publisher.
    drops: u64,
    /// The size of the grant that is out, or was forgotten.
    pending: Option<usize>,
    /// The role word that says we have it.
    mine: u32,
    /// The fork number under which we took it.
    fork: u32,
    shut: bool,
    blockers: Blockers,
    spin: Spin,
    doubt: Doubt,
}

/// Who is in the publisher's way, and since when.
#[derive(Default)]
pub struct Blockers {
    known: Vec<(Blocker, u64)>,
    found: Vec<Blocker>,
}

impl Blockers {
    /// Takes note of one, from within a scan.
    pub fn note(&mut self, blocker: Blocker) {
        self.found.push(blocker);
    }

    /// Nobody is in the way any more.
    pub fn forget(&mut self) {
        self.known.clear();
        self.found.clear();
    }

    /// Whom the publisher waits for.
    pub fn suspect(&self) -> Option<u32> {
        self.known.first().map(|(blocker, _)| slot_of(blocker.word))
    }

    /// After a scan: frees those that are dead (if `ask`), puts out those that have been in the way for too long.
    /// True: look again.
    pub fn clear(&mut self, topic: &Topic, ask: bool) -> bool {
        let mut cleared = false;
        let now = if topic.place.evict_after.is_some() { now_ns() } else { 0 };
        let known = std::mem::take(&mut self.known);
        let since = |blocker: &Blocker| known.iter().find(|(b, _)| b == blocker).map_or(now, |(_, since)| *since);
        for blocker in self.found.drain(..) {
            let since = since(&blocker);
            let over = topic.place.evict_after.is_some_and(|time| u128::from(now - since.min(now)) >= time.as_nanos());
            if ask && topic.object.is_dead(slot_of(blocker.word)) {
                cleared |= blocker.free(&topic.place);
            } else if over {
                cleared |= blocker.evict(&topic.place);
            } else {
                self.known.push((blocker, since));
            }
        }
        cleared
    }
}

impl Publisher {
    pub(super) fn new(topic: Topic, writer: Writer, mine: u32) -> Publisher {
        Publisher {
            fork: topic.object.fork_number(),
            // Relaxed: edge `role` has ordered the predecessor's stores before this.
            drops: topic.place.control().drops.load(Relaxed),
            topic,
            writer,
            pending: None,
            mine,
            shut: false,
            blockers: Blockers::default(),
            spin: Spin::default(),
            doubt: Doubt::default(),
        }
    }

    /// Publishes a copy of `message`. Says whether it did: `false` only where the policy is
    /// [`DropNewest`](TopicPolicy::DropNewest) and a subscriber is a whole lap behind; then the message was dropped,
    /// and subscribers will be told. Where the policy is [`Block`](TopicPolicy::Block), waits for the slowest
    /// subscriber for ever.
    ///
    /// # Errors
    /// `TooLarge` for more than `message_size` bytes; `Busy` while a reservation is pending; `Closed` after
    /// [`shutdown`](Publisher::shutdown); `Removed` if the topic is removed while this waits; `Forked`.
    #[inline]
    pub fn publish(&mut self, message: &[u8]) -> Result<bool> {
        self.publish_until(message, Deadline::never())
    }

    /// Publishes if that is possible at once; says whether it did.
    #[inline]
    pub fn try_publish(&mut self, message: &[u8]) -> Result<bool> {
        self.check("publish", message.len())?;
        if !self.writer.has_room() && !self.try_room()? {
            return Ok(false);
        }
        self.put(message);
        self.writer.tell(&self.topic.place);
        Ok(true)
    }

    /// Publishes; waits for the slowest subscriber until the deadline.
    #[inline]
    pub fn publish_until(&mut self, message: &[u8], deadline: Deadline) -> Result<bool> {
        self.check("publish", message.len())?;
        if !self.writer.has_room() && !self.room_until(deadline)? {
            return Ok(false);
        }
        self.put(message);
        self.writer.tell(&self.topic.place);
        Ok(true)
    }

    /// Publishes copies of several messages, in their order, with one wake for all of them. Returns how many were
    /// published, from the first on: fewer only where the policy is to drop the newest; the others were dropped. Waits
    /// like [`publish`](Publisher::publish).
    ///
    /// # Errors
    /// As `publish`; `TooLarge` before any of them is published.
    pub fn publish_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        self.publish_many_until(messages, Deadline::never())
    }

    /// Publishes as many of `messages` as is possible at once, from the first on; returns how many. Where the policy
    /// is to drop the newest, the others were dropped.
    ///
    /// # Errors
    /// As `publish_many`.
    pub fn try_publish_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        self.batch(messages, |publisher| publisher.try_room())
    }

    /// Publishes several; waits until the deadline. If that passes, or a signal ends the wait, returns how many were
    /// published before.
    ///
    /// # Errors
    /// As `publish_many`; `Timeout` if none was.
    pub fn publish_many_until(&mut self, messages: &[&[u8]], deadline: Deadline) -> Result<usize> {
        self.batch(messages, |publisher| publisher.room_until(deadline))
    }

    /// Borrows the next slot for a message of up to `size` bytes, to be written in place; waits like
    /// [`publish`](Publisher::publish). `None` only where the policy is to drop the newest, and this message was
    /// dropped.
    ///
    /// Where the policy is to drop the oldest, the oldest message is gone from here on, also if the grant is cancelled.
    ///
    /// # Errors
    /// As `publish`.
    pub fn reserve(&mut self, size: usize) -> Result<Option<PublishGrant<'_>>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Borrows the next slot if that is possible at once.
    ///
    /// # Errors
    /// As `publish`.
    pub fn try_reserve(&mut self, size: usize) -> Result<Option<PublishGrant<'_>>> {
        self.check("reserve", size)?;
        let room = self.writer.has_room() || self.try_room()?;
        Ok(if room { Some(self.grant(size)) } else { None })
    }

    /// Borrows the next slot; waits until the deadline.
    ///
    /// # Errors
    /// As `publish`; `Timeout`.
    pub fn reserve_until(&mut self, size: usize, deadline: Deadline) -> Result<Option<PublishGrant<'_>>> {
        self.check("reserve", size)?;
        let room = self.writer.has_room() || self.room_until(deadline)?;
        Ok(if room { Some(self.grant(size)) } else { None })
    }

    /// Publishes the first `size` bytes of the pending reservation (of a grant that was forgotten with
    /// `std::mem::forget`). Until it is committed or cancelled, every other publication is `Busy`.
    ///
    /// # Errors
    /// `Invalid` if there is none; `TooLarge` if it is smaller: it stays; `Forked`.
    pub fn commit(&mut self, size: usize) -> Result<()> {
        self.ours()?;
        match self.pending {
            None => Err(self.no_reservation()),
            Some(room) if size > room => {
                let name = self.topic.address();
                let why = format!("commit {size} bytes to topic \"{name}\": {room} were reserved; reserve more");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
            Some(_) => {
                self.pending = None;
                self.writer.commit(&self.topic.place, size as u32, self.drops as u32);
                self.writer.tell(&self.topic.place);
                Ok(())
            }
        }
    }

    /// Drops the pending reservation, if there is one.
    pub fn cancel(&mut self) {
        // The slot's word stays odd: nothing is there until the same position is written again.
        self.pending = None;
    }

    /// Says that this was the last message. Subscribers receive what is there, and then `Closed`; so does whoever
    /// wants to publish. A pending reservation is dropped. Doing it twice is fine.
    ///
    /// # Errors
    /// `Forked`.
    pub fn shutdown(&mut self) -> Result<()> {
        self.ours()?;
        self.pending = None;
        self.shut = true;
        self.topic.object.shut_down();
        Ok(())
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The role word that says this process publishes.
    pub(super) fn mine(&self) -> Result<u32> {
        self.ours().map(|()| self.mine)
    }

    /// First byte of the next message.
    pub(super) fn payload(&self) -> *mut u8 {
        self.topic.place.payload(self.writer.next())
    }

    #[inline]
    fn is_ours(&self) -> bool {
        self.fork == self.topic.object.fork_number()
    }

    #[inline]
    pub(super) fn ours(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(self.topic.forked("publisher")) }
    }

    #[inline]
    fn check(&self, what: &str, size: usize) -> Result<()> {
        self.ours()?;
        if self.pending.is_some() || self.shut {
            return Err(self.not_now(what));
        }
        if size <= self.topic.place.message_size { Ok(()) } else { Err(self.topic.too_large(what, size)) }
    }

    /// Writes `message`, which fits, to the next slot, for which there is room.
    #[inline]
    fn put(&mut self, message: &[u8]) {
        self.writer.begin(&self.topic.place);
        // SAFETY: a slot has `message_size` bytes for the message inside the object, and `message` is no longer:
        // `check`. Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(self.payload(), message) };
        self.writer.commit(&self.topic.place, message.len() as u32, self.drops as u32);
    }

    fn batch(&mut self, messages: &[&[u8]], mut room: impl FnMut(&mut Publisher) -> Result<bool>) -> Result<usize> {
        let longest = messages.iter().map(|message| message.len()).max().unwrap_or(0);
        self.check("publish", longest)?;
        let mut published = 0;
        let mut end = Ok(());
        for message in messages {
            match if self.writer.has_room() { Ok(true) } else { room(self) } {
                Ok(true) => {
                    self.put(message);
                    published += 1;
                }
                Ok(false) => {
                    // `room` has counted the first of those that are dropped.
                    self.drop_messages((messages.len() - published - 1) as u64);
                    break;
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        if published > 0 {
            self.writer.tell(&self.topic.place);
        }
        // Who could not go on waiting is told how far it came.
        let stopped = |kind| matches!(kind, ErrorKind::Timeout | ErrorKind::Interrupted);
        match end {
            Err(error) if published == 0 || !stopped(error.kind()) => Err(error),
            _ => Ok(published),
        }
    }

    fn grant(&mut self, size: usize) -> PublishGrant<'_> {
        self.writer.begin(&self.topic.place);
        self.pending = Some(size);
        PublishGrant::new(self, size)
    }

    /// Room, now or never.
    #[cold]
    fn try_room(&mut self) -> Result<bool> {
        let ask = self.doubt.is_due();
        if self.look(ask) {
            return Ok(true);
        }
        self.topic.object.still_there()?;
        self.drop_messages(1);
        Ok(false)
    }

    /// Counts messages that are not published, if the policy is to drop them.
    fn drop_messages(&mut self, messages: u64) {
        if self.topic.place.policy == TopicPolicy::DropNewest {
            self.drops = self.drops.wrapping_add(messages);
            // Relaxed: the next message carries it; behind the last one, edge `shut` orders it, or the death.
            self.topic.place.control().drops.store(self.drops, Relaxed);
        }
    }

    /// Room in time; `false` if the message is to be dropped.
    #[cold]
    fn room_until(&mut self, deadline: Deadline) -> Result<bool> {
        if self.topic.place.policy == TopicPolicy::DropNewest {
            return self.try_room();
        }
        self.writer.tell(&self.topic.place); // of a batch, what is there already
        let Publisher { topic, writer, blockers, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        let suspect = Cell::new(None);
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            suspect.get()
        };
        wait::until(
            &topic.object.waiting(WaitMode::Send, 0),
            &topic.place.control().freed.0,
            spin,
            deadline,
            sleeping,
            || {
                let room = look(topic, writer, blockers, ask.take());
                suspect.set(blockers.suspect());
                Ok(room.then_some(true))
            },
        )
    }

    /// Scans; clears away who is dead or overdue. True: there is room.
    fn look(&mut self, ask: bool) -> bool {
        look(&self.topic, &mut self.writer, &mut self.blockers, ask)
    }

    #[cold]
    fn not_now(&self, what: &str) -> Error {
        if self.shut {
            return self.topic.closed(&format!("{what} to"));
        }
        let name = self.topic.address();
        Error::new(
            ErrorKind::Busy,
            format!("{what} to topic \"{name}\": a reservation is pending; commit or cancel it first"),
        )
    }

    #[cold]
    fn no_reservation(&self) -> Error {
        let name = self.topic.address();
        Error::new(ErrorKind::Invalid, format!("commit to topic \"{name}\": nothing is reserved; reserve first"))
    }
}

fn look(topic: &Topic, writer: &mut Writer, blockers: &mut Blockers, ask: bool) -> bool {
    // Twice: once more if somebody could be cleared away.
    for _ in 0..2 {
        if writer.look(&topic.place, |blocker| blockers.note(blocker)) {
            blockers.forget();
            return true;
        }
        if !blockers.clear(topic, ask) {
            return false;
        }
    }
    false
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // After a fork it is the parent's.
        if self.is_ours() {
            self.topic.place.control().role.release(self.mine);
        }
    }
}
