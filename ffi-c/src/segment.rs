//! The segment in C, and what is to be seen in it.

use crate::argument::{array, chars, descriptor, text};
use crate::boundary::call;
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use triveni::{Monitor, ObjectInfo, ObjectKind, ObjectState, ParticipantInfo, Segment};

/// A segment, one piece of shared memory with named objects in it: this process's handle.
pub struct tvn_segment_t(pub(crate) Segment);

/// The size a segment has where you have none in mind. Only what objects use is ever committed.
pub const TVN_DEFAULT_SIZE: usize = 67108864;
const _: () = assert!(TVN_DEFAULT_SIZE == Segment::DEFAULT_SIZE);

/// The longest name of a segment or object, in bytes of UTF-8.
pub const TVN_NAME_MAX: usize = 63;
const _: () = assert!(TVN_NAME_MAX == triveni::NAME_MAX);

/// `char` array for any name: TVN_NAME_MAX and a NUL.
pub const TVN_NAME_ROOM: usize = 64;
const _: () = assert!(TVN_NAME_ROOM == TVN_NAME_MAX + 1);

/// Kind of an object that cannot be read: garbage.
pub const TVN_KIND_UNREADABLE: u32 = 0;
/// Kind of a semaphore.
pub const TVN_KIND_SEMAPHORE: u32 = 1;
const _: () = assert!(TVN_KIND_SEMAPHORE == ObjectKind::Semaphore as u32);
/// Kind of a mutex.
pub const TVN_KIND_MUTEX: u32 = 2;
const _: () = assert!(TVN_KIND_MUTEX == ObjectKind::Mutex as u32);
/// Kind of a monitor.
pub const TVN_KIND_MONITOR: u32 = 3;
const _: () = assert!(TVN_KIND_MONITOR == ObjectKind::Monitor as u32);
/// Kind of a readers-writer lock.
pub const TVN_KIND_RWLOCK: u32 = 4;
const _: () = assert!(TVN_KIND_RWLOCK == ObjectKind::RwLock as u32);
/// Kind of a barrier.
pub const TVN_KIND_BARRIER: u32 = 5;
const _: () = assert!(TVN_KIND_BARRIER == ObjectKind::Barrier as u32);
/// Kind of event flags.
pub const TVN_KIND_EVENT: u32 = 6;
const _: () = assert!(TVN_KIND_EVENT == ObjectKind::Event as u32);
/// Kind of a ring.
pub const TVN_KIND_RING: u32 = 7;
const _: () = assert!(TVN_KIND_RING == ObjectKind::Ring as u32);
/// Kind of a mailbox.
pub const TVN_KIND_MAILBOX: u32 = 8;
const _: () = assert!(TVN_KIND_MAILBOX == ObjectKind::Mailbox as u32);
/// Kind of a topic.
pub const TVN_KIND_TOPIC: u32 = 9;
const _: () = assert!(TVN_KIND_TOPIC == ObjectKind::Topic as u32);
/// Kind of object: a service.
pub const TVN_KIND_SERVICE: u32 = 10;
const _: () = assert!(TVN_KIND_SERVICE == ObjectKind::Service as u32);
/// Kind of a port.
pub const TVN_KIND_PORT: u32 = 13;
const _: () = assert!(TVN_KIND_PORT == ObjectKind::Port as u32);
/// Kind of an array.
pub const TVN_KIND_ARRAY: u32 = 11;
const _: () = assert!(TVN_KIND_ARRAY == ObjectKind::Array as u32);
/// Kind of a cell.
pub const TVN_KIND_CELL: u32 = 12;
const _: () = assert!(TVN_KIND_CELL == ObjectKind::Cell as u32);

