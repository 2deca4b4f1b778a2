//! How everybody waits: one policy for all objects.
//!
//! Try; spin for a short, learned time; then sleep in slices. A slice ends by itself after 60 ms at most, after
//! 16 ms where somebody is suspected, after 1 ms at most where the suspect is dead. Whoever wakes looks again: at the
//! condition, at the suspect (the process named in the word it waits for), and at everybody else now and then.
//! So a lost wake is a delay and a death is noticed by whoever waits; nobody else is needed.

pub mod board;
mod eventcount;
#[cfg(all(test, not(loom)))]
mod eventcount_states;
mod park;
mod spin;

pub use eventcount::EventCount;
pub use park::ParkWord;
pub use spin::Spin;

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{Woken, prefetch_to_write, spin_loop};
use std::cell::Cell;
// Process-private.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a waiting loop asks about the world around its object.
pub trait World {
    /// Ends the wait with an error if the object was removed under the waiter.
    fn still_there(&self) -> Result<()>;
    /// Is the participant in `slot` dead? False when in doubt. One system call.
    fn is_dead(&self, slot: u32) -> bool;
    /// Can a process sit in `slot` at all? A word that names another slot is garbage.
    fn is_seat(&self, _slot: u32) -> bool {
        true
    }
    /// Looks after participants that died without anybody waiting for them. Cheap; limits its own rate.
    fn tick(&self);
    /// The error for a deadline that has passed; says what was waited for.
    fn timed_out(&self) -> Error;
    /// Runs `sleep`, the part of a wait that has given up spinning; lets others see it.
    fn visibly<R>(&self, sleep: impl FnOnce() -> R) -> R {
        sleep()
    }
    /// Runs `sleep`, the system call in which the thread is that waits visibly.
    fn sleeping(&self, sleep: impl FnOnce() -> Woken) -> Woken {
        sleep()
    }
}

/// How long to sleep before looking again. For the dead: the first time, and later, when somebody else is at it.
const SUSPECT_DEAD_NS: [u64; 2] = [50_000, 1_000_000];
const SUSPECT_ALIVE_MS: u64 = 16;
/// Nobody is suspected: the first sleep, and those after it. A shorter first one would be asked for again and
/// again where messages are rare, and setting a near timer costs a third of a wake on virtual machines. Less than
/// the promised 64 ms by what a wake takes on a busy machine.
const IDLE_MS: [u64; 2] = [16, 60];

/// Polls before the first pause instruction: the answer of a spinning peer comes within these.
const BARE_POLLS: u32 = 64;
/// The clock costs ten polls, so it is read once in this many.
const POLLS_PER_CLOCK: u32 = 16;

/// The end of sleep number `i`, never later than the deadline. Who is about to sleep asks first whether the
/// suspect is alive, so that only those who sleep already when it dies have to wait for the end of theirs.
fn slice_end(world: &impl World, i: usize, suspect: Option<u32>, deadline: Deadline) -> u64 {
    let ns = match suspect {
        Some(slot) if world.is_dead(slot) => SUSPECT_DEAD_NS[i.min(1)],
        Some(_) => SUSPECT_ALIVE_MS * 1_000_000,
        None => IDLE_MS[i.min(IDLE_MS.len() - 1)] * 1_000_000,
    };
    (now_ns() + ns).min(deadline.at_ns())
}

/// How often, in this process, a sleeper found what it waited for when its slice had ended, not when it was woken.
static LATE: AtomicU64 = AtomicU64::new(0);

/// How often a wake came late or never, in this process: for the soak, which shows that it does not happen.
#[doc(hidden)]
pub fn late_wakes() -> u64 {
    LATE.load(Relaxed)
}

/// One place to sleep: an eventcount, a park word, or the word of a lock.
pub trait Bell {
    /// How long to go on looking between `prepare` and sleep: not 0 where publishers do not fence.
    fn recheck_ns(&self) -> u64 {
        0
    }
    /// Announces that somebody is about to sleep; returns what [`Bell::sleep`] wants back.
    fn prepare(&self) -> u32;
    /// Sleeps unless somebody rang since `prepare`.
    fn sleep(&self, key: u32, at_ns: u64) -> Woken;
    /// Takes the announcement back, as far as that is possible.
    fn done(&self) {}
    /// So many polls come before anything else, even a look at the clock, which takes longer than several of them.
    fn first_polls(&self) -> u32 {
        BARE_POLLS
    }
    /// Between two polls of a waiter that spins since `began_ns`; `polls` of them were in vain.
    fn between(&self, polls: u32, _began_ns: u64) {
        if polls >= BARE_POLLS {
            spin_loop();
        }
    }
}

