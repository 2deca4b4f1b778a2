//! A mailbox with priorities under loom: its orderings, one by one. Whoever only looks, or sleeps, is spawned, and runs
//! last at first: loom remembers only the last access to a word when it looks for what to try next, so a load that is
//! followed by another thread's load and exchange is never tried behind the exchange.
//!
//! No slice ends here, so a wake that is lost is a deadlock, which loom reports.
//!
//! Not seen here: which of two that stand together does it (the claim's barrier and the fence behind it; the Acquire of
//! the scan and that of the claim), and the release of an exchange apart from the fence behind it, as loom orders all
//! SeqCst fences.

use super::options::{Envelope, Select};
use super::queue::*;
use super::sorted::{Entries, Entry, Sorted};
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::wait::{Bell, EventCount};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Pool {
    control: Control,
    places: Row,
    payload: Vec<UnsafeCell<u32>>,
    /// For peek, which reads what may be overwritten meanwhile: the same number twice.
    copies: Vec<[AtomicU32; 2]>,
}

struct Row(Vec<(Head, Entry)>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Row {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize].0
    }
}

// SAFETY: entries of a vector that does not change, one for each index.
unsafe impl Entries for Row {
    fn entry(&self, index: u32) -> &Entry {
        &self.0[index as usize].1
    }
}

impl Pool {
    fn new(capacity: u32) -> Arc<Pool> {
        Arc::new(Pool {
            control: Control::new(),
            places: Row((0..capacity).map(|_| (Head::new(), Entry::new())).collect()),
            payload: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
            copies: (0..capacity).map(|_| [AtomicU32::new(0), AtomicU32::new(0)]).collect(),
        })
    }

    fn sorted(&self) -> Sorted<'_, Row> {
        let capacity = self.places.0.len() as u32;
        Sorted { control: &self.control, places: &self.places, capacity, max_deliveries: 0 }
    }

    fn reserve(&self, me: u32) -> Option<Claim> {
        match self.sorted().claim_send(me).unwrap() {
            Attempt::Claimed(claim) => Some(claim),
            _ => None,
        }
    }

    fn send(&self, me: u32, message: u32, priority: u16) -> Option<()> {
        let claim = self.reserve(me)?;
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.payload[claim.index as usize].with_mut(|cell| unsafe { *cell = message });
        self.copies[claim.index as usize].iter().for_each(|half| half.store(message, Relaxed));
        assert!(self.sorted().publish(claim, Envelope { priority, mtype: 0 }), "a live sender lost its claim");
        Some(())
    }

    fn claim(&self, me: u32) -> Option<Claim> {
        match self.sorted().claim_receive(me, &Ask::default()).unwrap() {
            Attempt::Claimed(claim) => Some(claim),
            _ => None,
        }
    }

    fn read(&self, claim: Claim) -> u32 {
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        self.payload[claim.index as usize].with(|cell| unsafe { *cell })
    }

    fn receive(&self, me: u32) -> Option<u32> {
        let claim = self.claim(me)?;
        let message = self.read(claim);
        assert!(self.sorted().release(claim), "a live receiver lost its claim");
        Some(message)
    }

    /// The best message, if it could be copied whole.
    fn peek(&self) -> Option<u32> {
        let Look::Ready(at) = self.sorted().oldest(Select::default()).unwrap() else { return None };
        let [first, second] = self.copies[at.index as usize].each_ref().map(|half| half.load(Relaxed));
        self.sorted().is_whole(at).then(|| {
            assert_eq!(first, second, "torn");
            first
        })
    }
}

