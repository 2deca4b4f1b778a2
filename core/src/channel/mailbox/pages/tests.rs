//! An unbounded mailbox: the tables on the heap, with death at every step and garbage; and through its handle.

use super::super::memory::Memory;
use super::*;
use crate::channel::death;
use crate::{Capacity, Deadline, ErrorKind, Mailbox, MailboxOptions, Segment};
use proptest::prelude::*;
use std::cell::RefCell;

const EACH: u32 = 4;
const PAGES: u32 = 3;
const FRAMES: usize = 5;

/// Tables on the heap; which places are free, and which frames have memory.
struct Heap {
    hints: Hints,
    map: Vec<AtomicU64>,
    frames: Vec<AtomicU64>,
    free: RefCell<Vec<bool>>,
    memory: RefCell<Vec<bool>>,
    /// So many commits succeed.
    room: RefCell<u32>,
}

impl Ground for Heap {
    type Error = i32;
    fn is_free(&self, index: u32) -> bool {
        self.free.borrow()[index as usize]
    }
    fn commit(&self, frame: u32) -> Result<(), i32> {
        let mut room = self.room.borrow_mut();
        *room = room.checked_sub(1).ok_or(libc::ENOSPC)?;
        self.memory.borrow_mut()[frame as usize] = true;
        Ok(())
    }
    fn give_back(&self, frame: u32) {
        self.memory.borrow_mut()[frame as usize] = false;
    }
}

impl Heap {
    fn new() -> Heap {
        let zeros = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect();
        Heap {
            hints: Hints::new(),
            map: zeros(PAGES as usize),
            frames: zeros(FRAMES),
            free: RefCell::new(vec![true; (EACH * PAGES) as usize]),
            memory: RefCell::new(vec![false; FRAMES]),
            room: RefCell::new(u32::MAX),
        }
    }

    fn pages(&self) -> Pages<'_> {
        Pages { hints: &self.hints, map: &self.map, frames: &self.frames, each: EACH, places: EACH * PAGES, keep: 1 }
    }

    fn take(&self, place: u32, me: u32) -> Result<u32, Fault<i32>> {
        self.free.borrow_mut()[place as usize] = false;
        let taken = self.pages().take(place, me, self);
        if taken.is_err() {
            self.free.borrow_mut()[place as usize] = true;
        }
        taken
    }

    /// Frees a place; the head is on another page.
    fn free(&self, place: u32, me: u32) {
        self.free.borrow_mut()[place as usize] = true;
        self.pages().freed(place, (place + EACH) % (EACH * PAGES), me, self);
    }

    fn states(&self) -> Vec<u64> {
        self.frames.iter().map(|word| word.load(Relaxed) & 0xF).collect()
    }
}

#[test]
fn a_page_gets_a_frame_with_its_first_place_and_loses_it_with_its_last() {
    let heap = Heap::new();
    let frame = heap.take(0, 7).unwrap();
    assert_eq!((heap.take(1, 8).unwrap(), heap.pages().of::<()>(1)), (frame, Ok(frame)));
    let other = heap.take(EACH, 7).unwrap();
    assert_ne!(frame, other);
    heap.free(0, 9);
    assert_eq!(heap.pages().of::<()>(1), Ok(frame));
    heap.free(1, 9);
    assert!(matches!(heap.pages().of::<()>(1), Err(Fault::Garbage(0, _))));
    assert_eq!(heap.states()[..2], [SPARE, USED]);
    // One spare frame is enough: the second one is given back.
    heap.free(EACH, 9);
    assert_eq!(heap.states()[..2], [SPARE, EMPTY]);
    assert_eq!(heap.memory.borrow()[..2], [true, false]);
    // And a spare one is taken before an empty one.
    assert_eq!(heap.take(2 * EACH, 7), Ok(0));
}

#[test]
fn without_memory_nothing_is_taken_and_nothing_is_left() {
    let heap = Heap::new();
    *heap.room.borrow_mut() = 1;
    heap.take(0, 7).unwrap();
    assert_eq!(heap.take(EACH, 7), Err(Fault::NoMemory(libc::ENOSPC)));
    assert_eq!(heap.states(), [USED, EMPTY, EMPTY, EMPTY, EMPTY]);
    assert!(heap.take(1, 7).is_ok());
}

