//! Names of POSIX queues, and how one is made or found.

use super::PosixQueue;
use super::info::attributes;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::owned::{Owned, OwnedKind, whose};
use crate::kernel::sysctl::Sysctl;
use crate::sys::process::effective_uid;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::getuid;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

const MSG_MAX: Sysctl = Sysctl("fs/mqueue/msg_max");
const MSGSIZE_MAX: Sysctl = Sysctl("fs/mqueue/msgsize_max");
const QUEUES_MAX: Sysctl = Sysctl("fs/mqueue/queues_max");
/// The most messages in a queue, whoever makes it: HARD_MSGMAX in Linux, which also bounds `msg_max`.
const HARD_MSG_MAX: usize = 65536;
/// The largest message in bytes, whoever makes the queue: HARD_MSGSIZEMAX in Linux.
const HARD_MSGSIZE_MAX: usize = 16 << 20;
/// The longest name without its slash.
const LONGEST: usize = 255;
/// How often finding and creating may miss each other while others create and remove the same name.
const ROUNDS: usize = 64;

/// What a process may do with a queue that it opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueueAccess {
    /// Send and receive.
    #[default]
    Both,
    /// Send only: enough where the queue's mode admits no more.
    Send,
    /// Receive only.
    Receive,
}

/// How a POSIX queue is made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PosixQueueOptions {
    capacity: Option<usize>,
    message_size: Option<usize>,
    mode: u32,
    access: QueueAccess,
    owned: bool,
}

impl Default for PosixQueueOptions {
    fn default() -> PosixQueueOptions {
        PosixQueueOptions { capacity: None, message_size: None, mode: 0o600, access: QueueAccess::Both, owned: false }
    }
}

impl PosixQueueOptions {
    /// The system's default geometry (10 messages of 8192 bytes), mode 0600, to send and receive.
    pub fn new() -> PosixQueueOptions {
        PosixQueueOptions::default()
    }

    /// How many messages it holds. Without CAP_SYS_RESOURCE at most `/proc/sys/fs/mqueue/msg_max`, usually 10; never
    /// more than 65536.
    pub fn capacity(self, capacity: usize) -> PosixQueueOptions {
        PosixQueueOptions { capacity: Some(capacity), ..self }
    }

    /// The largest message in bytes. Without CAP_SYS_RESOURCE at most `/proc/sys/fs/mqueue/msgsize_max`, usually 8192;
    /// never more than 16 MiB.
    pub fn message_size(self, message_size: usize) -> PosixQueueOptions {
        PosixQueueOptions { message_size: Some(message_size), ..self }
    }

    /// Who may open a queue that is created; exactly this, whatever the umask. To receive one needs `r`, to send `w`.
    pub fn mode(self, mode: u32) -> PosixQueueOptions {
        PosixQueueOptions { mode, ..self }
    }

    /// What this handle is for.
    pub fn access(self, access: QueueAccess) -> PosixQueueOptions {
        PosixQueueOptions { access, ..self }
    }

    /// A queue that is created goes when its handle goes; a record lets `triveni ls` show it if its owner is killed.
    pub fn owned(self, owned: bool) -> PosixQueueOptions {
        PosixQueueOptions { owned, ..self }
    }

    /// Creates the queue `name`.
    ///
    /// # Errors
    ///
    /// [`Exists`](ErrorKind::Exists); [`Invalid`](ErrorKind::Invalid) for a bad name, and for a geometry beyond the
    /// system's limits; `EMFILE` beyond `RLIMIT_MSGQUEUE`; [`NoSpace`](ErrorKind::NoSpace) beyond
    /// `/proc/sys/fs/mqueue/queues_max`; [`Unsupported`](ErrorKind::Unsupported) where the system has no such queues.
    pub fn create(&self, name: &str) -> Result<PosixQueue> {
        let path = checked(name)?;
        let fd = self.made(&path).map_err(|errno| self.not_created(errno, &path))?;
        self.attach(fd, &path, true)
    }

    /// Opens the queue `name`, which must exist; its geometry must be the one that was asked for, if any was.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound); [`Permission`](ErrorKind::Permission) if its mode does not admit this access;
    /// [`Incompatible`](ErrorKind::Incompatible) if it has another geometry.
    pub fn open(&self, name: &str) -> Result<PosixQueue> {
        let path = checked(name)?;
        let fd = self.found(&path).map_err(|errno| self.not_opened(errno, &path))?;
        self.attach(fd, &path, false)
    }

