//! The way in and out: a panic is stopped, the error is kept for `tvn_last_error`, a `Result` becomes a number.

use crate::error::keep;
use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use triveni::{Error, ErrorKind, Result};

/// What a function answers on success, and the C type that carries it or a negative error number.
pub(crate) trait Answer {
    type Number: From<c_int>;
    fn number(self) -> Self::Number;
}

impl Answer for () {
    type Number = c_int;
    fn number(self) -> c_int {
        0
    }
}

impl Answer for bool {
    type Number = c_int;
    fn number(self) -> c_int {
        self.into()
    }
}

/// A descriptor.
impl Answer for c_int {
    type Number = c_int;
    fn number(self) -> c_int {
        self
    }
}

/// A size or a count.
impl Answer for usize {
    type Number = i64;
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

/// A count.
impl Answer for u64 {
    type Number = i64;
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

/// Runs the body of a C function. `function` is its name, for the report of a panic.
#[inline]
pub(crate) fn call<T: Answer>(function: &str, body: impl FnOnce() -> Result<T>) -> T::Number {
    // Unwind safe: after a panic nobody sees what the body had in hand but the core, whose state lies in
    // the segment and is made for writers that stop at any instruction.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(answer)) => answer.number(),
        Ok(Err(error)) => failed(error).into(),
        Err(panic) => failed(panicked(function, &*panic)).into(),
    }
}

#[cold]
fn failed(error: Error) -> c_int {
    let number = error.errno().max(1); // never 0 or less: that would read as success
    keep(error);
    -number
}

#[cold]
fn panicked(function: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let said = said.unwrap_or("without a message");
    Error::new(ErrorKind::Panic, format!("{function}: a bug in triveni, please report it: panic: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{TVN_EPANIC, tvn_last_error};
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: `tvn_last_error` gives a string that this thread's next failure ends, and none happens here.
        unsafe { CStr::from_ptr(tvn_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_becomes_a_number_and_a_sentence() {
        assert_eq!(call("tvn_x", || -> Result<()> { panic!("number {}", 7) }), -TVN_EPANIC);
        assert!(last().contains("tvn_x") && last().contains("number 7"), "{}", last());
    }

    #[test]
    fn an_error_becomes_its_number_and_success_leaves_the_last_one() {
        assert_eq!(call("tvn_x", || -> Result<usize> { Err(Error::new(ErrorKind::Busy, "taken")) }), -16);
        assert_eq!(call("tvn_x", || Ok(5usize)), 5);
        assert_eq!(last(), "taken");
    }

    #[test]
    fn no_error_reads_as_success() {
        assert!(call("tvn_x", || -> Result<()> { Err(ErrorKind::System(0).into()) }) < 0);
    }
}
