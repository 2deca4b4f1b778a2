//! What a new mailbox is like, what is written on a message, and which message a receiver wants.

use super::memory::{Layout, MOST_BYTES, MOST_SORTED, Mode};
use super::slots::MOST_SLOTS;
use super::{Mailbox, attach};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::directory::{Plan, Want};
use crate::segment::{ObjectKind, Segment, other_geometry};

/// How many messages a mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capacity {
    /// None: a send returns when a receiver has the message.
    Rendezvous,
    /// At most so many: a sender waits for room.
    Bounded(usize),
    /// As many as are sent, up to a ceiling: a sender never waits, and at the ceiling it gets an error. Memory is taken
    /// when it is needed and given back when it is not.
    Unbounded {
        /// The most messages. Each takes 16 bytes from the beginning.
        ceiling: usize,
    },
}

impl Capacity {
    /// As a number: 0 at a rendezvous, the ceiling of an unbounded one.
    pub fn most(self) -> usize {
        match self {
            Capacity::Rendezvous => 0,
            Capacity::Bounded(n) => n,
            Capacity::Unbounded { ceiling } => ceiling,
        }
    }
}

impl From<usize> for Capacity {
    /// 0 is a rendezvous.
    fn from(capacity: usize) -> Capacity {
        if capacity == 0 { Capacity::Rendezvous } else { Capacity::Bounded(capacity) }
    }
}

/// In which order messages are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// First in, first out.
    #[default]
    Fifo,
    /// Higher priority first, and among equals the older one, as in POSIX queues. Receivers may also select by type, as
    /// in System V. Each receive looks at every place, so keep the capacity in the hundreds.
    Priority,
}

/// What is written on a message that is sent to a mailbox of [`Order::Priority`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// 0 to [`Mailbox::MAX_PRIORITY`]; the highest is received first. `priority` of mq_send(3).
    pub priority: u16,
    /// The message's type, for receivers that select; 0: none. `mtype` of msgsnd(2).
    pub mtype: u32,
}

/// Which message a receiver wants; the `msgtyp` of msgrcv(2). Only mailboxes of [`Order::Priority`] can select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Select {
    /// The first in order.
    #[default]
    Any,
    /// The first of this type.
    Type(u32),
    /// The first of the lowest type, among types from 1 to this one.
    UpTo(u32),
    /// The first of any other type.
    Except(u32),
}

/// What a new mailbox is like.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::{Envelope, MailboxOptions, Order, Select};
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let jobs = segment.mailbox_with("jobs", MailboxOptions::new(16, 64).order(Order::Priority))?;
/// jobs.send(b"sweep")?;
/// jobs.send_with(b"fire", Envelope { priority: 9, mtype: 112 })?;
/// let mut buffer = [0; 64];
/// let first = jobs.receive(&mut buffer)?;
/// assert_eq!((&buffer[..first.size], first.priority), (&b"fire"[..], 9));
/// assert!(jobs.try_receive_selected(Select::Type(112), &mut buffer)?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxOptions<'a> {
    /// How many messages it holds.
    pub capacity: Capacity,
    /// The largest message, in bytes.
    pub message_size: usize,
    /// In which order messages are received; only a bounded mailbox has a choice.
    pub order: Order,
    /// How many receivers may have a message in vain before it is dropped; 0: any number.
    pub max_deliveries: u16,
    /// The type of the messages; empty: any bytes.
    pub type_tag: &'a str,
}

impl<'a> MailboxOptions<'a> {
    /// Room for `capacity` messages (0: a rendezvous) of up to `message_size` bytes, first in, first out.
    pub fn new(capacity: impl Into<Capacity>, message_size: usize) -> MailboxOptions<'a> {
        MailboxOptions { capacity: capacity.into(), message_size, order: Order::Fifo, max_deliveries: 0, type_tag: "" }
    }

    /// In which order messages are received; only a bounded mailbox has a choice.
    pub fn order(self, order: Order) -> MailboxOptions<'a> {
        MailboxOptions { order, ..self }
    }

    /// How many receivers may have a message in vain, because they die or give it back, before it is dropped and
    /// counted; 0, the default: any number.
    pub fn max_deliveries(self, max_deliveries: u16) -> MailboxOptions<'a> {
        MailboxOptions { max_deliveries, ..self }
    }

    /// The type of the messages, as in PEP 3118: whoever opens the mailbox with another one is refused.
    pub fn type_tag(self, type_tag: &'a str) -> MailboxOptions<'a> {
        MailboxOptions { type_tag, ..self }
    }

    fn mode(&self) -> Result<Mode> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::Invalid, why));
        match (self.capacity, self.order) {
            (Capacity::Bounded(_), Order::Fifo) => Ok(Mode::Fifo),
            (Capacity::Bounded(_), Order::Priority) => Ok(Mode::Sorted),
            (Capacity::Rendezvous, Order::Priority) => refuse(
                "capacity 0 with priorities: at a rendezvous no message waits for another; \
                 give it a capacity of 1 or more",
            ),
            (Capacity::Unbounded { .. }, Order::Priority) => {
                refuse("unbounded with priorities: only a bounded one has them; give it a capacity")
            }
            (Capacity::Rendezvous, Order::Fifo) if self.max_deliveries != 0 => refuse(
                "capacity 0 with a limit of deliveries: its sender waits until somebody has the message; \
                 send it with a deadline",
            ),
            (Capacity::Rendezvous, Order::Fifo) => Ok(Mode::Rendezvous),
            (Capacity::Unbounded { .. }, Order::Fifo) => Ok(Mode::Unbounded),
        }
    }
}

