//! The array in C.

use crate::argument::{array, buffer, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::lock::{held_by, locked, tvn_holder_t};
use crate::segment::{fill, tvn_segment_t};
use crate::type_tag::{tell, wanted};
use std::ffi::{c_char, c_int, c_void};
use triveni::{Error, ErrorKind, RawArray, Result};

/// An array, n-dimensional memory of one type: a handle on one that lies in a segment.
pub struct tvn_array_t(pub(crate) RawArray);

/// The most dimensions of an array.
pub const TVN_DIMENSIONS_MAX: usize = 8;

const REPAIR: &str = "you write now: put the elements right, call tvn_array_recover and tvn_array_end_write";

/// The dimensions that C hands in.
///
/// # Safety
/// - `ndim` numbers at `shape` may be read, unchanged until the reference's last use; otherwise this reads strange
///   memory.
unsafe fn dimensions<'a>(shape: *const usize, ndim: usize) -> Result<&'a [usize]> {
    if ndim > TVN_DIMENSIONS_MAX || (shape.is_null() && ndim > 0) {
        let why = format!("a shape of {ndim} dimensions: give 0 to {TVN_DIMENSIONS_MAX}, and a pointer to them");
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    if ndim == 0 {
        return Ok(&[]);
    }
    // SAFETY: not NULL, and the caller promises that many.
    Ok(unsafe { std::slice::from_raw_parts(shape, ndim) })
}

/// Finds the array `name`, or creates it, of zeros: `size_t shape[] = {rows, columns}; tvn_array(segment, "a", "d",
/// shape, 2, &array);`. `type_tag` says what an element is, as PEP 3118: "d" for double, "i" for int, or what
/// TVN_TYPE() makes of a struct. An existing one must have the same type and shape. Lends `segment`, `name`, `type_tag`
/// and `shape`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, type or shape; -TVN_EINCOMPATIBLE if the name belongs to an object of another
/// kind, or an array of another shape or type: tvn_last_error() shows both layouts; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array(
    segment: *const tvn_segment_t,
    name: *const c_char,
    type_tag: *const c_char,
    shape: *const usize,
    ndim: usize,
    out: *mut *mut tvn_array_t,
) -> c_int {
    call("tvn_array", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, `ndim` numbers, NULL or a place for a
        // handle.
        unsafe {
            let make = || lend(segment)?.0.raw_array(text(name)?, wanted(type_tag)?, dimensions(shape, ndim)?);
            give(out, || make().map(tvn_array_t))
        }
    })
}

/// Creates the array `name`, as tvn_array() does. Lends `segment`, `name`, `type_tag` and `shape`, gives `*out`. Does
/// not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; otherwise as tvn_array().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    type_tag: *const c_char,
    shape: *const usize,
    ndim: usize,
    out: *mut *mut tvn_array_t,
) -> c_int {
    call("tvn_array_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, `ndim` numbers, NULL or a place for a
        // handle.
        unsafe {
            let make = || lend(segment)?.0.create_raw_array(text(name)?, wanted(type_tag)?, dimensions(shape, ndim)?);
            give(out, || make().map(tvn_array_t))
        }
    })
}

/// Opens the array `name`, which must exist, of whatever shape. Its type must be `type_tag`; NULL asks for none. Lends
/// `segment`, `name` and `type_tag`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name or type; -TVN_EINCOMPATIBLE as for tvn_array().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    type_tag: *const c_char,
    out: *mut *mut tvn_array_t,
) -> c_int {
    call("tvn_array_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let array = lend(segment)?.0.open_raw_array(text(name)?)?;
                array.expect_type(wanted(type_tag)?).map(|()| tvn_array_t(array))
            })
        }
    })
}

/// Lets go of the array. Takes `array`; NULL is fine. Pointers from tvn_array_data() are no longer good. Its elements
/// stay in the segment. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_close(array: *mut tvn_array_t) {
    // SAFETY: the C contract: NULL, or an array's handle that nobody uses any more.
    call("tvn_array_close", || unsafe { take(array) });
}

/// The first element, at a page; all of them follow each other, the last dimension fastest:
/// `double *a = tvn_array_data(array);`. Good until tvn_array_close(). Other processes may read and write there at any
/// time: elements that several of them change need a lock, or _Atomic. Lends `array`. Never blocks. Any thread; a
/// forked child too.
/// @return the pointer; NULL if `array` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_data(array: *const tvn_array_t) -> *mut c_void {
    let mut data = std::ptr::null_mut();
    call("tvn_array_data", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        data = unsafe { lend(array) }?.0.as_ptr().cast();
        Ok(())
    });
    data
}

/// Fills `shape` with the dimensions, at most `count`. Lends `array` and `shape` (NULL will do with 0). Never blocks.
/// Any thread; a forked child too.
/// @return how many dimensions it has, at most TVN_DIMENSIONS_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_shape(array: *const tvn_array_t, shape: *mut usize, count: usize) -> i64 {
    call("tvn_array_shape", || {
        // SAFETY: the C contract: NULL or an array's handle, not closed during this call; `count` numbers to write.
        let (handle, shape) = unsafe { (&lend(array)?.0, self::array(shape, count)?) };
        Ok(fill(shape, handle.shape().iter().copied()))
    })
}

