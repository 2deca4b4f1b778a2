//! A counting semaphore that lives in shared memory (Dijkstra's P and V).
//!
//! # State
//!
//! | at | word                | meaning                                                         |
//! |----|---------------------|-----------------------------------------------------------------|
//! | 0  | `value`             | permits; 0 to [`Semaphore::MAX`]                                  |
//! | 16 | an eventcount       | where waiters sleep                                             |
//!
//! # Orderings
//!
//! Edge `permit`: `post` releases, `take` acquires. What the poster wrote, the waiter sees.
//! Edge `register` (see the eventcount): `post` adds its permit with a full barrier before it looks for sleepers.
//!
//! # When a peer dies
//!
//! With a permit it took: the permit stays taken, as in POSIX; a deadline is the way out.
//! Between permit and wake: sleepers look again when their slice ends, after 64 ms at most.
//! Woken, before it took the permit: the permit stays, the others find it when their slice ends.
//!
//! # Cost
//!
//! `post`: one atomic, a system call only if someone sleeps. `wait`: one atomic when there is a permit.

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    AtomicU32, Full,
    Ordering::{Acquire, Relaxed},
};
use crate::segment::object::{Holds, InSegment, Kind, Object, Resident, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{self, EventCount, Spin};
use std::fmt;
use std::sync::Arc;

/// The semaphore in the segment.
#[repr(C)]
#[derive(Debug)]
pub struct SemaphoreWords {
    value: AtomicU32,
    _zero: [AtomicU32; 3],
    bell: EventCount,
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for SemaphoreWords {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<SemaphoreWords>() == 32);

/// Bytes of a semaphore behind its header.
pub const SIZE: usize = 128;

/// Geometry and size of a semaphore.
pub fn geometry(name: &str, options: SemaphoreOptions) -> Result<([u64; 5], usize)> {
    if options.initial > Semaphore::MAX {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("semaphore {name:?}: {} permits are more than {}", options.initial, Semaphore::MAX),
        ));
    }
    Ok(([0; 5], SIZE))
}

/// What the segment knows of semaphores.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Semaphore,
    repair: |_, _| {}, // A semaphore's words name nobody.
    ring: |view| {
        if let Ok(words) = SemaphoreWords::of(view) {
            words.bell.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        Ok(ObjectState::Semaphore { value: SemaphoreWords::of(view)?.value(), max: Semaphore::MAX, leases: Vec::new() })
    },
};

impl SemaphoreWords {
    /// A semaphore on the heap.
    #[cfg(any(test, loom))]
    pub fn new(value: u32) -> SemaphoreWords {
        SemaphoreWords {
            value: AtomicU32::new(value),
            _zero: std::array::from_fn(|_| AtomicU32::new(0)),
            bell: EventCount::new(),
        }
    }

    fn of(view: View<'_>) -> Result<&SemaphoreWords> {
        view.at(0)
    }

    fn value(&self) -> u32 {
        // Relaxed: a moment's truth anyway.
        self.value.load(Relaxed)
    }

