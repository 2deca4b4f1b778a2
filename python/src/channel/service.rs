//! A service: clients ask, servers answer.

use super::grant::{Grant, Lender};
use crate::buffer::{Input, Refused, Room, ending};
use crate::error::{call as calling, invalid, to_py, type_name, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, forked, forks, trying, waiting};
use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triveni::{Deadline, Error, ErrorKind, RawCall, RawRequest, Result, ServiceOptions};

/// Requests from any number of clients that any number of servers answer, in Rust, C and Python processes. The oldest
/// is served first, each at most once.
///
/// ``Segment.service(name, request_size=256, response_size=256)`` finds or creates it. A client says
/// ``answer = service.call(request, timeout=1)``. A server says ``service.serve(function)``, or::
///
///     for request in service:            # until shutdown()
///         request.reply(bytes(request)[::-1])
///
/// ``PeerDead`` tells the client that the server died over its request; with ``idempotent=True`` the next server takes
/// it instead. ``Failed`` brings the sentence of a server that could not answer.
///
/// Threads: any number may use one service at once. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Service {
    segment: triveni::Segment,
    service: Arc<triveni::Service>,
}

/// What is asked for when a service is found or created; `None`: as it is there.
pub(crate) struct Wished {
    request_size: Option<usize>,
    response_size: Option<usize>,
    calls: Option<usize>,
    idempotent: Option<bool>,
    type_tag: Option<String>,
    /// Bytes of a request and an answer, where a service is made and nobody says how many.
    usual_sizes: (usize, usize),
}

impl Wished {
    pub(crate) fn of(
        request_size: Option<&Bound<'_, PyAny>>,
        response_size: Option<&Bound<'_, PyAny>>,
        calls: Option<&Bound<'_, PyAny>>,
        idempotent: Option<bool>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Wished> {
        let (type_tag, usual_sizes) = match r#type.filter(|pair| !pair.is_none()) {
            None => (type_tag.map(str::to_string), (256, 256)),
            Some(pair) if type_tag.is_some() => {
                return Err(invalid(pair.py(), "give type or type_tag, not both: type says the tag"));
            }
            Some(pair) => {
                let of_pair = pair.py().import("triveni._types")?.getattr("service_type")?.call1((pair,))?;
                let (tag, request, response): (String, usize, usize) = of_pair.extract()?;
                (Some(tag), (request, response))
            }
        };
        Ok(Wished {
            usual_sizes,
            request_size: request_size.map(|size| whole("request_size", size)).transpose()?,
            response_size: response_size.map(|size| whole("response_size", size)).transpose()?,
            calls: calls.map(|calls| whole("calls", calls)).transpose()?,
            idempotent,
            type_tag,
        })
    }

