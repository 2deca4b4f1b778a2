//! The mailbox in C.

use crate::argument::{array, buffer, bytes, optional, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use crate::type_tag::tell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::{MaybeUninit, offset_of};
use triveni::{
    Borrowed, Capacity, Envelope, Error, ErrorKind, Loan, Mailbox, MailboxOptions, Offer, Order, RawLoan, Received,
    Result, Select,
};

/// Messages are received first in, first out.
pub const TVN_FIFO: u32 = 0;
/// Messages are received by priority, the highest first and among equals the oldest; receivers may select by type.
pub const TVN_PRIORITY: u32 = 1;
/// The highest priority of a message.
pub const TVN_MAX_PRIORITY: u32 = 32_767;
const _: () = assert!(TVN_MAX_PRIORITY == Mailbox::MAX_PRIORITY as u32);

/// Select the first message in order. As `msgtyp` 0 of msgrcv(2).
pub const TVN_SELECT_ANY: u32 = 0;
/// Select the first message of type `mtype`. As `msgtyp` > 0 of msgrcv(2).
pub const TVN_SELECT_TYPE: u32 = 1;
/// Select the first message of the lowest type from 1 to `mtype`. As `msgtyp` < 0 of msgrcv(2).
pub const TVN_SELECT_UP_TO: u32 = 2;
/// Select the first message of any type but `mtype`. As MSG_EXCEPT of msgrcv(2).
pub const TVN_SELECT_EXCEPT: u32 = 3;

/// What a mailbox is like. Begin with `tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;` and set `message_size`:
/// 0 is the default everywhere else.
#[repr(C)]
pub struct tvn_mailbox_options_t {
    /// The size of this structure, for later versions. TVN_MAILBOX_OPTIONS sets it.
    pub size: usize,
    /// How many messages it holds; 0: none, a send returns when a receiver has the message (rendezvous).
    pub capacity: usize,
    /// The largest message in bytes.
    pub message_size: usize,
    /// 1: a sender never waits; `capacity` is the ceiling, where it gets -ENOSPC. Memory is taken as it is needed.
    pub unbounded: u32,
    /// TVN_FIFO or TVN_PRIORITY.
    pub order: u32,
    /// How many receivers may have a message in vain, because they die or give it back, before it is dropped; 0: any
    /// number.
    pub max_deliveries: u32,
    /// The layout of messages, a type tag; NULL: any bytes.
    pub type_tag: *const c_char,
}
const _: () = assert!(offset_of!(tvn_mailbox_options_t, size) == 0);

/// The options that C hands in.
///
/// # Safety
/// - `options` is NULL or points to a `size`, and as many bytes as that says, unchanged until the reference's last use;
///   the same holds for the string in it. Otherwise this reads strange memory.
unsafe fn chosen<'a>(options: *const tvn_mailbox_options_t) -> Result<MailboxOptions<'a>> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    if options.is_null() {
        return refuse("the mailbox' options are NULL; begin with TVN_MAILBOX_OPTIONS and set message_size".into());
    }
    // SAFETY: not NULL, and the caller promises that the `size`, which is its first field, may be read.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<tvn_mailbox_options_t>() {
        return refuse(format!(
            "mailbox options of {size} bytes, this library knows {}; begin with TVN_MAILBOX_OPTIONS, and compile against this library's header",
            size_of::<tvn_mailbox_options_t>()
        ));
    }
    // SAFETY: the caller promises that many bytes, which is the whole structure; all its fields are integers and a
    // pointer.
    let tvn_mailbox_options_t { capacity, message_size, unbounded, order, max_deliveries, type_tag, .. } =
        unsafe { options.read() };
    let capacity = if unbounded != 0 { Capacity::Unbounded { ceiling: capacity } } else { Capacity::from(capacity) };
    let order = match order {
        TVN_FIFO => Order::Fifo,
        TVN_PRIORITY => Order::Priority,
        other => return refuse(format!("no order has the number {other}; give TVN_FIFO or TVN_PRIORITY")),
    };
    let Ok(max_deliveries) = u16::try_from(max_deliveries) else {
        return refuse(format!("at most {max_deliveries} deliveries: the most that is counted is {}", u16::MAX));
    };
    let all = MailboxOptions::new(capacity, message_size).order(order).max_deliveries(max_deliveries);
    if type_tag.is_null() {
        return Ok(all);
    }
    // SAFETY: not NULL; the caller promises a string.
    Ok(all.type_tag(unsafe { text(type_tag) }?))
}

