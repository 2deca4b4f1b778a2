//! The topic's words: where a message lies, whether it is there yet, and how far each subscriber is.
//!
//! # State
//!
//! Messages are numbered from 0; the number is the *position*. Message p lies in slot p mod capacity. A slot begins
//! with a sequence word:
//!
//! | word of slot p mod capacity | meaning for a reader at position p                      |
//! |-----------------------------|---------------------------------------------------------|
//! | less than 2p + 2            | not there yet; 2p + 1: being written                      |
//! | 2p + 2                      | there, if the word still says so after the copy           |
//! | more than 2p + 2            | overwritten: the reader was lapped                        |
//!
//! A subscriber has a cursor: a word that says whose it is, and the position that it reads next.
//! The word: slot in bits 0-11, JOINING in bit 12, EVICTED in bit 13, epoch above. Every new owner and every end
//! raises the epoch, so an exchange based on an old look fails.
//!
//! | slot | JOINING | EVICTED | meaning                                                                |
//! |------|---------|---------|------------------------------------------------------------------------|
//! | 0    | any     | any     | free                                                                   |
//! | s    | 1       | 0       | the process in s is about to say where it begins                        |
//! | s    | 0       | 0       | it reads; nothing from its position on is overwritten, if the policy says so |
//! | s    | any     | 1       | it was put out and does not count; only itself or the sweep frees it      |
//!
//! # Room
//!
//! A writer that must not overtake may write position n while n < least position of all subscribers + capacity.
//! It looks at the cursors only when what it knew of them is used up: a *scan*. Four rules make a scan and somebody
//! who joins meanwhile agree, and each is needed (`states.rs` leaves them out in turn):
//!
//! - A scan begins with a full barrier behind the store of the writer's position; a join is a full barrier between
//!   its claim and the look at that position. So the scan sees the claim, or the one who joins begins at or behind
//!   the position of the scan.
//! - A cursor that is JOINING counts as a whole lap behind: its position is still the last owner's.
//! - A free cursor is claimed by compare-and-swap: a swap lets two have it.
//! - The cursor of an evicted subscriber that lives is not free: its late store would move the next owner's position.
//!
//! Who begins at the oldest message begins behind the writer, so nothing protects what lies before the writer's
//! position at the join: that history is copied and validated, under every policy.
//!
//! # Orderings
//!
//! Edge `message`: the writer releases the sequence word, the reader acquires it: it sees the bytes.
//! Edge `overwrite`: the writer fences behind the odd word and before the bytes; the reader fences behind the bytes
//! and before it looks at the word again. Who has copied a new byte sees that the word has changed.
//! Edge `room`: a reader releases its position, the scan acquires it: what it read is read before it is overwritten.
//! Edge `join`: the two full barriers above, and the JOINING bit taken off with Release behind the position.
//! Edge `evict`: the writer puts out before it overwrites (`overwrite`'s fence stands between), and the reader looks
//! at its word behind the bytes: who has read a new byte sees that it was put out.
//!
//! # When a peer dies
//!
//! | killed                                       | what is left                                                 |
//! |----------------------------------------------|--------------------------------------------------------------|
//! | writer before the word is even               | nothing to be seen; the successor writes that position again    |
//! | writer behind it, before its position        | the message; the successor walks over it                        |
//! | subscriber, JOINING or reading               | its cursor, which the writer that it is in the way of frees, or the sweep |

use crate::channel::ring::role::Role;
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence, spin_loop,
};
use crate::wait::{EventCount, ParkWord};

const SLOT: u32 = 0xFFF;
const JOINING: u32 = 1 << 12;
const EVICTED: u32 = 1 << 13;
const EPOCH: u32 = 1 << 14;

/// No honest topic ever gets there; so sums with positions below it do not overflow.
pub const LAST_POSITION: u64 = 1 << 61;

/// How often a scan looks again at somebody who is about to join: a join is a few instructions.
const JOIN_LOOKS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 100 };

