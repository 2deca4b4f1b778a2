//! The readers-writer lock in the segment: its words, and what is done to them.
//!
//! # State
//!
//! | at  | word         | changed by             | meaning                                                     |
//! |-----|--------------|------------------------|-------------------------------------------------------------|
//! | 0   | `writer`     | writers                | a mutex: who writes, or waits for the readers to leave      |
//! | 64  | `gate`       | who holds `writer`     | may readers enter?                                          |
//! | 80  | `gate_bell`  |                        | readers sleep here while the gate is closed                 |
//! | 128 | `drain_bell` |                        | the holder of `writer` sleeps here until the readers left    |
//! | 256 | tallies      | the process of a seat  | a line for each seat: how many of its threads read, are kept out, wait to write |
//!
//! Gate, with NEWS beside it when a writer died inside and nobody has said since that the state is whole:
//!
//! | gate    | readers     | meaning                                                                        |
//! |---------|-------------|--------------------------------------------------------------------------------|
//! | OPEN    | enter       | nobody writes                                                                  |
//! | WANTED  | enter       | readers first: a writer waits until nobody reads, and wants to be told          |
//! | CLOSED  | are kept out | a writer waits for those inside to leave, or the next writer is on its way here |
//! | WRITING | are kept out | a writer is inside                                                             |
//!
//! Only `writer` and the tallies name a process. Whoever gets `writer` and finds the gate at WRITING knows that
//! its predecessor died inside. A gate that keeps readers out while nobody holds `writer` and nobody waits to is
//! *stranded*: whoever sees that opens it.
//!
//! # How one enters
//!
//! A reader counts itself in, then looks at the gate; if it is shut, it counts itself out again and sleeps. A
//! writer takes `writer`, shuts the gate, then looks at every tally until each was 0 once. One of the two sees the
//! other. The policies differ in when the gate is shut:
//!
//! - readers first: once nobody reads; until then it is WANTED.
//! - writers first: at once, and it stays shut while writers wait, counted in their tallies.
//! - fair: once everybody has entered whom the last writer kept out (these are counted too); a writer always opens it.
//!
//! # Orderings
//!
//! Edge `write`: a writer that leaves opens the gate with a full barrier, a reader that enters acquires it; from
//! writer to writer, the mutex's edge `lock`.
//! Edge `leave`: a reader that leaves takes itself off its tally with a full barrier, a writer acquires the tallies.
//! Edge `close`, both ways full barriers: tally then gate in readers, gate then tallies in writers.
//! Edge `count`: a writer that gives up takes itself off its tally, then looks whether `writer` is free; who leaves
//! the gate shut for it frees `writer`, then looks at the tallies. One of the two opens a stranded gate.
//!
//! # When a peer dies
//!
//! | killed                                       | left                  | consequence                               |
//! |----------------------------------------------|-----------------------|-------------------------------------------|
//! | reading, kept out, or waiting for `writer`    | its tally             | cleared by whoever waits for it           |
//! | holding `writer`, readers still inside       | gate WANTED or CLOSED | the next one takes `writer`, no news      |
//! | writing, until the gate is opened            | gate WRITING          | the next one takes `writer`: news for all |
//! | the gate opened, nobody woken                | sleepers              | they look again when their slice ends     |
//! | the gate left to a next writer that died     | gate stranded         | whoever comes, or wakes, opens it         |
//!
//! Both repairs, taking `writer` and clearing a tally, are done under the repair byte of the dead. Who comes new
//! asks before its first sleep, a sleeper after 16 ms. The news stay until a writer calls `recover`.
//!
//! # When a peer is stopped
//!
//! While it holds the lock, it holds it. While it waits it has precedence only, and that lapses: who is kept out for a
//! whole slice by waiting writers that do not come, though `writer` is free, opens the gate (`overrule`); under FAIR a
//! writer waits a slice at most for readers that were kept out and do not come. Exclusion does not hang on either, as it
//! is decided by `writer`, the gate and the tallies; so `states.rs`, which has no slices, leaves it out.
//!
//! # Cost
//!
//! A read: one atomic on a line that no other process writes, one load of the gate; the same to leave. A write: two
//! more exchanges than a mutex, and one load for each seat.
//!
//! Sources: a distributed lock in the manner of Hsieh and Weihl ("Scalable reader-writer locks", 1992); the fair
//! policy is Brandenburg and Anderson's phase-fairness (2010).