proptest! {
    /// Whoever dies at whatever step: each page in use has a frame of its own with memory, and after the sweep every
    /// other frame is free and names nobody.
    #[test]
    fn frames_are_neither_shared_nor_lost(calls in prop::collection::vec((0..EACH * PAGES, prop::option::of(1..8u32)), 1..60)) {
        let heap = Heap::new();
        let mut frames = std::collections::HashMap::new();
        for (place, dies) in calls {
            let taken = !heap.free.borrow()[place as usize];
            let outcome = death::at_step(dies.unwrap_or(0), || {
                if taken {
                    heap.free(place, 5);
                } else {
                    heap.take(place, 5).unwrap();
                }
            });
            if outcome.is_none() {
                // Who dies with a claim loses it: its place is made void.
                if !taken {
                    heap.free.borrow_mut()[place as usize] = true;
                }
                // The sweep may die, too.
                if death::at_step(dies.unwrap_or(0) / 2, || heap.pages().repair(5)).is_none() {
                    heap.pages().repair(5);
                }
                heap.pages().tidy(|| u32::MAX, 6, &heap);
            }
            frames.clear();
            for page in 0..PAGES {
                let used = (0..EACH).any(|i| !heap.free.borrow()[(page * EACH + i) as usize]);
                if let Ok(frame) = heap.pages().of::<()>(page * EACH) {
                    prop_assert!(heap.memory.borrow()[frame as usize], "a frame without memory");
                    prop_assert_eq!(frames.insert(frame, page), None);
                } else {
                    prop_assert!(!used, "a page in use without a frame");
                }
            }
            for (frame, word) in heap.frames.iter().enumerate() {
                let (state, owner, ..) = frame_parts(word.load(Relaxed));
                prop_assert_eq!((state == USED, owner), (frames.contains_key(&(frame as u32)), 0));
                prop_assert!(state != SPARE || heap.memory.borrow()[frame]);
            }
        }
    }

    #[test]
    fn garbage_ends_in_an_answer(
        map in prop::collection::vec(prop_oneof![any::<u64>(), 0..0x7Fu64], PAGES as usize),
        frames in prop::collection::vec(prop_oneof![any::<u64>(), 0..0x7F_FFFFu64], FRAMES),
        calls in prop::collection::vec((0..5u32, 0..EACH * PAGES), 1..12),
    ) {
        let heap = Heap::new();
        heap.hints.high.store(frames[0] as u32, Relaxed);
        heap.map.iter().zip(&map).for_each(|(word, value)| word.store(*value, Relaxed));
        heap.frames.iter().zip(&frames).for_each(|(word, value)| word.store(*value, Relaxed));
        for (call, place) in calls {
            match call {
                0 => if let Ok(frame) = heap.take(place, 1) { prop_assert!((frame as usize) < FRAMES) },
                1 => heap.free(place, 2),
                2 => heap.pages().repair(1),
                3 => heap.pages().tidy(|| place, 3, &heap),
                _ => if let Ok(frame) = heap.pages().of::<()>(place) { prop_assert!((frame as usize) < FRAMES) },
            }
        }
    }
}

fn unbounded(segment: &Segment, ceiling: usize, size: usize) -> Mailbox {
    segment.mailbox_with("u", MailboxOptions::new(Capacity::Unbounded { ceiling }, size)).unwrap()
}

fn number(buffer: &[u8]) -> u64 {
    u64::from_ne_bytes(buffer[..8].try_into().unwrap())
}

/// Bytes of the segment that have memory.
fn blocks(segment: &Segment) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let fd = segment.fd().unwrap();
    std::fs::File::from(fd).metadata().unwrap().blocks() * 512
}

#[test]
fn it_holds_as_many_as_the_ceiling_says_in_order_and_never_waits() {
    let segment = Segment::anonymous(1 << 21).unwrap();
    let mailbox = unbounded(&segment, 1000, 64);
    let mut buffer = [0; 64];
    for lap in 0..3u64 {
        for i in 0..1000 {
            mailbox.send(&(lap * 1000 + i).to_ne_bytes()).unwrap();
        }
        assert_eq!(mailbox.len(), 1000);
        let error = mailbox.send_until(b"one more", Deadline::never()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("ceiling of 1000") && error.to_string().contains("receive some"), "{error}");
        assert!(!mailbox.try_send(b"one more").unwrap());
        assert_eq!(
            number(&{
                mailbox.peek(&mut buffer).unwrap();
                buffer
            }),
            lap * 1000
        );
        for i in 0..1000 {
            mailbox.receive(&mut buffer).unwrap();
            assert_eq!(number(&buffer), lap * 1000 + i);
        }
        assert!(mailbox.try_receive(&mut buffer).unwrap().is_none());
    }
}

