//! The one table of error codes, as exceptions.
//!
//! A row of [`ErrorKind::TABLE`] that names a built-in exception raises that one; every other row gets a class
//! under `triveni.Error`, made here when the module is loaded. All of them carry the number as `errno`.

use pyo3::exceptions::{PyAttributeError, PyConnectionResetError, PyException, PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::panic::{AssertUnwindSafe, catch_unwind};
use triveni::{Error, ErrorKind, Result};

/// One class for each row, in the order of the table. Written once, when the module is loaded.
static CLASSES: PyOnceLock<Vec<(ErrorKind, Py<PyType>)>> = PyOnceLock::new();

/// Makes the classes that Python does not have, and adds them and `ERRORS`, the table, to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let builtins = py.import("builtins")?;
    let doc =
        "What triveni raises where Python has no exception of its own; `errno` is the number, the same in C and Rust.";
    let base = new_class(py, "Error", (py.get_type::<PyException>(),).into_pyobject(py)?, doc, None)?;
    module.add("Error", &base)?;
    let mut classes = Vec::with_capacity(ErrorKind::TABLE.len());
    let mut rows = Vec::with_capacity(ErrorKind::TABLE.len());
    for row in ErrorKind::TABLE {
        let class = match builtins.getattr_opt(row.python)? {
            Some(class) => class.cast_into::<PyType>()?,
            None => {
                let bases = match row.kind {
                    ErrorKind::PeerDead => (&base, py.get_type::<PyConnectionResetError>()).into_pyobject(py)?,
                    _ => (&base,).into_pyobject(py)?,
                };
                let class = new_class(py, row.python, bases, row.sentence, Some(row))?;
                module.add(row.python, &class)?;
                class
            }
        };
        rows.push((row.errno, row.c_name, class.clone(), row.sentence));
        classes.push((row.kind, class.unbind()));
    }
    module.add("ERRORS", PyTuple::new(py, rows)?)?;
    // A second initialisation would find the classes of the first one: one process, one table.
    let _ = CLASSES.set(py, classes);
    Ok(())
}

fn new_class<'py>(
    py: Python<'py>,
    name: &str,
    bases: Bound<'py, PyTuple>,
    doc: &str,
    row: Option<&triveni::ErrorRow>,
) -> PyResult<Bound<'py, PyType>> {
    let dict = PyDict::new(py);
    dict.set_item("__module__", "triveni")?;
    dict.set_item("__doc__", doc)?;
    match row {
        None => dict.set_item("errno", 0)?,
        // A ConnectionResetError keeps the number it is made with.
        Some(row) if row.kind == ErrorKind::PeerDead => {
            dict.set_item("errno", py.get_type::<PyOSError>().getattr("errno")?)?;
        }
        Some(row) => dict.set_item("errno", row.errno)?,
    }
    if row.is_some_and(|row| row.kind == ErrorKind::OwnerDied) {
        dict.set_item("guard", py.None())?;
    }
    if row.is_some_and(|row| row.kind == ErrorKind::Lost) {
        dict.set_item("count", 0)?;
    }
    Ok(py.get_type::<PyType>().call1((name, bases, dict))?.cast_into::<PyType>()?)
}

/// The exception for an error from core.
#[cold]
pub(crate) fn to_py(py: Python<'_>, error: Error) -> PyErr {
    build(py, &error).map_or_else(|failed| failed, PyErr::from_value)
}

fn build<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let known = CLASSES.get(py).and_then(|classes| classes.iter().find(|(kind, _)| *kind == error.kind()));
    let class = known.map_or_else(|| py.get_type::<PyOSError>(), |(_, class)| class.bind(py).clone());
    if class.is_subclass_of::<PyOSError>()? {
        return class.call1((error.errno(), error.to_string())); // OSError takes the number itself
    }
    let value = class.call1((error.to_string(),))?;
    value.setattr("errno", error.errno())?;
    Ok(value)
}

/// `ValueError` with a sentence, for what no object could accept and for use after `close`.
#[cold]
pub(crate) fn invalid(py: Python<'_>, sentence: impl Into<String>) -> PyErr {
    to_py(py, Error::new(ErrorKind::Invalid, sentence))
}

/// Runs `f`, which never waits, with the interpreter held.
#[inline]
pub(crate) fn call<T>(py: Python<'_>, f: impl FnOnce() -> Result<T>) -> PyResult<T> {
    contained(f).map_err(|error| to_py(py, error))
}

/// Runs `f`, which may meet a lock of core for a short time, with the interpreter released.
pub(crate) fn detached<T: Send>(py: Python<'_>, f: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| contained(f)).map_err(|error| to_py(py, error))
}

/// A panic in core is a bug in triveni; it ends here and becomes an error like any other.
#[inline]
pub(crate) fn contained<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwinding is fine here: core's objects keep their invariants in shared memory word by word, because any
    // process may die between two words; a thread that unwinds there leaves no more behind than that.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(ErrorKind::Panic.into()))
}

/// Is it the end of a channel that was shut down?
pub(crate) fn is_closed(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let closed = CLASSES.get(py).and_then(|classes| classes.iter().find(|(kind, _)| *kind == ErrorKind::Closed));
    Ok(closed.is_some_and(|(_, class)| error.matches(py, class.bind(py)).unwrap_or(false)))
}

/// A whole number from 0 on; `what` is the argument's name, for the sentence.
pub(crate) fn whole(what: &str, number: &Bound<'_, PyAny>) -> PyResult<usize> {
    let py = number.py();
    // Another exception, such as KeyboardInterrupt or RecursionError, is the caller's to see.
    let index =
        number.call_method0("__index__").map_err(|error| match error.is_instance_of::<PyAttributeError>(py) {
            true => PyTypeError::new_err(format!("{what}: a whole number is needed, not {}", type_name(number))),
            false => error,
        })?;
    index.extract::<usize>().map_err(|_| {
        let shown: String = index.to_string().chars().take(40).collect();
        invalid(py, format!("{what} {shown} is out of range; give a whole number from 0 to 2**64 - 1"))
    })
}

/// A count of 32 bits: permits, parties, flags.
pub(crate) fn count(what: &str, number: &Bound<'_, PyAny>) -> PyResult<u32> {
    let n = whole(what, number)?;
    u32::try_from(n).map_err(|_| {
        invalid(number.py(), format!("{what} {n} is out of range; give a whole number from 0 to {}", u32::MAX))
    })
}

/// What a value is, for the sentence that it should be something else.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "this".to_string(), |name| name.to_string())
}
