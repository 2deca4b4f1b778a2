//! System V message queues.
//!
//! | role               | does                                                                                        |
//! |--------------------|---------------------------------------------------------------------------------------------|
//! | `leave KEY`        | creates the queue, sends messages 0 to 9, k with type 1 + 3k mod 7, ends                      |
//! | `collect KEY`      | receives ten messages: the lowest types up to 2, then all but 5, then 5; says `k:type` of each |
//! | `send KEY FROM TO` | sends messages FROM to TO - 1 with type 1                                                     |
//! | `take KEY`         | receives until an empty message, checks the others, says `got k` of each                      |
//! | `wait KEY`         | says `waiting`, receives for ever, says `removed` when the queue is                           |
//! | `own KEY`          | makes a queue and owns it, says `holding`, stays (ours only)                                  |
//! | `interrupted KEY`  | waits with deadlines and for ever while signals rain, says `ok` (Rust only)                   |
//! | `limits KEY`       | meets every limit with as little privilege as it can have, says what it saw (Rust only)       |

use super::rain::rain;
use super::world::{nobody, own_world};
use std::time::{Duration, Instant};
use triveni::kernel::{SysvKey, SysvQueue, SysvQueueOptions, SysvSelect};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::message;

fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[..8].try_into().unwrap())
}

pub fn run(args: &[&str]) {
    let key = SysvKey::new(args[1].parse().unwrap());
    let open = || SysvQueue::open(key).unwrap();
    let mut buffer = [0; 64];
    match *args {
        ["leave", _] => {
            let queue = SysvQueue::create(key).unwrap();
            (0..10).for_each(|k| queue.send_with(&message(k), 1 + (3 * k % 7) as i64).unwrap());
        }
        ["collect", _] => {
            let queue = open();
            for select in [SysvSelect::UpTo(2), SysvSelect::Except(5), SysvSelect::Type(5)] {
                while let Some((size, mtype)) = queue.try_receive_selected(select, &mut buffer).unwrap() {
                    let k = number(&buffer[..size]);
                    assert_eq!(&buffer[..size], message(k));
                    println!("{k}:{mtype}");
                }
            }
        }
        ["send", _, from, to] => {
            let queue = open();
            (from.parse().unwrap()..to.parse().unwrap()).for_each(|k| queue.send(&message(k)).unwrap());
        }
        ["take", _] => {
            let queue = open();
            loop {
                let size = queue.receive(&mut buffer).unwrap();
                if size == 0 {
                    break;
                }
                assert_eq!(&buffer[..size], message(number(&buffer[..size])));
                println!("got {}", number(&buffer[..size]));
            }
        }
        ["wait", _] => {
            let queue = open();
            println!("waiting");
            assert_eq!(queue.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Removed);
            println!("removed");
        }
        ["own", _] => {
            let _queue = SysvQueueOptions::new().owned(true).create(key).unwrap();
            println!("holding");
            loop {
                std::thread::park();
            }
        }
        ["interrupted", _] => interrupted(key),
        ["limits", _] => limits(key),
        _ => panic!("no such role: {args:?}"),
    }
}

fn interrupted(key: SysvKey) {
    let queue = SysvQueueOptions::new().max_bytes(8).create(key).unwrap();
    rain();
    let (mut buffer, short) = ([0; 64], Duration::from_millis(60));
    let begin = Instant::now();
    assert_eq!(queue.receive_until(&mut buffer, Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= short);
    for interruptible in [Deadline::after(short * 1000).interruptible(), Deadline::never().interruptible()] {
        assert_eq!(queue.receive_until(&mut buffer, interruptible).unwrap_err().kind(), ErrorKind::Interrupted);
    }
    queue.send(b"8 bytes!").unwrap();
    let begin = Instant::now();
    assert_eq!(queue.send_until(b"x", Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= short);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(short); // the one below sleeps by then, or not yet: both are to be right
            assert_eq!(queue.receive(&mut [0; 64]).unwrap(), 8);
        });
        queue.send(b"for ever").unwrap();
    });
    println!("ok");
}

fn limits(key: SysvKey) {
    let own = own_world();
    if own {
        std::fs::write("/proc/sys/kernel/msgmni", "2").unwrap();
    }
    let first = SysvQueueOptions::new().mode(0o622).create(key).unwrap();
    let second = SysvQueue::create(SysvKey::PRIVATE).unwrap();
    if own {
        let error = SysvQueue::create(SysvKey::PRIVATE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("/proc/sys/kernel/msgmni is 2"), "{error}");
        println!("msgmni");
        // More than a queue holds, and less than a message may have.
        first.set_max_bytes(100).unwrap();
        std::fs::write("/proc/sys/kernel/msgmax", "70000").unwrap();
        std::fs::write("/proc/sys/kernel/msgmnb", "70000").unwrap();
        second.set_max_bytes(70_000).unwrap();
        let large: Vec<u8> = (0..60_000).map(|i| (i % 251) as u8).collect();
        second.send_with(&large, 3).unwrap();
        let mut buffer = vec![0; 70_000];
        assert_eq!(second.receive(&mut buffer[..59_999]).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(second.receive_selected(SysvSelect::Any, &mut buffer).unwrap(), (60_000, 3));
        assert!(buffer[..60_000] == large);
        let error = second.send(&[0; 70_001]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("/proc/sys/kernel/msgmax is 70000"), "{error}");
        println!("msgmax");
    }
    if !nobody() {
        println!("skipped: no user to become");
        return;
    }
    // Another user's queues: this one may be sent to, that one may not be used at all.
    let theirs = SysvQueue::open(key).unwrap();
    theirs.send(b"allowed").unwrap();
    let error = theirs.receive(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(error.to_string().contains("you are user 65534"), "{error}");
    assert_eq!(theirs.remove().unwrap_err().kind(), ErrorKind::Permission);
    assert_eq!(SysvQueue::open_id(second.id()).unwrap().send(b"x").unwrap_err().kind(), ErrorKind::Permission);
    let listed = SysvQueue::list().unwrap();
    let listed = listed.iter().find(|queue| queue.id == theirs.id()).unwrap();
    assert_eq!((listed.messages, listed.bytes, listed.uid), (1, 7, 0));
    println!("permission");
    if own {
        return; // no third queue there
    }
    let most: u64 = std::fs::read_to_string("/proc/sys/kernel/msgmnb").unwrap().trim().parse().unwrap();
    let error = SysvQueueOptions::new().max_bytes(most + 1).create(SysvKey::PRIVATE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(error.to_string().contains(&format!("/proc/sys/kernel/msgmnb is {most}")), "{error}");
    println!("msgmnb");
}
