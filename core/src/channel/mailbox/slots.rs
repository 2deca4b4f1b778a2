//! The slots of a mailbox: who may write which, who may read which, and what is put right after a death.
//!
//! Pure algorithm: it knows the control block and the head of each slot, no payload and no segment.
//!
//! # State
//!
//! A *position* is a lap and an index; the mailbox counts positions for ever and slot `index` serves the
//! position `lap` · capacity + `index` while the *turn* in its word equals that lap. `tail` and `head` are
//! hints: who finds the slot they name taken already moves them on (helping), whoever took it.
//!
//! Word of a slot: bits 0–3 state, 4–15 owner (a participant's slot, 0 nobody), 16–31 zero, 32–63 turn.
//!
//! | state        | meaning                                     | next                                              |
//! |--------------|---------------------------------------------|---------------------------------------------------|
//! | `FREE`       | room for the message of this turn           | `WRITING`, by a sender at `tail`                  |
//! | `WRITING(s)` | s writes, or holds a loan                   | `FULL`; cancelled or void: `FREE` of the next turn |
//! | `FULL`       | a message                                   | `READING`, by a receiver at `head`                |
//! | `READING(s)` | s copies it out                             | `FREE` of the next turn; s is dead: `FULL` again  |
//!
//! The compare-and-swap that claims writes the claimer's number, so no claim is anonymous, and there is
//! no instant at which a slot is taken by nobody. `head` carries an epoch besides: see the edge `rewind`.
//! Turns and laps wrap and are compared by the sign of their difference. All zero is an empty mailbox.
//!
//! # Orderings
//!
//! Edge `message`: `publish` releases, the claim of a receiver acquires: it sees the whole message. A
//! redelivery keeps the edge, as every change of a word is a read-modify-write.
//! Edge `room`: `release`, `cancel` and `void` release, the claim of a sender acquires: what the last one
//! read or wrote there is over.
//! Edge `overwrite`: a sender's fence after its claim pairs with the fence of `is_whole`: a peek that
//! copied one byte of the next message sees that the word has changed.
//! Edge `rewind`: repair first makes a slot `FULL` again, then raises the epoch of `head` (Release). Who
//! reads a head of the new epoch (Acquire) sees `FULL`; who read an older one, and perhaps `READING`,
//! fails to move it. Without the epoch such a helper steps over the message, and it is lost.
//! `tail` orders nothing: it is only moved on the evidence of a word.
//!
//! # When a peer dies
//!
//! | killed                                   | left                 | what happens                                        |
//! |------------------------------------------|----------------------|-----------------------------------------------------|
//! | sender, between claim and publish        | `WRITING(dead)`      | made void by the first receiver that reaches it, or by the sweep |
//! | sender, after publish, before the wake   | `FULL`               | delivered; a sleeper finds it at the end of its slice |
//! | anyone, between claim and help           | `tail` or `head` lags | the next one helps                                  |
//! | receiver, between claim and release      | `READING(dead)`      | delivered again, perhaps after younger messages     |
//! | receiver, after release                  | `FREE`               | gone with the process, like any received message    |
//! | who repairs, anywhere                    | half of it           | the next one starts anew; counters may miss one, a redelivery may count one too many |
//!
//! A *stopped* owner is not dead: behind its `WRITING` everybody waits, as first in, first out demands.
//!
//! # Cost
//!
//! Two compare-and-swaps on the slot's line and one on `tail` or `head`, for each send and each receive.

use super::options::{Envelope, Select};
use super::queue::*;
use crate::channel::death::step;
use crate::prim::Full;
use crate::prim::{
    Ordering::{Acquire, Relaxed, Release},
    fence, prefetch,
};

/// Bits of an index in a position: at most 2^20 slots.
const INDEX_BITS: u32 = 20;
pub(super) const INDEX: u64 = (1 << INDEX_BITS) - 1;
/// The epoch of a head: bits 52–63.
const EPOCH: u64 = 0xFFF << 52;
const ONE_EPOCH: u64 = 1 << 52;

/// The most slots a mailbox has.
pub(super) const MOST_SLOTS: u32 = 1 << INDEX_BITS;

/// The lap of a tail or a head: its low 32 bits.
pub(super) fn lap(position: u64) -> u32 {
    (position >> INDEX_BITS) as u32
}

