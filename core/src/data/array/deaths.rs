//! The array under shuttle: three writers and two readers, each a process with a slot of its own, that die before any
//! operation on shared memory; one more sweeps. A snapshot is what one writer wrote, as a whole, and no older than what
//! was done before it; who comes after a writer that died in the middle is told. Run by `tests/check shuttle`.

use super::{Control, KIND, Memory, PAGE, TRIES};
use crate::deadline::Deadline;
use crate::deaths::{ALL, Citizen, Town, check, lives};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::sync::mutex::{self, Own, owner_word};
use crate::wait::World;
use shuttle::rand::Rng;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Writers sit in slots 1 to 3, readers in 4 and 5, the sweeper in 6.
const WRITERS: u32 = 3;
/// How often each writes, or takes a snapshot.
const TIMES: u32 = 4;
/// Elements, each the number of the write.
const ELEMENTS: usize = 3;

/// What is booked outside the segment. No thread is ever descheduled with it held.
#[derive(Default)]
struct Books(Mutex<Outside>);

#[derive(Default)]
struct Outside {
    /// The last write that was begun, and the last one that was surely ended.
    begun: u64,
    done: u64,
}

impl Books {
    fn get(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process has in hand: the array, and the books.
struct Hand<'a> {
    citizen: &'a Citizen<'a>,
    books: &'a Books,
    memory: Memory,
}

impl<'a> Hand<'a> {
    fn new(citizen: &'a Citizen<'a>, books: &'a Books) -> Hand<'a> {
        Hand { citizen, books, memory: Memory::of(citizen.town.memory.view()).unwrap() }
    }

    fn elements(&self) -> &[AtomicU64; ELEMENTS] {
        // SAFETY: so many lie there, at a page; all access is atomic.
        unsafe { &*self.memory.first.as_ptr().cast() }
    }

    fn copy(&self) -> [u64; ELEMENTS] {
        [0, 1, 2].map(|i: usize| self.elements()[i].load(Relaxed))
    }

    fn mine(&self) -> u32 {
        owner_word(self.citizen.slot, 0)
    }

    /// Locks, as `RawArray` does. True: a writer died in the middle.
    fn lock(&self) -> bool {
        let control = self.memory.control();
        let lock = &control.lock;
        let told = lock.lock(self.citizen, self.citizen.slot, self.mine(), Deadline::never(), Own::Relock).unwrap();
        if told && control.is_whole() {
            lock.recover(self.mine());
            return false;
        }
        assert!(!told || (1..=ALL).any(|slot| self.citizen.is_dead(slot)), "told of a death, and all live");
        told
    }

    fn write(&self, recovers: bool) {
        let (control, told) = (self.memory.control(), self.lock());
        control.begin();
        if told && recovers {
            control.lock.recover(self.mine());
        }
        let mut outside = self.books.get();
        outside.begun += 1;
        let number = outside.begun;
        drop(outside);
        // Who does not put it right may leave anything.
        let written = if told && !recovers { 1 } else { ELEMENTS };
        self.elements()[..written].iter().for_each(|element| element.store(number, Relaxed));
        control.end(control.lock.is_inconsistent());
        if !told || recovers {
            self.books.get().done = number;
        }
        control.lock.unlock();
    }

    /// A snapshot; `None` if a writer died in the middle.
    fn snapshot(&self) -> Option<u64> {
        let (control, done) = (self.memory.control(), self.books.get().done);
        let mut copied = None;
        let whole = (0..TRIES).any(|_| {
            control.try_copy(|| {
                copied = Some(self.copy());
                true
            })
        });
        if !whole {
            copied = if self.lock() { None } else { Some(self.copy()) };
            control.lock.unlock();
        }
        let copied = copied?;
        assert_eq!(copied, [copied[0]; ELEMENTS], "torn in the hands of {}", self.citizen.slot);
        assert!(copied[0] >= done, "{} was written, and {} is there", done, copied[0]);
        Some(copied[0])
    }

    /// When all others are gone: whoever writes puts it right, and the lock is free.
    fn settle(&self) {
        self.citizen.sweep();
        self.write(true);
        assert_eq!(self.snapshot(), Some(self.books.get().begun));
        assert!(mutex::holder_in(self.memory.control().lock.word()).is_none(), "the lock is lost");
        assert!(!self.memory.control().lock.is_inconsistent());
    }
}

#[test]
fn a_snapshot_is_never_torn_whoever_dies() {
    check(|| {
        let bytes = 8 * ELEMENTS;
        let town = Town::new(&KIND, size_of::<Control>() + PAGE + bytes, [8, 1, bytes as u64, 0, 0]);
        let control: &Control = town.memory.view().at(0).unwrap();
        control.shape[0].store(ELEMENTS as u64, Relaxed);
        lives(
            town,
            100,
            |citizen, books: &Books| {
                let hand = Hand::new(citizen, books);
                for _ in 0..TIMES {
                    match citizen.slot {
                        1..=WRITERS => hand.write(shuttle::rand::thread_rng().gen_bool(0.8)),
                        ALL => citizen.sweep(),
                        _ => drop(hand.snapshot()),
                    }
                }
            },
            |_, _| {},
            |citizen, books| Hand::new(citizen, books).settle(),
        );
    });
}
