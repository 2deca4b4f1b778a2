//! The comparison as text.

use super::bare::Overhead;
use super::measure::Latency;
use super::{Row, SIZES};
use crate::ls::{bytes, table};
use std::io::{self, Write};

/// `5.1 µs`.
fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e4 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

fn columns<const N: usize>(out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
    table(rows).iter().try_for_each(|line| writeln!(out, "{line}"))
}

pub fn print(out: &mut impl Write, rows: &[Row], overhead: &[Overhead]) -> io::Result<()> {
    let head = ["", "scheme", "direction", "between", "lasts", "synchronises", "messages apart", "copies"];
    let facts = rows.iter().map(|row| {
        let m = row.mechanism;
        [m.name, m.scheme, m.direction, m.between, m.lasts, m.synchronises, m.boundaries, m.copies].map(String::from)
    });
    columns(out, &[head.map(String::from)].into_iter().chain(facts).collect::<Vec<_>>())?;

    writeln!(
        out,
        "\nOne way of 64 bytes (half of a round trip), and how much goes through in messages of one size:\n"
    )?;
    let [small, page, large, huge] = SIZES.map(bytes);
    let head = ["".into(), "median".into(), "99 %".into(), small, page, large, huge];
    columns(out, &[head].into_iter().chain(rows.iter().map(measured)).collect::<Vec<_>>())?;
    for row in rows {
        row.missing.iter().try_for_each(|sentence| writeln!(out, "  {}, {sentence}", row.mechanism.name))?;
    }

    writeln!(out, "\nOur verbs beside the bare system calls, in one process:\n")?;
    let head = ["", "bare", "ours", ""].map(String::from);
    let pairs = overhead
        .iter()
        .map(|one| [one.verbs.into(), time(one.bare_ns), time(one.ours_ns), format!("{:+.1} %", 100.0 * one.part())]);
    columns(out, &[head].into_iter().chain(pairs).collect::<Vec<_>>())?;

    writeln!(out, "\nWhen to use what:\n")?;
    let uses = rows.iter().map(|row| [row.mechanism.name, row.mechanism.use_it].map(String::from));
    columns(out, &uses.collect::<Vec<_>>())
}

/// What was measured of one of them.
fn measured(row: &Row) -> [String; 7] {
    let way = |part: fn(&Latency) -> f64| row.latency.as_ref().map_or("-".into(), |latency| time(part(latency)));
    let through = |size| match row.throughput.iter().find(|measured| measured.size == size) {
        None => "-".into(),
        Some(found) => {
            let lost = if found.lost > 0.005 { format!(" ({:.0} % lost)", 100.0 * found.lost) } else { String::new() };
            format!("{}/s{lost}", bytes(found.bytes as usize))
        }
    };
    let [small, page, large, huge] = SIZES.map(through);
    let (median, most) = (way(|latency| latency.median_ns), way(|latency| latency.p99_ns));
    [row.mechanism.name.into(), median, most, small, page, large, huge]
}
