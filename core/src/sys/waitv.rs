//! `futex_waitv`: sleep while each of several words has its value. Linux 5.16 and later.

use crate::prim::Woken;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// The most words of one call.
pub const MOST: usize = 128;

/// The same on every architecture.
const SYS_FUTEX_WAITV: libc::c_long = 449;
/// `FUTEX2_SIZE_U32`, without `FUTEX2_PRIVATE`: shared between processes.
const SHARED_U32: u32 = 2;

/// `struct futex_waitv`
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    zero: u32,
}

const _: () = assert!(size_of::<Waiter>() == 24);

/// Set once the system has refused: an old kernel, or a filter that does not know the call.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Sleeps while every word has its value, until one is woken or until `at_ns` on the monotonic clock (`u64::MAX`:
/// for ever). `None`: it cannot be done here. Words beyond [`MOST`] are not looked at.
pub fn wait<'a>(words: impl Iterator<Item = (&'a AtomicU32, u32)>, at_ns: u64) -> Option<Woken> {
    // Relaxed: a lost hint costs a system call.
    if REFUSED.load(Relaxed) {
        return None;
    }
    let mut waiters = [Waiter { value: 0, address: 0, flags: SHARED_U32, zero: 0 }; MOST];
    let mut n = 0;
    for (waiter, (word, value)) in waiters.iter_mut().zip(words) {
        (waiter.value, waiter.address) = (value.into(), word.as_ptr() as u64);
        n += 1;
    }
    let at = libc::timespec { tv_sec: (at_ns / 1_000_000_000) as i64, tv_nsec: (at_ns % 1_000_000_000) as i64 };
    let timeout: *const libc::timespec = if at_ns == u64::MAX { std::ptr::null() } else { &at };
    // SAFETY: `waiters` has at least `n` entries and outlives the call; each address is that of a live, aligned u32,
    // as the references came in with the call. `timeout` is null or points to `at`. The fourth argument, the flags,
    // must be 0. An address that a peer makes fault is EFAULT, not a signal.
    let r = unsafe { libc::syscall(SYS_FUTEX_WAITV, waiters.as_ptr(), n, 0, timeout, libc::CLOCK_MONOTONIC) };
    if r >= 0 {
        return Some(Woken::Perhaps);
    }
    match std::io::Error::last_os_error().raw_os_error().unwrap_or(0) {
        libc::EAGAIN | libc::EFAULT => Some(Woken::Perhaps),
        libc::EINTR => Some(Woken::Signal),
        libc::ETIMEDOUT => Some(Woken::TimeUp),
        libc::ENOSYS | libc::EPERM => {
            REFUSED.store(true, Relaxed);
            None
        }
        _ => None, // No memory at this moment.
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::deadline::now_ns;

    fn wait_for(words: &[(&AtomicU32, u32)], at_ns: u64) -> Option<Woken> {
        wait(words.iter().copied(), at_ns)
    }

    #[test]
    fn a_word_that_has_changed_ends_it_at_once_and_a_deadline_when_it_comes() {
        let (a, b) = (AtomicU32::new(1), AtomicU32::new(2));
        let Some(woken) = wait_for(&[(&a, 1), (&b, 1)], u64::MAX) else { return };
        assert_eq!(woken, Woken::Perhaps);
        let end = now_ns() + 2_000_000;
        assert_eq!(wait_for(&[(&a, 1), (&b, 2)], end), Some(Woken::TimeUp));
        assert!(now_ns() >= end);
    }

    #[test]
    fn a_wake_on_the_last_of_the_most_words_ends_it() {
        let words: Vec<AtomicU32> = (0..MOST as u32).map(AtomicU32::new).collect();
        let all: Vec<(&AtomicU32, u32)> = words.iter().zip(0..).collect();
        if wait_for(&all, 1).is_none() {
            return;
        }
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| wait_for(&all, u64::MAX));
            // Nobody else sleeps there: as soon as one is woken, it is the sleeper.
            while crate::sys::futex::wake(&words[MOST - 1], 1) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(sleeper.join().unwrap(), Some(Woken::Perhaps));
        });
    }
}
