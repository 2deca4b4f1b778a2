//! Anonymous pipes, and the two ends that a FIFO has as well.
//!
//! # What the kernel gives
//!
//! Bytes in one direction, first in first out, through a buffer of [`PipeReader::capacity`] bytes. A write of up to
//! [`Pipe::ATOMIC`] bytes (POSIX calls it PIPE_BUF) is one piece, whoever else writes; a longer one may be mixed with
//! others'. A full pipe stops its writer, an empty one its reader.
//!
//! # Ends
//!
//! Which end a handle is, is its type: a [`PipeReader`] cannot be written to. The stream ends when the last writing
//! end is closed, in whatever process; a write fails with `Closed` when the last reading end is. So a process that
//! forks has to close the end that it does not use, or its own reader never sees the end: [`Pipe::into_reader`] and
//! [`Pipe::into_writer`] do so, and [`Pipe::to_child`] and [`Pipe::from_child`] fork and do it by themselves.
//!
//! # When a peer dies
//!
//! The kernel closes its ends. What it wrote stays readable. A message that it had begun is cut: `Closed`.

mod reader;
mod sigpipe;
#[cfg(test)]
mod tests;
mod without_waiting;
mod writer;

pub use reader::PipeReader;
pub(super) use sigpipe::without_sigpipe;
pub use writer::PipeWriter;

use super::child::Child;
use super::fork::fork;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Both ends of an anonymous pipe. Close one, or take them apart.
#[derive(Debug)]
pub struct Pipe {
    /// The end to read from.
    pub reader: PipeReader,
    /// The end to write to.
    pub writer: PipeWriter,
}

/// Makes an anonymous pipe. Both ends are close-on-exec: a child gets one as a redirection, or by fork.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let triveni::kernel::Pipe { mut reader, mut writer } = triveni::kernel::pipe()?;
/// writer.send(b"hello")?;
/// let mut message = [0; 64];
/// assert_eq!(reader.receive(&mut message)?, 5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `System(EMFILE)` if the process has as many descriptors as it may.
pub fn pipe() -> Result<Pipe> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| match errno {
        Errno::EMFILE => Error::new(
            ErrorKind::System(libc::EMFILE),
            format!("make a pipe: this process has all the descriptors that it may have, {}; close some, or raise `ulimit -n`", descriptor_limit()),
        ),
        Errno::ENFILE => Error::new(
            ErrorKind::System(libc::ENFILE),
            "make a pipe: the system has all the files open that it may have; /proc/sys/fs/file-max says how many, and for users that are not root /proc/sys/fs/pipe-user-pages-soft how much they may hold in pipes",
        ),
        errno => Error::os(errno as i32, "make a pipe"),
    })?;
    Ok(Pipe { reader: reader.into(), writer: writer.into() })
}

pub(crate) fn descriptor_limit() -> u64 {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

impl Pipe {
    /// Writes of up to so many bytes are atomic: PIPE_BUF. POSIX promises 512; Linux has one page.
    pub const ATOMIC: usize = libc::PIPE_BUF;

    /// Keeps the reading end and closes the other: for the process that reads, after a fork.
    pub fn into_reader(self) -> PipeReader {
        self.reader
    }

    /// Keeps the writing end and closes the other: for the process that writes, after a fork.
    pub fn into_writer(self) -> PipeWriter {
        self.writer
    }

    /// Forks a child that reads what this process writes: each has its end, and the other is closed. The child runs
    /// `child` and ends with its result as exit status.
    ///
    /// ```
    /// # fn main() -> triveni::Result<()> {
    /// // SAFETY: this program has no other threads that could hold a lock the child needs.
    /// let (mut writer, child) = unsafe {
    ///     triveni::kernel::pipe()?.to_child(|mut reader| i32::from(!matches!(reader.receive(&mut [0; 8]), Ok(5))))
    /// }?;
    /// writer.send(b"hello")?;
    /// assert!(child.wait()?.success());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`fork`](super::fork()).
    ///
    /// # Safety
    /// - As for [`fork`](super::fork()).
    pub unsafe fn to_child(self, child: impl FnOnce(PipeReader) -> i32) -> Result<(PipeWriter, Child)> {
        let Pipe { reader, writer } = self;
        let other = writer.descriptors();
        // SAFETY: the caller's promise is the one `fork` asks for.
        let child = unsafe {
            fork(move || {
                close_in_child(other);
                child(reader)
            })
        }?;
        Ok((writer, child))
    }

    /// Forks a child that writes what this process reads: each has its end, and the other is closed.
    ///
    /// # Errors
    /// As [`fork`](super::fork()).
    ///
    /// # Safety
    /// - As for [`fork`](super::fork()).
    pub unsafe fn from_child(self, child: impl FnOnce(PipeWriter) -> i32) -> Result<(PipeReader, Child)> {
        let Pipe { reader, writer } = self;
        let other = reader.descriptors();
        // SAFETY: the caller's promise is the one `fork` asks for.
        let child = unsafe {
            fork(move || {
                close_in_child(other);
                child(writer)
            })
        }?;
        Ok((reader, child))
    }
}

/// Closes the child's copy of an end whose handle stays the parent's.
fn close_in_child(descriptors: [RawFd; 2]) {
    for fd in descriptors {
        // SAFETY: the handle that owns this descriptor is in the parent's code, which the child never runs. -1 is none.
        unsafe { libc::close(fd) };
    }
}

fn capacity(fd: BorrowedFd<'_>) -> Result<usize> {
    let size = fcntl(fd, FcntlArg::F_GETPIPE_SZ);
    size.map(|size| usize::try_from(size).unwrap_or(0))
        .map_err(|errno| Error::os(errno as i32, format_args!("ask pipe {} for its capacity", fd.as_raw_fd())))
}

fn set_capacity(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize> {
    let set = match i32::try_from(bytes) {
        Ok(0) | Err(_) => Err(Errno::EINVAL),
        Ok(bytes) => fcntl(fd, FcntlArg::F_SETPIPE_SZ(bytes)),
    };
    let tried = || format!("give pipe {} a capacity of {bytes} bytes", fd.as_raw_fd());
    set.map(|size| usize::try_from(size).unwrap_or(0)).map_err(|errno| match errno {
        Errno::EPERM => {
            let most = std::fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap_or_default();
            let sentence = format!(
                "{}: without CAP_SYS_RESOURCE the most is {}, from /proc/sys/fs/pipe-max-size",
                tried(),
                most.trim()
            );
            Error::new(ErrorKind::Permission, sentence)
        }
        Errno::EBUSY => Error::new(ErrorKind::Busy, format!("{}: more than that is in it; read first", tried())),
        Errno::EINVAL => Error::new(ErrorKind::Invalid, format!("{}: give 1 to {} bytes", tried(), i32::MAX)),
        errno => Error::os(errno as i32, tried()),
    })
}

/// What both ends have.
macro_rules! end {
    ($End:ident, $($field:ident: $value:expr),*) => {
        /// A descriptor of a pipe, as it is: whether it is the right end shows at the first use.
        impl From<std::os::fd::OwnedFd> for $End {
            fn from(fd: std::os::fd::OwnedFd) -> $End {
                $End { fd, $($field: $value),* }
            }
        }

        /// What is kept of a message that is not whole is lost.
        impl From<$End> for std::os::fd::OwnedFd {
            fn from(end: $End) -> std::os::fd::OwnedFd {
                end.fd
            }
        }

        impl std::os::fd::AsFd for $End {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }

        impl std::fmt::Debug for $End {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($End)).field(&std::os::fd::AsRawFd::as_raw_fd(&self.fd)).finish()
            }
        }
    };
}

use end;
