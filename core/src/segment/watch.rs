//! The watcher: notices deaths at once, and sweeps.

use super::{ParticipantInfo, Segment};
use crate::error::Result;

/// What a watcher has seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A process takes part; those that did already when the watcher started are told first.
    Joined(ParticipantInfo),
    /// A process has left in order.
    Left(ParticipantInfo),
    /// A process has ended without leaving.
    Died {
        /// Who.
        participant: ParticipantInfo,
        /// Has this watcher swept it? False: somebody else was faster, or the directory could not be had; it is
        /// tried again.
        swept: bool,
    },
}

/// A thread that watches a segment. Dropping it ends the thread.
#[must_use = "dropping the watcher ends it"]
#[derive(Debug)]
pub struct Watcher {}

impl Watcher {
    pub(super) fn start(_segment: Segment, _tell: Box<dyn FnMut(WatchEvent) + Send>) -> Result<Watcher> {
        todo!()
    }

    /// How many deaths it has seen.
    pub fn deaths(&self) -> u64 {
        todo!()
    }
}
