//! What is to be seen from outside, as small frozen objects.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use triveni::ObjectState;

/// An object in a segment, as ``Segment.objects()`` saw it.
///
/// ``state`` holds what there is to see of its kind: ``value`` of a semaphore; ``holder``, ``owner_died`` of a
/// mutex; ``capacity``, ``message_size``, ``len``, ``voided``, ``redelivered`` of a mailbox; ``size``, ``used``,
/// ``producer``, ``consumer`` of a ring; ``unreadable`` where the memory holds garbage. Participants are
/// given by slot.
#[pyclass(frozen, module = "triveni", get_all)]
pub(crate) struct ObjectInfo {
    /// Its name.
    name: String,
    /// ``"semaphore"``, ``"mutex"``, ``"mailbox"``, ``"ring"``; ``None`` where it is unreadable.
    kind: Option<&'static str>,
    /// Bytes it occupies, with its header.
    size: usize,
    /// Pids of the processes that have it open.
    attached: Vec<u32>,
    /// What is in it.
    state: Py<PyDict>,
}

impl ObjectInfo {
    pub(crate) fn new(py: Python<'_>, info: triveni::ObjectInfo) -> PyResult<ObjectInfo> {
        let state = PyDict::new(py);
        let kind = info.state.kind().map(triveni::ObjectKind::name);
        match info.state {
            ObjectState::Semaphore { value, .. } => state.set_item("value", value)?,
            ObjectState::Mutex { holder, owner_died } => {
                state.set_item("holder", holder.map(|(slot, _)| slot))?;
                state.set_item("owner_died", owner_died)?;
            }
            ObjectState::Mailbox { capacity, message_size, len, voided, redelivered } => {
                state.set_item("capacity", capacity)?;
                state.set_item("message_size", message_size)?;
                state.set_item("len", len)?;
                state.set_item("voided", voided)?;
                state.set_item("redelivered", redelivered)?;
            }
            ObjectState::Ring { size, used, producer, consumer } => {
                state.set_item("size", size)?;
                state.set_item("used", used)?;
                state.set_item("producer", producer)?;
                state.set_item("consumer", consumer)?;
            }
            ObjectState::Unreadable(reason) => state.set_item("unreadable", reason)?,
            _ => {} // a kind that this version shows by name and size only
        }
        Ok(ObjectInfo { name: info.name, kind, size: info.size, attached: info.attached, state: state.unbind() })
    }
}

#[pymethods]
impl ObjectInfo {
    fn __repr__(&self, py: Python<'_>) -> String {
        let facts: Vec<String> = self.state.bind(py).iter().map(|(fact, value)| format!("{fact} {value}")).collect();
        format!("<{} '{}' {}>", self.kind.unwrap_or("object"), self.name, facts.join(", "))
    }
}

/// A process that takes part in a segment, as ``Segment.participants()`` saw it.
#[pyclass(frozen, module = "triveni", get_all)]
pub(crate) struct ParticipantInfo {
    /// Its number, from 1.
    slot: u32,
    /// Its pid, in the pid namespace it lives in.
    pid: u32,
    /// Its user.
    uid: u32,
    /// The name of its program.
    name: String,
    /// ``False``: dead, and not swept yet.
    alive: bool,
    /// When it joined, in seconds since 1970.
    since: f64,
}

impl From<triveni::ParticipantInfo> for ParticipantInfo {
    fn from(info: triveni::ParticipantInfo) -> ParticipantInfo {
        let triveni::ParticipantInfo { slot, pid, uid, name, alive, since } = info;
        ParticipantInfo { slot, pid, uid, name, alive, since }
    }
}

#[pymethods]
impl ParticipantInfo {
    fn __repr__(&self) -> String {
        let ParticipantInfo { slot, pid, name, .. } = self;
        format!("<participant {slot} '{name}' pid {pid} {}>", if self.alive { "alive" } else { "dead" })
    }
}

/// Who holds a mutex, as ``Mutex.holder()`` saw it.
#[pyclass(frozen, module = "triveni", get_all)]
pub(crate) struct Holder {
    /// Its number among the participants.
    slot: u32,
    /// Its pid, if that is known.
    pid: Option<u32>,
    /// The number of the thread in its process.
    thread: u32,
}

impl From<triveni::Holder> for Holder {
    fn from(holder: triveni::Holder) -> Holder {
        Holder { slot: holder.slot, pid: holder.pid, thread: holder.thread }
    }
}

#[pymethods]
impl Holder {
    fn __repr__(&self) -> String {
        let Holder { slot, thread, .. } = self;
        let pid = self.pid.map_or("unknown".to_string(), |pid| pid.to_string());
        format!("<holder pid {pid}, thread {thread}, participant {slot}>")
    }
}
