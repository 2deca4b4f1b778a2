//! A cyclic barrier.

use crate::deadline::Deadline;
use crate::error::Result;
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState};
use std::fmt;

/// Bytes of a barrier behind its header.
pub const SIZE: usize = 128;

/// What the segment knows of barriers.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Barrier,
    repair: |_, _| todo!(),
    ring: |_| todo!(),
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |_| Ok(ObjectState::Barrier { parties: 0, arrived: 0, broken: false }),
};

/// A cyclic barrier in a segment: nobody goes on until all parties have arrived.
#[derive(Clone)]
pub struct Barrier {
    object: Object,
}

impl Barrier {
    /// The most parties a barrier waits for.
    pub const MAX_PARTIES: u32 = 65535;

    pub(crate) fn attach(object: Object) -> Result<Barrier> {
        Ok(Barrier { object })
    }

    /// Sets a fresh barrier up. Under the directory's mutex, before anybody can find it.
    pub(crate) fn initialise(_view: View<'_>, _parties: u32) {
        todo!()
    }

    /// Arrives; waits for the others for ever. True for exactly one of them, the last to arrive.
    ///
    /// # Errors
    /// `Broken` if a process that has the barrier open died; `Removed`.
    pub fn wait(&self) -> Result<bool> {
        self.wait_until(Deadline::never())
    }

    /// Arrives if it is the last one; never waits. False: others are missing, and nothing has changed.
    pub fn try_wait(&self) -> Result<bool> {
        todo!()
    }

    /// Arrives; waits until the deadline. Who gives up has not arrived.
    pub fn wait_until(&self, _deadline: Deadline) -> Result<bool> {
        todo!()
    }

    /// Begins a new round: everybody who waits gets `Broken`, a broken barrier is whole again.
    pub fn reset(&self) -> Result<()> {
        todo!()
    }

    /// How many have arrived in this round.
    pub fn arrived(&self) -> u32 {
        todo!()
    }

    /// How many it waits for.
    pub fn parties(&self) -> u32 {
        todo!()
    }

    /// Is it broken?
    pub fn is_broken(&self) -> bool {
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

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier({:?}, {} of {})", self.address(), self.arrived(), self.parties())
    }
}
