//! Lock files: who makes the file has the lock.

use super::Exclusive;
use crate::error::{call, count, detached};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::path::PathBuf;
use triveni::kernel::LockFileOptions;

/// A lock that stands as a file: who makes the file has the lock, who removes it lets go.
///
/// ``with LockFile(path).lock(timeout=1):`` holds it for the block. The file says who made it, so that one that a dead
/// process left is recognised: ``PeerDead``, or with ``take_over=True`` it is taken over; then ``guard.left_by`` is who had
/// it, and what that process left half done is to be put right first. With ``owned=True``, ``triveni ls`` shows the file as
/// a leftover if this process is killed.
///
/// Waiting means trying again, after pauses that grow to 4 ms. Threads: any; each ``lock()`` excludes all others. fork: the
/// lock stays the parent's.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct LockFile(triveni::kernel::LockFile);

/// A lock that is held. ``with guard:`` removes the file at the end, ``guard.unlock()`` at once; so does a guard that goes
/// away.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct LockFileGuard {
    path: PathBuf,
    left_by: Option<triveni::kernel::LockFileHolder>,
    pid: u32,
    guard: Exclusive<triveni::kernel::LockFileGuard>,
}

/// Whose a lock file is, by what lies in it.
#[pyclass(frozen, get_all, module = "triveni.kernel")]
pub(crate) struct LockFileHolder {
    /// Its maker's pid; ``None`` if the file does not say.
    pid: Option<u32>,
    /// Its maker's program; empty if the file does not say.
    program: String,
    /// Is its maker alive? ``None`` if nobody can say: another program's file, or another pid namespace.
    alive: Option<bool>,
}

impl From<triveni::kernel::LockFileHolder> for LockFileHolder {
    fn from(holder: triveni::kernel::LockFileHolder) -> LockFileHolder {
        LockFileHolder { pid: holder.pid, program: holder.program, alive: holder.alive }
    }
}

#[pymethods]
impl LockFile {
    #[new]
    #[pyo3(signature = (path, *, mode=None, owned=false, take_over=false), text_signature = "(path, *, mode=0o600, owned=False, take_over=False)")]
    fn new(path: PathBuf, mode: Option<&Bound<'_, PyAny>>, owned: bool, take_over: bool) -> PyResult<LockFile> {
        let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
        let options = LockFileOptions::default().mode(mode).owned(owned).take_over(take_over);
        Ok(LockFile(triveni::kernel::LockFile::new(path, options)))
    }

    /// Makes the file; waits until nobody else has it. ``TimeoutError`` says who does; ``PeerDead`` if a dead process left
    /// it, unless it is taken over.
    #[pyo3(signature = (timeout=None))]
    fn lock(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<LockFileGuard> {
        let guard = waiting(py, deadline(py, timeout)?, |until| match until {
            None => self.0.try_lock(),
            Some(until) => self.0.lock_until(until).map(Some),
        })?;
        Ok(LockFileGuard::new(guard))
    }

    /// Makes the file if nobody has it, else ``None``. ``PeerDead`` as ``lock``.
    fn try_lock(&self, py: Python<'_>) -> PyResult<Option<LockFileGuard>> {
        Ok(trying(py, |_| self.0.try_lock())?.map(LockFileGuard::new))
    }

    /// Whose the file is; ``None`` if it is not there.
    fn holder(&self, py: Python<'_>) -> PyResult<Option<LockFileHolder>> {
        Ok(detached(py, || self.0.holder())?.map(LockFileHolder::from))
    }

    /// Its path.
    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().into()
    }

    fn __repr__(&self) -> String {
        format!("<triveni.kernel.LockFile {:?}>", self.0.path())
    }
}

impl LockFileGuard {
    fn new(guard: triveni::kernel::LockFileGuard) -> LockFileGuard {
        let (path, left_by) = (guard.path().into(), guard.taken_over_from().cloned());
        LockFileGuard { path, left_by, pid: std::process::id(), guard: Exclusive::new("lock file", guard) }
    }
}

#[pymethods]
impl LockFileGuard {
    /// Removes the file. ``NotOwner`` if it is not ours any more, because somebody removed it, or this is a forked child.
    /// Again is nothing new.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || match self.guard.take()? {
            Some(guard) => guard.unlock(),
            None => Ok(()),
        })
    }

    /// Who had the lock before, if its file was taken over; otherwise ``None``.
    #[getter]
    fn left_by(&self) -> Option<LockFileHolder> {
        self.left_by.clone().map(LockFileHolder::from)
    }

    /// Its path.
    #[getter]
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        if std::process::id() == self.pid { self.unlock(py) } else { Ok(()) }
    }

    fn __repr__(&self) -> String {
        format!("<triveni.kernel.LockFileGuard {:?}>", self.path)
    }
}

#[pymethods]
impl LockFileHolder {
    fn __repr__(&self) -> String {
        let pid = self.pid.map_or("somebody".into(), |pid| format!("process {pid} ({})", self.program));
        let alive = match self.alive {
            Some(true) => "alive",
            Some(false) => "dead",
            None => "perhaps alive",
        };
        format!("<triveni.kernel.LockFileHolder {pid}, {alive}>")
    }
}
