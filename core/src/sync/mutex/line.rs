//! The mutex in the segment: one word, and what is done to it.
//!
//! # State
//!
//! One word: `slot:12 | thread:16 | HUNGRY | 0 | INCONSISTENT | WAITERS`.
//!
//! | slot | INCONSISTENT | meaning                                                                  |
//! |------|--------------|--------------------------------------------------------------------------|
//! | 0    | 0            | free                                                                     |
//! | 0    | 1            | free, but a holder died and nobody has said since that the state is whole |
//! | s    | 0            | held by a thread of the process in slot s                                |
//! | s    | 1            | held, and whoever holds it was told that a holder before it died         |
//!
//! WAITERS: somebody sleeps on the word, or may. After its first sleep a locker takes the lock *with* WAITERS
//! set, as others may still sleep; the cost is one needless wake. HUNGRY: see `turns.rs`.
//!
//! # Orderings
//!
//! Edge `lock`: unlocking releases, locking acquires. What one holder wrote, the next one sees; also after a
//! theft, as the kernel has ended the dead holder's last thread before it says that he is dead.
//!
//! # When a peer dies
//!
//! | killed                                  | word              | consequence                                   |
//! |-----------------------------------------|-------------------|-----------------------------------------------|
//! | before / after the locking exchange     | unchanged / his   | none / the next locker steals it, told so     |
//! | after the unlocking exchange, no wake   | free, sleepers    | they look again when their slice ends         |
//! | as a waiter that set WAITERS            | WAITERS too many  | one needless wake                             |
//! | as a waiter that set HUNGRY             | HUNGRY too many   | one locker gives way for 1 µs                 |
//! | while holding it after another's death  | his, INCONSISTENT | the next locker is told again                 |
//!
//! A new locker steals within about 1 ms, a sleeper after 16 ms at most. INCONSISTENT stays until a holder calls
//! `recover`: unlocking without it passes the news on, so nobody misses it and nothing is ever beyond repair.
//! (POSIX makes the mutex unusable for ever at that point.)
//!
//! # Cost
//!
//! Uncontended: one compare-and-swap to lock, one to unlock, no store beside them, no system call.
//!
//! Sources: the three-state futex mutex of Drepper, "Futexes Are Tricky", as in Rust's std; robustness after
//! POSIX's `PTHREAD_MUTEX_ROBUST`, without its list of pointers in shared memory.

use super::turns::{HUNGRY, Turn};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    Woken, futex_wait, futex_wake,
};
use crate::segment::object::{InSegment, Object, View};
use crate::wait::{self, Bell, Spin, World};
use std::cell::Cell;

const SLOT: u32 = 0xFFF;
pub(super) const OWNER: u32 = 0x0FFF_FFFF;
pub(super) const INCONSISTENT: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;
/// Lost compare-and-swaps before a locker goes back to its waiting loop.
const RETRIES: u32 = 64;

/// The word of a mutex held by thread `thread` of the process in `slot`.
pub fn owner_word(slot: u32, thread: u32) -> u32 {
    slot & SLOT | (thread & 0xFFFF) << 12
}

/// The slot in a word; 0: nobody.
pub fn owner_slot(word: u32) -> u32 {
    word & SLOT
}

/// What a word means that names ourselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// The calling thread locks twice: an error.
    Relock,
    /// The caller knows that nobody in this process holds it: it is left over, as after a death.
    Stale,
}

/// Who can act upon a death: see `Participant::repair`.
pub trait Robber {
    /// Runs `f` with the repair byte of `slot` held, if that process is dead.
    fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R>;
}

impl Robber for Object {
    fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        Object::repairing(self, slot, f)
    }
}

