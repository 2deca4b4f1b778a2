//! How many messages a mailbox holds, and what that means for who sends: none, three, or as many as there are.
//!
//! ```text
//! capacity                       the whole story, all three capacities
//! capacity sender CAPACITY       one process of it, which sends ten messages: none, three or unbounded
//! capacity receiver CAPACITY     the other one, which receives them once the sender has done what it can without
//! ```
//!
//! Each process may be Rust, C or Python. They share the segment `capacity`.

use triveni::{Capacity, ErrorKind, Mailbox, MailboxOptions, Result, Segment};
use triveni_examples::{finish, fresh, start};

const MESSAGES: u8 = 10;

fn mailbox(name: &str) -> Result<(Segment, Mailbox)> {
    let capacity = match name {
        "none" => Capacity::Rendezvous,
        "three" => Capacity::Bounded(3),
        "unbounded" => Capacity::Unbounded { ceiling: 1000 },
        _ => return Err(ErrorKind::Invalid.into()),
    };
    let segment = Segment::open_or_create("capacity", Segment::DEFAULT_SIZE)?;
    let mailbox = segment.mailbox_with(name, MailboxOptions::new(capacity, 16))?;
    Ok((segment, mailbox))
}

fn sender(name: &str) -> Result<()> {
    let (segment, mailbox) = mailbox(name)?;
    let mut sent = 0;
    while sent < MESSAGES && mailbox.try_send(&[sent])? {
        sent += 1;
    }
    println!("{name}: {sent} of {MESSAGES} messages sent before anybody receives");
    segment.semaphore(&format!("receive {name}"), 0)?.post()?;
    for message in sent..MESSAGES {
        mailbox.send(&[message])?; // waits: for room, or for a receiver
    }
    Ok(())
}

fn receiver(name: &str) -> Result<()> {
    let (segment, mailbox) = mailbox(name)?;
    segment.semaphore(&format!("receive {name}"), 0)?.wait()?;
    let mut buffer = [0; 16];
    for message in 0..MESSAGES {
        mailbox.receive(&mut buffer)?;
        assert_eq!(buffer[0], message, "they come in the order of sending");
    }
    println!("{name}: {MESSAGES} of {MESSAGES} messages received in order");
    Ok(())
}

fn story() -> Result<()> {
    for name in ["none", "three", "unbounded"] {
        fresh("capacity");
        finish([start(&["sender", name])?, start(&["receiver", name])?])?;
    }
    fresh("capacity");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["sender", name] => sender(name),
        ["receiver", name] => receiver(name),
        _ => {
            eprintln!("usage: capacity [sender CAPACITY | receiver CAPACITY]");
            std::process::exit(2)
        }
    }
}