/// The word of a slot in which message `position` is whole; of a position that is garbage, too, some number.
const fn whole(position: u64) -> u64 {
    position.wrapping_mul(2).wrapping_add(2)
}

/// What stands before a message's bytes.
#[repr(C)]
#[derive(Debug)]
pub struct Head {
    /// See the head of this file.
    pub word: AtomicU64,
    /// Bytes of the message.
    pub len: AtomicU32,
    /// How many messages the writer had dropped before it published this one, modulo 2^32.
    pub drops: AtomicU32,
}

/// A subscriber's words.
#[repr(C)]
#[derive(Debug)]
pub struct Cursor {
    /// Whose it is.
    pub owner: AtomicU32,
    pub(super) _zero: AtomicU32,
    /// The position that it reads next. Only the owner stores it.
    pub at: AtomicU64,
}

/// The words of the writer, and where everybody sleeps.
#[repr(C)]
#[derive(Debug)]
pub struct Control {
    /// Who writes.
    pub role: Role,
    pub(super) _zero: AtomicU32,
    /// The position that is written next. Only the writer stores it; it may lag behind the slots.
    pub written: AtomicU64,
    /// Messages that the writer dropped, ever. Only the writer stores it.
    pub drops: AtomicU64,
    /// Subscribers that were put out, ever.
    pub evictions: AtomicU64,
    /// Subscribers sleep here until there is a message.
    pub filled: Apart<EventCount>,
    /// The writer sleeps here until there is room.
    pub freed: Apart<ParkWord>,
}

/// Apart from what others write.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Apart<T>(pub T);

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Head>() == 16 && size_of::<Cursor>() == 16 && size_of::<Control>() == 384);
    assert!(
        offset_of!(Control, written) == 8 && offset_of!(Control, filled) == 128 && offset_of!(Control, freed) == 256
    );
};

/// Where a topic's words lie: in a segment, or for models and tests on the heap.
pub trait Memory {
    /// How many slots, the same at every call; not 0.
    fn capacity(&self) -> u64;
    /// What the slot of `position` begins with.
    fn head(&self, position: u64) -> &Head;
    /// How many cursors, the same at every call.
    fn cursors(&self) -> u32;
    /// Cursor `index`, which is less than `cursors`.
    fn cursor(&self, index: u32) -> &Cursor;
    /// The other words.
    fn control(&self) -> &Control;
}

/// What cannot be, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage(pub &'static str, pub u64);

/// The word after `word`: the next epoch, with `low` below it.
fn after(word: u32, low: u32) -> u32 {
    (word & !(EPOCH - 1)).wrapping_add(EPOCH) | low
}

/// The participant that a cursor's word names; 0: nobody.
pub fn slot_of(word: u32) -> u32 {
    word & SLOT
}

/// A subscriber in the way of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its cursor.
    pub index: u32,
    /// What the cursor's word said.
    pub word: u32,
    /// Where it reads.
    pub at: u64,
}

impl Blocker {
    /// Frees the cursor of a dead subscriber. The epoch in the word is what makes this safe although the verdict may
    /// be old: whoever sits in that slot now has another word. False: the word has changed.
    pub fn free(self, memory: &impl Memory) -> bool {
        // Relaxed: the dead stored nothing after its death was told.
        memory.cursor(self.index).owner.compare_exchange(self.word, after(self.word, 0), Relaxed, Relaxed).is_ok()
    }

    /// Puts a live subscriber out. False: it has gone on or away.
    pub fn evict(self, memory: &impl Memory) -> bool {
        let cursor = memory.cursor(self.index);
        if self.word & JOINING == 0 && cursor.at.load(Relaxed) != self.at {
            return false;
        }
        // ORDER evict: before the bytes, by the Release fence in `begin`; so Relaxed here.
        let out = cursor.owner.compare_exchange(self.word, self.word | EVICTED, Relaxed, Relaxed).is_ok();
        if out {
            memory.control().evictions.fetch_add(1, Relaxed); // a number to be shown
        }
        out
    }
}

