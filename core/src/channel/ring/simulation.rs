//! Random lives of a ring, with the worst payload and with death at any access.
//!
//! Whatever a producer leaves in a cell that starts no record is chosen to look like a header of this lap, the
//! next, or the one after: a record or a pad. Producer and consumer are killed before any access to shared
//! memory and replaced. What was published, and nothing else, must arrive, in order, once, unless the consumer
//! died with it in hand.

use super::cells::{End, Fault, Memory, PAD, Reader, Record, Writer, is_header_of, max_record, tag};
use super::heap::{Heap, Mortal};
use crate::prim::Ordering::Relaxed;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Step {
    /// Reserve some cells, fill them, publish some of them or none; be killed before access number `die`.
    Write { reserve: u64, publish: u64, stale: u64, cancel: bool, die: u32 },
    /// Stage a record of each of these sizes in cells, then publish them together, or give up those behind `keep`; be
    /// killed before access number `die`.
    Batch { cells: Vec<u64>, stale: u64, keep: usize, die: u32 },
    /// Peek, release; be killed before access number `die`.
    Read { die: u32 },
    /// Hold so many records, then release them together; be killed before access number `die`.
    ReadMany { n: usize, die: u32 },
}

fn a_death() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(u32::MAX), 1 => 0..14u32]
}

fn a_step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => Just(1u64), 4 => 1..=4u64, 1 => Just(u64::MAX)];
    prop_oneof![
        (size(), size(), any::<u64>(), prop::bool::weighted(0.1), a_death())
            .prop_map(|(reserve, publish, stale, cancel, die)| Step::Write { reserve, publish, stale, cancel, die }),
        (
            prop::collection::vec(1..=3u64, 1..6),
            any::<u64>(),
            0..9usize,
            prop_oneof![2 => Just(u32::MAX), 1 => 0..30u32]
        )
            .prop_map(|(cells, stale, keep, die)| Step::Batch { cells, stale, keep, die }),
        a_death().prop_map(|die| Step::Read { die }),
        (1..6usize, a_death()).prop_map(|(n, die)| Step::ReadMany { n, die }),
    ]
}

/// The most harmful word for the cell at `position`.
fn stale(heap: &impl Memory, position: u64, choice: u64) -> u64 {
    let n = heap.cells();
    let index = position & (n - 1);
    let low = if choice & 4 != 0 && index > 0 { PAD | (n - index) } else { 1 };
    match choice & 3 {
        0 => 0,
        laps => tag(position + (laps - 1) * n) | low,
    }
}

struct Ring {
    heap: Heap,
    writer: Writer,
    reader: Reader,
    /// Published and not yet released.
    held: VecDeque<Record>,
    /// Where the next record or pad goes.
    end: u64,
}

impl Ring {
    fn new(cells: u64, first: u64) -> Ring {
        let heap = Heap::new(cells);
        heap.producer().position.store(first, Relaxed);
        heap.consumer().position.store(first, Relaxed);
        let (writer, reader) = (Writer::take(&heap).unwrap(), Reader::take(&heap).unwrap());
        Ring { heap, writer, reader, held: VecDeque::new(), end: first }
    }

    fn position(end: &End) -> u64 {
        end.position.load(Relaxed)
    }

    fn write(&mut self, reserve: u64, publish: u64, choice: u64, cancel: bool, die: u32) {
        let cells = reserve.min(self.heap.cells() / 2);
        let published_cells = publish.min(cells);
        let header = self.heap.header(self.end).load(Relaxed);
        assert!(!is_header_of(header, self.end), "a record is there before it was published: {header:#x}");
        let mortal = Mortal::new(&self.heap, die);
        let writer = &mut self.writer;
        let mut record = None;
        let life = mortal.live(|memory| {
            let Some(room) = writer.reserve(memory, cells * 64 - 8).unwrap() else { return false };
            record = Some(Record { start: room.start, len: published_cells * 64 - 8 });
            for c in 1..cells {
                let word = stale(memory, room.start + c, choice >> (3 * c % 60));
                memory.header(room.start + c).store(word, Relaxed);
            }
            if !cancel {
                writer.commit(memory, room, published_cells * 64 - 8).unwrap();
            }
            !cancel
        });
        let published = life.unwrap_or_else(|| is_header_of(self.heap.header(self.end).load(Relaxed), self.end));
        if published {
            let record = record.unwrap();
            self.held.push_back(record);
            self.end = record.end();
        }
        if life.is_none() {
            self.writer = Writer::take(&self.heap).unwrap();
            assert_eq!(
                Self::position(self.heap.producer()),
                self.end,
                "the successor starts where the dead one stopped"
            );
        }
    }

