//! Shared memory and semaphores, POSIX and System V.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::kernel::{PosixSemaphore, PosixSharedMemory, SysvKey, SysvSemaphores, SysvSharedMemory};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::{End, owned_by};
use triveni_tests::{Gate, PATIENCE, Peer, wait_for, watchdog};

/// A POSIX name or a System V key that nobody else has; what it names is removed when dropped.
struct Place(String);

impl Place {
    fn posix() -> Place {
        Place(format!("/triveni-test-memory-{}-{}", std::process::id(), Place::number()))
    }

    fn sysv() -> Place {
        // Apart from the keys of the unit tests, which begin with the same pid.
        Place((1 << 30 | (std::process::id() << 8 & 0x3FFF_FF00) | Place::number()).to_string())
    }

    /// One of each kind that the system has.
    fn both() -> Vec<Place> {
        let sysv = (!absent()).then(Place::sysv);
        [Place::posix()].into_iter().chain(sysv).collect()
    }

    fn number() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, Relaxed)
    }

    fn key(&self) -> SysvKey {
        SysvKey::new(self.0.parse().unwrap())
    }

    fn is_posix(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Makes memory with zeros here.
    fn memory(&self) {
        match self.is_posix() {
            true => drop(PosixSharedMemory::create(&self.0, 64).unwrap()),
            false => drop(SysvSharedMemory::create(self.key(), 64).unwrap()),
        }
    }

    /// The first number of the memory here.
    fn count(&self) -> u64 {
        let mut bytes = [0; 8];
        match self.is_posix() {
            true => PosixSharedMemory::open(&self.0).unwrap().read_at(0, &mut bytes).unwrap(),
            false => SysvSharedMemory::open(self.key()).unwrap().read_at(0, &mut bytes).unwrap(),
        }
        u64::from_le_bytes(bytes)
    }

    /// Makes a semaphore here.
    fn semaphore(&self, initial: u16) {
        match self.is_posix() {
            true => drop(PosixSemaphore::create(&self.0, initial.into()).unwrap()),
            false => drop(SysvSemaphores::create(self.key(), &[initial]).unwrap()),
        }
    }

    /// The value of the semaphore here.
    fn value(&self) -> u32 {
        match self.is_posix() {
            true => PosixSemaphore::open(&self.0).unwrap().value(),
            false => SysvSemaphores::open(self.key()).unwrap().value(0).unwrap().into(),
        }
    }
}

/// True where the system has no System V IPC: then there is nothing of it to test, and it says so.
fn absent() -> bool {
    let absent = SysvSharedMemory::list().is_err_and(|e| e.kind() == ErrorKind::Unsupported);
    if absent {
        eprintln!("this system has no System V IPC");
    }
    absent
}

impl Drop for Place {
    fn drop(&mut self) {
        // There may be a memory, a semaphore, both or neither.
        if self.is_posix() {
            let _ = (PosixSharedMemory::unlink(&self.0), PosixSemaphore::unlink(&self.0));
        } else {
            let _ = (SysvSharedMemory::unlink(self.key()), SysvSemaphores::unlink(self.key()));
        }
    }
}

/// A peer behind a gate.
fn behind(gate: &Gate, end: End, args: &[&str]) -> Peer {
    let mut command = end.command("memory");
    command.args(args).stdin(gate.stdin());
    Peer::spawn(command, &format!("memory {} in {end:?}", args.join(" ")))
}

/// Bound to a process: no. Relatedness: no.
#[test]
fn what_a_creator_that_has_ended_left_in_memory_strangers_find() {
    let _watchdog = watchdog("what is left in memory", PATIENCE);
    for (a, b) in End::pairs() {
        for place in Place::both() {
            a.start("memory", &["make", &place.0, "5000"]).succeeds();
            let said = b.start("memory", &["check", &place.0, "5000"]).succeeds();
            assert_eq!(said, ["ok 5000"], "{a:?} to {b:?} by {}", place.0);
        }
    }
}

/// Bidirectional: yes. POSIX semaphores in the memory keep order.
#[test]
fn questions_and_answers_go_through_one_memory_with_unnamed_semaphores_in_it() {
    let _watchdog = watchdog("questions and answers in memory", PATIENCE);
    for (a, b) in End::pairs() {
        for place in Place::both() {
            let mut asking = a.start("memory", &["ask", &place.0, "30"]);
            asking.says("made");
            b.start("memory", &["answer", &place.0, "30"]).succeeds();
            assert_eq!(asking.succeeds(), ["ok 30"], "{a:?} and {b:?} by {}", place.0);
        }
    }
}

/// Automatic synchronisation: no.
#[test]
fn additions_to_shared_memory_without_a_lock_are_lost() {
    let _watchdog = watchdog("lost additions", PATIENCE);
    for place in Place::both() {
        place.memory();
        let gate = Gate::closed();
        let mut adders = End::ALL.map(|end| behind(&gate, end, &["lose", &place.0]));
        adders.iter_mut().for_each(|adder| adder.says("read"));
        gate.open();
        adders.into_iter().for_each(|adder| drop(adder.succeeds()));
        assert_eq!(place.count(), 1, "five processes have added 1 to 0, and four additions are lost");
    }
}

