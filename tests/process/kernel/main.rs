//! The kernel's mechanisms between processes: our ends with each other and with programs that know nothing of us.

mod file_lock;
mod memory;
mod pipe;
mod posix_queue;
mod process;
mod sockets;
mod sysv_queue;
