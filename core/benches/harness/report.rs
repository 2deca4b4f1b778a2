//! What came out: medians and extremes over the rounds, on which machine, as a table and as a line of JSON.

use super::Options;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

/// A quantity over the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of one value for each round.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        match (values.first(), values.last()) {
            (Some(min), Some(max)) => Spread { median: values[values.len() / 2], min: *min, max: *max },
            _ => Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN },
        }
    }
}

/// How a number is written.
#[derive(Clone, Copy)]
pub enum As {
    /// A time in nanoseconds, as ns, µs or ms.
    Time,
    /// Events per second.
    Rate,
    /// Bytes per second.
    Bandwidth,
    /// A multiple of a unit, with the least and the greatest.
    Times(&'static str),
    /// A share of 1, as per cent.
    Share,
    /// A number.
    Count,
    /// A number between 0 and 1, with the least and the greatest.
    Fraction,
}

fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    let (by, unit) = steps.iter().rev().find(|(by, _)| value >= *by).unwrap_or(&steps[0]);
    format!("{} {unit}", three_digits(value / by))
}

fn three_digits(value: f64) -> String {
    let digits =
        [(100.0, 0), (10.0, 1), (1.0, 2), (0.1, 3)].iter().find(|(from, _)| value >= *from).map_or(4, |(_, n)| *n);
    format!("{value:.digits$}")
}

fn time(ns: f64) -> String {
    scaled(ns, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms")])
}

impl As {
    fn text(self, n: Spread) -> String {
        match self {
            As::Time => time(n.median),
            As::Rate => scaled(n.median, &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")]),
            As::Bandwidth => scaled(n.median, &[(1e6, "MB/s"), (1e9, "GB/s")]),
            As::Times(unit) => {
                format!("{} {unit} [{} – {}]", three_digits(n.median), three_digits(n.min), three_digits(n.max))
            }
            As::Share => format!("{:.0} %", n.median * 100.0),
            As::Count => three_digits(n.median),
            As::Fraction => format!("{:.2} [{:.2} – {:.2}]", n.median, n.min, n.max),
        }
    }
}

struct Cell {
    column: &'static str,
    written: As,
    spread: Spread,
}

/// One line of the table.
pub struct Row {
    name: String,
    cells: Vec<Cell>,
}

impl Row {
    /// Without cells yet.
    pub fn new(name: impl Into<String>) -> Row {
        Row { name: name.into(), cells: Vec::new() }
    }

    /// With one cell more: one value for each round.
    pub fn cell(mut self, column: &'static str, written: As, values: impl IntoIterator<Item = f64>) -> Row {
        self.cells.push(Cell { column, written, spread: Spread::of(values) });
        self
    }
}

/// All tables of a bench.
pub struct Report {
    bench: &'static str,
    question: &'static str,
    groups: Vec<(String, Vec<Row>)>,
}

impl Report {
    /// Empty.
    pub fn new(bench: &'static str, question: &'static str) -> Report {
        Report { bench, question, groups: Vec::new() }
    }

    /// Adds a table.
    pub fn group(&mut self, title: impl Into<String>, rows: Vec<Row>) {
        self.groups.push((title.into(), rows));
    }

    /// Prints everything, and appends it to the file that was asked for.
    pub fn finish(self, options: &Options, rounds: usize) {
        let machine = machine();
        println!("\n{}: {}", self.bench, self.question);
        for (what, value) in &machine {
            println!("  {what:<8} {value}");
        }
        println!(
            "  {:<8} {rounds}, interleaved; medians, [least – greatest]{}",
            "rounds",
            if options.quick { "; QUICK: do not quote" } else { "" }
        );
        for (title, rows) in &self.groups {
            print_table(title, rows);
        }
        println!();
        if let Some(path) = &options.json {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            if let Err(error) = file.and_then(|mut file| writeln!(file, "{}", self.json(&machine, options, rounds))) {
                eprintln!("write results to {}: {error}", path.display());
                std::process::exit(1);
            }
        }
    }

    fn json(&self, machine: &[(&str, String)], options: &Options, rounds: usize) -> String {
        let mut out = format!(
            "{{\"bench\":{},\"quick\":{},\"rounds\":{rounds},\"machine\":{{",
            quoted(self.bench),
            options.quick
        );
        let facts: Vec<String> =
            machine.iter().map(|(what, value)| format!("{}:{}", quoted(what), quoted(value))).collect();
        let _ = write!(out, "{}}},\"rows\":[", facts.join(","));
        let mut rows = Vec::new();
        for (title, group) in &self.groups {
            for row in group {
                let mut text = format!("{{\"group\":{},\"name\":{}", quoted(title), quoted(&row.name));
                for cell in &row.cells {
                    let Spread { median, min, max } = cell.spread;
                    let numbers = [median, min, max].map(|n| if n.is_finite() { n.to_string() } else { "null".into() });
                    let _ = write!(
                        text,
                        ",{}:{{\"median\":{},\"min\":{},\"max\":{}}}",
                        quoted(cell.column),
                        numbers[0],
                        numbers[1],
                        numbers[2]
                    );
                }
                rows.push(text + "}");
            }
        }
        out + &rows.join(",") + "]}"
    }
}

fn print_table(title: &str, rows: &[Row]) {
    let mut columns: Vec<&str> = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if !columns.contains(&cell.column) {
            columns.push(cell.column);
        }
    }
    let text = |row: &Row, column: &str| {
        row.cells.iter().find(|cell| cell.column == column).map_or(String::new(), |cell| cell.written.text(cell.spread))
    };
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = wide(&mut rows.iter().map(|row| row.name.chars().count()).chain([title.chars().count()]));
    print!("\n{title:<names$}");
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            wide(&mut rows.iter().map(|row| text(row, column).chars().count()).chain([column.chars().count()]))
        })
        .collect();
    for (column, width) in columns.iter().zip(&widths) {
        print!("  {column:>width$}");
    }
    println!();
    for row in rows {
        print!("{:<names$}", row.name);
        for (column, width) in columns.iter().zip(&widths) {
            print!("  {:>width$}", text(row, column));
        }
        println!();
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// A number without its machine is a rumour.
fn machine() -> Vec<(&'static str, String)> {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let cpu = file("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let mut facts = vec![
        ("cpu", format!("{model}, {} CPUs", super::team::cpus().len())),
        ("kernel", file("/proc/sys/kernel/osrelease")),
        ("rustc", said(Command::new("rustc").arg("--version"))),
    ];
    let here = env!("CARGO_MANIFEST_DIR");
    let commit =
        said(Command::new("git").args(["-C", here, "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]));
    if !commit.is_empty() {
        facts.push(("commit", commit));
    }
    facts.push(("load", file("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")));
    facts
}

fn said(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_string(),
        _ => String::new(),
    }
}
