//! Objects that processes wait for.

pub(crate) mod barrier;
pub(crate) mod event;
pub(crate) mod hold;
pub(crate) mod monitor;
pub(crate) mod mutex;
pub(crate) mod rwlock;
pub(crate) mod semaphore;
