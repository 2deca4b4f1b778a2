//! Killed in an operation of rings.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RingVerb {
    Write,
    Commit,
    Cancel,
    Read,
    Release,
    /// Take the producer's end from a dead process.
    Produce,
    /// Take the consumer's end from a dead process.
    Consume,
}

impl RingVerb {
    fn is_producer(self) -> bool {
        matches!(self, RingVerb::Write | RingVerb::Commit | RingVerb::Cancel | RingVerb::Produce)
    }
}

/// A ring of eight cells, with one end in the survivor and the other in the child.
pub struct RingScene {
    place: Place,
    verb: RingVerb,
    /// Cells that were used before: 7 leave one cell before the end.
    advance: u64,
    /// Records in it, by length.
    filled: &'static [usize],
    /// Length of the child's record.
    len: usize,
    ring: Option<Ring>,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
    predecessor: &'static Page,
}

impl RingScene {
    fn new(verb: RingVerb, advance: u64, filled: &'static [usize], len: usize) -> RingScene {
        let (place, predecessor) = (Place::new(), Page::new());
        RingScene { place, verb, advance, filled, len, ring: None, producer: None, consumer: None, predecessor }
    }

    fn read(consumer: &mut Consumer) -> Result<(u64, u64), ErrorKind> {
        let mut buffer = [0; 512];
        match consumer.read_until(&mut buffer, in_time()) {
            Ok(size) => Ok(read(&buffer[..size])),
            Err(error) => Err(error.kind()),
        }
    }

    /// Two ends that both live do three laps, with pads, and fill it once.
    pub fn works(producer: &mut Producer, consumer: &mut Consumer) {
        for seq in 0..24 {
            let len = [24, 100, 56, 57, 200][seq as usize % 5];
            producer.write_until(&message(3, seq, len), in_time()).unwrap();
            assert_eq!(Self::read(consumer), Ok((3, seq)));
        }
        let mut written = 0;
        while producer.try_write(&message(4, written, 30)).unwrap() {
            written += 1;
        }
        assert_eq!(written, 8, "a ring of 8 cells");
        for seq in 0..written {
            assert_eq!(Self::read(consumer), Ok((4, seq)));
        }
        assert_eq!(consumer.try_read(&mut [0; 512]).unwrap(), None);
    }
}