    /// Opens the queue `name`, or creates it if there is none.
    ///
    /// # Errors
    ///
    /// As [`create`](PosixQueueOptions::create), without `Exists`, and as [`open`](PosixQueueOptions::open), without
    /// `NotFound`.
    pub fn open_or_create(&self, name: &str) -> Result<PosixQueue> {
        let path = checked(name)?;
        for _ in 0..ROUNDS {
            match self.found(&path) {
                Ok(fd) => return self.attach(fd, &path, false),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(self.not_opened(errno, &path)),
            }
            match self.made(&path) {
                Ok(fd) => return self.attach(fd, &path, true),
                Err(Errno::EEXIST) => {} // another one was faster
                Err(errno) => return Err(self.not_created(errno, &path)),
            }
        }
        let message = format!("open POSIX queue {path:?}: others create and remove it all the time; agree on who does");
        Err(Error::new(ErrorKind::Busy, message))
    }

    fn flags(&self) -> libc::c_int {
        libc::O_CLOEXEC
            | match self.access {
                QueueAccess::Both => libc::O_RDWR,
                QueueAccess::Send => libc::O_WRONLY,
                QueueAccess::Receive => libc::O_RDONLY,
            }
    }

    fn found(&self, path: &CStr) -> nix::Result<OwnedFd> {
        opened(path, self.flags(), 0, None)
    }

    fn made(&self, path: &CStr) -> nix::Result<OwnedFd> {
        let (capacity, message_size) = self.geometry();
        // SAFETY: integers and, on one architecture, padding: zeros are an mq_attr.
        let mut attr: libc::mq_attr = unsafe { std::mem::zeroed() };
        // What is too large for the field is too large for the kernel, which says so.
        attr.mq_maxmsg = libc::c_long::try_from(capacity).unwrap_or(libc::c_long::MAX);
        attr.mq_msgsize = libc::c_long::try_from(message_size).unwrap_or(libc::c_long::MAX);
        let mode = self.mode & 0o777;
        let fd = opened(path, self.flags() | libc::O_CREAT | libc::O_EXCL, mode, Some(&attr))?;
        // The umask has taken bits away that the caller asked for.
        fchmod(fd.as_fd(), Mode::from_bits_truncate(mode)).inspect_err(|_| {
            // SAFETY: `path` is a string that ends with NUL. Nobody waits for what comes of it: the first error counts.
            unsafe { libc::mq_unlink(path.as_ptr()) };
        })?;
        Ok(fd)
    }

    /// Capacity and message size of a new queue.
    fn geometry(&self) -> (usize, usize) {
        let usual = |usual: Sysctl, most: Sysctl, or: usize| {
            usual.value().unwrap_or(or as u64).min(most.value().unwrap_or(or as u64)) as usize
        };
        (
            self.capacity.unwrap_or_else(|| usual(Sysctl("fs/mqueue/msg_default"), MSG_MAX, 10)),
            self.message_size.unwrap_or_else(|| usual(Sysctl("fs/mqueue/msgsize_default"), MSGSIZE_MAX, 8192)),
        )
    }

