//! Places of a mailbox with priorities and types: a pool of slots, and a directory that says what is in each.
//!
//! A ring cannot serve out of order: a message that nobody selects would bar the tail when it comes round. So here a
//! sender takes any free slot, and a receiver looks at all entries of the directory for the best message.
//!
//! # State
//!
//! Entry i: word (8), key (8), type (4), twelve zero bytes; slot i: eight zero bytes, length, deliveries, payload. The
//! word is the one of `slots.rs` (state, owner, turn), with the same four states; a turn ends when its message has been
//! received, or its place given back.
//!
//! The key is what messages are sorted by: `(MAX - priority) << 49 | ticket`. The smallest goes first. Tickets come from
//! one counter (`tail`), drawn between claim and publish: 2^49 of them, two months at 10^8 messages a second, then order
//! among equal priorities is lost once. `head` is where the next sender begins to look for a free slot: a hint.
//!
//! # What order holds, and why
//!
//! *A receive never takes a message while a better one was there before it began and still is. Two messages of one
//! sender with one priority never overtake each other.* What is published while a receive looks may miss it.
//!
//! One scan is not enough. It may pass p1 while that is still being written, and find p2, which the same sender
//! published later: p2 would overtake p1. So who has a candidate looks at all entries a second time. The candidate was
//! seen FULL before that scan began, with all that its sender published before it (edge `message`); a better one of the
//! same sender was therefore FULL then, and is found, or has been taken by somebody else. If a better one is found, it
//! becomes the candidate and all entries are looked at again; each time means that somebody published a better message
//! meanwhile. The candidate is then claimed by its exact word: it has been FULL in the same turn all the while.
//!
//! # Orderings
//!
//! Edges `message`, `room`, `shut` and `overwrite` as in `slots.rs`. Key and type are stored before the word says FULL
//! and loaded after it was seen; a reader who is overtaken finds another word when it claims.
//!
//! # When a peer dies
//!
//! | killed                                  | left            | what happens                                      |
//! |-----------------------------------------|-----------------|---------------------------------------------------|
//! | sender, between claim and publish       | `WRITING(dead)` | made void by who finds the mailbox full or empty, or by the sweep; bars nobody else |
//! | sender, after publish, before the wake  | `FULL`          | delivered; a sleeper finds it at the end of its slice |
//! | receiver, between claim and release     | `READING(dead)` | delivered again in its old order; younger ones may have gone before |
//! | who repairs, anywhere                   | half of it      | the next one starts anew                          |
//!
//! # Cost
//!
//! Send: a look at each taken slot on the way, three read-modify-writes. Receive: two looks at every entry, two
//! compare-and-swaps. A message wakes every sleeping receiver, as only they know what they select.

use super::options::{Envelope, Select};
use super::queue::*;
use crate::channel::death::step;
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    fence,
};
use crate::segment::object::InSegment;

/// Bits of a ticket in a key.
const TICKET_BITS: u32 = 49;
/// The highest priority: that of Linux's POSIX queues.
pub(super) const MOST_PRIORITY: u16 = 32_767;

/// What the directory says of a slot.
#[repr(C, align(32))]
#[derive(Debug)]
pub(super) struct Entry {
    word: AtomicU64,
    key: AtomicU64,
    mtype: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry>() == 32);

// SAFETY: `repr(C)`, made of prim's atomics; the rest is padding nobody reads.
unsafe impl InSegment for Entry {}

#[cfg(any(test, loom))]
impl Entry {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Entry {
        Entry { word: AtomicU64::new(0), key: AtomicU64::new(0), mtype: AtomicU32::new(0) }
    }

    /// Any contents, good or bad.
    #[cfg(not(loom))]
    pub fn set(&self, word: u64, key: u64, mtype: u32) {
        self.word.store(word, Relaxed);
        self.key.store(key, Relaxed);
        self.mtype.store(mtype, Relaxed);
    }

