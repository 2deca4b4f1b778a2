//! System V message queues in C.

use super::owned;
use crate::argument::{array, buffer, bytes, optional, output};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::mailbox::{TVN_SELECT_ANY, TVN_SELECT_EXCEPT, TVN_SELECT_TYPE, TVN_SELECT_UP_TO};
use crate::segment::fill;
use std::ffi::{c_int, c_uint, c_void};
use triveni::kernel::{SysvKey, SysvQueue, SysvQueueInfo, SysvQueueOptions, SysvSelect};
use triveni::{Error, ErrorKind, Result};

/// A System V message queue. Any number of threads may use one handle.
pub struct tvn_sysv_queue_t(SysvQueue);

/// What the kernel tells about a System V queue.
#[repr(C)]
pub struct tvn_sysv_queue_info_t {
    /// Its number.
    pub id: c_int,
    /// Its key (a `key_t`); 0: none.
    pub key: c_int,
    /// The bits of its mode.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// The process that sent the last message; 0: none yet.
    pub last_sender: u32,
    /// The process that received the last message; 0: none yet.
    pub last_receiver: u32,
    /// How many messages are in it.
    pub messages: u64,
    /// Bytes in all its messages.
    pub bytes: u64,
    /// How many bytes it holds.
    pub max_bytes: u64,
    /// When the last message was sent, in seconds since 1970; 0: not yet.
    pub sent_at: i64,
    /// When the last message was received, in seconds since 1970; 0: not yet.
    pub received_at: i64,
}

impl From<SysvQueueInfo> for tvn_sysv_queue_info_t {
    fn from(info: SysvQueueInfo) -> tvn_sysv_queue_info_t {
        tvn_sysv_queue_info_t {
            id: info.id,
            key: info.key.number(),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            last_sender: info.last_sender,
            last_receiver: info.last_receiver,
            messages: info.messages,
            bytes: info.bytes,
            max_bytes: info.max_bytes,
            sent_at: info.sent_at,
            received_at: info.received_at,
        }
    }
}

fn options(max_bytes: u64, mode: c_uint, flags: c_uint) -> Result<SysvQueueOptions> {
    let options = SysvQueueOptions::new().mode(mode).owned(owned(flags)?);
    Ok(if max_bytes > 0 { options.max_bytes(max_bytes) } else { options })
}

fn selecting(how: u32, mtype: i64) -> Result<SysvSelect> {
    match how {
        TVN_SELECT_ANY => Ok(SysvSelect::Any),
        TVN_SELECT_TYPE => Ok(SysvSelect::Type(mtype)),
        TVN_SELECT_UP_TO => Ok(SysvSelect::UpTo(mtype)),
        TVN_SELECT_EXCEPT => Ok(SysvSelect::Except(mtype)),
        other => {
            Err(Error::new(ErrorKind::Invalid, format!("no selection has the number {other}; give TVN_SELECT_...")))
        }
    }
}

/// Creates the System V queue of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE) that
/// holds `max_bytes` of messages, 0 for the system's default (/proc/sys/kernel/msgmnb). `mode` says who may use it: 0600
/// is this user alone. `flags`: 0 or TVN_OWNED.
///
/// A queue and its messages stay when all its users have ended or were killed, until tvn_sysv_queue_remove().
/// Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST, unless the key is private; -ENOSPC beyond /proc/sys/kernel/msgmni; -EACCES for more bytes than
/// /proc/sys/kernel/msgmnb without CAP_SYS_RESOURCE; -ENOSYS where the system has no such queues.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_create(
    key: c_int,
    max_bytes: u64,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_queue_t,
) -> c_int {
    call("tvn_sysv_queue_create", || {
        let options = options(max_bytes, mode, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.create(SysvKey::new(key)).map(tvn_sysv_queue_t)) }
    })
}

/// Opens the System V queue of `key`, which must exist. Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_open(key: c_int, out: *mut *mut tvn_sysv_queue_t) -> c_int {
    call("tvn_sysv_queue_open", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || SysvQueue::open(SysvKey::new(key)).map(tvn_sysv_queue_t)) }
    })
}

