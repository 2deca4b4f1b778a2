//! A segment: one piece of shared memory with named objects in it.

mod backing;
mod deadlock;
pub mod directory;
mod facts;
mod info;
pub mod layout;
pub mod object;
pub mod region;
pub mod waits;
mod watch;

pub use deadlock::Deadlock;
pub use facts::Fact;
pub use info::{ObjectInfo, ObjectKind, ObjectState, ParticipantInfo, Snapshot};
pub use waits::{Wait, WaitMode};
pub use watch::{WatchEvent, Watcher};

use crate::data::type_tag::TypeLayout;
use crate::error::{Error, ErrorKind, Result};
use crate::participant::Participant;
use crate::sync::{Holder, RwPolicy, SemaphoreOptions, barrier, event, monitor, mutex, rwlock, semaphore};
use crate::sys::memory;
use crate::{Barrier, Event, Monitor, Mutex, RwLock, Semaphore, name};
use directory::{Plan, Want};
use object::Object;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// What to do with a segment in which everybody has died.
///
/// "Everybody" by the kernel's word, see the crate's documentation; a segment that everybody left in order is
/// not stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// Put right what the dead left, keep committed data.
    #[default]
    Recover,
    /// Remove it. `open_or_create` then makes a new one; `open` reports [`ErrorKind::NotFound`].
    Recreate,
    /// Refuse with [`ErrorKind::PeerDead`].
    Fail,
}

/// How to create or open a segment; what is not set has a default.
///
/// ```no_run
/// # fn main() -> triveni::Result<()> {
/// use triveni::{Segment, Stale};
/// let lab = Segment::options().stale(Stale::Recreate).max_participants(200).open_or_create("lab", 1 << 20)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    mode: u32,
    stale: Stale,
    max_participants: usize,
    max_objects: usize,
    detect_deadlocks: bool,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions {
            mode: 0o600,
            stale: Stale::Recover,
            max_participants: 64,
            max_objects: 256,
            detect_deadlocks: false,
        }
    }
}

impl SegmentOptions {
    /// Access mode of a new segment; 0o600 unless set. With a bit for group or others it also allows opening
    /// a segment that belongs to another user: that user can deny you service in it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }

    /// What to do when everybody who took part is dead; [`Stale::Recover`] unless set.
    pub fn stale(mut self, stale: Stale) -> Self {
        self.stale = stale;
        self
    }

    /// How many processes may take part in a new segment; 64 unless set, at most 512.
    pub fn max_participants(mut self, n: usize) -> Self {
        self.max_participants = n;
        self
    }

    /// How many objects a new segment can hold; 256 unless set, at most 65536.
    pub fn max_objects(mut self, n: usize) -> Self {
        self.max_objects = n;
        self
    }

    /// In a new segment: a thread that is about to close a circle of threads which wait for each other's mutexes,
    /// monitors, readers-writer locks or leased permits gets [`ErrorKind::Deadlock`] with the circle in the message,
    /// instead of waiting. Off unless set; [`Segment::deadlocks`] names circles in any case.
    pub fn detect_deadlocks(mut self, on: bool) -> Self {
        self.detect_deadlocks = on;
        self
    }

    /// As [`Segment::create`].
    pub fn create(self, name: &str, size: usize) -> Result<Segment> {
        name::check("segment", name)?;
        Ok(Segment::named(backing::create(&self, name, size)?, name))
    }

    /// As [`Segment::open`].
    pub fn open(self, name: &str) -> Result<Segment> {
        name::check("segment", name)?;
        Segment::named(backing::open(&self, name, None)?, name).joined()
    }

    /// As [`Segment::open_or_create`].
    pub fn open_or_create(self, name: &str, size: usize) -> Result<Segment> {
        name::check("segment", name)?;
        Segment::named(backing::open(&self, name, Some(size))?, name).joined()
    }

    /// As [`Segment::anonymous`].
    pub fn anonymous(self, size: usize) -> Result<Segment> {
        Ok(Segment { participant: backing::anonymous(&self, size)?, name: None })
    }