    /// The word as it is.
    pub fn word_now(&self) -> u64 {
        self.word.load(Relaxed)
    }
}

/// Entries by index, beside the heads of the slots.
///
/// # Safety
/// - `entry(i)` for each `i` below the capacity handed to [`Sorted`] is the same live entry each time, and no other's:
///   otherwise two processes own one slot.
pub(super) unsafe trait Entries: Heads {
    /// The entry of slot `index`, which is below the capacity.
    fn entry(&self, index: u32) -> &Entry;
}

/// All slots of a sorted mailbox.
#[derive(Clone, Copy)]
pub(super) struct Sorted<'a, E: Entries> {
    pub control: &'a Control,
    pub places: &'a E,
    /// 1 or more; ours, not the segment's.
    pub capacity: u32,
    /// How many receivers may have a message in vain; 0: any number.
    pub max_deliveries: u16,
}

/// How a message ranks among those that a receiver wants: the least is taken.
type Rank = (u32, u64);

/// The rank of a message; `None`: the receiver does not want it.
fn rank(select: Select, mtype: u32, key: u64) -> Option<Rank> {
    match select {
        Select::Any => Some((0, key)),
        Select::Type(wanted) => (mtype == wanted).then_some((0, key)),
        Select::UpTo(highest) => (1..=highest).contains(&mtype).then_some((mtype, key)),
        Select::Except(unwanted) => (mtype != unwanted).then_some((0, key)),
    }
}

fn key(priority: u16, ticket: u64) -> u64 {
    u64::from(MOST_PRIORITY - priority.min(MOST_PRIORITY)) << TICKET_BITS | ticket & ((1 << TICKET_BITS) - 1)
}

/// What one look at all entries finds.
struct Scan {
    best: Option<(Rank, Claim)>,
    /// Any claim: a sender's if there is one.
    claim: Option<Claim>,
}

impl<E: Entries> Sorted<'_, E> {
    /// How often one call looks at everything before it answers `Nothing`: each time after the second means that
    /// somebody else got something done, or writes garbage.
    fn looks(&self) -> u32 {
        if cfg!(loom) { 4 } else { 16 }
    }

    fn word(&self, index: u32) -> &AtomicU64 {
        &self.places.entry(index).word
    }

    /// Any free slot; the claim of another, if there is none.
    fn free(&self) -> Result<Look, Garbage> {
        // Relaxed: a hint, and a stranger's number.
        let begin = (self.control.head.0.load(Relaxed) % u64::from(self.capacity)) as u32;
        let mut barred = None;
        for i in 0..self.capacity {
            let index = if i < self.capacity - begin { begin + i } else { begin + i - self.capacity };
            // Relaxed: the claim decides.
            let at = Claim { index, word: self.word(index).load(Relaxed) };
            match at.state()? {
                State::Free => return Ok(Look::Ready(at)),
                State::Full => {}
                State::Writing(_) | State::Reading(_) => barred = barred.or(Some(at)),
            }
        }
        if barred.is_some() {
            // Another one first the next time: behind a live owner's claim there may be a dead one's.
            self.control.head.0.store(u64::from(barred.map_or(0, |at| at.index)) + 1, Relaxed);
        }
        Ok(barred.map_or(Look::Nothing, Look::Barred))
    }

    /// Looks at all entries once.
    fn scan(&self, select: Select) -> Result<Scan, Garbage> {
        let mut seen = Scan { best: None, claim: None };
        for index in 0..self.capacity {
            let entry = self.places.entry(index);
            // ORDER message: Acquire; pairs with the Release in `publish`: its key and type, and what its sender
            // published before.
            let at = Claim { index, word: entry.word.load(Acquire) };
            match at.state()? {
                State::Free => {}
                State::Full => {
                    // Relaxed: ordered by the word. Of another turn if it was taken meanwhile: then the claim fails.
                    let rank = rank(select, entry.mtype.load(Relaxed), entry.key.load(Relaxed));
                    if let Some(rank) = rank
                        && seen.best.is_none_or(|(best, _)| rank < best)
                    {
                        seen.best = Some((rank, at));
                    }
                }
                State::Writing(_) => seen.claim = Some(at),
                State::Reading(_) => seen.claim = seen.claim.or(Some(at)),
            }
        }
        Ok(seen)
    }

    /// The best message, or a claim that may hide it.
    fn best(&self, select: Select) -> Result<Look, Garbage> {
        let mut seen = self.scan(select)?;
        for _ in 0..self.looks() {
            let Some((rank, at)) = seen.best else {
                return Ok(seen.claim.map_or(Look::Nothing, Look::Barred));
            };
            step!();
            let again = self.scan(select)?;
            match again.best {
                Some((better, _)) if better < rank => seen = again,
                // Acquire: the scan is over before it.
                _ if self.word(at.index).load(Acquire) == at.word => return Ok(Look::Ready(at)),
                // Somebody has taken it.
                _ => seen = again,
            }
        }
        Ok(Look::Nothing)
    }

    /// The end of a receiver's claim that is not a release.
    fn refill(&self, at: Claim) -> bool {
        let died = self.places.head(at.index).count_delivery(at.word);
        step!();
        let drop = self.max_deliveries != 0 && died >= self.max_deliveries;
        let next = if drop { freed(at.word) } else { word(FULL, 0, turn(at.word)) };
        // ORDER message, room: full, for `notify`; hands on what `publish` released, and the receiver's reads are over.
        let ours = self.word(at.index).cas_full(at.word, next).is_ok();
        let tally = &self.control.tally.0;
        // Relaxed: a number to be shown.
        if drop { &tally.dropped } else { &tally.redelivered }.fetch_add(u64::from(ours), Relaxed);
        ours
    }
}

