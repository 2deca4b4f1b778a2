//! A cell: the latest value of a plain struct.
//!
//! # State
//!
//! | bytes                | what                                                              |
//! |----------------------|-------------------------------------------------------------------|
//! | 0–127                | control: which buffer holds the latest value, two eventcounts     |
//! | 128 + `stride` · i   | buffer i: word (8), 0 (8), value (`size`)                         |
//!
//! Geometry: size, buffers, stride (16 + size, rounded up to 64), 0, 0. It is read once, checked against the memory that
//! is really there, and never read again. The words, their orderings and what a death leaves: `words.rs`.
//! All zero bytes are an empty cell.
//!
//! # Who waits for whom
//!
//! Nobody for a reader: it copies, and looks whether what it copied was still that value; else it copies again. That
//! happens only if all other buffers were written in the meantime. A writer waits only if as many others as the cell has
//! writers are in the middle of a store at that moment, and live: stopped ones count, and who writes in place.
//!
//! # Cost
//!
//! `store`: three exchanges and a copy; a system call only if somebody sleeps. `load`: four loads and a copy.

#[cfg(all(test, shuttle))]
mod deaths;
mod grant;
mod memory;
mod options;
mod ready;
mod typed;
mod words;

#[cfg(all(test, not(loom)))]
mod grant_tests;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod states;
#[cfg(all(test, not(loom)))]
mod tests;

pub use grant::{RawStoreGrant, StoreGrant};
pub use options::CellOptions;
pub use typed::Cell;

use crate::deadline::now_ns;
use crate::segment::object::{Holds, Kind, Object};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Spin, World};
use crate::{Deadline, Error, ErrorKind, Result};
use std::fmt;
use std::sync::Arc;
// Process-private.
use memory::Memory;
use std::sync::atomic::{AtomicU64 as Private, Ordering::Relaxed};
use words::{Claim, Fault};

/// How often to ask whether the owner of a buffer that is in the way is still alive: a system call.
const ASK_EVERY_NS: u64 = 1_000_000;

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Cell,
    repair: |view, slot| {
        if let Ok(memory) = Memory::of(view) {
            memory.words().repair(slot);
        }
    },
    ring: |view| {
        if let Ok(memory) = Memory::of(view) {
            memory.control().changed.ring();
            memory.control().freed.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let memory = Memory::of(view)?;
        let words = memory.words();
        Ok(ObjectState::Cell {
            size: memory.size,
            version: words.version(),
            writers: words.writers().collect(),
            type_tag: view.type_tag()?.unwrap_or_default(),
        })
    },
};

/// The latest value of `size` bytes, for any number of writers and readers in threads and processes: a [`Cell`] without
/// a Rust type.
///
/// A clone is another handle on the same cell. Handles stay good in a forked child. In a [`WaitSet`](crate::WaitSet) a
/// cell is ready for `Receive` when it has a newer value than the last that was loaded through the handle.
pub struct RawCell {
    object: Object,
    memory: Memory,
    spin: Spin,
    /// When a store last asked whether an owner in its way is alive.
    asked_ns: Private,
    /// The number of the last value that was loaded: for wait sets.
    seen: Arc<Private>,
}

impl Clone for RawCell {
    fn clone(&self) -> RawCell {
        RawCell::of(self.object.clone(), self.memory)
    }
}

impl RawCell {
    fn attach(object: Object) -> Result<RawCell> {
        let memory =
            Memory::of(object.view()).map_err(|e| Error::new(e.kind(), format!("cell {:?}: {e}", object.address())))?;
        Ok(RawCell::of(object, memory))
    }

    fn of(object: Object, memory: Memory) -> RawCell {
        RawCell { object, memory, spin: Spin::default(), asked_ns: Private::new(0), seen: RawCell::nothing_seen() }
    }

    /// Is it for values of type `wanted`? `""` agrees with all, and so does a cell without a type.
    ///
    /// # Errors
    /// `Incompatible`, with both layouts side by side; `Invalid` if `wanted` is no type tag.
    pub fn expect_type(&self, wanted: &str) -> Result<()> {
        self.object.expect_type(wanted)
    }

