//! A mailbox of capacity 0, where senders and receivers meet: `send` returns when a receiver has the message.
//!
//! Pure algorithm: it knows the control block, the head of each place and who waits; no payload and no segment.
//!
//! # State
//!
//! The places are those of `slots.rs`, a few of them. A sender puts its message down as in a bounded mailbox, and then
//! does not go away: it waits until its place has moved on to the next turn, which it does when a receiver has copied
//! the message. So the word of the place decides everything, each change of it by one compare-and-swap:
//!
//! | state        | meaning                                  | next                                                         |
//! |--------------|------------------------------------------|--------------------------------------------------------------|
//! | `FULL`       | a sender waits here with its message     | `READING`, by a receiver; its deadline: `FREE` of the next turn |
//! | `READING(r)` | r copies it out                          | `FREE` of the next turn, by r (received) or by the sender (taken back) |
//! | `HOLDING(r)` | r reads it in place: the sender may go   | `FREE` of the next turn, by r; r is dead: `FULL` again        |
//!
//! Receiver and sender both try to end `READING`, and one wins: a receiver that loses throws its copy away and looks
//! again, a sender that loses says Ok. So there is no false Ok and no false Timeout, and a sender's deadline holds even
//! against a receiver that was stopped in the middle of its copy.
//!
//! `here` says which participants wait to receive: a hint for those who only try to send. They put a message down only
//! if more receivers wait than messages, and take it back if none of them comes soon.
//!
//! # Orderings
//!
//! Those of `slots.rs`. Edge `room` besides: who sees that its place has moved on (Acquire) knows that the receiver's
//! copy is over (Release).
//! Edge `here`: a receiver enters with a full barrier, then wakes who waits until somebody is here.
//!
//! # Bells
//!
//! `tx`: senders that wait for a place; each one that is free wakes one of them. `met`: senders that wait for what becomes
//! of their message, or for a receiver; all are woken, as what one waits for is of no use to another.
//!
//! # When a peer dies
//!
//! | killed                        | left            | what happens                                                |
//! |-------------------------------|-----------------|-------------------------------------------------------------|
//! | sender, before it puts it down | `WRITING(dead)` | made void, as in `slots.rs`                                 |
//! | sender, while it waits        | `FULL`          | the message is there, and is received                       |
//! | receiver, while it copies     | `READING(dead)` | the next one gets it; the waiting sender sees to that itself |
//! | receiver, while it holds      | `HOLDING(dead)` | the next one gets it, though its sender may be gone         |
//! | receiver, while it waits      | its number in `here` | taken out by the sweep                                 |
//!
//! # Cost
//!
//! A bounded mailbox's, and the sender's wait for the receiver.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod states;
#[cfg(all(test, not(loom)))]
mod tests;

use super::options::{Envelope, Select};
use super::queue::*;
use super::slots::Slots;
use crate::prim::{
    AtomicU32, Full,
    Ordering::{Acquire, Relaxed},
};

/// So many waiting receivers are seen; those beyond wait unseen.
const SEATS: usize = if cfg!(loom) { 2 } else { 64 };
/// The most places, and what they may take together, unless one alone is larger.
const MOST_PLACES: usize = 16;
const MOST_BYTES: usize = 1 << 16;

/// How many senders can wait with their messages where one takes `stride` bytes; others wait for a place.
pub(super) fn places(stride: usize) -> u32 {
    (MOST_BYTES / stride.max(1)).clamp(2, MOST_PLACES) as u32
}

/// Who waits to receive. All zero: nobody.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Hall {
    /// A participant's slot, or 0.
    here: [AtomicU32; SEATS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Hall>() == 256);

// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl crate::segment::object::InSegment for Hall {}

#[cfg(loom)]
impl Hall {
    /// An empty one; in a segment, zeroed memory is one.
    pub fn new() -> Hall {
        Hall { here: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

impl Hall {
    /// Participant `me` waits here. `None`: all seats are taken.
    fn enter(&self, me: u32) -> Option<usize> {
        // ORDER here: full barrier; what the caller notifies next is looked at after this. The barrier is all.
        self.here.iter().position(|seat| seat.load(Relaxed) == 0 && seat.cas_full(0, me).is_ok())
    }

    /// It does not wait any more.
    fn leave(&self, seat: usize, me: u32) {
        if let Some(seat) = self.here.get(seat) {
            // Relaxed: a hint. Failure: the sweep took a dead one of that number out.
            let _ = seat.compare_exchange(me, 0, Relaxed, Relaxed);
        }
    }

    fn len(&self) -> usize {
        // Relaxed: a hint.
        self.here.iter().filter(|seat| seat.load(Relaxed) != 0).count()
    }

    fn repair(&self, dead: u32) {
        for seat in &self.here {
            // Relaxed: a hint.
            let _ = seat.compare_exchange(dead, 0, Relaxed, Relaxed);
        }
    }
}

/// The places and the hall of a rendezvous.
#[derive(Clone, Copy)]
pub(super) struct Meeting<'a, H: Heads> {
    /// Without a limit of deliveries: a dropped message would look like a received one.
    pub slots: Slots<'a, H>,
    pub hall: &'a Hall,
}

impl<H: Heads> Meeting<'_, H> {
    /// Wakes the senders that wait at places, each looks at its own, and those that wait for a partner. After a full
    /// barrier.
    fn met(&self) {
        self.slots.control.met.0.notify(i32::MAX as u32);
    }

    fn leave(&self, me: u32, ask: &Ask) {
        if let Some(seat) = ask.seat.take() {
            self.hall.leave(seat, me);
        }
    }

    /// Places that are not free: messages that wait or are being handed over.
    fn busy(&self) -> usize {
        let state_of = |index| state(self.slots.heads.head(index).word.load(Relaxed)); // Relaxed: a hint.
        (0..self.slots.capacity).filter(|index| !matches!(state_of(*index), FREE | HOLDING)).count()
    }
}

impl<H: Heads> Queue for Meeting<'_, H> {
    #[inline]
    fn claim_send(&self, me: u32) -> Result<Attempt, Garbage> {
        self.slots.claim_send(me)
    }

