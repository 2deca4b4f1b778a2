//! A value that is written in place: room for it, which becomes the latest value or is given back.

use super::RawCell;
use super::words::Claim;
use crate::sys::memory::copy_in;
use crate::{Deadline, Error, ErrorKind, Result};
use std::mem::ManuallyDrop;

/// Room for a value as plain data, for bindings. Stale or forged ones are refused, never harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawStoreGrant {
    /// Index of the buffer.
    pub index: u32,
    /// The buffer's word since the claim.
    pub word: u64,
}

/// Room for the next value of a cell, to be written in place. Dropping it gives it back: then nothing was stored.
///
/// It begins with the bytes of some older value, so write all of it. As long as it is out it counts as a writer in the
/// middle of a store. It belongs to the process that reserved it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct StoreGrant<'a> {
    cell: &'a RawCell,
    claim: Claim,
    /// The fork number at the claim.
    fork: u32,
}

impl RawCell {
    /// Claims room for the next value; waits for it as [`RawCell::store`] does.
    ///
    /// # Errors
    /// `Removed` if the cell is removed while this waits; `Corrupt`.
    pub fn reserve(&self) -> Result<StoreGrant<'_>> {
        self.reserve_until(Deadline::never())
    }

    /// As [`RawCell::reserve`]; `None` if it would have to wait.
    pub fn try_reserve(&self) -> Result<Option<StoreGrant<'_>>> {
        Ok(self.claim(self.object.me()?)?.0.map(|claim| self.granted(claim)))
    }

    /// As [`RawCell::reserve`]; waits until the deadline.
    ///
    /// # Errors
    /// As there; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn reserve_until(&self, deadline: Deadline) -> Result<StoreGrant<'_>> {
        let me = self.object.me()?;
        let claim = match self.claim(me)?.0 {
            Some(claim) => claim,
            None => self.claim_contended(me, deadline)?,
        };
        Ok(self.granted(claim))
    }

    /// The room that `raw` stands for.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if this process does not hold it (any more).
    pub fn resume_store(&self, raw: RawStoreGrant) -> Result<StoreGrant<'_>> {
        let me = self.object.me()?;
        let words = self.memory.words();
        match words.standing(raw.index, raw.word, me) {
            Some(claim) => Ok(self.granted(claim)),
            None => Err(self.not_reserved(raw.index)),
        }
    }

    fn granted(&self, claim: Claim) -> StoreGrant<'_> {
        StoreGrant { cell: self, claim, fork: self.object.fork_number() }
    }

    #[cold]
    fn not_reserved(&self, index: u32) -> Error {
        let why = format!(
            "cell {:?}: this process has not reserved buffer {index}; it was committed or given back, or belongs to another",
            self.address()
        );
        Error::new(ErrorKind::NotOwner, why)
    }
}

impl StoreGrant<'_> {
    /// First byte of the room, a multiple of 16. Valid until commit or drop; for [`size`](StoreGrant::size) bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.cell.memory.value(self.claim.index)
    }

    /// The cell's size.
    pub fn size(&self) -> usize {
        self.cell.size()
    }

    /// Copies `bytes` to `offset`; [`TooLarge`](ErrorKind::TooLarge) if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_fork()?;
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.size() => {
                // SAFETY: `end` is within the bytes of a value, which lie there inside the object. Peers may read and
                // store there meanwhile: it is a raw copy.
                unsafe { copy_in(self.as_mut_ptr().wrapping_add(offset), bytes) };
                Ok(())
            }
            _ => {
                let (len, size) = (bytes.len(), self.size());
                let why = format!("write: {len} bytes at {offset} are too large for a value of {size} bytes");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
        }
    }

    /// Makes what was written the latest value; returns its number.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if the room has ended already.
    pub fn commit(self) -> Result<u64> {
        self.check_fork()?;
        let grant = ManuallyDrop::new(self);
        let (cell, Claim { index, .. }) = (grant.cell, grant.claim);
        let words = cell.memory.words();
        if !words.stands(grant.claim) {
            return Err(cell.not_reserved(index));
        }
        words.publish(grant.claim).map_err(|fault| cell.corrupt(fault))
    }

    /// Gives the room back.
    pub fn cancel(self) {}

    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawStoreGrant {
        let grant = ManuallyDrop::new(self);
        RawStoreGrant { index: grant.claim.index, word: grant.claim.word }
    }

    fn check_fork(&self) -> Result<()> {
        if self.fork == self.cell.object.fork_number() { Ok(()) } else { Err(ErrorKind::Forked.into()) }
    }
}

impl Drop for StoreGrant<'_> {
    fn drop(&mut self) {
        if self.check_fork().is_ok() {
            self.cell.memory.words().release(self.claim);
        }
    }
}
