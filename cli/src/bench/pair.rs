//! Two processes that work with each other, and a third that watches both: this one.
//!
//! Where a process has gone, the other one may wait for ever: a queue, a semaphore, a file stay. So neither of the two is
//! this process, which only sleeps until one of them has ended. If that one ended badly, this one kills the other, says
//! how it was, and removes what has a name, as it made that. The two have no deadline, no handler and no thread for it.

use super::ends::{End, Make, Side};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use triveni::kernel::{Child, Stream, fork, signal_name};
use triveni::{Deadline, Error, ErrorKind, Result};

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

/// Why there is no measurement.
#[derive(Debug)]
pub struct Fault {
    pub sentence: String,
    /// A process was killed from outside, or crashed: not a property of the mechanism.
    pub killed: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        error.to_string().into()
    }
}

impl From<String> for Fault {
    fn from(sentence: String) -> Fault {
        Fault { sentence, killed: false }
    }
}

/// After an error of one process, the other one may have had it first and be about to end: so long it is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `send` and `receive` in a process each, on a CPU each, with the two ends of one connection. What `send` has found
/// out, once both have done their work.
///
/// # Errors
/// What either of them reports, and how a process ended that was killed. Then the other one has ended too.
pub fn together<const N: usize>(
    make: Make,
    apart: &Apart,
    send: impl FnOnce(&mut dyn End) -> Result<[f64; N]>,
    receive: impl FnOnce(&mut dyn End) -> Result<()>,
) -> Result<[f64; N], Fault> {
    // All three processes have what `make` holds. Each of the two uses it once; here it stays until both have ended.
    let mut make = Some(make);
    let sender = Worker::start(Side::Sender, apart, &mut make, |end| {
        Ok(send(end)?.iter().flat_map(|figure| figure.to_ne_bytes()).collect())
    })?;
    let receiver = Worker::start(Side::Receiver, apart, &mut make, |end| receive(end).map(|()| Vec::new()))?;
    for (worker, peer) in [(&sender, &receiver), (&receiver, &sender)] {
        let _ = worker.line.send_all(&peer.child.pid().to_ne_bytes()); // it has ended if it does not listen
    }
    let (early, late) = match first_to_end(&sender.child, &receiver.child)? {
        true => (&sender, &receiver),
        false => (&receiver, &sender),
    };
    let first = early.outcome();
    let until = match &first {
        Ok(_) => Deadline::never(),
        Err(fault) if fault.killed => Deadline::now(),
        Err(_) => Deadline::after(PATIENCE),
    };
    let second = match late.child.wait_until(until) {
        Ok(_) => late.outcome(),
        Err(_) => Ok(Vec::new()), // its drop kills it
    };
    match (first, second) {
        (Ok(one), Ok(other)) => {
            let mut figures = [0.0; N];
            let bytes = [one, other].concat();
            for (figure, bytes) in figures.iter_mut().zip(bytes.as_chunks().0) {
                *figure = f64::from_ne_bytes(*bytes);
            }
            Ok(figures)
        }
        (_, Err(cause)) if cause.killed => Err(cause),
        (Err(fault), _) | (_, Err(fault)) => Err(fault),
    }
}

/// One of the two processes. Dropping it kills it.
struct Worker {
    child: Child,
    side: Side,
    /// It is told the other one's pid, and answers with its figures or with a sentence.
    line: Stream,
}

impl Worker {
    fn start(
        side: Side,
        apart: &Apart,
        make: &mut Option<Make>,
        work: impl FnOnce(&mut dyn End) -> Result<Vec<u8>>,
    ) -> Result<Worker> {
        let (line, theirs) = Stream::pair()?;
        let bench = std::process::id();
        let run = || {
            let mut peer = [0; 4];
            theirs.receive_exact(&mut peer)?;
            let mut end = make.take().ok_or(ErrorKind::Invalid)?(side, u32::from_ne_bytes(peer))?;
            work(&mut *end)
        };
        // SAFETY: the child runs on what it has of its own, allocates, and ends; the command has no other threads that
        // could hold the allocator's locks for ever (glibc's fork sees to those), and it prints nothing.
        let child = unsafe {
            fork(|| {
                // SAFETY: prctl with PR_SET_PDEATHSIG takes a number, getppid nothing.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != bench as libc::pid_t {
                    return 1;
                }
                apart.0.only(usize::from(side == Side::Receiver)).use_them();
                let (answer, status) = match run() {
                    Ok(figures) => (figures, 0),
                    Err(error) => (error.to_string().into_bytes(), 1),
                };
                theirs.send(&answer).map_or(1, |()| status)
            })
        }?;
        child.set_kill_on_drop(true);
        Ok(Worker { child, side, line })
    }

    /// Its figures, once it has ended.
    fn outcome(&self) -> Result<Vec<u8>, Fault> {
        let status = self.child.wait()?;
        let role = if self.side == Side::Sender { "sending" } else { "receiving" };
        let who = format!("the {role} process (pid {})", self.child.pid());
        if let Some(signal) = status.signal() {
            let sentence = format!("{who} was killed by signal {signal} ({})", signal_name(signal));
            return Err(Fault { sentence, killed: true });
        }
        let mut answer = vec![0; 4096];
        let size = self.line.receive(&mut answer).map_err(|_| format!("{who} ended early: {status}"))?;
        answer.truncate(size);
        match status.success() {
            true => Ok(answer),
            false => Err(String::from_utf8_lossy(&answer).into_owned().into()),
        }
    }
}

/// Waits until one of two has ended. Was it the first one?
fn first_to_end(one: &Child, other: &Child) -> Result<bool> {
    let mut both = [one, other].map(|child| libc::pollfd { fd: child.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // SAFETY: two descriptors, which stay open, in an array of ours.
    while unsafe { libc::poll(both.as_mut_ptr(), 2, -1) } < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            let kind = ErrorKind::System(error.raw_os_error().unwrap_or(libc::EIO));
            return Err(Error::new(kind, format!("wait for the two processes: {error}")));
        }
    }
    Ok(both.first().is_some_and(|one| one.revents != 0))
}
