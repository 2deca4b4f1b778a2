//! The park word: exactly one waiter, and a publisher that pays one relaxed load.
//!
//! # State
//!
//! 0: nobody parks. 1: the one waiter sleeps, or is about to.
//!
//! # Orderings
//!
//! The publisher stores its data with Release and then loads this word, *without a fence between*: a
//! fence per message costs 1.3 to 2.8 times the throughput. So a store may still sit in the publisher's
//! store buffer when the waiter looks for it, and the publisher may have loaded a stale 0. Store buffers
//! drain within microseconds (longest seen 1.5 µs); the waiter therefore keeps looking for 10 µs after it
//! announced itself, and its sleep ends by itself. Liveness never depends on more than that end.
//!
//! # When a peer dies
//!
//! A parked waiter: the word stays 1, its successor's publisher pays one system call.
//! A publisher before its wake: the waiter finds the data at the end of its slice.

use super::Bell;
use crate::prim::{
    AtomicU32, Full,
    Ordering::{AcqRel, Relaxed},
    Woken, futex_wait, futex_wake,
};

/// A park word of 4 bytes in the segment.
#[repr(transparent)]
#[derive(Debug)]
pub struct ParkWord(AtomicU32);

impl ParkWord {
    /// A fresh one; in a segment, zeroed memory is one.
    #[cfg(any(test, loom))]
    pub fn new() -> ParkWord {
        ParkWord(AtomicU32::new(0))
    }

    /// Wakes the waiter, if it parks. Called after a Release store of what it waits for.
    #[inline(always)]
    pub fn unpark(&self) {
        // Relaxed: see the head of this file.
        if self.0.load(Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // AcqRel: of several publishers (a successor, the sweep) one wakes.
        if self.0.swap(0, AcqRel) != 0 {
            futex_wake(&self.0, 1);
        }
    }

    /// The word that the waiter sleeps on.
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Wakes the waiter in any case: for the sweep.
    pub fn ring(&self) {
        self.0.swap(0, AcqRel);
        futex_wake(&self.0, i32::MAX as u32);
    }
}

impl Bell for ParkWord {
    fn recheck_ns(&self) -> u64 {
        if cfg!(any(loom, shuttle)) { 0 } else { 10_000 }
    }

    fn prepare(&self) -> u32 {
        self.0.swap_full(1);
        1
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        futex_wait(&self.0, key, at_ns)
    }

    fn done(&self) {
        // Relaxed: a publisher that still sees 1 makes one needless system call.
        self.0.store(0, Relaxed);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use std::sync::atomic::Ordering::Acquire;

    /// With a full barrier in the publisher, so that sequential consistency holds and no slice is needed.
    #[test]
    fn a_parked_waiter_is_woken_by_a_publisher_that_fences_and_by_its_successor() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((ParkWord::new(), AtomicU32::new(0)));
            let theirs = shared.clone();
            let waiter = loom::thread::spawn(move || {
                let (park, items) = &*theirs;
                for wanted in 1..=2 {
                    while items.load(Acquire) < wanted {
                        let key = park.prepare();
                        if items.load(Acquire) < wanted {
                            park.sleep(key, u64::MAX);
                        }
                        park.done();
                    }
                }
            });
            for _ in 0..2 {
                shared.1.add_full(1);
                shared.0.unpark();
            }
            waiter.join().unwrap();
        });
    }
}
