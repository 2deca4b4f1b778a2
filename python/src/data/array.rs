//! An array: shared memory as a buffer with a shape and a type, which numpy takes as it is.

use super::types::Type;
use crate::error::{invalid, whole};
use crate::segment::{Reduced, address, info::Holder, reduce};
use crate::sync::hold::{Held, Key, Lock, kept, owner_died};
use crate::wait::{deadline, trying, waiting};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyTuple};
use std::ffi::{CString, c_int};
use std::sync::Arc;
use triveni::{Deadline, RawArray, Result};

/// N-dimensional memory of one type, which Rust, C and Python processes share in place.
///
/// ``Segment.array(name, shape, type="d")`` finds or creates it, of zeros. The type is a numpy dtype, a ctypes class, a
/// ``struct.Struct``, a dataclass with such annotations, or a PEP 3118 format. ``numpy.asarray(array)`` is the memory
/// itself, as is ``array.view()``, a memoryview: what is stored there is seen by all, element by element. A view keeps the
/// memory mapped as long as it lives.
///
/// ``with array.write() as view:`` writes all elements as a whole, ``array.snapshot()`` copies them as a whole.
/// Threads: any number may use one array at once. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Array {
    segment: triveni::Segment,
    export: Arc<Export>,
    key: Arc<Key>,
}

/// What the buffer protocol is told, which points into this: it must live as long as a view does.
struct Export {
    array: RawArray,
    format: CString,
    shape: Vec<isize>,
    strides: Vec<isize>,
}

impl Export {
    fn new(array: RawArray) -> Export {
        // Whatever is mapped is less than an isize; a tag is printable, so it has no NUL.
        let signed = |n: &usize| isize::try_from(*n).unwrap_or(0);
        Export {
            format: CString::new(array.type_tag()).unwrap_or_default(),
            shape: array.shape().iter().map(signed).collect(),
            strides: array.strides().iter().map(signed).collect(),
            array,
        }
    }

    /// `__getbuffer__` of `owner`: the elements at `at`.
    ///
    /// # Safety
    /// - `view` and `flags` are what Python passed to `owner`'s `bf_getbuffer`.
    /// - `owner` keeps `self`, and as many bytes at `at` as the array has; writable, or not if `readonly`.
    unsafe fn lend(
        &self,
        owner: &Bound<'_, PyAny>,
        at: *mut u8,
        readonly: bool,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let wants = |what: c_int| flags & what == what;
        let one = self.shape.len() < 2;
        if wants(ffi::PyBUF_WRITABLE) && readonly {
            return Err(PyBufferError::new_err("this is to be read only"));
        }
        if wants(ffi::PyBUF_F_CONTIGUOUS) && !one {
            return Err(PyBufferError::new_err("an array lies in memory in C order, not in Fortran's"));
        }
        // SAFETY: `view` is Python's, to be filled; what it points to lives as long as `owner`, which it holds.
        unsafe {
            (*view).obj = owner.clone().into_ptr();
            (*view).buf = at.cast();
            (*view).len = isize::try_from(self.array.size()).unwrap_or(0);
            (*view).readonly = readonly.into();
            (*view).itemsize = isize::try_from(self.array.item_size()).unwrap_or(0);
            (*view).format =
                if wants(ffi::PyBUF_FORMAT) { self.format.as_ptr().cast_mut() } else { std::ptr::null_mut() };
            let with_shape = wants(ffi::PyBUF_ND);
            (*view).ndim = if with_shape { self.shape.len() as c_int } else { 1 };
            (*view).shape = if with_shape { self.shape.as_ptr().cast_mut() } else { std::ptr::null_mut() };
            let with_strides = wants(ffi::PyBUF_STRIDES);
            (*view).strides = if with_strides { self.strides.as_ptr().cast_mut() } else { std::ptr::null_mut() };
            (*view).suboffsets = std::ptr::null_mut();
            (*view).internal = std::ptr::null_mut();
        }
        Ok(())
    }
}

