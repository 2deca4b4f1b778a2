//! The watcher in C.

use crate::argument::chars;
use crate::boundary::call;
use crate::handle::{give, lend, take};
use crate::segment::{TVN_NAME_ROOM, participant, tvn_participant_info_t, tvn_segment_t};
use std::ffi::{c_char, c_int, c_void};
use triveni::{Error, ErrorKind, WatchEvent, Watcher};

/// A thread that watches a segment, notices deaths at once and puts right what the dead left: a handle.
pub struct tvn_watcher_t(Watcher);

/// What a watcher saw: a process takes part; those that did already when the watcher started are told first.
pub const TVN_WATCH_JOINED: u32 = 1;
/// What a watcher saw: a process has left in order.
pub const TVN_WATCH_LEFT: u32 = 2;
/// What a watcher saw: a process has ended without leaving, and what it left has been put right.
pub const TVN_WATCH_DIED: u32 = 3;

/// How many of the objects that a dead process held a tvn_watch_event_t names.
pub const TVN_HELD_ROOM: usize = 8;

/// What a watcher saw.
#[repr(C)]
pub struct tvn_watch_event_t {
    /// What: TVN_WATCH_...
    pub what: u32,
    /// Who.
    pub participant: tvn_participant_info_t,
    /// With TVN_WATCH_DIED: how many objects it held a part of, as far as the watcher saw them before the sweep.
    pub held: u32,
    /// The names of the first TVN_HELD_ROOM of them.
    pub names: [[c_char; TVN_NAME_ROOM]; TVN_HELD_ROOM],
    /// With TVN_WATCH_DIED: false if somebody else swept it before this watcher did.
    pub swept: bool,
}

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

/// As tvn_segment_watch(), and calls `tell(event, data)` on the watcher's thread for everybody who joins, leaves and
/// dies. It lends the event for the length of the call; it must not close this watcher, and must not leave by longjmp
/// or exception. No call begins after tvn_watcher_close() has returned. Lends `segment`, gives `*out`.
/// @return as tvn_segment_watch(); -EINVAL if `tell` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_watch_with(
    segment: *const tvn_segment_t,
    tell: Option<unsafe extern "C" fn(event: *const tvn_watch_event_t, data: *mut c_void)>,
    data: *mut c_void,
    out: *mut *mut tvn_watcher_t,
) -> c_int {
    call("tvn_segment_watch_with", || {
        let told = Told { tell: tell.ok_or_else(nobody_to_tell)?, data };
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.watch_with(move |event| told.tell(event)).map(tvn_watcher_t)) }
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

#[cold]
fn nobody_to_tell() -> Error {
    Error::new(ErrorKind::Invalid, "the function to tell is NULL; give one, or call tvn_segment_watch")
}

/// Whom the watcher tells.
struct Told {
    tell: unsafe extern "C" fn(*const tvn_watch_event_t, *mut c_void),
    /// C's own; we only hand it back.
    data: *mut c_void,
}

// SAFETY: `data` is never followed here, and the header says that `tell` gets it on another thread.
unsafe impl Send for Told {}

impl Told {
    fn tell(&self, event: WatchEvent) {
        let (what, info, held, swept) = match &event {
            WatchEvent::Joined(info) => (TVN_WATCH_JOINED, info, &[][..], false),
            WatchEvent::Left(info) => (TVN_WATCH_LEFT, info, &[][..], false),
            WatchEvent::Died { participant, held, swept } => (TVN_WATCH_DIED, participant, &held[..], *swept),
            _ => return, // of a kind that this header has no number for
        };
        let mut names = [[0; TVN_NAME_ROOM]; TVN_HELD_ROOM];
        names.iter_mut().zip(held).for_each(|(place, name)| *place = chars(name));
        let held = held.len() as u32; // at most the objects, 65536
        let event = tvn_watch_event_t { what, participant: participant(info), held, names, swept };
        // SAFETY: `tell` is a function of this type by the C contract, and does not unwind; the event lives until it
        // returns.
        unsafe { (self.tell)(&event, self.data) }
    }
}
