//! The mailbox in C.

use crate::argument::{buffer, bytes, output, text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::tvn_segment_t;
use std::ffi::{c_char, c_int, c_void};
use triveni::{Error, ErrorKind, Loan, Mailbox, RawLoan, Received, Result};

/// A mailbox, a bounded queue of messages for any number of senders and receivers: a handle on one that lies
/// in a segment.
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

/// Finds the mailbox `name`, or creates it for up to `capacity` messages of up to `message_size` bytes each;
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
/// -EINTR if this thread is interruptible; -EIDRM if the mailbox was removed.
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

/// Receives the oldest message into `message`, which must have room for the largest the mailbox takes
/// (`size` ≥ tvn_mailbox_message_size()); blocks while the mailbox is empty, or until `timeout_ms` has passed.
/// Lends `mailbox` and `message`. What a dead receiver had claimed is delivered again, possibly after younger
/// messages; what a dead sender had claimed is skipped. Any thread; a forked child too.
/// @return the size of the message, from 0 on; -EMSGSIZE if `size` is too small; -EAGAIN with TVN_TRY;
/// -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the mailbox was removed.
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
/// if this thread is interruptible; -EIDRM if the mailbox was removed.
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
