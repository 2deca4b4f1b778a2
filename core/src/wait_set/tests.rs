//! Sets over real objects in an anonymous segment, with threads for peers.

use super::*;
use crate::prim::Full;
use crate::{After, LockError, Mailbox, Segment, Semaphore, SemaphoreOptions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

fn tokens(ready: &[Ready]) -> Vec<Token> {
    ready.iter().map(|r| r.token).collect()
}

/// Runs `f` in a thread; panics if it hangs.
fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || sender.send(f()).unwrap());
    match receiver.recv_timeout(PATIENCE) {
        Ok(answer) => {
            thread.join().unwrap();
            answer
        }
        Err(RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

/// Waits for a fact that another thread brings about.
fn wait_for(mut fact: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < end, "it does not come about");
        std::thread::yield_now();
    }
}

fn readable(fd: BorrowedFd<'_>, timeout_ms: i32) -> bool {
    let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut polled, 1, timeout_ms) == 1 }
}

/// A set of objects alone, one that looks every millisecond, and one with a descriptor, hence with a lookout.
fn kinds_of_sets() -> [(WaitSet, Option<(PipeReader, PipeWriter)>); 3] {
    let mut mixed = WaitSet::new().unwrap();
    let pipe = std::io::pipe().unwrap();
    mixed.add_fd(&pipe.0, Interest::Receive).unwrap();
    let mut looking = WaitSet::new().unwrap();
    looking.means = Means::Looking;
    [(WaitSet::new().unwrap(), None), (looking, None), (mixed, Some(pipe))]
}

#[test]
fn a_set_tells_who_is_ready_as_long_as_it_is_and_takes_nothing() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (a, b) = (segment.semaphore("a", 0).unwrap(), segment.semaphore("b", 1).unwrap());
        let a_token = set.add(&a, Interest::Receive).unwrap();
        let b_token = set.add(&b, Interest::Receive).unwrap();
        for _ in 0..3 {
            assert_eq!(tokens(&set.wait().unwrap()), [b_token]);
            assert_eq!(tokens(&set.try_wait().unwrap()), [b_token]);
        }
        a.post().unwrap();
        assert_eq!(set.wait().unwrap(), [a_token, b_token].map(|token| Ready { token, count: 1 }));
        assert!(a.try_wait().unwrap() && b.try_wait().unwrap());
        assert_eq!(set.try_wait().unwrap(), []);
        let begin = Instant::now();
        let error = set.wait_until(Duration::from_millis(30).into()).unwrap_err();
        assert!(error.kind() == ErrorKind::Timeout && begin.elapsed() >= Duration::from_millis(30), "{error}");
        assert!(error.to_string().contains("/a"), "{error}");
        assert_eq!(set.wait_until(Deadline::now()).unwrap_err().kind(), ErrorKind::Timeout);
    }
}

#[test]
fn objects_alone_need_neither_descriptor_nor_thread() {
    let segment = segment();
    let (a, b) = (segment.semaphore("a", 0).unwrap(), segment.semaphore("b", 0).unwrap());
    let mut set = WaitSet::new().unwrap();
    set.add(&a, Interest::Receive).unwrap();
    set.add(&b, Interest::Receive).unwrap();
    set.wait_until(Duration::from_millis(1).into()).unwrap_err();
    assert!(set.descriptors.is_none() && set.lookout.is_none());
    set.add_timer(Duration::from_millis(1)).unwrap();
    assert!(set.lookout.is_none(), "not before it has to wait");
    set.wait().unwrap();
    assert!(set.lookout.is_some());
}

#[test]
fn who_sleeps_in_a_set_is_seen_at_its_first_object() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (a, b) = (segment.semaphore("a", 0).unwrap(), segment.semaphore("b", 0).unwrap());
        set.add(&a, Interest::Receive).unwrap();
        set.add(&b, Interest::Receive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| set.wait().unwrap());
            wait_for(|| {
                let seen = segment.waits().unwrap();
                seen.iter().any(|wait| (wait.mode, wait.count, &*wait.object) == (WaitMode::Any, 2, "a"))
            });
            b.post().unwrap();
        });
        assert!(segment.waits().unwrap().is_empty());
    }
}

