//! The slots of a mailbox under loom: every interleaving of two or three threads, with at most three
//! preemptions, and death at every step. `RUSTFLAGS="--cfg loom" cargo test -p triveni --release --test loom_mailbox`
#![cfg(loom)]

use loom::{sync::Arc, thread};
use triveni::mailbox_model::{Model, SortedModel};

/// More steps than any operation here has; at the last ones nobody dies.
const STEPS: std::ops::RangeInclusive<u32> = 1..=8;

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(triveni::most_preemptions());
    loom.max_branches = 20_000;
    loom.check(scenario);
}

/// `received`, sorted, is exactly `sent`, sorted.
fn same(mut received: Vec<u32>, mut sent: Vec<u32>) {
    received.sort_unstable();
    sent.sort_unstable();
    assert_eq!(received, sent);
}

#[test]
fn two_senders_and_a_receiver_share_one_slot() {
    senders_and_receiver(1);
}

#[test]
fn two_senders_and_a_receiver_share_two_slots() {
    senders_and_receiver(2);
}

fn senders_and_receiver(capacity: u32) {
    explore(move || {
        let mailbox = Arc::new(Model::new(capacity));
        let senders = [1u32, 2].map(|me| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.send(me, 10 * me).then_some(10 * me))
        });
        let mut received: Vec<u32> = (0..2).filter_map(|_| mailbox.receive(3)).collect();
        let sent: Vec<u32> = senders.into_iter().filter_map(|t| t.join().unwrap()).collect();
        mailbox.drain(&mut received, 0);
        assert!(!sent.is_empty());
        same(received, sent);
    });
}

#[test]
fn two_receivers_share_two_messages() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        assert!(mailbox.send(1, 10));
        let receivers = [2u32, 3].map(|me| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.receive(me))
        });
        assert!(mailbox.send(1, 11));
        let mut received: Vec<u32> = receivers.into_iter().filter_map(|t| t.join().unwrap()).collect();
        mailbox.drain(&mut received, 0);
        same(received, vec![10, 11]);
    });
}

#[test]
fn a_sender_keeps_its_order() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || assert!(mailbox.send(1, 10) && mailbox.send(1, 11)))
        };
        let mut received: Vec<u32> = (0..3).filter_map(|_| mailbox.receive(3)).collect();
        sender.join().unwrap();
        mailbox.drain(&mut received, 0);
        assert_eq!(received, [10, 11]);
    });
}

#[test]
fn a_head_that_lags_by_laps_catches_up() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        for _ in 0..9 {
            mailbox.cancel(mailbox.reserve(1).unwrap());
        }
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.cancel(mailbox.reserve(1).unwrap()))
        };
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.receive(3))
        };
        assert!(mailbox.send(2, 10));
        let mut received: Vec<u32> = receiver.join().unwrap().into_iter().collect();
        sender.join().unwrap();
        mailbox.drain(&mut received, 10);
        same(received, vec![10]);
    });
}

#[test]
fn a_place_is_used_again_only_when_it_was_read() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        assert!(mailbox.send(1, 10));
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.receive(2))
        };
        let sent = mailbox.send(1, 11);
        let mut received: Vec<u32> = receiver.join().unwrap().into_iter().collect();
        mailbox.drain(&mut received, 0);
        assert_eq!(received, if sent { vec![10, 11] } else { vec![10] });
    });
}

#[test]
fn a_peek_is_never_torn() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        assert!(mailbox.send(1, 10));
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                assert_eq!(mailbox.receive(2), Some(10));
                assert!(mailbox.send(2, 11));
            })
        };
        assert!(matches!(mailbox.peek(), None | Some(10 | 11)));
        other.join().unwrap();
        assert_eq!(mailbox.peek(), Some(11));
    });
}

#[test]
fn a_dead_sender_bars_nobody_at_any_step() {
    for capacity in [1, 2] {
        for at in STEPS {
            explore(move || {
                let mailbox = Arc::new(Model::new(capacity));
                let victim = {
                    let mailbox = mailbox.clone();
                    thread::spawn(move || mailbox.dies(1, at, || mailbox.send(1, 10)))
                };
                let sender = {
                    let mailbox = mailbox.clone();
                    thread::spawn(move || mailbox.send(2, 20))
                };
                mailbox.repair(0);
                let mut received: Vec<u32> = mailbox.receive(3).into_iter().collect();
                let mut sent = vec![];
                sent.extend((victim.join().unwrap() == Some(true)).then_some(10));
                sent.extend(sender.join().unwrap().then_some(20));
                mailbox.repair(0);
                mailbox.drain(&mut received, 0);
                same(received, sent);
            });
        }
    }
}