    fn with(&self, request_size: usize, response_size: usize, calls: usize, idempotent: bool) -> ServiceOptions<'_> {
        ServiceOptions::new(self.request_size.unwrap_or(request_size), self.response_size.unwrap_or(response_size))
            .calls(self.calls.unwrap_or(calls))
            .idempotent(self.idempotent.unwrap_or(idempotent))
            .type_tag(self.type_tag.as_deref().unwrap_or_default())
    }

    pub(crate) fn create(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Service> {
        let (request_size, response_size) = self.usual_sizes;
        segment.create_service_with(name, self.with(request_size, response_size, 16, false))
    }

    /// Opens one that agrees with what was given.
    pub(crate) fn open(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Service> {
        let there = segment.open_service(name)?;
        let wished = self.with(there.request_size(), there.response_size(), there.calls(), there.is_idempotent());
        segment.service_with(name, wished)
    }
}

impl Service {
    pub(crate) fn new(segment: triveni::Segment, service: triveni::Service) -> Service {
        Service { segment, service: Arc::new(service) }
    }

    pub(crate) fn core(&self) -> &triveni::Service {
        &self.service
    }

    fn begin(&self, request: &[u8], until: Option<Deadline>) -> Result<Option<RawCall>> {
        let call = match until {
            None => self.service.try_start(request)?,
            Some(until) => Some(self.service.start_until(request, until)?),
        };
        Ok(call.map(triveni::Call::into_raw))
    }

    fn started(&self, raw: RawCall) -> Call {
        Call { service: self.service.clone(), raw, ended: AtomicBool::new(false), forks: forks() }
    }

    fn start_until(&self, py: Python<'_>, request: &Bound<'_, PyAny>, until: Deadline) -> PyResult<Call> {
        let input = Input::of(request)?;
        if let Some(raw) = trying(py, |_| self.begin(input.bytes(py), None))? {
            return Ok(self.started(raw));
        }
        let request = input.kept(py);
        Ok(self.started(waiting(py, until, |until| self.begin(&request, until))?))
    }

    fn attempt_reserve(&self, size: usize, until: Option<Deadline>) -> Result<Option<CallGrant>> {
        let room = match until {
            None => self.service.try_reserve(size)?,
            Some(until) => Some(self.service.reserve_until(size, until)?),
        };
        Ok(room.map(|mut room| {
            let (at, size) = (room.as_mut_ptr(), room.size());
            let asking = Asking { service: self.service.clone(), raw: room.into_raw() };
            // SAFETY: `at` points to `size` bytes of the cell that `raw` stands for, which stay this claim's until it is
            // sent or given back. That happens in `CallGrant` only, after the room has ended; and its service keeps the
            // mapping until then, as a view keeps the grant.
            CallGrant(Grant::new(asking, Arc::new(unsafe { Room::new(at, size, true) })))
        }))
    }

    fn take(&self, until: Option<Deadline>) -> Result<Option<Request>> {
        let request = match until {
            None => self.service.try_receive()?,
            Some(until) => Some(self.service.receive_until(until)?),
        };
        Ok(request.map(|request| {
            let (at, size, client) = (request.as_ptr(), request.size(), request.client_pid());
            let raw = request.into_raw();
            // SAFETY: `at` points to `size` bytes of the cell that `raw` stands for, which stay this request's until it
            // is answered. That happens in `Request` only, after the room has ended; and its service keeps the mapping
            // until then, as a view keeps the request.
            let room = unsafe { Room::new(at.cast_mut(), size, false) };
            Request { service: self.service.clone(), raw, room, client }
        }))
    }

    /// The next request; `None` if the service was shut down and none is left.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Request>> {
        waiting(py, Deadline::never(), |until| match self.take(until) {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(Some(None)),
            taken => Ok(taken?.map(Some)),
        })
    }
}

#[pymethods]
impl Service {
    /// Asks and gives the answer. Waits for it; ``TimeoutError`` once ``timeout`` seconds have passed. Where nobody serves,
    /// see ``servers``, it goes on waiting.
    #[pyo3(signature = (request, timeout=None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let until = deadline(py, timeout)?;
        self.start_until(py, request, until)?.answer(py, until)
    }

    /// Asks and does not wait for the answer, but for a free cell if need be; gives a ``Call``.
    #[pyo3(signature = (request, timeout=None))]
    fn start(&self, py: Python<'_>, request: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        self.start_until(py, request, deadline(py, timeout)?)
    }

    /// As ``start`` if there is a free cell; ``None`` if not.
    fn try_start(&self, py: Python<'_>, request: &Bound<'_, PyAny>) -> PyResult<Option<Call>> {
        let input = Input::of(request)?;
        Ok(trying(py, |_| self.begin(input.bytes(py), None))?.map(|raw| self.started(raw)))
    }

    /// Claims room for a request of up to ``size`` bytes, to be written in place; waits for a free cell. It gets its place
    /// in the queue when it is sent.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(
        &self,
        py: Python<'_>,
        size: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<CallGrant> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(size, until))
    }

    /// Claims room if there is a free cell; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<CallGrant>> {
        let size = whole("size", size)?;
        trying(py, |until| self.attempt_reserve(size, until))
    }

    /// Takes the oldest request; waits for one. ``Closed`` if the service was shut down and none is left.
    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Request> {
        waiting(py, deadline(py, timeout)?, |until| self.take(until))
    }

    /// Takes the oldest request, or gives ``None`` if there is none.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<Request>> {
        trying(py, |until| self.take(until))
    }

    /// Answers requests until the service is shut down: ``function(request)`` gets ``bytes`` and gives what is to be
    /// answered. An exception in it fails that call, whose client gets ``Failed`` with its text, and the next request
    /// is served; ``KeyboardInterrupt`` and its like end the loop.
    fn serve(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<()> {
        while let Some(request) = self.next(py)? {
            let answer = request
                .copy(py)
                .and_then(|bytes| function.call1((bytes,)))
                .and_then(|answer| request.reply(py, &answer));
            if let Err(error) = answer {
                // Not if it was the reply that failed: then the client has been told.
                let _ = request.failed(py, &error);
                if !error.is_instance_of::<PyException>(py) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Nothing is to be asked any more: calls that nobody serves yet end with ``Closed``, as do later ones; servers answer
    /// what is left, and then their loops end. Stays so until the service is removed.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        calling(py, || {
            self.service.shutdown();
            Ok(())
        })
    }

    /// Was it shut down?
    #[getter]
    fn is_shut_down(&self) -> bool {
        self.service.is_shut_down()
    }

    /// How many processes serve: those that have asked for a request through a handle that is still open.
    #[getter]
    fn servers(&self) -> usize {
        self.service.servers()
    }

    /// The most calls at once.
    #[getter]
    fn calls(&self) -> usize {
        self.service.calls()
    }

    /// The largest request in bytes.
    #[getter]
    fn request_size(&self) -> usize {
        self.service.request_size()
    }

    /// The largest answer in bytes.
    #[getter]
    fn response_size(&self) -> usize {
        self.service.response_size()
    }

    /// Is a request served again whose server died over it?
    #[getter]
    fn idempotent(&self) -> bool {
        self.service.is_idempotent()
    }

    /// What requests and answers are, as it was created with; ``None`` for any bytes.
    #[getter]
    fn type_tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        calling(py, || self.service.type_tag())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.service.name()
    }

    /// The next request to serve; the loop ends when the service was shut down and none is left.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Request>> {
        self.next(py)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Requests that nobody has taken.
    fn __len__(&self) -> usize {
        self.service.len()
    }

    /// A service is true, also when nobody asks.
    fn __bool__(&self) -> bool {
        true
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "service", self.service.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.service.name());
        let (waiting, servers) = (self.service.len(), self.service.servers());
        format!("<triveni.Service {address} {waiting} requests waiting, {servers} processes serve>")
    }
}

