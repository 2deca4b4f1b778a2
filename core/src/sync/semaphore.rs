//! A counting semaphore that lives in shared memory (Dijkstra's P and V).

use crate::{Deadline, Result, segment::object::Object};

/// A counting semaphore.
#[derive(Clone)]
pub struct Semaphore { #[allow(dead_code)] object: Object }

impl Semaphore {
    /// The most permits a semaphore holds.
    pub const MAX: u32 = i32::MAX as u32;
    /// Takes a permit; waits for one for ever.
    pub fn wait(&self) -> Result<()> { self.wait_until(Deadline::never()) }
    /// Takes a permit if there is one.
    pub fn try_wait(&self) -> Result<bool> { todo!() }
    /// Takes a permit; waits until the deadline.
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> { let _ = deadline; todo!() }
    /// Adds a permit and wakes one sleeper. Never blocks.
    pub fn post(&self) -> Result<()> { todo!() }
    /// Permits at this moment.
    pub fn value(&self) -> u32 { todo!() }
    /// Its name.
    pub fn name(&self) -> &str { self.object.name() }
}
