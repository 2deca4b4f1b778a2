//! Lock files: who makes the file has the lock, who removes it lets go.
//!
//! The oldest lock there is: creating a file exclusively is one step, so one of many succeeds; the others try again after
//! pauses that grow (busy waiting: the kernel offers nothing to sleep on). It works between programs that have nothing in
//! common but a folder, and it outlives its maker, wanted or not.
//!
//! # What lies in it
//!
//! The pid of its maker, in ten columns, as the Filesystem Hierarchy Standard asks; then its start time, its pid namespace
//! and its program, a line each. The file appears with that text in it (`O_TMPFILE` and link(2), which is as exclusive as
//! `O_EXCL`), where the file system can do so; otherwise it is made with `O_EXCL` and written then.
//!
//! # Death
//!
//! The file stays. Its text says whose it was, and whether that process is gone for certain: same pid namespace, and no
//! process of this pid that started then. Waiting for it would never end, so everybody is told: [`ErrorKind::PeerDead`];
//! or takes it over, who asked for that ([`LockFileOptions::take_over`]). A file of another program, or one from
//! another namespace, is never taken over: nobody can say.
//!
//! Taking over is safe against others who do the same and against new files of this name: the taker locks the dead one's
//! file (flock), looks once more, writes itself into it, and has the lock if the name still is this file's. Who removes
//! a dead one's file by its record ([`OwnedObject::remove`](super::OwnedObject::remove)) does it under the same flock.
//!
//! # Fork
//!
//! The lock is the process's that made it. A forked child's guard does nothing when it is dropped.

use super::file_lock::failed_io;
use super::owned::{Owned, OwnedKind};
use super::wait::retrying;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::process::{is_gone, myself, pid_namespace};
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The text of a lock file is as long as this, filled up with spaces: what is written over it covers it.
const TEXT: usize = 80;
/// More is not read of a file that somebody else wrote.
const READ: u64 = 256;

/// How a lock file is made, and what is done about one that a dead process left.
#[derive(Clone, Copy, Debug)]
pub struct LockFileOptions {
    mode: u32,
    owned: bool,
    take_over: bool,
}

impl Default for LockFileOptions {
    /// For its user alone, not owned, and not taken over.
    fn default() -> LockFileOptions {
        LockFileOptions { mode: 0o600, owned: false, take_over: false }
    }
}

impl LockFileOptions {
    /// Who may read it, less the umask; 0600 unless set. Who may not read it cannot learn whose it is.
    pub fn mode(self, mode: u32) -> LockFileOptions {
        LockFileOptions { mode, ..self }
    }

    /// With `true`, `triveni ls` shows it as a leftover if we are killed, and `triveni rm` removes it.
    pub fn owned(self, owned: bool) -> LockFileOptions {
        LockFileOptions { owned, ..self }
    }

    /// With `true`, a file that a dead process left is taken over instead of an error.
    pub fn take_over(self, take_over: bool) -> LockFileOptions {
        LockFileOptions { take_over, ..self }
    }
}

/// A lock file: its name, and how to make it.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::kernel::{LockFile, LockFileOptions};
/// # let path = std::env::temp_dir().join(format!("lock-file-{}", std::process::id()));
/// let file = LockFile::new(&path, LockFileOptions::default());
/// let guard = file.lock()?; // the file is there now
/// assert_eq!(file.holder()?.map(|holder| holder.pid), Some(Some(std::process::id())));
/// assert!(file.try_lock()?.is_none());
/// drop(guard); // and now it is gone
/// assert!(file.holder()?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LockFile {
    path: PathBuf,
    options: LockFileOptions,
}

/// Whose a lock file is, by what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFileHolder {
    /// Its maker; `None` if the file does not say.
    pub pid: Option<u32>,
    /// Its maker's program; empty if the file does not say.
    pub program: String,
    /// Is its maker alive? `None` if nobody can say: another program's file, or another pid namespace.
    pub alive: Option<bool>,
}

/// A lock that is held as long as this lives; dropping it removes the file, if it still is ours.
#[derive(Debug)]
#[must_use = "the lock file is removed when this is dropped"]
pub struct LockFileGuard {
    path: PathBuf,
    file: File,
    pid: u32,
    left_by: Option<LockFileHolder>,
    is_done: bool,
    _owned: Option<Owned>,
}

