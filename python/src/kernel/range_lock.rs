//! Locks on ranges of files: open file description locks.

use super::Shared;
use super::pipe::given;
use crate::error::{count, detached, invalid, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ops::Bound as Edge;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triveni::kernel::LockMode;
use triveni::{Deadline, Result};

type Core = triveni::kernel::RangeLock;
type Range = (Edge<u64>, Edge<u64>);

/// A file of which ranges of bytes can be locked (open file description locks, ``F_OFD_SETLK``).
///
/// ``with lock.lock(start, length):`` alone, ``with lock.lock_shared(start, length):`` together with others; without a
/// length, all that the file may grow to. They exclude those of ``fcntl.lockf`` as well. Advisory.
///
/// The locks belong to the open file description, as those of ``FileLock``: threads with the same object are one holder,
/// and what it has already is changed, not waited for. fork: the child has them too. When the last holder dies the kernel
/// unlocks. It does not look for deadlocks among these locks: give a timeout, or lock in ascending order.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct RangeLock {
    path: PathBuf,
    lock: Shared<Core>,
}

/// A hold on a range of a file. ``with guard:`` unlocks at the end, ``guard.unlock()`` at once; one that goes away leaves
/// the range locked.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct RangeLockGuard {
    lock: Arc<Core>,
    range: Range,
    pid: u32,
    is_held: AtomicBool,
}

/// A lock that is in the way.
#[pyclass(frozen, get_all, module = "triveni.kernel")]
pub(crate) struct RangeBlocker {
    /// Is it exclusive?
    exclusive: bool,
    /// Its first byte.
    start: u64,
    /// Its last byte; ``None`` if it has no end.
    last: Option<u64>,
    /// The process, if the lock is of the older kind, which belongs to one; otherwise ``None``.
    pid: Option<u32>,
}

fn range(py: Python<'_>, start: Option<&Bound<'_, PyAny>>, length: Option<&Bound<'_, PyAny>>) -> PyResult<Range> {
    let start = start.map_or(Ok(0), |start| whole("start", start))? as u64;
    let end = match length.map(|length| whole("length", length)).transpose()? {
        None => Edge::Unbounded,
        Some(0) => {
            return Err(invalid(
                py,
                "a range of 0 bytes is none; give a length from 1 on, or None for all that follows",
            ));
        }
        Some(length) => Edge::Excluded(start.saturating_add(length as u64)), // too much is refused by core
    };
    Ok((Edge::Included(start), end))
}

impl RangeLock {
    fn new(lock: Core) -> RangeLock {
        RangeLock { path: lock.path().into(), lock: Shared::new("range lock", lock) }
    }

    fn until(
        &self,
        py: Python<'_>,
        mode: LockMode,
        range: Range,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RangeLockGuard> {
        let lock = self.lock.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| attempt(&lock, mode, range, until))?;
        Ok(RangeLockGuard::new(lock, range))
    }

    fn tried(&self, py: Python<'_>, mode: LockMode, range: Range) -> PyResult<Option<RangeLockGuard>> {
        let lock = self.lock.get(py)?;
        Ok(trying(py, |until| attempt(&lock, mode, range, until))?.map(|()| RangeLockGuard::new(lock, range)))
    }
}

fn attempt(lock: &Core, mode: LockMode, range: Range, until: Option<Deadline>) -> Result<Option<()>> {
    match until {
        None => Ok(lock.try_acquire(mode, range)?.then_some(())),
        Some(until) => lock.acquire(mode, range, until).map(Some),
    }
}

