//! Ports, port sets and processes by name.

use crate::buffer::{Input, with_scratch};
use crate::error::{call, detached, invalid, to_py};
use crate::segment::address;
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{MutexGuard, TryLockError};
use triveni::{Deadline, Error, ErrorKind, PortEvent, Result};

/// A right to a port: to receive from it, to send to it, or to send to it once.
///
/// A port is a queue of messages with one receiver, as in Mach. ``Segment.port(name)`` makes one and has the right to
/// receive, ``Segment.open_port(name)`` has a right to send. A right can be given away in a message, ``send(message,
/// [right])``: from then on it raises ``NotOwner`` here, and whoever receives the message has it. ``call`` sends and
/// waits for the answer (in asyncio: ``await asyncio.to_thread(port.call, message)``). ``len(port)`` counts messages.
///
/// ``with`` or ``close()`` gives the right up; with the right to receive the port dies, and senders get ``PeerDead``.
///
/// Threads: any number may use one right at once. fork: ``Forked`` in the child; open the port there. It is not pickled.
#[pyclass(frozen, eq, module = "triveni")]
#[derive(PartialEq)]
pub(crate) struct Port {
    segment: Keeper,
    port: triveni::Port,
}

/// The segment of a right, for messages; it has no part in whether two rights are the same.
#[derive(Clone)]
struct Keeper(triveni::Segment);

impl PartialEq for Keeper {
    fn eq(&self, _: &Keeper) -> bool {
        true
    }
}

/// What was received: the ``message`` as bytes, and what came with it.
///
/// ``rights`` are now this process's; ``reply`` is the right to answer, if the sender waits in ``call``. ``lost`` counts
/// rights that were lost on the way, ``redelivered`` receivers that died with the message before. ``sender`` is the name
/// of the process that sent it, of messages to a ``Process``. A notification has an empty message, an ``event``
/// (``"no_senders"``, ``"dead_name"`` or ``"accepted"``) and the name of the ``port`` that it is about.
#[pyclass(frozen, get_all, module = "triveni")]
pub(crate) struct Delivery {
    /// The message; empty with a notification.
    message: Py<PyBytes>,
    /// The rights that came with it, which are now this process's.
    rights: Vec<Py<Port>>,
    /// The right to answer; ``None`` if the sender does not wait in ``call``.
    reply: Option<Py<Port>>,
    /// How many rights were lost on the way.
    lost: usize,
    /// How many receivers had the message before and died.
    redelivered: u16,
    /// ``"no_senders"``, ``"dead_name"`` or ``"accepted"`` of a notification; ``None`` of a message.
    event: Option<&'static str>,
    /// The name of the port that the notification is about.
    port: Option<String>,
    /// The name of the process that sent it, of messages to a ``Process``.
    sender: Option<String>,
}

#[pymethods]
impl Delivery {
    fn __repr__(&self, py: Python<'_>) -> String {
        match (self.event, &self.port) {
            (Some(event), port) => {
                format!("<triveni.Delivery {event} of port {:?}>", port.as_deref().unwrap_or_default())
            }
            _ => {
                let (size, rights) = (self.message.bind(py).as_bytes().len(), self.rights.len());
                let reply = if self.reply.is_some() { ", to be answered" } else { "" };
                format!("<triveni.Delivery {size} bytes, {rights} rights{reply}>")
            }
        }
    }
}

fn name_of(event: PortEvent) -> &'static str {
    match event {
        PortEvent::NoSenders => "no_senders",
        PortEvent::DeadName => "dead_name",
        PortEvent::Accepted => "accepted",
    }
}

impl Port {
    pub(crate) fn new(segment: triveni::Segment, port: triveni::Port) -> Port {
        Port { segment: Keeper(segment), port }
    }

    pub(crate) fn core(&self) -> &triveni::Port {
        &self.port
    }
}

/// A delivery as Python has it.
fn deliver(
    py: Python<'_>,
    segment: &triveni::Segment,
    message: &[u8],
    delivery: triveni::Delivery,
    sender: Option<String>,
) -> PyResult<Delivery> {
    let port = |port| Py::new(py, Port::new(segment.clone(), port));
    Ok(Delivery {
        message: PyBytes::new(py, message).unbind(),
        rights: delivery.rights.into_iter().map(port).collect::<PyResult<_>>()?,
        reply: delivery.reply.map(port).transpose()?,
        lost: delivery.lost,
        redelivered: delivery.redelivered,
        event: delivery.notification.as_ref().map(|told| name_of(told.event)),
        port: delivery.notification.map(|told| told.port),
        sender,
    })
}

