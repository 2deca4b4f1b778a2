//! What is to be seen of a segment from outside.

use super::object::ObjectHeader;
use super::region::Region;
use super::{deadlock, waits};
use crate::{kinds, participant};
use std::os::fd::BorrowedFd;

/// A segment seen from outside. A moment's truth: all of it may change while it is read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its name; `None` for an anonymous one.
    pub name: Option<String>,
    /// Its size in bytes.
    pub size: usize,
    /// Bytes that header, tables and objects occupy.
    pub used: usize,
    /// The user who created it.
    pub uid: u32,
    /// Access mode of its file.
    pub mode: u32,
    /// When it was created, in seconds since 1970.
    pub created: f64,
    /// Who takes part, and the dead whom nobody has swept yet.
    pub participants: Vec<ParticipantInfo>,
    /// What is in it.
    pub objects: Vec<ObjectInfo>,
    /// Who sleeps, and on what.
    pub waits: Vec<super::Wait>,
    /// The circles of threads that wait for each other.
    pub deadlocks: Vec<super::Deadlock>,
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
    /// False: it ended without leaving, and nobody has swept it yet.
    pub alive: bool,
    /// When it joined, in seconds since 1970.
    pub since: f64,
}

/// The kind of an object; the number is what stands in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// [`Semaphore`](crate::Semaphore)
    Semaphore = 1,
    /// [`Mutex`](crate::Mutex)
    Mutex = 2,
    /// [`Monitor`](crate::Monitor)
    Monitor = 3,
    /// [`RwLock`](crate::RwLock)
    RwLock = 4,
    /// [`Barrier`](crate::Barrier)
    Barrier = 5,
    /// [`Event`](crate::Event)
    Event = 6,
    /// [`Ring`](crate::Ring)
    Ring = 7,
    /// [`Mailbox`](crate::Mailbox)
    Mailbox = 8,
    /// [`Topic`](crate::Topic)
    Topic = 9,
    /// [`Service`](crate::Service)
    Service = 10,
    /// [`Array`](crate::Array)
    Array = 11,
    /// [`Cell`](crate::Cell)
    Cell = 12,
    /// [`Port`](crate::Port)
    Port = 13,
}

impl ObjectKind {
    /// `semaphore`, `mutex`, `monitor`, `rwlock`, `barrier`, `event`, `ring`, `mailbox`, `topic`, `service`, `array`,
    /// `cell`, `port`
    pub fn name(self) -> &'static str {
        match self {
            Self::Semaphore => "semaphore",
            Self::Mutex => "mutex",
            Self::Monitor => "monitor",
            Self::RwLock => "rwlock",
            Self::Barrier => "barrier",
            Self::Event => "event",
            Self::Ring => "ring",
            Self::Mailbox => "mailbox",
            Self::Topic => "topic",
            Self::Service => "service",
            Self::Array => "array",
            Self::Cell => "cell",
            Self::Port => "port",
        }
    }
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

