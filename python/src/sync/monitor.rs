//! A monitor with its conditions, and the guard that `enter` gives.
//!
//! # When somebody dies inside
//!
//! As with a mutex: `enter` gives a guard whose `owner_died` is true, `with monitor:` raises `OwnerDied` with it.
//! `Condition.wait` raises `OwnerDied` without a guard: the thread is inside by the guard it had before.

use super::hold::{Held, Key, Lock, end_last, held_by, kept, owner_died};
use crate::error::{call, detached, invalid, to_py};
use crate::segment::{Reduced, Segment, address, info::Holder, reduce};
use crate::wait::{deadline, once, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;
use triveni::{Deadline, Error, ErrorKind, Result};

/// A monitor that Rust, C and Python processes share: of all their threads, one at a time is inside.
///
/// ``Segment.monitor(name)`` finds or creates it. ``with monitor:`` enters and leaves. ``monitor.condition(name)``
/// gives a condition to wait for inside. If somebody died inside, ``with monitor:`` raises ``OwnerDied``, whose
/// ``guard`` is inside now: repair what the monitor protects, call ``guard.recover()``, then ``guard.leave()``.
///
/// Threads: another thread that leaves for the one inside gets ``NotOwner``, the one inside that enters again
/// ``Deadlock``. fork: the child is not inside where its parent is. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Monitor {
    segment: triveni::Segment,
    monitor: triveni::Monitor,
    key: Arc<Key>,
}

impl Monitor {
    pub(crate) fn new(segment: triveni::Segment, monitor: triveni::Monitor) -> Monitor {
        let key = Key::of(&segment, monitor.name());
        Monitor { segment, monitor, key }
    }

    pub(crate) fn core(&self) -> &triveni::Monitor {
        &self.monitor
    }

    #[inline]
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<MonitorGuard>> {
        let entered = kept(match until {
            None => self.monitor.try_enter(),
            Some(until) => self.monitor.enter_until(until).map(Some),
        })?;
        Ok(entered.map(|_| MonitorGuard(Held::begin(self.monitor.clone(), &self.key))))
    }

    fn until(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<MonitorGuard> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }
}

#[pymethods]
impl Monitor {
    /// Enters and gives a guard. ``TimeoutError`` once ``timeout`` seconds have passed.
    ///
    /// Look at ``guard.owner_died``: if it is true, somebody died inside. Leave with ``guard.leave()``,
    /// ``with guard:``, or ``monitor.leave()``.
    #[pyo3(signature = (timeout=None))]
    fn enter(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<MonitorGuard> {
        self.until(py, timeout)
    }

    /// Enters if nobody is inside; ``None`` if somebody is.
    fn try_enter(&self, py: Python<'_>) -> PyResult<Option<MonitorGuard>> {
        trying(py, |until| self.attempt(until))
    }

    /// Leaves. ``NotOwner`` if this thread is not inside.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.monitor.leave())?;
        end_last(&self.key);
        Ok(())
    }

    /// Says that what the monitor protects is whole again. ``NotOwner`` if this thread is not inside.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.monitor.recover())
    }

    /// Who is inside at this moment; ``None`` if nobody is.
    fn holder(&self) -> Option<Holder> {
        self.monitor.holder().map(Holder::from)
    }

    /// Has somebody died inside, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.monitor.owner_died()
    }

    /// The condition of this name; made if there is none yet. A monitor has up to seven.
    fn condition(&self, py: Python<'_>, name: &str) -> PyResult<Condition> {
        let condition = detached(py, || self.monitor.condition(name))?;
        Ok(Condition::new(self.segment.clone(), self.key.clone(), condition))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.monitor.name()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<MonitorGuard> {
        let guard = self.until(py, None)?;
        if !guard.owner_died() {
            return Ok(guard);
        }
        let address = address(&self.segment, self.monitor.name());
        let sentence = format!(
            "monitor {address}: somebody died inside; `guard` of this exception is inside now: repair what the \
             monitor protects, then guard.recover() and guard.leave()"
        );
        Err(owner_died(py, sentence, guard))
    }

    #[pyo3(signature = (*exception))]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let failed = exception.get_item(0).is_ok_and(|class| !class.is_none());
        // A wait that could not enter again has said so: that is the news, not that nobody is inside.
        if failed && !self.monitor.is_mine() { Ok(()) } else { self.leave(py) }
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "monitor", self.monitor.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.monitor.name());
        format!("<triveni.Monitor {address} {}>", held_by(self.monitor.holder()))
    }
}

/// A thread's stay inside a monitor. ``with guard:`` leaves at the end.
///
/// ``owner_died`` is true if somebody died inside and ``recover()`` has not been called since. A guard that goes away
/// in that state leaves, and the next one to enter is told. Any other guard that goes away leaves the thread
/// inside: ``monitor.leave()`` ends it. Waiting for a condition does not end it.
///
/// Threads: only the thread that entered may use it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct MonitorGuard(Held<triveni::Monitor>);

