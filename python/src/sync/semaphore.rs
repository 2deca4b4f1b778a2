//! A semaphore: counting, or with permits that belong to who took them.

use crate::error::{call, count};
use crate::segment::{Reduced, address, info::Holder, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use triveni::{Deadline, Result};

/// A semaphore that Rust, C and Python processes share (Dijkstra's P and V).
///
/// ``Segment.semaphore(name, initial=0)`` finds or creates it. ``wait()`` takes a permit, ``post()`` adds one;
/// ``n=3`` takes or adds three at once, all or none. ``with semaphore:`` takes one and posts it at the end.
///
/// Anybody may post a counting semaphore, and permits of a process that dies stay taken, as in POSIX. Permits of a
/// leased one (``leased=True``) belong to the thread that took them: no other one can post them, and they come back
/// when it ends or its process dies.
///
/// Threads: any number may use one semaphore at once. fork: the child goes on using it, and has none of the leased
/// permits of its parent. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Semaphore {
    segment: triveni::Segment,
    semaphore: triveni::Semaphore,
}

/// How many permits: from the argument `n`, 1 unless given. Core says what it makes of 0 and of too many.
fn permits(n: Option<&Bound<'_, PyAny>>) -> PyResult<u32> {
    n.map_or(Ok(1), |n| count("n", n))
}

impl Semaphore {
    pub(crate) fn new(segment: triveni::Segment, semaphore: triveni::Semaphore) -> Semaphore {
        Semaphore { segment, semaphore }
    }

    pub(crate) fn core(&self) -> &triveni::Semaphore {
        &self.semaphore
    }

    #[inline]
    fn attempt(&self, n: u32, until: Option<Deadline>) -> Result<Option<()>> {
        match (n, until) {
            (1, None) => Ok(self.semaphore.try_wait()?.then_some(())),
            (1, Some(until)) => self.semaphore.wait_until(until).map(Some),
            (n, None) => Ok(self.semaphore.try_wait_n(n)?.then_some(())),
            (n, Some(until)) => self.semaphore.wait_n_until(n, until).map(Some),
        }
    }
}

#[pymethods]
impl Semaphore {
    /// Takes a permit, or ``n`` at once; waits for them. ``TimeoutError`` once ``timeout`` seconds have passed.
    ///
    /// Who waits for several holds none of them meanwhile.
    #[pyo3(signature = (timeout=None, *, n=None), text_signature = "($self, timeout=None, *, n=1)")]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let n = permits(n)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt(n, until))
    }

    /// Takes a permit, or ``n`` at once, if there are that many; says whether it did.
    #[pyo3(signature = (n=None), text_signature = "($self, n=1)")]
    fn try_wait(&self, py: Python<'_>, n: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let n = permits(n)?;
        Ok(trying(py, |until| self.attempt(n, until))?.is_some())
    }

    /// Adds a permit, or ``n`` at once, and wakes who can go on. Never waits itself.
    ///
    /// ``OverflowError`` beyond ``max``; then nothing is added. ``NotOwner`` if the permits are leased, and not to
    /// this thread.
    #[pyo3(signature = (n=None), text_signature = "($self, n=1)")]
    fn post(&self, py: Python<'_>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let n = permits(n)?;
        call(py, || if n == 1 { self.semaphore.post() } else { self.semaphore.post_n(n) })
    }

    /// Permits at this moment.
    fn value(&self) -> u32 {
        self.semaphore.value()
    }

    /// Who has leased permits, once for each permit; an empty list if permits are not leased.
    fn holders(&self) -> Vec<Holder> {
        self.semaphore.holders().into_iter().map(Holder::from).collect()
    }

    /// The most permits it holds.
    #[getter]
    fn max(&self) -> u32 {
        self.semaphore.max()
    }

    /// Do permits belong to the thread that took them?
    #[getter]
    fn leased(&self) -> bool {
        self.semaphore.is_leased()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.semaphore.name()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, Deadline::never(), |until| self.attempt(1, until))
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        call(py, || self.semaphore.post())
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "semaphore", self.semaphore.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.semaphore.name());
        let (value, max) = (self.semaphore.value(), self.semaphore.max());
        match (self.semaphore.is_leased(), max) {
            (true, _) => format!("<triveni.Semaphore {address} value {value}, {max} leased permits>"),
            (false, triveni::Semaphore::MAX) => format!("<triveni.Semaphore {address} value {value}>"),
            (false, _) => format!("<triveni.Semaphore {address} value {value} of at most {max}>"),
        }
    }
}
