//! An exact ring under loom: who sleeps is woken, although no slice ever ends there.

use super::Door;
use super::cells::{Memory, Reader, Writer};
use super::heap::Heap;
use super::packed;
use crate::wait::Bell;
use loom::sync::Arc;
use loom::thread;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
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
        let heap = Arc::new(Heap::exact(4));
        let theirs = heap.clone();
        let producer = thread::spawn(move || {
            let mut writer = Writer::take(&*theirs).unwrap();
            for _ in 0..2 {
                for _ in 0..2 {
                    let room = writer.reserve(&*theirs, 8).unwrap().unwrap();
                    writer.stage(&*theirs, room, 8).unwrap();
                }
                writer.publish(&*theirs);
            }
        });
        let mut reader = Reader::take(&*heap).unwrap();
        for _ in 0..4 {
            let record = wait(filled(&heap), || reader.peek(&*heap).unwrap());
            reader.hold(record);
        }
        producer.join().unwrap();
    });
}

#[test]
fn a_producer_that_sleeps_in_a_full_packed_ring_is_woken_by_a_release() {
    model(|| {
        let heap = Arc::new(Heap::exact(2));
        let theirs = heap.clone();
        let producer = thread::spawn(move || {
            let mut writer = packed::Writer::take(&*theirs).unwrap();
            for _ in 0..2 {
                wait(freed(&theirs), || (writer.room(&*theirs, 2).unwrap() == 2).then_some(()));
                writer.stage(2);
                writer.publish(&*theirs);
            }
        });
        let mut reader = packed::Reader::take(&*heap).unwrap();
        for _ in 0..2 {
            let n = wait(filled(&heap), || Some(reader.there(&*heap, 1).unwrap()).filter(|n| *n > 0));
            assert_eq!(n, 2, "all of a batch");
            reader.hold(2);
            reader.release_held(&*heap);
        }
        producer.join().unwrap();
    });
}
