//! A place on loan: room to be written in place and sent, a message to be read in place and released.

use super::memory::{Mode, with_queue};
use super::options::{Envelope, Select};
use super::queue::{Ask, Claim, Queue};
use super::{Mailbox, Received};
use crate::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{copy_in, copy_out};
use std::mem::ManuallyDrop;

/// A loan as plain data, for bindings: room that was reserved, or a message that was borrowed. Stale or forged ones are
/// refused. Of two loans made of the same data at a time only the first to end does so, and what is written through the
/// other one afterwards lands in a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLoan {
    /// Index of the place.
    pub index: u32,
    /// The size that was asked for, or that the message has.
    pub size: u32,
    /// The place's word at the claim.
    pub word: u64,
}

impl Mailbox {
    /// Claims room for a message of up to `size` bytes, to be written in place; waits for ever.
    ///
    /// First in, first out holds for claims: until the loan ends, receivers wait at its place, and what others send
    /// meanwhile comes after it. With [`Order::Priority`](crate::Order) a message has its age from the commit, and
    /// nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`send`](Mailbox::send); [`Invalid`](ErrorKind::Invalid) at a rendezvous, which has no room.
    #[inline]
    pub fn reserve(&self, size: usize) -> Result<Loan<'_>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Claims room if there is some.
    #[inline]
    pub fn try_reserve(&self, size: usize) -> Result<Option<Loan<'_>>> {
        self.check_loan(size)?;
        Ok(self.try_room(self.object.me()?)?.map(|claim| self.loan(claim, size)))
    }

    /// Claims room; waits until the deadline.
    #[inline]
    pub fn reserve_until(&self, size: usize, deadline: Deadline) -> Result<Loan<'_>> {
        self.check_loan(size)?;
        Ok(self.loan(self.room(deadline)?, size))
    }

    fn check_loan(&self, size: usize) -> Result<()> {
        self.check_size("reserve", size)?;
        if self.memory.mode == Mode::Rendezvous { Err(self.no_loans()) } else { Ok(()) }
    }

    /// Makes a loan of plain data again. [`NotOwner`](ErrorKind::NotOwner) if this process does not hold that
    /// claim any more, or never did.
    pub fn resume(&self, raw: RawLoan) -> Result<Loan<'_>> {
        let (me, claim) = (self.object.me()?, raw.claim());
        let ours = with_queue!(self.memory, queue => queue.is_loan(claim, me) && queue.stands(claim));
        if ours && raw.size as usize <= self.memory.message_size {
            return Ok(self.loan(claim, raw.size as usize));
        }
        Err(self.not_ours(claim))
    }

    #[inline]
    fn loan(&self, claim: Claim, size: usize) -> Loan<'_> {
        Loan { mailbox: self, raw: RawLoan::of(claim, size), fork: self.object.fork_number() }
    }

    /// Takes the first message, to be read in place; waits for ever. It is gone with
    /// [`release`](Borrowed::release); a borrowed message that is dropped instead, or whose reader dies, is delivered
    /// again.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Mailbox::receive).
    pub fn borrow(&self) -> Result<Borrowed<'_>> {
        self.borrow_selected_until(Select::Any, Deadline::never())
    }

    /// Takes the first message, if there is one, to be read in place.
    pub fn try_borrow(&self) -> Result<Option<Borrowed<'_>>> {
        self.try_borrow_selected(Select::Any)
    }

    /// Takes the first message, to be read in place; waits until the deadline.
    pub fn borrow_until(&self, deadline: Deadline) -> Result<Borrowed<'_>> {
        self.borrow_selected_until(Select::Any, deadline)
    }

    /// Takes the first message that `select` asks for, to be read in place; waits for ever.
    pub fn borrow_selected(&self, select: Select) -> Result<Borrowed<'_>> {
        self.borrow_selected_until(select, Deadline::never())
    }

    /// Takes the first message that `select` asks for, if there is one, to be read in place.
    pub fn try_borrow_selected(&self, select: Select) -> Result<Option<Borrowed<'_>>> {
        self.check_select(select)?;
        match self.try_message(&Ask { select, ..Ask::default() })? {
            Some(claim) => self.borrowed(claim),
            None => Ok(None),
        }
    }

    /// Takes the first message that `select` asks for, to be read in place; waits until the deadline.
    pub fn borrow_selected_until(&self, select: Select, deadline: Deadline) -> Result<Borrowed<'_>> {
        self.check_select(select)?;
        loop {
            let claim = self.message(&Ask { select, ..Ask::default() }, deadline)?;
            if let Some(borrowed) = self.borrowed(claim)? {
                return Ok(borrowed);
            }
        }
    }

    /// `None`, at a rendezvous only: its sender has taken the message back.
    fn borrowed(&self, claim: Claim) -> Result<Option<Borrowed<'_>>> {
        let Some(claim) = with_queue!(self.memory, queue => queue.hold(claim)) else { return Ok(None) };
        let Some(size) = self.memory.len(claim.index) else {
            // False: robbed as well; garbage is garbage.
            let _ = with_queue!(self.memory, queue => queue.release(claim));
            return Err(self.bad_length(claim));
        };
        let received = self.said(claim, size);
        Ok(Some(Borrowed { mailbox: self, raw: RawLoan::of(claim, size), received, fork: self.object.fork_number() }))
    }

    /// Makes a borrowed message of plain data again. [`NotOwner`](ErrorKind::NotOwner) if this process does not hold
    /// that claim any more, or never did.
    pub fn resume_borrowed(&self, raw: RawLoan) -> Result<Borrowed<'_>> {
        let (me, claim) = (self.object.me()?, raw.claim());
        let ours = with_queue!(self.memory, queue => queue.is_borrow(claim, me) && queue.stands(claim));
        if !ours || raw.size as usize > self.memory.message_size {
            return Err(self.not_ours(claim));
        }
        let received = self.said(claim, raw.size as usize);
        Ok(Borrowed { mailbox: self, raw, received, fork: self.object.fork_number() })
    }
}

