//! What is measured, each in a file of its own. Right answers are asserted before anything is timed.

pub mod latency;
pub mod limits;
pub mod locks;
pub mod pace;
pub mod throughput;

use crate::harness::clock;
use serde_json::{Map, Value, json};

/// What one repetition gave, by name.
pub type Numbers = Map<String, Value>;

/// How long a repetition may be.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Of one row, roughly.
    pub ns: u64,
    /// A heat that others have disturbed is run again, so many times in all.
    pub tries: usize,
    /// Only the proof: is every answer right?
    pub proof_only: bool,
}

impl Effort {
    /// So many of what takes `each_ns`, within limits.
    pub fn count(&self, each_ns: f64, least: u64, most: u64) -> u64 {
        ((self.ns as f64 / each_ns.max(0.1)) as u64).clamp(least, most)
    }
}

/// Percentiles, in nanoseconds.
pub fn percentiles(samples: &mut [u64]) -> Numbers {
    samples.sort_unstable();
    let at = |share: f64| match samples.len() {
        0 => Value::Null,
        n => json!(clock::ns(samples[((n - 1) as f64 * share).round() as usize])),
    };
    let mut numbers = Numbers::new();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        numbers.insert(name.into(), at(share));
    }
    numbers
}
