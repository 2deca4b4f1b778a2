//! A daemon: a process without a terminal, whose parent learns whether it came up.
//!
//! # How
//!
//! `fork`; the child calls `setsid`, so it has no terminal, and forks again, so that it can never get one: only the leader
//! of a session can. The second child is the daemon: its working directory keeps no file system busy, its umask and its
//! standard streams are set, and its pid file is locked. The first process waits at a pipe for the word *ready* or *failed*.

use super::pipe::without_sigpipe;
use super::process_limit::no_process;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How a daemon shall live.
#[derive(Clone, Debug)]
#[must_use = "a daemon starts with `start` or `daemonize`"]
pub struct DaemonOptions {
    directory: PathBuf,
    umask: u32,
    output: Option<PathBuf>,
    pid_file: Option<PathBuf>,
}

impl Default for DaemonOptions {
    fn default() -> Self {
        DaemonOptions::new()
    }
}

impl DaemonOptions {
    /// Directory `/`, umask 022, no output, no pid file.
    pub fn new() -> DaemonOptions {
        DaemonOptions { directory: "/".into(), umask: 0o022, output: None, pid_file: None }
    }

    /// Its working directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Which bits the files it makes shall not have.
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = umask;
        self
    }

    /// The file to whose end its standard output and its standard error go; it is made with mode 0600. Without one they
    /// go to `/dev/null`, as its standard input does in any case.
    pub fn output(mut self, file: impl Into<PathBuf>) -> Self {
        self.output = Some(file.into());
        self
    }

    /// A file with its process id, locked (flock) as long as it lives: a second instance is refused. The file goes with
    /// the [`Daemon`]; if the daemon is killed, the file stays, unlocked, and the next instance takes it over.
    pub fn pid_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(file.into());
        self
    }

    /// Starts a daemon that runs `daemon` and ends with its result. The caller goes on once the daemon says
    /// [`Daemon::ready`], and gets its process id.
    ///
    /// # Errors
    /// `Busy` if another instance holds the pid file; what the daemon said with [`Daemon::failed`]; `PeerDead` if it
    /// ended without a word; `WouldBlock` (EAGAIN) if a limit on processes is reached; what opening the files reports.
    ///
    /// # Safety
    /// - As for [`fork`](super::fork): the daemon has none of the other threads, and what they had locked stays locked there.
    pub unsafe fn start(self, daemon: impl FnOnce(Daemon) -> i32) -> Result<u32> {
        let _ = std::io::stdout().flush(); // or the daemon would have the same bytes to write once more
        // SAFETY: the caller's promise covers what the daemon may touch.
        match self.divide(|| unsafe { fork() })? {
            DaemonSide::First(starting) => starting.wait(),
            DaemonSide::Daemon(handle) => {
                let run = std::panic::AssertUnwindSafe(|| daemon(handle));
                let status = std::panic::catch_unwind(run).unwrap_or(101);
                let _ = std::io::stdout().flush();
                // SAFETY: ends this process; nothing of the parent's copy runs any more.
                unsafe { libc::_exit(status) }
            }
        }
    }

    /// Makes a daemon of this program: goes on in the daemon. The first process ends with status 0 once the daemon says
    /// [`Daemon::ready`]; if it does not come up, the first process is the one that gets the error.
    ///
    /// # Errors
    /// As [`DaemonOptions::start`].
    ///
    /// # Safety
    /// - As for [`DaemonOptions::start`].
    pub unsafe fn daemonize(self) -> Result<Daemon> {
        let _ = std::io::stdout().flush();
        // SAFETY: the caller's promise covers what the daemon may touch.
        match self.divide(|| unsafe { fork() })? {
            DaemonSide::Daemon(daemon) => Ok(daemon),
            DaemonSide::First(starting) => {
                starting.wait()?;
                std::process::exit(0)
            }
        }
    }

    /// Divides this process, with `fork` as the language at hand does it (its process id, 0 in the child).
    #[doc(hidden)]
    pub fn divide(self, mut fork: impl FnMut() -> Result<i32>) -> Result<DaemonSide> {
        let null = open("/dev/null".as_ref(), File::options().read(true).write(true))?;
        let output = self.output.as_ref();
        let output =
            output.map(|file| open(file, File::options().append(true).create(true).mode(0o600))).transpose()?;
        let pid_file = self.pid_file.as_ref().map(|file| absolute(file)).transpose()?;
        let (reader, writer) = std::io::pipe().map_err(|error| os(&error, "a pipe to the daemon"))?;
        let writer = off_the_streams(writer)?;
        let middle = fork()?;
        if middle > 0 {
            drop(writer);
            // ECHILD: somebody else has waited for it, or SIGCHLD is ignored.
            let _ = super::child::waitid(libc::P_PID, middle as libc::id_t, libc::WEXITED, Deadline::never());
            return Ok(DaemonSide::First(Starting { reader }));
        }
        drop(reader);
        let mut said = writer;
        // SAFETY: setsid and umask take no memory.
        let session = unsafe { libc::setsid() };
        let child = if session < 0 { Err(Error::last_os("a session of its own")) } else { fork() };
        match child {
            Ok(0) => {}
            done => {
                if let Err(error) = done {
                    say(&mut said, &error);
                }
                // SAFETY: ends the process in between; nothing of the first one's copy runs.
                unsafe { libc::_exit(0) }
            }
        }
        let prepared = self.prepare(&null, output.as_ref(), pid_file);
        match prepared {
            Ok(pid_file) => {
                Ok(DaemonSide::Daemon(Daemon { said: Some(said), _pid_file: pid_file, pid: std::process::id() }))
            }
            Err(error) => {
                say(&mut said, &error);
                // SAFETY: as above.
                unsafe { libc::_exit(1) }
            }
        }
    }

    fn prepare(&self, null: &File, output: Option<&File>, pid_file: Option<PathBuf>) -> Result<Option<PidFile>> {
        // SAFETY: umask takes a number.
        unsafe { libc::umask(self.umask as libc::mode_t) };
        std::env::set_current_dir(&self.directory)
            .map_err(|error| os(&error, &format!("enter {:?}", self.directory)))?;
        let pid_file = pid_file.map(PidFile::lock).transpose()?;
        for (fd, file) in [(0, null), (1, output.unwrap_or(null)), (2, output.unwrap_or(null))] {
            // SAFETY: numbers; the standard streams are the process's own to redirect.
            Errno::result(unsafe { libc::dup2(file.as_raw_fd(), fd) })
                .map_err(|errno| Error::os(errno as i32, format_args!("redirect descriptor {fd}")))?;
        }
        Ok(pid_file)
    }
}

