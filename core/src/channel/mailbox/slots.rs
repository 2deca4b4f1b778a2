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

use crate::prim::{AtomicU32, AtomicU64, Full};
use crate::prim::{
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    fence,
};
use crate::wait::EventCount;

/// Bits of an index in a position: at most 2^20 slots.
const INDEX_BITS: u32 = 20;
const INDEX: u64 = (1 << INDEX_BITS) - 1;
/// The epoch of a head: bits 52–63.
const EPOCH: u64 = 0xFFF << 52;
const ONE_EPOCH: u64 = 1 << 52;

/// The most slots a mailbox has.
pub(super) const MOST_SLOTS: u32 = 1 << INDEX_BITS;

const FREE: u64 = 0;
const WRITING: u64 = 1;
const FULL: u64 = 2;
const READING: u64 = 3;

/// A value on a pair of cache lines of its own.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Apart<T>(pub T);

/// A value on a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Line<T>(pub T);

/// What is seldom counted. A process killed between repair and count leaves one out.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Tally {
    /// Claims of dead senders that were given back.
    pub voided: AtomicU64,
    /// Messages that a dead receiver held and that were made receivable again.
    pub redelivered: AtomicU64,
}

/// The first 512 bytes of a mailbox. All zero bytes are an empty one.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Control {
    /// {lap: 44, index: 20}: where the next sender looks first. Only ever moves on.
    tail: Apart<AtomicU64>,
    /// {epoch: 12, lap: 32, index: 20}: where the next receiver looks first. Repair moves it back.
    head: Apart<AtomicU64>,
    /// Receivers and peekers sleep here.
    pub rx: Line<EventCount>,
    /// Senders sleep here.
    pub tx: Line<EventCount>,
    pub tally: Line<Tally>,
}

#[cfg(not(loom))]
const _: () = {
    assert!(std::mem::offset_of!(Control, tail) == 0);
    assert!(std::mem::offset_of!(Control, head) == 128);
    assert!(std::mem::offset_of!(Control, rx) == 256);
    assert!(std::mem::offset_of!(Control, tx) == 320);
    assert!(std::mem::offset_of!(Control, tally) == 384);
    assert!(size_of::<Control>() == 512 && align_of::<Control>() == 128);
};

/// The first 16 bytes of a slot; the payload follows.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Head {
    word: AtomicU64,
    /// Bytes of the message. Stored by the owner of `WRITING` only; a stranger's number to everybody else.
    pub len: AtomicU32,
    /// How many receivers died with it (low half); the high half is zero.
    pub deliveries: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 16 && align_of::<Head>() == 8);

#[cfg(any(test, loom))]
impl Control {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Control {
        Control {
            tail: Apart(AtomicU64::new(0)),
            head: Apart(AtomicU64::new(0)),
            rx: Line(EventCount::new()),
            tx: Line(EventCount::new()),
            tally: Line(Tally { voided: AtomicU64::new(0), redelivered: AtomicU64::new(0) }),
        }
    }

    /// Any positions, good or bad.
    #[cfg(not(loom))]
    pub fn set(&self, tail: u64, head: u64) {
        self.tail.0.store(tail, Relaxed);
        self.head.0.store(head, Relaxed);
    }
}

#[cfg(any(test, loom))]
impl Head {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Head {
        Head { word: AtomicU64::new(0), len: AtomicU32::new(0), deliveries: AtomicU32::new(0) }
    }

    /// The word as it is.
    #[cfg(not(loom))]
    pub fn word_now(&self) -> u64 {
        self.word.load(Relaxed)
    }

    /// Any word, good or bad.
    #[cfg(not(loom))]
    pub fn set_word(&self, word: u64) {
        self.word.store(word, Relaxed);
    }

    /// The turn of a free slot; `None` if it is not free.
    pub fn free_turn(&self) -> Option<u32> {
        let seen = self.word.load(Relaxed);
        (seen == word(FREE, 0, turn(seen))).then(|| turn(seen))
    }
}

fn state(word: u64) -> u64 {
    word & 0xF
}

fn owner(word: u64) -> u32 {
    (word >> 4) as u32 & 0xFFF
}

