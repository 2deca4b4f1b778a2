//! The monitor and its conditions in C.

use crate::argument::{output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, take};
use crate::lock::{held_by, locked, tvn_holder_t};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::{Condition, Error, ErrorKind, Monitor};

/// A monitor, with Mesa semantics: of all threads of all processes one at a time is inside. A handle on one that
/// lies in a segment.
pub struct tvn_monitor_t(pub(crate) Monitor);

/// A condition of a monitor, for those inside to wait for: a handle.
pub struct tvn_condition_t(Condition);

/// The most conditions a monitor has.
pub const TVN_CONDITIONS_MAX: usize = 7;
const _: () = assert!(TVN_CONDITIONS_MAX == Monitor::MAX_CONDITIONS);

/// The longest name of a condition, in bytes of UTF-8.
pub const TVN_CONDITION_NAME_MAX: usize = 40;
const _: () = assert!(TVN_CONDITION_NAME_MAX == Monitor::CONDITION_NAME_MAX);

const REPAIR: &str = "you are inside now: put the state right, call tvn_monitor_recover and leave";

/// Finds the monitor `name`, or creates it, with nobody inside. Lends `segment` and `name`, gives `*out`. Does
/// not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
/// -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_monitor_t,
) -> c_int {
    call("tvn_monitor", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.monitor(text(name)?).map(tvn_monitor_t)) }
    })
}

/// Creates the monitor `name`, with nobody inside. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_monitor_t,
) -> c_int {
    call("tvn_monitor_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_monitor(text(name)?).map(tvn_monitor_t)) }
    })
}

/// Opens the monitor `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for other
/// users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_monitor_t,
) -> c_int {
    call("tvn_monitor_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_monitor(text(name)?).map(tvn_monitor_t)) }
    })
}

/// Lets go of the monitor. Takes `monitor`; NULL is fine. Leave first: closing does not leave. Conditions taken
/// from it stay good. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_close(monitor: *mut tvn_monitor_t) {
    // SAFETY: the C contract: NULL, or a monitor's handle that nobody uses any more.
    call("tvn_monitor_close", || unsafe { take(monitor) });
}

/// Enters; blocks until nobody is inside, or until `timeout_ms` has passed. Lends `monitor`; the calling thread
/// is inside until tvn_monitor_leave(). If who was inside died, one of those who wait gets -EOWNERDEAD: it IS
/// inside then. Put the guarded state right, call tvn_monitor_recover() and leave; without recover, the next one
/// gets -EOWNERDEAD too. Any thread; a forked child is not inside where its parent is.
/// @return 0; -EOWNERDEAD, inside; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
/// -EDEADLK if the calling thread is inside already, or if the segment detects deadlocks and this wait would
/// close a circle; -EIDRM if the monitor was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_enter(monitor: *const tvn_monitor_t, timeout_ms: c_int) -> c_int {
    call("tvn_monitor_enter", || {
        // SAFETY: the C contract: NULL, or a monitor's handle that is not closed during this call.
        let monitor = &unsafe { lend(monitor) }?.0;
        let answer = match timeout_ms {
            TVN_TRY => monitor.try_enter(),
            ms => monitor.enter_until(deadline(ms)).map(Some),
        };
        locked(answer, REPAIR)
    })
}

/// Leaves, so that the next one may enter. Lends `monitor`. Never blocks. The thread that entered.
/// @return 0; -EPERM if the calling thread is not inside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_leave(monitor: *const tvn_monitor_t) -> c_int {
    call("tvn_monitor_leave", || {
        // SAFETY: the C contract: NULL, or a monitor's handle that is not closed during this call.
        unsafe { lend(monitor) }?.0.leave()
    })
}

/// Says, after -EOWNERDEAD, that the guarded state is whole again. Lends `monitor`; the thread stays inside.
/// Never blocks. The thread that entered.
/// @return 0; -EPERM if the calling thread is not inside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_recover(monitor: *const tvn_monitor_t) -> c_int {
    call("tvn_monitor_recover", || {
        // SAFETY: the C contract: NULL, or a monitor's handle that is not closed during this call.
        unsafe { lend(monitor) }?.0.recover()
    })
}

