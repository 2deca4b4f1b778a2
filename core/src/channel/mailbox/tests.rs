//! The slots on the heap, without loom: the state table, wraps, death at every step, garbage.

use super::options::geometry;
use super::queue::*;
use super::slots::*;
use super::*;
use crate::ErrorKind;
use crate::channel::death;
use crate::prim::AtomicU32;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Slots on the heap, each with a message of one number.
struct Heap {
    control: Control,
    heads: Row,
    payload: Vec<AtomicU32>,
}

struct Row(Vec<Head>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Row {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize]
    }
}

impl Heap {
    fn new(capacity: u32) -> Heap {
        Heap {
            control: Control::new(),
            heads: Row((0..capacity).map(|_| Head::new()).collect()),
            payload: (0..capacity).map(|_| AtomicU32::new(u32::MAX)).collect(),
        }
    }

    /// One that has been in use for ages: all places free in `turn`, positions in that lap.
    fn aged(capacity: u32, turn: u32, lap_high: u64, epoch: u64) -> Heap {
        let heap = Heap::new(capacity);
        for head in &heap.heads.0 {
            head.set_word(u64::from(turn) << 32);
        }
        heap.control.set((lap_high << 32 | u64::from(turn)) << 20, epoch << 52 | u64::from(turn) << 20);
        heap
    }

    fn slots(&self) -> Slots<'_, Row> {
        Slots {
            control: &self.control,
            heads: &self.heads,
            capacity: self.heads.0.len() as u32,
            max_deliveries: 0,
            eager: false,
        }
    }

    fn claim_send(&self, me: u32) -> Option<Claim> {
        claimed(self.slots().claim_send(me))
    }

    fn commit(&self, claim: Claim, message: u32) -> bool {
        self.payload[claim.index as usize].store(message, Relaxed);
        self.heads.head(claim.index).begin_deliveries(claim.word);
        self.slots().publish(claim, Envelope::default())
    }

    fn send(&self, me: u32, message: u32) -> bool {
        self.claim_send(me).is_some_and(|claim| self.commit(claim, message))
    }

    fn claim_receive(&self, me: u32) -> Option<Claim> {
        claimed(self.slots().claim_receive(me, &Ask::default()))
    }

    /// Message and deliveries.
    fn receive_again(&self, me: u32) -> Option<(u32, u32)> {
        let claim = self.claim_receive(me)?;
        let message = self.payload[claim.index as usize].load(Relaxed);
        let deliveries = self.heads.head(claim.index).deliveries(claim.word).into();
        assert!(self.slots().release(claim));
        Some((message, deliveries))
    }

    fn receive(&self, me: u32) -> Option<u32> {
        self.receive_again(me).map(|(message, _)| message)
    }

    fn peek(&self) -> Option<u32> {
        match self.slots().at_head().unwrap() {
            Oldest::Message { at, .. } => Some(self.payload[at.index as usize].load(Relaxed)),
            _ => None,
        }
    }

    fn voided(&self) -> u64 {
        self.control.tally.0.voided.load(Relaxed)
    }

    fn redelivered(&self) -> u64 {
        self.control.tally.0.redelivered.load(Relaxed)
    }

    /// How many places have been used up, all of which must be free.
    fn used(&self) -> u64 {
        self.heads.0.iter().map(|head| u64::from(head.free_turn().expect("a slot is stuck"))).sum()
    }
}

fn claimed(attempt: Result<Attempt, Garbage>) -> Option<Claim> {
    match attempt.unwrap() {
        Attempt::Claimed(claim) => Some(claim),
        _ => None,
    }
}

#[test]
fn zeroed_memory_is_an_empty_mailbox() {
    let heap = Heap::new(3);
    assert_eq!(heap.slots().claim_receive(1, &Ask::default()), Ok(Attempt::Nothing));
    assert_eq!(heap.slots().len(), Ok(0));
    assert!(heap.slots().has_room() && !heap.slots().has_message());
}

#[test]
fn a_place_goes_from_free_to_writing_to_full_to_reading_to_free() {
    let heap = Heap::new(1);
    let word = || heap.heads.0[0].word_now();
    let writing = heap.claim_send(7).unwrap();
    assert_eq!((writing.word, word()), (0x71, 0x71));
    assert!(heap.commit(writing, 5));
    assert_eq!(word(), 0x2);
    let reading = heap.claim_receive(9).unwrap();
    assert_eq!(word(), 0x93);
    assert!(heap.slots().release(reading));
    assert_eq!(word(), 0x1_0000_0000);
}

