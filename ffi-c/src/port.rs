//! Ports, port sets and processes by name, in C.

use crate::argument::{array, buffer, bytes, optional, output, text, write_text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use triveni::{Delivery, Error, ErrorKind, Port, PortEvent, PortOptions, PortSet, Process, Result, Right};

/// A right to a port: to receive from it, to send to it, or to send to it once. The port lies in a segment.
pub struct tvn_port_t(pub(crate) Port);

/// A set of ports, to receive from any of them.
pub struct tvn_port_set_t {
    set: PortSet,
    /// The handles that were added, by address, and their rights.
    members: Vec<(*mut tvn_port_t, Port)>,
}

/// This process under a name: for messages to and from processes by name.
pub struct tvn_process_t(Process);

/// What a handle is a right to: see tvn_port_right().
pub const TVN_RIGHT_RECEIVE: c_int = 1;
/// A right to send.
pub const TVN_RIGHT_SEND: c_int = 2;
/// A right to send once.
pub const TVN_RIGHT_SEND_ONCE: c_int = 3;

/// A port tells that nobody has a right to send to another one any more.
pub const TVN_PORT_NO_SENDERS: u32 = 1;
/// A port tells that nobody has the right to receive from another one any more.
pub const TVN_PORT_DEAD_NAME: u32 = 2;
/// A port tells that a pending message was taken from another one.
pub const TVN_PORT_ACCEPTED: u32 = 3;

/// The most rights a message carries.
pub const TVN_PORT_RIGHTS: usize = 4;

/// How a port is made; 0 is the default everywhere.
#[repr(C)]
pub struct tvn_port_options_t {
    /// How many messages the queue holds, up to 1016; 0: 8.
    pub capacity: usize,
    /// The largest message in bytes; 0: 1024.
    pub message_size: usize,
    /// How many rights to send there can be at a time, up to 4096; 0: 63.
    pub rights: usize,
}

/// What came with a message.
#[repr(C)]
pub struct tvn_delivery_t {
    /// The rights in it, the caller's now: close them. NULL from `count` on.
    pub rights: [*mut tvn_port_t; TVN_PORT_RIGHTS],
    /// How many.
    pub count: usize,
    /// The right to answer, if the sender waits in tvn_port_call(); the caller's: close it. NULL otherwise.
    pub reply: *mut tvn_port_t,
    /// How many rights were lost on the way.
    pub lost: u32,
    /// How many receivers died with the message before.
    pub redelivered: u32,
    /// Not 0: not a message but what the port was asked to tell, TVN_PORT_...
    pub event: u32,
    /// Which port that is about, cut to fit.
    pub port: [c_char; 64],
}

/// The options of C in those of Rust.
///
/// # Safety
/// - `options` is NULL or may be read; otherwise this reads strange memory.
unsafe fn options(options: *const tvn_port_options_t) -> PortOptions {
    // SAFETY: NULL becomes `None`; the caller promises the rest.
    let Some(given) = (unsafe { options.as_ref() }) else { return PortOptions::default() };
    let mut made = PortOptions::default();
    if given.capacity > 0 {
        made = made.capacity(given.capacity);
    }
    if given.message_size > 0 {
        made = made.message_size(given.message_size);
    }
    if given.rights > 0 {
        made = made.rights(given.rights);
    }
    made
}

fn boxed(port: Port) -> *mut tvn_port_t {
    Box::into_raw(Box::new(tvn_port_t(port)))
}

/// Hands over what came with a message; without a place for it, rights in it are given up. Returns the size.
fn deliver(delivery: Delivery, out: Option<&mut MaybeUninit<tvn_delivery_t>>) -> usize {
    let size = delivery.size;
    let Some(out) = out else { return size };
    let mut c = tvn_delivery_t {
        rights: [null_mut(); TVN_PORT_RIGHTS],
        count: delivery.rights.len().min(TVN_PORT_RIGHTS),
        reply: delivery.reply.map_or(null_mut(), boxed),
        lost: delivery.lost as u32,
        redelivered: delivery.redelivered.into(),
        event: delivery.notification.as_ref().map_or(0, |told| told.event as u32),
        port: crate::argument::chars(delivery.notification.as_ref().map_or("", |told| &told.port)),
    };
    for (place, port) in c.rights.iter_mut().zip(delivery.rights) {
        *place = boxed(port);
    }
    out.write(c);
    size
}

/// Finds or makes the port `name` and takes the right to receive from it; `options` is NULL for the default, and must
/// fit what is there. A port whose receiver died or gave up is taken over, with the messages that nobody has received.
/// Lends `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process has the right, or it is in a message; -EINVAL for a bad name or option;
/// -TVN_EINCOMPATIBLE if the name belongs to another kind of object, or a port of another geometry; -ENOSPC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_port_options_t,
    out: *mut *mut tvn_port_t,
) -> c_int {
    call("tvn_port", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, options, a place for a handle.
        unsafe {
            give(out, || {
                let segment = &lend(segment)?.0;
                if options.is_null() {
                    return segment.port(text(name)?).map(tvn_port_t);
                }
                segment.port_with(text(name)?, self::options(options)).map(tvn_port_t)
            })
        }
    })
}

