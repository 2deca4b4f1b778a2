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
//! The roles below these are this peer's alone; each says at its function what it does.

#[path = "peer/logs.rs"]
mod logs;

use std::fs::File;
use std::io::{Read, Write};
use std::mem::forget;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use triveni::{
    After, Capacity, CellOptions, Deadline, Error, ErrorKind, LockError, MailboxOptions, Monitor, Mutex, Port,
    PortEvent, PortOptions, RawArray, RawCell, Result, RwLock, RwPolicy, Segment, Semaphore, SemaphoreOptions, Service,
    Start, TopicOptions, Typed,
};
use triveni_tests::{Random, TORTURED};

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
        ["attack", ref names @ ..] => return attack(names),
        [role, segment, object, n] => (role, segment, object, n, ""),
        [role, segment, object, n, extra] => (role, segment, object, n, extra),
        _ => return Err(wrong("usage: peer ROLE SEGMENT OBJECT N [EXTRA]")),
    };
    let n: u64 = n.parse().map_err(|_| wrong("N is no number"))?;
    if role == "create-segment" {
        return create_segment(segment);
    }
    let segment = open(segment)?;
    match role {
        "send" => send(&segment, object, n),
        "receive" => receive(&segment, object, n),
        "write" | "reserve" => produce(&segment, object, n, role == "reserve"),
        "read" | "peek" => consume(&segment, object, n, role == "peek"),
        "write-many" => write_many(&segment, object, n),
        "read-many" => read_many(&segment, object, n),
        "publish" => publish(&segment, object, n),
        "subscribe" => subscribe(&segment, object),
        "call" => call(&segment, object, n),
        "serve" => serve(&segment, object, n),
        "ask" => ask(&segment, object, n),
        "answer" => answer(&segment, object, n),
        "store" | "load" => latest(&segment, object, n, role == "store"),
        "fill" | "scan" => grid(&segment, object, n, role == "fill"),
        "post" | "wait" => semaphore(&segment, object, n, role == "post"),
        "lock" => lock(&segment, object, n, extra),
        "hold" => hold(&segment, object),
        "claim" => claim(&segment, object),
        "lock-once" => lock_once(&segment, object),
        "put" | "take" => bounded_buffer(&segment, object, n, extra, role == "put"),
        "meet" => meet(&segment, object, n),
        "attend" => attend(&segment, object),
        "set" | "await" => flags(&segment, object, n, role == "set"),
        "wait-condition" => wait_condition(&segment, object),
        "create-object" => create_object(&segment, object),
        "log-send" => log_send(&segment, object, n, extra),
        "log-receive" => log_receive(&segment, object),
        "log-produce" => log_produce(&segment, object, n),
        "log-consume" => log_consume(&segment, object, n),
        "log-publish" => log_publish(&segment, object, n),
        "log-subscribe" => log_subscribe(&segment, object),
        "log-call" => logs::call(&segment, object, n),
        "log-serve" => logs::serve(&segment, object),
        "log-ask" => logs::ask(&segment, object, n),
        "log-answer" => logs::answer(&segment, object),
        "log-write-array" => logs::write_array(&segment, object, n),
        "log-read-array" => logs::read_array(&segment, object, n),
        "log-store" => logs::store(&segment, object, n),
        "log-load" => logs::load(&segment, object, n),
        "torture" => torture(&segment, object, n),
        "interrupted" => interrupted(&segment, object, n, extra),
        "fork" => fork(&segment, object),
        "uncontended" => uncontended(&segment, object, n),
        "everything" => everything(&segment),
        _ => match role.split_once('-') {
            Some(("lock", what)) => lock_both(&segment, object, n, extra, what),
            Some(("hold", what)) => hold_any(&segment, object, what),
            Some(("once", what)) => once(&segment, object, what),
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

fn send(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    ready();
    (0..n).try_for_each(|seq| mailbox.send(&message(seq)))
}

fn receive(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    let mut buffer = vec![0; mailbox.message_size()];
    ready();
    for seq in 0..n {
        let received = mailbox.receive(&mut buffer)?;
        check(seq, &buffer[..received.size])?;
    }
    println!("ok {n}");
    Ok(())
}

fn call(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let service = segment.open_service(object)?;
    let mut answer = vec![0; service.response_size()];
    ready();
    for seq in 0..n {
        let request = message(seq);
        let size = if seq % 2 == 0 {
            service.call(&request, &mut answer)?
        } else {
            let mut room = service.reserve(MESSAGE)?;
            room.write(0, &request)?;
            let call = room.send(request.len())?;
            call.wait()?;
            call.read(&mut answer)?
        };
        check(seq, &answer[..size])?;
    }
    service.shutdown();
    Ok(())
}

fn serve(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let service = segment.open_service(object)?;
    ready();
    let mut seq = 0;
    loop {
        let mut request = match service.receive() {
            Err(error) if error.kind() == ErrorKind::Closed => break,
            request => request?,
        };
        let bytes = request.to_vec()?;
        check(seq, &bytes)?;
        let answered = if seq % 2 == 0 {
            request.reply(&bytes)?
        } else {
            request.write(0, &bytes)?;
            request.commit(bytes.len())?
        };
        if !answered {
            return Err(wrong("the client has given up"));
        }
        seq += 1;
    }
    if seq != n {
        return Err(wrong(&format!("{seq} calls, not {n}")));
    }
    println!("ok {n}");
    Ok(())
}

fn ask(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let port = segment.open_port(object)?;
    let mut buffer = vec![0; port.message_size()];
    ready();
    for seq in 0..n {
        let answer = port.call(&message(seq), &mut buffer, Deadline::never())?;
        check(seq, &buffer[..answer.size])?;
    }
    println!("ok {n}");
    Ok(())
}

fn answer(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let port = segment.port_with(object, PortOptions::default().message_size(64))?;
    let mut buffer = vec![0; port.message_size()];
    ready();
    for seq in 0..n {
        let received = port.receive(&mut buffer)?;
        let message = &buffer[..received.size];
        check(seq, message)?;
        received.reply.ok_or_else(|| wrong("a call has no right to answer it"))?.send(message)?;
    }
    println!("ok {n}");
    Ok(())
}

fn publish(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mut publisher = segment.open_topic(object)?.publisher()?;
    ready();
    for seq in 0..n {
        let message = message(seq);
        if seq % 2 == 0 {
            publisher.publish(&message)?;
        } else if let Some(mut room) = publisher.reserve(message.len() + 1)? {
            room.write(0, &message)?;
            room.commit(message.len())?;
        }
    }
    publisher.shutdown()
}

fn subscribe(segment: &Segment, object: &str) -> Result<()> {
    let mut subscriber = segment.open_topic(object)?.subscriber(Start::Latest)?;
    ready();
    let (mut buffer, mut received, mut next) = ([0; MESSAGE], 0u64, 0u64);
    loop {
        let taken = if received % 2 == 0 {
            subscriber.receive(&mut buffer)
        } else {
            subscriber.peek().and_then(|message| {
                let size = message.read(0, &mut buffer);
                message.release().map(|()| size)
            })
        };
        match taken {
            Ok(size) => {
                let seq = u64::from_le_bytes(buffer[..8].try_into().unwrap_or_default());
                if seq < next {
                    return Err(wrong(&format!("message {seq} after {next}")));
                }
                check(seq, &buffer[..size])?;
                (received, next) = (received + 1, seq + 1);
            }
            Err(error) if error.kind() == ErrorKind::Lost => {}
            Err(error) if error.kind() == ErrorKind::Closed => break,
            Err(error) => return Err(error),
        }
    }
    println!("ok {} {}", received + subscriber.missed(), subscriber.missed());
    Ok(())
}

fn produce(segment: &Segment, object: &str, n: u64, in_place: bool) -> Result<()> {
    let mut producer = segment.open_ring(object)?.producer()?;
    ready();
    for seq in 0..n {
        let message = message(seq);
        if in_place {
            let mut room = producer.reserve(message.len() + 8)?;
            room.write(0, &message)?;
            room.commit(message.len())?;
        } else {
            producer.write(&message)?;
        }
    }
    Ok(())
}

fn consume(segment: &Segment, object: &str, n: u64, in_place: bool) -> Result<()> {
    let mut consumer = segment.open_ring(object)?.consumer()?;
    let mut buffer = [0; MESSAGE];
    ready();
    for seq in 0..n {
        let size = if in_place {
            let record = consumer.peek()?;
            let size = record.size();
            record.read(0, &mut buffer);
            record.release()?;
            size
        } else {
            consumer.read(&mut buffer)?
        };
        check(seq, buffer.get(..size).unwrap_or(&[]))?;
    }
    println!("ok {n}");
    Ok(())
}

/// A value of a cell in all languages.
#[derive(Clone, Copy, PartialEq, Typed)]
#[repr(C)]
struct Latest {
    number: u64,
    values: [f64; 4],
}

impl Latest {
    fn new(number: u64) -> Latest {
        Latest { number, values: [1.0, 2.0, 3.0, 4.0].map(|k| k * number as f64) }
    }
}

fn latest(segment: &Segment, object: &str, n: u64, store: bool) -> Result<()> {
    let cell = segment.open_cell::<Latest>(object)?;
    if segment.open_cell::<[f64; 5]>(object).is_ok() {
        return Err(wrong("five doubles are taken for a number and four doubles"));
    }
    ready();
    let mut seen = 0;
    while seen < n {
        if store {
            seen = cell.store(Latest::new(seen + 1))?;
            continue;
        }
        let (version, value) = cell.load_newer(seen)?;
        if version <= seen || value != Latest::new(version) {
            return Err(wrong(&format!("version {version} after {seen} is {} {:?}", value.number, value.values)));
        }
        seen = version;
    }
    println!("ok {n}");
    Ok(())
}

fn grid(segment: &Segment, object: &str, n: u64, fill: bool) -> Result<()> {
    let array = segment.open_array::<f64>(object)?;
    if segment.open_array::<i64>(object).is_ok() || array.shape() != [4, 5] {
        return Err(wrong("this is no array of 4 times 5 doubles"));
    }
    ready();
    let mut seen = 0.0;
    while seen < n as f64 {
        if fill {
            seen += 1.0;
            array.write()?.copy_from(&[seen; 20])?;
            continue;
        }
        let elements = array.snapshot()?;
        if elements[0] < seen || elements.iter().any(|x| *x != elements[0]) {
            return Err(wrong(&format!("torn after {seen}: {elements:?}")));
        }
        seen = elements[0];
    }
    println!("ok {n}");
    Ok(())
}

fn write_many(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let ring = segment.open_ring(object)?;
    let mut producer = ring.producer()?;
    ready();
    for first in (0..n).step_by(7) {
        let batch = first..n.min(first + 7);
        match ring.record_size() {
            Some(_) => producer.write_packed(&batch.flat_map(u64::to_le_bytes).collect::<Vec<_>>())?,
            None => producer.write_many(&batch.map(message).collect::<Vec<_>>())?,
        }
    }
    ring.shutdown();
    Ok(())
}

fn read_many(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let ring = segment.open_ring(object)?;
    let mut consumer = ring.consumer()?;
    let (mut buffer, mut sizes, mut seq) = ([0; 5 * MESSAGE], [8; 5], 0);
    ready();
    loop {
        let read = match ring.record_size() {
            Some(_) => consumer.read_packed(&mut buffer[..40]),
            None => consumer.read_many(&mut buffer, &mut sizes),
        };
        let mut rest = &buffer[..];
        match read {
            Ok(read) => sizes[..read].iter().try_for_each(|size| {
                let record = rest.split_off(..*size).unwrap_or(&[]);
                seq += 1;
                if ring.record_size().is_none() {
                    return check(seq - 1, record);
                }
                if record == (seq - 1).to_le_bytes() {
                    Ok(())
                } else {
                    Err(wrong(&format!("{record:?} is not {seq} - 1")))
                }
            })?,
            Err(error) if error.kind() == ErrorKind::Closed && seq == n => break,
            Err(error) => return Err(error),
        }
    }
    println!("ok {n}");
    Ok(())
}

fn semaphore(segment: &Segment, object: &str, n: u64, post: bool) -> Result<()> {
    let semaphore = segment.open_semaphore(object)?;
    ready();
    for _ in 0..n {
        if post { semaphore.post()? } else { semaphore.wait()? }
    }
    println!("ok {n}");
    Ok(())
}

fn lock(segment: &Segment, object: &str, n: u64, file: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    let broken = |error: std::io::Error| wrong(&format!("{file}: {error}"));
    let file = File::options().read(true).write(true).open(file).map_err(broken)?;
    ready();
    for _ in 0..n {
        let guard = mutex.lock()?;
        let mut count = [0; 8];
        file.read_exact_at(&mut count, 0).map_err(broken)?;
        file.write_all_at(&(u64::from_le_bytes(count) + 1).to_le_bytes(), 0).map_err(broken)?;
        drop(guard);
    }
    println!("ok {n}");
    Ok(())
}

fn hold(segment: &Segment, object: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    ready();
    let guard = match mutex.lock() {
        Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
        Err(failed) => return Err(failed.into()),
    };
    println!("holding");
    let _guard = guard;
    stay()
}

fn claim(segment: &Segment, object: &str) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    ready();
    let _loan = mailbox.reserve(1)?;
    println!("holding");
    stay()
}

fn lock_once(segment: &Segment, object: &str) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    ready();
    match mutex.lock_until(Deadline::after(Duration::from_secs(10))) {
        Ok(_guard) => println!("ok"),
        Err(LockError::OwnerDied(guard)) => {
            println!("owner_died");
            guard.recover();
        }
        Err(failed) => return Err(failed.into()),
    }
    Ok(())
}

