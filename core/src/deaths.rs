//! Locks under shuttle: six threads, each a process with a slot of its own, that die before any
//! operation on shared memory, repairers too; and the world they live in, for the tests of other objects. Run by
//! `tests/check shuttle`.

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::mortal::{is_dead, mortal};
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::segment::object::{HeapMemory, Kind};
use crate::sync::mutex::{self, MutexLine, Own, Robber, owner_word};
use crate::sync::rwlock::{self, RwPolicy, words as rw};
use crate::sync::semaphore::{self, leases::Leases, words::SemaphoreWords};
use crate::wait::{self, Spin, World};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Processes, in slots 1 to 6; the last one only sweeps.
pub const ALL: u32 = 6;
/// How often each does what it does.
const TIMES: u32 = 3;

/// What the kernel knows.
#[derive(Default)]
pub struct Kernel {
    dead: BTreeSet<u32>,
    /// Repair bytes that are held: of which slot, by which.
    repair: BTreeMap<u32, u32>,
}

/// The world of one object on the heap.
pub struct Town {
    pub memory: HeapMemory,
    kind: &'static Kind,
    kernel: Mutex<Kernel>,
}

/// A process of it.
pub struct Citizen<'a> {
    pub town: &'a Town,
    pub slot: u32,
}

impl Town {
    /// Zeroed memory of an object.
    pub fn new(kind: &'static Kind, size: usize, geometry: [u64; 5]) -> Town {
        Town { memory: HeapMemory::new(size, geometry), kind, kernel: Mutex::default() }
    }

    /// No thread is ever descheduled with it held.
    fn kernel(&self) -> std::sync::MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives as the process in `slot` until its operation number `at`; 0: to the end. Then the kernel says so.
    fn live(&self, slot: u32, at: u32, life: impl FnOnce(&Citizen<'_>)) {
        let died = mortal(at, || life(&Citizen { town: self, slot })).is_none();
        if died {
            let mut kernel = self.kernel();
            kernel.repair.retain(|_, holder| *holder != slot);
            kernel.dead.insert(slot);
        }
    }
}

impl Citizen<'_> {
    /// Puts right what the dead left.
    pub fn sweep(&self) {
        for slot in 1..=ALL {
            self.repairing(slot, || {
                (self.town.kind.repair)(self.town.memory.view(), slot);
                (self.town.kind.ring)(self.town.memory.view());
            });
        }
    }
}

impl World for Citizen<'_> {
    fn still_there(&self) -> Result<()> {
        Ok(())
    }
    fn is_dead(&self, slot: u32) -> bool {
        self.town.kernel().dead.contains(&slot)
    }
    fn is_seat(&self, slot: u32) -> bool {
        (1..=ALL + 1).contains(&slot)
    }
    fn tick(&self) {
        self.sweep();
    }
    fn timed_out(&self) -> Error {
        ErrorKind::Timeout.into()
    }
}

impl Robber for Citizen<'_> {
    fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        struct Byte<'a>(&'a Town, u32);
        impl Drop for Byte<'_> {
            fn drop(&mut self) {
                if !is_dead() {
                    self.0.kernel().repair.remove(&self.1); // A dead one's is given back by the kernel.
                }
            }
        }
        {
            let mut kernel = self.town.kernel();
            match kernel.repair.get(&slot) {
                Some(holder) if *holder != self.slot => return None,
                // The sweep of this very slot came across it.
                Some(_) => return kernel.dead.contains(&slot).then(|| drop(kernel)).map(|()| f()),
                None => kernel.repair.insert(slot, self.slot),
            };
        }
        let _byte = Byte(self.town, slot);
        self.is_dead(slot).then(f)
    }
}

/// What a lock guards: two numbers that are equal unless somebody is at it, and who is.
#[derive(Default)]
struct Guarded {
    a: AtomicU32,
    b: AtomicU32,
    /// Who is inside, for the test: not a place to die or to be descheduled at.
    inside: Mutex<(BTreeSet<u32>, BTreeSet<u32>)>,
    /// Who has how many permits, likewise.
    leased: Mutex<BTreeMap<u32, u32>>,
}

