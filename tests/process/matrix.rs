//! Producer × consumer over {Rust, C, Python}² for every object: whatever one language makes, all three use.

use triveni::Segment;
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

fn row(index: usize) {
    let row = &TABLE[index];
    let name = Name::fresh("matrix");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let pairs = Language::pairs();
    assert!(!pairs.is_empty());
    for (a, b) in pairs {
        let _watchdog = watchdog(&format!("{}: {a:?} to {b:?}", row.object), 2 * PATIENCE);
        let object = format!("{a:?}-{b:?}");
        (row.make)(&segment, &object).unwrap();
        let mut consumer = Peer::start(b, row.consumer, &name, &object, N, "");
        consumer.says("ready");
        let producer = Peer::start(a, row.producer, &name, &object, N, "");
        let sent = producer.end();
        if !sent.status.success() {
            consumer.signal(libc::SIGTERM); // if it still waits
            panic!("{}: {a:?} to {b:?}: {}consumer: {}", row.object, sent.stderr, consumer.ended().stderr);
        }
        let said = consumer.succeeds();
        assert_eq!(said.last().map(String::as_str), Some(format!("ok {N}").as_str()), "{}: {a:?} to {b:?}", row.object);
        (row.afterwards)(&segment, &object);
        println!("{}: {a:?} to {b:?}: {N} ok", row.object);
    }
}

#[test]
fn a_post_in_any_language_is_a_permit_in_any_other() {
    row(0);
}

#[test]
fn a_mailbox_carries_messages_between_all_languages() {
    row(1);
}

#[test]
fn a_ring_carries_copied_records_between_all_languages() {
    row(2);
}

#[test]
fn a_ring_carries_records_in_place_between_all_languages() {
    row(3);
}

#[test]
fn a_ring_s_reader_does_not_see_how_a_record_was_written() {
    row(4);
}

#[test]
fn a_mutex_excludes_in_all_languages() {
    let name = Name::fresh("matrix");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (a, b) in Language::pairs() {
        let _watchdog = watchdog(&format!("mutex: {a:?} and {b:?}"), 2 * PATIENCE);
        let object = format!("{a:?}-{b:?}");
        let mutex = segment.create_mutex(&object).unwrap();
        let file = std::env::temp_dir().join(format!("triveni-{}-{object}", &*name));
        std::fs::write(&file, 0u64.to_le_bytes()).unwrap();
        // Both open it first, so that they do contend.
        let guard = mutex.lock().expect("a new mutex is free");
        let mut peers = [a, b].map(|l| Peer::start(l, "lock", &name, &object, N, file.to_str().unwrap()));
        peers.iter_mut().for_each(|peer| peer.says("ready"));
        drop(guard);
        for peer in peers {
            assert_eq!(peer.succeeds(), [format!("ok {N}")]);
        }
        let count = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(u64::from_le_bytes(count.try_into().unwrap()), 2 * N, "{a:?} and {b:?}");
        assert_eq!(mutex.holder(), None);
        println!("mutex: {a:?} and {b:?}: {} ok", 2 * N);
    }
}
