//! A message as msgsnd(2) and msgrcv(2) want it: a type, and right behind it the bytes.

use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};

/// The largest message that goes by way of the stack: the usual `/proc/sys/kernel/msgmax`.
pub(super) const SMALL: usize = 8192;
/// Up to here, by way of a frame within a page: a larger one is probed page by page before it is used.
const TINY: usize = 512;
/// Bytes before the text.
const TYPE: usize = size_of::<libc::c_long>();

/// Room for a message on the stack.
#[repr(C)]
struct Frame<const N: usize> {
    mtype: MaybeUninit<libc::c_long>,
    text: [MaybeUninit<u8>; N],
}
const _: () = assert!(offset_of!(Frame<TINY>, text) == TYPE && offset_of!(Frame<SMALL>, text) == TYPE);

/// A message ready to be sent, as long as its memory is lent.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    /// Points to a type, and `size` bytes right behind it, all of them written.
    at: *const libc::c_void,
    pub(super) mtype: i64,
    pub(super) size: usize,
    lent: PhantomData<&'a [u8]>,
}

impl Packed<'_> {
    pub(super) fn send(self, id: libc::c_int, flags: libc::c_int) -> nix::Result<()> {
        // SAFETY: a type and `size` bytes behind it may be read at `at`: the field says so.
        Errno::result(unsafe { libc::msgsnd(id, self.at, self.size, flags) }).map(drop)
    }
}

/// Runs `send` on `text` and its type, put together.
#[inline]
pub(super) fn packed<R>(mtype: i64, text: &[u8], send: impl FnOnce(Packed<'_>) -> R) -> Result<R> {
    match text.len() {
        size if size <= TINY => Ok(packed_in::<TINY, R>(mtype, text, send)),
        size if size <= SMALL => Ok(packed_small(mtype, text, send)),
        _ => packed_large(mtype, text, send),
    }
}

/// `text` has at most `N` bytes; what is more is not sent.
#[inline(always)]
fn packed_in<const N: usize, R>(mtype: i64, text: &[u8], send: impl FnOnce(Packed<'_>) -> R) -> R {
    let size = text.len().min(N);
    let mut frame = MaybeUninit::<Frame<N>>::uninit();
    let at = frame.as_mut_ptr();
    // SAFETY: `at` is a local; its two fields are written, `size` of the second one's `N` bytes.
    unsafe {
        (&raw mut (*at).mtype).cast::<libc::c_long>().write(mtype);
        (&raw mut (*at).text).cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), size);
    }
    send(Packed { at: at.cast(), mtype, size, lent: PhantomData })
}

#[inline(never)]
fn packed_small<R>(mtype: i64, text: &[u8], send: impl FnOnce(Packed<'_>) -> R) -> R {
    packed_in::<SMALL, R>(mtype, text, send)
}

#[cold]
fn packed_large<R>(mtype: i64, text: &[u8], send: impl FnOnce(Packed<'_>) -> R) -> Result<R> {
    let size = text.len();
    let mut large = room(size)?;
    let at = large.as_mut_ptr();
    // SAFETY: `room` has made place for the type and `size` bytes behind it, aligned for the type.
    unsafe {
        at.write(mtype);
        at.cast::<u8>().add(TYPE).copy_from_nonoverlapping(text.as_ptr(), size);
    }
    Ok(send(Packed { at: at.cast_const().cast(), mtype, size, lent: PhantomData }))
}

/// Receives into `buffer`: size and type. E2BIG if the message is larger; it stays then.
#[inline]
pub(super) fn receive(
    id: libc::c_int,
    buffer: &mut [u8],
    mtype: libc::c_long,
    flags: libc::c_int,
) -> nix::Result<(usize, i64)> {
    if buffer.len() <= TINY {
        receive_in::<TINY>(id, buffer, mtype, flags)
    } else {
        receive_small(id, buffer, mtype, flags)
    }
}

/// Receives a message of at most `N` bytes.
#[inline(always)]
fn receive_in<const N: usize>(
    id: libc::c_int,
    buffer: &mut [u8],
    mtype: libc::c_long,
    flags: libc::c_int,
) -> nix::Result<(usize, i64)> {
    let mut frame = MaybeUninit::<Frame<N>>::uninit();
    let at = frame.as_mut_ptr();
    // SAFETY: the kernel writes a type and at most `N` bytes behind it, which is what the frame has.
    let size = Errno::result(unsafe { libc::msgrcv(id, at.cast(), buffer.len().min(N), mtype, flags) })?;
    // SAFETY: the kernel has written the type and `size` bytes behind it.
    Ok(unsafe { unpacked(at.cast(), size as usize, buffer) })
}

#[inline(never)]
fn receive_small(
    id: libc::c_int,
    buffer: &mut [u8],
    mtype: libc::c_long,
    flags: libc::c_int,
) -> nix::Result<(usize, i64)> {
    match receive_in::<SMALL>(id, buffer, mtype, flags) {
        Err(Errno::E2BIG) if buffer.len() > SMALL => {
            let mut large = room(buffer.len()).map_err(|_| Errno::ENOMEM)?;
            let at = large.as_mut_ptr();
            // SAFETY: `room` has made place for the type and as many bytes behind it as the buffer has.
            let size = Errno::result(unsafe { libc::msgrcv(id, at.cast(), buffer.len(), mtype, flags) })?;
            // SAFETY: as above.
            Ok(unsafe { unpacked(at, size as usize, buffer) })
        }
        received => received,
    }
}

/// Copies what was received.
///
/// # Safety
/// - A type and `size` bytes right behind it have been written at `at`; otherwise this reads strange memory.
unsafe fn unpacked(at: *const libc::c_long, size: usize, buffer: &mut [u8]) -> (usize, i64) {
    let size = size.min(buffer.len()); // it is not more: the kernel was told how many there may be
    // SAFETY: source: written, as the caller promises. Target: `size` bytes of a buffer that we hold exclusively. They do
    // not overlap: the source is memory of this file.
    unsafe { at.cast::<u8>().add(TYPE).copy_to_nonoverlapping(buffer.as_mut_ptr(), size) };
    // SAFETY: written, and `at` is aligned for it, as it is a pointer to one.
    (size, unsafe { at.read() })
}

/// Memory for a type and `size` bytes behind it.
fn room(size: usize) -> Result<Vec<libc::c_long>> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(1 + size.div_ceil(TYPE))
        .map_err(|_| Error::new(ErrorKind::System(libc::ENOMEM), format!("no memory for a message of {size} bytes")))?;
    Ok(memory)
}
