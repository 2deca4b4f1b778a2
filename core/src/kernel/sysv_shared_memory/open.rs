//! Making and finding segments: shmget(2) and shmat(2), and what their numbers mean.

use super::SysvSharedMemory;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::SysvKey;
use crate::kernel::owned::{Owned, OwnedKind, whose};
use crate::kernel::shared_memory::Attachment;
use crate::kernel::sysctl::Sysctl;
use crate::kernel::sysv_status::{self, MemoryStatus, missing};
use libc::c_int;
use nix::errno::Errno;
use std::sync::Arc;

/// How System V shared memory is created or opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct SysvSharedMemoryOptions {
    mode: u32,
    owned: bool,
    read_only: bool,
    at_least: usize,
}

impl Default for SysvSharedMemoryOptions {
    fn default() -> Self {
        SysvSharedMemoryOptions { mode: 0o600, owned: false, read_only: false, at_least: 0 }
    }
}

impl SysvSharedMemoryOptions {
    /// Mode 0600, not owned, attached to read and write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Access mode of a new segment; 0o600 unless set.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }

    /// The creator removes the segment together with its handle.
    pub fn owned(mut self, owned: bool) -> Self {
        self.owned = owned;
        self
    }

    /// `open` attaches read-only: the memory management unit keeps every write away, also one by `as_ptr`.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// `open` refuses a segment of fewer bytes.
    pub fn at_least(mut self, size: usize) -> Self {
        self.at_least = size;
        self
    }

    /// Makes a new segment of `size` bytes, all 0, and attaches it. With [`SysvKey::PRIVATE`] each call makes another.
    ///
    /// # Errors
    /// `Exists`; `Invalid` for a size of 0 or above `kernel.shmmax`; `NoSpace` if there are `kernel.shmmni` segments
    /// or `kernel.shmall` pages in all; `System(ENOMEM)` if memory is short.
    pub fn create(&self, key: SysvKey, size: usize) -> Result<SysvSharedMemory> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | self.mode as c_int;
        // SAFETY: three numbers.
        let id = unsafe { libc::shmget(key.number(), size, flags) };
        if id < 0 {
            return Err(create_failed(key, size, Errno::last()));
        }
        let owned = self.owned.then(|| Owned::new(OwnedKind::SysvSharedMemory, id.to_string())).transpose()?;
        match attach(id, size, true) {
            Ok(attachment) => Ok(SysvSharedMemory { attachment: Arc::new(attachment), id, key, _owned: owned }),
            Err(e) => {
                let _ = super::remove(id); // the error that is reported is the one that led here
                Err(e)
            }
        }
    }

    /// Attaches the segment with this key, all of it.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for [`SysvKey::PRIVATE`], by which nothing is found; `Incompatible` if it
    /// has fewer bytes than [`at_least`](Self::at_least) asks for.
    pub fn open(&self, key: SysvKey) -> Result<SysvSharedMemory> {
        self.open_found(find(key)?, self.at_least)
    }

    /// Attaches the segment with this identifier, which its creator has told us.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_id(&self, id: i32) -> Result<SysvSharedMemory> {
        self.open_found(id, self.at_least)
    }

    /// Attaches the segment, or makes it. What exists must have `size` bytes at least.
    ///
    /// # Errors
    /// As `create` and `open`, without `Exists` and `NotFound`.
    pub fn open_or_create(&self, key: SysvKey, size: usize) -> Result<SysvSharedMemory> {
        if key.is_private() {
            return self.create(key, size);
        }
        // Each round begins anew because somebody created or removed it in between.
        for _ in 0..100 {
            match find(key).and_then(|id| self.open_found(id, size.max(self.at_least))) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                done => return done,
            }
            match self.create(key, size) {
                Err(e) if e.kind() == ErrorKind::Exists => {}
                done => return done,
            }
        }
        let message = format!("System V shared memory of key {key} is created and removed all the time by others");
        Err(Error::new(ErrorKind::Busy, message))
    }

    fn open_found(&self, id: c_int, at_least: usize) -> Result<SysvSharedMemory> {
        let (_, status) = sysv_status::status::<MemoryStatus>(id, libc::IPC_STAT).map_err(|e| open_failed(id, e))?;
        if status.size < at_least {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "open System V shared memory {id}: it has {} bytes, {at_least} are wanted; agree on a size, or remove it (`ipcrm -m {id}`) and create it anew",
                    status.size
                ),
            ));
        }
        let attachment = Arc::new(attach(id, status.size, !self.read_only)?);
        Ok(SysvSharedMemory { attachment, id, key: status.permissions.key(), _owned: None })
    }
}

