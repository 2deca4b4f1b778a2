//! The topic in C: its publisher and its subscribers.

use crate::argument::{array, buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::tell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::{forget, offset_of};
use std::time::Duration;
use triveni::{Error, ErrorKind, Publisher, Result, Start, Subscriber, Topic, TopicOptions, TopicPolicy};

/// A topic, one publisher's word to any number of subscribers: a handle on one that lies in a segment.
pub struct tvn_topic_t(Topic);

/// The writing end of a topic. One thread at a time; stays with the process that took it.
pub struct tvn_publisher_t(pub(crate) Publisher);

/// A reading end of a topic, with a cursor of its own. One thread at a time; stays with the process that made it.
pub struct tvn_subscriber_t(pub(crate) Subscriber);

/// Policy of a topic: the publisher waits for the slowest subscriber.
pub const TVN_BLOCK: u32 = 0;
/// Policy of a topic: the publisher overwrites the oldest message; who had not read it is told how many it missed.
pub const TVN_DROP_OLDEST: u32 = 1;
/// Policy of a topic: the publisher drops its own message, and says so; subscribers are told how many were dropped.
pub const TVN_DROP_NEWEST: u32 = 2;

/// The policy's number in C.
pub(crate) fn number(policy: TopicPolicy) -> u32 {
    match policy {
        TopicPolicy::Block => TVN_BLOCK,
        TopicPolicy::DropOldest => TVN_DROP_OLDEST,
        TopicPolicy::DropNewest => TVN_DROP_NEWEST,
    }
}

/// A new subscriber begins with the first message that is published from now on.
pub const TVN_LATEST: u32 = 0;
/// A new subscriber begins with the oldest message that is still there.
pub const TVN_OLDEST: u32 = 1;

/// What a topic is like. Begin with `tvn_topic_options_t options = TVN_TOPIC_OPTIONS;` and set `capacity` and
/// `message_size`: 0 is the default everywhere else.
#[repr(C)]
pub struct tvn_topic_options_t {
    /// The size of this structure, for later versions. TVN_TOPIC_OPTIONS sets it.
    pub size: usize,
    /// How many messages it keeps, from 1 on.
    pub capacity: usize,
    /// The largest message in bytes.
    pub message_size: usize,
    /// How many can subscribe at the same time, at most 256; 0: 16.
    pub subscribers: usize,
    /// What the publisher does when it would overtake the slowest subscriber: TVN_BLOCK, TVN_DROP_OLDEST or
    /// TVN_DROP_NEWEST.
    pub policy: u32,
    /// How many milliseconds a subscriber that lives may be in the publisher's way before it is put out; 0: for ever.
    pub evict_after_ms: u32,
    /// The layout of messages, a type tag; NULL: any bytes.
    pub type_tag: *const c_char,
}
const _: () = assert!(offset_of!(tvn_topic_options_t, size) == 0);

/// The options that C hands in.
///
/// # Safety
/// - `options` is NULL or points to a `size`, and as many bytes as that says, unchanged until the reference's last use;
///   the same holds for the string in it. Otherwise this reads strange memory.
unsafe fn chosen<'a>(options: *const tvn_topic_options_t) -> Result<TopicOptions<'a>> {
    if options.is_null() {
        let why = "the topic's options are NULL; begin with TVN_TOPIC_OPTIONS and set capacity and message_size";
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    // SAFETY: not NULL, and the caller promises that the `size`, which is its first field, may be read.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<tvn_topic_options_t>() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "topic options of {size} bytes, this library knows {}; begin with TVN_TOPIC_OPTIONS, and compile against this library's header",
                size_of::<tvn_topic_options_t>()
            ),
        ));
    }
    // SAFETY: the caller promises that many bytes, which is the whole structure; all its fields are integers and a
    // pointer.
    let tvn_topic_options_t { capacity, message_size, subscribers, policy, evict_after_ms, type_tag, .. } =
        unsafe { options.read() };
    let all = [TopicPolicy::Block, TopicPolicy::DropOldest, TopicPolicy::DropNewest];
    let Some(policy) = all.into_iter().find(|known| number(*known) == policy) else {
        let why = format!("no policy has the number {policy}; give TVN_BLOCK, TVN_DROP_OLDEST or TVN_DROP_NEWEST");
        return Err(Error::new(ErrorKind::Invalid, why));
    };
    let mut all = TopicOptions::new(capacity, message_size).policy(policy);
    if subscribers != 0 {
        all = all.subscribers(subscribers);
    }
    if evict_after_ms != 0 {
        all = all.evict_after(Duration::from_millis(evict_after_ms.into()));
    }
    if !type_tag.is_null() {
        // SAFETY: not NULL; the caller promises a string.
        all = all.type_tag(unsafe { text(type_tag) }?);
    }
    Ok(all)
}

