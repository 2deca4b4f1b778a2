//! The command `triveni`, run inside the interpreter's process.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the command with `arguments` (the first one is its name) and returns its exit code.
#[pyfunction]
#[pyo3(name = "_run_command")]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| triveni_cli::run(arguments))
}
