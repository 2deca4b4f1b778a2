//! System V semaphore sets (sysvipc(7)): several counters, changed several at once, indivisibly.
//!
//! # What the kernel guarantees
//!
//! The operations of one call happen all at one moment, or not yet: who waits has taken nothing meanwhile. So two
//! processes that need two resources each cannot hold one and wait for the other.
//!
//! # When a peer dies
//!
//! With *undo* the kernel gives back what a process has taken, and takes back what it has given, when it ends, also when
//! it is killed. Without, permits of the dead stay taken. Undo is the whole process's: a forked child begins without,
//! and the end of one thread undoes nothing. It brings back numbers, not data: what the dead was changing may be
//! half-changed.
//!
//! # What is left
//!
//! A set and its values stay when all its users have ended, until somebody removes it or the machine restarts. Removing
//! it ends every wait with `Removed`.
//!
//! # How it waits
//!
//! For ever by semop(2), otherwise by the system call semtimedop(2), also where the C library has no function for it.
//! Its timeout is a duration; after a signal it is computed anew from the deadline.
//!
//! # Who initialises
//!
//! semget(2) makes a set, semctl(2) sets its values: a process that opens it between the two would find zeros. As
//! Stevens describes it, a new set has never been operated on (`sem_otime` is 0): its creator sets the values and then
//! operates once, without an effect, and whoever opens waits for that. A plain program may set values and operate
//! much later: a set that has not changed for a second is taken as it is.

mod info;
mod open;
mod operation;
#[cfg(all(test, not(loom)))]
mod tests;

pub use info::{SysvSemaphoreInfo, SysvSemaphoresInfo};
pub use open::SysvSemaphoresOptions;
pub use operation::SemaphoreOperation;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::SysvKey;
use crate::kernel::owned::Owned;
use crate::kernel::sysv_status::{self, SetStatus, missing};
use crate::kernel::wait::remaining;
use libc::{c_int, c_long, timespec};
use nix::errno::Errno;
use operation::refused;
use std::fmt;

/// A set of System V semaphores: counters from 0 to [`MAX`](SysvSemaphores::MAX), numbered from 0 on.
///
/// Plain programs get the same by semget(2) and semop(2). Processes need not be related. Threads may share a handle, a
/// forked child goes on using its parent's.
///
/// The operations of one call happen all at one moment, or not yet. With undo, what a process did comes back when it ends,
/// also when it is killed; without, permits of the dead stay taken. A forked child begins with nothing to undo. Removing the
/// set ends every wait in it with `Removed`. A set keeps its values until somebody removes it. There is no descriptor to
/// poll.
///
/// ```
/// use triveni::kernel::{SemaphoreOperation, SysvKey, SysvSemaphores};
/// # fn main() -> triveni::Result<()> {
/// const MUTEX: u16 = 0;
/// const EMPTY: u16 = 1;
/// let set = SysvSemaphores::create(SysvKey::PRIVATE, &[1, 8])?;
/// set.operate(&[SemaphoreOperation::wait(EMPTY, 1), SemaphoreOperation::wait(MUTEX, 1).undo()])?; // both, or neither
/// assert_eq!(set.values()?, [0, 7]);
/// set.post(MUTEX, 1)?;
/// set.remove()
/// # }
/// ```
pub struct SysvSemaphores {
    id: c_int,
    key: SysvKey,
    count: u16,
    undo: bool,
    /// Removes the set when it is dropped.
    _owned: Option<Owned>,
}

impl SysvSemaphores {
    /// The most permits of one semaphore (`SEMVMX`).
    pub const MAX: u16 = 32767;

