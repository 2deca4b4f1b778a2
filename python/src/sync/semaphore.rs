//! A counting semaphore.

use crate::error::call;
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use triveni::{Deadline, Result};

/// A counting semaphore that Rust, C and Python processes share (Dijkstra's P and V).
///
/// ``Segment.semaphore(name, initial=0)`` finds or creates it. ``wait()`` takes a permit, ``post()`` adds one.
///
/// Threads: any number may use one semaphore at once. fork: the child goes on using it. pickle: by name.
/// Permits of a process that dies stay taken, as in POSIX.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Semaphore {
    segment: triveni::Segment,
    semaphore: triveni::Semaphore,
}

impl Semaphore {
    pub(crate) fn new(segment: triveni::Segment, semaphore: triveni::Semaphore) -> Semaphore {
        Semaphore { segment, semaphore }
    }

    #[inline]
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<()>> {
        match until {
            None => Ok(self.semaphore.try_wait()?.then_some(())),
            Some(until) => self.semaphore.wait_until(until).map(Some),
        }
    }
}

#[pymethods]
impl Semaphore {
    /// Takes a permit; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }

    /// Takes a permit if there is one; says whether it did.
    fn try_wait(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(trying(py, |until| self.attempt(until))?.is_some())
    }

    /// Adds a permit and wakes one who waits. Never waits itself.
    fn post(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.semaphore.post())
    }

    /// Permits at this moment.
    fn value(&self) -> u32 {
        self.semaphore.value()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.semaphore.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "semaphore", self.semaphore.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.semaphore.name());
        format!("<triveni.Semaphore {address} value {}>", self.semaphore.value())
    }
}
