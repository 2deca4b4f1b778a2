use super::*;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A key that nobody has.
fn fresh_key() -> SysvKey {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    SysvKey::new((std::process::id() as i32) << 8 | NEXT.fetch_add(1, Relaxed))
}

/// A set without a key that goes at the end of the test.
fn fresh(initial: &[u16]) -> SysvSemaphores {
    SysvSemaphoresOptions::new().owned(true).create(SysvKey::PRIVATE, initial).unwrap()
}

/// True where the system has no System V IPC: then there is nothing to test.
fn absent() -> bool {
    SysvSemaphores::list().is_err_and(|e| e.kind() == ErrorKind::Unsupported)
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn a_key_is_created_opened_and_removed_once() {
    if absent() {
        return;
    }
    let key = fresh_key();
    assert_eq!(kind(SysvSemaphores::open(key)), ErrorKind::NotFound);
    let made = SysvSemaphores::create(key, &[3, 0]).unwrap();
    assert_eq!(kind(SysvSemaphores::create(key, &[3, 0])), ErrorKind::Exists);
    let same = SysvSemaphores::open(key).unwrap();
    assert_eq!((same.id(), same.key(), same.count()), (made.id(), key, 2));
    assert_eq!(same.values().unwrap(), [3, 0]);
    assert_eq!(SysvSemaphores::open_or_create(key, &[9, 9]).unwrap().values().unwrap(), [3, 0]);
    assert_eq!(kind(SysvSemaphores::open_or_create(key, &[9])), ErrorKind::Incompatible);
    SysvSemaphores::unlink(key).unwrap();
    for gone in [made.remove(), made.post(0, 1), made.wait(0, 1), made.set(0, 1), made.values().map(|_| ())] {
        assert_eq!(kind(gone), ErrorKind::Removed);
    }
    assert_eq!(kind(made.info()), ErrorKind::Removed);
    assert_eq!(kind(SysvSemaphores::unlink(key)), ErrorKind::NotFound);
    assert_eq!(kind(SysvSemaphores::open(SysvKey::PRIVATE)), ErrorKind::Invalid);
}

#[test]
fn several_operations_happen_at_once_or_not_at_all() {
    if absent() {
        return;
    }
    let set = fresh(&[1, 0, 5]);
    let both = [SemaphoreOperation::wait(0, 1), SemaphoreOperation::wait(1, 1), SemaphoreOperation::new(2, -2)];
    assert!(!set.try_operate(&both).unwrap());
    assert_eq!(set.values().unwrap(), [1, 0, 5]);
    set.post(1, 1).unwrap();
    assert!(set.try_operate(&both).unwrap());
    assert_eq!(set.values().unwrap(), [0, 0, 3]);
    set.operate(&[SemaphoreOperation::zero(0), SemaphoreOperation::post(0, 1)]).unwrap(); // an old-fashioned lock
    assert!(!set.try_operate(&[SemaphoreOperation::zero(0)]).unwrap());
}

#[test]
fn who_waits_for_two_holds_neither_and_is_counted() {
    if absent() {
        return;
    }
    let set = fresh(&[1, 0]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| set.operate(&[SemaphoreOperation::wait(0, 1), SemaphoreOperation::wait(1, 1)]));
        while set.semaphore_info(1).unwrap().waiting == 0 {
            std::thread::yield_now();
        }
        assert!(set.try_wait(0, 1).unwrap(), "it is still there");
        set.set_all(&[1, 1]).unwrap();
        waiting.join().unwrap().unwrap();
    });
    let info = set.semaphore_info(0).unwrap();
    assert_eq!((info.value, info.waiting, info.waiting_for_zero), (0, 0, 0));
    assert_eq!(info.last_pid, std::process::id());
}

