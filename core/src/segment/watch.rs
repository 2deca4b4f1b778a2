//! The watcher: notices deaths at once, and sweeps.
//!
//! Nobody needs one: whoever waits for a dead process finds out by himself. A watcher makes it faster for sleepers,
//! a fraction of a millisecond instead of up to 64, and looks after those for whom nobody waits.
//!
//! # How
//!
//! The kernel makes a pidfd readable when the last thread of its process is gone, and the locks with it. Processes of
//! another pid namespace have no pidfd here: they are asked for every 10 ms, as often as the table is looked through
//! for newcomers.
//!
//! # When a peer dies
//!
//! The watcher itself: everybody is on their own again. Several watchers do no harm: one of them sweeps.

use super::{ParticipantInfo, Segment, info};
use crate::error::{Error, Result};
use crate::participant::fork;
use crate::sys::process;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
// Process-private.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// How often the table is looked through for newcomers, and those without a pidfd are asked for.
const ROUND_MS: u8 = 10;
/// How long a sweep waits for the directory; the next round tries again.
const PATIENCE_NS: u64 = 5_000_000;

/// What a watcher has seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A process takes part; those that did already when the watcher started are told first.
    Joined(ParticipantInfo),
    /// A process has left in order.
    Left(ParticipantInfo),
    /// A process has ended without leaving, and what it left has been put right.
    Died {
        /// Who.
        participant: ParticipantInfo,
        /// The names of the objects that it held a part of, as far as this watcher saw them before the sweep.
        held: Vec<String>,
        /// False: somebody else swept it before this watcher did.
        swept: bool,
    },
}

/// A thread that watches a segment. Dropping it ends the thread; in a forked child, where there is no such thread, it
/// does nothing.
#[must_use = "dropping the watcher ends it"]
#[derive(Debug)]
pub struct Watcher {
    deaths: Arc<AtomicU64>,
    stop: PipeWriter,
    thread: Option<JoinHandle<()>>,
    fork: u32,
}

impl Watcher {
    pub(super) fn start(segment: Segment, tell: Box<dyn FnMut(WatchEvent) + Send>) -> Result<Watcher> {
        let failed = |e: std::io::Error| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "start a watcher");
        let me = segment.participant.me()?;
        let (stopped, stop) = std::io::pipe().map_err(failed)?;
        let deaths = Arc::new(AtomicU64::new(0));
        let mut watch = Watch { segment, me, seen: BTreeMap::new(), tell, deaths: deaths.clone() };
        // Signals belong to the program's own threads.
        let thread = process::without_signals(|| {
            std::thread::Builder::new().name("triveni-watch".into()).spawn(move || watch.run(&stopped))
        })
        .map_err(failed)?;
        Ok(Watcher { deaths, stop, thread: Some(thread), fork: fork::number() })
    }

    /// How many deaths it has seen.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Relaxed) // Relaxed: a count, nothing hangs on it.
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.fork != fork::number() {
            std::mem::forget(thread); // The parent's.
            return;
        }
        // A byte, not a closed end: a forked child has a copy of this end. Dropped by its own thread, in `tell`, the
        // watcher ends when that has returned.
        if self.stop.write_all(&[0]).is_ok() && thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

/// A participant that has been told of.
struct Seen {
    /// The generation of its seat.
    generation: u32,
    info: ParticipantInfo,
    /// `None`: of another pid namespace, or no descriptor could be had.
    pidfd: Option<OwnedFd>,
}

struct Watch {
    segment: Segment,
    me: u32,
    seen: BTreeMap<u32, Seen>,
    tell: Box<dyn FnMut(WatchEvent) + Send>,
    deaths: Arc<AtomicU64>,
}

impl Watch {
    fn run(&mut self, stopped: &PipeReader) {
        loop {
            self.look_through();
            let mut fds = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            let watched = self.seen.iter().filter_map(|(slot, seen)| Some((*slot, seen.pidfd.as_ref()?)));
            let (slots, pidfds): (Vec<u32>, Vec<&OwnedFd>) = watched.unzip();
            fds.extend(pidfds.iter().map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)));
            let _ = poll(&mut fds, PollTimeout::from(ROUND_MS)); // Whatever it says, we look.
            if fds[0].any() == Some(true) {
                return;
            }
            let ended = fds[1..].iter().zip(slots).filter(|(fd, _)| fd.any() == Some(true));
            let ended: Vec<u32> = ended.map(|(_, slot)| slot).collect();
            self.look_through();
            // Whoever is still there is asked for in every round; his pidfd would never let us sleep again.
            for slot in ended {
                if let Some(seen) = self.seen.get_mut(&slot) {
                    seen.pidfd = None;
                }
            }
        }
    }

    /// Tells who has come and gone since the last time, and sweeps the dead.
    fn look_through(&mut self) {
        let participant = self.segment.participant.clone();
        for slot in 1..=participant.region.geometry.max_participants as u32 {
            let Some(seat) = participant.region.seat(slot) else { continue };
            let state = seat.state();
            let known = self.seen.get(&slot).map(|seen| seen.generation);
            // A seat's generation is raised when it is taken and when it is free again.
            if known.is_some_and(|known| known != state.generation())
                && let Some(gone) = self.seen.remove(&slot)
            {
                self.gone(gone, state.reaper() == 0, false, Vec::new());
            }
            if !state.is_taken() {
                continue;
            }
            if !self.seen.contains_key(&slot) {
                let info = participant.describe(slot);
                let pidfd = (slot != self.me).then(|| participant.pidfd(slot)).flatten();
                self.seen.insert(slot, Seen { generation: state.generation(), info: info.clone(), pidfd });
                (self.tell)(WatchEvent::Joined(info));
            }
            if slot != self.me && participant.is_dead(slot) {
                let held = info::held_by(&participant.region, slot);
                if participant.sweep(slot, PATIENCE_NS)
                    && let Some(gone) = self.seen.remove(&slot)
                {
                    self.gone(gone, false, true, held);
                }
            }
        }
    }

    fn gone(&mut self, seen: Seen, in_order: bool, swept: bool, held: Vec<String>) {
        let participant = ParticipantInfo { alive: in_order, ..seen.info };
        if in_order {
            (self.tell)(WatchEvent::Left(participant));
        } else {
            self.deaths.fetch_add(1, Relaxed); // Relaxed: as in `deaths`.
            (self.tell)(WatchEvent::Died { participant, held, swept });
        }
    }
}
