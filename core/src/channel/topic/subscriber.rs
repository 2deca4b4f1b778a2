//! A reading end of a topic.

use super::grant::PeekGrant;
use super::reading::Reading;
use super::words::{Memory, Reader};
use super::{Crowd, Doubt, Topic, TopicPolicy, publisher_of};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::WaitMode;
use crate::sys::memory::copy_out;
use crate::wait::{self, Spin, World};
use std::cell::Cell;
use std::fmt;

/// A reading end of a topic, with a cursor of its own. Dropping it ends the subscription. `Forked` after a fork.
pub struct Subscriber {
    topic: Topic,
    reading: Reading,
    /// The message of the grant that is out, or was forgotten.
    lent: Option<Lent>,
    /// Where a message is copied to that can be overwritten while it is peeked at.
    copy: Vec<u8>,
    fork: u32,
    spin: Spin,
    doubt: Doubt,
}

/// A message that was peeked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lent {
    pub size: usize,
    /// In the slot itself; otherwise in `copy`.
    pub in_place: bool,
}

impl Subscriber {
    pub(super) fn new(topic: Topic, reader: Reader) -> Subscriber {
        Subscriber {
            fork: topic.object.fork_number(),
            reading: Reading::new(&topic, reader),
            topic,
            lent: None,
            copy: Vec::new(),
            spin: Spin::default(),
            doubt: Doubt::default(),
        }
    }

