//! A wait set whose members other processes make ready: by posting and sending in every language, and by dying.

use std::time::{Duration, Instant};
use triveni::{Deadline, ErrorKind, Interest, LockError, Segment, WaitMode, WaitSet};
use triveni_tests::{Language, Name, PATIENCE, Peer, wait_for, watchdog};

/// With a descriptor among its members a set has a thread that sleeps on the objects, without one it sleeps itself.
fn sets() -> [(&'static str, WaitSet); 2] {
    let mut mixed = WaitSet::new().unwrap();
    mixed.add_timer(Duration::from_secs(3600)).unwrap();
    [("objects alone", WaitSet::new().unwrap()), ("with a descriptor", mixed)]
}

#[test]
fn whoever_posts_or_sends_in_any_language_wakes_the_set() {
    const N: u64 = 200;
    let name = Name::fresh("any");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for language in Language::all() {
        for (what, mut set) in sets() {
            let _watchdog = watchdog(&format!("{language:?}, {what}"), 3 * PATIENCE);
            let object = |kind: &str| format!("{kind}-{language:?}-{}", &what[..4]);
            let semaphore = segment.create_semaphore(&object("s"), 0).unwrap();
            let mailbox = segment.create_mailbox(&object("m"), 2, 64).unwrap();
            let permit = set.add(&semaphore, Interest::Receive).unwrap();
            let message = set.add(&mailbox, Interest::Receive).unwrap();
            let peers = [
                Peer::start(language, "post", &name, &object("s"), N, ""),
                Peer::start(language, "send", &name, &object("m"), N, ""),
            ];
            let (mut permits, mut messages, mut buffer) = (0, 0, [0; 64]);
            while (permits, messages) != (N, N) {
                for ready in set.wait().unwrap() {
                    if ready.token == permit {
                        permits += u64::from(semaphore.try_wait().unwrap());
                    } else if ready.token == message {
                        messages += u64::from(mailbox.try_receive(&mut buffer).unwrap().is_some());
                    }
                }
            }
            assert!(set.try_wait().unwrap().is_empty());
            for peer in peers {
                peer.succeeds();
            }
        }
    }
}

/// The holder of a mutex is killed while a set sleeps on it, or before.
#[test]
fn a_lock_whose_holder_was_killed_is_ready_and_says_so() {
    let name = Name::fresh("any-dead");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for asleep in [true, false] {
        for (what, mut set) in sets() {
            let _watchdog = watchdog(&format!("holder killed, {what}"), 3 * PATIENCE);
            let object = format!("m-{asleep}-{}", &what[..4]);
            let mutex = segment.create_mutex(&object).unwrap();
            let other = segment.semaphore("never", 0).unwrap();
            set.add(&other, Interest::Receive).unwrap();
            let lock = set.add(&mutex, Interest::Receive).unwrap();
            let mut holder = Peer::start(Language::Rust, "hold", &name, &object, 0, "");
            holder.says("ready");
            holder.says("holding");
            assert!(set.try_wait().unwrap().is_empty());
            let mut begin = Instant::now();
            let ready = if asleep {
                std::thread::scope(|scope| {
                    let waiter = scope.spawn(|| set.wait().unwrap());
                    let killer = scope.spawn(|| {
                        wait_for("the set to sleep", || {
                            segment.waits().unwrap().iter().any(|wait| wait.mode == WaitMode::Any && wait.count == 2)
                        });
                        let begin = Instant::now();
                        holder.kill();
                        begin
                    });
                    let ready = waiter.join().unwrap();
                    begin = killer.join().unwrap();
                    ready
                })
            } else {
                holder.kill();
                begin = Instant::now();
                set.wait().unwrap()
            };
            println!("{what}, {}: {:?}", if asleep { "asleep" } else { "new" }, begin.elapsed());
            assert_eq!(ready.iter().map(|r| r.token).collect::<Vec<_>>(), [lock]);
            // `try_lock` asks once a millisecond.
            wait_for("the lock of the dead", || match mutex.try_lock() {
                Ok(None) => false,
                Err(LockError::OwnerDied(guard)) => {
                    guard.recover();
                    true
                }
                _ => panic!("nobody said that its holder had died"),
            });
        }
    }
}

#[test]
fn a_consumer_whose_producer_was_killed_is_ready_once_the_ring_is_empty() {
    let name = Name::fresh("any-ring");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (what, mut set) in sets() {
        let _watchdog = watchdog(&format!("producer killed, {what}"), 3 * PATIENCE);
        let object = format!("r-{}", &what[..4]);
        let ring = segment.create_ring(&object, 1024).unwrap();
        let mut consumer = ring.consumer().unwrap();
        let record = set.add(&consumer, Interest::Receive).unwrap();
        set.add(&segment.semaphore("never", 0).unwrap(), Interest::Receive).unwrap();
        let mut producer = Peer::rust(&["log-produce", &name, &object, "0"]);
        producer.says("ready");
        let mut buffer = [0; 1024];
        let mut records = 0;
        let mut drain = |set: &mut WaitSet| {
            for ready in set.wait().unwrap() {
                assert_eq!(ready.token, record);
            }
            loop {
                match consumer.try_read(&mut buffer) {
                    Ok(Some(_)) => records += 1,
                    Ok(None) => break Ok(records),
                    Err(error) => break Err(error),
                }
            }
        };
        wait_for("some records", || drain(&mut set).unwrap() > 100);
        producer.kill();
        let mut end = None;
        wait_for("the news", || {
            end = drain(&mut set).err();
            end.is_some()
        });
        assert_eq!(end.unwrap().kind(), ErrorKind::PeerDead);
    }
}

#[test]
fn a_message_behind_the_claim_of_a_killed_sender_makes_the_mailbox_ready() {
    let name = Name::fresh("any-claim");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (what, mut set) in sets() {
        let _watchdog = watchdog(&format!("sender killed, {what}"), 3 * PATIENCE);
        let object = format!("m-{}", &what[..4]);
        let mailbox = segment.create_mailbox(&object, 2, 64).unwrap();
        let message = set.add(&mailbox, Interest::Receive).unwrap();
        set.add(&segment.semaphore("never", 0).unwrap(), Interest::Receive).unwrap();
        let mut claimer = Peer::start(Language::Rust, "claim", &name, &object, 0, "");
        claimer.says("ready");
        claimer.says("holding");
        mailbox.send(b"behind it").unwrap();
        let timeout = set.wait_until(Deadline::after(Duration::from_millis(100))).unwrap_err();
        assert_eq!(timeout.kind(), ErrorKind::Timeout, "it is not its turn yet: {timeout}");
        claimer.kill();
        assert_eq!(set.wait().unwrap().iter().map(|r| r.token).collect::<Vec<_>>(), [message]);
        assert!(mailbox.try_receive(&mut [0; 64]).unwrap().is_some());
    }
}
