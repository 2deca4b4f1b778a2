//! What a mailbox says when it refuses.

use super::Mailbox;
use super::memory::Mode;
use super::options::{Envelope, Select};
use super::queue::{Claim, Garbage, Refusal};
use super::sorted::MOST_PRIORITY;
use crate::error::{Error, ErrorKind, Result};

#[cold]
pub(super) fn corrupt(name: &str, garbage: Garbage) -> Error {
    let what = match garbage {
        Garbage::Word(index, word) => format!("the word of place {index} is {word:#018x}, which no mailbox writes"),
        Garbage::Page(page, word) => format!("the word of page {page} is {word:#018x}, which no mailbox writes"),
        Garbage::Position(position) => format!("tail or head is {position:#018x}, beyond its places"),
    };
    Error::new(ErrorKind::Corrupt, format!("{name}: {what}; remove it and create it anew"))
}

impl Mailbox {
    #[inline]
    pub(crate) fn check_size(&self, what: &str, size: usize) -> Result<()> {
        if size <= self.memory.message_size { Ok(()) } else { Err(self.too_large(what, size)) }
    }

    #[inline]
    pub(super) fn check_buffer(&self, what: &str, size: usize) -> Result<()> {
        if size >= self.memory.message_size { Ok(()) } else { Err(self.too_small(what, size)) }
    }

    /// Can this be written on a message here?
    pub(super) fn check_envelope(&self, envelope: Envelope) -> Result<()> {
        let Envelope { priority, mtype } = envelope;
        if priority > MOST_PRIORITY {
            // The other languages give us the highest there is for whatever is higher.
            let more = if priority == u16::MAX { " or more" } else { "" };
            let address = self.object.address();
            let why =
                format!("send with priority {priority}{more} to mailbox \"{address}\": the highest is {MOST_PRIORITY}");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        if self.memory.mode != Mode::Sorted && envelope != Envelope::default() {
            return Err(self.unsorted(&format!("send with priority {priority} and type {mtype}")));
        }
        Ok(())
    }

    /// Can a receiver choose here?
    #[inline]
    pub(super) fn check_select(&self, select: Select) -> Result<()> {
        if self.memory.mode == Mode::Sorted || select == Select::Any {
            Ok(())
        } else {
            Err(self.unsorted("receive by type"))
        }
    }

    #[cold]
    fn unsorted(&self, what: &str) -> Error {
        let why = format!(
            "{what}: mailbox {:?} is first in, first out; create it with order priority",
            self.object.address()
        );
        Error::new(ErrorKind::Invalid, why)
    }

    /// Nothing more is sent, or comes.
    #[cold]
    pub(super) fn closed(&self, what: &str) -> Error {
        let why = format!("{what}: mailbox {:?} was shut down", self.object.address());
        Error::new(ErrorKind::Closed, why)
    }

    /// At a rendezvous there is no room to lend.
    #[cold]
    pub(super) fn no_loans(&self) -> Error {
        let why = format!(
            "reserve: mailbox {:?} has capacity 0, so there is no room to write in before a receiver comes; send a copy",
            self.object.address()
        );
        Error::new(ErrorKind::Invalid, why)
    }

    #[cold]
    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        let why = match refusal {
            Refusal::Ceiling => format!(
                "send: mailbox {:?} is at its ceiling of {} messages; receive some, or create it with a higher ceiling",
                self.object.address(),
                self.memory.capacity
            ),
            Refusal::NoMemory(errno) => format!(
                "send: the system has no memory for another page of mailbox {:?}: {}",
                self.object.address(),
                std::io::Error::from_raw_os_error(errno)
            ),
        };
        Error::new(ErrorKind::NoSpace, why)
    }

    #[cold]
    fn too_large(&self, what: &str, size: usize) -> Error {
        let most = self.memory.message_size;
        let why = format!(
            "{what}: {size} bytes are too large for mailbox {:?}, whose messages have at most {most}; \
             send less at once, or create it with a larger message size",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn too_small(&self, what: &str, size: usize) -> Error {
        let most = self.memory.message_size;
        let why = format!(
            "{what}: a buffer of {size} bytes is too small for mailbox {:?}, whose messages have up to {most}; \
             pass one of {most} bytes",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    pub(super) fn corrupt(&self, garbage: Garbage) -> Error {
        corrupt(&format!("mailbox {:?}", self.object.address()), garbage)
    }

    #[cold]
    pub(super) fn bad_length(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: the message in place {} says that it is longer than the {} bytes there are; it was dropped",
            self.object.address(),
            claim.index,
            self.memory.message_size
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    /// A live owner's claim was changed by somebody else, which no process of ours does.
    #[cold]
    pub(super) fn robbed(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: somebody changed place {} while this process held it",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    #[cold]
    pub(super) fn not_ours(&self, claim: Claim) -> Error {
        let why = format!(
            "mailbox {:?}: this process holds no such claim on place {}; it has ended, or belongs to another process",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::NotOwner, why)
    }
}
