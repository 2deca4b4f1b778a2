//! What all the algorithms behind a mailbox have in common: the control block, the head of a place, claims, and the
//! calls that the handle makes.
//!
//! | algorithm       | file            | a place is                                    | order                              |
//! |-----------------|-----------------|-----------------------------------------------|------------------------------------|
//! | bounded, FIFO   | `slots.rs`      | a slot of a ring                              | first in, first out                |
//! | bounded, sorted | `sorted.rs`     | a slot of a pool, with an entry in a directory | priority, then age; or by type     |
//! | rendezvous      | `rendezvous/`   | a slot of a ring, where a sender waits        | first come, first served           |
//! | unbounded       | `pages/`        | a slot of a ring, its memory comes and goes   | first in, first out                |
//!
//! Whatever the algorithm: a place is claimed by a compare-and-swap that writes the claimer's number, so no claim is
//! anonymous; a sender's claim ends in `publish` or `cancel`, a receiver's in `release` or `give_back`; between claim
//! and end the payload is the claimer's alone. The handle copies, waits, asks for the dead, and speaks in sentences;
//! the algorithm does none of it.
//!
//! # Orderings
//!
//! Edge `message`: `publish` releases, the claim of a receiver acquires: it sees the whole message. A redelivery keeps
//! the edge, as every change of a word is a read-modify-write.
//! Edge `room`: `release`, `cancel` and `void` release, the claim of a sender acquires: what the last one read or wrote
//! there is over.
//! Edge `shut`: the claim of a sender is a full barrier, and it looks for a shutdown after it; whoever sees the
//! shutdown and then a full barrier later looks for claims sees that one.

use super::options::{Envelope, Select};
use crate::prim::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::segment::object::InSegment;
use crate::wait::EventCount;
use std::cell::Cell;

pub(super) const FREE: u64 = 0;
pub(super) const WRITING: u64 = 1;
pub(super) const FULL: u64 = 2;
pub(super) const READING: u64 = 3;
/// At a rendezvous: read in place, so that its sender need not wait any more.
pub(super) const HOLDING: u64 = 4;

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
    /// Messages that a receiver held and that were made receivable again.
    pub redelivered: AtomicU64,
    /// Messages that were dropped because too many receivers died with them.
    pub dropped: AtomicU64,
}

/// The first 512 bytes of a mailbox. All zero bytes are an empty one.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Control {
    /// Where the next sender looks first; what a position is, each algorithm says.
    pub tail: Apart<AtomicU64>,
    /// Where the next receiver looks first.
    pub head: Apart<AtomicU64>,
    /// Receivers and peekers sleep here.
    pub rx: Line<EventCount>,
    /// Senders sleep here.
    pub tx: Line<EventCount>,
    pub tally: Line<Tally>,
    /// At a rendezvous, senders sleep here that wait until a receiver has their message, or until one is there.
    pub met: Line<EventCount>,
}

#[cfg(not(loom))]
const _: () = {
    assert!(std::mem::offset_of!(Control, tail) == 0);
    assert!(std::mem::offset_of!(Control, head) == 128);
    assert!(std::mem::offset_of!(Control, rx) == 256);
    assert!(std::mem::offset_of!(Control, tx) == 320);
    assert!(std::mem::offset_of!(Control, tally) == 384);
    assert!(std::mem::offset_of!(Control, met) == 448);
    assert!(size_of::<Control>() == 512 && align_of::<Control>() == 128);
};

// SAFETY: `repr(C)`, made of prim's atomics and of eventcounts, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}

/// The first 16 bytes of a place; the payload follows.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Head {
    pub word: AtomicU64,
    /// Bytes of the message. Stored by the owner of `WRITING` only; a stranger's number to everybody else.
    pub len: AtomicU32,
    /// How many receivers died with the message, or gave it back (low half), and 16 bits of its turn (high half).
    deliveries: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 16 && align_of::<Head>() == 8);

// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl InSegment for Head {}

impl Control {
    /// Wakes everybody.
    pub fn ring(&self) {
        self.rx.0.ring();
        self.tx.0.ring();
        self.met.0.ring();
    }
}

#[cfg(any(test, loom))]
impl Control {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Control {
        Control {
            tail: Apart(AtomicU64::new(0)),
            head: Apart(AtomicU64::new(0)),
            rx: Line(EventCount::new()),
            tx: Line(EventCount::new()),
            tally: Line(Tally {
                voided: AtomicU64::new(0),
                redelivered: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            }),
            met: Line(EventCount::new()),
        }
    }

    /// Any positions, good or bad.
    #[cfg(not(loom))]
    pub fn set(&self, tail: u64, head: u64) {
        self.tail.0.store(tail, Relaxed);
        self.head.0.store(head, Relaxed);
    }
}

