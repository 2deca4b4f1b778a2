//! A service: clients ask, servers answer; any number of both, in threads and processes.
//!
//! # State
//!
//! | bytes               | what                                                                          |
//! |---------------------|-------------------------------------------------------------------------------|
//! | 0–383               | control: the stamps, two eventcounts, who serves, two counters, see `cells.rs`  |
//! | 384 + `stride` · i  | cell i: word, lengths, request and answer, see `memory.rs`                      |
//!
//! Geometry: calls, request size, response size, idempotent, stride. It is read once, checked against the memory that
//! is really there, and never read again. All zero bytes are a service that nobody has called.
//!
//! # Waiting
//!
//! Servers sleep on one eventcount; each request wakes one of them. A client sleeps on its own cell, so that an answer
//! wakes nobody else. Clients that find every cell taken sleep on another eventcount; each cell that is freed wakes one.
//! That wake can be spent on somebody who cannot use it, so whoever waited and got through wakes the next one if
//! there is more.
//!
//! # When a peer dies
//!
//! Row by row in `cells.rs`. A client asks whether its server is alive at the end of each slice and at most once per
//! millisecond; one that finds every cell taken asks for the clients in them. The sweep does the rest.
//!
//! # Cost
//!
//! Two moves of a cache line where both sides spin and request and answer have at most 48 bytes. A server looks at
//! every cell when the next request is not where the last one was: hence the limit of 1024 calls.

mod call;
mod cells;
#[cfg(all(test, shuttle))]
mod deaths;
mod memory;
mod options;
mod ready;
mod request;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(any(loom, shuttle))))]
mod ready_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod states;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use call::{Call, CallRoom, RawCall};
pub use options::ServiceOptions;
pub use ready::CallSide;
pub use request::{RawRequest, Request};

use crate::deadline::now_ns;
use crate::prim::Ordering::Relaxed;
use crate::prim::{AtomicU64, Woken};
use crate::segment::object::{Holds, Kind, Object};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{self, Bell, EventCount, Spin, World};
use crate::{Deadline, Error, ErrorKind, Result};
use cells::{Claim, Garbage, MOST_CALLS, State, Trail};
use memory::{Memory, Shape, corrupt};
use std::cell::Cell;
// Process-private.
use std::sync::atomic::AtomicU32 as PrivateU32;

/// How long somebody may be in the way before it is asked for, and how often.
const PATIENCE_NS: u64 = 1_000_000;
/// And the first time: longer than one spins, so that nobody asks who need not sleep.
const FIRST_PATIENCE_NS: u64 = 60_000;
/// How long a client that has registered for a free cell goes on looking: who frees one does not fence.
const RECHECK_NS: u64 = 10_000;
/// A server that spins looks at every cell so seldom, and in between where it expects the next request.
const ALL_CELLS_EVERY: u32 = 8;

/// A service: requests of up to `request_size` bytes, each answered with up to `response_size` bytes, from any number
/// of clients to any number of servers, in threads and processes. The oldest request is served first.
///
/// A request is served at most once, unless the service was made [`idempotent`](ServiceOptions::idempotent). If the
/// server dies over it, or lets go of it without an answer, the client is told.
///
/// A clone is another handle on the same service. Handles stay good in a forked child; calls and requests do not.
///
/// # Examples
/// ```
/// # let segment = triveni::Segment::anonymous(1 << 20)?;
/// let service = segment.service("double", 8, 8)?;
/// let server = service.clone();
/// std::thread::spawn(move || server.serve(|request, answer| {
///     answer.extend(request.iter().map(|byte| 2 * byte));
///     Ok(())
/// }));
/// let mut answer = [0; 8];
/// assert_eq!(service.call(&[3, 4], &mut answer)?, 2);
/// assert_eq!(answer[..2], [6, 8]);
/// service.shutdown();
/// # Ok::<(), triveni::Error>(())
/// ```
pub struct Service {
    object: Object,
    memory: Memory,
    /// How long servers, clients, and clients without a cell spin through this handle before they sleep.
    spin_request: Spin,
    spin_answer: Spin,
    spin_room: Spin,
    /// The cell of the last call through this handle: its line is likely still ours.
    last_call: PrivateU32,
    trail: Trail,
    /// The fork number under which a request was asked for through this handle; 0: never.
    serves: PrivateU32,
    /// For the `try_` forms; a wait has its own.
    patience: Patience,
}

