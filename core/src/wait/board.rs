//! The board: notes on who sleeps for what, for everybody to see.
//!
//! Who has given up spinning pins a note before it sleeps and takes it off afterwards; so the notes cost nothing
//! where nobody sleeps. There are four for each place in the table of participants. Whoever finds none free sleeps
//! unseen: notes are for observers, nothing hangs on them.
//!
//! # State
//!
//! A note's word: `slot:12 | thread:16 | mode:4 | PINNED | ASLEEP | turn:30`.
//!
//! | slot | PINNED | ASLEEP | meaning                                                             |
//! |------|--------|--------|---------------------------------------------------------------------|
//! | 0    | 0      | 0      | free                                                                |
//! | s    | 0      | 0      | taken by a thread of the process in s, being written                 |
//! | s    | 1      | 0      | that thread is about to sleep, or looks again between two slices, or has what it waited for and not said so yet |
//! | s    | 1      | 1      | it is in the system call: it has nothing that it had not before      |
//!
//! The turn is raised whenever a thread goes to sleep and whenever the note is taken off: the same word with ASLEEP,
//! read twice, says that it slept all the while.
//!
//! # Orderings
//!
//! Edge `note`: the fields are stored between the word without and the word with PINNED (a seqlock with its turn):
//! an observer that reads the same PINNED word before and after the fields has read them whole.
//!
//! # When a peer dies
//!
//! Asleep: its note stays until the sweep takes it off; observers leave out the notes of the dead.

