//! The kernel's own mechanisms, with the verbs, the deadlines and the errors of our objects.
//!
//! Everything here is the operating system's: its queues, its limits, its permissions. What is added is the manner:
//! every verb that may wait has three forms (`receive`, `try_receive`, `receive_until`), deadlines are monotonic and
//! survive signals, descriptors are close-on-exec, and an error names what was tried, on what, and which limit stands
//! in the way. No thread is started, and nothing is allocated on the way of the data.
//!
//! # Who waits, and how
//!
//! The form that waits for ever is the plain blocking system call. The others try without waiting and sleep in
//! poll(2); where the kernel offers nothing to poll they try again after pauses that grow from 50 µs to 4 ms.
//!
//! # Who cleans up
//!
//! A pipe or a socket pair ends with the last process that has it. What has a name stays until somebody removes it,
//! also when all its users are dead. A creator that asked to be its owner removes it together with its handle; if it
//! is killed first, `triveni ls` shows what it left, and `triveni rm` removes that.

mod fifo;
mod owned;
mod pipe;
mod posix_name;
mod posix_queue;
mod posix_semaphore;
mod posix_shared_memory;
mod shared_memory;
mod stream;
mod sysctl;
mod sysv_key;
mod sysv_queue;
mod wait;

pub use fifo::{Fifo, FifoOptions};
pub use owned::{OwnedKind, OwnedObject, owned_objects};
pub use pipe::{Pipe, PipeReader, PipeWriter, pipe};
pub use posix_queue::{PosixQueue, PosixQueueInfo, PosixQueueOptions, QueueAccess};
pub use posix_semaphore::{PosixSemaphore, PosixSemaphoreOptions};
pub use posix_shared_memory::{PosixSharedMemory, PosixSharedMemoryOptions};
pub use shared_memory::SharedMemory;
pub use sysv_key::SysvKey;
pub use sysv_queue::{SysvQueue, SysvQueueInfo, SysvQueueOptions, SysvSelect};