/// The identifier of the segment with this key.
pub(super) fn find(key: SysvKey) -> Result<c_int> {
    if key.is_private() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the private key finds nothing; open the segment by its identifier, or choose a key",
        ));
    }
    // SAFETY: three numbers. Size 0 and no flags: whatever is there, without asking for any right yet.
    match unsafe { libc::shmget(key.number(), 0, 0) } {
        id if id >= 0 => Ok(id),
        _ => Err(match Errno::last() {
            Errno::ENOENT => {
                let message =
                    format!("no System V shared memory has key {key}; `ipcs -m` lists what there is, create makes one");
                Error::new(ErrorKind::NotFound, message)
            }
            Errno::ENOSYS => missing(&format!("find System V shared memory of key {key}")),
            errno => Error::os(errno as i32, format_args!("find System V shared memory of key {key}")),
        }),
    }
}

fn attach(id: c_int, size: usize, writable: bool) -> Result<Attachment> {
    const SHM_RDONLY: c_int = 0o10000;
    // SAFETY: the kernel chooses an address where nothing is mapped.
    let at = unsafe { libc::shmat(id, std::ptr::null(), if writable { 0 } else { SHM_RDONLY }) };
    if at as isize == -1 {
        return Err(open_failed(id, Errno::last()));
    }
    // SAFETY: from shmat, just now; `size` is the segment's own, which never changes. An identifier can be used again
    // for another segment only after 32768 generations.
    Ok(unsafe { Attachment::of_shmat(at.cast(), size, writable) })
}

#[cold]
fn open_failed(id: c_int, errno: Errno) -> Error {
    let tried = format!("open System V shared memory {id}");
    match errno {
        Errno::EINVAL | Errno::EIDRM => {
            Error::new(ErrorKind::NotFound, format!("{tried}: there is none; `ipcs -m` lists what there is"))
        }
        Errno::EACCES => Error::new(
            ErrorKind::Permission,
            format!(
                "{tried}: its mode does not admit this user; `ipcs -m` shows it, its creator can choose another, or open it read-only"
            ),
        ),
        Errno::ENOSYS => missing(&tried),
        errno => Error::os(errno as i32, tried),
    }
}

#[cold]
fn create_failed(key: SysvKey, size: usize, errno: Errno) -> Error {
    let tried = format!("create System V shared memory of key {key} with {size} bytes");
    let [most, pages, segments] = ["kernel/shmmax", "kernel/shmall", "kernel/shmmni"].map(Sysctl);
    match errno {
        Errno::EEXIST => Error::new(
            ErrorKind::Exists,
            format!(
                "{tried}: the key is taken{}; open it, or remove it first (`ipcrm -M {}`)",
                find(key).map_or(String::new(), |id| whose(OwnedKind::SysvSharedMemory, id.to_string())),
                key.number()
            ),
        ),
        Errno::EINVAL if size == 0 => Error::new(ErrorKind::Invalid, format!("{tried}: it needs one at least")),
        Errno::EINVAL => Error::new(ErrorKind::Invalid, format!("{tried}: {most}; root can raise it")),
        Errno::ENOSPC => Error::new(
            ErrorKind::NoSpace,
            format!(
                "{tried}: {segments} (segments in all), {pages} (pages in all); remove what nobody needs (`ipcs -m`, `ipcrm -m`), or root can raise them"
            ),
        ),
        Errno::ENOSYS => missing(&tried),
        errno => Error::os(errno as i32, tried),
    }
}
