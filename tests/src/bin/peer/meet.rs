//! Roles that wait for each other: semaphore, monitor with conditions, barrier, event.

use super::locks::Numbers;
use super::{ready, wrong};
use std::time::Duration;
use std::time::Instant;
use triveni::{After, Deadline, ErrorKind, Result, Segment};

pub fn semaphore(segment: &Segment, object: &str, n: u64, post: bool) -> Result<()> {
    let semaphore = segment.open_semaphore(object)?;
    ready();
    for _ in 0..n {
        if post { semaphore.post()? } else { semaphore.wait()? }
    }
    println!("ok {n}");
    Ok(())
}

pub fn bounded_buffer(segment: &Segment, object: &str, n: u64, file: &str, put: bool) -> Result<()> {
    let (monitor, numbers) = (segment.open_monitor(object)?, Numbers::open(file)?);
    let (not_full, not_empty) = (monitor.condition("not_full")?, monitor.condition("not_empty")?);
    ready();
    for turn in 1..=n {
        let _inside = monitor.enter()?;
        if put {
            while numbers.get(0)? != 0 {
                not_full.wait()?;
            }
            numbers.set(0, turn)?;
            not_empty.signal()?;
        } else {
            while numbers.get(0)? == 0 {
                not_empty.wait()?;
            }
            if numbers.get(0)? != turn {
                return Err(wrong(&format!("item {} came in turn {turn}", numbers.get(0)?)));
            }
            numbers.set(0, 0)?;
            not_full.signal()?;
        }
    }
    println!("ok {n}");
    Ok(())
}

pub fn meet(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let barrier = segment.open_barrier(object)?;
    ready();
    let mut led = 0;
    for _ in 0..n {
        led += u64::from(barrier.wait()?);
    }
    println!("ok {n} {led}");
    Ok(())
}

pub fn attend(segment: &Segment, object: &str) -> Result<()> {
    let barrier = segment.open_barrier(object)?;
    println!("waiting");
    match barrier.wait() {
        Ok(_) => println!("ok"),
        Err(error) if error.kind() == ErrorKind::Broken => println!("broken"),
        Err(error) => return Err(error),
    }
    Ok(())
}

pub fn flags(segment: &Segment, object: &str, n: u64, first: bool) -> Result<()> {
    let event = segment.open_event(object)?;
    ready();
    for _ in 0..n {
        if first {
            event.set(1)?;
            event.wait_any(2, After::Clear)?;
        } else {
            event.wait_any(1, After::Clear)?;
            event.set(2)?;
        }
    }
    println!("ok {n}");
    Ok(())
}

pub fn wait_condition(segment: &Segment, object: &str) -> Result<()> {
    let monitor = segment.open_monitor(object)?;
    let condition = monitor.condition("c")?;
    let _inside = monitor.enter()?;
    println!("waiting");
    match condition.wait_until(Deadline::after(Duration::from_secs(10))) {
        Ok(()) => println!("ok"),
        Err(error) if error.kind() == ErrorKind::OwnerDied => {
            println!("owner_died");
            monitor.recover()?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

extern "C" fn nothing(_signal: i32) {}

/// Waits for the semaphore N milliseconds with a handler for SIGUSR1, EXTRA `yes` as an interruptible wait.
/// Says `KIND MILLISECONDS`.
pub fn interrupted(segment: &Segment, object: &str, n: u64, interruptible: &str) -> Result<()> {
    let semaphore = segment.open_semaphore(object)?;
    // SAFETY: `handler` is a valid sigaction with an empty mask and no flags (so nothing is restarted), and
    // `nothing` does nothing at all.
    unsafe {
        let mut handler: libc::sigaction = std::mem::zeroed();
        handler.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &handler, std::ptr::null_mut());
    }
    ready();
    let begin = Instant::now();
    let mut deadline = Deadline::after(Duration::from_millis(n));
    if interruptible == "yes" {
        deadline = deadline.interruptible();
    }
    let kind = semaphore.wait_until(deadline).map_or_else(|error| format!("{:?}", error.kind()), |()| "Ok".to_string());
    println!("{kind} {}", begin.elapsed().as_millis());
    Ok(())
}
