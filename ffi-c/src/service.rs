//! The service in C: its clients and its servers.

use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::tell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use triveni::{Call, CallRoom, Error, ErrorKind, RawCall, RawRequest, Request, Result, Service, ServiceOptions};

/// A service, requests from any number of clients that any number of servers answer: a handle on one that lies in a
/// segment.
pub struct tvn_service_t(pub(crate) Service);

/// What a service is like. Begin with `tvn_service_options_t options = TVN_SERVICE_OPTIONS;` and set `request_size` and
/// `response_size`: 0 is the default everywhere else.
#[repr(C)]
pub struct tvn_service_options_t {
    /// The size of this structure, for later versions. TVN_SERVICE_OPTIONS sets it.
    pub size: usize,
    /// The largest request in bytes.
    pub request_size: usize,
    /// The largest answer in bytes.
    pub response_size: usize,
    /// The most calls at once, at most 1024; 0: 16.
    pub calls: usize,
    /// 1 if a request may be served again whose server died over it.
    pub idempotent: c_int,
    /// What requests and answers are, as one struct of two members: "T{d:request:2d:response:}". NULL: any bytes.
    pub type_tag: *const c_char,
}
const _: () = assert!(offset_of!(tvn_service_options_t, size) == 0);

/// A call, or room for one. Plain data: it lies where the caller wants, and is over with tvn_call_end().
#[repr(C)]
pub struct tvn_call_t {
    /// After tvn_service_reserve() the room, a multiple of 64, to be written until tvn_call_send(); after tvn_call_wait()
    /// the answer, to be read until tvn_call_end(); otherwise NULL.
    pub bytes: *mut c_void,
    /// The call; for triveni only.
    pub word: u64,
    /// The size of the room, or of the answer.
    pub size: u32,
    /// The call; for triveni only.
    pub index: u32,
}

/// A request that was received. Plain data: it lies where the caller wants, and is over with tvn_request_reply(),
/// tvn_request_commit() or tvn_request_fail().
#[repr(C)]
pub struct tvn_request_t {
    /// The request; to be read until it is answered.
    pub bytes: *const c_void,
    /// Room for an answer that is written in place, a multiple of 64, of tvn_service_response_size() bytes.
    pub room: *mut c_void,
    /// The request; for triveni only.
    pub word: u64,
    /// Its size in bytes.
    pub size: u32,
    /// The request; for triveni only.
    pub index: u32,
    /// The pid of the client, in the pid namespace it lives in; 0 if it is gone.
    pub client: u32,
}

/// The options that C hands in.
///
/// # Safety
/// - `options` is NULL or points to a `size`, and as many bytes as that says, unchanged until the reference's last use;
///   the same holds for the string in it. Otherwise this reads strange memory.
unsafe fn chosen<'a>(options: *const tvn_service_options_t) -> Result<ServiceOptions<'a>> {
    if options.is_null() {
        let why =
            "the service's options are NULL; begin with TVN_SERVICE_OPTIONS and set request_size and response_size";
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    // SAFETY: not NULL, and the caller promises that the `size`, which is its first field, may be read.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<tvn_service_options_t>() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "service options of {size} bytes, this library knows {}; begin with TVN_SERVICE_OPTIONS, and compile against this library's header",
                size_of::<tvn_service_options_t>()
            ),
        ));
    }
    // SAFETY: the caller promises that many bytes, which is the whole structure; all its fields are integers and a
    // pointer.
    let tvn_service_options_t { request_size, response_size, calls, idempotent, type_tag, .. } =
        unsafe { options.read() };
    let mut all = ServiceOptions::new(request_size, response_size).idempotent(idempotent != 0);
    if calls != 0 {
        all = all.calls(calls);
    }
    if !type_tag.is_null() {
        // SAFETY: not NULL; the caller promises a string.
        all = all.type_tag(unsafe { text(type_tag) }?);
    }
    Ok(all)
}

/// Finds the service `name`, or creates it with `options`; an existing one must have been made with the same. Lends
/// `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name or bad options; -TVN_EINCOMPATIBLE if the name belongs to an object of another
/// kind, or to a service that was made otherwise; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_service_options_t,
    out: *mut *mut tvn_service_t,
) -> c_int {
    call("tvn_service", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.service_with(text(name)?, chosen(options)?).map(tvn_service_t)) }
    })
}

/// Creates the service `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; otherwise as tvn_service().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_service_options_t,
    out: *mut *mut tvn_service_t,
) -> c_int {
    call("tvn_service_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.create_service_with(text(name)?, chosen(options)?).map(tvn_service_t)) }
    })
}

