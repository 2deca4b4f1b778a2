//! Handlers that run in the normal course of the program, where they may do anything.
//!
//! A handler in the classical sense runs between any two instructions: it may neither allocate, nor lock, nor print.
//! Here a signal is blocked and taken from a descriptor, and its callback runs when the program says [`Handlers::dispatch`],
//! in the thread that says so. Nothing else is interrupted, and no thread is started.

use super::signals::{SignalInfo, Signals};
use crate::deadline::Deadline;
use crate::error::Result;
use std::os::fd::{AsFd, BorrowedFd};

type Callback<'a> = Box<dyn FnMut(SignalInfo) + Send + 'a>;

/// Callbacks for signals. Its descriptor ([`AsFd`]) is readable when there is something to dispatch.
///
/// The signals are blocked in the thread that made it, as by [`Signals::take`], and so is what is said there about
/// threads and about the drop.
///
/// # Examples
/// ```
/// use triveni::kernel::{Handlers, send_signal};
/// let mut handlers = Handlers::new()?;
/// handlers.on_signal(libc::SIGUSR1, |info| println!("process {} says hello", info.pid))?;
/// send_signal(std::process::id(), libc::SIGUSR1)?;
/// assert_eq!(handlers.dispatch()?, 1);
/// # Ok::<(), triveni::Error>(())
/// ```
pub struct Handlers<'a> {
    signals: Signals,
    callbacks: Vec<(i32, Callback<'a>)>,
}

impl<'a> Handlers<'a> {
    /// None yet.
    ///
    /// # Errors
    /// What the system reports: no descriptor left.
    pub fn new() -> Result<Handlers<'a>> {
        Ok(Handlers { signals: Signals::take([])?, callbacks: Vec::new() })
    }

    /// Runs `callback` for each `signal` that comes, instead of a callback it had before.
    ///
    /// # Errors
    /// As [`Signals::take`].
    pub fn on_signal(&mut self, signal: i32, callback: impl FnMut(SignalInfo) + Send + 'a) -> Result<()> {
        self.signals.add(signal)?;
        self.callbacks.retain(|(known, _)| *known != signal);
        self.callbacks.push((signal, Box::new(callback)));
        Ok(())
    }

    /// Waits for a signal and runs its callback, and those of all that are pending. How many ran.
    ///
    /// # Errors
    /// As [`Signals::receive`].
    pub fn dispatch(&mut self) -> Result<usize> {
        self.dispatch_until(Deadline::never())
    }

    /// Runs the callbacks of all signals that are pending now; 0 if there is none.
    ///
    /// # Errors
    /// As [`Signals::try_receive`].
    pub fn try_dispatch(&mut self) -> Result<usize> {
        let mut ran = 0;
        // A bound: who sends faster than this runs shall not keep it here.
        while ran < MOST
            && let Some(info) = self.signals.try_receive()?
        {
            self.run(info);
            ran += 1;
        }
        Ok(ran)
    }

    /// As [`Handlers::dispatch`], until the deadline.
    ///
    /// # Errors
    /// As [`Signals::receive_until`].
    pub fn dispatch_until(&mut self, until: Deadline) -> Result<usize> {
        let first = self.signals.receive_until(until)?;
        self.run(first);
        Ok(1 + self.try_dispatch()?)
    }

    /// Which signals have a callback.
    pub fn signals(&self) -> &[i32] {
        self.signals.signals()
    }

    fn run(&mut self, info: SignalInfo) {
        if let Some((_, callback)) = self.callbacks.iter_mut().find(|(signal, _)| *signal == info.signal) {
            callback(info);
        }
    }
}

/// So many callbacks one dispatch runs at most.
const MOST: usize = 1024;

impl AsFd for Handlers<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

impl std::fmt::Debug for Handlers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").field("signals", &self.signals.signals()).finish_non_exhaustive()
    }
}
