//! The lock under loom: every interleaving of a few threads, within the preemption bound. A slice never ends here,
//! so a wake that is lost is a deadlock, which loom reports.

use super::words::{Head, Me, Tally, WRITING, Words};
use super::{RwPolicy, owner_word};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Ordering::{Acquire, Release};
use crate::sync::mutex::{Robber, owner_slot};
use crate::wait::{Spin, World};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;

/// The slot of the process that dies.
const MORTAL: u32 = 4;

/// A lock on the heap with what it guards, in a world in which the process in slot 4 may be dead.
struct Town {
    head: Head,
    tallies: Vec<Tally>,
    policy: RwPolicy,
    dead: AtomicBool,
    repair_byte: loom::sync::Mutex<()>,
    /// Loom reports two writers at once, a reader beside a writer, and who misses what a writer wrote.
    guarded: UnsafeCell<u32>,
}

impl World for Town {
    fn still_there(&self) -> Result<()> {
        Ok(())
    }
    fn is_dead(&self, slot: u32) -> bool {
        // Acquire: the kernel says that a process is dead when its last store is done.
        slot == MORTAL && self.dead.load(Acquire)
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

fn me(slot: u32) -> Me {
    Me { slot, word: owner_word(slot, 0) }
}

impl Town {
    fn new(policy: RwPolicy) -> Arc<Town> {
        Arc::new(Town {
            head: Head::new(),
            tallies: (0..4).map(|_| Tally::new()).collect(),
            policy,
            dead: AtomicBool::new(false),
            repair_byte: loom::sync::Mutex::new(()),
            guarded: UnsafeCell::new(0),
        })
    }

    fn words(&self) -> Words<'_> {
        Words { head: &self.head, tallies: &self.tallies, policy: self.policy }
    }

    /// Reads once, by slot `slot`; what it saw.
    fn read(&self, slot: u32) -> u32 {
        let words = self.words();
        if words.try_enter(slot).unwrap().is_none() {
            words.read(self, me(slot), &Spin::default(), Deadline::never()).unwrap();
        }
        // SAFETY: the lock is held for reading; loom checks just that.
        let seen = self.guarded.with(|p| unsafe { *p });
        words.unread(slot).unwrap();
        seen
    }

    fn add_one(&self) {
        // SAFETY: the lock is held for writing; loom checks just that.
        self.guarded.with_mut(|p| unsafe { *p += 1 });
    }

    /// Writes once, by slot `slot`. False: it gave up.
    fn write(&self, slot: u32, deadline: Deadline) -> bool {
        let written = self.words().write(self, me(slot), &Spin::default(), deadline).is_ok();
        if written {
            self.add_one();
            self.words().release(me(slot));
        }
        written
    }

    /// Nobody is inside, and the gate is open.
    fn is_left_as_found(&self) {
        assert_eq!(self.words().writer_word(), 0);
        assert_eq!(self.words().readers().count(), 0);
        assert!(self.words().try_enter(1).unwrap().is_some());
    }
}

fn check(preemptions: usize, policies: &[RwPolicy], f: impl Fn(RwPolicy) + Sync + Send + Copy + 'static) {
    for policy in policies.iter().copied() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions.min(crate::prim::most_preemptions()));
        model.check(move || f(policy));
    }
}

const ALL: [RwPolicy; 3] = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];

#[test]
fn a_writer_is_alone_sees_the_other_and_nobody_sleeps_for_ever() {
    check(2, &ALL, |policy| {
        let town = Town::new(policy);
        let theirs = town.clone();
        let writer = loom::thread::spawn(move || assert!(theirs.write(2, Deadline::never())));
        let theirs = town.clone();
        let reader = loom::thread::spawn(move || assert!(theirs.read(3) <= 2));
        assert!(town.write(1, Deadline::never()));
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(town.read(1), 2);
        town.is_left_as_found();
    });
}

#[test]
fn two_readers_and_a_writer() {
    check(2, &ALL, |policy| {
        let town = Town::new(policy);
        let readers: Vec<_> = (2..=3)
            .map(|slot| {
                let theirs = town.clone();
                loom::thread::spawn(move || assert!(theirs.read(slot) <= 1))
            })
            .collect();
        assert!(town.write(1, Deadline::never()));
        for reader in readers {
            reader.join().unwrap();
        }
        town.is_left_as_found();
    });
}

