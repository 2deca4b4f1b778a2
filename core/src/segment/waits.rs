//! Who waits for what, and who is in the way, as everybody can see it.
//!
//! Made from the notes on the board (see there), the words of the locks, and what sleepers say they have read-locked:
//! a thread that reads and does not sleep is in nobody's way for long.

use super::object::{Holds, Kind, View};
use super::region::Region;
use super::{Holder, ObjectKind};
use crate::deadline::now_ns;
use crate::kinds;
use crate::sync::{monitor, mutex};
use crate::wait::board::Said;
use std::fmt;
use std::time::Duration;

/// What a thread sleeps for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitMode {
    /// For permits of a semaphore.
    Permit = 1,
    /// To lock a mutex or enter a monitor.
    Lock = 2,
    /// To read-lock.
    Read = 3,
    /// To write-lock.
    Write = 4,
    /// For a condition of a monitor.
    Condition = 5,
    /// At a barrier.
    Barrier = 6,
    /// For event flags.
    Flags = 7,
    /// For room in a mailbox or ring.
    Send = 8,
    /// For a message or record.
    Receive = 9,
    /// For any of several objects, in a [`WaitSet`](crate::WaitSet).
    Any = 10,
    /// For the answer of a service.
    Call = 11,
}

impl WaitMode {
    const ALL: [WaitMode; 11] = [
        WaitMode::Permit,
        WaitMode::Lock,
        WaitMode::Read,
        WaitMode::Write,
        WaitMode::Condition,
        WaitMode::Barrier,
        WaitMode::Flags,
        WaitMode::Send,
        WaitMode::Receive,
        WaitMode::Any,
        WaitMode::Call,
    ];

    fn from_number(number: u32) -> Option<WaitMode> {
        Self::ALL.into_iter().find(|mode| *mode as u32 == number)
    }

    /// `permit`, `lock`, `read`, `write`, `condition`, `barrier`, `flags`, `send`, `receive`, `any`, `call`
    pub fn name(self) -> &'static str {
        match self {
            WaitMode::Permit => "permit",
            WaitMode::Lock => "lock",
            WaitMode::Read => "read",
            WaitMode::Write => "write",
            WaitMode::Condition => "condition",
            WaitMode::Barrier => "barrier",
            WaitMode::Flags => "flags",
            WaitMode::Send => "send",
            WaitMode::Receive => "receive",
            WaitMode::Any => "any",
            WaitMode::Call => "call",
        }
    }
}

/// A thread that sleeps until an object lets it go on.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The slot of its process.
    pub slot: u32,
    /// The pid of its process.
    pub pid: u32,
    /// The name of its program.
    pub process: String,
    /// The number of the thread in its process.
    pub thread: u32,
    /// The thread's id in the system, in its own pid namespace.
    pub tid: u32,
    /// The name of the object.
    pub object: String,
    /// The object's kind; `None` if it is unreadable.
    pub kind: Option<ObjectKind>,
    /// What it sleeps for.
    pub mode: WaitMode,
    /// How many permits, which flags, or how many objects; 0 where that has no meaning.
    pub count: u32,
    /// The condition's name, for [`WaitMode::Condition`].
    pub condition: Option<String>,
    /// For how long it has slept, as of this look.
    pub since: Duration,
    /// Who is in its way by holding the object. Empty where nobody in particular is. Of those who read, only the
    /// sleepers are here: [`ObjectState::RwLock`](crate::ObjectState::RwLock) has the number of all, by process.
    pub blocked_by: Vec<Holder>,
}

impl Wait {
    /// Who waits: `process 4711 (python3)`, and its thread unless that is the first one that locked something.
    pub fn who(&self) -> String {
        let thread = if self.thread == 0 { String::new() } else { format!(" thread {}", self.thread) };
        format!("process {} ({}){thread}", self.pid, self.process)
    }

    /// What it waits for, as a phrase: `to lock "m"`, `for 2 permits of "s"`, `for condition "c" of "m"`.
    pub fn what(&self) -> String {
        let Wait { object, count, .. } = self;
        match (self.mode, &self.condition) {
            (WaitMode::Permit, _) if *count > 1 => format!("for {count} permits of {object:?}"),
            (WaitMode::Permit, _) => format!("for a permit of {object:?}"),
            (WaitMode::Lock, _) if self.kind == Some(ObjectKind::Monitor) => format!("to enter {object:?}"),
            (WaitMode::Lock, _) => format!("to lock {object:?}"),
            (WaitMode::Read, _) => format!("to read {object:?}"),
            (WaitMode::Write, _) => format!("to write {object:?}"),
            (WaitMode::Condition, Some(name)) => format!("for condition {name:?} of {object:?}"),
            (WaitMode::Condition, None) => format!("for a condition of {object:?}"),
            (WaitMode::Barrier, _) => format!("at {object:?}"),
            (WaitMode::Flags, _) => format!("for flags {count:#x} of {object:?}"),
            (WaitMode::Send, _) => format!("for room in {object:?}"),
            (WaitMode::Receive, _) => format!("to receive from {object:?}"),
            (WaitMode::Any, _) if *count > 1 => format!("for {object:?} or {} others", count - 1),
            (WaitMode::Any, _) => format!("for {object:?}"),
            (WaitMode::Call, _) => format!("for an answer of {object:?}"),
        }
    }
}

/// `process 4711 (python3) waits to lock "m"`
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits {}", self.who(), self.what())
    }
}

/// A sleeper as it was seen: its note, and who was in its way.
#[derive(Clone)]
pub struct Sleeper {
    /// The note's place and word: it is the same sleep as long as the word is.
    index: usize,
    word: u64,
    pub said: Said,
    pub mode: WaitMode,
    /// Who is in its way.
    pub needs: Needs,
}

