//! What the machine itself costs: the units everything else is shown in.
//!
//! | unit | what                                                                            |
//! |------|---------------------------------------------------------------------------------|
//! | L    | one cache line to the other CPU, one way: a word in shared memory, polled        |
//! | fx   | a futex wake, until the sleeper runs                                             |
//! | C    | an uncontended compare-and-swap and an exchange on one word: what a lock must cost |
//! | copy | memcpy of a message from one private, cached buffer to another                   |

use super::clock::{ns, ticks};
use super::shared::{Apart, Shared};
use std::hint::black_box;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Measures C, in nanoseconds.
pub fn compare_and_swap_and_exchange() -> f64 {
    let word = Shared::<AtomicU32>::new();
    per_call(|| {
        let _ = word.compare_exchange(0, 1, Acquire, Relaxed);
        word.swap(0, Release);
    })
}

/// Nanoseconds of one call: the median of many blocks of calls.
#[inline(always)]
pub fn per_call(mut call: impl FnMut()) -> f64 {
    const CALLS: u64 = 1000;
    let mut blocks: Vec<u64> = (0..101)
        .map(|_| {
            let began = ticks();
            for _ in 0..CALLS {
                call();
            }
            ticks() - began
        })
        .collect();
    blocks.sort_unstable();
    ns(blocks[blocks.len() / 2]) / CALLS as f64
}

/// Nanoseconds of one memcpy of `size` bytes.
pub fn memcpy(size: usize) -> f64 {
    let (from, mut to) = (vec![1u8; size], vec![0u8; size]);
    let calls = ((1 << 20) / size.max(1024)).max(1);
    let mut blocks: Vec<u64> = (0..31)
        .map(|_| {
            let began = ticks();
            for _ in 0..calls {
                black_box(&mut to[..]).copy_from_slice(black_box(&from[..]));
            }
            ticks() - began
        })
        .collect();
    blocks.sort_unstable();
    ns(blocks[blocks.len() / 2]) / calls as f64
}

/// One line, two processes: the even one stores odd numbers, the other one even ones.
pub type Line = Shared<Apart<AtomicU64>>;

/// Stores the next number.
#[inline(always)]
pub fn say(line: &Line, number: u64) {
    // ORDER line: Release; pairs with the Acquire in `hear`.
    line.0.store(number, Release);
}

/// Polls until the number is there.
#[inline(always)]
pub fn hear(line: &Line, number: u64) {
    // ORDER line: Acquire; pairs with the Release in `say`.
    while line.0.load(Acquire) != number {}
}

/// Stores the next number and wakes who sleeps on it.
pub fn call(word: &AtomicU32, number: u32) {
    // ORDER line: Release; pairs with the Acquire in `listen`.
    word.store(number, Release);
    // SAFETY: a live word; the kernel uses its address only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// Sleeps until the number is there; with `slice_ms`, in slices of that length.
pub fn listen(word: &AtomicU32, number: u32, slice_ms: i64) {
    let slice = libc::timespec { tv_sec: 0, tv_nsec: slice_ms * 1_000_000 };
    let timeout: *const libc::timespec = if slice_ms == 0 { std::ptr::null() } else { &slice };
    loop {
        // ORDER line: Acquire; pairs with the Release in `call`.
        let now = word.load(Acquire);
        if now == number {
            return;
        }
        // SAFETY: a live, aligned word; a time-out that is null or outlives the call.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, now, timeout) };
    }
}
