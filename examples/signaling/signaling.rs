//! Two ways to wait until another process says so: to ask again and again, or to sleep until woken.
//!
//! ```text
//! signaling                     the whole story: the same wait, both ways
//! signaling wait busy           one process of it, which waits; or: wait sleeping
//! signaling signal              the other process, which works for half a second and then ends the wait
//! ```
//!
//! Each process may be Rust, C or Python. They share the segment `signaling` with the event flags `events`: 1 says
//! that the work is done, 2 that somebody waits for it.

use std::time::{Duration, Instant};
use triveni::{After, Event, Result, Segment};
use triveni_examples::{cpu_time, finish, fresh, start};

const DONE: u32 = 1;
const WAITING: u32 = 2;

fn events() -> Result<Event> {
    Segment::open_or_create("signaling", Segment::DEFAULT_SIZE)?.event("events", 0)
}

fn wait(how: &str) -> Result<()> {
    let events = events()?;
    events.set(WAITING)?;
    let (begin, worked) = (Instant::now(), cpu_time());
    if how == "busy" {
        while events.flags() & DONE == 0 {} // busy waiting
        events.clear(DONE)?;
    } else {
        events.wait_any(DONE, After::Clear)?; // sleeps
    }
    let (waited, worked) = (begin.elapsed().as_secs_f64(), (cpu_time() - worked).as_secs_f64());
    println!("{how}: waited {waited:.3} s, and used the CPU for {worked:.4} s of them");
    Ok(())
}

fn signal() -> Result<()> {
    let events = events()?;
    events.wait_any(WAITING, After::Clear)?;
    std::thread::sleep(Duration::from_millis(500)); // the work that the other waits for
    events.set(DONE)?;
    Ok(())
}

fn story() -> Result<()> {
    fresh("signaling");
    for how in ["busy", "sleeping"] {
        let waiter = start(&["wait", how])?;
        signal()?;
        finish([waiter])?;
    }
    fresh("signaling");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["wait", how] => wait(how),
        ["signal"] => signal(),
        _ => {
            eprintln!("usage: signaling [wait busy | wait sleeping | signal]");
            std::process::exit(2)
        }
    }
}