/// Opens the service `name`, which must exist, however it was made. Lends `segment` and `name`, gives `*out`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of
/// another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_service_t,
) -> c_int {
    call("tvn_service_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_service(text(name)?).map(tvn_service_t)) }
    })
}

/// Lets go of the service. Takes `service`; NULL is fine. The service stays in the segment. End calls and answer
/// requests first: closing does not. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_close(service: *mut tvn_service_t) {
    // SAFETY: the C contract: NULL, or a service's handle that nobody uses any more.
    call("tvn_service_close", || unsafe { take(service) });
}

/// Asks for `request` (NULL will do for 0 bytes), waits for the answer and copies it into `response`, which must have
/// room for the largest (`response_size` ≥ tvn_service_response_size()); blocks until there is a free cell and then
/// until the answer is there, or until `timeout_ms` has passed. Where nobody serves it goes on waiting:
/// see tvn_service_servers(). Lends `service`, `request` and `response`. Any thread; a forked child too.
/// @return the size of the answer, from 0 on; -ECONNRESET if the server died over this request, which may have been
/// served in part; -TVN_EFAILED if the server said so, see tvn_last_error(); -EPIPE if the service was shut down, and
/// then it was not served; -EMSGSIZE if the request is larger than the service takes, or `response_size` too small;
/// -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed. After
/// -EAGAIN, -ETIMEDOUT and -EINTR a server that had begun may go on; its answer is dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_call(
    service: *const tvn_service_t,
    request: *const c_void,
    size: usize,
    response: *mut c_void,
    response_size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_service_call", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; `size` bytes to read, and
        // `response_size` to write, apart from them.
        let (service, request, response) =
            unsafe { (&lend(service)?.0, bytes(request.cast(), size)?, buffer(response.cast(), response_size)?) };
        match service.call_until(request, response, deadline(timeout_ms)) {
            Err(error) if timeout_ms == TVN_TRY && error.kind() == ErrorKind::Timeout => {
                Err(ErrorKind::WouldBlock.into())
            }
            answer => answer,
        }
    })
}

/// Makes a request and does not wait for the answer: that is tvn_call_wait()'s part. Blocks until there is a free cell,
/// or until `timeout_ms` has passed. Lends `service` and `request` (NULL will do for 0 bytes), writes `*call`: end it
/// with tvn_call_end(). Any thread; a call stays with the process that made it.
/// @return 0; -EPIPE if the service was shut down; -EMSGSIZE; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread
/// is interruptible; -EIDRM if the service was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_start(
    service: *const tvn_service_t,
    request: *const c_void,
    size: usize,
    timeout_ms: c_int,
    call: *mut tvn_call_t,
) -> c_int {
    self::call("tvn_service_start", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; `size` bytes to read; NULL or
        // a place for a call.
        let (service, request, out) = unsafe { (&lend(service)?.0, bytes(request.cast(), size)?, output(call)?) };
        let started = match timeout_ms {
            TVN_TRY => tried(service.try_start(request)?)?,
            ms => service.start_until(request, deadline(ms))?,
        };
        out.write(sent(started));
        Ok(())
    })
}

/// Claims room for a request of up to `size` bytes, to be written in place at `call->bytes`; blocks until there is a
/// free cell, or until `timeout_ms` has passed. Lends `service`, writes `*call`: send it with tvn_call_send(), or give
/// it back with tvn_call_end(). Any thread; the room stays with the process that claimed it.
/// @return as tvn_service_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_reserve(
    service: *const tvn_service_t,
    size: usize,
    timeout_ms: c_int,
    call: *mut tvn_call_t,
) -> c_int {
    self::call("tvn_service_reserve", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a place for a call.
        let (service, out) = unsafe { (&lend(service)?.0, output(call)?) };
        let mut room = match timeout_ms {
            TVN_TRY => tried(service.try_reserve(size)?)?,
            ms => service.reserve_until(size, deadline(ms))?,
        };
        let bytes = room.as_mut_ptr().cast();
        let RawCall { index, size, word } = room.into_raw();
        out.write(tvn_call_t { bytes, word, size, index });
        Ok(())
    })
}

/// A call that is out, as C keeps it.
fn sent(started: Call<'_>) -> tvn_call_t {
    let RawCall { index, word, .. } = started.into_raw();
    tvn_call_t { bytes: std::ptr::null_mut(), word, size: 0, index }
}

/// The call that C keeps; dropping it ends it.
pub(crate) fn call_of<'a>(service: &'a Service, call: &tvn_call_t) -> Result<Call<'a>> {
    service.resume_call(raw(call))
}

