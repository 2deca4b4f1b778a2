//! Rivals that lay a queue into shared memory: ringfire (one writer, lossless, its readers registered) and
//! cloudtoid-interprocess (any number on both sides).

use crate::channel::{Channel, Rx, Spec, Tx, Wait, Waits, until};
use crate::harness::ok;
use crate::rows::{BULK, Rows, bytes};
use cloudtoid_interprocess::{Options, Publisher, Subscriber};
use ringfire::{ConsumerStartMode, FlowControl, FutexWait, RingConsumer, RingProducer, RingProducerBuilder};
use std::path::PathBuf;
use std::sync::Mutex;

/// Aligned for whole words, as a message of numbers would be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Message<const N: usize>([u8; N]);

/// ringfire's ring. The producer makes it before the fork; a consumer attaches in its process.
struct Ringfire<const N: usize> {
    producer: Mutex<Option<RingProducer<Message<N>>>>,
    path: PathBuf,
    wait: Wait,
}

impl<const N: usize> Channel for Ringfire<N> {
    type Tx = RingfireTx<N>;
    type Rx = RingfireRx<N>;
    fn make(spec: &Spec) -> Result<Self, String> {
        let path = PathBuf::from(format!("/dev/shm/{}", spec.name));
        let producer = RingProducerBuilder::new(spec.depth as u64)
            .flow_control(FlowControl::LosslessBackpressure)
            .max_readers(spec.receivers.max(2))
            .build(&path)
            .map_err(|e| e.to_string())?;
        Ok(Ringfire { producer: Mutex::new(Some(producer)), path, wait: spec.wait })
    }
    fn tx(&self, _: usize) -> RingfireTx<N> {
        let producer = self.producer.lock().ok().and_then(|mut producer| producer.take());
        RingfireTx(producer.expect("each end is taken once"), Box::new(Message([0; N])))
    }
    fn rx(&self, _: usize) -> RingfireRx<N> {
        let builder = RingConsumer::<Message<N>>::builder().start_mode(ConsumerStartMode::Oldest);
        RingfireRx(ok(builder.attach(&self.path)), self.wait, FutexWait::default())
    }
    fn waits(wait: Wait) -> Waits {
        match wait {
            Wait::Poll => Waits::Polls,
            Wait::Yield => Waits::Yields,
            Wait::Block => Waits::SpinsThenBlocks,
        }
    }
}

impl<const N: usize> Drop for Ringfire<N> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct RingfireTx<const N: usize>(RingProducer<Message<N>>, Box<Message<N>>);

impl<const N: usize> Tx for RingfireTx<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        self.1.0.copy_from_slice(message);
        self.0.push(&self.1);
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], _: usize) {
        assert!(messages.as_ptr().addr().is_multiple_of(8));
        // SAFETY: whole messages, aligned for them; any bytes are one.
        let messages = unsafe { std::slice::from_raw_parts(messages.as_ptr().cast(), messages.len() / N) };
        self.0.push_batch(messages);
    }
}

struct RingfireRx<const N: usize>(RingConsumer<Message<N>>, Wait, FutexWait);

impl<const N: usize> RingfireRx<N> {
    #[inline]
    fn some(&mut self, messages: &mut [u8]) -> usize {
        assert!(messages.as_ptr().addr().is_multiple_of(8));
        let n = messages.len() / N;
        // SAFETY: room for whole messages, aligned for them.
        let messages = unsafe { std::slice::from_raw_parts_mut(messages.as_mut_ptr().cast(), n) };
        until(self.1, || Some(self.0.recv_batch(messages)).filter(|n| *n > 0))
    }
}

impl<const N: usize> Rx for RingfireRx<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        if self.1 == Wait::Block {
            message.copy_from_slice(&self.0.recv_blocking(&mut self.2).0);
        } else {
            message.copy_from_slice(&until(self.1, || self.0.try_recv()).0);
        }
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], _: usize) -> usize {
        self.some(messages)
    }
}

