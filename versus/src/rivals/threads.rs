//! Rivals between the threads of one process: what may be reached where nobody has to fear for a shared memory.
//! None of them has a blocking call, except crossbeam's channel.

use crate::channel::{Channel, Rx, Spec, Tx, Wait, until};
use crate::rows::Rows;
use crossbeam_queue::ArrayQueue;
use disruptor::{EventPoller, Polling, Producer as _, SingleConsumerBarrier, SingleProducer};
use std::sync::{Arc, Mutex};

/// Ends that are made together, and taken once each.
struct Ends<T, R> {
    tx: Mutex<Vec<T>>,
    rx: Mutex<Vec<R>>,
    wait: Wait,
}

fn take<T>(ends: &Mutex<Vec<T>>) -> T {
    ends.lock().ok().and_then(|mut ends| ends.pop()).expect("each end is taken once")
}

fn sized<const N: usize>(message: &[u8]) -> [u8; N] {
    *message.first_chunk().expect("the channel is for messages of this size")
}

/// rtrb: one producer, one consumer.
struct Rtrb<const N: usize>(Ends<rtrb::Producer<[u8; N]>, rtrb::Consumer<[u8; N]>>);

impl<const N: usize> Channel for Rtrb<N> {
    type Tx = RtrbTx<N>;
    type Rx = RtrbRx<N>;
    const THREADS: bool = true;
    fn make(spec: &Spec) -> Result<Self, String> {
        let (tx, rx) = rtrb::RingBuffer::new(spec.depth);
        Ok(Rtrb(Ends { tx: Mutex::new(vec![tx]), rx: Mutex::new(vec![rx]), wait: spec.wait }))
    }
    fn tx(&self, _: usize) -> RtrbTx<N> {
        RtrbTx(take(&self.0.tx), self.0.wait)
    }
    fn rx(&self, _: usize) -> RtrbRx<N> {
        RtrbRx(take(&self.0.rx), self.0.wait)
    }
}

struct RtrbTx<const N: usize>(rtrb::Producer<[u8; N]>, Wait);

impl<const N: usize> Tx for RtrbTx<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let message = sized(message);
        until(self.1, || self.0.push(message).ok());
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], _: usize) {
        let mut rest = messages.as_chunks::<N>().0;
        while !rest.is_empty() {
            let (_, left) = self.0.push_partial_slice(rest);
            rest = left;
        }
    }
}

struct RtrbRx<const N: usize>(rtrb::Consumer<[u8; N]>, Wait);

impl<const N: usize> Rx for RtrbRx<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        message.copy_from_slice(&until(self.1, || self.0.pop().ok()));
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], _: usize) -> usize {
        let messages = messages.as_chunks_mut::<N>().0;
        loop {
            let (got, _) = self.0.pop_partial_slice(messages);
            if !got.is_empty() {
                return got.len();
            }
        }
    }
}

/// crossbeam's bounded queue: any number on both sides.
struct Queue<const N: usize>(Arc<ArrayQueue<[u8; N]>>, Wait);

impl<const N: usize> Channel for Queue<N> {
    type Tx = Queue<N>;
    type Rx = Queue<N>;
    const THREADS: bool = true;
    fn make(spec: &Spec) -> Result<Self, String> {
        Ok(Queue(Arc::new(ArrayQueue::new(spec.depth)), spec.wait))
    }
    fn tx(&self, _: usize) -> Queue<N> {
        Queue(self.0.clone(), self.1)
    }
    fn rx(&self, _: usize) -> Queue<N> {
        Queue(self.0.clone(), self.1)
    }
}

impl<const N: usize> Tx for Queue<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let message = sized(message);
        until(self.1, || self.0.push(message).ok());
    }
}

impl<const N: usize> Rx for Queue<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        message.copy_from_slice(&until(self.1, || self.0.pop()));
    }
}