/// The envelope that C hands in.
fn envelope(priority: u32, mtype: u32) -> Envelope {
    // What is too high for 16 bits is too high for core, which says so.
    Envelope { priority: u16::try_from(priority).unwrap_or(u16::MAX), mtype }
}

fn selecting(how: u32, mtype: u32) -> Result<Select> {
    match how {
        TVN_SELECT_ANY => Ok(Select::Any),
        TVN_SELECT_TYPE => Ok(Select::Type(mtype)),
        TVN_SELECT_UP_TO => Ok(Select::UpTo(mtype)),
        TVN_SELECT_EXCEPT => Ok(Select::Except(mtype)),
        other => {
            Err(Error::new(ErrorKind::Invalid, format!("no selection has the number {other}; give TVN_SELECT_...")))
        }
    }
}

/// What there is to say about a message that was received.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tvn_received_t {
    /// Its size in bytes.
    pub size: usize,
    /// How many receivers died with it before, or gave it back: 0 for one that is delivered the first time.
    pub redelivered: u32,
    /// Its priority; 0 unless the mailbox is TVN_PRIORITY.
    pub priority: u32,
    /// Its type; 0 unless it was sent with one.
    pub mtype: u32,
}

impl From<Received> for tvn_received_t {
    fn from(received: Received) -> tvn_received_t {
        let Received { size, redelivered, priority, mtype } = received;
        tvn_received_t { size, redelivered: redelivered.into(), priority: priority.into(), mtype }
    }
}

/// A message that is read in place. Plain data: it lies where the caller wants, and needs no close.
#[repr(C)]
pub struct tvn_borrowed_t {
    /// First byte of the message, aligned to 16; lent until tvn_mailbox_release() or tvn_mailbox_give_back().
    pub message: *const c_void,
    /// The claim; for triveni only.
    pub word: u64,
    /// Its size in bytes.
    pub size: u32,
    /// The claim; for triveni only.
    pub index: u32,
    /// How many receivers died with it before, or gave it back.
    pub redelivered: u32,
    /// Its priority.
    pub priority: u32,
    /// Its type.
    pub mtype: u32,
}

/// A mailbox, a queue of messages for any number of senders and receivers: a handle on one that lies in a segment.
pub struct tvn_mailbox_t(pub(crate) Mailbox);

/// Room for one message, claimed in a mailbox. Plain data: it lies where the caller wants, and needs no close.
#[repr(C)]
pub struct tvn_loan_t {
    /// First byte of the room, aligned to 16; the caller's until commit or cancel.
    pub room: *mut c_void,
    /// The size that was asked for.
    pub size: u32,
    /// The claim; for triveni only.
    pub index: u32,
    /// The claim; for triveni only.
    pub word: u64,
}

/// A message that lies at a rendezvous, a mailbox of capacity 0, until a receiver has it: for whoever cannot block, but
/// waits in a wait set.
///
/// If the process that made it dies, the message stays, and is received. If a receiver dies before it has the whole
/// message, the next one gets it.
pub struct tvn_offer_t(pub(crate) Offer);

/// Finds the mailbox `name`, or creates it for up to `capacity` messages (0: a rendezvous) of up to `message_size` bytes each;
/// an existing one must have the same two. Lends `segment` and `name`, gives `*out`. Does not wait for other
/// users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, capacity or size; -TVN_EINCOMPATIBLE if the name belongs to an object of
/// another kind or geometry; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox(
    segment: *const tvn_segment_t,
    name: *const c_char,
    capacity: usize,
    message_size: usize,
    out: *mut *mut tvn_mailbox_t,
) -> c_int {
    call("tvn_mailbox", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.mailbox(text(name)?, capacity, message_size).map(tvn_mailbox_t)) }
    })
}

