//! A cell: the latest value.

use super::types::Type;
use crate::buffer::{Input, Refused, Room, with_scratch};
use crate::channel::grant::{Grant, Lender};
use crate::error::{call, whole};
use crate::segment::{address, name_for_pickle};
use crate::wait::{deadline, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::sync::Arc;
use triveni::{CellOptions, Deadline, RawCell, RawStoreGrant, Result};

/// The latest value of a struct, which Rust, C and Python processes share: whoever stores replaces it, whoever loads gets
/// it whole.
///
/// ``Segment.cell(name, type=...)`` finds or creates it. The type is a numpy dtype, a ctypes class, a ``struct.Struct``, a
/// dataclass with such annotations, or a PEP 3118 format; without one, ``Segment.cell(name, size)`` holds bytes. ``store``
/// takes a value of that type, ``load`` gives one: a numpy scalar, a ctypes structure, a tuple, a dataclass, or bytes.
///
/// Readers never hold up a writer, nor does a writer that is stopped or killed in the middle hold up anybody.
/// Threads: any number may use one cell at once. fork: the child goes on using it. pickle: by name, with its type.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Cell {
    segment: triveni::Segment,
    cell: RawCell,
    r#type: Type,
}

/// What ``Segment.cell`` was given.
pub(crate) struct Wished {
    r#type: Type,
    /// Bytes of a value.
    size: Option<usize>,
    writers: Option<usize>,
}

impl Wished {
    pub(crate) fn of(
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        writers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Wished> {
        let r#type = Type::of(py, ("cell", name), r#type)?;
        let size = match size {
            Some(size) => Some(whole("size", size)?),
            None => r#type.size(py)?,
        };
        Ok(Wished { r#type, size, writers: writers.map(|n| whole("writers", n)).transpose()? })
    }

    /// What core is to make, if the size is known.
    pub(crate) fn options(&self) -> triveni::Result<CellOptions> {
        let Some(size) = self.size else {
            let why = "a new cell: give the size of its values in bytes, or their type";
            return Err(triveni::Error::new(triveni::ErrorKind::Invalid, why));
        };
        let options = CellOptions::bytes(size).type_tag(&self.r#type.tag);
        Ok(match self.writers {
            Some(writers) => options.writers(writers),
            None => options,
        })
    }

    /// Opens a cell with which these agree.
    pub(crate) fn open(&self, segment: &triveni::Segment, name: &str) -> triveni::Result<RawCell> {
        match self.size {
            None => segment.open_raw_cell(name),
            Some(_) => {
                segment.open_raw_cell(name)?;
                segment.cell_with(name, &self.options()?)
            }
        }
    }

    pub(crate) fn r#type(self) -> Type {
        self.r#type
    }
}

impl Cell {
    pub(crate) fn new(segment: triveni::Segment, cell: RawCell, r#type: Type) -> Cell {
        Cell { segment, cell, r#type }
    }

    pub(crate) fn core(&self) -> &RawCell {
        &self.cell
    }

    fn value<'py>(&self, data: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        self.r#type.unpack(data)
    }
}

#[pymethods]
impl Cell {
    /// Makes ``value`` the latest value and gives its number. ``TimeoutError`` once ``timeout`` seconds have passed: it
    /// waits only while as many others as the cell has writers are in the middle of a store.
    #[pyo3(signature = (value, timeout=None))]
    fn store(&self, value: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let py = value.py();
        let packed = self.r#type.pack(value)?;
        let input = Input::of(&packed)?;
        let until = deadline(py, timeout)?;
        if let Some(version) = call(py, || self.cell.try_store(input.bytes(py)))? {
            return Ok(version);
        }
        let kept = input.kept(py);
        waiting(py, until, |until| match until {
            None => self.cell.try_store(&kept),
            Some(until) => self.cell.store_until(&kept, until).map(Some),
        })
    }

    /// Stores if it need not wait: the value's number, else ``None``.
    fn try_store(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        let packed = self.r#type.pack(value)?;
        let input = Input::of(&packed)?;
        trying(value.py(), |_| self.cell.try_store(input.bytes(value.py())))
    }

    /// Claims room for the next value, to be written in place; waits as ``store`` does.
    #[pyo3(signature = (timeout=None))]
    fn reserve(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<StoreGrant> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(until))
    }

    /// Claims room if it need not wait, else ``None``.
    fn try_reserve(&self, py: Python<'_>) -> PyResult<Option<StoreGrant>> {
        trying(py, |until| self.attempt_reserve(until))
    }

    /// The latest value; ``None`` if nothing was stored yet. Never waits.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut found = Ok(None);
        let data = PyBytes::new_with(py, self.cell.size(), |room| {
            found = self.cell.load(room);
            Ok(())
        })?;
        match call(py, || found)? {
            Some(_) => self.value(data).map(Some),
            None => Ok(None),
        }
    }

    /// The latest value and its number, once that is greater than ``seen``. ``TimeoutError`` once ``timeout`` seconds have
    /// passed. With 0 it waits for the first value; values in between are skipped.
    #[pyo3(signature = (seen, timeout=None))]
    fn load_newer<'py>(
        &self,
        py: Python<'py>,
        seen: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u64, Bound<'py, PyAny>)> {
        let seen = whole("seen", seen)? as u64;
        let until = deadline(py, timeout)?;
        with_scratch(self.cell.size(), |room| {
            let version = waiting(py, until, |until| match until {
                None => self.cell.try_load_newer(seen, room),
                Some(until) => self.cell.load_newer_until(seen, room, until).map(Some),
            })?;
            Ok((version, self.value(PyBytes::new(py, room))?))
        })
    }

