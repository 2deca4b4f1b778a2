//! The ring in C, and its two ends.

use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int, c_void};
use std::mem::forget;
use triveni::{Consumer, Producer, Ring};

/// A ring, records of any size from one producer to one consumer: a handle on one that lies in a segment.
pub struct tvn_ring_t(Ring);

/// The writing end of a ring. One thread at a time; stays with the process that took it.
pub struct tvn_producer_t(pub(crate) Producer);

/// The reading end of a ring. One thread at a time; stays with the process that took it.
pub struct tvn_consumer_t(pub(crate) Consumer);

/// Finds the ring `name`, or creates it with `size` bytes (rounded up to a power of two); an existing one must
/// have this size. Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a
/// forked child too.
/// @return 0; -EINVAL for a bad name or size; -TVN_EINCOMPATIBLE if the name belongs to an object of another
/// kind or geometry; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring(
    segment: *const tvn_segment_t,
    name: *const c_char,
    size: usize,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.ring(text(name)?, size).map(tvn_ring_t)) }
    })
}

/// Creates the ring `name` with `size` bytes (rounded up to a power of two). Lends `segment` and `name`, gives
/// `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name or size; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    size: usize,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_ring(text(name)?, size).map(tvn_ring_t)) }
    })
}

/// Opens the ring `name`, which must exist, whatever its size: see tvn_ring_size(). Lends `segment` and
/// `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_ring(text(name)?).map(tvn_ring_t)) }
    })
}

/// Lets go of the ring. Takes `ring`; NULL is fine. The ring and its records stay in the segment; producers
/// and consumers made from this handle go on. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_close(ring: *mut tvn_ring_t) {
    // SAFETY: the C contract: NULL, or a ring's handle that nobody uses any more.
    call("tvn_ring_close", || unsafe { take(ring) });
}

/// The size of the ring in bytes. Lends `ring`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_size(ring: *const tvn_ring_t) -> i64 {
    call("tvn_ring_size", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        Ok(unsafe { lend(ring) }?.0.size())
    })
}

/// The largest record the ring takes: half its size, less eight bytes. Lends `ring`. Never blocks. Any
/// thread; a forked child too.
/// @return the size in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_max_record(ring: *const tvn_ring_t) -> i64 {
    call("tvn_ring_max_record", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        Ok(unsafe { lend(ring) }?.0.max_record())
    })
}

/// Becomes the ring's producer. A dead one is succeeded: what it had published stays, what it had not is
/// gone. Lends `ring`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process is the producer; -EIDRM if the ring was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_producer(ring: *const tvn_ring_t, out: *mut *mut tvn_producer_t) -> c_int {
    call("tvn_ring_producer", || {
        // SAFETY: the C contract: NULL or a ring's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(ring)?.0.producer().map(tvn_producer_t)) }
    })
}

/// Becomes the ring's consumer. A dead one is succeeded: what it had not released is read again. Lends `ring`,
/// gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process is the consumer; -EIDRM if the ring was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_consumer(ring: *const tvn_ring_t, out: *mut *mut tvn_consumer_t) -> c_int {
    call("tvn_ring_consumer", || {
        // SAFETY: the C contract: NULL or a ring's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(ring)?.0.consumer().map(tvn_consumer_t)) }
    })
}

/// Writes a copy of `size` bytes at `record` (NULL will do for 0); blocks while the ring is full, or until
/// `timeout_ms` has passed. Lends `producer` and `record`. A producer that dies here wrote the whole record or
/// none. One thread at a time, in the process that took the role.
/// @return 0; -EMSGSIZE if the record is larger than the ring takes; -EBUSY while a reservation is pending;
/// -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if it is full and the
/// consumer is dead; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_write(
    producer: *mut tvn_producer_t,
    record: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_producer_write", || {
        // SAFETY: the C contract: NULL or a producer that no other thread uses now; `size` bytes to read.
        let (producer, record) = unsafe { (&mut lend_mut(producer)?.0, bytes(record.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(producer.try_write(record)?.then_some(())),
            ms => producer.write_until(record, deadline(ms)),
        }
    })
}

/// Borrows room for a record of up to `size` bytes, to be written in place at `*room`, aligned to 8; blocks
/// while the ring is full, or until `timeout_ms` has passed. Lends `producer`, writes `*room`: the room is lent
/// until tvn_producer_commit() or tvn_producer_cancel(). If this process dies first, nothing was written. One
/// thread at a time, in the process that took the role.
/// @return as tvn_producer_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_reserve(
    producer: *mut tvn_producer_t,
    size: usize,
    timeout_ms: c_int,
    room: *mut *mut c_void,
) -> c_int {
    call("tvn_producer_reserve", || {
        // SAFETY: the C contract: NULL or a producer that no other thread uses now; NULL or a place for the pointer.
        let (producer, room) = unsafe { (&mut lend_mut(producer)?.0, output(room)?) };
        let mut grant = match timeout_ms {
            TVN_TRY => tried(producer.try_reserve(size)?)?,
            ms => producer.reserve_until(size, deadline(ms))?,
        };
        room.write(grant.as_mut_ptr().cast());
        forget(grant); // pending until commit or cancel
        Ok(())
    })
}

