//! Could an end go on now? For whoever waits for several things at once.
//!
//! These look from outside: an end's own numbers lie in the process that has it, but its position and its word are
//! shared.

use super::publisher::Blockers;
use super::words::{Look, Memory, Reader, scan};
use super::{Crowd, Publisher, Subscriber, Topic, TopicPolicy, publisher_of};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Ordering::Relaxed;
use crate::segment::object::Object;
use crate::wait::ParkWord;
use std::sync::{Mutex, PoisonError};

/// What a set keeps of a subscriber.
pub(crate) struct SubscriberSide {
    topic: Topic,
    cursor: u32,
    mine: u32,
}

/// What a set keeps of a publisher.
pub(crate) struct PublisherSide {
    topic: Topic,
    mine: u32,
    /// Process-private: the set's looks, and since when it finds whom in the way.
    blockers: Mutex<Blockers>,
}

impl Subscriber {
    /// For a set.
    pub(crate) fn side(&self) -> Result<SubscriberSide> {
        let (cursor, mine) = self.cursor()?;
        Ok(SubscriberSide { topic: self.topic().clone(), cursor, mine })
    }

    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.topic().object
    }
}

impl Publisher {
    /// For a set.
    pub(crate) fn side(&self) -> Result<PublisherSide> {
        let mine = self.mine()?;
        Ok(PublisherSide { topic: self.topic().clone(), mine, blockers: Mutex::default() })
    }

    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.topic().object
    }
}

impl SubscriberSide {
    pub(crate) fn object(&self) -> &Object {
        &self.topic.object
    }

    /// Where it sleeps.
    pub(crate) fn bell(&self) -> Crowd<'_> {
        Crowd(&self.topic.place.control().filled.0)
    }

    /// Would it receive, or be told something, now? `ask`: also that the publisher is dead.
    pub(crate) fn is_ready(&self, ask: bool) -> Result<bool> {
        let place = &self.topic.place;
        let reader = Reader::standing(place, self.cursor, self.mine);
        if reader.is_out(place) && !reader.is_evicted(place) {
            return Err(self.given_back());
        }
        Ok(reader.is_out(place)
            || reader.look(place) != Look::Nothing
            || self.topic.is_shut_down()
            || ask && self.topic.check_publisher().is_err())
    }

    /// Whom it waits for.
    pub(crate) fn suspect(&self) -> Option<u32> {
        publisher_of(&self.topic.place)
    }

    #[cold]
    fn given_back(&self) -> Error {
        let name = self.topic.address();
        let why = format!("this subscriber of topic \"{name}\" has let go; whoever subscribes anew waits for it");
        Error::new(ErrorKind::NotOwner, why)
    }
}

impl PublisherSide {
    pub(crate) fn object(&self) -> &Object {
        &self.topic.object
    }

    /// Where it sleeps.
    pub(crate) fn bell(&self) -> &ParkWord {
        &self.topic.place.control().freed.0
    }

    /// Would it publish now? Who is dead (if `ask`) or in the way for too long is cleared away, as publishing would.
    pub(crate) fn is_ready(&self, ask: bool) -> Result<bool> {
        let Topic { place, object } = &self.topic;
        let control = place.control();
        if !control.role.is(self.mine) {
            let name = self.topic.address();
            let why =
                format!("this publisher of topic \"{name}\" has let go; whoever takes the role anew waits for it");
            return Err(Error::new(ErrorKind::NotOwner, why));
        }
        if place.policy != TopicPolicy::Block || object.is_shut_down() {
            return Ok(true);
        }
        let mut blockers = self.blockers.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            // Relaxed: this process's own, stored before its publisher returned.
            let next = control.written.load(Relaxed);
            let least = scan(place, next, |blocker| blockers.note(blocker));
            if next < least.saturating_add(place.capacity()) {
                blockers.forget();
                return Ok(true);
            }
            if !blockers.clear(&self.topic, ask) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Whom it waits for.
    pub(crate) fn suspect(&self) -> Option<u32> {
        self.blockers.lock().unwrap_or_else(PoisonError::into_inner).suspect()
    }
}
