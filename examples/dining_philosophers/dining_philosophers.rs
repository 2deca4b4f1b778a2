//! Five philosophers, five forks, and everybody needs two of them to eat (Dijkstra, 1965).
//!
//! | form         | how                                                                                     |
//! |--------------|-----------------------------------------------------------------------------------------|
//! | `left_first` | left fork, then right fork: once all have the left one, nobody gets any further         |
//! | `detected`   | the same in a segment that detects deadlocks: the last one is told, and gives way       |
//! | `ordered`    | the fork with the lower number first: there can be no circle                            |
//! | `room`       | a semaphore lets only four into the room: one of them gets both forks                   |
//! | `monitor`    | both forks at once, or none: state and conditions in a monitor (Tanenbaum's `test(i)`)  |
//!
//! ```text
//! dining_philosophers                         the whole story: all forms
//! dining_philosophers philosopher FORM I N    philosopher I, from 0 to 4, eats N times
//! ```
//!
//! Each philosopher may be Rust, C or Python. They share the segment `dining_philosophers` with the mutexes `fork 0` to
//! `fork 4`, the barrier `table`, the leased semaphore `room`, the monitor `waiter` with the conditions `may eat 0` to
//! `may eat 4`, and plain memory, /dev/shm/dining_philosophers: what each of them does.
//! To begin anew: `triveni rm dining_philosophers; rm /dev/shm/dining_philosophers`.

use std::time::Duration;
use triveni::{Condition, Error, ErrorKind, LockError, Monitor, Mutex, MutexGuard, Result, Segment, SemaphoreOptions};
use triveni_examples::{SharedInts, finish, fresh, start};

const NAME: &str = "dining_philosophers";
const N: usize = 5;
const THINKING: i32 = 0;
const HUNGRY: i32 = 1;
const EATING: i32 = 2;

fn left(i: usize) -> usize {
    (i + N - 1) % N
}

fn right(i: usize) -> usize {
    (i + 1) % N
}

fn open(form: &str) -> Result<Segment> {
    Segment::options().detect_deadlocks(form == "detected").open_or_create(NAME, Segment::DEFAULT_SIZE)
}

/// A fork that a dead philosopher held is as good as any: there is nothing to repair.
fn take(fork: &Mutex) -> Result<MutexGuard<'_>> {
    match fork.lock() {
        Ok(guard) => Ok(guard),
        Err(LockError::OwnerDied(guard)) => {
            guard.recover();
            Ok(guard)
        }
        Err(LockError::Failed(error)) => Err(error),
    }
}

fn eat(state: &SharedInts, i: usize) {
    state.set(i, EATING);
    assert!(state.get(left(i)) != EATING && state.get(right(i)) != EATING, "two neighbours eat at the same time");
    std::thread::yield_now();
    state.set(i, THINKING);
}

fn philosopher(form: &str, i: usize, meals: u32) -> Result<()> {
    let segment = open(form)?;
    let state = SharedInts::open(NAME, N)?;
    let fork = [segment.mutex(&format!("fork {i}"))?, segment.mutex(&format!("fork {}", right(i)))?]; // left, right
    let room = segment.semaphore_with("room", SemaphoreOptions::leased(N as u32 - 1))?;
    let waiter = Waiter::open(&segment, SharedInts::open(NAME, N)?)?;
    let table = segment.barrier("table", N as u32)?;
    table.wait()?; // all sit down

    let mut unlucky = true; // the first time, it is arranged that all have their left fork before anyone has the right one
    for _ in 0..meals {
        match form {
            "left_first" | "detected" => loop {
                let _left = take(&fork[0])?;
                if std::mem::take(&mut unlucky) {
                    table.wait()?;
                }
                match take(&fork[1]) {
                    Ok(_right) => break eat(&state, i),
                    Err(error) if error.kind() == ErrorKind::Deadlock => println!("philosopher {i} gives way: {error}"),
                    Err(error) => return Err(error),
                }
            },
            "ordered" => {
                let (lower, higher) = if i < right(i) { (0, 1) } else { (1, 0) };
                let _first = take(&fork[lower])?;
                let _second = take(&fork[higher])?;
                eat(&state, i);
            }
            "room" => {
                room.wait()?;
                let both = (take(&fork[0])?, take(&fork[1])?);
                eat(&state, i);
                drop(both);
                room.post()?;
            }
            "monitor" => {
                waiter.take_forks(i)?;
                std::thread::yield_now(); // eats
                waiter.put_forks(i)?;
            }
            _ => return Err(Error::new(ErrorKind::Invalid, format!("there is no form {form:?}"))),
        }
    }
    Ok(())
}

/// Who hands out both forks at once. Nobody but a thread inside the monitor touches the state.
struct Waiter {
    monitor: Monitor,
    may_eat: Vec<Condition>,
    state: SharedInts,
}

impl Waiter {
    fn open(segment: &Segment, state: SharedInts) -> Result<Waiter> {
        let monitor = segment.monitor("waiter")?;
        let may_eat = (0..N).map(|i| monitor.condition(&format!("may eat {i}"))).collect::<Result<_>>()?;
        Ok(Waiter { monitor, may_eat, state })
    }

    fn take_forks(&self, i: usize) -> Result<()> {
        let _inside = self.monitor.enter()?;
        self.state.set(i, HUNGRY);
        self.test(i)?;
        while self.state.get(i) != EATING {
            self.may_eat[i].wait()?; // outside while it sleeps, inside again afterwards
        }
        Ok(())
    }

    fn put_forks(&self, i: usize) -> Result<()> {
        let _inside = self.monitor.enter()?;
        self.state.set(i, THINKING);
        self.test(left(i))?;
        self.test(right(i))
    }

    /// If philosopher i is hungry and neither neighbour eats, the forks are handed over.
    fn test(&self, i: usize) -> Result<()> {
        let eats = |i| self.state.get(i) == EATING;
        if self.state.get(i) == HUNGRY && !eats(left(i)) && !eats(right(i)) {
            self.state.set(i, EATING);
            self.may_eat[i].signal()?;
        }
        Ok(())
    }
}

fn story() -> Result<()> {
    for form in ["left_first", "detected", "ordered", "room", "monitor"] {
        fresh(NAME);
        println!("{form}:");
        let segment = open(form)?;
        let begin = |i: usize| start(&["philosopher", form, &i.to_string(), "100"]);
        let mut philosophers = (0..N).map(begin).collect::<Result<Vec<_>>>()?;
        if form == "left_first" {
            let deadlock = loop {
                match segment.deadlocks()?.pop() {
                    Some(deadlock) => break deadlock,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            println!("  DEADLOCK: {deadlock}");
            let mut victim = philosophers.remove(0);
            println!("  philosopher 0 is killed, and the others go on");
            let _ = victim.kill().and_then(|()| victim.wait());
        }
        let n = philosophers.len();
        finish(philosophers)?;
        println!("  {n} philosophers have eaten 100 times");
    }
    fresh(NAME);
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["philosopher", form, i, n] => philosopher(form, i.parse().unwrap_or(0) % N, n.parse().unwrap_or(1)),
        _ => Err(Error::new(ErrorKind::Invalid, "usage: dining_philosophers [philosopher FORM I N]")),
    }
}
