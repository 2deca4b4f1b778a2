//! The unbounded mailbox: places as in `slots.rs`, as many as the ceiling says, and pages for what lies in them.

use super::super::options::{Envelope, Select};
use super::super::queue::*;
use super::super::slots::Slots;
use super::{Fault, Ground, Pages};

/// Places and pages.
#[derive(Clone, Copy)]
pub(in super::super) struct Paged<'a, H: Heads, G: Ground<Error = i32>> {
    pub slots: Slots<'a, H>,
    pub pages: Pages<'a>,
    pub ground: &'a G,
}

impl<H: Heads, G: Ground<Error = i32>> Paged<'_, H, G> {
    /// Gives the page back that lost a message, if it was the last one. `me` is whose claim it was.
    fn freed(&self, claim: Claim) {
        let head = self.slots.head_index().min(self.slots.capacity - 1);
        self.pages.freed(claim.index, head, owner(claim.word), self.ground);
    }
}

impl<H: Heads, G: Ground<Error = i32>> Queue for Paged<'_, H, G> {
    #[inline]
    fn claim_send(&self, me: u32) -> Result<Attempt, Garbage> {
        let claim = match self.slots.claim_send(me)? {
            Attempt::Claimed(claim) => claim,
            Attempt::Nothing => return Ok(Attempt::Refused(Refusal::Ceiling)),
            other => return Ok(other),
        };
        let refusal = match self.pages.take(claim.index, me, self.ground) {
            Ok(_) => return Ok(Attempt::Claimed(claim)),
            Err(Fault::NoMemory(errno)) => Ok(Attempt::Refused(Refusal::NoMemory(errno))),
            Err(Fault::NoFrame) => Ok(Attempt::Refused(Refusal::NoMemory(libc::EBUSY))),
            Err(Fault::Garbage(page, word)) => Err(Garbage::Page(page, word)),
        };
        // False: somebody changed it, which whoever comes next finds out.
        let _ = self.cancel(claim);
        refusal
    }

    fn would_send(&self) -> Result<Look, Garbage> {
        self.slots.would_send()
    }

    #[inline]
    fn publish(&self, claim: Claim, envelope: Envelope) -> bool {
        self.slots.publish(claim, envelope)
    }

    fn cancel(&self, claim: Claim) -> bool {
        let ours = self.slots.cancel(claim);
        // Nobody receives here, so nobody leaves the page. Behind the change of the place: who tidies up finds it free.
        self.pages.is_untidy();
        ours
    }

    #[inline]
    fn claim_receive(&self, me: u32, ask: &Ask) -> Result<Attempt, Garbage> {
        let attempt = self.slots.claim_receive(me, ask);
        if let Ok(Attempt::Nothing) = attempt {
            // The head goes on over what was given back before it was called untidy: that page is left, too.
            self.pages.tidy(|| (self.slots.at_head(), self.slots.head_index()).1, me, self.ground);
        }
        attempt
    }

    fn oldest(&self, select: Select) -> Result<Look, Garbage> {
        self.slots.oldest(select)
    }

    fn is_whole(&self, at: Claim) -> bool {
        self.slots.is_whole(at)
    }

    #[inline]
    fn release(&self, claim: Claim) -> bool {
        let ours = self.slots.release(claim);
        if ours {
            self.freed(claim);
        }
        ours
    }

    fn give_back(&self, claim: Claim) -> bool {
        let ours = self.slots.give_back(claim);
        // It may have been dropped, and then nobody leaves its page.
        self.pages.is_untidy();
        ours
    }

    fn stands(&self, claim: Claim) -> bool {
        self.slots.stands(claim)
    }

    fn void(&self, claim: Claim) -> bool {
        let done = self.slots.void(claim);
        self.pages.is_untidy();
        done
    }

    fn len(&self) -> Result<u32, Garbage> {
        self.slots.len()
    }

    fn left(&self, select: Select) -> Result<Look, Garbage> {
        self.slots.left(select)
    }

    fn claims(&self, each: &mut dyn FnMut(Claim)) {
        self.slots.claims(each);
    }

    fn repair(&self, dead: u32) {
        self.slots.repair(dead);
        self.pages.repair(dead);
    }
}
