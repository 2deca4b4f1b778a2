//! Messages that were larger than the buffer they were received into: each waits here for a larger one.
//!
//! recv(2) throws away what has no room. Looking at the size first would be one more system call for each message; so
//! what has no room goes to spare memory of the thread, and a message that needed it is kept in the handle. poll(2) does
//! not see it there, nor do other processes that have the socket: who got `TooLarge` asks again.

use super::call::Raw;
use std::cell::Cell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::process;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// More than an ordinary user's message can have: twice the usual wmem_max. Memory that is not needed is never touched.
const SPILL: usize = 512 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with this thread's spare memory.
#[inline]
pub(super) fn with_spill<T>(f: impl FnOnce(&mut [MaybeUninit<u8>]) -> T) -> T {
    // Taken, not borrowed: a signal handler that receives gets memory of its own, and so does a thread that is ending.
    let mut spare = SPARE.try_with(Cell::take).unwrap_or_default();
    spare.reserve_exact(SPILL); // the first time
    let done = f(spare.spare_capacity_mut());
    let _ = SPARE.try_with(|place| place.set(spare)); // or it is freed
    done
}

/// The bytes of a message and its sender.
struct Message {
    bytes: Vec<u8>,
    from: Raw,
}

/// Those of one process: a forked child's copy is not for the child, as its parent receives them.
struct List {
    process: u32,
    messages: VecDeque<Message>,
}

/// Those of one handle: at most one for each thread that receives.
///
/// Who works on the list takes it away and puts it back: no lock, which a fork could copy while it is held. Meanwhile
/// the others find none, and receive the next message first, as if they had been faster.
#[derive(Default)]
pub(super) struct Kept(AtomicPtr<List>);

impl Kept {
    fn take_away(&self) -> Option<Box<List>> {
        // Acquire: what `put_back` has written to the list happens before.
        let list = self.0.swap(ptr::null_mut(), Acquire);
        if list.is_null() {
            return None;
        }
        // SAFETY: it comes from `Box::into_raw` in `put_back`, and the swap gives it to one alone.
        let list = unsafe { Box::from_raw(list) };
        (list.process == process::id()).then_some(list)
    }

    fn put_back(&self, mut list: Box<List>) {
        while !list.messages.is_empty() {
            let new = Box::into_raw(list);
            // Release: what is in the list happens before. Relaxed: nothing is read through a list that is not ours.
            match self.0.compare_exchange(ptr::null_mut(), new, Release, Relaxed) {
                Ok(_) => return,
                // SAFETY: nobody else has seen it.
                Err(_) => list = unsafe { Box::from_raw(new) },
            }
            if let Some(others) = self.take_away() {
                list.messages.extend(others.messages);
            }
        }
    }

    /// Keeps one.
    #[cold]
    pub(super) fn keep(&self, bytes: Vec<u8>, from: Raw) {
        let none = || Box::new(List { process: process::id(), messages: VecDeque::new() });
        let mut list = self.take_away().unwrap_or_else(none);
        list.messages.push_back(Message { bytes, from });
        self.put_back(list);
    }

    /// The oldest into `buffer`: its size, or as an error the size that a buffer needs. `None` if there is none.
    #[inline]
    pub(super) fn take(&self, buffer: &mut [u8], from: &mut Raw) -> Option<Result<usize, usize>> {
        if self.is_empty() { None } else { self.take_kept(buffer, from) }
    }

    #[cold]
    fn take_kept(&self, buffer: &mut [u8], from: &mut Raw) -> Option<Result<usize, usize>> {
        let mut list = self.take_away()?;
        let size = list.messages.front()?.bytes.len();
        let taken = match buffer.get_mut(..size).and_then(|room| Some((room, list.messages.pop_front()?))) {
            None => Err(size),
            Some((room, message)) => {
                room.copy_from_slice(&message.bytes);
                *from = message.from;
                Ok(size)
            }
        };
        self.put_back(list);
        Some(taken)
    }

    /// The size of the oldest.
    #[inline]
    pub(super) fn size(&self) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let list = self.take_away()?;
        let size = list.messages.front().map(|message| message.bytes.len());
        self.put_back(list);
        size
    }

    /// Relaxed: only `take_away` reads what is there.
    #[inline]
    fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.take_away());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::kernel::fork;

    fn take(kept: &Kept) -> Option<u32> {
        let mut bytes = [0; 4];
        kept.take(&mut bytes, &mut Raw::empty()).map(|size| {
            assert_eq!(size, Ok(4));
            u32::from_ne_bytes(bytes)
        })
    }

    #[test]
    fn threads_keep_and_take_at_once_and_each_message_is_taken_once() {
        const EACH: u32 = 2000;
        let kept = Kept::default();
        let mut taken: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let kept = &kept;
                    scope.spawn(move || {
                        let mut taken = Vec::new();
                        for i in 0..EACH {
                            kept.keep((thread * EACH + i).to_ne_bytes().to_vec(), Raw::empty());
                            taken.extend(take(kept));
                        }
                        taken
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.extend(std::iter::from_fn(|| take(&kept)));
        taken.sort_unstable();
        assert_eq!(taken, (0..4 * EACH).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_is_larger_stays_with_its_size() {
        let kept = Kept::default();
        assert_eq!((kept.size(), take(&kept)), (None, None));
        kept.keep(vec![7; 4], Raw::empty());
        kept.keep(vec![8; 4], Raw::empty());
        assert_eq!(kept.take(&mut [0; 3], &mut Raw::empty()), Some(Err(4)));
        assert_eq!(kept.size(), Some(4));
        assert_eq!([take(&kept), take(&kept), take(&kept)], [Some(0x0707_0707), Some(0x0808_0808), None]);
    }

    #[test]
    fn a_forked_child_has_none_of_its_parents() {
        let kept = Kept::default();
        kept.keep(vec![7; 4], Raw::empty());
        // SAFETY: the child looks at a list, and ends.
        let child = unsafe { fork(|| i32::from(kept.size().is_some() || take(&kept).is_some())) }.unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(take(&kept), Some(0x0707_0707));
    }
}
