//! Ports under shuttle: receivers that succeed each other, senders that give rights away, and a caller, in five threads,
//! each a process with a slot of its own, that die before any operation on shared memory; one more sweeps, looks after
//! rights and asks for notifications. Run by `tests/check shuttle`.

use super::call::may_come;
use super::life::{DEPTH, Ports, follow};
use super::memory::{self, Memory, PENDING};
use super::notify::{self, PortEvent, Wish};
use super::places::{Claim, State};
use super::rights::{Carrier, Right, Ticket, Where};
use crate::mortal::mortal;
use crate::prim::Ordering::Relaxed;
use crate::segment::object::HeapMemory;
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Receivers sit in slots 1 and 2, senders in 3 and 4, the caller in 5, who sweeps in 6.
const RECEIVERS: u32 = 2;
const CALLER: u32 = 5;
const ALL: u32 = 6;
const CAPACITY: u32 = 2;
const RIGHTS: usize = 5;
/// Messages that each sender sends at most.
const MESSAGES: u64 = 2;

/// The ports by their numbers: one is sent to, of one the rights are given away, on one the caller is answered.
const INBOX: u64 = 0;
const TARGET: u64 = 1;
const ANSWERS: u64 = 2;

/// What the kernel knows, and what is booked outside the segment. No thread is ever descheduled with it held.
#[derive(Default)]
struct Outside {
    dead: BTreeSet<u32>,
    /// Repair bytes that are held: of which slot, by which.
    repair: BTreeMap<u32, u32>,
    /// A receiver has died or given up: what was on its way may be lost.
    receiver_gone: bool,
    sent: BTreeSet<u64>,
    got: BTreeSet<u64>,
}

struct Town {
    ports: [HeapMemory; 3],
    outside: Mutex<Outside>,
}

/// A process of it.
#[derive(Clone, Copy)]
struct Citizen<'a> {
    town: &'a Town,
    slot: u32,
}

impl Town {
    fn new() -> Town {
        let port = || {
            let (geometry, size) = memory::geometry(CAPACITY as usize, 8, RIGHTS).unwrap();
            HeapMemory::new(size, geometry)
        };
        Town { ports: [port(), port(), port()], outside: Mutex::default() }
    }

    fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ports for Citizen<'_> {
    type Port = Memory;
    fn is_dead(&self, slot: u32) -> bool {
        self.town.outside().dead.contains(&slot)
    }
    fn asks(&self) -> bool {
        true
    }
    fn neighbour(&self, port: u64) -> Option<Memory> {
        self.town.ports.get(port as usize).map(|port| Memory::of(port.view()).unwrap())
    }
}

