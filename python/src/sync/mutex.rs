//! A robust mutex, and the guard that `lock` gives.
//!
//! # When a holder dies
//!
//! `lock` gives a guard whose `owner_died` is true. `with mutex:` has nobody to look at that, so it raises
//! `OwnerDied` with the guard, still holding. A guard that goes away while the repair is due unlocks, and
//! the next locker is told the same; any other guard that goes away leaves the lock to `Mutex.unlock`, so
//! that `mutex.lock()` as a statement of its own means what it means in `threading`.

use super::hold::{Hold, Key, end_last, held_by, kept, owner_died};
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

    /// Locks; the guard says whether the last holder died.
    #[inline]
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<MutexGuard>> {
        let locked = kept(match until {
            None => self.mutex.try_lock(),
            Some(until) => self.mutex.lock_until(until).map(Some),
        })?;
        Ok(locked.map(|_| MutexGuard { mutex: self.mutex.clone(), hold: Hold::begin(&self.key) }))
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
pub(crate) struct MutexGuard {
    mutex: triveni::Mutex,
    hold: Hold,
}

impl MutexGuard {
    fn check(&self) -> Result<()> {
        self.hold.check(|| format!("mutex {:?}", self.mutex.name()))
    }
}

#[pymethods]
impl MutexGuard {
    /// Did a holder die with the lock, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.mutex.owner_died()
    }

    /// Says that what the mutex protects is whole again.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.check()?;
            self.mutex.recover()
        })
    }

    /// Unlocks. ``NotOwner`` if this guard's hold has ended, or is another thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.check()?;
            self.mutex.unlock()?;
            self.hold.end();
            Ok(())
        })
    }

    /// Does it hold the lock still?
    #[getter]
    fn held(&self) -> bool {
        self.hold.lasts()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().check())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.hold.lasts() { self.unlock(py) } else { Ok(()) }
    }

    fn __repr__(&self) -> String {
        let name = self.mutex.name();
        match (self.hold.lasts(), self.owner_died()) {
            (true, true) => format!("<triveni.MutexGuard of '{name}' held, owner died, not recovered>"),
            (true, false) => format!("<triveni.MutexGuard of '{name}' held>"),
            (false, _) => format!("<triveni.MutexGuard of '{name}' ended>"),
        }
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        // On any other thread than the holder's the lock waits for that thread's end.
        if self.hold.is_mine() && self.owner_died() && self.mutex.unlock().is_ok() {
            self.hold.end();
        }
    }
}