/// What is in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectState {
    /// A semaphore.
    Semaphore {
        /// Permits left.
        value: u32,
        /// The most permits it holds.
        max: u32,
        /// Who has a permit of a leased semaphore: a participant's slot, and the number of a thread in that
        /// process, once for each permit. Empty if permits have no holders.
        leases: Vec<(u32, u32)>,
    },
    /// A mutex.
    Mutex {
        /// Who holds it: a participant's slot, and the number of a thread in that process.
        holder: Option<(u32, u32)>,
        /// A holder died and nobody has called `recover` since.
        owner_died: bool,
    },
    /// A monitor.
    Monitor {
        /// Who is inside: a participant's slot, and the number of a thread in that process.
        holder: Option<(u32, u32)>,
        /// A holder died and nobody has called `recover` since.
        owner_died: bool,
        /// The names of its conditions.
        conditions: Vec<String>,
    },
    /// A readers-writer lock.
    RwLock {
        /// Who goes first.
        policy: crate::RwPolicy,
        /// Who writes, or waits for the readers to leave: a participant's slot, and the number of a thread.
        writer: Option<(u32, u32)>,
        /// Who reads: participants' slots, each with the number of its reads.
        readers: Vec<(u32, u32)>,
        /// A writer died and nobody has called `recover` since.
        owner_died: bool,
    },
    /// A barrier.
    Barrier {
        /// How many it waits for.
        parties: u32,
        /// How many have arrived.
        arrived: u32,
        /// A participant died; nobody has called `reset` since.
        broken: bool,
    },
    /// Event flags.
    Event {
        /// The flags that are set.
        flags: u32,
    },
    /// A mailbox.
    Mailbox {
        /// The most messages it holds.
        capacity: crate::Capacity,
        /// The largest message, in bytes.
        message_size: usize,
        /// In which order they are received.
        order: crate::Order,
        /// Messages in it.
        len: usize,
        /// Claims of dead senders that were given back, so far.
        voided: u64,
        /// Messages that receivers held until they died, or gave back, and that were delivered again, so far.
        redelivered: u64,
        /// Messages that were dropped because that had happened to them too often, so far.
        dropped: u64,
        /// It was shut down: nothing is sent any more.
        shut_down: bool,
        /// The slots of those who write or read a message in it at this moment: they may be in somebody's way.
        holders: Vec<u32>,
    },
    /// A ring.
    Ring {
        /// Bytes of its cells.
        size: usize,
        /// Bytes occupied by records.
        used: usize,
        /// The one size of its packed records; 0 if they have any size.
        record_size: usize,
        /// It was shut down: nothing is written any more.
        shut_down: bool,
        /// The slot of its producer.
        producer: Option<u32>,
        /// The slot of its consumer.
        consumer: Option<u32>,
    },
    /// A topic.
    Topic {
        /// The most messages it keeps.
        capacity: usize,
        /// The largest message, in bytes.
        message_size: usize,
        /// What its publisher does when it would overtake the slowest subscriber.
        policy: crate::TopicPolicy,
        /// Messages published so far.
        published: u64,
        /// Messages that publishers dropped so far.
        dropped: u64,
        /// Subscribers that were put out so far.
        evicted: u64,
        /// It was shut down: nothing is published any more.
        shut_down: bool,
        /// The slot of its publisher.
        publisher: Option<u32>,
        /// Who subscribes: participants' slots, each with how many messages it is behind.
        subscribers: Vec<(u32, u64)>,
        /// How many can subscribe at the same time.
        max_subscribers: usize,
    },
    /// A service.
    Service {
        /// The most calls at once.
        calls: usize,
        /// The largest request, in bytes.
        request_size: usize,
        /// The largest answer, in bytes.
        response_size: usize,
        /// Is a request served again whose server died over it?
        idempotent: bool,
        /// Requests that nobody has taken.
        waiting: usize,
        /// Requests that are being served.
        serving: usize,
        /// Participants that serve.
        servers: Vec<u32>,
        /// Requests whose server died, so far.
        died: u64,
        /// Those of them that were queued again.
        requeued: u64,
        /// Nothing is to be asked any more.
        shut_down: bool,
    },
    /// A port.
    Port {
        /// The most messages it holds.
        capacity: usize,
        /// The largest message, in bytes.
        message_size: usize,
        /// Messages in it.
        len: usize,
        /// The slot of its receiver; `None` also while the right to receive is in a message.
        receiver: Option<u32>,
        /// How many rights to send there are.
        senders: usize,
    },
    /// An array.
    Array {
        /// What an element is.
        type_tag: String,
        /// Its dimensions.
        shape: Vec<usize>,
        /// Who writes as a whole: a participant's slot, and the number of a thread in that process.
        writer: Option<(u32, u32)>,
        /// A writer died in the middle and nobody has called `recover` since.
        owner_died: bool,
        /// How often it was written as a whole.
        version: u64,
    },
    /// A cell.
    Cell {
        /// Bytes of a value.
        size: usize,
        /// How many values were stored so far.
        version: u64,
        /// The slots of those that are in the middle of a store, once for each.
        writers: Vec<u32>,
        /// What the bytes are; empty if nobody said.
        type_tag: String,
    },
    /// Garbage, with what was wrong.
    Unreadable(String),
}

