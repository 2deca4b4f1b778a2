//! Daemons.

use super::Exclusive;
use crate::error::call;
use crate::wait::waiting;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::path::PathBuf;
use triveni::kernel::{self, DaemonSide};
use triveni::{Deadline, Error, ErrorKind};

/// The daemon as itself sees it, from ``kernel.daemonize``. ``close()``, which ``with`` calls, removes its pid file.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Daemon(Exclusive<kernel::Daemon>);

#[pymethods]
impl Daemon {
    /// Tells the first process that the daemon came up. Only the first word counts.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.0.with(|daemon| {
                daemon.ready();
                Ok(())
            })
        })
    }

    /// Tells the first process that the daemon did not come up, and ``why``: it gets ``Failed`` with that sentence.
    fn failed(&self, py: Python<'_>, why: &str) -> PyResult<()> {
        call(py, || {
            self.0.with(|daemon| {
                daemon.failed(why);
                Ok(())
            })
        })
    }

    /// Lets go of the pid file and removes it. Again is nothing new.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.0.take().map(drop))
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<triveni.kernel.Daemon {}>", std::process::id())
    }
}

/// Makes a daemon of this program: fork, setsid, fork. Returns twice: in the daemon a ``Daemon``, which says ``ready()``
/// or ``failed(why)``; in the first process, after that, the daemon's process id::
///
///     daemon = kernel.daemonize(pid_file="/run/lab.pid", output="/var/log/lab")
///     if isinstance(daemon, int):
///         sys.exit()
///     with daemon:
///         daemon.ready()
///         serve()
///
/// Standard output and error go to the end of the file ``output``, or to /dev/null. ``pid_file`` is locked as long as the
/// daemon lives: a second instance gets ``Busy``. ``PeerDead`` if the daemon ended without a word. Threads do not exist in
/// the daemon.
#[pyfunction]
#[pyo3(signature = (*, directory=None, umask=0o022, output=None, pid_file=None),
       text_signature = "(*, directory='/', umask=0o022, output=None, pid_file=None)")]
pub(crate) fn daemonize<'py>(
    py: Python<'py>,
    directory: Option<PathBuf>,
    umask: u32,
    output: Option<PathBuf>,
    pid_file: Option<PathBuf>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut options = kernel::DaemonOptions::new().umask(umask);
    options = directory.into_iter().fold(options, kernel::DaemonOptions::directory);
    options = output.into_iter().fold(options, kernel::DaemonOptions::output);
    options = pid_file.into_iter().fold(options, kernel::DaemonOptions::pid_file);
    let (os, sys) = (py.import("os")?, py.import("sys")?);
    for stream in ["stdout", "stderr"] {
        let stream = sys.getattr(stream)?;
        if !stream.is_none() {
            stream.call_method0("flush")?; // or both processes would have the same bytes to write
        }
    }
    let mut raised = None;
    // os.fork, as Python has to put its own house in order in the child.
    let forked = options.divide(|| {
        os.call_method0("fork").and_then(|pid| pid.extract()).map_err(|error| {
            let errno = error.value(py).getattr("errno").and_then(|errno| errno.extract()).unwrap_or(libc::EAGAIN);
            raised = Some(error);
            Error::new(ErrorKind::from_errno(errno), "os.fork failed")
        })
    });
    if let (Err(_), Some(error)) = (&forked, raised) {
        return Err(error);
    }
    match call(py, || forked)? {
        DaemonSide::Daemon(daemon) => Daemon(Exclusive::new("daemon", daemon)).into_bound_py_any(py),
        DaemonSide::First(mut starting) => {
            let pid = waiting(py, Deadline::never(), |until| match until {
                None => Ok(None),
                Some(until) => starting.wait_until(until).map(Some),
            })?;
            pid.into_bound_py_any(py)
        }
    }
}
