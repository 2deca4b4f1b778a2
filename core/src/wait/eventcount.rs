//! The eventcount: any number of waiters sleep until somebody says that something changed.
//!
//! # State
//!
//! | word  | changed by | meaning                                                       |
//! |-------|------------|---------------------------------------------------------------|
//! | `seq` | notifiers  | the word sleepers sleep on; raised by every wake               |
//! | `reg` | waiters    | how often somebody has registered to sleep                     |
//! | `ack` | notifiers  | the `reg` that the last wake which found nobody asleep had seen |
//!
//! `reg == ack` means that nobody can be asleep: then `notify` is one load.
//!
//! # Orderings
//!
//! Edge `register`: a waiter adds to `reg` (full barrier), then looks at the condition; a notifier changes
//! the condition (full barrier, the caller's), then loads `reg`. One of the two sees the other.
//!
//! # When a peer dies
//!
//! A waiter: its registration stays until a wake finds nobody; that costs one system call.
//! A notifier between change and wake: sleepers find out at the end of their slice.
//!
//! A waiters *bit* loses wakes, and a waiter *count* is never right again after a kill; this does neither.

use super::Bell;
use crate::prim::{
    AtomicU32, Full,
    Ordering::{Acquire, Relaxed, Release},
    Woken, futex_wait, futex_wake,
};

/// An eventcount of 16 bytes in the segment.
#[repr(C)]
#[derive(Debug)]
pub struct EventCount {
    seq: AtomicU32,
    reg: AtomicU32,
    ack: AtomicU32,
    _zero: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<EventCount>() == 16);

impl EventCount {
    /// A fresh one; in a segment, zeroed memory is one.
    #[cfg(any(test, loom))]
    pub fn new() -> EventCount {
        EventCount { seq: AtomicU32::new(0), reg: AtomicU32::new(0), ack: AtomicU32::new(0), _zero: AtomicU32::new(0) }
    }

    /// Wakes up to `n` sleepers, if there can be any. The caller has made the condition true with a full
    /// barrier (a [`Full`] operation) before.
    #[inline]
    pub fn notify(&self, n: u32) {
        // ORDER register: the caller's full barrier stands between its change and this load.
        let reg = self.reg.load(Acquire);
        // Relaxed: a stale `ack` differs from `reg` and costs one needless wake.
        if reg != self.ack.load(Relaxed) {
            self.wake(reg, n);
        }
    }

    #[cold]
    fn wake(&self, reg: u32, n: u32) {
        // ORDER wake: Release; a waiter that sees the new `seq` sees the condition too.
        self.seq.fetch_add(1, Release);
        if futex_wake(&self.seq, n) == 0 {
            // Nobody slept. Whoever registered up to `reg` has looked again or will, as `seq` has moved.
            self.ack.store(reg, Relaxed);
        }
    }

    /// Has anybody been woken since [`Bell::prepare`] gave `key`?
    pub fn has_rung_since(&self, key: u32) -> bool {
        // ORDER wake: Acquire; pairs with the Release in `wake` and `ring`.
        self.seq.load(Acquire) != key
    }

    /// Can nobody be asleep? For a caller behind a full barrier, or behind the exchange of a word that whoever
    /// registers changes too.
    pub fn is_quiet(&self) -> bool {
        // ORDER register: as in `notify`.
        self.reg.load(Acquire) == self.ack.load(Relaxed)
    }

    /// The word that sleepers sleep on.
    pub fn word(&self) -> &AtomicU32 {
        &self.seq
    }

    /// Wakes everybody, registered or not: for the sweep, which repairs a wake that a dead process owed.
    pub fn ring(&self) {
        // ORDER wake: as in `wake`.
        self.seq.fetch_add(1, Release);
        futex_wake(&self.seq, i32::MAX as u32);
    }
}

impl Bell for EventCount {
    fn prepare(&self) -> u32 {
        // ORDER wake: Acquire; pairs with the Release in `wake`.
        let key = self.seq.load(Acquire);
        // ORDER register: full barrier; the caller looks at the condition after this.
        self.reg.add_full(1);
        key
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        futex_wait(&self.seq, key, at_ns)
    }
}