/// Finds the topic `name`, or creates it with `options`; an existing one must have been made with the same. Lends
/// `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name or bad options; -TVN_EINCOMPATIBLE if the name belongs to an object of another
/// kind, or a topic of other options or another type tag; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_topic_options_t,
    out: *mut *mut tvn_topic_t,
) -> c_int {
    call("tvn_topic", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.topic_with(text(name)?, chosen(options)?).map(tvn_topic_t)) }
    })
}

/// Creates the topic `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; otherwise as tvn_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_topic_options_t,
    out: *mut *mut tvn_topic_t,
) -> c_int {
    call("tvn_topic_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.create_topic_with(text(name)?, chosen(options)?).map(tvn_topic_t)) }
    })
}

/// Opens the topic `name`, which must exist, whatever its options. Lends `segment` and `name`, gives `*out`. Does not
/// wait for other users. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an object of
/// another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_topic_t,
) -> c_int {
    call("tvn_topic_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_topic(text(name)?).map(tvn_topic_t)) }
    })
}

/// Lets go of the topic. Takes `topic`; NULL is fine. The topic and its messages stay in the segment; publishers and
/// subscribers made from this handle go on. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_close(topic: *mut tvn_topic_t) {
    // SAFETY: the C contract: NULL, or a topic's handle that nobody uses any more.
    call("tvn_topic_close", || unsafe { take(topic) });
}

/// The largest message in bytes. Lends `topic`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_message_size(topic: *const tvn_topic_t) -> i64 {
    call("tvn_topic_message_size", || {
        // SAFETY: the C contract: NULL, or a topic's handle that is not closed during this call.
        Ok(unsafe { lend(topic) }?.0.message_size())
    })
}

/// The most messages it keeps. Lends `topic`. Never blocks. Any thread; a forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_capacity(topic: *const tvn_topic_t) -> i64 {
    call("tvn_topic_capacity", || {
        // SAFETY: the C contract: NULL, or a topic's handle that is not closed during this call.
        Ok(unsafe { lend(topic) }?.0.capacity())
    })
}

/// How many messages were published so far. Lends `topic`. Never blocks. Any thread; a forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_published(topic: *const tvn_topic_t) -> i64 {
    call("tvn_topic_published", || {
        // SAFETY: the C contract: NULL, or a topic's handle that is not closed during this call.
        Ok(unsafe { lend(topic) }?.0.published())
    })
}

/// How many messages publishers dropped so far, under TVN_DROP_NEWEST. Lends `topic`. Never blocks. Any thread; a
/// forked child too.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_dropped(topic: *const tvn_topic_t) -> i64 {
    call("tvn_topic_dropped", || {
        // SAFETY: the C contract: NULL, or a topic's handle that is not closed during this call.
        Ok(unsafe { lend(topic) }?.0.dropped())
    })
}

/// Has the publisher said that it was the last one (tvn_publisher_shutdown())? Lends `topic`. Never blocks. Any thread; a forked child too.
/// @return 1 if it was, 0 if not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_is_shut_down(topic: *const tvn_topic_t) -> c_int {
    call("tvn_topic_is_shut_down", || {
        // SAFETY: the C contract: NULL, or a topic's handle that is not closed during this call.
        Ok(unsafe { lend(topic) }?.0.is_shut_down())
    })
}

/// Writes the topic's type tag to `buffer` of `size` bytes, cut if it is too long. Lends `topic` and `buffer` (NULL will
/// do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL; 0: the topic has no type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_type(topic: *const tvn_topic_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_topic_type", || {
        // SAFETY: the C contract: NULL or a topic's handle, not closed during this call; `size` bytes to write.
        let (topic, buffer) = unsafe { (&lend(topic)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(&topic.type_tag()?.unwrap_or_default(), buffer))
    })
}

/// Becomes the topic's publisher. A dead one is succeeded: what it had published stays, what it had not is gone. Lends
/// `topic`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EBUSY if a live process is the publisher; -EPIPE if the topic was shut down; -EIDRM if it was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_publisher(topic: *const tvn_topic_t, out: *mut *mut tvn_publisher_t) -> c_int {
    call("tvn_topic_publisher", || {
        // SAFETY: the C contract: NULL or a topic's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(topic)?.0.publisher().map(tvn_publisher_t)) }
    })
}

