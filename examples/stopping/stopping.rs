//! Signalling and locking with SIGSTOP and SIGCONT, and what goes wrong with it.
//!
//!     stopping
//!
//! Signalling: B stops itself before Y, and A lets it go on after X. Locking: A stops B while it looks at what B changes.
//! A SIGCONT that comes before the stop is lost: the one who sends it has to see first that the other stands.

use std::io::{Read, Write};
use std::time::Duration;
use triveni::kernel::{StopLock, continue_process, continue_stopped, fork, is_stopped, pipe, stop_self, wait_stopped};
use triveni::{Deadline, Result, Segment};

fn main() -> Result<()> {
    let (mut said, mut say) = std::io::pipe().unwrap_or_else(|error| panic!("a pipe: {error}"));
    // SAFETY: this program has one thread.
    let b = unsafe {
        fork(|| {
            let stopped = stop_self(); // before Y, until A says so
            i32::from(stopped.is_err() || say.write_all(b"Y").is_err())
        })
    }?;
    wait_stopped(b.pid(), Deadline::never())?;
    let _ = say.write_all(b"X");
    continue_stopped(b.pid(), Deadline::never())?;
    b.wait()?;
    let mut order = [0; 2];
    let _ = said.read_exact(&mut order);
    println!("signalling: {}", String::from_utf8_lossy(&order));

    let segment = Segment::anonymous(1 << 20)?;
    let counter = segment.semaphore("counter", 0)?;
    // SAFETY: as above.
    let b = unsafe {
        fork(|| {
            while counter.post().is_ok() {
                std::thread::sleep(Duration::from_micros(100));
            }
            1
        })
    }?;
    b.set_kill_on_drop(true);
    counter.wait()?; // it counts
    let lock = StopLock::new(b.pid())?;
    let guard = lock.lock()?;
    let before = counter.value();
    std::thread::sleep(Duration::from_millis(20));
    println!("locking: B counted {} while it was locked out", counter.value() - before);
    drop(guard);
    counter.wait_n(before + 1)?;
    println!("locking: B goes on afterwards");

    let mut go = pipe()?;
    // SAFETY: as above.
    let b = unsafe { fork(|| i32::from(go.reader.receive(&mut [0]).is_err() || stop_self().is_err())) }?;
    continue_process(b.pid())?; // too early
    go.writer.send(b"!")?;
    wait_stopped(b.pid(), Deadline::never())?;
    std::thread::sleep(Duration::from_millis(20));
    println!("a SIGCONT before the stop: B {}", if is_stopped(b.pid())? { "stands still" } else { "goes on" });
    continue_stopped(b.pid(), Deadline::never())?;
    println!("a SIGCONT after it: B ends with status {}", b.wait()?.code().unwrap_or(-1));
    Ok(())
}
