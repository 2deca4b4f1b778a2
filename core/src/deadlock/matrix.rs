//! Deadlock detection with matrices, step by step.
//!
//! A process whose row of the request matrix is not larger than the available vector can finish; it gives back its row
//! of the allocation matrix, which makes more available, and both of its rows are struck out. Who is left when nobody
//! can finish any more waits for ever. Which of several that can finish goes first makes no difference to who is left:
//! what one gives back is there for all others.

use super::listed;
use super::state::State;
use std::fmt::{self, Write};

/// Above so many processes or classes, matrices are not shown in texts.
const SHOWN: usize = 24;

/// What became of a [`State`]: who can finish, in which order, and who waits for ever.
#[derive(Clone, Debug)]
pub struct Detection {
    state: State,
    /// Who finishes, in this order.
    order: Vec<usize>,
    /// What is available before each step; one more than there are processes in `order`.
    available: Vec<Vec<u32>>,
    /// Who is left.
    deadlocked: Vec<usize>,
}

/// A want that cannot be met: so many of a class are requested, and so many available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Who asks.
    pub process: usize,
    /// For what.
    pub class: usize,
    /// For how many.
    pub requested: u32,
    /// How many are available; fewer.
    pub available: u32,
}

/// One step of the detection: what is available, who is blocked, and who finishes.
#[derive(Clone, Copy, Debug)]
pub struct Step<'d> {
    detection: &'d Detection,
    number: usize,
}

impl Detection {
    pub(super) fn of(state: State) -> Detection {
        let mut available = vec![state.available().to_vec()];
        let (mut order, mut left) = (Vec::new(), (0..state.processes()).collect::<Vec<_>>());
        while let Some(free) = available.last()
            && let Some(place) = left.iter().position(|process| !is_blocked(&state, *process, free))
        {
            let process = left.remove(place);
            let then = after(&state, process, free);
            order.push(process);
            available.push(then);
        }
        Detection { state, order, available, deadlocked: left }
    }

    /// What was looked at.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The processes that can finish, in this order.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The processes that wait for ever. Each holds something that another one of them waits for, or waits behind them.
    pub fn deadlocked(&self) -> &[usize] {
        &self.deadlocked
    }

    /// Does anybody wait for ever?
    pub fn is_deadlocked(&self) -> bool {
        !self.deadlocked.is_empty()
    }

    /// The steps: one for each process that finishes, and one more for those that are left, if there are any.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = Step<'_>> {
        let count = self.order.len() + usize::from(self.is_deadlocked());
        (0..count).map(|number| Step { detection: self, number })
    }

    /// One sentence: `no deadlock: all processes can finish, in the order B, A`, or `deadlock: A and B wait for ever`.
    pub fn verdict(&self) -> String {
        let names = |of: &[usize]| of.iter().map(|process| self.state.process(*process)).collect::<Vec<_>>();
        if self.is_deadlocked() {
            let verb = if self.deadlocked.len() == 1 { "waits" } else { "wait" };
            let finish = match &self.order[..] {
                [] => String::new(),
                order => format!("; {} can finish", listed(&names(order))),
            };
            return format!("deadlock: {} {verb} for ever{finish}", listed(&names(&self.deadlocked)));
        }
        format!("no deadlock: all processes can finish, in the order {}", names(&self.order).join(", "))
    }
}

impl Step<'_> {
    /// The available resource vector before the step.
    pub fn available(&self) -> &[u32] {
        self.detection.available.get(self.number).map_or(&[], Vec::as_slice)
    }

    /// Who finishes: the first one that is not blocked. `None` in the last step, if all who are left are blocked.
    pub fn finishes(&self) -> Option<usize> {
        self.detection.order.get(self.number).copied()
    }

    /// The available resource vector after the step.
    pub fn then_available(&self) -> &[u32] {
        self.detection.available.get(self.number + 1).map_or(self.available(), Vec::as_slice)
    }

    /// Has this process finished before the step? Its rows are struck out then.
    pub fn is_finished(&self, process: usize) -> bool {
        self.detection.order.iter().take(self.number).any(|done| *done == process)
    }

    /// What is in the way of a process: all wants that cannot be met. Nothing for one that can finish.
    pub fn shortages(&self, process: usize) -> impl Iterator<Item = Shortage> {
        shortages(&self.detection.state, process, self.available())
    }

    /// The processes that have not finished and are blocked.
    pub fn blocked(&self) -> Vec<usize> {
        let state = &self.detection.state;
        let is_left = |process: &usize| !self.is_finished(*process);
        (0..state.processes()).filter(is_left).filter(|process| is_blocked(state, *process, self.available())).collect()
    }
}

/// The wants of a process that cannot be met from `available`.
pub(super) fn shortages<'s>(
    state: &'s State,
    process: usize,
    available: &'s [u32],
) -> impl Iterator<Item = Shortage> + 's {
    let wants = state.request(process).iter().zip(available).zip(state.resources()).enumerate();
    wants
        .filter(|(_, ((requested, available), class))| requested > available && !class.sharable && !class.preemptible)
        .map(move |(class, ((requested, available), _))| Shortage {
            process,
            class,
            requested: *requested,
            available: *available,
        })
}

