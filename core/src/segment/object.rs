//! What every object has: a header in front of it, a view of its memory, and the handle of a process.

use super::directory::{Found, Plan, Want};
use super::{ObjectKind, ObjectState, WaitMode, deadlock};
use crate::error::{Error, ErrorKind, Result};
use crate::kinds;
use crate::participant::{Participant, fork, thread};
use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release},
    Woken,
};
use crate::sync::mutex::{self, Robber};
use crate::sys::memory::{self, copy_out};
use crate::sys::process;
use crate::wait::World;
use crate::wait::board::{self, Note, Said};
use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;
// Process-private: the cached identity of a handle.
use std::sync::atomic::{AtomicU32 as PrivateU32, AtomicU64 as Private};

/// The 128 bytes in front of each object. Constant once the object can be found, except `removed` and
/// `attached`, which change under the directory's mutex, and `shut`.
#[repr(C, align(128))]
pub struct ObjectHeader {
    kind: AtomicU32,
    removed: AtomicU32,
    len: AtomicU64,
    generation: AtomicU32,
    /// How long the type tag is, in the low half, in bytes; it lies at the very end of the object. In the high half:
    /// whether the channel was shut down.
    tag_and_shut: AtomicU32,
    geometry: [AtomicU64; 5],
    /// One bit for each participant that has a handle: bit `slot - 1`.
    attached: [AtomicU64; 8],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for ObjectHeader {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<ObjectHeader>() == 128 && std::mem::offset_of!(ObjectHeader, attached) == 64);

/// In `tag_and_shut`.
const SHUT: u32 = 1 << 31;

impl ObjectHeader {
    /// Fills a fresh header; the directory entry publishes it.
    pub fn fill(&self, kind: ObjectKind, len: u64, generation: u32, geometry: [u64; 5], tag_len: u16) {
        // Relaxed throughout: the directory's mutex orders all of this.
        self.kind.store(kind as u32, Relaxed);
        self.len.store(len, Relaxed);
        self.generation.store(generation, Relaxed);
        self.tag_and_shut.store(u32::from(tag_len), Relaxed);
        for (word, value) in self.geometry.iter().zip(geometry) {
            word.store(value, Relaxed);
        }
    }

    /// Bytes of the type tag, unchecked.
    fn tag_len(&self) -> usize {
        (self.tag_and_shut.load(Relaxed) & 0xFFFF) as usize
    }

    fn shut_down(&self) {
        // ORDER shut: full barrier; who has claimed a place with one, too, and then looks, either sees this or has
        // its claim seen by whoever looks at the places after this.
        self.tag_and_shut.or_full(SHUT);
    }

    fn is_shut_down(&self) -> bool {
        // ORDER shut: Acquire; what was sent before the shutdown is seen by who sees the shutdown.
        self.tag_and_shut.load(Acquire) & SHUT != 0
    }

    /// The kind's number, unchecked.
    pub fn kind(&self) -> u32 {
        self.kind.load(Relaxed)
    }

    /// A copy of the geometry words.
    pub fn geometry(&self) -> [u64; 5] {
        std::array::from_fn(|i| self.geometry[i].load(Relaxed))
    }

    /// Says that the object was removed.
    pub fn set_removed(&self) {
        // ORDER removed: Release; pairs with the Acquire in `is_removed`. Sleepers are rung awake after it.
        self.removed.store(1, Release);
    }

    /// Was it removed?
    pub fn is_removed(&self) -> bool {
        // ORDER removed: Acquire; pairs with the Release in `set_removed`.
        self.removed.load(Acquire) != 0
    }

    fn bit(&self, slot: u32) -> Option<(&AtomicU64, u64)> {
        let i = slot.checked_sub(1)?;
        Some((self.attached.get(i as usize / 64)?, 1 << (i % 64)))
    }

