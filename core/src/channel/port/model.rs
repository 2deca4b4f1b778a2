//! Every state of one right that goes from hand to hand, with a kill before every step and at any time: never in two
//! hands, never lost while somebody who lives has it, and nobody is left who believes that he has it.
//!
//! The algorithm is the real one, on real words: a state of the model holds copies of them, and each step runs one
//! operation of `places.rs` or `rights.rs` up to its next exchange (`death::at_step`) to see what one killed there
//! leaves behind. What follows is the exploration of which operation comes next, and of who dies when.
//!
//! Two ports: *carrier*, whose message carries the right, and *target*, whose right it is. Two processes: 1 gives, 2
//! takes and gives back what it took; each may die between any two exchanges, and be swept, or be found dead by looking.

use super::life::Receiver;
use super::places::{Claim, Places, State};
use super::rights::{Carrier, Record, Right, Rights, Ticket, Where};
use crate::channel::death;
use crate::model::{Model, Step, explore, find_fault};
use crate::prim::{AtomicU64, Ordering::Relaxed};

/// The words of the two ports, as plain numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Words {
    /// The carrier's next stamp and its one place.
    next: u64,
    place: u64,
    /// Was there a right in the message of that stamp?
    letter: Option<u64>,
    /// The target's record: word, carrier's port, carrier's place.
    record: [u64; 3],
}

/// What a process does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// Has the right, and will give it.
    Has,
    Claimed(u64),
    Put(u64),
    /// Sent it.
    Sent,
    /// Waits for a message.
    Waits,
    Reading(u64),
    Taking(u64),
    Released(u64),
    /// Took it. Ends here.
    Took,
    /// It came without its right.
    Without,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    words: Words,
    at: [At; 2],
    dead: [bool; 2],
    swept: [bool; 2],
    /// Who looks has found that the right is lost, and ended it.
    buried: bool,
}

/// What is left out, so that the model must fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The receiver has the right before it gives the place back, without the state between.
    TakeAtOnce,
    /// A right in a message that nobody wrote to the end is not lost.
    NeverLost,
    /// The sender puts the right into the message after it has sent it.
    PutLate,
}

struct OneRight {
    fault: Fault,
    deaths: u32,
}

const TICKET: Ticket = Ticket { index: 0, serial: 1, kind: Right::Send };
const PORT: u64 = 7;

/// The words in memory again, for one operation.
struct Memory {
    next: AtomicU64,
    place: [AtomicU64; 1],
    record: [Record; 1],
}

impl Memory {
    fn of(words: &Words) -> Memory {
        let memory =
            Memory { next: AtomicU64::new(words.next), place: [AtomicU64::new(words.place)], record: [Record::new()] };
        memory.record[0].set(words.record);
        memory
    }

    fn places(&self) -> Places<'_> {
        Places { next: &self.next, words: &self.place }
    }

    fn rights(&self) -> Rights<'_> {
        Rights(&self.record)
    }

    fn words(&self, letter: Option<u64>) -> Words {
        Words {
            next: self.next.load(Relaxed),
            place: self.place[0].load(Relaxed),
            letter,
            record: self.record[0].get(),
        }
    }
}

impl OneRight {
    fn carrier(memory: &Memory, claim: u64) -> Carrier {
        let _ = memory;
        Carrier::new(PORT, Claim { index: 0, word: claim })
    }

    /// Is the right somebody's, as far as the two ports tell? As `life.rs` does it.
    fn lives(&self, memory: &Memory, dead: &[bool; 2]) -> bool {
        let is_dead = |slot: u32| dead[slot as usize - 1];
        match memory.rights().look(0).place {
            Where::Nowhere => false,
            Where::Held(slot) | Where::Giving(slot) => !is_dead(slot),
            Where::Taking(slot) if !is_dead(slot) => true,
            Where::Moving | Where::Taking(_) => {
                let carrier = memory.rights().carrier(0).unwrap();
                let carried = memory.places().carries(carrier.place, carrier.stamp);
                // The carrier's receiver is process 2.
                let received = if is_dead(2) { Receiver::Dead } else { Receiver::Slot(2) };
                self.fault == Fault::NeverLost || carried && received != Receiver::Dead
            }
        }
    }