/// Creates the mailbox `name` for up to `capacity` messages of up to `message_size` bytes each. Lends
/// `segment` and `name`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, capacity or size; -ENOSPC if the segment
/// has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_create(
    segment: *const tvn_segment_t,
    name: *const c_char,
    capacity: usize,
    message_size: usize,
    out: *mut *mut tvn_mailbox_t,
) -> c_int {
    call("tvn_mailbox_create", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.create_mailbox(text(name)?, capacity, message_size).map(tvn_mailbox_t)) }
    })
}

/// Finds the mailbox `name`, or creates it with `options`; an existing one must have been made with the same. Lends
/// `segment`, `name` and `options`, gives `*out`. Does not wait for other users. Any thread; a forked child too.
/// @return 0; -EINVAL for a bad name, or options that no mailbox can have; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind, or a mailbox of other options or another type tag; -ENOSPC if the segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_with(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_mailbox_options_t,
    out: *mut *mut tvn_mailbox_t,
) -> c_int {
    call("tvn_mailbox_with", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.mailbox_with(text(name)?, chosen(options)?).map(tvn_mailbox_t)) }
    })
}

/// Creates the mailbox `name` with `options`. Lends `segment`, `name` and `options`, gives `*out`. Does not wait for
/// other users. Any thread; a forked child too.
/// @return 0; -EEXIST if the name is taken; -EINVAL for a bad name, or options that no mailbox can have; -ENOSPC if the
/// segment has no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_create_with(
    segment: *const tvn_segment_t,
    name: *const c_char,
    options: *const tvn_mailbox_options_t,
    out: *mut *mut tvn_mailbox_t,
) -> c_int {
    call("tvn_mailbox_create_with", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or options, NULL or a place for a
        // handle.
        unsafe { give(out, || lend(segment)?.0.create_mailbox_with(text(name)?, chosen(options)?).map(tvn_mailbox_t)) }
    })
}

/// Opens the mailbox `name`, which must exist, whatever its geometry: see tvn_mailbox_capacity() and
/// tvn_mailbox_message_size(). Lends `segment` and `name`, gives `*out`. Does not wait for other users. Any
/// thread; a forked child too.
/// @return 0; -ENOENT if there is none; -EINVAL for a bad name; -TVN_EINCOMPATIBLE if the name belongs to an
/// object of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_open(
    segment: *const tvn_segment_t,
    name: *const c_char,
    out: *mut *mut tvn_mailbox_t,
) -> c_int {
    call("tvn_mailbox_open", || {
        // SAFETY: the C contract: NULL or a segment's handle, NULL or a string, NULL or a place for a handle.
        unsafe { give(out, || lend(segment)?.0.open_mailbox(text(name)?).map(tvn_mailbox_t)) }
    })
}

/// Lets go of the mailbox. Takes `mailbox`; NULL is fine. The mailbox and its messages stay in the segment.
/// Commit or cancel loans first: closing does not. Never blocks. No other thread may be using this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_close(mailbox: *mut tvn_mailbox_t) {
    // SAFETY: the C contract: NULL, or a mailbox' handle that nobody uses any more.
    call("tvn_mailbox_close", || unsafe { take(mailbox) });
}

/// Sends a copy of `size` bytes at `message` (NULL will do for 0); blocks while the mailbox is full, or until
/// `timeout_ms` has passed. Lends `mailbox` and `message`. A sender that dies here sent the whole message or
/// none. Any thread; a forked child too.
/// @return 0; -EMSGSIZE if the message is larger than the mailbox takes; -EAGAIN with TVN_TRY; -ETIMEDOUT;
/// -EINTR if this thread is interruptible; -EPIPE if the mailbox was shut down; -ENOSPC at the ceiling of an unbounded
/// one; -EIDRM if it was removed and this would have to wait: while there is room it goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_send(
    mailbox: *const tvn_mailbox_t,
    message: *const c_void,
    size: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_mailbox_send", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to read.
        let (mailbox, message) = unsafe { (&lend(mailbox)?.0, bytes(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(mailbox.try_send(message)?.then_some(())),
            ms => mailbox.send_until(message, deadline(ms)),
        }
    })
}

