//! The client's side of a call: room for a request, the call while it is out, its answer.

use super::cells::{Claim, Standing};
use super::memory::SHORT_MOST;
use super::{Patience, Service};
use crate::prim::{Ordering::Relaxed, Woken};
use crate::segment::WaitMode;
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, Bell, ParkWord, World};
use crate::{Deadline, Error, ErrorKind, Result};
use std::cell::Cell;
use std::mem::ManuallyDrop;

/// A call or its room as plain data, for bindings. Stale or forged ones are refused, never harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCall {
    /// Index of the cell.
    pub index: u32,
    /// Room: the size that was asked for. Otherwise 0.
    pub size: u32,
    /// The cell's word at the claim, or when the request was sent.
    pub word: u64,
}

/// Claimed room for a request. Dropping it gives it back.
///
/// It belongs to the process that reserved it: in a forked child every call says
/// [`Forked`](ErrorKind::Forked), and dropping it there changes nothing.
#[must_use]
pub struct CallRoom<'a> {
    service: &'a Service,
    claim: Claim,
    size: usize,
    /// The fork number at the claim.
    fork: u32,
}

/// A request that was sent. Dropping it gives the call up, wherever it stands; a late answer is dropped.
///
/// A [`WaitSet`](crate::WaitSet) can wait for its answer, among other things: take it out of the set before it ends.
///
/// It belongs to the process that sent it, as a [`CallRoom`] does.
#[must_use]
pub struct Call<'a> {
    pub(super) service: &'a Service,
    /// The word with which the request was sent.
    pub(super) call: Claim,
    fork: u32,
}

impl Service {
    /// Writes the request, which fits, into the cell and sends it.
    #[inline]
    pub(super) fn ask(&self, claim: Claim, request: &[u8]) -> Result<Call<'_>> {
        let long = request.len() > SHORT_MOST;
        let to = if long { self.memory.long_request(claim.index) } else { self.memory.short(claim.index) };
        // SAFETY: `SHORT_MOST`, or else `request_size` bytes lie there inside the object, and `request` is no longer:
        // `check_request`. Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(to, request) };
        self.memory.set_request(claim.index, request.len(), long);
        self.last_call.store(claim.index, Relaxed); // Relaxed: a hint.
        self.send(claim, false)
    }

    #[inline]
    fn send(&self, claim: Claim, anew: bool) -> Result<Call<'_>> {
        match self.memory.cells().publish(claim, anew) {
            Some(call) => Ok(Call { service: self, call, fork: self.object.fork_number() }),
            None => Err(self.not_ours(claim)),
        }
    }

    /// The room that `raw` stands for. Whatever is in it, it is checked when it is used.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if this process does not hold that room (any more).
    pub fn resume_room(&self, raw: RawCall) -> Result<CallRoom<'_>> {
        let claim = Claim { index: raw.index, word: raw.word };
        let fits = raw.size as usize <= self.memory.shape.request_size;
        let cells = self.memory.cells();
        let is_ours = fits && claim.client() == self.object.me()? && cells.stands(claim);
        if is_ours && cells.look(claim).map_err(|garbage| self.corrupt(garbage))? == Standing::Building {
            return Ok(CallRoom::new(self, claim, raw.size as usize));
        }
        Err(self.not_ours(claim))
    }

    /// The call that `raw` stands for.
    ///
    /// # Errors
    /// [`NotOwner`](ErrorKind::NotOwner) if this process has no such call (any more).
    pub fn resume_call(&self, raw: RawCall) -> Result<Call<'_>> {
        let call = Claim { index: raw.index, word: raw.word };
        let is_ours = call.client() == self.object.me()? && call.index < self.memory.shape.calls;
        if is_ours && self.memory.cells().look(call).map_err(|garbage| self.corrupt(garbage))? != Standing::Over {
            return Ok(Call { service: self, call, fork: self.object.fork_number() });
        }
        Err(self.not_ours(call))
    }

    #[cold]
    pub(super) fn not_ours(&self, claim: Claim) -> Error {
        let why = format!(
            "service {:?}: this process has no such call in cell {}; it has ended, or belongs to another process",
            self.object.address(),
            claim.index
        );
        Error::new(ErrorKind::NotOwner, why)
    }
}

impl<'a> CallRoom<'a> {
    pub(super) fn new(service: &'a Service, claim: Claim, size: usize) -> CallRoom<'a> {
        service.last_call.store(claim.index, Relaxed); // Relaxed: a hint.
        CallRoom { service, claim, size, fork: service.object.fork_number() }
    }

    /// First byte of the room, a multiple of 64. Valid until send or drop; for [`size`](CallRoom::size) bytes.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.service.memory.long_request(self.claim.index)
    }