/// Automatic synchronisation: no, but semaphores bring it.
#[test]
fn additions_to_shared_memory_between_wait_and_post_are_all_there() {
    let _watchdog = watchdog("additions with a lock", PATIENCE);
    for (memory, lock) in Place::both().into_iter().zip(Place::both()) {
        memory.memory();
        lock.semaphore(1);
        let adders = End::ALL.map(|end| end.start("memory", &["add", &memory.0, &lock.0, "300"]));
        for adder in adders {
            assert_eq!(adder.succeeds(), ["ok 300"]);
        }
        assert_eq!((memory.count(), lock.value()), (1500, 1));
    }
}

/// Common address space required: yes.
#[test]
fn a_process_in_another_namespace_finds_no_shared_memory() {
    if absent() {
        return;
    }
    let place = Place::sysv();
    place.memory();
    let said = End::Rust.start("memory", &["elsewhere", &place.0]).succeeds();
    match said[0].as_str() {
        "may not" => eprintln!("not run: no right to make namespaces"),
        found => assert_eq!(found, "Err(NotFound)"),
    }
}

#[test]
fn a_post_wakes_who_sleeps_in_another_language() {
    let _watchdog = watchdog("posts", PATIENCE);
    for end in End::ALL {
        for place in Place::both() {
            place.semaphore(0);
            let mut sleeper = end.start("memory", &["wait", &place.0]);
            sleeper.says("waiting");
            if place.is_posix() {
                PosixSemaphore::open(&place.0).unwrap().post().unwrap();
            } else {
                let set = SysvSemaphores::open(place.key()).unwrap();
                wait_for("somebody waits", || set.semaphore_info(0).unwrap().waiting == 1);
                set.post(0, 1).unwrap();
            }
            assert_eq!(sleeper.succeeds(), ["taken"], "{end:?}");
            assert_eq!(place.value(), 0);
        }
    }
}

#[test]
fn permits_of_the_killed_stay_taken_without_undo_and_come_back_with_it() {
    let _watchdog = watchdog("permits of the killed", PATIENCE);
    for end in End::ALL {
        for place in Place::both() {
            place.semaphore(1);
            let mut holder = end.start("memory", &["hold", &place.0]);
            holder.says("holding");
            holder.kill();
            assert_eq!(place.value(), 0, "{end:?}");
        }
        if absent() {
            continue;
        }
        let place = Place::sysv();
        let set = SysvSemaphores::create(place.key(), &[2, 0]).unwrap();
        let mut holder = end.start("memory", &["undo", &place.0]);
        holder.says("holding");
        assert_eq!(set.values().unwrap(), [0, 1]);
        holder.kill();
        set.wait_until(0, 2, Deadline::after(PATIENCE)).unwrap();
        assert_eq!(set.values().unwrap(), [0, 0], "{end:?}");
    }
}

#[test]
fn removing_a_set_wakes_all_who_wait_in_it() {
    if absent() {
        return;
    }
    let _watchdog = watchdog("a set is removed", PATIENCE);
    let place = Place::sysv();
    let set = SysvSemaphores::create(place.key(), &[0]).unwrap();
    let sleepers = End::ALL.map(|end| end.start("memory", &["wait", &place.0]));
    wait_for("all wait", || set.semaphore_info(0).unwrap().waiting == 5);
    set.remove().unwrap();
    for sleeper in sleepers {
        assert_eq!(sleeper.succeeds(), ["waiting", "removed"]);
    }
}

#[test]
fn who_opens_a_semaphore_while_another_makes_it_finds_its_first_value() {
    let _watchdog = watchdog("a race for the first value", PATIENCE);
    for _ in 0..5 {
        for place in Place::both() {
            let gate = Gate::closed();
            let ends = [End::Rust, End::C, End::Rust, End::C, End::Rust, End::C, End::Python];
            let racers = ends.map(|end| behind(&gate, end, &["race", &place.0, "100"]));
            gate.open();
            racers.into_iter().for_each(|racer| drop(racer.succeeds()));
            assert_eq!(place.value(), 93);
        }
    }
}

#[test]
fn a_rain_of_signals_neither_ends_a_wait_early_nor_moves_its_deadline() {
    let _watchdog = watchdog("a rain of signals", PATIENCE);
    for place in Place::both() {
        place.semaphore(0);
        let storms = End::OURS.map(|end| (end, end.start("memory", &["storm", &place.0, "150"])));
        for (end, storm) in storms {
            let said = storm.succeeds();
            let ms: u64 = said[0].strip_prefix("timeout ").unwrap().parse().unwrap();
            // A deadline that each signal moved would never come; this one may be late on a loaded machine.
            assert!((149..20_000).contains(&ms), "{end:?}: {ms} ms");
        }
        assert_eq!(place.value(), 0);
    }
}