#[test]
fn a_full_mailbox_takes_nothing_and_an_empty_one_gives_nothing() {
    let heap = Heap::new(2);
    assert!(heap.send(1, 10) && heap.send(1, 11));
    assert_eq!(heap.slots().claim_send(1), Ok(Attempt::Nothing));
    assert_eq!(heap.slots().len(), Ok(2));
    assert_eq!((heap.receive(2), heap.receive(2), heap.receive(2)), (Some(10), Some(11), None));
}

#[test]
fn a_peek_takes_nothing() {
    let heap = Heap::new(2);
    assert!(heap.send(1, 10));
    assert_eq!((heap.peek(), heap.peek(), heap.receive(2), heap.peek()), (Some(10), Some(10), Some(10), None));
}

#[test]
fn a_loan_bars_receivers_until_it_ends() {
    let heap = Heap::new(3);
    let loan = heap.claim_send(1).unwrap();
    assert!(heap.send(2, 11));
    assert_eq!(heap.slots().claim_receive(3, &Ask::default()), Ok(Attempt::Barred(loan)));
    assert!(heap.commit(loan, 10));
    assert_eq!((heap.receive(3), heap.receive(3)), (Some(10), Some(11)));
}

#[test]
fn receivers_step_over_a_cancelled_place() {
    let heap = Heap::new(3);
    let loan = heap.claim_send(1).unwrap();
    assert!(heap.send(2, 11) && heap.slots().cancel(loan));
    assert_eq!(heap.receive(3), Some(11));
    assert_eq!(heap.voided(), 0);
}

#[test]
fn a_head_that_lags_by_many_laps_catches_up_at_once() {
    for capacity in [1, 2, 3] {
        let heap = Heap::new(capacity);
        for _ in 0..5_000 * capacity + 1 {
            let loan = heap.claim_send(1).unwrap();
            assert!(heap.slots().cancel(loan));
        }
        assert!(heap.send(1, 10));
        assert_eq!(heap.slots().len(), Ok(1));
        assert_eq!((heap.receive(2), heap.receive(2)), (Some(10), None));
    }
}

#[test]
fn a_claim_ends_once() {
    let heap = Heap::new(1);
    let loan = heap.claim_send(1).unwrap();
    assert!(heap.commit(loan, 10));
    assert!(
        !heap.slots().publish(loan, Envelope::default()) && !heap.slots().cancel(loan) && !heap.slots().stands(loan)
    );
    assert_eq!(heap.receive(2), Some(10));
    // Its place is claimed again by the same participant: another turn, another word.
    let next = heap.claim_send(1).unwrap();
    assert!(!heap.slots().publish(loan, Envelope::default()) && heap.slots().stands(next));
}

#[test]
fn only_a_senders_exact_word_is_a_claim_to_resume() {
    let is = |word| Claim { index: 0, word }.is_writing_of(7);
    assert!(is(0x71) && is(0x5_0000_0071));
    for other in [0x72, 0x81, 0x73, 0x70, 0x1_0071, 0x1000_0071, 0] {
        assert!(!is(other), "{other:#x}");
    }
    assert!(!Claim { index: 0, word: 0x01 }.is_writing_of(0));
}

#[test]
fn a_slow_reader_bars_senders_that_come_round() {
    let heap = Heap::new(2);
    assert!(heap.send(1, 10) && heap.send(1, 11));
    let slow = heap.claim_receive(2).unwrap();
    assert_eq!(heap.receive(3), Some(11));
    assert_eq!(heap.slots().claim_send(1), Ok(Attempt::Barred(slow)));
    // The head has come round as well: nothing can come before that place is given back.
    assert_eq!(heap.slots().claim_receive(3, &Ask::default()), Ok(Attempt::Barred(slow)));
    assert!(heap.slots().release(slow));
    assert!(heap.send(1, 12));
    assert_eq!(heap.receive(3), Some(12));
}

#[test]
fn a_dead_senders_claim_is_made_void_and_counted() {
    let heap = Heap::new(2);
    let dead = heap.claim_send(1).unwrap();
    assert!(heap.send(2, 11));
    assert!(heap.slots().void(dead) && !heap.slots().void(dead));
    assert_eq!((heap.receive(3), heap.voided()), (Some(11), 1));
}

