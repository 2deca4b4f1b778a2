//! The words of a cell: which buffer holds the latest value, and who writes into which.
//!
//! # State
//!
//! `latest`: `version:56 | index:8`, changed by whoever publishes; version 0: nothing was stored yet.
//! One word for each buffer: `generation:48 | 0:4 | owner:12`.
//!
//! | owner | is `latest` | meaning                                                                     |
//! |-------|-------------|-----------------------------------------------------------------------------|
//! | 0     | no          | free: the next store may take it                                            |
//! | 0     | yes         | the latest value                                                            |
//! | s     | no          | a process looks whether it may write here, or writes                        |
//! | s     | yes         | the latest value; its writer has not let go of it yet, or took it by mistake |
//!
//! A store claims a buffer with its slot, looks whether the buffer is the latest one (then it gives it back), raises
//! the generation, writes, publishes, lets go. Who looks *after* its claim cannot be wrong: from then on only itself
//! could make this buffer the latest.
//!
//! A load reads `latest`, the buffer's generation, `latest` again, the bytes, and the generation again. The second
//! look at `latest` ties the generation to the value: a writer raises it only once it has seen a newer `latest`.
//!
//! # Orderings
//!
//! | edge      | from                              | to                                | what it carries                   |
//! |-----------|-----------------------------------|-----------------------------------|-----------------------------------|
//! | `value`   | publishing                        | the first look at `latest`        | the bytes                         |
//! | `free`    | letting go, repair                | the claim                         | that this buffer was published    |
//! | `newer`   | raising the generation            | the first look at it              | that `latest` is another by now   |
//! | `stain`   | the fence before the first byte   | the fence behind the last         | that the generation was raised    |
//!
//! # When a peer dies
//!
//! | killed                              | left behind                                          | repaired by                 |
//! |-------------------------------------|------------------------------------------------------|-----------------------------|
//! | with a claim, writing or not        | a buffer that nobody can take; `latest` is another   | who needs it, or the sweep  |
//! | between publishing and letting go   | the same, and its value stands                       | who needs it, or the sweep  |
//! | as a reader                         | nothing                                              |                             |

use crate::prim::{
    AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::wait::EventCount;

const OWNER: u64 = 0xFFF;
const GENERATION: u64 = 1 << 16;
const INDEX: u64 = 0xFF;
const VERSION: u64 = 1 << 8;
/// Tries of a load that is overtaken again and again, and of a publication.
const TRIES: u32 = 1 << 16;

/// What stands before the buffers.
#[repr(C, align(128))]
pub struct Control {
    latest: AtomicU64,
    _rest: [AtomicU64; 7],
    /// Who waits for a newer value.
    pub changed: EventCount,
    /// Who waits for a buffer to write into.
    pub freed: EventCount,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 128 && std::mem::offset_of!(Control, changed) == 64);

impl Control {
    /// One on the heap; in a segment, zeros are an empty cell.
    #[cfg(loom)]
    pub fn new() -> Control {
        Control {
            latest: AtomicU64::new(0),
            _rest: std::array::from_fn(|_| AtomicU64::new(0)),
            changed: EventCount::new(),
            freed: EventCount::new(),
        }
    }
}

/// Where the words of the buffers are.
pub trait Buffers {
    /// That of buffer `index`; the same place each time.
    fn word(&self, index: u32) -> &AtomicU64;
}

/// What no cell writes into its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `latest` names a buffer that is not there.
    Latest(u64),
    /// The values change faster than anybody could store them.
    Restless,
}

/// A buffer that is ours to write into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub index: u32,
    pub word: u64,
}

/// The words of one cell.
pub struct Words<'a, B> {
    pub control: &'a Control,
    pub buffers: &'a B,
    /// 2 to 256.
    pub count: u32,
}

/// The slot in a buffer's word; 0: nobody.
fn owner(word: u64) -> u32 {
    (word & OWNER) as u32
}

