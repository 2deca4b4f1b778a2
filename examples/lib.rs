//! The stories lie in the folders beside this file, each told in Rust, C and Python:
//! `cargo run -p triveni-examples --example hello`, `… --example temperature monitor lab`.
//!
//! Here is what several Rust stories need and C and Python have at hand: plain shared memory, and more processes.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;
use triveni::{Error, ErrorKind, Result, Segment};

/// Numbers in plain shared memory, the file `/dev/shm/NAME`: what C has with `shm_open` and `mmap`. No lock guards
/// them; that is what the stories are about.
pub struct SharedInts(&'static [AtomicI32]);

impl SharedInts {
    /// Maps `n` numbers, all 0 at first. They stay mapped until the process ends.
    pub fn open(name: &str, n: usize) -> Result<SharedInts> {
        let path = format!("/dev/shm/{name}");
        let size = n * size_of::<AtomicI32>();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.and_then(|file| file.set_len(size as u64).map(|()| file)).map_err(|e| failed(&path, e))?;
        // SAFETY: a new mapping, which overlaps nothing.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(failed(&path, io::Error::last_os_error()));
        }
        // SAFETY: page-aligned, `size` bytes long, never unmapped; any bits are an AtomicI32. Others may store to them
        // at any time: that is what the atomics are for.
        Ok(SharedInts(unsafe { std::slice::from_raw_parts(at.cast(), n) }))
    }

    /// The number at `i`.
    pub fn get(&self, i: usize) -> i32 {
        self.0[i].load(Relaxed) // Relaxed: a lock orders it, where there is one
    }

    /// Stores `value` at `i`.
    pub fn set(&self, i: usize, value: i32) {
        self.0[i].store(value, Relaxed);
    }
}

/// Removes the segment and the shared memory of an earlier run; fine if there was none.
pub fn fresh(name: &str) {
    let _ = Segment::unlink(name);
    let _ = std::fs::remove_file(format!("/dev/shm/{name}"));
}

/// Starts this program once more, in another role.
pub fn start(role: &[&str]) -> Result<Child> {
    let program = std::env::current_exe().map_err(|e| failed("this program", e))?;
    Command::new(program).args(role).spawn().map_err(|e| failed(role[0], e))
}

/// Waits until all have ended.
///
/// # Errors
/// If one of them failed.
pub fn finish(processes: impl IntoIterator<Item = Child>) -> Result<()> {
    for mut process in processes {
        let ended = process.wait().map_err(|e| failed("wait", e))?;
        if !ended.success() {
            return Err(Error::new(ErrorKind::PeerDead, format!("process {} failed: {ended}", process.id())));
        }
    }
    Ok(())
}

/// How long this process has kept a CPU busy so far.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write to; the call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::from_errno(error.raw_os_error().unwrap_or(libc::EIO)), format!("{what}: {error}"))
}
