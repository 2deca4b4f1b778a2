//! Killed in an operation of mailboxes.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MailboxVerb {
    Send,
    Commit,
    Cancel,
    Receive,
    Peek,
}

pub struct MailboxScene {
    place: Place,
    verb: MailboxVerb,
    kind: Capacity,
    order: Order,
    fill: u64,
    len: usize,
    mailbox: Option<Mailbox>,
}

pub const MESSAGE: usize = 512;

impl MailboxScene {
    fn new(verb: MailboxVerb, capacity: usize, fill: u64, len: usize) -> MailboxScene {
        MailboxScene::of(Capacity::Bounded(capacity), verb, fill, len)
    }

    pub fn of(kind: Capacity, verb: MailboxVerb, fill: u64, len: usize) -> MailboxScene {
        MailboxScene { place: Place::new(), verb, kind, order: Order::Fifo, fill, len, mailbox: None }
    }

    fn by_priority(self) -> MailboxScene {
        MailboxScene { order: Order::Priority, ..self }
    }
}

/// A full fill and drain, in order.
pub fn fills_and_drains(mailbox: &Mailbox) {
    let mut buffer = [0; MESSAGE];
    for _ in 0..2 {
        let capacity = mailbox.capacity() as u64;
        for seq in 0..capacity {
            assert!(mailbox.try_send(&message(3, seq, 40)).unwrap(), "no room for message {seq} of {capacity}");
        }
        assert!(!mailbox.try_send(&message(3, capacity, 40)).unwrap(), "more than its capacity");
        assert_eq!(mailbox.len() as u64, capacity);
        for seq in 0..capacity {
            let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
            assert_eq!(read(&buffer[..received.size]), (3, seq));
            assert_eq!(received.redelivered, 0);
        }
        assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
        assert!(mailbox.is_empty());
    }
}

/// Sends `last` and receives everything up to it, then whatever is still there: `(sender, seq, redelivered)`.
pub fn drain(segment: &Segment, mailbox: &Mailbox, last: (u64, u64)) -> Vec<(u64, u64, u16)> {
    let mut got = Vec::new();
    let mut buffer = [0; MESSAGE];
    let keep = |got: &mut Vec<_>, received: triveni::Received, buffer: &[u8]| {
        let (sender, seq) = read(&buffer[..received.size]);
        got.push((sender, seq, received.redelivered));
    };
    triveni_tests::wait_for("room for one more", || {
        if mailbox.try_send(&message(last.0, last.1, 40)).unwrap() {
            return true;
        }
        if let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
            keep(&mut got, received, &buffer);
        }
        mailbox.try_send(&message(last.0, last.1, 40)).unwrap()
    });
    while got.last().is_none_or(|(sender, seq, _)| (*sender, *seq) != last) {
        let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
        keep(&mut got, received, &buffer);
    }
    segment.sweep().unwrap();
    while let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
        keep(&mut got, received, &buffer);
    }
    got
}