/// Room for a request, claimed for one call.
///
/// ``memoryview(grant)``, ``struct.pack_into(fmt, grant, 0, ...)`` and ``numpy.frombuffer(grant, dtype)`` write straight into
/// the segment. ``send(size=None)`` asks with the first ``size`` bytes (all of them unless given) and gives a ``Call``;
/// ``cancel()`` gives the room back, as does a grant that goes away, or the end of its block. All but the last raise
/// ``BufferError`` while a view of it is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct CallGrant(Grant<Asking>);

/// A claim in a service.
pub(crate) struct Asking {
    service: Arc<triveni::Service>,
    raw: RawCall,
}

impl Lender for Asking {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        format!("'{}'", self.service.name())
    }

    fn end(&self, room: &Room, _done: Option<usize>) -> Result<std::result::Result<(), Refused>> {
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        self.service.resume_room(self.raw)?.cancel();
        Ok(Ok(()))
    }

    fn give_back(&self, room: &Room) {
        if room.end_if_free()
            && let Ok(claim) = self.service.resume_room(self.raw)
        {
            claim.cancel();
        }
    }
}

#[pymethods]
impl CallGrant {
    /// Asks with the first ``size`` bytes; with all of them unless given. ``TooLarge`` leaves the room as it is.
    #[pyo3(signature = (size=None))]
    fn send(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        let size = self.0.chosen(py, "send", size)?;
        let mut call = Err(Error::from(ErrorKind::NotOwner));
        self.0.ended_by(py, |asking, room| {
            if let Err(refused) = room.end() {
                return Ok(Err(refused));
            }
            let raw = asking.service.resume_room(asking.raw)?.send(size)?.into_raw();
            call = Ok(Call { service: asking.service.clone(), raw, ended: AtomicBool::new(false), forks: forks() });
            Ok(Ok(()))
        })?;
        call.map_err(|error| to_py(py, error))
    }

    /// Gives the room back.
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

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.0.gone(); // a view that is alive delays this until it is gone
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are Python's, for this very object.
        unsafe { slf.get().0.lend(slf, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.view_ended();
    }

    fn __repr__(&self) -> String {
        self.0.repr("CallGrant")
    }
}

/// A call that is out.
///
/// ``wait(timeout=None)`` gives the answer, once. ``cancel()`` gives the call up, as does a call that goes away or the
/// end of its block; a late answer is dropped. ``await wait_async()`` waits in asyncio, and a ``WaitSet`` takes it too.
///
/// Threads: any thread of this process, one at a time. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Call {
    service: Arc<triveni::Service>,
    raw: RawCall,
    ended: AtomicBool,
    /// See `wait::forks`.
    forks: u32,
}

