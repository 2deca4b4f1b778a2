//! A ring, its two roles, and the room and records they lend.
//!
//! A role belongs to one thread at a time. It lies behind a mutex that is only ever *tried*: while one thread
//! writes, or waits for room, another one that comes gets `Busy`, never a wait that holds the interpreter.
//! While a grant is pending the role does nothing else: core has one reservation, and one record in hand.

use super::grant::{Grant, Lender};
use crate::buffer::{Input, Output, Refused, Room, ending, with_scratch};
use crate::error::{call, detached, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, forked, forks, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::ffi::c_int;
use std::mem::forget;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use triveni::{Deadline, Error, ErrorKind, Result};

/// Records of any size from one producer to one consumer, which may be Rust, C or Python.
///
/// ``Segment.ring(name, size=65536)`` finds or creates it. ``producer()`` and ``consumer()`` take its two ends.
///
/// Threads: any number may use one ring. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Ring {
    segment: triveni::Segment,
    ring: triveni::Ring,
}

impl Ring {
    pub(crate) fn new(segment: triveni::Segment, ring: triveni::Ring) -> Ring {
        Ring { segment, ring }
    }

    fn address(&self) -> String {
        address(&self.segment, self.ring.name())
    }
}

#[pymethods]
impl Ring {
    /// Becomes its producer. ``Busy`` if a live process (this one, too) is; takes over from a dead one.
    fn producer(&self, py: Python<'_>) -> PyResult<Producer> {
        let producer = detached(py, || self.ring.producer())?;
        Ok(Producer(Arc::new(Role::new("producer", self.address(), producer))))
    }

    /// Becomes its consumer. ``Busy`` if a live process (this one, too) is; takes over from a dead one.
    fn consumer(&self, py: Python<'_>) -> PyResult<Consumer> {
        let consumer = detached(py, || self.ring.consumer())?;
        Ok(Consumer(Arc::new(Role::new("consumer", self.address(), consumer))))
    }

    /// Bytes of its cells.
    #[getter]
    fn size(&self) -> usize {
        self.ring.size()
    }

    /// The largest record in bytes.
    #[getter]
    fn max_record(&self) -> usize {
        self.ring.max_record()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.ring.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "ring", self.ring.name())
    }

    fn __repr__(&self) -> String {
        let (size, most) = (self.ring.size(), self.ring.max_record());
        format!("<triveni.Ring {} {size} bytes, records of up to {most}>", self.address())
    }
}

/// One end of a ring, shared by its Python object and the grant it lent.
pub(crate) struct Role<R> {
    /// `producer` or `consumer`
    noun: &'static str,
    address: String,
    forks: u32,
    state: Mutex<State<R>>,
}

struct State<R> {
    /// `None` once it is closed.
    end: Option<R>,
    /// The room of the grant that is pending in core. Not ended, as long as it stands here.
    pending: Option<Arc<Room>>,
}

impl<R> Role<R> {
    fn new(noun: &'static str, address: String, end: R) -> Role<R> {
        Role { noun, address, forks: forks(), state: Mutex::new(State { end: Some(end), pending: None }) }
    }

    fn state(&self) -> Result<MutexGuard<'_, State<R>>> {
        let Role { noun, address, .. } = self;
        if self.forks != forks() {
            return Err(forked(
                &format!("this {noun} of ring {address}"),
                &format!("ring.{noun}() takes it once the parent lets go"),
            ));
        }
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "the {noun} of ring {address} is in use by another thread; one thread at a time, or a threading.Lock around it"
                ),
            )),
        }
    }

    /// Runs `f` on the end, unless it is closed or a grant is pending.
    #[inline]
    fn with<T>(&self, f: impl FnOnce(&mut R, &mut Option<Arc<Room>>) -> Result<T>) -> Result<T> {
        let mut state = self.state()?;
        let State { end, pending } = &mut *state;
        let (noun, address) = (self.noun, &self.address);
        if pending.is_some() {
            let sentence = format!(
                "the {noun} of ring {address} has a grant pending; end it first: commit(), cancel() or release()"
            );
            return Err(Error::new(ErrorKind::Busy, sentence));
        }
        let end = end.as_mut().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!("this {noun} of ring {address} is closed; ring.{noun}() takes the role again"),
            )
        })?;
        f(end, pending)
    }

    /// Ends the grant on `room` by the call `f`. Refused while a view of it is alive.
    fn end(&self, room: &Room, f: impl FnOnce(&mut R) -> Result<()>) -> Result<Result<(), Refused>> {
        let mut state = self.state()?;
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        state.pending = None;
        state.end.as_mut().map_or(Ok(()), f).map(Ok)
    }

    /// The same for a grant that goes away, or would if a view did not keep it: without a complaint.
    fn give_back(&self, room: &Room, f: impl FnOnce(&mut R)) {
        if room.is_ended() || self.forks != forks() {
            return;
        }
        // Not for long: while this grant is pending, nobody waits in there, and nobody takes the interpreter.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if room.end_if_free() {
            state.pending = None;
            if let Some(end) = state.end.as_mut() {
                f(end);
            }
        }
    }

    /// Gives the role back. `BufferError` while a view of its grant is alive.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.forks != forks() {
            return Ok(()); // the parent's; letting go of it here is nothing to complain about
        }
        ending(py, "grant", || {
            let mut state = self.state()?;
            if let Some(Err(refused)) = state.pending.as_ref().map(|room| room.end()) {
                return Ok(Err(refused));
            }
            state.pending = None;
            state.end = None; // a reservation that was pending goes with it; a record in hand stays
            Ok(Ok(()))
        })
    }

    fn is_closed(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| state.end.is_none())
    }

    fn repr(&self, class: &str) -> String {
        let address = &self.address;
        match self.state.try_lock() {
            _ if self.forks != forks() => format!("<triveni.{class} of {address} of the parent process>"),
            Ok(state) if state.end.is_none() => format!("<triveni.{class} of {address} closed>"),
            Ok(state) if state.pending.is_some() => format!("<triveni.{class} of {address} with a grant pending>"),
            Ok(_) => format!("<triveni.{class} of {address}>"),
            Err(_) => format!("<triveni.{class} of {address} in use>"),
        }
    }
}