#[test]
fn a_dead_receivers_message_is_delivered_again_and_says_so() {
    let heap = Heap::new(3);
    assert!(heap.send(1, 10) && heap.send(1, 11));
    for died in 1..=3 {
        heap.claim_receive(2).unwrap();
        heap.slots().repair(2);
        assert_eq!(heap.redelivered(), died);
    }
    assert_eq!(heap.receive_again(3), Some((10, 3)));
    assert_eq!(heap.receive_again(3), Some((11, 0)));
}

#[test]
fn a_message_comes_back_though_the_head_has_gone_round() {
    let heap = Heap::new(2);
    assert!(heap.send(1, 10) && heap.send(1, 11));
    heap.claim_receive(2).unwrap();
    assert_eq!(heap.receive(3), Some(11));
    heap.slots().repair(2);
    assert_eq!(heap.slots().len(), Ok(1));
    assert_eq!(heap.receive_again(3), Some((10, 1)));
    assert!(heap.send(1, 12) && heap.send(1, 13));
    assert_eq!((heap.receive(3), heap.receive(3)), (Some(12), Some(13)));
}

#[test]
fn half_a_repair_is_healed_by_whoever_comes_round() {
    for sender_first in [false, true] {
        let heap = Heap::new(1);
        assert!(heap.send(1, 10));
        heap.claim_receive(2).unwrap();
        // Two steps: the message is full again; then the reaper dies, and head is past it.
        assert!(death::at_step(2, || heap.slots().repair(2)).is_none());
        if sender_first {
            assert_eq!(heap.slots().claim_send(1), Ok(Attempt::Nothing));
        }
        assert_eq!(heap.receive_again(3), Some((10, 1)));
    }
}

#[test]
fn repair_leaves_other_participants_alone() {
    let heap = Heap::new(4);
    assert!(heap.send(1, 10));
    let reading = heap.claim_receive(2).unwrap();
    let writing = heap.claim_send(1).unwrap();
    heap.slots().repair(3);
    assert!(heap.slots().stands(reading) && heap.slots().stands(writing));
    assert_eq!((heap.voided(), heap.redelivered()), (0, 0));
}

#[test]
fn turns_laps_and_epochs_wrap() {
    for capacity in [1, 2, 3, 7] {
        for (lap_high, epoch) in [(0, 0), (0xFFF, 0xFFF)] {
            let heap = Heap::aged(capacity, u32::MAX - 2, lap_high, epoch);
            let (mut sent, mut received) = (0, 0);
            for round in 0..8 {
                while heap.send(1, sent) {
                    sent += 1;
                }
                assert_eq!(sent - received, capacity);
                if round % 2 == 1 {
                    // Redelivery across the wrap: a receiver dies with the oldest, another has taken the rest.
                    heap.claim_receive(2).unwrap();
                    let rest: Vec<u32> = std::iter::from_fn(|| heap.receive(3)).collect();
                    assert_eq!(rest, (received + 1..sent).collect::<Vec<_>>());
                    heap.slots().repair(2);
                    assert_eq!(heap.receive_again(3), Some((received, 1)));
                    received = sent;
                }
                while let Some(message) = heap.receive(3) {
                    assert_eq!(message, received);
                    received += 1;
                }
                assert_eq!((sent, heap.slots().len()), (received, Ok(0)));
            }
            assert_eq!(sent, 8 * capacity);
        }
    }
}

/// One life that is cut short.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Send,
    Cancel,
    Receive,
}

/// Every death of every operation, with every short sequence of what others do around the repair, itself
/// cut short at every step: nothing is lost, doubled or stuck.
#[test]
fn death_at_any_step_loses_nothing_and_bars_nobody() {
    let mut deaths = 0;
    for capacity in 1..=3u32 {
        for before in 0..=capacity {
            for victim in [Victim::Send, Victim::Cancel, Victim::Receive] {
                for at in 1..=5 {
                    for script in 0..3u32.pow(4) {
                        for repair_at in 0..=8 {
                            deaths += u32::from(one_death(capacity, before, victim, at, script, repair_at));
                        }
                    }
                }
            }
        }
    }
    assert!(deaths > 1000, "{deaths}");
}

