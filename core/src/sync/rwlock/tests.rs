//! The lock among threads and forked children, on a real segment.

use super::*;
use crate::prim::{AtomicU32, AtomicU64};
use crate::segment::object::HeapMemory;
use crate::{Segment, Semaphore};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const POLICIES: [RwPolicy; 3] = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

/// Longer than anything here takes, so that a fault fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

fn patience() -> Deadline {
    PATIENCE.into()
}

fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// Until so many threads sleep to read, and so many to write.
fn until_asleep(segment: &Segment, read: usize, write: usize) {
    until(&format!("{read} sleep to read and {write} to write"), || {
        let waits = segment.waits().unwrap();
        let asleep = |mode| waits.iter().filter(|wait| wait.mode == mode).count();
        (asleep(WaitMode::Read), asleep(WaitMode::Write)) == (read, write)
    });
}

/// A forked child that does something and then pauses; killed when dropped.
struct Child(libc::pid_t);

impl Child {
    fn runs(does: impl FnOnce()) -> Child {
        // SAFETY: the child only uses this library and ends by a signal.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // A child that panics must not go on as a second test program.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(does)).is_err() {
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(1) };
            }
            loop {
                // SAFETY: no preconditions.
                unsafe { libc::pause() };
            }
        }
        Child(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: our own child.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        let mut status = 0;
        // SAFETY: as above; `status` is ours.
        unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert!(libc::WIFSIGNALED(status) || std::thread::panicking(), "the child failed before it was killed");
    }
}

#[test]
fn writers_are_alone_and_readers_see_whole_states() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let (a, b) = (AtomicU64::new(0), AtomicU64::new(0));
        let (threads, rounds) = (4, 3000);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (lock, a, b) = (lock.clone(), &a, &b);
                scope.spawn(move || {
                    for round in 0..rounds {
                        if (round + thread) % 4 == 0 {
                            let guard = lock.write_until(patience()).unwrap();
                            let now = a.load(Relaxed) + 1;
                            a.store(now, Relaxed);
                            b.store(now, Relaxed);
                            if round % 8 == 0 {
                                let guard = guard.downgrade();
                                assert_eq!((a.load(Relaxed), b.load(Relaxed)), (now, now));
                                drop(guard);
                            }
                        } else {
                            let _guard = lock.read_until(patience()).unwrap();
                            assert_eq!(a.load(Relaxed), b.load(Relaxed));
                        }
                    }
                });
            }
        });
        assert_eq!(a.load(Relaxed), threads * rounds / 4);
        assert_eq!((lock.readers(), lock.writer()), (0, None));
    }
}

#[test]
fn many_read_at_once_and_nobody_writes_meanwhile() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let first = lock.read().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = lock.try_read().unwrap().unwrap();
                assert_eq!(lock.readers(), 2);
            });
        });
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(lock.try_write().unwrap().is_none()));
        });
        drop(first);
        let _alone = lock.try_write().unwrap().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(lock.try_read().unwrap().is_none());
                assert!(lock.try_write().unwrap().is_none());
            });
        });
        assert!(lock.is_mine());
    }
}

#[test]
fn an_upgrade_is_refused_and_the_read_lock_stays() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let guard = lock.read().unwrap();
        for error in [lock.write().err().unwrap().into(), lock.try_write().err().unwrap().into()] {
            let error: Error = error;
            assert_eq!(error.kind(), ErrorKind::Deadlock);
            assert!(error.to_string().contains("wait for each other for ever"), "{error}");
        }
        assert_eq!(lock.readers(), 1);
        drop(guard);
        drop(lock.write().unwrap());
    }
}

#[test]
fn who_writes_cannot_lock_again() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::Fair).unwrap();
    let guard = lock.write().unwrap();
    let errors: [Error; 4] = [
        lock.write().err().unwrap().into(),
        lock.try_write().err().unwrap().into(),
        lock.read().err().unwrap().into(),
        lock.try_read().err().unwrap().into(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Deadlock);
        assert!(error.to_string().contains("writing already"), "{error}");
    }
    drop(guard);
    assert_eq!((lock.readers(), lock.writer()), (0, None));
}

#[test]
fn who_reads_may_read_again_though_a_writer_waits() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let first = lock.read().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(lock.write_until(patience()).unwrap()));
            until_asleep(&segment, 0, 1);
            let second = lock.read_until(patience()).unwrap();
            let third = lock.try_read().unwrap().unwrap();
            assert_eq!(lock.readers(), 3);
            drop((first, second, third));
        });
    }
}