/// The mutex in the segment: a cache line of its own.
#[repr(C)]
#[derive(Debug)]
pub struct MutexLine {
    pub(super) word: AtomicU32,
    /// How many holders have died with it, for who is curious.
    deaths: AtomicU32,
    /// See `turns.rs`.
    pub(super) crowd: AtomicU32,
    _rest: [AtomicU32; 13],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for MutexLine {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<MutexLine>() == 64);
impl MutexLine {
    /// A free mutex on the heap.
    #[cfg(any(test, loom))]
    pub fn new() -> MutexLine {
        MutexLine {
            word: AtomicU32::new(0),
            deaths: AtomicU32::new(0),
            crowd: AtomicU32::new(0),
            _rest: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    pub fn of(view: View<'_>) -> Result<&MutexLine> {
        view.at(0)
    }

    /// Did a holder die, and has nobody recovered since?
    pub fn is_inconsistent(&self) -> bool {
        self.word() & INCONSISTENT != 0
    }

    /// Wakes everybody who sleeps on it.
    pub(super) fn ring(&self) {
        futex_wake(&self.word, i32::MAX as u32);
    }

    /// The word that lockers sleep on.
    pub fn futex(&self) -> &AtomicU32 {
        &self.word
    }

    /// Wakes one who sleeps on it: he looks, and announces himself anew if he has to sleep again.
    pub fn wake_one(&self) {
        futex_wake(&self.word, 1);
    }

    /// Announces a sleeper, if it is held. Returns what it sleeps with.
    pub fn announce(&self) -> u32 {
        let mut now = self.word();
        for _ in 0..RETRIES {
            if owner_slot(now) == 0 || now & WAITERS != 0 {
                break; // Free: the look that follows sees it, or the sleep ends at once.
            }
            // Relaxed: a request to the holder; its exchange on the same word sees it.
            match self.word.compare_exchange(now, now | WAITERS, Relaxed, Relaxed) {
                Ok(_) => return now | WAITERS,
                Err(other) => now = other,
            }
        }
        now | WAITERS
    }

    /// The word as it is.
    pub fn word(&self) -> u32 {
        // Relaxed: a moment's truth; who acts on it exchanges it.
        self.word.load(Relaxed)
    }

    /// Takes it if it is free, nobody waits and nobody died: one exchange.
    #[inline(always)]
    pub(super) fn take_free(&self, mine: u32) -> bool {
        // ORDER lock: Acquire; pairs with the Release in `unlock` and `abandon`.
        self.word.compare_exchange(0, mine, Acquire, Relaxed).is_ok()
    }

    /// Takes it if it is free, setting `keep` as well, and HUNGRY off. `Some(true)`: a holder died before.
    #[inline]
    pub(super) fn take(&self, mine: u32, keep: u32) -> Option<bool> {
        let mut now = 0;
        for _ in 0..RETRIES {
            // ORDER lock: Acquire; pairs with the Release in `unlock` and `abandon`.
            match self.word.compare_exchange(now, mine | now & (INCONSISTENT | WAITERS) | keep, Acquire, Relaxed) {
                Ok(_) => return Some(now & INCONSISTENT != 0),
                Err(other) if owner_slot(other) == 0 => now = other,
                Err(_) => return None,
            }
        }
        None
    }

    /// Locks as `mine`. True: a holder died before and nobody has recovered since.
    pub fn lock<W: World + Robber>(&self, world: &W, me: u32, mine: u32, deadline: Deadline, own: Own) -> Result<bool> {
        match self.take(mine, 0) {
            Some(owner_died) => Ok(owner_died),
            None => self.lock_contended(world, me, mine, deadline, own, &Spin::default()),
        }
    }

    #[cold]
    pub(super) fn lock_contended<W: World + Robber>(
        &self,
        world: &W,
        me: u32,
        mine: u32,
        deadline: Deadline,
        own: Own,
        spin: &Spin,
    ) -> Result<bool> {
        let bed = Bed { line: self, turn: Turn::new(self, spin), slept: Cell::new(false), look: Cell::new(false) };
        let attempt = || {
            // Look before taking: an exchange that fails takes the line away from the holder all the same.
            let word = self.word();
            let owner = owner_slot(word);
            if owner == 0 {
                if !bed.turn.has_come(word) {
                    return Ok(None);
                }
                let keep = if bed.slept.get() { WAITERS } else { 0 };
                return Ok(self.take(mine, keep));
            }
            if word & OWNER == mine & OWNER && own == Own::Relock {
                return Err(ErrorKind::Deadlock.into());
            }
            if owner == me && own == Own::Stale {
                return Ok(self.steal(word, mine));
            }
            if !world.is_seat(owner) {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "a mutex is held by slot {owner}, which no process can have: the segment holds garbage; create it again"
                    ),
                ));
            }
            if bed.look.take() && world.is_dead(owner) {
                return Ok(world.repairing(owner, || self.steal(word, mine)).flatten());
            }
            Ok(None)
        };
        wait::until(world, &bed, spin, deadline, || Some(owner_slot(self.word())).filter(|s| *s != 0), attempt)
    }

    /// Takes the lock from a dead owner. The caller holds his repair byte, so his slot has no new owner.
    pub(super) fn steal(&self, word: u32, mine: u32) -> Option<bool> {
        // ORDER lock: Acquire. The dead holder released nothing; the kernel ended him before it told us.
        let stolen = self.word.compare_exchange(word, mine | INCONSISTENT | WAITERS, Acquire, Relaxed).is_ok();
        if stolen {
            self.deaths.fetch_add(1, Relaxed); // Relaxed: a statistic.
        }
        stolen.then_some(true)
    }

    /// Unlocks. Only the holder may. INCONSISTENT and HUNGRY stay if they are set.
    pub fn unlock(&self) {
        // Relaxed: only the holder changes INCONSISTENT, and that is us. Who asks just now has to ask again.
        let keep = self.word.load(Relaxed) & (INCONSISTENT | HUNGRY);
        // ORDER lock: Release; pairs with the Acquire in `take`.
        if self.word.swap(keep, Release) & WAITERS != 0 {
            futex_wake(&self.word, 1); // By address only: the next holder may have unmapped it.
        }
    }

