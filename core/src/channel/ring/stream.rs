//! Keeping out of each other's way in a stream.
//!
//! Two sides that stay close behind each other move a cache line or two for every record: each look at how far the other
//! one is takes the line away that the other one is about to write. So an end that finds little, time and again, waits
//! a moment before it looks again, and then finds more: *temporal slipping*, from J. Giacomoni, T. Moseley and
//! M. Vachharajani, FastForward for Efficient Pipeline Parallelism, PPoPP 2008. It has to pay: where a wait does not bring
//! at least a record for each of its pauses, nobody waits for a long time. So nothing is delayed where records come one
//! at a time, however quickly they are asked for.

use crate::prim::spin_loop;

/// What one end remembers of its last looks. Nothing shared.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// So many looks in turn found something.
    streak: u32,
    /// Pause instructions before the next look, and before the last one.
    pauses: u32,
    /// At most.
    most: u32,
    /// So many looks without, as the last wait did not pay.
    rest: u32,
}

/// So many looks in turn that find something are a stream.
const LONG: u32 = 2;
/// After a wait that did not pay.
const REST: u32 = 200;

impl Stream {
    /// For an end that pauses so many times at most: some 50 ns each.
    pub fn new(most: u32) -> Stream {
        Stream { streak: 0, pauses: 0, most, rest: 0 }
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
        let slipped = self.flows() && self.pauses > 0;
        self.streak = self.streak.saturating_add(1);
        if slipped && n <= u64::from(self.pauses) {
            (self.pauses, self.rest) = (0, REST);
        } else if self.rest > 0 {
            self.rest -= 1;
        } else if n < few {
            self.pauses = (2 * self.pauses + 1).min(self.most);
        } else if n > 2 * few {
            self.pauses /= 2;
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_end_waits_where_that_brings_more_and_only_there() {
        let mut stream = Stream::new(12);
        (0..LONG).for_each(|_| stream.found(3, 64));
        assert!(stream.flows() && stream.pauses > 0);
        (0..10).for_each(|_| stream.found(20, 64));
        assert_eq!(stream.pauses, 12);
        stream.found(12, 64);
        assert_eq!(stream.pauses, 0, "twelve pauses for twelve records");
        (0..REST).for_each(|_| stream.found(1, 64));
        assert_eq!(stream.pauses, 0);
        (0..2).for_each(|_| stream.found(1, 64));
        assert_eq!((stream.pauses, stream.rest), (0, REST), "tried once more, in vain");
        stream.found(0, 64);
        assert!(!stream.flows());
    }
}
