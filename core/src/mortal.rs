//! Atomics for the tests under shuttle: std's, but before every operation the scheduler may let another thread run,
//! and the thread may die.
//!
//! A thread that dies unwinds to [`mortal`], and from its death on stores nothing: what its destructors would do, a
//! killed process does not. Shuttle is sequentially consistent; weak memory is loom's.

use crate::prim::Woken;
use shuttle::rand::Rng;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

shuttle::thread_local! {
    static POINT: shuttle::sync::atomic::AtomicBool = shuttle::sync::atomic::AtomicBool::new(false);
    /// Operations left to live; 0: for ever.
    static LEFT: Cell<u32> = Cell::new(0);
    static DEAD: Cell<bool> = Cell::new(false);
}

struct Killed;

/// Is the calling thread dead, and only unwinding?
pub fn is_dead() -> bool {
    DEAD.with(Cell::get)
}

/// Before an operation. False: the thread is dead, nothing may be stored.
fn step() -> bool {
    if is_dead() {
        return false;
    }
    POINT.with(|point| point.load(Ordering::SeqCst));
    let die = LEFT.with(|left| match left.get() {
        0 => false,
        n => {
            left.set(n - 1);
            n == 1
        }
    });
    if die {
        DEAD.with(|dead| dead.set(true));
        resume_unwind(Box::new(Killed)); // Not `panic!`: no message, no backtrace.
    }
    true
}

/// Runs `life` until its operation number `at`, counted from 1 (0: to its end). `None`: it died there.
pub fn mortal<T>(at: u32, life: impl FnOnce() -> T) -> Option<T> {
    LEFT.with(|left| left.set(at));
    let outcome = catch_unwind(AssertUnwindSafe(life));
    LEFT.with(|left| left.set(0));
    match outcome {
        Ok(alive) => Some(alive),
        Err(cause) if cause.is::<Killed>() => None,
        Err(other) => resume_unwind(other),
    }
}

macro_rules! atomic {
    ($name:ident, $std:ty, $value:ty) => {
        /// See the module.
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name($std);

        #[allow(missing_docs, dead_code)]
        impl $name {
            pub const fn new(value: $value) -> Self {
                $name(<$std>::new(value))
            }
            pub fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }
            pub fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }
            pub fn store(&self, value: $value, order: Ordering) {
                if step() {
                    self.0.store(value, order);
                }
            }
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                if step() { self.0.swap(value, order) } else { self.0.load(Ordering::SeqCst) }
            }
            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                ok: Ordering,
                no: Ordering,
            ) -> Result<$value, $value> {
                if step() { self.0.compare_exchange(old, new, ok, no) } else { Err(self.0.load(Ordering::SeqCst)) }
            }
            pub fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                ok: Ordering,
                no: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(old, new, ok, no)
            }
            pub fn fetch_add(&self, n: $value, order: Ordering) -> $value {
                if step() { self.0.fetch_add(n, order) } else { self.0.load(Ordering::SeqCst) }
            }
            pub fn fetch_sub(&self, n: $value, order: Ordering) -> $value {
                if step() { self.0.fetch_sub(n, order) } else { self.0.load(Ordering::SeqCst) }
            }
            pub fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                if step() { self.0.fetch_and(bits, order) } else { self.0.load(Ordering::SeqCst) }
            }
            pub fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                if step() { self.0.fetch_or(bits, order) } else { self.0.load(Ordering::SeqCst) }
            }
            pub fn fetch_update(
                &self,
                ok: Ordering,
                no: Ordering,
                mut f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut now = self.load(no);
                while let Some(next) = f(now) {
                    match self.compare_exchange(now, next, ok, no) {
                        Ok(before) => return Ok(before),
                        Err(_) if is_dead() => return Err(now),
                        Err(other) => now = other,
                    }
                }
                Err(now)
            }
        }
    };
}
atomic!(AtomicU32, std::sync::atomic::AtomicU32, u32);
atomic!(AtomicU64, std::sync::atomic::AtomicU64, u64);

/// See the module.
pub fn fence(order: Ordering) {
    step();
    std::sync::atomic::fence(order);
}

/// A sleep that ends when the word has changed, or by chance, as the end of a slice: who looks again finds the dead.
pub fn futex_wait(word: &AtomicU32, expected: u32, _at_ns: u64) -> Woken {
    while !is_dead() && word.load(Ordering::SeqCst) == expected {
        if shuttle::rand::thread_rng().gen_bool(0.1) {
            return Woken::TimeUp;
        }
        shuttle::thread::yield_now();
    }
    Woken::Perhaps
}

/// Nobody sleeps: see [`futex_wait`].
pub fn futex_wake(_word: &AtomicU32, _n: u32) -> u32 {
    step();
    1
}
