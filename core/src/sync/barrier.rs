//! A cyclic barrier: nobody goes on until all have arrived.
//!
//! # State
//!
//! | at | word          | meaning                                                                           |
//! |----|---------------|-----------------------------------------------------------------------------------|
//! | 0  | `word`        | `round:32 \| arrived:16 \| recent:8 \| breaks:7 \| BROKEN`                             |
//! | 16 | an eventcount | where those who have arrived sleep                                                |
//!
//! | arrived     | BROKEN | meaning                                                              |
//! |-------------|--------|----------------------------------------------------------------------|
//! | n < parties | 0      | n threads wait in this round                                         |
//! | 0           | 1      | the last round ended because somebody died; whoever arrives is told   |
//!
//! A round ends when the last one arrives, or it breaks: by a death or by `reset`. Either way one exchange raises
//! `round` and takes everybody's arrival back, so there is nothing in between. How a round ended is in `recent`, one
//! bit for each of the last 8 (1: it broke, lowest bit: the last one), because a thread that is slow to wake may find
//! that others are rounds ahead. If it is further behind, `breaks`, which counts broken rounds, decides: unchanged
//! since it arrived, its round did not break; else it is told that it did.
//!
//! # Orderings
//!
//! Edge `round`: every arrival releases and acquires, who waits acquires the end of the round. What anybody wrote
//! before it arrived, everybody sees afterwards.
//! Edge `register` (see the eventcount): rounds end with a full barrier before sleepers are looked for.
//! Edge `reset`: `reset` takes the handles of the dead off before it changes the word. Who breaks a round for a death
//! reads the word, then whether the dead had a handle, then exchanges that very word: so no death breaks twice.
//!
//! # When a peer dies
//!
//! | killed                                  | word                | consequence                                        |
//! |-----------------------------------------|---------------------|----------------------------------------------------|
//! | before or after it arrived              | its arrival counts  | the round breaks, unless all others arrive before    |
//! | as the last, after it ended the round   | next round          | sleepers look again when their slice ends            |
//! | between breaking a round and the wake   | BROKEN              | the same                                           |
//! | in `reset`                              | as before, or whole | the same, or nothing                                |
//! | having closed the barrier before        | unchanged           | none: it does not take part any more                 |
//!
//! Nobody in particular is missing at a barrier, so whoever is about to sleep asks about everybody who has it open: a
//! newcomer at once, a sleeper when its slice ends, after 64 ms at most. The sweep breaks it too.
//!
//! # Cost
//!
//! Arriving: one atomic, and for the last one a system call if somebody sleeps.

