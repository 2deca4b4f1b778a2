//! The words of a cell, step by step, for the explorer: writers that store values of two halves, readers that load them.
//! A writer may be killed before any step. What a reader returns must be what was published under that number.
//!
//! Each rule has a `Without`: a model that leaves it out, and fails.

use crate::model::{Model, Step, explore, find_fault};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// A writer does not look, after its claim, whether the buffer is the latest.
    LookAfterClaim,
    /// The generation is raised by the claim, before that look.
    LateRaise,
    /// A reader does not look at `latest` a second time.
    SecondLook,
    /// A reader does not look at the generation again.
    LastLook,
    /// Nobody repairs what the dead have claimed.
    Repair,
}

const BUFFERS: usize = 3;
const MOST_VERSIONS: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    // A writer.
    Guess,
    Find,
    Claim,
    Look,
    BackOut,
    Raise,
    First,
    Second,
    Succeed,
    Publish,
    Release,
    // A reader.
    Latest,
    Generation,
    Again,
    CopyFirst,
    CopySecond,
    Last,
    // Both.
    Done,
    Dead,
}
use At::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: At,
    /// Stores or loads to come, with this one.
    left: u8,
    /// What it has seen `latest` to be: version and index.
    seen: (u8, u8),
    /// The buffer it is at, and its generation as it saw it.
    index: u8,
    generation: u8,
    /// A writer: places looked at. A reader: the halves it has copied.
    tried: u8,
    halves: [u8; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Buffer {
    /// 0: nobody; else an actor's number + 1.
    owner: u8,
    generation: u8,
    halves: [u8; 2],
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    latest: (u8, u8),
    buffers: [Buffer; BUFFERS],
    /// The value under each number.
    published: [u8; MOST_VERSIONS],
    actors: Vec<Actor>,
    deaths: u8,
    wrong: bool,
}

struct Cell {
    /// Stores of each writer, then loads of each reader.
    stores: &'static [u8],
    loads: &'static [u8],
    deaths: u8,
    /// May writers give a buffer back that they have begun to write in place?
    give_up: bool,
    without: Without,
}

impl Cell {
    fn act(&self, state: &State, who: usize) -> State {
        let mut s = state.clone();
        let mut me = s.actors[who];
        let id = who as u8 + 1;
        let here = me.index as usize;
        let value = id * 10 + me.left;
        match me.at {
            Guess => {
                me.seen = s.latest;
                (me.at, me.tried) = (Find, 0);
            }
            Find if me.tried as usize == BUFFERS => me.at = Guess,
            Find => {
                me.index = ((me.seen.1 + 1 + me.tried) as usize % BUFFERS) as u8;
                me.tried += 1;
                let buffer = s.buffers[me.index as usize];
                me.generation = buffer.generation;
                me.at = if buffer.owner == 0 { Claim } else { Find };
            }
            Claim => {
                let buffer = &mut s.buffers[here];
                if (buffer.owner, buffer.generation) == (0, me.generation) {
                    buffer.owner = id;
                    if self.without == Without::LateRaise {
                        buffer.generation += 1;
                        me.generation += 1;
                    }
                    me.at = if self.without == Without::LookAfterClaim { Raise } else { Look };
                } else {
                    me.at = Find;
                }
            }
            Look => me.at = if s.latest.1 == me.index { BackOut } else { Raise },
            BackOut => {
                s.buffers[here].owner = 0;
                me.at = Find;
            }
            Raise => {
                if self.without != Without::LateRaise {
                    s.buffers[here].generation += 1;
                }
                me.at = First;
            }
            First => {
                s.buffers[here].halves[0] = value;
                me.at = Second;
            }
            Second => {
                s.buffers[here].halves[1] = value;
                me.at = Succeed;
            }
            Succeed => {
                me.seen = s.latest;
                me.at = Publish;
            }
            Publish if s.latest == me.seen => {
                s.latest = (me.seen.0 + 1, me.index);
                s.published[s.latest.0 as usize] = value;
                me.at = Release;
            }
            Publish => me.at = Succeed,
            Release => {
                s.buffers[here].owner = 0;
                me.left -= 1;
                me.at = if me.left == 0 { Done } else { Guess };
            }
            Latest => {
                me.seen = s.latest;
                me.index = s.latest.1;
                me.at = Generation;
            }
            Generation => {
                me.generation = s.buffers[here].generation;
                me.at = if self.without == Without::SecondLook { CopyFirst } else { Again };
            }
            Again => me.at = if s.latest == me.seen { CopyFirst } else { Latest },
            CopyFirst => {
                me.halves[0] = s.buffers[here].halves[0];
                me.at = CopySecond;
            }
            CopySecond => {
                me.halves[1] = s.buffers[here].halves[1];
                me.at = Last;
            }
            Last if s.buffers[here].generation != me.generation && self.without != Without::LastLook => me.at = Latest,
            Last => {
                s.wrong |= me.halves != [s.published[me.seen.0 as usize]; 2];
                me.left -= 1;
                me.at = if me.left == 0 { Done } else { Latest };
            }
            Done | Dead => {}
        }
        s.actors[who] = me;
        s
    }
}

impl Model for Cell {
    type State = State;

    fn start(&self) -> State {
        let actor = |at, left| Actor { at, left, seen: (0, 0), index: 0, generation: 0, tried: 0, halves: [0; 2] };
        let writers = self.stores.iter().map(|n| actor(Guess, *n));
        let mut buffers = [Buffer::default(); BUFFERS];
        buffers[0].halves = [1; 2];
        State {
            latest: (1, 0),
            buffers,
            published: [0, 1, 0, 0, 0, 0],
            actors: writers.chain(self.loads.iter().map(|n| actor(Latest, *n))).collect(),
            deaths: 0,
            wrong: false,
        }
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut steps = Vec::new();
        for (who, actor) in state.actors.iter().enumerate() {
            if matches!(actor.at, Done | Dead) {
                if actor.at == Dead && self.without != Without::Repair {
                    let mut s = state.clone();
                    for buffer in s.buffers.iter_mut().filter(|buffer| buffer.owner == who as u8 + 1) {
                        buffer.owner = 0;
                    }
                    steps.push((Step { by: who as u8, does: "is repaired", counts: true }, s));
                }
                continue;
            }
            steps.push((Step { by: who as u8, does: "goes on", counts: true }, self.act(state, who)));
            if self.give_up && matches!(actor.at, First | Second | Succeed) {
                let mut s = state.clone();
                s.actors[who].at = Release;
                steps.push((Step { by: who as u8, does: "gives up", counts: true }, s));
            }
            if state.deaths < self.deaths && who < self.stores.len() {
                let mut s = state.clone();
                s.actors[who].at = Dead;
                s.deaths += 1;
                steps.push((Step { by: who as u8, does: "dies", counts: false }, s));
            }
        }
        steps
    }

    fn check(&self, state: &State) -> Result<(), String> {
        let latest = state.buffers[state.latest.1 as usize].halves;
        if state.wrong {
            return Err("a reader returned what was not stored".into());
        }
        if latest != [state.published[state.latest.0 as usize]; 2] {
            return Err("the latest value was written over".into());
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        state.actors.iter().all(|actor| matches!(actor.at, Done | Dead))
    }
}

const ALL: Cell = Cell { stores: &[1, 2], loads: &[1], deaths: 1, give_up: false, without: Without::Nothing };

#[test]
fn a_reader_returns_what_was_stored_whoever_dies() {
    let states = explore(&ALL);
    assert!(states > 10_000, "{states} states are no model");
}

#[test]
fn one_writer_goes_round_under_a_reader_without_harm() {
    explore(&Cell { stores: &[4], loads: &[2], deaths: 1, give_up: false, without: Without::Nothing });
}

#[test]
fn who_gives_up_what_it_wrote_in_place_has_stored_nothing() {
    explore(&Cell { stores: &[1, 1], give_up: true, ..ALL });
}

#[test]
fn every_rule_is_needed() {
    for without in [Without::LookAfterClaim, Without::LateRaise, Without::SecondLook, Without::LastLook] {
        assert!(find_fault(&Cell { without, deaths: 0, ..ALL }).is_err(), "{without:?}");
    }
}

#[test]
#[ignore = "a minute: three writers, two deaths; in tests/soak"]
fn two_that_die_leave_one_buffer_which_is_the_latest_until_they_are_repaired() {
    let dying = Cell { stores: &[1, 1, 1], loads: &[], deaths: 2, give_up: false, without: Without::Nothing };
    explore(&dying);
    assert!(find_fault(&Cell { without: Without::Repair, ..dying }).is_err());
}
