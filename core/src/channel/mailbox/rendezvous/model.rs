//! The rendezvous under loom, in every interleaving of two or three threads with at most three preemptions. No slice
//! ends, so a lost wake is a deadlock.
//!
//! Loom remembers only the last access to a word when it looks for what to try next, so whoever looks first is spawned,
//! and runs last at first.

use super::*;
use crate::wait::{Bell, EventCount};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32 as Cell32;
use loom::thread;

struct Shared {
    control: Control,
    heads: Row,
    hall: Hall,
    /// A raw copy of bytes that the sender may write again: the receiver's copy does not count then.
    payload: Cell32,
    /// What the receiver has copied: its sender may look at it once it is told that the message is over.
    copy: UnsafeCell<u32>,
}

struct Row([Head; 1]);

// SAFETY: one head, which does not change.
unsafe impl Heads for Row {
    fn head(&self, _: u32) -> &Head {
        &self.0[0]
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

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            control: Control::new(),
            heads: Row([Head::new()]),
            hall: Hall::new(),
            payload: Cell32::new(0),
            copy: UnsafeCell::new(0),
        })
    }

    fn meeting(&self) -> Meeting<'_, Row> {
        let slots = Slots { control: &self.control, heads: &self.heads, capacity: 1, max_deliveries: 0, eager: true };
        Meeting { slots, hall: &self.hall }
    }

    fn put_down(&self, me: u32, message: u32) -> Option<Claim> {
        let Attempt::Claimed(claim) = self.meeting().claim_send(me).unwrap() else { return None };
        self.payload.store(message, Relaxed);
        self.heads.head(claim.index).begin_deliveries(claim.word);
        assert!(self.meeting().publish(claim, Envelope::default()));
        Some(claim)
    }

    fn claim(&self, ask: &Ask) -> Option<Claim> {
        match self.meeting().claim_receive(2, ask).unwrap() {
            Attempt::Claimed(claim) => Some(claim),
            _ => None,
        }
    }

    /// Copies the message of `claim`. `None`: its sender has taken it back.
    fn copy(&self, claim: Claim) -> Option<u32> {
        let message = self.payload.load(Relaxed);
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.copy.with_mut(|copy| unsafe { *copy = message });
        self.meeting().release(claim).then_some(message)
    }

    /// Waits for a message and copies it.
    fn receive(&self) -> u32 {
        let ask = Ask::default();
        ask.waits.set(true);
        wait(&self.control.rx.0, || self.claim(&ask).and_then(|claim| self.copy(claim)))
    }

    /// Waits until the message of `claim` is over.
    fn meet(&self, claim: Claim) {
        wait(&self.control.met.0, || (self.meeting().handed_over(claim) == Ok(Handed::Over)).then_some(()));
    }
}

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(scenario);
}

#[test]
fn either_the_receiver_has_a_message_or_the_sender_has_it_back() {
    explore(|| {
        let shared = Shared::new();
        let theirs = shared.clone();
        let receiver = thread::spawn(move || {
            let copied = |_| theirs.claim(&Ask::default()).and_then(|claim| theirs.copy(claim));
            (0..2).filter_map(copied).collect::<Vec<u32>>()
        });
        let theirs = shared.clone();
        let sender = thread::spawn(move || {
            let mut sent = Vec::new();
            for message in [7, 8] {
                let Some(claim) = theirs.put_down(1, message) else { continue };
                if !theirs.meeting().take_back(claim) {
                    assert_eq!(theirs.meeting().handed_over(claim), Ok(Handed::Over));
                    sent.push(message);
                }
            }
            sent
        });
        assert_eq!(receiver.join().unwrap(), sender.join().unwrap());
    });
}

#[test]
fn a_sender_that_waits_until_its_message_is_received_is_woken_and_sees_that_the_copy_is_over() {
    explore(|| {
        let shared = Shared::new();
        let theirs = shared.clone();
        let sender = thread::spawn(move || {
            let claim = theirs.put_down(1, 7).unwrap();
            theirs.meet(claim);
            // SAFETY: a plain read, as loom's cell checks that nobody writes.
            assert_eq!(theirs.copy.with(|copy| unsafe { *copy }), 7);
        });
        assert_eq!(shared.receive(), 7);
        sender.join().unwrap();
    });
}

#[test]
fn a_sender_whose_message_is_read_in_place_is_woken_and_goes() {
    explore(|| {
        let shared = Shared::new();
        let claim = shared.put_down(1, 7).unwrap();
        let theirs = shared.clone();
        let sender = thread::spawn(move || theirs.meet(claim));
        let reading = shared.claim(&Ask::default()).unwrap();
        let holding = shared.meeting().hold(reading).unwrap();
        assert_eq!(shared.payload.load(Relaxed), 7);
        // Released only when the sender has gone.
        sender.join().unwrap();
        assert!(shared.meeting().release(holding));
    });
}

#[test]
fn who_waits_until_a_receiver_is_here_is_woken() {
    explore(|| {
        let shared = Shared::new();
        let theirs = shared.clone();
        let sender = thread::spawn(move || {
            let is_here = || matches!(theirs.meeting().would_send(), Ok(Look::Ready(_))).then_some(());
            wait(&theirs.control.met.0, is_here);
            theirs.put_down(1, 7).unwrap();
        });
        assert_eq!(shared.receive(), 7);
        sender.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_a_place_gets_the_one_of_a_message_that_is_taken_back() {
    explore(|| {
        let shared = Shared::new();
        let claim = shared.put_down(1, 7).unwrap();
        let theirs = shared.clone();
        let other = thread::spawn(move || {
            wait(&theirs.control.tx.0, || theirs.put_down(3, 8));
        });
        assert!(shared.meeting().take_back(claim));
        other.join().unwrap();
        assert_eq!(shared.receive(), 8);
    });
}

#[test]
fn who_counts_late_for_a_message_that_was_taken_back_does_not_count_at_the_next_one() {
    explore(|| {
        let shared = Shared::new();
        let claim = shared.put_down(1, 7).unwrap();
        let held = shared.claim(&Ask::default()).unwrap();
        let theirs = shared.clone();
        let receiver = thread::spawn(move || theirs.meeting().give_back(held));
        assert!(shared.meeting().take_back(claim));
        shared.put_down(3, 8).unwrap();
        receiver.join().unwrap();
        let next = shared.claim(&Ask::default()).unwrap();
        assert_eq!(shared.heads.head(next.index).deliveries(next.word), 0);
        assert_eq!(shared.copy(next), Some(8));
    });
}
