//! Roles at the ends of a ring.

use super::{MESSAGE, check, message, ready, signature, signed, wrong};
use triveni::{ErrorKind, Result, Segment};

pub fn produce(segment: &Segment, object: &str, n: u64, in_place: bool) -> Result<()> {
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

pub fn consume(segment: &Segment, object: &str, n: u64, in_place: bool) -> Result<()> {
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

pub fn write_many(segment: &Segment, object: &str, n: u64) -> Result<()> {
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

pub fn read_many(segment: &Segment, object: &str, n: u64) -> Result<()> {
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

/// Retries a call on a ring whose other end is dead: its successor is on its way.
pub fn despite_death<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::PeerDead => std::thread::yield_now(),
            answer => return answer,
        }
    }
}

/// Writes records N, N+1, … for ever, alternating copy and grant: `i SEQ` before, `c SEQ` after.
pub fn log_produce(segment: &Segment, object: &str, first: u64) -> Result<()> {
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
pub fn log_consume(segment: &Segment, object: &str, n: u64) -> Result<()> {
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
