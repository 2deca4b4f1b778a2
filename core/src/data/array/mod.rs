//! An array: n-dimensional memory of one type, in place for Rust, C and numpy.
//!
//! # State
//!
//! | bytes              | what                                                                        |
//! |--------------------|-----------------------------------------------------------------------------|
//! | 0–63               | the lock of those who write as a whole, see the mutex                       |
//! | 64–71              | version: odd while somebody writes as a whole                               |
//! | 128–191            | shape: 8 words, those behind `ndim` are 0                                   |
//! | from the next page | the elements, in C order                                                    |
//!
//! Geometry: bytes of an element, `ndim`, bytes of all elements, 0, 0. It and the shape are read once, checked against
//! the memory that is really there, and never read again. The element type is the object's type tag.
//!
//! # Two ways to use it
//!
//! *Raw*: through a pointer, a slice or a numpy array, each element as memory is, in order with nothing. *As a whole*:
//! [`RawArray::write`] keeps other such writers out and makes the version odd; [`RawArray::snapshot`] copies what is whole:
//! it copies, looks whether the version is the same even number as before, and after 8 tries waits for the writer.
//! Who writes raw is not seen by either.
//!
//! # Orderings
//!
//! Edge `whole`: the writer's last store of the version releases, the first look of a snapshot acquires.
//! Edge `stain`: the fence behind "odd" pairs with the fence behind the copy: a snapshot that has seen a byte of a writer
//! sees that the version is odd, or another.
//!
//! # When a peer dies
//!
//! | killed                                | version | the next writer, and snapshots                                  |
//! |---------------------------------------|---------|-----------------------------------------------------------------|
//! | with the lock, before "odd"           | even    | go on as if nothing had been                                    |
//! | while it writes                       | odd     | are told `OwnerDied`, until a writer has said `recover`         |
//! | after "even", before unlocking        | even    | go on as if nothing had been                                    |
//! | in a snapshot that has locked         | even    | go on as if nothing had been                                    |

#[cfg(all(test, shuttle))]
mod deaths;
#[cfg(all(test, not(loom)))]
mod tests;
mod typed;

pub use typed::{Array, ArrayGuard};

use super::type_tag::TypeLayout;
use crate::prim::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::segment::directory::{Plan, Want};
use crate::segment::object::{InSegment, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, other_geometry};
use crate::sync::mutex::{self, MutexLine};
use crate::sync::{Guard, Holder, LockError, Mutex, MutexGuard};
use crate::sys::memory::{copy_in, copy_out};
use crate::{Deadline, Error, ErrorKind, Result, Segment};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// Elements begin at a page, so that they may be mapped, and used by what wants large alignments.
const PAGE: usize = 4096;
/// Copies of a snapshot before it waits for the writer.
const TRIES: u32 = 8;
/// The most dimensions.
const MOST_DIMENSIONS: usize = 8;

#[repr(C, align(64))]
struct Control {
    lock: MutexLine,
    version: AtomicU64,
    _rest: [AtomicU64; 7],
    shape: [AtomicU64; MOST_DIMENSIONS],
    _more: [AtomicU64; 8],
}

// SAFETY: `repr(C)`, made of prim's atomics and of a mutex, which is too.
unsafe impl InSegment for Control {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 256 && std::mem::offset_of!(Control, shape) == 128);

impl Control {
    /// Somebody begins to write as a whole, who has the lock.
    fn begin(&self) {
        // Relaxed: the lock orders writers.
        self.version.store(self.version.load(Relaxed) | 1, Relaxed);
        // ORDER stain: pairs with the fence in `try_copy`.
        fence(Release);
    }

    /// Does nobody write, and has nobody died in the middle? For who has the lock.
    fn is_whole(&self) -> bool {
        // Relaxed: the lock orders writers, also after a death.
        self.version.load(Relaxed).is_multiple_of(2)
    }

    /// What was written is whole, unless a writer has died with it and nobody has put it right.
    fn end(&self, owner_died: bool) {
        if !owner_died {
            // ORDER whole: Release; pairs with the Acquire in `try_copy`.
            self.version.store((self.version.load(Relaxed) | 1).wrapping_add(1), Release);
        }
    }

