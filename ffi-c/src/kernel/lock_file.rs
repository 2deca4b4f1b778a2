//! Lock files in C.

use super::TVN_OWNED;
use crate::argument::{chars, output, path};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use std::ffi::{c_char, c_int, c_uint};
use triveni::kernel::{LockFile, LockFileGuard, LockFileHolder, LockFileOptions};
use triveni::{Error, ErrorKind};

/// A lock that stands as a file: who makes the file has the lock, who removes it lets go.
pub struct tvn_lock_file_t(Option<LockFileGuard>);

/// For `flags` of tvn_lock_file_lock(): a file that a dead process left is taken over instead of -ECONNRESET.
pub const TVN_TAKE_OVER: c_uint = 2;

/// Whose a lock file is, by what lies in it.
#[repr(C)]
pub struct tvn_lock_file_holder_t {
    /// Its maker's pid; 0 if the file does not say.
    pub pid: u32,
    /// 1 if its maker is alive, 0 if it is dead; -1 if nobody can say: another program's file, or another pid namespace.
    pub alive: i32,
    /// Its maker's program; empty if the file does not say.
    pub program: [c_char; 36],
}

/// Makes the lock file `path` with `mode` (0600 for its user alone) less the umask; waits until nobody else has it, and
/// tries again after pauses that grow to 4 ms. The file says who made it; one that a dead process left is recognised. With
/// TVN_TAKE_OVER in `flags` such a file is taken over: ask tvn_lock_file_left_by(). With TVN_OWNED `triveni ls` shows the
/// file as a leftover if this process is killed. Lends `path`, gives `*out`. The lock is this process's: a forked child
/// does not have it. Any thread.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECONNRESET if a dead process left
/// the file; -ENOENT if the folder is not there; -EACCES; what open(2) and link(2) report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_lock_file_lock(
    path: *const c_char,
    mode: c_uint,
    flags: c_uint,
    timeout_ms: c_int,
    out: *mut *mut tvn_lock_file_t,
) -> c_int {
    call("tvn_lock_file_lock", || {
        if flags & !(TVN_OWNED | TVN_TAKE_OVER) != 0 {
            let sentence = format!("the flags {flags:#x} are none; give TVN_OWNED, TVN_TAKE_OVER, both or 0");
            return Err(Error::new(ErrorKind::Invalid, sentence));
        }
        let (owned, take_over) = (flags & TVN_OWNED != 0, flags & TVN_TAKE_OVER != 0);
        let options = LockFileOptions::default().mode(mode).owned(owned).take_over(take_over);
        // SAFETY: the C contract: NULL or a string, NULL or a place for a handle.
        unsafe {
            let file = LockFile::new(self::path(path)?, options);
            give(out, || {
                let guard = match timeout_ms {
                    TVN_TRY => tried(file.try_lock()?),
                    ms => file.lock_until(deadline(ms)),
                };
                guard.map(|guard| tvn_lock_file_t(Some(guard)))
            })
        }
    })
}

/// Removes the lock file. Takes `lock`, also when it fails; NULL is fine. Never blocks. Any thread.
/// @return 0; -EPERM if the file is not ours any more, because somebody removed it, or this is a forked child: nothing is
/// removed then; what unlink(2) reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_lock_file_unlock(lock: *mut tvn_lock_file_t) -> c_int {
    call("tvn_lock_file_unlock", || {
        if lock.is_null() {
            return Ok(());
        }
        // SAFETY: the C contract: a handle that nobody else uses any more.
        let guard = unsafe { crate::handle::lend_mut(lock) }?.0.take();
        // SAFETY: as above; the reference to it is gone.
        unsafe { take(lock) }?;
        guard.map_or(Ok(()), LockFileGuard::unlock)
    })
}

/// Who had the lock before, if its file was taken over: put right first what that process may have left half done. Lends
/// `lock`. Never blocks. Any thread.
/// @return the pid of the dead process; 0 if the file was made anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_lock_file_left_by(lock: *const tvn_lock_file_t) -> i64 {
    call("tvn_lock_file_left_by", || {
        // SAFETY: the C contract: NULL or a handle, not unlocked during this call.
        let guard = unsafe { &lend(lock)?.0 };
        let left_by = guard.as_ref().and_then(LockFileGuard::taken_over_from);
        Ok(u64::from(left_by.and_then(|holder| holder.pid).unwrap_or(0)))
    })
}

/// Whose the lock file `path` is. Lends `path` and `out`. Never blocks. Any thread.
/// @return 1 if it is there; 0 if it is not, and `*out` is untouched; -EACCES if it cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_lock_file_holder(path: *const c_char, out: *mut tvn_lock_file_holder_t) -> c_int {
    call("tvn_lock_file_holder", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for the answer.
        let (path, out) = unsafe { (self::path(path)?, output(out)?) };
        let found = LockFile::new(path, LockFileOptions::default()).holder()?;
        if let Some(LockFileHolder { pid, program, alive }) = &found {
            let alive = alive.map_or(-1, i32::from);
            out.write(tvn_lock_file_holder_t { pid: pid.unwrap_or(0), alive, program: chars(program) });
        }
        Ok(found.is_some())
    })
}
