//! How long a wait set sleeps before it looks again: as everybody who waits, see `wait`.

use super::any::Means;
use super::members::Side;
use crate::deadline::now_ns;
use crate::wait::World;
use std::sync::Arc;

const SUSPECT_MS: u64 = 16;
const IDLE_MS: [u64; 2] = [16, 60];

/// The slices of one wait. One of them goes on when the sleep in it was cut short: members whose bells ring all the
/// time must not keep anybody from asking after the others' suspects.
pub struct Slices {
    number: usize,
    end_ns: u64,
    means: Means,
}

impl Slices {
    /// The first one begins now.
    pub fn new(sides: &[Arc<dyn Side>], means: Means) -> Slices {
        let mut slices = Slices { number: 0, end_ns: 0, means };
        slices.begin(sides);
        slices
    }

    /// When the current one ends.
    pub fn end(&self) -> u64 {
        self.end_ns
    }

    /// The next one begins now. Looks after participants that died without anybody waiting for them.
    pub fn next(&mut self, sides: &[Arc<dyn Side>]) {
        sides.iter().for_each(|side| side.object().tick());
        self.number = (self.number + 1).min(IDLE_MS.len() - 1);
        self.begin(sides);
    }

    fn begin(&mut self, sides: &[Arc<dyn Side>]) {
        let suspected = sides.iter().any(|side| side.suspect().is_some());
        let ms = if suspected { SUSPECT_MS } else { IDLE_MS[self.number] };
        self.end_ns = if self.means.is_endless() { u64::MAX } else { now_ns() + ms * 1_000_000 };
    }
}
