//! Signals in C: sending, taking, callbacks, ends of children, and processes that stop each other.

use super::process::{items, number};
use crate::argument::{array, buffer, output, write_text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::fill;
use std::collections::VecDeque;
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use triveni::kernel::{self, ChildEnds, EndedChild, Handlers, Mask, SignalInfo, Signals, StopLock};
use triveni::{Error, ErrorKind};

/// Sends a signal to a process. Signal 0 asks whether it is there. A process id may come to name a later process; a
/// tvn_child_t does not. Never blocks. Any thread.
/// @return 0; -ESRCH if there is no such process; -EACCES if it is another user's: tvn_last_error() names both users;
/// -EINVAL for no signal, and for a `pid` below 1, which would be a group or everybody.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_send_signal(pid: c_int, signal: c_int) -> c_int {
    call("tvn_send_signal", || kernel::send_signal(number(pid), signal))
}

/// Sends a signal with a value (sigqueue). Signals from SIGRTMIN on queue, each with its value; of the others one is
/// pending at most. Never blocks. Any thread.
/// @return as tvn_send_signal(); -EAGAIN if as many are pending as RLIMIT_SIGPENDING allows: nothing is sent.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_queue_signal(pid: c_int, signal: c_int, value: c_int) -> c_int {
    call("tvn_queue_signal", || kernel::queue_signal(number(pid), signal, value))
}

/// Writes what a signal is called, SIGTERM or SIGRTMIN+3, with a NUL at its end, cut if it has no room. Lends `buffer` (NULL
/// will do with 0). Never blocks.
/// @return how many bytes the whole name has, without the NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_signal_name(signal: c_int, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_signal_name", || {
        // SAFETY: the C contract: `size` bytes to write.
        let buffer = unsafe { self::buffer(buffer.cast(), size) }?;
        let name = kernel::signal_name(signal);
        write_text(buffer, &name);
        Ok(name.len())
    })
}

/// Signals that a thread blocks and takes from a descriptor.
pub struct tvn_signals_t(Signals);

/// A signal that was taken, and who sent it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tvn_signal_info_t {
    /// Its number.
    pub signal: c_int,
    /// Why it came: SI_USER from kill(), SI_QUEUE with a value, CLD_EXITED and so on for SIGCHLD.
    pub code: c_int,
    /// The process that sent it, or that it is about (SIGCHLD); 0 if the kernel did.
    pub pid: c_int,
    /// The user of that process.
    pub uid: u32,
    /// What tvn_queue_signal() sent with it, or 0.
    pub value: c_int,
}

impl From<SignalInfo> for tvn_signal_info_t {
    fn from(info: SignalInfo) -> Self {
        Self { signal: info.signal, code: info.code, pid: info.pid as c_int, uid: info.uid, value: info.value }
    }
}

/// Blocks `count` signals in the calling thread and takes them from now on. Threads made afterwards inherit the mask;
/// a thread that does not block them still gets them as the program's disposition says, so do this before threads are
/// started. Lends `signals`, gives `*out`. Does not wait.
/// @return 0; -EINVAL for no signal, and for SIGKILL and SIGSTOP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_signals_take(signals: *const c_int, count: usize, out: *mut *mut tvn_signals_t) -> c_int {
    call("tvn_signals_take", || {
        // SAFETY: the C contract: `count` numbers to read, NULL or a place for a handle.
        unsafe { give(out, || Signals::take(items(signals, count)?.iter().copied()).map(tvn_signals_t)) }
    })
}

/// Takes the next signal; waits for it. No handler runs. Lends `signals` and `info`. Any thread; a forked child takes its
/// own signals.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible and the handler of another signal
/// has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_signals_receive(
    signals: *const tvn_signals_t,
    info: *mut tvn_signal_info_t,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_signals_receive", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call; NULL or a place for the answer.
        let (signals, info) = unsafe { (&lend(signals)?.0, output(info)?) };
        let taken = match timeout_ms {
            TVN_TRY => tried(signals.try_receive()?),
            ms => signals.receive_until(deadline(ms)),
        }?;
        info.write(taken.into());
        Ok(())
    })
}

