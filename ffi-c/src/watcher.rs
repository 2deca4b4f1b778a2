//! The watcher in C.

use crate::boundary::call;
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use std::ffi::c_int;
use triveni::Watcher;

/// A thread that watches a segment, notices deaths at once and puts right what the dead left: a handle.
pub struct tvn_watcher_t(Watcher);

/// Starts a thread that notices deaths at once and puts right what the dead left, until tvn_watcher_close(). Nobody
/// needs it: without it, who waits for a dead process finds out by himself within 64 ms. One watcher serves everybody
/// in the segment. Lends `segment`, which may be closed before the watcher, gives `*out`. Does not wait for other
/// users. Any thread; a forked child has none of its parent's watchers.
/// @return 0; -EMFILE, -EAGAIN and the like from the system, without descriptors or threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_watch(segment: *const tvn_segment_t, out: *mut *mut tvn_watcher_t) -> c_int {
    call("tvn_segment_watch", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.watch().map(tvn_watcher_t)) }
    })
}

/// Ends the watcher's thread. Takes `watcher`; NULL is fine. Waits for the thread's end, which comes at once. No
/// other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_watcher_close(watcher: *mut tvn_watcher_t) {
    // SAFETY: the C contract: NULL, or a watcher's handle that nobody uses any more.
    call("tvn_watcher_close", || unsafe { take(watcher) });
}

/// How many deaths the watcher has seen. Lends `watcher`. Never blocks. Any thread.
/// @return the deaths, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_watcher_deaths(watcher: *const tvn_watcher_t) -> i64 {
    call("tvn_watcher_deaths", || {
        // SAFETY: the C contract: NULL, or a watcher's handle that is not closed during this call.
        Ok(unsafe { lend(watcher) }?.0.deaths())
    })
}
