//! What there is to know about POSIX queues: one that is open, and all of them where a file system shows them.

use super::PosixQueue;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest line the kernel shows of a queue, and more.
const LINE: usize = 256;

/// What the kernel tells about a POSIX queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosixQueueInfo {
    /// Its name, with the slash.
    pub name: String,
    /// Who may open it: the bits of its mode.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many messages are in it; `None` where only its owner may see that.
    pub messages: Option<usize>,
    /// How many messages it holds.
    pub capacity: Option<usize>,
    /// The largest message in bytes.
    pub message_size: Option<usize>,
    /// Bytes in all its messages; `None` where this process may not receive.
    pub bytes: Option<usize>,
    /// The process that asked to be notified of a message and was not told yet.
    pub notifies: Option<u32>,
}

impl PosixQueue {
    /// What the kernel tells about this queue at this moment.
    ///
    /// # Errors
    ///
    /// None on a handle that is open.
    pub fn info(&self) -> Result<PosixQueueInfo> {
        let tried = |errno: Errno| Error::os(errno as i32, format_args!("attributes of POSIX queue {:?}", self.name));
        let stat = fstat(self.as_fd()).map_err(tried)?;
        let attributes = attributes(self.as_fd()).map_err(tried)?;
        let line = line_of(self.as_fd());
        Ok(PosixQueueInfo {
            name: self.name().to_string(),
            mode: stat.st_mode & 0o777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            ..told(Some(attributes), line.as_deref())
        })
    }

    /// All POSIX queues of this system (of this container), where a file system of type `mqueue` is mounted.
    ///
    /// It opens each queue and closes it again, which ends a notification that this very process has asked for.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) where none is: the system has no other way to ask.
    pub fn list() -> Result<Vec<PosixQueueInfo>> {
        let Some(directory) = mounted() else {
            let message = "list POSIX queues: no file system of type mqueue is mounted here, and nothing else shows them; as root: mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let tried = |error: std::io::Error| {
            Error::os(error.raw_os_error().unwrap_or(libc::EIO), format_args!("list POSIX queues in {directory:?}"))
        };
        let mut all = Vec::new();
        for entry in fs::read_dir(&directory).map_err(tried)? {
            let entry = entry.map_err(tried)?;
            // One that is gone by now is not there.
            if let Ok(metadata) = entry.metadata() {
                let path = entry.path();
                let name = format!("/{}", entry.file_name().to_string_lossy());
                let (mode, uid, gid) = (metadata.mode() & 0o777, metadata.uid(), metadata.gid());
                all.push(PosixQueueInfo { name, mode, uid, gid, ..shown(&path) });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

/// What a queue's file in the mounted file system tells: to open it is to open the queue.
fn shown(path: &Path) -> PosixQueueInfo {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path).ok();
    let attributes = file.as_ref().and_then(|file| attributes(file.as_fd()).ok());
    told(attributes, file.as_ref().and_then(|file| line_of(file.as_fd())).as_deref())
}

fn told(attributes: Option<libc::mq_attr>, line: Option<&str>) -> PosixQueueInfo {
    let of = |field: fn(&libc::mq_attr) -> libc::c_long| {
        attributes.as_ref().and_then(|attributes| usize::try_from(field(attributes)).ok())
    };
    PosixQueueInfo {
        name: String::new(),
        mode: 0,
        uid: 0,
        gid: 0,
        messages: of(|attributes| attributes.mq_curmsgs),
        capacity: of(|attributes| attributes.mq_maxmsg),
        message_size: of(|attributes| attributes.mq_msgsize),
        bytes: line.and_then(|line| field(line, "QSIZE:")).and_then(|bytes| usize::try_from(bytes).ok()),
        notifies: line
            .and_then(|line| field(line, "NOTIFY_PID:"))
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
    }
}

/// `QSIZE:5          NOTIFY:0     SIGNO:10    NOTIFY_PID:4711`: what a queue's descriptor reads as.
///
/// `None` where it was opened for sending only.
fn line_of(queue: BorrowedFd<'_>) -> Option<String> {
    let mut line = [0u8; LINE];
    // Not through a `File` of our own: closing any descriptor of a queue ends this process's wish to be notified.
    // SAFETY: the descriptor is open, as it is borrowed; `line` is ours and has LINE bytes.
    let n = unsafe { libc::pread(queue.as_raw_fd(), line.as_mut_ptr().cast(), LINE, 0) };
    Some(String::from_utf8_lossy(line.get(..usize::try_from(n).ok()?)?).into_owned())
}

/// The number behind `name`.
fn field(line: &str, name: &str) -> Option<u64> {
    line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name))?.parse().ok()
}

/// What mq_getattr(3) tells about the queue behind a descriptor.
pub(super) fn attributes(fd: BorrowedFd<'_>) -> nix::Result<libc::mq_attr> {
    let mut attributes = MaybeUninit::<libc::mq_attr>::zeroed();
    // SAFETY: the descriptor is open, as it is borrowed; the kernel writes a whole mq_attr to a local.
    Errno::result(unsafe { libc::mq_getattr(fd.as_raw_fd(), attributes.as_mut_ptr()) })?;
    // SAFETY: written by the kernel, and zeros before: integers either way.
    Ok(unsafe { attributes.assume_init() })
}

/// Where a file system of type mqueue is mounted.
fn mounted() -> Option<PathBuf> {
    let mut table = Vec::new();
    File::open("/proc/self/mountinfo").ok()?.read_to_end(&mut table).ok()?;
    table.split(|byte| *byte == b'\n').find_map(mount_of)
}

/// The mount point in a line of mountinfo (proc(5)), if it is of type mqueue.
fn mount_of(line: &[u8]) -> Option<PathBuf> {
    let mut words = line.split(|byte| *byte == b' ');
    let point = words.by_ref().nth(4)?;
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    (kind == b"mqueue").then(|| unescaped(point))
}

/// A path as the kernel writes it into a table: spaces and the like are `\040`, three octal digits.
fn unescaped(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        let escaped = behind
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| matches!(digit, b'0'..=b'7')))
            .map(|digits| digits.iter().fold(0u32, |n, digit| n << 3 | u32::from(digit - b'0')) as u8);
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { behind.get(3..).unwrap_or_default() } else { behind };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod parsing {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_mount_is_found_by_its_type_and_its_path_is_unescaped() {
        let line = b"36 25 0:20 / /dev/my\\040queues rw,nosuid shared:17 - mqueue mqueue rw";
        assert_eq!(mount_of(line).unwrap().as_os_str().as_bytes(), b"/dev/my queues");
        assert_eq!(mount_of(b"36 25 0:20 / /tmp rw - tmpfs mqueue rw"), None);
        assert_eq!(mount_of(b"36 25 0:20 / /tmp rw,mqueue - "), None);
    }

    #[test]
    fn a_queues_line_is_read_by_its_names() {
        let line = "QSIZE:129        NOTIFY:2     SIGNO:0     NOTIFY_PID:8260 \n";
        assert_eq!((field(line, "QSIZE:"), field(line, "NOTIFY_PID:")), (Some(129), Some(8260)));
        assert_eq!(field("QSIZE:99999999999999999999999", "QSIZE:"), None);
        let info = told(None, Some(line));
        assert_eq!((info.bytes, info.notifies, info.messages), (Some(129), Some(8260), None));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_harm(line: Vec<u8>, path: Vec<u8>) {
            let _ = (mount_of(&line), field(&String::from_utf8_lossy(&line), "QSIZE:"));
            prop_assert!(unescaped(&path).as_os_str().len() <= path.len());
        }
    }
}
