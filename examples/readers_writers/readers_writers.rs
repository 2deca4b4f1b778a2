//! Readers and writers under three policies, and who starves under which.
//!
//! Three readers and two writers ask for the lock again and again, each keeps it for two milliseconds. Who waits
//! when the time is up has waited until then.
//!
//! ```text
//! readers_writers                        the whole story: one second under each policy
//! readers_writers reader POLICY SECONDS  one process of it, or writer; POLICY: readers_first, writers_first, fair
//! readers_writers table POLICY           waits for the results of the five, and prints them
//! ```
//!
//! Each process may be Rust, C or Python. They share the segment `readers_writers` with the lock `lock`, the barrier
//! `start`, at which the five wait for each other, and the mailbox `results`: three 32-bit numbers from each, role
//! (0 reader, 1 writer), turns, longest wait in microseconds. To begin anew: `triveni rm readers_writers`.

use std::time::{Duration, Instant};
use triveni::{Deadline, Error, ErrorKind, Mailbox, Result, RwLock, RwPolicy, Segment};
use triveni_examples::{finish, fresh, start};

const NAME: &str = "readers_writers";
const READERS: u32 = 3;
const WRITERS: u32 = 2;
const TURN: Duration = Duration::from_millis(2);

/// Waits for the lock until `end` at most, and reads; how long it waited.
fn read(lock: &RwLock, end: Instant) -> Result<Duration> {
    let asked = Instant::now();
    let _guard = lock.read_until(Deadline::after(end - asked))?;
    let waited = asked.elapsed();
    std::thread::sleep(TURN);
    Ok(waited)
}

fn write(lock: &RwLock, end: Instant) -> Result<Duration> {
    let asked = Instant::now();
    let _guard = lock.write_until(Deadline::after(end - asked))?;
    let waited = asked.elapsed();
    std::thread::sleep(TURN);
    Ok(waited)
}

fn results(segment: &Segment) -> Result<Mailbox> {
    segment.mailbox("results", (READERS + WRITERS) as usize, 12)
}

fn play(role: &str, policy: RwPolicy, seconds: u64) -> Result<()> {
    let segment = Segment::open_or_create(NAME, Segment::DEFAULT_SIZE)?;
    let (lock, results) = (segment.rwlock("lock", policy)?, results(&segment)?);
    let turn = if role == "writer" { write } else { read };
    segment.barrier("start", READERS + WRITERS)?.wait()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut turns, mut longest) = (0u32, Duration::ZERO);
    while Instant::now() < end {
        let asked = Instant::now();
        match turn(&lock, end) {
            Ok(waited) => (turns, longest) = (turns + 1, longest.max(waited)),
            Err(error) if error.kind() == ErrorKind::Timeout => longest = longest.max(asked.elapsed()),
            Err(error) => return Err(error),
        }
    }
    let result = [u32::from(role == "writer"), turns, longest.as_micros() as u32];
    results.send(&result.map(u32::to_ne_bytes).concat())
}

fn table(policy: &str) -> Result<()> {
    let results = results(&Segment::open_or_create(NAME, Segment::DEFAULT_SIZE)?)?;
    let (mut turns, mut longest) = ([0, 0], [0, 0]);
    for _ in 0..READERS + WRITERS {
        let mut message = [[0; 4]; 3];
        results.receive(message.as_flattened_mut())?;
        let [role, result, wait] = message.map(u32::from_ne_bytes);
        turns[role as usize] += result;
        longest[role as usize] = wait.max(longest[role as usize]);
    }
    let ms = longest.map(|us| f64::from(us) / 1000.0);
    println!(
        "{policy:14} {:8} turns, longest wait {:7.1} ms {:8} turns, longest wait {:7.1} ms",
        turns[0], ms[0], turns[1], ms[1]
    );
    Ok(())
}

fn story() -> Result<()> {
    println!("{:14} {:^38} {:^38}", "policy", "3 readers", "2 writers");
    for policy in ["readers_first", "writers_first", "fair"] {
        fresh(NAME);
        let roles = ["reader", "reader", "reader", "writer", "writer"];
        let processes = roles.map(|role| start(&[role, policy, "1"])).into_iter().collect::<Result<Vec<_>>>()?;
        finish(processes)?;
        table(policy)?;
    }
    fresh(NAME);
    Ok(())
}

fn policy(name: &str) -> Result<RwPolicy> {
    match name {
        "readers_first" => Ok(RwPolicy::ReadersFirst), // a reader enters unless a writer is inside
        "writers_first" => Ok(RwPolicy::WritersFirst), // no reader enters once a writer waits
        "fair" => Ok(RwPolicy::Fair),                  // by turns: the readers that wait, then a writer
        _ => Err(Error::new(ErrorKind::Invalid, format!("there is no policy {name:?}"))),
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["table", policy] => table(policy),
        [role, name, seconds] => play(role, policy(name)?, seconds.parse().unwrap_or(1)),
        _ => {
            eprintln!("usage: readers_writers [reader|writer POLICY SECONDS | table POLICY]");
            std::process::exit(2)
        }
    }
}