    /// Takes a permit, if there is one.
    #[inline]
    pub fn take(&self) -> bool {
        let mut now = self.value.load(Relaxed);
        while now > 0 {
            // ORDER permit: Acquire; pairs with the full barrier in `post`.
            match self.value.compare_exchange_weak(now, now - 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Adds a permit and wakes one sleeper, if any sleeps. False: it is at its maximum.
    #[inline]
    pub fn post(&self) -> bool {
        let mut now = self.value.load(Relaxed);
        loop {
            if now >= Semaphore::MAX {
                return false;
            }
            // ORDER permit, register: a full barrier, so a Release too.
            match self.value.cas_full(now, now + 1) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        self.bell.notify(1);
        true
    }

    /// Where waiters sleep.
    pub fn bell(&self) -> &EventCount {
        &self.bell
    }
}

/// What a new semaphore is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphoreOptions {
    pub(crate) initial: u32,
    pub(crate) max: u32,
    pub(crate) leased: bool,
}

impl SemaphoreOptions {
    /// A counting semaphore with `initial` permits and at most [`Semaphore::MAX`].
    pub fn counting(initial: u32) -> SemaphoreOptions {
        SemaphoreOptions { initial, max: Semaphore::MAX, leased: false }
    }

    /// A binary semaphore: one permit at most, there from the beginning or not.
    pub fn binary(free: bool) -> SemaphoreOptions {
        SemaphoreOptions { initial: free.into(), max: 1, leased: false }
    }

    /// `permits` permits that belong to the thread that took them: only it can post them, and they come back when
    /// it ends or its process dies. At most [`Semaphore::MAX_LEASED`].
    pub fn leased(permits: u32) -> SemaphoreOptions {
        SemaphoreOptions { initial: permits, max: permits, leased: true }
    }

    /// The most permits it holds; a post beyond is an error. For counting semaphores.
    pub fn max(self, max: u32) -> SemaphoreOptions {
        SemaphoreOptions { max, ..self }
    }
}

/// A counting semaphore in a segment.
///
/// `wait` (Dijkstra's P) takes a permit, `post` (V) adds one. Anybody may post; permits have no owner, so those
/// of a process that dies stay taken, as with POSIX semaphores. Threads and forked children may share a handle.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let full = segment.semaphore("full", 0)?;
/// full.post()?;
/// full.wait()?;
/// assert!(!full.try_wait()?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Semaphore {
    resident: Resident<SemaphoreWords>,
    spin: Arc<Spin>,
}

impl Semaphore {
    /// The most permits a semaphore holds: 2³¹ − 1.
    pub const MAX: u32 = i32::MAX as u32;
    /// The most permits a leased semaphore has.
    pub const MAX_LEASED: u32 = 4096;

    pub(crate) fn attach(object: Object) -> Result<Semaphore> {
        Ok(Semaphore { resident: Resident::new(object)?, spin: Arc::default() })
    }

    /// Gives a fresh semaphore its permits. Under the directory's mutex, before anybody can find it.
    pub(crate) fn initialise(view: View<'_>, options: SemaphoreOptions) {
        if let Ok(words) = SemaphoreWords::of(view) {
            words.value.store(options.initial, Relaxed); // Relaxed: the directory publishes it.
        }
    }

    #[inline]
    fn words(&self) -> Result<&SemaphoreWords> {
        self.resident.object().me()?;
        Ok(self.resident.get())
    }

    /// Takes a permit; waits for one for ever.
    ///
    /// # Errors
    /// `Removed` if the semaphore is removed while waiting.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// Takes a permit if there is one; never waits.
    #[inline]
    pub fn try_wait(&self) -> Result<bool> {
        Ok(self.words()?.take())
    }

    /// Takes a permit; waits for one until the deadline.
    ///
    /// # Errors
    /// `Timeout`; `Removed`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> {
        let words = self.words()?;
        if words.take() {
            return Ok(());
        }
        self.wait_contended(words, deadline)
    }

    #[cold]
    #[inline(never)]
    fn wait_contended(&self, words: &SemaphoreWords, deadline: Deadline) -> Result<()> {
        let object = self.resident.object().waiting(WaitMode::Permit, 1);
        wait::until(&object, words.bell(), &self.spin, deadline, || None, || Ok(words.take().then_some(())))
    }

    /// Adds a permit and wakes one sleeper. Never blocks.
    ///
    /// # Errors
    /// `Overflow` at [`Semaphore::MAX`]; nothing is added then.
    #[inline]
    pub fn post(&self) -> Result<()> {
        if self.words()?.post() { Ok(()) } else { Err(self.overflow()) }
    }

    #[cold]
    fn overflow(&self) -> Error {
        Error::new(
            ErrorKind::Overflow,
            format!(
                "post {}: it holds {} permits, the most there can be; somebody posts without waiting",
                self.resident.object().address(),
                Self::MAX
            ),
        )
    }

    /// Takes `n` permits at once; waits for them for ever, holding none meanwhile.
    ///
    /// # Errors
    /// `Invalid` for 0, and for more than there can ever be; as [`Semaphore::wait`].
    pub fn wait_n(&self, n: u32) -> Result<()> {
        self.wait_n_until(n, Deadline::never())
    }

    /// Takes `n` permits at once if there are that many; never waits.
    pub fn try_wait_n(&self, _n: u32) -> Result<bool> {
        todo!()
    }

    /// Takes `n` permits at once; waits until the deadline.
    pub fn wait_n_until(&self, _n: u32, _deadline: Deadline) -> Result<()> {
        todo!()
    }

    /// Adds `n` permits, all or none, and wakes who can go on.
    ///
    /// # Errors
    /// `Overflow` beyond the maximum; `NotOwner` if it is leased and the calling thread holds fewer.
    pub fn post_n(&self, _n: u32) -> Result<()> {
        todo!()
    }

    /// The most permits it holds.
    pub fn max(&self) -> u32 {
        Self::MAX
    }

    /// Do permits belong to who took them?
    pub fn is_leased(&self) -> bool {
        false
    }

    /// Permits at this moment; 0 if the semaphore is gone.
    pub fn value(&self) -> u32 {
        self.words().map_or(0, SemaphoreWords::value)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.resident.object().name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.resident.object().address()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({:?}, value {})", self.resident.object().address(), self.value())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn permits_are_taken_and_given() {
        let words = SemaphoreWords::new(1);
        assert!(words.take() && !words.take());
        assert!(words.post() && words.post());
        assert_eq!(words.value(), 2);
        assert!(words.take() && words.take() && !words.take());
    }

    #[test]
    fn a_full_semaphore_refuses_a_post() {
        let words = SemaphoreWords::new(Semaphore::MAX);
        assert!(!words.post());
        assert_eq!(words.value(), Semaphore::MAX);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::wait::Bell;
    use loom::sync::Arc;

    /// Waits without slices or spinning, as a lost wake would otherwise be hidden.
    fn wait(words: &SemaphoreWords) {
        while !words.take() {
            let key = words.bell.prepare();
            if words.take() {
                return;
            }
            words.bell.sleep(key, u64::MAX);
        }
    }

    #[test]
    fn two_posts_free_two_waiters() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let words = Arc::new(SemaphoreWords::new(0));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let words = words.clone();
                    loom::thread::spawn(move || wait(&words))
                })
                .collect();
            words.post();
            words.post();
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(words.value(), 0);
        });
    }

    #[test]
    fn what_the_poster_wrote_the_waiter_sees() {
        loom::model(|| {
            let shared = Arc::new((SemaphoreWords::new(0), loom::cell::UnsafeCell::new(0)));
            let theirs = shared.clone();
            let waiter = loom::thread::spawn(move || {
                wait(&theirs.0);
                // SAFETY: the permit says that the writer is done.
                theirs.1.with(|p| unsafe { *p })
            });
            // SAFETY: nobody reads before the permit.
            shared.1.with_mut(|p| unsafe { *p = 7 });
            shared.0.post();
            assert_eq!(waiter.join().unwrap(), 7);
        });
    }
}
