//! Handles: the only place where a `Box` meets a raw pointer.
//!
//! C owns a handle from the moment `give` has stored it until `take`. In between `lend` makes a reference of
//! it for the length of one call.

use crate::argument::{null, output};
use triveni::Result;

/// Stores in `*out` a handle to what `make` returns; C owns it from then on. On failure `*out` stays as it is.
///
/// # Safety
/// - `out` is NULL or may be written to; otherwise the store goes astray.
pub(crate) unsafe fn give<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<()> {
    // SAFETY: the caller's promise about `out` is the one `output` asks for.
    let out = unsafe { output(out) }?; // before `make`: nothing is made that could not be handed over
    out.write(Box::into_raw(Box::new(make()?)));
    Ok(())
}

/// The value behind a handle, for the length of a call. `Invalid` for NULL.
///
/// # Safety
/// - `handle` is NULL or came from [`give`] of the same type; otherwise this reads strange memory.
/// - No `take` of it runs before the reference's last use; otherwise this is a use after free.
/// - No [`lend_mut`] of it is in use; otherwise two threads change one role.
pub(crate) unsafe fn lend<'a, T>(handle: *const T) -> Result<&'a T> {
    // SAFETY: NULL becomes `None`. Everything else came from `Box::into_raw` in `give`, so it is aligned and
    // holds a `T`, and by the caller's promise it has not been taken and nobody has it exclusively.
    unsafe { handle.as_ref() }.ok_or_else(null::<T>)
}

/// The value behind a handle that one thread at a time may use. `Invalid` for NULL.
///
/// # Safety
/// - As for [`lend`], and no other reference to it is in use: the header says that a producer or consumer
///   serves one thread at a time.
pub(crate) unsafe fn lend_mut<'a, T>(handle: *mut T) -> Result<&'a mut T> {
    // SAFETY: NULL becomes `None`. Everything else came from `Box::into_raw` in `give`, so it is aligned and
    // holds a `T`, and by the caller's promise it has not been taken and no other thread uses it now.
    unsafe { handle.as_mut() }.ok_or_else(null::<T>)
}

/// Ends a handle. NULL is fine.
///
/// # Safety
/// - `handle` is NULL or came from [`give`] of the same type and has not been taken; otherwise it is freed twice.
/// - No call that it was lent to still runs; otherwise that one uses freed memory.
pub(crate) unsafe fn take<T>(handle: *mut T) -> Result<()> {
    if !handle.is_null() {
        // SAFETY: not NULL, so it came from `Box::into_raw` in `give`; the caller promises that this is the
        // first take and that nobody uses it any more.
        drop(unsafe { Box::from_raw(handle) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use triveni::{Error, ErrorKind};

    #[test]
    fn what_is_given_can_be_lent_and_taken() {
        let mut handle: *mut String = std::ptr::null_mut();
        // SAFETY: `handle` is a local; it is lent and taken once, in this order, by this thread alone.
        unsafe {
            give(&mut handle, || Ok("a".to_string())).unwrap();
            lend_mut(handle).unwrap().push('b');
            assert_eq!(lend(handle).unwrap(), "ab");
            take(handle).unwrap();
        }
    }

    #[test]
    fn null_is_refused_where_a_handle_must_be_and_fine_to_take() {
        let null = std::ptr::null_mut::<String>();
        // SAFETY: NULL is within the contract of all four.
        unsafe {
            assert_eq!(lend(null).unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(lend_mut(null).unwrap_err().kind(), ErrorKind::Invalid);
            assert!(give(std::ptr::null_mut(), || Ok(1)).is_err());
            take(null).unwrap();
        }
    }

    #[test]
    fn a_failure_leaves_the_output_untouched() {
        let mut handle = std::ptr::dangling_mut::<u8>();
        let before = handle;
        // SAFETY: `handle` is a local.
        let given = unsafe { give(&mut handle, || Err(Error::from(ErrorKind::Busy))) };
        assert!(given.is_err() && handle == before);
    }
}
