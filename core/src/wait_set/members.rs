//! What a wait set can wait for: one side of an object each.
//!
//! A new kind of object joins with an `impl` of [`Side`] for what the set keeps of it, and of [`Waitable`] and
//! [`IntoSide`] for its handle.

use super::any::Ringing;
use super::{Interest, Waitable};
use crate::channel::mailbox::{Mailbox, Offer, OfferSide};
use crate::channel::port::{Port, PortSide, Right};
use crate::channel::ring::{Consumer, Producer, Ring};
use crate::channel::service::{Call, CallSide, Service};
use crate::channel::topic::{Crowd, Publisher, PublisherSide, Subscriber, SubscriberSide};
use crate::data::array::{Array, RawArray};
use crate::data::cell::{Cell, RawCell};
use crate::data::typed::Typed;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::segment::object::Object;
use crate::sync::mutex::{MutexLine, owner_slot};
use crate::sync::{Event, Monitor, Mutex, Semaphore};
use crate::wait::{Bell, EventCount, ParkWord, World};
use std::sync::Arc;

/// One side of an object, as a set keeps it.
pub trait Side: Send + Sync {
    /// The handle.
    fn object(&self) -> &Object;
    /// Where to sleep.
    fn bell(&self) -> AnyBell<'_>;
    /// Would the operation end at once, with success or with an error that is worth having? `ask`: also if whoever is
    /// in its way is dead. An error: the set's member itself is no longer good.
    fn is_ready(&self, ask: bool) -> Result<bool>;
    /// The participant in the way, if one can be named.
    fn suspect(&self) -> Option<u32> {
        None
    }
}

/// How a handle becomes a member. Public to the eye only: this module is not.
pub trait IntoSide {
    /// The side of it that `interest` names; `Invalid` if it has none such.
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>>;
}

/// The bells there are.
#[derive(Clone, Copy)]
pub enum AnyBell<'a> {
    /// For any number of sleepers.
    Count(&'a EventCount),
    /// The same, and who rings it does not fence: look again for so long.
    Unfenced(&'a EventCount, u64),
    /// The same, of a semaphore, whose permits say that somebody sleeps.
    Permits(&'a Semaphore),
    /// The same, beside a publisher that does not fence, and wakes all.
    Crowd(Crowd<'a>),
    /// For one; the set is it.
    Park(&'a ParkWord),
    /// The word of a lock.
    Lock(&'a MutexLine),
}

impl Ringing for Arc<dyn Side> {
    fn word(&self) -> &AtomicU32 {
        match self.bell() {
            AnyBell::Count(count) | AnyBell::Unfenced(count, _) => count.word(),
            AnyBell::Permits(semaphore) => semaphore.bell().word(),
            AnyBell::Crowd(crowd) => crowd.0.word(),
            AnyBell::Park(park) => park.word(),
            AnyBell::Lock(line) => line.futex(),
        }
    }

    fn prepare(&self) -> u32 {
        match self.bell() {
            AnyBell::Count(count) | AnyBell::Unfenced(count, _) => count.prepare(),
            AnyBell::Permits(semaphore) => semaphore.announce(),
            AnyBell::Crowd(crowd) => crowd.prepare(),
            AnyBell::Park(park) => park.prepare(),
            AnyBell::Lock(line) => line.announce(),
        }
    }

    fn recheck_ns(&self) -> u64 {
        match self.bell() {
            AnyBell::Unfenced(_, recheck_ns) => recheck_ns,
            AnyBell::Crowd(crowd) => crowd.recheck_ns(),
            AnyBell::Park(park) => park.recheck_ns(),
            _ => 0,
        }
    }

    fn done(&self) {
        if let AnyBell::Park(park) = self.bell() {
            park.done();
        }
    }

    fn pass_on(&self) {
        match self.bell() {
            // If it is not ready, somebody was faster, and whoever makes it ready again will wake.
            AnyBell::Count(count) | AnyBell::Unfenced(count, _) if self.is_ready(false).unwrap_or(true) => {
                count.notify(1)
            }
            AnyBell::Permits(semaphore) if semaphore.value() > 0 => semaphore.bell().notify(1),
            // Of a crowd all were woken.
            AnyBell::Count(_) | AnyBell::Unfenced(..) | AnyBell::Permits(_) | AnyBell::Crowd(_) => {}
            // Ready or not: unlocking has cleared WAITERS, and those who still sleep must set it again.
            AnyBell::Lock(line) => line.wake_one(),
            // The one waiter may be asleep in its own name while the set's lookout sleeps there too.
            AnyBell::Park(park) => park.ring(),
        }
    }
}

#[cold]
fn misfit(object: &Object, kind: &str, interest: Interest, fits: &str) -> Error {
    let why = format!("wait for {}: {kind} is waited for with {fits}, not with {interest:?}", object.address());
    Error::new(ErrorKind::Invalid, why)
}

impl Side for Semaphore {
    fn object(&self) -> &Object {
        Semaphore::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Permits(self)
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        // Of a dead holder's lease the next try takes hold.
        Ok(self.value() > 0 || ask && self.holders().iter().any(|holder| Side::object(self).is_dead(holder.slot)))
    }
    fn suspect(&self) -> Option<u32> {
        self.holders().first().map(|holder| holder.slot)
    }
}

impl Waitable for Semaphore {}
impl IntoSide for Semaphore {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Receive => Ok(Arc::new(self.clone())),
            _ => Err(misfit(self.object(), "a semaphore", interest, "Receive (a permit)")),
        }
    }
}

impl Side for Mutex {
    fn object(&self) -> &Object {
        Mutex::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Lock(self.in_segment())
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        let Some(owner) = Side::suspect(self) else { return Ok(true) };
        if !self.object().is_seat(owner) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "lock {}: slot {owner} holds it, which no process can have: the segment holds garbage; create it again",
                    self.address()
                ),
            ));
        }
        Ok(ask && self.object().is_dead(owner))
    }
    fn suspect(&self) -> Option<u32> {
        Some(owner_slot(self.in_segment().word())).filter(|slot| *slot != 0)
    }
}