    /// As [`Segment::from_fd`].
    pub fn from_fd(self, fd: impl AsFd) -> Result<Segment> {
        Segment { participant: backing::from_fd(&self, fd.as_fd())?, name: None }.joined()
    }
}

/// A process's handle on a segment. Cheap to clone; the last clone or object handle leaves the segment.
///
/// However often a process opens a segment, it takes part in it once. Threads may share a handle. A forked
/// child may go on using it: it becomes a participant of its own at its first operation.
///
/// A segment holds two descriptors, both close-on-exec. A program that closes descriptors it did not open (as
/// daemons do) must do so before it opens a segment: to the others it looks dead without them.
///
/// A process that is killed, or that ends without dropping its handles, is noticed by the others: see
/// [`Mutex`], [`Mailbox`](crate::Mailbox), [`Ring`](crate::Ring) and [`Semaphore`] for what becomes of what it held.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::Segment;
/// let segment = Segment::anonymous(1 << 20)?;
/// let mailbox = segment.mailbox("TEMP_MONITOR", 100, 64)?;
/// mailbox.send(b"hello")?;
/// let mut buffer = [0; 64];
/// let message = mailbox.receive(&mut buffer)?;
/// assert_eq!(&buffer[..message.size], b"hello");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Segment {
    participant: Arc<Participant>,
    name: Option<Arc<str>>,
}

impl Segment {
    /// The size a segment has where nobody says another: 64 MiB. Only what objects use is ever committed.
    pub const DEFAULT_SIZE: usize = 64 << 20;

    fn named(participant: Arc<Participant>, name: &str) -> Segment {
        Segment { participant, name: Some(name.into()) }
    }

    /// A forked child that opens what its parent had open becomes a participant here, not at its first operation.
    fn joined(self) -> Result<Segment> {
        self.participant.me()?;
        Ok(self)
    }

    /// Options, to set more than name and size.
    pub fn options() -> SegmentOptions {
        SegmentOptions::default()
    }

    /// Makes a new segment of `size` bytes (rounded up to pages), its file is `/dev/shm/triveni.NAME`.
    /// It appears under its name complete or not at all, and keeps its size for ever.
    ///
    /// # Errors
    /// `Exists`; `Invalid` for a bad name or size; `NoSpace` if the tables cannot be committed.
    pub fn create(name: &str, size: usize) -> Result<Segment> {
        Self::options().create(name, size)
    }

    /// Opens an existing segment.
    ///
    /// # Errors
    /// `NotFound`; `Permission` if it belongs to another user; `Corrupt` if it is truncated or overwritten;
    /// `Incompatible` if it is of another version; `NoSpace` if its table of participants is full.
    pub fn open(name: &str) -> Result<Segment> {
        Self::options().open(name)
    }

    /// Opens the segment, or makes it. `size` is not compared with an existing one's.
    ///
    /// # Errors
    /// As `create` and `open`, without `Exists` and `NotFound`.
    pub fn open_or_create(name: &str, size: usize) -> Result<Segment> {
        Self::options().open_or_create(name, size)
    }

    /// Makes a segment without a name, in a sealed memfd: for forked children, or for processes that get its
    /// descriptor ([`Segment::fd`]). It is gone with the last process.
    ///
    /// # Errors
    /// `Invalid` for a bad size; `NoSpace`.
    pub fn anonymous(size: usize) -> Result<Segment> {
        Self::options().anonymous(size)
    }

    /// Joins a segment that somebody sent as a descriptor. Opens it anew; the descriptor stays the caller's.
    ///
    /// # Errors
    /// As `open`; `Incompatible` for a memfd that is not sealed.
    pub fn from_fd(fd: impl AsFd) -> Result<Segment> {
        Self::options().from_fd(fd)
    }

