//! The directory: names of objects, and where each lies.
//!
//! # State
//!
//! An entry is FREE, BUILDING, READY or REMOVED; it changes only under the directory's mutex, whose holder is
//! named in its word and is robbed when he is dead. Room for a new object is the first gap between the
//! extents in use, computed anew each time from the entries themselves: there is no free list to repair.
//!
//! # When a peer dies
//!
//! While BUILDING: whoever gets the mutex next finds it left behind and frees the entry.
//! While READY: its handles are detached by the sweep.
//! A REMOVED entry keeps its memory until the last participant's handle is gone.

use super::layout::ALIGN;
use super::object::{InSegment, ObjectHeader, View};
use super::{ObjectKind, region::Region};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kinds;
use crate::participant::{Participant, thread};
use crate::prim::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sync::mutex;
use crate::sys::memory;
use crate::wait::World;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

const FREE: u32 = 0;
const BUILDING: u32 = 1;
const READY: u32 = 2;
const REMOVED: u32 = 3;

/// One name, 128 bytes. State word: `state:4 | 0:28 | generation:32`.
#[repr(C)]
pub struct Entry {
    state: AtomicU64,
    at: AtomicU64,
    len: AtomicU64,
    _kind: AtomicU32,
    name_len: AtomicU32,
    _rest: [AtomicU64; 4],
    name: [AtomicU64; 8],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Entry {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry>() == 128);

impl Entry {
    fn state(&self) -> u32 {
        // ORDER entry: Acquire; pairs with the Release in `set`: observers read without the mutex.
        (self.state.load(Acquire) & 0xF) as u32
    }

    /// Raised whenever the entry gets a new object.
    pub fn generation(&self) -> u32 {
        (self.state.load(Acquire) >> 32) as u32
    }

    fn set(&self, state: u32, generation: u32) {
        // ORDER entry: Release; pairs with the Acquire in `state`.
        self.state.store(u64::from(state) | u64::from(generation) << 32, Release);
    }

    /// READY, or REMOVED and perhaps in use.
    pub fn is_used(&self) -> bool {
        matches!(self.state(), READY | REMOVED)
    }

    /// Can it be found by name?
    pub fn is_ready(&self) -> bool {
        self.state() == READY
    }

    /// The extent, unchecked.
    pub fn extent(&self) -> (u64, u64) {
        // Relaxed: the mutex or `entry` orders these.
        (self.at.load(Relaxed), self.len.load(Relaxed))
    }

    /// The name; `None` if the entry holds garbage.
    pub fn name(&self) -> Option<String> {
        let len = self.name_len.load(Relaxed) as usize;
        if !(1..=crate::NAME_MAX).contains(&len) {
            return None;
        }
        let mut bytes: Vec<u8> = self.name.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(len);
        String::from_utf8(bytes).ok().filter(|name| crate::name::check("object", name).is_ok())
    }

    fn fill(&self, name: &str, at: usize, len: usize) {
        // Relaxed: `set` publishes these.
        let mut bytes = [0u8; 64];
        bytes[..name.len().min(64)].copy_from_slice(&name.as_bytes()[..name.len().min(64)]);
        for (word, chunk) in self.name.iter().zip(bytes.chunks_exact(8)) {
            word.store(chunk.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b)), Relaxed);
        }
        self.name_len.store(name.len() as u32, Relaxed);
        self.at.store(at as u64, Relaxed);
        self.len.store(len as u64, Relaxed);
    }
}

/// What was found or made.
pub struct Found {
    pub index: usize,
    pub generation: u32,
    pub at: usize,
    pub len: usize,
}

/// How to make an object that is not there.
pub struct Plan<'a> {
    pub geometry: [u64; 5],
    /// Bytes behind the header. They are zero when `initialise` sees them.
    pub size: usize,
    pub initialise: &'a dyn Fn(View<'_>),
    /// The type tag: printable ASCII, at most [`TAG_MAX`] bytes; empty for none.
    pub tag: &'a str,
}

