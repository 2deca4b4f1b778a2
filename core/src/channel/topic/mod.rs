//! A topic: one publisher's word to any number of subscribers, each with a cursor of its own.
//!
//! # State
//!
//! Slots with a sequence word each, cursors, and the publisher's role: in `words.rs`, with the argument why the
//! publisher never overtakes who must not be overtaken. Where they lie: `place.rs`.
//!
//! # Policies
//!
//! | policy      | the publisher would overtake the slowest subscriber | subscribers                                  |
//! |-------------|-----------------------------------------------------|----------------------------------------------|
//! | block       | it waits                                            | receive every message                        |
//! | drop oldest | it overwrites, and never looks at subscribers       | who is overtaken is told how many it missed  |
//! | drop newest | it drops its own message and says so                | are told how many were dropped               |
//!
//! A message carries how many were dropped before it, so that under the third policy, too, nobody misses anything
//! unawares. What was missed is told once, by [`Lost`](ErrorKind::Lost); the next call goes on with what is there.
//!
//! # Orderings
//!
//! Edges `message`, `overwrite`, `room`, `join`, `evict`: in `words.rs`; `role`: in the ring's `role.rs`. Publishing
//! has no fence, nor has receiving; what that means for who is about to sleep stands in `wait/park.rs`, and
//! [`Crowd`] does the same for many sleepers.
//!
//! # When a peer dies
//!
//! | killed                                  | what the others see                                                  |
//! |-----------------------------------------|----------------------------------------------------------------------|
//! | publisher before its message is there   | nothing of it; when they have read the rest, `PeerDead`                |
//! | publisher after that                    | the message, at the end of a slice at the latest                      |
//! | subscriber                              | room, once the publisher that it is in the way of has noticed           |
//! | either, and a successor has come        | nothing: it goes on where the dead one stopped, a subscriber anew       |
//!
//! A publisher that let go, or has not come yet, is no death: who waits for messages goes on waiting.
//!
//! # Cost
//!
//! A message of up to 48 bytes moves one cache line to each subscriber. No locked instruction, and no system call
//! unless somebody sleeps. The publisher looks at the cursors once per lap of the slowest subscriber.

#[cfg(all(test, shuttle))]
mod deaths;
mod grant;
#[cfg(all(test, any(loom, shuttle)))]
mod heap;
#[cfg(all(test, loom))]
mod model;
mod options;
mod place;
mod publisher;
mod reading;
mod ready;
#[cfg(all(test, not(any(loom, shuttle))))]
mod states;
mod subscriber;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod words;

pub use grant::{PeekGrant, PublishGrant};
pub use options::{Start, TopicOptions, TopicPolicy};
pub use publisher::Publisher;
pub(crate) use ready::{PublisherSide, SubscriberSide};
pub use subscriber::Subscriber;

use crate::channel::ring::role::Holder;
use crate::deadline::now_ns;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    Ordering::{Acquire, Relaxed},
    Woken,
};
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState};
use crate::wait::{Bell, EventCount, World};
use place::Place;
use std::fmt;
use std::time::Duration;
use words::{Garbage, Memory, Reader, Writer};

/// What the sweep and the observers need to know.
pub static KIND: Kind =
    Kind { kind: ObjectKind::Topic, repair, ring: wake_all, leave: |_, _, _| {}, holds: |_| Holds::Nobody, state };

fn repair(view: View<'_>, slot: u32) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        words::repair(&place, slot);
    }
}

fn wake_all(view: View<'_>) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        place.control().filled.0.ring();
        place.control().freed.0.ring();
    }
}

fn state(view: View<'_>) -> Result<ObjectState> {
    // SAFETY: `place` ends with this function, before `view` does.
    let place = unsafe { Place::new(view) }?;
    let control = place.control();
    let written = control.written.load(Acquire);
    let lag = |at: u64| written.saturating_sub(at);
    Ok(ObjectState::Topic {
        capacity: place.capacity() as usize,
        message_size: place.message_size,
        policy: place.policy,
        published: written,
        // Relaxed: numbers to be shown.
        dropped: control.drops.load(Relaxed),
        evicted: control.evictions.load(Relaxed),
        shut_down: view.is_shut_down(),
        publisher: publisher_of(&place),
        subscribers: words::subscribers(&place).map(|(slot, at, _)| (slot, lag(at))).collect(),
        max_subscribers: place.cursors() as usize,
    })
}

