//! Making and finding sets: semget(2), the first values, and what the numbers mean.

use super::operation::limits;
use super::{SemaphoreOperation, SysvSemaphores};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::SysvKey;
use crate::kernel::owned::{Owned, OwnedKind, whose};
use crate::kernel::sysv_status::{self, SetStatus, missing};
use crate::kernel::wait::retrying;
use libc::c_int;
use nix::errno::Errno;
use std::time::{Duration, SystemTime};

/// How a System V semaphore set is created or opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct SysvSemaphoresOptions {
    mode: u32,
    owned: bool,
    undo: bool,
}

impl Default for SysvSemaphoresOptions {
    fn default() -> Self {
        SysvSemaphoresOptions { mode: 0o600, owned: false, undo: false }
    }
}

/// How long somebody who opens a set waits for its first values.
const PATIENCE: Duration = Duration::from_secs(2);

impl SysvSemaphoresOptions {
    /// Mode 0600, not owned, without undo.
    pub fn new() -> Self {
        Self::default()
    }

    /// Access mode of a new set; 0o600 unless set. Who may write may operate.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }

    /// The creator removes the set together with its handle.
    pub fn owned(mut self, owned: bool) -> Self {
        self.owned = owned;
        self
    }

    /// What `wait` and `post` of this handle do is undone when this process ends, also when it is killed.
    pub fn undo(mut self, undo: bool) -> Self {
        self.undo = undo;
        self
    }

    /// Makes a new set with a semaphore for each initial value. With [`SysvKey::PRIVATE`] each call makes another.
    ///
    /// # Errors
    /// `Exists`; `Invalid` for no value, for one above [`SysvSemaphores::MAX`], and for more than `kernel.sem` admits
    /// in one set; `NoSpace` if there are as many sets or semaphores as it admits.
    pub fn create(&self, key: SysvKey, initial: &[u16]) -> Result<SysvSemaphores> {
        let tried = || format!("create System V semaphores of key {key}, {} of them", initial.len());
        let (Ok(count), false) = (u16::try_from(initial.len()), initial.is_empty()) else {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{}: a set has from 1 to 65535; {}", tried(), limits()),
            ));
        };
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | self.mode as c_int;
        // SAFETY: three numbers.
        let id = unsafe { libc::semget(key.number(), count.into(), flags) };
        if id < 0 {
            return Err(match Errno::last() {
                Errno::EEXIST => Error::new(
                    ErrorKind::Exists,
                    format!(
                        "{}: the key is taken{}; open it, or remove it first (`ipcrm -S {}`)",
                        tried(),
                        find(key).map_or(String::new(), |id| whose(OwnedKind::SysvSemaphores, id.to_string())),
                        key.number()
                    ),
                ),
                Errno::EINVAL => Error::new(ErrorKind::Invalid, format!("{}: {}", tried(), limits())),
                errno => failed(&tried(), errno),
            });
        }
        let owned = self.owned.then(|| Owned::new(OwnedKind::SysvSemaphores, id.to_string())).transpose()?;
        let made = SysvSemaphores { id, key, count, undo: self.undo, _owned: owned };
        first_values(&made, initial).inspect_err(|_| {
            let _ = super::remove(id); // the error that is reported is the one that led here
        })?;
        Ok(made)
    }

    /// Opens the set with this key; waits for its first values if it was made in the last second.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Invalid` for [`SysvKey::PRIVATE`], by which nothing is found.
    pub fn open(&self, key: SysvKey) -> Result<SysvSemaphores> {
        self.open_id(find(key)?)
    }

    /// Opens the set with this identifier, which its creator has told us.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_id(&self, id: i32) -> Result<SysvSemaphores> {
        let status = initialised(id)?;
        let count = u16::try_from(status.count).unwrap_or(u16::MAX);
        Ok(SysvSemaphores { id, key: status.permissions.key(), count, undo: self.undo, _owned: None })
    }

    /// Opens the set, or makes it with these values; an existing one keeps its own, and has as many semaphores.
    ///
    /// # Errors
    /// As `create` and `open`, without `Exists` and `NotFound`; `Incompatible` for another number of semaphores.
    pub fn open_or_create(&self, key: SysvKey, initial: &[u16]) -> Result<SysvSemaphores> {
        if key.is_private() {
            return self.create(key, initial);
        }
        // Each round begins anew because somebody created or removed it in between.
        for _ in 0..100 {
            match self.open(key) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Ok(set) if usize::from(set.count) != initial.len() => {
                    let (there, wanted) = (set.count, initial.len());
                    return Err(Error::new(
                        ErrorKind::Incompatible,
                        format!(
                            "open {set}: it has {there} semaphores, {wanted} are wanted; `ipcrm -s {}` removes it",
                            set.id
                        ),
                    ));
                }
                done => return done,
            }
            match self.create(key, initial) {
                Err(e) if e.kind() == ErrorKind::Exists => {}
                done => return done,
            }
        }
        let message = format!("System V semaphores of key {key} are created and removed all the time by others");
        Err(Error::new(ErrorKind::Busy, message))
    }
}

