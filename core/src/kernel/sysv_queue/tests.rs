use super::*;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A queue that is removed at the end of its test.
struct Queue(SysvQueue);

impl Queue {
    /// `None` where the system has no such queues: there is nothing to test then.
    fn private() -> Option<Queue> {
        Queue::of_size(MSGMNB.value().unwrap_or(16384))
    }

    fn of_size(max_bytes: u64) -> Option<Queue> {
        match SysvQueueOptions::new().max_bytes(max_bytes).create(SysvKey::PRIVATE) {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            made => Some(Queue(made.unwrap())),
        }
    }
}

impl std::ops::Deref for Queue {
    type Target = SysvQueue;
    fn deref(&self) -> &SysvQueue {
        &self.0
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

/// A key that no other test has; `None` where the system has no such queues.
fn fresh() -> Option<SysvKey> {
    drop(Queue::private()?);
    static NEXT: AtomicI32 = AtomicI32::new(0);
    Some(SysvKey::new(0x5100_0000 | (std::process::id() as i32 & 0xFFFF) << 8 | NEXT.fetch_add(1, Relaxed)))
}

fn soon(ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(ms))
}

#[test]
fn a_receiver_chooses_by_type() {
    let Some(queue) = Queue::private() else { return };
    for (message, mtype) in [("a", 5), ("b", 2), ("c", 9), ("d", 2), ("e", i64::MAX)] {
        queue.send_with(message.as_bytes(), mtype).unwrap();
    }
    let take = |select| {
        let mut buffer = [0; 8];
        let received = queue.try_receive_selected(select, &mut buffer).unwrap();
        received.map(|(size, mtype)| (String::from_utf8_lossy(&buffer[..size]).into_owned(), mtype))
    };
    let some = |message: &str, mtype| Some((message.to_string(), mtype));
    assert_eq!(take(SysvSelect::Type(3)), None);
    assert_eq!(take(SysvSelect::UpTo(1)), None);
    assert_eq!(take(SysvSelect::UpTo(5)), some("b", 2), "the lowest type, not the oldest message");
    assert_eq!(take(SysvSelect::Except(5)), some("c", 9));
    assert_eq!(take(SysvSelect::Type(i64::MAX)), some("e", i64::MAX));
    assert_eq!(take(SysvSelect::Any), some("a", 5));
    assert_eq!(take(SysvSelect::Except(2)), None);
    assert_eq!(take(SysvSelect::UpTo(i64::MAX)), some("d", 2));
    assert!(queue.is_empty());
}

#[test]
fn a_type_below_1_is_refused_in_both_directions() {
    let Some(queue) = Queue::private() else { return };
    for mtype in [0, -1, i64::MIN] {
        assert_eq!(queue.send_with(b"x", mtype).unwrap_err().kind(), ErrorKind::Invalid);
        for select in [SysvSelect::Type(mtype), SysvSelect::UpTo(mtype), SysvSelect::Except(mtype)] {
            assert_eq!(queue.try_receive_selected(select, &mut []).unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(queue.receive_selected(select, &mut []).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}

#[test]
fn a_full_queue_refuses_a_try_and_lets_a_deadline_pass() {
    let Some(queue) = Queue::of_size(10) else { return };
    assert!(queue.try_send(&[1; 8]).unwrap());
    assert!(!queue.try_send(&[2; 3]).unwrap());
    let begin = Instant::now();
    assert_eq!(queue.send_until(&[2; 3], soon(30)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    queue.send(&[3; 2]).unwrap();
    let mut buffer = [0; 10];
    assert_eq!(queue.receive_until(&mut buffer, soon(30)).unwrap(), 8);
    assert_eq!(queue.receive(&mut buffer).unwrap(), 2);
    assert_eq!(queue.try_receive(&mut buffer).unwrap(), None);
    assert_eq!(queue.receive_until(&mut buffer, soon(5)).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_message_that_can_never_fit_is_refused_instead_of_waiting_for_ever() {
    let Some(queue) = Queue::of_size(10) else { return };
    for sent in [queue.send(&[0; 11]), queue.send_until(&[0; 11], soon(20_000)), queue.try_send(&[0; 11]).map(drop)] {
        let error = sent.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("10 bytes in all"), "{error}");
    }
}

#[test]
fn a_queue_that_was_made_smaller_refuses_as_well() {
    let Some(queue) = Queue::of_size(256) else { return };
    queue.set_max_bytes(64).unwrap();
    assert_eq!(queue.send(&[7; 65]).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_message_beyond_msgmax_is_refused_with_the_limit() {
    let Some(queue) = Queue::private() else { return };
    let Some(most) = MSGMAX.value().filter(|most| *most < 1 << 24) else { return };
    assert_eq!(queue.message_size() as u64, most);
    let error = queue.send(&vec![0; most as usize + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains(&format!("/proc/sys/kernel/msgmax is {most}")), "{error}");
}

#[test]
fn a_message_larger_than_the_buffer_stays_whole() {
    let Some(queue) = Queue::private() else { return };
    queue.send_with(b"twelve bytes", 3).unwrap();
    let mut small = [0; 11];
    for received in [queue.receive(&mut small), queue.receive_until(&mut small, soon(20_000))] {
        let error = received.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("11 bytes"), "{error}");
    }
    assert_eq!(queue.len(), 1);
    let mut buffer = [0; 12];
    assert_eq!(queue.receive_selected(SysvSelect::Any, &mut buffer).unwrap(), (12, 3));
    assert_eq!(&buffer, b"twelve bytes");
}

#[test]
fn the_largest_message_arrives_whole_in_a_buffer_of_any_size() {
    let Some(queue) = Queue::private() else { return };
    let most = MSGMAX.value().unwrap_or(8192).min(16384).min(MSGMNB.value().unwrap_or(16384)) as usize;
    let message: Vec<u8> = (0..most).map(|i| (i * 7) as u8).collect();
    for room in [most, message::SMALL.max(most), 1 << 20] {
        queue.send(&message).unwrap();
        let mut buffer = vec![0; room];
        assert_eq!(queue.receive(&mut buffer).unwrap(), most);
        assert!(buffer[..most] == message);
    }
}

#[test]
fn a_removed_queue_wakes_those_who_wait_and_refuses_those_who_come() {
    let Some(queue) = Queue::private() else { return };
    std::thread::scope(|scope| {
        let forever = scope.spawn(|| queue.receive(&mut [0; 8]).unwrap_err().kind());
        let timed = scope.spawn(|| queue.receive_until(&mut [0; 8], soon(20_000)).unwrap_err().kind());
        while queue.is_asleep_in_msgrcv() == Some(false) {
            std::thread::yield_now();
        }
        queue.remove().unwrap();
        assert_eq!(forever.join().unwrap(), ErrorKind::Removed);
        assert_eq!(timed.join().unwrap(), ErrorKind::Removed);
    });
    assert_eq!(queue.send(b"x").unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(queue.try_receive(&mut []).unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(queue.remove().unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(queue.info().unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(SysvQueue::open_id(queue.id()).unwrap_err().kind(), ErrorKind::NotFound);
}

impl SysvQueue {
    /// Does a thread of this process sleep in msgrcv? `None` where the kernel does not say.
    fn is_asleep_in_msgrcv(&self) -> Option<bool> {
        let calls = std::fs::read_dir("/proc/self/task").ok()?.flatten();
        let calls: Vec<_> =
            calls.filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok()).collect();
        let call = format!("{} {:#x} ", libc::SYS_msgrcv, self.id);
        (!calls.is_empty()).then(|| calls.iter().any(|line| line.starts_with(&call)))
    }
}

#[test]
fn create_open_and_attach_say_what_is_there() {
    let Some(key) = fresh() else { return };
    assert_eq!(SysvQueue::open(key).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(SysvQueue::open(SysvKey::PRIVATE).unwrap_err().kind(), ErrorKind::Invalid);
    let made = Queue(SysvQueue::open_or_create(key).unwrap());
    let error = SysvQueue::create(key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(error.to_string().contains(&key.to_string()), "{error}");
    for same in [SysvQueue::open(key), SysvQueue::open_or_create(key), SysvQueue::open_id(made.id())] {
        let same = same.unwrap();
        assert_eq!((same.id(), same.key()), (made.id(), key));
    }
    SysvQueue::unlink(key).unwrap();
    assert_eq!(SysvQueue::unlink(key).unwrap_err().kind(), ErrorKind::NotFound);
    let [Some(a), Some(b)] = [Queue::private(), Queue::private()] else { return };
    assert_ne!(a.id(), b.id());
    assert!(SysvQueue::open_id(a.id()).unwrap().key().is_private());
    assert_eq!(SysvQueue::open_id(-1).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn info_and_the_list_show_what_is_in_a_queue_and_who_was_there() {
    let Some(key) = fresh() else { return };
    let queue = Queue(SysvQueueOptions::new().mode(0o640).max_bytes(100).create(key).unwrap());
    queue.send(b"one").unwrap();
    queue.send(b"three").unwrap();
    assert_eq!(queue.receive(&mut [0; 8]).unwrap(), 3);
    let (me, pid) = (std::fs::metadata("/proc/self").unwrap(), std::process::id());
    let info = queue.info().unwrap();
    let expected = SysvQueueInfo {
        id: queue.id(),
        key,
        mode: 0o640,
        uid: me.uid(),
        gid: me.gid(),
        messages: 1,
        bytes: 5,
        max_bytes: 100,
        last_sender: pid,
        last_receiver: pid,
        ..info.clone()
    };
    assert_eq!(info, expected);
    assert!(info.sent_at > 1_600_000_000 && info.received_at >= info.sent_at);
    assert_eq!(SysvQueue::list().unwrap().iter().find(|other| other.id == queue.id()), Some(&info));
}

#[test]
fn an_owned_queue_goes_with_its_handle_and_others_find_it_until_then() {
    let Some(key) = fresh() else { return };
    let owner = SysvQueueOptions::new().owned(true).create(key).unwrap();
    let user = SysvQueueOptions::new().owned(true).open_or_create(key).unwrap();
    drop(user); // it did not create it
    SysvQueue::open(key).unwrap();
    drop(owner);
    assert_eq!(SysvQueue::open(key).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_size_of_0_is_refused_and_leaves_no_queue() {
    let Some(key) = fresh() else { return };
    assert_eq!(SysvQueueOptions::new().max_bytes(0).create(key).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(SysvQueue::open(key).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn empty_messages_are_messages() {
    let Some(queue) = Queue::private() else { return };
    queue.send_with(b"", 4).unwrap();
    assert_eq!(queue.receive_selected(SysvSelect::Any, &mut []).unwrap(), (0, 4));
}

#[test]
fn open_or_create_finds_or_makes_one_whoever_else_creates_and_removes() {
    let Some(key) = fresh() else { return };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let queue = SysvQueue::open_or_create(key).unwrap();
                    for done in [queue.try_send(b"x").map(drop), queue.remove()] {
                        if let Err(error) = done {
                            assert_eq!(error.kind(), ErrorKind::Removed, "another one was faster");
                        }
                    }
                }
            });
        }
    });
}
