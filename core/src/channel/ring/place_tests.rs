//! Which geometry is refused, and what observers and the sweep make of a ring.

use super::super::cells::{Reader, Writer};
use super::super::{KIND, ObjectState, role::Holder};
use super::*;
use crate::segment::object::HeapMemory;

fn empty(size: usize) -> HeapMemory {
    let (words, bytes) = geometry("r", size, false).unwrap();
    HeapMemory::new(bytes, words)
}

/// What observers see of a ring of 256 bytes.
fn shown(used: usize, producer: Option<u32>, consumer: Option<u32>) -> ObjectState {
    ObjectState::Ring { size: 256, used, record_size: 0, shut_down: false, producer, consumer }
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    let memory = empty(256);
    assert_eq!((KIND.state)(memory.view()).unwrap(), shown(0, None, None));
}

#[test]
fn geometry_that_does_not_fit_is_refused() {
    let good = geometry("r", 256, false).unwrap().0;
    let bad = |change: fn(&mut [u64; 5]), bytes: usize| {
        let mut words = good;
        change(&mut words);
        let memory = HeapMemory::new(bytes, words);
        // SAFETY: the place, if any, ends before the memory.
        unsafe { Place::new(memory.view()) }.map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(bad(|w| w[0] = 0, 640), ErrorKind::Corrupt);
    assert_eq!(bad(|w| w[0] = 6, 640), ErrorKind::Corrupt);
    assert_eq!(bad(|w| w[0] = 1 << 63, 640), ErrorKind::Corrupt);
    assert_eq!(bad(|w| *w = geometry("r", 512, false).unwrap().0, 640), ErrorKind::Corrupt, "more cells than memory");
    assert_eq!(bad(|w| w[1] = 121, 640), ErrorKind::Corrupt);
    assert_eq!(bad(|w| w[3] = 256, 640), ErrorKind::Corrupt);
    assert_eq!(bad(|_| (), 639), ErrorKind::Corrupt);
    assert_eq!(bad(|w| w[2] = 8, 640), ErrorKind::Corrupt, "cells of a packed ring hold one record");
    assert_eq!(bad(|w| w[4] = 2, 640), ErrorKind::Incompatible);
    assert_eq!(bad(|w| *w = [1 << 63, 2, 2, 384, 0], 640), ErrorKind::Corrupt, "an overflow");
    assert_eq!(bad(|w| *w = [3, 8, 8, 384, 0], 640), ErrorKind::Corrupt);
    assert_eq!(bad(|w| *w = [8, 40, 40, 384, 0], 640), ErrorKind::Corrupt, "more records than memory");
    assert_eq!(bad(|w| *w = [1, 1, 1, 384, 0], 440), ErrorKind::Corrupt, "a cell's memory in any case");
}

#[test]
fn observers_see_owners_and_fill_and_the_sweep_takes_the_roles_of_the_dead() {
    let memory = empty(256);
    // SAFETY: the place ends before the memory.
    let place = unsafe { Place::new(memory.view()) }.unwrap();
    place.producer().role.take(3, |_| false).unwrap();
    place.consumer().role.take(4, |_| false).unwrap();
    let mut writer = Writer::take(&place).unwrap();
    let room = writer.reserve(&place, 100).unwrap().unwrap();
    writer.commit(&place, room, 100).unwrap();
    let seen = shown;
    assert_eq!((KIND.state)(memory.view()).unwrap(), seen(128, Some(3), Some(4)));
    (KIND.repair)(memory.view(), 3);
    (KIND.repair)(memory.view(), 3);
    assert_eq!((KIND.state)(memory.view()).unwrap(), seen(128, None, Some(4)));
    assert_eq!(place.producer().role.holder(), Holder::Died);
    let mut reader = Reader::take(&place).unwrap();
    let record = reader.peek(&place).unwrap().unwrap();
    reader.release(&place, record);
    assert_eq!((KIND.state)(memory.view()).unwrap(), seen(0, None, Some(4)));
}

#[test]
fn a_record_of_56_bytes_and_its_header_are_one_cache_line() {
    let memory = empty(512);
    // SAFETY: the place ends before the memory.
    let place = unsafe { Place::new(memory.view()) }.unwrap();
    for position in 0..20 {
        let header = place.header(position).as_ptr() as usize;
        let payload = place.payload(position).as_ptr() as usize;
        assert_eq!((header % 64, payload - header), (0, 8));
        assert_eq!((payload + 55) / 64, header / 64);
    }
}

#[test]
fn sizes_become_powers_of_two() {
    for (asked, cells) in [(1, 4), (256, 4), (257, 8), (65536, 1024), (65537, 2048)] {
        let (words, bytes) = geometry("r", asked, false).unwrap();
        assert_eq!(words, [cells, cells * 32 - 8, 0, 384, 0], "{asked}");
        assert_eq!(bytes as u64, 384 + cells * 64);
    }
}

#[test]
fn a_size_that_cannot_be_is_refused_with_the_bounds() {
    for size in [0, (1 << 34) + 1, usize::MAX] {
        let error = geometry("r", size, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("17179869184"), "{error}");
    }
    assert!(geometry("r", 1 << 34, false).is_ok());
}
