//! A cell of a Rust type.

use super::{CellOptions, Fault, RawCell};
use crate::data::typed::Typed;
use crate::segment::other_geometry;
use crate::wait::World;
use crate::{Deadline, Result, Segment};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

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
}

impl RawCell {
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
        if self.raw.try_newer(seen)? { self.latest() } else { Ok(None) }
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
