//! Priorities and types: what is received first, and that nothing is lost when somebody dies at any step.

use super::queue::*;
use super::sorted::{Entries, Entry, MOST_PRIORITY, Sorted};
use super::*;
use crate::Segment;
use crate::channel::death;
use crate::prim::AtomicU32;
use proptest::prelude::*;

/// A sorted mailbox on the heap, each message one number.
struct Heap {
    control: Control,
    row: Row,
    payload: Vec<AtomicU32>,
    max_deliveries: u16,
}

struct Row(Vec<(Head, Entry)>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Row {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize].0
    }
}

// SAFETY: as above.
unsafe impl Entries for Row {
    fn entry(&self, index: u32) -> &Entry {
        &self.0[index as usize].1
    }
}

impl Heap {
    fn new(capacity: u32) -> Heap {
        Heap {
            control: Control::new(),
            row: Row((0..capacity).map(|_| (Head::new(), Entry::new())).collect()),
            payload: (0..capacity).map(|_| AtomicU32::new(u32::MAX)).collect(),
            max_deliveries: 0,
        }
    }

    fn sorted(&self) -> Sorted<'_, Row> {
        let capacity = self.row.0.len() as u32;
        Sorted { control: &self.control, places: &self.row, capacity, max_deliveries: self.max_deliveries }
    }

    fn send(&self, me: u32, message: u32, priority: u16, mtype: u32) -> bool {
        let Ok(Attempt::Claimed(claim)) = self.sorted().claim_send(me) else { return false };
        self.payload[claim.index as usize].store(message, Relaxed);
        self.row.head(claim.index).begin_deliveries(claim.word);
        assert!(self.sorted().publish(claim, Envelope { priority, mtype }));
        true
    }

    fn claim(&self, me: u32, select: Select) -> Option<Claim> {
        match self.sorted().claim_receive(me, &Ask { select, ..Ask::default() }) {
            Ok(Attempt::Claimed(claim)) => Some(claim),
            _ => None,
        }
    }

    fn receive(&self, me: u32, select: Select) -> Option<u32> {
        let claim = self.claim(me, select)?;
        let message = self.payload[claim.index as usize].load(Relaxed);
        assert!(self.sorted().release(claim));
        Some(message)
    }

    fn used(&self) -> u64 {
        self.row.0.iter().map(|(_, entry)| entry.word_now() >> 32).sum()
    }
}

#[test]
fn priorities_and_types_come_in_their_order() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox_with("m", MailboxOptions::new(8, 8).order(Order::Priority)).unwrap();
    let send = |text: &[u8], priority, mtype| mailbox.send_with(text, Envelope { priority, mtype }).unwrap();
    send(b"a", 0, 3);
    send(b"b", 7, 2);
    send(b"c", MOST_PRIORITY, 0);
    send(b"d", 7, 1);
    send(b"e", 0, 3);
    let mut buffer = [0; 8];
    let mut next = |select| {
        let found = mailbox.try_receive_selected(select, &mut buffer).unwrap();
        found.map(|found| (buffer[0], found.priority, found.mtype))
    };
    assert_eq!(next(Select::Type(3)), Some((b'a', 0, 3)));
    assert_eq!(next(Select::UpTo(2)), Some((b'd', 7, 1)), "the lowest type, whatever its age");
    assert_eq!(next(Select::Except(0)), Some((b'b', 7, 2)));
    assert_eq!(next(Select::Type(9)), None);
    assert_eq!(next(Select::Any), Some((b'c', MOST_PRIORITY, 0)));
    assert_eq!(next(Select::Except(3)), None);
    assert_eq!(next(Select::Any), Some((b'e', 0, 3)));
    assert_eq!(next(Select::Any), None);
}

#[test]
fn what_a_mailbox_without_priorities_cannot_do_is_refused() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let plain = segment.mailbox("plain", 2, 8).unwrap();
    let sorted = segment.mailbox_with("sorted", MailboxOptions::new(2, 8).order(Order::Priority)).unwrap();
    let high = Envelope { priority: MOST_PRIORITY + 1, mtype: 0 };
    let mut buffer = [0; 8];
    for (error, said) in [
        (plain.send_with(b"x", Envelope { priority: 1, mtype: 0 }).unwrap_err(), "first in, first out"),
        (plain.try_send_with(b"x", Envelope { priority: 0, mtype: 1 }).map(drop).unwrap_err(), "order priority"),
        (plain.try_receive_selected(Select::Type(1), &mut buffer).map(drop).unwrap_err(), "receive by type"),
        (plain.try_borrow_selected(Select::Except(1)).map(drop).unwrap_err(), "receive by type"),
        (plain.reserve(1).unwrap().commit_with(1, Envelope { priority: 1, mtype: 0 }).unwrap_err(), "first in"),
        (sorted.send_with(b"x", high).unwrap_err(), "32768"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(said), "{error}");
    }
    plain.send_with(b"x", Envelope::default()).unwrap();
    plain.receive_selected(Select::Any, &mut buffer).unwrap();
}