/// Geometry words and bytes behind the header for a new mailbox.
pub(super) fn geometry(options: MailboxOptions<'_>) -> Result<([u64; 5], usize)> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    let mode = options.mode()?;
    let (capacity, most, what) = match options.capacity {
        Capacity::Rendezvous => (0, 0, "capacity 0"),
        Capacity::Bounded(0) => return refuse("bounded to 0 messages: say Capacity::Rendezvous".into()),
        Capacity::Bounded(n) if mode == Mode::Sorted => (n, MOST_SORTED as usize, "that capacity and priorities"),
        Capacity::Bounded(n) => (n, MOST_SLOTS as usize, "that capacity"),
        Capacity::Unbounded { ceiling: 0 } => {
            return refuse(format!("unbounded with a ceiling of 0 messages: 1 to {MOST_SLOTS} are possible"));
        }
        Capacity::Unbounded { ceiling } => (ceiling, MOST_SLOTS as usize, "that ceiling"),
    };
    if capacity > most {
        return refuse(format!("{capacity} messages: with {what}, the most is {most}"));
    }
    let message_size = options.message_size;
    if message_size == 0 || message_size > MOST_BYTES {
        return refuse(format!("messages of {message_size} bytes: 1 to {MOST_BYTES} are possible"));
    }
    match Layout::of(mode, capacity, message_size) {
        Some(Layout { stride, size, .. }) => {
            let modes = mode as u64 | u64::from(options.max_deliveries) << 16;
            Ok(([capacity as u64, message_size as u64, stride as u64, modes, 0], size))
        }
        None => refuse(format!("{capacity} messages of {message_size} bytes: no memory has that size")),
    }
}

impl Segment {
    /// Finds or creates a mailbox of `capacity` messages of at most `message_size` bytes, first in, first out. Capacity
    /// 0 is a rendezvous: a send returns when a receiver has the message.
    ///
    /// # Errors
    /// As [`Segment::mailbox_with`].
    pub fn mailbox(&self, name: &str, capacity: usize, message_size: usize) -> Result<Mailbox> {
        self.mailbox_with(name, MailboxOptions::new(capacity, message_size))
    }

    /// Creates a mailbox.
    ///
    /// # Errors
    /// As [`Segment::mailbox`]; `Exists`.
    pub fn create_mailbox(&self, name: &str, capacity: usize, message_size: usize) -> Result<Mailbox> {
        self.create_mailbox_with(name, MailboxOptions::new(capacity, message_size))
    }

    /// Finds or creates a mailbox as `options` say.
    ///
    /// # Errors
    /// `Invalid` for a bad name, and for what no mailbox can be; `Incompatible` if there is one with other options, or
    /// another kind of object; `NoSpace` if the segment or its directory is full.
    pub fn mailbox_with(&self, name: &str, options: MailboxOptions<'_>) -> Result<Mailbox> {
        let mailbox = self.new_mailbox(name, options, Want::Either)?;
        let there = mailbox.options();
        if there != options.type_tag("") {
            return Err(other_geometry(
                "mailbox",
                name,
                format_args!("{}", there.in_words()),
                format_args!("{}", options.in_words()),
            ));
        }
        Ok(mailbox)
    }

    /// Creates a mailbox as `options` say.
    ///
    /// # Errors
    /// As [`Segment::mailbox_with`]; `Exists`.
    pub fn create_mailbox_with(&self, name: &str, options: MailboxOptions<'_>) -> Result<Mailbox> {
        self.new_mailbox(name, options, Want::Create)
    }

    fn new_mailbox(&self, name: &str, options: MailboxOptions<'_>, want: Want) -> Result<Mailbox> {
        let (geometry, size) =
            geometry(options).map_err(|why| Error::new(why.kind(), format!("mailbox {name:?}: {why}")))?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: options.type_tag };
        attach(self.object(ObjectKind::Mailbox, name, want, Some(plan))?)
    }

    /// Opens a mailbox of whatever options.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_mailbox(&self, name: &str) -> Result<Mailbox> {
        attach(self.object(ObjectKind::Mailbox, name, Want::Open, None)?)
    }
}

impl Order {
    /// `fifo` or `priority`.
    pub fn name(self) -> &'static str {
        match self {
            Order::Fifo => "fifo",
            Order::Priority => "priority",
        }
    }
}

impl MailboxOptions<'_> {
    /// For sentences.
    fn in_words(&self) -> String {
        let capacity = match self.capacity {
            Capacity::Rendezvous => "capacity 0".to_string(),
            Capacity::Bounded(n) => format!("capacity {n}"),
            Capacity::Unbounded { ceiling } => format!("no capacity and a ceiling of {ceiling}"),
        };
        let order = if self.order == Order::Priority { ", with priorities" } else { "" };
        let deliveries = match self.max_deliveries {
            0 => String::new(),
            n => format!(", at most {n} deliveries"),
        };
        format!("{capacity} and message size {}{order}{deliveries}", self.message_size)
    }
}
