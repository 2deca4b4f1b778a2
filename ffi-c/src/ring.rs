//! The ring in C, and its two ends.

use crate::argument::{array, buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::tell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::{forget, offset_of};
use std::slice;
use triveni::{Consumer, Error, ErrorKind, Producer, Result, Ring, RingOptions};

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

/// What a ring is like. Begin with `tvn_ring_options_t options = TVN_RING_OPTIONS;` and change what you need: 0 is the
/// default everywhere but in `size`.
#[repr(C)]
pub struct tvn_ring_options_t {
    /// The size of this structure, for later versions. TVN_RING_OPTIONS sets it.
    pub size: usize,
    /// Bytes of its cells, for records of any size; 0: 8 MiB, or an eighth of the segment if that is less. Memory that
    /// comes round sooner is still in the other CPU's cache, and payload written and read in place up to four times
    /// slower.
    pub ring_size: usize,
    /// The one size of its packed records; 0: records of any size.
    pub record_size: usize,
    /// Packed: how many records, rounded up to a power of two; 0: as many as fit into the default size.
    pub capacity: usize,
    /// 1: publish with a full barrier, so that who is about to sleep is never overlooked for a slice of up to 16 ms.
    pub exact_wake: c_int,
    /// The type of its records, as a PEP 3118 format; NULL: none. Stored with a new ring, compared with one that is there.
    pub type_tag: *const c_char,
}
const _: () = assert!(offset_of!(tvn_ring_options_t, size) == 0);

/// The options that C hands in; NULL for all defaults.
///
/// # Safety
/// - `options` is NULL or points to a `size`, and as many bytes as that says, and its `type_tag` to NULL or a string, all
///   unchanged until the answer's last use; otherwise this reads strange memory.
unsafe fn chosen<'a>(options: *const tvn_ring_options_t) -> Result<RingOptions<'a>> {
    if options.is_null() {
        return Ok(RingOptions::new());
    }
    // SAFETY: not NULL, and the caller promises that the `size`, which is its first field, may be read.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<tvn_ring_options_t>() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "ring options of {size} bytes, this library knows {}; begin with TVN_RING_OPTIONS, and compile against this library's header",
                size_of::<tvn_ring_options_t>()
            ),
        ));
    }
    // SAFETY: the caller promises that many bytes, which is the whole structure; integers, and a pointer.
    let tvn_ring_options_t { ring_size, record_size, capacity, exact_wake, type_tag, .. } = unsafe { options.read() };
    let options = match (ring_size, record_size, capacity) {
        (0, 0, 0) => RingOptions::new(),
        (size, 0, 0) => RingOptions::sized(size),
        (0, record_size, 0) => RingOptions::packed_by_default(record_size),
        (0, record_size, capacity) => RingOptions::packed(record_size, capacity),
        _ => {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a ring of so many bytes and of packed records; give ring_size, or record_size and capacity",
            ));
        }
    };
    let options = options.exact_wake(exact_wake != 0);
    if type_tag.is_null() {
        return Ok(options);
    }
    // SAFETY: not NULL; the caller promises a string, unchanged for as long as the answer is used.
    Ok(options.type_tag(unsafe { text(type_tag) }?))
}

/// Finds the ring `name`, or creates it as `options` say (NULL: all defaults); an existing one must be so, as far as they
/// say anything. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked
/// child too.
/// @return as tvn_ring(); -EINVAL for bad options; -TVN_EINCOMPATIBLE also for another type tag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_with(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_ring_options_t,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring_with", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, options, and a place for a handle.
        unsafe { give(out, || lend(segment)?.0.ring_with(text(name)?, chosen(options)?).map(tvn_ring_t)) }
    })
}

/// Creates the ring `name` as `options` say (NULL: all defaults). Lends `segment`, `name` and `options`, gives `*out`. Does
/// not wait for other users. Any thread; a forked child too.
/// @return as tvn_ring_with(); -EEXIST if the name is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_create_with(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_ring_options_t,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring_create_with", || {
        // SAFETY: the C contract: NULL or a segment's handle, a string, options, and a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_ring_with(text(name)?, chosen(options)?).map(tvn_ring_t)) }
    })
}

/// Finds the ring `name`, or creates it with room for `capacity` records (rounded up to a power of two) of `record_size`
/// bytes each, packed back to back; an existing one must be so. Lends `segment` and `name`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return as tvn_ring().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_of(
    segment: *const tvn_segment_t,
    name: *const c_char,
    record_size: usize,
    capacity: usize,
    out: *mut *mut tvn_ring_t,
) -> c_int {
    call("tvn_ring_of", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.ring_of(text(name)?, record_size, capacity).map(tvn_ring_t)) }
    })
}