/// An object, seen from outside. What its kind has no use for is 0.
#[repr(C)]
pub struct tvn_object_info_t {
    /// Its name.
    pub name: [c_char; TVN_NAME_ROOM],
    /// Its kind: TVN_KIND_...
    pub kind: u32,
    /// How many processes have it open.
    pub attached: u32,
    /// Bytes it occupies, with its header.
    pub size: u64,
    /// Service: the most calls at once. Mailbox, topic: the most messages. Ring: bytes of its cells. Semaphore: the most permits. Barrier: the parties.
    /// Monitor: TVN_CONDITIONS_MAX. Array: its elements.
    pub capacity: u64,
    /// Service: requests that nobody has taken. Mailbox: messages in it. Topic: its subscribers. Ring: bytes occupied by records. Semaphore: permits left. Barrier: how many have
    /// arrived. Monitor: its conditions. Readers-writer lock: read locks.
    /// Array, cell: how often it was written as a whole.
    pub length: u64,
    /// Service: the largest request in bytes. Mailbox, topic: the largest message in bytes. Ring: the size of its packed records, 0 if they have any size.
    /// Cell: bytes of its value.
    pub message_size: u64,
    /// Mailbox: claims of dead senders that were given back, so far.
    pub voided: u64,
    /// Mailbox: messages that dead receivers held and that were delivered again, so far.
    pub redelivered: u64,
    /// Mailbox: messages that were dropped because too many receivers had died with them, so far. Topic: messages that
    /// publishers dropped, so far.
    pub dropped: u64,
    /// Mutex, monitor: the slot of the process that holds it, 0 if it is free. Readers-writer lock, array: of the writer.
    pub holder: u32,
    /// Mutex, monitor, readers-writer lock: the number of the thread that `holder` is about, in its process.
    pub thread: u32,
    /// Mutex, monitor, readers-writer lock: a holder died, and nobody has called recover since.
    pub owner_died: bool,
    /// Barrier: a participant died, and nobody has called reset since.
    pub broken: bool,
    /// Ring, mailbox, topic: it was shut down.
    pub shut_down: bool,
    /// Leased semaphore: the permits that are out.
    pub leases: u32,
    /// Readers-writer lock: TVN_READERS_FIRST, TVN_WRITERS_FIRST or TVN_FAIR. Topic: TVN_BLOCK, TVN_DROP_OLDEST or
    /// TVN_DROP_NEWEST.
    pub policy: u32,
    /// Event: the flags that are set.
    pub flags: u32,
    /// Mailbox: TVN_FIFO or TVN_PRIORITY.
    pub order: u32,
    /// Ring, topic: the slot of its producer or publisher, 0 if it has none.
    pub producer: u32,
    /// Ring: the slot of its consumer, 0 if it has none. Port: of its receiver.
    pub consumer: u32,
    /// Service: how many processes serve.
    pub servers: u32,
}

/// A process that takes part in a segment.
#[repr(C)]
pub struct tvn_participant_info_t {
    /// The name of its program, cut if it is too long.
    pub name: [c_char; TVN_NAME_ROOM],
    /// Its number in the segment, from 1.
    pub slot: u32,
    /// Its pid, in the pid namespace it lives in.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// False: dead, and not swept yet.
    pub alive: bool,
    /// When it joined, in seconds since 1970.
    pub since: f64,
}

/// Makes a new segment of `size` bytes under `name` (/dev/shm/triveni.NAME), with access `mode` (0600: this
/// user alone). Lends `name`, gives `*out`. Does not wait. Any thread.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or size; -ENOSPC without memory; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_create(
    name: *const c_char,
    size: usize,
    mode: u32,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_create", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Segment::options().mode(mode).create(text(name)?, size).map(tvn_segment_t)) }
    })
}

/// Opens the segment `name`, which must exist. If all its users are dead, what they left is put right first
/// and committed data stay. Lends `name`, gives `*out`. Does not wait for other users. Any thread.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -EACCES; -TVN_EINCOMPATIBLE for a segment of
/// another version; -TVN_ECORRUPT if it is none; -ENOSPC if the table of participants is full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_open(name: *const c_char, out: *mut *mut tvn_segment_t) -> c_int {
    call("tvn_segment_open", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Segment::open(text(name)?).map(tvn_segment_t)) }
    })
}

