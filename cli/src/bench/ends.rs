//! One end of each mechanism, with two verbs.
//!
//! Whatever has a name is made before the forks, and owned: it goes with the process that made it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use triveni::kernel::*;
use triveni::{Deadline, Error, ErrorKind, Result, Segment};

/// What one process has of a connection.
pub trait End {
    /// Sends a message; waits for room.
    fn send(&mut self, message: &[u8]) -> Result<()>;
    /// Receives a message; waits for it. Returns its size.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize>;
    /// As `receive`, for at most this long; for mechanisms that may lose a message.
    fn receive_within(&mut self, buffer: &mut [u8], _patience: Duration) -> Result<usize> {
        self.receive(buffer)
    }
}

/// Which of the two processes.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    /// Has the clock.
    Sender,
    Receiver,
}

/// Makes an end, in the process whose it is, after the fork. It is told the other's pid.
pub type Make = Box<dyn FnOnce(Side, u32) -> Result<Box<dyn End>>>;

fn boxed<E: End + 'static>(make: impl FnOnce(Side, u32) -> Result<E> + 'static) -> Result<Make> {
    Ok(Box::new(|side, peer| Ok(Box::new(make(side, peer)?) as Box<dyn End>)))
}

/// A name that no other process has.
fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("triveni-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// Slots of a bounded buffer, and messages of a mailbox or queue.
const DEPTH: usize = 16;

/// Takes one of two for each side: what the sender writes to, the receiver reads from.
fn crossed<T>(side: Side, [there, back]: [T; 2]) -> [T; 2] {
    if side == Side::Sender { [there, back] } else { [back, there] }
}

struct Pipes(PipeWriter, PipeReader);

impl End for Pipes {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.1.receive(buffer)
    }
}

pub fn pipes(_size: usize) -> Result<Make> {
    let (there, back) = (pipe()?, pipe()?);
    boxed(move |side, _| {
        let [to, from] = crossed(side, [there, back]);
        Ok(Pipes(to.into_writer(), from.into_reader()))
    })
}

pub fn fifos(_size: usize) -> Result<Make> {
    let make = || Fifo::create(std::env::temp_dir().join(fresh()), FifoOptions::default().owned(true));
    let (there, back) = (make()?, make()?);
    boxed(move |side, _| {
        // Both open them in the same order, or each would wait for the other.
        if side == Side::Sender {
            let to = there.writer()?;
            Ok(Pipes(to, back.reader()?))
        } else {
            let from = there.reader()?;
            Ok(Pipes(back.writer()?, from))
        }
    })
}

struct PosixQueues([PosixQueue; 2]);

impl End for PosixQueues {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0[0].send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0[1].receive(buffer)
    }
}

pub fn posix_queues(size: usize) -> Result<Make> {
    let depth = limit("/proc/sys/fs/mqueue/msg_max").unwrap_or(10).min(DEPTH);
    let make = || PosixQueueOptions::new().capacity(depth).message_size(size).owned(true).create(&fresh());
    let queues = [make()?, make()?];
    boxed(move |side, _| Ok(PosixQueues(crossed(side, queues))))
}

struct SysvQueues([SysvQueue; 2]);

impl End for SysvQueues {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0[0].send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0[1].receive(buffer)
    }
}

pub fn sysv_queues(_size: usize) -> Result<Make> {
    let make = || SysvQueueOptions::new().owned(true).create(SysvKey::PRIVATE);
    let queues = [make()?, make()?];
    boxed(move |side, _| Ok(SysvQueues(crossed(side, queues))))
}

/// Dijkstra's bounded buffer in one direction: memory, and two semaphores that count its free and its filled slots.
struct BoundedBuffer<M, S> {
    memory: M,
    semaphores: S,
    /// Where the slots of this direction begin.
    base: usize,
    slot: usize,
    next: usize,
}

/// The semaphores of one direction.
trait Counters {
    fn wait(&self, filled: bool) -> Result<()>;
    fn post(&self, filled: bool) -> Result<()>;
}

impl Counters for [PosixSemaphore; 2] {
    fn wait(&self, filled: bool) -> Result<()> {
        self[usize::from(filled)].wait()
    }
    fn post(&self, filled: bool) -> Result<()> {
        self[usize::from(filled)].post()
    }
}

/// Two of a set, from the index on.
struct OfSet(Rc<SysvSemaphores>, u16);

impl Counters for OfSet {
    fn wait(&self, filled: bool) -> Result<()> {
        self.0.wait(self.1 + u16::from(filled), 1)
    }
    fn post(&self, filled: bool) -> Result<()> {
        self.0.post(self.1 + u16::from(filled), 1)
    }
}

