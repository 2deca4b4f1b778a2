//! What POSIX and System V message queues have in common.

use std::time::Duration;
use triveni::kernel::{PosixQueue, SysvQueue};
use triveni::{Deadline, Result};
use triveni_tests::PATIENCE;
use triveni_tests::kernel::{End, message};

/// A queue of either kind.
pub trait Queue {
    /// Its peers: `tests/peers/kernel/PEERS.rs`.
    const PEERS: &'static str;
    fn send_until(&self, message: &[u8], until: Deadline) -> Result<()>;
    fn receive_until(&self, buffer: &mut [u8], until: Deadline) -> Result<usize>;
    fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>>;
    fn is_empty(&self) -> bool;
}

macro_rules! queues {
    ($($queue:ty: $peers:literal),*) => {$(
        impl Queue for $queue {
            const PEERS: &'static str = $peers;
            fn send_until(&self, message: &[u8], until: Deadline) -> Result<()> {
                self.send_until(message, until)
            }
            fn receive_until(&self, buffer: &mut [u8], until: Deadline) -> Result<usize> {
                self.receive_until(buffer, until)
            }
            fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
                self.try_receive(buffer)
            }
            fn is_empty(&self) -> bool {
                self.is_empty()
            }
        }
    )*};
}
queues!(PosixQueue: "posix_queue", SysvQueue: "sysv_queue");

fn late() -> Deadline {
    Deadline::after(PATIENCE)
}

fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[..8].try_into().unwrap())
}

fn told(lines: &[String]) -> Vec<u64> {
    lines.iter().map(|line| line.strip_prefix("got ").unwrap().parse().unwrap()).collect()
}

/// A sender and a receiver in each language, all at once.
pub fn storm<Q: Queue>(queue: &Q, name: &str) {
    const N: u64 = 200;
    let takers = End::ALL.map(|end| end.start(Q::PEERS, &["take", name]));
    let mut from = (0..5 * N).step_by(N as usize);
    let senders = End::ALL.map(|end| {
        let from = from.next().unwrap();
        end.start(Q::PEERS, &["send", name, &from.to_string(), &(from + N).to_string()])
    });
    senders.into_iter().for_each(|sender| drop(sender.succeeds()));
    takers.iter().for_each(|_| queue.send_until(b"", late()).unwrap()); // the end, for each of them
    let mut all: Vec<u64> = takers.into_iter().flat_map(|taker| told(&taker.succeeds())).collect();
    all.sort_unstable();
    assert_eq!(all, (0..5 * N).collect::<Vec<_>>());
    assert!(queue.is_empty());
}

/// One end of two on the same queue receives what the other has sent, or the other does itself.
pub fn one_direction(queue: &impl Queue, same: &impl Queue) {
    queue.send_until(b"to the other end", late()).unwrap();
    assert_eq!(queue.try_receive(&mut [0; 64]).unwrap(), Some(16));
    assert_eq!(same.try_receive(&mut [0; 64]).unwrap(), None);
}

/// A sender is killed while it sends.
pub fn sender_is_killed<Q: Queue>(end: End, queue: &Q, name: &str) {
    let mut sender = end.start(Q::PEERS, &["send", name, "0", "1000000000"]);
    let mut buffer = [0; 64];
    for k in 0..50 {
        let size = queue.receive_until(&mut buffer, late()).unwrap();
        assert_eq!(&buffer[..size], message(k), "{end:?}");
    }
    sender.killed();
    let mut next = 50;
    while let Some(size) = queue.try_receive(&mut buffer).unwrap() {
        assert_eq!(&buffer[..size], message(next), "{end:?}");
        next += 1;
    }
    queue.send_until(b"goes on", late()).unwrap();
}

/// A receiver is killed while it receives.
pub fn receiver_is_killed<Q: Queue>(end: End, queue: &Q, name: &str) {
    let mut taker = end.start(Q::PEERS, &["take", name]);
    (0..50).for_each(|k| queue.send_until(&message(k), late()).unwrap());
    let mut got = told(&taker.killed());
    // Output that was not written yet counts as taken, as what dies with its receiver does.
    let mut buffer = [0; 64];
    let mut left = Vec::new();
    while let Some(size) = queue.try_receive(&mut buffer).unwrap() {
        assert_eq!(&buffer[..size], message(number(&buffer[..size])), "{end:?}");
        left.push(number(&buffer[..size]));
    }
    let lost = 50 - got.len() - left.len();
    assert!(lost <= 1, "{end:?}: {got:?} and {left:?}");
    got.extend(left);
    assert!(got.is_sorted(), "{end:?}: {got:?}");
}

/// Another receiver takes most of what comes.
pub fn a_deadline_is_kept_beside_a_taker<Q: Queue>(queue: &Q, name: &str) {
    let _taker = End::PlainC.start(Q::PEERS, &["take", name]);
    let _sender = End::PlainC.start(Q::PEERS, &["send", name, "0", "1000000000"]);
    let until = Deadline::after(Duration::from_millis(100));
    while queue.receive_until(&mut [0; 64], until).is_ok() {}
    assert!(until.passed());
}
