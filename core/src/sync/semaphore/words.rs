//! The semaphore in the segment: permits that anybody may add, and where waiters sleep.
//!
//! # State
//!
//! | at | word          | meaning                                                                      |
//! |----|---------------|------------------------------------------------------------------------------|
//! | 0  | `word`        | `permits:32`, bit 63 SLEEPERS. Always 0 permits if they are leased              |
//! | 8  | `multi`       | 1, for ever: somebody has waited for more than one permit                       |
//! | 12 | `collector`   | leased: the thread that is taking several permits just now, `slot:12 \| thread:16` |
//! | 16 | an eventcount | where waiters sleep                                                          |
//! | 64 | cells         | leased: one for each permit, see `leases.rs`                                   |
//!
//! | permits | SLEEPERS | meaning                                                             |
//! |---------|----------|---------------------------------------------------------------------|
//! | n       | 0        | nobody sleeps: a post is one addition, and looks at nothing else      |
//! | 0       | 1        | somebody sleeps, or is about to, or was woken and no post has come since |
//! | n > 0   | 1        | a wake is on its way, or who sleeps needs more than n                |
//!
//! SLEEPERS stands in the word of the permits so that the addition itself tells a post whether it owes a wake.
//!
//! # Orderings
//!
//! Edge `permit`: `post` releases, `take` acquires. What the poster wrote, the waiter sees.
//! Edge `register` (see the eventcount): a waiter registers, sets SLEEPERS, then looks at the permits; all in this
//! order, and the last two in one word. A post that adds after SLEEPERS was set sees it; one that adds before
//! is seen by the waiter. Whoever takes SLEEPERS off looks at the registrations afterwards: a waiter whose SLEEPERS
//! he took off had registered before that, so he sees it, and puts it back and wakes.
//!
//! # When a peer dies
//!
//! With a permit it took: the permit stays taken, as in POSIX; a deadline is the way out. (Leased ones come back.)
//! Between permit and wake: sleepers look again when their slice ends, after 64 ms at most; the sweep wakes them.
//! Between taking SLEEPERS off and putting it back: the same.
//! Woken, before it took the permit: the permit stays, the others find it when their slice ends.
//! Asleep: SLEEPERS stays until a post finds nobody asleep; that costs one system call.

use super::Semaphore;
use crate::error::Result;
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{AcqRel, Acquire, Relaxed},
    Woken,
};
use crate::segment::object::{InSegment, View};
use crate::wait::{Bell, EventCount};

const SLEEPERS: u64 = 1 << 63;
const EVERYBODY: u32 = i32::MAX as u32;

/// The semaphore in the segment, without the cells of a leased one.
#[repr(C)]
#[derive(Debug)]
pub struct SemaphoreWords {
    word: AtomicU64,
    multi: AtomicU32,
    pub(super) collector: AtomicU32,
    bell: EventCount,
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for SemaphoreWords {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<SemaphoreWords>() == 32 && std::mem::offset_of!(SemaphoreWords, bell) == 16);

/// The permits in a word.
fn permits(word: u64) -> u32 {
    word as u32
}

impl SemaphoreWords {
    /// A semaphore on the heap.
    #[cfg(test)]
    pub fn new(value: u32) -> SemaphoreWords {
        SemaphoreWords {
            word: AtomicU64::new(value.into()),
            multi: AtomicU32::new(0),
            collector: AtomicU32::new(0),
            bell: EventCount::new(),
        }
    }

    pub(super) fn of(view: View<'_>) -> Result<&SemaphoreWords> {
        view.at(0)
    }

    /// Gives a fresh one its permits.
    pub(super) fn initialise(&self, permits: u32) {
        self.word.store(permits.into(), Relaxed); // Relaxed: the directory publishes it.
    }

    pub(super) fn value(&self) -> u32 {
        // Relaxed: a moment's truth anyway. More than the maximum: a post is about to take its own back, or garbage.
        permits(self.word.load(Relaxed)).min(Semaphore::MAX)
    }

    /// Takes a permit, if there are exactly `guess` of them, not 0, and nobody sleeps. A look at the word before the
    /// exchange would wait for the exchange before that, and cost a third of an uncontended lock.
    #[inline(always)]
    pub fn take_one_of(&self, guess: u32) -> bool {
        // ORDER permit: Acquire; as in `take`.
        self.word.compare_exchange(guess.into(), u64::from(guess).wrapping_sub(1), Acquire, Relaxed).is_ok()
    }

