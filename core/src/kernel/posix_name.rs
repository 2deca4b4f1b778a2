//! Names of POSIX shared memory and semaphores: one list for the whole machine, in /dev/shm.

use super::owned::{OwnedKind, whose};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory;
use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A checked name, with its leading slash. Others see it as a file in /dev/shm.
#[derive(Clone)]
pub(crate) struct PosixName {
    name: CString,
    kind: OwnedKind,
    what: &'static str,
    /// What the C library puts before the name of the file.
    prefix: &'static str,
}

/// glibc tells semaphores from shared memory by a prefix; musl does not.
const SEMAPHORE_PREFIX: &str = if cfg!(target_env = "musl") { "" } else { "sem." };

impl PosixName {
    /// The name of POSIX shared memory: not one that belongs to a semaphore or to one of our segments.
    pub(crate) fn of_memory(name: &str) -> Result<PosixName> {
        let checked = PosixName::checked(OwnedKind::PosixSharedMemory, "POSIX shared memory", "", name)?;
        match checked.bare().starts_with("sem.") {
            true => Err(checked.wrong("begins with \"sem.\", as the files of POSIX semaphores do; choose another")),
            false => Ok(checked),
        }
    }

    /// The name of a POSIX semaphore.
    pub(crate) fn of_semaphore(name: &str) -> Result<PosixName> {
        PosixName::checked(OwnedKind::PosixSemaphore, "POSIX semaphore", SEMAPHORE_PREFIX, name)
    }

    fn checked(kind: OwnedKind, what: &'static str, prefix: &'static str, name: &str) -> Result<PosixName> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let most = 255 - "sem.".len();
        let wrong = if bare.is_empty() {
            "is empty; give it a slash and at least one byte more, such as \"/counter\""
        } else if bare.len() > most {
            "is too long; it may have 251 bytes after the slash"
        } else if bare.contains('/') {
            "has a second slash; only the first byte may be one"
        } else if bare.contains('\0') {
            "contains a zero byte"
        } else if bare == "." || bare == ".." {
            "is a directory's name; choose another"
        } else if bare.starts_with(memory::PREFIX) {
            "begins with \"triveni.\", as the files of segments do; choose another, or use a Segment"
        } else {
            let name = CString::new(format!("/{bare}")).unwrap_or_default(); // no zero byte, checked above
            return Ok(PosixName { name, kind, what, prefix });
        };
        let shown: String = name.chars().take(80).collect();
        Err(Error::new(ErrorKind::Invalid, format!("{what} name {shown:?} {wrong}")))
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(ErrorKind::Invalid, format!("{} name {:?} {why}", self.what, self.as_str()))
    }

    /// With its slash, as shm_open(3) and sem_open(3) take it.
    pub(crate) fn as_str(&self) -> &str {
        self.name.to_str().unwrap_or_default() // made of a `str`
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.name
    }

    fn bare(&self) -> &str {
        self.as_str().trim_start_matches('/')
    }

    /// The file that others see.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(memory::DIRECTORY).join(OsStr::new(&format!("{}{}", self.prefix, self.bare())))
    }

    /// Turns the errno of a call on this name into a sentence; `tried` is its verb.
    #[cold]
    pub(crate) fn failed(&self, tried: &str, errno: i32) -> Error {
        let path = self.path();
        match errno {
            libc::ENOENT => Error::new(
                ErrorKind::NotFound,
                format!(
                    "{tried} {self}: there is none; `ls {}` shows what there is, create makes one",
                    memory::DIRECTORY
                ),
            ),
            libc::EEXIST => {
                let (whose, path) = (whose(self.kind, self.as_str()), path.display());
                let message =
                    format!("{tried} {self}: it exists already{whose}; open it, or unlink it first (`rm {path}`)");
                Error::new(ErrorKind::Exists, message)
            }
            libc::EACCES => {
                let owner = |m: Metadata| format!("it belongs to user {} with mode {:03o}", m.uid(), m.mode() & 0o777);
                let owner = std::fs::symlink_metadata(&path).map_or("the system forbids it".to_string(), owner);
                let me = crate::sys::process::effective_uid();
                let message =
                    format!("{tried} {self}: {owner}, you are user {me}; its creator can choose another mode");
                Error::new(ErrorKind::Permission, message)
            }
            libc::ENOSPC => Error::new(ErrorKind::NoSpace, format!("{tried} {self}: {}", room())),
            libc::ENOSYS => Error::new(
                ErrorKind::Unsupported,
                format!("{tried} {self}: this system has none; is {} mounted (as tmpfs)?", memory::DIRECTORY),
            ),
            errno => Error::os(errno, format_args!("{tried} {self}")),
        }
    }
}

/// Such as `POSIX semaphore "/counter"`.
impl fmt::Display for PosixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.what, self.as_str())
    }
}

/// How full the file system of shared memory is, and what makes it larger.
fn room() -> String {
    let directory = memory::DIRECTORY;
    let state = match nix::sys::statvfs::statvfs(directory) {
        Ok(fs) => format!(
            "{directory} has {} of {} bytes free",
            fs.blocks_available() as u128 * fs.fragment_size() as u128,
            fs.blocks() as u128 * fs.fragment_size() as u128
        ),
        Err(_) => format!("{directory} is full"),
    };
    format!("{state}; remove what nobody needs, or `mount -o remount,size=… {directory}` (containers: --shm-size)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_go_with_and_without_its_slash() {
        for name in ["/counter", "counter"] {
            assert_eq!(PosixName::of_memory(name).unwrap().as_str(), "/counter");
        }
        assert_eq!(PosixName::of_memory("/m").unwrap().path(), Path::new("/dev/shm/m"));
    }

    #[test]
    #[cfg(not(target_env = "musl"))]
    fn a_semaphore_and_a_memory_of_one_name_are_two_files() {
        assert_eq!(PosixName::of_semaphore("/m").unwrap().path(), Path::new("/dev/shm/sem.m"));
    }

    #[test]
    fn a_bad_name_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "empty"),
            ("/", "empty"),
            ("//x", "second slash"),
            ("/a/b", "second slash"),
            ("/..", "directory"),
            ("a\0b", "zero byte"),
            (&"x".repeat(252), "251 bytes"),
            ("/triveni.lab", "segments"),
        ] {
            for name in [PosixName::of_memory(bad), PosixName::of_semaphore(bad)] {
                let error = name.err().unwrap();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
        assert!(PosixName::of_memory("/sem.x").is_err() && PosixName::of_semaphore("/sem.x").is_ok());
        assert!(PosixName::of_memory(&"x".repeat(251)).is_ok());
    }
}
