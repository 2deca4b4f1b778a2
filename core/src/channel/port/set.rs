//! A set of ports: receive from whichever has a message.

use super::letter::Delivery;
use super::rights::Right;
use super::{IN_A_SET, Port};
use crate::prim::Ordering::Relaxed;
use crate::{Deadline, Error, ErrorKind, Interest, Result, Token, WaitSet};
use std::sync::Arc;

/// A set of ports, to receive from any of them.
///
/// The members take turns: one that always has a message does not keep the others waiting. As in Mach, a port that is
/// in a set is received from through the set only (`Busy`), and is in one set at a time. The set is this process's; in a
/// forked child every call says `Forked`.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let (orders, complaints) = (segment.port("orders")?, segment.port("complaints")?);
/// let mut set = triveni::PortSet::new()?;
/// set.add(&orders)?;
/// set.add(&complaints)?;
/// segment.open_port("complaints")?.send(b"cold tea")?;
/// let mut buffer = [0; 1024];
/// let (port, delivery) = set.receive(&mut buffer)?;
/// assert_eq!((port.name(), &buffer[..delivery.size]), ("complaints", &b"cold tea"[..]));
/// # Ok(()) }
/// ```
pub struct PortSet {
    set: WaitSet,
    members: Vec<(Token, Port)>,
    /// Whose turn it is.
    next: usize,
}

impl PortSet {
    /// An empty set.
    ///
    /// # Errors
    /// As [`WaitSet::new`].
    pub fn new() -> Result<PortSet> {
        Ok(PortSet { set: WaitSet::new()?, members: Vec::new(), next: 0 })
    }

    /// Adds a port.
    ///
    /// # Errors
    /// `NotOwner` unless this is a right to receive that this process has; `Busy` if it is in a set already; `NoSpace`
    /// for more members than a [`WaitSet`] takes; `Forked`.
    pub fn add(&mut self, port: &Port) -> Result<()> {
        port.entitled(&[Right::Receive], "add to a port set")?;
        if port.right.flags.fetch_or(IN_A_SET, Relaxed) & IN_A_SET != 0 {
            let why = format!("port {:?} is in a port set already; take it out of that first", port.object().address());
            return Err(Error::new(ErrorKind::Busy, why));
        }
        match self.set.add(port, Interest::Receive) {
            Ok(token) => {
                self.members.push((token, port.clone()));
                Ok(())
            }
            Err(error) => {
                port.right.flags.fetch_and(!IN_A_SET, Relaxed);
                Err(error)
            }
        }
    }

    /// Takes a port out.
    ///
    /// # Errors
    /// `NotFound` if it is not in the set; `Forked`.
    pub fn remove(&mut self, port: &Port) -> Result<()> {
        let Some(at) = self.members.iter().position(|(_, member)| Arc::ptr_eq(&member.right, &port.right)) else {
            let why = format!("port {:?} is not in this set", port.object().address());
            return Err(Error::new(ErrorKind::NotFound, why));
        };
        self.set.remove(self.members[at].0)?;
        let (_, member) = self.members.remove(at);
        member.right.flags.fetch_and(!IN_A_SET, Relaxed);
        Ok(())
    }

    /// How many ports are in it?
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The largest message that a member may have, in bytes.
    pub fn message_size(&self) -> usize {
        self.members.iter().map(|(_, port)| port.message_size()).max().unwrap_or(0)
    }

    /// Receives from any of the ports into `buffer`, which must hold [`PortSet::message_size`] bytes; waits for ever.
    /// Says from which.
    ///
    /// # Errors
    /// As [`Port::receive`], for the member it concerns, which is to be taken out; `Invalid` for an empty set.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<(Port, Delivery)> {
        self.receive_until(buffer, Deadline::never())
    }

    /// Receives if a member has a message.
    pub fn try_receive(&mut self, buffer: &mut [u8]) -> Result<Option<(Port, Delivery)>> {
        let n = self.members.len();
        for i in 0..n {
            let at = (self.next + i) % n;
            let Some((_, port)) = self.members.get(at) else { break };
            if let Some(delivery) = port.try_receive_any(buffer)? {
                let port = port.clone();
                self.next = at + 1;
                return Ok(Some((port, delivery)));
            }
        }
        Ok(None)
    }

    /// Receives; waits until the deadline.
    pub fn receive_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<(Port, Delivery)> {
        let mut ready = Vec::new();
        loop {
            if let Some(found) = self.try_receive(buffer)? {
                return Ok(found);
            }
            self.set.wait_into(&mut ready, deadline)?;
        }
    }
}

impl Drop for PortSet {
    fn drop(&mut self) {
        for (_, port) in &self.members {
            port.right.flags.fetch_and(!IN_A_SET, Relaxed);
        }
    }
}