/// Looks at all cursors for a writer at `next`, whose position is stored already: the least position that must not
/// be overwritten. `blocks` is told of everybody who is a lap behind.
pub fn scan(memory: &impl Memory, next: u64, mut blocks: impl FnMut(Blocker)) -> u64 {
    let capacity = memory.capacity();
    // ORDER join: `written` was stored before this, the cursors are loaded behind it; the other side is `join`.
    fence(SeqCst);
    let mut least = next;
    for index in 0..memory.cursors() {
        let cursor = memory.cursor(index);
        // ORDER join: Acquire; who is no longer JOINING has stored where it begins. Acquire also for a word that is
        // free: what its last owner read is read before it is overwritten.
        let mut word = 0;
        for looks_left in (0..JOIN_LOOKS).rev() {
            word = cursor.owner.load(Acquire);
            if looks_left == 0 || word & SLOT == 0 || word & (JOINING | EVICTED) != JOINING {
                break;
            }
            spin_loop();
        }
        if word & SLOT == 0 || word & EVICTED != 0 {
            continue;
        }
        let lap = next.saturating_sub(capacity);
        // ORDER room: Acquire; pairs with the Release in `Reader::release`.
        let at = if word & JOINING == 0 { cursor.at.load(Acquire) } else { lap };
        // One that is ahead of the writer, which no honest one is, is in nobody's way.
        least = least.min(at);
        if next >= capacity && at <= lap {
            blocks(Blocker { index, word, at });
        }
    }
    least
}

/// The writer's side.
#[derive(Debug)]
pub struct Writer {
    /// The position it writes next.
    next: u64,
    /// It may write below this without another scan.
    limit: u64,
}

impl Writer {
    /// Starts where the predecessor stopped. The caller has the role. `overtakes`: by the policy it never looks at
    /// cursors.
    pub fn take(memory: &impl Memory, overtakes: bool) -> Result<Writer, Garbage> {
        let control = memory.control();
        // Relaxed: edge `role` has ordered the predecessor's stores before this.
        let mut next = control.written.load(Relaxed);
        if next >= LAST_POSITION {
            return Err(Garbage("the writer's position", next));
        }
        // It may have died between a message's word and its position; in a batch, behind as many as there are slots.
        for _ in 0..memory.capacity() {
            if memory.head(next).word.load(Relaxed) != whole(next) {
                break;
            }
            next += 1;
        }
        // ORDER message: Release; who joins at the oldest message sees the words of the messages before this.
        control.written.store(next, Release);
        // What the predecessor knew of the subscribers is not known here: the first write scans.
        Ok(Writer { next, limit: if overtakes { u64::MAX } else { next } })
    }

    /// The position it writes next.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// May it write without a scan?
    #[inline]
    pub fn has_room(&self) -> bool {
        self.next < self.limit
    }

    /// Looks how far the subscribers are; see [`scan`]. True: there is room.
    pub fn look(&mut self, memory: &impl Memory, blocks: impl FnMut(Blocker)) -> bool {
        // ORDER join: before the fence in `scan`. In a batch it lags.
        memory.control().written.store(self.next, Release);
        let least = scan(memory, self.next, blocks);
        self.limit = least.saturating_add(memory.capacity());
        self.has_room()
    }

    /// Opens the next slot for writing: what was in it is gone.
    #[inline]
    pub fn begin(&self, memory: &impl Memory) {
        memory.head(self.next).word.store(whole(self.next) - 1, Relaxed);
        // ORDER overwrite: the bytes are stored behind this; pairs with the fence in `Reader::is_whole`.
        fence(Release);
    }

    /// The bytes are written: the message is there.
    #[inline]
    pub fn commit(&mut self, memory: &impl Memory, len: u32, drops: u32) {
        let head = memory.head(self.next);
        // Relaxed: the word orders both.
        head.len.store(len, Relaxed);
        head.drops.store(drops, Relaxed);
        // ORDER message: Release; pairs with the Acquire in `Reader::look`.
        head.word.store(whole(self.next), Release);
        self.next += 1;
    }

