//! Objects that processes wait for.

mod mutex;
mod semaphore;

pub use mutex::{Holder, LockError, Mutex, MutexGuard};
pub use semaphore::Semaphore;
