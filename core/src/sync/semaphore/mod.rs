//! A counting semaphore that lives in shared memory (Dijkstra's P and V).
//!
//! What stands in the segment, and what a death leaves there: `words.rs`. Permits that belong to who took them:
//! `leases.rs`.
//!
//! # Cost
//!
//! `post`: one atomic, a system call only if someone sleeps. `wait`: one atomic when there is a permit and the number of
//! permits is what it was when the handle was made, as in a semaphore that serves as a lock; else a look before it.

pub mod leases;
pub mod words;

use super::Holder;
use super::mutex::{owner_slot, owner_word};
use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::participant::thread;
use crate::segment::object::{Holds, Kind, Object, Resident, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{self, Bell, EventCount, Spin};
use leases::Leases;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use words::SemaphoreWords;

/// How often `try_wait` on a leased semaphore asks whether the holders are alive.
const ASK_EVERY_NS: u64 = 1_000_000;
/// Bytes of a semaphore without leases, behind its header.
const SIZE: usize = 128;

/// Geometry and size of a semaphore.
pub fn geometry(name: &str, options: SemaphoreOptions) -> Result<([u64; 5], usize)> {
    let SemaphoreOptions { initial, max, leased } = options;
    let invalid = |problem: String| Err(Error::new(ErrorKind::Invalid, format!("semaphore {name:?}: {problem}")));
    let most = if leased { Semaphore::MAX_LEASED } else { Semaphore::MAX };
    if max == 0 {
        return invalid("with a maximum of 0 permits nobody could ever go on; ask for 1 at least".into());
    }
    if max > most {
        let kind = if leased { "leased " } else { "" };
        return invalid(format!("{max} {kind}permits are too many; {most} is the most there can be"));
    }
    if initial > max {
        return invalid(format!("{initial} permits to begin with are more than its maximum of {max}"));
    }
    if leased && initial != max {
        return invalid(format!(
            "a leased semaphore begins with all its permits, so {initial} of {max} cannot be; let somebody wait for the others"
        ));
    }
    Ok(([max.into(), leased.into(), 0, 0, 0], if leased { leases::size(max).max(SIZE) } else { SIZE }))
}

/// Maximum, and whether permits are leased, as they stand in an object's geometry.
fn limits(view: View<'_>) -> Result<(u32, bool)> {
    let [max, leased, ..] = view.geometry();
    match (u32::try_from(max), leased) {
        (Ok(max @ 1..=Semaphore::MAX), 0) => Ok((max, false)),
        (Ok(max), 1) => Leases::of(view, max).map(|_| (max, true)),
        _ => Err(ErrorKind::Corrupt.into()),
    }
}

/// The leases of a semaphore that has some.
fn leases(view: View<'_>) -> Option<Leases<'_>> {
    let (max, leased) = limits(view).ok()?;
    if leased { Leases::of(view, max).ok() } else { None }
}

/// What the segment knows of semaphores.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Semaphore,
    repair: |view, slot| {
        if let Some(leases) = leases(view) {
            leases.repair(slot);
        }
    },
    ring: |view| {
        if let Ok(words) = SemaphoreWords::of(view) {
            words.ring();
        }
    },
    leave: |view, slot, thread| {
        if let Some(leases) = leases(view) {
            leases.leave(slot, thread);
        }
    },
    holds: |view| match (limits(view), leases(view)) {
        (Ok((max, _)), Some(leases)) => Holds::Permits { max, out: leases.holders().collect() },
        _ => Holds::Nobody,
    },
    state: |view| {
        let (max, _) = limits(view)?;
        let words = SemaphoreWords::of(view)?;
        Ok(match leases(view) {
            None => ObjectState::Semaphore { value: words.value(), max, leases: Vec::new() },
            Some(leases) => {
                let out: Vec<_> = leases.holders().map(|word| (owner_slot(word), thread_in(word))).collect();
                ObjectState::Semaphore { value: max.saturating_sub(out.len() as u32), max, leases: out }
            }
        })
    },
};

/// The thread in the word of a holder.
fn thread_in(word: u32) -> u32 {
    word >> 12 & 0xFFFF
}

/// What a new semaphore is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphoreOptions {
    pub(crate) initial: u32,
    pub(crate) max: u32,
    pub(crate) leased: bool,
}

