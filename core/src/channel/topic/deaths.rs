//! The topic under shuttle: publishers that succeed each other and subscribers that come and go, in five threads, each a
//! process with a slot of its own, that die before any operation on shared memory; one more sweeps. Run by
//! `tests/check shuttle`.

use super::heap::Heap;
use super::words::{Look, Memory, Reader, Writer, repair, slot_of};
use crate::mortal::mortal;
use crate::prim::{AtomicU64, Ordering::Relaxed};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Publishers sit in slots 1 and 2, subscribers in 3 to 5, the sweeper in 6.
const PUBLISHERS: u32 = 2;
const ALL: u32 = 6;
const CAPACITY: u64 = 2;
const CURSORS: usize = 2;
/// Messages that each publisher publishes, and each subscriber receives, at most.
const MESSAGES: u32 = 3;

/// A topic whose messages are two words, each the position.
struct Town {
    heap: Heap,
    bytes: Vec<[AtomicU64; 2]>,
    /// What the kernel knows. No thread is ever descheduled with it held.
    dead: Mutex<BTreeSet<u32>>,
}

impl Town {
    fn new() -> Town {
        let bytes = (0..CAPACITY).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        Town { heap: Heap::new(CAPACITY as usize, CURSORS), bytes, dead: Mutex::default() }
    }

    fn is_dead(&self, slot: u32) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(&slot)
    }

    fn slot(&self, position: u64) -> &[AtomicU64; 2] {
        &self.bytes[(position % CAPACITY) as usize]
    }

    /// Publishes if it gets the role. `patient`: waits for room for ever.
    fn publish(&self, me: u32, patient: bool) -> bool {
        let role = &self.heap.control().role;
        let Ok(mine) = role.take(me, |slot| self.is_dead(slot)) else { return false };
        let mut writer = Writer::take(&self.heap, false).unwrap();
        for _ in 0..MESSAGES {
            let mut looks = 0;
            while !writer.has_room() {
                let mut blockers = Vec::new();
                if writer.look(&self.heap, |blocker| blockers.push(blocker)) {
                    break;
                }
                for blocker in blockers.into_iter().filter(|blocker| self.is_dead(slot_of(blocker.word))) {
                    blocker.free(&self.heap);
                }
                looks += 1;
                if looks > 5 && !patient {
                    role.release(mine);
                    return true;
                }
                shuttle::thread::yield_now();
            }
            let position = writer.next();
            writer.begin(&self.heap);
            self.slot(position).iter().for_each(|word| word.store(position, Relaxed));
            writer.commit(&self.heap, 16, 0);
            writer.tell(&self.heap);
        }
        role.release(mine);
        true
    }

    /// Subscribes, and receives in place what comes: each message whole, none left out.
    fn subscribe(&self, me: u32, oldest: bool) {
        let Some(mut reader) = (0..CURSORS as u32).find_map(|i| Reader::join(&self.heap, i, me, oldest)) else {
            return;
        };
        for _ in 0..2 * MESSAGES {
            match reader.look(&self.heap) {
                Look::Message { .. } => {
                    let words = [0, 1].map(|i| self.slot(reader.at())[i].load(Relaxed));
                    if reader.is_protected() {
                        assert_eq!(words, [reader.at(); 2], "torn in the hands of {me}");
                    }
                    reader.release(&self.heap, 1, true);
                }
                Look::Lapped => {
                    assert!(!reader.is_protected(), "{me} was overtaken at {}", reader.at());
                    reader.skip(&self.heap).unwrap();
                }
                Look::Nothing => shuttle::thread::yield_now(),
            }
            assert!(!reader.is_out(&self.heap), "{me} lost its cursor");
        }
        reader.leave(&self.heap);
    }

    fn sweep(&self) {
        (1..=ALL).filter(|slot| self.is_dead(*slot)).for_each(|slot| repair(&self.heap, slot));
    }
}

/// When a process dies: by chance never, or before one of its first operations.
fn fate() -> u32 {
    let mut random = shuttle::rand::thread_rng();
    if random.gen_bool(0.4) { 0 } else { random.gen_range(1..80) }
}

fn live() {
    let town = Arc::new(Town::new());
    let threads: Vec<_> = (1..=ALL)
        .map(|slot| {
            let (town, at) = (town.clone(), fate());
            shuttle::thread::spawn(move || {
                let died = mortal(at, || match slot {
                    1..=PUBLISHERS => drop(town.publish(slot, false)),
                    ALL => town.sweep(),
                    _ => town.subscribe(slot, slot % 2 == 0),
                });
                if died.is_none() {
                    town.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Whatever the dead left, a successor publishes, and every place is free in the end.
    assert!(town.publish(ALL + 1, true), "the role is lost");
    town.sweep();
    let readers: Vec<_> = (0..CURSORS as u32).map(|i| Reader::join(&town.heap, i, ALL + 1, true)).collect();
    assert!(readers.iter().all(Option::is_some), "a cursor is lost");
}

#[test]
fn a_topic_goes_on_whoever_dies() {
    let cases = std::env::var("TRIVENI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config.max_steps = MaxSteps::FailAfter(200_000); // Who has not come to an end by then hangs.
        Runner::new(scheduler, config).run(live);
    };
    run(Box::new(RandomScheduler::new(cases)));
    run(Box::new(PctScheduler::new(4, cases)));
}