/// The longest type tag, in bytes.
pub const TAG_MAX: usize = 4096;

/// Create, open, or whichever is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Create,
    Open,
    Either,
}

/// The directory while its mutex is held.
pub struct Directory<'a> {
    participant: &'a Participant,
}

impl Participant {
    /// Runs `f` with the directory's mutex held, as this process.
    pub fn with_directory<R>(&self, f: impl FnOnce(&Directory<'_>) -> R) -> Result<R> {
        let me = self.me()?;
        self.with_directory_as(me, Deadline::after(Duration::from_secs(10)), f)
    }

    /// As [`Participant::with_directory`], for a caller that knows its slot; gives up at the deadline.
    pub fn with_directory_as<R>(&self, me: u32, deadline: Deadline, f: impl FnOnce(&Directory<'_>) -> R) -> Result<R> {
        self.directory_local.with(|| {
            let line = &self.region.header().directory;
            let word = mutex::owner_word(me, thread::number());
            // The local lock is ours, so no thread of this process holds the mutex: a word that names our slot is
            // garbage or a predecessor's. It is treated as a dead owner's.
            let owner_died = line.lock(self, me, word, deadline, mutex::Own::Stale)?;
            let directory = Directory { participant: self };
            if owner_died {
                directory.each(|entry| {
                    if entry.state() == BUILDING {
                        entry.set(FREE, entry.generation());
                    }
                });
            }
            line.recover(word);
            let answer = f(&directory);
            line.unlock();
            Ok(answer)
        })
    }
}

impl World for Participant {
    fn still_there(&self) -> Result<()> {
        Ok(())
    }
    fn is_dead(&self, slot: u32) -> bool {
        Participant::is_dead(self, slot)
    }
    fn is_seat(&self, slot: u32) -> bool {
        self.region.seat(slot).is_some()
    }
    fn tick(&self) {}
    #[cold]
    fn timed_out(&self) -> Error {
        let holder = mutex::owner_slot(self.region.header().directory.word());
        let who = self
            .region
            .seat(holder)
            .map_or_else(String::new, |seat| format!("process {} ({}), ", seat.pid(), seat.name()));
        Error::new(
            ErrorKind::Busy,
            format!(
                "the segment's directory is held by {who}which is alive but does not go on; continue or kill it, or create the segment again"
            ),
        )
    }
}

impl mutex::Robber for Participant {
    fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        self.repair(slot, f)
    }
}

impl<'a> Directory<'a> {
    fn region(&self) -> &'a Region {
        &self.participant.region
    }

