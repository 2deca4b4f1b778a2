//! One step at a time: what there is room for, what is there, and what garbage is refused.

use super::super::heap::{Heap, Mortal};
use super::*;

fn start(all: u64) -> (Heap, Writer, Reader) {
    let heap = Heap::new(all);
    let (writer, reader) = (Writer::take(&heap).unwrap(), Reader::take(&heap).unwrap());
    (heap, writer, reader)
}

#[test]
fn staged_records_are_seen_together_and_held_ones_freed_together() {
    let (heap, mut writer, mut reader) = start(8);
    assert_eq!((writer.room(&heap, 8), reader.there(&heap, 1)), (Ok(8), Ok(0)));
    writer.stage(3);
    writer.stage(2);
    assert_eq!(reader.there(&heap, 1), Ok(0), "staged is not there");
    writer.publish(&heap);
    assert_eq!(reader.there(&heap, 1), Ok(5));
    reader.hold(4);
    assert_eq!((writer.room(&heap, 3), writer.room(&heap, 4)), (Ok(3), Ok(3)), "held is not free");
    reader.release_held(&heap);
    assert_eq!((writer.room(&heap, 7), reader.there(&heap, 2)), (Ok(7), Ok(1)));
    assert_eq!(used(&heap), Some(1));
}

#[test]
fn what_was_given_up_was_never_there_and_what_was_let_go_of_is_there_again() {
    let (heap, mut writer, mut reader) = start(4);
    writer.stage(1);
    let mark = writer.mark();
    writer.stage(2);
    writer.back(mark);
    writer.publish(&heap);
    assert_eq!(reader.there(&heap, 1), Ok(1));
    let mark = reader.mark();
    reader.hold(1);
    assert_eq!(reader.there(&heap, 1), Ok(0));
    reader.back(mark);
    assert_eq!(reader.there(&heap, 1), Ok(1));
}

#[test]
fn more_than_the_whole_ring_never_fits_and_a_full_one_has_no_room() {
    let (heap, mut writer, mut reader) = start(4);
    assert_eq!(writer.room(&heap, 5), Err(Fault::TooMany));
    writer.stage(1);
    assert_eq!(writer.room(&heap, 4), Err(Fault::TooMany), "it would wait for what it has staged itself");
    writer.publish(&heap);
    assert_eq!(writer.room(&heap, 4), Ok(3), "that can still change");
    writer.stage(3);
    writer.publish(&heap);
    assert_eq!(writer.room(&heap, 1), Ok(0));
    assert_eq!(reader.there(&heap, 4), Ok(4));
    reader.hold(4);
    reader.release_held(&heap);
    assert_eq!(writer.room(&heap, 4), Ok(4));
}

#[test]
fn who_is_killed_has_published_all_or_nothing_and_a_successor_goes_on_there() {
    // Room asks for nothing here; the position; the wake.
    for (die, expected) in [(0, 0), (1, 3), (2, 3)] {
        let (heap, mut writer, mut reader) = start(4);
        let mortal = Mortal::new(&heap, die);
        mortal.live(|memory| {
            writer.stage(3);
            writer.publish(memory);
        });
        assert_eq!(reader.there(&heap, 1), Ok(expected), "killed before access {die}");
        let mut successor = Writer::take(&heap).unwrap();
        assert_eq!(successor.room(&heap, 1), Ok(4 - expected));
        successor.stage(1);
        successor.publish(&heap);
        assert_eq!(Reader::take(&heap).unwrap().there(&heap, 9), Ok(expected + 1));
        for (die, left) in [(0, expected + 1), (1, 0)] {
            let mut reader = Reader::take(&heap).unwrap();
            let n = reader.there(&heap, 9).unwrap();
            reader.hold(n);
            Mortal::new(&heap, die).live(|memory| reader.release_held(memory));
            assert_eq!(Reader::take(&heap).unwrap().there(&heap, 1), Ok(left));
        }
    }
}

#[test]
fn a_position_that_cannot_be_is_garbage() {
    for (written, freed) in [(5, 0), (0, 1), (u64::MAX, u64::MAX), (LAST_POSITION + 1, LAST_POSITION)] {
        let (heap, mut writer, mut reader) = start(4);
        heap.producer().position.store(written, Relaxed);
        heap.consumer().position.store(freed, Relaxed);
        assert!(Writer::take(&heap).is_err() && Reader::take(&heap).is_err(), "{written} {freed}");
        writer.stage(4);
        if freed > 0 {
            assert!(writer.room(&heap, 0).is_ok());
            writer.publish(&heap);
            heap.consumer().position.store(freed.max(5), Relaxed);
            assert!(writer.room(&heap, 1).is_err());
        }
        heap.producer().position.store(written.max(5), Relaxed);
        assert!(reader.there(&heap, 1).is_err());
    }
    let heap = Heap::new(4);
    heap.producer().position.store(u64::MAX, Relaxed);
    assert_eq!(used(&heap), None);
}
