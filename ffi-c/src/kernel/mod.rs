//! The kernel's own mechanisms in C: one file for each.

mod daemon;
mod fifo;
mod file_lock;
mod lock_file;
mod pipe;
mod pipeline;
mod posix_queue;
mod posix_semaphore;
mod posix_shared_memory;
mod process;
mod range_lock;
mod signal;
mod socket;
mod sysv_key;
mod sysv_queue;
mod sysv_semaphores;
mod sysv_shared_memory;

use std::ffi::c_uint;
use triveni::{Error, ErrorKind, Result};

/// For `flags`: whoever creates it owns it. It is removed when its handle is closed; if its owner is killed first,
/// `triveni ls` shows what is left and `triveni rm --leftovers` removes it.
pub const TVN_OWNED: c_uint = 1;

/// Is it to be owned? `Invalid` for flags that do not exist.
pub(crate) fn owned(flags: c_uint) -> Result<bool> {
    match flags {
        0 => Ok(false),
        TVN_OWNED => Ok(true),
        other => Err(Error::new(
            ErrorKind::Invalid,
            format!("the flags {other:#x} are none; give 0 or TVN_OWNED ({TVN_OWNED})"),
        )),
    }
}
