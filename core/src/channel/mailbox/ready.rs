//! Would a receiver find a message now, a sender room? For whoever waits for several things at once. Nothing is taken.

use super::Mailbox;
use super::memory::{Mode, with_queue};
use super::options::Select;
use super::queue::{Garbage, Look, Queue};
use crate::error::{ErrorKind, Result};
use crate::segment::object::Object;
use crate::wait::EventCount;
use std::cell::Cell;

impl Mailbox {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where receivers sleep.
    pub(crate) fn rx(&self) -> &EventCount {
        &self.memory.control().rx.0
    }

    /// Where senders sleep who wait for a place; each one that is free wakes one of them.
    pub(crate) fn tx(&self) -> &EventCount {
        &self.memory.control().tx.0
    }

    /// Where senders sleep for whom `could_send` is to be true: at a rendezvous it is a partner they wait for.
    pub(crate) fn send_bell(&self) -> &EventCount {
        let control = self.memory.control();
        if self.memory.mode == Mode::Rendezvous { &control.met.0 } else { &control.tx.0 }
    }

    /// Is there a message? If not, also whose claim is in the way; a dead participant's is cleared. What has been shut
    /// down is ready when all has been received: nobody would wait.
    pub(crate) fn could_receive(&self) -> Result<(bool, Option<u32>)> {
        let (ready, suspect) = self.could(|| with_queue!(self.memory, queue => queue.oldest(Select::Any)))?;
        if ready || !self.object.is_shut_down() {
            return Ok((ready, suspect));
        }
        let suspect = Cell::new(None);
        match self.has_more(Select::Any, &suspect) {
            Ok(ready) => Ok((ready, suspect.get())),
            Err(error) if error.kind() == ErrorKind::Closed => Ok((true, None)),
            Err(error) => Err(error),
        }
    }

    /// Is there room? If not, also whose claim is in the way; a dead participant's is cleared. What has been shut down
    /// is ready: nobody would wait.
    pub(crate) fn could_send(&self) -> Result<(bool, Option<u32>)> {
        if self.object.is_shut_down() {
            return Ok((true, None));
        }
        self.could(|| with_queue!(self.memory, queue => queue.would_send()))
    }

    /// Is there room to put a message down, whether or not a receiver waits? As `could_send` unless this is a rendezvous.
    pub(crate) fn could_put_down(&self) -> Result<(bool, Option<u32>)> {
        if self.memory.mode != Mode::Rendezvous || self.object.is_shut_down() {
            return self.could_send();
        }
        self.could(|| self.memory.slots().would_send())
    }

    fn could(&self, look: impl Fn() -> Result<Look, Garbage>) -> Result<(bool, Option<u32>)> {
        let suspect = Cell::new(None);
        // Twice: once more if a claim could be cleared.
        for _ in 0..2 {
            match look().map_err(|garbage| self.corrupt(garbage))? {
                Look::Ready(_) => return Ok((true, None)),
                Look::Nothing => return Ok((false, None)),
                Look::Barred(claim) if self.clear(claim, &self.patience, &suspect) => {}
                Look::Barred(_) => return Ok((false, suspect.get())),
            }
        }
        Ok((false, suspect.get()))
    }
}