/// Each side of each object: not ready, made ready while a thread waits, not ready again.
#[test]
fn every_object_wakes_who_waits_for_it() {
    for (set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let set = std::cell::RefCell::new(set);
        let check = |object: &dyn Waitable, interest, change: &(dyn Fn() + Sync), back: &dyn Fn()| {
            let mut set = set.borrow_mut();
            let token = set.add(object, interest).unwrap();
            assert_eq!(set.try_wait().unwrap(), [], "{interest:?}");
            std::thread::scope(|scope| {
                scope.spawn(change);
                assert_eq!(tokens(&set.wait().unwrap()), [token], "{interest:?}");
            });
            back();
            assert_eq!(set.try_wait().unwrap(), [], "{interest:?}");
            set.remove(token).unwrap();
        };
        let semaphore = segment.semaphore("semaphore", 0).unwrap();
        check(&semaphore, Interest::Receive, &|| semaphore.post().unwrap(), &|| assert!(semaphore.try_wait().unwrap()));

        let leased = segment.semaphore_with("leased", SemaphoreOptions::leased(1)).unwrap();
        let (taken, give) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            // Another thread has it until told to give it back.
            scope.spawn(|| {
                leased.wait().unwrap();
                taken.store(true, SeqCst);
                wait_for(|| give.load(SeqCst));
                leased.post().unwrap();
            });
            wait_for(|| taken.load(SeqCst));
            check(&leased, Interest::Receive, &|| give.store(true, SeqCst), &|| assert!(leased.try_wait().unwrap()));
        });

        let event = segment.event("event", 0b100).unwrap();
        let clear = |mask| event.clear(mask).map(drop).unwrap();
        check(&event, Interest::AnyFlag(0b011), &|| assert_eq!(event.set(0b010).unwrap() & 0b010, 0), &|| clear(0b011));
        event.set(0b001).unwrap();
        check(&event, Interest::AllFlags(0b011), &|| assert_eq!(event.set(0b010).unwrap() & 0b010, 0), &|| {
            clear(0b001)
        });
        assert_eq!(event.try_wait_any(!0, After::Keep).unwrap(), Some(0b110));

        let mailbox = segment.mailbox("mailbox", 1, 8).unwrap();
        let receive = || assert!(mailbox.try_receive(&mut [0; 8]).unwrap().is_some());
        let send = || assert!(mailbox.try_send(b"x").unwrap());
        check(&mailbox, Interest::Receive, &send, &receive);
        send();
        check(&mailbox, Interest::Send, &receive, &send);
        receive();
        // A reservation in the way is no message, and no room.
        let loan = mailbox.reserve(1).unwrap();
        let token = set.borrow_mut().add(&mailbox, Interest::Receive).unwrap();
        let other = set.borrow_mut().add(&mailbox, Interest::Send).unwrap();
        assert_eq!(set.borrow_mut().try_wait().unwrap(), []);
        loan.commit(1).unwrap();
        assert_eq!(tokens(&set.borrow_mut().try_wait().unwrap()), [token]);
        set.borrow_mut().remove(token).unwrap();
        set.borrow_mut().remove(other).unwrap();
    }
}

