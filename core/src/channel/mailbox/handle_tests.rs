//! The handle on a real segment: copies, loans, waits, a child that dies, bytes that are garbage.

use super::options::geometry;
use super::queue::Attempt;
use super::*;
use crate::Segment;
use crate::prim::AtomicU64;
use crate::segment::object::View;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn fresh(capacity: usize, message_size: usize) -> (Segment, Mailbox) {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let mailbox = segment.mailbox("m", capacity, message_size).unwrap();
    (segment, mailbox)
}

fn received(size: usize) -> Received {
    Received { size, ..Received::default() }
}

#[test]
fn messages_of_any_size_up_to_the_largest_arrive_whole_and_in_order() {
    let (_segment, mailbox) = fresh(4, 300);
    let bytes: Vec<u8> = (0..300u32).map(|i| i as u8).collect();
    let mut buffer = [0; 300];
    for sizes in [[0, 1, 7, 8], [47, 48, 49, 64], [255, 256, 299, 300]] {
        for size in sizes {
            mailbox.send(&bytes[300 - size..]).unwrap();
        }
        assert_eq!((mailbox.len(), mailbox.try_send(b"x").unwrap()), (4, false));
        for size in sizes {
            assert_eq!(mailbox.peek(&mut buffer).unwrap(), received(size));
            buffer.fill(0xEE);
            assert_eq!(mailbox.receive(&mut buffer).unwrap(), received(size));
            assert_eq!(buffer[..size], bytes[300 - size..]);
            assert!(buffer[size..].iter().all(|b| *b == 0xEE), "wrote behind the message");
        }
        assert!(mailbox.is_empty());
        assert_eq!((mailbox.try_receive(&mut buffer).unwrap(), mailbox.try_peek(&mut buffer).unwrap()), (None, None));
    }
    assert_eq!((mailbox.capacity(), mailbox.message_size(), mailbox.name(), mailbox.voided()), (4, 300, "m", 0));
}

#[test]
fn too_large_and_too_small_name_both_numbers_and_take_nothing() {
    let (_segment, mailbox) = fresh(2, 16);
    for error in [mailbox.send(&[0; 17]).unwrap_err(), mailbox.try_reserve(17).map(drop).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("17") && error.to_string().contains("16"), "{error}");
    }
    mailbox.send(b"kept").unwrap();
    let mut small = [0; 15];
    for error in [mailbox.receive(&mut small).unwrap_err(), mailbox.try_peek(&mut small).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("15") && error.to_string().contains("16"), "{error}");
    }
    assert_eq!(mailbox.receive(&mut [0; 16]).unwrap(), received(4));
}

