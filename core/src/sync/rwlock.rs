//! A readers-writer lock.

use super::{Guard, Holder, LockError};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState};
use std::fmt;
use std::marker::PhantomData;

/// What the segment knows of readers-writer locks.
pub static KIND: Kind = Kind {
    kind: ObjectKind::RwLock,
    repair: |_, _| todo!(),
    ring: |_| todo!(),
    leave: |_, _, _| todo!(),
    holds: |_| Holds::ReadWrite(0),
    state: |_| {
        Ok(ObjectState::RwLock { policy: RwPolicy::WritersFirst, writer: None, readers: Vec::new(), owner_died: false })
    },
};

/// A thread of the live process in `slot` has ended that had read-locked it `count` times.
pub fn leave_reads(_view: View<'_>, _slot: u32, _count: u32) {
    todo!()
}

/// Geometry and size of a lock in a segment with `seats` seats.
pub fn geometry(_policy: RwPolicy, _seats: usize) -> ([u64; 5], usize) {
    todo!()
}

/// Who goes first where readers and writers wait (Courtois, Heymans and Parnas, 1971).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RwPolicy {
    /// A reader enters whenever no writer is inside. Writers may starve.
    ReadersFirst = 1,
    /// No reader enters once a writer waits. Readers may starve.
    #[default]
    WritersFirst = 2,
    /// Phase-fair: the readers that a writer kept out all enter before the next writer. Nobody starves.
    Fair = 3,
}

impl RwPolicy {
    /// `readers first`, `writers first`, `fair`
    pub fn name(self) -> &'static str {
        match self {
            RwPolicy::ReadersFirst => "readers first",
            RwPolicy::WritersFirst => "writers first",
            RwPolicy::Fair => "fair",
        }
    }
}

/// A robust readers-writer lock in a segment.
#[derive(Clone)]
pub struct RwLock {
    object: Object,
}

impl RwLock {
    pub(crate) fn attach(object: Object) -> Result<RwLock> {
        Ok(RwLock { object })
    }

    /// Locks for reading; waits for ever.
    pub fn read(&self) -> Result<RwReadGuard<'_>, LockError<RwReadGuard<'_>>> {
        self.read_until(Deadline::never())
    }

    /// Locks for reading if that is possible at once.
    pub fn try_read(&self) -> Result<Option<RwReadGuard<'_>>, LockError<RwReadGuard<'_>>> {
        todo!()
    }

    /// Locks for reading; waits until the deadline.
    pub fn read_until(&self, _deadline: Deadline) -> Result<RwReadGuard<'_>, LockError<RwReadGuard<'_>>> {
        todo!()
    }

    /// Locks for writing; waits for ever.
    pub fn write(&self) -> Result<RwWriteGuard<'_>, LockError<RwWriteGuard<'_>>> {
        self.write_until(Deadline::never())
    }

    /// Locks for writing if that is possible at once.
    pub fn try_write(&self) -> Result<Option<RwWriteGuard<'_>>, LockError<RwWriteGuard<'_>>> {
        todo!()
    }

    /// Locks for writing; waits until the deadline.
    pub fn write_until(&self, _deadline: Deadline) -> Result<RwWriteGuard<'_>, LockError<RwWriteGuard<'_>>> {
        todo!()
    }

    /// Unlocks what the calling thread locked, for writing or for reading (its last read lock): without a guard, one
    /// that was forgotten with [`std::mem::forget`].
    ///
    /// # Errors
    /// `NotOwner` if the calling thread holds it in neither way.
    pub fn unlock(&self) -> Result<()> {
        todo!()
    }

    /// Turns the calling thread's write lock into a read lock; no writer gets in between.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it for writing.
    pub fn downgrade(&self) -> Result<()> {
        todo!()
    }

    /// As [`RwWriteGuard::recover`], without a guard.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it for writing.
    pub fn recover(&self) -> Result<()> {
        todo!()
    }

    /// Has a writer died and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        todo!()
    }

    /// Who writes at this moment.
    pub fn writer(&self) -> Option<Holder> {
        todo!()
    }

    /// How many read locks there are at this moment, in all processes.
    pub fn readers(&self) -> usize {
        todo!()
    }

    /// Who goes first.
    pub fn policy(&self) -> RwPolicy {
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

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLock({:?}, {})", self.address(), self.policy().name())
    }
}

/// The lock, held for reading. Dropping it unlocks.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwReadGuard<'a> {
    lock: &'a RwLock,
    _not_send: PhantomData<*const ()>,
}

impl RwReadGuard<'_> {
    /// Did a writer die, and has nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }
}

impl Guard for RwReadGuard<'_> {
    fn address(&self) -> String {
        self.lock.address()
    }
}

/// The lock, held for writing. Dropping it unlocks.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwWriteGuard<'a> {
    lock: &'a RwLock,
    _not_send: PhantomData<*const ()>,
}

impl<'a> RwWriteGuard<'a> {
    /// Did a writer die, and has nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }

    /// Says that the guarded state is whole again. Without it, the next locker, reader or writer, gets `OwnerDied` too.
    pub fn recover(&self) {
        todo!()
    }

    /// Turns it into a read lock; no writer gets in between.
    pub fn downgrade(self) -> RwReadGuard<'a> {
        todo!()
    }
}

impl Guard for RwWriteGuard<'_> {
    fn address(&self) -> String {
        self.lock.address()
    }
}
