//! Event flags: 32 of them, to be waited for alone or together.

use crate::deadline::Deadline;
use crate::error::Result;
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState};
use std::fmt;

/// Bytes of event flags behind their header.
pub const SIZE: usize = 128;

/// What the segment knows of event flags.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Event,
    repair: |_, _| {},
    ring: |_| todo!(),
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |_| Ok(ObjectState::Event { flags: 0 }),
};

/// What becomes of the flags that a wait was for, once it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// They stay set: everybody who waits for them goes on.
    Keep,
    /// They are cleared, in the same step: exactly one of those who wait goes on.
    Clear,
}

/// 32 event flags in a segment.
#[derive(Clone)]
pub struct Event {
    object: Object,
}

impl Event {
    pub(crate) fn attach(object: Object) -> Result<Event> {
        Ok(Event { object })
    }

    /// Sets fresh flags up. Under the directory's mutex, before anybody can find them.
    pub(crate) fn initialise(_view: View<'_>, _flags: u32) {
        todo!()
    }

    /// Sets flags and wakes everybody who waits. Returns what was set before.
    pub fn set(&self, _flags: u32) -> Result<u32> {
        todo!()
    }

    /// Clears flags. Returns what was set before.
    pub fn clear(&self, _flags: u32) -> Result<u32> {
        todo!()
    }

    /// The flags that are set at this moment.
    pub fn flags(&self) -> u32 {
        todo!()
    }

    /// Waits for ever until one of `mask` is set; returns those of `mask` that were.
    ///
    /// # Errors
    /// `Invalid` for an empty mask; `Removed`.
    pub fn wait_any(&self, mask: u32, after: After) -> Result<u32> {
        self.wait_any_until(mask, after, Deadline::never())
    }

    /// As [`Event::wait_any`], without waiting; `None` if none is set.
    pub fn try_wait_any(&self, _mask: u32, _after: After) -> Result<Option<u32>> {
        todo!()
    }

    /// As [`Event::wait_any`], until the deadline.
    pub fn wait_any_until(&self, _mask: u32, _after: After, _deadline: Deadline) -> Result<u32> {
        todo!()
    }

    /// Waits for ever until all of `mask` are set; returns `mask`.
    pub fn wait_all(&self, mask: u32, after: After) -> Result<u32> {
        self.wait_all_until(mask, after, Deadline::never())
    }

    /// As [`Event::wait_all`], without waiting; `None` if one is missing.
    pub fn try_wait_all(&self, _mask: u32, _after: After) -> Result<Option<u32>> {
        todo!()
    }

    /// As [`Event::wait_all`], until the deadline.
    pub fn wait_all_until(&self, _mask: u32, _after: After, _deadline: Deadline) -> Result<u32> {
        todo!()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object.address()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?}, {:#010x})", self.address(), self.flags())
    }
}
