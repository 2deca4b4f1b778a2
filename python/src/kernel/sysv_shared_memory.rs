//! System V shared memory.

use super::posix_shared_memory::{read, write};
use super::sysv_key::{key, shown};
use super::viewed::Viewed;
use crate::error::{call, count, detached, whole};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::ffi::c_int;
use triveni::kernel::{self, SysvSharedMemoryOptions};

/// What the kernel tells about a System V shared memory segment.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SysvSharedMemoryInfo {
    /// Its number.
    id: i32,
    /// Its key; ``None`` if it is private, or was removed and is still attached.
    key: Option<i32>,
    /// How many bytes it has.
    size: usize,
    /// How many attachments there are.
    attached: usize,
    /// The user who owns it.
    uid: u32,
    /// The group that owns it.
    gid: u32,
    /// The bits of its mode.
    mode: u32,
    /// Was it removed? Then it goes with its last attachment.
    removed: bool,
    /// The process that made it.
    creator_pid: u32,
    /// The process that attached or detached it last; 0: none yet.
    last_pid: u32,
    /// When somebody last attached it, in seconds since 1970; 0: not yet.
    attached_at: i64,
    /// When somebody last detached it, in seconds since 1970; 0: not yet.
    detached_at: i64,
    /// When it was made, or its mode changed, in seconds since 1970.
    changed_at: i64,
}

impl From<kernel::SysvSharedMemoryInfo> for SysvSharedMemoryInfo {
    fn from(info: kernel::SysvSharedMemoryInfo) -> SysvSharedMemoryInfo {
        SysvSharedMemoryInfo {
            id: info.id,
            key: shown(info.key),
            size: info.size,
            attached: info.attached,
            uid: info.uid,
            gid: info.gid,
            mode: info.mode,
            removed: info.removed,
            creator_pid: info.creator_pid,
            last_pid: info.last_pid,
            attached_at: info.attached_at,
            detached_at: info.detached_at,
            changed_at: info.changed_at,
        }
    }
}

#[pymethods]
impl SysvSharedMemoryInfo {
    fn __repr__(&self) -> String {
        let SysvSharedMemoryInfo { id, size, attached, uid, mode, .. } = self;
        let key = self.key.map_or("private".to_string(), |key| format!("{key:#010x}"));
        let removed = if self.removed { ", removed" } else { "" };
        format!(
            "<triveni.kernel.SysvSharedMemoryInfo {id} key {key} mode {mode:03o}, user {uid}, {size} bytes, attached {attached} times{removed}>"
        )
    }
}

/// System V shared memory: bytes that all processes see which know its key or its number.
///
/// ``SysvSharedMemory.create(key, size)``, ``.open(key)``, ``.open_or_create(key, size)``, ``.open_id(id)``. A key is a
/// number that both sides know, or ``kernel.sysv_key(path, 1)``; ``None`` makes a private segment, which others open by its
/// ``id``. It is a buffer: ``memoryview(memory)`` and ``numpy.frombuffer(memory, dtype)`` look at it without a copy, and
/// ``close()`` under a live one is ``BufferError``. Nobody waits for anybody: keep order with a semaphore.
///
/// A segment stays when all its users have ended, until ``remove()`` and the last detaches it, unless it is ``owned``: then
/// it goes with the handle that made it. Its size is fixed.
///
/// Threads: any number. fork: the child goes on using it, and never removes it. No pickle: open it by its key or its
/// ``id``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct SysvSharedMemory {
    memory: Viewed<kernel::SysvSharedMemory>,
    id: i32,
    key: Option<i32>,
    size: usize,
    read_only: bool,
}