    /// `slot` has a handle. Under the directory's mutex, which orders it (Relaxed).
    pub fn attach(&self, slot: u32) {
        if let Some((word, bit)) = self.bit(slot) {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// `slot` has no handle any more. Under the directory's mutex, which orders it (Relaxed).
    pub fn detach(&self, slot: u32) {
        if let Some((word, bit)) = self.bit(slot) {
            word.fetch_and(!bit, Relaxed);
        }
    }

    /// Has `slot` a handle?
    pub fn is_attached(&self, slot: u32) -> bool {
        // Relaxed: whoever acts on it has read with Acquire what was changed after it, see the barrier's `reset`.
        self.bit(slot).is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
    }

    /// The slots that have a handle.
    pub fn attached(&self) -> impl Iterator<Item = u32> + '_ {
        self.attached.iter().enumerate().flat_map(|(i, word)| {
            let bits = word.load(Relaxed);
            (0..64).filter(move |b| bits >> b & 1 == 1).map(move |b| i as u32 * 64 + b + 1)
        })
    }
}

/// Marks types that may lie in a segment.
///
/// # Safety
/// - `repr(C)` or `repr(transparent)` and made of prim's atomics only, so that any bits are a value and a store
///   by another process at any time is no data race.
pub unsafe trait InSegment {}

// SAFETY: atomics themselves.
unsafe impl InSegment for AtomicU32 {}
// SAFETY: atomics themselves.
unsafe impl InSegment for AtomicU64 {}

/// A checked extent of memory: one object behind its header, or a stand-in on the heap.
#[derive(Clone, Copy)]
pub struct View<'a> {
    base: *mut u8,
    size: usize,
    geometry: [u64; 5],
    /// `None`: a stand-in on the heap.
    header: Option<&'a ObjectHeader>,
    life: PhantomData<&'a ()>,
}

impl<'a> View<'a> {
    /// # Safety
    /// - `base` begins `size` bytes that stay mapped for `'a`, aligned to 128.
    /// - Nobody in this process holds Rust references to them except through views.
    pub unsafe fn new(base: *mut u8, size: usize, geometry: [u64; 5]) -> View<'a> {
        View { base, size, geometry, header: None, life: PhantomData }
    }

    /// The same memory with the header that lies in front of it.
    pub fn behind(self, header: &'a ObjectHeader) -> View<'a> {
        View { header: Some(header), ..self }
    }

    /// Has the process in `slot` a handle on this object? Everybody has one on a stand-in on the heap.
    pub fn is_attached(&self, slot: u32) -> bool {
        self.header.is_none_or(|header| header.is_attached(slot))
    }

    /// The slots that have a handle.
    pub fn attached(&self) -> impl Iterator<Item = u32> + 'a {
        self.header.into_iter().flat_map(|header| header.attached())
    }

    /// Was the object shut down? Never, for a stand-in on the heap.
    pub fn is_shut_down(&self) -> bool {
        self.header.is_some_and(ObjectHeader::is_shut_down)
    }

    /// The type tag that the object was created with; `None` if it was created without one.
    pub fn type_tag(&self) -> Result<Option<String>> {
        let len = self.header.map_or(0, ObjectHeader::tag_len);
        if len == 0 {
            return Ok(None);
        }
        let garbage = |why: String| Error::new(ErrorKind::Corrupt, format!("its type tag {why}"));
        let Some(at) = self.size.checked_sub(len) else {
            return Err(garbage(format!("would be {len} bytes long, the object has {}", self.size)));
        };
        let mut tag = vec![0; len];
        // SAFETY: the last `len` bytes of the `size` that the view has (`View::new`); `tag` is our own. A peer may
        // store there meanwhile: `copy_out` bears that.
        unsafe { copy_out(self.base.wrapping_add(at), &mut tag) };
        match String::from_utf8(tag) {
            Ok(tag) if tag.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => Ok(Some(tag)),
            _ => Err(garbage("is no text".into())),
        }
    }

    /// Bytes of the object, without its header.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The geometry words, copied once when the view was made.
    pub fn geometry(&self) -> [u64; 5] {
        self.geometry
    }

