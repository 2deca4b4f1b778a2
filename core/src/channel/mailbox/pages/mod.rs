//! The pages of an unbounded mailbox: memory for its messages, taken when it is needed, given back when it is not.
//!
//! Pure algorithm: it knows two tables of words, no payload and no segment. The places themselves, who may write and
//! who may read which, are those of `slots.rs`, as many as the ceiling says; only what lies *in* them is paged.
//!
//! # State
//!
//! A *page* is a run of neighbouring places, a *frame* the memory for one page. A frame is a range of the segment that
//! is committed or not. A frame once taken serves the page until all places of the page are free.
//!
//! Word of a page: bits 0–3 state, 4–23 frame, 24–31 zero, 32–63 generation.
//!
//! | state        | meaning                                  | next                                                  |
//! |--------------|------------------------------------------|-------------------------------------------------------|
//! | `NONE`       | no place of the page is claimed          | `HAVE`, by a sender that has claimed a place           |
//! | `HAVE(f)`    | frame f is its memory                    | `LEAVING(f)`, by a receiver that freed a place         |
//! | `LEAVING(f)` | somebody looks whether all places are free | they are: `NONE`; a sender has claimed one: `HAVE(f)` |
//!
//! Word of a frame: bits 0–3 state, 4–15 owner (a participant's slot), 16–35 page, 36–63 generation.
//!
//! | state         | meaning                                 | next                                                   |
//! |---------------|-----------------------------------------|--------------------------------------------------------|
//! | `EMPTY`       | free, perhaps without memory            | `TAKEN`                                                |
//! | `SPARE`       | free, committed                         | `TAKEN`                                                |
//! | `TAKEN(s, p)` | s commits it and hands it to page p     | `USED(p)`; no memory: `EMPTY`; too late: `SPARE`       |
//! | `USED(p)`     | the memory of page p                    | `SPARE`, or `PUNCHED(s)` if there are enough to spare  |
//! | `PUNCHED(s)`  | s gives its memory back to the system   | `EMPTY`                                                |
//!
//! All zero is an unbounded mailbox without any memory. Generations wrap; a frame's is raised when it is taken, a
//! page's when somebody begins to look whether it can be left.
//!
//! # Orderings
//!
//! Edge `claim`: a sender claims a place (full barrier), then loads the page's word; who leaves a page makes its word
//! `LEAVING` (full barrier), then loads the places. One of the two sees the other. So a page is never left under a
//! claim, and a claimed place keeps its frame until it is free.
//! Edge `page`: who gives a page a frame releases, who reads that word acquires.
//! Edge `frame`: the places' last readers are over when a frame is freed (Release); who takes it acquires.
//!
//! The generation of a page stops who found all places free, was delayed, and meets a *later* `LEAVING`: between the
//! two a message may have come. The generation of a frame tells one use of it from the next one for the same page.
//!
//! # When a peer dies
//!
//! | killed                               | left                | what happens                                          |
//! |--------------------------------------|---------------------|-------------------------------------------------------|
//! | between taking a frame and handing it over | `TAKEN(dead)` | the sweep frees it                                    |
//! | after handing it over                | `TAKEN(dead)`       | the sweep makes it `USED`, or frees it if the page was left |
//! | while leaving a page                 | `LEAVING`           | the next sender turns it back, or the next one leaves it |
//! | between page and frame               | `USED`, of no page  | the sweep frees it                                    |
//! | while giving memory back             | `PUNCHED(dead)`     | the sweep makes it `EMPTY`                            |
//!
//! Nobody ever waits for anybody here: a stopped process keeps at most the frame that it is just taking or punching.
//!
//! # Cost
//!
//! A send and a receive: one load more each. Each page: four compare-and-swaps and a look at its places; a system call
//! only if there is no spare frame, or there are too many.

mod layout;
mod unbounded;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod states;
#[cfg(all(test, not(loom)))]
mod tests;

pub(super) use layout::{Paging, SYSTEM_PAGE};
pub(super) use unbounded::Paged;

use crate::channel::death::step;
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const FRAME_BITS: u32 = 20;
const FRAME: u64 = (1 << FRAME_BITS) - 1;

const NONE: u64 = 0;
const HAVE: u64 = 1;
const LEAVING: u64 = 2;

const EMPTY: u64 = 0;
const SPARE: u64 = 1;
const TAKEN: u64 = 2;
const USED: u64 = 3;
const PUNCHED: u64 = 4;

/// The generation of a frame: 28 bits.
const AGES: u64 = (1 << 28) - 1;

/// How often one call looks at a page: each failure means that somebody else got something done.
const LOOKS: u32 = if cfg!(loom) { 4 } else { 256 };
/// How often the sweep looks at one frame: after its own two changes nobody else has one for it.
const FRAME_LOOKS: u32 = 4;