fn is_blocked(state: &State, process: usize, available: &[u32]) -> bool {
    shortages(state, process, available).next().is_some()
}

/// What is available when `process` has given back what it holds.
fn after(state: &State, process: usize, available: &[u32]) -> Vec<u32> {
    let held = state.allocation(process).iter().zip(state.resources());
    // No sum is larger than what exists. What is sharable was never taken.
    available.iter().zip(held).map(|(free, (held, class))| if class.sharable { *free } else { free + held }).collect()
}

/// The whole detection: the matrices at each step with who is blocked and who can finish, and the verdict.
impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = Table::of(&self.state);
        if let Some(table) = &table {
            table.head(f, &self.state)?;
        }
        for step in self.steps() {
            match &table {
                Some(table) => table.step(f, &step)?,
                None => f.write_str(&brief(&step))?,
            }
        }
        f.write_str(&self.verdict())
    }
}

/// A step of a state that is too large for its matrices to be shown.
fn brief(step: &Step<'_>) -> String {
    let Detection { state, .. } = step.detection;
    match step.finishes() {
        Some(process) => format!("{} finishes\n", state.process(process)),
        None => {
            let left = step.blocked();
            let said: String = left
                .iter()
                .take(SHOWN)
                .map(|process| format!("{} is {}\n", state.process(*process), why(step, *process)))
                .collect();
            let more = left.len().saturating_sub(SHOWN);
            if more > 0 { format!("{said}{more} more are blocked\n") } else { said }
        }
    }
}

/// `blocked: 1 of class 4 wanted, 0 available`, or `can finish`
fn why(step: &Step<'_>, process: usize) -> String {
    let state = &step.detection.state;
    let mut said = String::new();
    for Shortage { class, requested, available, .. } in step.shortages(process).take(SHOWN) {
        let name = &state.resources()[class].name;
        let sign = if said.is_empty() { "blocked: " } else { "; " };
        let _ = write!(said, "{sign}{requested} of {name} wanted, {available} available"); // a String takes all
    }
    if said.is_empty() { "can finish".into() } else { said }
}

/// The widths of a state's matrices in a text.
struct Table {
    /// Of the longest name of a process.
    name: usize,
    /// Of each class, the longest number.
    columns: Vec<usize>,
}

impl Table {
    /// `None` if the state is too large to be shown.
    fn of(state: &State) -> Option<Table> {
        if state.processes() > SHOWN || state.resources().len() > SHOWN {
            return None;
        }
        let longest = (0..state.processes()).map(|process| state.process(process).chars().count()).max()?;
        let columns = state.resources().iter().enumerate().map(|(class, resource)| {
            let held = (0..state.processes()).map(|process| state.allocation(process)[class]).max().unwrap_or(0);
            resource.instances.max(held).to_string().len()
        });
        Some(Table { name: longest.max("available".len()), columns: columns.collect() })
    }

    fn vector(&self, numbers: &[u32]) -> String {
        let cells = numbers.iter().zip(&self.columns).map(|(number, width)| format!("{number:>width$}"));
        cells.collect::<Vec<_>>().join(" ")
    }

    fn struck(&self) -> String {
        self.columns.iter().map(|width| format!("{:>width$}", "-")).collect::<Vec<_>>().join(" ")
    }

    fn head(&self, f: &mut fmt::Formatter<'_>, state: &State) -> fmt::Result {
        let named: Vec<&str> = state.resources().iter().map(|class| class.name.as_str()).collect();
        let existing: Vec<u32> = state.resources().iter().map(|class| class.instances).collect();
        writeln!(f, "{:<2$}  {}", "classes", named.join(", "), self.name)?;
        writeln!(f, "{:<2$}  {}\n", "existing", self.vector(&existing), self.name)
    }

    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step<'_>) -> fmt::Result {
        let state = &step.detection.state;
        let width = self.struck().chars().count().max("allocation".len());
        let name = self.name;
        writeln!(f, "{:<name$}  {}", "available", self.vector(step.available()))?;
        writeln!(f, "{:<name$}  {:<width$}  request", "", "allocation")?;
        for process in 0..state.processes() {
            let who = state.process(process);
            if step.is_finished(process) {
                writeln!(f, "{who:<name$}  {:<width$}  {}", self.struck(), self.struck())?;
                continue;
            }
            let (held, asked) = (self.vector(state.allocation(process)), self.vector(state.request(process)));
            writeln!(f, "{who:<name$}  {held:<width$}  {asked:<width$}  {}", why(step, process))?;
        }
        if let Some(process) = step.finishes() {
            let (who, back) = (state.process(process), self.vector(state.allocation(process)));
            writeln!(f, "\n{who} finishes and gives back {back}")?;
        }
        writeln!(f)
    }
}
