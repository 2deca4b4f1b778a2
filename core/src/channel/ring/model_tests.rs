//! An exact ring under loom: who sleeps is woken, although no slice ever ends there. And the looks from outside.
//!
//! Loom remembers only the last access to a word when it looks for what to try next, so whoever looks is spawned, and runs
//! last at first.

use super::Door;
use super::cells::{self, Memory, Reader, Writer};
use super::heap::Heap;
use super::packed;
use super::role::Holder;
use crate::wait::Bell;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// A ring, and a number for each of its cells.
struct Ring {
    heap: Heap,
    payload: Vec<UnsafeCell<u64>>,
}

impl Ring {
    fn new(heap: Heap) -> Arc<Ring> {
        let payload = (0..heap.cells()).map(|_| UnsafeCell::new(0)).collect();
        Arc::new(Ring { heap, payload })
    }

    fn cell(&self, position: u64) -> &UnsafeCell<u64> {
        &self.payload[(position % self.heap.cells()) as usize]
    }

    /// Writes the position's own number there.
    fn fill(&self, position: u64) {
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.cell(position).with_mut(|cell| unsafe { *cell = position + 1 });
    }

    fn check(&self, position: u64) {
        // SAFETY: a plain read, as above.
        assert_eq!(self.cell(position).with(|cell| unsafe { *cell }), position + 1);
    }

    fn stage(&self, writer: &mut Writer, size: u64) {
        let room = writer.reserve(&self.heap, size).unwrap().unwrap();
        self.fill(room.start);
        writer.stage(&self.heap, room, size).unwrap();
    }
}

/// Sleeps until `found` answers.
fn wait<T>(door: Door<'_>, mut found: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = found() {
            return found;
        }
        let key = door.prepare();
        let answer = found();
        if answer.is_none() {
            door.sleep(key, u64::MAX);
        }
        door.done();
        if let Some(answer) = answer {
            return answer;
        }
    }
}

fn filled(heap: &Heap) -> Door<'_> {
    Door { park: heap.filled(), exact: true }
}

fn freed(heap: &Heap) -> Door<'_> {
    Door { park: heap.freed(), exact: true }
}

#[test]
fn a_consumer_that_sleeps_is_woken_by_each_batch() {
    model(|| {
        let ring = Ring::new(Heap::exact(4));
        let theirs = ring.clone();
        let producer = thread::spawn(move || {
            let mut writer = Writer::take(&theirs.heap).unwrap();
            for _ in 0..2 {
                theirs.stage(&mut writer, 8);
                theirs.stage(&mut writer, 8);
                writer.publish(&theirs.heap);
            }
        });
        let mut reader = Reader::take(&ring.heap).unwrap();
        for _ in 0..4 {
            let record = wait(filled(&ring.heap), || reader.peek(&ring.heap).unwrap());
            ring.check(record.start);
            reader.hold(record);
        }
        producer.join().unwrap();
    });
}

#[test]
fn a_producer_that_sleeps_in_a_full_packed_ring_is_woken_by_a_release() {
    model(|| {
        let ring = Ring::new(Heap::exact(2));
        let theirs = ring.clone();
        let producer = thread::spawn(move || {
            let heap = &theirs.heap;
            let mut writer = packed::Writer::take(heap).unwrap();
            for _ in 0..2 {
                wait(freed(heap), || (writer.room(heap, 2).unwrap() == 2).then_some(()));
                (0..2).for_each(|i| theirs.fill(writer.mark() + i));
                writer.stage(2);
                writer.publish(heap);
            }
        });
        let mut reader = packed::Reader::take(&ring.heap).unwrap();
        for _ in 0..2 {
            let n = wait(filled(&ring.heap), || Some(reader.there(&ring.heap, 1).unwrap()).filter(|n| *n > 0));
            assert_eq!(n, 2, "all of a batch");
            (0..2).for_each(|i| ring.check(reader.mark() + i));
            reader.hold(2);
            reader.release_held(&ring.heap);
        }
        producer.join().unwrap();
    });
}

