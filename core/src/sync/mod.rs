//! Objects that processes wait for.

pub mod mutex;
pub mod semaphore;

pub use mutex::{Holder, LockError, Mutex, MutexGuard, MutexLine};
pub use semaphore::Semaphore;