    /// What process `me` does next: one operation, whole or killed before its exchange number `kill`.
    fn act(&self, world: &World, me: u32, kill: u32) -> Option<World> {
        let mut next = world.clone();
        let memory = Memory::of(&world.words);
        let (places, rights) = (memory.places(), memory.rights());
        let i = me as usize - 1;
        let letter = world.words.letter;
        let claim = |word: u64| Claim { index: 0, word };
        let run = || {
            Some(match world.at[i] {
                At::Has => At::Claimed(places.claim_send(me, 0, 1).unwrap()?.word),
                At::Claimed(at) if self.fault == Fault::PutLate => At::Put(at),
                At::Claimed(at) if rights.put(TICKET, me, Self::carrier(&memory, at)) => At::Put(at),
                At::Claimed(at) => {
                    let _ = places.release(claim(at));
                    At::Without
                }
                At::Put(at) => {
                    assert!(places.publish(claim(at)));
                    if self.fault == Fault::PutLate {
                        rights.put(TICKET, me, Self::carrier(&memory, at));
                    }
                    At::Sent
                }
                At::Waits => {
                    let oldest = places.oldest(|_| true).unwrap()?;
                    At::Reading(places.claim_receive(oldest, me)?.word)
                }
                At::Reading(at) if rights.begin_take(TICKET, me, Self::carrier(&memory, at)) => {
                    if self.fault == Fault::TakeAtOnce {
                        rights.end_take(TICKET, me);
                    }
                    At::Taking(at)
                }
                At::Reading(at) => {
                    let _ = places.release(claim(at));
                    At::Without
                }
                At::Taking(at) => {
                    assert!(places.release(claim(at)));
                    At::Released(at)
                }
                At::Released(_) if self.fault == Fault::TakeAtOnce || rights.end_take(TICKET, me) => At::Took,
                At::Released(_) => At::Without,
                At::Sent | At::Took | At::Without => return None,
            })
        };
        match death::at_step(kill, run) {
            Some(Some(at)) if kill == 0 => next.at[i] = at,
            Some(_) => return None,
            None => next.dead[i] = true,
        }
        // The one step in which it is sent, whether or not the sender lived to know.
        let full = |word: u64| claim(word).state() == Ok(State::Full);
        next.words = memory.words(letter);
        if full(next.words.place) && !full(world.words.place) && matches!(world.at[i], At::Put(_)) {
            next.words.letter = Some(claim(next.words.place).stamp());
        }
        Some(next)
    }
}

impl Model for OneRight {
    type State = World;

    fn start(&self) -> World {
        let memory = Memory { next: AtomicU64::new(0), place: [AtomicU64::new(0)], record: [Record::new()] };
        // Record 0 is the model's only one; `make` begins at 1.
        memory.record[0].set([Record::held(TICKET, 1), 0, 0]);
        World {
            words: memory.words(None),
            at: [At::Has, At::Waits],
            dead: [false; 2],
            swept: [false; 2],
            buried: false,
        }
    }

    fn steps(&self, world: &World) -> Vec<(Step, World)> {
        let mut all = Vec::new();
        let died = world.dead.iter().filter(|dead| **dead).count() as u32;
        for me in [1, 2] {
            let i = me as usize - 1;
            if !world.dead[i] {
                if let Some(next) = self.act(world, me, 0) {
                    all.push((Step { by: me as u8, does: "acts", counts: true }, next));
                }
                if died < self.deaths {
                    for kill in 1..6 {
                        if let Some(next) = self.act(world, me, kill) {
                            all.push((Step { by: me as u8, does: "dies", counts: false }, next));
                        }
                    }
                    let mut next = world.clone();
                    next.dead[i] = true;
                    all.push((Step { by: me as u8, does: "dies between", counts: false }, next));
                }
            } else if !world.swept[i] {
                // The two objects are swept one after the other, in either order; each of it alone is a state too.
                for order in 0..3 {
                    let memory = Memory::of(&world.words);
                    let mut next = world.clone();
                    if order != 1 {
                        memory.places().repair(me, |_| ());
                    }
                    if order != 0 {
                        memory.rights().repair(me);
                    }
                    next.words = memory.words(world.words.letter);
                    next.swept[i] = order == 2;
                    if next != *world {
                        all.push((Step { by: 3, does: "sweeps", counts: order == 2 }, next));
                    }
                }
            }
        }
        // Somebody looks whether the right still lives, and ends it if not.
        let memory = Memory::of(&world.words);
        let seen = memory.rights().look(0);
        if seen.place != Where::Nowhere && !self.lives(&memory, &world.dead) && memory.rights().end(0, seen) {
            let next = World { words: memory.words(world.words.letter), buried: true, ..world.clone() };
            all.push((Step { by: 3, does: "buries", counts: true }, next));
        }
        all
    }

