//! Two and more processes on one segment, nobody dies: who creates, what a fork keeps, what a signal does,
//! and what a wrong request is answered.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use triveni::{Capacity, Deadline, ErrorKind, ObjectKind, ObjectState, Segment};
use triveni_tests::{Gate, Language, Name, PATIENCE, Peer, cases, wait_for, watchdog};

const CROWD: usize = 64;

#[test]
fn one_of_64_processes_creates_the_segment() {
    let _watchdog = watchdog("64 processes create a segment", 2 * PATIENCE);
    let name = Name::fresh("race");
    let gate = Gate::closed();
    let mut crowd: Vec<Peer> = (0..CROWD)
        .map(|_| {
            let mut command = Peer::rust_command(&["create-segment", &name, "-", "0"]);
            command.stdin(gate.stdin());
            Peer::spawn(command, "create-segment")
        })
        .collect();
    crowd.iter_mut().for_each(|peer| peer.says("ready"));
    gate.open();
    let answers: Vec<String> = crowd.iter_mut().map(Peer::line).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "created").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "exists").count(), CROWD - 1, "{answers:?}");
}

#[test]
fn one_of_64_processes_creates_the_object_and_all_use_it() {
    let _watchdog = watchdog("64 processes create an object", 2 * PATIENCE);
    let name = Name::fresh("race");
    let segment = Segment::options().max_participants(CROWD + 1).create(&name, 1 << 20).unwrap();
    for round in 0..5 {
        let object = format!("mailbox-{round}");
        let gate = Gate::closed();
        let mut crowd: Vec<Peer> = (0..CROWD)
            .map(|_| {
                let mut command = Peer::rust_command(&["create-object", &name, &object, "0"]);
                command.stdin(gate.stdin());
                Peer::spawn(command, "create-object")
            })
            .collect();
        crowd.iter_mut().for_each(|peer| peer.says("ready"));
        gate.open();
        let answers: Vec<String> = crowd.into_iter().flat_map(Peer::succeeds).collect();
        assert_eq!(answers.len(), CROWD);
        assert_eq!(answers.iter().filter(|answer| *answer == "created").count(), 1, "{answers:?}");
        assert_eq!(segment.open_semaphore("arrivals").unwrap().value() as usize, CROWD * (round + 1));
        let named = segment.objects().unwrap().into_iter().filter(|o| o.name == object).count();
        assert_eq!(named, 1);
    }
}

#[test]
fn a_full_table_of_participants_is_said_and_a_place_is_free_again_after_a_death() {
    let _watchdog = watchdog("a full table of participants", 2 * PATIENCE);
    let name = Name::fresh("full");
    let segment = Segment::options().max_participants(2).create(&name, 1 << 20).unwrap();
    segment.create_mutex("m").unwrap();
    let mut second = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    second.says("ready");
    second.says("holding");
    let third = Peer::start(Language::Rust, "lock-once", &name, "m", 0, "").end();
    assert!(!third.status.success());
    assert!(third.stderr.contains('2'), "the limit is not named: {}", third.stderr);
    second.kill();
    assert_eq!(Peer::start(Language::Rust, "lock-once", &name, "m", 0, "").succeeds(), ["ready", "owner_died"]);
}

#[test]
fn after_a_fork_objects_go_on_and_guards_and_roles_stay_with_the_parent() {
    let _watchdog = watchdog("fork", 2 * PATIENCE);
    let name = Name::fresh("fork");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mailbox("box", 4, 64).unwrap();
    let mut said = Peer::rust(&["fork", &name, "box", "0"]).succeeds();
    said.sort();
    assert_eq!(said, ["child ok", "parent ok", "ready"]);
}

