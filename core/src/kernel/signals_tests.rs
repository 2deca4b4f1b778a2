//! Signals that are taken, counted, lost and queued. Each test sends to its own thread, or runs in a child: the other
//! tests of this program do not block these signals.

use super::super::{ChildEnds, Handlers, Mask, Signals, ended_children, fork, process_tree, queue_signal, send_signal};
use super::*;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// To this thread alone.
fn raise(signal: i32) {
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), signal) }, 0);
}

/// Runs `body` in a child, where it is the only thread; true is success.
fn alone(body: impl FnOnce() -> crate::Result<bool>) {
    // SAFETY: the bodies use system calls and malloc, which works in a child of glibc and musl.
    let child = unsafe {
        fork(|| match body() {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) => {
                eprintln!("{error}");
                2
            }
        })
    }
    .unwrap();
    let status = child.wait_until(Deadline::after(Duration::from_secs(30))).unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_taken_signal_names_its_sender() {
    alone(|| {
        let signals = Signals::take([libc::SIGUSR1, libc::SIGRTMIN()])?;
        assert!(signals.try_receive()?.is_none());
        send_signal(std::process::id(), libc::SIGUSR1)?;
        queue_signal(std::process::id(), libc::SIGRTMIN(), -7)?;
        let (first, second) = (signals.receive()?, signals.receive()?);
        let me = (std::process::id(), nix::unistd::getuid().as_raw());
        Ok((first.signal, first.code, (first.pid, first.uid)) == (libc::SIGUSR1, libc::SI_USER, me)
            && (second.signal, second.code, second.value, second.pid) == (libc::SIGRTMIN(), libc::SI_QUEUE, -7, me.0))
    });
}

#[test]
fn standard_signals_coalesce_and_real_time_signals_queue() {
    alone(|| {
        let signals = Signals::take([libc::SIGUSR1, libc::SIGRTMIN() + 1])?;
        for n in 0..10 {
            queue_signal(std::process::id(), libc::SIGUSR1, n)?;
            queue_signal(std::process::id(), libc::SIGRTMIN() + 1, n)?;
        }
        let mut values = (Vec::new(), Vec::new());
        while let Some(info) = signals.try_receive()? {
            let list = if info.signal == libc::SIGUSR1 { &mut values.0 } else { &mut values.1 };
            list.push(info.value);
        }
        Ok(values == (vec![0], (0..10).collect()))
    });
}

#[test]
fn a_full_queue_of_signals_names_its_limit() {
    alone(|| {
        let _signals = Signals::take([libc::SIGRTMIN()])?;
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid limit, of this child alone.
        unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &limit) };
        let refused = (0..3).map(|n| queue_signal(std::process::id(), libc::SIGRTMIN(), n)).find_map(Result::err);
        Ok(refused.is_some_and(|e| e.kind() == ErrorKind::WouldBlock && e.to_string().contains("RLIMIT_SIGPENDING")))
    });
}