/// A descriptor that is readable while one of the signals is pending, for poll() or tvn_wait_set_add_fd(). Lends
/// `signals`, and the descriptor until it is closed. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_signals_fd(signals: *const tvn_signals_t) -> c_int {
    call("tvn_signals_fd", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(unsafe { lend(signals) }?.0.as_fd().as_raw_fd())
    })
}

/// Lets go of the signals; on the thread that took them, gives its mask back: what is still pending is then delivered.
/// Takes `signals`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_signals_close(signals: *mut tvn_signals_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_signals_close", || unsafe { take(signals) });
}

/// Signals that are blocked in one thread.
pub struct tvn_mask_t(Mask);

/// Blocks `count` signals in the calling thread until tvn_mask_close(): a section that their handlers do not interrupt.
/// Lends `signals`, gives `*out`. Never blocks.
/// @return 0; -EINVAL for no signal, and for SIGKILL and SIGSTOP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mask_block(signals: *const c_int, count: usize, out: *mut *mut tvn_mask_t) -> c_int {
    call("tvn_mask_block", || {
        // SAFETY: the C contract: `count` numbers to read, NULL or a place for a handle.
        unsafe { give(out, || Mask::block(items(signals, count)?.iter().copied()).map(tvn_mask_t)) }
    })
}

/// Sleeps with the mask from before, until a signal handler has run: one step for the system, so that a signal which came
/// after the block ends it at once, where pause() would sleep for ever. Lends `mask`. On the thread that blocked.
/// @return 0; -ETIMEDOUT, with TVN_TRY too; -EINVAL on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mask_suspend(mask: *const tvn_mask_t, timeout_ms: c_int) -> c_int {
    call("tvn_mask_suspend", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(mask) }?.0.suspend_until(deadline(timeout_ms))
    })
}

/// Gives the thread its mask back. Takes `mask`; NULL is fine. On another thread it changes no mask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mask_close(mask: *mut tvn_mask_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_mask_close", || unsafe { take(mask) });
}

/// Callbacks for signals, which run when the program dispatches them. One thread at a time.
pub struct tvn_handlers_t(Handlers<'static>);

/// What a callback gets: the signal, and the context it was given with.
pub type tvn_on_signal_t = Option<unsafe extern "C" fn(info: *const tvn_signal_info_t, context: *mut c_void)>;

/// No callbacks yet. Gives `*out`. Does not wait.
/// @return 0; -EMFILE if there are too many descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_handlers(out: *mut *mut tvn_handlers_t) -> c_int {
    call("tvn_handlers", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || Handlers::new().map(tvn_handlers_t)) }
    })
}

/// The context of a callback, which goes back to the callback alone.
struct Context(*mut c_void);

// SAFETY: the header says that the handlers serve one thread at a time, so the callback gets it on whatever thread
// dispatches; nothing here looks behind it.
unsafe impl Send for Context {}

impl Context {
    fn pointer(&self) -> *mut c_void {
        self.0
    }
}

/// Blocks `signal` in the calling thread and has `callback` run for each that comes, in tvn_handlers_dispatch() and
/// nowhere else: it may allocate, lock and print. It replaces an earlier one for that signal. Lends `handlers`; `context`
/// is kept for the callback. The callback must not use `handlers`. Threads: see tvn_signals_take().
/// @return 0; -EINVAL for no signal, for SIGKILL and SIGSTOP, and for no callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_handlers_on_signal(
    handlers: *mut tvn_handlers_t,
    signal: c_int,
    callback: tvn_on_signal_t,
    context: *mut c_void,
) -> c_int {
    call("tvn_handlers_on_signal", || {
        let callback = callback.ok_or_else(|| Error::new(ErrorKind::Invalid, "the callback is NULL; give one"))?;
        let context = Context(context);
        // SAFETY: the C contract: NULL, or a handle that only this thread uses.
        unsafe { lend_mut(handlers) }?.0.on_signal(signal, move |info| {
            let info = tvn_signal_info_t::from(info);
            // SAFETY: the C contract: a function with this signature, and the context it was given with.
            unsafe { callback(&info, context.pointer()) }
        })
    })
}