#[test]
fn memory_is_taken_when_messages_come_and_given_back_when_they_are_gone() {
    let segment = Segment::anonymous(64 << 20).unwrap();
    let before = blocks(&segment);
    let mailbox = unbounded(&segment, 4096, 8192);
    let empty = blocks(&segment);
    assert!(empty - before < 1 << 19, "an empty one takes {} bytes", empty - before);
    let message = [7; 8192];
    for _ in 0..4096 {
        mailbox.send(&message).unwrap();
    }
    assert!(blocks(&segment) >= empty + (32 << 20));
    let mut buffer = [0; 8192];
    for _ in 0..4096 {
        mailbox.receive(&mut buffer).unwrap();
        assert_eq!(buffer, message);
    }
    let spare = blocks(&segment) - empty;
    assert!(spare <= 2 << 20, "an empty one keeps {spare} bytes");
    drop(mailbox);
    segment.remove("u").unwrap();
    assert!(blocks(&segment) <= before + (1 << 16));
}

#[test]
fn without_memory_a_send_says_so_and_the_next_one_can_succeed() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = unbounded(&segment, 256, 64);
    // A handle that can commit nothing.
    let mut poor = mailbox.clone();
    poor.memory = Memory::of(mailbox.object.view()).unwrap();
    let error = poor.send(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(error.to_string().contains("no memory for another page of mailbox"), "{error}");
    assert_eq!((mailbox.len(), mailbox.try_receive(&mut [0; 64]).unwrap()), (0, None));
    mailbox.send(b"kept").unwrap();
    poor.send(b"kept, too").unwrap();
    assert_eq!(mailbox.len(), 2);
}

#[test]
fn loans_are_written_and_read_in_place_and_peeks_are_copies() {
    let segment = Segment::anonymous(1 << 22).unwrap();
    let mailbox = unbounded(&segment, 300, 1000);
    let mut loan = mailbox.reserve(1000).unwrap();
    loan.write(0, b"in place").unwrap();
    loan.commit(8).unwrap();
    let mut buffer = [0; 1000];
    assert_eq!(mailbox.peek(&mut buffer).unwrap().size, 8);
    assert_eq!(&buffer[..8], b"in place");
    let borrowed = mailbox.borrow().unwrap();
    assert_eq!(borrowed.to_vec().unwrap(), b"in place");
    borrowed.release().unwrap();
    mailbox.reserve(1).unwrap().cancel();
    assert!(mailbox.try_peek(&mut buffer).unwrap().is_none());
}

#[test]
fn many_send_and_receive_while_pages_come_and_go() {
    const EACH: u64 = 3000;
    let segment = Segment::anonymous(1 << 23).unwrap();
    let mailbox = unbounded(&segment, 20000, 64);
    let got = std::thread::scope(|scope| {
        for me in 0..3u64 {
            let mailbox = mailbox.clone();
            scope.spawn(move || (0..EACH).for_each(|i| mailbox.send(&(me * EACH + i).to_ne_bytes()).unwrap()));
        }
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let mailbox = mailbox.clone();
                scope.spawn(move || {
                    let (mut got, mut buffer) = (vec![], [0; 64]);
                    // The last ones get nothing any more.
                    while mailbox.receive_until(&mut buffer, Deadline::after(std::time::Duration::from_secs(1))).is_ok()
                    {
                        got.push(number(&buffer));
                    }
                    got
                })
            })
            .collect();
        receivers.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    for mine in &got {
        for me in 0..3 {
            assert!(mine.iter().filter(|m| **m / EACH == me).is_sorted());
        }
    }
    let mut all = got.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..3 * EACH));
}

#[test]
fn pages_for_messages_of_no_bytes_are_none() {
    // Only garbage asks for them.
    assert!(Paging::of(256, 8, 0).is_none());
    assert!(Paging::of(256, 8, usize::MAX).is_none());
}
