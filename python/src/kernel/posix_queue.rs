//! POSIX message queues.

use super::Shared;
use super::pipe::given;
use crate::buffer::{Input, Output, with_scratch};
use crate::error::{call, count, detached, invalid, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use triveni::kernel::{self, PosixQueueOptions, QueueAccess};
use triveni::{Deadline, Result};

/// What the kernel tells about a POSIX queue. ``None``: this process may not know.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct PosixQueueInfo {
    /// Its name, with the slash.
    name: String,
    /// The bits of its mode.
    mode: u32,
    /// The user who owns it.
    uid: u32,
    /// The group that owns it.
    gid: u32,
    /// How many messages are in it.
    messages: Option<usize>,
    /// How many messages it holds.
    capacity: Option<usize>,
    /// The largest message in bytes.
    message_size: Option<usize>,
    /// Bytes in all its messages.
    bytes: Option<usize>,
    /// The process that asked to be notified and was not told yet.
    notifies: Option<u32>,
}

impl From<kernel::PosixQueueInfo> for PosixQueueInfo {
    fn from(info: kernel::PosixQueueInfo) -> PosixQueueInfo {
        let kernel::PosixQueueInfo { name, mode, uid, gid, messages, capacity, message_size, bytes, notifies } = info;
        PosixQueueInfo { name, mode, uid, gid, messages, capacity, message_size, bytes, notifies }
    }
}

#[pymethods]
impl PosixQueueInfo {
    fn __repr__(&self) -> String {
        let shown = |count: Option<usize>| count.map_or("?".to_string(), |count| count.to_string());
        format!(
            "<triveni.kernel.PosixQueueInfo {} mode {:03o}, user {}, {} of {} messages>",
            self.name,
            self.mode,
            self.uid,
            shown(self.messages),
            shown(self.capacity)
        )
    }
}

/// A POSIX message queue: messages with a priority each, from any number of senders to any number of receivers.
///
/// ``PosixQueue.create("/lab", capacity=10, message_size=64)``, ``PosixQueue.open("/lab")``,
/// ``PosixQueue.open_or_create("/lab")``. The slash may be left out. The highest priority is received first, among equals
/// the oldest. The queue and its messages stay when all its users have ended, until ``PosixQueue.unlink("/lab")``, unless
/// it is ``owned``: then it goes with the handle that made it.
///
/// Threads: any number may use one queue at once. fork: the child goes on using it, and never removes it. No pickle:
/// open it by its name. ``fileno()`` is for ``select`` and ``WaitSet.add_fd``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct PosixQueue {
    queue: Shared<kernel::PosixQueue>,
    name: String,
    capacity: usize,
    message_size: usize,
}

fn options(
    py: Python<'_>,
    capacity: Option<&Bound<'_, PyAny>>,
    message_size: Option<&Bound<'_, PyAny>>,
    mode: Option<&Bound<'_, PyAny>>,
    access: &str,
    owned: bool,
) -> PyResult<PosixQueueOptions> {
    let access = match access {
        "both" => QueueAccess::Both,
        "send" => QueueAccess::Send,
        "receive" => QueueAccess::Receive,
        other => return Err(invalid(py, format!("access {other:?} is none; give \"both\", \"send\" or \"receive\""))),
    };
    let mut options = PosixQueueOptions::new().access(access).owned(owned);
    if let Some(capacity) = capacity {
        options = options.capacity(whole("capacity", capacity)?);
    }
    if let Some(message_size) = message_size {
        options = options.message_size(whole("message_size", message_size)?);
    }
    if let Some(mode) = mode {
        options = options.mode(count("mode", mode)?);
    }
    Ok(options)
}

/// A message's priority. Core says what is too high.
fn priority(priority: Option<&Bound<'_, PyAny>>) -> PyResult<u32> {
    priority.map_or(Ok(0), |priority| count("priority", priority))
}

impl PosixQueue {
    fn new(queue: kernel::PosixQueue) -> PosixQueue {
        let (name, capacity, message_size) = (queue.name().to_string(), queue.capacity(), queue.message_size());
        PosixQueue { queue: Shared::new("POSIX queue", queue), name, capacity, message_size }
    }

