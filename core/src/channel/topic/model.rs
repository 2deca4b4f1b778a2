//! The topic under loom: messages that are overwritten, readers that join, are waited for and are put out. The bytes of
//! a message are two words, each stored and loaded without an order of its own, which must be equal; and a cell that loom
//! watches, for whoever must not be overtaken.
//!
//! Loom remembers only the last access to a word when it looks for what to try next, so whoever looks is spawned, and runs
//! last at first.

use super::heap::Heap;
use super::words::{Blocker, Look, Memory, Reader, Writer};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A topic with messages of two words.
struct Topic {
    heap: Heap,
    bytes: Vec<[AtomicU64; 2]>,
    protected: Vec<UnsafeCell<u64>>,
}

impl Topic {
    fn new(capacity: usize) -> Arc<Topic> {
        let bytes = (0..capacity).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        let protected = (0..capacity).map(|_| UnsafeCell::new(0)).collect();
        Arc::new(Topic { heap: Heap::new(capacity, 1), bytes, protected })
    }

    fn slot(&self, position: u64) -> usize {
        (position % self.heap.capacity()) as usize
    }

    /// Writes message number n, which is twice n + 1, without telling anybody.
    fn commit(&self, writer: &mut Writer) {
        let n = writer.next();
        writer.begin(&self.heap);
        self.bytes[self.slot(n)].iter().for_each(|word| word.store(n + 1, Relaxed));
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.protected[self.slot(n)].with_mut(|cell| unsafe { *cell = n + 1 });
        writer.commit(&self.heap, 10 + n as u32, 20 + n as u32);
    }

    fn publish(&self, writer: &mut Writer) {
        self.commit(writer);
        writer.tell(&self.heap);
    }

    /// Is there a message for `reader`?
    fn finds(&self, reader: &Reader) -> bool {
        match reader.look(&self.heap) {
            Look::Message { len, drops } => {
                let n = reader.at() as u32;
                assert_eq!((len, drops), (10 + n, 20 + n), "another message's");
                true
            }
            _ => false,
        }
    }

    fn read(&self, position: u64) -> [u64; 2] {
        [0, 1].map(|i| self.bytes[self.slot(position)][i].load(Relaxed))
    }

    /// Reads in place what nobody may overwrite.
    fn read_protected(&self, reader: &Reader) {
        assert!(reader.is_protected());
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        let message = self.protected[self.slot(reader.at())].with(|cell| unsafe { *cell });
        assert_eq!(message, reader.at() + 1);
    }
}

fn check(threads: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(threads);
}

/// Both at once, and both spawned.
fn both<T>(topic: &Arc<Topic>, write: impl FnOnce(&Topic) + 'static, read: impl FnOnce(&Topic) -> T + 'static) -> T
where
    T: 'static,
{
    let (theirs, ours) = (topic.clone(), topic.clone());
    let reader = thread::spawn(move || read(&ours));
    let writer = thread::spawn(move || write(&theirs));
    writer.join().unwrap();
    reader.join().unwrap()
}

#[test]
fn what_is_still_whole_after_the_copy_is_what_was_published() {
    check(|| {
        let topic = Topic::new(1);
        let reader = Reader::join(&topic.heap, 0, 1, false).unwrap();
        let mut writer = Writer::take(&topic.heap, true).unwrap();
        both(
            &topic,
            move |topic| (0..2).for_each(|_| topic.publish(&mut writer)),
            move |topic| {
                if topic.finds(&reader) {
                    let words = topic.read(reader.at());
                    if reader.is_whole(&topic.heap) {
                        assert_eq!(words, [1, 1]);
                    }
                }
            },
        );
    });
}

