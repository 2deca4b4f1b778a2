//! Roles at what is locked: mutex, monitor, readers-writer lock, leased semaphore.

use super::{ready, stay, wrong};
use std::fs::File;
use std::mem::forget;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use triveni::{Deadline, LockError, Monitor, Mutex, Result, RwLock, Segment, Semaphore};
use triveni_tests::{Random, TORTURED};

pub fn lock(segment: &Segment, object: &str, n: u64, file: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    let broken = |error: std::io::Error| wrong(&format!("{file}: {error}"));
    let file = File::options().read(true).write(true).open(file).map_err(broken)?;
    ready();
    for _ in 0..n {
        let guard = mutex.lock()?;
        let mut count = [0; 8];
        file.read_exact_at(&mut count, 0).map_err(broken)?;
        file.write_all_at(&(u64::from_le_bytes(count) + 1).to_le_bytes(), 0).map_err(broken)?;
        drop(guard);
    }
    println!("ok {n}");
    Ok(())
}

pub fn hold(segment: &Segment, object: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    ready();
    let guard = match mutex.lock() {
        Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
        Err(failed) => return Err(failed.into()),
    };
    println!("holding");
    let _guard = guard;
    stay()
}

pub fn lock_once(segment: &Segment, object: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    ready();
    match mutex.lock_until(Deadline::after(Duration::from_secs(10))) {
        Ok(_guard) => println!("ok"),
        Err(LockError::OwnerDied(guard)) => {
            println!("owner_died");
            guard.recover();
        }
        Err(failed) => return Err(failed.into()),
    }
    Ok(())
}

/// Anything that is locked and unlocked.
enum Lock {
    Mutex(Mutex),
    Monitor(Monitor),
    Read(RwLock),
    Write(RwLock),
    Lease(Semaphore),
}

impl Lock {
    fn open(segment: &Segment, object: &str, what: &str) -> Result<Lock> {
        match what {
            "mutex" => Ok(Lock::Mutex(segment.open_mutex(object)?)),
            "monitor" => Ok(Lock::Monitor(segment.open_monitor(object)?)),
            "read" => Ok(Lock::Read(segment.open_rwlock(object)?)),
            "write" => Ok(Lock::Write(segment.open_rwlock(object)?)),
            "lease" => Ok(Lock::Lease(segment.open_semaphore(object)?)),
            _ => Err(wrong(&format!("{what:?} is nothing to lock"))),
        }
    }

    /// Locks. True: a holder died; then `recover` is due.
    fn lock(&self, deadline: Deadline) -> Result<bool> {
        fn kept<G>(locked: std::result::Result<G, LockError<G>>) -> Result<bool> {
            match locked {
                Ok(guard) => {
                    forget(guard);
                    Ok(false)
                }
                Err(LockError::OwnerDied(guard)) => {
                    forget(guard);
                    Ok(true)
                }
                Err(LockError::Failed(error)) => Err(error),
            }
        }
        match self {
            Lock::Mutex(mutex) => kept(mutex.lock_until(deadline)),
            Lock::Monitor(monitor) => kept(monitor.enter_until(deadline)),
            Lock::Read(lock) => kept(lock.read_until(deadline)),
            Lock::Write(lock) => kept(lock.write_until(deadline)),
            Lock::Lease(semaphore) => semaphore.wait_until(deadline).map(|()| false),
        }
    }

    fn recover(&self) -> Result<()> {
        match self {
            Lock::Mutex(mutex) => mutex.recover(),
            Lock::Monitor(monitor) => monitor.recover(),
            Lock::Write(lock) => lock.recover(),
            Lock::Read(_) | Lock::Lease(_) => Ok(()), // Readers do not repair; permits guard nothing.
        }
    }

    fn unlock(&self) -> Result<()> {
        match self {
            Lock::Mutex(mutex) => mutex.unlock(),
            Lock::Monitor(monitor) => monitor.leave(),
            Lock::Read(lock) | Lock::Write(lock) => lock.unlock(),
            Lock::Lease(semaphore) => semaphore.post(),
        }
    }
}

