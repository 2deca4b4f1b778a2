//! Which guard stands for which hold of a lock.
//!
//! # State
//!
//! Who holds a lock, core knows. Here each thread lists its own holds, in the order in which it took them; a hold
//! and its guard share one word: does it last? A guard ends its own hold, the lock's `unlock` the thread's last
//! one of that lock. So a guard that was outlived never ends a later hold, its own thread's or anybody's.
//!
//! A thread that ends takes its list with it, as core ends its holds. In a forked child the list is the parent's,
//! and forgotten. Nothing here is shared with another thread but the words, so nothing here waits.

use crate::error::to_py;
use crate::wait::{forked, forks};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::fs::File;
use std::mem::forget;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use triveni::{Error, ErrorKind, LockError, Result};

/// Which lock: all Python objects of this process that stand for the same one have equal keys.
#[derive(PartialEq, Eq)]
pub(crate) struct Key {
    /// Device and inode of the segment.
    segment: (u64, u64),
    object: String,
}

impl Key {
    pub(crate) fn of(segment: &triveni::Segment, object: &str) -> Arc<Key> {
        static UNKNOWN: AtomicU64 = AtomicU64::new(0);
        let segment = match segment.fd().map_err(std::io::Error::from).and_then(|fd| File::from(fd).metadata()) {
            Ok(meta) => (meta.dev(), meta.ino()),
            // No descriptors left: such a lock knows the guards of this handle only. Relaxed: a number, no more.
            Err(_) => (u64::MAX, UNKNOWN.fetch_add(1, Relaxed)),
        };
        Arc::new(Key { segment, object: object.to_string() })
    }
}

struct Listed {
    key: Arc<Key>,
    lasts: Arc<AtomicBool>,
}

struct List {
    forks: u32,
    holds: Vec<Listed>,
}

thread_local! {
    static LIST: RefCell<List> = const { RefCell::new(List { forks: 0, holds: Vec::new() }) };
}

impl Drop for List {
    fn drop(&mut self) {
        // Relaxed here and below: core's locks order what matters; the word only tells holds apart.
        self.holds.iter().for_each(|hold| hold.lasts.store(false, Relaxed));
    }
}

/// The calling thread's holds. `None` while the thread ends.
fn with_list<R>(f: impl FnOnce(&mut Vec<Listed>) -> R) -> Option<R> {
    LIST.try_with(|list| {
        let mut list = list.try_borrow_mut().ok()?;
        if list.forks != forks() {
            list.forks = forks();
            list.holds.clear();
        }
        Some(f(&mut list.holds))
    })
    .ok()
    .flatten()
}

/// The calling thread has unlocked: its last hold of that lock has ended.
pub(crate) fn end_last(key: &Key) {
    with_list(|holds| {
        if let Some(last) = holds.iter().rposition(|hold| *hold.key == *key) {
            holds.remove(last).lasts.store(false, Relaxed);
        }
    });
}

/// What a guard knows of the hold it stands for.
pub(crate) struct Hold {
    lasts: Arc<AtomicBool>,
    forks: u32,
}

impl Hold {
    /// The calling thread has just locked.
    pub(crate) fn begin(key: &Arc<Key>) -> Hold {
        let hold = Hold { lasts: Arc::new(AtomicBool::new(true)), forks: forks() };
        with_list(|holds| holds.push(Listed { key: key.clone(), lasts: hold.lasts.clone() }));
        hold
    }

    /// Is the lock held by it still?
    pub(crate) fn lasts(&self) -> bool {
        self.forks == forks() && self.lasts.load(Relaxed)
    }

    /// Does it last, and is it the calling thread's?
    pub(crate) fn is_mine(&self) -> bool {
        self.lasts() && with_list(|holds| self.place(holds).is_some()).unwrap_or(false)
    }

    fn place(&self, holds: &[Listed]) -> Option<usize> {
        holds.iter().rposition(|hold| Arc::ptr_eq(&hold.lasts, &self.lasts))
    }

    /// `Ok` if it lasts and is the calling thread's. `what` names the guard's lock: `mutex 'lab/m'`.
    pub(crate) fn check(&self, what: impl Fn() -> String) -> Result<()> {
        if self.is_mine() {
            Ok(())
        } else if self.forks != forks() {
            Err(forked(&format!("the guard of {}", what()), "lock it in this process"))
        } else {
            let why = match self.lasts() {
                true => "this guard is another thread's; only the thread that locked may use it",
                false => "this guard's hold has ended; lock again",
            };
            Err(Error::new(ErrorKind::NotOwner, format!("{}: {why}", what())))
        }
    }

    /// The calling thread has ended it.
    pub(crate) fn end(&self) {
        self.lasts.store(false, Relaxed);
        with_list(|holds| self.place(holds).map(|place| holds.remove(place)));
    }
}

/// What core answered to an attempt at locking: `None`: not now; else whether a holder died.
///
/// Core's guard cannot leave its thread. It is forgotten; the hold it stood for is ended by `unlock` instead.
pub(crate) fn kept<G>(locked: Result<Option<G>, LockError<G>>) -> Result<Option<bool>> {
    match locked {
        Ok(None) => Ok(None),
        Ok(Some(guard)) => {
            forget(guard);
            Ok(Some(false))
        }
        Err(LockError::OwnerDied(guard)) => {
            forget(guard);
            Ok(Some(true))
        }
        Err(LockError::Failed(error)) => Err(error),
    }
}

/// `OwnerDied`, with the guard that holds the lock now.
#[cold]
pub(crate) fn owner_died<'py>(py: Python<'py>, sentence: String, guard: impl IntoPyObject<'py>) -> PyErr {
    let error = to_py(py, Error::new(ErrorKind::OwnerDied, sentence));
    match error.value(py).setattr("guard", guard) {
        Ok(()) => error,
        Err(failed) => failed,
    }
}

/// Who holds a lock, for people: `free`, `held by pid 7`.
pub(crate) fn held_by(holder: Option<triveni::Holder>) -> String {
    match holder {
        None => "free".to_string(),
        Some(triveni::Holder { pid: Some(pid), .. }) => format!("held by pid {pid}"),
        Some(holder) => format!("held by participant {}", holder.slot),
    }
}