#[test]
fn an_anonymous_segment_is_inherited_over_fork() {
    let _watchdog = watchdog("fork of an anonymous segment", 2 * PATIENCE);
    let segment = Segment::anonymous(1 << 20).unwrap();
    let again = Segment::from_fd(segment.fd().unwrap()).unwrap();
    segment.mailbox("box", 4, 64).unwrap().send(b"through a descriptor").unwrap();
    let mut buffer = [0; 64];
    let received = again.open_mailbox("box").unwrap().receive_until(&mut buffer, Deadline::after(PATIENCE)).unwrap();
    assert_eq!(&buffer[..received.size], b"through a descriptor");
}

#[test]
fn every_channel_works_in_an_anonymous_segment_over_fork() {
    let _watchdog = watchdog("channels over fork", 2 * PATIENCE);
    let said = Peer::rust(&["inherit", "-", "-", "300"]).succeeds();
    let worked = said.iter().filter(|line| line.contains(": ok 300")).count();
    assert_eq!(worked, 14, "{said:?}");
}

#[test]
fn a_signal_ends_an_interruptible_wait_and_no_other() {
    let _watchdog = watchdog("a signal during a wait", 2 * PATIENCE);
    let name = Name::fresh("eintr");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_semaphore("s", 0).unwrap();
    for (interruptible, kind) in [("yes", "Interrupted"), ("no", "Timeout")] {
        let mut peer = Peer::rust(&["interrupted", &name, "s", "700", interruptible]);
        peer.says("ready");
        peer.sleeps();
        let begin = Instant::now();
        // A signal that lands between two sleeps of the same wait is late at most, never harmful: send several.
        while !peer.has_ended() && begin.elapsed() < Duration::from_millis(400) {
            peer.signal(libc::SIGUSR1);
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = peer.line();
        let (said, milliseconds) = said.split_once(' ').unwrap();
        assert_eq!(said, kind);
        if kind == "Timeout" {
            assert!(milliseconds.parse::<u64>().unwrap() >= 700, "the signal shortened the wait to {milliseconds} ms");
        }
        assert!(peer.end().status.success());
    }
    let mut peer = Peer::rust(&["interrupted", &name, "s", "60000", "no"]);
    peer.says("ready");
    peer.sleeps();
    peer.signal(libc::SIGUSR1);
    segment.open_semaphore("s").unwrap().post().unwrap();
    assert!(peer.line().starts_with("Ok "));
}

#[test]
fn every_wait_has_three_forms_across_processes() {
    let _watchdog = watchdog("the three forms", 2 * PATIENCE);
    let name = Name::fresh("forms");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let deadline = Duration::from_millis(30);
    let least =
        |begin: Instant| assert!(begin.elapsed() >= deadline, "a wait ended {:?} after its begin", begin.elapsed());

    let mutex = segment.create_mutex("m").unwrap();
    let mut holder = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    holder.says("ready");
    holder.says("holding");
    assert!(matches!(mutex.try_lock(), Ok(None)));
    let begin = Instant::now();
    let error = triveni::Error::from(mutex.lock_until(Deadline::after(deadline)).err().unwrap());
    least(begin);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let held = segment.objects().unwrap();
    let holding = held.iter().find(|o| o.name == "m").unwrap();
    assert!(matches!(holding.state, ObjectState::Mutex { holder: Some(_), .. }), "{holding:?}");
    assert_eq!(mutex.holder().unwrap().pid, Some(holder.pid()));

    let mailbox = segment.create_mailbox("b", 1, 8).unwrap();
    assert_eq!(mailbox.try_receive(&mut [0; 8]).unwrap(), None);
    assert_eq!(mailbox.try_peek(&mut [0; 8]).unwrap(), None);
    let begin = Instant::now();
    assert_eq!(mailbox.receive_until(&mut [0; 8], Deadline::after(deadline)).unwrap_err().kind(), ErrorKind::Timeout);
    least(begin);
    assert!(mailbox.try_send(b"one").unwrap());
    assert!(!mailbox.try_send(b"two").unwrap());
    let begin = Instant::now();
    assert_eq!(mailbox.send_until(b"two", Deadline::after(deadline)).unwrap_err().kind(), ErrorKind::Timeout);
    least(begin);
    let mut waiting = Peer::start(Language::Rust, "claim", &name, "b", 0, "");
    waiting.says("ready");
    waiting.sleeps();
    mailbox.receive(&mut [0; 8]).unwrap();
    waiting.says("holding");
}

#[test]
fn many_senders_and_many_receivers_lose_and_double_nothing() {
    let name = Name::fresh("many");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for round in 0..cases(20) {
        let _watchdog = watchdog(&format!("many to many, round {round}"), PATIENCE);
        const N: u64 = 1000;
        let object = format!("box-{round}");
        let mailbox = segment.create_mailbox(&object, 7, 512).unwrap();
        let senders = [1, 2].map(|id| Peer::rust(&["log-send", &name, &object, &id.to_string(), &N.to_string()]));
        let receive = || {
            let mut buffer = [0; 512];
            let mut got = Vec::new();
            for _ in 0..N {
                let received = mailbox.receive_until(&mut buffer, Deadline::after(PATIENCE)).unwrap();
                assert_eq!(received.redelivered, 0);
                let number = |at: usize| u64::from_le_bytes(buffer[at..at + 8].try_into().unwrap());
                got.push((number(0), number(8)));
            }
            for sender in [1, 2] {
                let seqs: Vec<u64> = got.iter().filter(|(from, _)| *from == sender).map(|(_, seq)| *seq).collect();
                assert!(seqs.is_sorted(), "messages of one sender came in another order");
            }
            got
        };
        let mut all: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let receivers = [scope.spawn(receive), scope.spawn(receive)];
            receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
        });
        senders.into_iter().for_each(|sender| drop(sender.succeeds()));
        all.sort();
        assert!(all.into_iter().eq([1, 2].into_iter().flat_map(|id| (0..N).map(move |seq| (id, seq)))));
        assert!(mailbox.is_empty());
        segment.remove(&object).unwrap();
    }
}

