//! Rivals that the C library has: mutex, condition variable and semaphore, in shared memory.

use super::shared::{Shared, Zeroed};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

#[repr(C, align(128))]
struct Place<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: any bytes are a `MaybeUninit`; changed through the `UnsafeCell` by the C library, which synchronises.
unsafe impl<T> Zeroed for Place<T> {}

fn check(what: &str, r: libc::c_int) {
    assert_eq!(r, 0, "{what}: {}", std::io::Error::from_raw_os_error(r));
}

/// A `pthread_mutex_t` that processes share.
pub struct Mutex(Shared<Place<libc::pthread_mutex_t>>);

impl Mutex {
    /// A free one.
    pub fn new(robust: bool) -> Mutex {
        let mutex = Mutex(Shared::new());
        let mut attr = MaybeUninit::uninit();
        // SAFETY: `attr` is initialised by the first call and used by the others; the mutex is fresh memory.
        unsafe {
            check("pthread_mutexattr_init", libc::pthread_mutexattr_init(attr.as_mut_ptr()));
            check("setpshared", libc::pthread_mutexattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED));
            if robust {
                check("setrobust", libc::pthread_mutexattr_setrobust(attr.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST));
            }
            check("pthread_mutex_init", libc::pthread_mutex_init(mutex.raw(), attr.as_ptr()));
        }
        mutex
    }

    fn raw(&self) -> *mut libc::pthread_mutex_t {
        self.0.0.get().cast()
    }

    /// Locks.
    #[inline]
    pub fn lock(&self) {
        // SAFETY: initialised by `new`.
        check("pthread_mutex_lock", unsafe { libc::pthread_mutex_lock(self.raw()) });
    }

    /// Locks, if it is free.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // SAFETY: initialised by `new`.
        match unsafe { libc::pthread_mutex_trylock(self.raw()) } {
            libc::EBUSY => false,
            r => {
                check("pthread_mutex_trylock", r);
                true
            }
        }
    }

    /// Unlocks.
    #[inline]
    pub fn unlock(&self) {
        // SAFETY: initialised by `new`; the callers hold it.
        check("pthread_mutex_unlock", unsafe { libc::pthread_mutex_unlock(self.raw()) });
    }
}

/// A `pthread_cond_t` that processes share.
pub struct Condition(Shared<Place<libc::pthread_cond_t>>);

impl Condition {
    /// A fresh one.
    pub fn new() -> Condition {
        let condition = Condition(Shared::new());
        let mut attr = MaybeUninit::uninit();
        // SAFETY: as for the mutex.
        unsafe {
            check("pthread_condattr_init", libc::pthread_condattr_init(attr.as_mut_ptr()));
            check("setpshared", libc::pthread_condattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED));
            check("pthread_cond_init", libc::pthread_cond_init(condition.0.0.get().cast(), attr.as_ptr()));
        }
        condition
    }

    /// Gives up the mutex, which the caller holds, until it is signalled, or for no reason at all.
    pub fn wait(&self, mutex: &Mutex) {
        // SAFETY: both initialised; the mutex is held.
        check("pthread_cond_wait", unsafe { libc::pthread_cond_wait(self.0.0.get().cast(), mutex.raw()) });
    }

    /// Wakes one.
    pub fn signal(&self) {
        // SAFETY: initialised.
        check("pthread_cond_signal", unsafe { libc::pthread_cond_signal(self.0.0.get().cast()) });
    }
}

/// A `sem_t` that processes share.
pub struct Semaphore(Shared<Place<libc::sem_t>>);

impl Semaphore {
    /// With `initial` permits.
    pub fn new(initial: u32) -> Semaphore {
        let semaphore = Semaphore(Shared::new());
        // SAFETY: fresh memory.
        check("sem_init", unsafe { libc::sem_init(semaphore.raw(), 1, initial) });
        semaphore
    }

    fn raw(&self) -> *mut libc::sem_t {
        self.0.0.get().cast()
    }

    /// Takes a permit.
    #[inline]
    pub fn wait(&self) {
        // SAFETY: initialised. It fails with EINTR only; no handler is installed, but a debugger may come.
        while unsafe { libc::sem_wait(self.raw()) } != 0 {}
    }

    /// Takes a permit, if there is one.
    #[inline]
    pub fn try_wait(&self) -> bool {
        // SAFETY: initialised.
        unsafe { libc::sem_trywait(self.raw()) == 0 }
    }

    /// Adds a permit.
    #[inline]
    pub fn post(&self) {
        // SAFETY: initialised.
        check("sem_post", unsafe { libc::sem_post(self.raw()) });
    }
}
