//! A robust mutex: when its holder dies, the next locker is told and gets the lock.
//!
//! States, orderings and what a death leaves stand in `line.rs`: the directory locks with the same word. Who goes
//! first among several that want it stands in `turns.rs`.

mod line;
mod turns;

pub use line::{MutexLine, Own, Robber, owner_slot, owner_word};

use super::{Guard, Holder, LockError};
use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::participant::thread;
use crate::segment::object::{Holds, Kind, Object, Resident};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{Spin, World};
use line::{INCONSISTENT, OWNER};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often `try_lock` asks whether the holder is alive.
const ASK_EVERY_NS: u64 = 1_000_000;

/// Bytes of a mutex behind its header.
pub const SIZE: usize = 128;

/// What the segment knows of mutexes.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Mutex,
    repair: |view, slot| {
        if let Ok(line) = MutexLine::of(view) {
            line.abandon(|word| owner_slot(word) == slot);
        }
    },
    ring: |view| {
        if let Ok(line) = MutexLine::of(view) {
            line.ring();
        }
    },
    leave: |view, slot, thread| {
        if let Ok(line) = MutexLine::of(view) {
            line.abandon(|word| word & OWNER == owner_word(slot, thread));
        }
    },
    holds: |view| MutexLine::of(view).map_or(Holds::Nobody, |line| Holds::One(line.word() & OWNER)),
    state: |view| {
        let word = MutexLine::of(view)?.word();
        Ok(ObjectState::Mutex { holder: holder_in(word), owner_died: word & INCONSISTENT != 0 })
    },
};

/// The holder that a word names: slot and thread.
pub fn holder_in(word: u32) -> Option<(u32, u32)> {
    (owner_slot(word) != 0).then_some((owner_slot(word), word >> 12 & 0xFFFF))
}

/// A robust mutex in a segment.
///
/// Held by one thread of one process. When that process dies, or the thread ends, the next locker gets the
/// lock together with the news ([`LockError::OwnerDied`]): it repairs what the lock guards and calls
/// [`MutexGuard::recover`]. Not recursive: relocking by the same thread is `Deadlock`.
/// Threads may share a handle; a forked child may use it, but holds nothing that its parent holds.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::LockError;
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let mutex = segment.mutex("m")?;
/// let guard = match mutex.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(guard)) => { /* repair the state */ guard.recover(); guard }
///     Err(LockError::Failed(error)) => return Err(error),
/// };
/// drop(guard);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Mutex {
    resident: Resident<MutexLine>,
    spin: Arc<Spin>,
    /// When `try_lock` last asked whether a holder is alive.
    asked_ns: Arc<AtomicU64>,
}

impl Mutex {
    pub(crate) fn attach(object: Object) -> Result<Mutex> {
        Ok(Mutex { resident: Resident::new(object)?, spin: Arc::default(), asked_ns: Arc::default() })
    }

    #[inline(always)]
    pub(crate) fn object(&self) -> &Object {
        self.resident.object()
    }

    /// What lies in the segment, for whoever waits for several objects.
    pub(crate) fn in_segment(&self) -> &MutexLine {
        self.resident.get()
    }

    #[inline]
    fn line(&self) -> Result<(&MutexLine, u32, u32)> {
        let me = self.object().me()?;
        Ok((self.resident.get(), me, owner_word(me, thread::number())))
    }