/// Makes the port `name` and takes the right to receive from it; `options` is NULL for the default. Lends `segment`,
/// `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; otherwise as tvn_port().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_port_options_t,
    out: *mut *mut tvn_port_t,
) -> c_int {
    call("tvn_port_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, options, a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_port_with(text(name)?, self::options(options)).map(tvn_port_t)) }
    })
}

/// Opens the port `name`, which must exist, with a new right to send to it. Lends `segment` and `name`, gives `*out`.
/// Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -ENOSPC if all rights to it are in use; -TVN_EINCOMPATIBLE if the name belongs
/// to an object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_port_t,
) -> c_int {
    call("tvn_port_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_port(text(name)?).map(tvn_port_t)) }
    })
}

/// Ends the handle, and gives its right up unless it was given away or the port is in a set. With the right to receive
/// the port dies. Takes `port`; NULL is fine. Never waits. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_close(port: *mut tvn_port_t) {
    // SAFETY: the C contract: NULL, or a port's handle that nobody uses any more.
    call("tvn_port_close", || unsafe { take(port) });
}

/// What is `port` a right to? Lends `port`. Never waits. Any thread; a forked child too.
/// @return TVN_RIGHT_RECEIVE, TVN_RIGHT_SEND or TVN_RIGHT_SEND_ONCE; -EINVAL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_right(port: *const tvn_port_t) -> c_int {
    call("tvn_port_right", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call.
        Ok(match unsafe { lend(port) }?.0.right() {
            Right::Receive => TVN_RIGHT_RECEIVE,
            Right::Send => TVN_RIGHT_SEND,
            Right::SendOnce => TVN_RIGHT_SEND_ONCE,
        })
    })
}

/// The most messages the port holds. Lends `port`. Never waits. Any thread; a forked child too.
/// @return a count; -EINVAL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_capacity(port: *const tvn_port_t) -> i64 {
    // SAFETY: the C contract: NULL or a port's handle, not closed during this call.
    call("tvn_port_capacity", || Ok(unsafe { lend(port) }?.0.capacity()))
}

/// The largest message in bytes. Lends `port`. Never waits. Any thread; a forked child too.
/// @return a size; -EINVAL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_message_size(port: *const tvn_port_t) -> i64 {
    // SAFETY: the C contract: NULL or a port's handle, not closed during this call.
    call("tvn_port_message_size", || Ok(unsafe { lend(port) }?.0.message_size()))
}

/// Messages in the port at this moment. Lends `port`. Never waits. Any thread; a forked child too.
/// @return a count; -EINVAL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_length(port: *const tvn_port_t) -> i64 {
    // SAFETY: the C contract: NULL or a port's handle, not closed during this call.
    call("tvn_port_length", || Ok(unsafe { lend(port) }?.0.len()))
}

/// A new right to send to the same port, to use or to give away. Lends `port`, gives `*out`. Never waits. Any thread.
/// @return 0; -EPERM if this right was given away or is one to send once; -ENOSPC if all rights are in use;
/// -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_send_right(port: *const tvn_port_t, out: *mut *mut tvn_port_t) -> c_int {
    call("tvn_port_send_right", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(port)?.0.send_right().map(tvn_port_t)) }
    })
}

/// A new right to send to the same port once; `port` is the right to receive. Lends `port`, gives `*out`. Never waits.
/// Any thread.
/// @return as tvn_port_send_right().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_send_once_right(port: *const tvn_port_t, out: *mut *mut tvn_port_t) -> c_int {
    call("tvn_port_send_once_right", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(port)?.0.send_once_right().map(tvn_port_t)) }
    })
}

/// Gives the right up; with the right to receive the port dies, and senders get -ECONNRESET. Lends `port`, which is
/// still to be closed. Never waits. Any thread.
/// @return 0; -EPERM if it was given away or given up before; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_deallocate(port: *const tvn_port_t) -> c_int {
    // SAFETY: the C contract: NULL or a port's handle, not closed during this call.
    call("tvn_port_deallocate", || unsafe { lend(port) }?.0.deallocate())
}