    /// The first byte; 128-aligned.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// The resident of type `T` at byte `offset`; `Corrupt` if it does not fit.
    #[inline]
    pub fn at<T: InSegment>(&self, offset: usize) -> Result<&'a T> {
        if offset.checked_add(size_of::<T>()).is_none_or(|end| end > self.size)
            || !offset.is_multiple_of(align_of::<T>())
        {
            return Err(ErrorKind::Corrupt.into());
        }
        // SAFETY: aligned (the base is, to 128) and in bounds, as just checked. `T: InSegment`: any bits are a
        // value, and it is all atomics, so peers may store to it. The memory lives for 'a (`View::new`).
        Ok(unsafe { &*self.base.add(offset).cast::<T>() })
    }
}

/// What the sweep and the observers need to know of a kind of object. One static for each; `kinds.rs` lists them.
pub struct Kind {
    pub kind: ObjectKind,
    /// Leaves no word naming `slot`, whose process is dead. Idempotent; bounded by the object's size; never panics.
    pub repair: fn(View<'_>, slot: u32),
    /// Wakes everybody who sleeps on the object.
    pub ring: fn(View<'_>),
    /// Thread `thread` of the live process in `slot` has ended: what it held is left as after a death.
    pub leave: fn(View<'_>, slot: u32, thread: u32),
    /// Who could be in the way of a waiter: for finding deadlocks.
    pub holds: fn(View<'_>) -> Holds,
    /// What is to be seen from outside.
    pub state: fn(View<'_>) -> Result<ObjectState>,
}

/// Who holds a lock, as words `slot:12 | thread:16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nobody is ever in the way by holding: an object that anybody may set free.
    Nobody,
    /// One thread; 0: free.
    One(u32),
    /// One word for each permit that is out. A waiter goes on when enough of them are free.
    Permits {
        /// Permits in all.
        max: u32,
        /// Those that are out.
        out: Vec<u32>,
    },
    /// A writer, or 0. Who reads, each thread says itself when it goes to sleep.
    ReadWrite(u32),
}

/// Which object of which participant of this process: for what a thread remembers of its holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectKey {
    /// See `Participant::number`.
    pub participant: u32,
    /// The object's place in the directory.
    pub index: u32,
    /// Its generation there.
    pub generation: u32,
}

/// A process's handle on one object. Cheap to clone; the last clone detaches.
#[derive(Clone)]
pub struct Object(Arc<Attached>);

/// Aligned as objects are, and `identity` not at the beginning: a load waits for a locked store before it whose address
/// has the same low 12 bits, and the words that locks exchange lie at the beginning of a line.
#[repr(C, align(64))]
struct Attached {
    base: *mut u8,
    len: usize,
    /// `fork number:32 | slot:32`, copied from the participant for a quick look. Under another number: attach anew.
    identity: Private,
    /// See [`fork::word`]. Here, as loads of a static (and of its address) may lie where a lock's word does in its page.
    fork: &'static PrivateU32,
    participant: Arc<Participant>,
    segment_name: Option<Arc<str>>,
    name: Box<str>,
    index: usize,
    generation: u32,
    at: usize,
    geometry: [u64; 5],
}

// SAFETY: `base` points into the participant's mapping, which the Arc keeps; all access to it goes through
// atomics and copies that any thread may make.
unsafe impl Send for Attached {}
// SAFETY: as above.
unsafe impl Sync for Attached {}

impl Object {
    /// The handle on what the directory has found or made, and attached this process to.
    pub fn attached(
        participant: Arc<Participant>,
        segment_name: Option<Arc<str>>,
        name: &str,
        found: Found,
    ) -> Result<Object> {
        let Found { index, generation, at, len } = found;
        let me = participant.me()?;
        let (header, view) = participant.region.object(at as u64, len as u64)?;
        let (base, geometry) = (view.base(), view.geometry());
        // Not what the object commits when it needs it: touching it would commit it.
        let committed = kinds::committed(header.kind(), &geometry, view.size()) + size_of::<ObjectHeader>();
        participant.region.prefault(at, committed.min(64 << 20));
        let identity = Private::new(u64::from(fork::number()) << 32 | u64::from(me));
        Ok(Object(Arc::new(Attached {
            identity,
            fork: fork::word(),
            participant,
            segment_name,
            name: name.into(),
            index,
            generation,
            at,
            len,
            base,
            geometry,
        })))
    }

    /// The object of the same segment in entry `index`, if that has this generation and kind. `None`: it is gone.
    pub fn sibling(&self, kind: ObjectKind, index: u32, generation: u32) -> Result<Option<Object>> {
        let found = self.0.participant.with_directory(|d| d.obtain_numbered(index, generation, kind))??;
        let attached = |(found, name): (Found, String)| self.beside(&name, found);
        found.map(attached).transpose()
    }

    /// Finds or makes another object in the same segment.
    pub fn another(&self, kind: ObjectKind, name: &str, want: Want, plan: Option<Plan<'_>>) -> Result<Object> {
        crate::name::check(kind.name(), name)?;
        self.beside(name, self.0.participant.with_directory(|d| d.obtain(name, kind, want, plan))??)
    }

    /// Removes another object of the same segment.
    pub fn remove_another(&self, name: &str) -> Result<()> {
        self.0.participant.with_directory(|d| d.remove(name))?
    }

    fn beside(&self, name: &str, found: Found) -> Result<Object> {
        Object::attached(self.0.participant.clone(), self.0.segment_name.clone(), name, found)
    }

    /// A look at the object of this kind in entry `index` of the same segment, without a handle. It may be removed at
    /// any time, and its memory be another's: what was read is good only if this finds the object again afterwards.
    pub fn neighbour(&self, kind: ObjectKind, index: u32, generation: u32) -> Option<View<'_>> {
        let region = &self.0.participant.region;
        let entry = region.entry(index as usize).filter(|e| e.is_ready() && e.generation() == generation)?;
        let (at, len) = entry.extent();
        let (header, view) = region.object(at, len).ok()?;
        (header.kind() == kind as u32).then_some(view)
    }

    /// The name of the object in entry `index`, if that has this generation.
    pub fn neighbour_name(&self, index: u32, generation: u32) -> Option<String> {
        let entry = self.0.participant.region.entry(index as usize)?;
        let name = entry.name().filter(|_| entry.is_ready());
        name.filter(|_| entry.generation() == generation)
    }

    /// The object's memory.
    #[inline]
    pub fn view(&self) -> View<'_> {
        // SAFETY: `base` begins `len - 128` bytes inside the mapping (checked by `region.object`), which the
        // participant keeps as long as `self`.
        let view = unsafe { View::new(self.0.base, self.0.len - size_of::<ObjectHeader>(), self.0.geometry) };
        // SAFETY: the header lies in front of `base`, inside the mapping (checked by `region.object`); it is all
        // atomics, so peers may store to it.
        view.behind(unsafe { &*self.0.base.cast::<ObjectHeader>().sub(1) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The segment's name; `None` for an anonymous one.
    pub fn segment_name(&self) -> Option<&str> {
        self.0.segment_name.as_deref()
    }

    /// `segment/object`, for messages.
    pub fn address(&self) -> String {
        format!("{}/{}", self.segment_name().unwrap_or("(anonymous)"), self.0.name)
    }

    /// This process's slot; a forked child joins and attaches first. `Removed` if the object's memory may
    /// belong to another object by now.
    #[inline]
    pub fn me(&self) -> Result<u32> {
        // Relaxed: written by this process only, and the slot it names is ours either way.
        let identity = self.0.identity.load(Relaxed);
        // No identity has the number 0, which the word has in a child that has not asked for its own yet.
        if (identity >> 32) as u32 == self.0.fork.load(Relaxed) { Ok(identity as u32) } else { self.attach_anew() }
    }

    #[cold]
    fn attach_anew(&self) -> Result<u32> {
        let me = self.0.participant.me()?;
        self.0.participant.with_directory(|directory| {
            let entry = directory.entry(self.0.index).filter(|e| e.is_used() && e.generation() == self.0.generation);
            let Some((header, _)) = entry.and_then(|e| directory.object(e)) else { return Err(self.removed()) };
            header.attach(me);
            Ok(())
        })??;
        self.0.identity.store(u64::from(fork::number()) << 32 | u64::from(me), Relaxed);
        Ok(me)
    }

    /// Which object this is, to the threads of this process.
    #[inline]
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            participant: self.0.participant.number(),
            index: self.0.index as u32,
            generation: self.0.generation,
        }
    }

    /// The world in which the calling thread waits for this object. `count` says how many permits, which flags or
    /// which condition.
    #[inline]
    pub fn waiting(&self, mode: WaitMode, count: u32) -> Waiting<'_> {
        Waiting { object: self, mode, count, note: Cell::new(None) }
    }

    /// Changes with every fork: a role or a guard taken under another number is not ours.
    #[inline]
    pub fn fork_number(&self) -> u32 {
        // Relaxed: written by this process only.
        match self.0.fork.load(Relaxed) {
            0 => fork::number(),
            number => number,
        }
    }

    /// Commits `len` bytes of the object from `offset` on, which may be committed already: a full file system is an error
    /// here, not a SIGBUS later. One or two system calls.
    pub fn commit(&self, offset: usize, len: usize) -> Result<()> {
        let at = self.extent(offset, len)?;
        memory::commit(self.0.participant.file()?.as_fd(), at, len as u64)
    }

    /// Gives the whole pages among `len` bytes from `offset` on back to the system; they read as zeros from then on. Best
    /// effort.
    pub fn give_back(&self, offset: usize, len: usize) {
        if let (Ok(at), Ok(file)) = (self.extent(offset, len), self.0.participant.file()) {
            memory::give_back(file.as_fd(), at, len as u64);
        }
    }

    /// Copies bytes from `offset` on by a system call: also where no memory is committed, which a load would commit.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let at = self.extent(offset, buffer.len())?;
        let file = self.0.participant.file()?;
        file.read_exact_at(buffer, at).map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "read a segment"))
    }

    /// Where in the file `len` bytes of the object from `offset` on lie.
    fn extent(&self, offset: usize, len: usize) -> Result<u64> {
        let begin = self.0.at + size_of::<ObjectHeader>();
        match offset.checked_add(len) {
            Some(end) if end <= self.0.len - size_of::<ObjectHeader>() => Ok((begin + offset) as u64),
            _ => Err(Error::new(
                ErrorKind::Corrupt,
                format!("{}: {len} bytes at {offset} are not its own", self.address()),
            )),
        }
    }

    /// Runs `f` with the directory's mutex held: alone among all processes.
    pub fn exclusively<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        self.0.participant.with_directory(|_| f())
    }

    /// Runs `f` under the repair byte of `slot` if that process is still dead then. `None`: not dead, or
    /// somebody else is repairing it; look again later.
    pub fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        self.0.participant.repair(slot, f)
    }

    /// Takes the handles of the dead off this object, so that no sweep does anything here for them. `Some`: one that
    /// somebody else is just putting right; look again later.
    pub fn detach_dead(&self) -> Result<Option<u32>> {
        self.0.participant.with_directory(|_| {
            let view = self.view();
            let mut left = None;
            for slot in view.attached() {
                // Under the repair byte: the slot must not get a new owner between verdict and change.
                let gone = || view.header.map(|header| header.detach(slot));
                if self.is_dead(slot) && self.repairing(slot, gone).is_none() {
                    left = Some(slot);
                }
            }
            left
        })
    }

    /// Nothing is to be sent through this channel any more: says so, and wakes everybody.
    pub fn shut_down(&self) {
        let view = self.view();
        let Some(header) = view.header else { return };
        header.shut_down();
        if let Some(kind) = kinds::of(header.kind()) {
            (kind.ring)(view);
        }
    }

    /// Was [`Object::shut_down`] called, by anybody?
    #[inline]
    pub fn is_shut_down(&self) -> bool {
        self.view().header.is_some_and(ObjectHeader::is_shut_down)
    }

    /// The pid that sits in `slot`, for messages. Never trusted for more.
    pub fn pid_of(&self, slot: u32) -> Option<u32> {
        self.0.participant.region.seat(slot).map(|seat| seat.pid()).filter(|pid| *pid != 0)
    }

    #[cold]
    fn removed(&self) -> Error {
        Error::new(ErrorKind::Removed, format!("{} was removed; open or create it again", self.address()))
    }
}