use super::RwPolicy;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{Acquire, Relaxed, SeqCst},
    Woken, fence,
};
use crate::segment::layout::MAX_PARTICIPANTS;
use crate::segment::object::{InSegment, View};
use crate::sync::mutex::{MutexLine, Own, Robber, holder_in, owner_slot};
use crate::wait::{self, Bell, EventCount, Spin, World};
use std::cell::Cell;

pub(super) const OPEN: u32 = 0;
pub(super) const WANTED: u32 = 1;
pub(super) const CLOSED: u32 = 2;
pub(super) const WRITING: u32 = 3;
const PHASE: u32 = 3;
/// A writer died inside.
const NEWS: u32 = 1 << 30;

/// In a tally's `readers`: one more that reads, one more that is kept out.
const READS: u64 = 1;
const KEPT_OUT: u64 = 1 << 32;
/// The most read locks of one process.
const MAX_READS: u32 = 1 << 30;
/// How often a leaving writer leaves the gate to a next one that gives up; then it opens it.
const HAND_OVERS: u32 = 8;

/// Do readers enter?
fn admits(gate: u32) -> bool {
    gate & PHASE <= WANTED
}

/// What all processes share, in front of the tallies.
#[repr(C)]
#[derive(Debug)]
pub struct Head {
    writer: MutexLine,
    gate: AtomicU32,
    _zero: [AtomicU32; 3],
    gate_bell: EventCount,
    _rest: [AtomicU32; 8],
    drain_bell: EventCount,
    _more: [AtomicU32; 28],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Head {}

/// What the threads of one process do at the lock: a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Tally {
    /// `kept out:32 | reading:32`.
    readers: AtomicU64,
    /// Threads that wait for `writer`.
    writers: AtomicU32,
    _rest: [AtomicU32; 13],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Tally {}

#[cfg(not(loom))]
const _: () = assert!(
    size_of::<Head>() == 256
        && size_of::<Tally>() == 64
        && std::mem::offset_of!(Head, gate) == 64
        && std::mem::offset_of!(Head, gate_bell) == 80
        && std::mem::offset_of!(Head, drain_bell) == 128
);

#[cfg(loom)]
impl Head {
    /// A lock that nobody uses, on the heap.
    pub fn new() -> Head {
        Head {
            writer: MutexLine::new(),
            gate: AtomicU32::new(OPEN),
            _zero: std::array::from_fn(|_| AtomicU32::new(0)),
            gate_bell: EventCount::new(),
            _rest: std::array::from_fn(|_| AtomicU32::new(0)),
            drain_bell: EventCount::new(),
            _more: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

#[cfg(loom)]
impl Tally {
    /// Nobody, on the heap.
    pub fn new() -> Tally {
        Tally {
            readers: AtomicU64::new(0),
            writers: AtomicU32::new(0),
            _rest: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Tally {
    fn reading(&self) -> u32 {
        // ORDER leave: Acquire; pairs with the full barrier in `unread`.
        self.readers.load(Acquire) as u32
    }

    fn kept_out(&self) -> u32 {
        // ORDER leave: Acquire; who was kept out and gave up needs no edge, who entered is asked for by `reading`.
        (self.readers.load(Acquire) >> 32) as u32
    }

    fn writers(&self) -> u32 {
        // Relaxed: who must not miss a change has a fence before it (edge `count`).
        self.writers.load(Relaxed)
    }

    /// For a process that is dead; the caller holds its repair byte.
    fn clear(&self) {
        self.readers.swap_full(0);
        // Relaxed: nobody else changes it, and who waits for it looks again.
        self.writers.store(0, Relaxed);
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub struct Me {
    /// Its process.
    pub slot: u32,
    /// Its process and thread, as in a mutex's word.
    pub word: u32,
}

/// The words of one lock, checked once.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    pub(super) head: &'a Head,
    pub(super) tallies: &'a [Tally],
    pub(super) policy: RwPolicy,
}

/// Bytes of a lock with so many seats, behind its header.
pub fn size(seats: usize) -> usize {
    size_of::<Head>() + seats * size_of::<Tally>()
}

impl<'a> Words<'a> {
    /// `Corrupt` if policy, seats and size do not fit together.
    #[inline]
    pub fn of(view: View<'a>) -> Result<Words<'a>> {
        let [policy, seats, ..] = view.geometry();
        let policy = match policy {
            1 => RwPolicy::ReadersFirst,
            2 => RwPolicy::WritersFirst,
            3 => RwPolicy::Fair,
            _ => return Err(bad_geometry(policy, seats, view.size())),
        };
        let bad = || bad_geometry(policy as u64, seats, view.size());
        let seats = usize::try_from(seats).map_err(|_| bad())?;
        if !(1..=MAX_PARTICIPANTS).contains(&seats) || size(seats) > view.size() {
            return Err(bad());
        }
        let head = view.at::<Head>(0)?;
        // SAFETY: the tallies begin at a multiple of 64 behind an aligned base and end inside the view, as just
        // checked. `Tally: InSegment`: any bits are tallies, all of them atomics, so peers may store to them. The
        // memory lives for 'a (`View::new`).
        let tallies = unsafe { std::slice::from_raw_parts(view.base().add(size_of::<Head>()).cast::<Tally>(), seats) };
        Ok(Words { head, tallies, policy })
    }

    /// The tally of the process in `slot`.
    #[inline]
    fn tally(&self, slot: u32) -> Result<&'a Tally> {
        let tally = (slot as usize).checked_sub(1).and_then(|i| self.tallies.get(i));
        tally.ok_or_else(|| no_seat("a process that uses this lock", slot))
    }

    /// The first process whose tally says so.
    fn first(&self, says: impl Fn(&Tally) -> bool) -> Option<u32> {
        self.tallies.iter().position(says).map(|i| i as u32 + 1)
    }

    /// The gate, checked.
    pub(super) fn gate(&self) -> Result<u32> {
        // ORDER write: Acquire; pairs with the full barrier in `set_gate`.
        let gate = self.head.gate.load(Acquire);
        if gate & !(PHASE | NEWS) == 0 {
            return Ok(gate);
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!("the gate of a readers-writer lock holds {gate:#x}, which nothing means; create the lock again"),
        ))
    }

    /// The news, as the holder of `writer` knows them: only it changes the gate (Relaxed).
    fn news(&self) -> u32 {
        self.head.gate.load(Relaxed) & NEWS
    }

    /// For the holder of `writer`.
    fn set_gate(&self, phase: u32) {
        // ORDER write, close: a full barrier, so a Release too.
        self.head.gate.swap_full(phase | self.news());
    }

    /// Lets everybody in who is kept out. For the holder of `writer`.
    fn admit(&self, phase: u32) {
        self.set_gate(phase);
        self.head.gate_bell.notify(i32::MAX as u32);
    }

    // Readers.

    /// Enters if the gate admits. `Some(true)`: a writer died inside, and nobody has recovered since.
    #[inline]
    pub fn try_enter(&self, slot: u32) -> Result<Option<bool>> {
        let tally = self.tally(slot)?;
        // ORDER close: full barrier; the gate is looked at after this.
        let before = tally.readers.add_full(READS);
        // ORDER write: Acquire; pairs with the full barrier in `set_gate`.
        if self.head.gate.load(Acquire) == OPEN && (before as u32) < MAX_READS {
            return Ok(Some(false));
        }
        self.try_enter_slowly(tally, before as u32)
    }

    #[cold]
    fn try_enter_slowly(&self, tally: &Tally, before: u32) -> Result<Option<bool>> {
        let gate = self.gate();
        if let Ok(gate) = gate
            && admits(gate)
            && before < MAX_READS
        {
            return Ok(Some(gate & NEWS != 0));
        }
        tally.readers.add_full(READS.wrapping_neg());
        self.head.drain_bell.notify(1); // A writer may have counted us.
        if before >= MAX_READS {
            return Err(Error::new(
                ErrorKind::Overflow,
                format!(
                    "this process has {before} read locks, the most there can be; somebody locks without unlocking"
                ),
            ));
        }
        gate.map(|_| None)
    }

    /// Enters whatever the gate says. For a thread that reads already: no writer is inside before it has left.
    pub fn enter_again(&self, slot: u32) -> Result<bool> {
        let tally = self.tally(slot)?;
        let before = tally.readers.add_full(READS);
        if (before as u32) >= MAX_READS {
            return self.try_enter_slowly(tally, before as u32).map(|_| false);
        }
        Ok(self.has_news())
    }

    /// Enters; waits until the gate admits. For a caller that has tried before. As [`Words::try_enter`].
    pub fn read(&self, world: &(impl World + Robber), me: Me, spin: &Spin, deadline: Deadline) -> Result<bool> {
        let tally = self.tally(me.slot)?;
        let fair = self.policy == RwPolicy::Fair;
        if fair {
            tally.readers.add_full(KEPT_OUT);
        }
        let bed = Bed::at(&self.head.gate_bell);
        let entered = wait::until(
            world,
            &bed,
            spin,
            deadline,
            || Some(owner_slot(self.head.writer.word())).filter(|slot| *slot != 0).or_else(|| self.next_writer()),
            || {
                if !admits(self.gate()?) {
                    self.attend(world, me, bed.look.take())?;
                    if bed.late.take() {
                        self.overrule(me);
                    }
                    if !admits(self.gate()?) {
                        return Ok(None);
                    }
                }
                self.try_enter(me.slot)
            },
        );
        if fair {
            tally.readers.add_full(KEPT_OUT.wrapping_neg());
            self.head.drain_bell.notify(1);
        }
        entered
    }

    /// Leaves. For a thread that has entered.
    #[inline]
    pub fn unread(&self, slot: u32) -> Result<()> {
        // ORDER leave, close: a full barrier, so a Release too; the gate is looked at after this.
        self.tally(slot)?.readers.add_full(READS.wrapping_neg());
        // Relaxed: a writer that waits has changed the gate before it looked at the tallies.
        if self.head.gate.load(Relaxed) & PHASE != OPEN {
            self.head.drain_bell.notify(1);
        }
        Ok(())
    }

    // Writers.

    /// Write-locks; waits until nobody reads or writes. True: a writer died inside before, and nobody has recovered.
    pub fn write(&self, world: &(impl World + Robber), me: Me, spin: &Spin, deadline: Deadline) -> Result<bool> {
        if !self.try_take_writer(me) {
            self.take_writer(world, me, deadline)?;
        }
        let drained = self.drain(world, spin, deadline);
        match drained {
            Ok(()) => Ok(self.begin()),
            Err(error) => {
                self.release(me);
                Err(error)
            }
        }
    }

    /// Write-locks if nobody reads or writes. `look`: asks whether those who do are alive.
    pub fn try_write(&self, world: &(impl World + Robber), me: Me, look: bool) -> Result<Option<bool>> {
        if !(self.try_take_writer(me) || look && self.rob_the_dead(world, me)?) {
            return Ok(None);
        }
        let busy = |tally: &Tally| tally.reading() != 0 || self.policy == RwPolicy::Fair && tally.kept_out() != 0;
        let buried = if look { self.bury(world, busy) } else { Ok(()) };
        if buried.is_ok() && self.first(busy).is_none() {
            self.set_gate(CLOSED);
            if self.first(|tally| tally.reading() != 0).is_none() {
                return Ok(Some(self.begin()));
            }
        }
        self.release(me);
        buried.map(|()| None)
    }

    /// Takes `writer` if nobody holds it.
    fn try_take_writer(&self, me: Me) -> bool {
        if owner_slot(self.head.writer.word()) != 0 {
            return false; // An exchange that fails would take the line away from its holder.
        }
        let taken = self.head.writer.lock(&Nowhere, me.slot, me.word, Deadline::now(), Own::Relock);
        taken.is_ok_and(|owner_died| self.taken(me, owner_died))
    }

    /// Takes `writer`; waits for it, counted.
    fn take_writer(&self, world: &(impl World + Robber), me: Me, deadline: Deadline) -> Result<()> {
        let tally = self.tally(me.slot)?;
        tally.writers.add_full(1);
        let taken = self.head.writer.lock(world, me.slot, me.word, deadline, Own::Relock);
        // ORDER count: full barrier; whether `writer` is free is looked at after this.
        tally.writers.add_full(1u32.wrapping_neg());
        match taken {
            Ok(owner_died) => {
                self.taken(me, owner_died);
                Ok(())
            }
            Err(error) => {
                self.tidy(me);
                Err(error)
            }
        }
    }

    /// `writer` is ours by now: what its last holder left is put right. Always true.
    fn taken(&self, me: Me, owner_died: bool) -> bool {
        if owner_died {
            self.head.writer.recover(me.word);
        }
        // Relaxed: only the holder of `writer` changes the gate.
        if self.head.gate.load(Relaxed) & PHASE == WRITING {
            self.head.gate.swap_full(CLOSED | NEWS);
        }
        true
    }

    /// Takes `writer` from a holder that is dead. The word itself is only changed under the repair byte.
    fn rob_the_dead(&self, world: &(impl World + Robber), me: Me) -> Result<bool> {
        let owner = owner_slot(self.head.writer.word());
        if owner != 0 && !world.is_seat(owner) {
            return Err(no_seat("the holder of a readers-writer lock", owner));
        }
        if owner == 0 || !world.is_dead(owner) {
            return Ok(false);
        }
        // `Stale` says that nobody holds what names `owner`: it is dead, and its seat has no new owner meanwhile.
        let rob = || self.head.writer.lock(&Nowhere, owner, me.word, Deadline::now(), Own::Stale);
        Ok(world.repairing(owner, rob).is_some_and(|taken| taken.is_ok_and(|died| self.taken(me, died))))
    }

    /// Waits until nobody reads, with the gate shut in the end. For the holder of `writer`.
    fn drain(&self, world: &(impl World + Robber), spin: &Spin, deadline: Deadline) -> Result<()> {
        let is_read = |tally: &Tally| tally.reading() != 0;
        match self.policy {
            RwPolicy::ReadersFirst => {
                let shut = || {
                    self.set_gate(CLOSED);
                    self.first(is_read).is_none()
                };
                if self.first(is_read).is_none() && shut() {
                    return Ok(());
                }
                // From here on the gate is not OPEN, so whoever leaves after we have looked wakes us.
                self.admit(WANTED);
                let bed = Bed::at(&self.head.drain_bell);
                let attempt = || {
                    if bed.look.take() {
                        self.bury(world, is_read)?;
                    }
                    if self.first(is_read).is_some() {
                        return Ok(None);
                    }
                    if shut() {
                        return Ok(Some(()));
                    }
                    self.admit(WANTED);
                    Ok(None)
                };
                wait::until(world, &bed, spin, deadline, || self.first(is_read), attempt)
            }
            RwPolicy::WritersFirst => {
                self.set_gate(CLOSED);
                self.wait_for(world, spin, deadline, false, is_read)
            }
            RwPolicy::Fair => {
                if !admits(self.head.gate.load(Relaxed)) {
                    self.admit(OPEN); // A dead writer's.
                }
                // Whoever was kept out and has not come for a whole slice is stopped, and has lost its turn.
                self.wait_for(world, spin, deadline, true, |tally| tally.kept_out() != 0)?;
                self.set_gate(CLOSED);
                self.wait_for(world, spin, deadline, false, is_read)
            }
        }
    }

    /// Waits until no tally says so any more; if it `lapses`, for a slice at most.
    fn wait_for(
        &self,
        world: &(impl World + Robber),
        spin: &Spin,
        deadline: Deadline,
        lapses: bool,
        says: impl Fn(&Tally) -> bool + Copy,
    ) -> Result<()> {
        let bed = Bed::at(&self.head.drain_bell);
        let attempt = || {
            if bed.look.take() {
                self.bury(world, says)?;
            }
            Ok((lapses && bed.late.take() || self.first(says).is_none()).then_some(()))
        };
        wait::until(world, &bed, spin, deadline, || self.first(says), attempt)
    }

    /// The writer is alone: it begins. True if there are news.
    fn begin(&self) -> bool {
        let news = self.news();
        // ORDER begin: Acquire; nothing the writer does to the guarded state comes before the gate says WRITING.
        self.head.gate.swap(WRITING | news, Acquire);
        news != 0
    }

    /// Ends a write, or the attempt to: opens the gate or leaves it to the next writer, and frees `writer`.
    pub fn release(&self, me: Me) {
        for left in (0..=HAND_OVERS).rev() {
            let next = left > 0 && self.next_writer().is_some();
            if next {
                self.set_gate(CLOSED)
            } else {
                self.admit(OPEN)
            }
            self.head.writer.unlock();
            if !next {
                return;
            }
            // ORDER count: `writer` is free before the tallies are looked at; pairs with `take_writer`.
            fence(SeqCst);
            if !(self.is_stranded() && self.try_take_writer(me)) {
                return;
            }
        }
    }

    /// Turns the calling thread's write lock into a read lock.
    pub fn downgrade(&self, me: Me) -> Result<()> {
        self.tally(me.slot)?.readers.add_full(READS);
        self.release(me);
        Ok(())
    }

    /// The writer says that the guarded state is whole.
    pub fn recover(&self) {
        // Relaxed: a reader learns of it through `write`, a writer through the mutex.
        self.head.gate.fetch_and(!NEWS, Relaxed);
    }

    // Repairs.

    /// Who waits for `writer` and keeps readers out by that.
    fn next_writer(&self) -> Option<u32> {
        if self.policy != RwPolicy::WritersFirst {
            return None;
        }
        self.first(|tally| tally.writers() != 0)
    }

    /// Is the gate shut without anybody who will open it?
    fn is_stranded(&self) -> bool {
        // Relaxed: who must not miss it has a fence before this; who takes `writer` looks again.
        !admits(self.head.gate.load(Relaxed))
            && owner_slot(self.head.writer.word()) == 0
            && self.next_writer().is_none()
    }

    /// Opens a gate that nobody keeps shut but writers who wait and have not come for a whole slice though `writer` is
    /// free: they are stopped, and their precedence has lapsed.
    fn overrule(&self, me: Me) {
        if !admits(self.head.gate.load(Relaxed)) && self.try_take_writer(me) {
            self.admit(OPEN);
            self.head.writer.unlock();
        }
    }

    /// Opens a stranded gate.
    fn tidy(&self, me: Me) {
        if self.is_stranded() && self.try_take_writer(me) {
            self.release(me);
        }
    }

    /// What who is kept out does about that: opens a stranded gate; with `look`, buries the dead who keep it shut.
    pub fn attend(&self, world: &(impl World + Robber), me: Me, look: bool) -> Result<()> {
        if look {
            if self.rob_the_dead(world, me)? {
                self.release(me);
                return Ok(());
            }
            if self.next_writer().is_some() {
                self.bury(world, |tally| tally.writers() != 0)?;
            }
        }
        self.tidy(me);
        Ok(())
    }

    /// Clears the tallies that say so, of processes that are dead.
    pub(super) fn bury(&self, world: &(impl World + Robber), says: impl Fn(&Tally) -> bool) -> Result<()> {
        for (slot, tally) in (1..).zip(self.tallies) {
            if !says(tally) {
                continue;
            }
            if !world.is_seat(slot) {
                return Err(no_seat("a reader of a readers-writer lock", slot));
            }
            if world.is_dead(slot) && world.repairing(slot, || tally.clear()).is_some() {
                self.head.drain_bell.notify(1);
            }
        }
        Ok(())
    }

    /// Leaves no tally that names `slot`, whose process is dead. The caller holds its repair byte.
    pub fn forget(&self, slot: u32) {
        if let Ok(tally) = self.tally(slot) {
            tally.clear();
        }
    }

    /// A thread of the process in `slot` ended with so many reads.
    pub fn leave(&self, slot: u32, reads: u32) {
        if let Ok(tally) = self.tally(slot)
            && tally.reading() >= reads
        {
            // ORDER leave: as in `unread`.
            tally.readers.add_full(u64::from(reads).wrapping_neg());
            self.head.drain_bell.notify(1);
        }
    }

    /// Wakes everybody who sleeps at the gate, and who waits for the readers.
    pub fn ring(&self) {
        self.head.gate_bell.ring();
        self.head.drain_bell.ring();
    }

    // What is to be seen.

    /// The mutex's word: who writes, or waits for the readers to leave.
    #[inline]
    pub fn writer_word(&self) -> u32 {
        self.head.writer.word()
    }

    /// Does `me` write?
    #[inline]
    pub fn is_writer(&self, me: Me) -> bool {
        holder_in(self.writer_word()) == holder_in(me.word)
    }

    /// Did a writer die inside, without anybody recovering since?
    pub fn has_news(&self) -> bool {
        // Relaxed: a moment's truth.
        let gate = self.head.gate.load(Relaxed);
        gate & NEWS != 0 || gate & PHASE == WRITING && owner_slot(self.writer_word()) == 0
    }

    /// Processes that read, each with the number of its reads.
    pub fn readers(&self) -> impl Iterator<Item = (u32, u32)> + 'a {
        (1..).zip(self.tallies).map(|(slot, tally)| (slot, tally.reading())).filter(|(_, reads)| *reads != 0)
    }
}

#[cold]
fn bad_geometry(policy: u64, seats: u64, size: usize) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "a readers-writer lock of {size} bytes claims policy {policy} and {seats} seats: the segment holds garbage; create the lock again"
        ),
    )
}

#[cold]
fn no_seat(who: &str, slot: u32) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("{who} sits in slot {slot}, which is none: the segment holds garbage; create it again"),
    )
}

/// Where one sleeps at this lock, and whether it is time to ask who is alive: before the first sleep, as nobody need
/// sleep for the dead, and after one that has ended by itself.
struct Bed<'a> {
    bell: &'a EventCount,
    slept: Cell<bool>,
    look: Cell<bool>,
    /// A sleep has ended by itself.
    late: Cell<bool>,
}

impl<'a> Bed<'a> {
    fn at(bell: &'a EventCount) -> Bed<'a> {
        Bed { bell, slept: Cell::new(false), look: Cell::new(false), late: Cell::new(false) }
    }
}

impl Bell for Bed<'_> {
    fn prepare(&self) -> u32 {
        self.look.set(self.look.get() || !self.slept.replace(true));
        self.bell.prepare()
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        let woken = self.bell.sleep(key, at_ns);
        self.look.set(woken == Woken::TimeUp);
        self.late.set(woken == Woken::TimeUp);
        woken
    }
}

/// The world of who does not wait.
struct Nowhere;

impl World for Nowhere {
    fn still_there(&self) -> Result<()> {
        Ok(())
    }
    fn is_dead(&self, _slot: u32) -> bool {
        false
    }
    fn tick(&self) {}
    fn timed_out(&self) -> Error {
        ErrorKind::Timeout.into()
    }
}

impl Robber for Nowhere {
    fn repairing<R>(&self, _slot: u32, _f: impl FnOnce() -> R) -> Option<R> {
        None
    }
}
