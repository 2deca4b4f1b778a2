//! A ring's words on the heap, and sudden death at any access to them: for unit tests and for models.

use super::cells::{End, Memory};
use crate::prim::AtomicU64;
use crate::wait::ParkWord;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A ring that lies in no segment. It has headers only; who wants payload keeps it beside.
pub struct Heap {
    headers: Vec<AtomicU64>,
    producer: End,
    consumer: End,
    filled: ParkWord,
    freed: ParkWord,
    exact: bool,
}

impl Heap {
    /// An empty ring of `cells` cells.
    pub fn new(cells: u64) -> Heap {
        Heap {
            headers: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            producer: End::new(),
            consumer: End::new(),
            filled: ParkWord::new(),
            freed: ParkWord::new(),
            exact: false,
        }
    }

    /// The same, of which each publication is a full barrier.
    #[cfg(loom)]
    pub fn exact(cells: u64) -> Heap {
        Heap { exact: true, ..Heap::new(cells) }
    }
}

impl Memory for Heap {
    fn cells(&self) -> u64 {
        self.headers.len() as u64
    }
    fn header(&self, position: u64) -> &AtomicU64 {
        &self.headers[(position % self.cells()) as usize]
    }
    fn producer(&self) -> &End {
        &self.producer
    }
    fn consumer(&self) -> &End {
        &self.consumer
    }
    fn filled(&self) -> &ParkWord {
        &self.filled
    }
    fn freed(&self) -> &ParkWord {
        &self.freed
    }
    fn is_exact(&self) -> bool {
        self.exact
    }
}

/// The memory as one process sees it that is killed before an access of our choice.
pub struct Mortal<'m, M> {
    memory: &'m M,
    accesses_left: Cell<u32>,
    headers: Cell<u32>,
}

impl<'m, M: Memory> Mortal<'m, M> {
    /// Dies when it asks for access number `accesses`, counted from 0.
    pub fn new(memory: &'m M, accesses: u32) -> Mortal<'m, M> {
        Mortal { memory, accesses_left: Cell::new(accesses), headers: Cell::new(0) }
    }

    /// What `life` returns, or `None` if it was killed.
    pub fn live<T>(&self, life: impl FnOnce(&Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| life(self))) {
            Ok(answer) => Some(answer),
            Err(cause) if cause.is::<Killed>() => None,
            Err(failure) => resume_unwind(failure),
        }
    }

    /// How many headers it asked for.
    pub fn headers(&self) -> u32 {
        self.headers.get()
    }

    fn access(&self) -> &'m M {
        match self.accesses_left.get().checked_sub(1) {
            Some(left) => self.accesses_left.set(left),
            None => resume_unwind(Box::new(Killed)),
        }
        self.memory
    }
}

struct Killed;

impl<M: Memory> Memory for Mortal<'_, M> {
    fn cells(&self) -> u64 {
        self.memory.cells()
    }
    fn header(&self, position: u64) -> &AtomicU64 {
        self.headers.set(self.headers.get() + 1);
        self.access().header(position)
    }
    fn producer(&self) -> &End {
        self.access().producer()
    }
    fn consumer(&self) -> &End {
        self.access().consumer()
    }
    fn filled(&self) -> &ParkWord {
        self.access().filled()
    }
    fn freed(&self) -> &ParkWord {
        self.access().freed()
    }
    fn is_exact(&self) -> bool {
        self.memory.is_exact()
    }
}