    /// The size that was asked for.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Copies `bytes` to `offset`; [`TooLarge`](ErrorKind::TooLarge) if they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check_fork()?;
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.size => {
                // SAFETY: `end` is within the size that was asked for, which is at most `request_size`, the bytes
                // that lie there inside the object. Peers may read and store there meanwhile: it is a raw copy.
                unsafe { copy_in(self.as_mut_ptr().wrapping_add(offset), bytes) };
                Ok(())
            }
            _ => {
                let (len, size) = (bytes.len(), self.size);
                let why = format!("write: {len} bytes at {offset} are too large for room of {size} bytes");
                Err(Error::new(ErrorKind::TooLarge, why))
            }
        }
    }

    /// Sends the first `size` bytes as a request. [`TooLarge`](ErrorKind::TooLarge) if fewer were asked for, and
    /// [`NotOwner`](ErrorKind::NotOwner) if the claim has ended already; then nothing is sent and the room is given back.
    pub fn send(self, size: usize) -> Result<Call<'a>> {
        self.check_fork()?;
        if size > self.size {
            let why = format!("send: {size} bytes are too large for room of {} bytes", self.size);
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        let room = ManuallyDrop::new(self);
        // The length is stored only while the claim stands: after a stale one it is another's.
        if !room.service.memory.cells().stands(room.claim) {
            return Err(room.service.not_ours(room.claim));
        }
        room.service.memory.set_request(room.claim.index, size, true);
        room.service.send(room.claim, true)
    }

    /// Gives the room back.
    pub fn cancel(self) {}

    /// Keeps the claim and gives it away as plain data.
    pub fn into_raw(self) -> RawCall {
        let room = ManuallyDrop::new(self);
        RawCall { index: room.claim.index, size: room.size as u32, word: room.claim.word }
    }

    fn check_fork(&self) -> Result<()> {
        if self.fork == self.service.object.fork_number() { Ok(()) } else { Err(ErrorKind::Forked.into()) }
    }
}

impl Drop for CallRoom<'_> {
    fn drop(&mut self) {
        if self.check_fork().is_ok() {
            // False: it had ended already, by a copy of the same plain data.
            let _ = self.service.memory.cells().withdraw(self.claim);
        }
    }
}

impl<'a> Call<'a> {
    /// Waits for the answer for ever.
    ///
    /// # Errors
    /// As those of [`Service::call`] about the answer. After any but `Timeout` and `Interrupted` the call is over.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// Is the answer there?
    ///
    /// # Errors
    /// As [`Call::wait`].
    pub fn try_wait(&self) -> Result<bool> {
        self.check_fork()?;
        let done = self.look(&self.service.patience, &Cell::new(None))?.is_some();
        if !done {
            self.service.object.still_there()?;
        }
        Ok(done)
    }

    /// Waits for the answer until the deadline. After a `Timeout` one may wait again; dropping the call gives it up.
    #[inline]
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> {
        self.check_fork()?;
        let service = self.service;
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        wait::until(
            &service.object.waiting(WaitMode::Call, 0),
            &Parked(service.memory.park(self.call.index)),
            &service.spin_answer,
            deadline,
            || suspect.get(),
            || self.look(&patience, &suspect),
        )
    }

    /// Size of the answer in bytes; `None` while there is none.
    pub fn size(&self) -> Option<usize> {
        self.answer().map(|(_, size)| size)
    }

    /// First byte of the answer, valid for [`size`](Call::size) bytes until the call is dropped; `None` while there is
    /// none.
    pub fn as_ptr(&self) -> Option<*const u8> {
        self.answer().map(|(at, _)| at.cast_const())
    }

    /// Copies the answer into `response`, which must hold as much, and returns its size.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) if it holds less; [`WouldBlock`](ErrorKind::WouldBlock) while there is no answer.
    pub fn read(&self, response: &mut [u8]) -> Result<usize> {
        self.check_fork()?;
        let (at, size) = self.answer().ok_or(ErrorKind::WouldBlock)?;
        let Some(target) = response.get_mut(..size) else {
            let why = format!("read: an answer of {size} bytes is too large for a buffer of {}", response.len());
            return Err(Error::new(ErrorKind::TooLarge, why));
        };
        // SAFETY: `size` bytes lie there inside the object: `Memory::answer` checked that. Peers may store there
        // meanwhile: it is a raw copy of bytes.
        unsafe { copy_out(at, target) };
        Ok(size)
    }