/// The slot of the publisher, alive or not.
fn publisher_of(place: &Place) -> Option<u32> {
    match place.control().role.holder() {
        Holder::Slot(slot) => Some(slot),
        Holder::Nobody | Holder::Died => None,
    }
}

/// A topic: one publisher's word to any number of subscribers, in threads and processes.
///
/// A clone is another handle on the same topic. Handles stay good in a forked child; the publisher and the
/// subscribers made from them stay with the process that made them.
#[derive(Clone)]
pub struct Topic {
    object: Object,
    /// Checked at attach. Valid as long as `object` lives.
    place: Place,
}

impl Topic {
    /// Checks what lies there.
    pub(crate) fn attach(object: Object) -> Result<Topic> {
        // SAFETY: `object` keeps its memory mapped at this address as long as it lives, and stays beside `place`.
        match unsafe { Place::new(object.view()) } {
            Ok(place) => Ok(Topic { object, place }),
            Err(e) => Err(Error::new(e.kind(), format!("open topic \"{}\": {e}", object.address()))),
        }
    }

    /// Becomes its publisher. Takes over from a dead one: what that had published stays, what it had not is gone.
    ///
    /// # Errors
    /// `Busy` if a live process (this one, too) is its publisher; `Closed` if it was shut down; `Removed`;
    /// `Corrupt`.
    pub fn publisher(&self) -> Result<Publisher> {
        self.object.still_there()?;
        if self.object.is_shut_down() {
            return Err(self.closed("become publisher of"));
        }
        let me = self.object.me()?;
        let role = &self.place.control().role;
        let mine = role.take(me, |slot| self.object.is_dead(slot)).map_err(|slot| self.busy(slot, me))?;
        match Writer::take(&self.place, self.place.policy == TopicPolicy::DropOldest) {
            Ok(writer) => Ok(Publisher::new(self.clone(), writer, mine)),
            Err(garbage) => {
                role.release(mine);
                Err(self.corrupt(garbage))
            }
        }
    }

    /// Subscribes: from the next message on, or from the oldest one that is there.
    ///
    /// Under the policies that protect what a subscriber has not read, that protection begins with the messages
    /// published after this call. Of the history before them the subscriber gets what it reads before it is
    /// overwritten; the rest it is told of as missed.
    ///
    /// # Errors
    /// `NoSpace` if as many subscribers as the topic was made for are alive; `Removed`.
    pub fn subscriber(&self, start: Start) -> Result<Subscriber> {
        self.object.still_there()?;
        let me = self.object.me()?;
        let join = || {
            let mut free = 0..self.place.cursors();
            free.find_map(|index| Reader::join(&self.place, index, me, start == Start::Oldest))
        };
        let joined = join().or_else(|| {
            self.free_dead_cursors();
            join()
        });
        let reader = joined.ok_or_else(|| self.full())?;
        Ok(Subscriber::new(self.clone(), reader))
    }

    /// The most messages it keeps.
    pub fn capacity(&self) -> usize {
        self.place.capacity() as usize
    }

    /// The largest message in bytes.
    pub fn message_size(&self) -> usize {
        self.place.message_size
    }

    /// What the publisher does when it would overtake the slowest subscriber.
    pub fn policy(&self) -> TopicPolicy {
        self.place.policy
    }

    /// How long a live subscriber may be in the publisher's way; `None`: for ever.
    pub fn evict_after(&self) -> Option<Duration> {
        self.place.evict_after
    }

    /// How many can subscribe at the same time.
    pub fn max_subscribers(&self) -> usize {
        self.place.cursors() as usize
    }

    /// How many subscribe at this moment.
    pub fn subscribers(&self) -> usize {
        words::subscribers(&self.place).filter(|(.., out)| !out).count()
    }

    /// How many messages were published so far.
    pub fn published(&self) -> u64 {
        self.place.control().written.load(Acquire)
    }

