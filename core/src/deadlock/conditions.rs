//! Coffman's four conditions, in a state.
//!
//! Where nobody waits in a circle, the first three say what the resources and the processes are like: whether they
//! could come into a deadlock. Where somebody does, they are about that circle: one that leads through a sharable or a
//! preemptible resource is no deadlock, whatever other resources are like.

use super::graph::{Cycle, cycles, unheld, wants};
use super::listed;
use super::state::{Resource, State};
use std::fmt;

/// So many witnesses are named in a sentence.
const NAMED: usize = 4;

/// One of the four conditions that hold together in every deadlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There are resources that one process at a time holds.
    MutualExclusion,
    /// A process that holds a resource waits for another one.
    HoldAndWait,
    /// The system cannot take resources away from who holds them.
    NoPreemption,
    /// Processes wait for each other in a circle.
    CircularWait,
}

/// Whether a condition holds in a state, and what shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which condition.
    pub condition: Condition,
    /// Does it hold?
    pub holds: bool,
    /// What shows it, or what is missing: `A holds printer and waits for scanner`.
    pub witness: String,
}

impl Condition {
    /// `mutual exclusion`, `hold and wait`, `no preemption`, `circular wait`
    pub fn name(self) -> &'static str {
        match self {
            Condition::MutualExclusion => "mutual exclusion",
            Condition::HoldAndWait => "hold and wait",
            Condition::NoPreemption => "no preemption",
            Condition::CircularWait => "circular wait",
        }
    }
}

/// `hold and wait holds: A holds printer and waits for scanner`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.holds { "holds" } else { "is missing" };
        write!(f, "{} {verb}: {}", self.condition.name(), self.witness)
    }
}

impl State {
    /// Which of the four conditions hold, in the order of the paper, and what shows it. In a deadlock all of them do;
    /// if one is missing there is none. All four may hold without a deadlock where a resource has several instances.
    pub fn conditions(&self) -> [Finding; 4] {
        let any = cycles(self, |_| true);
        let exclusive = cycles(self, |class| !class.sharable);
        let lasting = cycles(self, |class| !class.sharable && !class.preemptible);
        [
            mutual_exclusion(self, &any, &exclusive),
            hold_and_wait(self, &any),
            no_preemption(self, &exclusive, &lasting),
            circular_wait(self, &any, &lasting),
        ]
    }

    /// One sentence about what the conditions mean here: which one is missing, or why all four are not enough.
    pub fn conditions_verdict(&self) -> String {
        let missing: Vec<&str> =
            self.conditions().iter().filter(|one| !one.holds).map(|one| one.condition.name()).collect();
        match (self.detect().is_deadlocked(), &missing[..]) {
            (true, _) => "all four conditions hold, and nobody else can give back what is missing".into(),
            (false, []) => {
                "all four conditions hold, yet there is no deadlock: with several instances of a resource a \
                            circle of waiting is necessary, not sufficient"
                    .into()
            }
            (false, [one]) => format!("no deadlock is possible here, as one condition is missing: {one}"),
            (false, several) => format!("no deadlock is possible here, as conditions are missing: {}", listed(several)),
        }
    }

    fn names<'s>(&'s self, classes: impl Iterator<Item = usize>) -> String {
        some(classes.map(|class| self.resources()[class].name.as_str()).collect::<Vec<&'s str>>())
    }

    /// The classes that pass, those that somebody holds if there are any.
    fn held(&self, passes: impl Fn(&Resource) -> bool) -> Vec<usize> {
        let all = self.resources().iter().enumerate().filter(|(_, class)| passes(class)).map(|(place, _)| place);
        let all: Vec<usize> = all.collect();
        let is_held = |class: &usize| (0..self.processes()).any(|process| self.allocation(process)[*class] > 0);
        let held: Vec<usize> = all.iter().copied().filter(is_held).collect();
        if held.is_empty() { all } else { held }
    }
}

/// A list that stays readable.
fn some<T: AsRef<str>>(mut names: Vec<T>) -> String {
    let more = names.len().saturating_sub(NAMED);
    if more < 2 {
        return listed(&names);
    }
    names.truncate(NAMED);
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!("{} and {more} others", names.join(", "))
}