impl Waitable for Mutex {}
impl IntoSide for Mutex {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Receive => Ok(Arc::new(self.clone())),
            _ => Err(misfit(self.object(), "a lock", interest, "Receive (that it is free)")),
        }
    }
}

impl Waitable for Monitor {}
impl IntoSide for Monitor {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        self.mutex().side(interest)
    }
}

/// Some flags of an event.
struct Flags {
    event: Event,
    mask: u32,
    all: bool,
}

impl Side for Flags {
    fn object(&self) -> &Object {
        self.event.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(self.event.bell())
    }
    fn is_ready(&self, _ask: bool) -> Result<bool> {
        let set = self.event.flags() & self.mask;
        Ok(if self.all { set == self.mask } else { set != 0 })
    }
}

impl Waitable for Event {}
impl IntoSide for Event {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let (mask, all) = match interest {
            Interest::AnyFlag(mask) => (mask, false),
            Interest::AllFlags(mask) => (mask, true),
            _ => return Err(misfit(self.object(), "an event", interest, "AnyFlag(mask) or AllFlags(mask)")),
        };
        if mask == 0 {
            let why = format!("wait for {}: a mask of 0 names no flag", self.address());
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        Ok(Arc::new(Flags { event: self.clone(), mask, all }))
    }
}

/// What one waits for at a mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Message,
    /// At a rendezvous: that a receiver waits.
    Room,
    /// Whether or not a receiver waits.
    Place,
}

/// One side of a mailbox.
struct MailboxSide {
    mailbox: Mailbox,
    waits_for: For,
    /// Whose claim was in the way when somebody looked last; 0: nobody's. Process-private.
    suspect: AtomicU32,
}

impl Side for MailboxSide {
    fn object(&self) -> &Object {
        self.mailbox.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(match self.waits_for {
            For::Message => self.mailbox.rx(),
            For::Room => self.mailbox.send_bell(),
            For::Place => self.mailbox.tx(),
        })
    }
    fn is_ready(&self, _ask: bool) -> Result<bool> {
        let (ready, suspect) = match self.waits_for {
            For::Message => self.mailbox.could_receive(),
            For::Room => self.mailbox.could_send(),
            For::Place => self.mailbox.could_put_down(),
        }?;
        // Relaxed: a hint, how long to sleep.
        self.suspect.store(suspect.unwrap_or(0), Relaxed);
        Ok(ready)
    }
    fn suspect(&self) -> Option<u32> {
        Some(self.suspect.load(Relaxed)).filter(|slot| *slot != 0)
    }
}

