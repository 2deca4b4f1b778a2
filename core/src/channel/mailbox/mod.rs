//! A mailbox: messages from any number of senders to any number of receivers.
//!
//! # State
//!
//! | bytes                    | what                                                                        |
//! |--------------------------|-----------------------------------------------------------------------------|
//! | 0–511                    | control: `tail`, `head`, three eventcounts, three counters, see `queue.rs`   |
//! | then                     | a directory, where the algorithm has one                                    |
//! | then, `stride` each      | places: word (8), length (4), deliveries (4), payload (`message_size`)       |
//!
//! Geometry: capacity (0: rendezvous; of an unbounded one its ceiling), message size, stride (16 + message size,
//! rounded up to 64), `mode | max_deliveries << 16`, 0. It is read once, checked against the memory that is really
//! there, and never read again. A message of at most 48 bytes lies on one cache line with its head. All zero bytes
//! are an empty mailbox. Which algorithms there are, and what they have in common: `queue.rs`.
//!
//! # Waiting
//!
//! Receivers and peekers sleep on `rx`, senders on `tx`; each message and each place given back wakes one.
//! That wake can be spent on somebody who cannot use it: on a peeker, or on a receiver that finds an older
//! message still being written. So whoever waited and got through wakes the next one if there is more.
//!
//! # Shutdown
//!
//! A sender claims its place, then looks for a shutdown, and if there is one gives the place back. A receiver that
//! sees the shutdown goes on until there is neither a message nor a sender's claim. So a message is either refused to
//! its sender or received, and nobody is told `Closed` while one may still come.
//!
//! # When a peer dies
//!
//! Row by row in the algorithm's file. Whoever is barred by the claim of a dead participant repairs it: at the end of
//! the first slice when it waits; at most once per millisecond when it polls, so that polling stays free
//! of system calls. Nobody is barred: the sweep does it.
//!
//! # Cost
//!
//! `send` and `receive`, first in first out: three compare-and-swaps and a copy; a system call only if somebody sleeps.

mod claim;
#[cfg(all(test, shuttle))]
mod deaths;
mod loan;
mod many;
mod memory;
mod offer;
mod options;
mod outlook;
mod pages;
mod queue;
mod refuse;
mod rendezvous;
mod slots;
mod sorted;

#[cfg(all(test, not(loom)))]
mod handle_tests;
#[cfg(all(test, not(loom)))]
mod lent_tests;
#[cfg(loom)]
pub mod model;
mod ready;
#[cfg(all(test, loom))]
mod sorted_model;
#[cfg(all(test, not(loom)))]
mod sorted_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub use loan::{Borrowed, Loan, RawLoan};
pub use offer::Offer;
pub(crate) use offer::OfferSide;
pub use options::{Capacity, Envelope, MailboxOptions, Order, Select};

use crate::prim::Ordering::Relaxed;
use crate::segment::object::{Holds, Kind, Object};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Spin};
use crate::{Deadline, Error, ErrorKind, Result};
use claim::Patience;
pub(crate) use memory::committed;
use memory::{Memory, Mode, with_queue};
use outlook::Outlook;
use queue::{Ask, Claim, Heads, Look, Queue};
use std::cell::Cell;
use std::time::Duration;

/// A mailbox: messages of up to `message_size` bytes from any number of senders to any number of receivers, in threads
/// and processes. Each message is received once. [`MailboxOptions`] says what kinds there are: of capacity 0, bounded or
/// unbounded; first in, first out, or by priority.
///
/// A clone is another handle on the same mailbox. Handles stay good in a forked child.
pub struct Mailbox {
    object: Object,
    memory: Memory,
    /// How long receivers and senders through this handle spin before they sleep.
    spin_rx: Spin,
    spin_tx: Spin,
    /// For the `try_` forms; a wait has its own.
    patience: Patience,
    outlook_tx: Outlook,
    outlook_rx: Outlook,
}