impl LockFile {
    /// Names a lock file. Nothing is made yet.
    pub fn new(path: impl Into<PathBuf>, options: LockFileOptions) -> LockFile {
        LockFile { path: path.into(), options }
    }

    /// Makes the file; waits until nobody else has it.
    ///
    /// # Blocking
    /// For ever; tries again after pauses that grow to 4 ms.
    ///
    /// # Errors
    /// `PeerDead` if a dead process left it, unless it is to be taken over; `NotFound` if the folder is not there;
    /// `Permission`; what open(2) and link(2) report.
    pub fn lock(&self) -> Result<LockFileGuard> {
        self.lock_until(Deadline::never())
    }

    /// Makes the file if nobody has it.
    ///
    /// # Errors
    /// As [`LockFile::lock`].
    pub fn try_lock(&self) -> Result<Option<LockFileGuard>> {
        if let Some(guard) = self.make()? {
            return Ok(Some(guard));
        }
        // Gone in the meantime: then it was somebody's just now.
        let Some((file, text)) = self.look()? else { return Ok(None) };
        let holder = LockFileHolder::of(&text);
        match holder.alive {
            Some(false) if self.options.take_over => self.take_over(file, holder),
            Some(false) => Err(self.left(&holder)),
            _ => Ok(None),
        }
    }

    /// As [`LockFile::lock`], until the deadline.
    ///
    /// # Errors
    /// As `lock`; `Timeout`, and the sentence says whose it is; `Interrupted` if the deadline is interruptible.
    pub fn lock_until(&self, deadline: Deadline) -> Result<LockFileGuard> {
        retrying(deadline, || self.try_lock()).map_err(|error| match error.kind() {
            ErrorKind::Timeout => self.held(),
            _ => error,
        })
    }

    /// Whose the file is; `None` if it is not there.
    ///
    /// # Errors
    /// `Permission` if it cannot be read; what open(2) reports.
    pub fn holder(&self) -> Result<Option<LockFileHolder>> {
        Ok(self.look()?.map(|(_, text)| LockFileHolder::of(&text)))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file with our text in it; `None` if it is there.
    fn make(&self) -> Result<Option<LockFileGuard>> {
        let file = match self.make_whole() {
            // Not every file system can make files without names, and not everywhere is there a /proc.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => self.make_and_write(),
            made => made,
        };
        match file {
            Ok(file) => self.guard(file, None).map(Some),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(failed_io(error, "make lock", &self.path)),
        }
    }

    fn make_whole(&self) -> io::Result<File> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(self.options.mode).custom_flags(libc::O_TMPFILE);
        let file = options.open(folder)?;
        file.write_all_at(text().as_bytes(), 0)?;
        let name = |path: &[u8]| CString::new(path).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
        let from = name(format!("/proc/self/fd/{}", file.as_raw_fd()).as_bytes())?;
        let to = name(self.path.as_os_str().as_bytes())?;
        // SAFETY: two strings that end with NUL and outlive the call.
        let linked = unsafe {
            libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        };
        if linked == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
    }