/// As tvn_mailbox_send(), with a priority from 0 to TVN_MAX_PRIORITY and a type (0: none), for mailboxes of
/// TVN_PRIORITY. Lends `mailbox` and `message`. Any thread; a forked child too.
/// @return as tvn_mailbox_send(); -EINVAL for a priority that is too high, or where order is first in, first out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_send_with(
    mailbox: *const tvn_mailbox_t,
    message: *const c_void,
    size: usize,
    priority: u32,
    mtype: u32,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_mailbox_send_with", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to read.
        let (mailbox, message) = unsafe { (&lend(mailbox)?.0, bytes(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(mailbox.try_send_with(message, envelope(priority, mtype))?.then_some(())),
            ms => mailbox.send_with_until(message, envelope(priority, mtype), deadline(ms)),
        }
    })
}

/// Puts a copy of `size` bytes at `message` (NULL will do for 0) down for a receiver, in a mailbox of capacity 0. Lends
/// `mailbox` and `message`, gives `*out`; the mailbox' handle may be closed before the offer. Never blocks: see
/// tvn_wait_set_add_offer(). A process that dies here has put down the whole message, or none. Any thread; it stays with
/// the process that made it.
/// @return 0; -EAGAIN if there is no place for it, as so many messages wait already: see TVN_ROOM; -EINVAL unless the
/// capacity is 0; -EMSGSIZE, -EPIPE and -EIDRM as tvn_mailbox_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_try_offer(
    mailbox: *const tvn_mailbox_t,
    message: *const c_void,
    size: usize,
    out: *mut *mut tvn_offer_t,
) -> c_int {
    call("tvn_mailbox_try_offer", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to read; NULL or a
        // place for a handle.
        unsafe { give(out, || tried(lend(mailbox)?.0.try_offer(bytes(message.cast(), size)?)?).map(tvn_offer_t)) }
    })
}

/// Has a receiver the message? Once it has, it stays so. Lends `offer`. Never blocks. Any thread of the process that made
/// it.
/// @return 1 or 0 (also of one that was taken back); -EPIPE if the mailbox was shut down, -EIDRM if it was removed, and
/// nobody has it yet: take it back; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_offer_is_received(offer: *const tvn_offer_t) -> c_int {
    call("tvn_offer_is_received", || {
        // SAFETY: the C contract: NULL, or an offer's handle that is not closed during this call.
        unsafe { lend(offer) }?.0.is_received()
    })
}

/// Takes the message back. Of a receiver and this at the same instant one wins, and both know which. Lends `offer`, which
/// stays to be closed; asked again it answers the same. Never blocks. Any thread of the process that made it.
/// @return 1: no receiver has it, nor will; 0: one has it; -TVN_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_offer_withdraw(offer: *const tvn_offer_t) -> c_int {
    call("tvn_offer_withdraw", || {
        // SAFETY: the C contract: NULL, or an offer's handle that is not closed during this call.
        unsafe { lend(offer) }?.0.withdraw()
    })
}

/// Takes the message back, unless a receiver has it by then, and ends the offer. Takes `offer`; NULL is fine. Never blocks.
/// No other thread may be using this handle. In a forked child the message stays: it is the parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_offer_close(offer: *mut tvn_offer_t) {
    // SAFETY: the C contract: NULL, or an offer's handle that nobody uses any more.
    call("tvn_offer_close", || unsafe { take(offer) });
}

/// The most empty messages in one call: no memory of the caller's bounds their number.
const EMPTY_AT_ONCE: usize = 1 << 20;

/// Sends copies of `count` messages of `size` bytes each that lie behind each other at `messages`, in their order;
/// blocks while the mailbox is full, or until `timeout_ms` has passed. One call costs less than `count` of them. Lends
/// `mailbox` and `messages`. Any thread; a forked child too.
/// @return how many were sent: fewer than `count` with TVN_TRY, or when the wait for room ended after the first; as
/// tvn_mailbox_send() if none was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_send_many(
    mailbox: *const tvn_mailbox_t,
    messages: *const c_void,
    size: usize,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_mailbox_send_many", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `count` times `size` bytes to
        // read.
        let (mailbox, all) = unsafe { (&lend(mailbox)?.0, bytes(messages.cast(), size.saturating_mul(count))?) };
        let messages: Vec<&[u8]> = match size {
            0 if count > EMPTY_AT_ONCE => {
                let why =
                    format!("{count} empty messages at once: the most is {EMPTY_AT_ONCE}; is the count negative?");
                return Err(Error::new(ErrorKind::Invalid, why));
            }
            0 => vec![&[][..]; count],
            size => all.chunks_exact(size).collect(),
        };
        match (timeout_ms, count) {
            (_, 0) => Ok(0),
            (TVN_TRY, _) => tried(Some(mailbox.try_send_many(&messages)?).filter(|sent| *sent > 0)),
            (ms, _) => mailbox.send_many_until(&messages, deadline(ms)),
        }
    })
}

