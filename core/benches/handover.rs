//! How long does a handover take: 64 bytes from one process to another, one way.
//!
//! | table    | what happens                                                     | how it is timed                        | unit |
//! |----------|------------------------------------------------------------------|----------------------------------------|------|
//! | spinning | both sides poll; a message goes there and back                   | half the round trip                    | L    |
//! | gaps     | the blocking calls; a pause of 5 µs between round trips           | half the round trip                    | L    |
//! | asleep   | the blocking calls; the receiver has slept for 300 µs or so       | two readings of the clock, in two processes | fx   |
//!
//! A record of up to 56 bytes is one line in a ring, one of 64 bytes is two: hence two rows.
//! `slept` is how many of the receives really slept: voluntary context switches of both processes.
//! What carries no payload itself hands over 64 bytes that it guards. A mutex is handed over as in a relay:
//! three mutexes, each side waits for the one the other holds, and lets it go when it has something to say.

mod harness;

use harness::glibc::{Condition, Mutex as PosixMutex, Semaphore as PosixSemaphore};
use harness::kernel::{EventFd, Stream, When};
use harness::report::{As, Report, Row};
use harness::shared::{Apart, Shared, Slate};
use harness::team::{self, Member};
use harness::yardstick::{self, Line};
use harness::{Options, clock};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use triveni::{Consumer, Mailbox, Mutex, Producer, Ring, Segment, Semaphore};

type Message = [u8; 64];

/// Longer than anybody spins.
const ASLEEP_NS: u64 = 300_000;

/// One process's ends of a two-way line.
trait Wire {
    /// How many bytes of the message really travel.
    const SIZE: usize = 64;
    fn send(&mut self, message: &Message);
    fn receive(&mut self, message: &mut Message);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Spinning,
    Gaps,
    Asleep,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Spinning, Mode::Gaps, Mode::Asleep];

    fn title(self) -> &'static str {
        match self {
            Mode::Spinning => "spinning",
            Mode::Gaps => "blocking, gaps of 5 µs",
            Mode::Asleep => "blocking, peer asleep",
        }
    }

    fn unit(self) -> &'static str {
        if self == Mode::Asleep { "fx" } else { "L" }
    }
}

struct Load {
    mode: Mode,
    trips: usize,
    /// Look at every byte; nothing is timed then.
    proof: bool,
}

/// A sample per trip, in ticks, and the share of receives that slept.
type Measured = (Vec<u64>, f64);

struct Entry {
    mode: Mode,
    name: &'static str,
    run: Box<dyn Fn(&Load) -> Measured>,
}

/// A row: `lay` makes what both processes share, `end` makes one side's wire of it, in its process.
fn entry<S: 'static, W: Wire + 'static>(
    mode: Mode,
    name: &'static str,
    lay: fn() -> S,
    end: fn(&S, usize) -> W,
) -> Entry {
    let run = move |load: &Load| {
        let line = lay();
        let team = team::run(2, |member| play(member, end(&line, member.index), load));
        assert!(team[0].count == load.trips as u64 && team[1].count == load.trips as u64, "{name}: trips are missing");
        let slept = team[0].slept + team[1].slept;
        (team[0].samples.clone(), slept as f64 / (2 * load.trips) as f64)
    };
    Entry { mode, name, run: Box::new(run) }
}

fn fill(message: &mut Message, number: u64) {
    for (i, byte) in message.iter_mut().enumerate() {
        *byte = (number as u8).wrapping_mul(31).wrapping_add(i as u8);
    }
}

fn stamp(message: &mut Message, at: usize, number: u64) {
    message[8 * at..8 * at + 8].copy_from_slice(&number.to_le_bytes());
}

fn stamped(message: &Message, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&message[8 * at..8 * at + 8]);
    u64::from_le_bytes(bytes)
}

