//! POSIX message queues in C.

use super::{TVN_OWNED, owned};
use crate::argument::{array, buffer, bytes, chars, descriptor, optional, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::fill;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use triveni::kernel::{PosixQueue, PosixQueueInfo, PosixQueueOptions, QueueAccess};
use triveni::{Error, ErrorKind, Result};

/// A POSIX message queue that is open. Any number of threads may use one handle.
pub struct tvn_posix_queue_t(PosixQueue);

/// For `flags`: the queue is opened to send only, which is enough where its mode admits no more.
pub const TVN_SEND_ONLY: c_uint = 0x10;
/// For `flags`: the queue is opened to receive only.
pub const TVN_RECEIVE_ONLY: c_uint = 0x20;

/// The highest priority of a message in a POSIX queue.
pub const TVN_POSIX_QUEUE_MAX_PRIORITY: u32 = 32767;
const _: () = assert!(TVN_POSIX_QUEUE_MAX_PRIORITY == PosixQueue::MAX_PRIORITY);

/// What the kernel tells about a POSIX queue. -1: this process may not know.
#[repr(C)]
pub struct tvn_posix_queue_info_t {
    /// Its name, with the slash.
    pub name: [c_char; 257],
    /// The bits of its mode.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// The process that asked to be notified and was not told yet; 0: none.
    pub notifies: u32,
    /// How many messages are in it.
    pub messages: i64,
    /// How many messages it holds.
    pub capacity: i64,
    /// The largest message in bytes.
    pub message_size: i64,
    /// Bytes in all its messages.
    pub bytes: i64,
}

impl From<PosixQueueInfo> for tvn_posix_queue_info_t {
    fn from(info: PosixQueueInfo) -> tvn_posix_queue_info_t {
        let count = |count: Option<usize>| count.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1);
        tvn_posix_queue_info_t {
            name: chars(&info.name),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            notifies: info.notifies.unwrap_or(0),
            messages: count(info.messages),
            capacity: count(info.capacity),
            message_size: count(info.message_size),
            bytes: count(info.bytes),
        }
    }
}

/// The options that C hands in; 0 is the system's default for both sizes.
fn options(capacity: usize, message_size: usize, mode: c_uint, flags: c_uint) -> Result<PosixQueueOptions> {
    let access = match flags & (TVN_SEND_ONLY | TVN_RECEIVE_ONLY) {
        TVN_SEND_ONLY => QueueAccess::Send,
        TVN_RECEIVE_ONLY => QueueAccess::Receive,
        _ => QueueAccess::Both,
    };
    let owned = owned(flags & !(TVN_SEND_ONLY | TVN_RECEIVE_ONLY))?;
    let mut options = PosixQueueOptions::new().mode(mode).access(access).owned(owned);
    if capacity > 0 {
        options = options.capacity(capacity);
    }
    if message_size > 0 {
        options = options.message_size(message_size);
    }
    Ok(options)
}

/// Creates the POSIX queue `name` (a slash, then 1 to 255 bytes without one; the slash may be left out) for `capacity`
/// messages of up to `message_size` bytes, 0 for the system's default (10 of 8192). Who may open it says `mode`, exactly,
/// whatever the umask: 0600 is this user alone. `flags`: 0, or TVN_OWNED, TVN_SEND_ONLY, TVN_RECEIVE_ONLY.
///
/// A queue and its messages stay when all its users have ended or were killed, until tvn_posix_queue_unlink().
/// Lends `name`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST; -EINVAL for a bad name, and beyond /proc/sys/fs/mqueue/msg_max and msgsize_max; -EMFILE beyond
/// RLIMIT_MSGQUEUE; -ENOSPC beyond /proc/sys/fs/mqueue/queues_max; -ENOSYS where the system has no such queues.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_create(
    name: *const c_char,
    capacity: usize,
    message_size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_queue_t,
) -> c_int {
    call("tvn_posix_queue_create", || {
        let options = options(capacity, message_size, mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.create(text(name)?).map(tvn_posix_queue_t)) }
    })
}

/// Opens the POSIX queue `name`, which must exist. `flags`: 0, TVN_SEND_ONLY or TVN_RECEIVE_ONLY. Lends `name`, gives
/// `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT; -EACCES if its mode does not admit this; -EINVAL for a bad name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_open(
    name: *const c_char,
    flags: c_uint,
    out: *mut *mut tvn_posix_queue_t,
) -> c_int {
    call("tvn_posix_queue_open", || {
        if flags & TVN_OWNED != 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "only who creates a POSIX queue can own it: not TVN_OWNED here",
            ));
        }
        let options = options(0, 0, 0, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.open(text(name)?).map(tvn_posix_queue_t)) }
    })
}