use crate::deadline::now_ns;
use crate::prim::{
    AtomicU32, AtomicU64, Ordering,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::segment::object::InSegment;
use std::cell::Cell;

const OWNER: u64 = 0x0FFF_FFFF;
const PINNED: u64 = 1 << 32;
const ASLEEP: u64 = 1 << 33;
const TURN: u64 = 1 << 34;

/// How many read locks a note can name.
pub const READS: usize = 8;

/// A note in the segment: a cache line of its own.
#[repr(C)]
#[derive(Debug)]
pub struct Note {
    word: AtomicU64,
    since_ns: AtomicU64,
    object: AtomicU32,
    generation: AtomicU32,
    count: AtomicU32,
    tid: AtomicU32,
    /// Objects that the sleeper has read-locked, by their place in the directory, from 1; 0: no more of them.
    reads: [AtomicU32; READS],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Note {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Note>() == 64);

thread_local! {
    /// When the wait began of which the calling thread's next sleeps are parts; 0: each is one of its own.
    static SINCE_NS: Cell<u64> = const { Cell::new(0) };
}

/// Runs `waits`: several waits that are one to those who look, as they began together. For bindings that cut a wait in
/// slices.
#[doc(hidden)]
pub fn as_one_wait<R>(waits: impl FnOnce() -> R) -> R {
    struct Before(u64);
    impl Drop for Before {
        fn drop(&mut self) {
            SINCE_NS.set(self.0);
        }
    }
    let _before = Before(SINCE_NS.replace(now_ns()));
    waits()
}

/// When the calling thread's present wait began.
pub fn since_ns() -> u64 {
    match SINCE_NS.get() {
        0 => now_ns(),
        since => since,
    }
}

/// What a note says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `slot:12 | thread:16` of the sleeper, as in the word of a lock.
    pub owner: u32,
    /// The number of a wait mode.
    pub mode: u32,
    /// When it began, on the monotonic clock.
    pub since_ns: u64,
    /// The object's place in the directory, and its generation there.
    pub object: u32,
    pub generation: u32,
    pub count: u32,
    /// Is it in the system call?
    pub asleep: bool,
    /// The thread's id in the system.
    pub tid: u32,
    /// See [`Note`].
    pub reads: [u32; READS],
}

impl Note {
    /// A free note on the heap.
    #[cfg(any(test, loom))]
    pub fn new() -> Note {
        Note {
            word: AtomicU64::new(0),
            since_ns: AtomicU64::new(0),
            object: AtomicU32::new(0),
            generation: AtomicU32::new(0),
            count: AtomicU32::new(0),
            tid: AtomicU32::new(0),
            reads: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Writes the note, if it is free. False: it is not.
    pub fn pin(&self, said: &Said) -> bool {
        let free = self.word.load(Relaxed);
        if free & (OWNER | PINNED) != 0 {
            return false;
        }
        let taken = (free & !(TURN - 1)) | (u64::from(said.owner) & OWNER) | (u64::from(said.mode & 0xF) << 28);
        // Acquire: the fields below are stored after it.
        if self.word.compare_exchange(free, taken, Acquire, Relaxed).is_err() {
            return false;
        }
        // ORDER note: who sees one of the fields below sees, by this fence and its own, the word without PINNED.
        fence(Release);
        self.since_ns.store(said.since_ns, Relaxed);
        self.object.store(said.object, Relaxed);
        self.generation.store(said.generation, Relaxed);
        self.count.store(said.count, Relaxed);
        self.tid.store(said.tid, Relaxed);
        for (word, read) in self.reads.iter().zip(said.reads) {
            word.store(read, Relaxed);
        }
        // ORDER note: Release; pairs with the Acquire in `read`.
        self.word.store(taken | PINNED, Release);
        true
    }

    /// The thread goes to sleep. Only who pinned it.
    pub fn falls_asleep(&self) {
        let word = self.word.load(Relaxed);
        let next = (word & !ASLEEP).wrapping_add(TURN) | ASLEEP;
        // ORDER note: Release; it has all that it takes to sleep before it says that it sleeps.
        self.word.store(next, Release);
    }

    /// It has come back. Only who pinned it.
    pub fn wakes_up(&self) {
        let word = self.word.load(Relaxed);
        // Acquire: what it takes from now on, it takes after this; an observer that finds it holding something new
        // finds it awake, or another word when it looks again.
        self.word.swap(word & !ASLEEP, Acquire);
    }

    /// Takes it off. Only who pinned it, or who repairs in its place.
    pub fn take_off(&self) {
        let next = (self.word.load(Relaxed) & !(TURN - 1)).wrapping_add(TURN);
        // ORDER note: Release; the next one to pin it, or to read it, does so after us.
        self.word.store(next, Release);
    }

    /// Takes it off for the dead in `slot`, if it is his. The caller holds his repair byte.
    pub fn take_off_for(&self, slot: u32) {
        if self.word.load(Relaxed) as u32 & 0xFFF == slot {
            self.take_off();
        }
    }

    /// What it says, with the word under which it says so. `None`: nobody has pinned it, or it changes just now.
    pub fn read(&self) -> Option<(u64, Said)> {
        // ORDER note: Acquire; pairs with the Release in `pin`.
        let word = self.word.load(Acquire);
        if word & PINNED == 0 || word & 0xFFF == 0 {
            return None;
        }
        let said = Said {
            owner: (word & OWNER) as u32,
            mode: (word >> 28 & 0xF) as u32,
            since_ns: self.since_ns.load(Relaxed),
            object: self.object.load(Relaxed),
            generation: self.generation.load(Relaxed),
            count: self.count.load(Relaxed),
            asleep: word & ASLEEP != 0,
            tid: self.tid.load(Relaxed),
            reads: std::array::from_fn(|i| self.reads[i].load(Relaxed)),
        };
        // ORDER note: the fields before the word.
        fence(Acquire);
        self.says_still(word).then_some((word, said))
    }

    /// Is it the same note, pinned without a break, as when [`Note::read`] gave `word`?
    pub fn says_still(&self, word: u64) -> bool {
        self.word.load(Ordering::Relaxed) == word
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_pinned_read_and_taken_off() {
        let note = Note::new();
        assert_eq!(note.read(), None);
        let said = Said {
            owner: 0x5003,
            mode: 4,
            since_ns: 7,
            object: 2,
            generation: 1,
            reads: [3; READS],
            ..Said::default()
        };
        assert!(note.pin(&said) && !note.pin(&said));
        let (word, read) = note.read().unwrap();
        assert_eq!(read, said);
        note.take_off_for(4);
        assert!(note.says_still(word));
        note.take_off_for(3);
        assert!(!note.says_still(word) && note.read().is_none());
        assert!(note.pin(&said));
        note.falls_asleep();
        let (asleep, read) = note.read().unwrap();
        assert!(read.asleep && read.owner == said.owner && read.mode == said.mode);
        note.wakes_up();
        assert!(!note.read().unwrap().1.asleep);
        note.falls_asleep();
        assert!(!note.says_still(asleep), "another sleep");
        assert!(!note.says_still(word), "the same note, pinned again, is another one");
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn an_observer_reads_one_note_or_the_other_and_never_a_mixture() {
        loom::model(|| {
            let note = Arc::new(Note::new());
            let theirs = note.clone();
            let sleeper = loom::thread::spawn(move || {
                for n in 1..=2 {
                    theirs.pin(&Said { owner: n, since_ns: n.into(), count: n, ..Said::default() });
                    theirs.take_off();
                }
            });
            if let Some((_, said)) = note.read() {
                assert_eq!((said.since_ns, said.count), (said.owner.into(), said.owner));
            }
            sleeper.join().unwrap();
        });
    }
}