fn turn(word: u64) -> u32 {
    (word >> 32) as u32
}

/// A word; the owner is a participant's slot, below 4096.
fn word(state: u64, owner: u32, turn: u32) -> u64 {
    state | u64::from(owner & 0xFFF) << 4 | u64::from(turn) << 32
}

/// The free word that follows `taken`, whoever has it.
fn freed(taken: u64) -> u64 {
    word(FREE, 0, turn(taken).wrapping_add(1))
}

/// The lap of a tail or a head: its low 32 bits.
fn lap(position: u64) -> u32 {
    (position >> INDEX_BITS) as u32
}

/// How far `turn` is ahead of `lap`; negative: behind.
fn ahead(turn: u32, lap: u32) -> i32 {
    turn.wrapping_sub(lap) as i32
}

/// What a word says.
enum State {
    Free,
    Writing(u32),
    Full,
    Reading(u32),
}

/// Something in the segment that no process of ours wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// Slot and word.
    Word(u32, u64),
    /// An index beyond the last slot, in `tail` or `head`.
    Position(u64),
}

/// A claim, our own or somebody else's: a slot and the exact word that made it theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub index: u32,
    pub word: u64,
}

impl Claim {
    /// Whose it is.
    pub fn owner(self) -> u32 {
        owner(self.word)
    }

    /// Is it a sender's claim of participant `me`?
    pub fn is_writing_of(self, me: u32) -> bool {
        state(self.word) == WRITING && me != 0 && self.word == word(WRITING, me, turn(self.word))
    }

    /// Is it a sender's?
    pub fn is_writing(self) -> bool {
        state(self.word) == WRITING
    }
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The slot is the caller's.
    Claimed(Claim),
    /// This claim of another participant must end first.
    Barred(Claim),
    /// Full, or empty; or others were faster as often as one call tries.
    Nothing,
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

/// Heads of slots by index.
///
/// # Safety
/// - `head(i)` for each `i` below the capacity handed to [`Slots`] is the same live head each time, and no
///   other's: otherwise two processes own one slot.
pub(super) unsafe trait Heads {
    /// The head of slot `index`, which is below the capacity.
    fn head(&self, index: u32) -> &Head;
}

/// All slots of a mailbox.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a, H: Heads> {
    pub control: &'a Control,
    pub heads: &'a H,
    /// 1 to [`MOST_SLOTS`]; ours, not the segment's.
    pub capacity: u32,
}

/// Kills the calling thread here, in the tests that ask for it.
macro_rules! step {
    () => {
        #[cfg(any(test, loom))]
        super::death::step();
    };
}

