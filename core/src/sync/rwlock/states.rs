//! The algorithm of `words.rs`, step by step, for the explorer: two readers and two writers, each locks once. Any of
//! them may be killed before any step, also while it repairs; a sweep may be killed too; a swept seat may be taken
//! by a newcomer; who waits may give up.
//!
//! Bells are simple here: a notification reaches everybody who has prepared to sleep (the eventcount has a model of
//! its own). The writers' mutex is taken when it is free (it has its own, too).
//!
//! Each rule of the algorithm that does not look necessary has a `Without`: a model that leaves it out, and fails.

use super::RwPolicy;
use super::words::{CLOSED, OPEN, WANTED, WRITING};
use crate::model::{Model, Step, explore, find_fault};

/// Actors: readers 0 and 1, writers 2 and 3, and the sweep.
const READERS: std::ops::Range<usize> = 0..2;
const WRITERS: std::ops::Range<usize> = 2..4;
const SWEEP: u8 = 4;
const NOBODY: u8 = 9;
/// How often a gate is handed on before it is opened.
const HAND_OVERS: u8 = 2;

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// Repairs without the repair byte.
    RepairByte,
    /// Who hands the gate on does not look again after it has freed `writer`.
    SecondLook,
    /// A writer that gives up leaves a stranded gate.
    Tidying,
    /// Readers first: a writer waits behind an open gate.
    Wanted,
    /// A writer looks at the tallies only before it shuts the gate.
    LookAfterShut,
    /// Nobody notices at the end of a slice that a writer or reader is dead, and nobody sweeps.
    Repair,
}

#[derive(Clone, Copy)]
struct Lock {
    policy: RwPolicy,
    without: Without,
    /// How many of each there are.
    readers: usize,
    writers: usize,
    /// How many are killed, and how many newcomers take a swept seat.
    deaths: u8,
    births: u8,
    sweeps: bool,
    give_up: bool,
    downgrade: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Tally {
    reading: u8,
    kept_out: u8,
    writers: u8,
}

/// What an actor does next. In the order of `words.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    // try_enter
    CountIn,
    SeeGate,
    CountOut,
    CountedOut,
    // read
    Keep,
    Attempt,
    SecondAttempt,
    Unkeep,
    Unkept,
    // unread
    Leave,
    Left,
    // take_writer
    TryTake,
    Count,
    Wait,
    Uncount,
    // drain
    Open,
    Opened,
    See(u8),
    Shut,
    SeeAgain(u8),
    Want,
    Wanting,
    Begin,
    Writing,
    // release
    ReleaseSee(u8),
    ReleaseGate,
    Released,
    Free,
    // tidy
    Tidy,
    TidyFree,
    TidySee(u8),
    TidyTake,
    // rob_the_dead
    RobAsk,
    RobByte,
    RobAskAgain,
    Rob,
    RobDone,
    // bury
    Bury(u8),
    BuryByte(u8),
    BuryAskAgain(u8),
    BuryReaders(u8),
    BuryWriters(u8),
    BuryDone(u8),
    Buried(u8),
    // wait::until
    Prepare,
    Sleep,
    Done,
    Dead,
}
use At::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: At,
    /// It has tried once, so it is in its waiting loop.
    waits: bool,
    /// It is counted as kept out.
    kept: bool,
    /// It has the lock.
    inside: bool,
    /// It gives up.
    ends: bool,
    /// It has turned its write lock into a read lock.
    reads_on: bool,
    /// A slice has ended: it asks who is alive.
    look: bool,
    /// It has prepared to sleep, and nobody has rung since.
    prepared: bool,
    /// Its next attempt is the one between preparing and sleeping.
    last_try: bool,
    /// Fair: it waits for those who are kept out, not for those who read.
    for_kept: bool,
    /// It hands the gate on, and how often it may still do so.
    hands_on: bool,
    left: u8,
    /// Whom it found dead.
    asked: u8,
    /// It took `writer` from the dead, or from nobody, to put things right.
    robbed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    writer: u8,
    gate: u32,
    news: bool,
    tallies: [Tally; 4],
    /// Who holds whose repair byte.
    bytes: [u8; 4],
    dead: [bool; 4],
    swept: [bool; 4],
    actors: [Actor; 4],
    /// The sweep's next step, and whom it sweeps.
    sweep: (u8, u8),
    deaths: u8,
    births: u8,
    /// A writer died while it wrote; one died when it had begun to leave.
    must_tell: bool,
    may_tell: bool,
    /// What went wrong on the way here.
    wrong: Option<&'static str>,
}

