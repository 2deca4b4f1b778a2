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

mod grant;
mod ready;
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

use super::type_tag::TypeLayout;
use super::typed::Typed;
use crate::deadline::now_ns;
use crate::prim::AtomicU64;
use crate::segment::directory::{Plan, Want};
use crate::segment::object::{Holds, InSegment, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode, other_geometry};
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Spin, World};
use crate::{Deadline, Error, ErrorKind, Result, Segment};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::{AtomicU64 as Private, Ordering::Relaxed};
use words::{Buffers, Claim, Control, Fault, Words};

/// Where buffer 0 begins.
const FIRST: usize = size_of::<Control>();
/// Where the value begins in a buffer.
const VALUE: usize = 16;
/// The largest value.
const MOST_BYTES: usize = 1 << 40;
/// The most writers.
const MOST_WRITERS: usize = 128;
/// How often to ask whether the owner of a buffer that is in the way is still alive: a system call.
const ASK_EVERY_NS: u64 = 1_000_000;

// SAFETY: `repr(C)`, made of prim's atomics and of eventcounts, which are too; the rest is padding nobody reads.
unsafe impl InSegment for Control {}

/// What a new cell is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellOptions {
    size: usize,
    writers: usize,
    type_tag: String,
}

impl CellOptions {
    /// A cell for values of `size` bytes without a type.
    pub fn bytes(size: usize) -> CellOptions {
        CellOptions { size, writers: 4, type_tag: String::new() }
    }

    /// A cell for values of a type.
    pub fn of<T: Typed>() -> CellOptions {
        CellOptions::bytes(size_of::<T>()).type_tag(&T::type_tag())
    }

    /// How many stores may be in progress at a time, so that a further one need not wait; 4 unless set, 1 to 128. Each
    /// costs a buffer; there are two more. Counts for a new cell only: one that is there keeps its own, whatever is said.
    pub fn writers(self, writers: usize) -> CellOptions {
        CellOptions { writers, ..self }
    }

    /// What the bytes are, as a PEP 3118 format. Compared when the cell is opened, and its size with the cell's.
    pub fn type_tag(self, type_tag: &str) -> CellOptions {
        CellOptions { type_tag: type_tag.into(), ..self }
    }

    fn check(&self, name: &str) -> Result<([u64; 5], usize)> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("cell {name:?}: {why}")));
        if self.size == 0 || self.size > MOST_BYTES {
            return refuse(format!("values of {} bytes: 1 to {MOST_BYTES} are possible", self.size));
        }
        if self.writers == 0 || self.writers > MOST_WRITERS {
            return refuse(format!("{} writers: 1 to {MOST_WRITERS} are possible", self.writers));
        }
        if !self.type_tag.is_empty() {
            let size = TypeLayout::parse(&self.type_tag)
                .map_err(|error| Error::new(error.kind(), format!("cell {name:?}: {error}")))?
                .size();
            if size != self.size {
                let Self { size: own, type_tag, .. } = self;
                return refuse(format!("its type {type_tag:?} has {size} bytes, its values have {own}"));
            }
        }
        let buffers = self.writers + 2;
        match extent(self.size, buffers) {
            Some((stride, bytes)) => Ok(([self.size as u64, buffers as u64, stride as u64, 0, 0], bytes)),
            None => refuse(format!("{buffers} buffers of {} bytes: no memory has that size", self.size)),
        }
    }
}

/// Stride and bytes of a cell, of numbers within their limits.
fn extent(size: usize, buffers: usize) -> Option<(usize, usize)> {
    let stride = size.checked_add(VALUE)?.checked_next_multiple_of(64)?;
    Some((stride, buffers.checked_mul(stride)?.checked_add(FIRST)?))
}

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

/// The memory of a cell, checked once.
#[derive(Clone, Copy)]
struct Memory {
    /// First byte; mapped as long as the object that this comes from.
    control: NonNull<Control>,
    /// First byte of buffer 0; `count` buffers of `stride` bytes, a multiple of 64, follow each other from here, all
    /// of them inside the object.
    first: NonNull<u8>,
    count: u32,
    stride: usize,
    /// At most `stride` - [`VALUE`].
    size: usize,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: words are atomics, values are copied
// by raw pointers. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks the geometry against the view. What is returned must not outlive the view's mapping.
    fn of(view: View<'_>) -> Result<Memory> {
        let g = view.geometry();
        let wrong = || {
            let why = format!(
                "its header says {} buffers of {} bytes, stride {}, in {} bytes, which does not fit together; \
                 remove the object and create it anew",
                g[1],
                g[0],
                g[2],
                view.size()
            );
            Error::new(ErrorKind::Corrupt, why)
        };
        let (Ok(size), Ok(count)) = (usize::try_from(g[0]), usize::try_from(g[1])) else { return Err(wrong()) };
        if size == 0 || size > MOST_BYTES || !(3..=MOST_WRITERS + 2).contains(&count) {
            return Err(wrong());
        }
        match extent(size, count) {
            Some((stride, bytes)) if g[2..] == [stride as u64, 0, 0] && bytes <= view.size() => {
                let control = NonNull::from(view.at::<Control>(0)?);
                // In bounds by what was just checked, and not null as it lies behind `control`.
                let first = NonNull::new(view.base().wrapping_add(FIRST)).ok_or_else(wrong)?;
                Ok(Memory { control, first, count: count as u32, stride, size })
            }
            _ => Err(wrong()),
        }
    }

