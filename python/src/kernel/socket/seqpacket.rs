//! Seqpacket sockets: Unix connections that keep the borders of messages.

use super::address::{SocketAddress, address};
use super::{
    Descriptors, Messages, PeerCredentials, WithDescriptors, direction, go_on, most_bytes, most_descriptors, shown,
    with_descriptors,
};
use crate::buffer::{Input, Output};
use crate::error::{call, is_closed, whole};
use crate::kernel::Shared;
use crate::kernel::pipe::given;
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use triveni::kernel;
use triveni::{Deadline, Result};

impl Messages for kernel::Seqpacket {
    fn size(&self, until: Option<Deadline>) -> Result<Option<usize>> {
        match until {
            None => self.try_message_size(),
            Some(until) => self.message_size(until).map(Some),
        }
    }

    fn take(&self, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<usize>> {
        match until {
            None => self.try_receive(buffer),
            Some(until) => self.receive_until(buffer, until).map(Some),
        }
    }
}

/// A Unix connection that carries messages, each whole and in order: ``Seqpacket.connect("unix:/tmp/x.sock")``.
///
/// ``send`` and ``receive``; ``for message in socket:`` receives until the end. The end is ``Closed``; a connection
/// that was reset is ``PeerDead``. Threads and forked processes may all send and receive: each message goes to one of
/// them. ``fileno()`` is for ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Seqpacket(Shared<kernel::Seqpacket>);

impl Seqpacket {
    pub(super) fn new(socket: kernel::Seqpacket) -> Seqpacket {
        Seqpacket(Shared::new("seqpacket socket", socket))
    }
}

#[pymethods]
impl Seqpacket {
    /// Connects; waits while the listener's queue is full.
    ///
    /// ``ConnectionRefusedError`` if nobody listens there, ``FileNotFoundError`` if there is no such socket file.
    #[staticmethod]
    #[pyo3(signature = (address, timeout=None))]
    fn connect(py: Python<'_>, address: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Seqpacket> {
        let (address, until) = (self::address(address)?, deadline(py, timeout)?);
        let mut connecting = Some(call(py, || kernel::Seqpacket::connecting(&address))?);
        let connected = waiting(py, until, |until| go_on(&mut connecting, until, kernel::Seqpacket::connect_on))?;
        Ok(Seqpacket::new(connected))
    }

    /// Connects if that needs no waiting; ``None`` if the listener's queue is full, or no answer has come yet.
    #[staticmethod]
    fn try_connect(py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<Option<Seqpacket>> {
        let address = self::address(address)?;
        Ok(call(py, || kernel::Seqpacket::try_connect(address))?.map(Seqpacket::new))
    }

    /// Two Unix sockets that are connected to each other, for a parent and a child: ``a, b = Seqpacket.pair()``.
    #[staticmethod]
    fn pair(py: Python<'_>) -> PyResult<(Seqpacket, Seqpacket)> {
        let (a, b) = call(py, kernel::Seqpacket::pair)?;
        Ok((Seqpacket::new(a), Seqpacket::new(b)))
    }

    /// A handle on a descriptor, which belongs to it from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<Seqpacket> {
        Ok(Seqpacket::new(given(py, fd)?.into()))
    }

