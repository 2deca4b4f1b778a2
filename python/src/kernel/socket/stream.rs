//! Streams: TCP, or Unix.

use super::address::{SocketAddress, address};
use super::{
    Descriptors, MAX_SIZE, Messages, PeerCredentials, WithDescriptors, direction, go_on, most_bytes, most_descriptors,
    shown, with_descriptors,
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
use triveni::{Deadline, Error, ErrorKind, Result};

impl Messages for kernel::Stream {
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

/// A connection that carries bytes: TCP, or Unix. ``Stream.connect("tcp:127.0.0.1:7777", timeout=1)``.
///
/// Bytes with ``read``, ``write``, ``send_all`` and ``receive_exact``, or messages with ``send`` and ``receive``: each
/// is its length in 4 bytes, most significant first, and itself. ``for message in stream:`` receives until the end.
///
/// The end is ``b""`` for ``read``, and ``Closed`` for ``receive``; a connection that was reset is ``PeerDead``, which
/// is a ``ConnectionResetError``. Threads: one may send while another receives; messages go one at a time. fork: both
/// processes have the connection, and each byte goes to one of them; what was begun of a message stays the parent's.
/// ``fileno()`` is for ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Stream(Shared<kernel::Stream>);

impl Stream {
    pub(super) fn new(socket: kernel::Stream) -> Stream {
        Stream(Shared::new("stream", socket))
    }
}

#[pymethods]
impl Stream {
    /// Connects; waits for an answer, and while the listener's queue is full.
    ///
    /// ``ConnectionRefusedError`` if nobody listens there, ``FileNotFoundError`` if there is no such socket file.
    #[staticmethod]
    #[pyo3(signature = (address, timeout=None))]
    fn connect(py: Python<'_>, address: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Stream> {
        let (address, until) = (self::address(address)?, deadline(py, timeout)?);
        let mut connecting = Some(call(py, || kernel::Stream::connecting(&address))?);
        let connected = waiting(py, until, |until| go_on(&mut connecting, until, kernel::Stream::connect_on))?;
        Ok(Stream::new(connected))
    }

    /// Connects if that needs no waiting; ``None`` if the listener's queue is full, or no answer has come yet.
    #[staticmethod]
    fn try_connect(py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<Option<Stream>> {
        let address = self::address(address)?;
        Ok(call(py, || kernel::Stream::try_connect(address))?.map(Stream::new))
    }

    /// Two Unix sockets that are connected to each other, for a parent and a child: ``a, b = Stream.pair()``.
    #[staticmethod]
    fn pair(py: Python<'_>) -> PyResult<(Stream, Stream)> {
        let (a, b) = call(py, kernel::Stream::pair)?;
        Ok((Stream::new(a), Stream::new(b)))
    }

    /// A handle on a descriptor, which belongs to it from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<Stream> {
        Ok(Stream::new(given(py, fd)?.into()))
    }

    /// Some bytes, at most ``size``; waits until there are any. ``b""`` is the end: the peer sends no more.
    #[pyo3(signature = (size=None, timeout=None), text_signature = "($self, size=65536, timeout=None)")]
    fn read<'py>(
        &self,
        py: Python<'py>,
        size: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (socket, size) = (self.0.get(py)?, read_size(size)?);
        let bytes = waiting(py, deadline(py, timeout)?, |until| attempt_read(&socket, size, until))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Some bytes if there are any, else ``None``; ``b""`` is the end.
    #[pyo3(signature = (size=None), text_signature = "($self, size=65536)")]
    fn try_read<'py>(
        &self,
        py: Python<'py>,
        size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (socket, size) = (self.0.get(py)?, read_size(size)?);
        Ok(trying(py, |until| attempt_read(&socket, size, until))?.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Reads some bytes into a buffer; says how many. 0 is the end.
    #[pyo3(signature = (buffer, timeout=None))]
    fn read_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let (socket, buffer) = (self.0.get(py)?, Output::of(buffer)?);
        let size = buffer.size();
        if size == 0 {
            return Ok(0);
        }
        let bytes = waiting(py, deadline(py, timeout)?, |until| attempt_read(&socket, size, until))?;
        buffer.fill(py, &bytes);
        Ok(bytes.len())
    }

    /// Exactly ``size`` bytes; waits for all of them. ``Closed`` if the stream ends before.
    ///
    /// ``TimeoutError`` once ``timeout`` seconds have passed; what has come by then is lost.
    #[pyo3(signature = (size, timeout=None))]
    fn receive_exact<'py>(
        &self,
        py: Python<'py>,
        size: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (socket, size) = (self.0.get(py)?, whole("size", size)?);
        let (mut buffer, mut have) = (vec![0; size.min(MAX_SIZE)], 0);
        waiting(py, deadline(py, timeout)?, |until| {
            while have < size {
                if have == buffer.len() {
                    buffer.resize((2 * have).min(size), 0); // as much as has really come, twice
                }
                let rest = buffer.get_mut(have..).unwrap_or_default();
                let n = match until {
                    None => match socket.try_read(rest)? {
                        Some(n) => n,
                        None => return Ok(None),
                    },
                    Some(until) => socket.read_until(rest, until)?,
                };
                if n == 0 {
                    let sentence = format!("receive {size} bytes from a stream: it ended after {have} of them");
                    return Err(Error::new(ErrorKind::Closed, sentence));
                }
                have += n;
            }
            Ok(Some(()))
        })?;
        Ok(PyBytes::new(py, &buffer))
    }

    /// Writes; waits until there is room. Says how many bytes were taken.
    #[pyo3(signature = (data, timeout=None))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let (socket, data) = (self.0.get(py)?, Input::of(data)?);
        let data = data.kept(py);
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => socket.try_write(&data),
            Some(until) => socket.write_until(&data, until).map(Some),
        })
    }

    /// Writes as much as there is room for; says how much, ``None`` if there is none.
    fn try_write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let (socket, data) = (self.0.get(py)?, Input::of(data)?);
        call(py, || socket.try_write(data.bytes(py)))
    }

    /// Writes all of the data. After ``TimeoutError`` a part of it may be out.
    #[pyo3(signature = (data, timeout=None))]
    fn send_all(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (socket, data) = (self.0.get(py)?, Input::of(data)?);
        let (data, mut done) = (data.kept(py), 0);
        waiting(py, deadline(py, timeout)?, |until| {
            while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
                done += match until {
                    None => match socket.try_write(rest)? {
                        Some(n) => n,
                        None => return Ok(None),
                    },
                    Some(until) => socket.write_until(rest, until)?,
                };
            }
            Ok(Some(()))
        })
    }

    /// Sends one message; waits until all of it is out.
    ///
    /// After ``TimeoutError`` ``unsent`` says whether it was begun; then the rest goes before the next message, or with
    /// ``flush()``.
    #[pyo3(signature = (message, timeout=None))]
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (socket, message) = (self.0.get(py)?, Input::of(message)?);
        let (message, mut begun) = (message.kept(py), false);
        waiting(py, deadline(py, timeout)?, |until| socket.send_on(&message, &mut begun, until))
    }

    /// Sends one message if there is room for its beginning; says whether.
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (socket, message) = (self.0.get(py)?, Input::of(message)?);
        call(py, || socket.try_send(message.bytes(py)))
    }

    /// Sends what is kept of the last message.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let socket = self.0.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(socket.try_flush()?.then_some(())),
            Some(until) => socket.flush_until(until).map(Some),
        })
    }

    /// Bytes of the last message that are kept. Waits while another thread sends a message.
    #[getter]
    fn unsent(&self, py: Python<'_>) -> PyResult<usize> {
        let socket = self.0.get(py)?;
        waiting(py, Deadline::never(), |until| socket.unsent_on(until))
    }

    /// One message of ``send``; waits for it. ``Closed`` at the end of the stream.
    ///
    /// ``TooLarge`` if it has more than ``max_size`` bytes; it stays. What came before
    /// ``TimeoutError`` is kept for the next call.
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

    /// Writes at least one byte, and descriptors with the first of them: numbers, or what has a ``fileno()``. Over
    /// Unix. Says how many bytes were taken; write the rest without descriptors.
    #[pyo3(signature = (data, descriptors, timeout=None))]
    fn write_descriptors(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        descriptors: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let (socket, data, fds) = (self.0.get(py)?, Input::of(data)?, Descriptors::of(descriptors)?);
        let (data, fds) = (data.kept(py), fds.borrowed());
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => socket.try_write_descriptors(&data, &fds),
            Some(until) => socket.write_descriptors_until(&data, &fds, until).map(Some),
        })
    }

    /// Reads some bytes, and at most ``most`` descriptors: ``(bytes, descriptors, cut)``. The descriptors are numbers
    /// that the caller closes; ``cut`` says that more came, which are closed.
    #[pyo3(signature = (most=None, timeout=None, *, size=None),
           text_signature = "($self, most=16, timeout=None, *, size=65536)")]
    fn read_descriptors<'py>(
        &self,
        py: Python<'py>,
        most: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<WithDescriptors<'py>> {
        let (socket, most) = (self.0.get(py)?, most_descriptors(most)?);
        let mut buffer = vec![0; read_size(size)?];
        let received = waiting(py, deadline(py, timeout)?, |until| match until {
            None => socket.try_read_descriptors(&mut buffer, most),
            Some(until) => socket.read_descriptors_until(&mut buffer, most, until).map(Some),
        })?;
        Ok(with_descriptors(py, &buffer, received))
    }

    /// With ``True``, TCP sends small pieces at once instead of waiting for the answer to the last one (TCP_NODELAY).
    fn set_nodelay(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        let socket = self.0.get(py)?;
        call(py, || socket.set_nodelay(on))
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
            |_| "<triveni.kernel.Stream, closed>".to_string(),
            |socket| {
                format!(
                    "<triveni.kernel.Stream {}, {} to {}>",
                    socket.as_fd().as_raw_fd(),
                    shown(socket.local_address()),
                    shown(socket.peer_address())
                )
            },
        )
    }
}

fn read_size(size: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    // Some bytes are asked for: at most so many.
    Ok(size.map_or(Ok(65536), |size| whole("size", size))?.min(MAX_SIZE))
}

fn attempt_read(socket: &kernel::Stream, size: usize, until: Option<Deadline>) -> Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; size.min(MAX_SIZE)];
    let n = match until {
        None => socket.try_read(&mut buffer)?,
        Some(until) => Some(socket.read_until(&mut buffer, until)?),
    };
    Ok(n.map(|n| {
        buffer.truncate(n);
        buffer
    }))
}
