//! The rights to one port: who may receive from it, who may send to it, and which of these rights are in a message.
//!
//! Pure algorithm over an array of records; it knows no messages and no segment.
//!
//! # State
//!
//! Each right is one record. Word: bits 0–2 state, 3–4 kind, 5–16 owner (a participant's slot), 17–39 moves, 40–63
//! serial. The serial changes whenever a record is given out, so it names one right for good; `moves` counts how often
//! it went into a message, so that a verdict about one message is not carried out on the next.
//!
//! | state       | meaning                              | next                                                   |
//! |-------------|--------------------------------------|--------------------------------------------------------|
//! | `FREE`      | nobody's                             | `HELD` with the next serial                            |
//! | `HELD(s)`   | s has it                             | `GIVING(s)`; given up, used up, or s is dead: `FREE`   |
//! | `GIVING(s)` | s says which message will carry it   | `MOVING`; s is dead: `FREE`                            |
//! | `MOVING`    | in the message that `carrier` names  | `TAKING(r)`; taken back: `HELD(s)`; lost with it: `FREE` |
//! | `TAKING(r)` | r is receiving that message          | `HELD(r)`; put back, or r is dead: `MOVING`            |
//!
//! Every change is one compare-and-swap of one word, so a right is never in two hands. Record 0 is the right to
//! receive; the others are rights to send, or to send once. A record that is all zero was never given out.
//!
//! *Lost with its message*: a right that is `MOVING` lives as long as the message that `carrier` names is being
//! written, lies in its place, or is being read there; whoever finds that message gone frees the right. That makes
//! publishing the message the one step in which the right goes over, and the death of a sender before it, of a receiver
//! after it, or of the message itself leaves nothing to repair in two places at once.
//!
//! The receiver takes in this order: `TAKING` for each right, then the message's place is given back, then `HELD` for
//! each. Killed before the middle step: the message is delivered again and its rights with it. Killed after it: the
//! message was received, and its rights die with their owner.
//!
//! # Orderings
//!
//! Edge `carrier`: who gives releases when it writes `MOVING`; who reads `MOVING` acquires and sees the carrier. Back:
//! `GIVING` is a full barrier before the carrier is written, and a fence follows its loads; who has read a later carrier
//! does not find the earlier word again.
//! Edge `right`: who ends a right releases, who is given the record next acquires; and who takes a right acquires.

use crate::channel::death::step;
use crate::prim::{
    AtomicU64, Full,
    Ordering::{Acquire, Relaxed},
    fence,
};

const FREE: u64 = 0;
const HELD: u64 = 1;
const GIVING: u64 = 2;
const MOVING: u64 = 3;
const TAKING: u64 = 4;

/// What a right allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// To receive from the port. There is one.
    Receive = 1,
    /// To send to it, as often as one likes.
    Send = 2,
    /// To send to it once: a right to answer.
    SendOnce = 3,
}

/// Where a right is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Nowhere,
    Held(u32),
    Giving(u32),
    Moving,
    Taking(u32),
}

/// A right by its record and serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub index: u32,
    pub serial: u32,
    pub kind: Right,
}

/// A message: the port it is sent to, its place there, and its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carrier {
    /// Index of the port in the directory in the low half, generation in the high half.
    pub port: u64,
    pub place: u32,
    pub stamp: u64,
}

/// What was read from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub word: u64,
    pub place: Where,
    /// What it is a right to; `None`: never given out, or garbage.
    pub kind: Option<Right>,
    pub serial: u32,
}

/// One record.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Record {
    word: AtomicU64,
    /// Two words of a [`Carrier`]; written in `GIVING` only.
    port: AtomicU64,
    place: AtomicU64,
    /// The pending message that was sent through this right: place and stamp as in a carrier. Its owner's.
    pub pending: AtomicU64,
}

#[cfg(any(test, loom))]
impl Record {
    /// A free one; in a segment, zeroed memory is one.
    pub fn new() -> Record {
        Record {
            word: AtomicU64::new(0),
            port: AtomicU64::new(0),
            place: AtomicU64::new(0),
            pending: AtomicU64::new(0),
        }
    }

    /// Any words, good or bad.
    #[cfg(not(loom))]
    pub fn set(&self, [word, port, place]: [u64; 3]) {
        self.word.store(word, Relaxed);
        self.port.store(port, Relaxed);
        self.place.store(place, Relaxed);
    }

    /// The words as they are.
    #[cfg(not(loom))]
    pub fn get(&self) -> [u64; 3] {
        [self.word.load(Relaxed), self.port.load(Relaxed), self.place.load(Relaxed)]
    }

    /// The word of a right that `me` has.
    #[cfg(not(loom))]
    pub fn held(ticket: Ticket, me: u32) -> u64 {
        word(HELD, ticket.kind, me, ticket.serial)
    }
}

