//! System V message queues.

use super::Shared;
use super::sysv_key::{key, shown};
use crate::buffer::{Input, Output, with_scratch};
use crate::error::{call, count, detached, invalid, to_py, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use triveni::kernel::{self, SysvQueueOptions, SysvSelect};
use triveni::{Deadline, ErrorKind, Result};

/// What the kernel tells about a System V queue.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SysvQueueInfo {
    /// Its number.
    id: i32,
    /// Its key; ``None`` if it is private.
    key: Option<i32>,
    /// The bits of its mode.
    mode: u32,
    /// The user who owns it.
    uid: u32,
    /// The group that owns it.
    gid: u32,
    /// How many messages are in it.
    messages: u64,
    /// Bytes in all its messages.
    bytes: u64,
    /// How many bytes it holds.
    max_bytes: u64,
    /// The process that sent the last message; 0: none yet.
    last_sender: u32,
    /// The process that received the last message; 0: none yet.
    last_receiver: u32,
    /// When the last message was sent, in seconds since 1970; 0: not yet.
    sent_at: i64,
    /// When the last message was received, in seconds since 1970; 0: not yet.
    received_at: i64,
}

impl From<kernel::SysvQueueInfo> for SysvQueueInfo {
    fn from(info: kernel::SysvQueueInfo) -> SysvQueueInfo {
        SysvQueueInfo {
            id: info.id,
            key: shown(info.key),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            messages: info.messages,
            bytes: info.bytes,
            max_bytes: info.max_bytes,
            last_sender: info.last_sender,
            last_receiver: info.last_receiver,
            sent_at: info.sent_at,
            received_at: info.received_at,
        }
    }
}

#[pymethods]
impl SysvQueueInfo {
    fn __repr__(&self) -> String {
        let SysvQueueInfo { id, mode, uid, messages, bytes, max_bytes, .. } = self;
        let key = self.key.map_or("private".to_string(), |key| format!("{key:#010x}"));
        format!(
            "<triveni.kernel.SysvQueueInfo {id} key {key} mode {mode:03o}, user {uid}, {messages} messages, {bytes} of {max_bytes} bytes>"
        )
    }
}

/// A System V message queue: messages with a type each, from any number of senders to any number of receivers, which may
/// choose by type.
///
/// ``SysvQueue.create(key)``, ``SysvQueue.open(key)``, ``SysvQueue.open_or_create(key)``, ``SysvQueue.open_id(id)``. A key
/// is a number that both sides know, or ``kernel.sysv_key(path, 1)``; ``None`` makes a private queue, which others open by
/// its ``id``. The queue and its messages stay when all its users have ended, until ``remove()``, unless it is ``owned``:
/// then it goes with the handle that made it.
///
/// System V has no timed form and no descriptor. With a timeout, and in the main thread, which must serve Ctrl-C, a wait
/// is a try again and again, after pauses of up to 4 ms; other threads that wait for ever sleep in the kernel.
///
/// Threads: any number may use one queue at once. fork: the child goes on using it, and never removes it. No pickle:
/// open it by its key or its ``id``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct SysvQueue {
    queue: Shared<kernel::SysvQueue>,
    id: i32,
    key: Option<i32>,
}

fn options(
    max_bytes: Option<&Bound<'_, PyAny>>,
    mode: Option<&Bound<'_, PyAny>>,
    owned: bool,
) -> PyResult<SysvQueueOptions> {
    let mut options = SysvQueueOptions::new().owned(owned);
    if let Some(max_bytes) = max_bytes {
        options = options.max_bytes(whole("max_bytes", max_bytes)? as u64);
    }
    if let Some(mode) = mode {
        options = options.mode(count("mode", mode)?);
    }
    Ok(options)
}

/// Which message is wanted, from the arguments of ``receive``. Core says what is no type.
fn select(
    py: Python<'_>,
    mtype: Option<&Bound<'_, PyAny>>,
    except_mtype: Option<&Bound<'_, PyAny>>,
) -> PyResult<SysvSelect> {
    match (mtype, except_mtype) {
        (None, None) => Ok(SysvSelect::Any),
        (Some(_), Some(_)) => Err(invalid(py, "give mtype or except_mtype, not both")),
        (None, Some(unwanted)) => Ok(SysvSelect::Except(unwanted.extract()?)),
        (Some(mtype), None) => Ok(match mtype.extract::<i64>()? {
            0 => SysvSelect::Any,
            n @ 1.. => SysvSelect::Type(n),
            n => SysvSelect::UpTo(n.saturating_neg()),
        }),
    }
}

