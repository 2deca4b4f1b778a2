//! System V semaphore sets.

use super::Shared;
use super::sysv_key::{key, shown};
use crate::error::{call, count, detached, invalid};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use triveni::kernel::{self, SysvSemaphoresOptions};
use triveni::{Deadline, Result};

/// What is to happen to one semaphore of a set: ``delta`` permits are added, or taken where it is negative; 0 waits for the
/// value 0. With ``undo`` the kernel undoes it when this process ends, also when it is killed.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SemaphoreOperation {
    /// Which one, from 0 on.
    index: u16,
    /// Permits to add; negative: to take; 0: wait for the value 0.
    delta: i16,
    /// Is it undone when this process ends?
    undo: bool,
}

/// A number of 16 bits.
fn small(what: &str, number: &Bound<'_, PyAny>) -> PyResult<u16> {
    let n = count(what, number)?;
    u16::try_from(n).map_err(|_| invalid(number.py(), format!("{what} {n} is out of range; give one from 0 to 65535")))
}

fn change(delta: &Bound<'_, PyAny>) -> PyResult<i16> {
    let n = delta.extract::<i64>()?;
    let fits = i16::try_from(n).ok().filter(|&n| n != i16::MIN);
    fits.ok_or_else(|| invalid(delta.py(), format!("delta {n} is out of range; give one from -32767 to 32767")))
}

#[pymethods]
impl SemaphoreOperation {
    #[new]
    #[pyo3(signature = (index, delta, undo=false))]
    fn new(index: &Bound<'_, PyAny>, delta: &Bound<'_, PyAny>, undo: bool) -> PyResult<SemaphoreOperation> {
        Ok(SemaphoreOperation { index: small("index", index)?, delta: change(delta)?, undo })
    }

    fn __repr__(&self) -> String {
        let undo = if self.undo { ", undo=True" } else { "" };
        format!("triveni.kernel.SemaphoreOperation({}, {:+}{undo})", self.index, self.delta)
    }
}

/// Operations from an argument: objects of the class above, or tuples ``(index, delta)`` and ``(index, delta, undo)``.
fn operations(from: &Bound<'_, PyAny>) -> PyResult<Vec<kernel::SemaphoreOperation>> {
    let one = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        let (index, delta, undo) = if let Ok(operation) = item.cast::<SemaphoreOperation>() {
            let operation = operation.get();
            (operation.index, operation.delta, operation.undo)
        } else if let Ok((index, delta)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
            (small("index", &index)?, change(&delta)?, false)
        } else {
            let (index, delta, undo) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>, bool)>()?;
            (small("index", &index)?, change(&delta)?, undo)
        };
        let operation = kernel::SemaphoreOperation::new(index, delta);
        Ok(if undo { operation.undo() } else { operation })
    };
    from.try_iter()?.map(one).collect()
}

fn values(what: &str, from: &Bound<'_, PyAny>) -> PyResult<Vec<u16>> {
    from.try_iter()?.map(|value| small(what, &value?)).collect()
}

/// One semaphore of a set, at one moment.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SysvSemaphoreInfo {
    /// Its value.
    value: u16,
    /// How many processes wait for permits.
    waiting: u32,
    /// How many processes wait for the value 0.
    waiting_for_zero: u32,
    /// The process that changed it last; 0: none yet.
    last_pid: u32,
}

#[pymethods]
impl SysvSemaphoreInfo {
    fn __repr__(&self) -> String {
        let SysvSemaphoreInfo { value, waiting, waiting_for_zero, last_pid } = self;
        format!(
            "<triveni.kernel.SysvSemaphoreInfo value {value}, {waiting} wait, {waiting_for_zero} wait for 0, last {last_pid}>"
        )
    }
}

/// What the kernel tells about a set of System V semaphores.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SysvSemaphoresInfo {
    /// Its number.
    id: i32,
    /// Its key; ``None`` if it is private.
    key: Option<i32>,
    /// How many semaphores it has.
    count: usize,
    /// The user who owns it.
    uid: u32,
    /// The group that owns it.
    gid: u32,
    /// The bits of its mode.
    mode: u32,
    /// When somebody last operated on it, in seconds since 1970; 0: not yet.
    operated_at: i64,
    /// When it was made, or its values or mode were last set, in seconds since 1970.
    changed_at: i64,
}

impl From<kernel::SysvSemaphoresInfo> for SysvSemaphoresInfo {
    fn from(info: kernel::SysvSemaphoresInfo) -> SysvSemaphoresInfo {
        SysvSemaphoresInfo {
            id: info.id,
            key: shown(info.key),
            count: info.count,
            uid: info.uid,
            gid: info.gid,
            mode: info.mode,
            operated_at: info.operated_at,
            changed_at: info.changed_at,
        }
    }
}