#[test]
fn after_a_downgrade_no_writer_was_inside() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let inside = AtomicBool::new(false);
        let writing = lock.write().unwrap();
        let before = lock.writer();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = lock.write_until(patience()).unwrap();
                inside.store(true, SeqCst);
            });
            until_asleep(&segment, 0, 1);
            let reading = writing.downgrade();
            until("the other writer is next", || lock.writer().is_some_and(|writer| Some(writer) != before));
            until_asleep(&segment, 0, 1);
            assert!(!inside.load(SeqCst));
            assert_eq!(lock.readers(), 1);
            drop(reading);
        });
        assert!(inside.load(SeqCst));
    }
}

/// Who was inside, in order.
#[derive(Default)]
struct Log(Mutex<Vec<&'static str>>);

impl Log {
    fn enters(&self, who: &'static str) {
        self.0.lock().unwrap().push(who);
    }
}

#[test]
fn writers_first_a_reader_that_comes_after_a_waiting_writer_enters_after_it_and_those_behind_it() {
    let segment = segment();
    let (lock, log) = (segment.rwlock("l", RwPolicy::WritersFirst).unwrap(), Log::default());
    let first = lock.read().unwrap();
    std::thread::scope(|scope| {
        for writers in 1..=2 {
            scope.spawn(|| {
                let _guard = lock.write_until(patience()).unwrap();
                log.enters("writer");
            });
            until_asleep(&segment, 0, writers);
        }
        scope.spawn(|| {
            let _guard = lock.read_until(patience()).unwrap();
            log.enters("reader");
        });
        until_asleep(&segment, 1, 2);
        log.enters("first");
        drop(first);
    });
    assert_eq!(*log.0.lock().unwrap(), ["first", "writer", "writer", "reader"]);
}

#[test]
fn readers_first_a_reader_enters_before_a_waiting_writer() {
    let segment = segment();
    let (lock, log) = (segment.rwlock("l", RwPolicy::ReadersFirst).unwrap(), Log::default());
    let first = lock.read().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = lock.write_until(patience()).unwrap();
            log.enters("writer");
        });
        until_asleep(&segment, 0, 1);
        scope
            .spawn(|| {
                let _guard = lock.read_until(patience()).unwrap();
                log.enters("reader");
            })
            .join()
            .unwrap();
        log.enters("first leaves");
        drop(first);
    });
    assert_eq!(*log.0.lock().unwrap(), ["reader", "first leaves", "writer"]);
}

#[test]
fn fair_readers_kept_out_by_one_writer_enter_before_the_next() {
    let segment = segment();
    let (lock, log) = (segment.rwlock("l", RwPolicy::Fair).unwrap(), Log::default());
    let first = lock.read().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = lock.write_until(patience()).unwrap();
            log.enters("first writer");
        });
        until_asleep(&segment, 0, 1);
        for readers in 1..=2 {
            scope.spawn(|| {
                let _guard = lock.read_until(patience()).unwrap();
                log.enters("reader");
            });
            until_asleep(&segment, readers, 1);
        }
        scope.spawn(|| {
            let _guard = lock.write_until(patience()).unwrap();
            log.enters("second writer");
        });
        until_asleep(&segment, 2, 2);
        drop(first);
    });
    assert_eq!(*log.0.lock().unwrap(), ["first writer", "reader", "reader", "second writer"]);
}

#[test]
fn a_deadline_ends_a_wait_and_leaves_the_lock_as_it_was() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let reading = lock.read().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let error: Error = lock.write_until(Duration::from_millis(20).into()).err().unwrap().into();
                assert_eq!(error.kind(), ErrorKind::Timeout);
                assert!(error.to_string().contains("1 read locks in process"), "{error}");
                assert!(lock.try_read().unwrap().is_some(), "the gate is open again");
            });
        });
        drop(reading);
        let writing = lock.write().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for error in [
                    Error::from(lock.read_until(Duration::from_millis(20).into()).err().unwrap()),
                    Error::from(lock.write_until(Duration::from_millis(20).into()).err().unwrap()),
                ] {
                    assert_eq!(error.kind(), ErrorKind::Timeout);
                    assert!(error.to_string().contains("writes"), "{error}");
                }
            });
        });
        drop(writing);
        assert!(lock.try_write().unwrap().is_some());
    }
}

