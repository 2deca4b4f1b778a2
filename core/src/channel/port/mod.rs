//! Ports, as Mach has them: a queue of messages with one receiver, and rights that can be given away in a message.
//!
//! # State
//!
//! | file        | what                                                                             |
//! |-------------|----------------------------------------------------------------------------------|
//! | `memory`    | where everything lies in the segment                                             |
//! | `places`    | the queue: one word for each message                                             |
//! | `rights`    | who may receive and send: one word for each right                                |
//! | `life`      | what a death, or the loss of a message, does to a right                          |
//! | `letter`    | how a message is written, read, and carries rights                               |
//! | `notify`    | what a port tells about other ports                                              |
//! | `call`      | send and wait for the answer                                                     |
//! | `set`       | receive from any of several ports                                                |
//! | `process`   | messages to processes by name, on ports named after them                         |
//!
//! In a segment every process can open every port and write into all of it. So rights are a protection against
//! mistakes, not against malice: a right that was given away is refused, and two receivers do not steal each other's
//! messages, as long as everybody goes through this library.
//!
//! # When a peer dies
//!
//! The receiver: the port is dead; senders get `PeerDead` at once if they wait, within a millisecond or two if they
//! send. What it had not received stays; who asks for the port by name ([`Segment::port`]) receives it, and the port
//! lives again. A sender: its rights end; a message half written is gone. Either of them with a right in a message: see
//! `rights.rs`.
//!
//! # Cost
//!
//! Two compare-and-swaps for a send, two for a receive, and a look at each place; a system call if somebody sleeps. A
//! message with rights: three more for each right on either side, and the receiver opens their ports, under the
//! directory's mutex.

mod call;
#[cfg(all(test, shuttle))]
mod deaths;
#[cfg(all(test, not(loom)))]
mod handle_tests;
mod letter;
mod life;
mod memory;
#[cfg(all(test, not(loom)))]
mod model;
#[cfg(all(test, loom))]
mod model_loom;
mod notify;
mod places;
mod process;
mod ready;
mod rights;
mod set;

pub use call::PortCall;
pub use letter::Delivery;
pub use notify::{Notification, PortEvent};
pub use process::Process;
pub(crate) use ready::PortSide;
pub use rights::Right;
pub use set::PortSet;

use crate::deadline::now_ns;
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::segment::directory::{Plan, Want};
use crate::segment::object::{Holds, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, other_geometry};
use crate::wait::{Spin, World};
use crate::{Error, ErrorKind, Result, Segment};
use life::{Life, Receiver};
use memory::Memory;
use places::{Claim, Garbage, State};
use rights::{Ticket, Where};
use std::fmt;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::AtomicU32;

const KIND_OF_PORT: ObjectKind = ObjectKind::Port;

/// How often, at most, somebody who sends or polls asks whether others are alive: a system call.
const PATIENCE_NS: u64 = 1_000_000;
/// And the first time: longer than one spins, so that nobody asks who need not sleep.
const FIRST_PATIENCE_NS: u64 = 60_000;

/// The right was given away in a message.
const GIVEN: u32 = 1;
/// The port is in a [`PortSet`].
const IN_A_SET: u32 = 2;

/// A right to a port: to receive from it, to send to it, or to send to it once.
///
/// A port is a queue of messages with one receiver. [`Segment::port`] makes one and gives its creator the right to
/// receive; [`Segment::open_port`] gives a right to send. Each right is one `Port`; it can be given away in a message
/// ([`Port::send_rights`]): from then on it can no longer be used here (`NotOwner`), and whoever receives the message
/// has it. If the message is lost with a dead process, the right is lost as well, and a port whose right to receive is
/// lost is dead.
///
/// Rights protect against mistakes, not against malice: every process in the segment can open every port.
///
/// A clone is another handle on the same right of this process; the last one gives the right up when it is dropped.
/// Threads may share a right. It belongs to the process: in a forked child every call says `Forked`; open the port
/// there.
#[derive(Clone)]
pub struct Port {
    right: Arc<Held>,
}

/// A right of this process.
struct Held {
    object: Object,
    memory: Memory,
    ticket: Ticket,
    /// The fork number under which it was had.
    fork: u32,
    /// `GIVEN`, `IN_A_SET`.
    flags: AtomicU32,
    spin_rx: Spin,
    spin_tx: Spin,
    patience: Patience,
    /// Where answers to calls through this right arrive, while nobody calls.
    answers: call::Answers,
}