/// The creator's half of the initialisation: values, then an operation without effect, which sets `sem_otime`.
fn first_values(set: &SysvSemaphores, initial: &[u16]) -> Result<()> {
    set.set_all(initial)?;
    match initial.first() {
        Some(0) | None => set.operate(&[SemaphoreOperation::zero(0)]),
        Some(_) => set.operate(&[SemaphoreOperation::wait(0, 1), SemaphoreOperation::post(0, 1)]),
    }
}

/// The other half: the status of a set that has its first values.
fn initialised(id: c_int) -> Result<SetStatus> {
    let ask = || match sysv_status::status::<SetStatus>(id, libc::IPC_STAT) {
        Ok((_, status)) => Ok(status),
        Err(Errno::EINVAL | Errno::EIDRM) => Err(Error::new(
            ErrorKind::NotFound,
            format!("open System V semaphores {id}: there are none; `ipcs -s` lists what there is"),
        )),
        Err(errno) => Err(failed(&format!("open System V semaphores {id}"), errno)),
    };
    let ready = || ask().map(|status| (status.otime != 0 || !is_young(&status)).then_some(status));
    match retrying(Deadline::after(PATIENCE), ready) {
        Err(e) if e.kind() == ErrorKind::Timeout => ask(), // its time stamp lies in the future: the clock was set
        done => done,
    }
}

/// Was it made, or set, in this second or the one before?
fn is_young(status: &SetStatus) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    status.ctime >= now - 1
}

/// The identifier of the set with this key.
pub(super) fn find(key: SysvKey) -> Result<c_int> {
    if key.is_private() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the private key finds nothing; open the set by its identifier, or choose a key",
        ));
    }
    // SAFETY: three numbers. No count and no flags: whatever is there, without asking for any right yet.
    match unsafe { libc::semget(key.number(), 0, 0) } {
        id if id >= 0 => Ok(id),
        _ => Err(match Errno::last() {
            Errno::ENOENT => Error::new(
                ErrorKind::NotFound,
                format!("no System V semaphores have key {key}; `ipcs -s` lists what there is, create makes some"),
            ),
            errno => failed(&format!("find System V semaphores of key {key}"), errno),
        }),
    }
}

/// The sentence for what any of the calls may answer.
#[cold]
pub(super) fn failed(tried: &str, errno: Errno) -> Error {
    match errno {
        Errno::EACCES | Errno::EPERM => Error::new(
            ErrorKind::Permission,
            format!("{tried}: its mode does not admit this user; `ipcs -s` shows it, its creator can choose another"),
        ),
        Errno::ENOSPC => Error::new(ErrorKind::NoSpace, format!("{tried}: the kernel's table is full; {}", limits())),
        Errno::ENOSYS => missing(tried),
        errno => Error::os(errno as i32, tried),
    }
}
