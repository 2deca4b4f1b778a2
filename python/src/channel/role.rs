//! One end of a channel, as its Python object and the grant it lent share it.
//!
//! An end belongs to one thread at a time. It lies behind a mutex that is only ever *tried*: while one thread uses it,
//! or waits with it, another one that comes gets `Busy`, never a wait that holds the interpreter. While a grant is
//! pending the end does nothing else: core has one reservation, and one message in hand.

use crate::buffer::{Refused, Room, ending};
use crate::wait::{forked, forks};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use triveni::{Error, ErrorKind, Result};

/// What an end is called.
pub(crate) struct Noun {
    /// `publisher`
    pub(crate) end: &'static str,
    /// `topic`
    pub(crate) of: &'static str,
    /// What to do in a forked child.
    pub(crate) in_child: &'static str,
    /// What to do once it is closed.
    pub(crate) again: &'static str,
}

pub(crate) struct Role<R> {
    noun: &'static Noun,
    pub(crate) address: String,
    forks: u32,
    state: Mutex<State<R>>,
}

struct State<R> {
    /// `None` once it is closed.
    end: Option<R>,
    /// The room of the grant that is pending in core. Not ended, as long as it stands here.
    pending: Option<Arc<Room>>,
}

impl<R> Role<R> {
    pub(crate) fn new(noun: &'static Noun, address: String, end: R) -> Role<R> {
        Role { noun, address, forks: forks(), state: Mutex::new(State { end: Some(end), pending: None }) }
    }

    fn state(&self) -> Result<MutexGuard<'_, State<R>>> {
        let (Noun { end, of, in_child, .. }, address) = (self.noun, &self.address);
        if self.forks != forks() {
            return Err(forked(&format!("this {end} of {of} {address}"), in_child));
        }
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "the {end} of {of} {address} is in use by another thread; one thread at a time, or a threading.Lock around it"
                ),
            )),
        }
    }

    /// Runs `f` on the end, unless it is closed or a grant is pending.
    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut R, &mut Option<Arc<Room>>) -> Result<T>) -> Result<T> {
        let mut state = self.state()?;
        let State { end, pending } = &mut *state;
        let (noun, address) = (self.noun, &self.address);
        if pending.is_some() {
            let sentence = format!(
                "the {} of {} {address} has a grant pending; end it first: commit(), cancel() or release()",
                noun.end, noun.of
            );
            return Err(Error::new(ErrorKind::Busy, sentence));
        }
        let end = end.as_mut().ok_or_else(|| {
            let Noun { end, of, again, .. } = noun;
            let sentence = format!("this {end} of {of} {address} is closed; {again}");
            Error::new(ErrorKind::Invalid, sentence)
        })?;
        f(end, pending)
    }

    /// Ends the grant on `room` by the call `f`. Refused while a view of it is alive.
    pub(crate) fn end(&self, room: &Room, f: impl FnOnce(&mut R) -> Result<()>) -> Result<Result<(), Refused>> {
        let mut state = self.state()?;
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        state.pending = None;
        state.end.as_mut().map_or(Ok(()), f).map(Ok)
    }

    /// The same for a grant that goes away, or would if a view did not keep it: without a complaint.
    pub(crate) fn give_back(&self, room: &Room, f: impl FnOnce(&mut R)) {
        if room.is_ended() || self.forks != forks() {
            return;
        }
        // Not for long: while this grant is pending, nobody waits in there, and nobody takes the interpreter.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if room.end_if_free() {
            state.pending = None;
            if let Some(end) = state.end.as_mut() {
                f(end);
            }
        }
    }

    /// Lets go of the end. `BufferError` while a view of its grant is alive.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.forks != forks() {
            return Ok(()); // the parent's; letting go of it here is nothing to complain about
        }
        ending(py, "grant", || {
            let mut state = self.state()?;
            if let Some(Err(refused)) = state.pending.as_ref().map(|room| room.end()) {
                return Ok(Err(refused));
            }
            state.pending = None;
            state.end = None; // a reservation that was pending goes with it; a message in hand stays
            Ok(Ok(()))
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| state.end.is_none())
    }

    pub(crate) fn repr(&self, class: &str) -> String {
        let address = &self.address;
        match self.state.try_lock() {
            _ if self.forks != forks() => format!("<triveni.{class} of {address} of the parent process>"),
            Ok(state) if state.end.is_none() => format!("<triveni.{class} of {address} closed>"),
            Ok(state) if state.pending.is_some() => format!("<triveni.{class} of {address} with a grant pending>"),
            Ok(_) => format!("<triveni.{class} of {address}>"),
            Err(_) => format!("<triveni.{class} of {address} in use>"),
        }
    }
}
