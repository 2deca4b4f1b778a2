//! The server's side of a call: a request, and the answer to it.

use super::Service;
use super::cells::{Answered, Claim};
use super::memory::SHORT_MOST;
use crate::sys::memory::{copy_in, copy_out};
use crate::{Error, ErrorKind, Result};
use std::mem::ManuallyDrop;

/// A request as plain data, for bindings. Stale or forged ones are refused, never harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// Index of the cell.
    pub index: u32,
    /// Bytes of the request.
    pub size: u32,
    /// The cell's word when it was taken.
    pub word: u64,
}

/// A request that was received, to be answered with [`reply`](Request::reply), [`commit`](Request::commit) or
/// [`fail`](Request::fail). Dropping it without tells the client that it failed.
///
/// It belongs to the process that received it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct Request<'a> {
    service: &'a Service,
    claim: Claim,
    size: usize,
    /// The fork number when it was received.
    fork: u32,
}

impl Service {
    /// The request that `raw` stands for.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if this process does not serve it (any more).
    pub fn resume_request(&self, raw: RawRequest) -> Result<Request<'_>> {
        let claim = Claim { index: raw.index, word: raw.word };
        let cells = self.memory.cells();
        let is_ours = claim.server() == self.object.me()? && claim.index < self.memory.shape.calls;
        if is_ours && (cells.stands(claim) || cells.is_cancelled(claim)) {
            let most = self.memory.shape.request_size;
            return Ok(Request::new(self, claim, (raw.size as usize).min(most)));
        }
        Err(self.not_served(claim))
    }

    #[cold]
    fn not_served(&self, claim: Claim) -> Error {
        let why = format!(
            "service {:?}: this process does not serve a request in cell {}; it was answered, or belongs to another process",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::NotOwner, why)
    }
}

impl<'a> Request<'a> {
    pub(super) fn new(service: &'a Service, claim: Claim, size: usize) -> Request<'a> {
        Request { service, claim, size, fork: service.object.fork_number() }
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// First byte of the request, valid for [`size`](Request::size) bytes until it is answered or dropped.
    pub fn as_ptr(&self) -> *const u8 {
        match self.service.memory.request(self.claim.index) {
            Some((at, size)) if size >= self.size => at,
            // Somebody wrote garbage over its length: another place of at least that size, inside the cell.
            _ => self.service.memory.long_request(self.claim.index),
        }
    }

    /// Copies the request into `buffer`, which must hold as much, and returns its size.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) if it holds less.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.check_fork()?;
        let Some(target) = buffer.get_mut(..self.size) else {
            let (size, most) = (self.size, buffer.len());
            let why = format!("read: a request of {size} bytes is too large for a buffer of {most}");
            return Err(Error::new(ErrorKind::TooLarge, why));
        };
        // SAFETY: `size` bytes lie there inside the object, see `as_ptr`. Peers may store there meanwhile: it is a raw
        // copy of bytes.
        unsafe { copy_out(self.as_ptr(), target) };
        Ok(self.size)
    }

    /// A copy of the request.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut copy = vec![0; self.size];
        self.read(&mut copy)?;
        Ok(copy)
    }

    /// The pid of the client, in the pid namespace it lives in; `None` if it is gone.
    pub fn client_pid(&self) -> Option<u32> {
        self.service.object.pid_of(self.claim.client())
    }

    /// Has the client given up, or died? Then nobody waits for the answer.
    pub fn is_cancelled(&self) -> bool {
        self.service.memory.cells().is_cancelled(self.claim)
    }

    /// Answers with a copy of `response`. `false`: the client has given up, and the answer was dropped.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) for more than `response_size` bytes, and then the client is told that it failed;
    /// [`NotOwner`](ErrorKind::NotOwner) if the request has ended already.
    #[inline]
    pub fn reply(self, response: &[u8]) -> Result<bool> {
        self.check_response(response.len())?;
        self.answer(response, false)
    }