    /// Sends one message; waits for room.
    #[pyo3(signature = (message, timeout=None))]
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (socket, message) = (self.0.get(py)?, Input::of(message)?);
        let message = message.kept(py);
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(socket.try_send(&message)?.then_some(())),
            Some(until) => socket.send_until(&message, until).map(Some),
        })
    }

    /// Sends one message if there is room; says whether.
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (socket, message) = (self.0.get(py)?, Input::of(message)?);
        call(py, || socket.try_send(message.bytes(py)))
    }

    /// One message; waits for it. ``Closed`` at the end.
    ///
    /// ``TooLarge`` if it has more than ``max_size`` bytes; it stays.
    #[pyo3(signature = (timeout=None, *, max_size=None), text_signature = "($self, timeout=None, *, max_size=16777216)")]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (socket, most) = (self.0.get(py)?, most_bytes(max_size)?);
        let message = waiting(py, deadline(py, timeout)?, |until| socket.message(most, until))?;
        Ok(PyBytes::new(py, &message))
    }

    /// One message if it is there, else ``None``.
    #[pyo3(signature = (*, max_size=None), text_signature = "($self, *, max_size=16777216)")]
    fn try_receive<'py>(
        &self,
        py: Python<'py>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (socket, most) = (self.0.get(py)?, most_bytes(max_size)?);
        Ok(trying(py, |until| socket.message(most, until))?.map(|message| PyBytes::new(py, &message)))
    }

    /// Receives one message into a buffer; says its size. ``TooLarge`` if it does not fit; it stays.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let (socket, buffer) = (self.0.get(py)?, Output::of(buffer)?);
        let most = buffer.size();
        let message = waiting(py, deadline(py, timeout)?, |until| socket.message(most, until))?;
        buffer.fill(py, &message);
        Ok(message.len())
    }

    /// Sends one message of at least one byte, and descriptors with it: numbers, or what has a ``fileno()``. Over Unix.
    #[pyo3(signature = (message, descriptors, timeout=None))]
    fn send_descriptors(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        descriptors: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (socket, message, fds) = (self.0.get(py)?, Input::of(message)?, Descriptors::of(descriptors)?);
        let (message, fds) = (message.kept(py), fds.borrowed());
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(socket.try_send_descriptors(&message, &fds)?.then_some(())),
            Some(until) => socket.send_descriptors_until(&message, &fds, until).map(Some),
        })
    }

    /// Receives one message, and at most ``most`` descriptors: ``(message, descriptors, cut)``. The descriptors are
    /// numbers that the caller closes; ``cut`` says that more came, which are closed.
    #[pyo3(signature = (most=None, timeout=None, *, max_size=None),
           text_signature = "($self, most=16, timeout=None, *, max_size=16777216)")]
    fn receive_descriptors<'py>(
        &self,
        py: Python<'py>,
        most: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<WithDescriptors<'py>> {
        let (socket, most, max_size) = (self.0.get(py)?, most_descriptors(most)?, most_bytes(max_size)?);
        let mut message = Vec::new();
        let received = waiting(py, deadline(py, timeout)?, |until| {
            socket.sized(max_size, until, |size| {
                message = vec![0; size];
                match until {
                    None => socket.try_receive_descriptors(&mut message, most),
                    Some(until) => socket.receive_descriptors_until(&mut message, most, until).map(Some),
                }
            })
        })?;
        Ok(with_descriptors(py, &message, received))
    }

    /// Ends one direction, ``"read"`` or ``"write"``, or ``"both"``, for every process that has the connection.
    #[pyo3(signature = (how="both"))]
    fn shutdown(&self, py: Python<'_>, how: &str) -> PyResult<()> {
        let (socket, how) = (self.0.get(py)?, direction(py, how)?);
        call(py, || socket.shutdown(how))
    }

    /// Who is at the other end of a Unix socket: ``pid``, ``uid``, ``gid``, as of when it connected or listened.
    #[getter]
    fn peer_credentials(&self, py: Python<'_>) -> PyResult<PeerCredentials> {
        let socket = self.0.get(py)?;
        call(py, || socket.peer_credentials()).map(PeerCredentials::from)
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    /// The next message; the iteration ends with the connection.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.receive(py, None, None) {
            Err(error) if is_closed(py, &error)? => Ok(None),
            received => received.map(Some),
        }
    }

    /// Its own address; over Unix mostly ``unix:``, none.
    #[getter]
    fn local_address(&self, py: Python<'_>) -> PyResult<SocketAddress> {
        let socket = self.0.get(py)?;
        call(py, || socket.local_address()).map(SocketAddress)
    }

    /// The address of the other end. ``OSError`` if it is connected to nobody.
    #[getter]
    fn peer_address(&self, py: Python<'_>) -> PyResult<SocketAddress> {
        let socket = self.0.get(py)?;
        call(py, || socket.peer_address()).map(SocketAddress)
    }

    /// How many bytes the kernel keeps of what is sent, its own books included.
    #[getter]
    fn send_buffer(&self, py: Python<'_>) -> PyResult<usize> {
        let socket = self.0.get(py)?;
        call(py, || socket.send_buffer())
    }

    /// Asks for a send buffer of so many bytes; says what it is now: double, at most of /proc/sys/net/core/wmem_max.
    fn set_send_buffer(&self, py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<usize> {
        let (socket, bytes) = (self.0.get(py)?, whole("bytes", bytes)?);
        call(py, || socket.set_send_buffer(bytes))
    }

    /// How many bytes the kernel keeps of what nobody has received yet, its own books included.
    #[getter]
    fn receive_buffer(&self, py: Python<'_>) -> PyResult<usize> {
        let socket = self.0.get(py)?;
        call(py, || socket.receive_buffer())
    }

    /// Asks for a receive buffer of so many bytes; says what it is now: double, at most of /proc/sys/net/core/rmem_max.
    fn set_receive_buffer(&self, py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<usize> {
        let (socket, bytes) = (self.0.get(py)?, whole("bytes", bytes)?);
        call(py, || socket.set_receive_buffer(bytes))
    }

    /// Its descriptor, which stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.0.get(py)?.as_fd().as_raw_fd())
    }

    /// Closes it in this process, once nobody waits with it any more. Again is nothing new.
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
            |_| "<triveni.kernel.Seqpacket, closed>".to_string(),
            |socket| {
                format!(
                    "<triveni.kernel.Seqpacket {}, {} to {}>",
                    socket.as_fd().as_raw_fd(),
                    shown(socket.local_address()),
                    shown(socket.peer_address())
                )
            },
        )
    }
}
