//! A mailbox of capacity 0 through its handle: who gets what, when, and what is left.

use crate::{Deadline, ErrorKind, Mailbox, MailboxOptions, Segment};
use std::time::{Duration, Instant};

fn rendezvous() -> Mailbox {
    let segment = Segment::anonymous(1 << 20).unwrap();
    segment.mailbox("m", 0, 64).unwrap()
}

/// Until `count` threads of this process wait visibly.
fn until_asleep(segment: &Segment, count: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    while segment.waits().unwrap().len() < count {
        assert!(Instant::now() < end, "nobody went to sleep");
        std::thread::yield_now();
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(5))
}

#[test]
fn a_send_returns_when_the_receiver_has_the_message() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| mailbox.send(b"hand to hand"));
        until_asleep(&segment, 1);
        assert!(!sender.is_finished());
        let mut buffer = [0; 64];
        let received = mailbox.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..received.size], b"hand to hand");
        sender.join().unwrap().unwrap();
    });
    assert!(mailbox.is_empty());
}

#[test]
fn a_receiver_waits_for_a_sender() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut buffer = [0; 64];
            mailbox.receive(&mut buffer).map(|received| buffer[..received.size].to_vec())
        });
        until_asleep(&segment, 1);
        mailbox.send(b"late").unwrap();
        assert_eq!(receiver.join().unwrap().unwrap(), b"late");
    });
}

#[test]
fn nobody_there_is_a_timeout_and_nothing_is_left() {
    let mailbox = rendezvous();
    assert_eq!(mailbox.send_until(b"x", soon()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(mailbox.receive_until(&mut [0; 64], soon()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!((mailbox.len(), mailbox.capacity()), (0, 0));
    assert!(mailbox.try_receive(&mut [0; 64]).unwrap().is_none());
}

#[test]
fn who_only_tries_needs_somebody_who_waits() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    assert!(!mailbox.try_send(b"nobody").unwrap());
    assert!(mailbox.try_receive(&mut [0; 64]).unwrap().is_none());
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| mailbox.receive(&mut [0; 64]));
        until_asleep(&segment, 1);
        assert!(mailbox.try_send(b"somebody").unwrap());
        assert_eq!(receiver.join().unwrap().unwrap().size, 8);
        assert!(!mailbox.try_send(b"nobody again").unwrap());
        let sender = scope.spawn(|| mailbox.send(b"sender"));
        until_asleep(&segment, 1);
        assert_eq!(mailbox.try_receive(&mut [0; 64]).unwrap().unwrap().size, 6);
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn two_that_only_try_have_one_receiver() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| mailbox.receive(&mut [0; 64]));
        until_asleep(&segment, 1);
        let tries: Vec<_> = (0..3).map(|_| scope.spawn(|| mailbox.try_send(b"me").unwrap())).collect();
        let sent = tries.into_iter().filter(|_| true).map(|t| t.join().unwrap()).filter(|sent| *sent).count();
        assert_eq!(sent, 1);
        receiver.join().unwrap().unwrap();
    });
    assert_eq!(mailbox.len(), 0);
}

#[test]
fn a_borrower_lets_its_sender_go_and_what_it_gives_back_goes_to_the_next() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| mailbox.send(b"in place"));
        until_asleep(&segment, 1);
        let borrowed = mailbox.borrow().unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!(borrowed.to_vec().unwrap(), b"in place");
        borrowed.give_back();
        let borrowed = mailbox.try_borrow().unwrap().unwrap();
        assert_eq!((borrowed.received().redelivered, borrowed.to_vec().unwrap()), (1, b"in place".to_vec()));
        let raw = borrowed.into_raw();
        mailbox.resume_borrowed(raw).unwrap().release().unwrap();
        assert_eq!(mailbox.resume_borrowed(raw).err().unwrap().kind(), ErrorKind::NotOwner);
    });
    assert!(mailbox.is_empty());
}

#[test]
fn a_shutdown_ends_both_sides() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| mailbox.send(b"too late"));
        until_asleep(&segment, 1);
        mailbox.shutdown().unwrap();
        assert_eq!(sender.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    assert_eq!(mailbox.receive(&mut [0; 64]).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(mailbox.send(b"x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(mailbox.try_send(b"x").unwrap_err().kind(), ErrorKind::Closed);
    let other = segment.mailbox("n", 0, 64).unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| other.receive(&mut [0; 64]));
        until_asleep(&segment, 1);
        other.shutdown().unwrap();
        assert_eq!(receiver.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn what_a_rendezvous_cannot_do_is_refused_with_a_sentence() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", 0, 64).unwrap();
    let error = mailbox.try_reserve(8).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("capacity 0"), "{error}");
    let error = segment.mailbox_with("n", MailboxOptions::new(0, 8).max_deliveries(3)).err().unwrap();
    assert!(error.to_string().contains("deadline"), "{error}");
}

#[test]
fn many_meet_and_each_message_is_received_once_by_somebody() {
    const EACH: u32 = 300;
    let mailbox = rendezvous();
    let received = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..3u32)
            .map(|me| {
                let mailbox = mailbox.clone();
                scope.spawn(move || {
                    let mut sent = vec![];
                    for i in 0..EACH {
                        let message = me * EACH + i;
                        // Some with a deadline that passes now and then: what it says is true.
                        let until =
                            if i % 3 == 0 { Deadline::after(Duration::from_micros(30)) } else { Deadline::never() };
                        match mailbox.send_until(&message.to_ne_bytes(), until) {
                            Ok(()) => sent.push(message),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Timeout, "{error}"),
                        }
                    }
                    sent
                })
            })
            .collect();
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let mailbox = mailbox.clone();
                scope.spawn(move || {
                    let (mut got, mut buffer) = (vec![], [0; 64]);
                    loop {
                        match mailbox.receive(&mut buffer) {
                            Ok(_) => got.push(u32::from_ne_bytes(buffer[..4].try_into().unwrap())),
                            Err(error) if error.kind() == ErrorKind::Closed => return got,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let mut sent: Vec<u32> = senders.into_iter().flat_map(|t| t.join().unwrap()).collect();
        mailbox.shutdown().unwrap();
        let got: Vec<Vec<u32>> = receivers.into_iter().map(|t| t.join().unwrap()).collect();
        for mine in &got {
            for me in 0..3 {
                let of_one: Vec<_> = mine.iter().filter(|m| **m / EACH == me).collect();
                assert!(of_one.is_sorted(), "messages of one sender overtook each other");
            }
        }
        let mut got = got.concat();
        got.sort_unstable();
        sent.sort_unstable();
        (sent, got)
    });
    assert_eq!(received.0, received.1);
}
