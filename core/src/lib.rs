//! Rust, C and Python processes on one segment of memory and the same named objects in it.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("triveni needs 64-bit little-endian Linux");

// The derive macro's output names the crate, also inside it.
extern crate self as triveni;

mod channel;
mod data;
mod deadline;
pub mod deadlock;
#[cfg(all(test, shuttle))]
mod deaths;
mod error;
pub mod kernel;
mod kinds;
#[cfg(all(test, not(loom)))]
mod model;
#[cfg(shuttle)]
mod mortal;
mod name;
mod participant;
mod prim;
mod segment;
mod sync;
mod sys;
mod wait;
mod wait_set;

pub use channel::mailbox::{
    Borrowed, Capacity, Envelope, Loan, Mailbox, MailboxOptions, Offer, Order, RawLoan, Received, Select,
};
pub use channel::port::{Delivery, Notification, Port, PortCall, PortEvent, PortOptions, PortSet, Process, Right};
pub use channel::ring::{Consumer, Producer, ReadGrant, Ring, RingOptions, WriteGrant};
pub use channel::service::{Call, CallRoom, RawCall, RawRequest, Request, Service, ServiceOptions};
pub use channel::topic::{PeekGrant, PublishGrant, Publisher, Start, Subscriber, Topic, TopicOptions, TopicPolicy};
pub use data::array::{Array, ArrayGuard, RawArray, WriteGuard};
pub use data::cell::{Cell, CellOptions, RawCell, RawStoreGrant, StoreGrant};
pub use data::type_tag::{Scalar, TypeField, TypeLayout};
#[doc(hidden)]
pub use data::typed::__of_struct;
pub use data::typed::{Bool, Complex, F16, Typed};
pub use deadline::Deadline;
pub use error::{Error, ErrorKind, ErrorRow, Result};
pub use name::NAME_MAX;
pub use segment::{
    Deadlock, Fact, ObjectInfo, ObjectKind, ObjectState, ParticipantInfo, Segment, SegmentOptions, Snapshot, Stale,
    Wait, WaitMode, WatchEvent, Watcher,
};
pub use sync::{
    After, Barrier, Condition, Event, Guard, Holder, LockError, Monitor, MonitorGuard, Mutex, MutexGuard, RwLock,
    RwPolicy, RwReadGuard, RwWriteGuard, Semaphore, SemaphoreOptions,
};
pub use triveni_derive::Typed;
#[doc(hidden)]
pub use wait::{board::as_one_wait, late_wakes};
pub use wait_set::{Interest, Ready, Token, WaitSet, Waitable};

#[cfg(loom)]
#[doc(hidden)]
pub use prim::most_preemptions;

#[cfg(loom)]
#[doc(hidden)]
pub use channel::{mailbox::model as mailbox_model, ring::model as ring_model};
