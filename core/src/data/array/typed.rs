//! An array of a Rust type.

use super::{RawArray, WriteGuard};
use crate::data::typed::Typed;
use crate::sync::{Guard, LockError};
use crate::{Deadline, Error, ErrorKind, Result, Segment};
use std::fmt;
use std::marker::PhantomData;

impl Segment {
    /// Finds or creates an array of `T` with the dimensions `shape`. New elements are zeros.
    ///
    /// # Errors
    /// As [`Segment::raw_array`].
    pub fn array<T: Typed>(&self, name: &str, shape: &[usize]) -> Result<Array<T>> {
        self.raw_array(name, &T::type_tag(), shape)?.typed()
    }

    /// Creates an array.
    ///
    /// # Errors
    /// As [`Segment::array`]; `Exists`.
    pub fn create_array<T: Typed>(&self, name: &str, shape: &[usize]) -> Result<Array<T>> {
        self.create_raw_array(name, &T::type_tag(), shape)?.typed()
    }

    /// Opens an array of `T`, of whatever shape.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible` for another element type, with both layouts side by side.
    pub fn open_array<T: Typed>(&self, name: &str) -> Result<Array<T>> {
        self.open_raw_array(name)?.typed()
    }
}

impl RawArray {
    /// The same array with elements of type `T`.
    ///
    /// # Errors
    /// `Incompatible` if its elements are of another type.
    pub fn typed<T: Typed>(self) -> Result<Array<T>> {
        self.expect_type(&T::type_tag())?;
        if size_of::<T>() != self.item_size() || align_of::<T>() > super::PAGE {
            let why = format!("array {:?}: its elements are no {}", self.address(), std::any::type_name::<T>());
            return Err(Error::new(ErrorKind::Incompatible, why));
        }
        Ok(Array { raw: self, elements: PhantomData })
    }
}

/// N-dimensional memory of one type, shared as it is: a `&[T]` or `*mut T` here, a `T *` in C, a numpy array in Python.
///
/// What is written through a pointer, [`set`](Array::set) or another process is seen as soon as memory has it, element by
/// element and in no order: use a lock or a [`Barrier`](crate::Barrier) as between threads. For all elements at once there
/// is [`write`](Array::write), which keeps other such writers out, and [`snapshot`](Array::snapshot), which is never torn
/// by one.
///
/// A clone is another handle on the same array. Handles stay good in a forked child; a guard stays the parent's.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let grid = segment.array::<f64>("grid", &[2, 3])?;
/// grid.set(&[1, 2], 2.5)?;
/// assert_eq!(grid.get(&[1, 2])?, 2.5);
///
/// let guard = grid.write()?;
/// guard.copy_from(&[1.0; 6])?;
/// drop(guard);
/// assert_eq!(grid.snapshot()?, [1.0; 6]);
/// # Ok(()) }
/// ```
pub struct Array<T> {
    raw: RawArray,
    elements: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array { raw: self.raw.clone(), elements: PhantomData }
    }
}

impl<T: Typed> Array<T> {
    /// The same array without a Rust type.
    pub fn raw(&self) -> &RawArray {
        &self.raw
    }

    /// Its dimensions; the last one is that of neighbours in memory.
    pub fn shape(&self) -> &[usize] {
        self.raw.shape()
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// No elements at all?
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The first element; [`len`](Array::len) of them follow each other in C order, mapped as long as any handle on this
    /// array. Every process may write there at any time.
    pub fn as_ptr(&self) -> *mut T {
        self.raw.as_ptr().cast()
    }

    /// The elements in place.
    ///
    /// # Safety
    /// - Nobody, in any process, may write to them while the slice lives; otherwise the compiler's assumptions about
    ///   shared references do not hold.
    pub unsafe fn as_slice(&self) -> &[T] {
        // SAFETY: `len` elements inside the object, at a page, so aligned (`RawArray::typed`); any bytes are a `T`. Mapped
        // as long as `self`. That nobody writes is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// The elements in place, for writing.
    ///
    /// # Safety
    /// - Nobody else, in any process, may read or write them while the slice lives, as for any `&mut`.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn as_mut_slice(&self) -> &mut [T] {
        // SAFETY: as in `as_slice`; that nobody else has them is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len()) }
    }

    /// A copy of one element.
    ///
    /// # Errors
    /// `Invalid` for an index outside of the shape.
    pub fn get(&self, index: &[usize]) -> Result<T> {
        let at = self.offset(index)?;
        // SAFETY: `offset` checked the index, so this element lies in the array, at its alignment; any bytes are a `T`. A
        // peer may store to it meanwhile: a volatile read takes what is there.
        Ok(unsafe { self.as_ptr().add(at).read_volatile() })
    }

    /// Stores one element. Keeps nobody out.
    ///
    /// # Errors
    /// As [`Array::get`].
    pub fn set(&self, index: &[usize], value: T) -> Result<()> {
        let at = self.offset(index)?;
        // SAFETY: as in `get`.
        unsafe { self.as_ptr().add(at).write_volatile(value) };
        Ok(())
    }

    /// The number of an element in C order.
    fn offset(&self, index: &[usize]) -> Result<usize> {
        let shape = self.shape();
        if index.len() != shape.len() || index.iter().zip(shape).any(|(i, n)| i >= n) {
            let why = format!("array {:?}: index {index:?} lies outside of its shape {shape:?}", self.raw.address());
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        // No overflow: it is less than the number of elements.
        Ok(index.iter().zip(shape).fold(0, |at, (i, n)| at * n + i))
    }

    /// Copies all elements in. Keeps nobody out.
    ///
    /// # Errors
    /// `Invalid` unless there are exactly as many.
    pub fn copy_from(&self, elements: &[T]) -> Result<()> {
        self.check_len("copy_from", elements.len())?;
        // SAFETY: `T: Typed` has no padding, so all bytes of the slice are initialised.
        self.raw.write_at(0, unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) })
    }