/// The classes of cycles, each once.
fn classes(cycles: &[Cycle]) -> impl Iterator<Item = usize> {
    let mut classes: Vec<usize> = cycles.iter().flat_map(|cycle| &cycle.links).map(|(_, class)| *class).collect();
    classes.sort_unstable();
    classes.dedup();
    classes.into_iter()
}

fn mutual_exclusion(state: &State, any: &[Cycle], exclusive: &[Cycle]) -> Finding {
    let condition = Condition::MutualExclusion;
    if !any.is_empty() && exclusive.is_empty() {
        let sharable = state.names(classes(any).filter(|class| state.resources()[*class].sharable));
        let witness = format!("the circle leads through {sharable}, which may be shared");
        return Finding { condition, holds: false, witness };
    }
    match &state.held(|class| !class.sharable)[..] {
        [] => Finding { condition, holds: false, witness: "all resources may be shared".into() },
        held => {
            let witness =
                format!("of {} each instance serves one process at a time", state.names(held.iter().copied()));
            Finding { condition, holds: true, witness }
        }
    }
}

fn no_preemption(state: &State, exclusive: &[Cycle], lasting: &[Cycle]) -> Finding {
    let condition = Condition::NoPreemption;
    if !exclusive.is_empty() && lasting.is_empty() {
        let taken = state.names(classes(exclusive).filter(|class| state.resources()[*class].preemptible));
        let witness = format!("the circle leads through {taken}, which the system may take away");
        return Finding { condition, holds: false, witness };
    }
    match &state.held(|class| !class.preemptible)[..] {
        [] => Finding { condition, holds: false, witness: "the system may take away all resources".into() },
        held => {
            let witness = format!("only who holds it can give back {}", state.names(held.iter().copied()));
            Finding { condition, holds: true, witness }
        }
    }
}

fn hold_and_wait(state: &State, any: &[Cycle]) -> Finding {
    let condition = Condition::HoldAndWait;
    let free = unheld(state);
    let held = |process: usize| state.allocation(process).iter().position(|held| *held > 0);
    let in_circle = any.iter().flat_map(|cycle| cycle.links.iter().copied());
    let anybody = (0..state.processes()).filter_map(|process| Some((process, *wants(state, &free, process).first()?)));
    // Those in the circle first: of them it matters.
    let both = in_circle.chain(anybody).find_map(|(process, wanted)| Some((process, held(process)?, wanted)));
    match both {
        Some((process, held, wanted)) => {
            let name = |class: usize| &state.resources()[class].name;
            let what = if held == wanted { "more of it".into() } else { name(wanted).clone() };
            let witness = format!("{} holds {} and waits for {what}", state.process(process), name(held));
            Finding { condition, holds: true, witness }
        }
        None => {
            Finding { condition, holds: false, witness: "nobody who holds a resource waits for another one".into() }
        }
    }
}

fn circular_wait(state: &State, any: &[Cycle], lasting: &[Cycle]) -> Finding {
    let condition = Condition::CircularWait;
    match lasting.first().or(any.first()) {
        Some(cycle) => Finding { condition, holds: true, witness: cycle.describe(state) },
        None => Finding { condition, holds: false, witness: "nobody waits in a circle".into() },
    }
}

impl Cycle {
    /// `A waits for scanner, which B holds; B waits for printer, which A holds`
    pub fn describe(&self, state: &State) -> String {
        let next = self.links.iter().cycle().skip(1);
        let said = self.links.iter().zip(next).map(|((process, class), (holder, _))| {
            let (who, holder) = (state.process(*process), state.process(*holder));
            let holder = if who == holder { "it" } else { holder };
            let verb = if state.resources()[*class].instances > 1 { "of which" } else { "which" };
            let some = if state.resources()[*class].instances > 1 { " some" } else { "" };
            format!("{who} waits for {}, {verb} {holder} holds{some}", state.resources()[*class].name)
        });
        let said: Vec<String> = said.take(NAMED * 4).collect();
        let more = self.links.len() - said.len();
        if more > 0 { format!("{}; and {more} more", said.join("; ")) } else { said.join("; ") }
    }
}
