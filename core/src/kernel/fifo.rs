//! FIFOs (named pipes): a name in the file system, at which two programs that know nothing of each other meet.
//!
//! open(2) waits for the other side, silently and for ever if it never comes: here that wait has a deadline.
//! With a deadline the end is opened without waiting and then looked at again and again, after pauses that grow to
//! 4 ms, until there is somebody at the other end; a reader is visible to writers during that time.
//!
//! An end that is tried, or waits until a deadline, takes a second descriptor at the first such call, and keeps it: see
//! `pipe/without_waiting.rs`.
//!
//! The name stays until somebody removes it; what is in the pipe goes with the last process that has it open.

use super::owned::{Owned, OwnedKind, whose};
use super::pipe::{Pipe, PipeReader, PipeWriter, pipe};
use super::wait::{restarting, retrying};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, open, tee};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// How a FIFO is made.
#[derive(Clone, Copy, Debug)]
pub struct FifoOptions {
    mode: u32,
    owned: bool,
}

impl Default for FifoOptions {
    /// For its user alone, and not owned.
    fn default() -> FifoOptions {
        FifoOptions { mode: 0o600, owned: false }
    }
}

impl FifoOptions {
    /// Who may read and write, less the umask; 0600 unless set.
    pub fn mode(self, mode: u32) -> FifoOptions {
        FifoOptions { mode, ..self }
    }

    /// With `true`, the name goes with the handle that made it.
    pub fn owned(self, owned: bool) -> FifoOptions {
        FifoOptions { owned, ..self }
    }
}

/// A FIFO: its name. [`Fifo::reader`] and [`Fifo::writer`] open its ends, which are those of a pipe.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::{Deadline, kernel::{Fifo, FifoOptions}};
/// # let path = std::env::temp_dir().join(format!("fifo-{}", std::process::id()));
/// let fifo = Fifo::create(&path, FifoOptions::default().owned(true))?;
/// assert!(fifo.try_writer()?.is_none()); // nobody reads yet
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    _owned: Option<Owned>,
}

impl Fifo {
    /// Makes the FIFO `path`.
    ///
    /// # Errors
    /// `Exists`, and the sentence says if a dead process left it; `Permission`; `NotFound` if the folder is not there;
    /// what mkfifo(3) reports.
    pub fn create(path: impl AsRef<Path>, options: FifoOptions) -> Result<Fifo> {
        let path = path.as_ref();
        nix::unistd::mkfifo(path, Mode::from_bits_truncate(options.mode)).map_err(|errno| match errno {
            Errno::EEXIST => Error::new(
                ErrorKind::Exists,
                format!(
                    "make FIFO {path:?}: the name is taken{}; open it, or unlink it first",
                    whose(OwnedKind::Fifo, path)
                ),
            ),
            errno => Error::os(errno as i32, format_args!("make FIFO {path:?}")),
        })?;
        let owned = options.owned.then(|| Owned::new(OwnedKind::Fifo, path)).transpose()?;
        Ok(Fifo { path: path.into(), _owned: owned })
    }

    /// The FIFO `path`, which must be there.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible` if it is something else; what stat(2) reports.
    pub fn open(path: impl AsRef<Path>) -> Result<Fifo> {
        let path = path.as_ref();
        let found = fs::metadata(path).map_err(|error| {
            Error::os(error.raw_os_error().unwrap_or(libc::EINVAL), format_args!("find FIFO {path:?}"))
        })?;
        if !found.file_type().is_fifo() {
            return Err(Error::new(ErrorKind::Incompatible, format!("find FIFO {path:?}: it is there, and no FIFO")));
        }
        Ok(Fifo { path: path.into(), _owned: None })
    }

