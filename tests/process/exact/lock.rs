//! Killed while it locks, changes what the lock guards, and unlocks: monitor, readers-writer lock, leased permits.

use crate::scene::*;
use crate::step::*;
use std::mem::forget;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use triveni::{Deadline, Error, LockError, Monitor, RwLock, RwPolicy, Segment, Semaphore, SemaphoreOptions};
use triveni_tests::PATIENCE;

/// What is locked, and how.
#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    Monitor,
    Read(RwPolicy),
    Write(RwPolicy),
    /// So many permits, which are all there are.
    Lease(u32),
}

impl What {
    fn name(self) -> String {
        match self {
            What::Monitor => "monitor".into(),
            What::Read(policy) => format!("rwlock, {}: read", policy.name()),
            What::Write(policy) => format!("rwlock, {}: write", policy.name()),
            What::Lease(n) => format!("leased semaphore: {n} at a time"),
        }
    }

    fn make(self, segment: &Segment) -> Lock {
        match self {
            What::Monitor => Lock::Monitor(segment.create_monitor("l").unwrap()),
            What::Read(policy) | What::Write(policy) => Lock::Rw(segment.create_rwlock("l", policy).unwrap()),
            What::Lease(n) => Lock::Lease(segment.create_semaphore_with("l", SemaphoreOptions::leased(n)).unwrap()),
        }
    }

    fn open(self, segment: &Segment) -> Lock {
        match self {
            What::Monitor => Lock::Monitor(segment.open_monitor("l").unwrap()),
            What::Read(_) | What::Write(_) => Lock::Rw(segment.open_rwlock("l").unwrap()),
            What::Lease(_) => Lock::Lease(segment.open_semaphore("l").unwrap()),
        }
    }

    /// Does one who locks so exclude everybody else, and is a change under it told after a death?
    fn tells(self) -> bool {
        matches!(self, What::Monitor | What::Write(_))
    }

    /// The same object, locked so that nobody else has it.
    fn alone(self) -> What {
        match self {
            What::Read(policy) => What::Write(policy),
            what => what,
        }
    }
}

enum Lock {
    Monitor(Monitor),
    Rw(RwLock),
    Lease(Semaphore),
}

impl Lock {
    /// Locks. True: a holder died before.
    fn lock(&self, what: What, deadline: Deadline) -> Result<bool, Error> {
        fn kept<G>(locked: Result<G, LockError<G>>) -> Result<bool, Error> {
            match locked {
                Ok(guard) => {
                    forget(guard);
                    Ok(false)
                }
                Err(LockError::OwnerDied(guard)) => {
                    forget(guard);
                    Ok(true)
                }
                Err(LockError::Failed(error)) => Err(error),
            }
        }
        match (self, what) {
            (Lock::Monitor(monitor), _) => kept(monitor.enter_until(deadline)),
            (Lock::Rw(lock), What::Read(_)) => kept(lock.read_until(deadline)),
            (Lock::Rw(lock), _) => kept(lock.write_until(deadline)),
            (Lock::Lease(semaphore), What::Lease(n)) => semaphore.wait_n_until(n, deadline).map(|()| false),
            (Lock::Lease(_), _) => unreachable!("permits are leased"),
        }
    }

    fn recover(&self) {
        match self {
            Lock::Monitor(monitor) => monitor.recover().unwrap(),
            Lock::Rw(lock) => lock.recover().unwrap(),
            Lock::Lease(_) => {}
        }
    }

    fn unlock(&self, what: What) -> Result<(), Error> {
        match (self, what) {
            (Lock::Monitor(monitor), _) => monitor.leave(),
            (Lock::Rw(lock), _) => lock.unlock(),
            (Lock::Lease(semaphore), What::Lease(n)) => semaphore.post_n(n),
            (Lock::Lease(_), _) => unreachable!("permits are leased"),
        }
    }

    /// Nobody has it, and nobody's death is untold.
    fn is_free(&self) -> bool {
        match self {
            Lock::Monitor(monitor) => monitor.holder().is_none() && !monitor.owner_died(),
            Lock::Rw(lock) => lock.writer().is_none() && lock.readers() == 0 && !lock.owner_died(),
            Lock::Lease(semaphore) => semaphore.value() == semaphore.max(),
        }
    }
}

