use super::*;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A fresh name, unlinked at the end of its test.
struct Name(String);

impl Name {
    /// `None` where the system has no such queues: there is nothing to test then.
    fn new() -> Option<Name> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let absent = PosixQueue::open("/triveni-unit-none").is_err_and(|error| error.kind() == ErrorKind::Unsupported);
        (!absent).then(|| Name(format!("/triveni-unit-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))))
    }

    fn queue(&self, capacity: usize) -> PosixQueue {
        PosixQueueOptions::new().capacity(capacity).message_size(64).create(&self.0).unwrap()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = PosixQueue::unlink(&self.0);
    }
}

fn soon(ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(ms))
}

#[test]
fn the_highest_priority_comes_first_and_among_equals_the_oldest() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(5);
    for (message, priority) in [("a", 1), ("b", PosixQueue::MAX_PRIORITY), ("c", 1), ("d", 0), ("e", 7)] {
        queue.send_with(message.as_bytes(), priority).unwrap();
    }
    assert_eq!(queue.len(), 5);
    let mut buffer = [0; 64];
    let order: Vec<_> = std::iter::from_fn(|| {
        let (size, priority) = queue.try_receive_envelope(&mut buffer).unwrap()?;
        Some((String::from_utf8_lossy(&buffer[..size]).into_owned(), priority))
    })
    .collect();
    let expected = [("b", PosixQueue::MAX_PRIORITY), ("e", 7), ("a", 1), ("c", 1), ("d", 0)];
    assert_eq!(order, expected.map(|(message, priority)| (message.to_string(), priority)));
    assert!(queue.is_empty());
}

#[test]
fn a_full_queue_refuses_a_try_and_lets_a_deadline_pass() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    assert!(queue.try_send(b"").unwrap(), "an empty message is a message");
    assert!(!queue.try_send(b"x").unwrap());
    let begin = Instant::now();
    assert_eq!(queue.send_until(b"x", soon(30)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    let mut buffer = [0; 64];
    assert_eq!(queue.receive_until(&mut buffer, soon(30)).unwrap(), 0);
    assert_eq!(queue.try_receive(&mut buffer).unwrap(), None);
    assert_eq!(queue.receive_until(&mut buffer, soon(5)).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_try_and_a_deadline_leave_the_description_blocking() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    let _ = queue.try_receive(&mut [0; 64]).unwrap();
    let _ = queue.receive_until(&mut [0; 64], soon(1)).unwrap_err();
    assert_eq!(queue.attributes().unwrap().mq_flags & libc::O_NONBLOCK as libc::c_long, 0);
}

#[test]
fn a_waiter_with_a_deadline_is_woken_by_a_message_and_by_room() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 64];
            assert_eq!(queue.receive_until(&mut buffer, soon(20_000)).unwrap(), 5);
            assert_eq!(queue.receive(&mut buffer).unwrap(), 3);
            assert_eq!(queue.receive(&mut buffer).unwrap(), 1);
        });
        queue.send(b"first").unwrap();
        queue.send_until(b"2nd", soon(20_000)).unwrap();
        queue.send_until(b"3", soon(20_000)).unwrap();
    });
}

#[test]
fn a_message_that_is_too_large_and_a_buffer_that_is_too_small_are_refused_and_nothing_is_lost() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(2);
    let error = queue.send(&[0; 65]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("65 bytes") && error.to_string().contains("64 at most"), "{error}");
    queue.send(b"short").unwrap();
    let error = queue.receive(&mut [0; 63]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("63 bytes"), "{error}");
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_priority_that_is_too_high_is_refused_with_the_highest_one() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    // SAFETY: sysconf touches no memory of ours.
    assert_eq!(i64::from(PosixQueue::MAX_PRIORITY) + 1, unsafe { libc::sysconf(libc::_SC_MQ_PRIO_MAX) });
    let error = queue.send_with(b"", PosixQueue::MAX_PRIORITY + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("32767"), "{error}");
}

#[test]
fn names_go_with_and_without_a_slash_and_bad_ones_are_refused_with_the_reason() {
    let Some(name) = Name::new() else { return };
    let _queue = name.queue(1);
    assert_eq!(PosixQueue::open(name.0.trim_start_matches('/')).unwrap().name(), name.0);
    for (bad, reason) in
        [("", "empty"), ("/", "empty"), ("/a/b", "'/'"), ("//a", "'/'"), ("..", "directory"), ("a\0", "NUL")]
    {
        let error = PosixQueue::open(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(reason), "{error}");
    }
    let error = PosixQueue::open(&"x".repeat(256)).unwrap_err();
    assert!(error.to_string().contains("256 bytes"), "{error}");
}