/// The type of a message to send.
fn mtype(mtype: Option<&Bound<'_, PyAny>>) -> PyResult<i64> {
    mtype.map_or(Ok(1), |mtype| mtype.extract())
}

fn attempt_receive(
    queue: &kernel::SysvQueue,
    select: SysvSelect,
    buffer: &mut [u8],
    until: Option<Deadline>,
) -> Result<Option<(usize, i64)>> {
    match until {
        None => queue.try_receive_selected(select, buffer),
        Some(until) => queue.receive_selected_until(select, buffer, until).map(Some),
    }
}

/// What waiting calls give: they end with a value or an error.
fn always<T>(py: Python<'_>, value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| to_py(py, ErrorKind::Timeout.into()))
}

impl SysvQueue {
    fn new(queue: kernel::SysvQueue) -> SysvQueue {
        let (id, key) = (queue.id(), shown(queue.key()));
        SysvQueue { queue: Shared::new("System V queue", queue), id, key }
    }

    /// Receives a message and gives it to `done`; waits if there is a deadline.
    fn read<T>(
        &self,
        py: Python<'_>,
        select: SysvSelect,
        most: Option<usize>,
        until: Option<Deadline>,
        done: impl FnOnce(&[u8], i64) -> T,
    ) -> PyResult<Option<T>> {
        let queue = self.queue.get(py)?;
        let room = queue.message_size();
        with_scratch(most.map_or(room, |most| most.min(room)), |scratch| {
            let attempt = |until| attempt_receive(&queue, select, scratch, until);
            let received = match until {
                None => trying(py, attempt)?,
                Some(end) => Some(waiting(py, end, attempt)?),
            };
            Ok(received.map(|(size, mtype)| done(scratch.get(..size).unwrap_or_default(), mtype)))
        })
    }

    fn bytes<'py>(
        &self,
        py: Python<'py>,
        select: SysvSelect,
        until: Option<Deadline>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, i64)>> {
        self.read(py, select, None, until, |message, mtype| (PyBytes::new(py, message), mtype))
    }

    fn into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, until: Option<Deadline>) -> PyResult<Option<usize>> {
        let output = Output::of(buffer)?;
        self.read(py, SysvSelect::Any, Some(output.size()), until, |message, _| {
            output.fill(py, message);
            message.len()
        })
    }
}