/// Asks that the port `notify` tell when `event` (TVN_PORT_NO_SENDERS or TVN_PORT_DEAD_NAME) happens to `port`: its
/// receiver gets a tvn_delivery_t with that event instead of a message, once. Lends both. Never waits. Any thread.
/// @return 0; -EPERM if one of the rights was given away, or, for TVN_PORT_NO_SENDERS, `port` is not the right to
/// receive; -ENOSPC if `notify` waits for 16 notifications; -EINVAL; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_request_notification(
    port: *const tvn_port_t,
    event: u32,
    notify: *const tvn_port_t,
) -> c_int {
    call("tvn_port_request_notification", || {
        let event = match event {
            TVN_PORT_NO_SENDERS => PortEvent::NoSenders,
            TVN_PORT_DEAD_NAME => PortEvent::DeadName,
            TVN_PORT_ACCEPTED => PortEvent::Accepted,
            other => {
                return Err(Error::new(ErrorKind::Invalid, format!("{other} is no event of a port; TVN_PORT_...")));
            }
        };
        // SAFETY: the C contract: NULL or ports' handles, not closed during this call.
        unsafe { lend(port)?.0.request_notification(event, &lend(notify)?.0) }
    })
}

/// Sends a copy of `size` bytes at `message` (NULL will do for 0); blocks while the port is full, or until `timeout_ms`
/// has passed. A right to send once is used up. Lends `port` and `message`. A sender that dies here sent the whole
/// message or none. Any thread.
/// @return 0; -ECONNRESET if nobody can receive any more; -EPERM if the right was given away or used up, or is one to
/// receive; -EMSGSIZE; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM;
/// -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_send(
    port: *const tvn_port_t,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_port_send", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; `size` bytes to read.
        let (port, message) = unsafe { (&lend(port)?.0, bytes(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(port.try_send(message)?.then_some(())),
            ms => port.send_until(message, deadline(ms)),
        }
    })
}

/// As tvn_port_send(); the message carries `count` rights, up to TVN_PORT_RIGHTS: whoever receives it has them, and
/// they can no longer be used here (-EPERM). Their handles are still to be closed. If sending fails, all of them stay.
/// Lends everything.
/// @return as tvn_port_send(); -EPERM also if one of `rights` is not this process's any more or is named twice; -EINVAL
/// for more than 4, for the right to receive from the port itself, for `port` itself, and for a port of another segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_send_rights(
    port: *const tvn_port_t,
    message: *const c_void,
    size: usize,
    rights: *const *const tvn_port_t,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_port_send_rights", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; `size` bytes to read.
        let (port, message) = unsafe { (&lend(port)?.0, bytes(message.cast(), size)?) };
        // SAFETY: the C contract: `count` handles at `rights`, none of which is closed during this call.
        let rights = unsafe { given(rights, count) }?;
        port.send_rights(message, &rights, deadline(timeout_ms)).map_err(blocked(timeout_ms))
    })
}

/// The rights behind an array of handles.
///
/// # Safety
/// - `count` handles at `rights` may be read, and each is as [`lend`] asks.
unsafe fn given<'a>(rights: *const *const tvn_port_t, count: usize) -> Result<Vec<&'a Port>> {
    // SAFETY: the caller's promise. What is read was written by the caller: it is only read here.
    let handles = unsafe { array(rights.cast_mut(), count) }?;
    // SAFETY: initialised by the caller, each as `lend` asks.
    handles.iter().map(|handle| Ok(unsafe { &lend(handle.assume_init())?.0 })).collect()
}

/// A time-out of TVN_TRY is -EAGAIN.
fn blocked(timeout_ms: c_int) -> impl Fn(Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::Timeout if timeout_ms == TVN_TRY => ErrorKind::WouldBlock.into(),
        _ => error,
    }
}

/// Sends, or, if the port is full, leaves the message there all the same: it is pending. When it was received, `notify`
/// tells (TVN_PORT_ACCEPTED), and another one may be left through this right. Lends everything. Never waits. Any thread.
/// @return 1: sent; 0: pending; -EBUSY if a message that was sent through this right is pending already; -ENOSPC if 8
/// others have one pending, or `notify` waits for 16 notifications; otherwise as tvn_port_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_send_pending(
    port: *const tvn_port_t,
    message: *const c_void,
    size: usize,
    notify: *const tvn_port_t,
) -> c_int {
    call("tvn_port_send_pending", || {
        // SAFETY: the C contract: NULL or ports' handles, not closed during this call; `size` bytes to read.
        unsafe { lend(port)?.0.send_pending(bytes(message.cast(), size)?, &lend(notify)?.0) }
    })
}