#[test]
fn a_deadline_is_kept_in_a_thread_that_nobody_disturbs() {
    for place in Place::both() {
        place.semaphore(0);
        let (begin, time) = (Instant::now(), Duration::from_millis(40));
        let until = Deadline::after(time);
        let waited = match place.is_posix() {
            true => PosixSemaphore::open(&place.0).unwrap().wait_until(until),
            false => SysvSemaphores::open(place.key()).unwrap().wait_until(0, 1, until),
        };
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::Timeout);
        assert!(begin.elapsed() >= time);
    }
}

#[test]
fn what_a_killed_owner_leaves_is_known_and_can_be_removed() {
    let _watchdog = watchdog("leftovers", PATIENCE);
    for end in End::OURS {
        for kind in ["posix semaphore", "posix shared memory", "sysv semaphores", "sysv shared memory"] {
            if kind.starts_with("sysv") && absent() {
                continue;
            }
            let place = if kind.starts_with("posix") { Place::posix() } else { Place::sysv() };
            let mut owner = end.start("memory", &["own", kind, &place.0]);
            owner.says("holding");
            let pid = owner.pid();
            owner.kill();
            let left = owned_by(pid).unwrap();
            assert!(left.left && left.kind.name() == kind, "{end:?}: {left:?}");
            let taken = match kind {
                "posix semaphore" => PosixSemaphore::create(&place.0, 1).err(),
                "posix shared memory" => PosixSharedMemory::create(&place.0, 64).err(),
                "sysv semaphores" => SysvSemaphores::create(place.key(), &[1]).err(),
                _ => SysvSharedMemory::create(place.key(), 64).err(),
            };
            let taken = taken.unwrap();
            assert!(
                taken.kind() == ErrorKind::Exists && taken.to_string().contains(&format!("process {pid}")),
                "{taken}"
            );
            left.remove().unwrap();
            assert!(owned_by(pid).is_none(), "{end:?}");
            match kind {
                "posix semaphore" => drop(PosixSemaphore::create(&place.0, 1).unwrap()),
                "posix shared memory" => drop(PosixSharedMemory::create(&place.0, 64).unwrap()),
                "sysv semaphores" => drop(SysvSemaphores::create(place.key(), &[1]).unwrap()),
                _ => drop(SysvSharedMemory::create(place.key(), 64).unwrap()),
            }
        }
    }
}

/// The awkward truth about POSIX memory, and what System V has instead.
#[test]
fn who_touches_posix_memory_that_was_truncated_is_killed_by_sigbus() {
    let _watchdog = watchdog("truncated memory", PATIENCE);
    let place = Place::posix();
    drop(PosixSharedMemory::create(&place.0, 8192).unwrap());
    let gate = Gate::closed();
    let mut toucher = behind(&gate, End::Rust, &["touch", &place.0]);
    toucher.says("attached");
    let path = format!("/dev/shm{}", place.0);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4096).unwrap();
    gate.open();
    assert_eq!(toucher.end().status.signal(), Some(libc::SIGBUS));
}

#[test]
fn what_belongs_to_another_user_is_refused_with_a_sentence() {
    for (memory, lock) in Place::both().into_iter().zip(Place::both()) {
        memory.memory();
        lock.semaphore(1);
        let said = End::Rust.start("memory", &["nobody", &memory.0, &lock.0]).succeeds();
        if said == ["may not"] {
            return eprintln!("not run: no right to become another user");
        }
        let [opened, locked, unlinked] = said.try_into().unwrap();
        for (what, said) in [("open", opened), ("open", locked), ("", unlinked)] {
            assert!(said.starts_with("Permission: ") && said.contains(what), "{said}");
        }
    }
}

#[test]
fn errors_name_the_limit_its_value_and_its_file() {
    if absent() {
        return;
    }
    let _watchdog = watchdog("limits", PATIENCE);
    let mut command = End::Rust.command("memory");
    command.arg("limits").stdin(Stdio::null());
    let said = Peer::spawn(command, "limits").succeeds();
    if said == ["may not"] {
        return eprintln!("not run: no right to make namespaces");
    }
    for (line, words) in said.iter().zip([
        ["one segment: NoSpace", "/proc/sys/kernel/shmmni is 1"],
        ["small segments: Invalid", "/proc/sys/kernel/shmmax is 4096"],
        ["one set: NoSpace", "/proc/sys/kernel/sem is \"3 6 2 1\""],
        ["two operations: TooLarge", "/proc/sys/kernel/sem is \"3 6 2 1\""],
        ["three semaphores: Invalid", "/proc/sys/kernel/sem is \"3 6 2 1\""],
        ["a full /dev/shm: NoSpace", "/dev/shm has 4096 of 65536 bytes free"],
        ["nothing is left: NotFound", "/more"],
        ["no room for a semaphore: NoSpace", "/dev/shm has 0 of 65536 bytes free"],
    ]) {
        for word in words {
            assert!(line.contains(word), "{line}\nlacks: {word}");
        }
    }
    assert_eq!(said.len(), 8);
}
