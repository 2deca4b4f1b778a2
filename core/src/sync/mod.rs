//! Objects that processes wait for.

mod lock;
pub mod mutex;
pub mod semaphore;

pub use lock::{Guard, Holder, LockError};
pub use mutex::{Mutex, MutexGuard, MutexLine};
pub use semaphore::Semaphore;