#[test]
fn unlock_by_somebody_else_says_who_holds_it() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::Fair).unwrap();
    let says = |phrase: &str| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for error in [lock.unlock().unwrap_err(), lock.recover().unwrap_err(), lock.downgrade().unwrap_err()] {
                    assert_eq!(error.kind(), ErrorKind::NotOwner);
                    assert!(error.to_string().contains(phrase), "{error}");
                }
            });
        });
    };
    says("nobody holds it");
    let guard = lock.read().unwrap();
    says("1 read locks in process");
    drop(guard);
    let guard = lock.write().unwrap();
    says("of process");
    drop(guard);
}

#[test]
fn a_forgotten_guard_is_unlocked_by_what_the_thread_holds() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::WritersFirst).unwrap();
    std::mem::forget(lock.read().unwrap());
    std::mem::forget(lock.read().unwrap());
    lock.unlock().unwrap();
    assert_eq!(lock.readers(), 1);
    lock.unlock().unwrap();
    std::mem::forget(lock.write().unwrap());
    lock.downgrade().unwrap();
    assert_eq!((lock.readers(), lock.writer()), (1, None));
    lock.unlock().unwrap();
    assert_eq!(lock.unlock().unwrap_err().kind(), ErrorKind::NotOwner);
}

#[test]
fn a_thread_that_ends_leaves_its_reads_and_its_write_is_news() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let ends = |holding: &(dyn Fn() + Sync)| {
            std::thread::scope(|scope| {
                scope.spawn(holding).join().unwrap();
            });
        };
        ends(&|| {
            std::mem::forget(lock.read().unwrap());
            std::mem::forget(lock.read().unwrap());
        });
        // `join` may return before the thread's destructors have run: ask for the fact.
        until("its reads are gone", || lock.readers() == 0);
        assert!(!lock.owner_died());
        ends(&|| std::mem::forget(lock.write().unwrap()));
        until("its write is over", || lock.writer().is_none());
        assert!(lock.owner_died());
        assert!(matches!(lock.read_until(patience()), Err(LockError::OwnerDied(_))));
        let Err(LockError::OwnerDied(guard)) = lock.write_until(patience()) else { panic!("no news") };
        drop(guard);
        assert!(matches!(lock.try_read(), Err(LockError::OwnerDied(_))), "unlocked without recover: still news");
        let Err(LockError::OwnerDied(guard)) = lock.write_until(patience()) else { panic!("no news") };
        guard.recover();
        drop(guard);
        assert!(lock.read().is_ok() && !lock.owner_died());
    }
}

#[test]
fn guards_in_a_forked_child_do_nothing() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::Fair).unwrap();
    let done = segment.semaphore("done", 0).unwrap();
    let wait = |done: &Semaphore| done.wait_until(patience()).unwrap();
    let guard = lock.read().unwrap();
    let child = Child::runs(|| {
        // SAFETY: the child's copy; the parent's guard is another one.
        drop(unsafe { std::ptr::read(&guard) });
        assert_eq!(lock.unlock().unwrap_err().kind(), ErrorKind::NotOwner);
        assert!(lock.try_read().unwrap().is_some(), "a reader of its own");
        done.post().unwrap();
    });
    wait(&done);
    assert_eq!(lock.readers(), 1);
    drop((child, guard));
    assert_eq!(lock.readers(), 0);

    let guard = lock.write().unwrap();
    let child = Child::runs(|| {
        // SAFETY: as above.
        let copy = unsafe { std::ptr::read(&guard) };
        copy.recover();
        drop(copy.downgrade());
        assert!(lock.try_read().unwrap().is_none());
        assert_eq!(lock.unlock().unwrap_err().kind(), ErrorKind::NotOwner);
        done.post().unwrap();
    });
    wait(&done);
    assert!(lock.is_mine());
    drop((child, guard));
    assert_eq!((lock.readers(), lock.writer(), lock.owner_died()), (0, None, false));
}

#[test]
fn a_killed_reader_does_not_hold_writers_up() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let child = Child::runs(|| std::mem::forget(lock.read().unwrap()));
        until("the child reads", || lock.readers() == 1);
        drop(child);
        drop(lock.write_until(patience()).unwrap());
        assert!(!lock.owner_died());
        let child = Child::runs(|| std::mem::forget(lock.read().unwrap()));
        until("the child reads", || lock.readers() == 1);
        drop(child);
        until("a loop of tries gets past it", || lock.try_write().unwrap().is_some());
    }
}