/// How a port is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortOptions {
    capacity: usize,
    message_size: usize,
    rights: usize,
}

impl Default for PortOptions {
    /// 8 messages of up to 1024 bytes, 63 rights to send.
    fn default() -> PortOptions {
        PortOptions { capacity: 8, message_size: 1024, rights: 63 }
    }
}

impl PortOptions {
    /// How many messages the queue holds: 8 unless said otherwise, 1016 at most. Receiving looks at each of them.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// The largest message in bytes; 1024 unless said otherwise.
    pub fn message_size(mut self, bytes: usize) -> Self {
        self.message_size = bytes;
        self
    }

    /// How many rights to send there can be at a time, 63 unless said otherwise, 4096 at most: each open handle is one,
    /// and each call that waits for its answer.
    pub fn rights(mut self, rights: usize) -> Self {
        self.rights = rights;
        self
    }
}

/// What the sweep and the observers need to know.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Port,
    repair: |view, slot| {
        if let Ok(memory) = Memory::of(view) {
            memory.repair(slot);
        }
    },
    ring: |view| {
        if let Ok(memory) = Memory::of(view) {
            memory.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| {
        let memory = Memory::of(view)?;
        let sends = |(index, seen): &(u32, rights::Seen)| *index > 0 && seen.place != Where::Nowhere;
        Ok(ObjectState::Port {
            capacity: memory.capacity as usize,
            message_size: memory.message_size,
            len: memory.places().len().map_err(|garbage| corrupt("port", garbage))? as usize,
            receiver: match memory.rights().look(0).place {
                Where::Held(slot) | Where::Giving(slot) | Where::Taking(slot) => Some(slot),
                Where::Moving | Where::Nowhere => None,
            },
            senders: memory.rights().each().filter(sends).count(),
        })
    },
};

impl Segment {
    /// Finds or makes a port, and takes the right to receive from it. A new one has a queue of 8 messages of up to 1024
    /// bytes. One whose receiver died or gave up is taken over, with the messages that nobody has received.
    ///
    /// # Errors
    /// As [`Segment::port_with`].
    pub fn port(&self, name: &str) -> Result<Port> {
        let (object, memory) = self.any_port(name, PortOptions::default(), Want::Either)?;
        Port::receiver(object, memory)
    }

    /// As [`Segment::port`]; the geometry is the caller's.
    ///
    /// # Errors
    /// `Busy` if a live process has the right to receive, or it is in a message; `Invalid` for a bad name or geometry;
    /// `Incompatible` if there is one of another geometry, or another kind of object; `NoSpace`.
    pub fn port_with(&self, name: &str, options: PortOptions) -> Result<Port> {
        let (object, memory) = self.any_port(name, options, Want::Either)?;
        let there = (memory.capacity as usize, memory.message_size);
        if there != (options.capacity, options.message_size) {
            return Err(other_geometry(
                "port",
                name,
                format_args!("capacity {} and message size {}", there.0, there.1),
                format_args!("{} and {}", options.capacity, options.message_size),
            ));
        }
        Port::receiver(object, memory)
    }

    /// Makes a port, and takes the right to receive from it.
    ///
    /// # Errors
    /// As [`Segment::port_with`]; `Exists`.
    pub fn create_port(&self, name: &str) -> Result<Port> {
        self.create_port_with(name, PortOptions::default())
    }

    /// As [`Segment::create_port`]; the geometry is the caller's.
    ///
    /// # Errors
    /// As [`Segment::port_with`]; `Exists`.
    pub fn create_port_with(&self, name: &str, options: PortOptions) -> Result<Port> {
        let (object, memory) = self.any_port(name, options, Want::Create)?;
        Port::receiver(object, memory)
    }

    /// Opens a port of whatever geometry, with a new right to send to it.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`; `NoSpace` if all rights to it are in use.
    pub fn open_port(&self, name: &str) -> Result<Port> {
        let object = self.object(KIND_OF_PORT, name, Want::Open, None)?;
        let memory = attach(&object)?;
        Port::sender(object, memory, Right::Send)
    }

    /// The port, found or made, without any right to it.
    fn any_port(&self, name: &str, options: PortOptions, want: Want) -> Result<(Object, Memory)> {
        let PortOptions { capacity, message_size, rights } = options;
        let (geometry, size) = memory::geometry(capacity, message_size, rights)
            .map_err(|why| Error::new(why.kind(), format!("port {name:?}: {why}")))?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: "" };
        let object = self.object(KIND_OF_PORT, name, want, Some(plan))?;
        let memory = attach(&object)?;
        Ok((object, memory))
    }
}

