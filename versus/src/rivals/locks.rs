//! Locks: triveni's, those of the C library, and one that is for threads only.

use crate::channel::Waits;
use crate::harness::glibc::{Mutex as PosixMutex, Semaphore as PosixSemaphore};
use crate::harness::ok;
use crate::measure::locks::Lock;
use crate::rows::Rows;
use triveni::{Mutex, Segment, Semaphore};

impl Lock for Mutex {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        let guard = ok(self.lock());
        work();
        drop(guard);
    }
}

impl Lock for Semaphore {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        ok(self.wait());
        work();
        ok(self.post());
    }
}

struct Shared<L>(L);

// SAFETY: a lock of the C library in shared memory is for any thread of any process.
unsafe impl<L> Sync for Shared<L> {}

impl Lock for Shared<PosixMutex> {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        self.0.lock();
        work();
        self.0.unlock();
    }
}

impl Lock for Shared<PosixSemaphore> {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        self.0.wait();
        work();
        self.0.post();
    }
}

#[cfg(feature = "rivals")]
impl Lock for parking_lot::Mutex<()> {
    const THREADS: bool = true;
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        let guard = self.lock();
        work();
        drop(guard);
    }
}

fn segment() -> Segment {
    ok(Segment::anonymous(1 << 20))
}

/// All locks.
pub fn rows(rows: &mut Rows) {
    let spins = Waits::SpinsThenBlocks;
    rows.lock("triveni Mutex", || ok(segment().mutex("m")), spins);
    rows.lock("triveni Semaphore", || ok(segment().semaphore("s", 1)), spins);
    rows.lock("pthread mutex", || Shared(PosixMutex::new(false)), Waits::Blocks);
    rows.lock("pthread mutex, robust", || Shared(PosixMutex::new(true)), Waits::Blocks);
    rows.lock("sem_t", || Shared(PosixSemaphore::new(1)), Waits::Blocks);
    #[cfg(feature = "rivals")]
    rows.lock("parking_lot", || parking_lot::Mutex::new(()), spins);
}
