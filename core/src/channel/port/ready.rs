//! Would a receiver find something now, a sender room? For whoever waits for several things at once. Nothing is taken.

use super::Port;
use super::life::Receiver;
use super::notify;
use super::places::State;
use super::rights::Right;
use crate::error::Result;
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::segment::object::Object;
use crate::wait::{EventCount, World};

impl Port {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.right.object
    }

    /// Where receivers sleep, and where senders do.
    pub(crate) fn bells(&self) -> (&EventCount, &EventCount) {
        let control = self.right.memory.control();
        (&control.rx.0, &control.tx.0)
    }

    /// Is there a message or a notification, or is this not the right to receive any more? If not, whose claim may be
    /// in the way.
    pub(crate) fn could_receive(&self, ask: bool) -> Result<(bool, Option<u32>)> {
        let memory = &self.right.memory;
        let Ok(me) = self.entitled(&[Right::Receive], "wait for") else { return Ok((true, None)) };
        if notify::would_tell(memory, self.life(ask)) {
            return Ok((true, None));
        }
        for at in memory.places().each() {
            if at.state().map_err(|garbage| self.corrupt(garbage))? == State::Full {
                return Ok((true, None));
            }
        }
        Ok((false, self.clear(me, ask)))
    }

    /// Is there room, or can nobody receive any more? If not, who is in the way.
    pub(crate) fn could_send(&self, ask: bool) -> Result<(bool, Option<u32>)> {
        let memory = &self.right.memory;
        let Ok(me) = self.entitled(&[Right::Send, Right::SendOnce], "wait for") else { return Ok((true, None)) };
        let receiver = self.life(ask).receiver(memory);
        let places = memory.places();
        for at in places.each().take(memory.capacity as usize) {
            if at.state().map_err(|garbage| self.corrupt(garbage))? == State::Free {
                return Ok((true, None));
            }
        }
        Ok(match receiver {
            Receiver::Dead => (true, None),
            Receiver::Slot(slot) => (false, Some(slot)),
            Receiver::Moving | Receiver::Unborn => (false, self.clear(me, ask)),
        })
    }

    /// Can it still be sent through? Not after a fork, nor if its port was removed.
    pub(super) fn is_good(&self) -> bool {
        self.entitled(&[Right::Send], "use").is_ok() && self.right.object.still_there().is_ok()
    }
}

/// One side of a port, as a wait set keeps it.
pub(crate) struct PortSide {
    port: Port,
    /// Whose claim was in the way when somebody looked last; 0: nobody's. Process-private.
    suspect: AtomicU32,
}

impl PortSide {
    /// The receiver's side, or that of those who send, as the right says.
    pub(crate) fn new(port: &Port) -> PortSide {
        PortSide { port: port.clone(), suspect: AtomicU32::new(0) }
    }

    pub(crate) fn object(&self) -> &Object {
        self.port.object()
    }

    pub(crate) fn bell(&self) -> &EventCount {
        let (rx, tx) = self.port.bells();
        if self.port.right() == Right::Receive { rx } else { tx }
    }

    pub(crate) fn is_ready(&self, ask: bool) -> Result<bool> {
        let receives = self.port.right() == Right::Receive;
        let (ready, suspect) = if receives { self.port.could_receive(ask) } else { self.port.could_send(ask) }?;
        // Relaxed: a hint, how long to sleep.
        self.suspect.store(suspect.unwrap_or(0), Relaxed);
        Ok(ready)
    }

    pub(crate) fn suspect(&self) -> Option<u32> {
        Some(self.suspect.load(Relaxed)).filter(|slot| *slot != 0)
    }
}