#[test]
fn create_open_and_unlink_say_what_is_there() {
    let Some(name) = Name::new() else { return };
    assert_eq!(PosixQueue::open(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(PosixQueue::unlink(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    let made = PosixQueue::open_or_create(&name.0).unwrap();
    assert_eq!(PosixQueue::create(&name.0).unwrap_err().kind(), ErrorKind::Exists);
    let found = PosixQueueOptions::new().capacity(made.capacity()).open_or_create(&name.0).unwrap();
    assert_eq!((found.capacity(), found.message_size()), (made.capacity(), made.message_size()));
    let error = PosixQueueOptions::new().message_size(made.message_size() - 1).open(&name.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    PosixQueue::unlink(&name.0).unwrap();
    found.send(b"goes on for who has it open").unwrap();
    assert_eq!(made.len(), 1);
}

#[test]
fn the_mode_is_the_one_asked_for_and_info_shows_it() {
    let Some(name) = Name::new() else { return };
    let queue = PosixQueueOptions::new().capacity(3).message_size(8).mode(0o622).create(&name.0).unwrap();
    queue.send(b"123").unwrap();
    let me = std::fs::metadata("/proc/self").unwrap();
    let expected = PosixQueueInfo {
        name: name.0.clone(),
        mode: 0o622,
        uid: me.uid(),
        gid: me.gid(),
        messages: Some(1),
        capacity: Some(3),
        message_size: Some(8),
        bytes: Some(3),
        notifies: None,
    };
    assert_eq!(queue.info().unwrap(), expected);
    let sender = PosixQueueOptions::new().access(QueueAccess::Send).open(&name.0).unwrap();
    assert_eq!(sender.info().unwrap().bytes, None);
}

#[test]
fn a_handle_for_one_direction_refuses_the_other_with_a_sentence() {
    let Some(name) = Name::new() else { return };
    let _queue = name.queue(1);
    let open = |access| PosixQueueOptions::new().access(access).open(&name.0).unwrap();
    let (sender, receiver) = (open(QueueAccess::Send), open(QueueAccess::Receive));
    let error = sender.receive(&mut [0; 64]).unwrap_err();
    assert!(error.errno() == libc::EBADF && error.to_string().contains("for sending only"), "{error}");
    let error = receiver.send(b"").unwrap_err();
    assert!(error.errno() == libc::EBADF && error.to_string().contains("for receiving only"), "{error}");
    sender.send(b"x").unwrap();
    assert_eq!(receiver.receive(&mut [0; 64]).unwrap(), 1);
}

#[test]
fn a_geometry_that_no_queue_may_have_is_refused_with_the_limit_that_nobody_can_raise() {
    for (capacity, message_size, why) in [
        (65537, 64, "65536 messages are the most that any queue holds"),
        (1, (16 << 20) + 1, "16777216 bytes are the most in one message of any queue"),
        (usize::MAX, usize::MAX, "65536 messages are the most that any queue holds"),
        (0, 1, "both must be 1 at least"),
        (1, 0, "both must be 1 at least"),
    ] {
        let Some(name) = Name::new() else { return };
        let error = PosixQueueOptions::new().capacity(capacity).message_size(message_size).create(&name.0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let said = error.to_string();
        assert!(said.contains(&format!("for {capacity} messages of {message_size} bytes: ")), "{said}");
        assert!(said.contains(why) && !said.contains("administrator"), "{said}");
    }
}

#[test]
fn an_owned_queue_goes_with_its_handle_and_others_find_it_until_then() {
    let Some(name) = Name::new() else { return };
    let owner = PosixQueueOptions::new().owned(true).create(&name.0).unwrap();
    let user = PosixQueueOptions::new().owned(true).open_or_create(&name.0).unwrap();
    drop(user); // it did not create it
    PosixQueue::open(&name.0).unwrap();
    drop(owner);
    assert_eq!(PosixQueue::open(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_descriptor_becomes_a_queue_again_and_any_other_is_refused() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    queue.send(b"x").unwrap();
    let again = PosixQueue::from_fd(OwnedFd::from(queue)).unwrap();
    assert_eq!((again.len(), again.capacity(), again.message_size()), (1, 1, 64));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(PosixQueue::from_fd(reader.into()).unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn a_nonblocking_description_that_came_from_elsewhere_waits_all_the_same() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    nix::fcntl::fcntl(&queue, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(queue.receive(&mut [0; 64]).unwrap(), 1));
        queue.send(b"x").unwrap();
    });
}

#[test]
fn a_name_that_is_taken_ends_no_notification_of_another_queue() {
    let (Some(name), Some(taken)) = (Name::new(), Name::new()) else { return };
    let queue = PosixQueueOptions::new().capacity(1).message_size(8).owned(true).create(&name.0).unwrap();
    let _taken = taken.queue(1);
    queue.notify(libc::SIGURG, 0).unwrap(); // ignored by default
    assert_eq!(PosixQueue::create(&taken.0).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(queue.info().unwrap().notifies, Some(std::process::id()));
}

#[test]
fn only_one_notification_is_asked_for_at_a_time_and_info_says_by_whom() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    queue.notify(libc::SIGURG, -7).unwrap(); // ignored by default
    assert_eq!(queue.info().unwrap().notifies, Some(std::process::id()));
    assert_eq!(queue.info().unwrap().notifies, Some(std::process::id()), "looking does not end it");
    assert_eq!(queue.notify(libc::SIGURG, 0).unwrap_err().kind(), ErrorKind::Busy);
    queue.cancel_notify().unwrap();
    assert_eq!(queue.info().unwrap().notifies, None);
    assert_eq!(queue.notify(1000, 0).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_descriptor_that_others_took_for_something_else_is_refused_and_nothing_is_written_there() {
    let Some(name) = Name::new() else { return };
    let queue = name.queue(1);
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: both are open; the queue's number is a pipe's from now on, and is closed once, by the queue.
    assert!(unsafe { libc::dup2(writer.as_raw_fd(), queue.as_fd().as_raw_fd()) } >= 0);
    drop(writer);
    for error in [queue.send(b"x").unwrap_err(), queue.try_receive(&mut [0; 64]).unwrap_err()] {
        assert!(error.errno() == libc::EBADF && error.to_string().contains("closed by some other part"), "{error}");
    }
    assert!(queue.info().is_err() && queue.is_empty());
    drop(queue);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}

#[test]
fn open_or_create_finds_or_makes_one_whoever_else_creates_and_unlinks() {
    let Some(name) = Name::new() else { return };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let queue = PosixQueueOptions::new().capacity(9).message_size(8).open_or_create(&name.0).unwrap();
                    queue.try_send(b"x").unwrap();
                    if let Err(error) = PosixQueue::unlink(&name.0) {
                        assert_eq!(error.kind(), ErrorKind::NotFound, "another one was faster");
                    }
                }
            });
        }
    });
}