/// Where the fields of a word begin.
const KIND: u32 = 3;
const OWNER: u32 = 5;
const MOVES: u32 = 17;
const SERIAL: u32 = 40;
const ALL_MOVES: u64 = (1 << SERIAL) - (1 << MOVES);
/// The largest serial.
const SERIALS: u32 = (1 << 24) - 1;

/// A word with no moves.
fn word(state: u64, kind: Right, owner: u32, serial: u32) -> u64 {
    state | (kind as u64) << KIND | u64::from(owner & 0xFFF) << OWNER | u64::from(serial) << SERIAL
}

/// `to` with the moves of `from`.
fn keeping(from: u64, to: u64) -> u64 {
    to | from & ALL_MOVES
}

fn seen(word: u64) -> Seen {
    let kind = match (word >> KIND) & 3 {
        1 => Some(Right::Receive),
        2 => Some(Right::Send),
        3 => Some(Right::SendOnce),
        _ => None,
    };
    let owner = (word >> OWNER) as u32 & 0xFFF;
    let place = match (word & 7, kind) {
        (HELD, Some(_)) => Where::Held(owner),
        (GIVING, Some(_)) => Where::Giving(owner),
        (MOVING, Some(_)) => Where::Moving,
        (TAKING, Some(_)) => Where::Taking(owner),
        // Garbage is nobody's right.
        _ => Where::Nowhere,
    };
    Seen { word, place, kind, serial: (word >> SERIAL) as u32 }
}

/// All records of a port.
#[derive(Clone, Copy)]
pub(super) struct Rights<'a>(pub &'a [Record]);

