//! Many records at once, packed records, exact wake and shutdown, within one process.

use super::*;
use crate::{Deadline, Segment};
use std::time::Duration;

fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

/// Number `n` as a record of `len` bytes.
fn record(n: u64, len: usize) -> Vec<u8> {
    n.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn kind<T>(answer: Result<T>) -> ErrorKind {
    answer.err().unwrap().kind()
}

#[test]
fn a_batch_is_seen_as_a_whole_and_read_with_one_release() {
    let ring = segment().ring("r", 1024).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (mut bytes, mut sizes) = ([0; 1024], [0; 16]);
    let lens = [3, 100, 0, 56, 57, 200];
    for lap in 0..50 {
        let records: Vec<_> = lens.iter().map(|len| record(lap, *len)).collect();
        producer.write_many_until(&records, patience()).unwrap();
        assert_eq!(consumer.read_many_until(&mut bytes, &mut sizes, patience()).unwrap(), lens.len(), "lap {lap}");
        assert_eq!(sizes[..lens.len()], lens);
        assert_eq!(bytes[..416], records.concat());
    }
    assert_eq!(consumer.try_read_many(&mut bytes, &mut sizes).unwrap(), 0);
    assert!(producer.try_write_many(&[b""; 0]).unwrap(), "none at all is no trouble");
    assert_eq!(consumer.try_read_many(&mut bytes, &mut sizes).unwrap(), 0);
}

#[test]
fn what_does_not_fit_leaves_nothing_of_the_batch() {
    let ring = segment().ring("r", 512).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.write(b"first").unwrap();
    assert!(!producer.try_write_many(&[[1; 50]; 8]).unwrap());
    assert_eq!(kind(producer.write_many_until(&[[1; 50]; 8], Duration::from_millis(20).into())), ErrorKind::Timeout);
    let other = segment().ring("other", 512).unwrap().producer().unwrap().write_many(&[[1; 50]; 9]);
    assert_eq!(kind(other), ErrorKind::TooLarge, "it would wait for itself");
    assert_eq!(kind(producer.write_many(&[&[1; 5][..], &[1; 300]])), ErrorKind::TooLarge);
    assert!(producer.try_write_many(&[[2; 50]; 7]).unwrap());
    let (mut bytes, mut sizes) = ([0; 512], [0; 16]);
    assert_eq!(consumer.read_many(&mut bytes, &mut sizes).unwrap(), 8, "the first and the second batch, nothing else");
    assert_eq!((&bytes[..5], &bytes[5..355]), (&b"first"[..], &[2; 350][..]));
}

#[test]
fn many_are_read_as_far_as_buffer_and_sizes_go() {
    let ring = segment().ring("r", 1024).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.write_many(&[[1; 10]; 5]).unwrap();
    let (mut bytes, mut sizes) = ([0; 25], [0; 16]);
    assert_eq!(consumer.read_many(&mut bytes[..9], &mut sizes).map_err(|e| e.kind()), Err(ErrorKind::TooLarge));
    assert_eq!(consumer.read_many(&mut bytes, &mut sizes[..0]).unwrap(), 0);
    assert_eq!(consumer.read_many(&mut bytes, &mut sizes).unwrap(), 2, "two fit");
    assert_eq!(consumer.read_many(&mut bytes, &mut sizes[..1]).unwrap(), 1);
    assert_eq!(consumer.read_many(&mut bytes, &mut sizes).unwrap(), 2);
}

#[test]
fn staged_grants_are_seen_with_the_next_commit_and_held_ones_go_with_the_next_release() {
    let ring = segment().ring("r", 1024).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for n in 0..3u8 {
        let mut grant = producer.reserve(100).unwrap();
        grant.write(0, &[n; 70]).unwrap();
        grant.stage(70).unwrap();
        assert!(consumer.try_peek().unwrap().is_none(), "staged is not there");
    }
    drop(producer.reserve(10).unwrap());
    producer.write(b"last").unwrap();
    let mut places = Vec::new();
    for _ in 0..3 {
        let grant = consumer.peek().unwrap();
        places.push(grant.as_ptr());
        grant.hold().unwrap();
    }
    assert_eq!(consumer.peek().unwrap().size(), 4);
    while producer.try_write(b"x").unwrap() {}
    consumer.rewind();
    assert_eq!(consumer.peek().unwrap().as_ptr(), places[0], "all of it again");
    for _ in 0..3 {
        consumer.peek().unwrap().hold().unwrap();
    }
    consumer.peek().unwrap().release().unwrap();
    let free = (0..).take_while(|_| producer.try_write(b"x").unwrap()).count();
    assert_eq!(free, 7, "three records of two cells and one of one cell, all at once");
    assert_eq!(kind(consumer.hold()), ErrorKind::Invalid);
}

#[test]
fn what_was_discarded_or_held_by_one_that_left_is_as_if_it_had_never_been() {
    let ring = segment().ring("r", 1024).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for size in [100, 40, 1] {
        producer.reserve(size).unwrap().stage(size).unwrap();
    }
    producer.discard();
    producer.publish().unwrap();
    assert!(consumer.try_peek().unwrap().is_none());
    producer.reserve(5).unwrap().stage(5).unwrap();
    drop(producer);
    let mut producer = ring.producer().unwrap();
    producer.write_many(&[b"a", b"b"]).unwrap();
    consumer.peek().unwrap().hold().unwrap();
    consumer.peek().unwrap().hold().unwrap();
    drop(consumer);
    let mut consumer = ring.consumer().unwrap();
    let (mut bytes, mut sizes) = ([0; 8], [0; 8]);
    assert_eq!((consumer.read_many(&mut bytes, &mut sizes).unwrap(), &bytes[..2]), (2, &b"ab"[..]));
    producer.reserve(5).unwrap().stage(5).unwrap();
    producer.publish().unwrap();
    assert_eq!(consumer.peek().unwrap().size(), 5);
    consumer.peek().unwrap().hold().unwrap();
    consumer.release().unwrap();
    assert_eq!(kind(consumer.release()), ErrorKind::Invalid);
}

#[test]
fn packed_records_go_through_one_by_one_and_in_batches() {
    for size in [1, 3, 8, 28, 64, 200] {
        let ring = segment().ring_of("r", size, 13).unwrap();
        assert_eq!((ring.record_size(), ring.capacity(), ring.max_record()), (Some(size), Some(16), size));
        assert_eq!(ring.size(), 16 * size);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let mut buffer = vec![0; 16 * size];
        let (mut sent, mut read) = (0, 0);
        for turn in 0..200 {
            let n = turn % 12 + 1;
            let batch: Vec<u8> = (sent..sent + n).flat_map(|i| record(i, size)).collect();
            match turn % 3 {
                0 => producer.write_packed_until(&batch, patience()).unwrap(),
                1 => assert!(producer.try_write_packed(&batch).unwrap()),
                _ => batch.chunks(size).for_each(|one| producer.write_until(one, patience()).unwrap()),
            }
            sent += n;
            while read < sent {
                let n = if turn % 2 == 0 {
                    consumer.read_packed_until(&mut buffer[..5 * size], patience()).unwrap()
                } else {
                    consumer.read_until(&mut buffer, patience()).unwrap() / size
                };
                for one in buffer[..n * size].chunks(size) {
                    assert_eq!(one, record(read, size));
                    read += 1;
                }
            }
        }
        assert_eq!(consumer.try_read_packed(&mut buffer).unwrap(), 0);
    }
}

#[test]
fn packed_room_and_records_are_lent_in_one_piece() {
    let ring = segment().ring_of("r", 8, 16).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.write_packed(&[1; 80]).unwrap();
    assert_eq!(consumer.read_packed(&mut [0; 72]).unwrap(), 9);
    let mut grant = producer.reserve_packed(100).unwrap();
    assert_eq!(grant.size(), 48, "six until the end");
    grant.write(0, &[2; 48]).unwrap();
    assert_eq!(grant.stage(44).unwrap_err().kind(), ErrorKind::Invalid, "no whole number of records");
    let mut grant = producer.reserve_packed(6).unwrap();
    grant.write(0, &[2; 48]).unwrap();
    grant.stage(48).unwrap();
    let mut grant = producer.reserve_packed(2).unwrap();
    assert_eq!(grant.size(), 16, "and around it");
    grant.write(0, &[3; 16]).unwrap();
    grant.commit(16).unwrap();
    let grant = consumer.peek_packed(100).unwrap();
    assert_eq!(grant.size(), 56);
    grant.hold().unwrap();
    let grant = consumer.peek_packed(100).unwrap();
    let mut buffer = [0; 32];
    assert_eq!((grant.read(0, &mut buffer), buffer[15]), (16, 3));
    grant.release().unwrap();
    assert!(consumer.try_peek_packed(1).unwrap().is_none());
    assert_eq!(producer.try_reserve_packed(0).unwrap().unwrap().size(), 8);
}

#[test]
fn a_packed_ring_refuses_other_sizes_and_one_of_any_size_refuses_packed_calls() {
    let segment = segment();
    let packed = segment.ring_of("p", 8, 4).unwrap();
    let (mut producer, mut consumer) = (packed.producer().unwrap(), packed.consumer().unwrap());
    assert_eq!(kind(producer.write(b"short")), ErrorKind::Invalid);
    assert_eq!(kind(producer.write(b"far too long")), ErrorKind::TooLarge);
    assert_eq!(kind(producer.write_packed(b"no multiple")), ErrorKind::Invalid);
    assert_eq!(kind(producer.write_packed(&[0; 40])), ErrorKind::TooLarge);
    assert_eq!(kind(producer.write_many(&[[0; 8], [0; 8], [0; 8], [0; 8], [0; 8]])), ErrorKind::TooLarge);
    assert!(producer.try_write_packed(&[]).unwrap());
    assert_eq!(kind(consumer.read_packed(&mut [0; 7])), ErrorKind::TooLarge);
    assert!(consumer.try_peek().unwrap().is_none());
    producer.write_packed(&[0; 32]).unwrap();
    assert!(!producer.try_write(&[0; 8]).unwrap() && !producer.try_write_packed(&[0; 8]).unwrap());
    let any = segment.ring("a", 4096).unwrap();
    let (mut producer, mut consumer) = (any.producer().unwrap(), any.consumer().unwrap());
    for error in [
        kind(producer.write_packed(&[0; 8])),
        kind(producer.reserve_packed(1)),
        kind(producer.try_reserve_packed(1)),
        kind(consumer.read_packed(&mut [0; 8])),
        kind(consumer.peek_packed(1)),
        kind(consumer.try_peek_packed(1)),
    ] {
        assert_eq!(error, ErrorKind::Invalid);
    }
}

#[test]
fn a_stream_of_batches_arrives_whole_and_in_order() {
    for exact in [false, true] {
        let ring = segment().ring_with("r", RingOptions::packed(16, 64).exact_wake(exact)).unwrap();
        assert_eq!(ring.is_exact_wake(), exact);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        const RECORDS: u64 = 60_000;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut next = 0;
                while next < RECORDS {
                    let n = (next % 37 + 1).min(RECORDS - next);
                    let batch: Vec<u8> = (next..next + n).flat_map(|i| record(i, 16)).collect();
                    producer.write_packed_until(&batch, patience()).unwrap();
                    next += n;
                }
            });
            let (mut buffer, mut next) = ([0; 16 * 29], 0);
            while next < RECORDS {
                let n = consumer.read_packed_until(&mut buffer, patience()).unwrap();
                for one in buffer[..n * 16].chunks(16) {
                    assert_eq!(one, record(next, 16));
                    next += 1;
                }
            }
        });
    }
}

