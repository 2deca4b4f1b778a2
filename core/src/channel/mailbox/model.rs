//! The slots of a mailbox on the heap, for `tests/loom_mailbox.rs`: a message is one number in a cell that
//! loom watches, so that a torn or premature read fails.

use super::options::{Envelope, Select};
use super::queue::{Ask, Attempt, Claim, Control, Head, Heads, Look, Queue};
use super::slots::{Oldest, Slots};
use super::sorted::{Entries, Entry, Sorted};
use crate::channel::death;
use crate::prim::{
    AtomicU32, Full,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};
use crate::wait::Bell;
use loom::cell::UnsafeCell;

/// A mailbox of a few slots.
#[derive(Debug)]
pub struct Model {
    control: Control,
    heads: Row,
    payload: Vec<UnsafeCell<u32>>,
    /// For peek, which reads what may be overwritten meanwhile: the same number twice.
    copies: Vec<[AtomicU32; 2]>,
    /// The participant that has died; 0: nobody has.
    dead: AtomicU32,
    /// Not 0: it was shut down.
    shut: AtomicU32,
}

#[derive(Debug)]
struct Row(Vec<Head>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Row {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize]
    }
}

/// A sender's claim that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Held(Claim);

impl Model {
    /// An empty one.
    pub fn new(capacity: u32) -> Model {
        Model {
            control: Control::new(),
            heads: Row((0..capacity).map(|_| Head::new()).collect()),
            payload: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
            copies: (0..capacity).map(|_| [AtomicU32::new(0), AtomicU32::new(0)]).collect(),
            dead: AtomicU32::new(0),
            shut: AtomicU32::new(0),
        }
    }

    /// Nobody sends any more.
    pub fn shut_down(&self) {
        self.shut.or_full(1);
    }

    /// Sends as the handle does, if there is room and no shutdown.
    pub fn send_unless_shut(&self, me: u32, message: u32) -> bool {
        let Some(held) = self.reserve(me) else { return false };
        if self.shut.load(Acquire) != 0 {
            self.cancel(held);
            return false;
        }
        self.commit(held, message);
        true
    }

    /// Would a receiver be told that nothing comes any more?
    pub fn is_over(&self) -> bool {
        if self.shut.load(Acquire) == 0 {
            return false;
        }
        fence(SeqCst);
        matches!(self.slots().left(Select::Any), Ok(Look::Nothing))
    }

    /// Sends two, the first without a barrier of its own.
    pub fn send_two(&self, me: u32, messages: [u32; 2]) {
        // Both claimed before either is written, so that no fence of a claim stands behind a message.
        let [first, second] = [0, 1].map(|_| self.reserve(me).expect("room for two"));
        self.write(first, messages[0]);
        assert!(self.slots().publish_quietly(first.0, Envelope::default()));
        self.write(second, messages[1]);
        assert!(self.slots().publish(second.0, Envelope::default()));
        self.control.rx.0.notify(1);
    }

    /// Receives two, if they are there; the first place is given back without a barrier of its own.
    pub fn receive_two(&self, me: u32) -> Option<[u32; 2]> {
        let claim = || match self.slots().claim_receive(me, &Ask::default()).unwrap() {
            Attempt::Claimed(claim) => Some(claim),
            _ => None,
        };
        let first = claim()?;
        let message = self.read(first);
        assert!(self.slots().release_quietly(first));
        let second = claim()?;
        let messages = [message, self.read(second)];
        assert!(self.slots().release(second));
        self.control.tx.0.notify(1);
        Some(messages)
    }

    fn write(&self, held: Held, message: u32) {
        let index = held.0.index as usize;
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.payload[index].with_mut(|cell| unsafe { *cell = message });
        for half in &self.copies[index] {
            half.store(message, Relaxed);
        }
        self.heads.head(held.0.index).begin_deliveries(held.0.word);
    }

    fn read(&self, claim: Claim) -> u32 {
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        self.payload[claim.index as usize].with(|cell| unsafe { *cell })
    }

