//! How a message is sent and received, and how it carries rights.
//!
//! # State
//!
//! The sender claims a place, puts each right into the message (`rights.rs`: from then on it is nobody's), writes it,
//! and publishes the place: that is the step in which message and rights go over together. The receiver claims the
//! place, begins to take each right, copies the message, gives the place back, and has the rights.
//!
//! # When a peer dies
//!
//! See `places.rs` for the message and `rights.rs` for what it carries. A right to send once is used up between claim
//! and publish: its owner, killed there, has neither sent nor kept it, and who waits for the answer is told.

use super::life::Receiver;
use super::memory::{ENCLOSED, Memory, PENDING, index_and_generation};
use super::notify::{self, Notification, PortEvent};
use super::places::Claim;
use super::rights::{Carrier, Right, Ticket};
use super::{GIVEN, IN_A_SET, KIND_OF_PORT, Patience, Port, attach};
use crate::channel::death::step;
use crate::prim::Ordering::Relaxed;
use crate::segment::WaitMode;
use crate::segment::object::Object;
use crate::sys::memory::{copy_in, copy_out};
use crate::wait::{self, World};
use crate::{Deadline, Error, ErrorKind, Result};
use std::cell::Cell;
use std::sync::Arc;

/// What was received.
#[derive(Debug, Default)]
pub struct Delivery {
    /// The size of the message in bytes; 0 for a notification.
    pub size: usize,
    /// The rights that came with it, now this process's, in the order in which they were given.
    pub rights: Vec<Port>,
    /// The right to answer, if the sender waits in [`Port::call`].
    pub reply: Option<Port>,
    /// How many rights were lost on the way: given up, used up or removed with their port while they were in the message.
    pub lost: usize,
    /// How many receivers died with the message before: 0 unless it is delivered again.
    pub redelivered: u16,
    /// Not a message but what the port was asked to tell.
    pub notification: Option<Notification>,
    /// The port that is the sender's name.
    pub(super) from: u64,
}

/// What goes with a message.
#[derive(Clone, Copy, Default)]
pub(super) struct Enclosure<'a> {
    pub rights: &'a [&'a Port],
    /// Goes behind `rights`.
    pub reply: Option<&'a Port>,
    pub from: u64,
}

impl<'a> Enclosure<'a> {
    fn each(&self) -> impl Iterator<Item = &'a Port> + use<'a> {
        self.rights.iter().copied().chain(self.reply)
    }
}

/// A right that is being taken out of a message.
struct Taken {
    object: Object,
    memory: Memory,
    ticket: Ticket,
}

pub(super) fn via(ticket: Ticket) -> u64 {
    u64::from(ticket.index) | u64::from(ticket.serial) << 32
}

