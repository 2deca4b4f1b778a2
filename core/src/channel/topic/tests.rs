//! The handle on a real segment: policies, gaps, loans, history, the end, and who is not there any more.

use super::*;
use crate::{Deadline, Interest, Segment, WaitSet};
use proptest::prelude::*;

fn topic(options: TopicOptions<'_>) -> (Segment, Topic) {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let topic = segment.topic_with("t", options).unwrap();
    (segment, topic)
}

fn number(n: u64) -> [u8; 8] {
    n.to_le_bytes()
}

/// What comes next: a number, `None`, or how many were missed.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Number(u64),
    Nothing,
    Missed(u64),
    Failed(ErrorKind),
}

fn next(subscriber: &mut Subscriber) -> Next {
    let mut buffer = [0; 8];
    let before = subscriber.missed();
    match subscriber.try_receive(&mut buffer) {
        Ok(Some(_)) => Next::Number(u64::from_le_bytes(buffer)),
        Ok(None) => Next::Nothing,
        Err(error) if error.kind() == ErrorKind::Lost => {
            let missed = subscriber.missed() - before;
            assert!(error.to_string().contains(&format!(" {missed} message")), "{error}");
            Next::Missed(missed)
        }
        Err(error) => Next::Failed(error.kind()),
    }
}

#[test]
fn every_subscriber_has_a_cursor_of_its_own() {
    let (_segment, topic) = topic(TopicOptions::new(4, 8));
    let mut publisher = topic.publisher().unwrap();
    let mut early = topic.subscriber(Start::Latest).unwrap();
    for n in 0..3 {
        assert!(publisher.publish(&number(n)).unwrap());
    }
    let mut late = topic.subscriber(Start::Latest).unwrap();
    let mut historian = topic.subscriber(Start::Oldest).unwrap();
    assert_eq!(next(&mut early), Next::Number(0));
    assert_eq!(next(&mut late), Next::Nothing);
    publisher.publish(&number(3)).unwrap();
    assert_eq!(next(&mut late), Next::Number(3));
    for n in 0..4 {
        assert_eq!(next(&mut historian), Next::Number(n));
    }
    for n in 1..4 {
        assert_eq!(next(&mut early), Next::Number(n));
    }
    assert_eq!((topic.published(), topic.dropped(), topic.subscribers(), early.missed()), (4, 0, 3, 0));
}

#[test]
fn a_blocking_publisher_goes_at_the_pace_of_the_slowest() {
    let (_segment, topic) = topic(TopicOptions::new(3, 8));
    let mut publisher = topic.publisher().unwrap();
    for n in 0..10 {
        assert!(publisher.try_publish(&number(n)).unwrap(), "nobody is there to be waited for");
    }
    let (mut fast, mut slow) = (topic.subscriber(Start::Latest).unwrap(), topic.subscriber(Start::Latest).unwrap());
    for n in 10..13 {
        assert!(publisher.try_publish(&number(n)).unwrap());
        assert_eq!(next(&mut fast), Next::Number(n));
    }
    assert!(!publisher.try_publish(&number(13)).unwrap());
    let late = publisher.publish_until(&number(13), Deadline::after(Duration::from_millis(5))).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    assert_eq!(next(&mut slow), Next::Number(10));
    assert!(publisher.try_publish(&number(13)).unwrap());
    assert!(!publisher.try_publish(&number(14)).unwrap());
    drop(slow);
    assert!(publisher.try_publish(&number(14)).unwrap());
    assert_eq!(topic.dropped(), 0, "what was not published is not dropped: the publisher knows");
}

#[test]
fn a_lapped_subscriber_is_told_once_how_many_it_missed() {
    let (_segment, topic) = topic(TopicOptions::new(8, 8).policy(TopicPolicy::DropOldest));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    for n in 0..20 {
        assert!(publisher.publish(&number(n)).unwrap());
    }
    // 12 to 19 are there; a quarter of the slots stays ahead of the publisher.
    assert_eq!(next(&mut subscriber), Next::Missed(14));
    for n in 14..20 {
        assert_eq!(next(&mut subscriber), Next::Number(n));
    }
    assert_eq!(next(&mut subscriber), Next::Nothing);
    assert_eq!(subscriber.missed(), 14);
}

