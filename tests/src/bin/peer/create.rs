//! Roles that create, many at once.

use super::{ready, stay};
use std::io::Read;
use triveni::{ErrorKind, Result, Segment};

/// Waits at the gate (end of stdin).
fn at_the_gate() {
    ready();
    let _ = std::io::stdin().read_to_end(&mut Vec::new()); // open is open, however it happened
}

/// At the gate with many others: creates the segment. Says `created` or `exists`.
pub fn create_segment(segment: &str) -> Result<()> {
    at_the_gate();
    match Segment::create(segment, 1 << 20) {
        Ok(_segment) => {
            println!("created");
            stay()
        }
        Err(error) if error.kind() == ErrorKind::Exists => println!("exists"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// At the gate with many others: creates the mailbox OBJECT, says `created` or `exists`; then finds or creates
/// the semaphore `arrivals`, and posts it.
pub fn create_object(segment: &Segment, object: &str) -> Result<()> {
    at_the_gate();
    match segment.create_mailbox(object, 4, 64) {
        Ok(_mailbox) => println!("created"),
        Err(error) if error.kind() == ErrorKind::Exists => println!("exists"),
        Err(error) => return Err(error),
    }
    segment.semaphore("arrivals", 0)?.post()
}