impl Head {
    /// Nobody has had the message of `writing` yet. By its sender, before it is published.
    #[inline]
    pub fn begin_deliveries(&self, writing: u64) {
        // Relaxed: `publish` releases it (edge `message`).
        self.deliveries.store(turn(writing) << 16, Relaxed);
    }

    /// How many receivers have had the message of `claimed` in vain.
    #[inline]
    pub fn deliveries(&self, claimed: u64) -> u16 {
        // Relaxed: the claim of whoever asks has acquired it (edge `message`); a peek looks at the word again.
        let seen = self.deliveries.load(Relaxed);
        if seen >> 16 == turn(claimed) & 0xFFFF { seen as u16 } else { 0 }
    }

    /// One more receiver, whose claim is `reading`, had the message in vain; returns how many. Before the word changes: who
    /// receives it reads a count that is not too small.
    ///
    /// Whoever counts late, for a claim that has ended meanwhile, counts nothing: the next sender has stored another turn
    /// before it published. (After 65,536 messages in one place, while somebody stands here, it is the same again.)
    pub fn count_delivery(&self, reading: u64) -> u16 {
        // Relaxed, here and below: the claim was seen, and with it what its receiver had acquired, the count of this turn:
        // our own claim, or that of a dead one, whose end the kernel orders. The exchange sees a later turn if there is one,
        // as it reads the newest value; the exchange of the word releases the count.
        let mut seen = self.deliveries.load(Relaxed);
        // Several tries: each failure means that somebody counted, or sent.
        for _ in 0..4 {
            let died = (seen as u16).saturating_add(1);
            if seen >> 16 != turn(reading) & 0xFFFF {
                break;
            }
            match self.deliveries.compare_exchange(seen, seen & 0xFFFF_0000 | u32::from(died), Relaxed, Relaxed) {
                Ok(_) => return died,
                Err(now) => seen = now,
            }
        }
        // The claim has ended, which its caller finds out; or garbage.
        (seen as u16).saturating_add(1)
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

pub(super) fn state(word: u64) -> u64 {
    word & 0xF
}

pub(super) fn owner(word: u64) -> u32 {
    (word >> 4) as u32 & 0xFFF
}

pub(super) fn turn(word: u64) -> u32 {
    (word >> 32) as u32
}

/// A word: bits 0–3 state, 4–15 owner (a participant's slot, below 4096; 0 nobody), 16–31 zero, 32–63 turn.
pub(super) fn word(state: u64, owner: u32, turn: u32) -> u64 {
    state | u64::from(owner & 0xFFF) << 4 | u64::from(turn) << 32
}

/// The free word that follows `taken`, whoever has it.
pub(super) fn freed(taken: u64) -> u64 {
    word(FREE, 0, turn(taken).wrapping_add(1))
}

/// What a word of these four states says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Writing(u32),
    Full,
    Reading(u32),
}

/// Something in the segment that no process of ours wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// Place and word.
    Word(u32, u64),
    /// A position beyond the last place.
    Position(u64),
    /// Page and word, of an unbounded mailbox.
    Page(u32, u64),
}

/// A claim, our own or somebody else's: a place and the exact word that made it theirs.
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
        me != 0 && self.word == word(WRITING, me, turn(self.word))
    }

    /// Is it a receiver's claim of participant `me`?
    pub fn is_reading_of(self, me: u32) -> bool {
        me != 0 && self.word == word(READING, me, turn(self.word))
    }

    /// Is it a sender's?
    pub fn is_writing(self) -> bool {
        state(self.word) == WRITING
    }

    /// The state, owner and zero bits of a word, all of them checked.
    pub fn state(self) -> Result<State, Garbage> {
        match (state(self.word), owner(self.word), (self.word >> 16) & 0xFFFF) {
            (FREE, 0, 0) => Ok(State::Free),
            (WRITING, who @ 1.., 0) => Ok(State::Writing(who)),
            (FULL, 0, 0) => Ok(State::Full),
            (READING | HOLDING, who @ 1.., 0) => Ok(State::Reading(who)),
            _ => Err(Garbage::Word(self.index, self.word)),
        }
    }
}

/// Why nothing can be sent, however long one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The mailbox is unbounded up to its ceiling, and is there.
    Ceiling,
    /// The system has no memory for another page; its error number.
    NoMemory(i32),
}

/// How an attempt to claim went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The place is the caller's.
    Claimed(Claim),
    /// This claim of another participant must end first.
    Barred(Claim),
    /// No room, or no message; or others were faster as often as one call tries.
    Nothing,
    /// No room, and waiting will not help.
    Refused(Refusal),
}

/// What somebody who looks finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A message, or room: the place and the word that says so.
    Ready(Claim),
    /// This claim of another participant must end first.
    Barred(Claim),
    /// Nothing.
    Nothing,
}