fn fresh(i: usize) -> Actor {
    Actor {
        at: if READERS.contains(&i) { CountIn } else { TryTake },
        waits: false,
        kept: false,
        inside: false,
        ends: false,
        reads_on: false,
        look: false,
        prepared: false,
        last_try: false,
        for_kept: false,
        hands_on: false,
        left: 0,
        asked: NOBODY,
        robbed: false,
    }
}

fn admits(gate: u32) -> bool {
    gate <= WANTED
}

impl State {
    /// A notification: everybody who has prepared to sleep there looks again. Writers sleep until readers leave.
    fn ring(&mut self, sleepers: std::ops::Range<usize>) {
        self.actors[sleepers].iter_mut().for_each(|actor| actor.prepared = false);
    }

    fn take_off(&mut self, i: usize, count: impl Fn(&mut Tally) -> &mut u8) {
        match count(&mut self.tallies[i]) {
            0 => self.wrong = Some("somebody cleared the tally of the living"),
            count => *count -= 1,
        }
    }

    fn enters(&mut self, i: usize) {
        self.actors[i].inside = true;
        if self.must_tell && !self.news {
            self.wrong = Some("a writer died inside, and who came next was not told");
        }
        if self.news && !self.must_tell && !self.may_tell {
            self.wrong = Some("news of a death that did not happen inside");
        }
    }
}