/// cloudtoid's queue. Sending never waits; receiving may.
struct Cloudtoid(Options, Wait);

impl Channel for Cloudtoid {
    type Tx = CloudtoidTx;
    type Rx = CloudtoidRx;
    fn make(spec: &Spec) -> Result<Self, String> {
        // Eight bytes of header, and rounded up to eight.
        let capacity = (16 + spec.size) * spec.depth;
        Ok(Cloudtoid(Options::new(spec.name.clone(), capacity).with_path("/dev/shm"), spec.wait))
    }
    fn tx(&self, _: usize) -> CloudtoidTx {
        CloudtoidTx(ok(Publisher::open(&self.0)), self.1)
    }
    fn rx(&self, _: usize) -> CloudtoidRx {
        CloudtoidRx(ok(Subscriber::open(&self.0)), self.1)
    }
}

struct CloudtoidTx(Publisher, Wait);

impl Tx for CloudtoidTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        until(self.1, || match self.0.try_send(message) {
            Ok(()) => Some(()),
            Err(error) if error.is_full() => None,
            Err(error) => panic!("{error}"),
        });
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], size: usize) {
        let mut many: [&[u8]; 256] = [&[]; 256];
        for some in messages.chunks(size * many.len()) {
            let mut n = 0;
            for (slot, message) in many.iter_mut().zip(some.chunks_exact(size)) {
                *slot = message;
                n += 1;
            }
            let mut sent = 0;
            while sent < n {
                sent += ok(self.0.try_send_batch(&many[sent..n]));
            }
        }
    }
}

struct CloudtoidRx(Subscriber, Wait);

impl Rx for CloudtoidRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        // First without an allocation, as its manual advises.
        if let Some(size) = ok(self.0.try_recv_into(message)) {
            assert_eq!(size, message.len());
        } else if self.1 == Wait::Block {
            message.copy_from_slice(&ok(self.0.recv()));
        } else {
            until(self.1, || ok(self.0.try_recv_into(message)));
        }
    }
}

/// All rows of queues in shared memory.
pub fn rows(rows: &mut Rows) {
    rows.spinning::<Ringfire<64>>("ringfire", 64);
    rows.blocking::<Ringfire<64>>("ringfire");
    rows.one_by_one::<Ringfire<64>>("ringfire", 64, Wait::Poll);
    rows.one_by_one::<Ringfire<8>>("ringfire", 8, Wait::Poll);
    for depth in [1024, 65536] {
        rows.batches::<Ringfire<64>>("ringfire", 64, depth, Wait::Poll);
        rows.batches::<Ringfire<8>>("ringfire", 8, depth, Wait::Poll);
    }
    rows.pace::<Ringfire<64>>("ringfire");
    rows.to_all::<Ringfire<64>>("ringfire", [Wait::Poll, Wait::Block]);
    for size in BULK {
        let why = "lossless for records that go through the stack by value; its blobs may be overwritten unread";
        rows.cannot("bulk, copied", &bytes(size), "ringfire", why);
    }
    for case in ["2 × 2, 64 B", "8 × 8, 64 B"] {
        rows.cannot("contention", case, "ringfire", "its queue for several writers drops the oldest when it is full");
    }
    rows.all_of::<Cloudtoid>("cloudtoid-interprocess");
    for size in [64, 8] {
        rows.one_by_one::<Cloudtoid>("cloudtoid-interprocess, polling", size, Wait::Poll);
        for depth in [1024, 65536] {
            rows.batches::<Cloudtoid>("cloudtoid-interprocess", size, depth, Wait::Poll);
        }
    }
    rows.contest::<Cloudtoid>("cloudtoid-interprocess", [Wait::Yield; 2]);
    for size in BULK {
        rows.bulk::<Cloudtoid>("cloudtoid-interprocess", size, Wait::Poll);
    }
}