/// The gate is left shut for a writer that gives up at that moment.
#[test]
fn a_gate_left_to_a_writer_that_gives_up_is_opened() {
    check(3, &[RwPolicy::WritersFirst], |policy| {
        let town = Town::new(policy);
        assert!(town.words().write(&*town, me(1), &Spin::default(), Deadline::never()).is_ok());
        let theirs = town.clone();
        let hasty = loom::thread::spawn(move || theirs.write(2, Deadline::now()));
        let theirs = town.clone();
        let reader = loom::thread::spawn(move || theirs.read(3));
        town.add_one();
        town.words().release(me(1));
        let written = hasty.join().unwrap();
        assert!(reader.join().unwrap() <= 1 + u32::from(written));
        town.is_left_as_found();
    });
}

#[test]
fn a_downgraded_writer_reads_what_it_wrote() {
    check(2, &ALL, |policy| {
        let town = Town::new(policy);
        let theirs = town.clone();
        let writer = loom::thread::spawn(move || assert!(theirs.write(2, Deadline::never())));
        let words = town.words();
        words.write(&*town, me(1), &Spin::default(), Deadline::never()).unwrap();
        town.add_one();
        // SAFETY: the lock is held.
        let wrote = town.guarded.with(|p| unsafe { *p });
        words.downgrade(me(1)).unwrap();
        // SAFETY: the lock is held for reading.
        assert_eq!(town.guarded.with(|p| unsafe { *p }), wrote);
        words.unread(1).unwrap();
        writer.join().unwrap();
        town.is_left_as_found();
    });
}

/// A lock whose writer, slot 4, has died inside.
fn with_dead_writer(policy: RwPolicy) -> Arc<Town> {
    let town = Town::new(policy);
    town.words().write(&*town, me(MORTAL), &Spin::default(), Deadline::never()).unwrap();
    town.add_one();
    assert_eq!(town.words().gate().unwrap(), WRITING);
    town.dead.store(true, Release);
    town
}

#[test]
fn of_a_reader_and_a_writer_that_find_a_dead_writer_both_are_told() {
    check(3, &ALL, |policy| {
        let town = with_dead_writer(policy);
        let theirs = town.clone();
        let reader = loom::thread::spawn(move || {
            theirs.words().attend(&*theirs, me(2), true).unwrap();
            assert!(owner_slot(theirs.words().writer_word()) != MORTAL);
            assert!(theirs.read(2) >= 1);
        });
        let words = town.words();
        if let Some(news) = words.try_write(&*town, me(1), true).unwrap() {
            assert!(news);
            town.add_one();
            words.release(me(1));
        }
        reader.join().unwrap();
        assert!(town.words().has_news());
        town.is_left_as_found();
    });
}

#[test]
fn a_reader_that_sleeps_when_the_writer_dies_is_woken_by_who_finds_out() {
    check(3, &ALL, |policy| {
        let town = with_dead_writer(policy);
        let theirs = town.clone();
        let sleeper = loom::thread::spawn(move || assert_eq!(theirs.read(2), 1));
        town.words().attend(&*town, me(1), true).unwrap();
        sleeper.join().unwrap();
        assert!(town.words().has_news());
        town.is_left_as_found();
    });
}

/// Slot 4 has died reading, or on its way to write. One writer waits for it, one buries it.
#[test]
fn a_dead_reader_is_buried_and_the_writer_that_waits_for_it_is_woken() {
    check(2, &ALL, |policy| {
        let town = Town::new(policy);
        town.words().try_enter(MORTAL).unwrap();
        town.dead.store(true, Release);
        let theirs = town.clone();
        let writer = loom::thread::spawn(move || assert!(theirs.write(2, Deadline::never())));
        let theirs = town.clone();
        let reader = loom::thread::spawn(move || theirs.read(3));
        town.words().bury(&*town, |_| true).unwrap();
        writer.join().unwrap();
        assert!(reader.join().unwrap() <= 1);
        assert!(!town.words().has_news());
        town.is_left_as_found();
    });
}
