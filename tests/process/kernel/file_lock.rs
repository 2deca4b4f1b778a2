//! Locks on files: whole files, ranges, and lock files.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use triveni::kernel::{FileLock, LockFile, LockFileOptions, LockMode, RangeLock, owned_objects};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::End;
use triveni_tests::{PATIENCE, Peer, wait_for, watchdog};

const HOW: [&str; 3] = ["flock", "range", "file"];
/// How often each of five programs adds one.
const N: u64 = 200;

/// A file with the number 0 in it, that nobody else has; removed when dropped, with its lock file.
struct Place(PathBuf);

impl Place {
    fn fresh() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed); // only has to be another one each time
        let path = std::env::temp_dir().join(format!("triveni-test-lock-{}-{number}", std::process::id()));
        fs::write(&path, 0u64.to_le_bytes()).unwrap();
        Place(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn number(&self) -> u64 {
        u64::from_le_bytes(fs::read(&self.0).unwrap().try_into().unwrap())
    }

    fn lock_file(&self) -> PathBuf {
        format!("{}.lock", self.text()).into()
    }

    /// The lock `how` of this process, tried once; at the end of `then` it is unlocked.
    fn locked(&self, how: &str, mode: LockMode, then: impl FnOnce()) -> bool {
        match how {
            "flock" => {
                let lock = FileLock::open(&self.0).unwrap();
                let taken = lock.try_acquire(mode).unwrap();
                taken.then(then);
                lock.release().unwrap();
                taken
            }
            "range" => {
                let lock = RangeLock::open(&self.0).unwrap();
                let taken = lock.try_acquire(mode, 8..16).unwrap();
                taken.then(then);
                lock.release(8..16).unwrap();
                taken
            }
            _ => {
                let guard = LockFile::new(self.lock_file(), LockFileOptions::default()).try_lock().unwrap();
                guard.map(|_guard| then()).is_some()
            }
        }
    }

    fn is_free(&self, how: &str, mode: LockMode) -> bool {
        self.locked(how, mode, || ())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(self.lock_file()); // most tests leave none
    }
}

/// Starts it, and waits until it holds its lock.
fn holder(end: End, role: &str, how: &str, place: &Place) -> Peer {
    let mut peer = end.start("file_lock", &[role, how, place.text()]);
    peer.says("holding");
    peer
}

#[test]
fn no_update_is_lost_between_all_languages_and_plain_programs() {
    let _watchdog = watchdog("counting under locks", 2 * PATIENCE);
    for how in HOW {
        let place = Place::fresh();
        let all = End::ALL.map(|end| end.start("file_lock", &["count", how, place.text(), &N.to_string()]));
        all.into_iter().for_each(|peer| assert_eq!(peer.succeeds(), [format!("ok {N}")], "{how}"));
        assert_eq!(place.number(), 5 * N, "{how}");
    }
}

#[test]
fn each_lock_keeps_out_all_languages_and_plain_programs() {
    let _watchdog = watchdog("locks of ours", 2 * PATIENCE);
    let place = Place::fresh();
    for how in HOW {
        let tries = || End::ALL.map(|end| end.start("file_lock", &["try", how, place.text()]));
        let held = place.locked(how, LockMode::Exclusive, || {
            tries().into_iter().for_each(|peer| assert_eq!(peer.succeeds(), ["busy"], "{how}"));
        });
        assert!(held, "{how}");
        // One after the other: they would meet.
        for end in End::ALL {
            assert_eq!(end.start("file_lock", &["try", how, place.text()]).succeeds(), ["taken"], "{how}, {end:?}");
        }
    }
}

#[test]
fn the_locks_of_each_language_and_of_plain_programs_keep_us_out_and_go_with_a_killed_holder() {
    let _watchdog = watchdog("locks of others", 2 * PATIENCE);
    for how in ["flock", "range"] {
        let place = Place::fresh();
        for end in End::ALL {
            let mut peer = holder(end, "hold", how, &place);
            assert!(
                !place.is_free(how, LockMode::Exclusive) && !place.is_free(how, LockMode::Shared),
                "{how}, {end:?}"
            );
            if how == "flock" {
                // The list is no snapshot: while other locks come and go, a line may be left out of it.
                let lock = FileLock::open(&place.0).unwrap();
                wait_for("the kernel lists the holder", || lock.holders() == [peer.pid()]);
            }
            let path = place.0.clone();
            let waits = std::thread::spawn(move || match how {
                "flock" => FileLock::open(path).unwrap().lock().map(drop),
                _ => RangeLock::open(path).unwrap().lock(..).map(drop),
            });
            peer.killed();
            waits.join().unwrap().unwrap();
        }
        let readers = End::ALL.map(|end| holder(end, "share", how, &place));
        assert!(place.is_free(how, LockMode::Shared) && !place.is_free(how, LockMode::Exclusive), "{how}");
        readers.into_iter().for_each(|peer| drop(peer.kill()));
        assert!(place.is_free(how, LockMode::Exclusive), "{how}: nobody has it");
    }
}

