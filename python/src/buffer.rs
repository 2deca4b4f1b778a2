//! Bytes in and out: any contiguous buffer as input, a grant as a memoryview.
//!
//! A view keeps its grant alive, because Python's buffer protocol makes it hold a reference. The other half,
//! that a grant cannot end while a view is out, is [`Room`]'s: it counts views, and `end` refuses.

use crate::error::{call, invalid, to_py};
use crate::exported::Exported;
use crate::wait::{forked, forks};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::borrow::Cow;
use std::ffi::c_int;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a caller gave us to send.
pub(crate) enum Input<'py> {
    /// Immutable: may be read while the interpreter is released.
    Bytes(Bound<'py, PyBytes>),
    /// A bytearray, memoryview, array …: read only while the interpreter is held.
    Buffer(Exported),
}

impl<'py> Input<'py> {
    pub(crate) fn of(message: &Bound<'py, PyAny>) -> PyResult<Input<'py>> {
        if let Ok(bytes) = message.cast::<PyBytes>() {
            return Ok(Input::Bytes(bytes.clone()));
        }
        let scattered = "the buffer is not contiguous; send bytes(it), which is a copy";
        Exported::of(message, scattered).map(Input::Buffer)
    }

    /// The bytes, for as long as the interpreter is held.
    pub(crate) fn bytes(&self, _py: Python<'_>) -> &[u8] {
        match self {
            Input::Bytes(bytes) => bytes.as_bytes(),
            Input::Buffer(buffer) if buffer.size() == 0 => &[],
            // SAFETY: a C-contiguous buffer of `size` bytes at `at`, not null since it is not empty, exported
            // to us until `self` is dropped. Its owner may write to it only with the interpreter held, and `_py`
            // says that we hold it. Whoever writes without (numpy in another thread) gets torn bytes sent, no more.
            Input::Buffer(buffer) => unsafe { slice::from_raw_parts(buffer.at().cast(), buffer.size()) },
        }
    }

    /// The bytes, also for a time when the interpreter is released: a copy unless they cannot change.
    pub(crate) fn kept(&self, py: Python<'_>) -> Cow<'_, [u8]> {
        match self {
            Input::Bytes(bytes) => Cow::Borrowed(bytes.as_bytes()),
            Input::Buffer(_) => Cow::Owned(self.bytes(py).to_vec()),
        }
    }
}

/// A writable, contiguous buffer of the caller's.
pub(crate) struct Output(Exported);

impl Output {
    pub(crate) fn of(buffer: &Bound<'_, PyAny>) -> PyResult<Output> {
        let unfit = "a writable and contiguous buffer is needed; a bytearray is one";
        let buffer = Exported::of(buffer, unfit)?;
        if buffer.readonly() {
            return Err(PyBufferError::new_err(unfit));
        }
        Ok(Output(buffer))
    }

    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// Copies `bytes` to its beginning, as far as they fit.
    pub(crate) fn fill(&self, _py: Python<'_>, bytes: &[u8]) {
        let n = bytes.len().min(self.size());
        // SAFETY: source: `n` ≤ its length. Target: C-contiguous and writable (checked in `of`), `n` ≤ its size,
        // exported to us until `self` is dropped. They do not overlap: `bytes` is memory that only Rust knows.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.at().cast(), n) };
    }
}

/// The largest message that is received by way of the stack.
const SMALL: usize = 512;

/// Runs `f` on `size` bytes of scratch.
pub(crate) fn with_scratch<R>(size: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    if size <= SMALL { f(&mut [0; SMALL][..size]) } else { f(&mut vec![0; size]) }
}

/// Why a room did not end.
pub(crate) enum Refused {
    /// It had ended before.
    Ended,
    /// So many views of it are alive.
    Viewed(usize),
    /// It was lent to the parent of this process.
    Forked,
}

impl Refused {
    #[cold]
    fn to_py(&self, py: Python<'_>, what: &str) -> PyErr {
        match self {
            Refused::Ended => invalid(py, format!("this {what} has ended; take a new one")),
            Refused::Viewed(views) => PyBufferError::new_err(format!(
                "{views} view(s) of this {what} are alive; release() or del the memoryviews and arrays on it first"
            )),
            Refused::Forked => to_py(py, forked(&format!("this {what}"), "take a new one")),
        }
    }
}

/// Runs `end`, which ends a room and what stands behind it. `ValueError` if it has ended before, `BufferError` under a
/// live view, `Forked` for the parent's. Exceptions are made here, after `end`: making one may run any Python code, so nothing may be locked.
pub(crate) fn ending(
    py: Python<'_>,
    what: &str,
    end: impl FnOnce() -> triveni::Result<Result<(), Refused>>,
) -> PyResult<()> {
    call(py, end)?.map_err(|refused| refused.to_py(py, what))
}

/// Memory in the segment that a grant lends to Python.
pub(crate) struct Room {
    /// Mapped until `ended`: whoever owns the room keeps the object, and so the mapping, that long.
    at: *mut u8,
    size: usize,
    writable: bool,
    /// See `wait::forks`.
    forks: u32,
    state: Mutex<State>,
}

struct State {
    ended: bool,
    /// Memoryviews that look at it. 0 when `ended`.
    views: usize,
}

// SAFETY: `at` is an address in memory shared between processes; the room never reads or writes there itself,
// it only hands the address to Python's buffer protocol, whose users synchronise as with any other buffer.
unsafe impl Send for Room {}
// SAFETY: as above; all that changes is behind the mutex.
unsafe impl Sync for Room {}

impl Room {
    /// # Safety
    /// - `at` points to `size` bytes that stay mapped, and lent to us, until `end` has succeeded or the room is dropped:
    ///   views of anything else would be wild reads and writes.
    pub(crate) unsafe fn new(at: *mut u8, size: usize, writable: bool) -> Room {
        Room { at, size, writable, forks: forks(), state: Mutex::new(State { ended: false, views: 0 }) }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Was it lent to the parent of this process?
    pub(crate) fn is_parents(&self) -> bool {
        self.forks != forks()
    }

    /// Held for a few instructions only, never over a wait or a call into Python.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the room: from now on there are no views of it.
    pub(crate) fn end(&self) -> Result<(), Refused> {
        if self.is_parents() {
            return Err(Refused::Forked);
        }
        let mut state = self.state();
        match state.views {
            _ if state.ended => Err(Refused::Ended),
            0 => {
                state.ended = true;
                Ok(())
            }
            views => Err(Refused::Viewed(views)),
        }
    }

    /// Ends it if no view is alive; says whether it did. In the child of a fork it does not.
    pub(crate) fn end_if_free(&self) -> bool {
        if self.is_parents() {
            return false;
        }
        let mut state = self.state();
        let free = !state.ended && state.views == 0;
        state.ended |= free;
        free
    }

    /// `__getbuffer__` of the grant `owner`.
    ///
    /// # Safety
    /// - `view` and `flags` are what Python passed to `owner`'s `bf_getbuffer`.
    pub(crate) unsafe fn lend(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
        what: &str,
    ) -> PyResult<()> {
        if flags & ffi::PyBUF_WRITABLE != 0 && !self.writable {
            return Err(PyBufferError::new_err(format!("this {what} is to be read only")));
        }
        // SAFETY: `view` and `flags` as they came; `at` and `size` are lent to us until the room ends (`new`).
        unsafe { self.lend_at((self.at, self.size, self.writable), owner, view, flags, what) }
    }

    /// `__getbuffer__` of `owner` on other memory that is ours as long as the room: `(at, size, writable)`. The room does
    /// not end while that view is alive.
    ///
    /// # Safety
    /// - `view` and `flags` are what Python passed to `owner`'s `bf_getbuffer`.
    /// - `at` points to `size` bytes that stay mapped, and lent to us, until the room ends.
    pub(crate) unsafe fn lend_at(
        &self,
        (at, size, writable): (*mut u8, usize, bool),
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
        what: &str,
    ) -> PyResult<()> {
        let size = isize::try_from(size).map_err(|_| PyBufferError::new_err("too large to view"))?;
        if self.is_parents() {
            return Err(Refused::Forked.to_py(owner.py(), what));
        }
        let mut state = self.state();
        if state.ended {
            drop(state); // an exception may run Python code, and that may come here again
            return Err(Refused::Ended.to_py(owner.py(), what));
        }
        // SAFETY: `view` is Python's, to be filled. `at` and `size` are lent to us until the room ends, as the caller
        // promises, and it does not end while the view we count below is out. `owner` is referenced by the view.
        // Peers may write there at any time, if they misbehave: a memoryview has no promise against that.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), at.cast(), size, c_int::from(!writable), flags) };
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