fn raw(call: &tvn_call_t) -> RawCall {
    RawCall { index: call.index, size: call.size, word: call.word }
}

/// Sends the first `size` bytes of the room as a request. Lends `service`, changes `*call`, which is a call from now on.
/// Never blocks. Any thread of the process that claimed it.
/// @return 0; -EMSGSIZE if the room is smaller than `size`: it stays; -EPERM if this process does not hold this room
/// (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_call_send(service: *const tvn_service_t, call: *mut tvn_call_t, size: usize) -> c_int {
    self::call("tvn_call_send", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a call that no other
        // thread uses.
        let (service, call) = unsafe { (&lend(service)?.0, lend_mut(call)?) };
        let room: CallRoom<'_> = service.resume_room(raw(call))?;
        if size > room.size() {
            let error = format!("a request of {size} bytes in room for {}; reserve as much as you send", room.size());
            room.into_raw(); // it stays
            return Err(Error::new(ErrorKind::TooLarge, error));
        }
        *call = sent(room.send(size)?);
        Ok(())
    })
}

/// Waits for the answer of a call; blocks until it is there, or until `timeout_ms` has passed, and then one may wait
/// again. Lends `service`, changes `*call`: the answer lies at `call->bytes` until tvn_call_end(), which is due in any
/// case. One thread at a time, of the process that made the call.
/// @return the size of the answer, from 0 on; -ECONNRESET, -TVN_EFAILED and -EPIPE as tvn_service_call(); -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed; -EPERM if this
/// process has no such call (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_call_wait(service: *const tvn_service_t, call: *mut tvn_call_t, timeout_ms: c_int) -> i64 {
    self::call("tvn_call_wait", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a call that no other
        // thread uses.
        let (service, out) = unsafe { (&lend(service)?.0, lend_mut(call)?) };
        let call = call_of(service, out)?;
        let answered = match timeout_ms {
            TVN_TRY => call.try_wait().and_then(|there| tried(there.then_some(()))),
            ms => call.wait_until(deadline(ms)),
        };
        let (at, size) = (call.as_ptr(), call.size());
        call.into_raw(); // it stays
        answered?;
        let (Some(at), Some(size)) = (at, size) else { return Err(ErrorKind::Corrupt.into()) };
        (out.bytes, out.size) = (at.cast_mut().cast(), size as u32); // at most 2^28
        Ok(size)
    })
}

/// Ends a call, wherever it stands, or gives room back: an answer that comes later is dropped. Lends `service` and
/// `call`; the call is over. Never blocks. Any thread of the process that made it.
/// @return 0; -EPERM if this process has no such call (any more), as after -EPIPE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_call_end(service: *const tvn_service_t, call: *const tvn_call_t) -> c_int {
    self::call("tvn_call_end", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a call.
        let (service, call) = unsafe { (&lend(service)?.0, lend(call)?) };
        call_of(service, call).map(drop)
    })
}

/// Takes the oldest request; blocks until there is one, or until `timeout_ms` has passed. Lends `service`, writes
/// `*request`: the client waits until it is answered. If this process dies first, the client is told at once, or the
/// next server takes the request if the service is idempotent. Any thread; a request stays with the process that took it.
/// @return the size of the request, from 0 on; -EPIPE if the service was shut down and none is left; -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the service was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_receive(
    service: *const tvn_service_t,
    timeout_ms: c_int,
    request: *mut tvn_request_t,
) -> i64 {
    call("tvn_service_receive", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a place for a request.
        let (service, out) = unsafe { (&lend(service)?.0, output(request)?) };
        let mut request = match timeout_ms {
            TVN_TRY => tried(service.try_receive()?)?,
            ms => service.receive_until(deadline(ms))?,
        };
        let (bytes, room) = (request.as_ptr().cast(), request.as_mut_ptr().cast());
        let client = request.client_pid().unwrap_or(0);
        let RawRequest { index, size, word } = request.into_raw();
        out.write(tvn_request_t { bytes, room, word, size, index, client });
        Ok(size as usize)
    })
}

/// The request that C keeps. Whatever is in it, core checks it against the cell.
///
/// # Safety
/// - As for [`lend`], for both pointers; otherwise this reads strange memory.
unsafe fn resume<'a>(service: *const tvn_service_t, request: *const tvn_request_t) -> Result<Request<'a>> {
    // SAFETY: the caller's promise is the one `lend` asks for. A request was not made by `give`, yet all that `lend`
    // does is to make a reference, and C's request is aligned and initialised by `tvn_service_receive`.
    let (service, request) = unsafe { (&lend(service)?.0, lend(request)?) };
    service.resume_request(RawRequest { index: request.index, size: request.size, word: request.word })
}