/// The memory of an object that is a port by its header.
fn attach(object: &Object) -> Result<Memory> {
    let view: View<'_> = object.view();
    Memory::of(view).map_err(|e| Error::new(e.kind(), format!("port {:?}: {e}", object.address())))
}

/// When to ask whether somebody is still alive.
struct Patience(AtomicU64);

impl Patience {
    fn from_now() -> Patience {
        Patience(AtomicU64::new(now_ns().saturating_sub(PATIENCE_NS - FIRST_PATIENCE_NS)))
    }

    /// True at most once per [`PATIENCE_NS`], and not before [`FIRST_PATIENCE_NS`] are over.
    fn is_over(&self) -> bool {
        let now = now_ns();
        // Relaxed: two threads that ask at once ask twice.
        let over = now.saturating_sub(self.0.load(Relaxed)) >= PATIENCE_NS;
        if over {
            self.0.store(now, Relaxed);
        }
        over
    }
}

#[cold]
fn corrupt(name: &str, Garbage(index, word): Garbage) -> Error {
    let why = format!(
        "{name}: the word of place {index} is {word:#018x}, which no port writes; remove it and create it anew"
    );
    Error::new(ErrorKind::Corrupt, why)
}

impl Port {
    /// The right to receive, for this process.
    fn receiver(object: Object, memory: Memory) -> Result<Port> {
        let me = object.me()?;
        for _ in 0..64 {
            let life = Life { object: &object, ask: true };
            let (seen, what) = life.look_receiver(&memory);
            match what {
                Receiver::Slot(slot) => return Err(busy(&object, slot)),
                Receiver::Moving => {
                    let why = format!(
                        "port {:?}: the right to receive from it is in a message that nobody has received yet",
                        object.address()
                    );
                    return Err(Error::new(ErrorKind::Busy, why));
                }
                Receiver::Unborn | Receiver::Dead => {}
            }
            if let Some(ticket) = memory.rights().take_receive(seen, me) {
                // What the last receiver had claimed is there again; if somebody else is repairing it just now, in a
                // moment.
                if let Where::Held(dead) | Where::Giving(dead) | Where::Taking(dead) = seen.place {
                    object.repairing(dead, || memory.repair(dead));
                }
                memory.ring();
                return Ok(Port::of(object, memory, ticket));
            }
        }
        let why = format!("port {:?}: several processes take it and give it up all the time", object.address());
        Err(Error::new(ErrorKind::Busy, why))
    }

    /// A new right to send, for this process.
    fn sender(object: Object, memory: Memory, kind: Right) -> Result<Port> {
        let me = object.me()?;
        // Once more if rights of the dead are in the way.
        for _ in 0..2 {
            if let Some(ticket) = memory.rights().make(kind, me) {
                memory.control().made.fetch_add(1, Relaxed); // Relaxed: it is looked at after this right has ended.
                return Ok(Port::of(object, memory, ticket));
            }
            if !(Life { object: &object, ask: true }).bury_senders(&memory) {
                break;
            }
        }
        let why = format!(
            "port {:?}: all rights to send to it are in use; close some, or create it with more rights",
            object.address()
        );
        Err(Error::new(ErrorKind::NoSpace, why))
    }

    /// A right that is this process's.
    fn of(object: Object, memory: Memory, ticket: Ticket) -> Port {
        let fork = object.fork_number();
        Port {
            right: Arc::new(Held {
                object,
                memory,
                ticket,
                fork,
                flags: AtomicU32::new(0),
                spin_rx: Spin::default(),
                spin_tx: Spin::default(),
                patience: Patience::from_now(),
                answers: call::Answers::default(),
            }),
        }
    }

    /// What it is a right to.
    pub fn right(&self) -> Right {
        self.right.ticket.kind
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        self.right.object.name()
    }