/// A handle on an object together with what lies at its beginning, checked once: the fast paths start here.
pub struct Resident<T> {
    object: Object,
    /// At the first byte of `object`, in bounds and aligned. Mapped as long as `object`.
    at: NonNull<T>,
}

impl<T: InSegment> Resident<T> {
    /// `Corrupt` if the object is too small for a `T`.
    pub fn new(object: Object) -> Result<Resident<T>> {
        let at = NonNull::from(object.view().at::<T>(0)?);
        Ok(Resident { object, at })
    }

    /// What lies at the beginning.
    #[inline(always)]
    pub fn get(&self) -> &T {
        // SAFETY: see the field. `T: InSegment`: any bits are a `T`, and it is all atomics, so peers may store to it.
        unsafe { self.at.as_ref() }
    }

    /// The handle.
    #[inline(always)]
    pub fn object(&self) -> &Object {
        &self.object
    }
}

impl<T> Clone for Resident<T> {
    fn clone(&self) -> Resident<T> {
        Resident { object: self.object.clone(), at: self.at }
    }
}

// SAFETY: it hands out `&T` only, and `T: InSegment` is made of atomics; the handle itself may go to any thread.
unsafe impl<T: InSegment> Send for Resident<T> {}
// SAFETY: as above.
unsafe impl<T: InSegment> Sync for Resident<T> {}

