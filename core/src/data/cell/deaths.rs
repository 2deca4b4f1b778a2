//! The cell under shuttle: three writers with room for two, and two readers, each a process with a slot of its own, that
//! die before any operation on shared memory; one more sweeps. Every value that is loaded was stored, whole, under that
//! number; none is older than one before; a writer that died is in nobody's way. Run by `tests/check shuttle`.

use super::KIND;
use super::memory::{Memory, extent};
use super::words::{Buffers, Claim};
use crate::deadline::Deadline;
use crate::deaths::{ALL, Citizen, Town, check, lives};
use crate::error::{ErrorKind, Result};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::sync::mutex::Robber;
use crate::wait::{self, Spin, World};
use shuttle::rand::Rng;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Writers sit in slots 1 to 3, readers in 4 and 5, the sweeper in 6.
const WRITERS: u32 = 3;
/// Buffers: for two writers, the latest value, and one more.
const BUFFERS: usize = 4;
/// Values that each writer stores, and each reader loads.
const TIMES: u64 = 4;
/// Words of a value, each its number.
const WORDS: usize = 3;

/// What is booked outside the segment. No thread is ever descheduled with it held.
#[derive(Default)]
struct Books(Mutex<Outside>);

#[derive(Default)]
struct Outside {
    /// Which value each version is, and the latest one that was surely published.
    values: BTreeMap<u64, u64>,
    published: u64,
    writers_gone: u32,
}

impl Books {
    fn get(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outside {
    /// Somebody knows that `version` is `value`.
    fn learn(&mut self, version: u64, value: u64) {
        let known = *self.values.entry(version).or_insert(value);
        assert_eq!(known, value, "version {version} has two values");
        let versions = self.values.values().filter(|other| **other == value).count();
        assert_eq!(versions, 1, "value {value} has two versions");
    }
}

/// What a process has in hand: the cell, and the books.
struct Hand<'a> {
    citizen: &'a Citizen<'a>,
    books: &'a Books,
    memory: Memory,
}

impl<'a> Hand<'a> {
    fn new(citizen: &'a Citizen<'a>, books: &'a Books) -> Hand<'a> {
        Hand { citizen, books, memory: Memory::of(citizen.town.memory.view()).unwrap() }
    }

    fn value(&self, index: u32) -> &[AtomicU64; WORDS] {
        // SAFETY: so many bytes lie there, 8-aligned; all access is atomic.
        unsafe { &*self.memory.value(index).cast() }
    }

    /// One attempt, and one more if a dead one's claim was in the way, as the library does.
    fn try_claim(&self) -> std::result::Result<Claim, u32> {
        let (words, me) = (self.memory.words(), self.citizen.slot);
        words.claim(me).unwrap().or_else(|_| {
            for owner in words.writers() {
                if self.citizen.is_dead(owner) {
                    self.citizen.repairing(owner, || words.repair(owner));
                }
            }
            words.claim(me).unwrap()
        })
    }

    fn store(&self) {
        for n in 0..TIMES {
            let freed = &self.memory.control().freed;
            let suspect = std::cell::Cell::new(None);
            let claim = || {
                let claim = self.try_claim();
                suspect.set(claim.err().filter(|owner| *owner != 0));
                Ok(claim.ok())
            };
            let never = Deadline::never();
            let claim = wait::until(self.citizen, freed, &Spin::default(), never, || suspect.get(), claim).unwrap();
            let number = u64::from(self.citizen.slot) * 100 + n;
            self.value(claim.index).iter().for_each(|word| word.store(number, Relaxed));
            let words = self.memory.words();
            assert!(words.stands(claim), "{} lost its claim", self.citizen.slot);
            if shuttle::rand::thread_rng().gen_bool(0.1) {
                words.release(claim);
                continue;
            }
            let version = words.publish(claim).unwrap();
            let mut outside = self.books.get();
            outside.learn(version, number);
            outside.published = outside.published.max(version);
        }
    }

    /// Loads the latest value: its version. It is no older than `seen`, and than what was published before.
    fn load(&self, seen: u64) -> u64 {
        let seen = seen.max(self.books.get().published);
        let copy = |index| [0, 1, 2].map(|i: usize| self.value(index)[i].load(Relaxed));
        let Some((version, value)) = self.memory.words().load(copy).unwrap() else {
            assert_eq!(seen, 0, "a value is lost");
            return 0;
        };
        assert!(version >= seen, "{version} is older than {seen}");
        assert_eq!(value, [value[0]; WORDS], "torn in the hands of {}", self.citizen.slot);
        self.books.get().learn(version, value[0]);
        version
    }

    /// Loads what is newer, as long as somebody writes.
    fn follow(&self) {
        let mut seen = 0;
        for _ in 0..TIMES {
            let changed = &self.memory.control().changed;
            let newer = || -> Result<Option<()>> {
                match self.memory.words().version() > seen {
                    true => Ok(Some(())),
                    false if self.books.get().writers_gone == WRITERS => Err(ErrorKind::Timeout.into()),
                    false => Ok(None),
                }
            };
            if wait::until(self.citizen, changed, &Spin::default(), Deadline::never(), || None, newer).is_err() {
                break;
            }
            let version = self.load(seen);
            assert!(version > seen, "a newer value is gone");
            seen = version;
        }
    }

    /// When all others are gone: the latest value is there, and all buffers but its own are to be had.
    fn settle(&self) {
        self.citizen.sweep();
        let words = self.memory.words();
        assert_eq!(words.writers().count(), 0, "a dead one writes");
        let version = self.load(0);
        assert_eq!(version, words.version());
        let claims: Vec<_> = std::iter::from_fn(|| words.claim(self.citizen.slot).unwrap().ok()).collect();
        assert_eq!(claims.len(), BUFFERS - usize::from(version > 0), "buffers are lost");
        assert_eq!(self.load(version), version, "the latest value was overwritten");
        for claim in claims {
            assert_eq!(self.memory.word(claim.index).load(Relaxed), claim.word);
            words.release(claim);
        }
    }
}

#[test]
fn a_cell_is_never_torn_and_never_stuck_whoever_dies() {
    check(|| {
        let (stride, size) = extent(8 * WORDS, BUFFERS).unwrap();
        lives(
            Town::new(&KIND, size, [8 * WORDS as u64, BUFFERS as u64, stride as u64, 0, 0]),
            100,
            |citizen, books: &Books| match citizen.slot {
                1..=WRITERS => Hand::new(citizen, books).store(),
                ALL => (0..3).for_each(|_| citizen.sweep()),
                _ => Hand::new(citizen, books).follow(),
            },
            |slot, books| books.get().writers_gone += u32::from(slot <= WRITERS),
            |citizen, books| Hand::new(citizen, books).settle(),
        );
    });
}
