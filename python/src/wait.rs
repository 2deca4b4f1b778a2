//! The one waiting loop: interpreter released, signals served, deadline kept.
//!
//! Every call that may wait is one closure, an *attempt*: without a deadline it tries once, with one it waits.
//! The first attempt runs with the interpreter held, because most calls need not wait and handing the
//! interpreter over costs more than they do. No attempt takes the interpreter while it holds anything.

use crate::error::{call, contained, invalid, to_py, type_name};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use triveni::{Deadline, Error, ErrorKind, Result};

/// The main thread sleeps so long at first, and each time twice as long, up to the second. A signal ends a sleep; one
/// that lands between the check and the sleep, or on another thread, is served at its end. They grow because a
/// wait that begins anew loses its place where waits have one: at the gate of a readers-writer lock, at a barrier.
const SLICES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Until when: from `timeout` in seconds, or `None` for ever.
pub(crate) fn deadline(py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Deadline> {
    let Some(timeout) = timeout else { return Ok(Deadline::never()) };
    let seconds = number_of_seconds("timeout", ", or None for ever", timeout)?;
    if seconds.is_nan() || seconds < 0.0 {
        return Err(invalid(
            py,
            format!("timeout {seconds} is no time to wait; give seconds from 0 on, or None for ever"),
        ));
    }
    // What is too long for a Duration is for ever.
    Ok(Duration::try_from_secs_f64(seconds).map_or(Deadline::never(), Deadline::after))
}

/// A duration, from the argument `what` in seconds.
pub(crate) fn duration(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = number_of_seconds(what, "", value)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(value.py(), format!("{what} {seconds} is no time to wait; give seconds from 0 on")))
}

fn number_of_seconds(what: &str, or: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    value.extract().map_err(|error: PyErr| {
        if !error.is_instance_of::<PyTypeError>(value.py()) {
            return error;
        }
        PyTypeError::new_err(format!("{what}: seconds are needed{or}, not {}", type_name(value)))
    })
}

/// Tries once and answers.
#[inline]
pub(crate) fn trying<T>(
    py: Python<'_>,
    attempt: impl FnOnce(Option<Deadline>) -> Result<Option<T>>,
) -> PyResult<Option<T>> {
    call(py, || attempt(None))
}

/// In a stream the next message is there within the time that releasing the interpreter and taking it again would need.
const TRIES: u32 = 8;

/// Tries a few times, with the interpreter held, and answers.
#[inline]
pub(crate) fn briefly<T>(mut attempt: impl FnMut() -> PyResult<Option<T>>) -> PyResult<Option<T>> {
    for _ in 1..TRIES {
        if let Some(done) = attempt()? {
            return Ok(Some(done));
        }
    }
    attempt()
}

/// Tries once, then waits the way Python's own locks do.
#[inline]
pub(crate) fn waiting<T: Send>(
    py: Python<'_>,
    until: Deadline,
    mut attempt: impl FnMut(Option<Deadline>) -> Result<Option<T>> + Send,
) -> PyResult<T> {
    match call(py, || attempt(None))? {
        Some(done) => Ok(done),
        None => sleeping(py, until, attempt),
    }
}

/// Waits once, for something that may end without a reason: then a signal was served, or a long slice is over.
pub(crate) fn once(py: Python<'_>, until: Deadline, wait: impl FnOnce(Deadline) -> Result<()> + Send) -> PyResult<()> {
    let slices = is_main_thread(py)?;
    let end = if slices { until.sooner(SLICES[1]).interruptible() } else { until };
    match py.detach(|| contained(|| wait(end))) {
        Err(error) if slices && is_slices_end(&error, until) => py.check_signals(),
        done => done.map_err(|error| to_py(py, error)),
    }
}

/// Did a wait end because a signal came, or because its slice was over?
fn is_slices_end(error: &Error, until: Deadline) -> bool {
    error.kind() == ErrorKind::Interrupted || (error.kind() == ErrorKind::Timeout && !until.passed())
}

/// Waits, without a first try.
#[cold]
pub(crate) fn sleeping<T: Send>(
    py: Python<'_>,
    until: Deadline,
    mut attempt: impl FnMut(Option<Deadline>) -> Result<Option<T>> + Send,
) -> PyResult<T> {
    // Only the main thread runs signal handlers; the others sleep in one piece, through any signal.
    let slices = is_main_thread(py)?;
    let [mut slice, longest] = SLICES;
    triveni::as_one_wait(|| {
        loop {
            let end = if slices { until.sooner(slice).interruptible() } else { until };
            slice = (2 * slice).min(longest);
            let done = py.detach(|| contained(|| attempt(Some(end))?.ok_or_else(|| Error::from(ErrorKind::Timeout))));
            match done {
                Err(error) if slices && is_slices_end(&error, until) => py.check_signals()?,
                done => return done.map_err(|error| to_py(py, error)),
            }
        }
    })
}

static THREADING: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// Imports what the first wait needs, while there are descriptors to import it with.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    THREADING.get_or_try_init(py, || py.import("threading").map(Bound::unbind)).map(|_| ())
}

thread_local! {
    /// What [`is_main_thread`] answered in this thread, and the number of forks then: a fork makes the thread that calls
    /// it the main one of the child.
    static MAIN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    if let Some((at, main)) = MAIN.get()
        && at == forks()
    {
        return Ok(main);
    }
    let threading = THREADING.get_or_try_init(py, || py.import("threading").map(Bound::unbind))?.bind(py);
    let main = threading.call_method0("main_thread")?.getattr("ident")?.eq(threading.call_method0("get_ident")?)?;
    MAIN.set(Some((forks(), main)));
    Ok(main)
}

/// How often this process is a child of a fork since the module was loaded. What was taken under another
/// number belongs to a parent.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The present number.
#[inline]
pub(crate) fn forks() -> u32 {
    FORKS.load(Relaxed) // written in a child that has one thread yet
}

/// Starts counting; called once, when the module is loaded.
pub(crate) fn count_forks() {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Relaxed);
    }
    // SAFETY: `in_child` is a function of this library, which Python never unloads; it changes one atomic and
    // is thus fit to run in the child of a process with several threads. Out of memory (the only failure) leaves
    // the count at 0: then core finds stale roles by its own count.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

/// The error for a role or guard that belongs to the parent.
#[cold]
pub(crate) fn forked(what: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Forked, format!("{what} was taken before fork and belongs to the parent process; {remedy}"))
}