impl Lock for triveni::Monitor {
    const NOUN: &'static str = "monitor";

    fn name(&self) -> &str {
        self.name()
    }

    fn unlock(&self) -> Result<()> {
        self.leave()
    }

    fn recover(&self) -> Result<()> {
        self.recover()
    }

    fn owner_died(&self) -> bool {
        self.owner_died()
    }
}

#[pymethods]
impl MonitorGuard {
    /// Has somebody died inside, and has nobody called ``recover()`` since?
    #[getter]
    fn owner_died(&self) -> bool {
        self.0.owner_died()
    }

    /// Says that what the monitor protects is whole again.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        self.0.recover(py)
    }

    /// Leaves. ``NotOwner`` if this guard's stay has ended, or is another thread's.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        self.0.unlock(py)
    }

    /// Is its thread inside still, or waiting for a condition?
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
        self.0.repr("MonitorGuard")
    }
}

/// A condition of a monitor, to wait for inside.
///
/// It remembers nothing: a signal that nobody waits for is gone. A signal is a hint (Mesa semantics), and a wait may
/// end without one. So wait in a loop, or with ``wait_for``:
///
///     with monitor:
///         while not there_is_work():
///             work.wait()
///
/// asyncio: ``await asyncio.to_thread(function)``, where ``function`` enters, waits and leaves in one thread.
///
/// Threads: any number may use one. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Condition {
    segment: triveni::Segment,
    /// The monitor's.
    key: Arc<Key>,
    condition: triveni::Condition,
}

impl Condition {
    fn new(segment: triveni::Segment, key: Arc<Key>, condition: triveni::Condition) -> Condition {
        Condition { segment, key, condition }
    }

    /// `path` is `MONITOR/CONDITION`, as pickled.
    pub(crate) fn reopen(py: Python<'_>, segment: &Segment, path: &str) -> PyResult<Condition> {
        let (monitor, name) = path
            .split_once('/')
            .ok_or_else(|| invalid(py, format!("{path:?} names no condition; this pickle is of another version")))?;
        segment.open_monitor(py, monitor)?.condition(py, name)
    }

    /// Waits once: until a signal, or for as long as one wait may last on the main thread.
    fn pause(&self, py: Python<'_>, until: Deadline) -> PyResult<()> {
        let waited = once(py, until, |until| self.condition.wait_until(until));
        if waited.is_err() && !self.condition.monitor().is_mine() {
            end_last(&self.key);
        }
        waited
    }
}

#[pymethods]
impl Condition {
    /// Leaves the monitor, sleeps until signalled, and enters again. ``TimeoutError`` once ``timeout`` seconds have
    /// passed. May return without a signal: look again at what you wait for. On the main thread it does so every
    /// second, to look for Ctrl-C; ``wait_for`` hides that.
    ///
    /// ``NotOwner`` if this thread is not inside. ``OwnerDied`` if somebody died inside meanwhile: repair what the
    /// monitor protects, then ``monitor.recover()``. After any of these, and after a Ctrl-C, the thread is where it
    /// was before: inside, or outside. ``Removed``, and ``Deadlock`` in a segment that detects them: it could not enter
    /// again and is outside.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.pause(py, deadline(py, timeout)?)
    }

    /// Waits until ``predicate()`` is true and returns what it said; after ``timeout`` seconds, what it says then.
    ///
    /// The predicate is called inside the monitor. Errors as from ``wait``, without ``TimeoutError``.
    #[pyo3(signature = (predicate, timeout=None))]
    fn wait_for<'py>(
        &self,
        py: Python<'py>,
        predicate: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let until = deadline(py, timeout)?;
        if !self.condition.monitor().is_mine() {
            let address = address(&self.segment, self.condition.monitor().name());
            let sentence = format!(
                "wait for '{}' of monitor {address}: this thread is not inside; enter first",
                self.condition.name()
            );
            return Err(to_py(py, Error::new(ErrorKind::NotOwner, sentence)));
        }
        loop {
            let said = predicate.call0()?;
            if said.is_truthy()? || until.passed() {
                return Ok(said);
            }
            match self.pause(py, until) {
                Err(error) if error.is_instance_of::<pyo3::exceptions::PyTimeoutError>(py) => {}
                other => other?,
            }
        }
    }

    /// Wakes one thread that waits for this condition, if any.
    fn signal(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.condition.signal())
    }

    /// Wakes every thread that waits for this condition.
    fn broadcast(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.condition.broadcast())
    }

    /// Its name in the monitor.
    #[getter]
    fn name(&self) -> &str {
        self.condition.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        let path = format!("{}/{}", self.condition.monitor().name(), self.condition.name());
        reduce(py, &self.segment, "condition", &path)
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.condition.monitor().name());
        format!("<triveni.Condition '{}' of monitor {address}>", self.condition.name())
    }
}
