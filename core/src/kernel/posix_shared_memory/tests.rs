use super::*;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A name that nobody has; removed when dropped.
struct Fresh(String);

impl Fresh {
    fn new() -> Fresh {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Fresh(format!("/triveni-unit-shm-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = PosixSharedMemory::unlink(&self.0);
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn what_one_handle_writes_another_reads() {
    let name = Fresh::new();
    let made = PosixSharedMemory::create(&name.0, 5000).unwrap();
    assert_eq!(kind(PosixSharedMemory::create(&name.0, 5000)), ErrorKind::Exists);
    let same = PosixSharedMemory::open(&name.0).unwrap();
    assert_eq!((same.size(), same.name()), (5000, name.0.as_str()));
    made.write_at(4996, b"last").unwrap();
    let mut back = [0; 4];
    same.read_at(4996, &mut back).unwrap();
    assert_eq!(&back, b"last");
    assert_eq!(kind(same.write_at(4997, b"last")), ErrorKind::Invalid);
}

#[test]
fn the_memory_outlives_its_name_and_the_name_its_users() {
    let name = Fresh::new();
    drop(PosixSharedMemory::create(&name.0, 64).unwrap());
    let kept = PosixSharedMemory::open(&name.0).unwrap();
    PosixSharedMemory::unlink(&name.0).unwrap();
    assert_eq!(kind(PosixSharedMemory::open(&name.0)), ErrorKind::NotFound);
    assert_eq!(kind(PosixSharedMemory::unlink(&name.0)), ErrorKind::NotFound);
    kept.write_at(0, b"still here").unwrap();
    let anew = PosixSharedMemory::create(&name.0, 64).unwrap();
    let mut back = [1; 4];
    anew.read_at(0, &mut back).unwrap();
    assert_eq!(back, [0; 4]);
}

#[test]
fn an_owned_one_goes_with_its_creator() {
    let name = Fresh::new();
    drop(PosixSharedMemoryOptions::new().owned(true).create(&name.0, 64).unwrap());
    assert_eq!(kind(PosixSharedMemory::open(&name.0)), ErrorKind::NotFound);
}

#[test]
fn read_only_is_read_only() {
    let name = Fresh::new();
    let made = PosixSharedMemoryOptions::new().mode(0o644).create(&name.0, 64).unwrap();
    assert_eq!(made.as_fd().try_clone_to_owned().map(File::from).unwrap().metadata().unwrap().mode() & 0o777, 0o644);
    let seen = PosixSharedMemoryOptions::new().read_only(true).open(&name.0).unwrap();
    assert!(seen.is_read_only() && !made.is_read_only());
    assert_eq!(kind(seen.write_at(0, b"x")), ErrorKind::Permission);
    seen.read_at(0, &mut [0]).unwrap();
}

#[test]
fn an_object_that_is_too_small_or_not_sized_yet_is_refused() {
    let name = Fresh::new();
    std::fs::write(name.0.replace('/', "/dev/shm/"), b"").unwrap();
    let error = PosixSharedMemory::open(&name.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("ftruncate"), "{error}");
    PosixSharedMemory::unlink(&name.0).unwrap();
    drop(PosixSharedMemory::create(&name.0, 100).unwrap());
    let error = PosixSharedMemoryOptions::new().at_least(101).open(&name.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("100 bytes"), "{error}");
    assert_eq!(kind(PosixSharedMemory::open_or_create(&name.0, 101)), ErrorKind::Incompatible);
    assert_eq!(PosixSharedMemory::open_or_create(&name.0, 100).unwrap().size(), 100);
    assert_eq!(kind(PosixSharedMemory::create(&name.0, 0)), ErrorKind::Invalid);
}

#[test]
fn a_full_file_system_is_an_error_at_creation_and_leaves_nothing() {
    let name = Fresh::new();
    let fs = nix::sys::statvfs::statvfs("/dev/shm").unwrap();
    let all = fs.blocks() as usize * fs.fragment_size() as usize;
    if all == 0 {
        return; // mounted without a limit
    }
    let error = PosixSharedMemory::create(&name.0, all + 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    for word in ["/dev/shm has", "remount", name.0.as_str()] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(kind(PosixSharedMemory::open(&name.0)), ErrorKind::NotFound);
}

#[test]
fn a_mapping_of_pages_holds_its_memory_from_the_beginning() {
    let name = Fresh::new();
    let made = PosixSharedMemory::create(&name.0, 1 << 20).unwrap();
    let file = File::from(made.as_fd().try_clone_to_owned().unwrap());
    assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 20);
}