/// Receives the oldest message into `message`, which must have room for the largest the mailbox takes
/// (`size` ≥ tvn_mailbox_message_size()); blocks while the mailbox is empty, or until `timeout_ms` has passed.
/// Lends `mailbox` and `message`. What a dead receiver had claimed is delivered again, possibly after younger
/// messages; what a dead sender had claimed is skipped. Any thread; a forked child too.
/// @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible; -EPIPE if the mailbox was shut down and all has been received;
/// -EIDRM if it was removed and is empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_receive(
    mailbox: *const tvn_mailbox_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_mailbox_receive", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write.
        let (mailbox, message) = unsafe { (&lend(mailbox)?.0, buffer(message.cast(), size)?) };
        receive(mailbox, message, timeout_ms).map(|received| received.size)
    })
}

/// As tvn_mailbox_receive(), and stores in `*redelivered` how many receivers died with this message before:
/// 0 for one that is delivered the first time. Lends `mailbox` and `message`. Any thread; a forked child too.
/// @return as tvn_mailbox_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_receive_counted(
    mailbox: *const tvn_mailbox_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
    redelivered: *mut u32,
) -> i64 {
    call("tvn_mailbox_receive_counted", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write;
        // NULL or a place for the count, apart from them.
        let (mailbox, message, count) =
            unsafe { (&lend(mailbox)?.0, buffer(message.cast(), size)?, output(redelivered)?) };
        let received = receive(mailbox, message, timeout_ms)?;
        count.write(received.redelivered.into());
        Ok(received.size)
    })
}

/// As tvn_mailbox_receive(), of the first message that `how` and `mtype` select (TVN_SELECT_...); stores in `*received`
/// what there is to say about it, unless that is NULL. Lends `mailbox` and `message`. Any thread; a forked child too.
/// @return as tvn_mailbox_receive(); -EINVAL for a selection other than TVN_SELECT_ANY where order is first in, first
/// out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_receive_selected(
    mailbox: *const tvn_mailbox_t,
    message: *mut c_void,
    size: usize,
    how: u32,
    mtype: u32,
    timeout_ms: c_int,
    received: *mut tvn_received_t,
) -> i64 {
    call("tvn_mailbox_receive_selected", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write; NULL or
        // a place for the answer, apart from them.
        let (mailbox, message, out) = unsafe { (&lend(mailbox)?.0, buffer(message.cast(), size)?, optional(received)) };
        let select = selecting(how, mtype)?;
        let received = match timeout_ms {
            TVN_TRY => tried(mailbox.try_receive_selected(select, message)?)?,
            ms => mailbox.receive_selected_until(select, message, deadline(ms))?,
        };
        if let Some(out) = out {
            out.write(received.into());
        }
        Ok(received.size)
    })
}

/// Receives the messages that are there, at most `count`; blocks while there is none, or until `timeout_ms` has passed.
/// Message i begins at byte i · tvn_mailbox_message_size() of `messages`, which has room for `size` bytes in all, and
/// `received[i]` is what there is to say about it. Lends `mailbox`, `messages` and `received`. Any thread; a forked
/// child too.
/// @return how many there were, from 1 on; -EMSGSIZE if `size` is too small for `count` messages; otherwise as
/// tvn_mailbox_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_receive_many(
    mailbox: *const tvn_mailbox_t,
    messages: *mut c_void,
    size: usize,
    received: *mut tvn_received_t,
    count: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_mailbox_receive_many", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write, and
        // `count` answers, apart from them.
        let (mailbox, messages, out) =
            unsafe { (&lend(mailbox)?.0, buffer(messages.cast(), size)?, array(received, count)?) };
        let mut said = vec![Received::default(); count];
        let n = match (timeout_ms, count) {
            (_, 0) => 0,
            (TVN_TRY, _) => tried(Some(mailbox.try_receive_many(messages, &mut said)?).filter(|n| *n > 0))?,
            (ms, _) => mailbox.receive_many_until(messages, &mut said, deadline(ms))?,
        };
        for (out, received) in out.iter_mut().zip(said.iter().take(n)) {
            MaybeUninit::write(out, (*received).into());
        }
        Ok(n)
    })
}