    fn make_and_write(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(self.options.mode).open(&self.path)?;
        match file.write_all_at(text().as_bytes(), 0) {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = fs::remove_file(&self.path); // it is ours: we have just made it
                Err(error)
            }
        }
    }

    fn guard(&self, file: File, left_by: Option<LockFileHolder>) -> Result<LockFileGuard> {
        let pid = std::process::id();
        // If there can be no record, this removes the file.
        let owned = self.options.owned.then(|| Owned::new(OwnedKind::LockFile, &self.path)).transpose()?;
        Ok(LockFileGuard { path: self.path.clone(), file, pid, left_by, is_done: false, _owned: owned })
    }

    /// The file as it is, and what lies in it; `None` if there is none.
    fn look(&self) -> Result<Option<(File, String)>> {
        let mut options = OpenOptions::new();
        // O_NONBLOCK: it may be a FIFO that somebody made there.
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        // Where it may not be written, it may not be taken over.
        let found =
            options.clone().write(self.options.take_over).open(&self.path).or_else(|_| options.open(&self.path));
        let read = found.and_then(|file| text_of(&file).map(|text| (file, text)));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(|error| failed_io(error, "read lock", &self.path)),
        }
    }

    /// Takes over the file of a dead process; `None` if somebody else is about to, or it is gone.
    fn take_over(&self, file: File, holder: LockFileHolder) -> Result<Option<LockFileGuard>> {
        // Who writes into a lock file that is not his own has it locked.
        if !locked(&file).map_err(|errno| super::file_lock::failed(errno, "take over lock", &self.path))? {
            return Ok(None);
        }
        let failed = |error| failed_io(error, "take over lock", &self.path);
        if LockFileHolder::of(&text_of(&file).map_err(failed)?) != holder || !is_at(&file, &self.path) {
            return Ok(None); // somebody was faster
        }
        file.write_all_at(text().as_bytes(), 0).map_err(failed)?;
        if !is_at(&file, &self.path) {
            return Ok(None); // somebody removed it by hand: what we wrote into lies nowhere any more
        }
        // SAFETY: a descriptor of ours and a number. What it says now keeps others out.
        unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
        self.guard(file, Some(holder)).map(Some)
    }

    #[cold]
    fn left(&self, holder: &LockFileHolder) -> Error {
        let sentence = format!(
            "lock file {:?}: {holder} made it and is dead; put right what it guards and take it over, or remove it",
            self.path
        );
        Error::new(ErrorKind::PeerDead, sentence)
    }

    #[cold]
    fn held(&self) -> Error {
        let whose = match self.holder() {
            Ok(Some(holder)) if holder.pid.is_none() => {
                "it does not say whose it is: if nobody uses it, remove it".to_string()
            }
            Ok(Some(holder)) if holder.alive.is_none() => {
                format!("{holder} made it, and nobody here can say whether it is alive: if it is not, remove the file")
            }
            Ok(Some(holder)) => format!("{holder} has it"),
            Ok(None) => "others had it all the time".to_string(),
            Err(error) => error.to_string(),
        };
        Error::new(ErrorKind::Timeout, format!("lock file {:?}: the deadline passed; {whose}", self.path))
    }
}

impl LockFileGuard {
    /// Whose the file was, if it was taken over: put right first what that process may have left half done.
    pub fn taken_over_from(&self) -> Option<&LockFileHolder> {
        self.left_by.as_ref()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file.
    ///
    /// # Errors
    /// `NotOwner` if the file is not ours any more: somebody removed it, or this is a forked child; what unlink(2)
    /// reports.
    pub fn unlock(mut self) -> Result<()> {
        self.is_done = true;
        self.remove()
    }

    fn remove(&self) -> Result<()> {
        if std::process::id() != self.pid {
            return Err(Error::new(
                ErrorKind::NotOwner,
                format!("unlock lock file {:?}: process {} has it, this is its forked child", self.path, self.pid),
            ));
        }
        // A live maker's file is nobody else's to write, so it is ours as long as the name is this file's.
        if !is_at(&self.file, &self.path) {
            return Err(Error::new(
                ErrorKind::NotOwner,
                format!("unlock lock file {:?}: somebody has removed it; two may have had the lock", self.path),
            ));
        }
        fs::remove_file(&self.path).map_err(|error| failed_io(error, "remove lock", &self.path))
    }
}

impl Drop for LockFileGuard {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.remove(); // nobody to tell; `unlock` does
        }
    }
}

impl LockFileHolder {
    fn of(text: &str) -> LockFileHolder {
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.trim().parse::<u32>().ok()).filter(|pid| *pid > 0);
        let mut number = || lines.next().and_then(|line| line.trim().parse::<u64>().ok());
        let (start, namespace) = (number(), number());
        let program = lines.next().unwrap_or_default().trim().chars().filter(|c| !c.is_control()).take(32).collect();
        // Only what one of us wrote into it, in this pid namespace, can be judged.
        let ours = pid_namespace();
        let alive = match (pid, start, namespace) {
            (Some(pid), Some(start), Some(namespace)) if namespace == ours && ours != 0 => Some(!is_gone(pid, start)),
            _ => None,
        };
        LockFileHolder { pid, program, alive }
    }
}