    fn attach(&self, fd: OwnedFd, path: &CStr, created: bool) -> Result<PosixQueue> {
        let queue = PosixQueue::of(fd, path.to_string_lossy().into())?;
        if created {
            let owned = if self.owned { Some(Owned::new(OwnedKind::PosixQueue, queue.name())?) } else { None };
            return Ok(PosixQueue { _owned: owned, ..queue });
        }
        let asked = (self.capacity.unwrap_or(queue.capacity), self.message_size.unwrap_or(queue.message_size));
        if asked != (queue.capacity, queue.message_size) {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "open POSIX queue {path:?}: it is there with {} messages of {} bytes, not {} of {}; ask for these, for none, or unlink it first",
                    queue.capacity, queue.message_size, asked.0, asked.1
                ),
            ));
        }
        Ok(queue)
    }

    #[cold]
    fn not_created(&self, errno: Errno, path: &CStr) -> Error {
        let (capacity, message_size) = self.geometry();
        let tried = format!("create POSIX queue {path:?} for {capacity} messages of {message_size} bytes");
        match errno {
            Errno::EINVAL => {
                Error::new(ErrorKind::Invalid, format!("{tried}: {}", out_of_bounds(capacity, message_size)))
            }
            Errno::EEXIST => Error::new(
                ErrorKind::Exists,
                format!(
                    "create POSIX queue {path:?}: the name is taken; open it, or unlink it first{}",
                    whose(OwnedKind::PosixQueue, OsStr::from_bytes(path.to_bytes()))
                ),
            ),
            Errno::ENOSPC => Error::new(
                ErrorKind::NoSpace,
                format!(
                    "{tried}: there are as many queues as there may be: {QUEUES_MAX}, a limit for all without CAP_SYS_RESOURCE; unlink some, or let an administrator write more to that file"
                ),
            ),
            Errno::EMFILE if has_descriptors() => {
                let (soft, hard) = limits_of_user();
                Error::new(
                    ErrorKind::System(libc::EMFILE),
                    format!(
                        "{tried}: it needs {} bytes and a hundred more for each message, and all POSIX queues of user {} together, privileged or not, may have {soft} (RLIMIT_MSGQUEUE); unlink some, ask for less, or raise the limit (ulimit -q; without CAP_SYS_RESOURCE up to {hard})",
                        capacity.saturating_mul(message_size),
                        getuid(), // the real one is charged
                    ),
                )
            }
            Errno::EACCES | Errno::EPERM => Error::new(
                ErrorKind::Permission,
                format!("{tried}: a security policy of this system, or of the container, forbids it"),
            ),
            errno => refused(errno, tried),
        }
    }

    #[cold]
    fn not_opened(&self, errno: Errno, path: &CStr) -> Error {
        let tried = format!("open POSIX queue {path:?}");
        let purpose = match self.access {
            QueueAccess::Both => "sending and receiving",
            QueueAccess::Send => "sending",
            QueueAccess::Receive => "receiving",
        };
        match errno {
            Errno::ENOENT => Error::new(
                ErrorKind::NotFound,
                format!("{tried}: there is none of this name; create it, or look whether its creator has removed it"),
            ),
            Errno::EACCES | Errno::EPERM => Error::new(
                ErrorKind::Permission,
                format!(
                    "{tried}: its mode does not admit user {} for {purpose}; its creator can choose another mode",
                    effective_uid()
                ),
            ),
            errno => refused(errno, tried),
        }
    }
}

impl PosixQueue {
    /// Creates the queue `name` with the system's default geometry; see [`PosixQueueOptions`].
    ///
    /// # Errors
    ///
    /// As [`PosixQueueOptions::create`].
    pub fn create(name: &str) -> Result<PosixQueue> {
        PosixQueueOptions::new().create(name)
    }

    /// Opens the queue `name`, which must exist.
    ///
    /// # Errors
    ///
    /// As [`PosixQueueOptions::open`].
    pub fn open(name: &str) -> Result<PosixQueue> {
        PosixQueueOptions::new().open(name)
    }

    /// Opens the queue `name`, or creates it with the system's default geometry.
    ///
    /// # Errors
    ///
    /// As [`PosixQueueOptions::open_or_create`].
    pub fn open_or_create(name: &str) -> Result<PosixQueue> {
        PosixQueueOptions::new().open_or_create(name)
    }

    /// Removes the name. Who has the queue open goes on using it; it ends, with its messages, when the last one closes it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound); [`Permission`](ErrorKind::Permission) for who neither owns it nor is root.
    pub fn unlink(name: &str) -> Result<()> {
        let path = checked(name)?;
        // SAFETY: `path` is a string that ends with NUL.
        match Errno::result(unsafe { libc::mq_unlink(path.as_ptr()) }) {
            Ok(_) => Ok(()),
            Err(Errno::ENOENT) => {
                let message = format!("unlink POSIX queue {path:?}: there is none of this name");
                Err(Error::new(ErrorKind::NotFound, message))
            }
            Err(Errno::EACCES | Errno::EPERM) => Err(Error::new(
                ErrorKind::Permission,
                format!(
                    "unlink POSIX queue {path:?}: only its owner and root may, and you are user {}",
                    effective_uid()
                ),
            )),
            Err(errno) => Err(refused(errno, format!("unlink POSIX queue {path:?}"))),
        }
    }

    /// The queue behind a descriptor that was inherited, or came over a socket.
    ///
    /// # Errors
    ///
    /// [`Incompatible`](ErrorKind::Incompatible) if it is no queue's.
    pub fn from_fd(fd: OwnedFd) -> Result<PosixQueue> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let name = link.map_or_else(|_| "?".into(), |link| link.to_string_lossy().into_owned());
        PosixQueue::of(fd, name.into())
    }

    fn of(fd: OwnedFd, name: Box<str>) -> Result<PosixQueue> {
        let attributes = attributes(fd.as_fd()).map_err(|errno| match errno {
            Errno::EBADF => {
                let message = format!("descriptor {} ({name}) is no POSIX queue", fd.as_raw_fd());
                Error::new(ErrorKind::Incompatible, message)
            }
            errno => Error::os(errno as i32, format_args!("attributes of POSIX queue {name:?}")),
        })?;
        let (capacity, message_size) = (attributes.mq_maxmsg as usize, attributes.mq_msgsize as usize);
        Ok(PosixQueue { fd, name, message_size, capacity, _owned: None })
    }
}