    fn each(&self, mut f: impl FnMut(&'a Entry)) {
        for index in 0..self.region().geometry.max_objects {
            if let Some(entry) = self.region().entry(index) {
                f(entry);
            }
        }
    }

    /// Every entry that has an object, also one that was removed but is still in use.
    pub fn each_used(&self, mut f: impl FnMut(&'a Entry)) {
        self.each(|entry| {
            if entry.is_used() {
                f(entry);
            }
        });
    }

    /// Entry number `index`.
    pub fn entry(&self, index: usize) -> Option<&'a Entry> {
        self.region().entry(index)
    }

    /// The object of an entry; `None` if the entry holds garbage.
    pub fn object(&self, entry: &Entry) -> Option<(&'a ObjectHeader, View<'a>)> {
        let (at, len) = entry.extent();
        self.region().object(at, len).ok()
    }

    /// Frees a removed entry that nobody has a handle on.
    pub fn reclaim(&self, entry: &Entry, header: &ObjectHeader) {
        if entry.state() == REMOVED && header.attached().next().is_none() {
            entry.set(FREE, entry.generation());
            let (at, len) = entry.extent();
            if let (Ok((at, len)), Ok(file)) = (self.region().check_extent(at, len), self.participant.file()) {
                memory::give_back(file.as_fd(), at as u64, len as u64);
            }
        }
    }

    fn find(&self, name: &str) -> Option<(usize, &'a Entry)> {
        (0..self.region().geometry.max_objects)
            .filter_map(|index| Some((index, self.entry(index)?)))
            .find(|(_, entry)| entry.state() == READY && entry.name().as_deref() == Some(name))
    }

    /// Finds or makes the object `name` and attaches this process to it. `plan` gives geometry and size for a new one.
    pub fn obtain(&self, name: &str, kind: ObjectKind, want: Want, plan: Option<Plan<'_>>) -> Result<Found> {
        let me = self.participant.me()?;
        let index = match self.find(name) {
            Some((index, entry)) => {
                if want == Want::Create {
                    return Err(Error::new(
                        ErrorKind::Exists,
                        format!("{} {name:?} exists already; open it, or remove it first", kind.name()),
                    ));
                }
                let (header, _) = self.object(entry).ok_or_else(|| garbage(name))?;
                if header.kind() != kind as u32 {
                    let there = kinds::of(header.kind()).map_or("unknown object", |k| k.kind.name());
                    return Err(Error::new(
                        ErrorKind::Incompatible,
                        format!(
                            "{name:?} is {} {there}, not {} {}; open it as what it is or choose another name",
                            article(there),
                            article(kind.name()),
                            kind.name()
                        ),
                    ));
                }
                index
            }
            None => match plan {
                Some(plan) if want != Want::Open => self.make(name, kind, &plan)?,
                _ => {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("no {} {name:?} in this segment; `triveni ls` shows what there is", kind.name()),
                    ));
                }
            },
        };
        let entry = self.entry(index).ok_or_else(|| garbage(name))?;
        self.attach(index, entry, me).ok_or_else(|| garbage(name))
    }

    /// Finds the object of this kind in entry `index`, if that has the generation, and attaches this process to it; with
    /// its name.
    pub fn obtain_numbered(&self, index: u32, generation: u32, kind: ObjectKind) -> Result<Option<(Found, String)>> {
        let me = self.participant.me()?;
        let entry = self.entry(index as usize).filter(|entry| entry.is_ready() && entry.generation() == generation);
        Ok(entry.and_then(|entry| {
            self.object(entry).filter(|(header, _)| header.kind() == kind as u32)?;
            let name = entry.name()?;
            Some((self.attach(index as usize, entry, me)?, name))
        }))
    }

    /// Attaches the process in slot `me` to the object of an entry. `None`: the entry holds garbage.
    fn attach(&self, index: usize, entry: &Entry, me: u32) -> Option<Found> {
        let (header, view) = self.object(entry)?;
        header.attach(me);
        if let Some(count) = self.participant.handles.get(index) {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        let len = view.size() + size_of::<ObjectHeader>();
        Some(Found { index, generation: entry.generation(), at: entry.extent().0 as usize, len })
    }

    fn make(&self, name: &str, kind: ObjectKind, plan: &Plan<'_>) -> Result<usize> {
        if plan.tag.len() > TAG_MAX || !plan.tag.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "{} {name:?}: a type tag is up to {TAG_MAX} printable ASCII characters; this one has {}",
                    kind.name(),
                    plan.tag.len()
                ),
            ));
        }
        // At most the size of any memory and 4096: no overflow that the check below would not see.
        let size = plan.size.saturating_add(plan.tag.len());
        let region = self.region();
        let free = (0..region.geometry.max_objects).find(|i| self.entry(*i).is_some_and(|e| !e.is_used()));
        let Some((index, entry)) = free.and_then(|i| Some((i, self.entry(i)?))) else {
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "the directory is full: it has room for {} objects; remove one, or create the segment with a larger max_objects",
                    region.geometry.max_objects
                ),
            ));
        };
        let len = size.checked_add(size_of::<ObjectHeader>()).and_then(|n| n.checked_next_multiple_of(ALIGN));
        let Some((at, len)) = len.and_then(|len| Some((self.gap(len)?, len))) else {
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "{} {name:?} needs {size} bytes, the largest gap in this segment of {} has {}; remove an object or create a larger segment",
                    kind.name(),
                    region.geometry.total_size,
                    self.largest_gap(),
                ),
            ));
        };
        let generation = entry.generation().wrapping_add(1);
        entry.set(BUILDING, generation);
        let built = self
            .participant
            .file()
            .and_then(|file| {
                self.furnish(
                    file,
                    at,
                    len,
                    kinds::committed(kind as u32, &plan.geometry, len - size_of::<ObjectHeader>()),
                )
            })
            .and_then(|()| region.object(at as u64, len as u64));
        match built {
            Ok((header, view)) => {
                header.fill(kind, len as u64, generation, plan.geometry, plan.tag.len() as u16);
                // SAFETY: the last bytes of the view, behind the `plan.size` of the object itself; nobody was told of
                // it yet.
                unsafe { memory::copy_in(view.base().add(view.size() - plan.tag.len()), plan.tag.as_bytes()) };
                (plan.initialise)(view);
                entry.fill(name, at, len);
                entry.set(READY, generation);
                Ok(index)
            }
            Err(error) => {
                entry.set(FREE, generation);
                Err(error)
            }
        }
    }

    /// Memory for a new object of `len` bytes with its header, as zeros: `committed` bytes behind the header, and the end,
    /// where the type tag lies. What is between reads as zeros without any memory, except for parts of pages.
    fn furnish(&self, file: &File, at: usize, len: usize, committed: usize) -> Result<()> {
        let front = committed.saturating_add(size_of::<ObjectHeader>()).min(len);
        let end = len - TAG_MAX.next_multiple_of(ALIGN).min(len - front);
        memory::give_back(file.as_fd(), (at + front) as u64, (end - front) as u64);
        for (from, to) in [(0, front), (end, len)] {
            if from < to {
                memory::commit(file.as_fd(), (at + from) as u64, (to - from) as u64)?;
            }
        }
        self.region().clear(at, front)
    }

    /// The extents in use, in order. Garbage extents are left out: nothing can be reached through them.
    fn extents(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        self.each_used(|entry| {
            let (at, len) = entry.extent();
            if let Ok(extent) = self.region().check_extent(at, len) {
                all.push(extent);
            }
        });
        all.sort_unstable();
        all
    }

    fn gaps(&self) -> Vec<(usize, usize)> {
        let geometry = self.region().geometry;
        let mut at = geometry.arena();
        let mut gaps = Vec::new();
        for (start, len) in self.extents().into_iter().chain([(geometry.total_size, 0)]) {
            if start > at {
                gaps.push((at, start - at));
            }
            at = at.max((start + len).next_multiple_of(ALIGN));
        }
        gaps
    }

    fn gap(&self, len: usize) -> Option<usize> {
        self.gaps().into_iter().find(|(_, room)| *room >= len).map(|(at, _)| at)
    }

    /// The largest object, without its header, that can be made now.
    pub fn largest_gap(&self) -> usize {
        self.gaps().into_iter().map(|(_, room)| room).max().unwrap_or(0).saturating_sub(size_of::<ObjectHeader>())
    }

    /// Removes a name and wakes who waits for the object.
    pub fn remove(&self, name: &str) -> Result<()> {
        let Some((_, entry)) = self.find(name) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("no object {name:?} in this segment; `triveni ls` shows what there is"),
            ));
        };
        entry.set(REMOVED, entry.generation());
        if let Some((header, view)) = self.object(entry) {
            header.set_removed();
            if let Some(kind) = kinds::of(header.kind()) {
                (kind.ring)(view);
            }
            self.reclaim(entry, header);
        }
        Ok(())
    }
}

/// That of a kind's name.
fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

#[cold]
fn garbage(name: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the entry of {name:?} holds garbage; create the segment again"))
}
