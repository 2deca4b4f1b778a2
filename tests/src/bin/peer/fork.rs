//! What a fork changes, and what it costs to ask.

use super::{MESSAGE, check, message, ready, wrong};
use std::io::Write;
use triveni::{ErrorKind, Mutex, Result, Segment};

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
