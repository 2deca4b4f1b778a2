//! Where a ring lies in its segment: what of the object's memory is what, checked once.
//!
//! | byte  | what                                                            | written by         |
//! |-------|-----------------------------------------------------------------|--------------------|
//! | 0     | the producer's [`End`]: role word at 0, position at 8           | producer           |
//! | 128   | the consumer's [`End`]                                          | consumer           |
//! | 256   | park word: the consumer sleeps here until a record is there     | both, when it does |
//! | 320   | park word: the producer sleeps here until there is room         | both, when it does |
//! | 384   | the cells, 64 bytes each: header word, 56 bytes                 | producer           |
//!
//! The five geometry words: number of cells, largest record, element size (0: records of any size), byte of
//! the first cell, flags (0). All zero bytes are an empty ring.

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

/// Geometry words and bytes behind the object's header for a ring of at least `size` bytes.
pub(crate) fn geometry(size: usize) -> Result<([u64; 5], usize)> {
    const MIN: u64 = CELLS_MIN * CELL;
    const MAX: u64 = CELLS_MAX * CELL;
    let asked = size as u64;
    if asked == 0 || asked > MAX {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("a ring of {size} bytes; give it from 1 to {MAX} bytes (it gets a power of two, {MIN} at least)"),
        ));
    }
    let bytes = asked.next_power_of_two().max(MIN);
    let cells = bytes / CELL;
    Ok(([cells, max_record(cells), 0, CELLS as u64, 0], CELLS + bytes as usize))
}

/// The geometry is garbage: what the ring would have.
fn corrupt(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what}; remove the ring and create it anew"))
}

