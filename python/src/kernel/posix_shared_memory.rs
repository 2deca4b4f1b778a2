//! POSIX shared memory.

use super::viewed::Viewed;
use crate::buffer::Input;
use crate::error::{call, count, detached, whole};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};
use triveni::kernel::{self, PosixSharedMemoryOptions};

/// POSIX shared memory: bytes that all processes see which know its name.
///
/// ``PosixSharedMemory.create(name, size)``, ``.open(name)``, ``.open_or_create(name, size)``. It is a buffer:
/// ``memoryview(memory)`` and ``numpy.frombuffer(memory, dtype)`` look at it without a copy, and ``close()`` under a live
/// one is ``BufferError``. Nobody waits for anybody: keep order with a semaphore.
///
/// The memory stays when all its users have ended, until ``unlink(name)`` and the last detaches it, unless it is
/// ``owned``: then its name goes with the handle that made it. A plain program gets it by shm_open(3), Python's own
/// ``multiprocessing.shared_memory`` by ``SharedMemory(name)``. Who may write to it can also truncate it; whoever touches
/// what is gone then is killed by SIGBUS.
///
/// Threads: any number. fork: the child goes on using it, and never removes it. No pickle: open it by its name.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct PosixSharedMemory {
    memory: Viewed<kernel::PosixSharedMemory>,
    name: String,
    size: usize,
    read_only: bool,
}

fn options(mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<PosixSharedMemoryOptions> {
    let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
    Ok(PosixSharedMemoryOptions::new().mode(mode).owned(owned))
}

impl PosixSharedMemory {
    fn new(memory: kernel::PosixSharedMemory) -> PosixSharedMemory {
        let (name, size, read_only) = (memory.name().to_string(), memory.size(), memory.is_read_only());
        PosixSharedMemory { memory: Viewed::new("POSIX shared memory", memory), name, size, read_only }
    }

    pub(crate) fn core(&self) -> &Viewed<kernel::PosixSharedMemory> {
        &self.memory
    }
}

#[pymethods]
impl PosixSharedMemory {
    /// Makes ``size`` bytes, all 0. ``FileExistsError`` if the name is taken, ``NoSpace`` if /dev/shm has no room.
    #[staticmethod]
    #[pyo3(signature = (name, size, *, mode=None, owned=false), text_signature = "(name, size, *, mode=0o600, owned=False)")]
    fn create(
        py: Python<'_>,
        name: &str,
        size: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<PosixSharedMemory> {
        let (size, options) = (whole("size", size)?, options(mode, owned)?);
        detached(py, || options.create(name, size)).map(PosixSharedMemory::new)
    }

    /// Attaches what is there. ``FileNotFoundError`` if nothing is, ``Incompatible`` if it has less than ``at_least``
    /// bytes, or none yet.
    #[staticmethod]
    #[pyo3(signature = (name, *, at_least=None, read_only=false), text_signature = "(name, *, at_least=0, read_only=False)")]
    fn open(
        py: Python<'_>,
        name: &str,
        at_least: Option<&Bound<'_, PyAny>>,
        read_only: bool,
    ) -> PyResult<PosixSharedMemory> {
        let at_least = at_least.map_or(Ok(0), |size| whole("at_least", size))?;
        let options = PosixSharedMemoryOptions::new().at_least(at_least).read_only(read_only);
        detached(py, || options.open(name)).map(PosixSharedMemory::new)
    }

    /// Attaches what is there, which must have ``size`` bytes at least, or makes it. What was there is not owned.
    #[staticmethod]
    #[pyo3(signature = (name, size, *, mode=None, owned=false), text_signature = "(name, size, *, mode=0o600, owned=False)")]
    fn open_or_create(
        py: Python<'_>,
        name: &str,
        size: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<PosixSharedMemory> {
        let (size, options) = (whole("size", size)?, options(mode, owned)?);
        detached(py, || options.open_or_create(name, size)).map(PosixSharedMemory::new)
    }

    /// Removes the name. Who has the memory attached keeps it.
    #[staticmethod]
    fn unlink(py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || kernel::PosixSharedMemory::unlink(name))
    }

    /// A copy of ``size`` bytes at ``offset``; to the end without ``size``.
    #[pyo3(signature = (offset=None, size=None), text_signature = "($self, offset=0, size=None)")]
    fn read_at<'py>(
        &self,
        py: Python<'py>,
        offset: Option<&Bound<'py, PyAny>>,
        size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let memory = self.memory.get(py)?;
        read(py, offset, size, self.size, |at, bytes| memory.read_at(at, bytes))
    }

    /// Copies ``data`` to the bytes at ``offset``. No lock is taken.
    fn write_at(&self, py: Python<'_>, offset: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let (memory, offset) = (self.memory.get(py)?, whole("offset", offset)?);
        write(py, data, (memory.as_ptr(), self.size), |bytes| memory.write_at(offset, bytes))
    }

    /// Its name, with the slash.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes are attached.
    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    /// Is it attached read-only?
    #[getter]
    fn read_only(&self) -> bool {
        self.read_only
    }

    /// The descriptor of its file.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.memory.get(py)?.as_fd().as_raw_fd())
    }

    /// Detaches it, and removes the name if it is owned. Again is nothing new; ``BufferError`` under a live view.
    fn close(&self) -> PyResult<()> {
        self.memory.close()
    }

    fn __len__(&self) -> usize {
        self.size
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: Python's arguments; the memory is attached as long as the handle.
        unsafe { slf.get().memory.lend(slf.as_any(), view, flags, |m| (m.as_ptr(), m.size(), m.is_read_only())) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.memory.give_back();
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close()
    }

    fn __repr__(&self) -> String {
        let read_only = if self.read_only { ", read-only" } else { "" };
        let closed = if self.memory.is_open() { "" } else { ", closed" };
        format!("<triveni.kernel.PosixSharedMemory {:?} {} bytes{read_only}{closed}>", self.name, self.size)
    }
}

/// `read_at` of shared memory that has `all` bytes.
pub(super) fn read<'py>(
    py: Python<'py>,
    offset: Option<&Bound<'py, PyAny>>,
    size: Option<&Bound<'py, PyAny>>,
    all: usize,
    copy: impl FnOnce(usize, &mut [u8]) -> triveni::Result<()>,
) -> PyResult<Bound<'py, PyBytes>> {
    let offset = offset.map_or(Ok(0), |offset| whole("offset", offset))?;
    let size = size.map_or(Ok(all.saturating_sub(offset)), |size| whole("size", size))?;
    if size > all {
        // Before so many bytes are allocated. Core says what is wrong.
        return call(py, || copy(offset, &mut vec![0; all + 1])).map(|()| PyBytes::new(py, b""));
    }
    PyBytes::new_with(py, size, |bytes| call(py, || copy(offset, bytes)))
}

/// `write_at` of shared memory that lies here, `(at, size)`.
pub(super) fn write(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    (at, size): (*mut u8, usize),
    copy: impl FnOnce(&[u8]) -> triveni::Result<()>,
) -> PyResult<()> {
    let input = Input::of(data)?;
    let bytes = input.bytes(py);
    let given = bytes.as_ptr_range();
    if given.start < at.wrapping_add(size).cast_const() && at.cast_const() < given.end {
        let own = bytes.to_vec(); // a view of this very memory
        return call(py, || copy(&own));
    }
    call(py, || copy(bytes))
}