/// What `receive` and `peek` say about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its size in bytes.
    pub size: usize,
    /// How many receivers died with it before, or gave it back: 0 unless it is delivered again. One too many if a
    /// process that repaired it died half-way.
    pub redelivered: u16,
    /// Its priority; 0 unless the mailbox has priorities.
    pub priority: u16,
    /// Its type; 0 unless it was sent with one.
    pub mtype: u32,
}

/// The handle on an object that is a mailbox by its header.
fn attach(object: Object) -> Result<Mailbox> {
    let memory =
        Memory::of_object(&object).map_err(|e| Error::new(e.kind(), format!("mailbox {:?}: {e}", object.address())))?;
    Ok(Mailbox {
        object,
        memory,
        spin_rx: Spin::default(),
        spin_tx: Spin::default(),
        patience: Patience::from_now(),
        outlook_tx: Outlook::default(),
        outlook_rx: Outlook::default(),
    })
}

/// How long who only tries to send at a rendezvous leaves its message to a receiver that is there: long enough to be
/// woken. It gives up then, as that one may be stopped, or dead.
const AT_ONCE: Duration = Duration::from_millis(10);

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Mailbox,
    repair: |view, slot| {
        if let Ok(memory) = Memory::of(view) {
            with_queue!(memory, queue => queue.repair(slot));
        }
    },
    ring: |view| {
        if let Ok(memory) = Memory::of(view) {
            memory.control().ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let memory = Memory::of(view)?;
        let len = with_queue!(memory, queue => queue.len()).map_err(|garbage| refuse::corrupt("mailbox", garbage))?;
        let mut holders = Vec::new();
        with_queue!(memory, queue => queue.claims(&mut |claim| holders.push(claim.owner())));
        holders.sort_unstable();
        holders.dedup();
        let tally = &memory.control().tally.0;
        Ok(ObjectState::Mailbox {
            capacity: memory.kind(),
            message_size: memory.message_size,
            order: memory.order(),
            len: len as usize,
            // Relaxed: numbers to be shown.
            voided: tally.voided.load(Relaxed),
            redelivered: tally.redelivered.load(Relaxed),
            dropped: tally.dropped.load(Relaxed),
            shut_down: view.is_shut_down(),
            holders,
        })
    },
};

impl Clone for Mailbox {
    fn clone(&self) -> Mailbox {
        Mailbox {
            object: self.object.clone(),
            memory: self.memory.clone(),
            spin_rx: Spin::default(),
            spin_tx: Spin::default(),
            patience: Patience::from_now(),
            outlook_tx: Outlook::default(),
            outlook_rx: Outlook::default(),
        }
    }
}

impl Mailbox {
    /// The highest priority.
    pub const MAX_PRIORITY: u16 = sorted::MOST_PRIORITY;