/// Ends the stream: nothing is written any more, and the consumer gets -EPIPE once it has read what is there. Wakes
/// whoever waits. Lends `ring`. Never blocks; again is nothing new. Any thread; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_shutdown(ring: *const tvn_ring_t) -> c_int {
    call("tvn_ring_shutdown", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        unsafe { lend(ring) }?.0.shutdown();
        Ok(())
    })
}

/// Was the ring shut down, by anybody? Lends `ring`. Never blocks. Any thread; a forked child too.
/// @return 1 if it was, 0 if not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_is_shut_down(ring: *const tvn_ring_t) -> c_int {
    call("tvn_ring_is_shut_down", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        Ok(c_int::from(unsafe { lend(ring) }?.0.is_shut_down()))
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

/// The one size of its packed records. Lends `ring`. Never blocks. Any thread; a forked child too.
/// @return the size in bytes; 0 if records have any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_record_size(ring: *const tvn_ring_t) -> i64 {
    call("tvn_ring_record_size", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        Ok(unsafe { lend(ring) }?.0.record_size().unwrap_or(0))
    })
}

/// How many packed records fit. Lends `ring`. Never blocks. Any thread; a forked child too.
/// @return the number; 0 if that depends on their sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_capacity(ring: *const tvn_ring_t) -> i64 {
    call("tvn_ring_capacity", || {
        // SAFETY: the C contract: NULL, or a ring's handle that is not closed during this call.
        Ok(unsafe { lend(ring) }?.0.capacity().unwrap_or(0))
    })
}

/// Writes the ring's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `ring` and `buffer` (NULL will
/// do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL; 0: the ring has no type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_ring_type(ring: *const tvn_ring_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_ring_type", || {
        // SAFETY: the C contract: NULL or a ring's handle, not closed during this call; `size` bytes to write.
        let (ring, buffer) = unsafe { (&lend(ring)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(&ring.type_tag()?.unwrap_or_default(), buffer))
    })
}

/// Becomes the ring's producer. A dead one is succeeded: what it had published stays, what it had not is
/// gone. Lends `ring`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process is the producer; -EPIPE after a shutdown; -EIDRM if the ring was removed.
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
/// @return 0; -EMSGSIZE if the record is larger than the ring takes; -EINVAL if it is smaller than packed records are;
/// -EBUSY while a reservation is pending; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible;
/// -ECONNRESET if it is full and the consumer is dead; -EPIPE after a shutdown; -EIDRM if the ring was removed;
/// -TVN_EFORKED in a forked child.
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

/// Writes copies of `count` records, of which each entry says where it is and how long, and shows them all at once;
/// blocks until there is room for all of them, or until `timeout_ms` has passed. Lends `producer` and `records`. A
/// producer that dies here wrote all of them or none. One thread at a time, in the process that took the role.
/// @return 0, or an error and nothing is written: as tvn_producer_write(); -EMSGSIZE also if the ring is too small for
/// all of them together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_write_many(
    producer: *mut tvn_producer_t,
    records: *const libc::iovec,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_producer_write_many", || {
        // SAFETY: the C contract: NULL or a producer that no other thread uses now; `count` entries to read, each of
        // which says how many bytes may be read where.
        let (producer, records) = unsafe { (&mut lend_mut(producer)?.0, gathered(records, count)?) };
        match timeout_ms {
            TVN_TRY => tried(producer.try_write_many(&records)?.then_some(())),
            ms => producer.write_many_until(&records, deadline(ms)),
        }
    })
}

/// The bytes that each of `count` entries names.
///
/// # Safety
/// - `count` entries at `records` may be read, and what each of them names, unchanged until the last use of the answer;
///   otherwise records are torn or reading them faults.
unsafe fn gathered<'a>(records: *const libc::iovec, count: usize) -> Result<Vec<&'a [u8]>> {
    // SAFETY: the caller promises that the entries may be read; `array` checks NULL, size and alignment.
    let entries = unsafe { array(records.cast_mut(), count) }?;
    let one = |entry: &std::mem::MaybeUninit<libc::iovec>| {
        // SAFETY: the caller promises entries, two numbers each, and that what they name may be read.
        unsafe {
            let libc::iovec { iov_base, iov_len } = entry.assume_init_read();
            bytes(iov_base.cast_const().cast(), iov_len)
        }
    };
    entries.iter().map(one).collect()
}

