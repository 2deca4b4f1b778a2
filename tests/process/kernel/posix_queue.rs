//! POSIX message queues.

use super::queues;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use triveni::kernel::{PosixQueue, PosixQueueOptions};
use triveni::{Deadline, ErrorKind, Interest, WaitSet};
use triveni_tests::kernel::{End, message, owned_by};
use triveni_tests::{PATIENCE, wait_for, watchdog};

/// A name of a queue that nobody else has; unlinked when dropped.
struct Name(String);

impl Name {
    fn fresh() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!("/triveni-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)))
    }

    fn queue(&self, capacity: usize) -> PosixQueue {
        PosixQueueOptions::new().capacity(capacity).message_size(64).create(&self.0).unwrap()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = PosixQueue::unlink(&self.0); // the test may have done it
    }
}

/// True where the system has no such queues: then there is nothing to test, and it says so.
fn absent() -> bool {
    let absent = PosixQueue::open("/triveni-test-none").unwrap_err().kind() == ErrorKind::Unsupported;
    if absent {
        eprintln!("this system has no POSIX message queues");
    }
    absent
}

/// Bound to a process: no. Relatedness: no.
#[test]
fn messages_of_a_creator_that_has_ended_are_received_by_strangers_the_highest_priority_first() {
    let _watchdog = watchdog("POSIX queues", PATIENCE);
    if absent() {
        return;
    }
    let mut expected: Vec<u64> = (0..10).collect();
    expected.sort_by_key(|k| std::cmp::Reverse(3 * k % 7)); // stable: the oldest first
    let expected: Vec<String> = expected.iter().map(|k| format!("{k}:{}", 3 * k % 7)).collect();
    for (a, b) in End::pairs() {
        let name = Name::fresh();
        a.start("posix_queue", &["leave", &name.0]).succeeds();
        assert_eq!(b.start("posix_queue", &["collect", &name.0]).succeeds(), expected, "{a:?} to {b:?}");
    }
}

/// Automatic synchronisation: yes.
#[test]
fn concurrent_senders_and_receivers_need_no_lock_and_nothing_is_lost_doubled_or_torn() {
    let _watchdog = watchdog("a storm in a POSIX queue", PATIENCE);
    if absent() {
        return;
    }
    let name = Name::fresh();
    queues::storm(&name.queue(3), &name.0);
}

/// Bidirectional: no. Both ends of one queue take from the same messages: what one sends it may itself receive.
#[test]
fn one_queue_has_one_direction() {
    if absent() {
        return;
    }
    let name = Name::fresh();
    queues::one_direction(&name.queue(2), &PosixQueue::open(&name.0).unwrap());
}

#[test]
fn a_sender_killed_in_a_storm_leaves_whole_messages_without_a_gap() {
    let _watchdog = watchdog("killed senders of a POSIX queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let name = Name::fresh();
        queues::sender_is_killed(end, &name.queue(4), &name.0);
    }
}

#[test]
fn a_receiver_killed_in_a_storm_takes_at_most_one_message_with_it() {
    let _watchdog = watchdog("killed receivers of a POSIX queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let name = Name::fresh();
        queues::receiver_is_killed(end, &name.queue(4), &name.0);
    }
}

#[test]
fn a_killed_owners_queue_is_known_and_can_be_removed() {
    let _watchdog = watchdog("a leftover POSIX queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::OURS {
        let name = Name::fresh();
        let mut owner = end.start("posix_queue", &["own", &name.0]);
        owner.says("holding");
        let pid = owner.pid();
        owner.kill();
        let left = owned_by(pid).unwrap();
        assert!(left.left && left.name == name.0.as_str(), "{end:?}: {left:?}");
        let taken = PosixQueue::create(&name.0).unwrap_err();
        assert!(taken.kind() == ErrorKind::Exists && taken.to_string().contains(&format!("process {pid}")), "{taken}");
        left.remove().unwrap();
        assert_eq!(PosixQueue::open(&name.0).unwrap_err().kind(), ErrorKind::NotFound, "{end:?}");
    }
}

#[test]
fn who_asked_is_told_of_a_message_by_a_signal_that_carries_a_value() {
    let _watchdog = watchdog("notification", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let name = Name::fresh();
        let queue = name.queue(1);
        let mut asker = end.start("posix_queue", &["notify", &name.0, "-4711"]);
        asker.says("asked");
        assert_eq!(queue.info().unwrap().notifies, Some(asker.pid()), "{end:?}");
        assert_eq!(queue.notify(libc::SIGURG, 0).unwrap_err().kind(), ErrorKind::Busy, "{end:?}");
        queue.send(&message(0)).unwrap();
        asker.says("told");
        asker.succeeds();
        assert_eq!(queue.info().unwrap().notifies, None, "{end:?}");
    }
}

#[test]
fn a_wait_set_waits_for_a_message_and_for_room() {
    let _watchdog = watchdog("a wait set and a POSIX queue", PATIENCE);
    if absent() {
        return;
    }
    let name = Name::fresh();
    let queue = name.queue(1);
    let mut set = WaitSet::new().unwrap();
    set.add_fd(&queue, Interest::Receive).unwrap();
    assert!(set.try_wait().unwrap().is_empty());
    let sender = End::PlainC.start("posix_queue", &["send", &name.0, "0", "2"]);
    for k in 0..2 {
        assert_eq!(set.wait_until(Deadline::after(PATIENCE)).unwrap().len(), 1);
        let mut buffer = [0; 64];
        let size = queue.try_receive(&mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..size], message(k));
        wait_for("the sender has sent the next, or has ended", || k == 1 || !queue.is_empty());
    }
    sender.succeeds();
}

#[test]
fn a_rain_of_signals_moves_no_deadline_and_ends_no_wait_that_may_not_be_interrupted() {
    let _watchdog = watchdog("a POSIX queue in the rain", PATIENCE);
    if absent() {
        return;
    }
    let name = Name::fresh();
    assert_eq!(End::Rust.start("posix_queue", &["interrupted", &name.0]).succeeds(), ["ok"]);
}

#[test]
fn every_limit_and_every_mode_in_the_way_is_named() {
    let _watchdog = watchdog("the limits of POSIX queues", PATIENCE);
    if absent() {
        return;
    }
    let name = Name::fresh();
    let _second = Name(format!("{}-2", name.0));
    let said = End::Rust.start("posix_queue", &["limits", &name.0]).succeeds();
    println!("{said:?}");
    assert_eq!(said.first().map(String::as_str), Some("RLIMIT_MSGQUEUE"));
}

#[test]
fn all_queues_are_listed_where_they_are_mounted() {
    let _watchdog = watchdog("the list of POSIX queues", PATIENCE);
    if absent() {
        return;
    }
    let said = End::Rust.start("posix_queue", &["list", "/listed"]).succeeds();
    println!("{said:?}");
    assert!(said == ["listed"] || said[0].starts_with("skipped"));
}

#[test]
fn a_deadline_is_kept_while_others_take_what_comes() {
    let _watchdog = watchdog("a POSIX queue that others empty", PATIENCE);
    if absent() {
        return;
    }
    let name = Name::fresh();
    queues::a_deadline_is_kept_beside_a_taker(&name.queue(1), &name.0);
}
