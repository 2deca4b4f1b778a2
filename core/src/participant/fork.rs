//! What `fork` changes: a child is another participant.
//!
//! Every process has a fork number in a page that the kernel wipes in a child, so a child notices even after
//! a raw `clone`. Handles keep the number they were joined under; another number means: join anew first.
//! A child also closes the descriptors whose locks say that its *parent* is alive. It must not unlock them:
//! that would release the parent's.

use crate::sys::futex;
use std::sync::OnceLock;
// Process-private state: not what other processes race on, hence std's even in models.
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, Ordering::Relaxed};

static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(&raw const FALLBACK as *mut AtomicU32);
static FALLBACK: AtomicU32 = AtomicU32::new(0);
static NEXT: AtomicU32 = AtomicU32::new(1);

/// This process's fork number: never 0, another one in every child.
#[inline]
pub fn number() -> u32 {
    // SAFETY: PAGE points to FALLBACK or to a page that `install` mapped and nobody unmaps.
    // Relaxed: the page is a process's own, and its contents are all there is to see.
    let number = unsafe { &*PAGE.load(Ordering::Relaxed) }.load(Ordering::Relaxed);
    if number != 0 { number } else { fresh() }
}

/// The word that holds [`number`], or 0 in a child that has not asked for its own yet. Once [`install`] has been called,
/// it is this one for ever.
pub fn word() -> &'static AtomicU32 {
    // SAFETY: as in `number`.
    unsafe { &*PAGE.load(Ordering::Relaxed) }
}

#[cold]
fn fresh() -> u32 {
    // SAFETY: as in `number`.
    let page = unsafe { &*PAGE.load(Ordering::Relaxed) };
    // Relaxed: a number, nothing hangs on it.
    let number = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
    page.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|other| other, |_| number)
}

/// Makes forks noticed, once in a process, before it joins its first segment.
pub fn install() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: a new anonymous mapping; nothing is replaced.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page != libc::MAP_FAILED {
            // SAFETY: the page is ours. Kernels before 4.14 refuse; `child` below zeroes the word as well.
            unsafe { libc::madvise(page, 4096, libc::MADV_WIPEONFORK) };
            // Its last word. Locks begin at multiples of 128, and a processor takes a load for one that depends on a
            // store just before it if the addresses agree in their low 12 bits.
            // SAFETY: inside the page.
            let word = unsafe { page.cast::<AtomicU32>().add(4096 / size_of::<AtomicU32>() - 1) };
            // SAFETY: a fresh page, aligned, ours alone.
            unsafe { (*word).store(number(), Ordering::Relaxed) };
            PAGE.store(word, Ordering::Release);
        }
        // SAFETY: the three functions have no preconditions and never unwind.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    });
}

extern "C" fn prepare() {
    super::registry::LOCK.take();
}

extern "C" fn parent() {
    super::registry::LOCK.give();
}

extern "C" fn child() {
    // SAFETY: as in `number`.
    unsafe { &*PAGE.load(Ordering::Relaxed) }.store(0, Ordering::Relaxed);
    // The registry's lock, taken by `prepare`, is stale under the new number and so free; its data are whole.
    super::registry::forget_parents_locks();
}

/// A lock among the threads of one process. What a thread of the *parent* held at the moment of a fork is
/// nobody's in the child: the word holds the fork number of its holder's process.
pub struct LocalLock(AtomicU32);

impl LocalLock {
    /// A free one.
    pub const fn new() -> LocalLock {
        LocalLock(AtomicU32::new(0))
    }

    fn try_take(&self) -> Result<(), u32> {
        let mine = number();
        // Relaxed: the compare-and-swap decides.
        let now = self.0.load(Relaxed);
        if now == mine {
            return Err(now);
        }
        // ORDER local: Acquire; pairs with the Release in `give`.
        self.0.compare_exchange(now, mine, Ordering::Acquire, Relaxed).map(|_| ())
    }

    /// Takes the lock; sleeps while another thread has it.
    pub fn take(&self) {
        let mut tries = 0;
        while let Err(now) = self.try_take() {
            tries += 1;
            if tries > 100 && now != 0 {
                // A slice, so that a wake which was lost to nobody's fault costs a millisecond.
                futex::wait(&self.0, now, crate::deadline::now_ns() + 1_000_000);
            }
        }
    }

    /// Gives it back.
    pub fn give(&self) {
        // ORDER local: Release; pairs with the Acquire in `try_take`.
        self.0.store(0, Ordering::Release);
        futex::wake(&self.0, 1);
    }

    /// Runs `f` with the lock held.
    pub fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        self.take();
        let _held = Held(self);
        f()
    }

    /// As [`LocalLock::with`]; `None` at once if another thread has it.
    pub fn try_with<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.try_take().ok()?;
        let _held = Held(self);
        Some(f())
    }
}

struct Held<'a>(&'a LocalLock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_held_by_a_vanished_process_is_free() {
        let lock = LocalLock::new();
        lock.0.store(number() + 1000, Relaxed);
        assert_eq!(lock.try_with(|| 7), Some(7));
    }

    #[test]
    fn a_held_lock_answers_none() {
        let lock = LocalLock::new();
        lock.with(|| assert_eq!(lock.try_with(|| ()), None));
        assert_eq!(lock.try_with(|| 1), Some(1));
    }
}