impl Waitable for Mailbox {}
impl IntoSide for Mailbox {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let waits_for = match interest {
            Interest::Receive => For::Message,
            Interest::Send => For::Room,
            Interest::Room(size) => {
                self.check_size("wait for room", size)?;
                For::Place
            }
            _ => return Err(misfit(self.object(), "a mailbox", interest, "Receive, Send or Room(size)")),
        };
        Ok(Arc::new(MailboxSide { mailbox: self.clone(), waits_for, suspect: AtomicU32::new(0) }))
    }
}

/// An offer.
struct Offered {
    side: OfferSide,
    /// Who copied the message when somebody looked last; 0: nobody. Process-private.
    suspect: AtomicU32,
}

impl Side for Offered {
    fn object(&self) -> &Object {
        self.side.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(self.side.bell())
    }
    fn is_ready(&self, _ask: bool) -> Result<bool> {
        let (ready, suspect) = self.side.is_ready()?;
        // Relaxed: a hint, how long to sleep.
        self.suspect.store(suspect.unwrap_or(0), Relaxed);
        Ok(ready)
    }
    fn suspect(&self) -> Option<u32> {
        Some(self.suspect.load(Relaxed)).filter(|slot| *slot != 0)
    }
}

impl Waitable for Offer {}
impl IntoSide for Offer {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let side = Offer::side(self);
        match interest {
            Interest::Send => Ok(Arc::new(Offered { side, suspect: AtomicU32::new(0) })),
            _ => Err(misfit(side.object(), "an offer", interest, "Send (that a receiver has it)")),
        }
    }
}

/// The reading end of a ring.
struct Reads {
    ring: Ring,
    mine: u32,
}

impl Side for Reads {
    fn object(&self) -> &Object {
        self.ring.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Park(self.ring.filled())
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        self.ring.could_read(self.mine, ask)
    }
    fn suspect(&self) -> Option<u32> {
        self.ring.writer_slot()
    }
}

impl Waitable for Consumer {}
impl IntoSide for Consumer {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let (ring, mine) = self.end()?;
        match interest {
            Interest::Receive => Ok(Arc::new(Reads { ring: ring.clone(), mine })),
            _ => Err(misfit(ring.object(), "the consumer of a ring", interest, "Receive")),
        }
    }
}

/// The writing end of a ring.
struct Writes {
    ring: Ring,
    mine: u32,
    size: u64,
}

impl Side for Writes {
    fn object(&self) -> &Object {
        self.ring.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Park(self.ring.freed())
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        self.ring.could_write(self.mine, self.size, ask)
    }
    fn suspect(&self) -> Option<u32> {
        self.ring.reader_slot()
    }
}

impl Waitable for Producer {}
impl IntoSide for Producer {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let (ring, mine) = self.end()?;
        let most = ring.max_record();
        let size = match interest {
            Interest::Send => most,
            Interest::Room(size) if size <= most => size,
            Interest::Room(size) => {
                let why = format!(
                    "wait for room for {size} bytes in ring \"{}\": a record has {most} at most; ask for less, or make the ring larger",
                    ring.object().address()
                );
                return Err(Error::new(ErrorKind::TooLarge, why));
            }
            _ => return Err(misfit(ring.object(), "the producer of a ring", interest, "Send or Room(size)")),
        };
        Ok(Arc::new(Writes { ring: ring.clone(), mine, size: size as u64 }))
    }
}

impl Side for SubscriberSide {
    fn object(&self) -> &Object {
        SubscriberSide::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Crowd(SubscriberSide::bell(self))
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        SubscriberSide::is_ready(self, ask)
    }
    fn suspect(&self) -> Option<u32> {
        SubscriberSide::suspect(self)
    }
}

