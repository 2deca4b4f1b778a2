//! Threads have numbers, so that a lock can name the thread that holds it.
//!
//! # When a thread ends
//!
//! One that ends while it holds locks leaves them as a dead process would: the next locker gets OwnerDied.
//! A thread that ends by a raw `exit` system call is not noticed.

use super::registry;
use crate::ObjectKind;
use crate::sync::mutex;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NONE: u32 = u32::MAX;

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(NONE) };
    static HELD: Cell<u32> = const { Cell::new(0) };
    static AT_END: AtEnd = const { AtEnd };
}

/// Taken numbers, one bit each.
static TAKEN: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// The calling thread's number, below 65536, unique among the live threads of this process.
#[inline]
pub fn number() -> u32 {
    let number = NUMBER.get();
    if number != NONE { number } else { fresh() }
}

#[cold]
fn fresh() -> u32 {
    for (i, word) in TAKEN.iter().enumerate() {
        // Relaxed: the read-modify-write alone decides who has the bit.
        let mut now = word.load(Relaxed);
        while now != u64::MAX {
            let bit = now.trailing_ones();
            match word.compare_exchange_weak(now, now | 1 << bit, Relaxed, Relaxed) {
                Ok(_) => {
                    let number = i as u32 * 64 + bit;
                    NUMBER.set(number);
                    // Registers the destructor. A thread that is ending already has no use for one.
                    let _ = AT_END.try_with(|_| ());
                    return number;
                }
                Err(other) => now = other,
            }
        }
    }
    // 65536 live threads that lock: the last number is shared; relocking by two of them would be misjudged.
    0xFFFF
}

/// The calling thread holds one lock more.
#[inline]
pub fn holds_one_more() {
    HELD.set(HELD.get() + 1);
}

/// The calling thread holds one lock less.
#[inline]
pub fn holds_one_less() {
    HELD.set(HELD.get().saturating_sub(1));
}

struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        let number = NUMBER.replace(NONE);
        if number == NONE {
            return;
        }
        if HELD.replace(0) > 0 {
            NUMBER.set(number); // The directory's mutex is taken below in this thread's name.
            for participant in registry::all() {
                participant.thread_ended(number);
            }
            NUMBER.set(NONE);
        }
        if let Some(word) = TAKEN.get(number as usize / 64) {
            word.fetch_and(!(1 << (number % 64)), Relaxed);
        }
    }
}

impl super::Participant {
    /// Leaves every mutex that thread `number` of this process holds as its death would.
    fn thread_ended(&self, number: u32) {
        let Some(me) = self.me_if_joined() else { return };
        let deadline = crate::Deadline::after(std::time::Duration::from_secs(10));
        let _ = self.with_directory_as(me, deadline, |directory| {
            directory.each_used(|entry| {
                if let Some((header, view)) = directory.object(entry)
                    && header.kind() == ObjectKind::Mutex as u32
                {
                    mutex::leave(view, me, number);
                }
            });
        });
    }
}
