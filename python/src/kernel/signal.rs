//! Signals: sending, taking, callbacks, ends of children, and processes that stop each other.

use super::process::{pid_of, returncode};
use super::{Exclusive, Shared};
use crate::error::{call, to_py};
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};
use triveni::kernel;
use triveni::{Deadline, Error, ErrorKind, Result};

/// Sends a signal to a process; signal 0 asks whether it is there.
///
/// ``ProcessLookupError`` if there is none; ``PermissionError`` names both users; ``ValueError`` for a ``pid`` below 1. A
/// process id may come to name a later process; a ``Child`` does not.
#[pyfunction]
pub(crate) fn send_signal(py: Python<'_>, pid: &Bound<'_, PyAny>, signal: i32) -> PyResult<()> {
    let pid = pid_of(pid)?;
    call(py, || kernel::send_signal(pid, signal))?;
    py.check_signals() // it may be for ourselves
}

/// Sends a signal with a value (sigqueue). Signals from ``signal.SIGRTMIN`` on queue, each with its value; of the others
/// one is pending at most. ``BlockingIOError`` if as many are pending as RLIMIT_SIGPENDING allows.
#[pyfunction]
pub(crate) fn queue_signal(py: Python<'_>, pid: &Bound<'_, PyAny>, signal: i32, value: i32) -> PyResult<()> {
    let pid = pid_of(pid)?;
    call(py, || kernel::queue_signal(pid, signal, value))?;
    py.check_signals()
}

/// What a signal is called: ``"SIGTERM"``, ``"SIGRTMIN+3"``.
#[pyfunction]
pub(crate) fn signal_name(signal: i32) -> String {
    kernel::signal_name(signal)
}

/// A signal that was taken, and who sent it.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct SignalInfo {
    /// Its number.
    signal: i32,
    /// Why it came: 0 from ``kill``, -1 with a value, 1 to 6 for SIGCHLD.
    code: i32,
    /// The process that sent it, or that it is about (SIGCHLD); 0 if the kernel did.
    pid: u32,
    /// The user of that process.
    uid: u32,
    /// What ``queue_signal`` sent with it, or 0.
    value: i32,
}

impl From<kernel::SignalInfo> for SignalInfo {
    fn from(info: kernel::SignalInfo) -> SignalInfo {
        let kernel::SignalInfo { signal, code, pid, uid, value, .. } = info;
        SignalInfo { signal, code, pid, uid, value }
    }
}

#[pymethods]
impl SignalInfo {
    fn __repr__(&self) -> String {
        let name = kernel::signal_name(self.signal);
        format!("<triveni.kernel.SignalInfo {name} from process {}, value {}>", self.pid, self.value)
    }
}

/// `Busy` if Python has a handler for one of the signals: it would no longer run, and nobody would notice.
fn not_pythons(py: Python<'_>, signals: &[i32], take_over: bool) -> PyResult<()> {
    if take_over {
        return Ok(());
    }
    let module = py.import("signal")?;
    for signal in signals {
        // A number that is no signal: core says so.
        let Ok(handler) = module.call_method1("getsignal", (*signal,)) else { continue };
        if handler.is_callable() && !handler.is_instance(&module.getattr("Handlers")?)? {
            let (name, handler) = (kernel::signal_name(*signal), handler.repr()?);
            let sentence = format!(
                "{name} has a handler in Python, {handler}, which would no longer run; say take_over=True if that is meant, \
                 or signal.signal({name}, signal.SIG_DFL) before"
            );
            return Err(to_py(py, Error::new(ErrorKind::Busy, sentence)));
        }
    }
    Ok(())
}

fn numbers(signals: &Bound<'_, PyAny>) -> PyResult<Vec<i32>> {
    signals.try_iter()?.map(|signal| signal?.extract()).collect()
}

/// Signals that this thread blocks and takes from a descriptor: ``Signals([signal.SIGUSR1]).receive(timeout=1)``.
///
/// No handler runs and nothing is interrupted. A signal for which Python has a handler (SIGINT has one) is refused with
/// ``Busy`` unless ``take_over=True``: the handler would no longer run. A mask is a thread's own and new threads inherit it:
/// take signals before other threads are started, or they act on those.
///
/// ``fileno()`` is readable while one is pending, for ``select`` and ``WaitSet.add``. ``close()``, which ``with`` calls, gives
/// this thread its mask back. fork: the child takes its own signals.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Signals(Shared<kernel::Signals>);