#[test]
fn a_dead_sender_is_made_void_by_one_receiver_and_the_sweep() {
    for at in STEPS {
        explore(move || {
            let mailbox = Arc::new(Model::new(2));
            let died = mailbox.dies(1, at, || mailbox.send(1, 10)).is_none();
            let receiver = {
                let mailbox = mailbox.clone();
                thread::spawn(move || {
                    mailbox.void();
                    mailbox.receive(3)
                })
            };
            let sender = {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.send(2, 20))
            };
            mailbox.repair(0);
            let mut received: Vec<u32> = receiver.join().unwrap().into_iter().collect();
            assert!(sender.join().unwrap());
            mailbox.drain(&mut received, 0);
            same(received, if died { vec![20] } else { vec![10, 20] });
        });
    }
}

#[test]
fn what_a_dead_receiver_held_is_delivered_again_at_any_step() {
    for capacity in [1, 2] {
        for at in STEPS {
            explore(move || {
                let mailbox = Arc::new(Model::new(capacity));
                assert!(mailbox.send(1, 10));
                let victim = {
                    let mailbox = mailbox.clone();
                    thread::spawn(move || mailbox.dies(2, at, || mailbox.receive(2)).flatten())
                };
                let receiver = {
                    let mailbox = mailbox.clone();
                    thread::spawn(move || mailbox.receive(3))
                };
                mailbox.repair(0);
                let mut received: Vec<u32> = victim.join().unwrap().into_iter().collect();
                received.extend(receiver.join().unwrap());
                mailbox.repair(0);
                mailbox.drain(&mut received, 0);
                same(received, vec![10]);
            });
        }
    }
}

#[test]
fn a_slow_helper_cannot_step_over_a_message_that_came_back() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        assert!(mailbox.send(1, 10));
        // Dead with the message in hand, before it moved the head on.
        assert!(mailbox.dies(2, 1, || mailbox.receive(2)).is_none());
        let receivers = [3u32, 4].map(|me| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.receive(me))
        });
        mailbox.repair(0);
        let mut received: Vec<u32> = receivers.into_iter().filter_map(|t| t.join().unwrap()).collect();
        mailbox.drain(&mut received, 0);
        same(received, vec![10]);
    });
}

#[test]
fn a_repair_that_dies_anywhere_is_done_again() {
    for step in 1..=6 {
        explore(move || {
            let mailbox = Arc::new(Model::new(2));
            assert!(mailbox.send(1, 10) && mailbox.send(1, 11));
            assert!(mailbox.dies(2, 2, || mailbox.receive(2)).is_none());
            let receiver = {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.receive(3))
            };
            mailbox.repair(step);
            mailbox.repair(0);
            let mut received: Vec<u32> = receiver.join().unwrap().into_iter().collect();
            mailbox.drain(&mut received, 0);
            same(received, vec![10, 11]);
        });
    }
}

#[test]
fn a_sleeping_receiver_is_woken() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || assert!(mailbox.send(1, 10)))
        };
        assert_eq!(mailbox.wait_and_receive(2), 10);
        sender.join().unwrap();
    });
}

#[test]
fn a_sleeping_sender_is_woken() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        assert!(mailbox.send(1, 10));
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || assert_eq!(mailbox.receive(2), Some(10)))
        };
        mailbox.wait_and_send(1, 11);
        receiver.join().unwrap();
        assert_eq!(mailbox.receive(2), Some(11));
    });
}

#[test]
fn a_wake_spent_behind_a_loan_reaches_both_receivers() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        let loan = mailbox.reserve(1).unwrap();
        let receivers = [2u32, 3].map(|me| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.wait_and_receive(me))
        });
        assert!(mailbox.send(1, 11));
        mailbox.commit(loan, 10);
        let received = receivers.into_iter().map(|t| t.join().unwrap()).collect();
        same(received, vec![10, 11]);
    });
}

#[test]
fn a_cancelled_loan_lets_the_receiver_behind_it_go_on() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        let loan = mailbox.reserve(1).unwrap();
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.wait_and_receive(2))
        };
        assert!(mailbox.send(1, 11));
        mailbox.cancel(loan);
        assert_eq!(receiver.join().unwrap(), 11);
    });
}

#[test]
fn a_peeker_does_not_keep_a_receivers_wake() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        let peeker = {
            let mailbox = mailbox.clone();
            // The receiver may be faster; then the second message is the one to be seen.
            thread::spawn(move || mailbox.wait_and_peek())
        };
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.wait_and_receive(2))
        };
        assert!(mailbox.send(1, 10));
        assert_eq!(receiver.join().unwrap(), 10);
        assert!(mailbox.send(1, 11));
        assert!(matches!(peeker.join().unwrap(), 10 | 11));
    });
}

