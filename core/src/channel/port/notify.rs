//! Notifications: what a port tells its receiver about other ports.
//!
//! # State
//!
//! A notification is not a message that somebody has to send in time, perhaps while he dies, into a queue that may be
//! full. It is a request that lies in the port which will tell it: whoever receives there looks at what was asked for,
//! and takes the request off when it has come true. So none is lost, and none is told twice.
//!
//! Word of a request: bits 0–1 state, 2–3 event, 4–15 owner, 16–63 a number that makes it unique.
//!
//! | state        | meaning               | next                                                        |
//! |--------------|-----------------------|-------------------------------------------------------------|
//! | `FREE`       | room                  | `SETTING`                                                   |
//! | `SETTING(s)` | s writes what it asks | `SET`; s is dead: `FREE`                                    |
//! | `SET`        | asked for             | `FREE`, by the receiver when it is true; it is told then    |
//!
//! # Orderings
//!
//! Edge `wish`: who asks releases `SET`, who looks acquires it and sees what is asked for.
//!
//! # When a peer dies
//!
//! Who asked: the request stays, it is the port's. The receiver between taking it off and returning: told to nobody, as
//! a message that died with its receiver.

use super::life::{Life, Receiver};
use super::memory::{Memory, Request, index_and_generation};
use crate::channel::death::step;
use crate::prim::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::{Error, ErrorKind};

const SETTING: u64 = 1;
const SET: u64 = 2;

/// What a port tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortEvent {
    /// Nobody has a right to send to the port any more.
    NoSenders = 1,
    /// Nobody has the right to receive from the port any more: its receiver died or gave it up.
    DeadName = 2,
    /// A pending message was taken from the port: another one may be sent.
    Accepted = 3,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What happened.
    pub event: PortEvent,
    /// The name of the port that it happened to; empty if that was removed.
    pub port: String,
}

impl Request {
    fn change(&self, from: u64, to: u64) -> bool {
        step!();
        // ORDER wish: AcqRel; Release pairs with the Acquire in `wishes`. Acquire: what stood there has been read before
        // it is written anew (loom never puts a load behind a later exchange, and does not need this). No barrier: who
        // asks rings, whoever sleeps.
        self.word.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }

    /// What is asked for; `None`: nothing.
    fn event(word: u64) -> Option<PortEvent> {
        match (word & 3, word >> 2 & 3) {
            (SET, 1) => Some(PortEvent::NoSenders),
            (SET, 2) => Some(PortEvent::DeadName),
            (SET, 3) => Some(PortEvent::Accepted),
            _ => None,
        }
    }

    /// Frees it if `dead` was writing it.
    pub fn repair(&self, dead: u32) {
        let word = self.word.load(Relaxed); // Relaxed: the exchange decides.
        if word & 3 == SETTING && (word >> 4 & 0xFFF) as u32 == dead {
            self.change(word, word & !0xFFFF);
        }
    }
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub event: PortEvent,
    /// The port that is watched.
    pub port: u64,
    /// Place and stamp of the pending message.
    pub message: u64,
}

/// Leaves a wish in `memory`, as participant `me`; `true`: there was room.
pub(super) fn ask(memory: &Memory, me: u32, wish: Wish) -> bool {
    let asked = set(&memory.control().requests, me, wish);
    if asked {
        memory.control().rx.0.ring();
    }
    asked
}

/// What is asked for: request, word and wish. The wish is that of the word while the word stands.
fn wishes(requests: &[Request]) -> impl Iterator<Item = (&Request, u64, Wish)> {
    requests.iter().filter_map(|request| {
        // ORDER wish: Acquire; pairs with the Release in `change`: who sees it set sees what is asked for.
        let word = request.word.load(Acquire);
        let event = Request::event(word)?;
        let (port, message) = (request.port.load(Relaxed), request.message.load(Relaxed));
        Some((request, word, Wish { event, port, message }))
    })
}

/// Writes a wish where there is room.
pub(super) fn set(requests: &[Request], me: u32, wish: Wish) -> bool {
    requests.iter().any(|request| {
        let free = request.word.load(Relaxed); // Relaxed: the exchange decides.
        let number = (free >> 16).wrapping_add(1) << 16;
        let setting = SETTING | u64::from(me & 0xFFF) << 4 | number;
        if matches!(free & 3, SETTING | SET) || !request.change(free, setting) {
            return false;
        }
        // Relaxed: `SET` releases both.
        request.port.store(wish.port, Relaxed);
        request.message.store(wish.message, Relaxed);
        request.change(setting, SET | (wish.event as u64) << 2 | number)
    })
}

/// Has `watcher`, a port's number, woken when something changes at the port of these `watchers`. With no room it finds
/// out by itself, later.
pub(super) fn watch(watchers: &[AtomicU64], watcher: u64) {
    for place in watchers {
        // Relaxed: who asks rings behind this. Whoever sleeps then has registered behind that ring, with a full barrier,
        // and finds what this watcher was not told of.
        let now = place.load(Relaxed);
        if now == watcher || now == 0 && place.compare_exchange(0, watcher, Relaxed, Relaxed).is_ok() {
            return;
        }
    }
}

/// Takes back a wish about one pending message.
pub(super) fn forget(requests: &[Request], wish: Wish) {
    for (request, word, asked) in wishes(requests) {
        if asked == wish {
            request.change(word, word & !0xFFFF);
        }
    }
}

/// Something that was asked for in `memory` and is true: takes it off. Looking costs one load for each request.
pub(super) fn tell(memory: &Memory, life: Life<'_>) -> Option<Notification> {
    let Wish { event, port, .. } = take(&memory.control().requests, |wish| has_happened(life, wish))?;
    let (index, generation) = index_and_generation(port);
    Some(Notification { event, port: life.object.neighbour_name(index, generation).unwrap_or_default() })
}

/// Takes off a wish that has come true.
pub(super) fn take(requests: &[Request], happened: impl Fn(Wish) -> bool) -> Option<Wish> {
    let mut taken =
        wishes(requests).filter(|(request, word, wish)| happened(*wish) && request.change(*word, word & !0xFFFF));
    taken.next().map(|(_, _, wish)| wish)
}

/// Would [`tell`] tell something?
pub(super) fn would_tell(memory: &Memory, life: Life<'_>) -> bool {
    wishes(&memory.control().requests).any(|(_, _, wish)| has_happened(life, wish))
}

fn has_happened(life: Life<'_>, Wish { event, port, message }: Wish) -> bool {
    match (life.neighbour(port), event) {
        (None, _) => true,
        (Some(port), PortEvent::DeadName) => life.look_receiver(&port).1 == Receiver::Dead,
        // Relaxed: whoever made the first right has told of it before he lost it.
        (Some(port), PortEvent::NoSenders) => port.control().made.load(Relaxed) > 0 && !life.has_senders(&port),
        (Some(port), PortEvent::Accepted) => !port.places().carries((message & 0xFFFF) as u32, message >> 16),
    }
}

/// The error when nothing more can be asked for.
#[cold]
pub(super) fn full(port: &str) -> Error {
    let why = format!("port {port:?} waits for as many notifications as it can; receive some, or use another port");
    Error::new(ErrorKind::NoSpace, why)
}

/// Is anything asked for? For whoever waits.
pub(super) fn is_asked(memory: &Memory) -> bool {
    memory.control().requests.iter().any(|request| Request::event(request.word.load(Relaxed)).is_some())
}