impl Sleeper {
    /// Is it the same sleep as `other`?
    pub fn is_same_sleep(&self, other: &Sleeper) -> bool {
        (self.index, self.word) == (other.index, other.word)
    }

    /// Has it slept without a break since it was seen?
    pub fn sleeps_still(&self, region: &Region) -> bool {
        region.note(self.index).is_some_and(|note| note.says_still(self.word))
    }

    /// The slot of its process.
    pub fn slot(&self) -> u32 {
        mutex::owner_slot(self.said.owner)
    }

    #[cfg(test)]
    pub fn for_test(owner: u32, mode: WaitMode, needs: Needs) -> Sleeper {
        Sleeper { index: 0, word: 0, said: Said { owner, ..Said::default() }, mode, needs }
    }
}

/// What must happen for a sleeper to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Something that nobody in particular owes.
    Nobody,
    /// All of these threads let go.
    All(Vec<u32>),
    /// So many of these threads' permits come back, beside those that are free.
    Permits {
        /// How many must come back.
        missing: usize,
        /// Who has one; once for each.
        out: Vec<u32>,
    },
}

impl Needs {
    /// The threads in the way.
    pub fn threads(&self) -> &[u32] {
        match self {
            Needs::Nobody => &[],
            Needs::All(threads) | Needs::Permits { out: threads, .. } => threads,
        }
    }
}

/// Everybody who sleeps in a process that is alive, with who is in the way of each.
pub fn look(region: &Region, is_alive: impl Fn(u32) -> bool) -> Vec<Sleeper> {
    let mut sleepers: Vec<Sleeper> = region
        .notes()
        .enumerate()
        .filter_map(|(index, note)| {
            let (word, said) = note.read()?;
            let mode = WaitMode::from_number(said.mode)?;
            let seat = region.seat(mutex::owner_slot(said.owner))?;
            (seat.pid() != 0 && is_alive(mutex::owner_slot(said.owner))).then_some(Sleeper {
                index,
                word,
                said,
                mode,
                needs: Needs::Nobody,
            })
        })
        .collect();
    let needs: Vec<Needs> = sleepers.iter().map(|sleeper| needs_of(region, sleeper, &sleepers)).collect();
    for (sleeper, needs) in sleepers.iter_mut().zip(needs) {
        sleeper.needs = needs;
    }
    sleepers
}

fn needs_of(region: &Region, sleeper: &Sleeper, all: &[Sleeper]) -> Needs {
    let said = &sleeper.said;
    let Some((kind, view)) = object_of(region, said).and_then(|(_, kind, view)| Some((kind?, view))) else {
        return Needs::Nobody;
    };
    let others =
        |threads: Vec<u32>| threads.into_iter().filter(|thread| *thread != 0 && *thread != said.owner).collect();
    match (sleeper.mode, (kind.holds)(view)) {
        (WaitMode::Lock, Holds::One(owner)) => Needs::All(others(vec![owner])),
        (WaitMode::Read, Holds::ReadWrite(writer)) => Needs::All(others(vec![writer])),
        (WaitMode::Write, Holds::ReadWrite(writer)) => {
            let readers = all.iter().filter(|other| other.said.reads.contains(&(said.object + 1)));
            Needs::All(others(readers.map(|reader| reader.said.owner).chain([writer]).collect()))
        }
        (WaitMode::Permit, Holds::Permits { max, out }) => {
            let free = (max as usize).saturating_sub(out.len());
            Needs::Permits { missing: (said.count as usize).saturating_sub(free), out }
        }
        _ => Needs::Nobody,
    }
}

/// The object that a note is about: its name, kind and memory.
fn object_of<'r>(region: &'r Region, said: &Said) -> Option<(String, Option<&'static Kind>, View<'r>)> {
    let entry = region.entry(said.object as usize)?;
    if !entry.is_used() || entry.generation() != said.generation {
        return None;
    }
    let (at, len) = entry.extent();
    let (header, view) = region.object(at, len).ok()?;
    Some((entry.name()?, kinds::of(header.kind()), view))
}

/// What a sleeper looks like to users.
pub fn describe(region: &Region, sleeper: &Sleeper) -> Wait {
    let (said, object) = (&sleeper.said, object_of(region, &sleeper.said));
    let seat = region.seat(sleeper.slot());
    let condition = match (sleeper.mode, &object) {
        (WaitMode::Condition, Some((_, _, view))) => monitor::condition_name(*view, said.count),
        _ => None,
    };
    let mut blocked_by: Vec<Holder> = Vec::new();
    for thread in sleeper.needs.threads() {
        let slot = mutex::owner_slot(*thread);
        let pid = region.seat(slot).map(|seat| seat.pid()).filter(|pid| *pid != 0);
        let holder = Holder { slot, pid, thread: thread >> 12 };
        if !blocked_by.contains(&holder) {
            blocked_by.push(holder);
        }
    }
    Wait {
        slot: sleeper.slot(),
        pid: seat.map_or(0, |seat| seat.pid()),
        process: seat.map_or_else(String::new, |seat| seat.name()),
        thread: said.owner >> 12,
        tid: said.tid,
        kind: object.as_ref().and_then(|(_, kind, _)| *kind).map(|kind| kind.kind),
        object: object.map_or_else(|| format!("(entry {})", said.object), |(name, ..)| name),
        mode: sleeper.mode,
        count: if sleeper.mode == WaitMode::Condition { 0 } else { said.count },
        condition,
        since: Duration::from_nanos(now_ns().saturating_sub(said.since_ns)),
        blocked_by,
    }
}
