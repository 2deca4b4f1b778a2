//! A topic's words on the heap: for unit tests and for models. Payload is kept beside.

use super::words::{Apart, Control, Cursor, Head, Memory};
use crate::channel::ring::role::Role;
use crate::prim::{AtomicU32, AtomicU64};
use crate::wait::{EventCount, ParkWord};

/// A topic that lies in no segment.
pub struct Heap {
    control: Control,
    cursors: Vec<Cursor>,
    heads: Vec<Head>,
}

impl Heap {
    /// An empty one.
    pub fn new(capacity: usize, cursors: usize) -> Heap {
        Heap {
            control: Control {
                role: Role::new(),
                _zero: AtomicU32::new(0),
                written: AtomicU64::new(0),
                drops: AtomicU64::new(0),
                evictions: AtomicU64::new(0),
                filled: Apart(EventCount::new()),
                freed: Apart(ParkWord::new()),
            },
            cursors: (0..cursors)
                .map(|_| Cursor { owner: AtomicU32::new(0), _zero: AtomicU32::new(0), at: AtomicU64::new(0) })
                .collect(),
            heads: (0..capacity)
                .map(|_| Head { word: AtomicU64::new(0), len: AtomicU32::new(0), drops: AtomicU32::new(0) })
                .collect(),
        }
    }
}

impl Memory for Heap {
    fn capacity(&self) -> u64 {
        self.heads.len() as u64
    }
    fn head(&self, position: u64) -> &Head {
        &self.heads[(position % self.capacity()) as usize]
    }
    fn cursors(&self) -> u32 {
        self.cursors.len() as u32
    }
    fn cursor(&self, index: u32) -> &Cursor {
        &self.cursors[index as usize]
    }
    fn control(&self) -> &Control {
        &self.control
    }
}
