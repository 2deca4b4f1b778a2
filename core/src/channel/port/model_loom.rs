//! A port under loom: messages, a right that goes over, an answer, and a notification, in every interleaving of two or
//! three threads with at most three preemptions. What a message says, and what only the owner of a right may touch, are
//! cells that loom watches, so that a torn or premature access fails. No slice ends, so a lost wake is a deadlock.
//!
//! Loom remembers only the last access to a word when it looks for what to try next: a load that is followed by another
//! thread's load and exchange is never tried behind the exchange. So whoever only looks is spawned, and runs last at first.

use super::call::may_come;
use super::life::{self, Parts, Ports, follow};
use super::memory::Request;
use super::notify::{self, PortEvent, Wish};
use super::places::{Claim, Places};
use super::rights::{Carrier, Record, Right, Rights, Ticket, Where};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::wait::{Bell, EventCount};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A port of `PLACES` places and two rights.
struct Port {
    next: AtomicU64,
    words: Vec<AtomicU64>,
    payload: Vec<UnsafeCell<u64>>,
    records: [Record; 2],
    rx: EventCount,
    tx: EventCount,
    requests: [Request; 1],
    watchers: [AtomicU64; 1],
}

impl Port {
    fn new(places: usize) -> Port {
        Port {
            next: AtomicU64::new(0),
            words: (0..places).map(|_| AtomicU64::new(0)).collect(),
            payload: (0..places).map(|_| UnsafeCell::new(0)).collect(),
            records: [Record::new(), Record::new()],
            rx: EventCount::new(),
            tx: EventCount::new(),
            requests: [Request::new()],
            watchers: [AtomicU64::new(0)],
        }
    }

    /// The right to receive from it, for `me`.
    fn receiver(&self, me: u32) -> Ticket {
        self.rights().take_receive(self.rights().look(0), me).unwrap()
    }

    fn claim(&self, me: u32) -> Option<Claim> {
        self.places().claim_send(me, 0, self.words.len() as u32).unwrap()
    }

    fn write(&self, claim: Claim, message: u64) {
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.payload[claim.index as usize].with_mut(|cell| unsafe { *cell = message });
    }

    fn read(&self, claim: Claim) -> u64 {
        // SAFETY: a plain read, as above.
        self.payload[claim.index as usize].with(|cell| unsafe { *cell })
    }

    fn publish(&self, claim: Claim) {
        assert!(self.places().publish(claim), "a live sender lost its claim");
        self.rx.notify(1);
    }

    fn take(&self, me: u32, fits: impl Fn(u32) -> bool) -> Option<Claim> {
        let at = self.places().oldest(fits).unwrap()?;
        self.places().claim_receive(at, me)
    }

    fn release(&self, claim: Claim) {
        assert!(self.places().release(claim), "the receiver lost its claim");
        self.tx.notify(1);
    }
}

impl Parts for &Port {
    fn rights(&self) -> Rights<'_> {
        Rights(&self.records)
    }
    fn places(&self) -> Places<'_> {
        Places { next: &self.next, words: &self.words }
    }
}

impl Port {
    fn rights(&self) -> Rights<'_> {
        Rights(&self.records)
    }
    fn places(&self) -> Places<'_> {
        Places { next: &self.next, words: &self.words }
    }
}

/// Waits until `attempt` has something.
fn wait<R>(bell: &EventCount, attempt: impl Fn() -> Option<R>) -> R {
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        let key = bell.prepare();
        if let Some(done) = attempt() {
            return done;
        }
        bell.sleep(key, u64::MAX);
    }
}

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(3);
    loom.check(scenario);
}

#[test]
fn a_sender_that_waits_for_room_and_a_receiver_that_waits_for_a_message_are_woken() {
    explore(|| {
        let port = Arc::new(Port::new(1));
        let theirs = port.clone();
        let sender = thread::spawn(move || {
            for message in 1..=2 {
                let claim = wait(&theirs.tx, || theirs.claim(1));
                theirs.write(claim, message);
                theirs.publish(claim);
            }
        });
        for message in 1..=2 {
            let claim = wait(&port.rx, || port.take(2, |_| true));
            assert_eq!(port.read(claim), message, "in order, and whole");
            port.release(claim);
        }
        sender.join().unwrap();
    });
}

