//! Several messages at once: the barriers and wakes of one.
//!
//! A place that was claimed in this call is published, or given back, by a plain store: nobody changes the claim of
//! somebody alive. The last one goes by the full barrier that the look for sleepers needs, which stands for all.

use super::memory::{Mode, with_queue};
use super::options::Envelope;
use super::queue::{Ask, Attempt, Claim, Heads, Queue};
use super::{Mailbox, Received};
use crate::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Ordering::Relaxed;
use crate::sys::memory::copy_in;

impl Mailbox {
    /// Sends copies of `messages` in their order; waits for room for ever. Returns how many were sent: all of them,
    /// unless the wait for room ended in an error after the first.
    ///
    /// # Errors
    ///
    /// As for [`send`](Mailbox::send), if none was sent. One that is too large: then none is sent.
    pub fn send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<usize> {
        self.send_many_until(messages, Deadline::never())
    }

    /// Sends as many of `messages` as there is room for; returns how many.
    pub fn try_send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<usize> {
        self.check_sizes(messages)?;
        let sent = self.send_some(messages)?;
        match messages.get(sent) {
            // Once more, to clear the dead out of the way, and for the reason if there is one.
            Some(message) => match self.send_now(message.as_ref(), Envelope::default()) {
                Ok(one) => Ok(sent + usize::from(one)),
                Err(_) if sent > 0 => Ok(sent),
                Err(error) => Err(error),
            },
            None => Ok(sent),
        }
    }

    /// Sends copies of `messages` in their order; waits for room until the deadline. Returns how many were sent.
    pub fn send_many_until<M: AsRef<[u8]>>(&self, messages: &[M], deadline: Deadline) -> Result<usize> {
        self.check_sizes(messages)?;
        let mut sent = 0;
        while let Some(rest) = messages.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += self.send_some(rest)?;
            let Some(message) = messages.get(sent) else { break };
            match self.send_by(message.as_ref(), Envelope::default(), deadline) {
                Ok(()) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn check_sizes<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<()> {
        messages.iter().try_for_each(|message| self.check_size("send", message.as_ref().len()))
    }

    /// Sends as many as there is room for, and does nothing about what is in the way.
    fn send_some<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<usize> {
        if self.memory.mode == Mode::Rendezvous {
            return Ok(0); // hand to hand, one at a time
        }
        let me = self.object.me()?;
        with_queue!(self.memory, queue => {
            let mut last: Option<Claim> = None;
            let mut sent = 0u32;
            for message in messages {
                let Ok(Attempt::Claimed(claim)) = queue.claim_send(me) else { break };
                // ORDER shut: as in `room`.
                if self.object.is_shut_down() {
                    // False: somebody changed it, which whoever comes next finds out.
                    let _ = queue.cancel(claim);
                    break;
                }
                let (message, head) = (message.as_ref(), self.memory.head(claim.index));
                // SAFETY: the payload of a place has `message_size` bytes inside the object, and `message` is no longer:
                // `check_sizes`. Peers may read and store there meanwhile: it is a raw copy of bytes.
                unsafe { copy_in(self.memory.payload(claim.index), message) };
                // Relaxed: `publish` releases it (edge `message`).
                head.len.store(message.len() as u32, Relaxed);
                head.begin_deliveries(claim.word);
                if let Some(before) = last.replace(claim)
                    && !queue.publish_quietly(before, Envelope::default())
                {
                    return Err(self.robbed(before));
                }
                self.sent(claim);
                sent += 1;
            }
            if let Some(claim) = last {
                if !queue.publish(claim, Envelope::default()) {
                    return Err(self.robbed(claim));
                }
                if sent > 1 {
                    self.memory.control().rx.0.notify(sent - 1); // behind the barrier of `publish`
                }
            }
            Ok(sent as usize)
        })
    }

    /// Receives the messages that are there, as many as `received` has room for; waits for the first for ever. Message i
    /// begins at byte i · `message_size` of `buffer`, and `received[i]` is what there is to say about it. Returns how
    /// many there were.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Mailbox::receive); [`TooLarge`](ErrorKind::TooLarge) if `buffer` has less than `message_size`
    /// bytes for each.
    pub fn receive_many(&self, buffer: &mut [u8], received: &mut [Received]) -> Result<usize> {
        self.receive_many_until(buffer, received, Deadline::never())
    }

    /// Receives the messages that are there, as many as `received` has room for; 0 if there is none.
    pub fn try_receive_many(&self, buffer: &mut [u8], received: &mut [Received]) -> Result<usize> {
        self.check_room(buffer, received)?;
        match (self.receive_some(buffer, received)?, received.first_mut()) {
            // Once more, to clear the dead out of the way, and for the reason if there is one.
            (0, Some(first)) => match self.try_receive(buffer)? {
                Some(one) => {
                    *first = one;
                    Ok(1)
                }
                None => Ok(0),
            },
            (n, _) => Ok(n),
        }
    }

    /// Receives the messages that are there, as many as `received` has room for; waits for the first until the deadline.
    pub fn receive_many_until(
        &self,
        buffer: &mut [u8],
        received: &mut [Received],
        deadline: Deadline,
    ) -> Result<usize> {
        self.check_room(buffer, received)?;
        match self.receive_some(buffer, received)? {
            0 => {
                let Some((first, rest)) = received.split_first_mut() else { return Ok(0) };
                *first = self.receive_until(buffer, deadline)?;
                let behind = buffer.get_mut(self.memory.message_size..).unwrap_or_default();
                Ok(1 + self.receive_some(behind, rest)?)
            }
            n => Ok(n),
        }
    }

    fn check_room(&self, buffer: &[u8], received: &[Received]) -> Result<()> {
        let (each, n) = (self.memory.message_size, received.len());
        if n.checked_mul(each).is_some_and(|need| need <= buffer.len()) {
            return Ok(());
        }
        let why = format!(
            "receive: a buffer of {} bytes is too small for {n} messages of mailbox {:?}, which have up to {each} each",
            buffer.len(),
            self.object.address()
        );
        Err(Error::new(ErrorKind::TooLarge, why))
    }

    /// Receives what is there, and does nothing about what is in the way.
    fn receive_some(&self, buffer: &mut [u8], received: &mut [Received]) -> Result<usize> {
        if self.memory.mode == Mode::Rendezvous {
            return Ok(0); // hand to hand, one at a time
        }
        let me = self.object.me()?;
        let ask = Ask::default();
        with_queue!(self.memory, queue => {
            let mut last: Option<Claim> = None;
            let mut n = 0u32;
            for (said, room) in received.iter_mut().zip(buffer.chunks_exact_mut(self.memory.message_size)) {
                let Ok(Attempt::Claimed(claim)) = queue.claim_receive(me, &ask) else { break };
                let Some(len) = self.memory.len(claim.index) else {
                    // Dropped, as by `receive`; those before it have been received.
                    let _ = queue.release(claim);
                    if n == 0 {
                        return Err(self.bad_length(claim));
                    }
                    break;
                };
                self.received(claim);
                *said = self.copy(claim, len, room);
                if let Some(before) = last.replace(claim)
                    && !queue.release_quietly(before)
                {
                    return Err(self.robbed(before));
                }
                n += 1;
            }
            if let Some(claim) = last {
                if !queue.release(claim) {
                    return Err(self.robbed(claim));
                }
                if n > 1 {
                    self.memory.control().tx.0.notify(n - 1); // behind the barrier of `release`
                }
            }
            Ok(n as usize)
        })
    }
}
