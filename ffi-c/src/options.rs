//! How to create or open a segment, in C: what is 0 has a default.

use crate::argument::text;
use crate::boundary::call;
use crate::handle::give;
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int};
use std::mem::offset_of;
use triveni::{Error, ErrorKind, Result, Segment, SegmentOptions, Stale};

/// If everybody who took part in a segment is dead: put right what they left, keep committed data.
pub const TVN_STALE_RECOVER: u32 = 0;
/// If everybody who took part in a segment is dead: remove it. tvn_segment_open_or_create_with() then makes a new
/// one, tvn_segment_open_with() reports -ENOENT.
pub const TVN_STALE_RECREATE: u32 = 1;
/// If everybody who took part in a segment is dead: refuse with -ECONNRESET.
pub const TVN_STALE_FAIL: u32 = 2;

/// How to create or open a segment. Begin with `tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;` and change
/// what you need: 0 is the default everywhere but in `size`.
#[repr(C)]
pub struct tvn_segment_options_t {
    /// The size of this structure, for later versions. TVN_SEGMENT_OPTIONS sets it.
    pub size: usize,
    /// Access mode of a new segment; 0: 0600, this user alone. With a bit for group or others it also allows opening
    /// a segment that belongs to another user, who can deny you service in it.
    pub mode: u32,
    /// What to do if everybody who took part is dead: TVN_STALE_...
    pub stale: u32,
    /// How many processes may take part in a new segment, at most 512; 0: 64.
    pub max_participants: u32,
    /// How many objects a new segment can hold, at most 65536; 0: 256.
    pub max_objects: u32,
    /// In a new segment: 1 if a thread that would close a circle of threads which wait for each other's mutexes,
    /// monitors, readers-writer locks or leased permits shall get -EDEADLK, with the circle in tvn_last_error(),
    /// instead of waiting. tvn_segment_deadlocks() names circles in any case.
    pub detect_deadlocks: c_int,
}

/// The options that C hands in; NULL for all defaults.
///
/// # Safety
/// - `options` is NULL or points to a `size`, and as many bytes as that says, unchanged during this call; otherwise
///   this reads strange memory.
unsafe fn chosen(options: *const tvn_segment_options_t) -> Result<SegmentOptions> {
    let all = Segment::options();
    if options.is_null() {
        return Ok(all);
    }
    // SAFETY: not NULL, and the caller promises that the `size`, which is its first field, may be read.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<tvn_segment_options_t>() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "segment options of {size} bytes, this library knows {}; begin with TVN_SEGMENT_OPTIONS, and compile against this library's header",
                size_of::<tvn_segment_options_t>()
            ),
        ));
    }
    // SAFETY: the caller promises that many bytes, which is the whole structure; all its fields are integers.
    let tvn_segment_options_t { mode, stale, max_participants, max_objects, detect_deadlocks, .. } =
        unsafe { options.read() };
    let stale = match stale {
        TVN_STALE_RECOVER => Stale::Recover,
        TVN_STALE_RECREATE => Stale::Recreate,
        TVN_STALE_FAIL => Stale::Fail,
        other => {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("no policy for a stale segment has the number {other}; give one of TVN_STALE_..."),
            ));
        }
    };
    let all = if mode == 0 { all } else { all.mode(mode) };
    let all = if max_participants == 0 { all } else { all.max_participants(max_participants as usize) };
    let all = if max_objects == 0 { all } else { all.max_objects(max_objects as usize) };
    Ok(all.stale(stale).detect_deadlocks(detect_deadlocks != 0))
}
const _: () = assert!(offset_of!(tvn_segment_options_t, size) == 0);

/// As tvn_segment_create(), with options. Lends `name` and `options` (NULL: all defaults), gives `*out`. Does not
/// wait. Any thread.
/// @return as tvn_segment_create(); -EINVAL for bad options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_create_with(
    name: *const c_char,
    size: usize,
    options: *const tvn_segment_options_t,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_create_with", || {
        // SAFETY: the C contract: NULL or a string, NULL or options, NULL or a place for a handle.
        unsafe { give(out, || chosen(options)?.create(text(name)?, size).map(tvn_segment_t)) }
    })
}

/// As tvn_segment_open(), with options, of which `mode` and `stale` count. Lends `name` and `options` (NULL: all
/// defaults), gives `*out`. Does not wait for other users. Any thread.
/// @return as tvn_segment_open(); -EINVAL for bad options; -ECONNRESET with TVN_STALE_FAIL if all its users are dead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_open_with(
    name: *const c_char,
    options: *const tvn_segment_options_t,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_open_with", || {
        // SAFETY: the C contract: NULL or a string, NULL or options, NULL or a place for a handle.
        unsafe { give(out, || chosen(options)?.open(text(name)?).map(tvn_segment_t)) }
    })
}

/// As tvn_segment_open_or_create(), with options; an existing segment keeps what it was created with. Lends `name`
/// and `options` (NULL: all defaults), gives `*out`. Does not wait for other users. Any thread.
/// @return 0; otherwise as tvn_segment_create_with() and tvn_segment_open_with(), without -EEXIST and -ENOENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_open_or_create_with(
    name: *const c_char,
    size: usize,
    options: *const tvn_segment_options_t,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_open_or_create_with", || {
        // SAFETY: the C contract: NULL or a string, NULL or options, NULL or a place for a handle.
        unsafe { give(out, || chosen(options)?.open_or_create(text(name)?, size).map(tvn_segment_t)) }
    })
}

/// As tvn_segment_anonymous(), with options. Lends `options` (NULL: all defaults), gives `*out`. Does not wait. Any
/// thread.
/// @return as tvn_segment_anonymous(); -EINVAL for bad options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_anonymous_with(
    size: usize,
    options: *const tvn_segment_options_t,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_anonymous_with", || {
        // SAFETY: the C contract: NULL or options, NULL or a place for a handle.
        unsafe { give(out, || chosen(options)?.anonymous(size).map(tvn_segment_t)) }
    })
}