impl World for Object {
    fn still_there(&self) -> Result<()> {
        self.me()?;
        match self.0.participant.region.object(self.0.at as u64, self.0.len as u64) {
            Ok((header, _)) if !header.is_removed() => Ok(()),
            _ => Err(self.removed()),
        }
    }

    fn is_dead(&self, slot: u32) -> bool {
        self.0.participant.is_dead(slot)
    }

    fn is_seat(&self, slot: u32) -> bool {
        self.0.participant.region.seat(slot).is_some()
    }

    fn tick(&self) {
        self.0.participant.tick();
    }

    #[cold]
    fn timed_out(&self) -> Error {
        let unlinked = self.segment_name().is_some_and(|name| super::is_unlinked(&self.0.participant, name));
        let hint =
            if unlinked { "; the segment's name was removed or belongs to a new segment: open it again" } else { "" };
        Error::new(ErrorKind::Timeout, format!("{}: the deadline passed{hint}", self.address()))
    }
}

/// A thread that waits for an object: while it sleeps, everybody can see what for.
pub struct Waiting<'a> {
    object: &'a Object,
    mode: WaitMode,
    count: u32,
    /// Pinned while it waits visibly.
    note: Cell<Option<&'a Note>>,
}

impl<'a> Waiting<'a> {
    /// The calling thread, as in the word of a lock.
    fn owner(&self) -> u32 {
        mutex::owner_word(self.object.0.participant.me_if_joined().unwrap_or(0), thread::number())
    }

