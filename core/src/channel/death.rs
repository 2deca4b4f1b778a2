//! Death at a chosen step, for the tests: the thread leaves the operation there and does nothing more.

/// Kills the calling thread here, in the tests that ask for it.
macro_rules! step {
    () => {
        #[cfg(any(test, loom))]
        $crate::channel::death::may_die();
    };
}
pub(super) use step;

#[cfg(any(test, loom))]
pub use dying::{at_step, may_die};

#[cfg(any(test, loom))]
mod dying {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    #[cfg(loom)]
    loom::thread_local! {
        /// Steps left to live; 0: for ever.
        static LEFT: std::cell::Cell<u32> = std::cell::Cell::new(0);
    }
    #[cfg(not(loom))]
    std::thread_local! {
        /// Steps left to live; 0: for ever.
        static LEFT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    struct Killed;

    /// A step: the place between two stores to the segment at which a process may be killed.
    pub fn may_die() {
        let die = LEFT.with(|left| match left.get() {
            0 => false,
            n => {
                left.set(n - 1);
                n == 1
            }
        });
        if die {
            // Not `panic!`: no message, no backtrace.
            resume_unwind(Box::new(Killed));
        }
    }

    /// Runs `life` until its step number `at`, counted from 1; `None` if it died there.
    pub fn at_step<T>(at: u32, life: impl FnOnce() -> T) -> Option<T> {
        LEFT.with(|left| left.set(at));
        let outcome = catch_unwind(AssertUnwindSafe(life));
        LEFT.with(|left| left.set(0));
        match outcome {
            Ok(alive) => Some(alive),
            Err(cause) if cause.is::<Killed>() => None,
            Err(other) => resume_unwind(other),
        }
    }
}
