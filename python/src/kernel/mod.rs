//! The kernel's own mechanisms: one file for each, and what their handles have in common.

pub(crate) mod daemon;
pub(crate) mod fifo;
pub(crate) mod file_lock;
mod inheritable;
pub(crate) mod lock_file;
pub(crate) mod pipe;
pub(crate) mod pipeline;
pub(crate) mod posix_queue;
pub(crate) mod posix_semaphore;
pub(crate) mod posix_shared_memory;
pub(crate) mod process;
pub(crate) mod range_lock;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod sysv_key;
pub(crate) mod sysv_queue;
pub(crate) mod sysv_semaphores;
pub(crate) mod sysv_shared_memory;
mod viewed;

use crate::error::invalid;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use triveni::{Error, ErrorKind, Result};

/// What many threads may use at once, until somebody closes it. Who waits with it keeps it until his wait ends.
pub(crate) struct Shared<T> {
    what: &'static str,
    inner: RwLock<Option<Arc<T>>>,
}

impl<T> Shared<T> {
    /// `what` is its name in sentences: `POSIX queue`.
    pub(crate) fn new(what: &'static str, inner: T) -> Shared<T> {
        Shared { what, inner: RwLock::new(Some(Arc::new(inner))) }
    }

    /// `ValueError` once it is closed.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Arc<T>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.clone().ok_or_else(|| invalid(py, format!("this {} is closed; open it again", self.what)))
    }

    /// Is it open? For `repr`.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Again is nothing new.
    pub(crate) fn close(&self) {
        let gone = self.inner.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(gone); // after the lock
    }
}

/// What one thread at a time may use, until somebody closes it.
pub(crate) struct Exclusive<T> {
    what: &'static str,
    inner: Mutex<Option<T>>,
}

impl<T> Exclusive<T> {
    /// `what` is its name in sentences: `reading end of a pipe`.
    pub(crate) fn new(what: &'static str, inner: T) -> Exclusive<T> {
        Exclusive { what, inner: Mutex::new(Some(inner)) }
    }

    /// Runs `f` with it. `Busy` if another thread does so, `Invalid` once it is closed. Never waits for others.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        match self.lock()?.as_mut() {
            Some(inner) => f(inner),
            None => Err(Error::new(ErrorKind::Invalid, format!("this {} is closed; open it again", self.what))),
        }
    }

    /// It, for good; `None` if it was closed. `Busy` if another thread uses it.
    pub(crate) fn take(&self) -> Result<Option<T>> {
        Ok(self.lock()?.take())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<T>>> {
        match self.inner.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Busy, format!("another thread is using this {}; one at a time", self.what)))
            }
        }
    }
}