    /// Runs `copy`. True: it succeeded, and nobody wrote as a whole meanwhile.
    fn try_copy(&self, copy: impl FnOnce() -> bool) -> bool {
        // ORDER whole: Acquire; pairs with the Release in `end`.
        let before = self.version.load(Acquire);
        if before % 2 == 1 || !copy() {
            return false;
        }
        // ORDER stain: pairs with the fence in `begin`.
        fence(Acquire);
        self.version.load(Relaxed) == before
    }
}

/// Bytes of all elements; `None`: no memory has that size.
fn bytes_of(item_size: usize, shape: &[usize]) -> Option<usize> {
    // A dimension of 0 leaves no bytes, however large the others are.
    let elements = shape.iter().filter(|n| **n != 0).try_fold(1usize, |n, m| n.checked_mul(*m))?;
    let bytes = elements.checked_mul(item_size).filter(|n| *n <= isize::MAX as usize / 2)?;
    Some(if shape.contains(&0) { 0 } else { bytes })
}

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Array,
    repair: mutex::KIND.repair,
    ring: mutex::KIND.ring,
    leave: mutex::KIND.leave,
    holds: mutex::KIND.holds,
    state: |view| {
        let memory = Memory::of(view)?;
        let control = memory.control();
        let version = control.version.load(Relaxed); // Relaxed: a number to be shown.
        Ok(ObjectState::Array {
            type_tag: view.type_tag()?.unwrap_or_default(),
            shape: memory.shape.to_vec(),
            writer: mutex::holder_in(control.lock.word()),
            owner_died: control.lock.is_inconsistent() && version % 2 == 1,
            version: version / 2,
        })
    },
};

/// The memory of an array, checked once.
#[derive(Clone)]
struct Memory {
    /// First byte; mapped as long as the object that this comes from.
    control: NonNull<Control>,
    /// The first element, at a page: `bytes` bytes from here on lie inside the object.
    first: NonNull<u8>,
    /// The product of `shape` and `item_size`.
    bytes: usize,
    item_size: usize,
    shape: Arc<[usize]>,
}

// SAFETY: the pointers lead to memory that is shared between processes anyway: words are atomics, elements are copied
// by raw pointers. Nothing here belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Checks geometry and shape against the view. What is returned must not outlive the view's mapping.
    fn of(view: View<'_>) -> Result<Memory> {
        let [item_size, ndim, bytes, ..] = view.geometry();
        let control = view.at::<Control>(0)?;
        // Relaxed: constant since the directory's entry published them; a stranger's numbers, copied once.
        let words: Vec<u64> = control.shape.iter().map(|n| n.load(Relaxed)).collect();
        let garbage = || {
            let why = format!(
                "its header says {ndim} dimensions of {words:?}, {item_size} bytes each, in {} bytes, which does not fit \
                 together; remove the object and create it anew",
                view.size()
            );
            Error::new(ErrorKind::Corrupt, why)
        };
        let ndim = usize::try_from(ndim).ok().filter(|n| *n <= MOST_DIMENSIONS).ok_or_else(garbage)?;
        let shape: Arc<[usize]> = words[..ndim].iter().map(|n| *n as usize).collect();
        let item_size = usize::try_from(item_size).ok().filter(|n| *n != 0).ok_or_else(garbage)?;
        let all = bytes_of(item_size, &shape).filter(|all| *all as u64 == bytes).ok_or_else(garbage)?;
        let at = first_page(view.base() as usize);
        if at.checked_add(all).is_none_or(|end| end > view.size()) {
            return Err(garbage());
        }
        // In bounds by what was just checked, and not null as it lies behind `control`.
        let first = NonNull::new(view.base().wrapping_add(at)).ok_or_else(garbage)?;
        Ok(Memory { control: NonNull::from(control), first, bytes: all, item_size, shape })
    }

    #[inline]
    fn control(&self) -> &Control {
        // SAFETY: `of` got this pointer from a checked reference; who holds a `Memory` holds the mapping (the handle its
        // object, the functions of `KIND` their view). `Control: InSegment`: any bits are one, and peers may store to it.
        unsafe { self.control.as_ref() }
    }
}

/// Where elements begin in an object at `base`. The same in each process, as all map the segment at a page.
fn first_page(base: usize) -> usize {
    (base + size_of::<Control>()).next_multiple_of(PAGE) - base
}

/// N-dimensional memory of one type: an [`Array`] without a Rust type.
///
/// A clone is another handle on the same array. Handles stay good in a forked child.
#[derive(Clone)]
pub struct RawArray {
    object: Object,
    memory: Memory,
    lock: Mutex,
    type_tag: Arc<str>,
}

