//! The event flags in C.

use crate::argument::{optional, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use triveni::{After, Event};

/// 32 event flags, to be waited for alone or together: a handle on those that lie in a segment.
pub struct tvn_event_t(pub(crate) Event);

/// Finds the event flags `name`, or creates them, set as in `initial`; existing ones stay as they are. Lends
/// `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind;
/// -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_event_t,
) -> c_int {
    call("tvn_event", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.event(text(name)?, initial).map(tvn_event_t)) }
    })
}

/// Creates the event flags `name`, set as in `initial`. Lends `segment` and `name`, gives `*out`. Does not wait
/// for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_event_t,
) -> c_int {
    call("tvn_event_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_event(text(name)?, initial).map(tvn_event_t)) }
    })
}

/// Opens the event flags `name`, which must exist. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there are none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_event_t,
) -> c_int {
    call("tvn_event_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_event(text(name)?).map(tvn_event_t)) }
    })
}

/// Lets go of the event flags. Takes `event`; NULL is fine. The flags stay in their segment. Never blocks. No other
/// thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_close(event: *mut tvn_event_t) {
    // SAFETY: the C contract: NULL, or a handle on event flags that nobody uses any more.
    call("tvn_event_close", || unsafe { take(event) });
}

/// Sets these flags and wakes everybody who waits, to look. Stores in `*before`, unless it is NULL, what was set
/// before. Lends `event`. Never blocks. Any thread; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_set(event: *const tvn_event_t, flags: u32, before: *mut u32) -> c_int {
    call("tvn_event_set", || {
        // SAFETY: the C contract: NULL or a handle on event flags, not closed during this call; NULL or a place for them.
        let (event, before) = unsafe { (&lend(event)?.0, optional(before)) };
        let were = event.set(flags)?;
        before.map(|before| before.write(were));
        Ok(())
    })
}

/// Clears these flags. Stores in `*before`, unless it is NULL, what was set before. Lends `event`. Never blocks.
/// Any thread; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_clear(event: *const tvn_event_t, flags: u32, before: *mut u32) -> c_int {
    call("tvn_event_clear", || {
        // SAFETY: the C contract: NULL or a handle on event flags, not closed during this call; NULL or a place for them.
        let (event, before) = unsafe { (&lend(event)?.0, optional(before)) };
        let were = event.clear(flags)?;
        before.map(|before| before.write(were));
        Ok(())
    })
}

/// The flags that are set at this moment. Lends `event`. Never blocks. Any thread; a forked child too.
/// @return the 32 flags, from 0 on. Flag 31 needs the 64 bits: in an int it would read as a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_flags(event: *const tvn_event_t) -> i64 {
    call("tvn_event_flags", || {
        // SAFETY: the C contract: NULL, or a handle on event flags that is not closed during this call.
        Ok(u64::from(unsafe { lend(event) }?.0.flags()))
    })
}

/// Blocks until one of the flags in `mask` is set, or until `timeout_ms` has passed. With `clear`, those found set
/// are cleared in the same step, so that exactly one of those who wait for a flag goes on; without, everybody does.
/// Stores in `*seen`, unless it is NULL, which of `mask` were set. Lends `event`. Any thread; a forked child too.
/// @return 0; -EINVAL for an empty `mask`; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
/// interruptible; -EIDRM if the event was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_wait_any(
    event: *const tvn_event_t,
    mask: u32,
    clear: bool,
    timeout_ms: c_int,
    seen: *mut u32,
) -> c_int {
    call("tvn_event_wait_any", || {
        // SAFETY: the C contract: NULL or a handle on event flags, not closed during this call; NULL or a place for them.
        let (event, seen) = unsafe { (&lend(event)?.0, optional(seen)) };
        let were = match timeout_ms {
            TVN_TRY => tried(event.try_wait_any(mask, after(clear))?),
            ms => event.wait_any_until(mask, after(clear), deadline(ms)),
        }?;
        seen.map(|seen| seen.write(were));
        Ok(())
    })
}

/// Blocks until all the flags in `mask` are set, or until `timeout_ms` has passed. With `clear`, they are cleared
/// in the same step. Lends `event`. Any thread; a forked child too.
/// @return as tvn_event_wait_any().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_event_wait_all(
    event: *const tvn_event_t,
    mask: u32,
    clear: bool,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_event_wait_all", || {
        // SAFETY: the C contract: NULL, or a handle on event flags that is not closed during this call.
        let event = &unsafe { lend(event) }?.0;
        match timeout_ms {
            TVN_TRY => tried(event.try_wait_all(mask, after(clear))?),
            ms => event.wait_all_until(mask, after(clear), deadline(ms)),
        }
        .map(drop)
    })
}

fn after(clear: bool) -> After {
    if clear { After::Clear } else { After::Keep }
}