type Sender<const N: usize> = crossbeam_channel::Sender<[u8; N]>;
type Receiver<const N: usize> = crossbeam_channel::Receiver<[u8; N]>;

/// crossbeam's bounded channel: it can sleep.
struct Bounded<const N: usize>(Sender<N>, Receiver<N>, Wait);

impl<const N: usize> Channel for Bounded<N> {
    type Tx = BoundedTx<N>;
    type Rx = BoundedRx<N>;
    const THREADS: bool = true;
    fn make(spec: &Spec) -> Result<Self, String> {
        let (tx, rx) = crossbeam_channel::bounded(spec.depth);
        Ok(Bounded(tx, rx, spec.wait))
    }
    fn tx(&self, _: usize) -> BoundedTx<N> {
        BoundedTx(self.0.clone(), self.2)
    }
    fn rx(&self, _: usize) -> BoundedRx<N> {
        BoundedRx(self.1.clone(), self.2)
    }
    fn waits(wait: Wait) -> crate::channel::Waits {
        match wait {
            Wait::Block => crate::channel::Waits::SpinsThenBlocks,
            Wait::Poll => crate::channel::Waits::Polls,
            Wait::Yield => crate::channel::Waits::Yields,
        }
    }
}

struct BoundedTx<const N: usize>(Sender<N>, Wait);

impl<const N: usize> Tx for BoundedTx<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let message = sized(message);
        match self.1 {
            Wait::Block => self.0.send(message).expect("the receiver is there"),
            wait => until(wait, || self.0.try_send(message).ok()),
        }
    }
}

struct BoundedRx<const N: usize>(Receiver<N>, Wait);

impl<const N: usize> Rx for BoundedRx<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let got = match self.1 {
            Wait::Block => self.0.recv().expect("the sender is there"),
            wait => until(wait, || self.0.try_recv().ok()),
        };
        message.copy_from_slice(&got);
    }
}

type Poller<const N: usize> = EventPoller<[u8; N], disruptor::SingleProducerBarrier>;
type Publisher<const N: usize, B> = SingleProducer<[u8; N], B>;
type ToOne<const N: usize> = Publisher<N, SingleConsumerBarrier>;
type ToMany<const N: usize> = Publisher<N, disruptor::MultiConsumerBarrier>;

/// The disruptor: one producer; each poller gets everything.
enum DisruptorTx<const N: usize> {
    One(ToOne<N>),
    Many(ToMany<N>),
}

struct Disruptor<const N: usize>(Ends<DisruptorTx<N>, Poller<N>>);

impl<const N: usize> Channel for Disruptor<N> {
    type Tx = DisruptorTx<N>;
    type Rx = DisruptorRx<N>;
    const THREADS: bool = true;
    const COPIES: &'static str = "in; read in place, then out";
    fn make(spec: &Spec) -> Result<Self, String> {
        let builder = disruptor::build_single_producer(spec.depth, || [0; N], disruptor::BusySpin);
        let (poller, builder) = builder.new_event_poller();
        let mut pollers = vec![poller];
        let tx = if spec.receivers == 1 {
            DisruptorTx::One(builder.build())
        } else {
            let (poller, mut builder) = builder.new_event_poller();
            pollers.push(poller);
            while pollers.len() < spec.receivers {
                let (poller, more) = builder.new_event_poller();
                pollers.push(poller);
                builder = more;
            }
            DisruptorTx::Many(builder.build())
        };
        Ok(Disruptor(Ends { tx: Mutex::new(vec![tx]), rx: Mutex::new(pollers), wait: spec.wait }))
    }
    fn tx(&self, _: usize) -> DisruptorTx<N> {
        take(&self.0.tx)
    }
    fn rx(&self, _: usize) -> DisruptorRx<N> {
        DisruptorRx(take(&self.0.rx), self.0.wait)
    }
}

