//! POSIX message queues.
//!
//! | role                  | does                                                                                   |
//! |-----------------------|----------------------------------------------------------------------------------------|
//! | `leave NAME`          | creates the queue, sends messages 0 to 9, k with priority 3k mod 7, ends               |
//! | `collect NAME`        | receives ten messages, checks them, says `k:priority` of each                          |
//! | `send NAME FROM TO`   | sends messages FROM to TO - 1 with priority 0                                          |
//! | `take NAME`           | receives until an empty message, checks the others, says `got k` of each               |
//! | `notify NAME VALUE`   | asks for a signal, says `asked`, waits for it, says `told` (checks VALUE where it can) |
//! | `own NAME`            | makes a queue and owns it, says `holding`, stays (ours only)                           |
//! | `interrupted NAME`    | waits with deadlines and for ever while signals rain, says `ok` (Rust only)            |
//! | `limits NAME`         | meets every limit with as little privilege as it can have, says what it saw (Rust only) |
//! | `list NAME`           | mounts a file system of queues for itself and lists it (Rust only)                     |

use super::rain::rain;
use super::world::{nobody, own_world};
use std::time::{Duration, Instant};
use triveni::kernel::{PosixQueue, PosixQueueOptions, QueueAccess};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::message;

fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[..8].try_into().unwrap())
}

fn small() -> PosixQueueOptions {
    PosixQueueOptions::new().capacity(10).message_size(64)
}

pub fn run(args: &[&str]) {
    let mut buffer = [0; 64];
    match *args {
        ["leave", name] => {
            let queue = small().create(name).unwrap();
            (0..10).for_each(|k| queue.send_with(&message(k), (3 * k % 7) as u32).unwrap());
        }
        ["collect", name] => {
            let queue = PosixQueue::open(name).unwrap();
            for _ in 0..10 {
                let (size, priority) = queue.receive_envelope(&mut buffer).unwrap();
                let k = number(&buffer[..size]);
                assert_eq!(&buffer[..size], message(k));
                println!("{k}:{priority}");
            }
        }
        ["send", name, from, to] => {
            let queue = PosixQueue::open(name).unwrap();
            (from.parse().unwrap()..to.parse().unwrap()).for_each(|k| queue.send(&message(k)).unwrap());
        }
        ["take", name] => {
            let queue = PosixQueue::open(name).unwrap();
            loop {
                let size = queue.receive(&mut buffer).unwrap();
                if size == 0 {
                    break;
                }
                assert_eq!(&buffer[..size], message(number(&buffer[..size])));
                println!("got {}", number(&buffer[..size]));
            }
        }
        ["notify", name, value] => {
            let queue = PosixQueue::open(name).unwrap();
            let signal = libc::SIGRTMIN() + 3;
            // SAFETY: a zeroed set and a zeroed siginfo are ones; all pointers are to locals.
            let (code, value_told) = unsafe {
                let (mut set, mut info) = (std::mem::zeroed(), std::mem::zeroed());
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, signal);
                libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                queue.notify(signal, value.parse().unwrap()).unwrap();
                println!("asked");
                assert_eq!(libc::sigwaitinfo(&set, &mut info), signal);
                (info.si_code, info.si_value().sival_ptr as usize as u32 as i32)
            };
            assert_eq!((code, value_told), (libc::SI_MESGQ, value.parse().unwrap()));
            assert_eq!(queue.receive(&mut buffer).unwrap(), 8);
            println!("told");
        }
        ["own", name] => {
            let _queue = small().owned(true).create(name).unwrap();
            println!("holding");
            loop {
                std::thread::park();
            }
        }
        ["interrupted", name] => interrupted(name),
        ["limits", name] => limits(name),
        ["list", name] => list(name),
        _ => panic!("no such role: {args:?}"),
    }
}

fn interrupted(name: &str) {
    let queue = small().capacity(1).create(name).unwrap();
    rain();
    let (mut buffer, short) = ([0; 64], Duration::from_millis(60));
    let begin = Instant::now();
    assert_eq!(queue.receive_until(&mut buffer, Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= short);
    let interruptible = Deadline::after(short * 1000).interruptible();
    assert_eq!(queue.receive_until(&mut buffer, interruptible).unwrap_err().kind(), ErrorKind::Interrupted);
    let interruptible = Deadline::never().interruptible();
    assert_eq!(queue.receive_until(&mut buffer, interruptible).unwrap_err().kind(), ErrorKind::Interrupted);
    queue.send(b"full").unwrap();
    let begin = Instant::now();
    assert_eq!(queue.send_until(b"x", Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= short);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(short); // the one below sleeps by then, or not yet: both are to be right
            assert_eq!(queue.receive(&mut [0; 64]).unwrap(), 4);
        });
        queue.send(b"for ever").unwrap();
    });
    println!("ok");
}

