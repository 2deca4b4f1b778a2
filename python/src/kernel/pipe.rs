//! Anonymous pipes, and the two ends that a FIFO has as well.

use super::inheritable::Inheritable;
use crate::buffer::{Input, Output};
use crate::error::{call, invalid, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use triveni::{Deadline, Error, ErrorKind, Result};

/// The longest message that ``receive()`` takes unless told otherwise.
const MAX_SIZE: usize = 1 << 24;

/// Makes an anonymous pipe: ``reader, writer = kernel.pipe()``. For this process and those that it forks.
///
/// After a fork each process closes the end that it does not use: as long as anybody has the writing end, the reader
/// sees no end of the stream. Both are close-on-exec; ``subprocess`` takes them as ``stdin=reader``.
/// ``capacity`` asks for a buffer of so many bytes.
#[pyfunction]
#[pyo3(signature = (*, capacity=None))]
pub(crate) fn pipe(py: Python<'_>, capacity: Option<&Bound<'_, PyAny>>) -> PyResult<(PipeReader, PipeWriter)> {
    let capacity = capacity.map(|bytes| whole("capacity", bytes)).transpose()?;
    let ends = call(py, || {
        let ends = triveni::kernel::pipe()?;
        if let Some(bytes) = capacity {
            ends.writer.set_capacity(bytes)?;
        }
        Ok(ends)
    })?;
    Ok((PipeReader::new(ends.reader), PipeWriter::new(ends.writer)))
}

/// A descriptor to take over. The caller says that it is his to give.
pub(super) fn given(py: Python<'_>, fd: RawFd) -> PyResult<OwnedFd> {
    // SAFETY: fcntl with F_GETFD asks about a number and touches no memory.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(invalid(py, format!("{fd} is no open descriptor")));
    }
    // SAFETY: it is open, and the caller gives it away: from_fd says so.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The end of a pipe or FIFO that is read from.
///
/// Bytes with ``read`` and ``receive_exact``, or messages with ``receive``: each is its length in 4 bytes, most
/// significant first, and itself. The stream ends when the last writer has closed or died.
///
/// Threads: one at a time (``Busy``). fork: both processes have the end, and each byte goes to one of them. A message that
/// was begun stays the parent's, also where another thread is in the middle of it.
/// ``fileno()`` is for ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct PipeReader(Inheritable<triveni::kernel::PipeReader>);

impl PipeReader {
    pub(crate) fn new(end: triveni::kernel::PipeReader) -> PipeReader {
        PipeReader(Inheritable::new("reading end of a pipe", end))
    }

    fn attempt_read(&self, size: usize, until: Option<Deadline>) -> Result<Option<Vec<u8>>> {
        self.0.with(|end| {
            let mut buffer = vec![0; size.min(MAX_SIZE)]; // some bytes were asked for: at most so many
            let n = match until {
                None => end.try_read(&mut buffer)?,
                Some(until) => Some(end.read_until(&mut buffer, until)?),
            };
            Ok(n.map(|n| {
                buffer.truncate(n);
                buffer
            }))
        })
    }

    fn attempt_receive(&self, max_size: usize, until: Option<Deadline>) -> Result<Option<Vec<u8>>> {
        self.0.with(|end| {
            let size = match until {
                None => end.try_message_size()?,
                Some(until) => Some(end.message_size(until)?),
            };
            let Some(size) = size else { return Ok(None) };
            if size > max_size {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!("receive from a pipe: the message has {size} bytes, more than max_size={max_size}; it stays, ask for more"),
                ));
            }
            let mut message = vec![0; size];
            let received = match until {
                None => end.try_receive(&mut message)?,
                Some(until) => Some(end.receive_until(&mut message, until)?),
            };
            Ok(received.map(|_| message))
        })
    }
}

