use super::*;
use crate::kernel::{PosixSharedMemory, PosixSharedMemoryOptions};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

/// A name that nobody has; removed when dropped.
struct Fresh(String);

impl Fresh {
    fn new() -> Fresh {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Fresh(format!("/triveni-unit-sem-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = PosixSemaphore::unlink(&self.0);
        let _ = PosixSharedMemory::unlink(&self.0);
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn a_name_is_created_opened_and_unlinked_once() {
    let name = Fresh::new();
    assert_eq!(kind(PosixSemaphore::open(&name.0)), ErrorKind::NotFound);
    let made = PosixSemaphore::create(&name.0, 2).unwrap();
    assert_eq!(kind(PosixSemaphore::create(&name.0, 2)), ErrorKind::Exists);
    let same = PosixSemaphore::open(&name.0[1..]).unwrap();
    assert_eq!((same.value(), same.name()), (2, Some(name.0.as_str())));
    same.post().unwrap();
    assert_eq!(made.value(), 3);
    assert_eq!(PosixSemaphore::open_or_create(&name.0, 9).unwrap().value(), 3);
    PosixSemaphore::unlink(&name.0).unwrap();
    assert_eq!(kind(PosixSemaphore::unlink(&name.0)), ErrorKind::NotFound);
    assert!(made.try_wait().unwrap(), "who has it open keeps it");
}

#[test]
fn permits_are_taken_and_none_is_waited_for_in_vain() {
    let name = Fresh::new();
    let semaphore = PosixSemaphore::create(&name.0, 1).unwrap();
    semaphore.wait().unwrap();
    assert!(!semaphore.try_wait().unwrap());
    let begin = Instant::now();
    assert_eq!(kind(semaphore.wait_until(Deadline::after(Duration::from_millis(30)))), ErrorKind::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(kind(semaphore.wait_until(Deadline::now())), ErrorKind::Timeout);
    semaphore.post().unwrap();
    semaphore.wait_until(Deadline::now()).unwrap();
}

#[test]
fn slices_of_the_settable_clock_end_where_the_deadline_is() {
    let name = Fresh::new();
    let semaphore = PosixSemaphore::create(&name.0, 0).unwrap();
    let slice = |until| {
        assert_eq!(semaphore.wait_slice(until), -1);
        assert!(matches!(Errno::last(), Errno::ETIMEDOUT | Errno::EINTR));
    };
    let far = Deadline::after(Duration::from_secs(600));
    slice(far);
    assert!(!far.passed(), "a slice is not all of the time");
    let (begin, until) = (Instant::now(), Deadline::after(Duration::from_millis(130)));
    while !until.passed() {
        slice(until);
    }
    assert!(begin.elapsed() >= Duration::from_millis(130));
    semaphore.post().unwrap();
    assert_eq!(semaphore.wait_slice(until), 0, "a permit that is there is taken after the deadline, too");
}

#[test]
fn the_most_permits_are_there_and_one_more_is_refused() {
    let name = Fresh::new();
    let semaphore = PosixSemaphore::create(&name.0, PosixSemaphore::MAX).unwrap();
    let error = semaphore.post().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert!(error.to_string().contains("2147483647"), "{error}");
    assert_eq!(kind(PosixSemaphore::create(&Fresh::new().0, PosixSemaphore::MAX + 1)), ErrorKind::Invalid);
}

#[test]
fn the_mode_is_the_one_asked_for_whatever_the_umask_says() {
    let name = Fresh::new();
    let _semaphore = PosixSemaphoreOptions::new().mode(0o666).create(&name.0, 0).unwrap();
    let meta = fs::metadata(PosixName::of_semaphore(&name.0).unwrap().path()).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o666);
}

#[test]
fn an_owned_one_goes_with_its_creator() {
    let name = Fresh::new();
    let semaphore = PosixSemaphoreOptions::new().owned(true).create(&name.0, 0).unwrap();
    drop(PosixSemaphore::open(&name.0).unwrap());
    drop(semaphore);
    assert_eq!(kind(PosixSemaphore::open(&name.0)), ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_too_small_is_no_semaphore() {
    let name = Fresh::new();
    fs::write(PosixName::of_semaphore(&name.0).unwrap().path(), b"short").unwrap();
    assert_eq!(kind(PosixSemaphore::open(&name.0)), ErrorKind::Corrupt);
}

#[test]
fn an_unnamed_one_lies_where_it_fits_and_only_there() {
    let name = Fresh::new();
    let memory = PosixSharedMemory::create(&name.0, 256).unwrap();
    let last = 256 - PosixSemaphore::SIZE;
    let made = PosixSemaphore::init_in(&memory, last, 1).unwrap();
    let same = PosixSemaphore::open_in(&PosixSharedMemory::open(&name.0).unwrap(), last).unwrap();
    same.wait().unwrap();
    assert_eq!((made.value(), made.name()), (0, None));
    for offset in [1, last + PosixSemaphore::ALIGNMENT, 256, usize::MAX] {
        assert_eq!(kind(PosixSemaphore::init_in(&memory, offset, 0)), ErrorKind::Invalid);
    }
    let seen = PosixSharedMemoryOptions::new().read_only(true).open(&name.0).unwrap();
    assert_eq!(kind(PosixSemaphore::open_in(&seen, last)), ErrorKind::Permission);
    drop(memory);
    made.post().unwrap(); // its memory stays attached
}
