//! Processes that work together, or threads of one: forked, each on its CPU, started at once, watched, and killed if one fails.

use super::clock;
use super::shared::{Shared, Zeroed};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const MOST_MEMBERS: usize = 4;
const MOST_SAMPLES: usize = 1 << 15;
/// So long after the last one has come the time begins: all of them are polling by then.
const HEAD_START_NS: u64 = 20_000;
/// Nothing here takes a tenth of it, also on a loaded machine.
const PATIENCE_MS: i32 = 20_000;

#[repr(C, align(128))]
struct Sheet {
    began: AtomicU64,
    ended: AtomicU64,
    slept: AtomicU64,
    preempted: AtomicU64,
    tally: AtomicU64,
    sum: AtomicU64,
    samples: AtomicU64,
    sample: [AtomicU64; MOST_SAMPLES],
}

#[repr(C)]
struct Board {
    ready: AtomicU32,
    /// When everybody's time begins, in ticks; 0 until all are ready.
    go: AtomicU64,
    sheets: [Sheet; MOST_MEMBERS],
}

// SAFETY: atomics.
unsafe impl Zeroed for Board {}

/// One process of the team, or one thread, seen from inside.
pub struct Member<'a> {
    /// Its number: 0, 1, …
    pub index: usize,
    size: usize,
    board: &'a Board,
    /// Context switches of the two kinds when its time began.
    switched: (u64, u64),
    /// It was not there when its time began.
    late: bool,
}

