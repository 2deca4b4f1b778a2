//! Shared memory and semaphores, POSIX and System V.
//!
//! | role                  | does                                                                                     |
//! |-----------------------|------------------------------------------------------------------------------------------|
//! | `make PLACE SIZE`     | makes shared memory, fills it with [`byte`]s, ends                                       |
//! | `check PLACE SIZE`    | attaches it read-only and checks them, says `ok SIZE`                                    |
//! | `ask PLACE N`         | makes memory with POSIX semaphores at 0 and 64, says `made`; N times writes a number at  |
//! |                       | 128, posts the first, waits for the second, finds the number one higher; says `ok N`     |
//! | `answer PLACE N`      | the other side of it                                                                     |
//! | `add PLACE LOCK N`    | N times adds 1 to the number at 0, with the semaphore LOCK; says `ok N`                  |
//! | `lose PLACE`          | reads the number at 0, says `read`; at the end of its stdin writes it back, one higher   |
//! | `hold LOCK`           | takes a permit, says `holding`, stays                                                    |
//! | `undo LOCK`           | takes 2 permits of semaphore 0 and adds 1 to semaphore 1, all with undo; says `holding`  |
//! | `wait LOCK`           | says `waiting`, takes a permit; says `taken`, or `removed` if its set was                |
//! | `race LOCK N`         | at the end of its stdin opens it or makes it with N permits, takes one at once (ours)    |
//! | `storm LOCK MS`       | waits in vain for MS, in a rain of signals where it can; says `timeout MS` (ours)        |
//! | `own KIND PLACE`      | makes it and owns it, says `holding`, stays (ours)                                       |
//!
//! PLACE and LOCK are the name of a POSIX object, which begins with a slash, or the key of a System V one. Roles of the
//! Rust peer alone are told below.

use super::rain::rain;
use super::world::{nobody, own_world};
use std::fmt::Display;
use std::io::Read;
use std::time::{Duration, Instant};
use triveni::kernel::{
    PosixSemaphore, PosixSemaphoreOptions, PosixSharedMemory, PosixSharedMemoryOptions, SemaphoreOperation,
    SharedMemory, SysvKey, SysvSemaphores, SysvSemaphoresOptions, SysvSharedMemory, SysvSharedMemoryOptions,
};
use triveni::{Deadline, ErrorKind, Result};

/// What is at a place of the memory.
fn byte(at: usize) -> u8 {
    (at * 7 % 251) as u8
}

/// Both kinds of memory, in one manner.
trait Memory {
    fn read(&self, at: usize, bytes: &mut [u8]);
    fn write(&self, at: usize, bytes: &[u8]);
    fn semaphore(&self, at: usize, initial: Option<u32>) -> PosixSemaphore;

    fn number(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }
}

macro_rules! memory {
    ($Memory:ty) => {
        impl Memory for $Memory {
            fn read(&self, at: usize, bytes: &mut [u8]) {
                self.read_at(at, bytes).unwrap();
            }
            fn write(&self, at: usize, bytes: &[u8]) {
                self.write_at(at, bytes).unwrap();
            }
            fn semaphore(&self, at: usize, initial: Option<u32>) -> PosixSemaphore {
                placed(self, at, initial)
            }
        }
    };
}

memory!(PosixSharedMemory);
memory!(SysvSharedMemory);

fn placed(memory: &impl SharedMemory, at: usize, initial: Option<u32>) -> PosixSemaphore {
    match initial {
        Some(initial) => PosixSemaphore::init_in(memory, at, initial).unwrap(),
        None => PosixSemaphore::open_in(memory, at).unwrap(),
    }
}

fn key(place: &str) -> SysvKey {
    SysvKey::new(place.parse().unwrap())
}

fn made(place: &str, size: usize) -> Box<dyn Memory> {
    match place.starts_with('/') {
        true => Box::new(PosixSharedMemory::create(place, size).unwrap()),
        false => Box::new(SysvSharedMemory::create(key(place), size).unwrap()),
    }
}

fn opened(place: &str, read_only: bool) -> Box<dyn Memory> {
    match place.starts_with('/') {
        true => Box::new(PosixSharedMemoryOptions::new().read_only(read_only).open(place).unwrap()),
        false => Box::new(SysvSharedMemoryOptions::new().read_only(read_only).open(key(place)).unwrap()),
    }
}

/// Both kinds of named semaphores, in one manner.
enum Lock {
    Posix(PosixSemaphore),
    Sysv(SysvSemaphores),
}