/// Subscribes, from TVN_LATEST or TVN_OLDEST on. Of the messages that were published before, under any policy, those
/// can be overwritten that are not read in time; the subscriber is told. Lends `topic`, gives `*out`. Does not wait.
/// Any thread; a forked child too.
/// @return 0; -ENOSPC if as many subscribers as the topic was made for are alive; -EINVAL for another `start`; -EIDRM
/// if it was removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_topic_subscriber(
    topic: *const tvn_topic_t,
    start: u32,
    out: *mut *mut tvn_subscriber_t,
) -> c_int {
    call("tvn_topic_subscriber", || {
        let start = match start {
            TVN_LATEST => Start::Latest,
            TVN_OLDEST => Start::Oldest,
            other => {
                let why = format!("no subscriber begins at {other}; give TVN_LATEST or TVN_OLDEST");
                return Err(Error::new(ErrorKind::Invalid, why));
            }
        };
        // SAFETY: the C contract: NULL or a topic's handle, not closed during this call; NULL or a place for a handle.
        unsafe { give(out, || lend(topic)?.0.subscriber(start).map(tvn_subscriber_t)) }
    })
}

/// Publishes a copy of `size` bytes at `message` (NULL will do for 0). With TVN_BLOCK it blocks while the slowest
/// subscriber is a whole lap behind, or until `timeout_ms` has passed; the other policies never wait. Lends
/// `publisher` and `message`. A publisher that dies here published the whole message or none. One thread at a time, in
/// the process that took the role.
/// @return 1; 0 if it was dropped (TVN_DROP_NEWEST); -EMSGSIZE if the message is larger than the topic takes; -EBUSY
/// while a reservation is pending; -EPIPE after tvn_publisher_shutdown(); -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if
/// this thread is interruptible; -EIDRM if the topic was removed; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_publish(
    publisher: *mut tvn_publisher_t,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_publisher_publish", || {
        // SAFETY: the C contract: NULL or a publisher that no other thread uses now; `size` bytes to read.
        let (publisher, message) = unsafe { (&mut lend_mut(publisher)?.0, bytes(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => {
                let published = publisher.try_publish(message)?;
                tried((published || publisher.topic().policy() != TopicPolicy::Block).then_some(published))
            }
            ms => publisher.publish_until(message, deadline(ms)),
        }
    })
}

/// Publishes copies of `count` messages, one behind the other at `messages`, whose sizes are in `sizes`, with one wake
/// for all of them; waits as tvn_publisher_publish(). Lends `publisher`, `messages` and `sizes`. A publisher that dies
/// here published the first of them, each of them whole.
/// @return how many were published, from the first on; the others were dropped (TVN_DROP_NEWEST), or the time was up
/// (TVN_BLOCK); otherwise as tvn_publisher_publish().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_publish_many(
    publisher: *mut tvn_publisher_t,
    messages: *const c_void,
    sizes: *const usize,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_publisher_publish_many", || {
        // SAFETY: the C contract: NULL or a publisher that no other thread uses now; `count` sizes to read.
        let (publisher, sizes) = unsafe { (&mut lend_mut(publisher)?.0, array(sizes.cast_mut(), count)?) };
        // SAFETY: the C contract: all of them were written; they are read only.
        let sizes: Vec<usize> = sizes.iter().map(|size| unsafe { size.assume_init() }).collect();
        let all = sizes.iter().fold(0usize, |sum, size| sum.saturating_add(*size));
        // SAFETY: the C contract: so many bytes to read; too many for any memory are refused.
        let mut rest = unsafe { bytes(messages.cast::<u8>(), all) }?;
        let mut slices = Vec::with_capacity(count);
        for size in sizes {
            let (message, behind) = rest.split_at(size.min(rest.len())); // the sum is what `rest` began with
            slices.push(message);
            rest = behind;
        }
        match timeout_ms {
            TVN_TRY => {
                let published = publisher.try_publish_many(&slices)?;
                let answers = published > 0 || slices.is_empty() || publisher.topic().policy() != TopicPolicy::Block;
                tried(answers.then_some(published))
            }
            ms => publisher.publish_many_until(&slices, deadline(ms)),
        }
    })
}

