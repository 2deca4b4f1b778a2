//! How much goes through: messages per second, one by one and in batches, of 8 bytes to 64 KiB.
//!
//! | row              | what is done with each message                                              |
//! |------------------|------------------------------------------------------------------------------|
//! | copied           | written from a buffer, read into a buffer                                     |
//! | in place         | every byte written where it lies, and every byte read there: no copy          |
//! | in place, header | its first eight bytes only: what the handover alone costs                      |
//! | many at once     | copied, up to 64 with one store and one release                               |
//! | packed, many     | the same, back to back: one copy for all of them                              |
//!
//! `copy` is one memcpy of the same size between two cached buffers of one process.
//! A heat is run again while other programs take a CPU away from it, some times at most: `calm` is the share of
//! heats that were left alone. Four processes on two CPUs never are.
//! Each message carries its number; consumers check the order where there is one producer, and the sum always.

mod harness;

use harness::kernel::{MessageQueue, Stream, When};
use harness::report::{As, Report, Row};
use harness::team::{self, Member, Outcome};
use harness::{Options, yardstick};
use std::hint::black_box;
use triveni::{Mailbox, Ring, Segment};

const SIZES: [usize; 4] = [8, 64, 1024, 65536];
/// The number that says: no more from this producer.
const END: u64 = u64::MAX;

/// What goes right through: `Err` is a bug here.
fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A one-way channel, before the fork.
trait Channel {
    /// Hands `next()` over until it is [`END`], that included.
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64);
    /// Hands the numbers to `take` until it is [`END`], that included.
    fn consume(&self, size: usize, take: &mut impl FnMut(u64));
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// What a copying producer does, whatever the channel.
fn send_all(size: usize, next: &mut impl FnMut() -> u64, mut send: impl FnMut(&[u8])) {
    let mut message = vec![0x5A; size];
    loop {
        let n = next();
        message[..8].copy_from_slice(&n.to_le_bytes());
        send(black_box(&message));
        if n == END {
            return;
        }
    }
}

/// What a copying consumer does.
fn receive_all(size: usize, take: &mut impl FnMut(u64), mut receive: impl FnMut(&mut [u8])) {
    let mut message = vec![0; size];
    loop {
        receive(&mut message);
        let n = number(black_box(&message));
        take(n);
        if n == END {
            assert!(message[8..].iter().all(|b| *b == 0x5A), "a message is torn");
            return;
        }
    }
}

struct Copied(Ring);

impl Channel for Copied {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        let mut end = ok(self.0.producer());
        send_all(size, next, |message| ok(end.write(message)));
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        let mut end = ok(self.0.consumer());
        receive_all(size, take, |message| assert_eq!(ok(end.read(message)), size));
    }
}

/// `WHOLE`: every byte is written and read.
struct InPlace<const WHOLE: bool>(Ring);

impl<const WHOLE: bool> Channel for InPlace<WHOLE> {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        let mut end = ok(self.0.producer());
        let words = if WHOLE { size / 8 } else { 1 };
        loop {
            let n = next();
            let mut grant = ok(end.reserve(size));
            let to = grant.as_mut_ptr();
            for i in 0..words {
                // SAFETY: the grant has `size` bytes, 8-aligned as a ring's records are. The consumer looks there
                // after the commit only.
                unsafe { to.cast::<u64>().add(i).write(n) };
            }
            ok(grant.commit(size));
            if n == END {
                return;
            }
        }
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        let mut end = ok(self.0.consumer());
        let words = if WHOLE { size / 8 } else { 1 };
        loop {
            let grant = ok(end.peek());
            assert_eq!(grant.size(), size);
            let from = grant.as_ptr();
            let (mut and, mut or) = (u64::MAX, 0);
            for i in 0..words {
                // SAFETY: the record has `size` bytes, 8-aligned. The producer of this bench leaves them alone until
                // the release.
                let word = unsafe { from.cast::<u64>().add(i).read() };
                and &= word;
                or |= word;
            }
            ok(grant.release());
            assert_eq!(and, or, "a message is torn");
            take(and);
            if and == END {
                return;
            }
        }
    }
}

const BATCH: usize = 64;

/// Hands batches to `send` until [`END`], that included.
fn send_batches(size: usize, next: &mut impl FnMut() -> u64, mut send: impl FnMut(&[u8])) {
    let mut batch = vec![0x5A; size * BATCH];
    loop {
        let (mut n, mut last) = (0, 0);
        for record in batch.chunks_exact_mut(size) {
            last = next();
            record[..8].copy_from_slice(&last.to_le_bytes());
            n += 1;
            if last == END {
                break;
            }
        }
        send(black_box(&batch[..n * size]));
        if last == END {
            return;
        }
    }
}