fn receive(mailbox: &Mailbox, message: &mut [u8], timeout_ms: c_int) -> Result<Received> {
    match timeout_ms {
        TVN_TRY => tried(mailbox.try_receive(message)?),
        ms => mailbox.receive_until(message, deadline(ms)),
    }
}

/// Copies the oldest message without taking it; blocks while the mailbox is empty, or until `timeout_ms` has
/// passed. Another receiver may take it at any moment. Lends `mailbox` and `message`, which needs the room
/// that tvn_mailbox_receive() needs. Any thread; a forked child too.
/// @return as tvn_mailbox_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_peek(
    mailbox: *const tvn_mailbox_t,
    message: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> i64 {
    call("tvn_mailbox_peek", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write.
        let (mailbox, message) = unsafe { (&lend(mailbox)?.0, buffer(message.cast(), size)?) };
        match timeout_ms {
            TVN_TRY => tried(mailbox.try_peek(message)?).map(|received| received.size),
            ms => mailbox.peek_until(message, deadline(ms)).map(|received| received.size),
        }
    })
}

/// Claims room for a message of up to `size` bytes, to be written in place at `loan->room`; blocks while the
/// mailbox is full, or until `timeout_ms` has passed. Lends `mailbox`, writes `*loan`: the room is lent until
/// tvn_mailbox_commit() or tvn_mailbox_cancel(). Be quick: receivers wait at this place for its message. If
/// this process dies first, they skip the place. Any thread; a loan stays with the process that claimed it.
/// @return 0; -EMSGSIZE if the mailbox takes no message that large; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR
/// if this thread is interruptible; -EIDRM if the mailbox was removed and this would have to wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_reserve(
    mailbox: *const tvn_mailbox_t,
    size: usize,
    timeout_ms: c_int,
    loan: *mut tvn_loan_t,
) -> c_int {
    call("tvn_mailbox_reserve", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a place for a loan.
        let (mailbox, loan) = unsafe { (&lend(mailbox)?.0, output(loan)?) };
        let mut claim = match timeout_ms {
            TVN_TRY => tried(mailbox.try_reserve(size)?)?,
            ms => mailbox.reserve_until(size, deadline(ms))?,
        };
        let room = claim.as_mut_ptr().cast();
        let RawLoan { index, size, word } = claim.into_raw();
        loan.write(tvn_loan_t { room, size, index, word });
        Ok(())
    })
}

/// The claim that a loan stands for. Whatever C wrote into the loan, core checks it against the slot.
///
/// # Safety
/// - As for [`lend`], for both pointers; otherwise this reads strange memory.
unsafe fn resume<'a>(mailbox: *const tvn_mailbox_t, loan: *const tvn_loan_t) -> Result<Loan<'a>> {
    // SAFETY: the caller's promise is the one `lend` asks for. A loan was not made by `give`, yet all that `lend`
    // does is to make a reference, and C's loan is aligned and initialised by `tvn_mailbox_reserve`.
    let (mailbox, loan) = unsafe { (&lend(mailbox)?.0, lend(loan)?) };
    mailbox.resume(RawLoan { index: loan.index, size: loan.size, word: loan.word })
}

/// Sends the first `size` bytes of the room. Lends `mailbox` and `loan`; the loan is over. Never blocks. A
/// process that dies here sent the whole message or none. Any thread of the process that claimed it.
/// @return 0; -EMSGSIZE if the loan is smaller than `size`: it stays; -EPERM if this process does not hold
/// this loan (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_commit(
    mailbox: *const tvn_mailbox_t,
    loan: *const tvn_loan_t,
    size: usize,
) -> c_int {
    call("tvn_mailbox_commit", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a loan.
        let loan = unsafe { resume(mailbox, loan) }?;
        if size > loan.size() {
            let error = format!("commit of {size} bytes to a loan of {}; reserve as much as you send", loan.size());
            loan.into_raw(); // it stays
            return Err(Error::new(ErrorKind::TooLarge, error));
        }
        loan.commit(size)
    })
}

