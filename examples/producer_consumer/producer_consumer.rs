//! The bounded buffer: producers put numbers into eight places of shared memory, consumers take them out.
//!
//! ```text
//! producer_consumer               the whole story: two producers, two consumers
//! producer_consumer producer N    one process of it; so with consumer, producer_pv and consumer_pv
//! producer_consumer report        what has come of it
//! ```
//!
//! Each process may be Rust, C or Python. They share the segment `producer_consumer` with the semaphores `mutex`,
//! `empty` and `full`, and plain memory, /dev/shm/producer_consumer: eight numbers, `in`, `out`, and the sum of
//! what was consumed. A run that was broken off leaves both behind:
//! `triveni rm producer_consumer; rm /dev/shm/producer_consumer`.
//!
//! Semaphores have no owner: if a process is killed inside the critical section, the others wait for ever. With a
//! mutex, or leased permits, they would not; see print_spooler and dining_philosophers.

use triveni::{Result, Segment, Semaphore};
use triveni_examples::{SharedInts, finish, fresh, start};

const NAME: &str = "producer_consumer";
const PLACES: usize = 8;
const IN: usize = PLACES;
const OUT: usize = PLACES + 1;
const SUM: usize = PLACES + 2;

struct Shared {
    mutex: Semaphore,
    empty: Semaphore,
    full: Semaphore,
    buffer: SharedInts,
}

fn open() -> Result<Shared> {
    let buffer = SharedInts::open(NAME, PLACES + 3)?;
    let segment = Segment::open_or_create(NAME, Segment::DEFAULT_SIZE)?;
    let mutex = segment.semaphore("mutex", 1)?; // guards in, out and sum
    let empty = segment.semaphore("empty", PLACES as u32)?; // counts empty places
    let full = segment.semaphore("full", 0)?; // counts full ones
    Ok(Shared { mutex, empty, full, buffer })
}

fn insert(buffer: &SharedInts, item: i32) {
    let at = buffer.get(IN);
    buffer.set(at as usize, item);
    buffer.set(IN, (at + 1) % PLACES as i32);
}

fn remove(buffer: &SharedInts) -> i32 {
    let at = buffer.get(OUT);
    let item = buffer.get(at as usize);
    buffer.set(OUT, (at + 1) % PLACES as i32);
    item
}

fn producer(n: i32) -> Result<()> {
    let Shared { mutex, empty, full, buffer } = open()?;
    for item in 1..=n {
        empty.wait()?; // until a place is empty
        mutex.wait()?; // enter the critical section
        insert(&buffer, item);
        mutex.post()?; // leave it
        full.post()?; // one more place is full
    }
    Ok(())
}

fn consumer(n: i32) -> Result<()> {
    let Shared { mutex, empty, full, buffer } = open()?;
    for _ in 0..n {
        full.wait()?;
        mutex.wait()?;
        let item = remove(&buffer);
        buffer.set(SUM, buffer.get(SUM) + item);
        mutex.post()?;
        empty.post()?;
    }
    Ok(())
}

/// Dijkstra's names: P, proberen, is to try and take; V, verhogen, is to raise.
#[allow(non_snake_case)]
fn P(semaphore: &Semaphore) -> Result<()> {
    semaphore.wait()
}

#[allow(non_snake_case)]
fn V(semaphore: &Semaphore) -> Result<()> {
    semaphore.post()
}

fn producer_pv(n: i32) -> Result<()> {
    let Shared { mutex, empty, full: filled, buffer } = open()?;
    for item in 1..=n {
        P(&empty)?;
        P(&mutex)?;
        insert(&buffer, item);
        V(&mutex)?;
        V(&filled)?;
    }
    Ok(())
}

fn consumer_pv(n: i32) -> Result<()> {
    let Shared { mutex, empty, full: filled, buffer } = open()?;
    for _ in 0..n {
        P(&filled)?;
        P(&mutex)?;
        let item = remove(&buffer);
        buffer.set(SUM, buffer.get(SUM) + item);
        V(&mutex)?;
        V(&empty)?;
    }
    Ok(())
}

fn story() -> Result<()> {
    fresh(NAME);
    let roles = ["producer", "producer_pv", "consumer", "consumer_pv"];
    finish(roles.map(|role| start(&[role, "1000"])).into_iter().collect::<Result<Vec<_>>>()?)?;
    report()?;
    fresh(NAME);
    Ok(())
}

fn report() -> Result<()> {
    let Shared { full, buffer, .. } = open()?;
    println!("items left in the buffer: {}; sum of those consumed: {}", full.value(), buffer.get(SUM));
    Ok(())
}

fn main() -> Result<()> {
    let n = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
    match std::env::args().nth(1).as_deref() {
        None => story(),
        Some("producer") => producer(n),
        Some("consumer") => consumer(n),
        Some("producer_pv") => producer_pv(n),
        Some("consumer_pv") => consumer_pv(n),
        Some("report") => report(),
        _ => {
            eprintln!("usage: producer_consumer [producer|consumer|producer_pv|consumer_pv N | report]");
            std::process::exit(2)
        }
    }
}
