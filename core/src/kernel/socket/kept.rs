//! Datagrams that were larger than the buffer they were received into: each waits here for a larger one.
//!
//! recv(2) throws away what has no room. Looking at the size first would be one more system call for each datagram; so
//! what has no room goes to spare memory of the thread, and a datagram that needed it is kept in the handle. poll(2) does
//! not see it there, nor do other processes that have the socket: who got `TooLarge` asks again.

use super::call::Raw;
use std::cell::Cell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More than an ordinary user's datagram can have: twice the usual wmem_max. Memory that is not needed is never touched.
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

/// The bytes of a datagram and its sender.
struct Message {
    bytes: Vec<u8>,
    from: Raw,
}

/// Those of one handle: at most one for each thread that receives.
#[derive(Default)]
pub(super) struct Kept {
    any: AtomicBool,
    messages: Mutex<VecDeque<Message>>,
}

impl Kept {
    fn messages(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one.
    #[cold]
    pub(super) fn keep(&self, bytes: Vec<u8>, from: Raw) {
        let mut messages = self.messages();
        messages.push_back(Message { bytes, from });
        // Relaxed: who asks without the lock may miss what another thread keeps at this moment, and receives the next
        // one first, as if he had been faster.
        self.any.store(true, Relaxed);
    }

    /// The oldest into `buffer`: its size, or as an error the size that a buffer needs. `None` if there is none.
    #[inline]
    pub(super) fn take(&self, buffer: &mut [u8], from: &mut Raw) -> Option<Result<usize, usize>> {
        if self.any.load(Relaxed) { self.take_kept(buffer, from) } else { None }
    }

    #[cold]
    fn take_kept(&self, buffer: &mut [u8], from: &mut Raw) -> Option<Result<usize, usize>> {
        let mut messages = self.messages();
        let size = messages.front()?.bytes.len();
        let Some(room) = buffer.get_mut(..size) else { return Some(Err(size)) };
        let message = messages.pop_front()?;
        self.any.store(!messages.is_empty(), Relaxed); // under the lock, as every store
        room.copy_from_slice(&message.bytes);
        *from = message.from;
        Some(Ok(size))
    }

    /// The size of the oldest.
    #[inline]
    pub(super) fn size(&self) -> Option<usize> {
        if !self.any.load(Relaxed) {
            return None;
        }
        self.messages().front().map(|message| message.bytes.len())
    }
}