#[test]
fn a_lock_file_outlives_a_killed_holder_and_says_whose_it_was() {
    let _watchdog = watchdog("lock files of the dead", 2 * PATIENCE);
    for end in End::ALL {
        let place = Place::fresh();
        let lock = LockFile::new(place.lock_file(), LockFileOptions::default());
        let mut peer = holder(end, "hold", "file", &place);
        let (pid, ours) = (peer.pid(), End::OURS.contains(&end));
        let known = lock.holder().unwrap().unwrap();
        assert_eq!((known.pid, known.alive), (Some(pid), ours.then_some(true)), "{end:?}");
        assert!(lock.try_lock().unwrap().is_none());
        peer.killed();
        let taker = LockFile::new(place.lock_file(), LockFileOptions::default().take_over(true));
        if ours {
            let error = lock.lock().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PeerDead, "{end:?}: {error}");
            assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
            assert_eq!(lock.try_lock().unwrap_err().kind(), ErrorKind::PeerDead);
            let guard = taker.lock().unwrap();
            assert_eq!(guard.taken_over_from().and_then(|holder| holder.pid), Some(pid));
            guard.unlock().unwrap();
            assert!(!place.lock_file().exists());
        } else {
            // Whether a plain program is alive, nobody can say: its pid may be another namespace's.
            assert_eq!(lock.holder().unwrap().unwrap().alive, None, "{end:?}");
            assert!(lock.try_lock().unwrap().is_none() && taker.try_lock().unwrap().is_none());
            let error = taker.lock_until(Deadline::after(std::time::Duration::from_millis(10))).unwrap_err();
            assert!(error.kind() == ErrorKind::Timeout && error.to_string().contains(&pid.to_string()), "{error}");
        }
    }
}

#[test]
fn one_of_many_takes_over_what_a_dead_process_left() {
    let _watchdog = watchdog("many heirs", PATIENCE);
    for _ in 0..20 {
        let place = Place::fresh();
        let lock = LockFile::new(place.lock_file(), LockFileOptions::default().take_over(true));
        // As one of ours that is gone would have written it: this process, started at another time.
        let made = lock.lock().unwrap();
        let text = fs::read_to_string(place.lock_file()).unwrap();
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines[1] = "1";
        fs::write(place.lock_file(), lines.join("\n")).unwrap();
        assert_eq!(lock.holder().unwrap().unwrap().alive, Some(false));
        let gate = std::sync::Barrier::new(4);
        let heirs = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        gate.wait();
                        lock.try_lock().unwrap()
                    })
                })
                .collect();
            all.into_iter().filter_map(|heir| heir.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(heirs.len(), 1, "one, and no more");
        assert!(heirs[0].taken_over_from().is_some());
        drop(heirs);
        assert_eq!(made.unlock().unwrap_err().kind(), ErrorKind::NotOwner, "the dead do not come back");
        assert!(!place.lock_file().exists());
    }
}

#[test]
fn an_owned_lock_file_that_was_taken_over_is_no_leftover() {
    let place = Place::fresh();
    let options = LockFileOptions::default().owned(true).take_over(true);
    let listed =
        || owned_objects().unwrap().into_iter().filter(|one| one.name == *place.lock_file().as_os_str()).count();
    let guard = LockFile::new(place.lock_file(), options).lock().unwrap();
    assert_eq!(listed(), 1);
    // Somebody else's text in the same file: another's lock, which the record does not mean.
    let text = fs::read_to_string(place.lock_file()).unwrap();
    fs::write(place.lock_file(), text.replacen(' ', "9", 1)).unwrap();
    assert_eq!(listed(), 0);
    fs::write(place.lock_file(), text).unwrap();
    drop(guard);
    assert_eq!(listed(), 0);
    assert!(!place.lock_file().exists());
}