    /// Copies all elements out as they are at this moment: not as a whole.
    ///
    /// # Errors
    /// `Invalid` unless there are exactly as many.
    pub fn copy_to(&self, elements: &mut [T]) -> Result<()> {
        self.check_len("copy_to", elements.len())?;
        self.raw.read(0, bytes_of(elements))
    }

    fn check_len(&self, what: &str, len: usize) -> Result<()> {
        if len == self.len() {
            return Ok(());
        }
        let why = format!("{what}: {len} elements, but array {:?} has {}", self.raw.address(), self.len());
        Err(Error::new(ErrorKind::Invalid, why))
    }

    /// Begins to write as a whole; waits for ever for whoever does so.
    ///
    /// # Errors
    /// As [`RawArray::write`].
    pub fn write(&self) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.guard(self.raw.write())
    }

    /// As [`Array::write`]; `None` if somebody writes.
    ///
    /// # Errors
    /// As [`RawArray::try_write`].
    pub fn try_write(&self) -> Result<Option<ArrayGuard<'_, T>>, LockError<ArrayGuard<'_, T>>> {
        match self.raw.try_write() {
            Ok(None) => Ok(None),
            Ok(Some(guard)) => self.guard(Ok(guard)).map(Some),
            Err(error) => self.guard(Err(error)).map(Some),
        }
    }

    /// As [`Array::write`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawArray::write_until`].
    pub fn write_until(&self, deadline: Deadline) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.guard(self.raw.write_until(deadline))
    }

    fn guard<'a>(
        &'a self,
        guard: Result<WriteGuard<'a>, LockError<WriteGuard<'a>>>,
    ) -> Result<ArrayGuard<'a, T>, LockError<ArrayGuard<'a, T>>> {
        match guard {
            Ok(guard) => Ok(ArrayGuard { array: self, guard }),
            Err(LockError::OwnerDied(guard)) => Err(LockError::OwnerDied(ArrayGuard { array: self, guard })),
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }

    /// All elements as they were at one moment between two writers; waits for ever for one that writes.
    ///
    /// # Errors
    /// As [`RawArray::snapshot`].
    pub fn snapshot(&self) -> Result<Vec<T>> {
        self.snapshot_until(Deadline::never())
    }

    /// As [`Array::snapshot`]; `None` if somebody writes.
    ///
    /// # Errors
    /// As [`RawArray::try_snapshot`].
    pub fn try_snapshot(&self) -> Result<Option<Vec<T>>> {
        let mut elements = self.zeros();
        Ok(self.raw.try_snapshot(bytes_of(&mut elements))?.then_some(elements))
    }

    /// As [`Array::snapshot`]; waits until the deadline.
    ///
    /// # Errors
    /// As [`RawArray::snapshot_until`].
    pub fn snapshot_until(&self, deadline: Deadline) -> Result<Vec<T>> {
        let mut elements = self.zeros();
        self.raw.snapshot_until(bytes_of(&mut elements), deadline)?;
        Ok(elements)
    }

    fn zeros(&self) -> Vec<T> {
        // SAFETY: any bytes are a `T: Typed`, so zeros are.
        vec![unsafe { std::mem::zeroed() }; self.len()]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.raw.name()
    }
}

/// The bytes of elements, to be overwritten with any.
fn bytes_of<T: Typed>(elements: &mut [T]) -> &mut [u8] {
    // SAFETY: `T: Typed` has no padding, so all bytes are initialised, and any that are stored are a `T`.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// Writing all elements of an [`Array`] as a whole. Dropping it says that they are.
#[must_use = "dropping the guard ends writing at once"]
pub struct ArrayGuard<'a, T> {
    array: &'a Array<T>,
    guard: WriteGuard<'a>,
}

impl<T: Typed> ArrayGuard<'_, T> {
    /// Has a writer died in the middle, and nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.guard.owner_died()
    }

    /// See [`WriteGuard::recover`].
    pub fn recover(&self) {
        self.guard.recover();
    }

    /// See [`Array::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, index: &[usize]) -> Result<T> {
        self.array.get(index)
    }

    /// See [`Array::set`].
    ///
    /// # Errors
    /// As there.
    pub fn set(&self, index: &[usize], value: T) -> Result<()> {
        self.array.set(index, value)
    }

    /// See [`Array::copy_from`].
    ///
    /// # Errors
    /// As there.
    pub fn copy_from(&self, elements: &[T]) -> Result<()> {
        self.array.copy_from(elements)
    }
}

impl<T> Guard for ArrayGuard<'_, T> {
    fn address(&self) -> String {
        self.array.raw.address()
    }
}