    /// [`SysvSemaphoresOptions::create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn create(key: SysvKey, initial: &[u16]) -> Result<SysvSemaphores> {
        SysvSemaphoresOptions::new().create(key, initial)
    }

    /// [`SysvSemaphoresOptions::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(key: SysvKey) -> Result<SysvSemaphores> {
        SysvSemaphoresOptions::new().open(key)
    }

    /// [`SysvSemaphoresOptions::open_id`].
    ///
    /// # Errors
    /// As there.
    pub fn open_id(id: i32) -> Result<SysvSemaphores> {
        SysvSemaphoresOptions::new().open_id(id)
    }

    /// [`SysvSemaphoresOptions::open_or_create`] with mode 0600.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(key: SysvKey, initial: &[u16]) -> Result<SysvSemaphores> {
        SysvSemaphoresOptions::new().open_or_create(key, initial)
    }

    /// Removes the set with this key: every wait in it ends with `Removed`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for [`SysvKey::PRIVATE`]; `Permission` unless the caller's user made or owns it.
    pub fn unlink(key: SysvKey) -> Result<()> {
        remove(open::find(key)?)
    }

    /// Removes this set; every wait in it ends with `Removed`, and so does every later call.
    ///
    /// # Errors
    /// `Permission`; `Removed` if somebody else was faster.
    pub fn remove(&self) -> Result<()> {
        remove(self.id).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::Removed, format!("remove {self}: it is removed already")),
            _ => e,
        })
    }

    /// Does all operations at one moment; waits, without having done any of them, until that can be.
    ///
    /// # Errors
    /// `Invalid` for none, for an index the set does not have, and for a delta below -[`MAX`](Self::MAX); `TooLarge`
    /// for more than `kernel.sem` admits in one call (500 unless changed); `Overflow` if a value would pass
    /// [`MAX`](Self::MAX); `NoSpace` if the kernel has no room to note an undo; `Removed`.
    pub fn operate(&self, operations: &[SemaphoreOperation]) -> Result<()> {
        self.operate_until(operations, Deadline::never())
    }

    /// Does all operations if that is possible at once; says whether it did.
    ///
    /// # Errors
    /// As [`operate`](Self::operate).
    pub fn try_operate(&self, operations: &[SemaphoreOperation]) -> Result<bool> {
        match self.operated(operations, Some(timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(()) => Ok(true),
            // An attempt does not sleep, so nothing interrupts it; if something did, it found nothing to do.
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(errno) => Err(refused(self, operations, errno)),
        }
    }

    /// Does all operations at one moment; waits for that until `until`.
    ///
    /// # Errors
    /// `Timeout`; `Interrupted` if the deadline is interruptible; otherwise as [`operate`](Self::operate).
    pub fn operate_until(&self, operations: &[SemaphoreOperation], until: Deadline) -> Result<()> {
        let mut passed = false;
        loop {
            let left = match remaining(until) {
                Ok(left) => left.map(|left| timespec { tv_sec: left.tv_sec(), tv_nsec: left.tv_nsec() }),
                Err(timeout) if passed => return Err(timeout),
                Err(_) => {
                    passed = true; // one attempt is everybody's
                    Some(timespec { tv_sec: 0, tv_nsec: 0 })
                }
            };
            match self.operated(operations, left) {
                Ok(()) => return Ok(()),
                Err(Errno::EINTR) if until.is_interruptible() => return Err(ErrorKind::Interrupted.into()),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(refused(self, operations, errno)),
            }
        }
    }

    /// One system call: for ever without `timeout`.
    fn operated(&self, operations: &[SemaphoreOperation], timeout: Option<timespec>) -> nix::Result<()> {
        let (first, count) = (operations.as_ptr(), operations.len());
        let done = match &timeout {
            // SAFETY: a `SemaphoreOperation` is a `sembuf` (repr(transparent)), and there are `count` of them. The call
            // writes nothing.
            None => c_long::from(unsafe { libc::semop(self.id, first.cast_mut().cast(), count) }),
            // SAFETY: as above, and `timeout` is a valid timespec; on 64-bit systems the kernel's is the C library's.
            Some(timeout) => unsafe {
                libc::syscall(libc::SYS_semtimedop, self.id, first, count, std::ptr::from_ref(timeout))
            },
        };
        Errno::result(done).map(|_| ())
    }

    /// Takes `n` permits of one semaphore (P); waits until there are so many, as long as it takes.
    ///
    /// # Errors
    /// As [`operate`](Self::operate); `Invalid` for 0.
    pub fn wait(&self, index: u16, n: u16) -> Result<()> {
        self.operate(&[self.taking(index, n)?])
    }

    /// Takes `n` permits if there are so many; says whether it did.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self, index: u16, n: u16) -> Result<bool> {
        self.try_operate(&[self.taking(index, n)?])
    }

    /// Takes `n` permits; waits until there are so many, or until `until`.
    ///
    /// # Errors
    /// `Timeout`; `Interrupted` if the deadline is interruptible; otherwise as [`wait`](Self::wait).
    pub fn wait_until(&self, index: u16, n: u16, until: Deadline) -> Result<()> {
        self.operate_until(&[self.taking(index, n)?], until)
    }

    /// Adds `n` permits to one semaphore (V) and wakes who can go on. Never waits.
    ///
    /// # Errors
    /// As [`operate`](Self::operate); `Invalid` for 0.
    pub fn post(&self, index: u16, n: u16) -> Result<()> {
        let operation = SemaphoreOperation::post(index, positive(self, n)?);
        self.operate(&[if self.undo { operation.undo() } else { operation }])
    }

    fn taking(&self, index: u16, n: u16) -> Result<SemaphoreOperation> {
        let operation = SemaphoreOperation::wait(index, positive(self, n)?);
        Ok(if self.undo { operation.undo() } else { operation })
    }

    /// The value of one semaphore at this moment; the next one may be another.
    ///
    /// # Errors
    /// `Invalid` for an index the set does not have; `Permission`; `Removed`.
    pub fn value(&self, index: u16) -> Result<u16> {
        Ok(self.control("read", self.checked(index)?, libc::GETVAL, 0)? as u16)
    }

    /// The values of all semaphores, at one moment.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn values(&self) -> Result<Vec<u16>> {
        let mut values = vec![0u16; self.count.into()];
        self.control("read", 0, libc::GETALL, values.as_mut_ptr() as usize)?;
        Ok(values)
    }

    /// Sets one semaphore and wakes who can go on. All undo that processes have noted for it is forgotten.
    ///
    /// # Errors
    /// `Invalid` for an index the set does not have, or a value above [`MAX`](Self::MAX); `Permission`; `Removed`.
    pub fn set(&self, index: u16, value: u16) -> Result<()> {
        self.at_most(value)?;
        self.control("set", self.checked(index)?, libc::SETVAL, value.into()).map(|_| ())
    }

    /// Sets all semaphores at one moment, and wakes who can go on. All undo for the set is forgotten.
    ///
    /// # Errors
    /// `Invalid` unless there is one value for each semaphore; otherwise as [`set`](Self::set).
    pub fn set_all(&self, values: &[u16]) -> Result<()> {
        if values.len() != usize::from(self.count) {
            let (given, count) = (values.len(), self.count);
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("set {self}: {given} values are given; it has {count} semaphores"),
            ));
        }
        values.iter().try_for_each(|&value| self.at_most(value))?;
        self.control("set", 0, libc::SETALL, values.as_ptr() as usize).map(|_| ())
    }

    /// What the kernel says about one semaphore: its value, who waits, who was last.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn semaphore_info(&self, index: u16) -> Result<SysvSemaphoreInfo> {
        let ask = |command| self.control("ask about", self.checked(index)?, command, 0).map(|n| n as u32);
        Ok(SysvSemaphoreInfo {
            value: ask(libc::GETVAL)? as u16,
            waiting: ask(libc::GETNCNT)?,
            waiting_for_zero: ask(libc::GETZCNT)?,
            last_pid: ask(libc::GETPID)?,
        })
    }

    /// What the kernel says about the set.
    ///
    /// # Errors
    /// `Permission`; `Removed`.
    pub fn info(&self) -> Result<SysvSemaphoresInfo> {
        match sysv_status::status::<SetStatus>(self.id, libc::IPC_STAT) {
            Ok((_, status)) => Ok(SysvSemaphoresInfo::of(self.id, &status)),
            Err(errno) => Err(self.failed("ask about", errno)),
        }
    }

    /// The whole table of sets, as `ipcs -s` shows it.
    ///
    /// # Errors
    /// `Unsupported` if the kernel has no System V IPC.
    pub fn list() -> Result<Vec<SysvSemaphoresInfo>> {
        let table = sysv_status::table::<SetStatus>()?;
        Ok(table.into_iter().map(|(id, status)| SysvSemaphoresInfo::of(id, &status)).collect())
    }

    /// Its identifier. Passed to another process, it opens the set.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Its key.
    pub fn key(&self) -> SysvKey {
        self.key
    }

    /// How many semaphores it has.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Does the end of this process undo what `wait` and `post` of this handle did?
    pub fn is_undone(&self) -> bool {
        self.undo
    }

    /// semctl(2) with the argument `argument`: a number, or an address that the caller made sure of.
    fn control(&self, verb: &str, index: c_int, command: c_int, argument: usize) -> Result<c_long> {
        // SAFETY: by `command` the kernel reads or writes `count` numbers at `argument`, for which the callers have an
        // array of that length; or it takes `argument` as a number, or not at all.
        let answer = unsafe { libc::syscall(libc::SYS_semctl, self.id, index, command, argument) };
        Errno::result(answer).map_err(|errno| self.failed(verb, errno))
    }

    fn checked(&self, index: u16) -> Result<c_int> {
        if index < self.count {
            return Ok(index.into());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!("{self} has {} semaphores, numbered from 0; {index} is none", self.count),
        ))
    }

    fn at_most(&self, value: u16) -> Result<()> {
        if value <= Self::MAX {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, format!("set {self}: {value} is too much; the most is {}", Self::MAX)))
    }

    #[cold]
    fn failed(&self, verb: &str, errno: Errno) -> Error {
        match errno {
            Errno::EINVAL | Errno::EIDRM => {
                Error::new(ErrorKind::Removed, format!("{verb} {self}: it was removed; create it anew"))
            }
            errno => open::failed(&format!("{verb} {self}"), errno),
        }
    }
}

