//! Would a receiver find a message now, a sender room? For whoever waits for several things at once. Nothing is taken.

use super::Mailbox;
use super::slots::{Attempt, Claim, Garbage, Oldest};
use crate::error::Result;
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

    /// Where senders sleep.
    pub(crate) fn tx(&self) -> &EventCount {
        &self.memory.control().tx.0
    }

    /// Is there a message? If not, also whose claim is in the way; a dead participant's is cleared.
    pub(crate) fn could_receive(&self) -> Result<(bool, Option<u32>)> {
        self.could(|| {
            Ok(match self.memory.slots().oldest()? {
                Oldest::Message { .. } => Look::Ready,
                Oldest::Barred(claim) => Look::Barred(claim),
                Oldest::Nothing => Look::Nothing,
            })
        })
    }

    /// Is there room? If not, also whose claim is in the way; a dead participant's is cleared.
    pub(crate) fn could_send(&self) -> Result<(bool, Option<u32>)> {
        self.could(|| {
            Ok(match self.memory.slots().would_send()? {
                None => Look::Ready,
                Some(Attempt::Barred(claim)) => Look::Barred(claim),
                Some(Attempt::Claimed(_) | Attempt::Nothing) => Look::Nothing,
            })
        })
    }

    fn could(&self, look: impl Fn() -> Result<Look, Garbage>) -> Result<(bool, Option<u32>)> {
        let suspect = Cell::new(None);
        // Twice: once more if a claim could be cleared.
        for _ in 0..2 {
            match look().map_err(|garbage| self.corrupt(garbage))? {
                Look::Ready => return Ok((true, None)),
                Look::Nothing => return Ok((false, None)),
                Look::Barred(claim) if self.clear(claim, &self.patience, &suspect) => {}
                Look::Barred(_) => return Ok((false, suspect.get())),
            }
        }
        Ok((false, suspect.get()))
    }
}

/// What somebody who takes would find.
enum Look {
    Ready,
    Barred(Claim),
    Nothing,
}