#[test]
fn a_wait_ends_with_its_deadline_and_takes_nothing() {
    if absent() {
        return;
    }
    let set = fresh(&[2]);
    let begin = Instant::now();
    assert_eq!(kind(set.wait_until(0, 3, Deadline::after(Duration::from_millis(30)))), ErrorKind::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(kind(set.wait_until(0, 3, Deadline::now())), ErrorKind::Timeout);
    set.wait_until(0, 2, Deadline::now()).unwrap();
    assert!(!set.try_wait(0, 1).unwrap());
    set.operate_until(&[SemaphoreOperation::zero(0)], Deadline::after(Duration::from_secs(9))).unwrap();
}

#[test]
fn removal_ends_a_wait() {
    if absent() {
        return;
    }
    let set = fresh(&[0]);
    std::thread::scope(|scope| {
        let forever = scope.spawn(|| set.wait(0, 1));
        let timed = scope.spawn(|| set.wait_until(0, 1, Deadline::after(Duration::from_secs(30))));
        while set.semaphore_info(0).unwrap().waiting < 2 {
            std::thread::yield_now();
        }
        set.remove().unwrap();
        assert_eq!(kind(forever.join().unwrap()), ErrorKind::Removed);
        assert_eq!(kind(timed.join().unwrap()), ErrorKind::Removed);
    });
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    if absent() {
        return;
    }
    let set = fresh(&[1]);
    assert_eq!(kind(set.operate(&[])), ErrorKind::Invalid);
    assert_eq!(kind(set.wait(0, 0)), ErrorKind::Invalid);
    assert_eq!(kind(set.post(0, 40000)), ErrorKind::Invalid);
    for wrong in [set.wait(1, 1), set.set(1, 0), set.value(1).map(|_| ()), set.set_all(&[1, 1]), set.set(0, 40000)] {
        assert_eq!(kind(wrong), ErrorKind::Invalid);
    }
    set.set(0, SysvSemaphores::MAX).unwrap();
    assert_eq!(kind(set.post(0, 1)), ErrorKind::Overflow);
    let error = set.operate(&vec![SemaphoreOperation::new(0, -1); 1_000_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("/proc/sys/kernel/sem is"), "{error}");
    let error = SysvSemaphores::create(SysvKey::PRIVATE, &[0; 65535]).err().unwrap();
    assert!(error.to_string().contains("/proc/sys/kernel/sem is"), "{error}");
    assert_eq!(kind(SysvSemaphores::create(SysvKey::PRIVATE, &[])), ErrorKind::Invalid);
    assert_eq!(kind(SysvSemaphores::create(SysvKey::PRIVATE, &[32768])), ErrorKind::Invalid);
}

#[test]
fn every_first_value_is_there_also_the_least_and_the_most() {
    if absent() {
        return;
    }
    for initial in [[0, 7], [1, 7], [SysvSemaphores::MAX, 7]] {
        let set = fresh(&initial);
        assert_eq!(set.values().unwrap(), initial);
        assert!(set.info().unwrap().operated_at > 0, "others wait for that");
    }
}

#[test]
fn who_opens_waits_for_the_first_values() {
    if absent() {
        return;
    }
    let key = fresh_key();
    // SAFETY: three numbers.
    let id = unsafe { libc::semget(key.number(), 1, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    std::thread::scope(|scope| {
        let opening = scope.spawn(move || SysvSemaphores::open(key).unwrap().values().unwrap());
        std::thread::sleep(Duration::from_millis(20)); // so long its creator was not scheduled
        let half = SysvSemaphores { id, key, count: 1, undo: false, _owned: None };
        half.set_all(&[4]).unwrap();
        half.operate(&[SemaphoreOperation::wait(0, 1), SemaphoreOperation::post(0, 1)]).unwrap();
        assert_eq!(opening.join().unwrap(), [4]);
    });
    SysvSemaphores::open_id(id).unwrap().remove().unwrap();
}

#[test]
fn a_set_that_nobody_has_ever_operated_on_opens_after_its_youth() {
    if absent() {
        return;
    }
    // SAFETY: three numbers.
    let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
    let set = SysvSemaphores::open_id(id).unwrap();
    assert_eq!(set.values().unwrap(), [0]);
    set.remove().unwrap();
}

#[test]
fn the_table_shows_the_set() {
    if absent() {
        return;
    }
    let key = fresh_key();
    let set = SysvSemaphoresOptions::new().owned(true).mode(0o660).create(key, &[1, 2, 3]).unwrap();
    let row = SysvSemaphores::list().unwrap().into_iter().find(|row| row.id == set.id()).unwrap();
    assert_eq!((row.key, row.count, row.mode), (key, 3, 0o660));
    assert_eq!(set.info().unwrap().count, 3);
}
