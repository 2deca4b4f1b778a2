//! Does a right still exist? What a death, or the loss of a message, did to the rights of a port.

use super::KIND_OF_PORT;
use super::memory::{Memory, index_and_generation, port_id};
use super::places::{Places, State};
use super::rights::{Right, Rights, Seen, Where};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::segment::object::Object;
use crate::wait::World;

/// How far the way of a right that is in a message, in a port whose own right to receive is in a message, and so on, is
/// followed. What is further, or goes round in a circle, is lost: nobody can receive it.
pub(super) const DEPTH: u32 = 8;

/// Who can be reached through the object of one port: the processes, and the neighbours in the same segment.
#[derive(Clone, Copy)]
pub(super) struct Life<'a> {
    pub object: &'a Object,
    /// Also ask the kernel who is dead: a system call for each.
    pub ask: bool,
}

/// Whom [`follow`] asks.
pub(super) trait Ports {
    /// A port.
    type Port: Parts;
    /// Is the process in this slot dead, as far as one asks?
    fn is_dead(&self, slot: u32) -> bool;
    /// Ask at all? Otherwise a message is taken to be there.
    fn asks(&self) -> bool;
    /// Another port, for a look.
    fn neighbour(&self, port: u64) -> Option<Self::Port>;
}

/// A port as far as the way of a right goes.
pub(super) trait Parts {
    /// The rights to it.
    fn rights(&self) -> Rights<'_>;
    /// Its queue.
    fn places(&self) -> Places<'_>;
}

impl Parts for Memory {
    fn rights(&self) -> Rights<'_> {
        Memory::rights(self)
    }
    fn places(&self) -> Places<'_> {
        Memory::places(self)
    }
}

impl Ports for Life<'_> {
    type Port = Memory;
    fn is_dead(&self, slot: u32) -> bool {
        self.ask && self.object.is_dead(slot)
    }
    fn asks(&self) -> bool {
        self.ask
    }
    fn neighbour(&self, port: u64) -> Option<Memory> {
        Life::neighbour(self, port)
    }
}

/// Is the right in record `index` of `port` somebody's? Also what the answer is based on.
pub(super) fn follow<P: Ports>(ports: &P, port: &P::Port, index: u32, depth: u32) -> (Seen, bool) {
    let mut seen = port.rights().look(index);
    // Each time after the first means that somebody changed it: as often as others get something done, or write
    // garbage.
    for _ in 0..16 {
        let lives = match seen.place {
            Where::Nowhere => false,
            Where::Held(slot) | Where::Giving(slot) => !ports.is_dead(slot),
            Where::Taking(slot) if !ports.is_dead(slot) => true,
            // Without asking, a message is taken to be there.
            Where::Moving | Where::Taking(_) => !ports.asks() || is_carried(ports, port, index, depth),
        };
        let now = port.rights().look(index);
        // A message that is gone may have been received while we looked for it, and the right with it.
        if lives || now.word == seen.word {
            return (seen, lives);
        }
        seen = now;
    }
    (seen, true)
}

fn is_carried<P: Ports>(ports: &P, port: &P::Port, index: u32, depth: u32) -> bool {
    let Some(carrier) = port.rights().carrier(index).filter(|_| depth > 0) else { return false };
    let Some(port) = ports.neighbour(carrier.port) else { return false };
    let (receiver, lives) = follow(ports, &port, 0, depth - 1);
    // Looked at last: who took the message out was a receiver that lived.
    match port.places().carried(carrier.place, carrier.stamp) {
        None => false,
        Some(State::Writing(sender)) if ports.is_dead(sender) => false,
        Some(_) => lives || receiver.word == 0,
    }
}

/// What became of the right to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// Nobody has had it yet: messages wait for who will.
    Unborn,
    /// The process in this slot has it, or is getting it.
    Slot(u32),
    /// It is in a message.
    Moving,
    /// It died, or was given up.
    Dead,
}

impl Life<'_> {
    /// Another port, for a look.
    pub fn neighbour(&self, port: u64) -> Option<Memory> {
        let (index, generation) = index_and_generation(port);
        self.object.neighbour(KIND_OF_PORT, index, generation).and_then(|view| Memory::of(view).ok())
    }

    /// Is the right in record `index` of `memory` somebody's? Also what the answer is based on.
    pub fn right(&self, memory: &Memory, index: u32) -> (Seen, bool) {
        follow(self, memory, index, DEPTH)
    }

    /// What became of the right to receive, and what the answer is based on.
    pub fn look_receiver(&self, memory: &Memory) -> (Seen, Receiver) {
        let (seen, lives) = self.right(memory, 0);
        let what = match seen.place {
            _ if seen.word == 0 => Receiver::Unborn,
            _ if !lives => Receiver::Dead,
            Where::Held(slot) | Where::Giving(slot) | Where::Taking(slot) => Receiver::Slot(slot),
            Where::Moving => Receiver::Moving,
            Where::Nowhere => Receiver::Dead,
        };
        (seen, what)
    }

    /// What became of the right to receive from the port of this handle; if it is lost, ends it.
    pub fn receiver(&self, memory: &Memory) -> Receiver {
        let (seen, what) = self.look_receiver(memory);
        // If it fails, somebody else ended it, or took the port over; the next look tells.
        if what == Receiver::Dead && memory.rights().end(0, seen) {
            self.changed(memory);
        }
        what
    }

    /// Has anybody a right to send?
    pub fn has_senders(&self, memory: &Memory) -> bool {
        let sends = |seen: &Seen| seen.kind == Some(Right::Send) && seen.place != Where::Nowhere;
        memory.rights().each().any(|(index, seen)| sends(&seen) && self.right(memory, index).1)
    }

    /// Ends the rights to send that died; true if there was one.
    pub fn bury_senders(&self, memory: &Memory) -> bool {
        let mut any = false;
        for (index, seen) in memory.rights().each().skip(1) {
            if seen.place != Where::Nowhere {
                let (seen, lives) = self.right(memory, index);
                any |= !lives && memory.rights().end(index, seen);
            }
        }
        any
    }

    /// A right has ended or gone over, or a pending message was taken: wakes those to whom it matters.
    pub fn changed(&self, memory: &Memory) {
        memory.ring();
        for watcher in &memory.control().watchers {
            self.wake(watcher);
        }
    }

    fn wake(&self, watcher: &AtomicU64) {
        // Relaxed: whoever has asked rings, too, behind his wish.
        let port = watcher.load(Relaxed);
        if port == 0 {
            return;
        }
        let (index, generation) = index_and_generation(port);
        // With a handle on it: what is only looked at may become another object's memory, and this stores there. If it
        // cannot be had now, it finds out by itself at the end of a slice.
        match self.object.sibling(KIND_OF_PORT, index, generation) {
            Ok(Some(object)) => {
                if let Ok(memory) = Memory::of(object.view()) {
                    memory.control().rx.0.ring();
                }
            }
            // Relaxed: the exchange decides.
            Ok(None) => drop(watcher.compare_exchange(port, 0, Relaxed, Relaxed)),
            Err(_) => {}
        }
    }

    /// The number of the port itself.
    pub fn id(&self) -> u64 {
        let key = self.object.key();
        port_id(key.index, key.generation)
    }
}