#[test]
fn a_successor_of_a_packed_producer_writes_only_where_the_consumer_has_read() {
    model(|| {
        let ring = Ring::new(Heap::new(2));
        let mut writer = packed::Writer::take(&ring.heap).unwrap();
        (0..2).for_each(|position| ring.fill(position));
        writer.stage(2);
        writer.publish(&ring.heap);
        let theirs = ring.clone();
        let successor = thread::spawn(move || {
            let mut writer = packed::Writer::take(&theirs.heap).unwrap();
            if writer.room(&theirs.heap, 1).unwrap() > 0 {
                theirs.fill(writer.mark());
            }
        });
        let mut reader = packed::Reader::take(&ring.heap).unwrap();
        assert_eq!(reader.there(&ring.heap, 2), Ok(2));
        ring.check(0);
        reader.hold(1);
        reader.release_held(&ring.heap);
        successor.join().unwrap();
    });
}

#[test]
fn who_is_told_that_the_producer_died_sees_its_last_record() {
    model(|| {
        let ring = Ring::new(Heap::new(4));
        let theirs = ring.clone();
        let consumer = thread::spawn(move || {
            let mut reader = Reader::take(&theirs.heap).unwrap();
            if theirs.heap.producer().role.holder() == Holder::Died {
                let record = reader.peek(&theirs.heap).unwrap().expect("the last record");
                theirs.check(record.start);
            }
        });
        let role = &ring.heap.producer().role;
        role.take(1, |_| false).unwrap();
        let mut writer = Writer::take(&ring.heap).unwrap();
        ring.stage(&mut writer, 8);
        writer.publish(&ring.heap);
        // The kernel says that it is dead behind its last store: the same thread.
        role.bury(1);
        consumer.join().unwrap();
    });
}

/// Three records go through a ring of four cells, two cells each, while `look` is at it. Both ends are one thread: what
/// matters is what the third one sees.
fn a_stream(look: impl Fn(&Heap) + Send + Sync + Copy + 'static) {
    model(move || {
        let ring = Ring::new(Heap::new(4));
        let theirs = ring.clone();
        let looker = thread::spawn(move || look(&theirs.heap));
        let mut writer = Writer::take(&ring.heap).unwrap();
        let mut reader = Reader::take(&ring.heap).unwrap();
        for _ in 0..3 {
            ring.stage(&mut writer, 100);
            writer.publish(&ring.heap);
            let record = reader.peek(&ring.heap).unwrap().unwrap();
            reader.hold(record);
            reader.release_held(&ring.heap);
        }
        looker.join().unwrap();
    });
}

/// The same for packed records.
fn a_packed_stream(look: impl Fn(&Heap) + Send + Sync + Copy + 'static) {
    model(move || {
        let ring = Ring::new(Heap::new(2));
        let theirs = ring.clone();
        let looker = thread::spawn(move || look(&theirs.heap));
        let mut writer = packed::Writer::take(&ring.heap).unwrap();
        let mut reader = packed::Reader::take(&ring.heap).unwrap();
        for _ in 0..3 {
            assert!(writer.room(&ring.heap, 1).unwrap() > 0);
            writer.stage(1);
            writer.publish(&ring.heap);
            assert!(reader.there(&ring.heap, 1).unwrap() > 0);
            reader.hold(1);
            reader.release_held(&ring.heap);
        }
        looker.join().unwrap();
    });
}

#[test]
fn who_looks_how_full_a_ring_is_finds_no_garbage() {
    a_stream(|heap| assert!(cells::used(heap).is_some()));
    a_packed_stream(|heap| assert!(packed::used(heap).is_some()));
}

#[test]
fn who_looks_for_room_from_outside_finds_no_garbage() {
    a_stream(|heap| assert!(cells::has_room(heap, 100).is_ok()));
}

#[test]
fn who_looks_for_a_record_from_outside_finds_no_garbage() {
    a_stream(|heap| assert!(cells::has_record(heap).is_ok()));
    a_packed_stream(|heap| assert!(packed::has_record(heap).is_ok()));
}