/// A reader joins while the writer publishes and scans; what it reads in place without a second look is whole.
fn joins_and_reads(oldest: bool) {
    check(move || {
        let topic = Topic::new(1);
        let write = |topic: &Topic| {
            let mut writer = Writer::take(&topic.heap, false).unwrap();
            for _ in 0..3 {
                if writer.has_room() || writer.look(&topic.heap, |_| {}) {
                    topic.publish(&mut writer);
                }
            }
        };
        let read = move |topic: &Topic| {
            let mut reader = Reader::join(&topic.heap, 0, 1, oldest).unwrap();
            for _ in 0..2 {
                match reader.look(&topic.heap) {
                    Look::Message { .. } if reader.is_protected() => {
                        topic.read_protected(&reader);
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
        };
        both(&topic, write, read);
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

/// The one message is read in place, and then `ends`; the writer waits for that.
fn reads_and(ends: fn(Reader, &Topic)) {
    check(move || {
        let topic = Topic::new(1);
        let reader = Reader::join(&topic.heap, 0, 1, false).unwrap();
        let mut writer = Writer::take(&topic.heap, false).unwrap();
        assert!(writer.look(&topic.heap, |_| {}));
        // Without telling, as in a batch.
        topic.commit(&mut writer);
        let write = move |topic: &Topic| {
            if writer.look(&topic.heap, |_| {}) {
                topic.publish(&mut writer);
            }
        };
        let read = move |topic: &Topic| {
            assert!(topic.finds(&reader));
            topic.read_protected(&reader);
            ends(reader, topic);
        };
        both(&topic, write, read);
    });
}

#[test]
fn what_is_read_in_place_is_not_overwritten_before_it_is_released() {
    reads_and(|mut reader, topic| reader.release(&topic.heap, 1, true));
}

#[test]
fn what_is_read_in_place_is_not_overwritten_before_the_reader_leaves() {
    reads_and(|reader, topic| reader.leave(&topic.heap));
}

#[test]
fn who_joins_does_not_count_with_its_predecessors_position() {
    reads_and(|mut reader, topic| {
        reader.release(&topic.heap, 1, true);
        reader.leave(&topic.heap);
        // Nobody was told of the message: it begins there again.
        let reader = Reader::join(&topic.heap, 0, 2, false).unwrap();
        if reader.at() == 0 {
            assert!(topic.finds(&reader), "overtaken");
            topic.read_protected(&reader);
        }
    });
}

/// Who joins at the oldest message finds all that the writer's position covers, however that is stored.
fn is_history(tells: fn(Writer, &Heap)) {
    check(move || {
        let topic = Topic::new(2);
        let mut writer = Writer::take(&topic.heap, true).unwrap();
        let write = move |topic: &Topic| {
            topic.commit(&mut writer);
            tells(writer, &topic.heap);
        };
        let read = |topic: &Topic| {
            let reader = Reader::join(&topic.heap, 0, 1, true).unwrap();
            assert_eq!(reader.at(), 0, "a message left out");
            assert!(reader.is_protected() || topic.finds(&reader));
        };
        both(&topic, write, read);
    });
}

#[test]
fn what_was_told_is_history() {
    is_history(|writer, heap| writer.tell(heap));
}

#[test]
fn what_a_writer_left_that_looks_for_room_is_history() {
    is_history(|mut writer, heap| {
        writer.look(heap, |_| {});
    });
}

#[test]
fn what_a_successor_finds_is_history() {
    is_history(|_, heap| drop(Writer::take(heap, true).unwrap()));
}

#[test]
fn who_is_put_out_while_it_reads_can_tell() {
    check(|| {
        let topic = Topic::new(1);
        let reader = Reader::join(&topic.heap, 0, 1, false).unwrap();
        let mut writer = Writer::take(&topic.heap, false).unwrap();
        assert!(writer.look(&topic.heap, |_| {}));
        topic.publish(&mut writer);
        let write = move |topic: &Topic| {
            let mut found: Option<Blocker> = None;
            assert!(!writer.look(&topic.heap, |blocker| found = Some(blocker)));
            assert!(found.unwrap().evict(&topic.heap));
            assert!(writer.look(&topic.heap, |_| {}), "it does not count any more");
            topic.publish(&mut writer);
        };
        let read = move |topic: &Topic| {
            if topic.finds(&reader) {
                let words = topic.read(0);
                // For its fence only: the cursor's word tells as well.
                let _ = reader.is_whole(&topic.heap);
                if !reader.is_out(&topic.heap) {
                    assert_eq!(words, [1, 1]);
                }
            }
        };
        both(&topic, write, read);
        assert!(reader.is_evicted(&topic.heap));
        reader.leave(&topic.heap);
        assert!(Reader::join(&topic.heap, 0, 2, false).is_some(), "its cursor is free now");
    });
}