#[test]
fn after_a_shutdown_nothing_is_written_and_what_is_there_is_read_first() {
    for packed in [false, true] {
        let segment = segment();
        let options = if packed { RingOptions::packed(4, 8) } else { RingOptions::sized(512) };
        let ring = segment.ring_with("r", options).unwrap();
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        producer.write(b"last").unwrap();
        std::mem::forget(producer.reserve(4).unwrap());
        ring.shutdown();
        ring.shutdown();
        assert!(ring.is_shut_down());
        assert_eq!(kind(producer.commit(4)), ErrorKind::Closed, "reserved is not there");
        producer.cancel();
        assert_eq!(kind(producer.write(b"more")), ErrorKind::Closed);
        assert_eq!(kind(producer.try_write(b"more")), ErrorKind::Closed);
        assert_eq!(kind(producer.write_many(&[b"more"])), ErrorKind::Closed);
        assert_eq!(kind(producer.publish()), ErrorKind::Closed);
        drop(producer);
        let later = segment.open_ring("r").unwrap().producer().unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Closed);
        assert!(later.to_string().contains("shut down"), "{later}");
        let mut buffer = [0; 8];
        assert_eq!(consumer.read(&mut buffer).unwrap(), 4);
        assert_eq!(kind(consumer.read(&mut buffer)), ErrorKind::Closed);
        assert_eq!(kind(consumer.try_peek()), ErrorKind::Closed);
        let ObjectState::Ring { shut_down, record_size, .. } = segment.objects().unwrap()[0].state else { panic!() };
        assert!(shut_down);
        assert_eq!(record_size, if packed { 4 } else { 0 });
    }
}