impl Call {
    fn resume(&self) -> Result<triveni::Call<'_>> {
        if self.forks != forks() {
            Err(forked("this call", "make a new one"))
        } else {
            self.service.resume_call(self.raw)
        }
    }

    /// Runs `f` on the call, which goes on.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&triveni::Call<'_>) -> Result<T>) -> Result<T> {
        let call = self.resume()?;
        let answer = f(&call);
        call.into_raw(); // it stays
        answer
    }

    fn attempt(&self, until: Option<Deadline>) -> Result<Option<()>> {
        self.lend(|call| match until {
            None => call.try_wait().map(|there| there.then_some(())),
            Some(until) => call.wait_until(until).map(Some),
        })
    }

    fn open(&self, py: Python<'_>) -> PyResult<()> {
        if self.ended.load(Relaxed) {
            return Err(invalid(py, "this call has ended; make a new one"));
        }
        Ok(())
    }

    /// Ends it, unless it is the parent's.
    fn end(&self) {
        if self.forks == forks()
            && !self.ended.swap(true, Relaxed)
            && let Ok(call) = self.service.resume_call(self.raw)
        {
            drop(call);
        }
    }

    /// Copies the answer, which is there, and ends the call.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let call = calling(py, || self.resume())?;
        let size = call.size().unwrap_or(0);
        let answer = PyBytes::new_with(py, size, |bytes| match call.read(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(to_py(py, error)),
        });
        call.into_raw();
        self.end();
        answer
    }

    fn answer<'py>(&self, py: Python<'py>, until: Deadline) -> PyResult<Bound<'py, PyBytes>> {
        self.open(py)?;
        waiting(py, until, |until| self.attempt(until))?;
        self.read(py)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end();
    }
}

#[pymethods]
impl Call {
    /// Gives the answer; waits for it. ``TimeoutError`` once ``timeout`` seconds have passed, and then one may wait again.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        self.answer(py, deadline(py, timeout)?)
    }

    /// Gives the answer, or ``None`` while there is none.
    fn try_wait<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.open(py)?;
        match trying(py, |until| self.attempt(until))? {
            Some(()) => self.read(py).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the call up; fine if it has ended.
    fn cancel(&self) {
        self.end();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.end();
    }

    fn __repr__(&self) -> String {
        let state = if self.ended.load(Relaxed) { "ended" } else { "open" };
        format!("<triveni.Call of '{}', {state}>", self.service.name())
    }
}

/// A request that was received.
///
/// ``bytes(request)`` copies it, ``memoryview(request)`` and ``numpy.frombuffer(request, dtype)`` read it in place.
/// ``reply(answer)`` answers it, ``fail(why)`` says why there is no answer; both raise ``BufferError`` while a view of it
/// is alive. A request that goes away, or whose block ends, without either fails; after an exception with its text.
/// ``with request.answer() as room:`` writes the answer in place.
///
/// Threads: any thread of this process may answer it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Request {
    service: Arc<triveni::Service>,
    raw: RawRequest,
    room: Room,
    client: Option<u32>,
}

impl Request {
    fn resume(&self) -> Result<triveni::Request<'_>> {
        if self.room.is_parents() {
            return Err(forked("this request", "receive another one"));
        }
        self.service.resume_request(self.raw)
    }

    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let request = calling(py, || self.resume())?;
        let copy = PyBytes::new_with(py, request.size(), |bytes| match request.read(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(to_py(py, error)),
        });
        request.into_raw(); // it stays
        copy
    }

    /// Answers, or fails; says whether the client was still there.
    fn end(&self, py: Python<'_>, answer: impl FnOnce(triveni::Request<'_>) -> Result<bool>) -> PyResult<bool> {
        let mut there = false;
        ending(py, "request", || {
            if let Err(refused) = self.room.end() {
                return Ok(Err(refused));
            }
            there = answer(self.service.resume_request(self.raw)?)?;
            Ok(Ok(()))
        })?;
        Ok(there)
    }

    /// Fails with the text of an exception, unless it has ended.
    fn failed(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        if self.room.is_ended() {
            return Ok(());
        }
        let value = error.value(py);
        let text = value.str().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
        let class = type_name(value);
        let why = if text.is_empty() { class } else { format!("{class}: {text}") };
        self.end(py, |request| request.fail(&why)).map(drop)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.room.end_if_free()
            && let Ok(request) = self.service.resume_request(self.raw)
        {
            drop(request); // tells the client
        }
    }
}

#[pymethods]
impl Request {
    /// Answers with a copy of ``answer``. ``False``: the client has given up, and the answer was dropped. ``TooLarge``
    /// leaves the request open.
    fn reply(&self, py: Python<'_>, answer: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(answer)?;
        self.service.check_answer(input.bytes(py).len()).map_err(|error| to_py(py, error))?;
        self.end(py, |request| request.reply(input.bytes(py)))
    }

