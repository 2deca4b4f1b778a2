//! Datagram sockets: UDP, or Unix.

use super::address::{SocketAddress, address};
use super::{
    Descriptors, Messages, WithDescriptors, bind_options, most_bytes, most_descriptors, shown, with_descriptors,
};
use crate::buffer::{Input, Output};
use crate::error::{call, detached, whole};
use crate::kernel::Shared;
use crate::kernel::pipe::given;
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use triveni::kernel;
use triveni::{Deadline, Result};

impl Messages for kernel::Datagram {
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

/// A socket for datagrams: UDP, or Unix.
///
/// ``Datagram.bind("udp:127.0.0.1:9000")`` receives what is sent there, ``Datagram.connect("udp:127.0.0.1:9000")``
/// talks with that address alone. Over UDP datagrams may be lost, come twice or out of order; over Unix not: a full
/// receiver stops the sender. There is no end to receive: whether a peer has died only a timeout tells.
///
/// Threads and forked processes may all send and receive: each datagram goes to one of them. ``fileno()`` is for
/// ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Datagram(Shared<kernel::Datagram>);

impl Datagram {
    pub(super) fn new(socket: kernel::Datagram) -> Datagram {
        Datagram(Shared::new("datagram socket", socket))
    }
}

#[pymethods]
impl Datagram {
    /// A socket that receives what is sent to the address. ``unix:`` is a name that the kernel chooses.
    ///
    /// A socket file has ``mode`` 0600 unless asked otherwise, goes with the handle if ``owned``, and replaces one that
    /// a dead server left if ``replace_stale``.
    #[staticmethod]
    #[pyo3(signature = (address, *, mode=None, owned=false, replace_stale=false),
           text_signature = "(address, *, mode=0o600, owned=False, replace_stale=False)")]
    fn bind(
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
        replace_stale: bool,
    ) -> PyResult<Datagram> {
        let (address, options) = (self::address(address)?, bind_options(mode, owned, replace_stale)?);
        detached(py, || kernel::Datagram::bind_with(address, options)).map(Datagram::new)
    }

    /// A socket that talks with this address alone. Never waits; UDP does not notice whether anybody is there.
    #[staticmethod]
    fn connect(py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<Datagram> {
        let address = self::address(address)?;
        call(py, || kernel::Datagram::connect(address)).map(Datagram::new)
    }

    /// Two Unix sockets that are connected to each other, for a parent and a child: ``a, b = Datagram.pair()``.
    #[staticmethod]
    fn pair(py: Python<'_>) -> PyResult<(Datagram, Datagram)> {
        let (a, b) = call(py, kernel::Datagram::pair)?;
        Ok((Datagram::new(a), Datagram::new(b)))
    }

    /// A handle on a descriptor, which belongs to it from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<Datagram> {
        Ok(Datagram::new(given(py, fd)?.into()))
    }

    /// From now on it talks with this address alone, and ``send`` goes there.
    fn set_peer(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<()> {
        let (socket, address) = (self.0.get(py)?, self::address(address)?);
        call(py, || socket.set_peer(&address))
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

    /// Sends a datagram to this address; waits for room.
    #[pyo3(signature = (message, address, timeout=None))]
    fn send_to(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        address: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (socket, message, address) = (self.0.get(py)?, Input::of(message)?, self::address(address)?);
        let message = message.kept(py);
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(socket.try_send_to(&message, &address)?.then_some(())),
            Some(until) => socket.send_to_until(&message, &address, until).map(Some),
        })
    }

    /// Sends a datagram to this address if there is room; says whether.
    fn try_send_to(&self, py: Python<'_>, message: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (socket, message, address) = (self.0.get(py)?, Input::of(message)?, self::address(address)?);
        call(py, || socket.try_send_to(message.bytes(py), &address))
    }

    /// One message; waits for it.
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

    /// A datagram, and who sent it: ``(message, address)``; waits for it.
    #[pyo3(signature = (timeout=None, *, max_size=None), text_signature = "($self, timeout=None, *, max_size=16777216)")]
    fn receive_from<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, SocketAddress)> {
        let (socket, most) = (self.0.get(py)?, most_bytes(max_size)?);
        let (message, from) = waiting(py, deadline(py, timeout)?, |until| message_from(&socket, most, until))?;
        Ok((PyBytes::new(py, &message), SocketAddress(from)))
    }

    /// A datagram, and who sent it, if there is one, else ``None``.
    #[pyo3(signature = (*, max_size=None), text_signature = "($self, *, max_size=16777216)")]
    fn try_receive_from<'py>(
        &self,
        py: Python<'py>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, SocketAddress)>> {
        let (socket, most) = (self.0.get(py)?, most_bytes(max_size)?);
        let received = trying(py, |until| message_from(&socket, most, until))?;
        Ok(received.map(|(message, from)| (PyBytes::new(py, &message), SocketAddress(from))))
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

    /// With ``True``, it may send to broadcast addresses (SO_BROADCAST).
    fn set_broadcast(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        let socket = self.0.get(py)?;
        call(py, || socket.set_broadcast(on))
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
            |_| "<triveni.kernel.Datagram, closed>".to_string(),
            |socket| {
                format!(
                    "<triveni.kernel.Datagram {}, {} to {}>",
                    socket.as_fd().as_raw_fd(),
                    shown(socket.local_address()),
                    shown(socket.peer_address())
                )
            },
        )
    }
}

fn message_from(
    socket: &kernel::Datagram,
    most: usize,
    until: Option<Deadline>,
) -> Result<Option<(Vec<u8>, kernel::SocketAddress)>> {
    let mut message = Vec::new();
    let received = socket.sized(most, until, |size| {
        message = vec![0; size];
        match until {
            None => socket.try_receive_from(&mut message),
            Some(until) => socket.receive_from_until(&mut message, until).map(Some),
        }
    })?;
    Ok(received.map(|(size, from)| {
        message.truncate(size);
        (message, from)
    }))
}