#[test]
fn who_is_told_that_it_is_over_misses_nothing() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.send_unless_shut(1, 10))
        };
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.shut_down())
        };
        let mut received: Vec<u32> = mailbox.receive(3).into_iter().collect();
        let over = mailbox.is_over();
        let sent = sender.join().unwrap();
        other.join().unwrap();
        if over {
            assert!(mailbox.receive(3).is_none(), "a message came after the end");
        }
        received.extend(mailbox.receive(3));
        assert_eq!(received.len(), usize::from(sent));
        assert!(mailbox.is_over());
    });
}

#[test]
fn a_batch_is_seen_whole_and_in_order_and_wakes_who_sleeps() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        let receiver = {
            let mailbox = mailbox.clone();
            thread::spawn(move || [mailbox.wait_and_receive(2), mailbox.wait_and_receive(2)])
        };
        mailbox.send_two(1, [10, 11]);
        assert_eq!(receiver.join().unwrap(), [10, 11]);
    });
}

#[test]
fn a_message_that_is_given_back_is_not_stepped_over() {
    explore(|| {
        let mailbox = Arc::new(Model::new(2));
        assert!(mailbox.send(1, 10) && mailbox.send(1, 11));
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.give_back(2))
        };
        let mut received: Vec<u32> = mailbox.receive(3).into_iter().collect();
        assert!(other.join().unwrap());
        mailbox.drain(&mut received, 0);
        same(received, vec![10, 11]);
    });
}

/// `one` while a spawned thread does `other`, on a mailbox in which `messages` lie.
fn beside<T: 'static>(
    capacity: u32,
    messages: &[u32],
    one: impl FnOnce(&Model),
    other: impl FnOnce(&Model) -> T + 'static,
) -> T {
    let mailbox = Arc::new(Model::new(capacity));
    assert!(messages.iter().all(|message| mailbox.send(1, *message)));
    let theirs = mailbox.clone();
    let other = thread::spawn(move || other(&theirs));
    one(&mailbox);
    other.join().unwrap()
}

#[test]
fn a_place_that_a_batch_gave_back_is_written_behind_its_reader() {
    explore(|| {
        let two = |mailbox: &Model| assert_eq!(mailbox.receive_two(2), Some([10, 11]));
        beside(2, &[10, 11], two, |mailbox| mailbox.look_and_send(1, 12));
    });
}

#[test]
fn a_dead_senders_place_is_written_behind_it() {
    for at in STEPS {
        explore(move || {
            // The kernel says that it is dead behind its last store: the same thread.
            let dies = move |mailbox: &Model| {
                mailbox.dies(2, at, || mailbox.send(2, 10));
                mailbox.repair(0);
            };
            beside(1, &[], dies, |mailbox| mailbox.look_and_send(1, 11));
        });
    }
}

#[test]
fn who_receives_what_was_given_back_sees_how_often() {
    explore(|| {
        let mailbox = Arc::new(Model::new(1));
        assert!(mailbox.send(1, 10));
        let theirs = mailbox.clone();
        let receiver = thread::spawn(move || theirs.receive_deliveries(3));
        let given_back = mailbox.give_back(2);
        if let Some(deliveries) = receiver.join().unwrap() {
            assert_eq!(deliveries, u32::from(given_back));
        }
    });
}

#[test]
fn a_receiver_that_sleeps_is_woken_by_what_is_given_back() {
    explore(|| {
        let gives_back = |mailbox: &Model| {
            mailbox.give_back(2);
        };
        beside(1, &[10], gives_back, |mailbox| assert_eq!(mailbox.wait_and_receive(3), 10));
    });
}

#[test]
fn by_priority_a_senders_messages_do_not_overtake_each_other() {
    explore(|| {
        let mailbox = Arc::new(SortedModel::new(2));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || assert!(mailbox.send(1, 10, 0) && mailbox.send(1, 11, 0)))
        };
        let mut received: Vec<u32> = mailbox.receive(3).into_iter().collect();
        sender.join().unwrap();
        received.extend(std::iter::from_fn(|| mailbox.receive(3)));
        assert_eq!(received, [10, 11]);
    });
}

#[test]
fn by_priority_two_receivers_share_two_messages() {
    explore(|| {
        let mailbox = Arc::new(SortedModel::new(2));
        assert!(mailbox.send(1, 10, 0));
        let receivers = [2u32, 3].map(|me| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.receive(me))
        });
        assert!(mailbox.send(1, 11, 1));
        let mut received: Vec<u32> = receivers.into_iter().filter_map(|t| t.join().unwrap()).collect();
        received.extend(std::iter::from_fn(|| mailbox.receive(3)));
        same(received, vec![10, 11]);
    });
}
