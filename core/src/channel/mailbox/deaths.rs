//! Mailboxes of all kinds under shuttle: three senders and two receivers, each a process with a slot of its own, that die
//! before any operation on shared memory; one more sweeps. Each message that was sent is received, whole and in its
//! order, and again only if a receiver died with it or gave it back, which its count of deliveries then says. Run by
//! `tests/check shuttle`.

use super::KIND;
use super::memory::{Layout, Memory, Mode};
use super::options::{Envelope, Select};
use super::pages::{Ground, Paged, Pages};
use super::queue::{Ask, Attempt, Claim, Handed, Heads, Look, Queue, State};
use super::slots::Slots;
use crate::deadline::Deadline;
use crate::deaths::{ALL, Citizen, Town, check, lives};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::sync::mutex::Robber;
use crate::wait::{self, Spin, World};
use shuttle::rand::Rng;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Senders sit in slots 1 to 3, receivers in 4 and 5, the sweeper in 6.
const SENDERS: u32 = 3;
const RECEIVERS: u32 = 2;
/// Messages that each sender sends at most.
const MESSAGES: u64 = 4;
/// Words of a message, each its number.
const WORDS: usize = 3;

/// What is booked outside the segment.
#[derive(Default)]
struct Books {
    outside: Mutex<Outside>,
    /// Which frames have memory.
    committed: [AtomicU32; 8],
}

/// No thread is ever descheduled with it held.
#[derive(Default)]
struct Outside {
    now: u64,
    messages: BTreeMap<u64, Message>,
    received: Vec<Reception>,
    senders_gone: u32,
    receivers_gone: u32,
}

/// What is known of a message.
#[derive(Default)]
struct Message {
    envelope: Envelope,
    /// When its sender began to look for a place, and when it had published it.
    begun: u64,
    there: Option<u64>,
    /// Its sender has been told that it is sent, or has taken it back.
    sent: bool,
    back: bool,
    /// Whose claim it was last, unless that has ended.
    holder: Option<u32>,
    /// How many had it in vain at least, and how many wanted to give it back.
    vain: u32,
    given: u32,
    /// Its receiver was about to read it in place; to say that it is done with; it had said so.
    held: bool,
    perhaps: bool,
    done: bool,
}

/// A message was in a receiver's hands.
struct Reception {
    number: u64,
    select: Select,
    /// When the call began that received it, and when it was booked.
    began: u64,
    at: u64,
}

impl Books {
    fn get(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outside {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn message(&mut self, number: u64) -> &mut Message {
        self.messages.get_mut(&number).unwrap_or_else(|| panic!("a message {number} was never sent"))
    }

    /// `by` has message `number` in hand, which says that it was delivered in vain `deliveries` times.
    fn in_hand(&mut self, by: &Citizen<'_>, number: u64, deliveries: u32, began: u64, select: Select, mode: Mode) {
        let message = self.message(number);
        assert!(!message.done && !message.back, "message {number} was received twice, or after it was taken back");
        if let Some(before) = message.holder.replace(by.slot) {
            assert!(by.is_dead(before), "{} and {before} have message {number}", by.slot);
            message.vain += 1;
        }
        assert!(deliveries >= message.vain, "{number}: {deliveries} deliveries in vain, not {}", message.vain);
        let dead = (1..=ALL).filter(|slot| by.is_dead(*slot)).count() as u32;
        let most = message.given + 2 * dead; // Once more for each repairer that died.
        assert!(deliveries <= most, "{number}: {deliveries} deliveries in vain, for nothing");
        if deliveries == 0 {
            self.in_order(number, began, mode);
        }
        let at = self.tick();
        self.received.push(Reception { number, select, began, at });
    }

    /// Message `number` is in somebody's hand for the first time. Should an earlier receiver have got it?
    fn in_order(&mut self, number: u64, began: u64, mode: Mode) {
        let this = &self.messages[&number];
        let Some(there) = this.there else { return };
        for other in self.received.iter().filter(|other| other.at < began) {
            let that = &self.messages[&other.number];
            let older = there < that.begun;
            // What is published while a receive looks may miss it, unless one sender published both.
            let seen = there < other.began;
            let first = match (mode, other.select) {
                (Mode::Sorted, Select::Type(wanted)) if this.envelope.mtype != wanted => false,
                (Mode::Sorted, Select::Except(unwanted)) if this.envelope.mtype == unwanted => false,
                (Mode::Sorted, Select::UpTo(most)) if !(1..=most).contains(&this.envelope.mtype) => false,
                (Mode::Sorted, Select::UpTo(_)) if this.envelope.mtype != that.envelope.mtype => {
                    seen && this.envelope.mtype < that.envelope.mtype
                }
                (Mode::Sorted, _) if this.envelope.priority != that.envelope.priority => {
                    seen && this.envelope.priority > that.envelope.priority
                }
                (Mode::Sorted, _) if number / 100 != other.number / 100 => seen && older,
                _ => older,
            };
            assert!(!first, "{} went before {number}", other.number);
        }
    }
}

/// Which frames have memory, outside the segment.
struct Land<'a>(&'a Memory, &'a [AtomicU32; 8]);

impl Ground for Land<'_> {
    type Error = i32;
    fn is_free(&self, index: u32) -> bool {
        self.0.is_free(index)
    }
    fn commit(&self, frame: u32) -> std::result::Result<(), i32> {
        self.1[frame as usize].store(1, Relaxed);
        Ok(())
    }
    fn give_back(&self, frame: u32) {
        self.1[frame as usize].store(0, Relaxed);
    }
}

/// What a process has in hand: the mailbox, and the books.
struct Hand<'a> {
    citizen: &'a Citizen<'a>,
    books: &'a Books,
    memory: Memory,
}