#[test]
fn a_topic_of_one_message_holds_the_latest() {
    let (_segment, topic) = topic(TopicOptions::new(1, 8).policy(TopicPolicy::DropOldest));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    for n in 0..5 {
        publisher.publish(&number(n)).unwrap();
    }
    assert_eq!(next(&mut subscriber), Next::Missed(4));
    assert_eq!(next(&mut subscriber), Next::Number(4));
    assert_eq!(next(&mut topic.subscriber(Start::Oldest).unwrap()), Next::Number(4));
}

#[test]
fn a_publisher_that_drops_the_newest_says_so_to_both_sides() {
    let (_segment, topic) = topic(TopicOptions::new(2, 8).policy(TopicPolicy::DropNewest));
    let mut publisher = topic.publisher().unwrap();
    let (mut fast, mut slow) = (topic.subscriber(Start::Latest).unwrap(), topic.subscriber(Start::Latest).unwrap());
    for n in 0..2 {
        assert!(publisher.publish(&number(n)).unwrap());
        assert_eq!(next(&mut fast), Next::Number(n));
    }
    for n in 2..5 {
        assert!(!publisher.publish(&number(n)).unwrap());
    }
    assert_eq!(topic.dropped(), 3);
    assert_eq!(next(&mut fast), Next::Nothing, "it is told with the next message");
    let mut late = topic.subscriber(Start::Latest).unwrap();
    assert_eq!(next(&mut slow), Next::Number(0));
    assert!(publisher.publish(&number(5)).unwrap());
    assert_eq!(publisher.reserve(8).unwrap().map(|_| ()), None, "nor is there room for a loan");
    assert_eq!(next(&mut fast), Next::Missed(3));
    assert_eq!(next(&mut fast), Next::Number(5));
    assert_eq!(next(&mut slow), Next::Number(1));
    assert_eq!(next(&mut slow), Next::Missed(3));
    assert_eq!(next(&mut late), Next::Number(5), "what was dropped before it came is nothing that it missed");
    publisher.shutdown().unwrap();
    assert_eq!(next(&mut slow), Next::Number(5));
    for subscriber in [&mut fast, &mut slow, &mut late] {
        assert_eq!(next(subscriber), Next::Missed(1), "dropped behind the last message");
        assert_eq!(next(subscriber), Next::Failed(ErrorKind::Closed));
    }
    assert_eq!((fast.missed(), slow.missed(), late.missed()), (4, 4, 1));
}

#[test]
fn a_batch_is_published_as_far_as_the_policy_lets_it() {
    let messages: Vec<[u8; 8]> = (0..6).map(number).collect();
    let messages: Vec<&[u8]> = messages.iter().map(|m| m.as_slice()).collect();
    for (policy, published, dropped) in
        [(TopicPolicy::Block, 4, 0), (TopicPolicy::DropOldest, 6, 0), (TopicPolicy::DropNewest, 4, 2)]
    {
        let (_segment, topic) = topic(TopicOptions::new(4, 8).policy(policy));
        let mut publisher = topic.publisher().unwrap();
        let mut subscriber = topic.subscriber(Start::Latest).unwrap();
        assert_eq!(publisher.try_publish_many(&messages).unwrap(), published, "{policy:?}");
        assert_eq!(topic.dropped(), dropped, "{policy:?}");
        let (mut buffer, mut sizes) = ([0; 64], [0; 8]);
        if policy == TopicPolicy::DropOldest {
            let lost = subscriber.receive_many(&mut buffer, &mut sizes).unwrap_err();
            assert_eq!((lost.kind(), subscriber.missed()), (ErrorKind::Lost, 3));
        }
        let first = subscriber.missed();
        let n = subscriber.receive_many(&mut buffer[..20], &mut sizes).unwrap();
        assert_eq!((n, &sizes[..n]), (2, &[8, 8][..]), "{policy:?}: two fit into 20 bytes");
        assert_eq!(buffer[..16], [number(first), number(first + 1)].concat(), "{policy:?}");
        assert_eq!(subscriber.receive_many(&mut buffer[..4], &mut sizes).unwrap_err().kind(), ErrorKind::TooLarge);
        let rest = subscriber.try_receive_many(&mut buffer, &mut sizes).unwrap();
        assert_eq!(rest, if policy == TopicPolicy::DropOldest { 1 } else { 2 });
        assert_eq!(subscriber.try_receive_many(&mut buffer, &mut sizes).unwrap(), 0);
    }
}