#[test]
fn locks_are_ready_when_free_and_told_of_deaths() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (mutex, monitor) = (segment.mutex("mutex").unwrap(), segment.monitor("monitor").unwrap());
        let a = set.add(&mutex, Interest::Receive).unwrap();
        let b = set.add(&monitor, Interest::Receive).unwrap();
        assert_eq!(tokens(&set.wait().unwrap()), [a, b]);
        let inside = monitor.enter().unwrap();
        let (locked, go) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let guard = mutex.lock().unwrap();
                locked.store(true, SeqCst);
                wait_for(|| go.load(SeqCst));
                drop(guard);
            });
            wait_for(|| locked.load(SeqCst));
            assert_eq!(set.try_wait().unwrap(), []);
            scope.spawn(|| go.store(true, SeqCst));
            assert_eq!(tokens(&set.wait().unwrap()), [a]);
        });
        // A thread that ends with the lock leaves it as a death does.
        let other = mutex.clone();
        std::thread::spawn(move || std::mem::forget(other.lock().unwrap())).join().unwrap();
        assert_eq!(tokens(&set.wait().unwrap()), [a]);
        match mutex.try_lock() {
            Err(LockError::OwnerDied(guard)) => guard.recover(),
            _ => panic!("nobody said that its holder had died"),
        }
        drop(inside);
    }
}

#[test]
fn both_ends_of_a_ring_wake_who_waits_for_them() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (there, back) = (segment.ring("there", 512).unwrap(), segment.ring("back", 512).unwrap());
        let mut producer = there.producer().unwrap();
        let mut consumer = back.consumer().unwrap();
        let large = set.add(&producer, Interest::Send).unwrap();
        assert_eq!(tokens(&set.wait().unwrap()), [large]);
        while producer.try_write(&[7; 120]).unwrap() {}
        let small = set.add(&producer, Interest::Room(1)).unwrap();
        let record = set.add(&consumer, Interest::Receive).unwrap();
        assert_eq!(set.try_wait().unwrap(), []);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut consumer = there.consumer().unwrap();
                assert_eq!(consumer.read(&mut [0; 120]).unwrap(), 120);
                let mut producer = back.producer().unwrap();
                producer.write(b"one was read").unwrap();
            });
            let mut seen = Vec::new();
            while seen != [small, record] {
                seen = tokens(&set.wait().unwrap());
                assert!(!seen.contains(&large), "one record less is no room for the largest");
            }
        });
        assert!(producer.try_write(&[7; 40]).unwrap());
        assert_eq!(consumer.try_read(&mut [0; 64]).unwrap(), Some(12));
        set.remove(large).unwrap();
        set.remove(small).unwrap();
        assert_eq!(set.try_wait().unwrap(), []);
        drop(consumer);
        let error = set.wait().unwrap_err();
        assert!(
            error.kind() == ErrorKind::NotOwner && error.to_string().contains(&format!("member {record} ")),
            "{error}"
        );
    }
}

#[test]
fn sides_that_an_object_does_not_have_are_refused() {
    let segment = segment();
    let mut set = WaitSet::new().unwrap();
    let ring = segment.ring("ring", 512).unwrap();
    let (producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let semaphore = segment.semaphore("semaphore", 0).unwrap();
    let mutex = segment.mutex("mutex").unwrap();
    let event = segment.event("event", 0).unwrap();
    let mailbox = segment.mailbox("mailbox", 1, 8).unwrap();
    let wrong: [(&dyn Waitable, Interest); 7] = [
        (&producer, Interest::Receive),
        (&consumer, Interest::Send),
        (&semaphore, Interest::Send),
        (&mutex, Interest::AnyFlag(1)),
        (&event, Interest::Receive),
        (&event, Interest::AnyFlag(0)),
        (&mailbox, Interest::AnyFlag(1)),
    ];
    for (object, interest) in wrong {
        let error = set.add(object, interest).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains('/'), "{error}");
    }
    assert_eq!(set.add(&producer, Interest::Room(249)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(set.add_fd(std::io::stdin(), Interest::Room(1)).unwrap_err().kind(), ErrorKind::Invalid);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let error = set.add_fd(&file, Interest::Receive).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("regular file"), "{error}");
    for signal in [0, -1, 1000, libc::SIGKILL, libc::SIGSTOP] {
        assert_eq!(set.add_signal(signal).unwrap_err().kind(), ErrorKind::Invalid, "{signal}");
    }
    assert_eq!(set.add_timer(Duration::ZERO).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(set.remove(0).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(set.is_empty());
    assert_eq!(set.wait().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(set.try_wait().unwrap(), []);
    for _ in 0..WaitSet::MAX_OBJECTS {
        set.add(&semaphore, Interest::Receive).unwrap();
    }
    assert_eq!(set.add(&semaphore, Interest::Receive).unwrap_err().kind(), ErrorKind::NoSpace);
    semaphore.post().unwrap();
    assert_eq!(set.wait().unwrap().len(), WaitSet::MAX_OBJECTS);
}

#[test]
fn the_most_objects_are_slept_on_and_the_last_one_wakes() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (others, last) = (segment.semaphore("others", 0).unwrap(), segment.semaphore("last", 0).unwrap());
        for _ in 1..WaitSet::MAX_OBJECTS {
            set.add(&others, Interest::Receive).unwrap();
        }
        let token = set.add(&last, Interest::Receive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| last.post().unwrap());
            assert_eq!(tokens(&set.wait().unwrap()), [token]);
        });
    }
}