/// Opens the segment `name`, or makes it as tvn_segment_create() does; many processes may do this at once and
/// get the same one. An existing one keeps its size and mode. Lends `name`, gives `*out`. Does not wait for
/// other users. Any thread.
/// @return 0; otherwise as tvn_segment_create() and tvn_segment_open(), without -EEXIST and -ENOENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_open_or_create(
    name: *const c_char,
    size: usize,
    mode: u32,
    out: *mut *mut tvn_segment_t,
) -> c_int {
    call("tvn_segment_open_or_create", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || Segment::options().mode(mode).open_or_create(text(name)?, size).map(tvn_segment_t)) }
    })
}

/// Makes a segment of `size` bytes without a name: forked children inherit it, others get its descriptor
/// (tvn_segment_fd()). It is sealed: nobody can truncate it. Gives `*out`. Does not wait. Any thread.
/// @return 0; -EINVAL for a bad size; -ENOSPC without memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_anonymous(size: usize, out: *mut *mut tvn_segment_t) -> c_int {
    call("tvn_segment_anonymous", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || Segment::anonymous(size).map(tvn_segment_t)) }
    })
}

/// Opens the segment that somebody sent as a descriptor. Lends `fd`: it stays the caller's, to close. Gives
/// `*out`. Does not wait for other users. Any thread.
/// @return 0; -EINVAL if `fd` is negative or no segment's; otherwise as tvn_segment_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_from_fd(fd: c_int, out: *mut *mut tvn_segment_t) -> c_int {
    call("tvn_segment_from_fd", || {
        // SAFETY: the C contract: nobody closes the descriptor during this call; NULL or a place for a handle.
        unsafe { give(out, || Segment::from_fd(descriptor(fd)?).map(tvn_segment_t)) }
    })
}

/// A new descriptor of the segment, to be sent to another process, which calls tvn_segment_from_fd(). Lends
/// `segment`; the descriptor is the caller's, to close. Closed on exec. Never blocks. Any thread; a forked
/// child too.
/// @return the descriptor, from 0 on; -EMFILE and the like from the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_fd(segment: *const tvn_segment_t) -> c_int {
    call("tvn_segment_fd", || {
        // SAFETY: the C contract: NULL, or a segment's handle that is not closed during this call.
        Ok(unsafe { lend(segment) }?.0.fd()?.into_raw_fd())
    })
}

/// Removes the name. Who has the segment open goes on; the memory goes with the last one. Lends `name`.
/// Never blocks. Any thread.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_unlink(name: *const c_char) -> c_int {
    call("tvn_segment_unlink", || {
        // SAFETY: the C contract: NULL or a string.
        Segment::unlink(unsafe { text(name) }?)
    })
}

/// Fills `names` with the names of the segments on this machine, sorted, as many as there are and at most `count`:
/// `char names[100][TVN_NAME_ROOM]; int64_t there = tvn_segment_list(names, 100);`. Lends `names` (NULL will do
/// with 0). Never blocks. Any thread.
/// @return how many segments there are, which may be more than `count`; what reading /dev/shm reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_list(names: *mut [c_char; TVN_NAME_ROOM], count: usize) -> i64 {
    call("tvn_segment_list", || {
        // SAFETY: the C contract: `count` items to write.
        let names = unsafe { array(names, count) }?;
        Ok(fill(names, Segment::list()?.iter().map(|name| chars(name))))
    })
}

/// Lets go of the segment. Takes `segment`; NULL is fine. Objects opened through it stay good; the process
/// leaves with the last of them. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_close(segment: *mut tvn_segment_t) {
    // SAFETY: the C contract: NULL, or a segment's handle that nobody uses any more.
    call("tvn_segment_close", || unsafe { take(segment) });
}

/// The size of the segment in bytes. Lends `segment`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_size(segment: *const tvn_segment_t) -> i64 {
    call("tvn_segment_size", || {
        // SAFETY: the C contract: NULL, or a segment's handle that is not closed during this call.
        Ok(unsafe { lend(segment) }?.0.size())
    })
}

