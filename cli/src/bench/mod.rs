//! `triveni bench`: every mechanism on this machine, between two processes, and when to use which.
//!
//! # JSON
//!
//! `--json` prints one object:
//!
//! ```text
//! { "machine": { "cpus": 2, "kernel": "6.1.0" }, "size": 64, "mechanisms": [
//!     { "name": "pipe", "scheme": "messages", "direction": "one way", "between": "…", "lasts": "…", "synchronises": "yes",
//!       "boundaries": "no", "copies": "2", "use": "…", "latency": { "median_ns": 5100.0, "p99_ns": 9000.0 },
//!       "throughput": [ { "size": 64, "messages": 900000.0, "bytes": 57600000.0, "lost": 0.0 } ],
//!       "missing": [ "64 KiB: the largest message is 8192 bytes" ] } ],
//!   "overhead": [ { "verbs": "pipe: write and read", "bare_ns": 510.0, "ours_ns": 520.0 } ] }
//! ```
//!
//! `latency` is null where a mechanism could not be measured; `missing` says why. If that was because somebody has killed
//! one of the two processes, the exit code is 1.

mod bare;
mod cleaner;
mod ends;
mod measure;
mod mechanism;
mod pair;
mod plot;
mod table;

use crate::{Failure, ls};
use bare::Overhead;
use indicatif::{ProgressBar, ProgressStyle};
use measure::{Latency, Throughput};
use mechanism::{MECHANISMS, Mechanism};
use pair::{Apart, Fault};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of the messages whose way is timed.
const SMALL: usize = 64;
/// Bytes of the messages of which many are sent.
const SIZES: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];

/// Measures every mechanism between two processes on this machine, and says when to use which.
///
/// Half of a round trip of 64 bytes, and messages of four sizes in one direction, between two processes on two CPUs. It
/// takes less than a minute.
#[derive(clap::Args)]
pub struct Bench {
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Draws throughput and latency as an SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Only these, by their names in the table, with commas
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// About how long all of it may take
    #[arg(long, default_value_t = 30.0, value_name = "S", value_parser = seconds)]
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.1 to 3600".to_string()),
    }
}

/// What was found out about a mechanism.
pub struct Row {
    mechanism: &'static Mechanism,
    latency: Option<Latency>,
    throughput: Vec<Throughput>,
    /// Sentences about what was not measured.
    missing: Vec<String>,
    /// Was a process killed?
    killed: bool,
}

impl Row {
    /// Notes what kept `what` from being measured. That somebody has killed a process is said at once, too.
    fn fault(&mut self, what: &str, fault: Fault, bar: &ProgressBar) {
        let sentence = format!("{what}: {}", fault.sentence);
        if fault.killed {
            self.killed = true;
            bar.suspend(|| eprintln!("triveni: bench: {}, {sentence}", self.mechanism.name));
        }
        self.missing.push(sentence);
    }
}

impl Bench {
    pub fn run(self) -> Result<(), Failure> {
        let chosen = self.chosen()?;
        // Before minutes are spent on what cannot be written.
        let plot = self.plot.as_ref().map(|file| {
            std::fs::File::create(file).map(|_| file).map_err(|error| format!("make {}: {error}", file.display()))
        });
        let plot = plot.transpose()?;
        let steps: usize = chosen.iter().map(|mechanism| 1 + usize::from(mechanism.streams) * SIZES.len()).sum();
        let each = Duration::from_secs_f64(self.seconds / (steps + 2) as f64);
        let bar = ProgressBar::new(steps as u64 + 1).with_style(
            ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let _cleaner = cleaner::cleaner(); // without one it is as well
        let apart = Apart::begin();
        let rows: Vec<Row> = chosen.into_iter().map(|mechanism| row(mechanism, &apart, each, &bar)).collect();
        bar.set_message("bare system calls");
        let overhead = bare::overheads(2 * each)?;
        drop(apart);
        bar.finish_and_clear();
        if let Some(file) = plot {
            plot::draw(file, &rows).map_err(|why| format!("draw {}: {why}", file.display()))?;
        }
        let mut out = std::io::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", document(&rows, &overhead))?,
            false => table::print(&mut out, &rows, &overhead)?,
        }
        if rows.iter().any(|row| row.killed) { Err(Failure::Known) } else { Ok(()) }
    }

    fn chosen(&self) -> Result<Vec<&'static Mechanism>, Failure> {
        for name in &self.only {
            if !MECHANISMS.iter().any(|mechanism| mechanism.name == name) {
                let names: Vec<&str> = MECHANISMS.iter().map(|mechanism| mechanism.name).collect();
                return Err(Failure::Input(format!("bench: there is no {name:?}; there are: {}", names.join(", "))));
            }
        }
        let wanted =
            |mechanism: &&Mechanism| self.only.is_empty() || self.only.iter().any(|name| name == mechanism.name);
        Ok(MECHANISMS.iter().filter(wanted).collect())
    }
}

fn row(mechanism: &'static Mechanism, apart: &Apart, each: Duration, bar: &ProgressBar) -> Row {
    let mut row = Row { mechanism, latency: None, throughput: Vec::new(), missing: Vec::new(), killed: false };
    let largest = (mechanism.largest)().unwrap_or(usize::MAX);
    bar.set_message(mechanism.name);
    match measure::latency(mechanism, apart, SMALL.min(largest), each) {
        Ok(latency) => row.latency = Some(latency),
        Err(fault) => row.fault("latency", fault, bar),
    }
    bar.inc(1);
    for size in SIZES.into_iter().filter(|_| mechanism.streams) {
        bar.set_message(format!("{}, {}", mechanism.name, ls::bytes(size)));
        let size_text = ls::bytes(size);
        if size > largest {
            row.missing.push(format!("{size_text}: the largest message is {largest} bytes"));
        } else if row.latency.is_some() {
            match measure::throughput(mechanism, apart, size, each) {
                Ok(measured) => row.throughput.push(measured),
                Err(fault) => row.fault(&size_text, fault, bar),
            }
        }
        bar.inc(1);
    }
    row
}

fn document(rows: &[Row], overhead: &[Overhead]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let Mechanism { name, scheme, direction, between, lasts, synchronises, boundaries, copies, use_it, .. } =
                row.mechanism;
            json!({
                "name": name, "scheme": scheme, "direction": direction, "between": between, "lasts": lasts,
                "synchronises": synchronises, "boundaries": boundaries, "copies": copies, "use": use_it,
                "latency": row.latency, "throughput": row.throughput, "missing": row.missing,
            })
        })
        .collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "machine": { "cpus": cpus, "kernel": kernel.trim() },
        "size": SMALL, "mechanisms": rows, "overhead": overhead,
    })
}