#[test]
fn the_mask_is_given_back() {
    let blocked = |signal| {
        let mut now = empty();
        // SAFETY: asks for this thread's mask.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut now) };
        // SAFETY: a valid set.
        unsafe { libc::sigismember(&now, signal) == 1 }
    };
    let outer = Mask::block([libc::SIGUSR2]).unwrap();
    let inner = Signals::take([libc::SIGUSR1, libc::SIGUSR2]).unwrap();
    assert!(blocked(libc::SIGUSR1) && blocked(libc::SIGUSR2));
    raise(libc::SIGUSR1);
    assert_eq!(inner.receive().unwrap().signal, libc::SIGUSR1);
    drop(inner);
    assert!(!blocked(libc::SIGUSR1) && blocked(libc::SIGUSR2), "the outer one's stays");
    drop(outer);
    assert!(!blocked(libc::SIGUSR2));
    for signal in [libc::SIGKILL, libc::SIGSTOP, 0, 65, -1] {
        assert_eq!(Signals::take([signal]).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(Mask::block([signal]).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_wait_for_a_signal_keeps_its_deadline_through_other_signals() {
    alone(|| {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: a handler that does nothing, in this child alone; a timer of its own.
        unsafe {
            libc::signal(libc::SIGALRM, nothing as *const () as usize);
            let every = libc::timeval { tv_sec: 0, tv_usec: 2000 };
            libc::setitimer(
                libc::ITIMER_REAL,
                &libc::itimerval { it_interval: every, it_value: every },
                ptr::null_mut(),
            );
        }
        let signals = Signals::take([libc::SIGUSR1])?;
        let begin = Instant::now();
        let late = signals.receive_until(Deadline::after(Duration::from_millis(60))).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert!(late.to_string().contains("SIGUSR1"));
        let early = signals.receive_until(Deadline::never().interruptible()).unwrap_err();
        Ok(begin.elapsed() >= Duration::from_millis(60) && early.kind() == ErrorKind::Interrupted)
    });
}

static CAME: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_signal_between_the_check_and_the_sleep_ends_the_sleep() {
    extern "C" fn count(_: i32) {
        CAME.fetch_add(1, Ordering::Relaxed);
    }
    alone(|| {
        // SAFETY: a handler that changes one atomic, in this child alone.
        unsafe { libc::signal(libc::SIGUSR1, count as *const () as usize) };
        let mask = Mask::block([libc::SIGUSR1])?;
        for n in 1..=100 {
            raise(libc::SIGUSR1); // blocked: the handler has not run
            assert_eq!(CAME.load(Ordering::Relaxed), n - 1);
            mask.suspend()?; // pause() would sleep for ever
            assert_eq!(CAME.load(Ordering::Relaxed), n);
        }
        let late = mask.suspend_until(Deadline::after(Duration::from_millis(5))).unwrap_err();
        raise(libc::SIGUSR1);
        mask.suspend_until(Deadline::now())?; // what is pending is served also without time
        Ok(late.kind() == ErrorKind::Timeout)
    });
}

#[test]
fn a_callback_runs_in_dispatch_and_nowhere_else() {
    alone(|| {
        let (mut ones, mut values) = (0, Vec::new());
        let mut handlers = Handlers::new()?;
        handlers.on_signal(libc::SIGUSR1, |_| unreachable!("it is replaced"))?;
        handlers.on_signal(libc::SIGUSR1, |_| ones += 1)?;
        handlers.on_signal(libc::SIGRTMIN(), |info| values.push(info.value))?;
        assert_eq!(handlers.try_dispatch()?, 0);
        for n in 0..3 {
            send_signal(std::process::id(), libc::SIGUSR1)?;
            queue_signal(std::process::id(), libc::SIGRTMIN(), n)?;
        }
        assert_eq!(handlers.dispatch()?, 4);
        let late = handlers.dispatch_until(Deadline::after(Duration::from_millis(5))).unwrap_err();
        drop(handlers);
        Ok((ones, values) == (1, vec![0, 1, 2]) && late.kind() == ErrorKind::Timeout)
    });
}

#[test]
fn ended_children_are_named_once_and_their_ends_are_not_taken() {
    alone(|| {
        let mut ends = ChildEnds::take()?;
        assert!(ends.try_receive()?.is_empty());
        // SAFETY: the children end at once.
        let children: Vec<_> = (0..5).map(|n| unsafe { fork(|| n) }).collect::<crate::Result<_>>()?;
        let mut named = Vec::new();
        while named.len() < 5 {
            named.extend(ends.receive_until(Deadline::after(Duration::from_secs(30)))?);
        }
        assert!(ends.try_receive()?.is_empty(), "each once");
        for (n, child) in children.iter().enumerate() {
            let end = named.iter().find(|end| end.pid == child.pid()).expect("named");
            assert_eq!(end.status.code(), Some(n as i32));
            assert_eq!(child.wait()?.code(), Some(n as i32), "its end was left to who waits for it");
        }
        let late = ends.receive_until(Deadline::after(Duration::from_millis(5))).unwrap_err();
        Ok(late.kind() == ErrorKind::Timeout)
    });
}

/// Waits until the only other thread of this process sleeps, which is `thread`.
fn sleeps(thread: i32) {
    let stat = || std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    while !stat().rsplit(')').next().unwrap().starts_with(" S") {
        std::thread::yield_now();
    }
}

#[test]
fn the_end_of_a_child_of_a_thread_that_blocks_nothing_is_told() {
    alone(|| {
        let (tell, told) = std::sync::mpsc::channel();
        let main = thread();
        // Before SIGCHLD is blocked: it would inherit that.
        let other = std::thread::spawn(move || {
            told.recv().unwrap();
            // The child ends when this thread is out of fork, in which the C library blocks all signals.
            let (mut gate, opener) = std::io::pipe().unwrap();
            // SAFETY: the child reads and ends.
            let child = unsafe { fork(|| gate.read(&mut [0]).map_or(1, |_| 7)) }?;
            sleeps(main); // or it would look by itself
            (&opener).write_all(&[0]).unwrap();
            while process_tree::state(child.pid()).is_ok() {
                std::thread::yield_now(); // a thread that ends blocks all signals, too
            }
            Ok::<_, crate::Error>(child)
        });
        let mut ends = ChildEnds::take()?;
        ends.try_receive()?;
        tell.send(()).unwrap();
        let ended = ends.receive_until(Deadline::after(Duration::from_secs(20)))?;
        let child = other.join().unwrap()?;
        Ok(ended.len() == 1 && ended[0].pid == child.pid() && child.wait()?.code() == Some(7))
    });
}

#[test]
fn the_end_of_a_child_is_seen_while_its_thread_ends() {
    alone(|| {
        for _ in 0..200 {
            let (looks, name) = (AtomicUsize::new(0), AtomicI32::new(0));
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    name.store(thread(), Ordering::Relaxed);
                    // SAFETY: the child ends at once.
                    let child = unsafe { fork(|| 7) }?;
                    while process_tree::state(child.pid()).is_ok() {
                        std::thread::yield_now();
                    }
                    let begin = looks.load(Ordering::Relaxed);
                    while looks.load(Ordering::Relaxed) < begin + 3 {
                        std::hint::spin_loop();
                    }
                    Ok::<_, crate::Error>((child, begin))
                });
                let mut seen = Vec::new();
                // To the system it ends a little later than to us.
                while !other.is_finished() || process_tree::state(name.load(Ordering::Relaxed) as u32).is_ok() {
                    seen.push(ended_children()?.len());
                    looks.fetch_add(1, Ordering::Relaxed);
                }
                let (child, begin) = other.join().unwrap()?;
                child.wait()?;
                // One look was perhaps under way when the child ended.
                assert!(seen.iter().skip(begin + 1).all(|children| *children == 1), "it was there and is not seen");
                Ok::<_, crate::Error>(())
            })?;
        }
        Ok(true)
    });
}

