//! Could an end go on now? For whoever waits for several things at once.
//!
//! These look from outside: an end's own words lie in the process that has it, but its position is shared, and stands
//! there as soon as a commit or a release has returned. They store nothing.

use super::cells::Memory;
use super::side::{has_record, has_room};
use super::{Consumer, Producer, Ring, suspect};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::object::Object;
use crate::wait::ParkWord;

impl Consumer {
    /// The ring, and the word that says that this process reads it.
    pub(crate) fn end(&self) -> Result<(&Ring, u32)> {
        self.ours().map(|()| (&self.ring, self.mine))
    }
}

impl Producer {
    /// The ring, and the word that says that this process writes it.
    pub(crate) fn end(&self) -> Result<(&Ring, u32)> {
        self.ours().map(|()| (&self.ring, self.mine))
    }
}

impl Ring {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where the consumer sleeps.
    pub(crate) fn filled(&self) -> &ParkWord {
        self.place.filled()
    }

    /// Where the producer sleeps.
    pub(crate) fn freed(&self) -> &ParkWord {
        self.place.freed()
    }

    /// Would the consumer, whose role word is `mine`, read or fail now? `ask`: it fails if the producer is dead.
    pub(crate) fn could_read(&self, mine: u32, ask: bool) -> Result<bool> {
        if !self.place.consumer().role.is(mine) {
            return Err(self.given_back("consumer"));
        }
        Ok(has_record(&self.place).map_err(|fault| self.fault(fault))?
            || self.is_shut_down()
            || ask && self.check_peer("producer", self.place.producer(), "empty").is_err())
    }

    /// Would the producer, whose role word is `mine`, write a record of `size` bytes or fail now? `ask`: it fails if
    /// the consumer is dead.
    pub(crate) fn could_write(&self, mine: u32, size: u64, ask: bool) -> Result<bool> {
        if !self.place.producer().role.is(mine) {
            return Err(self.given_back("producer"));
        }
        Ok(has_room(&self.place, size).map_err(|fault| self.fault(fault))?
            || self.is_shut_down()
            || ask && self.check_peer("consumer", self.place.consumer(), "full").is_err())
    }

    /// Whom the consumer waits for.
    pub(crate) fn writer_slot(&self) -> Option<u32> {
        suspect(self.place.producer())
    }

    /// Whom the producer waits for.
    pub(crate) fn reader_slot(&self) -> Option<u32> {
        suspect(self.place.consumer())
    }

    #[cold]
    fn given_back(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::NotOwner,
            format!(
                "this {what} of ring \"{}\" was given back; whoever takes it anew waits for it",
                self.object.address()
            ),
        )
    }
}
