//! The two ends within one process; `tests/process` has them in several, and kills them.

use super::*;
use crate::prim::{AtomicU32, Ordering::Relaxed};
use crate::wait::ParkWord;
use crate::{Deadline, Segment};
use std::time::{Duration, Instant};

/// Longer than anything here takes: a test that waits for it has failed.
fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A ring in a segment of its own.
fn ring(size: usize) -> Ring {
    Segment::anonymous(1 << 20).unwrap().ring("r", size).unwrap()
}

/// Bytes that differ from record to record and from place to place.
fn bytes(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (number * 31 + i * 7) as u8).collect()
}

#[test]
fn records_of_every_size_come_out_as_they_went_in() {
    let ring = ring(1024);
    assert_eq!((ring.size(), ring.max_record(), ring.name()), (1024, 504, "r"));
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut buffer = [0; 504];
    for len in 0..=504 {
        producer.write(&bytes(len, len)).unwrap();
        assert_eq!(consumer.read(&mut buffer).unwrap(), len);
        assert_eq!(buffer[..len], bytes(len, len));
    }
    assert_eq!(consumer.try_read(&mut buffer).unwrap(), None);
}

#[test]
fn the_try_forms_answer_when_full_and_when_empty() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert!(consumer.try_peek().unwrap().is_none());
    for i in 0..4 {
        assert!(producer.try_write(&[i]).unwrap());
    }
    assert!(!producer.try_write(&[4]).unwrap());
    assert!(producer.try_reserve(0).unwrap().is_none());
    let mut buffer = [0; 8];
    assert_eq!(consumer.try_read(&mut buffer).unwrap(), Some(1));
    assert!(producer.try_write(&[4]).unwrap());
    for i in 1..5 {
        assert_eq!(consumer.try_read(&mut buffer).unwrap(), Some(1));
        assert_eq!(buffer[0], i);
    }
}

#[test]
fn each_end_is_had_once_and_given_back_by_dropping() {
    let ring = ring(256);
    let (producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for error in [ring.producer().unwrap_err(), ring.consumer().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("this process"), "{error}");
    }
    drop((producer, consumer));
    assert!(ring.producer().is_ok() && ring.consumer().is_ok());
}

#[test]
fn whoever_takes_an_end_goes_on_where_it_was_given_back() {
    let ring = ring(256);
    let mut buffer = [0; 8];
    for i in 0..50 {
        ring.producer().unwrap().write(&[i]).unwrap();
        ring.producer().unwrap().write(&[i, i]).unwrap();
        assert_eq!(ring.consumer().unwrap().read(&mut buffer).unwrap(), 1);
        let mut consumer = ring.consumer().unwrap();
        consumer.peek().unwrap();
        drop(consumer);
        assert_eq!(ring.consumer().unwrap().read(&mut buffer).unwrap(), 2);
        assert_eq!(buffer[..2], [i, i]);
    }
}

#[test]
fn too_large_says_how_large_and_changes_nothing() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let error = producer.write(&[0; 121]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("121") && error.to_string().contains("120"), "{error}");
    assert_eq!(producer.try_reserve(usize::MAX).unwrap_err().kind(), ErrorKind::TooLarge);
    producer.write(&[7; 20]).unwrap();
    let error = consumer.read(&mut [0; 19]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("20") && error.to_string().contains("19"), "{error}");
    let mut buffer = [0; 20];
    assert_eq!(consumer.read(&mut buffer).unwrap(), 20, "the record stayed");
    assert_eq!(buffer, [7; 20]);
}