    /// How many messages its queue holds.
    pub fn capacity(&self) -> usize {
        self.right.memory.capacity as usize
    }

    /// The largest message in bytes.
    pub fn message_size(&self) -> usize {
        self.right.memory.message_size
    }

    /// Messages in it at this moment; 0 also if it holds garbage, which the next call that can fail reports.
    pub fn len(&self) -> usize {
        self.right.memory.places().len().unwrap_or(0) as usize
    }

    /// Is there no message at this moment?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new right to send to the same port, to use or to give away.
    ///
    /// # Errors
    /// `NotOwner` if this right was given away, or is a right to send once; `NoSpace` if all rights are in use;
    /// `Forked`.
    pub fn send_right(&self) -> Result<Port> {
        self.make(Right::Send)
    }

    /// A new right to send to the same port once: for whoever is to answer.
    ///
    /// # Errors
    /// As [`Port::send_right`]; `NotOwner` unless this is the right to receive.
    pub fn send_once_right(&self) -> Result<Port> {
        self.make(Right::SendOnce)
    }

    fn make(&self, kind: Right) -> Result<Port> {
        let needed = if kind == Right::SendOnce { &[Right::Receive][..] } else { &[Right::Receive, Right::Send] };
        self.entitled(needed, "make a right to send to")?;
        Port::sender(self.right.object.clone(), self.right.memory, kind)
    }

    /// Gives the right up. With the right to receive the port dies: senders get `PeerDead`. Dropping the last handle
    /// does the same, silently.
    ///
    /// # Errors
    /// `NotOwner` if it was given away or given up; `Forked`.
    pub fn deallocate(&self) -> Result<()> {
        let me = self.entitled(&[Right::Receive, Right::Send, Right::SendOnce], "deallocate")?;
        if self.right.memory.rights().give_up(self.right.ticket, me) {
            self.life(false).changed(&self.right.memory);
            return Ok(());
        }
        Err(self.not_entitled("deallocate"))
    }

    /// Asks that `notify` tell when `event` happens to this port: its receiver gets a [`Notification`] instead of a
    /// message, once. If it has happened already, that is now. Both ports may be the same.
    ///
    /// [`NoSenders`](PortEvent::NoSenders) counts from the first right to send on: a port that nobody has opened yet is
    /// not without senders.
    ///
    /// # Errors
    /// `NotOwner` if this right, or that to `notify`, was given away, or for `NoSenders` unless this is the right to
    /// receive; `NoSpace` if `notify` waits for 16 notifications; `Invalid` for
    /// [`Accepted`](PortEvent::Accepted), which [`Port::send_pending`] asks for, and for ports of two segments.
    pub fn request_notification(&self, event: PortEvent, notify: &Port) -> Result<()> {
        let tried = "ask for a notification about";
        let me = match event {
            PortEvent::NoSenders => self.entitled(&[Right::Receive], tried)?,
            PortEvent::DeadName => self.entitled(&[Right::Receive, Right::Send, Right::SendOnce], tried)?,
            PortEvent::Accepted => {
                let why = "Accepted is told of a pending message: ask for it with send_pending";
                return Err(Error::new(ErrorKind::Invalid, why));
            }
        };
        self.ask(me, notify, notify::Wish { event, port: self.id(), message: 0 })
    }

    fn ask(&self, me: u32, notify: &Port, wish: notify::Wish) -> Result<()> {
        self.same_segment(notify)?;
        notify.entitled(&[Right::Receive, Right::Send, Right::SendOnce], "ask for a notification on")?;
        if !notify::ask(&notify.right.memory, me, wish) {
            return Err(notify::full(&notify.right.object.address()));
        }
        notify::watch(&self.right.memory.control().watchers, notify.id());
        // What happened in between nobody has told the port of.
        notify.right.memory.control().rx.0.ring();
        Ok(())
    }

    fn same_segment(&self, other: &Port) -> Result<()> {
        if self.right.object.key().participant == other.right.object.key().participant {
            return Ok(());
        }
        let why = format!(
            "ports {:?} and {:?} lie in different segments, or were opened through different handles on one: \
             a right can only go to where its port is",
            self.right.object.address(),
            other.right.object.address()
        );
        Err(Error::new(ErrorKind::Invalid, why))
    }