impl Segment {
    /// Finds or creates an array of `shape` with elements described by `type_tag`, a PEP 3118 format: `d`, or
    /// `T{f:x:f:y:}`. New elements are zeros.
    ///
    /// # Errors
    /// `Invalid` for a bad name, a bad type tag, more than 8 dimensions; `Incompatible` if there is one of another shape or
    /// element type, or another kind of object; `NoSpace`.
    pub fn raw_array(&self, name: &str, type_tag: &str, shape: &[usize]) -> Result<RawArray> {
        let array = self.new_array(name, type_tag, shape, Want::Either)?;
        if array.shape() != shape {
            let there = format_args!("shape {:?}", array.shape());
            return Err(other_geometry("array", name, there, format_args!("{shape:?}")));
        }
        Ok(array)
    }

    /// Creates an array.
    ///
    /// # Errors
    /// As [`Segment::raw_array`]; `Exists`.
    pub fn create_raw_array(&self, name: &str, type_tag: &str, shape: &[usize]) -> Result<RawArray> {
        self.new_array(name, type_tag, shape, Want::Create)
    }

    fn new_array(&self, name: &str, type_tag: &str, shape: &[usize], want: Want) -> Result<RawArray> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("array {name:?}: {why}")));
        if shape.len() > MOST_DIMENSIONS {
            return refuse(format!("{} dimensions are too many, the most is {MOST_DIMENSIONS}", shape.len()));
        }
        let layout = TypeLayout::parse(type_tag)
            .map_err(|error| Error::new(error.kind(), format!("array {name:?}: {error}")))?;
        let item_size = layout.size();
        let room = bytes_of(item_size, shape).and_then(|n| Some((n, n.checked_add(size_of::<Control>() + PAGE)?)));
        let Some((bytes, size)) = room else {
            return refuse(format!("shape {shape:?} of {item_size} bytes each: no memory has that size"));
        };
        let initialise = |view: View<'_>| {
            if let Ok(control) = view.at::<Control>(0) {
                for (word, n) in control.shape.iter().zip(shape) {
                    word.store(*n as u64, Relaxed); // Relaxed: the directory's mutex orders this.
                }
            }
        };
        let geometry = [item_size as u64, shape.len() as u64, bytes as u64, 0, 0];
        let plan = Plan { geometry, size, initialise: &initialise, tag: type_tag };
        RawArray::attach(self.object(ObjectKind::Array, name, want, Some(plan))?)
    }

    /// Opens an array of whatever shape and element type.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible` if it is another kind of object.
    pub fn open_raw_array(&self, name: &str) -> Result<RawArray> {
        RawArray::attach(self.object(ObjectKind::Array, name, Want::Open, None)?)
    }
}

impl RawArray {
    fn attach(object: Object) -> Result<RawArray> {
        let garbage = |why: String| Error::new(ErrorKind::Corrupt, format!("array {:?}: {why}", object.address()));
        let memory = Memory::of(object.view()).map_err(|error| garbage(error.to_string()))?;
        let tag = object.type_tag()?.ok_or_else(|| garbage("it has no element type".into()))?;
        let layout = TypeLayout::parse(&tag).map_err(|error| garbage(error.to_string()))?;
        if layout.size() != memory.item_size {
            let (said, meant) = (memory.item_size, layout.size());
            return Err(garbage(format!("elements of {said} bytes are no {tag:?}, which has {meant}; remove it")));
        }
        let lock = Mutex::attach(object.clone())?;
        Ok(RawArray { object, memory, lock, type_tag: tag.into() })
    }

    /// Is it of elements of the type `wanted`? `""` agrees with all.
    ///
    /// # Errors
    /// `Incompatible`, with both layouts side by side; `Invalid` if `wanted` is no type tag.
    pub fn expect_type(&self, wanted: &str) -> Result<()> {
        self.object.expect_type(wanted)
    }

    /// The element type, as a PEP 3118 format.
    pub fn type_tag(&self) -> &str {
        &self.type_tag
    }

    /// Its dimensions; the last one is that of neighbours in memory.
    pub fn shape(&self) -> &[usize] {
        &self.memory.shape
    }

