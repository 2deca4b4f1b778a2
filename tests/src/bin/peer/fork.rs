//! What a fork changes, and what it costs to ask.

use super::{MESSAGE, check, data, mailbox, message, port, ready, ring, service, topic, wrong};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use triveni::{
    Capacity, CellOptions, ErrorKind, MailboxOptions, Mutex, Order, PortOptions, Result, RingOptions, Segment,
    TopicOptions, TopicPolicy,
};

/// A channel between parent and child: what makes it, and the two roles.
struct Channel {
    name: &'static str,
    make: fn(&Segment, &str) -> Result<()>,
    parent: fn(&Segment, &str, u64) -> Result<()>,
    child: fn(&Segment, &str, u64) -> Result<()>,
}

const fn of_mailbox(name: &'static str, make: fn(&Segment, &str) -> Result<()>) -> Channel {
    Channel { name, make, parent: mailbox::send, child: mailbox::receive }
}

const fn of_ring(name: &'static str, make: fn(&Segment, &str) -> Result<()>) -> Channel {
    Channel { name, make, parent: ring::write_many, child: ring::read_many }
}

const fn of_topic(name: &'static str, make: fn(&Segment, &str) -> Result<()>) -> Channel {
    Channel { name, make, parent: topic::publish, child: |segment, name, _| topic::subscribe(segment, name) }
}

fn make_topic(segment: &Segment, name: &str, policy: TopicPolicy) -> Result<()> {
    segment.create_topic_with(name, TopicOptions::new(8, 64).policy(policy)).map(drop)
}

const CHANNELS: &[Channel] = &[
    of_ring("ring", |segment, name| segment.create_ring(name, 1024).map(drop)),
    of_ring("ring of packed records", |segment, name| segment.create_ring_of(name, 8, 16).map(drop)),
    of_ring("ring with exact wake", |segment, name| {
        segment.create_ring_with(name, RingOptions::sized(1024).exact_wake(true)).map(drop)
    }),
    of_mailbox("mailbox", |segment, name| segment.create_mailbox(name, 10, 64).map(drop)),
    of_mailbox("rendezvous", |segment, name| segment.create_mailbox(name, 0, 64).map(drop)),
    of_mailbox("unbounded mailbox", |segment, name| {
        let capacity = Capacity::Unbounded { ceiling: 4000 };
        segment.create_mailbox_with(name, MailboxOptions::new(capacity, 64)).map(drop)
    }),
    of_mailbox("mailbox by priority", |segment, name| {
        let options = MailboxOptions::new(Capacity::Bounded(10), 64).order(Order::Priority);
        segment.create_mailbox_with(name, options).map(drop)
    }),
    of_topic("topic that blocks", |segment, name| make_topic(segment, name, TopicPolicy::Block)),
    of_topic("topic that drops the oldest", |segment, name| make_topic(segment, name, TopicPolicy::DropOldest)),
    of_topic("topic that drops the newest", |segment, name| make_topic(segment, name, TopicPolicy::DropNewest)),
    Channel {
        name: "service",
        make: |segment, name| segment.create_service(name, 64, 64).map(drop),
        parent: service::call,
        child: service::serve,
    },
    Channel {
        name: "port",
        make: |segment, name| segment.create_port_with(name, PortOptions::default().message_size(64)).map(drop),
        parent: port::ask,
        child: port::answer,
    },
    Channel {
        name: "array",
        make: |segment, name| segment.create_array::<f64>(name, &[4, 5]).map(drop),
        parent: |segment, name, n| data::grid(segment, name, n, true),
        child: |segment, name, n| data::grid(segment, name, n, false),
    },
    Channel {
        name: "cell",
        make: |segment, name| {
            let options = CellOptions::bytes(40).type_tag("T{Q:number:(4)d:values:}");
            segment.create_cell_with(name, &options).map(drop)
        },
        parent: |segment, name, n| data::latest(segment, name, n, true),
        child: |segment, name, n| data::latest(segment, name, n, false),
    },
];

/// N messages from parent to child through every channel of an anonymous segment, which the child has inherited. Says
/// the name of each channel that worked.
pub fn inherit(n: u64) -> Result<()> {
    let segment = Segment::anonymous(1 << 22)?;
    for channel in CHANNELS {
        let failed = |what: std::io::Error| wrong(&format!("{}: {what}", channel.name));
        (channel.make)(&segment, channel.name)?;
        let (said, say) = std::io::pipe().map_err(failed)?;
        // SAFETY: this process has one thread, so the child may do all that the parent may.
        let child = match unsafe { libc::fork() } {
            -1 => return Err(wrong("fork failed")),
            0 => {
                // SAFETY: both descriptors are open; standard output is the pipe from here on.
                unsafe { libc::dup2(say.as_raw_fd(), 1) };
                return (channel.child)(&segment, channel.name, n);
            }
            child => child,
        };
        drop(say);
        let mut lines = BufReader::new(said).lines();
        if lines.next().transpose().map_err(failed)?.as_deref() != Some("ready") {
            return Err(wrong(&format!("{}: the child is not ready", channel.name)));
        }
        (channel.parent)(&segment, channel.name, n)?;
        let last = lines.last().transpose().map_err(failed)?.unwrap_or_default();
        let mut status = 0;
        // SAFETY: `status` is a valid int, and the pid is our child's.
        if unsafe { libc::waitpid(child, &mut status, 0) } != child || status != 0 {
            return Err(wrong(&format!("{}: the child ended with status {status}", channel.name)));
        }
        println!("{}: {last}", channel.name);
    }
    Ok(())
}

/// Uses every kind of object before and after a fork, in parent and child: objects go on, guards and roles are
/// `Forked` in the child. The child says `child ok`, the parent `parent ok`.
pub fn fork(segment: &Segment, object: &str) -> Result<()> {
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
pub fn uncontended(segment: &Segment, object: &str, n: u64) -> Result<()> {
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