impl<E: Entries> Queue for Sorted<'_, E> {
    fn claim_send(&self, me: u32) -> Result<Attempt, Garbage> {
        for _ in 0..self.looks() {
            let at = match self.free()? {
                Look::Ready(at) => at,
                Look::Barred(claim) => return Ok(Attempt::Barred(claim)),
                Look::Nothing => return Ok(Attempt::Nothing),
            };
            step!();
            let writing = word(WRITING, me, turn(at.word));
            // ORDER room: Acquire; pairs with the Release in `release`, `cancel`, `void`.
            // ORDER shut: full; the sender looks for a shutdown after it.
            if self.word(at.index).cas_full(at.word, writing).is_ok() {
                // ORDER overwrite: this fence stands between the claim and the first byte of the message.
                fence(Release);
                // Relaxed: a hint.
                self.control.head.0.store(u64::from(at.index) + 1, Relaxed);
                step!();
                return Ok(Attempt::Claimed(Claim { index: at.index, word: writing }));
            }
        }
        Ok(Attempt::Nothing)
    }

    fn would_send(&self) -> Result<Look, Garbage> {
        self.free()
    }

    fn publish(&self, claim: Claim, envelope: Envelope) -> bool {
        if !self.stands(claim) {
            return false;
        }
        // Relaxed: the tickets of one sender are in order because this is one variable.
        let ticket = self.control.tail.0.fetch_add(1, Relaxed);
        step!();
        let entry = self.places.entry(claim.index);
        // Relaxed: the word below releases both.
        entry.key.store(key(envelope.priority, ticket), Relaxed);
        entry.mtype.store(envelope.mtype, Relaxed);
        step!();
        // ORDER message: Release; pairs with the Acquire in `scan` and `claim_receive`. Full, for `notify`.
        let ours = entry.word.cas_full(claim.word, word(FULL, 0, turn(claim.word))).is_ok();
        if ours {
            // All of them: who is woken may want another type.
            self.control.rx.0.notify(u32::MAX >> 1);
        }
        ours
    }

    fn cancel(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`.
        let ours = self.word(claim.index).cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
        }
        ours
    }

    fn claim_receive(&self, me: u32, ask: &Ask) -> Result<Attempt, Garbage> {
        for _ in 0..self.looks() {
            let at = match self.best(ask.select)? {
                Look::Ready(at) => at,
                Look::Barred(claim) => return Ok(Attempt::Barred(claim)),
                Look::Nothing => return Ok(Attempt::Nothing),
            };
            step!();
            let reading = word(READING, me, turn(at.word));
            // ORDER message: Acquire; pairs with the Release in `publish`.
            if self.word(at.index).compare_exchange(at.word, reading, Acquire, Relaxed).is_ok() {
                step!();
                return Ok(Attempt::Claimed(Claim { index: at.index, word: reading }));
            }
        }
        Ok(Attempt::Nothing)
    }

    fn oldest(&self, select: Select) -> Result<Look, Garbage> {
        self.best(select)
    }

    fn is_whole(&self, at: Claim) -> bool {
        // ORDER overwrite: this fence stands between the last byte copied and this load.
        fence(Acquire);
        let now = self.word(at.index).load(Relaxed);
        turn(now) == turn(at.word) && matches!(state(now), FULL | READING)
    }

    fn envelope(&self, at: Claim) -> Envelope {
        let entry = self.places.entry(at.index);
        // Relaxed: ordered by the word, as the payload is.
        let below = (entry.key.load(Relaxed) >> TICKET_BITS) as u16;
        Envelope { priority: MOST_PRIORITY.saturating_sub(below), mtype: entry.mtype.load(Relaxed) }
    }

    fn release(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`.
        let ours = self.word(claim.index).cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
        }
        ours
    }

    fn give_back(&self, claim: Claim) -> bool {
        // Not the count of another's message.
        let ours = self.stands(claim) && self.refill(claim);
        if ours {
            // Whichever it became: a message again, or room.
            self.control.rx.0.notify(u32::MAX >> 1);
            self.control.tx.0.notify(1);
        }
        ours
    }

    fn stands(&self, claim: Claim) -> bool {
        // Relaxed: what follows from the answer is another compare-and-swap.
        claim.index < self.capacity && self.word(claim.index).load(Relaxed) == claim.word
    }

    fn void(&self, claim: Claim) -> bool {
        let done = claim.is_writing() && self.cancel(claim);
        if done {
            // Relaxed: a number to be shown.
            self.control.tally.0.voided.fetch_add(1, Relaxed);
        }
        done
    }

    fn len(&self) -> Result<u32, Garbage> {
        let mut len = 0;
        for index in 0..self.capacity {
            // Relaxed: a number to be shown.
            let at = Claim { index, word: self.word(index).load(Relaxed) };
            len += u32::from(at.state()? == State::Full);
        }
        Ok(len)
    }

    fn left(&self, select: Select) -> Result<Look, Garbage> {
        self.best(select)
    }

    fn claims(&self, each: &mut dyn FnMut(Claim)) {
        for index in 0..self.capacity {
            // Relaxed: to be shown.
            let at = Claim { index, word: self.word(index).load(Relaxed) };
            if matches!(at.state(), Ok(State::Writing(_) | State::Reading(_))) {
                each(at);
            }
        }
    }

    fn repair(&self, dead: u32) {
        for index in 0..self.capacity {
            // Acquire: as for the claims.
            let at = Claim { index, word: self.word(index).load(Acquire) };
            match at.state() {
                Ok(State::Writing(who)) if who == dead => {
                    step!();
                    // ORDER room: AcqRel; the dead sender's stores ended with its life.
                    let ours = self.word(index).compare_exchange(at.word, freed(at.word), AcqRel, Relaxed).is_ok();
                    // Relaxed: a number to be shown.
                    self.control.tally.0.voided.fetch_add(u64::from(ours), Relaxed);
                }
                Ok(State::Reading(who)) if who == dead => drop(self.refill(at)),
                // Another's, nobody's, or garbage, which is for its users to report.
                _ => {}
            }
        }
    }
}
