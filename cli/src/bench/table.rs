//! The comparison as text.

use super::bare::Overhead;
use super::{Row, SIZES};
use std::io::{self, Write};

/// `4 KiB`.
pub fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let unit = (0..units.len()).rev().find(|unit| n >= 1024f64.powi(*unit as i32)).unwrap_or(0);
    let n = n / 1024f64.powi(unit as i32);
    format!("{n:.*} {}", usize::from(n < 10.0 && n.fract() != 0.0), units[unit])
}

/// `5.1 µs`.
fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e4 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// Columns as wide as what stands in them; two spaces between.
fn columns(out: &mut impl Write, lines: &[Vec<String>]) -> io::Result<()> {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

pub fn print(out: &mut impl Write, rows: &[Row], overhead: &[Overhead]) -> io::Result<()> {
    let mut lines = vec![
        ["", "scheme", "direction", "between", "lasts", "synchronises", "messages apart", "copies"]
            .map(String::from)
            .to_vec(),
    ];
    lines.extend(rows.iter().map(|row| {
        let m = row.mechanism;
        [m.name, m.scheme, m.direction, m.between, m.lasts, m.synchronises, m.boundaries, m.copies]
            .map(String::from)
            .to_vec()
    }));
    columns(out, &lines)?;

    writeln!(
        out,
        "\nOne way of 64 bytes (half of a round trip), and how much goes through in messages of one size:\n"
    )?;
    let mut lines = vec![vec![String::new(), "median".into(), "99 %".into()]];
    lines[0].extend(SIZES.map(|size| bytes(size as f64)));
    for row in rows {
        let mut line = vec![row.mechanism.name.to_string()];
        line.push(row.latency.map_or("-".into(), |latency| time(latency.median_ns)));
        line.push(row.latency.map_or("-".into(), |latency| time(latency.p99_ns)));
        line.extend(SIZES.map(|size| match row.throughput.iter().find(|measured| measured.size == size) {
            Some(measured) if measured.lost > 0.005 => {
                format!("{}/s ({:.0} % lost)", bytes(measured.bytes), 100.0 * measured.lost)
            }
            Some(measured) => format!("{}/s", bytes(measured.bytes)),
            None => "-".into(),
        }));
        lines.push(line);
    }
    columns(out, &lines)?;
    for row in rows {
        for sentence in &row.missing {
            writeln!(out, "- {}, {sentence}", row.mechanism.name)?;
        }
    }

    writeln!(out, "\nOur verbs beside the bare system calls, in one process:\n")?;
    let lines: Vec<Vec<String>> = overhead
        .iter()
        .map(|one| {
            vec![one.verbs.into(), time(one.bare_ns), time(one.ours_ns), format!("{:+.1} %", 100.0 * one.part())]
        })
        .collect();
    columns(out, &lines)?;

    writeln!(out, "\nWhen to use what:\n")?;
    let lines: Vec<Vec<String>> =
        rows.iter().map(|row| vec![row.mechanism.name.into(), row.mechanism.use_it.into()]).collect();
    columns(out, &lines)
}
