//! The system calls that read and write without waiting, though the description blocks; EAGAIN is `None`.
//!
//! O_NONBLOCK on the description itself would be seen by all who have it. So there are four ways, the first that works:
//!
//! 1. RWF_NOWAIT, a flag of one call: anonymous pipes from Linux 6.4 on. FIFOs answer EOPNOTSUPP.
//! 2. A second description of the same end, non-blocking, which the handle keeps ([`Reopened`]). It comes by way of
//!    /proc, and is closed with the handle: nobody else has it, but children that have the handle.
//! 3. splice(2), non-blocking, to or from a pipe made for the one call: where there is no /proc, or whoever dropped
//!    privileges may not open the FIFO again. Each piece takes a page of the FIFO's room, so this is not the second way.
//! 4. What is no pipe, a terminal for instance: poll(2), and then as many bytes as an end that is ready takes.
//!
//! poll(2) is no way for a pipe: another process can take the room, or the bytes, between it and the call.

use super::{Pipe, descriptor_limit};
use crate::error::{Error, ErrorKind};
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::sys::uio::writev;
use nix::unistd::{pipe2, read};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

/// From Linux's uapi/linux/fs.h.
const RWF_NOWAIT: libc::c_int = 8;

/// Reads what is there.
pub(super) fn read_now(fd: BorrowedFd<'_>, again: &Reopened, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
    let answer = match again.get() {
        Some(end) => read(end, buffer),
        None => match read_flagged(fd, buffer) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) if is_pipe(fd)? => match again.open(fd, OFlag::O_RDONLY) {
                Some(end) => read(end, buffer),
                None => read_spliced(fd, buffer),
            },
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => match is_ready(fd, PollFlags::POLLIN)? {
                true => read(fd, buffer),
                false => Err(Errno::EAGAIN),
            },
            answer => answer,
        },
    };
    some_or_none(answer)
}

/// Writes as much of at most two parts as there is room for.
pub(super) fn write_now(fd: BorrowedFd<'_>, again: &Reopened, bytes: &[IoSlice<'_>]) -> nix::Result<Option<usize>> {
    let answer = match again.get() {
        Some(end) => writev(end, bytes),
        None => match write_flagged(fd, bytes) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) if is_pipe(fd)? => match again.open(fd, OFlag::O_WRONLY) {
                Some(end) => writev(end, bytes),
                None => write_spliced(fd, bytes),
            },
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => match is_ready(fd, PollFlags::POLLOUT)? {
                true => writev(fd, &beginning(bytes, Pipe::ATOMIC)),
                false => Err(Errno::EAGAIN),
            },
            answer => answer,
        },
    };
    some_or_none(answer)
}

/// `tried` failed.
#[cold]
pub(super) fn failed(errno: Errno, tried: String) -> Error {
    match errno {
        Errno::EINTR => ErrorKind::Interrupted.into(),
        Errno::EMFILE => Error::new(
            ErrorKind::System(libc::EMFILE),
            format!(
                "{tried}: not to wait takes a descriptor more here, and this process has all that it may have, {}; close some, or raise `ulimit -n`",
                descriptor_limit()
            ),
        ),
        errno => Error::os(errno as i32, tried),
    }
}

fn some_or_none(answer: nix::Result<usize>) -> nix::Result<Option<usize>> {
    match answer {
        Err(Errno::EAGAIN) => Ok(None),
        answer => answer.map(Some),
    }
}

// The system calls themselves, as not every libc has functions for them. -1 asks for no offset.

fn read_flagged(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<usize> {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: one buffer that is ours alone for the length of the call.
    let n =
        unsafe { libc::syscall(libc::SYS_preadv2, fd.as_raw_fd(), &raw const part, 1, -1isize, -1isize, RWF_NOWAIT) };
    n.try_into().map_err(|_| Errno::last())
}

fn write_flagged(fd: BorrowedFd<'_>, bytes: &[IoSlice<'_>]) -> nix::Result<usize> {
    let (parts, n) = (bytes.as_ptr().cast::<libc::iovec>(), bytes.len().min(2) as i32);
    // SAFETY: `IoSlice` has the layout of iovec; `n` of them are readable for the length of the call.
    let n = unsafe { libc::syscall(libc::SYS_pwritev2, fd.as_raw_fd(), parts, n, -1isize, -1isize, RWF_NOWAIT) };
    n.try_into().map_err(|_| Errno::last())
}

/// The second description of an end, once one was needed.
pub(super) struct Reopened(AtomicI32);

const NONE: RawFd = -1;

impl Reopened {
    pub(super) fn not_yet() -> Reopened {
        Reopened(AtomicI32::new(NONE))
    }

    /// Its number, or -1.
    pub(super) fn number(&self) -> RawFd {
        // Relaxed: the number is all there is; the descriptor behind it was made by a system call before.
        self.0.load(Relaxed)
    }

    fn get(&self) -> Option<BorrowedFd<'_>> {
        let number = self.number();
        // SAFETY: a number that is here is ours, and is closed by our drop only.
        (number != NONE).then(|| unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// Opens it. `None` where that cannot be; also where nobody has the other end to read from.
    fn open(&self, fd: BorrowedFd<'_>, access: OFlag) -> Option<BorrowedFd<'_>> {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let end = nix::fcntl::open(path.as_str(), flags, Mode::empty()).ok()?;
        // Relaxed: as in `number`. Where another thread was faster, its own stays, and ours is closed.
        if self.0.compare_exchange(NONE, end.as_raw_fd(), Relaxed, Relaxed).is_ok() {
            let _kept = end.into_raw_fd();
        }
        self.get()
    }
}

impl Drop for Reopened {
    fn drop(&mut self) {
        let number = *self.0.get_mut();
        if number != NONE {
            // SAFETY: ours, and nobody borrows it any more.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> nix::Result<bool> {
    Ok(fstat(fd)?.st_mode & libc::S_IFMT == libc::S_IFIFO)
}

fn is_ready(fd: BorrowedFd<'_>, events: PollFlags) -> nix::Result<bool> {
    Ok(poll(&mut [PollFd::new(fd, events)], PollTimeout::ZERO)? > 0)
}

/// At most so many bytes of two parts.
fn beginning<'a>(bytes: &'a [IoSlice<'_>], most: usize) -> [IoSlice<'a>; 2] {
    let (mut left, mut parts) = (most, [IoSlice::new(&[]), IoSlice::new(&[])]);
    for (part, bytes) in parts.iter_mut().zip(bytes) {
        *part = IoSlice::new(bytes.get(..left).unwrap_or(bytes));
        left -= part.len();
    }
    parts
}

const SPARE: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK);

/// What comes out of the pipe is ours from then on: all of it is read.
pub(super) fn read_spliced(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<usize> {
    let (out, spare) = pipe2(SPARE)?;
    match splice(fd, None, &spare, None, buffer.len(), SpliceFFlags::SPLICE_F_NONBLOCK)? {
        0 => Ok(0),
        _ => read(&out, buffer),
    }
}

/// A write of up to PIPE_BUF bytes to an empty pipe is one page, and a page goes over as a whole: all or nothing.
/// What does not go over was not written.
pub(super) fn write_spliced(fd: BorrowedFd<'_>, bytes: &[IoSlice<'_>]) -> nix::Result<usize> {
    let (out, spare) = pipe2(SPARE)?;
    match writev(&spare, bytes)? {
        0 => Ok(0),
        n => splice(&out, None, fd, None, n, SpliceFFlags::SPLICE_F_NONBLOCK),
    }
}