    /// Says how far it is, and wakes whoever sleeps. No fence: see `wait/park.rs` for what that means for sleepers.
    #[inline]
    pub fn tell(&self, memory: &impl Memory) {
        let control = memory.control();
        // ORDER message: Release; as in `take`.
        control.written.store(self.next, Release);
        control.filled.0.notify(i32::MAX as u32);
    }
}

/// What a reader finds at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A message of so many bytes (unchecked), and how many the writer had dropped before it.
    Message { len: u32, drops: u32 },
    /// Nothing yet.
    Nothing,
    /// It was overwritten.
    Lapped,
}

/// A subscriber's side.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Its cursor.
    index: u32,
    /// The cursor's word.
    mine: u32,
    /// The position it reads next; the same stands in the cursor.
    at: u64,
    /// From here on the writer may not overtake it, if the policy says so.
    protected: u64,
}

impl Reader {
    /// Claims cursor `index` for slot `me`, and begins at the oldest message, or behind the latest. `None`: it is not
    /// free.
    pub fn join(memory: &impl Memory, index: u32, me: u32, oldest: bool) -> Option<Reader> {
        let cursor = memory.cursor(index);
        let free = cursor.owner.load(Relaxed);
        if free & SLOT != 0 {
            return None;
        }
        let joining = after(free, me & SLOT | JOINING);
        // ORDER join: full barrier between the claim and the look at the writer's position; the other side is `scan`.
        // The barrier is all.
        cursor.owner.cas_full(free, joining).ok()?;
        // ORDER message: Acquire; pairs with the Release in `tell`. Garbage is a position at which nothing ever comes.
        let written = memory.control().written.load(Acquire).min(LAST_POSITION);
        let mut at = written;
        if oldest {
            at = written.saturating_sub(memory.capacity());
            // The writer may be at that slot already.
            if at < written && memory.head(at).word.load(Relaxed) != whole(at) {
                at += 1;
            }
        }
        cursor.at.store(at, Relaxed);
        let mine = joining & !JOINING;
        // ORDER join: Release; pairs with the Acquire in `scan`. Failure: it was put out already, and reads nothing.
        let joined = cursor.owner.compare_exchange(joining, mine, Release, Relaxed).is_ok();
        let reader = Reader { index, mine: if joined { mine } else { joining }, at, protected: written };
        if !joined {
            reader.leave(memory); // put out before it was in
            return None;
        }
        // A scan that saw it join may have put the writer to sleep.
        memory.control().freed.0.unpark();
        Some(reader)
    }

    /// The reader whose cursor and word are these, where it stands now: for looks from outside.
    pub fn standing(memory: &impl Memory, index: u32, mine: u32) -> Reader {
        // Relaxed: our own store, or one whose order does not matter to who only looks.
        Reader { index, mine, at: memory.cursor(index).at.load(Relaxed), protected: 0 }
    }

    /// Its cursor and the cursor's word.
    pub fn cursor(&self) -> (u32, u32) {
        (self.index, self.mine)
    }

    /// The position it reads next.
    #[inline]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Is the message at its position one that the writer may not overwrite, if the policy says so?
    #[inline]
    pub fn is_protected(&self) -> bool {
        self.at >= self.protected
    }

    /// Was it put out, or its word destroyed? Then nothing it reads is protected.
    #[inline]
    pub fn is_out(&self, memory: &impl Memory) -> bool {
        // Relaxed: who asks behind a look at bytes has fenced, edge `evict`.
        memory.cursor(self.index).owner.load(Relaxed) != self.mine
    }

    /// Was it put out by the writer?
    pub fn is_evicted(&self, memory: &impl Memory) -> bool {
        memory.cursor(self.index).owner.load(Relaxed) == self.mine | EVICTED
    }

