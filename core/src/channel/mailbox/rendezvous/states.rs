//! The algorithm of `mod.rs`, step by step, for the explorer: senders with and without a deadline, receivers that copy
//! or hold, and a sweep; each may be killed before any step.
//!
//! Places are simple here, as they have models of their own: a claim and the move of `tail` or `head` are one step, and
//! so is the repair of a place. What is looked at is what each side is told.
//!
//! Each rule of the algorithm that does not look necessary has a `Without`: a model that leaves it out, and fails.

use crate::model::{Model, Step, explore, find_fault};

const PLACES: usize = 2;
const ACTORS: usize = 4;

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// A sender takes its message back by a plain store.
    TakingByExchange,
    /// A receiver does not ask whether its `release` has ended the claim.
    AskingRelease,
    /// Who reads in place does not say so.
    Holding,
    /// The message of a dead receiver is dropped.
    Redelivery,
    /// Nobody asks whether the receiver that has the message is alive.
    Repair,
    /// A sender takes its message back only while no receiver is at it.
    TakingFromReaders,
}

#[derive(Clone, Copy)]
struct Meeting {
    without: Without,
    places: usize,
    senders: usize,
    receivers: usize,
    /// Senders have a deadline.
    deadlines: bool,
    /// Receivers may read in place.
    hold: bool,
    /// A receiver may be stopped for ever, without being dead.
    stops: bool,
    deaths: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Word {
    Free,
    Writing(u8),
    Full,
    Reading(u8),
    Holding(u8),
}

/// What an actor does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    // a sender
    ClaimSend,
    Publish,
    Wait,
    /// Its deadline has passed; what it has seen.
    TakeBack(Word),
    LookAgain,
    Sent,
    NotSent,
    // a receiver
    ClaimReceive,
    Copy,
    Release,
    Hold,
    Holds,
    EndHold,
    Stopped,
    Dead,
}
use At::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: At,
    place: u8,
    turn: u8,
    /// What it has copied.
    copy: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    places: [(Word, u8); PLACES],
    /// The message that lies there: its sender's number and 1.
    there: [u8; PLACES],
    tail: u8,
    head: u8,
    actors: [Actor; ACTORS],
    dead: [bool; ACTORS],
    swept: [bool; ACTORS],
    /// How often the message of each sender was received, and how often it was lost with one who held it.
    received: [u8; ACTORS],
    deaths: u8,
    wrong: Option<&'static str>,
}

impl Meeting {
    fn lap(&self, position: u8) -> (usize, u8) {
        (position as usize % self.places, position / self.places as u8)
    }

    fn is_sender(&self, i: usize) -> bool {
        i < self.senders
    }

