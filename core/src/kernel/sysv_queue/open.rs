//! How a System V queue is made, found and removed.

use super::status::QueueStatus;
use super::{MSGMNB, MSGMNI, SysvQueue, info};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::{Owned, OwnedKind, whose};
use crate::kernel::sysv_key::SysvKey;
use crate::kernel::sysv_status::Status;
use crate::sys::process::effective_uid;
use nix::errno::Errno;
use std::fmt::Display;

/// How often finding and creating may miss each other while others create and remove the same key.
const ROUNDS: usize = 64;

/// How a System V queue is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysvQueueOptions {
    max_bytes: Option<u64>,
    mode: u32,
    owned: bool,
}

impl Default for SysvQueueOptions {
    fn default() -> SysvQueueOptions {
        SysvQueueOptions { max_bytes: None, mode: 0o600, owned: false }
    }
}

impl SysvQueueOptions {
    /// The system's default size (`/proc/sys/kernel/msgmnb`, usually 16384 bytes), mode 0600.
    pub fn new() -> SysvQueueOptions {
        SysvQueueOptions::default()
    }

    /// How many bytes of messages a queue that is created holds; more than `/proc/sys/kernel/msgmnb` only with
    /// CAP_SYS_RESOURCE. It also holds no more messages than this, which tells for empty ones.
    pub fn max_bytes(self, max_bytes: u64) -> SysvQueueOptions {
        SysvQueueOptions { max_bytes: Some(max_bytes), ..self }
    }

    /// Who may use a queue that is created; the umask does not matter. To receive one needs `r`, to send `w`.
    pub fn mode(self, mode: u32) -> SysvQueueOptions {
        SysvQueueOptions { mode, ..self }
    }

    /// A queue that is created goes when its handle goes; a record lets `triveni ls` show it if its owner is killed.
    pub fn owned(self, owned: bool) -> SysvQueueOptions {
        SysvQueueOptions { owned, ..self }
    }

    /// Creates the queue of `key`.
    ///
    /// # Errors
    ///
    /// [`Exists`](ErrorKind::Exists), unless the key is private; [`NoSpace`](ErrorKind::NoSpace) beyond
    /// `/proc/sys/kernel/msgmni`; [`Permission`](ErrorKind::Permission) for more bytes than
    /// `/proc/sys/kernel/msgmnb`; [`Unsupported`](ErrorKind::Unsupported) where the system has no such queues.
    pub fn create(&self, key: SysvKey) -> Result<SysvQueue> {
        let id = self.made(key).map_err(|errno| refused("create", key, errno))?;
        self.attach(id, key)
    }

    /// Opens the queue of `key`, or creates it if there is none. A private key always creates.
    ///
    /// # Errors
    ///
    /// As [`create`](SysvQueueOptions::create), without `Exists`.
    pub fn open_or_create(&self, key: SysvKey) -> Result<SysvQueue> {
        for _ in 0..ROUNDS {
            if !key.is_private() {
                match found(key) {
                    Ok(id) => return Ok(SysvQueue::of(id, key)),
                    Err(Errno::ENOENT) => {}
                    Err(errno) => return Err(refused("open", key, errno)),
                }
            }
            match self.made(key) {
                Ok(id) => return self.attach(id, key),
                Err(Errno::EEXIST) => {} // another one was faster
                Err(errno) => return Err(refused("create", key, errno)),
            }
        }
        let message =
            format!("open System V queue of key {key}: others create and remove it all the time; agree on who does");
        Err(Error::new(ErrorKind::Busy, message))
    }

    fn made(&self, key: SysvKey) -> nix::Result<libc::c_int> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | (self.mode & 0o777) as libc::c_int;
        // SAFETY: msgget takes two numbers and touches no memory of ours.
        Errno::result(unsafe { libc::msgget(key.number(), flags) })
    }

    fn attach(&self, id: libc::c_int, key: SysvKey) -> Result<SysvQueue> {
        let mut queue = SysvQueue::of(id, key);
        if self.owned {
            queue._owned = Some(Owned::new(OwnedKind::SysvQueue, id.to_string())?);
        }
        if let Some(bytes) = self.max_bytes
            && let Err(error) = queue.set_max_bytes(bytes)
        {
            let _ = queue.remove();
            return Err(error);
        }
        Ok(queue)
    }
}

impl SysvQueue {
    /// Creates the queue of `key` with the system's default size; see [`SysvQueueOptions`].
    ///
    /// # Errors
    ///
    /// As [`SysvQueueOptions::create`].
    pub fn create(key: SysvKey) -> Result<SysvQueue> {
        SysvQueueOptions::new().create(key)
    }

