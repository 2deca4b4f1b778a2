//! What is to be seen from outside, as small frozen objects.

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};
use triveni::{Capacity, ObjectState};

/// An object in a segment, as ``Segment.objects()`` saw it.
///
/// ``state`` holds what there is to see of its kind: ``value``, ``max`` and ``leases`` of a semaphore (once for each
/// leased permit that is out, who has it); ``holder``, ``owner_died`` of a mutex and a monitor, also its
/// ``conditions``; ``policy``, ``writer``, ``readers`` (how many reads each has), ``owner_died`` of a readers-writer
/// lock; ``parties``, ``arrived``, ``broken`` of a barrier; ``flags`` of an event; ``capacity``, ``unbounded``,
/// ``message_size``, ``order``, ``len``, ``voided``, ``redelivered``, ``dropped``, ``shut_down`` and ``holders`` (who
/// writes or reads a message in it) of a mailbox; ``size``, ``used``, ``record_size``, ``shut_down``, ``producer``,
/// ``consumer`` of a ring; ``capacity``, ``message_size``, ``policy``, ``published``, ``dropped``, ``evicted``,
/// ``shut_down``, ``publisher``, ``subscribers`` (each with how many messages it is behind), ``max_subscribers`` of a
/// topic; ``calls``, ``request_size``, ``response_size``, ``idempotent``, ``waiting``, ``serving``, ``servers``, ``died``
/// and ``requeued`` (requests over which a server died, and those of them that are served again), ``shut_down`` of a
/// service; ``capacity``, ``message_size``, ``len``, ``receiver``, ``senders`` of a port; ``type_tag``, ``shape``,
/// ``writer``, ``owner_died``, ``version`` of an array; ``size``, ``version``, ``writers``, ``type_tag`` of a cell;
/// ``unreadable`` where the memory holds garbage. Participants are given by slot.
#[pyclass(frozen, module = "triveni", get_all)]
pub(crate) struct ObjectInfo {
    /// Its name.
    name: String,
    /// ``"semaphore"``, ``"mutex"``, ``"monitor"``, ``"rwlock"``, ``"barrier"``, ``"event"``, ``"ring"``, ``"mailbox"``,
    /// ``"topic"``, ``"service"``, ``"port"``, ``"array"``, ``"cell"``; ``None`` where it is unreadable.
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
            ObjectState::Semaphore { value, max, leases } => {
                state.set_item("value", value)?;
                state.set_item("max", max)?;
                state.set_item("leases", leases.into_iter().map(|(slot, _)| slot).collect::<Vec<_>>())?;
            }
            ObjectState::Mutex { holder, owner_died } => {
                state.set_item("holder", holder.map(|(slot, _)| slot))?;
                state.set_item("owner_died", owner_died)?;
            }
            ObjectState::Monitor { holder, owner_died, conditions } => {
                state.set_item("holder", holder.map(|(slot, _)| slot))?;
                state.set_item("owner_died", owner_died)?;
                state.set_item("conditions", conditions)?;
            }
            ObjectState::RwLock { policy, writer, readers, owner_died } => {
                state.set_item("policy", policy.name())?;
                state.set_item("writer", writer.map(|(slot, _)| slot))?;
                state.set_item("readers", readers.into_py_dict(py)?)?;
                state.set_item("owner_died", owner_died)?;
            }
            ObjectState::Barrier { parties, arrived, broken } => {
                state.set_item("parties", parties)?;
                state.set_item("arrived", arrived)?;
                state.set_item("broken", broken)?;
            }
            ObjectState::Event { flags } => state.set_item("flags", flags)?,
            ObjectState::Mailbox {
                capacity,
                message_size,
                order,
                len,
                voided,
                redelivered,
                dropped,
                shut_down,
                holders,
            } => {
                state.set_item("capacity", capacity.most())?;
                state.set_item("unbounded", matches!(capacity, Capacity::Unbounded { .. }))?;
                state.set_item("message_size", message_size)?;
                state.set_item("order", order.name())?;
                state.set_item("len", len)?;
                state.set_item("voided", voided)?;
                state.set_item("redelivered", redelivered)?;
                state.set_item("dropped", dropped)?;
                state.set_item("shut_down", shut_down)?;
                state.set_item("holders", holders)?;
            }
            ObjectState::Port { capacity, message_size, len, receiver, senders } => {
                state.set_item("capacity", capacity)?;
                state.set_item("message_size", message_size)?;
                state.set_item("len", len)?;
                state.set_item("receiver", receiver)?;
                state.set_item("senders", senders)?;
            }
            ObjectState::Ring { size, used, record_size, shut_down, producer, consumer } => {
                state.set_item("size", size)?;
                state.set_item("used", used)?;
                state.set_item("record_size", (record_size > 0).then_some(record_size))?;
                state.set_item("shut_down", shut_down)?;
                state.set_item("producer", producer)?;
                state.set_item("consumer", consumer)?;
            }
            ObjectState::Topic {
                capacity,
                message_size,
                policy,
                published,
                dropped,
                evicted,
                shut_down,
                publisher,
                subscribers,
                max_subscribers,
            } => {
                state.set_item("capacity", capacity)?;
                state.set_item("message_size", message_size)?;
                state.set_item("policy", policy.name())?;
                state.set_item("published", published)?;
                state.set_item("dropped", dropped)?;
                state.set_item("evicted", evicted)?;
                state.set_item("shut_down", shut_down)?;
                state.set_item("publisher", publisher)?;
                state.set_item("subscribers", subscribers)?; // (slot, how many messages it is behind)
                state.set_item("max_subscribers", max_subscribers)?;
            }
            ObjectState::Service {
                calls,
                request_size,
                response_size,
                idempotent,
                waiting,
                serving,
                servers,
                died,
                requeued,
                shut_down,
            } => {
                state.set_item("calls", calls)?;
                state.set_item("request_size", request_size)?;
                state.set_item("response_size", response_size)?;
                state.set_item("idempotent", idempotent)?;
                state.set_item("waiting", waiting)?;
                state.set_item("serving", serving)?;
                state.set_item("servers", servers)?;
                state.set_item("died", died)?;
                state.set_item("requeued", requeued)?;
                state.set_item("shut_down", shut_down)?;
            }
            ObjectState::Array { type_tag, shape, writer, owner_died, version } => {
                state.set_item("type_tag", type_tag)?;
                state.set_item("shape", pyo3::types::PyTuple::new(py, shape)?)?;
                state.set_item("writer", writer.map(|(slot, _)| slot))?;
                state.set_item("owner_died", owner_died)?;
                state.set_item("version", version)?;
            }
            ObjectState::Cell { size, version, writers, type_tag } => {
                state.set_item("size", size)?;
                state.set_item("version", version)?;
                state.set_item("writers", writers)?;
                state.set_item("type_tag", Some(type_tag).filter(|tag| !tag.is_empty()))?;
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

/// Who holds a lock, as ``holder()`` or ``writer()`` saw it.
#[derive(Clone, Copy)]
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

impl Holder {
    /// `pid 7 thread 0`
    pub(crate) fn who(&self) -> String {
        let process = self.pid.map_or(format!("participant {}", self.slot), |pid| format!("pid {pid}"));
        format!("{process} thread {}", self.thread)
    }
}

/// A thread that sleeps until an object lets it go on, as ``Segment.waits()`` saw it.
#[derive(Clone)]
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Wait {
    /// The slot of its process.
    #[pyo3(get)]
    slot: u32,
    /// The pid of its process.
    #[pyo3(get)]
    pid: u32,
    /// The name of its program.
    #[pyo3(get)]
    process: String,
    /// The number of the thread in its process.
    #[pyo3(get)]
    thread: u32,
    /// The thread's id in the system: ``threading.get_native_id()`` there.
    #[pyo3(get)]
    tid: u32,
    /// The name of the object.
    #[pyo3(get)]
    object: String,
    /// The object's kind; ``None`` where it is unreadable.
    #[pyo3(get)]
    kind: Option<&'static str>,
    /// What it sleeps for: ``"permit"``, ``"lock"``, ``"read"``, ``"write"``, ``"condition"``, ``"barrier"``,
    /// ``"flags"``, ``"send"``, ``"receive"``, ``"any"``.
    #[pyo3(get)]
    mode: &'static str,
    /// How many permits, which flags, or how many objects; 0 where that has no meaning.
    #[pyo3(get)]
    count: u32,
    /// The condition's name, where it sleeps for one.
    #[pyo3(get)]
    condition: Option<String>,
    /// For how many seconds it has slept.
    #[pyo3(get)]
    since: f64,
    /// Who is in its way by holding the object. Empty where nobody in particular is.
    #[pyo3(get)]
    blocked_by: Vec<Holder>,
    said: String,
}

impl From<triveni::Wait> for Wait {
    fn from(wait: triveni::Wait) -> Wait {
        Wait {
            slot: wait.slot,
            pid: wait.pid,
            thread: wait.thread,
            tid: wait.tid,
            kind: wait.kind.map(triveni::ObjectKind::name),
            mode: wait.mode.name(),
            count: wait.count,
            since: wait.since.as_secs_f64(),
            said: wait.to_string(),
            process: wait.process,
            object: wait.object,
            condition: wait.condition,
            blocked_by: wait.blocked_by.into_iter().map(Holder::from).collect(),
        }
    }
}

#[pymethods]
impl Wait {
    fn __str__(&self) -> &str {
        &self.said
    }

    fn __repr__(&self) -> String {
        let blockers: Vec<String> = self.blocked_by.iter().map(Holder::who).collect();
        let blocked = if blockers.is_empty() { String::new() } else { format!(", held by {}", blockers.join(", ")) };
        format!("<{} since {:.3} s{blocked}>", self.said, self.since)
    }
}

/// Threads that wait for each other in a circle, as ``Segment.deadlocks()`` saw them. ``str()`` tells it in a sentence.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct DeadlockInfo {
    /// The waits; each is blocked by the thread of the next one, the last by that of the first.
    #[pyo3(get)]
    cycle: Vec<Wait>,
    /// The sentence that ``str()`` gives.
    said: String,
}

impl From<triveni::Deadlock> for DeadlockInfo {
    fn from(deadlock: triveni::Deadlock) -> DeadlockInfo {
        let said = deadlock.to_string();
        DeadlockInfo { cycle: deadlock.cycle.into_iter().map(Wait::from).collect(), said }
    }
}

#[pymethods]
impl DeadlockInfo {
    fn __str__(&self) -> &str {
        &self.said
    }

    fn __repr__(&self) -> String {
        format!("<deadlock: {}>", self.said)
    }
}
