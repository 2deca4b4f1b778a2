use super::memory::MOST_WRITERS;
use super::words::Buffers;
use super::*;
use crate::Segment;
use crate::prim::AtomicU64;
use crate::prim::Ordering::Release;
use crate::{Interest, WaitSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn segment() -> Segment {
    Segment::anonymous(4 << 20).unwrap()
}

#[test]
fn a_cell_is_empty_until_the_first_store_and_then_has_the_latest_value() {
    let cell = segment().cell::<f64>("c").unwrap();
    assert_eq!((cell.load().unwrap(), cell.version(), cell.try_load_newer(0).unwrap()), (None, 0, None));
    for i in 1..=20u64 {
        assert_eq!(cell.store(i as f64).unwrap(), i);
        assert_eq!((cell.load().unwrap(), cell.version()), (Some(i as f64), i));
        assert_eq!(cell.try_load_newer(i - 1).unwrap(), Some((i, i as f64)));
        assert_eq!(cell.try_load_newer(i).unwrap(), None);
    }
    assert_eq!(cell.load_newer(3).unwrap(), (20, 20.0));
    let error = cell.load_newer_until(20, Deadline::after(Duration::from_millis(3))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn size_and_type_are_compared() {
    let segment = segment();
    let cell = segment.cell::<[f32; 4]>("c").unwrap();
    assert_eq!(cell.raw().type_tag().unwrap().as_deref(), Some("(4)f"));
    segment.open_cell::<[f32; 4]>("c").unwrap();
    for error in [segment.cell::<[i32; 4]>("c").err(), segment.open_cell::<f64>("c").err()] {
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.to_string().contains("f32[4]"), "{error}");
    }
    let untyped = segment.cell_with("bytes", &CellOptions::bytes(8)).unwrap();
    assert_eq!(untyped.type_tag().unwrap(), None);
    segment.open_cell::<f64>("bytes").unwrap();
    assert_eq!(segment.open_cell::<f32>("bytes").unwrap_err().kind(), ErrorKind::Incompatible);
    assert_eq!(segment.cell_with("bytes", &CellOptions::bytes(9)).unwrap_err().kind(), ErrorKind::Incompatible);
    for bad in [
        CellOptions::bytes(0),
        CellOptions::bytes(usize::MAX),
        CellOptions::bytes(8).writers(0),
        CellOptions::bytes(8).writers(MOST_WRITERS + 1),
        CellOptions::bytes(8).type_tag("f"),
        CellOptions::bytes(8).type_tag("junk"),
    ] {
        assert_eq!(segment.cell_with("bad", &bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
    }
    // What does not fit where it is to go is too large; otherwise the size is just wrong.
    let (mut small, mut large) = ([0; 7], [0; 9]);
    assert_eq!(untyped.store(&large).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(untyped.load(&mut small).unwrap_err().kind(), ErrorKind::TooLarge);
    for error in [
        untyped.store(&small).unwrap_err(),
        untyped.try_store(&[]).unwrap_err(),
        untyped.load(&mut large).unwrap_err(),
        untyped.load_newer(0, &mut large).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("bytes\" has 8"), "{error}");
    }
}

#[test]
fn no_value_is_torn_and_versions_only_grow() {
    // Large enough that a copy takes longer than a store of the others.
    const WORDS: usize = 512;
    let cell = segment().cell::<[u64; WORDS]>("c").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let (cell, stop) = (cell.clone(), &stop);
            scope.spawn(move || {
                for i in 0.. {
                    cell.store([writer << 32 | i; WORDS]).unwrap();
                    if stop.load(Relaxed) {
                        break;
                    }
                }
            });
        }
        let mut seen = 0;
        for _ in 0..2000 {
            let (version, value) = cell.load_newer(seen).unwrap();
            assert!(version > seen);
            seen = version - 1;
            assert!(value.iter().all(|word| *word == value[0]), "torn at version {version}");
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn a_writer_in_the_middle_of_a_store_blocks_nobody_until_all_buffers_are_out() {
    let cell = segment().cell_with("c", &CellOptions::bytes(8).writers(2)).unwrap();
    cell.store(&[1; 8]).unwrap();
    let me = cell.object.me().unwrap();
    let claims: Vec<_> = (0..2).map(|_| cell.memory.words().claim(me).unwrap().unwrap()).collect();
    let mut buffer = [0; 8];
    for i in 2..9 {
        cell.store(&[i; 8]).unwrap();
        cell.load(&mut buffer).unwrap();
        assert_eq!(buffer, [i; 8]);
    }
    let third = cell.memory.words().claim(me).unwrap().unwrap();
    assert_eq!(cell.try_store(&[9; 8]).unwrap(), None);
    let error = cell.store_until(&[9; 8], Deadline::after(Duration::from_millis(2))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let state = (KIND.state)(cell.object.view()).unwrap();
    assert!(
        matches!(&state, ObjectState::Cell { version: 8, writers, size: 8, .. } if *writers == [me; 3]),
        "{state:?}"
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cell.clone().store(&[9; 8]).unwrap());
        cell.memory.words().release(third);
        assert_eq!(waiting.join().unwrap(), 9);
    });
    for claim in claims {
        cell.memory.words().release(claim);
    }
    assert_eq!(cell.try_store(&[10; 8]).unwrap(), Some(10));
}

#[test]
fn what_a_dead_writer_claimed_comes_back() {
    let cell = segment().cell_with("c", &CellOptions::bytes(8).writers(1)).unwrap();
    cell.store(&[1; 8]).unwrap();
    // No process sits in slot 60, so it is dead by everybody's word.
    for _ in 0..2 {
        cell.memory.words().claim(60).unwrap().unwrap();
    }
    assert_eq!(cell.store(&[2; 8]).unwrap(), 2);
    cell.memory.words().claim(59).unwrap().unwrap();
    (KIND.repair)(cell.object.view(), 59);
    assert_eq!(cell.memory.words().writers().count(), 0);
}

#[test]
fn a_wait_set_is_told_of_values_that_were_not_loaded_yet() {
    let cell = segment().cell::<u32>("c").unwrap();
    let mut set = WaitSet::new().unwrap();
    let token = set.add(&cell, Interest::Receive).unwrap();
    let mut try_ = || set.wait_until(Deadline::after(Duration::from_millis(1)));
    assert!(try_().is_err());
    cell.store(1).unwrap();
    assert_eq!(try_().unwrap()[0].token, token);
    cell.load().unwrap();
    assert!(try_().is_err());
    cell.store(2).unwrap();
    assert_eq!(try_().unwrap().len(), 1);
    assert!(set.add(&cell, Interest::Send).is_err());
}

#[test]
fn who_waits_for_a_newer_value_is_woken_or_told_that_the_cell_is_gone() {
    let segment = segment();
    let cell = segment.cell::<u32>("c").unwrap();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| cell.clone().load_newer(0).unwrap())).collect();
        while segment.waits().unwrap().len() < 3 {
            std::thread::yield_now();
        }
        cell.store(7).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), (1, 7));
        }
        let waiter = scope.spawn(|| cell.load_newer(1).unwrap_err().kind());
        while segment.waits().unwrap().is_empty() {
            std::thread::yield_now();
        }
        segment.remove("c").unwrap();
        assert_eq!(waiter.join().unwrap(), ErrorKind::Removed);
    });
}

#[test]
fn garbage_is_an_error() {
    let segment = segment();
    let cell = segment.cell::<u32>("c").unwrap();
    cell.store(1).unwrap();
    let latest: &AtomicU64 = cell.raw().object.view().at(0).unwrap();
    latest.store(1 << 8 | 200, Release);
    assert_eq!(cell.load().unwrap_err().kind(), ErrorKind::Corrupt);
    // A store puts it right: the word names no buffer, so all are free.
    cell.store(2).unwrap();
    assert_eq!(cell.load().unwrap(), Some(2));
    for index in 0..6 {
        cell.raw().memory.word(index).store(u64::MAX, Release);
    }
    latest.store(u64::MAX, Release);
    assert_eq!(cell.load().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(cell.try_store(2).unwrap_err().kind(), ErrorKind::Corrupt);
    let _ = (KIND.state)(cell.raw().object.view());
    (KIND.repair)(cell.raw().object.view(), 1);
}
