//! What C hands in beside handles: names, messages, buffers and places for answers.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::slice;
use triveni::{Error, ErrorKind, Result};

/// The error for a pointer that must not be NULL.
#[cold]
pub(crate) fn null<T>() -> Error {
    let what = std::any::type_name::<T>().rsplit("::").next().unwrap_or("value");
    Error::new(ErrorKind::Invalid, format!("the pointer to a {what} is NULL; pass one that a function of triveni gave"))
}

#[cold]
fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// A name: a string in UTF-8 that ends with NUL.
///
/// # Safety
/// - `name` is NULL or ends with a NUL inside memory that may be read, unchanged until the reference's last
///   use; otherwise this reads past it.
pub(crate) unsafe fn text<'a>(name: *const c_char) -> Result<&'a str> {
    if name.is_null() {
        return Err(invalid("the name is NULL; give one of 1 to 63 bytes"));
    }
    // SAFETY: not NULL, and the caller promises a NUL at its end and that it stays as it is.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().map_err(|_| invalid(format!("the name {name:?} is no UTF-8; use letters that are")))
}

/// A path: a string that ends with NUL.
///
/// # Safety
/// - As for [`text`].
pub(crate) unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path> {
    if path.is_null() {
        return Err(invalid("the path is NULL; give one"));
    }
    // SAFETY: not NULL, and the caller promises a NUL at its end and that it stays as it is.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// A message to read. NULL will do for 0 bytes.
///
/// # Safety
/// - `size` bytes at `data` may be read, unchanged until the reference's last use; otherwise the message is
///   torn or the read faults.
pub(crate) unsafe fn bytes<'a>(data: *const u8, size: usize) -> Result<&'a [u8]> {
    match room(data, size)? {
        0 => Ok(&[]),
        // SAFETY: not NULL and at most `isize::MAX` bytes, by `room`; any byte is a `u8` and aligned; the
        // caller promises that all of it may be read and stays as it is.
        size => Ok(unsafe { slice::from_raw_parts(data, size) }),
    }
}

/// A buffer to fill. NULL will do for 0 bytes.
///
/// # Safety
/// - `size` bytes at `data` may be written and nobody else uses them until the reference's last use;
///   otherwise memory is overwritten that somebody needs.
pub(crate) unsafe fn buffer<'a>(data: *mut u8, size: usize) -> Result<&'a mut [u8]> {
    match room(data, size)? {
        0 => Ok(&mut []),
        // SAFETY: not NULL and at most `isize::MAX` bytes, by `room`; any byte is a `u8` and aligned; the
        // caller promises that all of it is its own. What C has not initialised yet is bytes of unknown value
        // to us: the compiler sees nothing of the other side of this call.
        size => Ok(unsafe { slice::from_raw_parts_mut(data, size) }),
    }
}

/// An array to fill with up to `count` items. NULL will do for 0.
///
/// # Safety
/// - `count` items at `first` may be written and nobody else uses them until the reference's last use;
///   otherwise memory is overwritten that somebody needs.
pub(crate) unsafe fn array<'a, T>(first: *mut T, count: usize) -> Result<&'a mut [MaybeUninit<T>]> {
    let size = count.saturating_mul(size_of::<T>());
    match room(first.cast::<u8>(), size)? {
        0 => Ok(&mut []),
        _ if !first.is_aligned() => Err(invalid("the array is not aligned for its items")),
        // SAFETY: not NULL, aligned, and at most `isize::MAX` bytes, all checked above; `MaybeUninit` asks
        // nothing of their values; the caller promises that all of it is its own.
        _ => Ok(unsafe { slice::from_raw_parts_mut(first.cast(), count) }),
    }
}

/// An array of `count` items to read. NULL will do for 0.
///
/// # Safety
/// - `count` items at `first` may be read, unchanged until the reference's last use; otherwise they are torn or the read
///   faults.
/// - Any bits are a `T`; otherwise C could hand in what no `T` is.
pub(crate) unsafe fn items<'a, T: Copy>(first: *const T, count: usize) -> Result<&'a [T]> {
    let size = count.saturating_mul(size_of::<T>());
    match room(first.cast::<u8>(), size)? {
        0 => Ok(&[]),
        _ if !first.is_aligned() => Err(invalid("the array is not aligned for its items")),
        // SAFETY: not NULL, aligned, and at most `isize::MAX` bytes, all checked above; the caller promises the rest.
        _ => Ok(unsafe { slice::from_raw_parts(first, count) }),
    }
}

/// A place for one answer. `Invalid` for NULL.
///
/// # Safety
/// - As for [`optional`].
pub(crate) unsafe fn output<'a, T>(out: *mut T) -> Result<&'a mut MaybeUninit<T>> {
    // SAFETY: the caller's promise is the one `optional` asks for.
    unsafe { optional(out) }.ok_or_else(|| invalid("the place for the answer is NULL; pass the address of a variable"))
}

/// A place for an answer that not everybody wants; NULL for who does not.
///
/// # Safety
/// - `out` is NULL or aligned and may be written until the reference's last use; otherwise the answer goes astray.
pub(crate) unsafe fn optional<'a, T>(out: *mut T) -> Option<&'a mut MaybeUninit<T>> {
    // SAFETY: NULL becomes `None`; the caller promises the rest; `MaybeUninit` asks nothing of the bytes there.
    unsafe { out.cast::<MaybeUninit<T>>().as_mut() }
}

/// A descriptor. `Invalid` for a negative number.
///
/// # Safety
/// - Nobody closes `fd` until the reference's last use; otherwise this is about some other file. (For one that is not
///   open the system answers EBADF.)
pub(crate) unsafe fn descriptor<'a>(fd: c_int) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(invalid(format!("{fd} is no descriptor; they begin at 0")));
    }
    // SAFETY: not -1, checked above; the caller promises that nobody closes it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// `text` as an array of `char`, cut at a letter's border if it is too long, with a NUL at its end.
