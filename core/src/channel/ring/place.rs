//! Where a ring lies in its segment: what of the object's memory is what, checked once.
//!
//! | byte  | what                                                            | written by         |
//! |-------|-----------------------------------------------------------------|--------------------|
//! | 0     | the producer's [`End`]: role word at 0, position at 8           | producer           |
//! | 128   | the consumer's [`End`]                                          | consumer           |
//! | 256   | park word: the consumer sleeps here until a record is there     | both, when it does |
//! | 320   | park word: the producer sleeps here until there is room         | both, when it does |
//! | 384   | the cells, 64 bytes each: header word, 56 bytes; packed: records | producer           |
//!
//! The five geometry words: number of cells (packed: of records), largest record, size of each record (0: records of
//! any size in cells), byte of the first cell, flags (1: exact wake). All zero bytes are an empty ring.

use super::cells::{CELL, CELLS_MAX, CELLS_MIN, End, Memory, max_record};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::AtomicU64;
use crate::segment::object::View;
use crate::wait::ParkWord;
use std::ptr::NonNull;

const PRODUCER: usize = 0;
const CONSUMER: usize = 128;
const FILLED: usize = 256;
const FREED: usize = 320;
const CELLS: usize = 384;

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<End>() == 16 && std::mem::offset_of!(End, role) == 0 && std::mem::offset_of!(End, position) == 8);
    assert!(size_of::<ParkWord>() == 4 && size_of::<AtomicU64>() == 8);
};

/// In the flags.
const EXACT: u64 = 1;
/// The most bytes that cells or records take.
const MAX: u64 = CELLS_MAX * CELL;

/// Geometry words and bytes behind the object's header for a ring of at least `size` bytes.
pub(super) fn geometry(name: &str, size: usize, exact: bool) -> Result<([u64; 5], usize)> {
    const MIN: u64 = CELLS_MIN * CELL;
    let asked = size as u64;
    if asked == 0 || asked > MAX {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "ring {name:?} of {size} bytes; give it from 1 to {MAX} bytes (it gets a power of two, {MIN} at least)"
            ),
        ));
    }
    let bytes = asked.next_power_of_two().max(MIN);
    let cells = bytes / CELL;
    Ok(([cells, max_record(cells), 0, CELLS as u64, u64::from(exact) * EXACT], CELLS + bytes as usize))
}

/// The same for a ring of at least `capacity` packed records.
pub(super) fn packed_geometry(
    name: &str,
    record_size: usize,
    capacity: usize,
    exact: bool,
) -> Result<([u64; 5], usize)> {
    let record = record_size as u64;
    let count = (capacity as u64).checked_next_power_of_two().unwrap_or(0);
    match count.checked_mul(record) {
        Some(bytes) if (1..=MAX).contains(&bytes) && capacity > 0 => {
            // Room for a header in any case, see `Place::headers`.
            let size = CELLS + bytes.max(CELL) as usize;
            Ok(([count, record, record, CELLS as u64, u64::from(exact) * EXACT], size))
        }
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "ring {name:?} of {capacity} records of {record_size} bytes; give it one record of one byte at least, and {MAX} bytes at most (it holds a power of two)"
            ),
        )),
    }
}

/// The geometry is garbage: what the ring would have.
fn corrupt(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what}; remove the ring and create it anew"))
}

/// The words of one ring in one mapping.
#[derive(Clone, Copy)]
pub struct Place {
    /// First byte of the object, 128-aligned. `CELLS + cells * stride` bytes from here on are mapped.
    base: NonNull<u8>,
    /// Our own copy, checked: a power of two, for cells from `CELLS_MIN` to `CELLS_MAX`.
    cells: u64,
    /// Bytes from one cell, or packed record, to the next. Our own copy, checked.
    stride: u64,
    /// Which bits of a position choose a header: `cells - 1`. Packed: none, as nobody asks for one; the first 64 bytes
    /// from `CELLS` on are mapped in any case.
    headers: u64,
    packed: bool,
    exact: bool,
}