    /// Is there a receiver that no other message is meant for?
    fn would_send(&self) -> Result<Look, Garbage> {
        let here = self.hall.len();
        if here == 0 || here <= self.busy() { Ok(Look::Nothing) } else { self.slots.would_send() }
    }

    #[inline]
    fn publish(&self, claim: Claim, envelope: Envelope) -> bool {
        self.slots.publish(claim, envelope)
    }

    fn cancel(&self, claim: Claim) -> bool {
        let ours = self.slots.cancel(claim);
        if ours {
            self.met();
        }
        ours
    }

    #[inline]
    fn claim_receive(&self, me: u32, ask: &Ask) -> Result<Attempt, Garbage> {
        let attempt = self.slots.claim_receive(me, ask);
        match attempt {
            Ok(Attempt::Claimed(_)) => self.leave(me, ask),
            Ok(_) if ask.waits.get() && ask.seat.get().is_none() => {
                ask.seat.set(self.hall.enter(me));
                self.met();
            }
            _ => {}
        }
        attempt
    }

    fn oldest(&self, select: Select) -> Result<Look, Garbage> {
        self.slots.oldest(select)
    }

    fn is_whole(&self, at: Claim) -> bool {
        self.slots.is_whole(at)
    }

    #[inline]
    fn release(&self, claim: Claim) -> bool {
        let ours = self.slots.release(claim);
        if ours {
            self.met();
        }
        ours
    }

    fn give_back(&self, claim: Claim) -> bool {
        self.slots.give_back(claim)
    }

    fn hold(&self, claim: Claim) -> Option<Claim> {
        let holding = word(HOLDING, owner(claim.word), turn(claim.word));
        // Full, for `notify`; the sender takes nothing over from who holds. Failure: its sender has taken it back.
        let held = self.slots.heads.head(claim.index).word.cas_full(claim.word, holding).is_ok();
        if held {
            self.met();
        }
        held.then_some(Claim { index: claim.index, word: holding })
    }

    fn withdraw(&self, me: u32, ask: &Ask) {
        self.leave(me, ask);
    }

    fn handed_over(&self, claim: Claim) -> Result<Handed, Garbage> {
        // ORDER room: Acquire; pairs with the Release in `release`.
        let seen = self.slots.heads.head(claim.index).word.load(Acquire);
        if turn(seen) != turn(claim.word) {
            return Ok(Handed::Over);
        }
        match (state(seen), Claim { index: claim.index, word: seen }.state()?) {
            (_, State::Full) => Ok(Handed::NotYet(0)),
            (READING, State::Reading(who)) => Ok(Handed::NotYet(who)),
            (HOLDING, _) => Ok(Handed::Over),
            // The place of a sender that lives, in the turn of its message.
            _ => Err(Garbage::Word(claim.index, seen)),
        }
    }

    fn take_back(&self, claim: Claim) -> bool {
        let place = &self.slots.heads.head(claim.index).word;
        // Three tries: a receiver may begin, and die, and be put right.
        for _ in 0..4 {
            // Relaxed: the exchange decides.
            let seen = place.load(Relaxed);
            if turn(seen) != turn(claim.word) || !matches!(state(seen), FULL | READING) {
                return false;
            }
            // Full, for `notify`. No edge: `publish` has released what its sender wrote, and nobody else's copy counts
            // from here on.
            if place.cas_full(seen, freed(seen)).is_ok() {
                self.slots.control.tx.0.notify(1);
                // There may be messages behind it.
                self.slots.control.rx.0.notify(1);
                // Its receiver may be there for another sender.
                self.met();
                return true;
            }
        }
        false
    }

    fn is_borrow(&self, claim: Claim, me: u32) -> bool {
        claim.is_reading_of(me) || me != 0 && claim.word == word(HOLDING, me, turn(claim.word))
    }

    fn stands(&self, claim: Claim) -> bool {
        self.slots.stands(claim)
    }

    fn void(&self, claim: Claim) -> bool {
        let done = self.slots.void(claim);
        if done {
            self.met();
        }
        done
    }

    fn len(&self) -> Result<u32, Garbage> {
        self.slots.len()
    }

    fn left(&self, select: Select) -> Result<Look, Garbage> {
        self.slots.left(select)
    }

    fn claims(&self, each: &mut dyn FnMut(Claim)) {
        self.slots.claims(each);
    }

    fn repair(&self, dead: u32) {
        self.slots.repair(dead);
        self.hall.repair(dead);
    }
}
