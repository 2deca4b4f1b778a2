//! Locks on whole files: flock.

use super::Shared;
use super::pipe::given;
use crate::error::{count, detached};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triveni::kernel::LockMode;
use triveni::{Deadline, Result};

type Core = triveni::kernel::FileLock;

/// A file that can be locked as a whole (flock).
///
/// ``FileLock.open(path)``, ``FileLock.open_or_create(path)``, ``FileLock.from_fd(fd)``; then ``with lock.lock():`` alone,
/// or ``with lock.lock_shared():`` together with others that do so. Advisory: it keeps out who asks for the lock.
///
/// The lock belongs to the open file description. Threads with the same object are one holder: open the file once for each.
/// fork: the child has the lock too, and it is free when both have closed it, or one has called ``unlock``; the end of a
/// ``with`` block in the child does nothing. When the last holder dies the kernel unlocks.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct FileLock {
    path: PathBuf,
    lock: Shared<Core>,
}

/// A hold on a file. ``with guard:`` unlocks at the end, ``guard.unlock()`` at once; one that goes away leaves the file
/// locked.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct FileLockGuard {
    lock: Arc<Core>,
    pid: u32,
    is_held: AtomicBool,
}

impl FileLock {
    fn new(lock: Core) -> FileLock {
        FileLock { path: lock.path().into(), lock: Shared::new("file lock", lock) }
    }

    fn until(&self, py: Python<'_>, mode: LockMode, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<FileLockGuard> {
        let lock = self.lock.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| attempt(&lock, mode, until))?;
        Ok(FileLockGuard::new(lock))
    }

    fn tried(&self, py: Python<'_>, mode: LockMode) -> PyResult<Option<FileLockGuard>> {
        let lock = self.lock.get(py)?;
        Ok(trying(py, |until| attempt(&lock, mode, until))?.map(|()| FileLockGuard::new(lock)))
    }
}

fn attempt(lock: &Core, mode: LockMode, until: Option<Deadline>) -> Result<Option<()>> {
    match until {
        None => Ok(lock.try_acquire(mode)?.then_some(())),
        Some(until) => lock.acquire(mode, until).map(Some),
    }
}

#[pymethods]
impl FileLock {
    /// Opens the file, for reading and writing if that is permitted, otherwise for reading.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<FileLock> {
        detached(py, || Core::open(path)).map(FileLock::new)
    }

    /// Opens the file, or makes it.
    #[staticmethod]
    #[pyo3(signature = (path, *, mode=None), text_signature = "(path, *, mode=0o600)")]
    fn open_or_create(py: Python<'_>, path: PathBuf, mode: Option<&Bound<'_, PyAny>>) -> PyResult<FileLock> {
        let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
        detached(py, || Core::open_or_create(path, mode)).map(FileLock::new)
    }

    /// That of a descriptor, which belongs to the new object from now on: ``FileLock.from_fd(os.dup(file.fileno()))``.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<FileLock> {
        Ok(FileLock::new(given(py, fd)?.into()))
    }

    /// Locks the file alone; waits until nobody else holds it. ``TimeoutError`` names who does.
    #[pyo3(signature = (timeout=None))]
    fn lock(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<FileLockGuard> {
        self.until(py, LockMode::Exclusive, timeout)
    }

    /// Locks the file alone if nobody else holds it, else ``None``.
    fn try_lock(&self, py: Python<'_>) -> PyResult<Option<FileLockGuard>> {
        self.tried(py, LockMode::Exclusive)
    }

    /// Locks the file together with others; waits until nobody holds it alone.
    #[pyo3(signature = (timeout=None))]
    fn lock_shared(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<FileLockGuard> {
        self.until(py, LockMode::Shared, timeout)
    }

    /// Locks the file together with others if nobody holds it alone, else ``None``.
    fn try_lock_shared(&self, py: Python<'_>) -> PyResult<Option<FileLockGuard>> {
        self.tried(py, LockMode::Shared)
    }

    /// Unlocks, also for forked processes that have it. If it was not locked, nothing happens.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        let lock = self.lock.get(py)?;
        detached(py, || lock.release())
    }

    /// The pids of who took the lock, where the kernel lists them. One that took it before a fork may be dead while its
    /// child holds it.
    fn holders(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        let lock = self.lock.get(py)?;
        detached(py, || Ok(lock.holders()))
    }

    /// Its path; empty for that of a descriptor.
    #[getter]
    fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The descriptor of the file, to read and write with.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.lock.get(py)?.as_fd().as_raw_fd())
    }

    /// Closes the file; the lock ends with it, once its guards are gone as well. Again is nothing new.
    fn close(&self) {
        self.lock.close();
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        let closed = if self.lock.is_open() { "" } else { ", closed" };
        format!("<triveni.kernel.FileLock {:?}{closed}>", self.path)
    }
}

impl FileLockGuard {
    fn new(lock: Arc<Core>) -> FileLockGuard {
        FileLockGuard { lock, pid: std::process::id(), is_held: AtomicBool::new(true) }
    }
}

#[pymethods]
impl FileLockGuard {
    /// Unlocks, also for forked processes that have it. Again is nothing new.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        match self.is_held.swap(false, Relaxed) {
            true => detached(py, || self.lock.release()), // the flag is all that is shared
            false => Ok(()),
        }
    }

    /// Has it not been unlocked yet?
    #[getter]
    fn held(&self) -> bool {
        self.is_held.load(Relaxed)
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        if std::process::id() == self.pid { self.unlock(py) } else { Ok(()) }
    }

    fn __repr__(&self) -> String {
        let state = if self.held() { "held" } else { "unlocked" };
        format!("<triveni.kernel.FileLockGuard {:?} {state}>", self.lock.path())
    }
}
