//! Senders that claim places of pages, and receivers that leave them, in every interleaving.
//!
//! Each thread's part is played by the spawned one and by the other one: loom remembers only the last access to a word
//! when it looks for what to try next, so a load that is followed by another thread's load and exchange is never tried
//! behind the exchange. Not seen here: orders that the words of the places give as well (`of`; `free`, which follows a full
//! barrier), and those of exchanges that only hand on what the ones before released (back from `LEAVING`).

use super::*;
use crate::channel::death;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Pages, and one frame more, so that nobody waits for one that is being taken. A place: 0 free, 1 not. Memory: one number for each place of a frame.
struct Shared {
    hints: Hints,
    map: Vec<AtomicU64>,
    frames: Vec<AtomicU64>,
    places: Vec<AtomicU32>,
    memory: Vec<Vec<UnsafeCell<u32>>>,
    each: u32,
    keep: u32,
}

impl Ground for Shared {
    type Error = ();
    fn is_free(&self, place: u32) -> bool {
        self.places[place as usize].load(Acquire) == 0
    }
    fn commit(&self, frame: u32) -> Result<(), ()> {
        self.fill(frame);
        Ok(())
    }
    fn give_back(&self, frame: u32) {
        self.fill(frame);
    }
}

impl Shared {
    fn new(pages: u32, each: u32, keep: u32) -> Arc<Shared> {
        let words = |n| (0..n).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Shared {
            hints: Hints::new(),
            map: words(pages),
            frames: words(pages + 1),
            places: (0..pages * each).map(|_| AtomicU32::new(0)).collect(),
            memory: (0..=pages).map(|_| (0..each).map(|_| UnsafeCell::new(0)).collect()).collect(),
            each,
            keep,
        })
    }

    fn pages(&self) -> Pages<'_> {
        let places = self.places.len() as u32;
        let Shared { hints, map, frames, each, keep, .. } = self;
        Pages { hints, map, frames, each: *each, places, keep: *keep }
    }

    /// All of a frame's memory changes.
    fn fill(&self, frame: u32) {
        for cell in &self.memory[frame as usize] {
            // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
            cell.with_mut(|cell| unsafe { *cell = 0 });
        }
    }

    /// Claims the place if it is free, and writes.
    fn send(&self, place: u32, message: u32) -> bool {
        if self.places[place as usize].cas_full(0, 1).is_err() {
            return false;
        }
        let frame = self.pages().take(place, 1 + place, self).unwrap();
        // SAFETY: as above.
        self.memory[frame as usize][(place % self.each) as usize].with_mut(|cell| unsafe { *cell = message });
        true
    }

    /// Reads, frees the place, and leaves the page.
    fn receive(&self, place: u32) -> u32 {
        let frame = self.pages().of::<()>(place).unwrap();
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        let message = self.memory[frame as usize][(place % self.each) as usize].with(|cell| unsafe { *cell });
        self.places[place as usize].swap_full(0);
        self.pages().leave(place / self.each, 3, self);
        message
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// While place 0 is received, place `next` is sent to.
fn receives_and_sends(pages: u32, each: u32, keep: u32, next: u32) {
    for spawn_receiver in [true, false] {
        check(move || {
            let shared = Shared::new(pages, each, keep);
            assert!(shared.send(0, 7));
            let theirs = shared.clone();
            let sent = if spawn_receiver {
                let receiver = thread::spawn(move || assert_eq!(theirs.receive(0), 7));
                let sent = shared.send(next, 8);
                receiver.join().unwrap();
                sent
            } else {
                let sender = thread::spawn(move || theirs.send(next, 8));
                assert_eq!(shared.receive(0), 7);
                sender.join().unwrap()
            };
            assert!(sent || next == 0);
            if sent {
                assert_eq!(shared.receive(next), 8);
            }
        });
    }
}

#[test]
fn a_page_is_never_left_under_a_claim() {
    receives_and_sends(1, 1, 2, 0);
    receives_and_sends(1, 2, 2, 1);
}

#[test]
fn a_page_is_never_punched_under_a_claim() {
    receives_and_sends(1, 1, 0, 0);
    receives_and_sends(1, 2, 0, 1);
}

#[test]
fn a_frame_that_another_page_takes_has_been_read() {
    receives_and_sends(2, 1, 2, 1);
    receives_and_sends(2, 1, 0, 1);
}

#[test]
fn two_senders_of_one_page_have_one_frame() {
    check(|| {
        let shared = Shared::new(1, 2, 2);
        let theirs = shared.clone();
        let other = thread::spawn(move || assert!(theirs.send(1, 8)));
        assert!(shared.send(0, 7));
        other.join().unwrap();
        assert_eq!([shared.receive(0), shared.receive(1)], [7, 8]);
    });
}

#[test]
fn a_frame_that_came_too_late_is_another_pages() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let shared = Shared::new(2, 2, 2);
        let others = [1, 2].map(|place| {
            let shared = shared.clone();
            thread::spawn(move || assert!(shared.send(place, place)))
        });
        assert!(shared.send(0, 0));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!([0, 1, 2].map(|place| shared.receive(place)), [0, 1, 2]);
    });
}

#[test]
fn a_frame_of_the_dead_is_another_senders() {
    for step in 1..=4 {
        check(move || {
            let shared = Shared::new(1, 2, 2);
            let theirs = shared.clone();
            let other = thread::spawn(move || assert!(theirs.send(1, 8)));
            // As participant 1; the kernel says that it is dead before the repair.
            if death::at_step(step, || shared.send(0, 7)).is_none() {
                shared.pages().repair(1);
            }
            other.join().unwrap();
            assert_eq!(shared.receive(1), 8);
        });
    }
}