/// Borrows room for a message of up to `size` bytes, to be written in place at `*room`, aligned to 64 where messages
/// have more than 48 bytes, otherwise to 16; waits as tvn_publisher_publish(). Lends `publisher`, writes `*room`: the
/// room is lent until tvn_publisher_commit() or tvn_publisher_cancel(). With TVN_DROP_OLDEST the oldest message is gone
/// from here on. If this process dies first, nothing was published. One thread at a time, in the process that took
/// the role.
/// @return 1; 0 if there is no room and the message is dropped (TVN_DROP_NEWEST): then `*room` is as it was; otherwise
/// as tvn_publisher_publish().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_reserve(
    publisher: *mut tvn_publisher_t,
    size: usize,
    timeout_ms: c_int,
    room: *mut *mut c_void,
) -> c_int {
    call("tvn_publisher_reserve", || {
        // SAFETY: the C contract: NULL or a publisher that no other thread uses now; NULL or a place for the pointer.
        let (publisher, room) = unsafe { (&mut lend_mut(publisher)?.0, output(room)?) };
        let waits = publisher.topic().policy() == TopicPolicy::Block;
        let grant = match timeout_ms {
            TVN_TRY => publisher.try_reserve(size)?,
            ms => publisher.reserve_until(size, deadline(ms))?,
        };
        let Some(mut grant) = grant else { return tried((!waits).then_some(false)) };
        room.write(grant.as_mut_ptr().cast());
        forget(grant); // pending until commit or cancel
        Ok(true)
    })
}

/// Publishes the first `size` bytes of the room last reserved. Lends `publisher`; the room is over. Never blocks. A
/// publisher that dies here published the whole message or none. One thread at a time, in the process that took the
/// role.
/// @return 0; -EMSGSIZE if the room is smaller: it stays reserved; -EINVAL if none is reserved; -TVN_EFORKED in a
/// forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_commit(publisher: *mut tvn_publisher_t, size: usize) -> c_int {
    call("tvn_publisher_commit", || {
        // SAFETY: the C contract: NULL, or a publisher that no other thread uses now.
        unsafe { lend_mut(publisher) }?.0.commit(size)
    })
}

/// Gives the room last reserved back, if there is one. Lends `publisher`. Never blocks. One thread at a time, in the
/// process that took the role.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_cancel(publisher: *mut tvn_publisher_t) -> c_int {
    call("tvn_publisher_cancel", || {
        // SAFETY: the C contract: NULL, or a publisher that no other thread uses now.
        unsafe { lend_mut(publisher) }?.0.cancel();
        Ok(())
    })
}

/// Says that this was the last message: subscribers receive what is there, and then -EPIPE; so does whoever wants to
/// publish. Lends `publisher`. Doing it twice is fine. Never blocks. One thread at a time, in the process that took
/// the role.
/// @return 0; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_shutdown(publisher: *mut tvn_publisher_t) -> c_int {
    call("tvn_publisher_shutdown", || {
        // SAFETY: the C contract: NULL, or a publisher that no other thread uses now.
        unsafe { lend_mut(publisher) }?.0.shutdown()
    })
}

/// Gives the role back; the next one may take it. Takes `publisher`; NULL is fine. What is published stays, what is
/// only reserved is gone. Never blocks. In a forked child it ends the handle; the parent keeps the role.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_publisher_close(publisher: *mut tvn_publisher_t) {
    // SAFETY: the C contract: NULL, or a publisher that nobody uses any more.
    call("tvn_publisher_close", || unsafe { take(publisher) });
}

/// Copies the next message into `message` and goes on behind it; blocks while there is none, or until `timeout_ms`
/// has passed. Lends `subscriber` and `message`. One thread at a time, in the process that subscribed.
/// @return the size of the message, from 0 on; -TVN_ELOST, once, if messages were overwritten or dropped before it
/// (tvn_subscriber_missed() says how many in all): the next call goes on with what is there; -EMSGSIZE if `size` is
/// too small: the message stays; -EPIPE if everything was received and the topic shut down; -ECONNRESET if everything
/// was received and the publisher is dead; -TVN_EEVICTED if this subscriber was in the publisher's way for too long:
/// subscribe anew; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the topic was
/// removed; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_receive(
    subscriber: *mut tvn_subscriber_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_subscriber_receive", || {
        // SAFETY: the C contract: NULL or a subscriber that no other thread uses now; `size` bytes to write.
        let (subscriber, message) = unsafe { (&mut lend_mut(subscriber)?.0, buffer(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(subscriber.try_receive(message)?),
            ms => subscriber.receive_until(message, deadline(ms)),
        }
    })
}