#[test]
fn a_member_that_is_removed_under_a_waiter_is_named_and_the_others_go_on_without_it() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (gone, stays) = (segment.semaphore("gone", 0).unwrap(), segment.semaphore("stays", 0).unwrap());
        set.add(&stays, Interest::Receive).unwrap();
        let token = set.add(&gone, Interest::Receive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| segment.remove("gone").unwrap());
            let error = set.wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Removed);
            let text = error.to_string();
            assert!(text.contains("/gone") && text.contains(&format!("member {token} ")), "{text}");
        });
        assert_eq!(set.try_wait().unwrap_err().kind(), ErrorKind::Removed);
        set.remove(token).unwrap();
        stays.post().unwrap();
        assert_eq!(tokens(&set.wait().unwrap()), [0].map(|_| set.tokens[0]));
    }
}

#[test]
fn descriptors_and_objects_wake_the_same_waiter() {
    let segment = segment();
    let semaphore = segment.semaphore("s", 0).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let mut set = WaitSet::new().unwrap();
    let fd = set.add_fd(&reader, Interest::Receive).unwrap();
    let object = set.add(&semaphore, Interest::Receive).unwrap();
    let room = set.add_fd(&writer, Interest::Send).unwrap();
    assert_eq!(tokens(&set.wait().unwrap()), [room]);
    set.remove(room).unwrap();
    for _ in 0..100 {
        std::thread::scope(|scope| {
            scope.spawn(|| semaphore.post().unwrap());
            assert_eq!(tokens(&set.wait().unwrap()), [object]);
            semaphore.wait().unwrap();
            scope.spawn(|| writer.write_all(b"x").unwrap());
            assert_eq!(tokens(&set.wait().unwrap()), [fd]);
        });
        reader.read_exact(&mut [0]).unwrap();
    }
    writer.write_all(b"x").unwrap();
    semaphore.post().unwrap();
    assert_eq!(set.wait().unwrap().len(), 2);
    reader.read_exact(&mut [0]).unwrap();
    semaphore.wait().unwrap();
    drop(writer);
    assert_eq!(tokens(&set.wait().unwrap()), [fd], "the end of a file is told");
    drop(reader);
    assert_eq!(tokens(&set.wait().unwrap()), [fd], "the set keeps it open");
    set.remove(fd).unwrap();
    assert_eq!(set.try_wait().unwrap(), []);
}

