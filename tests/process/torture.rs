//! SIGKILL, SIGSTOP and SIGCONT at random instants of processes that lock and unlock everything there is, with the
//! books kept outside the segment: what a lock guards is never seen half changed unless a death was told, every
//! change that was completed counts, every permit comes back, and nobody hangs.
//!
//! `TRIVENI_CASES=N` kills N times instead of 150. `make soak` does that for long.

use std::time::{Duration, Instant};
use triveni::{Deadline, RwPolicy, Segment, SemaphoreOptions};
use triveni_tests::{Name, PATIENCE, Peer, Random, TORTURED, cases, wait_for, watchdog};

/// What the processes said about one lock.
#[derive(Clone, Copy, Default)]
struct Books {
    intents: u64,
    completed: u64,
}

fn book(lines: &[String], books: &mut [Books; TORTURED.len()]) {
    for line in lines {
        match line.split_once(' ') {
            Some(("i", lock)) => books[lock.parse::<usize>().unwrap()].intents += 1,
            Some(("c", lock)) => books[lock.parse::<usize>().unwrap()].completed += 1,
            None if line == "ready" => {}
            _ => panic!("a process says {line:?}"),
        }
    }
}

#[test]
fn processes_killed_while_they_lock_leave_nothing_half_changed_nothing_lost_and_nobody_stuck() {
    let kills = cases(150);
    let _watchdog = watchdog("random kills of lockers", 5 * PATIENCE + Duration::from_millis(kills * 200));
    let mut random = Random::seeded("torture");
    let name = Name::fresh("torture");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mutex = segment.create_mutex("mutex").unwrap();
    let monitor = segment.create_monitor("monitor").unwrap();
    let lease = segment.create_semaphore_with("lease", SemaphoreOptions::leased(1)).unwrap();
    let pool = segment.create_semaphore_with("pool", SemaphoreOptions::leased(3)).unwrap();
    let rwlocks = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair]
        .map(|policy| segment.create_rwlock(&policy.name().replace(' ', "-"), policy).unwrap());
    let file = std::env::temp_dir().join(format!("triveni-{}", &*name));
    std::fs::write(&file, [0u8; 16 * TORTURED.len()]).unwrap();
    let mut start = {
        let (name, path, mut seed) = (name.to_string(), file.to_str().unwrap().to_string(), random.number() >> 1);
        move || {
            seed += 1;
            Peer::rust(&["torture", &name, &path, &seed.to_string()])
        }
    };
    let mut books = [Books::default(); TORTURED.len()];
    let mut peers: Vec<Peer> = (0..4).map(|_| start()).collect();
    let begin = Instant::now();
    for _ in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        let i = random.below(peers.len() as u64) as usize;
        let stopped = (random.below(4) == 0).then(|| (i + 1) % peers.len());
        if let Some(stopped) = stopped {
            peers[stopped].signal(libc::SIGSTOP);
        }
        assert!(!peers[i].has_ended(), "a process ended by itself: {}", peers[i].ended().stderr);
        book(&peers[i].lines_so_far(), &mut books);
        book(&std::mem::replace(&mut peers[i], start()).kill(), &mut books);
        if let Some(stopped) = stopped {
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            peers[stopped].signal(libc::SIGCONT);
        }
    }
    // Everybody goes on after all that: each completes something more.
    for peer in &mut peers {
        book(&peer.lines_so_far(), &mut books);
        let mut said = Vec::new();
        wait_for("it goes on", || {
            said.extend(peer.lines_so_far());
            said.iter().any(|line| line.starts_with("c "))
        });
        book(&said, &mut books);
    }
    let lived = begin.elapsed();
    for peer in peers {
        book(&peer.kill(), &mut books);
    }
    let patience = || Deadline::after(PATIENCE);
    let recovered = [mutex.lock_until(patience()).map(drop).is_ok(), monitor.enter_until(patience()).map(drop).is_ok()];
    println!("at the end, of mutex and monitor free without a death: {recovered:?}");
    for lock in &rwlocks {
        let _ = lock.write_until(patience()).map(drop);
        assert_eq!(lock.readers(), 0);
    }
    lease.wait_until(patience()).unwrap();
    pool.wait_n_until(3, patience()).unwrap();
    segment.sweep().unwrap();
    assert_eq!((lease.value(), pool.value()), (0, 0));
    assert!(segment.waits().unwrap().is_empty());
    assert_eq!(segment.participants().unwrap().len(), 1);
    let numbers: Vec<u64> =
        std::fs::read(&file).unwrap().chunks_exact(8).map(|n| u64::from_le_bytes(n.try_into().unwrap())).collect();
    std::fs::remove_file(&file).unwrap();
    for (i, (lock, what)) in TORTURED.iter().enumerate().filter(|(_, (_, what))| *what != "read") {
        let (count, Books { intents, completed }) = (numbers[2 * i].max(numbers[2 * i + 1]), books[i]);
        println!("{lock} ({what}): {intents} begun, {completed} completed, {count} counted");
        assert!(completed > 0, "{lock}: nothing was done");
        assert!((completed..=intents).contains(&count), "{lock}: {count} is not between {completed} and {intents}");
    }
    println!("{kills} kills in {lived:.1?}");
}