#[pymethods]
impl PipeReader {
    /// The reading end of a descriptor, which belongs to the new handle from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<PipeReader> {
        Ok(PipeReader::new(given(py, fd)?.into()))
    }

    /// Some bytes, at most ``size``; waits until there are any. ``b""`` is the end of the stream.
    #[pyo3(signature = (size=None, timeout=None), text_signature = "($self, size=65536, timeout=None)")]
    fn read<'py>(
        &self,
        py: Python<'py>,
        size: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.map_or(Ok(65536), |size| whole("size", size))?;
        let bytes = waiting(py, deadline(py, timeout)?, |until| self.attempt_read(size, until))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Some bytes if there are any, else ``None``; ``b""`` is the end of the stream.
    #[pyo3(signature = (size=None), text_signature = "($self, size=65536)")]
    fn try_read<'py>(
        &self,
        py: Python<'py>,
        size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let size = size.map_or(Ok(65536), |size| whole("size", size))?;
        Ok(trying(py, |until| self.attempt_read(size, until))?.map(|bytes| PyBytes::new(py, &bytes)))
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
        let size = whole("size", size)?;
        let (mut buffer, mut have) = (vec![0; size.min(MAX_SIZE)], 0);
        waiting(py, deadline(py, timeout)?, |until| {
            self.0.with(|end| {
                while have < size {
                    if have == buffer.len() {
                        buffer.resize((2 * have).min(size), 0); // as much as has really come, twice
                    }
                    let rest = buffer.get_mut(have..).unwrap_or_default();
                    let n = match until {
                        None => match end.try_read(rest)? {
                            Some(n) => n,
                            None => return Ok(None),
                        },
                        Some(until) => end.read_until(rest, until)?,
                    };
                    if n == 0 {
                        let sentence =
                            format!("receive {size} bytes from a pipe: the stream ended after {have} of them");
                        return Err(Error::new(ErrorKind::Closed, sentence));
                    }
                    have += n;
                }
                Ok(Some(()))
            })
        })?;
        Ok(PyBytes::new(py, &buffer))
    }

    /// One message of ``send``; waits for it. ``Closed`` at the end of the stream.
    ///
    /// ``TooLarge`` if it has more than ``max_size`` bytes; it stays. What came before ``TimeoutError`` is kept for the
    /// next call.
    #[pyo3(signature = (timeout=None, *, max_size=None), text_signature = "($self, timeout=None, *, max_size=16777216)")]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let most = max_size.map_or(Ok(MAX_SIZE), |size| whole("max_size", size))?;
        let message = waiting(py, deadline(py, timeout)?, |until| self.attempt_receive(most, until))?;
        Ok(PyBytes::new(py, &message))
    }

    /// One message if all of it is there, else ``None``.
    #[pyo3(signature = (*, max_size=None), text_signature = "($self, *, max_size=16777216)")]
    fn try_receive<'py>(
        &self,
        py: Python<'py>,
        max_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let most = max_size.map_or(Ok(MAX_SIZE), |size| whole("max_size", size))?;
        Ok(trying(py, |until| self.attempt_receive(most, until))?.map(|message| PyBytes::new(py, &message)))
    }

    /// Reads some bytes into a buffer; says how many. 0 is the end of the stream.
    #[pyo3(signature = (buffer, timeout=None))]
    fn read_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let buffer = Output::of(buffer)?;
        let size = buffer.size();
        if size == 0 {
            return Ok(0);
        }
        let bytes = waiting(py, deadline(py, timeout)?, |until| self.attempt_read(size, until))?;
        buffer.fill(py, &bytes);
        Ok(bytes.len())
    }

    /// The size of the kernel's buffer in bytes.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<usize> {
        call(py, || self.0.with(|end| end.capacity()))
    }

    /// Asks for a buffer of so many bytes; says what it is now. ``PermissionError`` above /proc/sys/fs/pipe-max-size.
    fn set_capacity(&self, py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<usize> {
        let bytes = whole("bytes", bytes)?;
        call(py, || self.0.with(|end| end.set_capacity(bytes)))
    }

    /// Bytes that can be read at this moment.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        call(py, || self.0.with(|end| end.len()))
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// Its descriptor, which stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        call(py, || self.0.with(|end| Ok(end.as_fd().as_raw_fd())))
    }

    /// Closes this process's end. Again is nothing new. ``Busy`` while another thread waits with it.
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
        self.0.with(|end| Ok(end.as_fd().as_raw_fd())).map_or_else(
            |error| format!("<triveni.kernel.PipeReader: {error}>"),
            |fd| format!("<triveni.kernel.PipeReader {fd}>"),
        )
    }
}

/// The end of a pipe or FIFO that is written to.
///
/// ``write`` and ``send_all`` for bytes, ``send`` for messages. Without a reader they raise ``Closed``. What has at most
/// ``PIPE_BUF`` bytes (4096) is written in one piece, whoever else writes: so many processes can send messages of up to
/// 4092 bytes to one reader. Longer ones of several writers may be mixed.
///
/// Threads: one at a time (``Busy``). fork: both processes have the end; what was begun of a message stays the parent's.
/// ``fileno()`` is for ``select`` and ``WaitSet.add``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct PipeWriter(Inheritable<triveni::kernel::PipeWriter>);

impl PipeWriter {
    pub(crate) fn new(end: triveni::kernel::PipeWriter) -> PipeWriter {
        PipeWriter(Inheritable::new("writing end of a pipe", end))
    }
}