    #[inline(always)]
    fn guard(&self, mine: u32) -> MutexGuard<'_> {
        MutexGuard { mutex: self, mine, fork: self.object().fork_number(), _not_send: PhantomData }
    }

    fn guard_with_news(&self, mine: u32, owner_died: bool) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        if owner_died { Err(LockError::OwnerDied(self.guard(mine))) } else { Ok(self.guard(mine)) }
    }

    /// Locks; waits for ever.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; `Deadlock` if the calling thread holds it; `Removed`.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        self.lock_until(Deadline::never())
    }

    /// Locks if it is free; `None` if somebody holds it. Asks at most once a millisecond whether a holder is
    /// dead, so that a loop of tries gets past one too.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard.
    #[inline]
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_>>, LockError<MutexGuard<'_>>> {
        let (line, _, mine) = self.line()?;
        match line.take(mine, 0) {
            Some(owner_died) => self.guard_with_news(mine, owner_died).map(Some),
            None => self.try_lock_held(line, mine),
        }
    }

    #[cold]
    fn try_lock_held(&self, line: &MutexLine, mine: u32) -> Result<Option<MutexGuard<'_>>, LockError<MutexGuard<'_>>> {
        let word = line.word();
        let owner = owner_slot(word);
        if owner == 0 || word & OWNER == mine {
            return Ok(None);
        }
        let (now, asked) = (now_ns(), self.asked_ns.load(Relaxed));
        // Relaxed: two threads that ask at once ask twice.
        if now.saturating_sub(asked) < ASK_EVERY_NS {
            return Ok(None);
        }
        self.asked_ns.store(now, Relaxed);
        if !self.object().is_dead(owner) {
            return Ok(None);
        }
        match self.object().repairing(owner, || line.steal(word, mine)).flatten() {
            Some(owner_died) => self.guard_with_news(mine, owner_died).map(Some),
            None => Ok(None),
        }
    }

    /// Locks; waits until the deadline.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; `Timeout`; `Deadlock`; `Removed`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn lock_until(&self, deadline: Deadline) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        let (line, me, mine) = self.line()?;
        if line.take_free(mine) { Ok(self.guard(mine)) } else { self.lock_taken(line, me, mine, deadline) }
    }

    #[cold]
    #[inline(never)]
    fn lock_taken(
        &self,
        line: &MutexLine,
        me: u32,
        mine: u32,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_>, LockError<MutexGuard<'_>>> {
        let world = self.object().waiting(WaitMode::Lock, 0);
        match line.lock_contended(&world, me, mine, deadline, Own::Relock, &self.spin) {
            Ok(owner_died) => self.guard_with_news(mine, owner_died),
            Err(error) => Err(LockError::Failed(self.explain(error))),
        }
    }

    #[cold]
    fn explain(&self, error: Error) -> Error {
        match (error.kind(), self.holder()) {
            (ErrorKind::Deadlock, _) if self.is_mine() => Error::new(
                ErrorKind::Deadlock,
                format!("lock {}: the calling thread holds it already; unlock it first", self.address()),
            ),
            (ErrorKind::Timeout, Some(Holder { pid: Some(pid), .. })) => {
                Error::new(ErrorKind::Timeout, format!("{error}; process {pid} holds it"))
            }
            _ => error,
        }
    }

    /// Unlocks without a guard, one that was forgotten with [`std::mem::forget`].
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it.
    #[inline]
    pub fn unlock(&self) -> Result<()> {
        let (line, _, mine) = self.line()?;
        if line.unlock_mine(mine) { Ok(()) } else { Err(self.not_owner("unlock")) }
    }

    /// As [`MutexGuard::recover`], without a guard.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it.
    pub fn recover(&self) -> Result<()> {
        let (line, _, mine) = self.line()?;
        if line.recover(mine) { Ok(()) } else { Err(self.not_owner("recover")) }
    }

    #[cold]
    fn not_owner(&self, tried: &str) -> Error {
        let who = match self.holder() {
            None => "nobody holds it".to_string(),
            Some(Holder { pid: Some(pid), thread, .. }) => format!("thread {thread} of process {pid} holds it"),
            Some(Holder { slot, .. }) => format!("the participant in slot {slot} holds it"),
        };
        Error::new(
            ErrorKind::NotOwner,
            format!("{tried} {}: the calling thread does not hold it, {who}", self.address()),
        )
    }

    /// Has a holder died and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        self.line().is_ok_and(|(line, ..)| line.word() & INCONSISTENT != 0)
    }

    /// Does the calling thread hold it?
    pub fn is_mine(&self) -> bool {
        self.line().is_ok_and(|(line, _, mine)| line.word() & OWNER == mine)
    }

    /// Who holds it at this moment.
    pub fn holder(&self) -> Option<Holder> {
        let word = self.resident.get().word();
        let slot = owner_slot(word);
        (slot != 0).then(|| Holder { slot, pid: self.object().pid_of(slot), thread: word >> 12 & 0xFFFF })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object().name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object().address()
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutex({:?}, holder {:?})", self.object().address(), self.holder())
    }
}

/// The lock, held. Dropping it unlocks; in a forked child it does nothing, as the parent holds the lock.
#[must_use = "dropping the guard unlocks at once"]
pub struct MutexGuard<'a> {
    mutex: &'a Mutex,
    /// The word of the lock as the holder took it.
    mine: u32,
    fork: u32,
    _not_send: PhantomData<*const ()>,
}

impl MutexGuard<'_> {
    /// Did a holder die, and has nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.mutex.owner_died()
    }

    /// Says that the guarded state is whole again. Without it, the next locker gets `OwnerDied` too.
    pub fn recover(&self) {
        if self.fork == self.mutex.object().fork_number() {
            let _ = self.mutex.recover();
        }
    }
}

impl Guard for MutexGuard<'_> {
    fn address(&self) -> String {
        self.mutex.address()
    }
}

impl Drop for MutexGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.fork == self.mutex.object().fork_number() {
            self.mutex.resident.get().unlock_mine(self.mine);
        }
    }
}

impl fmt::Debug for MutexGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MutexGuard({:?})", self.mutex.object().address())
    }
}