/// What one call of `receive` asks for.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub select: Select,
    /// Does the call wait, or only try?
    pub waits: Cell<bool>,
    /// At a rendezvous: its seat among those who wait.
    pub seat: Cell<Option<usize>>,
}

/// What became of a message that was published at a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// The receiver has it.
    Over,
    /// Nobody has it yet. Who copies it just now is named; else 0.
    NotYet(u32),
}

/// Heads of places by index.
///
/// # Safety
/// - `head(i)` for each `i` below the number of places handed to an algorithm is the same live head each time, and no
///   other's: otherwise two processes own one place.
pub(super) unsafe trait Heads {
    /// The head of place `index`, which is below the number of places.
    fn head(&self, index: u32) -> &Head;
}

/// An algorithm. Every call is bounded, and none waits.
pub(super) trait Queue {
    /// Claims a place for a message of participant `me`, with a full barrier.
    fn claim_send(&self, me: u32) -> Result<Attempt, Garbage>;
    /// As `claim_send`, and claims nothing.
    fn would_send(&self) -> Result<Look, Garbage>;
    /// Makes the message of a claim receivable and wakes receivers. False: the claim is not ours any more.
    fn publish(&self, claim: Claim, envelope: Envelope) -> bool;
    /// As `publish`, of a place that was claimed in the same call, without a barrier and without a wake: a `publish`
    /// follows.
    fn publish_quietly(&self, claim: Claim, envelope: Envelope) -> bool {
        self.publish(claim, envelope)
    }
    /// Gives a sender's place back without a message. False: not ours any more.
    fn cancel(&self, claim: Claim) -> bool;

    /// Claims the message that comes first for participant `me`.
    fn claim_receive(&self, me: u32, ask: &Ask) -> Result<Attempt, Garbage>;
    /// The message that comes first among those that `select` asks for; claims nothing.
    fn oldest(&self, select: Select) -> Result<Look, Garbage>;
    /// Was the message that `oldest` found still there when the caller had copied it?
    fn is_whole(&self, at: Claim) -> bool;
    /// What is written on a message; good while a claim stands, or until `is_whole` has said so.
    fn envelope(&self, _at: Claim) -> Envelope {
        Envelope::default()
    }
    /// Gives the place of a message that was read back and wakes a sender. False: not ours any more.
    fn release(&self, claim: Claim) -> bool;
    /// As `release`, of a message that was claimed in the same call, without a barrier and without a wake: a `release`
    /// follows.
    fn release_quietly(&self, claim: Claim) -> bool {
        self.release(claim)
    }
    /// Makes a claimed message receivable again, counts that, and wakes receivers. False: not ours any more.
    fn give_back(&self, claim: Claim) -> bool;

    /// A receive call of participant `me` ends without a claim.
    fn withdraw(&self, _me: u32, _ask: &Ask) {}
    /// The receiver of `claim` reads it in place from now on: its claim. `None`: its sender has taken it back.
    fn hold(&self, claim: Claim) -> Option<Claim> {
        Some(claim)
    }
    /// What became of the message that `claim` published.
    fn handed_over(&self, _claim: Claim) -> Result<Handed, Garbage> {
        Ok(Handed::Over)
    }
    /// Takes a published message back that nobody has received. False: somebody has, or holds it.
    fn take_back(&self, _claim: Claim) -> bool {
        false
    }

    /// Is it a sender's claim of participant `me`, by its looks?
    fn is_loan(&self, claim: Claim, me: u32) -> bool {
        claim.is_writing_of(me)
    }
    /// Is it a receiver's claim of participant `me`, by its looks?
    fn is_borrow(&self, claim: Claim, me: u32) -> bool {
        claim.is_reading_of(me)
    }
    /// Does `claim` stand, word for word?
    fn stands(&self, claim: Claim) -> bool;
    /// Ends the claim of a participant that is dead, where that needs no repair byte: no later claim has this word.
    fn void(&self, claim: Claim) -> bool;
    /// Messages in it: true for a moment only.
    fn len(&self) -> Result<u32, Garbage>;
    /// After a shutdown: a message that is still to be received and that `select` asks for, else a claim that stands, a
    /// sender's first. The caller has seen the shutdown and made a full barrier since, so a claim that is not seen here
    /// ends without a message (edge `shut`).
    fn left(&self, select: Select) -> Result<Look, Garbage>;
    /// Calls `each` with every claim that stands: for observers.
    fn claims(&self, each: &mut dyn FnMut(Claim));
    /// Leaves no word that names participant `dead`. The caller holds its repair byte and knows that it is dead.
    /// Wakes nobody: the caller rings all bells afterwards.
    fn repair(&self, dead: u32);
}
