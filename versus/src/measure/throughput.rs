//! How much goes through: senders send as fast as they can, receivers take it, for a few milliseconds.
//!
//! Each message carries its number. Receivers check the order where there is one sender, and count and sum always;
//! the proof before it looks at every byte. Each sender ends with one message that says so; each receiver ends with
//! the first of these that it gets, or with the last if it has a queue of its own.

use super::{Effort, Numbers};
use crate::channel::{Channel, InPlace, Rx, RxInPlace, Spec, Tx, TxInPlace, fill, is_whole, number, stamp};
use crate::harness::team::{self, Member, Outcome};
use serde_json::json;
use std::hint::black_box;

/// The number that says: no more from this sender.
const END: u64 = u64::MAX;

#[derive(Clone, Copy)]
struct Load {
    /// Messages from each sender.
    count: u64,
    /// Messages in one call, at most; 1: one by one.
    batch: usize,
    proof: bool,
    /// How often a sender says that it has ended: once, or to each receiver that has a queue of its own.
    ends: usize,
    /// How often a receiver hears that before it ends too.
    ends_of_all: usize,
}

/// What a member has seen.
#[derive(Default)]
struct Tally {
    count: u64,
    sum: u64,
    /// Not 0: something came that was not next.
    wrong: u64,
}

/// Messages per second.
pub fn measure<C: Channel>(spec: &Spec, batch: usize, effort: Effort) -> Result<Numbers, String> {
    run::<C>(spec, batch, effort, send::<C>, receive::<C>)
}

/// Messages per second that are written and read where they lie: every byte (`WHOLE`), or the first eight only.
pub fn in_place<C: InPlace, const WHOLE: bool>(spec: &Spec, effort: Effort) -> Result<Numbers, String> {
    run::<C>(spec, 1, effort, send_in_place::<C, WHOLE>, receive_in_place::<C, WHOLE>)
}

fn run<C: Channel>(
    spec: &Spec,
    batch: usize,
    effort: Effort,
    send: fn(&mut C::Tx, &Spec, Load, u64) -> Tally,
    receive: fn(&mut C::Rx, &Spec, Load) -> Tally,
) -> Result<Numbers, String> {
    let heat = |count, proof| {
        let channel = C::make(spec)?;
        let (ends, ends_of_all) = if C::MESH && !spec.to_all { (spec.receivers, spec.senders) } else { (1, 1) };
        let load = Load { count, batch, proof, ends, ends_of_all };
        let team = team::run(spec.senders + spec.receivers, C::THREADS, |member| {
            play(member, &channel, spec, load, send, receive);
        })?;
        verdict(spec, &team)?;
        Ok(team)
    };
    let least = if spec.size > 4096 { 40 } else { 2_000 };
    let proof = heat(least / spec.senders as u64, true)?;
    let mut numbers = Numbers::new();
    if effort.proof_only {
        return Ok(numbers);
    }
    // Twice: the first guess stands on a cold start.
    let each = |team: &[Outcome], count: u64| team::lasted_ns(team) / (count * spec.senders as u64) as f64;
    let count = effort.count(each(&proof, least / spec.senders as u64), 40, 20_000) / spec.senders as u64;
    let guess = heat(count, false)?;
    let count = effort.count(each(&guess, count), 40, 8_000_000) / spec.senders as u64;
    let (team, calm) = team::undisturbed(effort.tries, || heat(count, false))?;
    numbers.insert("rate".into(), json!((count * spec.senders as u64) as f64 / team::lasted_ns(&team) * 1e9));
    numbers.insert("calm".into(), json!(calm));
    Ok(numbers)
}

/// What was sent was received: once, or once by each.
fn verdict(spec: &Spec, team: &[Outcome]) -> Result<(), String> {
    let (sent, received) = team.split_at(spec.senders);
    let total = |side: &[Outcome]| side.iter().fold((0, 0u64), |(n, sum), o| (n + o.count, sum.wrapping_add(o.sum)));
    let right = match spec.to_all {
        true => received.iter().all(|o| total(std::slice::from_ref(o)) == total(sent)),
        false => total(received) == total(sent),
    };
    let (sent, got) = (total(sent).0, total(received).0);
    if right { Ok(()) } else { Err(format!("{sent} messages were sent, {got} received, or not those")) }
}

/// Senders are the first members, so that each CPU has as many of each as there can be.
fn play<C: Channel>(
    member: &mut Member<'_>,
    channel: &C,
    spec: &Spec,
    load: Load,
    send: fn(&mut C::Tx, &Spec, Load, u64) -> Tally,
    receive: fn(&mut C::Rx, &Spec, Load) -> Tally,
) {
    if member.index < spec.senders {
        let mut tx = channel.tx(member.index);
        member.meet();
        if let Some(lap) = first_lap(spec, load) {
            send(&mut tx, spec, lap, 0);
        }
        member.start();
        let first = member.index as u64 * load.count;
        let tally = send(&mut tx, spec, load, first);
        member.stop(tally.count, tally.sum);
    } else {
        let mut rx = channel.rx(member.index - spec.senders);
        member.meet();
        if let Some(lap) = first_lap(spec, load) {
            receive(&mut rx, spec, lap);
        }
        member.start();
        let tally = receive(&mut rx, spec, load);
        assert!(tally.wrong == 0 || spec.senders > 1, "a message was lost, doubled, torn or came out of order");
        member.stop(tally.count, tally.sum);
    }
}