    /// The FIFO `path`, made if it is not there. One that was there is not owned.
    ///
    /// # Errors
    /// As [`Fifo::create`] and [`Fifo::open`], without `Exists` and `NotFound` of the FIFO itself.
    pub fn open_or_create(path: impl AsRef<Path>, options: FifoOptions) -> Result<Fifo> {
        let path = path.as_ref();
        for _ in 0..100 {
            match Fifo::create(path, options) {
                Err(error) if error.kind() == ErrorKind::Exists => {}
                made => return made,
            }
            match Fifo::open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {} // removed in between
                found => return found,
            }
        }
        Err(Error::new(ErrorKind::Busy, format!("find or make FIFO {path:?}: others remove it all the time")))
    }

    /// Removes the name. Who has the FIFO open goes on with it.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible` if it is no FIFO; what unlink(2) reports.
    pub fn unlink(path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        Fifo::open(path)?;
        fs::remove_file(path).map_err(|error| {
            Error::os(error.raw_os_error().unwrap_or(libc::EINVAL), format_args!("unlink FIFO {path:?}"))
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the end to read from; waits until somebody has the other open.
    ///
    /// # Errors
    /// `NotFound` if the name is gone, `Permission`, what open(2) reports.
    pub fn reader(&self) -> Result<PipeReader> {
        self.reader_until(Deadline::never())
    }

    /// Opens the end to read from if somebody has the other open.
    ///
    /// # Errors
    /// As [`Fifo::reader`].
    pub fn try_reader(&self) -> Result<Option<PipeReader>> {
        none_in_time(self.reader_until(Deadline::now()))
    }

    /// As [`Fifo::reader`], until the deadline. A writer that came in the meantime, and found us, gets `Closed` if we
    /// are gone then.
    ///
    /// # Errors
    /// As `reader`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn reader_until(&self, deadline: Deadline) -> Result<PipeReader> {
        if deadline.is_never() {
            return self.open_end(OFlag::O_RDONLY, deadline).map(PipeReader::from);
        }
        self.reader_on(&mut None, deadline)
    }

    /// As [`Fifo::reader_until`], for who waits in several pieces: the end stays open in `opening` from one to the next,
    /// or a writer that found it would write to nobody.
    ///
    /// # Errors
    /// As there.
    #[doc(hidden)]
    pub fn reader_on(&self, opening: &mut Option<OpeningReader>, deadline: Deadline) -> Result<PipeReader> {
        let begun = match opening.take() {
            Some(begun) => begun,
            None => {
                OpeningReader { end: self.open_end(OFlag::O_RDONLY | OFlag::O_NONBLOCK, deadline)?, scratch: pipe()? }
            }
        };
        match retrying(deadline, || begun.has_writer().map(|has| has.then_some(()))) {
            Ok(()) => self.blocking(begun.end).map(PipeReader::from),
            Err(error) => {
                *opening = Some(begun);
                Err(self.alone(error, "writes"))
            }
        }
    }

    /// Opens the end to write to; waits until somebody has the other open.
    ///
    /// # Errors
    /// As [`Fifo::reader`].
    pub fn writer(&self) -> Result<PipeWriter> {
        self.writer_until(Deadline::never())
    }

    /// Opens the end to write to if somebody has the other open.
    ///
    /// # Errors
    /// As [`Fifo::reader`].
    pub fn try_writer(&self) -> Result<Option<PipeWriter>> {
        none_in_time(self.writer_until(Deadline::now()))
    }

    /// As [`Fifo::writer`], until the deadline.
    ///
    /// # Errors
    /// As `writer`; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn writer_until(&self, deadline: Deadline) -> Result<PipeWriter> {
        if deadline.is_never() {
            return self.open_end(OFlag::O_WRONLY, deadline).map(PipeWriter::from);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK;
        let end = retrying(deadline, || match self.open_end(flags, deadline) {
            Err(error) if error.errno() == libc::ENXIO => Ok(None),
            end => end.map(Some),
        });
        self.blocking(end.map_err(|error| self.alone(error, "reads"))?).map(PipeWriter::from)
    }

    fn open_end(&self, flags: OFlag, deadline: Deadline) -> Result<OwnedFd> {
        let end = restarting(deadline, || open(&self.path, flags | OFlag::O_CLOEXEC, Mode::empty()));
        end.map_err(|errno| match errno {
            Errno::EINTR => ErrorKind::Interrupted.into(),
            errno => Error::os(errno as i32, format_args!("open FIFO {:?}", self.path)),
        })
    }

    /// From now on the description is as a plain open(2) makes it.
    fn blocking(&self, end: OwnedFd) -> Result<OwnedFd> {
        fcntl(&end, FcntlArg::F_SETFL(OFlag::empty()))
            .map_err(|errno| Error::os(errno as i32, format_args!("open FIFO {:?}", self.path)))?;
        Ok(end)
    }

    fn alone(&self, error: Error, does: &str) -> Error {
        match error.kind() {
            ErrorKind::Timeout => Error::new(
                ErrorKind::Timeout,
                format!("open FIFO {:?}: the deadline passed, and nobody {does}", self.path),
            ),
            _ => error,
        }
    }
}

fn none_in_time<T>(opened: Result<T>) -> Result<Option<T>> {
    match opened {
        Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
        opened => opened.map(Some),
    }
}

/// The end to read from, while nobody has the other.
#[doc(hidden)]
pub struct OpeningReader {
    end: OwnedFd,
    scratch: Pipe,
}

impl OpeningReader {
    /// Has anybody the writing end, or had since ours was opened? Nothing is taken out: tee(2) copies into `scratch`.
    fn has_writer(&self) -> Result<bool> {
        let mut fds = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1)) {
            return Ok(true); // data, or one has come and gone
        }
        match tee(&self.end, &self.scratch.writer, 1, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::EAGAIN) => Ok(true),
            Err(errno) => Err(Error::os(errno as i32, "look for the writer of a FIFO")),
        }
    }
}
