//! Leased permits: each belongs to the thread that took it, and comes back when that thread ends or its process dies.
//!
//! # State
//!
//! One cell for each permit: 0, or its holder as `slot:12 | thread:16`. Permits are alike: a thread that holds some
//! gives back any of them.
//!
//! Who needs several at once is the *collector* while it takes them, alone. It holds permits while it does not have
//! all of them, but it never waits meanwhile: if one is missing it gives back what it took. Two of them that each
//! hold half of what both need would do that for ever; so there is only one at a time.
//!
//! | `collector` | cells  | meaning                                                                  |
//! |-------------|--------|--------------------------------------------------------------------------|
//! | 0           | any    | whoever finds a free cell takes it                                       |
//! | thread t    | some t | t takes several; singles may be faster, other collectors wait until it is done |
//!
//! # Orderings
//!
//! Edge `permit`: giving back releases, taking acquires.
//! Edge `register` (see the eventcount): a cell is given back, and the collector leaves, with a full barrier before
//! sleepers are looked for.
//!
//! # When a peer dies
//!
//! | killed                                   | words                   | consequence                                |
//! |------------------------------------------|-------------------------|--------------------------------------------|
//! | before / after it took a permit          | unchanged / cell is his | none / the permit comes back                |
//! | collecting, at any step                  | `collector`, some cells | all of it comes back                        |
//! | giving several back                      | some cells              | the others come back too                    |
//! | after it gave back, before the wake      | free cell, sleepers     | slice, sweep                                |
//! | woken, before it took the permit         | free cell               | the others find it when their slice ends    |
//!
//! Who is about to sleep asks about everybody who holds a permit, and frees what belongs to the dead: so a new waiter
//! goes on at once, a sleeper when its slice ends, after 64 ms at most. The sweep does the same.

use super::words::SemaphoreWords;
use crate::error::{ErrorKind, Result};
use crate::prim::{
    AtomicU32, Full,
    Ordering::{Acquire, Relaxed},
};
use crate::segment::object::View;
use crate::sync::mutex::{Robber, owner_slot, owner_word};
use crate::wait::World;

/// Where the cells begin.
const CELLS: usize = 64;
const EVERYBODY: u32 = i32::MAX as u32;

/// Bytes of a semaphore with this many cells, behind its header.
pub fn size(permits: u32) -> usize {
    CELLS + permits as usize * size_of::<AtomicU32>()
}

/// Takes the permit of cell `at`, if nobody has it: one exchange, no search.
#[inline(always)]
pub fn take_at(view: View<'_>, at: usize, mine: u32) -> bool {
    // ORDER permit: Acquire; pairs with the full barrier in `give_at` and `release`.
    cell(view, at).is_some_and(|cell| cell.compare_exchange(0, mine, Acquire, Relaxed).is_ok())
}

/// Gives the permit of cell `at` back, if the thread `mine` has it. The caller wakes who waits for it.
#[inline(always)]
pub fn give_at(view: View<'_>, at: usize, mine: u32) -> bool {
    // ORDER permit, register: a full barrier, so a Release too.
    cell(view, at).is_some_and(|cell| cell.cas_full(mine, 0).is_ok())
}

#[inline(always)]
fn cell(view: View<'_>, at: usize) -> Option<&AtomicU32> {
    view.at(CELLS + at * size_of::<AtomicU32>()).ok()
}

/// A leased semaphore in the segment.
pub struct Leases<'a> {
    words: &'a SemaphoreWords,
    cells: &'a [AtomicU32],
}

/// What looking at the holders has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Dead, but somebody else is just putting right what it left.
    pub suspect: Option<u32>,
    /// A holder that no process can be: garbage.
    pub nobody: Option<u32>,
}