#[test]
fn timers_are_told_with_the_number_of_expiries_and_not_before() {
    let mut set = WaitSet::new().unwrap();
    let begin = Instant::now();
    let every = set.add_timer(Duration::from_millis(4)).unwrap();
    let once = set.add_timer_once(Duration::from_millis(10)).unwrap();
    let (mut expiries, mut onces) = (0, 0);
    while expiries < 5 || onces == 0 {
        for ready in set.wait().unwrap() {
            assert!(ready.count >= 1);
            if ready.token == every { expiries += ready.count } else { onces += ready.count }
        }
        let passed = begin.elapsed();
        assert!(expiries <= passed.as_millis() as u64 / 4, "{expiries} in {passed:?}");
        assert!(onces == 0 || passed >= Duration::from_millis(10));
    }
    assert_eq!(onces, 1);
    set.remove(every).unwrap();
    set.remove(once).unwrap();
    assert_eq!(set.try_wait().unwrap(), []);
}

#[test]
fn a_signal_is_told_once_for_each_time_it_came() {
    in_time(|| {
        let segment = segment();
        let semaphore = segment.semaphore("s", 0).unwrap();
        let mut set = WaitSet::new().unwrap();
        // Queued, not merged; sent to this thread, so that threads which do not block it are left alone.
        let signal = libc::SIGRTMIN() + 3;
        let token = set.add_signal(signal).unwrap();
        set.add(&semaphore, Interest::Receive).unwrap();
        // SAFETY: this thread lives.
        let send = || assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), signal) }, 0);
        send();
        send();
        assert_eq!(tokens(&set.wait().unwrap()), [token]);
        assert_eq!(tokens(&set.wait().unwrap()), [token]);
        assert_eq!(set.try_wait().unwrap(), []);
        // SAFETY: as above.
        let me = unsafe { libc::pthread_self() } as usize;
        std::thread::scope(|scope| {
            // SAFETY: the thread that waits for it lives as long as the scope.
            scope.spawn(move || assert_eq!(unsafe { libc::pthread_kill(me as libc::pthread_t, signal) }, 0));
            assert_eq!(tokens(&set.wait().unwrap()), [token]);
        });
    });
}

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn a_signal_handler_ends_an_interruptible_wait_and_no_other() {
    // SAFETY: the handler does nothing; no other test uses this signal.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()), 0);
    }
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let (a, b) = (segment.semaphore("a", 0).unwrap(), segment.semaphore("b", 0).unwrap());
        set.add(&a, Interest::Receive).unwrap();
        set.add(&b, Interest::Receive).unwrap();
        let (done, id) = (AtomicU32::new(0), std::sync::atomic::AtomicU64::new(0));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                // SAFETY: no preconditions.
                id.store(unsafe { libc::pthread_self() } as u64, SeqCst);
                let first = set.wait_until(Deadline::never().interruptible());
                done.store(1, SeqCst);
                let second = set.wait();
                done.store(2, SeqCst);
                (first, second)
            });
            wait_for(|| id.load(SeqCst) != 0);
            // SAFETY: the thread has not been joined.
            let knock = || unsafe { libc::pthread_kill(id.load(SeqCst) as libc::pthread_t, libc::SIGURG) };
            wait_for(|| {
                knock();
                done.load(SeqCst) == 1
            });
            for _ in 0..100 {
                knock();
                std::thread::yield_now();
            }
            assert_eq!(done.load(SeqCst), 1);
            b.post().unwrap();
            let (first, second) = waiter.join().unwrap();
            assert_eq!(first.unwrap_err().kind(), ErrorKind::Interrupted);
            assert_eq!(second.unwrap().len(), 1);
        });
    }
}

