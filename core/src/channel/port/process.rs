//! Direct communication: messages to and from processes by name, without naming a channel.
//!
//! # State
//!
//! A process that takes a name has the right to receive from a port of that name; each of its messages says which port
//! is its sender's. So `receive_from` picks the messages of one partner out of the one queue, and leaves the others
//! where they are. A partner's port is made by whoever names it first: what is sent before the partner starts waits for
//! it there.

use super::letter::{Delivery, Enclosure};
use super::life::Receiver;
use super::memory::index_and_generation;
use super::{KIND_OF_PORT, Patience, Port, PortOptions, attach, memory};
use crate::prim::Ordering::Relaxed;
use crate::segment::directory::{Plan, Want};
use crate::{Deadline, Error, ErrorKind, Result, Segment, name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, TryLockError};

/// In front of the name of a process: the name of its port.
const PREFIX: &str = "process ";

fn check(name: &str) -> Result<&str> {
    name::check_up_to(name::NAME_MAX - PREFIX.len(), "process", name)
}

/// A process under its name, for direct communication.
///
/// *Symmetric*: both name each other, [`send`](Process::send) and [`receive_from`](Process::receive_from). *Asymmetric*:
/// only the sender names the receiver, and [`receive`](Process::receive) says who it was. Either way a partner that died
/// is `PeerDead`, and one that has not started yet is waited for. Whoever starts anew under the name of the dead goes on
/// with what that one has not received.
///
/// The messages of one sender keep their order. Dropping the last handle gives the name up.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// # use triveni::Deadline;
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let (producer, consumer) = (segment.process("producer")?, segment.process("consumer")?);
/// producer.send("consumer", b"tea", Deadline::never())?;
/// let mut buffer = [0; 1024];
/// let (sender, delivery) = consumer.receive(&mut buffer, Deadline::never())?;
/// assert_eq!((sender.as_str(), &buffer[..delivery.size]), ("producer", &b"tea"[..]));
/// # Ok(()) }
/// ```
pub struct Process {
    port: Port,
    options: PortOptions,
    /// Rights to send to partners, by name.
    partners: Mutex<HashMap<String, Port>>,
}

impl Segment {
    /// Takes a name for this process, with a port of the usual geometry: 8 messages of up to 1024 bytes.
    ///
    /// # Errors
    /// As [`Segment::process_with`].
    pub fn process(&self, name: &str) -> Result<Process> {
        self.process_with(name, PortOptions::default())
    }

    /// Takes a name for this process. The geometry is that of ports which it is the first to name, its own and its
    /// partners'.
    ///
    /// # Errors
    /// `Busy` if a live process has the name; `Invalid` for a bad name, or one of more than 55 bytes; `NoSpace`.
    pub fn process_with(&self, name: &str, options: PortOptions) -> Result<Process> {
        check(name)?;
        let (object, memory) = self.any_port(&format!("{PREFIX}{name}"), options, Want::Either)?;
        let port = match Port::receiver(object, memory) {
            Err(error) if error.kind() == ErrorKind::Busy => return Err(taken(name, &error)),
            port => port?,
        };
        Ok(Process { port, options, partners: Mutex::new(HashMap::new()) })
    }
}

impl Process {
    /// Its name.
    pub fn name(&self) -> &str {
        self.port.name().strip_prefix(PREFIX).unwrap_or_default()
    }

    /// The port it receives from: to wait for in a [`WaitSet`](crate::WaitSet), or to receive notifications on.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// The largest message it can receive.
    pub fn message_size(&self) -> usize {
        self.port.message_size()
    }

    /// Sends a message to the process `to`; waits for room until the deadline.
    ///
    /// # Errors
    /// `PeerDead` if that process died or gave its name up; otherwise as [`Port::send`] and [`Segment::process`].
    pub fn send(&self, to: &str, message: &[u8], deadline: Deadline) -> Result<()> {
        let partner = self.partner(to)?;
        partner.send_letter(message, &Enclosure { from: self.port.id(), ..Enclosure::default() }, deadline)
    }

    /// Receives the oldest message from anybody; waits until the deadline. Says who sent it: empty if that was no
    /// process under a name.
    ///
    /// # Errors
    /// As [`Port::receive`].
    pub fn receive(&self, buffer: &mut [u8], deadline: Deadline) -> Result<(String, Delivery)> {
        let delivery = self.port.receive_until(buffer, deadline)?;
        let (index, generation) = index_and_generation(delivery.from);
        let port = match delivery.from {
            0 => None,
            _ => self.port.object().neighbour_name(index, generation),
        };
        Ok((port.and_then(|port| Some(port.strip_prefix(PREFIX)?.to_string())).unwrap_or_default(), delivery))
    }

    /// Receives the oldest message from the process `from`, and leaves the others where they are; waits until the
    /// deadline.
    ///
    /// # Errors
    /// As [`Port::receive`]; `PeerDead` if there is no message from that process, and it died or gave its name up.
    pub fn receive_from(&self, from: &str, buffer: &mut [u8], deadline: Deadline) -> Result<Delivery> {
        let (partner, patience) = (self.partner(from)?, Patience::from_now());
        let (id, memory) = (partner.id(), self.port.right.memory);
        let fits = |place: u32| memory.envelope(place).from.load(Relaxed) == id;
        self.port.receive_if(buffer, deadline, fits, || {
            let receiver = partner.life(patience.is_over()).receiver(&partner.right.memory);
            // Looked at again: it may have sent its last word in between.
            if receiver != Receiver::Dead || memory.places().oldest(fits) != Ok(None) {
                return Ok(());
            }
            let why =
                format!("receive from process {from:?}: it died, or gave its name up, and there is no message from it");
            Err(Error::new(ErrorKind::PeerDead, why))
        })
    }

    /// A right to send to a process.
    fn partner(&self, name: &str) -> Result<Port> {
        check(name)?;
        let known = self.known(|partners| partners.get(name).cloned()).flatten();
        if let Some(port) = known.filter(|port| port.is_good()) {
            return Ok(port);
        }
        let PortOptions { capacity, message_size, rights } = self.options;
        let (geometry, size) = memory::geometry(capacity, message_size, rights)?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: "" };
        let object = self.port.object().another(KIND_OF_PORT, &format!("{PREFIX}{name}"), Want::Either, Some(plan))?;
        let memory = attach(&object)?;
        let port = Port::sender(object, memory, super::Right::Send)?;
        self.known(|partners| partners.insert(name.to_string(), port.clone()));
        Ok(port)
    }

    /// Never waits: after a fork another thread may have held the lock for ever.
    fn known<R>(&self, f: impl FnOnce(&mut HashMap<String, Port>) -> R) -> Option<R> {
        match self.partners.try_lock() {
            Ok(mut partners) => Some(f(&mut partners)),
            Err(TryLockError::Poisoned(poisoned)) => Some(f(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({:?})", self.name())
    }
}

#[cold]
fn taken(name: &str, error: &Error) -> Error {
    let why = format!("process name {name:?} is taken; wait until its process ends, or choose another name ({error})");
    Error::new(ErrorKind::Busy, why)
}