    /// Opens the queue of `key`, which must exist.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound); [`Invalid`](ErrorKind::Invalid) for the private key, which finds nothing.
    pub fn open(key: SysvKey) -> Result<SysvQueue> {
        if key.is_private() {
            let message = "open System V queue: the private key finds nothing; open it by its number, or choose a key";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let id = found(key).map_err(|errno| refused("open", key, errno))?;
        Ok(SysvQueue::of(id, key))
    }

    /// Opens the queue of `key`, or creates it with the system's default size.
    ///
    /// # Errors
    ///
    /// As [`SysvQueueOptions::open_or_create`].
    pub fn open_or_create(key: SysvKey) -> Result<SysvQueue> {
        SysvQueueOptions::new().open_or_create(key)
    }

    /// The queue with this number.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none, or not any more.
    pub fn open_id(id: i32) -> Result<SysvQueue> {
        match info::stat(id) {
            Ok(status) => Ok(SysvQueue::of(id, status.permissions.key())),
            Err(Errno::EACCES) => Ok(SysvQueue::of(id, SysvKey::PRIVATE)), // to send only
            Err(Errno::EINVAL | Errno::EIDRM) => {
                let message = format!("System V queue {id}: no queue has this number (any more); `ipcs -q` shows all");
                Err(Error::new(ErrorKind::NotFound, message))
            }
            Err(errno) => Err(unsupported(errno, format_args!("System V queue {id}"))),
        }
    }

    /// Removes the queue of `key`, as [`remove`](SysvQueue::remove) does.
    ///
    /// # Errors
    ///
    /// As [`open`](SysvQueue::open) and [`remove`](SysvQueue::remove).
    pub fn unlink(key: SysvKey) -> Result<()> {
        SysvQueue::open(key)?.remove()
    }

    fn of(id: libc::c_int, key: SysvKey) -> SysvQueue {
        SysvQueue { id, key, _owned: None }
    }

    /// Removes the queue and all its messages, at once. Who waits for it gets [`Removed`](ErrorKind::Removed).
    ///
    /// # Errors
    ///
    /// [`Removed`](ErrorKind::Removed) if somebody did already; [`Permission`](ErrorKind::Permission) for who neither
    /// owns it nor is root.
    pub fn remove(&self) -> Result<()> {
        // SAFETY: IPC_RMID takes no argument.
        match Errno::result(unsafe { libc::msgctl(self.id, libc::IPC_RMID, std::ptr::null_mut()) }) {
            Ok(_) => Ok(()),
            Err(errno) => Err(self.failed(errno, format!("remove {self}"), "removing")),
        }
    }

    /// Changes how many bytes of messages it holds.
    ///
    /// # Errors
    ///
    /// [`Permission`](ErrorKind::Permission) beyond `/proc/sys/kernel/msgmnb`, and for who neither owns it nor is root;
    /// [`Removed`](ErrorKind::Removed).
    pub fn set_max_bytes(&self, bytes: u64) -> Result<()> {
        let tried = format!("set {self} to {bytes} bytes");
        if bytes == 0 {
            return Err(Error::new(ErrorKind::Invalid, format!("{tried}: it would never take a message")));
        }
        let mut status = info::stat(self.id).map_err(|errno| self.failed(errno, tried.clone(), "changing"))?;
        status.max_bytes = bytes;
        // SAFETY: `status` is whole, and a local; the kernel reads it.
        match unsafe { QueueStatus::control(self.id, libc::IPC_SET, &mut status) } {
            Ok(_) => Ok(()),
            Err(Errno::EPERM) if MSGMNB.is_below(bytes) => Err(Error::new(
                ErrorKind::Permission,
                format!(
                    "{tried}: {MSGMNB}, and only who has CAP_SYS_RESOURCE goes beyond; ask for less, or raise it (sysctl kernel.msgmnb)"
                ),
            )),
            Err(errno) => Err(self.failed(errno, tried, "changing")),
        }
    }
}

fn found(key: SysvKey) -> nix::Result<libc::c_int> {
    // SAFETY: msgget takes two numbers and touches no memory of ours.
    Errno::result(unsafe { libc::msgget(key.number(), 0) })
}

#[cold]
fn refused(verb: &str, key: SysvKey, errno: Errno) -> Error {
    let tried = format!("{verb} System V queue of key {key}");
    match errno {
        Errno::ENOENT => Error::new(
            ErrorKind::NotFound,
            format!("{tried}: there is none; create it, or look whether both sides mean the same key (`ipcs -q`)"),
        ),
        Errno::EEXIST => {
            let owner = found(key).map_or(String::new(), |id| whose(OwnedKind::SysvQueue, id.to_string()));
            let message =
                format!("{tried}: there is one already; open it, or remove it first (`ipcrm -Q {key}`){owner}");
            Error::new(ErrorKind::Exists, message)
        }
        Errno::ENOSPC => Error::new(
            ErrorKind::NoSpace,
            format!(
                "{tried}: there are as many queues as there may be: {MSGMNI}; remove some (`ipcs -q`), or raise it"
            ),
        ),
        Errno::EACCES | Errno::EPERM => Error::new(
            ErrorKind::Permission,
            format!("{tried}: its mode does not admit user {}; its creator can choose another", effective_uid()),
        ),
        errno => unsupported(errno, tried),
    }
}

/// The error where there is nothing more to say, or no such thing as a System V queue.
fn unsupported(errno: Errno, tried: impl Display) -> Error {
    match errno {
        Errno::ENOSYS => Error::new(
            ErrorKind::Unsupported,
            format!(
                "{tried}: this system has no System V queues: its kernel lacks CONFIG_SYSVIPC, or the container forbids them; a PosixQueue or a mailbox may do"
            ),
        ),
        errno => Error::os(errno as i32, tried),
    }
}
