//! A segment: one piece of shared memory with named objects in it.

mod html;
pub(crate) mod info;
pub(crate) mod watch;

use crate::channel::mailbox::{self, Mailbox};
use crate::channel::port::{Port, Process};
use crate::channel::ring::{Ring, packed_options, ring_options};
use crate::channel::service::{self, Service};
use crate::channel::topic::{Topic, Wished};
use crate::data::array::{self, Array};
use crate::data::cell::{self, Cell};
use crate::data::types::Type;
use crate::error::{call, count, detached, invalid, to_py, whole};
use crate::sync::monitor::{Condition, Monitor};
use crate::sync::{barrier::Barrier, event::Event, mutex::Mutex, rwlock, rwlock::RwLock, semaphore::Semaphore};
use info::{DeadlockInfo, ObjectInfo, ParticipantInfo, Wait};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::PoisonError;
use triveni::{Error, ErrorKind, SemaphoreOptions, Stale};
use watch::Watcher;

/// Bytes of a packed record, as said or as the type has them.
fn record_size_of<'py>(py: Python<'py>, said: Option<&Bound<'py, PyAny>>, typed: &Type) -> PyResult<Bound<'py, PyAny>> {
    match (said, typed.size(py)?) {
        (Some(said), _) => Ok(said.clone()),
        (None, Some(size)) => size.into_bound_py_any(py),
        (None, None) => Err(PyTypeError::new_err("a ring of packed records: give record_size or type")),
    }
}

/// One piece of shared memory with named objects in it, shared with Rust and C processes.
///
/// Make one with ``Segment.create("lab")``, find it with ``Segment.open("lab")``, or do either with
/// ``Segment.open_or_create("lab")``. ``seg.mailbox("m")``, ``seg.ring("r")``, ``seg.mutex("l")``,
/// ``seg.semaphore("s")``, ``seg.monitor("o")``, ``seg.rwlock("w")``, ``seg.barrier("b", 3)`` and ``seg.event("e")``
/// find or create the objects in it. ``seg.objects()``, ``seg.participants()``, ``seg.waits()`` and
/// ``seg.deadlocks()`` show what goes on; in a notebook the segment shows it itself.
///
/// ``with`` closes; closing twice is fine. Closing lets go of this handle only: objects taken from it go on
/// working, and the name stays until ``Segment.unlink(name)``.
///
/// Threads: any number may use one segment at once. fork: the child goes on using it, as a participant of
/// its own. pickle: by name, for ``multiprocessing``; an anonymous or unlinked segment refuses.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Segment {
    open: std::sync::RwLock<Option<Open>>,
    name: Option<String>,
}

struct Open {
    segment: triveni::Segment,
    /// What `fileno` answers, made when it is first asked for.
    descriptor: Option<OwnedFd>,
}

impl Segment {
    fn new(segment: triveni::Segment) -> Segment {
        let name = segment.name().map(str::to_string);
        Segment { open: std::sync::RwLock::new(Some(Open { segment, descriptor: None })), name }
    }

    /// Finds or makes an object, with the interpreter released.
    fn object<T: Send, P>(
        &self,
        py: Python<'_>,
        found: impl FnOnce(&triveni::Segment) -> triveni::Result<T> + Send,
        object: impl FnOnce(triveni::Segment, T) -> P,
    ) -> PyResult<P> {
        let segment = self.segment(py)?;
        let found = detached(py, || found(&segment))?;
        Ok(object(segment, found))
    }

    fn segment(&self, py: Python<'_>) -> PyResult<triveni::Segment> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| open.segment.clone()).ok_or_else(|| closed(py, self.name.as_deref()))
    }
}

#[cold]
fn closed(py: Python<'_>, name: Option<&str>) -> PyErr {
    let again = name.map_or(String::new(), |name| format!("; Segment.open({name:?}) opens it again"));
    invalid(py, format!("the segment is closed{again}"))
}

/// An object's address, for people: `'lab/TEMP_MONITOR'`.
pub(crate) fn address(segment: &triveni::Segment, object: &str) -> String {
    format!("'{}/{object}'", segment.name().unwrap_or("(anonymous)"))
}

