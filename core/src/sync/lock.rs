//! What all locks have in common: who holds one, and the answer of a lock whose holder died.

use crate::error::{Error, ErrorKind};
use std::fmt;

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its slot in the segment.
    pub slot: u32,
    /// Its pid, in its own pid namespace; `None` if the slot is free by now.
    pub pid: Option<u32>,
    /// The number of the thread in its process. Not a tid.
    pub thread: u32,
}

/// `thread 0 of process 4711`
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "thread {} of process {pid}", self.thread),
            None => write!(f, "the participant in slot {}", self.slot),
        }
    }
}

/// A lock that is held for as long as this lives.
pub trait Guard {
    /// `segment/name` of the lock, for messages.
    fn address(&self) -> String;
}

/// Why a lock gave no plain guard.
///
/// `?` turns it into an [`Error`] and drops the guard, which unlocks; the next locker is told again.
pub enum LockError<G> {
    /// A holder died. The lock is held; the guard's `recover` says that the state is whole again.
    OwnerDied(G),
    /// The lock is not held.
    Failed(Error),
}

impl<G: Guard> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(guard) => write!(
                f,
                "lock {}: a holder died while it held it; repair what it guards and call recover()",
                guard.address()
            ),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G: Guard> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<G: Guard> std::error::Error for LockError<G> {}

impl<G: Guard> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Error {
        match error {
            LockError::OwnerDied(_) => Error::new(ErrorKind::OwnerDied, error.to_string()),
            LockError::Failed(error) => error,
        }
    }
}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> Self {
        LockError::Failed(error)
    }
}