#[pymethods]
impl SysvSemaphoresInfo {
    fn __repr__(&self) -> String {
        let SysvSemaphoresInfo { id, count, uid, mode, .. } = self;
        let key = self.key.map_or("private".to_string(), |key| format!("{key:#010x}"));
        format!("<triveni.kernel.SysvSemaphoresInfo {id} key {key} mode {mode:03o}, user {uid}, {count} semaphores>")
    }
}

/// A set of System V semaphores: several counters, of which several change at once, indivisibly.
///
/// ``SysvSemaphores.create(key, [1, 8])`` makes two, ``.open(key)``, ``.open_or_create(key, [1, 8])``, ``.open_id(id)``. A
/// key is a number that both sides know, or ``kernel.sysv_key(path, 1)``; ``None`` makes a private set, which others open
/// by its ``id``. ``wait(index)`` and ``post(index)`` are for one semaphore; ``operate([(0, -1), (1, -1)])`` takes from two
/// at one moment, or waits without having taken from either.
///
/// With ``undo=True`` the kernel undoes what ``wait`` and ``post`` of this handle did when the process ends, also when it is
/// killed; without, permits of the dead stay taken. The set stays when all its users have ended, until ``remove()``, unless
/// it is ``owned``: then it goes with the handle that made it.
///
/// Threads: any number. fork: the child goes on using it, has nothing to undo yet, and never removes it. No pickle: open it
/// by its key or its ``id``.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct SysvSemaphores {
    set: Shared<kernel::SysvSemaphores>,
    id: i32,
    key: Option<i32>,
    count: u16,
}

fn options(mode: Option<&Bound<'_, PyAny>>, owned: bool, undo: bool) -> PyResult<SysvSemaphoresOptions> {
    let mode = mode.map_or(Ok(0o600), |mode| count("mode", mode))?;
    Ok(SysvSemaphoresOptions::new().mode(mode).owned(owned).undo(undo))
}

fn permits(n: Option<&Bound<'_, PyAny>>) -> PyResult<u16> {
    n.map_or(Ok(1), |n| small("n", n))
}

fn attempt_wait(set: &kernel::SysvSemaphores, index: u16, n: u16, until: Option<Deadline>) -> Result<Option<()>> {
    match until {
        None => Ok(set.try_wait(index, n)?.then_some(())),
        Some(until) => set.wait_until(index, n, until).map(Some),
    }
}

impl SysvSemaphores {
    fn new(set: kernel::SysvSemaphores) -> SysvSemaphores {
        let (id, key, count) = (set.id(), shown(set.key()), set.count());
        SysvSemaphores { set: Shared::new("set of System V semaphores", set), id, key, count }
    }
}