#[test]
fn a_reserved_place_holds_nobody_up_and_is_as_old_as_its_commit() {
    let heap = Heap::new(3);
    let Ok(Attempt::Claimed(slow)) = heap.sorted().claim_send(1) else { panic!() };
    assert!(heap.send(2, 20, 0, 0));
    heap.payload[slow.index as usize].store(10, Relaxed);
    assert!(heap.sorted().publish(slow, Envelope::default()));
    assert!(heap.send(2, 21, 0, 0));
    let order: Vec<_> = std::iter::from_fn(|| heap.receive(3, Select::Any)).collect();
    assert_eq!(order, [20, 10, 21]);
}

#[test]
fn a_message_that_nobody_selects_bars_nobody() {
    let heap = Heap::new(2);
    assert!(heap.send(1, 10, 0, 5));
    for i in 0..50 {
        assert!(heap.send(1, i, 0, 1));
        assert!(!heap.send(1, i, 0, 1), "full");
        assert_eq!(heap.receive(2, Select::Type(1)), Some(i));
    }
    assert_eq!(heap.receive(2, Select::Any), Some(10));
}

#[test]
fn the_dead_are_found_where_they_are_in_the_way() {
    let heap = Heap::new(2);
    let Ok(Attempt::Claimed(writing)) = heap.sorted().claim_send(1) else { panic!() };
    assert_eq!(heap.sorted().claim_receive(2, &Ask::default()), Ok(Attempt::Barred(writing)));
    assert!(heap.send(2, 20, 0, 0));
    assert_eq!(heap.sorted().claim_send(3), Ok(Attempt::Barred(writing)));
    assert!(heap.sorted().void(writing) && !heap.sorted().void(writing));
    assert!(heap.send(2, 21, 0, 0));
    assert_eq!((heap.receive(3, Select::Any), heap.receive(3, Select::Any)), (Some(20), Some(21)));
    assert!(heap.send(2, 22, 0, 0));
    let reading = heap.claim(1, Select::Any).unwrap();
    assert_eq!(heap.sorted().claim_receive(2, &Ask::default()), Ok(Attempt::Barred(reading)));
    heap.sorted().repair(1);
    assert_eq!(heap.receive(3, Select::Any), Some(22));
}

#[derive(Clone, Copy, Debug)]
enum Victim {
    Send,
    Receive,
    GiveBack,
}

/// Every death of every operation, with what others do around the repair, itself cut short at every step.
#[test]
fn death_at_any_step_loses_nothing_and_bars_nobody() {
    let mut deaths = 0;
    for capacity in 1..=3u32 {
        for before in 0..=capacity {
            for victim in [Victim::Send, Victim::Receive, Victim::GiveBack] {
                for at in 1..=6 {
                    for script in 0..27 {
                        for repair_at in 0..=4 {
                            deaths += u32::from(one_death(capacity, before, victim, at, script, repair_at));
                        }
                    }
                }
            }
        }
    }
    assert!(deaths > 1000, "{deaths}");
}

fn one_death(capacity: u32, before: u32, victim: Victim, at: u32, mut script: u32, repair_at: u32) -> bool {
    let heap = Heap::new(capacity);
    let (mut sent, mut received) = (vec![], vec![]);
    for message in 0..before {
        assert!(heap.send(1, message, (message % 2) as u16, 0));
        sent.push(message);
    }
    let died = match victim {
        Victim::Send => death::at_step(at, || heap.send(2, 100, 1, 0)).map(|done| sent.extend(done.then_some(100))),
        Victim::Receive => death::at_step(at, || heap.receive(2, Select::Any)).map(|m| received.extend(m)),
        Victim::GiveBack => death::at_step(at, || {
            if let Some(claim) = heap.claim(2, Select::Any) {
                assert!(heap.sorted().give_back(claim));
            }
        }),
    }
    .is_none();
    for message in 200..203 {
        match script % 3 {
            0 => sent.extend(heap.send(1, message, 0, 0).then_some(message)),
            1 => received.extend(heap.receive(3, Select::Any)),
            _ => drop(death::at_step(repair_at, || heap.sorted().repair(2))),
        }
        script /= 3;
    }
    heap.sorted().repair(2);
    while let Some(message) = heap.receive(3, Select::Any) {
        received.push(message);
    }
    let voided = heap.control.tally.0.voided.load(Relaxed);
    received.sort_unstable();
    sent.sort_unstable();
    assert_eq!(received, sent, "{victim:?} at {at}");
    // A void place may be counted once less: who repairs may die before counting.
    assert!(heap.used() >= received.len() as u64 + voided);
    for message in 0..capacity {
        assert!(heap.send(1, message, 0, 0), "room is gone for good: {victim:?} at {at}");
    }
    died
}

