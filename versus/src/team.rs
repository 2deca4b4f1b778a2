//! Processes that work together, or threads of one: forked, each on its CPU, started at once, watched, and killed
//! if one of them fails or takes too long. What went wrong is told, so that it can be shown in the rival's row.

use super::clock;
use super::shared::{Shared, Zeroed};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Eight senders and eight receivers.
pub const MOST_MEMBERS: usize = 16;
/// Of one member of a team.
pub const MOST_SAMPLES: usize = 1 << 15;
/// So long after the last one has come the time begins: all of them are polling by then.
const HEAD_START_NS: u64 = 20_000;
/// Nothing here takes a tenth of it, also on a loaded machine.
const PATIENCE_MS: i32 = 30_000;
/// One message to the parent: a mark, and what went wrong. Less than PIPE_BUF, so it arrives whole.
const REPORT: usize = 400;

#[repr(C, align(128))]
struct Sheet {
    began: AtomicU64,
    ended: AtomicU64,
    slept: AtomicU64,
    preempted: AtomicU64,
    cpu_ns: AtomicU64,
    tally: AtomicU64,
    sum: AtomicU64,
    samples: AtomicU64,
}

#[repr(C)]
struct Board {
    met: AtomicU32,
    ready: AtomicU32,
    done: AtomicU32,
    /// When everybody's time begins, in ticks; 0 until all are ready.
    go: AtomicU64,
    sheets: [Sheet; MOST_MEMBERS],
    /// Of the one member that takes samples.
    sample: [AtomicU64; MOST_SAMPLES],
}

// SAFETY: atomics.
unsafe impl Zeroed for Board {}

/// One process of the team, or one thread, seen from inside.
pub struct Member<'a> {
    /// Its number: 0, 1, …
    pub index: usize,
    size: usize,
    board: &'a Board,
    threads: bool,
    /// What it had used when its time began.
    before: Used,
    /// It was not there when its time began.
    late: bool,
}

impl Member<'_> {
    /// Waits until everybody has come this far: until all ends are there.
    pub fn meet(&self) {
        self.board.met.fetch_add(1, AcqRel);
        while self.board.met.load(Acquire) < self.size as u32 {
            // SAFETY: no arguments, no memory.
            unsafe { libc::sched_yield() };
        }
    }

    /// Goes to its CPU and waits until everybody has come this far; then everybody's time begins, at the same tick,
    /// which is returned. Who has no CPU at that moment begins when it has one.
    /// Threads that a library has made before stay free to run anywhere.
    pub fn start(&mut self) -> u64 {
        let cpus = cpus();
        pin(cpus[self.index % cpus.len()]);
        // ORDER ready: Release and Acquire: what all have prepared is seen by all.
        if self.board.ready.fetch_add(1, AcqRel) + 1 == self.size as u32 {
            self.board.go.store(clock::ticks() + clock::from_ns(HEAD_START_NS), Release);
        }
        let go = loop {
            match self.board.go.load(Acquire) {
                // SAFETY: no arguments, no memory.
                0 => _ = unsafe { libc::sched_yield() },
                go => break go,
            }
        };
        self.before = Used::so_far(self.threads);
        self.late = clock::ticks() > go;
        while clock::ticks() < go {}
        let began = if self.late { clock::ticks() } else { go };
        self.sheet().began.store(began, Relaxed);
        began
    }

    /// Its time ends. Waits until everybody's has, so that nobody closes what others still need.
    pub fn stop(&mut self, count: u64, sum: u64) {
        self.sheet().ended.store(clock::ticks(), Relaxed);
        let now = Used::so_far(self.threads);
        self.sheet().slept.store(now.slept - self.before.slept, Relaxed);
        // Who comes late was held up by others: that counts as a CPU taken away.
        self.sheet().preempted.store(now.preempted - self.before.preempted + u64::from(self.late), Relaxed);
        self.sheet().cpu_ns.store(now.cpu_ns - self.before.cpu_ns, Relaxed);
        self.sheet().tally.store(count, Relaxed);
        self.sheet().sum.store(sum, Relaxed);
        self.board.done.fetch_add(1, AcqRel);
        while self.board.done.load(Acquire) < self.size as u32 {
            // SAFETY: no arguments, no memory.
            unsafe { libc::sched_yield() };
        }
    }

    /// Keeps one measurement. One member of the team does.
    #[inline]
    pub fn sample(&mut self, ticks: u64) {
        let n = self.sheet().samples.load(Relaxed);
        if let Some(sample) = self.board.sample.get(n as usize) {
            sample.store(ticks, Relaxed);
            self.sheet().samples.store(n + 1, Relaxed);
        }
    }

    fn sheet(&self) -> &Sheet {
        &self.board.sheets[self.index]
    }
}

