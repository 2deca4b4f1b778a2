//! Messages that are borrowed, counted deliveries, and the end: through the handle, first in first out and by priority.

use super::*;
use crate::{Loan, Segment};
use std::time::Duration;

fn both(options: MailboxOptions<'_>, test: impl Fn(&Segment, &Mailbox)) {
    for order in [Order::Fifo, Order::Priority] {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let mailbox = segment.mailbox_with("m", options.order(order)).unwrap();
        test(&segment, &mailbox);
    }
}

fn soon() -> Deadline {
    Duration::from_millis(5).into()
}

fn text(mailbox: &Mailbox) -> String {
    let mut buffer = [0; 64];
    let size = mailbox.receive(&mut buffer).unwrap().size;
    String::from_utf8_lossy(&buffer[..size]).into_owned()
}

#[test]
fn a_borrowed_message_is_read_in_place_and_released_once() {
    both(MailboxOptions::new(2, 64), |_, mailbox| {
        mailbox.send(b"first").unwrap();
        let lent = mailbox.borrow().unwrap();
        assert_eq!((lent.size(), lent.received().redelivered, lent.to_vec().unwrap()), (5, 0, b"first".to_vec()));
        let mut part = [0; 3];
        lent.read(2, &mut part).unwrap();
        assert_eq!(&part, b"rst");
        assert_eq!(lent.read(3, &mut part).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(lent.read(usize::MAX, &mut part).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(mailbox.try_borrow().unwrap().is_none());
        let raw = lent.into_raw();
        mailbox.resume_borrowed(raw).unwrap().release().unwrap();
        assert_eq!(mailbox.resume_borrowed(raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner);
        assert_eq!(mailbox.resume(raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner, "no loan to write to");
        assert!(mailbox.is_empty());
    });
}

#[test]
fn room_that_is_lent_is_no_message_and_the_reverse() {
    both(MailboxOptions::new(2, 64), |_, mailbox| {
        let raw = mailbox.reserve(3).unwrap().into_raw();
        assert_eq!(mailbox.resume_borrowed(raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner);
        mailbox.resume(raw).unwrap().commit(3).unwrap();
        let lent = mailbox.borrow().unwrap().into_raw();
        assert_eq!(mailbox.resume(lent).map(Loan::cancel).unwrap_err().kind(), ErrorKind::NotOwner);
        mailbox.resume_borrowed(lent).unwrap().release().unwrap();
    });
}

#[test]
fn a_borrowed_message_that_is_dropped_is_delivered_again_in_its_order() {
    both(MailboxOptions::new(3, 64), |_, mailbox| {
        for message in [&b"one"[..], b"two", b"three"] {
            mailbox.send(message).unwrap();
        }
        drop(mailbox.borrow().unwrap());
        mailbox.borrow().unwrap().give_back();
        let lent = mailbox.borrow().unwrap();
        assert_eq!((lent.to_vec().unwrap(), lent.received().redelivered), (b"one".to_vec(), 2));
        let other = mailbox.borrow().unwrap();
        drop(lent);
        drop(other);
        assert_eq!([text(mailbox), text(mailbox), text(mailbox)], ["one", "two", "three"]);
        mailbox.send(b"four").unwrap();
        assert_eq!(mailbox.receive(&mut [0; 64]).unwrap().redelivered, 0, "another message in the same place");
    });
}

#[test]
fn a_message_given_back_wakes_who_sleeps() {
    both(MailboxOptions::new(1, 64), |_, mailbox| {
        mailbox.send(b"x").unwrap();
        let lent = mailbox.borrow().unwrap();
        std::thread::scope(|scope| {
            let other = mailbox.clone();
            let waiter = scope.spawn(move || other.receive(&mut [0; 64]).unwrap().redelivered);
            drop(lent);
            assert_eq!(waiter.join().unwrap(), 1);
        });
    });
}

#[test]
fn after_so_many_deliveries_a_message_is_dropped_and_counted() {
    both(MailboxOptions::new(1, 64).max_deliveries(2), |segment, mailbox| {
        mailbox.send(b"poison").unwrap();
        drop(mailbox.borrow().unwrap());
        assert_eq!(mailbox.dropped(), 0);
        drop(mailbox.borrow().unwrap());
        assert_eq!((mailbox.dropped(), mailbox.len(), mailbox.try_borrow().unwrap().is_none()), (1, 0, true));
        assert!(mailbox.try_send(b"next").unwrap(), "its room is free");
        assert_eq!(segment.open_mailbox("m").unwrap().options().max_deliveries, 2);
        let state = &segment.objects().unwrap()[0].state;
        assert!(matches!(state, ObjectState::Mailbox { dropped: 1, redelivered: 1, .. }), "{state:?}");
    });
}

#[test]
fn who_has_a_message_in_hand_is_seen() {
    both(MailboxOptions::new(2, 64), |segment, mailbox| {
        let me = segment.participants().unwrap()[0].slot;
        let holders = || match &segment.objects().unwrap()[0].state {
            ObjectState::Mailbox { holders, .. } => holders.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(holders(), []);
        let loan = mailbox.reserve(1).unwrap();
        assert_eq!(holders(), [me]);
        loan.commit(1).unwrap();
        let lent = mailbox.borrow().unwrap();
        assert_eq!(holders(), [me]);
        lent.release().unwrap();
        assert_eq!(holders(), []);
    });
}

#[test]
fn after_a_shutdown_senders_are_refused_and_receivers_drain() {
    both(MailboxOptions::new(3, 64), |_, mailbox| {
        mailbox.send(b"one").unwrap();
        mailbox.send(b"two").unwrap();
        assert!(!mailbox.is_shut_down());
        mailbox.shutdown().unwrap();
        mailbox.shutdown().unwrap();
        assert!(mailbox.is_shut_down());
        for error in [
            mailbox.send(b"x").unwrap_err(),
            mailbox.try_send(b"x").unwrap_err(),
            mailbox.send_until(b"x", soon()).unwrap_err(),
            mailbox.try_reserve(1).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert!(error.to_string().contains("m\" was shut down"), "{error}");
        }
        assert_eq!(mailbox.peek(&mut [0; 64]).unwrap().size, 3);
        assert_eq!([text(mailbox), text(mailbox)], ["one", "two"]);
        for error in [
            mailbox.receive(&mut [0; 64]).map(drop).unwrap_err(),
            mailbox.try_receive(&mut [0; 64]).map(drop).unwrap_err(),
            mailbox.peek(&mut [0; 64]).map(drop).unwrap_err(),
            mailbox.borrow().map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
        assert_eq!(mailbox.len(), 0);
    });
}

#[test]
fn a_full_mailbox_that_is_shut_down_lets_its_senders_go() {
    both(MailboxOptions::new(1, 64), |_, mailbox| {
        mailbox.send(b"x").unwrap();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3).map(|_| scope.spawn(|| mailbox.send(b"y").unwrap_err().kind())).collect();
            mailbox.shutdown().unwrap();
            assert!(senders.into_iter().all(|sender| sender.join().unwrap() == ErrorKind::Closed));
        });
        assert_eq!(text(mailbox), "x");
    });
}

#[test]
fn receivers_that_sleep_learn_of_the_shutdown() {
    both(MailboxOptions::new(1, 64), |_, mailbox| {
        std::thread::scope(|scope| {
            let receive = || mailbox.receive(&mut [0; 64]).unwrap_err().kind();
            let receivers: Vec<_> = (0..3).map(|_| scope.spawn(receive)).collect();
            mailbox.shutdown().unwrap();
            assert!(receivers.into_iter().all(|receiver| receiver.join().unwrap() == ErrorKind::Closed));
        });
    });
}

#[test]
fn room_reserved_before_a_shutdown_may_be_sent_and_receivers_wait_for_it() {
    both(MailboxOptions::new(2, 64), |_, mailbox| {
        for commits in [true, false] {
            if mailbox.is_shut_down() {
                return;
            }
            let loan = mailbox.reserve(4).unwrap();
            mailbox.shutdown().unwrap();
            assert_eq!(mailbox.receive_until(&mut [0; 64], soon()).unwrap_err().kind(), ErrorKind::Timeout);
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| mailbox.receive(&mut [0; 64]));
                if commits {
                    loan.commit(4).unwrap()
                } else {
                    loan.cancel()
                }
                assert_eq!(waiter.join().unwrap().is_ok(), commits);
            });
            assert_eq!(mailbox.try_receive(&mut [0; 64]).unwrap_err().kind(), ErrorKind::Closed);
        }
    });
}

#[test]
fn a_message_in_a_living_receivers_hands_holds_nobody_up_and_comes_back() {
    both(MailboxOptions::new(2, 64), |_, mailbox| {
        mailbox.send(b"x").unwrap();
        let lent = mailbox.borrow().unwrap();
        mailbox.shutdown().unwrap();
        assert_eq!(mailbox.receive(&mut [0; 64]).unwrap_err().kind(), ErrorKind::Closed);
        drop(lent);
        assert_eq!(text(mailbox), "x");
    });
}

#[test]
fn other_options_than_those_that_are_there_are_named() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    segment.mailbox("m", 4, 8).unwrap();
    for (options, said) in [
        (MailboxOptions::new(5, 8), "capacity 5"),
        (MailboxOptions::new(4, 9), "message size 9"),
        (MailboxOptions::new(4, 8).order(Order::Priority), "priorities"),
        (MailboxOptions::new(4, 8).max_deliveries(3), "3 deliveries"),
    ] {
        let error = segment.mailbox_with("m", options).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(segment.open_mailbox("m").unwrap().options(), MailboxOptions::new(4, 8));
}

#[test]
fn what_no_mailbox_can_be_is_refused_with_a_sentence() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    for (options, said) in [
        (MailboxOptions::new(0, 8).order(Order::Priority), "no message waits"),
        (MailboxOptions::new(Capacity::Unbounded { ceiling: 9 }, 8).order(Order::Priority), "only a bounded one"),
        (MailboxOptions::new(Capacity::Unbounded { ceiling: 0 }, 8), "ceiling of 0"),
        (MailboxOptions::new(Capacity::Bounded(0), 8), "Rendezvous"),
        (MailboxOptions::new((1 << 16) + 1, 8).order(Order::Priority), "65536"),
    ] {
        let error = segment.create_mailbox_with("m", options).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn batches_keep_order_and_say_how_many() {
    both(MailboxOptions::new(5, 16), |_, mailbox| {
        let messages: Vec<Vec<u8>> = (0..8u8).map(|i| vec![i; usize::from(i)]).collect();
        assert_eq!(mailbox.try_send_many(&messages).unwrap(), 5);
        assert_eq!(mailbox.send_many_until(&messages[5..], soon()).unwrap_err().kind(), ErrorKind::Timeout);
        let (mut buffer, mut received) = ([0xEE; 4 * 16], [Received::default(); 4]);
        assert_eq!(mailbox.receive_many(&mut buffer, &mut received[..3]).unwrap(), 3);
        for (i, (room, received)) in buffer.chunks(16).zip(&received[..3]).enumerate() {
            assert_eq!((received.size, &room[..i]), (i, &messages[i][..]));
        }
        assert_eq!(mailbox.try_receive_many(&mut buffer, &mut []).unwrap(), 0, "none is wanted, none is taken");
        assert_eq!(mailbox.receive_many(&mut buffer, &mut []).unwrap(), 0);
        assert_eq!(mailbox.try_receive_many(&mut buffer, &mut received).unwrap(), 2);
        assert_eq!(mailbox.try_receive_many(&mut buffer, &mut received).unwrap(), 0);
        let nothing = mailbox.receive_many_until(&mut buffer, &mut received, soon());
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Timeout);
        let empty: [&[u8]; 0] = [];
        assert_eq!(mailbox.send_many(&empty).unwrap(), 0);
        assert_eq!(mailbox.send_many(&[[1; 16], [2; 16]]).unwrap(), 2);
        assert_eq!(mailbox.len(), 2);
    });
}

#[test]
fn a_batch_that_cannot_be_takes_nothing() {
    both(MailboxOptions::new(5, 16), |_, mailbox| {
        let messages: [&[u8]; 2] = [b"good", &[0; 17]];
        assert_eq!(mailbox.send_many(&messages).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(mailbox.is_empty());
        mailbox.send(b"x").unwrap();
        let error = mailbox.receive_many(&mut [0; 31], &mut [Received::default(); 2]).unwrap_err();
        assert_eq!((error.kind(), mailbox.len()), (ErrorKind::TooLarge, 1));
        mailbox.shutdown().unwrap();
        assert_eq!(mailbox.try_send_many(&messages[..1]).unwrap_err().kind(), ErrorKind::Closed);
        let (mut buffer, mut received) = ([0; 32], [Received::default(); 2]);
        assert_eq!(mailbox.receive_many(&mut buffer, &mut received).unwrap(), 1);
        assert_eq!(mailbox.try_receive_many(&mut buffer, &mut received).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn batches_from_several_sides_lose_nothing_and_wake_who_sleeps() {
    both(MailboxOptions::new(7, 8), |_, mailbox| {
        const EACH: u64 = 3000;
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..2u64)
                .map(|me| {
                    scope.spawn(move || {
                        let messages: Vec<[u8; 8]> = (0..EACH).map(|i| (me * EACH + i).to_ne_bytes()).collect();
                        for some in messages.chunks(11) {
                            assert_eq!(mailbox.send_many(some).unwrap(), some.len());
                        }
                    })
                })
                .collect();
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut buffer, mut received, mut mine) = ([0; 5 * 8], [Received::default(); 5], vec![]);
                        while let Ok(n) = mailbox.receive_many(&mut buffer, &mut received) {
                            mine.extend(buffer.as_chunks::<8>().0[..n].iter().map(|m| u64::from_ne_bytes(*m)));
                        }
                        mine
                    })
                })
                .collect();
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            mailbox.shutdown().unwrap();
            let all: Vec<Vec<u64>> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
            for mine in &all {
                for me in 0..2 {
                    assert!(mine.iter().filter(|m| **m / EACH == me).is_sorted(), "a sender's messages overtook");
                }
            }
            let mut all = all.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..2 * EACH));
        });
    });
}