impl SemaphoreOptions {
    /// A counting semaphore with `initial` permits and at most [`Semaphore::MAX`].
    pub fn counting(initial: u32) -> SemaphoreOptions {
        SemaphoreOptions { initial, max: Semaphore::MAX, leased: false }
    }

    /// A binary semaphore: one permit at most, there from the beginning or not.
    pub fn binary(free: bool) -> SemaphoreOptions {
        SemaphoreOptions { initial: free.into(), max: 1, leased: false }
    }

    /// `permits` permits that belong to the thread that took them: only it can post them, and they come back when
    /// it ends or its process dies. At most [`Semaphore::MAX_LEASED`].
    pub fn leased(permits: u32) -> SemaphoreOptions {
        SemaphoreOptions { initial: permits, max: permits, leased: true }
    }

    /// The most permits it holds; a post beyond is an error. For counting semaphores.
    pub fn max(self, max: u32) -> SemaphoreOptions {
        SemaphoreOptions { max, ..self }
    }
}

/// A semaphore in a segment: counting, binary, or with leased permits.
///
/// `wait` (Dijkstra's P) takes a permit, `post` (V) adds one. Threads and forked children may share a handle.
///
/// Unless they are leased, permits have no owner: anybody may post, and what a process that dies had taken stays
/// taken, as with POSIX semaphores. A *leased* permit belongs to the thread that took it. Only that thread can post
/// it, and it comes back when the thread ends or its process dies; a forked child holds none of its parent's.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let full = segment.semaphore("full", 0)?;
/// full.post()?;
/// full.wait()?;
/// assert!(!full.try_wait()?);
///
/// let printers = segment.semaphore_with("printers", triveni::SemaphoreOptions::leased(2))?;
/// printers.wait()?;
/// assert_eq!((printers.value(), printers.holders().len()), (1, 1));
/// printers.post()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Semaphore {
    resident: Resident<SemaphoreWords>,
    max: u32,
    leased: bool,
    local: Arc<Local>,
}

/// What a process remembers of a semaphore.
///
/// Its fields lie where no semaphore's word does within a page: a load waits for a locked store before it whose address
/// has the same low 12 bits.
#[derive(Default)]
#[repr(C, align(64))]
struct Local {
    spin: Spin,
    /// When `try_wait` last asked about the holders.
    asked_ns: AtomicU64,
    /// How many permits there probably are when nobody has one; 0: anybody's guess.
    guess: AtomicU32,
    /// Where the last leased permit was taken: the next one may lie there again.
    last: AtomicU32,
}

impl Semaphore {
    /// The most permits a semaphore holds: 2³¹ − 1.
    pub const MAX: u32 = i32::MAX as u32;
    /// The most permits a leased semaphore has.
    pub const MAX_LEASED: u32 = 4096;

    pub(crate) fn attach(object: Object) -> Result<Semaphore> {
        let (max, leased) = limits(object.view()).map_err(|_| {
            let problem = "its geometry is garbage; remove it and create it again";
            Error::new(ErrorKind::Corrupt, format!("semaphore {}: {problem}", object.address()))
        })?;
        let resident: Resident<SemaphoreWords> = Resident::new(object)?;
        // More permits than the maximum are garbage, and no guess.
        let guess = if max == 1 { 1 } else { Some(resident.get().value()).filter(|value| *value <= max).unwrap_or(0) };
        let local = Local { guess: AtomicU32::new(guess), ..Local::default() };
        Ok(Semaphore { resident, max, leased, local: Arc::new(local) })
    }