/// What a member has left behind.
#[derive(Clone, Default)]
pub struct Outcome {
    /// Its time, in ticks.
    pub began: u64,
    /// Its time, in ticks.
    pub ended: u64,
    /// How often it gave up its CPU of its own accord.
    pub slept: u64,
    /// How often its CPU was taken away from it.
    pub preempted: u64,
    /// What its process has used of CPUs, helping threads included.
    pub cpu_ns: u64,
    /// As told to [`Member::stop`].
    pub count: u64,
    /// As told to [`Member::stop`].
    pub sum: u64,
    /// Its measurements, in ticks.
    pub samples: Vec<u64>,
}

/// Runs `role` in `size` processes, or threads of one process; member i is pinned to CPU i modulo the CPUs there are.
/// Says what went wrong if one of them fails or takes too long; none is left then.
pub fn run(size: usize, threads: bool, role: impl Fn(&mut Member<'_>) + Sync) -> Result<Vec<Outcome>, String> {
    assert!(size <= MOST_MEMBERS);
    clock::cost(); // measured here, not in each child
    let board = Shared::<Board>::new();
    let member = |index, board| Member { index, size, board, threads, before: Used::default(), late: false };
    let (mut done, mut tell) = std::io::pipe().map_err(|e| e.to_string())?;
    let mut team = Pids(Vec::new());
    let processes = if threads { 1 } else { size };
    for index in 0..processes {
        // SAFETY: this program has one thread, so the child has everything that the parent has.
        match unsafe { libc::fork() } {
            -1 => return Err(format!("fork: {}", std::io::Error::last_os_error())),
            0 => {
                // SAFETY: plain flags; the parent's end ends us.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                keep_panics();
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    let (board, role) = (&*board, &role);
                    if threads {
                        std::thread::scope(|scope| {
                            for index in 0..size {
                                scope.spawn(move || role(&mut member(index, board)));
                            }
                        });
                    } else {
                        role(&mut member(index, board));
                    }
                }));
                let mut report = [b' '; REPORT];
                report[0] = if ended.is_ok() { b'+' } else { b'-' };
                let why = WHY.lock().map_or_else(|e| e.into_inner().clone(), |why| why.clone());
                for (to, from) in report[1..].iter_mut().zip(why.as_bytes()) {
                    *to = *from;
                }
                let _ = tell.write_all(&report);
                // SAFETY: ends this process without running what belongs to the parent.
                unsafe { libc::_exit(i32::from(ended.is_err())) }
            }
            pid => team.0.push(pid),
        }
    }
    drop(tell);
    for _ in 0..processes {
        let mut polled = libc::pollfd { fd: done.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(&mut polled, 1, PATIENCE_MS) } != 1 {
            return Err(format!("hangs: killed after {} s", PATIENCE_MS / 1000));
        }
        let mut report = [0; REPORT];
        match done.read_exact(&mut report) {
            Ok(()) if report[0] == b'+' => {}
            Ok(()) => return Err(String::from_utf8_lossy(&report[1..]).trim().to_string()),
            Err(_) => return Err("a process of it died".into()),
        }
    }
    team.wait();
    let outcome = |sheet: &Sheet| Outcome {
        began: sheet.began.load(Relaxed),
        ended: sheet.ended.load(Relaxed),
        slept: sheet.slept.load(Relaxed),
        preempted: sheet.preempted.load(Relaxed),
        cpu_ns: sheet.cpu_ns.load(Relaxed),
        count: sheet.tally.load(Relaxed),
        sum: sheet.sum.load(Relaxed),
        samples: board.sample[..sheet.samples.load(Relaxed) as usize].iter().map(|s| s.load(Relaxed)).collect(),
    };
    Ok(board.sheets[..size].iter().map(outcome).collect())
}