impl Waitable for Subscriber {}
impl IntoSide for Subscriber {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Receive => Ok(Arc::new(Subscriber::side(self)?)),
            _ => Err(misfit(self.object(), "a subscriber of a topic", interest, "Receive")),
        }
    }
}

impl Side for PublisherSide {
    fn object(&self) -> &Object {
        PublisherSide::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Park(PublisherSide::bell(self))
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        PublisherSide::is_ready(self, ask)
    }
    fn suspect(&self) -> Option<u32> {
        PublisherSide::suspect(self)
    }
}

impl Waitable for Publisher {}
impl IntoSide for Publisher {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Send => Ok(Arc::new(Publisher::side(self)?)),
            _ => Err(misfit(self.object(), "the publisher of a topic", interest, "Send")),
        }
    }
}

impl Side for Service {
    fn object(&self) -> &Object {
        Service::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(self.requests())
    }
    fn is_ready(&self, _ask: bool) -> Result<bool> {
        self.could_receive()
    }
}

/// The client's side of a service: a free cell for a request.
struct Asks(Service);

impl Side for Asks {
    fn object(&self) -> &Object {
        self.0.object()
    }
    fn bell(&self) -> AnyBell<'_> {
        let (bell, recheck_ns) = self.0.rooms();
        AnyBell::Unfenced(bell, recheck_ns)
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        self.0.could_start(ask)
    }
}

impl Waitable for Service {}
impl IntoSide for Service {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Receive => Ok(Arc::new(self.clone())),
            Interest::Send => Ok(Arc::new(Asks(self.clone()))),
            _ => Err(misfit(self.object(), "a service", interest, "Receive (a request) or Send (room for one)")),
        }
    }
}

impl Side for CallSide {
    fn object(&self) -> &Object {
        CallSide::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Park(CallSide::bell(self))
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        CallSide::is_ready(self, ask)
    }
    fn suspect(&self) -> Option<u32> {
        CallSide::suspect(self)
    }
}

impl Waitable for Call<'_> {}
impl IntoSide for Call<'_> {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        let side = Call::side(self)?;
        match interest {
            Interest::Receive => Ok(Arc::new(side)),
            _ => Err(misfit(side.object(), "a call", interest, "Receive (its answer)")),
        }
    }
}

impl Side for PortSide {
    fn object(&self) -> &Object {
        PortSide::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(PortSide::bell(self))
    }
    fn is_ready(&self, ask: bool) -> Result<bool> {
        PortSide::is_ready(self, ask)
    }
    fn suspect(&self) -> Option<u32> {
        PortSide::suspect(self)
    }
}

impl Waitable for Port {}
impl IntoSide for Port {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match (interest, self.right()) {
            (Interest::Receive, Right::Receive) | (Interest::Send, Right::Send | Right::SendOnce) => {
                Ok(Arc::new(PortSide::new(self)))
            }
            (_, Right::Receive) => Err(misfit(self.object(), "a right to receive from a port", interest, "Receive")),
            _ => Err(misfit(self.object(), "a right to send to a port", interest, "Send")),
        }
    }
}

impl Waitable for RawArray {}
impl IntoSide for RawArray {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        self.lock().side(interest)
    }
}

impl<T: Typed> Waitable for Array<T> {}
impl<T: Typed> IntoSide for Array<T> {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        self.raw().side(interest)
    }
}

impl Side for RawCell {
    fn object(&self) -> &Object {
        RawCell::object(self)
    }
    fn bell(&self) -> AnyBell<'_> {
        AnyBell::Count(self.changed())
    }
    fn is_ready(&self, _ask: bool) -> Result<bool> {
        Ok(self.has_newer())
    }
}

impl Waitable for RawCell {}
impl IntoSide for RawCell {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        match interest {
            Interest::Receive => Ok(Arc::new(self.companion())),
            _ => Err(misfit(self.object(), "a cell", interest, "Receive (a newer value)")),
        }
    }
}

impl<T: Typed> Waitable for Cell<T> {}
impl<T: Typed> IntoSide for Cell<T> {
    fn side(&self, interest: Interest) -> Result<Arc<dyn Side>> {
        self.raw().side(interest)
    }
}