fn limits(name: &str) {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `before` is a valid, writable rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_MSGQUEUE, &mut before) };
    let low = before.rlim_max.min(4096);
    // SAFETY: both are valid.
    unsafe { libc::setrlimit(libc::RLIMIT_MSGQUEUE, &libc::rlimit { rlim_cur: low, ..before }) };
    let error = small().message_size(1024).create(name).unwrap_err();
    assert_eq!(error.errno(), libc::EMFILE);
    assert!(error.to_string().contains(&format!("{low} bytes (RLIMIT_MSGQUEUE)")), "{error}");
    // The largest queue there can be: within the limits of who is privileged, but not of the user.
    let error = small().capacity(65536).message_size(16 << 20).create(name).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("(RLIMIT_MSGQUEUE)") || said.contains("a limit for all without CAP_SYS_RESOURCE"), "{said}");
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_MSGQUEUE, &before) };
    println!("RLIMIT_MSGQUEUE");

    let own = own_world();
    if own {
        std::fs::write("/proc/sys/fs/mqueue/queues_max", "3").unwrap();
    }
    let first = small().mode(0o622).create(name).unwrap();
    let _second = small().create(&format!("{name}-2")).unwrap();
    if !nobody() {
        println!("skipped: no user to become");
        return;
    }
    let refused = |options: PosixQueueOptions, name: &str| options.create(name).unwrap_err();
    let most: usize = std::fs::read_to_string("/proc/sys/fs/mqueue/msg_max").unwrap().trim().parse().unwrap();
    let error = refused(small().capacity(most + 1), &format!("{name}-3"));
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&format!("/proc/sys/fs/mqueue/msg_max is {most}")), "{error}");
    assert!(
        error.to_string().contains("an administrator") && error.to_string().contains("CAP_SYS_RESOURCE"),
        "{error}"
    );
    let error = refused(small().capacity(65537), &format!("{name}-3"));
    assert!(error.to_string().contains("65536 messages") && !error.to_string().contains("an administrator"), "{error}");

    if own {
        let _third = small().create(&format!("{name}-3")).unwrap();
        let error = refused(small(), &format!("{name}-4"));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("/proc/sys/fs/mqueue/queues_max is 3"), "{error}");
        println!("queues_max");
    }

    // Another user's queues: this one may be sent to, that one may not be used at all.
    let error = PosixQueue::open(name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(error.to_string().contains("sending and receiving"), "{error}");
    let sender = PosixQueueOptions::new().access(QueueAccess::Send).open(name).unwrap();
    sender.send(b"allowed").unwrap();
    assert_eq!(first.len(), 1);
    for name in [name.to_string(), format!("{name}-2")] {
        let receiver = PosixQueueOptions::new().access(QueueAccess::Receive).open(&name);
        assert_eq!(receiver.unwrap_err().kind(), ErrorKind::Permission);
        assert_eq!(PosixQueue::unlink(&name).unwrap_err().kind(), ErrorKind::Permission);
    }
    println!("permission");
}

fn list(name: &str) {
    if !own_world() {
        println!("skipped: no world of its own");
        return;
    }
    let folder = std::env::temp_dir().join(format!("triveni queues {}", std::process::id())); // with a space
    std::fs::create_dir_all(&folder).unwrap();
    let path = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    let said = PosixQueue::list().unwrap_err();
    assert!(said.kind() == ErrorKind::Unsupported && said.to_string().contains("mount -t mqueue"), "{said}");
    // SAFETY: all four strings end with NUL; no data is given.
    let mounted = unsafe { libc::mount(c"none".as_ptr(), path.as_ptr(), c"mqueue".as_ptr(), 0, std::ptr::null()) } == 0;
    if mounted {
        let queue = small().mode(0o640).create(name).unwrap();
        queue.send(b"12345").unwrap();
        let other = small().capacity(3).create(&format!("{name}-other")).unwrap();
        assert_eq!(PosixQueue::list().unwrap(), [queue.info().unwrap(), other.info().unwrap()]);
        // SAFETY: the string ends with NUL.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
    std::fs::remove_dir(&folder).unwrap();
    println!("{}", if mounted { "listed" } else { "skipped: no mount" });
}
