//! Two processes, one mechanism: the time of a message, and how many go through.

use super::ends::{End, Make, Side};
use super::mechanism::Mechanism;
use std::time::{Duration, Instant};
use triveni::kernel::{Child, fork};
use triveni::{Error, ErrorKind, Result};

/// The first byte of a message: another one follows, or this was the last.
const MORE: u8 = 0;
const LAST: u8 = 1;

/// Ways of a message from one process to the other.
#[derive(Clone, Copy, serde::Serialize)]
pub struct Latency {
    /// Half of a round trip: the median, in nanoseconds.
    pub median_ns: f64,
    /// 99 of 100 are at least as fast.
    pub p99_ns: f64,
}

/// Messages one after another in one direction.
#[derive(Clone, Copy, serde::Serialize)]
pub struct Throughput {
    /// Bytes of each message.
    pub size: usize,
    /// Messages per second that arrived.
    pub messages: f64,
    /// Bytes of them per second.
    pub bytes: f64,
    /// How many of those that were sent did not arrive: part of 1.
    pub lost: f64,
}

/// The CPUs that a process may run on.
struct Cpus(libc::cpu_set_t);

impl Cpus {
    /// Those of the calling thread.
    fn mine() -> Cpus {
        // SAFETY: an all-zero set is one, and ours, with its size.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of_val(&set), &mut set); // on failure an empty one, which changes nothing
            Cpus(set)
        }
    }

    /// The nth of them alone; all if there are fewer.
    fn only(&self, nth: usize) -> Cpus {
        // SAFETY: the numbers are below the size of a set.
        let has = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &self.0) };
        match (0..libc::CPU_SETSIZE as usize).filter(has).nth(nth) {
            None => Cpus(self.0),
            Some(cpu) => {
                // SAFETY: an all-zero set is one; `cpu` is below its size.
                unsafe {
                    let mut set = std::mem::zeroed();
                    libc::CPU_SET(cpu, &mut set);
                    Cpus(set)
                }
            }
        }
    }

    /// The calling thread runs on them from now on.
    fn use_them(&self) {
        // SAFETY: the set is ours, with its size. A failure leaves the thread where it may run now.
        unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &self.0) };
    }
}

/// Two processes on two CPUs, as long as this lives: left to itself, the system puts them on one CPU in some runs and on
/// two in others, and what is measured differs by a factor of ten.
pub struct Apart(Cpus);

impl Apart {
    /// The calling thread goes to the first of its CPUs.
    pub fn begin() -> Apart {
        let all = Cpus::mine();
        all.only(0).use_them();
        Apart(all)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.use_them();
    }
}

/// Forks; the child runs `child` with its end of the connection, the parent gets the other.
fn meet(make: Make, apart: &Apart, child: impl FnOnce(&mut dyn End) -> Result<()>) -> Result<(Box<dyn End>, Child)> {
    let parent = std::process::id();
    // Both processes have what `make` holds; each uses it once.
    let mut make = Some(make);
    // SAFETY: the child runs on what it has of its own, allocates, and ends; the command has no other threads that
    // could hold the allocator's locks for ever (glibc's fork sees to those), and it prints nothing.
    let child = unsafe {
        fork(|| {
            // SAFETY: prctl with PR_SET_PDEATHSIG takes a number.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            apart.0.only(1).use_them();
            let run = make.take().ok_or_else(|| Error::from(ErrorKind::Invalid)).and_then(|make| {
                let mut end = make(Side::Child, parent)?;
                child(&mut *end)
            });
            match run {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("triveni bench: in the other process: {error}");
                    1
                }
            }
        })
    }?;
    child.set_kill_on_drop(true); // if something fails here, it would wait for ever
    let end = make.take().ok_or_else(|| Error::from(ErrorKind::Invalid))?(Side::Parent, child.pid())?;
    Ok((end, child))
}

/// Half of a round trip of `size` bytes, over and over for `time`.
pub fn latency(mechanism: &Mechanism, apart: &Apart, size: usize, time: Duration) -> Result<Latency> {
    let (mut end, child) = meet((mechanism.open)(size)?, apart, |end| {
        let mut buffer = vec![MORE; size];
        loop {
            let n = end.receive(&mut buffer)?;
            let message = buffer.get(..n).unwrap_or_default();
            end.send(message)?;
            if message.first() == Some(&LAST) {
                return Ok(());
            }
        }
    })?;
    let (mut message, mut answer) = (vec![MORE; size], vec![MORE; size]);
    let mut trip = |end: &mut dyn End| -> Result<u64> {
        let begin = Instant::now();
        end.send(&message)?;
        end.receive(&mut answer)?;
        Ok(begin.elapsed().as_nanos() as u64)
    };
    let begin = Instant::now();
    while begin.elapsed() < time / 5 {
        trip(&mut *end)?;
    }
    let (begin, mut trips) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        trips.push(trip(&mut *end)?);
    }
    message.fill(LAST);
    end.send(&message)?;
    end.receive(&mut answer)?;
    child.wait()?;
    trips.sort_unstable();
    let at = |part: f64| trips.get(((trips.len() - 1) as f64 * part) as usize).map_or(0.0, |ns| *ns as f64 / 2.0);
    Ok(Latency { median_ns: at(0.5), p99_ns: at(0.99) })
}

/// Messages of `size` bytes one way for `time`; the other process says in the end how many came.
pub fn throughput(mechanism: &Mechanism, apart: &Apart, size: usize, time: Duration) -> Result<Throughput> {
    let answer_size = size.max(8);
    let (mut end, child) = meet((mechanism.open)(answer_size)?, apart, |end| {
        let mut buffer = vec![MORE; size];
        let mut count: u64 = 0;
        loop {
            end.receive(&mut buffer)?;
            match buffer.first() {
                Some(&LAST) => break,
                _ => count += 1,
            }
        }
        end.send(&count.to_le_bytes())
    })?;
    let mut message = vec![MORE; size];
    let (begin, mut sent) = (Instant::now(), 0u64);
    while begin.elapsed() < time {
        for _ in 0..16 {
            end.send(&message)?;
        }
        sent += 16;
    }
    message.fill(LAST);
    let mut answer = vec![MORE; answer_size];
    end.send(&message)?;
    while let Err(error) = end.receive_within(&mut answer, Duration::from_millis(20)) {
        match error.kind() {
            ErrorKind::Timeout => end.send(&message)?, // the last one was lost: again
            _ => return Err(error),
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    child.wait()?;
    let count = answer.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    let messages = count as f64 / seconds;
    let lost = 1.0 - count as f64 / sent as f64;
    Ok(Throughput { size, messages, bytes: messages * size as f64, lost })
}