#[test]
fn ranges_meet_where_they_overlap_and_at_the_end_of_the_file() {
    let place = Place::fresh();
    let (mine, yours) = (RangeLock::open(&place.0).unwrap(), RangeLock::open(&place.0).unwrap());
    let guard = mine.lock(10..20).unwrap();
    assert!(yours.try_lock(..=10).unwrap().is_none() && yours.try_lock(19..).unwrap().is_none());
    assert!(yours.try_lock(..10).unwrap().is_some() && yours.try_lock(20..).unwrap().is_some());
    let blocker = yours.blocker(LockMode::Shared, ..).unwrap().unwrap();
    assert_eq!((blocker.mode, blocker.start, blocker.last, blocker.pid), (LockMode::Exclusive, 10, Some(19), None));
    let error = yours.lock_until(0..11, Deadline::now()).unwrap_err();
    assert!(
        error.to_string().contains("lock bytes 0 to 10") && error.to_string().contains("bytes 10 to 19"),
        "{error}"
    );
    guard.unlock().unwrap();
    let _rest = mine.lock_shared(100..).unwrap();
    assert_eq!(yours.blocker(LockMode::Exclusive, ..).unwrap().unwrap().last, None);
    assert!(yours.try_lock_shared(..).unwrap().is_some());
    for (start, end) in [(5, 5), (6, 5), (u64::MAX, u64::MAX), (0, 1 << 63)] {
        assert_eq!(mine.try_lock(start..end).unwrap_err().kind(), ErrorKind::Invalid, "{start}..{end}");
    }
    assert!(mine.try_lock((1 << 63) - 2..(1 << 63) - 1).unwrap().is_some());
}

#[test]
fn a_file_that_may_only_be_read_is_locked_shared_only_in_ranges() {
    let place = Place::fresh();
    let lock = RangeLock::from(fs::File::open(&place.0).unwrap());
    assert!(lock.try_lock_shared(..).unwrap().is_some());
    for error in
        [lock.lock(..).map(drop), lock.try_lock(..).map(drop), lock.lock_until(.., Deadline::after(PATIENCE)).map(drop)]
    {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System(libc::EBADF));
        assert!(error.to_string().contains("needs it open for writing"), "{error}");
    }
    assert!(FileLock::from(fs::File::open(&place.0).unwrap()).try_lock().unwrap().is_some(), "flock does not mind");
}

#[test]
fn a_forked_child_shares_its_parents_locks_and_one_unlocks_for_both() {
    let _watchdog = watchdog("locks over fork", PATIENCE);
    let place = Place::fresh();
    let mut whole = FileLock::open(&place.0).unwrap();
    let range = RangeLock::open(&place.0).unwrap();
    let mut ends = [0; 2];
    let guards = (whole.lock().unwrap(), range.lock(..).unwrap());
    // SAFETY: room for two descriptors; the child makes system calls only.
    let child = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        libc::fork()
    };
    if child == 0 {
        drop(guards); // does nothing here: it is the parent's as well
        // SAFETY: system calls on descriptors of ours; the child waits until it is killed.
        unsafe {
            libc::write(ends[1], [1u8].as_ptr().cast(), 1);
            loop {
                libc::pause();
            }
        }
    }
    let mut byte = [0u8];
    // SAFETY: one byte of ours.
    assert_eq!(unsafe { libc::read(ends[0], byte.as_mut_ptr().cast(), 1) }, 1);
    assert!(!place.is_free("flock", LockMode::Shared) && !place.is_free("range", LockMode::Shared));
    // Closing is not unlocking: the child has the description too.
    std::mem::forget(guards);
    drop((whole, range));
    assert!(!place.is_free("flock", LockMode::Shared) && !place.is_free("range", LockMode::Shared));
    // SAFETY: our own child, which nobody else waits for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    assert!(place.is_free("flock", LockMode::Exclusive) && place.is_free("range", LockMode::Exclusive));
}

#[test]
fn a_rain_of_signals_moves_no_deadline_and_ends_no_wait() {
    let _watchdog = watchdog("locks in the rain", 2 * PATIENCE);
    for how in HOW {
        let place = Place::fresh();
        let mut late = None;
        let held = place.locked(how, LockMode::Exclusive, || {
            let soaked = End::OURS.map(|end| end.start("file_lock", &["rain", how, place.text(), "60"]));
            for peer in soaked {
                let said = peer.succeeds();
                let ms: u64 = said[0].strip_prefix("timeout ").unwrap().parse().unwrap();
                assert!(ms >= 60, "{how}: {said:?}");
            }
            late = Some(End::OURS.map(|end| {
                let mut peer = end.start("file_lock", &["late", how, place.text()]);
                peer.says("waiting");
                peer
            }));
        });
        assert!(held);
        for peer in late.into_iter().flatten() {
            assert_eq!(peer.succeeds(), ["taken"], "{how}");
        }
    }
}

#[test]
fn files_carry_data_between_unrelated_processes_and_outlive_them() {
    let _watchdog = watchdog("a file as a channel", PATIENCE);
    let place = Place::fresh();
    // Two that know nothing of each other but the path: what one wrote stays when it has ended, for the other.
    for end in [End::PlainC, End::Python] {
        assert_eq!(end.start("file_lock", &["count", "flock", place.text(), "10"]).succeeds(), ["ok 10"]);
    }
    assert_eq!(place.number(), 20);
    assert!(place.is_free("flock", LockMode::Exclusive), "nobody has the lock");
}