#[test]
fn a_deadline_ends_each_wait_and_not_before() {
    let (_segment, mailbox) = fresh(1, 8);
    let wait = Duration::from_millis(20);
    let mut buffer = [0; 8];
    let begin = Instant::now();
    assert_eq!(mailbox.receive_until(&mut buffer, wait.into()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(mailbox.peek_until(&mut buffer, wait.into()).unwrap_err().kind(), ErrorKind::Timeout);
    mailbox.send(b"x").unwrap();
    assert_eq!(mailbox.send_until(b"y", wait.into()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(mailbox.reserve_until(1, wait.into()).map(drop).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= 4 * wait);
    assert_eq!(mailbox.receive_until(&mut buffer, Deadline::now()).unwrap(), received(1));
}

#[test]
fn a_sleeper_on_either_side_is_woken() {
    let (_segment, mailbox) = fresh(1, 8);
    std::thread::scope(|scope| {
        let other = mailbox.clone();
        scope.spawn(move || {
            let mut buffer = [0; 8];
            for i in 0..2000u64 {
                assert_eq!(other.receive(&mut buffer).unwrap(), received(8));
                assert_eq!(u64::from_ne_bytes(buffer), i);
            }
        });
        for i in 0..2000u64 {
            mailbox.send(&i.to_ne_bytes()).unwrap();
            if i % 100 == 0 {
                // Until the receiver has gone to sleep, or to where it could.
                while !mailbox.is_empty() {
                    std::thread::yield_now();
                }
            }
        }
    });
}

#[test]
fn a_loan_is_written_in_place_and_sent_once() {
    let (_segment, mailbox) = fresh(2, 32);
    let mut buffer = [0; 32];
    let mut loan = mailbox.reserve(8).unwrap();
    loan.write(4, b"5678").unwrap();
    loan.write(0, b"1234").unwrap();
    assert_eq!(loan.write(5, b"5678").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(loan.write(usize::MAX, b"5678").unwrap_err().kind(), ErrorKind::TooLarge);
    let raw = loan.into_raw();
    assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
    mailbox.resume(raw).unwrap().commit(6).unwrap();
    assert_eq!(mailbox.resume(raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(mailbox.receive(&mut buffer).unwrap(), received(6));
    assert_eq!(&buffer[..6], b"123456");
    // The same place a lap later, claimed by the same process: the old plain data are still stale.
    for _ in 0..2 {
        let next = mailbox.reserve(1).unwrap();
        assert_eq!(mailbox.resume(raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner);
        next.cancel();
    }
    assert!(mailbox.is_empty());
}

#[test]
fn of_two_copies_of_one_loan_the_first_counts() {
    let (_segment, mailbox) = fresh(2, 32);
    let raw = mailbox.reserve(8).unwrap().into_raw();
    let (first, second) = (mailbox.resume(raw).unwrap(), mailbox.resume(raw).unwrap());
    first.commit(8).unwrap();
    assert_eq!(second.commit(4).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(mailbox.receive(&mut [0; 32]).unwrap(), received(8));
}

#[test]
fn a_forged_loan_is_refused() {
    let (_segment, mailbox) = fresh(2, 32);
    let good = mailbox.reserve(8).unwrap().into_raw();
    for forged in [
        RawLoan { index: 1, ..good },
        RawLoan { index: u32::MAX, ..good },
        RawLoan { size: 33, ..good },
        RawLoan { word: good.word + 16, ..good },
        RawLoan { word: good.word + (1 << 32), ..good },
        RawLoan { word: 0, ..good },
    ] {
        assert_eq!(mailbox.resume(forged).map(drop).unwrap_err().kind(), ErrorKind::NotOwner, "{forged:?}");
    }
    mailbox.resume(good).unwrap().commit(8).unwrap();
}

#[test]
fn a_loan_that_is_dropped_or_overdrawn_gives_its_room_back() {
    let (_segment, mailbox) = fresh(1, 32);
    drop(mailbox.reserve(8).unwrap());
    assert_eq!(mailbox.reserve(8).unwrap().commit(9).unwrap_err().kind(), ErrorKind::TooLarge);
    mailbox.send(b"x").unwrap();
    assert_eq!((mailbox.receive(&mut [0; 32]).unwrap(), mailbox.voided()), (received(1), 0));
}

#[test]
fn a_removed_mailbox_ends_waits_and_polling() {
    let (segment, mailbox) = fresh(1, 8);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| mailbox.receive(&mut [0; 8]).unwrap_err().kind());
        segment.remove("m").unwrap();
        assert_eq!(waiter.join().unwrap(), ErrorKind::Removed);
    });
    assert_eq!(mailbox.try_receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Removed);
}

#[test]
fn a_word_that_cannot_be_is_reported_not_believed() {
    let (_segment, mailbox) = fresh(1, 8);
    mailbox.memory.head(0).set_word(0xF);
    for error in [mailbox.try_send(b"x").unwrap_err(), mailbox.try_receive(&mut [0; 8]).map(drop).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("0x000000000000000f"), "{error}");
    }
}

#[test]
fn a_length_beyond_the_slot_is_corrupt_and_the_message_is_dropped() {
    let (_segment, mailbox) = fresh(2, 8);
    mailbox.send(b"bad").unwrap();
    mailbox.send(b"good").unwrap();
    mailbox.memory.head(0).len.store(9, Relaxed);
    assert_eq!(mailbox.try_peek(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(mailbox.receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), received(4));
}

/// Forks; the child runs `life` and dies without letting go of anything.
fn dead_child(life: impl FnOnce()) {
    // SAFETY: the child calls this library, which serves forked children, and leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            life();
            // SAFETY: ends the process, runs no destructors.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` is a live int; the child is ours and not waited for elsewhere.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child failed");
        }
    }
}

#[test]
fn a_child_that_dies_with_a_loan_holds_up_nobody() {
    let (_segment, mailbox) = fresh(4, 8);
    dead_child(|| std::mem::forget(mailbox.reserve(4)));
    mailbox.send(b"after").unwrap();
    assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), received(5));
    assert_eq!(mailbox.voided(), 1);
}

#[test]
fn polling_gets_past_a_dead_sender_too() {
    let (_segment, mailbox) = fresh(4, 8);
    dead_child(|| std::mem::forget(mailbox.reserve(4)));
    mailbox.send(b"after").unwrap();
    let watchdog = Instant::now();
    while mailbox.try_receive(&mut [0; 8]).unwrap().is_none() {
        assert!(watchdog.elapsed() < Duration::from_secs(10), "still barred");
    }
    assert_eq!(mailbox.voided(), 1);
}

#[test]
fn what_a_dead_child_held_is_delivered_again() {
    for capacity in [1, 3] {
        let (_segment, mailbox) = fresh(capacity, 8);
        mailbox.send(b"again").unwrap();
        dead_child(|| {
            let me = mailbox.object.me().unwrap();
            assert!(matches!(mailbox.memory.slots().claim_receive(me, &Ask::default()), Ok(Attempt::Claimed(_))));
        });
        assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), Received { size: 5, redelivered: 1, ..Received::default() });
    }
}

