//! A segment: one piece of shared memory with named objects in it.

pub mod object;

use crate::{Mailbox, Mutex, Result, Ring, Semaphore};
use std::os::fd::{AsFd, OwnedFd};

/// A process's handle on a segment. Cheap to clone; the last clone (and object) leaves the segment.
#[derive(Clone)]
pub struct Segment { _p: std::sync::Arc<()> }

/// What to do with a segment in which nobody is alive any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// Repair what the dead left, keep committed data.
    #[default]
    Recover,
    /// Unlink it and make a new one (`open_or_create`); `open` reports [`ErrorKind::NotFound`](crate::ErrorKind).
    Recreate,
    /// Refuse with [`ErrorKind::Busy`](crate::ErrorKind).
    Fail,
}

/// How to create or open a segment; what is not set has a default.
#[derive(Clone, Debug, Default)]
pub struct SegmentOptions { _p: () }

impl SegmentOptions {
    /// Access mode of a new segment, 0o600 unless set. A group or world bit also admits opening one so.
    pub fn mode(self, mode: u32) -> Self { let _ = mode; todo!() }
    /// What to do when nobody is alive in it.
    pub fn stale(self, stale: Stale) -> Self { let _ = stale; todo!() }
    /// How many processes may take part, 64 unless set, at most 512.
    pub fn max_participants(self, n: usize) -> Self { let _ = n; todo!() }
    /// How many objects it can hold, 256 unless set, at most 65536.
    pub fn max_objects(self, n: usize) -> Self { let _ = n; todo!() }
    /// See [`Segment::create`].
    pub fn create(self, name: &str, size: usize) -> Result<Segment> { let _ = (name, size); todo!() }
    /// See [`Segment::open`].
    pub fn open(self, name: &str) -> Result<Segment> { let _ = name; todo!() }
    /// See [`Segment::open_or_create`].
    pub fn open_or_create(self, name: &str, size: usize) -> Result<Segment> { let _ = (name, size); todo!() }
    /// See [`Segment::anonymous`].
    pub fn anonymous(self, size: usize) -> Result<Segment> { let _ = size; todo!() }
    /// See [`Segment::from_fd`].
    pub fn from_fd(self, fd: impl AsFd) -> Result<Segment> { let _ = fd; todo!() }
}

impl Segment {
    /// The size a segment has where none is given. Only what objects use is ever committed.
    pub const DEFAULT_SIZE: usize = 64 << 20;
    /// Options, to set more than name and size.
    pub fn options() -> SegmentOptions { SegmentOptions::default() }
    /// Makes a new segment of `size` bytes under `name` (`/dev/shm/triveni.NAME`).
    pub fn create(name: &str, size: usize) -> Result<Segment> { Self::options().create(name, size) }
    /// Opens an existing one.
    pub fn open(name: &str) -> Result<Segment> { Self::options().open(name) }
    /// Opens the segment, or makes it. `size` is not compared with an existing one's.
    pub fn open_or_create(name: &str, size: usize) -> Result<Segment> { Self::options().open_or_create(name, size) }
    /// A sealed memfd: inherited over `fork`, or passed by descriptor.
    pub fn anonymous(size: usize) -> Result<Segment> { Self::options().anonymous(size) }
    /// A segment somebody sent us as a descriptor. Opens it anew; the descriptor stays the caller's.
    pub fn from_fd(fd: impl AsFd) -> Result<Segment> { Self::options().from_fd(fd) }
    /// Removes the name. Who has it open goes on; the memory goes with the last one.
    pub fn unlink(name: &str) -> Result<()> { let _ = name; todo!() }
    /// The names of all segments on this machine that this user may see.
    pub fn list() -> Result<Vec<String>> { todo!() }
    /// Looks at a segment from outside: takes no slot, changes nothing.
    pub fn inspect(name: &str) -> Result<Snapshot> { let _ = name; todo!() }
    /// Its name; `None` for an anonymous one.
    pub fn name(&self) -> Option<&str> { todo!() }
    /// Its size in bytes.
    pub fn size(&self) -> usize { todo!() }
    /// Has its name been removed, or given to another segment?
    pub fn is_unlinked(&self) -> bool { todo!() }
    /// A descriptor fit for sending to another process, which calls [`Segment::from_fd`]. Never the locked one.
    pub fn fd(&self) -> Result<OwnedFd> { todo!() }
    /// All objects, with what is to be seen of each.
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> { todo!() }
    /// All processes that take part, also the dead that nobody has swept yet.
    pub fn participants(&self) -> Result<Vec<ParticipantInfo>> { todo!() }
    /// Everything at once.
    pub fn snapshot(&self) -> Result<Snapshot> { todo!() }
    /// Removes an object's name. Who waits on it gets [`ErrorKind::Removed`](crate::ErrorKind); its memory
    /// is used again once the last process has let go.
    pub fn remove(&self, object: &str) -> Result<()> { let _ = object; todo!() }
    /// Puts right what the dead left, now; returns how many were swept. Nobody needs to call this.
    pub fn sweep(&self) -> Result<usize> { todo!() }