/// As tvn_mailbox_commit(), with a priority from 0 to TVN_MAX_PRIORITY and a type (0: none), for mailboxes of
/// TVN_PRIORITY. Lends `mailbox` and `loan`; the loan is over. Any thread of the process that claimed it.
/// @return as tvn_mailbox_commit(); -EINVAL for a priority that is too high, or where order is first in, first out: then
/// the room is given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_commit_with(
    mailbox: *const tvn_mailbox_t,
    loan: *const tvn_loan_t,
    size: usize,
    priority: u32,
    mtype: u32,
) -> c_int {
    call("tvn_mailbox_commit_with", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a loan.
        unsafe { resume(mailbox, loan) }?.commit_with(size, envelope(priority, mtype))
    })
}

/// Takes the oldest message, to be read in place at `lent->message`; blocks while the mailbox is empty, or until
/// `timeout_ms` has passed. Lends `mailbox`, writes `*lent`: the message is lent until tvn_mailbox_release() or
/// tvn_mailbox_give_back(). While it is, a bounded mailbox has one place less. If this process dies first, the message is
/// delivered again. Any thread; it stays with the process that took it.
/// @return its size, from 0 on; otherwise as tvn_mailbox_receive().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_borrow(
    mailbox: *const tvn_mailbox_t,
    timeout_ms: c_int,
    lent: *mut tvn_borrowed_t,
) -> i64 {
    call("tvn_mailbox_borrow", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a place for the answer.
        let (mailbox, lent) = unsafe { (&lend(mailbox)?.0, output(lent)?) };
        borrow(mailbox, Select::Any, timeout_ms, lent)
    })
}

/// As tvn_mailbox_borrow(), of the first message that `how` and `mtype` select (TVN_SELECT_...). Lends `mailbox`, writes
/// `*lent`. Any thread; it stays with the process that took it.
/// @return as tvn_mailbox_borrow(); -EINVAL for a selection other than TVN_SELECT_ANY where order is first in, first out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_borrow_selected(
    mailbox: *const tvn_mailbox_t,
    how: u32,
    mtype: u32,
    timeout_ms: c_int,
    lent: *mut tvn_borrowed_t,
) -> i64 {
    call("tvn_mailbox_borrow_selected", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a place for the answer.
        let (mailbox, lent) = unsafe { (&lend(mailbox)?.0, output(lent)?) };
        borrow(mailbox, selecting(how, mtype)?, timeout_ms, lent)
    })
}

fn borrow(
    mailbox: &Mailbox,
    select: Select,
    timeout_ms: c_int,
    lent: &mut MaybeUninit<tvn_borrowed_t>,
) -> Result<usize> {
    let message = match timeout_ms {
        TVN_TRY => tried(mailbox.try_borrow_selected(select)?)?,
        ms => mailbox.borrow_selected_until(select, deadline(ms))?,
    };
    let (at, Received { size, redelivered, priority, mtype }) = (message.as_ptr(), message.received());
    let RawLoan { index, word, .. } = message.into_raw();
    lent.write(tvn_borrowed_t {
        message: at.cast(),
        word,
        size: size as u32,
        index,
        redelivered: redelivered.into(),
        priority: priority.into(),
        mtype,
    });
    Ok(size)
}

/// The claim that a borrowed message stands for. Whatever C wrote into it, core checks it against the slot.
///
/// # Safety
/// - As for [`lend`], for both pointers; otherwise this reads strange memory.
unsafe fn resume_borrowed<'a>(mailbox: *const tvn_mailbox_t, lent: *const tvn_borrowed_t) -> Result<Borrowed<'a>> {
    // SAFETY: as for `resume`.
    let (mailbox, lent) = unsafe { (&lend(mailbox)?.0, lend(lent)?) };
    mailbox.resume_borrowed(RawLoan { index: lent.index, size: lent.size, word: lent.word })
}

