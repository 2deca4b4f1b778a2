//! How the handle gets a place: at once, or by waiting; past the claims of the dead; until a shutdown.

use super::Mailbox;
use super::memory::{Mode, with_queue};
use super::options::Select;
use super::queue::{Ask, Attempt, Claim, Garbage, Handed, Look, Queue, Refusal};
use super::slots::Slots;
use crate::deadline::now_ns;
use crate::error::Result;
use crate::prim::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use crate::segment::WaitMode;
use crate::wait::{self, World};
use crate::{Deadline, Error};
use std::cell::Cell;

/// How long a claim may be in the way before its owner is asked for, and how often.
const PATIENCE_NS: u64 = 1_000_000;
/// And the first time: longer than a copy takes and than one spins, so that nobody asks who need not sleep.
const FIRST_PATIENCE_NS: u64 = 60_000;
/// How often a receiver looks again, after a shutdown, for a message that others take before it.
const LAST_LOOKS: u32 = 8;

/// When to ask whether the owner of a claim that is in the way is still alive: a system call.
pub(super) struct Patience(AtomicU64);

impl Patience {
    pub fn from_now() -> Patience {
        Patience(AtomicU64::new(now_ns().saturating_sub(PATIENCE_NS - FIRST_PATIENCE_NS)))
    }

