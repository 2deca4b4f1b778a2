//! The semaphore in C.

use crate::argument::{array, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::lock::tvn_holder_t;
use crate::segment::{fill, tvn_segment_t};
use std::ffi::{c_char, c_int};
use triveni::{Semaphore, SemaphoreOptions};

/// A semaphore (Dijkstra's P and V), counting, binary or leased: a handle on one that lies in a segment.
pub struct tvn_semaphore_t(pub(crate) Semaphore);

/// The most permits a semaphore holds.
pub const TVN_SEMAPHORE_MAX: u32 = 2147483647;
const _: () = assert!(TVN_SEMAPHORE_MAX == Semaphore::MAX);

/// The most permits a leased semaphore has.
pub const TVN_SEMAPHORE_LEASED_MAX: u32 = 4096;
const _: () = assert!(TVN_SEMAPHORE_LEASED_MAX == Semaphore::MAX_LEASED);

/// Finds the semaphore `name`, or creates it with `initial` permits; an existing one keeps its count.
/// Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX; -TVN_EINCOMPATIBLE if the name
/// belongs to an object of another kind, or to a semaphore that is limited, binary or leased; -ENOSPC if the
/// segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.semaphore(text(name)?, initial).map(tvn_semaphore_t)) }
    })
}

/// Creates the semaphore `name` with `initial` permits. Lends `segment` and `name`, gives `*out`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or an `initial` above TVN_SEMAPHORE_MAX;
/// -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_semaphore(text(name)?, initial).map(tvn_semaphore_t)) }
    })
}

/// Finds the limited semaphore `name`, or creates it with `initial` permits and at most `max`: a post beyond that
/// is an error. An existing one keeps its count and must have the same `max`. Lends `segment` and `name`, gives
/// `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, a `max` of 0 or above TVN_SEMAPHORE_MAX, or an `initial` above it;
/// -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to a semaphore of another `max` or
/// leased; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_limited(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    max: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_limited", || {
        let options = SemaphoreOptions::counting(initial).max(max);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Creates the limited semaphore `name` with `initial` permits and at most `max`. Lends `segment` and `name`,
/// gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, a `max` of 0 or above TVN_SEMAPHORE_MAX, or
/// an `initial` above it; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_limited_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    initial: u32,
    max: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_limited_create", || {
        let options = SemaphoreOptions::counting(initial).max(max);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Finds the binary semaphore `name`, or creates it: one permit at most, there from the beginning if `free`. An
/// existing one keeps its count. Anybody may post; for a lock that knows its holder take a mutex. Lends `segment`
/// and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to
/// another sort of semaphore; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_binary(
    segment: *const tvn_segment_t,
    name: *const c_char,
    free: bool,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_binary", || {
        let options = SemaphoreOptions::binary(free);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Creates the binary semaphore `name`, free or taken. Lends `segment` and `name`, gives `*out`. Does not wait
/// for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_binary_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    free: bool,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_binary_create", || {
        let options = SemaphoreOptions::binary(free);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Finds the leased semaphore `name`, or creates it with `permits` permits that belong to the thread that took
/// them: only it can post them, and they come back when it ends or its process dies. An existing one must have as
/// many. Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, or for 0 `permits` or more than TVN_SEMAPHORE_LEASED_MAX;
/// -TVN_EINCOMPATIBLE if the name belongs to an object of another kind, or to a semaphore that has another number
/// of permits or is not leased; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_leased(
    segment: *const tvn_segment_t,
    name: *const c_char,
    permits: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_leased", || {
        let options = SemaphoreOptions::leased(permits);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Creates the leased semaphore `name` with `permits` permits. Lends `segment` and `name`, gives `*out`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, or for 0 `permits` or more than
/// TVN_SEMAPHORE_LEASED_MAX; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_leased_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    permits: u32,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_leased_create", || {
        let options = SemaphoreOptions::leased(permits);
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_semaphore_with(text(name)?, options).map(tvn_semaphore_t)) }
    })
}

/// Opens the semaphore `name`, which must exist, of whatever sort. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_semaphore_t,
) -> c_int {
    call("tvn_semaphore_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_semaphore(text(name)?).map(tvn_semaphore_t)) }
    })
}

/// Lets go of the semaphore. Takes `semaphore`; NULL is fine. The semaphore stays in its segment. Never
/// blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_close(semaphore: *mut tvn_semaphore_t) {
    // SAFETY: the C contract: NULL, or a semaphore's handle that nobody uses any more.
    call("tvn_semaphore_close", || unsafe { take(semaphore) });
}

