//! Two processes, one mechanism: the time of a message, and how many go through.

use super::ends::End;
use super::mechanism::Mechanism;
use super::pair::{Apart, Fault, together};
use std::time::{Duration, Instant};
use triveni::{ErrorKind, Result};

/// The first byte of a message: another one follows, or this was the last.
const MORE: u8 = 0;
const LAST: u8 = 1;

/// Ways of a message from one process to the other.
#[derive(Clone, Copy, serde::Serialize)]
pub struct Latency {
    /// Half of a round trip: the median, in nanoseconds.
    pub median_ns: f64,
    /// 99 of 100 are at least as fast.
    pub p99_ns: f64,
}

/// Messages one after another in one direction.
#[derive(Clone, Copy, serde::Serialize)]
pub struct Throughput {
    /// Bytes of each message.
    pub size: usize,
    /// Messages per second that arrived.
    pub messages: f64,
    /// Bytes of them per second.
    pub bytes: f64,
    /// How many of those that were sent did not arrive: part of 1.
    pub lost: f64,
}

/// Half of a round trip of `size` bytes, over and over for `time`.
pub fn latency(mechanism: &Mechanism, apart: &Apart, size: usize, time: Duration) -> Result<Latency, Fault> {
    let echo = |end: &mut dyn End| {
        let mut buffer = vec![MORE; size];
        loop {
            let n = end.receive(&mut buffer)?;
            let message = buffer.get(..n).unwrap_or_default();
            end.send(message)?;
            if message.first() == Some(&LAST) {
                return Ok(());
            }
        }
    };
    let measure = |end: &mut dyn End| {
        let (mut message, mut answer) = (vec![MORE; size], vec![MORE; size]);
        let mut trip = |end: &mut dyn End| -> Result<u64> {
            let begin = Instant::now();
            end.send(&message)?;
            end.receive(&mut answer)?;
            Ok(begin.elapsed().as_nanos() as u64)
        };
        let begin = Instant::now();
        while begin.elapsed() < time / 5 {
            trip(end)?;
        }
        let (begin, mut trips) = (Instant::now(), Vec::new());
        while begin.elapsed() < time {
            trips.push(trip(end)?);
        }
        message.fill(LAST);
        end.send(&message)?;
        end.receive(&mut answer)?;
        trips.sort_unstable();
        let last = trips.len().saturating_sub(1) as f64;
        Ok([0.5, 0.99].map(|part| trips.get((last * part) as usize).map_or(0.0, |ns| *ns as f64 / 2.0)))
    };
    let [median_ns, p99_ns] = together((mechanism.open)(size)?, apart, measure, echo)?;
    Ok(Latency { median_ns, p99_ns })
}

/// Messages of `size` bytes one way for `time`; the other process says in the end how many came.
pub fn throughput(mechanism: &Mechanism, apart: &Apart, size: usize, time: Duration) -> Result<Throughput, Fault> {
    let answer_size = size.max(8);
    let count = |end: &mut dyn End| {
        let mut buffer = vec![MORE; size];
        let mut count: u64 = 0;
        loop {
            end.receive(&mut buffer)?;
            match buffer.first() {
                Some(&LAST) => break,
                _ => count += 1,
            }
        }
        end.send(&count.to_le_bytes())
    };
    let measure = |end: &mut dyn End| {
        let mut message = vec![MORE; size];
        let (begin, mut sent) = (Instant::now(), 0u64);
        while begin.elapsed() < time {
            for _ in 0..16 {
                end.send(&message)?;
            }
            sent += 16;
        }
        message.fill(LAST);
        let mut answer = vec![MORE; answer_size];
        end.send(&message)?;
        while let Err(error) = end.receive_within(&mut answer, Duration::from_millis(20)) {
            match error.kind() {
                ErrorKind::Timeout => end.send(&message)?, // the last one was lost: again
                _ => return Err(error),
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        let count = answer.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
        Ok([count as f64 / seconds, 1.0 - count as f64 / sent as f64])
    };
    let [messages, lost] = together((mechanism.open)(answer_size)?, apart, measure, count)?;
    Ok(Throughput { size, messages, bytes: messages * size as f64, lost })
}
