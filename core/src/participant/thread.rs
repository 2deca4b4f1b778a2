//! Threads have numbers, so that a lock can name the thread that holds it.
//!
//! # When a thread ends
//!
//! One that ends while it holds locks leaves them as a dead process would: the next locker gets OwnerDied.
//! What it read-locked is unlocked; leased permits it held go back.
//! A thread that ends by a raw `exit` system call is not noticed.
//!
//! The end is the destructor of a pthread key: it comes after the destructors of Rust's and C++'s thread-locals, which
//! may still lock, and comes again after a destructor of another key that did.
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
use crate::segment::directory::Entry;
use crate::segment::object::{Holds, ObjectHeader, ObjectKey, View};
use crate::sync::mutex::owner_word;
use crate::sync::rwlock;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NONE: u32 = u32::MAX;

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(NONE) };
    /// From a Box, or null; taken out while it is used, and freed by `ended`. No destructor: those of others may read.
    static READS: Cell<*mut Reads> = const { Cell::new(null_mut()) };
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
                    notice_the_end();
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

/// Has [`ended`] called when the calling thread ends. Also in a thread that is ending: then once more.
fn notice_the_end() {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is ours; `ended` never unwinds, and this library is not unloaded while threads use it.
        (unsafe { libc::pthread_key_create(&mut key, Some(ended)) } == 0).then_some(key)
    });
    // Without a key (a process has 1024), a thread's end goes unnoticed, as after a raw `exit`.
    if let Some(key) = key {
        // SAFETY: the key exists. Any value but null has the destructor called; it is never followed.
        unsafe { libc::pthread_setspecific(*key, std::ptr::dangling()) };
    }
}

fn with_reads<R>(f: impl FnOnce(&mut Vec<Read>) -> R) -> R {
    let mut reads = take_reads();
    let answer = f(&mut reads.held);
    READS.set(Box::into_raw(reads));
    answer
}

/// What this thread reads, taken out of its place.
fn take_reads() -> Box<Reads> {
    let reads = READS.replace(null_mut());
    // SAFETY: not null, so it came from `Box::into_raw` in `with_reads` on this thread, and nobody else has it now.
    let own = (!reads.is_null()).then(|| unsafe { Box::from_raw(reads) });
    match own {
        Some(reads) if reads.fork == fork::number() => reads,
        _ => Box::new(Reads { fork: fork::number(), held: Vec::new() }),
    }
}

/// How often the calling thread has `lock` read-locked.
pub fn reads_of(lock: ObjectKey) -> u32 {
    with_reads(|held| held.iter().find(|read| read.lock == lock).map_or(0, |read| read.count))
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
}

/// Everything that the calling thread has read-locked in the segment of participant `participant`.
pub fn each_read(participant: u32, mut f: impl FnMut(Read)) {
    with_reads(|held| held.iter().filter(|read| read.lock.participant == participant).for_each(|read| f(*read)));
}

/// The last that a thread does here, or the last but one.
extern "C" fn ended(_: *mut c_void) {
    let number = NUMBER.get();
    if number == NONE {
        return;
    }
    let reads = take_reads();
    // The directory's mutex may be taken in this thread's name.
    let mut left = true;
    for participant in registry::all() {
        left &= participant.thread_ended(number, &reads.held);
    }
    NUMBER.set(NONE);
    // A number that a word still names is given to nobody else.
    if let Some(word) = TAKEN.get(number as usize / 64).filter(|_| left) {
        word.fetch_and(!(1 << (number % 64)), Relaxed);
    }
}

impl super::Participant {
    /// Leaves everything that thread `number` of this process holds as its death would. False: the directory was in
    /// the way, and a word still names it.
    fn thread_ended(&self, number: u32, reads: &[Read]) -> bool {
        let Some(me) = self.me_if_joined() else { return true };
        let mut reads: Vec<Read> =
            reads.iter().filter(|read| read.lock.participant == self.number()).copied().collect();
        if reads.is_empty() && !self.is_held(me, number) {
            return true;
        }
        // What this process has open keeps its place, so the directory's mutex is not needed, which may be held by
        // somebody who is stopped.
        self.each_entry(|index, entry, header, view| {
            if header.is_attached(me) {
                leave(index, entry, header, view, me, number, &mut reads);
            }
        });
        if reads.is_empty() && !self.is_held(me, number) {
            return true;
        }
        // Held without a handle: a guard that was forgotten.
        let deadline = crate::Deadline::after(std::time::Duration::from_millis(100));
        let left = self.with_directory_as(me, deadline, |_| {
            self.each_entry(|index, entry, header, view| leave(index, entry, header, view, me, number, &mut reads));
        });
        left.is_ok()
    }

