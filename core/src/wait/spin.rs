//! How long to spin before sleeping: as long as it pays.
//!
//! A wait that ends while spinning teaches a budget of twice its length, at once. A wait that has to sleep
//! takes an eighth of the budget away, down to 1 µs; how long it slept teaches nothing, as most of that is the
//! wake itself. One in 32 of those spins for the longest time all the same: two processes that wake each other
//! up for every few messages would otherwise never learn that spinning a little would spare them that.
//! On one CPU spinning only keeps the other side from running, so there it is 0.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

const LEAST_NS: u32 = 1_000;
const MOST_NS: u32 = 50_000;
const PROBE_EVERY: u32 = 32;

/// The learned budget of one handle. Lives in the process, not in the segment; its threads share it.
#[derive(Debug)]
pub struct Spin {
    budget_ns: AtomicU32,
    misses: AtomicU32,
    /// When a wait last ended while spinning.
    caught_ns: AtomicU64,
}

impl Default for Spin {
    fn default() -> Spin {
        Spin { budget_ns: AtomicU32::new(MOST_NS / 4), misses: AtomicU32::new(0), caught_ns: AtomicU64::new(0) }
    }
}

// Relaxed throughout: hints, of which a lost one costs nothing.
impl Spin {
    /// How long to spin this time, in nanoseconds.
    pub fn budget_ns(&self) -> u64 {
        if cfg!(any(loom, shuttle)) || one_cpu() {
            return 0;
        }
        let probe = self.misses.load(Relaxed) % PROBE_EVERY == PROBE_EVERY - 1;
        u64::from(if probe { MOST_NS } else { self.budget_ns.load(Relaxed) })
    }

    /// Spinning for `ns` was enough.
    pub fn caught(&self, ns: u64) {
        let aim = u32::try_from(2 * ns).unwrap_or(MOST_NS).clamp(LEAST_NS, MOST_NS);
        let now = self.budget_ns.load(Relaxed);
        self.budget_ns.store(if aim > now { aim } else { now - (now - aim) / 8 }, Relaxed);
    }

    /// And that was at `now_ns`: for [`Spin::caught_within`].
    pub fn caught_at(&self, now_ns: u64) {
        self.caught_ns.store(now_ns, Relaxed);
    }

    /// Was spinning enough, at most `ns` before `now_ns`?
    pub fn caught_within(&self, ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.caught_ns.load(Relaxed)) < ns
    }

    /// It was not: the wait had to sleep.
    pub fn missed(&self) {
        let now = self.budget_ns.load(Relaxed);
        self.budget_ns.store((now - now / 8).max(LEAST_NS), Relaxed);
        self.misses.fetch_add(1, Relaxed);
    }
}

/// Has the machine one CPU? Not: may this process use one only; its peer may be on another.
fn one_cpu() -> bool {
    static ONE: OnceLock<bool> = OnceLock::new();
    *ONE.get_or_init(|| matches!(nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN), Ok(Some(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_shorten_the_budget_and_one_short_wait_brings_it_back() {
        let spin = Spin::default();
        for _ in 0..64 {
            spin.missed();
        }
        assert_eq!(spin.budget_ns.load(Relaxed), LEAST_NS);
        spin.caught(4_000);
        assert_eq!(spin.budget_ns.load(Relaxed), 8_000);
        for _ in 0..100 {
            spin.caught(100);
        }
        assert!(spin.budget_ns.load(Relaxed) < 1_100);
    }

    #[test]
    #[cfg(not(loom))]
    fn now_and_then_a_probe_spins_for_the_longest_time() {
        let spin = Spin::default();
        let budgets: Vec<u64> = (0..PROBE_EVERY)
            .map(|_| {
                spin.missed();
                spin.budget_ns()
            })
            .collect();
        let probes = budgets.iter().filter(|b| **b == u64::from(MOST_NS)).count();
        assert!(probes == 1 || one_cpu());
    }
}
