//! Roles at a topic.

use super::ring::despite_death;
use super::{MESSAGE, check, message, ready, signature, signed, wrong};
use triveni::{ErrorKind, Result, Segment, Start};

pub fn publish(segment: &Segment, object: &str, n: u64) -> Result<()> {
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

pub fn subscribe(segment: &Segment, object: &str) -> Result<()> {
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

/// Publishes messages N, N+1, … for ever, alternating copy and grant: `i SEQ` before, `c SEQ` after.
pub fn log_publish(segment: &Segment, object: &str, first: u64) -> Result<()> {
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
pub fn log_subscribe(segment: &Segment, object: &str) -> Result<()> {
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
