//! System V message queues.

use super::queues;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use triveni::ErrorKind;
use triveni::kernel::{SysvKey, SysvQueue, SysvQueueOptions};
use triveni_tests::kernel::{End, owned_by};
use triveni_tests::{PATIENCE, wait_for, watchdog};

/// A key that nobody else has, and its text; its queue is removed when dropped.
struct Key(SysvKey, String);

impl Key {
    fn fresh() -> Key {
        static NEXT: AtomicI32 = AtomicI32::new(0);
        let pid = std::process::id() as i32 & 0x000F_FFFF;
        let key = SysvKey::new(0x4000_0000 | pid << 8 | NEXT.fetch_add(1, Relaxed));
        Key(key, key.number().to_string())
    }

    /// A queue for `bytes` bytes.
    fn queue(&self, bytes: u64) -> SysvQueue {
        SysvQueueOptions::new().max_bytes(bytes).create(self.0).unwrap()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = SysvQueue::unlink(self.0); // the test may have done it
    }
}

/// True where the system has no such queues: then there is nothing to test, and it says so.
fn absent() -> bool {
    let absent = SysvQueue::list().is_err_and(|error| error.kind() == ErrorKind::Unsupported);
    if absent {
        eprintln!("this system has no System V message queues");
    }
    absent
}

/// Bound to a process: no. Relatedness: no.
#[test]
fn messages_of_a_creator_that_has_ended_are_received_by_strangers_who_choose_by_type() {
    let _watchdog = watchdog("System V queues", PATIENCE);
    if absent() {
        return;
    }
    let mtype = |k: &u64| 1 + 3 * k % 7;
    let mut lowest: Vec<u64> = (0..10).filter(|k| mtype(k) <= 2).collect();
    lowest.sort_by_key(mtype); // stable: the oldest first
    let others = (0..10).filter(|k| mtype(k) > 2 && mtype(k) != 5);
    let fives = (0..10).filter(|k| mtype(k) == 5);
    let expected: Vec<String> =
        lowest.into_iter().chain(others).chain(fives).map(|k| format!("{k}:{}", mtype(&k))).collect();
    for (a, b) in End::pairs() {
        let key = Key::fresh();
        a.start("sysv_queue", &["leave", &key.1]).succeeds();
        assert_eq!(b.start("sysv_queue", &["collect", &key.1]).succeeds(), expected, "{a:?} to {b:?}");
    }
}

/// Automatic synchronisation: yes.
#[test]
fn concurrent_senders_and_receivers_need_no_lock_and_nothing_is_lost_doubled_or_torn() {
    let _watchdog = watchdog("a storm in a System V queue", PATIENCE);
    if absent() {
        return;
    }
    let key = Key::fresh();
    queues::storm(&key.queue(150), &key.1);
}

/// Bidirectional: no. Both ends of one queue take from the same messages: what one sends it may itself receive.
#[test]
fn one_queue_has_one_direction() {
    if absent() {
        return;
    }
    let key = Key::fresh();
    queues::one_direction(&key.queue(100), &SysvQueue::open(key.0).unwrap());
}

#[test]
fn a_sender_killed_in_a_storm_leaves_whole_messages_without_a_gap() {
    let _watchdog = watchdog("killed senders of a System V queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let key = Key::fresh();
        queues::sender_is_killed(end, &key.queue(200), &key.1);
    }
}

#[test]
fn a_receiver_killed_in_a_storm_takes_at_most_one_message_with_it() {
    let _watchdog = watchdog("killed receivers of a System V queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let key = Key::fresh();
        queues::receiver_is_killed(end, &key.queue(200), &key.1);
    }
}

#[test]
fn removing_a_queue_wakes_those_who_wait_for_it() {
    let _watchdog = watchdog("removed System V queues", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let key = Key::fresh();
        let queue = key.queue(100);
        let mut waiter = end.start("sysv_queue", &["wait", &key.1]);
        waiter.says("waiting");
        let (pid, call) = (waiter.pid(), format!("{} ", libc::SYS_msgrcv));
        wait_for("it sleeps in msgrcv", || {
            // Python's main thread never does so for long: it has signals to serve. Nor does /proc tell everybody.
            end == End::Python
                || std::fs::read_to_string(format!("/proc/{pid}/syscall")).map_or_else(
                    |_| {
                        std::fs::read_to_string(format!("/proc/{pid}/stat"))
                            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
                    },
                    |now| now.starts_with(&call),
                )
        });
        queue.remove().unwrap();
        assert_eq!(waiter.succeeds(), ["removed"], "{end:?}");
    }
}

#[test]
fn a_killed_owners_queue_is_known_and_can_be_removed() {
    let _watchdog = watchdog("a leftover System V queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::OURS {
        let key = Key::fresh();
        let mut owner = end.start("sysv_queue", &["own", &key.1]);
        owner.says("holding");
        let (pid, id) = (owner.pid(), SysvQueue::open(key.0).unwrap().id());
        owner.kill();
        let left = owned_by(pid).unwrap();
        assert!(left.left && left.name == id.to_string().as_str(), "{end:?}: {left:?}");
        let taken = SysvQueue::create(key.0).unwrap_err();
        assert!(taken.kind() == ErrorKind::Exists && taken.to_string().contains(&format!("process {pid}")), "{taken}");
        left.remove().unwrap();
        assert_eq!(SysvQueue::open(key.0).unwrap_err().kind(), ErrorKind::NotFound, "{end:?}");
    }
}

#[test]
fn who_sent_and_who_received_last_is_known() {
    let _watchdog = watchdog("the last users of a System V queue", PATIENCE);
    if absent() {
        return;
    }
    for end in End::ALL {
        let key = Key::fresh();
        let queue = key.queue(100);
        let sender = end.start("sysv_queue", &["send", &key.1, "0", "1"]);
        let pid = sender.pid();
        sender.succeeds();
        assert_eq!((queue.info().unwrap().last_sender, queue.info().unwrap().last_receiver), (pid, 0), "{end:?}");
        assert_eq!(queue.receive(&mut [0; 64]).unwrap(), 8);
        assert_eq!(queue.info().unwrap().last_receiver, std::process::id());
    }
}

#[test]
fn a_rain_of_signals_moves_no_deadline_and_ends_no_wait_that_may_not_be_interrupted() {
    let _watchdog = watchdog("a System V queue in the rain", PATIENCE);
    if absent() {
        return;
    }
    let key = Key::fresh();
    assert_eq!(End::Rust.start("sysv_queue", &["interrupted", &key.1]).succeeds(), ["ok"]);
}

#[test]
fn every_limit_and_every_mode_in_the_way_is_named() {
    let _watchdog = watchdog("the limits of System V queues", PATIENCE);
    if absent() {
        return;
    }
    let key = Key::fresh();
    let said = End::Rust.start("sysv_queue", &["limits", &key.1]).succeeds();
    println!("{said:?}");
    assert!(!said.is_empty());
}

#[test]
fn a_deadline_is_kept_while_others_take_what_comes() {
    let _watchdog = watchdog("a System V queue that others empty", PATIENCE);
    if absent() {
        return;
    }
    let key = Key::fresh();
    queues::a_deadline_is_kept_beside_a_taker(&key.queue(100), &key.1);
}
