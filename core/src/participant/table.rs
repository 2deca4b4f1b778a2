//! A seat: what a participant tells the others about itself.
//!
//! # State
//!
//! One word: `kind:4 | reaper:12 | 0:16 | generation:32`.
//!
//! | kind   | meaning                                                                     |
//! |--------|-----------------------------------------------------------------------------|
//! | FREE   | nobody; the sweep of the last one is complete, so no word in the segment names this seat |
//! | ACTIVE | a process sits here as long as the kernel says that its life byte is locked   |
//! | DEAD   | its process is dead, `reaper` is putting things right                        |
//!
//! The seat keeps the reaper's number while it is free and under its next owner (who may have been the reaper), so that
//! a watcher can tell a death from leaving in order.
//!
//! # Orderings
//!
//! Edge `seat`: who joins stores the fields, then the state with Release; who asks loads the state with Acquire.

use crate::prim::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::segment::object::InSegment;
use crate::sys::process::Myself;

pub const FREE: u32 = 0;
pub const ACTIVE: u32 = 1;
pub const DEAD: u32 = 2;

/// One seat of the table, 128 bytes.
#[repr(C)]
pub struct Seat {
    state: AtomicU64,
    pid: AtomicU32,
    uid: AtomicU32,
    start_ticks: AtomicU64,
    pidns: AtomicU64,
    joined_ns: AtomicU64,
    _abi: AtomicU64,
    name: [AtomicU64; 2],
    _rest: [AtomicU64; 8],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Seat {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Seat>() == 128);

/// The state word, read once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State(u64);

impl State {
    pub fn kind(self) -> u32 {
        (self.0 & 0xF) as u32
    }
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// Does somebody sit here, dead or alive?
    pub fn is_taken(self) -> bool {
        self.kind() != FREE
    }
    /// Who swept the last one that sat here, or is sweeping him; 0: he left in order.
    pub fn reaper(self) -> u32 {
        (self.0 >> 4 & 0xFFF) as u32
    }
    fn pack(kind: u32, reaper: u32, generation: u32) -> u64 {
        u64::from(kind) | u64::from(reaper) << 4 | u64::from(generation) << 32
    }
}

impl Seat {
    pub fn state(&self) -> State {
        // ORDER seat: Acquire; pairs with the Release in `set`.
        State(self.state.load(Acquire))
    }

    /// Only who holds this seat's repair byte changes its state.
    pub fn set(&self, kind: u32, reaper: u32, generation: u32) {
        // ORDER seat: Release; pairs with the Acquire in `state`.
        self.state.store(State::pack(kind, reaper, generation), Release);
    }

    /// Writes who sits here; the state follows.
    pub fn fill(&self, me: &Myself) {
        // Relaxed throughout: `set` publishes these.
        self.pid.store(me.pid, Relaxed);
        self.uid.store(me.uid, Relaxed);
        self.start_ticks.store(me.start_ticks, Relaxed);
        self.pidns.store(me.pidns, Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.joined_ns.store(now.map_or(0, |d| d.as_nanos() as u64), Relaxed);
        let mut bytes = [0u8; 16];
        let name = me.name.as_bytes();
        let n = name.len().min(16);
        bytes[..n].copy_from_slice(&name[..n]);
        let whole = u128::from_le_bytes(bytes);
        self.name[0].store(whole as u64, Relaxed);
        self.name[1].store((whole >> 64) as u64, Relaxed);
    }

    // Relaxed in all of these: `state` was loaded with Acquire before, and a torn answer is only a wrong text.
    pub fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }
    pub fn uid(&self) -> u32 {
        self.uid.load(Relaxed)
    }
    pub fn start_ticks(&self) -> u64 {
        self.start_ticks.load(Relaxed)
    }
    pub fn pidns(&self) -> u64 {
        self.pidns.load(Relaxed)
    }
    pub fn joined_ns(&self) -> u64 {
        self.joined_ns.load(Relaxed)
    }
    pub fn name(&self) -> String {
        let whole = u128::from(self.name[0].load(Relaxed)) | u128::from(self.name[1].load(Relaxed)) << 64;
        let bytes = whole.to_le_bytes();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(16);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}
