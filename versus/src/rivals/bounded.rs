//! The bounded buffer of the textbooks: slots in shared memory, a semaphore that counts the free ones, one that
//! counts the full ones, and a mutex on each side where there are several processes. Once with `sem_t`, once with
//! eventfd, once with triveni's Semaphore.

use super::kernel;
use crate::channel::{Channel, Rx, Spec, Tx, Wait, Waits};
use crate::harness::glibc::{Mutex, Semaphore};
use crate::harness::ok;
use crate::harness::shared::{Apart, Shared, Zeroed};
use crate::rows::Rows;
use std::cell::UnsafeCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counting semaphore that processes share.
pub trait Counter: Send + Sync + 'static {
    const NAME: &'static str;
    fn new(initial: u32, wait: Wait) -> Self;
    fn wait(&self);
    fn try_wait(&self) -> bool;
    fn post(&self);
    fn waits(wait: Wait) -> Waits {
        match wait {
            Wait::Poll => Waits::Polls,
            Wait::Yield => Waits::Yields,
            Wait::Block => Waits::Blocks,
        }
    }
}

/// `sem_t`.
pub struct Posix(Semaphore);

// SAFETY: a `sem_t` in shared memory is for any thread of any process.
unsafe impl Send for Posix {}
// SAFETY: as above.
unsafe impl Sync for Posix {}

impl Counter for Posix {
    const NAME: &'static str = "sem_t + shared memory";
    fn new(initial: u32, _: Wait) -> Posix {
        Posix(Semaphore::new(initial))
    }
    #[inline]
    fn wait(&self) {
        self.0.wait();
    }
    #[inline]
    fn try_wait(&self) -> bool {
        self.0.try_wait()
    }
    #[inline]
    fn post(&self) {
        self.0.post();
    }
}

/// An eventfd in its semaphore mode.
pub struct Event(OwnedFd);

impl Counter for Event {
    const NAME: &'static str = "eventfd + shared memory";
    fn new(initial: u32, wait: Wait) -> Event {
        Event(kernel::eventfd(initial, wait))
    }
    #[inline]
    fn wait(&self) {
        assert!(self.try_wait());
    }
    #[inline]
    fn try_wait(&self) -> bool {
        kernel::eventfd_take(&self.0)
    }
    #[inline]
    fn post(&self) {
        kernel::eventfd_post(&self.0);
    }
}

impl Counter for triveni::Semaphore {
    const NAME: &'static str = "triveni Semaphore + shared memory";
    fn new(initial: u32, _: Wait) -> triveni::Semaphore {
        ok(ok(triveni::Segment::anonymous(1 << 16)).semaphore("s", initial))
    }
    #[inline]
    fn wait(&self) {
        ok(triveni::Semaphore::wait(self));
    }
    #[inline]
    fn try_wait(&self) -> bool {
        ok(triveni::Semaphore::try_wait(self))
    }
    #[inline]
    fn post(&self) {
        ok(triveni::Semaphore::post(self));
    }
    fn waits(wait: Wait) -> Waits {
        match wait {
            Wait::Poll => Waits::Polls,
            Wait::Yield => Waits::Yields,
            Wait::Block => Waits::SpinsThenBlocks,
        }
    }
}

const DEPTH: usize = 1024;
const SLOT: usize = 64;

/// The slots, and where the next one is put and taken.
struct Slots {
    put: Apart<AtomicU64>,
    take: Apart<AtomicU64>,
    slot: Apart<[UnsafeCell<[u8; SLOT]>; DEPTH]>,
}

// SAFETY: atomics, and bytes in `UnsafeCell`s; the semaphores give each slot to one process at a time.
unsafe impl Zeroed for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

struct Guard(Mutex);

// SAFETY: a pthread mutex that processes share is for any thread of any of them.
unsafe impl Send for Guard {}
// SAFETY: as above.
unsafe impl Sync for Guard {}

/// All that is shared.
struct State<S> {
    free: S,
    full: S,
    /// Both sides' locks; not needed where there is one process on each.
    locks: Option<[Guard; 2]>,
    slots: Shared<Slots>,
    depth: u64,
    wait: Wait,
}

// SAFETY: what it leads to is made for several processes.
unsafe impl<S: Send> Send for State<S> {}

pub struct Bounded<S>(Arc<State<S>>);

impl<S: Counter> Channel for Bounded<S> {
    type Tx = BoundedEnd<S>;
    type Rx = BoundedEnd<S>;
    fn make(spec: &Spec) -> Result<Self, String> {
        if spec.size > SLOT || spec.depth > DEPTH {
            return Err(format!("{} slots of {} bytes: too many", spec.depth, spec.size));
        }
        let several = spec.senders + spec.receivers > 2;
        Ok(Bounded(Arc::new(State {
            free: S::new(spec.depth as u32, spec.wait),
            full: S::new(0, spec.wait),
            locks: several.then(|| [Guard(Mutex::new(false)), Guard(Mutex::new(false))]),
            slots: Shared::new(),
            depth: spec.depth as u64,
            wait: spec.wait,
        })))
    }
    fn tx(&self, _: usize) -> BoundedEnd<S> {
        BoundedEnd(self.0.clone())
    }
    fn rx(&self, _: usize) -> BoundedEnd<S> {
        BoundedEnd(self.0.clone())
    }
    fn waits(wait: Wait) -> Waits {
        S::waits(wait)
    }
}

pub struct BoundedEnd<S>(Arc<State<S>>);

impl<S: Counter> BoundedEnd<S> {
    /// Waits for `from`, does it with the slot that `next` says, and posts `to`.
    #[inline]
    fn with(&self, side: usize, from: &S, to: &S, next: &AtomicU64, work: impl FnOnce(*mut u8)) {
        let state = &*self.0;
        match state.wait {
            Wait::Block => from.wait(),
            wait => crate::channel::until(wait, || from.try_wait().then_some(())),
        }
        let lock = state.locks.as_ref().map(|locks| &locks[side].0);
        if let Some(lock) = lock {
            lock.lock();
        }
        // Relaxed: this side's lock, or being alone on it, orders this.
        let at = next.load(Relaxed);
        work(state.slots.slot.0[(at % state.depth) as usize].get().cast());
        next.store(at + 1, Relaxed);
        if let Some(lock) = lock {
            lock.unlock();
        }
        to.post();
    }
}

impl<S: Counter> Tx for BoundedEnd<S> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let state = &*self.0;
        self.with(0, &state.free, &state.full, &state.slots.put.0, |slot| {
            // SAFETY: a slot has room for any message of this channel; a permit of `free` makes it ours.
            unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), slot, message.len()) };
        });
    }
}

impl<S: Counter> Rx for BoundedEnd<S> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let state = &*self.0;
        self.with(1, &state.full, &state.free, &state.slots.take.0, |slot| {
            // SAFETY: as above; a permit of `full` says that it is written.
            unsafe { std::ptr::copy_nonoverlapping(slot, message.as_mut_ptr(), message.len()) };
        });
    }
}

fn of<S: Counter>(rows: &mut Rows) {
    rows.all_of::<Bounded<S>>(S::NAME);
    rows.contest::<Bounded<S>>(S::NAME, [Wait::Block; 2]);
}

/// All rows of bounded buffers.
pub fn rows(rows: &mut Rows) {
    of::<triveni::Semaphore>(rows);
    of::<Posix>(rows);
    of::<Event>(rows);
}
