//! The Python extension of triveni: a list of names.

mod buffer;
mod channel;
mod command;
mod data;
mod deadlock;
mod error;
mod exported;
mod kernel;
mod segment;
mod sync;
mod wait;
mod wait_set;

/// The compiled half of the package `triveni`.
#[pyo3::pymodule(gil_used = false)]
mod _triveni {
    #[pymodule_export]
    use crate::channel::mailbox::{Borrowed, Loan, Mailbox, Offer};
    #[pymodule_export]
    use crate::channel::port::{Delivery, Port, PortSet, Process};
    #[pymodule_export]
    use crate::channel::ring::{Consumer, Producer, ReadGrant, Ring, WriteGrant};
    #[pymodule_export]
    use crate::channel::service::{Answer, Call, CallGrant, Request, Service};
    #[pymodule_export]
    use crate::channel::topic::{PeekGrant, PublishGrant, Publisher, Subscriber, Topic};
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::data::array::{Array, ArrayGuard, ArraySnapshot};
    #[pymodule_export]
    use crate::data::cell::{Cell, StoreGrant};
    #[pymodule_export]
    use crate::deadlock::{Detection, Step, detect, graph};
    #[pymodule_export]
    use crate::kernel::daemon::{Daemon, daemonize};
    #[pymodule_export]
    use crate::kernel::fifo::Fifo;
    #[pymodule_export]
    use crate::kernel::file_lock::{FileLock, FileLockGuard};
    #[pymodule_export]
    use crate::kernel::lock_file::{LockFile, LockFileGuard, LockFileHolder};
    #[pymodule_export]
    use crate::kernel::pipe::{PipeReader, PipeWriter, pipe};
    #[pymodule_export]
    use crate::kernel::pipeline::{Pipeline, PipelineOutput, RunningPipeline};
    #[pymodule_export]
    use crate::kernel::posix_queue::{PosixQueue, PosixQueueInfo};
    #[pymodule_export]
    use crate::kernel::posix_semaphore::PosixSemaphore;
    #[pymodule_export]
    use crate::kernel::posix_shared_memory::PosixSharedMemory;
    #[pymodule_export]
    use crate::kernel::process::{Child, Family, ProcessTree, TreeNode, chain, fan, spawn};
    #[pymodule_export]
    use crate::kernel::range_lock::{RangeBlocker, RangeLock, RangeLockGuard};
    #[pymodule_export]
    use crate::kernel::signal::{ChildEnds, Handlers, Mask, SignalInfo, Signals, StopLock};
    #[pymodule_export]
    use crate::kernel::signal::{continue_process, continue_stopped, ended_children, is_stopped, queue_signal};
    #[pymodule_export]
    use crate::kernel::signal::{send_signal, signal_name, stop_process, stop_self, wait_stopped};
    #[pymodule_export]
    use crate::kernel::socket::PeerCredentials;
    #[pymodule_export]
    use crate::kernel::socket::address::SocketAddress;
    #[pymodule_export]
    use crate::kernel::socket::datagram::Datagram;
    #[pymodule_export]
    use crate::kernel::socket::listener::{Listener, SeqpacketListener};
    #[pymodule_export]
    use crate::kernel::socket::seqpacket::Seqpacket;
    #[pymodule_export]
    use crate::kernel::socket::stream::Stream;
    #[pymodule_export]
    use crate::kernel::sysv_key::sysv_key;
    #[pymodule_export]
    use crate::kernel::sysv_queue::{SysvQueue, SysvQueueInfo};
    #[pymodule_export]
    use crate::kernel::sysv_semaphores::{SemaphoreOperation, SysvSemaphoreInfo, SysvSemaphores, SysvSemaphoresInfo};
    #[pymodule_export]
    use crate::kernel::sysv_shared_memory::{SysvSharedMemory, SysvSharedMemoryInfo};
    #[pymodule_export]
    use crate::segment::info::{DeadlockInfo, Holder, ObjectInfo, ParticipantInfo, Wait};
    #[pymodule_export]
    use crate::segment::watch::Watcher;
    #[pymodule_export]
    use crate::segment::{Segment, reopen};
    #[pymodule_export]
    use crate::sync::barrier::Barrier;
    #[pymodule_export]
    use crate::sync::event::Event;
    #[pymodule_export]
    use crate::sync::monitor::{Condition, Monitor, MonitorGuard};
    #[pymodule_export]
    use crate::sync::mutex::{Mutex, MutexGuard};
    #[pymodule_export]
    use crate::sync::rwlock::{RwLock, RwReadGuard, RwWriteGuard};
    #[pymodule_export]
    use crate::sync::semaphore::Semaphore;
    #[pymodule_export]
    use crate::wait_set::{Ready, WaitSet};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("NAME_MAX", triveni::NAME_MAX)?;
        module.add("DEFAULT_SIZE", triveni::Segment::DEFAULT_SIZE)?;
        crate::error::register(module)?;
        crate::wait::prepare(module.py())?;
        crate::wait::count_forks();
        Ok(())
    }
}