/// Has the segment's name been removed, or given to another segment? Lends `segment`. Never blocks. Any
/// thread; a forked child too.
/// @return 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_is_unlinked(segment: *const tvn_segment_t) -> c_int {
    call("tvn_segment_is_unlinked", || {
        // SAFETY: the C contract: NULL, or a segment's handle that is not closed during this call.
        Ok(unsafe { lend(segment) }?.0.is_unlinked())
    })
}

/// Does a locker that would close a circle of waits get -EDEADLK instead? See tvn_segment_options_t. Lends
/// `segment`. Never blocks. Any thread; a forked child too.
/// @return 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_detects_deadlocks(segment: *const tvn_segment_t) -> c_int {
    call("tvn_segment_detects_deadlocks", || {
        // SAFETY: the C contract: NULL, or a segment's handle that is not closed during this call.
        Ok(unsafe { lend(segment) }?.0.detects_deadlocks())
    })
}

/// Removes the name of an object. Who waits on it gets -EIDRM, as does who would have to from now on, or asks for a role;
/// calls that need not wait go on, for those who have it open. Its memory is used again once the last process has let
/// go. Lends `segment` and `object`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_remove(segment: *const tvn_segment_t, object: *const c_char) -> c_int {
    call("tvn_segment_remove", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; NULL or a string.
        unsafe { lend(segment)?.0.remove(text(object)?) }
    })
}

/// Puts right, now, what dead processes left. Nobody needs to call this: whoever waits does it too. Lends
/// `segment`. Does not wait for other users. Any thread; a forked child too.
/// @return how many dead processes were swept, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_sweep(segment: *const tvn_segment_t) -> i64 {
    call("tvn_segment_sweep", || {
        // SAFETY: the C contract: NULL, or a segment's handle that is not closed during this call.
        unsafe { lend(segment) }?.0.sweep()
    })
}

/// Fills `array` with what is to be seen of the objects, as many as there are and at most `count`. Lends
/// `segment` and `array` (NULL will do with 0). Does not wait for other users. Any thread; a forked child too.
/// @return how many objects there are, which may be more than `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_objects(
    segment: *const tvn_segment_t,
    array: *mut tvn_object_info_t,
    count: usize,
) -> i64 {
    call("tvn_segment_objects", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; `count` items to write.
        let (segment, array) = unsafe { (&lend(segment)?.0, self::array(array, count)?) };
        Ok(fill(array, segment.objects()?.iter().map(object)))
    })
}

/// Fills `array` with the processes that take part, also the dead that nobody has swept yet, as many as there
/// are and at most `count`. Lends `segment` and `array` (NULL will do with 0). Does not wait for other users.
/// Any thread; a forked child too.
/// @return how many processes there are, which may be more than `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_segment_participants(
    segment: *const tvn_segment_t,
    array: *mut tvn_participant_info_t,
    count: usize,
) -> i64 {
    call("tvn_segment_participants", || {
        // SAFETY: the C contract: NULL or a segment's handle, not closed during this call; `count` items to write.
        let (segment, array) = unsafe { (&lend(segment)?.0, self::array(array, count)?) };
        Ok(fill(array, segment.participants()?.iter().map(participant)))
    })
}

/// Writes items until the array is full; counts them all.
pub(crate) fn fill<T>(array: &mut [MaybeUninit<T>], items: impl ExactSizeIterator<Item = T>) -> usize {
    let count = items.len();
    for (place, item) in array.iter_mut().zip(items) {
        place.write(item);
    }
    count
}

pub(crate) fn participant(info: &ParticipantInfo) -> tvn_participant_info_t {
    let &ParticipantInfo { ref name, slot, pid, uid, alive, since } = info;
    tvn_participant_info_t { name: chars(name), slot, pid, uid, alive, since }
}