impl<const N: usize> Tx for DisruptorTx<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let message = sized(message);
        match self {
            DisruptorTx::One(tx) => drop(tx.publish(|event| *event = message)),
            DisruptorTx::Many(tx) => drop(tx.publish(|event| *event = message)),
        }
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], _: usize) {
        let from = messages.as_chunks::<N>().0;
        let put = |(to, from): (&mut [u8; N], &[u8; N])| *to = *from;
        match self {
            DisruptorTx::One(tx) => tx.batch_publish(from.len(), |to| to.zip(from).for_each(put)),
            DisruptorTx::Many(tx) => tx.batch_publish(from.len(), |to| to.zip(from).for_each(put)),
        }
    }
}

struct DisruptorRx<const N: usize>(Poller<N>, Wait);

impl<const N: usize> DisruptorRx<N> {
    #[inline]
    fn some(&mut self, messages: &mut [[u8; N]]) -> usize {
        loop {
            match self.0.take(messages.len() as u64) {
                Ok(mut events) => {
                    let mut n = 0;
                    for (to, from) in messages.iter_mut().zip(&mut events) {
                        *to = *from;
                        n += 1;
                    }
                    return n;
                }
                Err(Polling::NoEvents) if self.1 == Wait::Yield => std::thread::yield_now(),
                Err(Polling::NoEvents) => {}
                Err(Polling::Shutdown) => panic!("the disruptor was shut down"),
            }
        }
    }
}

impl<const N: usize> Rx for DisruptorRx<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let n = self.some(message.as_chunks_mut::<N>().0);
        assert_eq!(n, 1);
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], _: usize) -> usize {
        self.some(messages.as_chunks_mut::<N>().0)
    }
}

/// All rows between threads.
pub fn rows(rows: &mut Rows) {
    rows.spinning::<Rtrb<64>>("rtrb", 64);
    rows.spinning::<Queue<64>>("crossbeam ArrayQueue", 64);
    rows.spinning::<Bounded<64>>("crossbeam channel", 64);
    rows.spinning::<Disruptor<64>>("disruptor", 64);
    rows.blocking::<Bounded<64>>("crossbeam channel");
    rows.pace::<Bounded<64>>("crossbeam channel");
    rows.one_by_one::<Rtrb<64>>("rtrb", 64, Wait::Poll);
    rows.one_by_one::<Rtrb<8>>("rtrb", 8, Wait::Poll);
    rows.one_by_one::<Queue<64>>("crossbeam ArrayQueue", 64, Wait::Poll);
    rows.one_by_one::<Queue<8>>("crossbeam ArrayQueue", 8, Wait::Poll);
    rows.one_by_one::<Bounded<64>>("crossbeam channel", 64, Wait::Block);
    rows.one_by_one::<Bounded<8>>("crossbeam channel", 8, Wait::Block);
    rows.one_by_one::<Disruptor<64>>("disruptor", 64, Wait::Poll);
    rows.one_by_one::<Disruptor<8>>("disruptor", 8, Wait::Poll);
    for depth in [1024, 65536] {
        rows.batches::<Rtrb<64>>("rtrb", 64, depth, Wait::Poll);
        rows.batches::<Rtrb<8>>("rtrb", 8, depth, Wait::Poll);
        rows.batches::<Disruptor<64>>("disruptor", 64, depth, Wait::Poll);
        rows.batches::<Disruptor<8>>("disruptor", 8, depth, Wait::Poll);
    }
    rows.contest::<Queue<64>>("crossbeam ArrayQueue", [Wait::Yield; 2]);
    rows.contest::<Bounded<64>>("crossbeam channel", [Wait::Block; 2]);
    rows.to_all::<Disruptor<64>>("disruptor", [Wait::Poll, Wait::Yield]);
    for table in ["gaps", "asleep"] {
        for name in ["rtrb", "crossbeam ArrayQueue", "disruptor"] {
            rows.cannot(table, "64 B", name, "has no blocking call");
        }
    }
}