    /// Gives a fresh semaphore its permits. Under the directory's mutex, before anybody can find it.
    pub(crate) fn initialise(view: View<'_>, options: SemaphoreOptions) {
        if let (Ok(words), false) = (SemaphoreWords::of(view), options.leased) {
            words.initialise(options.initial);
        }
    }

    /// The handle.
    #[inline(always)]
    pub(crate) fn object(&self) -> &Object {
        self.resident.object()
    }

    /// Where waiters sleep, once they have called [`Semaphore::announce`].
    pub(crate) fn bell(&self) -> &EventCount {
        self.resident.get().bell()
    }

    /// Announces a sleeper that passes its wake on where it leaves the permit to others. Returns what the sleep wants;
    /// the caller looks at [`Semaphore::value`] in between.
    pub(crate) fn announce(&self) -> u32 {
        self.resident.get().prepare()
    }

    #[inline(always)]
    fn words(&self) -> Result<&SemaphoreWords> {
        self.object().me()?;
        Ok(self.resident.get())
    }

    /// Where the last leased permit was taken.
    #[inline(always)]
    fn last(&self) -> usize {
        self.local.last.load(Relaxed) as usize
    }

    /// The cells, and the calling thread's word in them.
    fn leases(&self) -> Result<(Leases<'_>, u32)> {
        let me = self.object().me()?;
        Ok((Leases::of(self.object().view(), self.max)?, owner_word(me, thread::number())))
    }

    /// Takes a permit; waits for one for ever.
    ///
    /// # Errors
    /// `Removed` if the semaphore is removed while waiting.
    #[inline(always)]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// Takes a permit if there is one; never waits. If permits are leased, asks at most once a millisecond whether
    /// their holders are dead, so that a loop of tries gets past a death too.
    ///
    /// # Errors
    /// In a forked child, what joining reports.
    #[inline]
    pub fn try_wait(&self) -> Result<bool> {
        if self.words()?.take(1) { Ok(true) } else { Ok(self.leased && self.try_lease(1)?) }
    }

    /// Takes a permit; waits for one until the deadline.
    ///
    /// # Errors
    /// `Timeout`; `Removed`; `Interrupted` if the deadline is interruptible; `Corrupt` if a permit is leased to nobody
    /// who could be.
    #[inline(always)]
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> {
        let me = self.object().me()?;
        if self.take_as_before(me) { Ok(()) } else { self.wait_more(deadline) }
    }

    /// Takes a permit with one exchange, if everything is as it was the last time.
    #[inline(always)]
    fn take_as_before(&self, me: u32) -> bool {
        if self.leased {
            let mine = owner_word(me, thread::number());
            return leases::take_at(self.object().view(), self.last(), mine);
        }
        let guess = self.local.guess.load(Relaxed);
        guess != 0 && self.resident.get().take_one_of(guess)
    }

    #[inline(never)]
    fn wait_more(&self, deadline: Deadline) -> Result<()> {
        let words = self.resident.get();
        let (value, guess) = (words.value(), self.local.guess.load(Relaxed));
        // There are permits, but not as many as before: it does not serve as a lock, and a wrong guess costs an exchange.
        if guess != 0 && value != 0 && value != guess {
            self.local.guess.store(0, Relaxed); // Relaxed, as all of these: hints.
        }
        // A leased semaphore has no permits here.
        if words.take(1) { Ok(()) } else { self.wait_contended(words, 1, deadline) }
    }

    #[cold]
    #[inline(never)]
    fn wait_contended(&self, words: &SemaphoreWords, n: u32, deadline: Deadline) -> Result<()> {
        if self.leased {
            return self.lease_until(n, deadline);
        }
        if n > 1 {
            words.expect_several();
        }
        let world = self.object().waiting(WaitMode::Permit, n);
        wait::until(&world, words, &self.local.spin, deadline, || None, || Ok(words.take(n).then_some(())))
    }