#[test]
fn a_killed_writer_is_news_for_readers_and_writers() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let inside = segment.semaphore("inside", 0).unwrap();
        let writes = || {
            let child = Child::runs(|| {
                std::mem::forget(lock.write_until(patience()));
                inside.post().unwrap();
            });
            inside.wait_until(patience()).unwrap();
            drop(child);
        };
        writes();
        assert!(matches!(lock.read_until(patience()), Err(LockError::OwnerDied(_))));
        writes();
        let Err(LockError::OwnerDied(guard)) = lock.write_until(patience()) else { panic!("no news") };
        guard.recover();
        drop(guard);
        writes();
        until("a loop of tries gets past it", || match lock.try_read() {
            Ok(None) => false,
            Err(LockError::OwnerDied(_)) => true,
            other => panic!("{:?}", other.map(|_| ())),
        });
        writes();
        let Err(LockError::OwnerDied(guard)) = lock.write_until(patience()) else { panic!("no news") };
        guard.recover();
        drop(guard);
        writes();
        segment.sweep().unwrap();
        assert_eq!(lock.writer(), None);
        assert!(lock.owner_died());
        assert!(matches!(lock.try_read(), Err(LockError::OwnerDied(_))), "after the sweep the first try enters");
    }
}

#[test]
fn a_writer_killed_while_readers_are_inside_is_no_news() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let reading = lock.read().unwrap();
        let child = Child::runs(|| std::mem::forget(lock.write_until(patience())));
        until("the child waits for us", || lock.writer().is_some());
        until_asleep(&segment, 0, 1);
        drop(child);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(lock.read_until(patience()).unwrap()));
        });
        drop(reading);
        drop(lock.write_until(patience()).unwrap());
        assert!(!lock.owner_died());
    }
}

#[test]
fn a_gate_left_to_a_writer_that_was_killed_is_opened() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::WritersFirst).unwrap();
    for tries in [false, true] {
        let writing = lock.write().unwrap();
        let child = Child::runs(|| std::mem::forget(lock.write_until(patience())));
        until_asleep(&segment, 0, 1);
        drop(child);
        drop(writing);
        assert_eq!(lock.words().unwrap().gate().unwrap(), words::CLOSED, "left to the child");
        if tries {
            until("a loop of tries gets past it", || lock.try_read().unwrap().is_some());
        } else {
            drop(lock.read_until(patience()).unwrap());
        }
    }
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_in_that_it_kept_out() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::WritersFirst).unwrap();
    let first = lock.read().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write_until(Duration::from_millis(300).into()).is_err());
        until("it is at the gate", || lock.writer().is_some());
        // Either it sleeps until the writer gives up, or it comes later: it enters while `first` reads.
        drop(lock.clone().read_until(patience()).unwrap());
        scope.spawn(|| drop(lock.read_until(patience()).unwrap())).join().unwrap();
        assert!(writer.join().unwrap());
    });
    drop(first);
}

/// A page of two numbers that a fork shares.
fn shared_numbers() -> &'static [AtomicU64; 2] {
    let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping; nothing is replaced.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, read_write, shared, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: zeroed, aligned, large enough, and never unmapped.
    unsafe { &*page.cast() }
}