impl Lock {
    /// The next step of actor `i`, if it can make one.
    fn act(&self, i: usize, s: &mut State) -> Option<&'static str> {
        let is_reader = READERS.contains(&i);
        let writers_first = self.policy == RwPolicy::WritersFirst;
        let me = i as u8;
        // Whose tallies can have readers: of the writers, who downgrades.
        let readers: &[usize] = match (self.readers, self.downgrade) {
            (1, false) => &[0],
            (1, true) => &[0, 2],
            (_, false) => &[0, 1],
            (_, true) => &[0, 1, 2],
        };
        let now = s.actors[i].at;
        // Where who did not get in goes: to sleep, after one more look.
        let fails = |s: &mut State| s.actors[i].at = if s.actors[i].last_try { Sleep } else { Prepare };
        // Where who has finished repairing or releasing goes.
        let goes_on = |s: &mut State| {
            let a = &mut s.actors[i];
            a.robbed = false;
            a.at = match () {
                _ if is_reader => SecondAttempt,
                _ if a.reads_on => Leave,
                _ => Done,
            };
        };
        let releases = |s: &mut State, left: u8| {
            let a = &mut s.actors[i];
            (a.left, a.hands_on) = (left, false);
            a.at = if writers_first && left > 0 { ReleaseSee(2) } else { ReleaseGate };
        };
        let drains = |s: &mut State| {
            s.actors[i].at = match self.policy {
                RwPolicy::ReadersFirst => See(0),
                RwPolicy::WritersFirst => Shut,
                RwPolicy::Fair if admits(s.gate) => See(0),
                RwPolicy::Fair => Open,
            };
            s.actors[i].for_kept = self.policy == RwPolicy::Fair;
        };
        // `writer` is ours: only we look at the gate and change it.
        let taken = |s: &mut State| {
            if s.gate == WRITING {
                (s.gate, s.news) = (CLOSED, true);
            }
            if s.actors[i].robbed {
                releases(s, if s.actors[i].left > 0 { s.actors[i].left - 1 } else { HAND_OVERS });
            } else {
                drains(s);
            }
        };
        let a = |s: &mut State, at: At| s.actors[i].at = at;
        Some(match now {
            CountIn => {
                s.tallies[i].reading += 1;
                a(s, SeeGate);
                "count myself in"
            }
            SeeGate if admits(s.gate) => {
                s.enters(i);
                a(s, if s.actors[i].kept { Unkeep } else { Leave });
                "see the gate open: inside"
            }
            SeeGate => {
                a(s, CountOut);
                "see the gate shut"
            }
            CountOut => {
                s.take_off(i, |tally| &mut tally.reading);
                a(s, CountedOut);
                "count myself out"
            }
            CountedOut => {
                s.ring(WRITERS);
                if s.actors[i].waits {
                    fails(s);
                } else {
                    s.actors[i].waits = true;
                    a(s, if self.policy == RwPolicy::Fair { Keep } else { Attempt });
                }
                "ring the drain bell"
            }
            Keep => {
                s.tallies[i].kept_out += 1;
                s.actors[i].kept = true;
                a(s, Attempt);
                "count myself as kept out"
            }
            Attempt if is_reader => {
                let look = std::mem::take(&mut s.actors[i].look);
                a(
                    s,
                    if admits(s.gate) {
                        CountIn
                    } else if look {
                        RobAsk
                    } else {
                        Tidy
                    },
                );
                "look at the gate again"
            }
            Attempt => {
                let look = std::mem::take(&mut s.actors[i].look);
                a(s, if look { Bury(0) } else { See(0) });
                "look again"
            }
            SecondAttempt => {
                if admits(s.gate) {
                    a(s, CountIn)
                } else {
                    fails(s)
                }
                "look at the gate once more"
            }
            Unkeep => {
                s.take_off(i, |tally| &mut tally.kept_out);
                s.actors[i].kept = false;
                a(s, Unkept);
                "no longer kept out"
            }
            Unkept => {
                s.ring(WRITERS);
                a(s, if s.actors[i].ends { Done } else { Leave });
                "ring the drain bell"
            }
            Leave => {
                s.take_off(i, |tally| &mut tally.reading);
                s.actors[i].inside = false;
                a(s, Left);
                "leave"
            }
            Left => {
                if s.gate != OPEN {
                    s.ring(WRITERS);
                }
                a(s, Done);
                "see the gate, ring the drain bell"
            }
            TryTake => {
                if s.writer == NOBODY {
                    s.writer = me;
                    taken(s);
                } else {
                    a(s, Count);
                }
                "try to take `writer`"
            }
            Count => {
                s.tallies[i].writers += 1;
                a(s, Wait);
                "count myself as waiting to write"
            }
            Wait if s.writer == NOBODY => {
                s.writer = me;
                a(s, Uncount);
                "take `writer`"
            }
            Wait => return None,
            Uncount => {
                s.take_off(i, |tally| &mut tally.writers);
                if !s.actors[i].ends {
                    taken(s);
                } else {
                    a(s, if self.without == Without::Tidying { Done } else { Tidy });
                }
                "no longer waiting to write"
            }
            Open => {
                s.gate = OPEN;
                a(s, Opened);
                "open the gate for those who are kept out"
            }
            Opened => {
                s.ring(READERS);
                a(s, See(0));
                "ring the gate bell"
            }
            See(j) => {
                let tally = s.tallies[readers[j as usize]];
                let busy = if s.actors[i].for_kept { tally.kept_out } else { tally.reading } != 0;
                match (busy, self.policy) {
                    (true, RwPolicy::ReadersFirst) if !s.actors[i].waits => {
                        s.actors[i].waits = true;
                        if self.without == Without::Wanted { fails(s) } else { a(s, Want) }
                    }
                    (true, _) => fails(s),
                    (false, _) if (j as usize) + 1 < readers.len() => a(s, See(j + 1)),
                    (false, RwPolicy::ReadersFirst) => a(s, Shut),
                    (false, _) if s.actors[i].for_kept => {
                        s.actors[i].for_kept = false;
                        a(s, Shut);
                    }
                    (false, _) => a(s, Begin),
                }
                "see a tally"
            }
            Shut => {
                s.gate = CLOSED;
                a(
                    s,
                    match self.policy {
                        _ if self.without == Without::LookAfterShut => Begin,
                        RwPolicy::ReadersFirst => SeeAgain(0),
                        _ => See(0),
                    },
                );
                "shut the gate"
            }
            SeeAgain(j) => {
                a(
                    s,
                    match s.tallies[readers[j as usize]].reading {
                        0 if (j as usize) + 1 < readers.len() => SeeAgain(j + 1),
                        0 => Begin,
                        _ => Want,
                    },
                );
                "see a tally behind the shut gate"
            }
            Want => {
                s.gate = WANTED;
                s.actors[i].waits = true;
                a(s, Wanting);
                "want the gate"
            }
            Wanting => {
                s.ring(READERS);
                fails(s);
                "ring the gate bell"
            }
            Begin => {
                s.gate = WRITING;
                s.enters(i);
                a(s, Writing);
                "begin to write"
            }
            Writing if self.downgrade && me == 2 => {
                s.tallies[i].reading += 1;
                s.actors[i].reads_on = true;
                releases(s, HAND_OVERS);
                "downgrade"
            }
            Writing => {
                releases(s, HAND_OVERS);
                "write"
            }
            ReleaseSee(j) => {
                if s.tallies[j as usize].writers != 0 {
                    s.actors[i].hands_on = true;
                    a(s, ReleaseGate);
                } else {
                    a(s, if (j as usize) < 1 + self.writers { ReleaseSee(j + 1) } else { ReleaseGate });
                }
                "see whether a writer waits"
            }
            ReleaseGate => {
                s.gate = if s.actors[i].hands_on { CLOSED } else { OPEN };
                if !s.actors[i].reads_on {
                    s.actors[i].inside = false;
                }
                a(s, if s.actors[i].hands_on { Free } else { Released });
                "open the gate, or hand it on"
            }
            Released => {
                s.ring(READERS);
                a(s, Free);
                "ring the gate bell"
            }
            Free => {
                s.writer = NOBODY;
                if s.actors[i].hands_on && self.without != Without::SecondLook {
                    a(s, Tidy)
                } else {
                    goes_on(s)
                }
                "free `writer`"
            }
            Tidy => {
                if admits(s.gate) {
                    goes_on(s)
                } else {
                    a(s, TidyFree)
                }
                "is the gate shut?"
            }
            TidyFree => {
                if s.writer != NOBODY {
                    goes_on(s)
                } else {
                    a(s, if writers_first { TidySee(2) } else { TidyTake })
                }
                "is `writer` free?"
            }
            TidySee(j) => {
                if s.tallies[j as usize].writers != 0 {
                    goes_on(s);
                } else {
                    a(s, if (j as usize) < 1 + self.writers { TidySee(j + 1) } else { TidyTake });
                }
                "does a writer wait?"
            }
            TidyTake => {
                if s.writer == NOBODY {
                    s.writer = me;
                    s.actors[i].robbed = true;
                    taken(s);
                } else {
                    goes_on(s);
                }
                "take `writer` to open a stranded gate"
            }
            RobAsk => {
                if s.writer != NOBODY && s.dead[s.writer as usize] {
                    s.actors[i].asked = s.writer;
                    a(s, RobByte);
                } else {
                    a(s, self.not_robbed(i));
                }
                "is the holder of `writer` dead?"
            }
            RobByte => {
                let asked = s.actors[i].asked as usize;
                if self.without == Without::RepairByte {
                    a(s, Rob);
                } else if s.bytes[asked] == NOBODY {
                    s.bytes[asked] = me;
                    a(s, RobAskAgain);
                } else {
                    a(s, self.not_robbed(i));
                }
                "take its repair byte"
            }
            RobAskAgain => {
                a(s, if s.dead[s.actors[i].asked as usize] { Rob } else { RobDone });
                "is it dead still?"
            }
            Rob => {
                if s.writer == s.actors[i].asked || s.writer == NOBODY {
                    s.writer = me;
                    s.actors[i].robbed = true;
                }
                a(s, RobDone);
                "take `writer` from the dead"
            }
            RobDone => {
                let asked = s.actors[i].asked as usize;
                if s.bytes[asked] == me {
                    s.bytes[asked] = NOBODY;
                }
                s.actors[i].asked = NOBODY;
                let robbed = s.actors[i].robbed;
                if robbed && !is_reader {
                    s.actors[i].robbed = false; // It wants to write, so it keeps it.
                }
                match (robbed, is_reader) {
                    (true, true) => taken(s),
                    (true, false) => a(s, Uncount),
                    (false, _) => a(s, self.not_robbed(i)),
                }
                "give the repair byte back"
            }
            Bury(4) => {
                a(s, if is_reader { Tidy } else { See(0) });
                "that was the last tally"
            }
            Bury(j) => {
                let tally = s.tallies[j as usize];
                let says = match () {
                    _ if is_reader => tally.writers,
                    _ if s.actors[i].for_kept => tally.kept_out,
                    _ => tally.reading,
                };
                a(s, if says != 0 && s.dead[j as usize] { BuryByte(j) } else { Bury(j + 1) });
                "is who is in this tally dead?"
            }
            BuryByte(j) => {
                if self.without == Without::RepairByte {
                    a(s, BuryReaders(j));
                } else if s.bytes[j as usize] == NOBODY {
                    s.bytes[j as usize] = me;
                    a(s, BuryAskAgain(j));
                } else {
                    a(s, Bury(j + 1));
                }
                "take its repair byte"
            }
            BuryAskAgain(j) => {
                a(s, if s.dead[j as usize] { BuryReaders(j) } else { BuryDone(j) });
                "is it dead still?"
            }
            BuryReaders(j) => {
                (s.tallies[j as usize].reading, s.tallies[j as usize].kept_out) = (0, 0);
                a(s, BuryWriters(j));
                "clear its tally of readers"
            }
            BuryWriters(j) => {
                s.tallies[j as usize].writers = 0;
                a(s, BuryDone(j));
                "clear its tally of writers"
            }
            BuryDone(j) => {
                if s.bytes[j as usize] == me {
                    s.bytes[j as usize] = NOBODY;
                }
                a(s, Buried(j));
                "give the repair byte back"
            }
            Buried(j) => {
                s.ring(WRITERS);
                a(s, Bury(j + 1));
                "ring the drain bell"
            }
            Prepare => {
                s.actors[i].prepared = true;
                s.actors[i].last_try = true;
                a(s, Attempt);
                "prepare to sleep"
            }
            Sleep if !s.actors[i].prepared => {
                s.actors[i].last_try = false;
                a(s, Attempt);
                "wake"
            }
            Sleep | Done | Dead => return None,
        })
    }

    fn not_robbed(&self, i: usize) -> At {
        match self.policy {
            _ if WRITERS.contains(&i) => Wait,
            RwPolicy::WritersFirst => Bury(2),
            _ => Tidy,
        }
    }

    /// The end of a slice: only of use where somebody is dead.
    fn slice_ends(&self, i: usize, s: &mut State) -> bool {
        if self.without == Without::Repair || !s.dead.contains(&true) {
            return false;
        }
        match s.actors[i].at {
            Sleep if s.actors[i].prepared => {
                let a = &mut s.actors[i];
                (a.prepared, a.last_try, a.look, a.at) = (false, false, true, Attempt);
                true
            }
            Wait if s.writer != NOBODY && s.dead[s.writer as usize] => {
                s.actors[i].at = RobAsk;
                true
            }
            _ => false,
        }
    }

    /// The deadline: whoever sleeps takes back what he announced.
    fn gives_up(&self, i: usize, s: &mut State) -> bool {
        let a = &mut s.actors[i];
        if !self.give_up || a.ends {
            return false;
        }
        match a.at {
            Sleep => {
                (a.prepared, a.last_try, a.ends) = (false, false, true);
                if READERS.contains(&i) {
                    a.at = if a.kept { Unkeep } else { Done };
                } else {
                    (a.left, a.hands_on) = (HAND_OVERS, false);
                    a.at = if self.policy == RwPolicy::WritersFirst { ReleaseSee(2) } else { ReleaseGate };
                }
                true
            }
            Wait => {
                (a.ends, a.at) = (true, Uncount);
                true
            }
            _ => false,
        }
    }

    fn dies(&self, i: usize, s: &mut State) {
        if s.writer == i as u8 && s.gate == WRITING {
            if s.actors[i].at == Writing {
                s.must_tell = true;
            } else {
                s.may_tell = true;
            }
        }
        s.actors[i] = Actor { at: Dead, ..fresh(i) };
        s.dead[i] = true;
        s.deaths -= 1;
        // The kernel gives back what it had locked.
        s.bytes.iter_mut().filter(|byte| **byte == i as u8).for_each(|byte| *byte = NOBODY);
    }

    fn sweep(&self, s: &mut State) -> Option<&'static str> {
        let (step, slot) = s.sweep;
        let j = slot as usize;
        Some(match step {
            0 => return None,
            1 => {
                (s.tallies[j].reading, s.tallies[j].kept_out) = (0, 0);
                s.sweep.0 = 2;
                "sweep: clear the tally of readers"
            }
            2 => {
                s.tallies[j].writers = 0;
                s.sweep.0 = 3;
                "sweep: clear the tally of writers"
            }
            3 => {
                if s.writer == slot {
                    s.writer = NOBODY;
                }
                s.sweep.0 = 4;
                "sweep: free `writer`"
            }
            4 => {
                s.ring(READERS);
                s.ring(WRITERS);
                s.sweep.0 = 5;
                "sweep: ring"
            }
            _ => {
                s.swept[j] = true;
                s.bytes[j] = NOBODY;
                s.sweep = (0, NOBODY);
                "sweep: the seat is free"
            }
        })
    }
}

