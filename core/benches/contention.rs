//! What a lock costs when nobody is in the way, and how it ages when somebody is.
//!
//! | table         | what happens                                                                    |
//! |---------------|---------------------------------------------------------------------------------|
//! | uncontended   | one process locks and unlocks, or waits and posts; in multiples of C             |
//! | contended     | processes lock, count one up, unlock, as fast as they can, for a fixed time       |
//! | with pauses   | the same with some work inside the lock, and as much before the next locking      |
//!
//! Fairness is the share of the process that got the least by the share of the one that got the most. All of them
//! begin and end at the same ticks.
//! parking_lot has no locks for processes: its members are threads of one process.
//! A heat is run again while other programs take a CPU away from it, some times at most: `calm` is the share of
//! heats that were left alone, and if there are any, only they count. Four processes on two CPUs never are.

mod harness;

use harness::glibc::{Mutex as PosixMutex, Semaphore as PosixSemaphore};
use harness::report::{As, Report, Row};
use harness::shared::{Apart, Shared};
use harness::team::{self, Member, Outcome};
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

impl Lock for parking_lot::Mutex<()> {
    #[inline(always)]
    fn locked(&self, work: impl FnOnce()) {
        let guard = self.lock();
        work();
        drop(guard);
    }
}

/// What the members of a contest do.
#[derive(Clone, Copy)]
struct Heat {
    size: usize,
    /// For so long, in nanoseconds.
    ns: u64,
    /// Work in the lock, and between unlocking and the next locking, in nanoseconds.
    work_ns: u64,
}

struct Contest {
    per_second: f64,
    fairness: f64,
    slept_each: f64,
    calm: bool,
}

type Alone = Box<dyn Fn() -> f64>;
type Against = Box<dyn Fn(Heat) -> Contest>;

struct Entry {
    name: &'static str,
    alone: Alone,
    against: Against,
}

fn entry<L: Lock + 'static>(name: &'static str, make: fn() -> L) -> Entry {
    Entry {
        name,
        alone: alone(make),
        against: Box::new(move |heat| {
            let (contest, calm) = team::undisturbed(|| {
                let (lock, counter) = (make(), Shared::<Apart<AtomicU64>>::new());
                let team = team::run(heat.size, |member| compete(member, &lock, &counter.0, heat));
                (verdict(name, &counter.0, &team), team)
            });
            Contest { calm, ..contest }
        }),
    }
}

/// As [`entry`], for a lock that only the threads of one process can share.
fn entry_of_threads<L: Lock + Sync + 'static>(name: &'static str, make: fn() -> L) -> Entry {
    Entry {
        name,
        alone: alone(make),
        against: Box::new(move |heat| {
            let (contest, calm) = team::undisturbed(|| {
                let (lock, counter) = (make(), Shared::<Apart<AtomicU64>>::new());
                let (lock, count) = (&lock, &counter.0);
                let team = team::run_threads(heat.size, |member| compete(member, lock, count, heat));
                (verdict(name, count, &team), team)
            });
            Contest { calm, ..contest }
        }),
    }
}

fn alone<L: Lock + 'static>(make: fn() -> L) -> Alone {
    Box::new(move || {
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
    })
}

fn compete(member: &mut Member<'_>, lock: &impl Lock, counter: &AtomicU64, heat: Heat) {
    let work = clock::from_ns(heat.work_ns);
    let batch = if work == 0 { 32 } else { 1 };
    let end = member.start() + clock::from_ns(heat.ns);
    let mut mine = 0u64;
    while clock::ticks() < end {
        for _ in 0..batch {
            // Relaxed, and no read-modify-write: the lock alone must keep this exact.
            lock.locked(|| {
                counter.store(counter.load(Relaxed) + 1, Relaxed);
                clock::pause(work);
            });
            clock::pause(work);
        }
        mine += batch;
    }
    member.stop();
    member.tally(mine, 0);
}

fn verdict(name: &str, counter: &AtomicU64, team: &[Outcome]) -> Contest {
    let shares = || team.iter().map(|o| o.count);
    let total: u64 = shares().sum();
    assert_eq!(counter.load(Relaxed), total, "{name}: two were in at once, counts are lost");
    let (least, most) = (shares().min().unwrap_or(0), shares().max().unwrap_or(0));
    Contest {
        per_second: total as f64 / team::lasted_ns(team) * 1e9,
        fairness: least as f64 / most as f64,
        slept_each: team.iter().map(|o| o.slept).sum::<u64>() as f64 / total as f64,
        calm: false,
    }
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
        entry_of_threads("parking_lot, threads", || parking_lot::Mutex::new(())),
    ]
}

/// Compared with the rival that does the same.
const RIVAL: [usize; 6] = [2, 4, 2, 2, 4, 2];

fn main() {
    let options = Options::from_args();
    let entries = entries();
    let ns = options.scale(2_000_000, 1_000_000) as u64;
    for entry in &entries {
        (entry.against)(Heat { size: 2, ns, work_ns: 0 }); // asserts that the count is exact
    }
    let mut unit: Vec<f64> = Vec::new();
    let mut alone: Vec<Vec<f64>> = vec![Vec::new(); entries.len()];
    let heats = [
        ("contended by 2", Heat { size: 2, ns, work_ns: 0 }),
        ("contended by 2, with pauses of 100 ns", Heat { size: 2, ns, work_ns: 100 }),
        // Longer than the scheduler's slices, as two of them share a CPU.
        ("contended by 4", Heat { size: 4, ns: 5 * ns, work_ns: 0 }),
    ];
    let mut against: Vec<[Vec<Contest>; 3]> = entries.iter().map(|_| Default::default()).collect();
    let rounds = options.rounds(|| {
        let c = team::run(1, |member| member.tally(0, compare_and_swap_and_exchange().to_bits()));
        unit.push(f64::from_bits(c[0].sum));
        for (entry, times) in entries.iter().zip(&mut alone) {
            times.push((entry.alone)());
        }
        for (i, (_, heat)) in heats.into_iter().enumerate() {
            for (entry, contests) in entries.iter().zip(&mut against) {
                contests[i].push((entry.against)(heat));
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
    for (i, (title, _)) in heats.into_iter().enumerate() {
        let rows = entries.iter().enumerate().map(|(e, entry)| {
            let contests = &against[e][i];
            let calm = contests.iter().filter(|c| c.calm).count();
            // Where some were left alone, the others tell of the machine and not of the lock.
            let counts = |c: &Contest| c.calm || calm == 0;
            let counted = || contests.iter().filter(|c| counts(c));
            let pairs = contests.iter().zip(&against[RIVAL[e]][i]);
            let pairs = pairs.filter(|(ours, theirs)| counts(ours) && (calm == 0 || theirs.calm));
            Row::new(entry.name)
                .cell("locked", As::Rate, counted().map(|c| c.per_second))
                .cell(
                    "ratio to plain rival",
                    As::Times("×"),
                    pairs.map(|(ours, theirs)| ours.per_second / theirs.per_second),
                )
                .cell("fairness", As::Fraction, counted().map(|c| c.fairness))
                .cell("slept per 1000", As::Count, counted().map(|c| c.slept_each * 1000.0))
                .cell("calm", As::Share, [calm as f64 / contests.len() as f64])
        });
        let rows = rows.collect();
        report.group(title, rows);
    }
    report.finish(&options, rounds);
}