impl<'a> Member<'a> {
    fn new(board: &'a Board, index: usize, size: usize) -> Member<'a> {
        Member { index, size, board, switched: (0, 0), late: false }
    }

    /// Waits until everybody has come this far; then everybody's time begins, at the same tick, which is returned.
    /// Who has no CPU at that moment begins when it has one.
    pub fn start(&mut self) -> u64 {
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
        self.switched = context_switches();
        self.late = clock::ticks() > go;
        while clock::ticks() < go {}
        let began = if self.late { clock::ticks() } else { go };
        self.sheet().began.store(began, Relaxed);
        began
    }

    /// Its time ends.
    pub fn stop(&mut self) {
        self.sheet().ended.store(clock::ticks(), Relaxed);
        let (slept, preempted) = context_switches();
        self.sheet().slept.store(slept - self.switched.0, Relaxed);
        // Who comes late was held up by others: that counts as a CPU taken away.
        self.sheet().preempted.store(preempted - self.switched.1 + u64::from(self.late), Relaxed);
    }

    /// Keeps one measurement.
    #[inline]
    pub fn sample(&mut self, ticks: u64) {
        let sheet = self.sheet();
        let n = sheet.samples.load(Relaxed);
        if let Some(sample) = sheet.sample.get(n as usize) {
            sample.store(ticks, Relaxed);
            sheet.samples.store(n + 1, Relaxed);
        }
    }

    /// Reports how many it handled, and the sum of what they said.
    pub fn tally(&mut self, count: u64, sum: u64) {
        self.sheet().tally.store(count, Relaxed);
        self.sheet().sum.store(sum, Relaxed);
    }

    fn sheet(&self) -> &Sheet {
        &self.board.sheets[self.index]
    }
}

/// What a member has left behind.
pub struct Outcome {
    /// Its time, in ticks.
    pub began: u64,
    /// Its time, in ticks.
    pub ended: u64,
    /// How often it gave up its CPU of its own accord.
    pub slept: u64,
    /// How often its CPU was taken away from it.
    pub preempted: u64,
    /// As told by [`Member::tally`].
    pub count: u64,
    /// As told by [`Member::tally`].
    pub sum: u64,
    /// Its measurements, in ticks.
    pub samples: Vec<u64>,
}

/// Runs `role` in `size` processes; member i is pinned to CPU i modulo the CPUs there are.
/// Panics if one of them fails, or takes too long; none is left then.
pub fn run(size: usize, role: impl Fn(&mut Member<'_>)) -> Vec<Outcome> {
    let cpus = cpus();
    forked(size, size, |board, index| {
        pin(cpus[index % cpus.len()]);
        role(&mut Member::new(board, index, size));
    })
}

/// As [`run`], in `size` threads of one process.
pub fn run_threads(size: usize, role: impl Fn(&mut Member<'_>) + Sync) -> Vec<Outcome> {
    let (cpus, role) = (&cpus(), &role);
    forked(size, 1, |board, _| {
        std::thread::scope(|scope| {
            for index in 0..size {
                scope.spawn(move || {
                    pin(cpus[index % cpus.len()]);
                    role(&mut Member::new(board, index, size));
                });
            }
        });
    })
}

/// Runs `body` in so many `processes`; says what `size` members left behind.
fn forked(size: usize, processes: usize, body: impl Fn(&Board, usize)) -> Vec<Outcome> {
    assert!(size <= MOST_MEMBERS);
    clock::cost(); // measured here, not in each child
    let board = Shared::<Board>::new();
    let (mut done, mut tell) = std::io::pipe().expect("a pipe");
    let mut team = Pids(Vec::new());
    for index in 0..processes {
        // SAFETY: this program has one thread, so the child has everything that the parent has.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                // SAFETY: plain flags; the parent's end ends us.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let ok = catch_unwind(AssertUnwindSafe(|| body(&board, index))).is_ok();
                let _ = tell.write_all(&[u8::from(ok)]);
                // SAFETY: ends this process without running what belongs to the parent.
                unsafe { libc::_exit(i32::from(!ok)) }
            }
            pid => team.0.push(pid),
        }
    }
    drop(tell);
    for _ in 0..processes {
        use std::os::fd::AsRawFd;
        let mut polled = libc::pollfd { fd: done.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        let n = unsafe { libc::poll(&mut polled, 1, PATIENCE_MS) };
        assert_eq!(n, 1, "WATCHDOG: the processes of a bench hang; killed");
        let mut ok = [0];
        assert!(done.read(&mut ok).is_ok_and(|n| n == 1) && ok == [1], "a process of the bench failed, see above");
    }
    team.wait();
    let outcome = |sheet: &Sheet| Outcome {
        began: sheet.began.load(Relaxed),
        ended: sheet.ended.load(Relaxed),
        slept: sheet.slept.load(Relaxed),
        preempted: sheet.preempted.load(Relaxed),
        count: sheet.tally.load(Relaxed),
        sum: sheet.sum.load(Relaxed),
        samples: sheet.sample[..sheet.samples.load(Relaxed) as usize].iter().map(|s| s.load(Relaxed)).collect(),
    };
    board.sheets[..size].iter().map(outcome).collect()
}

/// Runs a short `heat` until nobody else's program took a CPU away from it, a few times at most; says what the
/// last one gave, and whether it was undisturbed. Where one process of a pair stands still the other one is
/// alone: a lock looks faster then, a channel slower.
pub fn undisturbed<T>(heat: impl Fn() -> (T, Vec<Outcome>)) -> (T, bool) {
    const TRIES: usize = 12;
    let mut tries = 0;
    loop {
        let (answer, team) = heat();
        let calm = team.len() <= cpus().len() && team.iter().all(|o| o.preempted == 0);
        tries += 1;
        if calm || tries == TRIES || team.len() > cpus().len() {
            return (answer, calm);
        }
    }
}

/// Nanoseconds from the first start to the last end.
pub fn lasted_ns(team: &[Outcome]) -> f64 {
    let began = team.iter().map(|o| o.began).min().unwrap_or(0);
    let ended = team.iter().map(|o| o.ended).max().unwrap_or(0);
    clock::ns(ended.saturating_sub(began))
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

/// The CPUs this process may use.
pub fn cpus() -> Vec<usize> {
    // SAFETY: zero bytes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid set of the size given.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    // SAFETY: the index is below the set's size.
    let found: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|i| unsafe { libc::CPU_ISSET(*i, &set) }).collect();
    assert!(!found.is_empty(), "no CPU may be used");
    found
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

/// Voluntary and involuntary ones of the calling thread so far.
fn context_switches() -> (u64, u64) {
    // SAFETY: zero bytes are a rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a valid, writable rusage.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    (usage.ru_nvcsw as u64, usage.ru_nivcsw as u64)
}