fn play<W: Wire>(member: &mut Member<'_>, mut wire: W, load: &Load) {
    let mut message = [0; 64];
    let pause = clock::from_ns(match load.mode {
        Mode::Spinning => 0,
        Mode::Gaps => 5_000,
        Mode::Asleep => ASLEEP_NS,
    });
    member.start();
    for i in 0..load.trips as u64 {
        if member.index == 0 {
            clock::pause(pause);
            if load.proof {
                fill(&mut message, i);
            }
            stamp(&mut message, 0, i);
            let sent = clock::ticks();
            wire.send(&message);
            wire.receive(&mut message);
            let now = clock::ticks();
            if load.mode == Mode::Asleep {
                member.sample(now.saturating_sub(stamped(&message, 1)));
            } else {
                member.sample((now - sent).saturating_sub(clock::cost()) / 2);
            }
            assert_eq!(stamped(&message, 0), !i, "the answer belongs to another question");
        } else {
            wire.receive(&mut message);
            let number = stamped(&message, 0);
            assert_eq!(number, i, "a message was lost, doubled or torn");
            if load.proof {
                let mut whole = [0; 64];
                fill(&mut whole, i);
                stamp(&mut whole, 0, i);
                assert_eq!(message[..W::SIZE], whole[..W::SIZE], "message {i} is torn");
            }
            stamp(&mut message, 0, !i);
            if load.mode == Mode::Asleep {
                clock::pause(pause);
                stamp(&mut message, 1, clock::ticks());
            }
            wire.send(&message);
        }
    }
    member.stop();
    member.tally(load.trips as u64, 0);
}

/// L: one word, polled.
fn raw_line(load: &Load) -> Measured {
    let line = Line::new();
    let team = team::run(2, |member| {
        member.start();
        for i in 0..load.trips as u64 {
            if member.index == 0 {
                let sent = clock::ticks();
                yardstick::say(&line, 2 * i + 1);
                yardstick::hear(&line, 2 * i + 2);
                member.sample((clock::ticks() - sent).saturating_sub(clock::cost()) / 2);
            } else {
                yardstick::hear(&line, 2 * i + 1);
                yardstick::say(&line, 2 * i + 2);
            }
        }
        member.stop();
    });
    (team[0].samples.clone(), 0.0)
}

/// fx: a word to sleep on, and the time it was rung. `SLICE_MS`: sleep with a time-out that never comes true; 0: none.
fn raw_futex<const SLICE_MS: i64>(load: &Load) -> Measured {
    let word = Shared::<Apart<AtomicU32>>::new();
    let rung = Shared::<Apart<AtomicU64>>::new();
    let pause = clock::from_ns(ASLEEP_NS);
    let team = team::run(2, |member| {
        member.start();
        for i in 0..load.trips as u32 {
            if member.index == 0 {
                clock::pause(pause);
                yardstick::call(&word.0, 2 * i + 1);
                yardstick::listen(&word.0, 2 * i + 2, SLICE_MS);
                // Relaxed: the word orders it.
                member.sample(clock::ticks().saturating_sub(rung.0.load(Relaxed)));
            } else {
                yardstick::listen(&word.0, 2 * i + 1, SLICE_MS);
                clock::pause(pause);
                rung.0.store(clock::ticks(), Relaxed); // Relaxed: as above.
                yardstick::call(&word.0, 2 * i + 2);
            }
        }
        member.stop();
    });
    let slept = team[0].slept + team[1].slept;
    (team[0].samples.clone(), slept as f64 / (2 * load.trips) as f64)
}

// Triveni's wires. A segment of their own for each row and round; roles are taken in the child.

/// What goes right through: `Err` is a bug here.
fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn segment() -> Segment {
    ok(Segment::anonymous(4 << 20))
}

struct RingWire<const POLL: bool, const SIZE: usize> {
    to: Producer,
    from: Consumer,
}

fn rings() -> [Ring; 2] {
    let segment = segment();
    ["there", "back"].map(|name| ok(segment.ring(name, 65536)))
}

fn ring_end<const POLL: bool, const SIZE: usize>(rings: &[Ring; 2], side: usize) -> RingWire<POLL, SIZE> {
    RingWire { to: ok(rings[side].producer()), from: ok(rings[1 - side].consumer()) }
}

impl<const POLL: bool, const SIZE: usize> Wire for RingWire<POLL, SIZE> {
    const SIZE: usize = SIZE;
    #[inline]
    fn send(&mut self, message: &Message) {
        ok(self.to.write(&message[..SIZE]));
    }
    #[inline]
    fn receive(&mut self, message: &mut Message) {
        let size = if POLL {
            loop {
                if let Some(size) = ok(self.from.try_read(message)) {
                    break size;
                }
            }
        } else {
            ok(self.from.read(message))
        };
        assert_eq!(size, SIZE);
    }
}

struct MailboxWire<const POLL: bool> {
    to: Mailbox,
    from: Mailbox,
}

