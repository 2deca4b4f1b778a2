//! The segment and its directory within one process; `tests/process` does the rest with several.

use super::*;
use crate::{ErrorKind, LockError};

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

/// A name of its own, removed at the end even when the test fails.
struct Name(String);

impl Name {
    fn new(test: &str) -> Name {
        Name(format!("unit-{test}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0);
    }
}

/// Longer than anything here takes, so that a fault fails and does not hang.
fn patience() -> crate::Deadline {
    std::time::Duration::from_secs(20).into()
}

/// A forked child that does something and then pauses; killed when dropped.
struct Child(libc::pid_t);

impl Child {
    fn runs(does: impl FnOnce()) -> Child {
        // SAFETY: the child only uses this library and ends by a signal.
        let child = unsafe { libc::fork() };
        if child == 0 {
            does();
            loop {
                // SAFETY: no preconditions.
                unsafe { libc::pause() };
            }
        }
        Child(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: our own child.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        // SAFETY: as above; no status is asked for.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
    }
}

#[test]
fn a_name_is_created_once_and_found_until_it_is_unlinked() {
    let name = Name::new("once");
    let first = Segment::create(&name.0, 1 << 20).unwrap();
    assert_eq!(Segment::create(&name.0, 1 << 20).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(Segment::open(&name.0).unwrap().size(), 1 << 20);
    assert!(Segment::list().unwrap().contains(&name.0));
    assert!(!first.is_unlinked());
    Segment::unlink(&name.0).unwrap();
    assert!(first.is_unlinked());
    assert_eq!(Segment::open(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Segment::unlink(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    first.semaphore("still usable", 1).unwrap().wait().unwrap();
}

#[test]
fn a_process_takes_part_once_however_often_it_opens() {
    let name = Name::new("part");
    let a = Segment::open_or_create(&name.0, 1 << 20).unwrap();
    let _b = Segment::open(&name.0).unwrap();
    let all = a.participants().unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].alive && all[0].pid == std::process::id());
}

#[test]
fn leaving_frees_the_seat() {
    let name = Name::new("leave");
    drop(Segment::create(&name.0, 1 << 20).unwrap());
    assert!(Segment::inspect(&name.0).unwrap().participants.is_empty());
}

#[test]
fn an_object_is_found_by_name_and_only_as_what_it_is() {
    let segment = segment();
    let a = segment.semaphore("s", 3).unwrap();
    let b = segment.semaphore("s", 99).unwrap();
    b.wait().unwrap();
    assert_eq!(a.value(), 2);
    let error = segment.mutex("s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("semaphore") && error.to_string().contains("mutex"), "{error}");
    assert_eq!(segment.create_semaphore("s", 0).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(segment.open_semaphore("t").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn another_geometry_is_refused_with_both_shown() {
    let segment = segment();
    segment.mailbox("m", 10, 64).unwrap();
    let error = segment.mailbox("m", 100, 64).err().unwrap().to_string();
    assert!(error.contains("capacity 10") && error.contains("100"), "{error}");
    segment.ring("r", 4096).unwrap();
    assert!(segment.ring("r", 4000).is_ok(), "rounded up to the same size");
    let error = segment.ring("r", 8192).err().unwrap().to_string();
    assert!(error.contains("4096") && error.contains("8192"), "{error}");
}

#[test]
fn memory_is_used_again_after_removal_and_only_after_the_last_handle() {
    let segment = segment();
    let size = 600 << 10;
    let held = segment.mailbox("big", 1, size).unwrap();
    let error = segment.mailbox("other", 1, size).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    held.send(b"old bytes").unwrap();
    segment.remove("big").unwrap();
    assert_eq!(segment.mailbox("other", 1, size).err().unwrap().kind(), ErrorKind::NoSpace);
    drop(held);
    let fresh = segment.mailbox("other", 1, size).unwrap();
    assert_eq!(fresh.len(), 0, "reused memory is cleared");
}

#[test]
fn a_removed_object_ends_its_waits() {
    let segment = segment();
    let semaphore = segment.semaphore("s", 0).unwrap();
    let waiter = std::thread::spawn({
        let semaphore = semaphore.clone();
        move || semaphore.wait()
    });
    segment.remove("s").unwrap();
    let error = waiter.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Removed, "{error}");
    assert_eq!(segment.remove("s").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_full_directory_says_so() {
    let segment = Segment::options().max_objects(2).anonymous(1 << 20).unwrap();
    let _a = segment.mutex("a").unwrap();
    let _b = segment.mutex("b").unwrap();
    let error = segment.mutex("c").unwrap_err();
    assert!(error.kind() == ErrorKind::NoSpace && error.to_string().contains("2 objects"), "{error}");
    segment.remove("a").unwrap();
    assert_eq!(segment.mutex("c").unwrap_err().kind(), ErrorKind::NoSpace, "a is still open");
    drop(_a);
    segment.mutex("c").unwrap();
}

#[test]
fn a_descriptor_brings_the_same_segment() {
    let a = segment();
    a.semaphore("s", 5).unwrap();
    let b = Segment::from_fd(a.fd().unwrap()).unwrap();
    assert_eq!(b.semaphore("s", 0).unwrap().value(), 5);
}

#[test]
fn an_unsealed_memfd_is_refused() {
    // SAFETY: a constant C string.
    let fd = unsafe { libc::memfd_create(c"t".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    // SAFETY: fresh from the kernel.
    let fd = unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    assert_eq!(Segment::from_fd(fd).unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn relocking_is_an_error_and_a_thread_that_ends_leaves_the_news() {
    let segment = segment();
    let mutex = segment.mutex("m").unwrap();
    let guard = mutex.lock().unwrap();
    let error = crate::Error::from(mutex.lock().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert!(mutex.try_lock().unwrap().is_none());
    drop(guard);
    assert_eq!(mutex.unlock().unwrap_err().kind(), ErrorKind::NotOwner);
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(mutex.lock().unwrap()));
    });
    // The thread's end is seen by scope before its destructors have run, so this may wait.
    match mutex.lock() {
        Err(LockError::OwnerDied(guard)) => guard.recover(),
        other => panic!("{other:?}"),
    }
    drop(mutex.lock().unwrap());
}

#[test]
fn objects_show_their_state() {
    let segment = segment();
    segment.semaphore("s", 4).unwrap();
    let mutex = segment.mutex("m").unwrap();
    let _guard = mutex.lock().unwrap();
    let objects = segment.objects().unwrap();
    assert!(matches!(objects[0].state, ObjectState::Semaphore { value: 4, .. }));
    assert!(matches!(objects[1].state, ObjectState::Mutex { holder: Some((1, _)), owner_died: false }));
    assert_eq!(objects[1].attached, [std::process::id()]);
    assert!(objects[0].attached.is_empty());
}

#[test]
fn a_truncated_or_overwritten_segment_is_refused() {
    let name = Name::new("bad");
    drop(Segment::create(&name.0, 1 << 20).unwrap());
    let file = std::fs::OpenOptions::new().write(true).open(memory::path_of(&name.0)).unwrap();
    file.set_len(1 << 19).unwrap();
    let error = Segment::open(&name.0).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("truncated"), "{error}");
    file.set_len(0).unwrap();
    assert_eq!(Segment::open(&name.0).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(memory::path_of(&name.0), vec![0x5A; 1 << 20]).unwrap();
    let error = Segment::open(&name.0).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("no segment"), "{error}");
}

#[test]
fn a_directory_held_by_an_impossible_slot_is_reported_at_once() {
    let segment = segment();
    let word = std::mem::offset_of!(layout::Header, directory) as u64;
    std::os::unix::fs::FileExt::write_all_at(segment.participant.file().unwrap(), &0x0000_0FFFu32.to_le_bytes(), word)
        .unwrap();
    let error = segment.mutex("m").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_wait_in_a_segment_whose_name_is_gone_says_so() {
    let name = Name::new("gone");
    let segment = Segment::create(&name.0, 1 << 20).unwrap();
    let semaphore = segment.semaphore("s", 0).unwrap();
    let wait = || semaphore.wait_until(std::time::Duration::from_millis(1).into()).unwrap_err().to_string();
    assert!(!wait().contains("open it again"));
    Segment::unlink(&name.0).unwrap();
    assert!(wait().contains("open it again"), "{}", wait());
    let _another = Segment::create(&name.0, 1 << 20).unwrap();
    assert!(wait().contains("new segment"));
}

#[test]
fn another_file_behind_our_descriptors_number_makes_nobody_dead() {
    let segment = segment();
    let ready = segment.semaphore("ready", 0).unwrap();
    let child = Child::runs(|| drop(ready.post()));
    ready.wait_until(patience()).unwrap();
    let slot = segment.participants().unwrap().iter().find(|p| p.pid == child.0 as u32).unwrap().slot;
    let alive = !segment.participant.is_dead(slot);
    segment.participant.replace_locks_for_test(std::fs::File::open("/dev/null").unwrap());
    let still_alive = !segment.participant.is_dead(slot);
    drop(child);
    assert!(alive && still_alive);
}

#[test]
fn the_repair_byte_is_held_until_the_outermost_repair_ends() {
    let segment = segment();
    let ready = segment.semaphore("ready", 0).unwrap();
    let child = Child::runs(|| drop(ready.post()));
    ready.wait_until(patience()).unwrap();
    let slot = segment.participants().unwrap().iter().find(|p| p.pid == child.0 as u32).unwrap().slot;
    drop(child);
    let me = &segment.participant;
    let held = me.repair(slot, || (me.repair(slot, || ()).is_some(), me.is_being_repaired(slot)));
    assert_eq!(held, Some((true, true)));
    assert!(!me.is_being_repaired(slot));
}

#[test]
fn a_holder_that_closes_its_descriptors_is_not_robbed_and_a_killed_one_is() {
    let segment = segment();
    let (ready, mutex) = (segment.semaphore("ready", 0).unwrap(), segment.mutex("m").unwrap());
    let child = Child::runs(|| {
        std::mem::forget(mutex.lock());
        for fd in 3..256 {
            // SAFETY: closing what is not open is an error and nothing more; the careless program is the point.
            unsafe { libc::close(fd) };
        }
        drop(ready.post());
    });
    ready.wait_until(patience()).unwrap();
    let while_alive =
        mutex.lock_until(std::time::Duration::from_millis(60).into()).map(drop).map_err(crate::Error::from);
    drop(child);
    assert_eq!(while_alive.unwrap_err().kind(), ErrorKind::Timeout);
    match mutex.lock_until(patience()) {
        Err(LockError::OwnerDied(guard)) => guard.recover(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dead_ones_seat_is_refused_while_it_cannot_be_swept() {
    let segment = Segment::options().max_participants(3).anonymous(1 << 20).unwrap();
    let (ready, mutex) = (segment.semaphore("ready", 0).unwrap(), segment.mutex("m").unwrap());
    let taken = segment.semaphore("taken", 0).unwrap();
    let dead = Child::runs(|| {
        std::mem::forget(mutex.lock());
        drop(ready.post());
    });
    ready.wait_until(patience()).unwrap();
    let stuck = Child::runs(|| {
        ready.value(); // Attaches, which needs the directory.
        let _ = segment.participant.with_directory(|_| {
            drop(ready.post());
            loop {
                // SAFETY: no preconditions.
                unsafe { libc::pause() };
            }
        });
    });
    ready.wait_until(patience()).unwrap();
    drop(dead);
    let tell = || {
        let code = match segment.participant.me() {
            Ok(_) => taken.post().map_or(9, |()| 0),
            Err(error) if error.kind() == ErrorKind::Busy => 7,
            Err(_) => 8,
        };
        // SAFETY: ends the child at once, without the test harness's exit handlers.
        unsafe { libc::_exit(code) }
    };
    let newcomer = Child::runs(tell);
    let mut status = 0;
    // SAFETY: our own child; `status` outlives the call.
    unsafe { libc::waitpid(newcomer.0, &mut status, 0) };
    std::mem::forget(newcomer);
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 7));
    drop(stuck);
    let _next = Child::runs(tell);
    taken.wait_until(patience()).unwrap();
    match mutex.lock_until(patience()) {
        Err(LockError::OwnerDied(guard)) => guard.recover(),
        other => panic!("{other:?}"),
    }
}

/// Waits until `fact` holds; the watchdog of the test program ends it if it never does.
fn until(fact: impl Fn() -> bool) {
    while !fact() {
        std::thread::yield_now();
    }
}

#[test]
fn who_sleeps_can_be_seen_with_what_for_and_who_is_in_the_way() {
    let segment = segment();
    let (mutex, box_) = (segment.mutex("m").unwrap(), segment.mailbox("box", 1, 8).unwrap());
    let held = mutex.lock().unwrap();
    assert!(segment.waits().unwrap().is_empty());
    std::thread::scope(|scope| {
        scope.spawn(|| drop(mutex.lock().unwrap()));
        scope.spawn(|| box_.receive(&mut [0; 8]).unwrap());
        until(|| segment.waits().unwrap().len() == 2);
        let mut waits = segment.waits().unwrap();
        waits.sort_by_key(|wait| wait.mode as u32);
        let [lock, receive] = &waits[..] else { panic!("{waits:?}") };
        assert_eq!((lock.mode, lock.object.as_str(), lock.kind), (WaitMode::Lock, "m", Some(ObjectKind::Mutex)));
        assert_eq!(lock.blocked_by, [mutex.holder().unwrap()]);
        assert_eq!((lock.pid, receive.pid), (std::process::id(), std::process::id()));
        assert_eq!((receive.mode, receive.object.as_str()), (WaitMode::Receive, "box"));
        assert!(
            receive.blocked_by.is_empty() && lock.tid != 0 && lock.tid != receive.tid && lock.thread != receive.thread
        );
        assert!(lock.to_string().ends_with("waits to lock \"m\""), "{lock}");
        assert!(segment.deadlocks().unwrap().is_empty());
        drop(held);
        box_.send(b"x").unwrap();
    });
    assert!(segment.waits().unwrap().is_empty());
}

#[test]
fn a_circle_is_named_while_it_stands_and_ends_with_a_deadline() {
    let segment = segment();
    let (a, b) = (segment.mutex("a").unwrap(), segment.mutex("b").unwrap());
    let gate = std::sync::Barrier::new(2);
    let open = segment.semaphore("open", 0).unwrap();
    std::thread::scope(|scope| {
        for (first, second) in [(&a, &b), (&b, &a)] {
            let (gate, open) = (&gate, &open);
            scope.spawn(move || {
                let _first = first.lock().unwrap();
                gate.wait();
                // A wait for ever that ends when the test has seen enough.
                while let Err(LockError::Failed(error)) =
                    second.lock_until(crate::Deadline::after(std::time::Duration::from_secs(1)))
                {
                    assert_eq!(error.kind(), ErrorKind::Timeout);
                    if open.value() > 0 {
                        return;
                    }
                }
            });
        }
        until(|| !segment.deadlocks().unwrap().is_empty());
        let found = segment.deadlocks().unwrap();
        open.post().unwrap();
        for one in &found {
            let text = one.to_string();
            assert_eq!(one.cycle.len(), 2);
            assert!(
                text.contains("waits to lock \"a\", held by") && text.contains("waits to lock \"b\", held by"),
                "{text}"
            );
        }
    });
    assert!(segment.deadlocks().unwrap().is_empty());
}

#[test]
fn in_a_segment_that_detects_deadlocks_exactly_the_last_of_the_circle_is_told() {
    let segment = Segment::options().detect_deadlocks(true).anonymous(1 << 20).unwrap();
    assert!(segment.detects_deadlocks());
    let forks: Vec<_> = (0..3).map(|i| segment.mutex(&format!("fork{i}")).unwrap()).collect();
    let gate = std::sync::Barrier::new(3);
    let told: Vec<Option<String>> = std::thread::scope(|scope| {
        let philosophers: Vec<_> = (0..3)
            .map(|i| {
                let (left, right, gate) = (&forks[i], &forks[(i + 1) % 3], &gate);
                scope.spawn(move || {
                    let _left = left.lock().unwrap();
                    gate.wait();
                    match right.lock() {
                        Ok(_right) => None,
                        Err(LockError::Failed(error)) if error.kind() == ErrorKind::Deadlock => Some(error.to_string()),
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        philosophers.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    let [one] = &told[..] else { panic!("{told:?}") };
    for i in 0..3 {
        assert!(one.contains(&format!("waits to lock \"fork{i}\"")), "{one}");
    }
}

#[test]
fn a_watcher_tells_who_comes_leaves_and_dies_and_sweeps() {
    let segment = segment();
    let (mutex, go) = (segment.mutex("m").unwrap(), segment.semaphore("go", 0).unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let watcher = segment.watch_with(move |event| drop(tell.send(event))).unwrap();
    let next = || told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert!(matches!(next(), WatchEvent::Joined(me) if me.pid == std::process::id()));
    let holder = Child::runs(|| {
        std::mem::forget(mutex.lock());
        go.post().unwrap();
    });
    go.wait_until(patience()).unwrap();
    assert!(matches!(next(), WatchEvent::Joined(child) if child.pid == holder.0 as u32 && child.alive));
    let pid = holder.0 as u32;
    drop(holder);
    match next() {
        WatchEvent::Died { participant, held, swept } => {
            assert_eq!((participant.pid, participant.alive, swept), (pid, false, true));
            assert_eq!(held, ["m"]);
        }
        event => panic!("{event:?}"),
    }
    assert!(mutex.owner_died() && mutex.holder().is_none(), "swept without anybody locking");
    let leaver = Child::runs(|| {
        let copy = segment.clone();
        copy.participant.me().unwrap();
        go.wait().unwrap();
        copy.participant.leave_for_test();
        go.post().unwrap();
    });
    assert!(matches!(next(), WatchEvent::Joined(child) if child.pid == leaver.0 as u32));
    go.post().unwrap();
    assert!(matches!(next(), WatchEvent::Left(child) if child.pid == leaver.0 as u32));
    assert_eq!(watcher.deaths(), 1);
    drop(watcher);
    assert!(told.recv().is_err(), "the thread is gone");
}

#[test]
fn a_forked_child_that_lets_go_of_everything_leaves_its_seat() {
    let name = Name::new("child-leaves");
    let segment = Segment::create(&name.0, 1 << 20).unwrap();
    let counted = segment.semaphore("counted", 0).unwrap();
    let copy = Segment::open(&name.0).unwrap();
    let _child = Child::runs(|| {
        let own = copy.semaphore("begun", 0).unwrap();
        own.post().unwrap();
        counted.wait().unwrap(); // Until the parent has counted.
        // SAFETY: the child never comes back to the parent's frames, and uses none of these after this.
        unsafe {
            std::ptr::drop_in_place((&raw const counted).cast_mut());
            std::ptr::drop_in_place((&raw const segment).cast_mut());
        }
        drop((own, copy));
    });
    let own = Segment::open(&name.0).unwrap();
    own.semaphore("begun", 0).unwrap().wait_until(patience()).unwrap();
    assert_eq!(own.participants().unwrap().len(), 2);
    own.semaphore("counted", 0).unwrap().post().unwrap();
    until(|| own.participants().unwrap().len() == 1);
}

#[test]
fn a_watcher_may_be_dropped_by_what_it_tells() {
    let segment = segment();
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None::<Watcher>));
    let (theirs, (tell, told)) = (slot.clone(), std::sync::mpsc::channel());
    let held = slot.lock().unwrap(); // Until the watcher is in its place.
    let watcher = segment.watch_with(move |_| {
        drop(theirs.lock().unwrap().take());
        let _ = tell.send(());
    });
    let mut held = held;
    *held = Some(watcher.unwrap());
    drop(held);
    told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert!(told.recv().is_err(), "its thread has ended");
}

#[test]
fn a_thread_that_ends_leaves_what_it_holds_also_while_the_directory_cannot_be_had() {
    let segment = segment();
    let (ready, mutex) = (segment.semaphore("ready", 0).unwrap(), segment.mutex("m").unwrap());
    let rwlock = segment.rwlock("r", RwPolicy::WritersFirst).unwrap();
    let _stuck = Child::runs(|| {
        ready.value(); // Attaches, which needs the directory.
        let _ = segment.participant.with_directory(|_| {
            drop(ready.post());
            loop {
                // SAFETY: no preconditions.
                unsafe { libc::pause() };
            }
        });
    });
    ready.wait_until(patience()).unwrap();
    let (m, r) = (mutex.clone(), rwlock.clone());
    let thread = std::thread::spawn(move || {
        std::mem::forget(m.lock());
        std::mem::forget(r.read());
    });
    thread.join().unwrap();
    let told = mutex.lock_until(patience());
    assert!(matches!(told, Err(LockError::OwnerDied(_))), "told by a thread that could not have the directory");
    assert_eq!(rwlock.readers(), 0);
}

#[test]
fn a_circle_is_found_however_many_others_come_and_go() {
    let segment = segment();
    let mutexes: Vec<_> = (0..4).map(|i| segment.mutex(&format!("m{i}")).unwrap()).collect();
    let (gate, done) = (std::sync::Barrier::new(2), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (first, second) in [(0, 1), (1, 0)] {
            let (mutexes, gate) = (&mutexes, &gate);
            scope.spawn(move || {
                let _first = mutexes[first].lock().unwrap();
                gate.wait();
                // Removed in the end; or had, once the other has given up.
                if let Err(error) = mutexes[second].lock() {
                    assert_eq!(crate::Error::from(error).kind(), ErrorKind::Removed);
                }
            });
        }
        for (first, second) in [(2, 3), (3, 2)] {
            let (mutexes, done) = (&mutexes, &done);
            scope.spawn(move || {
                // The textbook's "back off and try again".
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _first = mutexes[first].lock().unwrap();
                    let _ = mutexes[second].lock_until(std::time::Duration::from_micros(700).into());
                }
            });
        }
        until(|| {
            segment.waits().unwrap().iter().filter(|wait| ["m0", "m1"].contains(&wait.object.as_str())).count() == 2
        });
        for _ in 0..50 {
            let found = segment.deadlocks().unwrap();
            assert!(found.iter().any(|one| one.cycle.iter().any(|wait| wait.object == "m0")), "{found:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        segment.remove("m0").unwrap();
        segment.remove("m1").unwrap();
    });
}

#[test]
fn a_newcomer_waits_a_moment_for_a_seat_that_is_being_repaired() {
    let segment = Segment::options().max_participants(2).anonymous(1 << 20).unwrap();
    let ready = segment.semaphore("ready", 0).unwrap();
    let dead = Child::runs(|| drop(ready.post()));
    ready.wait_until(patience()).unwrap();
    drop(dead);
    // Its repair byte is held for some milliseconds, as by one who sweeps.
    let newcomer = std::sync::Mutex::new(None);
    segment.participant.repair(2, || {
        *newcomer.lock().unwrap() = Some(Child::runs(|| drop(ready.post())));
        std::thread::sleep(std::time::Duration::from_millis(20));
    });
    ready.wait_until(patience()).unwrap();
}

#[test]
fn a_seat_keeps_how_its_last_owner_went_under_its_next_one() {
    let segment = Segment::options().max_participants(2).anonymous(1 << 20).unwrap();
    let ready = segment.semaphore("ready", 0).unwrap();
    let sit_down = || {
        let child = Child::runs(|| drop(ready.post()));
        ready.wait_until(patience()).unwrap();
        child
    };
    let reaper = || segment.participant.region.seat(2).unwrap().state().reaper();
    drop(sit_down());
    assert_eq!(segment.sweep().unwrap(), 1);
    assert_ne!(reaper(), 0);
    let second = sit_down();
    assert_ne!(reaper(), 0, "the first one was swept");
    drop(second);
    let _third = sit_down(); // Without a sweep in between: it sweeps its predecessor itself.
    assert_ne!(reaper(), 0);
}