/// Opens the POSIX queue `name`, or creates it as tvn_posix_queue_create() does. One that is there is not owned, and
/// must have the sizes that are asked for, if they are not 0. Lends `name`, gives `*out`. Does not wait. Any thread; a
/// forked child too.
/// @return as tvn_posix_queue_create() and tvn_posix_queue_open(), without -EEXIST and -ENOENT; -TVN_EINCOMPATIBLE for
/// other sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_open_or_create(
    name: *const c_char,
    capacity: usize,
    message_size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_posix_queue_t,
) -> c_int {
    call("tvn_posix_queue_open_or_create", || {
        let options = options(capacity, message_size, mode, flags)?;
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || options.open_or_create(text(name)?).map(tvn_posix_queue_t)) }
    })
}

/// Makes a handle of the descriptor of a POSIX queue (an `mqd_t` on Linux), inherited for instance. Takes `fd`, also
/// when it is no queue's; gives `*out`. Does not wait. Any thread.
/// @return 0; -TVN_EINCOMPATIBLE if it is no queue's; -EINVAL for a negative `fd`, and then nothing is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_from_fd(fd: c_int, out: *mut *mut tvn_posix_queue_t) -> c_int {
    call("tvn_posix_queue_from_fd", || {
        // SAFETY: the C contract: `fd` is the caller's to give away; NULL or a place for a handle.
        unsafe {
            descriptor(fd)?;
            give(out, || PosixQueue::from_fd(OwnedFd::from_raw_fd(fd)).map(tvn_posix_queue_t))
        }
    })
}

/// Removes the name of a POSIX queue. Who has it open goes on with it; it ends, with its messages, at the last close.
/// Lends `name`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT; -EACCES for who neither owns it nor is root.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_unlink(name: *const c_char) -> c_int {
    // SAFETY: the C contract: NULL or a string.
    call("tvn_posix_queue_unlink", || PosixQueue::unlink(unsafe { text(name) }?))
}

/// Closes the queue, and removes it if it is owned, in the process that made it. Takes `queue`; NULL is fine. Its
/// messages stay. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_close(queue: *mut tvn_posix_queue_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_posix_queue_close", || unsafe { take(queue) });
}

/// Its descriptor: readable (POLLIN) while there is a message, writable (POLLOUT) while there is room. Lends `queue`,
/// whose descriptor it stays. Never blocks. Any thread; a forked child too.
/// @return the descriptor, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_fd(queue: *const tvn_posix_queue_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_fd", || Ok(unsafe { lend(queue) }?.0.as_fd().as_raw_fd()))
}

/// Sends a copy of `size` bytes at `message` (NULL will do for 0) with priority 0; blocks while the queue is full, or
/// until `timeout_ms` has passed. Lends `queue` and `message`. A process that dies here has sent the whole message, or
/// none. Any thread; a forked child too.
/// @return 0; -EMSGSIZE for more than tvn_posix_queue_message_size(); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this
/// thread is interruptible; -EBADF if it was opened to receive only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_send(
    queue: *const tvn_posix_queue_t,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_posix_queue_send", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (queue, message) = unsafe { (&lend(queue)?.0, bytes(message.cast(), size)?) };
        send(queue, message, 0, timeout_ms)
    })
}

/// As tvn_posix_queue_send(), with a priority from 0 to TVN_POSIX_QUEUE_MAX_PRIORITY: the highest is received first,
/// among equals the oldest. Lends `queue` and `message`. Any thread; a forked child too.
/// @return as tvn_posix_queue_send(); -EINVAL for a priority that is too high.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_send_with(
    queue: *const tvn_posix_queue_t,
    message: *const c_void,
    size: usize,
    priority: u32,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_posix_queue_send_with", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to read.
        let (queue, message) = unsafe { (&lend(queue)?.0, bytes(message.cast(), size)?) };
        send(queue, message, priority, timeout_ms)
    })
}

fn send(queue: &PosixQueue, message: &[u8], priority: u32, timeout_ms: c_int) -> Result<()> {
    match timeout_ms {
        TVN_TRY => tried(queue.try_send_with(message, priority)?.then_some(())),
        ms => queue.send_with_until(message, priority, deadline(ms)),
    }
}