fn mailboxes() -> [Mailbox; 2] {
    let segment = segment();
    ["there", "back"].map(|name| ok(segment.mailbox(name, 64, 64)))
}

fn mailbox_end<const POLL: bool>(boxes: &[Mailbox; 2], side: usize) -> MailboxWire<POLL> {
    MailboxWire { to: boxes[side].clone(), from: boxes[1 - side].clone() }
}

impl<const POLL: bool> Wire for MailboxWire<POLL> {
    #[inline]
    fn send(&mut self, message: &Message) {
        ok(self.to.send(message));
    }
    #[inline]
    fn receive(&mut self, message: &mut Message) {
        let received = if POLL {
            loop {
                if let Some(received) = ok(self.from.try_receive(message)) {
                    break received;
                }
            }
        } else {
            ok(self.from.receive(message))
        };
        assert_eq!(received.size, 64);
    }
}

// Signals: a post says that the slate of that direction is written.

/// A signal that processes send each other.
trait Signal {
    fn post(&self);
    fn wait(&self);
    fn poll(&self) -> bool;
}

impl Signal for Semaphore {
    #[inline]
    fn post(&self) {
        ok(Semaphore::post(self));
    }
    #[inline]
    fn wait(&self) {
        ok(Semaphore::wait(self));
    }
    #[inline]
    fn poll(&self) -> bool {
        ok(self.try_wait())
    }
}

impl Signal for PosixSemaphore {
    #[inline]
    fn post(&self) {
        PosixSemaphore::post(self);
    }
    #[inline]
    fn wait(&self) {
        PosixSemaphore::wait(self);
    }
    #[inline]
    fn poll(&self) -> bool {
        self.try_wait()
    }
}

impl Signal for EventFd {
    fn post(&self) {
        EventFd::post(self);
    }
    fn wait(&self) {
        EventFd::wait(self);
    }
    fn poll(&self) -> bool {
        EventFd::wait(self);
        true
    }
}

/// A flag under a mutex, and a condition variable.
struct Flag {
    mutex: PosixMutex,
    condition: Condition,
    up: Shared<AtomicU32>,
}

impl Signal for Flag {
    fn post(&self) {
        self.mutex.lock();
        self.up.store(1, Relaxed); // Relaxed: the mutex orders this.
        self.mutex.unlock();
        self.condition.signal();
    }
    fn wait(&self) {
        self.mutex.lock();
        while self.up.load(Relaxed) == 0 {
            self.condition.wait(&self.mutex);
        }
        self.up.store(0, Relaxed);
        self.mutex.unlock();
    }
    fn poll(&self) -> bool {
        self.wait();
        true
    }
}

struct Signals<S> {
    signal: [Rc<S>; 2],
    slate: Rc<Shared<[Apart<Slate>; 2]>>,
}

struct SignalWire<S, const POLL: bool> {
    to: Rc<S>,
    from: Rc<S>,
    slate: Rc<Shared<[Apart<Slate>; 2]>>,
    side: usize,
}

fn signals<S>(make: impl Fn(&str) -> S) -> Signals<S> {
    Signals { signal: ["there", "back"].map(|name| Rc::new(make(name))), slate: Rc::new(Shared::new()) }
}

fn signal_end<S, const POLL: bool>(signals: &Signals<S>, side: usize) -> SignalWire<S, POLL> {
    let [to, from] = [side, 1 - side].map(|i| signals.signal[i].clone());
    SignalWire { to, from, slate: signals.slate.clone(), side }
}

impl<S: Signal, const POLL: bool> Wire for SignalWire<S, POLL> {
    #[inline]
    fn send(&mut self, message: &Message) {
        // SAFETY: the other side reads it after our post only, and has read the last one before it answered that.
        unsafe { self.slate[self.side].0.write(message) };
        self.to.post();
    }
    #[inline]
    fn receive(&mut self, message: &mut Message) {
        if POLL {
            while !self.from.poll() {}
        } else {
            self.from.wait()
        }
        // SAFETY: the other side has written it before its post, and writes no more until we answer.
        unsafe { self.slate[1 - self.side].0.read(message) };
    }
}

// Mutexes: a relay of three. Handover k is of mutex k mod 3, which the sender holds and the receiver waits for.

/// A mutex as a pair of verbs.
trait Lock {
    fn lock(&self);
    fn try_lock(&self) -> bool;
    fn unlock(&self);
}