    /// Keeps the call and gives it away as plain data.
    pub fn into_raw(self) -> RawCall {
        let call = ManuallyDrop::new(self).call;
        RawCall { index: call.index, size: 0, word: call.word }
    }

    /// Reads the answer and ends the call, which was never plain data.
    #[inline]
    pub(super) fn finish(self, response: &mut [u8]) -> Result<usize> {
        let size = self.read(response);
        let call = ManuallyDrop::new(self);
        call.service.memory.cells().let_go(call.call);
        size
    }

    fn answer(&self) -> Option<(*mut u8, usize)> {
        match self.service.memory.cells().look(self.call) {
            Ok(Standing::Done { short }) => self.service.memory.answer(self.call.index, short),
            _ => None,
        }
    }

    /// One look. `Some`: there is an answer. What else ends the call is an error.
    #[inline]
    fn look(&self, patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<()>> {
        let service = self.service;
        suspect.set(None);
        // Once more if a dead server's claim could be cleared.
        for _ in 0..2 {
            let standing = service.memory.cells().look(self.call).map_err(|garbage| service.corrupt(garbage))?;
            match standing {
                Standing::Done { short } => match service.memory.answer(self.call.index, short) {
                    Some(_) => return Ok(Some(())),
                    None => return Err(self.bad_answer()),
                },
                Standing::Served(server) if !service.object.is_seat(server) => return Err(self.bad_server(server)),
                Standing::Served(server) => {
                    suspect.set(Some(server));
                    if !(patience.is_over() && service.object.is_dead(server) && service.repair(server)) {
                        return Ok(None);
                    }
                }
                Standing::Waiting if !service.object.is_shut_down() => return Ok(None),
                Standing::Waiting | Standing::Building | Standing::Refused { .. } | Standing::Died | Standing::Over => {
                    return self.ended(standing);
                }
            }
        }
        Ok(None)
    }

    /// A call that ends without an answer.
    #[cold]
    fn ended(&self, standing: Standing) -> Result<Option<()>> {
        let service = self.service;
        let address = service.object.address();
        Err(match standing {
            Standing::Refused { short } => {
                let mut text = [0; 256];
                let said = service.memory.answer(self.call.index, short).map_or(0, |(at, size)| {
                    let size = size.min(text.len());
                    // SAFETY: as in `read`; `size` is no larger than both.
                    unsafe { copy_out(at, &mut text[..size]) };
                    size
                });
                let said = String::from_utf8_lossy(&text[..said]);
                Error::new(ErrorKind::Failed, format!("service {address:?}: the server could not answer: {said}"))
            }
            Standing::Died => Error::new(
                ErrorKind::PeerDead,
                format!("service {address:?}: the server died over this request, which may have been served in part"),
            ),
            // Nobody has begun, and who takes it back can say so. If a server is faster, it is served.
            Standing::Waiting if service.memory.cells().withdraw_unserved(self.call) => service.closed(),
            Standing::Waiting => return Ok(None),
            _ => service.not_ours(self.call),
        })
    }

    #[cold]
    fn bad_server(&self, server: u32) -> Error {
        let why = format!(
            "service {:?}: slot {server} serves the call in cell {}, which no process can have: the segment holds garbage; \
             remove it and create it anew",
            self.service.object.address(),
            self.call.index
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    #[cold]
    fn bad_answer(&self) -> Error {
        let why = format!(
            "service {:?}: the answer in cell {} says that it is longer than the {} bytes there are",
            self.service.object.address(),
            self.call.index,
            self.service.memory.shape.response_size
        );
        Error::new(ErrorKind::Corrupt, why)
    }

    pub(super) fn check_fork(&self) -> Result<()> {
        if self.fork == self.service.object.fork_number() { Ok(()) } else { Err(ErrorKind::Forked.into()) }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.check_fork().is_ok() {
            // False: it had ended already.
            let _ = self.service.memory.cells().withdraw(self.call);
        }
    }
}

/// Where one client waits for its answer. Who answers fences, so there is no need to look again before the sleep.
struct Parked<'a>(&'a ParkWord);

impl Bell for Parked<'_> {
    fn prepare(&self) -> u32 {
        self.0.prepare()
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.0.sleep(key, at_ns)
    }

    fn done(&self) {
        self.0.done();
    }
}
