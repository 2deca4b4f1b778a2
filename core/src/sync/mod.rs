//! Objects that processes wait for.

pub mod barrier;
pub mod event;
mod lock;
pub mod monitor;
pub mod mutex;
pub mod rwlock;
pub mod semaphore;

pub use barrier::Barrier;
pub use event::{After, Event};
pub use lock::{Guard, Holder, LockError};
pub use monitor::{Condition, Monitor, MonitorGuard};
pub use mutex::{Mutex, MutexGuard, MutexLine};
pub use rwlock::{RwLock, RwPolicy, RwReadGuard, RwWriteGuard};
pub use semaphore::{Semaphore, SemaphoreOptions};