#[test]
fn the_lent_descriptor_tells_of_objects_and_tells_anew() {
    in_time(|| {
        let segment = segment();
        let (semaphore, mailbox) = (segment.semaphore("s", 0).unwrap(), segment.mailbox("m", 4, 8).unwrap());
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let mut set = WaitSet::new().unwrap();
        let number = set.fd().unwrap().as_raw_fd();
        let permit = set.add(&semaphore, Interest::Receive).unwrap();
        let message = set.add(&mailbox, Interest::Receive).unwrap();
        let byte = set.add_fd(&reader, Interest::Receive).unwrap();
        // Another epoll around it, as an event loop has.
        let mut outer = WaitSet::new().unwrap();
        let inner = outer.add_fd(set.fd().unwrap(), Interest::Receive).unwrap();
        assert!(!readable(set.fd().unwrap(), 0), "nobody is ready");
        for round in 0..200 {
            let expected = match round % 3 {
                0 => {
                    std::thread::scope(|scope| {
                        scope.spawn(|| semaphore.post().unwrap());
                    });
                    permit
                }
                1 => {
                    mailbox.send(b"x").unwrap();
                    message
                }
                _ => {
                    writer.write_all(b"x").unwrap();
                    byte
                }
            };
            assert_eq!(tokens(&outer.wait().unwrap()), [inner]);
            assert_eq!(tokens(&set.try_wait().unwrap()), [expected], "round {round}");
            assert_eq!(tokens(&outer.try_wait().unwrap()), [inner], "it stays readable until a look finds nobody");
            match round % 3 {
                0 => semaphore.wait().unwrap(),
                1 => assert!(mailbox.try_receive(&mut [0; 8]).unwrap().is_some()),
                _ => reader.read_exact(&mut [0]).unwrap(),
            }
            assert_eq!(set.try_wait().unwrap(), []);
            assert_eq!(outer.try_wait().unwrap(), [], "round {round}");
        }
        // What was ready before it was added, and what is removed.
        mailbox.send(b"x").unwrap();
        assert_eq!(tokens(&outer.wait().unwrap()), [inner]);
        set.remove(message).unwrap();
        assert_eq!(set.try_wait().unwrap(), []);
        let message = set.add(&mailbox, Interest::Receive).unwrap();
        assert_eq!(tokens(&outer.wait().unwrap()), [inner]);
        assert_eq!(tokens(&set.try_wait().unwrap()), [message]);
        assert_eq!(set.fd().unwrap().as_raw_fd(), number);
        // An error is told as well.
        set.remove(message).unwrap();
        assert_eq!(set.try_wait().unwrap(), []);
        segment.remove("s").unwrap();
        assert_eq!(tokens(&outer.wait().unwrap()), [inner]);
        assert_eq!(set.try_wait().unwrap_err().kind(), ErrorKind::Removed);
    });
}

/// Every futex_waitv of the calling thread and those it starts fails with `errno` from now on.
fn refuse_waitv(errno: i32) -> bool {
    let op = |code: u32, k: u32, jf: u8| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0), // The number of the call.
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 449, 1),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32, 0),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is valid and outlives the calls, which copy it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    }
}

#[test]
fn a_system_that_refuses_the_call_is_asked_once_and_the_set_looks() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let child = || {
            let segment = segment();
            let (a, b) = (segment.semaphore("a", 0).unwrap(), segment.semaphore("b", 0).unwrap());
            let mut set = WaitSet::new().unwrap();
            set.add(&a, Interest::Receive).unwrap();
            let second = set.add(&b, Interest::Receive).unwrap();
            if !refuse_waitv(errno) {
                return 77;
            }
            let word = crate::prim::AtomicU32::new(0);
            assert_eq!(crate::prim::futex_wait_any([(&word, 0)].into_iter(), u64::MAX), None);
            let begin = Instant::now();
            let timeout = set.wait_until(Duration::from_millis(20).into()).unwrap_err();
            assert!(timeout.kind() == ErrorKind::Timeout && begin.elapsed() >= Duration::from_millis(20));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    wait_for(|| !segment.waits().unwrap().is_empty());
                    b.post().unwrap();
                });
                assert_eq!(tokens(&set.wait().unwrap()), [second]);
            });
            0
        };
        // SAFETY: the child makes what it uses itself, and leaves without unwinding or exit handlers.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = std::panic::catch_unwind(child).unwrap_or(1);
            // SAFETY: no preconditions.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: our own child; `status` is writable.
        wait_for(|| unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid);
        match libc::WEXITSTATUS(status) {
            77 => eprintln!("SKIPPED: no system call can be refused here"),
            code => assert!(libc::WIFEXITED(status) && code == 0, "errno {errno}: status {status:#x}"),
        }
    }
}

