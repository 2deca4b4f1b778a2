//! Kernel objects that go with their creator, and what remains of them when it is killed.
//!
//! The kernel keeps what has a name until somebody removes it. Who creates one as its *owner* removes it together
//! with the handle. A process that is killed cannot; so each owned object has a record, a small file in
//! `/dev/shm/triveni-owned.UID`, that says what it is and whose. The record of a process that is gone makes its
//! object a *leftover*: [`owned_objects`] finds it, [`OwnedObject::remove`] removes it.
//!
//! A record names its object by more than its name (inode and time of birth, or the kernel's number), so that what
//! somebody made under the same name later is never taken for it. Killed between the creation and the record, a
//! process leaves an object without a record, which is as if it had not been owned.
//!
//! # Record
//!
//! Lines of text: kind, identity, pid, start time, pid namespace, program; then the name, to the end of the file.

use super::lock_file;
use super::posix_name::PosixName;
use super::sysv_status::{MemoryStatus, SetStatus, status};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::process::{self, effective_uid, myself};
use nix::errno::Errno;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::SystemTime;

/// Records are files of this folder, one folder for each user.
const FOLDER: &str = "/dev/shm/triveni-owned.";
/// The longest record that is read: a path, and the lines before it.
const RECORD_MAX: u64 = 8192;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $Kind:ident = $name:literal;)*) => {
        /// What can be owned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum OwnedKind {
            $($(#[doc = $doc])* $Kind,)*
        }

        impl OwnedKind {
            /// What it is called in lists: `posix queue`.
            pub fn name(self) -> &'static str {
                match self {
                    $(OwnedKind::$Kind => $name,)*
                }
            }

            fn from_name(name: &str) -> Option<OwnedKind> {
                match name {
                    $($name => Some(OwnedKind::$Kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A FIFO; its name is its path.
    Fifo = "fifo";
    /// A lock file; its name is its path.
    LockFile = "lock file";
    /// A POSIX message queue; its name begins with a slash.
    PosixQueue = "posix queue";
    /// A named POSIX semaphore; its name begins with a slash.
    PosixSemaphore = "posix semaphore";
    /// POSIX shared memory; its name begins with a slash.
    PosixSharedMemory = "posix shared memory";
    /// A Unix socket with a path.
    Socket = "socket";
    /// A System V message queue; its name is its number.
    SysvQueue = "sysv queue";
    /// A System V semaphore set; its name is its number.
    SysvSemaphores = "sysv semaphores";
    /// System V shared memory; its name is its number.
    SysvSharedMemory = "sysv shared memory";
}

impl OwnedKind {
    /// What tells the object that has this name now from any other that may have it later. `None` if there is none.
    fn identity(self, name: &OsStr) -> Option<String> {
        match self {
            OwnedKind::Fifo | OwnedKind::Socket | OwnedKind::PosixSemaphore | OwnedKind::PosixSharedMemory => {
                of_file(&self.path(name)?)
            }
            OwnedKind::LockFile => {
                // Who takes it over writes into the same file, which is another's then.
                let text = lock_file::text_at(Path::new(name));
                Some(format!("{} {text:?}", of_file(Path::new(name))?))
            }
            OwnedKind::PosixQueue => {
                let name = CString::new(name.as_bytes()).ok()?;
                // SAFETY: a string that ends with NUL; without O_CREAT there are no more arguments.
                let queue = unsafe { libc::mq_open(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
                if queue < 0 {
                    return None;
                }
                // SAFETY: on Linux a queue's descriptor is one like any other; it is ours, just opened.
                let queue = unsafe { OwnedFd::from_raw_fd(queue) };
                fs::File::from(queue).metadata().ok().map(|facts| of_facts(&facts))
            }
            // The kernel does not give a System V object's number to another one for a long time.
            OwnedKind::SysvQueue => {
                let id = number(name)?;
                // SAFETY: an all-zero msqid_ds is one, and ours.
                let found = unsafe { libc::msgctl(id, libc::IPC_STAT, &mut std::mem::zeroed()) };
                (found >= 0).then(String::new)
            }
            OwnedKind::SysvSemaphores => status::<SetStatus>(number(name)?, libc::IPC_STAT).ok().map(|_| String::new()),
            OwnedKind::SysvSharedMemory => {
                status::<MemoryStatus>(number(name)?, libc::IPC_STAT).ok().map(|_| String::new())
            }
        }
    }

    /// The file behind it, where there is one.
    fn path(self, name: &OsStr) -> Option<PathBuf> {
        match self {
            OwnedKind::PosixSharedMemory => PosixName::of_memory(name.to_str()?).ok().map(|name| name.path()),
            OwnedKind::PosixSemaphore => PosixName::of_semaphore(name.to_str()?).ok().map(|name| name.path()),
            _ => Some(name.into()),
        }
    }

    fn remove(self, name: &OsStr) -> Result<()> {
        let id = number(name).unwrap_or(-1); // which no object has
        let removed = match self {
            OwnedKind::SysvQueue => {
                // SAFETY: IPC_RMID takes no argument.
                Errno::result(unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) })
            }
            OwnedKind::SysvSemaphores => {
                // SAFETY: as above.
                Errno::result(unsafe { libc::semctl(id, 0, libc::IPC_RMID) })
            }
            OwnedKind::SysvSharedMemory => {
                // SAFETY: as above.
                Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) })
            }
            OwnedKind::PosixQueue => CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL).and_then(|name| {
                // SAFETY: a string that ends with NUL.
                Errno::result(unsafe { libc::mq_unlink(name.as_ptr()) })
            }),
            _ => self.path(name).ok_or(Errno::EINVAL).and_then(|path| nix::unistd::unlink(&path)).map(|()| 0),
        };
        match removed {
            Ok(_) | Err(Errno::ENOENT | Errno::EIDRM) => Ok(()),
            Err(errno) => Err(Error::os(errno as i32, format_args!("remove {} {name:?}", self.name()))),
        }
    }
}

fn number(name: &OsStr) -> Option<libc::c_int> {
    name.to_str()?.parse().ok()
}

fn of_file(path: &Path) -> Option<String> {
    fs::symlink_metadata(path).ok().map(|facts| of_facts(&facts))
}

/// An inode's number is given to the next file soon; its time of birth is not. Some file systems do not know that.
fn of_facts(facts: &fs::Metadata) -> String {
    let born = facts.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("{}:{} {}", facts.dev(), facts.ino(), born.map_or(0, |born| born.as_nanos()))
}

/// The duty to remove an object, and its record. Dropping it does so, in the process that took it on; a forked child's
/// copy does nothing.
#[derive(Debug)]
pub(crate) struct Owned {
    kind: OwnedKind,
    name: OsString,
    identity: String,
    pid: u32,
    record: PathBuf,
}

impl Owned {
    /// Takes it on, for an object that was just created. If there can be no record, the object is removed.
    ///
    /// # Errors
    /// What the file system reports; `Permission` if the folder of records is not this user's.
    pub(crate) fn new(kind: OwnedKind, name: impl AsRef<OsStr>) -> Result<Owned> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = match kind {
            OwnedKind::Fifo | OwnedKind::LockFile | OwnedKind::Socket => {
                std::path::absolute(name.as_ref()).map_or_else(|_| name.as_ref().into(), PathBuf::into_os_string)
            }
            _ => name.as_ref().to_os_string(),
        };
        let identity = kind.identity(&name).unwrap_or_default();
        let me = myself();
        let number = NEXT.fetch_add(1, Relaxed); // only has to be another one each time
        let folder = PathBuf::from(format!("{FOLDER}{}", effective_uid()));
        let record = folder.join(format!("{}-{}-{number}", me.pid, me.start_ticks));
        let program = me.name.replace('\n', " ");
        let text = format!("{}\n{identity}\n{}\n{}\n{}\n{program}\n", kind.name(), me.pid, me.start_ticks, me.pidns);
        let written = in_own_folder(&folder).and_then(|()| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&record)?;
            file.write_all(&[text.as_bytes(), name.as_bytes()].concat())
        });
        if let Err(error) = written {
            let _ = kind.remove(&name);
            let _ = fs::remove_file(&record);
            let errno = error.raw_os_error().unwrap_or(libc::EACCES);
            return Err(Error::os(errno, format_args!("note in {folder:?} who owns {} {name:?}", kind.name())));
        }
        Ok(Owned { kind, name, identity, pid: me.pid, record })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if std::process::id() != self.pid {
            return;
        }
        if self.kind.identity(&self.name).as_deref() == Some(&*self.identity) {
            let _ = self.kind.remove(&self.name);
        }
        let _ = fs::remove_file(&self.record);
    }
}

