//! Semaphores in a segment of this process and its children.

use super::*;
use crate::Segment;
use crate::segment::object::HeapMemory;
use proptest::prelude::*;
use std::time::Duration;

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

/// Longer than anything here takes, so that a fault fails and does not hang.
fn patience() -> Deadline {
    Duration::from_secs(20).into()
}

/// A child that does something and then pauses; killed when dropped.
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

fn leased(segment: &Segment, permits: u32) -> Semaphore {
    segment.semaphore_with("leased", SemaphoreOptions::leased(permits)).unwrap()
}

#[test]
fn permits_are_taken_and_given_one_by_one_and_several_at_once() {
    let semaphore = segment().semaphore("s", 3).unwrap();
    semaphore.wait().unwrap();
    assert!(!semaphore.try_wait_n(3).unwrap() && semaphore.try_wait_n(2).unwrap() && !semaphore.try_wait().unwrap());
    semaphore.post_n(5).unwrap();
    semaphore.wait_n(4).unwrap();
    assert_eq!(semaphore.value(), 1);
}

#[test]
fn a_post_beyond_the_maximum_adds_nothing() {
    let segment = segment();
    let full = segment.semaphore("full", Semaphore::MAX).unwrap();
    let few = segment.semaphore_with("few", SemaphoreOptions::counting(1).max(3)).unwrap();
    let binary = segment.semaphore_with("binary", SemaphoreOptions::binary(true)).unwrap();
    for (result, says) in [
        (full.post(), "2147483647 of at most 2147483647"),
        (full.post_n(2), "post 2 to (anonymous)/full"),
        (few.post_n(3), "1 of at most 3"),
        (binary.post(), "1 of at most 1"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overflow);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!((full.value(), few.value(), binary.value()), (Semaphore::MAX, 1, 1));
    few.post_n(2).unwrap();
    assert!(few.try_wait_n(3).unwrap());
}

#[test]
fn what_can_never_be_is_refused() {
    let segment = segment();
    for (options, says) in [
        (SemaphoreOptions::counting(0).max(0), "maximum of 0"),
        (SemaphoreOptions::counting(0).max(1 << 31), "2147483648 permits are too many"),
        (SemaphoreOptions::counting(4).max(3), "4 permits to begin with are more than its maximum of 3"),
        (SemaphoreOptions::leased(0), "maximum of 0"),
        (SemaphoreOptions::leased(4097), "4097 leased permits are too many; 4096"),
        (SemaphoreOptions::leased(3).max(4), "3 of 4"),
    ] {
        let error = segment.semaphore_with("s", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
    for options in [SemaphoreOptions::counting(1).max(3), SemaphoreOptions::leased(3)] {
        let semaphore = segment.create_semaphore_with(if options.leased { "l" } else { "c" }, options).unwrap();
        for n in [0, 4] {
            let short = Deadline::after(Duration::from_millis(1));
            for result in [semaphore.try_wait_n(n).map(drop), semaphore.wait_n(n), semaphore.wait_n_until(n, short)] {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
            }
        }
        assert_eq!(semaphore.post_n(0).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_leased_permit_is_posted_only_by_the_thread_that_took_it() {
    let segment = segment();
    let semaphore = leased(&segment, 2);
    assert_eq!(semaphore.post().unwrap_err().kind(), ErrorKind::NotOwner);
    semaphore.wait().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let error = semaphore.post().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotOwner);
            assert!(error.to_string().contains(&format!("of process {} holds one", std::process::id())), "{error}");
        });
    });
    assert_eq!(semaphore.post_n(2).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!((semaphore.value(), semaphore.holders().len()), (1, 1));
    semaphore.post().unwrap();
    assert_eq!((semaphore.value(), semaphore.holders().len()), (2, 0));
}

#[test]
fn several_leased_permits_are_taken_all_or_none() {
    let segment = segment();
    let semaphore = leased(&segment, 5);
    assert!(semaphore.try_wait_n(3).unwrap() && !semaphore.try_wait_n(3).unwrap());
    assert_eq!(semaphore.value(), 2);
    let timeout = semaphore.wait_n_until(3, Duration::from_millis(5).into()).unwrap_err();
    assert_eq!(timeout.kind(), ErrorKind::Timeout);
    assert!(timeout.to_string().contains("holds one of its permits"), "{timeout}");
    semaphore.wait_n(2).unwrap();
    semaphore.post_n(5).unwrap();
    assert_eq!(semaphore.value(), 5);
}

#[test]
fn a_thread_that_ends_gives_its_leased_permits_back_and_wakes_who_waits_for_them() {
    let segment = segment();
    let semaphore = leased(&segment, 3);
    let took = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            semaphore.wait_n(2).unwrap();
            took.wait();
            while segment.waits().unwrap().is_empty() {
                std::thread::yield_now();
            }
        });
        took.wait();
        semaphore.wait_n_until(3, patience()).unwrap();
    });
    semaphore.post_n(3).unwrap();
}

