//! The cell in C.

use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::{tell, wanted};
use std::ffi::{c_char, c_int, c_void};
use triveni::{CellOptions, RawCell, RawStoreGrant, Result, StoreGrant};

/// A cell, the latest value of a struct for any number of writers and readers: a handle on one that lies in a segment.
pub struct tvn_cell_t(pub(crate) RawCell);

/// Room for a value that is written in place. Plain data: it lies where the caller wants, and is over with
/// tvn_cell_commit() or tvn_cell_cancel().
#[repr(C)]
pub struct tvn_store_t {
    /// The room, a multiple of 16, of tvn_cell_size() bytes: those of some older value, to be written over.
    pub value: *mut c_void,
    /// The room; for triveni only.
    pub word: u64,
    /// The room; for triveni only.
    pub index: u32,
}

/// # Safety
/// - As for [`wanted`].
unsafe fn options(size: usize, type_tag: *const c_char, writers: u32) -> Result<CellOptions> {
    // SAFETY: the caller's promise.
    let options = CellOptions::bytes(size).type_tag(unsafe { wanted(type_tag) }?);
    Ok(if writers == 0 { options } else { options.writers(writers as usize) })
}

/// Finds the cell `name`, or creates it for values of `size` bytes; an existing one must have that size, and the same
/// type if both have one. `type_tag` is what TVN_TYPE() makes, or NULL for bytes without a type. `writers` is how many
/// stores may be in progress at a time so that a further one need not wait, at most 128; 0: 4; an existing cell keeps its
/// own. Lends `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any thread; a forked child
/// too.
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
/// @return the value's number, from 1 on; -EMSGSIZE for more bytes than a value has, -EINVAL for fewer; -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
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

/// Claims room for the next value, to be written in place at `store->value`; blocks as tvn_cell_store() does. As long as
/// it is out it counts as a writer in the middle of a store. Lends `cell`, writes `*store`: make it the latest value with
/// tvn_cell_commit(), or give it back with tvn_cell_cancel(). If this process dies first, nothing was stored. Any thread;
/// the room stays with the process that claimed it.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_reserve(
    cell: *const tvn_cell_t,
    timeout_ms: c_int,
    store: *mut tvn_store_t,
) -> c_int {
    call("tvn_cell_reserve", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; NULL or a place for a store.
        let (cell, out) = unsafe { (&lend(cell)?.0, output(store)?) };
        let mut grant = match timeout_ms {
            TVN_TRY => tried(cell.try_reserve()?)?,
            ms => cell.reserve_until(deadline(ms))?,
        };
        let value = grant.as_mut_ptr().cast();
        let RawStoreGrant { index, word } = grant.into_raw();
        out.write(tvn_store_t { value, word, index });
        Ok(())
    })
}

/// The room that C keeps. Whatever is in it, core checks it against the buffer.
///
/// # Safety
/// - As for [`lend`], for both pointers; otherwise this reads strange memory.
unsafe fn resume<'a>(cell: *const tvn_cell_t, store: *const tvn_store_t) -> Result<StoreGrant<'a>> {
    // SAFETY: the caller's promise is the one `lend` asks for. A store was not made by `give`, yet all that `lend` does is
    // to make a reference, and C's store is aligned and initialised by `tvn_cell_reserve`.
    let (cell, store) = unsafe { (&lend(cell)?.0, lend(store)?) };
    cell.resume_store(RawStoreGrant { index: store.index, word: store.word })
}

/// Makes what was written at `store->value` the latest value. Lends `cell` and `store`, which is over. Never blocks. Any
/// thread of the process that claimed it.
/// @return the value's number, from 1 on; -EPERM if this process does not hold this room (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_commit(cell: *const tvn_cell_t, store: *const tvn_store_t) -> i64 {
    call("tvn_cell_commit", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; NULL or a store.
        unsafe { resume(cell, store) }?.commit()
    })
}

/// Gives room back: nothing was stored. Lends `cell` and `store`, which is over. Never blocks. Any thread of the process
/// that claimed it.
/// @return 0; -EPERM if this process does not hold this room (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_cell_cancel(cell: *const tvn_cell_t, store: *const tvn_store_t) -> c_int {
    call("tvn_cell_cancel", || {
        // SAFETY: the C contract: NULL or a cell's handle, not closed during this call; NULL or a store.
        unsafe { resume(cell, store) }?.cancel();
        Ok(())
    })
}

/// Copies the latest value to the `size` bytes at `value`, which must be the cell's. It is whole, whatever writers do.
/// Lends `cell` and `value`. Never blocks. Any thread; a forked child too.
/// @return the value's number, from 1 on; -EAGAIN if nothing was stored yet; -EMSGSIZE for fewer bytes than a value has,
/// -EINVAL for more; -EIDRM if the cell was removed.
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
/// @return the value's number; -EMSGSIZE for fewer bytes than a value has, -EINVAL for more; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the cell was removed.
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