/// Receives the oldest message into `message`, which must have room for the largest the port takes (`size` ≥
/// tvn_port_message_size()); blocks while the port is empty, or until `timeout_ms` has passed. Stores in `*delivery`
/// what came with it; NULL: rights in it are given up. Lends `port` and `message`, gives `*delivery`. Any thread.
/// @return the size of the message, 0 for a notification; -EPERM unless `port` is the right to receive and this
/// process's; -EBUSY if it is in a set; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if
/// this thread is interruptible; -EIDRM; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_receive(
    port: *const tvn_port_t,
    message: *mut c_void,
    size: usize,
    delivery: *mut tvn_delivery_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_port_receive", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; `size` bytes to write.
        let (port, message) = unsafe { (&lend(port)?.0, buffer(message.cast(), size)?) };
        let received = match timeout_ms {
            TVN_TRY => tried(port.try_receive(message)?)?,
            ms => port.receive_until(message, deadline(ms))?,
        };
        // SAFETY: the C contract: NULL or a place for a delivery.
        Ok(deliver(received, unsafe { optional(delivery) }))
    })
}

/// Sends `size` bytes at `message` with a right to answer once, and waits for the answer until `timeout_ms` has passed:
/// `answer` must have room for tvn_port_message_size(). The server receives a `reply` and sends its answer there. Stores
/// in `*delivery` what came with the answer; NULL: rights in it are given up. Lends the rest. Any thread.
/// @return the size of the answer; -ECONNRESET if nobody can receive or answer any more; otherwise as tvn_port_send()
/// and tvn_port_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_call(
    port: *const tvn_port_t,
    message: *const c_void,
    size: usize,
    answer: *mut c_void,
    answer_size: usize,
    delivery: *mut tvn_delivery_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_port_call", || {
        // SAFETY: the C contract: NULL or a port's handle, not closed during this call; `size` bytes to read.
        let (port, message) = unsafe { (&lend(port)?.0, bytes(message.cast(), size)?) };
        // SAFETY: the C contract: `answer_size` bytes to write, which are not those of `message`.
        let answer = unsafe { buffer(answer.cast(), answer_size) }?;
        let received = port.call(message, answer, deadline(timeout_ms)).map_err(blocked(timeout_ms))?;
        // SAFETY: the C contract: NULL or a place for a delivery.
        Ok(deliver(received, unsafe { optional(delivery) }))
    })
}

/// Makes an empty set of ports. Gives `*out`. Never waits. It serves one thread at a time.
/// @return 0; -EMFILE and the like.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_set_new(out: *mut *mut tvn_port_set_t) -> c_int {
    call("tvn_port_set_new", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || PortSet::new().map(|set| tvn_port_set_t { set, members: Vec::new() })) }
    })
}

/// Ends the set; its ports can be received from directly again. Takes `set`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_set_close(set: *mut tvn_port_set_t) {
    // SAFETY: the C contract: NULL, or a set's handle that nobody uses any more.
    call("tvn_port_set_close", || unsafe { take(set) });
}

/// Adds a port, of which this process has the right to receive; as long as it is in the set it is received from there
/// only. Take it out before you close its handle. Lends both. Never waits.
/// @return 0; -EPERM unless it is a right to receive; -EBUSY if it is in a set already; -ENOSPC for too many;
/// -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_set_add(set: *mut tvn_port_set_t, port: *mut tvn_port_t) -> c_int {
    call("tvn_port_set_add", || {
        // SAFETY: the C contract: NULL or a set's and a port's handle; nobody else uses the set meanwhile.
        let (set, right) = unsafe { (lend_mut(set)?, &lend(port)?.0) };
        set.set.add(right)?;
        set.members.push((port, right.clone()));
        Ok(())
    })
}

/// Takes a port out. Lends both. Never waits.
/// @return 0; -ENOENT if it is not in the set; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_set_remove(set: *mut tvn_port_set_t, port: *mut tvn_port_t) -> c_int {
    call("tvn_port_set_remove", || {
        // SAFETY: the C contract: NULL or a set's and a port's handle; nobody else uses the set meanwhile.
        let (set, right) = unsafe { (lend_mut(set)?, &lend(port)?.0) };
        set.set.remove(right)?;
        set.members.retain(|(_, member)| member != right);
        Ok(())
    })
}

