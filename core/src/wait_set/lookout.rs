//! The lookout: a thread that sleeps on objects so that a descriptor can tell of them.
//!
//! # State
//!
//! The owner gives orders, the lookout carries them out. Orders lie behind a lock; `word` counts them and is what
//! the lookout sleeps on, beside the words of the objects.
//!
//! | `on` | bell     | meaning                                                              |
//! |------|----------|----------------------------------------------------------------------|
//! | yes  | quiet    | the lookout watches; it will ring when a member is ready               |
//! | no   | rung     | it has rung; the owner is to look, and to order anew if there is nothing |
//! | no   | quiet    | no orders yet                                                         |
//!
//! # Orderings
//!
//! The lock orders everything. Edge `order`: `word` is raised after the orders have changed; the lookout reads it
//! before it reads them, so that a change in between ends its sleep at once.
//!
//! # When a peer dies
//!
//! Its slices end like those of every sleeper, and then it asks after suspects. What it finds, errors included, it
//! does not judge: it rings, and the owner looks.
//!
//! # Fork
//!
//! A child has no lookout, and nobody there waits for its end.

use super::any::{self, Means, Ringing};
use super::descriptors::{Bell, without_signals};
use super::members::Side;
use super::slices::Slices;
use crate::error::{Error, Result};
use crate::participant::fork;
use crate::prim::{
    AtomicU32,
    Ordering::{Acquire, Release},
    Woken, futex_wait, futex_wake,
};
use crate::wait::World;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What the lookout is to do.
struct Orders {
    on: bool,
    stop: bool,
    sides: Arc<[Arc<dyn Side>]>,
}

struct Shared {
    word: AtomicU32,
    orders: Mutex<Orders>,
    bell: Bell,
    means: Means,
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the orders and sees to it that the lookout reads them.
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders());
        // ORDER order: Release; pairs with the Acquire in `run`.
        self.word.fetch_add(1, Release);
        futex_wake(&self.word, 1);
    }

    fn run(&self) {
        loop {
            // ORDER order: Acquire; pairs with the Release in `order`.
            let key = self.word.load(Acquire);
            let (on, sides) = {
                let orders = self.orders();
                if orders.stop {
                    return;
                }
                (orders.on, orders.sides.clone())
            };
            if on && !sides.is_empty() {
                self.watch(&sides, key);
            } else {
                futex_wait(&self.word, key, u64::MAX);
            }
        }
    }

    /// Watches until a member is ready or broken, or there are new orders.
    fn watch(&self, sides: &[Arc<dyn Side>], key: u32) {
        let mut slices = Slices::new(sides, self.means);
        let (mut first, mut slept) = (true, false);
        let look = |ask| {
            for side in sides {
                if side.is_ready(ask)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        loop {
            let there = sides.iter().try_for_each(|side| side.object().still_there());
            let stop = Some((&self.word, key));
            let (found, woken) = match there {
                Ok(()) => any::sleep(sides, stop, slices.end(), self.means, std::mem::take(&mut first), look),
                Err(error) => (Err(error), None),
            };
            slept |= woken.is_some();
            let tell = !matches!(found, Ok(false));
            // Who has changed the orders has looked as well, and waits for what happens from then on.
            let changed = self.word.load(Acquire) != key;
            if tell && !changed {
                let mut orders = self.orders();
                orders.on = false;
                // Under the lock, so that nobody hushes it who has not seen that it rang.
                self.bell.ring();
            }
            if tell || changed {
                if slept {
                    sides.iter().for_each(Ringing::pass_on);
                }
                return;
            }
            if woken == Some(Woken::TimeUp) {
                slices.next(sides);
            }
        }
    }
}

/// The lookout of one set. Dropping it ends the thread.
pub struct Lookout {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    fork: u32,
}

impl Lookout {
    /// Starts the thread. It has no orders yet.
    pub fn start(sides: Arc<[Arc<dyn Side>]>, bell: Bell, means: Means) -> Result<Lookout> {
        let orders = Mutex::new(Orders { on: false, stop: false, sides });
        let shared = Arc::new(Shared { word: AtomicU32::new(0), orders, bell, means });
        let theirs = shared.clone();
        let thread =
            without_signals(|| std::thread::Builder::new().name("triveni-lookout".into()).spawn(move || theirs.run()))
                .map_err(|e| {
                    Error::os(e.raw_os_error().unwrap_or(libc::EAGAIN), "start the lookout thread of a wait set")
                })?;
        Ok(Lookout { shared, thread: Some(thread), fork: fork::number() })
    }

    /// Watches other members from now on.
    pub fn set_sides(&self, sides: Arc<[Arc<dyn Side>]>) {
        self.shared.order(|orders| orders.sides = sides);
    }

    /// Has it rung, or has it no orders yet?
    pub fn has_rung(&self) -> bool {
        !self.shared.orders().on
    }

    /// Hushes the bell and watches, unless it does so already.
    pub fn watch(&self) {
        if self.shared.orders().on {
            return; // Only we switch it on, and the bell is quiet as long as it is.
        }
        self.shared.order(|orders| {
            self.shared.bell.hush();
            orders.on = true;
        });
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.fork != fork::number() {
            // The parent's: not even the lock may be touched, as nobody here would ever give it back.
            std::mem::forget(thread);
            return;
        }
        self.shared.order(|orders| orders.stop = true);
        let _ = thread.join(); // It does not panic.
    }
}