    /// Finds or creates a semaphore with `initial` permits; `initial` counts only for the creator.
    pub fn semaphore(&self, name: &str, initial: u32) -> Result<Semaphore> { let _ = (name, initial); todo!() }
    /// Creates; [`ErrorKind::Exists`](crate::ErrorKind) if there is one.
    pub fn create_semaphore(&self, name: &str, initial: u32) -> Result<Semaphore> { let _ = (name, initial); todo!() }
    /// Opens; [`ErrorKind::NotFound`](crate::ErrorKind) if there is none.
    pub fn open_semaphore(&self, name: &str) -> Result<Semaphore> { let _ = name; todo!() }
    /// Finds or creates a mutex.
    pub fn mutex(&self, name: &str) -> Result<Mutex> { let _ = name; todo!() }
    /// Creates.
    pub fn create_mutex(&self, name: &str) -> Result<Mutex> { let _ = name; todo!() }
    /// Opens.
    pub fn open_mutex(&self, name: &str) -> Result<Mutex> { let _ = name; todo!() }
    /// Finds or creates a mailbox; an existing one must have this capacity and message size.
    pub fn mailbox(&self, name: &str, capacity: usize, message_size: usize) -> Result<Mailbox> { let _ = (name, capacity, message_size); todo!() }
    /// Creates.
    pub fn create_mailbox(&self, name: &str, capacity: usize, message_size: usize) -> Result<Mailbox> { let _ = (name, capacity, message_size); todo!() }
    /// Opens one of whatever geometry.
    pub fn open_mailbox(&self, name: &str) -> Result<Mailbox> { let _ = name; todo!() }
    /// Finds or creates a ring of `size` bytes (rounded up to a power of two of at least 256).
    pub fn ring(&self, name: &str, size: usize) -> Result<Ring> { let _ = (name, size); todo!() }
    /// Creates.
    pub fn create_ring(&self, name: &str, size: usize) -> Result<Ring> { let _ = (name, size); todo!() }
    /// Opens one of whatever size.
    pub fn open_ring(&self, name: &str) -> Result<Ring> { let _ = name; todo!() }
}

/// A segment seen from outside.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its name; `None` for an anonymous one.
    pub name: Option<String>,
    /// Its size in bytes.
    pub size: usize,
    /// Bytes that header, tables and objects occupy.
    pub used: usize,
    /// User who created it.
    pub uid: u32,
    /// Access mode of the file.
    pub mode: u32,
    /// When it was created, seconds since 1970.
    pub created: f64,
    /// Who takes part.
    pub participants: Vec<ParticipantInfo>,
    /// What is in it.
    pub objects: Vec<ObjectInfo>,
}

/// A process that takes part in a segment.
#[derive(Clone, Debug)]
pub struct ParticipantInfo {
    /// Its number, from 1.
    pub slot: u32,
    /// Its pid, in the pid namespace it lives in.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// The name of its program.
    pub name: String,
    /// False: dead, and not swept yet.
    pub alive: bool,
    /// When it joined, seconds since 1970.
    pub since: f64,
}

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// [`Semaphore`]
    Semaphore = 1,
    /// [`Mutex`]
    Mutex = 2,
    /// [`Ring`]
    Ring = 7,
    /// [`Mailbox`]
    Mailbox = 8,
}

impl ObjectKind {
    /// `semaphore`, `mutex`, `ring`, `mailbox`
    pub fn name(self) -> &'static str { match self { Self::Semaphore => "semaphore", Self::Mutex => "mutex", Self::Ring => "ring", Self::Mailbox => "mailbox" } }
}

/// An object seen from outside.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Its name.
    pub name: String,
    /// Bytes it occupies, with its header.
    pub size: usize,
    /// Pids of the processes that have it open.
    pub attached: Vec<u32>,
    /// Its kind and what is in it.
    pub state: ObjectState,
}

/// What is to be seen of an object from outside. A moment's truth: all of it may change while it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectState {
    /// A semaphore.
    Semaphore {
        /// Permits left.
        value: u32,
    },
    /// A mutex.
    Mutex {
        /// Who holds it: a participant's slot and a number of a thread in that process.
        holder: Option<(u32, u32)>,
        /// The last holder died and nobody has called `recover` since.
        owner_died: bool,
    },
    /// A mailbox.
    Mailbox {
        /// The most messages it holds.
        capacity: usize,
        /// The largest message, in bytes.
        message_size: usize,
        /// Messages in it.
        len: usize,
        /// Claims of dead senders that were given back, so far.
        voided: u64,
        /// Messages that dead receivers held and that were delivered again, so far.
        redelivered: u64,
    },
    /// A ring.
    Ring {
        /// Bytes of its cells.
        size: usize,
        /// Bytes occupied by records.
        used: usize,
        /// The slot of its producer.
        producer: Option<u32>,
        /// The slot of its consumer.
        consumer: Option<u32>,
    },
    /// Not readable: garbage, with the reason.
    Unreadable(String),
}

impl ObjectState {
    /// The kind; `None` where it is unreadable.
    pub fn kind(&self) -> Option<ObjectKind> {
        match self {
            Self::Semaphore { .. } => Some(ObjectKind::Semaphore),
            Self::Mutex { .. } => Some(ObjectKind::Mutex),
            Self::Mailbox { .. } => Some(ObjectKind::Mailbox),
            Self::Ring { .. } => Some(ObjectKind::Ring),
            Self::Unreadable(_) => None,
        }
    }
}