    /// Bytes from an element to the next one, in each dimension.
    pub fn strides(&self) -> Vec<usize> {
        let shape = self.shape();
        (0..shape.len())
            .map(|i| self.memory.item_size * shape[i + 1..].iter().map(|n| (*n).max(1)).product::<usize>())
            .collect()
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.memory.bytes / self.memory.item_size
    }

    /// No elements at all?
    pub fn is_empty(&self) -> bool {
        self.memory.bytes == 0
    }

    /// Bytes of an element.
    pub fn item_size(&self) -> usize {
        self.memory.item_size
    }

    /// Bytes of all elements.
    pub fn size(&self) -> usize {
        self.memory.bytes
    }

    /// The first element, at a page; [`size`](RawArray::size) bytes from here on are mapped as long as any handle on this
    /// array. Every process may write there at any time.
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.first.as_ptr()
    }

    /// Copies bytes out, from `offset` on, as they are at this moment: not as a whole.
    ///
    /// # Errors
    /// `Invalid` if there are not as many.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        self.check_extent("read", offset, buffer.len())?;
        // SAFETY: inside the elements, as just checked; peers may store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_out(self.as_ptr().add(offset), buffer) };
        Ok(())
    }

    /// Copies bytes in, from `offset` on. Keeps nobody out: for that, hold [`RawArray::write`].
    ///
    /// # Errors
    /// `Invalid` if they do not fit.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_extent("write", offset, bytes.len())?;
        // SAFETY: inside the elements, as just checked; peers may read and store there meanwhile: it is a raw copy.
        unsafe { copy_in(self.as_ptr().add(offset), bytes) };
        Ok(())
    }

    fn check_extent(&self, what: &str, offset: usize, len: usize) -> Result<()> {
        if offset.checked_add(len).is_some_and(|end| end <= self.size()) {
            return Ok(());
        }
        let why = format!(
            "{what}: {len} bytes at {offset} lie outside of array {:?}, which has {}",
            self.address(),
            self.size()
        );
        Err(Error::new(ErrorKind::Invalid, why))
    }

    /// Begins to write as a whole; waits for ever for whoever does so.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard if a writer died in the middle; `Deadlock` if the calling thread writes
    /// already; `Removed`.
    pub fn write(&self) -> Result<WriteGuard<'_>, LockError<WriteGuard<'_>>> {
        self.write_until(Deadline::never())
    }

    /// As [`RawArray::write`]; `None` if somebody writes.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard.
    pub fn try_write(&self) -> Result<Option<WriteGuard<'_>>, LockError<WriteGuard<'_>>> {
        match self.lock.try_lock() {
            Ok(None) => Ok(None),
            Ok(Some(lock)) => self.begin(Ok(lock)).map(Some),
            Err(error) => self.begin(Err(error)).map(Some),
        }
    }

    /// As [`RawArray::write`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawArray::write`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn write_until(&self, deadline: Deadline) -> Result<WriteGuard<'_>, LockError<WriteGuard<'_>>> {
        self.begin(self.lock.lock_until(deadline))
    }

    fn begin<'a>(
        &'a self,
        locked: Result<MutexGuard<'a>, LockError<MutexGuard<'a>>>,
    ) -> Result<WriteGuard<'a>, LockError<WriteGuard<'a>>> {
        let (lock, owner_died) = self.settle(locked).map_err(LockError::Failed)?;
        self.memory.control().begin();
        let guard = WriteGuard { array: self, fork: self.object.fork_number(), _lock: lock };
        if owner_died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    /// The lock, and whether a writer died with it in the middle: not if the version is even.
    fn settle<'a>(&self, locked: Result<MutexGuard<'a>, LockError<MutexGuard<'a>>>) -> Result<(MutexGuard<'a>, bool)> {
        match locked {
            Ok(lock) => Ok((lock, false)),
            Err(LockError::Failed(error)) => Err(error),
            Err(LockError::OwnerDied(lock)) if self.memory.control().is_whole() => {
                lock.recover();
                Ok((lock, false))
            }
            Err(LockError::OwnerDied(lock)) => Ok((lock, true)),
        }
    }

    /// Ends writing as a whole, without a guard: one that was forgotten with [`std::mem::forget`].
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread writes.
    pub fn end_write(&self) -> Result<()> {
        if self.lock.is_mine() {
            self.end();
        }
        self.lock.unlock()
    }

    /// As [`WriteGuard::recover`], without a guard.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread writes.
    pub fn recover(&self) -> Result<()> {
        self.lock.recover()
    }

    /// Ends writing as a whole; the lock is still ours.
    fn end(&self) {
        self.memory.control().end(self.lock.owner_died());
    }

    /// Copies all elements as they were at one moment between two writers; waits for ever for one that writes.
    ///
    /// # Errors
    /// `OwnerDied` if a writer died in the middle and nobody has recovered since; `Invalid` unless `buffer` has exactly
    /// [`size`](RawArray::size) bytes; `Removed`.
    pub fn snapshot(&self, buffer: &mut [u8]) -> Result<()> {
        self.snapshot_until(buffer, Deadline::never())
    }

    /// As [`RawArray::snapshot`]; `false` if somebody writes.
    ///
    /// # Errors
    /// As [`RawArray::snapshot`].
    pub fn try_snapshot(&self, buffer: &mut [u8]) -> Result<bool> {
        self.check_buffer(buffer.len())?;
        if self.try_copy(buffer) {
            return Ok(true);
        }
        match self.lock.try_lock() {
            Ok(None) if !self.lock.is_mine() => Ok(false),
            Ok(None) => self.read(0, buffer).map(|()| true),
            Ok(Some(lock)) => self.copy_locked(Ok(lock), buffer).map(|()| true),
            Err(error) => self.copy_locked(Err(error), buffer).map(|()| true),
        }
    }

    /// As [`RawArray::snapshot`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawArray::snapshot`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn snapshot_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        self.check_buffer(buffer.len())?;
        self.object.me()?;
        for _ in 0..TRIES {
            if self.try_copy(buffer) {
                return Ok(());
            }
        }
        if self.lock.is_mine() {
            return self.read(0, buffer); // who writes knows what is whole
        }
        self.copy_locked(self.lock.lock_until(deadline), buffer)
    }

    fn copy_locked(&self, locked: Result<MutexGuard<'_>, LockError<MutexGuard<'_>>>, buffer: &mut [u8]) -> Result<()> {
        let (_lock, owner_died) = self.settle(locked)?;
        if owner_died {
            let why = format!(
                "snapshot of array {:?}: a process died while it wrote; who writes next gets the news, and says with \
                 recover that the elements are whole again",
                self.address()
            );
            return Err(Error::new(ErrorKind::OwnerDied, why));
        }
        self.read(0, buffer)
    }

    fn try_copy(&self, buffer: &mut [u8]) -> bool {
        self.memory.control().try_copy(|| self.read(0, buffer).is_ok())
    }

    fn check_buffer(&self, len: usize) -> Result<()> {
        if len == self.size() {
            return Ok(());
        }
        let why =
            format!("snapshot: a buffer of {len} bytes for array {:?}, which has {}", self.address(), self.size());
        Err(Error::new(ErrorKind::Invalid, why))
    }

    /// How often it was written as a whole.
    pub fn version(&self) -> u64 {
        // ORDER whole: Acquire: who sees a version sees what was written before it.
        self.memory.control().version.load(Acquire) / 2
    }

    /// Has a writer died in the middle, and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        self.lock.owner_died() && self.memory.control().version.load(Relaxed) % 2 == 1
    }

    /// Who writes as a whole at this moment.
    pub fn writer(&self) -> Option<Holder> {
        self.lock.holder()
    }

    /// What those take who write as a whole.
    pub(crate) fn lock(&self) -> &Mutex {
        &self.lock
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object.address()
    }
}

impl fmt::Debug for RawArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({:?}, {:?}, shape {:?})", self.address(), self.type_tag(), self.shape())
    }
}

/// Writing as a whole: others that do so wait, snapshots wait or copy what was before. Dropping it says that the elements
/// are whole; in a forked child it does nothing, as the parent writes.
#[must_use = "dropping the guard ends writing at once"]
pub struct WriteGuard<'a> {
    array: &'a RawArray,
    fork: u32,
    /// Dropped behind `end`.
    _lock: MutexGuard<'a>,
}

impl WriteGuard<'_> {
    /// Has a writer died in the middle, and nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.array.lock.owner_died()
    }

    /// Says that the elements will be whole when this guard is dropped. Without it, the next writer gets `OwnerDied` too.
    pub fn recover(&self) {
        self._lock.recover();
    }
}

impl Guard for WriteGuard<'_> {
    fn address(&self) -> String {
        self.array.address()
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        if self.fork == self.array.object.fork_number() {
            self.array.end();
        }
    }
}