/// Where a process finds itself after [`DaemonOptions::divide`].
#[doc(hidden)]
#[derive(Debug)]
pub enum DaemonSide {
    /// In the first process, which waits for word of the daemon.
    First(Starting),
    /// In the daemon.
    Daemon(Daemon),
}

/// The daemon as itself sees it: says whether it came up, and keeps its pid file.
#[derive(Debug)]
#[must_use = "the first process waits until the daemon is ready"]
pub struct Daemon {
    said: Option<PipeWriter>,
    _pid_file: Option<PidFile>,
    pid: u32,
}

impl Daemon {
    /// Tells the first process that the daemon came up. Only the first word counts.
    pub fn ready(&mut self) {
        if let Some(mut said) = self.said.take() {
            tell(&mut said, &[&[READY][..], &self.pid.to_ne_bytes()].concat());
        }
    }

    /// Tells the first process that the daemon did not come up, and why. The daemon should end then.
    pub fn failed(&mut self, why: &str) {
        if let Some(mut said) = self.said.take() {
            say(&mut said, &Error::new(ErrorKind::Failed, why));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

const READY: u8 = b'R';
const FAILED: u8 = b'F';
/// The longest that a daemon says: one atomic write.
const WORD: usize = 4096;

/// The first process, between the fork and the daemon's word.
#[doc(hidden)]
#[derive(Debug)]
pub struct Starting {
    reader: PipeReader,
}

impl Starting {
    /// Waits for the daemon's word; its process id.
    pub fn wait(mut self) -> Result<u32> {
        self.wait_until(Deadline::never())
    }

    /// As [`Starting::wait`], until the deadline; may be called again.
    pub fn wait_until(&mut self, until: Deadline) -> Result<u32> {
        let mut word = [0; WORD];
        // One read, as a word is one write: the end of the pipe may be far, as the daemon's own children have it too.
        let said = loop {
            super::wait::ready(self.reader.as_fd(), PollFlags::POLLIN, until)?;
            match self.reader.read(&mut word) {
                Ok(n) => break word.get(..n).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(os(&error, "hear from the daemon")),
            }
        };
        let number = said.get(1..5).and_then(|number| number.try_into().ok()).map(i32::from_ne_bytes);
        let text = || String::from_utf8_lossy(said.get(5..).unwrap_or_default()).into_owned();
        match (said.first(), number) {
            (Some(&READY), Some(pid)) => Ok(pid as u32),
            (Some(&FAILED), Some(errno)) => Err(Error::new(ErrorKind::from_errno(errno), text())),
            _ => {
                let sentence = "the daemon ended before it said whether it is ready; its output file may tell why";
                Err(Error::new(ErrorKind::PeerDead, sentence))
            }
        }
    }
}

fn say(said: &mut PipeWriter, error: &Error) {
    let mut word = [&[FAILED][..], &error.errno().to_ne_bytes(), error.to_string().as_bytes()].concat();
    word.truncate(WORD);
    tell(said, &word);
}

/// The first process may have gone away: then nobody hears it.
fn tell(said: &mut PipeWriter, word: &[u8]) {
    let _ = without_sigpipe(|| match said.write_all(word) {
        Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        Ok(()) => Ok(()),
    });
}

/// A file that says which process has it locked.
#[derive(Debug)]
struct PidFile {
    /// Locked.
    _file: File,
    path: PathBuf,
    /// Whose it is: a fork's copy removes nothing.
    pid: u32,
}

impl PidFile {
    fn lock(path: PathBuf) -> Result<PidFile> {
        for _ in 0..100 {
            let options = &mut File::options();
            let options = options.read(true).write(true).create(true).truncate(false).mode(0o644);
            let mut file = open(&path, options.custom_flags(libc::O_NOFOLLOW))?;
            // SAFETY: numbers only.
            match Errno::result(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
                Ok(_) => {}
                Err(Errno::EWOULDBLOCK) => {
                    let mut owner = String::new();
                    let _ = (&mut file).take(20).read_to_string(&mut owner); // only for the sentence
                    let sentence = format!(
                        "an instance runs already: process {} holds the pid file {path:?} locked",
                        if owner.trim().is_empty() { "?" } else { owner.trim() }
                    );
                    return Err(Error::new(ErrorKind::Busy, sentence));
                }
                Err(errno) => return Err(Error::os(errno as i32, format_args!("lock the pid file {path:?}"))),
            }
            // The one before may have removed the file between our open and our lock: then it is nobody's.
            let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
            if !matches!((file.metadata(), fs::metadata(&path)), (Ok(a), Ok(b)) if same(&a, &b)) {
                continue;
            }
            let pid = std::process::id();
            let written = file.set_len(0).and_then(|()| writeln!(file, "{pid}"));
            written.map_err(|error| os(&error, &format!("write the pid file {path:?}")))?;
            return Ok(PidFile { _file: file, path, pid });
        }
        Err(Error::new(ErrorKind::Busy, format!("the pid file {path:?} is removed as fast as it is made")))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = fs::remove_file(&self.path); // while it is locked, so it is ours
        }
    }
}

/// The plain fork, for Rust and C.
///
/// # Safety
/// - As for [`super::fork`].
#[doc(hidden)]
pub unsafe fn fork() -> Result<i32> {
    // SAFETY: the caller's promise.
    Errno::result(unsafe { libc::fork() }).map_err(|errno| no_process("fork a daemon", errno as i32))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| os(&error, &format!("pid file {path:?}")))
}

fn open(path: &Path, options: &fs::OpenOptions) -> Result<File> {
    off_the_streams(options.open(path).map_err(|error| os(&error, &format!("open {path:?}")))?)
}

/// The same under a number from 3 on: what a caller without standard streams opens takes theirs, which are redirected.
fn off_the_streams<T: From<OwnedFd> + AsFd>(file: T) -> Result<T> {
    if file.as_fd().as_raw_fd() > 2 {
        return Ok(file);
    }
    let high = file.as_fd().try_clone_to_owned(); // close-on-exec, and not below 3
    high.map(T::from).map_err(|error| os(&error, "a descriptor beyond the standard streams"))
}

#[cold]
fn os(error: &std::io::Error, tried: &str) -> Error {
    Error::os(error.raw_os_error().unwrap_or(libc::EIO), tried)
}