/// Runs a short `heat` until nobody else's program took a CPU away from it, `tries` times at most. Where one process
/// of a pair stands still the other one is alone: a lock looks faster then, a channel slower.
/// More members than CPUs always disturb each other.
pub fn undisturbed(
    tries: usize,
    heat: impl Fn() -> Result<Vec<Outcome>, String>,
) -> Result<(Vec<Outcome>, bool), String> {
    for left in (0..tries).rev() {
        let team = heat()?;
        let calm = team.len() <= cpus().len() && team.iter().all(|o| o.preempted == 0);
        if calm || left == 0 || team.len() > cpus().len() {
            return Ok((team, calm));
        }
    }
    Err("no tries".into())
}

/// Nanoseconds from the first start to the last end.
pub fn lasted_ns(team: &[Outcome]) -> f64 {
    let began = team.iter().map(|o| o.began).min().unwrap_or(0);
    let ended = team.iter().map(|o| o.ended).max().unwrap_or(0);
    clock::ns(ended.saturating_sub(began))
}

/// The last panic of this process, for the report to its parent.
static WHY: Mutex<String> = Mutex::new(String::new());

/// From here on a panic of this process is told to the parent, and not to the screen.
fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let text = said.downcast_ref::<String>().map(String::as_str).or(said.downcast_ref::<&str>().copied());
        if let Ok(mut why) = WHY.lock()
            && why.is_empty()
        {
            let place = panic.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
            *why = text.unwrap_or("a panic").chars().take(300).collect::<String>() + &place;
        }
    }));
}

/// Children; those that are still there when it is dropped are killed.
struct Pids(Vec<libc::pid_t>);

impl Pids {
    fn wait(&mut self) {
        for pid in self.0.drain(..) {
            // SAFETY: a child of ours that nobody has waited for; no status is wanted.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        }
    }
}

impl Drop for Pids {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: as in `wait`: nobody has waited for it, so the number is still its own.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        self.wait();
    }
}

/// The CPUs this process may use, as it was started.
pub fn cpus() -> &'static [usize] {
    static FOUND: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    FOUND.get_or_init(|| {
        // SAFETY: zero bytes are an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a valid set of the size given.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
        let all = 0..libc::CPU_SETSIZE as usize;
        // SAFETY: the index is below the set's size.
        let found: Vec<usize> = all.filter(|i| unsafe { libc::CPU_ISSET(*i, &set) }).collect();
        assert!(!found.is_empty(), "no CPU may be used");
        found
    })
}

/// Binds the calling thread to a CPU.
fn pin(cpu: usize) {
    // SAFETY: zero bytes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the CPU came from such a set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a valid set of the size given. Where it is refused we run unpinned.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}

/// Context switches of the calling thread so far, and time on a CPU.
#[derive(Default)]
struct Used {
    slept: u64,
    preempted: u64,
    cpu_ns: u64,
}

impl Used {
    /// The time is the whole process's, unless the members are `threads` of one.
    fn so_far(threads: bool) -> Used {
        // SAFETY: zero bytes are a rusage.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a valid, writable rusage.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let clock = if threads { libc::CLOCK_THREAD_CPUTIME_ID } else { libc::CLOCK_PROCESS_CPUTIME_ID };
        // SAFETY: a valid, writable timespec.
        unsafe { libc::clock_gettime(clock, &mut time) };
        Used {
            slept: usage.ru_nvcsw as u64,
            preempted: usage.ru_nivcsw as u64,
            cpu_ns: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        }
    }
}