    /// First byte of room for an answer that is written in place, a multiple of 64; for `response_size` bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.service.memory.long_answer(self.claim.index)
    }

    /// Copies `bytes` to `offset` of the answer that is written in place; [`TooLarge`](ErrorKind::TooLarge) if they do not
    /// fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_fork()?;
        self.check_response(offset.saturating_add(bytes.len()))?;
        // A request that is over lies in a cell that is another's.
        let cells = self.service.memory.cells();
        if !cells.stands(self.claim) && !cells.is_cancelled(self.claim) {
            return Err(self.service.not_served(self.claim));
        }
        // SAFETY: it ends within `response_size`, the least that lies there inside the object. Peers may read and store
        // there meanwhile: it is a raw copy.
        unsafe { copy_in(self.as_mut_ptr().wrapping_add(offset), bytes) };
        Ok(())
    }

    /// Answers with the first `size` bytes that were written in place. `false`: the client has given up.
    ///
    /// # Errors
    /// As [`Request::reply`].
    pub fn commit(self, size: usize) -> Result<bool> {
        self.check_response(size)?;
        let request = self.ours()?;
        request.service.memory.set_answer(request.claim.index, size, false);
        request.end(false, false)
    }

    /// Tells the client that there is no answer, and why: it gets [`Failed`](ErrorKind::Failed) with this sentence, of
    /// which up to 256 bytes arrive. `false`: the client has given up.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if the request has ended already.
    pub fn fail(self, why: &str) -> Result<bool> {
        let end = (0..=why.len().min(256)).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
        self.answer(why.as_bytes().get(..end).unwrap_or_default(), true)
    }

    /// Keeps the request and gives it away as plain data.
    pub fn into_raw(self) -> RawRequest {
        let request = ManuallyDrop::new(self);
        RawRequest { index: request.claim.index, size: request.size as u32, word: request.claim.word }
    }

    /// Itself, not to be dropped any more, if it has not ended.
    fn ours(self) -> Result<ManuallyDrop<Request<'a>>> {
        self.check_fork()?;
        let request = ManuallyDrop::new(self);
        let cells = request.service.memory.cells();
        if cells.stands(request.claim) || cells.is_cancelled(request.claim) {
            Ok(request)
        } else {
            Err(request.service.not_served(request.claim))
        }
    }

    #[inline]
    fn answer(self, bytes: &[u8], refused: bool) -> Result<bool> {
        let request = self.ours()?;
        let (memory, index) = (&request.service.memory, request.claim.index);
        let short = memory.is_short_answer(bytes.len());
        if short {
            // By way of the stack: the answer may be made of the request that lies there.
            let mut copy = [0; SHORT_MOST];
            let copy = &mut copy[..bytes.len()];
            copy.copy_from_slice(bytes);
            // SAFETY: `SHORT_MOST` bytes lie there inside the object, and `copy` is no longer. Peers may read and store
            // there meanwhile: it is a raw copy of bytes.
            unsafe { copy_in(memory.short(index), copy) };
        } else {
            // SAFETY: `answer_room` bytes lie there inside the object: at least `response_size`, which `bytes` fits, and
            // at least the 256 of a sentence. As above.
            unsafe { copy_in(memory.long_answer(index), bytes) };
        }
        memory.set_answer(index, bytes.len(), short);
        request.end(refused, short)
    }

    #[inline]
    fn end(&self, refused: bool, short: bool) -> Result<bool> {
        match self.service.memory.cells().answer(self.claim, refused, short) {
            Answered::Given => Ok(true),
            Answered::Late => Ok(false),
            Answered::NotOurs => Err(self.service.not_served(self.claim)),
        }
    }

    #[inline]
    fn check_response(&self, size: usize) -> Result<()> {
        if size <= self.service.memory.shape.response_size {
            Ok(())
        } else {
            Err(self.service.response_too_large(size))
        }
    }

    fn check_fork(&self) -> Result<()> {
        if self.fork == self.service.object.fork_number() { Ok(()) } else { Err(ErrorKind::Forked.into()) }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.check_fork().is_ok() {
            let request = Request { ..*self };
            // An error: it had ended already, by a copy of the same plain data.
            let _ = request.fail("it let go of the request without an answer");
        }
    }
}