#[test]
fn leased_permits_come_back_from_a_killed_process_to_a_sleeper_a_newcomer_and_a_try() {
    let segment = segment();
    let (semaphore, ready) = (leased(&segment, 2), segment.semaphore("ready", 0).unwrap());
    for how in 0..4 {
        let child = Child::runs(|| {
            let _ = semaphore.wait_n(2).and_then(|()| ready.post());
        });
        ready.wait_until(patience()).unwrap();
        assert!(!semaphore.try_wait().unwrap());
        match how {
            0 => std::thread::scope(|scope| {
                scope.spawn(|| semaphore.wait_n_until(2, patience()).and_then(|()| semaphore.post_n(2)).unwrap());
                while segment.waits().unwrap().is_empty() {
                    std::thread::yield_now();
                }
                drop(child);
            }),
            1 => {
                drop(child);
                semaphore.wait_until(patience()).unwrap();
                semaphore.post().unwrap();
            }
            2 => {
                drop(child);
                while !semaphore.try_wait_n(2).unwrap() {
                    std::thread::yield_now();
                }
                semaphore.post_n(2).unwrap();
            }
            _ => {
                drop(child);
                segment.sweep().unwrap();
            }
        }
        assert_eq!(semaphore.value(), 2);
    }
}

#[test]
fn a_forked_child_holds_none_of_its_parents_permits() {
    let segment = segment();
    let (semaphore, told) = (leased(&segment, 2), segment.semaphore("told", 0).unwrap());
    semaphore.wait().unwrap();
    let _child = Child::runs(|| {
        if semaphore.post().is_err_and(|e| e.kind() == ErrorKind::NotOwner) {
            let _ = told.post();
        }
    });
    told.wait_until(patience()).unwrap();
    assert_eq!(semaphore.value(), 1);
}

#[test]
fn takers_of_several_all_get_their_turn_and_no_permit_is_lost() {
    let segment = segment();
    let leased = leased(&segment, 4);
    let counting = segment.semaphore_with("counting", SemaphoreOptions::counting(4).max(4)).unwrap();
    for semaphore in [&leased, &counting] {
        std::thread::scope(|scope| {
            for n in [1, 2, 3, 4, 3, 1] {
                scope.spawn(move || {
                    for _ in 0..500 {
                        semaphore.wait_n_until(n, patience()).unwrap();
                        semaphore.post_n(n).unwrap();
                    }
                });
            }
        });
        assert_eq!(semaphore.value(), 4);
    }
}

#[test]
fn a_removed_semaphore_ends_its_waits() {
    let segment = segment();
    let counting = segment.semaphore("counting", 0).unwrap();
    let leased = leased(&segment, 1);
    std::thread::scope(|scope| {
        leased.wait().unwrap();
        for semaphore in [&counting, &leased] {
            let waiter = scope.spawn(|| semaphore.wait_until(patience()).unwrap_err().kind());
            while segment.waits().unwrap().is_empty() {
                std::thread::yield_now();
            }
            segment.remove(semaphore.name()).unwrap();
            assert_eq!(waiter.join().unwrap(), ErrorKind::Removed);
        }
    });
}

#[test]
fn another_kind_of_semaphore_is_refused_with_both_shown() {
    let segment = segment();
    leased(&segment, 2);
    for options in [SemaphoreOptions::counting(2), SemaphoreOptions::counting(2).max(2), SemaphoreOptions::leased(3)] {
        assert_eq!(segment.semaphore_with("leased", options).unwrap_err().kind(), ErrorKind::Incompatible);
    }
    let opened = segment.open_semaphore("leased").unwrap();
    assert!(opened.is_leased() && opened.max() == 2);
}

#[test]
fn state_and_holders_are_to_be_seen_from_outside() {
    let segment = segment();
    let semaphore = leased(&segment, 3);
    semaphore.wait_n(2).unwrap();
    let holder = semaphore.holders()[0];
    let state = segment.objects().unwrap().remove(0).state;
    let leases = vec![(holder.slot, holder.thread); 2];
    assert_eq!(state, ObjectState::Semaphore { value: 1, max: 3, leases });
    let word = owner_word(holder.slot, holder.thread);
    let holds = (KIND.holds)(semaphore.resident.object().view());
    assert_eq!(holds, Holds::Permits { max: 3, out: vec![word, word] });
}

#[test]
fn a_permit_leased_to_an_impossible_slot_is_reported() {
    let segment = segment();
    let semaphore = leased(&segment, 1);
    let view = semaphore.resident.object().view();
    view.at::<crate::prim::AtomicU32>(64).unwrap().store(0xFFF, Relaxed);
    let error = semaphore.wait_until(patience()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("slot 4095"), "{error}");
    assert!(!semaphore.try_wait().unwrap());
}

proptest! {
    /// Whatever stands in the words: what the segment does with any object neither panics nor hangs, and a repair
    /// leaves no word that names the dead.
    #[test]
    fn garbage_in_the_words_is_survived(
        words in proptest::collection::vec(any::<u32>(), 32), max in any::<u64>(), few in 0u64..20, leased in 0u64..3,
    ) {
        for max in [max, few] {
            let memory = HeapMemory::new(128, [max, leased, 0, 0, 0]);
            let view = memory.view();
            for (i, word) in words.iter().enumerate() {
                view.at::<crate::prim::AtomicU32>(i * 4).unwrap().store(*word, Relaxed);
            }
            let _ = ((KIND.state)(view), (KIND.holds)(view), limits(view));
            (KIND.ring)(view);
            (KIND.leave)(view, 3, 4);
            for slot in [1, owner_slot(words[16]), owner_slot(words[3])] {
                (KIND.repair)(view, slot);
                if let Some(leases) = super::leases(view).filter(|_| slot != 0) {
                    prop_assert!(leases.holders().all(|word| owner_slot(word) != slot));
                }
            }
            if let (Ok((max, false)), Ok(words)) = (limits(view), SemaphoreWords::of(view)) {
                let before = words.value();
                if words.post_bounded(1, max) {
                    prop_assert!(before < max && words.take(1));
                }
            }
        }
    }
}