fn next(signals: &kernel::Signals, until: Option<Deadline>) -> Result<Option<kernel::SignalInfo>> {
    match until {
        None => signals.try_receive(),
        Some(until) => signals.receive_until(until).map(Some),
    }
}

#[pymethods]
impl Signals {
    #[new]
    #[pyo3(signature = (signals, *, take_over=false))]
    fn new(py: Python<'_>, signals: &Bound<'_, PyAny>, take_over: bool) -> PyResult<Signals> {
        let signals = numbers(signals)?;
        not_pythons(py, &signals, take_over)?;
        Ok(Signals(Shared::new("set of signals", call(py, || kernel::Signals::take(signals))?)))
    }

    /// Takes the next signal; waits for it.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<SignalInfo> {
        let signals = self.0.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| next(&signals, until)).map(Into::into)
    }

    /// Takes the next signal if one is pending, else ``None``.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<SignalInfo>> {
        let signals = self.0.get(py)?;
        Ok(trying(py, |until| next(&signals, until))?.map(Into::into))
    }

    /// A descriptor that is readable while one is pending; it stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.0.get(py)?.as_fd().as_raw_fd())
    }

    /// Gives this thread its mask back. Again is nothing new.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close();
        py.check_signals() // what was pending has just come
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let names = self.0.get(py).map(|s| s.signals().iter().map(|n| kernel::signal_name(*n)).collect::<Vec<_>>());
        names.map_or("<triveni.kernel.Signals closed>".to_string(), |names| {
            format!("<triveni.kernel.Signals {}>", names.join(" "))
        })
    }
}

/// Signals that are blocked in this thread until ``close()``, which ``with`` calls: a section that they do not interrupt.
///
/// ``suspend()`` sleeps with the mask from before until a handler has run. A signal that came after the block ends it at once,
/// where ``signal.pause()`` would sleep for ever::
///
///     with kernel.Mask([signal.SIGUSR1]) as mask:
///         while not came:  # set by a handler
///             mask.suspend()
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Mask(Shared<kernel::Mask>);

#[pymethods]
impl Mask {
    #[new]
    fn new(py: Python<'_>, signals: &Bound<'_, PyAny>) -> PyResult<Mask> {
        let signals = numbers(signals)?;
        Ok(Mask(Shared::new("mask", call(py, || kernel::Mask::block(signals))?)))
    }

    /// Sleeps until a handler has run; Python's has run when this returns.
    #[pyo3(signature = (timeout=None))]
    fn suspend(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let mask = self.0.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| match mask.suspend_until(until.unwrap_or(Deadline::now())) {
            Err(error) if until.is_none() && error.kind() == ErrorKind::Timeout => Ok(None),
            done => done.map(Some),
        })?;
        py.check_signals()
    }

    /// Gives this thread its mask back. Again is nothing new.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close();
        py.check_signals()
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> &'static str {
        if self.0.is_open() { "<triveni.kernel.Mask>" } else { "<triveni.kernel.Mask closed>" }
    }
}

/// Callbacks for signals that run in ``dispatch()``, and nowhere else.
///
/// ``signal.signal`` runs a handler between any two steps of the main thread; here the program says when. A signal for which
/// Python has a handler is refused with ``Busy`` unless ``take_over=True``. Masks and threads as for ``Signals``.
/// ``fileno()`` is readable when there is something to dispatch.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Handlers {
    signals: Exclusive<kernel::Signals>,
    callbacks: Mutex<Vec<(i32, Py<PyAny>)>>,
}

impl Handlers {
    fn run(&self, py: Python<'_>, info: kernel::SignalInfo) -> PyResult<()> {
        let callback = {
            let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
            callbacks.iter().find(|(signal, _)| *signal == info.signal).map(|(_, callback)| callback.clone_ref(py))
        };
        callback.map_or(Ok(()), |callback| callback.call1(py, (SignalInfo::from(info),)).map(drop))
    }
}

/// So many callbacks one dispatch runs at most.
const MOST: usize = 1024;