thread_local! {
    /// See [`will_write`].
    static NEXT: Cell<*const u8> = const { Cell::new(std::ptr::null()) };
}

/// Says where this thread will probably write next: a reader had the lines last. If it has to wait for something before,
/// for an answer perhaps, it asks for them then, when it has nothing else to do.
#[inline(always)]
pub fn will_write(place: *const u8) {
    NEXT.set(place);
}

#[inline]
fn fetch_next() {
    let next = NEXT.get();
    if !next.is_null() {
        prefetch_to_write(next);
        prefetch_to_write(next.wrapping_add(64));
    }
}

/// Waits until `attempt` answers.
///
/// `attempt` tries the operation once: `Some` is its result, `None` says that it would have to wait.
/// `suspect` names the participant that is in the way, if one can be named. `attempt` itself repairs what a
/// dead suspect left; this loop calls it again whenever a slice has ended, so it need not be told.
#[inline]
pub fn until<T>(
    world: &impl World,
    bell: &impl Bell,
    spin: &Spin,
    deadline: Deadline,
    suspect: impl FnMut() -> Option<u32>,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    match attempt()? {
        Some(answer) => Ok(answer),
        None if deadline.is_try() => Err(world.timed_out()),
        None => contended(world, bell, spin, deadline, suspect, attempt),
    }
}

#[cold]
fn contended<T>(
    world: &impl World,
    bell: &impl Bell,
    spin: &Spin,
    deadline: Deadline,
    suspect: impl FnMut() -> Option<u32>,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let budget = spin.budget_ns();
    let mut polls = 0u32;
    while budget > 0 && polls < bell.first_polls() {
        if let Some(answer) = attempt()? {
            spin.caught(0);
            return Ok(answer);
        }
        polls += 1;
    }
    fetch_next();
    let began = now_ns();
    let end = began.saturating_add(budget).min(deadline.at_ns());
    let mut now = began;
    while now < end {
        bell.between(polls, began);
        if let Some(answer) = attempt()? {
            let now = now_ns();
            spin.caught(now - began);
            spin.caught_at(now);
            return Ok(answer);
        }
        polls += 1;
        if polls.is_multiple_of(POLLS_PER_CLOCK) {
            now = now_ns();
        }
    }
    spin.missed();
    world.visibly(|| asleep(world, bell, deadline, suspect, attempt))
}

fn asleep<T>(
    world: &impl World,
    bell: &impl Bell,
    deadline: Deadline,
    mut suspect: impl FnMut() -> Option<u32>,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut slice = 0;
    loop {
        world.still_there()?;
        let key = bell.prepare();
        let mut found = attempt();
        if bell.recheck_ns() > 0 && matches!(found, Ok(None)) {
            let end = now_ns() + bell.recheck_ns();
            while matches!(found, Ok(None)) && now_ns() < end {
                found = attempt();
            }
        }
        let mut woken = Woken::Perhaps;
        if matches!(found, Ok(None)) {
            let end = slice_end(world, slice, suspect(), deadline);
            woken = world.sleeping(|| bell.sleep(key, end));
            slice += 1;
        }
        bell.done();
        let found = match found? {
            None => attempt()?,
            some => some,
        };
        if let Some(answer) = found {
            if woken == Woken::TimeUp {
                LATE.fetch_add(1, Relaxed); // Relaxed: a count.
            }
            return Ok(answer);
        }
        match woken {
            Woken::Signal if deadline.is_interruptible() => return Err(ErrorKind::Interrupted.into()),
            Woken::TimeUp => world.tick(),
            Woken::Signal | Woken::Perhaps => {}
        }
        if deadline.passed() {
            return Err(world.timed_out());
        }
    }
}