/// Answers with a copy of `size` bytes at `response` (NULL will do for 0), which may lie in the request. Lends `service`,
/// `request` and `response`; the request is over. Never blocks. Any thread of the process that took it.
/// @return 1; 0 if the client had given up: then the answer was dropped; -EMSGSIZE if the service takes no answer that
/// large: then the client gets -TVN_EFAILED; -EPERM if this process does not serve this request (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_request_reply(
    service: *const tvn_service_t,
    request: *const tvn_request_t,
    response: *const c_void,
    size: usize,
) -> c_int {
    call("tvn_request_reply", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a request; `size`
        // bytes to read.
        unsafe { resume(service, request)?.reply(bytes(response.cast(), size)?) }
    })
}

/// Answers with the first `size` bytes that were written at `request->room`. Lends `service` and `request`, which is
/// over. Never blocks. Any thread of the process that took it.
/// @return as tvn_request_reply().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_request_commit(
    service: *const tvn_service_t,
    request: *const tvn_request_t,
    size: usize,
) -> c_int {
    call("tvn_request_commit", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a request.
        unsafe { resume(service, request)?.commit(size) }
    })
}

/// Tells the client that there is no answer, and `why`: it gets -TVN_EFAILED, and this sentence, of which up to 256
/// bytes arrive, in its tvn_last_error(). Lends `service`, `request` and `why`; the request is over. Never blocks. Any
/// thread of the process that took it.
/// @return 1; 0 if the client had given up; -EPERM if this process does not serve this request (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_request_fail(
    service: *const tvn_service_t,
    request: *const tvn_request_t,
    why: *const c_char,
) -> c_int {
    call("tvn_request_fail", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a request; NULL or a
        // string.
        let (why, request) = unsafe { (text(why)?, resume(service, request)?) };
        request.fail(why)
    })
}

/// Has the client given up, or died? Then nobody waits for the answer. Lends `service` and `request`. Never blocks. Any
/// thread of the process that took it.
/// @return 1 or 0; -EPERM if this process does not serve this request (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_request_is_cancelled(
    service: *const tvn_service_t,
    request: *const tvn_request_t,
) -> c_int {
    call("tvn_request_is_cancelled", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; NULL or a request.
        let request = unsafe { resume(service, request) }?;
        let cancelled = request.is_cancelled();
        request.into_raw(); // it stays
        Ok(cancelled)
    })
}

/// Nothing is to be asked any more: calls that nobody serves yet are taken back and end with -EPIPE, as do later ones;
/// those being served end as ever; servers answer what is left and then get -EPIPE. Stays so until the service is
/// removed. Lends `service`. Never blocks. Any thread; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_shutdown(service: *const tvn_service_t) -> c_int {
    call("tvn_service_shutdown", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        unsafe { lend(service) }?.0.shutdown();
        Ok(())
    })
}

/// Was the service shut down, by anybody? Lends `service`. Never blocks. Any thread; a forked child too.
/// @return 1 if it was, 0 if not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_is_shut_down(service: *const tvn_service_t) -> c_int {
    call("tvn_service_is_shut_down", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.is_shut_down())
    })
}

/// How many processes serve: those that have asked for a request through a handle that is still open. Lends `service`.
/// Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_servers(service: *const tvn_service_t) -> i64 {
    call("tvn_service_servers", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.servers())
    })
}

/// How many requests nobody has taken at this moment. Lends `service`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_length(service: *const tvn_service_t) -> i64 {
    call("tvn_service_length", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.len())
    })
}

/// The most calls at once. Lends `service`. Never blocks. Any thread; a forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_calls(service: *const tvn_service_t) -> i64 {
    call("tvn_service_calls", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.calls())
    })
}

/// The largest request the service takes, in bytes. Lends `service`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_request_size(service: *const tvn_service_t) -> i64 {
    call("tvn_service_request_size", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.request_size())
    })
}

/// The largest answer the service takes, in bytes. Lends `service`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_response_size(service: *const tvn_service_t) -> i64 {
    call("tvn_service_response_size", || {
        // SAFETY: the C contract: NULL, or a service's handle that is not closed during this call.
        Ok(unsafe { lend(service) }?.0.response_size())
    })
}

/// Writes the service's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `service` and `buffer` (NULL
/// will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL; 0: the service has no type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_service_type(service: *const tvn_service_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_service_type", || {
        // SAFETY: the C contract: NULL or a service's handle, not closed during this call; `size` bytes to write.
        let (service, buffer) = unsafe { (&lend(service)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(&service.type_tag()?.unwrap_or_default(), buffer))
    })
}