impl Scene for MailboxScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let mailbox = self
            .place
            .segment
            .create_mailbox_with("box", MailboxOptions::new(self.kind, MESSAGE).order(self.order))
            .unwrap();
        let mut buffer = [0; MESSAGE];
        for _ in 0..2 * mailbox.capacity() - 1 {
            mailbox.send(&message(0, 0, 40)).unwrap();
            mailbox.receive(&mut buffer).unwrap();
        }
        for seq in 0..self.fill {
            assert!(mailbox.try_send(&message(1, seq, self.len)).unwrap());
        }
        self.mailbox = Some(mailbox);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let mailbox = self.place.segment.open_mailbox("box").unwrap();
        let message = message(2, 0, self.len);
        let (first, second) = message.split_at(17);
        match self.verb {
            MailboxVerb::Send => step.through(|| mailbox.send_until(&message, soon()).map(|()| OK)),
            MailboxVerb::Commit => step.through(|| {
                let mut loan = mailbox.reserve_until(MESSAGE, soon())?;
                loan.write(0, first)?;
                loan.write(first.len(), second)?;
                loan.commit(message.len()).map(|()| OK)
            }),
            MailboxVerb::Cancel => step.through(|| {
                let mut loan = mailbox.reserve_until(MESSAGE, soon())?;
                loan.write(0, first)?;
                loan.cancel();
                Ok(OK)
            }),
            MailboxVerb::Receive => {
                let buffer = step.0.buffer();
                step.through(|| mailbox.receive_until(buffer, soon()).map(|_| OK))
            }
            MailboxVerb::Peek => {
                let buffer = step.0.buffer();
                step.through(|| mailbox.peek_until(buffer, soon()).map(|_| OK))
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mailbox = self.mailbox.take().unwrap();
        let got = drain(segment, &mailbox, (1, self.fill));
        let times = |key: (u64, u64)| got.iter().filter(|(sender, seq, _)| (*sender, *seq) == key).count();
        let at = |key: (u64, u64)| got.iter().position(|(sender, seq, _)| (*sender, *seq) == key);
        let sends = matches!(self.verb, MailboxVerb::Send | MailboxVerb::Commit);
        for seq in 0..=self.fill {
            if seq == 0 && self.verb == MailboxVerb::Receive && self.fill > 0 && times((1, 0)) == 0 {
                let left = self.place.page.left();
                assert_eq!(
                    whole(&left[..self.len]),
                    Some((1, 0)),
                    "gone, and the dead receiver had not got it: {got:?}"
                );
            } else {
                assert_eq!(times((1, seq)), 1, "message {seq}: {got:?}");
            }
        }
        if self.verb == MailboxVerb::Receive && killed.done() {
            assert_eq!(times((1, 0)), 0, "received by the dead, and again: {got:?}");
        }
        assert!(times((2, 0)) <= usize::from(sends), "{got:?}");
        if sends && killed.done() {
            assert_eq!(times((2, 0)), 1, "its sender was done: {got:?}");
        }
        assert!(got.iter().all(|(sender, ..)| (1..=2).contains(sender)), "{got:?}");
        if let Some(place) = at((2, 0)) {
            assert!(place < at((1, self.fill)).unwrap(), "overtaken by what was sent later: {got:?}");
        }
        let again = |(sender, seq, redelivered): &&(u64, u64, u16)| {
            assert!(
                *redelivered == 0 || (self.verb == MailboxVerb::Receive && (*sender, *seq, *redelivered) == (1, 0, 1)),
                "delivered before? {got:?}"
            );
            *redelivered == 0
        };
        let first: Vec<u64> = got.iter().filter(again).filter(|key| key.0 == 1).map(|key| key.1).collect();
        assert!(first.is_sorted(), "out of order: {got:?}");
        assert!(mailbox.voided() <= 1);
        fills_and_drains(&mailbox);
        segment.remove("box").unwrap();
        drop(mailbox);
        self.place.is_as_new();
    }
}

fn mailbox_cases(capacity: usize) -> Vec<Case> {
    use MailboxVerb::{Cancel, Commit, Peek, Receive, Send};
    let fills: &[(u64, &str)] =
        if capacity == 1 { &[(0, "empty"), (1, "full")] } else { &[(0, "empty"), (1, "half full"), (3, "full")] };
    let mut cases = Vec::new();
    for verb in [Send, Commit, Cancel, Receive, Peek] {
        for (fill, how) in fills.iter().copied() {
            cases.push(case(format!("mailbox of {capacity}, {how}: {verb:?}"), move || {
                MailboxScene::new(verb, capacity, fill, 40)
            }));
        }
    }
    if capacity > 1 {
        // Long enough for the string instruction, which is stepped byte by byte.
        for verb in [Send, Receive] {
            cases.push(case(format!("mailbox of {capacity}, long messages: {verb:?}"), move || {
                MailboxScene::new(verb, capacity, 2, 300)
            }));
        }
    }
    cases
}

#[test]
fn a_mailbox_of_one_loses_nothing() {
    run_all("mailbox of 1", mailbox_cases(1));
}

#[test]
fn a_mailbox_of_three_loses_nothing() {
    run_all("mailbox of 3", mailbox_cases(3));
}

#[test]
fn a_mailbox_by_priority_loses_nothing() {
    let mut cases = Vec::new();
    for verb in [MailboxVerb::Send, MailboxVerb::Commit, MailboxVerb::Cancel, MailboxVerb::Receive] {
        for fill in [0, 1] {
            cases.push(case(format!("mailbox of 2 by priority, {fill} in it: {verb:?}"), move || {
                MailboxScene::new(verb, 2, fill, 40).by_priority()
            }));
        }
    }
    run_all("mailbox by priority", cases);
}