    fn batch(&mut self, cells: &[u64], choice: u64, keep: usize, die: u32) {
        let mortal = Mortal::new(&self.heap, die);
        let (writer, end) = (&mut self.writer, self.end);
        let mut staged = Vec::new();
        let life = mortal.live(|memory| {
            let mut kept = writer.mark();
            for (i, k) in cells.iter().enumerate() {
                let k = (*k).min(memory.cells() / 2);
                match writer.reserve(memory, k * 64 - 8) {
                    Ok(Some(room)) => {
                        for c in 1..k {
                            memory
                                .header(room.start + c)
                                .store(stale(memory, room.start + c, choice >> (3 * c)), Relaxed);
                        }
                        staged.push(Record { start: room.start, len: room.size });
                        writer.stage(memory, room, room.size).unwrap();
                    }
                    Ok(None) | Err(Fault::TooMany) => break,
                    Err(fault) => panic!("{fault:?}"),
                }
                if i < keep {
                    kept = writer.mark();
                }
            }
            writer.back(memory, kept);
            staged.truncate(keep);
            writer.publish(memory);
        });
        let published = is_header_of(self.heap.header(end).load(Relaxed), end);
        assert!(life.is_none() || published != staged.is_empty());
        if published {
            staged.truncate(keep);
            self.end = staged.last().map_or(end, Record::end);
            self.held.extend(staged);
        }
        if life.is_none() {
            self.writer = Writer::take(&self.heap).unwrap();
            assert_eq!(Self::position(self.heap.producer()), self.end, "all of a batch or nothing of it");
        }
    }

    fn read_many(&mut self, n: usize, die: u32) {
        let mortal = Mortal::new(&self.heap, die);
        let (reader, held) = (&mut self.reader, &self.held);
        let life = mortal.live(|memory| {
            for i in 0..n {
                let record = reader.peek(memory).unwrap();
                assert_eq!(record.as_ref(), held.get(i));
                let Some(record) = record else { break };
                reader.hold(record);
            }
            reader.release_held(memory);
        });
        if life.is_none() {
            self.reader = Reader::take(&self.heap).unwrap();
        }
        let freed = Self::position(self.heap.consumer());
        let all = self.held.get(n.min(self.held.len()).wrapping_sub(1)).is_none_or(|last| last.end() == freed);
        assert!(all || life.is_none());
        while self.held.front().is_some_and(|record| record.end() <= freed) {
            self.held.pop_front();
            assert!(all, "all that was held, or none of it");
        }
    }