impl Lock for Mutex {
    #[inline]
    fn lock(&self) {
        std::mem::forget(ok(Mutex::lock(self)));
    }
    #[inline]
    fn try_lock(&self) -> bool {
        ok(Mutex::try_lock(self)).map(std::mem::forget).is_some()
    }
    #[inline]
    fn unlock(&self) {
        ok(Mutex::unlock(self));
    }
}

impl Lock for PosixMutex {
    #[inline]
    fn lock(&self) {
        PosixMutex::lock(self);
    }
    #[inline]
    fn try_lock(&self) -> bool {
        PosixMutex::try_lock(self)
    }
    #[inline]
    fn unlock(&self) {
        PosixMutex::unlock(self);
    }
}

struct Relay<M> {
    mutex: [Rc<M>; 3],
    slate: Rc<Shared<[Apart<Slate>; 1]>>,
}

struct RelayWire<M, const POLL: bool> {
    mutex: [Rc<M>; 3],
    slate: Rc<Shared<[Apart<Slate>; 1]>>,
    next: usize,
}

fn relay<M>(make: impl Fn(&str) -> M) -> Relay<M> {
    Relay { mutex: ["a", "b", "c"].map(|name| Rc::new(make(name))), slate: Rc::new(Shared::new()) }
}

fn relay_end<M: Lock, const POLL: bool>(relay: &Relay<M>, side: usize) -> RelayWire<M, POLL> {
    // Side 0 hands over first, so a is its own; side 1 answers with b; then side 0 has c to give.
    let own: &[usize] = if side == 0 { &[0, 2] } else { &[1] };
    own.iter().for_each(|i| relay.mutex[*i].lock());
    RelayWire { mutex: relay.mutex.clone(), slate: relay.slate.clone(), next: 0 }
}

impl<M: Lock, const POLL: bool> RelayWire<M, POLL> {
    fn turn(&mut self) -> usize {
        let now = self.next;
        self.next = (now + 1) % 3;
        now
    }
}

impl<M: Lock, const POLL: bool> Wire for RelayWire<M, POLL> {
    #[inline]
    fn send(&mut self, message: &Message) {
        // SAFETY: the sender holds the mutex of this turn, so the receiver still waits for it.
        unsafe { self.slate[0].0.write(message) };
        let now = self.turn();
        self.mutex[now].unlock();
    }
    #[inline]
    fn receive(&mut self, message: &mut Message) {
        let now = self.turn();
        if POLL {
            while !self.mutex[now].try_lock() {}
        } else {
            self.mutex[now].lock()
        }
        // SAFETY: with this mutex the turn has come to us.
        unsafe { self.slate[0].0.read(message) };
    }
}

// The kernel's streams.

struct StreamWire(Rc<[Stream; 2]>, usize);

impl Wire for StreamWire {
    #[inline]
    fn send(&mut self, message: &Message) {
        self.0[self.1].write(message);
    }
    #[inline]
    fn receive(&mut self, message: &mut Message) {
        self.0[1 - self.1].read(message);
    }
}

fn streams(make: fn(When) -> Stream, when: When) -> Rc<[Stream; 2]> {
    Rc::new([make(when), make(when)])
}

fn stream_end(streams: &Rc<[Stream; 2]>, side: usize) -> StreamWire {
    StreamWire(streams.clone(), side)
}

