use super::*;
use crate::prim::AtomicU32;
use crate::{Complex, Typed};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn segment() -> Segment {
    Segment::anonymous(4 << 20).unwrap()
}

/// A lock that looks as if the process in `slot`, which does not exist, had died with it.
fn abandon(array: &RawArray, slot: u32) {
    let word: &AtomicU32 = array.object.view().at(0).unwrap();
    word.store(mutex::owner_word(slot, 0), Release);
}

#[test]
fn elements_lie_at_a_page_in_c_order() {
    let array = segment().array::<f64>("a", &[2, 3, 4]).unwrap();
    assert_eq!((array.shape(), array.len(), array.raw().strides()), (&[2, 3, 4][..], 24, vec![96, 32, 8]));
    assert_eq!(array.as_ptr() as usize % PAGE, 0);
    array.set(&[1, 2, 3], 5.0).unwrap();
    // SAFETY: nobody else has this array.
    assert_eq!(unsafe { array.as_slice() }.iter().position(|x| *x == 5.0), Some(23));
    for bad in [&[2, 0, 0][..], &[0, 0, 4], &[0, 0], &[0, 0, 0, 0]] {
        assert_eq!(array.get(bad).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(array.copy_from(&[0.0; 23]).unwrap_err().kind(), ErrorKind::Invalid);
    array.copy_from(&std::array::from_fn::<_, 24, _>(|i| i as f64)).unwrap();
    assert_eq!(array.get(&[1, 0, 1]).unwrap(), 13.0);
    assert_eq!(array.raw().write_at(190, &[0; 4]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(array.raw().read(usize::MAX, &mut [0; 4]).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn shape_and_element_type_are_compared() {
    #[derive(Clone, Copy, Typed)]
    #[repr(C)]
    struct Point {
        x: f32,
        y: f32,
    }
    let segment = segment();
    segment.array::<Point>("points", &[10]).unwrap();
    assert_eq!(segment.open_array::<Point>("points").unwrap().shape(), [10]);
    let error = segment.array::<Point>("points", &[11]).unwrap_err();
    assert!(error.kind() == ErrorKind::Incompatible && error.to_string().contains("[10]"), "{error}");
    let error = segment.array::<Complex<f32>>("points", &[10]).unwrap_err();
    assert!(error.kind() == ErrorKind::Incompatible && error.to_string().contains("c64"), "{error}");
    assert!(segment.raw_array("points", "2f", &[10]).is_ok());
    segment.event("e", 0).unwrap();
    assert_eq!(segment.open_array::<f64>("e").unwrap_err().kind(), ErrorKind::Incompatible);
    for (tag, shape) in [("d", &[1; 9][..]), ("", &[1]), ("junk", &[1]), ("d", &[usize::MAX, 2]), ("d", &[1 << 60])] {
        assert_eq!(segment.raw_array("bad", tag, shape).unwrap_err().kind(), ErrorKind::Invalid, "{tag} {shape:?}");
    }
    assert_eq!(segment.array::<f64>("big", &[1 << 30]).unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(segment.array::<f64>("none", &[3, 0]).unwrap().snapshot().unwrap().is_empty());
    assert_eq!(segment.array::<f64>("scalar", &[]).unwrap().len(), 1);
    assert_eq!(segment.array::<u8>("eight", &[2; 8]).unwrap().raw().strides()[0], 128);
}

#[test]
fn no_snapshot_is_torn() {
    const N: usize = 1000;
    let array = segment().array::<u64>("a", &[N]).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (array, stop) = (array.clone(), &stop);
            scope.spawn(move || {
                for i in 0.. {
                    let guard = array.write().unwrap();
                    guard.copy_from(&[writer << 32 | i; N]).unwrap();
                    drop(guard);
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for i in 0..500 {
            let seen = if i % 2 == 0 { Some(array.snapshot().unwrap()) } else { array.try_snapshot().unwrap() };
            assert!(seen.is_none_or(|seen| seen.iter().all(|x| *x == seen[0])), "torn");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_snapshot_waits_for_the_writer_and_the_writer_sees_its_own() {
    let array = segment().array::<u8>("a", &[16]).unwrap();
    let guard = array.write().unwrap();
    guard.copy_from(&[1; 16]).unwrap();
    assert_eq!(array.snapshot().unwrap(), [1; 16]); // ours
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let soon = || Deadline::after(Duration::from_millis(2));
            assert!(array.try_snapshot().unwrap().is_none());
            assert_eq!(array.snapshot_until(soon()).unwrap_err().kind(), ErrorKind::Timeout);
            assert!(array.try_write().unwrap().is_none());
        });
        other.join().unwrap();
    });
    assert_eq!(array.raw().writer().unwrap().pid, Some(std::process::id()));
    drop(guard);
    assert_eq!((array.raw().version(), array.try_snapshot().unwrap().unwrap()), (1, vec![1; 16]));
    assert_eq!(array.raw().end_write().unwrap_err().kind(), ErrorKind::NotOwner);
    std::mem::forget(array.write().unwrap());
    array.raw().end_write().unwrap();
    assert_eq!(array.raw().version(), 2);
}

#[test]
fn who_dies_in_the_middle_is_told_until_somebody_recovers() {
    let array = segment().array::<u8>("a", &[16]).unwrap();
    // In the middle: locked and odd.
    std::mem::forget(array.write().unwrap());
    abandon(array.raw(), 60);
    assert_eq!(array.snapshot().unwrap_err().kind(), ErrorKind::OwnerDied);
    assert_eq!(array.try_snapshot().unwrap_err().kind(), ErrorKind::OwnerDied);
    let Err(LockError::OwnerDied(guard)) = array.write() else { panic!("nobody was told") };
    drop(guard); // not put right
    assert!(array.raw().owner_died());
    assert_eq!(array.snapshot().unwrap_err().kind(), ErrorKind::OwnerDied);
    let Err(LockError::OwnerDied(guard)) = array.try_write() else { panic!("nobody was told") };
    guard.copy_from(&[9; 16]).unwrap();
    guard.recover();
    drop(guard);
    assert_eq!(array.snapshot().unwrap(), [9; 16]);
    assert!(!array.raw().owner_died());
    // With the lock, but not in the middle.
    abandon(array.raw(), 60);
    assert_eq!(array.snapshot().unwrap(), [9; 16]);
    drop(array.write().unwrap());
    let state = (KIND.state)(array.raw().object.view()).unwrap();
    assert!(matches!(state, ObjectState::Array { owner_died: false, writer: None, .. }), "{state:?}");
}

#[test]
fn a_header_of_garbage_is_corrupt() {
    let segment = segment();
    let array = segment.array::<u32>("a", &[4, 4]).unwrap();
    let view = array.raw().object.view();
    for (at, value) in [(128, 5u64), (128, u64::MAX), (136, 1 << 62), (136, 0)] {
        let word: &AtomicU64 = view.at(at).unwrap();
        let before = word.load(Relaxed);
        word.store(value, Relaxed);
        assert_eq!(segment.open_array::<u32>("a").unwrap_err().kind(), ErrorKind::Corrupt, "{at} {value}");
        assert!((KIND.state)(view).is_err());
        // A handle that is open has its own copy.
        assert_eq!(array.get(&[3, 3]).unwrap(), 0);
        word.store(before, Relaxed);
    }
    segment.open_array::<u32>("a").unwrap();
}
