//! How long do 64 bytes take from one process to another, one way.
//!
//! | mode     | what happens                                             | how it is timed                             |
//! |----------|----------------------------------------------------------|---------------------------------------------|
//! | spinning | both sides poll; a message goes there and back           | half the round trip                         |
//! | gaps     | the blocking calls; a pause of 5 µs between round trips   | half the round trip                         |
//! | asleep   | the blocking calls; the receiver has slept for 300 µs     | two readings of the clock, in two processes |

use super::{Effort, Numbers, percentiles};
use crate::channel::{Channel, Rx, Spec, Tx, fill, is_whole, number, stamp};
use crate::harness::clock;
use crate::harness::team::{self, MOST_SAMPLES, Member, Outcome};
use serde_json::json;

/// Bytes of a message.
pub const SIZE: usize = 64;
/// Messages a channel has room for; one is under way.
pub const DEPTH: usize = 64;
/// Longer than anybody spins.
const ASLEEP_NS: u64 = 300_000;

/// How the two wait for each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both poll.
    Spinning,
    /// Blocking calls; the next message comes after 5 µs.
    Gaps,
    /// Blocking calls; the receiver sleeps.
    Asleep,
}

/// One process's ends of a two-way line.
pub trait Wire {
    /// Sends.
    fn send(&mut self, message: &[u8]);
    /// Receives.
    fn receive(&mut self, message: &mut [u8]);
}

/// Two channels, one for each direction.
pub struct Ends<C: Channel>(C::Tx, C::Rx);

impl<C: Channel> Wire for Ends<C> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        self.0.send(message);
    }
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        self.1.receive(message);
    }
}

/// The two channels, before the fork.
pub struct Line<C>([C; 2]);

impl<C: Channel> Line<C> {
    /// Makes both.
    pub fn make(spec: &Spec) -> Result<Line<C>, String> {
        let one = |name: &str| C::make(&Spec { name: format!("{}{name}", spec.name), ..spec.clone() });
        Ok(Line([one("a")?, one("b")?]))
    }
    /// One side's ends. The receiving one comes first: some senders look for it.
    pub fn ends(&self, side: usize) -> Ends<C> {
        let rx = self.0[1 - side].rx(0);
        Ends(self.0[side].tx(0), rx)
    }
}

struct Load {
    mode: Mode,
    trips: u64,
    size: usize,
    proof: bool,
}

/// Percentiles of one repetition. `make` is called in the parent, `ends` in each process, or thread.
pub fn measure<S: Sync, W: Wire>(
    mode: Mode,
    size: usize,
    threads: bool,
    effort: Effort,
    make: impl Fn() -> Result<S, String>,
    ends: impl Fn(&S, usize) -> W + Sync,
) -> Result<Numbers, String> {
    let heat = |load: &Load| {
        let line = make()?;
        team::run(2, threads, |member| play(member, ends(&line, member.index), load))
    };
    let trips = if mode == Mode::Asleep { 10 } else { 300 };
    let proof = heat(&Load { mode, trips, size, proof: true })?;
    let mut numbers = Numbers::new();
    if effort.proof_only {
        return Ok(numbers);
    }
    let trips = match mode {
        Mode::Asleep => effort.count(2.0 * ASLEEP_NS as f64, 8, 100),
        _ => effort.count(team::lasted_ns(&proof) / trips as f64, 1_000, 20_000),
    };
    // A rival that sleeps is switched by itself, and takes long: it is not run again.
    let (team, calm) = team::undisturbed(if mode == Mode::Asleep { 1 } else { effort.tries }, || {
        heat(&Load { mode, trips, size, proof: false })
    })?;
    let mut samples = team[0].samples.clone();
    numbers.extend(percentiles(&mut samples));
    numbers.insert("slept".into(), json!(slept(&team) as f64 / (2 * trips) as f64));
    numbers.insert("calm".into(), json!(calm));
    if mode == Mode::Asleep {
        numbers.insert("samples".into(), json!(samples.iter().map(|t| clock::ns(*t).round()).collect::<Vec<_>>()));
    }
    Ok(numbers)
}

fn slept(team: &[Outcome]) -> u64 {
    team.iter().map(|o| o.slept).sum()
}

fn play<W: Wire>(member: &mut Member<'_>, mut wire: W, load: &Load) {
    let mut buffer = [0; SIZE];
    let message = &mut buffer[..load.size];
    let pause = clock::from_ns(match load.mode {
        Mode::Spinning => 0,
        Mode::Gaps => 5_000,
        Mode::Asleep => ASLEEP_NS,
    });
    member.start();
    for i in 0..load.trips {
        if member.index == 0 {
            clock::pause(pause);
            if load.proof {
                fill(message, i);
            }
            stamp(message, i);
            let sent = clock::ticks();
            wire.send(message);
            wire.receive(message);
            let now = clock::ticks();
            if load.mode == Mode::Asleep {
                member.sample(now.saturating_sub(number(&message[8..])));
            } else if i < MOST_SAMPLES as u64 {
                member.sample((now - sent).saturating_sub(clock::cost()) / 2);
            }
            assert_eq!(number(message), !i, "the answer belongs to another question");
        } else {
            wire.receive(message);
            assert_eq!(number(message), i, "a message was lost, doubled or torn");
            assert!(!load.proof || is_whole(message), "message {i} is torn");
            stamp(message, !i);
            if load.mode == Mode::Asleep {
                clock::pause(pause);
                stamp(&mut message[8..], clock::ticks());
            }
            wire.send(message);
        }
    }
    member.stop(load.trips, 0);
    // Ends are dropped after everybody has stopped.
}

/// As [`measure`], for a pair of channels of the same kind.
pub fn of_channels<C: Channel>(mode: Mode, spec: &Spec, effort: Effort) -> Result<Numbers, String> {
    measure(mode, spec.size, C::THREADS, effort, || Line::<C>::make(spec), |line, side| line.ends(side))
}
