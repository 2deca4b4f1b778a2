//! The topic under loom: messages that are overwritten, readers that join, are waited for and are put out. The bytes of
//! a message are two words, each stored and loaded without an order of its own, which must be equal.

use super::heap::Heap;
use super::words::{Blocker, Look, Memory, Reader, Writer};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use loom::sync::Arc;

/// A topic with messages of two words.
struct Topic {
    heap: Heap,
    bytes: Vec<[AtomicU64; 2]>,
}

impl Topic {
    fn new(capacity: usize) -> Arc<Topic> {
        let bytes = (0..capacity).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        Arc::new(Topic { heap: Heap::new(capacity, 1), bytes })
    }

    fn slot(&self, position: u64) -> &[AtomicU64; 2] {
        &self.bytes[(position % self.heap.capacity()) as usize]
    }

    /// Message number n is twice n + 1.
    fn publish(&self, writer: &mut Writer) {
        let n = writer.next();
        writer.begin(&self.heap);
        self.slot(n).iter().for_each(|word| word.store(n + 1, Relaxed));
        writer.commit(&self.heap, 16, 0);
        writer.tell(&self.heap);
    }

    fn read(&self, position: u64) -> [u64; 2] {
        [0, 1].map(|i| self.slot(position)[i].load(Relaxed))
    }
}

fn check(threads: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(threads);
}

#[test]
fn what_is_still_whole_after_the_copy_is_what_was_published() {
    check(|| {
        let topic = Topic::new(1);
        let theirs = topic.clone();
        let reader = Reader::join(&topic.heap, 0, 1, false).unwrap();
        let mut writer = Writer::take(&topic.heap, true).unwrap();
        // The reader is spawned: what only loads must run last at first, or loom, which remembers only the last access
        // to a word, finds nothing to try.
        let reader = loom::thread::spawn(move || {
            if let Look::Message { len: 16, .. } = reader.look(&theirs.heap) {
                let words = theirs.read(reader.at());
                if reader.is_whole(&theirs.heap) {
                    assert_eq!(words, [1, 1]);
                }
            }
        });
        (0..2).for_each(|_| topic.publish(&mut writer));
        reader.join().unwrap();
    });
}

/// A reader joins while the writer publishes and scans; what it reads in place without a second look is whole.
fn joins_and_reads(oldest: bool) {
    check(move || {
        let topic = Topic::new(1);
        let theirs = topic.clone();
        let writer = loom::thread::spawn(move || {
            let mut writer = Writer::take(&theirs.heap, false).unwrap();
            for _ in 0..3 {
                if writer.has_room() || writer.look(&theirs.heap, |_| {}) {
                    theirs.publish(&mut writer);
                }
            }
        });
        let mut reader = Reader::join(&topic.heap, 0, 1, oldest).unwrap();
        for _ in 0..2 {
            match reader.look(&topic.heap) {
                Look::Message { .. } if reader.is_protected() => {
                    let n = reader.at() + 1;
                    assert_eq!(topic.read(reader.at()), [n, n]);
                    reader.release(&topic.heap, 1, true);
                }
                // History, which is validated.
                Look::Message { .. } => reader.release(&topic.heap, 1, true),
                Look::Lapped => {
                    assert!(!reader.is_protected(), "overtaken at {}", reader.at());
                    reader.skip(&topic.heap).unwrap();
                }
                Look::Nothing => {}
            }
        }
        reader.leave(&topic.heap);
        writer.join().unwrap();
    });
}

#[test]
fn who_joins_is_not_overtaken() {
    joins_and_reads(false);
}

#[test]
fn who_joins_at_the_oldest_message_is_not_overtaken_behind_it() {
    joins_and_reads(true);
}

#[test]
fn who_is_put_out_while_it_reads_can_tell() {
    check(|| {
        let topic = Topic::new(1);
        let theirs = topic.clone();
        let reader = Reader::join(&topic.heap, 0, 1, false).unwrap();
        let mut writer = Writer::take(&topic.heap, false).unwrap();
        assert!(writer.look(&topic.heap, |_| {}));
        topic.publish(&mut writer);
        let writer = loom::thread::spawn(move || {
            let mut found: Option<Blocker> = None;
            assert!(!writer.look(&theirs.heap, |blocker| found = Some(blocker)));
            assert!(found.unwrap().evict(&theirs.heap));
            assert!(writer.look(&theirs.heap, |_| {}), "it does not count any more");
            theirs.publish(&mut writer);
        });
        if let Look::Message { .. } = reader.look(&topic.heap) {
            let words = topic.read(0);
            if reader.is_whole(&topic.heap) && !reader.is_out(&topic.heap) {
                assert_eq!(words, [1, 1]);
            }
        }
        writer.join().unwrap();
        assert!(reader.is_evicted(&topic.heap));
        reader.leave(&topic.heap);
        assert!(Reader::join(&topic.heap, 0, 2, false).is_some(), "its cursor is free now");
    });
}
