//! The sweep: everything that names a dead participant is put right, then its seat is free.
//!
//! # When a peer dies
//!
//! The reaper, at any instruction: the kernel gives the repair byte back, the seat still says ACTIVE or DEAD,
//! and the next one starts from scratch. Repairs are idempotent and change only words that name the dead.

use super::{Participant, table};
use crate::deadline::Deadline;
use crate::kinds;
use std::time::Duration;

impl Participant {
    /// Sweeps everybody who is dead; returns how many. `patience_ns`: how long to wait for the directory.
    pub fn sweep_all(&self, patience_ns: u64) -> usize {
        (1..=self.region.geometry.max_participants as u32).filter(|slot| self.sweep(*slot, patience_ns)).count()
    }

    /// Sweeps `slot` if its process is dead. False: it is not, or the directory could not be had in time.
    pub fn sweep(&self, slot: u32, patience_ns: u64) -> bool {
        let Some(seat) = self.region.seat(slot) else { return false };
        if seat.state().kind() == table::FREE || !self.is_dead(slot) {
            return false;
        }
        let Ok(me) = self.me() else { return false };
        self.repair(slot, || {
            let state = seat.state();
            if state.kind() == table::FREE {
                return false;
            }
            seat.set(table::DEAD, me, state.generation());
            if !self.sweep_objects(slot, me, patience_ns) {
                return false; // The directory is busy; DEAD stays dead, and the next one tries again.
            }
            seat.set(table::FREE, me, state.generation().wrapping_add(1));
            true
        })
        .unwrap_or(false)
    }

    /// Repairs every object for `slot` and wakes everybody, which cures wakes the dead still owed. The caller
    /// holds the repair byte of `slot`. False: the directory could not be had in time.
    pub(super) fn sweep_objects(&self, slot: u32, me: u32, patience_ns: u64) -> bool {
        let deadline = Deadline::after(Duration::from_nanos(patience_ns));
        self.region.notes().for_each(|note| note.take_off_for(slot));
        self.with_directory_as(me, deadline, |directory| {
            directory.each_used(|entry| {
                let Some((header, view)) = directory.object(entry) else { return };
                if let Some(kind) = kinds::of(header.kind()) {
                    (kind.repair)(view, slot);
                    (kind.ring)(view);
                }
                header.detach(slot);
                directory.reclaim(entry, header);
            });
        })
        .is_ok()
    }
}
