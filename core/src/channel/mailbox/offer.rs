//! A message that waits at a rendezvous for a receiver, while its sender does other things.
//!
//! # State
//!
//! In the segment: a place in the state `FULL`, as a sender leaves it that waits in [`Mailbox::send`]. In the process:
//! whether a receiver has the message or it was taken back, once that is known. It is remembered, because the place
//! forgets: it serves other messages later, and is `FULL` again when a receiver dies that read the message in place.
//!
//! # When a peer dies
//!
//! | killed                        | left               | what happens                                               |
//! |-------------------------------|--------------------|------------------------------------------------------------|
//! | who made the offer            | `FULL`             | the message is there, and is received                      |
//! | receiver, while it copies     | `READING(dead)`    | whoever looks at the offer makes it receivable again       |
//! | receiver, while it holds      | `HOLDING(dead)`    | the next one gets it; the offer counts as received         |
//!
//! # Wakes
//!
//! A receiver changes the word of the place with a full barrier and then rings `met` for all who sleep there. A wait set
//! registers there with a full barrier and then looks at the word. One of the two sees the other (edge `register` of
//! `eventcount.rs`). A shutdown rings it too. A wake that a dead receiver owed: the set looks again when its slice ends.

use super::Mailbox;
use super::memory::Mode;
use super::options::Envelope;
use super::queue::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::object::Object;
use crate::wait::{EventCount, World};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A message that lies at a rendezvous until a receiver has it: [`Mailbox::try_offer`]. For whoever cannot block, but waits
/// in a [`WaitSet`](crate::WaitSet) or an event loop.
///
/// A set says that it is ready when a receiver has the message, and when the mailbox was shut down; an offer that was
/// taken back is ready, too: take it out of the set.
///
/// Dropped, it is taken back, unless a receiver has it by then. Any thread may use it, several at a time. It belongs to the
/// process that made it: a forked child cannot take it back. If that process dies, the message stays, and is received.
/// If a receiver dies before it has the whole message, the next one gets it.
pub struct Offer(Arc<Laid>);

/// A message that was put down.
struct Laid {
    mailbox: Mailbox,
    claim: Claim,
    fork: u32,
    /// Process-private. Held for one look at the place, never while anybody waits.
    outcome: Mutex<Option<Outcome>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Received,
    TakenBack,
}

impl Mailbox {
    /// Puts a message down for a receiver, at a rendezvous. `None`: as many messages as there are places wait already; a
    /// set that waits for [`Interest::Room`](crate::Interest::Room) is ready when there is one. Never waits. A process
    /// that dies here has put down the whole message, or none.
    ///
    /// # Errors
    /// `Invalid` unless this is a mailbox of capacity 0; otherwise as [`Mailbox::try_send`].
    pub fn try_offer(&self, message: &[u8]) -> Result<Option<Offer>> {
        if self.memory.mode != Mode::Rendezvous {
            let why = format!("offer: mailbox {:?} has room for messages; send to it", self.object.address());
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        self.check_size("offer", message.len())?;
        let Some(claim) = self.try_room(self.object.me()?)? else { return Ok(None) };
        self.fill(claim, message, Envelope::default())?;
        let (mailbox, fork) = (self.clone(), self.object.fork_number());
        Ok(Some(Offer(Arc::new(Laid { mailbox, claim, fork, outcome: Mutex::new(None) }))))
    }
}

impl Offer {
    /// Has a receiver the message? Never waits. Once true, it stays so, whatever becomes of that receiver. `false` for
    /// ever after [`Offer::withdraw`] has taken it back.
    ///
    /// # Errors
    /// `Closed` if the mailbox was shut down, `Removed` if it was removed, and nobody has the message yet: take it back.
    /// `Forked` in a forked child; `Corrupt`.
    pub fn is_received(&self) -> Result<bool> {
        self.0.is_received(&Cell::new(None))
    }

    /// Takes the message back. `true`: no receiver has it, nor will; `false`: one has it. Of a receiver and this at the
    /// same instant one wins, and both know which. Never waits; asked again it answers the same.
    ///
    /// # Errors
    /// `Forked` in a forked child; `Corrupt`.
    pub fn withdraw(&self) -> Result<bool> {
        self.0.withdraw()
    }

    /// What a wait set keeps of it.
    pub(crate) fn side(&self) -> OfferSide {
        OfferSide(self.0.clone())
    }
}

impl Laid {
    fn is_received(&self, suspect: &Cell<Option<u32>>) -> Result<bool> {
        self.check_fork()?;
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_none() && self.mailbox.handed(self.claim, &self.mailbox.patience, suspect)?.is_some() {
            *outcome = Some(Outcome::Received);
        }
        if outcome.is_none() {
            self.mailbox.object.still_there()?;
        }
        Ok(*outcome == Some(Outcome::Received))
    }

