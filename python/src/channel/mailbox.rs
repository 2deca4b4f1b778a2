//! A mailbox: messages from any number of senders to any number of receivers, and room in it, lent.

use super::grant::{Grant, Lender};
use crate::buffer::{Input, Output, Refused, Room, with_scratch};
use crate::error::{to_py, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::sync::Arc;
use triveni::{Deadline, Error, ErrorKind, RawLoan, Received, Result};

/// A bounded queue of messages that Rust, C and Python processes share: any number of senders and receivers, in
/// the order of sending.
///
/// ``Segment.mailbox(name, capacity=10, message_size=256)`` finds or creates it. ``send`` takes anything that has
/// contiguous bytes; ``receive`` gives ``bytes``. ``reserve(size)`` lends room to be written in place.
/// ``len(mailbox)`` counts messages.
///
/// Threads: any number may use one mailbox at once. fork: the child goes on using it. pickle: by name.
/// A message that a dead receiver held is delivered again; ``receive_info`` tells.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Mailbox {
    segment: triveni::Segment,
    mailbox: triveni::Mailbox,
}

/// How a message is read: taken, or only looked at.
#[derive(Clone, Copy)]
enum Reading {
    Receive,
    Peek,
}

impl Mailbox {
    pub(crate) fn new(segment: triveni::Segment, mailbox: triveni::Mailbox) -> Mailbox {
        Mailbox { segment, mailbox }
    }

    pub(crate) fn core(&self) -> &triveni::Mailbox {
        &self.mailbox
    }

    #[inline]
    fn attempt_send(&self, message: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        match until {
            None => Ok(self.mailbox.try_send(message)?.then_some(())),
            Some(until) => self.mailbox.send_until(message, until).map(Some),
        }
    }

    #[inline]
    fn attempt_read(&self, reading: Reading, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<Received>> {
        match (reading, until) {
            (Reading::Receive, None) => self.mailbox.try_receive(buffer),
            (Reading::Receive, Some(until)) => self.mailbox.receive_until(buffer, until).map(Some),
            (Reading::Peek, None) => self.mailbox.try_peek(buffer),
            (Reading::Peek, Some(until)) => self.mailbox.peek_until(buffer, until).map(Some),
        }
    }

    /// Reads the oldest message and gives it to `done`; waits if there is a deadline, answers `None` if not.
    fn read<T>(
        &self,
        py: Python<'_>,
        reading: Reading,
        until: Option<Deadline>,
        done: impl FnOnce(&[u8], Received) -> PyResult<T>,
    ) -> PyResult<Option<T>> {
        with_scratch(self.mailbox.message_size(), |scratch| {
            let received = match until {
                None => trying(py, |until| self.attempt_read(reading, scratch, until))?,
                Some(end) => Some(waiting(py, end, |until| self.attempt_read(reading, scratch, until))?),
            };
            let Some(received) = received else { return Ok(None) };
            let message = scratch.get(..received.size).ok_or_else(|| to_py(py, ErrorKind::Corrupt.into()))?;
            done(message, received).map(Some)
        })
    }

    fn bytes<'py>(
        &self,
        py: Python<'py>,
        reading: Reading,
        until: Option<Deadline>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.read(py, reading, until, |message, _| Ok(PyBytes::new(py, message)))
    }

    fn info<'py>(&self, py: Python<'py>, until: Option<Deadline>) -> PyResult<Option<(Bound<'py, PyBytes>, u16)>> {
        self.read(py, Reading::Receive, until, |message, received| {
            Ok((PyBytes::new(py, message), received.redelivered))
        })
    }

    fn into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, until: Option<Deadline>) -> PyResult<Option<usize>> {
        let output = Output::of(buffer)?;
        let (size, most) = (output.size(), self.mailbox.message_size());
        if size < most {
            let sentence = format!(
                "mailbox {}: the buffer holds {size} bytes, a message up to {most}; give a larger one",
                address(&self.segment, self.mailbox.name())
            );
            return Err(to_py(py, Error::new(ErrorKind::TooLarge, sentence)));
        }
        self.read(py, Reading::Receive, until, |message, _| {
            output.fill(py, message);
            Ok(message.len())
        })
    }

    #[inline]
    fn attempt_reserve(&self, size: usize, until: Option<Deadline>) -> Result<Option<Loan>> {
        let loan = match until {
            None => self.mailbox.try_reserve(size)?,
            Some(until) => Some(self.mailbox.reserve_until(size, until)?),
        };
        Ok(loan.map(|mut loan| {
            let (at, size) = (loan.as_mut_ptr(), loan.size());
            let raw = loan.into_raw();
            // SAFETY: `at` points to `size` bytes of the slot that `raw` claims, valid until the claim is committed or
            // cancelled. That happens in `Claim` only, after the room has ended; and its mailbox keeps the mapping
            // until then, as a view keeps the loan.
            let room = Arc::new(unsafe { Room::new(at, size, true) });
            Loan(Grant::new(Claim { mailbox: self.mailbox.clone(), raw }, room))
        }))
    }
}

/// What waiting calls give: an attempt with a deadline ends with a value or an error.
fn always<T>(py: Python<'_>, value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| to_py(py, ErrorKind::Timeout.into()))
}

