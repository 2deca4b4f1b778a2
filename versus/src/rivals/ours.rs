//! triveni's channels. An anonymous segment for each, inherited by both processes; roles are taken in the process.

use crate::channel::{Channel, Rx, RxInPlace, Spec, Tx, TxInPlace, Wait, Waits, until};
use crate::harness::ok;
use crate::measure::latency::{Mode, Wire};
use crate::rows::{BULK, Rows};
use serde_json::json;
use triveni::{
    Consumer, Mailbox, Producer, Publisher, Received, Ring, RingOptions, Segment, Service, Start, Subscriber, Topic,
    TopicOptions,
};

fn said<T>(result: triveni::Result<T>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

fn segment(size: usize) -> Result<Segment, String> {
    said(Segment::anonymous(size + (1 << 20)))
}

/// As blocking calls, ours spin first.
fn waits(wait: Wait) -> Waits {
    match wait {
        Wait::Poll => Waits::Polls,
        Wait::Yield => Waits::Yields,
        Wait::Block => Waits::SpinsThenBlocks,
    }
}

/// A ring of records.
struct Records(Ring, Wait);

/// A record and its header take whole cells of 64 bytes.
fn ring_size(spec: &Spec) -> usize {
    ((8 + spec.size).next_multiple_of(64) * spec.depth).next_power_of_two()
}

impl Channel for Records {
    type Tx = RecordTx;
    type Rx = RecordRx;
    fn make(spec: &Spec) -> Result<Records, String> {
        let size = ring_size(spec);
        Ok(Records(said(segment(size)?.ring("r", size))?, spec.wait))
    }
    fn tx(&self, _: usize) -> RecordTx {
        RecordTx(ok(self.0.producer()), self.1)
    }
    fn rx(&self, _: usize) -> RecordRx {
        RecordRx(ok(self.0.consumer()), self.1)
    }
    fn waits(wait: Wait) -> Waits {
        waits(wait)
    }
}

struct RecordTx(Producer, Wait);

impl Tx for RecordTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        match self.1 {
            Wait::Block => ok(self.0.write(message)),
            wait => until(wait, || ok(self.0.try_write(message)).then_some(())),
        }
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], size: usize) {
        each(messages, size, |many| ok(self.0.write_many(many)));
    }
}

/// What [`Tx::send_many`] gets, as the batch calls of triveni want it.
#[inline(always)]
fn each(messages: &[u8], size: usize, send: impl FnOnce(&[&[u8]])) {
    const MOST: usize = 256;
    let mut many: [&[u8]; MOST] = [&[]; MOST];
    let n = messages.len() / size;
    assert!(n <= MOST);
    many.iter_mut().zip(messages.chunks_exact(size)).for_each(|(to, message)| *to = message);
    send(&many[..n]);
}

impl TxInPlace for RecordTx {
    #[inline]
    fn send_in_place(&mut self, size: usize, mut write: impl FnMut(*mut u8)) {
        let mut grant = ok(self.0.reserve(size));
        write(grant.as_mut_ptr());
        ok(grant.commit(size));
    }
}

struct RecordRx(Consumer, Wait);

impl Rx for RecordRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let size = match self.1 {
            Wait::Block => ok(self.0.read(message)),
            wait => until(wait, || ok(self.0.try_read(message))),
        };
        assert_eq!(size, message.len());
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], size: usize) -> usize {
        let mut sizes = [0; 256];
        let most = (messages.len() / size).min(sizes.len());
        ok(self.0.read_many(messages, &mut sizes[..most]))
    }
}

impl RxInPlace for RecordRx {
    #[inline]
    fn receive_in_place(&mut self, size: usize, read: impl FnOnce(*const u8)) {
        let grant = ok(self.0.peek());
        assert_eq!(grant.size(), size);
        read(grant.as_ptr());
        ok(grant.release());
    }
}

/// A ring of records of one size, without headers.
struct Packed(Ring, Wait);