#[test]
fn the_end_of_a_child_of_a_thread_that_blocks_it_too_is_told() {
    alone(|| {
        let mut ends = ChildEnds::take()?;
        let main = thread();
        let other = std::thread::spawn(move || {
            sleeps(main);
            // SAFETY: the child ends at once.
            unsafe { fork(|| 7) }
        });
        let ended = ends.receive_until(Deadline::after(Duration::from_secs(20)))?;
        let child = other.join().unwrap()?;
        Ok(ended.len() == 1 && ended[0].pid == child.pid())
    });
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn the_handler_that_was_there_runs_and_so_does_a_later_one() {
    extern "C" fn count(_: i32) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    alone(|| {
        let handler = count as *const () as usize;
        // SAFETY: handlers that change one atomic, in this child alone.
        let handle = |action| unsafe { libc::signal(libc::SIGCHLD, action) };
        for before in [libc::SIG_DFL, handler] {
            handle(before);
            let mut ends = ChildEnds::take()?;
            let ours = handle(handler);
            assert!(ours != before && ours != handler);
            ends.try_receive()?; // it comes before the new one
            assert_eq!(handle(handler), ours);
            ends.try_receive()?;
            let ran = HANDLED.load(Ordering::Relaxed);
            let child = std::thread::spawn(move || {
                let mut set = empty();
                // SAFETY: a valid set of ours; this thread's mask.
                unsafe {
                    libc::sigaddset(&mut set, libc::SIGCHLD);
                    libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
                }
                // SAFETY: the child ends at once.
                let child = unsafe { fork(|| 0) };
                while HANDLED.load(Ordering::Relaxed) == ran {
                    std::thread::yield_now();
                }
                child
            });
            let child = child.join().unwrap()?;
            assert_eq!(ends.receive()?[0].pid, child.pid());
            child.wait()?;
        }
        handle(libc::SIG_IGN);
        let ignored = ChildEnds::take().unwrap_err();
        Ok(ignored.kind() == ErrorKind::System(libc::ECHILD) && ignored.to_string().contains("SIG_DFL"))
    });
}

#[test]
fn a_look_out_is_not_inherited() {
    alone(|| {
        let mut ends = ChildEnds::take()?;
        // SAFETY: the children make system calls and end.
        let child = unsafe {
            fork(|| {
                let refused = ends.try_receive().is_err_and(|error| error.kind() == ErrorKind::Forked);
                // Its own children do not ring its parent's bell, and it may have a look-out of its own.
                let own = ChildEnds::take().and_then(|mut own| {
                    let grandchild = fork(|| 3)?;
                    let ended = own.receive_until(Deadline::after(Duration::from_secs(20)))?;
                    Ok(ended[0].pid == grandchild.pid())
                });
                i32::from(!(refused && own.is_ok_and(|told| told)))
            })
        }?;
        ends.receive()?;
        Ok(child.wait()?.success())
    });
}

#[test]
fn a_signal_stays_blocked_until_the_last_one_that_takes_it_goes() {
    std::thread::spawn(|| {
        let first = Signals::take([libc::SIGUSR1, libc::SIGUSR2]).unwrap();
        let second = Signals::take([libc::SIGUSR1]).unwrap();
        drop(first);
        raise(libc::SIGUSR1);
        assert_eq!(second.try_receive().unwrap().unwrap().signal, libc::SIGUSR1);
        let third = Mask::block([libc::SIGUSR1, libc::SIGUSR2]).unwrap();
        drop(second);
        drop(third);
        let mut now = super::empty();
        // SAFETY: asks for the mask; the set is ours.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut now) };
        assert!(!super::has(&now, libc::SIGUSR1) && !super::has(&now, libc::SIGUSR2));
    })
    .join()
    .unwrap();
}