fn entries() -> Vec<Entry> {
    fn semaphores() -> Signals<Semaphore> {
        let segment = segment();
        signals(|name| ok(segment.semaphore(name, 0)))
    }
    fn mutexes() -> Relay<Mutex> {
        let segment = segment();
        relay(|name| ok(segment.mutex(name)))
    }
    let poll = Mode::Spinning;
    let mut all = vec![
        Entry { mode: poll, name: "L: a raw cache line", run: Box::new(raw_line) },
        entry(poll, "triveni Ring", rings, ring_end::<true, 64>),
        entry(poll, "triveni Ring, 56 bytes", rings, ring_end::<true, 56>),
        entry(poll, "triveni Mailbox", mailboxes, mailbox_end::<true>),
        entry(poll, "triveni Semaphore", semaphores, signal_end::<_, true>),
        entry(poll, "triveni Mutex", mutexes, relay_end::<_, true>),
        entry(poll, "sem_t", || signals(|_| PosixSemaphore::new(0)), signal_end::<_, true>),
        entry(poll, "pthread mutex", || relay(|_| PosixMutex::new(false)), relay_end::<_, true>),
        entry(poll, "pthread mutex, robust", || relay(|_| PosixMutex::new(true)), relay_end::<_, true>),
        entry(poll, "pipe", || streams(Stream::pipe, When::Polling), stream_end),
        entry(poll, "Unix stream socket", || streams(Stream::socket, When::Polling), stream_end),
    ];
    for mode in [Mode::Gaps, Mode::Asleep] {
        if mode == Mode::Asleep {
            all.push(Entry { mode, name: "fx: a raw futex", run: Box::new(raw_futex::<0>) });
            all.push(Entry { mode, name: "a raw futex, time-out 1 ms", run: Box::new(raw_futex::<1>) });
            all.push(Entry { mode, name: "a raw futex, time-out 64 ms", run: Box::new(raw_futex::<64>) });
        }
        all.extend([
            entry(mode, "triveni Ring", rings, ring_end::<false, 64>),
            entry(mode, "triveni Mailbox", mailboxes, mailbox_end::<false>),
            entry(mode, "triveni Semaphore", semaphores, signal_end::<_, false>),
            entry(mode, "triveni Mutex", mutexes, relay_end::<_, false>),
            entry(mode, "pipe", || streams(Stream::pipe, When::Blocking), stream_end),
            entry(mode, "Unix stream socket", || streams(Stream::socket, When::Blocking), stream_end),
            entry(mode, "eventfd", || signals(|_| EventFd::new()), signal_end::<_, false>),
            entry(mode, "sem_t", || signals(|_| PosixSemaphore::new(0)), signal_end::<_, false>),
            entry(mode, "pthread mutex", || relay(|_| PosixMutex::new(false)), relay_end::<_, false>),
            entry(mode, "pthread mutex, robust", || relay(|_| PosixMutex::new(true)), relay_end::<_, false>),
            entry(mode, "pthread mutex and cond", flags, signal_end::<_, false>),
        ]);
    }
    all
}

fn flags() -> Signals<Flag> {
    signals(|_| Flag { mutex: PosixMutex::new(false), condition: Condition::new(), up: Shared::new() })
}

/// One row's rounds.
#[derive(Default)]
struct Rounds {
    p50: Vec<f64>,
    p99: Vec<f64>,
    max: Vec<f64>,
    slept: Vec<f64>,
}

fn main() {
    let options = Options::from_args();
    let entries = entries();
    for entry in &entries {
        (entry.run)(&Load { mode: entry.mode, trips: if entry.mode == Mode::Asleep { 10 } else { 300 }, proof: true });
    }
    let trips = |mode| match mode {
        Mode::Spinning => options.scale(8_000, 1_000),
        Mode::Gaps => options.scale(1_000, 100),
        Mode::Asleep => options.scale(60, 8),
    };
    let mut rows: Vec<Rounds> = entries.iter().map(|_| Rounds::default()).collect();
    let rounds = options.rounds(|| {
        for (entry, row) in entries.iter().zip(&mut rows) {
            let (mut samples, slept) = (entry.run)(&Load { mode: entry.mode, trips: trips(entry.mode), proof: false });
            samples.sort_unstable();
            let at = |share: f64| clock::ns(samples[((samples.len() - 1) as f64 * share) as usize]);
            row.p50.push(at(0.5));
            row.p99.push(at(0.99));
            row.max.push(at(1.0));
            row.slept.push(slept);
        }
    });
    let mut report = Report::new("handover", "how long do 64 bytes take from one process to another, one way?");
    for mode in Mode::ALL {
        // Both units are the first row of their table; the gaps are shown in the spinning table's.
        let unit = entries.iter().position(|e| e.mode == if mode == Mode::Gaps { Mode::Spinning } else { mode });
        let unit = rows[unit.expect("each table has a first row")].p50.clone();
        let lines = entries.iter().zip(&rows).filter(|(entry, _)| entry.mode == mode).map(|(entry, row)| {
            Row::new(entry.name)
                .cell("p50", As::Time, row.p50.iter().copied())
                .cell("p99", As::Time, row.p99.iter().copied())
                .cell("max", As::Time, row.max.iter().copied().reduce(f64::max))
                .cell("p50, ratio", As::Times(mode.unit()), row.p50.iter().zip(&unit).map(|(ours, unit)| ours / unit))
                .cell("slept", As::Share, row.slept.iter().copied())
        });
        let lines = lines.collect();
        report.group(mode.title(), lines);
    }
    report.finish(&options, rounds);
}