/// True if there was a death. `script` in base 3: send, receive, repair that dies at step `repair_at`.
fn one_death(capacity: u32, before: u32, victim: Victim, at: u32, mut script: u32, repair_at: u32) -> bool {
    let heap = Heap::new(capacity);
    let (mut sent, mut received, mut cancelled) = (vec![], vec![], 0);
    for message in 0..before {
        assert!(heap.send(1, message));
        sent.push(message);
    }
    let died = match victim {
        Victim::Send => death::at_step(at, || heap.send(2, 100)).map(|done| sent.extend(done.then_some(100))),
        Victim::Cancel => death::at_step(at, || heap.claim_send(2).is_some_and(|claim| heap.slots().cancel(claim)))
            .map(|done| cancelled += u64::from(done)),
        Victim::Receive => death::at_step(at, || heap.receive(2)).map(|message| received.extend(message)),
    }
    .is_none();
    for message in 200..204 {
        match script % 3 {
            0 => sent.extend(heap.send(1, message).then_some(message)),
            1 => received.extend(heap.receive(3)),
            _ => drop(death::at_step(repair_at, || heap.slots().repair(2))),
        }
        script /= 3;
    }
    heap.slots().repair(2);
    while let Some(message) = heap.receive(3) {
        received.push(message);
    }
    assert_eq!(heap.used(), received.len() as u64 + heap.voided() + cancelled, "{victim:?} at {at}");
    received.sort_unstable();
    sent.sort_unstable();
    assert_eq!(received, sent, "{victim:?} at {at}");
    for message in 0..capacity {
        assert!(heap.send(1, message), "room is gone for good: {victim:?} at {at}");
    }
    died
}

#[test]
fn four_threads_lose_and_double_nothing() {
    const EACH: u32 = 20_000;
    for capacity in [1, 3, 64] {
        let heap = Heap::new(capacity);
        let left = AtomicU32::new(2 * EACH);
        let received = std::thread::scope(|scope| {
            for me in 1..=2u32 {
                let heap = &heap;
                scope.spawn(move || {
                    for i in 0..EACH {
                        while !heap.send(me, me * EACH + i) {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let receivers: Vec<_> = (3..=4u32)
                .map(|me| {
                    let (heap, left) = (&heap, &left);
                    scope.spawn(move || {
                        let mut mine = vec![];
                        while left.load(Relaxed) > 0 {
                            match heap.receive(me) {
                                Some(message) => {
                                    mine.push(message);
                                    left.fetch_sub(1, Relaxed);
                                }
                                None => std::thread::yield_now(),
                            }
                        }
                        mine
                    })
                })
                .collect();
            receivers.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
        });
        for mine in &received {
            for me in 1..=2 {
                let of_one: Vec<_> = mine.iter().filter(|m| **m / EACH == me).collect();
                assert!(of_one.is_sorted(), "messages of one sender overtook each other");
            }
        }
        let mut all = received.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(EACH..3 * EACH));
    }
}

#[test]
fn numbers_no_mailbox_has_are_refused_with_a_sentence() {
    for (capacity, size, reason) in [
        ((1 << 20) + 1, 8, "1048576"),
        (usize::MAX, 8, "capacity"),
        (1, 0, "0 bytes"),
        (1, 1 << 28, "268435455"),
        (1, usize::MAX, "bytes"),
    ] {
        let error = geometry(MailboxOptions::new(capacity, size)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert_eq!(geometry(MailboxOptions::new(100, 48)).unwrap(), ([100, 48, 64, 0, 0], 512 + 6400));
    assert_eq!(geometry(MailboxOptions::new(1, 49)).unwrap(), ([1, 49, 128, 0, 0], 640));
    assert!(geometry(MailboxOptions::new(1 << 20, (1 << 28) - 1)).is_ok());
}

#[derive(Clone, Debug)]
enum Call {
    Send,
    Reserve,
    Commit(usize),
    Cancel(usize),
    Receive,
    Peek,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        Just(Call::Send),
        Just(Call::Send),
        Just(Call::Reserve),
        (0..4usize).prop_map(Call::Commit),
        (0..4usize).prop_map(Call::Cancel),
        Just(Call::Receive),
        Just(Call::Receive),
        Just(Call::Peek),
    ]
}

/// A position of the plain model: being written, a message, or done with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Loan,
    Message(u32),
    Done,
}

/// Words that are likely to be taken for good ones.
fn bad_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..6u64, 0..4u64, prop_oneof![0..4u64, u64::from(u32::MAX) - 3..=u64::from(u32::MAX)])
            .prop_map(|(state, owner, turn)| state | owner << 4 | turn << 32),
    ]
}

fn bad_position() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (
            0..4u64,
            prop_oneof![0..4u64, u64::from(u32::MAX) - 3..=u64::from(u32::MAX)],
            prop_oneof![0..2u64, 4094..4096u64]
        )
            .prop_map(|(index, lap, epoch)| index | lap << 20 | epoch << 52),
    ]
}