/// Hints: wrong ones cost time or memory, never more. All zero to begin with.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Hints {
    /// Spare frames lie below this one.
    high: AtomicU32,
    /// Not 0: there may be pages that nobody left.
    untidy: AtomicU32,
}

// SAFETY: `repr(C)`, made of prim's atomics.
unsafe impl crate::segment::object::InSegment for Hints {}

#[cfg(any(test, loom))]
impl Hints {
    /// Fresh ones; in a segment, zeroed memory is that.
    pub fn new() -> Hints {
        Hints { high: AtomicU32::new(0), untidy: AtomicU32::new(0) }
    }
}

/// The places of the mailbox, and the memory of the frames.
pub(super) trait Ground {
    /// What it says when there is no memory.
    type Error;
    /// Is place `index` free: no claim, no message? Loads with Acquire.
    fn is_free(&self, index: u32) -> bool;
    /// Commits the memory of `frame`; it may be committed already.
    fn commit(&self, frame: u32) -> Result<(), Self::Error>;
    /// Gives the memory of `frame` back to the system.
    fn give_back(&self, frame: u32);
}

/// Why a place has no memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault<E> {
    /// The system has none.
    NoMemory(E),
    /// All frames are being taken or punched, each by a process that does not go on.
    NoFrame,
    /// Page and word, which no mailbox writes.
    Garbage(u32, u64),
}

/// What the word of a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    None,
    Have(u32),
    Leaving(u32),
}

fn page_word(state: u64, frame: u32, generation: u32) -> u64 {
    state | (u64::from(frame) & FRAME) << 4 | u64::from(generation) << 32
}

fn page_generation(word: u64) -> u32 {
    (word >> 32) as u32
}

fn frame_word(state: u64, owner: u32, page: u32, generation: u64) -> u64 {
    state | u64::from(owner & 0xFFF) << 4 | (u64::from(page) & FRAME) << 16 | (generation & AGES) << 36
}

/// State, owner, page and generation of a frame's word: every bit of it.
fn frame_parts(word: u64) -> (u64, u32, u32, u64) {
    (word & 0xF, (word >> 4) as u32 & 0xFFF, ((word >> 16) & FRAME) as u32, word >> 36)
}

/// A free frame's word, with or without memory; `None` if it is not free.
fn free_generation(word: u64, states: &[u64]) -> Option<u64> {
    let (state, owner, page, generation) = frame_parts(word);
    (states.contains(&state) && (owner, page) == (0, 0)).then_some(generation)
}

/// The tables of an unbounded mailbox.
#[derive(Clone, Copy)]
pub(super) struct Pages<'a> {
    pub hints: &'a Hints,
    /// One word for each page. Not empty.
    pub map: &'a [AtomicU64],
    /// One word for each frame: at least as many as pages, at most 2^20.
    pub frames: &'a [AtomicU64],
    /// Places on a page. Not 0.
    pub each: u32,
    /// Places in all; the last page may have fewer than the others.
    pub places: u32,
    /// So many spare frames stay committed.
    pub keep: u32,
}