/// How far `turn` is ahead of `lap`; negative: behind.
fn ahead(turn: u32, lap: u32) -> i32 {
    turn.wrapping_sub(lap) as i32
}

/// What a receiver finds at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oldest {
    /// A message, and the head that led to it.
    Message { head: u64, at: Claim },
    /// The oldest place is still being written, or was never given back.
    Barred(Claim),
    /// There is none.
    Nothing,
}

/// All slots of a mailbox.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a, H: Heads> {
    pub control: &'a Control,
    pub heads: &'a H,
    /// 1 to [`MOST_SLOTS`]; ours, not the segment's.
    pub capacity: u32,
    /// How many receivers may have a message in vain; 0: any number.
    pub max_deliveries: u16,
    /// A sender's first look is its claim: one way for the line of the place, where a look and a claim are two. Not where
    /// it looks again and again: that would take the line from the receiver it waits for.
    pub eager: bool,
}

impl<H: Heads> Slots<'_, H> {
    /// How often one call looks before it answers `Nothing`: `head` catches up within two laps (see `past`),
    /// and each look beyond that means that somebody else got something done, or writes garbage.
    #[inline]
    fn looks(&self) -> u32 {
        if cfg!(loom) { 8 } else { 3 * self.capacity + 1024 }
    }

    /// A sender finds the place at `tail` taken: what its attempt comes to. `None`: the tail has moved, look again.
    #[inline]
    fn taken(&self, tail: u64, claim: Claim) -> Result<Option<Attempt>, Garbage> {
        let what = claim.state()?;
        if ahead(turn(claim.word), lap(tail)) >= 0 {
            step!();
            self.help_tail(tail);
        } else if self.control.tail.0.load(Relaxed) == tail {
            // The place of a whole lap ago is still taken: full.
            match what {
                // Full indeed, but of a message no receiver would come to: its repair was cut short.
                State::Full if self.rewind_to(claim) => self.control.rx.0.notify(1),
                State::Full | State::Free => return Ok(Some(Attempt::Nothing)),
                State::Writing(_) | State::Reading(_) => return Ok(Some(Attempt::Barred(claim))),
            }
        }
        Ok(None)
    }

    /// The oldest message that nobody has claimed; moves `head` up to it.
    #[inline]
    pub fn at_head(&self) -> Result<Oldest, Garbage> {
        for _ in 0..self.looks() {
            // ORDER rewind: Acquire; pairs with the Release in `raise_epoch` and `rewind_to`.
            let head = self.control.head.0.load(Acquire);
            let index = self.index(head)?;
            // ORDER message: Acquire; a peek reads the payload on this.
            let seen = self.heads.head(index).word.load(Acquire);
            let at = Claim { index, word: seen };
            if seen == word(FULL, 0, lap(head)) {
                return Ok(Oldest::Message { head, at });
            }
            let what = at.state()?;
            match (ahead(turn(seen), lap(head)).signum(), what) {
                // Somebody has it or had it: it is no longer the oldest.
                (1, _) | (0, State::Reading(_)) => {
                    step!();
                    self.help_head(head, seen);
                }
                (0, State::Free) => return Ok(Oldest::Nothing),
                (0, State::Writing(_)) => return Ok(Oldest::Barred(at)),
                // The head has come round to a place that was not given back in the last lap, or both are old news.
                _ if self.control.head.0.load(Relaxed) != head => {}
                (_, State::Writing(_) | State::Reading(_)) => return Ok(Oldest::Barred(at)),
                (_, State::Full) if self.rewind_to(at) => {}
                (_, State::Full | State::Free) => return Ok(Oldest::Nothing),
            }
        }
        Ok(Oldest::Nothing)
    }

    /// Would a sender find room now?
    #[cfg(any(test, loom))]
    pub fn has_room(&self) -> bool {
        // Relaxed: a guess, for passing a wake on.
        let tail = self.control.tail.0.load(Relaxed);
        self.index(tail).is_ok_and(|i| self.heads.head(i).word.load(Relaxed) == word(FREE, 0, lap(tail)))
    }

    /// Would a receiver find a message now?
    #[cfg(any(test, loom))]
    pub fn has_message(&self) -> bool {
        matches!(self.at_head(), Ok(Oldest::Message { .. }))
    }

    /// The place at which the next receiver looks first, unchecked.
    pub fn head_index(&self) -> u32 {
        (self.control.head.0.load(Relaxed) & INDEX) as u32 // Relaxed: a hint.
    }

    /// Frees the place of a dead sender.
    fn void_quietly(&self, slot: &Head, writing: u64) {
        step!();
        // ORDER room: Release; the dead sender's stores ended with its life, as the kernel says.
        let ours = slot.word.compare_exchange(writing, freed(writing), Release, Relaxed).is_ok();
        // Relaxed: a number to be shown.
        self.control.tally.0.voided.fetch_add(u64::from(ours), Relaxed);
    }

    /// Makes the message of a receiver's claim receivable again, or drops it if that has happened too often. False:
    /// the claim has ended.
    fn refill(&self, slot: &Head, reading: u64) -> bool {
        let died = slot.count_delivery(reading);
        step!();
        let drop = self.max_deliveries != 0 && died >= self.max_deliveries;
        let next = if drop { freed(reading) } else { word(FULL, 0, turn(reading)) };
        // ORDER message, room: Release; hands on what `publish` released, and the count; the receiver's reads are over.
        let ours = slot.word.compare_exchange(reading, next, Release, Relaxed).is_ok();
        let tally = &self.control.tally.0;
        // Relaxed: a number to be shown.
        if drop { &tally.dropped } else { &tally.redelivered }.fetch_add(u64::from(ours), Relaxed);
        step!();
        ours
    }

    /// Moves `head` back to the earliest message behind it, if there is one. In any case afterwards nobody
    /// who saw a dead receiver's `READING` can step over the message that is `FULL` again.
    fn rewind(&self) {
        let Some(head) = self.raise_epoch() else { return };
        step!();
        let mut first: Option<(i32, u32, u32)> = None;
        for index in 0..self.capacity {
            // ORDER rewind: Acquire; for a `FULL` of somebody whose repair was cut short. No model needs it: the repair
            // byte orders it as well.
            let seen = self.heads.head(index).word.load(Acquire);
            let place = (ahead(turn(seen), lap(head)), index);
            let behind = place < (0, (head & INDEX) as u32);
            if seen == word(FULL, 0, turn(seen)) && behind && first.is_none_or(|(a, i, _)| place < (a, i)) {
                first = Some((place.0, index, turn(seen)));
            }
        }
        step!();
        if let Some((_, index, turn)) = first {
            // Several tries: each failure means that somebody moved the head.
            for _ in 0..self.looks() {
                let at = Claim { index, word: word(FULL, 0, turn) };
                if self.rewind_to(at) || !self.is_behind_head(at) {
                    return;
                }
            }
        }
    }

    /// A new epoch for `head`, at the same place; returns the new head.
    fn raise_epoch(&self) -> Option<u64> {
        // Relaxed: only the exchange counts.
        let mut head = self.control.head.0.load(Relaxed);
        for _ in 0..self.looks() {
            let raised = head.wrapping_add(ONE_EPOCH);
            // ORDER rewind: Release; pairs with the Acquire in `at_head`. Full, for `notify`, where `rewind_to` has nothing
            // to move back; nobody sleeps then in a model.
            match self.control.head.0.cas_full(head, raised) {
                Ok(_) => return Some(raised),
                Err(now) => head = now,
            }
        }
        None
    }

    fn is_behind_head(&self, at: Claim) -> bool {
        // Relaxed: the exchange that follows decides.
        let head = self.control.head.0.load(Relaxed);
        (ahead(turn(at.word), lap(head)), at.index) < (0, (head & INDEX) as u32)
    }

    /// Moves `head` back to the message at `at`, if it is past it: nobody else would ever come there again.
    /// The new head is made of the word's own turn, whatever led the caller here.
    #[cold]
    fn rewind_to(&self, at: Claim) -> bool {
        // Relaxed: the exchange decides.
        let head = self.control.head.0.load(Relaxed);
        if (ahead(turn(at.word), lap(head)), at.index) >= (0, (head & INDEX) as u32) {
            return false;
        }
        let back =
            (head & EPOCH).wrapping_add(ONE_EPOCH) | u64::from(turn(at.word)) << INDEX_BITS | u64::from(at.index);
        // ORDER rewind: Release; pairs with the Acquire in `at_head`. Full, for `notify`. For the caller's own `FULL` the
        // Release in `raise_epoch` is enough; this one is for a `FULL` of somebody whose repair was cut short.
        self.control.head.0.cas_full(head, back).is_ok()
    }

    /// Moves `tail` on from a place that is taken.
    #[inline]
    fn help_tail(&self, tail: u64) {
        let next = if (tail & INDEX) + 1 < u64::from(self.capacity) {
            tail + 1
        } else {
            ((tail >> INDEX_BITS) + 1) << INDEX_BITS
        };
        // Relaxed: a hint; a failure means that somebody else did it.
        let _ = self.control.tail.0.compare_exchange(tail, next, Relaxed, Relaxed);
    }

    /// Moves `head` on from a place that is taken, on the evidence of its word; keeps the epoch.
    #[inline]
    fn help_head(&self, head: u64, seen: u64) {
        // Relaxed: a hint; a failure means that somebody else did it, or that repair has moved it back. Being a
        // read-modify-write it hands the edge `rewind` on.
        let _ = self.control.head.0.compare_exchange(head, self.past(head, seen), Relaxed, Relaxed);
    }

    /// The head after `head`, whose slot says `seen`.
    ///
    /// Cancelled and void places move the tail and nobody moves the head, so it can lag by many laps. A slot
    /// in turn t was claimed in turn t - 1, thus every other slot in turn t - 2 at least, if it lies behind
    /// this one; all before that is done with, and skipped at once.
    #[inline]
    fn past(&self, head: u64, seen: u64) -> u64 {
        let far = ahead(turn(seen), lap(head)) > 2;
        let lap = if far { turn(seen).wrapping_sub(2) } else { lap(head) };
        if (head & INDEX) + 1 < u64::from(self.capacity) {
            (head & EPOCH) | u64::from(lap) << INDEX_BITS | ((head & INDEX) + 1)
        } else {
            (head & EPOCH) | u64::from(lap.wrapping_add(1)) << INDEX_BITS
        }
    }

    /// The index of a position, checked against our own capacity.
    #[inline]
    fn index(&self, position: u64) -> Result<u32, Garbage> {
        let index = (position & INDEX) as u32;
        if index < self.capacity { Ok(index) } else { Err(Garbage::Position(position)) }
    }
}

