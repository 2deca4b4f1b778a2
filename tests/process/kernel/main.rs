//! The kernel's mechanisms between processes: our ends with each other and with programs that know nothing of us.

mod memory;
mod pipe;
mod posix_queue;
mod process;
mod sysv_queue;
