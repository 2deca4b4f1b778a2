//! A message every now and then, to a receiver that sleeps meanwhile: how late does it come, and what does the
//! waiting cost.
//!
//! The sender lets go of its CPU while it waits for the next moment, so that helping threads of a library can run.
//! The moments are fixed: what comes late is late, and the next one is not put off.

use super::{Effort, Numbers, percentiles};
use crate::channel::{Channel, Rx, Spec, Tx, number, stamp};
use crate::harness::clock;
use crate::harness::team::{self, MOST_SAMPLES};
use serde_json::json;

/// Latency, and CPU time for each message, at `per_second` messages a second.
pub fn measure<C: Channel>(spec: &Spec, per_second: u64, effort: Effort) -> Result<Numbers, String> {
    let heat = |count: u64| {
        let channel = C::make(spec)?;
        team::run(2, C::THREADS, |member| {
            let mut message = vec![0x5A; spec.size];
            if member.index == 0 {
                let mut tx = channel.tx(0);
                let period = clock::from_ns(1_000_000_000 / per_second);
                let mut at = member.start();
                let mut calling = 0;
                for i in 0..count {
                    at += period;
                    loop {
                        let now = clock::ticks();
                        if now >= at {
                            stamp(&mut message, i);
                            stamp(&mut message[8..], now);
                            tx.send(&message);
                            calling += clock::ticks() - now;
                            break;
                        }
                        // SAFETY: no arguments, no memory.
                        unsafe { libc::sched_yield() };
                    }
                }
                member.stop(count, calling / count);
            } else {
                let mut rx = channel.rx(0);
                member.start();
                for i in 0..count {
                    rx.receive(&mut message);
                    let now = clock::ticks();
                    assert_eq!(number(&message), i, "a message was lost, doubled or came out of order");
                    member.sample(now.saturating_sub(number(&message[8..])));
                }
                member.stop(count, 0);
            }
        })
    };
    heat(20)?;
    let mut numbers = Numbers::new();
    if effort.proof_only {
        return Ok(numbers);
    }
    let count = effort.count(1e9 / per_second as f64, 200, MOST_SAMPLES as u64);
    let team = heat(count)?;
    numbers.extend(percentiles(&mut team[1].samples.clone()));
    numbers.insert("cpu".into(), json!(team[1].cpu_ns as f64 / count as f64));
    numbers.insert("send".into(), json!(clock::ns(team[0].sum)));
    numbers.insert("slept".into(), json!(team[1].slept as f64 / count as f64));
    Ok(numbers)
}
