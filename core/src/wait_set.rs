//! Wait for any of several objects, descriptors, signals and timers.

use crate::deadline::Deadline;
use crate::error::Result;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// An object that a [`WaitSet`] can wait for.
///
/// Sealed: semaphores, mutexes, monitors, events, mailboxes, producers and consumers of rings, and whatever else of
/// this library one can wait for.
pub trait Waitable {}

/// Ready for what? For objects that have two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// A message, a record or a permit can be taken; a lock is free; a descriptor can be read.
    Receive,
    /// There is room; a descriptor can be written.
    Send,
}

/// Names a member of a [`WaitSet`], from 0 on in the order of adding.
pub type Token = usize;

/// A member that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which member.
    pub token: Token,
}

/// Waits for any of several members. Belongs to its process; one thread at a time waits on it.
pub struct WaitSet {}

impl WaitSet {
    /// An empty one.
    pub fn new() -> Result<WaitSet> {
        todo!()
    }

    /// Adds an object.
    pub fn add(&mut self, _object: &dyn Waitable, _interest: Interest) -> Result<Token> {
        todo!()
    }

    /// Adds a descriptor.
    pub fn add_fd(&mut self, _fd: BorrowedFd<'_>, _interest: Interest) -> Result<Token> {
        todo!()
    }

    /// Adds a signal, which is blocked in the calling thread from now on.
    pub fn add_signal(&mut self, _signal: i32) -> Result<Token> {
        todo!()
    }

    /// Adds a timer.
    pub fn add_timer(&mut self, _every: Duration) -> Result<Token> {
        todo!()
    }

    /// Takes a member out.
    pub fn remove(&mut self, _token: Token) -> Result<()> {
        todo!()
    }

    /// Waits for ever until a member is ready.
    pub fn wait(&mut self) -> Result<Vec<Ready>> {
        self.wait_until(Deadline::never())
    }

    /// Those that are ready now.
    pub fn try_wait(&mut self) -> Result<Vec<Ready>> {
        todo!()
    }

    /// Waits until the deadline.
    pub fn wait_until(&mut self, _deadline: Deadline) -> Result<Vec<Ready>> {
        todo!()
    }

    /// A descriptor that becomes readable when a member is ready.
    pub fn fd(&mut self) -> Result<BorrowedFd<'_>> {
        todo!()
    }
}

impl AsFd for WaitSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
}