    /// Every object there is.
    fn each_entry<'s>(&'s self, mut f: impl FnMut(u32, &'s Entry, &'s ObjectHeader, View<'s>)) {
        for index in 0..self.region.geometry.max_objects {
            let Some(entry) = self.region.entry(index).filter(|entry| entry.is_used()) else { continue };
            let (at, len) = entry.extent();
            if let Ok((header, view)) = self.region.object(at, len) {
                f(index as u32, entry, header, view);
            }
        }
    }

    /// Does a word somewhere name thread `number` of this process? Takes no lock: the calling thread is that thread,
    /// so no word begins or ceases to name it meanwhile, and what it holds stays where it is.
    fn is_held(&self, me: u32, number: u32) -> bool {
        let (mine, mut held) = (owner_word(me, number), false);
        self.each_entry(|_, _, header, view| {
            held |= kinds::of(header.kind()).is_some_and(|kind| match (kind.holds)(view) {
                Holds::Nobody => false,
                Holds::One(word) | Holds::ReadWrite(word) => word == mine,
                Holds::Permits { out, .. } => out.contains(&mine),
            });
        });
        held
    }
}

/// Leaves what thread `number` holds of one object; takes what it has read-locked of it out of `reads`.
fn leave(
    index: u32,
    entry: &Entry,
    header: &ObjectHeader,
    view: View<'_>,
    me: u32,
    number: u32,
    reads: &mut Vec<Read>,
) {
    if let Some(kind) = kinds::of(header.kind()) {
        (kind.leave)(view, me, number);
    }
    reads.retain(|Read { lock, count }| {
        let is_it = (lock.index, lock.generation) == (index, entry.generation());
        if is_it {
            rwlock::leave_reads(view, me, *count);
        }
        !is_it
    });
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::{LockError, Segment};
    use std::cell::RefCell;

    /// Locks when it is dropped, and keeps the lock.
    struct Late(crate::Mutex, crate::RwLock);

    impl Drop for Late {
        fn drop(&mut self) {
            std::mem::forget(self.0.lock());
            std::mem::forget(self.1.read());
        }
    }

    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }

    extern "C" fn locks_last(late: *mut std::ffi::c_void) {
        // SAFETY: from Box::into_raw below; a key's destructor gets it once.
        drop(unsafe { Box::from_raw(late.cast::<Late>()) });
    }

    #[test]
    fn what_a_destructor_of_a_thread_locks_last_of_all_is_left_too_and_numbers_are_used_again() {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let (mutex, rwlock) = (segment.mutex("m").unwrap(), segment.rwlock("r", crate::RwPolicy::Fair).unwrap());
        let late = || Late(mutex.clone(), rwlock.clone());
        let numbers: Vec<u32> = (0..20)
            .map(|i| {
                let late = late();
                let thread = std::thread::spawn(move || {
                    if i % 2 == 0 {
                        // Its destructor was registered before ours, so it runs after it.
                        LATE.with(|place| *place.borrow_mut() = Some(late));
                    } else {
                        let mut key = 0;
                        // SAFETY: the key is fresh; its destructor takes the box back.
                        unsafe {
                            libc::pthread_key_create(&mut key, Some(locks_last));
                            libc::pthread_setspecific(key, Box::into_raw(Box::new(late)).cast());
                        }
                    }
                    super::number()
                });
                let number = thread.join().unwrap();
                match mutex.lock() {
                    Err(LockError::OwnerDied(guard)) => guard.recover(),
                    Ok(_) => panic!("{i}: it did not lock"),
                    Err(LockError::Failed(error)) => panic!("{i}: {error}"),
                }
                assert_eq!(rwlock.readers(), 0, "{i}");
                number
            })
            .collect();
        assert!(numbers.iter().max() < numbers.iter().min().map(|least| least + 40).as_ref(), "{numbers:?}");
    }
}
