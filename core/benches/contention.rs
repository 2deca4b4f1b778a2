//! What a lock costs when nobody is in the way, and how it ages when somebody is.
//!
//! | table       | what happens                                                                  |
//! |-------------|-------------------------------------------------------------------------------|
//! | uncontended | one process locks and unlocks, or waits and posts; in multiples of C           |
//! | contended   | processes lock, count one up, unlock, as fast as they can, for a fixed time     |
//!
//! Fairness is the share of the process that got the least by the share of the one that got the most.
//! A heat is run again while other programs take a CPU away from it, some times at most: `calm` is the share of
//! heats that were left alone. Four processes on two CPUs never are.

mod harness;

use harness::glibc::{Mutex as PosixMutex, Semaphore as PosixSemaphore};
use harness::report::{As, Report, Row};
use harness::shared::{Apart, Shared};
use harness::team::{self, Outcome};
use harness::yardstick::{compare_and_swap_and_exchange, per_call};
use harness::{Options, clock};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use triveni::{Mutex, Segment, Semaphore};

/// Something that lets one in at a time.
trait Lock {
    fn locked(&self, work: impl FnOnce());
}

/// What goes right through: `Err` is a bug here.
fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

impl Lock for Mutex {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        let guard = ok(self.lock());
        work();
        drop(guard);
    }
}

impl Lock for Semaphore {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        ok(self.wait());
        work();
        ok(self.post());
    }
}

impl Lock for PosixMutex {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        self.lock();
        work();
        self.unlock();
    }
}

impl Lock for PosixSemaphore {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        self.wait();
        work();
        self.post();
    }
}

struct Contest {
    per_second: f64,
    fairness: f64,
    slept_each: f64,
    calm: bool,
}

type Alone = Box<dyn Fn() -> f64>;
type Against = Box<dyn Fn(usize, u64) -> Contest>;

struct Entry {
    name: &'static str,
    alone: Alone,
    against: Against,
}

fn entry<L: Lock + 'static>(name: &'static str, make: fn() -> L) -> Entry {
    Entry {
        name,
        alone: Box::new(move || {
            // In a child: pinned, and nothing of this process's past in its way.
            let lock = make();
            let team = team::run(1, |member| {
                member.start();
                let mut count = 0u64;
                let ns = per_call(|| lock.locked(|| count += 1));
                member.tally(count, ns.to_bits());
                member.stop();
            });
            assert_eq!(team[0].count, 101 * 1000);
            f64::from_bits(team[0].sum)
        }),
        against: Box::new(move |size, ns| {
            let (contest, calm) = team::undisturbed(|| contest(name, &make(), size, ns));
            Contest { calm, ..contest }
        }),
    }
}

fn contest(name: &str, lock: &impl Lock, size: usize, ns: u64) -> (Contest, Vec<Outcome>) {
    let counter = Shared::<Apart<AtomicU64>>::new();
    let lasts = clock::from_ns(ns);
    let team = team::run(size, |member| {
        member.start();
        let end = clock::ticks() + lasts;
        let mut mine = 0u64;
        while clock::ticks() < end {
            for _ in 0..32 {
                // Relaxed, and no read-modify-write: the lock alone must keep this exact.
                lock.locked(|| counter.0.store(counter.0.load(Relaxed) + 1, Relaxed));
            }
            mine += 32;
        }
        member.stop();
        member.tally(mine, 0);
    });
    let shares = || team.iter().map(|o| o.count);
    let total: u64 = shares().sum();
    assert_eq!(counter.0.load(Relaxed), total, "{name}: two were in at once, counts are lost");
    let (least, most) = (shares().min().unwrap_or(0), shares().max().unwrap_or(0));
    let contest = Contest {
        per_second: total as f64 / team::lasted_ns(&team) * 1e9,
        fairness: least as f64 / most as f64,
        slept_each: team.iter().map(|o| o.slept).sum::<u64>() as f64 / total as f64,
        calm: false,
    };
    (contest, team)
}

fn segment() -> Segment {
    ok(Segment::anonymous(1 << 20))
}

fn entries() -> Vec<Entry> {
    vec![
        entry("triveni Mutex", || ok(segment().mutex("m"))),
        entry("triveni Semaphore", || ok(segment().semaphore("s", 1))),
        entry("pthread mutex", || PosixMutex::new(false)),
        entry("pthread mutex, robust", || PosixMutex::new(true)),
        entry("sem_t", || PosixSemaphore::new(1)),
    ]
}

/// Compared with the rival that does the same.
const RIVAL: [usize; 5] = [2, 4, 2, 2, 4];

fn main() {
    let options = Options::from_args();
    let entries = entries();
    let ns = options.scale(2_000_000, 1_000_000) as u64;
    for entry in &entries {
        (entry.against)(2, 2_000_000); // asserts that the count is exact
    }
    let mut unit: Vec<f64> = Vec::new();
    let mut alone: Vec<Vec<f64>> = vec![Vec::new(); entries.len()];
    let mut against: Vec<[Vec<Contest>; 2]> = entries.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    let rounds = options.rounds(|| {
        let c = team::run(1, |member| member.tally(0, compare_and_swap_and_exchange().to_bits()));
        unit.push(f64::from_bits(c[0].sum));
        for (entry, times) in entries.iter().zip(&mut alone) {
            times.push((entry.alone)());
        }
        for (i, size) in [2, 4].into_iter().enumerate() {
            for (entry, contests) in entries.iter().zip(&mut against) {
                contests[i].push((entry.against)(size, ns));
            }
        }
    });
    let mut report = Report::new("contention", "what does a lock cost, alone and against others?");
    let mut rows =
        vec![Row::new("C: compare-and-swap, exchange").cell("lock + unlock", As::Time, unit.iter().copied())];
    for (entry, times) in entries.iter().zip(&alone) {
        let row = Row::new(entry.name).cell("lock + unlock", As::Time, times.iter().copied());
        rows.push(row.cell("ratio", As::Times("C"), times.iter().zip(&unit).map(|(t, c)| t / c)));
    }
    report.group("uncontended", rows);
    for (i, title) in ["contended by 2 processes", "contended by 4 processes"].into_iter().enumerate() {
        let rows = entries.iter().enumerate().map(|(e, entry)| {
            let contests = &against[e][i];
            let rival = &against[RIVAL[e]][i];
            Row::new(entry.name)
                .cell("locked", As::Rate, contests.iter().map(|c| c.per_second))
                .cell(
                    "ratio to plain rival",
                    As::Times("×"),
                    contests.iter().zip(rival).map(|(ours, theirs)| ours.per_second / theirs.per_second),
                )
                .cell("fairness", As::Fraction, contests.iter().map(|c| c.fairness))
                .cell("slept per 1000", As::Count, contests.iter().map(|c| c.slept_each * 1000.0))
                .cell("calm", As::Share, [contests.iter().filter(|c| c.calm).count() as f64 / contests.len() as f64])
        });
        let rows = rows.collect();
        report.group(title, rows);
    }
    report.finish(&options, rounds);
}
