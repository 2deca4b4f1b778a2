//! Deadlock as taught, in C: plain arrays in, the order and who waits for ever out.

use crate::argument::{array, buffer, text, write_text};
use crate::boundary::call;
use crate::handle::lend;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::slice;
use triveni::deadlock::{CLASSES_MAX, PROCESSES_MAX, Resource, State};
use triveni::{Error, ErrorKind, Result};

/// The most processes, and the most classes of resources, of a tvn_deadlock_state_t.
pub const TVN_DEADLOCK_MAX: usize = 1024;
const _: () = assert!(TVN_DEADLOCK_MAX == PROCESSES_MAX && TVN_DEADLOCK_MAX == CLASSES_MAX);

/// What a system has, who holds it and who asks for more: the two vectors and the two matrices of deadlock detection.
/// Row after row, a row for each process, a column for each class: `uint32_t allocation[3][4]` is `&allocation[0][0]`.
/// Name the members that you give, the others are then NULL:
/// `tvn_deadlock_state_t state = {.processes = 3, .classes = 4, .existing = existing, ...};`
#[repr(C)]
pub struct tvn_deadlock_state_t {
    /// How many processes there are, 1 to TVN_DEADLOCK_MAX.
    pub processes: usize,
    /// How many classes of resources there are, 1 to TVN_DEADLOCK_MAX.
    pub classes: usize,
    /// `classes` numbers: how many of each exist.
    pub existing: *const u32,
    /// `classes` numbers: how many of each nobody holds. NULL: computed; otherwise checked.
    pub available: *const u32,
    /// `processes` times `classes` numbers: who holds how many.
    pub allocation: *const u32,
    /// `processes` times `classes` numbers: who asks for how many.
    pub request: *const u32,
    /// `processes` names, or NULL: `process 1` and so on.
    pub process_names: *const *const c_char,
    /// `classes` names, or NULL: `class 1` and so on.
    pub class_names: *const *const c_char,
    /// `classes` flags: which of them any number of processes use at once. NULL: none.
    pub sharable: *const bool,
    /// `classes` flags: which of them the system may take away. NULL: none.
    pub preemptible: *const bool,
}

/// Finds out by the detection with matrices whether there is a deadlock. Lends everything. Stores in `order` who can
/// finish, in this order, numbered from 0, as many as can; and in `deadlocked` for each process whether it waits for
/// ever. Both have room for `processes` items, or are NULL. Never blocks. Any thread.
/// @return how many processes wait for ever: 0 if there is no deadlock; -EINVAL with a sentence that names process,
/// class and numbers if they do not agree.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_deadlock_detect(
    state: *const tvn_deadlock_state_t,
    order: *mut usize,
    deadlocked: *mut bool,
) -> i64 {
    call("tvn_deadlock_detect", || {
        // SAFETY: the C contract: NULL, or a struct whose arrays are as long as its two sizes say.
        let detection = unsafe { read(state) }?.detect();
        let processes = detection.state().processes();
        if !order.is_null() {
            // SAFETY: the C contract: room for so many items.
            let room = unsafe { array(order, processes) }?;
            room.iter_mut().zip(detection.order()).for_each(|(place, process)| _ = place.write(*process));
        }
        if !deadlocked.is_null() {
            // SAFETY: the C contract: room for so many items.
            let room: &mut [MaybeUninit<bool>] = unsafe { array(deadlocked, processes) }?;
            for (process, place) in room.iter_mut().enumerate() {
                place.write(detection.deadlocked().binary_search(&process).is_ok()); // they are in order
            }
        }
        Ok(detection.deadlocked().len())
    })
}

/// Tells the whole story: the matrices at each step, the circles of waiting, Coffman's conditions and the verdict.
/// Lends everything; writes at most `size` bytes to `text`, the last of them NUL. Never blocks. Any thread.
/// @return the length of the text, without the NUL; if that is not less than `size`, the text was cut. -EINVAL as
/// tvn_deadlock_detect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_deadlock_text(state: *const tvn_deadlock_state_t, text: *mut c_char, size: usize) -> i64 {
    call("tvn_deadlock_text", || {
        // SAFETY: the C contract: as for `tvn_deadlock_detect`; `size` bytes to write.
        let (state, text) = unsafe { (read(state)?, buffer(text.cast(), size)?) };
        let report = state.detect().report();
        write_text(text, &report);
        Ok(report.len())
    })
}

