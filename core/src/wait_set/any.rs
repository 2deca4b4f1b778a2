//! Sleep until one of several bells rings.
//!
//! # State
//!
//! None of its own: it announces itself at every bell, looks, and sleeps on all their words with one system call.
//!
//! # Orderings
//!
//! As for a sleeper on one bell: at each bell the announcement stands before the look, so whoever makes that member
//! ready either is seen by the look or sees the announcement and wakes.
//!
//! # Wakes that are used up
//!
//! A bell that wakes one sleeper means somebody who takes what is there. A sleeper on several bells takes nothing, so
//! a wake that reached it may be missing elsewhere: when it stops sleeping it *passes on* at each bell. Which of the
//! bells woke it does not matter (the kernel names one, and more may have rung): waking one sleeper too many is
//! harmless, one too few is a delay. It ends: only who has really slept passes on, to one sleeper per bell, and that
//! one no longer sleeps. Who takes nothing either passes on in its turn, the first who takes ends the chain.
//!
//! # When a peer dies
//!
//! As asleep on one bell. Between being woken and passing on: the others look again when their slice ends.

use crate::deadline::now_ns;
use crate::error::Result;
use crate::prim::{AtomicU32, Woken, futex_wait, futex_wait_any};

/// The most bells of one sleep; a word that stops the sleeper is one more.
pub const MOST: usize = 127;

/// How often to look where the system cannot sleep on several words.
const LOOK_EVERY_NS: u64 = 1_000_000;

/// One of several bells.
pub trait Ringing {
    /// The word to sleep on.
    fn word(&self) -> &AtomicU32;
    /// Announces a sleeper. Returns the value to sleep with.
    fn prepare(&self) -> u32;
    /// How long to go on looking between `prepare` and sleep.
    fn recheck_ns(&self) -> u64 {
        0
    }
    /// Takes the announcement back, as far as that is possible.
    fn done(&self) {}
    /// Hands on the wake that this sleeper may have used up.
    fn pass_on(&self);
}

/// How to sleep on several words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// With one system call, where there is one.
    Kernel,
    /// By looking every millisecond: what is left where there is none.
    #[cfg(all(test, not(loom)))]
    Looking,
    /// As `Kernel`, and no slice ever ends: a wake that is lost is lost.
    #[cfg(all(test, not(loom)))]
    Endless,
}

#[cfg(all(test, not(loom)))]
impl Means {
    fn is_kernel(self) -> bool {
        self != Means::Looking
    }

    /// Do slices never end?
    pub fn is_endless(self) -> bool {
        self == Means::Endless
    }
}

#[cfg(not(all(test, not(loom))))]
impl Means {
    fn is_kernel(self) -> bool {
        true
    }

    /// Do slices never end?
    pub fn is_endless(self) -> bool {
        false
    }
}

/// Sleeps once, until one of `bells` rings, `stop` changes, or `at_ns`, unless `look` finds something before.
/// Says what the last look found, and why the sleep ended; `None`: it did not sleep.
///
/// `look` is told whether a slice has ended, or `first` for the look before the sleep.
pub fn sleep(
    bells: &[impl Ringing],
    stop: Option<(&AtomicU32, u32)>,
    at_ns: u64,
    means: Means,
    first: bool,
    mut look: impl FnMut(bool) -> Result<bool>,
) -> (Result<bool>, Option<Woken>) {
    let mut keys = [0; MOST];
    for (key, bell) in keys.iter_mut().zip(bells) {
        *key = bell.prepare();
    }
    let mut found = look(first);
    let recheck = bells.iter().map(Ringing::recheck_ns).max().unwrap_or(0);
    if recheck > 0 {
        let end = now_ns() + recheck;
        while matches!(found, Ok(false)) && now_ns() < end {
            found = look(false);
        }
    }
    let mut woken = None;
    if matches!(found, Ok(false)) {
        let words = stop.into_iter().chain(bells.iter().map(Ringing::word).zip(keys));
        woken = Some(sleep_on(words, at_ns, means));
    }
    for bell in bells {
        bell.done();
    }
    if woken.is_some() {
        found = look(woken == Some(Woken::TimeUp));
    }
    (found, woken)
}

