//! Wait for any of several objects, descriptors, signals and timers.
//!
//! The set lies behind a mutex that is only ever *tried*: while one thread waits, another one that comes gets
//! `Busy`, never a wait that holds the interpreter.

use crate::channel::mailbox::{Mailbox, Offer};
use crate::channel::port::Port;
use crate::channel::ring::{Consumer, Producer};
use crate::channel::service::{Call, Service};
use crate::channel::topic::{Publisher, Subscriber};
use crate::data::array::Array;
use crate::data::cell::Cell;
use crate::error::{call, count, detached, invalid, type_name, whole};
use crate::sync::{event::Event, monitor::Monitor, mutex::Mutex, semaphore::Semaphore};
use crate::wait::{self, deadline, trying, waiting};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{MutexGuard, TryLockError};
use triveni::{Error, ErrorKind, Interest, Result, Token, Waitable};

/// Waits for any of several objects, descriptors, signals and timers, as ``select`` does: it says who is ready, and
/// takes nothing.
///
///     waitset = triveni.WaitSet()
///     order, stop = waitset.add(orders), waitset.add(events, any=STOP)
///     for ready in waitset.wait(timeout=5):
///         if ready.token == order:
///             message = orders.try_receive()
///
/// A member that is ready may not stay so, as anybody else can be faster: go on with ``try_receive``, ``try_lock`` and
/// the like. A member is told again as long as it is ready; only signals, and the expiries of timers, are taken by
/// being told. The lock of a dead holder is ready, and an empty ring whose producer is dead.
///
/// ``await waitset.wait_async()`` waits in asyncio, and ``fileno()`` lends one descriptor for everything, to ``select``,
/// ``poll`` or another event loop.
///
/// ``with`` or ``close()`` ends it; its members are as they were. Threads: one at a time; a second one gets ``Busy``.
/// fork: ``Forked`` in the child. It is not pickled.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct WaitSet {
    /// `None` once it is closed.
    set: std::sync::Mutex<Option<triveni::WaitSet>>,
}

impl WaitSet {
    /// Runs `f` on the set, unless it is closed or another thread uses it.
    fn with<T>(&self, f: impl FnOnce(&mut triveni::WaitSet) -> Result<T>) -> Result<T> {
        match self.locked()?.as_mut() {
            Some(set) => f(set),
            None => Err(Error::new(ErrorKind::Invalid, "the wait set is closed; triveni.WaitSet() makes a new one")),
        }
    }

    fn member(&self, py: Python<'_>, object: &impl Waitable, interest: Interest) -> PyResult<Token> {
        call(py, || self.with(|set| set.add(object, interest)))
    }

    fn locked(&self) -> Result<MutexGuard<'_, Option<triveni::WaitSet>>> {
        match self.set.try_lock() {
            Ok(set) => Ok(set),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Busy,
                "the wait set is in use by another thread; one thread at a time, or a set for each",
            )),
        }
    }
}

/// A member of a ``WaitSet`` that is ready.
#[pyclass(frozen, module = "triveni", get_all)]
pub(crate) struct Ready {
    /// What ``add`` gave.
    token: Token,
    /// How often a timer has expired since it was last told; otherwise 1.
    count: u64,
}

#[pymethods]
impl Ready {
    fn __repr__(&self) -> String {
        let times = if self.count > 1 { format!(", {} times", self.count) } else { String::new() };
        format!("<member {} is ready{times}>", self.token)
    }
}

fn told(ready: Vec<triveni::Ready>) -> Vec<Ready> {
    ready.into_iter().map(|member| Ready { token: member.token, count: member.count }).collect()
}

/// Is it an end that is waited for only to write with it?
fn sends_only(object: &Bound<'_, PyAny>) -> bool {
    object.cast::<Producer>().is_ok() || object.cast::<Publisher>().is_ok()
}

fn direction(send: bool) -> Interest {
    if send { Interest::Send } else { Interest::Receive }
}

#[pymethods]
impl WaitSet {
    /// An empty one.
    #[new]
    fn new(py: Python<'_>) -> PyResult<WaitSet> {
        let set = call(py, triveni::WaitSet::new)?;
        Ok(WaitSet { set: std::sync::Mutex::new(Some(set)) })
    }