impl RawLoan {
    fn of(claim: Claim, size: usize) -> RawLoan {
        RawLoan { index: claim.index, size: size as u32, word: claim.word }
    }

    fn claim(self) -> Claim {
        Claim { index: self.index, word: self.word }
    }
}

/// Claimed room in a mailbox. Dropping it cancels: receivers skip its place.
///
/// It belongs to the process that reserved it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct Loan<'a> {
    pub(super) mailbox: &'a Mailbox,
    pub(super) raw: RawLoan,
    /// The fork number at the claim.
    pub(super) fork: u32,
}

impl Loan<'_> {
    /// First byte of the room. Valid until commit, cancel or drop; for [`size`](Loan::size) bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.mailbox.memory.payload(self.raw.index)
    }

    /// The size that was asked for.
    pub fn size(&self) -> usize {
        self.raw.size as usize
    }

    /// Copies `bytes` to `offset`; [`TooLarge`](ErrorKind::TooLarge) if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_fork()?;
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.size() => {
                // SAFETY: `end` is within the size that was asked for, which is at most `message_size`, the bytes
                // a payload has inside the object. Peers may read and store there meanwhile: it is a raw copy.
                unsafe { copy_in(self.as_mut_ptr().wrapping_add(offset), bytes) };
                Ok(())
            }
            _ => {
                let (len, size) = (bytes.len(), self.size());
                let why = format!("write: {len} bytes at {offset} are too large for a reservation of {size} bytes");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
        }
    }

    /// Sends the first `size` bytes. [`TooLarge`](ErrorKind::TooLarge) if fewer were asked for, and
    /// [`NotOwner`](ErrorKind::NotOwner) if the claim has ended already; then nothing is sent and the room is
    /// given back.
    pub fn commit(self, size: usize) -> Result<()> {
        self.commit_with(size, Envelope::default())
    }

    /// Sends the first `size` bytes with this envelope. As [`commit`](Loan::commit); [`Invalid`](ErrorKind::Invalid)
    /// for an envelope that [`send_with`](Mailbox::send_with) would refuse.
    pub fn commit_with(self, size: usize, envelope: Envelope) -> Result<()> {
        self.check_fork()?;
        self.mailbox.check_envelope(envelope)?;
        if size > self.size() {
            let why = format!("commit: {size} bytes are too large for a reservation of {} bytes", self.size());
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        let loan = ManuallyDrop::new(self);
        // The length is stored only while the claim stands: after a stale loan it is another's.
        let claim = loan.raw.claim();
        let stands = with_queue!(loan.mailbox.memory, queue => queue.stands(claim));
        if stands && loan.mailbox.post(claim, size, envelope) { Ok(()) } else { Err(loan.mailbox.not_ours(claim)) }
    }

    /// Gives the room back.
    pub fn cancel(self) {}

    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawLoan {
        ManuallyDrop::new(self).raw
    }

    fn is_forked(&self) -> bool {
        self.fork != self.mailbox.object.fork_number()
    }

    fn check_fork(&self) -> Result<()> {
        if self.is_forked() { Err(ErrorKind::Forked.into()) } else { Ok(()) }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if !self.is_forked() {
            // False: it had ended already, by a copy of the same plain data.
            let _ = with_queue!(self.mailbox.memory, queue => queue.cancel(self.raw.claim()));
        }
    }
}

