//! The segments this process takes part in: one participant for each, however often it is opened.

use super::Participant;
use super::fork::LocalLock;
use std::cell::UnsafeCell;
use std::sync::{Arc, Weak};

/// Guards the registry, and keeps descriptors with locks from being made while another thread forks.
pub static LOCK: LocalLock = LocalLock::new();

struct Registry(UnsafeCell<Vec<Weak<Participant>>>);

// SAFETY: the cell is touched only inside `with`, under LOCK, or in a forked child that has one thread.
unsafe impl Sync for Registry {}

static REGISTRY: Registry = Registry(UnsafeCell::new(Vec::new()));

fn with<R>(f: impl FnOnce(&mut Vec<Weak<Participant>>) -> R) -> R {
    // SAFETY: the caller holds LOCK (or is alone); `f` does not call back into this module.
    f(unsafe { &mut *REGISTRY.0.get() })
}

/// The participant of the segment in file `id`, if this process has joined it. The caller holds [`LOCK`].
pub fn find_locked(id: (u64, u64)) -> Option<Arc<Participant>> {
    with(|all| {
        all.retain(|weak| weak.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).find(|p| p.file_id() == id)
    })
}

/// Adds a participant. The caller holds [`LOCK`].
pub fn add_locked(participant: &Arc<Participant>) {
    with(|all| all.push(Arc::downgrade(participant)));
}

/// Every participant of this process.
pub fn all() -> Vec<Arc<Participant>> {
    LOCK.with(|| with(|all| all.iter().filter_map(Weak::upgrade).collect()))
}

/// In a forked child: closes the descriptors whose locks are the parent's.
pub fn forget_parents_locks() {
    with(|all| {
        for participant in all.iter().filter_map(Weak::upgrade) {
            participant.close_locks();
            // The last one must not be dropped here, as that could unmap under a lock: a handle that a thread of the
            // parent was just dropping. With others left, only a count goes down.
            if Arc::strong_count(&participant) > 1 { drop(participant) } else { std::mem::forget(participant) }
        }
    });
}
