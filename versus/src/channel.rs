//! What is compared: one-way channels for messages of one size, behind one trait.

use std::fmt;

/// What a call does when it cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Ask again at once, for as long as it takes.
    Poll,
    /// Give the CPU away, and ask again: where there are more processes than CPUs.
    Yield,
    /// The blocking call of the library.
    Block,
}

/// Asks until there is an answer.
#[inline(always)]
pub fn until<T>(wait: Wait, mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if wait == Wait::Yield {
            // SAFETY: no arguments, no memory.
            unsafe { libc::sched_yield() };
        }
    }
}

/// What a channel is made for.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Bytes of a message.
    pub size: usize,
    /// Messages that can be under way.
    pub depth: usize,
    /// How both ends wait.
    pub wait: Wait,
    /// So many senders.
    pub senders: usize,
    /// So many receivers.
    pub receivers: usize,
    /// Each receiver gets every message, instead of each message one receiver.
    pub to_all: bool,
    /// Tells the channels of one team apart.
    pub name: String,
}

/// How a row waits, in words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Never sleeps, never calls the kernel to wait.
    Polls,
    /// Polls, and gives its CPU away between two looks.
    Yields,
    /// Sleeps in the kernel.
    Blocks,
    /// Polls for a while, then sleeps.
    SpinsThenBlocks,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waits::Polls => "polls",
            Waits::Yields => "polls, yields",
            Waits::Blocks => "blocks",
            Waits::SpinsThenBlocks => "spins, then blocks",
        })
    }
}

/// A channel as its processes share it: made before the fork.
pub trait Channel: Sized + Sync {
    /// The sending end; made and dropped in its process.
    type Tx: Tx;
    /// The receiving end; made and dropped in its process.
    type Rx: Rx;
    /// Its members are threads of one process: it cannot do otherwise.
    const THREADS: bool = false;
    /// Each receiver has a queue of its own, and a sender goes round them.
    const MESH: bool = false;
    /// What becomes of a message's bytes when it is sent and received with buffers.
    const COPIES: &'static str = "in and out";

    /// What it cannot do is told as the reason.
    fn make(spec: &Spec) -> Result<Self, String>;
    /// The end of sender `index`.
    fn tx(&self, index: usize) -> Self::Tx;
    /// The end of receiver `index`.
    fn rx(&self, index: usize) -> Self::Rx;
    /// The depth it really has.
    fn depth(spec: &Spec) -> String {
        spec.depth.to_string()
    }
    /// How it waits when asked to wait so.
    fn waits(wait: Wait) -> Waits {
        match wait {
            Wait::Poll => Waits::Polls,
            Wait::Yield => Waits::Yields,
            Wait::Block => Waits::Blocks,
        }
    }
}

/// A sending end.
pub trait Tx {
    /// Sends; waits for room.
    fn send(&mut self, message: &[u8]);
    /// Sends messages of `size` bytes that lie one behind the other; waits for room.
    #[inline]
    fn send_many(&mut self, messages: &[u8], size: usize) {
        for message in messages.chunks_exact(size) {
            self.send(message);
        }
    }
}

/// A receiving end.
pub trait Rx {
    /// Receives one; waits for it.
    fn receive(&mut self, message: &mut [u8]);
    /// Receives at least one, and as many as are there and fit; says how many.
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], size: usize) -> usize {
        self.receive(&mut messages[..size]);
        1
    }
}

/// A channel whose messages can be written and read where they lie.
pub trait InPlace: Channel<Tx: TxInPlace, Rx: RxInPlace> {}
impl<C: Channel<Tx: TxInPlace, Rx: RxInPlace>> InPlace for C {}

/// A sending end that lends room.
pub trait TxInPlace: Tx {
    /// Waits for room for `size` bytes, has it written, and sends it.
    fn send_in_place(&mut self, size: usize, write: impl FnMut(*mut u8));
}

/// A receiving end that lends messages.
pub trait RxInPlace: Rx {
    /// Waits for a message, has it read, and gives its room back.
    fn receive_in_place(&mut self, size: usize, read: impl FnOnce(*const u8));
}

/// A message's number, in its first eight bytes.
#[inline(always)]
pub fn number(message: &[u8]) -> u64 {
    message.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// Writes a message's number.
#[inline(always)]
pub fn stamp(message: &mut [u8], number: u64) {
    if let Some(first) = message.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
}

/// Fills what lies behind the number, so that a torn message is seen.
pub fn fill(message: &mut [u8], number: u64) {
    stamp(message, number);
    for (i, byte) in message.iter_mut().enumerate().skip(8) {
        *byte = (number as u8).wrapping_mul(31).wrapping_add(i as u8);
    }
}

/// Is it what [`fill`] has made?
pub fn is_whole(message: &[u8]) -> bool {
    let of = number(message) as u8;
    message.iter().enumerate().skip(8).all(|(i, byte)| *byte == of.wrapping_mul(31).wrapping_add(i as u8))
}
