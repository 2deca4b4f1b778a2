//! One operation of several: what is to happen to which semaphore, and what the kernel's refusals mean.

use super::SysvSemaphores;
use crate::error::{Error, ErrorKind};
use nix::errno::Errno;
use std::fmt;

/// What is to happen to one semaphore of a set: permits are taken or added, or its value 0 is waited for.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct SemaphoreOperation(libc::sembuf);

impl SemaphoreOperation {
    /// Takes permits where `delta` is negative, adds them where it is positive, waits for the value 0 where it is 0.
    pub const fn new(index: u16, delta: i16) -> SemaphoreOperation {
        SemaphoreOperation(libc::sembuf { sem_num: index, sem_op: delta, sem_flg: 0 })
    }

    /// Takes `n` permits, at most [`SysvSemaphores::MAX`]; 0 waits for the value 0.
    pub const fn wait(index: u16, n: u16) -> SemaphoreOperation {
        let n = if n > SysvSemaphores::MAX { SysvSemaphores::MAX } else { n };
        SemaphoreOperation::new(index, -(n as i16))
    }

    /// Adds `n` permits, at most [`SysvSemaphores::MAX`].
    pub const fn post(index: u16, n: u16) -> SemaphoreOperation {
        let n = if n > SysvSemaphores::MAX { SysvSemaphores::MAX } else { n };
        SemaphoreOperation::new(index, n as i16)
    }

    /// Waits until the value is 0.
    pub const fn zero(index: u16) -> SemaphoreOperation {
        SemaphoreOperation::new(index, 0)
    }

    /// The same, undone when this process ends.
    pub const fn undo(self) -> SemaphoreOperation {
        SemaphoreOperation(libc::sembuf { sem_flg: libc::SEM_UNDO as i16, ..self.0 })
    }

    /// Which semaphore.
    pub const fn index(self) -> u16 {
        self.0.sem_num
    }

    /// How its value changes.
    pub const fn delta(self) -> i16 {
        self.0.sem_op
    }

    /// Is it undone when this process ends?
    pub const fn is_undone(self) -> bool {
        self.0.sem_flg != 0
    }
}

impl fmt::Debug for SemaphoreOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undo = if self.is_undone() { " with undo" } else { "" };
        write!(f, "semaphore {} {:+}{undo}", self.index(), self.delta())
    }
}

/// `SEMMSL SEMMNS SEMOPM SEMMNI`: semaphores of a set, of all sets, operations of a call, sets.
pub(super) fn limits() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/sem") {
        Ok(numbers) => {
            let numbers: Vec<&str> = numbers.split_whitespace().collect();
            format!(
                "/proc/sys/kernel/sem is \"{}\" (semaphores of one set, of all sets, operations of one call, sets); root can change it",
                numbers.join(" ")
            )
        }
        Err(_) => "/proc/sys/kernel/sem says how many, and is not to be seen here".to_string(),
    }
}

/// The error for operations that the kernel has refused.
#[cold]
pub(super) fn refused(set: &SysvSemaphores, operations: &[SemaphoreOperation], errno: Errno) -> Error {
    let shown = &operations[..operations.len().min(4)];
    let more = if operations.len() > shown.len() { ", …" } else { "" };
    let tried = format!("operate on {set}, {shown:?}{more}");
    match errno {
        Errno::EINVAL if operations.is_empty() => {
            Error::new(ErrorKind::Invalid, format!("operate on {set}: no operation is given"))
        }
        Errno::EFBIG => {
            Error::new(ErrorKind::Invalid, format!("{tried}: it has {} semaphores, numbered from 0", set.count))
        }
        Errno::E2BIG => {
            Error::new(ErrorKind::TooLarge, format!("{tried}: {} are too many; {}", operations.len(), limits()))
        }
        Errno::ERANGE => Error::new(
            ErrorKind::Overflow,
            format!(
                "{tried}: a value, or what is noted for undo, would pass {}; nothing was done",
                SysvSemaphores::MAX
            ),
        ),
        errno => set.failed("operate on", errno),
    }
}

/// For an array of operations from outside: pairs of index and delta with a flag.
impl From<(u16, i16, bool)> for SemaphoreOperation {
    fn from((index, delta, undo): (u16, i16, bool)) -> SemaphoreOperation {
        let operation = SemaphoreOperation::new(index, delta);
        if undo { operation.undo() } else { operation }
    }
}
