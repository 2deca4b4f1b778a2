//! POSIX semaphores.

use super::Shared;
use super::posix_shared_memory::PosixSharedMemory;
use super::sysv_shared_memory::SysvSharedMemory;
use crate::error::{call, count, detached, type_name, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use triveni::kernel::{self, PosixSemaphoreOptions};
use triveni::{Deadline, Result};

/// A POSIX semaphore: a counter of permits that processes wait for.
///
/// ``PosixSemaphore.create(name, initial)``, ``.open(name)``, ``.open_or_create(name, initial)`` for named ones;
/// ``.init_in(memory, offset, initial)`` makes an unnamed one in ``PosixSharedMemory`` or ``SysvSharedMemory``, and
/// ``.open_in(memory, offset)`` takes it elsewhere. ``wait()`` takes a permit, ``post()`` adds one; ``with semaphore:``
/// takes one and posts it at the end. Plain programs use it by ``sem_t``.
///
/// A name and its value stay when all its users have ended, until ``unlink(name)``, unless it is ``owned``: then the name
/// goes with the handle that made it. Permits of a process that dies stay taken.
///
/// Threads: any number. fork: the child goes on using it, and never removes it. No pickle: open it by its name.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct PosixSemaphore {
    semaphore: Shared<kernel::PosixSemaphore>,
    name: Option<String>,
}

fn options(mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<PosixSemaphoreOptions> {
    let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
    Ok(PosixSemaphoreOptions::new().mode(mode).owned(owned))
}

fn permits(initial: Option<&Bound<'_, PyAny>>) -> PyResult<u32> {
    initial.map_or(Ok(0), |initial| count("initial", initial))
}

fn attempt(semaphore: &kernel::PosixSemaphore, until: Option<Deadline>) -> Result<Option<()>> {
    match until {
        None => Ok(semaphore.try_wait()?.then_some(())),
        Some(until) => semaphore.wait_until(until).map(Some),
    }
}

impl PosixSemaphore {
    fn new(semaphore: kernel::PosixSemaphore) -> PosixSemaphore {
        let name = semaphore.name().map(str::to_string);
        PosixSemaphore { semaphore: Shared::new("POSIX semaphore", semaphore), name }
    }

    /// Makes an unnamed one, with `initial` permits, or takes it without.
    fn lying_in(memory: &Bound<'_, PyAny>, offset: usize, initial: Option<u32>) -> PyResult<PosixSemaphore> {
        let py = memory.py();
        let placed = if let Ok(memory) = memory.cast::<PosixSharedMemory>() {
            let memory = memory.get().core().get(py)?;
            call(py, || match initial {
                Some(initial) => kernel::PosixSemaphore::init_in(&*memory, offset, initial),
                None => kernel::PosixSemaphore::open_in(&*memory, offset),
            })
        } else if let Ok(memory) = memory.cast::<SysvSharedMemory>() {
            let memory = memory.get().core().get(py)?;
            call(py, || match initial {
                Some(initial) => kernel::PosixSemaphore::init_in(&*memory, offset, initial),
                None => kernel::PosixSemaphore::open_in(&*memory, offset),
            })
        } else {
            let what = type_name(memory);
            Err(PyTypeError::new_err(format!("memory: PosixSharedMemory or SysvSharedMemory is needed, not {what}")))
        };
        placed.map(PosixSemaphore::new)
    }
}

#[pymethods]
impl PosixSemaphore {
    /// How many bytes an unnamed semaphore takes.
    #[classattr]
    const SIZE: usize = kernel::PosixSemaphore::SIZE;

    /// The offset of an unnamed semaphore is a multiple of this.
    #[classattr]
    const ALIGNMENT: usize = kernel::PosixSemaphore::ALIGNMENT;

    /// Makes it. ``FileExistsError`` if the name is taken.
    #[staticmethod]
    #[pyo3(signature = (name, initial=None, *, mode=None, owned=false), text_signature = "(name, initial=0, *, mode=0o600, owned=False)")]
    fn create(
        py: Python<'_>,
        name: &str,
        initial: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<PosixSemaphore> {
        let (initial, options) = (permits(initial)?, options(mode, owned)?);
        detached(py, || options.create(name, initial)).map(PosixSemaphore::new)
    }

    /// Opens it. ``FileNotFoundError`` if it is not there.
    #[staticmethod]
    fn open(py: Python<'_>, name: &str) -> PyResult<PosixSemaphore> {
        detached(py, || kernel::PosixSemaphore::open(name)).map(PosixSemaphore::new)
    }

    /// Opens it, or makes it. One that was there keeps its value and is not owned.
    #[staticmethod]
    #[pyo3(signature = (name, initial=None, *, mode=None, owned=false), text_signature = "(name, initial=0, *, mode=0o600, owned=False)")]
    fn open_or_create(
        py: Python<'_>,
        name: &str,
        initial: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<PosixSemaphore> {
        let (initial, options) = (permits(initial)?, options(mode, owned)?);
        detached(py, || options.open_or_create(name, initial)).map(PosixSemaphore::new)
    }

    /// Removes the name. Who has it open keeps it.
    #[staticmethod]
    fn unlink(py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || kernel::PosixSemaphore::unlink(name))
    }

    /// Makes an unnamed one at ``offset`` of shared ``memory``, over whatever lies there. One process does this, before
    /// the others ``open_in`` it. The memory stays attached until the semaphore is closed.
    #[staticmethod]
    #[pyo3(signature = (memory, offset, initial=None), text_signature = "(memory, offset, initial=0)")]
    fn init_in(
        memory: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        initial: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PosixSemaphore> {
        PosixSemaphore::lying_in(memory, whole("offset", offset)?, Some(permits(initial)?))
    }

    /// Takes the unnamed one that somebody has made at ``offset`` of shared ``memory``. Nothing tells it from other bytes.
    #[staticmethod]
    fn open_in(memory: &Bound<'_, PyAny>, offset: &Bound<'_, PyAny>) -> PyResult<PosixSemaphore> {
        PosixSemaphore::lying_in(memory, whole("offset", offset)?, None)
    }

    /// Takes a permit; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let semaphore = self.semaphore.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| attempt(&semaphore, until))
    }

    /// Takes a permit if there is one; says whether it did.
    fn try_wait(&self, py: Python<'_>) -> PyResult<bool> {
        let semaphore = self.semaphore.get(py)?;
        Ok(trying(py, |until| attempt(&semaphore, until))?.is_some())
    }

    /// Adds a permit and wakes one sleeper, if any sleeps. ``OverflowError`` at 2147483647.
    fn post(&self, py: Python<'_>) -> PyResult<()> {
        let semaphore = self.semaphore.get(py)?;
        call(py, || semaphore.post())
    }

    /// Permits at this moment.
    fn value(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.semaphore.get(py)?.value())
    }

    /// Its name, with the slash; ``None`` for an unnamed one.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Lets go of it, and removes its name if it is owned. Again is nothing new.
    fn close(&self) {
        self.semaphore.close();
    }

    /// Takes a permit; its ``with`` ends with a post, not with a close.
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let semaphore = self.semaphore.get(py)?;
        waiting(py, Deadline::never(), |until| attempt(&semaphore, until))
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.post(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let name = self.name.as_ref().map_or("unnamed".to_string(), |name| format!("{name:?}"));
        let value = self.semaphore.get(py).ok().map(|semaphore| semaphore.value());
        let value = value.map_or(", closed".to_string(), |value| format!(" value {value}"));
        format!("<triveni.kernel.PosixSemaphore {name}{value}>")
    }
}
