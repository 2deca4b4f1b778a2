//! SIGKILL of whoever holds something: the survivors are told, in every language, and go on.

use std::time::{Duration, Instant};
use triveni::{ErrorKind, LockError, RwPolicy, Segment, SemaphoreOptions, Stale, WatchEvent};
use triveni_tests::{Language, Name, PATIENCE, Peer, wait_for, watchdog};

/// A holder of a mutex is killed; a locker that is blocked on it gets the lock and is told.
#[test]
fn a_blocked_locker_in_any_language_learns_of_the_death_of_the_holder_in_any_other() {
    let name = Name::fresh("owner");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mut latencies = Vec::new();
    for (a, b) in Language::pairs() {
        let _watchdog = watchdog(&format!("{a:?} dies, {b:?} waits"), 2 * PATIENCE);
        let object = format!("{a:?}-{b:?}");
        let mutex = segment.create_mutex(&object).unwrap();
        let mut holder = Peer::start(a, "hold", &name, &object, 0, "");
        holder.says("ready");
        holder.says("holding");
        let mut locker = Peer::start(b, "lock-once", &name, &object, 0, "");
        locker.says("ready");
        locker.sleeps();
        let begin = Instant::now();
        holder.kill();
        locker.says("owner_died");
        latencies.push((begin.elapsed(), a, b));
        assert!(locker.succeeds().is_empty());
        assert_eq!(mutex.holder(), None);
        assert!(mutex.lock().is_ok(), "recovered, so the next locker hears nothing");
    }
    latencies.sort_by_key(|latency| latency.0);
    for (latency, a, b) in &latencies {
        println!("{a:?} killed, {b:?} told after {latency:?}, process start and output included");
    }
    println!("longest: {:?}", latencies.last().unwrap().0);
}

/// What the holder of each lock is killed with, what the one that is blocked by it does, and what that one is told.
const HELD: &[(&str, &str, &str)] = &[
    ("hold-monitor", "once-monitor", "owner_died"),
    ("hold-write", "once-write", "owner_died"),
    ("hold-write", "once-read", "owner_died"),
    ("hold-read", "once-write", "ok"),
    ("hold-lease", "once-lease", "ok"),
];

#[test]
fn who_is_blocked_by_a_dead_holder_in_any_language_goes_on_and_is_told() {
    let name = Name::fresh("held");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (a, b) in Language::pairs() {
        for (holds, waits, told) in HELD {
            let _watchdog = watchdog(&format!("{a:?} dies in {holds}, {b:?} waits in {waits}"), 2 * PATIENCE);
            let object = format!("{holds}-{waits}-{a:?}-{b:?}");
            match *holds {
                "hold-monitor" => drop(segment.create_monitor(&object).unwrap()),
                "hold-lease" => drop(segment.create_semaphore_with(&object, SemaphoreOptions::leased(1)).unwrap()),
                _ => drop(segment.create_rwlock(&object, RwPolicy::default()).unwrap()),
            }
            let mut holder = Peer::start(a, holds, &name, &object, 0, "");
            holder.says("ready");
            holder.says("holding");
            let mut waiter = Peer::start(b, waits, &name, &object, 0, "");
            waiter.says("ready");
            wait_for("it is seen to wait", || segment.waits().unwrap().iter().any(|wait| wait.pid == waiter.pid()));
            let begin = Instant::now();
            holder.kill();
            waiter.says(told);
            println!("{a:?} killed in {holds}, {b:?} went on after {:?}", begin.elapsed());
            assert!(waiter.succeeds().is_empty());
            if (*waits, *told) == ("once-read", "owner_died") {
                // A reader cannot repair; the next writer does.
                let writer = Peer::start(b, "once-write", &name, &object, 0, "");
                assert_eq!(writer.succeeds(), ["ready", "owner_died"]);
            }
            assert_eq!(Peer::start(b, waits, &name, &object, 0, "").succeeds(), ["ready", "ok"], "told once");
            segment.remove(&object).unwrap();
        }
    }
}

/// Kills a holder for whose mutex a thread here sleeps; how long until it has it. Without anybody asleep if not `asleep`.
fn recovery(segment: &Segment, name: &str, asleep: bool, known: &dyn Fn(u32)) -> Duration {
    let mutex = segment.mutex("m").unwrap();
    let mut holder = Peer::start(Language::Rust, "hold", name, "m", 0, "");
    holder.says("ready");
    holder.says("holding");
    known(holder.pid());
    let lock = || {
        let Err(LockError::OwnerDied(guard)) = mutex.lock() else { panic!("the death was kept silent") };
        guard.recover();
        Instant::now()
    };
    if !asleep {
        holder.kill();
        let begin = Instant::now();
        return lock() - begin;
    }
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(lock);
        wait_for("somebody sleeps", || !segment.waits().unwrap().is_empty());
        let begin = Instant::now();
        holder.kill();
        sleeper.join().unwrap() - begin
    })
}

