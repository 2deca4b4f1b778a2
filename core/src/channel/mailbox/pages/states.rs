//! The algorithm of `mod.rs`, step by step, for the explorer: senders, receivers and two sweeps, each of which may be
//! killed before any step.
//!
//! Places are simple here, as they have models of their own: a claim and the move of `tail` or `head` are one step,
//! and so is the repair of a place. What is looked at is what lies in them: a frame holds what was written last, and
//! nothing at all once it was punched.
//!
//! Each rule of the algorithm that does not look necessary has a `Without`: a model that leaves it out, and fails.

use crate::model::{Model, Step, explore, find_fault};

/// At most so many of each.
const PLACES: usize = 2;
const FRAMES: usize = 2;
const ACTORS: usize = 3;
const SWEEPS: usize = 2;

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// Who leaves a page looks at its places only before it says so.
    LookAfter,
    /// A sender goes on with a frame that is being left, and does not say so.
    TurningBack,
    /// Saying that a page is left does not raise its generation.
    PageGeneration,
    /// Taking a frame does not raise its generation.
    FrameGeneration,
    /// A frame is freed by a plain store.
    FreeingByExchange,
    /// The sweep does not free frames that belong to no page.
    Orphans,
    /// The sweep looks at each frame once.
    SecondLook,
    /// The sweep makes every frame that a dead one took `EMPTY`, without a look at the page.
    LookAtPage,
}