/// Opens the System V queue with the number `id` (tvn_sysv_queue_id()). Gives `*out`. Does not wait. Any thread; a forked
/// child too.
/// @return 0; -ENOENT if there is none, or not any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_open_id(id: c_int, out: *mut *mut tvn_sysv_queue_t) -> c_int {
    call("tvn_sysv_queue_open_id", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || SysvQueue::open_id(id).map(tvn_sysv_queue_t)) }
    })
}

/// Opens the System V queue of `key`, or creates it as tvn_sysv_queue_create() does; one that is there is not owned.
/// IPC_PRIVATE always creates. Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return as tvn_sysv_queue_create(), without -EEXIST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_open_or_create(
    key: c_int,
    max_bytes: u64,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_queue_t,
) -> c_int {
    call("tvn_sysv_queue_open_or_create", || {
        let options = options(max_bytes, mode, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open_or_create(SysvKey::new(key)).map(tvn_sysv_queue_t)) }
    })
}

/// Removes the System V queue of `key` and all its messages, as tvn_sysv_queue_remove() does. Does not wait. Any thread;
/// a forked child too.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES for who neither owns it nor is root.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_sysv_queue_unlink(key: c_int) -> c_int {
    call("tvn_sysv_queue_unlink", || SysvQueue::unlink(SysvKey::new(key)))
}

/// Removes the queue and all its messages, at once. Who waits for it gets -EIDRM. Lends `queue`, which is still to be
/// closed. Never blocks. Any thread; a forked child too.
/// @return 0; -EIDRM if somebody did already; -EACCES for who neither owns it nor is root.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_remove(queue: *const tvn_sysv_queue_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_queue_remove", || unsafe { lend(queue) }?.0.remove())
}

/// Lets go of the queue, and removes it if it is owned, in the process that made it. Takes `queue`; NULL is fine. The
/// queue and its messages stay otherwise. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_close(queue: *mut tvn_sysv_queue_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_sysv_queue_close", || unsafe { take(queue) });
}

/// Its number, by which any process can open it: tvn_sysv_queue_open_id(). Lends `queue`. Never blocks. Any thread.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_id(queue: *const tvn_sysv_queue_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_queue_id", || Ok(unsafe { lend(queue) }?.0.id()))
}

/// Sends a copy of `size` bytes at `message` (NULL will do for 0) with type 1; blocks while the queue is full, or until
/// `timeout_ms` has passed: with a deadline it tries again after pauses of up to 4 ms, as System V has no timed form.
/// Lends `queue` and `message`. A process that dies here has sent the whole message, or none. Any thread; a forked child
/// too.
/// @return 0; -EMSGSIZE beyond /proc/sys/kernel/msgmax, and for more than the queue can ever hold; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if it is removed; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_send(
    queue: *const tvn_sysv_queue_t,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_sysv_queue_send", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (queue, message) = unsafe { (&lend(queue)?.0, bytes(message.cast(), size)?) };
        send(queue, message, 1, timeout_ms)
    })
}

/// As tvn_sysv_queue_send(), with a type from 1 on, by which receivers choose. Lends `queue` and `message`. Any thread; a
/// forked child too.
/// @return as tvn_sysv_queue_send(); -EINVAL for a type below 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_send_with(
    queue: *const tvn_sysv_queue_t,
    message: *const c_void,
    size: usize,
    mtype: i64,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_sysv_queue_send_with", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (queue, message) = unsafe { (&lend(queue)?.0, bytes(message.cast(), size)?) };
        send(queue, message, mtype, timeout_ms)
    })
}

fn send(queue: &SysvQueue, message: &[u8], mtype: i64, timeout_ms: c_int) -> Result<()> {
    match timeout_ms {
        TVN_TRY => tried(queue.try_send_with(message, mtype)?.then_some(())),
        ms => queue.send_with_until(message, mtype, deadline(ms)),
    }
}