/// The numbers in a file that a lock guards.
pub struct Numbers<'a>(File, &'a str);

impl<'a> Numbers<'a> {
    pub fn open(path: &'a str) -> Result<Numbers<'a>> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Numbers(file.map_err(|error| wrong(&format!("{path}: {error}")))?, path))
    }

    pub fn get(&self, i: u64) -> Result<u64> {
        let mut number = [0; 8];
        self.0.read_exact_at(&mut number, 8 * i).map_err(|error| wrong(&format!("{}: {error}", self.1)))?;
        Ok(u64::from_le_bytes(number))
    }

    pub fn set(&self, i: u64, number: u64) -> Result<()> {
        let written = self.0.write_all_at(&number.to_le_bytes(), 8 * i);
        written.map_err(|error| wrong(&format!("{}: {error}", self.1)))
    }
}

pub fn lock_both(segment: &Segment, object: &str, n: u64, file: &str, what: &str) -> Result<()> {
    let (lock, numbers) = (Lock::open(segment, object, what)?, Numbers::open(file)?);
    ready();
    for _ in 0..n {
        lock.lock(Deadline::never())?;
        let (a, b) = (numbers.get(0)?, numbers.get(1)?);
        if a != b {
            return Err(wrong(&format!("locked to {what}, and the numbers are {a} and {b}")));
        }
        if what != "read" {
            numbers.set(0, a + 1)?;
            numbers.set(1, b + 1)?;
        }
        lock.unlock()?;
    }
    println!("ok {n}");
    Ok(())
}

pub fn hold_any(segment: &Segment, object: &str, what: &str) -> Result<()> {
    let lock = Lock::open(segment, object, what)?;
    ready();
    lock.lock(Deadline::never())?;
    println!("holding");
    stay()
}

pub fn once(segment: &Segment, object: &str, what: &str) -> Result<()> {
    let lock = Lock::open(segment, object, what)?;
    ready();
    if lock.lock(Deadline::after(Duration::from_secs(10)))? {
        println!("owner_died");
        lock.recover()?;
    } else {
        println!("ok");
    }
    lock.unlock()
}

/// Locks one lock after the other for ever, by chance (N is the seed), and changes what each guards: two numbers in the
/// file OBJECT, equal unless somebody is at it. `i LOCK` before, `c LOCK` after; now and then it sweeps. The locks
/// have fixed names, in the order of [`TORTURED`].
pub fn torture(segment: &Segment, file: &str, seed: u64) -> Result<()> {
    let numbers = Numbers::open(file)?;
    let locks = TORTURED.map(|(name, what)| Lock::open(segment, name, what));
    let locks: Vec<Lock> = locks.into_iter().collect::<Result<_>>()?;
    let pool = segment.open_semaphore("pool")?;
    let mut random = Random::from_seed(seed);
    ready();
    loop {
        let i = random.below(locks.len() as u64 + 2);
        let Some(lock) = locks.get(i as usize) else {
            if i as usize == locks.len() {
                segment.sweep()?;
            } else {
                pool.wait_n(2)?; // of three
                pool.post_n(2)?;
            }
            continue;
        };
        let writes = TORTURED[i as usize].1 != "read";
        // A reader's numbers are those of the writer before it in the table.
        let at = 2 * if writes { i } else { i - 1 };
        if writes {
            println!("i {i}");
        }
        let told = lock.lock(Deadline::never())?;
        let (a, b) = (numbers.get(at)?, numbers.get(at + 1)?);
        if a != b && !(told || TORTURED[i as usize].1 == "lease") {
            return Err(wrong(&format!("{:?}: {a} and {b}, and no word of a death", TORTURED[i as usize])));
        }
        if writes {
            if told {
                lock.recover()?;
            }
            let next = a.max(b) + 1;
            numbers.set(at, next)?;
            numbers.set(at + 1, next)?;
        }
        lock.unlock()?;
        if writes {
            println!("c {i}");
        }
    }
}
