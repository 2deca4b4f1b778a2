//! The four ways in which senders and receivers can be connected.
//!
//! ```text
//! patterns                             the whole story: one_to_one, many_to_one, one_to_many, many_to_many
//! patterns sender PATTERN NUMBER       one process of it, which sends 100 messages
//! patterns receiver PATTERN NUMBER     another one, which receives until there is nothing more to come
//! ```
//!
//! Each process may be Rust, C or Python. Where one sends to many, all receive everything: a topic. Otherwise each
//! message is received by one: a mailbox. They share the segment `patterns`.

use triveni::{Barrier, ErrorKind, Result, Segment, Start};
use triveni_examples::{finish, fresh, start};

const MESSAGES: u32 = 100;
const SIZE: usize = 32;

/// Its name, how many send, how many receive.
const PATTERNS: [(&str, u32, u32); 4] =
    [("one_to_one", 1, 1), ("many_to_one", 3, 1), ("one_to_many", 1, 3), ("many_to_many", 3, 3)];

struct Pattern {
    name: &'static str,
    senders: u32,
    receivers: u32,
    segment: Segment,
}

impl Pattern {
    fn open(name: &str) -> Result<Pattern> {
        let known = PATTERNS.into_iter().find(|pattern| pattern.0 == name);
        let (name, senders, receivers) = known.ok_or(ErrorKind::Invalid)?;
        Ok(Pattern { name, senders, receivers, segment: Segment::open_or_create("patterns", Segment::DEFAULT_SIZE)? })
    }

    /// Nobody begins before everybody is there.
    fn begin(&self) -> Result<Barrier> {
        self.segment.barrier(&format!("begin {}", self.name), self.senders + self.receivers)
    }

    /// One of the senders, the last, learns that it is the last.
    fn end(&self) -> Result<Barrier> {
        self.segment.barrier(&format!("end {}", self.name), self.senders)
    }

    fn sender(&self, number: u32) -> Result<()> {
        let messages = (0..MESSAGES).map(|i| format!("{number} {i}"));
        if self.name == "one_to_many" {
            let mut publisher = self.segment.topic(self.name, 10, SIZE)?.publisher()?;
            self.begin()?.wait()?;
            for message in messages {
                publisher.publish(message.as_bytes())?;
            }
            publisher.shutdown()
        } else {
            let mailbox = self.segment.mailbox(self.name, 10, SIZE)?;
            let end = self.end()?;
            self.begin()?.wait()?;
            for message in messages {
                mailbox.send(message.as_bytes())?;
            }
            if end.wait()? {
                mailbox.shutdown()?;
            }
            Ok(())
        }
    }

    fn receiver(&self, number: u32) -> Result<()> {
        let mut buffer = [0; SIZE];
        let mut next = [0; 3]; // of each sender: what comes next is this or later, never earlier
        let mut received = 0;
        let mut take = |message: &[u8]| {
            let text = String::from_utf8_lossy(message);
            let (sender, i) = text.split_once(' ').expect("two numbers");
            let (sender, i): (usize, u32) = (sender.parse().expect("a number"), i.parse().expect("a number"));
            assert!(i >= next[sender], "message {i} of sender {sender} came late");
            next[sender] = i + 1;
            received += 1;
        };
        let ended = if self.name == "one_to_many" {
            let mut subscriber = self.segment.topic(self.name, 10, SIZE)?.subscriber(Start::Latest)?;
            self.begin()?.wait()?;
            loop {
                match subscriber.receive(&mut buffer) {
                    Ok(size) => take(&buffer[..size]),
                    Err(error) => break error,
                }
            }
        } else {
            let mailbox = self.segment.mailbox(self.name, 10, SIZE)?;
            self.begin()?.wait()?;
            loop {
                match mailbox.receive(&mut buffer) {
                    Ok(message) => take(&buffer[..message.size]),
                    Err(error) => break error,
                }
            }
        };
        if ended.kind() != ErrorKind::Closed {
            return Err(ended);
        }
        println!("{}: receiver {number} received {received} messages", self.name);
        let counted = self.segment.semaphore(&format!("received {}", self.name), 0)?;
        if received > 0 { counted.post_n(received) } else { Ok(()) }
    }
}

fn story() -> Result<()> {
    for (name, senders, receivers) in PATTERNS {
        fresh("patterns");
        let pattern = Pattern::open(name)?;
        let mut processes = Vec::new();
        for number in 0..receivers {
            processes.push(start(&["receiver", name, &number.to_string()])?);
        }
        for number in 0..senders {
            processes.push(start(&["sender", name, &number.to_string()])?);
        }
        finish(processes)?;
        let received = pattern.segment.semaphore(&format!("received {name}"), 0)?.value();
        println!("{name}: {} messages sent, {received} received", senders * MESSAGES);
    }
    fresh("patterns");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse().map_err(|_| ErrorKind::Invalid);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["sender", pattern, of] => Pattern::open(pattern)?.sender(number(of)?),
        ["receiver", pattern, of] => Pattern::open(pattern)?.receiver(number(of)?),
        _ => {
            eprintln!("usage: patterns [sender PATTERN NUMBER | receiver PATTERN NUMBER]");
            std::process::exit(2)
        }
    }
}