impl Model for Lock {
    type State = State;

    fn start(&self) -> State {
        State {
            writer: NOBODY,
            gate: OPEN,
            news: false,
            tallies: [Tally::default(); 4],
            bytes: [NOBODY; 4],
            dead: [false; 4],
            swept: [false; 4],
            actors: std::array::from_fn(|i| {
                let takes_part = if READERS.contains(&i) { i < self.readers } else { i - 2 < self.writers };
                if takes_part { fresh(i) } else { Actor { at: Done, ..fresh(i) } }
            }),
            sweep: (0, NOBODY),
            deaths: self.deaths,
            births: self.births,
            must_tell: false,
            may_tell: false,
            wrong: None,
        }
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut all = Vec::new();
        let mut step = |by: usize, does, counts, next: State| all.push((Step { by: by as u8, does, counts }, next));
        for i in 0..4 {
            let mut next = state.clone();
            if let Some(does) = self.act(i, &mut next) {
                step(i, does, true, next);
            }
            let mut next = state.clone();
            if self.slice_ends(i, &mut next) {
                step(i, "its slice ends", true, next);
            }
            let mut next = state.clone();
            if self.gives_up(i, &mut next) {
                step(i, "gives up", false, next);
            }
            if state.deaths > 0 && !matches!(state.actors[i].at, Done | Dead) {
                let mut next = state.clone();
                self.dies(i, &mut next);
                step(i, "is killed", false, next);
            }
            if self.sweeps && state.sweep.0 == 0 && state.dead[i] && !state.swept[i] && state.bytes[i] == NOBODY {
                let mut next = state.clone();
                (next.sweep, next.bytes[i]) = ((1, i as u8), SWEEP);
                step(4, "sweep: take the repair byte", true, next);
            }
            // Newcomers take both bytes of a free seat, so not while somebody holds its repair byte.
            if state.swept[i] && state.births > 0 && state.bytes[i] == NOBODY {
                let mut next = state.clone();
                (next.dead[i], next.swept[i], next.actors[i]) = (false, false, fresh(i));
                next.births -= 1;
                step(i, "a newcomer takes the seat", false, next);
            }
        }
        let mut next = state.clone();
        if let Some(does) = self.sweep(&mut next) {
            step(4, does, true, next);
            let mut next = state.clone();
            next.bytes[state.sweep.1 as usize] = NOBODY;
            next.sweep = (0, NOBODY);
            step(4, "the sweep is killed", false, next);
        }
        all
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(wrong) = state.wrong {
            return Err(wrong.to_string());
        }
        let inside = |writes: bool| {
            state
                .actors
                .iter()
                .filter(|a| {
                    a.inside && (matches!(a.at, Writing | ReleaseSee(_) | ReleaseGate) && !a.reads_on) == writes
                })
                .count()
        };
        match (inside(false), inside(true)) {
            (_, 0) | (0, 1) => {}
            (readers, writers) => return Err(format!("{readers} read and {writers} write")),
        }
        let nobody_died = state.deaths == self.deaths;
        let idle = state.gate == OPEN && state.writer == NOBODY && state.tallies == [Tally::default(); 4];
        if nobody_died && self.is_done(state) && !idle {
            return Err("everybody has gone, and the lock is not as in the beginning".to_string());
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        state.actors.iter().all(|actor| matches!(actor.at, Done | Dead))
    }
}

const POLICIES: [RwPolicy; 3] = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];