    /// Room for an answer that is written in place, of ``size`` bytes; of the most there can be unless given.
    #[pyo3(signature = (size=None))]
    fn answer(slf: Py<Self>, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<Answer> {
        let request = slf.get();
        let most = request.service.response_size();
        let size = size.map_or(Ok(most), |size| whole("size", size))?;
        request.service.check_answer(size).map_err(|error| to_py(py, error))?;
        Ok(Answer { request: slf, size })
    }

    /// Tells the client that there is no answer, and why. ``False``: the client has given up.
    fn fail(&self, py: Python<'_>, why: &str) -> PyResult<bool> {
        self.end(py, |request| request.fail(why))
    }

    /// Has the client given up, or died? Then nobody waits for the answer.
    #[getter]
    fn is_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        calling(py, || {
            let request = self.resume()?;
            let cancelled = request.is_cancelled();
            request.into_raw(); // it stays
            Ok(cancelled)
        })
    }

    /// The pid of the client; ``None`` if it was gone when the request was received.
    #[getter]
    fn client(&self) -> Option<u32> {
        self.client
    }

    /// Bytes of the request.
    #[getter]
    fn size(&self) -> usize {
        self.room.size()
    }

    fn __len__(&self) -> usize {
        self.room.size()
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
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.room.is_ended() {
            return Ok(());
        }
        if exception.is_none() {
            return self
                .end(py, |request| {
                    Ok({
                        drop(request);
                        false
                    })
                })
                .map(drop);
        }
        // A view in the traceback's frames delays this until it is gone.
        let _ = self.failed(py, &PyErr::from_value(exception.clone()));
        Ok(())
    }

    // SAFETY: called by Python only, as `bf_getbuffer` of `slf`.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are passed on as they came.
        unsafe { slf.get().room.lend(slf.as_any(), view, flags, "request") }
    }

    // SAFETY: called by Python only, once for each view that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.room.give_back();
    }

    fn __repr__(&self) -> String {
        let state = if self.room.is_ended() { "ended" } else { "open" };
        format!("<triveni.Request of '{}' {} bytes, {state}>", self.service.name(), self.room.size())
    }
}

/// Room for the answer to a request, to be written in place.
///
/// ``memoryview(answer)``, ``struct.pack_into(fmt, answer, 0, ...)`` and ``numpy.frombuffer(answer, dtype)`` write straight
/// into the segment. ``commit(size=None)`` answers with the first ``size`` bytes (all of them unless given), as does the
/// end of its block, unless an exception ends it: then the request stays open. ``BufferError`` while a view of it, or of
/// the request, is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Answer {
    request: Py<Request>,
    size: usize,
}

#[pymethods]
impl Answer {
    /// Answers with the first ``size`` bytes; with all of them unless given. ``False``: the client has given up.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let size = size.map_or(Ok(self.size), |size| whole("size", size))?;
        if size > self.size {
            let sentence = format!("commit of {size} bytes: this answer has {}; commit at most those", self.size);
            return Err(to_py(py, Error::new(ErrorKind::TooLarge, sentence)));
        }
        self.request.get().end(py, |request| request.commit(size))
    }

    /// Bytes of room.
    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    fn __len__(&self) -> usize {
        self.size
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
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if exception.is_none() && !self.request.get().room.is_ended() {
            self.commit(py, None)?;
        }
        Ok(())
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (request, size) = (slf.get().request.get(), slf.get().size);
        let at = calling(slf.py(), || {
            if request.room.is_ended() {
                return Ok(std::ptr::null_mut()); // and the room will say so
            }
            let mut there = request.resume()?;
            let at = there.as_mut_ptr();
            there.into_raw(); // it stays
            Ok(at)
        })?;
        // SAFETY: `view` and `flags` are Python's, for this very object. `at` is not used if the room has ended; otherwise
        // it points to `response_size` bytes of the cell that `raw` stands for, and `size` is no more
        // (`Request::answer`). They stay this request's until its room ends, and its service keeps the mapping until then,
        // as a view keeps this object, and this the request.
        unsafe { request.room.lend_at((at, size, true), slf, view, flags, "answer") }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.request.get().room.give_back();
    }

    fn __repr__(&self) -> String {
        let state = if self.request.get().room.is_ended() { "ended" } else { "open" };
        format!("<triveni.Answer for '{}' {} bytes, {state}>", self.request.get().service.name(), self.size)
    }
}