/// Who is inside at this moment; the next one may be another. Lends `monitor`, writes `*out` if somebody is.
/// Never blocks. Any thread; a forked child too.
/// @return 1 if somebody is inside, 0 if nobody is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_monitor_holder(monitor: *const tvn_monitor_t, out: *mut tvn_holder_t) -> c_int {
    call("tvn_monitor_holder", || {
        // SAFETY: the C contract: NULL or a monitor's handle, not closed during this call; NULL or a place for the answer.
        let (monitor, out) = unsafe { (&lend(monitor)?.0, output(out)?) };
        Ok(held_by(monitor.holder(), out))
    })
}

/// Finds the condition `name` of the monitor, or makes it. Lends `monitor` and `name`, gives `*out`. The calling
/// thread may be inside or outside. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, or one of more than TVN_CONDITION_NAME_MAX bytes; -ENOSPC if the monitor
/// has TVN_CONDITIONS_MAX others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_condition(
    monitor: *const tvn_monitor_t,
    name: *const c_char,
    out: *mut *mut tvn_condition_t,
) -> c_int {
    call("tvn_condition", || {
        // SAFETY: the C contract: NULL or a monitor's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(monitor)?.0.condition(text(name)?).map(tvn_condition_t)) }
    })
}

/// Lets go of the condition. Takes `condition`; NULL is fine. It stays in its monitor. Never blocks. No other
/// thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_condition_close(condition: *mut tvn_condition_t) {
    // SAFETY: the C contract: NULL, or a condition's handle that nobody uses any more.
    call("tvn_condition_close", || unsafe { take(condition) });
}

/// Leaves the monitor, sleeps until signalled, or until `timeout_ms` has passed, and enters again, which may take
/// longer. It may come back without a signal, so look again in a loop:
/// `while (!holds) tvn_condition_wait(c, TVN_FOREVER)`. Lends `condition`. The thread that entered.
/// @return 0; -EOWNERDEAD if somebody died inside meanwhile: put the state right and call tvn_monitor_recover();
/// -EAGAIN with TVN_TRY, which lets others in, yet sleeps for no signal; -ETIMEDOUT; -EINTR if this thread is
/// interruptible: inside again after all of these. -EPERM if the calling thread was not inside, and is not now. -EIDRM
/// if the monitor was removed: it guards nothing any more; tvn_monitor_leave() says whether the thread is still inside.
/// -EDEADLK if the segment detects deadlocks and entering again would close a circle: outside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_condition_wait(condition: *const tvn_condition_t, timeout_ms: c_int) -> c_int {
    call("tvn_condition_wait", || {
        // SAFETY: the C contract: NULL, or a condition's handle that is not closed during this call.
        match unsafe { lend(condition) }?.0.wait_until(deadline(timeout_ms)) {
            Err(error) if timeout_ms == TVN_TRY && error.kind() == ErrorKind::Timeout => {
                Err(Error::from(ErrorKind::WouldBlock))
            }
            waited => waited,
        }
    })
}

/// Wakes one thread that waits for the condition, if any does; a signal that nobody waits for is gone. Lends
/// `condition`. Never blocks. Any thread, best one that is inside; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_condition_signal(condition: *const tvn_condition_t) -> c_int {
    call("tvn_condition_signal", || {
        // SAFETY: the C contract: NULL, or a condition's handle that is not closed during this call.
        unsafe { lend(condition) }?.0.signal()
    })
}

/// Wakes every thread that waits for the condition. Lends `condition`. Never blocks. Any thread, best one that
/// is inside; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_condition_broadcast(condition: *const tvn_condition_t) -> c_int {
    call("tvn_condition_broadcast", || {
        // SAFETY: the C contract: NULL, or a condition's handle that is not closed during this call.
        unsafe { lend(condition) }?.0.broadcast()
    })
}