impl<'a> Leases<'a> {
    /// The cells of a leased semaphore of so many permits; `Corrupt` if they do not fit.
    pub fn of(view: View<'a>, permits: u32) -> Result<Leases<'a>> {
        let words = SemaphoreWords::of(view)?;
        if permits == 0 || permits > super::Semaphore::MAX_LEASED || size(permits) > view.size() {
            return Err(ErrorKind::Corrupt.into());
        }
        let first: *const AtomicU32 = view.at::<AtomicU32>(CELLS)?;
        // SAFETY: `first` is aligned, and `permits` cells from there on lie inside the view, as just checked. Any bits
        // are an atomic, so peers may store to them. The memory lives for 'a (`View::new`).
        let cells = unsafe { std::slice::from_raw_parts(first, permits as usize) };
        Ok(Leases { words, cells })
    }

    /// Permits that nobody holds.
    pub fn free(&self) -> u32 {
        self.count(0)
    }

    /// The cells that hold `word`.
    fn count(&self, word: u32) -> u32 {
        // Relaxed: a moment's truth; who acts on it exchanges the cells.
        self.cells.iter().filter(|cell| cell.load(Relaxed) == word).count() as u32
    }

    /// Who holds permits, one word for each permit that is out.
    pub fn holders(&self) -> impl Iterator<Item = u32> {
        self.cells.iter().map(|cell| cell.load(Relaxed)).filter(|word| *word != 0)
    }

    /// Takes up to `n` free cells, beginning the search at number `from`; returns how many, and the last one.
    fn grab(&self, mine: u32, n: u32, from: usize) -> (u32, usize) {
        let (mut taken, mut last) = (0, from);
        for i in 0..self.cells.len() {
            if taken == n {
                break;
            }
            let at = (from + i) % self.cells.len();
            // Relaxed: the exchange that follows decides.
            // ORDER permit: Acquire; pairs with the full barrier in `release`.
            if self.cells[at].load(Relaxed) == 0 && self.cells[at].compare_exchange(0, mine, Acquire, Relaxed).is_ok() {
                (taken, last) = (taken + 1, at);
            }
        }
        (taken, last)
    }

    /// Frees up to `n` cells that hold exactly `word`; returns how many.
    fn release(&self, word: u32, n: u32, from: usize) -> u32 {
        let mut freed = 0;
        for i in 0..self.cells.len() {
            if freed == n {
                break;
            }
            let cell = &self.cells[(from + i) % self.cells.len()];
            // Relaxed: the exchange that follows decides.
            // ORDER permit, register: a full barrier, so a Release too.
            if cell.load(Relaxed) == word && cell.cas_full(word, 0).is_ok() {
                freed += 1;
            }
        }
        freed
    }

    /// Takes `n` permits for the thread `mine`, all or none; returns where the last one lies. Never waits. Those that a
    /// collector has taken, and may give back, count as taken.
    pub fn take(&self, mine: u32, n: u32, from: usize) -> Option<usize> {
        if n == 1 {
            let (taken, last) = self.grab(mine, 1, from);
            return (taken == 1).then_some(last);
        }
        // Relaxed: who holds it gives back all or nothing before it leaves; the cells carry the edges.
        if self.free() < n || self.words.collector.compare_exchange(0, mine, Acquire, Relaxed).is_err() {
            return None;
        }
        let (taken, last) = self.grab(mine, n, from);
        if taken < n {
            self.release(mine, taken, last);
        }
        self.words.collector.swap_full(0);
        // Whoever looked meanwhile found a collector, or cells that are free again.
        self.words.notify(EVERYBODY);
        (taken == n).then_some(last)
    }

    /// Gives `n` permits of the thread `mine` back and wakes who can go on. `Err`: how many it holds, if they are fewer;
    /// then nothing is given back.
    pub fn give(&self, mine: u32, n: u32, from: usize) -> Result<(), u32> {
        // A thread's cells change by itself alone, so none is missing after this.
        let held = if n == 1 { 1 } else { self.count(mine) };
        if held < n {
            return Err(held);
        }
        if self.release(mine, n, from) == 0 {
            return Err(0);
        }
        self.words.notify(n);
        Ok(())
    }

    /// Frees every permit of `slot`, whose process is dead or has it no more.
    pub fn repair(&self, slot: u32) {
        self.abandon(|word| owner_slot(word) == slot);
    }

    /// Frees every permit of a thread that has ended.
    pub fn leave(&self, slot: u32, thread: u32) {
        self.abandon(|word| word == owner_word(slot, thread));
    }

    fn abandon(&self, is_his: impl Fn(u32) -> bool) {
        let mut changed = false;
        for cell in self.cells.iter().chain([&self.words.collector]) {
            let word = cell.load(Relaxed); // Relaxed: the exchange that follows decides.
            // ORDER permit, register: a full barrier. The dead released nothing; the kernel ended them before it said so.
            changed |= word != 0 && is_his(word) && cell.cas_full(word, 0).is_ok();
        }
        if changed {
            self.words.notify(EVERYBODY);
        }
    }

    /// Asks about everybody who has a permit, or is collecting, and frees what belongs to the dead.
    pub fn look<W: World + Robber>(&self, world: &W) -> Look {
        let mut asked = [0u64; 64]; // One bit for each of the 4096 numbers a slot can have.
        let mut look = Look::default();
        for cell in self.cells.iter().chain([&self.words.collector]) {
            let word = cell.load(Relaxed); // Relaxed: whoever is repaired is asked about again, under its repair byte.
            let slot = owner_slot(word);
            let (i, bit) = (slot as usize / 64, 1 << (slot % 64));
            if word == 0 || asked[i] & bit != 0 {
                continue;
            }
            asked[i] |= bit;
            if !world.is_seat(slot) {
                look.nobody = Some(slot);
            } else if world.is_dead(slot) && world.repairing(slot, || self.repair(slot)).is_none() {
                look.suspect = Some(slot);
            }
        }
        look
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::error::Error;
    use crate::wait::Bell;
    use loom::sync::Arc;

    const DEAD: u32 = 9;

    /// Permits on the heap, in a world in which the process in slot 9 is dead.
    struct Town {
        words: SemaphoreWords,
        cells: Vec<AtomicU32>,
        repair_byte: loom::sync::Mutex<()>,
        /// What the permits guard, if there is only one of them.
        guarded: loom::cell::UnsafeCell<u32>,
    }

    impl World for Town {
        fn still_there(&self) -> Result<()> {
            Ok(())
        }
        fn is_dead(&self, slot: u32) -> bool {
            slot == DEAD
        }
        fn tick(&self) {}
        fn timed_out(&self) -> Error {
            ErrorKind::Timeout.into()
        }
    }

    impl Robber for Town {
        fn repairing<R>(&self, _slot: u32, f: impl FnOnce() -> R) -> Option<R> {
            let _byte = self.repair_byte.lock().unwrap();
            Some(f())
        }
    }

    impl Town {
        fn new(cells: &[u32], collector: u32) -> Arc<Town> {
            let town = Town {
                words: SemaphoreWords::new(0),
                cells: cells.iter().map(|word| AtomicU32::new(*word)).collect(),
                repair_byte: loom::sync::Mutex::new(()),
                guarded: loom::cell::UnsafeCell::new(0),
            };
            town.words.collector.store(collector, Relaxed);
            Arc::new(town)
        }

        fn leases(&self) -> Leases<'_> {
            Leases { words: &self.words, cells: &self.cells }
        }

        /// Waits without slices, as a lost wake would otherwise be hidden. Asks about the holders before each sleep.
        fn wait(&self, mine: u32, n: u32) {
            if n > 1 {
                self.words.expect_several();
            }
            let leases = self.leases();
            while leases.take(mine, n, 0).is_none() {
                let key = self.words.bell().prepare();
                if leases.take(mine, n, 0).is_some() {
                    return;
                }
                leases.look(self);
                self.words.bell().sleep(key, u64::MAX);
            }
        }
    }

    fn check(bound: usize, model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound.min(crate::prim::most_preemptions()));
        builder.check(model);
    }