impl Lock {
    fn open(place: &str) -> Lock {
        match place.starts_with('/') {
            true => Lock::Posix(PosixSemaphore::open(place).unwrap()),
            false => Lock::Sysv(SysvSemaphores::open(key(place)).unwrap()),
        }
    }

    fn wait(&self) -> Result<()> {
        match self {
            Lock::Posix(semaphore) => semaphore.wait(),
            Lock::Sysv(set) => set.wait(0, 1),
        }
    }

    fn wait_until(&self, until: Deadline) -> Result<()> {
        match self {
            Lock::Posix(semaphore) => semaphore.wait_until(until),
            Lock::Sysv(set) => set.wait_until(0, 1, until),
        }
    }

    fn post(&self) {
        match self {
            Lock::Posix(semaphore) => semaphore.post().unwrap(),
            Lock::Sysv(set) => set.post(0, 1).unwrap(),
        }
    }
}

fn stay() -> ! {
    println!("holding");
    loop {
        std::thread::park();
    }
}

/// Waits for the end of stdin.
fn gate() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

pub fn run(args: &[&str]) {
    match *args {
        ["make", place, size] => {
            let size = size.parse().unwrap();
            let bytes: Vec<u8> = (0..size).map(byte).collect();
            made(place, size).write(0, &bytes);
        }
        ["check", place, size] => {
            let mut bytes = vec![0; size.parse().unwrap()];
            opened(place, true).read(0, &mut bytes);
            assert!(bytes.iter().enumerate().all(|(at, found)| *found == byte(at)));
            println!("ok {size}");
        }
        ["ask", place, n] => {
            let memory = made(place, 4096);
            let [asked, answered] = [0, 64].map(|at| memory.semaphore(at, Some(0)));
            println!("made");
            for k in 0..n.parse().unwrap() {
                memory.write(128, &u64::to_le_bytes(2 * k));
                asked.post().unwrap();
                answered.wait().unwrap();
                assert_eq!(memory.number(128), 2 * k + 1);
            }
            println!("ok {n}");
        }
        ["answer", place, n] => {
            let memory = opened(place, false);
            let [asked, answered] = [0, 64].map(|at| memory.semaphore(at, None));
            for _ in 0..n.parse().unwrap() {
                asked.wait().unwrap();
                memory.write(128, &(memory.number(128) + 1).to_le_bytes());
                answered.post().unwrap();
            }
            println!("ok {n}");
        }
        ["add", place, lock, n] => {
            let (memory, lock) = (opened(place, false), Lock::open(lock));
            for _ in 0..n.parse().unwrap() {
                lock.wait().unwrap();
                memory.write(0, &(memory.number(0) + 1).to_le_bytes());
                lock.post();
            }
            println!("ok {n}");
        }
        ["lose", place] => {
            let memory = opened(place, false);
            let number = memory.number(0);
            println!("read");
            gate();
            memory.write(0, &(number + 1).to_le_bytes());
        }
        ["hold", lock] => {
            Lock::open(lock).wait().unwrap();
            stay();
        }
        ["undo", lock] => {
            let set = SysvSemaphores::open(key(lock)).unwrap();
            set.operate(&[SemaphoreOperation::wait(0, 2).undo(), SemaphoreOperation::post(1, 1).undo()]).unwrap();
            stay();
        }
        ["wait", lock] => {
            let lock = Lock::open(lock);
            println!("waiting");
            match lock.wait() {
                Ok(()) => println!("taken"),
                Err(e) if e.kind() == ErrorKind::Removed => println!("removed"),
                Err(e) => panic!("{e}"),
            }
        }
        ["race", lock, n] => {
            gate();
            let n: u16 = n.parse().unwrap();
            let taken = match lock.starts_with('/') {
                true => PosixSemaphore::open_or_create(lock, n.into()).unwrap().try_wait().unwrap(),
                false => SysvSemaphores::open_or_create(key(lock), &[n]).unwrap().try_wait(0, 1).unwrap(),
            };
            assert!(taken, "a half-made semaphore");
        }
        ["storm", lock, ms] => {
            let lock = Lock::open(lock);
            rain();
            let (begin, time) = (Instant::now(), Duration::from_millis(ms.parse().unwrap()));
            let error = lock.wait_until(Deadline::after(time)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(begin.elapsed() >= time, "ended early, after {:?}", begin.elapsed());
            let error = lock.wait_until(Deadline::never().interruptible()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            println!("timeout {}", begin.elapsed().as_millis());
        }
        ["own", kind, place] => {
            let _owned: Box<dyn std::any::Any> = match kind {
                "posix semaphore" => Box::new(PosixSemaphoreOptions::new().owned(true).create(place, 1).unwrap()),
                "posix shared memory" => {
                    Box::new(PosixSharedMemoryOptions::new().owned(true).create(place, 64).unwrap())
                }
                "sysv semaphores" => {
                    Box::new(SysvSemaphoresOptions::new().owned(true).create(key(place), &[1]).unwrap())
                }
                _ => Box::new(SysvSharedMemoryOptions::new().owned(true).create(key(place), 64).unwrap()),
            };
            stay();
        }
        ["touch", place] => touch(place),
        ["elsewhere", place] => elsewhere(place),
        ["nobody", place, lock] => stranger(place, lock),
        ["limits"] => limits(),
        _ => panic!("no such role: {args:?}"),
    }
}

/// `touch PLACE`: attaches it, says `attached`; at the end of its stdin reads the last byte, says `ok`.
fn touch(place: &str) {
    let memory = PosixSharedMemory::open(place).unwrap();
    println!("attached");
    gate();
    memory.read_at(memory.size() - 1, &mut [0]).unwrap();
    println!("ok");
}

/// `elsewhere KEY`: looks for it from another namespace of System V objects, says what it found; `may not` if it may not
/// go there.
fn elsewhere(place: &str) {
    match own_world() {
        true => println!("{:?}", SysvSharedMemory::open(key(place)).map(|memory| memory.size()).map_err(|e| e.kind())),
        false => println!("may not"),
    }
}

/// `nobody PLACE LOCK`: as a user without rights, says what opening them answers; `may not` if it cannot become one.
fn stranger(place: &str, lock: &str) {
    fn told(result: Result<()>) {
        println!("{}", result.map_or_else(|e| format!("{:?}: {e}", e.kind()), |()| "opened".to_string()));
    }
    if !nobody() {
        return println!("may not");
    }
    if place.starts_with('/') {
        told(PosixSharedMemory::open(place).map(drop));
        told(PosixSemaphore::open(lock).map(drop));
        told(PosixSharedMemory::unlink(place));
    } else {
        told(SysvSharedMemory::open(key(place)).map(drop));
        told(SysvSemaphores::open(key(lock)).map(drop));
        told(SysvSharedMemory::unlink(key(place)));
    }
}

/// `limits`: in a world of its own with low limits, says what each refuses; `may not` if it may not make one.
fn limits() {
    fn told<T>(what: impl Display, result: Result<T>) {
        println!("{what}: {}", result.map_or_else(|e| format!("{:?}: {e}", e.kind()), |_| "done".to_string()));
    }
    let set = |name: &str, value: &str| std::fs::write(format!("/proc/sys/kernel/{name}"), value).unwrap();
    if !own_world() {
        return println!("may not");
    }
    let room = c"size=64k";
    // SAFETY: five strings that end with NUL; the mount is this process's own.
    let mounted =
        unsafe { libc::mount(c"none".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), 0, room.as_ptr().cast()) };
    if mounted != 0 {
        return println!("may not");
    }
    set("shmmni", "1");
    let first = SysvSharedMemory::create(SysvKey::PRIVATE, 8192).unwrap();
    told("one segment", SysvSharedMemory::create(SysvKey::PRIVATE, 1));
    first.remove().unwrap();
    set("shmmax", "4096");
    told("small segments", SysvSharedMemory::create(SysvKey::PRIVATE, 4097));
    set("sem", "3 6 2 1");
    let pair = SysvSemaphores::create(SysvKey::PRIVATE, &[1, 1, 1]).unwrap();
    told("one set", SysvSemaphores::create(SysvKey::PRIVATE, &[1]));
    told("two operations", pair.try_operate(&[SemaphoreOperation::post(0, 1); 3]));
    pair.remove().unwrap();
    told("three semaphores", SysvSemaphores::create(SysvKey::PRIVATE, &[1; 4]));
    let most = PosixSharedMemory::create("/most", 60 << 10).unwrap();
    told("a full /dev/shm", PosixSharedMemory::create("/more", 32 << 10));
    told("nothing is left", PosixSharedMemory::open("/more"));
    let filled = PosixSharedMemory::create("/rest", 4 << 10).unwrap();
    told("no room for a semaphore", PosixSemaphore::create("/lock", 0));
    drop((most, filled));
}
