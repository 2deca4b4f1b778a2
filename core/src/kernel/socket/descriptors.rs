//! Descriptors that travel over a Unix socket (SCM_RIGHTS).
//!
//! The receiver gets a descriptor of its own on the same open file, as dup(2) makes one. Descriptors go with bytes: at
//! least one byte has to be sent with them. They are owned from the moment the kernel has handed them over, so none is
//! left open when more come than were asked for.

use super::call;
use crate::error::{Error, ErrorKind, Result};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that go with one message: SCM_MAX_FD in Linux.
pub const DESCRIPTORS_MAX: usize = 253;

const HEADER: usize = size_of::<libc::cmsghdr>();
/// Room for a header, as many descriptors as one message may carry, and a little of what else the kernel may add
/// (credentials, timestamps: only on sockets that somebody asked to have them).
const CONTROL: usize = HEADER + DESCRIPTORS_MAX.next_multiple_of(2) * size_of::<RawFd>() + 128;

/// A control buffer, aligned for its headers.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);
const _: () = assert!(align_of::<libc::cmsghdr>() <= 8);

/// What was received together with descriptors.
#[derive(Debug)]
pub struct ReceivedDescriptors {
    /// How many bytes are in the buffer.
    pub size: usize,
    /// The descriptors, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// More came than were asked for, or than this process may have (RLIMIT_NOFILE): those were closed.
    pub cut: bool,
}

/// Sends bytes and descriptors in one go.
pub(super) fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: libc::c_int,
) -> nix::Result<usize> {
    let mut control = Control([0; CONTROL]);
    let size = HEADER + size_of_val(descriptors);
    // SAFETY: all-zero is a cmsghdr: integers only.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_len = size as _;
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: `control` is aligned for a header and longer than one; any bits of it are bytes.
    unsafe { (&raw mut control.0).cast::<libc::cmsghdr>().write(header) };
    let room = control.0.get_mut(HEADER..).unwrap_or_default();
    for (to, descriptor) in room.chunks_exact_mut(size_of::<RawFd>()).zip(descriptors) {
        to.copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
    }
    let control = if descriptors.is_empty() { &[][..] } else { control.0.get(..size).unwrap_or_default() };
    call::send_message(fd, &[IoSlice::new(bytes)], control, flags)
}

/// Are there few enough descriptors, and a byte for them to go with?
pub(super) fn check(what: &str, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    if descriptors.len() > DESCRIPTORS_MAX {
        let n = descriptors.len();
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("send {n} descriptors over {what}: {DESCRIPTORS_MAX} are the most in one message"),
        ));
    }
    if bytes.is_empty() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("send descriptors over {what}: they need at least one byte to go with"),
        ));
    }
    Ok(())
}

/// Receives bytes, and at most `most` descriptors. The `size` is the true one if `flags` have MSG_TRUNC.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    most: usize,
    flags: libc::c_int,
) -> nix::Result<ReceivedDescriptors> {
    let mut control = Control([0; CONTROL]);
    let received = call::receive_message(fd, buffer, &mut control.0, flags | libc::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    collect(control.0.get(..received.control).unwrap_or_default(), &mut descriptors);
    let cut = descriptors.len() > most || received.flags & libc::MSG_CTRUNC != 0;
    descriptors.truncate(most); // dropped, and so closed
    Ok(ReceivedDescriptors { size: received.size, descriptors, cut })
}

/// Owns every descriptor that control data names. The kernel wrote these data: each number is a new descriptor of ours.
fn collect(mut control: &[u8], descriptors: &mut Vec<OwnedFd>) {
    while let Some(header) = control.get(..HEADER) {
        // SAFETY: `HEADER` bytes, and any bits are a cmsghdr; they may lie at any address.
        let header: libc::cmsghdr = unsafe { header.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        #[allow(clippy::unnecessary_cast)] // 32 bits with musl
        let size = header.cmsg_len as usize;
        let Some(data) = control.get(HEADER..size.min(control.len())) else { return };
        if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS {
            for number in data.chunks_exact(size_of::<RawFd>()) {
                let number = RawFd::from_ne_bytes(number.try_into().unwrap_or([0xff; 4]));
                if number >= 0 {
                    // SAFETY: the kernel has just installed it for us, and nobody else knows its number.
                    descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
                }
            }
        }
        control = control.get(size.next_multiple_of(align_of::<usize>())..).unwrap_or_default();
    }
}
