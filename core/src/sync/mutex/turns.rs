//! Taking turns: what keeps a lock fast and fair that several processes want without a break.
//!
//! A short section costs little beside moving the lock's cache line, and the data's, to another CPU. So where lockers
//! come back at once, each of them works for a *stint* in its own cache, and the others keep away from the line
//! meanwhile. Where they do not, a locker polls and takes the lock as soon as it is free.
//!
//! # State
//!
//! | what            | meaning                                                                                   |
//! |-----------------|-------------------------------------------------------------------------------------------|
//! | HUNGRY, a bit   | a locker has waited for a stint: let it go first. Whoever takes the lock takes the bit off |
//! | `crowd`, a word | so many of the next waits begin with a stint away from the line                            |
//!
//! HUNGRY stays in the word of a free lock, so that the first compare-and-swap of who comes back fails: it then gives
//! way until the lock is taken, or for [`GIVE_WAY_NS`]. So nobody is passed by for ever by who is faster.
//! `crowd` is in the segment and not in the handles: where one side kept away and the other did not, the second one
//! would get most of the lock.
//!
//! # Orderings
//!
//! None: both are requests and hints. Who takes the lock does so as always.
//!
//! # When a peer dies
//!
//! Hungry: the next locker gives way for a microsecond in vain, takes the lock and HUNGRY off.
//! As for `crowd`: whatever it says, a wait is longer by one stint at most.
//!
//! Source: the idea is that of cohort locks (Dice, Marathe and Shavit 2012), with time in place of a count.

use super::line::{MutexLine, OWNER, owner_slot};
use crate::deadline::now_ns;
use crate::prim::{Ordering::Relaxed, spin_loop};
use crate::wait::Spin;
use std::cell::Cell;

/// A locker has waited for a stint.
pub(super) const HUNGRY: u32 = 1 << 28;
/// How long who has the lock may take it again and again. Some forty short sections, three moves of the lines.
const STINT_NS: u64 = 1_000;
/// For how long to let a hungry locker go first. It polls, so it needs a tenth of it unless it lost its CPU.
const GIVE_WAY_NS: u64 = 1_000;
/// Who has to wait again so soon after it was let in comes back at once: moving the lines to the other CPU and back
/// takes as long.
const RUSH_NS: u64 = 400;
/// So many waits later it is asked anew whether lockers come back at once.
const CROWD: u32 = 64;
/// Polls before the first pause instruction, and between two looks at the clock.
const BARE_POLLS: u32 = 64;

/// A locker in the queue that is none.
pub(super) struct Turn<'a> {
    line: &'a MutexLine,
    spin: &'a Spin,
    /// It keeps away for a stint whenever the lock has got another holder.
    patient: Cell<bool>,
    /// The holder from whom it wants the lock next; 0: it has not waited long enough to ask.
    from: Cell<u32>,
}

impl<'a> Turn<'a> {
    pub fn new(line: &'a MutexLine, spin: &'a Spin) -> Turn<'a> {
        Turn { line, spin, patient: Cell::new(false), from: Cell::new(0) }
    }

    /// May this locker take a lock that is free with this `word`? It gives way to a hungry one first.
    #[inline]
    pub fn has_come(&self, word: u32) -> bool {
        word & HUNGRY == 0 || self.from.get() != 0 || self.line.give_way()
    }

    /// Between two polls, `polls` of which were in vain; the wait began at `began_ns`.
    pub fn wait(&self, polls: u32, began_ns: u64) {
        if polls == 0 {
            self.patient.set(self.line.is_crowded(|| self.spin.caught_within(RUSH_NS, began_ns)));
        }
        if self.patient.get() {
            let word = self.line.word();
            if polls == 0 || owner_slot(word) != 0 && word & OWNER != self.from.get() {
                pause(STINT_NS);
                self.ask();
            } else if word & HUNGRY == 0 {
                self.ask();
            }
        } else if polls >= BARE_POLLS {
            spin_loop();
            if polls.is_multiple_of(BARE_POLLS) && now_ns() - began_ns > 2 * STINT_NS {
                self.ask();
            }
        }
    }

    fn ask(&self) {
        self.from.set(self.line.ask());
    }
}

impl MutexLine {
    /// Asks the holder to let somebody else have the lock; says who it is, 0 if it is free.
    pub(super) fn ask(&self) -> u32 {
        let now = self.word();
        if owner_slot(now) != 0 && now & HUNGRY == 0 {
            // Relaxed: a request. If it fails the holder has changed, or somebody else has asked.
            let _ = self.word.compare_exchange(now, now | HUNGRY, Relaxed, Relaxed);
        }
        now & OWNER
    }

    /// Waits until a hungry locker has got the free lock. False: somebody has.
    #[cold]
    fn give_way(&self) -> bool {
        if cfg!(any(loom, shuttle)) {
            return true; // As if the time were up.
        }
        let end = now_ns() + GIVE_WAY_NS;
        while self.word() & (OWNER | HUNGRY) == HUNGRY {
            spin_loop();
            if now_ns() >= end {
                return true;
            }
        }
        owner_slot(self.word()) == 0
    }

    /// Is this wait one that begins with a stint away? `is_rush` is asked when it is time to find out anew.
    fn is_crowded(&self, is_rush: impl FnOnce() -> bool) -> bool {
        // Relaxed: a hint. It may hold garbage, which costs every wait a stint until it is counted down.
        let left = self.crowd.load(Relaxed).min(CROWD);
        let crowded = left > 0 || is_rush();
        if crowded {
            self.crowd.store(if left > 0 { left - 1 } else { CROWD }, Relaxed);
        }
        crowded
    }
}

fn pause(ns: u64) {
    let end = now_ns() + ns;
    while now_ns() < end {
        spin_loop();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::line::owner_word;
    use super::*;

    #[test]
    fn who_asks_is_let_in_first_and_who_takes_the_lock_takes_the_request_off() {
        let line = MutexLine::new();
        let (a, b, spin) = (owner_word(1, 0), owner_word(2, 0), Spin::default());
        let hungry = Turn::new(&line, &spin);
        assert_eq!(line.ask(), 0);
        assert_eq!(line.word(), 0);
        line.take(a, 0);
        hungry.ask();
        assert_eq!(line.word(), a | HUNGRY);
        assert!(line.unlock_mine(a));
        assert_eq!(line.word(), HUNGRY);
        assert!(!line.take_free(a), "who comes back at once must notice");
        assert!(hungry.has_come(line.word()));
        let began = now_ns();
        assert!(Turn::new(&line, &spin).has_come(line.word()), "nobody gives way for ever");
        assert!(now_ns() - began >= GIVE_WAY_NS);
        assert_eq!(line.take(b, 0), Some(false));
        assert_eq!(line.word(), b);
    }

    #[test]
    fn a_crowd_is_counted_down_and_garbage_in_it_is_too() {
        let line = MutexLine::new();
        assert!(!line.is_crowded(|| false));
        assert!(line.is_crowded(|| true));
        line.crowd.store(u32::MAX, Relaxed);
        for _ in 0..CROWD {
            assert!(line.is_crowded(|| false));
        }
        assert!(!line.is_crowded(|| false));
    }
}
