//! A robust readers-writer lock: many read, or one writes; when a writer dies, whoever comes next is told.
//!
//! States, orderings and what a death leaves stand in `words.rs`.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod states;
pub mod words;

use super::mutex::{self, owner_slot, owner_word};
use super::{Guard, Holder, LockError};
use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::participant::thread;
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::Spin;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use words::{Me, Words};

/// How often the `try_` forms ask whether who is in the way is alive.
const ASK_EVERY_NS: u64 = 1_000_000;

/// What the segment knows of readers-writer locks. The writer's mutex lies at the beginning of a lock.
pub static KIND: Kind = Kind {
    kind: ObjectKind::RwLock,
    repair: |view, slot| {
        if let Ok(words) = Words::of(view) {
            words.forget(slot);
            (mutex::KIND.repair)(view, slot);
        }
    },
    ring: |view| {
        if let Ok(words) = Words::of(view) {
            (mutex::KIND.ring)(view);
            words.ring();
        }
    },
    leave: |view, slot, thread| {
        if let Ok(words) = Words::of(view)
            && mutex::holder_in(words.writer_word()) == Some((slot, thread))
        {
            (mutex::KIND.leave)(view, slot, thread);
            words.ring(); // The gate is shut still; who sleeps there opens it.
        }
    },
    holds: |view| match (mutex::KIND.holds)(view) {
        Holds::One(word) => Holds::ReadWrite(word),
        other => other,
    },
    state: |view| {
        let words = Words::of(view)?;
        Ok(ObjectState::RwLock {
            policy: words.policy,
            writer: mutex::holder_in(words.writer_word()),
            readers: words.readers().collect(),
            owner_died: words.has_news(),
        })
    },
};

/// A thread of the live process in `slot` has ended that had read-locked it `count` times.
pub fn leave_reads(view: View<'_>, slot: u32, count: u32) {
    if let Ok(words) = Words::of(view) {
        words.leave(slot, count);
    }
}

/// Geometry and size of a lock in a segment with `seats` seats.
pub fn geometry(policy: RwPolicy, seats: usize) -> ([u64; 5], usize) {
    ([policy as u64, seats as u64, 0, 0, 0], words::size(seats))
}

/// Who goes first where readers and writers wait (Courtois, Heymans and Parnas, 1971).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RwPolicy {
    /// A reader enters whenever no writer is inside. Writers may starve.
    ReadersFirst = 1,
    /// No reader enters once a writer waits. Readers may starve.
    #[default]
    WritersFirst = 2,
    /// Phase-fair: the readers that a writer kept out all enter before the next writer, so neither side starves. Which
    /// writer comes next is as with a [`Mutex`](crate::Mutex): whoever is faster, and those who ask again and again
    /// take turns.
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

/// A robust readers-writer lock in a segment: any number of threads read, or one writes.
///
/// When a process dies, or a thread ends, its read locks are gone. If it was writing, everybody who locks from then
/// on, reader or writer, gets the lock together with the news ([`LockError::OwnerDied`]), until one that writes has
/// repaired what the lock guards and called [`RwWriteGuard::recover`].
///
/// A thread that reads may read again, at once under every policy. It cannot write: two that tried to turn their
/// read locks into write locks would wait for each other for ever, so that is `Deadlock`. The other way round,
/// [`RwWriteGuard::downgrade`] is fine. A thread that writes and locks again, in whatever way, gets `Deadlock` too.
///
/// Threads may share a handle; a forked child may use it, but holds nothing that its parent holds. A process that is
/// stopped (SIGSTOP, debugger) while it holds the lock keeps it, a deadline is the way out; one that is stopped while it
/// waits loses its precedence after some 16 ms.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::RwPolicy;
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let lock = segment.rwlock("table", RwPolicy::Fair)?;
/// {
///     let _one = lock.read()?;
///     assert!(lock.try_read()?.is_some());
/// }
/// let guard = lock.write()?;
/// assert_eq!(lock.readers(), 0);
/// let _reading = guard.downgrade();
/// assert_eq!(lock.readers(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RwLock {
    object: Object,
    policy: RwPolicy,
    spin: Arc<Spin>,
    /// When a `try_` form last asked whether somebody is alive.
    asked_ns: Arc<AtomicU64>,
}

