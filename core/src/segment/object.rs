//! What every object has: a header in front of it, a view of its memory, and the handle of a process.

use std::sync::Arc;
use crate::error::{Error, Result};
use crate::prim::{AtomicU32, AtomicU64};
use crate::wait::World;
use super::{ObjectKind, ObjectState};

/// The 128 bytes in front of each object. Immutable once the object is ready, except `closed`, `attached`.
#[repr(C, align(128))]
pub struct ObjectHeader {
    pub kind: AtomicU32,
    pub flags: AtomicU32,
    pub len: AtomicU64,
    pub gen_: AtomicU32,
    pub closed: AtomicU32,
    pub g: [AtomicU64; 5],
    pub attached: [AtomicU64; 8],
}

/// Marks types that may lie in a segment: any bits are a value of them, and all of it is atomics.
///
/// # Safety
/// - `repr(C)` or `repr(transparent)`, made of prim's atomics only: another process may store to it at any time.
pub unsafe trait InSegment {}

/// A checked extent of a segment: the memory of one object behind its header.
#[derive(Clone, Copy)]
pub struct View<'a> {
    base: *mut u8,
    size: usize,
    g: [u64; 5],
    life: std::marker::PhantomData<&'a ()>,
}

impl<'a> View<'a> {
    /// Bytes of the object, without its header.
    pub fn size(&self) -> usize { self.size }
    /// The geometry words, copied once.
    pub fn geometry(&self) -> [u64; 5] { self.g }
    /// First byte; 128-aligned.
    pub fn base(&self) -> *mut u8 { self.base }
    /// The resident of type `T` at byte `offset`; [`ErrorKind::Corrupt`](crate::ErrorKind) if it does not fit.
    pub fn at<T: InSegment>(&self, offset: usize) -> Result<&'a T> { let _ = offset; todo!() }
}

/// What the sweep and the observers need to know of a kind of object. One static for each, listed in `kinds.rs`.
pub struct Kind {
    pub kind: ObjectKind,
    /// Leaves no word naming `slot`, whose process is dead. Idempotent; bounded by the object's size; never panics.
    pub repair: fn(View<'_>, slot: u32),
    /// Wakes everybody who sleeps on the object.
    pub ring: fn(View<'_>),
    /// What is to be seen from outside.
    pub state: fn(View<'_>) -> Result<ObjectState>,
}

/// A process's handle on one object. Cheap to clone; the last clone detaches.
#[derive(Clone)]
pub struct Object { _p: Arc<()> }

impl Object {
    pub fn view(&self) -> View<'_> { todo!() }
    pub fn name(&self) -> &str { todo!() }
    /// `segment/object`, for messages.
    pub fn address(&self) -> String { todo!() }
    /// This process's slot; joins anew after a fork.
    #[inline] pub fn me(&self) -> Result<u32> { todo!() }
    /// Changes with every fork: a role or guard taken under another number is not ours.
    #[inline] pub fn fork_number(&self) -> u32 { todo!() }
    /// Runs `f` under the repair byte of `slot` if that process is still dead then. `None`: not dead, or
    /// somebody else is repairing it; look again later.
    pub fn repairing<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> { let _ = (slot, f); todo!() }
    /// The pid that slot belongs to, for messages. Never trusted for more.
    pub fn pid_of(&self, slot: u32) -> Option<u32> { let _ = slot; todo!() }
}

impl World for Object {
    fn still_there(&self) -> Result<()> { todo!() }
    fn is_dead(&self, slot: u32) -> bool { let _ = slot; todo!() }
    fn tick(&self) { todo!() }
    fn timed_out(&self) -> Error { todo!() }
}
