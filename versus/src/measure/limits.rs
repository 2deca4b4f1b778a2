//! What the machine itself costs, measured in every repetition: the units that everything else is shown in.
//!
//! | unit   | what                                                                               |
//! |--------|------------------------------------------------------------------------------------|
//! | L      | one cache line to the other CPU, one way: a word in shared memory, polled           |
//! | fx     | a futex wake, until the sleeper runs                                                |
//! | C      | an uncontended compare-and-swap and an exchange on one word: what a lock must cost  |
//! | memcpy | a copy from one private buffer to another, of each size                             |

use super::{Effort, Numbers, percentiles};
use crate::harness::clock;
use crate::harness::shared::{Apart, Shared};
use crate::harness::team;
use crate::harness::yardstick::{self, Line};
use serde_json::json;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// L.
pub fn line(effort: Effort) -> Result<Numbers, String> {
    let trips = effort.count(150.0, 1_000, 20_000);
    let (team, calm) = team::undisturbed(effort.tries, || {
        let line = Line::new();
        team::run(2, false, |member| {
            member.start();
            for i in 0..trips {
                if member.index == 0 {
                    let sent = clock::ticks();
                    yardstick::say(&line, 2 * i + 1);
                    yardstick::hear(&line, 2 * i + 2);
                    member.sample((clock::ticks() - sent).saturating_sub(clock::cost()) / 2);
                } else {
                    yardstick::hear(&line, 2 * i + 1);
                    yardstick::say(&line, 2 * i + 2);
                }
            }
            member.stop(trips, 0);
        })
    })?;
    let mut numbers = percentiles(&mut team[0].samples.clone());
    numbers.insert("calm".into(), json!(calm));
    Ok(numbers)
}

/// fx.
pub fn wake(effort: Effort) -> Result<Numbers, String> {
    let trips = effort.count(600_000.0, 8, 100) as u32;
    let word = Shared::<Apart<AtomicU32>>::new();
    let rung = Shared::<Apart<AtomicU64>>::new();
    let pause = clock::from_ns(300_000);
    let team = team::run(2, false, |member| {
        member.start();
        for i in 0..trips {
            if member.index == 0 {
                clock::pause(pause);
                yardstick::call(&word.0, 2 * i + 1);
                yardstick::listen(&word.0, 2 * i + 2, 0);
                // Relaxed: the word orders it.
                member.sample(clock::ticks().saturating_sub(rung.0.load(Relaxed)));
            } else {
                yardstick::listen(&word.0, 2 * i + 1, 0);
                clock::pause(pause);
                rung.0.store(clock::ticks(), Relaxed); // Relaxed: as above.
                yardstick::call(&word.0, 2 * i + 2);
            }
        }
        member.stop(u64::from(trips), 0);
    })?;
    Ok(percentiles(&mut team[0].samples.clone()))
}

/// C, or a memcpy: in a process of its own, pinned.
pub fn alone(measure: impl Fn() -> f64 + Sync) -> Result<Numbers, String> {
    let team = team::run(1, false, |member| {
        member.start();
        let ns = measure();
        member.stop(1, ns.to_bits());
    })?;
    let mut numbers = Numbers::new();
    numbers.insert("p50".into(), json!(f64::from_bits(team[0].sum)));
    Ok(numbers)
}

/// Nanoseconds of a memcpy of `size` bytes between two buffers of one process: as fast as its caches are.
pub fn memcpy(size: usize) -> f64 {
    let (from, mut to) = (vec![1u8; size], vec![0u8; size]);
    let calls = ((4 << 20) / size.max(4096)).max(1);
    let mut blocks: Vec<u64> = (0..31)
        .map(|_| {
            let began = clock::ticks();
            for _ in 0..calls {
                black_box(&mut to[..]).copy_from_slice(black_box(&from[..]));
            }
            clock::ticks() - began
        })
        .collect();
    blocks.sort_unstable();
    clock::ns(blocks[blocks.len() / 2]) / calls as f64
}