/// Writes copies of `count` packed records that lie back to back at `records`, and shows them all at once; blocks until
/// there is room for all of them, or until `timeout_ms` has passed. Lends `producer` and `records`. A producer that dies
/// here wrote all of them or none. One thread at a time, in the process that took the role.
/// @return as tvn_producer_write_many(); -EINVAL if the ring's records have any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_write_packed(
    producer: *mut tvn_producer_t,
    records: *const c_void,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_producer_write_packed", || {
        // SAFETY: the C contract: NULL or a producer that no other thread uses now.
        let producer = &mut unsafe { lend_mut(producer) }?.0;
        let size = count.saturating_mul(producer.ring().record_size().unwrap_or(0));
        // SAFETY: the C contract: `count` records to read, of the ring's record size.
        let records = unsafe { bytes(records.cast(), size) }?;
        match timeout_ms {
            TVN_TRY => tried(producer.try_write_packed(records)?.then_some(())),
            ms => producer.write_packed_until(records, deadline(ms)),
        }
    })
}

/// Borrows room for packed records in one piece, to be written in place at `*room`: for one at least, and for as many up
/// to `count` as there is room for before the ring's end; blocks while the ring is full, or until `timeout_ms` has passed.
/// Lends `producer`, writes `*room`: it is lent until tvn_producer_commit(), _stage() or _cancel(), which want bytes. One
/// thread at a time, in the process that took the role.
/// @return for how many records there is room; otherwise as tvn_producer_write_packed().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_reserve_packed(
    producer: *mut tvn_producer_t,
    count: usize,
    timeout_ms: c_int,
    room: *mut *mut c_void,
) -> i64 {
    call("tvn_producer_reserve_packed", || {
        // SAFETY: the C contract: NULL or a producer that no other thread uses now; NULL or a place for the pointer.
        let (producer, room) = unsafe { (&mut lend_mut(producer)?.0, output(room)?) };
        let record_size = producer.ring().record_size().unwrap_or(1);
        let mut grant = match timeout_ms {
            TVN_TRY => tried(producer.try_reserve_packed(count)?)?,
            ms => producer.reserve_packed_until(count, deadline(ms))?,
        };
        room.write(grant.as_mut_ptr().cast());
        let size = grant.size();
        forget(grant); // pending until commit, stage or cancel
        Ok(size / record_size)
    })
}

/// Completes the first `size` bytes of the room last reserved, to be seen together with what comes next: at the next
/// commit or write, or at tvn_producer_publish(). Until then it is as if it were not there; tvn_producer_discard() gives
/// it up. Lends `producer`; the room is over. Never blocks. One thread at a time, in the process that took the role.
/// @return as tvn_producer_commit().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_stage(producer: *mut tvn_producer_t, size: usize) -> c_int {
    call("tvn_producer_stage", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.stage(size)
    })
}

/// Shows all that is staged, at once. Lends `producer`. Never blocks. A producer that dies here published all of it or
/// nothing. One thread at a time, in the process that took the role.
/// @return 0; -EBUSY while a reservation is pending; -EPIPE after a shutdown; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_publish(producer: *mut tvn_producer_t) -> c_int {
    call("tvn_producer_publish", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.publish()
    })
}

/// Gives up all that is staged, and the room last reserved. Lends `producer`. Never blocks. One thread at a time, in the
/// process that took the role.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_discard(producer: *mut tvn_producer_t) -> c_int {
    call("tvn_producer_discard", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.discard();
        Ok(())
    })
}

/// Publishes the first `size` bytes of the room last reserved, and all that is staged. Lends `producer`; the room is over. Never
/// blocks. A producer that dies here published the whole record or none. One thread at a time, in the process
/// that took the role.
/// @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved, or for half a packed
/// record; -EPIPE after a shutdown; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_producer_commit(producer: *mut tvn_producer_t, size: usize) -> c_int {
    call("tvn_producer_commit", || {
        // SAFETY: the C contract: NULL, or a producer that no other thread uses now.
        unsafe { lend_mut(producer) }?.0.commit(size)
    })
}

/// Gives the room last reserved back, if there is one; what is staged stays so. Lends `producer`. Never blocks. One thread at a time,
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
/// dead; -EPIPE if it is empty and was shut down; -EIDRM if the ring was removed; -TVN_EFORKED in a forked child.
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

