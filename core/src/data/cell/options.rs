//! What a cell is made with.

use super::RawCell;
use super::memory::{MOST_BYTES, MOST_WRITERS, extent};
use crate::data::type_tag::TypeLayout;
use crate::data::typed::Typed;
use crate::segment::directory::{Plan, Want};
use crate::segment::{ObjectKind, other_geometry};
use crate::{Error, ErrorKind, Result, Segment};

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

impl Segment {
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
