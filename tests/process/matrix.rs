//! Producer × consumer over {Rust, C, Python}² for every object: whatever one language makes, all three use.

use std::os::fd::{AsRawFd, OwnedFd};
use triveni::{
    Capacity, CellOptions, MailboxOptions, Order, PortOptions, RwPolicy, Segment, SemaphoreOptions, TopicOptions,
    TopicPolicy,
};
use triveni_tests::{Language, Name, PATIENCE, Peer, watchdog};

const N: u64 = 2000;

/// One row: what the object is, how it is made, and the two roles on it.
struct Row {
    object: &'static str,
    make: fn(&Segment, &str) -> triveni::Result<()>,
    producer: &'static str,
    consumer: &'static str,
    afterwards: fn(&Segment, &str),
}

fn nothing(_: &Segment, _: &str) {}

const TABLE: &[Row] = &[
    Row {
        object: "semaphore",
        make: |segment, name| segment.create_semaphore(name, 0).map(drop),
        producer: "post",
        consumer: "wait",
        afterwards: |segment, name| assert_eq!(segment.open_semaphore(name).unwrap().value(), 0),
    },
    Row {
        object: "event",
        make: |segment, name| segment.create_event(name, 0).map(drop),
        producer: "set",
        consumer: "await",
        afterwards: |segment, name| assert_eq!(segment.open_event(name).unwrap().flags(), 0),
    },
    Row {
        object: "mailbox",
        make: |segment, name| segment.create_mailbox(name, 10, 64).map(drop),
        producer: "send",
        consumer: "receive",
        afterwards: |segment, name| assert!(segment.open_mailbox(name).unwrap().is_empty()),
    },
    Row {
        object: "ring, copying",
        make: |segment, name| segment.create_ring(name, 1024).map(drop),
        producer: "write",
        consumer: "read",
        afterwards: nothing,
    },
    Row {
        object: "ring, in place",
        make: |segment, name| segment.create_ring(name, 1024).map(drop),
        producer: "reserve",
        consumer: "peek",
        afterwards: nothing,
    },
    Row {
        object: "ring, copied in, read in place",
        make: |segment, name| segment.create_ring(name, 1024).map(drop),
        producer: "write",
        consumer: "peek",
        afterwards: nothing,
    },
];

/// Rings, many records at once, and a shutdown in the end.
const BATCHES: [Row; 2] = [
    Row {
        object: "ring, many at once",
        make: |segment, name| segment.create_ring(name, 1024).map(drop),
        producer: "write-many",
        consumer: "read-many",
        afterwards: |segment, name| assert!(segment.open_ring(name).unwrap().is_shut_down()),
    },
    Row {
        object: "ring of packed records",
        make: |segment, name| segment.create_ring_of(name, 8, 16).map(drop),
        producer: "write-many",
        consumer: "read-many",
        afterwards: |segment, name| assert!(segment.open_ring(name).unwrap().is_shut_down()),
    },
];

const UNBOUNDED: Capacity = Capacity::Unbounded { ceiling: 4000 };

/// The mailboxes beside the bounded one.
const MAILBOXES: [Row; 3] = [
    Row {
        object: "mailbox of capacity 0",
        make: |segment, name| segment.create_mailbox(name, 0, 64).map(drop),
        producer: "send",
        consumer: "receive",
        afterwards: |segment, name| assert!(segment.open_mailbox(name).unwrap().is_empty()),
    },
    Row {
        object: "mailbox, unbounded",
        make: |segment, name| segment.create_mailbox_with(name, MailboxOptions::new(UNBOUNDED, 64)).map(drop),
        producer: "send",
        consumer: "receive",
        afterwards: |segment, name| {
            assert!(segment.open_mailbox(name).unwrap().is_empty());
            segment.remove(name).unwrap();
        },
    },
    Row {
        object: "mailbox, by priority",
        make: |segment, name| {
            let options = MailboxOptions::new(Capacity::Bounded(10), 64).order(Order::Priority);
            segment.create_mailbox_with(name, options).map(drop)
        },
        producer: "send",
        consumer: "receive",
        afterwards: |segment, name| assert!(segment.open_mailbox(name).unwrap().is_empty()),
    },
];

