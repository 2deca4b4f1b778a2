//! How long a call may wait: `timeout_ms` as in poll(2), and what a signal does to it.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::Duration;
use triveni::{Deadline, ErrorKind, Result};

/// For `timeout_ms`: waits for ever.
pub const TVN_FOREVER: c_int = -1;
/// For `timeout_ms`: does not wait; the answer is -EAGAIN where it would have to.
pub const TVN_TRY: c_int = 0;
const _: () = assert!(TVN_FOREVER < TVN_TRY); // any negative number is for ever

thread_local! {
    static INTERRUPTIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Chooses what a signal handler that has run during a wait of the calling thread does to the wait: with
/// `on`, it ends with -EINTR; without, it goes on to its deadline (this is how every thread begins).
/// Never blocks; affects the calling thread only, and is inherited over fork.
/// @return what was chosen before, 0 or 1.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_interruptible(on: bool) -> c_int {
    INTERRUPTIBLE.try_with(|choice| choice.replace(on)).unwrap_or(false).into()
}

/// When a wait of `timeout_ms` from now ends. A negative number is for ever.
pub(crate) fn deadline(timeout_ms: c_int) -> Deadline {
    let until = match u64::try_from(timeout_ms) {
        Ok(ms) => Deadline::after(Duration::from_millis(ms)),
        Err(_) => Deadline::never(),
    };
    if INTERRUPTIBLE.try_with(Cell::get).unwrap_or(false) { until.interruptible() } else { until }
}

/// The answer of a `try_` form: where it found nothing, C gets -EAGAIN.
pub(crate) fn tried<T>(answer: Option<T>) -> Result<T> {
    answer.ok_or_else(|| ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_in_poll() {
        assert!(deadline(TVN_TRY).is_try());
        assert!(deadline(TVN_FOREVER).is_never() && deadline(c_int::MIN).is_never());
        assert!(!deadline(60_000).passed() && !deadline(c_int::MAX).passed());
    }

    #[test]
    fn a_thread_chooses_and_learns_what_it_had_chosen() {
        assert!(!deadline(TVN_FOREVER).is_interruptible());
        assert_eq!(tvn_interruptible(true), 0);
        assert!(deadline(TVN_FOREVER).is_interruptible());
        assert_eq!(tvn_interruptible(false), 1);
    }
}
