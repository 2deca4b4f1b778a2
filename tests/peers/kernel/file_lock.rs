//! Locks on files.
//!
//! | role                 | does                                                                                       |
//! |----------------------|--------------------------------------------------------------------------------------------|
//! | `count HOW PATH N`   | N times: locks, reads the number in the file, adds one, writes it, unlocks; says `ok N`    |
//! | `hold HOW PATH`      | locks, says `holding`, stays                                                               |
//! | `share HOW PATH`     | the same, shared (not as a lock file)                                                      |
//! | `try HOW PATH`       | says `taken` if it could lock without waiting, else `busy`                                 |
//! | `rain HOW PATH MS`   | waits so long for the lock while signals rain on it; says `timeout` and the milliseconds   |
//! | `late HOW PATH`      | says `waiting`, waits for ever while signals rain on it, says `taken` (ours only)          |
//!
//! HOW is `flock`, `range` (bytes 8 to 15) or `file` (the lock file PATH.lock). The number is in the file's first 8 bytes,
//! least significant first.

use super::rain::rain;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use triveni::kernel::{FileLock, LockFile, LockFileOptions, LockMode, RangeLock};
use triveni::{Deadline, ErrorKind, Result};

/// Any of the three; what is done while it is held.
fn locked<T>(how: &str, path: &str, mode: LockMode, until: Deadline, then: impl FnOnce() -> T) -> Result<T> {
    match (how, mode) {
        ("flock", LockMode::Exclusive) => FileLock::open(path)?.lock_until(until).map(|_guard| then()),
        ("flock", LockMode::Shared) => FileLock::open(path)?.lock_shared_until(until).map(|_guard| then()),
        ("range", LockMode::Exclusive) => RangeLock::open(path)?.lock_until(8..16, until).map(|_guard| then()),
        ("range", LockMode::Shared) => RangeLock::open(path)?.lock_shared_until(8..16, until).map(|_guard| then()),
        ("file", _) => {
            let file = LockFile::new(format!("{path}.lock"), LockFileOptions::default());
            file.lock_until(until).map(|_guard| then())
        }
        _ => panic!("no such lock: {how}"),
    }
}

fn stay() {
    println!("holding");
    loop {
        std::thread::park();
    }
}

pub fn run(args: &[&str]) {
    let (alone, ever) = (LockMode::Exclusive, Deadline::never());
    match *args {
        ["count", how, path, n] => {
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            for _ in 0..n.parse().unwrap() {
                let add = || {
                    let mut number = [0; 8];
                    file.read_exact_at(&mut number, 0).unwrap();
                    file.write_all_at(&(u64::from_le_bytes(number) + 1).to_le_bytes(), 0).unwrap();
                };
                locked(how, path, alone, ever, add).unwrap();
            }
            println!("ok {n}");
        }
        ["hold", how, path] => locked(how, path, alone, ever, stay).unwrap(),
        ["share", how, path] => locked(how, path, LockMode::Shared, ever, stay).unwrap(),
        ["try", how, path] => match locked(how, path, alone, Deadline::now(), || ()) {
            Ok(()) => println!("taken"),
            Err(error) if error.kind() == ErrorKind::Timeout => println!("busy"),
            Err(error) => panic!("{error}"),
        },
        ["rain", how, path, ms] => {
            rain();
            let begin = Instant::now();
            let until = Deadline::after(Duration::from_millis(ms.parse().unwrap()));
            let error = locked(how, path, alone, until, || ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            println!("timeout {}", begin.elapsed().as_millis());
        }
        ["late", how, path] => {
            rain();
            println!("waiting");
            locked(how, path, alone, ever, || println!("taken")).unwrap();
        }
        _ => panic!("no such role: {args:?}"),
    }
}