fn in_own_folder(folder: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let facts = fs::symlink_metadata(folder)?;
    if facts.is_dir() && facts.uid() == effective_uid() && facts.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(std::io::Error::from_raw_os_error(libc::EACCES)) // somebody else made it, and could put anything into it
}

/// An object that somebody owns, or owned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnedObject {
    /// What it is.
    pub kind: OwnedKind,
    /// Its name: a path, a POSIX name, or the number of a System V object.
    pub name: OsString,
    /// Whose it is: the process's number.
    pub pid: u32,
    /// The user whose process that is.
    pub uid: u32,
    /// The program's name.
    pub program: String,
    /// Is its owner gone? Then it is a leftover.
    pub left: bool,
    identity: String,
    record: PathBuf,
}

/// All owned objects that are there, of all users whose records can be read.
///
/// It opens each POSIX queue among them and closes it again, which ends a notification that this very process has asked
/// of it.
///
/// # Errors
/// What reading `/dev/shm` reports.
pub fn owned_objects() -> Result<Vec<OwnedObject>> {
    objects(|_, _| true)
}

/// Those that are `wanted`, by kind and name. The others are not touched.
fn objects(wanted: impl Fn(OwnedKind, &OsStr) -> bool) -> Result<Vec<OwnedObject>> {
    let folders = fs::read_dir("/dev/shm").map_err(|error| {
        Error::os(error.raw_os_error().unwrap_or(libc::EINVAL), "list the owned objects in \"/dev/shm\"")
    })?;
    let mut objects = Vec::new();
    for folder in folders.flatten().map(|entry| entry.path()) {
        let Some(uid) =
            folder.to_str().and_then(|path| path.strip_prefix(FOLDER)).and_then(|uid| uid.parse::<u32>().ok())
        else {
            continue;
        };
        if !fs::symlink_metadata(&folder).is_ok_and(|facts| facts.is_dir() && facts.uid() == uid) {
            continue;
        }
        let Ok(records) = fs::read_dir(&folder) else { continue };
        objects.extend(records.flatten().filter_map(|record| read(record.path(), uid, &wanted)));
    }
    objects.sort_by(|a, b| (a.kind.name(), &a.name).cmp(&(b.kind.name(), &b.name)));
    Ok(objects)
}

