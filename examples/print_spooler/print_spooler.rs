//! The print spooler that loses entries, and the one that does not.
//!
//! Two processes, X and Y, enter files into the spooler's directory: each reads `in`, the next free slot, stores
//! its file there, and adds one to `in`. If the system switches to the other process in between, both store into
//! the same slot, and an entry is lost. The directory looks consistent all the same.
//!
//! ```text
//! print_spooler                  the whole story: without a lock, then with one
//! print_spooler X unlocked N     one process of it, which waits for Y to begin; or: Y locked N
//! print_spooler report N         how many of N files that were entered stand in the directory
//! ```
//!
//! X and Y may be Rust, C or Python. They share the segment `print_spooler` with the barrier `start` and the mutex
//! `mutex`, and plain memory, /dev/shm/print_spooler: `in`, then the slots. A file is known by its number; Y's have
//! a million added. To begin anew: `triveni rm print_spooler; rm /dev/shm/print_spooler`.

use std::time::Duration;
use triveni::{Result, Segment};
use triveni_examples::{SharedInts, finish, fresh, start};

const NAME: &str = "print_spooler";
const SLOTS: usize = 10_000;
const IN: usize = 0;

fn enter(directory: &SharedInts, file: i32) {
    let next_free_slot = directory.get(IN);
    std::thread::sleep(Duration::from_micros(100)); // a process switch may come here; to see it often, we invite it
    directory.set(1 + next_free_slot as usize, file);
    directory.set(IN, next_free_slot + 1);
}

fn process(who: &str, locked: bool, n: i32) -> Result<()> {
    let directory = SharedInts::open(NAME, 1 + SLOTS)?;
    let segment = Segment::open_or_create(NAME, Segment::DEFAULT_SIZE)?;
    let mutex = segment.mutex("mutex")?;
    let first = if who == "Y" { 1_000_001 } else { 1 };
    segment.barrier("start", 2)?.wait()?;
    for file in first..first + n {
        if locked {
            let _guard = mutex.lock()?; // until the end of this block
            enter(&directory, file);
        } else {
            enter(&directory, file);
        }
    }
    Ok(())
}

fn report(entered: i32) -> Result<()> {
    let there = SharedInts::open(NAME, 1 + SLOTS)?.get(IN);
    println!("{entered} files entered, {there} in the directory, {} lost", entered - there);
    Ok(())
}

fn story() -> Result<()> {
    for how in ["unlocked", "locked"] {
        fresh(NAME);
        print!("{how}: ");
        finish([start(&["X", how, "1000"])?, start(&["Y", how, "1000"])?])?;
        report(2000)?;
    }
    fresh(NAME);
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["report", n] => report(n.parse().unwrap_or(0)),
        [who, how, n] => process(who, how == "locked", n.parse().unwrap_or(0)),
        _ => {
            eprintln!("usage: print_spooler [X|Y locked|unlocked N | report N]");
            std::process::exit(2)
        }
    }
}
