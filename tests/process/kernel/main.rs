//! The kernel's mechanisms between processes: our ends with each other and with programs that know nothing of us.
//!
//! These tests run one after the other. A program that is being started has copies of all descriptors of this process
//! until it calls exec: as long as another test may start one, nothing that is closed here is gone at once, and a number
//! that was closed may soon be another's.

mod file_lock;
mod memory;
mod pipe;
mod posix_queue;
mod process;
mod queues;
mod sockets;
mod sysv_queue;

/// Called before `main`: the test harness reads this variable, and `cargo test` has no place to set it for one target.
#[used]
#[unsafe(link_section = ".init_array")]
static ONE_AFTER_THE_OTHER: extern "C" fn() = {
    extern "C" fn say() {
        // SAFETY: two strings with their ends, and no other thread yet.
        unsafe { libc::setenv(c"RUST_TEST_THREADS".as_ptr(), c"1".as_ptr(), 1) };
    }
    say
};
