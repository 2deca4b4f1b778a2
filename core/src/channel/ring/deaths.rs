//! The ring under shuttle: producers that succeed each other and consumers that do, in five threads, each a process with
//! a slot of its own, that die before any operation on shared memory; one more sweeps. What was published arrives in
//! order and whole, a batch as a whole or not at all, and twice only if a consumer died with it in hand. Run by
//! `tests/check shuttle`.

use super::cells::{Memory, tag};
use super::place::{self, Place};
use super::role::Holder;
use super::side::{self, Reading, Writing};
use super::{Door, KIND, suspect};
use crate::deadline::Deadline;
use crate::deaths::{ALL, Citizen, Town, check, lives};
use crate::error::{ErrorKind, Result};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::wait::{self, Spin, World};
use shuttle::rand::Rng;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Producers sit in slots 1 and 2, consumers in 3 to 5, the sweeper in 6.
const PRODUCERS: u32 = 2;
/// Cells, or packed records.
const CELLS: usize = 8;
/// Bytes of a packed record: two words.
const PACKED: usize = 16;
/// Batches of each producer and consumer.
const BATCHES: u32 = 4;

/// What is booked outside the segment. No thread is ever descheduled with it held.
#[derive(Default)]
struct Books(Mutex<Outside>);

#[derive(Default)]
struct Outside {
    /// All that were begun and not given up, in their order. Records are numbered from 1.
    batches: Vec<Batch>,
    numbers: u64,
    producers_gone: u32,
    consumers_gone: u32,
    /// The last record that was surely freed, and the last one that perhaps was, as its consumer died meanwhile.
    freed: u64,
    perhaps: u64,
}

struct Batch {
    first: u64,
    last: u64,
    /// It was published. Else that is known only when it is read.
    done: bool,
}