/// Waits for a record; copies as many as there are and as fit, one behind the other, to `records`, puts the size of each
/// into `sizes`, which has room for `count`, and releases them all at once. Blocks while the ring is empty, or until
/// `timeout_ms` has passed. Lends `consumer`, `records` and `sizes`. A consumer that dies here has read all of them, or
/// its successor reads them. One thread at a time, in the process that took the role.
/// @return how many records, 0 only if `count` is 0; -EMSGSIZE if `size` is too small for the first one: it stays;
/// otherwise as tvn_consumer_read().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_read_many(
    consumer: *mut tvn_consumer_t,
    records: *mut c_void,
    size: usize,
    sizes: *mut usize,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_consumer_read_many", || {
        // SAFETY: the C contract: NULL or a consumer that no other thread uses now; `size` bytes and `count` sizes to
        // write.
        let (consumer, records, places) =
            unsafe { (&mut lend_mut(consumer)?.0, buffer(records.cast(), size)?, array(sizes, count)?) };
        places.fill(std::mem::MaybeUninit::new(0));
        // SAFETY: just filled, and any bits are a size.
        let sizes = unsafe { slice::from_raw_parts_mut(places.as_mut_ptr().cast::<usize>(), places.len()) };
        match timeout_ms {
            TVN_TRY => tried(Some(consumer.try_read_many(records, sizes)?).filter(|n| *n > 0 || sizes.is_empty())),
            ms => consumer.read_many_until(records, sizes, deadline(ms)),
        }
    })
}

/// Waits for a packed record; copies as many as there are, up to `count`, to `records`, and releases them all at once.
/// Blocks while the ring is empty, or until `timeout_ms` has passed. Lends `consumer` and `records`, which has room for
/// `count` of the ring's record size. A consumer that dies here has read all of them, or its successor reads them. One
/// thread at a time, in the process that took the role.
/// @return how many records; -EMSGSIZE if `count` is 0; -EINVAL if the ring's records have any size; otherwise as
/// tvn_consumer_read().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_read_packed(
    consumer: *mut tvn_consumer_t,
    records: *mut c_void,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_consumer_read_packed", || {
        // SAFETY: the C contract: NULL or a consumer that no other thread uses now.
        let consumer = &mut unsafe { lend_mut(consumer) }?.0;
        let size = count.saturating_mul(consumer.ring().record_size().unwrap_or(0));
        // SAFETY: the C contract: room for `count` records, of the ring's record size.
        let records = unsafe { buffer(records.cast(), size) }?;
        match timeout_ms {
            TVN_TRY => tried(Some(consumer.try_read_packed(records)?).filter(|n| *n > 0)),
            ms => consumer.read_packed_until(records, deadline(ms)),
        }
    })
}

/// Borrows packed records in one piece, to be read in place at `*records`: one at least, and as many up to `count` as there
/// are before the ring's end; blocks while the ring is empty, or until `timeout_ms` has passed. Lends `consumer`, writes
/// `*records`: lent until tvn_consumer_release() or tvn_consumer_keep(). One thread at a time, in the process that took the
/// role.
/// @return how many records; otherwise as tvn_consumer_read_packed().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_peek_packed(
    consumer: *mut tvn_consumer_t,
    count: usize,
    timeout_ms: c_int,
    records: *mut *const c_void,
) -> i64 {
    call("tvn_consumer_peek_packed", || {
        // SAFETY: the C contract: NULL or a consumer that no other thread uses now; NULL or a place for the pointer.
        let (consumer, records) = unsafe { (&mut lend_mut(consumer)?.0, output(records)?) };
        let record_size = consumer.ring().record_size().unwrap_or(1);
        let grant = match timeout_ms {
            TVN_TRY => tried(consumer.try_peek_packed(count)?)?,
            ms => consumer.peek_packed_until(count, deadline(ms))?,
        };
        records.write(grant.as_ptr().cast());
        let size = grant.size();
        forget(grant); // lent until release, hold or keep
        Ok(size / record_size)
    })
}

/// Goes on to the next record without releasing the one last peeked at: it stays lent, and the next release frees both at
/// once. Lends `consumer`. Never blocks. Who dies first leaves both to its successor. One thread at a time, in the process
/// that took the role.
/// @return 0; -EINVAL if none was peeked at; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_hold(consumer: *mut tvn_consumer_t) -> c_int {
    call("tvn_consumer_hold", || {
        // SAFETY: the C contract: NULL, or a consumer that no other thread uses now.
        unsafe { lend_mut(consumer) }?.0.hold()
    })
}

/// Keeps the record last peeked at in the ring, and all that is held: the next peek sees the oldest of them again. Lends
/// `consumer`; the loans are over. Never blocks. One thread at a time, in the process that took the role.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_consumer_rewind(consumer: *mut tvn_consumer_t) -> c_int {
    call("tvn_consumer_rewind", || {
        // SAFETY: the C contract: NULL, or a consumer that no other thread uses now.
        unsafe { lend_mut(consumer) }?.0.rewind();
        Ok(())
    })
}

/// Borrows the oldest record that is not held, to be read in place at `*record`, aligned to 8; blocks while the ring is empty,
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

/// Releases the record last peeked at, and all that is held; their room is free for the producer. Lends `consumer`; the record is
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
