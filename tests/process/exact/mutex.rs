//! Killed in an operation of mutexes.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use triveni::*;

#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Free.
    Free,
    /// Free, but a holder died and was swept.
    OwnerDied,
    /// Held by a dead process.
    HeldByDead,
}

/// The lock guards two numbers in the page that are equal unless somebody is at it.
struct MutexScene {
    place: Place,
    before: Before,
    mutex: Option<Mutex>,
    predecessor: &'static Page,
}

impl MutexScene {
    fn new(before: Before) -> MutexScene {
        MutexScene { place: Place::new(), before, mutex: None, predecessor: Page::new() }
    }

    fn numbers(&self) -> (&'static AtomicU64, &'static AtomicU64) {
        let page: &'static Page = self.place.page;
        (&page.data[0], &page.data[64])
    }

    fn are_equal(&self) -> bool {
        let (a, b) = self.numbers();
        a.load(Relaxed) == b.load(Relaxed)
    }
}

impl Scene for MutexScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        self.mutex = Some(self.place.segment.create_mutex("m").unwrap());
        if self.before != Before::Free {
            let dead = Bystander::start(self.predecessor, |step| {
                let mutex = self.place.segment.open_mutex("m").unwrap();
                std::mem::forget(mutex.lock().unwrap());
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            });
            drop(dead);
        }
        if self.before == Before::OwnerDied {
            self.place.segment.sweep().unwrap();
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let mutex = self.place.segment.open_mutex("m").unwrap();
        let (a, b) = self.numbers();
        if self.before != Before::Free {
            a.store(1, Relaxed); // what the dead holder left
        }
        step.through(|| {
            let guard = match mutex.lock() {
                Ok(guard) => guard,
                Err(LockError::OwnerDied(guard)) => {
                    b.store(a.load(Relaxed), Relaxed);
                    guard.recover();
                    guard
                }
                Err(LockError::Failed(error)) => return Err(error),
            };
            a.fetch_add(1, Relaxed);
            b.fetch_add(1, Relaxed);
            drop(guard);
            Ok(OK)
        })
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let mutex = self.mutex.take().unwrap();
        let (a, b) = self.numbers();
        match self.place.recovering(|| mutex.lock_until(in_time())) {
            Ok(guard) => {
                assert!(self.are_equal(), "{} and {}, and no word of a death", a.load(Relaxed), b.load(Relaxed));
                assert!(!guard.owner_died());
            }
            Err(LockError::OwnerDied(guard)) => {
                assert!(!killed.done(), "a death is told after the operation was done");
                guard.recover();
            }
            Err(LockError::Failed(error)) => panic!("{error}"),
        }
        drop(mutex.lock_until(in_time()).expect("a plain lock after the recovery"));
        assert_eq!(mutex.holder(), None);
        assert!(mutex.try_lock().expect("a plain lock").is_some());
        self.place.segment.remove("m").unwrap();
        drop(mutex);
        self.place.is_as_new();
    }
}

#[test]
fn a_mutex_tells_of_every_half_done_change() {
    run_all(
        "mutex",
        vec![
            case("mutex: lock, change, unlock", || MutexScene::new(Before::Free)),
            case("mutex: lock after a death, recover, unlock", || MutexScene::new(Before::OwnerDied)),
            case("mutex: steal from a dead holder, recover, unlock", || MutexScene::new(Before::HeldByDead)),
        ],
    );
}