impl Books {
    fn get(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outside {
    fn begin(&mut self, n: u64) -> u64 {
        let first = self.numbers + 1;
        self.numbers += n;
        self.batches.push(Batch { first, last: self.numbers, done: false });
        first
    }

    /// May `number` be the next record behind `before`?
    fn follows(&self, before: u64, number: u64) -> bool {
        if self.batches.iter().any(|batch| (batch.first..batch.last).contains(&before)) {
            return number == before + 1;
        }
        // Nothing that was published is left out.
        let behind = self.batches.iter().filter(|batch| batch.first > before);
        let may_be_next =
            behind.scan(false, |over, batch| (!std::mem::replace(over, batch.done)).then_some(batch.first));
        may_be_next.into_iter().any(|first| first == number)
    }

    /// A consumer has read `number`, and before it `before`, if that was not its predecessor's.
    fn read(&mut self, before: Option<u64>, number: u64) {
        match before {
            Some(before) => assert!(self.follows(before, number), "{number} came behind {before}"),
            None if self.follows(self.perhaps, number) => self.freed = self.perhaps,
            None => {
                let freed = self.freed;
                assert!(self.follows(freed, number), "{number} came to a successor, and {freed} was freed");
                self.perhaps = freed;
            }
        }
        let batch = self.batches.iter_mut().find(|batch| (batch.first..=batch.last).contains(&number));
        batch.unwrap().done = true;
    }
}

fn place(citizen: &Citizen<'_>) -> Place {
    // SAFETY: the town outlives what its citizens do.
    unsafe { Place::new(citizen.town.memory.view()) }.unwrap()
}

/// The words of a record of `bytes` at `start`, which lie in the ring.
fn words(place: &Place, start: u64, bytes: u64) -> &[AtomicU64] {
    // SAFETY: reserved, or published, so many bytes from here on; 8-aligned behind a header or as a multiple of 16. All
    // access is atomic.
    unsafe { std::slice::from_raw_parts(place.payload(start).as_ptr().cast(), bytes as usize / 8) }
}

/// How many bytes a record has.
fn bytes(place: &Place, number: u64) -> u64 {
    place.record_size().unwrap_or(8 * (1 + number * 7 % 15))
}

/// What word `i` of a record says: its number, or, where a later lap has a header, what looks like that one.
fn content(place: &Place, number: u64, start: u64, i: usize) -> u64 {
    if i == 7 { tag(start + 1 + place.cells()) | 8 } else { number }
}

fn write(place: &Place, number: u64, start: u64) {
    let words = words(place, start, bytes(place, number));
    words.iter().enumerate().for_each(|(i, word)| word.store(content(place, number, start, i), Relaxed));
}

/// The number of a record, all of which is there.
fn read(place: &Place, start: u64, len: u64) -> u64 {
    let words = words(place, start, len);
    let number = words[0].load(Relaxed);
    assert_eq!(len, bytes(place, number), "the size of record {number}");
    for (i, word) in words.iter().enumerate() {
        assert_eq!(word.load(Relaxed), content(place, number, start, i), "record {number} is torn");
    }
    number
}

/// Tries for some time to get an end.
fn take(citizen: &Citizen<'_>, end: &super::End) -> Option<u32> {
    (0..20).find_map(|_| {
        let mine = end.role.take(citizen.slot, |slot| citizen.is_dead(slot)).ok();
        if mine.is_none() {
            shuttle::thread::yield_now();
        }
        mine
    })
}

/// Is the process dead that has this end?
fn is_dead(citizen: &Citizen<'_>, end: &super::End) -> bool {
    match end.role.holder() {
        Holder::Slot(slot) => citizen.is_dead(slot),
        Holder::Died => true,
        Holder::Nobody => false,
    }
}

/// As an end waits: until `look` finds something, or the process at the `other` end is dead, or nobody will come there.
fn until<T>(
    citizen: &Citizen<'_>,
    door: Door<'_>,
    other: &super::End,
    nobody: impl Fn() -> bool,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    wait::until(
        citizen,
        &door,
        &Spin::default(),
        Deadline::never(),
        || suspect(other),
        || {
            if let Some(found) = look() {
                return Ok(Some(found));
            }
            match nobody() || is_dead(citizen, other) {
                true => look().map_or(Err(ErrorKind::PeerDead.into()), |found| Ok(Some(found))),
                false => Ok(None),
            }
        },
    )
}

/// Writes batches; some are given up. Who finds the consumer dead gives the role back.
fn produce(citizen: &Citizen<'_>, books: &Books) {
    let place = place(citizen);
    let Some(mine) = take(citizen, place.producer()) else { return };
    let mut writer = Writing::take(&place).unwrap();
    for _ in 0..BATCHES {
        let mut random = shuttle::rand::thread_rng();
        let (n, keep) = (random.gen_range(1..=3), random.gen_bool(0.9));
        let first = books.get().begin(n);
        let staged = stage(citizen, &place, &mut writer, books, first..first + n);
        if staged.is_ok() && keep {
            writer.publish(&place);
            books.get().batches.last_mut().unwrap().done = true;
        } else {
            writer.discard(&place);
            books.get().batches.pop();
        }
        if staged.is_err() {
            break;
        }
    }
    place.producer().role.release(mine);
}

/// Writes a record of each of these numbers, all in two pieces at most where they are packed.
fn stage(
    citizen: &Citizen<'_>,
    place: &Place,
    writer: &mut Writing,
    books: &Books,
    numbers: std::ops::Range<u64>,
) -> Result<()> {
    let packed = place.record_size();
    let mut next = numbers.start;
    while next < numbers.end {
        let door = Door { park: place.freed(), exact: place.is_exact() };
        let nobody = || books.get().consumers_gone == ALL - 1 - PRODUCERS;
        let room = until(citizen, door, place.consumer(), nobody, || {
            match packed {
                Some(_) => writer.reserve_packed(place, numbers.end - next, true),
                None => writer.reserve(place, bytes(place, next)),
            }
            .unwrap()
        })?;
        for at in 0..packed.map_or(1, |size| room.size / size) {
            write(place, next, room.start + at);
            next += 1;
        }
        writer.stage(place, room, room.size).unwrap();
    }
    Ok(())
}

/// Reads batches; some are let go of and read again.
fn consume(citizen: &Citizen<'_>, books: &Books) {
    let place = place(citizen);
    let Some(mine) = take(citizen, place.consumer()) else { return };
    let mut reader = Reading::take(&place).unwrap();
    let mut before = None;
    for _ in 0..BATCHES {
        let mut random = shuttle::rand::thread_rng();
        let (n, keep) = (random.gen_range(1..=3), random.gen_bool(0.9));
        let (mark, start) = (reader.mark(), before);
        let door = Door { park: place.filled(), exact: place.is_exact() };
        let nobody = || books.get().producers_gone == PRODUCERS;
        let Ok(mut record) = until(citizen, door, place.producer(), nobody, || reader.peek(&place, n).unwrap()) else {
            break;
        };
        for _ in 0..n {
            let size = place.record_size().unwrap_or(record.len);
            for at in 0..record.len / size {
                let number = read(&place, record.start + at, size);
                books.get().read(before, number);
                before = Some(number);
            }
            reader.hold(&place, record);
            match reader.peek(&place, 1).unwrap() {
                Some(next) => record = next,
                None => break,
            }
        }
        if keep {
            books.get().perhaps = before.unwrap();
            reader.release_held(&place);
            books.get().freed = before.unwrap();
        } else {
            reader.back(mark);
            before = start;
        }
    }
    place.consumer().role.release(mine);
}

/// When all others are gone: what was published is there, both ends are to be had, and all of the ring is.
fn settle(citizen: &Citizen<'_>, books: &Books) {
    let place = place(citizen);
    let consumer = take(citizen, place.consumer()).expect("the consumer's role is lost");
    let producer = take(citizen, place.producer()).expect("the producer's role is lost");
    let mut writer = Writing::take(&place).unwrap();
    let mut reader = Reading::take(&place).unwrap();
    let mut before = None;
    while let Some(record) = reader.peek(&place, 1).unwrap() {
        let number = read(&place, record.start, record.len);
        books.get().read(before, number);
        before = Some(number);
        reader.hold(&place, record);
    }
    reader.release_held(&place);
    let outside = books.get();
    let last = before.unwrap_or(outside.perhaps);
    assert!(!outside.batches.iter().any(|batch| batch.done && batch.last > last), "lost behind {last}");
    drop(outside);
    assert_eq!(side::used(&place), Some(0));
    let size = place.record_size().unwrap_or(8);
    for _ in 0..CELLS {
        let room = writer.reserve(&place, size).unwrap().expect("room is lost");
        writer.stage(&place, room, size).unwrap();
    }
    assert_eq!(writer.reserve(&place, size).ok().flatten(), None);
    writer.publish(&place);
    for _ in 0..CELLS {
        let record = reader.peek(&place, 1).unwrap().unwrap();
        reader.hold(&place, record);
    }
    place.producer().role.release(producer);
    place.consumer().role.release(consumer);
    let holders = [place.producer(), place.consumer()].map(|end| end.role.holder());
    assert_eq!(holders, [Holder::Nobody; 2]);
}

fn ring(packed: bool) {
    check(move || {
        let exact = shuttle::rand::thread_rng().gen_bool(0.5);
        let (geometry, size) = match packed {
            true => place::packed_geometry("r", PACKED, CELLS, exact).unwrap(),
            false => place::geometry("r", CELLS * 64, exact).unwrap(),
        };
        lives(
            Town::new(&KIND, size, geometry),
            150,
            |citizen, books: &Books| match citizen.slot {
                1..=PRODUCERS => produce(citizen, books),
                ALL => (0..4).for_each(|_| citizen.sweep()),
                _ => consume(citizen, books),
            },
            |slot, books| match slot {
                1..=PRODUCERS => books.get().producers_gone += 1,
                ALL => {}
                _ => books.get().consumers_gone += 1,
            },
            settle,
        );
    });
}

#[test]
fn records_in_cells_arrive_whoever_dies() {
    ring(false);
}

#[test]
fn packed_records_arrive_whoever_dies() {
    ring(true);
}