/// Takes a permit (P); blocks until there is one, or until `timeout_ms` has passed. Lends `semaphore`.
/// A process that dies before its post never gives that permit, unless the semaphore is leased: then it comes
/// back. Any thread; a forked child too, which holds none of its parent's leased permits.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EDEADLK if the segment
/// detects deadlocks and this wait for a leased permit would close a circle; -EIDRM if the semaphore was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_wait(semaphore: *const tvn_semaphore_t, timeout_ms: c_int) -> c_int {
    call("tvn_semaphore_wait", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        let semaphore = &unsafe { lend(semaphore) }?.0;
        match timeout_ms {
            TVN_TRY => tried(semaphore.try_wait()?.then_some(())),
            ms => semaphore.wait_until(deadline(ms)),
        }
    })
}

/// Takes `n` permits at once; blocks until there are that many, holding none meanwhile, or until `timeout_ms`
/// has passed. Lends `semaphore`. Any thread; a forked child too.
/// @return 0; -EINVAL for 0, and for more than there can ever be; otherwise as tvn_semaphore_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_wait_n(semaphore: *const tvn_semaphore_t, n: u32, timeout_ms: c_int) -> c_int {
    call("tvn_semaphore_wait_n", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        let semaphore = &unsafe { lend(semaphore) }?.0;
        match timeout_ms {
            TVN_TRY => tried(semaphore.try_wait_n(n)?.then_some(())),
            ms => semaphore.wait_n_until(n, deadline(ms)),
        }
    })
}

/// Adds a permit (V) and wakes one sleeper, if any sleeps. Lends `semaphore`. Never blocks. Any thread; a
/// forked child too.
/// @return 0; -EOVERFLOW at tvn_semaphore_max(), and nothing is added; -EPERM if it is leased and the calling
/// thread holds no permit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_post(semaphore: *const tvn_semaphore_t) -> c_int {
    call("tvn_semaphore_post", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        unsafe { lend(semaphore) }?.0.post()
    })
}

/// Adds `n` permits, all or none, and wakes who can go on. Lends `semaphore`. Never blocks. Any thread; a
/// forked child too.
/// @return 0; -EINVAL for 0; -EOVERFLOW beyond tvn_semaphore_max(); -EPERM if it is leased and the calling thread
/// holds fewer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_post_n(semaphore: *const tvn_semaphore_t, n: u32) -> c_int {
    call("tvn_semaphore_post_n", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        unsafe { lend(semaphore) }?.0.post_n(n)
    })
}

/// How many permits there are at this moment; the next one may be another. Lends `semaphore`. Never blocks.
/// Any thread; a forked child too.
/// @return the permits, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_value(semaphore: *const tvn_semaphore_t) -> i64 {
    call("tvn_semaphore_value", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(semaphore) }?.0.value()))
    })
}

/// The most permits it holds: a post beyond them fails. Lends `semaphore`. Never blocks. Any thread; a forked
/// child too.
/// @return the maximum, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_max(semaphore: *const tvn_semaphore_t) -> i64 {
    call("tvn_semaphore_max", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        Ok(u64::from(unsafe { lend(semaphore) }?.0.max()))
    })
}

/// Do permits belong to the threads that took them? Lends `semaphore`. Never blocks. Any thread; a forked child
/// too.
/// @return 1 if it is leased, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_is_leased(semaphore: *const tvn_semaphore_t) -> c_int {
    call("tvn_semaphore_is_leased", || {
        // SAFETY: the C contract: NULL, or a semaphore's handle that is not closed during this call.
        Ok(unsafe { lend(semaphore) }?.0.is_leased())
    })
}

/// Fills `array` with the threads that have a leased permit at this moment, once for each permit, as many as there are
/// and at most `count`. Lends `semaphore` and `array` (NULL will do with 0). Never blocks. Any thread; a forked child
/// too.
/// @return how many permits are out, which may be more than `count`; 0 if the semaphore is not leased.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_semaphore_holders(
    semaphore: *const tvn_semaphore_t,
    array: *mut tvn_holder_t,
    count: usize,
) -> i64 {
    call("tvn_semaphore_holders", || {
        // SAFETY: the C contract: NULL or a semaphore's handle, not closed during this call; `count` items to write.
        let (semaphore, array) = unsafe { (&lend(semaphore)?.0, self::array(array, count)?) };
        Ok(fill(array, semaphore.holders().into_iter().map(Into::into)))
    })
}