impl From<PosixQueue> for OwnedFd {
    /// The descriptor alone. A queue that was owned is removed now.
    fn from(queue: PosixQueue) -> OwnedFd {
        queue.fd
    }
}

/// What any call may be refused for.
fn refused(errno: Errno, tried: String) -> Error {
    match errno {
        Errno::ENOSYS => Error::new(
            ErrorKind::Unsupported,
            format!(
                "{tried}: this system has no POSIX queues: its kernel lacks CONFIG_POSIX_MQUEUE, or the container forbids them; a SysvQueue or a mailbox may do"
            ),
        ),
        Errno::EMFILE => {
            Error::os(errno as i32, format_args!("{tried}: this process has no descriptor left (ulimit -n)"))
        }
        errno => Error::os(errno as i32, tried),
    }
}

fn opened(path: &CStr, flags: libc::c_int, mode: u32, attr: Option<&libc::mq_attr>) -> nix::Result<OwnedFd> {
    let attr = attr.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `path` ends with NUL; `attr` is null or points to a whole mq_attr, which the kernel reads. Both are passed
    // as the variadic function takes them, and ignored without O_CREAT.
    let fd = Errno::result(unsafe { libc::mq_open(path.as_ptr(), flags, mode as libc::mode_t, attr) })?;
    // SAFETY: the kernel just gave us this descriptor (on Linux a queue's is one); nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The name with its slash, as the system takes it; `name` may come without.
fn checked(name: &str) -> Result<CString> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let wrong = if bare.is_empty() {
        "is empty; give it 1 to 255 bytes".to_string()
    } else if bare.len() > LONGEST {
        format!("has {} bytes; the longest has {LONGEST} and a slash", bare.len())
    } else if bare.contains('/') {
        "contains '/' behind its beginning; write /name or name".to_string()
    } else if bare == "." || bare == ".." {
        "is a directory's name; choose another".to_string()
    } else if let Ok(path) = CString::new(format!("/{bare}")) {
        return Ok(path);
    } else {
        "contains NUL; use printable characters".to_string()
    };
    let shown: String = name.chars().take(80).collect();
    Err(Error::new(ErrorKind::Invalid, format!("POSIX queue name {shown:?} {wrong}")))
}

/// Is there a descriptor left? EMFILE means either limit.
fn has_descriptors() -> bool {
    std::fs::File::open("/").is_ok()
}

/// Why no queue can be made for so many messages of so many bytes.
fn out_of_bounds(capacity: usize, message_size: usize) -> String {
    if capacity == 0 || message_size == 0 {
        return "both must be 1 at least".to_string();
    }
    let (mut of_all, mut of_most) = (Vec::new(), Vec::new());
    for (wanted, most, of_any, limit) in [
        (capacity, HARD_MSG_MAX, "messages are the most that any queue holds", MSG_MAX),
        (message_size, HARD_MSGSIZE_MAX, "bytes are the most in one message of any queue", MSGSIZE_MAX),
    ] {
        if wanted > most {
            of_all.push(format!("{most} {of_any}, "));
        }
        if limit.is_below(wanted as u64) {
            of_most.push(limit.to_string());
        }
    }
    if of_most.is_empty() {
        of_most.extend([MSG_MAX.to_string(), MSGSIZE_MAX.to_string()]); // not to be seen, or just raised
    }
    let administrator = if of_all.is_empty() { ", or let an administrator write more to that file" } else { "" };
    let (of_all, of_most) = (of_all.concat(), of_most.join(", "));
    format!("{of_all}{of_most}, a limit for all without CAP_SYS_RESOURCE; ask for less{administrator}")
}

/// `RLIMIT_MSGQUEUE`, soft and hard, in words.
fn limits_of_user() -> (String, String) {
    let bytes = |limit| match limit {
        libc::RLIM_INFINITY => "any number of bytes".to_string(),
        bytes => format!("{bytes} bytes"),
    };
    getrlimit(Resource::RLIMIT_MSGQUEUE)
        .map_or_else(|_| ("so many bytes".into(), "so many".into()), |(soft, hard)| (bytes(soft), bytes(hard)))
}