/// The writing end of a ring. ``with`` or ``close()`` gives the role back.
///
/// ``write(record)`` copies; ``reserve(size)`` lends room to be written in place, one grant at a time.
/// ``PeerDead`` if the ring is full and the consumer is dead.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the ring.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Producer(Arc<Role<triveni::Producer>>);

impl Producer {
    /// The producer itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Producer) -> Result<T>) -> Result<T> {
        self.0.with(|producer, _| f(producer))
    }

    #[inline]
    fn attempt_write(&self, record: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|producer, _| match until {
            None => Ok(producer.try_write(record)?.then_some(())),
            Some(until) => producer.write_until(record, until).map(Some),
        })
    }

    fn attempt_reserve(&self, size: usize, until: Option<Deadline>) -> Result<Option<WriteGrant>> {
        self.0.with(|producer, pending| {
            let grant = match until {
                None => producer.try_reserve(size)?,
                Some(until) => Some(producer.reserve_until(size, until)?),
            };
            Ok(grant.map(|mut grant| {
                let (at, size) = (grant.as_mut_ptr(), grant.size());
                forget(grant); // the reservation stays pending in the producer
                // SAFETY: `at` points to `size` bytes of the ring, reserved until the producer commits, cancels, reserves again
                // or is dropped. All of these go through `Role`: it refuses while this room stands in `pending`, and
                // takes it out only after the room has ended. The role in `WriteGrant` keeps the mapping.
                let room = Arc::new(unsafe { Room::new(at, size, true) });
                *pending = Some(room.clone());
                WriteGrant(Grant::new(self.0.clone(), room))
            }))
        })
    }
}

#[pymethods]
impl Producer {
    /// Writes a copy of ``record``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (record, timeout=None))]
    fn write(&self, py: Python<'_>, record: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(record)?;
        if trying(py, |_| self.attempt_write(input.bytes(py), None))?.is_some() {
            return Ok(());
        }
        let record = input.kept(py);
        waiting(py, until, |until| self.attempt_write(&record, until))
    }

    /// Writes a copy of ``record`` if there is room; says whether it did.
    fn try_write(&self, py: Python<'_>, record: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(record)?;
        Ok(trying(py, |_| self.attempt_write(input.bytes(py), None))?.is_some())
    }

    /// Borrows room for a record of up to ``size`` bytes, to be written in place; waits for room.
    ///
    /// ``with producer.reserve(16) as grant:`` commits at the end, and cancels after an exception.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(
        &self,
        py: Python<'_>,
        size: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<WriteGrant> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(size, until))
    }

    /// Borrows room if there is some; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<WriteGrant>> {
        let size = whole("size", size)?;
        trying(py, |until| self.attempt_reserve(size, until))
    }

    /// Gives the role back; a pending grant is cancelled. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().0.with(|_, _| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.close(py)
    }

    fn __repr__(&self) -> String {
        self.0.repr("Producer")
    }
}

/// The reading end of a ring. ``with`` or ``close()`` gives the role back.
///
/// ``read()`` gives ``bytes``; ``peek()`` lends the oldest record in place, one grant at a time.
/// ``PeerDead`` if the ring is empty and the producer is dead.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the ring.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Consumer(Arc<Role<triveni::Consumer>>);