    /// Receives a message and gives it to `done`; waits if there is a deadline.
    fn read<T>(
        &self,
        py: Python<'_>,
        room: usize,
        until: Option<Deadline>,
        done: impl FnOnce(&[u8], u32) -> T,
    ) -> PyResult<Option<T>> {
        let queue = self.queue.get(py)?;
        with_scratch(room, |scratch| {
            let attempt = |until| attempt_receive(&queue, scratch, until);
            let received = match until {
                None => trying(py, attempt)?,
                Some(end) => Some(waiting(py, end, attempt)?),
            };
            Ok(received.map(|(size, priority)| done(scratch.get(..size).unwrap_or_default(), priority)))
        })
    }

    fn bytes<'py>(&self, py: Python<'py>, until: Option<Deadline>) -> PyResult<Option<(Bound<'py, PyBytes>, u32)>> {
        self.read(py, self.message_size, until, |message, priority| (PyBytes::new(py, message), priority))
    }

    fn into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, until: Option<Deadline>) -> PyResult<Option<usize>> {
        let output = Output::of(buffer)?;
        self.read(py, output.size().min(self.message_size), until, |message, _| {
            output.fill(py, message);
            message.len()
        })
    }
}

fn attempt_receive(
    queue: &Arc<kernel::PosixQueue>,
    buffer: &mut [u8],
    until: Option<Deadline>,
) -> Result<Option<(usize, u32)>> {
    match until {
        None => queue.try_receive_envelope(buffer),
        Some(until) => queue.receive_envelope_until(buffer, until).map(Some),
    }
}

/// What waiting calls give: they end with a value or an error.
fn always<T>(py: Python<'_>, value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| crate::error::to_py(py, triveni::ErrorKind::Timeout.into()))
}