/// The sentence for a message that was begun and is not all sent.
fn kept(error: Error, left: usize) -> Error {
    let sentence = format!(
        "send to a pipe: {error} in the middle; {left} bytes are kept and go before the next message, or with flush; do not send it again"
    );
    Error::new(error.kind(), sentence)
}

#[pymethods]
impl PipeWriter {
    /// The writing end of a descriptor, which belongs to the new handle from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<PipeWriter> {
        Ok(PipeWriter::new(given(py, fd)?.into()))
    }

    /// Writes; waits until there is room. Says how many bytes were taken.
    #[pyo3(signature = (data, timeout=None))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let data = Input::of(data)?;
        let data = data.kept(py);
        waiting(py, deadline(py, timeout)?, |until| {
            self.0.with(|end| match until {
                None => end.try_write(&data),
                Some(until) => end.write_until(&data, until).map(Some),
            })
        })
    }

    /// Writes as much as there is room for; says how much, ``None`` if there is none.
    fn try_write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let data = Input::of(data)?;
        trying(py, |_| self.0.with(|end| end.try_write(data.bytes(py))))
    }

    /// Writes all of ``data``. ``TimeoutError`` may come in the middle: it says how much was written.
    #[pyo3(signature = (data, timeout=None))]
    fn send_all(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let data = Input::of(data)?;
        let (data, mut done) = (data.kept(py), 0);
        let until = deadline(py, timeout)?;
        waiting(py, until, |slice| {
            self.0.with(|end| {
                while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
                    done += match slice {
                        None => match end.try_write(rest)? {
                            Some(n) => n,
                            None => return Ok(None),
                        },
                        Some(slice) => end.write_until(rest, slice).map_err(|error| match error.kind() {
                            ErrorKind::Timeout if until.passed() => Error::new(
                                ErrorKind::Timeout,
                                format!(
                                    "send {} bytes to a pipe: the deadline passed after {done} of them",
                                    data.len()
                                ),
                            ),
                            _ => error,
                        })?,
                    };
                }
                Ok(Some(()))
            })
        })
    }

    /// Sends one message; waits until there is room. In one piece up to 4092 bytes.
    ///
    /// A longer one may be half written when ``TimeoutError`` comes: then ``unsent`` says how many bytes are kept. They
    /// go before the next message or with ``flush()``; do not send it again.
    #[pyo3(signature = (message, timeout=None))]
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let message = Input::of(message)?;
        let (message, mut begun) = (message.kept(py), false);
        waiting(py, deadline(py, timeout)?, |until| {
            self.0.with(|end| {
                match until {
                    // An earlier message's rest goes first.
                    None => {
                        begun = begun || (end.try_flush()? && end.try_send(&message)?);
                        Ok((begun && end.try_flush()?).then_some(()))
                    }
                    Some(until) => {
                        if !begun {
                            end.flush_until(until)?;
                            let sent = end.send_until(&message, until);
                            begun = sent.is_ok() || end.unsent() > 0;
                            return sent.map(Some);
                        }
                        end.flush_until(until).map(Some).map_err(|error| kept(error, end.unsent()))
                    }
                }
            })
        })
    }

    /// Sends one message if there is room for its beginning; says whether.
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let message = Input::of(message)?;
        call(py, || self.0.with(|end| end.try_send(message.bytes(py))))
    }

    /// Sends what is kept of the last message.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        waiting(py, deadline(py, timeout)?, |until| {
            self.0.with(|end| match (until, end.unsent()) {
                (_, 0) => Ok(Some(())),
                (None, _) => Ok(end.try_flush()?.then_some(())),
                (Some(until), _) => end.flush_until(until).map(Some),
            })
        })
    }

    /// Bytes of the last message that are kept.
    #[getter]
    fn unsent(&self, py: Python<'_>) -> PyResult<usize> {
        call(py, || self.0.with(|end| Ok(end.unsent())))
    }

    /// The size of the kernel's buffer in bytes.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<usize> {
        call(py, || self.0.with(|end| end.capacity()))
    }

    /// Asks for a buffer of so many bytes; says what it is now. ``PermissionError`` above /proc/sys/fs/pipe-max-size.
    fn set_capacity(&self, py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<usize> {
        let bytes = whole("bytes", bytes)?;
        call(py, || self.0.with(|end| end.set_capacity(bytes)))
    }

    /// Its descriptor, which stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        call(py, || self.0.with(|end| Ok(end.as_fd().as_raw_fd())))
    }

    /// Closes this process's end; what is kept of a message is lost. Again is nothing new.
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
        self.0.with(|end| Ok(end.as_fd().as_raw_fd())).map_or_else(
            |error| format!("<triveni.kernel.PipeWriter: {error}>"),
            |fd| format!("<triveni.kernel.PipeWriter {fd}>"),
        )
    }
}