    #[inline]
    fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the handle its
        // object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and peers may store to it.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    fn words(&self) -> Words<'_, Memory> {
        Words { control: self.control(), buffers: self, count: self.count }
    }

    /// First byte of buffer `index`, in bounds whatever the index.
    #[inline]
    fn buffer(&self, index: u32) -> *mut u8 {
        let index = if index < self.count { index as usize } else { 0 };
        // SAFETY: `index` is below `count`, so this stays inside the object, as `first` says.
        unsafe { self.first.as_ptr().add(index * self.stride) }
    }

    /// First byte of the value in buffer `index`: `size` bytes.
    #[inline]
    fn value(&self, index: u32) -> *mut u8 {
        self.buffer(index).wrapping_add(VALUE)
    }
}

impl Buffers for Memory {
    #[inline]
    fn word(&self, index: u32) -> &AtomicU64 {
        // SAFETY: in bounds, and a multiple of 64 behind a 128-aligned base. Any bits are an `AtomicU64`, and peers may
        // store to it at any time. The mapping lives as long as `self`, see `control`.
        unsafe { &*self.buffer(index).cast() }
    }
}

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

impl Segment {
    /// Finds or creates a cell for values of type `T`.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Incompatible` if there is one for another type, with both layouts side by side, or
    /// another kind of object; `NoSpace`.
    pub fn cell<T: Typed>(&self, name: &str) -> Result<Cell<T>> {
        self.cell_with(name, &CellOptions::of::<T>())?.typed()
    }

    /// Creates a cell for values of type `T`.
    ///
    /// # Errors
    /// As [`Segment::cell`]; `Exists`.
    pub fn create_cell<T: Typed>(&self, name: &str) -> Result<Cell<T>> {
        self.create_cell_with(name, &CellOptions::of::<T>())?.typed()
    }