#[test]
fn one_senders_messages_keep_their_order_beside_another_sender() {
    explore(|| {
        let port = Arc::new(Port::new(2));
        let theirs = port.clone();
        let sender = thread::spawn(move || {
            for message in 1..=2 {
                let Some(claim) = theirs.claim(1) else { return };
                theirs.write(claim, message);
                theirs.publish(claim);
            }
        });
        let other = port.claim(3);
        let mut last = 0;
        for _ in 0..2 {
            if let Some(claim) = port.take(2, |_| true) {
                assert!(port.read(claim) > last, "{} after {last}", port.read(claim));
                last = port.read(claim);
                port.release(claim);
            }
        }
        if let Some(other) = other {
            port.release(other);
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_message_that_is_repaired_comes_again_with_its_count() {
    explore(|| {
        let port = Arc::new(Port::new(1));
        let claim = port.claim(1).unwrap();
        port.write(claim, 1);
        port.publish(claim);
        let theirs = port.clone();
        let other = thread::spawn(move || {
            theirs.take(3, |_| true).map(|claim| {
                let message = theirs.read(claim);
                theirs.release(claim);
                message
            })
        });
        let died = port.take(2, |_| true).is_some();
        // The message stands for its envelope, too.
        port.places().repair(2, |index| port.write(Claim { index, word: 0 }, 101));
        if let Some(message) = other.join().unwrap() {
            assert_eq!(message, if died { 101 } else { 1 }, "delivered again, and not counted");
        }
    });
}

const CARRIER: u64 = 7;

/// Two ports: `carrier`, whose messages carry the right to receive from `target`.
struct Two {
    carrier: Port,
    target: Port,
    /// What only the owner of the right may touch.
    owned: UnsafeCell<u64>,
}

impl Two {
    /// Process 1 has the right to `target`, process 2 receives from `carrier`.
    fn new(places: usize) -> (Arc<Two>, Ticket) {
        let two = Two { carrier: Port::new(places), target: Port::new(1), owned: UnsafeCell::new(0) };
        two.carrier.receiver(2);
        let ticket = two.target.receiver(1);
        (Arc::new(two), ticket)
    }

    fn touch(&self) {
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.owned.with_mut(|cell| unsafe { *cell += 1 });
    }

    fn give(&self, me: u32, ticket: Ticket) {
        assert!(self.target.rights().has(ticket, me));
        self.touch();
        let claim = self.carrier.claim(me).unwrap();
        assert!(self.target.rights().put(ticket, me, Carrier::new(CARRIER, claim)));
        self.carrier.write(claim, 1);
        self.carrier.publish(claim);
        assert!(!self.target.rights().has(ticket, me), "in two hands");
    }

    /// Receives the right if its message is there. False: there is none.
    fn take(&self, me: u32, ticket: Ticket) -> bool {
        let Some(claim) = self.carrier.take(me, |_| true) else { return false };
        let rights = self.target.rights();
        assert!(rights.begin_take(ticket, me, Carrier::new(CARRIER, claim)), "lost on the way");
        assert_eq!(self.carrier.read(claim), 1);
        self.carrier.release(claim);
        assert!(rights.end_take(ticket, me), "ended by somebody");
        self.touch();
        true
    }
}

/// Nobody is dead.
impl<'a> Ports for &'a Two {
    type Port = &'a Port;
    fn is_dead(&self, _: u32) -> bool {
        false
    }
    fn asks(&self) -> bool {
        true
    }
    fn neighbour(&self, port: u64) -> Option<&'a Port> {
        (port == CARRIER).then_some(&self.carrier)
    }
}

/// Looks whether the right lives, which it always does.
fn spawn_looker(two: &Arc<Two>) -> thread::JoinHandle<()> {
    let two = two.clone();
    thread::spawn(move || {
        let (seen, lives) = follow(&&*two, &&two.target, 0, life::DEPTH);
        assert!(lives, "{seen:?}");
    })
}

#[test]
fn a_right_that_goes_over_is_never_seen_lost() {
    explore(|| {
        let (two, ticket) = Two::new(1);
        let theirs = two.clone();
        let taker = thread::spawn(move || theirs.take(2, ticket));
        let looker = spawn_looker(&two);
        two.give(1, ticket);
        if !taker.join().unwrap() {
            assert!(two.take(2, ticket));
        }
        looker.join().unwrap();
        assert_eq!(two.target.rights().look(0).place, Where::Held(2));
    });
}

#[test]
fn a_right_that_goes_from_message_to_message_is_never_seen_lost() {
    explore(|| {
        let (two, ticket) = Two::new(2);
        // So that the second message lies in the other place than the first.
        two.give(1, ticket);
        let looker = spawn_looker(&two);
        let claim = two.carrier.take(2, |_| true).unwrap();
        let rights = two.target.rights();
        assert!(rights.begin_take(ticket, 2, Carrier::new(CARRIER, claim)));
        let next = two.carrier.claim(2).unwrap();
        two.carrier.release(claim);
        assert!(rights.end_take(ticket, 2));
        assert!(rights.put(ticket, 2, Carrier::new(CARRIER, next)));
        two.carrier.publish(next);
        looker.join().unwrap();
    });
}

#[test]
fn a_right_that_was_received_is_not_seen_lost_with_its_message() {
    explore(|| {
        let (two, ticket) = Two::new(1);
        two.give(1, ticket);
        let looker = spawn_looker(&two);
        assert!(two.take(2, ticket));
        looker.join().unwrap();
    });
}

#[test]
fn who_is_given_a_right_that_ended_sees_all_that_was_done_with_it() {
    explore(|| {
        let (two, ticket) = Two::new(1);
        let theirs = two.clone();
        let successor = thread::spawn(move || {
            let rights = theirs.target.rights();
            let seen = rights.look(0);
            if seen.place == Where::Nowhere && rights.take_receive(seen, 2).is_some() {
                theirs.touch();
            }
        });
        two.touch();
        assert!(two.target.rights().give_up(ticket, 1));
        successor.join().unwrap();
    });
}

#[test]
fn of_two_who_take_a_port_over_one_has_it() {
    explore(|| {
        let (two, ticket) = Two::new(1);
        assert!(two.target.rights().give_up(ticket, 1));
        let takers = [2, 3].map(|me| {
            let two = two.clone();
            thread::spawn(move || {
                let rights = two.target.rights();
                let seen = rights.look(0);
                let taken = seen.place == Where::Nowhere && rights.take_receive(seen, me).is_some();
                if taken {
                    two.touch();
                }
                taken
            })
        });
        let taken = takers.map(|taker| taker.join().unwrap());
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    });
}

#[test]
fn an_answer_is_received_though_its_right_has_ended() {
    explore(|| {
        let answers = Arc::new(Port::new(1));
        let ticket = answers.rights().make(Right::SendOnce, 1).unwrap();
        let theirs = answers.clone();
        let caller = thread::spawn(move || {
            let claim = wait(&theirs.rx, || {
                let came = theirs.take(1, |_| true);
                let lives = theirs.rights().look(ticket.index).place != Where::Nowhere;
                assert!(came.is_some() || lives || may_come(theirs.places(), |_| true), "told that nobody will answer");
                came
            });
            assert_eq!(theirs.read(claim), 42);
            theirs.release(claim);
        });
        let claim = answers.claim(2).unwrap();
        // The right went over to the server; whose it is makes no difference to who waits.
        assert!(answers.rights().give_up(ticket, 1));
        answers.write(claim, 42);
        answers.publish(claim);
        caller.join().unwrap();
    });
}

const WATCHED: u64 = 9;

fn wish(event: PortEvent) -> Wish {
    Wish { event, port: WATCHED, message: 0 }
}

#[test]
fn who_sleeps_is_told_of_a_right_that_ends_while_it_is_asked_for() {
    explore(|| {
        let (two, ticket) = Two::new(1);
        let theirs = two.clone();
        // Whoever ends the right tells the watchers (`Life::changed`).
        let owner = thread::spawn(move || {
            assert!(theirs.target.rights().give_up(ticket, 1));
            if theirs.target.watchers[0].load(Relaxed) == CARRIER {
                theirs.carrier.rx.ring();
            }
        });
        let theirs = two.clone();
        let asker = thread::spawn(move || {
            assert!(notify::set(&theirs.carrier.requests, 3, wish(PortEvent::DeadName)));
            notify::watch(&theirs.target.watchers, CARRIER);
            theirs.carrier.rx.ring();
        });
        let told = wait(&two.carrier.rx, || {
            notify::take(&two.carrier.requests, |asked| {
                assert_eq!(asked, wish(PortEvent::DeadName), "half a wish");
                two.target.rights().look(0).place == Where::Nowhere
            })
        });
        assert_eq!(told, wish(PortEvent::DeadName));
        owner.join().unwrap();
        asker.join().unwrap();
    });
}

#[test]
fn of_two_receivers_one_is_told_and_each_wish_is_told_once() {
    explore(|| {
        let port = Arc::new(Port::new(1));
        assert!(notify::set(&port.requests, 1, wish(PortEvent::NoSenders)));
        let theirs = port.clone();
        let other = thread::spawn(move || {
            let told = notify::take(&theirs.requests, |_| true);
            // Room again for another one.
            if told.is_some() {
                assert!(notify::set(&theirs.requests, 1, wish(PortEvent::Accepted)));
            }
            told
        });
        let mine = notify::take(&port.requests, |_| true);
        let told = [mine, other.join().unwrap(), notify::take(&port.requests, |_| true)];
        let count = |event| told.iter().flatten().filter(|told| told.event == event).count();
        assert_eq!(count(PortEvent::NoSenders), 1, "{told:?}");
        let accepted = usize::from(told[1].is_some_and(|told| told.event == PortEvent::NoSenders));
        assert_eq!(count(PortEvent::Accepted), accepted, "{told:?}");
    });
}

#[test]
fn a_wish_that_is_taken_back_is_no_later_one_in_its_place() {
    explore(|| {
        let port = Arc::new(Port::new(1));
        let [first, second] = [1, 2].map(|message| Wish { message, ..wish(PortEvent::Accepted) });
        assert!(notify::set(&port.requests, 1, first));
        assert_eq!(notify::take(&port.requests, |_| true), Some(first));
        let theirs = port.clone();
        let other = thread::spawn(move || notify::forget(&theirs.requests, first));
        assert!(notify::set(&port.requests, 2, second));
        other.join().unwrap();
        assert_eq!(notify::take(&port.requests, |_| true), Some(second));
    });
}