#[pymethods]
impl RangeLock {
    /// Opens the file, for reading and writing if that is permitted, otherwise for reading.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<RangeLock> {
        detached(py, || Core::open(path)).map(RangeLock::new)
    }

    /// Opens the file, or makes it.
    #[staticmethod]
    #[pyo3(signature = (path, *, mode=None), text_signature = "(path, *, mode=0o600)")]
    fn open_or_create(py: Python<'_>, path: PathBuf, mode: Option<&Bound<'_, PyAny>>) -> PyResult<RangeLock> {
        let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
        detached(py, || Core::open_or_create(path, mode)).map(RangeLock::new)
    }

    /// That of a descriptor, which belongs to the new object from now on: ``RangeLock.from_fd(os.dup(file.fileno()))``.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<RangeLock> {
        Ok(RangeLock::new(given(py, fd)?.into()))
    }

    /// Locks a range alone; waits until no other holder has a byte of it. ``TimeoutError`` says what is in the way.
    ///
    /// ``OSError`` (EBADF) if the file is not open for writing.
    #[pyo3(signature = (start=None, length=None, timeout=None), text_signature = "($self, start=0, length=None, timeout=None)")]
    fn lock(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RangeLockGuard> {
        self.until(py, LockMode::Exclusive, range(py, start, length)?, timeout)
    }

    /// Locks a range alone if no other holder has a byte of it, else ``None``.
    #[pyo3(signature = (start=None, length=None), text_signature = "($self, start=0, length=None)")]
    fn try_lock(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<RangeLockGuard>> {
        self.tried(py, LockMode::Exclusive, range(py, start, length)?)
    }

    /// Locks a range together with others; waits until nobody has a byte of it alone.
    #[pyo3(signature = (start=None, length=None, timeout=None), text_signature = "($self, start=0, length=None, timeout=None)")]
    fn lock_shared(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RangeLockGuard> {
        self.until(py, LockMode::Shared, range(py, start, length)?, timeout)
    }

    /// Locks a range together with others if nobody has a byte of it alone, else ``None``.
    #[pyo3(signature = (start=None, length=None), text_signature = "($self, start=0, length=None)")]
    fn try_lock_shared(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<RangeLockGuard>> {
        self.tried(py, LockMode::Shared, range(py, start, length)?)
    }

    /// Unlocks a range, or part of one, also for forked processes that have it. What is not locked stays so.
    #[pyo3(signature = (start=None, length=None), text_signature = "($self, start=0, length=None)")]
    fn unlock(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (lock, range) = (self.lock.get(py)?, range(py, start, length)?);
        detached(py, || lock.release(range))
    }

    /// What would be in the way of locking a range, alone if ``exclusive``; ``None`` if nothing is.
    #[pyo3(signature = (start=None, length=None, *, exclusive=true), text_signature = "($self, start=0, length=None, *, exclusive=True)")]
    fn blocker(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
        exclusive: bool,
    ) -> PyResult<Option<RangeBlocker>> {
        let (lock, range) = (self.lock.get(py)?, range(py, start, length)?);
        let mode = if exclusive { LockMode::Exclusive } else { LockMode::Shared };
        let found = detached(py, || lock.blocker(mode, range))?;
        Ok(found.map(|blocker| RangeBlocker {
            exclusive: blocker.mode == LockMode::Exclusive,
            start: blocker.start,
            last: blocker.last,
            pid: blocker.pid,
        }))
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

    /// Closes the file; its locks end with it, once their guards are gone as well. Again is nothing new.
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
        format!("<triveni.kernel.RangeLock {:?}{closed}>", self.path)
    }
}

impl RangeLockGuard {
    fn new(lock: Arc<Core>, range: Range) -> RangeLockGuard {
        RangeLockGuard { lock, range, pid: std::process::id(), is_held: AtomicBool::new(true) }
    }
}

#[pymethods]
impl RangeLockGuard {
    /// Unlocks, also for forked processes that have it. Again is nothing new.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        match self.is_held.swap(false, Relaxed) {
            true => detached(py, || self.lock.release(self.range)), // the flag is all that is shared
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
        format!("<triveni.kernel.RangeLockGuard {:?} {state}>", self.lock.path())
    }
}

#[pymethods]
impl RangeBlocker {
    fn __repr__(&self) -> String {
        let kind = if self.exclusive { "exclusive" } else { "shared" };
        let last = self.last.map_or("the end".into(), |last| last.to_string());
        let who = self.pid.map_or(String::new(), |pid| format!(", process {pid}"));
        format!("<triveni.kernel.RangeBlocker {kind}, bytes {} to {last}{who}>", self.start)
    }
}
