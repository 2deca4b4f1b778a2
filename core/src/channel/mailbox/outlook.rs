//! Asking for the lines of places before their turn comes.
//!
//! A claim is an exchange that waits for the line of its place, and nothing behind it goes on meanwhile. So who has claimed
//! a place asks for the line of one that it will come to soon, where the other side is known to be far from there: the line
//! of a place that it works on would only be taken away from it. How far it is says its hint, `head` or `tail`; to read
//! that costs a line, too, so it is read seldom.

use super::memory::Memory;
use super::queue::{Claim, turn};
use super::slots::{INDEX, lap};
use crate::prim::prefetch_to_write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The place that is asked for is so many after the claimed one.
const AHEAD: u32 = 3;
/// Where the other side is nearer than so many places nothing is asked for.
const NEAR: u64 = 4;
/// Where the other side is near, for all that is known, its hint is read at each multiple of this position.
const EVERY: u64 = 64;

/// What one side of a handle knows of the other side: up to which position it is not there. A guess of this process's
/// own; a wrong one costs time only.
#[derive(Debug, Default)]
pub(super) struct Outlook(AtomicU64);

impl Outlook {
    /// A receiver has claimed `claim`.
    #[inline(always)]
    pub fn received(&self, memory: &Memory, claim: Claim) {
        // Relaxed, here and below: hints.
        self.claimed(memory, claim, || memory.control().tail.0.load(Relaxed), 0);
    }

    /// A sender has claimed `claim`.
    #[inline(always)]
    pub fn sent(&self, memory: &Memory, claim: Claim) {
        self.claimed(memory, claim, || memory.control().head.0.load(Relaxed), u64::from(memory.capacity));
    }

    #[inline(always)]
    fn claimed(&self, memory: &Memory, claim: Claim, hint: impl FnOnce() -> u64, beyond: u64) {
        let capacity = u64::from(memory.capacity);
        let at = u64::from(turn(claim.word)) * capacity + u64::from(claim.index);
        if self.is_far(at, capacity, || line(hint(), capacity) + beyond) {
            let place = std::ptr::from_ref(memory.after(claim.index, AHEAD)).cast::<u8>();
            prefetch_to_write(place);
            prefetch_to_write(place.wrapping_add(64));
        }
    }

    /// Is the other side, which `look` reads the bound of, known to be no nearer than [`NEAR`] before `at`?
    #[inline(always)]
    fn is_far(&self, at: u64, capacity: u64, look: impl FnOnce() -> u64) -> bool {
        // Garbage, an old bound and a lap that has wrapped are more than a capacity away.
        let far = (NEAR..=capacity).contains(&self.0.load(Relaxed).wrapping_sub(at));
        if !far && at.is_multiple_of(EVERY) {
            self.0.store(look(), Relaxed);
        }
        far
    }
}

/// A hint as one number that grows by one from place to place.
fn line(position: u64, capacity: u64) -> u64 {
    u64::from(lap(position)) * capacity + (position & INDEX)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn lines_are_asked_for_only_where_the_other_side_is_known_to_be_far() {
        let outlook = Outlook::default();
        let never = || -> u64 { panic!("looked") };
        assert!(!outlook.is_far(1, 1024, never), "nothing is known");
        assert!(!outlook.is_far(64, 1024, || 300), "known from now on");
        assert!((65..=300 - NEAR).all(|at| outlook.is_far(at, 1024, never)));
        assert!(!outlook.is_far(300 - NEAR + 1, 1024, never), "near");
        assert!(!outlook.is_far(5 * 64, 1024, || u64::MAX));
        assert!(!outlook.is_far(5 * 64 + 1, 1024, never), "garbage is not far");
        assert!(!Outlook::default().is_far(64, 2, || 66), "in a small mailbox all are near");
        assert_eq!(line(3 << 20 | 5, 1024), 3 * 1024 + 5);
        assert_eq!(line(7 << 52 | 3 << 20 | 5, 1024), 3 * 1024 + 5, "an epoch is no position");
    }
}