    /// How many messages publishers dropped so far, under [`TopicPolicy::DropNewest`].
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number to be shown.
        self.place.control().drops.load(Relaxed)
    }

    /// Has the publisher said that it was the last one?
    pub fn is_shut_down(&self) -> bool {
        self.object.is_shut_down()
    }

    /// The layout of its messages; `None` if it was created without one.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.object.view().type_tag()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// What it was created with, but for the type tag.
    pub fn options(&self) -> TopicOptions<'static> {
        TopicOptions {
            capacity: self.capacity(),
            message_size: self.message_size(),
            subscribers: self.max_subscribers(),
            policy: self.policy(),
            evict_after: self.evict_after(),
            type_tag: "",
        }
    }

    /// Frees the cursors of subscribers that are dead. One system call for each that is taken.
    #[cold]
    fn free_dead_cursors(&self) {
        for index in 0..self.place.cursors() {
            let word = self.place.cursor(index).owner.load(Relaxed);
            let slot = words::slot_of(word);
            if slot != 0 && self.object.is_dead(slot) {
                let _ = words::Blocker { index, word, at: 0 }.free(&self.place); // false: somebody was faster
            }
        }
    }

    /// Says what is wrong if the publisher is dead: then only a successor can end a wait for messages.
    #[cold]
    fn check_publisher(&self) -> Result<()> {
        let who = match self.place.control().role.holder() {
            Holder::Nobody => return Ok(()),
            Holder::Slot(slot) if !self.object.is_dead(slot) => return Ok(()),
            Holder::Slot(slot) => format!("publisher, {},", self.process(slot)),
            Holder::Died => "publisher".to_string(),
        };
        Err(Error::new(
            ErrorKind::PeerDead,
            format!("topic \"{}\" has no further message and its {who} is dead; start a new publisher", self.address()),
        ))
    }

    fn address(&self) -> String {
        self.object.address()
    }

    fn process(&self, slot: u32) -> String {
        self.object.pid_of(slot).map_or_else(|| format!("the process in slot {slot}"), |pid| format!("process {pid}"))
    }

    #[cold]
    fn busy(&self, slot: u32, me: u32) -> Error {
        let who = if slot == me { "this process".to_string() } else { self.process(slot) };
        Error::new(
            ErrorKind::Busy,
            format!(
                "become publisher of topic \"{}\": {who} is; there is one at a time, so wait until it lets go or ends",
                self.address()
            ),
        )
    }

    #[cold]
    fn full(&self) -> Error {
        let most = self.place.cursors();
        let name = self.address();
        Error::new(
            ErrorKind::NoSpace,
            format!(
                "subscribe to topic \"{name}\": it was made for {most} subscribers, and all of them are there; let one go, or create it for more"
            ),
        )
    }

    #[cold]
    fn closed(&self, tried: &str) -> Error {
        let name = self.address();
        Error::new(
            ErrorKind::Closed,
            format!("{tried} topic \"{name}\": it was shut down; create a new one to go on publishing"),
        )
    }

    #[cold]
    fn too_large(&self, what: &str, size: usize) -> Error {
        let (name, most) = (self.address(), self.message_size());
        Error::new(
            ErrorKind::TooLarge,
            format!(
                "{what}: {size} bytes are too large for topic \"{name}\", whose messages have at most {most}; create it with a larger message size"
            ),
        )
    }

    #[cold]
    fn corrupt(&self, Garbage(what, found): Garbage) -> Error {
        let name = self.address();
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "topic \"{name}\": {what} is {found:#x}, which cannot be; some process wrote there. Remove the topic and create it anew"
            ),
        )
    }

    #[cold]
    fn forked(&self, what: &str) -> Error {
        let name = self.address();
        Error::new(
            ErrorKind::Forked,
            format!("this {what} of topic \"{name}\" belongs to the parent process; take one of your own"),
        )
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("address", &self.address()).field("options", &self.options()).finish()
    }
}

/// Where subscribers sleep: any number of them, beside a publisher that does not fence. See `wait/park.rs`: a store
/// that still sits in the publisher's buffer is seen within microseconds, so whoever is about to sleep goes on looking
/// for a while, and its sleep ends by itself.
#[derive(Clone, Copy)]
pub struct Crowd<'a>(pub &'a EventCount);

impl Bell for Crowd<'_> {
    fn recheck_ns(&self) -> u64 {
        if cfg!(any(loom, shuttle)) { 0 } else { 10_000 }
    }
    fn prepare(&self) -> u32 {
        self.0.prepare()
    }
    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.0.sleep(key, at_ns)
    }
}

/// When an end last asked whether somebody is still alive: a system call.
#[derive(Default)]
struct Doubt {
    asked_ns: u64,
}

impl Doubt {
    const EVERY_NS: u64 = 1_000_000;

    /// Is it time to ask again? Says yes once per period.
    fn is_due(&mut self) -> bool {
        let now = now_ns();
        let due = now.saturating_sub(self.asked_ns) >= Self::EVERY_NS;
        if due {
            self.asked_ns = now;
        }
        due
    }
}