#[test]
fn a_lock_is_had_after_its_holder_s_death_by_newcomers_and_sleepers_with_a_watcher_and_without() {
    let name = Name::fresh("recovery");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let print = |who: &str, asleep: bool, known: &dyn Fn(u32)| {
        let _watchdog = watchdog(who, 2 * PATIENCE);
        let mut all: Vec<_> = (0..20).map(|_| recovery(&segment, &name, asleep, known)).collect();
        all.sort_unstable();
        println!("{who}: p50 {:.1?}, longest {:.1?}", all[all.len() / 2], all[all.len() - 1]);
    };
    print("a newcomer", false, &|_| ());
    print("a sleeper", true, &|_| ());
    let (tell, told) = std::sync::mpsc::channel();
    let watcher = segment.watch_with(move |event| drop(tell.send(event))).unwrap();
    print("a sleeper, with a watcher", true, &|pid| {
        while !matches!(told.recv().unwrap(), WatchEvent::Joined(holder) if holder.pid == pid) {}
    });
    wait_for("all deaths are seen", || watcher.deaths() >= 20);
}

#[test]
fn who_waits_at_a_barrier_or_for_a_condition_hears_of_a_death_in_any_language() {
    let name = Name::fresh("meeting");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for (a, b) in Language::pairs() {
        let _watchdog = watchdog(&format!("{a:?} dies, {b:?} waits"), 2 * PATIENCE);
        let barrier = segment.create_barrier("barrier", 3).unwrap();
        let monitor = segment.create_monitor("monitor").unwrap();
        let mut dies = Peer::start(a, "attend", &name, "barrier", 0, "");
        let mut attends = Peer::start(b, "attend", &name, "barrier", 0, "");
        let mut waits = Peer::start(b, "wait-condition", &name, "monitor", 0, "");
        for peer in [&mut dies, &mut attends, &mut waits] {
            peer.says("waiting");
        }
        let sleeps = |pid| segment.waits().unwrap().iter().any(|wait| wait.pid == pid);
        wait_for("all three sleep", || [dies.pid(), attends.pid(), waits.pid()].into_iter().all(sleeps));
        let mut inside = Peer::start(a, "hold-monitor", &name, "monitor", 0, "");
        inside.says("ready");
        inside.says("holding");
        dies.kill();
        inside.kill();
        attends.says("broken");
        waits.says("owner_died");
        assert!(attends.succeeds().is_empty() && waits.succeeds().is_empty());
        assert!(barrier.is_broken() && !monitor.owner_died());
        segment.remove("barrier").unwrap();
        segment.remove("monitor").unwrap();
    }
}

#[test]
fn an_owner_s_death_is_told_until_somebody_recovers() {
    let _watchdog = watchdog("owner died, not recovered", 2 * PATIENCE);
    let name = Name::fresh("owner");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mutex = segment.create_mutex("m").unwrap();
    let mut holder = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    holder.says("ready");
    holder.says("holding");
    holder.kill();
    for _ in 0..2 {
        match mutex.lock() {
            Err(LockError::OwnerDied(guard)) => assert!(guard.owner_died()),
            Err(LockError::Failed(error)) => panic!("{error}"),
            Ok(_) => panic!("the death was kept silent"),
        };
    }
    match mutex.lock() {
        Err(LockError::OwnerDied(guard)) => guard.recover(),
        _ => panic!("a guard that was dropped without recover makes the death silent"),
    }
    assert!(mutex.lock().is_ok());
}

#[test]
fn both_sides_killed_in_between_and_the_next_two_go_on() {
    let _watchdog = watchdog("both sides killed", 3 * PATIENCE);
    let name = Name::fresh("both");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mailbox("box", 4, 512).unwrap();
    segment.create_ring("ring", 4096).unwrap();
    segment.create_mutex("m").unwrap();
    let mut all = vec![
        Peer::rust(&["log-send", &name, "box", "1", "0"]),
        Peer::rust(&["log-receive", &name, "box", "0"]),
        Peer::rust(&["log-produce", &name, "ring", "0"]),
        Peer::rust(&["log-consume", &name, "ring", "0"]),
        Peer::rust(&["hold", &name, "m", "0"]),
    ];
    for peer in &mut all {
        peer.says("ready");
        peer.line(); // each has done something
    }
    for peer in all {
        peer.kill();
    }
    // Nobody but this process is left, and it is in the way of none of them.
    let mut next = [
        Peer::rust(&["log-send", &name, "box", "2", "0"]),
        Peer::rust(&["log-receive", &name, "box", "0"]),
        Peer::rust(&["log-produce", &name, "ring", "1000000"]),
        Peer::rust(&["log-consume", &name, "ring", "0"]),
    ];
    for peer in &mut next {
        peer.says("ready");
    }
    let [_, receiver, _, consumer] = &mut next;
    wait_for("a message of the second sender", || receiver.line().starts_with("r 2 "));
    wait_for("a record of the second producer", || {
        let line = consumer.line();
        line.strip_prefix("r 1 ").is_some_and(|seq| seq.parse::<u64>().unwrap() >= 1_000_000)
    });
    assert_eq!(Peer::rust(&["lock-once", &name, "m", "0"]).succeeds(), ["ready", "owner_died"]);
}