    /// Pins a note about this wait. `None`: all notes are taken.
    fn pin(&self) -> Option<&'a Note> {
        let Attached { participant, index, generation, .. } = &*self.object.0;
        let region = &participant.region;
        let mut said = Said {
            owner: self.owner(),
            mode: self.mode as u32,
            since_ns: board::since_ns(),
            object: *index as u32,
            generation: *generation,
            count: self.count,
            asleep: false,
            tid: process::thread_id(),
            reads: [0; board::READS],
        };
        let mut places = said.reads.iter_mut();
        thread::each_read(participant.number(), |read| {
            if let Some(place) = places.next() {
                *place = read.lock.index + 1;
            }
        });
        // Each thread begins to look at another place.
        let (first, all) = (said.owner as usize * 2654435761, region.geometry.notes());
        (0..all).filter_map(|i| region.note(first.wrapping_add(i) % all)).find(|note| note.pin(&said))
    }
}

impl World for Waiting<'_> {
    fn still_there(&self) -> Result<()> {
        self.object.still_there()?;
        let participant = &self.object.0.participant;
        if participant.region.geometry.detect_deadlocks
            && matches!(self.mode, WaitMode::Permit | WaitMode::Lock | WaitMode::Read | WaitMode::Write)
            && let Some(deadlock) = deadlock::mine(&participant.region, |slot| !self.is_dead(slot), self.owner())
        {
            return Err(deadlock);
        }
        Ok(())
    }

    fn visibly<R>(&self, sleep: impl FnOnce() -> R) -> R {
        let pinned = self.pin().map(Pinned);
        self.note.set(pinned.as_ref().map(|pinned| pinned.0));
        let answer = sleep();
        self.note.set(None);
        answer
    }

    fn sleeping(&self, sleep: impl FnOnce() -> Woken) -> Woken {
        let Some(note) = self.note.get() else { return sleep() };
        note.falls_asleep();
        let woken = sleep();
        note.wakes_up();
        woken
    }

    fn is_dead(&self, slot: u32) -> bool {
        self.object.is_dead(slot)
    }

    fn is_seat(&self, slot: u32) -> bool {
        self.object.is_seat(slot)
    }

    fn tick(&self) {
        self.object.tick();
    }

    #[cold]
    fn timed_out(&self) -> Error {
        self.object.timed_out()
    }
}