impl<M: Memory, S: Counters> BoundedBuffer<M, S> {
    fn turn(&mut self) -> usize {
        let at = self.base + self.next * self.slot;
        self.next = (self.next + 1) % DEPTH;
        at
    }

    fn put(&mut self, message: &[u8]) -> Result<()> {
        self.semaphores.wait(false)?;
        let at = self.turn();
        self.memory.write(at, &(message.len() as u32).to_ne_bytes())?;
        self.memory.write(at + 4, message)?;
        self.semaphores.post(true)
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.semaphores.wait(true)?;
        let at = self.turn();
        let mut size = [0; 4];
        self.memory.read(at, &mut size)?;
        let size = u32::from_ne_bytes(size) as usize;
        let message = buffer.get_mut(..size).ok_or_else(|| Error::from(ErrorKind::TooLarge))?;
        self.memory.read(at + 4, message)?;
        self.semaphores.post(false)?;
        Ok(size)
    }
}

trait Memory {
    fn read(&self, at: usize, target: &mut [u8]) -> Result<()>;
    fn write(&self, at: usize, source: &[u8]) -> Result<()>;
}

impl Memory for Rc<PosixSharedMemory> {
    fn read(&self, at: usize, target: &mut [u8]) -> Result<()> {
        self.read_at(at, target)
    }
    fn write(&self, at: usize, source: &[u8]) -> Result<()> {
        self.write_at(at, source)
    }
}

impl Memory for Rc<SysvSharedMemory> {
    fn read(&self, at: usize, target: &mut [u8]) -> Result<()> {
        self.read_at(at, target)
    }
    fn write(&self, at: usize, source: &[u8]) -> Result<()> {
        self.write_at(at, source)
    }
}

struct Buffers<M, S>([BoundedBuffer<M, S>; 2]);

impl<M: Memory, S: Counters> End for Buffers<M, S> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0[0].put(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0[1].take(buffer)
    }
}

/// Two directions in one piece of memory.
fn buffers<M: Clone, S>(memory: &M, semaphores: [S; 2], size: usize) -> [BoundedBuffer<M, S>; 2] {
    let slot = (4 + size).next_multiple_of(64);
    let [there, back] = semaphores;
    let buffer = |semaphores, base| BoundedBuffer { memory: memory.clone(), semaphores, base, slot, next: 0 };
    [buffer(there, 0), buffer(back, DEPTH * slot)]
}

fn buffers_size(size: usize) -> usize {
    2 * DEPTH * (4 + size).next_multiple_of(64)
}

pub fn posix_memory(size: usize) -> Result<Make> {
    let memory = PosixSharedMemoryOptions::new().owned(true).create(&fresh(), buffers_size(size))?;
    let semaphore = |initial| PosixSemaphoreOptions::new().owned(true).create(&fresh(), initial);
    let pair = || -> Result<_> { Ok([semaphore(DEPTH as u32)?, semaphore(0)?]) };
    let (there, back) = (pair()?, pair()?);
    boxed(move |side, _| Ok(Buffers(crossed(side, buffers(&Rc::new(memory), [there, back], size)))))
}

pub fn sysv_memory(size: usize) -> Result<Make> {
    let memory = SysvSharedMemoryOptions::new().owned(true).create(SysvKey::PRIVATE, buffers_size(size))?;
    let depth = DEPTH as u16;
    let set = SysvSemaphoresOptions::new().owned(true).create(SysvKey::PRIVATE, &[depth, 0, depth, 0])?;
    boxed(move |side, _| {
        let set = Rc::new(set);
        Ok(Buffers(crossed(side, buffers(&Rc::new(memory), [OfSet(set.clone(), 0), OfSet(set, 2)], size))))
    })
}

impl End for Stream {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Stream::send(self, message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        Stream::receive(self, buffer)
    }
}

