//! A mailbox: a bounded queue of messages for any number of senders and receivers.

use crate::{Deadline, Result, segment::object::Object};

/// A mailbox.
#[derive(Clone)]
pub struct Mailbox { object: Object }

/// What `receive` and `peek` say about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its size in bytes.
    pub size: usize,
    /// How many receivers died with it before: 0 unless it is delivered again.
    pub redelivered: u16,
}

/// A reservation as plain data, for bindings. Stale or forged ones are refused, never harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLoan {
    /// Index of the slot.
    pub index: u32,
    /// The size that was asked for.
    pub size: u32,
    /// The slot's word at the claim.
    pub word: u64,
}

impl Mailbox {
    /// Sends a copy of `message`; waits for room for ever.
    pub fn send(&self, message: &[u8]) -> Result<()> { self.send_until(message, Deadline::never()) }
    /// Sends if there is room; `false` if it is full.
    pub fn try_send(&self, message: &[u8]) -> Result<bool> { let _ = message; todo!() }
    /// Sends; waits for room until the deadline.
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> { let _ = (message, deadline); todo!() }
    /// Receives the oldest message into `buffer`, which must hold `message_size` bytes; waits for ever.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received> { self.receive_until(buffer, Deadline::never()) }
    /// Receives if there is a message.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<Received>> { let _ = buffer; todo!() }
    /// Receives; waits until the deadline.
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> { let _ = (buffer, deadline); todo!() }
    /// Copies the oldest message without taking it; waits for one for ever.
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Received> { self.peek_until(buffer, Deadline::never()) }
    /// Copies the oldest message without taking it, if there is one.
    pub fn try_peek(&self, buffer: &mut [u8]) -> Result<Option<Received>> { let _ = buffer; todo!() }
    /// Copies without taking; waits until the deadline.
    pub fn peek_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Received> { let _ = (buffer, deadline); todo!() }
    /// Claims room for a message of up to `size` bytes, to be written in place; waits for ever.
    pub fn reserve(&self, size: usize) -> Result<Loan<'_>> { self.reserve_until(size, Deadline::never()) }
    /// Claims room if there is some.
    pub fn try_reserve(&self, size: usize) -> Result<Option<Loan<'_>>> { let _ = size; todo!() }
    /// Claims room; waits until the deadline.
    pub fn reserve_until(&self, size: usize, deadline: Deadline) -> Result<Loan<'_>> { let _ = (size, deadline); todo!() }
    /// Makes a loan of plain data again. `NotOwner` if this process does not hold that claim any more.
    pub fn resume(&self, raw: RawLoan) -> Result<Loan<'_>> { let _ = raw; todo!() }
    /// The most messages it holds.
    pub fn capacity(&self) -> usize { todo!() }
    /// The largest message in bytes.
    pub fn message_size(&self) -> usize { todo!() }
    /// Messages in it at this moment.
    pub fn len(&self) -> usize { todo!() }
    /// Is it empty at this moment?
    pub fn is_empty(&self) -> bool { self.len() == 0 }
    /// Claims of dead senders that were given back so far.
    pub fn voided(&self) -> u64 { todo!() }
    /// Its name.
    pub fn name(&self) -> &str { self.object.name() }
}

/// Claimed room in a mailbox. Dropping it cancels: receivers skip the place.
pub struct Loan<'a> { #[allow(dead_code)] mailbox: &'a Mailbox, raw: RawLoan }

impl Loan<'_> {
    /// First byte of the room. Valid until commit, cancel or drop.
    pub fn as_mut_ptr(&mut self) -> *mut u8 { todo!() }
    /// The size that was asked for.
    pub fn size(&self) -> usize { self.raw.size as usize }
    /// Copies `bytes` to `offset`; `TooLarge` if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> { let _ = (offset, bytes); todo!() }
    /// Sends the first `size` bytes.
    pub fn commit(self, size: usize) -> Result<()> { let _ = size; todo!() }
    /// Gives the room back.
    pub fn cancel(self) {}
    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawLoan { self.raw }
}