/// Anything that is locked and unlocked.
enum Lock {
    Mutex(Mutex),
    Monitor(Monitor),
    Read(RwLock),
    Write(RwLock),
    Lease(Semaphore),
}

impl Lock {
    fn open(segment: &Segment, object: &str, what: &str) -> Result<Lock> {
        match what {
            "mutex" => Ok(Lock::Mutex(segment.open_mutex(object)?)),
            "monitor" => Ok(Lock::Monitor(segment.open_monitor(object)?)),
            "read" => Ok(Lock::Read(segment.open_rwlock(object)?)),
            "write" => Ok(Lock::Write(segment.open_rwlock(object)?)),
            "lease" => Ok(Lock::Lease(segment.open_semaphore(object)?)),
            _ => Err(wrong(&format!("{what:?} is nothing to lock"))),
        }
    }

    /// Locks. True: a holder died; then `recover` is due.
    fn lock(&self, deadline: Deadline) -> Result<bool> {
        fn kept<G>(locked: std::result::Result<G, LockError<G>>) -> Result<bool> {
            match locked {
                Ok(guard) => {
                    forget(guard);
                    Ok(false)
                }
                Err(LockError::OwnerDied(guard)) => {
                    forget(guard);
                    Ok(true)
                }
                Err(LockError::Failed(error)) => Err(error),
            }
        }
        match self {
            Lock::Mutex(mutex) => kept(mutex.lock_until(deadline)),
            Lock::Monitor(monitor) => kept(monitor.enter_until(deadline)),
            Lock::Read(lock) => kept(lock.read_until(deadline)),
            Lock::Write(lock) => kept(lock.write_until(deadline)),
            Lock::Lease(semaphore) => semaphore.wait_until(deadline).map(|()| false),
        }
    }