fn sleep_on<'a>(mut words: impl Iterator<Item = (&'a AtomicU32, u32)> + Clone, at_ns: u64, means: Means) -> Woken {
    if let (Some((word, key)), None) = (words.clone().next(), words.clone().nth(1)) {
        return futex_wait(word, key, at_ns);
    }
    if means.is_kernel()
        && let Some(woken) = futex_wait_any(words.clone(), at_ns)
    {
        return woken;
    }
    let end = at_ns.min(now_ns() + LOOK_EVERY_NS);
    match words.next() {
        Some((word, key)) => match futex_wait(word, key, end) {
            Woken::TimeUp if end < at_ns => Woken::Perhaps,
            woken => woken,
        },
        None => Woken::TimeUp,
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::deadline::Deadline;
    use crate::error::{Error, ErrorKind};
    use crate::prim::{
        Full,
        Ordering::{Acquire, Relaxed},
    };
    use crate::sync::mutex::{MutexLine, Own, Robber, owner_slot, owner_word};
    use crate::wait::{Bell, EventCount, World};
    use loom::sync::Arc;

    /// A semaphore without its object.
    struct Permits {
        value: AtomicU32,
        bell: EventCount,
    }

    impl Permits {
        fn new() -> Permits {
            Permits { value: AtomicU32::new(0), bell: EventCount::new() }
        }

        fn post(&self) {
            self.value.add_full(1);
            self.bell.notify(1);
        }

        fn take(&self) -> bool {
            let now = self.value.load(Relaxed);
            now > 0 && self.value.compare_exchange(now, now - 1, Acquire, Relaxed).is_ok()
        }

        /// As a waiter that takes; no slice ever ends.
        fn wait(&self) {
            while !self.take() {
                let key = self.bell.prepare();
                if self.take() {
                    return;
                }
                self.bell.sleep(key, u64::MAX);
            }
        }
    }

    #[derive(Clone, Copy)]
    enum One<'a> {
        Permits(&'a Permits),
        Lock(&'a MutexLine),
    }

    impl One<'_> {
        fn is_ready(&self) -> bool {
            match self {
                One::Permits(permits) => permits.value.load(Acquire) > 0,
                One::Lock(line) => owner_slot(line.word()) == 0,
            }
        }
    }

    impl Ringing for One<'_> {
        fn word(&self) -> &AtomicU32 {
            match self {
                One::Permits(permits) => permits.bell.word(),
                One::Lock(line) => line.futex(),
            }
        }
        fn prepare(&self) -> u32 {
            match self {
                One::Permits(permits) => permits.bell.prepare(),
                One::Lock(line) => line.announce(),
            }
        }
        fn pass_on(&self) {
            match self {
                One::Permits(permits) if self.is_ready() => permits.bell.notify(1),
                One::Permits(_) => {}
                One::Lock(line) => line.wake_one(),
            }
        }
    }

    /// Waits for any of them; takes nothing. No slice ever ends.
    fn wait_any(all: [One<'_>; 2]) {
        let look = |_| Ok(all.iter().any(One::is_ready));
        let mut slept = false;
        loop {
            let (found, woken) = sleep(&all, None, u64::MAX, Means::Kernel, false, look);
            slept |= woken.is_some();
            if found.unwrap() {
                break;
            }
        }
        if slept {
            all.iter().for_each(Ringing::pass_on);
        }
    }

    fn explore(scenario: impl Fn() + Sync + Send + 'static) {
        let mut loom = loom::model::Builder::new();
        loom.preemption_bound = Some(3);
        loom.max_branches = 20_000;
        loom.check(scenario);
    }

    #[test]
    fn whichever_of_two_bells_rings_first_the_sleeper_wakes() {
        explore(|| {
            let both = Arc::new([Permits::new(), Permits::new()]);
            let posters: Vec<_> = (0..2)
                .map(|i| {
                    let both = both.clone();
                    loom::thread::spawn(move || both[i].post())
                })
                .collect();
            wait_any([One::Permits(&both[0]), One::Permits(&both[1])]);
            for poster in posters {
                poster.join().unwrap();
            }
        });
    }

    #[test]
    fn one_post_on_the_second_bell_is_enough() {
        explore(|| {
            let both = Arc::new([Permits::new(), Permits::new()]);
            let theirs = both.clone();
            let poster = loom::thread::spawn(move || theirs[1].post());
            wait_any([One::Permits(&both[0]), One::Permits(&both[1])]);
            poster.join().unwrap();
        });
    }

    /// One permit, for which a taker sleeps beside the sleeper on both: it must get there, whomever the wake reached.
    /// The second bell's permit, which nobody takes, ends the sleeper's wait if the taker was faster.
    #[test]
    fn a_wake_that_reached_who_takes_nothing_is_passed_on_to_who_does() {
        explore(|| {
            let both = Arc::new([Permits::new(), Permits::new()]);
            let (a, b) = (both.clone(), both.clone());
            let taker = loom::thread::spawn(move || a[0].wait());
            let sleeper = loom::thread::spawn(move || wait_any([One::Permits(&b[0]), One::Permits(&b[1])]));
            both[0].post();
            both[1].post();
            taker.join().unwrap();
            sleeper.join().unwrap();
        });
    }

    /// Nobody dies here.
    struct Alive;

    impl World for Alive {
        fn still_there(&self) -> Result<()> {
            Ok(())
        }
        fn is_dead(&self, _: u32) -> bool {
            false
        }
        fn tick(&self) {}
        fn timed_out(&self) -> Error {
            ErrorKind::Timeout.into()
        }
    }

    impl Robber for Alive {
        fn repairing<R>(&self, _: u32, _: impl FnOnce() -> R) -> Option<R> {
            None
        }
    }

    /// As above, with the word of a lock: unlocking wakes one, and takes the sign off that there are more.
    #[test]
    fn a_locker_is_woken_though_the_wake_of_the_unlock_reached_who_does_not_lock() {
        explore(|| {
            let shared = Arc::new((MutexLine::new(), Permits::new()));
            let lock = |line: &MutexLine, slot| {
                line.lock(&Alive, slot, owner_word(slot, 0), Deadline::never(), Own::Relock).unwrap();
            };
            lock(&shared.0, 1);
            let (a, b) = (shared.clone(), shared.clone());
            let locker = loom::thread::spawn(move || {
                lock(&a.0, 2);
                a.0.unlock();
            });
            let sleeper = loom::thread::spawn(move || wait_any([One::Lock(&b.0), One::Permits(&b.1)]));
            shared.0.unlock();
            shared.1.post();
            locker.join().unwrap();
            sleeper.join().unwrap();
        });
    }
}