pub fn tcp(_size: usize) -> Result<Make> {
    let listener = Listener::bind("tcp:127.0.0.1:0")?;
    let address = listener.local_address()?;
    boxed(move |side, _| {
        let stream = if side == Side::Sender { Stream::connect(address)? } else { listener.accept()? };
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

pub fn unix_stream(_size: usize) -> Result<Make> {
    let (sender, receiver) = Stream::pair()?;
    boxed(move |side, _| Ok(crossed(side, [sender, receiver]).into_iter().next().ok_or(ErrorKind::Invalid)?))
}

struct Seqpackets(Seqpacket);

impl End for Seqpackets {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.receive(buffer)
    }
}

pub fn unix_seqpacket(_size: usize) -> Result<Make> {
    let (sender, receiver) = Seqpacket::pair()?;
    boxed(move |side, _| {
        Ok(Seqpackets(crossed(side, [sender, receiver]).into_iter().next().ok_or(ErrorKind::Invalid)?))
    })
}

struct Datagrams(Datagram);

impl End for Datagrams {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.receive(buffer)
    }
    fn receive_within(&mut self, buffer: &mut [u8], patience: Duration) -> Result<usize> {
        self.0.receive_until(buffer, Deadline::after(patience))
    }
}

pub fn unix_datagram(_size: usize) -> Result<Make> {
    let (sender, receiver) = Datagram::pair()?;
    boxed(move |side, _| Ok(Datagrams(crossed(side, [sender, receiver]).into_iter().next().ok_or(ErrorKind::Invalid)?)))
}

pub fn udp(_size: usize) -> Result<Make> {
    let (sender, receiver) = (Datagram::bind("udp:127.0.0.1:0")?, Datagram::bind("udp:127.0.0.1:0")?);
    sender.set_peer(&receiver.local_address()?)?;
    receiver.set_peer(&sender.local_address()?)?;
    boxed(move |side, _| Ok(Datagrams(crossed(side, [sender, receiver]).into_iter().next().ok_or(ErrorKind::Invalid)?)))
}

/// A real-time signal, whose value is what it carries.
struct RealTimeSignals(Signals, u32);

impl End for RealTimeSignals {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let value = message.first_chunk().map_or(0, |four| i32::from_ne_bytes(*four));
        queue_signal(self.1, libc::SIGRTMIN(), value)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let value = self.0.receive()?.value.to_ne_bytes();
        buffer.get_mut(..value.len()).ok_or(ErrorKind::TooLarge)?.copy_from_slice(&value);
        Ok(value.len())
    }
}

pub fn signals(_size: usize) -> Result<Make> {
    let signals = Signals::take([libc::SIGRTMIN()])?;
    boxed(move |_, peer| Ok(RealTimeSignals(signals, peer)))
}

/// A file in which a number says whose turn it is, and somebody who looks again and again.
struct BusyFile(File, Side);

impl End for BusyFile {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let turn = if self.1 == Side::Sender { 1 } else { 2 };
        let failed = |error| Error::new(ErrorKind::Invalid, format!("write the file: {error}"));
        self.0.write_all_at(message, 8).map_err(failed)?;
        self.0.write_all_at(&[turn], 0).map_err(failed)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let turn = if self.1 == Side::Sender { 2 } else { 1 };
        let failed = |error| Error::new(ErrorKind::Invalid, format!("read the file: {error}"));
        let mut whose = [0];
        while whose != [turn] {
            std::thread::yield_now();
            self.0.read_exact_at(&mut whose, 0).map_err(failed)?;
        }
        self.0.read_at(buffer, 8).map_err(failed)
    }
}

pub fn busy_file(_size: usize) -> Result<Make> {
    let path = std::env::temp_dir().join(fresh());
    let failed = |error| Error::new(ErrorKind::Invalid, format!("make the file {path:?}: {error}"));
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?; // both have it open
    file.write_all_at(&[0; 8], 0).map_err(failed)?;
    boxed(move |side, _| Ok(BusyFile(file, side)))
}

struct Rings(triveni::Producer, triveni::Consumer);

impl End for Rings {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.write(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.1.read(buffer)
    }
}

/// As large as the segment for two of `size` has to be.
fn segment(size: usize) -> Result<Segment> {
    Segment::anonymous(2 * size + (4 << 20))
}

pub fn rings(size: usize) -> Result<Make> {
    let room = (DEPTH * size).max(1 << 18).next_power_of_two();
    let segment = segment(room)?;
    let rings = [segment.create_ring("there", room)?, segment.create_ring("back", room)?];
    boxed(move |side, _| {
        let [to, from] = crossed(side, rings);
        Ok(Rings(to.producer()?, from.consumer()?))
    })
}

struct Mailboxes([triveni::Mailbox; 2]);

impl End for Mailboxes {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0[0].send(message)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0[1].receive(buffer).map(|received| received.size)
    }
}

pub fn mailboxes(size: usize) -> Result<Make> {
    let segment = segment(2 * DEPTH * (size + 4096))?;
    let boxes = [segment.create_mailbox("there", DEPTH, size)?, segment.create_mailbox("back", DEPTH, size)?];
    boxed(move |side, _| Ok(Mailboxes(crossed(side, boxes))))
}

/// A number from a file below /proc/sys.
pub fn limit(file: &str) -> Option<usize> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
