//! What processes race on: atomics, fences, futex and clock, from `std`, from `loom`, or from `mortal` (under
//! shuttle), chosen here only.
//!
//! # Full barriers
//!
//! A pattern in which each side stores its own word and then loads the other's (Dekker) needs a full
//! barrier between store and load on both sides. [`Full`] has read-modify-write operations that are one:
//! on x86-64 every locked instruction is; elsewhere a `SeqCst` fence follows; loom knows `SeqCst` fences
//! but not `SeqCst` accesses, so there too the fence follows.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(any(loom, shuttle)))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(shuttle)]
pub use {
    crate::mortal::{AtomicU32, AtomicU64, fence},
    std::sync::atomic::Ordering,
};

#[cfg(loom)]
pub use loom::hint::spin_loop;
#[cfg(shuttle)]
pub use shuttle::hint::spin_loop;
#[cfg(not(any(loom, shuttle)))]
pub use std::hint::spin_loop;

use Ordering::{AcqRel, Relaxed, SeqCst};

/// Asks for the cache line at `word`, which will be stored to soon, to be this CPU's alone. A hint: nothing else happens.
#[inline(always)]
pub fn prefetch_to_write(word: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch of any address is allowed; a CPU that does not know it takes it for a no-op.
    unsafe {
        std::arch::asm!("prefetchw byte ptr [{}]", in(reg) word, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) word, options(nostack, preserves_flags, readonly));
    }
    let _ = word;
}

/// Asks for the cache line at `word`, which will be loaded soon. A hint: nothing else happens.
#[inline(always)]
pub fn prefetch<T>(word: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch of any address is allowed.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(word.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) word, options(nostack, preserves_flags, readonly));
    }
    let _ = word;
}

/// Read-modify-write operations that are also full barriers.
pub trait Full {
    /// The integer inside.
    type Value;
    /// Stores `new`, returns what was there. A full barrier.
    fn swap_full(&self, new: Self::Value) -> Self::Value;
    /// Adds, wrapping; returns what was there. A full barrier.
    fn add_full(&self, n: Self::Value) -> Self::Value;
    /// Sets bits; returns what was there. A full barrier.
    fn or_full(&self, bits: Self::Value) -> Self::Value;
    /// Compares and exchanges. A full barrier when it succeeds.
    fn cas_full(&self, old: Self::Value, new: Self::Value) -> Result<Self::Value, Self::Value>;
}

/// What follows a read-modify-write to make it a full barrier.
#[inline(always)]
fn after_rmw() {
    // Orders the word just exchanged before whatever the caller loads next (an eventcount's `reg`).
    if cfg!(any(loom, not(target_arch = "x86_64"))) {
        fence(SeqCst);
    }
}

/// The ordering of the read-modify-write itself. On x86-64 `SeqCst` costs nothing extra.
const RMW: Ordering = if cfg!(loom) { AcqRel } else { SeqCst };

macro_rules! full {
    ($atomic:ty, $value:ty) => {
        impl Full for $atomic {
            type Value = $value;
            #[inline(always)]
            fn swap_full(&self, new: $value) -> $value {
                let old = self.swap(new, RMW);
                after_rmw();
                old
            }
            #[inline(always)]
            fn add_full(&self, n: $value) -> $value {
                let old = self.fetch_add(n, RMW);
                after_rmw();
                old
            }
            #[inline(always)]
            fn or_full(&self, bits: $value) -> $value {
                let old = self.fetch_or(bits, RMW);
                after_rmw();
                old
            }
            #[inline(always)]
            fn cas_full(&self, old: $value, new: $value) -> Result<$value, $value> {
                let answer = self.compare_exchange(old, new, RMW, Relaxed);
                after_rmw();
                answer
            }
        }
    };
}
full!(AtomicU32, u32);
full!(AtomicU64, u64);

/// How many preemptions the large models explore: two, and three in the soak (`TRIVENI_LOOM=3`), which takes minutes.
#[cfg(loom)]
pub fn most_preemptions() -> usize {
    std::env::var("TRIVENI_LOOM").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

/// How a futex wait ended. None of them says that the condition holds: look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody woke us, or the word had changed already, or for no reason at all.
    Perhaps,
    /// A signal handler ran.
    Signal,
    /// The time was up.
    TimeUp,
}

/// Sleeps while `word` is `expected`, until woken or until `at_ns` on the monotonic clock (`u64::MAX`: for ever).
#[cfg(not(any(loom, shuttle)))]
pub fn futex_wait(word: &AtomicU32, expected: u32, at_ns: u64) -> Woken {
    crate::sys::futex::wait(word, expected, at_ns)
}