    /// Takes `n` leased permits, all or none.
    fn lease(&self, leases: &Leases<'_>, mine: u32, n: u32) -> bool {
        let last = leases.take(mine, n, self.last());
        if let Some(last) = last {
            self.local.last.store(last as u32, Relaxed);
        }
        last.is_some()
    }

    fn lease_until(&self, n: u32, deadline: Deadline) -> Result<()> {
        let (leases, mine) = self.leases()?;
        if self.lease(&leases, mine, n) {
            return Ok(());
        }
        let words = self.resident.get();
        if n > 1 {
            words.expect_several();
        }
        let world = self.object().waiting(WaitMode::Permit, n);
        let nobody = Cell::new(None);
        let look = || {
            let look = leases.look(&world);
            nobody.set(look.nobody);
            look.suspect
        };
        wait::until(&world, words.bell(), &self.local.spin, deadline, look, || {
            if self.lease(&leases, mine, n) {
                return Ok(Some(()));
            }
            nobody.get().map_or(Ok(None), |slot| Err(self.garbage(slot)))
        })
        .map_err(|error| if error.kind() == ErrorKind::Timeout { self.explain(error) } else { error })
    }

    fn try_lease(&self, n: u32) -> Result<bool> {
        let (leases, mine) = self.leases()?;
        if self.lease(&leases, mine, n) {
            return Ok(true);
        }
        let (now, asked) = (now_ns(), self.local.asked_ns.load(Relaxed));
        // Relaxed: two threads that ask at once ask twice.
        if now.saturating_sub(asked) < ASK_EVERY_NS {
            return Ok(false);
        }
        self.local.asked_ns.store(now, Relaxed);
        leases.look(self.object());
        Ok(self.lease(&leases, mine, n))
    }

    /// Adds a permit and wakes one sleeper. A leased one is given back. Never blocks.
    ///
    /// # Errors
    /// `Overflow` at the maximum, and nothing is added; `NotOwner` if permits are leased and the calling thread holds
    /// none.
    #[inline(always)]
    pub fn post(&self) -> Result<()> {
        let me = self.object().me()?;
        if self.max == Self::MAX {
            return if self.resident.get().post() { Ok(()) } else { Err(self.overflow(1)) };
        }
        if self.post_as_before(me) { Ok(()) } else { self.post_more(1) }
    }

    /// Adds a permit with one exchange, if everything is as it was the last time.
    #[inline(always)]
    fn post_as_before(&self, me: u32) -> bool {
        let words = self.resident.get();
        if self.leased {
            let mine = owner_word(me, thread::number());
            let given = leases::give_at(self.object().view(), self.last(), mine);
            if given {
                words.notify(1);
            }
            return given;
        }
        let guess = self.local.guess.load(Relaxed);
        guess != 0 && words.post_one_of(guess)
    }

    #[inline(never)]
    fn post_more(&self, n: u32) -> Result<()> {
        if self.leased {
            let (leases, mine) = self.leases()?;
            let given = leases.give(mine, n, self.last());
            return given.map_err(|held| self.not_owner(&leases, n, held));
        }
        if self.resident.get().post_bounded(n, self.max) { Ok(()) } else { Err(self.overflow(n)) }
    }

    /// Takes `n` permits at once; waits for them for ever, holding none meanwhile.
    ///
    /// # Errors
    /// `Invalid` for 0, and for more than there can ever be; as [`Semaphore::wait`].
    pub fn wait_n(&self, n: u32) -> Result<()> {
        self.wait_n_until(n, Deadline::never())
    }

    /// Takes `n` permits at once if there are that many; never waits. Leased ones that another thread has taken, on its
    /// way to several that it will not get, count as taken.
    ///
    /// # Errors
    /// `Invalid` for 0, and for more than there can ever be.
    pub fn try_wait_n(&self, n: u32) -> Result<bool> {
        self.check(n)?;
        if self.words()?.take(n) { Ok(true) } else { Ok(self.leased && self.try_lease(n)?) }
    }