/// Calls of a service, and a shutdown in the end.
const SERVICE: Row = Row {
    object: "service",
    make: |segment, name| segment.create_service(name, 64, 64).map(drop),
    producer: "call",
    consumer: "serve",
    afterwards: |segment, name| {
        let service = segment.open_service(name).unwrap();
        assert!(service.is_empty() && service.is_shut_down());
    },
};

/// Calls through a port: messages, and a right to answer in each.
const PORT: Row = Row {
    object: "port",
    make: |segment, name| segment.create_port_with(name, PortOptions::default().message_size(64)).map(drop),
    producer: "ask",
    consumer: "answer",
    afterwards: |segment, name| {
        assert_eq!(segment.open_port(name).unwrap().len(), 0);
        assert!(!segment.objects().unwrap().iter().any(|object| object.name.starts_with("answers")));
    },
};

/// The latest value, with a type that all three describe in their own way.
const CELL: Row = Row {
    object: "cell",
    make: |segment, name| {
        let options = CellOptions::bytes(40).type_tag("T{Q:number:(4)d:values:}");
        segment.create_cell_with(name, &options).map(drop)
    },
    producer: "store",
    consumer: "load",
    afterwards: |segment, name| assert_eq!(segment.open_raw_cell(name).unwrap().version(), N),
};

/// Elements written and copied as a whole.
const ARRAY: Row = Row {
    object: "array",
    make: |segment, name| segment.create_array::<f64>(name, &[4, 5]).map(drop),
    producer: "fill",
    consumer: "scan",
    afterwards: |segment, name| assert_eq!(segment.open_raw_array(name).unwrap().version(), N),
};

/// A row, between all languages in a segment with a name, and once more round in a sealed one that is inherited.
fn row(index: usize) {
    around(&TABLE[index]);
}

fn around(row: &Row) {
    let name = Name::fresh("matrix");
    pairs(row, &Segment::create(&name, 1 << 22).unwrap(), &name, &Language::pairs());
    let segment = Segment::anonymous(1 << 22).unwrap();
    let inherited = inheritable(&segment);
    let round = Language::pairs().into_iter().filter(|(a, b)| a != b).step_by(2).collect::<Vec<_>>();
    pairs(row, &segment, &format!("fd:{}", inherited.as_raw_fd()), &round);
}

/// Its descriptor, for peers to inherit.
fn inheritable(segment: &Segment) -> OwnedFd {
    let fd = segment.fd().unwrap();
    // SAFETY: our own descriptor; it loses the flag that would close it in the peers.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    fd
}

fn pairs(row: &Row, segment: &Segment, name: &str, pairs: &[(Language, Language)]) {
    assert!(!pairs.is_empty());
    for &(a, b) in pairs {
        let _watchdog = watchdog(&format!("{}: {a:?} to {b:?}", row.object), 2 * PATIENCE);
        let object = format!("{a:?}-{b:?}");
        (row.make)(segment, &object).unwrap();
        let mut consumer = Peer::start(b, row.consumer, name, &object, N, "");
        consumer.says("ready");
        let producer = Peer::start(a, row.producer, name, &object, N, "");
        let sent = producer.end();
        if !sent.status.success() {
            consumer.signal(libc::SIGTERM); // if it still waits
            panic!("{}: {a:?} to {b:?}: {}consumer: {}", row.object, sent.stderr, consumer.ended().stderr);
        }
        let said = consumer.succeeds();
        assert_eq!(said.last().map(String::as_str), Some(format!("ok {N}").as_str()), "{}: {a:?} to {b:?}", row.object);
        (row.afterwards)(segment, &object);
        println!("{}: {a:?} to {b:?}: {N} ok", row.object);
    }
}

#[test]
fn a_post_in_any_language_is_a_permit_in_any_other() {
    row(0);
}

#[test]
fn a_flag_set_in_any_language_wakes_any_other() {
    row(1);
}

#[test]
fn a_mailbox_carries_messages_between_all_languages() {
    row(2);
}