fn making(mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<SysvSharedMemoryOptions> {
    let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
    Ok(SysvSharedMemoryOptions::new().mode(mode).owned(owned))
}

fn finding(at_least: Option<&Bound<'_, PyAny>>, read_only: bool) -> PyResult<SysvSharedMemoryOptions> {
    let at_least = at_least.map_or(Ok(0), |size| whole("at_least", size))?;
    Ok(SysvSharedMemoryOptions::new().at_least(at_least).read_only(read_only))
}

impl SysvSharedMemory {
    fn new(memory: kernel::SysvSharedMemory) -> SysvSharedMemory {
        let (id, key, size, read_only) = (memory.id(), shown(memory.key()), memory.size(), memory.is_read_only());
        SysvSharedMemory { memory: Viewed::new("System V shared memory", memory), id, key, size, read_only }
    }

    pub(crate) fn core(&self) -> &Viewed<kernel::SysvSharedMemory> {
        &self.memory
    }
}

#[pymethods]
impl SysvSharedMemory {
    /// Makes ``size`` bytes, all 0. ``FileExistsError`` if the key is taken.
    #[staticmethod]
    #[pyo3(signature = (key, size, *, mode=None, owned=false), text_signature = "(key, size, *, mode=0o600, owned=False)")]
    fn create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        size: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<SysvSharedMemory> {
        let (key, size, options) = (self::key(key)?, whole("size", size)?, making(mode, owned)?);
        detached(py, || options.create(key, size)).map(SysvSharedMemory::new)
    }

    /// Attaches what has this key. ``FileNotFoundError`` if nothing has, ``Incompatible`` if it has less than ``at_least``
    /// bytes.
    #[staticmethod]
    #[pyo3(signature = (key, *, at_least=None, read_only=false), text_signature = "(key, *, at_least=0, read_only=False)")]
    fn open(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        at_least: Option<&Bound<'_, PyAny>>,
        read_only: bool,
    ) -> PyResult<SysvSharedMemory> {
        let (key, options) = (self::key(key)?, finding(at_least, read_only)?);
        detached(py, || options.open(key)).map(SysvSharedMemory::new)
    }

    /// Attaches the segment with this number. ``FileNotFoundError`` if there is none, or not any more.
    #[staticmethod]
    #[pyo3(signature = (id, *, at_least=None, read_only=false), text_signature = "(id, *, at_least=0, read_only=False)")]
    fn open_id(
        py: Python<'_>,
        id: i32,
        at_least: Option<&Bound<'_, PyAny>>,
        read_only: bool,
    ) -> PyResult<SysvSharedMemory> {
        let options = finding(at_least, read_only)?;
        detached(py, || options.open_id(id)).map(SysvSharedMemory::new)
    }

    /// Attaches what has this key, which must have ``size`` bytes at least, or makes it. What was there is not owned.
    #[staticmethod]
    #[pyo3(signature = (key, size, *, mode=None, owned=false), text_signature = "(key, size, *, mode=0o600, owned=False)")]
    fn open_or_create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        size: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<SysvSharedMemory> {
        let (key, size, options) = (self::key(key)?, whole("size", size)?, making(mode, owned)?);
        detached(py, || options.open_or_create(key, size)).map(SysvSharedMemory::new)
    }

    /// The table of all System V shared memory of this system, as ``ipcs -m`` shows it.
    #[staticmethod]
    fn list(py: Python<'_>) -> PyResult<Vec<SysvSharedMemoryInfo>> {
        Ok(detached(py, kernel::SysvSharedMemory::list)?.into_iter().map(Into::into).collect())
    }

    /// Removes what has this key: nobody finds it any more, and it goes with its last attachment.
    #[staticmethod]
    fn unlink(py: Python<'_>, key: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let key = self::key(key)?;
        detached(py, || kernel::SysvSharedMemory::unlink(key))
    }

    /// Removes it: nobody finds it any more, and it goes with its last attachment. This handle keeps its own.
    fn remove(&self, py: Python<'_>) -> PyResult<()> {
        let memory = self.memory.get(py)?;
        call(py, || memory.remove())
    }

    /// What the kernel tells about it at this moment.
    fn info(&self, py: Python<'_>) -> PyResult<SysvSharedMemoryInfo> {
        let memory = self.memory.get(py)?;
        call(py, || memory.info()).map(Into::into)
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

    /// Its number, by which any process can open it.
    #[getter]
    fn id(&self) -> i32 {
        self.id
    }

    /// Its key; ``None`` if it is private.
    #[getter]
    fn key(&self) -> Option<i32> {
        self.key
    }

    /// How many bytes it has.
    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    /// Is it attached read-only?
    #[getter]
    fn read_only(&self) -> bool {
        self.read_only
    }

    /// Detaches it, and removes it if it is owned. Again is nothing new; ``BufferError`` under a live view.
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
        let key = self.key.map_or("private".to_string(), |key| format!("{key:#010x}"));
        let read_only = if self.read_only { ", read-only" } else { "" };
        let closed = if self.memory.is_open() { "" } else { ", closed" };
        format!("<triveni.kernel.SysvSharedMemory {} key {key} {} bytes{read_only}{closed}>", self.id, self.size)
    }
}
