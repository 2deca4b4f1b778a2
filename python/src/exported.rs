//! A buffer that a Python object exports to us.
//!
//! PyO3's own type refuses buffers without a shape, and so every `ctypes.Structure`.

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

/// A C-contiguous buffer; given back when dropped.
pub(crate) struct Exported {
    /// From `Box::into_raw` and filled by `PyObject_GetBuffer`; not released before the drop. Its owner may point into it.
    view: NonNull<ffi::Py_buffer>,
}

/// What a new `Py_buffer` holds until Python fills it.
const EMPTY: ffi::Py_buffer = ffi::Py_buffer::new();

impl Exported {
    /// # Errors
    /// `TypeError` if `object` exports no buffer, `BufferError` with the sentence `scattered` if its bytes do not follow
    /// each other, and `BufferError` if they are references to Python objects: those mean nothing to another process,
    /// and received bytes are none.
    pub(crate) fn of(object: &Bound<'_, PyAny>, scattered: &'static str) -> PyResult<Exported> {
        let view = NonNull::from(Box::leak(Box::new(EMPTY)));
        // SAFETY: `object` is a live reference, the interpreter is held; `view` is ours to fill.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), view.as_ptr(), ffi::PyBUF_FULL_RO) } != 0 {
            // SAFETY: from a box, lines above, and Python did not fill it.
            drop(unsafe { Box::from_raw(view.as_ptr()) });
            return Err(PyErr::fetch(object.py()));
        }
        let exported = Exported { view };
        // SAFETY: a filled view; the interpreter is held.
        if unsafe { ffi::PyBuffer_IsContiguous(view.as_ptr(), b'C' as c_char) } == 0 {
            return Err(PyBufferError::new_err(scattered));
        }
        if exported.format().is_some_and(has_objects) {
            return Err(PyBufferError::new_err(
                "the buffer holds references to Python objects, which mean nothing to another process; use numbers or bytes",
            ));
        }
        Ok(exported)
    }

    fn format(&self) -> Option<&[u8]> {
        // SAFETY: `view` is filled and not released; its format is null or ends with a 0 and stays with the view.
        let format = unsafe { self.view.as_ref() }.format;
        // SAFETY: as above.
        (!format.is_null()).then(|| unsafe { CStr::from_ptr(format) }.to_bytes())
    }

    pub(crate) fn size(&self) -> usize {
        // SAFETY: `view` is filled and not released.
        usize::try_from(unsafe { self.view.as_ref() }.len).unwrap_or(0)
    }

    /// Its [`size`](Exported::size) bytes. They stay until the drop; may be null if there are none.
    pub(crate) fn at(&self) -> *mut c_void {
        // SAFETY: `view` is filled and not released.
        unsafe { self.view.as_ref() }.buf
    }

    pub(crate) fn readonly(&self) -> bool {
        // SAFETY: `view` is filled and not released.
        unsafe { self.view.as_ref() }.readonly != 0
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        // SAFETY: filled, released here and nowhere else, with the interpreter held.
        let released = Python::try_attach(|_| unsafe { ffi::PyBuffer_Release(self.view.as_ptr()) });
        if released.is_some() {
            // SAFETY: from a box (`of`), and its owner has got it back. An interpreter that ends keeps it.
            drop(unsafe { Box::from_raw(self.view.as_ptr()) });
        }
    }
}

/// Is there an `O` in a PEP 3118 format, outside of the names between colons?
fn has_objects(format: &[u8]) -> bool {
    let types = format.split(|&byte| byte == b':').step_by(2);
    types.flatten().any(|&byte| byte == b'O')
}
