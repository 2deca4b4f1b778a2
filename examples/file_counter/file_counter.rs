//! A file as a channel between processes: a counter that loses updates, and one that does not.
//!
//! Two processes, X and Y, add one to the number in a file, again and again: each reads it, adds one, and writes it
//! back. If the other does so in between, one of the two is lost. Any of three locks on files prevents that: a lock on the
//! whole file (`flock`), on the range of bytes that the number has (`range`), or a lock file (`lock_file`).
//!
//! ```text
//! file_counter               the whole story: without a lock, then with each
//! file_counter X flock N     one process of it, which adds one N times; or: Y range N
//! file_counter report N      how many of N updates are in the file
//! ```
//!
//! X and Y may be Rust, C or Python. The file is /dev/shm/file_counter: a number as text. It stays when they have ended;
//! to begin anew: `rm -f /dev/shm/file_counter*`.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use triveni::Result;
use triveni::kernel::{FileLock, LockFile, LockFileOptions, RangeLock};
use triveni_examples::{finish, fresh, start};

const PATH: &str = "/dev/shm/file_counter";
const LOCK_FILE: &str = "/dev/shm/file_counter.lock";
/// The number, in so many columns.
const DIGITS: usize = 10;

fn read(file: &impl FileExt) -> u64 {
    let mut text = [b' '; DIGITS];
    let _ = file.read_at(&mut text, 0); // an empty file is 0
    String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)
}

fn add_one(file: &impl FileExt) {
    let number = read(file);
    std::thread::sleep(Duration::from_micros(50)); // a process switch may come here; to see it often, we invite it
    let _ = file.write_all_at(format!("{:DIGITS$}", number + 1).as_bytes(), 0);
}

fn process(how: &str, n: u64) -> Result<()> {
    let mut whole = FileLock::open_or_create(PATH, 0o600)?;
    let range = RangeLock::open(PATH)?;
    let lock_file = LockFile::new(LOCK_FILE, LockFileOptions::default().take_over(true));
    for _ in 0..n {
        match how {
            "flock" => add_one(&*whole.lock()?),
            "range" => {
                let _guard = range.lock(0..DIGITS as u64)?; // until the end of this block
                add_one(range.file());
            }
            "lock_file" => {
                let _guard = lock_file.lock()?;
                add_one(range.file());
            }
            _ => add_one(range.file()),
        }
    }
    Ok(())
}

fn report(added: u64) -> Result<()> {
    let there = OpenOptions::new().read(true).open(PATH).map_or(0, |file| read(&file));
    println!("{added} added, {there} in the file, {} lost", added - there);
    Ok(())
}

fn story() -> Result<()> {
    for how in ["unlocked", "flock", "range", "lock_file"] {
        fresh("file_counter");
        print!("{how}: ");
        finish([start(&["X", how, "500"])?, start(&["Y", how, "500"])?])?;
        report(1000)?;
    }
    fresh("file_counter");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["report", n] => report(n.parse().unwrap_or(0)),
        ["X" | "Y", how, n] => process(how, n.parse().unwrap_or(0)),
        _ => {
            eprintln!("usage: file_counter [X|Y unlocked|flock|range|lock_file N | report N]");
            std::process::exit(2)
        }
    }
}