/// Wakes up to `n` sleepers on `word`; returns how many.
#[cfg(not(any(loom, shuttle)))]
pub fn futex_wake(word: &AtomicU32, n: u32) -> u32 {
    crate::sys::futex::wake(word, n)
}

/// Sleeps while every word has its value, until one is woken or until `at_ns`. `None`: this system cannot.
#[cfg(not(any(loom, shuttle)))]
pub fn futex_wait_any<'a>(words: impl Iterator<Item = (&'a AtomicU32, u32)>, at_ns: u64) -> Option<Woken> {
    crate::sys::waitv::wait(words, at_ns)
}

#[cfg(shuttle)]
pub use crate::mortal::{futex_wait, futex_wake};
/// No wait sets under shuttle.
#[cfg(shuttle)]
pub fn futex_wait_any<'a>(_words: impl Iterator<Item = (&'a AtomicU32, u32)>, _at_ns: u64) -> Option<Woken> {
    None
}

#[cfg(loom)]
pub use model::{futex_wait, futex_wait_any, futex_wake};

/// The futex as loom sees it: one lock around all queues, a condition variable for each word.
/// A deadline never comes and no slice ever ends, so that a lost wake is a deadlock, which loom reports.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, Ordering, Woken};
    use loom::sync::{Arc, Condvar, Mutex};
    use std::collections::HashMap;

    #[derive(Default)]
    struct Queue {
        sleepers: u32,
        wakes: u32,
        bell: Option<Arc<Condvar>>,
        /// Where those sleep who sleep on other words too: one for all queues.
        any: Option<Arc<Condvar>>,
    }

    loom::lazy_static! {
        static ref QUEUES: Mutex<HashMap<usize, Queue>> = Mutex::new(HashMap::new());
        static ref ANY: Arc<Condvar> = Arc::new(Condvar::new());
    }

    /// See the real one.
    pub fn futex_wait(word: &AtomicU32, expected: u32, _at_ns: u64) -> Woken {
        let address = word as *const _ as usize;
        let mut queues = QUEUES.lock().unwrap();
        // The kernel compares under its own lock, after a full barrier.
        loom::sync::atomic::fence(Ordering::SeqCst);
        if word.load(Ordering::Relaxed) != expected {
            return Woken::Perhaps;
        }
        let queue = queues.entry(address).or_default();
        queue.sleepers += 1;
        let bell = queue.bell.get_or_insert_with(|| Arc::new(Condvar::new())).clone();
        loop {
            queues = bell.wait(queues).unwrap();
            let queue = queues.entry(address).or_default();
            if queue.wakes > 0 {
                queue.wakes -= 1;
                return Woken::Perhaps;
            }
        }
    }

    /// See the real one.
    pub fn futex_wait_any<'a>(words: impl Iterator<Item = (&'a AtomicU32, u32)>, _at_ns: u64) -> Option<Woken> {
        let words: Vec<_> = words.map(|(word, expected)| (word, word as *const _ as usize, expected)).collect();
        let mut queues = QUEUES.lock().unwrap();
        loom::sync::atomic::fence(Ordering::SeqCst);
        if words.iter().any(|(word, _, expected)| word.load(Ordering::Relaxed) != *expected) {
            return Some(Woken::Perhaps);
        }
        for (_, address, _) in &words {
            let queue = queues.entry(*address).or_default();
            queue.sleepers += 1;
            queue.any.get_or_insert_with(|| ANY.clone());
        }
        loop {
            queues = ANY.wait(queues).unwrap();
            if words.iter().any(|(_, address, _)| queues.entry(*address).or_default().wakes > 0) {
                break;
            }
        }
        // It leaves all queues. Where a wake is on its way it is this one that uses it up: the worst case.
        for (_, address, _) in &words {
            let queue = queues.entry(*address).or_default();
            if queue.wakes > 0 { queue.wakes -= 1 } else { queue.sleepers -= 1 }
        }
        Some(Woken::Perhaps)
    }

    /// See the real one.
    pub fn futex_wake(word: &AtomicU32, n: u32) -> u32 {
        let address = word as *const _ as usize;
        let mut queues = QUEUES.lock().unwrap();
        loom::sync::atomic::fence(Ordering::SeqCst);
        let Some(queue) = queues.get_mut(&address) else { return 0 };
        let woken = n.min(queue.sleepers);
        queue.sleepers -= woken;
        queue.wakes += woken;
        for bell in queue.bell.iter().chain(&queue.any) {
            bell.notify_all();
        }
        woken
    }
}
