//! A ring: records from one producer to one consumer, one by one or many at once, without a copy if wished.
//!
//! # State
//!
//! Two kinds. Records of any size in cells of 64 bytes, in `cells.rs`: where a record lies, when it is there, and why
//! nothing else can look like one. Records of one size, *packed* back to back, in `packed.rs`. `side.rs` puts both
//! behind one face. Two ends, in `role.rs`: each belongs to one process at a time. Two park words: the consumer sleeps
//! on one until there is a record, the producer on the other until there is room.
//!
//! # Orderings
//!
//! Edges `record`, `room` and `role`, argued in `cells.rs`, `packed.rs` and `role.rs`. Neither end fences after it has
//! published, unless the ring is *exact*; what that means for who is about to sleep stands in `wait/park.rs`.
//! Edge `shut`: who shuts the ring down after its last commit has that seen by whoever sees the shutdown.
//!
//! # When a peer dies
//!
//! | killed                                | what the other end sees                                              |
//! |---------------------------------------|----------------------------------------------------------------------|
//! | producer before it has committed      | nothing of the record, or of the batch; when the ring is empty, `PeerDead` |
//! | producer after that, before its wake  | the record, or the whole batch, at the end of a slice at the latest  |
//! | consumer before it has released       | nothing; its successor reads that record, or all that was held, again |
//! | consumer after that                   | room                                                                 |
//! | consumer, and the ring is full        | `PeerDead`                                                           |
//! | either, and a successor has come      | nothing: it goes on where the dead one stopped                       |
//! | whoever shuts it down, before its wake | the shutdown, at the end of a slice at the latest                   |
//!
//! An end that was given back, or that nobody has taken yet, is no death: who waits for it goes on waiting.
//!
//! # Cost
//!
//! In cells a record of up to 56 bytes moves one cache line, packed it moves two, and many at once move little more
//! than their bytes. No locked instruction unless the ring is exact, no system call unless the other end sleeps. An end
//! asks whether the other one is alive only after it has slept, or, if it only tries, once a millisecond.

#[cfg(all(test, not(loom)))]
mod batch_tests;
mod cells;
mod consumer;
#[cfg(all(test, shuttle))]
mod deaths;
mod grant;
#[cfg(any(test, loom))]
mod heap;
#[cfg(all(test, loom))]
mod model_tests;
mod options;
mod packed;
mod place;
mod producer;
mod ready;
pub(super) mod role;
mod side;
#[cfg(all(test, not(loom)))]
mod simulation;
mod stream;
#[cfg(all(test, not(loom)))]
mod tests;

pub use consumer::Consumer;
pub use grant::{ReadGrant, WriteGrant};
pub use options::RingOptions;
pub use producer::Producer;

use crate::deadline::coarse_ns;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::Woken;
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState};
use crate::wait::{Bell, ParkWord, World};
use cells::{End, Fault, Memory};
use place::Place;
use role::Holder;
use std::fmt;

/// The algorithm without a segment around it, for the models in `tests/loom_ring.rs`.
#[cfg(loom)]
pub mod model {
    pub use super::cells::{End, Fault, Memory, Reader, Record, Room, Writer};
    pub use super::heap::{Heap, Mortal};
    /// The same for records of one size.
    pub mod packed {
        pub use super::super::packed::*;
    }
    pub use super::role::{Holder, Role};
}

/// What the sweep and the observers need to know.
pub static KIND: Kind =
    Kind { kind: ObjectKind::Ring, repair, ring: wake_all, leave: |_, _, _| {}, holds: |_| Holds::Nobody, state };

/// Leaves neither role to `slot`, whose process is dead.
fn repair(view: View<'_>, slot: u32) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        place.producer().role.bury(slot);
        place.consumer().role.bury(slot);
    }
}

fn wake_all(view: View<'_>) {
    // SAFETY: `place` ends with this function, before `view` does.
    if let Ok(place) = unsafe { Place::new(view) } {
        place.filled().ring();
        place.freed().ring();
    }
}

fn state(view: View<'_>) -> Result<ObjectState> {
    // SAFETY: `place` ends with this function, before `view` does.
    let place = unsafe { Place::new(view) }?;
    let owner = |end: &End| match end.role.holder() {
        Holder::Slot(slot) => Some(slot),
        Holder::Nobody | Holder::Died => None,
    };
    match side::used(&place) {
        Some(used) => Ok(ObjectState::Ring {
            size: place.size() as usize,
            used: used as usize,
            record_size: place.record_size().map_or(0, |size| size as usize),
            shut_down: view.is_shut_down(),
            producer: owner(place.producer()),
            consumer: owner(place.consumer()),
        }),
        None => Err(Error::new(ErrorKind::Corrupt, "a position that cannot be; remove the ring and create it anew")),
    }
}

