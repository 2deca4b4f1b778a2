//! One step at a time: what a reservation, a commit and a peek store and find.

use super::super::heap::{Heap, Mortal};
use super::*;

fn start(cells: u64) -> (Heap, Writer, Reader) {
    let heap = Heap::new(cells);
    let (writer, reader) = (Writer::take(&heap).unwrap(), Reader::take(&heap).unwrap());
    (heap, writer, reader)
}

fn write(heap: &Heap, writer: &mut Writer, len: u64) -> Option<Room> {
    let room = writer.reserve(heap, len).unwrap()?;
    writer.commit(heap, room, len).unwrap();
    Some(room)
}

fn read(heap: &Heap, reader: &mut Reader) -> Option<Record> {
    let record = reader.peek(heap).unwrap()?;
    reader.release(heap, record);
    Some(record)
}

#[test]
fn a_record_of_56_bytes_is_one_cell_and_of_57_two() {
    assert_eq!([0, 56, 57, 120, 121].map(cells_for), [1, 1, 2, 2, 3]);
}

#[test]
fn the_largest_record_is_half_the_ring_less_its_header() {
    assert_eq!(max_record(4), 120);
    assert_eq!(max_record(1024), 32 * 1024 - 8);
    assert_eq!(max_record(CELLS_MAX), LEN, "what a header can say");
    for cells in [4, 8, 1024] {
        assert_eq!(cells_for(max_record(cells)), cells / 2);
    }
}

#[test]
fn no_tag_is_zero_and_none_is_another_ones_in_the_same_cell() {
    for position in [0, 1, (1 << 31) - 1, 1 << 31, LAST_POSITION] {
        assert_ne!(tag(position), 0);
        for lap in [1, 2, 3] {
            assert!(!is_header_of(tag(position + lap * CELLS_MAX), position));
        }
    }
}

#[test]
fn an_empty_ring_has_nothing_and_a_full_one_no_room() {
    let (heap, mut writer, mut reader) = start(4);
    assert_eq!(reader.peek(&heap), Ok(None));
    for i in 0..4 {
        assert_eq!(write(&heap, &mut writer, i).map(|room| room.start), Some(i));
    }
    assert_eq!(writer.reserve(&heap, 0), Ok(None));
    assert_eq!(used(&heap), Some(256));
    assert_eq!(read(&heap, &mut reader), Some(Record { start: 0, len: 0 }));
    assert_eq!(write(&heap, &mut writer, 9).map(|room| room.start), Some(4), "the first cell again");
    for len in [1, 2, 3, 9] {
        assert_eq!(read(&heap, &mut reader).map(|record| record.len), Some(len));
    }
    assert_eq!(reader.peek(&heap), Ok(None));
    assert_eq!(used(&heap), Some(0));
}

#[test]
fn a_record_that_would_cross_the_end_starts_behind_a_pad() {
    let (heap, mut writer, mut reader) = start(4);
    for _ in 0..3 {
        write(&heap, &mut writer, 1);
        read(&heap, &mut reader);
    }
    assert_eq!(write(&heap, &mut writer, 100).map(|room| room.start), Some(4), "cell 3 is skipped");
    assert_eq!(write(&heap, &mut writer, 1).map(|room| room.start), Some(6));
    assert_eq!(writer.reserve(&heap, 1), Ok(None), "pad, two cells, one cell: full");
    assert_eq!(read(&heap, &mut reader), Some(Record { start: 4, len: 100 }));
    assert_eq!(read(&heap, &mut reader), Some(Record { start: 6, len: 1 }));
    assert_eq!(reader.peek(&heap), Ok(None));
}

#[test]
fn a_commit_may_be_shorter_than_its_reservation_and_no_longer() {
    let (heap, mut writer, mut reader) = start(8);
    let room = writer.reserve(&heap, 200).unwrap().unwrap();
    // The three cells behind the first hold what could be valid headers.
    for c in 1..4 {
        heap.header(c).store(tag(c) | 5, Relaxed);
    }
    assert_eq!(writer.commit(&heap, room, 201), Err(Fault::TooLarge { asked: 201, most: 200 }));
    assert_eq!(reader.peek(&heap), Ok(None), "a refused commit publishes nothing");
    writer.commit(&heap, room, 10).unwrap();
    assert_eq!(read(&heap, &mut reader), Some(Record { start: 0, len: 10 }));
    assert_eq!(reader.peek(&heap), Ok(None), "what the reservation left is no record");
}