#[test]
fn senders_and_receivers_meet_between_all_languages() {
    around(&MAILBOXES[0]);
}

#[test]
fn an_unbounded_mailbox_carries_messages_between_all_languages() {
    around(&MAILBOXES[1]);
}

#[test]
fn a_mailbox_by_priority_keeps_the_order_of_equals_between_all_languages() {
    around(&MAILBOXES[2]);
}

#[test]
fn a_service_answers_between_all_languages() {
    around(&SERVICE);
}

#[test]
fn a_call_through_a_port_is_answered_between_all_languages() {
    around(&PORT);
}

#[test]
fn a_cell_has_the_latest_value_for_all_languages() {
    around(&CELL);
}

#[test]
fn an_array_is_the_same_memory_in_all_languages() {
    around(&ARRAY);
}

#[test]
fn a_ring_carries_copied_records_between_all_languages() {
    row(3);
}

#[test]
fn a_ring_carries_records_in_place_between_all_languages() {
    row(4);
}

#[test]
fn a_ring_carries_batches_and_packed_records_between_all_languages() {
    BATCHES.iter().for_each(around);
}

#[test]
fn a_ring_s_reader_does_not_see_how_a_record_was_written() {
    row(5);
}

/// One publisher in each language, to a subscriber in each of the other two, under `policy`. Each subscriber accounts for
/// every message.
fn topic(policy: TopicPolicy) {
    let name = Name::fresh("matrix");
    let round = [
        (Language::Rust, Language::C, Language::Python),
        (Language::C, Language::Python, Language::Rust),
        (Language::Python, Language::Rust, Language::C),
    ];
    topics(policy, &Segment::create(&name, 1 << 22).unwrap(), &name, &round);
    let segment = Segment::anonymous(1 << 22).unwrap();
    let inherited = inheritable(&segment);
    topics(policy, &segment, &format!("fd:{}", inherited.as_raw_fd()), &round[policy as usize % 3..][..1]);
}

fn topics(policy: TopicPolicy, segment: &Segment, name: &str, round: &[(Language, Language, Language)]) {
    for &(a, b, c) in round {
        let row = format!("topic, {}: {a:?} to {b:?} and {c:?}", policy.name());
        let _watchdog = watchdog(&row, 2 * PATIENCE);
        let object = format!("{a:?}");
        let topic = segment.create_topic_with(&object, TopicOptions::new(8, 64).policy(policy)).unwrap();
        let mut subscribers = [b, c].map(|language| Peer::start(language, "subscribe", name, &object, N, ""));
        subscribers.iter_mut().for_each(|subscriber| subscriber.says("ready"));
        let publisher = Peer::start(a, "publish", name, &object, N, "").end();
        assert!(publisher.status.success(), "{row}: {}", publisher.stderr);
        for subscriber in subscribers {
            let said = subscriber.succeeds();
            let last = said.last().map(String::as_str).unwrap_or_default();
            let missed = last.strip_prefix(&format!("ok {N} ")).unwrap_or_else(|| panic!("{row}: {said:?}"));
            match policy {
                TopicPolicy::Block => assert_eq!(missed, "0", "{row}"),
                TopicPolicy::DropNewest => assert_eq!(missed, topic.dropped().to_string(), "{row}"),
                TopicPolicy::DropOldest => {}
            }
        }
        println!("{row}: {N} ok, {} dropped", topic.dropped());
    }
}

#[test]
fn a_topic_carries_every_message_to_two_languages() {
    topic(TopicPolicy::Block);
}

#[test]
fn a_topic_that_drops_tells_two_languages_what_they_missed() {
    topic(TopicPolicy::DropOldest);
    topic(TopicPolicy::DropNewest);
}