#[pymethods]
impl SysvQueue {
    /// Creates the queue; ``FileExistsError`` if the key is taken, unless it is ``None``. ``max_bytes`` of messages; the
    /// system's default is often also the most that is allowed.
    #[staticmethod]
    #[pyo3(
        signature = (key=None, *, max_bytes=None, mode=None, owned=false),
        text_signature = "(key=None, *, max_bytes=None, mode=0o600, owned=False)"
    )]
    fn create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        max_bytes: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<SysvQueue> {
        let (key, options) = (self::key(key)?, options(max_bytes, mode, owned)?);
        detached(py, || options.create(key)).map(SysvQueue::new)
    }

    /// Opens the queue of ``key``; ``FileNotFoundError`` if there is none.
    #[staticmethod]
    fn open(py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<SysvQueue> {
        let key = self::key(Some(key))?;
        detached(py, || kernel::SysvQueue::open(key)).map(SysvQueue::new)
    }

    /// Opens the queue with the number ``id``; ``FileNotFoundError`` if there is none, or not any more.
    #[staticmethod]
    fn open_id(py: Python<'_>, id: i32) -> PyResult<SysvQueue> {
        detached(py, || kernel::SysvQueue::open_id(id)).map(SysvQueue::new)
    }

    /// Opens the queue of ``key``, or creates it. One that was there is not owned. ``None`` always creates.
    #[staticmethod]
    #[pyo3(
        signature = (key, *, max_bytes=None, mode=None, owned=false),
        text_signature = "(key, *, max_bytes=None, mode=0o600, owned=False)"
    )]
    fn open_or_create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        max_bytes: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
    ) -> PyResult<SysvQueue> {
        let (key, options) = (self::key(key)?, options(max_bytes, mode, owned)?);
        detached(py, || options.open_or_create(key)).map(SysvQueue::new)
    }

    /// Removes the queue of ``key``, as ``remove()`` does.
    #[staticmethod]
    fn unlink(py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = self::key(Some(key))?;
        detached(py, || kernel::SysvQueue::unlink(key))
    }

    /// All System V queues of this system, as ``ipcs -q`` shows them.
    #[staticmethod]
    fn list(py: Python<'_>) -> PyResult<Vec<SysvQueueInfo>> {
        Ok(detached(py, kernel::SysvQueue::list)?.into_iter().map(Into::into).collect())
    }

    /// Removes the queue and all its messages, at once. Who waits for it gets ``Removed``.
    fn remove(&self, py: Python<'_>) -> PyResult<()> {
        let queue = self.queue.get(py)?;
        call(py, || queue.remove())
    }

    /// Sends a copy of ``message``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed. ``mtype`` is a
    /// number from 1 on, by which receivers choose.
    #[pyo3(signature = (message, timeout=None, *, mtype=None), text_signature = "($self, message, timeout=None, *, mtype=1)")]
    fn send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (queue, mtype, until) = (self.queue.get(py)?, self::mtype(mtype)?, deadline(py, timeout)?);
        let input = Input::of(message)?;
        let message = input.kept(py);
        waiting(py, until, |until| match until {
            None => Ok(queue.try_send_with(&message, mtype)?.then_some(())),
            Some(until) => queue.send_with_until(&message, mtype, until).map(Some),
        })
    }

    /// Sends a copy of ``message`` if there is room; says whether it did.
    #[pyo3(signature = (message, *, mtype=None), text_signature = "($self, message, *, mtype=1)")]
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, mtype: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let (queue, mtype) = (self.queue.get(py)?, self::mtype(mtype)?);
        let input = Input::of(message)?;
        call(py, || queue.try_send_with(input.bytes(py), mtype))
    }

    /// Receives the first message; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    ///
    /// ``mtype`` selects as msgrcv(2) does: n is the first of type n, -n the first of the lowest type from 1 to n, 0 any;
    /// ``except_mtype=n`` the first of another type.
    #[pyo3(signature = (timeout=None, *, mtype=None, except_mtype=None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.receive_envelope(py, timeout, mtype, except_mtype)?.0)
    }

    /// Receives the first message, or ``None`` if there is none.
    #[pyo3(signature = (*, mtype=None, except_mtype=None))]
    fn try_receive<'py>(
        &self,
        py: Python<'py>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.try_receive_envelope(py, mtype, except_mtype)?.map(|(message, _)| message))
    }

    /// As ``receive``, with the message's type: ``(message, mtype)``.
    #[pyo3(signature = (timeout=None, *, mtype=None, except_mtype=None))]
    fn receive_envelope<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, i64)> {
        let (select, until) = (select(py, mtype, except_mtype)?, deadline(py, timeout)?);
        let received = self.bytes(py, select, Some(until))?;
        always(py, received)
    }

    /// As ``receive_envelope``, or ``None`` if there is no message.
    #[pyo3(signature = (*, mtype=None, except_mtype=None))]
    fn try_receive_envelope<'py>(
        &self,
        py: Python<'py>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, i64)>> {
        self.bytes(py, select(py, mtype, except_mtype)?, None)
    }

    /// Receives into ``buffer``; returns the message's size. ``TooLarge`` if it is too small: the message stays.
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

    /// Changes how many bytes of messages it holds. ``PermissionError`` beyond ``/proc/sys/kernel/msgmnb`` without
    /// CAP_SYS_RESOURCE.
    fn set_max_bytes(&self, py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<()> {
        let (queue, bytes) = (self.queue.get(py)?, whole("bytes", bytes)?);
        call(py, || queue.set_max_bytes(bytes as u64))
    }

    /// What the kernel tells about it at this moment.
    fn info(&self, py: Python<'_>) -> PyResult<SysvQueueInfo> {
        let queue = self.queue.get(py)?;
        call(py, || queue.info()).map(Into::into)
    }

    /// Its number, by which any process can open it.
    #[getter]
    fn id(&self) -> i32 {
        self.id
    }

    /// Its key; ``None`` if it is private.
    #[getter]
    fn key(&self) -> Option<i32> {
        self.key
    }

    /// The largest message in bytes at this moment, in any queue: ``/proc/sys/kernel/msgmax``.
    #[getter]
    fn message_size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.queue.get(py)?.message_size())
    }

    /// Lets go of it, and removes it if it is owned. Again is nothing new.
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
        let key = self.key.map_or("private".to_string(), |key| format!("{key:#010x}"));
        match self.queue.get(py) {
            Ok(queue) => format!("<triveni.kernel.SysvQueue {} key {key}, {} messages>", self.id, queue.len()),
            Err(_) => format!("<triveni.kernel.SysvQueue {} key {key}, closed>", self.id),
        }
    }
}
