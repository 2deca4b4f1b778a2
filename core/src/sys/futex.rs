//! The futex: sleep while a word has a value. Shared between processes, hence never `FUTEX_PRIVATE_FLAG`.

use crate::prim::Woken;
use std::sync::atomic::AtomicU32;

/// `FUTEX_WAIT_BITSET`: its time-out is a moment of the monotonic clock, so an interrupted wait keeps its deadline.
pub fn wait(word: &AtomicU32, expected: u32, at_ns: u64) -> Woken {
    let at = libc::timespec { tv_sec: (at_ns / 1_000_000_000) as i64, tv_nsec: (at_ns % 1_000_000_000) as i64 };
    let timeout: *const libc::timespec = if at_ns == u64::MAX { std::ptr::null() } else { &at };
    // SAFETY: `word` is a live, aligned u32. `timeout` is null or points to `at`, which outlives the call.
    // The last two are the unused second address and the mask that matches every waker. A peer may unmap or
    // truncate its own memory, not ours; an address that faults is EFAULT, not a signal.
    let r = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            timeout,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    match if r == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } {
        libc::EINTR => Woken::Signal,
        libc::ETIMEDOUT => Woken::TimeUp,
        _ => Woken::Perhaps,
    }
}

/// `FUTEX_WAKE`: returns how many slept.
pub fn wake(word: &AtomicU32, n: u32) -> u32 {
    // SAFETY: only the address is used; a word that is unmapped by now makes the call fail, which is harmless.
    let r = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n.min(i32::MAX as u32)) };
    u32::try_from(r).unwrap_or(0)
}
