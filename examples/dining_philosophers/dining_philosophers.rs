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
//! dining_philosophers philosopher FORM I N    philosopher I, from 0 to 4, eats N times, when all five are there
//! ```
//!
//! Each philosopher may be Rust, C or Python. They share the segment `dining_philosophers` with the mutexes `fork 0` to
//! `fork 4`, the barrier `table`, the leased semaphore `room`, the monitor `waiter` with the conditions `may eat 0` to
//! `may eat 4`, and plain memory, /dev/shm/dining_philosophers: what each of them does.
//! To begin anew: `triveni rm dining_philosophers; rm /dev/shm/dining_philosophers`.

use std::time::Duration;
use triveni::{
    Barrier, Condition, ErrorKind, LockError, Monitor, Mutex, MutexGuard, Result, Segment, Semaphore, SemaphoreOptions,
};
use triveni_examples::{SharedInts, finish, fresh, start};

const NAME: &str = "dining_philosophers";
const FORMS: [&str; 5] = ["left_first", "detected", "ordered", "room", "monitor"];
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

struct Philosopher {
    i: usize,
    left: Mutex,
    right: Mutex,
    room: Semaphore,
    waiter: Monitor,
    may_eat: Vec<Condition>,
    state: SharedInts,
    table: Barrier,
    lucky: bool,
}

impl Philosopher {
    fn open(form: &str, i: usize) -> Result<Philosopher> {
        let segment = open(form)?;
        let waiter = segment.monitor("waiter")?;
        Ok(Philosopher {
            i,
            left: segment.mutex(&format!("fork {i}"))?,
            right: segment.mutex(&format!("fork {}", right(i)))?,
            room: segment.semaphore_with("room", SemaphoreOptions::leased(N as u32 - 1))?,
            may_eat: (0..N).map(|i| waiter.condition(&format!("may eat {i}"))).collect::<Result<_>>()?,
            waiter,
            state: SharedInts::open(NAME, N)?,
            table: segment.barrier("table", N as u32)?,
            lucky: false,
        })
    }

    fn eats(&self, i: usize) -> bool {
        self.state.get(i) == EATING
    }

    fn eat(&self) -> Result<()> {
        self.state.set(self.i, EATING);
        assert!(!self.eats(left(self.i)) && !self.eats(right(self.i)), "two neighbours eat at the same time");
        std::thread::yield_now();
        self.state.set(self.i, THINKING);
        Ok(())
    }

    fn left_first(&mut self) -> Result<()> {
        loop {
            let left = take(&self.left)?;
            if !self.lucky {
                self.table.wait()?; // the first time, all are to have their left fork before anyone has the right one
                self.lucky = true;
            }
            match take(&self.right) {
                Ok(_right) => return self.eat(),
                Err(error) if error.kind() == ErrorKind::Deadlock => {
                    println!("  philosopher {} gives way: {error}", self.i);
                    drop(left);
                    std::thread::sleep(Duration::from_millis(1)); // thinks, and his neighbour can eat
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn ordered(&self) -> Result<()> {
        let (lower, higher) =
            if self.i < right(self.i) { (&self.left, &self.right) } else { (&self.right, &self.left) };
        let _first = take(lower)?;
        let _second = take(higher)?;
        self.eat()
    }

    fn through_the_room(&self) -> Result<()> {
        self.room.wait()?;
        let both = (take(&self.left)?, take(&self.right)?);
        self.eat()?;
        drop(both);
        self.room.post()
    }

    fn with_a_monitor(&self) -> Result<()> {
        let inside = self.waiter.enter()?; // take both forks
        self.state.set(self.i, HUNGRY);
        self.test(self.i)?;
        while !self.eats(self.i) {
            self.may_eat[self.i].wait()?; // outside while it sleeps
        }
        drop(inside);

        std::thread::yield_now(); // eats

        let _inside = self.waiter.enter()?; // put both down
        self.state.set(self.i, THINKING);
        self.test(left(self.i))?;
        self.test(right(self.i))
    }

    /// If philosopher i is hungry and neither neighbour eats, the forks are handed over. Inside the monitor only.
    fn test(&self, i: usize) -> Result<()> {
        if self.state.get(i) == HUNGRY && !self.eats(left(i)) && !self.eats(right(i)) {
            self.state.set(i, EATING);
            self.may_eat[i].signal()?;
        }
        Ok(())
    }
}

fn philosopher(form: &str, i: usize, meals: u32) -> Result<()> {
    let mut philosopher = Philosopher::open(form, i)?;
    philosopher.table.wait()?; // all sit down
    for _ in 0..meals {
        match form {
            "ordered" => philosopher.ordered()?,
            "room" => philosopher.through_the_room()?,
            "monitor" => philosopher.with_a_monitor()?,
            _ => philosopher.left_first()?,
        }
    }
    Ok(())
}

fn story() -> Result<()> {
    for form in FORMS {
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
        ["philosopher", form, i, n] if FORMS.contains(&form) => {
            philosopher(form, i.parse().unwrap_or(0) % N, n.parse().unwrap_or(1))
        }
        _ => {
            eprintln!("usage: dining_philosophers [philosopher FORM I N]");
            std::process::exit(2)
        }
    }
}
