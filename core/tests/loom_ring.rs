//! The ring under loom: every interleaving of a producer, its successor and a consumer on four cells.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p triveni --release --test loom_ring`. Bounds: four cells, two or
//! three threads, up to three records, three preemptions. Payload is a `loom` cell per ring cell, so a record
//! that is read before it was published, or overwritten before it was released, fails. Sleeping is not
//! modelled here: both ends poll, as the publisher does not fence and only a slice's end makes that live.

#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use triveni::ring_model::{Heap, Memory, Mortal, Reader, Writer, packed};

const CELLS: u64 = 4;

/// A ring and what its cells carry: each cell of a record holds the record's number.
struct Shared {
    heap: Heap,
    payload: Vec<UnsafeCell<u64>>,
}

// SAFETY: loom checks every access to `payload`, which is the point; the rest is atomics.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared { heap: Heap::new(CELLS), payload: (0..CELLS).map(|_| UnsafeCell::new(u64::MAX)).collect() })
    }

    fn cell(&self, position: u64) -> &UnsafeCell<u64> {
        &self.payload[(position % CELLS) as usize]
    }
}

/// Writes record `number` of `cells` cells; waits for room. `memory` may kill us on the way.
fn write(shared: &Shared, memory: &impl Memory, writer: &mut Writer, number: u64, cells: u64) {
    stage(shared, memory, writer, number, cells);
    writer.publish(memory);
}

/// The same, without showing it.
fn stage(shared: &Shared, memory: &impl Memory, writer: &mut Writer, number: u64, cells: u64) {
    let room = loop {
        match writer.reserve(memory, cells * 64 - 8).unwrap() {
            Some(room) => break room,
            None => thread::yield_now(),
        }
    };
    for c in 0..cells {
        let position = room.start + c;
        // SAFETY: the room is ours until it is published; loom fails the model if it is not.
        shared.cell(position).with_mut(|p| unsafe { *p = number });
        if c > 0 {
            // Payload that looks like the header of a record at this place on the next lap.
            memory.header(position).store((2 * (position + CELLS) + 1) << 32 | 1, Relaxed);
        }
    }
    writer.stage(memory, room, cells * 64 - 8).unwrap();
}

/// Reads one record; waits for it. Returns its number.
fn read(shared: &Shared, reader: &mut Reader) -> u64 {
    let record = loop {
        match reader.peek(&shared.heap).unwrap() {
            Some(record) => break record,
            None => thread::yield_now(),
        }
    };
    // SAFETY: the record was published and is ours until it is released; loom fails the model if it is not.
    let numbers: Vec<u64> = (record.start..record.end()).map(|p| shared.cell(p).with(|p| unsafe { *p })).collect();
    assert!(numbers.iter().all(|n| *n == numbers[0]), "torn: {numbers:?}");
    reader.release(&shared.heap, record);
    numbers[0]
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn records_of_several_lengths_arrive_whole_and_in_order() {
    model(|| {
        let shared = Shared::new();
        let mut reader = Reader::take(&shared.heap).unwrap();
        let producer = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut writer = Writer::take(&shared.heap).unwrap();
                // Cells 0-1; cell 2; a pad in cell 3, then 0-1 again, for which there must be room.
                for (number, cells) in [(0, 2), (1, 1), (2, 2)] {
                    write(&shared, &shared.heap, &mut writer, number, cells);
                }
            }
        });
        for number in 0..3 {
            assert_eq!(read(&shared, &mut reader), number);
        }
        assert_eq!(reader.peek(&shared.heap), Ok(None), "what payload looks like is no record");
        producer.join().unwrap();
    });
}

#[test]
fn a_successor_goes_on_where_a_producer_was_killed() {
    // Reserve asks for nothing here; then payload, 0 ahead, header, position, wake.
    for die in 0..=5 {
        model(move || {
            let shared = Shared::new();
            let mut reader = Reader::take(&shared.heap).unwrap();
            let producers = thread::spawn({
                let shared = shared.clone();
                move || {
                    let mut writer = Writer::take(&shared.heap).unwrap();
                    let mortal = Mortal::new(&shared.heap, die);
                    mortal.live(|memory| write(&shared, memory, &mut writer, 7, 2));
                    // The kernel reports a death after the last store of the dead: same thread, same order.
                    let mut successor = Writer::take(&shared.heap).unwrap();
                    write(&shared, &shared.heap, &mut successor, 8, 2);
                    write(&shared, &shared.heap, &mut successor, 9, 1);
                }
            });
            let mut expected = if die >= 3 { vec![7, 8, 9] } else { vec![8, 9] };
            for number in expected.drain(..) {
                assert_eq!(read(&shared, &mut reader), number);
            }
            assert_eq!(reader.peek(&shared.heap), Ok(None));
            producers.join().unwrap();
        });
    }
}

