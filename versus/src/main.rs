//! triveni beside its rivals: one repetition of every row, as lines of JSON.
//!
//! `versus.py` calls this once in each round, interleaved with the rows in Python, and makes medians, ratios, the
//! table and the plot of it.

mod channel;
mod harness;
mod measure;
mod rivals;
mod rows;

use measure::Effort;
use rows::Rows;

fn main() {
    let mut effort = Effort { ns: 10_000_000, tries: 5, proof_only: false };
    let (mut list, mut only, mut tables) = (false, Vec::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut words = || -> Vec<String> {
            let text = args.next().unwrap_or_else(|| usage("a list of names is missing"));
            text.split(',').map(|word| word.trim().to_lowercase()).collect()
        };
        match arg.as_str() {
            "--list" => list = true,
            "--quick" => effort = Effort { ns: 2_000_000, tries: 2, ..effort },
            "--proof" => effort.proof_only = true,
            "--only" => only = words(),
            "--table" => tables = words(),
            other => usage(&format!("unknown argument {other:?}")),
        }
    }
    harness::team::cpus();
    let mut rows = Rows::default();
    rivals::all(&mut rows);
    let wrong = rows.run(effort, list, &only, &tables);
    rivals::clean();
    std::process::exit(i32::from(wrong && effort.proof_only));
}

fn usage(problem: &str) -> ! {
    eprintln!("{problem}; usage: [--list] [--quick] [--proof] [--only RIVAL,…] [--table TABLE,…]");
    std::process::exit(2)
}
