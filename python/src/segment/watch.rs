//! The watcher, for as long as a Python object keeps it.

use crate::error::{detached, invalid};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::{Mutex, PoisonError};

/// Notices deaths at once and puts right what the dead left: a thread that ``Segment.watch()`` started.
///
/// Nobody needs one: who waits for a dead process finds out by himself within 64 ms. One watcher serves everybody
/// in the segment, and makes that less than a millisecond.
///
///     with segment.watch() as watcher:
///         ...
///
/// ``close()``, the end of the block, or the end of the object ends it; closing twice is fine. The thread runs no
/// Python. fork: a child has no watcher; ``watch()`` starts one there. It is not pickled.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Watcher {
    watcher: Mutex<Watching>,
}

enum Watching {
    Running(triveni::Watcher),
    /// With how many deaths it has seen.
    Ended(u64),
}

impl Watcher {
    pub(crate) fn new(watcher: triveni::Watcher) -> Watcher {
        Watcher { watcher: Mutex::new(Watching::Running(watcher)) }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Watching) -> R) -> R {
        f(&mut self.watcher.lock().unwrap_or_else(PoisonError::into_inner)) // held for a moment, never over a wait
    }

    fn is_closed(&self) -> bool {
        self.with(|watching| matches!(watching, Watching::Ended(_)))
    }
}

#[pymethods]
impl Watcher {
    /// How many deaths it has seen.
    #[getter]
    fn deaths(&self) -> u64 {
        self.with(|watching| match watching {
            Watching::Running(watcher) => watcher.deaths(),
            Watching::Ended(deaths) => *deaths,
        })
    }

    /// Ends it; closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let ended = self.with(|watching| {
            let deaths = match watching {
                Watching::Running(watcher) => watcher.deaths(),
                Watching::Ended(deaths) => *deaths,
            };
            std::mem::replace(watching, Watching::Ended(deaths))
        });
        detached(py, || {
            drop(ended); // waits for its thread
            Ok(())
        })
    }

    /// Was it ended?
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        if slf.get().is_closed() {
            return Err(invalid(py, "the watcher is closed; segment.watch() starts another one"));
        }
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let now = if self.is_closed() { "closed" } else { "watching" };
        format!("<triveni.Watcher {now}, {} deaths>", self.deaths())
    }
}