/// The dimensions: one number, or several.
pub(crate) fn shape(shape: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    match (whole("shape", shape), shape.try_iter()) {
        (Ok(n), _) => Ok(vec![n]),
        (Err(_), Ok(numbers)) => numbers.map(|n| whole("shape", &n?)).collect(),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The type of the elements of a new array.
pub(crate) fn element_type(py: Python<'_>, name: &str, source: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let tag = Type::of(py, ("array", name), source)?.tag;
    if source.is_some() && tag.is_empty() {
        return Err(invalid(py, "an array has an element type; give one, such as \"d\""));
    }
    Ok(tag)
}

impl Array {
    pub(crate) fn new(segment: triveni::Segment, array: RawArray) -> Array {
        let key = Key::of(&segment, array.name());
        Array { segment, export: Arc::new(Export::new(array)), key }
    }

    pub(crate) fn core(&self) -> &RawArray {
        &self.export.array
    }

    fn attempt_write(&self, until: Option<Deadline>) -> Result<Option<bool>> {
        kept(match until {
            None => self.core().try_write(),
            Some(until) => self.core().write_until(until).map(Some),
        })
    }

    /// The guard, or `OwnerDied` with it.
    fn guard(&self, py: Python<'_>, died: bool) -> PyResult<ArrayGuard> {
        let held = Held::begin(self.core().clone(), &self.key);
        let guard = ArrayGuard { held, export: self.export.clone() };
        if !died {
            return Ok(guard);
        }
        let sentence = format!(
            "array {}: a process died while it wrote; `guard` of this exception writes now: put the elements right, then \
             guard.recover() and guard.unlock()",
            address(&self.segment, self.core().name())
        );
        Err(owner_died(py, sentence, guard))
    }
}

#[pymethods]
impl Array {
    /// The elements in place, as a memoryview; ``numpy.asarray(array)`` gives them as an array.
    fn view<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf.as_any())
    }

    /// Begins to write all elements as a whole and gives a guard, which is their memory too: ``with array.write() as
    /// view: numpy.asarray(view)[:] = 1``. Others that do so wait, and so do snapshots. ``TimeoutError`` once ``timeout``
    /// seconds have passed.
    ///
    /// If a writer died in the middle, that raises ``OwnerDied``, whose ``guard`` writes now: put the elements right,
    /// call ``guard.recover()``, then ``guard.unlock()``. Without ``recover()`` the next writer is told the same.
    #[pyo3(signature = (timeout=None))]
    fn write(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<ArrayGuard> {
        let died = waiting(py, deadline(py, timeout)?, |until| self.attempt_write(until))?;
        self.guard(py, died)
    }

    /// Begins to write if nobody does, else ``None``.
    fn try_write(&self, py: Python<'_>) -> PyResult<Option<ArrayGuard>> {
        trying(py, |until| self.attempt_write(until))?.map(|died| self.guard(py, died)).transpose()
    }

    /// A copy of all elements as they were at one moment between two writers. It has the buffer protocol:
    /// ``numpy.asarray(array.snapshot())``. ``TimeoutError`` once ``timeout`` seconds have passed; ``OwnerDied`` if a
    /// writer died in the middle and nobody has recovered since.
    #[pyo3(signature = (timeout=None))]
    fn snapshot(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<ArraySnapshot> {
        let mut data = vec![0; self.core().size()];
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(self.core().try_snapshot(&mut data)?.then_some(())),
            Some(until) => self.core().snapshot_until(&mut data, until).map(Some),
        })?;
        Ok(ArraySnapshot { export: self.export.clone(), data })
    }

    /// As ``snapshot``; ``None`` if somebody writes.
    fn try_snapshot(&self, py: Python<'_>) -> PyResult<Option<ArraySnapshot>> {
        let mut data = vec![0; self.core().size()];
        let done = trying(py, |_| Ok(self.core().try_snapshot(&mut data)?.then_some(())))?;
        Ok(done.map(|()| ArraySnapshot { export: self.export.clone(), data }))
    }

    /// Who writes at this moment; ``None`` if nobody does.
    fn writer(&self) -> Option<Holder> {
        self.core().writer().map(Holder::from)
    }

    /// How often it was written as a whole.
    #[getter]
    fn version(&self) -> u64 {
        self.core().version()
    }

    /// Its dimensions.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.core().shape())
    }

    /// What an element is, as a PEP 3118 format.
    #[getter]
    fn type_tag(&self) -> &str {
        self.core().type_tag()
    }

    /// Bytes of an element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.core().item_size()
    }

    /// Bytes of all elements.
    #[getter]
    fn nbytes(&self) -> usize {
        self.core().size()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.core().name()
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let export = &slf.get().export;
        // SAFETY: Python's arguments; this object keeps the export, whose array keeps the mapping. Every process may write
        // there at any time: what a view of shared memory is for.
        unsafe { export.lend(slf.as_any(), export.array.as_ptr(), false, view, flags) }
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "array", self.core().name())
    }

    fn __repr__(&self) -> String {
        let array = self.core();
        let (tag, shape) = (array.type_tag(), array.shape());
        format!("<triveni.Array {} {tag:?}, shape {shape:?}>", address(&self.segment, array.name()))
    }
}

impl Lock for RawArray {
    const NOUN: &'static str = "array";

    fn name(&self) -> &str {
        self.name()
    }

    fn unlock(&self) -> Result<()> {
        self.end_write()
    }

    fn recover(&self) -> Result<()> {
        self.recover()
    }

    fn owner_died(&self) -> bool {
        self.owner_died()
    }
}

/// Writing all elements of an array as a whole. ``with guard:`` ends it; it has the array's buffer.
///
/// ``owner_died`` is true if a writer died in the middle and ``recover()`` has not been called since. Views that outlive
/// the guard stay views of the array.
///
/// Threads: only the thread that writes may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct ArrayGuard {
    held: Held<RawArray>,
    export: Arc<Export>,
}

#[pymethods]
impl ArrayGuard {
    /// The elements in place, as a memoryview.
    fn view<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf.as_any())
    }

    /// Did a writer die in the middle, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.held.owner_died()
    }

    /// Says that the elements will be whole when this ends.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        self.held.recover(py)
    }

    /// Says that the elements are whole, and lets others write. ``NotOwner`` if this guard has ended, or is another
    /// thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.held.unlock(py)
    }

    /// Does it write still?
    #[getter]
    fn held(&self) -> bool {
        self.held.lasts()
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let export = &slf.get().export;
        // SAFETY: as for the array.
        unsafe { export.lend(slf.as_any(), export.array.as_ptr(), false, view, flags) }
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        slf.get().held.enter(py)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.held.exit(py)
    }

    fn __repr__(&self) -> String {
        self.held.repr("ArrayGuard")
    }
}

/// A copy of an array, whole: this process's own memory, with the buffer protocol, to be read.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct ArraySnapshot {
    export: Arc<Export>,
    data: Vec<u8>,
}

#[pymethods]
impl ArraySnapshot {
    /// The elements, as a memoryview.
    fn view<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf.as_any())
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: Python's arguments; this object keeps the export, and the bytes, which never change.
        unsafe { this.export.lend(slf.as_any(), this.data.as_ptr().cast_mut(), true, view, flags) }
    }

    fn __repr__(&self) -> String {
        format!("<triveni.ArraySnapshot of '{}'>", self.export.array.name())
    }
}
