//! The other process, in Rust: `peer ROLE SEGMENT OBJECT N [EXTRA]`, one role per run.
//!
//! SEGMENT is a name, or `fd:N` for the descriptor N, which the peer inherits.
//!
//! The first table is the same in peer.c and peer.py. Each of these says `ready` once the object is open.
//!
//! | role                | does                                                                                  |
//! |---------------------|---------------------------------------------------------------------------------------|
//! | `send`, `receive`   | N messages through a mailbox; the receiver checks order and bytes and says `ok N`      |
//! | `store`, `load`     | N values of a cell; the loader checks each it gets and says `ok N` at the last one     |
//! | `fill`, `scan`      | an array as a whole N times; the other takes snapshots until it has seen the last one |
//! | `write`, `read`     | the same through a ring, copying                                                      |
//! | `reserve`, `peek`   | the same through a ring, in place                                                     |
//! | `write-many`,       | the same in batches of up to 7; packed rings get 8-byte numbers. The writer shuts the |
//! | `read-many`         | ring down in the end, and the reader waits for that                                   |
//! | `publish`           | N messages to a topic, every other one in place, then shuts it down                   |
//! | `subscribe`         | checks order and bytes, every other message in place; says `ok N MISSED` at the end,  |
//! |                     | N being all that it received or was told it missed                                    |
//! | `call`, `serve`     | N calls of a service, every other request and answer in place; the answer is the       |
//! |                     | request; both check order and bytes. The client shuts the service down in the end     |
//! | `ask`, `answer`     | N calls through a port; the answer is the message; both check order and bytes         |
//! | `post`, `wait`      | N times on a semaphore                                                                |
//! | `lock`              | N times: lock, add one to the 8-byte number in the file EXTRA, unlock                 |
//! | `hold`              | locks the mutex, says `holding`, stays                                                |
//! | `claim`             | claims room in the mailbox, says `holding`, stays                                     |
//! | `lock-once`         | locks with 10 s to wait, says `ok` or `owner_died` (and recovers), unlocks            |
//! | `lock-X`            | N times: locks, adds one to *both* 8-byte numbers in the file EXTRA, unlocks; X is    |
//! |                     | `monitor`, `write` (an rwlock) or `lease` (one permit of a leased semaphore).         |
//! |                     | `lock-read`: read-locks and fails if the two numbers differ                           |
//! | `hold-X`            | locks, says `holding`, stays; X as above, also `read`                                 |
//! | `once-X`            | as `lock-once`, on X                                                                  |
//! | `put`, `take`       | N times, in a monitor with the conditions `not_full` and `not_empty`: waits until the |
//! |                     | 8-byte number in the file EXTRA is 0 (put) or not (take), makes it the turn's number  |
//! |                     | from 1 on (put), or checks that it is that and makes it 0 (take), signals the other   |
//! | `meet`              | N times at a barrier; says `ok N LED`, LED being how often it was the last to arrive  |
//! | `attend`            | says `waiting`, arrives at a barrier, says `ok` or `broken`                           |
//! | `set`, `await`      | N times on event flags: set sets 1 and waits for 2 (clearing it), await the reverse   |
//! | `wait-condition`    | enters, says `waiting`, waits for the condition `c` for up to 10 s, says `ok` or      |
//! |                     | `owner_died` (and recovers), leaves                                                   |
//!
//! Where the table says nothing else, `ok N` is the last that is said.
//!
//! The other roles are this peer's alone; each says at its function, in the file of its object, what it does.

#[path = "peer/create.rs"]
mod create;
#[path = "peer/data.rs"]
mod data;
#[path = "peer/fork.rs"]
mod fork;
#[path = "peer/garbage.rs"]
mod garbage;
#[path = "peer/locks.rs"]
mod locks;
#[path = "peer/logs.rs"]
mod logs;
#[path = "peer/mailbox.rs"]
mod mailbox;
#[path = "peer/meet.rs"]
mod meet;
#[path = "peer/port.rs"]
mod port;
#[path = "peer/ring.rs"]
mod ring;
#[path = "peer/service.rs"]
mod service;
#[path = "peer/topic.rs"]
mod topic;

use std::os::fd::BorrowedFd;
use triveni::{Error, ErrorKind, Result, Segment};

fn main() {
    execute_when_told();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        eprintln!("peer {}: {error}", args.join(" "));
        std::process::exit(1);
    }
}

fn open(segment: &str) -> Result<Segment> {
    match segment.strip_prefix("fd:").map(str::parse) {
        None => Segment::open(segment),
        Some(Err(_)) => Err(wrong("fd:N: N is no number")),
        // SAFETY: an inherited descriptor that nobody else here knows of; it stays open.
        Some(Ok(fd)) => Segment::from_fd(unsafe { BorrowedFd::borrow_raw(fd) }),
    }
}