/// Two peers lock the same object N times each and change what it guards, two numbers in a file; returns the first.
fn both(object: &str, what: [&str; 2], make: fn(&Segment, &str) -> triveni::Result<()>, after: fn(&Segment, &str)) {
    let name = Name::fresh("matrix");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (a, b) in Language::pairs() {
        let _watchdog = watchdog(&format!("{object}: {a:?} and {b:?}"), 2 * PATIENCE);
        let lock = format!("{a:?}-{b:?}");
        make(&segment, &lock).unwrap();
        let file = std::env::temp_dir().join(format!("triveni-{}-{lock}", &*name));
        std::fs::write(&file, [0u8; 16]).unwrap();
        let path = file.to_str().unwrap();
        let mut peers = [(a, what[0]), (b, what[1])].map(|(l, role)| Peer::start(l, role, &name, &lock, N, path));
        peers.iter_mut().for_each(|peer| peer.says("ready"));
        for peer in peers {
            assert_eq!(
                peer.succeeds().last().map(String::as_str),
                Some(format!("ok {N}").as_str()),
                "{object}: {a:?} and {b:?}"
            );
        }
        let writers = what.iter().filter(|role| role.starts_with("lock") && **role != "lock-read").count() as u64;
        let numbers = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let second = if what[0] == "lock" { 0 } else { writers * N };
        let expected = [writers * N, second].map(u64::to_le_bytes).concat();
        assert_eq!(numbers, expected, "{object}: {a:?} and {b:?}");
        after(&segment, &lock);
        println!("{object}: {a:?} and {b:?}: {N} ok");
    }
}

#[test]
fn a_mutex_excludes_in_all_languages() {
    both(
        "mutex",
        ["lock", "lock"],
        |segment, name| segment.create_mutex(name).map(drop),
        |segment, name| assert_eq!(segment.open_mutex(name).unwrap().holder(), None),
    );
}

#[test]
fn a_monitor_excludes_in_all_languages() {
    both("monitor", ["lock-monitor"; 2], |segment, name| segment.create_monitor(name).map(drop), nothing);
}

#[test]
fn a_monitor_s_conditions_carry_items_between_all_languages() {
    both("conditions", ["put", "take"], |segment, name| segment.create_monitor(name).map(drop), nothing);
}

#[test]
fn an_rwlock_excludes_writers_and_readers_in_all_languages() {
    for policy in [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair] {
        let make = match policy {
            RwPolicy::ReadersFirst => {
                |segment: &Segment, name: &str| segment.create_rwlock(name, RwPolicy::ReadersFirst).map(drop)
            }
            RwPolicy::WritersFirst => {
                |segment: &Segment, name: &str| segment.create_rwlock(name, RwPolicy::WritersFirst).map(drop)
            }
            RwPolicy::Fair => |segment: &Segment, name: &str| segment.create_rwlock(name, RwPolicy::Fair).map(drop),
        };
        let free = |segment: &Segment, name: &str| {
            let lock = segment.open_rwlock(name).unwrap();
            assert!(lock.readers() == 0 && lock.writer().is_none());
        };
        both(policy.name(), ["lock-write"; 2], make, free);
        both(policy.name(), ["lock-write", "lock-read"], make, free);
    }
}

#[test]
fn a_lease_of_one_excludes_in_all_languages() {
    both(
        "lease",
        ["lock-lease"; 2],
        |segment, name| segment.create_semaphore_with(name, SemaphoreOptions::leased(1)).map(drop),
        |segment, name| assert_eq!(segment.open_semaphore(name).unwrap().value(), 1),
    );
}

#[test]
fn a_barrier_lets_two_go_on_together_in_all_languages() {
    let name = Name::fresh("matrix");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (a, b) in Language::pairs() {
        let _watchdog = watchdog(&format!("barrier: {a:?} and {b:?}"), 2 * PATIENCE);
        let object = format!("{a:?}-{b:?}");
        segment.create_barrier(&object, 2).unwrap();
        let peers = [a, b].map(|language| Peer::start(language, "meet", &name, &object, N, ""));
        let led: u64 = peers
            .map(|peer| {
                let said = peer.succeeds().pop().unwrap();
                let led = said.strip_prefix(&format!("ok {N} ")).unwrap_or_else(|| panic!("{a:?} and {b:?}: {said}"));
                led.parse::<u64>().unwrap()
            })
            .iter()
            .sum();
        assert_eq!(led, N, "{a:?} and {b:?}: one of two leads, each time");
        println!("barrier: {a:?} and {b:?}: {N} ok");
    }
}