    fn takes_and_gives(town: &Arc<Town>, mine: u32, n: u32) -> loom::thread::JoinHandle<()> {
        let town = town.clone();
        loom::thread::spawn(move || {
            town.wait(mine, n);
            assert_eq!(town.leases().give(mine, n, 0), Ok(()));
        })
    }

    #[test]
    fn a_permit_is_one_threads_at_a_time_and_no_wake_is_lost() {
        check(3, || {
            let town = Town::new(&[0], 0);
            let count = |town: &Town, mine| {
                town.wait(mine, 1);
                // SAFETY: the only permit is held; loom checks just that.
                town.guarded.with_mut(|p| unsafe { *p += 1 });
                assert_eq!(town.leases().give(mine, 1, 0), Ok(()));
            };
            let others = [2, 3].map(|mine| {
                let town = town.clone();
                loom::thread::spawn(move || count(&town, mine))
            });
            count(&town, 1);
            for other in others {
                other.join().unwrap();
            }
            // SAFETY: everybody else is done.
            assert_eq!(town.guarded.with(|p| unsafe { *p }), 3);
        });
    }

    /// Killed at any step of taking or giving back several: some cells name it, and `collector` perhaps.
    #[test]
    fn what_a_killed_taker_of_several_left_comes_back_though_a_waiter_and_a_sweep_repair_at_once() {
        for (cells, collector) in
            [([0, 0], DEAD), ([DEAD, 0], DEAD), ([DEAD, DEAD], DEAD), ([DEAD, DEAD], 0), ([0, DEAD], 0)]
        {
            check(2, move || {
                let town = Town::new(&cells, collector);
                let other = takes_and_gives(&town, 2, 2);
                town.repairing(DEAD, || town.leases().repair(DEAD));
                other.join().unwrap();
                assert_eq!((town.leases().free(), town.words.collector.load(Relaxed)), (2, 0));
            });
        }
    }

