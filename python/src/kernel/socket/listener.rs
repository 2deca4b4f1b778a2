//! Listeners: of streams, and of seqpackets.

use super::address::{SocketAddress, address};
use super::seqpacket::Seqpacket;
use super::stream::Stream;
use super::{bind_options, shown};
use crate::error::{call, count, detached};
use crate::kernel::Shared;
use crate::kernel::pipe::given;
use crate::wait::{deadline, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use triveni::kernel;

/// Listens for streams: ``Listener.bind("tcp:127.0.0.1:0")``, ``Listener.bind("unix:/tmp/x.sock", owned=True)``.
///
/// ``accept()`` gives a ``Stream`` for each client. Threads and forked processes may all accept: each connection goes
/// to one of them. ``fileno()`` is for ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Listener(Shared<kernel::Listener>);

impl Listener {
    fn new(listener: kernel::Listener) -> Listener {
        Listener(Shared::new("listener", listener))
    }
}

#[pymethods]
impl Listener {
    /// Binds to an address: ``tcp:HOST:PORT`` (port 0: any), ``unix:/path`` or ``unix:@name``, and listens.
    ///
    /// ``backlog`` connections wait until they are accepted, at most /proc/sys/net/core/somaxconn. A socket file has
    /// ``mode`` 0600 unless asked otherwise, goes with the handle if ``owned``, and replaces one that a dead server
    /// left if ``replace_stale``. ``OSError`` with EADDRINUSE says whether a live or a dead server has the name, or who
    /// can be asked.
    #[staticmethod]
    #[pyo3(signature = (address, *, backlog=None, mode=None, owned=false, replace_stale=false),
           text_signature = "(address, *, backlog=4096, mode=0o600, owned=False, replace_stale=False)")]
    fn bind(
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        backlog: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
        replace_stale: bool,
    ) -> PyResult<Listener> {
        let (address, mut options) = (self::address(address)?, bind_options(mode, owned, replace_stale)?);
        if let Some(backlog) = backlog {
            options = options.backlog(count("backlog", backlog)?);
        }
        detached(py, || kernel::Listener::bind_with(address, options)).map(Listener::new)
    }

    /// A listener on a descriptor that listens already; it belongs to the new handle from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<Listener> {
        Ok(Listener::new(given(py, fd)?.into()))
    }

    /// The next connection; waits for it.
    #[pyo3(signature = (timeout=None))]
    fn accept(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Stream> {
        let listener = self.0.get(py)?;
        let accepted = waiting(py, deadline(py, timeout)?, |until| match until {
            None => listener.try_accept(),
            Some(until) => listener.accept_until(until).map(Some),
        })?;
        Ok(Stream::new(accepted))
    }

    /// The next connection, if somebody has connected, else ``None``.
    fn try_accept(&self, py: Python<'_>) -> PyResult<Option<Stream>> {
        let listener = self.0.get(py)?;
        Ok(call(py, || listener.try_accept())?.map(Stream::new))
    }

    /// Where it listens: with the port that the kernel chose, if it was to choose one.
    #[getter]
    fn local_address(&self, py: Python<'_>) -> PyResult<SocketAddress> {
        let listener = self.0.get(py)?;
        call(py, || listener.local_address()).map(SocketAddress)
    }

    /// Its descriptor, which stays its own: readable when somebody has connected.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.0.get(py)?.as_fd().as_raw_fd())
    }

    /// Stops listening, once nobody waits with it any more. Again is nothing new. A socket file stays, unless owned.
    fn close(&self) {
        self.0.close();
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.0.close();
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        self.0.get(py).map_or_else(
            |_| "<triveni.kernel.Listener, closed>".to_string(),
            |listener| {
                format!(
                    "<triveni.kernel.Listener {} at {}>",
                    listener.as_fd().as_raw_fd(),
                    shown(listener.local_address())
                )
            },
        )
    }
}

/// Listens for connections that keep the borders of messages: ``SeqpacketListener.bind("unix:/tmp/x.sock")``.
///
/// ``accept()`` gives a ``Seqpacket`` for each client. Threads, fork and ``fileno()`` as for ``Listener``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct SeqpacketListener(Shared<kernel::SeqpacketListener>);

impl SeqpacketListener {
    fn new(listener: kernel::SeqpacketListener) -> SeqpacketListener {
        SeqpacketListener(Shared::new("seqpacket listener", listener))
    }
}

#[pymethods]
impl SeqpacketListener {
    /// Binds to an address: ``unix:/path`` or ``unix:@name``, and listens.
    ///
    /// ``backlog`` connections wait until they are accepted, at most /proc/sys/net/core/somaxconn. A socket file has
    /// ``mode`` 0600 unless asked otherwise, goes with the handle if ``owned``, and replaces one that a dead server
    /// left if ``replace_stale``. ``OSError`` with EADDRINUSE says whether a live or a dead server has the name, or who
    /// can be asked.
    #[staticmethod]
    #[pyo3(signature = (address, *, backlog=None, mode=None, owned=false, replace_stale=false),
           text_signature = "(address, *, backlog=4096, mode=0o600, owned=False, replace_stale=False)")]
    fn bind(
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        backlog: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
        replace_stale: bool,
    ) -> PyResult<SeqpacketListener> {
        let (address, mut options) = (self::address(address)?, bind_options(mode, owned, replace_stale)?);
        if let Some(backlog) = backlog {
            options = options.backlog(count("backlog", backlog)?);
        }
        detached(py, || kernel::SeqpacketListener::bind_with(address, options)).map(SeqpacketListener::new)
    }

    /// A listener on a descriptor that listens already; it belongs to the new handle from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<SeqpacketListener> {
        Ok(SeqpacketListener::new(given(py, fd)?.into()))
    }

    /// The next connection; waits for it.
    #[pyo3(signature = (timeout=None))]
    fn accept(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Seqpacket> {
        let listener = self.0.get(py)?;
        let accepted = waiting(py, deadline(py, timeout)?, |until| match until {
            None => listener.try_accept(),
            Some(until) => listener.accept_until(until).map(Some),
        })?;
        Ok(Seqpacket::new(accepted))
    }

    /// The next connection, if somebody has connected, else ``None``.
    fn try_accept(&self, py: Python<'_>) -> PyResult<Option<Seqpacket>> {
        let listener = self.0.get(py)?;
        Ok(call(py, || listener.try_accept())?.map(Seqpacket::new))
    }

    /// Where it listens: with the port that the kernel chose, if it was to choose one.
    #[getter]
    fn local_address(&self, py: Python<'_>) -> PyResult<SocketAddress> {
        let listener = self.0.get(py)?;
        call(py, || listener.local_address()).map(SocketAddress)
    }

    /// Its descriptor, which stays its own: readable when somebody has connected.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.0.get(py)?.as_fd().as_raw_fd())
    }

    /// Stops listening, once nobody waits with it any more. Again is nothing new. A socket file stays, unless owned.
    fn close(&self) {
        self.0.close();
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.0.close();
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        self.0.get(py).map_or_else(
            |_| "<triveni.kernel.SeqpacketListener, closed>".to_string(),
            |listener| {
                format!(
                    "<triveni.kernel.SeqpacketListener {} at {}>",
                    listener.as_fd().as_raw_fd(),
                    shown(listener.local_address())
                )
            },
        )
    }
}