fn lock(policy: RwPolicy, readers: usize, writers: usize) -> Lock {
    Lock {
        policy,
        without: Without::Nothing,
        readers,
        writers,
        deaths: 0,
        births: 0,
        sweeps: false,
        give_up: false,
        downgrade: false,
    }
}

#[test]
fn a_writer_is_alone_and_everybody_goes_on_whoever_dies_at_whatever_step() {
    for policy in POLICIES {
        explore(&Lock { deaths: 1, ..lock(policy, 2, 1) });
        explore(&Lock { deaths: 2, ..lock(policy, 1, 2) });
    }
}

#[test]
fn a_newcomer_in_the_seat_of_a_dead_one_is_not_robbed() {
    for policy in POLICIES {
        explore(&Lock { deaths: 2, births: 1, sweeps: true, give_up: true, ..lock(policy, 1, 1) });
    }
}

#[test]
fn whoever_gives_up_leaves_nobody_behind() {
    for policy in POLICIES {
        explore(&Lock { give_up: true, ..lock(policy, 2, 1) });
        explore(&Lock { give_up: true, ..lock(policy, 1, 2) });
    }
}

#[test]
fn a_downgrade_lets_no_writer_between() {
    for policy in POLICIES {
        explore(&Lock { downgrade: true, deaths: 1, ..lock(policy, 1, 2) });
    }
}