/// The handle on an object that is a service by its header.
fn attach(object: Object) -> Result<Service> {
    let memory =
        Memory::of(object.view()).map_err(|e| Error::new(e.kind(), format!("service {:?}: {e}", object.address())))?;
    Ok(Service::over(object, memory))
}

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Service,
    repair: |view, slot| {
        if let Ok(memory) = Memory::of(view) {
            memory.cells().repair(slot);
        }
    },
    ring: |view| {
        if let Ok(memory) = Memory::of(view) {
            memory.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let memory = Memory::of(view)?;
        let Shape { calls, request_size, response_size, idempotent } = memory.shape;
        let (mut waiting, mut serving) = (0, 0);
        for state in memory.cells().states() {
            match state.map_err(|garbage| corrupt("service", garbage))? {
                State::Request { .. } => waiting += 1,
                State::Serving { .. } | State::Cancelled { .. } => serving += 1,
                _ => {}
            }
        }
        // Relaxed: numbers to be shown.
        let tally = &memory.control().tally.0;
        Ok(ObjectState::Service {
            calls: calls as usize,
            request_size,
            response_size,
            idempotent,
            waiting,
            serving,
            servers: servers(&memory, |slot| view.is_attached(slot)),
            died: tally.died.load(Relaxed),
            requeued: tally.requeued.load(Relaxed),
            shut_down: view.is_shut_down(),
        })
    },
};

/// The participants that serve: those that have asked for a request and have it open still.
fn servers(memory: &Memory, is_attached: impl Fn(u32) -> bool) -> Vec<u32> {
    let seats = memory.control().seats.0.iter().zip(0u32..);
    // Relaxed: numbers to be shown.
    let slots = seats.flat_map(|(word, i)| {
        let bits = word.load(Relaxed);
        (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| 64 * i + bit + 1)
    });
    slots.filter(|slot| is_attached(*slot)).collect()
}

impl Clone for Service {
    fn clone(&self) -> Service {
        Service::over(self.object.clone(), self.memory)
    }
}

impl Service {
    fn over(object: Object, memory: Memory) -> Service {
        // Each handle begins at another cell.
        static HANDLES: PrivateU32 = PrivateU32::new(0);
        let first = object.me().unwrap_or(0).wrapping_add(HANDLES.fetch_add(1, Relaxed));
        Service {
            object,
            memory,
            spin_request: Spin::default(),
            spin_answer: Spin::default(),
            spin_room: Spin::default(),
            last_call: PrivateU32::new(first),
            trail: Trail::default(),
            serves: PrivateU32::new(0),
            patience: Patience::from_now(),
        }
    }

    /// Asks for the request `request`, waits for the answer, copies it into `response`, which must hold
    /// `response_size` bytes, and returns its size.
    ///
    /// # Blocking
    ///
    /// Waits for a free cell and for the answer, for ever. Where nobody serves it goes on waiting:
    /// [`Service::servers`] says how many there are. To have a time limit, use [`Service::call_until`].
    ///
    /// # Errors
    ///
    /// [`PeerDead`](ErrorKind::PeerDead) if the server died over this request, which may have been served in part;
    /// [`Failed`](ErrorKind::Failed) if the server said so or let go of it without an answer;
    /// [`Closed`](ErrorKind::Closed) if the service was shut down, and then the request was not served;
    /// [`TooLarge`](ErrorKind::TooLarge) for more than `request_size` bytes or too small a `response`, and then nothing
    /// was asked; [`Removed`](ErrorKind::Removed) if the service is removed while this waits;
    /// [`Corrupt`](ErrorKind::Corrupt) if it holds garbage.
    #[inline]
    pub fn call(&self, request: &[u8], response: &mut [u8]) -> Result<usize> {
        self.call_until(request, response, Deadline::never())
    }