/// Copies as many messages as are there and fit, at most `count`, one behind the other into `messages`, and their sizes
/// into `sizes`; blocks while there is none, or until `timeout_ms` has passed. Lends `subscriber`, `messages` and
/// `sizes`. One thread at a time, in the process that subscribed.
/// @return how many; otherwise as tvn_subscriber_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_receive_many(
    subscriber: *mut tvn_subscriber_t,
    messages: *mut c_void,
    size: usize,
    sizes: *mut usize,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_subscriber_receive_many", || {
        // SAFETY: the C contract: NULL or a subscriber that no other thread uses now; `size` bytes and `count` sizes to
        // write.
        let (subscriber, messages, out) =
            unsafe { (&mut lend_mut(subscriber)?.0, buffer(messages.cast(), size)?, array(sizes, count)?) };
        let mut sizes = vec![0; out.len()];
        let taken = match timeout_ms {
            TVN_TRY => {
                let taken = subscriber.try_receive_many(messages, &mut sizes)?;
                tried((taken > 0 || count == 0).then_some(taken))?
            }
            ms => subscriber.receive_many_until(messages, &mut sizes, deadline(ms))?,
        };
        for (place, size) in out.iter_mut().zip(&sizes[..taken]) {
            place.write(*size);
        }
        Ok(taken)
    })
}

/// Borrows the next message at `*message`; blocks while there is none, or until `timeout_ms` has passed. With TVN_BLOCK
/// and TVN_DROP_NEWEST it is read where the publisher wrote it; with TVN_DROP_OLDEST, and as long as the messages from
/// before this subscription last, it is a copy. Lends `subscriber`, writes `*message`: the message is lent until
/// tvn_subscriber_release(), tvn_subscriber_keep() or another receive; a second peek finds it again. A peer that breaks
/// the rules can write there, so copy what you check. One thread at a time, in the process that subscribed.
/// @return the size of the message, from 0 on; otherwise as tvn_subscriber_receive(), without -EMSGSIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_peek(
    subscriber: *mut tvn_subscriber_t,
    timeout_ms: c_int,
    message: *mut *const c_void,
) -> i64 {
    call("tvn_subscriber_peek", || {
        // SAFETY: the C contract: NULL or a subscriber that no other thread uses now; NULL or a place for the pointer.
        let (subscriber, message) = unsafe { (&mut lend_mut(subscriber)?.0, output(message)?) };
        let grant = match timeout_ms {
            TVN_TRY => tried(subscriber.try_peek()?)?,
            ms => subscriber.peek_until(deadline(ms))?,
        };
        let size = grant.size();
        message.write(grant.as_ptr().cast());
        forget(grant); // lent until release or keep
        Ok(size)
    })
}

/// Goes on behind the message last peeked at. Lends `subscriber`; the message is over. Never blocks. One thread at a
/// time, in the process that subscribed.
/// @return 0; -EINVAL if none was peeked at; -TVN_EEVICTED if the publisher has put this subscriber out meanwhile: what
/// was read may be torn; -TVN_EFORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_release(subscriber: *mut tvn_subscriber_t) -> c_int {
    call("tvn_subscriber_release", || {
        // SAFETY: the C contract: NULL, or a subscriber that no other thread uses now.
        unsafe { lend_mut(subscriber) }?.0.release()
    })
}

/// Keeps the message last peeked at: the next peek or receive finds it again. Lends `subscriber`; the loan is over.
/// Never blocks. One thread at a time, in the process that subscribed.
/// @return 0, also if none was peeked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_keep(subscriber: *mut tvn_subscriber_t) -> c_int {
    call("tvn_subscriber_keep", || {
        // SAFETY: the C contract: NULL, or a subscriber that no other thread uses now.
        unsafe { lend_mut(subscriber) }?.0.keep();
        Ok(())
    })
}

/// How many messages were overwritten or dropped before this subscriber could receive them, in all. Lends `subscriber`.
/// Never blocks. One thread at a time.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_missed(subscriber: *mut tvn_subscriber_t) -> i64 {
    call("tvn_subscriber_missed", || {
        // SAFETY: the C contract: NULL, or a subscriber that no other thread uses now.
        Ok(unsafe { lend_mut(subscriber) }?.0.missed())
    })
}

/// Ends the subscription. Takes `subscriber`; NULL is fine. Never blocks. In a forked child it ends the handle; the
/// parent's subscription goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_subscriber_close(subscriber: *mut tvn_subscriber_t) {
    // SAFETY: the C contract: NULL, or a subscriber that nobody uses any more.
    call("tvn_subscriber_close", || unsafe { take(subscriber) });
}