/// What a record says, if it is one of a wanted object that is there.
fn read(record: PathBuf, uid: u32, wanted: impl Fn(OwnedKind, &OsStr) -> bool) -> Option<OwnedObject> {
    let file =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&record).ok()?;
    let facts = file.metadata().ok()?;
    if !facts.is_file() || facts.uid() != uid {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(RECORD_MAX).read_to_end(&mut bytes).ok()?;
    let mut parts = bytes.splitn(7, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok());
    let kind = OwnedKind::from_name(line()?)?;
    let identity = line()?.to_string();
    let pid = line()?.parse().ok()?;
    let start = line()?.parse().ok()?;
    let namespace: u64 = line()?.parse().ok()?;
    let program = line()?.to_string();
    let name = OsString::from_vec(parts.next()?.to_vec());
    if !wanted(kind, &name) {
        return None;
    }
    if kind.identity(&name).as_deref() != Some(&*identity) {
        // Somebody has removed the object. If its owner is gone as well, nobody needs the record.
        if namespace == process::pid_namespace() && process::is_gone(pid, start) {
            let _ = fs::remove_file(&record);
        }
        return None;
    }
    let left = namespace == process::pid_namespace() && process::is_gone(pid, start);
    Some(OwnedObject { kind, name, pid, uid, program, left, identity, record })
}