    #[test]
    fn two_waiters_repair_what_a_killed_holder_left_and_both_get_it() {
        check(2, || {
            let town = Town::new(&[DEAD], 0);
            let other = takes_and_gives(&town, 2, 1);
            town.wait(1, 1);
            assert_eq!(town.leases().give(1, 1, 0), Ok(()));
            other.join().unwrap();
            assert_eq!(town.leases().free(), 1);
        });
    }

    #[test]
    fn of_two_takers_of_several_one_gets_what_is_there() {
        check(3, || {
            let town = Town::new(&[0, 0], 0);
            let theirs = town.clone();
            let other = loom::thread::spawn(move || theirs.leases().take(2, 2, 0).is_some());
            let mine = town.leases().take(1, 2, 1).is_some();
            assert_ne!(mine, other.join().unwrap());
            assert_eq!(town.leases().free(), 0);
        });
    }

    #[test]
    fn who_found_a_collector_is_woken_though_that_one_keeps_what_it_took() {
        check(3, || {
            let town = Town::new(&[0, 0, 0, 0], 0);
            let theirs = town.clone();
            let other = loom::thread::spawn(move || theirs.wait(2, 2));
            town.wait(1, 2);
            other.join().unwrap();
            assert_eq!(town.leases().free(), 0);
        });
    }

    #[test]
    fn two_takers_of_several_do_not_starve_each_other() {
        check(3, || {
            let town = Town::new(&[0, 0, 0], 0);
            let other = takes_and_gives(&town, 2, 2);
            town.wait(1, 2);
            assert_eq!(town.leases().give(1, 2, 0), Ok(()));
            other.join().unwrap();
            assert_eq!(town.leases().free(), 3);
        });
    }

    /// A single is faster while the other collects, which gives back what it has and waits.
    #[test]
    fn a_taker_of_several_that_misses_one_gives_back_and_waits() {
        check(3, || {
            let town = Town::new(&[0, 0], 0);
            let other = takes_and_gives(&town, 2, 2);
            town.wait(1, 1);
            let theirs = town.leases().count(2);
            assert!(theirs < 2);
            assert_eq!(town.leases().give(1, 1, 0), Ok(()));
            other.join().unwrap();
            assert_eq!(town.leases().free(), 2);
        });
    }

    #[test]
    fn a_thread_that_ends_leaves_to_a_sleeper() {
        check(3, || {
            let town = Town::new(&[owner_word(1, 4)], 0);
            let other = takes_and_gives(&town, owner_word(1, 5), 1);
            town.leases().leave(1, 4);
            other.join().unwrap();
        });
    }
}
