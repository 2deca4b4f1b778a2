//! Rust, C and Python processes on one segment of memory and the same named objects in it.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("triveni needs 64-bit little-endian Linux");

mod channel;
mod deadline;
mod error;
mod kinds;
mod name;
mod participant;
mod prim;
mod segment;
mod sync;
mod sys;
mod wait;

pub use channel::mailbox::{Loan, Mailbox, RawLoan, Received};
pub use channel::ring::{Consumer, Producer, ReadGrant, Ring, WriteGrant};
pub use deadline::Deadline;
pub use error::{Error, ErrorKind, ErrorRow, Result};
pub use name::NAME_MAX;
pub use segment::{ObjectInfo, ObjectKind, ObjectState, ParticipantInfo, Segment, SegmentOptions, Snapshot, Stale};
pub use sync::{Guard, Holder, LockError, Mutex, MutexGuard, Semaphore};

#[cfg(loom)]
#[doc(hidden)]
pub use channel::{mailbox::model as mailbox_model, ring::model as ring_model};
