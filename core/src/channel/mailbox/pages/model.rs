//! A sender that claims a place of a page, and a receiver that leaves the page, in every interleaving.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

/// One page of one place, and two frames. The place: 0 free, 1 not.
struct Shared {
    hints: Hints,
    map: [AtomicU64; 1],
    frames: [AtomicU64; 2],
    place: AtomicU32,
    memory: [UnsafeCell<u32>; 2],
}

impl Ground for Shared {
    type Error = ();
    fn is_free(&self, _: u32) -> bool {
        self.place.load(Acquire) == 0
    }
    fn commit(&self, _: u32) -> Result<(), ()> {
        Ok(())
    }
    fn give_back(&self, frame: u32) {
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.memory[frame as usize].with_mut(|cell| unsafe { *cell = 0 });
    }
}

impl Shared {
    fn pages(&self, keep: u32) -> Pages<'_> {
        Pages { hints: &self.hints, map: &self.map, frames: &self.frames, each: 1, places: 1, keep }
    }

    /// Claims the free place and writes.
    fn send(&self, message: u32, keep: u32) -> bool {
        if self.place.cas_full(0, 1).is_err() {
            return false;
        }
        let frame = self.pages(keep).take(0, 1, self).unwrap();
        // SAFETY: as above.
        self.memory[frame as usize].with_mut(|cell| unsafe { *cell = message });
        true
    }

    /// Reads, frees the place, and leaves the page.
    fn receive(&self, keep: u32) -> u32 {
        let frame = self.pages(keep).of::<()>(0).unwrap();
        // SAFETY: a plain read, as loom's cell checks that nobody writes.
        let message = self.memory[frame as usize].with(|cell| unsafe { *cell });
        self.place.swap_full(0);
        self.pages(keep).leave(0, 2, self);
        message
    }
}

fn check(keep: u32) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let shared = Arc::new(Shared {
            hints: Hints::new(),
            map: [AtomicU64::new(0)],
            frames: [AtomicU64::new(0), AtomicU64::new(0)],
            place: AtomicU32::new(0),
            memory: [UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        assert!(shared.send(7, keep));
        let theirs = shared.clone();
        let receiver = loom::thread::spawn(move || theirs.receive(keep));
        let sent = shared.send(8, keep);
        assert_eq!(receiver.join().unwrap(), 7);
        if sent {
            assert_eq!(shared.receive(keep), 8);
        }
    });
}

#[test]
fn a_page_is_never_left_under_a_claim() {
    check(2);
}

#[test]
fn a_page_is_never_punched_under_a_claim() {
    check(0);
}
