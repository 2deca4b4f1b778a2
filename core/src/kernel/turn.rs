//! Turns: one thread of a process at a time has a value, and a child that is forked meanwhile begins with its own.
//!
//! # State
//!
//! One word: the fork number of the process that the value is of, and whether one of its threads has the turn.
//!
//! | process  | taken | meaning                                                       |
//! |----------|-------|---------------------------------------------------------------|
//! | ours     | no    | free                                                          |
//! | ours     | yes   | one of our threads has it                                     |
//! | another  | any   | this is a child, or nobody has had a turn yet: free, and new  |
//!
//! # Fork
//!
//! The thread that had the turn does not exist in the child, and what it had there may be half changed. So the child's
//! copy is neither used nor dropped: it gets the default. What the value stood for stays the parent's.
//!
//! # Orderings
//!
//! Edge `turn`: the end of a turn releases, the next one acquires, and sees what the value has become.

use super::wait::retrying;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::participant::fork;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const TAKEN: u64 = 1 << 32;

/// A value that the threads of a process have in turns.
#[doc(hidden)]
pub struct Turn<T> {
    state: AtomicU64,
    /// Of whoever has the turn. Initialised if the state names this process.
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is handed from thread to thread, and only one has it at a time: `take` says who.
unsafe impl<T: Send> Sync for Turn<T> {}

// A turn that ended with a panic is as one that ended: what it left is whole enough to go on with, as after an error.
impl<T> UnwindSafe for Turn<T> {}
impl<T> RefUnwindSafe for Turn<T> {}

impl<T> Default for Turn<T> {
    fn default() -> Turn<T> {
        fork::install();
        Turn { state: AtomicU64::new(0), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

impl<T: Default> Turn<T> {
    /// The turn. `None` if another thread has it, and there is no deadline.
    ///
    /// # Errors
    /// `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn take(&self, until: Option<Deadline>) -> Result<Option<Taken<'_, T>>> {
        match until {
            None => Ok(self.try_take()),
            Some(until) => retrying(until, || Ok(self.try_take())).map(Some),
        }
    }

    #[inline]
    fn try_take(&self) -> Option<Taken<'_, T>> {
        let ours = u64::from(fork::number());
        let before = self.state.load(Relaxed); // the exchange decides
        if before == ours | TAKEN {
            return None;
        }
        // ORDER turn: Acquire; pairs with the Release in `Taken::drop`.
        self.state.compare_exchange(before, ours | TAKEN, Acquire, Relaxed).ok()?;
        if before != ours {
            // SAFETY: the turn is ours, so nobody else looks. What was there is not dropped: it is nothing, or our
            // parent's.
            unsafe { self.value.get().write(MaybeUninit::new(T::default())) };
        }
        Some(Taken { turn: self, ours })
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == u64::from(fork::number()) {
            // SAFETY: the state names this process, and nobody has the turn: the value is whole, and ours.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

/// The turn, until it is dropped.
#[doc(hidden)]
pub struct Taken<'a, T> {
    turn: &'a Turn<T>,
    /// The process that has it.
    ours: u64,
}

// SAFETY: shows the value, which may be shared.
unsafe impl<T: Sync> Sync for Taken<'_, T> {}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: whoever has the turn has the value, and `try_take` has made sure that there is one.
        unsafe { (*self.turn.value.get()).assume_init_ref() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; this borrows the turn itself exclusively.
        unsafe { (*self.turn.value.get()).assume_init_mut() }
    }
}

impl<T> Drop for Taken<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // ORDER turn: Release; pairs with the Acquire in `try_take`.
        self.turn.state.store(self.ours, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::kernel::own_process::in_its_own_process;
    use std::time::Duration;

    #[test]
    fn one_has_the_turn_and_the_next_sees_what_he_left() {
        let turn = Turn::<Vec<u8>>::default();
        let mut first = turn.take(None).unwrap().unwrap();
        assert!(turn.take(None).unwrap().is_none());
        let second = turn.take(Some(Deadline::after(Duration::from_millis(10))));
        assert_eq!(second.err().map(|error| error.kind()), Some(ErrorKind::Timeout));
        first.push(7);
        drop(first);
        assert_eq!(*turn.take(None).unwrap().unwrap(), [7]);
    }

    #[test]
    fn threads_never_have_it_together() {
        let turn = Turn::<u64>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *turn.take(Some(Deadline::never())).unwrap().unwrap() += 1));
            }
        });
        assert_eq!(*turn.take(None).unwrap().unwrap(), 4000);
    }

    #[test]
    fn a_child_finds_it_free_and_nothing_of_its_parents_in_it() {
        in_its_own_process(|| {
            let turn = Turn::<Vec<u8>>::default();
            let child = |turn: &Turn<Vec<u8>>| {
                // SAFETY: the child allocates, which the C library allows, and uses nothing else that a thread could hold.
                let child = unsafe {
                    crate::kernel::fork(|| match turn.take(None) {
                        Ok(Some(value)) => i32::from(!value.is_empty()),
                        _ => 2,
                    })
                };
                child.unwrap().wait().unwrap().code()
            };
            turn.take(None).unwrap().unwrap().push(7);
            assert_eq!(child(&turn), Some(0));
            let held = turn.take(None).unwrap().unwrap();
            assert_eq!(child(&turn), Some(0));
            assert_eq!(*held, [7]);
        });
    }
}