impl OwnedObject {
    /// Removes what a dead owner has left, and its record. Does nothing if the name is another object's by now.
    ///
    /// # Errors
    /// `Busy` if its owner is alive, or somebody is just taking over its lock file; `Permission` if the record is another
    /// user's, who could have written any name into it, also that of a file of yours; what the system reports.
    pub fn remove(&self) -> Result<()> {
        if self.uid != effective_uid() {
            let (kind, name, uid) = (self.kind.name(), &self.name, self.uid);
            let sentence = format!(
                "remove {kind} {name:?}: the word of user {uid} alone says that it was owned; only that user removes it"
            );
            return Err(Error::new(ErrorKind::Permission, sentence));
        }
        if !self.left {
            let (kind, name, pid) = (self.kind.name(), &self.name, self.pid);
            let sentence =
                format!("remove {kind} {name:?}: process {pid}, {}, owns it, and may be alive", self.program);
            return Err(Error::new(ErrorKind::Busy, sentence));
        }
        let is_left = || self.kind.identity(&self.name).as_deref() == Some(&*self.identity);
        match self.kind {
            // The one kind that somebody may take over.
            OwnedKind::LockFile => lock_file::remove_left(Path::new(&self.name), is_left)?,
            _ if is_left() => self.kind.remove(&self.name)?,
            _ => {}
        }
        let _ = fs::remove_file(&self.record); // somebody else may have removed it in the meantime
        Ok(())
    }
}

/// For the sentence that a name is taken: whose the object is, if anybody owns it.
pub(crate) fn whose(kind: OwnedKind, name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    let path = std::path::absolute(name).unwrap_or_default();
    let found = objects(|of, called| of == kind && (called == name || called == path)).unwrap_or_default();
    found.first().map_or(String::new(), |object| match object.left {
        true => format!(
            " (process {}, {}, made it and is dead; `triveni rm --leftovers` removes it)",
            object.pid, object.program
        ),
        false => format!(" (process {}, {}, owns it)", object.pid, object.program),
    })
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use crate::kernel::own_process::in_its_own_process;
    use crate::kernel::{LockFile, LockFileOptions, fork};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    /// A lock file whose owner was killed.
    fn left(what: &str) -> (PathBuf, OwnedObject) {
        let path = std::env::temp_dir().join(format!("owned-{what}-{}", std::process::id()));
        let file = LockFile::new(&path, LockFileOptions::default().owned(true));
        // SAFETY: the child makes files and allocates, which works in a child of glibc and musl.
        let owner = unsafe { fork(|| file.lock().map(std::mem::forget).map_or(1, |()| 0)) }.unwrap();
        assert!(owner.wait().unwrap().success());
        let objects = objects(|kind, name| kind == OwnedKind::LockFile && name == path).unwrap();
        let [object] = &objects[..] else { panic!("{objects:?}") };
        assert!(object.left);
        (path, object.clone())
    }

    #[test]
    fn a_lock_file_that_is_being_taken_over_is_not_removed() {
        in_its_own_process(|| {
            let (path, object) = left("taken-over");
            // The taker: it has the flock, but has not written yet whose the file is.
            let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            // SAFETY: a descriptor of ours and a number.
            assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
            let refused = object.remove().unwrap_err();
            assert!(refused.kind() == ErrorKind::Busy && refused.to_string().contains("take it over"), "{refused}");
            assert!(path.exists() && object.record.exists());
            // It has written.
            file.write_all_at(format!("{:10}", std::process::id()).as_bytes(), 0).unwrap();
            drop(file);
            object.remove().unwrap();
            assert!(path.exists(), "it was the taker's");
            fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn a_lock_file_that_is_being_removed_is_not_taken_over() {
        in_its_own_process(|| {
            let (path, object) = left("removed");
            let taker = LockFile::new(&path, LockFileOptions::default().take_over(true));
            lock_file::remove_left(&path, || {
                assert!(taker.try_lock().unwrap().is_none(), "between the last look and the removal");
                true
            })
            .unwrap();
            let guard = taker.try_lock().unwrap().expect("a new file");
            assert!(guard.taken_over_from().is_none());
            object.remove().unwrap();
            assert!(path.exists() && !object.record.exists());
        });
    }
}