#[test]
fn a_forked_child_is_told_to_make_its_own() {
    for (mut set, _pipe) in kinds_of_sets() {
        let segment = segment();
        let semaphore = segment.semaphore("s", 0).unwrap();
        set.add(&semaphore, Interest::Receive).unwrap();
        set.wait_until(Duration::from_millis(1).into()).unwrap_err();
        // SAFETY: the child calls the library only, and leaves without unwinding or exit handlers.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let forked = |error: Error| error.kind() == ErrorKind::Forked;
            let all = [
                set.wait().map(drop).is_err_and(forked),
                set.try_wait().map(drop).is_err_and(forked),
                set.add(&semaphore, Interest::Receive).map(drop).is_err_and(forked),
                set.add_timer(Duration::from_secs(1)).map(drop).is_err_and(forked),
                set.remove(0).is_err_and(forked),
                set.fd().map(drop).is_err_and(forked),
            ];
            drop(set); // Ends no thread and waits for none.
            // SAFETY: no preconditions.
            unsafe { libc::_exit(all.iter().position(|ok| !ok).map_or(0, |i| i as i32 + 1)) };
        }
        let mut status = 0;
        // SAFETY: our own child; `status` is writable.
        wait_for(|| unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child);
        assert_eq!(status, 0);
        semaphore.post().unwrap();
        assert_eq!(set.wait().unwrap().len(), 1, "the parent's is as it was");
    }
}

/// Two producers, each of which sends its next message only when the last one was received, and a set whose slices
/// never end: one lost wake, and it hangs.
fn soak(mut set: WaitSet, rounds: u32) {
    in_time(move || {
        let segment = segment();
        let boxes: Vec<Mailbox> = ["a", "b"].map(|name| segment.mailbox(name, 1, 8).unwrap()).into();
        let acks: Vec<Semaphore> = ["c", "d"].map(|name| segment.semaphore(name, 0).unwrap()).into();
        let members: Vec<Token> = boxes.iter().map(|mailbox| set.add(mailbox, Interest::Receive).unwrap()).collect();
        std::thread::scope(|scope| {
            for i in 0..2 {
                let (mailbox, ack) = (&boxes[i], &acks[i]);
                scope.spawn(move || {
                    for round in 0..rounds {
                        mailbox.send(&round.to_le_bytes()).unwrap();
                        ack.wait().unwrap();
                    }
                });
            }
            let (mut received, mut ready, mut buffer) = ([0; 2], Vec::new(), [0; 8]);
            while received != [rounds; 2] {
                set.wait_into(&mut ready, Deadline::never()).unwrap();
                for member in &ready {
                    let i = members.iter().position(|token| *token == member.token).unwrap();
                    let message = boxes[i].try_receive(&mut buffer).unwrap();
                    assert!(message.is_some(), "nobody else receives");
                    assert_eq!(buffer[..4], u32::to_le_bytes(received[i]));
                    received[i] += 1;
                    acks[i].post().unwrap();
                }
            }
        });
    });
}

#[test]
fn no_wake_is_lost_by_a_set_of_objects() {
    let mut set = WaitSet::new().unwrap();
    set.means = Means::Endless;
    soak(set, 50_000);
}

#[test]
fn no_wake_is_lost_by_a_set_with_a_descriptor() {
    let (mut set, pipe) = kinds_of_sets().into_iter().nth(2).unwrap();
    set.means = Means::Endless;
    soak(set, 10_000);
    drop(pipe);
}

#[test]
fn no_message_is_lost_where_the_system_cannot_sleep_on_several_words() {
    let mut set = WaitSet::new().unwrap();
    set.means = Means::Looking;
    soak(set, 200);
}