    /// Takes `n` permits at once; waits until the deadline.
    ///
    /// # Errors
    /// As [`Semaphore::wait_n`] and [`Semaphore::wait_until`].
    pub fn wait_n_until(&self, n: u32, deadline: Deadline) -> Result<()> {
        self.check(n)?;
        let words = self.words()?;
        if words.take(n) { Ok(()) } else { self.wait_contended(words, n, deadline) }
    }

    /// Adds `n` permits, all or none, and wakes who can go on. Never blocks.
    ///
    /// # Errors
    /// `Invalid` for 0; `Overflow` beyond the maximum; `NotOwner` if permits are leased and the calling thread holds
    /// fewer.
    pub fn post_n(&self, n: u32) -> Result<()> {
        if n == 0 {
            return Err(self.invalid(n));
        }
        self.object().me()?;
        self.post_more(n)
    }

    fn check(&self, n: u32) -> Result<()> {
        if (1..=self.max).contains(&n) { Ok(()) } else { Err(self.invalid(n)) }
    }

    #[cold]
    fn invalid(&self, n: u32) -> Error {
        let (address, max) = (self.address(), self.max);
        Error::new(
            ErrorKind::Invalid,
            format!("{n} permits of {address}: one can take or add 1 to {max} at once; {max} is its maximum"),
        )
    }

    #[cold]
    fn overflow(&self, n: u32) -> Error {
        Error::new(
            ErrorKind::Overflow,
            format!(
                "post {n} to {}: it holds {} of at most {} permits; somebody posts without waiting",
                self.address(),
                self.value(),
                self.max
            ),
        )
    }

    #[cold]
    fn not_owner(&self, leases: &Leases<'_>, n: u32, held: u32) -> Error {
        let who = match leases.holders().next() {
            None => "nobody holds any".to_string(),
            Some(word) => match self.holder(word) {
                Holder { pid: Some(pid), thread, .. } => format!("thread {thread} of process {pid} holds one"),
                Holder { slot, .. } => format!("the participant in slot {slot} holds one"),
            },
        };
        Error::new(
            ErrorKind::NotOwner,
            format!(
                "post {n} to {}: the calling thread holds {held} of its permits; only who took a leased permit can post it, and {who}",
                self.address()
            ),
        )
    }

    #[cold]
    fn garbage(&self, slot: u32) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: a permit is leased to slot {slot}, which no process can have: the segment holds garbage; create it again",
                self.address()
            ),
        )
    }

    #[cold]
    fn explain(&self, error: Error) -> Error {
        match self.holders().first() {
            Some(Holder { pid: Some(pid), .. }) => {
                Error::new(ErrorKind::Timeout, format!("{error}; process {pid} holds one of its permits"))
            }
            _ => error,
        }
    }

    /// The most permits it holds.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Do permits belong to who took them?
    pub fn is_leased(&self) -> bool {
        self.leased
    }

    /// Permits at this moment; 0 if the semaphore is gone.
    pub fn value(&self) -> u32 {
        if self.leased {
            return self.leases().map_or(0, |(leases, _)| leases.free());
        }
        self.words().map_or(0, SemaphoreWords::value)
    }

    /// Who holds leased permits, once for each permit; empty if permits are not leased.
    pub fn holders(&self) -> Vec<Holder> {
        match self.leases() {
            Ok((leases, _)) if self.leased => leases.holders().map(|word| self.holder(word)).collect(),
            _ => Vec::new(),
        }
    }

    fn holder(&self, word: u32) -> Holder {
        let slot = owner_slot(word);
        Holder { slot, pid: self.object().pid_of(slot), thread: thread_in(word) }
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

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({:?}, value {})", self.address(), self.value())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