/// Waits until `attempt` has something.
fn wait<R>(bell: &EventCount, attempt: impl Fn() -> Option<R>) -> R {
    loop {
        let key = bell.prepare();
        if let Some(done) = attempt() {
            return done;
        }
        bell.sleep(key, u64::MAX);
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn two_messages_of_one_sender_are_received_in_order() {
    check(|| {
        let mailbox = Pool::new(2);
        let theirs = mailbox.clone();
        let receiver = thread::spawn(move || theirs.receive(3).is_none_or(|first| first == 10));
        assert!(mailbox.send(1, 10, 0).is_some() && mailbox.send(1, 11, 0).is_some());
        assert!(receiver.join().unwrap(), "overtaken");
    });
}

#[test]
fn a_receiver_that_sleeps_is_woken() {
    check(|| {
        let mailbox = Pool::new(1);
        let theirs = mailbox.clone();
        let receiver = thread::spawn(move || wait(&theirs.control.rx.0, || theirs.receive(3)));
        mailbox.send(1, 10, 0).unwrap();
        assert_eq!(receiver.join().unwrap(), 10);
    });
}

/// A sender waits for the place that `free` gives back.
fn waits_for_room(free: fn(&Pool, Claim)) {
    check(move || {
        let mailbox = Pool::new(1);
        mailbox.send(1, 10, 0).unwrap();
        let claim = mailbox.claim(2).unwrap();
        let theirs = mailbox.clone();
        let sender = thread::spawn(move || wait(&theirs.control.tx.0, || theirs.send(3, 11, 0)));
        free(&mailbox, claim);
        sender.join().unwrap();
        assert_eq!(mailbox.receive(2), Some(11));
    });
}

#[test]
fn a_sender_that_sleeps_is_woken_by_a_receiver_that_has_read() {
    waits_for_room(|mailbox, claim| {
        assert_eq!(mailbox.read(claim), 10);
        assert!(mailbox.sorted().release(claim));
    });
}

#[test]
fn a_sender_that_sleeps_is_woken_by_one_that_gives_up() {
    check(|| {
        let mailbox = Pool::new(1);
        let claim = mailbox.reserve(1).unwrap();
        let theirs = mailbox.clone();
        let sender = thread::spawn(move || wait(&theirs.control.tx.0, || theirs.send(3, 11, 0)));
        // SAFETY: a plain write, as above.
        mailbox.payload[0].with_mut(|cell| unsafe { *cell = 7 });
        assert!(mailbox.sorted().cancel(claim));
        sender.join().unwrap();
        assert_eq!(mailbox.receive(2), Some(11));
    });
}

#[test]
fn a_message_that_is_given_back_is_received_by_who_sleeps() {
    check(|| {
        let mailbox = Pool::new(1);
        mailbox.send(1, 10, 0).unwrap();
        let claim = mailbox.claim(2).unwrap();
        let theirs = mailbox.clone();
        let receiver = thread::spawn(move || wait(&theirs.control.rx.0, || theirs.receive(3)));
        assert!(mailbox.sorted().give_back(claim));
        assert_eq!(receiver.join().unwrap(), 10);
    });
}

#[test]
fn what_is_peeked_is_whole_or_known_not_to_be() {
    check(|| {
        let mailbox = Pool::new(1);
        mailbox.send(1, 10, 0).unwrap();
        let theirs = mailbox.clone();
        let looker = thread::spawn(move || theirs.peek());
        assert_eq!(mailbox.receive(2), Some(10));
        mailbox.send(1, 11, 0).unwrap();
        looker.join().unwrap();
    });
}

#[test]
fn a_place_of_a_dead_sender_is_the_next_ones() {
    check(|| {
        let mailbox = Pool::new(1);
        let theirs = mailbox.clone();
        let sender = thread::spawn(move || theirs.send(3, 11, 0));
        // Killed while it writes; the kernel says so before the repair.
        if mailbox.reserve(1).is_some() {
            // SAFETY: a plain write, as above.
            mailbox.payload[0].with_mut(|cell| unsafe { *cell = 7 });
        }
        mailbox.sorted().repair(1);
        let sent = sender.join().unwrap();
        assert_eq!(mailbox.receive(2), sent.map(|()| 11));
    });
}