impl Channel for Packed {
    type Tx = PackedTx;
    type Rx = PackedRx;
    fn make(spec: &Spec) -> Result<Packed, String> {
        let segment = segment(2 * (spec.size + 8) * spec.depth)?;
        Ok(Packed(said(segment.ring_with("r", RingOptions::packed(spec.size, spec.depth)))?, spec.wait))
    }
    fn tx(&self, _: usize) -> PackedTx {
        PackedTx(ok(self.0.producer()), self.1)
    }
    fn rx(&self, _: usize) -> PackedRx {
        PackedRx(ok(self.0.consumer()), self.1)
    }
    fn waits(wait: Wait) -> Waits {
        waits(wait)
    }
}

struct PackedTx(Producer, Wait);

impl Tx for PackedTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        match self.1 {
            Wait::Block => ok(self.0.write_packed(message)),
            wait => until(wait, || ok(self.0.try_write_packed(message)).then_some(())),
        }
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], _: usize) {
        self.send(messages);
    }
}

struct PackedRx(Consumer, Wait);

impl Rx for PackedRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let n = self.receive_many(message, message.len());
        assert_eq!(n, 1);
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], _: usize) -> usize {
        match self.1 {
            Wait::Block => ok(self.0.read_packed(messages)),
            wait => until(wait, || Some(ok(self.0.try_read_packed(messages))).filter(|n| *n > 0)),
        }
    }
}

/// A mailbox.
struct Messages(Mailbox, Wait);

impl Channel for Messages {
    type Tx = MessageEnd;
    type Rx = MessageEnd;
    fn make(spec: &Spec) -> Result<Messages, String> {
        let size = (16 + spec.size).next_multiple_of(64) * spec.depth;
        Ok(Messages(said(segment(size)?.mailbox("m", spec.depth, spec.size))?, spec.wait))
    }
    fn tx(&self, _: usize) -> MessageEnd {
        MessageEnd(self.0.clone(), self.1)
    }
    fn rx(&self, _: usize) -> MessageEnd {
        MessageEnd(self.0.clone(), self.1)
    }
    fn waits(wait: Wait) -> Waits {
        waits(wait)
    }
}

struct MessageEnd(Mailbox, Wait);

impl Tx for MessageEnd {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        match self.1 {
            Wait::Block => ok(self.0.send(message)),
            wait => until(wait, || ok(self.0.try_send(message)).then_some(())),
        }
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], size: usize) {
        each(messages, size, |many| assert_eq!(ok(self.0.send_many(many)), many.len()));
    }
}

impl Rx for MessageEnd {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let received = match self.1 {
            Wait::Block => ok(self.0.receive(message)),
            wait => until(wait, || ok(self.0.try_receive(message))),
        };
        assert_eq!(received.size, message.len());
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], size: usize) -> usize {
        let mut received = [Received::default(); 256];
        let most = (messages.len() / size).min(received.len());
        ok(self.0.receive_many(messages, &mut received[..most]))
    }
}

impl TxInPlace for MessageEnd {
    #[inline]
    fn send_in_place(&mut self, size: usize, mut write: impl FnMut(*mut u8)) {
        let mut loan = ok(self.0.reserve(size));
        write(loan.as_mut_ptr());
        ok(loan.commit(size));
    }
}

impl RxInPlace for MessageEnd {
    #[inline]
    fn receive_in_place(&mut self, size: usize, read: impl FnOnce(*const u8)) {
        let borrowed = ok(self.0.borrow());
        assert_eq!(borrowed.size(), size);
        read(borrowed.as_ptr());
        ok(borrowed.release());
    }
}

/// A topic that waits for its slowest subscriber.
struct Words(Topic, Wait);

impl Channel for Words {
    type Tx = WordTx;
    type Rx = WordRx;
    fn make(spec: &Spec) -> Result<Words, String> {
        let segment = segment(2 * (64 + spec.size) * spec.depth)?;
        let options = TopicOptions::new(spec.depth, spec.size).subscribers(spec.receivers);
        Ok(Words(said(segment.topic_with("t", options))?, spec.wait))
    }
    fn tx(&self, _: usize) -> WordTx {
        WordTx(ok(self.0.publisher()), self.1)
    }
    fn rx(&self, _: usize) -> WordRx {
        WordRx(ok(self.0.subscriber(Start::Latest)), self.1)
    }
    fn waits(wait: Wait) -> Waits {
        waits(wait)
    }
}

