//! A readers-writer lock, and the guards that `read` and `write` give.
//!
//! # When a writer dies
//!
//! Every guard that is given before somebody has recovered is told: its `owner_died` is true. `with lock.read():`
//! and `with lock.write():` have nobody to look at that, so a guard that nobody has asked raises `OwnerDied` when
//! the block begins, still holding; entered again, it does not.

use super::hold::{Held, Key, Lock, end_last, kept, owner_died};
use crate::error::{call, invalid};
use crate::segment::{Reduced, address, info::Holder, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triveni::{Deadline, Result, RwPolicy};

const POLICIES: [RwPolicy; 3] = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];

/// The policy of this name.
pub(crate) fn policy(py: Python<'_>, name: &str) -> PyResult<RwPolicy> {
    POLICIES.into_iter().find(|policy| policy.name() == name).ok_or_else(|| {
        let names = POLICIES.map(|policy| format!("{:?}", policy.name())).join(", ");
        invalid(py, format!("policy {name:?} is none; give one of {names}"))
    })
}

/// A robust readers-writer lock that Rust, C and Python processes share: many read, or one writes.
///
/// ``Segment.rwlock(name, policy="writers first")`` finds or creates it. ``with lock.read():`` and
/// ``with lock.write():`` are the plain way. If a writer died with the lock, both raise ``OwnerDied``, whose
/// ``guard`` holds the lock now. To repair what it protects, hold it for writing: ``guard.recover()``, then
/// ``guard.unlock()``. Without ``recover()`` the next one is told the same.
///
/// ``policy`` says who goes first where both wait: ``"readers first"`` (writers may starve), ``"writers first"``
/// (readers may starve), ``"fair"`` (neither side does). There is no upgrade: two readers that both wanted it would wait
/// for each other for ever. Unlock, lock for writing, look again; or write first and ``downgrade()``.
///
/// asyncio: lock and unlock in one thread: ``await asyncio.to_thread(function)``, where ``function`` holds the lock.
///
/// Threads: a thread owns what it locked; another one that unlocks it gets ``NotOwner``. fork: the child does not
/// hold what its parent held. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct RwLock {
    segment: triveni::Segment,
    lock: triveni::RwLock,
    key: Arc<Key>,
}

impl RwLock {
    pub(crate) fn new(segment: triveni::Segment, lock: triveni::RwLock) -> RwLock {
        let key = Key::of(&segment, lock.name());
        RwLock { segment, lock, key }
    }

    /// The calling thread has just locked.
    fn guard(&self, died: bool) -> Told {
        Told { held: Held::begin(self.lock.clone(), &self.key), untold: AtomicBool::new(died) }
    }

    #[inline]
    fn attempt_read(&self, until: Option<Deadline>) -> Result<Option<RwReadGuard>> {
        let locked = kept(match until {
            None => self.lock.try_read(),
            Some(until) => self.lock.read_until(until).map(Some),
        })?;
        Ok(locked.map(|died| RwReadGuard(self.guard(died))))
    }

    #[inline]
    fn attempt_write(&self, until: Option<Deadline>) -> Result<Option<RwWriteGuard>> {
        let locked = kept(match until {
            None => self.lock.try_write(),
            Some(until) => self.lock.write_until(until).map(Some),
        })?;
        Ok(locked.map(|died| RwWriteGuard(self.guard(died))))
    }
}

#[pymethods]
impl RwLock {
    /// Locks for reading and gives a guard: ``with lock.read():``. ``TimeoutError`` once ``timeout`` seconds have
    /// passed; ``Deadlock`` if this thread writes.
    #[pyo3(signature = (timeout=None))]
    fn read(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<RwReadGuard> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt_read(until))
    }

    /// Locks for reading if that is possible at once, else ``None``.
    fn try_read(&self, py: Python<'_>) -> PyResult<Option<RwReadGuard>> {
        trying(py, |until| self.attempt_read(until))
    }

    /// Locks for writing and gives a guard: ``with lock.write():``. ``TimeoutError`` once ``timeout`` seconds have
    /// passed; ``Deadlock`` if this thread reads or writes.
    #[pyo3(signature = (timeout=None))]
    fn write(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<RwWriteGuard> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt_write(until))
    }

    /// Locks for writing if that is possible at once, else ``None``.
    fn try_write(&self, py: Python<'_>) -> PyResult<Option<RwWriteGuard>> {
        trying(py, |until| self.attempt_write(until))
    }

    /// Unlocks what this thread locked, for writing or (its last time) for reading. ``NotOwner`` if it did neither.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.lock.unlock())?;
        end_last(&self.key);
        Ok(())
    }

    /// Who writes at this moment; ``None`` if nobody does.
    fn writer(&self) -> Option<Holder> {
        self.lock.writer().map(Holder::from)
    }

    /// How many read locks there are at this moment, in all processes.
    fn readers(&self) -> usize {
        self.lock.readers()
    }

    /// Has a writer died, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }

    /// Who goes first: ``"readers first"``, ``"writers first"`` or ``"fair"``.
    #[getter]
    fn policy(&self) -> &'static str {
        self.lock.policy().name()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.lock.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "rwlock", self.lock.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.lock.name());
        let now = match (self.lock.writer(), self.lock.readers()) {
            (Some(triveni::Holder { pid: Some(pid), .. }), _) => format!("written by pid {pid}"),
            (Some(writer), _) => format!("written by participant {}", writer.slot),
            (None, 0) => "free".to_string(),
            (None, n) => format!("read by {n}"),
        };
        format!("<triveni.RwLock {address} {}, {now}>", self.lock.policy().name())
    }
}