pub(crate) fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(cut(text, N).bytes()) {
        *to = from as c_char;
    }
    array
}

/// Writes `text` to a buffer, cut at a letter's border if it is too long, with a NUL at its end if it has any room.
pub(crate) fn write_text(buffer: &mut [u8], text: &str) {
    let text = cut(text, buffer.len());
    for (to, from) in buffer.iter_mut().zip(text.bytes().chain([0])) {
        *to = from;
    }
}

/// As much of `text` as fits in `room` bytes together with a NUL.
fn cut(text: &str, room: usize) -> &str {
    let mut end = text.len().min(room.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1; // 0 is a boundary
    }
    text.get(..end).unwrap_or_default()
}

fn room(data: *const u8, size: usize) -> Result<usize> {
    if size > isize::MAX as usize {
        return Err(invalid(format!("a buffer of {size} bytes cannot be; is the size negative?")));
    }
    if data.is_null() && size > 0 {
        return Err(invalid(format!("the buffer is NULL, yet its size is {size}; pass a buffer, or size 0")));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_empty_and_a_size_makes_it_wrong() {
        let null = std::ptr::null_mut::<u8>();
        // SAFETY: NULL is refused or empty, and nothing is read or written.
        unsafe {
            assert_eq!(bytes(null, 0).unwrap(), b"");
            assert!(bytes(null, 1).is_err() && buffer(null, 1).is_err() && array(null, 1).is_err());
            assert!(items(null, 1).is_err() && items(null, 0).unwrap().is_empty());
            assert!(output(null).is_err() && text(std::ptr::null()).is_err());
            assert!(descriptor(-1).is_err() && descriptor(c_int::MIN).is_err());
        }
    }

    #[test]
    fn a_size_that_was_negative_is_refused() {
        let mut byte = 0u8;
        // SAFETY: both are refused before anything is read or written.
        unsafe {
            assert!(buffer(&mut byte, usize::MAX).is_err());
            assert!(array(std::ptr::from_mut(&mut byte).cast::<u64>(), usize::MAX / 4).is_err());
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_letter() {
        let cut: [c_char; 4] = chars("aéé");
        assert_eq!(cut.map(|c| c as u8), [b'a', 0xC3, 0xA9, 0]);
        let whole: [c_char; 4] = chars("ab");
        assert_eq!(whole.map(|c| c as u8), [b'a', b'b', 0, 0]);
    }

    #[test]
    fn a_long_text_is_cut_and_ends_with_nul_where_there_is_room() {
        let mut buffer = *b"xxxxx";
        write_text(&mut buffer, "aé");
        assert_eq!(&buffer, b"a\xC3\xA9\0x");
        write_text(&mut buffer[..3], "aé");
        assert_eq!(&buffer[..3], b"a\0\xA9");
        write_text(&mut buffer[..1], "a");
        assert_eq!(buffer[0], 0);
        write_text(&mut [], "a");
    }
}