/// Receives with a scratch buffer; waits if there is a deadline, answers `None` if not.
fn receive<T: Send>(
    py: Python<'_>,
    segment: &triveni::Segment,
    size: usize,
    until: Option<Deadline>,
    mut attempt: impl FnMut(&mut [u8], Option<Deadline>) -> Result<Option<(T, triveni::Delivery)>> + Send,
    sender: impl FnOnce(&T) -> Option<String>,
) -> PyResult<Option<(T, Delivery)>> {
    with_scratch(size, |scratch| {
        let received = match until {
            None => trying(py, |until| attempt(scratch, until))?,
            Some(end) => Some(waiting(py, end, |until| attempt(scratch, until))?),
        };
        let Some((from, delivery)) = received else { return Ok(None) };
        let message = scratch.get(..delivery.size).ok_or_else(|| to_py(py, ErrorKind::Corrupt.into()))?;
        let sender = sender(&from);
        Ok(Some((from, deliver(py, segment, message, delivery, sender)?)))
    })
}

/// What a call with a deadline of now answers, where `None` says that it would have to wait.
fn unless_late<T>(until: Option<Deadline>, done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) if until.is_none() && error.kind() == ErrorKind::Timeout => Ok(None),
        done => done.map(Some),
    }
}

/// What waiting calls give: an attempt with a deadline ends with a value or an error.
fn always<T>(py: Python<'_>, value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| to_py(py, ErrorKind::Timeout.into()))
}

#[pymethods]
impl Port {
    /// Sends a copy of ``message``, and up to 4 ``rights`` with it; waits for room. ``PeerDead`` if nobody can receive
    /// any more, ``TimeoutError`` once ``timeout`` seconds have passed: then all rights stay.
    #[pyo3(signature = (message, rights=None, timeout=None), text_signature = "($self, message, rights=(), timeout=None)")]
    fn send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        rights: Option<Vec<Py<Port>>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(message)?;
        let message = input.kept(py);
        let rights: Vec<triveni::Port> = rights.iter().flatten().map(|right| right.get().port.clone()).collect();
        let rights: Vec<&triveni::Port> = rights.iter().collect();
        waiting(py, until, |until| {
            unless_late(until, self.port.send_rights(&message, &rights, until.unwrap_or(Deadline::now())))
        })
    }

    /// Sends a copy of ``message`` if there is room; says whether it did.
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(message)?;
        Ok(trying(py, |_| Ok(self.port.try_send(input.bytes(py))?.then_some(())))?.is_some())
    }

    /// Sends, or, if the port is full, leaves the message there all the same and returns ``False``: it is pending. When
    /// it was received, the port ``notify`` tells (``event == "accepted"``). ``Busy`` while one is pending.
    fn send_pending(&self, py: Python<'_>, message: &Bound<'_, PyAny>, notify: &Bound<'_, Port>) -> PyResult<bool> {
        let input = Input::of(message)?;
        call(py, || self.port.send_pending(input.bytes(py), &notify.get().port))
    }

    /// Receives the oldest message; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Delivery> {
        let delivery = self.received(py, Some(deadline(py, timeout)?))?;
        always(py, delivery)
    }

    /// Receives the oldest message, or ``None`` if there is none.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<Delivery>> {
        self.received(py, None)
    }

    /// Sends ``message`` with a right to answer it, and waits for the answer. ``PeerDead`` if nobody can receive it, or
    /// answer it, any more.
    #[pyo3(signature = (message, timeout=None))]
    fn call(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Delivery> {
        let until = deadline(py, timeout)?;
        let input = Input::of(message)?;
        let message = input.kept(py);
        let begun = waiting(py, until, |until| {
            unless_late(until, self.port.begin_call(&message, &[], until.unwrap_or(Deadline::now())))
        })?;
        let attempt = |scratch: &mut [u8], until: Option<Deadline>| {
            let done = unless_late(until, begun.wait_until(scratch, until.unwrap_or(Deadline::now())))?;
            Ok(done.map(|delivery| ((), delivery)))
        };
        let answer = receive(py, &self.segment.0, self.port.message_size(), Some(until), attempt, |()| None)?;
        always(py, answer.map(|((), delivery)| delivery))
    }

    /// A new right to send to the same port, to use or to give away.
    fn send_right(&self, py: Python<'_>) -> PyResult<Port> {
        Ok(Port { segment: self.segment.clone(), port: call(py, || self.port.send_right())? })
    }

    /// A new right to send to the same port once; this is the right to receive.
    fn send_once_right(&self, py: Python<'_>) -> PyResult<Port> {
        Ok(Port { segment: self.segment.clone(), port: call(py, || self.port.send_once_right())? })
    }

    /// Asks that the port ``notify`` tell, once, when ``event`` happens to this port: ``"no_senders"`` or ``"dead_name"``.
    fn request_notification(&self, py: Python<'_>, event: &str, notify: &Bound<'_, Port>) -> PyResult<()> {
        let event = match event {
            "no_senders" => PortEvent::NoSenders,
            "dead_name" => PortEvent::DeadName,
            "accepted" => PortEvent::Accepted,
            other => {
                return Err(invalid(
                    py,
                    format!("{other:?} is no event of a port; \"no_senders\" and \"dead_name\" are"),
                ));
            }
        };
        call(py, || self.port.request_notification(event, &notify.get().port))
    }

    /// Gives the right up. ``NotOwner`` if it was given away, or given up before.
    fn deallocate(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.port.deallocate())
    }

    /// Gives the right up, unless it is gone already.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || match self.port.deallocate() {
            Err(error) if !matches!(error.kind(), ErrorKind::NotOwner | ErrorKind::Removed | ErrorKind::Forked) => {
                Err(error)
            }
            _ => Ok(()),
        })
    }

    /// What it is a right to: ``"receive"``, ``"send"`` or ``"send once"``.
    #[getter]
    fn right(&self) -> String {
        self.port.right().to_string()
    }

    /// The port's name.
    #[getter]
    fn name(&self) -> &str {
        self.port.name()
    }

    /// How many messages its queue holds.
    #[getter]
    fn capacity(&self) -> usize {
        self.port.capacity()
    }

    /// The largest message in bytes.
    #[getter]
    fn message_size(&self) -> usize {
        self.port.message_size()
    }

    fn __len__(&self) -> usize {
        self.port.len()
    }

    /// A port is true, also when it is empty.
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<triveni.Port {} right to {}>", address(&self.segment.0, self.port.name()), self.port.right())
    }
}