/// Draws the resource allocation graph as SVG. Lends everything; writes at most `size` bytes to `svg`, the last of them
/// NUL. Never blocks. Any thread.
/// @return the length of the picture, without the NUL; if that is not less than `size`, it was cut and is useless: ask
/// with size 0 first. -EMSGSIZE for more than 400 nodes or 4000 edges; -EINVAL as tvn_deadlock_detect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_deadlock_svg(state: *const tvn_deadlock_state_t, svg: *mut c_char, size: usize) -> i64 {
    call("tvn_deadlock_svg", || {
        // SAFETY: the C contract: as for `tvn_deadlock_detect`; `size` bytes to write.
        let (state, svg) = unsafe { (read(state)?, buffer(svg.cast(), size)?) };
        let drawn = state.svg()?;
        write_text(svg, &drawn);
        Ok(drawn.len())
    })
}

/// # Safety
/// - `state` is NULL or a struct whose arrays are NULL or as long as its two sizes say, and stay as they are during the
///   call; its names end with NUL. Otherwise this reads past them.
unsafe fn read(state: *const tvn_deadlock_state_t) -> Result<State> {
    // SAFETY: the caller's promise; no handle, but as one it is NULL or may be read.
    let given = unsafe { lend(state) }?;
    let (processes, classes) = (given.processes, given.classes);
    if !(1..=TVN_DEADLOCK_MAX).contains(&processes) || !(1..=TVN_DEADLOCK_MAX).contains(&classes) {
        return Err(invalid(format!(
            "a state of {processes} processes and {classes} classes cannot be; both go from 1 to {TVN_DEADLOCK_MAX}"
        )));
    }
    // SAFETY: the caller's promise about each array.
    unsafe {
        let existing = items(given.existing, classes, "existing")?;
        let allocation = items(given.allocation, processes * classes, "allocation")?;
        let request = items(given.request, processes * classes, "request")?;
        let sharable = optional_items(given.sharable.cast::<u8>(), classes)?;
        let preemptible = optional_items(given.preemptible.cast::<u8>(), classes)?;
        let flag = |flags: Option<&[u8]>, class: usize| flags.is_some_and(|flags| flags[class] != 0);
        let names = names(given.class_names, classes, "class")?;
        let resources = names.into_iter().enumerate().map(|(class, name)| Resource {
            name,
            instances: existing[class],
            sharable: flag(sharable, class),
            preemptible: flag(preemptible, class),
        });
        let rows = |matrix: &'_ [u32]| matrix.chunks(classes).map(<[u32]>::to_vec).collect::<Vec<_>>();
        let state = State::new(
            self::names(given.process_names, processes, "process")?,
            resources.collect(),
            &rows(allocation),
            &rows(request),
        )?;
        if let Some(available) = optional_items(given.available, classes)? {
            state.check_available(available)?;
        }
        Ok(state)
    }
}

/// # Safety
/// - `first` is NULL or the first of `count` names or NULLs, each ending with NUL; otherwise this reads past them.
unsafe fn names(first: *const *const c_char, count: usize, word: &str) -> Result<Vec<String>> {
    // SAFETY: the caller's promise.
    match unsafe { optional_items(first, count) }? {
        None => Ok((1..=count).map(|n| format!("{word} {n}")).collect()),
        // SAFETY: the caller's promise.
        Some(names) => names.iter().map(|name| unsafe { text(*name) }.map(str::to_string)).collect(),
    }
}

/// # Safety
/// - As for [`optional_items`].
unsafe fn items<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    // SAFETY: the caller's promise.
    unsafe { optional_items(first, count) }?.ok_or_else(|| invalid(format!("{name} is NULL; give {count} numbers")))
}

/// # Safety
/// - `first` is NULL or the first of `count` items that stay as they are until the reference's last use; any bits that
///   are there are a `T`. Otherwise this reads past them.
unsafe fn optional_items<'a, T>(first: *const T, count: usize) -> Result<Option<&'a [T]>> {
    if first.is_null() {
        return Ok(None);
    }
    if !first.is_aligned() {
        return Err(invalid("an array is not aligned for its items".into()));
    }
    // SAFETY: not NULL and aligned; at most 1024 times 1024 items, by `read`; the caller promises that they are there.
    Ok(Some(unsafe { slice::from_raw_parts(first, count) }))
}

#[cold]
fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}