    /// Removes the name. Who has it open goes on; the memory goes with the last one.
    ///
    /// # Errors
    /// `NotFound`; `Permission`.
    pub fn unlink(name: &str) -> Result<()> {
        name::check("segment", name)?;
        std::fs::remove_file(memory::path_of(name)).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT) => {
                Error::new(ErrorKind::NotFound, format!("no segment {name:?}; `triveni ls` shows what there is"))
            }
            errno => Error::os(errno.unwrap_or(libc::EIO), format!("unlink segment {name:?}")),
        })
    }

    /// The names of all segments on this machine, sorted.
    ///
    /// # Errors
    /// What reading `/dev/shm` reports.
    pub fn list() -> Result<Vec<String>> {
        let failed =
            |e: std::io::Error| Error::os(e.raw_os_error().unwrap_or(libc::EIO), format!("read {}", memory::DIRECTORY));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(memory::DIRECTORY).map_err(failed)? {
            let file = entry.map_err(failed)?.file_name();
            // A file whose name no segment can have is none: such a name could also forge what a terminal shows.
            let name = file.to_str().and_then(|f| f.strip_prefix(memory::PREFIX));
            if let Some(name) = name.filter(|name| name::check("segment", name).is_ok()) {
                names.push(name.to_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Looks at a segment from outside: takes no place in it and changes nothing.
    ///
    /// # Errors
    /// As `open`, without `NoSpace`.
    pub fn inspect(name: &str) -> Result<Snapshot> {
        name::check("segment", name)?;
        let (region, file, meta) = backing::look(name)?;
        Ok(info::snapshot(&region, file.as_fd(), None, Some(name), meta.mode() & 0o777))
    }

    /// Its name; `None` for an anonymous one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Do lockers get [`ErrorKind::Deadlock`] instead of waiting in a circle? See [`SegmentOptions::detect_deadlocks`].
    pub fn detects_deadlocks(&self) -> bool {
        self.participant.region.geometry.detect_deadlocks
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.participant.region.geometry.total_size
    }

    /// Has its name been removed, or given to another segment? Always false for an anonymous one.
    pub fn is_unlinked(&self) -> bool {
        self.name().is_some_and(|name| is_unlinked(&self.participant, name))
    }

    /// A descriptor to send to another process, which calls [`Segment::from_fd`].
    ///
    /// # Errors
    /// What opening it anew through /proc reports.
    pub fn fd(&self) -> Result<OwnedFd> {
        Ok(memory::reopen(self.participant.file()?.as_fd(), true)?.into())
    }

    /// Everything there is to see, at this moment.
    ///
    /// # Errors
    /// What asking the segment's file reports.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let me = self.participant.me()?;
        let meta = self
            .participant
            .file()?
            .metadata()
            .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "look at the segment's file"))?;
        Ok(info::snapshot(
            &self.participant.region,
            self.participant.file()?.as_fd(),
            Some(me),
            self.name(),
            meta.mode() & 0o777,
        ))
    }

    /// All objects, with what is to be seen of each.
    ///
    /// # Errors
    /// As [`Segment::snapshot`].
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> {
        Ok(self.snapshot()?.objects)
    }

    /// All processes that take part, and the dead whom nobody has swept yet.
    ///
    /// # Errors
    /// As [`Segment::snapshot`].
    pub fn participants(&self) -> Result<Vec<ParticipantInfo>> {
        Ok(self.snapshot()?.participants)
    }

    /// Everybody who sleeps for an object of this segment, with who is in the way. Takes no lock: a moment's truth.
    /// Who only spins, for up to 50 µs before sleeping, is not to be seen; nor are more than four sleepers for each
    /// place in the table of participants.
    ///
    /// # Errors
    /// As [`Segment::snapshot`].
    pub fn waits(&self) -> Result<Vec<Wait>> {
        Ok(self.snapshot()?.waits)
    }

    /// Every circle of threads that wait for each other at this moment, among mutexes, monitors, readers-writer
    /// locks and leased semaphores of this segment. What is reported stood as a whole at one moment.
    ///
    /// # Errors
    /// As [`Segment::snapshot`].
    pub fn deadlocks(&self) -> Result<Vec<Deadlock>> {
        Ok(self.snapshot()?.deadlocks)
    }

    /// Starts a thread that notices deaths at once and puts right what the dead left, until the [`Watcher`] is
    /// dropped. Nobody needs it: without it, who waits for a dead process finds out by himself within 64 ms. One
    /// watcher serves everybody in the segment. A forked child has none.
    ///
    /// # Errors
    /// What the system reports where there are no descriptors or threads left.
    pub fn watch(&self) -> Result<Watcher> {
        self.watch_with(|_| {})
    }

    /// As [`Segment::watch`], and tells `tell`, on the watcher's thread, who joins, leaves and dies.
    ///
    /// # Errors
    /// As [`Segment::watch`].
    pub fn watch_with(&self, tell: impl FnMut(WatchEvent) + Send + 'static) -> Result<Watcher> {
        Watcher::start(self.clone(), Box::new(tell))
    }

    /// Removes an object's name. Who waits on it gets [`ErrorKind::Removed`], as does who would have to from now on, or
    /// asks for a role; calls that need not wait go on, for those who have it open. Its memory is used again once the
    /// last process has let go of it.
    ///
    /// # Errors
    /// `NotFound`; `Busy` if a stopped process holds the directory.
    pub fn remove(&self, object: &str) -> Result<()> {
        name::check("object", object)?;
        self.participant
            .with_directory(|directory| directory.remove(object))
            .and_then(|done| done)
            .map_err(|e| self.blame(e))
    }

    /// The same error with the segment's name in front.
    #[cold]
    fn blame(&self, error: Error) -> Error {
        Error::new(error.kind(), format!("segment {:?}: {error}", self.name().unwrap_or("(anonymous)")))
    }

    /// Puts right, now, what the dead left; returns how many were swept. Nobody needs to call this: whoever
    /// waits, opens or creates looks after the dead.
    ///
    /// # Errors
    /// What joining reports, in a forked child.
    pub fn sweep(&self) -> Result<usize> {
        self.participant.me()?;
        Ok(self.participant.sweep_all(10_000_000_000))
    }

    /// Finds or makes the object `name`, as `want` says; `plan` is needed to make one. Its type tag is checked, and
    /// compared with that of an object that is there.
    pub(crate) fn object(&self, kind: ObjectKind, name: &str, want: Want, plan: Option<Plan<'_>>) -> Result<Object> {
        name::check(kind.name(), name)?;
        let tag = plan.as_ref().map_or("", |plan| plan.tag);
        if !tag.is_empty() {
            TypeLayout::parse(tag).map_err(|e| Error::new(e.kind(), format!("{} {name:?}: {e}", kind.name())))?;
        }
        let found = self
            .participant
            .with_directory(|directory| directory.obtain(name, kind, want, plan))
            .and_then(|found| found);
        let found = found.map_err(|e| self.blame(e))?;
        let object = Object::attached(self.participant.clone(), self.name.clone(), name, found)?;
        object.expect_type(tag)?;
        Ok(object)
    }

    /// Finds or creates a counting semaphore; a new one holds `initial` permits.
    ///
    /// # Errors
    /// As [`Segment::semaphore_with`].
    pub fn semaphore(&self, name: &str, initial: u32) -> Result<Semaphore> {
        self.semaphore_with(name, SemaphoreOptions::counting(initial))
    }

    /// Creates a counting semaphore.
    ///
    /// # Errors
    /// As [`Segment::semaphore`]; `Exists`.
    pub fn create_semaphore(&self, name: &str, initial: u32) -> Result<Semaphore> {
        self.create_semaphore_with(name, SemaphoreOptions::counting(initial))
    }

    /// Finds or creates a semaphore: counting, binary or leased. One that is there may hold any number of permits.
    ///
    /// # Errors
    /// `Invalid` for a bad name, or more permits than its maximum; `Incompatible` if there is one with another
    /// maximum, leased where you ask for one that is not or the reverse, or another kind of object; `NoSpace` if
    /// the segment or its directory is full.
    pub fn semaphore_with(&self, name: &str, options: SemaphoreOptions) -> Result<Semaphore> {
        let semaphore = self.new_semaphore(name, options, Want::Either)?;
        let kind = |leased| if leased { "leased" } else { "not leased" };
        if (semaphore.max(), semaphore.is_leased()) != (options.max, options.leased) {
            return Err(other_geometry(
                "semaphore",
                name,
                format_args!("at most {} permits, {}", semaphore.max(), kind(semaphore.is_leased())),
                format_args!("{}, {}", options.max, kind(options.leased)),
            ));
        }
        Ok(semaphore)
    }

    /// Creates a semaphore: counting, binary or leased.
    ///
    /// # Errors
    /// As [`Segment::semaphore_with`]; `Exists`.
    pub fn create_semaphore_with(&self, name: &str, options: SemaphoreOptions) -> Result<Semaphore> {
        self.new_semaphore(name, options, Want::Create)
    }

    fn new_semaphore(&self, name: &str, options: SemaphoreOptions, want: Want) -> Result<Semaphore> {
        let (geometry, size) = semaphore::geometry(name, options)?;
        let initialise = |view: object::View<'_>| Semaphore::initialise(view, options);
        let plan = Plan { geometry, size, initialise: &initialise, tag: "" };
        Semaphore::attach(self.object(ObjectKind::Semaphore, name, want, Some(plan))?)
    }

    /// Opens a semaphore of whatever kind.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_semaphore(&self, name: &str) -> Result<Semaphore> {
        Semaphore::attach(self.object(ObjectKind::Semaphore, name, Want::Open, None)?)
    }

    /// Finds or creates a mutex.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Incompatible` if the name is another kind of object's; `NoSpace`.
    pub fn mutex(&self, name: &str) -> Result<Mutex> {
        self.new_mutex(name, Want::Either)
    }

    /// Creates a mutex.
    ///
    /// # Errors
    /// As [`Segment::mutex`]; `Exists`.
    pub fn create_mutex(&self, name: &str) -> Result<Mutex> {
        self.new_mutex(name, Want::Create)
    }

    fn new_mutex(&self, name: &str, want: Want) -> Result<Mutex> {
        let plan = Plan { geometry: [0; 5], size: mutex::SIZE, initialise: &|_| {}, tag: "" };
        Mutex::attach(self.object(ObjectKind::Mutex, name, want, Some(plan))?)
    }

    /// Opens a mutex.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_mutex(&self, name: &str) -> Result<Mutex> {
        Mutex::attach(self.object(ObjectKind::Mutex, name, Want::Open, None)?)
    }

    /// Finds or creates a monitor.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Incompatible` if the name is another kind of object's; `NoSpace`.
    pub fn monitor(&self, name: &str) -> Result<Monitor> {
        self.new_monitor(name, Want::Either)
    }

    /// Creates a monitor.
    ///
    /// # Errors
    /// As [`Segment::monitor`]; `Exists`.
    pub fn create_monitor(&self, name: &str) -> Result<Monitor> {
        self.new_monitor(name, Want::Create)
    }

    fn new_monitor(&self, name: &str, want: Want) -> Result<Monitor> {
        let plan = Plan { geometry: [0; 5], size: monitor::SIZE, initialise: &|_| {}, tag: "" };
        Monitor::attach(self.object(ObjectKind::Monitor, name, want, Some(plan))?)
    }

    /// Opens a monitor.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_monitor(&self, name: &str) -> Result<Monitor> {
        Monitor::attach(self.object(ObjectKind::Monitor, name, Want::Open, None)?)
    }

    /// Finds or creates a readers-writer lock.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Incompatible` if there is one of another policy, or another kind of object;
    /// `NoSpace`.
    pub fn rwlock(&self, name: &str, policy: RwPolicy) -> Result<RwLock> {
        let lock = self.new_rwlock(name, policy, Want::Either)?;
        if lock.policy() != policy {
            let (there, wished) = (lock.policy().name(), policy.name());
            return Err(other_geometry("rwlock", name, format_args!("{there}"), format_args!("{wished}")));
        }
        Ok(lock)
    }

    /// Creates a readers-writer lock.
    ///
    /// # Errors
    /// As [`Segment::rwlock`]; `Exists`.
    pub fn create_rwlock(&self, name: &str, policy: RwPolicy) -> Result<RwLock> {
        self.new_rwlock(name, policy, Want::Create)
    }

    fn new_rwlock(&self, name: &str, policy: RwPolicy, want: Want) -> Result<RwLock> {
        let (geometry, size) = rwlock::geometry(policy, self.participant.region.geometry.max_participants);
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: "" };
        RwLock::attach(self.object(ObjectKind::RwLock, name, want, Some(plan))?)
    }

    /// Opens a readers-writer lock of whatever policy.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_rwlock(&self, name: &str) -> Result<RwLock> {
        RwLock::attach(self.object(ObjectKind::RwLock, name, Want::Open, None)?)
    }

    /// Finds or creates a barrier for `parties` threads.
    ///
    /// # Errors
    /// `Invalid` for a bad name, for 0 and for more than [`Barrier::MAX_PARTIES`]; `Incompatible` if there is one
    /// for another number, or another kind of object; `NoSpace`.
    pub fn barrier(&self, name: &str, parties: u32) -> Result<Barrier> {
        let barrier = self.new_barrier(name, parties, Want::Either)?;
        if barrier.parties() != parties {
            let there = barrier.parties();
            return Err(other_geometry("barrier", name, format_args!("{there} parties"), format_args!("{parties}")));
        }
        Ok(barrier)
    }

    /// Creates a barrier.
    ///
    /// # Errors
    /// As [`Segment::barrier`]; `Exists`.
    pub fn create_barrier(&self, name: &str, parties: u32) -> Result<Barrier> {
        self.new_barrier(name, parties, Want::Create)
    }

    fn new_barrier(&self, name: &str, parties: u32, want: Want) -> Result<Barrier> {
        if !(1..=Barrier::MAX_PARTIES).contains(&parties) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "barrier {name:?} for {parties} parties: a barrier waits for 1 to {}; say how many threads meet there",
                    Barrier::MAX_PARTIES
                ),
            ));
        }
        // Zeros are a barrier at which nobody has arrived.
        let plan =
            Plan { geometry: [u64::from(parties), 0, 0, 0, 0], size: barrier::SIZE, initialise: &|_| {}, tag: "" };
        Barrier::attach(self.object(ObjectKind::Barrier, name, want, Some(plan))?)
    }

    /// Opens a barrier for whatever number of parties.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_barrier(&self, name: &str) -> Result<Barrier> {
        Barrier::attach(self.object(ObjectKind::Barrier, name, Want::Open, None)?)
    }

    /// Finds or creates 32 event flags; new ones begin as `initial`.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Incompatible` if the name is another kind of object's; `NoSpace`.
    pub fn event(&self, name: &str, initial: u32) -> Result<Event> {
        self.new_event(name, initial, Want::Either)
    }

    /// Creates 32 event flags.
    ///
    /// # Errors
    /// As [`Segment::event`]; `Exists`.
    pub fn create_event(&self, name: &str, initial: u32) -> Result<Event> {
        self.new_event(name, initial, Want::Create)
    }

    fn new_event(&self, name: &str, initial: u32, want: Want) -> Result<Event> {
        let initialise = |view: object::View<'_>| Event::initialise(view, initial);
        let plan = Plan { geometry: [0; 5], size: event::SIZE, initialise: &initialise, tag: "" };
        Event::attach(self.object(ObjectKind::Event, name, want, Some(plan))?)
    }

    /// Opens event flags.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_event(&self, name: &str) -> Result<Event> {
        Event::attach(self.object(ObjectKind::Event, name, Want::Open, None)?)
    }
}

/// The error for an object that exists with another geometry than the one asked for.
#[cold]
pub(crate) fn other_geometry(kind: &str, name: &str, there: fmt::Arguments<'_>, wished: fmt::Arguments<'_>) -> Error {
    Error::new(
        ErrorKind::Incompatible,
        format!(
            "{kind} {name:?} exists with {there}, you asked for {wished}; ask for what is there, open it as it is, or remove it first"
        ),
    )
}

/// Has the name been removed, or given to another segment?
fn is_unlinked(participant: &Participant, name: &str) -> bool {
    std::fs::symlink_metadata(memory::path_of(name)).map_or(true, |m| (m.dev(), m.ino()) != participant.file_id())
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({:?}, {} bytes)", self.name().unwrap_or("anonymous"), self.size())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
