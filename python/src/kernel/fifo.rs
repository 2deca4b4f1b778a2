//! FIFOs (named pipes).

use super::Shared;
use super::pipe::{PipeReader, PipeWriter};
use crate::error::{count, detached};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::path::PathBuf;
use triveni::kernel::FifoOptions;
use triveni::{Deadline, ErrorKind};

/// A FIFO: a name at which two programs that know nothing of each other meet.
///
/// ``Fifo.create(path)``, ``Fifo.open(path)``, ``Fifo.open_or_create(path)``; then ``reader()`` or ``writer()``, which wait
/// until somebody has the other end open: give a ``timeout``, or that can be for ever. The name stays until ``unlink``,
/// unless it is ``owned``: then it goes with the handle that made it.
///
/// Threads: any number. fork: the child goes on using it, and never removes it.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Fifo {
    path: PathBuf,
    fifo: Shared<triveni::kernel::Fifo>,
}

fn options(mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<FifoOptions> {
    let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
    Ok(FifoOptions::default().mode(mode).owned(owned))
}

impl Fifo {
    fn new(fifo: triveni::kernel::Fifo) -> Fifo {
        Fifo { path: fifo.path().into(), fifo: Shared::new("FIFO", fifo) }
    }
}

#[pymethods]
impl Fifo {
    /// Makes it. ``FileExistsError`` if the name is taken.
    #[staticmethod]
    #[pyo3(signature = (path, *, mode=None, owned=false), text_signature = "(path, *, mode=0o600, owned=False)")]
    fn create(py: Python<'_>, path: PathBuf, mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<Fifo> {
        let options = options(mode, owned)?;
        detached(py, || triveni::kernel::Fifo::create(path, options)).map(Fifo::new)
    }

    /// Finds it. ``FileNotFoundError`` if it is not there, ``Incompatible`` if it is something else.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Fifo> {
        detached(py, || triveni::kernel::Fifo::open(path)).map(Fifo::new)
    }

    /// Finds it, or makes it. One that was there is not owned.
    #[staticmethod]
    #[pyo3(signature = (path, *, mode=None, owned=false), text_signature = "(path, *, mode=0o600, owned=False)")]
    fn open_or_create(py: Python<'_>, path: PathBuf, mode: Option<&Bound<'_, PyAny>>, owned: bool) -> PyResult<Fifo> {
        let options = options(mode, owned)?;
        detached(py, || triveni::kernel::Fifo::open_or_create(path, options)).map(Fifo::new)
    }

    /// Removes the name. Who has it open goes on with it.
    #[staticmethod]
    fn unlink(py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detached(py, || triveni::kernel::Fifo::unlink(path))
    }

    /// Opens the end to read from; waits until somebody has the other open.
    #[pyo3(signature = (timeout=None))]
    fn reader(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<PipeReader> {
        let fifo = self.fifo.get(py)?;
        let mut opening = None;
        let end = waiting(py, deadline(py, timeout)?, |until| {
            match fifo.reader_on(&mut opening, until.unwrap_or(Deadline::now())) {
                Err(error) if until.is_none() && error.kind() == ErrorKind::Timeout => Ok(None),
                opened => opened.map(Some),
            }
        })?;
        Ok(PipeReader::new(end))
    }

    /// Opens the end to read from if somebody has the other open, else ``None``.
    fn try_reader(&self, py: Python<'_>) -> PyResult<Option<PipeReader>> {
        let fifo = self.fifo.get(py)?;
        Ok(trying(py, |_| fifo.try_reader())?.map(PipeReader::new))
    }

    /// Opens the end to write to; waits until somebody has the other open.
    #[pyo3(signature = (timeout=None))]
    fn writer(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<PipeWriter> {
        let fifo = self.fifo.get(py)?;
        let end = waiting(py, deadline(py, timeout)?, |until| match until {
            None => fifo.try_writer(),
            Some(until) => fifo.writer_until(until).map(Some),
        })?;
        Ok(PipeWriter::new(end))
    }

    /// Opens the end to write to if somebody has the other open, else ``None``.
    fn try_writer(&self, py: Python<'_>) -> PyResult<Option<PipeWriter>> {
        let fifo = self.fifo.get(py)?;
        Ok(trying(py, |_| fifo.try_writer())?.map(PipeWriter::new))
    }

    /// Its path.
    #[getter]
    fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Lets go of it, and removes it if it is owned. Its ends stay open. Again is nothing new.
    fn close(&self) {
        self.fifo.close();
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        let closed = if self.fifo.is_open() { "" } else { ", closed" };
        format!("<triveni.kernel.Fifo {:?}{closed}>", self.path)
    }
}
