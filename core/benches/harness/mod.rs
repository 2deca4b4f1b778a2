//! What the three benches share: processes on their own CPUs, a clock, yardsticks, rivals, and the table.
//!
//! Every row runs in fresh processes on fresh memory, forked from here, so no row inherits another one's caches
//! or learned waiting times. Rounds interleave the rows: what disturbs the machine for a while disturbs all of
//! them. Ratios are taken within a round, between neighbours, and the median over the rounds is shown.

// Each bench is a program of its own and uses its part of this.
#![allow(dead_code)]

pub mod clock;
pub mod glibc;
pub mod kernel;
pub mod report;
pub mod shared;
pub mod team;
pub mod yardstick;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the command line asks for.
pub struct Options {
    /// Fewer and shorter rounds: is it alive, not how fast is it.
    pub quick: bool,
    /// Where a line of JSON with the results is appended.
    pub json: Option<PathBuf>,
}

impl Options {
    /// From the arguments and TRIVENI_BENCH_QUICK. Cargo's own `--bench` is passed over.
    pub fn from_args() -> Options {
        let mut options = Options { quick: std::env::var("TRIVENI_BENCH_QUICK").is_ok_and(|v| v != "0"), json: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--json" => match args.next() {
                    Some(file) => options.json = Some(file.into()),
                    None => usage("--json needs a file"),
                },
                other => usage(&format!("unknown argument {other:?}")),
            }
        }
        options
    }

    /// `quick` of the two numbers if the run is to be quick.
    pub fn scale(&self, normal: usize, quick: usize) -> usize {
        if self.quick { quick } else { normal }
    }

    /// Calls `round` often enough for a median, as long as the time allows; at least once.
    pub fn rounds(&self, mut round: impl FnMut()) -> usize {
        let (most, budget) = if self.quick { (3, Duration::from_secs(2)) } else { (31, Duration::from_secs(40)) };
        let began = Instant::now();
        let mut done = 0;
        while done < most && began.elapsed() < budget.mul_f64(1.0 - 0.5 / (done + 1) as f64) {
            round();
            done += 1;
        }
        done
    }
}

fn usage(problem: &str) -> ! {
    eprintln!("{problem}; usage: [--quick] [--json FILE]");
    std::process::exit(2)
}
