//! A robust mutex, and the guard that `lock` gives.
//!
//! # State
//!
//! Who holds the lock, core knows; here is only which guard belongs to the present hold. All Python mutexes of
//! this process that stand for the same object share one number, raised when it is locked and when it is
//! unlocked; a guard remembers the number of its own hold. So a guard that was outlived, by `Mutex.unlock`
//! through another handle, say, never ends somebody else's hold.
//!
//! # When a holder dies
//!
//! `lock` gives a guard whose `owner_died` is true. `with mutex:` has nobody to look at that, so it raises
//! `OwnerDied` with the guard, still holding. A guard that goes away while the repair is due unlocks, and
//! the next locker is told the same; any other guard that goes away leaves the lock to `Mutex.unlock`, so
//! that `mutex.lock()` as a statement of its own means what it means in `threading`.

use crate::error::{call, to_py};
use crate::segment::{Reduced, address, info::Holder, reduce};
use crate::wait::{deadline, forked, forks, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::collections::HashMap;
use std::fs::File;
use std::mem::forget;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, Weak};
use triveni::{Deadline, Error, ErrorKind, LockError, Result};

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
    holds: Arc<AtomicU64>,
}

/// Device and inode of the segment, name of the object.
type Key = (u64, u64, String);

/// The number of the present hold, shared by all Python mutexes of this process that are the same object.
fn holds_of(segment: &triveni::Segment, object: &str) -> Arc<AtomicU64> {
    static ALL: std::sync::Mutex<Option<HashMap<Key, Weak<AtomicU64>>>> = std::sync::Mutex::new(None);
    let Ok(meta) = segment.fd().map_err(std::io::Error::from).and_then(|fd| File::from(fd).metadata()) else {
        return Arc::default(); // no descriptors left: such a mutex knows the guards of this handle only
    };
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    all.retain(|_, holds| holds.strong_count() > 0);
    let key = (meta.dev(), meta.ino(), object.to_string());
    if let Some(holds) = all.get(&key).and_then(Weak::upgrade) {
        return holds;
    }
    let holds = Arc::default();
    all.insert(key, Arc::downgrade(&holds));
    holds
}

impl Mutex {
    pub(crate) fn new(segment: triveni::Segment, mutex: triveni::Mutex) -> Mutex {
        let holds = holds_of(&segment, mutex.name());
        Mutex { segment, mutex, holds }
    }

    /// Locks; the guard says whether the last holder died.
    #[inline]
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<MutexGuard>> {
        let locked = match until {
            None => self.mutex.try_lock().transpose(),
            Some(until) => Some(self.mutex.lock_until(until)),
        };
        // Core's guard cannot leave its thread; the hold it stands for is ended by `unlock` instead.
        let owner_died = match locked {
            None => return Ok(None),
            Some(Ok(guard)) => {
                forget(guard);
                false
            }
            Some(Err(LockError::OwnerDied(guard))) => {
                forget(guard);
                true
            }
            Some(Err(LockError::Failed(error))) => return Err(error),
        };
        // ORDER none: core's lock orders these; the number only tells holds of one process apart.
        let number = self.holds.fetch_add(1, Relaxed).wrapping_add(1);
        Ok(Some(MutexGuard {
            mutex: self.mutex.clone(),
            holds: self.holds.clone(),
            number,
            forks: forks(),
            owner_died: AtomicBool::new(owner_died),
        }))
    }

    fn until(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<MutexGuard> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }
}

/// Ends the present hold. `NotOwner` unless the calling thread has it.
fn unlock(mutex: &triveni::Mutex, holds: &AtomicU64) -> Result<()> {
    let number = holds.load(Relaxed);
    mutex.unlock()?;
    // Another thread may have locked since, and raised the number already: then this changes nothing.
    let _ = holds.compare_exchange(number, number.wrapping_add(1), Relaxed, Relaxed);
    Ok(())
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
        call(py, || unlock(&self.mutex, &self.holds))
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
        let error = to_py(
            py,
            Error::new(
                ErrorKind::OwnerDied,
                format!(
                    "mutex {address}: the last holder died while it held the lock; `guard` of this exception holds it \
                     now: repair what it protects, then guard.recover() and guard.unlock()"
                ),
            ),
        );
        error.value(py).setattr("guard", Bound::new(py, guard)?)?;
        Err(error)
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
        match self.mutex.holder() {
            None => format!("<triveni.Mutex {address} free>"),
            Some(triveni::Holder { pid: Some(pid), .. }) => format!("<triveni.Mutex {address} held by pid {pid}>"),
            Some(holder) => format!("<triveni.Mutex {address} held by participant {}>", holder.slot),
        }
    }
}

/// A hold on a mutex. ``with guard:`` unlocks at the end.
///
/// ``owner_died`` is true if the last holder died with the lock and ``recover()`` has not been called since. A guard
/// that goes away in that state unlocks, and the next locker is told. Any other guard that goes away leaves
/// the lock held: ``mutex.unlock()`` ends it.
///
/// Threads: only the thread that locked may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct MutexGuard {
    mutex: triveni::Mutex,
    holds: Arc<AtomicU64>,
    /// The hold this guard stands for.
    number: u64,
    forks: u32,
    owner_died: AtomicBool,
}

impl MutexGuard {
    fn is_current(&self) -> bool {
        self.forks == forks() && self.holds.load(Relaxed) == self.number
    }

    fn current(&self) -> Result<()> {
        if self.forks != forks() {
            return Err(forked(&format!("the guard of mutex {:?}", self.mutex.name()), "lock it in this process"));
        }
        if self.holds.load(Relaxed) != self.number {
            let name = self.mutex.name();
            return Err(Error::new(
                ErrorKind::NotOwner,
                format!("mutex {name:?}: this guard's hold has ended; lock again"),
            ));
        }
        Ok(())
    }
}

#[pymethods]
impl MutexGuard {
    /// Did the last holder die with the lock, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.owner_died.load(Relaxed) // changed by the holding thread alone
    }

    /// Says that what the mutex protects is whole again.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.current()?;
            self.mutex.recover()
        })?;
        self.owner_died.store(false, Relaxed); // read by the holding thread alone
        Ok(())
    }

    /// Unlocks. ``NotOwner`` if this guard's hold has ended, or is another thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.current()?;
            unlock(&self.mutex, &self.holds)
        })
    }

    /// Does it hold the lock still?
    #[getter]
    fn held(&self) -> bool {
        self.is_current()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().current())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.is_current() { self.unlock(py) } else { Ok(()) }
    }

    fn __repr__(&self) -> String {
        let name = self.mutex.name();
        match (self.is_current(), self.owner_died()) {
            (true, true) => format!("<triveni.MutexGuard of '{name}' held, owner died, not recovered>"),
            (true, false) => format!("<triveni.MutexGuard of '{name}' held>"),
            (false, _) => format!("<triveni.MutexGuard of '{name}' ended>"),
        }
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        if self.owner_died() && self.is_current() {
            // Refused on any other thread than the holder's: then the lock waits for that thread's end.
            let _ = unlock(&self.mutex, &self.holds);
        }
    }
}
