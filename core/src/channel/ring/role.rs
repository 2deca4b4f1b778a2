//! Who has one end of a ring: at most one process, and after its death its successor.
//!
//! # State
//!
//! One 32-bit word: slot in bits 0-11, DIED in bit 12, epoch above. Every change raises the epoch, so an
//! exchange based on an old look fails.
//!
//! | slot | DIED | meaning                                                        |
//! |------|------|----------------------------------------------------------------|
//! | 0    | 0    | nobody has it: never taken, or given back                      |
//! | s    | 0    | the process in slot s has it, alive or not                     |
//! | 0    | 1    | whoever had it died and was swept; nobody has taken over since |
//!
//! # Orderings
//!
//! Edge `role`: who gives the end back, or sweeps its owner, releases; who takes it acquires. So a successor
//! sees all that its predecessor stored. A dead owner that nobody has swept yet orders itself: the kernel
//! reports its death after its last store.
//!
//! # When a peer dies
//!
//! The owner: its slot stays in the word until the sweep or a successor replaces it. There is no step between.

use crate::prim::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

const SLOT: u32 = 0xFFF;
const DIED: u32 = 1 << 12;
const EPOCH: u32 = 1 << 13;

/// How often `take` looks again because somebody else changed the word.
const LOOKS: u32 = 64;

/// The word that says who has one end.
#[repr(transparent)]
#[derive(Debug)]
pub struct Role(AtomicU32);

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody has it, and nobody died with it.
    Nobody,
    /// The process in this slot has it, alive or not.
    Slot(u32),
    /// The last one to have it died.
    Died,
}

fn holder(word: u32) -> Holder {
    match word & SLOT {
        0 if word & DIED != 0 => Holder::Died,
        0 => Holder::Nobody,
        slot => Holder::Slot(slot),
    }
}

/// The word after `word`: the next epoch, with `low` as slot and DIED.
fn after(word: u32, low: u32) -> u32 {
    (word & !(EPOCH - 1)).wrapping_add(EPOCH) | low
}

impl Role {
    /// Nobody's; in a segment, zeroed memory is one.
    #[cfg(any(test, loom))]
    pub fn new() -> Role {
        Role(AtomicU32::new(0))
    }

    /// Who has it at this moment.
    pub fn holder(&self) -> Holder {
        // ORDER role: Acquire; pairs with the Release in `bury`. Who sees DIED sees what the dead one had committed.
        holder(self.0.load(Acquire))
    }

    /// Does the word say `mine`, which [`Role::take`] returned?
    pub fn is(&self, mine: u32) -> bool {
        // Relaxed: only who took it, and lives, changes it.
        self.0.load(Relaxed) == mine
    }

    /// Takes it for slot `me`, from nobody or from a dead process. Returns the word to [`Role::release`], or
    /// the slot of the live process that has it.
    pub fn take(&self, me: u32, is_dead: impl Fn(u32) -> bool) -> Result<u32, u32> {
        let mut word = self.0.load(Relaxed);
        for _ in 0..LOOKS {
            if let Holder::Slot(slot) = holder(word)
                && (slot == me || !is_dead(slot))
            {
                return Err(slot);
            }
            let mine = after(word, me & SLOT);
            // ORDER role: Acquire; pairs with the Release in `release` and `bury`.
            match self.0.compare_exchange(word, mine, Acquire, Relaxed) {
                Ok(_) => return Ok(mine),
                Err(now) => word = now,
            }
        }
        // So many changes: others take it and give it back all the time.
        Err(word & SLOT)
    }

    /// Gives it back. `mine` is what [`Role::take`] returned; if the word says something else by now, it stays.
    pub fn release(&self, mine: u32) {
        // ORDER role: Release; pairs with the Acquire in `take`.
        let _ = self.0.compare_exchange(mine, after(mine, 0), Release, Relaxed);
    }

    /// Takes it away from `slot`, whose process is dead. Nothing happens if somebody else has it.
    pub fn bury(&self, slot: u32) {
        let word = self.0.load(Relaxed);
        if word & SLOT == slot {
            // ORDER role: Release; the sweeper passes on what it has seen of the dead, which the kernel has ordered. If it
            // fails, a successor was faster, and the word names `slot` no more.
            let _ = self.0.compare_exchange(word, after(word, DIED), Release, Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALIVE: fn(u32) -> bool = |_| false;
    const DEAD: fn(u32) -> bool = |_| true;

    #[test]
    fn an_end_has_one_owner_until_it_is_given_back() {
        let role = Role::new();
        let mine = role.take(3, ALIVE).unwrap();
        assert_eq!(role.holder(), Holder::Slot(3));
        assert_eq!(role.take(4, ALIVE), Err(3));
        assert_eq!(role.take(3, DEAD), Err(3), "nobody is dead to himself");
        role.release(mine);
        assert_eq!(role.holder(), Holder::Nobody);
        assert!(role.take(4, ALIVE).is_ok());
    }

    #[test]
    fn a_dead_owner_is_replaced_before_or_after_the_sweep() {
        for swept in [false, true] {
            let role = Role::new();
            let old = role.take(3, ALIVE).unwrap();
            if swept {
                role.bury(3);
                assert_eq!(role.holder(), Holder::Died);
            }
            let new = role.take(4, DEAD).unwrap();
            assert_eq!(role.holder(), Holder::Slot(4));
            role.bury(3);
            role.release(old);
            assert_eq!(role.holder(), Holder::Slot(4), "neither a late sweep nor a late release changes it");
            role.release(new);
            assert_eq!(role.holder(), Holder::Nobody, "a clean release is no death");
        }
    }

    #[test]
    fn no_word_that_names_the_dead_survives_the_sweep() {
        for word in [3, DIED | 3, !SLOT | 3] {
            let role = Role(AtomicU32::new(word));
            role.bury(3);
            assert_eq!(role.holder(), Holder::Died, "{word:#x}");
        }
    }
}
