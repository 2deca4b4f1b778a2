//! The places of a port's queue: who may write which, who may read which, and in what order they are received.
//!
//! Pure algorithm over an array of words; it knows no payload and no segment.
//!
//! # State
//!
//! One word for each place: bits 0–3 state, 4–15 owner (a participant's slot, 0 nobody), 16–63 stamp. Stamps are drawn
//! from one counter, one for each message, so no word but `FREE` ever comes back.
//!
//! | state        | meaning                          | next                                                     |
//! |--------------|----------------------------------|----------------------------------------------------------|
//! | `FREE`       | room; the stamp of the last one  | `WRITING` with a new stamp, by a sender                  |
//! | `WRITING(s)` | s writes                         | `FULL`; cancelled, or s is dead: `FREE`                  |
//! | `FULL`       | a message                        | `READING`, by the receiver                               |
//! | `READING(s)` | s copies it out                  | `FREE`; given back, or s is dead: `FULL`, as old as it was |
//!
//! There is no head and no tail: the receiver takes the message with the oldest stamp among those that are there. A
//! queue of 8 has its words on one cache line, and is looked through as fast as a head could be found. It buys that a
//! sender which is stopped while it writes is in nobody's way, that one sender's message can be picked out from among
//! the others, and that a message delivered again has its old turn. The messages of one sender keep their order: a
//! later one has a later stamp and is not there before the earlier one. Those of several senders that send at the
//! same time come in any order.
//!
//! # Orderings
//!
//! Edge `message`: `publish` releases, the receiver's claim acquires: it sees the whole message.
//! Edge `room`: who gives a place back releases, the sender's claim acquires: the last reader is done with it.
//! Both notify a bell afterwards, so those exchanges are full barriers.
//!
//! # When a peer dies
//!
//! In `WRITING`: the place is free again; nothing was sent. In `READING`: the message is there again, its count of
//! deliveries one higher. A word of the dead that writes has a stamp of its own, so anybody may free it on an old
//! verdict; one that reads is put right under the repair byte, as its successor may have claimed the same message.

use crate::channel::death::step;
use crate::prim::{
    AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release},
};

const FREE: u64 = 0;
const WRITING: u64 = 1;
const FULL: u64 = 2;
const READING: u64 = 3;

/// Where the stamp begins.
const STAMP: u32 = 16;

/// The most places of a port: each receive looks at all of them.
pub(super) const MOST_PLACES: u32 = 1024;

fn word(state: u64, owner: u32, stamp: u64) -> u64 {
    state | u64::from(owner & 0xFFF) << 4 | stamp << STAMP
}

/// The 48 bits of a word that tell one message from every other of its port.
pub(super) fn stamp(word: u64) -> u64 {
    word >> STAMP
}

/// Is stamp `a` older than `b`? They wrap.
fn is_older(a: u64, b: u64) -> bool {
    ((a.wrapping_sub(b) << STAMP) as i64) < 0
}

/// A word that no process of ours wrote: place and word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage(pub u32, pub u64);

/// A place and the exact word that was seen there, or that makes it the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub index: u32,
    pub word: u64,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Writing(u32),
    Full,
    Reading(u32),
}

impl Claim {
    /// State and owner, checked.
    pub fn state(self) -> Result<State, Garbage> {
        match (self.word & 0xF, (self.word >> 4) as u32 & 0xFFF) {
            (FREE, 0) => Ok(State::Free),
            (WRITING, who @ 1..) => Ok(State::Writing(who)),
            (FULL, 0) => Ok(State::Full),
            (READING, who @ 1..) => Ok(State::Reading(who)),
            _ => Err(Garbage(self.index, self.word)),
        }
    }

    /// See [`stamp`].
    pub fn stamp(self) -> u64 {
        stamp(self.word)
    }
}

/// The words of all places. Rings no bell.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// The next stamp.
    pub next: &'a AtomicU64,
    /// At most [`MOST_PLACES`].
    pub words: &'a [AtomicU64],
}