/// A ring. Reading and writing goes through its two roles.
///
/// Records have any size ([`Segment::ring`](crate::Segment::ring)) or all the same one
/// ([`Segment::ring_of`](crate::Segment::ring_of)): then they lie back to back, and a batch is one piece of memory.
///
/// How large? Memory that comes round soon is still in the other CPU's cache, where it must be fetched from, so payload
/// that is written and read in place is up to four times faster in a ring of [`Ring::DEFAULT_SIZE`] than in one of
/// 512 KiB. Small records do not care, as long as the ring does not run full.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let ring = segment.ring("r", 65536)?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.write_many(&["sun", "moon"])?; // both or none, whatever happens
/// let (mut bytes, mut sizes) = ([0; 64], [0; 8]);
/// assert_eq!(consumer.read_many(&mut bytes, &mut sizes)?, 2);
/// assert_eq!((&bytes[..7], &sizes[..2]), (&b"sunmoon"[..], &[3, 4][..]));
///
/// let samples = segment.ring_of("samples", 8, 1024)?;
/// let (mut producer, mut consumer) = (samples.producer()?, samples.consumer()?);
/// producer.write_packed(&[7; 80])?;
/// assert_eq!(consumer.read_packed(&mut bytes)?, 8);
///
/// ring.shutdown();
/// assert_eq!(segment.open_ring("r")?.producer().unwrap_err().kind(), triveni::ErrorKind::Closed);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Ring {
    object: Object,
    /// Checked at attach. Valid as long as `object` lives.
    place: Place,
}

impl Ring {
    /// What a ring has where nobody says how large, in bytes; less in a segment of less than eight times that.
    pub const DEFAULT_SIZE: usize = 8 << 20;

    /// Checks what lies there.
    pub(crate) fn attach(object: Object) -> Result<Ring> {
        // SAFETY: `object` keeps its memory mapped at this address as long as it lives, and stays beside `place`.
        match unsafe { Place::new(object.view()) } {
            Ok(place) => Ok(Ring { object, place }),
            Err(e) => Err(Error::new(e.kind(), format!("open ring \"{}\": it has {e}", object.address()))),
        }
    }

    /// Becomes its producer. `Busy` if a live process is; takes over from a dead one. `Closed` after a shutdown.
    pub fn producer(&self) -> Result<Producer> {
        Producer::take(self)
    }

    /// Becomes its consumer. `Busy` if a live process is; takes over from a dead one.
    pub fn consumer(&self) -> Result<Consumer> {
        Consumer::take(self)
    }

    /// Ends the stream: nothing is written any more (`Closed`), also by producers to come; the consumer reads what is
    /// there, and then gets `Closed`. Wakes whoever waits. Never blocks; again is nothing new. What is only staged or
    /// reserved is not there.
    ///
    /// The producer's own shutdown comes after all that it wrote. Somebody else's may come while a record is being
    /// written: then that call says whether it was, and a record that it wrote is there for who looks once more.
    pub fn shutdown(&self) {
        self.object.shut_down();
    }

    /// Was it shut down, by anybody?
    pub fn is_shut_down(&self) -> bool {
        self.object.is_shut_down()
    }

    /// Bytes of its cells, or of its packed records.
    pub fn size(&self) -> usize {
        self.place.size() as usize
    }

    /// The largest record in bytes: half the ring less eight, and 2^28 - 1 at most; packed: the record size.
    pub fn max_record(&self) -> usize {
        self.place.max_record() as usize
    }

    /// The one size of its records; `None` if they may have any.
    pub fn record_size(&self) -> Option<usize> {
        self.place.record_size().map(|size| size as usize)
    }

    /// How many records fit; `None` if that depends on their sizes.
    pub fn capacity(&self) -> Option<usize> {
        self.place.record_size().map(|_| self.place.cells() as usize)
    }

    /// Is each publication a full barrier, so that no sleeper is overlooked for a slice?
    pub fn is_exact_wake(&self) -> bool {
        self.place.is_exact()
    }

    /// The type of its records, as it was created with ([`RingOptions::type_tag`]).
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.object.view().type_tag()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// How many packed records so many bytes are. `Invalid` if they are no whole number, or records have any size.
    #[inline]
    fn packed_count(&self, bytes: usize) -> Result<u64> {
        let Some(size) = self.place.record_size() else { return Err(self.not_packed()) };
        let n = self.place.records(bytes as u64);
        if n * size == bytes as u64 { Ok(n) } else { Err(self.fault(Fault::OtherSize { asked: bytes as u64, size })) }
    }

    #[cold]
    fn not_packed(&self) -> Error {
        let name = self.object.address();
        Error::new(
            ErrorKind::Invalid,
            format!(
                "ring \"{name}\" has records of any size, not packed ones; use write_many and read_many, or make it with ring_of"
            ),
        )
    }

    /// Cells, or packed records.
    fn cells(&self) -> u64 {
        self.place.cells()
    }

