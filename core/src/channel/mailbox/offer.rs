//! A message that waits at a rendezvous for a receiver, while its sender does other things.

use super::Mailbox;
use super::memory::Mode;
use super::options::Envelope;
use super::queue::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::object::Object;
use crate::wait::EventCount;
use std::cell::Cell;
use std::fmt;

/// A message that lies at a rendezvous until a receiver has it: [`Mailbox::try_offer`]. For whoever cannot block, but waits
/// in a [`WaitSet`](crate::WaitSet) or an event loop.
///
/// Dropped, it is taken back, unless a receiver has it by then. It belongs to the process that made it: a forked child
/// cannot take it back. If that process dies, the message stays, and is received.
pub struct Offer {
    mailbox: Mailbox,
    claim: Claim,
    fork: u32,
}

impl Mailbox {
    /// Puts a message down for a receiver, at a rendezvous. `None`: as many messages as there are places wait already.
    /// Never waits.
    ///
    /// # Errors
    /// `Invalid` unless this is a mailbox of capacity 0; otherwise as [`Mailbox::send`].
    pub fn try_offer(&self, message: &[u8]) -> Result<Option<Offer>> {
        if self.memory.mode != Mode::Rendezvous {
            let why = format!("offer: mailbox {:?} has room for messages; send to it", self.object.address());
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        self.check_size("offer", message.len())?;
        let Some(claim) = self.try_room(self.object.me()?)? else { return Ok(None) };
        self.fill(claim, message, Envelope::default())?;
        Ok(Some(Offer { mailbox: self.clone(), claim, fork: self.object.fork_number() }))
    }
}

impl Offer {
    /// Has a receiver the message? Never waits. Once true, it stays so.
    ///
    /// # Errors
    /// `Closed` if the mailbox was shut down before; `Forked` in a forked child; `Corrupt`.
    pub fn is_received(&self) -> Result<bool> {
        self.check_fork()?;
        Ok(self.mailbox.handed(self.claim, &self.mailbox.patience, &Cell::new(None))?.is_some())
    }

    /// Takes the message back. `false`: a receiver has it. Never waits.
    ///
    /// # Errors
    /// `Forked` in a forked child; `Corrupt`.
    pub fn withdraw(&self) -> Result<bool> {
        self.check_fork()?;
        self.mailbox.take_back(self.claim)
    }

    fn check_fork(&self) -> Result<()> {
        let object = &self.mailbox.object;
        if self.fork == object.fork_number() {
            return Ok(());
        }
        let why = format!("an offer in mailbox {:?} belongs to the parent; make one in the child", object.address());
        Err(Error::new(ErrorKind::Forked, why))
    }

    /// What a wait set keeps of it.
    pub(crate) fn side(&self) -> OfferSide {
        OfferSide { mailbox: self.mailbox.clone(), claim: self.claim }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        // An error: it is gone in any case.
        let _ = self.withdraw();
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer({:?})", self.mailbox.name())
    }
}

/// An offer, to be waited for.
pub(crate) struct OfferSide {
    mailbox: Mailbox,
    claim: Claim,
}

impl OfferSide {
    pub fn object(&self) -> &Object {
        &self.mailbox.object
    }

    pub fn bell(&self) -> &EventCount {
        &self.mailbox.memory.control().met.0
    }

    pub fn is_ready(&self) -> Result<bool> {
        match self.mailbox.handed(self.claim, &self.mailbox.patience, &Cell::new(None)) {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(true),
            handed => Ok(handed?.is_some()),
        }
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use crate::{Deadline, Interest, Segment, WaitSet};

    #[test]
    fn an_offer_waits_until_somebody_receives_it() {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let mailbox = segment.mailbox("m", 0, 8).unwrap();
        let mut buffer = [0; 8];
        let offer = mailbox.try_offer(b"a").unwrap().unwrap();
        let mut set = WaitSet::new().unwrap();
        set.add(&offer, Interest::Send).unwrap();
        assert!(!offer.is_received().unwrap() && set.try_wait().unwrap().is_empty());
        let receiver = mailbox.clone();
        let thread = std::thread::spawn(move || receiver.receive(&mut [0; 8]).unwrap().size);
        assert_eq!(set.wait_until(Deadline::never()).unwrap().len(), 1);
        assert_eq!(thread.join().unwrap(), 1);
        assert!(offer.is_received().unwrap() && !offer.withdraw().unwrap());
        // Taken back, by name or by going away.
        let offer = mailbox.try_offer(b"b").unwrap().unwrap();
        assert!(offer.withdraw().unwrap());
        drop(mailbox.try_offer(b"c").unwrap());
        assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
        // As many as there are places; refused after a shutdown, and where there is room.
        let offers: Vec<_> = std::iter::from_fn(|| mailbox.try_offer(b"d").unwrap()).collect();
        assert!(offers.len() >= 2 && mailbox.len() == offers.len());
        let _ = mailbox.shutdown();
        assert_eq!(offers[0].is_received().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(mailbox.try_offer(b"e").unwrap_err().kind(), ErrorKind::Closed);
        let bounded = segment.mailbox("b", 1, 8).unwrap();
        assert_eq!(bounded.try_offer(b"").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