impl Lock for triveni::RwLock {
    const NOUN: &'static str = "rwlock";

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

/// A hold that remembers whether anybody has looked at the news of a death.
struct Told {
    held: Held<triveni::RwLock>,
    /// A writer died, and nobody has asked this guard yet.
    untold: AtomicBool,
}

impl Told {
    fn owner_died(&self) -> bool {
        self.untold.store(false, Relaxed); // asked by the holding thread alone
        self.held.owner_died()
    }

    /// A block begins. The sentence of `OwnerDied` if a writer died and nobody has asked.
    fn enter(&self, py: Python<'_>, remedy: &str) -> PyResult<Option<String>> {
        self.held.enter(py)?;
        let name = self.held.lock().name();
        let untold = self.untold.swap(false, Relaxed);
        Ok(untold.then(|| format!("rwlock '{name}': a writer died while it held the lock; {remedy}")))
    }
}

/// A hold for reading on a readers-writer lock: ``with lock.read():`` unlocks at the end.
///
/// ``owner_died`` is true if a writer died and nobody has called ``recover()`` since. A guard that goes away in that
/// state unlocks. Any other guard that goes away leaves the lock held: ``lock.unlock()`` ends it.
///
/// Threads: only the thread that locked may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct RwReadGuard(Told);

#[pymethods]
impl RwReadGuard {
    /// Did a writer die with the lock, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.0.owner_died()
    }

    /// Unlocks. ``NotOwner`` if this guard's hold has ended, or is another thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.0.held.unlock(py)
    }

    /// Does it hold the lock still?
    #[getter]
    fn held(&self) -> bool {
        self.0.held.lasts()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        let remedy = "`guard` of this exception holds it for reading: what it protects may be half changed; to \
                      repair it, unlock, lock for writing, then guard.recover()";
        match slf.get().0.enter(py, remedy)? {
            None => Ok(slf),
            Some(sentence) => Err(owner_died(py, sentence, slf)),
        }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.held.exit(py)
    }

    fn __repr__(&self) -> String {
        self.0.held.repr("RwReadGuard")
    }
}

/// A hold for writing on a readers-writer lock: ``with lock.write():`` unlocks at the end.
///
/// ``owner_died`` is true if a writer died and ``recover()`` has not been called since. A guard that goes away in that
/// state unlocks, and the next one is told. Any other guard that goes away leaves the lock held: ``lock.unlock()``
/// ends it.
///
/// Threads: only the thread that locked may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct RwWriteGuard(Told);

#[pymethods]
impl RwWriteGuard {
    /// Did a writer die with the lock, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.0.owner_died()
    }

    /// Says that what the lock protects is whole again.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        self.0.held.recover(py)
    }

    /// Turns it into a hold for reading, and gives its guard; no writer gets in between. This guard has ended then.
    fn downgrade(&self, py: Python<'_>) -> PyResult<RwReadGuard> {
        let held = &self.0.held;
        call(py, || {
            held.check()?;
            held.lock().downgrade()
        })?;
        Ok(RwReadGuard(Told { held: held.turned(), untold: AtomicBool::new(self.0.untold.load(Relaxed)) }))
    }

    /// Unlocks. ``NotOwner`` if this guard's hold has ended, or is another thread's.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.0.held.unlock(py)
    }

    /// Does it hold the lock still?
    #[getter]
    fn held(&self) -> bool {
        self.0.held.lasts()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        let remedy = "`guard` of this exception holds it for writing now: repair what it protects, then \
                      guard.recover() and guard.unlock()";
        match slf.get().0.enter(py, remedy)? {
            None => Ok(slf),
            Some(sentence) => Err(owner_died(py, sentence, slf)),
        }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.held.exit(py)
    }

    fn __repr__(&self) -> String {
        self.0.held.repr("RwWriteGuard")
    }
}