    /// Takes an end and finds out where its last owner stopped. Gives it back if that cannot be.
    fn take<T>(
        &self,
        what: &str,
        end: &End,
        start: impl FnOnce(&Place) -> std::result::Result<T, Fault>,
    ) -> Result<(u32, T)> {
        self.object.still_there()?;
        let me = self.object.me()?;
        let mine = end.role.take(me, |slot| self.object.is_dead(slot)).map_err(|slot| self.busy(what, slot, me))?;
        match start(&self.place) {
            Ok(side) => Ok((mine, side)),
            Err(fault) => {
                end.role.release(mine);
                Err(self.fault(fault))
            }
        }
    }

    #[cold]
    fn busy(&self, what: &str, slot: u32, me: u32) -> Error {
        let who = if slot == me { "this process".to_string() } else { self.process(slot) };
        let name = self.object.address();
        Error::new(
            ErrorKind::Busy,
            format!(
                "become {what} of ring \"{name}\": {who} is; there is one at a time, so wait until it lets go or ends"
            ),
        )
    }

    fn process(&self, slot: u32) -> String {
        self.object.pid_of(slot).map_or_else(|| format!("the process in slot {slot}"), |pid| format!("process {pid}"))
    }

    #[cold]
    fn fault(&self, fault: Fault) -> Error {
        let name = self.object.address();
        match fault {
            Fault::OtherSize { asked, size } => Error::new(
                ErrorKind::Invalid,
                format!("{asked} bytes for ring \"{name}\": its records have {size} bytes each; give whole ones"),
            ),
            Fault::TooMany => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a batch for ring \"{name}\", which has {} bytes: it does not fit as a whole; publish in smaller ones, or make the ring larger",
                    self.size()
                ),
            ),
            Fault::TooLarge { asked, most } => Error::new(
                ErrorKind::TooLarge,
                format!(
                    "write {asked} bytes to ring \"{name}\": there is room for {most}; ask for less, or make the ring larger"
                ),
            ),
            Fault::Garbage(what, found) => Error::new(
                ErrorKind::Corrupt,
                format!(
                    "ring \"{name}\": {what} is {found:#x}, which cannot be; some process wrote there. Remove the ring and create it anew"
                ),
            ),
        }
    }

    /// Says what is wrong if whoever has `end` is dead: then only a successor can end the wait.
    #[cold]
    fn check_peer(&self, what: &str, end: &End, because: &str) -> Result<()> {
        let who = match end.role.holder() {
            Holder::Nobody => return Ok(()),
            Holder::Slot(slot) if !self.object.is_dead(slot) => return Ok(()),
            Holder::Slot(slot) => format!("{what}, {},", self.process(slot)),
            Holder::Died => what.to_string(),
        };
        let name = self.object.address();
        Err(Error::new(
            ErrorKind::PeerDead,
            format!("ring \"{name}\" is {because} and its {who} is dead; start a new {what}"),
        ))
    }

    /// The error for who would write after a shutdown.
    #[cold]
    fn closed(&self) -> Error {
        let name = self.object.address();
        Error::new(
            ErrorKind::Closed,
            format!("ring \"{name}\" was shut down: nothing is written any more; remove it and create it anew"),
        )
    }

    /// The error for who has read all that was there before a shutdown.
    #[cold]
    fn drained(&self) -> Error {
        let name = self.object.address();
        Error::new(ErrorKind::Closed, format!("ring \"{name}\" was shut down, and all of it has been read"))
    }

    #[cold]
    fn forked(&self, what: &str) -> Error {
        let name = self.object.address();
        Error::new(
            ErrorKind::Forked,
            format!("this {what} of ring \"{name}\" belongs to the parent process; it stays so while that one has it"),
        )
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("address", &self.object.address()).field("size", &self.size()).finish()
    }
}

/// The slot that `end` belongs to: whom its peer waits for.
fn suspect(end: &End) -> Option<u32> {
    match end.role.holder() {
        Holder::Slot(slot) => Some(slot),
        Holder::Nobody | Holder::Died => None,
    }
}

/// Where an end sleeps. In an exact ring it need not look for what a publisher had stored before it saw the sleeper.
struct Door<'a> {
    park: &'a ParkWord,
    exact: bool,
}

impl Bell for Door<'_> {
    fn recheck_ns(&self) -> u64 {
        if self.exact { 0 } else { self.park.recheck_ns() }
    }
    fn prepare(&self) -> u32 {
        self.park.prepare()
    }
    fn sleep(&self, key: u32, at_ns: u64) -> Woken {
        self.park.sleep(key, at_ns)
    }
    fn done(&self) {
        self.park.done();
    }
}

/// When an end last asked whether the other one is alive.
#[derive(Default)]
struct Doubt {
    asked_ns: u64,
}

impl Doubt {
    const EVERY_NS: u64 = 1_000_000;

    /// Is it time to ask again? Says yes once per period.
    fn is_due(&mut self) -> bool {
        let now = coarse_ns();
        let due = now.saturating_sub(self.asked_ns) >= Self::EVERY_NS;
        if due {
            self.asked_ns = now;
        }
        due
    }
}
