//! What a lock costs when nobody is in the way, and between two processes that lock as fast as they can.

use super::{Effort, Numbers};
use crate::harness::clock;
use crate::harness::shared::{Apart, Shared};
use crate::harness::team;
use crate::harness::yardstick::per_call;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that lets one in at a time.
pub trait Lock: Sync {
    /// Its members are threads of one process: it cannot do otherwise.
    const THREADS: bool = false;
    /// Does it while nobody else is in.
    fn locked(&self, work: impl FnOnce());
}

/// Nanoseconds of locking and unlocking; locks per second, and the smaller share by the larger, of two.
pub fn measure<L: Lock>(make: fn() -> L, effort: Effort) -> Result<Numbers, String> {
    let mut numbers = Numbers::new();
    let lock = make();
    let alone = team::run(1, L::THREADS, |member| {
        member.start();
        let mut count = 0u64;
        let ns = per_call(|| lock.locked(|| count += 1));
        member.stop(count, ns.to_bits());
    })?;
    let ns = clock::from_ns(if effort.proof_only { 500_000 } else { effort.ns / 2 });
    let (team, calm) = team::undisturbed(effort.tries, || {
        let (lock, counter) = (make(), Shared::<Apart<AtomicU64>>::new());
        let (lock, counter) = (&lock, &counter.0);
        let team = team::run(2, L::THREADS, |member| {
            let end = member.start() + ns;
            let mut mine = 0u64;
            while clock::ticks() < end {
                for _ in 0..32 {
                    // Relaxed, and no read-modify-write: the lock alone must keep this exact.
                    lock.locked(|| counter.store(counter.load(Relaxed) + 1, Relaxed));
                }
                mine += 32;
            }
            member.stop(mine, 0);
        })?;
        let total: u64 = team.iter().map(|o| o.count).sum();
        match counter.load(Relaxed) {
            count if count == total => Ok(team),
            count => Err(format!("{total} were counted as {count}: two were in at once")),
        }
    })?;
    if effort.proof_only {
        return Ok(numbers);
    }
    let counts: Vec<u64> = team.iter().map(|o| o.count).collect();
    numbers.insert("p50".into(), json!(f64::from_bits(alone[0].sum)));
    numbers.insert("rate".into(), json!((counts[0] + counts[1]) as f64 / team::lasted_ns(&team) * 1e9));
    numbers.insert("fairness".into(), json!(counts[0].min(counts[1]) as f64 / counts[0].max(counts[1]).max(1) as f64));
    numbers.insert("calm".into(), json!(calm));
    Ok(numbers)
}