proptest! {
    #[test]
    fn it_behaves_like_a_queue(capacity in 1..5u32, calls in prop::collection::vec(call(), 1..80)) {
        let heap = Heap::new(capacity);
        let mut places: Vec<Place> = vec![];
        let mut loans: VecDeque<(usize, Claim)> = VecDeque::new();
        for (n, call) in calls.into_iter().enumerate() {
            let message = n as u32;
            let room = places.len() < capacity as usize || places[places.len() - capacity as usize] == Place::Done;
            let oldest = places.iter().position(|place| *place != Place::Done);
            let first = oldest.and_then(|at| if let Place::Message(m) = places[at] { Some((at, m)) } else { None });
            if n % 2 == 1 {
                prop_assert_eq!(matches!(heap.slots().would_send().unwrap(), Look::Ready(_)), room);
            }
            match call {
                Call::Send => {
                    prop_assert_eq!(heap.send(1, message), room);
                    if room { places.push(Place::Message(message)); }
                }
                Call::Reserve => {
                    let claim = heap.claim_send(1);
                    prop_assert_eq!(claim.is_some(), room);
                    if let Some(claim) = claim {
                        loans.push_back((places.len(), claim));
                        places.push(Place::Loan);
                    }
                }
                Call::Commit(i) if i < loans.len() => {
                    let (at, claim) = loans.remove(i).unwrap();
                    prop_assert!(heap.commit(claim, message));
                    places[at] = Place::Message(message);
                }
                Call::Cancel(i) if i < loans.len() => {
                    let (at, claim) = loans.remove(i).unwrap();
                    prop_assert!(heap.slots().cancel(claim));
                    places[at] = Place::Done;
                }
                Call::Commit(_) | Call::Cancel(_) => {}
                Call::Receive => {
                    prop_assert_eq!(heap.receive(2), first.map(|(_, m)| m));
                    if let Some((at, _)) = first { places[at] = Place::Done; }
                }
                Call::Peek => prop_assert_eq!(heap.peek(), first.map(|(_, m)| m)),
            }
            let messages = places.iter().filter(|place| matches!(place, Place::Message(_))).count();
            prop_assert_eq!(heap.slots().len().unwrap() as usize, messages);
        }
    }

    #[test]
    fn garbage_ends_in_an_answer(
        words in prop::collection::vec(bad_word(), 1..5),
        tail in bad_position(),
        head in bad_position(),
        calls in prop::collection::vec(0..8u32, 1..12),
    ) {
        let heap = Heap::new(words.len() as u32);
        for (head, word) in heap.heads.0.iter().zip(&words) {
            head.set_word(*word);
        }
        heap.control.set(tail, head);
        let slots = heap.slots();
        for call in calls {
            match call {
                0 => if let Ok(Attempt::Claimed(claim)) = slots.claim_send(1) { let _ = slots.publish(claim, Envelope::default()); },
                1 => if let Ok(Attempt::Claimed(claim)) = slots.claim_receive(2, &Ask::default()) { let _ = slots.release(claim); },
                2 => if let Ok(Attempt::Claimed(claim)) = slots.claim_send(3) { let _ = slots.cancel(claim); },
                3 => if let Ok(Oldest::Message { at, .. }) = slots.at_head() { let _ = slots.is_whole(at); },
                4 => slots.repair(1),
                5 => prop_assert!(slots.len().is_ok_and(|len| len <= slots.capacity) || slots.len().is_err()),
                6 => drop((slots.has_room(), slots.has_message(), slots.would_send())),
                _ => if let Ok(Attempt::Barred(claim)) = slots.claim_receive(2, &Ask::default()) { let _ = slots.void(claim); },
            }
        }
    }
}
