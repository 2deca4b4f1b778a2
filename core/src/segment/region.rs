//! A mapped segment: the one place where an offset becomes a reference, each checked against the mapping.

use super::layout::{ALIGN, ENTRY, Geometry, HEADER, Header, NOTE, PARTICIPANT};
use super::object::{InSegment, ObjectHeader, View};
use crate::error::{Error, ErrorKind, Result};
use crate::participant::Seat;
use crate::segment::directory::Entry;
use crate::wait::board::Note;
use memmap2::MmapRaw;

/// A mapping with checked geometry.
pub struct Region {
    map: MmapRaw,
    pub geometry: Geometry,
    writable: bool,
}

impl Region {
    /// `map` must be as large as the geometry says; otherwise every access is refused.
    pub fn new(map: MmapRaw, geometry: Geometry, writable: bool) -> Region {
        Region { map, geometry, writable }
    }

    /// The resident of type `T` at `offset`.
    fn at<T: InSegment>(&self, offset: usize) -> Result<&T> {
        let end = offset.checked_add(size_of::<T>());
        if end.is_none_or(|end| end > self.map.len()) || !offset.is_multiple_of(align_of::<T>()) {
            return Err(Error::new(ErrorKind::Corrupt, format!("offset {offset} lies outside the segment")));
        }
        // SAFETY: aligned and in bounds (checked above; a mapping begins at a page). `T: InSegment`: any bits are
        // a value, and it is all atomics, so peers may store to it. The mapping lives as long as `self`.
        Ok(unsafe { &*self.map.as_ptr().add(offset).cast::<T>() })
    }

    /// The first page.
    pub fn header(&self) -> &Header {
        // SAFETY: a mapping with a checked geometry has more than one page. The rest as in `at`.
        unsafe { &*self.map.as_ptr().cast::<Header>() }
    }

    /// Seat number `slot`, from 1.
    pub fn seat(&self, slot: u32) -> Option<&Seat> {
        if slot == 0 || slot as usize > self.geometry.max_participants {
            return None;
        }
        self.at(HEADER + (slot as usize - 1) * PARTICIPANT).ok()
    }

    /// Number `index` of the directory.
    pub fn entry(&self, index: usize) -> Option<&Entry> {
        if index >= self.geometry.max_objects {
            return None;
        }
        self.at(self.geometry.directory() + index * ENTRY).ok()
    }

    /// Number `index` of the board.
    pub fn note(&self, index: usize) -> Option<&Note> {
        if index >= self.geometry.notes() {
            return None;
        }
        self.at(self.geometry.board() + index * NOTE).ok()
    }

    /// All of the board.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        (0..self.geometry.notes()).filter_map(|index| self.note(index))
    }

    /// Checks an extent of the arena: a header and what is behind it.
    pub fn check_extent(&self, at: u64, len: u64) -> Result<(usize, usize)> {
        let (Ok(at_), Ok(len_)) = (usize::try_from(at), usize::try_from(len)) else { return Err(outside(at, len)) };
        let end = at_.checked_add(len_);
        if at_ < self.geometry.arena()
            || !at_.is_multiple_of(ALIGN)
            || len_ < size_of::<ObjectHeader>()
            || end.is_none_or(|end| end > self.geometry.total_size || end > self.map.len())
        {
            return Err(outside(at, len));
        }
        Ok((at_, len_))
    }

    /// The header and the memory of the object in a checked extent.
    pub fn object(&self, at: u64, len: u64) -> Result<(&ObjectHeader, View<'_>)> {
        let (at, len) = self.check_extent(at, len)?;
        let header: &ObjectHeader = self.at(at)?;
        let behind = size_of::<ObjectHeader>();
        // SAFETY: `at + len` lies inside the mapping (`check_extent`), and `at + behind <= at + len`.
        let base = unsafe { self.map.as_mut_ptr().add(at + behind) };
        // SAFETY: `base` begins `len - behind` mapped bytes that live as long as `self`, aligned to 128.
        let view = unsafe { View::new(base, len - behind, header.geometry()) };
        Ok((header, view.behind(header)))
    }

    /// Fills an extent with zeros: only its creator does, before anybody else can find it.
    pub fn clear(&self, at: usize, len: usize) -> Result<()> {
        let (at, len) = self.check_extent(at as u64, len as u64)?;
        debug_assert!(self.writable);
        // SAFETY: the extent lies inside a writable mapping; nobody was told of it yet.
        unsafe { std::ptr::write_bytes(self.map.as_mut_ptr().add(at), 0, len) };
        Ok(())
    }

    /// Puts page table entries in place for an extent.
    pub fn prefault(&self, at: usize, len: usize) {
        if self.check_extent(at as u64, len as u64).is_ok() {
            // SAFETY: the extent lies inside the mapping.
            unsafe { crate::sys::memory::prefault(self.map.as_mut_ptr().add(at), len) };
        }
    }
}

#[cold]
fn outside(at: u64, len: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("an object of {len} bytes at {at} does not lie in the arena; the directory holds garbage"),
    )
}

// SAFETY: a Region hands out references to atomics and checked views only; MmapRaw itself is Send and Sync.
unsafe impl Sync for Region {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Region {}