#[test]
fn a_role_given_back_hands_its_records_to_whoever_takes_it() {
    model(|| {
        let shared = Shared::new();
        let producer = |slot: u32| {
            let shared = shared.clone();
            move || {
                let role = &shared.heap.producer().role;
                let mine = loop {
                    match role.take(slot, |_| false) {
                        Ok(mine) => break mine,
                        Err(_) => thread::yield_now(),
                    }
                };
                let mut writer = Writer::take(&shared.heap).unwrap();
                write(&shared, &shared.heap, &mut writer, u64::from(slot), 1);
                role.release(mine);
            }
        };
        let threads = [thread::spawn(producer(1)), thread::spawn(producer(2))];
        for thread in threads {
            thread.join().unwrap();
        }
        let mut reader = Reader::take(&shared.heap).unwrap();
        let mut numbers = [read(&shared, &mut reader), read(&shared, &mut reader)];
        numbers.sort();
        assert_eq!(numbers, [1, 2], "neither overwrote the other");
    });
}

#[test]
fn a_successor_of_the_consumer_reads_on() {
    // Peek, position, wake.
    for die in 0..=3 {
        model(move || {
            let shared = Shared::new();
            let producer = thread::spawn({
                let shared = shared.clone();
                move || {
                    let mut writer = Writer::take(&shared.heap).unwrap();
                    write(&shared, &shared.heap, &mut writer, 0, 2);
                    write(&shared, &shared.heap, &mut writer, 1, 2);
                }
            });
            let mut reader = Reader::take(&shared.heap).unwrap();
            while reader.peek(&shared.heap).unwrap().is_none() {
                thread::yield_now();
            }
            Mortal::new(&shared.heap, die).live(|memory| {
                let record = reader.peek(memory).unwrap().unwrap();
                reader.release(memory, record);
            });
            let mut successor = Reader::take(&shared.heap).unwrap();
            for number in if die < 2 { 0..2 } else { 1..2 } {
                assert_eq!(read(&shared, &mut successor), number);
            }
            producer.join().unwrap();
        });
    }
}

#[test]
fn a_batch_arrives_as_a_whole_or_not_at_all_wherever_its_producer_is_killed() {
    // Two records of two cells and one cell: their payload, the second header, 0 ahead, the first header, position, wake.
    for die in 0..=7 {
        model(move || {
            let shared = Shared::new();
            let mut reader = Reader::take(&shared.heap).unwrap();
            let producers = thread::spawn({
                let shared = shared.clone();
                move || {
                    let mut writer = Writer::take(&shared.heap).unwrap();
                    Mortal::new(&shared.heap, die).live(|memory| {
                        stage(&shared, memory, &mut writer, 5, 2);
                        stage(&shared, memory, &mut writer, 6, 1);
                        writer.publish(memory);
                    });
                    let mut successor = Writer::take(&shared.heap).unwrap();
                    write(&shared, &shared.heap, &mut successor, 8, 1);
                }
            });
            let first = read(&shared, &mut reader);
            if first == 5 {
                assert!(reader.peek(&shared.heap).unwrap().is_some(), "the rest of the batch came later");
                assert_eq!((read(&shared, &mut reader), read(&shared, &mut reader)), (6, 8));
            } else {
                assert_eq!(first, 8);
            }
            assert_eq!(reader.peek(&shared.heap), Ok(None));
            producers.join().unwrap();
        });
    }
}

#[test]
fn packed_batches_arrive_whole_and_are_not_overwritten_while_they_are_held() {
    model(|| {
        let shared = Shared::new();
        let producer = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut writer = packed::Writer::take(&shared.heap).unwrap();
                for (number, n) in [(1, 3), (2, 2)] {
                    while writer.room(&shared.heap, n).unwrap() < n {
                        thread::yield_now();
                    }
                    for i in 0..n {
                        // SAFETY: there is room, and it is ours until published; loom fails the model if it is not.
                        shared.cell(writer.mark() + i).with_mut(|p| unsafe { *p = number });
                    }
                    writer.stage(n);
                    writer.publish(&shared.heap);
                }
            }
        });
        let mut reader = packed::Reader::take(&shared.heap).unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < 5 {
            let n = reader.there(&shared.heap, 4).unwrap();
            if n == 0 {
                thread::yield_now();
                continue;
            }
            for i in 0..n {
                // SAFETY: it is there, and ours until released; loom fails the model if it is not.
                numbers.push(shared.cell(reader.mark() + i).with(|p| unsafe { *p }));
            }
            reader.hold(n);
            reader.release_held(&shared.heap);
        }
        assert_eq!(numbers, [1, 1, 1, 2, 2]);
        producer.join().unwrap();
    });
}