    /// Adds an object and gives its token, a number from 0 on that is never used again.
    ///
    /// A semaphore is ready when there is a permit; a mutex or monitor when it is free; an array when nobody writes to it
    /// as a whole. A mailbox, the consumer of a ring or a subscriber is ready when there is something to receive, a
    /// service when there is a request to take, a call of a service when its answer is there (take it out of the set
    /// before it ends), a cell when there is a newer value than this handle has loaded. A port is ready when there is a
    /// message, or room, as its right says. With ``send=True`` a mailbox is ready when there is room, a service when
    /// there is a free cell for a request; a publisher when it can publish; the producer of a ring when there is room
    /// for a record of ``room`` bytes, of any size unless given. A mailbox of capacity 0 has room while a receiver blocks;
    /// who need not block sends with ``await mailbox.send_async(...)``. Event flags are ready when one of ``any`` is set, or
    /// all of ``all``; nothing is cleared.
    #[pyo3(signature = (object, *, send=false, room=None, any=None, all=None))]
    fn add(
        &self,
        object: &Bound<'_, PyAny>,
        send: bool,
        room: Option<&Bound<'_, PyAny>>,
        any: Option<&Bound<'_, PyAny>>,
        all: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Token> {
        let py = object.py();
        let interest = match (room, any, all, send) {
            (None, None, None, send) => direction(send || sends_only(object)),
            (Some(room), None, None, false) => Interest::Room(whole("room", room)?),
            (None, Some(any), None, false) => Interest::AnyFlag(count("any", any)?),
            (None, None, Some(all), false) => Interest::AllFlags(count("all", all)?),
            _ => return Err(invalid(py, "add: give at most one of send, room, any and all")),
        };
        if let Ok(mailbox) = object.cast::<Mailbox>() {
            self.member(py, mailbox.get().core(), interest)
        } else if let Ok(service) = object.cast::<Service>() {
            self.member(py, service.get().core(), interest)
        } else if let Ok(asked) = object.cast::<Call>() {
            call(py, || asked.get().lend(|asked| self.with(|set| set.add(asked, interest))))
        } else if let Ok(offer) = object.cast::<Offer>() {
            self.member(py, offer.get().core(), interest)
        } else if let Ok(port) = object.cast::<Port>() {
            self.member(py, port.get().core(), interest)
        } else if let Ok(array) = object.cast::<Array>() {
            self.member(py, array.get().core(), interest)
        } else if let Ok(cell) = object.cast::<Cell>() {
            self.member(py, cell.get().core(), interest)
        } else if let Ok(event) = object.cast::<Event>() {
            self.member(py, event.get().core(), interest)
        } else if let Ok(semaphore) = object.cast::<Semaphore>() {
            self.member(py, semaphore.get().core(), interest)
        } else if let Ok(mutex) = object.cast::<Mutex>() {
            self.member(py, mutex.get().core(), interest)
        } else if let Ok(monitor) = object.cast::<Monitor>() {
            self.member(py, monitor.get().core(), interest)
        } else if let Ok(producer) = object.cast::<Producer>() {
            call(py, || producer.get().lend(|producer| self.with(|set| set.add(producer, interest))))
        } else if let Ok(consumer) = object.cast::<Consumer>() {
            call(py, || consumer.get().lend(|consumer| self.with(|set| set.add(consumer, interest))))
        } else if let Ok(publisher) = object.cast::<Publisher>() {
            call(py, || publisher.get().lend(|publisher| self.with(|set| set.add(publisher, interest))))
        } else if let Ok(subscriber) = object.cast::<Subscriber>() {
            call(py, || subscriber.get().lend(|subscriber| self.with(|set| set.add(subscriber, interest))))
        } else {
            Err(PyTypeError::new_err(format!(
                "add: a semaphore, mutex, monitor, event, mailbox, service, call, port, array, cell, or an end of a ring or \
                 topic is needed, not {}; a descriptor goes to add_fd, and who waits for anything else waits for it alone",
                type_name(object)
            )))
        }
    }

    /// Adds a descriptor, a number or anything with ``fileno()``: ready when it can be read, with ``send=True`` when it
    /// can be written, and when it is hung up. The set keeps a duplicate of it.
    #[pyo3(signature = (fd, *, send=false))]
    fn add_fd(&self, fd: &Bound<'_, PyAny>, send: bool) -> PyResult<Token> {
        let number = crate::segment::descriptor(fd)?;
        // SAFETY: `number` is not negative, and used during this call only. If it is not open, dup(2) reports that.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        call(fd.py(), || self.with(|set| set.add_fd(borrowed, direction(send))))
    }

    /// Adds a signal, which is blocked in this thread from now on, also when the member is gone; threads that this thread
    /// starts afterwards block it too. Each time it is told, it is taken: Python's handler does not run.
    fn add_signal(&self, signal: &Bound<'_, PyAny>) -> PyResult<Token> {
        let number = whole("signal", signal)?;
        let number = i32::try_from(number).unwrap_or(i32::MAX); // no signal has that number
        call(signal.py(), || self.with(|set| set.add_signal(number)))
    }

    /// Adds a timer that expires again and again, first ``every`` seconds from now.
    fn add_timer(&self, every: &Bound<'_, PyAny>) -> PyResult<Token> {
        let duration = wait::duration("every", every)?;
        call(every.py(), || self.with(|set| set.add_timer(duration)))
    }

    /// Adds a timer that expires once, ``after`` seconds from now.
    fn add_timer_once(&self, after: &Bound<'_, PyAny>) -> PyResult<Token> {
        let duration = wait::duration("after", after)?;
        call(after.py(), || self.with(|set| set.add_timer_once(duration)))
    }

    /// Takes a member out. ``FileNotFoundError`` if there is none with this token.
    fn remove(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = token.py();
        let token = whole("token", token)?;
        detached(py, || self.with(|set| set.remove(token)))
    }

    /// Waits until a member is ready; gives those that are, one at least. ``TimeoutError`` once ``timeout`` seconds have
    /// passed.
    ///
    /// ``Removed`` if the object of a member was removed, ``NotOwner`` if the end of a ring was closed; the message names
    /// the member: take it out.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Ready>> {
        let ready = waiting(py, deadline(py, timeout)?, |until| {
            self.with(|set| match until {
                None => Ok(Some(set.try_wait()?).filter(|ready| !ready.is_empty())),
                Some(until) => set.wait_until(until).map(Some),
            })
        });
        ready.map(told)
    }