#[test]
fn a_record_can_be_built_and_read_in_place() {
    let ring = ring(1024);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut grant = producer.reserve(100).unwrap();
    assert_eq!(grant.size(), 100);
    grant.write(0, b"hello ").unwrap();
    grant.write(6, b"ring").unwrap();
    assert_eq!(grant.write(98, b"abc").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(grant.write(usize::MAX, b"abc").unwrap_err().kind(), ErrorKind::TooLarge);
    grant.commit(10).unwrap();
    let grant = consumer.peek().unwrap();
    assert_eq!(grant.size(), 10);
    let mut buffer = [0; 16];
    assert_eq!(grant.read(6, &mut buffer), 4);
    assert_eq!(&buffer[..4], b"ring");
    assert_eq!((grant.read(10, &mut buffer), grant.read(usize::MAX, &mut buffer)), (0, 0));
    let place = grant.as_ptr();
    drop(grant);
    let grant = consumer.peek().unwrap();
    assert_eq!(grant.as_ptr(), place, "a dropped grant keeps its record");
    grant.release().unwrap();
    assert!(consumer.try_peek().unwrap().is_none());
}

#[test]
fn a_dropped_reservation_leaves_nothing_and_too_large_a_commit_cancels() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    drop(producer.reserve(120).unwrap());
    producer.reserve(120).unwrap().cancel();
    assert_eq!(producer.reserve(10).unwrap().commit(11).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(consumer.try_peek().unwrap().is_none());
    producer.write(b"x").unwrap();
    assert_eq!(consumer.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn a_forgotten_grant_is_ended_through_its_end() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!(producer.commit(0).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(consumer.release().unwrap_err().kind(), ErrorKind::Invalid);
    let mut grant = producer.reserve(10).unwrap();
    grant.write(0, b"0123456789").unwrap();
    std::mem::forget(grant);
    assert_eq!(producer.write(b"y").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(producer.try_reserve(1).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(producer.commit(11).unwrap_err().kind(), ErrorKind::TooLarge);
    producer.commit(10).unwrap();
    assert_eq!(producer.commit(10).unwrap_err().kind(), ErrorKind::Invalid);
    std::mem::forget(producer.reserve(10).unwrap());
    producer.cancel();
    producer.write(b"second").unwrap();

    std::mem::forget(consumer.peek().unwrap());
    consumer.keep();
    assert_eq!(consumer.release().unwrap_err().kind(), ErrorKind::Invalid);
    std::mem::forget(consumer.peek().unwrap());
    consumer.release().unwrap();
    std::mem::forget(consumer.peek().unwrap());
    assert_eq!(consumer.read(&mut [0; 6]).unwrap(), 6, "what was lent is what is read");
    assert_eq!(consumer.release().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_wait_lasts_at_least_until_its_deadline() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let wait = Duration::from_millis(30);
    let began = Instant::now();
    let error = consumer.read_until(&mut [0; 8], wait.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() >= wait);
    while producer.try_write(b"x").unwrap() {}
    let began = Instant::now();
    assert_eq!(producer.reserve_until(1, wait.into()).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(began.elapsed() >= wait);
    assert_eq!(producer.write_until(b"x", Deadline::now()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(consumer.peek_until(Deadline::now()).unwrap().size(), 1);
}

#[test]
fn a_stream_through_a_small_ring_arrives_whole_and_in_order() {
    let ring = ring(512);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let size = |i: usize| i * 7919 % 249;
    const RECORDS: usize = 100_000;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..RECORDS {
                producer.write_until(&bytes(i, size(i)), patience()).unwrap();
            }
        });
        let mut buffer = [0; 248];
        for i in 0..RECORDS {
            let n = consumer.read_until(&mut buffer, patience()).unwrap();
            assert_eq!(buffer[..n], bytes(i, size(i)), "record {i}");
        }
        assert_eq!(consumer.try_read(&mut buffer).unwrap(), None);
    });
}

#[test]
fn a_sleeper_is_woken_by_a_record_and_by_room() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    std::thread::scope(|scope| {
        // Sleepers, not spinners: each side goes on only once the other one's park word says that it sleeps.
        let asleep = |park: &ParkWord| {
            let word = park as *const _ as *const AtomicU32;
            let limit = patience();
            // SAFETY: a park word is one atomic u32, and the ring outlives the loop.
            while unsafe { &*word }.load(Relaxed) == 0 {
                assert!(!limit.passed(), "nobody went to sleep");
                std::thread::yield_now();
            }
        };
        let place = ring.place;
        scope.spawn(move || {
            for i in 0..20 {
                asleep(place.filled());
                producer.write(&[i]).unwrap();
            }
            while producer.try_write(b"fill").unwrap() {}
            producer.write_until(b"last", patience()).unwrap();
        });
        let mut buffer = [0; 4];
        for i in 0..20 {
            assert_eq!(consumer.read_until(&mut buffer, patience()).unwrap(), 1);
            assert_eq!(buffer[0], i);
        }
        asleep(place.freed());
        while &buffer != b"last" {
            consumer.read_until(&mut buffer, patience()).unwrap();
        }
    });
}

#[test]
fn garbage_in_the_segment_is_an_error_that_names_the_ring() {
    let ring = ring(256);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    ring.place.header(0).store(1 << 32 | 0xFFFF_FFFF, Relaxed);
    for error in [consumer.read(&mut [0; 8]).unwrap_err(), consumer.try_peek().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("/r\""), "{error}");
    }
    ring.place.consumer().position.store(99, Relaxed);
    let error = (0..5).find_map(|_| producer.try_write(&[1]).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    drop((producer, consumer));
    ring.place.consumer().position.store(u64::MAX, Relaxed);
    assert_eq!(ring.producer().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(ring.consumer().unwrap_err().kind(), ErrorKind::Corrupt);
    ring.place.consumer().position.store(0, Relaxed);
    assert!(ring.consumer().is_ok(), "a failed take has given the role back");
}

#[test]
fn the_ends_may_move_between_threads() {
    fn sendable<T: Send>() {}
    fn shareable<T: Sync>() {}
    sendable::<Producer>();
    sendable::<Consumer>();
    sendable::<Ring>();
    shareable::<Ring>();
}