/// Takes batches from `receive`, which says how many, until [`END`].
fn receive_batches(size: usize, take: &mut impl FnMut(u64), mut receive: impl FnMut(&mut [u8]) -> usize) {
    let mut batch = vec![0; size * BATCH];
    loop {
        let n = receive(&mut batch);
        for record in black_box(&batch[..n * size]).chunks_exact(size) {
            let n = number(record);
            take(n);
            if n == END {
                return;
            }
        }
    }
}

struct Many(Ring);

impl Channel for Many {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        let mut end = ok(self.0.producer());
        send_batches(size, next, |batch| {
            let mut records = [&[][..]; BATCH];
            let n = batch.len() / size;
            for (record, bytes) in records.iter_mut().zip(batch.chunks_exact(size)) {
                *record = bytes;
            }
            ok(end.write_many(&records[..n]));
        });
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        let (mut end, mut sizes) = (ok(self.0.consumer()), [0; BATCH]);
        receive_batches(size, take, |batch| ok(end.read_many(batch, &mut sizes)));
    }
}

struct Packed(Ring);

impl Channel for Packed {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        let mut end = ok(self.0.producer());
        send_batches(size, next, |batch| ok(end.write_packed(batch)));
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        let mut end = ok(self.0.consumer());
        receive_batches(size, take, |batch| ok(end.read_packed(batch)));
    }
}

impl Channel for Mailbox {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        send_all(size, next, |message| ok(self.send(message)));
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        receive_all(size, take, |message| assert_eq!(ok(self.receive(message)).size, size));
    }
}

impl Channel for Stream {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        send_all(size, next, |message| self.write(message));
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        receive_all(size, take, |message| self.read(message));
    }
}

impl Channel for MessageQueue {
    fn produce(&self, size: usize, next: &mut impl FnMut() -> u64) {
        send_all(size, next, |message| self.send(message));
    }
    fn consume(&self, size: usize, take: &mut impl FnMut(u64)) {
        receive_all(size, take, |message| assert_eq!(self.receive(message), size));
    }
}

struct Entry {
    name: &'static str,
    size: usize,
    /// So many producers, and so many consumers.
    pairs: usize,
    /// How many messages each producer sends in one round.
    count: u64,
    run: Box<dyn Fn(u64) -> (f64, bool)>,
}

fn entry<C: Channel + 'static>(
    name: &'static str,
    size: usize,
    pairs: usize,
    per_second: u64,
    make: impl Fn() -> C + 'static,
) -> Entry {
    let run = move |count: u64| team::undisturbed(|| heat(name, &make(), size, pairs, count));
    // About 3 ms a heat: less than others wait for a CPU.
    Entry { name, size, pairs, count: (per_second / 300).max(40) / pairs as u64, run: Box::new(run) }
}

/// Messages per second.
fn heat(name: &str, channel: &impl Channel, size: usize, pairs: usize, count: u64) -> (f64, Vec<Outcome>) {
    let team = team::run(2 * pairs, |member| play(member, channel, size, pairs, count));
    let (sent, received) = team.split_at(pairs);
    let total = |side: &[Outcome]| side.iter().fold((0, 0), |(n, sum), o| (n + o.count, sum + o.sum));
    assert_eq!(total(sent), total(received), "{name}, {size} bytes: messages and their sum, sent and received");
    (total(sent).0 as f64 / team::lasted_ns(&team) * 1e9, team)
}

/// Producers are the first members, so that with two pairs each CPU has one of each.
fn play(member: &mut Member<'_>, channel: &impl Channel, size: usize, pairs: usize, count: u64) {
    let (mut done, mut sum, mut last) = (0, 0, 0);
    if member.index < pairs {
        let first = member.index as u64;
        member.start();
        channel.produce(size, &mut || {
            if done == count {
                return END;
            }
            let n = first + pairs as u64 * done;
            done += 1;
            sum += n;
            n
        });
    } else {
        member.start();
        channel.consume(size, &mut |n| {
            if n != END {
                assert!(pairs > 1 || n == done, "message {n} came after {last}: lost, doubled or out of order");
                (done, sum, last) = (done + 1, sum + n, n);
            }
        });
    }
    member.stop();
    member.tally(done, sum);
}

/// Room for a thousand messages, and for a few large ones.
fn room(size: usize) -> usize {
    (size.max(56) * 1024).min(16 << 20).max(8 * size)
}

fn ring(size: usize) -> Ring {
    ok(ok(Segment::anonymous(2 * room(size) + (1 << 20))).ring("r", room(size)))
}

