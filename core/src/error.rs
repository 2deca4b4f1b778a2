//! The one table of error codes: number, names in three languages, sentence.
//!
//! Where POSIX has a number for what went wrong, that number is ours too; our own begin at 1000.
//! The C constants, `tvn_strerror` and the Python exceptions are made from [`ErrorKind::TABLE`],
//! and a test walks it in all three languages.

use std::fmt;

/// What every fallible call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One row of the table of error codes.
#[derive(Clone, Copy, Debug)]
pub struct ErrorRow {
    /// The kind this row describes.
    pub kind: ErrorKind,
    /// The number: POSIX where POSIX has one, from 1000 on where it has none. C returns it negated.
    pub errno: i32,
    /// The constant's name in C: POSIX's own (`EAGAIN`) or ours (`TVN_ECORRUPT`).
    pub c_name: &'static str,
    /// The exception's name in Python: a built-in one, or a class in `triveni`.
    pub python: &'static str,
    /// One sentence, without a full stop, for when no better message is at hand.
    pub sentence: &'static str,
}

macro_rules! table {
    ($($(#[doc = $doc:literal])* $kind:ident = $errno:expr, $c:literal, $py:literal, $sentence:literal;)*) => {
        /// What went wrong. [`ErrorKind::errno`] is its number, the same in all languages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])* $kind,)*
            /// Any other error number that a system call reported.
            System(i32),
        }

        impl ErrorKind {
            /// Every kind that has a name of its own, in the order of the documentation.
            pub const TABLE: &'static [ErrorRow] = &[
                $(ErrorRow { kind: ErrorKind::$kind, errno: $errno, c_name: $c, python: $py, sentence: $sentence },)*
            ];
        }
    };
}

table! {
    /// A `try_` form found nothing to take. Rust's `try_` calls answer instead of failing with this.
    WouldBlock = libc::EAGAIN, "EAGAIN", "BlockingIOError", "the call would have to wait";
    /// The deadline passed.
    Timeout = libc::ETIMEDOUT, "ETIMEDOUT", "TimeoutError", "the deadline passed";
    /// A signal handler ran during an interruptible wait.
    Interrupted = libc::EINTR, "EINTR", "InterruptedError", "a signal interrupted the wait";
    /// The previous holder died while it held the lock. The lock is held by the caller now.
    OwnerDied = libc::EOWNERDEAD, "EOWNERDEAD", "OwnerDied", "the previous holder died while it held the lock";
    /// A process that takes part in the barrier died, or somebody reset it.
    Broken = 1004, "TVN_EBROKEN", "Broken", "a process that takes part in the barrier died, or it was reset";
    /// The only process that could have ended this wait is dead.
    PeerDead = libc::ECONNRESET, "ECONNRESET", "PeerDead", "the process at the other end is dead";
    /// The channel was shut down: nothing is sent any more, and everything sent before has been received.
    Closed = libc::EPIPE, "EPIPE", "Closed", "the channel was shut down";
    /// The writer was faster than this reader: messages were overwritten before they were read. The next call goes on
    /// with what is there.
    Lost = 1005, "TVN_ELOST", "Lost", "messages were overwritten before they were read";
    /// This reader kept a writer waiting too long and was put out.
    Evicted = 1006, "TVN_EEVICTED", "Evicted", "this reader kept the writer waiting too long and was put out";
    /// The server of a call said that it could not answer, or let go of the request without an answer.
    Failed = 1007, "TVN_EFAILED", "Failed", "the server could not answer the request";
    /// The object was removed while it was in use.
    Removed = libc::EIDRM, "EIDRM", "Removed", "the object was removed";
    /// The handle or guard was made before `fork` and belongs to the parent.
    Forked = 1000, "TVN_EFORKED", "Forked", "this belongs to the parent process; take it anew after fork";
    /// Waiting would never end: the calling thread holds the lock already, or threads wait for each other in a circle.
    Deadlock = libc::EDEADLK, "EDEADLK", "Deadlock", "waiting for this would never end";
    /// The calling thread does not hold what it tried to give back.
    NotOwner = libc::EPERM, "EPERM", "NotOwner", "the calling thread does not hold this";
    /// A live process has what can be had only once.
    Busy = libc::EBUSY, "EBUSY", "Busy", "a live process has it";
    /// No room: in the segment, in one of its tables, or in the system's memory.
    NoSpace = libc::ENOSPC, "ENOSPC", "NoSpace", "no room left";
    /// A message or record is larger than the object takes, or than the buffer holds.
    TooLarge = libc::EMSGSIZE, "EMSGSIZE", "TooLarge", "too large";
    /// A count would pass its maximum.
    Overflow = libc::EOVERFLOW, "EOVERFLOW", "OverflowError", "the count would pass its maximum";
    /// What was read from the segment cannot be: some process wrote garbage into it.
    Corrupt = 1001, "TVN_ECORRUPT", "Corrupt", "the segment holds garbage";
    /// Another kind of object, another geometry, or a segment of another version.
    Incompatible = 1002, "TVN_EINCOMPATIBLE", "Incompatible", "what is there is of another kind, geometry or version";
    /// No segment or object has this name.
    NotFound = libc::ENOENT, "ENOENT", "FileNotFoundError", "nothing has this name";
    /// A segment or object has this name already.
    Exists = libc::EEXIST, "EEXIST", "FileExistsError", "the name is taken";
    /// The system or the segment's mode forbids it.
    Permission = libc::EACCES, "EACCES", "PermissionError", "not permitted";
    /// An argument no object could accept.
    Invalid = libc::EINVAL, "EINVAL", "ValueError", "an argument is out of range";
    /// This system lacks something triveni stands on.
    Unsupported = libc::ENOSYS, "ENOSYS", "Unsupported", "this system does not support it";
    /// A bug in triveni: a panic was caught at the boundary to another language.
    Panic = 1003, "TVN_EPANIC", "Panic", "a bug in triveni: a panic was caught";
}