fn object(info: &ObjectInfo) -> tvn_object_info_t {
    let mut out = tvn_object_info_t {
        name: chars(&info.name),
        kind: info.state.kind().map_or(TVN_KIND_UNREADABLE, |kind| kind as u32),
        attached: info.attached.len() as u32, // at most the participants, 512
        size: info.size as u64,
        capacity: 0,
        length: 0,
        message_size: 0,
        voided: 0,
        redelivered: 0,
        dropped: 0,
        holder: 0,
        thread: 0,
        owner_died: false,
        broken: false,
        shut_down: false,
        leases: 0,
        policy: 0,
        flags: 0,
        order: 0,
        producer: 0,
        consumer: 0,
        servers: 0,
    };
    match info.state {
        ObjectState::Semaphore { value, max, ref leases } => {
            (out.capacity, out.length, out.leases) = (max.into(), value.into(), leases.len() as u32); // at most 4096
        }
        ObjectState::Mutex { holder, owner_died } => {
            (out.holder, out.thread) = holder.unwrap_or((0, 0));
            out.owner_died = owner_died;
        }
        ObjectState::Monitor { holder, owner_died, ref conditions } => {
            (out.capacity, out.length) = (Monitor::MAX_CONDITIONS as u64, conditions.len() as u64);
            (out.holder, out.thread) = holder.unwrap_or((0, 0));
            out.owner_died = owner_died;
        }
        ObjectState::RwLock { policy, writer, ref readers, owner_died } => {
            (out.policy, out.length) = (policy as u32, readers.iter().map(|(_, reads)| u64::from(*reads)).sum());
            (out.holder, out.thread) = writer.unwrap_or((0, 0));
            out.owner_died = owner_died;
        }
        ObjectState::Barrier { parties, arrived, broken } => {
            (out.capacity, out.length, out.broken) = (parties.into(), arrived.into(), broken);
        }
        ObjectState::Event { flags } => out.flags = flags,
        ObjectState::Mailbox {
            capacity, message_size, order, len, voided, redelivered, dropped, shut_down, ..
        } => {
            (out.capacity, out.length, out.message_size) = (capacity.most() as u64, len as u64, message_size as u64);
            (out.voided, out.redelivered, out.dropped, out.shut_down) = (voided, redelivered, dropped, shut_down);
            out.order = order as u32;
        }
        ObjectState::Ring { size, used, record_size, shut_down, producer, consumer } => {
            (out.capacity, out.length) = (size as u64, used as u64);
            (out.message_size, out.shut_down) = (record_size as u64, shut_down);
            (out.producer, out.consumer) = (producer.unwrap_or(0), consumer.unwrap_or(0));
        }
        ObjectState::Topic {
            capacity, message_size, policy, dropped, shut_down, publisher, ref subscribers, ..
        } => {
            (out.capacity, out.length) = (capacity as u64, subscribers.len() as u64);
            (out.message_size, out.policy) = (message_size as u64, crate::topic::number(policy));
            (out.dropped, out.shut_down, out.producer) = (dropped, shut_down, publisher.unwrap_or(0));
        }
        ObjectState::Service { calls, request_size, waiting, ref servers, shut_down, .. } => {
            (out.capacity, out.length, out.message_size) = (calls as u64, waiting as u64, request_size as u64);
            (out.servers, out.shut_down) = (servers.len() as u32, shut_down); // at most the participants, 512
        }
        ObjectState::Port { capacity, message_size, len, receiver, .. } => {
            (out.capacity, out.length, out.message_size) = (capacity as u64, len as u64, message_size as u64);
            out.consumer = receiver.unwrap_or(0);
        }
        ObjectState::Array { ref shape, writer, owner_died, version, .. } => {
            (out.capacity, out.length) = (shape.iter().product::<usize>() as u64, version);
            ((out.holder, out.thread), out.owner_died) = (writer.unwrap_or((0, 0)), owner_died);
        }
        ObjectState::Cell { size, version, .. } => (out.message_size, out.length) = (size as u64, version),
        _ => {} // unreadable, or of a kind that this header has no fields for: name and size only
    }
    out
}