/// The words of one ring in one mapping.
#[derive(Clone, Copy)]
pub struct Place {
    /// First byte of the object, 128-aligned. `CELLS + cells * CELL` bytes from here on are mapped.
    base: NonNull<u8>,
    /// Our own copy, checked: a power of two from `CELLS_MIN` to `CELLS_MAX`.
    cells: u64,
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
        if !cells.is_power_of_two() || !(CELLS_MIN..=CELLS_MAX).contains(&cells) {
            return Err(corrupt(format!("{cells} cells; a power of two from {CELLS_MIN} to {CELLS_MAX} is possible")));
        }
        if largest != max_record(cells) || first != CELLS as u64 {
            return Err(corrupt(format!("largest record {largest} and first cell {first} for {cells} cells")));
        }
        if element != 0 || flags != 0 {
            let said =
                format!("element size {element} and flags {flags:#x}, which this library does not know; upgrade it");
            return Err(Error::new(ErrorKind::Incompatible, said));
        }
        let needed = cells.checked_mul(CELL).and_then(|bytes| bytes.checked_add(CELLS as u64));
        if needed.is_none_or(|needed| needed > view.size() as u64) {
            return Err(corrupt(format!("{cells} cells in {} bytes", view.size())));
        }
        match NonNull::new(view.base()) {
            Some(base) if base.as_ptr().addr().is_multiple_of(128) => Ok(Place { base, cells }),
            _ => Err(corrupt(format!("its first byte at {:p}, no multiple of 128", view.base()))),
        }
    }

    /// First byte of the record at `position`. From there to the end of the ring's cells all is mapped.
    #[inline]
    pub fn payload(&self, position: u64) -> NonNull<u8> {
        let at = CELLS + ((position & (self.cells - 1)) * CELL) as usize + 8;
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
    fn header(&self, position: u64) -> &AtomicU64 {
        // SAFETY: the index is below `cells`; a cell begins with its header and is 64-aligned.
        unsafe { self.resident(CELLS + ((position & (self.cells - 1)) * CELL) as usize) }
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
mod tests {
    use super::super::cells::{Reader, Writer};
    use super::super::{KIND, ObjectState, role::Holder};
    use super::*;
    use crate::segment::object::HeapMemory;

    fn empty(size: usize) -> HeapMemory {
        let (words, bytes) = geometry(size).unwrap();
        HeapMemory::new(bytes, words)
    }

    #[test]
    fn zeroed_memory_is_an_empty_ring() {
        let memory = empty(256);
        assert_eq!(
            (KIND.state)(memory.view()).unwrap(),
            ObjectState::Ring { size: 256, used: 0, producer: None, consumer: None }
        );
    }

    #[test]
    fn geometry_that_does_not_fit_is_refused() {
        let good = geometry(256).unwrap().0;
        let bad = |change: fn(&mut [u64; 5]), bytes: usize| {
            let mut words = good;
            change(&mut words);
            let memory = HeapMemory::new(bytes, words);
            // SAFETY: the place, if any, ends before the memory.
            unsafe { Place::new(memory.view()) }.map(|_| ()).unwrap_err().kind()
        };
        assert_eq!(bad(|w| w[0] = 0, 640), ErrorKind::Corrupt);
        assert_eq!(bad(|w| w[0] = 6, 640), ErrorKind::Corrupt);
        assert_eq!(bad(|w| w[0] = 1 << 63, 640), ErrorKind::Corrupt);
        assert_eq!(bad(|w| *w = geometry(512).unwrap().0, 640), ErrorKind::Corrupt, "more cells than memory");
        assert_eq!(bad(|w| w[1] = 121, 640), ErrorKind::Corrupt);
        assert_eq!(bad(|w| w[3] = 256, 640), ErrorKind::Corrupt);
        assert_eq!(bad(|_| (), 639), ErrorKind::Corrupt);
        assert_eq!(bad(|w| w[2] = 8, 640), ErrorKind::Incompatible);
        assert_eq!(bad(|w| w[4] = 1, 640), ErrorKind::Incompatible);
    }

    #[test]
    fn observers_see_owners_and_fill_and_the_sweep_takes_the_roles_of_the_dead() {
        let memory = empty(256);
        // SAFETY: the place ends before the memory.
        let place = unsafe { Place::new(memory.view()) }.unwrap();
        place.producer().role.take(3, |_| false).unwrap();
        place.consumer().role.take(4, |_| false).unwrap();
        let mut writer = Writer::take(&place).unwrap();
        let room = writer.reserve(&place, 100).unwrap().unwrap();
        writer.commit(&place, room, 100).unwrap();
        let seen = |used, producer, consumer| ObjectState::Ring { size: 256, used, producer, consumer };
        assert_eq!((KIND.state)(memory.view()).unwrap(), seen(128, Some(3), Some(4)));
        (KIND.repair)(memory.view(), 3);
        (KIND.repair)(memory.view(), 3);
        assert_eq!((KIND.state)(memory.view()).unwrap(), seen(128, None, Some(4)));
        assert_eq!(place.producer().role.holder(), Holder::Died);
        let mut reader = Reader::take(&place).unwrap();
        let record = reader.peek(&place).unwrap().unwrap();
        reader.release(&place, record);
        assert_eq!((KIND.state)(memory.view()).unwrap(), seen(0, None, Some(4)));
    }

    #[test]
    fn a_record_of_56_bytes_and_its_header_are_one_cache_line() {
        let memory = empty(512);
        // SAFETY: the place ends before the memory.
        let place = unsafe { Place::new(memory.view()) }.unwrap();
        for position in 0..20 {
            let header = place.header(position).as_ptr() as usize;
            let payload = place.payload(position).as_ptr() as usize;
            assert_eq!((header % 64, payload - header), (0, 8));
            assert_eq!((payload + 55) / 64, header / 64);
        }
    }

    #[test]
    fn sizes_become_powers_of_two() {
        for (asked, cells) in [(1, 4), (256, 4), (257, 8), (65536, 1024), (65537, 2048)] {
            let (words, bytes) = geometry(asked).unwrap();
            assert_eq!(words, [cells, cells * 32 - 8, 0, 384, 0], "{asked}");
            assert_eq!(bytes as u64, 384 + cells * 64);
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_with_the_bounds() {
        for size in [0, (1 << 34) + 1, usize::MAX] {
            let error = geometry(size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("17179869184"), "{error}");
        }
        assert!(geometry(1 << 34).is_ok());
    }
}
