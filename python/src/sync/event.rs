//! Event flags: 32 of them, to be waited for alone or together.

use crate::error::{call, count};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use triveni::{After, Deadline, Result};

/// 32 event flags that Rust, C and Python processes share, to be waited for alone or together.
///
/// ``Segment.event(name, initial=0)`` finds or creates them. Flags are the bits of a number, or an
/// ``enum.IntFlag``: ``event.set(0b101)``, ``event.wait_any(DOOR | WINDOW)``. They stay set until they are cleared;
/// with ``clear=True`` a wait clears what it was for in the same step, so that exactly one waiter goes on.
///
/// Threads: any number may use them at once. fork: the child goes on using them. pickle: by name. A death changes
/// no flag.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Event {
    segment: triveni::Segment,
    event: triveni::Event,
}

/// One of the flags, or all of them?
#[derive(Clone, Copy)]
enum Which {
    Any,
    All,
}

impl Event {
    pub(crate) fn new(segment: triveni::Segment, event: triveni::Event) -> Event {
        Event { segment, event }
    }

    pub(crate) fn core(&self) -> &triveni::Event {
        &self.event
    }

    #[inline]
    fn attempt(&self, which: Which, mask: u32, clear: bool, until: Option<Deadline>) -> Result<Option<u32>> {
        let after = if clear { After::Clear } else { After::Keep };
        match (which, until) {
            (Which::Any, None) => self.event.try_wait_any(mask, after),
            (Which::Any, Some(until)) => self.event.wait_any_until(mask, after, until).map(Some),
            (Which::All, None) => self.event.try_wait_all(mask, after),
            (Which::All, Some(until)) => self.event.wait_all_until(mask, after, until).map(Some),
        }
    }

    fn wait(
        &self,
        which: Which,
        mask: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        clear: bool,
    ) -> PyResult<u32> {
        let (py, mask) = (mask.py(), count("mask", mask)?);
        waiting(py, deadline(py, timeout)?, |until| self.attempt(which, mask, clear, until))
    }

    fn try_wait(&self, which: Which, mask: &Bound<'_, PyAny>, clear: bool) -> PyResult<Option<u32>> {
        let (py, mask) = (mask.py(), count("mask", mask)?);
        trying(py, |until| self.attempt(which, mask, clear, until))
    }
}

#[pymethods]
impl Event {
    /// Sets flags and wakes everybody who waits for them. Returns all that were set before.
    fn set(&self, py: Python<'_>, flags: &Bound<'_, PyAny>) -> PyResult<u32> {
        let flags = count("flags", flags)?;
        call(py, || self.event.set(flags))
    }

    /// Clears flags. Returns all that were set before.
    fn clear(&self, py: Python<'_>, flags: &Bound<'_, PyAny>) -> PyResult<u32> {
        let flags = count("flags", flags)?;
        call(py, || self.event.clear(flags))
    }

    /// The flags that are set at this moment.
    fn flags(&self) -> u32 {
        self.event.flags()
    }

    /// Waits until one flag of ``mask`` is set; returns those of ``mask`` that are.
    ///
    /// ``clear=True`` clears what it returns in the same step. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (mask, timeout=None, *, clear=false))]
    fn wait_any(&self, mask: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>, clear: bool) -> PyResult<u32> {
        self.wait(Which::Any, mask, timeout, clear)
    }

    /// Waits until all flags of ``mask`` are set; returns ``mask``.
    ///
    /// ``clear=True`` clears them in the same step. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (mask, timeout=None, *, clear=false))]
    fn wait_all(&self, mask: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>, clear: bool) -> PyResult<u32> {
        self.wait(Which::All, mask, timeout, clear)
    }

    /// As ``wait_any`` without waiting: ``None`` if no flag of ``mask`` is set.
    #[pyo3(signature = (mask, *, clear=false))]
    fn try_wait_any(&self, mask: &Bound<'_, PyAny>, clear: bool) -> PyResult<Option<u32>> {
        self.try_wait(Which::Any, mask, clear)
    }

    /// As ``wait_all`` without waiting: ``None`` if a flag of ``mask`` is missing.
    #[pyo3(signature = (mask, *, clear=false))]
    fn try_wait_all(&self, mask: &Bound<'_, PyAny>, clear: bool) -> PyResult<Option<u32>> {
        self.try_wait(Which::All, mask, clear)
    }

    /// Their name.
    #[getter]
    fn name(&self) -> &str {
        self.event.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "event", self.event.name())
    }

    fn __repr__(&self) -> String {
        format!("<triveni.Event {} {:#x}>", address(&self.segment, self.event.name()), self.event.flags())
    }
}