    /// For whoever does not wait.
    pub fn over() -> Patience {
        Patience(AtomicU64::new(0))
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

impl Mailbox {
    /// A sender's first attempt.
    #[inline(always)]
    fn first_claim(&self, me: u32) -> Result<Attempt, Garbage> {
        match self.memory.mode {
            Mode::Fifo => Slots { eager: true, ..self.memory.slots() }.claim_send(me),
            _ => with_queue!(self.memory, queue => queue.claim_send(me)),
        }
    }

    /// A place to write to, now or never.
    #[inline]
    pub(super) fn try_room(&self, me: u32) -> Result<Option<Claim>> {
        match self.first_claim(me) {
            Ok(Attempt::Claimed(claim)) if !self.object.is_shut_down() => Ok(Some(claim)),
            first => self.no_room(me, first),
        }
    }

    #[cold]
    fn no_room(&self, me: u32, first: Result<Attempt, Garbage>) -> Result<Option<Claim>> {
        self.cancel_late(first)?;
        let found = self.attempt_room(me, &self.patience, &Cell::new(None))?;
        self.or_still_there(found)
    }

    /// A place to write to, in time.
    #[inline]
    pub(super) fn room(&self, deadline: Deadline) -> Result<Claim> {
        let me = self.object.me()?;
        // ORDER shut: the claim is a full barrier, so either this sees the shutdown, or who sees that sees the claim.
        match self.first_claim(me) {
            Ok(Attempt::Claimed(claim)) if !self.object.is_shut_down() => Ok(claim),
            first => self.wait_for_room(me, deadline, first),
        }
    }

    #[cold]
    fn wait_for_room(&self, me: u32, deadline: Deadline, first: Result<Attempt, Garbage>) -> Result<Claim> {
        self.cancel_late(first)?;
        let control = self.memory.control();
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        let claim = wait::until(
            &self.object.waiting(WaitMode::Send, 0),
            &control.tx.0,
            &self.spin_tx,
            deadline,
            || suspect.get(),
            || match self.attempt_room(me, &patience, &suspect)? {
                None if self.memory.mode == Mode::Unbounded => Err(self.refused(Refusal::Ceiling)),
                found => Ok(found),
            },
        )?;
        if matches!(self.could_put_down(), Ok((true, _))) {
            control.tx.0.notify(1); // its wake may have been spent while this place was barred
        }
        Ok(claim)
    }

    /// A claim that came after the shutdown is given back.
    fn cancel_late(&self, first: Result<Attempt, Garbage>) -> Result<()> {
        if let Ok(Attempt::Claimed(claim)) = first {
            // False: somebody changed it, which whoever comes next finds out.
            let _ = with_queue!(self.memory, queue => queue.cancel(claim));
            return Err(self.closed("send"));
        }
        Ok(())
    }

    fn attempt_room(&self, me: u32, patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<Claim>> {
        // An unbounded one never waits: whoever is in the way at its ceiling is asked for at once.
        let at_once = Patience::over();
        let patience = if self.memory.mode == Mode::Unbounded { &at_once } else { patience };
        let found = self.claim(|| with_queue!(self.memory, queue => queue.claim_send(me)), patience, suspect)?;
        if self.object.is_shut_down() {
            found.map_or(Ok(()), |claim| self.cancel_late(Ok(Attempt::Claimed(claim))))?;
            return Err(self.closed("send"));
        }
        Ok(found)
    }

    /// A message to read, now or never.
    #[inline]
    pub(super) fn try_message(&self, ask: &Ask) -> Result<Option<Claim>> {
        let me = self.object.me()?;
        match with_queue!(self.memory, queue => queue.claim_receive(me, ask)) {
            Ok(Attempt::Claimed(claim)) => {
                self.received(claim);
                Ok(Some(claim))
            }
            _ => self.no_message(me, ask),
        }
    }

    /// A receiver has claimed `claim`.
    #[inline(always)]
    pub(super) fn received(&self, claim: Claim) {
        if self.memory.mode == Mode::Fifo {
            self.outlook_rx.received(&self.memory, claim);
        }
    }

    /// A sender has claimed `claim`.
    #[inline(always)]
    pub(super) fn sent(&self, claim: Claim) {
        if self.memory.mode == Mode::Fifo {
            self.outlook_tx.sent(&self.memory, claim);
        }
    }

    #[cold]
    fn no_message(&self, me: u32, ask: &Ask) -> Result<Option<Claim>> {
        let found = self.attempt_message(me, ask, &self.patience, &Cell::new(None));
        self.or_still_there(found?)
    }

    /// A message to read, in time.
    #[inline]
    pub(super) fn message(&self, ask: &Ask, deadline: Deadline) -> Result<Claim> {
        let me = self.object.me()?;
        match with_queue!(self.memory, queue => queue.claim_receive(me, ask)) {
            Ok(Attempt::Claimed(claim)) => {
                self.received(claim);
                Ok(claim)
            }
            _ => self.wait_for_message(me, ask, deadline),
        }
    }

    #[cold]
    fn wait_for_message(&self, me: u32, ask: &Ask, deadline: Deadline) -> Result<Claim> {
        let control = self.memory.control();
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        ask.waits.set(true);
        let found = wait::until(
            &self.object.waiting(WaitMode::Receive, 0),
            &control.rx.0,
            &self.spin_rx,
            deadline,
            || suspect.get(),
            || self.attempt_message(me, ask, &patience, &suspect),
        );
        if found.is_err() {
            with_queue!(self.memory, queue => queue.withdraw(me, ask));
        }
        let claim = found?;
        if self.object.is_shut_down() {
            control.rx.0.notify(u32::MAX >> 1); // this may have been the last one: all others learn that
        } else if with_queue!(self.memory, queue => matches!(queue.oldest(Select::Any), Ok(Look::Ready(_)))) {
            control.rx.0.notify(1); // its wake may have been spent while this message was barred
        }
        Ok(claim)
    }

    fn attempt_message(
        &self,
        me: u32,
        ask: &Ask,
        patience: &Patience,
        suspect: &Cell<Option<u32>>,
    ) -> Result<Option<Claim>> {
        let once = || self.claim(|| with_queue!(self.memory, queue => queue.claim_receive(me, ask)), patience, suspect);
        let mut found = once()?;
        for _ in 0..LAST_LOOKS {
            if found.is_some() || !self.object.is_shut_down() || !self.has_more(ask.select, suspect)? {
                break;
            }
            found = once()?;
        }
        Ok(found)
    }

    /// After a shutdown: true if a message is there, false if one may come, [`ErrorKind::Closed`] if none comes any
    /// more. A message that a live receiver has does not count, though it comes back if that one dies.
    ///
    /// [`ErrorKind::Closed`]: crate::ErrorKind::Closed
    pub(super) fn has_more(&self, select: Select, suspect: &Cell<Option<u32>>) -> Result<bool> {
        // ORDER shut: this fence stands between the shutdown that was seen and the looks at the places; a sender's
        // claim is one, too, and stands before its look for a shutdown.
        fence(SeqCst);
        for _ in 0..LAST_LOOKS {
            match with_queue!(self.memory, queue => queue.left(select)).map_err(|garbage| self.corrupt(garbage))? {
                Look::Ready(_) => return Ok(true),
                Look::Barred(claim) if self.object.is_dead(claim.owner()) => {
                    if !self.bury(claim) {
                        suspect.set(Some(claim.owner()));
                        return Ok(false); // somebody else is at it
                    }
                }
                Look::Barred(claim) if !with_queue!(self.memory, queue => queue.is_borrow(claim, claim.owner())) => {
                    suspect.set(Some(claim.owner()));
                    return Ok(false);
                }
                Look::Barred(_) | Look::Nothing => {
                    // Whoever sleeps learns it, too.
                    self.memory.control().rx.0.notify(u32::MAX >> 1);
                    return Err(self.closed("receive"));
                }
            }
        }
        Ok(false)
    }

    /// One attempt to claim, and one more if a dead participant's claim was in the way.
    fn claim(
        &self,
        attempt: impl Fn() -> Result<Attempt, Garbage>,
        patience: &Patience,
        suspect: &Cell<Option<u32>>,
    ) -> Result<Option<Claim>> {
        suspect.set(None);
        for _ in 0..2 {
            match attempt().map_err(|garbage| self.corrupt(garbage))? {
                Attempt::Claimed(claim) => return Ok(Some(claim)),
                Attempt::Nothing | Attempt::Refused(Refusal::Ceiling) => return Ok(None),
                Attempt::Refused(refusal) => return Err(self.refused(refusal)),
                Attempt::Barred(claim) if self.clear(claim, patience, suspect) => {}
                Attempt::Barred(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Ends the claim that is in the way, if its owner is dead. True: look again.
    pub(super) fn clear(&self, claim: Claim, patience: &Patience, suspect: &Cell<Option<u32>>) -> bool {
        suspect.set(Some(claim.owner()));
        patience.is_over() && self.object.is_dead(claim.owner()) && self.bury(claim)
    }

    /// Ends the claim of a dead participant. True: look again.
    fn bury(&self, claim: Claim) -> bool {
        // A sender's claim by itself, so that a stopped sweeper is in nobody's way; then all that the dead
        // left here, under the repair byte, unless somebody is at it.
        let voided = with_queue!(self.memory, queue => queue.void(claim));
        let repair = || with_queue!(self.memory, queue => queue.repair(claim.owner()));
        let repaired = self.object.repairing(claim.owner(), repair).is_some();
        if repaired {
            self.memory.control().ring();
        }
        voided || repaired
    }

    /// Waits until a receiver has the published message. An error: nobody has it, nor will.
    pub(super) fn hand_over(&self, claim: Claim, deadline: Deadline) -> Result<()> {
        let (patience, suspect) = (Patience::from_now(), Cell::new(None));
        let handed = wait::until(
            &self.object.waiting(WaitMode::Send, 0),
            &self.memory.control().met.0,
            &self.spin_tx,
            deadline,
            || suspect.get(),
            || self.handed(claim, &patience, &suspect),
        );
        let Err(error) = handed else { return Ok(()) };
        if self.take_back(claim)? { Err(error) } else { Ok(()) }
    }

    /// Has a receiver the published message?
    pub(super) fn handed(&self, claim: Claim, patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<()>> {
        suspect.set(None);
        match with_queue!(self.memory, queue => queue.handed_over(claim)).map_err(|g| self.corrupt(g))? {
            Handed::Over => return Ok(Some(())),
            Handed::NotYet(0) if self.object.is_shut_down() => return Err(self.closed("send")),
            Handed::NotYet(0) => {}
            // In a dead one's hands: the next receiver gets it.
            Handed::NotYet(who) => {
                let word = u64::from(who) << 4;
                self.clear(Claim { index: claim.index, word }, patience, suspect);
            }
        }
        Ok(None)
    }

    /// Takes the published message back; `false` if a receiver has it.
    pub(super) fn take_back(&self, claim: Claim) -> Result<bool> {
        // Whoever ends the claim wins: this, or a receiver. Each look but the first means that one took it and died, or
        // gave it back.
        for _ in 0..LAST_LOOKS * 8 {
            if with_queue!(self.memory, queue => queue.take_back(claim)) {
                return Ok(true);
            }
            if with_queue!(self.memory, queue => queue.handed_over(claim)).map_err(|g| self.corrupt(g))? == Handed::Over
            {
                return Ok(false);
            }
        }
        Err(self.robbed(claim))
    }

    /// `found`; where a `try_` form found nothing, an error if the mailbox was removed, so that polling ends.
    pub(super) fn or_still_there<T>(&self, found: Option<T>) -> Result<Option<T>, Error> {
        if found.is_none() {
            self.object.still_there()?;
        }
        Ok(found)
    }
}