struct WordTx(Publisher, Wait);

impl Tx for WordTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        match self.1 {
            Wait::Block => assert!(ok(self.0.publish(message))),
            wait => until(wait, || ok(self.0.try_publish(message)).then_some(())),
        }
    }
}

struct WordRx(Subscriber, Wait);

impl Rx for WordRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let size = match self.1 {
            Wait::Block => ok(self.0.receive(message)),
            wait => until(wait, || ok(self.0.try_receive(message))),
        };
        assert_eq!(size, message.len());
    }
}

/// A service: side 0 calls, side 1 answers.
struct Call {
    service: Service,
    server: bool,
    wait: Wait,
    message: [u8; 64],
    request: Option<triveni::RawRequest>,
}

impl Wire for Call {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        match self.request.take() {
            Some(raw) => assert!(ok(ok(self.service.resume_request(raw)).reply(message))),
            None => self.message.copy_from_slice(message),
        }
    }
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        if self.server {
            let request = match self.wait {
                Wait::Block => ok(self.service.receive()),
                wait => until(wait, || ok(self.service.try_receive())),
            };
            ok(request.read(message));
            self.request = Some(request.into_raw());
        } else {
            let size = match self.wait {
                Wait::Block => ok(self.service.call(&self.message, message)),
                wait => {
                    let call = ok(self.service.start(&self.message));
                    until(wait, || ok(call.try_wait()).then_some(()));
                    ok(call.read(message))
                }
            };
            assert_eq!(size, message.len());
        }
    }
}

/// All rows of triveni.
pub fn rows(rows: &mut Rows) {
    rows.all_of::<Records>("triveni Ring");
    // A record of at most 56 bytes lies on one cache line with its header.
    rows.spinning::<Records>("triveni Ring, 56 B", 56);
    rows.all_of::<Messages>("triveni Mailbox");
    for (size, depth) in [(64, 1024), (64, 65536), (8, 1024), (8, 65536)] {
        rows.batches::<Records>("triveni Ring, records", size, depth, Wait::Block);
    }
    for size in BULK {
        rows.bulk::<Records>("triveni Ring", size, Wait::Block);
        rows.bulk_in_place::<Records>("triveni Ring", size, Wait::Block);
        rows.bulk::<Messages>("triveni Mailbox", size, Wait::Block);
    }
    rows.wire::<Service, Call>(
        "triveni Service",
        &[Mode::Spinning, Mode::Gaps],
        json!({ "copies": "in and out", "waits": "spins, then blocks", "depth": "64", "between": "processes" }),
        |spec| said(segment(1 << 20)?.service("s", spec.size, spec.size)),
        |service, side, wait| Call {
            service: service.clone(),
            server: side == 1,
            wait,
            message: [0; 64],
            request: None,
        },
    );
    rows.spinning::<Packed>("triveni Ring, packed", 64);
    for size in [64, 8] {
        rows.one_by_one::<Packed>("triveni Ring, packed", size, Wait::Block);
        for depth in [1024, 65536] {
            rows.batches::<Packed>("triveni Ring, packed", size, depth, Wait::Block);
            rows.batches::<Messages>("triveni Mailbox", size, depth, Wait::Block);
        }
    }
    rows.spinning::<Words>("triveni Topic", 64);
    rows.blocking::<Words>("triveni Topic");
    rows.pace::<Words>("triveni Topic");
    rows.to_all::<Words>("triveni Topic", [Wait::Block; 2]);
    for size in BULK {
        rows.bulk_in_place::<Messages>("triveni Mailbox", size, Wait::Block);
    }
    rows.contest::<Messages>("triveni Mailbox", [Wait::Block; 2]);
}