impl<H: Heads> Slots<'_, H> {
    /// How often one call looks before it answers `Nothing`: `head` catches up within two laps (see `past`),
    /// and each look beyond that means that somebody else got something done, or writes garbage.
    #[inline]
    fn looks(&self) -> u32 {
        if cfg!(loom) { 8 } else { 3 * self.capacity + 1024 }
    }

    /// Claims the next place for a message of participant `me`.
    #[inline]
    pub fn claim_send(&self, me: u32) -> Result<Attempt, Garbage> {
        for _ in 0..self.looks() {
            // Relaxed: a stale tail names a slot whose word says so.
            let tail = self.control.tail.0.load(Relaxed);
            let index = self.index(tail)?;
            let slot = &self.heads.head(index).word;
            let free = word(FREE, 0, lap(tail));
            let writing = word(WRITING, me, lap(tail));
            // Acquire: the evidence for moving the tail, or for being full, is no older than the tail.
            let seen = slot.load(Acquire);
            if seen == free {
                // ORDER room: Acquire; pairs with the Release in `release`, `cancel`, `void`.
                if slot.compare_exchange(free, writing, Acquire, Relaxed).is_ok() {
                    // ORDER overwrite: this fence stands between the claim and the first byte of the message;
                    // `is_whole` has the other. The variables: this word and the payload.
                    fence(Release);
                    step!();
                    self.help_tail(tail);
                    step!();
                    return Ok(Attempt::Claimed(Claim { index, word: writing }));
                }
                continue;
            }
            if let Some(attempt) = self.taken(tail, Claim { index, word: seen })? {
                return Ok(attempt);
            }
        }
        Ok(Attempt::Nothing)
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

    /// As [`Slots::claim_send`], and claims nothing: `None` where it would have claimed.
    pub fn would_send(&self) -> Result<Option<Attempt>, Garbage> {
        for _ in 0..self.looks() {
            // Relaxed and Acquire: as in `claim_send`.
            let tail = self.control.tail.0.load(Relaxed);
            let index = self.index(tail)?;
            let seen = self.heads.head(index).word.load(Acquire);
            if seen == word(FREE, 0, lap(tail)) {
                return Ok(None);
            }
            if let Some(attempt) = self.taken(tail, Claim { index, word: seen })? {
                return Ok(Some(attempt));
            }
        }
        Ok(Some(Attempt::Nothing))
    }

    /// Makes the message of `claim` receivable and wakes a receiver. False: the claim is not ours any more.
    #[inline]
    #[must_use]
    pub fn publish(&self, claim: Claim) -> bool {
        let full = word(FULL, 0, turn(claim.word));
        step!();
        // ORDER message: Release; pairs with the Acquire in `claim_receive` and `oldest`. Full, for `notify`.
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, full).is_ok();
        if ours {
            self.control.rx.0.notify(1);
        }
        ours
    }

    /// Gives a sender's place back without a message; receivers step over it. False: not ours any more.
    #[must_use]
    pub fn cancel(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`.
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
            // There may be messages behind it.
            self.control.rx.0.notify(1);
        }
        ours
    }

    /// As `cancel`, of a sender that is dead. Needs no repair byte: no later claim has this turn, so an old
    /// verdict does no harm. False: somebody was faster.
    pub fn void(&self, claim: Claim) -> bool {
        let done = claim.is_writing() && self.cancel(claim);
        if done {
            // Relaxed: a number to be shown.
            self.control.tally.0.voided.fetch_add(1, Relaxed);
        }
        done
    }

    /// The oldest message that nobody has claimed; moves `head` up to it.
    #[inline]
    pub fn oldest(&self) -> Result<Oldest, Garbage> {
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

    /// Claims the oldest message for participant `me`.
    #[inline]
    pub fn claim_receive(&self, me: u32) -> Result<Attempt, Garbage> {
        for _ in 0..self.looks() {
            let (head, at) = match self.oldest()? {
                Oldest::Message { head, at } => (head, at),
                Oldest::Barred(claim) => return Ok(Attempt::Barred(claim)),
                Oldest::Nothing => return Ok(Attempt::Nothing),
            };
            let reading = word(READING, me, turn(at.word));
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

    /// Gives the place of a message that was read back and wakes a sender. False: not ours any more.
    #[inline]
    #[must_use]
    pub fn release(&self, claim: Claim) -> bool {
        step!();
        // ORDER room: Release; pairs with the Acquire in `claim_send`. Full, for `notify`.
        let ours = self.heads.head(claim.index).word.cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.tx.0.notify(1);
        }
        ours
    }

    /// Was the message that `oldest` found at `at` still there when the caller had copied it? Taken by a
    /// receiver is fine, overwritten is not.
    #[inline]
    pub fn is_whole(&self, at: Claim) -> bool {
        // ORDER overwrite: this fence stands between the last byte copied and this load; the sender's
        // between its claim and its first byte. The variables: the payload and this word.
        fence(Acquire);
        let now = self.heads.head(at.index).word.load(Relaxed);
        turn(now) == turn(at.word) && matches!(state(now), FULL | READING)
    }

    /// Does `claim` stand, word for word?
    pub fn stands(&self, claim: Claim) -> bool {
        // Relaxed: what follows from the answer is another compare-and-swap.
        claim.index < self.capacity && self.heads.head(claim.index).word.load(Relaxed) == claim.word
    }

    /// Would a sender find room now?
    pub fn has_room(&self) -> bool {
        // Relaxed: a guess, for passing a wake on.
        let tail = self.control.tail.0.load(Relaxed);
        self.index(tail).is_ok_and(|i| self.heads.head(i).word.load(Relaxed) == word(FREE, 0, lap(tail)))
    }

    /// Would a receiver find a message now?
    pub fn has_message(&self) -> bool {
        matches!(self.oldest(), Ok(Oldest::Message { .. }))
    }

    /// Messages in it: at most the capacity, and true for a moment only.
    pub fn len(&self) -> Result<u32, Garbage> {
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

    /// Leaves no word that names participant `dead`. The caller holds its repair byte and knows that it is
    /// dead: a message made `FULL` again keeps its turn, so this must not act on an old verdict.
    /// Wakes nobody: the caller rings both bells afterwards.
    pub fn repair(&self, dead: u32) {
        for index in 0..self.capacity {
            let slot = self.heads.head(index);
            // Acquire: as for the claims.
            let seen = slot.word.load(Acquire);
            match (Claim { index, word: seen }).state() {
                Ok(State::Writing(who)) if who == dead => self.void_quietly(slot, seen),
                Ok(State::Reading(who)) if who == dead => self.refill(slot, seen),
                // Another's, nobody's, or garbage, which is for its users to report.
                _ => {}
            }
        }
        self.rewind();
    }

    /// Frees the place of a dead sender.
    fn void_quietly(&self, slot: &Head, writing: u64) {
        step!();
        // ORDER room: AcqRel; the dead sender's stores ended with its life.
        let ours = slot.word.compare_exchange(writing, freed(writing), AcqRel, Relaxed).is_ok();
        // Relaxed: a number to be shown.
        self.control.tally.0.voided.fetch_add(u64::from(ours), Relaxed);
    }

    /// Makes the message that a dead receiver held receivable again.
    fn refill(&self, slot: &Head, reading: u64) {
        // First the count, then the message: who receives it reads a count that is not too small.
        // Relaxed: the word orders it.
        let died = (slot.deliveries.load(Relaxed) & 0xFFFF).saturating_add(1).min(0xFFFF);
        slot.deliveries.store(died, Relaxed);
        step!();
        // ORDER message: AcqRel; hands on what `publish` released, and the dead receiver's reads are over.
        let ours = slot.word.compare_exchange(reading, word(FULL, 0, turn(reading)), AcqRel, Relaxed).is_ok();
        // Relaxed: a number to be shown.
        self.control.tally.0.redelivered.fetch_add(u64::from(ours), Relaxed);
        step!();
    }

    /// Moves `head` back to the earliest message behind it, if there is one. In any case afterwards nobody
    /// who saw a dead receiver's `READING` can step over the message that is `FULL` again.
    fn rewind(&self) {
        let Some(head) = self.raise_epoch() else { return };
        step!();
        let mut first: Option<(i32, u32, u32)> = None;
        for index in 0..self.capacity {
            // Acquire: as in `repair`.
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
            // ORDER rewind: AcqRel; pairs with the Acquire in `oldest`.
            match self.control.head.0.compare_exchange(head, raised, AcqRel, Relaxed) {
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
        // Acquire: the word below is looked at no earlier.
        let head = self.control.head.0.load(Acquire);
        if (ahead(turn(at.word), lap(head)), at.index) >= (0, (head & INDEX) as u32) {
            return false;
        }
        let back =
            (head & EPOCH).wrapping_add(ONE_EPOCH) | u64::from(turn(at.word)) << INDEX_BITS | u64::from(at.index);
        // ORDER rewind: Release; pairs with the Acquire in `oldest`. Full, for `notify`.
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

impl Claim {
    /// The state, owner and zero bits of a word, all of them checked.
    fn state(self) -> Result<State, Garbage> {
        match (state(self.word), owner(self.word), (self.word >> 16) & 0xFFFF) {
            (FREE, 0, 0) => Ok(State::Free),
            (WRITING, who @ 1.., 0) => Ok(State::Writing(who)),
            (FULL, 0, 0) => Ok(State::Full),
            (READING, who @ 1.., 0) => Ok(State::Reading(who)),
            _ => Err(Garbage::Word(self.index, self.word)),
        }
    }
}