/// Receives the oldest message of the highest priority into `message`, which must have room for the largest the queue
/// takes (`size` ≥ tvn_posix_queue_message_size()); blocks while the queue is empty, or until `timeout_ms` has passed.
/// Lends `queue` and `message`. Any thread; a forked child too.
/// @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small, and nothing is taken; -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EBADF if it was opened to send only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_receive(
    queue: *const tvn_posix_queue_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_posix_queue_receive", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write.
        let (queue, message) = unsafe { (&lend(queue)?.0, buffer(message.cast(), size)?) };
        receive(queue, message, timeout_ms).map(|(size, _)| size)
    })
}

/// As tvn_posix_queue_receive(), and stores the message's priority in `*priority`. Lends `queue` and `message`. Any
/// thread; a forked child too.
/// @return as tvn_posix_queue_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_receive_envelope(
    queue: *const tvn_posix_queue_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
    priority: *mut u32,
) -> i64 {
    call("tvn_posix_queue_receive_envelope", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `size` bytes to write; NULL or a place
        // for the priority, apart from them.
        let (queue, message, out) = unsafe { (&lend(queue)?.0, buffer(message.cast(), size)?, optional(priority)) };
        let (size, priority) = receive(queue, message, timeout_ms)?;
        if let Some(out) = out {
            out.write(priority);
        }
        Ok(size)
    })
}

fn receive(queue: &PosixQueue, message: &mut [u8], timeout_ms: c_int) -> Result<(usize, u32)> {
    match timeout_ms {
        TVN_TRY => tried(queue.try_receive_envelope(message)?),
        ms => queue.receive_envelope_until(message, deadline(ms)),
    }
}

/// Asks for the signal `signal`, carrying `value` (`si_value.sival_int`, with `si_code` SI_MESGQ), when a message comes
/// to the queue while it is empty and nobody waits to receive it. Once: to be told again, ask again, and then receive
/// what is there. The wish ends with this process, and when it closes any descriptor of the queue. Without a signal,
/// poll tvn_posix_queue_fd(). Lends `queue`. Never blocks. Any thread; a forked child asks for itself.
/// @return 0; -EBUSY if a process has asked and was not told yet; -EINVAL for no signal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_notify(queue: *const tvn_posix_queue_t, signal: c_int, value: c_int) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_notify", || unsafe { lend(queue) }?.0.notify(signal, value))
}

/// Takes back what tvn_posix_queue_notify() asked. Lends `queue`. Never blocks. Any thread.
/// @return 0, also if this process has not asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_cancel_notify(queue: *const tvn_posix_queue_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_cancel_notify", || unsafe { lend(queue) }?.0.cancel_notify())
}

/// How many messages are in it at this moment. Lends `queue`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_length(queue: *const tvn_posix_queue_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_length", || Ok(unsafe { lend(queue) }?.0.len()))
}

/// How many messages it holds. Lends `queue`. Never blocks. Any thread; a forked child too.
/// @return the number, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_capacity(queue: *const tvn_posix_queue_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_capacity", || Ok(unsafe { lend(queue) }?.0.capacity()))
}

/// The largest message in bytes. Lends `queue`. Never blocks. Any thread; a forked child too.
/// @return the size, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_message_size(queue: *const tvn_posix_queue_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_posix_queue_message_size", || Ok(unsafe { lend(queue) }?.0.message_size()))
}

/// Stores in `*info` what the kernel tells about the queue at this moment. Lends `queue`. Never blocks. Any thread; a
/// forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_info(
    queue: *const tvn_posix_queue_t,
    info: *mut tvn_posix_queue_info_t,
) -> c_int {
    call("tvn_posix_queue_info", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (queue, out) = unsafe { (&lend(queue)?.0, output(info)?) };
        out.write(queue.info()?.into());
        Ok(())
    })
}

/// Fills `array` with all POSIX queues of this system, by name, as many as there are and at most `count`. It opens and
/// closes each, which ends a notification that this very process has asked for. Lends `array` (NULL will do with 0).
/// Never blocks. Any thread; a forked child too.
/// @return how many there are, which may be more than `count`; -ENOSYS where no file system of type mqueue is mounted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_posix_queue_list(array: *mut tvn_posix_queue_info_t, count: usize) -> i64 {
    call("tvn_posix_queue_list", || {
        // SAFETY: the C contract: `count` items to write.
        let array = unsafe { self::array(array, count) }?;
        Ok(fill(array, PosixQueue::list()?.into_iter().map(Into::into)))
    })
}
