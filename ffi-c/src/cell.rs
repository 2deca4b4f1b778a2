//! The cell in C.

use crate::argument::{buffer, bytes, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::{tell, wanted};
use std::ffi::{c_char, c_int, c_void};
use triveni::{CellOptions, RawCell, Result};

/// A cell, the latest value of a struct for any number of writers and readers: a handle on one that lies in a segment.
pub struct tvn_cell_t(pub(crate) RawCell);

/// # Safety
/// - As for [`wanted`].
unsafe fn options(size: usize, type_tag: *const c_char, writers: u32) -> Result<CellOptions> {
    // SAFETY: the caller's promise.
    let options = CellOptions::bytes(size).type_tag(unsafe { wanted(type_tag) }?);
    Ok(if writers == 0 { options } else { options.writers(writers as usize) })
}

/// Finds the cell `name`, or creates it for values of `size` bytes; an existing one must have that size, and the same
/// type if both have one. `type_tag` is what TVN_TYPE() makes, or NULL for bytes without a type. `writers` is how many
/// stores may be in progress at a time so that a further one need not wait, at most 128; 0: 4. Lends `segment`, `name`
/// and `type_tag`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, size or type; -TVN_EINCOMPATIBLE if the name belongs to an object of another
/// kind, size or type: tvn_last_error() shows both layouts; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell(
    segment: *const tvn_segment_t,
    name: *const c_char,
    size: usize,
    type_tag: *const c_char,
    writers: u32,
    out: *mut *mut tvn_cell_t,
) -> c_int {
    call("tvn_cell", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || lend(segment)?.0.cell_with(text(name)?, &options(size, type_tag, writers)?).map(tvn_cell_t))
        }
    })
}

/// Creates the cell `name`, as tvn_cell() does. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait
/// for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; otherwise as tvn_cell().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    size: usize,
    type_tag: *const c_char,
    writers: u32,
    out: *mut *mut tvn_cell_t,
) -> c_int {
    call("tvn_cell_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe {
            let make = || lend(segment)?.0.create_cell_with(text(name)?, &options(size, type_tag, writers)?);
            give(out, || make().map(tvn_cell_t))
        }
    })
}

/// Opens the cell `name`, which must exist, whatever its size: see tvn_cell_size(). If both have a type it must be the
/// same; NULL asks for none. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any
/// thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name or type; -TVN_EINCOMPATIBLE as for tvn_cell().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    type_tag: *const c_char,
    out: *mut *mut tvn_cell_t,
) -> c_int {
    call("tvn_cell_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let cell = lend(segment)?.0.open_raw_cell(text(name)?)?;
                cell.expect_type(wanted(type_tag)?).map(|()| tvn_cell_t(cell))
            })
        }
    })
}

/// Lets go of the cell. Takes `cell`; NULL is fine. Its value stays in the segment. Never blocks. No other thread may
/// be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_close(cell: *mut tvn_cell_t) {
    // SAFETY: the C contract: NULL, or a cell's handle that nobody uses any more.
    call("tvn_cell_close", || unsafe { take(cell) });
}

/// Makes a copy of the `size` bytes at `value`, which must be the cell's, the latest value. Blocks only while as many
/// others as the cell has writers are in the middle of a store, until `timeout_ms` has passed; readers are never in the
/// way. Lends `cell` and `value`. A writer that dies here has replaced the value or not touched it. Any thread; a
/// forked child too.
/// @return the value's number, from 1 on; -EMSGSIZE for another size; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this
/// thread is interruptible; -EIDRM if the cell was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_store(
    cell: *const tvn_cell_t,
    value: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_cell_store", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; `size` bytes to read.
        let (cell, value) = unsafe { (&lend(cell)?.0, bytes(value.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(cell.try_store(value)?),
            ms => cell.store_until(value, deadline(ms)),
        }
    })
}

/// Copies the latest value to the `size` bytes at `value`, which must be the cell's. It is whole, whatever writers do.
/// Lends `cell` and `value`. Never blocks. Any thread; a forked child too.
/// @return the value's number, from 1 on; -EAGAIN if nothing was stored yet; -EMSGSIZE for another size; -EIDRM if the
/// cell was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_load(cell: *const tvn_cell_t, value: *mut c_void, size: usize) -> i64 {
    call("tvn_cell_load", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; `size` bytes to write.
        let (cell, value) = unsafe { (&lend(cell)?.0, buffer(value.cast(), size)?) };
        tried(cell.load(value)?)
    })
}

/// Copies the latest value once its number is greater than `seen`; blocks until then, or until `timeout_ms` has passed.
/// With 0 it waits for the first one. Values in between are skipped: their numbers are missing. Lends `cell` and
/// `value`, which must have the cell's size. Any thread; a forked child too.
/// @return the value's number; -EMSGSIZE for another size; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is
/// interruptible; -EIDRM if the cell was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_load_newer(
    cell: *const tvn_cell_t,
    seen: u64,
    value: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_cell_load_newer", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; `size` bytes to write.
        let (cell, value) = unsafe { (&lend(cell)?.0, buffer(value.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(cell.try_load_newer(seen, value)?),
            ms => cell.load_newer_until(seen, value, deadline(ms)),
        }
    })
}

/// How many values were stored so far, which is the number of the latest. Lends `cell`. Never blocks. Any thread; a
/// forked child too.
/// @return the number; 0: none yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_version(cell: *const tvn_cell_t) -> i64 {
    call("tvn_cell_version", || {
        // SAFETY: the C contract: NULL, or a cell's handle that is not closed during this call.
        Ok(unsafe { lend(cell) }?.0.version())
    })
}

/// Bytes of a value. Lends `cell`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_size(cell: *const tvn_cell_t) -> i64 {
    call("tvn_cell_size", || {
        // SAFETY: the C contract: NULL, or a cell's handle that is not closed during this call.
        Ok(unsafe { lend(cell) }?.0.size())
    })
}

/// Writes the cell's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `cell` and `buffer` (NULL will
/// do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL; 0: the cell has no type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_type(cell: *const tvn_cell_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_cell_type", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; `size` bytes to write.
        let (cell, buffer) = unsafe { (&lend(cell)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(&cell.type_tag()?.unwrap_or_default(), buffer))
    })
}