#[test]
fn a_claim_of_a_dead_sender_is_voided_and_what_came_after_it_arrives() {
    let name = Name::fresh("void");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for language in Language::all() {
        let _watchdog = watchdog(&format!("a claim in {language:?}"), 2 * PATIENCE);
        let object = format!("{language:?}");
        let mailbox = segment.create_mailbox(&object, 2, 64).unwrap();
        let mut claimer = Peer::start(language, "claim", &name, &object, 0, "");
        claimer.says("ready");
        claimer.says("holding");
        mailbox.send(b"after the claim").unwrap();
        assert!(!mailbox.try_send(b"full").unwrap());
        assert_eq!(mailbox.try_receive(&mut [0; 64]).unwrap(), None, "the order of claims is the order of messages");
        claimer.kill();
        let mut buffer = [0; 64];
        let received = mailbox.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..received.size], b"after the claim");
        assert_eq!((mailbox.voided(), mailbox.len()), (1, 0));
        // Both places can be used again.
        assert!(mailbox.try_send(b"one").unwrap() && mailbox.try_send(b"two").unwrap());
    }
}

#[test]
fn a_dead_partner_on_a_ring_is_said_and_a_successor_takes_over() {
    let _watchdog = watchdog("a dead partner on a ring", 2 * PATIENCE);
    let name = Name::fresh("partner");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let ring = segment.create_ring("ring", 1024).unwrap();
    let mut peer = Peer::rust(&["log-produce", &name, "ring", "0"]);
    peer.says("ready");
    peer.says("i 0");
    peer.says("c 0");
    assert_eq!(ring.producer().err().unwrap().kind(), ErrorKind::Busy);
    peer.kill();
    let mut consumer = ring.consumer().unwrap();
    let mut buffer = [0; 1024];
    let mut seq = 0u64;
    let error = loop {
        match consumer.read(&mut buffer) {
            Ok(_) => {
                assert_eq!(buffer[8..16], seq.to_le_bytes());
                seq += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(seq > 0);
    assert_eq!(error.kind(), ErrorKind::PeerDead, "{error}");
    let mut producer = ring.producer().unwrap();
    producer.write(b"from the successor").unwrap();
    let size = consumer.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..size], b"from the successor");
}

/// A segment in which everybody is dead, opened by each policy.
#[test]
fn a_segment_of_the_dead_is_opened_by_policy() {
    let _watchdog = watchdog("a segment of the dead", 2 * PATIENCE);
    let abandoned = || {
        let name = Name::fresh("stale");
        let segment = Segment::create(&name, 1 << 20).unwrap();
        let mut peer = Peer::rust(&["everything", &name, "-", "0"]);
        peer.says("holding");
        drop(segment);
        let kept_open = peer.pid();
        peer.kill();
        let seen = Segment::inspect(&name).unwrap();
        assert!(seen.participants.iter().all(|p| p.pid != kept_open || !p.alive), "{:?}", seen.participants);
        name
    };

    let name = abandoned();
    assert_eq!(Segment::options().stale(Stale::Fail).open(&name).err().unwrap().kind(), ErrorKind::PeerDead);
    let segment = Segment::options().stale(Stale::Recover).open(&name).unwrap();
    let mailbox = segment.open_mailbox("mailbox").unwrap();
    let mut buffer = [0; 64];
    for seq in 1..5u64 {
        let received = mailbox.try_receive(&mut buffer).unwrap().expect("committed messages stay");
        assert_eq!((received.size, &buffer[..8]), (8 + seq as usize, &seq.to_le_bytes()[..]));
    }
    assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
    assert_eq!(mailbox.voided(), 1);
    let mut consumer = segment.open_ring("ring").unwrap().consumer().unwrap();
    let mut records = 0u64;
    while let Some(_size) = consumer.try_read(&mut buffer).unwrap_or(None) {
        assert_eq!(buffer[..8], records.to_le_bytes());
        records += 1;
    }
    assert_eq!(records, 20);
    assert!(matches!(segment.open_mutex("mutex").unwrap().lock(), Err(LockError::OwnerDied(_))));
    drop((segment, mailbox, consumer));

    let name = abandoned();
    assert_eq!(Segment::options().stale(Stale::Recreate).open(&name).err().unwrap().kind(), ErrorKind::NotFound);
    let name = abandoned();
    let segment = Segment::options().stale(Stale::Recreate).open_or_create(&name, 1 << 20).unwrap();
    assert!(segment.objects().unwrap().is_empty());
}

/// A process that is merely stopped is alive: nothing is taken from it.
/// Locks of every kind and who holds them: makes the object, starts the holder, and hands both out.
fn each_held(name: &str, segment: &Segment, mut test: impl FnMut(&str, &str, &mut Peer)) {
    for (holds, waits) in
        [("hold", "lock-once")].into_iter().chain(HELD.iter().map(|(holds, waits, _)| (*holds, *waits)))
    {
        let _watchdog = watchdog(holds, 2 * PATIENCE);
        let object = format!("{holds}-{waits}");
        match holds {
            "hold" => drop(segment.create_mutex(&object).unwrap()),
            "hold-monitor" => drop(segment.create_monitor(&object).unwrap()),
            "hold-lease" => drop(segment.create_semaphore_with(&object, SemaphoreOptions::leased(1)).unwrap()),
            _ => drop(segment.create_rwlock(&object, RwPolicy::default()).unwrap()),
        }
        let mut holder = Peer::start(Language::Rust, holds, name, &object, 0, "");
        holder.says("ready");
        holder.says("holding");
        test(&object, waits, &mut holder);
    }
}

#[test]
fn a_stopped_holder_is_not_dead() {
    let name = Name::fresh("stopped");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    each_held(&name, &segment, |object, waits, holder| {
        holder.signal(libc::SIGSTOP);
        let mut waiter = Peer::start(Language::Rust, waits, &name, object, 0, "");
        waiter.says("ready");
        wait_for("it is seen to wait", || segment.waits().unwrap().iter().any(|wait| wait.pid == waiter.pid()));
        // Some slices of its sleep end, each with a look at the holder; and a sweep finds nobody.
        let since = |pid| segment.waits().unwrap().iter().find(|wait| wait.pid == pid).map(|wait| wait.since);
        wait_for("it has slept for long", || {
            since(waiter.pid()).is_some_and(|since| since > Duration::from_millis(100))
        });
        assert_eq!(segment.sweep().unwrap(), 0, "{object}");
        assert!(waiter.lines_so_far().is_empty(), "{object}: taken from a stopped holder");
        holder.signal(libc::SIGCONT);
        holder.killed();
        waiter.succeeds();
    });
}

#[test]
fn a_holder_that_executes_another_program_has_died_though_its_pid_lives_on() {
    let name = Name::fresh("exec");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    each_held(&name, &segment, |object, waits, holder| {
        holder.signal(libc::SIGUSR1); // It executes `sleep` then.
        let waiter = Peer::start(Language::Rust, waits, &name, object, 0, "");
        let said = waiter.succeeds();
        assert_eq!(said[0], "ready");
        assert!(["ok", "owner_died"].contains(&said[1].as_str()), "{object}: {said:?}");
        assert!(!holder.has_ended(), "the process is still there");
    });
}

#[test]
fn who_is_stopped_while_it_waits_keeps_nobody_out_of_a_free_rwlock() {
    let name = Name::fresh("waits");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    for policy in [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair] {
        for waits in ["once-read", "once-write"] {
            let _watchdog = watchdog(&format!("{}: {waits} is stopped", policy.name()), 2 * PATIENCE);
            let object = format!("{}, {waits}", policy.name());
            let lock = segment.create_rwlock(&object, policy).unwrap();
            let held = lock.write().unwrap();
            let mut waiter = Peer::start(Language::Rust, waits, &name, &object, 0, "");
            waiter.says("ready");
            wait_for("it waits", || segment.waits().unwrap().iter().any(|wait| wait.pid == waiter.pid()));
            waiter.signal(libc::SIGSTOP);
            drop(held);
            let soon = || Duration::from_secs(10).into();
            drop(lock.read_until(soon()).unwrap_or_else(|error| panic!("{object}: {error}")));
            drop(lock.write_until(soon()).unwrap_or_else(|error| panic!("{object}: {error}")));
            waiter.signal(libc::SIGCONT);
            assert_eq!(waiter.succeeds(), ["ok"]);
        }
    }
}