impl Port {
    fn received(&self, py: Python<'_>, until: Option<Deadline>) -> PyResult<Option<Delivery>> {
        let attempt = |scratch: &mut [u8], until| {
            let done = match until {
                None => self.port.try_receive(scratch)?,
                Some(until) => Some(self.port.receive_until(scratch, until)?),
            };
            Ok(done.map(|delivery| ((), delivery)))
        };
        let received = receive(py, &self.segment.0, self.port.message_size(), until, attempt, |()| None)?;
        Ok(received.map(|((), delivery)| delivery))
    }
}

/// A set of ports, to receive from any of them; they take turns.
///
///     ports = triveni.PortSet()
///     ports.add(orders)
///     ports.add(complaints)
///     port, delivery = ports.receive(timeout=5)
///
/// A port that is in a set is received from through the set only (``Busy``). In asyncio: a task for each port, with
/// ``receive_async``, needs no set.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. It is not pickled.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct PortSet(std::sync::Mutex<Members>);

struct Members {
    set: triveni::PortSet,
    ports: Vec<Py<Port>>,
}

impl PortSet {
    fn members(&self) -> Result<MutexGuard<'_, Members>> {
        match self.0.try_lock() {
            Ok(members) => Ok(members),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Busy, "another thread uses the port set; make one for each"))
            }
        }
    }

    fn received(&self, py: Python<'_>, until: Option<Deadline>) -> PyResult<Option<(Py<Port>, Delivery)>> {
        let (size, segment) = {
            let members = call(py, || self.members())?;
            let Some(first) = members.ports.first() else {
                return Err(invalid(py, "the port set is empty; add ports".to_string()));
            };
            (members.set.message_size(), first.get().segment.0.clone())
        };
        let attempt = |scratch: &mut [u8], until| {
            let mut members = self.members()?;
            match until {
                None => members.set.try_receive(scratch),
                Some(until) => members.set.receive_until(scratch, until).map(Some),
            }
        };
        let Some((from, delivery)) = receive(py, &segment, size, until, attempt, |_| None)? else { return Ok(None) };
        let known = call(py, || self.members())?
            .ports
            .iter()
            .find(|port| port.get().port == from)
            .map(|port| port.clone_ref(py));
        let port = match known {
            Some(port) => port,
            None => Py::new(py, Port::new(segment, from))?,
        };
        Ok(Some((port, delivery)))
    }
}