/// Receives from any of the ports, which take turns, as tvn_port_receive() does; stores in `*from` the handle that was
/// added. `size` is at least the largest message size of all members. Lends `set` and `message`, gives `*delivery`.
/// @return as tvn_port_receive(); -EINVAL for an empty set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_port_set_receive(
    set: *mut tvn_port_set_t,
    message: *mut c_void,
    size: usize,
    from: *mut *mut tvn_port_t,
    delivery: *mut tvn_delivery_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_port_set_receive", || {
        // SAFETY: the C contract: NULL or a set's handle that nobody else uses meanwhile; `size` bytes to write.
        let (set, message) = unsafe { (lend_mut(set)?, buffer(message.cast(), size)?) };
        // SAFETY: the C contract: NULL or a place for a handle.
        let from = unsafe { output(from) }?;
        let (port, received) = match timeout_ms {
            TVN_TRY => tried(set.set.try_receive(message)?)?,
            ms => set.set.receive_until(message, deadline(ms))?,
        };
        from.write(set.members.iter().find(|(_, member)| *member == port).map_or(null_mut(), |(handle, _)| *handle));
        // SAFETY: the C contract: NULL or a place for a delivery.
        Ok(deliver(received, unsafe { optional(delivery) }))
    })
}

/// Takes a name for this process, for direct communication; `options` (NULL for the default) are those of its port and
/// of partners' ports which it is the first to name. Lends `segment`, `name` and `options`, gives `*out`. Does not wait
/// for other users. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process has the name; -EINVAL for a bad name, or one of more than 55 bytes; -ENOSPC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_port_options_t,
    out: *mut *mut tvn_process_t,
) -> c_int {
    call("tvn_process", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, options, a place for a handle.
        unsafe { give(out, || lend(segment)?.0.process_with(text(name)?, self::options(options)).map(tvn_process_t)) }
    })
}

/// Gives the name up. Takes `process`; NULL is fine. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_close(process: *mut tvn_process_t) {
    // SAFETY: the C contract: NULL, or a process's handle that nobody uses any more.
    call("tvn_process_close", || unsafe { take(process) });
}

/// Sends `size` bytes at `message` to the process `to`, which may start later; blocks while 8 (or as its port says) wait
/// for it, or until `timeout_ms` has passed. Lends everything. Any thread.
/// @return 0; -ECONNRESET if that process died or gave its name up; otherwise as tvn_port_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_send(
    process: *const tvn_process_t,
    to: *const c_char,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_process_send", || {
        // SAFETY: the C contract: NULL or a process's handle, a string, `size` bytes to read.
        let (process, to, message) = unsafe { (&lend(process)?.0, text(to)?, bytes(message.cast(), size)?) };
        process.send(to, message, deadline(timeout_ms)).map_err(blocked(timeout_ms))
    })
}

/// Receives the oldest message from any process, and writes who sent it to `sender`, `sender_size` bytes (64 are
/// enough), with a NUL at its end: "" if that was no process under a name. Otherwise as tvn_port_receive().
/// @return as tvn_port_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_receive(
    process: *const tvn_process_t,
    sender: *mut c_char,
    sender_size: usize,
    message: *mut c_void,
    size: usize,
    delivery: *mut tvn_delivery_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_process_receive", || {
        // SAFETY: the C contract: NULL or a process's handle, `size` bytes to write.
        let (process, message) = unsafe { (&lend(process)?.0, buffer(message.cast(), size)?) };
        // SAFETY: the C contract: `sender_size` bytes to write, which are not those of `message`.
        let sender = unsafe { buffer(sender.cast(), sender_size) }?;
        let (name, received) = process.receive(message, deadline(timeout_ms)).map_err(blocked(timeout_ms))?;
        write_text(sender, &name);
        // SAFETY: the C contract: NULL or a place for a delivery.
        Ok(deliver(received, unsafe { optional(delivery) }))
    })
}

/// Receives the oldest message from the process `from`, and leaves the others where they are. Otherwise as
/// tvn_port_receive().
/// @return as tvn_port_receive(); -ECONNRESET if there is no message from that process, and it died or gave its name up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_receive_from(
    process: *const tvn_process_t,
    from: *const c_char,
    message: *mut c_void,
    size: usize,
    delivery: *mut tvn_delivery_t,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_process_receive_from", || {
        // SAFETY: the C contract: NULL or a process's handle, a string, `size` bytes to write.
        let (process, from, message) = unsafe { (&lend(process)?.0, text(from)?, buffer(message.cast(), size)?) };
        let received = process.receive_from(from, message, deadline(timeout_ms)).map_err(blocked(timeout_ms))?;
        // SAFETY: the C contract: NULL or a place for a delivery.
        Ok(deliver(received, unsafe { optional(delivery) }))
    })
}