/// A thousand records, back to back.
fn packed(size: usize) -> Ring {
    ok(ok(Segment::anonymous(2 * size * 1024 + (1 << 20))).ring_of("r", size, 1024))
}

fn mailbox(size: usize) -> Mailbox {
    ok(ok(Segment::anonymous(2 * room(size) + (1 << 20))).mailbox("m", (room(size) / size).min(1024), size))
}

fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for size in SIZES {
        // Guesses of messages per second, for rounds of much the same length.
        let fast = if size > 1024 { 100_000 } else { 10_000_000 };
        let slow = if size > 1024 { 30_000 } else { 500_000 };
        all.extend([
            entry("triveni Ring, copied", size, 1, fast, move || Copied(ring(size))),
            entry("triveni Ring, in place", size, 1, fast, move || InPlace::<true>(ring(size))),
            entry("triveni Ring, in place, header", size, 1, 10_000_000, move || InPlace::<false>(ring(size))),
            entry("triveni Mailbox", size, 1, fast / 2, move || mailbox(size)),
        ]);
        if size <= 1024 {
            all.extend([
                entry("triveni Ring, many at once", size, 1, 2 * fast, move || Many(ring(size))),
                entry("triveni Ring, packed, many", size, 1, 5 * fast, move || Packed(packed(size))),
            ]);
        }
        all.extend([
            entry("pipe", size, 1, slow, || Stream::pipe(When::Blocking)),
            entry("Unix stream socket", size, 1, slow, || Stream::socket(When::Blocking)),
        ]);
        if MessageQueue::new(size).is_some() {
            all.push(entry("POSIX message queue", size, 1, slow, move || {
                MessageQueue::new(size).expect("it was there before")
            }));
        }
    }
    all.push(entry("triveni Mailbox, 2 × 2", 64, 2, 5_000_000, || mailbox(64)));
    all.push(entry("pipe, 2 × 2", 64, 2, 500_000, || Stream::pipe(When::Blocking)));
    if MessageQueue::new(64).is_some() {
        all.push(entry("POSIX message queue, 2 × 2", 64, 2, 300_000, || {
            MessageQueue::new(64).expect("it was there before")
        }));
    }
    all
}

fn main() {
    let options = Options::from_args();
    let entries = entries();
    for entry in &entries {
        (entry.run)(500); // asserts that counts and sums add up
    }
    let mut copies: Vec<Vec<f64>> = vec![Vec::new(); SIZES.len()];
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); entries.len()];
    let mut calm = vec![0u32; entries.len()];
    let rounds = options.rounds(|| {
        for (size, times) in SIZES.iter().zip(&mut copies) {
            let one = team::run(1, |member| member.tally(0, yardstick::memcpy(*size).to_bits()));
            times.push(1e9 / f64::from_bits(one[0].sum));
        }
        for ((entry, rates), calm) in entries.iter().zip(&mut rates).zip(&mut calm) {
            let (rate, left_alone) =
                (entry.run)(options.scale(entry.count as usize, entry.count as usize / 4 + 10) as u64);
            rates.push(rate);
            *calm += u32::from(left_alone);
        }
    });
    let mut report = Report::new("throughput", "how many messages a second, one by one, from process to process?");
    for (pairs, who) in [(1, "1 producer, 1 consumer"), (2, "2 producers, 2 consumers")] {
        for (size, copies) in SIZES.iter().zip(&copies) {
            let of = |i: &usize| entries[*i].size == *size && entries[*i].pairs == pairs;
            let here: Vec<usize> = (0..entries.len()).filter(of).collect();
            let Some(pipe) = here.iter().find(|i| entries[**i].name.starts_with("pipe")).map(|i| &rates[*i]) else {
                continue;
            };
            let row = |name: &str, rates: &[f64]| {
                Row::new(name)
                    .cell("messages", As::Rate, rates.iter().copied())
                    .cell("bytes", As::Bandwidth, rates.iter().map(|r| r * *size as f64))
                    .cell("ratio to copy", As::Times("×"), rates.iter().zip(copies).map(|(r, c)| r / c))
                    .cell("ratio to pipe", As::Times("×"), rates.iter().zip(pipe).map(|(r, p)| r / p))
            };
            let mut rows = vec![row("copy: memcpy in one process", copies)];
            rows.extend(here.iter().map(|i| {
                row(entries[*i].name, &rates[*i]).cell("calm", As::Share, [f64::from(calm[*i]) / rounds as f64])
            }));
            report.group(format!("{size} bytes, {who}"), rows);
        }
    }
    report.finish(&options, rounds);
}