    fn withdraw(&self) -> Result<bool> {
        self.check_fork()?; // before the lock, which another thread of the parent may have held at the fork
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_none() {
            let back = self.mailbox.take_back(self.claim)?;
            *outcome = Some(if back { Outcome::TakenBack } else { Outcome::Received });
        }
        Ok(*outcome == Some(Outcome::TakenBack))
    }

    fn is_taken_back(&self) -> bool {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) == Some(Outcome::TakenBack)
    }

    fn check_fork(&self) -> Result<()> {
        let object = &self.mailbox.object;
        if self.fork == object.fork_number() {
            return Ok(());
        }
        let why = format!("an offer in mailbox {:?} belongs to the parent; make one in the child", object.address());
        Err(Error::new(ErrorKind::Forked, why))
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
        write!(f, "Offer({:?})", self.0.mailbox.name())
    }
}

/// An offer, to be waited for.
pub(crate) struct OfferSide(Arc<Laid>);

impl OfferSide {
    pub fn object(&self) -> &Object {
        &self.0.mailbox.object
    }

    pub fn bell(&self) -> &EventCount {
        &self.0.mailbox.memory.control().met.0
    }

    /// Would waiting for it end? If not, also who copies the message; a dead participant's claim is cleared.
    pub fn is_ready(&self) -> Result<(bool, Option<u32>)> {
        let suspect = Cell::new(None);
        match self.0.is_received(&suspect) {
            Err(error) if error.kind() == ErrorKind::Closed => Ok((true, None)),
            received => Ok((received? || self.0.is_taken_back(), suspect.get())),
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
    #[test]
    fn what_became_of_an_offer_stays_so() {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let mailbox = segment.mailbox("m", 0, 8).unwrap();
        // Read in place: its sender may go. Given back, as by a death: the message stays, though the offer goes.
        let offer = mailbox.try_offer(b"a").unwrap().unwrap();
        let borrowed = mailbox.try_borrow().unwrap().unwrap();
        assert!(offer.is_received().unwrap());
        borrowed.give_back();
        assert!(offer.is_received().unwrap() && !offer.withdraw().unwrap());
        drop(offer);
        let mut buffer = [0; 8];
        assert_eq!(mailbox.try_receive(&mut buffer).unwrap().map(|m| (m.size, m.redelivered)), Some((1, 1)));
        // The same where a set has told it.
        let offer = mailbox.try_offer(b"b").unwrap().unwrap();
        let mut set = WaitSet::new().unwrap();
        set.add(&offer, Interest::Send).unwrap();
        let borrowed = mailbox.try_borrow().unwrap().unwrap();
        assert_eq!(set.try_wait().unwrap().len(), 1);
        borrowed.give_back();
        assert!(set.try_wait().unwrap().len() == 1 && offer.is_received().unwrap());
        assert!(mailbox.try_receive(&mut buffer).unwrap().is_some());
        // Taken back: not received, however often one asks; the set does not sleep on it for ever.
        let offer = mailbox.try_offer(b"c").unwrap().unwrap();
        set.add(&offer, Interest::Send).unwrap();
        assert!(offer.withdraw().unwrap() && offer.withdraw().unwrap() && !offer.is_received().unwrap());
        assert_eq!(set.try_wait().unwrap().len(), 2);
        // Removed: it can be taken back.
        let offer = mailbox.try_offer(b"d").unwrap().unwrap();
        segment.remove("m").unwrap();
        assert_eq!(offer.is_received().unwrap_err().kind(), ErrorKind::Removed);
        assert!(offer.withdraw().unwrap());
    }

    #[test]
    fn a_set_waits_for_a_place_to_put_an_offer_down() {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let mailbox = segment.mailbox("m", 0, 8).unwrap();
        let (mut places, mut partners) = (WaitSet::new().unwrap(), WaitSet::new().unwrap());
        assert_eq!(places.add(&mailbox, Interest::Room(9)).unwrap_err().kind(), ErrorKind::TooLarge);
        places.add(&mailbox, Interest::Room(8)).unwrap();
        partners.add(&mailbox, Interest::Send).unwrap();
        assert!(places.try_wait().unwrap().len() == 1 && partners.try_wait().unwrap().is_empty());
        let mut offers: Vec<_> = std::iter::from_fn(|| mailbox.try_offer(b"a").unwrap()).collect();
        assert!(places.try_wait().unwrap().is_empty());
        drop(offers.remove(0));
        assert!(places.try_wait().unwrap().len() == 1 && partners.try_wait().unwrap().is_empty());
        // Where there is room for messages, it is that.
        let bounded = segment.mailbox("b", 1, 8).unwrap();
        let mut set = WaitSet::new().unwrap();
        set.add(&bounded, Interest::Room(3)).unwrap();
        assert_eq!(set.try_wait().unwrap().len(), 1);
        bounded.send(b"a").unwrap();
        assert!(set.try_wait().unwrap().is_empty());
    }
}