    /// Unlocks. False: `mine` does not hold it.
    ///
    /// One compare-and-swap with a value that is at hand: to load the word first costs almost as much again, as it
    /// was exchanged just before and has to come back from the cache.
    #[inline(always)]
    pub(super) fn unlock_mine(&self, mine: u32) -> bool {
        // ORDER lock: Release; pairs with the Acquire in `take`.
        self.word.compare_exchange(mine, 0, Release, Relaxed).is_ok() || self.unlock_flagged(mine)
    }

    /// Somebody waits or is hungry, somebody died, or `mine` does not hold it.
    #[cold]
    fn unlock_flagged(&self, mine: u32) -> bool {
        let held = self.word() & OWNER == mine;
        if held {
            self.unlock();
        }
        held
    }

    /// The holder says that the guarded state is whole. False: `mine` does not hold it.
    pub fn recover(&self, mine: u32) -> bool {
        // Relaxed: the next holder learns of it through `lock`.
        let held = self.word.load(Relaxed) & OWNER == mine;
        if held {
            self.word.fetch_and(!INCONSISTENT, Relaxed);
        }
        held
    }

    /// Frees it for a holder that is gone, if `is_his` says that the word names him.
    pub(super) fn abandon(&self, is_his: impl Fn(u32) -> bool) {
        let mut now = self.word();
        for _ in 0..RETRIES {
            if owner_slot(now) == 0 || !is_his(now) {
                return;
            }
            // ORDER lock: Release; pairs with the Acquire in `take`.
            match self.word.compare_exchange(now, now & WAITERS | INCONSISTENT, Release, Relaxed) {
                Ok(_) => {
                    self.deaths.fetch_add(1, Relaxed); // Relaxed: a statistic.
                    futex_wake(&self.word, 1);
                    return;
                }
                Err(other) => now = other, // Somebody set WAITERS or HUNGRY.
            }
        }
    }
}

/// Where lockers sleep: on the word itself.
struct Bed<'a> {
    line: &'a MutexLine,
    turn: Turn<'a>,
    /// This locker has announced itself, so WAITERS may stand for others by now.
    slept: Cell<bool>,
    /// A slice has ended: time to ask whether the holder is alive.
    look: Cell<bool>,
}