/// Receives the oldest message into `message`; blocks while the queue is empty, or until `timeout_ms` has passed: with a
/// deadline it tries again after pauses of up to 4 ms, as System V has no timed form. Lends `queue` and `message`. Any
/// thread; a forked child too.
/// @return the size of the message, from 0 on; -EMSGSIZE if it is larger than `size`, and it stays where it is; -EAGAIN
/// with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the queue is removed; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_receive(
    queue: *const tvn_sysv_queue_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_sysv_queue_receive", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (queue, message) = unsafe { (&lend(queue)?.0, buffer(message.cast(), size)?) };
        receive(queue, SysvSelect::Any, message, timeout_ms).map(|(size, _)| size)
    })
}

/// As tvn_sysv_queue_receive(), of the first message that `how` (TVN_SELECT_...) and `mtype` select, as `msgtyp` of
/// msgrcv(2) does; stores its type in `*received`, unless that is NULL. Lends `queue` and `message`. Any thread; a forked
/// child too.
/// @return as tvn_sysv_queue_receive(); -EINVAL for a type below 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_receive_selected(
    queue: *const tvn_sysv_queue_t,
    message: *mut c_void,
    size: usize,
    how: u32,
    mtype: i64,
    timeout_ms: c_int,
    received: *mut i64,
) -> i64 {
    call("tvn_sysv_queue_receive_selected", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write; NULL or a place
        // for the type, apart from them.
        let (queue, message, out) = unsafe { (&lend(queue)?.0, buffer(message.cast(), size)?, optional(received)) };
        let (size, mtype) = receive(queue, selecting(how, mtype)?, message, timeout_ms)?;
        if let Some(out) = out {
            out.write(mtype);
        }
        Ok(size)
    })
}

fn receive(queue: &SysvQueue, select: SysvSelect, message: &mut [u8], timeout_ms: c_int) -> Result<(usize, i64)> {
    match timeout_ms {
        TVN_TRY => tried(queue.try_receive_selected(select, message)?),
        ms => queue.receive_selected_until(select, message, deadline(ms)),
    }
}

/// Changes how many bytes of messages the queue holds. Lends `queue`. Never blocks. Any thread; a forked child too.
/// @return 0; -EACCES beyond /proc/sys/kernel/msgmnb without CAP_SYS_RESOURCE, and for who neither owns it nor is root;
/// -EINVAL for 0; -EIDRM if it was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_set_max_bytes(queue: *const tvn_sysv_queue_t, bytes: u64) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_queue_set_max_bytes", || unsafe { lend(queue) }?.0.set_max_bytes(bytes))
}

/// The largest message in bytes at this moment, in any queue: /proc/sys/kernel/msgmax. Lends `queue`. Never blocks. Any
/// thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_message_size(queue: *const tvn_sysv_queue_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_queue_message_size", || Ok(unsafe { lend(queue) }?.0.message_size()))
}

/// How many messages are in it at this moment. Lends `queue`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on; 0 if it was removed, or may not be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_length(queue: *const tvn_sysv_queue_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_queue_length", || Ok(unsafe { lend(queue) }?.0.len()))
}

/// Stores in `*info` what the kernel tells about the queue at this moment. Lends `queue`. Never blocks. Any thread; a
/// forked child too.
/// @return 0; -EIDRM if it was removed; -EACCES for who may not receive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_info(
    queue: *const tvn_sysv_queue_t,
    info: *mut tvn_sysv_queue_info_t,
) -> c_int {
    call("tvn_sysv_queue_info", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (queue, out) = unsafe { (&lend(queue)?.0, output(info)?) };
        out.write(queue.info()?.into());
        Ok(())
    })
}

/// Fills `array` with all System V queues of this system, by number, as many as there are and at most `count`. Lends
/// `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many there are, which may be more than `count`; -ENOSYS where the system has no such queues.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_queue_list(array: *mut tvn_sysv_queue_info_t, count: usize) -> i64 {
    call("tvn_sysv_queue_list", || {
        // SAFETY: the C contract: `count` items to write.
        let array = unsafe { self::array(array, count) }?;
        Ok(fill(array, SysvQueue::list()?.into_iter().map(Into::into)))
    })
}