#[derive(Clone, Copy)]
struct Paged {
    without: Without,
    pages: usize,
    /// Places on a page.
    each: usize,
    frames: usize,
    senders: usize,
    receivers: usize,
    /// Messages of each sender.
    messages: u8,
    /// Frames are punched when they are free.
    punch: bool,
    deaths: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    Free,
    Writing(u8),
    Full,
    Reading(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Page {
    None,
    Have(u8),
    Leaving(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Frame {
    Empty,
    Spare,
    Taken(u8, u8),
    Used(u8),
    Punched(u8),
}

type PageWord = (Page, u8);
type FrameWord = (Frame, u8);

/// What an actor does next. In the order of `mod.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    // a sender
    ClaimSend,
    Look,
    TurnBack(PageWord),
    Take(PageWord),
    Commit(PageWord, u8, FrameWord),
    Hand(PageWord, u8, FrameWord),
    Say(bool, u8, FrameWord),
    Write(u8),
    Publish,
    // a receiver
    ClaimReceive,
    Find,
    Read(u8),
    Release,
    // who leaves a page
    LookPage(u8),
    SeeFirst(u8, u8, PageWord),
    Leave(u8, PageWord),
    LookUse(u8, u8, u8),
    See(u8, u8, u8, u8, u8),
    Stay(u8, u8, u8),
    Left(u8, u8, u8, u8),
    FreeFrame(u8, u8, u8),
    Punch(u8, u8),
    Punched(u8, u8),
    Done,
    Dead,
}
use At::*;

/// What a sweep does next: for whom, and at which frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Sweep {
    Idle,
    Places(u8),
    Frame(u8, u8),
    Has(u8, u8, FrameWord),
    Exchange(u8, u8, FrameWord, FrameWord),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: At,
    /// Messages it has still to send.
    left: u8,
    /// Its claimed place.
    place: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    places: [(Place, u8); PLACES],
    /// The message that was committed there.
    sent: [u8; PLACES],
    tail: u8,
    head: u8,
    pages: [PageWord; PLACES],
    frames: [FrameWord; FRAMES],
    /// What lies in a frame; `None`: it has no memory.
    memory: [Option<[u8; PLACES]>; FRAMES],
    actors: [Actor; ACTORS],
    sweeps: [Sweep; SWEEPS],
    dead: [bool; ACTORS],
    swept: [bool; ACTORS],
    deaths: u8,
    /// The number of the next message.
    next: u8,
    wrong: Option<&'static str>,
}

impl Paged {
    fn places(&self) -> usize {
        self.pages * self.each
    }

    fn page_of(&self, place: u8) -> u8 {
        place / self.each as u8
    }

    fn leads_on(&self, i: usize) -> At {
        if i < self.senders { ClaimSend } else { ClaimReceive }
    }

    fn act(&self, i: usize, s: &mut State) -> Option<&'static str> {
        let me = i as u8;
        let Actor { at, place, left } = s.actors[i];
        let page = self.page_of(place) as usize;
        let inside = place as usize % self.each;
        let go = |s: &mut State, at| s.actors[i].at = at;
        Some(match at {
            ClaimSend => {
                let at = s.tail as usize % self.places();
                if left == 0 {
                    go(s, Done);
                    return Some("has sent everything");
                }
                if s.places[at] != (Place::Free, s.tail / self.places() as u8) {
                    return None; // Full: somebody receives first.
                }
                s.places[at].0 = Place::Writing(me);
                s.tail += 1;
                s.actors[i] = Actor { at: Look, place: at as u8, left: left - 1 };
                "claim a place to write"
            }
            Look => {
                let seen = s.pages[page];
                match seen.0 {
                    Page::Have(frame) => go(s, Write(frame)),
                    Page::Leaving(frame) if self.without == Without::TurningBack => go(s, Write(frame)),
                    Page::Leaving(_) => go(s, TurnBack(seen)),
                    Page::None => go(s, Take(seen)),
                }
                "look at the page"
            }
            TurnBack(seen) => {
                let Page::Leaving(frame) = seen.0 else { return None };
                if s.pages[page] == seen {
                    s.pages[page].0 = Page::Have(frame);
                    go(s, Write(frame));
                } else {
                    go(s, Look);
                }
                "turn the page back"
            }
            Take(seen) => {
                let spare = (0..self.frames).find(|f| s.frames[*f].0 == Frame::Spare);
                let free = spare.or_else(|| (0..self.frames).find(|f| s.frames[*f].0 == Frame::Empty));
                let Some(frame) = free else {
                    go(s, Look); // In the mailbox: it gives up. Here: somebody frees one.
                    return if s.pages[page] == seen { None } else { Some("find no frame") };
                };
                let raised = u8::from(self.without != Without::FrameGeneration);
                let taken = (Frame::Taken(me, page as u8), s.frames[frame].1 + raised);
                s.frames[frame] = taken;
                go(s, if spare.is_some() { Hand(seen, frame as u8, taken) } else { Commit(seen, frame as u8, taken) });
                "take a frame"
            }
            Commit(seen, frame, taken) => {
                s.memory[frame as usize].get_or_insert([0; PLACES]);
                go(s, Hand(seen, frame, taken));
                "commit it"
            }
            Hand(seen, frame, taken) => {
                let given = s.pages[page] == seen;
                if given {
                    s.pages[page].0 = Page::Have(frame);
                }
                go(s, Say(given, frame, taken));
                "hand it to the page"
            }
            Say(given, frame, taken) => {
                if s.frames[frame as usize] == taken {
                    let says = if given { Frame::Used(page as u8) } else { Frame::Spare };
                    s.frames[frame as usize].0 = says;
                }
                go(s, if given { Write(frame) } else { Look });
                "say that it is used"
            }
            Write(frame) => {
                match &mut s.memory[frame as usize] {
                    Some(memory) => memory[inside] = s.next,
                    None => s.wrong = Some("a write to memory that is not there"),
                }
                s.sent[place as usize] = s.next;
                s.next += 1;
                go(s, Publish);
                "write"
            }
            Publish => {
                s.places[place as usize].0 = Place::Full;
                go(s, ClaimSend);
                "publish"
            }
            ClaimReceive => {
                let at = s.head as usize % self.places();
                let ((place, turn), lap) = (s.places[at], s.head / self.places() as u8);
                if turn > lap || turn == lap && matches!(place, Place::Reading(_)) {
                    s.head += 1;
                    return Some("move the head on");
                }
                if (place, turn) != (Place::Full, lap) {
                    return None; // Empty.
                }
                s.places[at].0 = Place::Reading(me);
                s.head += 1;
                s.actors[i] = Actor { at: Find, place: at as u8, left };
                "claim a message"
            }
            Find => {
                match s.pages[page].0 {
                    Page::Have(frame) | Page::Leaving(frame) => go(s, Read(frame)),
                    Page::None => s.wrong = Some("a message without a frame"),
                }
                "find its frame"
            }
            Read(frame) => {
                if s.memory[frame as usize].is_none_or(|memory| memory[inside] != s.sent[place as usize]) {
                    s.wrong = Some("another message than was sent");
                }
                go(s, Release);
                "read"
            }
            Release => {
                s.places[place as usize] = (Place::Free, s.places[place as usize].1 + 1);
                let moved_on = self.page_of((s.head as usize % self.places()) as u8) as usize != page;
                // One page is left when it is free, so that there is something to explore.
                go(s, if moved_on || self.pages == 1 { LookPage(page as u8) } else { ClaimReceive });
                "release"
            }
            LookPage(of) => {
                let seen = s.pages[of as usize];
                match seen.0 {
                    Page::None => go(s, ClaimReceive),
                    _ => go(s, SeeFirst(of, 0, seen)),
                }
                "look at the page to leave"
            }
            SeeFirst(of, n, seen) => {
                let free = s.places[of as usize * self.each + n as usize].0 == Place::Free;
                go(
                    s,
                    match free {
                        false => ClaimReceive,
                        true if (n as usize + 1) < self.each => SeeFirst(of, n + 1, seen),
                        true => Leave(of, seen),
                    },
                );
                "is this place free?"
            }
            Leave(of, seen) => {
                let (Page::Have(frame) | Page::Leaving(frame)) = seen.0 else { return None };
                if s.pages[of as usize] == seen {
                    let generation = seen.1 + u8::from(self.without != Without::PageGeneration);
                    s.pages[of as usize] = (Page::Leaving(frame), generation);
                    go(s, LookUse(of, frame, generation));
                } else {
                    go(s, ClaimReceive);
                }
                "say that the page is left"
            }
            LookUse(of, frame, generation) => {
                let use_ = s.frames[frame as usize].1;
                let last = self.without == Without::LookAfter;
                go(s, if last { Left(of, frame, generation, use_) } else { See(of, frame, generation, use_, 0) });
                "look up which use of the frame this is"
            }
            See(of, frame, generation, use_, n) => {
                let free = s.places[of as usize * self.each + n as usize].0 == Place::Free;
                go(
                    s,
                    match free {
                        false => Stay(of, frame, generation),
                        true if (n as usize + 1) < self.each => See(of, frame, generation, use_, n + 1),
                        true => Left(of, frame, generation, use_),
                    },
                );
                "is this place free still?"
            }
            Stay(of, frame, generation) => {
                if s.pages[of as usize] == (Page::Leaving(frame), generation) {
                    s.pages[of as usize].0 = Page::Have(frame);
                }
                go(s, ClaimReceive);
                "do not leave it"
            }
            Left(of, frame, generation, use_) => {
                if s.pages[of as usize] == (Page::Leaving(frame), generation) {
                    s.pages[of as usize].0 = Page::None;
                    go(s, FreeFrame(of, frame, use_));
                } else {
                    go(s, ClaimReceive);
                }
                "leave it"
            }
            FreeFrame(of, frame, use_) => {
                let blindly = self.without == Without::FreeingByExchange;
                let ours = s.frames[frame as usize] == (Frame::Used(of), use_);
                if ours || blindly {
                    s.frames[frame as usize].0 = if self.punch { Frame::Punched(me) } else { Frame::Spare };
                }
                go(s, if ours && self.punch { Punch(frame, use_) } else { ClaimReceive });
                "free the frame"
            }
            Punch(frame, use_) => {
                s.memory[frame as usize] = None;
                go(s, Punched(frame, use_));
                "punch it"
            }
            Punched(frame, use_) => {
                if s.frames[frame as usize] == (Frame::Punched(me), use_) {
                    s.frames[frame as usize].0 = Frame::Empty;
                }
                go(s, ClaimReceive);
                "it is empty"
            }
            Done | Dead => return None,
        })
    }

    fn has(&self, s: &State, page: u8, frame: u8) -> bool {
        matches!(s.pages[page as usize].0, Page::Have(its) | Page::Leaving(its) if its == frame)
    }

    /// The next step of sweep number `n`.
    fn sweep(&self, n: usize, s: &mut State) -> Option<&'static str> {
        Some(match s.sweeps[n] {
            Sweep::Idle => return None,
            Sweep::Places(dead) => {
                for at in 0..self.places() {
                    match s.places[at].0 {
                        Place::Writing(who) if who == dead => s.places[at] = (Place::Free, s.places[at].1 + 1),
                        Place::Reading(who) if who == dead => {
                            s.places[at].0 = Place::Full;
                            s.head = s.head.min(s.places[at].1 * self.places() as u8 + at as u8);
                        }
                        _ => {}
                    }
                }
                s.sweeps[n] = Sweep::Frame(dead, 0);
                "sweep: the places"
            }
            Sweep::Frame(dead, frame) if frame as usize == self.frames => {
                s.swept[dead as usize] = true;
                s.sweeps[n] = Sweep::Idle;
                "sweep: the seat is free"
            }
            Sweep::Frame(dead, frame) => {
                let seen = s.frames[frame as usize];
                s.sweeps[n] = match seen.0 {
                    Frame::Taken(who, _) | Frame::Punched(who) if who == dead => Sweep::Has(dead, frame, seen),
                    Frame::Used(_) if self.without != Without::Orphans => Sweep::Has(dead, frame, seen),
                    _ => Sweep::Frame(dead, frame + 1),
                };
                "sweep: look at a frame"
            }
            Sweep::Has(dead, frame, seen) => {
                let next = match seen.0 {
                    Frame::Taken(_, page) if self.has(s, page, frame) && self.without != Without::LookAtPage => {
                        Some(Frame::Used(page))
                    }
                    Frame::Taken(..) | Frame::Punched(_) => Some(Frame::Empty),
                    Frame::Used(page) if !self.has(s, page, frame) => Some(Frame::Spare),
                    _ => None,
                };
                s.sweeps[n] = match next {
                    Some(next) => Sweep::Exchange(dead, frame, seen, (next, seen.1)),
                    None => Sweep::Frame(dead, frame + 1),
                };
                "sweep: look at its page"
            }
            Sweep::Exchange(dead, frame, seen, next) => {
                if s.frames[frame as usize] == seen {
                    s.frames[frame as usize] = next;
                }
                let again = self.without != Without::SecondLook;
                s.sweeps[n] = Sweep::Frame(dead, if again { frame } else { frame + 1 });
                "sweep: put the frame right"
            }
        })
    }
}

