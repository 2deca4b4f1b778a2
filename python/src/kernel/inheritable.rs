//! What one thread at a time uses, and a child as well whose parent was using it at the fork.

use std::cell::UnsafeCell;
use triveni::kernel::{PipeReader, PipeWriter, Turn};
use triveni::{Error, ErrorKind, Result};

/// What is whole at any moment, also in the middle of its own calls.
///
/// # Safety
/// - No method that [`Inheritable::with`] can reach changes a value in steps, except under a `Turn` of its own: a child
///   would go on with half a change.
pub(crate) unsafe trait AlwaysWhole {}

// SAFETY: a descriptor that never changes, messages under a `Turn`, and one byte about SIGPIPE.
unsafe impl AlwaysWhole for PipeReader {}
// SAFETY: as above.
unsafe impl AlwaysWhole for PipeWriter {}

/// As [`Exclusive`](super::Exclusive), and a turn that a thread of the parent has at a fork is over in the child.
pub(crate) struct Inheritable<T> {
    what: &'static str,
    turn: Turn<()>,
    /// Of whoever has the turn.
    inner: UnsafeCell<Option<T>>,
}

// SAFETY: the value is handed from thread to thread, and used by the one that has the turn.
unsafe impl<T: Send> Sync for Inheritable<T> {}

impl<T: AlwaysWhole> Inheritable<T> {
    /// `what` is its name in sentences: `reading end of a pipe`.
    pub(crate) fn new(what: &'static str, inner: T) -> Inheritable<T> {
        Inheritable { what, turn: Turn::default(), inner: UnsafeCell::new(Some(inner)) }
    }

    /// Runs `f` with it. `Busy` if another thread does so, `Invalid` once it is closed. Never waits for others.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        self.in_turn(|inner| match inner {
            Some(inner) => f(inner),
            None => Err(Error::new(ErrorKind::Invalid, format!("this {} is closed; open it again", self.what))),
        })
    }

    /// It, for good; `None` if it was closed. `Busy` if another thread uses it.
    pub(crate) fn take(&self) -> Result<Option<T>> {
        self.in_turn(|inner| Ok(inner.take()))
    }

    fn in_turn<R>(&self, f: impl FnOnce(&mut Option<T>) -> Result<R>) -> Result<R> {
        let Some(_turn) = self.turn.take(None)? else {
            let sentence = format!("another thread is using this {}; one at a time", self.what);
            return Err(Error::new(ErrorKind::Busy, sentence));
        };
        // SAFETY: the turn is ours until the end of this function. A thread of our parent that was here at the fork does
        // not exist in this process, and left the value whole: `AlwaysWhole`.
        f(unsafe { &mut *self.inner.get() })
    }
}
