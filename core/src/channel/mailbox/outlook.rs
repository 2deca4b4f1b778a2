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
        let known = self.0.load(Relaxed);
        if (NEAR..=capacity).contains(&known.wrapping_sub(at)) {
            let place = std::ptr::from_ref(memory.after(claim.index, AHEAD)).cast::<u8>();
            prefetch_to_write(place);
            prefetch_to_write(place.wrapping_add(64));
        } else if at.is_multiple_of(EVERY) {
            let hint = hint();
            self.0.store(u64::from(lap(hint)) * capacity + (hint & INDEX) + beyond, Relaxed);
        }
    }
}
