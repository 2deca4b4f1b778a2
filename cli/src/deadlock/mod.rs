//! `triveni deadlock`: is there a deadlock, among processes and resources that a file describes?

mod input;
mod live;

use crate::Failure;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use triveni::Segment;
use triveni::deadlock::{Detection, State, Step};

/// Above so many processes, only the last step says in JSON who is blocked.
const BLOCKED_IN_JSON: usize = 64;

/// Finds deadlocks in matrices or in a resource graph, step by step.
///
/// Plays the detection with matrices, finds the circles of waiting, and says which of Coffman's conditions hold.
/// Exit codes: 0 no deadlock, 1 deadlock, 2 bad input.
#[derive(clap::Args)]
#[command(after_long_help = SCHEMA)]
pub struct Deadlock {
    /// A TOML or JSON file; `-` for stdin
    #[arg(required_unless_present = "segment", conflicts_with = "segment")]
    file: Option<PathBuf>,
    /// Look at those who sleep in this segment instead, and at what they hold
    #[arg(long, value_name = "NAME")]
    segment: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Also draw the resource allocation graph into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only the verdict
    #[arg(short, long)]
    quiet: bool,
}

const SCHEMA: &str = "\
A file has matrices or a graph. With matrices, a row is a process and a column a class of resources:
  existing     [number]           how many of each class exist
  available    [number]           how many are free; if left out, it is computed, otherwise it is checked
  allocation   [[number]]         who holds how many
  request      [[number]]         who asks for how many
  processes    [name]             may be left out: process 1 and so on
  classes      [name]             may be left out: class 1 and so on
  sharable     [name]             classes that any number of processes use at once; may be left out
  preemptible  [name]             classes that the system may take away; may be left out
As a graph:
  resources    {name: instances}  in TOML a table; 1 where each is single
  assignments  [[resource, process]]  who holds one; twice the same: two of them
  requests     [[process, resource]]  who asks for one
  processes    [name]             those without edges, or all, to choose their order; may be left out
  sharable, preemptible           as above
--json prints one object; new fields may be added, these stay:
  deadlock, verdict, processes, order, deadlocked, cycles: [[ {process, waits_for} ]],
  classes: [ {name, existing, sharable, preemptible} ], allocation, request,
  steps: [ {available, finishes: null or process, blocked: [ {process, shortages: [ {class, requested, available} ]} ]} ],
  conditions: [ {condition, holds, witness} ], conditions_verdict
  (of more than 64 processes, `blocked` stands in the last step only)";

impl Deadlock {
    pub fn run(self) -> Result<(), Failure> {
        let state = match (&self.segment, &self.file) {
            (Some(name), _) => Segment::inspect(name)
                .map_err(|error| error.to_string())
                .and_then(|seen| live::state(&seen).map_err(|sentence| format!("segment {name:?}: {sentence}"))),
            (None, Some(file)) => input::read(file),
            (None, None) => Err("give a file, or --segment NAME".into()),
        };
        let state = state.map_err(Failure::Input)?;
        let detection = state.detect();
        if let Some(path) = &self.svg {
            let svg = state.svg().map_err(|error| Failure::Input(error.to_string()))?;
            std::fs::write(path, svg)
                .map_err(|error| Failure::Input(format!("write the picture to {}: {error}", path.display())))?;
        }
        let printed = self.print(&detection);
        match printed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ if detection.is_deadlocked() => Err(Failure::Known),
            _ => Ok(()),
        }
    }

    fn print(&self, detection: &Detection) -> io::Result<()> {
        let out = &mut io::stdout().lock();
        if self.json {
            return writeln!(out, "{:#}", as_json(detection));
        }
        if self.quiet {
            return writeln!(out, "{}", detection.verdict());
        }
        writeln!(out, "{}", detection.report())
    }
}

fn as_json(detection: &Detection) -> Value {
    let state = detection.state();
    let names = |of: &[usize]| of.iter().map(|process| state.process(*process)).collect::<Vec<_>>();
    let all: Vec<usize> = (0..state.processes()).collect();
    let classes: Vec<Value> = state
        .resources()
        .iter()
        .map(|class| {
            json!({ "name": class.name, "existing": class.instances, "sharable": class.sharable,
                    "preemptible": class.preemptible })
        })
        .collect();
    let cycles: Vec<Vec<Value>> = state
        .cycles()
        .iter()
        .map(|cycle| {
            let link = |(process, class): &(usize, usize)| {
                json!({ "process": state.process(*process), "waits_for": state.resources()[*class].name })
            };
            cycle.links.iter().map(link).collect()
        })
        .collect();
    let conditions: Vec<Value> = state
        .conditions()
        .iter()
        .map(|one| json!({ "condition": one.condition.name(), "holds": one.holds, "witness": one.witness }))
        .collect();
    json!({
        "deadlock": detection.is_deadlocked(),
        "verdict": detection.verdict(),
        "processes": names(&all),
        "classes": classes,
        "allocation": all.iter().map(|process| state.allocation(*process)).collect::<Vec<_>>(),
        "request": all.iter().map(|process| state.request(*process)).collect::<Vec<_>>(),
        "steps": detection.steps().map(|step| step_as_json(state, &step)).collect::<Vec<_>>(),
        "order": names(detection.order()),
        "deadlocked": names(detection.deadlocked()),
        "cycles": cycles,
        "conditions": conditions,
        "conditions_verdict": state.conditions_verdict(),
    })
}

fn step_as_json(state: &State, step: &Step<'_>) -> Value {
    let finishes = step.finishes().map(|process| state.process(process));
    if state.processes() > BLOCKED_IN_JSON && finishes.is_some() {
        return json!({ "available": step.available(), "finishes": finishes });
    }
    let blocked = |process: usize| {
        let shortages = step.shortages(process).map(|shortage| {
            json!({ "class": state.resources()[shortage.class].name, "requested": shortage.requested,
                    "available": shortage.available })
        });
        json!({ "process": state.process(process), "shortages": shortages.collect::<Vec<_>>() })
    };
    json!({
        "available": step.available(),
        "finishes": finishes,
        "blocked": step.blocked().into_iter().map(blocked).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn code(file: &str) -> i32 {
        let file = format!("{}/../examples/deadlock/{file}", env!("CARGO_MANIFEST_DIR"));
        crate::run(["triveni", "deadlock", "--quiet", &file].map(OsString::from).to_vec())
    }

    #[test]
    fn a_deadlock_is_1_none_is_0_and_bad_input_is_2() {
        assert_eq!(code("tanenbaum.toml"), 0);
        assert_eq!(code("circle.json"), 0);
        assert_eq!(code("preemptible.toml"), 0);
        assert_eq!(code("stuck.toml"), 1);
        assert_eq!(code("philosophers.toml"), 1);
        assert_eq!(code("nowhere.toml"), 2);
        assert_eq!(code(""), 2);
    }

    #[test]
    fn json_says_what_the_text_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/deadlock/stuck.toml");
        let said = as_json(&input::read(file.as_ref()).unwrap().detect());
        assert_eq!(said["deadlocked"], json!(["editor", "backup"]));
        assert_eq!(said["order"], json!(["scanner daemon"]));
        assert_eq!(said["steps"][0]["finishes"], "scanner daemon");
        let last = json!({ "class": "plotter", "requested": 3, "available": 2 });
        assert_eq!(said["steps"][1]["blocked"][1]["shortages"], json!([last]));
        assert_eq!(said["conditions"][3]["holds"], true);
    }
}