#[test]
fn a_sender_gets_past_a_dead_receiver_that_holds_the_last_place() {
    let (_segment, mailbox) = fresh(1, 8);
    mailbox.send(b"again").unwrap();
    dead_child(|| {
        let me = mailbox.object.me().unwrap();
        assert!(matches!(mailbox.memory.slots().claim_receive(me, &Ask::default()), Ok(Attempt::Claimed(_))));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| mailbox.send(b"next").unwrap());
        // The sender repairs what is in its way, and only then is there something to receive.
        while mailbox.is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), Received { size: 5, redelivered: 1, ..Received::default() });
        assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), received(4));
    });
}

#[test]
fn a_loan_is_no_loan_in_a_forked_child() {
    let (_segment, mailbox) = fresh(2, 8);
    let mut loan = mailbox.reserve(4).unwrap();
    dead_child(|| {
        assert_eq!(loan.write(0, b"1").unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(mailbox.resume(loan.raw).map(drop).unwrap_err().kind(), ErrorKind::NotOwner);
        let copy = || Loan { mailbox: &mailbox, raw: loan.raw, fork: loan.fork };
        assert_eq!(copy().commit(1).unwrap_err().kind(), ErrorKind::Forked);
        drop(copy());
        mailbox.send(b"child").unwrap();
    });
    // Still barred by the parent's loan, which the child could not end.
    assert_eq!(mailbox.try_receive(&mut [0; 8]).unwrap(), None);
    loan.commit(4).unwrap();
    assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), received(4));
    assert_eq!(mailbox.receive(&mut [0; 8]).unwrap(), received(5));
}

#[test]
fn a_header_that_does_not_fit_its_memory_is_refused() {
    let g = geometry(MailboxOptions::new(4, 8)).unwrap().0;
    let need = 512 + 4 * 64;
    #[repr(align(128))]
    struct Room([AtomicU64; 256]);
    let room = Room(std::array::from_fn(|_| AtomicU64::new(0)));
    // SAFETY: `room` outlives the views, is aligned to 128 and longer than any size tried here; all atomics.
    let of = |g, size| Memory::of(unsafe { View::new(room.0.as_ptr().cast_mut().cast(), size, g) });
    assert!(of(g, need).is_ok());
    for (bad, size) in [
        (g, need - 1),
        (g, 0),
        ([0, g[1], g[2], 0, 0], need),
        ([5, g[1], g[2], 0, 0], need),
        ([u64::MAX, g[1], g[2], 0, 0], need),
        ([4, 0, g[2], 0, 0], need),
        ([4, 49, g[2], 0, 0], need),
        ([4, 8, 0, 0, 0], need),
        ([4, 8, 128, 0, 0], need),
        ([4, 8, 64, 1, 0], need),
        ([4, 8, 64, 4, 0], need),
        ([4, 8, 64, 1 << 32, 0], need),
        ([0, 8, 64, 0, 0], need),
        ([4, 8, 64, 2, 0], need),
        ([(1 << 16) + 1, 8, 64, 1, 0], usize::MAX),
        ([4, 8, 64, 0, 1], need),
        ([u64::MAX; 5], usize::MAX),
    ] {
        let error = of(bad, size).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_end_in_an_answer(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(2), any::<u8>()], 512 + 128 + 3 * 64),
        from in prop_oneof![Just(0usize), Just(512)],
        sorted in any::<bool>(),
    ) {
        let order = if sorted { Order::Priority } else { Order::Fifo };
        let segment = Segment::anonymous(1 << 20).unwrap();
        let mailbox = segment.mailbox_with("m", MailboxOptions::new(3, 40).order(order)).unwrap();
        let bytes = &bytes[..geometry(mailbox.options()).unwrap().1];
        // SAFETY: the mailbox has so many bytes from here on, see `geometry`.
        unsafe { copy_in(mailbox.object.view().base().wrapping_add(from), &bytes[from..]) };
        let mut buffer = [0; 40];
        for _ in 0..4 {
            let _ = mailbox.try_send(b"message");
            let _ = mailbox.try_receive(&mut buffer);
            let _ = mailbox.try_peek(&mut buffer);
            let _ = mailbox.try_reserve(9).map(|loan| loan.map(|loan| loan.commit(3)));
            let _ = mailbox.try_borrow().map(|lent| lent.map(|lent| lent.to_vec()));
            let _ = mailbox.try_receive_selected(Select::UpTo(3), &mut buffer);
            let _ = mailbox.receive_until(&mut buffer, Duration::from_micros(100).into());
            let _ = mailbox.send_until(b"x", Duration::from_micros(100).into());
            prop_assert!(mailbox.len() <= 3);
            let _ = mailbox.is_empty();
        }
        let _ = segment.objects();
        let _ = mailbox.shutdown();
        let _ = mailbox.try_receive(&mut buffer);
        let _ = mailbox.could_receive();
        for slot in 0..4 {
            (KIND.repair)(mailbox.object.view(), slot);
        }
        (KIND.ring)(mailbox.object.view());
        let _ = (KIND.state)(mailbox.object.view());
    }
}