#[test]
fn a_reservation_that_is_not_committed_leaves_nothing() {
    let (heap, mut writer, mut reader) = start(8);
    writer.reserve(&heap, 200).unwrap().unwrap();
    assert_eq!(reader.peek(&heap), Ok(None));
    assert_eq!(write(&heap, &mut writer, 3).map(|room| room.start), Some(0));
    assert_eq!(reader.peek(&heap), Ok(Some(Record { start: 0, len: 3 })));
}

#[test]
fn a_record_larger_than_half_the_ring_is_refused() {
    let (heap, mut writer, _) = start(4);
    for asked in [121, u64::MAX] {
        assert_eq!(writer.reserve(&heap, asked), Err(Fault::TooLarge { asked, most: 120 }));
    }
    assert!(writer.reserve(&heap, 120).unwrap().is_some());
}

#[test]
fn room_seen_from_outside_is_the_room_a_writer_finds() {
    let (heap, mut writer, mut reader) = start(8);
    let mut sizes = [1, 100, 56, 57, 200, 1, 248, 120, 3].iter().cycle();
    for turn in 0..500 {
        for size in [0, 56, 57, 120, 184, 248] {
            let found = Writer { dirty_until: 0, ..writer }.reserve(&heap, size).unwrap().is_some();
            assert_eq!(has_room(&heap, size), Ok(found), "{size} bytes in turn {turn}");
        }
        if turn % 3 == 2 || write(&heap, &mut writer, *sizes.next().unwrap()).is_none() {
            read(&heap, &mut reader);
        }
    }
}

#[test]
fn small_records_store_to_no_cell_but_their_own() {
    let (heap, mut writer, mut reader) = start(4);
    // The first lap after a take counts as dirty: whoever died before may have left anything.
    for _ in 0..6 {
        write(&heap, &mut writer, 56);
        read(&heap, &mut reader);
    }
    for _ in 0..20 {
        let counted = Mortal::new(&heap, u32::MAX);
        let room = writer.reserve(&counted, 56).unwrap().unwrap();
        writer.commit(&counted, room, 56).unwrap();
        assert_eq!(counted.headers(), 1);
        read(&heap, &mut reader);
    }
}

#[test]
fn each_header_that_cannot_be_is_garbage() {
    let (heap, _, mut reader) = start(4);
    for low in [PAD | 4, PAD, PAD | 1, 1 << 29, 1 << 31, 121, LEN] {
        heap.header(0).store(tag(0) | low, Relaxed);
        assert!(matches!(reader.peek(&heap), Err(Fault::Garbage(..))), "{low:#x}");
    }
    heap.header(3).store(tag(3) | PAD | 1, Relaxed);
    assert!(matches!(Reader::at(3).peek(&heap), Err(Fault::Garbage("header behind a pad", _))));
    heap.header(4).store(tag(4) | PAD | 1, Relaxed);
    assert!(matches!(Reader::at(3).peek(&heap), Err(Fault::Garbage("record's header", _))));
    heap.header(3).store(tag(3) | 57, Relaxed);
    assert!(matches!(Reader::at(3).peek(&heap), Err(Fault::Garbage(..))), "crosses the end");
}

#[test]
fn a_position_that_cannot_be_is_garbage() {
    let (heap, mut writer, _) = start(4);
    while write(&heap, &mut writer, 1).is_some() {}
    for freed in [5, u64::MAX, u64::MAX - 1, 1 << 63] {
        heap.consumer().position.store(freed, Relaxed);
        assert_eq!(has_room(&heap, 1).is_err(), freed > LAST_POSITION, "{freed:#x}");
        assert!(matches!(writer.reserve(&heap, 1), Err(Fault::Garbage(..))), "{freed:#x}");
    }
    assert!(matches!(Writer::take(&heap), Err(Fault::Garbage(..))));
    assert!(matches!(Reader::take(&heap), Err(Fault::Garbage(..))));
    heap.consumer().position.store(0, Relaxed);
    heap.producer().position.store(5, Relaxed);
    assert!(matches!(Writer::take(&heap), Err(Fault::Garbage(..))));
    assert!(matches!(Reader::take(&heap), Err(Fault::Garbage(..))));
    assert_eq!(used(&heap), Some(256), "no more than there is");
    assert!(has_room(&heap, 1).is_err());
    heap.producer().position.store(1 << 63, Relaxed);
    assert_eq!(used(&heap), None);
}