#[test]
#[ignore = "some ten million states: for the long run, in release"]
fn two_readers_and_two_writers() {
    for policy in POLICIES {
        for (deaths, give_up) in [(0, true), (1, false)] {
            let states = explore(&Lock { deaths, give_up, ..lock(policy, 2, 2) });
            println!("{policy:?}, {deaths} killed, giving up {give_up}: {states} states");
        }
        let states = explore(&Lock { deaths: 1, births: 1, sweeps: true, ..lock(policy, 1, 2) });
        println!("{policy:?}, swept and replaced: {states} states");
    }
}

#[test]
fn no_rule_can_be_left_out() {
    let (readers_first, writers_first) = (RwPolicy::ReadersFirst, RwPolicy::WritersFirst);
    let swept = |policy| Lock { deaths: 1, births: 1, sweeps: true, ..lock(policy, 1, 1) };
    let hasty = Lock { give_up: true, ..lock(writers_first, 1, 2) };
    let mut models = vec![
        Lock { without: Without::SecondLook, ..hasty },
        Lock { without: Without::Tidying, ..hasty },
        Lock { without: Without::Wanted, ..lock(readers_first, 2, 1) },
    ];
    for policy in POLICIES {
        models.push(Lock { without: Without::RepairByte, ..swept(policy) });
        models.push(Lock { without: Without::LookAfterShut, ..lock(policy, 1, 1) });
        models.push(Lock { without: Without::Repair, deaths: 1, ..lock(policy, 1, 1) });
    }
    for model in models {
        assert!(find_fault(&model).is_err(), "{:?} is not missed in {:?}", model.without, model.policy);
    }
}