/// Locks in every way, as often as it may; between what a writer does to the two numbers they differ.
fn lives(lock: &RwLock, numbers: &[AtomicU64; 2], rounds: u64) {
    let [a, b] = numbers;
    for round in 0..rounds {
        if round % 3 == 0 {
            let guard = match lock.write_until(patience()) {
                Ok(guard) => guard,
                Err(LockError::OwnerDied(guard)) => {
                    b.store(a.load(Relaxed), Relaxed);
                    guard.recover();
                    guard
                }
                Err(LockError::Failed(error)) => panic!("{error}"),
            };
            assert_eq!(a.fetch_add(1, Relaxed), b.load(Relaxed));
            b.fetch_add(1, Relaxed);
            if round % 2 == 0 {
                let _reading = guard.downgrade();
                assert_eq!(a.load(Relaxed), b.load(Relaxed));
            }
        } else {
            match lock.read_until(patience()) {
                Ok(_guard) => assert_eq!(a.load(Relaxed), b.load(Relaxed)),
                Err(LockError::OwnerDied(_)) => {}
                Err(LockError::Failed(error)) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn whoever_is_killed_whenever_the_others_go_on() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let numbers = shared_numbers();
        for killed in 0..40 {
            let children: Vec<Child> = (0..2).map(|_| Child::runs(|| lives(&lock, numbers, u64::MAX))).collect();
            let begin = numbers[0].load(Relaxed);
            until("a child has written", || numbers[0].load(Relaxed) > begin);
            // Some way on, another one each time.
            (0..killed * 50).for_each(|_| std::hint::spin_loop());
            drop(children);
            lives(&lock, numbers, 12);
        }
        assert_eq!((lock.readers(), lock.writer(), lock.owner_died()), (0, None, false));
    }
}

#[test]
fn a_removed_lock_ends_its_waits() {
    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let writing = lock.write().unwrap();
        std::thread::scope(|scope| {
            let read = scope.spawn(|| Error::from(lock.read_until(patience()).err().unwrap()).kind());
            let write = scope.spawn(|| Error::from(lock.write_until(patience()).err().unwrap()).kind());
            until_asleep(&segment, 1, 1);
            segment.remove("l").unwrap();
            assert_eq!((read.join().unwrap(), write.join().unwrap()), (ErrorKind::Removed, ErrorKind::Removed));
        });
        drop(writing);
    }
}

#[test]
fn the_lock_is_to_be_seen_from_outside() {
    let segment = segment();
    let lock = segment.rwlock("l", RwPolicy::Fair).unwrap();
    let state = || segment.objects().unwrap().remove(0).state;
    let reading = (lock.read().unwrap(), lock.read().unwrap());
    let seen = |writer, readers| ObjectState::RwLock { policy: RwPolicy::Fair, writer, readers, owner_died: false };
    assert_eq!(state(), seen(None, vec![(1, 2)]));
    drop(reading);
    let _writing = lock.write().unwrap();
    assert_eq!(state(), seen(Some((1, thread::number())), vec![]));
}

#[test]
fn garbage_is_corrupt_and_never_hangs() {
    let kind = |result: Result<Words<'_>>| result.err().map(|error| error.kind());
    for geometry in [[0, 4], [4, 4], [2, 0], [2, 513], [2, 5], [3, u64::MAX]] {
        let [policy, seats] = geometry;
        let memory = HeapMemory::new(words::size(4), [policy, seats, 0, 0, 0]);
        assert_eq!(kind(Words::of(memory.view())), Some(ErrorKind::Corrupt), "{geometry:?}");
    }
    let memory = HeapMemory::new(words::size(4), [2, 4, 0, 0, 0]);
    assert_eq!(kind(Words::of(memory.view())), None);
    (KIND.repair)(memory.view(), 9999);
    leave_reads(memory.view(), 9999, 7);
    leave_reads(memory.view(), 1, 7);
    assert_eq!(Words::of(memory.view()).unwrap().readers().count(), 0);

    for policy in POLICIES {
        let segment = segment();
        let lock = segment.rwlock("l", policy).unwrap();
        let word = |at| lock.object.view().at::<AtomicU32>(at).unwrap();
        let soon = || Deadline::after(Duration::from_millis(100));
        let read = || Error::from(lock.read_until(soon()).err().unwrap()).kind();
        let write = || Error::from(lock.write_until(soon()).err().unwrap()).kind();
        // The gate: nothing that anybody wrote.
        word(64).store(0x1234_5678, Relaxed);
        assert_eq!(read(), ErrorKind::Corrupt);
        drop(lock.write_until(soon()));
        drop(lock.read_until(soon()));
        word(64).store(words::OPEN, Relaxed);
        // A writer in a slot that is no seat.
        word(64).store(words::WRITING, Relaxed);
        word(0).store(owner_word(4000, 1), Relaxed);
        assert_eq!((read(), write()), (ErrorKind::Corrupt, ErrorKind::Corrupt));
        word(0).store(0, Relaxed);
        word(64).store(words::OPEN, Relaxed);
        // Absurd counts of a process that never was: it is dead, so they are cleared.
        for half in [0, 4] {
            word(256 + 64 * 5 + half).store(u32::MAX, Relaxed);
        }
        drop(lock.write_until(patience()).unwrap());
        // And of our own: nobody can tell, so the deadline ends it.
        word(256).store(u32::MAX, Relaxed);
        assert_eq!(write(), ErrorKind::Timeout);
        assert_eq!(Error::from(lock.read().err().unwrap()).kind(), ErrorKind::Overflow);
    }
}
