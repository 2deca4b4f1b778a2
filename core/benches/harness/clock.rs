//! The finest clock there is: the time stamp counter on x86-64, the monotonic clock elsewhere.
//!
//! It is the same for all CPUs wherever Linux uses it as its own clock source.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The clock, in ticks.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 CPU has the instruction; Linux leaves it to user programs unless asked otherwise.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid, writable timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

/// Nanoseconds in a tick, and ticks that one reading costs. Measured once, before the first fork.
fn calibration() -> (f64, u64) {
    static MEASURED: OnceLock<(f64, u64)> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let (began, first) = (Instant::now(), ticks());
        while began.elapsed() < Duration::from_millis(30) {}
        let (lasted, last) = (began.elapsed(), ticks());
        let mut costs: Vec<u64> = (0..1001)
            .map(|_| {
                let a = ticks();
                ticks() - a
            })
            .collect();
        costs.sort_unstable();
        (lasted.as_nanos() as f64 / (last - first) as f64, costs[500])
    })
}

/// Ticks as nanoseconds.
pub fn ns(ticks: u64) -> f64 {
    ticks as f64 * calibration().0
}

/// Nanoseconds as ticks.
pub fn from_ns(ns: u64) -> u64 {
    (ns as f64 / calibration().0) as u64
}

/// Ticks that reading the clock adds to what is measured.
pub fn cost() -> u64 {
    calibration().1
}

/// Lets time pass without giving up the CPU.
#[inline]
pub fn pause(ticks_long: u64) {
    if ticks_long > 0 {
        let end = ticks() + ticks_long;
        while ticks() < end {
            std::hint::spin_loop();
        }
    }
}