impl Bell for Bed<'_> {
    fn prepare(&self) -> u32 {
        // Before its first sleep a locker asks whether the holder is alive: a newcomer need not sleep for the dead.
        self.look.set(!self.slept.replace(true));
        self.line.announce()
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        let woken = futex_wait(&self.line.word, key, at_ns);
        self.look.set(woken == Woken::TimeUp);
        woken
    }

    fn first_polls(&self) -> u32 {
        0
    }
    fn between(&self, polls: u32, began_ns: u64) {
        self.turn.wait(polls, began_ns);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_free_mutex_is_taken_and_a_held_one_is_not() {
        let line = MutexLine::new();
        let (a, b) = (owner_word(1, 0), owner_word(2, 5));
        assert_eq!(line.take(a, 0), Some(false));
        assert_eq!(line.take(b, 0), None);
        assert!(line.unlock_mine(a));
        assert_eq!(line.take(b, 0), Some(false));
        assert_eq!(owner_slot(line.word()), 2);
    }

    #[test]
    fn the_news_of_a_death_goes_on_until_somebody_recovers() {
        let line = MutexLine::new();
        line.take(owner_word(1, 0), 0);
        line.abandon(|word| owner_slot(word) == 1);
        for slot in [2, 3] {
            assert_eq!(line.take(owner_word(slot, 0), 0), Some(true));
            assert!(line.unlock_mine(owner_word(slot, 0)));
        }
        assert_eq!(line.take(owner_word(4, 0), 0), Some(true));
        assert!(line.recover(owner_word(4, 0)) && !line.recover(owner_word(5, 0)));
        assert!(line.unlock_mine(owner_word(4, 0)));
        assert_eq!(line.take(owner_word(5, 0), 0), Some(false));
    }

    #[test]
    fn who_lost_the_lock_cannot_unlock_it_any_more() {
        let line = MutexLine::new();
        let (a, b) = (owner_word(1, 3), owner_word(2, 0));
        line.take(a, 0);
        line.abandon(|word| word & OWNER == a);
        assert!(!line.unlock_mine(a));
        assert_eq!(line.take(b, 0), Some(true));
        assert!(!line.unlock_mine(a));
        assert_eq!(line.word(), b | INCONSISTENT);
    }

    #[test]
    fn repair_touches_only_the_words_of_the_dead() {
        let line = MutexLine::new();
        line.take(owner_word(2, 7), 0);
        line.abandon(|word| owner_slot(word) == 1);
        line.abandon(|word| word & OWNER == owner_word(2, 6));
        assert_eq!(line.word(), owner_word(2, 7));
        line.abandon(|word| word & OWNER == owner_word(2, 7));
        assert_eq!(line.word(), INCONSISTENT);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;

    /// A world in which the process in slot 9 dies when `dead` is set. Slices end at once only to look for it.
    struct Town {
        dead: AtomicBool,
        repair_byte: loom::sync::Mutex<()>,
    }

    impl World for Town {
        fn still_there(&self) -> Result<()> {
            Ok(())
        }
        fn is_dead(&self, slot: u32) -> bool {
            slot == 9 && self.dead.load(Acquire)
        }
        fn tick(&self) {}
        fn timed_out(&self) -> Error {
            ErrorKind::Timeout.into()
        }
    }

    impl Robber for Town {
        fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
            let _byte = self.repair_byte.lock().unwrap();
            self.is_dead(slot).then(f)
        }
    }

    fn town() -> Town {
        Town { dead: AtomicBool::new(false), repair_byte: loom::sync::Mutex::new(()) }
    }

    /// What the mutex guards: loom reports two holders at once, or a holder that misses the other's writes.
    struct Shared {
        line: MutexLine,
        town: Town,
        count: UnsafeCell<u32>,
    }

    fn locked_add(shared: &Shared, slot: u32) {
        let died = shared.line.lock(&shared.town, slot, owner_word(slot, 0), Deadline::never(), Own::Relock).unwrap();
        // SAFETY: the lock is held; loom checks just that.
        shared.count.with_mut(|p| unsafe { *p += 1 });
        if died {
            shared.line.recover(owner_word(slot, 0));
        }
        assert!(shared.line.unlock_mine(owner_word(slot, 0)));
    }

    #[test]
    fn holders_exclude_each_other_and_no_wake_is_lost() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new(Shared { line: MutexLine::new(), town: town(), count: UnsafeCell::new(0) });
            let others: Vec<_> = (2..4)
                .map(|slot| {
                    let shared = shared.clone();
                    loom::thread::spawn(move || locked_add(&shared, slot))
                })
                .collect();
            locked_add(&shared, 1);
            for other in others {
                other.join().unwrap();
            }
            // SAFETY: everybody else is done.
            assert_eq!(shared.count.with(|p| unsafe { *p }), 3);
            assert_eq!(shared.line.word() & OWNER, 0);
        });
    }

    /// HUNGRY may come at any moment, also from somebody who dies before it gets the lock.
    #[test]
    fn who_asks_for_the_lock_and_never_comes_is_in_nobodys_way() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new(Shared { line: MutexLine::new(), town: town(), count: UnsafeCell::new(0) });
            let other = shared.clone();
            let other = loom::thread::spawn(move || locked_add(&other, 2));
            let asker = shared.clone();
            let asker = loom::thread::spawn(move || {
                asker.line.ask();
                asker.line.ask();
            });
            locked_add(&shared, 1);
            other.join().unwrap();
            asker.join().unwrap();
            locked_add(&shared, 1);
            // SAFETY: everybody else is done.
            assert_eq!(shared.count.with(|p| unsafe { *p }), 3);
            assert_eq!(shared.line.word() & !WAITERS, 0);
        });
    }

    /// Slot 9 dies while it holds the lock; two thieves and a sweep race for it.
    #[test]
    fn of_two_thieves_one_gets_the_lock_first_and_both_learn_of_the_death_until_it_is_recovered() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new(Shared { line: MutexLine::new(), town: town(), count: UnsafeCell::new(0) });
            shared.line.take(owner_word(9, 0), 0);
            // SAFETY: slot 9 holds the lock.
            shared.count.with_mut(|p| unsafe { *p += 1 });
            shared.town.dead.store(true, Release);
            let thief = shared.clone();
            let thief = loom::thread::spawn(move || {
                let word = thief.line.word();
                if owner_slot(word) == 9 {
                    let won = thief.town.repairing(9, || thief.line.steal(word, owner_word(2, 0))).flatten();
                    if won.is_some() {
                        // SAFETY: stolen, so held.
                        thief.count.with_mut(|p| unsafe { *p += 1 });
                        thief.line.recover(owner_word(2, 0));
                        assert!(thief.line.unlock_mine(owner_word(2, 0)));
                    }
                }
            });
            let sweeper = shared.clone();
            let sweeper = loom::thread::spawn(move || {
                sweeper.town.repairing(9, || sweeper.line.abandon(|word| owner_slot(word) == 9));
            });
            sweeper.join().unwrap();
            locked_add(&shared, 1);
            thief.join().unwrap();
            assert_eq!(shared.line.word() & (OWNER | INCONSISTENT), 0);
        });
    }
}