/// A message that is read in place. [`release`](Borrowed::release) says that it is done with; dropping it gives it back,
/// and the next receiver gets it, counted as delivered once more.
///
/// While it is held, senders of a bounded mailbox have one place less; where order is first in, first out they wait at
/// its place when they come round. It belongs to the process that took it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct Borrowed<'a> {
    mailbox: &'a Mailbox,
    raw: RawLoan,
    received: Received,
    /// The fork number at the claim.
    fork: u32,
}

impl Borrowed<'_> {
    /// First byte of the message. Valid until release, give_back or drop; for [`size`](Borrowed::size) bytes. The
    /// memory is shared: a peer that misbehaves may change it at any time.
    pub fn as_ptr(&self) -> *const u8 {
        self.mailbox.memory.payload(self.raw.index)
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.raw.size as usize
    }

    /// What there is to say about it.
    pub fn received(&self) -> Received {
        self.received
    }

    /// Copies bytes from `offset` on, as many as `buffer` has; [`TooLarge`](ErrorKind::TooLarge) if there are fewer.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        self.check_fork()?;
        match offset.checked_add(buffer.len()) {
            Some(end) if end <= self.size() => {
                // SAFETY: `end` is within the size of the message, which is at most `message_size`, the bytes a payload
                // has inside the object. Peers may store there meanwhile: it is a raw copy.
                unsafe { copy_out(self.as_ptr().wrapping_add(offset), buffer) };
                Ok(())
            }
            _ => {
                let (len, size) = (buffer.len(), self.size());
                let why = format!("read: {len} bytes at {offset} are more than the message has, which is {size}");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
        }
    }

    /// A copy of it.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut copy = vec![0; self.size()];
        self.read(0, &mut copy)?;
        Ok(copy)
    }

    /// It is done with: gives the place to senders. [`NotOwner`](ErrorKind::NotOwner) if the claim has ended already.
    pub fn release(self) -> Result<()> {
        self.check_fork()?;
        let lent = ManuallyDrop::new(self);
        let claim = lent.raw.claim();
        let ours = with_queue!(lent.mailbox.memory, queue => queue.release(claim));
        if ours { Ok(()) } else { Err(lent.mailbox.not_ours(claim)) }
    }

    /// It is not done with: the next receiver gets it, as after a death.
    pub fn give_back(self) {}

    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawLoan {
        ManuallyDrop::new(self).raw
    }

    fn is_forked(&self) -> bool {
        self.fork != self.mailbox.object.fork_number()
    }

    fn check_fork(&self) -> Result<()> {
        if self.is_forked() { Err(ErrorKind::Forked.into()) } else { Ok(()) }
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if !self.is_forked() {
            // False: it had ended already, by a copy of the same plain data.
            let _ = with_queue!(self.mailbox.memory, queue => queue.give_back(self.raw.claim()));
        }
    }
}