#[pymethods]
impl Handlers {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Handlers> {
        let signals = call(py, || kernel::Signals::take([]))?;
        Ok(Handlers { signals: Exclusive::new("set of handlers", signals), callbacks: Mutex::default() })
    }

    /// Blocks ``signal`` in this thread and calls ``callback(info)`` for each that comes, instead of an earlier callback.
    #[pyo3(signature = (signal, callback, *, take_over=false))]
    fn on_signal(&self, py: Python<'_>, signal: i32, callback: Py<PyAny>, take_over: bool) -> PyResult<()> {
        not_pythons(py, &[signal], take_over)?;
        call(py, || self.signals.with(|signals| signals.add(signal)))?;
        let mut callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        let old = callbacks.iter().position(|(known, _)| *known == signal).map(|at| callbacks.swap_remove(at));
        callbacks.push((signal, callback));
        drop(callbacks); // before `old`, whose end may run any code
        drop(old);
        Ok(())
    }

    /// Waits for a signal and calls its callback, and those of all that are pending; how many. An exception of a callback
    /// ends it; what is still pending stays for the next call.
    #[pyo3(signature = (timeout=None))]
    fn dispatch(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let until = deadline(py, timeout)?;
        let first = waiting(py, until, |until| self.signals.with(|signals| next(signals, until)))?;
        self.run(py, first)?;
        Ok(1 + self.try_dispatch(py)?)
    }

    /// Calls the callbacks of all signals that are pending; how many.
    fn try_dispatch(&self, py: Python<'_>) -> PyResult<usize> {
        let mut ran = 0;
        while ran < MOST
            && let Some(info) = call(py, || self.signals.with(|signals| signals.try_receive()))?
        {
            self.run(py, info)?;
            ran += 1;
        }
        Ok(ran)
    }

    /// A descriptor that is readable when there is something to dispatch; it stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        call(py, || self.signals.with(|signals| Ok(signals.as_fd().as_raw_fd())))
    }

    /// Gives this thread its mask back. Again is nothing new.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.signals.take().map(drop))?;
        py.check_signals()
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let names = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = names.iter().map(|(signal, _)| kernel::signal_name(*signal)).collect();
        format!("<triveni.kernel.Handlers {}>", names.join(" "))
    }
}

/// SIGCHLD as an event that names the children which ended, and takes no end away from whoever waits for it.
///
/// It names the children of all threads. This thread blocks SIGCHLD until ``close()``, which ``with`` calls. A child that was
/// waited for before it is asked here is not named. ``fileno()`` is readable when children may have ended.
///
/// The first one installs a handler for SIGCHLD below Python's, which stays. One of Python's is called by it, but not for what
/// is taken here, so do not count on that one. After a later ``signal.signal(SIGCHLD, ...)`` the next receive puts itself
/// before it. ``ChildProcessError`` where SIGCHLD is ignored: the system takes all ends then.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct ChildEnds(Exclusive<kernel::ChildEnds>);

fn pairs(ended: Vec<kernel::EndedChild>) -> Vec<(u32, i32)> {
    ended.into_iter().map(|one| (one.pid, returncode(one.status))).collect()
}

#[pymethods]
impl ChildEnds {
    #[new]
    #[pyo3(signature = (*, take_over=false))]
    fn new(py: Python<'_>, take_over: bool) -> PyResult<ChildEnds> {
        not_pythons(py, &[libc::SIGCHLD], take_over)?;
        Ok(ChildEnds(Exclusive::new("look-out for children", call(py, kernel::ChildEnds::take)?)))
    }

    /// Waits until children have ended: a list of ``(pid, returncode)``, each child once.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(u32, i32)>> {
        waiting(py, deadline(py, timeout)?, |until| {
            self.0.with(|ends| match until {
                None => Ok(Some(ends.try_receive()?).filter(|ended| !ended.is_empty())),
                Some(until) => ends.receive_until(until).map(Some),
            })
        })
        .map(pairs)
    }

    /// The children that have ended and were not named yet; may be none.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Vec<(u32, i32)>> {
        call(py, || self.0.with(kernel::ChildEnds::try_receive)).map(pairs)
    }

    /// A descriptor that is readable when children may have ended; it stays its own.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        call(py, || self.0.with(|ends| Ok(ends.as_fd().as_raw_fd())))
    }

    /// Gives this thread its mask back. Again is nothing new.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.0.take().map(drop))?;
        py.check_signals()
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> &'static str {
        "<triveni.kernel.ChildEnds>"
    }
}