    /// Adds a permit, if that makes exactly `guess` of them, not 0, and nobody sleeps.
    #[inline(always)]
    pub fn post_one_of(&self, guess: u32) -> bool {
        // ORDER permit, register: a full barrier, so a Release too.
        self.word.cas_full(u64::from(guess).wrapping_sub(1), guess.into()).is_ok()
    }

    /// Takes `n` permits, if there are that many.
    #[inline(always)]
    pub fn take(&self, n: u32) -> bool {
        let mut now = self.word.load(Relaxed);
        // Lost only against others that succeed.
        while permits(now) >= n {
            // ORDER permit: Acquire; pairs with the full barrier in `post` and `post_bounded`.
            match self.word.compare_exchange_weak(now, now - u64::from(n), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Adds a permit to a semaphore that holds [`Semaphore::MAX`] and wakes one sleeper, if any sleeps. False: it is
    /// full.
    #[inline(always)]
    pub fn post(&self) -> bool {
        // ORDER permit, register: a full barrier, so a Release too.
        let before = self.word.add_full(1);
        // With SLEEPERS it is larger than any count.
        before < u64::from(Semaphore::MAX) || self.post_rare(before)
    }

    #[cold]
    #[inline(never)]
    fn post_rare(&self, before: u64) -> bool {
        if permits(before) >= Semaphore::MAX {
            // Who took one meanwhile took one of those that were there. Relaxed: nothing is published by this.
            self.word.fetch_sub(1, Relaxed);
            return false;
        }
        self.wake(1);
        true
    }

    /// Adds `n` permits unless that would make more than `max`, and wakes who can go on.
    pub fn post_bounded(&self, n: u32, max: u32) -> bool {
        let mut now = self.word.load(Relaxed);
        loop {
            if permits(now).checked_add(n).is_none_or(|sum| sum > max) {
                return false;
            }
            // Lost only against others that succeed.
            // ORDER permit, register: a full barrier, so a Release too.
            match self.word.cas_full(now, now + u64::from(n)) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        if now & SLEEPERS != 0 {
            self.wake(n);
        }
        true
    }

    /// Wakes those who wait for `n` new permits, and takes SLEEPERS off if nobody sleeps any more.
    #[cold]
    fn wake(&self, n: u32) {
        self.notify(n);
        if self.bell.is_quiet() {
            // ORDER register: AcqRel; reads what waiters did before they set what this takes off.
            self.word.fetch_and(!SLEEPERS, AcqRel);
            if !self.bell.is_quiet() {
                // Somebody registered meanwhile, and posts since then may have missed it.
                // ORDER register: AcqRel; the posts that this follows are seen by whoever is woken now.
                self.word.fetch_or(SLEEPERS, AcqRel);
                self.bell.notify(EVERYBODY);
            }
        }
    }

    /// Wakes those who wait for `n` permits that have come back. The caller has given them with a full barrier.
    #[inline(always)]
    pub(super) fn notify(&self, n: u32) {
        // ORDER register: the caller's full barrier stands between its change and this look.
        if !self.bell.is_quiet() {
            self.notify_sleepers(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn notify_sleepers(&self, n: u32) {
        // A wake for one may go to somebody who needs more than there is; then everybody has to look.
        let several = self.waits_for_several();
        self.bell.notify(if several { EVERYBODY } else { n });
        // Somebody may have gone to sleep for several since that look, and have had the one wake. ORDER wake: it set `multi`
        // before it slept, and the kernel's lock on its sleepers, under which it was woken, stands between that and this.
        if !several && self.waits_for_several() {
            self.bell.notify(EVERYBODY);
        }
    }

    fn waits_for_several(&self) -> bool {
        self.multi.load(Relaxed) != 0 // Relaxed: see `notify_sleepers`.
    }

    /// Says that somebody is going to wait for several permits, before it registers.
    pub fn expect_several(&self) {
        // Relaxed: the registration and the sleep that follow order it; see `notify_sleepers`.
        self.multi.store(1, Relaxed);
    }

    /// Wakes everybody, whatever the words say.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Where waiters for leased permits sleep.
    pub fn bell(&self) -> &EventCount {
        &self.bell
    }
}

/// Where waiters for permits that are not leased sleep.
impl Bell for SemaphoreWords {
    fn prepare(&self) -> u32 {
        let key = self.bell.prepare();
        // ORDER register: AcqRel; after the registration, before the look at the permits, which are in this word.
        self.word.fetch_or(SLEEPERS, AcqRel);
        key
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.bell.sleep(key, at_ns)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_post_that_finds_nobody_asleep_takes_sleepers_off() {
        let words = SemaphoreWords::new(0);
        words.prepare(); // Registered, and killed before it slept.
        assert_eq!(words.word.load(Relaxed), SLEEPERS);
        assert!(words.post());
        assert_eq!(words.word.load(Relaxed), 1);
        words.prepare();
        assert!(words.take(1) && words.post_bounded(3, 3) && !words.post_bounded(1, 3));
        assert_eq!(words.word.load(Relaxed), 3);
    }

    #[test]
    fn a_post_to_a_full_semaphore_adds_nothing_whether_somebody_sleeps_or_not() {
        let words = SemaphoreWords::new(Semaphore::MAX);
        assert!(!words.post() && !words.post_bounded(1, Semaphore::MAX));
        words.prepare();
        assert!(!words.post());
        assert_eq!((words.value(), words.word.load(Relaxed) & SLEEPERS), (Semaphore::MAX, SLEEPERS));
    }

    #[test]
    fn a_guess_takes_and_posts_only_what_is_there_exactly() {
        let words = SemaphoreWords::new(2);
        assert!(!words.take_one_of(1) && words.take_one_of(2) && !words.take_one_of(2));
        assert!(!words.post_one_of(1) && words.post_one_of(2) && !words.post_one_of(2));
        words.prepare();
        assert!(!words.take_one_of(2) && words.take(2) && !words.post_one_of(1));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    /// Waits without slices or spinning, as a lost wake would otherwise be hidden.
    fn wait(words: &SemaphoreWords, n: u32) {
        if n > 1 {
            words.expect_several();
        }
        while !words.take(n) {
            let key = words.prepare();
            if words.take(n) {
                return;
            }
            words.sleep(key, u64::MAX);
        }
    }

    fn check(model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(crate::prim::most_preemptions());
        builder.check(model);
    }

    fn spawn_waiter(words: &Arc<SemaphoreWords>, n: u32) -> loom::thread::JoinHandle<()> {
        let words = words.clone();
        loom::thread::spawn(move || wait(&words, n))
    }

    #[test]
    fn two_posts_free_two_waiters() {
        check(|| {
            let words = Arc::new(SemaphoreWords::new(0));
            let waiters = [spawn_waiter(&words, 1), spawn_waiter(&words, 1)];
            assert!(words.post() && words.post_bounded(1, 5));
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(words.value(), 0);
        });
    }

    #[test]
    fn a_post_that_takes_sleepers_off_owes_a_wake_to_who_comes_meanwhile() {
        check(|| {
            let words = Arc::new(SemaphoreWords::new(0));
            let theirs = words.clone();
            let waiter = loom::thread::spawn(move || (0..3).for_each(|_| wait(&theirs, 1)));
            for _ in 0..3 {
                words.post();
            }
            waiter.join().unwrap();
        });
    }

    #[test]
    fn a_post_that_puts_sleepers_back_wakes_for_those_that_missed_it() {
        check(|| {
            let words = Arc::new(SemaphoreWords::new(0));
            let theirs = words.clone();
            let waiter = loom::thread::spawn(move || (0..2).for_each(|_| wait(&theirs, 1)));
            let posters = [(); 2].map(|()| {
                let words = words.clone();
                loom::thread::spawn(move || words.post())
            });
            waiter.join().unwrap(); // All three preemptions are theirs.
            for poster in posters {
                poster.join().unwrap();
            }
        });
    }

    #[test]
    fn one_permit_frees_who_needs_one_though_somebody_sleeps_for_two() {
        check(|| {
            let words = Arc::new(SemaphoreWords::new(0));
            let (two, one) = (spawn_waiter(&words, 2), spawn_waiter(&words, 1));
            words.post();
            // Not `post_bounded(2)` before this: one of the two may take the first permit only.
            one.join().unwrap();
            words.post_bounded(2, 5);
            two.join().unwrap();
        });
    }

    #[test]
    fn what_the_poster_wrote_the_waiter_sees() {
        check(|| {
            let shared = Arc::new((SemaphoreWords::new(0), loom::cell::UnsafeCell::new(0)));
            let theirs = shared.clone();
            let waiter = loom::thread::spawn(move || {
                wait(&theirs.0, 1);
                // SAFETY: the permit says that the writer is done.
                theirs.1.with(|p| unsafe { *p })
            });
            // SAFETY: nobody reads before the permit.
            shared.1.with_mut(|p| unsafe { *p = 7 });
            shared.0.post();
            assert_eq!(waiter.join().unwrap(), 7);
        });
    }
}