    /// Those that are ready now; an empty list if none is.
    fn try_wait(&self, py: Python<'_>) -> PyResult<Vec<Ready>> {
        let ready = trying(py, |_| self.with(|set| set.try_wait().map(Some)))?;
        Ok(told(ready.unwrap_or_default()))
    }

    /// Waits in asyncio: ``await waitset.wait_async(timeout=None)``. As ``wait``, but the event loop watches the set's
    /// descriptor meanwhile.
    #[pyo3(signature = (timeout=None))]
    fn wait_async<'py>(slf: &Bound<'py, Self>, timeout: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        deadline(py, timeout)?; // a timeout that is none is refused here, not when it is awaited
        py.import("triveni._asyncio")?.getattr("wait")?.call1((slf, timeout))
    }

    /// One descriptor that is readable when a member is ready, for ``select``, asyncio or another set. Nobody reads from
    /// it: when it is readable, call ``try_wait``. It is the set's, and closed with it.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        call(py, || self.with(|set| Ok(set.fd()?.as_raw_fd())))
    }

    /// Ends it; closing twice is fine. ``Busy`` while another thread waits.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let ended = call(py, || Ok(self.locked()?.take()))?;
        detached(py, || {
            drop(ended); // may have a thread to end
            Ok(())
        })
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.locked().is_ok_and(|set| set.is_none())
    }

    /// How many members it has.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        call(py, || self.with(|set| Ok(set.len())))
    }

    /// A set is true, also when it is empty.
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().with(|_| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        match self.locked().as_deref() {
            Err(_) => "<triveni.WaitSet in use>".to_string(),
            Ok(None) => "<triveni.WaitSet closed>".to_string(),
            Ok(Some(set)) => format!("<triveni.WaitSet of {} members>", set.len()),
        }
    }
}