    /// Sends behind a look at the head, which whoever frees a place moves later: so loom tries this in between.
    pub fn look_and_send(&self, me: u32, message: u32) -> bool {
        self.slots().head_index();
        self.send(me, message)
    }

    /// How many receivers had the next message in vain. Receives it.
    pub fn receive_deliveries(&self, me: u32) -> Option<u32> {
        let Attempt::Claimed(claim) = self.slots().claim_receive(me, &Ask::default()).unwrap() else { return None };
        let deliveries = self.heads.head(claim.index).deliveries(claim.word).into();
        assert!(self.slots().release(claim), "a live receiver lost its claim");
        Some(deliveries)
    }

    /// Gives the first message back, which another receiver then gets.
    pub fn give_back(&self, me: u32) -> bool {
        match self.slots().claim_receive(me, &Ask::default()).unwrap() {
            Attempt::Claimed(claim) => {
                assert!(self.slots().give_back(claim), "a live receiver lost its claim");
                true
            }
            _ => false,
        }
    }

    fn slots(&self) -> Slots<'_, Row> {
        Slots {
            control: &self.control,
            heads: &self.heads,
            capacity: self.heads.0.len() as u32,
            max_deliveries: 0,
            eager: true,
        }
    }

    /// Runs `life` of participant `me` until its step number `at`; afterwards everybody can know that it is dead.
    pub fn dies<T>(&self, me: u32, at: u32, life: impl FnOnce() -> T) -> Option<T> {
        let outcome = death::at_step(at, life);
        if outcome.is_none() {
            // Release: the kernel lets go of a process's lock only when its last store is done.
            self.dead.store(me, Release);
        }
        outcome
    }

    /// Claims a place.
    pub fn reserve(&self, me: u32) -> Option<Held> {
        match self.slots().claim_send(me).unwrap() {
            Attempt::Claimed(claim) => Some(Held(claim)),
            _ => None,
        }
    }

    /// Writes and sends.
    pub fn commit(&self, held: Held, message: u32) {
        self.write(held, message);
        assert!(self.slots().publish(held.0, Envelope::default()), "a live sender lost its claim");
    }

    /// Gives a place back.
    pub fn cancel(&self, held: Held) {
        assert!(self.slots().cancel(held.0), "a live sender lost its claim");
    }

    /// Sends, if there is room.
    pub fn send(&self, me: u32, message: u32) -> bool {
        match self.reserve(me) {
            Some(held) => {
                self.commit(held, message);
                true
            }
            None => false,
        }
    }

    /// Receives, if there is a message.
    pub fn receive(&self, me: u32) -> Option<u32> {
        let Attempt::Claimed(claim) = self.slots().claim_receive(me, &Ask::default()).unwrap() else { return None };
        let message = self.read(claim);
        assert!(self.slots().release(claim), "a live receiver lost its claim");
        Some(message)
    }

    /// Peeks once; a message that was overwritten meanwhile is none.
    pub fn peek(&self) -> Option<u32> {
        let Oldest::Message { at, .. } = self.slots().at_head().unwrap() else { return None };
        let [first, second] = &self.copies[at.index as usize];
        let seen = (first.load(Relaxed), second.load(Relaxed));
        if !self.slots().is_whole(at) {
            return None;
        }
        assert_eq!(seen.0, seen.1, "a torn peek");
        Some(seen.0)
    }

    /// What the sweep does, if somebody has died. The repairer may die too, at its step number `at`.
    pub fn repair(&self, at: u32) {
        // Acquire: pairs with `dies`, as asking the kernel for the lock does.
        let dead = self.dead.load(Acquire);
        if dead != 0 {
            death::at_step(at, || self.slots().repair(dead));
        }
    }

    /// What a receiver does that meets a dead sender's claim: the one exchange, and no more.
    pub fn void(&self) {
        let dead = self.dead.load(Acquire);
        if let Ok(Oldest::Barred(claim)) = self.slots().at_head()
            && dead != 0
            && claim.owner() == dead
        {
            self.slots().void(claim);
        }
    }

    /// Receives; sleeps for ever if nobody wakes it.
    pub fn wait_and_receive(&self, me: u32) -> u32 {
        let mut waited = false;
        loop {
            if let Some(message) = self.receive(me) {
                if waited && self.slots().has_message() {
                    self.control.rx.0.notify(1);
                }
                return message;
            }
            waited = true;
            let key = self.control.rx.0.prepare();
            if let Some(message) = self.receive(me) {
                if self.slots().has_message() {
                    self.control.rx.0.notify(1);
                }
                return message;
            }
            self.control.rx.0.sleep(key, u64::MAX);
        }
    }

    /// Claims a place; sleeps for ever if nobody wakes it.
    pub fn wait_and_send(&self, me: u32, message: u32) {
        loop {
            if self.send(me, message) {
                return;
            }
            let key = self.control.tx.0.prepare();
            if self.send(me, message) {
                if self.slots().has_room() {
                    self.control.tx.0.notify(1);
                }
                return;
            }
            self.control.tx.0.sleep(key, u64::MAX);
        }
    }

    /// Peeks; sleeps for ever if nobody wakes it. Passes its wake on, as the message is still there.
    pub fn wait_and_peek(&self) -> u32 {
        loop {
            let key = self.control.rx.0.prepare();
            if let Some(message) = self.peek() {
                self.control.rx.0.notify(1);
                return message;
            }
            self.control.rx.0.sleep(key, u64::MAX);
        }
    }

    /// Takes all that is left, when everybody else has ended; checks that every place that was ever used
    /// ended in one message received or one claim made void, and that none names anybody.
    pub fn drain(&self, received: &mut Vec<u32>, cancelled: u32) {
        for _ in 0..4 * self.heads.0.len() {
            received.extend(self.receive(9));
        }
        let voided = self.control.tally.0.voided.load(Relaxed) as u32;
        let used: u32 = self.heads.0.iter().map(|head| head.free_turn().expect("a slot is stuck")).sum();
        assert_eq!(used, received.len() as u32 + voided + cancelled, "received {received:?}, {voided} voided");
    }
}