type Read<'a> = RwReadGuard<'a>;
type Write<'a> = RwWriteGuard<'a>;

impl RwLock {
    pub(crate) fn attach(object: Object) -> Result<RwLock> {
        let policy = Words::of(object.view())?.policy;
        Ok(RwLock { object, policy, spin: Arc::default(), asked_ns: Arc::default() })
    }

    #[inline]
    fn words(&self) -> Result<Words<'_>> {
        Words::of(self.object.view())
    }

    #[inline]
    fn me(&self) -> Result<Me> {
        let slot = self.object.me()?;
        Ok(Me { slot, word: owner_word(slot, thread::number()) })
    }

    #[inline]
    fn reading(&self, owner_died: bool) -> Result<Read<'_>, LockError<Read<'_>>> {
        thread::reads_one_more(self.object.key());
        let guard = RwReadGuard { lock: self, fork: self.object.fork_number(), _not_send: PhantomData };
        if owner_died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    #[inline]
    fn writing(&self, owner_died: bool) -> Result<Write<'_>, LockError<Write<'_>>> {
        let guard = RwWriteGuard { lock: self, fork: self.object.fork_number(), _not_send: PhantomData };
        if owner_died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    /// Locks for reading; waits for ever.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; `Deadlock` if the calling thread writes; `Overflow` beyond 2³⁰ read
    /// locks in one process; `Removed`; `Corrupt`.
    #[inline]
    pub fn read(&self) -> Result<RwReadGuard<'_>, LockError<RwReadGuard<'_>>> {
        self.read_until(Deadline::never())
    }

    /// Locks for reading if that is possible at once. Asks at most once a millisecond whether who is in the way is
    /// dead, so that a loop of tries gets past one too.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    #[inline]
    pub fn try_read(&self) -> Result<Option<RwReadGuard<'_>>, LockError<RwReadGuard<'_>>> {
        let words = self.words()?;
        let owner_died = match words.try_enter(self.object.me()?)? {
            Some(owner_died) => Some(owner_died),
            None => self.try_read_shut(words)?,
        };
        owner_died.map(|owner_died| self.reading(owner_died)).transpose()
    }

    #[cold]
    fn try_read_shut(&self, words: Words<'_>) -> Result<Option<bool>> {
        let me = self.me()?;
        if let Some(owner_died) = self.read_again(words, me)? {
            return Ok(Some(owner_died));
        }
        words.attend(&self.object, me, self.time_to_ask())?;
        words.try_enter(me.slot)
    }

    /// Locks for reading; waits until the deadline.
    ///
    /// # Errors
    /// As [`RwLock::read`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn read_until(&self, deadline: Deadline) -> Result<RwReadGuard<'_>, LockError<RwReadGuard<'_>>> {
        let words = self.words()?;
        match words.try_enter(self.object.me()?)? {
            Some(owner_died) => self.reading(owner_died),
            None => self.read_shut(words, deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_shut(&self, words: Words<'_>, deadline: Deadline) -> Result<Read<'_>, LockError<Read<'_>>> {
        let me = self.me()?;
        let owner_died = match self.read_again(words, me)? {
            Some(owner_died) => owner_died,
            None => words
                .read(&self.object.waiting(WaitMode::Read, 0), me, &self.spin, deadline)
                .map_err(|error| self.explain(error))?,
        };
        self.reading(owner_died)
    }

    /// A thread that reads already enters whatever the gate says. An error for one that writes.
    fn read_again(&self, words: Words<'_>, me: Me) -> Result<Option<bool>> {
        if words.is_writer(me) {
            return Err(self.is_writing("read"));
        }
        if thread::reads_of(self.object.key()) == 0 {
            return Ok(None);
        }
        words.enter_again(me.slot).map(Some)
    }

    /// Locks for writing; waits for ever.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; `Deadlock` if the calling thread reads or writes; `Removed`; `Corrupt`.
    #[inline]
    pub fn write(&self) -> Result<RwWriteGuard<'_>, LockError<RwWriteGuard<'_>>> {
        self.write_until(Deadline::never())
    }

    /// Locks for writing if that is possible at once. Asks at most once a millisecond whether who is in the way is
    /// dead, so that a loop of tries gets past one too.
    ///
    /// # Errors
    /// As [`RwLock::write`].
    pub fn try_write(&self) -> Result<Option<RwWriteGuard<'_>>, LockError<RwWriteGuard<'_>>> {
        let (words, me) = (self.words()?, self.me()?);
        self.may_write(words, me)?;
        let look = (owner_slot(words.writer_word()) != 0 || words.readers().next().is_some()) && self.time_to_ask();
        let owner_died = words.try_write(&self.object, me, look)?;
        owner_died.map(|owner_died| self.writing(owner_died)).transpose()
    }

    /// Locks for writing; waits until the deadline.
    ///
    /// # Errors
    /// As [`RwLock::write`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn write_until(&self, deadline: Deadline) -> Result<RwWriteGuard<'_>, LockError<RwWriteGuard<'_>>> {
        let (words, me) = (self.words()?, self.me()?);
        self.may_write(words, me)?;
        let owner_died = words
            .write(&self.object.waiting(WaitMode::Write, 0), me, &self.spin, deadline)
            .map_err(|error| self.explain(error))?;
        self.writing(owner_died)
    }

    /// An error for a thread that reads or writes.
    #[inline]
    fn may_write(&self, words: Words<'_>, me: Me) -> Result<()> {
        if words.is_writer(me) {
            return Err(self.is_writing("write"));
        }
        if thread::reads_of(self.object.key()) != 0 {
            return Err(self.is_reading());
        }
        Ok(())
    }

    /// Unlocks what the calling thread locked, for writing or for reading (its last read lock): without a guard, one
    /// that was forgotten with [`std::mem::forget`].
    ///
    /// # Errors
    /// `NotOwner` if the calling thread holds it in neither way.
    #[inline]
    pub fn unlock(&self) -> Result<()> {
        let (words, me) = (self.words()?, self.me()?);
        if words.is_writer(me) {
            words.release(me);
            return Ok(());
        }
        if thread::reads_one_less(self.object.key()) {
            return words.unread(me.slot);
        }
        Err(self.not_owner("unlock"))
    }

    /// Turns the calling thread's write lock into a read lock; no writer gets in between.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it for writing.
    pub fn downgrade(&self) -> Result<()> {
        let (words, me) = self.as_writer("downgrade")?;
        thread::reads_one_more(self.object.key());
        words.downgrade(me)
    }

    /// As [`RwWriteGuard::recover`], without a guard.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread holds it for writing.
    pub fn recover(&self) -> Result<()> {
        self.as_writer("recover")?.0.recover();
        Ok(())
    }

    fn as_writer(&self, tried: &str) -> Result<(Words<'_>, Me)> {
        let (words, me) = (self.words()?, self.me()?);
        if words.is_writer(me) { Ok((words, me)) } else { Err(self.not_owner(tried)) }
    }

    /// Has a writer died and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        self.words().is_ok_and(|words| words.has_news())
    }

    /// Does the calling thread hold it for writing?
    pub fn is_mine(&self) -> bool {
        self.words().is_ok_and(|words| self.me().is_ok_and(|me| words.is_writer(me)))
    }

    /// Who writes at this moment, or waits for the readers to leave.
    pub fn writer(&self) -> Option<Holder> {
        let (slot, thread) = mutex::holder_in(self.words().ok()?.writer_word())?;
        Some(Holder { slot, pid: self.object.pid_of(slot), thread })
    }

    /// How many read locks there are at this moment, in all processes.
    pub fn readers(&self) -> usize {
        self.words().map_or(0, |words| words.readers().map(|(_, reads)| reads as usize).sum())
    }

    /// Who goes first.
    pub fn policy(&self) -> RwPolicy {
        self.policy
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object.address()
    }

    fn time_to_ask(&self) -> bool {
        let (now, asked) = (now_ns(), self.asked_ns.load(Relaxed));
        // Relaxed: two threads that ask at once ask twice.
        let due = now.saturating_sub(asked) >= ASK_EVERY_NS;
        if due {
            self.asked_ns.store(now, Relaxed);
        }
        due
    }

    #[cold]
    fn is_writing(&self, tried: &str) -> Error {
        Error::new(
            ErrorKind::Deadlock,
            format!("{tried} {}: the calling thread holds it for writing already; unlock it first", self.address()),
        )
    }

    #[cold]
    fn is_reading(&self) -> Error {
        Error::new(
            ErrorKind::Deadlock,
            format!(
                "write {}: the calling thread holds it for reading, and a read lock does not become a write lock: two threads that tried would wait for each other for ever; unlock it, lock it for writing, and look again at what you read",
                self.address()
            ),
        )
    }

    #[cold]
    fn not_owner(&self, tried: &str) -> Error {
        let how = if tried == "unlock" { "" } else { " for writing" };
        Error::new(
            ErrorKind::NotOwner,
            format!("{tried} {}: the calling thread does not hold it{how}; {}", self.address(), self.who_holds()),
        )
    }

    #[cold]
    fn explain(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Timeout, format!("{error}; {}", self.who_holds())),
            _ => error,
        }
    }

    /// `thread 0 of process 17 writes`, `2 read locks in process 17`, `nobody holds it`
    fn who_holds(&self) -> String {
        let process = |slot| match self.object.pid_of(slot) {
            Some(pid) => format!("process {pid}"),
            None => format!("the participant in slot {slot}"),
        };
        let writer = self.writer().map(|writer| format!("{writer} writes or waits for the readers to leave"));
        let mut all: Vec<String> = writer.into_iter().collect();
        if let Ok(words) = self.words() {
            all.extend(words.readers().map(|(slot, reads)| format!("{reads} read locks in {}", process(slot))));
        }
        if all.is_empty() { "nobody holds it".to_string() } else { all.join(", ") }
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLock({:?}, {}, {})", self.address(), self.policy().name(), self.who_holds())
    }
}