/// Publishes the first `size` bytes of the room last reserved. Lends `producer`; the room is over. Never
/// blocks. A producer that dies here published the whole record or none. One thread at a time, in the process
/// that took the role.
/// @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved; -TVN_EFORKED in
/// a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_commit(producer: *mut tvn_producer_t, size: usize) -> c_int {
    call("tvn_producer_commit", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.commit(size)
    })
}

/// Gives the room last reserved back, if there is one. Lends `producer`. Never blocks. One thread at a time,
/// in the process that took the role.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_cancel(producer: *mut tvn_producer_t) -> c_int {
    call("tvn_producer_cancel", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.cancel();
        Ok(())
    })
}

/// Gives the role back; the next one may take it. Takes `producer`; NULL is fine. What is written stays, what
/// is only reserved is gone. Never blocks. In a forked child it ends the handle; the parent keeps the role.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_close(producer: *mut tvn_producer_t) {
    // SAFETY: the C contract: NULL, or a producer that nobody uses any more.
    call("tvn_producer_close", || unsafe { take(producer) });
}

/// Copies the oldest record into `record` and releases it; blocks while the ring is empty, or until
/// `timeout_ms` has passed. Lends `consumer` and `record`. A consumer that dies here has read the record, or
/// its successor reads it. One thread at a time, in the process that took the role.
/// @return the size of the record, from 0 on; -EMSGSIZE if `size` is too small: the record stays; -EAGAIN with
/// TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if it is empty and the producer is
/// dead; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_read(
    consumer: *mut tvn_consumer_t,
    record: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_consumer_read", || {
        // SAFETY: the C contract: NULL or a consumer that no other thread uses now; `size` bytes to write.
        let (consumer, record) = unsafe { (&mut lend_mut(consumer)?.0, buffer(record.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(consumer.try_read(record)?),
            ms => consumer.read_until(record, deadline(ms)),
        }
    })
}

/// Borrows the oldest record, to be read in place at `*record`, aligned to 8; blocks while the ring is empty,
/// or until `timeout_ms` has passed. Lends `consumer`, writes `*record`: the record is lent until
/// tvn_consumer_release() or tvn_consumer_keep(); a second peek sees it again. A peer that breaks the rules can
/// write there, so copy what you check. One thread at a time, in the process that took the role.
/// @return the size of the record, from 0 on; otherwise as tvn_consumer_read(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_peek(
    consumer: *mut tvn_consumer_t,
    timeout_ms: c_int,
    record: *mut *const c_void,
) -> i64 {
    call("tvn_consumer_peek", || {
        // SAFETY: the C contract: NULL or a consumer that no other thread uses now; NULL or a place for the pointer.
        let (consumer, record) = unsafe { (&mut lend_mut(consumer)?.0, output(record)?) };
        let grant = match timeout_ms {
            TVN_TRY => tried(consumer.try_peek()?)?,
            ms => consumer.peek_until(deadline(ms))?,
        };
        let size = grant.size();
        record.write(grant.as_ptr().cast());
        forget(grant); // lent until release or keep
        Ok(size)
    })
}

/// Releases the record last peeked at; its room is free for the producer. Lends `consumer`; the record is
/// over. Never blocks. One thread at a time, in the process that took the role.
/// @return 0; -EINVAL if none was peeked at; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_release(consumer: *mut tvn_consumer_t) -> c_int {
    call("tvn_consumer_release", || {
        // SAFETY: the C contract: NULL, or a consumer that no other thread uses now.
        unsafe { lend_mut(consumer) }?.0.release()
    })
}

/// Keeps the record last peeked at in the ring: the next peek or read sees it again. Lends `consumer`; the loan
/// is over. Never blocks. One thread at a time, in the process that took the role.
/// @return 0, also if none was peeked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_keep(consumer: *mut tvn_consumer_t) -> c_int {
    call("tvn_consumer_keep", || {
        // SAFETY: the C contract: NULL, or a consumer that no other thread uses now.
        unsafe { lend_mut(consumer) }?.0.keep();
        Ok(())
    })
}

/// Gives the role back; the next one may take it and reads what is not released. Takes `consumer`; NULL is
/// fine. Never blocks. In a forked child it ends the handle; the parent keeps the role.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_close(consumer: *mut tvn_consumer_t) {
    // SAFETY: the C contract: NULL, or a consumer that nobody uses any more.
    call("tvn_consumer_close", || unsafe { take(consumer) });
}