impl Port {
    /// Sends a copy of `message`; waits for room for ever. A right to send once is used up.
    ///
    /// # Errors
    /// `PeerDead` if nobody can receive any more; `NotOwner` if the right was given away, used up, or is one to
    /// receive; `TooLarge` for more than `message_size` bytes; `Removed`; `Corrupt`; `Forked`. An empty message is a
    /// message.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::never())
    }

    /// Sends if there is room; `false` if the port is full.
    pub fn try_send(&self, message: &[u8]) -> Result<bool> {
        let mine = self.sending(message.len(), &Enclosure::default())?;
        match self.room(mine, &self.right.patience, &Cell::new(None))? {
            Some(claim) => self.post(mine, claim, message, &Enclosure::default()).map(|()| true),
            None => Ok(false),
        }
    }

    /// Sends; waits for room until the deadline.
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.send_letter(message, &Enclosure::default(), deadline)
    }

    /// Sends a message that carries `rights`, up to 4: whoever receives it has them, and they can no longer be used
    /// here (`NotOwner`). If sending fails, all of them stay.
    ///
    /// # Errors
    /// As [`Port::send`]; `NotOwner` if one of the rights is not this process's any more, or is named twice; `Invalid`
    /// for more than 4, for a right to receive from the port itself, which nobody could ever receive, for the right
    /// this is sent through, for a member of a [`PortSet`](crate::PortSet), and for a port of another segment.
    pub fn send_rights(&self, message: &[u8], rights: &[&Port], deadline: Deadline) -> Result<()> {
        self.send_letter(message, &Enclosure { rights, ..Enclosure::default() }, deadline)
    }

    /// Sends, or, if the port is full, leaves the message there all the same and returns `false`: it is *pending*. When
    /// it was received, `notify` tells ([`PortEvent::Accepted`]), and another one may be left. Never waits.
    ///
    /// # Errors
    /// As [`Port::send`]; `Busy` if a message that was sent through this right is pending; `NoSpace` if 8 others have
    /// one pending, or `notify` waits for 16 notifications.
    pub fn send_pending(&self, message: &[u8], notify: &Port) -> Result<bool> {
        let mine = self.sending(message.len(), &Enclosure::default())?;
        if let Some(claim) = self.room(mine, &self.right.patience, &Cell::new(None))? {
            return self.post(mine, claim, message, &Enclosure::default()).map(|()| true);
        }
        let (memory, name) = (&self.right.memory, self.right.object.address());
        let Some(record) = self.right().eq(&Right::Send).then_some(self.right.ticket.index) else {
            let why = format!("port {name:?} is full; only through a right to send can a message be left pending");
            return Err(Error::new(ErrorKind::NotOwner, why));
        };
        let pending = |(place, stamp)| memory.places().carries(place, stamp);
        if memory.rights().pending(record).is_some_and(pending) {
            let why = format!(
                "port {name:?}: a message that was sent through this right is still pending; wait for its notification"
            );
            return Err(Error::new(ErrorKind::Busy, why));
        }
        let (first, end) = (memory.capacity, memory.capacity + PENDING);
        let claim = memory.places().claim_send(mine, first, end).map_err(|garbage| self.corrupt(garbage))?;
        let Some(claim) = claim else {
            let why = format!("port {name:?}: {PENDING} messages are pending already; try again when it has room");
            return Err(Error::new(ErrorKind::NoSpace, why));
        };
        memory.rights().set_pending(record, claim.index, claim.stamp());
        let message_id = u64::from(claim.index) | claim.stamp() << 16;
        let wish = notify::Wish { event: PortEvent::Accepted, port: self.id(), message: message_id };
        let sent = self.ask(mine, notify, wish);
        if let Err(error) = sent {
            let _ = memory.places().release(claim);
            return Err(error);
        }
        match self.post(mine, claim, message, &Enclosure::default()) {
            Ok(()) => Ok(false),
            Err(error) => {
                notify::forget(&notify.right.memory.control().requests, wish);
                Err(error)
            }
        }
    }

    /// Receives the oldest message into `buffer`, which must hold `message_size` bytes; waits for ever.
    ///
    /// # Errors
    /// `NotOwner` unless this is the right to receive and this process has it: also while it waits, if another thread
    /// gives it away; `Busy` for a member of a [`PortSet`](crate::PortSet); `TooLarge` for a smaller buffer: then
    /// nothing is taken; `Removed`; `Corrupt`; `Forked`.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Delivery> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives if there is a message.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<Delivery>> {
        self.not_in_a_set()?;
        self.try_receive_any(buffer)
    }

    /// Receives; waits until the deadline.
    pub fn receive_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Delivery> {
        self.not_in_a_set()?;
        self.receive_if(buffer, deadline, |_| true, || Ok(()))
    }

    /// As [`Port::try_receive`], for whoever has the set.
    pub(super) fn try_receive_any(&self, buffer: &mut [u8]) -> Result<Option<Delivery>> {
        let me = self.receiving(buffer.len())?;
        let found = self.find(me, buffer, &self.right.patience, &Cell::new(None), &|_| true)?;
        if found.is_none() {
            self.right.object.still_there()?; // So that polling ends when the port was removed.
        }
        Ok(found)
    }

    /// Receives the oldest message whose envelope, in this place, `fits`. `still` ends the wait with its error.
    pub(super) fn receive_if(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
        fits: impl Fn(u32) -> bool,
        still: impl Fn() -> Result<()>,
    ) -> Result<Delivery> {
        let me = self.receiving(buffer.len())?;
        let (patience, suspect, tries) = (Patience::from_now(), Cell::new(None), Cell::new(0u32));
        let rx = &self.right.memory.control().rx.0;
        let delivery = wait::until(
            &self.right.object.waiting(WaitMode::Receive, 0),
            rx,
            &self.right.spin_rx,
            deadline,
            || suspect.get(),
            || {
                tries.set(tries.get().saturating_add(1));
                self.receiving(buffer.len())?;
                let found = self.find(me, buffer, &patience, &suspect, &fits)?;
                if found.is_none() {
                    still()?;
                }
                Ok(found)
            },
        )?;
        if tries.get() > 1 {
            rx.notify(1); // Its wake may have been spent on a message that another thread waits for.
        }
        Ok(delivery)
    }

    fn not_in_a_set(&self) -> Result<()> {
        if self.right.flags.load(Relaxed) & IN_A_SET == 0 {
            return Ok(());
        }
        let why = format!(
            "receive from port {:?}: it is in a port set; receive from the set, or take the port out",
            self.right.object.address()
        );
        Err(Error::new(ErrorKind::Busy, why))
    }

    fn receiving(&self, buffer: usize) -> Result<u32> {
        let most = self.message_size();
        if buffer < most {
            let why = format!(
                "receive: a buffer of {buffer} bytes is too small for port {:?}, whose messages have up to {most}; \
                 pass one of {most} bytes",
                self.right.object.address()
            );
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        self.entitled(&[Right::Receive], "receive from")
    }

    fn sending(&self, size: usize, with: &Enclosure<'_>) -> Result<u32> {
        let most = self.message_size();
        if size > most {
            let why = format!(
                "send: {size} bytes are too large for port {:?}, whose messages have at most {most}; \
                 send less at once, or create it with a larger message size",
                self.right.object.address()
            );
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        let me = self.entitled(&[Right::Send, Right::SendOnce], "send to")?;
        for right in with.each() {
            self.check_enclosed(right)?;
        }
        if with.each().count() > ENCLOSED {
            let why = format!("send: a message carries {ENCLOSED} rights at most; send several messages");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        for (i, right) in with.each().enumerate() {
            if with.each().take(i).any(|earlier| Arc::ptr_eq(&earlier.right, &right.right)) {
                let (name, right) = (right.right.object.address(), right.right());
                let why = format!(
                    "give the right to port {name:?}: this right to {right} is named twice in one message; name it once, \
                     or make another one"
                );
                return Err(Error::new(ErrorKind::NotOwner, why));
            }
        }
        Ok(me)
    }

    fn check_enclosed(&self, right: &Port) -> Result<()> {
        self.same_segment(right)?;
        let refuse = |why: &str| {
            let name = right.right.object.address();
            Err(Error::new(ErrorKind::Invalid, format!("give the right to port {name:?}: {why}")))
        };
        if Arc::ptr_eq(&self.right, &right.right) {
            return refuse("the message is sent through it; make another one with send_right");
        }
        if right.right() == Right::Receive && right.id() == self.id() {
            return refuse("nobody could receive a message in its own port; send it to another one");
        }
        if right.right.flags.load(Relaxed) & IN_A_SET != 0 {
            return refuse("it is in a port set; take it out first");
        }
        right.entitled(&[Right::Receive, Right::Send, Right::SendOnce], "give the right to").map(drop)
    }

    pub(super) fn send_letter(&self, message: &[u8], with: &Enclosure<'_>, deadline: Deadline) -> Result<()> {
        let me = self.sending(message.len(), with)?;
        let (patience, suspect) = (&self.right.patience, Cell::new(None));
        let claim = wait::until(
            &self.right.object.waiting(WaitMode::Send, 0),
            &self.right.memory.control().tx.0,
            &self.right.spin_tx,
            deadline,
            || suspect.get(),
            || {
                self.entitled(&[Right::Send, Right::SendOnce], "send to")?;
                self.room(me, patience, &suspect)
            },
        )?;
        self.post(me, claim, message, with)
    }

    /// A place to write to, now or never. `suspect`: who is in the way.
    fn room(&self, me: u32, patience: &Patience, suspect: &Cell<Option<u32>>) -> Result<Option<Claim>> {
        let (memory, ask) = (&self.right.memory, patience.is_over());
        let receiver = self.life(ask).receiver(memory);
        if receiver == Receiver::Dead {
            self.right.object.still_there()?;
            return Err(self.peer_dead());
        }
        suspect.set(None);
        let claim = memory.places().claim_send(me, 0, memory.capacity).map_err(|garbage| self.corrupt(garbage))?;
        if claim.is_none() {
            self.right.object.still_there()?;
            let owner = self.clear(me, ask);
            suspect.set(match receiver {
                Receiver::Slot(slot) => Some(slot),
                _ => owner,
            });
        }
        Ok(claim)
    }

    /// Writes a message into the claimed place and sends it.
    fn post(&self, me: u32, claim: Claim, message: &[u8], with: &Enclosure<'_>) -> Result<()> {
        let memory = &self.right.memory;
        let carrier = Carrier::new(self.id(), claim);
        let envelope = memory.envelope(claim.index);
        let (mut given, mut failed) = (0, None);
        for (right, place) in with.each().zip(&envelope.enclosed) {
            let ticket = right.right.ticket;
            if !right.right.memory.rights().put(ticket, me, carrier) {
                failed = Some(right.not_entitled("give"));
                break;
            }
            place.set(right.id(), ticket);
            given += 1;
        }
        // A right to send once ends with its use.
        if failed.is_none() && self.right() == Right::SendOnce && !memory.rights().give_up(self.right.ticket, me) {
            failed = Some(self.not_entitled("send to"));
        }
        if let Some(error) = failed {
            // First the rights, then the place: as long as that is ours they are not lost.
            for right in with.each().take(given) {
                right.right.memory.rights().put_back(right.right.ticket, me);
            }
            let _ = memory.places().release(claim);
            memory.control().tx.0.notify(1);
            return Err(error);
        }
        // Relaxed throughout: `publish` releases all of it (edge `message`).
        envelope.len.store(message.len() as u32, Relaxed);
        envelope.deliveries.store(0, Relaxed);
        envelope.from.store(with.from, Relaxed);
        envelope.via.store(via(self.right.ticket), Relaxed);
        envelope.rights.store(given as u32, Relaxed);
        envelope.reply.store(u32::from(with.reply.is_some()), Relaxed);
        // SAFETY: the payload of a place has `message_size` bytes inside the object, and `message` is no longer:
        // `sending`. Peers may read and store there meanwhile: it is a raw copy of bytes.
        unsafe { copy_in(memory.payload(claim.index), message) };
        // Said before it is done: who is killed in between says nothing any more.
        for right in with.each() {
            right.right.flags.fetch_or(GIVEN, Relaxed);
        }
        let sent = memory.places().publish(claim);
        memory.control().rx.0.notify(1);
        for right in with.each() {
            // Whoever waits there finds out that it is not its receiver any more.
            right.life(false).changed(&right.right.memory);
        }
        if sent { Ok(()) } else { Err(self.robbed(claim)) }
    }

    /// A notification or a message that fits, if there is one.
    fn find(
        &self,
        me: u32,
        buffer: &mut [u8],
        patience: &Patience,
        suspect: &Cell<Option<u32>>,
        fits: &impl Fn(u32) -> bool,
    ) -> Result<Option<Delivery>> {
        let memory = &self.right.memory;
        suspect.set(None);
        let mut ask = false;
        if notify::is_asked(memory) {
            ask = patience.is_over();
            if let Some(notification) = notify::tell(memory, self.life(ask)) {
                return Ok(Some(Delivery { notification: Some(notification), ..Delivery::default() }));
            }
        }
        // As often as other threads of this process may be faster.
        for _ in 0..64 {
            let Some(at) = memory.places().oldest(fits).map_err(|garbage| self.corrupt(garbage))? else { break };
            if let Some(claim) = memory.places().claim_receive(at, me) {
                return self.open(me, claim, buffer).map(Some);
            }
        }
        ask |= patience.is_over();
        suspect.set(self.clear(me, ask));
        Ok(None)
    }

    /// Reads the claimed message and the rights in it, and gives its place back.
    fn open(&self, me: u32, claim: Claim, buffer: &mut [u8]) -> Result<Delivery> {
        let memory = &self.right.memory;
        let (places, envelope) = (memory.places(), memory.envelope(claim.index));
        // Relaxed throughout: the claim acquired it (edge `message`). Strangers' numbers, checked.
        let len = envelope.len.load(Relaxed) as usize;
        let rights = envelope.rights.load(Relaxed) as usize;
        if len > self.message_size() || rights > ENCLOSED {
            let _ = places.release(claim);
            memory.control().tx.0.notify(1);
            let why = format!(
                "port {:?}: a message says that it has {len} bytes and {rights} rights, which cannot be; it was dropped",
                self.right.object.address()
            );
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        let mut delivery = Delivery {
            size: len,
            redelivered: (envelope.deliveries.load(Relaxed) & 0xFFFF) as u16,
            from: envelope.from.load(Relaxed),
            ..Delivery::default()
        };
        let has_reply = envelope.reply.load(Relaxed) == 1;
        let mut taken = Vec::new();
        for enclosed in &envelope.enclosed[..rights] {
            match self.begin(me, claim, enclosed.get()) {
                Ok(right) => taken.push(right),
                Err(error) => {
                    // The segment's directory could not be had: nothing was received.
                    self.put_back(me, claim, taken);
                    return Err(error);
                }
            }
        }
        if let Some(target) = buffer.get_mut(..len) {
            // SAFETY: the payload of a place has `message_size` bytes inside the object, and `target` is no longer:
            // checked above. Peers may store there meanwhile: it is a raw copy of bytes.
            unsafe { copy_out(memory.payload(claim.index), target) };
        }
        let ours = places.release(claim);
        memory.control().tx.0.notify(1);
        if claim.index >= memory.capacity {
            self.life(false).changed(memory); // A pending message: its sender is told.
        }
        step!();
        let last = taken.len();
        for (number, right) in taken.into_iter().enumerate() {
            match right {
                Some(Taken { object, memory, ticket }) if memory.rights().end_take(ticket, me) => {
                    let port = Port::of(object, memory, ticket);
                    port.life(false).changed(&memory);
                    if has_reply && number + 1 == last {
                        delivery.reply = Some(port);
                    } else {
                        delivery.rights.push(port);
                    }
                }
                _ => delivery.lost += 1,
            }
        }
        if ours { Ok(delivery) } else { Err(self.robbed(claim)) }
    }

    /// Begins to take one right. `None`: it was lost.
    fn begin(&self, me: u32, claim: Claim, enclosed: Option<(u64, Ticket)>) -> Result<Option<Taken>> {
        let Some((port, ticket)) = enclosed else { return Ok(None) };
        let (index, generation) = index_and_generation(port);
        let Some(object) = self.right.object.sibling(KIND_OF_PORT, index, generation)? else { return Ok(None) };
        let memory = attach(&object)?;
        let ours = memory.rights().begin_take(ticket, me, Carrier::new(self.id(), claim));
        Ok(ours.then_some(Taken { object, memory, ticket }))
    }

    fn put_back(&self, me: u32, claim: Claim, taken: Vec<Option<Taken>>) {
        for right in taken.into_iter().flatten() {
            right.memory.rights().abandon_take(right.ticket, me);
        }
        self.right.memory.places().put_back(claim);
        self.right.memory.control().rx.0.notify(1);
    }

    /// A live owner's claim was changed by somebody else, which no process of ours does.
    #[cold]
    fn robbed(&self, claim: Claim) -> Error {
        let why = format!(
            "port {:?}: somebody changed place {} while this process held it",
            self.right.object.address(),
            claim.index
        );
        Error::new(ErrorKind::Corrupt, why)
    }
}
