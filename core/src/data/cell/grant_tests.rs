//! Values that are written in place.

use super::*;
use crate::Segment;
use std::time::Duration;

fn cell() -> RawCell {
    Segment::anonymous(1 << 20).unwrap().create_cell_with("c", &CellOptions::bytes(8).writers(2)).unwrap()
}

fn loaded(cell: &RawCell) -> Option<(u64, [u8; 8])> {
    let mut value = [0; 8];
    cell.load(&mut value).unwrap().map(|version| (version, value))
}

#[test]
fn a_value_that_was_written_in_place_is_the_latest_once_it_is_committed() {
    let cell = cell();
    let mut grant = cell.reserve().unwrap();
    assert_eq!((grant.size(), grant.as_mut_ptr() as usize % 16), (8, 0));
    grant.write(0, b"abcd").unwrap();
    grant.write(4, b"efgh").unwrap();
    assert_eq!(grant.write(5, b"1234").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(grant.write(usize::MAX, b"12").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(loaded(&cell), None);
    assert_eq!(grant.commit().unwrap(), 1);
    assert_eq!(loaded(&cell), Some((1, *b"abcdefgh")));
}

#[test]
fn what_is_given_back_was_never_stored() {
    let cell = cell();
    cell.store(&[1; 8]).unwrap();
    for cancel in [true, false] {
        let mut grant = cell.try_reserve().unwrap().unwrap();
        grant.write(0, &[9; 4]).unwrap();
        if cancel {
            grant.cancel();
        } else {
            drop(grant);
        }
        assert_eq!(loaded(&cell), Some((1, [1; 8])));
    }
    assert_eq!(cell.memory.words().writers().count(), 0);
}

#[test]
fn as_many_may_write_in_place_as_the_cell_has_writers() {
    let cell = cell();
    cell.store(&[1; 8]).unwrap();
    let (one, other) = (cell.reserve().unwrap(), cell.reserve().unwrap());
    cell.store(&[2; 8]).unwrap();
    let third = cell.try_reserve().unwrap().unwrap();
    assert!(cell.try_reserve().unwrap().is_none());
    assert!(cell.try_store(&[3; 8]).unwrap().is_none());
    let soon = Deadline::after(Duration::from_millis(3));
    assert_eq!(cell.reserve_until(soon).err().unwrap().kind(), ErrorKind::Timeout);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cell.reserve().unwrap().commit().unwrap());
        drop(one);
        assert_eq!(waiting.join().unwrap(), 3);
    });
    drop((other, third));
}

#[test]
fn plain_data_stands_for_the_room_until_it_ends() {
    let cell = cell();
    let raw = cell.reserve().unwrap().into_raw();
    let grant = cell.resume_store(raw).unwrap();
    assert_eq!(grant.into_raw(), raw);
    assert_eq!(cell.resume_store(raw).unwrap().commit().unwrap(), 1);
    let next = cell.reserve().unwrap().into_raw();
    let forged = [
        raw,
        RawStoreGrant { index: 4_000_000_000, ..next },
        RawStoreGrant { word: next.word ^ 1, ..next },
        RawStoreGrant { word: 0, ..next },
        RawStoreGrant { index: next.index ^ 1, ..next },
    ];
    for raw in forged {
        assert_eq!(cell.resume_store(raw).err().unwrap().kind(), ErrorKind::NotOwner, "{raw:?}");
    }
    // One that was resumed twice ends once.
    let (one, other) = (cell.resume_store(next).unwrap(), cell.resume_store(next).unwrap());
    assert_eq!(one.commit().unwrap(), 2);
    assert_eq!(other.commit().unwrap_err().kind(), ErrorKind::NotOwner);
}
