//! How long to spin before sleeping: as long as waits have lasted lately, within 1 and 50 µs.
//!
//! The budget follows twice the observed wait with an eighth of the difference each time, as in folly's
//! TurnSequencer. On one CPU spinning only keeps the other side from running, so there it is 0.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const LEAST_NS: u32 = 1_000;
const MOST_NS: u32 = 50_000;

/// The learned budget of one handle. Lives in the process, not in the segment.
#[derive(Debug)]
pub struct Spin(AtomicU32);

impl Default for Spin {
    fn default() -> Spin {
        Spin(AtomicU32::new(MOST_NS / 4))
    }
}

impl Spin {
    /// How long to spin this time, in nanoseconds.
    pub fn budget_ns(&self) -> u64 {
        static ONE_CPU: OnceLock<bool> = OnceLock::new();
        let one = *ONE_CPU.get_or_init(|| std::thread::available_parallelism().is_ok_and(|n| n.get() == 1));
        // Relaxed: a hint that only this process uses.
        if one || cfg!(loom) { 0 } else { u64::from(self.0.load(Relaxed)) }
    }

    /// Learns from a wait that lasted `ns`. One longer than the longest budget argues for the shortest.
    pub fn learn(&self, ns: u64) {
        let aim = if ns > u64::from(MOST_NS) { LEAST_NS } else { (2 * ns as u32).clamp(LEAST_NS, MOST_NS) };
        let now = self.0.load(Relaxed);
        self.0.store((i64::from(now) + (i64::from(aim) - i64::from(now)) / 8) as u32, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_follows_short_waits_up_and_long_ones_down() {
        let spin = Spin::default();
        for _ in 0..200 {
            spin.learn(20_000);
        }
        let high = spin.0.load(Relaxed);
        assert!((35_000..=40_000).contains(&high), "{high}");
        for _ in 0..200 {
            spin.learn(10_000_000);
        }
        let low = spin.0.load(Relaxed);
        assert!(low < 1_100, "{low}");
    }
}
