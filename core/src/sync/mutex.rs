//! A robust mutex.

use crate::{Deadline, Error, Result, segment::object::Object};
use std::marker::PhantomData;

/// A robust mutex.
#[derive(Clone)]
pub struct Mutex { object: Object }

/// Who holds a mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Slot in the segment.
    pub slot: u32,
    /// Pid.
    pub pid: Option<u32>,
    /// Number of the thread in its process.
    pub thread: u32,
}

/// Why `lock` gave no plain guard.
pub enum LockError<'a> {
    /// The last holder died. The guard is held; [`MutexGuard::recover`] says that the state is whole again.
    OwnerDied(MutexGuard<'a>),
    /// The lock is not held.
    Failed(Error),
}

impl From<LockError<'_>> for Error {
    fn from(_: LockError<'_>) -> Error { todo!() }
}

impl Mutex {
    /// Locks; waits for ever.
    pub fn lock(&self) -> Result<MutexGuard<'_>, LockError<'_>> { self.lock_until(Deadline::never()) }
    /// Locks if it is free; `None` if somebody holds it.
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_>>, LockError<'_>> { todo!() }
    /// Locks; waits until the deadline.
    pub fn lock_until(&self, deadline: Deadline) -> Result<MutexGuard<'_>, LockError<'_>> { let _ = deadline; todo!() }
    /// Unlocks without a guard (one that was forgotten with `std::mem::forget`). `NotOwner` unless the calling thread holds it.
    pub fn unlock(&self) -> Result<()> { todo!() }
    /// As [`MutexGuard::recover`], without a guard. `NotOwner` unless the calling thread holds it.
    pub fn recover(&self) -> Result<()> { todo!() }
    /// Is it held by the calling thread after a death that nobody has recovered from?
    pub fn owner_died(&self) -> bool { todo!() }
    /// Who holds it at this moment.
    pub fn holder(&self) -> Option<Holder> { todo!() }
    /// Its name.
    pub fn name(&self) -> &str { self.object.name() }
}

/// The lock, held. Dropping it unlocks. An `owner_died` guard dropped without `recover` passes OwnerDied on to the next locker.
#[must_use]
pub struct MutexGuard<'a> { mutex: &'a Mutex, _not_send: PhantomData<*const ()> }

impl MutexGuard<'_> {
    /// Did the last holder die, and has nobody recovered since?
    pub fn owner_died(&self) -> bool { self.mutex.owner_died() }
    /// Says that the guarded state is whole again.
    pub fn recover(&self) { todo!() }
}