    fn read(&mut self, die: u32) {
        let mortal = Mortal::new(&self.heap, die);
        let reader = &mut self.reader;
        let oldest = self.held.front().copied();
        let life = mortal.live(|memory| {
            let record = reader.peek(memory).unwrap();
            assert_eq!(record, oldest, "what is there is the oldest record that was published");
            if let Some(record) = record {
                reader.release(memory, record);
            }
        });
        if life.is_none() {
            self.reader = Reader::take(&self.heap).unwrap();
        }
        let freed = Self::position(self.heap.consumer());
        if oldest.is_some_and(|record| record.end() <= freed) {
            self.held.pop_front();
        } else {
            assert!(life.is_none() || oldest.is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn what_was_published_arrives_whatever_the_payload_and_whoever_dies(
        bits in 2..5u32,
        first in prop_oneof![Just(0u64), Just((1 << 31) - 40), Just((1 << 32) - 40)],
        steps in prop::collection::vec(a_step(), 1..250),
    ) {
        let mut ring = Ring::new(1 << bits, first);
        for step in steps {
            match step {
                Step::Write { reserve, publish, stale, cancel, die } => ring.write(reserve, publish, stale, cancel, die),
                Step::Batch { cells, stale, keep, die } => ring.batch(&cells, stale, keep, die),
                Step::Read { die } => ring.read(die),
                Step::ReadMany { n, die } => ring.read_many(n, die),
            }
        }
        while !ring.held.is_empty() {
            ring.read(u32::MAX);
        }
    }

    #[test]
    fn any_words_give_an_error_or_a_record_inside_the_ring(
        bits in 2..5u32,
        first in prop_oneof![Just(0u64), any::<u64>(), 0..64u64],
        second in prop_oneof![Just(0u64), any::<u64>(), 0..64u64],
        words in prop::collection::vec((any::<u64>(), 0..64u64, 0..6u32), 16),
        len in prop_oneof![any::<u64>(), 0..600u64],
    ) {
        let n = 1u64 << bits;
        let heap = Heap::new(n);
        let fill = |base: u64| for (i, (word, ahead, shape)) in (0..n).zip(&words) {
            let position = (base & !(n - 1)).wrapping_add(i) & (u64::MAX >> 2);
            heap.header(i).store(match shape {
                0 => *word,
                1 => tag(position) | PAD | (n - i),
                2 => tag(position) | word & 0xFFFF_FFFF,
                3 => tag(position + ahead / n * n) | word & 0xFF,
                _ => tag(position) | ahead,
            }, Relaxed);
        };
        fill(first);
        heap.producer().position.store(second, Relaxed);
        heap.consumer().position.store(first, Relaxed);
        let inside = |start: u64, len: u64| len <= max_record(n) && (start & (n - 1)) * 64 + 8 + len <= n * 64;
        if let Ok(mut reader) = Reader::take(&heap) {
            for _ in 0..2 * n {
                let Ok(Some(record)) = reader.peek(&heap) else { break };
                prop_assert!(inside(record.start, record.len));
                reader.release(&heap, record);
            }
        }
        heap.consumer().position.store(first, Relaxed);
        fill(second);
        if let Ok(mut writer) = Writer::take(&heap) {
            for at in [first, second, first.wrapping_add(n)] {
                match writer.reserve(&heap, len) {
                    Ok(Some(room)) => {
                        prop_assert!(inside(room.start, room.size));
                        prop_assert!(writer.commit(&heap, room, len.saturating_add(1)).is_err());
                        writer.commit(&heap, room, len / 2).unwrap();
                    }
                    Ok(None) => prop_assert!(inside(0, len)),
                    Err(fault) => prop_assert_eq!(matches!(fault, Fault::TooLarge { .. }), len > max_record(n)),
                }
                heap.consumer().position.store(at, Relaxed);
            }
        }
        let _ = super::cells::used(&heap);
    }
}

/// Every store of a commit with a pad and a dirty cell ahead, one after the other: nobody dies by luck alone.
#[test]
fn a_producer_killed_at_any_access_leaves_the_record_or_nothing() {
    let mut outcomes = Vec::new();
    for die in 0..8 {
        let mut ring = Ring::new(8, 0);
        // Cells 0-3, then 4-6: the next record of two cells skips cell 7 and starts at position 8.
        ring.write(4, 4, 0o2222, false, u32::MAX);
        ring.write(3, 3, 0o222, false, u32::MAX);
        ring.read(u32::MAX);
        ring.write(2, 2, 0o222, false, die);
        outcomes.push(ring.held.len() == 2);
        // The successor writes on, and all of it arrives.
        ring.write(1, 1, 0, false, u32::MAX);
        while !ring.held.is_empty() {
            ring.read(u32::MAX);
        }
    }
    // Consumer's position, payload, 0 ahead, record, pad; producer's position, wake.
    assert_eq!(outcomes, [false, false, false, false, false, true, true, true]);
}

#[test]
fn a_consumer_killed_at_any_access_has_released_the_record_or_leaves_it() {
    let mut outcomes = Vec::new();
    for die in 0..5 {
        let mut ring = Ring::new(8, 0);
        ring.write(4, 4, 0o2222, false, u32::MAX);
        ring.write(1, 1, 0, false, u32::MAX);
        ring.read(die);
        outcomes.push(ring.held.len());
        while !ring.held.is_empty() {
            ring.read(u32::MAX);
        }
    }
    // Peek, position, wake.
    assert_eq!(outcomes, [2, 2, 1, 1, 1]);
}