    fn act(&self, i: usize, s: &mut State) -> Option<&'static str> {
        let me = i as u8;
        let Actor { at, place, turn, copy } = s.actors[i];
        let here = place as usize;
        let now = s.places[here];
        let go = |s: &mut State, at| s.actors[i].at = at;
        Some(match at {
            ClaimSend => {
                let (at, lap) = self.lap(s.tail);
                if s.places[at] != (Word::Free, lap) {
                    return None;
                }
                s.places[at].0 = Word::Writing(me);
                s.tail += 1;
                s.there[at] = me + 1;
                s.actors[i] = Actor { at: Publish, place: at as u8, turn: lap, copy: 0 };
                "claim a place and write"
            }
            Publish => {
                s.places[here].0 = Word::Full;
                go(s, Wait);
                "publish"
            }
            Wait | LookAgain => {
                match now {
                    (_, now) if now != turn => go(s, Sent),
                    (Word::Holding(_), _) => go(s, Sent),
                    // The deadline is over, so it takes it back now.
                    (word, _) if at == LookAgain => go(s, TakeBack(word)),
                    _ => return None,
                }
                "see that a receiver has it"
            }
            TakeBack(seen) => {
                let takes = match seen {
                    Word::Full => true,
                    Word::Reading(_) => self.without != Without::TakingFromReaders,
                    _ => false,
                };
                let same = now == (seen, turn) || self.without == Without::TakingByExchange;
                if takes && same {
                    s.places[here] = (Word::Free, turn + 1);
                    go(s, NotSent);
                } else {
                    go(s, LookAgain);
                }
                "take it back"
            }
            ClaimReceive => {
                let (at, lap) = self.lap(s.head);
                let (word, turn) = s.places[at];
                if turn > lap || turn == lap && matches!(word, Word::Reading(_) | Word::Holding(_)) {
                    s.head += 1;
                    return Some("move the head on");
                }
                if (word, turn) != (Word::Full, lap) {
                    return None;
                }
                s.places[at].0 = Word::Reading(me);
                s.head += 1;
                s.actors[i] = Actor { at: Copy, place: at as u8, turn: lap, copy: 0 };
                "claim a message"
            }
            Copy => {
                s.actors[i].copy = s.there[here];
                go(s, Release);
                "copy"
            }
            Release => {
                let ours = now == (Word::Reading(me), turn);
                if ours {
                    s.places[here] = (Word::Free, turn + 1);
                }
                if ours || self.without == Without::AskingRelease {
                    s.received[copy as usize - 1] += 1;
                }
                go(s, ClaimReceive);
                "release"
            }
            Hold => {
                let ours = now == (Word::Reading(me), turn);
                if ours && self.without != Without::Holding {
                    s.places[here].0 = Word::Holding(me);
                }
                go(s, if ours { Holds } else { ClaimReceive });
                "hold"
            }
            Holds => {
                s.actors[i].copy = s.there[here];
                go(s, EndHold);
                "read in place"
            }
            EndHold => {
                if s.there[here] != copy {
                    s.wrong = Some("somebody wrote where another reads in place");
                }
                if matches!(now, (Word::Reading(who) | Word::Holding(who), its) if (who, its) == (me, turn)) {
                    s.places[here] = (Word::Free, turn + 1);
                }
                // It has read it all the same.
                s.received[copy as usize - 1] += 1;
                go(s, ClaimReceive);
                "end holding"
            }
            Sent | NotSent | Stopped | Dead => return None,
        })
    }

    /// What the sweep, or whoever waits behind it, does for participant `dead`.
    fn repair(&self, s: &mut State, dead: u8) {
        for at in 0..self.places {
            let (word, turn) = s.places[at];
            match word {
                Word::Writing(who) if who == dead => s.places[at] = (Word::Free, turn + 1),
                Word::Reading(who) | Word::Holding(who) if who == dead => {
                    if self.without == Without::Redelivery {
                        s.places[at] = (Word::Free, turn + 1);
                    } else {
                        s.places[at].0 = Word::Full;
                        s.head = s.head.min(turn * self.places as u8 + at as u8);
                    }
                }
                _ => {}
            }
        }
        s.swept[dead as usize] = true;
    }
}

impl Model for Meeting {
    type State = State;

    fn start(&self) -> State {
        State {
            places: [(Word::Free, 0); PLACES],
            there: [0; PLACES],
            tail: 0,
            head: 0,
            actors: std::array::from_fn(|i| {
                let at = match i {
                    _ if self.is_sender(i) => ClaimSend,
                    _ if i < self.senders + self.receivers => ClaimReceive,
                    _ => Stopped,
                };
                Actor { at, place: 0, turn: 0, copy: 0 }
            }),
            dead: [false; ACTORS],
            swept: [false; ACTORS],
            received: [0; ACTORS],
            deaths: self.deaths,
            wrong: None,
        }
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut all = Vec::new();
        let mut step = |by: usize, does, counts, next: State| all.push((Step { by: by as u8, does, counts }, next));
        for i in 0..self.senders + self.receivers {
            let mut next = state.clone();
            if let Some(does) = self.act(i, &mut next) {
                step(i, does, true, next);
            }
            let actor = state.actors[i];
            if actor.at == Copy && self.hold {
                let mut next = state.clone();
                next.actors[i].at = Hold;
                step(i, "want to read in place", true, next);
            }
            if matches!(actor.at, Copy | Release) && self.stops {
                let mut next = state.clone();
                next.actors[i].at = Stopped;
                step(i, "is stopped", false, next);
            }
            // Who has a deadline can count on it.
            if self.deadlines && matches!(actor.at, ClaimSend | Wait) {
                let mut next = state.clone();
                next.actors[i].at = if actor.at == Wait { LookAgain } else { NotSent };
                step(i, "its deadline passes", true, next);
            }
            if state.deaths > 0 && !matches!(actor.at, Sent | NotSent | Stopped | Dead) {
                let mut next = state.clone();
                (next.actors[i].at, next.dead[i]) = (Dead, true);
                next.deaths -= 1;
                step(i, "is killed", false, next);
            }
            if state.dead[i] && !state.swept[i] && self.without != Without::Repair {
                let mut next = state.clone();
                self.repair(&mut next, i as u8);
                step(ACTORS, "repair", true, next);
            }
        }
        all
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(wrong) = state.wrong {
            return Err(wrong.to_string());
        }
        for i in 0..self.senders {
            // Somebody has it in his hands, and reads on whoever dies.
            let held = state
                .places
                .iter()
                .zip(state.there)
                .any(|((word, _), there)| there == i as u8 + 1 && !matches!(word, Word::Free | Word::Writing(_)));
            match (state.actors[i].at, state.received[i]) {
                (_, 2..) => return Err(format!("the message of {i} was received twice")),
                (NotSent, 1..) => return Err(format!("{i} was told that nobody has its message")),
                (Sent, 0) if !held => return Err(format!("{i} was told that somebody has its message")),
                _ => {}
            }
        }
        let names = |who: u8| state.dead[who as usize] && state.swept[who as usize];
        let named = state.places.iter().any(|(word, _)| match word {
            Word::Writing(who) | Word::Reading(who) | Word::Holding(who) => names(*who),
            Word::Free | Word::Full => false,
        });
        if named { Err("a word names one who was swept".to_string()) } else { Ok(()) }
    }