    /// The latest value and its number if that is greater than ``seen``, else ``None``.
    fn try_load_newer<'py>(
        &self,
        py: Python<'py>,
        seen: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(u64, Bound<'py, PyAny>)>> {
        let seen = whole("seen", seen)? as u64;
        with_scratch(self.cell.size(), |room| match trying(py, |_| self.cell.try_load_newer(seen, room))? {
            Some(version) => Ok(Some((version, self.value(PyBytes::new(py, room))?))),
            None => Ok(None),
        })
    }

    /// How many values were stored so far, which is the number of the latest; 0: none yet.
    #[getter]
    fn version(&self) -> u64 {
        self.cell.version()
    }

    /// Bytes of a value.
    #[getter]
    fn size(&self) -> usize {
        self.cell.size()
    }

    /// What the bytes are, as a PEP 3118 format; ``None`` if nobody said.
    #[getter]
    fn type_tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        call(py, || self.cell.type_tag())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.cell.name()
    }

    #[expect(clippy::type_complexity, reason = "pickle's own shape: who makes it, and of what")]
    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String, String, Py<PyAny>))> {
        let reopen = py.import("triveni._types")?.getattr("_reopen_cell")?.unbind();
        let segment = name_for_pickle(py, &self.segment)?;
        Ok((reopen, (segment, self.cell.name().to_string(), self.r#type.source(py)?)))
    }

    fn __repr__(&self) -> String {
        let (size, version) = (self.cell.size(), self.cell.version());
        format!("<triveni.Cell {} {size} bytes, version {version}>", address(&self.segment, self.cell.name()))
    }
}

/// Room for the next value of a cell.
///
/// ``memoryview(grant)``, ``struct.pack_into(fmt, grant, 0, ...)`` and ``numpy.frombuffer(grant, dtype)`` write straight into
/// the segment; it begins with the bytes of some older value, so write all of it. ``commit()`` makes it the latest value
/// and gives its number, as does the end of its block; ``cancel()`` gives the room back, as does an exception, or a grant
/// that goes away. Both raise ``BufferError`` while a view of it is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct StoreGrant(Grant<Storing>);

/// A claim in a cell.
pub(crate) struct Storing {
    cell: RawCell,
    raw: RawStoreGrant,
}

impl Cell {
    fn attempt_reserve(&self, until: Option<Deadline>) -> Result<Option<StoreGrant>> {
        let grant = match until {
            None => self.cell.try_reserve()?,
            Some(until) => Some(self.cell.reserve_until(until)?),
        };
        Ok(grant.map(|mut grant| {
            let (at, size) = (grant.as_mut_ptr(), grant.size());
            let storing = Storing { cell: self.cell.clone(), raw: grant.into_raw() };
            // SAFETY: `at` points to `size` bytes of the buffer that `raw` stands for, which stay this claim's until it is
            // committed or given back. That happens in `StoreGrant` only, after the room has ended; and its cell keeps the
            // mapping until then, as a view keeps the grant.
            StoreGrant(Grant::new(storing, Arc::new(unsafe { Room::new(at, size, true) })))
        }))
    }
}

impl Storing {
    fn commit(&self, room: &Room) -> Result<std::result::Result<u64, Refused>> {
        match room.end() {
            Ok(()) => self.cell.resume_store(self.raw)?.commit().map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }
}

impl Lender for Storing {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        format!("'{}'", self.cell.name())
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<std::result::Result<(), Refused>> {
        if done.is_some() {
            return Ok(self.commit(room)?.map(drop));
        }
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        self.cell.resume_store(self.raw)?.cancel();
        Ok(Ok(()))
    }

    fn give_back(&self, room: &Room) {
        if room.end_if_free()
            && let Ok(grant) = self.cell.resume_store(self.raw)
        {
            grant.cancel();
        }
    }
}

#[pymethods]
impl StoreGrant {
    /// Makes what was written the latest value; gives its number.
    fn commit(&self, py: Python<'_>) -> PyResult<u64> {
        let mut version = 0;
        self.0.ended_by(py, |storing, room| {
            Ok(storing.commit(room)?.map(|number| {
                version = number;
            }))
        })?;
        Ok(version)
    }

    /// Gives the room back.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.0.undone(py)
    }

    /// Bytes of a value.
    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    fn __len__(&self) -> usize {
        self.0.size()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.0.exit(py, exception)
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are Python's, for this very object.
        unsafe { slf.get().0.lend(slf, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.view_ended();
    }

    fn __repr__(&self) -> String {
        self.0.repr("StoreGrant")
    }
}