fn run(args: &[&str]) -> Result<()> {
    let (role, segment, object, n, extra) = match *args {
        ["attack", ref names @ ..] => return garbage::attack(names),
        [role, segment, object, n] => (role, segment, object, n, ""),
        [role, segment, object, n, extra] => (role, segment, object, n, extra),
        _ => return Err(wrong("usage: peer ROLE SEGMENT OBJECT N [EXTRA]")),
    };
    let n: u64 = n.parse().map_err(|_| wrong("N is no number"))?;
    if role == "create-segment" {
        return create::create_segment(segment);
    }
    if role == "inherit" {
        return fork::inherit(n);
    }
    let segment = open(segment)?;
    match role {
        "send" => mailbox::send(&segment, object, n),
        "receive" => mailbox::receive(&segment, object, n),
        "write" | "reserve" => ring::produce(&segment, object, n, role == "reserve"),
        "read" | "peek" => ring::consume(&segment, object, n, role == "peek"),
        "write-many" => ring::write_many(&segment, object, n),
        "read-many" => ring::read_many(&segment, object, n),
        "publish" => topic::publish(&segment, object, n),
        "subscribe" => topic::subscribe(&segment, object),
        "call" => service::call(&segment, object, n),
        "serve" => service::serve(&segment, object, n),
        "ask" => port::ask(&segment, object, n),
        "answer" => port::answer(&segment, object, n),
        "store" | "load" => data::latest(&segment, object, n, role == "store"),
        "fill" | "scan" => data::grid(&segment, object, n, role == "fill"),
        "post" | "wait" => meet::semaphore(&segment, object, n, role == "post"),
        "lock" => locks::lock(&segment, object, n, extra),
        "hold" => locks::hold(&segment, object),
        "claim" => mailbox::claim(&segment, object),
        "lock-once" => locks::lock_once(&segment, object),
        "put" | "take" => meet::bounded_buffer(&segment, object, n, extra, role == "put"),
        "meet" => meet::meet(&segment, object, n),
        "attend" => meet::attend(&segment, object),
        "set" | "await" => meet::flags(&segment, object, n, role == "set"),
        "wait-condition" => meet::wait_condition(&segment, object),
        "create-object" => create::create_object(&segment, object),
        "log-send" => mailbox::log_send(&segment, object, n, extra),
        "log-receive" => mailbox::log_receive(&segment, object),
        "log-produce" => ring::log_produce(&segment, object, n),
        "log-consume" => ring::log_consume(&segment, object, n),
        "log-publish" => topic::log_publish(&segment, object, n),
        "log-subscribe" => topic::log_subscribe(&segment, object),
        "log-call" => logs::call(&segment, object, n),
        "log-serve" => logs::serve(&segment, object),
        "log-ask" => logs::ask(&segment, object, n),
        "log-answer" => logs::answer(&segment, object),
        "log-write-array" => logs::write_array(&segment, object, n),
        "log-read-array" => logs::read_array(&segment, object, n),
        "log-store" => logs::store(&segment, object, n),
        "log-load" => logs::load(&segment, object, n),
        "torture" => locks::torture(&segment, object, n),
        "interrupted" => meet::interrupted(&segment, object, n, extra),
        "fork" => fork::fork(&segment, object),
        "uncontended" => fork::uncontended(&segment, object, n),
        "everything" => garbage::everything(&segment),
        _ => match role.split_once('-') {
            Some(("lock", what)) => locks::lock_both(&segment, object, n, extra, what),
            Some(("hold", what)) => locks::hold_any(&segment, object, what),
            Some(("once", what)) => locks::once(&segment, object, what),
            _ => Err(wrong(&format!("there is no role {role:?}"))),
        },
    }
}

fn wrong(sentence: &str) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}

fn ready() {
    println!("ready");
}

/// At SIGUSR1 this process becomes another program.
fn execute_when_told() {
    extern "C" fn execute(_signal: i32) {
        let arguments = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
        // SAFETY: execve is async-signal-safe; the strings are constants, and each list ends with a null pointer.
        unsafe { libc::execve(c"/bin/sleep".as_ptr(), arguments.as_ptr(), [std::ptr::null()].as_ptr()) };
    }
    // SAFETY: the handler calls only what is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR1, execute as extern "C" fn(i32) as libc::sighandler_t) };
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

/// Message number `seq`, as every peer makes it: the number, then up to 39 bytes that depend on it.
fn message(seq: u64) -> Vec<u8> {
    let mut bytes = seq.to_le_bytes().to_vec();
    bytes.extend((0..seq % 40).map(|i| (seq.wrapping_mul(7).wrapping_add(i) & 0xff) as u8));
    bytes
}

/// The largest of them.
const MESSAGE: usize = 8 + 39;

fn check(seq: u64, bytes: &[u8]) -> Result<()> {
    if bytes == message(seq) {
        return Ok(());
    }
    Err(wrong(&format!("message {seq} should be {:?} and is {bytes:?}", message(seq))))
}

/// A message of the kill tests: who sent it, its number, and bytes that follow from the two.
fn signed(sender: u64, seq: u64) -> Vec<u8> {
    let mut bytes = sender.to_le_bytes().to_vec();
    bytes.extend(seq.to_le_bytes());
    bytes.extend((0..(sender * 31 + seq * 17) % 300).map(|i| (sender * 13 + seq * 7 + i) as u8));
    bytes
}

/// `SENDER SEQ`, or why these bytes are no message that anybody sent.
fn signature(bytes: &[u8]) -> Result<String> {
    let number = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    match (number(0), number(8)) {
        (Some(sender), Some(seq)) if sender < 1 << 20 && seq < 1 << 40 && bytes == signed(sender, seq) => {
            Ok(format!("{sender} {seq}"))
        }
        _ => Err(wrong(&format!("torn: {bytes:?}"))),
    }
}
