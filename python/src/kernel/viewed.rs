//! Shared memory as Python's buffers: no copy, and no end under a live view.
//!
//! Unlike a grant's, this memory belongs to every process that has it attached: after a fork the child views it too, and
//! its count of views begins where its parent's was, as its copies of the parent's views are alive.

use crate::error::invalid;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Attached memory that Python may view, until somebody closes it.
pub(crate) struct Viewed<T> {
    what: &'static str,
    state: Mutex<State<T>>,
}

struct State<T> {
    memory: Option<Arc<T>>,
    /// Memoryviews that look at it.
    views: usize,
}

impl<T> Viewed<T> {
    /// `what` is its name in sentences: `POSIX shared memory`.
    pub(crate) fn new(what: &'static str, memory: T) -> Viewed<T> {
        Viewed { what, state: Mutex::new(State { memory: Some(Arc::new(memory)), views: 0 }) }
    }

    /// Held for a few instructions only, never over a call into Python that may run code of others.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `ValueError` once it is closed.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Arc<T>> {
        let memory = self.state().memory.clone();
        memory.ok_or_else(|| invalid(py, format!("this {} is closed; open it again", self.what)))
    }

    /// Is it open? For `repr`.
    pub(crate) fn is_open(&self) -> bool {
        self.state().memory.is_some()
    }

    /// Detaches it; again is nothing new. `BufferError` under a live view.
    pub(crate) fn close(&self) -> PyResult<()> {
        let (views, gone) = {
            let mut state = self.state();
            (state.views, if state.views == 0 { state.memory.take() } else { None })
        };
        drop(gone); // after the lock
        match views {
            0 => Ok(()),
            views => Err(PyBufferError::new_err(format!(
                "{views} view(s) of this {} are alive; release() or del the memoryviews and arrays on it first",
                self.what
            ))),
        }
    }

    /// `__getbuffer__` of `owner`; `bytes` says where the memory lies, its size, and whether it is read-only.
    ///
    /// # Safety
    /// - `view` and `flags` are what Python passed to `owner`'s `bf_getbuffer`.
    /// - `bytes` tells of memory that stays attached as long as the `T`.
    pub(crate) unsafe fn lend(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
        bytes: impl FnOnce(&T) -> (*mut u8, usize, bool),
    ) -> PyResult<()> {
        let memory = self.get(owner.py())?;
        let (at, size, readonly) = bytes(&memory);
        let size = isize::try_from(size).map_err(|_| PyBufferError::new_err("too large to view"))?;
        if readonly && flags & ffi::PyBUF_WRITABLE != 0 {
            return Err(PyBufferError::new_err(format!("this {} is attached read-only", self.what)));
        }
        let mut state = self.state();
        if state.memory.is_none() {
            drop(state); // closed meanwhile, by another thread
            return self.get(owner.py()).map(|_| ());
        }
        // SAFETY: `view` is Python's, to be filled. The memory stays attached while `state.memory` is there, and that is
        // not taken while the view we count below is out. The view keeps `owner`. Other processes write there at any
        // time: what a view of shared memory is for.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), at.cast(), size, c_int::from(readonly), flags) };
        if filled != 0 {
            drop(state);
            return Err(PyErr::fetch(owner.py()));
        }
        state.views += 1;
        Ok(())
    }

    /// `__releasebuffer__`.
    pub(crate) fn give_back(&self) {
        let mut state = self.state();
        state.views = state.views.saturating_sub(1);
    }
}