#[pymethods]
impl PosixQueue {
    /// Creates the queue; ``FileExistsError`` if the name is taken.
    ///
    /// ``capacity`` messages of ``message_size`` bytes; the system's default is 10 of 8192, which is often also the most
    /// that is allowed. ``mode`` holds exactly, whatever the umask. ``access`` is ``"both"``, ``"send"`` or ``"receive"``.
    #[staticmethod]
    #[pyo3(
        signature = (name, *, capacity=None, message_size=None, mode=None, access="both", owned=false),
        text_signature = "(name, *, capacity=None, message_size=None, mode=0o600, access='both', owned=False)"
    )]
    fn create(
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        access: &str,
        owned: bool,
    ) -> PyResult<PosixQueue> {
        let options = options(py, capacity, message_size, mode, access, owned)?;
        detached(py, || options.create(name)).map(PosixQueue::new)
    }

    /// Opens the queue; ``FileNotFoundError`` if there is none, ``PermissionError`` if its mode does not admit ``access``.
    #[staticmethod]
    #[pyo3(signature = (name, *, access="both"))]
    fn open(py: Python<'_>, name: &str, access: &str) -> PyResult<PosixQueue> {
        let options = options(py, None, None, None, access, false)?;
        detached(py, || options.open(name)).map(PosixQueue::new)
    }

    /// Opens the queue, or creates it. One that was there is not owned, and ``Incompatible`` if it has other sizes than
    /// were asked for.
    #[staticmethod]
    #[pyo3(
        signature = (name, *, capacity=None, message_size=None, mode=None, access="both", owned=false),
        text_signature = "(name, *, capacity=None, message_size=None, mode=0o600, access='both', owned=False)"
    )]
    fn open_or_create(
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        access: &str,
        owned: bool,
    ) -> PyResult<PosixQueue> {
        let options = options(py, capacity, message_size, mode, access, owned)?;
        detached(py, || options.open_or_create(name)).map(PosixQueue::new)
    }

    /// Removes the name. Who has the queue open goes on with it; it ends, with its messages, when the last one closes it.
    #[staticmethod]
    fn unlink(py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || kernel::PosixQueue::unlink(name))
    }

    /// The queue of a descriptor, which belongs to the new handle from now on.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<PosixQueue> {
        let fd = given(py, fd)?;
        call(py, || kernel::PosixQueue::from_fd(fd)).map(PosixQueue::new)
    }

    /// All POSIX queues of this system, where a file system of type mqueue is mounted (else ``Unsupported``).
    ///
    /// It opens and closes each, which ends a notification that this very process has asked for.
    #[staticmethod]
    fn list(py: Python<'_>) -> PyResult<Vec<PosixQueueInfo>> {
        Ok(detached(py, kernel::PosixQueue::list)?.into_iter().map(Into::into).collect())
    }

    /// Sends a copy of ``message``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed. ``priority`` is
    /// a number from 0 to 32767: the highest is received first.
    #[pyo3(signature = (message, timeout=None, *, priority=None), text_signature = "($self, message, timeout=None, *, priority=0)")]
    fn send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        priority: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (queue, priority, until) = (self.queue.get(py)?, self::priority(priority)?, deadline(py, timeout)?);
        let input = Input::of(message)?;
        let message = input.kept(py);
        waiting(py, until, |until| match until {
            None => Ok(queue.try_send_with(&message, priority)?.then_some(())),
            Some(until) => queue.send_with_until(&message, priority, until).map(Some),
        })
    }

    /// Sends a copy of ``message`` if there is room; says whether it did.
    #[pyo3(signature = (message, *, priority=None), text_signature = "($self, message, *, priority=0)")]
    fn try_send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        priority: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let (queue, priority) = (self.queue.get(py)?, self::priority(priority)?);
        let input = Input::of(message)?;
        call(py, || queue.try_send_with(input.bytes(py), priority))
    }

    /// Receives the oldest message of the highest priority; waits for one. ``TimeoutError`` once ``timeout`` seconds have
    /// passed.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.receive_envelope(py, timeout)?.0)
    }

    /// Receives a message, or ``None`` if there is none.
    fn try_receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.bytes(py, None)?.map(|(message, _)| message))
    }

    /// As ``receive``, with the message's priority: ``(message, priority)``.
    #[pyo3(signature = (timeout=None))]
    fn receive_envelope<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let received = self.bytes(py, Some(deadline(py, timeout)?))?;
        always(py, received)
    }

    /// As ``receive_envelope``, or ``None`` if there is no message.
    fn try_receive_envelope<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, u32)>> {
        self.bytes(py, None)
    }

    /// Receives into ``buffer``, which holds at least ``message_size`` bytes; returns the message's size.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let size = self.into(py, buffer, Some(deadline(py, timeout)?))?;
        always(py, size)
    }

    /// Receives into ``buffer`` if there is a message; returns its size, or ``None``.
    fn try_receive_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.into(py, buffer, None)
    }

    /// Asks for the signal ``signal``, with the number ``value``, when a message comes to the queue while it is empty and
    /// nobody waits to receive it. Once: ask again to be told again, and then receive what is there.
    ///
    /// ``signal.sigwaitinfo`` and ``signal.set_wakeup_fd`` take it like any other. ``Busy`` if a process has asked and was
    /// not told yet. Closing any handle of this queue in this process takes the wish back.
    #[pyo3(signature = (signal, value=0))]
    fn notify(&self, py: Python<'_>, signal: i32, value: i32) -> PyResult<()> {
        let queue = self.queue.get(py)?;
        call(py, || queue.notify(signal, value))
    }

    /// Takes back what ``notify`` asked.
    fn cancel_notify(&self, py: Python<'_>) -> PyResult<()> {
        let queue = self.queue.get(py)?;
        call(py, || queue.cancel_notify())
    }

    /// What the kernel tells about it at this moment.
    fn info(&self, py: Python<'_>) -> PyResult<PosixQueueInfo> {
        let queue = self.queue.get(py)?;
        call(py, || queue.info()).map(Into::into)
    }

    /// Its name, with the slash.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many messages it holds.
    #[getter]
    fn capacity(&self) -> usize {
        self.capacity
    }

    /// The largest message in bytes.
    #[getter]
    fn message_size(&self) -> usize {
        self.message_size
    }

    /// Its descriptor: readable while there is a message, writable while there is room.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.queue.get(py)?.as_fd().as_raw_fd())
    }

    /// Closes it, and removes it if it is owned. Its messages stay otherwise. Again is nothing new.
    fn close(&self) {
        self.queue.close();
    }

    /// Messages at this moment.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.queue.get(py)?.len())
    }

    /// True, also while it is empty.
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        match self.queue.get(py) {
            Ok(queue) => format!(
                "<triveni.kernel.PosixQueue {} {} of {} messages of at most {} bytes>",
                self.name,
                queue.len(),
                self.capacity,
                self.message_size
            ),
            Err(_) => format!("<triveni.kernel.PosixQueue {}, closed>", self.name),
        }
    }
}