impl Consumer {
    /// The consumer itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Consumer) -> Result<T>) -> Result<T> {
        self.0.with(|consumer, _| f(consumer))
    }

    /// Waits until there is a record, and leaves it.
    fn attempt_wait(&self, until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|consumer, _| match until {
            None => Ok(consumer.try_peek()?.map(|_| ())),
            Some(until) => consumer.peek_until(until).map(|_| Some(())),
        })
    }

    /// Takes the oldest record, if there is one, with one copy.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = trying(py, |_| {
            self.0.with(|consumer, _| {
                let Some(grant) = consumer.try_peek()? else { return Ok(None) };
                let bytes = PyBytes::new_with(py, grant.size(), |bytes| {
                    grant.read(0, bytes);
                    Ok(())
                });
                if bytes.is_ok() {
                    grant.release()?; // without memory for it the record stays
                }
                Ok(Some(bytes))
            })
        })?;
        taken.transpose()
    }

    fn take_into(&self, py: Python<'_>, output: &Output) -> PyResult<Option<usize>> {
        trying(py, |_| {
            self.0.with(|consumer, _| {
                let Some(grant) = consumer.try_peek()? else { return Ok(None) };
                let (size, room) = (grant.size(), output.size());
                if size > room {
                    let sentence = format!(
                        "ring {}: the record has {size} bytes, the buffer {room}; give a larger one",
                        self.0.address
                    );
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                with_scratch(size, |scratch| {
                    grant.read(0, scratch);
                    output.fill(py, scratch);
                });
                grant.release()?;
                Ok(Some(size))
            })
        })
    }

    fn attempt_peek(&self, until: Option<Deadline>) -> Result<Option<ReadGrant>> {
        self.0.with(|consumer, pending| {
            let grant = match until {
                None => consumer.try_peek()?,
                Some(until) => Some(consumer.peek_until(until)?),
            };
            Ok(grant.map(|grant| {
                let (at, size) = (grant.as_ptr().cast_mut(), grant.size());
                forget(grant); // the record stays in hand
                // SAFETY: `at` points to `size` bytes of the ring, ours until the consumer releases them or is dropped. Both
                // go through `Role`: it refuses while this room stands in `pending`, and takes it out only after the
                // room has ended. The role in `ReadGrant` keeps the mapping. Not writable: `cast_mut` is for C's sake.
                let room = Arc::new(unsafe { Room::new(at, size, false) });
                *pending = Some(room.clone());
                ReadGrant(Grant::new(self.0.clone(), room))
            }))
        })
    }
}

#[pymethods]
impl Consumer {
    /// Reads the oldest record; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn read<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let until = deadline(py, timeout)?;
        loop {
            if let Some(record) = self.take(py)? {
                return Ok(record);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads the oldest record, or ``None`` if there is none.
    fn try_read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.take(py)
    }

    /// Reads into ``buffer``; returns the record's size. ``TooLarge`` if it does not fit: the record stays.
    #[pyo3(signature = (buffer, timeout=None))]
    fn read_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let until = deadline(py, timeout)?;
        let output = Output::of(buffer)?;
        loop {
            if let Some(size) = self.take_into(py, &output)? {
                return Ok(size);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads into ``buffer`` if there is a record; returns its size, or ``None``.
    fn try_read_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.take_into(py, &Output::of(buffer)?)
    }

    /// Borrows the oldest record, to be read in place; waits for one.
    ///
    /// ``with consumer.peek() as grant:`` releases it at the end; after an exception the record stays.
    #[pyo3(signature = (timeout=None))]
    fn peek(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<ReadGrant> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt_peek(until))
    }

    /// Borrows the oldest record, or ``None`` if there is none.
    fn try_peek(&self, py: Python<'_>) -> PyResult<Option<ReadGrant>> {
        trying(py, |until| self.attempt_peek(until))
    }

    /// Gives the role back; a record that was peeked at stays. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().0.with(|_, _| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.close(py)
    }

    fn __repr__(&self) -> String {
        self.0.repr("Consumer")
    }
}

/// Room in a ring, borrowed for one record.
///
/// ``memoryview(grant)``, ``struct.pack_into(fmt, grant, 0, ...)`` and ``numpy.frombuffer(grant, dtype)`` write straight into the
/// segment. ``commit(size=None)`` publishes the first ``size`` bytes (all of them unless given), ``cancel()`` gives the
/// room back; so does a grant that goes away. Both raise ``BufferError`` while a view of it is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct WriteGrant(Grant<Arc<Role<triveni::Producer>>>);

impl Lender for Arc<Role<triveni::Producer>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |producer| match done {
            Some(size) => producer.commit(size),
            None => {
                producer.cancel();
                Ok(())
            }
        })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, triveni::Producer::cancel);
    }
}

#[pymethods]
impl WriteGrant {
    /// Publishes the first ``size`` bytes; all of them unless given.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.done(py, size)
    }

    /// Gives the room back; nothing is written.
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
        self.0.repr("WriteGrant")
    }
}

/// A record in a ring, borrowed to be read in place.
///
/// ``memoryview(grant)``, ``struct.unpack_from(fmt, grant)`` and ``numpy.frombuffer(grant, dtype)`` read straight from the
/// segment, without a copy; ``bytes(grant)`` is one. ``release()`` frees the room; it raises ``BufferError`` while
/// a view is alive. A grant that goes away unreleased leaves the record: the next ``peek`` sees it again.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct ReadGrant(Grant<Arc<Role<triveni::Consumer>>>);

impl Lender for Arc<Role<triveni::Consumer>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |consumer| if done.is_some() { consumer.release() } else { Ok(()) })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, |_| {}); // the record stays
    }
}

#[pymethods]
impl ReadGrant {
    /// Frees the room: the record has been read.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.0.done(py, None)
    }

    /// The record's size in bytes.
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
        self.0.repr("ReadGrant")
    }
}