    fn recover(&self) -> Result<()> {
        match self {
            Lock::Mutex(mutex) => mutex.recover(),
            Lock::Monitor(monitor) => monitor.recover(),
            Lock::Write(lock) => lock.recover(),
            Lock::Read(_) | Lock::Lease(_) => Ok(()), // Readers do not repair; permits guard nothing.
        }
    }

    fn unlock(&self) -> Result<()> {
        match self {
            Lock::Mutex(mutex) => mutex.unlock(),
            Lock::Monitor(monitor) => monitor.leave(),
            Lock::Read(lock) | Lock::Write(lock) => lock.unlock(),
            Lock::Lease(semaphore) => semaphore.post(),
        }
    }
}

/// The numbers in a file that a lock guards.
struct Numbers<'a>(File, &'a str);

impl<'a> Numbers<'a> {
    fn open(path: &'a str) -> Result<Numbers<'a>> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Numbers(file.map_err(|error| wrong(&format!("{path}: {error}")))?, path))
    }

    fn get(&self, i: u64) -> Result<u64> {
        let mut number = [0; 8];
        self.0.read_exact_at(&mut number, 8 * i).map_err(|error| wrong(&format!("{}: {error}", self.1)))?;
        Ok(u64::from_le_bytes(number))
    }

    fn set(&self, i: u64, number: u64) -> Result<()> {
        let written = self.0.write_all_at(&number.to_le_bytes(), 8 * i);
        written.map_err(|error| wrong(&format!("{}: {error}", self.1)))
    }
}

fn lock_both(segment: &Segment, object: &str, n: u64, file: &str, what: &str) -> Result<()> {
    let (lock, numbers) = (Lock::open(segment, object, what)?, Numbers::open(file)?);
    ready();
    for _ in 0..n {
        lock.lock(Deadline::never())?;
        let (a, b) = (numbers.get(0)?, numbers.get(1)?);
        if a != b {
            return Err(wrong(&format!("locked to {what}, and the numbers are {a} and {b}")));
        }
        if what != "read" {
            numbers.set(0, a + 1)?;
            numbers.set(1, b + 1)?;
        }
        lock.unlock()?;
    }
    println!("ok {n}");
    Ok(())
}

fn hold_any(segment: &Segment, object: &str, what: &str) -> Result<()> {
    let lock = Lock::open(segment, object, what)?;
    ready();
    lock.lock(Deadline::never())?;
    println!("holding");
    stay()
}

fn once(segment: &Segment, object: &str, what: &str) -> Result<()> {
    let lock = Lock::open(segment, object, what)?;
    ready();
    if lock.lock(Deadline::after(Duration::from_secs(10)))? {
        println!("owner_died");
        lock.recover()?;
    } else {
        println!("ok");
    }
    lock.unlock()
}

fn bounded_buffer(segment: &Segment, object: &str, n: u64, file: &str, put: bool) -> Result<()> {
    let (monitor, numbers) = (segment.open_monitor(object)?, Numbers::open(file)?);
    let (not_full, not_empty) = (monitor.condition("not_full")?, monitor.condition("not_empty")?);
    ready();
    for turn in 1..=n {
        let _inside = monitor.enter()?;
        if put {
            while numbers.get(0)? != 0 {
                not_full.wait()?;
            }
            numbers.set(0, turn)?;
            not_empty.signal()?;
        } else {
            while numbers.get(0)? == 0 {
                not_empty.wait()?;
            }
            if numbers.get(0)? != turn {
                return Err(wrong(&format!("item {} came in turn {turn}", numbers.get(0)?)));
            }
            numbers.set(0, 0)?;
            not_full.signal()?;
        }
    }
    println!("ok {n}");
    Ok(())
}