    /// What its bytes are, as a PEP 3118 format; `None` if nobody said.
    ///
    /// # Errors
    /// `Corrupt` for garbage.
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.object.type_tag()
    }

    /// Bytes of a value.
    pub fn size(&self) -> usize {
        self.memory.size
    }

    /// How many values were stored so far; 0: none yet. The number of the latest value.
    #[inline]
    pub fn version(&self) -> u64 {
        self.memory.words().version()
    }

    /// Makes a copy of `value` the latest value; returns its number. Waits only while as many others as the cell has
    /// writers are in the middle of a store.
    ///
    /// # Errors
    /// `TooLarge` if `value` has more bytes than a value of the cell, `Invalid` if it has fewer; `Removed` if the cell is
    /// removed while this waits.
    #[inline]
    pub fn store(&self, value: &[u8]) -> Result<u64> {
        self.store_until(value, Deadline::never())
    }

    /// As [`RawCell::store`]; `None` if it would have to wait.
    ///
    /// # Errors
    /// As [`RawCell::store`].
    #[inline]
    pub fn try_store(&self, value: &[u8]) -> Result<Option<u64>> {
        self.check_store(value.len())?;
        match self.claim(self.object.me()?)?.0 {
            Some(claim) => self.fill(claim, value).map(Some),
            None => Ok(None),
        }
    }

    /// As [`RawCell::store`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawCell::store`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn store_until(&self, value: &[u8], deadline: Deadline) -> Result<u64> {
        self.check_store(value.len())?;
        let me = self.object.me()?;
        let claim = match self.claim(me)?.0 {
            Some(claim) => claim,
            None => self.claim_contended(me, deadline)?,
        };
        self.fill(claim, value)
    }

    #[cold]
    fn claim_contended(&self, me: u32, deadline: Deadline) -> Result<Claim> {
        let world = self.object.waiting(WaitMode::Send, 0);
        let suspect = std::cell::Cell::new(None);
        let freed = &self.memory.control().freed;
        wait::until(
            &world,
            freed,
            &self.spin,
            deadline,
            || suspect.get(),
            || {
                let (claim, barred) = self.claim(me)?;
                suspect.set(barred);
                Ok(claim)
            },
        )
    }

    /// One attempt; else who is in the way.
    #[inline]
    fn claim(&self, me: u32) -> Result<(Option<Claim>, Option<u32>)> {
        match self.memory.words().claim(me).map_err(|fault| self.corrupt(fault))? {
            Ok(claim) => Ok((Some(claim), None)),
            Err(owner) => self.claim_anew(me, owner),
        }
    }

    #[cold]
    fn claim_anew(&self, me: u32, owner: u32) -> Result<(Option<Claim>, Option<u32>)> {
        let barred = Some(owner).filter(|owner| *owner != 0);
        let (now, asked) = (now_ns(), self.asked_ns.load(Relaxed));
        // Relaxed: two threads that ask at once ask twice.
        if barred.is_none() || now.saturating_sub(asked) < ASK_EVERY_NS {
            return Ok((None, barred));
        }
        self.asked_ns.store(now, Relaxed);
        let words = self.memory.words();
        for owner in words.writers() {
            if self.object.is_dead(owner) {
                self.object.repairing(owner, || words.repair(owner));
            }
        }
        Ok((words.claim(me).map_err(|fault| self.corrupt(fault))?.ok(), barred))
    }

    #[inline]
    fn fill(&self, claim: Claim, value: &[u8]) -> Result<u64> {
        // SAFETY: a buffer has `size` bytes for the value, inside the object, and `value` has as many: `check_store`.
        // Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(self.memory.value(claim.index), value) };
        self.memory.words().publish(claim).map_err(|fault| self.corrupt(fault))
    }

    /// Copies the latest value into `buffer`; its number, or `None` if nothing was stored yet. Never waits, and is in no
    /// writer's way.
    ///
    /// # Errors
    /// `TooLarge` if a value has more bytes than `buffer`, `Invalid` if it has fewer; `Removed`.
    #[inline]
    pub fn load(&self, buffer: &mut [u8]) -> Result<Option<u64>> {
        self.check_load(buffer.len())?;
        // SAFETY: the buffer has the cell's size, as just checked.
        let loaded = unsafe { self.load_to(buffer.as_mut_ptr()) }?;
        if loaded.is_none() {
            self.object.still_there()?;
        }
        Ok(loaded)
    }

    /// # Safety
    /// - `to` must be valid for writes of the cell's size, of memory that nobody else has.
    #[inline]
    unsafe fn load_to(&self, to: *mut u8) -> Result<Option<u64>> {
        let copy = |index| {
            // SAFETY: the caller's promise; a slice of bytes for the time of the copy, which only writes them.
            let target = unsafe { std::slice::from_raw_parts_mut(to, self.memory.size) };
            // SAFETY: a buffer has `size` bytes for the value, inside the object. Peers may store there meanwhile: it is a
            // raw copy of bytes, and `load` looks afterwards.
            unsafe { copy_out(self.memory.value(index), target) }
        };
        let loaded = self.memory.words().load(copy).map_err(|fault| self.corrupt(fault))?;
        Ok(loaded.map(|(version, ())| {
            self.has_seen(version);
            version
        }))
    }

    /// Copies the latest value once its number is greater than `seen`; waits for it for ever. With 0 it waits for the
    /// first one. Who misses values in between sees it at their numbers.
    ///
    /// # Errors
    /// As [`RawCell::load`]; `Removed` also while this waits.
    #[inline]
    pub fn load_newer(&self, seen: u64, buffer: &mut [u8]) -> Result<u64> {
        self.load_newer_until(seen, buffer, Deadline::never())
    }

    /// As [`RawCell::load_newer`]; `None` if there is no newer value.
    ///
    /// # Errors
    /// As [`RawCell::load`].
    #[inline]
    pub fn try_load_newer(&self, seen: u64, buffer: &mut [u8]) -> Result<Option<u64>> {
        self.check_load(buffer.len())?;
        if self.try_newer(seen)? { self.load(buffer) } else { Ok(None) }
    }

    /// Is there a value after number `seen`? If not, whoever asks knows the latest one.
    #[inline]
    fn try_newer(&self, seen: u64) -> Result<bool> {
        let version = self.version();
        if version > seen {
            return Ok(true);
        }
        self.object.still_there()?;
        self.has_seen(version);
        Ok(false)
    }

    /// As [`RawCell::load_newer`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawCell::load_newer`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn load_newer_until(&self, seen: u64, buffer: &mut [u8], deadline: Deadline) -> Result<u64> {
        self.check_load(buffer.len())?;
        self.wait_newer_until(seen, deadline)?;
        // Versions only grow, so there is a value.
        self.load(buffer)?.ok_or_else(|| self.corrupt(Fault::Restless))
    }

    /// Waits until the number of the latest value is greater than `seen`; returns it.
    ///
    /// # Errors
    /// `Timeout`; `Removed`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn wait_newer_until(&self, seen: u64, deadline: Deadline) -> Result<u64> {
        self.object.me()?;
        let version = self.version();
        if version > seen { Ok(version) } else { self.wait_longer(seen, deadline) }
    }

    #[cold]
    fn wait_longer(&self, seen: u64, deadline: Deadline) -> Result<u64> {
        let world = self.object.waiting(WaitMode::Receive, 0);
        let changed = &self.memory.control().changed;
        wait::until(
            &world,
            changed,
            &self.spin,
            deadline,
            || None,
            || {
                let version = self.version();
                Ok((version > seen).then_some(version))
            },
        )
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object.address()
    }

    #[inline]
    fn check_store(&self, size: usize) -> Result<()> {
        let own = self.memory.size;
        if size == own { Ok(()) } else { Err(self.wrong_size("store", size, size > own)) }
    }

    #[inline]
    fn check_load(&self, size: usize) -> Result<()> {
        let own = self.memory.size;
        if size == own { Ok(()) } else { Err(self.wrong_size("load", size, size < own)) }
    }

    #[cold]
    fn wrong_size(&self, what: &str, size: usize, too_large: bool) -> Error {
        let (cell, own) = (self.address(), self.memory.size);
        let why = format!("{what}: {size} bytes, but a value of cell {cell:?} has {own}; give exactly as many");
        Error::new(if too_large { ErrorKind::TooLarge } else { ErrorKind::Invalid }, why)
    }

    #[cold]
    fn corrupt(&self, fault: Fault) -> Error {
        let what = match fault {
            Fault::Latest(word) => format!("the word of the latest value is {word:#018x}, beyond its buffers"),
            Fault::Restless => "its words change without end".into(),
        };
        Error::new(ErrorKind::Corrupt, format!("cell {:?}: {what}; remove it and create it anew", self.address()))
    }
}

impl fmt::Debug for RawCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({:?}, {} bytes, version {})", self.address(), self.size(), self.version())
    }
}