#[pymethods]
impl Mailbox {
    /// Sends a copy of ``message``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (message, timeout=None))]
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(message)?;
        if trying(py, |_| self.attempt_send(input.bytes(py), None))?.is_some() {
            return Ok(());
        }
        let message = input.kept(py);
        waiting(py, until, |until| self.attempt_send(&message, until))
    }

    /// Sends a copy of ``message`` if there is room; says whether it did.
    fn try_send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(message)?;
        Ok(trying(py, |_| self.attempt_send(input.bytes(py), None))?.is_some())
    }

    /// Receives the oldest message; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let message = self.bytes(py, Reading::Receive, Some(deadline(py, timeout)?))?;
        always(py, message)
    }

    /// Receives the oldest message, or ``None`` if there is none.
    fn try_receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.bytes(py, Reading::Receive, None)
    }

    /// As ``receive``, with the number of receivers that died with the message before: ``(message, redelivered)``.
    #[pyo3(signature = (timeout=None))]
    fn receive_info<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, u16)> {
        let message = self.info(py, Some(deadline(py, timeout)?))?;
        always(py, message)
    }

    /// As ``try_receive``, with the number of receivers that died with the message before.
    fn try_receive_info<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, u16)>> {
        self.info(py, None)
    }

    /// Receives into ``buffer``, which holds at least ``message_size`` bytes; returns the message's size.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let size = self.into(py, buffer, Some(deadline(py, timeout)?))?;
        always(py, size)
    }

    /// Receives into ``buffer`` if there is a message; returns its size, or ``None``.
    fn try_receive_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.into(py, buffer, None)
    }

    /// Copies the oldest message without taking it; waits for one.
    #[pyo3(signature = (timeout=None))]
    fn peek<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let message = self.bytes(py, Reading::Peek, Some(deadline(py, timeout)?))?;
        always(py, message)
    }

    /// Copies the oldest message without taking it, or ``None`` if there is none.
    fn try_peek<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.bytes(py, Reading::Peek, None)
    }

    /// Claims room for a message of up to ``size`` bytes, to be written in place; waits for room.
    ///
    /// ``with mailbox.reserve(16) as loan:`` commits at the end, and cancels after an exception.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Loan> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(size, until))
    }

    /// Claims room if there is some; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<Loan>> {
        let size = whole("size", size)?;
        trying(py, |until| self.attempt_reserve(size, until))
    }

    /// The most messages it holds.
    #[getter]
    fn capacity(&self) -> usize {
        self.mailbox.capacity()
    }

    /// The largest message in bytes.
    #[getter]
    fn message_size(&self) -> usize {
        self.mailbox.message_size()
    }

    /// Claims of dead senders that were given back so far.
    fn voided(&self) -> u64 {
        self.mailbox.voided()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.mailbox.name()
    }

    fn __len__(&self) -> usize {
        self.mailbox.len()
    }

    /// A mailbox is true, also when it is empty: ``if mailbox:`` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "mailbox", self.mailbox.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.mailbox.name());
        let (len, capacity, size) = (self.mailbox.len(), self.mailbox.capacity(), self.mailbox.message_size());
        format!("<triveni.Mailbox {address} {len} of {capacity} messages of up to {size} bytes>")
    }
}

/// Room in a mailbox, claimed for one message.
///
/// ``memoryview(loan)``, ``struct.pack_into(fmt, loan, 0, ...)`` and ``numpy.frombuffer(loan, dtype)`` write straight into the
/// segment. ``commit(size=None)`` sends the first ``size`` bytes (all of them unless given), ``cancel()`` gives the
/// room back; so does a loan that goes away. Both raise ``BufferError`` while a view of it is alive.
/// Receivers wait behind a claim, so be quick.
///
/// Threads: any thread of this process may end it. fork: it belongs to the parent.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Loan(Grant<Claim>);

/// A claim in a mailbox.
pub(crate) struct Claim {
    mailbox: triveni::Mailbox,
    raw: RawLoan,
}

impl Lender for Claim {
    const NOUN: &'static str = "loan";

    fn address(&self) -> String {
        format!("'{}'", self.mailbox.name())
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        let loan = self.mailbox.resume(self.raw)?;
        match done {
            Some(size) => loan.commit(size)?,
            None => loan.cancel(),
        }
        Ok(Ok(()))
    }

    fn give_back(&self, room: &Room) {
        if room.end_if_free() {
            // In the child of a fork this is the parent's claim, and refused.
            if let Ok(loan) = self.mailbox.resume(self.raw) {
                loan.cancel();
            }
        }
    }
}

#[pymethods]
impl Loan {
    /// Sends the first ``size`` bytes; all of them unless given.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.done(py, size)
    }

    /// Gives the room back; nothing is sent.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.0.undone(py)
    }

    /// Bytes of room.
    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    fn __len__(&self) -> usize {
        self.0.size()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.0.exit(py, exception)
    }

    // SAFETY: called by Python only, as `bf_getbuffer` of `slf`.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are passed on as they came.
        unsafe { slf.get().0.lend(slf.as_any(), view, flags) }
    }

    // SAFETY: called by Python only, once for each view that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.view_ended();
    }

    fn __repr__(&self) -> String {
        self.0.repr("Loan")
    }
}
