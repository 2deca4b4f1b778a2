//! What is to be seen from outside, as small frozen objects.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyTuple};
use triveni::Fact;

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
        for (name, fact) in info.state.facts() {
            state.set_item(name, shown(py, name, fact)?)?;
        }
        let kind = info.state.kind().map(triveni::ObjectKind::name);
        Ok(ObjectInfo { name: info.name, kind, size: info.size, attached: info.attached, state: state.unbind() })
    }
}

/// A fact for a ``state``: participants by slot.
fn shown<'py>(py: Python<'py>, name: &str, fact: Fact) -> PyResult<Bound<'py, PyAny>> {
    match fact {
        Fact::Flag(yes) => yes.into_bound_py_any(py),
        Fact::Number(n) => n.into_bound_py_any(py),
        Fact::Text(text) => text.into_bound_py_any(py),
        Fact::Texts(texts) => texts.into_bound_py_any(py),
        Fact::Numbers(numbers) => Ok(PyTuple::new(py, numbers)?.into_any()),
        Fact::Process(slot) => slot.into_bound_py_any(py),
        Fact::Processes(slots) => slots.into_bound_py_any(py),
        Fact::Thread(thread) => thread.map(|(slot, _)| slot).into_bound_py_any(py),
        Fact::Threads(threads) => threads.into_iter().map(|(slot, _)| slot).collect::<Vec<_>>().into_bound_py_any(py),
        // A process reads once in the dict, and subscribes as often as it likes.
        Fact::Counts(counts) if name == "readers" => Ok(counts.into_py_dict(py)?.into_any()),
        Fact::Counts(counts) => counts.into_bound_py_any(py),
        _ => Ok(py.None().into_bound(py)), // a fact that this version does not show
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