impl ErrorKind {
    fn row(self) -> Option<&'static ErrorRow> {
        Self::TABLE.iter().find(|row| row.kind == self)
    }

    /// The number of this kind: POSIX's, or ours from 1000 on.
    pub fn errno(self) -> i32 {
        match self {
            ErrorKind::System(errno) => errno,
            kind => kind.row().map_or(libc::EINVAL, |row| row.errno),
        }
    }

    /// The kind with this number; a number that is not in the table becomes [`ErrorKind::System`].
    pub fn from_errno(errno: i32) -> ErrorKind {
        Self::TABLE.iter().find(|row| row.errno == errno).map_or(ErrorKind::System(errno), |row| row.kind)
    }

    /// One sentence about this kind.
    pub fn sentence(self) -> &'static str {
        self.row().map_or("the system reported an error", |row| row.sentence)
    }
}

/// An error: its [`ErrorKind`] and, on all but the hot paths, a sentence that says what was tried,
/// on what, with which value, and what to do.
pub struct Error {
    kind: ErrorKind,
    message: Option<Box<str>>,
}

impl Error {
    /// An error with a message of its own.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: Some(message.into().into_boxed_str()) }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Its number; the same in all three languages.
    pub fn errno(&self) -> i32 {
        self.kind.errno()
    }

    /// The error a system call left in `errno`; `tried` says what was tried and on what.
    #[cold]
    pub(crate) fn last_os(tried: impl fmt::Display) -> Error {
        Error::os(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL), tried)
    }

    /// The error of a system call that failed with `errno`.
    #[cold]
    pub(crate) fn os(errno: i32, tried: impl fmt::Display) -> Error {
        let said = std::io::Error::from_raw_os_error(errno);
        let kind = match errno {
            libc::EPERM => ErrorKind::Permission, // Not our NotOwner, which shares POSIX's number.
            errno => ErrorKind::from_errno(errno),
        };
        Error::new(kind, format!("{tried}: {said}"))
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error { kind, message: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => f.write_str(message),
            None => f.write_str(self.kind.sentence()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({}): {self}", self.kind, self.errno())
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        let kind = std::io::Error::from_raw_os_error(error.errno()).kind();
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_for_one_kind() {
        for row in ErrorKind::TABLE {
            assert_eq!(ErrorKind::from_errno(row.errno), row.kind);
            assert_eq!(row.kind.errno(), row.errno);
        }
    }

    #[test]
    fn a_message_replaces_the_sentence() {
        assert_eq!(Error::from(ErrorKind::Busy).to_string(), "a live process has it");
        assert_eq!(Error::new(ErrorKind::Busy, "ring \"r\": taken").to_string(), "ring \"r\": taken");
    }
}