    /// Copies the next message into `buffer` and goes on behind it; returns its size. Waits for one for ever.
    ///
    /// # Errors
    /// `Lost`, once, if messages were overwritten or dropped before it: the sentence says how many, and
    /// [`missed`](Subscriber::missed) how many in all; the next call goes on with what is there. `TooLarge` if the
    /// buffer is too small: the message stays. `Closed` when the topic was shut down and everything was received.
    /// `PeerDead` when everything was received and the publisher is dead: call again to wait for its successor.
    /// `Evicted` if this subscriber was in the publisher's way for too long: subscribe anew. `Removed`, `Corrupt`,
    /// `Forked`.
    #[inline]
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives if there is a message.
    ///
    /// # Errors
    /// As `receive`.
    #[inline]
    pub fn try_receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.try_message()? {
            Some(size) => self.take(size, buffer).map(Some),
            None => Ok(None),
        }
    }

    /// Receives; waits until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`.
    #[inline]
    pub fn receive_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let size = self.message_until(deadline)?;
        self.take(size, buffer)
    }

    /// Copies as many messages as are there and fit, one behind the other into `buffer`, their sizes into `sizes`;
    /// returns how many. Waits for the first one for ever.
    ///
    /// # Errors
    /// As `receive`.
    pub fn receive_many(&mut self, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        self.receive_many_until(buffer, sizes, Deadline::never())
    }

    /// Receives several if there is a message; 0 if there is none.
    ///
    /// # Errors
    /// As `receive`.
    pub fn try_receive_many(&mut self, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        match self.try_message()? {
            Some(_) => self.take_many(buffer, sizes),
            None => Ok(0),
        }
    }

    /// Receives several; waits for the first one until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`.
    pub fn receive_many_until(&mut self, buffer: &mut [u8], sizes: &mut [usize], deadline: Deadline) -> Result<usize> {
        self.message_until(deadline)?;
        self.take_many(buffer, sizes)
    }

    /// Borrows the next message; waits for one for ever.
    ///
    /// In place where the policy protects it from being overwritten; where it does not, the grant holds a copy.
    ///
    /// # Errors
    /// As `receive`.
    pub fn peek(&mut self) -> Result<PeekGrant<'_>> {
        self.peek_until(Deadline::never())
    }

    /// Borrows the next message if there is one.
    ///
    /// # Errors
    /// As `receive`.
    pub fn try_peek(&mut self) -> Result<Option<PeekGrant<'_>>> {
        match self.try_message()? {
            Some(size) => self.lend(size).map(Some),
            None => Ok(None),
        }
    }

    /// Borrows; waits until the deadline.
    ///
    /// # Errors
    /// As `receive`; `Timeout`.
    pub fn peek_until(&mut self, deadline: Deadline) -> Result<PeekGrant<'_>> {
        let size = self.message_until(deadline)?;
        self.lend(size)
    }

    /// The size of the next message if there is one, which is left.
    ///
    /// # Errors
    /// As `receive`.
    pub fn try_wait(&mut self) -> Result<Option<usize>> {
        self.try_message()
    }

    /// Waits for the next message, and leaves it; returns its size.
    ///
    /// # Errors
    /// As `receive`.
    pub fn wait(&mut self) -> Result<usize> {
        self.message_until(Deadline::never())
    }

    /// Waits for the next message until the deadline, and leaves it; returns its size.
    ///
    /// # Errors
    /// As `receive`; `Timeout`.
    pub fn wait_until(&mut self, deadline: Deadline) -> Result<usize> {
        self.message_until(deadline)
    }

    /// Goes on behind the message last peeked at (of a grant that was forgotten with `std::mem::forget`).
    ///
    /// # Errors
    /// `Invalid` if there is none; `Evicted` if the publisher has put this subscriber out meanwhile: then what was
    /// read in place may be torn; `Forked`.
    pub fn release(&mut self) -> Result<()> {
        self.ours()?;
        let Some(lent) = self.lent.take() else { return Err(self.nothing_lent()) };
        let Subscriber { topic, reading, .. } = self;
        if lent.in_place && (!reading.reader.is_whole(&topic.place) || reading.reader.is_out(&topic.place)) {
            return Err(reading.overwritten(topic));
        }
        reading.go_on(topic);
        Ok(())
    }

    /// Keeps the message last peeked at, as dropping its grant does: the next call finds it again.
    pub fn keep(&mut self) {
        // Nothing shared says that it was lent.
        self.lent = None;
    }

    /// How many messages were overwritten or dropped before this subscriber could read them, in all.
    pub fn missed(&self) -> u64 {
        self.reading.missed
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Its cursor and the cursor's word.
    pub(super) fn cursor(&self) -> Result<(u32, u32)> {
        self.ours().map(|()| self.reading.reader.cursor())
    }

    /// First byte of the lent message.
    pub(super) fn lent_at(&self, lent: Lent) -> *const u8 {
        if lent.in_place { self.topic.place.payload(self.reading.reader.at()) } else { self.copy.as_ptr() }
    }

    #[inline]
    fn is_ours(&self) -> bool {
        self.fork == self.topic.object.fork_number()
    }

    #[inline]
    fn ours(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(self.topic.forked("subscriber")) }
    }

    /// The size of the next message, now or never.
    #[inline]
    fn try_message(&mut self) -> Result<Option<usize>> {
        self.ours()?;
        match self.reading.look(&self.topic, false)? {
            Some(size) => Ok(Some(size)),
            None => self.try_closely(),
        }
    }

    /// There was none: is there an end to be told of?
    #[cold]
    fn try_closely(&mut self) -> Result<Option<usize>> {
        self.topic.object.still_there()?;
        if self.doubt.is_due() { self.reading.look(&self.topic, true) } else { Ok(None) }
    }

    /// The size of the next message, in time.
    #[inline]
    fn message_until(&mut self, deadline: Deadline) -> Result<usize> {
        self.ours()?;
        match self.reading.look(&self.topic, false)? {
            Some(size) => Ok(size),
            None => self.wait_for_message(deadline),
        }
    }

    #[cold]
    fn wait_for_message(&mut self, deadline: Deadline) -> Result<usize> {
        let Subscriber { topic, reading, spin, doubt, .. } = self;
        let ask = Cell::new(doubt.is_due());
        // Called once before each sleep: who has slept asks after the suspect.
        let sleeping = || {
            ask.set(true);
            publisher_of(&topic.place)
        };
        let world = topic.object.waiting(WaitMode::Receive, 0);
        let bell = Crowd(&topic.place.control().filled.0);
        wait::until(&world, &bell, spin, deadline, sleeping, || reading.look(topic, ask.take()))
    }

    #[inline]
    fn take(&mut self, size: usize, buffer: &mut [u8]) -> Result<usize> {
        self.lent = None;
        let room = buffer.len();
        let Some(target) = buffer.get_mut(..size) else { return Err(self.too_small(size, room)) };
        self.copy_out(target)?;
        self.reading.go_on(&self.topic);
        Ok(size)
    }

    /// Copies the message at the cursor, of as many bytes as `target` has, and makes sure that it is whole.
    #[inline]
    fn copy_out(&mut self, target: &mut [u8]) -> Result<()> {
        self.copy_from_slot(target);
        let Subscriber { topic, reading, .. } = self;
        if reading.reader.is_whole(&topic.place) { Ok(()) } else { Err(reading.overwritten(topic)) }
    }

    /// Copies whatever lies at the cursor.
    #[inline]
    fn copy_from_slot(&self, target: &mut [u8]) {
        let size = target.len().min(self.topic.place.message_size);
        // SAFETY: a slot has `message_size` bytes for the message inside the object, and that is no less than `size`.
        // Peers may store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_out(self.topic.place.payload(self.reading.reader.at()), &mut target[..size]) };
    }

    /// Takes what is there. What is to be told, or not there, ends the batch; the next call finds it again.
    fn take_many(&mut self, buffer: &mut [u8], sizes: &mut [usize]) -> Result<usize> {
        self.lent = None;
        let (mut rest, mut taken) = (buffer, 0);
        for place in sizes {
            let found =
                if taken == 0 { self.reading.look(&self.topic, false)? } else { self.reading.glance(&self.topic) };
            let Some(size) = found else { break };
            let room = rest.len();
            let Some((target, behind)) = rest.split_at_mut_checked(size) else {
                return if taken == 0 { Err(self.too_small(size, room)) } else { Ok(taken) };
            };
            if taken == 0 {
                self.copy_out(target)?;
            } else {
                self.copy_from_slot(target);
                if !self.reading.reader.is_whole(&self.topic.place) {
                    break;
                }
            }
            self.reading.go_on(&self.topic);
            (*place, rest, taken) = (size, behind, taken + 1);
        }
        Ok(taken)
    }

    fn lend(&mut self, size: usize) -> Result<PeekGrant<'_>> {
        let overtakes = self.topic.place.policy == TopicPolicy::DropOldest;
        let in_place = !overtakes && self.reading.reader.is_protected();
        if !in_place {
            let mut copy = std::mem::take(&mut self.copy);
            copy.resize(size, 0);
            let whole = self.copy_out(&mut copy);
            self.copy = copy;
            whole?;
        }
        let lent = Lent { size, in_place };
        self.lent = Some(lent);
        Ok(PeekGrant::new(self, lent))
    }

    #[cold]
    fn too_small(&self, size: usize, room: usize) -> Error {
        let name = self.topic.address();
        Error::new(
            ErrorKind::TooLarge,
            format!(
                "receive from topic \"{name}\": the message has {size} bytes, the buffer {room}; it stays, receive it with a larger one"
            ),
        )
    }

    #[cold]
    fn nothing_lent(&self) -> Error {
        let name = self.topic.address();
        Error::new(ErrorKind::Invalid, format!("release a message of topic \"{name}\": none is borrowed; peek first"))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("topic", &self.topic)
            .field("missed", &self.reading.missed)
            .finish_non_exhaustive()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // After a fork it is the parent's.
        if self.is_ours() {
            self.reading.reader.leave(&self.topic.place);
        }
    }
}