impl Hand<'_> {
    fn new<'a>(citizen: &'a Citizen<'a>, books: &'a Books) -> Hand<'a> {
        Hand { citizen, books, memory: Memory::of(citizen.town.memory.view()).unwrap() }
    }

    fn with<R>(&self, what: impl FnOnce(&dyn Queue) -> R) -> R {
        let memory = &self.memory;
        match memory.mode {
            Mode::Fifo => what(&Slots { eager: true, ..memory.slots() }),
            Mode::Sorted => what(&memory.sorted()),
            Mode::Rendezvous => what(&memory.meeting()),
            Mode::Unbounded => {
                let pages = Pages { keep: 1, ..memory.pages() };
                what(&Paged { slots: memory.slots(), pages, ground: &Land(memory, &self.books.committed) })
            }
        }
    }

    fn by_chance(&self, how_often: f64) -> bool {
        shuttle::rand::thread_rng().gen_bool(how_often)
    }

    /// Ends the claim in the way if its owner is dead, as the library does.
    fn clear(&self, claim: Claim) -> bool {
        if !self.citizen.is_dead(claim.owner()) {
            return false;
        }
        let voided = self.with(|queue| queue.void(claim));
        let repair = || self.with(|queue| queue.repair(claim.owner()));
        let repaired = self.citizen.repairing(claim.owner(), repair).is_some();
        if repaired {
            self.memory.control().ring();
        }
        voided || repaired
    }

    /// One attempt to claim, and one more if a dead one's claim was in the way.
    fn claim(&self, suspect: &Cell<Option<u32>>, attempt: impl Fn(&dyn Queue) -> Attempt) -> Option<Claim> {
        suspect.set(None);
        for _ in 0..2 {
            match self.with(&attempt) {
                Attempt::Claimed(claim) => return Some(claim),
                Attempt::Barred(claim) => {
                    suspect.set(Some(claim.owner()));
                    if !self.clear(claim) {
                        return None;
                    }
                }
                Attempt::Nothing | Attempt::Refused(_) => return None,
            }
        }
        None
    }

    /// The words of the message at `index`; of an unbounded mailbox they have memory.
    fn words(&self, index: u32) -> &[AtomicU64; WORDS] {
        if self.memory.mode == Mode::Unbounded {
            let frame = self.memory.pages().of::<()>(index).unwrap_or_else(|_| panic!("place {index} has no frame"));
            assert_eq!(self.books.committed[frame as usize].load(Relaxed), 1, "frame {frame} has no memory");
        }
        // SAFETY: the payload of a place has so many bytes, 8-aligned behind the head or a multiple of 64; all access is
        // atomic.
        unsafe { &*self.memory.payload(index).cast() }
    }

    /// A place to write to; waits for one, as long as somebody receives.
    fn room(&self) -> Result<Claim> {
        let (suspect, me) = (Cell::new(None), self.citizen.slot);
        let attempt = || self.claim(&suspect, |queue| queue.claim_send(me).unwrap());
        let nobody = || self.books.get().receivers_gone == RECEIVERS;
        let tx = &self.memory.control().tx.0;
        wait::until(
            self.citizen,
            tx,
            &Spin::default(),
            Deadline::never(),
            || suspect.get(),
            || match attempt() {
                None if self.memory.mode == Mode::Unbounded => Err(ErrorKind::NoSpace.into()),
                None if nobody() => attempt().map_or(Err(timeout()), |claim| Ok(Some(claim))),
                found => Ok(found),
            },
        )
    }

    fn send(&self) {
        for n in 0..MESSAGES {
            let mut random = shuttle::rand::thread_rng();
            let number = u64::from(self.citizen.slot) * 100 + n;
            let envelope = match self.memory.mode {
                Mode::Sorted => Envelope { priority: random.gen_range(0..2), mtype: random.gen_range(1..=2) },
                _ => Envelope::default(),
            };
            let meets = self.memory.mode == Mode::Rendezvous;
            // Who only tries sends to those who wait.
            if meets && self.by_chance(0.2) && !matches!(self.with(|q| q.would_send().unwrap()), Look::Ready(_)) {
                shuttle::thread::yield_now();
                continue;
            }
            let begun = self.books.get().tick();
            let Ok(claim) = self.room() else { continue };
            if self.by_chance(0.1) {
                assert!(self.with(|queue| queue.cancel(claim)));
                continue;
            }
            self.write(claim, number, begun, envelope);
            // As a batch: the next one is claimed before this one can be seen.
            let begun = self.books.get().tick();
            let next = (!meets && self.by_chance(0.3)).then(|| self.with(|q| q.claim_send(self.citizen.slot).unwrap()));
            if let Some(Attempt::Claimed(next)) = next {
                let behind = u64::from(self.citizen.slot) * 100 + 50 + n;
                self.write(next, behind, begun, envelope);
                assert!(self.with(|queue| queue.publish_quietly(claim, envelope)));
                self.sent(number);
                assert!(self.with(|queue| queue.publish(next, envelope)));
                self.sent(behind);
                continue;
            }
            assert!(self.with(|queue| queue.publish(claim, envelope)));
            if meets {
                let mut outside = self.books.get();
                let now = outside.tick();
                outside.message(number).there = Some(now);
                drop(outside);
                if !self.hand_over(claim) {
                    self.books.get().message(number).back = true;
                    continue;
                }
            }
            self.sent(number);
        }
    }

    fn write(&self, claim: Claim, number: u64, begun: u64, envelope: Envelope) {
        self.books.get().messages.insert(number, Message { envelope, begun, ..Message::default() });
        self.words(claim.index).iter().for_each(|word| word.store(number, Relaxed));
        let head = self.memory.head(claim.index);
        head.len.store(8 * WORDS as u32, Relaxed);
        head.begin_deliveries(claim.word);
    }

    fn sent(&self, number: u64) {
        let mut outside = self.books.get();
        let now = outside.tick();
        let message = outside.message(number);
        message.there.get_or_insert(now);
        message.sent = true;
        let meets = self.memory.mode == Mode::Rendezvous;
        assert!(!meets || message.held || message.perhaps, "{number} is sent, and nobody has it");
    }

    /// Waits until a receiver has the message, or for some looks. False: it was taken back.
    fn hand_over(&self, claim: Claim) -> bool {
        let (suspect, left) = (Cell::new(None), Cell::new(shuttle::rand::thread_rng().gen_range(1..30)));
        let met = &self.memory.control().met.0;
        let handed = wait::until(
            self.citizen,
            met,
            &Spin::default(),
            Deadline::never(),
            || suspect.get(),
            || {
                suspect.set(None);
                match self.with(|queue| queue.handed_over(claim)).unwrap() {
                    Handed::Over => return Ok(Some(())),
                    Handed::NotYet(0) => {}
                    Handed::NotYet(who) => {
                        suspect.set(Some(who));
                        self.clear(Claim { index: claim.index, word: u64::from(who) << 4 });
                    }
                }
                left.set(left.get() - 1);
                if left.get() > 0 { Ok(None) } else { Err(timeout()) }
            },
        );
        loop {
            if handed.is_ok() || self.with(|queue| queue.handed_over(claim)) == Ok(Handed::Over) {
                return true;
            }
            if self.with(|queue| queue.take_back(claim)) {
                return false;
            }
        }
    }

    /// Receives what comes, as long as somebody sends.
    fn receive(&self) {
        let mut n = 0;
        while n < 3 * MESSAGES {
            let mut random = shuttle::rand::thread_rng();
            let selects = self.memory.mode == Mode::Sorted && random.gen_bool(0.5);
            let kind = random.gen_range(1..=2);
            let select = match random.gen_range(0..3) {
                0 if selects => Select::Type(kind),
                1 if selects => Select::UpTo(kind),
                2 if selects => Select::Except(kind),
                _ => Select::Any,
            };
            let began = self.books.get().tick();
            let ask = Ask { select, ..Ask::default() };
            let (suspect, me) = (Cell::new(None), self.citizen.slot);
            let attempt = || self.claim(&suspect, |queue| queue.claim_receive(me, &ask).unwrap());
            // Who selects only tries: what it wants may never come.
            ask.waits.set(select == Select::Any);
            let nobody = || self.books.get().senders_gone == SENDERS;
            let rx = &self.memory.control().rx.0;
            let found = wait::until(
                self.citizen,
                rx,
                &Spin::default(),
                Deadline::never(),
                || suspect.get(),
                || match attempt() {
                    None if !ask.waits.get() => Err(timeout()),
                    None if nobody() && suspect.get().is_none() => {
                        attempt().map_or(Err(timeout()), |claim| Ok(Some(claim)))
                    }
                    found => Ok(found),
                },
            );
            n += 1;
            match found {
                Ok(claim) => self.take(claim, began, select),
                Err(_) => {
                    self.with(|queue| queue.withdraw(me, &ask));
                    if ask.waits.get() {
                        return;
                    }
                }
            }
        }
    }

    /// Copies the message that was claimed, or reads it in place, and says that it is done with, or gives it back.
    fn take(&self, mut claim: Claim, began: u64, select: Select) {
        let meets = self.memory.mode == Mode::Rendezvous;
        let holds = self.by_chance(0.5);
        if holds {
            let number = self.words(claim.index)[0].load(Relaxed);
            if let Some(message) = self.books.get().messages.get_mut(&number) {
                message.held = true;
            }
            let Some(held) = self.with(|queue| queue.hold(claim)) else { return };
            claim = held;
        }
        let seen = [(); WORDS].map({
            let mut words = self.words(claim.index).iter();
            move |()| words.next().unwrap().load(Relaxed)
        });
        let deliveries = self.memory.head(claim.index).deliveries(claim.word).into();
        let (number, citizen, mode) = (seen[0], self.citizen, self.memory.mode);
        // At a rendezvous a message that is only copied can be taken back meanwhile: then the copy does not count.
        let ours = holds || !meets || self.with(|queue| queue.stands(claim));
        if !ours {
            assert!(!self.with(|queue| queue.release(claim)));
            return;
        }
        assert_eq!(seen, [number; WORDS], "torn in the hands of {}", citizen.slot);
        assert_eq!(self.with(|queue| queue.envelope(claim)), self.books.get().message(number).envelope);
        if holds || !meets {
            self.books.get().in_hand(citizen, number, deliveries, began, select, mode);
        }
        if self.by_chance(0.15) {
            let mut outside = self.books.get();
            let message = outside.message(number);
            message.holder = None;
            message.given += 1;
            drop(outside);
            let ours = self.with(|queue| queue.give_back(claim));
            assert!(ours || meets && !holds, "{} lost its claim", citizen.slot);
            self.books.get().message(number).vain += u32::from(ours);
            return;
        }
        self.books.get().message(number).perhaps = true;
        let ours = self.with(|queue| queue.release(claim));
        assert!(ours || meets && !holds, "{} lost its claim", citizen.slot);
        if ours {
            if meets && !holds {
                self.books.get().in_hand(citizen, number, deliveries, began, select, mode);
            }
            self.books.get().message(number).done = true;
        }
    }

    /// When all others are gone: each message that was sent has been received or is there, and all places are free.
    fn settle(&self) {
        self.citizen.sweep();
        let me = self.citizen.slot;
        let receive = || self.with(|queue| queue.claim_receive(me, &Ask::default()).unwrap());
        loop {
            match receive() {
                Attempt::Claimed(claim) => self.take(claim, u64::MAX, Select::Any),
                Attempt::Nothing => break,
                other => panic!("{other:?} is left"),
            }
        }
        if self.memory.mode == Mode::Unbounded {
            // That of the page at the head; and by bad luck one more for a time, as who leaves pages goes by hints.
            assert!(self.memory.pages().frames_in_use() <= 2, "frames are not given back");
            self.memory.pages().is_untidy();
            assert_eq!(receive(), Attempt::Nothing);
            assert!(self.memory.pages().frames_in_use() <= 1, "frames are lost");
        }
        for (number, message) in &self.books.get().messages {
            assert!(!message.sent || message.done || message.perhaps, "message {number} is lost");
            assert!(!message.back || !message.done, "message {number} was taken back and received");
        }
        assert_eq!(self.with(|queue| queue.len()), Ok(0));
        assert_eq!(self.with(|queue| queue.left(Select::Any)), Ok(Look::Nothing));
        self.with(|queue| queue.claims(&mut |claim| panic!("{claim:?} is left")));
        if self.memory.mode == Mode::Rendezvous {
            assert_eq!(self.with(|queue| queue.would_send()), Ok(Look::Nothing), "a dead one waits for messages");
        }
        let claims: Vec<_> = std::iter::from_fn(|| match self.with(|queue| queue.claim_send(me).unwrap()) {
            Attempt::Claimed(claim) => Some(claim),
            _ => None,
        })
        .collect();
        assert_eq!(claims.len(), places(self.memory.mode), "places are lost");
        for claim in claims {
            assert_eq!(claim.state(), Ok(State::Writing(me)));
            assert!(self.with(|queue| queue.cancel(claim)));
        }
        assert_eq!(receive(), Attempt::Nothing);
    }
}