impl ObjectState {
    /// The kind; `None` where it is unreadable.
    pub fn kind(&self) -> Option<ObjectKind> {
        match self {
            Self::Semaphore { .. } => Some(ObjectKind::Semaphore),
            Self::Mutex { .. } => Some(ObjectKind::Mutex),
            Self::Monitor { .. } => Some(ObjectKind::Monitor),
            Self::RwLock { .. } => Some(ObjectKind::RwLock),
            Self::Barrier { .. } => Some(ObjectKind::Barrier),
            Self::Event { .. } => Some(ObjectKind::Event),
            Self::Mailbox { .. } => Some(ObjectKind::Mailbox),
            Self::Ring { .. } => Some(ObjectKind::Ring),
            Self::Array { .. } => Some(ObjectKind::Array),
            Self::Cell { .. } => Some(ObjectKind::Cell),
            Self::Service { .. } => Some(ObjectKind::Service),
            Self::Topic { .. } => Some(ObjectKind::Topic),
            Self::Port { .. } => Some(ObjectKind::Port),
            Self::Unreadable(_) => None,
        }
    }
}

/// Looks at everything. Takes no lock: each entry is copied and then asked again whether it still is the same.
pub fn snapshot(region: &Region, fd: BorrowedFd<'_>, me: Option<u32>, name: Option<&str>, mode: u32) -> Snapshot {
    let geometry = region.geometry;
    let mut objects = Vec::new();
    for index in 0..geometry.max_objects {
        let Some(entry) = region.entry(index).filter(|e| e.is_ready()) else { continue };
        let generation = entry.generation();
        let (at, len) = entry.extent();
        let name = entry.name().unwrap_or_else(|| format!("(entry {index})"));
        let info = match region.object(at, len) {
            Err(error) => {
                ObjectInfo { name, size: 0, attached: Vec::new(), state: ObjectState::Unreadable(error.to_string()) }
            }
            Ok((header, view)) => {
                let state = match kinds::of(header.kind()) {
                    None => ObjectState::Unreadable(format!("kind {} is unknown", header.kind())),
                    Some(kind) => (kind.state)(view).unwrap_or_else(|error| ObjectState::Unreadable(error.to_string())),
                };
                let attached = header.attached().filter_map(|slot| region.seat(slot).map(|seat| seat.pid())).collect();
                ObjectInfo { name, size: view.size() + size_of::<ObjectHeader>(), attached, state }
            }
        };
        if entry.is_ready() && entry.generation() == generation {
            objects.push(info);
        }
    }
    let participants = participant::list(region, fd, me);
    let is_alive = |slot: u32| participants.iter().any(|p| p.slot == slot && p.alive);
    let waits = waits::look(region, is_alive).iter().map(|sleeper| waits::describe(region, sleeper)).collect();
    let deadlocks = deadlock::find(region, is_alive);
    Snapshot {
        name: name.map(str::to_string),
        size: geometry.total_size,
        used: geometry.arena() + objects.iter().map(|o| o.size).sum::<usize>(),
        uid: geometry.uid,
        mode,
        created: geometry.created_ns as f64 / 1e9,
        participants,
        objects,
        waits,
        deadlocks,
    }
}

/// The names of the objects that the participant in `slot` holds a part of.
pub fn held_by(region: &Region, slot: u32) -> Vec<String> {
    let holds = |state: &ObjectState| match state {
        ObjectState::Mutex { holder, .. } | ObjectState::Monitor { holder, .. } => {
            holder.is_some_and(|(holder, _)| holder == slot)
        }
        ObjectState::RwLock { writer, readers, .. } => {
            writer.is_some_and(|(writer, _)| writer == slot) || readers.iter().any(|(reader, _)| *reader == slot)
        }
        ObjectState::Array { writer, .. } => writer.is_some_and(|(writer, _)| writer == slot),
        ObjectState::Semaphore { leases, .. } => leases.iter().any(|(holder, _)| *holder == slot),
        ObjectState::Mailbox { holders, .. } => holders.contains(&slot),
        ObjectState::Ring { producer, consumer, .. } => [producer, consumer].contains(&&Some(slot)),
        ObjectState::Port { receiver, .. } => *receiver == Some(slot),
        ObjectState::Topic { publisher, subscribers, .. } => {
            *publisher == Some(slot) || subscribers.iter().any(|(subscriber, _)| *subscriber == slot)
        }
        _ => false,
    };
    let objects = (0..region.geometry.max_objects).filter_map(|index| {
        let entry = region.entry(index).filter(|entry| entry.is_ready())?;
        let (at, len) = entry.extent();
        let (header, view) = region.object(at, len).ok()?;
        let state = (kinds::of(header.kind())?.state)(view).ok()?;
        if holds(&state) { entry.name() } else { None }
    });
    objects.collect()
}
