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

mod child;
mod child_bell;
mod child_ends;
mod daemon;
mod family;
mod fifo;
mod file_lock;
mod fork;
mod handlers;
mod lock_file;
#[cfg(test)]
mod own_process;
mod owned;
mod pipe;
mod pipeline;
mod posix_name;
mod posix_queue;
mod posix_semaphore;
mod posix_shared_memory;
mod process_limit;
mod process_tree;
mod range_lock;
mod shared_memory;
mod signal;
mod signals;
mod socket;
mod spawn;
mod stopping;
mod stream;
mod sysctl;
mod sysv_key;
mod sysv_queue;
mod sysv_semaphores;
mod sysv_shared_memory;
mod sysv_status;
mod turn;
mod wait;

pub use child::Child;
pub use child_ends::{ChildEnds, EndedChild, ended_children};
pub use daemon::{Daemon, DaemonOptions};
#[doc(hidden)]
pub use daemon::{DaemonSide, Starting, fork as __fork};
pub use family::{Family, Member, chain, fan};
#[doc(hidden)]
pub use fifo::OpeningReader;
pub use fifo::{Fifo, FifoOptions};
pub use file_lock::{FileLock, FileLockGuard, LockMode};
pub use fork::{fork, fork_raw};
pub use handlers::Handlers;
pub use lock_file::{LockFile, LockFileGuard, LockFileHolder, LockFileOptions};
pub use owned::{OwnedKind, OwnedObject, owned_objects};
pub use pipe::{Pipe, PipeReader, PipeWriter, pipe};
pub use pipeline::{Pipeline, PipelineOutput, RunningPipeline};
pub use posix_queue::{PosixQueue, PosixQueueInfo, PosixQueueOptions, QueueAccess};
pub use posix_semaphore::{PosixSemaphore, PosixSemaphoreOptions};
pub use posix_shared_memory::{PosixSharedMemory, PosixSharedMemoryOptions};
pub use process_tree::{ProcessTree, TreeNode};
pub use range_lock::{RangeBlocker, RangeLock, RangeLockGuard};
pub use shared_memory::SharedMemory;
pub use signal::{queue_signal, send_signal, signal_name};
pub use signals::{Mask, SignalInfo, Signals};
#[doc(hidden)]
pub use socket::Connecting;
pub use socket::{
    BindOptions, DESCRIPTORS_MAX, Datagram, Listener, PeerCredentials, ReceivedDescriptors, Seqpacket,
    SeqpacketListener, SocketAddress, Stream, ToSocketAddress,
};
pub use spawn::{Redirect, Spawn};
pub use stopping::{
    StopGuard, StopLock, continue_process, continue_stopped, is_stopped, stop_process, stop_self, wait_stopped,
};
pub use sysv_key::SysvKey;
pub use sysv_queue::{SysvQueue, SysvQueueInfo, SysvQueueOptions, SysvSelect};
pub use sysv_semaphores::{
    SemaphoreOperation, SysvSemaphoreInfo, SysvSemaphores, SysvSemaphoresInfo, SysvSemaphoresOptions,
};
pub use sysv_shared_memory::{SysvSharedMemory, SysvSharedMemoryInfo, SysvSharedMemoryOptions};
#[doc(hidden)]
pub use turn::{Taken, Turn};