/// The lock, held for reading. Dropping it unlocks; in a forked child it does nothing, as the parent holds the lock.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwReadGuard<'a> {
    lock: &'a RwLock,
    fork: u32,
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

impl Drop for RwReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let object = &self.lock.object;
        // A thread that has ended has left already.
        if self.fork == object.fork_number()
            && thread::reads_one_less(object.key())
            && let (Ok(words), Ok(slot)) = (self.lock.words(), object.me())
        {
            let _ = words.unread(slot);
        }
    }
}

impl fmt::Debug for RwReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwReadGuard({:?})", self.lock.address())
    }
}

/// The lock, held for writing. Dropping it unlocks; in a forked child it does nothing, as the parent holds the lock.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwWriteGuard<'a> {
    lock: &'a RwLock,
    fork: u32,
    _not_send: PhantomData<*const ()>,
}

impl<'a> RwWriteGuard<'a> {
    /// Did a writer die, and has nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }

    /// Says that the guarded state is whole again. Without it, the next locker, reader or writer, gets `OwnerDied` too.
    pub fn recover(&self) {
        if self.fork == self.lock.object.fork_number() {
            let _ = self.lock.recover();
        }
    }

    /// Turns it into a read lock; no writer gets in between.
    pub fn downgrade(self) -> RwReadGuard<'a> {
        let RwWriteGuard { lock, fork, .. } = self;
        if fork == lock.object.fork_number() {
            let _ = lock.downgrade();
        }
        std::mem::forget(self);
        RwReadGuard { lock, fork, _not_send: PhantomData }
    }
}

impl Guard for RwWriteGuard<'_> {
    fn address(&self) -> String {
        self.lock.address()
    }
}

impl Drop for RwWriteGuard<'_> {
    fn drop(&mut self) {
        if self.fork == self.lock.object.fork_number()
            && let Ok((words, me)) = self.lock.as_writer("unlock")
        {
            words.release(me);
        }
    }
}

impl fmt::Debug for RwWriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwWriteGuard({:?})", self.lock.address())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