// SAFETY: a `Place` is an address and a number. What lies there is reached through atomics only, or through
// `payload`, whose users say why they may; the mapping belongs to the process, not to a thread.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    /// Checks the geometry against the extent. The error says what the ring would have to have.
    ///
    /// # Safety
    /// - What `view` views must stay mapped as long as the `Place` is used: its methods reach into it.
    pub unsafe fn new(view: View<'_>) -> Result<Place> {
        let [cells, largest, element, first, flags] = view.geometry();
        if flags & !EXACT != 0 {
            let said = format!("flags {flags:#x}, which this library does not know; upgrade it");
            return Err(Error::new(ErrorKind::Incompatible, said));
        }
        let packed = element != 0;
        let least = if packed { 1 } else { CELLS_MIN };
        let stride = if packed { element } else { CELL };
        if !cells.is_power_of_two() || !(least..=MAX).contains(&cells) || !packed && cells > CELLS_MAX {
            return Err(corrupt(format!("{cells} cells; a power of two from {least} to {CELLS_MAX} is possible")));
        }
        if largest != (if packed { element } else { max_record(cells) }) || first != CELLS as u64 {
            return Err(corrupt(format!("largest record {largest} and first cell {first} for {cells} cells")));
        }
        let needed = cells.checked_mul(stride).and_then(|bytes| bytes.max(CELL).checked_add(CELLS as u64));
        if needed.is_none_or(|needed| needed > view.size() as u64) {
            return Err(corrupt(format!("{cells} cells of {stride} bytes in {} bytes", view.size())));
        }
        match NonNull::new(view.base()) {
            Some(base) if base.as_ptr().addr().is_multiple_of(128) => {
                let headers = if packed { 0 } else { cells - 1 };
                Ok(Place { base, cells, stride, headers, packed, exact: flags & EXACT != 0 })
            }
            _ => Err(corrupt(format!("its first byte at {:p}, no multiple of 128", view.base()))),
        }
    }

    /// The one size of its records; `None` if they have any.
    #[inline]
    pub fn record_size(&self) -> Option<u64> {
        self.packed.then_some(self.stride)
    }

    /// Bytes of all cells or records.
    pub fn size(&self) -> u64 {
        self.cells * self.stride
    }

    /// The largest record in bytes.
    pub fn max_record(&self) -> u64 {
        if self.packed { self.stride } else { max_record(self.cells) }
    }

    /// How many packed records so many bytes are: whole ones.
    #[inline]
    pub fn records(&self, bytes: u64) -> u64 {
        // A division takes longer than all else that is done for one record.
        if bytes == self.stride { 1 } else { bytes / self.stride }
    }

    /// How many of up to `n` records from `position` on lie one behind the other, before the ring's end. Packed.
    #[inline]
    pub fn together(&self, position: u64, n: u64) -> u64 {
        n.min(self.cells - (position & (self.cells - 1)))
    }

    /// First byte of the record at `position`. From there to the end of the ring's cells all is mapped.
    #[inline]
    pub fn payload(&self, position: u64) -> NonNull<u8> {
        let header = if self.packed { 0 } else { 8 };
        let at = CELLS + ((position & (self.cells - 1)) * self.stride) as usize + header;
        // SAFETY: the index is below `cells`, so `at` lies in the extent that `new` checked.
        unsafe { self.base.add(at) }
    }

    /// The resident at byte `at`.
    ///
    /// # Safety
    /// - A `T` made of prim's atomics must lie at `at`, aligned, within the extent that `new` checked.
    #[inline(always)]
    unsafe fn resident<T>(&self, at: usize) -> &T {
        // SAFETY: in bounds and aligned by the caller's word and `base`'s alignment; mapped as long as the
        // `Place` is used, by `new`'s contract. Any bits are a `T`, and peers may store to it while we hold
        // this: it is all atomics.
        unsafe { self.base.add(at).cast().as_ref() }
    }
}

impl Memory for Place {
    #[inline(always)]
    fn cells(&self) -> u64 {
        self.cells
    }
    #[inline(always)]
    fn is_exact(&self) -> bool {
        self.exact
    }
    #[inline(always)]
    fn header(&self, position: u64) -> &AtomicU64 {
        // SAFETY: the index is below `cells`, or 0 where there are no cells but 64 bytes all the same; a cell begins with
        // its header and is 64-aligned.
        unsafe { self.resident(CELLS + ((position & self.headers) * CELL) as usize) }
    }
    #[inline(always)]
    fn producer(&self) -> &End {
        // SAFETY: see the table at the head.
        unsafe { self.resident(PRODUCER) }
    }
    #[inline(always)]
    fn consumer(&self) -> &End {
        // SAFETY: see the table at the head.
        unsafe { self.resident(CONSUMER) }
    }
    #[inline(always)]
    fn filled(&self) -> &ParkWord {
        // SAFETY: see the table at the head.
        unsafe { self.resident(FILLED) }
    }
    #[inline(always)]
    fn freed(&self) -> &ParkWord {
        // SAFETY: see the table at the head.
        unsafe { self.resident(FREED) }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "place_tests.rs"]
mod tests;