use crate::deadline::{Deadline, now_ns};
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    AtomicU64, Full,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::segment::object::{Holds, InSegment, Kind, Object, Resident, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::sync::mutex::Robber;
use crate::wait::{self, EventCount, Spin, World};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const ARRIVED: u64 = 1 << 32;
const RECENT: u32 = 48;
const RECENT_ROUNDS: u32 = 8;
const BREAKS: u32 = 56;
const BROKEN: u64 = 1 << 63;

/// Lost exchanges in a row after which a word is changed by nobody who plays by the rules: more than can arrive.
const RETRIES: u32 = 1 << 20;
/// How often `try_wait` asks whether everybody is alive.
const ASK_EVERY_NS: u64 = 1_000_000;
/// How often `reset` comes back for a dead process that somebody else is putting right.
const BURIALS: u32 = 1000;

/// Bytes of a barrier behind its header.
pub const SIZE: usize = 128;

/// What the segment knows of barriers.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Barrier,
    repair: |view, slot| {
        if let Ok(words) = BarrierWords::of(view) {
            words.break_unless(|| !view.is_attached(slot));
        }
    },
    ring: |view| {
        if let Ok(words) = BarrierWords::of(view) {
            words.bell.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let word = BarrierWords::of(view)?.word();
        Ok(ObjectState::Barrier { parties: parties(view)?, arrived: arrived(word), broken: is_broken(word) })
    },
};

/// How many a barrier waits for, as it stands in its geometry.
fn parties(view: View<'_>) -> Result<u32> {
    match view.geometry()[0] {
        parties @ 1..=65535 => Ok(parties as u32),
        _ => Err(ErrorKind::Corrupt.into()),
    }
}

fn round(word: u64) -> u32 {
    word as u32
}

fn arrived(word: u64) -> u32 {
    (word / ARRIVED) as u32 & 0xFFFF
}

fn is_broken(word: u64) -> bool {
    word & BROKEN != 0
}

fn breaks(word: u64) -> u64 {
    word >> BREAKS & 0x7F
}

/// The word after the round has ended: everybody's arrival is taken back.
fn next(word: u64, broke: bool) -> u64 {
    let recent = (word >> RECENT << 1) & 0xFF | u64::from(broke);
    let breaks = (breaks(word) + u64::from(broke)) & 0x7F;
    u64::from(round(word).wrapping_add(1)) | recent << RECENT | breaks << BREAKS | word & BROKEN
}

/// How the round of a thread ended that found `mine` when it arrived, if it has. True: all arrived.
fn outcome(mine: u64, now: u64) -> Option<bool> {
    match round(now).wrapping_sub(round(mine)) {
        0 => None,
        ahead @ 1..=RECENT_ROUNDS => Some(now >> (RECENT + ahead - 1) & 1 == 0),
        _ => Some(breaks(now) == breaks(mine)),
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// The last one: the round is over.
    Last,
    /// Others are missing. The word that the arrival left.
    Early(u64),
    /// The barrier is broken.
    Broken,
    /// The word is garbage.
    Garbage,
}

/// The barrier in the segment.
#[repr(C)]
#[derive(Debug)]
pub struct BarrierWords {
    word: AtomicU64,
    _zero: AtomicU64,
    bell: EventCount,
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for BarrierWords {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<BarrierWords>() == 32 && std::mem::offset_of!(BarrierWords, bell) == 16);

impl BarrierWords {
    /// A barrier on the heap.
    #[cfg(test)]
    fn new() -> BarrierWords {
        BarrierWords { word: AtomicU64::new(0), _zero: AtomicU64::new(0), bell: EventCount::new() }
    }

    fn of(view: View<'_>) -> Result<&BarrierWords> {
        view.at(0)
    }

    fn word(&self) -> u64 {
        // ORDER round, reset: Acquire; pairs with the full barriers that end rounds.
        self.word.load(Acquire)
    }

    fn wake_all(&self) {
        self.bell.notify(i32::MAX as u32);
    }

    /// Arrives; with `only_last`, only if nobody else is missing.
    fn arrive(&self, parties: u32, only_last: bool) -> Arrival {
        let mut now = self.word();
        for _ in 0..RETRIES {
            if is_broken(now) {
                return Arrival::Broken;
            }
            if arrived(now) >= parties {
                break;
            }
            let exchanged = if arrived(now) + 1 == parties {
                // ORDER round, register: a full barrier, so AcqRel too.
                self.word.cas_full(now, next(now, false)).map(|_| Arrival::Last)
            } else if only_last {
                return Arrival::Early(now);
            } else {
                // ORDER round: AcqRel; the last one acquires what all before it have released.
                let early = now + ARRIVED;
                self.word.compare_exchange(now, early, AcqRel, Acquire).map(|_| Arrival::Early(early))
            };
            match exchanged {
                Ok(Arrival::Last) => {
                    self.wake_all();
                    return Arrival::Last;
                }
                Ok(early) => return early,
                Err(_) => now = self.word(),
            }
        }
        Arrival::Garbage
    }

    /// Takes an arrival back that left `mine`, unless its round has ended: then says how.
    fn withdraw(&self, mine: u64) -> Option<bool> {
        let mut now = self.word();
        for _ in 0..RETRIES {
            let ended = outcome(mine, now);
            if ended.is_some() || arrived(now) == 0 {
                return ended;
            }
            // ORDER round: AcqRel; passes on what others have released.
            match self.word.compare_exchange(now, now - ARRIVED, AcqRel, Acquire) {
                Ok(_) => return None,
                Err(other) => now = other,
            }
        }
        None
    }

    /// Breaks the round for good, unless it is broken or `spared` says that this is not called for.
    fn break_unless(&self, spared: impl Fn() -> bool) {
        for _ in 0..RETRIES {
            // ORDER reset: the word first, then the question, then the exchange of that very word.
            let now = self.word();
            if is_broken(now) || spared() {
                return;
            }
            // ORDER round, register: a full barrier.
            if self.word.cas_full(now, next(now, true) | BROKEN).is_ok() {
                self.wake_all();
                return;
            }
        }
    }

    /// Begins a new round in a barrier that is whole.
    fn reset(&self) {
        for _ in 0..RETRIES {
            let now = self.word();
            // Nobody waits at a broken one: its last round has ended.
            let fresh = if is_broken(now) { now & !BROKEN } else { next(now, true) };
            // ORDER round, reset, register: a full barrier.
            if self.word.cas_full(now, fresh).is_ok() {
                self.wake_all();
                return;
            }
        }
    }

    /// Asks whether one of those who take part is dead, and breaks the barrier then. `Some`: one is dead, but somebody
    /// else is just putting right what it left.
    fn look<W: World + Robber>(&self, world: &W, view: View<'_>) -> Option<u32> {
        if is_broken(self.word()) {
            return None;
        }
        let mut suspect = None;
        for slot in view.attached() {
            if world.is_dead(slot) {
                match world.repairing(slot, || self.break_unless(|| !view.is_attached(slot))) {
                    Some(()) => return None,
                    None => suspect = Some(slot),
                }
            }
        }
        suspect
    }
}

/// A cyclic barrier in a segment: nobody goes on until all parties have arrived.
///
/// Every process that has it open takes part. When one of them dies, all who wait get `Broken`, and whoever arrives
/// afterwards, until somebody calls [`Barrier::reset`]. A process that has closed its last handle takes part no more;
/// one that ends without closing it looks as if it had died. A forked child takes part as soon as it has used it.
/// Threads may share a handle.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let barrier = segment.barrier("phase", 2)?;
/// let other = barrier.clone();
/// let thread = std::thread::spawn(move || other.wait());
/// let leader = barrier.wait()?;
/// assert_ne!(leader, thread.join().unwrap()?); // exactly one of them
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Barrier {
    resident: Resident<BarrierWords>,
    parties: u32,
    local: Arc<Local>,
}

/// What a process remembers of a barrier.
#[derive(Default)]
struct Local {
    spin: Spin,
    /// When `try_wait` last asked whether everybody is alive. Process-private.
    asked_ns: std::sync::atomic::AtomicU64,
}

impl Barrier {
    /// The most parties a barrier waits for.
    pub const MAX_PARTIES: u32 = 65535;

    pub(crate) fn attach(object: Object) -> Result<Barrier> {
        let parties = parties(object.view()).map_err(|_| {
            let problem = "its number of parties is garbage; remove it and create it again";
            Error::new(ErrorKind::Corrupt, format!("barrier {}: {problem}", object.address()))
        })?;
        Ok(Barrier { resident: Resident::new(object)?, parties, local: Arc::default() })
    }

    fn object(&self) -> &Object {
        self.resident.object()
    }

    fn words(&self) -> Result<&BarrierWords> {
        self.object().me()?;
        Ok(self.resident.get())
    }

    /// Arrives; waits for the others for ever. True for exactly one of them, the last to arrive.
    ///
    /// # Errors
    /// `Broken` if a process that has the barrier open died, or somebody reset it while this thread waited; `Removed`.
    pub fn wait(&self) -> Result<bool> {
        self.wait_until(Deadline::never())
    }

    /// Arrives if it is the last one; never waits. False: others are missing, and nothing has changed. Asks at most
    /// once a millisecond whether one of them is dead, so that a loop of tries gets to know of it too.
    ///
    /// # Errors
    /// `Broken`.
    pub fn try_wait(&self) -> Result<bool> {
        let words = self.words()?;
        let (now, asked) = (now_ns(), self.local.asked_ns.load(Relaxed));
        match words.arrive(self.parties, true) {
            // Relaxed: two threads that ask at once ask twice.
            Arrival::Early(_) if now.saturating_sub(asked) >= ASK_EVERY_NS => {
                self.local.asked_ns.store(now, Relaxed);
                words.look(self.object(), self.object().view());
                self.last(words.arrive(self.parties, true))
            }
            arrival => self.last(arrival),
        }
    }

    /// Is it the last arrival?
    fn last(&self, arrival: Arrival) -> Result<bool> {
        match arrival {
            Arrival::Last => Ok(true),
            Arrival::Early(_) => Ok(false),
            Arrival::Broken => Err(self.broken()),
            Arrival::Garbage => Err(self.garbage()),
        }
    }

    /// Arrives; waits until the deadline. Who gives up has not arrived.
    ///
    /// # Errors
    /// As [`Barrier::wait`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn wait_until(&self, deadline: Deadline) -> Result<bool> {
        if deadline.is_try() {
            return if self.try_wait()? { Ok(true) } else { Err(self.missing(self.object().timed_out())) };
        }
        let words = self.words()?;
        match words.arrive(self.parties, false) {
            Arrival::Early(mine) => self.wait_for_others(words, mine, deadline),
            arrival => self.last(arrival),
        }
    }

    fn wait_for_others(&self, words: &BarrierWords, mine: u64, deadline: Deadline) -> Result<bool> {
        let world = self.object().waiting(WaitMode::Barrier, 0);
        let view = self.object().view();
        let look = || words.look(&world, view);
        let ended =
            wait::until(&world, &words.bell, &self.local.spin, deadline, look, || Ok(outcome(mine, words.word())));
        // Who gives up takes its arrival back; if it is too late for that, the round has ended.
        match ended.or_else(|error| words.withdraw(mine).ok_or(error)) {
            Ok(true) => Ok(false), // The last one is the leader, and that is not us.
            Ok(false) => Err(self.broken()),
            Err(error) if error.kind() == ErrorKind::Timeout => Err(self.missing(error)),
            Err(error) => Err(error),
        }
    }

    /// Begins a new round: everybody who waits gets `Broken`, a broken barrier is whole again. The dead take part no
    /// more, so none of them breaks it a second time.
    ///
    /// # Errors
    /// `Busy` if a stopped process is putting right what a dead one left, or holds the directory.
    pub fn reset(&self) -> Result<()> {
        let words = self.words()?;
        for _ in 0..BURIALS {
            match self.object().detach_dead()? {
                None => {
                    words.reset();
                    return Ok(());
                }
                // It would break the barrier again. Whoever is at it needs the directory, so let go of that.
                Some(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "reset {}: a process that is putting right what a dead one left is alive but does not go on; continue or kill it",
                self.address()
            ),
        ))
    }

    #[cold]
    fn broken(&self) -> Error {
        let why = if self.is_broken() {
            "a process that takes part died; put right what it left, then call reset()"
        } else {
            "a process that takes part died, or somebody called reset(); begin the round anew"
        };
        Error::new(ErrorKind::Broken, format!("wait at {}: the round is broken: {why}", self.address()))
    }

    #[cold]
    fn garbage(&self) -> Error {
        let problem = "more have arrived than it waits for: the segment holds garbage; create it again";
        Error::new(ErrorKind::Corrupt, format!("wait at {}: {problem}", self.address()))
    }

    #[cold]
    fn missing(&self, error: Error) -> Error {
        let (arrived, parties) = (self.arrived(), self.parties);
        Error::new(error.kind(), format!("{error}; {arrived} of {parties} wait there now"))
    }

    /// How many have arrived in this round; 0 if the barrier is gone.
    pub fn arrived(&self) -> u32 {
        self.words().map_or(0, |words| arrived(words.word()))
    }

    /// How many it waits for.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// Has a process that takes part died, and nobody called `reset` since?
    pub fn is_broken(&self) -> bool {
        self.words().is_ok_and(|words| is_broken(words.word()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object().name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.object().address()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier({:?}, {} of {})", self.address(), self.arrived(), self.parties())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Segment;
    use crate::segment::object::HeapMemory;
    use proptest::prelude::*;

    fn segment() -> Segment {
        Segment::anonymous(1 << 20).unwrap()
    }

    /// Longer than anything here takes, so that a fault fails and does not hang.
    fn patience() -> Deadline {
        Duration::from_secs(20).into()
    }

    fn until(fact: impl Fn() -> bool) {
        while !fact() {
            std::thread::yield_now();
        }
    }

    /// A child that does something and then pauses; killed when dropped.
    struct Child(libc::pid_t);

    impl Child {
        fn runs(does: impl FnOnce()) -> Child {
            // SAFETY: the child only uses this library and ends by a signal.
            let child = unsafe { libc::fork() };
            if child == 0 {
                does();
                loop {
                    // SAFETY: no preconditions.
                    unsafe { libc::pause() };
                }
            }
            Child(child)
        }
    }

    impl Drop for Child {
        fn drop(&mut self) {
            // SAFETY: our own child.
            unsafe { libc::kill(self.0, libc::SIGKILL) };
            // SAFETY: as above; no status is asked for.
            unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
        }
    }

    #[test]
    fn the_last_arrival_ends_the_round_and_one_that_gives_up_has_not_arrived() {
        let words = BarrierWords::new();
        let Arrival::Early(mine) = words.arrive(2, false) else { panic!() };
        assert_eq!((arrived(words.word()), outcome(mine, words.word())), (1, None));
        assert_eq!(words.withdraw(mine), None);
        assert_eq!(arrived(words.word()), 0);
        assert_eq!(words.arrive(2, true), Arrival::Early(words.word()));
        assert_eq!(arrived(words.word()), 0);
        let Arrival::Early(mine) = words.arrive(2, false) else { panic!() };
        assert_eq!(words.arrive(2, true), Arrival::Last);
        assert_eq!((outcome(mine, words.word()), words.withdraw(mine)), (Some(true), Some(true)));
        assert_eq!(words.arrive(1, true), Arrival::Last);
    }

    #[test]
    fn a_broken_barrier_refuses_arrivals_until_it_is_reset() {
        let words = BarrierWords::new();
        let Arrival::Early(mine) = words.arrive(2, false) else { panic!() };
        words.break_unless(|| true);
        assert_eq!(outcome(mine, words.word()), None);
        words.break_unless(|| false);
        words.break_unless(|| false);
        assert_eq!((round(words.word()), arrived(words.word())), (1, 0));
        assert_eq!((outcome(mine, words.word()), words.arrive(2, false)), (Some(false), Arrival::Broken));
        words.reset();
        assert_eq!((round(words.word()), is_broken(words.word())), (1, false));
        let Arrival::Early(mine) = words.arrive(2, false) else { panic!() };
        words.reset();
        assert_eq!(outcome(mine, words.word()), Some(false));
        assert_eq!((arrived(words.word()), is_broken(words.word())), (0, false));
    }

    #[test]
    fn who_is_slow_to_wake_learns_how_its_own_round_ended() {
        for mine_broke in [false, true] {
            for later in 0..20 {
                let mine = u64::from(u32::MAX); // The round's number wraps.
                let mut word = next(mine, mine_broke);
                for i in 0..later {
                    assert_eq!(outcome(mine, word), Some(!mine_broke), "{i} rounds later");
                    word = next(word, false);
                }
                // Up to 8 rounds back it is known; further back one is told of a break that may not be one's own.
                word = next(word, true);
                assert_eq!(outcome(mine, word), Some(!mine_broke && later < 7));
            }
        }
    }

    #[test]
    fn more_arrivals_than_parties_are_garbage() {
        let words = BarrierWords::new();
        words.word.store(5 * ARRIVED, Relaxed);
        assert_eq!(words.arrive(3, false), Arrival::Garbage);
    }

    #[test]
    fn of_each_round_everybody_returns_and_one_is_the_leader() {
        const PARTIES: u32 = 4;
        const ROUNDS: usize = 300;
        let barrier = segment().barrier("b", PARTIES).unwrap();
        let counts: Vec<_> = (0..ROUNDS).map(|_| std::sync::atomic::AtomicU32::new(0)).collect();
        let leaders: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..PARTIES)
                .map(|_| {
                    scope.spawn(|| {
                        let mut leads = 0;
                        for count in &counts {
                            count.fetch_add(1, Relaxed);
                            leads += usize::from(barrier.wait_until(patience()).unwrap());
                            assert_eq!(count.load(Relaxed), PARTIES); // The barrier orders it.
                        }
                        leads
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((leaders, barrier.arrived(), barrier.is_broken()), (ROUNDS, 0, false));
    }

    #[test]
    fn a_deadline_takes_the_arrival_back_and_says_who_is_missing() {
        let barrier = segment().barrier("b", 3).unwrap();
        for deadline in [Deadline::now(), Duration::from_millis(5).into()] {
            let error = barrier.wait_until(deadline).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.to_string().contains("0 of 3 wait there now"), "{error}");
        }
        assert_eq!((barrier.arrived(), barrier.try_wait().unwrap()), (0, false));
    }

    #[test]
    fn a_reset_ends_the_round_of_who_waits_and_the_next_one_is_whole() {
        let barrier = segment().barrier("b", 2).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait_until(patience()));
            until(|| barrier.arrived() == 1);
            barrier.reset().unwrap();
            let error = waiter.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Broken);
            assert!(error.to_string().contains("somebody called reset()"), "{error}");
            let waiter = scope.spawn(|| barrier.wait_until(patience()).unwrap());
            until(|| barrier.arrived() == 1);
            assert!(barrier.try_wait().unwrap() && !waiter.join().unwrap());
        });
    }

    #[test]
    fn the_death_of_one_breaks_it_for_sleepers_newcomers_and_tries_once() {
        let segment = segment();
        let (barrier, ready) = (segment.barrier("b", 3).unwrap(), segment.semaphore("ready", 0).unwrap());
        for how in 0..4 {
            let child = Child::runs(|| {
                if barrier.arrived() == 0 {
                    let _ = ready.post();
                    let _ = barrier.wait();
                }
            });
            ready.wait_until(patience()).unwrap();
            until(|| barrier.arrived() == 1);
            let broken = |result: Result<bool>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Broken);
            match how {
                0 => std::thread::scope(|scope| {
                    scope.spawn(|| broken(barrier.wait_until(patience())));
                    until(|| segment.waits().unwrap().len() == 2);
                    drop(child);
                }),
                1 => {
                    drop(child);
                    broken(barrier.wait_until(patience()));
                }
                2 => {
                    drop(child);
                    until(|| barrier.try_wait().is_err());
                }
                _ => {
                    drop(child);
                    segment.sweep().unwrap();
                }
            }
            assert!(barrier.is_broken());
            broken(barrier.try_wait());
            broken(barrier.wait());
            barrier.reset().unwrap();
            segment.sweep().unwrap();
            assert!(!barrier.is_broken() && !barrier.try_wait().unwrap());
        }
    }

    #[test]
    fn who_never_opened_it_or_has_closed_it_does_not_break_it() {
        let segment = segment();
        let (barrier, ready) = (segment.barrier("b", 2).unwrap(), segment.semaphore("ready", 0).unwrap());
        let stranger = Child::runs(|| drop(ready.post()));
        let shy = Child::runs(|| {
            barrier.arrived();
            let copy = segment.open_barrier("b");
            drop(copy);
            // The parent's handle is this process's too: it goes when the last of them goes.
            // SAFETY: not used again in this process.
            drop(unsafe { std::ptr::read(&barrier) });
            drop(ready.post());
        });
        for _ in 0..2 {
            ready.wait_until(patience()).unwrap();
        }
        drop((stranger, shy));
        segment.sweep().unwrap();
        assert!(!barrier.is_broken());
    }

    #[test]
    fn a_removed_barrier_ends_its_waits() {
        let segment = segment();
        let barrier = segment.barrier("b", 2).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait_until(patience()).unwrap_err().kind());
            until(|| !segment.waits().unwrap().is_empty());
            segment.remove("b").unwrap();
            assert_eq!(waiter.join().unwrap(), ErrorKind::Removed);
        });
    }

    #[test]
    fn numbers_of_parties_that_cannot_be_are_refused() {
        let segment = segment();
        for parties in [0, 65536] {
            assert_eq!(segment.barrier("b", parties).err().map(|e| e.kind()), Some(ErrorKind::Invalid));
        }
        segment.barrier("b", 2).unwrap();
        assert_eq!(segment.barrier("b", 3).err().map(|e| e.kind()), Some(ErrorKind::Incompatible));
        assert_eq!(segment.open_barrier("b").unwrap().parties(), 2);
    }

    proptest! {
        /// Whatever stands in the words: an answer, never a panic or an endless loop.
        #[test]
        fn garbage_in_the_words_is_survived(word in any::<u64>(), geometry in any::<u64>(), few in 0u64..4) {
            for geometry in [geometry, few] {
                let memory = HeapMemory::new(SIZE, [geometry, 0, 0, 0, 0]);
                let view = memory.view();
                let words = BarrierWords::of(view).unwrap();
                words.word.store(word, Relaxed);
                let _ = (KIND.state)(view);
                if let Ok(parties) = parties(view) {
                    if let Arrival::Early(mine) = words.arrive(parties, false) {
                        prop_assert_eq!(words.withdraw(mine), None);
                    }
                    words.withdraw(!word);
                }
                words.reset();
                prop_assert!(!is_broken(words.word()));
                (KIND.repair)(view, 3);
                prop_assert!(is_broken(words.word()));
                (KIND.ring)(view);
            }
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::prim::AtomicU32;
    use crate::wait::Bell;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    fn check(model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(model);
    }

    /// Waits for the end of the round without slices, as a lost wake would otherwise be hidden.
    fn wait(words: &BarrierWords, mine: u64) -> bool {
        loop {
            if let Some(whole) = outcome(mine, words.word()) {
                return whole;
            }
            let key = words.bell.prepare();
            if let Some(whole) = outcome(mine, words.word()) {
                return whole;
            }
            words.bell.sleep(key, u64::MAX);
        }
    }

    /// Arrives and waits. True for the leader.
    fn meet(words: &BarrierWords, parties: u32) -> bool {
        match words.arrive(parties, false) {
            Arrival::Last => true,
            Arrival::Early(mine) => {
                assert!(wait(words, mine));
                false
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rounds_follow_each_other_each_with_one_leader() {
        check(|| {
            let words = Arc::new(BarrierWords::new());
            let theirs = words.clone();
            let other = loom::thread::spawn(move || [meet(&theirs, 2), meet(&theirs, 2)]);
            let mine = [meet(&words, 2), meet(&words, 2)];
            let theirs = other.join().unwrap();
            assert!(mine[0] != theirs[0] && mine[1] != theirs[1]);
            assert_eq!((round(words.word()), arrived(words.word())), (2, 0));
        });
    }

    #[test]
    fn what_everybody_wrote_before_everybody_sees_after() {
        check(|| {
            let cells = [(); 3].map(|()| UnsafeCell::new(0));
            let shared = Arc::new((BarrierWords::new(), cells));
            let party = |shared: &(BarrierWords, [UnsafeCell<i32>; 3]), i: usize| {
                // SAFETY: nobody reads before the round has ended.
                shared.1[i].with_mut(|p| unsafe { *p = 1 });
                meet(&shared.0, 3);
                // SAFETY: nobody writes after it.
                assert_eq!(shared.1.iter().map(|cell| cell.with(|p| unsafe { *p })).sum::<i32>(), 3);
            };
            let others = [1, 2].map(|i| {
                let shared = shared.clone();
                loom::thread::spawn(move || party(&shared, i))
            });
            party(&shared, 0);
            for other in others {
                other.join().unwrap();
            }
        });
    }

    #[test]
    fn who_gives_up_either_has_not_arrived_or_the_round_has_ended() {
        check(|| {
            let words = Arc::new(BarrierWords::new());
            let theirs = words.clone();
            let other = loom::thread::spawn(move || meet(&theirs, 2));
            let leader = match words.arrive(2, false) {
                Arrival::Last => true,
                // The deadline passes at once; then once more, and for ever.
                Arrival::Early(mine) => match words.withdraw(mine) {
                    Some(whole) => !whole,
                    None => meet(&words, 2),
                },
                arrival => panic!("{arrival:?}"),
            };
            assert_ne!(leader, other.join().unwrap());
            assert_eq!((round(words.word()), arrived(words.word())), (1, 0));
        });
    }

    /// Slot 9 dies. A waiter is at the barrier; the sweep breaks it while somebody else resets it.
    #[test]
    fn a_death_breaks_a_round_once_and_frees_who_waits() {
        check(|| {
            let shared = Arc::new((BarrierWords::new(), AtomicU32::new(1)));
            let Arrival::Early(mine) = shared.0.arrive(3, false) else { panic!() };
            let waiter = shared.clone();
            let waiter = loom::thread::spawn(move || assert!(!wait(&waiter.0, mine)));
            let sweeper = shared.clone();
            let sweeper = loom::thread::spawn(move || {
                sweeper.0.break_unless(|| sweeper.1.load(Relaxed) == 0);
            });
            shared.1.store(0, Relaxed); // The dead one's handle, taken off under the directory's mutex.
            shared.0.reset();
            waiter.join().unwrap();
            sweeper.join().unwrap();
            assert!(!is_broken(shared.0.word()));
        });
    }
}
