//! Keeping out of each other's way in a stream.
//!
//! Two sides that stay close behind each other move a cache line or two for every record: each look at how far the other
//! one is takes the line away that the other one is about to write. So an end that finds little, time and again, waits
//! a moment before it looks again, and then finds more: *temporal slipping*, from J. Giacomoni, T. Moseley and
//! M. Vachharajani, FastForward for Efficient Pipeline Parallelism, PPoPP 2008. An end that found nothing at its last
//! look does not slip: where messages come one at a time nothing is delayed.

use crate::prim::spin_loop;

/// What one end remembers of its last looks. Nothing shared.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// So many looks in turn found something.
    streak: u32,
    /// Pause instructions before the next look.
    pauses: u32,
    /// At most.
    most: u32,
}

/// So many looks in turn that find something are a stream.
const LONG: u32 = 2;

impl Stream {
    /// For an end that pauses so many times at most: some 50 ns each.
    pub fn new(most: u32) -> Stream {
        Stream { streak: 0, pauses: 0, most }
    }

    /// Is this a stream?
    #[inline(always)]
    pub fn flows(&self) -> bool {
        self.streak >= LONG
    }

    /// Before a look: waits a moment if the last ones found little.
    #[inline(always)]
    pub fn slip(&self) {
        // For a model the moment is nothing but more to explore.
        if self.flows() && !cfg!(any(loom, shuttle)) {
            (0..self.pauses).for_each(|_| spin_loop());
        }
    }

    /// After a look that found `n`; less than `few` is little.
    #[inline(always)]
    pub fn found(&mut self, n: u64, few: u64) {
        if n == 0 {
            self.streak = 0;
            return;
        }
        self.streak = self.streak.saturating_add(1);
        if n < few {
            self.pauses = (2 * self.pauses + 1).min(self.most);
        } else if n > 2 * few {
            self.pauses /= 2;
        }
    }
}