/// What pickle stores of an object: `_reopen`, and its arguments: kind, segment's name, object's name.
pub(crate) type Reduced = (Py<PyAny>, (&'static str, String, String));

pub(crate) fn reduce(
    py: Python<'_>,
    segment: &triveni::Segment,
    kind: &'static str,
    object: &str,
) -> PyResult<Reduced> {
    let name = name_for_pickle(py, segment)?;
    let reopen = py.import("triveni._triveni")?.getattr("_reopen")?;
    Ok((reopen.unbind(), (kind, name, object.to_string())))
}

pub(crate) fn name_for_pickle(py: Python<'_>, segment: &triveni::Segment) -> PyResult<String> {
    match segment.name() {
        None => {
            Err(invalid(py, "an anonymous segment has no name to pickle it by; pass fd() over a Unix socket, or fork"))
        }
        Some(name) if segment.is_unlinked() => Err(invalid(
            py,
            format!("segment {name:?} was unlinked: nobody could open it by that name; pickle before unlink"),
        )),
        Some(name) => Ok(name.to_string()),
    }
}

/// Opens an object by its names: what an unpickled object is made with.
#[pyfunction]
#[pyo3(name = "_reopen")]
pub(crate) fn reopen(py: Python<'_>, kind: &str, segment: &str, name: &str) -> PyResult<Py<PyAny>> {
    let segment = Segment::new(detached(py, || triveni::Segment::open(segment))?);
    fn object<'py>(py: Python<'py>, found: PyResult<impl IntoPyObject<'py>>) -> PyResult<Py<PyAny>> {
        found?.into_py_any(py)
    }
    match kind {
        "semaphore" => object(py, segment.open_semaphore(py, name)),
        "mutex" => object(py, segment.open_mutex(py, name)),
        "monitor" => object(py, segment.open_monitor(py, name)),
        "condition" => object(py, Condition::reopen(py, &segment, name)),
        "rwlock" => object(py, segment.open_rwlock(py, name)),
        "barrier" => object(py, segment.open_barrier(py, name)),
        "event" => object(py, segment.open_event(py, name)),
        "mailbox" => object(py, segment.open_mailbox(py, name, None)),
        "ring" => object(py, segment.open_ring(py, name)),
        "topic" => object(py, segment.open_topic(py, name, None)),
        "service" => object(py, segment.open_service(py, name, None)),
        "array" => object(py, segment.open_array(py, name, None)),
        other => Err(invalid(py, format!("no kind of object is called {other:?}; this pickle is of another version"))),
    }
}

/// How often find-or-create starts over when others remove what was found, or create what was not.
const ROUNDS: usize = 64;

/// Opens the object, or creates it if there is none; others may do and undo the same meanwhile.
fn find_or_create<T>(
    open: impl Fn() -> triveni::Result<T>,
    create: impl Fn() -> triveni::Result<T>,
) -> triveni::Result<T> {
    let mut last = Error::from(ErrorKind::NotFound);
    for _ in 0..ROUNDS {
        match open() {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        match create() {
            Err(e) if e.kind() == ErrorKind::Exists => last = e,
            made => return made,
        }
    }
    Err(last)
}

fn size_or_default(size: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    size.map_or(Ok(triveni::Segment::DEFAULT_SIZE), |size| whole("size", size))
}

fn mode_or_default(mode: Option<&Bound<'_, PyAny>>) -> PyResult<u32> {
    let Some(mode) = mode else { return Ok(0o600) };
    match u32::try_from(whole("mode", mode)?) {
        Ok(bits) if bits <= 0o777 => Ok(bits),
        _ => Err(invalid(mode.py(), format!("mode {mode} is no access mode; give one from 0o600 to 0o777"))),
    }
}

fn stale_or_default(py: Python<'_>, stale: &str) -> PyResult<Stale> {
    match stale {
        "recover" => Ok(Stale::Recover),
        "recreate" => Ok(Stale::Recreate),
        "fail" => Ok(Stale::Fail),
        other => Err(invalid(py, format!("stale {other:?} is no policy; give \"recover\", \"recreate\" or \"fail\""))),
    }
}

#[pymethods]
impl Segment {
    /// Makes a new segment of ``size`` bytes (64 MiB unless given; only what objects use is ever committed).
    ///
    /// ``mode`` is the access mode of the file ``/dev/shm/triveni.NAME``; ``max_participants`` and ``max_objects``
    /// bound its tables. ``detect_deadlocks``: who is about to close a circle of threads that wait for each other's
    /// locks gets ``Deadlock`` instead of waiting. ``FileExistsError`` if the name is taken.
    #[staticmethod]
    #[pyo3(signature = (name, size=None, mode=None, *, max_participants=None, max_objects=None, detect_deadlocks=false),
           text_signature = "(name, size=67108864, mode=384, *, max_participants=64, max_objects=256, \
                             detect_deadlocks=False)")]
    fn create(
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        max_participants: Option<&Bound<'_, PyAny>>,
        max_objects: Option<&Bound<'_, PyAny>>,
        detect_deadlocks: bool,
    ) -> PyResult<Segment> {
        let size = size_or_default(size)?;
        let options = tables(max_participants, max_objects, detect_deadlocks)?.mode(mode_or_default(mode)?);
        detached(py, || options.create(name, size)).map(Segment::new)
    }

    /// Opens an existing segment. ``FileNotFoundError`` if there is none.
    ///
    /// If everybody in it died, ``stale`` decides: ``"recover"`` puts right what they left and keeps the data,
    /// ``"recreate"`` removes it and raises ``FileNotFoundError``, ``"fail"`` raises ``PeerDead``. A segment of
    /// another user is opened only with a ``mode`` that admits others, ``0o666`` say: it can deny you service.
    #[staticmethod]
    #[pyo3(signature = (name, *, stale="recover", mode=None), text_signature = "(name, *, stale='recover', mode=384)")]
    fn open(py: Python<'_>, name: &str, stale: &str, mode: Option<&Bound<'_, PyAny>>) -> PyResult<Segment> {
        let options = triveni::Segment::options().stale(stale_or_default(py, stale)?).mode(mode_or_default(mode)?);
        detached(py, || options.open(name)).map(Segment::new)
    }

    /// Opens the segment, or makes it. All but ``stale`` counts only if it is made.
    ///
    /// If everybody in it died, ``stale`` decides: ``"recover"`` puts right what they left and keeps the data,
    /// ``"recreate"`` removes it and makes a new one, ``"fail"`` raises ``PeerDead``.
    #[staticmethod]
    #[pyo3(signature = (name, size=None, mode=None, *, stale="recover", max_participants=None, max_objects=None,
                        detect_deadlocks=false),
           text_signature = "(name, size=67108864, mode=384, *, stale='recover', max_participants=64, max_objects=256, \
                             detect_deadlocks=False)")]
    #[allow(clippy::too_many_arguments)]
    fn open_or_create(
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
        stale: &str,
        max_participants: Option<&Bound<'_, PyAny>>,
        max_objects: Option<&Bound<'_, PyAny>>,
        detect_deadlocks: bool,
    ) -> PyResult<Segment> {
        let size = size_or_default(size)?;
        let options = tables(max_participants, max_objects, detect_deadlocks)?
            .stale(stale_or_default(py, stale)?)
            .mode(mode_or_default(mode)?);
        detached(py, || options.open_or_create(name, size)).map(Segment::new)
    }

    /// A segment without a name: sealed memory, inherited over ``fork`` or passed on by ``fd()``.
    #[staticmethod]
    #[pyo3(signature = (size=None, *, max_participants=None, max_objects=None, detect_deadlocks=false),
           text_signature = "(size=67108864, *, max_participants=64, max_objects=256, detect_deadlocks=False)")]
    fn anonymous(
        py: Python<'_>,
        size: Option<&Bound<'_, PyAny>>,
        max_participants: Option<&Bound<'_, PyAny>>,
        max_objects: Option<&Bound<'_, PyAny>>,
        detect_deadlocks: bool,
    ) -> PyResult<Segment> {
        let size = size_or_default(size)?;
        let options = tables(max_participants, max_objects, detect_deadlocks)?;
        detached(py, || options.anonymous(size)).map(Segment::new)
    }

    /// A segment that somebody sent as a descriptor: a number, or anything with ``fileno()``.
    ///
    /// It is opened anew; the descriptor stays the caller's. One of another user is opened only with a ``mode`` that
    /// admits others.
    #[staticmethod]
    #[pyo3(signature = (fd, *, mode=None), text_signature = "(fd, *, mode=384)")]
    fn from_fd(py: Python<'_>, fd: &Bound<'_, PyAny>, mode: Option<&Bound<'_, PyAny>>) -> PyResult<Segment> {
        let options = triveni::Segment::options().mode(mode_or_default(mode)?);
        let number = descriptor(fd)?;
        // SAFETY: `number` is not negative. It is used during this call only. If it is not open, or not a segment's,
        // opening it anew reports that; nothing is read or closed through it.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        detached(py, || options.from_fd(borrowed)).map(Segment::new)
    }

    /// Removes the name. Who has the segment open goes on; the memory goes with the last one.
    #[staticmethod]
    fn unlink(py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || triveni::Segment::unlink(name))
    }

    /// The names of all segments on this machine that this user may see.
    #[staticmethod]
    fn list(py: Python<'_>) -> PyResult<Vec<String>> {
        detached(py, triveni::Segment::list)
    }

    /// Finds or creates a semaphore. ``initial`` permits count only if it is created.
    ///
    /// ``max`` is the most permits it holds, 1 for a binary one. ``leased=True``: its ``initial`` permits belong to the
    /// thread that took them and come back when that ends; there are never more. ``max`` and ``leased``, as far as
    /// they are given, must agree with a semaphore that exists already, else ``Incompatible``.
    #[pyo3(signature = (name, initial=None, *, max=None, leased=None),
           text_signature = "($self, name, initial=0, *, max=2147483647, leased=False)")]
    fn semaphore(
        &self,
        py: Python<'_>,
        name: &str,
        initial: Option<&Bound<'_, PyAny>>,
        max: Option<&Bound<'_, PyAny>>,
        leased: Option<bool>,
    ) -> PyResult<Semaphore> {
        let permits = Permits::of(initial, max, leased)?;
        let options = permits.options(py, name)?;
        let found = |segment: &triveni::Segment| {
            find_or_create(
                || permits.agreeing(segment, segment.open_semaphore(name)?),
                || segment.create_semaphore_with(name, options),
            )
        };
        self.object(py, found, Semaphore::new)
    }

    /// Creates a semaphore, as ``semaphore`` does. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, initial=None, *, max=None, leased=None),
           text_signature = "($self, name, initial=0, *, max=2147483647, leased=False)")]
    fn create_semaphore(
        &self,
        py: Python<'_>,
        name: &str,
        initial: Option<&Bound<'_, PyAny>>,
        max: Option<&Bound<'_, PyAny>>,
        leased: Option<bool>,
    ) -> PyResult<Semaphore> {
        let options = Permits::of(initial, max, leased)?.options(py, name)?;
        self.object(py, |segment| segment.create_semaphore_with(name, options), Semaphore::new)
    }

    /// Opens a semaphore of whatever kind. ``FileNotFoundError`` if there is none.
    fn open_semaphore(&self, py: Python<'_>, name: &str) -> PyResult<Semaphore> {
        self.object(py, |segment| segment.open_semaphore(name), Semaphore::new)
    }

    /// Finds or creates a mutex.
    fn mutex(&self, py: Python<'_>, name: &str) -> PyResult<Mutex> {
        self.object(py, |segment| segment.mutex(name), Mutex::new)
    }

    /// Creates a mutex. ``FileExistsError`` if there is one.
    fn create_mutex(&self, py: Python<'_>, name: &str) -> PyResult<Mutex> {
        self.object(py, |segment| segment.create_mutex(name), Mutex::new)
    }

    /// Opens a mutex. ``FileNotFoundError`` if there is none.
    fn open_mutex(&self, py: Python<'_>, name: &str) -> PyResult<Mutex> {
        self.object(py, |segment| segment.open_mutex(name), Mutex::new)
    }

    /// Finds or creates a monitor.
    fn monitor(&self, py: Python<'_>, name: &str) -> PyResult<Monitor> {
        self.object(py, |segment| segment.monitor(name), Monitor::new)
    }

    /// Creates a monitor. ``FileExistsError`` if there is one.
    fn create_monitor(&self, py: Python<'_>, name: &str) -> PyResult<Monitor> {
        self.object(py, |segment| segment.create_monitor(name), Monitor::new)
    }

    /// Opens a monitor. ``FileNotFoundError`` if there is none.
    pub(crate) fn open_monitor(&self, py: Python<'_>, name: &str) -> PyResult<Monitor> {
        self.object(py, |segment| segment.open_monitor(name), Monitor::new)
    }

    /// Finds or creates a readers-writer lock: ``"writers first"``, ``"readers first"`` or ``"fair"``.
    ///
    /// A policy that is given must agree with a lock that exists already, else ``Incompatible``.
    #[pyo3(signature = (name, policy=None), text_signature = "($self, name, policy='writers first')")]
    fn rwlock(&self, py: Python<'_>, name: &str, policy: Option<&str>) -> PyResult<RwLock> {
        let policy = policy.map(|policy| rwlock::policy(py, policy)).transpose()?;
        let found = |segment: &triveni::Segment| match policy {
            Some(policy) => segment.rwlock(name, policy),
            None => find_or_create(
                || segment.open_rwlock(name),
                || segment.create_rwlock(name, triveni::RwPolicy::default()),
            ),
        };
        self.object(py, found, RwLock::new)
    }

    /// Creates a readers-writer lock. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, policy="writers first"))]
    fn create_rwlock(&self, py: Python<'_>, name: &str, policy: &str) -> PyResult<RwLock> {
        let policy = rwlock::policy(py, policy)?;
        self.object(py, |segment| segment.create_rwlock(name, policy), RwLock::new)
    }

    /// Opens a readers-writer lock of whatever policy. ``FileNotFoundError`` if there is none.
    fn open_rwlock(&self, py: Python<'_>, name: &str) -> PyResult<RwLock> {
        self.object(py, |segment| segment.open_rwlock(name), RwLock::new)
    }

    /// Finds or creates a barrier for ``parties`` threads. ``Incompatible`` if there is one for another number.
    fn barrier(&self, py: Python<'_>, name: &str, parties: &Bound<'_, PyAny>) -> PyResult<Barrier> {
        let parties = count("parties", parties)?;
        self.object(py, |segment| segment.barrier(name, parties), Barrier::new)
    }

    /// Creates a barrier for ``parties`` threads. ``FileExistsError`` if there is one.
    fn create_barrier(&self, py: Python<'_>, name: &str, parties: &Bound<'_, PyAny>) -> PyResult<Barrier> {
        let parties = count("parties", parties)?;
        self.object(py, |segment| segment.create_barrier(name, parties), Barrier::new)
    }

    /// Opens a barrier for whatever number of threads. ``FileNotFoundError`` if there is none.
    fn open_barrier(&self, py: Python<'_>, name: &str) -> PyResult<Barrier> {
        self.object(py, |segment| segment.open_barrier(name), Barrier::new)
    }

    /// Finds or creates 32 event flags. ``initial`` counts only if they are created.
    #[pyo3(signature = (name, initial=None), text_signature = "($self, name, initial=0)")]
    fn event(&self, py: Python<'_>, name: &str, initial: Option<&Bound<'_, PyAny>>) -> PyResult<Event> {
        let initial = initial.map_or(Ok(0), |initial| count("initial", initial))?;
        self.object(py, |segment| segment.event(name, initial), Event::new)
    }

    /// Creates 32 event flags. ``FileExistsError`` if there are some.
    #[pyo3(signature = (name, initial=None), text_signature = "($self, name, initial=0)")]
    fn create_event(&self, py: Python<'_>, name: &str, initial: Option<&Bound<'_, PyAny>>) -> PyResult<Event> {
        let initial = initial.map_or(Ok(0), |initial| count("initial", initial))?;
        self.object(py, |segment| segment.create_event(name, initial), Event::new)
    }

    /// Opens event flags. ``FileNotFoundError`` if there are none.
    fn open_event(&self, py: Python<'_>, name: &str) -> PyResult<Event> {
        self.object(py, |segment| segment.open_event(name), Event::new)
    }

    /// Finds or creates a mailbox for up to ``capacity`` messages of up to ``message_size`` bytes. With capacity 0 a send
    /// returns when a receiver has the message. ``order`` is ``"fifo"`` or ``"priority"``; ``unbounded=True`` makes the
    /// capacity a ceiling, where senders get an error instead of waiting; after ``max_deliveries`` receivers had a
    /// message in vain it is dropped (0: never). ``type`` says what messages are (a numpy dtype, a ctypes class, a
    /// ``struct.Struct``, a dataclass, a PEP 3118 format), and how large, unless ``message_size`` does. They are bytes in
    /// and out all the same: numpy and ctypes values can be sent as they are, ``triveni.type_of(type)`` packs and unpacks.
    ///
    /// What is given must agree with a mailbox that exists already, else ``Incompatible``; what is not given
    /// is taken as it is there, and has these defaults where the mailbox is made.
    #[pyo3(signature = (name, capacity=None, message_size=None, *, order=None, unbounded=None, max_deliveries=None, r#type=None, type_tag=None),
           text_signature = "($self, name, capacity=10, message_size=256, *, order='fifo', unbounded=False, max_deliveries=0, type=None, type_tag=None)")]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn mailbox(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        order: Option<&str>,
        unbounded: Option<bool>,
        max_deliveries: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Mailbox> {
        let wished = mailbox::Wished::of(
            py,
            name,
            [capacity, message_size, max_deliveries],
            order,
            unbounded,
            r#type,
            type_tag,
        )?;
        let found =
            |segment: &triveni::Segment| find_or_create(|| wished.open(segment, name), || wished.create(segment, name));
        self.object(py, found, Mailbox::new)
    }

    /// Creates a mailbox. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, capacity=None, message_size=None, *, order=None, unbounded=None, max_deliveries=None, r#type=None, type_tag=None),
           text_signature = "($self, name, capacity=10, message_size=256, *, order='fifo', unbounded=False, max_deliveries=0, type=None, type_tag=None)")]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn create_mailbox(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        order: Option<&str>,
        unbounded: Option<bool>,
        max_deliveries: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Mailbox> {
        let wished = mailbox::Wished::of(
            py,
            name,
            [capacity, message_size, max_deliveries],
            order,
            unbounded,
            r#type,
            type_tag,
        )?;
        self.object(py, |segment| wished.create(segment, name), Mailbox::new)
    }

    /// Opens a mailbox of whatever geometry. ``FileNotFoundError`` if there is none, ``Incompatible``
    /// if it was made with another ``type``.
    #[pyo3(signature = (name, *, r#type=None))]
    fn open_mailbox(&self, py: Python<'_>, name: &str, r#type: Option<&Bound<'_, PyAny>>) -> PyResult<Mailbox> {
        let wished = mailbox::Wished::of(py, name, [None; 3], None, None, r#type, None)?;
        self.object(py, |segment| wished.open(segment, name), Mailbox::new)
    }

    /// Finds or makes a port, and takes the right to receive from it: ``Busy`` if a live process has it. A port whose
    /// receiver died is taken over, with the messages that nobody has received.
    ///
    /// What is given must agree with a port that exists already, else ``Incompatible``.
    #[pyo3(signature = (name, capacity=None, message_size=None),
           text_signature = "($self, name, capacity=8, message_size=1024)")]
    fn port(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Port> {
        let options = port_options(capacity, message_size)?;
        let given = capacity.is_some() || message_size.is_some();
        let found = |segment: &triveni::Segment| match given {
            true => segment.port_with(name, options),
            false => segment.port(name),
        };
        self.object(py, found, Port::new)
    }

    /// Makes a port, and takes the right to receive from it. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, capacity=None, message_size=None),
           text_signature = "($self, name, capacity=8, message_size=1024)")]
    fn create_port(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Port> {
        let options = port_options(capacity, message_size)?;
        self.object(py, |segment| segment.create_port_with(name, options), Port::new)
    }

    /// Opens a port of whatever geometry, with a new right to send to it. ``FileNotFoundError`` if there is none.
    fn open_port(&self, py: Python<'_>, name: &str) -> PyResult<Port> {
        self.object(py, |segment| segment.open_port(name), Port::new)
    }

    /// Takes a name for this process, to send and receive messages by name: ``Busy`` if a live process has it.
    #[pyo3(signature = (name, capacity=None, message_size=None),
           text_signature = "($self, name, capacity=8, message_size=1024)")]
    fn process(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Process> {
        let options = port_options(capacity, message_size)?;
        self.object(py, |segment| segment.process_with(name, options), Process::new)
    }

    /// Finds or creates a ring of ``size`` bytes, rounded up to a power of two, for records of any size.
    ///
    /// ``size`` is 8 MiB, or an eighth of the segment if that is less, unless given. ``exact_wake=True``: who is about to
    /// sleep is never overlooked for a slice of up to 16 ms; writing costs about twice as much. ``type``, or
    /// ``type_tag`` as a PEP 3118 format: what its records are; bytes all the same, as for ``mailbox``. What is given must agree with a ring that exists already, else ``Incompatible``.
    #[pyo3(signature = (name, size=None, *, exact_wake=false, r#type=None, type_tag=None))]
    fn ring(
        &self,
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        exact_wake: bool,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Ring> {
        let typed = Type::given(py, ("ring", name), r#type, type_tag)?;
        let options = ring_options(size, exact_wake, Some(&typed.tag))?;
        self.object(py, |segment| segment.ring_with(name, options), Ring::new)
    }

    /// Creates a ring, as ``ring`` does. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, size=None, *, exact_wake=false, r#type=None, type_tag=None))]
    fn create_ring(
        &self,
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        exact_wake: bool,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Ring> {
        let typed = Type::given(py, ("ring", name), r#type, type_tag)?;
        let options = ring_options(size, exact_wake, Some(&typed.tag))?;
        self.object(py, |segment| segment.create_ring_with(name, options), Ring::new)
    }

    /// Finds or creates a ring of packed records, all of ``record_size`` bytes: back to back, so that a batch is one buffer.
    ///
    /// ``capacity`` records, rounded up to a power of two; unless given, as many as a ring has bytes by default. The size
    /// may be left to ``type``.
    /// Otherwise as ``ring``.
    #[pyo3(signature = (name, record_size=None, capacity=None, *, exact_wake=false, r#type=None, type_tag=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn ring_of(
        &self,
        py: Python<'_>,
        name: &str,
        record_size: Option<&Bound<'_, PyAny>>,
        capacity: Option<&Bound<'_, PyAny>>,
        exact_wake: bool,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Ring> {
        let typed = Type::given(py, ("ring", name), r#type, type_tag)?;
        let record_size = record_size_of(py, record_size, &typed)?;
        let options = packed_options(&record_size, capacity, exact_wake, Some(&typed.tag))?;
        self.object(py, |segment| segment.ring_with(name, options), Ring::new)
    }

    /// Creates a ring of packed records, as ``ring_of`` does. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, record_size=None, capacity=None, *, exact_wake=false, r#type=None, type_tag=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn create_ring_of(
        &self,
        py: Python<'_>,
        name: &str,
        record_size: Option<&Bound<'_, PyAny>>,
        capacity: Option<&Bound<'_, PyAny>>,
        exact_wake: bool,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Ring> {
        let typed = Type::given(py, ("ring", name), r#type, type_tag)?;
        let record_size = record_size_of(py, record_size, &typed)?;
        let options = packed_options(&record_size, capacity, exact_wake, Some(&typed.tag))?;
        self.object(py, |segment| segment.create_ring_with(name, options), Ring::new)
    }

    /// Opens a ring of whatever size and records. ``FileNotFoundError`` if there is none.
    fn open_ring(&self, py: Python<'_>, name: &str) -> PyResult<Ring> {
        self.object(py, |segment| segment.open_ring(name), Ring::new)
    }

    /// Finds or creates a topic that keeps ``capacity`` messages of up to ``message_size`` bytes, for up to ``subscribers``
    /// subscribers at the same time.
    ///
    /// ``policy`` is ``"block"``, ``"drop oldest"`` or ``"drop newest"``; a live subscriber that is in the publisher's way for
    /// ``evict_after`` seconds is put out. ``type`` says what messages are, as for ``mailbox``. What is given must agree with a topic that exists already, else
    /// ``Incompatible``; what is not given is taken as it is there, and has these defaults where the topic is made.
    #[pyo3(signature = (name, capacity=None, message_size=None, *, policy=None, subscribers=None, evict_after=None, r#type=None, type_tag=None),
           text_signature = "($self, name, capacity=16, message_size=256, *, policy='block', subscribers=16, evict_after=None, type=None, type_tag=None)")]
    #[allow(clippy::too_many_arguments)] // they are Python's, by name
    fn topic(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        policy: Option<&str>,
        subscribers: Option<&Bound<'_, PyAny>>,
        evict_after: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Topic> {
        let wished =
            Wished::of(py, name, [capacity, message_size, subscribers], policy, evict_after, r#type, type_tag)?;
        let found =
            |segment: &triveni::Segment| find_or_create(|| wished.open(segment, name), || wished.create(segment, name));
        self.object(py, found, Topic::new)
    }

    /// Creates a topic. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, capacity=None, message_size=None, *, policy=None, subscribers=None, evict_after=None, r#type=None, type_tag=None),
           text_signature = "($self, name, capacity=16, message_size=256, *, policy='block', subscribers=16, evict_after=None, type=None, type_tag=None)")]
    #[allow(clippy::too_many_arguments)] // they are Python's, by name
    fn create_topic(
        &self,
        py: Python<'_>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        message_size: Option<&Bound<'_, PyAny>>,
        policy: Option<&str>,
        subscribers: Option<&Bound<'_, PyAny>>,
        evict_after: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Topic> {
        let wished =
            Wished::of(py, name, [capacity, message_size, subscribers], policy, evict_after, r#type, type_tag)?;
        self.object(py, |segment| wished.create(segment, name), Topic::new)
    }

    /// Opens a topic, whatever it is like. ``FileNotFoundError`` if there is none, ``Incompatible``
    /// if it was made with another ``type``.
    #[pyo3(signature = (name, *, r#type=None))]
    fn open_topic(&self, py: Python<'_>, name: &str, r#type: Option<&Bound<'_, PyAny>>) -> PyResult<Topic> {
        let wished = Wished::of(py, name, [None; 3], None, None, r#type, None)?;
        self.object(py, |segment| wished.open(segment, name), Topic::new)
    }

    /// Finds or creates a service for requests of up to ``request_size`` and answers of up to ``response_size`` bytes.
    ///
    /// ``calls`` are the most calls at once. With ``idempotent=True`` a request is served again whose server died over it.
    /// ``type=(request, response)`` says what they are, and how large, unless the sizes do; both are bytes in and out all
    /// the same, as for ``mailbox``. ``type_tag`` says it as one struct of two members: ``"T{d:request:2d:response:}"``.
    ///
    /// What is given must agree with a service that exists already, else ``Incompatible``; what is not given is taken as
    /// it is there, and has these defaults where the service is made.
    #[pyo3(signature = (name, request_size=None, response_size=None, *, calls=None, idempotent=None, r#type=None, type_tag=None),
           text_signature = "($self, name, request_size=256, response_size=256, *, calls=16, idempotent=False, type=None, type_tag=None)")]
    #[allow(clippy::too_many_arguments)] // they are Python's, by name
    fn service(
        &self,
        py: Python<'_>,
        name: &str,
        request_size: Option<&Bound<'_, PyAny>>,
        response_size: Option<&Bound<'_, PyAny>>,
        calls: Option<&Bound<'_, PyAny>>,
        idempotent: Option<bool>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Service> {
        let wished = service::Wished::of(request_size, response_size, calls, idempotent, r#type, type_tag)?;
        let found =
            |segment: &triveni::Segment| find_or_create(|| wished.open(segment, name), || wished.create(segment, name));
        self.object(py, found, Service::new)
    }

    /// Creates a service. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, request_size=None, response_size=None, *, calls=None, idempotent=None, r#type=None, type_tag=None),
           text_signature = "($self, name, request_size=256, response_size=256, *, calls=16, idempotent=False, type=None, type_tag=None)")]
    #[allow(clippy::too_many_arguments)] // they are Python's, by name
    fn create_service(
        &self,
        py: Python<'_>,
        name: &str,
        request_size: Option<&Bound<'_, PyAny>>,
        response_size: Option<&Bound<'_, PyAny>>,
        calls: Option<&Bound<'_, PyAny>>,
        idempotent: Option<bool>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Service> {
        let wished = service::Wished::of(request_size, response_size, calls, idempotent, r#type, type_tag)?;
        self.object(py, |segment| wished.create(segment, name), Service::new)
    }

    /// Opens a service, however it was made. ``FileNotFoundError`` if there is none, ``Incompatible``
    /// if it was made with another ``type``.
    #[pyo3(signature = (name, *, r#type=None))]
    fn open_service(&self, py: Python<'_>, name: &str, r#type: Option<&Bound<'_, PyAny>>) -> PyResult<Service> {
        let wished = service::Wished::of(None, None, None, None, r#type, None)?;
        self.object(py, |segment| wished.open(segment, name), Service::new)
    }

    /// Finds or creates an array of ``shape``, of zeros: ``segment.array("grid", (480, 640), type="d")``. The type of an
    /// element is a numpy dtype, a ctypes class, a ``struct.Struct``, a dataclass or a PEP 3118 format; ``"d"`` unless
    /// given.
    ///
    /// What is given must agree with an array that exists already, else ``Incompatible``, which shows both layouts.
    #[pyo3(signature = (name, shape=None, r#type=None), text_signature = "($self, name, shape=None, type='d')")]
    fn array(
        &self,
        py: Python<'_>,
        name: &str,
        shape: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Array> {
        let tag = array::element_type(py, name, r#type)?;
        let Some(shape) = shape.map(array::shape).transpose()? else { return self.open_array(py, name, r#type) };
        let open = |segment: &triveni::Segment| {
            let there = segment.open_raw_array(name)?;
            let wished = if tag.is_empty() { there.type_tag() } else { &tag };
            segment.raw_array(name, wished, &shape)
        };
        let made = if tag.is_empty() { "d" } else { &tag };
        let create = |segment: &triveni::Segment| segment.create_raw_array(name, made, &shape);
        self.object(py, |segment| find_or_create(|| open(segment), || create(segment)), Array::new)
    }

    /// Creates an array. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, shape, r#type=None), text_signature = "($self, name, shape, type='d')")]
    fn create_array(
        &self,
        py: Python<'_>,
        name: &str,
        shape: &Bound<'_, PyAny>,
        r#type: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Array> {
        let (tag, shape) = (array::element_type(py, name, r#type)?, array::shape(shape)?);
        let tag = if tag.is_empty() { "d" } else { &tag };
        self.object(py, |segment| segment.create_raw_array(name, tag, &shape), Array::new)
    }

    /// Opens an array of whatever shape. ``FileNotFoundError`` if there is none; ``Incompatible`` if its elements are of
    /// another ``type`` than the one given.
    #[pyo3(signature = (name, r#type=None))]
    fn open_array(&self, py: Python<'_>, name: &str, r#type: Option<&Bound<'_, PyAny>>) -> PyResult<Array> {
        let tag = array::element_type(py, name, r#type)?;
        let open = |segment: &triveni::Segment| {
            let array = segment.open_raw_array(name)?;
            array.expect_type(&tag).map(|()| array)
        };
        self.object(py, open, Array::new)
    }

    /// Finds or creates a cell, the latest value of ``type``: a numpy dtype, a ctypes class, a ``struct.Struct``, a
    /// dataclass or a PEP 3118 format; or of ``size`` bytes without a type. As many as ``writers`` stores may be in
    /// progress so that a further one need not wait; 4 unless given, and a cell that exists already keeps its own.
    ///
    /// What is given must agree with a cell that exists already, else ``Incompatible``, which shows both layouts.
    #[pyo3(signature = (name, size=None, *, r#type=None, writers=None),
           text_signature = "($self, name, size=None, *, type=None, writers=4)")]
    fn cell(
        &self,
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        writers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Cell> {
        let wished = cell::Wished::of(py, name, size, r#type, writers)?;
        let create = |segment: &triveni::Segment| segment.create_cell_with(name, &wished.options()?);
        let found = self.object(
            py,
            |segment| find_or_create(|| wished.open(segment, name), || create(segment)),
            |segment, found| (segment, found),
        )?;
        Ok(Cell::new(found.0, found.1, wished.r#type()))
    }

    /// Creates a cell. ``FileExistsError`` if there is one.
    #[pyo3(signature = (name, size=None, *, r#type=None, writers=None),
           text_signature = "($self, name, size=None, *, type=None, writers=4)")]
    fn create_cell(
        &self,
        py: Python<'_>,
        name: &str,
        size: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        writers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Cell> {
        let wished = cell::Wished::of(py, name, size, r#type, writers)?;
        let made = self.object(
            py,
            |segment| segment.create_cell_with(name, &wished.options()?),
            |segment, made| (segment, made),
        )?;
        Ok(Cell::new(made.0, made.1, wished.r#type()))
    }

    /// Opens a cell of whatever size; its values are bytes unless ``type`` is given. ``FileNotFoundError`` if there is
    /// none; ``Incompatible`` if it is of another type.
    #[pyo3(signature = (name, *, r#type=None))]
    fn open_cell(&self, py: Python<'_>, name: &str, r#type: Option<&Bound<'_, PyAny>>) -> PyResult<Cell> {
        let wished = cell::Wished::of(py, name, None, r#type, None)?;
        let found = self.object(py, |segment| wished.open(segment, name), |segment, found| (segment, found))?;
        Ok(Cell::new(found.0, found.1, wished.r#type()))
    }

    /// All objects in it, with what is to be seen of each at this moment.
    fn objects(&self, py: Python<'_>) -> PyResult<Vec<ObjectInfo>> {
        let segment = self.segment(py)?;
        let objects = detached(py, || segment.objects())?;
        objects.into_iter().map(|object| ObjectInfo::new(py, object)).collect()
    }

    /// All processes that take part, also the dead that nobody has swept yet.
    fn participants(&self, py: Python<'_>) -> PyResult<Vec<ParticipantInfo>> {
        let segment = self.segment(py)?;
        let participants = detached(py, || segment.participants())?;
        Ok(participants.into_iter().map(ParticipantInfo::from).collect())
    }

    /// Everybody who sleeps for an object of this segment, and who is in the way.
    ///
    /// Who only spins, for up to 50 µs before it sleeps, is not to be seen.
    fn waits(&self, py: Python<'_>) -> PyResult<Vec<Wait>> {
        let segment = self.segment(py)?;
        let waits = detached(py, || segment.waits())?;
        Ok(waits.into_iter().map(Wait::from).collect())
    }

    /// Every circle of threads that wait for each other at this moment: for mutexes, monitors, readers-writer locks
    /// and leased permits of this segment.
    fn deadlocks(&self, py: Python<'_>) -> PyResult<Vec<DeadlockInfo>> {
        let segment = self.segment(py)?;
        let deadlocks = detached(py, || segment.deadlocks())?;
        Ok(deadlocks.into_iter().map(DeadlockInfo::from).collect())
    }

    /// Starts a thread that notices deaths at once and puts right what the dead left: ``with segment.watch():``.
    ///
    /// Nobody needs it: without, who waits for a dead process finds out by himself within 64 ms.
    fn watch(&self, py: Python<'_>) -> PyResult<Watcher> {
        let segment = self.segment(py)?;
        detached(py, || segment.watch()).map(Watcher::new)
    }

    /// Do lockers get ``Deadlock`` instead of waiting in a circle? Its creator decided.
    #[getter]
    fn detects_deadlocks(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.segment(py)?.detects_deadlocks())
    }

    /// Removes an object's name. Who waits on the object gets ``Removed``, as does who would have to from now on, or asks
    /// for a role; calls that need not wait go on, for those who have it open.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let segment = self.segment(py)?;
        detached(py, || segment.remove(name))
    }

    /// Puts right what dead processes left, now; returns how many were swept. Nobody needs to call this.
    fn sweep(&self, py: Python<'_>) -> PyResult<usize> {
        let segment = self.segment(py)?;
        detached(py, || segment.sweep())
    }

    /// A new descriptor, fit for sending to another process, which calls ``Segment.from_fd``. The caller closes it.
    fn fd(&self, py: Python<'_>) -> PyResult<RawFd> {
        let segment = self.segment(py)?;
        Ok(call(py, || segment.fd())?.into_raw_fd())
    }

    /// A descriptor as from ``fd()`` that the segment keeps, and closes with itself.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let made = match open.as_mut() {
            None => None,
            Some(Open { descriptor: Some(descriptor), .. }) => Some(Ok(descriptor.as_raw_fd())),
            Some(Open { segment, descriptor }) => Some(segment.fd().map(|fd| descriptor.insert(fd).as_raw_fd())),
        };
        drop(open);
        match made {
            None => Err(closed(py, self.name.as_deref())),
            Some(made) => made.map_err(|error| to_py(py, error)),
        }
    }

    /// Lets go of it. Objects taken from it go on working; closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        detached(py, || {
            drop(open); // the last handle leaves the segment, which may take a moment
            Ok(())
        })
    }

    /// Its name; ``None`` for an anonymous one.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its size in bytes.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.segment(py)?.size())
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Has its name been removed, or given to another segment?
    fn is_unlinked(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.segment(py)?.is_unlinked())
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        slf.get().segment(py)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String,))> {
        let name = name_for_pickle(py, &self.segment(py)?)?;
        Ok((py.get_type::<Segment>().getattr("open")?.unbind(), (name,)))
    }

    /// What a notebook shows: objects, who holds them, who waits.
    fn _repr_html_(&self, py: Python<'_>) -> Option<String> {
        let segment = self.segment(py).ok()?;
        let seen = py.detach(|| segment.snapshot()).ok()?;
        Some(html::table(&seen))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let name = self.name.as_ref().map_or("(anonymous)".to_string(), |name| format!("'{name}'"));
        let Ok(segment) = self.segment(py) else { return format!("<triveni.Segment {name} closed>") };
        let size = segment.size();
        match py.detach(|| segment.snapshot()) {
            Ok(seen) => {
                let (used, objects) = (seen.used, seen.objects.len());
                let alive = seen.participants.iter().filter(|p| p.alive).count();
                format!("<triveni.Segment {name} {used} of {size} bytes used, {objects} objects, {alive} participants>")
            }
            Err(error) => format!("<triveni.Segment {name} {size} bytes, unreadable: {error}>"),
        }
    }
}

/// A descriptor: a number, or anything with `fileno()`.
pub(crate) fn descriptor(fd: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    let number = match fd.getattr_opt("fileno")? {
        Some(fileno) => fileno.call0()?,
        None => fd.clone(),
    };
    RawFd::try_from(whole("fd", &number)?)
        .map_err(|_| invalid(fd.py(), format!("fd {number} is no file descriptor; give one that is open")))
}

/// What only the creator of a segment says.
fn tables(
    participants: Option<&Bound<'_, PyAny>>,
    objects: Option<&Bound<'_, PyAny>>,
    detect_deadlocks: bool,
) -> PyResult<triveni::SegmentOptions> {
    let mut options = triveni::Segment::options().detect_deadlocks(detect_deadlocks);
    if let Some(n) = participants {
        options = options.max_participants(whole("max_participants", n)?);
    }
    if let Some(n) = objects {
        options = options.max_objects(whole("max_objects", n)?);
    }
    Ok(options)
}

/// What was said of a semaphore's permits.
#[derive(Clone, Copy)]
struct Permits {
    initial: Option<u32>,
    max: Option<u32>,
    leased: Option<bool>,
}

impl Permits {
    fn of(
        initial: Option<&Bound<'_, PyAny>>,
        max: Option<&Bound<'_, PyAny>>,
        leased: Option<bool>,
    ) -> PyResult<Permits> {
        Ok(Permits {
            initial: initial.map(|initial| count("initial", initial)).transpose()?,
            max: max.map(|max| count("max", max)).transpose()?,
            leased,
        })
    }

    fn is_leased(&self) -> bool {
        self.leased == Some(true)
    }

    /// What a new semaphore is like.
    fn options(&self, py: Python<'_>, name: &str) -> PyResult<SemaphoreOptions> {
        let most = self.max.unwrap_or(triveni::Semaphore::MAX);
        match (self.is_leased(), self.initial, self.max) {
            (true, Some(permits), Some(max)) if permits != max => {
                let sentence = format!(
                    "semaphore {name:?}: {permits} leased permits and max {max}; give one of the two, or the same number"
                );
                Err(invalid(py, sentence))
            }
            (true, ..) => Ok(SemaphoreOptions::leased(self.initial.or(self.max).unwrap_or(0))),
            (false, Some(initial), _) if initial > most => {
                let sentence =
                    format!("semaphore {name:?}: initial {initial} is more than it holds; give at most {most}");
                Err(invalid(py, sentence))
            }
            (false, ..) => Ok(SemaphoreOptions::counting(self.initial.unwrap_or(0)).max(most)),
        }
    }

    /// The semaphore, if it is as was asked for, as far as that was said.
    fn agreeing(
        &self,
        segment: &triveni::Segment,
        semaphore: triveni::Semaphore,
    ) -> triveni::Result<triveni::Semaphore> {
        let max = self.max.or(self.initial.filter(|_| self.is_leased()));
        let there = (semaphore.max(), semaphore.is_leased());
        let asked = (max.unwrap_or(there.0), self.leased.unwrap_or(there.1));
        if asked == there {
            return Ok(semaphore);
        }
        let kind = |leased| if leased { "leased" } else { "not leased" };
        Err(Error::new(
            ErrorKind::Incompatible,
            format!(
                "semaphore {}: it has at most {} permits, {}, asked for were {}, {}; ask for what is there, or remove it first",
                address(segment, semaphore.name()),
                there.0,
                kind(there.1),
                asked.0,
                kind(asked.1)
            ),
        ))
    }
}

fn port_options(
    capacity: Option<&Bound<'_, PyAny>>,
    message_size: Option<&Bound<'_, PyAny>>,
) -> PyResult<triveni::PortOptions> {
    let mut options = triveni::PortOptions::default();
    if let Some(capacity) = capacity {
        options = options.capacity(whole("capacity", capacity)?);
    }
    if let Some(size) = message_size {
        options = options.message_size(whole("message_size", size)?);
    }
    Ok(options)
}