impl Guarded {
    /// `citizen` has locked it, alone or with other readers.
    fn enter(&self, citizen: &Citizen<'_>, alone: bool) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.0.retain(|slot| !citizen.is_dead(*slot));
        inside.1.retain(|slot| !citizen.is_dead(*slot));
        let (writers, readers) = &mut *inside;
        assert!(writers.is_empty(), "{} enters beside writer {writers:?}", citizen.slot);
        assert!(!alone || readers.is_empty(), "writer {} enters beside {readers:?}", citizen.slot);
        if alone {
            writers.insert(citizen.slot)
        } else {
            readers.insert(citizen.slot)
        };
    }

    /// `citizen` has been given `n` of so many permits.
    fn lease(&self, citizen: &Citizen<'_>, n: u32, permits: u32) {
        let mut leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        leased.retain(|slot, _| !citizen.is_dead(*slot));
        leased.insert(citizen.slot, n);
        assert!(leased.values().sum::<u32>() <= permits, "of {permits} permits these are out: {leased:?}");
    }

    /// `citizen` is about to unlock it.
    fn leave(&self, citizen: &Citizen<'_>) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.0.remove(&citizen.slot);
        inside.1.remove(&citizen.slot);
        self.leased.lock().unwrap_or_else(PoisonError::into_inner).remove(&citizen.slot);
    }

    fn are_equal(&self) -> bool {
        self.a.load(Relaxed) == self.b.load(Relaxed)
    }

    fn change(&self, told: bool) {
        assert!(told || self.are_equal(), "half a change, and no word of a death");
        let next = self.a.load(Relaxed).max(self.b.load(Relaxed)) + 1;
        self.a.store(next, Relaxed);
        self.b.store(next, Relaxed);
    }
}

/// When a process dies: by chance never, or before one of its first `most` operations.
fn fate(most: u32) -> u32 {
    let mut random = shuttle::rand::thread_rng();
    if random.gen_bool(0.4) { 0 } else { random.gen_range(1..most) }
}