#[test]
fn a_shutdown_wakes_whoever_sleeps_at_either_end() {
    let segment = segment();
    let (full, empty) = (segment.ring("full", 256).unwrap(), segment.ring("empty", 256).unwrap());
    let (mut producer, mut consumer) = (full.producer().unwrap(), empty.consumer().unwrap());
    while producer.try_write(b"x").unwrap() {}
    std::thread::scope(|scope| {
        let writes = scope.spawn(move || kind(producer.write_until(b"x", patience())));
        let reads = scope.spawn(move || kind(consumer.read_until(&mut [0; 8], patience())));
        let limit = patience();
        while segment.waits().unwrap().len() < 2 {
            assert!(!limit.passed(), "nobody went to sleep");
            std::thread::yield_now();
        }
        full.shutdown();
        empty.shutdown();
        assert_eq!((writes.join().unwrap(), reads.join().unwrap()), (ErrorKind::Closed, ErrorKind::Closed));
    });
}

#[test]
fn options_agree_with_what_is_there_or_are_refused_with_both() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let ring = segment.ring_with("d", RingOptions::new()).unwrap();
    assert_eq!(ring.size(), 1 << 17, "an eighth of the segment");
    assert_eq!(segment.ring_with("d", RingOptions::new()).unwrap().size(), 1 << 17);
    let large = Segment::anonymous(Ring::DEFAULT_SIZE * 8).unwrap();
    assert_eq!(large.ring_with("d", RingOptions::new()).unwrap().size(), Ring::DEFAULT_SIZE);
    let points = RingOptions::packed(16, 100).exact_wake(true).type_tag("T{d:x:d:y:}");
    let ring = segment.ring_with("p", points).unwrap();
    assert_eq!(ring.type_tag().unwrap().as_deref(), Some("T{d:x:d:y:}"));
    assert_eq!(segment.ring_of("p", 16, 128).unwrap().capacity(), Some(128), "exact is more than was asked for");
    assert_eq!(segment.ring_with("p", RingOptions::packed_by_default(16)).unwrap().capacity(), Some(128));
    for other in [
        RingOptions::packed(16, 64),
        RingOptions::packed(8, 128),
        RingOptions::sized(2048),
        RingOptions::new(),
        RingOptions::packed(16, 128).type_tag("T{d:x:i:y:4x}"),
    ] {
        assert_eq!(kind(segment.ring_with("p", other)), ErrorKind::Incompatible, "{other:?}");
    }
    let error = segment.ring_with("d", RingOptions::new().exact_wake(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("exact wake"), "{error}");
    for (size, capacity) in [(0, 4), (4, 0), (usize::MAX, 2), (1 << 34, 2), (8, usize::MAX)] {
        assert_eq!(kind(segment.ring_of("bad", size, capacity)), ErrorKind::Invalid, "{size} {capacity}");
    }
    assert_eq!(kind(segment.create_ring_of("p", 16, 128)), ErrorKind::Exists);
}

#[test]
fn garbage_positions_of_a_packed_ring_are_an_error_that_names_it() {
    let ring = segment().ring_of("r", 8, 4).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    ring.place.producer().position.store(5, crate::prim::Ordering::Relaxed);
    let error = consumer.read_packed(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("/r\""), "{error}");
    ring.place.consumer().position.store(9, crate::prim::Ordering::Relaxed);
    assert_eq!(kind((0..5).try_for_each(|_| producer.write(&[0; 8]))), ErrorKind::Corrupt);
    drop((producer, consumer));
    assert_eq!((kind(ring.producer()), kind(ring.consumer())), (ErrorKind::Corrupt, ErrorKind::Corrupt));
}