    /// Sends a copy of `message`; waits for room for ever. At a rendezvous it returns when a receiver has it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) for more than `message_size` bytes; [`Closed`](ErrorKind::Closed) after
    /// [`shutdown`](Mailbox::shutdown); [`NoSpace`](ErrorKind::NoSpace) at the ceiling of an unbounded one;
    /// [`Removed`](ErrorKind::Removed) if the mailbox is removed while this waits; [`Corrupt`](ErrorKind::Corrupt) if
    /// it holds garbage. An empty message is a message.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends if there is room; `false` if it is full. At a rendezvous: if a receiver waits; then it takes as long as that
    /// one takes to be woken, at most some milliseconds.
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        self.check_size("send", message.len())?;
        self.send_now(message, Envelope::default())
    }

    /// Sends; waits for room until the deadline.
    #[inline]
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.check_size("send", message.len())?;
        self.send_by(message, Envelope::default(), deadline)
    }

    /// Sends with a priority and a type; waits for room for ever. For mailboxes of [`Order::Priority`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Mailbox::send); [`Invalid`](ErrorKind::Invalid) for a priority above
    /// [`MAX_PRIORITY`](Mailbox::MAX_PRIORITY), and where order is first in, first out.
    pub fn send_with(&self, message: &[u8], envelope: Envelope) -> Result<()> {
        self.send_with_until(message, envelope, Deadline::never())
    }

    /// Sends with a priority and a type if there is room; `false` if it is full.
    pub fn try_send_with(&self, message: &[u8], envelope: Envelope) -> Result<bool> {
        self.check_size("send", message.len())?;
        self.check_envelope(envelope)?;
        self.send_now(message, envelope)
    }

    /// Sends with a priority and a type; waits for room until the deadline.
    pub fn send_with_until(&self, message: &[u8], envelope: Envelope, deadline: Deadline) -> Result<()> {
        self.check_size("send", message.len())?;
        self.check_envelope(envelope)?;
        self.send_by(message, envelope, deadline)
    }

    /// Receives the first message into `buffer`, which must hold `message_size` bytes; waits for ever.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) if `buffer` is smaller than `message_size`: then nothing is taken, as
    /// with mq_receive(3). [`Closed`](ErrorKind::Closed) when the mailbox was shut down and all messages have been
    /// received. Otherwise as for [`send`](Mailbox::send).
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives if there is a message; at a rendezvous, if a sender waits.
    #[inline]
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        self.check_buffer("receive", buffer.len())?;
        match self.try_message(&Ask::default())? {
            Some(claim) => self.take(claim, buffer),
            None => Ok(None),
        }
    }

    /// Receives; waits until the deadline.
    #[inline]
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> {
        self.check_buffer("receive", buffer.len())?;
        loop {
            let claim = self.message(&Ask::default(), deadline)?;
            if let Some(received) = self.take(claim, buffer)? {
                return Ok(received);
            }
        }
    }

    /// Receives the first message that `select` asks for; waits for ever.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Mailbox::receive); [`Invalid`](ErrorKind::Invalid) where order is first in, first out.
    pub fn receive_selected(&self, select: Select, buffer: &mut [u8]) -> Result<Received> {
        self.receive_selected_until(select, buffer, Deadline::never())
    }

    /// Receives the first message that `select` asks for, if there is one.
    pub fn try_receive_selected(&self, select: Select, buffer: &mut [u8]) -> Result<Option<Received>> {
        self.check_buffer("receive", buffer.len())?;
        self.check_select(select)?;
        match self.try_message(&Ask { select, ..Ask::default() })? {
            Some(claim) => self.take(claim, buffer),
            None => Ok(None),
        }
    }

    /// Receives the first message that `select` asks for; waits until the deadline.
    pub fn receive_selected_until(&self, select: Select, buffer: &mut [u8], deadline: Deadline) -> Result<Received> {
        self.check_buffer("receive", buffer.len())?;
        self.check_select(select)?;
        loop {
            let claim = self.message(&Ask { select, ..Ask::default() }, deadline)?;
            if let Some(received) = self.take(claim, buffer)? {
                return Ok(received);
            }
        }
    }

    /// Copies the oldest message without taking it; waits for one for ever.
    ///
    /// The next `receive` may get another one: somebody may have taken this one in between.
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Received> {
        self.peek_until(buffer, Deadline::never())
    }

    /// Copies the oldest message without taking it, if there is one.
    pub fn try_peek(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        self.check_buffer("peek", buffer.len())?;
        let seen = self.look(buffer, &self.patience, &Cell::new(None))?;
        self.or_still_there(seen)
    }

    /// Copies without taking; waits until the deadline.
    pub fn peek_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> {
        self.check_buffer("peek", buffer.len())?;
        let control = self.memory.control();
        let (patience, suspect, tries) = (Patience::from_now(), Cell::new(None), Cell::new(0u32));
        let seen = wait::until(
            &self.object.waiting(WaitMode::Receive, 0),
            &control.rx.0,
            &self.spin_rx,
            deadline,
            || suspect.get(),
            || {
                tries.set(tries.get().saturating_add(1));
                self.look(buffer, &patience, &suspect)
            },
        )?;
        if tries.get() > 1 {
            // The wake may have been meant for a receiver: the message is still there.
            control.rx.0.notify(1);
        }
        Ok(seen)
    }

    /// Nobody sends any more: senders get [`Closed`](ErrorKind::Closed) from now on, receivers get what has been sent,
    /// then `Closed`. Room that was reserved before may still be committed. There is no way back; doing it twice is fine.
    pub fn shutdown(&self) -> Result<()> {
        self.object.me()?;
        self.object.shut_down();
        Ok(())
    }

    /// Was it shut down?
    pub fn is_shut_down(&self) -> bool {
        self.object.is_shut_down()
    }

    /// What it was created with, without the type tag.
    pub fn options(&self) -> MailboxOptions<'static> {
        MailboxOptions {
            capacity: self.memory.kind(),
            message_size: self.memory.message_size,
            order: self.memory.order(),
            max_deliveries: self.memory.max_deliveries,
            type_tag: "",
        }
    }

    /// The most messages it holds: 0 at a rendezvous, the ceiling of an unbounded one.
    pub fn capacity(&self) -> usize {
        self.memory.capacity as usize
    }

    /// The largest message in bytes.
    pub fn message_size(&self) -> usize {
        self.memory.message_size
    }

    /// Messages in it at this moment. Looks at each of them; 0 also if it holds garbage, which the next call
    /// that can fail reports.
    pub fn len(&self) -> usize {
        with_queue!(self.memory, queue => queue.len()).unwrap_or(0) as usize
    }

    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool {
        !with_queue!(self.memory, queue => matches!(queue.oldest(Select::Any), Ok(Look::Ready(_))))
    }

    /// Claims of dead senders that were given back so far.
    pub fn voided(&self) -> u64 {
        // Relaxed: a number to be shown.
        self.memory.control().tally.0.voided.load(Relaxed)
    }

    /// Messages that were dropped so far, as too many receivers had died with them or given them back.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number to be shown.
        self.memory.control().tally.0.dropped.load(Relaxed)
    }

    /// The type tag that it was created with, if it was.
    ///
    /// # Errors
    /// `Corrupt` if what lies there is none.
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.object.view().type_tag()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    #[inline]
    fn send_by(&self, message: &[u8], envelope: Envelope, deadline: Deadline) -> Result<()> {
        let claim = self.room(deadline)?;
        self.fill(claim, message, envelope)?;
        if self.memory.mode == Mode::Rendezvous { self.hand_over(claim, deadline) } else { Ok(()) }
    }

    #[inline]
    fn send_now(&self, message: &[u8], envelope: Envelope) -> Result<bool> {
        if self.memory.mode == Mode::Rendezvous && !self.could_send()?.0 {
            return self.or_still_there(None::<()>).map(|_| false);
        }
        let Some(claim) = self.try_room(self.object.me()?)? else { return Ok(false) };
        self.fill(claim, message, envelope)?;
        if self.memory.mode != Mode::Rendezvous {
            return Ok(true);
        }
        match self.hand_over(claim, Deadline::after(AT_ONCE)) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(false),
            handed => handed.map(|()| true),
        }
    }

    /// Copies the first message, if there is one.
    fn look(&self, buffer: &mut [u8], patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<Received>> {
        suspect.set(None);
        // As often as there are places to be overtaken on: each failure is a message that somebody took.
        for _ in 0..2 * self.memory.capacity + 64 {
            let look = with_queue!(self.memory, queue => queue.oldest(Select::Any));
            let at = match look.map_err(|garbage| self.corrupt(garbage))? {
                Look::Ready(at) => at,
                Look::Barred(claim) if self.clear(claim, patience, suspect) => continue,
                Look::Nothing | Look::Barred(_) if !self.object.is_shut_down() => return Ok(None),
                Look::Nothing | Look::Barred(_) if self.has_more(Select::Any, suspect)? => continue,
                Look::Nothing | Look::Barred(_) => return Ok(None),
            };
            let seen = match self.memory.len(at.index) {
                Some(len) => Some(self.copy_unclaimed(at, len, buffer)?),
                None => None,
            };
            if with_queue!(self.memory, queue => queue.is_whole(at)) {
                return match seen {
                    Some(seen) => Ok(Some(seen)),
                    None => Err(self.bad_length(at)),
                };
            }
        }
        Ok(None)
    }

    /// As `copy`, out of a place that nobody keeps for us: the page of an unbounded one may be given back meanwhile, and a
    /// load would take it again.
    fn copy_unclaimed(&self, at: Claim, len: usize, buffer: &mut [u8]) -> Result<Received> {
        if self.memory.mode != Mode::Unbounded {
            return Ok(self.copy(at, len, buffer));
        }
        let len = len.min(buffer.len());
        self.object.read(self.memory.paged_payload(at.index), &mut buffer[..len])?;
        Ok(self.said(at, len))
    }

    /// Copies `len` bytes out of a place; `len` is at most the message size, and so the buffer's.
    #[inline]
    fn copy(&self, at: Claim, len: usize, buffer: &mut [u8]) -> Received {
        let (size, target) = match buffer.get_mut(..len) {
            Some(target) => (len, target),
            None => (buffer.len(), buffer), // not reached: `check_buffer`
        };
        // SAFETY: the payload of a place has `message_size` bytes inside the object, and `target` is no longer:
        // `Memory::len` checked that. Peers may store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_out(self.memory.payload(at.index), target) };
        self.said(at, size)
    }

    /// What there is to say about a message, beside its bytes.
    #[inline]
    fn said(&self, at: Claim, size: usize) -> Received {
        let redelivered = self.memory.head(at.index).deliveries(at.word);
        let Envelope { priority, mtype } = with_queue!(self.memory, queue => queue.envelope(at));
        Received { size, redelivered, priority, mtype }
    }

    /// Copies the claimed message out and gives its place back. `None`, at a rendezvous only: its sender has taken it
    /// back meanwhile, as its deadline passed.
    #[inline]
    fn take(&self, claim: Claim, buffer: &mut [u8]) -> Result<Option<Received>> {
        let received = self.memory.len(claim.index).map(|len| self.copy(claim, len, buffer));
        let ours = with_queue!(self.memory, queue => queue.release(claim));
        match received {
            Some(received) if ours => Ok(Some(received)),
            _ if !ours && self.memory.mode == Mode::Rendezvous => Ok(None),
            Some(_) => Err(self.robbed(claim)),
            None => Err(self.bad_length(claim)),
        }
    }

    /// Copies `message`, which fits, into the claimed place and sends it.
    #[inline]
    fn fill(&self, claim: Claim, message: &[u8], envelope: Envelope) -> Result<()> {
        // SAFETY: the payload of a place has `message_size` bytes inside the object, and `message` is no longer:
        // `check_size`. Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(self.memory.payload(claim.index), message) };
        if self.post(claim, message.len(), envelope) { Ok(()) } else { Err(self.robbed(claim)) }
    }

    /// Sends the `len` bytes that lie in the claimed place.
    #[inline]
    fn post(&self, claim: Claim, len: usize, envelope: Envelope) -> bool {
        let head = self.memory.head(claim.index);
        // Relaxed: `publish` releases it (edge `message`).
        head.len.store(len as u32, Relaxed);
        head.begin_deliveries(claim.word);
        let ours = with_queue!(self.memory, queue => queue.publish(claim, envelope));
        if self.memory.mode == Mode::Fifo {
            wait::will_write(std::ptr::from_ref(self.memory.after(claim.index, 1)).cast());
        }
        self.sent(claim);
        ours
    }
}