/// Fills `strides` with the bytes from an element to the next one in each dimension, at most `count`. Lends `array` and
/// `strides` (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many dimensions it has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_strides(array: *const tvn_array_t, strides: *mut usize, count: usize) -> i64 {
    call("tvn_array_strides", || {
        // SAFETY: the C contract: NULL or an array's handle, not closed during this call; `count` numbers to write.
        let (handle, strides) = unsafe { (&lend(array)?.0, self::array(strides, count)?) };
        Ok(fill(strides, handle.strides().into_iter()))
    })
}

/// How many elements it has. Lends `array`. Never blocks. Any thread; a forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_length(array: *const tvn_array_t) -> i64 {
    call("tvn_array_length", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        Ok(unsafe { lend(array) }?.0.len())
    })
}

/// Bytes of all elements. Lends `array`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_size(array: *const tvn_array_t) -> i64 {
    call("tvn_array_size", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        Ok(unsafe { lend(array) }?.0.size())
    })
}

/// Writes the type tag of the elements to `buffer` of `size` bytes, cut if it is too long. Lends `array` and `buffer`
/// (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_type(array: *const tvn_array_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_array_type", || {
        // SAFETY: the C contract: NULL or an array's handle, not closed during this call; `size` bytes to write.
        let (array, buffer) = unsafe { (&lend(array)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(array.type_tag(), buffer))
    })
}

/// Begins to write the elements as a whole; blocks while another thread does so, or until `timeout_ms` has passed.
/// Until tvn_array_end_write() no snapshot is taken, and no other such writer goes on. Lends `array`. A writer that
/// dies in the middle is told of with -EOWNERDEAD: the array IS yours to write then. Put the elements right, call
/// tvn_array_recover() and tvn_array_end_write(); without recover, the next one gets -EOWNERDEAD too. Any thread; a
/// forked child does not write for its parent.
/// @return 0; -EOWNERDEAD, to be written; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
/// -EDEADLK if the calling thread writes already; -EIDRM if the array was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_write(array: *const tvn_array_t, timeout_ms: c_int) -> c_int {
    call("tvn_array_write", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        let array = &unsafe { lend(array) }?.0;
        let answer = match timeout_ms {
            TVN_TRY => array.try_write(),
            ms => array.write_until(deadline(ms)).map(Some),
        };
        locked(answer, REPAIR)
    })
}

/// Says that the elements are whole, and lets others write. Lends `array`. Never blocks. The thread that writes.
/// @return 0; -EPERM if the calling thread does not write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_end_write(array: *const tvn_array_t) -> c_int {
    call("tvn_array_end_write", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        unsafe { lend(array) }?.0.end_write()
    })
}

/// Says, after -EOWNERDEAD, that the elements will be whole at tvn_array_end_write(). Lends `array`. Never blocks. The
/// thread that writes.
/// @return 0; -EPERM if the calling thread does not write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_recover(array: *const tvn_array_t) -> c_int {
    call("tvn_array_recover", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        unsafe { lend(array) }?.0.recover()
    })
}

/// Copies all elements, as they were at one moment between two writers, to the `size` bytes at `elements`, which must be
/// tvn_array_size(); blocks for one that writes, or until `timeout_ms` has passed. Lends `array` and `elements`. Any
/// thread; a forked child too.
/// @return 0; -EOWNERDEAD if a writer died in the middle and nobody has recovered since; -EINVAL for another size;
/// -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the array was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_snapshot(
    array: *const tvn_array_t,
    elements: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_array_snapshot", || {
        // SAFETY: the C contract: NULL or an array's handle, not closed during this call; `size` bytes to write.
        let (array, elements) = unsafe { (&lend(array)?.0, buffer(elements.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(array.try_snapshot(elements)?.then_some(())),
            ms => array.snapshot_until(elements, deadline(ms)),
        }
    })
}

/// How often it was written as a whole. Lends `array`. Never blocks. Any thread; a forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_version(array: *const tvn_array_t) -> i64 {
    call("tvn_array_version", || {
        // SAFETY: the C contract: NULL, or an array's handle that is not closed during this call.
        Ok(unsafe { lend(array) }?.0.version())
    })
}

/// Who writes as a whole at this moment; the next one may be another. Lends `array`, writes `*out` if somebody does.
/// Never blocks. Any thread; a forked child too.
/// @return 1 if somebody writes, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_array_writer(array: *const tvn_array_t, out: *mut tvn_holder_t) -> c_int {
    call("tvn_array_writer", || {
        // SAFETY: the C contract: NULL or an array's handle, not closed during this call; NULL or a place for the answer.
        let (array, out) = unsafe { (&lend(array)?.0, output(out)?) };
        Ok(held_by(array.writer(), out))
    })
}