    fn check(&self, world: &World) -> Result<(), String> {
        let memory = Memory::of(&world.words);
        let place = memory.rights().look(0).place;
        let has = |me: u32| {
            let i = me as usize - 1;
            !world.dead[i]
                && match world.at[i] {
                    At::Has | At::Claimed(_) => me == 1,
                    At::Took => true,
                    _ => false,
                }
        };
        match (has(1), has(2)) {
            (true, true) => return Err("in two hands".into()),
            (true, _) if !matches!(place, Where::Held(1) | Where::Giving(1)) => {
                return Err(format!("1 has it, and it is {place:?}"));
            }
            (_, true) if place != Where::Held(2) => return Err(format!("2 has it, and it is {place:?}")),
            _ => {}
        }
        // A receiver that lives gets what was sent: a right is not lost with anybody but its owner.
        let sent = world.at[0] == At::Sent || world.words.letter.is_some();
        if sent && !world.dead[1] && (world.at[1] == At::Without || world.buried) {
            return Err("it was sent, its receiver lives, and it was lost".into());
        }
        if matches!(Claim { index: 0, word: world.words.place }.state(), Ok(State::Full)) && !world.dead[1] {
            let known = memory.rights().carrier(0).map(|carrier| carrier.stamp);
            if place != Where::Moving || known != world.words.letter {
                return Err(format!("in a message that was sent, and it is {place:?}"));
            }
        }
        Ok(())
    }

    fn is_done(&self, world: &World) -> bool {
        let over =
            |i: usize| world.dead[i] && world.swept[i] || matches!(world.at[i], At::Sent | At::Took | At::Without);
        let memory = Memory::of(&world.words);
        let place = memory.rights().look(0).place;
        let settled = match place {
            Where::Nowhere => true,
            Where::Held(slot) => !world.dead[slot as usize - 1],
            _ => false,
        };
        // If the sender died before it sent, the receiver waits for another one.
        let waits = world.dead[0] && world.at[1] == At::Waits && place == Where::Nowhere;
        over(0) && (over(1) || waits) && settled
    }
}

#[test]
fn a_right_is_in_one_hand_whoever_dies() {
    let states = explore(&OneRight { fault: Fault::None, deaths: 2 });
    assert!(states > 100, "{states}");
}

#[test]
fn a_right_taken_before_its_message_is_lost_for_who_gets_it_again() {
    let mut model = Again { fault: Fault::TakeAtOnce };
    find_fault(&model).unwrap_err();
    model.fault = Fault::None;
    explore(&model);
}

#[test]
fn a_right_in_a_message_that_was_never_sent_must_be_found_lost() {
    find_fault(&OneRight { fault: Fault::NeverLost, deaths: 1 }).unwrap_err();
}

#[test]
fn a_right_put_into_a_message_after_it_was_sent_is_lost() {
    find_fault(&OneRight { fault: Fault::PutLate, deaths: 1 }).unwrap_err();
}

/// The same, and a message whose receiver died is received by its successor, in slot 2 again, after the sweep.
struct Again {
    fault: Fault,
}

impl Again {
    fn inner(&self) -> OneRight {
        OneRight { fault: self.fault, deaths: 1 }
    }
}

impl Model for Again {
    type State = (World, bool);

    fn start(&self) -> Self::State {
        // The message was sent.
        let inner = self.inner();
        let mut world = inner.start();
        for _ in 0..3 {
            world = inner.act(&world, 1, 0).unwrap();
        }
        (world, false)
    }

    fn steps(&self, (world, again): &Self::State) -> Vec<(Step, Self::State)> {
        let inner = self.inner();
        let mut all: Vec<_> = Vec::new();
        if !again {
            // Nobody looks after the right here before the successor is there: it would be lost with its port.
            all.extend(inner.steps(world).into_iter().filter(|(step, _)| step.does != "buries" && step.by != 1));
        } else if let Some(next) = inner.act(world, 2, 0) {
            all.push((Step { by: 2, does: "acts", counts: true }, next));
        }
        let mut all: Vec<_> = all.into_iter().map(|(step, next)| (step, (next, *again))).collect();
        let unread = matches!(Claim { index: 0, word: world.words.place }.state(), Ok(State::Full));
        if world.dead[1] && world.swept[1] && unread {
            let mut next = world.clone();
            (next.dead[1], next.swept[1], next.at[1]) = (false, false, At::Waits);
            all.push((Step { by: 2, does: "starts again", counts: true }, (next, true)));
        }
        all
    }

    fn check(&self, (world, again): &Self::State) -> Result<(), String> {
        if *again && world.at[1] == At::Without {
            return Err("the message came again, its right did not".into());
        }
        Ok(())
    }

    fn is_done(&self, (world, again): &Self::State) -> bool {
        world.at[1] == At::Took
            || !again && world.swept[1] && {
                !matches!(Claim { index: 0, word: world.words.place }.state(), Ok(State::Full))
            }
    }
}