/// The borrowed message is done with: senders have its place. Lends `mailbox` and `lent`, which is over. Never blocks.
/// Any thread of the process that took it.
/// @return 0; -EPERM if this process does not hold it (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_release(mailbox: *const tvn_mailbox_t, lent: *const tvn_borrowed_t) -> c_int {
    call("tvn_mailbox_release", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a borrowed message.
        unsafe { resume_borrowed(mailbox, lent) }?.release()
    })
}

/// The borrowed message is not done with: the next receiver gets it, counted as delivered once more. Lends `mailbox` and
/// `lent`, which is over. Never blocks. Any thread of the process that took it.
/// @return 0; -EPERM if this process does not hold it (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_give_back(mailbox: *const tvn_mailbox_t, lent: *const tvn_borrowed_t) -> c_int {
    call("tvn_mailbox_give_back", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a borrowed message.
        unsafe { resume_borrowed(mailbox, lent) }.map(Borrowed::give_back)
    })
}

/// Nobody sends any more: senders get -EPIPE from now on, receivers get what has been sent, then -EPIPE. There is no way
/// back; doing it twice is fine. Lends `mailbox`. Never blocks. Any thread; a forked child too.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_shutdown(mailbox: *const tvn_mailbox_t) -> c_int {
    call("tvn_mailbox_shutdown", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        unsafe { lend(mailbox) }?.0.shutdown()
    })
}

/// Was the mailbox shut down? Lends `mailbox`. Never blocks. Any thread; a forked child too.
/// @return 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_is_shut_down(mailbox: *const tvn_mailbox_t) -> c_int {
    call("tvn_mailbox_is_shut_down", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.is_shut_down())
    })
}

/// Gives the room back: receivers skip the place. Lends `mailbox` and `loan`; the loan is over. Never blocks.
/// Any thread of the process that claimed it.
/// @return 0; -EPERM if this process does not hold this loan (any more).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_cancel(mailbox: *const tvn_mailbox_t, loan: *const tvn_loan_t) -> c_int {
    call("tvn_mailbox_cancel", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; NULL or a loan.
        unsafe { resume(mailbox, loan) }.map(Loan::cancel)
    })
}

/// The most messages the mailbox holds. Lends `mailbox`. Never blocks. Any thread; a forked child too.
/// @return the capacity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_capacity(mailbox: *const tvn_mailbox_t) -> i64 {
    call("tvn_mailbox_capacity", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.capacity())
    })
}

/// The largest message the mailbox takes, in bytes. Lends `mailbox`. Never blocks. Any thread; a forked child too.
/// @return the size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_message_size(mailbox: *const tvn_mailbox_t) -> i64 {
    call("tvn_mailbox_message_size", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.message_size())
    })
}

/// Writes the mailbox' type tag to `buffer` of `size` bytes, cut if it is too long. Lends `mailbox` and `buffer` (NULL
/// will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many bytes it has, without the NUL; 0: the mailbox has no type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_type(mailbox: *const tvn_mailbox_t, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_mailbox_type", || {
        // SAFETY: the C contract: NULL or a mailbox' handle, not closed during this call; `size` bytes to write.
        let (mailbox, buffer) = unsafe { (&lend(mailbox)?.0, self::buffer(buffer.cast(), size)?) };
        Ok(tell(&mailbox.type_tag()?.unwrap_or_default(), buffer))
    })
}

/// How many messages are in the mailbox at this moment; the next one may be another. Lends `mailbox`. Never
/// blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_length(mailbox: *const tvn_mailbox_t) -> i64 {
    call("tvn_mailbox_length", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.len())
    })
}

/// How many claims of dead senders were given back so far. Lends `mailbox`. Never blocks. Any thread; a
/// forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_voided(mailbox: *const tvn_mailbox_t) -> i64 {
    call("tvn_mailbox_voided", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.voided())
    })
}

/// How many messages were dropped so far, because too many receivers had died with them or given them back: see
/// `max_deliveries`. Lends `mailbox`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_mailbox_dropped(mailbox: *const tvn_mailbox_t) -> i64 {
    call("tvn_mailbox_dropped", || {
        // SAFETY: the C contract: NULL, or a mailbox' handle that is not closed during this call.
        Ok(unsafe { lend(mailbox) }?.0.dropped())
    })
}