fn timeout() -> Error {
    ErrorKind::Timeout.into()
}

fn places(mode: Mode) -> usize {
    match mode {
        Mode::Fifo | Mode::Sorted => 3,
        Mode::Rendezvous => 2,
        Mode::Unbounded => 8,
    }
}

fn town(mode: Mode) -> Town {
    // At a rendezvous large messages leave room for two.
    let (capacity, message_size) = match mode {
        Mode::Rendezvous => (0, (1 << 15) - 16),
        _ => (places(mode), 8 * WORDS),
    };
    let layout = Layout::of(mode, capacity, message_size).unwrap();
    let geometry = [capacity as u64, message_size as u64, layout.stride as u64, mode as u64, 0];
    Town::new(&KIND, layout.size, geometry)
}

fn mailbox(mode: Mode) {
    check(move || {
        lives(
            town(mode),
            200,
            |citizen, books: &Books| match citizen.slot {
                1..=SENDERS => Hand::new(citizen, books).send(),
                ALL => (0..3).for_each(|_| citizen.sweep()),
                _ => Hand::new(citizen, books).receive(),
            },
            |slot, books| match slot {
                1..=SENDERS => books.get().senders_gone += 1,
                ALL => {}
                _ => books.get().receivers_gone += 1,
            },
            |citizen, books| Hand::new(citizen, books).settle(),
        );
    });
}

