//! Wait for any of several objects, descriptors, signals and timers.
//!
//! # State
//!
//! In the segments: nothing. In the process: the members, and from the first descriptor, signal, timer or
//! [`WaitSet::fd`] on an epoll descriptor (`descriptors.rs`); if there are objects besides, a thread that sleeps on
//! them (`lookout.rs`). A set of objects alone has neither: it sleeps with one futex_waitv(2) on all their words
//! (`any.rs`), and where the system has no such call looks every millisecond.
//!
//! # When a peer dies
//!
//! What somebody would get who waited for that member alone makes it ready: a lock whose holder is dead (it is locked
//! with `OwnerDied`), an empty ring whose producer is dead (`PeerDead`), a mailbox after the claim in the way is void.
//! Noticed before the first sleep, else at the end of a slice, after 16 ms at most where somebody can be suspected.
//!
//! # Cost
//!
//! A member that is ready: a look at each of them. A sleep: three atomics and two looks for each object, one system
//! call, and one more for each object that is ready then, to pass its wake on.

mod any;
mod descriptors;
mod lookout;
mod members;
mod slices;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::participant::fork;
use crate::prim::{Woken, spin_loop};
use crate::segment::WaitMode;
use crate::wait::{Spin, World};
use any::{Means, Ringing};
use descriptors::Descriptors;
use lookout::Lookout;
use members::{IntoSide, Side};
use slices::Slices;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// How often looks that do not wait ask whether those in the way are alive.
const ASK_EVERY_NS: u64 = 1_000_000;

/// An object that a [`WaitSet`] can wait for.
///
/// Sealed: semaphores, mutexes, monitors, events, mailboxes, producers and consumers of rings, and whatever else of
/// this library one can wait for.
pub trait Waitable: IntoSide {}

/// Ready for what?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interest {
    /// A message, a record or a permit can be taken; a lock or monitor is free; a descriptor can be read.
    Receive,
    /// There is room for a message of any size the object takes; at a mailbox of capacity 0 a receiver waits for one; a
    /// receiver has what was offered; a descriptor can be written.
    Send,
    /// There is room in a ring for a record, or in a mailbox for a message, of up to this many bytes. At a mailbox of
    /// capacity 0: there is a place to put one down with [`Mailbox::try_offer`](crate::Mailbox::try_offer), whether or not
    /// a receiver waits.
    Room(usize),
    /// One of these event flags is set.
    AnyFlag(u32),
    /// All of these event flags are set.
    AllFlags(u32),
}

/// Names a member of a [`WaitSet`]: from 0 on in the order of adding, never used again.
pub type Token = usize;

/// A member that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// Which member.
    pub token: Token,
    /// How often a timer has expired since it was last told; otherwise 1.
    pub count: u64,
}

/// Waits for any of several members, as poll(2) does: it says who is ready, and takes nothing.
///
/// What follows is up to the caller: `try_wait`, `try_lock`, `try_receive` and so on, which may find nothing, as a
/// member that is ready may not stay so: anybody else can be faster. One end of a ring that *you* have stays ready.
/// A member is told again as long as it is ready. Only signals and the expiries of timers are taken by being told.
///
/// What a death does to who waits for a member alone makes it ready: the lock of a dead holder (`try_lock` says
/// `OwnerDied`), an empty ring whose producer is dead (`PeerDead`). The `try_` forms ask after the dead once a
/// millisecond, so they may have to be called again. Who sleeps in a set is seen at its first object, by
/// [`Segment::waits`](crate::Segment::waits); no lock that he waits for there makes him part of a deadlock.
///
/// A set belongs to its process: in a forked child every call says `Forked`; make a new one there. One thread at a
/// time uses it, as `&mut` says; it may go from thread to thread. Use the end of a ring that is in a set only in the
/// thread that waits.
///
/// Members stay usable in every other way. Dropping a handle that was added leaves the member in the set, except for
/// an end of a ring, whose member is an error then: take it out first.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::{Interest, WaitSet};
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let (orders, stop) = (segment.mailbox("orders", 8, 64)?, segment.event("stop", 0)?);
/// let mut set = WaitSet::new()?;
/// let order = set.add(&orders, Interest::Receive)?;
/// let stopped = set.add(&stop, Interest::AnyFlag(1))?;
/// orders.send(b"tea")?;
/// let ready = set.wait()?;
/// assert!(ready.iter().any(|member| member.token == order) && !ready.iter().any(|member| member.token == stopped));
/// # Ok(()) }
/// ```
pub struct WaitSet {
    /// The fork number under which it was made.
    fork: u32,
    next: Token,
    /// The tokens of `sides`, in the same order.
    tokens: Vec<Token>,
    sides: Arc<[Arc<dyn Side>]>,
    descriptors: Option<Descriptors>,
    lookout: Option<Lookout>,
    /// The epoll descriptor was given away: it must tell of the objects also while nobody waits.
    lent: bool,
    spin: Spin,
    asked_ns: u64,
    means: Means,
}