impl<H: Heads> Queue for Slots<'_, H> {
    /// Claims the next place for a message of participant `me`.
    #[inline]
    fn claim_send(&self, me: u32) -> Result<Attempt, Garbage> {
        let mut eager = self.eager;
        for _ in 0..self.looks() {
            // Relaxed: a stale tail names a slot whose word says so.
            let tail = self.control.tail.0.load(Relaxed);
            let index = self.index(tail)?;
            let slot = &self.heads.head(index).word;
            let free = word(FREE, 0, lap(tail));
            let writing = word(WRITING, me, lap(tail));
            // Acquire: the evidence for moving the tail, or for being full, is no older than the tail. Else this call might
            // say full of a place that was freed meanwhile, which no model minds.
            let mut seen = if eager { free } else { slot.load(Acquire) };
            if seen == free {
                // ORDER room: Acquire; pairs with the Release in `release`, `cancel`, `void`.
                // ORDER shut: full; the sender looks for a shutdown after it. (Loom's barrier is a fence behind the exchange,
                // which is an Acquire and a Release, too: it stands for both edges and for the fence below.)
                match slot.cas_full(free, writing) {
                    Ok(_) => {
                        // ORDER overwrite: this fence stands between the claim and the first byte of the message;
                        // `is_whole` has the other. The variables: this word and the payload.
                        fence(Release);
                        step!();
                        self.help_tail(tail);
                        step!();
                        return Ok(Attempt::Claimed(Claim { index, word: writing }));
                    }
                    Err(_) if !eager => continue,
                    // Acquire, as for a look: the fence stands for that of the exchange, which failed.
                    Err(now) => {
                        fence(Acquire);
                        (seen, eager) = (now, false);
                    }
                }
            }
            if let Some(attempt) = self.taken(tail, Claim { index, word: seen })? {
                return Ok(attempt);
            }
        }
        Ok(Attempt::Nothing)
    }

    /// As [`Slots::claim_send`], and claims nothing.
    fn would_send(&self) -> Result<Look, Garbage> {
        for _ in 0..self.looks() {
            // Relaxed and Acquire: as in `claim_send`.
            let tail = self.control.tail.0.load(Relaxed);
            let index = self.index(tail)?;
            let seen = self.heads.head(index).word.load(Acquire);
            let at = Claim { index, word: seen };
            if seen == word(FREE, 0, lap(tail)) {
                return Ok(Look::Ready(at));
            }
            match self.taken(tail, at)? {
                None => {}
                Some(Attempt::Barred(claim)) => return Ok(Look::Barred(claim)),
                Some(_) => return Ok(Look::Nothing),
            }
        }
        Ok(Look::Nothing)
    }

    /// Makes the message of `claim` receivable and wakes a receiver. False: the claim is not ours any more.
    #[inline]
    fn publish(&self, claim: Claim, _envelope: Envelope) -> bool {
        let full = word(FULL, 0, turn(claim.word));
        step!();
        // ORDER message: Release; pairs with the Acquire in `claim_receive` and `at_head`. Full, for `notify`.
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, full).is_ok();
        if ours {
            self.control.rx.0.notify(1);
        }
        ours
    }

    #[inline]
    fn publish_quietly(&self, claim: Claim, _envelope: Envelope) -> bool {
        step!();
        // ORDER message: Release; pairs with the Acquire in `claim_receive` and `at_head`. A plain store: a live owner's
        // word is changed by nobody else.
        self.heads.head(claim.index).word.store(word(FULL, 0, turn(claim.word)), Release);
        true
    }

    #[inline]
    fn release_quietly(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. A plain store: as above.
        self.heads.head(claim.index).word.store(freed(claim.word), Release);
        true
    }

    /// Gives a sender's place back without a message; receivers step over it. False: not ours any more.
    fn cancel(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`. (In loom two full barriers order
        // all that stands around them, so only `release_quietly` shows the edge.)
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
            // There may be messages behind it.
            self.control.rx.0.notify(1);
        }
        ours
    }

    /// Claims the oldest message for participant `me`.
    #[inline]
    fn claim_receive(&self, me: u32, _ask: &Ask) -> Result<Attempt, Garbage> {
        for _ in 0..self.looks() {
            let (head, at) = match self.at_head()? {
                Oldest::Message { head, at } => (head, at),
                Oldest::Barred(claim) => return Ok(Attempt::Barred(claim)),
                Oldest::Nothing => return Ok(Attempt::Nothing),
            };
            let reading = word(READING, me, turn(at.word));
            // The rest of the message travels while the claim waits for its line.
            prefetch(std::ptr::from_ref(self.heads.head(at.index)).cast::<u8>().wrapping_add(64));
            // ORDER message: Acquire; pairs with the Release in `publish`.
            if self.heads.head(at.index).word.compare_exchange(at.word, reading, Acquire, Relaxed).is_ok() {
                step!();
                self.help_head(head, reading);
                step!();
                return Ok(Attempt::Claimed(Claim { index: at.index, word: reading }));
            }
        }
        Ok(Attempt::Nothing)
    }

    fn oldest(&self, _select: Select) -> Result<Look, Garbage> {
        Ok(match self.at_head()? {
            Oldest::Message { at, .. } => Look::Ready(at),
            Oldest::Barred(claim) => Look::Barred(claim),
            Oldest::Nothing => Look::Nothing,
        })
    }

    /// Was the message that `at_head` found at `at` still there when the caller had copied it? Taken by a
    /// receiver is fine, overwritten is not.
    #[inline]
    fn is_whole(&self, at: Claim) -> bool {
        // ORDER overwrite: this fence stands between the last byte copied and this load; the sender's
        // between its claim and its first byte. The variables: the payload and this word.
        fence(Acquire);
        let now = self.heads.head(at.index).word.load(Relaxed);
        turn(now) == turn(at.word) && matches!(state(now), FULL | READING | HOLDING)
    }

    /// Gives the place of a message that was read back and wakes a sender. False: not ours any more.
    #[inline]
    fn release(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`.
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
        }
        ours
    }

    /// A receiver gives its message back: the next one gets it, unless the head has gone on meanwhile and somebody
    /// is at a younger one. False: not ours any more.
    fn give_back(&self, claim: Claim) -> bool {
        // Not the count of another's message.
        let ours = self.stands(claim) && self.refill(self.heads.head(claim.index), claim.word);
        if ours {
            // As in `repair`: who saw `READING` must not step over the message that is `FULL` again.
            self.rewind();
            // `rewind` ends in a full barrier. It may have been dropped: then there is room.
            self.control.rx.0.notify(1);
            self.control.tx.0.notify(1);
        }
        ours
    }

    /// Does `claim` stand, word for word?
    fn stands(&self, claim: Claim) -> bool {
        // Relaxed: what follows from the answer is another compare-and-swap.
        claim.index < self.capacity && self.heads.head(claim.index).word.load(Relaxed) == claim.word
    }

    /// As `cancel`, of a sender that is dead. Needs no repair byte: no later claim has this turn, so an old
    /// verdict does no harm. False: somebody was faster.
    fn void(&self, claim: Claim) -> bool {
        let done = claim.is_writing() && self.cancel(claim);
        if done {
            // Relaxed: a number to be shown.
            self.control.tally.0.voided.fetch_add(1, Relaxed);
        }
        done
    }

    /// Messages in it: at most the capacity, and true for a moment only.
    fn len(&self) -> Result<u32, Garbage> {
        // Relaxed, here and below: numbers to be shown.
        let mut at = self.control.head.0.load(Relaxed);
        let mut len = 0;
        for _ in 0..self.looks() {
            let index = self.index(at)?;
            let seen = self.heads.head(index).word.load(Relaxed);
            if seen == word(FULL, 0, lap(at)) {
                len += 1;
            } else if seen == word(FREE, 0, lap(at)) || ahead(turn(seen), lap(at)) < 0 {
                break; // the tail is here, whether or not it lags
            }
            at = self.past(at, seen);
        }
        Ok(len.min(self.capacity))
    }

    /// After a shutdown: a message that is still there, else a sender's claim, else a receiver's. The caller has seen
    /// the shutdown and made a full barrier since (edge `shut`), so a claim not seen here ends without a message.
    fn left(&self, _select: Select) -> Result<Look, Garbage> {
        let mut claims = [None; 2];
        for index in 0..self.capacity {
            // ORDER rewind: Acquire; as in `rewind`.
            let at = Claim { index, word: self.heads.head(index).word.load(Acquire) };
            match at.state()? {
                State::Free => {}
                State::Writing(_) => claims[0] = Some(at),
                State::Reading(_) => claims[1] = Some(at),
                State::Full => {
                    // Behind the head, if its repair was cut short.
                    self.rewind_to(at);
                    return Ok(Look::Ready(at));
                }
            }
        }
        Ok(claims[0].or(claims[1]).map_or(Look::Nothing, Look::Barred))
    }

    fn claims(&self, each: &mut dyn FnMut(Claim)) {
        for index in 0..self.capacity {
            // Relaxed: to be shown.
            let at = Claim { index, word: self.heads.head(index).word.load(Relaxed) };
            if matches!(at.state(), Ok(State::Writing(_) | State::Reading(_))) {
                each(at);
            }
        }
    }

    /// Leaves no word that names participant `dead`. The caller holds its repair byte and knows that it is
    /// dead: a message made `FULL` again keeps its turn, so this must not act on an old verdict.
    /// Wakes nobody: the caller rings both bells afterwards.
    fn repair(&self, dead: u32) {
        for index in 0..self.capacity {
            let slot = self.heads.head(index);
            // Relaxed: the exchange decides, and the kernel has ordered what the dead did.
            let seen = slot.word.load(Relaxed);
            match (Claim { index, word: seen }).state() {
                Ok(State::Writing(who)) if who == dead => self.void_quietly(slot, seen),
                Ok(State::Reading(who)) if who == dead => drop(self.refill(slot, seen)),
                // Another's, nobody's, or garbage, which is for its users to report.
                _ => {}
            }
        }
        self.rewind();
    }
}