impl Places<'_> {
    fn at(&self, index: u32) -> Option<&AtomicU64> {
        self.words.get(index as usize)
    }

    fn change(&self, claim: Claim, state: u64, owner: u32) -> bool {
        step!();
        let next = word(state, owner, claim.stamp());
        // ORDER message, room: full; see the callers.
        self.at(claim.index).is_some_and(|at| at.cas_full(claim.word, next).is_ok())
    }

    /// Claims one of the places from `first` to below `end` for a message of participant `me`. `None`: none is free.
    pub fn claim_send(&self, me: u32, first: u32, end: u32) -> Result<Option<Claim>, Garbage> {
        let mut mine = None;
        for index in first..end {
            let Some(at) = self.at(index) else { break };
            // Relaxed: the exchange decides.
            let seen = at.load(Relaxed);
            if (Claim { index, word: seen }).state()? != State::Free {
                continue;
            }
            // One stamp for the message, drawn only if there is room. Relaxed: it is unique either way, and a sender's
            // own are in order.
            let stamp = *mine.get_or_insert_with(|| stamp(self.next.fetch_add(1, Relaxed).wrapping_add(1) << STAMP));
            let writing = word(WRITING, me, stamp);
            // ORDER room: Acquire; pairs with the release in `release`, `cancel` and `void`.
            if at.compare_exchange(seen, writing, Acquire, Relaxed).is_ok() {
                step!();
                return Ok(Some(Claim { index, word: writing }));
            }
        }
        Ok(None)
    }

    /// Whose claim keeps a place busy that a sender or the receiver may be waiting for, if anybody's.
    pub fn claimed(&self, me: u32) -> Option<Claim> {
        self.each().find(|claim| match claim.state() {
            Ok(State::Writing(who) | State::Reading(who)) => who != me,
            _ => false,
        })
    }

    /// Every place as it is now.
    pub fn each(&self) -> impl Iterator<Item = Claim> + '_ {
        // Acquire: for the edge `message`.
        (0u32..).zip(self.words).map(|(index, word)| Claim { index, word: word.load(Acquire) })
    }

    /// The oldest message that `fits`. What `fits` reads of it is good only once the message is claimed.
    pub fn oldest(&self, fits: impl Fn(u32) -> bool) -> Result<Option<Claim>, Garbage> {
        let mut best: Option<Claim> = None;
        // Each look beyond the second found that somebody else got something done, or writes garbage.
        for _ in 0..2 * self.words.len() + 2 {
            let before = best;
            best = None;
            for at in self.each() {
                if at.state()? == State::Full && best.is_none_or(|b| is_older(at.stamp(), b.stamp())) && fits(at.index)
                {
                    best = Some(at);
                }
            }
            // Looked again, as an older one of the same sender may have come in behind our back. It had come before
            // the younger one, so the second look sees it.
            if best.is_none() || best == before {
                break;
            }
        }
        Ok(best)
    }

    /// Claims the message `at` for participant `me`.
    pub fn claim_receive(&self, at: Claim, me: u32) -> Option<Claim> {
        let reading = word(READING, me, at.stamp());
        // ORDER message: Acquire; pairs with the release in `publish`, which `each` has seen, and in `repair`, if the
        // message was delivered to somebody who died since.
        let ours = self.at(at.index)?.compare_exchange(at.word, reading, Acquire, Relaxed).is_ok();
        step!();
        ours.then_some(Claim { index: at.index, word: reading })
    }

    /// Makes the message receivable. False: the claim is not ours any more. Then ring the receiver's bell.
    #[must_use]
    pub fn publish(&self, claim: Claim) -> bool {
        self.change(claim, FULL, 0)
    }

    /// Gives a sender's place back without a message, or the place of a message that was read. Then ring the senders'.
    #[must_use]
    pub fn release(&self, claim: Claim) -> bool {
        self.change(claim, FREE, 0)
    }

    /// Puts a message back that was claimed and not received. Then ring the receiver's bell.
    pub fn put_back(&self, claim: Claim) -> bool {
        self.change(claim, FULL, 0)
    }

    /// What becomes of the message with this stamp in place `index`; `None`: it is not there any more.
    pub fn carried(&self, index: u32, wanted: u64) -> Option<State> {
        // Acquire: who finds it gone sees what its receiver did before it gave the place back.
        let seen = Claim { index, word: self.at(index)?.load(Acquire) };
        seen.state().ok().filter(|state| seen.stamp() == wanted && *state != State::Free)
    }

    /// Is it there?
    pub fn carries(&self, index: u32, wanted: u64) -> bool {
        self.carried(index, wanted).is_some()
    }

    /// Messages that are there.
    pub fn len(&self) -> Result<u32, Garbage> {
        self.each().try_fold(0, |n, at| Ok(n + u32::from(at.state()? == State::Full)))
    }

    /// Frees the place of a sender that is dead. Needs no repair byte, see the head.
    pub fn void(&self, claim: Claim) -> bool {
        matches!(claim.state(), Ok(State::Writing(_))) && self.release(claim)
    }

    /// Leaves no word that names participant `dead`. The caller holds its repair byte and rings both bells afterwards.
    /// `again`: a message is delivered again.
    pub fn repair(&self, dead: u32, again: impl Fn(u32)) {
        for claim in self.each() {
            match claim.state() {
                Ok(State::Writing(who)) if who == dead => {
                    let _ = self.release(claim);
                }
                Ok(State::Reading(who)) if who == dead => {
                    again(claim.index);
                    step!();
                    let full = word(FULL, 0, claim.stamp());
                    if let Some(at) = self.at(claim.index) {
                        // ORDER message: Release; hands on what `publish` released, and the count. What the dead one did
                        // the kernel has ordered. If it fails, another repaired it.
                        let _ = at.compare_exchange(claim.word, full, Release, Relaxed);
                    }
                }
                // Another's, nobody's, or garbage, which is for its users to report.
                _ => {}
            }
        }
    }
}
