//! The words of a cell under loom: every interleaving of a few threads, within the preemption bound, with weak memory.
//! A slice never ends here, so a wake that is lost is a deadlock, which loom reports.
//!
//! Loom remembers only the last access to a word when it looks for what to try next: a load that is followed by another
//! thread's load and exchange is never tried behind the exchange. So whoever looks first is spawned, and runs last at
//! first. Not seen here, as another barrier of the same thread stands before it: the fence behind publishing, and
//! Release of `release`, `give_back` and `repair`; nor the Acquire in `version`, on which nothing hangs.

use super::words::{Buffers, Claim, Control, Words};
use crate::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::wait::{self, EventCount, Spin, World};
use loom::sync::Arc;

/// A cell on the heap: a value is the same number twice.
struct Heap {
    control: Control,
    buffers: Row,
    values: Vec<[AtomicU32; 2]>,
}

struct Row(Vec<AtomicU64>);

impl Buffers for Row {
    fn word(&self, index: u32) -> &AtomicU64 {
        &self.0[index as usize]
    }
}

impl World for Heap {
    fn still_there(&self) -> Result<()> {
        Ok(())
    }
    fn is_dead(&self, _: u32) -> bool {
        false
    }
    fn tick(&self) {}
    fn timed_out(&self) -> Error {
        ErrorKind::Timeout.into()
    }
}

impl Heap {
    fn new(count: u32) -> Arc<Heap> {
        Arc::new(Heap {
            control: Control::new(),
            buffers: Row((0..count).map(|_| AtomicU64::new(0)).collect()),
            values: (0..count).map(|_| [AtomicU32::new(0), AtomicU32::new(0)]).collect(),
        })
    }

    fn words(&self) -> Words<'_, Row> {
        Words { control: &self.control, buffers: &self.buffers, count: self.values.len() as u32 }
    }

    /// Waits until `attempt` has something.
    fn wait<R>(&self, bell: &EventCount, attempt: impl Fn() -> Option<R>) -> R {
        wait::until(self, bell, &Spin::default(), Deadline::never(), || None, || Ok(attempt())).unwrap()
    }

    /// Stores; false if no buffer is free.
    fn store(&self, me: u32, value: u32) -> bool {
        let Ok(claim) = self.words().claim(me).unwrap() else { return false };
        for half in &self.values[claim.index as usize] {
            half.store(value, Relaxed);
        }
        self.words().publish(claim).unwrap();
        true
    }

    /// Loads; the version and the value, which is whole.
    fn load(&self) -> Option<(u64, u32)> {
        let copy = |index: u32| self.values[index as usize].each_ref().map(|half| half.load(Relaxed));
        let (version, [first, second]) = self.words().load(copy).unwrap()?;
        assert_eq!(first, second, "torn");
        Some((version, first))
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_model_of_a_value_that_is_written_over_while_it_is_read() {
    check(|| {
        let heap = Heap::new(2);
        assert!(heap.store(1, 1));
        let reader = heap.clone();
        let reader = loom::thread::spawn(move || {
            let (version, value) = reader.load().unwrap();
            assert_eq!(version, u64::from(value));
        });
        for value in 2..=3 {
            assert!(heap.store(1, value));
        }
        reader.join().unwrap();
        assert_eq!(heap.load(), Some((3, 3)));
    });
}

#[test]
fn a_model_of_two_writers_and_a_reader() {
    check(|| {
        let heap = Heap::new(3);
        let writers = [1, 2].map(|me| {
            let heap = heap.clone();
            loom::thread::spawn(move || assert!(heap.store(me, me)))
        });
        let first = heap.load();
        let second = heap.load();
        assert!(second.map_or(0, |(version, _)| version) >= first.map_or(0, |(version, _)| version));
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(heap.load().unwrap().0, 2);
        assert_eq!(heap.words().writers().count(), 0);
    });
}

#[test]
fn a_model_of_room_that_is_given_back_half_written() {
    check(|| {
        let heap = Heap::new(2);
        assert!(heap.store(1, 1));
        let writer = heap.clone();
        let writer = loom::thread::spawn(move || {
            let claim = writer.words().claim(1).unwrap().unwrap();
            writer.values[claim.index as usize][0].store(9, Relaxed);
            writer.words().release(claim);
            assert!(writer.store(1, 2));
        });
        let (version, value) = heap.load().unwrap();
        assert_eq!(version, u64::from(value));
        writer.join().unwrap();
        assert_eq!(heap.load(), Some((2, 2)));
    });
}

#[test]
fn a_model_of_who_waits_for_a_newer_value() {
    check(|| {
        let heap = Heap::new(2);
        let waiter = heap.clone();
        let waiter = loom::thread::spawn(move || waiter.wait(&waiter.control.changed, || waiter.load()));
        assert!(heap.store(1, 7));
        assert_eq!(waiter.join().unwrap(), (1, 7));
    });
}

/// A writer waits for the one buffer that `let_go` frees.
fn waits_for_a_buffer(let_go: fn(&Words<'_, Row>, Claim)) {
    check(move || {
        let heap = Heap::new(2);
        assert!(heap.store(1, 1));
        let claim = heap.words().claim(1).unwrap().unwrap();
        let waiter = heap.clone();
        let waiter = loom::thread::spawn(move || {
            waiter.wait(&waiter.control.freed, || waiter.store(2, 2).then_some(()));
        });
        let_go(&heap.words(), claim);
        waiter.join().unwrap();
        assert_eq!(heap.load(), Some((2, 2)));
    });
}

#[test]
fn a_model_of_who_waits_for_a_buffer() {
    waits_for_a_buffer(|words, claim| words.release(claim));
}

#[test]
fn a_model_of_who_waits_for_the_buffer_of_the_dead() {
    waits_for_a_buffer(|words, _| words.repair(1));
}

#[test]
fn a_model_of_two_writers_and_a_reader_of_what_is_written_over() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let heap = Heap::new(2);
        assert!(heap.store(1, 1));
        let reader = heap.clone();
        let reader = loom::thread::spawn(move || {
            let (version, value) = reader.load().unwrap();
            assert_eq!(version == 1, value == 1, "version {version} is {value}");
        });
        let other = heap.clone();
        let other = loom::thread::spawn(move || other.store(2, 3));
        let stored = heap.store(1, 2);
        let (version, value) = heap.load().unwrap();
        assert!(version > 1 || !stored, "{version} {value}");
        other.join().unwrap();
        reader.join().unwrap();
    });
}