/// Waits for a signal and runs its callback, and those of all that are pending. Lends `handlers`.
/// @return how many ran; -EAGAIN with TVN_TRY if none was pending; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_handlers_dispatch(handlers: *mut tvn_handlers_t, timeout_ms: c_int) -> i64 {
    call("tvn_handlers_dispatch", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses.
        let handlers = &mut unsafe { lend_mut(handlers) }?.0;
        match timeout_ms {
            TVN_TRY => tried(Some(handlers.try_dispatch()?).filter(|ran| *ran > 0)),
            ms => handlers.dispatch_until(deadline(ms)),
        }
    })
}

/// A descriptor that is readable when there is something to dispatch. Lends `handlers`, and the descriptor until it is
/// closed. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_handlers_fd(handlers: *const tvn_handlers_t) -> c_int {
    call("tvn_handlers_fd", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(unsafe { lend(handlers) }?.0.as_fd().as_raw_fd())
    })
}

/// Lets go of the callbacks; on the thread that made them, gives its mask back. Takes `handlers`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_handlers_close(handlers: *mut tvn_handlers_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_handlers_close", || unsafe { take(handlers) });
}

/// SIGCHLD as an event that names the children which ended. One thread at a time.
pub struct tvn_child_ends_t {
    ends: ChildEnds,
    /// Named by core, not yet by us: the caller's array was full.
    rest: VecDeque<EndedChild>,
}

/// A child that has ended and was not waited for yet.
#[repr(C)]
pub struct tvn_ended_child_t {
    /// Its process id.
    pub pid: c_int,
    /// How it ended, as from waitpid(2).
    pub status: c_int,
}

/// Blocks SIGCHLD in the calling thread and begins to look out for the ends of children, whichever thread started them. The
/// first one installs a handler for SIGCHLD, which stays. A handler of the program's own is called by it, but not for what
/// is taken here, so do not count on that one. Where another one is installed later, the next tvn_child_ends_receive() puts
/// itself before it. Gives `*out`. Does not wait.
/// @return 0; -EMFILE if there are too many descriptors; -ECHILD where SIGCHLD is ignored: the system takes all ends then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_ends(out: *mut *mut tvn_child_ends_t) -> c_int {
    call("tvn_child_ends", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || Ok(tvn_child_ends_t { ends: ChildEnds::take()?, rest: VecDeque::new() })) }
    })
}

/// Waits until children have ended, and fills `array` with them, at most `count`, each once. It takes no end away: whoever
/// waits for one still gets it. A child that was waited for before is not named. Lends `ends` and `array`.
/// @return how many, at least 1; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EINVAL for a
/// `count` of 0; -TVN_EFORKED in a forked child; -ECHILD as tvn_child_ends().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_ends_receive(
    ends: *mut tvn_child_ends_t,
    array: *mut tvn_ended_child_t,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_child_ends_receive", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses; `count` items to write.
        let (tvn_child_ends_t { ends, rest }, array) = unsafe { (lend_mut(ends)?, self::array(array, count)?) };
        if array.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "there is no room for a child; give an array of 1 or more"));
        }
        if rest.is_empty() {
            rest.extend(match timeout_ms {
                TVN_TRY => tried(Some(ends.try_receive()?).filter(|ended| !ended.is_empty())),
                ms => ends.receive_until(deadline(ms)),
            }?);
        }
        let n = rest.len().min(array.len());
        let ended = rest.drain(..n);
        Ok(fill(array, ended.map(|one| tvn_ended_child_t { pid: one.pid as c_int, status: one.status.into_raw() })))
    })
}

/// A descriptor that is readable when children may have ended. Lends `ends`, and the descriptor until it is closed.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_ends_fd(ends: *const tvn_child_ends_t) -> c_int {
    call("tvn_child_ends_fd", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(unsafe { lend(ends) }?.ends.as_fd().as_raw_fd())
    })
}