impl Pages<'_> {
    /// The frame of place `index`, which participant `me` has just claimed for writing, with a full barrier. Takes
    /// one if the page has none.
    #[inline]
    pub fn take<G: Ground>(&self, index: u32, me: u32, ground: &G) -> Result<u32, Fault<G::Error>> {
        let page = index / self.each;
        for _ in 0..LOOKS {
            // ORDER claim: the caller's full barrier stands between its claim and this load.
            // ORDER page: Acquire; pairs with the Release below.
            let seen = self.page(page).load(Acquire);
            match self.read(page, seen)? {
                Page::Have(frame) => return Ok(frame),
                Page::Leaving(frame) => {
                    step!();
                    let stays = page_word(HAVE, frame, page_generation(seen));
                    if self.page(page).compare_exchange(seen, stays, AcqRel, Relaxed).is_ok() {
                        return Ok(frame);
                    }
                }
                Page::None => match self.give(page, seen, me, ground) {
                    Ok(Some(frame)) => return Ok(frame),
                    // Somebody was faster, or is about to be, with the last frame.
                    Ok(None) | Err(Fault::NoFrame) => {}
                    Err(fault) => return Err(fault),
                },
            }
        }
        Err(Fault::NoFrame)
    }

    /// The frame of place `index`, in which the caller knows a message, or has claimed one.
    #[inline]
    pub fn of<E>(&self, index: u32) -> Result<u32, Fault<E>> {
        let page = index / self.each;
        // ORDER page: Acquire; pairs with the Release in `give`. Who sees the message sees its frame.
        let seen = self.page(page).load(Acquire);
        match self.read(page, seen)? {
            Page::Have(frame) | Page::Leaving(frame) => Ok(frame),
            Page::None => Err(Fault::Garbage(page, seen)),
        }
    }

    /// Gives a frame to the page, whose word is `seen`. `None`: somebody was faster.
    #[cold]
    fn give<G: Ground>(&self, page: u32, seen: u64, me: u32, ground: &G) -> Result<Option<u32>, Fault<G::Error>> {
        let (frame, taken) = self.take_frame(page, me, ground)?;
        step!();
        let have = page_word(HAVE, frame, page_generation(seen));
        // ORDER page: Release; pairs with the Acquire in `take` and `of`.
        let given = self.page(page).compare_exchange(seen, have, AcqRel, Relaxed).is_ok();
        step!();
        let (_, _, _, generation) = frame_parts(taken);
        let next = if given { frame_word(USED, 0, page, generation) } else { frame_word(SPARE, 0, 0, generation) };
        // ORDER frame: Release. Failure: who left the page was faster.
        let _ = self.frame(frame).compare_exchange(taken, next, AcqRel, Relaxed);
        Ok(given.then_some(frame))
    }

    /// Takes a free frame for `page` and commits it: if possible a spare one, which needs no system call.
    fn take_frame<G: Ground>(&self, page: u32, me: u32, ground: &G) -> Result<(u32, u64), Fault<G::Error>> {
        // Relaxed: a hint.
        let high = (self.hints.high.load(Relaxed) as usize).min(self.frames.len());
        for (spare, frames) in [(true, &self.frames[..high]), (false, self.frames)] {
            for (frame, word) in (0u32..).zip(frames) {
                // Relaxed: the exchange decides.
                let seen = word.load(Relaxed);
                let states: &[u64] = if spare { &[SPARE] } else { &[SPARE, EMPTY] };
                let Some(generation) = free_generation(seen, states) else { continue };
                let taken = frame_word(TAKEN, me, page, generation.wrapping_add(1));
                // ORDER frame: Acquire; pairs with the Release of whoever freed it.
                if word.compare_exchange(seen, taken, Acquire, Relaxed).is_err() {
                    continue;
                }
                step!();
                if frame as usize >= high {
                    self.hints.high.store(frame + 1, Relaxed); // Relaxed: a hint.
                }
                if seen & 0xF == EMPTY
                    && let Err(error) = ground.commit(frame)
                {
                    let (_, _, _, generation) = frame_parts(taken);
                    let _ = word.compare_exchange(taken, frame_word(EMPTY, 0, 0, generation), Release, Relaxed);
                    return Err(Fault::NoMemory(error));
                }
                return Ok((frame, taken));
            }
        }
        Err(Fault::NoFrame)
    }

    /// Participant `me` has freed place `index`; the oldest message lies at `head` or later. Leaves the page if the
    /// messages have moved on from it.
    #[inline]
    pub fn freed<G: Ground>(&self, index: u32, head: u32, me: u32, ground: &G) {
        if index / self.each != head / self.each {
            self.leave(index / self.each, me, ground);
        }
    }

    /// A place was given back without a message, or somebody died: there may be pages that nobody leaves.
    pub fn is_untidy(&self) {
        self.hints.untidy.store(1, Relaxed); // Relaxed: a hint.
    }

    /// If there may be such pages, leaves every one that can be left, except that of the place that `head` names.
    #[inline]
    pub fn tidy<G: Ground>(&self, head: impl FnOnce() -> u32, me: u32, ground: &G) {
        // Relaxed: a hint.
        if self.hints.untidy.load(Relaxed) != 0 && self.hints.untidy.swap(0, Relaxed) != 0 {
            let head = head();
            (0..self.map.len() as u32).filter(|page| *page != head / self.each).for_each(|page| {
                self.leave(page, me, ground);
            });
        }
    }

    /// Takes its frame off a page of which all places are free. False: not all of them are.
    #[cold]
    pub fn leave<G: Ground>(&self, page: u32, me: u32, ground: &G) -> bool {
        // Acquire: the frame's word below is no older.
        let seen = self.page(page).load(Acquire);
        // Somebody who was leaving may be dead: what he did not finish can be begun anew.
        let Ok(Page::Have(frame) | Page::Leaving(frame)) = self.read::<()>(page, seen) else { return false };
        if !self.all_free(page, ground) {
            return false;
        }
        let generation = page_generation(seen).wrapping_add(1);
        let leaving = page_word(LEAVING, frame, generation);
        step!();
        // ORDER claim: full barrier between this and the look at the places.
        if self.page(page).cas_full(seen, leaving).is_err() {
            return false;
        }
        step!();
        // Relaxed: while the page has the frame this generation is in it; the exchange that frees it decides.
        let (_, _, _, use_) = frame_parts(self.frame(frame).load(Relaxed));
        if !self.all_free(page, ground) {
            // Failure: a sender did this already.
            let stays = page_word(HAVE, frame, generation);
            let _ = self.page(page).compare_exchange(leaving, stays, AcqRel, Relaxed);
            return false;
        }
        step!();
        let none = page_word(NONE, 0, generation);
        let left = self.page(page).compare_exchange(leaving, none, AcqRel, Relaxed).is_ok();
        if left {
            step!();
            self.free(frame, page, use_, me, ground);
        }
        left
    }

    fn all_free<G: Ground>(&self, page: u32, ground: &G) -> bool {
        let first = page.saturating_mul(self.each);
        // ORDER frame: `is_free` acquires what the last reader of each place released.
        (first..first.saturating_add(self.each).min(self.places)).all(|index| ground.is_free(index))
    }

    /// Frees the frame that `page` had in its use number `use_`: by its exact word, as a sweep may have been faster, and
    /// then it may be in use again. `TAKEN` is left to the sweep: while its taker lives, so does its claim in the page.
    fn free<G: Ground>(&self, frame: u32, page: u32, use_: u64, me: u32, ground: &G) {
        let punch = self.spares() >= self.keep;
        let next = if punch { frame_word(PUNCHED, me, 0, use_) } else { frame_word(SPARE, 0, 0, use_) };
        // ORDER frame: Release; pairs with the Acquire in `take_frame`.
        let used = frame_word(USED, 0, page, use_);
        if self.frame(frame).compare_exchange(used, next, AcqRel, Relaxed).is_ok() && punch {
            step!();
            ground.give_back(frame);
            step!();
            // ORDER frame: Release; nobody else may take it before its memory is gone.
            let empty = frame_word(EMPTY, 0, 0, use_);
            let _ = self.frame(frame).compare_exchange(next, empty, Release, Relaxed);
        }
    }

    /// Frames that are not free.
    #[cfg(all(test, shuttle))]
    pub fn frames_in_use(&self) -> usize {
        self.frames.iter().filter(|word| !matches!(word.load(Relaxed) & 0xF, EMPTY | SPARE)).count()
    }

    /// Frames that are free and committed.
    fn spares(&self) -> u32 {
        // Relaxed: for a choice that nothing hangs on.
        let high = (self.hints.high.load(Relaxed) as usize).min(self.frames.len());
        self.frames[..high].iter().filter(|word| word.load(Relaxed) & 0xF == SPARE).count() as u32
    }

    /// Leaves no word that names participant `dead`, and no frame that belongs to no page. The caller holds its repair
    /// byte and knows that it is dead.
    pub fn repair(&self, dead: u32) {
        for (frame, word) in (0u32..).zip(self.frames) {
            // Again after each change: a page may have been left in between by somebody who is dead by now.
            for _ in 0..FRAME_LOOKS {
                // Acquire: the page's word is no older.
                let seen = word.load(Acquire);
                let (state, owner, page, generation) = frame_parts(seen);
                let next = match state {
                    TAKEN if owner == dead && self.has(page, frame) => frame_word(USED, 0, page, generation),
                    TAKEN | PUNCHED if owner == dead => frame_word(EMPTY, 0, 0, generation),
                    USED if !self.has(page, frame) => frame_word(SPARE, 0, 0, generation),
                    // In use, free, another's, or garbage.
                    _ => break,
                };
                step!();
                // ORDER frame: AcqRel; what the dead had to do there is over.
                let _ = word.compare_exchange(seen, next, AcqRel, Relaxed);
            }
        }
        self.is_untidy();
    }

    /// Is `frame` the memory of `page`?
    fn has(&self, page: u32, frame: u32) -> bool {
        // ORDER page: Acquire.
        let Some(word) = self.map.get(page as usize) else { return false };
        let seen = word.load(Acquire);
        matches!(self.read::<()>(page, seen), Ok(Page::Have(its) | Page::Leaving(its)) if its == frame)
    }

    /// What the word of `page` says; every bit of it is checked.
    #[inline]
    fn read<E>(&self, page: u32, word: u64) -> Result<Page, Fault<E>> {
        let frame = ((word >> 4) & FRAME) as u32;
        // The state, and the bits that are always zero.
        match word & 0xFF00_000F {
            NONE if frame == 0 => Ok(Page::None),
            HAVE if (frame as usize) < self.frames.len() => Ok(Page::Have(frame)),
            LEAVING if (frame as usize) < self.frames.len() => Ok(Page::Leaving(frame)),
            _ => Err(Fault::Garbage(page, word)),
        }
    }

    /// The word of a page; the last one for a number that no page has.
    #[inline]
    fn page(&self, page: u32) -> &AtomicU64 {
        &self.map[(page as usize).min(self.map.len() - 1)]
    }

    /// The word of a frame; the last one for a number that no frame has.
    fn frame(&self, frame: u32) -> &AtomicU64 {
        &self.frames[(frame as usize).min(self.frames.len() - 1)]
    }
}
