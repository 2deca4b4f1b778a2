//! The key under which unrelated processes find one System V object.
//!
//! A key is a number that both sides choose: a constant, or one made of a file both know and a small number (ftok(3)).
//! Message queues, semaphore sets and shared memory have a space of keys each.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A System V key (`key_t`): what a queue, a semaphore set or a shared memory segment is found by.
///
/// ```
/// use triveni::kernel::SysvKey;
/// # fn main() -> triveni::Result<()> {
/// let chosen = SysvKey::new(0x4c41_4230);
/// let of_a_file = SysvKey::ftok("/etc/passwd", b'q')?;
/// assert_ne!(chosen, of_a_file);
/// assert!(SysvKey::PRIVATE.is_private());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SysvKey(libc::key_t);

impl SysvKey {
    /// `IPC_PRIVATE`: each use makes a new object, which others find by its identifier only.
    pub const PRIVATE: SysvKey = SysvKey(libc::IPC_PRIVATE);

    /// The key with this number; 0 is [`SysvKey::PRIVATE`].
    pub const fn new(key: libc::key_t) -> SysvKey {
        SysvKey(key)
    }

    /// The key made of an existing file and a number from 1 to 255, as ftok(3) makes it in every C library.
    ///
    /// It holds 16 bits of the file's inode and 8 of its device. Two files may therefore have the same key, and a file
    /// that was deleted and written anew has another one than before.
    ///
    /// # Errors
    /// `NotFound` and what else stat(2) says about the path; `Invalid` for the number 0, which POSIX leaves undefined.
    pub fn ftok(path: impl AsRef<Path>, id: u8) -> Result<SysvKey> {
        let path = path.as_ref();
        if id == 0 {
            let message =
                format!("System V key of {path:?}: the number 0 is undefined by POSIX; give one from 1 to 255");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let file = fs::metadata(path).map_err(|error| {
            let tried = format_args!("System V key of {path:?}, which must be a file that exists");
            Error::os(error.raw_os_error().unwrap_or(libc::EINVAL), tried)
        })?;
        let key = file.ino() & 0xFFFF | (file.dev() & 0xFF) << 16 | u64::from(id) << 24;
        Ok(SysvKey(key as u32 as libc::key_t))
    }

    /// Its number.
    pub const fn number(self) -> libc::key_t {
        self.0
    }

    /// Is it [`SysvKey::PRIVATE`]?
    pub const fn is_private(self) -> bool {
        self.0 == libc::IPC_PRIVATE
    }
}

impl From<libc::key_t> for SysvKey {
    fn from(key: libc::key_t) -> SysvKey {
        SysvKey::new(key)
    }
}

/// As `ipcs` shows it: `0x4c414230`; `private` for 0.
impl fmt::Display for SysvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_private() {
            true => f.write_str("private"),
            false => write!(f, "0x{:08x}", self.0),
        }
    }
}

impl fmt::Debug for SysvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SysvKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_key_is_the_one_the_c_library_makes() {
        for (path, id) in [(c"/", 1), (c"/dev/null", 255), (c"/etc", b'q')] {
            // SAFETY: `path` is a string that ends with NUL.
            let theirs = unsafe { libc::ftok(path.as_ptr(), id.into()) };
            assert_eq!(SysvKey::ftok(path.to_str().unwrap(), id).unwrap().number(), theirs);
        }
    }

    #[test]
    fn a_missing_file_and_the_number_0_are_refused_with_a_sentence() {
        let missing = SysvKey::ftok("/nowhere/at/all", 1).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");
        assert_eq!(SysvKey::ftok("/", 0).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_key_is_shown_as_ipcs_shows_it() {
        assert_eq!(SysvKey::new(-1).to_string(), "0xffffffff");
        assert_eq!(SysvKey::from(0x10).to_string(), "0x00000010");
        assert_eq!(format!("{:?}", SysvKey::PRIVATE), "SysvKey(private)");
    }
}
