//! Roles at a mailbox.

use super::{check, message, ready, signature, signed, stay};
use std::time::Duration;
use triveni::{Capacity, ErrorKind, Result, Segment};

pub fn send(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    ready();
    (0..n).try_for_each(|seq| mailbox.send(&message(seq)))
}

pub fn receive(segment: &Segment, object: &str, n: u64) -> Result<()> {
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

pub fn claim(segment: &Segment, object: &str) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    ready();
    let _loan = mailbox.reserve(1)?;
    println!("holding");
    stay()
}

/// Sends for ever as sender N, alternating copy and loan: `i SEQ` before, `c SEQ` after.
/// EXTRA is the number of messages after which to end, 0 for never.
pub fn log_send(segment: &Segment, object: &str, sender: u64, last: &str) -> Result<()> {
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
pub fn log_receive(segment: &Segment, object: &str) -> Result<()> {
    let mailbox = segment.open_mailbox(object)?;
    let mut buffer = vec![0; mailbox.message_size()];
    ready();
    loop {
        println!("want");
        let received = mailbox.receive(&mut buffer)?;
        println!("r {} {}", signature(&buffer[..received.size])?, received.redelivered);
    }
}
