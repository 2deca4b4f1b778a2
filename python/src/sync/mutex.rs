//! A robust mutex, and the guard that `lock` gives.
//!
//! `lock` gives a guard that says whether the last holder died. `with mutex:` has nobody to look at that, so it
//! raises `OwnerDied` with the guard, still holding.

use super::hold::{Held, Key, Lock, end_last, held_by, kept, owner_died};
use crate::error::call;
use crate::segment::{Reduced, address, info::Holder, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;
use triveni::{Deadline, Result};

/// A robust mutex that Rust, C and Python processes share.
///
/// ``Segment.mutex(name)`` finds or creates it. ``with mutex:`` is the plain way. If the last holder died with the
/// lock, that raises ``OwnerDied``, whose ``guard`` holds the lock now: repair what it protects, call
/// ``guard.recover()``, then ``guard.unlock()``. Without ``recover()`` the next locker is told the same.
///
/// Threads: a thread owns the lock; another one that unlocks it gets ``NotOwner``, the same one that locks it
/// again ``Deadlock``. fork: the child does not hold what its parent held. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Mutex {
    segment: triveni::Segment,
    mutex: triveni::Mutex,
    key: Arc<Key>,
}

impl Mutex {
    pub(crate) fn new(segment: triveni::Segment, mutex: triveni::Mutex) -> Mutex {
        let key = Key::of(&segment, mutex.name());
        Mutex { segment, mutex, key }
    }

    pub(crate) fn core(&self) -> &triveni::Mutex {
        &self.mutex
    }

    /// Locks; the guard says whether the last holder died.
    #[inline]
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<MutexGuard>> {
        let locked = kept(match until {
            None => self.mutex.try_lock(),
            Some(until) => self.mutex.lock_until(until).map(Some),
        })?;
        Ok(locked.map(|_| MutexGuard(Held::begin(self.mutex.clone(), &self.key))))
    }

    fn until(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<MutexGuard> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }
}

#[pymethods]
impl Mutex {
    /// Locks and gives a guard. ``TimeoutError`` once ``timeout`` seconds have passed.
    ///
    /// Look at ``guard.owner_died``: if it is true, the last holder died with the lock. Unlock with
    /// ``guard.unlock()``, ``with guard:``, or ``mutex.unlock()``.
    #[pyo3(signature = (timeout=None))]
    fn lock(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<MutexGuard> {
        self.until(py, timeout)
    }

    /// Locks if it is free; ``None`` if somebody holds it.
    fn try_lock(&self, py: Python<'_>) -> PyResult<Option<MutexGuard>> {
        trying(py, |until| self.attempt(until))
    }

    /// Unlocks what this thread locked. ``NotOwner`` if it did not.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.mutex.unlock())?;
        end_last(&self.key);
        Ok(())
    }

    /// Who holds it at this moment; ``None`` if nobody does.
    fn holder(&self) -> Option<Holder> {
        self.mutex.holder().map(Holder::from)
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.mutex.name()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<MutexGuard> {
        let guard = self.until(py, None)?;
        if !guard.owner_died() {
            return Ok(guard);
        }
        let address = address(&self.segment, self.mutex.name());
        let sentence = format!(
            "mutex {address}: the last holder died while it held the lock; `guard` of this exception holds it \
             now: repair what it protects, then guard.recover() and guard.unlock()"
        );
        Err(owner_died(py, sentence, guard))
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.unlock(py)
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "mutex", self.mutex.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.mutex.name());
        format!("<triveni.Mutex {address} {}>", held_by(self.mutex.holder()))
    }
}

/// A hold on a mutex. ``with guard:`` unlocks at the end.
///
/// ``owner_died`` is true if a holder died with the lock and ``recover()`` has not been called since. A guard
/// that goes away in that state unlocks, and the next locker is told. Any other guard that goes away leaves
/// the lock held: ``mutex.unlock()`` ends it.
///
/// Threads: only the thread that locked may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct MutexGuard(Held<triveni::Mutex>);

impl Lock for triveni::Mutex {
    const NOUN: &'static str = "mutex";

    fn name(&self) -> &str {
        self.name()
    }

    fn unlock(&self) -> Result<()> {
        self.unlock()
    }

    fn recover(&self) -> Result<()> {
        self.recover()
    }

    fn owner_died(&self) -> bool {
        self.owner_died()
    }
}

#[pymethods]
impl MutexGuard {
    /// Did a holder die with the lock, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.0.owner_died()
    }

    /// Says that what the mutex protects is whole again.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        self.0.recover(py)
    }

    /// Unlocks. ``NotOwner`` if this guard's hold has ended, or is another thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.0.unlock(py)
    }

    /// Does it hold the lock still?
    #[getter]
    fn held(&self) -> bool {
        self.0.lasts()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        slf.get().0.enter(py)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.exit(py)
    }

    fn __repr__(&self) -> String {
        self.0.repr("MutexGuard")
    }
}