impl Citizen<'_> {
    fn port(&self, port: u64) -> Memory {
        self.neighbour(port).unwrap()
    }

    /// Has the port a receiver that lives, or may it get its first one? Not when all are dead who would have been one.
    fn has_receiver(&self, port: u64) -> bool {
        let (seen, lives) = follow(self, &self.port(port), 0, DEPTH);
        lives || seen.word == 0 && (1..=RECEIVERS).any(|slot| !self.is_dead(slot))
    }

    /// Repairs what `dead` left, unless somebody who lives does it already.
    fn repair(&self, dead: u32) {
        let mut outside = self.town.outside();
        if outside.repair.contains_key(&dead) {
            return;
        }
        outside.repair.insert(dead, self.slot);
        drop(outside);
        for port in [INBOX, TARGET, ANSWERS] {
            self.port(port).repair(dead);
        }
        self.town.outside().repair.remove(&dead);
    }

    fn sweep(&self) {
        (1..=ALL).filter(|slot| self.is_dead(*slot)).for_each(|slot| self.repair(slot));
    }

    /// Ends all rights that died with their owner or with their message.
    fn bury(&self, port: u64) {
        let memory = self.port(port);
        for (index, seen) in memory.rights().each() {
            if seen.place != Where::Nowhere {
                let (seen, lives) = follow(self, &memory, index, DEPTH);
                let _ = !lives && memory.rights().end(index, seen);
            }
        }
    }

    /// As `Port::receiver`.
    fn take_receiver(&self, port: u64) -> Option<Ticket> {
        let memory = self.port(port);
        let (seen, lives) = follow(self, &memory, 0, DEPTH);
        let ticket = (!lives).then(|| memory.rights().take_receive(seen, self.slot)).flatten()?;
        if let Where::Held(dead) | Where::Giving(dead) | Where::Taking(dead) = seen.place {
            self.repair(dead);
        }
        Some(ticket)
    }

    /// A place to write to; what the dead left in the way is cleared. `None`: nobody can receive any more.
    fn claim(&self, port: u64) -> Option<Claim> {
        let places_of = self.port(port);
        loop {
            if !self.has_receiver(port) {
                return None;
            }
            let places = places_of.places();
            if let Some(claim) = places.claim_send(self.slot, 0, CAPACITY).unwrap() {
                return Some(claim);
            }
            if let Some(claim) = places.claimed(self.slot)
                && let Ok(State::Writing(owner) | State::Reading(owner)) = claim.state()
                && self.is_dead(owner)
            {
                places.void(claim);
                self.repair(owner);
            }
            shuttle::thread::yield_now();
        }
    }

    /// Writes and sends: the message is its number, twice.
    fn post(&self, port: u64, claim: Claim, number: u64, gives: Option<(u64, Ticket)>) {
        let memory = self.port(port);
        let envelope = memory.envelope(claim.index);
        if let Some((of, ticket)) = gives {
            let carrier = Carrier::new(port, claim);
            assert!(self.port(of).rights().put(ticket, self.slot, carrier), "{} lost its own right", self.slot);
            envelope.enclosed[0].set(of, ticket);
        }
        envelope.rights.store(u32::from(gives.is_some()), Relaxed);
        envelope.deliveries.store(0, Relaxed);
        envelope.from.store(number, Relaxed);
        envelope.via.store(number, Relaxed);
        assert!(memory.places().publish(claim), "{} lost its claim", self.slot);
        self.town.outside().sent.insert(number);
    }

    fn send(&self) {
        let rights = self.port(INBOX);
        let Some(mine) = rights.rights().make(Right::Send, self.slot) else { return };
        for n in 0..MESSAGES {
            let gift = self.port(TARGET).rights().make(Right::Send, self.slot);
            let Some(claim) = self.claim(INBOX) else {
                gift.map(|ticket| self.port(TARGET).rights().give_up(ticket, self.slot));
                break;
            };
            self.post(INBOX, claim, u64::from(self.slot) * 100 + n, gift.map(|ticket| (TARGET, ticket)));
        }
        rights.rights().give_up(mine, self.slot);
    }

    /// Receives what is there, with the right in it; answers if that is one to answer.
    fn receive(&self) -> bool {
        let memory = self.port(INBOX);
        let places = memory.places();
        let Some(at) = places.oldest(|_| true).unwrap() else { return false };
        let Some(claim) = places.claim_receive(at, self.slot) else { return false };
        let envelope = memory.envelope(claim.index);
        let (from, via) = (envelope.from.load(Relaxed), envelope.via.load(Relaxed));
        assert_eq!(from, via, "torn in the hands of {}", self.slot);
        let mut right = None;
        if envelope.rights.load(Relaxed) == 1 {
            let (of, ticket) = envelope.enclosed[0].get().unwrap();
            if self.port(of).rights().begin_take(ticket, self.slot, Carrier::new(INBOX, claim)) {
                right = Some((of, ticket));
            } else {
                let of_dead = of == ANSWERS && self.is_dead(CALLER);
                assert!(self.town.outside().receiver_gone || of_dead, "message {from} came without its right");
            }
        }
        assert!(places.release(claim), "{} lost its claim", self.slot);
        assert!(self.town.outside().got.insert(from), "message {from} was received twice");
        let Some((of, ticket)) = right else { return true };
        let rights = self.port(of);
        let ours = rights.rights().end_take(ticket, self.slot);
        assert!(ours || of == ANSWERS, "the right of message {from} was taken from {}", self.slot);
        if !ours {
            return true; // The caller has given up.
        }
        let answer = if of == ANSWERS { self.claim(ANSWERS) } else { None };
        // The right is given back, or used up between claim and publish.
        let given_up = rights.rights().give_up(ticket, self.slot);
        match answer {
            Some(claim) if given_up => self.post(ANSWERS, claim, from + 1000, None),
            Some(claim) => {
                let _ = rights.places().release(claim);
            }
            None => {}
        }
        true
    }

    fn serve(&self) {
        let mut mine = None;
        for _ in 0..12 {
            if mine.is_none() {
                mine = self.take_receiver(INBOX);
            }
            if mine.is_some() {
                self.receive();
                notify::take(&self.port(INBOX).control().requests, |wish| !self.has_receiver(wish.port));
            }
            shuttle::thread::yield_now();
        }
        if let Some(mine) = mine {
            self.town.outside().receiver_gone = true;
            assert!(self.port(INBOX).rights().give_up(mine, self.slot), "{} lost its port", self.slot);
        }
    }

    /// Calls, and is answered or told that nobody will.
    fn call(&self) {
        let answers = self.port(ANSWERS);
        let Some(receiver) = self.take_receiver(ANSWERS) else { panic!("somebody else has the caller's port") };
        let ticket = answers.rights().make(Right::SendOnce, self.slot).unwrap();
        let number = u64::from(self.slot) * 100;
        if let Some(claim) = self.claim(INBOX) {
            self.post(INBOX, claim, number, Some((ANSWERS, ticket)));
            loop {
                if let Some(at) = answers.places().oldest(|_| true).unwrap() {
                    let claim = answers.places().claim_receive(at, self.slot).unwrap();
                    assert_eq!(answers.envelope(claim.index).via.load(Relaxed), number + 1000);
                    assert!(answers.places().release(claim));
                    self.town.outside().got.insert(number + 1000);
                    break;
                }
                let lives = follow(self, &answers, ticket.index, DEPTH).1;
                // What a dead server was writing is put right by whoever finds it.
                self.sweep();
                if !lives && !may_come(answers.places(), |_| true) {
                    assert!(self.town.outside().receiver_gone, "told that nobody answers, and all live");
                    break;
                }
                shuttle::thread::yield_now();
            }
        }
        answers.rights().revoke(ticket);
        answers.rights().give_up(receiver, self.slot);
    }

    fn look_after(&self) {
        for _ in 0..3 {
            notify::set(
                &self.port(INBOX).control().requests,
                self.slot,
                Wish { event: PortEvent::DeadName, port: ANSWERS, message: 0 },
            );
            [TARGET, ANSWERS].into_iter().for_each(|port| self.bury(port));
            self.sweep();
        }
    }

    /// When all others are gone: every message is accounted for, and there is room for everything.
    fn settle(&self) {
        self.sweep();
        let mine = self.take_receiver(INBOX).expect("the right to receive is lost");
        while self.receive() {}
        let answers = self.take_receiver(ANSWERS).expect("the right to the answers is lost");
        let memory = self.port(ANSWERS);
        while let Some(at) = memory.places().oldest(|_| true).unwrap() {
            let claim = memory.places().claim_receive(at, self.slot).unwrap();
            self.town.outside().got.insert(memory.envelope(claim.index).via.load(Relaxed));
            assert!(memory.places().release(claim));
        }
        self.port(INBOX).rights().give_up(mine, self.slot);
        self.port(ANSWERS).rights().give_up(answers, self.slot);
        let outside = self.town.outside();
        assert_eq!(outside.sent, outside.got, "sent, and received");
        drop(outside);
        for port in [INBOX, TARGET, ANSWERS] {
            self.bury(port);
            let memory = self.port(port);
            let all: Vec<_> = std::iter::from_fn(|| memory.rights().make(Right::Send, self.slot)).collect();
            assert_eq!(all.len(), RIGHTS, "rights to port {port} are lost: {:?}", memory.rights().0);
            let places = CAPACITY + PENDING;
            assert!(
                (0..places).all(|_| memory.places().claim_send(self.slot, 0, places).unwrap().is_some()),
                "places of port {port} are lost"
            );
            let requests = &memory.control().requests;
            while notify::take(requests, |_| true).is_some() {}
            let wish = Wish { event: PortEvent::DeadName, port, message: 0 };
            assert!((0..requests.len()).all(|_| notify::set(requests, self.slot, wish)), "requests are lost");
        }
    }
}

