//! Addresses of sockets.

use crate::error::{call, type_name};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use std::path::PathBuf;
use triveni::kernel;

/// Where a socket is: ``SocketAddress("tcp:127.0.0.1:7777")``, ``"udp:[::1]:9000"``, ``"unix:/tmp/x.sock"``,
/// ``"unix:@abstract"``, or ``"unix:"`` for a name that the kernel chooses.
///
/// Wherever an address is needed, its text will do. ``str(address)`` is the text again; addresses can be compared, and
/// be keys. pickle: yes.
#[pyclass(frozen, eq, hash, module = "triveni.kernel")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct SocketAddress(pub(super) kernel::SocketAddress);

/// An address, or its text.
pub(super) fn address(value: &Bound<'_, PyAny>) -> PyResult<kernel::SocketAddress> {
    if let Ok(address) = value.cast::<SocketAddress>() {
        return Ok(address.get().0);
    }
    let Ok(text) = value.cast::<PyString>() else {
        let sentence = format!(
            "address: a text such as \"tcp:127.0.0.1:7777\" is needed, or a SocketAddress, not {}",
            type_name(value)
        );
        return Err(PyTypeError::new_err(sentence));
    };
    let text = text.to_cow()?;
    call(value.py(), || text.parse())
}

#[pymethods]
impl SocketAddress {
    #[new]
    fn new(text: &Bound<'_, PyAny>) -> PyResult<SocketAddress> {
        address(text).map(SocketAddress)
    }

    /// "tcp", "udp" or "unix".
    #[getter]
    fn family(&self) -> &'static str {
        match (self.0.is_tcp(), self.0.is_udp()) {
            (true, _) => "tcp",
            (_, true) => "udp",
            _ => "unix",
        }
    }

    /// The IP address as text; ``None`` for Unix.
    #[getter]
    fn host(&self) -> Option<String> {
        self.0.ip().map(|address| address.ip().to_string())
    }

    /// The port; ``None`` for Unix.
    #[getter]
    fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// The socket file; ``None`` if it is none.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.0.path().map(PathBuf::from)
    }

    /// The abstract name as bytes; ``None`` if it is none.
    #[getter]
    fn abstract_name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.abstract_name().map(|name| PyBytes::new(py, name))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("SocketAddress({:?})", self.0.to_string())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let class = py.get_type::<SocketAddress>().into_any();
        Ok((class, (self.0.to_string(),).into_pyobject(py)?))
    }
}