fn meet(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let barrier = segment.open_barrier(object)?;
    ready();
    let mut led = 0;
    for _ in 0..n {
        led += u64::from(barrier.wait()?);
    }
    println!("ok {n} {led}");
    Ok(())
}

fn attend(segment: &Segment, object: &str) -> Result<()> {
    let barrier = segment.open_barrier(object)?;
    println!("waiting");
    match barrier.wait() {
        Ok(_) => println!("ok"),
        Err(error) if error.kind() == ErrorKind::Broken => println!("broken"),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn flags(segment: &Segment, object: &str, n: u64, first: bool) -> Result<()> {
    let event = segment.open_event(object)?;
    ready();
    for _ in 0..n {
        if first {
            event.set(1)?;
            event.wait_any(2, After::Clear)?;
        } else {
            event.wait_any(1, After::Clear)?;
            event.set(2)?;
        }
    }
    println!("ok {n}");
    Ok(())
}

fn wait_condition(segment: &Segment, object: &str) -> Result<()> {
    let monitor = segment.open_monitor(object)?;
    let condition = monitor.condition("c")?;
    let _inside = monitor.enter()?;
    println!("waiting");
    match condition.wait_until(Deadline::after(Duration::from_secs(10))) {
        Ok(()) => println!("ok"),
        Err(error) if error.kind() == ErrorKind::OwnerDied => {
            println!("owner_died");
            monitor.recover()?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Waits at the gate (end of stdin).
fn at_the_gate() {
    ready();
    let _ = std::io::stdin().read_to_end(&mut Vec::new()); // open is open, however it happened
}

/// At the gate with many others: creates the segment. Says `created` or `exists`.
fn create_segment(segment: &str) -> Result<()> {
    at_the_gate();
    match Segment::create(segment, 1 << 20) {
        Ok(_segment) => {
            println!("created");
            stay()
        }
        Err(error) if error.kind() == ErrorKind::Exists => println!("exists"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// At the gate with many others: creates the mailbox OBJECT, says `created` or `exists`; then finds or creates
/// the semaphore `arrivals`, and posts it.
fn create_object(segment: &Segment, object: &str) -> Result<()> {
    at_the_gate();
    match segment.create_mailbox(object, 4, 64) {
        Ok(_mailbox) => println!("created"),
        Err(error) if error.kind() == ErrorKind::Exists => println!("exists"),
        Err(error) => return Err(error),
    }
    segment.semaphore("arrivals", 0)?.post()
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

/// Sends for ever as sender N, alternating copy and loan: `i SEQ` before, `c SEQ` after.
/// EXTRA is the number of messages after which to end, 0 for never.
fn log_send(segment: &Segment, object: &str, sender: u64, last: &str) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    let never_waits = matches!(mailbox.options().capacity, Capacity::Unbounded { .. });
    let last: u64 = last.parse().unwrap_or(0);
    ready();
    for seq in 0.. {
        if last > 0 && seq == last {
            break;
        }
        if never_waits && seq % 16 == 0 {
            std::thread::sleep(Duration::from_millis(1)); // so that who reads all this keeps up
        }
        let message = signed(sender, seq);
        println!("i {seq}");
        if seq % 2 == 0 || mailbox.capacity() == 0 {
            // At its ceiling an unbounded one does not wait.
            loop {
                match mailbox.send(&message) {
                    Err(e) if e.kind() == ErrorKind::NoSpace => std::thread::sleep(Duration::from_millis(1)),
                    sent => break sent?,
                }
            }
        } else {
            let mut room = loop {
                match mailbox.reserve(message.len()) {
                    Err(e) if e.kind() == ErrorKind::NoSpace => std::thread::sleep(Duration::from_millis(1)),
                    room => break room?,
                }
            };
            room.write(0, &message)?;
            room.commit(message.len())?;
        }
        println!("c {seq}");
    }
    Ok(())
}

/// Receives for ever: `want` before, `r SENDER SEQ REDELIVERED` after.
fn log_receive(segment: &Segment, object: &str) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    let mut buffer = vec![0; mailbox.message_size()];
    ready();
    loop {
        println!("want");
        let received = mailbox.receive(&mut buffer)?;
        println!("r {} {}", signature(&buffer[..received.size])?, received.redelivered);
    }
}

/// Locks one lock after the other for ever, by chance (N is the seed), and changes what each guards: two numbers in the
/// file OBJECT, equal unless somebody is at it. `i LOCK` before, `c LOCK` after; now and then it sweeps. The locks
/// have fixed names, in the order of [`TORTURED`].
fn torture(segment: &Segment, file: &str, seed: u64) -> Result<()> {
    let numbers = Numbers::open(file)?;
    let locks = TORTURED.map(|(name, what)| Lock::open(segment, name, what));
    let locks: Vec<Lock> = locks.into_iter().collect::<Result<_>>()?;
    let pool = segment.open_semaphore("pool")?;
    let mut random = Random::from_seed(seed);
    ready();
    loop {
        let i = random.below(locks.len() as u64 + 2);
        let Some(lock) = locks.get(i as usize) else {
            if i as usize == locks.len() {
                segment.sweep()?;
            } else {
                pool.wait_n(2)?; // of three
                pool.post_n(2)?;
            }
            continue;
        };
        let writes = TORTURED[i as usize].1 != "read";
        // A reader's numbers are those of the writer before it in the table.
        let at = 2 * if writes { i } else { i - 1 };
        if writes {
            println!("i {i}");
        }
        let told = lock.lock(Deadline::never())?;
        let (a, b) = (numbers.get(at)?, numbers.get(at + 1)?);
        if a != b && !(told || TORTURED[i as usize].1 == "lease") {
            return Err(wrong(&format!("{:?}: {a} and {b}, and no word of a death", TORTURED[i as usize])));
        }
        if writes {
            if told {
                lock.recover()?;
            }
            let next = a.max(b) + 1;
            numbers.set(at, next)?;
            numbers.set(at + 1, next)?;
        }
        lock.unlock()?;
        if writes {
            println!("c {i}");
        }
    }
}

/// Retries a call on a ring whose other end is dead: its successor is on its way.
fn despite_death<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::PeerDead => std::thread::yield_now(),
            answer => return answer,
        }
    }
}

/// Writes records N, N+1, … for ever, alternating copy and grant: `i SEQ` before, `c SEQ` after.
fn log_produce(segment: &Segment, object: &str, first: u64) -> Result<()> {
    let mut producer = segment.open_ring(object)?.producer()?;
    ready();
    for seq in first.. {
        let record = signed(1, seq);
        println!("i {seq}");
        if seq % 2 == 0 {
            despite_death(|| producer.write(&record))?;
        } else {
            despite_death(|| {
                let mut room = producer.reserve(record.len())?;
                room.write(0, &record)?;
                room.commit(record.len())
            })?;
        }
        println!("c {seq}");
    }
    Ok(())
}

/// Peeks, says `r SENDER SEQ`, then releases; for ever, or N times.
fn log_consume(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mut consumer = segment.open_ring(object)?.consumer()?;
    let mut buffer = vec![0; 4096];
    ready();
    for _ in 0..if n == 0 { u64::MAX } else { n } {
        despite_death(|| {
            let record = consumer.peek()?;
            let size = record.size();
            record.read(0, &mut buffer);
            println!("r {}", signature(buffer.get(..size).unwrap_or(&[]))?);
            record.release()
        })?;
    }
    Ok(())
}

/// Publishes messages N, N+1, … for ever, alternating copy and grant: `i SEQ` before, `c SEQ` after.
fn log_publish(segment: &Segment, object: &str, first: u64) -> Result<()> {
    let mut publisher = segment.open_topic(object)?.publisher()?;
    ready();
    for seq in first.. {
        let message = signed(1, seq);
        println!("i {seq}");
        if seq % 2 == 0 {
            publisher.publish(&message)?;
        } else if let Some(mut room) = publisher.reserve(message.len())? {
            room.write(0, &message)?;
            room.commit(message.len())?;
        }
        println!("c {seq}");
    }
    Ok(())
}

/// Subscribes from the oldest message on, alternating copy and peek, for ever: `r SENDER SEQ` or, for what it missed, `l`.
fn log_subscribe(segment: &Segment, object: &str) -> Result<()> {
    let mut subscriber = segment.open_topic(object)?.subscriber(Start::Oldest)?;
    let mut buffer = vec![0; 4096];
    ready();
    for turn in 0u64.. {
        let taken = despite_death(|| {
            if turn % 2 == 0 {
                return subscriber.receive(&mut buffer);
            }
            let message = subscriber.peek()?;
            let size = message.read(0, &mut buffer);
            message.release().map(|()| size)
        });
        match taken {
            Ok(size) => println!("r {}", signature(buffer.get(..size).unwrap_or(&[]))?),
            Err(error) if error.kind() == ErrorKind::Lost => println!("l"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

extern "C" fn nothing(_signal: i32) {}

/// Waits for the semaphore N milliseconds with a handler for SIGUSR1, EXTRA `yes` as an interruptible wait.
/// Says `KIND MILLISECONDS`.
fn interrupted(segment: &Segment, object: &str, n: u64, interruptible: &str) -> Result<()> {
    let semaphore = segment.open_semaphore(object)?;
    // SAFETY: `handler` is a valid sigaction with an empty mask and no flags (so nothing is restarted), and
    // `nothing` does nothing at all.
    unsafe {
        let mut handler: libc::sigaction = std::mem::zeroed();
        handler.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &handler, std::ptr::null_mut());
    }
    ready();
    let begin = Instant::now();
    let mut deadline = Deadline::after(Duration::from_millis(n));
    if interruptible == "yes" {
        deadline = deadline.interruptible();
    }
    let kind = semaphore.wait_until(deadline).map_or_else(|error| format!("{:?}", error.kind()), |()| "Ok".to_string());
    println!("{kind} {}", begin.elapsed().as_millis());
    Ok(())
}

/// Uses every kind of object before and after a fork, in parent and child: objects go on, guards and roles are
/// `Forked` in the child. The child says `child ok`, the parent `parent ok`.
fn fork(segment: &Segment, object: &str) -> Result<()> {
    let semaphore = segment.semaphore("s", 0)?;
    let mutex = segment.mutex("m")?;
    let mailbox = segment.open_mailbox(object)?;
    let ring = segment.ring("r", 4096)?;
    let mut producer = ring.producer()?;
    producer.write(&message(0))?;
    let guard = mutex.lock()?;
    ready();
    std::io::stdout().flush().map_err(|error| wrong(&error.to_string()))?;
    // SAFETY: this process has one thread, so the child may do all that the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(wrong("fork failed")),
        0 => {
            let failed = |what: &str| Err(wrong(&format!("in the child: {what}")));
            match producer.try_write(b"no") {
                Err(error) if error.kind() == ErrorKind::Forked => {}
                other => return failed(&format!("the parent's role is no error but {other:?}")),
            }
            std::mem::forget(producer);
            match mutex.unlock() {
                Err(_) => {}
                Ok(()) => return failed("the parent's lock could be unlocked"),
            }
            std::mem::forget(guard);
            if !matches!(mutex.try_lock(), Ok(None)) {
                return failed("the parent's lock could be taken");
            }
            semaphore.post()?; // the parent may release the mutex now
            let guard = mutex.lock()?; // waits for the parent
            drop(guard);
            mailbox.send(&message(1))?;
            let mut consumer = ring.consumer()?;
            let mut buffer = [0; MESSAGE];
            let size = consumer.read(&mut buffer)?;
            check(0, &buffer[..size])?;
            println!("child ok");
            Ok(())
        }
        child => {
            semaphore.wait()?;
            drop(guard);
            let mut buffer = vec![0; mailbox.message_size()];
            let received = mailbox.receive(&mut buffer)?;
            check(1, &buffer[..received.size])?;
            let mut status = 0;
            // SAFETY: `status` is a valid int, and the pid is our child's.
            if unsafe { libc::waitpid(child, &mut status, 0) } != child || status != 0 {
                return Err(wrong(&format!("the child ended with status {status}")));
            }
            producer.write(&message(2))?; // still ours
            println!("parent ok");
            Ok(())
        }
    }
}

/// N times lock and unlock, wait and post, between two calls of getppid that whoever counts can see.
fn uncontended(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mutex = segment.open_mutex(object)?;
    let semaphore = segment.semaphore("permits", 1)?;
    let round = |mutex: &Mutex| -> Result<()> {
        drop(mutex.lock()?);
        semaphore.wait()?;
        semaphore.post()
    };
    round(&mutex)?; // whatever happens once happens here
    // SAFETY: getppid has no memory obligations and cannot fail.
    let mark = || unsafe { libc::syscall(libc::SYS_getppid) };
    mark();
    for _ in 0..n {
        round(&mutex)?;
    }
    mark();
    println!("ok {n}");
    Ok(())
}

/// Fills a segment with one of everything, in use: a held mutex, a claim, a peeked record. Says `holding`.
fn everything(segment: &Segment) -> Result<()> {
    segment.semaphore("semaphore", 3)?;
    let mutex = segment.mutex("mutex")?;
    let _guard = mutex.lock()?;
    let free = segment.mutex("free")?;
    drop(free.lock()?);
    let mailbox = segment.mailbox("mailbox", 8, 64)?;
    for seq in 0..5 {
        mailbox.send(&message(seq))?;
    }
    mailbox.receive(&mut [0; 64])?;
    let _loan = mailbox.reserve(10)?;
    let unbounded = segment.mailbox_with("unbounded", MailboxOptions::new(Capacity::Unbounded { ceiling: 8 }, 60))?;
    for seq in 0..5 {
        unbounded.send(&message(seq))?;
    }
    unbounded.receive(&mut [0; 60])?;
    let _lent = unbounded.borrow()?;
    let meeting = segment.mailbox("rendezvous", 0, 64)?;
    let meets = meeting.clone();
    std::thread::spawn(move || meets.send(&message(0)));
    let _met = meeting.borrow()?;
    let ring = segment.ring("ring", 4096)?;
    let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    for seq in 0..20 {
        producer.write(&message(seq))?;
    }
    let _room = producer.reserve(30)?;
    let _record = consumer.peek()?;
    let packed = segment.ring_of("packed", 16, 16)?;
    let (mut packer, mut unpacker) = (packed.producer()?, packed.consumer()?);
    packer.write_packed(&[7; 160])?;
    packer.reserve_packed(3)?.stage(48)?;
    unpacker.peek_packed(2)?.hold()?;
    let topic = segment.topic("topic", TopicOptions::new(4, 60).subscribers(3))?;
    let (mut publisher, _lapped) = (topic.publisher()?, topic.subscriber(Start::Latest)?);
    for seq in 0..3 {
        publisher.publish(&message(seq))?;
    }
    let mut subscriber = topic.subscriber(Start::Oldest)?;
    let _message = subscriber.peek()?;
    let _slot = publisher.reserve(30)?;
    let service = segment.service("service", 64, 64)?;
    let _asked = [service.start(&message(0))?, service.start(&message(1))?];
    let _asking = service.reserve(10)?;
    let _question = service.receive()?;
    let little = PortOptions::default().capacity(2).message_size(64).rights(4);
    let (port, other) = (segment.port_with("port", little)?, segment.port_with("other port", little)?);
    let to_port = segment.open_port("port")?;
    to_port.send_rights(b"a right", &[&other.send_right()?, &other], Deadline::now())?;
    to_port.request_notification(PortEvent::DeadName, &port)?;
    to_port.send(b"full")?;
    to_port.send_pending(b"pending", &port)?;
    let array = segment.raw_array("array", "d", &[4, 5])?;
    let _writes = array.write()?;
    let cell = segment.cell_with("cell", &CellOptions::bytes(40))?;
    cell.store(&[7; 40])?;
    segment.mailbox("removed", 2, 8)?;
    segment.remove("removed")?;
    let leased = segment.semaphore_with("leased", SemaphoreOptions::leased(5))?;
    leased.wait_n(3)?;
    let monitor = segment.monitor("monitor")?;
    monitor.condition("c")?;
    let _inside = monitor.enter()?;
    let rwlocks = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];
    let rwlocks: Vec<RwLock> =
        rwlocks.into_iter().map(|policy| segment.rwlock(policy.name(), policy)).collect::<Result<_>>()?;
    let _writing = rwlocks[0].write()?;
    let _reading = rwlocks[1].read()?;
    segment.barrier("barrier", 3)?;
    segment.event("event", 0b1010)?;
    // Threads that sleep, for the board.
    for object in ["mutex", "readers first", "barrier"] {
        let segment = segment.clone();
        std::thread::spawn(move || -> Result<()> {
            match object {
                "mutex" => drop(segment.open_mutex(object)?.lock()?),
                "barrier" => drop(segment.open_barrier(object)?.wait()?),
                _ => drop(segment.open_rwlock(object)?.read()?),
            }
            Ok(())
        });
    }
    while segment.waits()?.len() < 3 {
        std::thread::yield_now();
    }
    println!("holding");
    stay()
}

/// Does everything there is to do with each of these segments, which may hold any bytes. Each call has a second
/// of CPU time, and ten of waiting; then the kernel ends the process. Says `NAME CALLS ERRORS`, and with
/// `TRIVENI_VERBOSE` every call before it is made.
fn attack(names: &[&str]) -> Result<()> {
    let verbose = std::env::var_os("TRIVENI_VERBOSE").is_some();
    for name in names {
        println!("at {name}");
        let mut tried = Tried { calls: 0, errors: 0, verbose };
        tried.segment(name);
        println!("{name} {} {}", tried.calls, tried.errors);
    }
    Ok(())
}

struct Tried {
    calls: u64,
    errors: u64,
    verbose: bool,
}

impl Tried {
    fn call<T>(&mut self, name: &'static str, call: impl FnOnce() -> Result<T>) -> Option<T> {
        if self.verbose {
            println!("call {name}");
        }
        let second = libc::timeval { tv_sec: 1, tv_usec: 0 };
        let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: zero, it_value: second };
        // SAFETY: `timer` is a valid itimerval; both calls touch nothing else. SIGPROF and SIGALRM end the process.
        unsafe {
            libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut());
            libc::alarm(10);
        }
        self.calls += 1;
        call()
            .inspect_err(|error| {
                self.errors += 1;
                assert!(!error.to_string().is_empty());
            })
            .ok()
    }

    fn successes(&self) -> u64 {
        self.calls - self.errors
    }

    fn service(&mut self, service: &Service) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut answer = vec![0; service.response_size().min(1 << 20)];
        self.call("service", || Ok((service.len(), service.servers(), service.type_tag()?)));
        for _ in 0..4 {
            let call = self.call("start", || service.start_until(&[7; 9], soon()));
            let room = self.call("reserve", || service.reserve_until(9, soon()));
            let other = room.and_then(|room| self.call("send", || room.send(3)));
            let request = self.call("receive", || service.receive_until(soon()));
            if let Some(request) = request {
                self.call("request", || Ok((request.to_vec()?.len(), request.client_pid(), request.is_cancelled())));
                self.call("reply", || request.reply(&[8; 9]));
            }
            if let Some(request) = self.call("receive", || service.receive_until(soon())) {
                self.call("fail", || request.fail("garbage"));
            }
            for call in call.into_iter().chain(other) {
                self.call("wait", || call.wait_until(soon()));
                self.call("read", || call.read(&mut answer));
                self.call("cancel", || {
                    drop(call);
                    Ok(())
                });
            }
        }
        self.call("call", || service.call_until(b"x", &mut answer, soon()));
        self.call("shutdown", || {
            service.shutdown();
            Ok(())
        });
    }

    fn array(&mut self, array: &RawArray) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut copy = vec![0; array.size().min(1 << 20)];
        self.call("array", || Ok((array.type_tag().len(), array.shape().len(), array.strides(), array.len())));
        self.call("writer", || Ok((array.writer(), array.owner_died(), array.version())));
        for _ in 0..2 {
            self.call("read", || array.read(0, &mut copy));
            self.call("write_at", || array.write_at(0, &[7; 8]));
            self.call("snapshot", || array.snapshot_until(&mut copy, soon()));
            self.call("write", || match array.write_until(soon()) {
                Ok(_guard) => Ok(()),
                Err(LockError::OwnerDied(guard)) => {
                    guard.recover();
                    Ok(())
                }
                Err(failed) => Err(failed.into()),
            });
            self.call("end_write", || array.end_write());
        }
    }

    fn cell(&mut self, cell: &RawCell) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut value = vec![0; cell.size().min(1 << 20)];
        self.call("type_tag", || cell.type_tag());
        for _ in 0..3 {
            let seen = cell.version();
            self.call("load", || cell.load(&mut value));
            self.call("load_newer", || cell.load_newer_until(seen, &mut value, soon()));
            self.call("store", || cell.store_until(&value, soon()));
            self.call("load_newer", || cell.load_newer_until(seen, &mut value, soon()));
        }
    }

    fn segment(&mut self, name: &str) {
        let soon = || Deadline::after(Duration::from_millis(2));
        self.call("inspect", || Segment::inspect(name));
        let Some(segment) = self.call("open", || Segment::open(name)) else { return };
        self.call("participants", || segment.participants());
        self.call("snapshot", || segment.snapshot());
        self.call("waits", || Ok(segment.waits()?.iter().map(ToString::to_string).collect::<String>()));
        self.call("deadlocks", || segment.deadlocks());
        let objects = self.call("objects", || segment.objects()).unwrap_or_default();
        let names = objects.iter().map(|object| object.name.as_str());
        for object in names
            .chain(["semaphore", "mutex", "free", "mailbox", "ring", "packed", "removed", "leased", "monitor", "fair"])
            .collect::<Vec<_>>()
        {
            if let Some(semaphore) = self.call("open_semaphore", || segment.open_semaphore(object)) {
                self.call("value", || Ok(semaphore.value()));
                self.call("post", || semaphore.post());
                self.call("wait", || semaphore.wait_until(soon()));
                self.call("wait", || semaphore.wait_until(soon()));
                self.call("wait_n", || semaphore.wait_n_until(2, soon()));
                self.call("post_n", || semaphore.post_n(2));
                self.call("max", || Ok((semaphore.max(), semaphore.is_leased())));
            }
            if let Some(monitor) = self.call("open_monitor", || segment.open_monitor(object)) {
                let condition = self.call("condition", || monitor.condition("c"));
                self.call("condition", || monitor.condition("another"));
                if let Some(inside) = self.call("enter", || Ok(monitor.enter_until(soon())?)) {
                    if let Some(condition) = condition {
                        self.call("wait", || condition.wait_until(soon()));
                        self.call("signal", || condition.signal());
                        self.call("broadcast", || condition.broadcast());
                    }
                    inside.recover();
                }
            }
            if let Some(lock) = self.call("open_rwlock", || segment.open_rwlock(object)) {
                self.call("readers", || Ok((lock.readers(), lock.writer(), lock.owner_died())));
                self.call("try_read", || lock.try_read().map(drop).map_err(Error::from));
                self.call("read", || lock.read_until(soon()).map(drop).map_err(Error::from));
                self.call("try_write", || lock.try_write().map(drop).map_err(Error::from));
                self.call("write", || match lock.write_until(soon()) {
                    Ok(guard) => {
                        drop(guard.downgrade());
                        Ok(())
                    }
                    Err(LockError::OwnerDied(guard)) => {
                        guard.recover();
                        Ok(())
                    }
                    Err(failed) => Err(failed.into()),
                });
                self.call("unlock", || lock.unlock());
            }
            if let Some(barrier) = self.call("open_barrier", || segment.open_barrier(object)) {
                self.call("arrived", || Ok((barrier.arrived(), barrier.parties(), barrier.is_broken())));
                self.call("try_wait", || barrier.try_wait());
                self.call("wait", || barrier.wait_until(soon()));
                self.call("reset", || barrier.reset());
                self.call("wait", || barrier.wait_until(soon()));
            }
            if let Some(event) = self.call("open_event", || segment.open_event(object)) {
                self.call("set", || event.set(0xFF));
                self.call("wait_any", || event.wait_any_until(1, After::Clear, soon()));
                self.call("wait_all", || event.wait_all_until(3, After::Clear, soon()));
                self.call("clear", || event.clear(0xFF));
            }
            if let Some(mutex) = self.call("open_mutex", || segment.open_mutex(object)) {
                self.call("holder", || Ok(mutex.holder()));
                self.call("try_lock", || mutex.try_lock().map_err(Error::from));
                self.call("lock", || match mutex.lock_until(soon()) {
                    Ok(_guard) => Ok(()),
                    Err(LockError::OwnerDied(guard)) => {
                        guard.recover();
                        Ok(())
                    }
                    Err(failed) => Err(failed.into()),
                });
                self.call("unlock", || mutex.unlock());
            }
            if let Some(mailbox) = self.call("open_mailbox", || segment.open_mailbox(object)) {
                let size = mailbox.message_size().min(1 << 20);
                let mut buffer = vec![0; size];
                self.call("len", || Ok((mailbox.len(), mailbox.voided(), mailbox.capacity())));
                for _ in 0..3 {
                    self.call("peek", || mailbox.peek_until(&mut buffer, soon()));
                    self.call("receive", || mailbox.receive_until(&mut buffer, soon()));
                    self.call("send", || mailbox.send_until(&buffer[..size.min(9)], soon()));
                    self.call("reserve", || mailbox.reserve_until(size.min(9), soon())?.commit(size.min(3)));
                }
            }
            if let Some(ring) = self.call("open_ring", || segment.open_ring(object)) {
                if let Some(mut producer) = self.call("producer", || ring.producer()) {
                    self.call("write", || producer.write_until(&[7; 60], soon()));
                    self.call("reserve", || producer.reserve_until(100, soon())?.commit(50));
                    self.call("write", || producer.write_until(&[7; 600], soon()));
                    self.call("write_many", || producer.write_many_until(&[[7; 16], [8; 16]], soon()));
                    self.call("write_packed", || producer.write_packed_until(&[7; 48], soon()));
                    self.call("stage", || producer.reserve_until(16, soon())?.stage(16));
                    self.call("reserve_packed", || producer.reserve_packed_until(9, soon())?.stage(16));
                    self.call("publish", || producer.publish());
                }
                if let Some(mut consumer) = self.call("consumer", || ring.consumer()) {
                    for _ in 0..30 {
                        let before = self.successes();
                        let mut buffer = [0; 4096];
                        self.call("read", || consumer.read_until(&mut buffer, soon()));
                        self.call("peek", || {
                            let record = consumer.peek_until(soon())?;
                            record.read(0, &mut buffer);
                            record.release()
                        });
                        let mut sizes = [0; 3];
                        self.call("read_many", || consumer.read_many_until(&mut buffer, &mut sizes, soon()));
                        self.call("read_packed", || consumer.read_packed_until(&mut buffer[..40], soon()));
                        self.call("hold", || consumer.peek_until(soon())?.hold());
                        self.call("peek_packed", || consumer.peek_packed_until(3, soon())?.release());
                        if self.successes() == before {
                            break; // it is empty, or will never work
                        }
                    }
                }
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["port", "other port"]) {
            let Some(sender) = self.call("open_port", || segment.open_port(object)) else { continue };
            let mut buffer = vec![0; sender.message_size().min(1 << 20)];
            self.call("port", || Ok((sender.len(), sender.capacity())));
            let own = self.call("port", || segment.port("own-port"));
            let receiver = self.call("receiver", || {
                let options = PortOptions::default().capacity(sender.capacity()).message_size(sender.message_size());
                segment.port_with(object, options)
            });
            for _ in 0..4 {
                if let Some(own) = &own {
                    let rights: Vec<Port> = self.call("send_right", || own.send_right()).into_iter().collect();
                    let rights: Vec<&Port> = rights.iter().collect();
                    self.call("send_rights", || sender.send_rights(b"x", &rights, soon()));
                    self.call("send_pending", || sender.send_pending(b"x", own));
                    self.call("request", || sender.request_notification(PortEvent::DeadName, own));
                    self.call("told", || own.try_receive(&mut [0; 1024]));
                }
                self.call("call", || sender.call(b"x", &mut buffer, soon()));
                if let Some(receiver) = &receiver {
                    self.call("no senders", || receiver.request_notification(PortEvent::NoSenders, receiver));
                    self.call("receive", || receiver.receive_until(&mut buffer, soon()));
                }
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["topic"]) {
            let Some(topic) = self.call("open_topic", || segment.open_topic(object)) else { continue };
            self.call("topic", || Ok((topic.published(), topic.dropped(), topic.subscribers(), topic.type_tag())));
            let mut subscribers: Vec<_> = [Start::Latest, Start::Oldest]
                .into_iter()
                .filter_map(|start| self.call("subscriber", || topic.subscriber(start)))
                .collect();
            let mut publisher = self.call("publisher", || topic.publisher());
            for _ in 0..12 {
                if let Some(publisher) = &mut publisher {
                    self.call("publish", || publisher.publish_until(&[7; 40], soon()));
                    let many: [&[u8]; 2] = [&[7; 9], b""];
                    self.call("publish_many", || publisher.publish_many_until(&many, soon()));
                    self.call("reserve", || publisher.reserve_until(9, soon())?.map(|room| room.commit(3)).transpose());
                }
                for subscriber in &mut subscribers {
                    let mut buffer = [0; 4096];
                    self.call("receive", || subscriber.receive_until(&mut buffer, soon()));
                    self.call("peek", || {
                        let message = subscriber.peek_until(soon())?;
                        message.read(0, &mut buffer);
                        message.release()
                    });
                    self.call("receive_many", || subscriber.receive_many_until(&mut buffer, &mut [0; 3], soon()));
                }
            }
            if let Some(publisher) = &mut publisher {
                self.call("shutdown", || publisher.shutdown());
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["service", "array", "cell"]) {
            if let Some(service) = self.call("open_service", || segment.open_service(object)) {
                self.service(&service);
            }
            if let Some(array) = self.call("open_raw_array", || segment.open_raw_array(object)) {
                self.array(&array);
            }
            if let Some(cell) = self.call("open_raw_cell", || segment.open_raw_cell(object)) {
                self.cell(&cell);
            }
        }
        self.call("create", || segment.semaphore("fresh", 1)?.wait_until(soon()));
        self.call("create", || segment.mailbox("fresh-mailbox", 3, 100)?.send_until(b"hello", soon()));
        self.call("remove", || segment.remove("mailbox"));
        self.call("sweep", || segment.sweep());
        self.call("close", || {
            drop(segment);
            Ok(())
        });
        self.call("unlink", || Segment::unlink(name));
    }
}