impl Scene for RingScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let ring = self.place.segment.create_ring("ring", 512).unwrap();
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        // A lap of long records first: cells hold what is no header. Then small ones, to the wished place.
        for seq in 0..4 {
            producer.write(&message(0, seq, 100)).unwrap();
            assert_eq!(Self::read(&mut consumer), Ok((0, seq)));
        }
        for seq in 0..self.advance {
            producer.write(&message(0, seq, 40)).unwrap();
            assert_eq!(Self::read(&mut consumer), Ok((0, seq)));
        }
        for (seq, len) in self.filled.iter().enumerate() {
            assert!(producer.try_write(&message(1, seq as u64, *len)).unwrap());
        }
        if self.verb.is_producer() {
            self.consumer = Some(consumer);
            drop(producer);
        } else {
            self.producer = Some(producer);
            drop(consumer);
        }
        if matches!(self.verb, RingVerb::Produce | RingVerb::Consume) {
            drop(Bystander::start(self.predecessor, |step| {
                let ring = self.place.segment.open_ring("ring").unwrap();
                if self.verb == RingVerb::Produce {
                    std::mem::forget(ring.producer().unwrap());
                } else {
                    std::mem::forget(ring.consumer().unwrap());
                }
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        self.ring = Some(ring);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let ring = self.place.segment.open_ring("ring").unwrap();
        let record = message(2, 0, self.len);
        match self.verb {
            RingVerb::Write => {
                let mut producer = ring.producer().unwrap();
                step.through(|| producer.write_until(&record, soon()).map(|()| OK))
            }
            RingVerb::Commit | RingVerb::Cancel => {
                let mut producer = ring.producer().unwrap();
                let (first, second) = record.split_at(17);
                step.through(|| {
                    let mut grant = producer.reserve_until(200, soon())?;
                    grant.write(0, first)?;
                    if self.verb == RingVerb::Cancel {
                        grant.cancel();
                        return Ok(OK);
                    }
                    grant.write(first.len(), second)?;
                    grant.commit(record.len()).map(|()| OK)
                })
            }
            RingVerb::Read => {
                let (mut consumer, buffer) = (ring.consumer().unwrap(), step.0.buffer());
                step.through(|| consumer.read_until(buffer, soon()).map(|_| OK))
            }
            RingVerb::Release => {
                let (mut consumer, buffer) = (ring.consumer().unwrap(), step.0.buffer());
                step.through(|| {
                    let grant = consumer.peek_until(soon())?;
                    grant.read(0, buffer);
                    grant.release().map(|()| OK)
                })
            }
            RingVerb::Produce => step.through(|| {
                std::mem::forget(ring.producer()?);
                Ok(OK)
            }),
            RingVerb::Consume => step.through(|| {
                std::mem::forget(ring.consumer()?);
                Ok(OK)
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let ring = self.ring.take().unwrap();
        let filled = self.filled.len() as u64;
        if self.verb.is_producer() {
            let mut consumer = self.consumer.take().unwrap();
            for seq in 0..filled {
                assert_eq!(Self::read(&mut consumer), Ok((1, seq)), "what was committed before");
            }
            let writes = matches!(self.verb, RingVerb::Write | RingVerb::Commit);
            let next = Self::read(&mut consumer);
            if next.is_ok() || (writes && killed.done()) {
                assert_eq!(next, Ok((2, 0)));
                assert!(writes, "a record that was not committed");
                assert_eq!(Self::read(&mut consumer), Err(ErrorKind::PeerDead));
            } else {
                assert_eq!(next, Err(ErrorKind::PeerDead));
            }
            let mut producer = ring.producer().unwrap();
            Self::works(&mut producer, &mut consumer);
        } else {
            let mut producer = self.producer.take().unwrap();
            let mut consumer = ring.consumer().unwrap();
            let mut buffer = [0; 512];
            let mut got = Vec::new();
            while let Some(size) = consumer.try_read(&mut buffer).unwrap() {
                got.push(read(&buffer[..size]));
            }
            let all: Vec<_> = (0..filled).map(|seq| (1, seq)).collect();
            let taken = !all.is_empty() && got.len() < all.len();
            assert_eq!(got, all[usize::from(taken)..], "one record may be gone with the dead consumer, no more");
            if taken {
                let left = self.place.page.left();
                assert_eq!(whole(&left[..self.filled[0]]), Some((1, 0)), "gone, and the dead consumer had not got it");
            }
            if killed.done() && self.verb != RingVerb::Consume {
                assert!(taken, "released, and here again");
            }
            Self::works(&mut producer, &mut consumer);
        }
        self.place.segment.remove("ring").unwrap();
        drop(ring);
        self.place.is_as_new();
    }
}

#[test]
fn a_ring_goes_on_with_a_successor() {
    use RingVerb::{Cancel, Commit, Consume, Produce, Read, Release, Write};
    const FULL: &[usize] = &[30; 8];
    const PADDED: &[usize] = &[100, 40];
    let mut cases = Vec::new();
    // 4 long records take 8 cells, so `advance` counts from the beginning of a lap.
    for verb in [Write, Commit] {
        for (how, advance, filled, len) in [
            ("empty", 0, &[][..], 40),
            ("half full", 2, &[40, 40, 40], 40),
            ("before a pad", 7, &[], 100),
            ("before a pad, not empty", 5, &[40, 40], 150),
            ("full", 3, FULL, 40),
            ("a long record", 1, &[], 240),
        ] {
            if !(verb == Commit && len > 200) {
                cases.push(case(format!("ring, {how}: {verb:?}"), move || RingScene::new(verb, advance, filled, len)));
            }
        }
    }
    cases.push(case("ring, before a pad: Cancel", || RingScene::new(Cancel, 7, &[], 100)));
    for verb in [Read, Release] {
        for (how, advance, filled) in
            [("empty", 5, &[][..]), ("one record", 2, &[40]), ("behind a pad", 7, PADDED), ("full", 3, FULL)]
        {
            cases.push(case(format!("ring, {how}: {verb:?}"), move || RingScene::new(verb, advance, filled, 40)));
        }
    }
    cases.push(case("ring: take the producer's end from the dead", || RingScene::new(Produce, 7, PADDED, 40)));
    cases.push(case("ring: take the consumer's end from the dead", || RingScene::new(Consume, 7, PADDED, 40)));
    run_all("ring", cases);
}

/// What is done with three records at once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum BatchVerb {
    /// Copied from a list.
    WriteMany,
    /// Built in place, seen together.
    Stage,
    /// Copied from one buffer; packed.
    WritePacked,
    ReadMany,
    /// Read in place, released together.
    Hold,
    ReadPacked,
    Shutdown,
}

impl BatchVerb {
    fn is_producer(self) -> bool {
        matches!(self, BatchVerb::WriteMany | BatchVerb::Stage | BatchVerb::WritePacked)
    }
}

const LEN: usize = 40;

fn batch(sender: u64) -> Vec<Vec<u8>> {
    (0..3).map(|seq| message(sender, seq, LEN)).collect()
}

/// A ring of eight cells or eight packed records, with one end in the survivor and the other in the child.
struct BatchScene {
    place: Place,
    verb: BatchVerb,
    packed: bool,
    /// Records that went through before: 6 put a batch around the ring's end.
    advance: u64,
    ring: Option<Ring>,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
}

impl BatchScene {
    fn new(verb: BatchVerb, packed: bool, advance: u64) -> BatchScene {
        BatchScene { place: Place::new(), verb, packed, advance, ring: None, producer: None, consumer: None }
    }
}

impl Scene for BatchScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let segment = &self.place.segment;
        let ring = if self.packed { segment.create_ring_of("ring", LEN, 8) } else { segment.create_ring("ring", 512) };
        let ring = ring.unwrap();
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for seq in 0..8 + self.advance {
            producer.write(&message(0, seq, LEN)).unwrap();
            assert_eq!(RingScene::read(&mut consumer), Ok((0, seq)));
        }
        producer.write_many(&batch(1)).unwrap();
        if self.verb.is_producer() {
            self.consumer = Some(consumer);
        } else {
            self.producer = Some(producer);
        }
        self.ring = Some(ring);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let ring = self.place.segment.open_ring("ring").unwrap();
        let (records, buffer) = (batch(2), step.0.buffer());
        let packed = records.concat();
        match self.verb {
            BatchVerb::WriteMany => {
                let mut producer = ring.producer().unwrap();
                step.through(|| producer.write_many_until(&records, soon()).map(|()| OK))
            }
            BatchVerb::WritePacked => {
                let mut producer = ring.producer().unwrap();
                step.through(|| producer.write_packed_until(&packed, soon()).map(|()| OK))
            }
            BatchVerb::Stage => {
                let mut producer = ring.producer().unwrap();
                step.through(|| {
                    for record in &records {
                        let mut grant = producer.reserve_until(LEN, soon())?;
                        grant.write(0, record)?;
                        grant.stage(LEN)?;
                    }
                    producer.publish().map(|()| OK)
                })
            }
            BatchVerb::ReadMany => {
                let (mut consumer, mut sizes) = (ring.consumer().unwrap(), [0; 3]);
                step.through(|| consumer.read_many_until(buffer, &mut sizes, soon()).map(|_| OK))
            }
            BatchVerb::ReadPacked => {
                let mut consumer = ring.consumer().unwrap();
                step.through(|| consumer.read_packed_until(&mut buffer[..3 * LEN], soon()).map(|_| OK))
            }
            BatchVerb::Hold => {
                let mut consumer = ring.consumer().unwrap();
                step.through(|| {
                    for i in 0..3 {
                        let grant = consumer.peek_until(soon())?;
                        grant.read(0, &mut buffer[i * LEN..]);
                        grant.hold()?;
                    }
                    consumer.release().map(|()| OK)
                })
            }
            BatchVerb::Shutdown => step.through(|| {
                ring.shutdown();
                Ok(OK)
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let ring = self.ring.take().unwrap();
        let three = |sender| (0..3).map(|seq| Ok((sender, seq))).collect::<Vec<Result<_, ErrorKind>>>();
        if self.verb.is_producer() {
            let mut consumer = self.consumer.take().unwrap();
            let mut read = |n| (0..n).map(|_| RingScene::read(&mut consumer)).collect::<Vec<_>>();
            assert_eq!(read(3), three(1), "what was committed before");
            match read(1)[0] {
                Err(kind) => assert_eq!((kind, killed.done()), (ErrorKind::PeerDead, false)),
                first => {
                    assert_eq!([vec![first], read(2)].concat(), three(2), "all of the batch");
                    assert_eq!(read(1), [Err(ErrorKind::PeerDead)]);
                }
            }
            let mut producer = ring.producer().unwrap();
            for lap in 0..4 {
                producer.write_many(&batch(3 + lap)).unwrap();
                assert_eq!(read(3), three(3 + lap));
            }
        } else if self.verb == BatchVerb::Shutdown {
            let mut consumer = ring.consumer().unwrap();
            assert!(ring.is_shut_down() || !killed.done());
            ring.shutdown();
            let refused = self.producer.take().unwrap().try_write(&message(3, 0, LEN)).unwrap_err();
            assert_eq!((refused.kind(), ring.producer().unwrap_err().kind()), (ErrorKind::Closed, ErrorKind::Closed));
            let read: Vec<_> = (0..4).map(|_| RingScene::read(&mut consumer)).collect();
            assert_eq!(read, [three(1), vec![Err(ErrorKind::Closed)]].concat());
        } else {
            let (mut producer, mut consumer) = (self.producer.take().unwrap(), ring.consumer().unwrap());
            let mut left = Vec::new();
            while let Some(size) = consumer.try_read(&mut [0; 64]).unwrap() {
                assert_eq!(size, LEN);
                left.push(size);
            }
            assert!(left.is_empty() || left.len() == 3, "all of them were released, or none: {}", left.len());
            assert!(left.is_empty() || !killed.done());
            if left.is_empty() {
                let bytes = self.place.page.left();
                let got: Vec<_> = (0..3).map(|i| whole(&bytes[i * LEN..(i + 1) * LEN])).collect();
                assert_eq!(
                    got,
                    [Some((1, 0)), Some((1, 1)), Some((1, 2))],
                    "gone, and the dead consumer had not got them"
                );
            }
            for lap in 0..4 {
                producer.write_many(&batch(3 + lap)).unwrap();
                assert_eq!((0..3).map(|_| RingScene::read(&mut consumer)).collect::<Vec<_>>(), three(3 + lap));
            }
        }
        self.producer = None;
        self.consumer = None;
        self.place.segment.remove("ring").unwrap();
        drop(ring);
        self.place.is_as_new();
    }
}

#[test]
fn a_batch_is_all_or_nothing_at_both_ends_of_a_ring() {
    use BatchVerb::{Hold, ReadMany, ReadPacked, Shutdown, Stage, WriteMany, WritePacked};
    let mut cases = Vec::new();
    for (verb, packed, advance) in [
        (WriteMany, false, 0),
        (WriteMany, false, 3),
        (WriteMany, true, 3),
        (Stage, false, 3),
        (WritePacked, true, 3),
        (ReadMany, false, 6),
        (Hold, false, 0),
        (ReadPacked, true, 6),
        (Shutdown, false, 0),
    ] {
        let how = if packed { "packed" } else { "cells" };
        cases.push(case(format!("ring, {how}, after {advance}: {verb:?}"), move || {
            BatchScene::new(verb, packed, advance)
        }));
    }
    run_all("ring batches", cases);
}