#[test]
fn a_bounded_mailbox_goes_on_whoever_dies() {
    mailbox(Mode::Fifo);
}

#[test]
fn a_sorted_mailbox_goes_on_whoever_dies() {
    mailbox(Mode::Sorted);
}

#[test]
fn a_rendezvous_goes_on_whoever_dies() {
    mailbox(Mode::Rendezvous);
}

#[test]
fn an_unbounded_mailbox_goes_on_whoever_dies() {
    mailbox(Mode::Unbounded);
}

/// Nobody dies here, and nobody gives a message back: then every page is left.
#[test]
fn a_page_of_cancelled_sends_is_left_whoever_looks_meanwhile() {
    check(|| {
        let shared = Arc::new((town(Mode::Unbounded), Books::default()));
        let theirs = shared.clone();
        let receive = |hand: &Hand<'_>| {
            let got = hand.with(|queue| queue.claim_receive(hand.citizen.slot, &Ask::default()));
            assert!(matches!(got, Ok(Attempt::Nothing | Attempt::Barred(_))), "{got:?}");
        };
        let receiver = shuttle::thread::spawn(move || {
            let citizen = Citizen { town: &theirs.0, slot: 1 };
            (0..3).for_each(|_| receive(&Hand::new(&citizen, &theirs.1)));
        });
        let citizen = Citizen { town: &shared.0, slot: 2 };
        let hand = Hand::new(&citizen, &shared.1);
        for _ in 0..2 {
            let Attempt::Claimed(claim) = hand.with(|queue| queue.claim_send(2).unwrap()) else { panic!("no room") };
            assert!(hand.with(|queue| queue.cancel(claim)));
        }
        receiver.join().unwrap();
        receive(&hand);
        assert_eq!(hand.memory.pages().frames_in_use(), 0, "the first page keeps its frame");
    });
}