fn positive(set: &SysvSemaphores, n: u16) -> Result<u16> {
    if (1..=SysvSemaphores::MAX).contains(&n) {
        return Ok(n);
    }
    let message = format!("{set}: {n} permits at once cannot be; the number is from 1 to {}", SysvSemaphores::MAX);
    Err(Error::new(ErrorKind::Invalid, message))
}

fn remove(id: c_int) -> Result<()> {
    // SAFETY: IPC_RMID takes no argument.
    let removed = unsafe { libc::syscall(libc::SYS_semctl, id, 0, libc::IPC_RMID, 0) };
    Errno::result(removed).map(|_| ()).map_err(|errno| match errno {
        Errno::EINVAL | Errno::EIDRM => Error::new(
            ErrorKind::NotFound,
            format!("remove System V semaphores {id}: there are none; `ipcs -s` lists what there is"),
        ),
        Errno::ENOSYS => missing(&format!("remove System V semaphores {id}")),
        errno => open::failed(&format!("remove System V semaphores {id}"), errno),
    })
}

impl fmt::Display for SysvSemaphores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System V semaphores {} (key {})", self.id, self.key)
    }
}

impl fmt::Debug for SysvSemaphores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SysvSemaphores(id {}, key {}, {} semaphores)", self.id, self.key, self.count)
    }
}
