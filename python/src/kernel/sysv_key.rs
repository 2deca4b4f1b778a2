//! System V keys: in Python a number, or ``None`` for a private object.

use crate::error::{count, detached, invalid};
use pyo3::prelude::*;
use std::path::PathBuf;
use triveni::kernel::SysvKey;

/// The System V key of an existing file and a number from 1 to 255, as ftok(3) makes it in every C library.
///
/// Two files may have the same one; a file that was written anew has another one than before.
#[pyfunction]
pub(crate) fn sysv_key(py: Python<'_>, path: PathBuf, id: &Bound<'_, PyAny>) -> PyResult<i32> {
    let id = count("id", id)?;
    let id = u8::try_from(id).map_err(|_| invalid(py, format!("id {id} is out of range; give 1 to 255")))?;
    detached(py, || SysvKey::ftok(path, id)).map(SysvKey::number)
}

/// The key in an argument: a number as `ipcs` shows it, with or without its sign; ``None`` is private.
pub(crate) fn key(key: Option<&Bound<'_, PyAny>>) -> PyResult<SysvKey> {
    let Some(key) = key else { return Ok(SysvKey::PRIVATE) };
    let number = key.extract::<i64>()?;
    let signed = i32::try_from(number).or_else(|_| u32::try_from(number).map(|number| number as i32));
    signed.map(SysvKey::new).map_err(|_| {
        invalid(key.py(), format!("key {number} is out of range; a System V key has 32 bits, and None is private"))
    })
}

/// A key as Python shows it: ``None`` if it is private.
pub(crate) fn shown(key: SysvKey) -> Option<i32> {
    (!key.is_private()).then_some(key.number())
}
