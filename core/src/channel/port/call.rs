//! A call: a message with a right to answer it once, and the wait for the answer.
//!
//! # State
//!
//! Each call uses a port of its own to be answered on. It is made by the first call through a right, kept for the next
//! one, and removed with the right. Its name says whose it is: a process that died leaves it, and the next one in its
//! place in the segment uses the name again. An answer is known by the right through which it came, so one that comes
//! too late is not taken for the answer to the next call.
//!
//! # When a peer dies
//!
//! Who was to answer: the right to answer is lost wherever it was, in a queue, in his hands or half used, and the
//! caller gets `PeerDead`. The caller: who answers gets `PeerDead`.

use super::letter::{Delivery, Enclosure, via};
use super::places::{Places, State};
use super::rights::Ticket;
use super::{KIND_OF_PORT, Port, attach, memory};
use crate::segment::directory::{Plan, Want};
use crate::{Deadline, Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};

/// Ports on which answers arrive, one for each thread that calls at the same time, at most 4 kept.
#[derive(Default)]
pub(super) struct Answers(Mutex<Vec<Answer>>);

const KEPT: usize = 4;

/// A port for answers; removed when it is dropped.
struct Answer(Port);

impl Drop for Answer {
    fn drop(&mut self) {
        let object = &self.0.right.object;
        if self.0.right.fork == object.fork_number() {
            // What cannot be removed now is used again, or removed by whoever gets the name.
            let _ = object.remove_another(object.name());
        }
    }
}

impl Answers {
    /// Never waits: after a fork another thread may have held the lock for ever.
    fn with<R>(&self, f: impl FnOnce(&mut Vec<Answer>) -> R) -> Option<R> {
        match self.0.try_lock() {
            Ok(mut kept) => Some(f(&mut kept)),
            Err(TryLockError::Poisoned(poisoned)) => Some(f(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A call that was sent and waits for its answer. Dropping it ends the right to answer.
pub struct PortCall {
    port: Port,
    /// `None` only while it is being dropped.
    answer: Option<Answer>,
    ticket: Ticket,
}

impl PortCall {
    /// Waits for the answer until the deadline. It can be called again after `Timeout` and `Interrupted`, and not after
    /// the answer has come.
    ///
    /// # Errors
    /// As [`Port::call`].
    pub fn wait_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Delivery> {
        let Some(Answer(port)) = &self.answer else { return Err(ErrorKind::Invalid.into()) };
        let memory = &port.right.memory;
        let ours = via(self.ticket);
        let came = |place: u32| memory.envelope(place).via.load(crate::prim::Ordering::Relaxed) == ours;
        port.receive_if(buffer, deadline, came, || {
            // The answer was not there; is it still possible? Asked of the kernel now and then.
            let ask = self.port.right.patience.is_over();
            let (seen, lives) = port.life(ask).right(memory, self.ticket.index);
            if seen.serial == self.ticket.serial && lives {
                return Ok(());
            }
            if may_come(memory.places(), came) { Ok(()) } else { Err(self.port.unanswered()) }
        })
    }
}

/// May an answer that `came` tells from others still be received, though the right to give it was seen to have ended?
/// Who answers has claimed a place by then: first whether one is being written, then whether one is there.
pub(super) fn may_come(places: Places<'_>, came: impl Fn(u32) -> bool) -> bool {
    let coming = places.each().any(|at| matches!(at.state(), Ok(State::Writing(_))));
    coming || places.oldest(came) != Ok(None)
}

impl Drop for PortCall {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        answer.0.right.memory.rights().revoke(self.ticket);
        answer.0.discard();
        self.port.right.answers.with(|kept| {
            if kept.len() < KEPT {
                kept.push(answer);
            }
        });
    }
}

impl Port {
    /// Sends `message` with a right to answer it, and waits for the answer: `buffer` must hold `message_size` bytes.
    /// The server receives a message with a `reply` and sends its answer there, as large as this port's messages may be.
    ///
    /// At the deadline the right to answer ends: a later answer is refused (`NotOwner`), and a server that receives the
    /// message only then finds it `lost`.
    ///
    /// # Errors
    /// As [`Port::send`]; `PeerDead` also if the right to answer was lost: whoever had it died or dropped it; `Timeout`;
    /// `NoSpace`.
    pub fn call(&self, message: &[u8], buffer: &mut [u8], deadline: Deadline) -> Result<Delivery> {
        if buffer.len() < self.message_size() {
            let (size, most) = (buffer.len(), self.message_size());
            let why = format!(
                "call: a buffer of {size} bytes is too small for an answer of up to {most}; pass one of {most} bytes"
            );
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        self.begin_call(message, &[], deadline)?.wait_until(buffer, deadline)
    }

    /// The first half of a call: sends `message` with a right to answer it, and up to 3 rights besides.
    ///
    /// # Errors
    /// As [`Port::call`] and [`Port::send_rights`].
    pub fn begin_call(&self, message: &[u8], rights: &[&Port], deadline: Deadline) -> Result<PortCall> {
        let answer = self.answer()?;
        let reply = answer.0.send_once_right()?;
        let ticket = reply.right.ticket;
        self.send_letter(message, &Enclosure { rights, reply: Some(&reply), from: 0 }, deadline)?;
        Ok(PortCall { port: self.clone(), answer: Some(answer), ticket })
    }

    #[cold]
    fn unanswered(&self) -> Error {
        let why = format!(
            "call port {:?}: the message was sent and nobody can answer it any more: whoever had the right to died, or dropped it",
            self.right.object.address()
        );
        Error::new(ErrorKind::PeerDead, why)
    }

    /// Drops what came too late.
    fn discard(&self) {
        let places = self.right.memory.places();
        let Ok(me) = self.right.object.me() else { return };
        // As many as there can be.
        for _ in 0..places.words.len() {
            let Ok(Some(at)) = places.oldest(|_| true) else { return };
            let Some(claim) = places.claim_receive(at, me) else { return };
            if !places.release(claim) {
                return;
            }
        }
    }

    /// A port for one answer: a kept one, or a new one.
    fn answer(&self) -> Result<Answer> {
        let object = &self.right.object;
        let kept = self.right.answers.with(|kept| {
            // A parent's are not ours.
            kept.retain(|answer| answer.0.right.fork == object.fork_number());
            kept.pop()
        });
        if let Some(answer) = kept.flatten() {
            return Ok(answer);
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let me = object.me()?;
        let (geometry, size) = memory::geometry(2, self.message_size(), 3)?;
        // Names that a predecessor in our slot has left are in use, by nobody: at most as many as it had.
        for _ in 0..1024 {
            let name = format!("answers {me} {}", NEXT.fetch_add(1, Relaxed)); // Relaxed: a number.
            let plan = Plan { geometry, size, initialise: &|_| {}, tag: "" };
            match object.another(KIND_OF_PORT, &name, Want::Create, Some(plan)) {
                Ok(made) => {
                    let memory = attach(&made)?;
                    return Ok(Answer(Port::receiver(made, memory)?));
                }
                Err(error) if error.kind() == ErrorKind::Exists => object.remove_another(&name).unwrap_or_default(),
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::NoSpace, "call: no name is free for a port to be answered on"))
    }
}