impl Model for Paged {
    type State = State;

    fn start(&self) -> State {
        State {
            places: [(Place::Free, 0); PLACES],
            sent: [0; PLACES],
            tail: 0,
            head: 0,
            pages: [(Page::None, 0); PLACES],
            frames: [(Frame::Empty, 0); FRAMES],
            memory: [None; FRAMES],
            actors: std::array::from_fn(|i| Actor {
                at: if i < self.senders + self.receivers { self.leads_on(i) } else { Done },
                left: if i < self.senders { self.messages } else { 0 },
                place: 0,
            }),
            sweeps: [Sweep::Idle; SWEEPS],
            dead: [false; ACTORS],
            swept: [false; ACTORS],
            deaths: self.deaths,
            next: 1,
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
            if state.deaths > 0 && !matches!(state.actors[i].at, Done | Dead) {
                let mut next = state.clone();
                (next.actors[i].at, next.dead[i]) = (Dead, true);
                next.deaths -= 1;
                step(i, "is killed", false, next);
            }
        }
        for n in 0..SWEEPS {
            let busy = |dead: u8| {
                state.sweeps.iter().any(|sweep| match sweep {
                    Sweep::Idle => false,
                    Sweep::Places(d) | Sweep::Frame(d, _) | Sweep::Has(d, ..) | Sweep::Exchange(d, ..) => *d == dead,
                })
            };
            for dead in 0..ACTORS as u8 {
                let due = state.dead[dead as usize] && !state.swept[dead as usize];
                if state.sweeps[n] == Sweep::Idle && due && !busy(dead) {
                    let mut next = state.clone();
                    next.sweeps[n] = Sweep::Places(dead);
                    step(ACTORS + n, "sweep: begin", true, next);
                }
            }
            let mut next = state.clone();
            if let Some(does) = self.sweep(n, &mut next) {
                step(ACTORS + n, does, true, next);
                let mut next = state.clone();
                next.sweeps[n] = Sweep::Idle;
                step(ACTORS + n, "the sweep is killed", false, next);
            }
        }
        all
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(wrong) = state.wrong {
            return Err(wrong.to_string());
        }
        for frame in 0..self.frames as u8 {
            let of = (0..self.pages as u8).filter(|page| self.has(state, *page, frame)).count();
            let free = matches!(state.frames[frame as usize].0, Frame::Empty | Frame::Spare | Frame::Punched(_));
            if of > 1 || of == 1 && free {
                return Err(format!("frame {frame} belongs to {of} pages, and is it free? {free}"));
            }
            if self.is_done(state) {
                match state.frames[frame as usize].0 {
                    Frame::Taken(..) | Frame::Punched(_) => return Err(format!("frame {frame} names somebody still")),
                    Frame::Used(_) if of == 0 => return Err(format!("frame {frame} belongs to no page")),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        let full = state.places[..self.places()].iter().any(|place| place.0 == Place::Full);
        let receives = (self.senders..self.senders + self.receivers).any(|i| !state.dead[i]);
        let ended = |actor: &Actor| match actor.at {
            Done | Dead => true,
            ClaimReceive => !full,
            ClaimSend => !receives,
            _ => false,
        };
        state.actors.iter().all(ended) && state.dead == state.swept && state.sweeps == [Sweep::Idle; SWEEPS]
    }
}

/// One sender, one receiver, one page of one place.
const SMALL: Paged = Paged {
    without: Without::Nothing,
    pages: 1,
    each: 1,
    frames: 1,
    senders: 1,
    receivers: 1,
    messages: 2,
    punch: false,
    deaths: 0,
};

#[test]
fn every_message_lies_in_memory_of_its_own_and_no_frame_is_lost() {
    for punch in [false, true] {
        explore(&Paged { punch, messages: 3, deaths: 1, ..SMALL });
        explore(&Paged { punch, each: 2, frames: 2, senders: 2, messages: 1, ..SMALL });
        explore(&Paged { punch, pages: 2, frames: 2, messages: 3, receivers: 2, ..SMALL });
    }
}

#[test]
fn whoever_is_killed_at_whatever_step_leaves_nothing_behind() {
    explore(&Paged { deaths: 2, punch: true, ..SMALL });
    explore(&Paged { each: 2, receivers: 2, deaths: 1, ..SMALL });
    explore(&Paged { pages: 2, frames: 2, senders: 2, messages: 1, deaths: 1, ..SMALL });
}

#[test]
#[ignore = "some million states: for the long run, in release"]
fn two_senders_two_pages_and_two_deaths() {
    for (each, punch, senders, receivers) in [(1, true, 1, 2), (1, true, 2, 1), (2, false, 1, 2)] {
        let states = explore(&Paged { each, frames: 2, punch, senders, receivers, deaths: 2, ..SMALL });
        println!("{each} places, {senders} senders, {receivers} receivers: {states} states");
    }
}

#[test]
fn no_rule_can_be_left_out() {
    let meddled = Paged { receivers: 2, messages: 3, deaths: 1, ..SMALL };
    let models = [
        Paged { without: Without::LookAfter, ..SMALL },
        Paged { without: Without::TurningBack, ..SMALL },
        Paged { without: Without::PageGeneration, receivers: 2, messages: 3, ..SMALL },
        Paged { without: Without::FrameGeneration, ..meddled },
        Paged { without: Without::FreeingByExchange, ..meddled },
        Paged { without: Without::Orphans, deaths: 1, ..SMALL },
        Paged { without: Without::SecondLook, senders: 2, messages: 1, deaths: 1, ..SMALL },
        Paged { without: Without::LookAtPage, deaths: 1, ..SMALL },
    ];
    for model in models {
        assert!(find_fault(&model).is_err(), "{:?} is not missed", model.without);
    }
}
