//! A cyclic barrier.

use crate::error::call;
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use triveni::{Deadline, Result};

/// A cyclic barrier that Rust, C and Python processes share: nobody goes on until all parties have arrived.
///
/// ``Segment.barrier(name, parties)`` finds or creates it. If a process that has it open dies, all who wait, and all
/// who come, get ``Broken``, until somebody calls ``reset()``.
///
/// asyncio: ``await asyncio.to_thread(barrier.wait, timeout)``.
///
/// Threads: any number may use one barrier at once; each that waits is one of the parties. fork: the child goes on
/// using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Barrier {
    segment: triveni::Segment,
    barrier: triveni::Barrier,
}

impl Barrier {
    pub(crate) fn new(segment: triveni::Segment, barrier: triveni::Barrier) -> Barrier {
        Barrier { segment, barrier }
    }

    /// True for the last one to arrive, as for one that need not wait.
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<bool>> {
        match until {
            None => Ok(self.barrier.try_wait()?.then_some(true)),
            Some(until) => self.barrier.wait_until(until).map(Some),
        }
    }
}

#[pymethods]
impl Barrier {
    /// Arrives, and waits for the others. ``True`` for exactly one of them, the last to arrive.
    ///
    /// ``TimeoutError`` once ``timeout`` seconds have passed; who gives up has not arrived. ``Broken`` if a process
    /// that has the barrier open died, or somebody reset it meanwhile.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }

    /// Arrives if it is the last one, and says whether it was; if others are missing, nothing has changed.
    fn try_wait(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(trying(py, |until| self.attempt(until))?.is_some())
    }

    /// Begins a new round: everybody who waits gets ``Broken``, a broken barrier is whole again.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.barrier.reset())
    }

    /// How many have arrived in this round.
    fn arrived(&self) -> u32 {
        self.barrier.arrived()
    }

    /// How many it waits for.
    #[getter]
    fn parties(&self) -> u32 {
        self.barrier.parties()
    }

    /// Has somebody died, and has nobody called ``reset()`` since?
    #[getter]
    fn broken(&self) -> bool {
        self.barrier.is_broken()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.barrier.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "barrier", self.barrier.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.barrier.name());
        let broken = if self.barrier.is_broken() { ", broken" } else { "" };
        format!("<triveni.Barrier {address} {} of {} arrived{broken}>", self.barrier.arrived(), self.barrier.parties())
    }
}
