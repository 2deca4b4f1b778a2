//! Would a server find a request now, a client a free cell, or the answer to its call? For whoever waits for several
//! things at once. Nothing is taken.

use super::call::Call;
use super::cells::{Claim, Standing};
use super::{RECHECK_NS, Service};
use crate::error::Result;
use crate::segment::object::Object;
use crate::wait::{EventCount, ParkWord, World};

impl Service {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where servers sleep.
    pub(crate) fn requests(&self) -> &EventCount {
        &self.memory.control().servers.0
    }

    /// Where clients sleep that find every cell taken. Who frees one does not fence: look for as long as this says.
    pub(crate) fn rooms(&self) -> (&EventCount, u64) {
        (&self.memory.control().clients.0, if cfg!(any(loom, shuttle)) { 0 } else { RECHECK_NS })
    }

    /// Would `receive` end at once, with a request or because the service was shut down?
    pub(crate) fn could_receive(&self) -> Result<bool> {
        self.server()?;
        let found = self.memory.cells().has_request().map_err(|garbage| self.corrupt(garbage))?;
        Ok(found || self.object.is_shut_down())
    }

    /// Would `start` end at once? `ask`: cells that only the dead could free are freed.
    pub(crate) fn could_start(&self, ask: bool) -> Result<bool> {
        self.object.me()?;
        let cells = self.memory.cells();
        let room = || cells.has_room() || self.object.is_shut_down();
        Ok(room() || ask && self.clear_the_dead() && room())
    }
}

/// A call, as who waits for several things keeps it: it does not end the call when it goes.
pub struct CallSide {
    service: Service,
    call: Claim,
}

impl Call<'_> {
    /// The side of it that can be waited for.
    pub(crate) fn side(&self) -> Result<CallSide> {
        self.check_fork()?;
        Ok(CallSide { service: self.service.clone(), call: self.call })
    }
}

impl CallSide {
    pub(crate) fn object(&self) -> &Object {
        &self.service.object
    }

    /// Where the client sleeps.
    pub(crate) fn bell(&self) -> &ParkWord {
        self.service.memory.park(self.call.index)
    }

    /// Would waiting for the answer end at once, with it or with an error? `ask`: also because the server is dead. One
    /// that has ended is an error, as its cell may be another's by now.
    pub(crate) fn is_ready(&self, ask: bool) -> Result<bool> {
        let service = &self.service;
        if self.call.client() != service.object.me()? {
            return Err(service.not_ours(self.call));
        }
        // Once more if a dead server's claim could be cleared.
        for _ in 0..2 {
            match self.standing()? {
                Standing::Over => return Err(service.not_ours(self.call)),
                Standing::Waiting => return Ok(service.object.is_shut_down()),
                Standing::Served(server) if service.object.is_seat(server) => {
                    if !(ask && service.object.is_dead(server) && service.repair(server)) {
                        return Ok(false);
                    }
                }
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The server, once there is one.
    pub(crate) fn suspect(&self) -> Option<u32> {
        match self.standing() {
            Ok(Standing::Served(server)) => Some(server),
            _ => None,
        }
    }

    fn standing(&self) -> Result<Standing> {
        self.service.memory.cells().look(self.call).map_err(|garbage| self.service.corrupt(garbage))
    }
}
