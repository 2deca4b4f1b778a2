//! One message from one process to another: `hello receive` in one terminal, `hello send` in another.
//! Either may be hello.c or hello.py instead.

use triveni::{Result, Segment};

fn main() -> Result<()> {
    let segment = Segment::open_or_create("hello", Segment::DEFAULT_SIZE)?;
    let mailbox = segment.mailbox("greetings", 10, 256)?;
    if std::env::args().nth(1).as_deref() == Some("send") {
        return mailbox.send(b"hello from Rust");
    }
    let mut message = [0; 256];
    let received = mailbox.receive(&mut message)?;
    println!("{}", String::from_utf8_lossy(&message[..received.size]));
    Ok(())
}
