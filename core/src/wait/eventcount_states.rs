//! The eventcount, step by step, for the explorer: waiters that each want one item, notifiers that each make one.
//! Any of them may be killed before any step. A slice ends only where somebody was killed: without that, nobody may
//! need it.
//!
//! Each rule has a `Without`: a model that leaves it out, and fails.

use crate::model::{Model, Step, explore, find_fault};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// One bit says that somebody waits, instead of two counts; cleared when a wake finds nobody.
    Counts,
    /// `ack` gets what `reg` is after the wake, not what it was before.
    OldCount,
    /// The waiter does not look again after it has registered.
    SecondLook,
    /// Sleepers sleep whatever `seq` says.
    Key,
    /// Nobody looks again at the end of a slice.
    Slices,
}

#[derive(Clone, Copy)]
struct Bell {
    waiters: usize,
    notifiers: usize,
    /// One item stays for everybody, and a notification wakes all: as flags do.
    all: bool,
    deaths: u8,
    only_waiters_die: bool,
    without: Without,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    // A waiter.
    Take,
    Key,
    Register,
    TakeAgain,
    Sleep,
    Asleep,
    // A notifier.
    Make,
    SeeRegistered,
    SeeAcknowledged,
    Raise,
    Wake,
    Acknowledge,
    // Both.
    Done,
    Dead,
}
use At::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: At,
    /// A waiter's key; what a notifier saw registered.
    saw: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    seq: u8,
    reg: u8,
    ack: u8,
    items: u8,
    actors: Vec<Actor>,
    deaths: u8,
}

impl Bell {
    fn act(&self, i: usize, s: &mut State) -> Option<&'static str> {
        let saw = s.actors[i].saw;
        let takes = |s: &mut State, otherwise: At| {
            let there = s.items > 0;
            if there && !self.all {
                s.items -= 1;
            }
            s.actors[i].at = if there { Done } else { otherwise };
        };
        let at = &mut s.actors[i].at;
        Some(match *at {
            Take => {
                takes(s, Key);
                "take an item?"
            }
            Key => {
                *at = Register;
                s.actors[i].saw = s.seq;
                "load seq"
            }
            Register => {
                *at = if self.without == Without::SecondLook { Sleep } else { TakeAgain };
                s.reg = if self.without == Without::Counts { 1 } else { s.reg + 1 };
                "register"
            }
            TakeAgain => {
                takes(s, Sleep);
                "take an item, after all?"
            }
            Sleep => {
                *at = if s.seq == saw || self.without == Without::Key { Asleep } else { Take };
                "sleep, if seq is still the same"
            }
            Make => {
                *at = SeeRegistered;
                s.items += 1;
                "make an item"
            }
            SeeRegistered => {
                *at = if self.without == Without::Counts && s.reg == 0 { Done } else { SeeAcknowledged };
                s.actors[i].saw = s.reg;
                "load reg"
            }
            SeeAcknowledged => {
                *at = if self.without != Without::Counts && saw == s.ack { Done } else { Raise };
                "load ack"
            }
            Raise => {
                *at = Wake;
                s.seq += 1;
                "raise seq"
            }
            Wake => {
                // The kernel wakes in the order of arrival; which one is all the same here.
                let asleep = s.actors.iter_mut().filter(|actor| actor.at == Asleep);
                let woken = asleep.take(if self.all { 9 } else { 1 }).map(|actor| actor.at = Take).count();
                s.actors[i].at = if woken == 0 { Acknowledge } else { Done };
                "wake"
            }
            Acknowledge => {
                *at = Done;
                match self.without {
                    Without::Counts => s.reg = 0,
                    Without::OldCount => s.ack = s.reg,
                    _ => s.ack = saw,
                }
                "nobody slept: store ack"
            }
            Asleep | Done | Dead => return None,
        })
    }
}

impl Model for Bell {
    type State = State;

    fn start(&self) -> State {
        let actor = |at| Actor { at, saw: 0 };
        let mut actors = vec![actor(Take); self.waiters];
        actors.extend(vec![actor(Make); self.notifiers]);
        State { seq: 0, reg: 0, ack: 0, items: 0, actors, deaths: self.deaths }
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut all = Vec::new();
        for (i, actor) in state.actors.iter().enumerate() {
            let by = i as u8;
            let mut next = state.clone();
            if let Some(does) = self.act(i, &mut next) {
                all.push((Step { by, does, counts: true }, next));
            }
            // The end of a slice with nothing there leads back to sleep.
            let of_use = state.deaths < self.deaths && state.items > 0;
            if actor.at == Asleep && of_use && self.without != Without::Slices {
                let mut next = state.clone();
                next.actors[i] = Actor { at: Take, saw: 0 };
                all.push((Step { by, does: "its slice ends", counts: true }, next));
            }
            let may_die = !matches!(actor.at, Done | Dead) && (i < self.waiters || !self.only_waiters_die);
            if state.deaths > 0 && may_die {
                let mut next = state.clone();
                (next.actors[i].at, next.deaths) = (Dead, state.deaths - 1);
                all.push((Step { by, does: "is killed", counts: false }, next));
            }
        }
        all
    }

    fn check(&self, _: &State) -> Result<(), String> {
        Ok(())
    }

    /// Nobody makes anything any more, and nobody waits for what is there.
    fn is_done(&self, state: &State) -> bool {
        let (waiters, notifiers) = state.actors.split_at(self.waiters);
        let over = |actor: &Actor| matches!(actor.at, Done | Dead);
        notifiers.iter().all(over)
            && (waiters.iter().all(over)
                || state.items == 0 && waiters.iter().all(|actor| over(actor) || actor.at == Asleep))
    }
}

fn bell(waiters: usize, notifiers: usize) -> Bell {
    Bell { waiters, notifiers, all: false, deaths: 0, only_waiters_die: false, without: Without::Nothing }
}

#[test]
fn no_wake_is_lost() {
    for (waiters, notifiers) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)] {
        explore(&bell(waiters, notifiers));
    }
    explore(&Bell { all: true, ..bell(3, 1) });
    explore(&Bell { all: true, ..bell(2, 2) });
}

#[test]
fn a_kill_at_whatever_step_costs_a_slice_at_most() {
    explore(&Bell { deaths: 1, ..bell(2, 2) });
    explore(&Bell { deaths: 2, ..bell(2, 1) });
    explore(&Bell { deaths: 1, all: true, ..bell(2, 1) });
}

/// Where everybody is woken, a killed waiter takes nobody's wake.
#[test]
fn a_killed_waiter_costs_nobody_anything_where_all_are_woken() {
    explore(&Bell { deaths: 2, only_waiters_die: true, without: Without::Slices, all: true, ..bell(3, 1) });
}

#[test]
#[ignore = "millions of states: for the long run, in release"]
fn three_waiters_and_three_notifiers() {
    println!("{} states", explore(&bell(3, 3)));
    println!("{} states, one killed", explore(&Bell { deaths: 1, ..bell(3, 2) }));
}

#[test]
fn no_rule_can_be_left_out() {
    let without = |without, model| Bell { without, ..model };
    for model in [
        without(Without::Counts, bell(2, 2)),
        without(Without::OldCount, bell(2, 2)),
        without(Without::SecondLook, bell(1, 1)),
        without(Without::Key, bell(1, 1)),
        without(Without::Slices, Bell { deaths: 1, ..bell(1, 1) }),
        without(Without::Slices, Bell { deaths: 1, only_waiters_die: true, ..bell(2, 1) }),
    ] {
        assert!(find_fault(&model).is_err(), "{:?} is not missed", model.without);
    }
}