    /// What is at its position.
    #[inline]
    pub fn look(&self, memory: &impl Memory) -> Look {
        let head = memory.head(self.at);
        // ORDER message: Acquire; pairs with the Release in `commit`.
        let word = head.word.load(Acquire);
        if word == whole(self.at) {
            let found = Look::Message { len: head.len.load(Relaxed), drops: head.drops.load(Relaxed) };
            return if self.is_whole(memory) { found } else { Look::Lapped };
        }
        if (word.wrapping_sub(whole(self.at)) as i64) < 0 { Look::Nothing } else { Look::Lapped }
    }

    /// Is what was read since `look` still the message?
    #[inline]
    pub fn is_whole(&self, memory: &impl Memory) -> bool {
        // ORDER overwrite, evict: the bytes before the words; pairs with the fence in `begin`.
        fence(Acquire);
        memory.head(self.at).word.load(Relaxed) == whole(self.at)
    }

    /// Goes on behind the message at its position. `tells`: the writer may wait for that.
    #[inline]
    pub fn release(&mut self, memory: &impl Memory, messages: u64, tells: bool) {
        self.at += messages;
        // ORDER room: Release; pairs with the Acquire in `scan`.
        memory.cursor(self.index).at.store(self.at, Release);
        if tells {
            memory.control().freed.0.unpark();
        }
    }

    /// After it was lapped: goes on where a quarter of the slots is still ahead of the writer, so that it is not
    /// lapped again at once; returns how many messages it leaves out.
    pub fn skip(&mut self, memory: &impl Memory) -> Result<u64, Garbage> {
        let capacity = memory.capacity();
        // Relaxed: this and `written` are numbers, checked against each other, and the next look acquires.
        let word = memory.head(self.at).word.load(Relaxed);
        // The writer has this position, or one behind it, in hand.
        let seen = word / 2;
        let written = memory.control().written.load(Relaxed);
        let next = seen.max(written);
        if next >= LAST_POSITION || seen <= self.at || !((word - 1) / 2 - self.at).is_multiple_of(capacity) {
            return Err(Garbage("the word of a slot", word));
        }
        let slack = (capacity / 4).max(1).min(capacity - 1);
        let to = (next + slack).saturating_sub(capacity).max(self.at + 1);
        let missed = to - self.at;
        self.release(memory, missed, true);
        Ok(missed)
    }

    /// Gives the cursor back.
    pub fn leave(&self, memory: &impl Memory) {
        let owner = &memory.cursor(self.index).owner;
        for word in [self.mine, self.mine | EVICTED] {
            // ORDER room: Release; what it read is read before the writer that finds the cursor free goes on.
            if owner.compare_exchange(word, after(word, 0), Release, Relaxed).is_ok() {
                memory.control().freed.0.unpark();
                return;
            }
        }
    }
}

/// Leaves neither the role nor a cursor to `slot`, whose process is dead.
pub fn repair(memory: &impl Memory, slot: u32) {
    memory.control().role.bury(slot);
    for index in 0..memory.cursors() {
        let owner = &memory.cursor(index).owner;
        let word = owner.load(Relaxed);
        if word & SLOT == slot {
            // Release: the next owner's position is stored behind the dead one's (loom has no other order of stores, and
            // does not need this). If it fails, a writer was faster.
            let _ = owner.compare_exchange(word, after(word, 0), Release, Relaxed);
        }
    }
}

/// Everybody who has a cursor: slot, position, whether it was put out.
pub fn subscribers(memory: &impl Memory) -> impl Iterator<Item = (u32, u64, bool)> + '_ {
    (0..memory.cursors()).filter_map(|index| {
        let cursor = memory.cursor(index);
        // Relaxed: numbers to be shown; who is JOINING has an old position, too.
        let word = cursor.owner.load(Relaxed);
        (word & SLOT != 0).then(|| (word & SLOT, cursor.at.load(Relaxed), word & EVICTED != 0))
    })
}
