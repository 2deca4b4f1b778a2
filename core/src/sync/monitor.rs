//! A monitor: a mutex with condition variables, with Mesa semantics.

use super::LockError;
use super::mutex::{self, Mutex, MutexGuard};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::segment::object::{Kind, Object};
use crate::segment::{ObjectKind, ObjectState};
use std::fmt;

/// Bytes of a monitor behind its header: the mutex's line, and one for each condition.
pub const SIZE: usize = 64 * (1 + Monitor::MAX_CONDITIONS);

/// What the segment knows of monitors.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Monitor,
    repair: |_, _| {},
    ring: |_| {},
    leave: |_, _, _| {},
    holds: |_| crate::segment::object::Holds::Nobody,
    state: |_| Ok(ObjectState::Monitor { holder: None, owner_died: false, conditions: Vec::new() }),
};

/// A monitor in a segment: at most one thread of all processes is inside.
#[derive(Clone)]
pub struct Monitor {
    mutex: Mutex,
}

impl Monitor {
    /// The most conditions a monitor has.
    pub const MAX_CONDITIONS: usize = 7;
    /// The longest name of a condition, in bytes.
    pub const CONDITION_NAME_MAX: usize = 40;

    pub(crate) fn attach(object: Object) -> Result<Monitor> {
        Ok(Monitor { mutex: Mutex::attach(object)? })
    }

    /// Enters; waits for ever until nobody is inside.
    pub fn enter(&self) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        self.mutex.lock()
    }

    /// Enters if nobody is inside.
    pub fn try_enter(&self) -> Result<Option<MutexGuard<'_>>, LockError<MutexGuard<'_>>> {
        self.mutex.try_lock()
    }

    /// Enters; waits until the deadline.
    pub fn enter_until(&self, deadline: Deadline) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        self.mutex.lock_until(deadline)
    }

    /// Leaves without a guard, one that was forgotten with [`std::mem::forget`].
    pub fn leave(&self) -> Result<()> {
        self.mutex.unlock()
    }

    /// As [`MutexGuard::recover`], without a guard.
    pub fn recover(&self) -> Result<()> {
        self.mutex.recover()
    }

    /// Who is inside at this moment.
    pub fn holder(&self) -> Option<super::Holder> {
        self.mutex.holder()
    }

    /// Has a holder died and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        self.mutex.owner_died()
    }

    /// The condition of this name; a new one if there is none yet.
    pub fn condition(&self, _name: &str) -> Result<Condition> {
        todo!()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.mutex.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.mutex.address()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({:?}, holder {:?})", self.address(), self.holder())
    }
}

/// A condition variable of a monitor. The calling thread must be inside the monitor to wait; signalling is allowed
/// from anywhere, and makes most sense inside.
#[derive(Clone)]
pub struct Condition {
    monitor: Monitor,
    index: usize,
}

impl Condition {
    /// Leaves the monitor, sleeps until signalled, and enters again. May return without a signal: look again at what
    /// you wait for. In all cases, errors too, the calling thread is inside the monitor afterwards.
    ///
    /// # Errors
    /// `NotOwner` if the calling thread is not inside; `OwnerDied` if a thread died inside meanwhile: repair, then
    /// `recover`; `Removed`.
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// As [`Condition::wait`], and comes back at the deadline. Entering again may take longer.
    ///
    /// # Errors
    /// As `wait`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn wait_until(&self, _deadline: Deadline) -> Result<()> {
        todo!()
    }

    /// Wakes one thread that waits for this condition, if any.
    pub fn signal(&self) -> Result<()> {
        todo!()
    }

    /// Wakes every thread that waits for this condition.
    pub fn broadcast(&self) -> Result<()> {
        todo!()
    }

    /// Its name in the monitor.
    pub fn name(&self) -> String {
        todo!()
    }

    /// The monitor it belongs to.
    pub fn monitor(&self) -> &Monitor {
        let _ = self.index;
        &self.monitor
    }
}
