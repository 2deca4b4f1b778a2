//! The rows: which channel is measured how, at which size and depth, and what is said about it.

use crate::channel::{Channel, InPlace, Spec, Wait, Waits};
use crate::harness::clock;
use crate::measure::latency::{self, Mode};
use crate::measure::{Effort, Numbers, limits, locks, pace, throughput};
use serde_json::{Value, json};
use std::io::Write;

/// Sizes of large messages.
pub const BULK: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// Room of a channel for large messages, in bytes. Less lies in the other CPU's cache when it is used again.
pub const BULK_ROOM: usize = 16 << 20;

type Run = Box<dyn Fn(Effort) -> Result<Numbers, String>>;

struct Row {
    table: &'static str,
    /// Of what: the size, or the pattern.
    case: String,
    name: String,
    /// What a reader must know: copies, waits, depth, between.
    facts: Value,
    run: Run,
}

/// All rows, in the order of the document.
#[derive(Default)]
pub struct Rows(Vec<Row>);

/// Names of channels that nobody else uses.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: a number that is not given twice is all that is wanted.
    format!("versus-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

fn spec(size: usize, depth: usize, wait: Wait) -> Spec {
    Spec { size, depth, wait, senders: 1, receivers: 1, to_all: false, name: String::new() }
}

fn facts<C: Channel>(spec: &Spec, waits: Waits, copies: &str) -> Value {
    json!({
        "copies": copies,
        "waits": waits.to_string(),
        "depth": C::depth(spec),
        "between": if C::THREADS { "threads" } else { "processes" },
    })
}

impl Rows {
    fn add(&mut self, table: &'static str, case: impl Into<String>, name: &str, facts: Value, run: Run) {
        self.0.push(Row { table, case: case.into(), name: name.into(), facts, run });
    }

    /// A row that cannot be: shown with the reason.
    #[cfg_attr(not(feature = "rivals"), allow(dead_code))]
    pub fn cannot(&mut self, table: &'static str, case: &str, name: &str, why: &str) {
        let why = why.to_string();
        self.add(table, case, name, json!({}), Box::new(move |_| Err(why.clone())));
    }

    /// One way, both polling.
    pub fn spinning<C: Channel + 'static>(&mut self, name: &str, size: usize) {
        let spec = spec(size, latency::DEPTH, Wait::Poll);
        let facts = facts::<C>(&spec, C::waits(Wait::Poll), C::COPIES);
        let run =
            move |effort| latency::of_channels::<C>(Mode::Spinning, &Spec { name: fresh(), ..spec.clone() }, effort);
        self.add("spinning", "64 B", name, facts, Box::new(run));
    }

    /// One way, the blocking calls, with short gaps and with the peer asleep.
    pub fn blocking<C: Channel + 'static>(&mut self, name: &str) {
        for (table, mode) in [("gaps", Mode::Gaps), ("asleep", Mode::Asleep)] {
            let spec = spec(latency::SIZE, latency::DEPTH, Wait::Block);
            let facts = facts::<C>(&spec, C::waits(Wait::Block), C::COPIES);
            let run = move |effort| latency::of_channels::<C>(mode, &Spec { name: fresh(), ..spec.clone() }, effort);
            self.add(table, "64 B", name, facts, Box::new(run));
        }
    }

    /// One way there and back, for what is no pair of channels: `make` in the parent, `ends` in each process.
    pub fn wire<S: Sync + 'static, W: latency::Wire + 'static>(
        &mut self,
        name: &str,
        modes: &[Mode],
        facts: Value,
        make: fn(&Spec) -> Result<S, String>,
        ends: fn(&S, usize, Wait) -> W,
    ) {
        for mode in modes.iter().copied() {
            let (table, wait) = match mode {
                Mode::Spinning => ("spinning", Wait::Poll),
                Mode::Gaps => ("gaps", Wait::Block),
                Mode::Asleep => ("asleep", Wait::Block),
            };
            let spec = spec(latency::SIZE, latency::DEPTH, wait);
            let run = move |effort| {
                let spec = Spec { name: fresh(), ..spec.clone() };
                let make = || make(&spec);
                latency::measure(mode, latency::SIZE, false, effort, make, |s, side| ends(s, side, wait))
            };
            self.add(table, "64 B", name, facts.clone(), Box::new(run));
        }
    }

    /// Messages per second, one by one, 1024 deep.
    pub fn one_by_one<C: Channel + 'static>(&mut self, name: &str, size: usize, wait: Wait) {
        self.flow::<C>("one by one", name, spec(size, 1024, wait), 1);
    }

    /// Messages per second, many in a call.
    pub fn batches<C: Channel + 'static>(&mut self, name: &str, size: usize, depth: usize, wait: Wait) {
        let batch = (depth / 8).min(BATCH);
        self.flow::<C>("batches", name, spec(size, depth, wait), batch);
    }

    fn flow<C: Channel + 'static>(&mut self, table: &'static str, name: &str, spec: Spec, batch: usize) {
        let case = match table {
            "batches" => format!("{} B, {batch} in a batch, depth {}", spec.size, spec.depth),
            _ => format!("{} B, depth {}", spec.size, spec.depth),
        };
        let facts = facts::<C>(&spec, C::waits(spec.wait), C::COPIES);
        let run = move |effort| throughput::measure::<C>(&Spec { name: fresh(), ..spec.clone() }, batch, effort);
        self.add(table, case, name, facts, Box::new(run));
    }

    /// Large messages from buffer to buffer.
    pub fn bulk<C: Channel + 'static>(&mut self, name: &str, size: usize, wait: Wait) {
        let spec = spec(size, BULK_ROOM / size, wait);
        let facts = facts::<C>(&spec, C::waits(wait), C::COPIES);
        let run = move |effort| throughput::measure::<C>(&Spec { name: fresh(), ..spec.clone() }, 1, effort);
        self.add("bulk, copied", bytes(size), name, facts, Box::new(run));
    }

    /// Large messages written and read where they lie: every byte, and only the first eight.
    pub fn bulk_in_place<C: InPlace + 'static>(&mut self, name: &str, size: usize, wait: Wait) {
        let spec = spec(size, BULK_ROOM / size, wait);
        let facts = facts::<C>(&spec, C::waits(wait), "nothing");
        let (all, head) = (spec.clone(), spec);
        let run = move |effort| throughput::in_place::<C, true>(&Spec { name: fresh(), ..all.clone() }, effort);
        self.add("bulk, in place", bytes(size), name, facts.clone(), Box::new(run));
        let run = move |effort| throughput::in_place::<C, false>(&Spec { name: fresh(), ..head.clone() }, effort);
        self.add("hand-offs", bytes(size), name, facts, Box::new(run));
    }

    /// As many senders as receivers; each message goes to one of them.
    pub fn contest<C: Channel + 'static>(&mut self, name: &str, waits: [Wait; 2]) {
        for (pairs, wait) in [2, 8].into_iter().zip(waits) {
            let spec = Spec { senders: pairs, receivers: pairs, ..spec(64, 1024, wait) };
            let facts = facts::<C>(&spec, C::waits(wait), C::COPIES);
            let run = move |effort| throughput::measure::<C>(&Spec { name: fresh(), ..spec.clone() }, 1, effort);
            self.add("contention", format!("{pairs} × {pairs}, 64 B"), name, facts, Box::new(run));
        }
    }

    /// One sender; each of eight receivers gets every message.
    pub fn to_all<C: Channel + 'static>(&mut self, name: &str, waits: [Wait; 2]) {
        for (receivers, wait) in [1, 8].into_iter().zip(waits) {
            let spec = Spec { receivers, to_all: true, ..spec(64, 1024, wait) };
            let facts = facts::<C>(&spec, C::waits(wait), C::COPIES);
            let run = move |effort| throughput::measure::<C>(&Spec { name: fresh(), ..spec.clone() }, 1, effort);
            self.add("one to all", format!("1 → {receivers}, 64 B"), name, facts, Box::new(run));
        }
    }

    /// Now and then a message, to a receiver that sleeps.
    pub fn pace<C: Channel + 'static>(&mut self, name: &str) {
        for (per_second, text) in [(10_000, "10 k/s"), (100_000, "100 k/s")] {
            let spec = spec(64, 1024, Wait::Block);
            let facts = facts::<C>(&spec, C::waits(Wait::Block), C::COPIES);
            let run = move |effort: Effort| {
                let effort = Effort { ns: 5 * effort.ns, ..effort };
                pace::measure::<C>(&Spec { name: fresh(), ..spec.clone() }, per_second, effort)
            };
            self.add("moderate rate", text, name, facts, Box::new(run));
        }
    }

    /// Everything that fits a channel which both polls and blocks, copies, and has no types.
    pub fn all_of<C: Channel + 'static>(&mut self, name: &str) {
        self.spinning::<C>(name, latency::SIZE);
        self.blocking::<C>(name);
        for size in [64, 8] {
            self.one_by_one::<C>(name, size, Wait::Block);
        }
        self.pace::<C>(name);
    }

    /// A lock: alone and against another process.
    pub fn lock<L: locks::Lock + 'static>(&mut self, name: &str, make: fn() -> L, waits: Waits) {
        let between = if L::THREADS { "threads" } else { "processes" };
        let facts = json!({ "waits": waits.to_string(), "between": between });
        self.add("locks", "lock and unlock", name, facts, Box::new(move |effort| locks::measure(make, effort)));
    }

    /// The machine's limits.
    pub fn limits(&mut self) {
        use crate::harness::yardstick::compare_and_swap_and_exchange;
        self.add("limits", "one way", "L", json!({}), Box::new(limits::line));
        self.add("limits", "one way", "fx", json!({}), Box::new(limits::wake));
        self.add("limits", "alone", "C", json!({}), Box::new(|_| limits::alone(compare_and_swap_and_exchange)));
        for size in [64, 8].into_iter().chain(BULK) {
            self.add(
                "limits",
                bytes(size),
                "memcpy",
                json!({}),
                Box::new(move |_| limits::alone(|| limits::memcpy(size))),
            );
        }
    }

    /// Runs the rows that are wanted, each once; says whether one has gone wrong.
    pub fn run(&self, effort: Effort, list: bool, only: &[String], tables: &[String]) -> bool {
        let mut wrong = false;
        clock::cost();
        for row in &self.0 {
            let name = row.name.to_lowercase();
            let named =
                only.is_empty() || row.table == "limits" || only.iter().any(|word| name.contains(word.as_str()));
            let tabled = tables.is_empty() || tables.iter().any(|word| row.table.contains(word.as_str()));
            if !named || !tabled {
                continue;
            }
            let mut line = json!({ "table": row.table, "case": row.case, "name": row.name, "facts": row.facts });
            if !list {
                match (row.run)(effort) {
                    Ok(numbers) => line["numbers"] = Value::Object(numbers),
                    Err(why) => {
                        // Others may be missing here; we may not.
                        wrong |= name.starts_with("triveni");
                        line["reason"] = json!(why);
                    }
                }
            }
            // A reader that has gone away wants no more lines.
            if writeln!(std::io::stdout(), "{line}").is_err() {
                return wrong;
            }
        }
        wrong
    }
}

/// A size, as the cases name it.
pub fn bytes(size: usize) -> String {
    match size {
        1..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// Messages in a batch, at most.
const BATCH: usize = 256;