/// Six processes live `life`, unless they die before operation number `most`, and after all of them one more, who cannot
/// die, lives `last`. They share `books`, which lie outside the segment. `gone` is told who has come to an end, dead or
/// not.
pub fn lives<B: Default + Send + Sync + 'static>(
    town: Town,
    most: u32,
    life: impl Fn(&Citizen<'_>, &B) + Send + Sync + 'static,
    gone: impl Fn(u32, &B) + Send + Sync + 'static,
    last: impl Fn(&Citizen<'_>, &B),
) {
    let (town, books, life) = (Arc::new(town), Arc::new(B::default()), Arc::new((life, gone)));
    let threads: Vec<_> = (1..=ALL)
        .map(|slot| {
            let (town, books, life) = (town.clone(), books.clone(), life.clone());
            let at = fate(most);
            shuttle::thread::spawn(move || {
                town.live(slot, at, |citizen| (life.0)(citizen, &books));
                (life.1)(slot, &books);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let survivor = Citizen { town: &town, slot: ALL + 1 };
    last(&survivor, &books);
    survivor.sweep();
    assert_eq!(town.kernel().repair.len(), 0);
}

/// Six processes live `life` some times, the last one sweeps, and after all of them one more, who cannot die, lives
/// `last`.
fn town(
    make: impl Fn() -> Town,
    life: impl Fn(&Citizen<'_>, &Guarded) + Send + Sync + 'static,
    last: impl Fn(&Citizen<'_>, &Guarded),
) {
    let times = move |citizen: &Citizen<'_>, guarded: &Guarded| {
        for _ in 0..TIMES {
            if citizen.slot == ALL {
                citizen.sweep();
            } else {
                life(citizen, guarded);
            }
        }
    };
    lives(make(), 120, times, |_, _| {}, last);
}

/// 2000 schedules of each scheduler, or as many as `TRIVENI_CASES` says.
pub fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    let cases = std::env::var("TRIVENI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config.max_steps = MaxSteps::FailAfter(200_000); // Who has not come to an end by then hangs.
        Runner::new(scheduler, config).run(test);
    };
    run(Box::new(RandomScheduler::new(cases)));
    run(Box::new(PctScheduler::new(4, cases)));
}

#[test]
fn a_mutex_is_held_by_one_and_every_death_is_told() {
    fn lock(citizen: &Citizen<'_>, guarded: &Guarded) {
        let (line, mine) = (MutexLine::of(citizen.town.memory.view()).unwrap(), owner_word(citizen.slot, 0));
        let told = line.lock(citizen, citizen.slot, mine, Deadline::never(), Own::Relock).unwrap();
        guarded.enter(citizen, true);
        guarded.change(told);
        if told {
            line.recover(mine);
        }
        guarded.leave(citizen);
        line.unlock();
    }
    check(|| town(|| Town::new(&mutex::KIND, 64, [0; 5]), lock, lock));
}

fn rwlock(policy: RwPolicy) {
    fn write(citizen: &Citizen<'_>, guarded: &Guarded) {
        let words = rw::Words::of(citizen.town.memory.view()).unwrap();
        let me = rw::Me { slot: citizen.slot, word: owner_word(citizen.slot, 0) };
        let told = words.write(citizen, me, &Spin::default(), Deadline::never()).unwrap();
        guarded.enter(citizen, true);
        guarded.change(told);
        if told {
            words.recover();
        }
        guarded.leave(citizen);
        words.release(me);
    }
    fn read(citizen: &Citizen<'_>, guarded: &Guarded) {
        let words = rw::Words::of(citizen.town.memory.view()).unwrap();
        let me = rw::Me { slot: citizen.slot, word: owner_word(citizen.slot, 0) };
        let told = match words.try_enter(citizen.slot).unwrap() {
            Some(told) => told,
            None => words.read(citizen, me, &Spin::default(), Deadline::never()).unwrap(),
        };
        guarded.enter(citizen, false);
        assert!(told || guarded.are_equal(), "half a change, and no word of a death");
        guarded.leave(citizen);
        words.unread(citizen.slot).unwrap();
    }
    check(move || {
        town(
            || {
                let (geometry, size) = rwlock::geometry(policy, ALL as usize + 1);
                Town::new(&rwlock::KIND, size, geometry)
            },
            |citizen, guarded| if citizen.slot % 2 == 0 { read(citizen, guarded) } else { write(citizen, guarded) },
            |citizen, guarded| {
                write(citizen, guarded);
                read(citizen, guarded);
            },
        );
    });
}

#[test]
fn a_readers_first_lock_excludes_and_goes_on() {
    rwlock(RwPolicy::ReadersFirst);
}

#[test]
fn a_writers_first_lock_excludes_and_goes_on() {
    rwlock(RwPolicy::WritersFirst);
}

#[test]
fn a_fair_lock_excludes_and_goes_on() {
    rwlock(RwPolicy::Fair);
}

#[test]
fn leased_permits_are_had_once_and_come_back() {
    const PERMITS: u32 = 3;
    fn take(citizen: &Citizen<'_>, guarded: &Guarded, n: u32) {
        let view = citizen.town.memory.view();
        let (leases, mine) = (Leases::of(view, PERMITS).unwrap(), owner_word(citizen.slot, 0));
        let words: &SemaphoreWords = view.at(0).unwrap();
        if n > 1 {
            words.expect_several();
        }
        let look = || leases.look(citizen).suspect;
        wait::until(citizen, words.bell(), &Spin::default(), Deadline::never(), look, || {
            Ok(leases.take(mine, n, 0).map(|_| ()))
        })
        .unwrap();
        let held = leases.holders().filter(|word| *word == mine).count();
        assert_eq!(held, n as usize, "{} asked for {n}", citizen.slot);
        guarded.lease(citizen, n, PERMITS);
        guarded.leave(citizen);
        leases.give(mine, n, 0).unwrap();
    }
    check(|| {
        town(
            || {
                let (geometry, size) = semaphore::geometry("s", crate::SemaphoreOptions::leased(PERMITS)).unwrap();
                Town::new(&semaphore::KIND, size, geometry)
            },
            |citizen, guarded| take(citizen, guarded, 1 + citizen.slot % 3),
            |citizen, guarded| {
                take(citizen, guarded, PERMITS);
                let leases = Leases::of(citizen.town.memory.view(), PERMITS).unwrap();
                assert_eq!(leases.free(), PERMITS);
            },
        );
    });
}
