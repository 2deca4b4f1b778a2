//! The kinds of objects, in one table: what the sweep and the observers know of them.

use crate::segment::object::Kind;
use crate::{channel, data, sync};

static ALL: [&Kind; 13] = [
    &sync::semaphore::KIND,
    &sync::mutex::KIND,
    &sync::monitor::KIND,
    &sync::rwlock::KIND,
    &sync::barrier::KIND,
    &sync::event::KIND,
    &channel::ring::KIND,
    &channel::mailbox::KIND,
    &channel::topic::KIND,
    &channel::service::KIND,
    &channel::port::KIND,
    &data::array::KIND,
    &data::cell::KIND,
];

/// How many bytes at the beginning of an object of `size` bytes behind its header are committed when it is created. It
/// commits the rest itself, when it needs it.
pub fn committed(kind: u32, geometry: &[u64; 5], size: usize) -> usize {
    if kind == channel::mailbox::KIND.kind as u32 { channel::mailbox::committed(geometry, size) } else { size }
}

/// The kind with this number; `None` for a number that no kind has.
pub fn of(number: u32) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.kind as u32 == number).copied()
}
