//! Roles at a port.

use super::{check, message, ready, wrong};
use triveni::{Deadline, PortOptions, Result, Segment};

pub fn ask(segment: &Segment, object: &str, n: u64) -> Result<()> {
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

pub fn answer(segment: &Segment, object: &str, n: u64) -> Result<()> {
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