impl<B: Buffers> Words<'_, B> {
    /// The number of the latest value; 0 if there is none.
    #[inline]
    pub fn version(&self) -> u64 {
        // ORDER value: Acquire, for who goes on to load.
        self.control.latest.load(Acquire) / VERSION
    }

    /// Claims a buffer to write into. `Ok(Err(slot))`: none is free, and `slot` has one of them.
    #[inline]
    pub fn claim(&self, me: u32) -> Result<Result<Claim, u32>, Fault> {
        // Relaxed: a guess where to begin.
        let latest = self.control.latest.load(Relaxed);
        let first = (latest & INDEX) as u32 + 1;
        let mut barred = 0;
        for i in 0..self.count {
            let index = (first + i) % self.count;
            let free = self.buffers.word(index).load(Relaxed);
            if owner(free) != 0 {
                barred = owner(free);
                continue;
            }
            // ORDER free: Acquire; pairs with the Release of `release` and `repair`.
            let claimed = free | u64::from(me) & OWNER;
            if self.buffers.word(index).compare_exchange(free, claimed, Acquire, Relaxed).is_err() {
                continue;
            }
            // Relaxed: `free` carries that this buffer was published, and only its owner publishes it.
            let latest = self.control.latest.load(Relaxed);
            if latest >= VERSION && (latest & INDEX) as u32 == index {
                self.give_back(index, claimed);
                continue;
            }
            let word = claimed.wrapping_add(GENERATION);
            // ORDER newer: Release; pairs with the Acquire in `load`: who sees it sees that `latest` is another.
            self.buffers.word(index).store(word, Release);
            // ORDER stain: pairs with the fence in `load`: who sees a byte of ours sees the generation too.
            fence(Release);
            return Ok(Ok(Claim { index, word }));
        }
        if (latest & INDEX) as u32 >= self.count { Err(Fault::Latest(latest)) } else { Ok(Err(barred)) }
    }

    /// Makes what was written into the claimed buffer the latest value and lets go of it. Its number.
    #[inline]
    pub fn publish(&self, claim: Claim) -> Result<u64, Fault> {
        let version = self.succeed(claim)?;
        self.release(claim);
        self.control.changed.notify(i32::MAX as u32);
        Ok(version)
    }

    #[inline]
    fn succeed(&self, claim: Claim) -> Result<u64, Fault> {
        let mut latest = self.control.latest.load(Relaxed);
        for _ in 0..TRIES {
            let version = (latest / VERSION + 1) & (u64::MAX / VERSION);
            // ORDER value: Release, and a full barrier before `notify`; pairs with the Acquire in `load`.
            match self.control.latest.cas_full(latest, (version * VERSION) | u64::from(claim.index)) {
                Ok(_) => return Ok(version),
                Err(now) => latest = now,
            }
        }
        self.release(claim);
        Err(Fault::Restless)
    }

    /// Gives a claimed buffer back.
    #[inline]
    pub fn release(&self, claim: Claim) {
        // ORDER free: Release, and a full barrier before `notify`; pairs with the Acquire in `claim`.
        // It fails where somebody wrote garbage into the word: there is nothing to give back then.
        let _ = self.buffers.word(claim.index).cas_full(claim.word, claim.word & !OWNER);
        self.control.freed.notify(1);
    }

    /// Gives a buffer back that was found to be the latest one. Wakes nobody for it as long as it is: a writer that waits
    /// would wake itself with each look. Once it is not, whoever found it claimed meanwhile is woken.
    fn give_back(&self, index: u32, claimed: u64) {
        // ORDER free: a full barrier between this and the look at `latest`; who makes another one the latest behind
        // that look notifies by itself.
        let _ = self.buffers.word(index).cas_full(claimed, claimed & !OWNER);
        if (self.control.latest.load(Relaxed) & INDEX) as u32 != index {
            self.control.freed.notify(1);
        }
    }

    /// Does `me` hold buffer `index` by a claim that left this word?
    pub fn standing(&self, index: u32, word: u64, me: u32) -> Option<Claim> {
        let claim = Claim { index, word };
        (index < self.count && owner(word) == me && me != 0 && self.stands(claim)).then_some(claim)
    }

    /// Does the claim stand still? Only its process ends it while it lives.
    pub fn stands(&self, claim: Claim) -> bool {
        // Relaxed: our own store, or another's that ended it.
        self.buffers.word(claim.index).load(Relaxed) == claim.word
    }

    /// Copies the latest value with `copy`, which gets the buffer's number. `None`: nothing was stored yet.
    #[inline]
    pub fn load<R>(&self, mut copy: impl FnMut(u32) -> R) -> Result<Option<(u64, R)>, Fault> {
        for _ in 0..TRIES {
            // ORDER value: Acquire; pairs with the Release in `succeed`.
            let latest = self.control.latest.load(Acquire);
            let index = (latest & INDEX) as u32;
            if latest < VERSION {
                return Ok(None);
            }
            if index >= self.count {
                return Err(Fault::Latest(latest));
            }
            let word = self.buffers.word(index);
            // ORDER newer: Acquire; pairs with the Release in `claim`.
            let before = word.load(Acquire);
            if self.control.latest.load(Relaxed) != latest {
                continue;
            }
            let copied = copy(index);
            // ORDER stain: pairs with the fence in `claim`.
            fence(Acquire);
            if word.load(Relaxed) / GENERATION == before / GENERATION {
                return Ok(Some((latest / VERSION, copied)));
            }
        }
        Err(Fault::Restless)
    }

    /// Gives back what `slot` had claimed, whose process is dead.
    pub fn repair(&self, slot: u32) {
        for index in 0..self.count {
            let word = self.buffers.word(index).load(Relaxed);
            if owner(word) == slot {
                // ORDER free: as in `release`. The dead one's stores are done, the kernel says.
                let _ = self.buffers.word(index).cas_full(word, word & !OWNER);
            }
        }
        self.control.freed.notify(i32::MAX as u32);
    }

    /// Who writes at this moment: slots, each once for each buffer.
    pub fn writers(&self) -> impl Iterator<Item = u32> {
        // Relaxed: numbers to be shown.
        (0..self.count).map(|index| owner(self.buffers.word(index).load(Relaxed))).filter(|owner| *owner != 0)
    }
}