    /// As [`Service::call`]; waits until the deadline, then gives the call up.
    ///
    /// # Errors
    ///
    /// As [`Service::call`]; [`Timeout`](ErrorKind::Timeout): the request may be served all the same if a server has
    /// begun; its answer is dropped.
    #[inline]
    pub fn call_until(&self, request: &[u8], response: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.check_response(response.len())?;
        let call = self.start_until(request, deadline)?;
        call.wait_until(deadline)?;
        call.finish(response)
    }

    /// Makes a request and does not wait for the answer; waits for a free cell for ever. A thread may have many calls
    /// at once.
    ///
    /// # Errors
    ///
    /// As [`Service::call`], but for those of the answer.
    #[inline]
    pub fn start(&self, request: &[u8]) -> Result<Call<'_>> {
        self.start_until(request, Deadline::never())
    }

    /// Makes a request if there is a free cell; `None` if there is none.
    pub fn try_start(&self, request: &[u8]) -> Result<Option<Call<'_>>> {
        self.check_request(request.len())?;
        match self.try_cell()? {
            Some(claim) => self.ask(claim, request).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a request; waits for a free cell until the deadline.
    #[inline]
    pub fn start_until(&self, request: &[u8], deadline: Deadline) -> Result<Call<'_>> {
        self.check_request(request.len())?;
        let claim = self.cell(deadline)?;
        self.ask(claim, request)
    }

    /// Claims room for a request of up to `size` bytes, to be written in place; waits for a free cell for ever.
    ///
    /// The request gets its place in the queue when it is sent.
    ///
    /// # Errors
    ///
    /// As [`Service::start`].
    pub fn reserve(&self, size: usize) -> Result<CallRoom<'_>> {
        self.reserve_until(size, Deadline::never())
    }

    /// Claims room if there is a free cell.
    pub fn try_reserve(&self, size: usize) -> Result<Option<CallRoom<'_>>> {
        self.check_request(size)?;
        Ok(self.try_cell()?.map(|claim| CallRoom::new(self, claim, size)))
    }

    /// Claims room; waits for a free cell until the deadline.
    pub fn reserve_until(&self, size: usize, deadline: Deadline) -> Result<CallRoom<'_>> {
        self.check_request(size)?;
        Ok(CallRoom::new(self, self.cell(deadline)?, size))
    }

    /// Takes the oldest request; waits for one for ever.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) if the service was shut down and no request is left;
    /// [`Removed`](ErrorKind::Removed), [`Corrupt`](ErrorKind::Corrupt).
    #[inline]
    pub fn receive(&self) -> Result<Request<'_>> {
        self.receive_until(Deadline::never())
    }

    /// Takes the oldest request, if there is one.
    #[inline]
    pub fn try_receive(&self) -> Result<Option<Request<'_>>> {
        let me = self.server()?;
        let Some(claim) = self.look_for_request(me, true)? else {
            self.object.still_there()?;
            return Ok(None);
        };
        self.request(claim).map(Some)
    }

    /// Takes the oldest request; waits until the deadline.
    #[inline]
    pub fn receive_until(&self, deadline: Deadline) -> Result<Request<'_>> {
        let me = self.server()?;
        let claim = match self.look_for_request(me, true)? {
            Some(claim) => claim,
            None => self.wait_for_request(me, deadline)?,
        };
        self.request(claim)
    }

    /// Answers requests until the service is shut down. `handler` gets the request and an empty buffer for the answer;
    /// its error is the sentence that the client gets with [`Failed`](ErrorKind::Failed).
    ///
    /// # Errors
    ///
    /// As [`Service::receive`], but that it ends without an error when the service was shut down.
    pub fn serve(&self, mut handler: impl FnMut(&[u8], &mut Vec<u8>) -> std::result::Result<(), String>) -> Result<()> {
        let (mut question, mut answer) = (Vec::new(), Vec::new());
        loop {
            let request = match self.receive() {
                Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
                request => request?,
            };
            question.resize(request.size(), 0);
            request.read(&mut question)?;
            answer.clear();
            match handler(&question, &mut answer) {
                // An answer that is too large is the handler's fault, and the client is told.
                Ok(()) if answer.len() > self.response_size() => {
                    request.fail(&self.response_too_large(answer.len()).to_string())?
                }
                Ok(()) => request.reply(&answer)?,
                Err(why) => request.fail(&why)?,
            };
        }
    }

    /// Nothing is to be asked any more: calls that nobody serves yet are taken back and end with
    /// [`Closed`](ErrorKind::Closed), as do later ones; those being served end as ever; servers answer what is left and
    /// then get [`Closed`](ErrorKind::Closed). Stays so until the service is removed.
    pub fn shutdown(&self) {
        self.object.shut_down();
    }

    /// Was it shut down?
    pub fn is_shut_down(&self) -> bool {
        self.object.is_shut_down()
    }

    /// How many processes serve: those that have asked for a request through a handle that is still open. One that died
    /// counts until somebody notices.
    pub fn servers(&self) -> usize {
        servers(&self.memory, |slot| self.object.view().is_attached(slot)).len()
    }

    /// The most calls at once.
    pub fn calls(&self) -> usize {
        self.memory.shape.calls as usize
    }

    /// The largest request in bytes.
    pub fn request_size(&self) -> usize {
        self.memory.shape.request_size
    }

    /// The largest answer in bytes.
    pub fn response_size(&self) -> usize {
        self.memory.shape.response_size
    }

    /// Is a request served again whose server died over it?
    pub fn is_idempotent(&self) -> bool {
        self.memory.shape.idempotent
    }

    /// Requests that nobody has taken at this moment. 0 also if it holds garbage, which the next call that can fail
    /// reports.
    pub fn len(&self) -> usize {
        self.memory.cells().states().filter(|state| matches!(state, Ok(State::Request { .. }))).count()
    }

    /// Is there no request at this moment that nobody has taken?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type tag it was made with; `None` if it was made without.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if it is no text.
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.object.view().type_tag()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    fn shape(&self) -> Shape {
        self.memory.shape
    }

    /// This process, which from now on counts as one that serves.
    #[inline]
    fn server(&self) -> Result<u32> {
        let me = self.object.me()?;
        let at = me.wrapping_sub(1);
        if let Some(seats) = self.memory.control().seats.0.get((at / 64) as usize)
            // Relaxed, here and below: a number to be shown.
            && seats.load(Relaxed) >> (at % 64) & 1 == 0
        {
            seats.fetch_or(1 << (at % 64), Relaxed);
            self.serves.store(self.object.fork_number(), Relaxed);
        }
        Ok(me)
    }

    /// A request to serve, now or never. Where the service was shut down and none is left: `Closed`.
    #[inline]
    fn look_for_request(&self, me: u32, thorough: bool) -> Result<Option<Claim>> {
        let take = || self.memory.cells().take(me, &self.trail, thorough).map_err(|garbage| self.corrupt(garbage));
        match take()? {
            None if thorough && self.object.is_shut_down() => match take()? {
                // What was asked before the shutdown is seen by now (edge `shut`).
                None => Err(self.closed()),
                some => Ok(some),
            },
            found => Ok(found),
        }
    }

    #[cold]
    fn wait_for_request(&self, me: u32, deadline: Deadline) -> Result<Claim> {
        let servers = &self.memory.control().servers.0;
        let bell = Attentive { bell: servers, thorough: Cell::new(true) };
        let claim = wait::until(
            &self.object.waiting(WaitMode::Receive, 0),
            &bell,
            &self.spin_request,
            deadline,
            || None,
            || self.look_for_request(me, bell.thorough.get()),
        )?;
        if self.memory.cells().has_request().unwrap_or(false) {
            servers.notify(1); // its wake may have been spent on us
        }
        Ok(claim)
    }

    /// Whom we serve, if what lies there can be a request.
    #[inline]
    fn request(&self, claim: Claim) -> Result<Request<'_>> {
        match self.memory.request(claim.index) {
            Some((_, size)) => Ok(Request::new(self, claim, size)),
            None => Err(self.bad_request(claim)),
        }
    }

    /// A free cell, now or never.
    fn try_cell(&self) -> Result<Option<Claim>> {
        self.check_open()?;
        let claim = self.look_for_cell(self.object.me()?, &self.patience)?;
        if claim.is_none() {
            self.object.still_there()?;
        }
        Ok(claim)
    }

    /// A free cell, in time.
    #[inline]
    fn cell(&self, deadline: Deadline) -> Result<Claim> {
        let me = self.object.me()?;
        self.check_open()?;
        // Relaxed: a hint.
        let claim = self.memory.cells().claim(me, self.last_call.load(Relaxed));
        match claim.map_err(|garbage| self.corrupt(garbage))? {
            Some(claim) => Ok(claim),
            None => self.wait_for_cell(me, deadline),
        }
    }

    #[cold]
    fn wait_for_cell(&self, me: u32, deadline: Deadline) -> Result<Claim> {
        let (clients, patience) = (&self.memory.control().clients.0, Patience::from_now());
        let claim = wait::until(
            &self.object.waiting(WaitMode::Send, 0),
            &Patient(clients),
            &self.spin_room,
            deadline,
            || None,
            || {
                self.check_open()?;
                self.look_for_cell(me, &patience)
            },
        )?;
        if self.memory.cells().has_room() {
            clients.notify(1); // its wake may have been spent on us
        }
        Ok(claim)
    }

    /// One attempt to claim a cell, and one more if a dead client's was freed.
    fn look_for_cell(&self, me: u32, patience: &Patience) -> Result<Option<Claim>> {
        let cells = self.memory.cells();
        for _ in 0..2 {
            // Relaxed: a hint.
            let claim = cells.claim(me, self.last_call.load(Relaxed)).map_err(|garbage| self.corrupt(garbage))?;
            if claim.is_some() || !patience.is_over() || !self.clear_the_dead() {
                return Ok(claim);
            }
        }
        Ok(None)
    }

    /// Frees the cells that nobody will free. Asks the kernel for each process that should. True: one is dead.
    fn clear_the_dead(&self) -> bool {
        let (mut asked, mut found) = (0, false);
        for state in self.memory.cells().states() {
            let who = match state {
                Ok(
                    State::Build { client: who }
                    | State::Request { client: who }
                    | State::Done { client: who, .. }
                    | State::Refused { client: who, .. }
                    | State::Died { client: who }
                    | State::Cancelled { server: who },
                ) if who != asked => who,
                _ => continue,
            };
            asked = who;
            found |= self.object.is_dead(who) && self.repair(who);
        }
        found
    }

    /// Puts right what a dead participant left here, unless somebody else is at it. True: it was done.
    fn repair(&self, dead: u32) -> bool {
        let done = self.object.repairing(dead, || self.memory.cells().repair(dead)).is_some();
        if done {
            self.memory.ring();
        }
        done
    }

    #[inline]
    fn check_open(&self) -> Result<()> {
        if self.object.is_shut_down() { Err(self.closed()) } else { Ok(()) }
    }

    #[inline]
    fn check_request(&self, size: usize) -> Result<()> {
        if size <= self.memory.shape.request_size { Ok(()) } else { Err(self.request_too_large(size)) }
    }

    /// Can an answer have `size` bytes? Before [`Request::reply`], which ends the request in any case.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn check_answer(&self, size: usize) -> Result<()> {
        if size <= self.memory.shape.response_size { Ok(()) } else { Err(self.response_too_large(size)) }
    }

    #[inline]
    fn check_response(&self, size: usize) -> Result<()> {
        if size >= self.memory.shape.response_size { Ok(()) } else { Err(self.buffer_too_small(size)) }
    }

    #[cold]
    fn request_too_large(&self, size: usize) -> Error {
        let most = self.memory.shape.request_size;
        let why = format!(
            "a request of {size} bytes is too large for service {:?}, whose requests have at most {most}; ask for less at \
             once, or create it with a larger request size",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn response_too_large(&self, size: usize) -> Error {
        let most = self.memory.shape.response_size;
        let why = format!(
            "an answer of {size} bytes is too large for service {:?}, whose answers have at most {most}; answer with less, \
             or create it with a larger response size",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn buffer_too_small(&self, size: usize) -> Error {
        let most = self.memory.shape.response_size;
        let why = format!(
            "a buffer of {size} bytes is too small for service {:?}, whose answers have up to {most}; pass one of {most} bytes",
            self.object.address()
        );
        Error::new(ErrorKind::TooLarge, why)
    }

    #[cold]
    fn closed(&self) -> Error {
        let why = format!("service {:?} was shut down; remove it and create it anew to go on", self.object.address());
        Error::new(ErrorKind::Closed, why)
    }

    #[cold]
    fn corrupt(&self, garbage: Garbage) -> Error {
        corrupt(&format!("service {:?}", self.object.address()), garbage)
    }

    /// A request whose length is garbage: its client is told as well.
    #[cold]
    fn bad_request(&self, claim: Claim) -> Error {
        let why = format!(
            "service {:?}: request {} says that it is longer than the {} bytes there are; it was refused",
            self.object.address(),
            claim.index,
            self.memory.shape.request_size
        );
        let _ = Request::new(self, claim, 0).fail(&why); // NotOurs: then nobody waits for it
        Error::new(ErrorKind::Corrupt, why)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Another handle of this process that serves says so again with its next request.
        if self.serves.load(Relaxed) == self.object.fork_number()
            && let Ok(me) = self.object.me()
            && let Some(seats) = self.memory.control().seats.0.get((me.wrapping_sub(1) / 64) as usize)
        {
            // Relaxed: a number to be shown.
            seats.fetch_and(!(1 << (me.wrapping_sub(1) % 64)), Relaxed);
        }
    }
}

/// When to ask whether somebody is still alive: a system call.
struct Patience(AtomicU64);

impl Patience {
    fn from_now() -> Patience {
        Patience(AtomicU64::new(now_ns().saturating_sub(PATIENCE_NS - FIRST_PATIENCE_NS)))
    }

    /// True at most once per [`PATIENCE_NS`], and not before [`FIRST_PATIENCE_NS`] are over.
    fn is_over(&self) -> bool {
        let now = now_ns();
        // Relaxed: two threads that ask at once ask twice.
        let over = now.saturating_sub(self.0.load(Relaxed)) >= PATIENCE_NS;
        if over {
            self.0.store(now, Relaxed);
        }
        over
    }
}

/// Where servers sleep. While they spin they look at every cell only now and then, before they sleep always.
struct Attentive<'a> {
    bell: &'a EventCount,
    thorough: Cell<bool>,
}

impl Bell for Attentive<'_> {
    fn prepare(&self) -> u32 {
        self.thorough.set(true);
        self.bell.prepare()
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.bell.sleep(key, at_ns)
    }

    fn first_polls(&self) -> u32 {
        0
    }
    fn between(&self, polls: u32, began_ns: u64) {
        self.thorough.set(polls.is_multiple_of(ALL_CELLS_EVERY));
        self.bell.between(polls, began_ns);
    }
}

/// Where clients sleep that find no free cell.
struct Patient<'a>(&'a EventCount);

impl Bell for Patient<'_> {
    fn recheck_ns(&self) -> u64 {
        if cfg!(any(loom, shuttle)) { 0 } else { RECHECK_NS }
    }

    fn prepare(&self) -> u32 {
        self.0.prepare()
    }

    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.0.sleep(key, at_ns)
    }
}