/// When a process dies: by chance never, or before one of its first operations.
fn fate() -> u32 {
    let mut random = shuttle::rand::thread_rng();
    if random.gen_bool(0.4) { 0 } else { random.gen_range(1..120) }
}

fn live() {
    let town = Arc::new(Town::new());
    let threads: Vec<_> = (1..=ALL)
        .map(|slot| {
            let (town, at) = (town.clone(), fate());
            shuttle::thread::spawn(move || {
                let citizen = Citizen { town: &town, slot };
                let died = mortal(at, || match slot {
                    1..=RECEIVERS => citizen.serve(),
                    CALLER => citizen.call(),
                    ALL => citizen.look_after(),
                    _ => citizen.send(),
                });
                if died.is_none() {
                    let mut outside = town.outside();
                    outside.repair.retain(|_, holder| *holder != slot);
                    outside.receiver_gone |= slot <= RECEIVERS;
                    outside.dead.insert(slot);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    Citizen { town: &town, slot: ALL + 1 }.settle();
}

#[test]
fn ports_go_on_whoever_dies() {
    let cases = std::env::var("TRIVENI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config.max_steps = MaxSteps::FailAfter(200_000); // Who has not come to an end by then hangs.
        Runner::new(scheduler, config).run(live);
    };
    run(Box::new(RandomScheduler::new(cases)));
    run(Box::new(PctScheduler::new(4, cases)));
}