/// Twice round the channel before the time begins: the first touch of each page is the kernel's work, not the channel's.
fn first_lap(spec: &Spec, load: Load) -> Option<Load> {
    (spec.senders == 1 && spec.receivers == 1).then(|| Load { count: 2 * spec.depth as u64, proof: false, ..load })
}

/// The sum of `count` numbers from `first`.
fn sum(first: u64, count: u64) -> u64 {
    (0..count).fold(0u64, |sum, i| sum.wrapping_add(first + i))
}

fn send<C: Channel>(tx: &mut C::Tx, spec: &Spec, load: Load, first: u64) -> Tally {
    let size = spec.size;
    let mut messages = vec![0x5A; size * load.batch];
    let mut next = first;
    let end = first + load.count;
    while next < end {
        let n = (load.batch as u64).min(end - next) as usize;
        let some = &mut messages[..n * size];
        if load.proof {
            some.chunks_exact_mut(size).enumerate().for_each(|(i, message)| fill(message, next + i as u64));
        } else {
            match size {
                8 => stamp_all::<8>(some, next),
                64 => stamp_all::<64>(some, next),
                _ => some.chunks_exact_mut(size).enumerate().for_each(|(i, message)| stamp(message, next + i as u64)),
            }
        }
        if load.batch == 1 {
            tx.send(black_box(some));
        } else {
            tx.send_many(black_box(some), size);
        }
        next += n as u64;
    }
    stamp(&mut messages[..size], END);
    for _ in 0..load.ends {
        tx.send(&messages[..size]);
    }
    Tally { count: load.count, sum: sum(first, load.count), wrong: 0 }
}

#[inline(always)]
fn stamp_all<const SIZE: usize>(messages: &mut [u8], first: u64) {
    for (i, message) in messages.as_chunks_mut::<SIZE>().0.iter_mut().enumerate() {
        stamp(message, first + i as u64);
    }
}

fn receive<C: Channel>(rx: &mut C::Rx, spec: &Spec, load: Load) -> Tally {
    let size = spec.size;
    let mut messages = vec![0; size * load.batch];
    let mut tally = Tally::default();
    let mut ended = 0;
    loop {
        let n = if load.batch == 1 {
            rx.receive(&mut messages);
            1
        } else {
            rx.receive_many(&mut messages, size)
        };
        let some = black_box(&messages[..n * size]);
        let ends = number(&some[(n - 1) * size..]) == END;
        let some = &some[..(n - usize::from(ends)) * size];
        match size {
            8 => take::<8>(&mut tally, some),
            64 => take::<64>(&mut tally, some),
            _ => some.chunks_exact(size).for_each(|message| one(&mut tally, message)),
        }
        if load.proof && !some.chunks_exact(size).all(is_whole) {
            tally.wrong = 1;
        }
        ended += usize::from(ends);
        if ended == load.ends_of_all {
            return tally;
        }
    }
}

#[inline(always)]
fn take<const SIZE: usize>(tally: &mut Tally, messages: &[u8]) {
    let (messages, _) = messages.as_chunks::<SIZE>();
    let (mut sum, mut wrong) = (0u64, 0);
    for (i, message) in messages.iter().enumerate() {
        let n = number(message);
        sum = sum.wrapping_add(n);
        wrong |= n ^ (tally.count + i as u64);
    }
    tally.count += messages.len() as u64;
    tally.sum = tally.sum.wrapping_add(sum);
    tally.wrong |= wrong;
}

#[inline(always)]
fn one(tally: &mut Tally, message: &[u8]) {
    let n = number(message);
    tally.wrong |= n ^ tally.count;
    tally.sum = tally.sum.wrapping_add(n);
    tally.count += 1;
}

/// `WHOLE`: the number in the first word, its lowest byte in all others, as memset writes them.
fn send_in_place<C: InPlace, const WHOLE: bool>(tx: &mut C::Tx, spec: &Spec, load: Load, first: u64) -> Tally {
    for n in (first..first + load.count).chain([END]) {
        tx.send_in_place(spec.size, |to| {
            // SAFETY: the channel lends `size` bytes, 8 at least. Not all of them are aligned for words.
            unsafe {
                if WHOLE {
                    to.add(8).write_bytes(n as u8, spec.size - 8);
                }
                to.cast::<u64>().write_unaligned(n);
            }
        });
    }
    Tally { count: load.count, sum: sum(first, load.count), wrong: 0 }
}

fn receive_in_place<C: InPlace, const WHOLE: bool>(rx: &mut C::Rx, spec: &Spec, _: Load) -> Tally {
    let words = if WHOLE { spec.size / 8 } else { 1 };
    let mut tally = Tally::default();
    loop {
        let (mut n, mut wrong) = (0, 0);
        rx.receive_in_place(spec.size, |from| {
            // SAFETY: the channel lends `size` bytes; the sender leaves them alone until they are given back.
            n = unsafe { from.cast::<u64>().read_unaligned() };
            let all = u64::from_le_bytes([n as u8; 8]);
            for i in 1..words {
                // SAFETY: as above.
                wrong |= all ^ unsafe { from.cast::<u64>().add(i).read_unaligned() };
            }
        });
        tally.wrong |= wrong;
        if n == END {
            return tally;
        }
        one(&mut tally, &n.to_le_bytes());
    }
}