impl Rights<'_> {
    /// What record `index` says.
    pub fn look(&self, index: u32) -> Seen {
        // ORDER right: Acquire; who finds the end of a right sees what was done with it before.
        seen(self.0.get(index as usize).map_or(0, |record| record.word.load(Acquire)))
    }

    /// Every record as it is now.
    pub fn each(&self) -> impl Iterator<Item = (u32, Seen)> + '_ {
        (0..self.0.len() as u32).map(|index| (index, self.look(index)))
    }

    /// Which message carries the right in record `index`; good only if the record's word is the same afterwards.
    pub fn carrier(&self, index: u32) -> Option<Carrier> {
        let record = self.0.get(index as usize)?;
        // Relaxed: ordered by the Acquire with which the caller saw `MOVING` or `TAKING` (edge `carrier`).
        let (port, place) = (record.port.load(Relaxed), record.place.load(Relaxed));
        // ORDER carrier: Acquire; what was read here is read before the word is looked at again. If it is of a later
        // move, that look sees that the right has moved: `GIVING` was a full barrier before the carrier was written.
        fence(Acquire);
        Some(Carrier { port, place: (place & 0xFFFF) as u32, stamp: place >> 16 })
    }

    fn change(&self, index: u32, from: u64, to: u64) -> bool {
        step!();
        // ORDER right, carrier: full, so that who changed it may look at who sleeps.
        self.0.get(index as usize).is_some_and(|record| record.word.cas_full(from, to).is_ok())
    }

    /// Gives the right to receive to `me`, if the record still says `was`, in which nobody that lives has it.
    pub fn take_receive(&self, was: Seen, me: u32) -> Option<Ticket> {
        self.give_out(0, was, Right::Receive, me)
    }

    fn give_out(&self, index: u32, was: Seen, kind: Right, me: u32) -> Option<Ticket> {
        let serial = if was.serial < SERIALS { was.serial + 1 } else { 1 };
        let ours = self.change(index, was.word, word(HELD, kind, me, serial));
        ours.then_some(Ticket { index, serial, kind })
    }

    /// A new right to send for `me`. `None`: all records are in use.
    pub fn make(&self, kind: Right, me: u32) -> Option<Ticket> {
        (1..self.0.len() as u32).find_map(|index| {
            let was = self.look(index);
            let ticket = (was.place == Where::Nowhere).then(|| self.give_out(index, was, kind, me)).flatten()?;
            if let Some(record) = self.0.get(index as usize) {
                record.pending.store(0, Relaxed); // Relaxed: its owner's alone.
            }
            Some(ticket)
        })
    }

    /// The word of a right that is in this state with this owner; `None` if it is not.
    fn find(&self, ticket: Ticket, state: u64, owner: u32) -> Option<u64> {
        // Relaxed: the exchange that follows decides; and what has the caller as its owner only the caller changes.
        let now = self.0.get(ticket.index as usize)?.word.load(Relaxed);
        (now & !ALL_MOVES == word(state, ticket.kind, owner, ticket.serial)).then_some(now)
    }

    /// Brings a right from one state and owner into another.
    fn pass(&self, ticket: Ticket, (from, owner): (u64, u32), (to, next): (u64, u32)) -> bool {
        let to = word(to, ticket.kind, next, ticket.serial);
        self.find(ticket, from, owner).is_some_and(|now| self.change(ticket.index, now, keeping(now, to)))
    }

    /// Has `me` the right?
    #[inline]
    pub fn has(&self, ticket: Ticket, me: u32) -> bool {
        self.find(ticket, HELD, me).is_some()
    }

    /// Ends the right of `me`. False: it had none.
    pub fn give_up(&self, ticket: Ticket, me: u32) -> bool {
        self.pass(ticket, (HELD, me), (FREE, 0))
    }

    /// Ends the right of whoever has it. False: it had ended.
    pub fn revoke(&self, ticket: Ticket) -> bool {
        for _ in 0..64 {
            let was = self.look(ticket.index);
            if was.serial != ticket.serial || was.place == Where::Nowhere {
                return false;
            }
            if self.end(ticket.index, was) {
                return true;
            }
        }
        false
    }

    /// Ends the right in record `index`, which says `was`, whoever has it. False: the record has changed.
    pub fn end(&self, index: u32, was: Seen) -> bool {
        let kind = was.kind.unwrap_or(Right::Send);
        was.place != Where::Nowhere && self.change(index, was.word, word(FREE, kind, 0, was.serial))
    }

    /// Puts the right of `me` into the message `carrier`, which `me` is writing. False: it has none.
    pub fn put(&self, ticket: Ticket, me: u32, carrier: Carrier) -> bool {
        if !self.pass(ticket, (HELD, me), (GIVING, me)) {
            return false;
        }
        let (Some(record), Some(giving)) = (self.0.get(ticket.index as usize), self.find(ticket, GIVING, me)) else {
            return false;
        };
        step!();
        // Relaxed: `MOVING` releases them (edge `carrier`).
        record.port.store(carrier.port, Relaxed);
        record.place.store(u64::from(carrier.place & 0xFFFF) | carrier.stamp << 16, Relaxed);
        let moving = word(MOVING, ticket.kind, 0, ticket.serial);
        // The next move, of as many as there is room for.
        let moves = giving.wrapping_add(1 << MOVES) & ALL_MOVES;
        // ORDER carrier: Release inside. Ours alone, unless the segment holds garbage.
        self.change(ticket.index, giving, moving | moves)
    }

    /// Takes a right back out of a message that was not sent.
    pub fn put_back(&self, ticket: Ticket, me: u32) -> bool {
        self.pass(ticket, (MOVING, 0), (HELD, me))
    }

    /// Begins to take a right out of the message `carrier`, which `me` is reading. False: the right was lost.
    pub fn begin_take(&self, ticket: Ticket, me: u32, carrier: Carrier) -> bool {
        let Ticket { index, serial, kind } = ticket;
        for _ in 0..4 {
            let was = self.look(index);
            let there = matches!(was.place, Where::Moving | Where::Taking(_));
            if !there || (was.serial, was.kind) != (serial, Some(kind)) || self.carrier(index) != Some(carrier) {
                return false;
            }
            // In TAKING: of one who died with the message, which we could not have claimed otherwise.
            if self.change(index, was.word, keeping(was.word, word(TAKING, kind, me, serial))) {
                return true;
            }
        }
        false
    }

    /// Leaves a right in a message that is not received after all.
    pub fn abandon_take(&self, ticket: Ticket, me: u32) -> bool {
        self.pass(ticket, (TAKING, me), (MOVING, 0))
    }

    /// The message was received: the right is `me`'s.
    pub fn end_take(&self, ticket: Ticket, me: u32) -> bool {
        self.pass(ticket, (TAKING, me), (HELD, me))
    }

    /// Leaves no word that names participant `dead`. The caller holds its repair byte. Returns how many rights ended.
    pub fn repair(&self, dead: u32) -> u32 {
        let mut ended = 0;
        for (index, was) in self.each() {
            match was.place {
                Where::Held(who) | Where::Giving(who) if who == dead => ended += u32::from(self.end(index, was)),
                Where::Taking(who) if who == dead => {
                    let Some(kind) = was.kind else { continue };
                    let _ = self.change(index, was.word, keeping(was.word, word(MOVING, kind, 0, was.serial)));
                }
                _ => {}
            }
        }
        ended
    }

    /// Where the pending message of the right in record `index` lies: place and stamp. `None`: there was none.
    pub fn pending(&self, index: u32) -> Option<(u32, u64)> {
        // Relaxed: its owner's alone.
        let word = self.0.get(index as usize)?.pending.load(Relaxed);
        (word != 0).then_some(((word & 0xFFFF) as u32, word >> 16))
    }

    /// Says where it lies.
    pub fn set_pending(&self, index: u32, place: u32, stamp: u64) {
        if let Some(record) = self.0.get(index as usize) {
            // Relaxed: nothing hangs on it but the owner's own next look.
            record.pending.store(u64::from(place & 0xFFFF) | stamp << 16, Relaxed);
        }
    }
}