#[pymethods]
impl PortSet {
    #[new]
    fn new(py: Python<'_>) -> PyResult<PortSet> {
        let set = call(py, triveni::PortSet::new)?;
        Ok(PortSet(std::sync::Mutex::new(Members { set, ports: Vec::new() })))
    }

    /// Adds a port, of which this process has the right to receive.
    fn add(&self, py: Python<'_>, port: Py<Port>) -> PyResult<()> {
        call(py, || {
            let mut members = self.members()?;
            members.set.add(&port.get().port)?;
            members.ports.push(port);
            Ok(())
        })
    }

    /// Takes a port out.
    fn remove(&self, py: Python<'_>, port: &Bound<'_, Port>) -> PyResult<()> {
        let wanted = &port.get().port;
        let gone = call(py, || {
            let mut members = self.members()?;
            members.set.remove(wanted)?;
            Ok(members.ports.iter().position(|port| port.get().port == *wanted).map(|at| members.ports.remove(at)))
        })?;
        drop(gone);
        Ok(())
    }

    /// Receives from any of the ports; returns the port and what came. ``TimeoutError`` once ``timeout`` seconds have
    /// passed.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<(Py<Port>, Delivery)> {
        let received = self.received(py, Some(deadline(py, timeout)?))?;
        always(py, received)
    }

    /// Receives from any of the ports, or returns ``None``.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<(Py<Port>, Delivery)>> {
        self.received(py, None)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(call(py, || self.members())?.ports.len())
    }

    fn __bool__(&self) -> bool {
        true
    }
}

/// This process under a name, for messages to and from processes by name.
///
/// ``send(to, message)`` and ``receive_from(sender)``, where both name each other, or ``receive()``, which says who it
/// was. A partner that died raises ``PeerDead``; one that has not started yet is waited for. In asyncio: ``await
/// asyncio.to_thread(process.receive)``.
///
/// ``with`` or ``close()`` gives the name up. Threads: any number. fork: ``Forked`` in the child. It is not pickled.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Process {
    segment: triveni::Segment,
    process: triveni::Process,
}

impl Process {
    pub(crate) fn new(segment: triveni::Segment, process: triveni::Process) -> Process {
        Process { segment, process }
    }
}

#[pymethods]
impl Process {
    /// Sends ``message`` to the process ``to``; waits for room.
    #[pyo3(signature = (to, message, timeout=None))]
    fn send(
        &self,
        py: Python<'_>,
        to: &str,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(message)?;
        let message = input.kept(py);
        waiting(py, until, |until| {
            unless_late(until, self.process.send(to, &message, until.unwrap_or(Deadline::now())))
        })
    }

    /// Receives the oldest message from anybody: ``delivery.sender`` says who sent it.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Delivery> {
        let attempt = |scratch: &mut [u8], until: Option<Deadline>| {
            unless_late(until, self.process.receive(scratch, until.unwrap_or(Deadline::now())))
        };
        let until = Some(deadline(py, timeout)?);
        let received =
            receive(py, &self.segment, self.process.message_size(), until, attempt, |sender| Some(sender.clone()))?;
        always(py, received.map(|(_, delivery)| delivery))
    }

    /// Receives the oldest message from the process ``sender``, and leaves the others where they are. ``PeerDead`` if
    /// there is none and that process died.
    #[pyo3(signature = (sender, timeout=None))]
    fn receive_from(&self, py: Python<'_>, sender: &str, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Delivery> {
        let attempt = |scratch: &mut [u8], until: Option<Deadline>| {
            let end = until.unwrap_or(Deadline::now());
            Ok(unless_late(until, self.process.receive_from(sender, scratch, end))?.map(|delivery| ((), delivery)))
        };
        let until = Some(deadline(py, timeout)?);
        let received =
            receive(py, &self.segment, self.process.message_size(), until, attempt, |()| Some(sender.to_string()))?;
        always(py, received.map(|((), delivery)| delivery))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.process.name()
    }

    /// The port it receives from: for a ``WaitSet``, or to receive notifications on.
    #[getter]
    fn port(&self) -> Port {
        Port::new(self.segment.clone(), self.process.port().clone())
    }

    /// Gives the name up.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || match self.process.port().deallocate() {
            Err(error) if !matches!(error.kind(), ErrorKind::NotOwner | ErrorKind::Removed | ErrorKind::Forked) => {
                Err(error)
            }
            _ => Ok(()),
        })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<triveni.Process {}>", address(&self.segment, self.process.name()))
    }
}