/// Beside a set that takes nothing another one waits, and takes: every message, though the wakes often go to the first.
#[test]
fn a_set_that_takes_nothing_does_not_keep_the_wake() {
    for lookout in [false, true] {
        in_time(move || {
            const ROUNDS: u32 = 5_000;
            let segment = segment();
            let (mailbox, stop) = (segment.mailbox("m", 1, 8).unwrap(), segment.event("stop", 0).unwrap());
            let pipe = std::io::pipe().unwrap();
            let endless = |takes: bool| {
                let mut set = WaitSet::new().unwrap();
                set.means = Means::Endless;
                if lookout {
                    set.add_fd(&pipe.0, Interest::Receive).unwrap();
                }
                set.add(&mailbox, Interest::Receive).unwrap();
                if !takes {
                    set.add(&stop, Interest::AnyFlag(1)).unwrap();
                }
                set
            };
            let (mut takes, mut takes_nothing) = (endless(true), endless(false));
            let received = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while stop.flags() == 0 {
                        takes_nothing.wait().unwrap();
                    }
                });
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        while mailbox.try_receive(&mut [0; 8]).unwrap().is_none() {
                            takes.wait().unwrap();
                        }
                        received.fetch_add(1, SeqCst);
                    }
                    stop.set(1).unwrap();
                });
                for round in 0..ROUNDS {
                    wait_for(|| received.load(SeqCst) == round);
                    mailbox.send(b"x").unwrap();
                }
            });
        });
    }
}

/// At a rendezvous a place that is free wakes one of those who wait for one, not one who waits for a partner.
#[test]
fn a_set_that_waits_for_a_partner_does_not_take_the_wake_for_a_place() {
    in_time(|| {
        const ROUNDS: usize = 2_000;
        let segment = segment();
        let (mailbox, stop) = (segment.mailbox("m", 0, 8).unwrap(), segment.event("stop", 0).unwrap());
        let endless = |interest| {
            let mut set = WaitSet::new().unwrap();
            set.means = Means::Endless;
            set.add(&mailbox, interest).unwrap();
            set
        };
        let (mut places, mut partners) = (endless(Interest::Room(8)), endless(Interest::Send));
        partners.add(&stop, Interest::AnyFlag(1)).unwrap();
        let mut offers: Vec<_> = std::iter::from_fn(|| mailbox.try_offer(b"a").unwrap()).collect();
        let made = std::sync::mpsc::sync_channel(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while stop.flags() == 0 {
                    partners.wait().unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    places.wait().unwrap();
                    made.0.send(mailbox.try_offer(b"b").unwrap().expect("nobody else offers")).unwrap();
                }
            });
            for _ in 0..ROUNDS {
                drop(offers.remove(0));
                offers.push(made.1.recv().unwrap());
            }
            stop.set(1).unwrap();
        });
    });
}

#[test]
fn who_waits_for_a_lock_is_woken_though_the_wake_went_to_a_set() {
    in_time(|| {
        let segment = segment();
        let (mutex, stop) = (segment.mutex("m").unwrap(), segment.event("stop", 0).unwrap());
        let mut set = WaitSet::new().unwrap();
        set.means = Means::Endless;
        set.add(&mutex, Interest::Receive).unwrap();
        set.add(&stop, Interest::AnyFlag(1)).unwrap();
        let total = crate::prim::AtomicU32::new(0);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                while stop.flags() == 0 {
                    set.wait().unwrap();
                }
            });
            let lockers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..5_000 {
                            let _guard = mutex.lock().unwrap();
                            total.add_full(1);
                        }
                    })
                })
                .collect();
            lockers.into_iter().for_each(|locker| locker.join().unwrap());
            stop.set(1).unwrap();
            watcher.join().unwrap();
        });
        assert_eq!(total.load(crate::prim::Ordering::Relaxed), 10_000);
    });
}