/// Ends the look-out; on the thread that began it, gives its mask back. Takes `ends`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_ends_close(ends: *mut tvn_child_ends_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_child_ends_close", || unsafe { take(ends) });
}

/// Stops the calling process, all its threads, until somebody sends it SIGCONT.
/// @return 0, after that.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_stop_self() -> c_int {
    call("tvn_stop_self", kernel::stop_self)
}

/// Asks the system to stop process `pid` (SIGSTOP). It may run a little longer: tvn_wait_stopped(). Never blocks.
/// @return as tvn_send_signal().
#[unsafe(no_mangle)]
pub extern "C" fn tvn_stop_process(pid: c_int) -> c_int {
    call("tvn_stop_process", || kernel::stop_process(number(pid)))
}

/// Lets process `pid` go on (SIGCONT). If it does not stand yet, nothing is kept for later: the lost SIGCONT.
/// tvn_continue_stopped() does not lose it. Never blocks.
/// @return as tvn_send_signal().
#[unsafe(no_mangle)]
pub extern "C" fn tvn_continue_process(pid: c_int) -> c_int {
    call("tvn_continue_process", || kernel::continue_process(number(pid)))
}

/// Does process `pid` stand? Never blocks; it reads /proc.
/// @return 1 or 0; -ESRCH if it has ended.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_is_stopped(pid: c_int) -> c_int {
    call("tvn_is_stopped", || kernel::is_stopped(number(pid)))
}

/// Waits until process `pid` stands, looking at it in /proc with pauses of at most 4 ms.
/// @return 0; -ESRCH if it ends or has ended; -ETIMEDOUT, with TVN_TRY too; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_wait_stopped(pid: c_int, timeout_ms: c_int) -> c_int {
    call("tvn_wait_stopped", || kernel::wait_stopped(number(pid), deadline(timeout_ms)))
}

/// Waits until process `pid` stands, and lets it go on: the SIGCONT that is not lost.
/// @return as tvn_wait_stopped() and tvn_send_signal().
#[unsafe(no_mangle)]
pub extern "C" fn tvn_continue_stopped(pid: c_int, timeout_ms: c_int) -> c_int {
    call("tvn_continue_stopped", || kernel::continue_stopped(number(pid), deadline(timeout_ms)))
}

/// Mutual exclusion from one other process, by stopping it.
pub struct tvn_stop_lock_t(StopLock);

/// For the process that has the number `pid` now; a later one with that number is never touched. It excludes what the
/// other does next, not what it is in the midst of; and two that stop each other both stand for ever. Gives `*out`.
/// @return 0; -ESRCH if there is no such process; -EINVAL for the calling process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stop_lock(pid: c_int, out: *mut *mut tvn_stop_lock_t) -> c_int {
    call("tvn_stop_lock", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || StopLock::new(number(pid)).map(tvn_stop_lock_t)) }
    })
}

/// Stops the other process and waits until it stands; if it does not in time, it goes on. Lends `lock`.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ESRCH if it has ended; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stop_lock_lock(lock: *const tvn_stop_lock_t, timeout_ms: c_int) -> c_int {
    call("tvn_stop_lock_lock", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        let lock = &unsafe { lend(lock) }?.0;
        let guard = match timeout_ms {
            TVN_TRY => tried(lock.try_lock()?),
            ms => lock.lock_until(deadline(ms)),
        }?;
        std::mem::forget(guard); // C unlocks by name
        Ok(())
    })
}

/// Lets the other process go on. Lends `lock`. Never blocks.
/// @return 0; -ESRCH if it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stop_lock_unlock(lock: *const tvn_stop_lock_t) -> c_int {
    call("tvn_stop_lock_unlock", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(lock) }?.0.unlock()
    })
}

/// Lets go of the lock; the other process stays as it is. Takes `lock`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_stop_lock_close(lock: *mut tvn_stop_lock_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_stop_lock_close", || unsafe { take(lock) });
}