/// A sorted mailbox of a few slots.
#[derive(Debug)]
pub struct SortedModel {
    control: Control,
    places: Places,
    payload: Vec<UnsafeCell<u32>>,
}

#[derive(Debug)]
struct Places(Vec<(Head, Entry)>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Places {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize].0
    }
}

// SAFETY: entries of a vector that does not change, one for each index.
unsafe impl Entries for Places {
    fn entry(&self, index: u32) -> &Entry {
        &self.0[index as usize].1
    }
}

impl SortedModel {
    /// An empty one.
    pub fn new(capacity: u32) -> SortedModel {
        SortedModel {
            control: Control::new(),
            places: Places((0..capacity).map(|_| (Head::new(), Entry::new())).collect()),
            payload: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn sorted(&self) -> Sorted<'_, Places> {
        let capacity = self.places.0.len() as u32;
        Sorted { control: &self.control, places: &self.places, capacity, max_deliveries: 0 }
    }

    /// Sends, if there is room.
    pub fn send(&self, me: u32, message: u32, priority: u16) -> bool {
        let Attempt::Claimed(claim) = self.sorted().claim_send(me).unwrap() else { return false };
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.payload[claim.index as usize].with_mut(|cell| unsafe { *cell = message });
        assert!(self.sorted().publish(claim, Envelope { priority, mtype: 0 }), "a live sender lost its claim");
        true
    }

    /// Receives, if there is a message.
    pub fn receive(&self, me: u32) -> Option<u32> {
        let Attempt::Claimed(claim) = self.sorted().claim_receive(me, &Ask::default()).unwrap() else { return None };
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        let message = self.payload[claim.index as usize].with(|cell| unsafe { *cell });
        assert!(self.sorted().release(claim), "a live receiver lost its claim");
        Some(message)
    }
}