    fn is_done(&self, state: &State) -> bool {
        let full = state.places[..self.places].iter().any(|place| place.0 == Word::Full);
        let receiver =
            |i: &usize| matches!(state.actors[*i].at, ClaimReceive | Copy | Release | Hold | Holds | EndHold);
        let receives = (self.senders..self.senders + self.receivers).any(|i| receiver(&i));
        let ended = |actor: &Actor| match actor.at {
            Sent | NotSent | Stopped | Dead => true,
            ClaimReceive => !full,
            // Nobody is there to meet.
            ClaimSend | Wait => !receives && !self.deadlines,
            _ => false,
        };
        state.actors.iter().all(ended) && (state.dead == state.swept)
    }
}

const SMALL: Meeting = Meeting {
    without: Without::Nothing,
    places: 1,
    senders: 1,
    receivers: 1,
    deadlines: true,
    hold: false,
    stops: false,
    deaths: 0,
};

#[test]
fn everybody_is_told_the_truth_whoever_dies_at_whatever_step() {
    for (senders, receivers) in [(1, 2), (2, 1), (2, 2)] {
        for deadlines in [false, true] {
            explore(&Meeting { senders, receivers, deadlines, hold: true, deaths: 1, ..SMALL });
        }
    }
    explore(&Meeting { places: 2, senders: 2, receivers: 2, hold: true, deaths: 1, ..SMALL });
    explore(&Meeting { senders: 2, receivers: 1, deaths: 2, ..SMALL });
}

#[test]
fn a_deadline_holds_against_a_receiver_that_was_stopped() {
    explore(&Meeting { stops: true, ..SMALL });
    explore(&Meeting { stops: true, senders: 2, deaths: 1, ..SMALL });
}

#[test]
#[ignore = "a million states: for the long run, in release"]
fn two_senders_two_receivers_and_two_deaths() {
    for places in 1..=2 {
        let model = Meeting { places, senders: 2, receivers: 2, hold: true, deaths: 2, ..SMALL };
        println!("{places} places: {} states", explore(&model));
    }
}

#[test]
fn no_rule_can_be_left_out() {
    let models = [
        Meeting { without: Without::TakingByExchange, ..SMALL },
        Meeting { without: Without::AskingRelease, ..SMALL },
        Meeting { without: Without::Holding, hold: true, ..SMALL },
        Meeting { without: Without::Redelivery, deaths: 1, ..SMALL },
        Meeting { without: Without::Repair, deadlines: false, receivers: 2, deaths: 1, ..SMALL },
        Meeting { without: Without::TakingFromReaders, stops: true, ..SMALL },
    ];
    for model in models {
        assert!(find_fault(&model).is_err(), "{:?} is not missed", model.without);
    }
}