#[test]
fn a_wrong_request_is_answered_with_a_sentence_that_names_the_value() {
    let _watchdog = watchdog("wrong requests", 2 * PATIENCE);
    let name = Name::fresh("wrong");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mailbox = segment.create_mailbox("box", 3, 16).unwrap();
    let ring = segment.create_ring("ring", 1024).unwrap();
    let long = "x".repeat(64);
    let big = vec![0; 4096];
    let table: Vec<(ErrorKind, &[&str], Option<triveni::Error>)> = vec![
        (ErrorKind::NotFound, &["nowhere"], Segment::open("nowhere").err()),
        (ErrorKind::NotFound, &["missing"], segment.open_mutex("missing").err()),
        (ErrorKind::Invalid, &["a/b", "slash"], segment.mutex("a/b").err()),
        (ErrorKind::Invalid, &["64"], segment.mutex(&long).err()),
        (ErrorKind::Exists, &["box"], segment.create_mailbox("box", 3, 16).err()),
        (ErrorKind::Exists, &["test-wrong"], Segment::create(&name, 1 << 20).err()),
        (ErrorKind::Incompatible, &["box", "mailbox", "semaphore"], segment.semaphore("box", 0).err()),
        (ErrorKind::Incompatible, &["box", "3", "4"], segment.mailbox("box", 4, 16).err()),
        (ErrorKind::Incompatible, &["box", "16", "48"], segment.mailbox("box", 3, 48).err()),
        (ErrorKind::TooLarge, &["17", "16"], mailbox.send(&big[..17]).err()),
        (ErrorKind::TooLarge, &["4096"], ring.producer().unwrap().write(&big).err()),
        (ErrorKind::NoSpace, &["huge"], segment.mailbox("huge", 1 << 16, 1 << 12).err()),
    ];
    for (kind, parts, error) in table {
        let error = error.unwrap_or_else(|| panic!("no error where {kind:?} was expected ({parts:?})"));
        assert_eq!(error.kind(), kind, "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part:?} is not in {error}");
        }
        println!("{kind:?}: {error}");
    }
}