#[pymethods]
impl SysvSemaphores {
    /// Makes a set with a semaphore for each value of ``initial``. ``FileExistsError`` if the key is taken.
    #[staticmethod]
    #[pyo3(signature = (key, initial, *, mode=None, owned=false, undo=false), text_signature = "(key, initial, *, mode=0o600, owned=False, undo=False)")]
    fn create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        initial: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
        undo: bool,
    ) -> PyResult<SysvSemaphores> {
        let (key, initial, options) = (self::key(key)?, values("initial", initial)?, options(mode, owned, undo)?);
        detached(py, || options.create(key, &initial)).map(SysvSemaphores::new)
    }

    /// Opens the set with this key; waits at most two seconds for the first values of one that was made just now.
    #[staticmethod]
    #[pyo3(signature = (key, *, undo=false))]
    fn open(py: Python<'_>, key: Option<&Bound<'_, PyAny>>, undo: bool) -> PyResult<SysvSemaphores> {
        let (key, options) = (self::key(key)?, options(None, false, undo)?);
        detached(py, || options.open(key)).map(SysvSemaphores::new)
    }

    /// Opens the set with this number. ``FileNotFoundError`` if there is none, or not any more.
    #[staticmethod]
    #[pyo3(signature = (id, *, undo=false))]
    fn open_id(py: Python<'_>, id: i32, undo: bool) -> PyResult<SysvSemaphores> {
        let options = options(None, false, undo)?;
        detached(py, || options.open_id(id)).map(SysvSemaphores::new)
    }

    /// Opens the set, or makes it. One that was there keeps its values, has as many semaphores, and is not owned.
    #[staticmethod]
    #[pyo3(signature = (key, initial, *, mode=None, owned=false, undo=false), text_signature = "(key, initial, *, mode=0o600, owned=False, undo=False)")]
    fn open_or_create(
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        initial: &Bound<'_, PyAny>,
        mode: Option<&Bound<'_, PyAny>>,
        owned: bool,
        undo: bool,
    ) -> PyResult<SysvSemaphores> {
        let (key, initial, options) = (self::key(key)?, values("initial", initial)?, options(mode, owned, undo)?);
        detached(py, || options.open_or_create(key, &initial)).map(SysvSemaphores::new)
    }

    /// All sets of System V semaphores of this system, as ``ipcs -s`` shows them.
    #[staticmethod]
    fn list(py: Python<'_>) -> PyResult<Vec<SysvSemaphoresInfo>> {
        Ok(detached(py, kernel::SysvSemaphores::list)?.into_iter().map(Into::into).collect())
    }

    /// Removes what has this key: every wait in it ends with ``Removed``.
    #[staticmethod]
    fn unlink(py: Python<'_>, key: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let key = self::key(key)?;
        detached(py, || kernel::SysvSemaphores::unlink(key))
    }

    /// Removes the set; every wait in it ends with ``Removed``, and so does every later call.
    fn remove(&self, py: Python<'_>) -> PyResult<()> {
        let set = self.set.get(py)?;
        call(py, || set.remove())
    }

    /// Does all operations at one moment; waits, without having done any of them, until that can be. ``TimeoutError`` once
    /// ``timeout`` seconds have passed. An operation is ``SemaphoreOperation(index, delta, undo)``, or a tuple of the same.
    #[pyo3(signature = (operations, timeout=None))]
    fn operate(
        &self,
        py: Python<'_>,
        operations: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (set, operations) = (self.set.get(py)?, self::operations(operations)?);
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => Ok(set.try_operate(&operations)?.then_some(())),
            Some(until) => set.operate_until(&operations, until).map(Some),
        })
    }

    /// Does all operations if that is possible at once; says whether it did.
    fn try_operate(&self, py: Python<'_>, operations: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (set, operations) = (self.set.get(py)?, self::operations(operations)?);
        call(py, || set.try_operate(&operations))
    }

    /// Takes ``n`` permits of one semaphore; waits for them. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (index, n=None, timeout=None), text_signature = "($self, index, n=1, timeout=None)")]
    fn wait(
        &self,
        py: Python<'_>,
        index: &Bound<'_, PyAny>,
        n: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (set, index, n) = (self.set.get(py)?, small("index", index)?, permits(n)?);
        waiting(py, deadline(py, timeout)?, |until| attempt_wait(&set, index, n, until))
    }

    /// Takes ``n`` permits of one semaphore if there are so many; says whether it did.
    #[pyo3(signature = (index, n=None), text_signature = "($self, index, n=1)")]
    fn try_wait(&self, py: Python<'_>, index: &Bound<'_, PyAny>, n: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let (set, index, n) = (self.set.get(py)?, small("index", index)?, permits(n)?);
        Ok(trying(py, |until| attempt_wait(&set, index, n, until))?.is_some())
    }

    /// Adds ``n`` permits to one semaphore and wakes who can go on. ``OverflowError`` beyond 32767.
    #[pyo3(signature = (index, n=None), text_signature = "($self, index, n=1)")]
    fn post(&self, py: Python<'_>, index: &Bound<'_, PyAny>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (set, index, n) = (self.set.get(py)?, small("index", index)?, permits(n)?);
        call(py, || set.post(index, n))
    }

    /// The value of one semaphore at this moment.
    fn value(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<u16> {
        let (set, index) = (self.set.get(py)?, small("index", index)?);
        call(py, || set.value(index))
    }

    /// The values of all semaphores, at one moment.
    fn values(&self, py: Python<'_>) -> PyResult<Vec<u16>> {
        let set = self.set.get(py)?;
        call(py, || set.values())
    }

    /// Sets one semaphore and wakes who can go on. What processes have noted to undo for it is forgotten.
    fn set(&self, py: Python<'_>, index: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (set, index, value) = (self.set.get(py)?, small("index", index)?, small("value", value)?);
        call(py, || set.set(index, value))
    }

    /// Sets all semaphores at one moment and wakes who can go on. What processes have noted to undo is forgotten.
    fn set_all(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let (set, values) = (self.set.get(py)?, self::values("value", values)?);
        call(py, || set.set_all(&values))
    }

    /// What the kernel tells about one semaphore: its value, who waits, who was last.
    fn semaphore_info(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<SysvSemaphoreInfo> {
        let (set, index) = (self.set.get(py)?, small("index", index)?);
        let info = call(py, || set.semaphore_info(index))?;
        Ok(SysvSemaphoreInfo {
            value: info.value,
            waiting: info.waiting,
            waiting_for_zero: info.waiting_for_zero,
            last_pid: info.last_pid,
        })
    }

    /// What the kernel tells about the set.
    fn info(&self, py: Python<'_>) -> PyResult<SysvSemaphoresInfo> {
        let set = self.set.get(py)?;
        call(py, || set.info()).map(Into::into)
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

    /// How many semaphores it has.
    fn __len__(&self) -> usize {
        self.count.into()
    }

    /// Lets go of it, and removes it if it is owned. Again is nothing new.
    fn close(&self) {
        self.set.close();
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
        let values = self.set.get(py).ok().and_then(|set| set.values().ok());
        let state = values.map_or(format!("{} semaphores, closed or removed", self.count), |v| format!("values {v:?}"));
        format!("<triveni.kernel.SysvSemaphores {} key {key} {state}>", self.id)
    }
}
