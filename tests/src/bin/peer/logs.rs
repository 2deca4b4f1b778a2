//! Roles for the random kills: each says what it is about to do and what it has done, each in one write, so that the
//! books outlive it.

use super::{ready, signature, signed, wrong};
use std::time::Duration;
use triveni::{ErrorKind, LockError, RawArray, Result, Segment};

/// Bytes of a value in an array or a cell: long enough that many are killed in the middle.
const VALUE: usize = 16 << 10;

/// A value: a message, filled up.
fn value(sender: u64, seq: u64) -> Vec<u8> {
    let mut bytes = signed(sender, seq);
    bytes.resize(VALUE, seq as u8);
    bytes
}

/// `SENDER SEQ`, or why these bytes are no value that anybody wrote.
fn whose(bytes: &[u8]) -> Result<String> {
    let number = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (sender, seq) = (number(0), number(8));
    if sender < 1 << 20 && seq < 1 << 40 && bytes == value(sender, seq) {
        return Ok(format!("{sender} {seq}"));
    }
    Err(wrong(&format!("torn: {bytes:?}")))
}

/// What never blocks is slowed down, so that who reads all this keeps up.
fn pause() {
    std::thread::sleep(Duration::from_micros(50));
}

/// Calls for ever as client N: `i SEQ` before, then `c SEQ` with the right answer, or `d SEQ`: the server died.
pub fn call(segment: &Segment, object: &str, client: u64) -> Result<()> {
    let service = segment.open_service(object)?;
    let mut buffer = vec![0; service.response_size()];
    ready();
    for seq in 0.. {
        println!("i {seq}");
        match service.call(&signed(client, seq), &mut buffer) {
            Ok(size) if signature(&buffer[..size])? == format!("{} {seq}", client + 1000) => println!("c {seq}"),
            Ok(_) => return Err(wrong("the answer to another request")),
            Err(error) if error.kind() == ErrorKind::PeerDead => println!("d {seq}"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Serves for ever: `want`, then `r CLIENT SEQ 0` before it answers.
pub fn serve(segment: &Segment, object: &str) -> Result<()> {
    let service = segment.open_service(object)?;
    ready();
    loop {
        println!("want");
        let request = service.receive()?;
        let from = signature(&request.to_vec()?)?;
        println!("r {from} 0");
        let mut numbers = from.split(' ').filter_map(|number| number.parse().ok());
        let (client, seq): (u64, u64) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        request.reply(&signed(client + 1000, seq))?;
    }
}

/// Sends for ever as sender N: even messages with [`triveni::Port::send`], odd ones with a call. `i SEQ` before, `c SEQ`
/// when it was sent or answered, `d SEQ` if the receiver died.
pub fn ask(segment: &Segment, object: &str, sender: u64) -> Result<()> {
    let port = segment.open_port(object)?;
    let mut buffer = vec![0; port.message_size()];
    ready();
    for seq in 0.. {
        println!("i {seq}");
        let message = signed(sender, seq);
        let sent = if seq % 2 == 0 {
            port.send(&message)
        } else {
            port.call(&message, &mut buffer, triveni::Deadline::never()).and_then(|delivery| {
                let right = signature(&buffer[..delivery.size])? == format!("{} {seq}", sender + 1000);
                if right { Ok(()) } else { Err(wrong("the answer to another question")) }
            })
        };
        match sent {
            Ok(()) => println!("c {seq}"),
            // Its successor is on its way.
            Err(error) if error.kind() == ErrorKind::PeerDead => {
                println!("d {seq}");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the port and receives for ever: `want` before, `r SENDER SEQ REDELIVERED` after; then answers.
pub fn answer(segment: &Segment, object: &str) -> Result<()> {
    let port = segment.port(object)?;
    let mut buffer = vec![0; port.message_size()];
    ready();
    loop {
        println!("want");
        let delivery = port.receive(&mut buffer)?;
        let from = signature(&buffer[..delivery.size])?;
        println!("r {from} {}", delivery.redelivered);
        let mut numbers = from.split(' ').filter_map(|number| number.parse().ok());
        let (sender, seq): (u64, u64) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if let Some(reply) = delivery.reply {
            match reply.send(&signed(sender + 1000, seq)) {
                // The caller died.
                Err(error) if ![ErrorKind::PeerDead, ErrorKind::NotOwner].contains(&error.kind()) => return Err(error),
                _ => {}
            }
        }
    }
}

/// Makes the array OBJECT if it is not there.
pub fn make_array(segment: &Segment, object: &str) -> Result<RawArray> {
    let array = segment.raw_array(object, "B", &[VALUE])?;
    if array.version() == 0 {
        write(&array, &value(0, 0))?;
    }
    Ok(array)
}

fn write(array: &RawArray, bytes: &[u8]) -> Result<()> {
    match array.write() {
        Ok(_guard) => array.write_at(0, bytes),
        Err(LockError::OwnerDied(guard)) => {
            array.write_at(0, bytes)?;
            guard.recover();
            Ok(())
        }
        Err(LockError::Failed(error)) => Err(error),
    }
}

/// Writes the whole array for ever as writer N: `i SEQ` before, `c SEQ` after.
pub fn write_array(segment: &Segment, object: &str, writer: u64) -> Result<()> {
    let array = make_array(segment, object)?;
    ready();
    for seq in 0.. {
        println!("i {seq}");
        write(&array, &value(writer, seq))?;
        println!("c {seq}");
        pause();
    }
    Ok(())
}

/// Snapshots for ever, or N times: `r WRITER SEQ 0`.
pub fn read_array(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let array = segment.open_raw_array(object)?;
    let mut buffer = vec![0; VALUE];
    ready();
    for _ in 0..if n == 0 { u64::MAX } else { n } {
        match array.snapshot(&mut buffer) {
            Ok(()) => println!("r {} 0", whose(&buffer)?),
            // The next writer puts it right.
            Err(error) if error.kind() == ErrorKind::OwnerDied && n == 0 => {}
            Err(error) => return Err(error),
        }
        pause();
    }
    Ok(())
}

/// Stores into the cell OBJECT for ever as writer N: `i SEQ` before, `c SEQ VERSION` after.
pub fn store(segment: &Segment, object: &str, writer: u64) -> Result<()> {
    let cell = segment.open_raw_cell(object)?;
    ready();
    for seq in 0.. {
        println!("i {seq}");
        println!("c {seq} {}", cell.store(&value(writer, seq))?);
        pause();
    }
    Ok(())
}

/// Loads for ever, each value once, or N times: `r WRITER SEQ VERSION`.
pub fn load(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let cell = segment.open_raw_cell(object)?;
    let (mut buffer, mut seen) = (vec![0; VALUE], 0);
    ready();
    for _ in 0..if n == 0 { u64::MAX } else { n } {
        seen = cell.load_newer(seen, &mut buffer)?;
        println!("r {} {seen}", whose(&buffer)?);
    }
    Ok(())
}
