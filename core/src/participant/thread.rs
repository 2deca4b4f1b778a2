//! Threads have numbers, so that a lock can name the thread that holds it.
//!
//! # When a thread ends
//!
//! One that ends while it holds locks leaves them as a dead process would: the next locker gets OwnerDied.
//! What it read-locked is unlocked; leased permits it held go back.
//! A thread that ends by a raw `exit` system call is not noticed.
//!
//! Nobody counts what a thread holds: a store between two locked instructions costs a third of an uncontended lock.
//! A thread that has a number looks at every object when it ends, without the directory's mutex, and takes that only
//! if a word names it.
//!
//! # Reads
//!
//! Which locks a thread has locked for reading stands nowhere in the segment, where only their number is counted for
//! the whole process: the thread itself remembers.

use super::{fork, registry};
use crate::kinds;
use crate::segment::object::{Holds, ObjectKey};
use crate::sync::mutex::owner_word;
use crate::sync::rwlock;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NONE: u32 = u32::MAX;

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(NONE) };
    static AT_END: AtEnd = const { AtEnd { reads: RefCell::new(Reads { fork: 0, held: Vec::new() }) } };
}

/// Taken numbers, one bit each.
static TAKEN: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// The calling thread's number, below 65536, unique among the live threads of this process.
#[inline]
pub fn number() -> u32 {
    let number = NUMBER.get();
    if number != NONE { number } else { fresh() }
}

#[cold]
fn fresh() -> u32 {
    for (i, word) in TAKEN.iter().enumerate() {
        // Relaxed: the read-modify-write alone decides who has the bit.
        let mut now = word.load(Relaxed);
        while now != u64::MAX {
            let bit = now.trailing_ones();
            match word.compare_exchange_weak(now, now | 1 << bit, Relaxed, Relaxed) {
                Ok(_) => {
                    let number = i as u32 * 64 + bit;
                    NUMBER.set(number);
                    // Registers the destructor. A thread that is ending already has no use for one.
                    let _ = AT_END.try_with(|_| ());
                    return number;
                }
                Err(other) => now = other,
            }
        }
    }
    // 65536 live threads that lock: the last number is shared; relocking by two of them would be misjudged.
    0xFFFF
}

/// A lock that the calling thread has read-locked `count` times.
#[derive(Clone, Copy)]
pub struct Read {
    /// Which one.
    pub lock: ObjectKey,
    /// How often.
    pub count: u32,
}

struct Reads {
    /// The fork number under which `held` was filled; under another one it is the parent's.
    fork: u32,
    held: Vec<Read>,
}

struct AtEnd {
    reads: RefCell<Reads>,
}

fn with_reads<R>(f: impl FnOnce(&mut Vec<Read>) -> R) -> Option<R> {
    AT_END
        .try_with(|end| {
            let mut reads = end.reads.try_borrow_mut().ok()?;
            if reads.fork != fork::number() {
                reads.fork = fork::number();
                reads.held.clear();
            }
            Some(f(&mut reads.held))
        })
        .ok()
        .flatten()
}

/// How often the calling thread has `lock` read-locked.
pub fn reads_of(lock: ObjectKey) -> u32 {
    with_reads(|held| held.iter().find(|read| read.lock == lock).map_or(0, |read| read.count)).unwrap_or(0)
}

/// The calling thread has read-locked `lock` once more.
pub fn reads_one_more(lock: ObjectKey) {
    number(); // So that the thread's end is noticed.
    with_reads(|held| match held.iter_mut().find(|read| read.lock == lock) {
        Some(read) => read.count += 1,
        None => held.push(Read { lock, count: 1 }),
    });
}

/// The calling thread has read-unlocked `lock` once. False: it had not locked it.
pub fn reads_one_less(lock: ObjectKey) -> bool {
    with_reads(|held| {
        let Some(i) = held.iter().position(|read| read.lock == lock) else { return false };
        held[i].count -= 1;
        if held[i].count == 0 {
            held.swap_remove(i);
        }
        true
    })
    .unwrap_or(false)
}

/// Everything that the calling thread has read-locked in the segment of participant `participant`.
pub fn each_read(participant: u32, mut f: impl FnMut(Read)) {
    with_reads(|held| held.iter().filter(|read| read.lock.participant == participant).for_each(|read| f(*read)));
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        let number = NUMBER.replace(NONE);
        if number == NONE {
            return;
        }
        let reads = self.reads.get_mut();
        let reads = if reads.fork == fork::number() { std::mem::take(&mut reads.held) } else { Vec::new() };
        NUMBER.set(number); // The directory's mutex is taken below in this thread's name.
        for participant in registry::all() {
            participant.thread_ended(number, &reads);
        }
        NUMBER.set(NONE);
        if let Some(word) = TAKEN.get(number as usize / 64) {
            word.fetch_and(!(1 << (number % 64)), Relaxed);
        }
    }
}

impl super::Participant {
    /// Leaves everything that thread `number` of this process holds as its death would.
    fn thread_ended(&self, number: u32, reads: &[Read]) {
        let Some(me) = self.me_if_joined() else { return };
        if !reads.iter().any(|read| read.lock.participant == self.number()) && !self.is_held(me, number) {
            return;
        }
        let deadline = crate::Deadline::after(std::time::Duration::from_secs(10));
        let _ = self.with_directory_as(me, deadline, |directory| {
            directory.each_used(|entry| {
                if let Some((header, view)) = directory.object(entry)
                    && let Some(kind) = kinds::of(header.kind())
                {
                    (kind.leave)(view, me, number);
                }
            });
            for Read { lock, count } in reads.iter().filter(|read| read.lock.participant == self.number()) {
                let entry = directory.entry(lock.index as usize);
                let entry = entry.filter(|entry| entry.is_used() && entry.generation() == lock.generation);
                if let Some((_, view)) = entry.and_then(|entry| directory.object(entry)) {
                    rwlock::leave_reads(view, me, *count);
                }
            }
        });
    }

    /// Does a word somewhere name thread `number` of this process? Takes no lock: the calling thread is that thread,
    /// so no word begins or ceases to name it meanwhile, and what it holds stays where it is.
    fn is_held(&self, me: u32, number: u32) -> bool {
        let mine = owner_word(me, number);
        (0..self.region.geometry.max_objects).any(|index| {
            let Some(entry) = self.region.entry(index).filter(|entry| entry.is_used()) else { return false };
            let (at, len) = entry.extent();
            let Ok((header, view)) = self.region.object(at, len) else { return false };
            kinds::of(header.kind()).is_some_and(|kind| match (kind.holds)(view) {
                Holds::Nobody => false,
                Holds::One(word) | Holds::ReadWrite(word) => word == mine,
                Holds::Permits { out, .. } => out.contains(&mine),
            })
        })
    }
}
