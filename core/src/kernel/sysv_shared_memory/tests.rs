use super::*;
use crate::kernel::own_process::in_its_own_process;

/// A key that nobody has.
fn fresh_key() -> SysvKey {
    use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
    static NEXT: AtomicI32 = AtomicI32::new(1);
    SysvKey::new((std::process::id() as i32) << 8 | NEXT.fetch_add(1, Relaxed))
}

/// True where the system has no System V IPC: then there is nothing to test.
fn absent() -> bool {
    SysvSharedMemory::list().is_err_and(|e| e.kind() == ErrorKind::Unsupported)
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
    assert_eq!(kind(SysvSharedMemory::open(key)), ErrorKind::NotFound);
    let made = SysvSharedMemory::create(key, 1000).unwrap();
    assert_eq!(kind(SysvSharedMemory::create(key, 1000)), ErrorKind::Exists);
    let same = SysvSharedMemory::open(key).unwrap();
    assert_eq!((same.id(), same.key(), same.size()), (made.id(), key, 1000));
    made.write_at(996, b"last").unwrap();
    let mut back = [0; 4];
    same.read_at(996, &mut back).unwrap();
    assert_eq!(&back, b"last");
    assert_eq!(kind(same.write_at(997, b"last")), ErrorKind::Invalid);
    SysvSharedMemory::unlink(key).unwrap();
    assert_eq!(kind(SysvSharedMemory::open(key)), ErrorKind::NotFound);
    assert_eq!(kind(SysvSharedMemory::unlink(key)), ErrorKind::NotFound);
    same.write_at(0, b"kept").unwrap();
}

#[test]
fn a_removed_segment_goes_with_the_last_who_has_it_attached() {
    in_its_own_process(|| {
        if absent() {
            return;
        }
        let made = SysvSharedMemory::create(SysvKey::PRIVATE, 10).unwrap();
        let same = SysvSharedMemory::open_id(made.id()).unwrap();
        let info = made.info().unwrap();
        assert_eq!((info.attached, info.removed, info.size), (2, false, 10));
        assert_eq!((info.creator_pid, info.mode), (std::process::id(), 0o600));
        assert!(info.attached_at > 0 && info.changed_at > 0);
        made.remove().unwrap();
        same.detach();
        let info = made.info().unwrap();
        assert_eq!((info.attached, info.removed), (1, true));
        let id = made.id();
        drop(made);
        assert_eq!(kind(SysvSharedMemory::open_id(id)), ErrorKind::NotFound);
    });
}

#[test]
fn the_table_shows_the_segment() {
    in_its_own_process(|| {
        if absent() {
            return;
        }
        let key = fresh_key();
        let made = SysvSharedMemoryOptions::new().owned(true).mode(0o640).create(key, 77).unwrap();
        let row = SysvSharedMemory::list().unwrap().into_iter().find(|row| row.id == made.id()).unwrap();
        assert_eq!((row.key, row.size, row.mode, row.attached), (key, 77, 0o640, 1));
        let info = made.info().unwrap();
        assert_eq!((info.key, info.size, info.mode), (row.key, row.size, row.mode));
        let id = made.id();
        drop(made);
        assert!(SysvSharedMemory::list().unwrap().iter().all(|row| row.id != id), "an owned one goes with its creator");
    });
}

#[test]
fn read_only_is_read_only() {
    if absent() {
        return;
    }
    let made = SysvSharedMemoryOptions::new().owned(true).create(SysvKey::PRIVATE, 64).unwrap();
    let seen = SysvSharedMemoryOptions::new().read_only(true).open_id(made.id()).unwrap();
    assert!(seen.is_read_only() && !made.is_read_only());
    assert_eq!(kind(seen.write_at(0, b"x")), ErrorKind::Permission);
    seen.read_at(0, &mut [0]).unwrap();
}

#[test]
fn what_cannot_be_is_refused_with_the_limit() {
    if absent() {
        return;
    }
    let error = SysvSharedMemory::create(SysvKey::PRIVATE, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("/proc/sys/kernel/shm"), "{error}");
    assert_eq!(kind(SysvSharedMemory::create(SysvKey::PRIVATE, 0)), ErrorKind::Invalid);
    assert_eq!(kind(SysvSharedMemory::open(SysvKey::PRIVATE)), ErrorKind::Invalid);
    let key = fresh_key();
    let made = SysvSharedMemory::open_or_create(key, 100).unwrap();
    assert_eq!(kind(SysvSharedMemory::open_or_create(key, 101)), ErrorKind::Incompatible);
    assert_eq!(SysvSharedMemory::open_or_create(key, 100).unwrap().id(), made.id());
    made.remove().unwrap();
    assert_eq!(made.remove().err().map(|e| e.kind()), None, "a removed one that is attached is there until the end");
}

#[test]
fn a_posix_semaphore_may_lie_in_it() {
    if absent() {
        return;
    }
    let made = SysvSharedMemoryOptions::new().owned(true).create(SysvKey::PRIVATE, 64).unwrap();
    let semaphore = crate::kernel::PosixSemaphore::init_in(&made, 32, 1).unwrap();
    assert!(semaphore.try_wait().unwrap() && !semaphore.try_wait().unwrap());
}