/// All children of this process that have ended and that nobody has waited for, as ``(pid, returncode)``. Reaps none.
#[pyfunction]
pub(crate) fn ended_children<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, pairs(call(py, kernel::ended_children)?))
}

/// Stops this process, all its threads, until somebody sends it SIGCONT.
#[pyfunction]
pub(crate) fn stop_self(py: Python<'_>) -> PyResult<()> {
    call(py, kernel::stop_self)
}

/// Asks the system to stop process ``pid`` (SIGSTOP). It may run a little longer: ``wait_stopped``.
#[pyfunction]
pub(crate) fn stop_process(py: Python<'_>, pid: &Bound<'_, PyAny>) -> PyResult<()> {
    let pid = pid_of(pid)?;
    call(py, || kernel::stop_process(pid))
}

/// Lets process ``pid`` go on (SIGCONT). If it does not stand yet, nothing is kept for later: the lost SIGCONT.
/// ``continue_stopped`` does not lose it.
#[pyfunction]
pub(crate) fn continue_process(py: Python<'_>, pid: &Bound<'_, PyAny>) -> PyResult<()> {
    let pid = pid_of(pid)?;
    call(py, || kernel::continue_process(pid))
}

/// Does process ``pid`` stand?
#[pyfunction]
pub(crate) fn is_stopped(py: Python<'_>, pid: &Bound<'_, PyAny>) -> PyResult<bool> {
    let pid = pid_of(pid)?;
    call(py, || kernel::is_stopped(pid))
}

/// Waits until process ``pid`` stands. ``ProcessLookupError`` if it ends or has ended.
#[pyfunction]
#[pyo3(signature = (pid, timeout=None))]
pub(crate) fn wait_stopped(py: Python<'_>, pid: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let pid = pid_of(pid)?;
    waiting(py, deadline(py, timeout)?, |until| match until {
        None => Ok(kernel::is_stopped(pid)?.then_some(())),
        Some(until) => kernel::wait_stopped(pid, until).map(Some),
    })
}

/// Waits until process ``pid`` stands, and lets it go on: the SIGCONT that is not lost.
#[pyfunction]
#[pyo3(signature = (pid, timeout=None))]
pub(crate) fn continue_stopped(
    py: Python<'_>,
    pid: &Bound<'_, PyAny>,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    wait_stopped(py, pid, timeout)?;
    continue_process(py, pid)
}

/// Mutual exclusion from one other process, by stopping it: ``with kernel.StopLock(pid): ...``.
///
/// It excludes what the other does next, not what it is in the midst of; and two that stop each other both stand for ever.
/// A later process with the same number is never touched.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct StopLock(kernel::StopLock);

impl StopLock {
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<()>> {
        let guard = match until {
            None => self.0.try_lock()?,
            Some(until) => Some(self.0.lock_until(until)?),
        };
        Ok(guard.map(std::mem::forget)) // Python unlocks by name
    }
}

#[pymethods]
impl StopLock {
    #[new]
    fn new(py: Python<'_>, pid: &Bound<'_, PyAny>) -> PyResult<StopLock> {
        let pid = pid_of(pid)?;
        call(py, || kernel::StopLock::new(pid)).map(StopLock)
    }

    /// The other process.
    #[getter]
    fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Stops the other process and waits until it stands; if it does not in time, it goes on.
    #[pyo3(signature = (timeout=None))]
    fn lock(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until))
    }

    /// Stops it if it stands at once; says whether it does.
    fn try_lock(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(trying(py, |until| self.attempt(until))?.is_some())
    }

    /// Lets the other process go on.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.0.unlock())
    }

    fn __enter__<'py>(this: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        this.get().lock(this.py(), None)?;
        Ok(this)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.unlock(py)
    }

    fn __repr__(&self) -> String {
        format!("<triveni.kernel.StopLock on process {}>", self.0.pid())
    }
}