impl WaitSet {
    /// The most objects in one set. Descriptors, signals and timers do not count.
    pub const MAX_OBJECTS: usize = any::MOST;

    /// An empty one.
    pub fn new() -> Result<WaitSet> {
        fork::install();
        Ok(WaitSet {
            fork: fork::number(),
            next: 0,
            tokens: Vec::new(),
            sides: Arc::new([]),
            descriptors: None,
            lookout: None,
            lent: false,
            spin: Spin::default(),
            asked_ns: 0,
            means: Means::Kernel,
        })
    }

    /// Adds an object. `interest` says what for.
    ///
    /// # Errors
    /// `Invalid` if the object has no such side; `NoSpace` beyond [`WaitSet::MAX_OBJECTS`]; `TooLarge` for more room
    /// than a ring can have; `Forked` also for the end of a ring that is the parent's.
    pub fn add(&mut self, object: &(impl Waitable + ?Sized), interest: Interest) -> Result<Token> {
        self.check_fork()?;
        let side = object.side(interest)?;
        if self.sides.len() >= Self::MAX_OBJECTS {
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "add {} to a wait set: it has {} objects, the most there can be; use a second set, whose descriptor can be added to the first",
                    side.object().address(),
                    Self::MAX_OBJECTS
                ),
            ));
        }
        let token = self.fresh_token();
        self.tokens.push(token);
        self.set_sides(self.sides.iter().cloned().chain([side]).collect());
        if self.lent {
            self.watch()?;
        }
        Ok(token)
    }

    /// Adds a descriptor, with `Receive` or `Send`. One that is hung up or broken is ready. The set keeps a duplicate:
    /// the file stays open until the member is taken out.
    ///
    /// # Errors
    /// `Invalid` for a regular file, which is always ready; what dup(2) and epoll_ctl(2) report.
    pub fn add_fd(&mut self, fd: impl AsFd, interest: Interest) -> Result<Token> {
        let token = self.next;
        self.descriptors()?.add_fd(token, fd.as_fd(), interest)?;
        Ok(self.fresh_token())
    }

    /// Adds a signal, which is blocked in the calling thread from now on, also when the member is gone. Threads that
    /// were started before do not block it: then its usual action happens in one of them. Each signal that is told
    /// is taken.
    ///
    /// # Errors
    /// `Invalid` for a number that is no signal, SIGKILL and SIGSTOP.
    pub fn add_signal(&mut self, signal: i32) -> Result<Token> {
        let token = self.next;
        self.descriptors()?.add_signal(token, signal)?;
        Ok(self.fresh_token())
    }

    /// Adds a timer that expires again and again, first after `every` from now.
    ///
    /// # Errors
    /// `Invalid` for no time.
    pub fn add_timer(&mut self, every: Duration) -> Result<Token> {
        let token = self.next;
        self.descriptors()?.add_timer(token, every, every)?;
        Ok(self.fresh_token())
    }

    /// Adds a timer that expires once, `after` from now.
    ///
    /// # Errors
    /// `Invalid` for no time.
    pub fn add_timer_once(&mut self, after: Duration) -> Result<Token> {
        let token = self.next;
        self.descriptors()?.add_timer(token, after, Duration::ZERO)?;
        Ok(self.fresh_token())
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// `NotFound` if it is not there.
    pub fn remove(&mut self, token: Token) -> Result<()> {
        self.check_fork()?;
        if let Some(gone) = self.tokens.iter().position(|t| *t == token) {
            self.tokens.remove(gone);
            let rest = self.sides.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, side)| side.clone());
            self.set_sides(rest.collect());
            return Ok(());
        }
        if self.descriptors.as_mut().is_some_and(|descriptors| descriptors.remove(token)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("take member {token} out of a wait set: it has none such")))
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.sides.len() + self.descriptors.as_ref().map_or(0, Descriptors::len)
    }

    /// Has it no members?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for ever until a member is ready; returns those that are, one at least.
    ///
    /// # Errors
    /// `Removed` if the object of a member was removed, `Corrupt` if it holds garbage, `NotOwner` if the end of a ring
    /// was given back: the message names the member, which is to be taken out. `Invalid` for an empty set; `Forked`.
    pub fn wait(&mut self) -> Result<Vec<Ready>> {
        self.wait_until(Deadline::never())
    }

    /// Those that are ready now; never waits.
    ///
    /// # Errors
    /// As [`WaitSet::wait`], and none for an empty set.
    pub fn try_wait(&mut self) -> Result<Vec<Ready>> {
        let mut ready = Vec::new();
        self.try_wait_into(&mut ready)?;
        Ok(ready)
    }

    /// As [`WaitSet::wait`], until the deadline.
    ///
    /// # Errors
    /// As `wait`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn wait_until(&mut self, deadline: Deadline) -> Result<Vec<Ready>> {
        let mut ready = Vec::new();
        self.wait_into(&mut ready, deadline)?;
        Ok(ready)
    }

    /// As [`WaitSet::try_wait`], into a vector that is used again. What was in it is lost.
    pub fn try_wait_into(&mut self, ready: &mut Vec<Ready>) -> Result<()> {
        self.check_fork()?;
        ready.clear();
        let now = now_ns();
        // What the lookout has found by asking nobody sees who does not ask.
        let rung = self.lookout.as_ref().is_some_and(Lookout::has_rung);
        let ask = rung || now.saturating_sub(self.asked_ns) >= ASK_EVERY_NS;
        if ask {
            self.asked_ns = now;
        }
        if !self.look(ask, ready)? {
            self.still_there()?;
            if self.lent {
                self.watch()?;
            }
        }
        Ok(())
    }

    /// As [`WaitSet::wait_until`], into a vector that is used again. What was in it is lost.
    pub fn wait_into(&mut self, ready: &mut Vec<Ready>, deadline: Deadline) -> Result<()> {
        self.check_fork()?;
        ready.clear();
        if self.is_empty() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "wait for a wait set without members: it would never end; add some",
            ));
        }
        if self.look(false, ready)? {
            return Ok(());
        }
        if deadline.is_try() {
            self.try_wait_into(ready)?;
            return if ready.is_empty() { Err(self.timed_out()) } else { Ok(()) };
        }
        if self.descriptors.is_some() {
            return self.wait_for_descriptors(ready, deadline);
        }
        if self.spin(ready, deadline)? {
            return Ok(());
        }
        self.visibly(|| {
            let mut slept = false;
            let answer = self.wait_for_objects(ready, deadline, &mut slept);
            if slept {
                self.sides.iter().for_each(Ringing::pass_on);
            }
            answer
        })
    }

    /// One descriptor that is readable when a member is ready: for poll(2), epoll, asyncio, or another set. Nobody
    /// reads from it. When it is readable call [`WaitSet::try_wait`]: as long as that finds somebody ready the
    /// descriptor stays readable, and once it finds nobody the descriptor tells anew; so whoever asks for edges
    /// (`EPOLLET`) has to call it until it finds nobody. It may be readable although nobody is ready any more. An
    /// error of `try_wait` makes it readable as well.
    ///
    /// It is the set's: it is the same each time, and closed when the set is dropped. From the first call on a thread
    /// of this process sleeps on the objects, and is one of their waiters.
    ///
    /// # Errors
    /// What making descriptors and threads reports; `Forked`.
    pub fn fd(&mut self) -> Result<BorrowedFd<'_>> {
        self.descriptors()?;
        if !self.lent {
            self.watch()?;
            self.lent = true;
        }
        Ok(self.descriptors()?.epoll())
    }

    fn fresh_token(&mut self) -> Token {
        self.next += 1;
        self.next - 1
    }

    /// The descriptors; made on first use.
    fn descriptors(&mut self) -> Result<&mut Descriptors> {
        self.check_fork()?;
        match &mut self.descriptors {
            Some(descriptors) => Ok(descriptors),
            none => Ok(none.insert(Descriptors::new()?)),
        }
    }

    fn set_sides(&mut self, sides: Arc<[Arc<dyn Side>]>) {
        self.sides = sides;
        if let Some(lookout) = &self.lookout {
            lookout.set_sides(self.sides.clone());
        }
    }

    /// From now on the epoll descriptor tells when an object gets ready. Not before: what is ready is ready already,
    /// and makes it readable at once.
    fn watch(&mut self) -> Result<()> {
        let Some(descriptors) = &self.descriptors else { return Ok(()) };
        if self.lookout.is_none() && !self.sides.is_empty() {
            self.lookout = Some(Lookout::start(self.sides.clone(), descriptors.bell().clone(), self.means)?);
        }
        if let Some(lookout) = &self.lookout {
            lookout.watch();
        }
        Ok(())
    }

    /// Looks at all members. True: some are ready. `ask`: also ask whether those in the way are alive.
    fn look(&self, ask: bool, ready: &mut Vec<Ready>) -> Result<bool> {
        for (token, side) in self.tokens.iter().zip(&*self.sides) {
            if side.is_ready(ask).map_err(|error| broken(*token, error))? {
                ready.push(Ready { token: *token, count: 1 });
            }
        }
        if let Some(descriptors) = &self.descriptors {
            descriptors.look(ready)?;
        }
        Ok(!ready.is_empty())
    }

    fn still_there(&self) -> Result<()> {
        let mut members = self.tokens.iter().zip(&*self.sides);
        members.try_for_each(|(token, side)| side.object().still_there().map_err(|error| broken(*token, error)))
    }

    /// Looks for a short, learned time.
    fn spin(&self, ready: &mut Vec<Ready>, deadline: Deadline) -> Result<bool> {
        let began = now_ns();
        let end = began.saturating_add(self.spin.budget_ns()).min(deadline.at_ns());
        while now_ns() < end {
            spin_loop();
            if self.look(false, ready)? {
                self.spin.caught(now_ns() - began);
                return Ok(true);
            }
        }
        self.spin.missed();
        Ok(false)
    }

    /// Sleeps on the words of the objects.
    fn wait_for_objects(&self, ready: &mut Vec<Ready>, deadline: Deadline, slept: &mut bool) -> Result<()> {
        let mut slices = Slices::new(&self.sides, self.means);
        let mut first = true;
        loop {
            self.still_there()?;
            let end = slices.end().min(deadline.at_ns());
            let look = |ask| self.look(ask, ready);
            let (found, woken) = any::sleep(&self.sides, None, end, self.means, std::mem::take(&mut first), look);
            *slept |= woken.is_some();
            if found? {
                return Ok(());
            }
            self.check_end(woken, deadline)?;
            if woken == Some(Woken::TimeUp) {
                slices.next(&self.sides);
            }
        }
    }

    /// Sleeps on the descriptors; the lookout sleeps on the words of the objects.
    fn wait_for_descriptors(&mut self, ready: &mut Vec<Ready>, deadline: Deadline) -> Result<()> {
        loop {
            self.still_there()?;
            self.watch()?;
            let Some(descriptors) = &self.descriptors else { return Ok(()) };
            let woken = self.visibly(|| descriptors.sleep(deadline.at_ns()))?;
            // What the lookout has found by asking nobody sees who does not ask.
            if self.look(true, ready)? {
                return Ok(());
            }
            self.check_end(Some(woken), deadline)?;
        }
    }

    fn check_end(&self, woken: Option<Woken>, deadline: Deadline) -> Result<()> {
        if woken == Some(Woken::Signal) && deadline.is_interruptible() {
            return Err(ErrorKind::Interrupted.into());
        }
        if deadline.passed() { Err(self.timed_out()) } else { Ok(()) }
    }

    /// Runs `sleep`; lets others see it at the first object.
    fn visibly<R>(&self, sleep: impl FnOnce() -> R) -> R {
        match self.sides.first() {
            Some(side) => side.object().waiting(WaitMode::Any, self.sides.len() as u32).visibly(sleep),
            None => sleep(),
        }
    }

    #[cold]
    fn timed_out(&self) -> Error {
        let others = self.len() - self.sides.len().min(1);
        match self.sides.first() {
            Some(side) if others > 0 => Error::new(
                ErrorKind::Timeout,
                format!("wait set of {} and {others} more: the deadline passed", side.object().address()),
            ),
            Some(side) => side.object().timed_out(),
            None => Error::new(ErrorKind::Timeout, format!("wait set of {others} descriptors: the deadline passed")),
        }
    }

    fn check_fork(&self) -> Result<()> {
        if self.fork == fork::number() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forked, "this wait set belongs to the parent process; make a new one after fork"))
    }
}

/// The error of a member, with its token.
#[cold]
fn broken(token: Token, error: Error) -> Error {
    Error::new(error.kind(), format!("member {token} of a wait set, to be taken out of it: {error}"))
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.tokens.iter().zip(&*self.sides).map(|(token, side)| (token, side.object().address()));
        f.debug_map().entries(objects).finish()
    }
}