    fn life(&self, ask: bool) -> Life<'_> {
        Life { object: &self.right.object, ask }
    }

    /// The number of the port in its segment.
    fn id(&self) -> u64 {
        self.life(false).id()
    }

    /// This process's slot, if it has this right and it is one of `needed`.
    #[inline]
    fn entitled(&self, needed: &[Right], tried: &str) -> Result<u32> {
        let me = self.right.object.me()?;
        let ours = self.right.fork == self.right.object.fork_number();
        // A right that was given away and came back is another handle's.
        let given = self.right.flags.load(Relaxed) & GIVEN != 0;
        if ours && !given && needed.contains(&self.right()) && self.right.memory.rights().has(self.right.ticket, me) {
            return Ok(me);
        }
        self.right.object.still_there()?;
        if !ours {
            let name = self.right.object.address();
            let why = format!("{tried} port {name:?}: this right is the parent's; open the port in this process");
            return Err(Error::new(ErrorKind::Forked, why));
        }
        if !needed.contains(&self.right()) {
            let why = format!(
                "{tried} port {:?}: this takes a right to {}, and here is one to {}",
                self.right.object.address(),
                needed.iter().map(|right| right.to_string()).collect::<Vec<_>>().join(" or "),
                self.right()
            );
            return Err(Error::new(ErrorKind::NotOwner, why));
        }
        Err(self.not_entitled(tried))
    }

    #[cold]
    fn not_entitled(&self, tried: &str) -> Error {
        let (name, right) = (self.right.object.address(), self.right());
        let given = self.right.flags.load(Relaxed) & GIVEN != 0;
        if given {
            let why = format!("{tried} port {name:?}: the right to {right} was given away in a message");
            return Error::new(ErrorKind::NotOwner, why);
        }
        if right == Right::SendOnce {
            let why = format!(
                "{tried} port {name:?}: this right to send once was used, or nobody waits for the answer any more"
            );
            return Error::new(ErrorKind::NotOwner, why);
        }
        Error::new(ErrorKind::NotOwner, format!("{tried} port {name:?}: this right to {right} was given up"))
    }

    #[cold]
    fn peer_dead(&self) -> Error {
        let why = format!(
            "port {:?}: nobody can receive from it any more: its receiver died, or gave it up",
            self.right.object.address()
        );
        Error::new(ErrorKind::PeerDead, why)
    }

    #[cold]
    fn corrupt(&self, garbage: Garbage) -> Error {
        corrupt(&format!("port {:?}", self.right.object.address()), garbage)
    }

    /// Ends a claim whose owner is dead, if there is one. Returns whose claim is in the way otherwise.
    fn clear(&self, me: u32, ask: bool) -> Option<u32> {
        let memory = &self.right.memory;
        let claim: Claim = memory.places().claimed(me)?;
        let (Ok(State::Writing(owner)) | Ok(State::Reading(owner))) = claim.state() else { return None };
        if ask && self.right.object.is_dead(owner) {
            // A sender's claim by itself, so that a stopped sweeper is in nobody's way; then all that the dead left.
            memory.places().void(claim);
            self.right.object.repairing(owner, || memory.repair(owner));
            memory.ring();
        }
        Some(owner)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Receive => "receive",
            Right::Send => "send",
            Right::SendOnce => "send once",
        })
    }
}

/// Handles on the same right are equal: two rights to one port are not.
impl PartialEq for Port {
    fn eq(&self, other: &Port) -> bool {
        Arc::ptr_eq(&self.right, &other.right)
    }
}

impl Eq for Port {}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({:?}, right to {})", self.right.object.address(), self.right())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.fork != self.object.fork_number() || self.flags.load(Relaxed) & GIVEN != 0 {
            return;
        }
        if let Ok(me) = self.object.me()
            && self.memory.rights().give_up(self.ticket, me)
        {
            Life { object: &self.object, ask: false }.changed(&self.memory);
        }
    }
}

#[cold]
fn busy(object: &Object, slot: u32) -> Error {
    let who = object.pid_of(slot).map_or_else(|| format!("slot {slot}"), |pid| format!("process {pid}"));
    let why = format!(
        "port {:?}: {who} has the right to receive from it, and there is only one; it can give it away in a message",
        object.address()
    );
    Error::new(ErrorKind::Busy, why)
}