#[test]
fn messages_of_any_size_arrive_whole_by_copy_and_in_place() {
    for (size, policy) in [(48, TopicPolicy::Block), (49, TopicPolicy::DropNewest), (5000, TopicPolicy::DropOldest)] {
        let (_segment, topic) = topic(TopicOptions::new(3, size).policy(policy));
        let mut publisher = topic.publisher().unwrap();
        let mut subscriber = topic.subscriber(Start::Latest).unwrap();
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
        for len in [0, 1, size / 2, size - 1, size] {
            let mut grant = publisher.reserve(len).unwrap().unwrap();
            assert_eq!(grant.as_mut_ptr().addr() % if size > 48 { 64 } else { 16 }, 0);
            grant.write(0, &bytes[..len]).unwrap();
            assert_eq!(grant.write(len, b"x").unwrap_err().kind(), ErrorKind::TooLarge);
            grant.commit(len).unwrap();
            publisher.publish(&bytes[..len]).unwrap();
            let peeked = subscriber.peek().unwrap();
            let mut copy = vec![0; size];
            assert_eq!((peeked.size(), peeked.read(0, &mut copy)), (len, len));
            assert_eq!((&copy[..len], peeked.is_in_place()), (&bytes[..len], policy != TopicPolicy::DropOldest));
            peeked.release().unwrap();
            let again = subscriber.peek().unwrap().size();
            assert_eq!(again, len, "a grant that is dropped keeps the message");
            assert_eq!(subscriber.receive(&mut copy).unwrap(), len);
            assert_eq!(copy[..len], bytes[..len]);
        }
        assert_eq!(publisher.publish(&vec![0; size + 1]).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(publisher.reserve(size + 1).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn a_reservation_is_committed_or_cancelled_before_anything_else() {
    let (_segment, topic) = topic(TopicOptions::new(2, 8).policy(TopicPolicy::DropOldest));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    std::mem::forget(publisher.reserve(4).unwrap());
    assert_eq!(publisher.publish(b"x").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(publisher.commit(5).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(next(&mut subscriber), Next::Nothing);
    publisher.cancel();
    assert_eq!(publisher.commit(1).unwrap_err().kind(), ErrorKind::Invalid);
    publisher.publish(&number(7)).unwrap();
    assert_eq!(next(&mut subscriber), Next::Number(7));
    assert_eq!(subscriber.release().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn history_that_is_overwritten_while_it_is_read_is_told_as_missed() {
    let (_segment, topic) = topic(TopicOptions::new(4, 8));
    let mut publisher = topic.publisher().unwrap();
    let _known = topic.subscriber(Start::Latest).unwrap();
    for n in 0..4 {
        publisher.publish(&number(n)).unwrap();
    }
    drop(_known);
    // The publisher looks at cursors again only after its next four messages.
    publisher.publish(&number(4)).unwrap();
    let mut historian = topic.subscriber(Start::Oldest).unwrap();
    assert_eq!(next(&mut historian), Next::Number(1));
    assert!(!historian.try_peek().unwrap().unwrap().is_in_place());
    for n in 5..8 {
        assert!(publisher.try_publish(&number(n)).unwrap());
    }
    assert_eq!(next(&mut historian), Next::Missed(3));
    assert_eq!(next(&mut historian), Next::Number(5));
    assert!(historian.try_peek().unwrap().unwrap().is_in_place());
}

#[test]
fn who_is_in_the_way_for_too_long_is_put_out() {
    for policy in [TopicPolicy::Block, TopicPolicy::DropNewest] {
        let options = TopicOptions::new(2, 8).policy(policy).evict_after(Duration::from_millis(3));
        let (_segment, topic) = topic(options.subscribers(2));
        let mut publisher = topic.publisher().unwrap();
        let (mut fast, mut stuck) =
            (topic.subscriber(Start::Latest).unwrap(), topic.subscriber(Start::Latest).unwrap());
        for n in 0..2 {
            publisher.publish(&number(n)).unwrap();
            assert_eq!(next(&mut fast), Next::Number(n));
        }
        let lent = stuck.peek().unwrap();
        assert!(lent.is_in_place());
        std::mem::forget(lent);
        let began = now_ns();
        while !publisher.publish(&number(2)).unwrap() {
            std::thread::yield_now();
        }
        assert!(now_ns() - began >= 3_000_000, "{policy:?}");
        assert_eq!(stuck.release().unwrap_err().kind(), ErrorKind::Evicted, "what it read may be torn");
        assert_eq!(next(&mut stuck), Next::Failed(ErrorKind::Evicted));
        assert_eq!(topic.subscribers(), 1);
        assert_eq!(
            topic.subscriber(Start::Latest).unwrap_err().kind(),
            ErrorKind::NoSpace,
            "its cursor is still its own"
        );
        drop(stuck);
        assert!(topic.subscriber(Start::Latest).is_ok());
        while next(&mut fast) != Next::Number(2) {}
    }
}

#[test]
fn a_topic_is_for_so_many_subscribers_and_one_publisher() {
    let (segment, topic) = topic(TopicOptions::new(2, 8).subscribers(2));
    let _all = [topic.subscriber(Start::Latest).unwrap(), topic.subscriber(Start::Oldest).unwrap()];
    let full = topic.subscriber(Start::Latest).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::NoSpace);
    assert!(full.to_string().contains("for 2 subscribers"), "{full}");
    let publisher = topic.publisher().unwrap();
    let busy = topic.publisher().unwrap_err();
    assert!(busy.kind() == ErrorKind::Busy && busy.to_string().contains("this process"), "{busy}");
    drop(publisher);
    assert!(topic.publisher().is_ok());
    let other = segment.topic_with("t", TopicOptions::new(3, 8)).unwrap_err();
    assert!(other.kind() == ErrorKind::Incompatible && other.to_string().contains("2 messages of 8 bytes"), "{other}");
    for bad in [
        TopicOptions::new(0, 8),
        TopicOptions::new(1 << 21, 8),
        TopicOptions::new(2, 0),
        TopicOptions::new(2, 1 << 31),
        TopicOptions::new(2, 8).subscribers(0),
        TopicOptions::new(2, 8).subscribers(257),
        TopicOptions::new(2, 8).evict_after(Duration::ZERO),
    ] {
        assert_eq!(segment.topic_with("bad", bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
    }
}

#[test]
fn a_topic_that_was_shut_down_is_drained_and_then_closed() {
    let (_segment, topic) = topic(TopicOptions::new(4, 8));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    publisher.publish(&number(1)).unwrap();
    let asleep = std::thread::scope(|scope| {
        let mut other = topic.subscriber(Start::Latest).unwrap();
        let sleeper = scope.spawn(move || other.receive(&mut [0; 8]).unwrap_err().kind());
        publisher.shutdown().unwrap();
        publisher.shutdown().unwrap();
        sleeper.join().unwrap()
    });
    assert_eq!(asleep, ErrorKind::Closed);
    assert_eq!(publisher.publish(b"x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(next(&mut subscriber), Next::Number(1));
    assert_eq!(next(&mut subscriber), Next::Failed(ErrorKind::Closed));
    drop(publisher);
    assert_eq!(topic.publisher().unwrap_err().kind(), ErrorKind::Closed);
    assert!(topic.is_shut_down());
}

/// Runs `life` in a child process and waits for its end.
fn child(life: impl FnOnce()) {
    // SAFETY: the child runs `life` and exits at once, without returning into the test's harness.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        life();
        // SAFETY: it ends this process, as a kill would: nothing is cleaned up.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a place for an int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed");
}

#[test]
fn a_dead_subscriber_is_in_nobodys_way() {
    for policy in [TopicPolicy::Block, TopicPolicy::DropNewest, TopicPolicy::DropOldest] {
        let (_segment, topic) = topic(TopicOptions::new(2, 8).policy(policy).subscribers(1));
        let mut publisher = topic.publisher().unwrap();
        child(|| std::mem::forget(topic.subscriber(Start::Latest).unwrap()));
        for n in 0..2 {
            publisher.publish(&number(n)).unwrap();
        }
        let began = now_ns();
        while !publisher.publish(&number(2)).unwrap() {
            assert!(now_ns() - began < 10_000_000_000, "{policy:?}: it still drops");
            std::thread::yield_now();
        }
        assert!(topic.subscriber(Start::Latest).is_ok(), "{policy:?}: and its place is free");
    }
}

#[test]
fn what_a_dead_publisher_published_is_drained_and_a_successor_goes_on() {
    let (_segment, topic) = topic(TopicOptions::new(4, 8));
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    child(|| {
        let mut publisher = topic.publisher().unwrap();
        for n in 0..2 {
            publisher.publish(&number(n)).unwrap();
        }
        std::mem::forget((publisher.reserve(8).unwrap(), ()));
        std::mem::forget(publisher);
    });
    let mut buffer = [0; 8];
    for n in 0..2 {
        assert_eq!((subscriber.receive(&mut buffer).unwrap(), buffer), (8, number(n)));
    }
    for _ in 0..2 {
        let dead = subscriber.receive(&mut buffer).unwrap_err();
        assert_eq!(dead.kind(), ErrorKind::PeerDead, "{dead}");
    }
    let mut successor = topic.publisher().unwrap();
    for n in 2..6 {
        assert!(successor.try_publish(&number(n)).unwrap());
    }
    assert!(!successor.try_publish(&number(6)).unwrap(), "it knows the subscriber");
    for n in 2..6 {
        assert_eq!((subscriber.receive(&mut buffer).unwrap(), buffer), (8, number(n)));
    }
}

#[test]
fn ends_belong_to_the_process_that_took_them() {
    let (_segment, topic) = topic(TopicOptions::new(4, 8));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    child(|| {
        assert_eq!(publisher.publish(b"x").unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(subscriber.try_receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(topic.publisher().unwrap_err().kind(), ErrorKind::Busy);
        let mut own = topic.subscriber(Start::Latest).unwrap();
        assert_eq!(own.try_receive(&mut [0; 8]).unwrap(), None);
    });
    publisher.publish(&number(1)).unwrap();
    assert_eq!(next(&mut subscriber), Next::Number(1));
}

#[test]
fn observers_see_who_publishes_and_how_far_everybody_is() {
    let (segment, topic) = topic(TopicOptions::new(4, 8));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    let _other = topic.subscriber(Start::Latest).unwrap();
    for n in 0..3 {
        publisher.publish(&number(n)).unwrap();
    }
    assert_eq!(next(&mut subscriber), Next::Number(0));
    let me = segment.snapshot().unwrap().participants[0].slot;
    assert_eq!(
        segment.snapshot().unwrap().objects[0].state,
        ObjectState::Topic {
            capacity: 4,
            message_size: 8,
            policy: TopicPolicy::Block,
            published: 3,
            dropped: 0,
            evicted: 0,
            shut_down: false,
            publisher: Some(me),
            subscribers: vec![(me, 2), (me, 3)],
            max_subscribers: 16,
        }
    );
}

#[test]
fn a_set_waits_for_both_ends() {
    let (_segment, topic) = topic(TopicOptions::new(1, 8));
    let mut publisher = topic.publisher().unwrap();
    let mut subscriber = topic.subscriber(Start::Latest).unwrap();
    let mut set = WaitSet::new().unwrap();
    let receives = set.add(&subscriber, Interest::Receive).unwrap();
    let sends = set.add(&publisher, Interest::Send).unwrap();
    let ready =
        |set: &mut WaitSet| set.wait_until(Deadline::never()).unwrap().iter().map(|r| r.token).collect::<Vec<_>>();
    assert_eq!(ready(&mut set), [sends]);
    publisher.publish(&number(1)).unwrap();
    assert_eq!(ready(&mut set), [receives]);
    assert_eq!(next(&mut subscriber), Next::Number(1));
    assert_eq!(ready(&mut set), [sends]);
    assert_eq!(set.add(&subscriber, Interest::Send).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(set.add(&publisher, Interest::Receive).unwrap_err().kind(), ErrorKind::Invalid);
}

/// One publisher and three subscribers in threads, each with its own pace.
fn torrent(policy: TopicPolicy, capacity: usize, messages: u64) {
    let (_segment, topic) = topic(TopicOptions::new(capacity, 24).policy(policy));
    let subscribers: Vec<_> = (0..3).map(|_| topic.subscriber(Start::Latest).unwrap()).collect();
    let mut publisher = topic.publisher().unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = subscribers
            .into_iter()
            .enumerate()
            .map(|(pace, mut subscriber)| {
                scope.spawn(move || {
                    let (mut buffer, mut received, mut last) = ([0; 24], 0u64, None);
                    loop {
                        match subscriber.receive(&mut buffer) {
                            Ok(size) => {
                                assert_eq!(size, 24);
                                let n = u64::from_le_bytes(buffer[..8].try_into().unwrap());
                                assert!(buffer.chunks(8).all(|word| word == &buffer[..8]), "torn: {buffer:?}");
                                assert!(last.is_none_or(|last| last < n), "{n} after {last:?}");
                                (last, received) = (Some(n), received + 1);
                            }
                            Err(error) if error.kind() == ErrorKind::Lost => {}
                            Err(error) if error.kind() == ErrorKind::Closed => break,
                            Err(error) => panic!("{error}"),
                        }
                        (0..pace * 50).for_each(|_| std::hint::spin_loop());
                    }
                    (received, subscriber.missed())
                })
            })
            .collect();
        let mut published = 0;
        for n in 0..messages {
            published += u64::from(publisher.publish(&[number(n); 3].concat()).unwrap());
        }
        publisher.shutdown().unwrap();
        for reader in readers {
            let (received, missed) = reader.join().unwrap();
            assert_eq!(received + missed, messages, "{policy:?}");
            match policy {
                TopicPolicy::Block => assert_eq!(missed, 0),
                TopicPolicy::DropNewest => assert_eq!(received, published),
                TopicPolicy::DropOldest => {}
            }
        }
        assert_eq!(topic.dropped(), messages - published);
    });
}

#[test]
fn received_and_missed_are_together_what_was_published() {
    for policy in [TopicPolicy::Block, TopicPolicy::DropOldest, TopicPolicy::DropNewest] {
        for capacity in [1, 3, 64] {
            torrent(policy, capacity, 20_000);
        }
    }
}

/// What a test does to a topic.
#[derive(Clone, Debug)]
enum Deed {
    Publish(u8),
    Receive(u8),
    Subscribe(bool),
    Leave(u8),
    Succeed,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1u8..6).prop_map(Deed::Publish),
        4 => any::<u8>().prop_map(Deed::Receive),
        1 => any::<bool>().prop_map(Deed::Subscribe),
        1 => any::<u8>().prop_map(Deed::Leave),
        1 => Just(Deed::Succeed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn order_and_counts_hold_whatever_happens(
        capacity in 1usize..6,
        policy in prop_oneof![Just(TopicPolicy::Block), Just(TopicPolicy::DropOldest), Just(TopicPolicy::DropNewest)],
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let (_segment, topic) = topic(TopicOptions::new(capacity, 8).policy(policy).subscribers(3));
        let mut publisher = topic.publisher().unwrap();
        // Each with what it expects next: messages are numbered by attempts.
        let mut subscribers: Vec<(Subscriber, u64)> = Vec::new();
        let mut attempts = 0u64;
        let check = |subscriber: &mut Subscriber, expected: &mut u64| match next(subscriber) {
            Next::Number(n) => {
                assert_eq!(n, *expected);
                *expected += 1;
                true
            }
            Next::Missed(n) => {
                *expected += n;
                true
            }
            Next::Nothing => false,
            Next::Failed(kind) => panic!("{kind:?}"),
        };
        for deed in deeds {
            match deed {
                Deed::Publish(n) => for _ in 0..n {
                    let published = publisher.try_publish(&number(attempts)).unwrap();
                    if published || policy == TopicPolicy::DropNewest {
                        attempts += 1;
                    }
                },
                Deed::Receive(i) if !subscribers.is_empty() => {
                    let i = i as usize % subscribers.len();
                    let (subscriber, expected) = &mut subscribers[i];
                    check(subscriber, expected);
                }
                Deed::Subscribe(false) if subscribers.len() < 3 => {
                    subscribers.push((topic.subscriber(Start::Latest).unwrap(), attempts));
                }
                Deed::Subscribe(true) if subscribers.len() < 3 => {
                    let mut subscriber = topic.subscriber(Start::Oldest).unwrap();
                    // What it finds first says where it began.
                    let expected = match next(&mut subscriber) {
                        Next::Number(n) => n + 1,
                        Next::Nothing => attempts,
                        other => panic!("{other:?}"),
                    };
                    subscribers.push((subscriber, expected));
                }
                Deed::Leave(i) if !subscribers.is_empty() => {
                    let i = i as usize % subscribers.len();
                    subscribers.remove(i);
                }
                Deed::Succeed => {
                    drop(publisher);
                    publisher = topic.publisher().unwrap();
                }
                _ => {}
            }
        }
        publisher.shutdown().unwrap();
        for (subscriber, expected) in &mut subscribers {
            loop {
                match next(subscriber) {
                    Next::Number(n) => {
                        assert_eq!(n, *expected);
                        *expected += 1;
                    }
                    Next::Missed(n) => *expected += n,
                    Next::Failed(ErrorKind::Closed) => break,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(*expected, attempts);
        }
    }
}