impl Robber for Waiting<'_> {
    fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        self.object.repairing(slot, f)
    }
}

/// A note that is taken off in the end.
struct Pinned<'a>(&'a Note);

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.0.take_off();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(count) = self.participant.handles.get(self.index) else { return };
        // AcqRel: the last handle detaches after every other one has let go.
        if count.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) != 1 {
            return;
        }
        let Some(me) = self.participant.me_if_joined() else { return };
        let deadline = crate::Deadline::after(std::time::Duration::from_secs(1));
        // A directory that cannot be had keeps our bit until we leave the segment: memory is reused later.
        let _ = self.participant.with_directory_as(me, deadline, |directory| {
            let entry = directory.entry(self.index).filter(|e| e.is_used() && e.generation() == self.generation);
            // Another thread may have opened it again while we waited.
            if self.participant.handles[self.index].load(Relaxed) == 0
                && let Some(entry) = entry
                && let Some((header, _)) = directory.object(entry)
            {
                header.detach(me);
                directory.reclaim(entry, header);
            }
        });
    }
}

/// An object on the heap, for unit tests: the memory of a view without a segment.
#[cfg(test)]
pub struct HeapMemory {
    memory: *mut u8,
    layout: std::alloc::Layout,
    geometry: [u64; 5],
}

#[cfg(test)]
impl HeapMemory {
    /// `size` zeroed bytes, aligned as in a segment.
    pub fn new(size: usize, geometry: [u64; 5]) -> HeapMemory {
        let layout = std::alloc::Layout::from_size_align(size, 128).unwrap();
        // SAFETY: the tests ask for more than 0 bytes.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!memory.is_null());
        HeapMemory { memory, layout, geometry }
    }

    /// The memory as an object's view.
    pub fn view(&self) -> View<'_> {
        // SAFETY: allocated with this size and alignment, freed only by drop.
        unsafe { View::new(self.memory, self.layout.size(), self.geometry) }
    }
}

#[cfg(test)]
impl Drop for HeapMemory {
    fn drop(&mut self) {
        // SAFETY: from alloc_zeroed with this layout.
        unsafe { std::alloc::dealloc(self.memory, self.layout) };
    }
}

#[cfg(test)]
// SAFETY: as for a segment: access through atomics and copies only.
unsafe impl Sync for HeapMemory {}
#[cfg(test)]
// SAFETY: it owns its memory, which any thread may free.
unsafe impl Send for HeapMemory {}
