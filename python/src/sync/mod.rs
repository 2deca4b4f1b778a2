//! Objects that processes wait for.

pub(crate) mod mutex;
pub(crate) mod semaphore;
