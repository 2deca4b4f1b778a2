//! Which guard stands for which hold of a lock.
//!
//! # State
//!
//! Who holds a lock, core knows. Here each thread lists its own holds, in the order in which it took them; a hold
//! and its guard share one word: does it last? A guard ends its own hold, the lock's `unlock` the thread's last
//! one of that lock. So a guard that was outlived never ends a later hold, its own thread's or anybody's.
//!
//! # When a holder dies
//!
//! Whoever locks next gets a guard whose `owner_died` is true. A guard that goes away while the repair is due unlocks,
//! and the next locker is told the same; any other guard that goes away leaves the lock held, so that `mutex.lock()`
//! as a statement of its own means what it means in `threading`.
//!
//! A thread that ends takes its list with it, as core ends its holds. In a forked child the list is the parent's,
//! and forgotten. Nothing here is shared with another thread but the words, so nothing here waits.

use crate::error::{call, to_py};
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

/// A lock as its guards see it.
pub(crate) trait Lock {
    /// `mutex`, for sentences.
    const NOUN: &'static str;
    /// Its name.
    fn name(&self) -> &str;
    /// Ends the calling thread's hold. `NotOwner` if it has none.
    fn unlock(&self) -> Result<()>;
    /// What it protects is whole again.
    fn recover(&self) -> Result<()>;
    /// Has a holder died and nobody recovered since?
    fn owner_died(&self) -> bool;
}

/// What guards are made of: the lock, and the hold that this one stands for.
pub(crate) struct Held<L: Lock> {
    lock: L,
    key: Arc<Key>,
    lasts: Arc<AtomicBool>,
    forks: u32,
}

impl<L: Lock> Held<L> {
    /// The calling thread has just locked.
    pub(crate) fn begin(lock: L, key: &Arc<Key>) -> Held<L> {
        let held = Held { lock, key: key.clone(), lasts: Arc::new(AtomicBool::new(true)), forks: forks() };
        with_list(|holds| holds.push(Listed { key: held.key.clone(), lasts: held.lasts.clone() }));
        held
    }

    pub(crate) fn lock(&self) -> &L {
        &self.lock
    }

    /// A guard that takes this one's place: what it stood for is another hold now.
    pub(crate) fn turned(&self) -> Held<L>
    where
        L: Clone,
    {
        self.ended();
        Held::begin(self.lock.clone(), &self.key)
    }

    /// Is the lock held by it still?
    pub(crate) fn lasts(&self) -> bool {
        self.forks == forks() && self.lasts.load(Relaxed)
    }

    fn place(&self, holds: &[Listed]) -> Option<usize> {
        holds.iter().rposition(|hold| Arc::ptr_eq(&hold.lasts, &self.lasts))
    }

    /// Does it last, and is it the calling thread's?
    fn is_mine(&self) -> bool {
        self.lasts() && with_list(|holds| self.place(holds).is_some()).unwrap_or(false)
    }

    /// The calling thread has ended it.
    fn ended(&self) {
        self.lasts.store(false, Relaxed);
        with_list(|holds| self.place(holds).map(|place| holds.remove(place)));
    }

    /// `Ok` if it lasts and is the calling thread's.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_mine() {
            return Ok(());
        }
        let lock = format!("{} {:?}", L::NOUN, self.lock.name());
        if self.forks != forks() {
            return Err(forked(&format!("the guard of {lock}"), "lock it in this process"));
        }
        let why = match self.lasts() {
            true => "this guard is another thread's; only the thread that locked may use it",
            false => "this guard's hold has ended; lock again",
        };
        Err(Error::new(ErrorKind::NotOwner, format!("{lock}: {why}")))
    }

    pub(crate) fn owner_died(&self) -> bool {
        self.lock.owner_died()
    }

    pub(crate) fn recover(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.check()?;
            self.lock.recover()
        })
    }

    pub(crate) fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.check()?;
            self.lock.unlock()?;
            self.ended();
            Ok(())
        })
    }

    /// A block begins.
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.check())
    }

    /// A block ends; it may have unlocked already.
    pub(crate) fn exit(&self, py: Python<'_>) -> PyResult<()> {
        if self.lasts() { self.unlock(py) } else { Ok(()) }
    }

    pub(crate) fn repr(&self, class: &str) -> String {
        let state = match (self.lasts(), self.owner_died()) {
            (true, true) => "held, owner died, not recovered",
            (true, false) => "held",
            (false, _) => "ended",
        };
        format!("<triveni.{class} of '{}' {state}>", self.lock.name())
    }
}

impl<L: Lock> Drop for Held<L> {
    /// A guard that goes away while the repair is due unlocks. On any other thread than the holder's it does not:
    /// then the lock waits for that thread's end.
    fn drop(&mut self) {
        if self.is_mine() && self.owner_died() && self.lock.unlock().is_ok() {
            self.ended();
        }
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