/// What the stepped process does.
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    /// Locks, changes what is guarded, unlocks.
    LockAndUnlock,
    /// Unlocks, while somebody sleeps for it.
    Unlock,
    /// Turns its write lock into a read lock and unlocks that, while somebody sleeps for it.
    Downgrade,
    /// Waits for what another process holds, until time is up.
    TimeUp,
}

/// Who had it before.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nobody,
    /// A process that died with it, locked in this way, and nobody has swept it.
    Dead(What),
}

/// The lock guards two numbers in the page that are equal unless somebody is at it.
struct LockScene {
    place: Place,
    what: What,
    verb: Verb,
    before: Before,
    /// Another process that sleeps for it, in this way.
    sleeps: Option<What>,
    lock: Option<Lock>,
    sleeper: Option<(Bystander, &'static Page)>,
}

impl LockScene {
    fn new(what: What, verb: Verb, before: Before, sleeps: Option<What>) -> LockScene {
        LockScene { place: Place::new(), what, verb, before, sleeps, lock: None, sleeper: None }
    }

    fn numbers(&self) -> (&'static AtomicU64, &'static AtomicU64) {
        let page: &'static Page = self.place.page;
        (&page.data[0], &page.data[64])
    }

    /// Locked to `what`: the numbers are equal, or a death was told. Makes them equal.
    fn look(&self, lock: &Lock, what: What, told: bool) {
        let (a, b) = self.numbers();
        if what.tells() && self.what.tells() && !told {
            assert_eq!(a.load(Relaxed), b.load(Relaxed), "and no word of a death");
        }
        if told && what.tells() {
            b.store(a.load(Relaxed), Relaxed);
            lock.recover();
        }
    }
}

impl Scene for LockScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        self.lock = Some(self.what.make(&self.place.segment));
        if let Before::Dead(how) = self.before {
            drop(Bystander::start(Page::new(), |step| {
                self.what.open(&self.place.segment).lock(how, Deadline::never()).unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        if self.verb == Verb::TimeUp {
            let page = Page::new();
            let holder = Bystander::start(page, |step| {
                self.what.open(&self.place.segment).lock(self.what.alone(), Deadline::never()).unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            });
            self.sleeper = Some((holder, page));
        }
        if let Some(how) = self.sleeps {
            let (page, theirs) = (Page::new(), self.place.page);
            let sleeper = Bystander::start(page, |step| {
                let lock = self.what.open(&self.place.segment);
                step.0.mark.store(BEGUN, Relaxed);
                // The stepped process has locked it when it says so in the page.
                while theirs.data[1].load(Relaxed) == 0 {
                    std::thread::yield_now();
                }
                let told = lock.lock(how, Deadline::after(PATIENCE)).unwrap();
                self.look(&lock, how, told);
                lock.unlock(how).unwrap();
                step.0.mark.store(DONE, Relaxed);
                step.wait();
            });
            self.sleeper = Some((sleeper, page));
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let lock = self.what.open(&self.place.segment);
        let (a, b) = self.numbers();
        match self.verb {
            Verb::LockAndUnlock => step.through(|| {
                if lock.lock(self.what, in_time())? && self.what.tells() {
                    lock.recover();
                }
                if self.what.tells() {
                    a.fetch_add(1, Relaxed);
                    b.fetch_add(1, Relaxed);
                }
                lock.unlock(self.what).map(|()| OK)
            }),
            Verb::TimeUp => step.through(|| lock.lock(self.what, soon()).map(|_| OK)),
            Verb::Unlock | Verb::Downgrade => {
                lock.lock(self.what, in_time()).unwrap();
                self.place.page.data[1].store(1, Relaxed);
                triveni_tests::wait_for("somebody sleeps for it", || {
                    self.place.segment.waits().is_ok_and(|waits| !waits.is_empty())
                });
                step.through(|| {
                    if let (Verb::Downgrade, Lock::Rw(lock)) = (self.verb, &lock) {
                        lock.downgrade()?;
                    }
                    lock.unlock(self.what).map(|()| OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let lock = self.lock.take().unwrap();
        if let Some((other, page)) = self.sleeper.take() {
            if self.sleeps.is_some() {
                self.place.recovering(|| {
                    triveni_tests::wait_for("the sleeper gets the lock", || page.mark.load(Relaxed) == DONE);
                });
            }
            drop(other); // Who holds it dies too.
        }
        let alone = self.what.alone();
        let told = self.place.recovering(|| lock.lock(alone, in_time())).unwrap();
        self.look(&lock, alone, told);
        lock.unlock(alone).unwrap();
        assert!(!lock.lock(self.what, in_time()).unwrap(), "the death is told again");
        lock.unlock(self.what).unwrap();
        assert!(lock.is_free());
        self.place.segment.remove("l").unwrap();
        drop(lock);
        self.place.page.data[1].store(0, Relaxed);
        self.place.is_as_new();
    }
}

const POLICIES: [RwPolicy; 3] = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];

fn scene(what: What, verb: Verb, before: Before, sleeps: Option<What>) -> Case {
    let verb_name = match verb {
        Verb::LockAndUnlock => "lock, change, unlock",
        Verb::Unlock => "unlock",
        Verb::Downgrade => "downgrade, unlock",
        Verb::TimeUp => "wait, time up",
    };
    let before_name = match before {
        Before::Nobody => String::new(),
        Before::Dead(What::Read(_)) => ", a dead reader in the way".into(),
        Before::Dead(_) => ", a dead holder in the way".into(),
    };
    let sleeps_name = match sleeps {
        None => "",
        Some(What::Read(_)) => ", a reader sleeps",
        Some(What::Write(_)) => ", a writer sleeps",
        Some(_) => ", somebody sleeps",
    };
    case(format!("{}: {verb_name}{before_name}{sleeps_name}", what.name()), move || {
        LockScene::new(what, verb, before, sleeps)
    })
}

fn plain(what: What) -> Vec<Case> {
    vec![
        scene(what, Verb::LockAndUnlock, Before::Nobody, None),
        scene(what, Verb::LockAndUnlock, Before::Dead(what), None),
        scene(what, Verb::Unlock, Before::Nobody, Some(what)),
        scene(what, Verb::TimeUp, Before::Nobody, None),
    ]
}

#[test]
fn a_monitor_tells_of_every_half_done_change() {
    run_all("monitor", plain(What::Monitor));
}

#[test]
fn leased_permits_come_back() {
    run_all("leases", [What::Lease(1), What::Lease(3)].into_iter().flat_map(plain).collect());
}

fn rwlock(policy: RwPolicy) {
    let (read, write) = (What::Read(policy), What::Write(policy));
    let cases = vec![
        scene(read, Verb::LockAndUnlock, Before::Nobody, None),
        scene(read, Verb::LockAndUnlock, Before::Dead(write), None),
        scene(read, Verb::Unlock, Before::Nobody, Some(write)),
        scene(read, Verb::TimeUp, Before::Nobody, None),
        scene(write, Verb::LockAndUnlock, Before::Nobody, None),
        scene(write, Verb::LockAndUnlock, Before::Dead(write), None),
        scene(write, Verb::LockAndUnlock, Before::Dead(read), None),
        scene(write, Verb::Unlock, Before::Nobody, Some(read)),
        scene(write, Verb::Unlock, Before::Nobody, Some(write)),
        scene(write, Verb::Downgrade, Before::Nobody, Some(read)),
        scene(write, Verb::Downgrade, Before::Nobody, Some(write)),
        scene(write, Verb::TimeUp, Before::Nobody, None),
    ];
    run_all(&format!("rwlock, {}", policy.name()), cases);
}

#[test]
fn a_readers_first_lock_goes_on() {
    rwlock(POLICIES[0]);
}

#[test]
fn a_writers_first_lock_goes_on() {
    rwlock(POLICIES[1]);
}

#[test]
fn a_fair_lock_goes_on() {
    rwlock(POLICIES[2]);
}