/// `process 4711 (editor)`
impl std::fmt::Display for LockFileHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pid, &*self.program) {
            (Some(pid), "") => write!(f, "process {pid}"),
            (Some(pid), program) => write!(f, "process {pid} ({program})"),
            (None, _) => f.write_str("somebody"),
        }
    }
}

/// Who we are.
fn text() -> String {
    let me = myself();
    let program: String = me.name.chars().filter(|letter| !letter.is_control()).collect();
    let text = format!("{:10}\n{}\n{}\n{program}", me.pid, me.start_ticks, me.pidns);
    format!("{text:width$}\n", width = TEXT - 1 - (text.len() - text.chars().count()))
}

fn text_of(file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    // Not by the file's position: it may be read again.
    let mut at = 0;
    while at < READ {
        let mut piece = [0; READ as usize];
        match file.read_at(&mut piece, at) {
            Ok(0) => break,
            Ok(n) => {
                bytes.extend_from_slice(&piece[..n]);
                at += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What lies in the file of this name, to tell it from one that was taken over.
pub(super) fn text_at(path: &Path) -> Option<String> {
    text_of(&open(path, false)?).ok()
}

/// The file of this name. Somebody else may have said the name: nothing but a file is opened, as opening a device or a
/// FIFO may set something off.
fn open(path: &Path, to_write: bool) -> Option<File> {
    let mut options = OpenOptions::new();
    let named = options.read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path).ok()?;
    if !named.metadata().ok()?.is_file() {
        return None;
    }
    let same = format!("/proc/self/fd/{}", named.as_raw_fd());
    options.write(to_write).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(same).ok()
}

/// Locks the file by flock, if nobody has it locked: as long as it is open.
fn locked(file: &File) -> nix::Result<bool> {
    // SAFETY: a descriptor of ours and a number.
    match Errno::result(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// How long [`remove_left`] waits for somebody who is taking the file over, which is a few system calls.
const PATIENCE: Duration = Duration::from_millis(200);

/// Removes the file of this name if it `is_left` by a dead process, while nobody can take it over.
///
/// # Errors
/// `Busy` if somebody is about to take it over, and does not get done; what flock(2) and unlink(2) report.
pub(super) fn remove_left(path: &Path, is_left: impl FnOnce() -> bool) -> Result<()> {
    // Over a network, only who may write to a file can lock it.
    let Some(file) = open(path, true).or_else(|| open(path, false)) else {
        return Ok(()); // it is not there, or is something else by now
    };
    let lock = || match locked(&file) {
        Ok(locked) => Ok(locked.then_some(())),
        Err(errno) => Err(super::file_lock::failed(errno, "remove lock", path)),
    };
    retrying(Deadline::after(PATIENCE), lock).map_err(|error| match error.kind() {
        ErrorKind::Timeout => {
            let sentence =
                format!("remove lock file {path:?}: somebody has it locked (flock) to take it over; try again");
            Error::new(ErrorKind::Busy, sentence)
        }
        _ => error,
    })?;
    // The lock is this file's alone: what another one of the name says does not count.
    if !is_at(&file, path) || !is_left() {
        return Ok(());
    }
    fs::remove_file(path).map_err(|error| failed_io(error, "remove lock", path))
}

/// Is this file the one of this name?
fn is_at(file: &File, path: &Path) -> bool {
    let here = file.metadata().map(|facts| (facts.dev(), facts.ino()));
    let there = fs::symlink_metadata(path).map(|facts| (facts.dev(), facts.ino()));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_is_opened_to_see_whose_it_is() {
        let path = std::env::temp_dir().join(format!("lock-file-look-{}", std::process::id()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(text_at(&path), None, "a FIFO");
        fs::remove_file(&path).unwrap();
        assert_eq!(text_at(Path::new("/dev/null")), None, "a device");
        fs::write(&path, "4711").unwrap();
        assert_eq!(text_at(&path).as_deref(), Some("4711"));
        fs::remove_file(&path).unwrap();
    }
}
