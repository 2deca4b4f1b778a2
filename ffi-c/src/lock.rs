//! What the locks have in common in C: a guard has no place there, a lock belongs to its thread until it unlocks.

use crate::deadline::tried;
use std::mem::{MaybeUninit, forget};
use triveni::{Error, ErrorKind, Guard, Holder, LockError, Result};

/// Who holds a lock or a leased permit.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct tvn_holder_t {
    /// The process, by its number in the segment.
    pub slot: u32,
    /// Its pid; 0 if it is not known.
    pub pid: u32,
    /// The thread, by its number in its process. Not a tid.
    pub thread: u32,
}

impl From<Holder> for tvn_holder_t {
    fn from(holder: Holder) -> tvn_holder_t {
        tvn_holder_t { slot: holder.slot, pid: holder.pid.unwrap_or(0), thread: holder.thread }
    }
}

/// The answer of a lock as a number: with 0 and -EOWNERDEAD it is held, until the thread unlocks. `repair` says
/// what to do after a death.
pub(crate) fn locked<G: Guard>(answer: Result<Option<G>, LockError<G>>, repair: &str) -> Result<()> {
    match answer {
        Ok(guard) => tried(guard).map(forget),
        Err(LockError::OwnerDied(guard)) => Err(owner_died(guard, repair)),
        Err(LockError::Failed(error)) => Err(error),
    }
}

/// After its holder's death the lock is held, whatever the number says: the guard must not unlock it.
#[cold]
fn owner_died(guard: impl Guard, repair: &str) -> Error {
    let lock = guard.address();
    forget(guard);
    Error::new(ErrorKind::OwnerDied, format!("lock {lock}: a holder died while it held it; {repair}"))
}

/// Writes who holds the lock, if somebody does.
pub(crate) fn held_by(holder: Option<Holder>, out: &mut MaybeUninit<tvn_holder_t>) -> bool {
    holder.map(|holder| out.write(holder.into())).is_some()
}