    /// Opens a cell for values of type `T`, or one without a type for values of that size.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_cell<T: Typed>(&self, name: &str) -> Result<Cell<T>> {
        self.open_raw_cell(name)?.typed()
    }

    /// Finds or creates a cell. One that is there may have another number of writers.
    ///
    /// # Errors
    /// `Invalid` for a bad name or options that do not fit together; `Incompatible` if there is one of another size or
    /// type, or another kind of object; `NoSpace`.
    pub fn cell_with(&self, name: &str, options: &CellOptions) -> Result<RawCell> {
        let cell = self.new_cell(name, options, Want::Either)?;
        if cell.size() != options.size {
            let (there, wished) = (cell.size(), options.size);
            let there = format_args!("values of {there} bytes");
            return Err(other_geometry("cell", name, there, format_args!("{wished}")));
        }
        Ok(cell)
    }

    /// Creates a cell.
    ///
    /// # Errors
    /// As [`Segment::cell_with`]; `Exists`.
    pub fn create_cell_with(&self, name: &str, options: &CellOptions) -> Result<RawCell> {
        self.new_cell(name, options, Want::Create)
    }

    fn new_cell(&self, name: &str, options: &CellOptions, want: Want) -> Result<RawCell> {
        let (geometry, size) = options.check(name)?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: &options.type_tag };
        RawCell::attach(self.object(ObjectKind::Cell, name, want, Some(plan))?)
    }

    /// Opens a cell of whatever size and type.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_raw_cell(&self, name: &str) -> Result<RawCell> {
        RawCell::attach(self.object(ObjectKind::Cell, name, Want::Open, None)?)
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

    /// The same cell for values of type `T`.
    ///
    /// # Errors
    /// `Incompatible` if it is for another type or size.
    pub fn typed<T: Typed>(self) -> Result<Cell<T>> {
        self.object.expect_type(&T::type_tag())?;
        if self.size() != size_of::<T>() {
            let there = format_args!("values of {} bytes", self.size());
            return Err(other_geometry("cell", self.name(), there, format_args!("{}", size_of::<T>())));
        }
        Ok(Cell { raw: self, values: PhantomData })
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
        let version = self.version();
        if version > seen {
            self.load(buffer)
        } else {
            self.check_load(buffer.len())?;
            self.object.still_there()?;
            self.has_seen(version); // who asks for newer ones knows this one
            Ok(None)
        }
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
        let why = format!("{what}: {size} bytes, but a value of cell {:?} has {}", self.address(), self.memory.size);
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

/// The latest value of a plain type: whoever stores replaces it, whoever loads gets it whole.
///
/// Any number of writers and readers, in threads and processes. Readers never hold up a writer, nor does a writer that
/// is stopped or killed in the middle of a store hold up anybody (as long as there are fewer of them than the cell has
/// [writers](CellOptions::writers)): the value that was there stays until the new one is complete.
///
/// A clone is another handle on the same cell. Handles stay good in a forked child.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::{Segment, Typed};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Typed)]
/// #[repr(C)]
/// struct Position { x: f64, y: f64 }
///
/// let segment = Segment::anonymous(1 << 20)?;
/// let position = segment.cell::<Position>("position")?;
/// assert_eq!(position.load()?, None);
/// let version = position.store(Position { x: 1.0, y: 2.0 })?;
/// assert_eq!(position.load()?, Some(Position { x: 1.0, y: 2.0 }));
/// assert_eq!(position.load_newer(version - 1)?, (version, Position { x: 1.0, y: 2.0 }));
/// # Ok(()) }
/// ```
pub struct Cell<T> {
    raw: RawCell,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Cell<T> {
    fn clone(&self) -> Cell<T> {
        Cell { raw: self.raw.clone(), values: PhantomData }
    }
}

impl<T: Typed> Cell<T> {
    /// The same cell as bytes.
    pub fn raw(&self) -> &RawCell {
        &self.raw
    }

    /// Makes `value` the latest value; see [`RawCell::store`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn store(&self, value: T) -> Result<u64> {
        self.raw.store(value.as_bytes())
    }

    /// As [`Cell::store`]; `None` if it would have to wait.
    ///
    /// # Errors
    /// As [`Cell::store`].
    #[inline]
    pub fn try_store(&self, value: T) -> Result<Option<u64>> {
        self.raw.try_store(value.as_bytes())
    }

    /// As [`Cell::store`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawCell::store_until`].
    #[inline]
    pub fn store_until(&self, value: T, deadline: Deadline) -> Result<u64> {
        self.raw.store_until(value.as_bytes(), deadline)
    }

    /// The latest value; `None` if nothing was stored yet. Never waits.
    ///
    /// # Errors
    /// `Removed`; `Corrupt`.
    #[inline]
    pub fn load(&self) -> Result<Option<T>> {
        Ok(self.latest()?.map(|(_, value)| value))
    }

    /// The latest value with its number.
    fn latest(&self) -> Result<Option<(u64, T)>> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `value` has the size of a `T`, which is the cell's: `RawCell::typed`.
        match unsafe { self.raw.load_to(value.as_mut_ptr().cast()) }? {
            // SAFETY: all its bytes were written, and any bytes are a `T: Typed`.
            Some(version) => Ok(Some((version, unsafe { value.assume_init() }))),
            None => {
                self.raw.object.still_there()?;
                Ok(None)
            }
        }
    }

    /// The latest value and its number, once that is greater than `seen`; waits for it for ever. With 0 it waits for the
    /// first one.
    ///
    /// # Errors
    /// As [`RawCell::load_newer`].
    #[inline]
    pub fn load_newer(&self, seen: u64) -> Result<(u64, T)> {
        self.load_newer_until(seen, Deadline::never())
    }

    /// As [`Cell::load_newer`]; `None` if there is no newer value.
    ///
    /// # Errors
    /// As [`Cell::load`].
    #[inline]
    pub fn try_load_newer(&self, seen: u64) -> Result<Option<(u64, T)>> {
        if self.raw.version() > seen { self.latest() } else { Ok(None) }
    }

    /// As [`Cell::load_newer`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawCell::load_newer_until`].
    #[inline]
    pub fn load_newer_until(&self, seen: u64, deadline: Deadline) -> Result<(u64, T)> {
        self.raw.wait_newer_until(seen, deadline)?;
        self.latest()?.ok_or_else(|| self.raw.corrupt(Fault::Restless))
    }

    /// How many values were stored so far; 0: none yet.
    #[inline]
    pub fn version(&self) -> u64 {
        self.raw.version()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.raw.name()
    }
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}
