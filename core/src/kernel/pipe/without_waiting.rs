//! The system calls that read and write without waiting, whatever the description says; EAGAIN is `None`.
//!
//! RWF_NOWAIT works on anonymous pipes from Linux 6.4 on, and not on FIFOs: there the call is EOPNOTSUPP. Then the end is
//! opened once more for one call, non-blocking: O_NONBLOCK on the description itself would be seen by all who have it.
//! Where that cannot be (no /proc, no descriptor left, no pipe) poll(2) is asked, and at most as many bytes are moved as
//! an end that is ready takes; that is right as long as nobody else uses the same end at the same moment.

use super::Pipe;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// From Linux's uapi/linux/fs.h.
const RWF_NOWAIT: libc::c_int = 8;

/// Reads what is there.
pub(super) fn read_without_waiting(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
    let (at, size) = (buffer.as_mut_ptr(), buffer.len());
    let part = libc::iovec { iov_base: at.cast(), iov_len: size };
    // The system call itself, as not every libc has a function for it. -1 asks for no offset.
    let now = || {
        // SAFETY: one buffer of `size` bytes that is ours alone for the length of the call.
        whole(unsafe {
            libc::syscall(libc::SYS_preadv2, fd.as_raw_fd(), &raw const part, 1, -1isize, -1isize, RWF_NOWAIT)
        })
    };
    // SAFETY: as above.
    let plain = |fd: BorrowedFd<'_>, most| whole(unsafe { libc::read(fd.as_raw_fd(), at.cast(), size.min(most)) });
    without_waiting(fd, PollFlags::POLLIN, now, plain)
}

/// Writes as much of at most two parts as there is room for.
pub(super) fn write_without_waiting(fd: BorrowedFd<'_>, bytes: &[IoSlice<'_>]) -> nix::Result<Option<usize>> {
    let (parts, n) = (bytes.as_ptr().cast::<libc::iovec>(), bytes.len().min(2) as i32);
    let now = || {
        // SAFETY: `IoSlice` has the layout of iovec; `n` of them are readable for the length of the call.
        whole(unsafe { libc::syscall(libc::SYS_pwritev2, fd.as_raw_fd(), parts, n, -1isize, -1isize, RWF_NOWAIT) })
    };
    let plain = |fd: BorrowedFd<'_>, most: usize| {
        let (mut left, mut parts) = (most, [IoSlice::new(&[]), IoSlice::new(&[])]);
        for (part, bytes) in parts.iter_mut().zip(bytes) {
            *part = IoSlice::new(bytes.get(..left).unwrap_or(bytes));
            left -= part.len();
        }
        nix::sys::uio::writev(fd, &parts)
    };
    without_waiting(fd, PollFlags::POLLOUT, now, plain)
}

fn without_waiting<T>(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    now: impl Fn() -> nix::Result<T>,
    plain: impl Fn(BorrowedFd<'_>, usize) -> nix::Result<T>,
) -> nix::Result<Option<T>> {
    let answer = match now() {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => match reopened(fd, events) {
            Some(end) => plain(end.as_fd(), usize::MAX),
            None => {
                let mut fds = [nix::poll::PollFd::new(fd, events)];
                match nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO)? {
                    0 => return Ok(None),
                    _ => plain(fd, Pipe::ATOMIC),
                }
            }
        },
        answer => answer,
    };
    match answer {
        Err(Errno::EAGAIN) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Another description of the same end, non-blocking. None where nobody has the other end to read from.
fn reopened(fd: BorrowedFd<'_>, events: PollFlags) -> Option<OwnedFd> {
    let facts = nix::sys::stat::fstat(fd).ok()?;
    if facts.st_mode & libc::S_IFMT != libc::S_IFIFO {
        return None;
    }
    let access = if events == PollFlags::POLLIN { OFlag::O_RDONLY } else { OFlag::O_WRONLY };
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()).ok()
}

fn whole<T: TryInto<usize>>(answer: T) -> nix::Result<usize> {
    answer.try_into().map_err(|_| Errno::last())
}
