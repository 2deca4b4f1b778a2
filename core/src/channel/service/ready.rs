//! Would a server find a request now? For whoever waits for several things at once. Nothing is taken.

use super::Service;
use crate::error::Result;
use crate::segment::object::Object;
use crate::wait::EventCount;

impl Service {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where servers sleep.
    pub(crate) fn requests(&self) -> &EventCount {
        &self.memory.control().servers.0
    }

    /// Would `receive` end at once, with a request or because the service was shut down?
    pub(crate) fn could_receive(&self) -> Result<bool> {
        self.server()?;
        let found = self.memory.cells().has_request().map_err(|garbage| self.corrupt(garbage))?;
        Ok(found || self.object.is_shut_down())
    }
}