#[test]
fn a_removed_segment_still_mapped_goes_on() {
    let _watchdog = watchdog("a removed segment", 2 * PATIENCE);
    let name = Name::fresh("removed");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mailbox("box", 4, 64).unwrap();
    let mut receiver = Peer::start(Language::Rust, "receive", &name, "box", 3, "");
    receiver.says("ready");
    Segment::unlink(&name).unwrap();
    assert!(segment.is_unlinked());
    assert_eq!(Segment::open(&name).err().unwrap().kind(), ErrorKind::NotFound);
    let mailbox = segment.open_mailbox("box").unwrap();
    for size in [8usize, 9, 10] {
        let seq = size as u64 - 8;
        let mut message = seq.to_le_bytes().to_vec();
        message.extend((0..seq).map(|i| (seq * 7 + i) as u8));
        mailbox.send(&message).unwrap();
    }
    assert_eq!(receiver.succeeds(), ["ok 3"]);
}

#[test]
fn a_removed_object_wakes_who_waits_on_it() {
    let _watchdog = watchdog("a removed object", 2 * PATIENCE);
    let name = Name::fresh("removed");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mailbox("box", 4, 64).unwrap();
    let mut receiver = Peer::start(Language::Rust, "receive", &name, "box", 3, "");
    receiver.says("ready");
    receiver.sleeps();
    segment.remove("box").unwrap();
    let ended = receiver.end();
    assert!(!ended.status.success() && ended.stderr.contains("box"), "{}", ended.stderr);
    assert_eq!(segment.create_mailbox("box", 4, 64).unwrap().capacity(), 4);
}

#[test]
fn a_segment_is_private_unless_it_is_shared_on_purpose() {
    let name = Name::fresh("mode");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    assert_eq!(std::fs::metadata(name.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let shared = Name::fresh("mode");
    let _shared = Segment::options().mode(0o660).create(&shared, 1 << 20).unwrap();
    assert_eq!(std::fs::metadata(shared.file()).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(Segment::list().unwrap().iter().any(|listed| **listed == *name));
}

#[test]
fn a_look_from_outside_takes_no_slot() {
    let _watchdog = watchdog("inspect", 2 * PATIENCE);
    let name = Name::fresh("inspect");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mut peer = Peer::rust(&["everything", &name, "-", "0"]);
    peer.says("holding");
    let before = std::fs::read(name.file()).unwrap();
    let seen = Segment::inspect(&name).unwrap();
    assert!(before == std::fs::read(name.file()).unwrap(), "inspect changed the segment");
    assert_eq!(seen.participants.len(), 2, "{:?}", seen.participants);
    assert!(seen.participants.iter().all(|p| p.alive));
    assert!(seen.participants.iter().any(|p| p.pid == peer.pid() && p.name == "peer"), "{:?}", seen.participants);
    let kind = |name: &str| seen.objects.iter().find(|o| o.name == name).and_then(|o| o.state.kind());
    assert_eq!(kind("mutex"), Some(ObjectKind::Mutex));
    assert_eq!(kind("ring"), Some(ObjectKind::Ring));
    assert_eq!(kind("removed"), None);
    let mailbox = seen.objects.iter().find(|o| o.name == "mailbox").unwrap();
    assert!(
        matches!(mailbox.state, ObjectState::Mailbox { capacity: Capacity::Bounded(8), len: 4 | 5, .. }),
        "{mailbox:?}"
    );
    assert_eq!(mailbox.attached, [peer.pid()]);
    let pid = peer.pid();
    peer.kill();
    wait_for("the dead peer is swept", || {
        segment.sweep().unwrap();
        segment.participants().unwrap().iter().all(|p| p.pid != pid)
    });
}