#[test]
fn four_threads_lose_nothing_and_keep_each_senders_order() {
    const EACH: u32 = 5_000;
    for capacity in [1, 3, 16] {
        let heap = Heap::new(capacity);
        let left = AtomicU32::new(2 * EACH);
        let received = std::thread::scope(|scope| {
            for me in 1..=2u32 {
                let heap = &heap;
                scope.spawn(move || {
                    for i in 0..EACH {
                        while !heap.send(me, me * EACH + i, (i % 3) as u16, 0) {
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
                            match heap.receive(me, Select::Any) {
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
            for (me, priority) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
                let of_one: Vec<_> = mine.iter().filter(|m| **m / EACH == me && **m % EACH % 3 == priority).collect();
                assert!(of_one.is_sorted(), "messages of one sender and priority overtook each other");
            }
        }
        let mut all = received.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(EACH..3 * EACH));
    }
}

#[derive(Clone, Debug)]
enum Call {
    Send(u16, u32),
    Receive(Select),
    GiveBack,
}

fn select() -> impl Strategy<Value = Select> {
    prop_oneof![
        Just(Select::Any),
        (0..4u32).prop_map(Select::Type),
        (0..4u32).prop_map(Select::UpTo),
        (0..4u32).prop_map(Select::Except)
    ]
}

proptest! {
    #[test]
    fn it_behaves_like_a_sorted_list(
        capacity in 1..6u32,
        calls in prop::collection::vec(prop_oneof![
            (0..3u16, 0..4u32).prop_map(|(priority, mtype)| Call::Send(priority, mtype)),
            (0..3u16, 0..4u32).prop_map(|(priority, mtype)| Call::Send(priority, mtype)),
            select().prop_map(Call::Receive),
            Just(Call::GiveBack),
        ], 1..60),
    ) {
        let heap = Heap::new(capacity);
        // Number, priority, type; in the order of sending.
        let mut list: Vec<(u32, u16, u32)> = vec![];
        for (n, call) in calls.into_iter().enumerate() {
            match call {
                Call::Send(priority, mtype) => {
                    let room = list.len() < capacity as usize;
                    prop_assert_eq!(heap.send(1, n as u32, priority, mtype), room);
                    if room { list.push((n as u32, priority, mtype)); }
                }
                Call::Receive(select) => {
                    let wanted = |(_, _, mtype): &(u32, u16, u32)| match select {
                        Select::Any => true,
                        Select::Type(t) => *mtype == t,
                        Select::UpTo(t) => (1..=t).contains(mtype),
                        Select::Except(t) => *mtype != t,
                    };
                    let lowest = |t: u32| if matches!(select, Select::UpTo(_)) { t } else { 0 };
                    let best = list.iter().copied().filter(wanted).min_by_key(|(n, p, t)| (lowest(*t), u16::MAX - p, *n));
                    prop_assert_eq!(heap.receive(2, select), best.map(|(n, ..)| n));
                    list.retain(|message| Some(*message) != best);
                }
                Call::GiveBack => {
                    if let Some(claim) = heap.claim(2, Select::Any) {
                        prop_assert!(heap.sorted().give_back(claim));
                    }
                }
            }
            prop_assert_eq!(heap.sorted().len().unwrap() as usize, list.len());
        }
    }

    #[test]
    fn garbage_ends_in_an_answer(
        entries in prop::collection::vec(
            (prop_oneof![any::<u64>(), (0..6u64, 0..4u64, 0..4u64).prop_map(|(s, o, t)| s | o << 4 | t << 32)],
             any::<u64>(), any::<u32>()), 1..5),
        tail in any::<u64>(),
        head in any::<u64>(),
        calls in prop::collection::vec(0..8u32, 1..12),
    ) {
        let heap = Heap::new(entries.len() as u32);
        for ((_, entry), (word, key, mtype)) in heap.row.0.iter().zip(&entries) {
            entry.set(*word, *key, *mtype);
        }
        heap.control.set(tail, head);
        let sorted = heap.sorted();
        for call in calls {
            match call {
                0 => if let Ok(Attempt::Claimed(claim)) = sorted.claim_send(1) { sorted.publish(claim, Envelope::default()); },
                1 => if let Ok(Attempt::Claimed(claim)) = sorted.claim_receive(2, &Ask::default()) { sorted.release(claim); },
                2 => if let Ok(Look::Ready(at)) = sorted.oldest(Select::UpTo(9)) { sorted.envelope(at); },
                3 => if let Some(claim) = heap.claim(3, Select::Any) { sorted.give_back(claim); },
                4 => sorted.repair(1),
                5 => prop_assert!(sorted.len().is_ok_and(|len| len <= sorted.capacity) || sorted.len().is_err()),
                6 => drop((sorted.would_send(), sorted.left(Select::Any))),
                _ => sorted.claims(&mut |claim| { sorted.void(claim); }),
            }
        }
    }
}
