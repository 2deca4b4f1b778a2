//! System V semaphore sets in C.

use super::TVN_OWNED;
use crate::argument::{array, items, output};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::fill;
use std::ffi::{c_int, c_uint};
use triveni::kernel::{
    SemaphoreOperation, SysvKey, SysvSemaphoreInfo, SysvSemaphores, SysvSemaphoresInfo, SysvSemaphoresOptions,
};
use triveni::{Error, ErrorKind, Result};

/// A set of System V semaphores. Any number of threads may use one handle.
pub struct tvn_sysv_semaphores_t(SysvSemaphores);

/// For `flags` of System V semaphores: what a process did is undone when it ends, also when it is killed.
pub const TVN_UNDO: c_uint = 4;

/// What is to happen to one semaphore of a set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tvn_semaphore_operation_t {
    /// Which one, from 0 on.
    pub index: u16,
    /// Permits to add; negative: to take; 0: wait until its value is 0.
    pub delta: i16,
    /// 0 or TVN_UNDO.
    pub flags: u32,
}

/// One semaphore of a set, at one moment.
#[repr(C)]
pub struct tvn_sysv_semaphore_info_t {
    /// Its value.
    pub value: u32,
    /// How many processes wait for permits.
    pub waiting: u32,
    /// How many processes wait for the value 0.
    pub waiting_for_zero: u32,
    /// The process that changed it last; 0: none yet.
    pub last_pid: u32,
}

impl From<SysvSemaphoreInfo> for tvn_sysv_semaphore_info_t {
    fn from(info: SysvSemaphoreInfo) -> tvn_sysv_semaphore_info_t {
        tvn_sysv_semaphore_info_t {
            value: info.value.into(),
            waiting: info.waiting,
            waiting_for_zero: info.waiting_for_zero,
            last_pid: info.last_pid,
        }
    }
}

/// What the kernel tells about a set of System V semaphores.
#[repr(C)]
pub struct tvn_sysv_semaphores_info_t {
    /// Its number.
    pub id: c_int,
    /// Its key (a `key_t`); 0: none.
    pub key: c_int,
    /// The bits of its mode.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many semaphores it has.
    pub count: u32,
    /// When somebody last operated on it, in seconds since 1970; 0: not yet.
    pub operated_at: i64,
    /// When it was made, or its values or mode were last set, in seconds since 1970.
    pub changed_at: i64,
}

impl From<SysvSemaphoresInfo> for tvn_sysv_semaphores_info_t {
    fn from(info: SysvSemaphoresInfo) -> tvn_sysv_semaphores_info_t {
        tvn_sysv_semaphores_info_t {
            id: info.id,
            key: info.key.number(),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            count: u32::try_from(info.count).unwrap_or(u32::MAX),
            operated_at: info.operated_at,
            changed_at: info.changed_at,
        }
    }
}

fn unknown(flags: c_uint) -> Error {
    Error::new(ErrorKind::Invalid, format!("the flags {flags:#x} are none here; give 0, TVN_OWNED or TVN_UNDO"))
}

fn options(mode: c_uint, flags: c_uint) -> Result<SysvSemaphoresOptions> {
    match flags & !(TVN_OWNED | TVN_UNDO) {
        0 => Ok(SysvSemaphoresOptions::new().mode(mode).owned(flags & TVN_OWNED != 0).undo(flags & TVN_UNDO != 0)),
        _ => Err(unknown(flags)),
    }
}

fn finding(flags: c_uint) -> Result<SysvSemaphoresOptions> {
    if flags & TVN_OWNED != 0 { Err(unknown(flags)) } else { options(0, flags) }
}

/// Creates the System V semaphores of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE), one
/// for each of the `count` values `initial`. `mode` says who may use them: 0600 is this user alone. `flags`: TVN_OWNED,
/// and TVN_UNDO for tvn_sysv_semaphores_wait() and _post() of this handle. Plain programs get them by semget(2); who opens
/// them finds these values, never zeros.
///
/// They keep their values when all their users have ended or were killed, until tvn_sysv_semaphores_remove().
/// Lends `initial`, gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST, unless the key is private; -EINVAL for no value, one above 32767, or more of them than
/// /proc/sys/kernel/sem admits in one set; -ENOSPC for more in all than that admits; -ENOSYS where the system has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_create(
    key: c_int,
    initial: *const u16,
    count: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_semaphores_t,
) -> c_int {
    call("tvn_sysv_semaphores_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: `count` values to read, NULL or a place for a handle.
        unsafe { give(out, || options.create(SysvKey::new(key), items(initial, count)?).map(tvn_sysv_semaphores_t)) }
    })
}

/// Opens the System V semaphores of `key`, which must exist. `flags`: 0 or TVN_UNDO. Gives `*out`. Waits at most two
/// seconds for the first values of a set that was made just now. Any thread; a forked child too.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_open(
    key: c_int,
    flags: c_uint,
    out: *mut *mut tvn_sysv_semaphores_t,
) -> c_int {
    call("tvn_sysv_semaphores_open", || {
        let options = finding(flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open(SysvKey::new(key)).map(tvn_sysv_semaphores_t)) }
    })
}

/// Opens the System V semaphores with the number `id` (tvn_sysv_semaphores_id()); otherwise as
/// tvn_sysv_semaphores_open(). Gives `*out`. Any thread; a forked child too.
/// @return 0; -ENOENT if there are none, or not any more; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_open_id(
    id: c_int,
    flags: c_uint,
    out: *mut *mut tvn_sysv_semaphores_t,
) -> c_int {
    call("tvn_sysv_semaphores_open_id", || {
        let options = finding(flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open_id(id).map(tvn_sysv_semaphores_t)) }
    })
}

/// Opens the System V semaphores of `key`, or creates them as tvn_sysv_semaphores_create() does; those that are there keep
/// their values, are `count`, and are not owned. IPC_PRIVATE always creates. Lends `initial`, gives `*out`. Any thread; a
/// forked child too.
/// @return as tvn_sysv_semaphores_create(), without -EEXIST; -TVN_EINCOMPATIBLE for another count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_open_or_create(
    key: c_int,
    initial: *const u16,
    count: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_semaphores_t,
) -> c_int {
    call("tvn_sysv_semaphores_open_or_create", || {
        let options = options(mode, flags)?;
        // SAFETY: the C contract: `count` values to read, NULL or a place for a handle.
        unsafe {
            give(out, || options.open_or_create(SysvKey::new(key), items(initial, count)?).map(tvn_sysv_semaphores_t))
        }
    })
}

/// Removes the set; every wait in it ends with -EIDRM, and so does every later call. Lends `set`. Does not wait. Any
/// thread; a forked child too.
/// @return 0; -EACCES unless this user made or owns it; -EIDRM if it is gone already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_remove(set: *const tvn_sysv_semaphores_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_semaphores_remove", || unsafe { lend(set) }?.0.remove())
}

/// Removes the System V semaphores of `key`: every wait in it ends with -EIDRM. Does not wait. Any thread.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES unless this user made or owns them.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_sysv_semaphores_unlink(key: c_int) -> c_int {
    call("tvn_sysv_semaphores_unlink", || SysvSemaphores::unlink(SysvKey::new(key)))
}

/// Lets go of the set, and removes it if it is owned, in the process that made it. Takes `set`; NULL is fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_close(set: *mut tvn_sysv_semaphores_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_sysv_semaphores_close", || unsafe { take(set) });
}

/// So many operations go to the kernel without a copy on the heap.
const FEW: usize = 16;

fn operation(from: &tvn_semaphore_operation_t) -> Result<SemaphoreOperation> {
    match from.flags {
        0 => Ok(SemaphoreOperation::new(from.index, from.delta)),
        TVN_UNDO => Ok(SemaphoreOperation::new(from.index, from.delta).undo()),
        other => Err(Error::new(
            ErrorKind::Invalid,
            format!("the flags {other:#x} of an operation are none; give 0 or TVN_UNDO ({TVN_UNDO})"),
        )),
    }
}

/// Does all `count` operations at one moment; blocks, without having done any of them, until that can be or `timeout_ms`
/// has passed. Lends `set` and `operations`. Any thread; a forked child too.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -EIDRM if the set was removed;
/// -EINVAL for no operation, or a semaphore the set does not have; -EMSGSIZE for more operations than
/// /proc/sys/kernel/sem admits in one call; -EOVERFLOW if a value would pass 32767; -ENOSPC if there is no room to note
/// an undo; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_operate(
    set: *const tvn_sysv_semaphores_t,
    operations: *const tvn_semaphore_operation_t,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_sysv_semaphores_operate", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `count` operations to read.
        let (set, from) = unsafe { (&lend(set)?.0, items(operations, count)?) };
        let mut few = [SemaphoreOperation::zero(0); FEW];
        let many: Vec<SemaphoreOperation>;
        let operations = match few.get_mut(..from.len()) {
            Some(few) => {
                for (to, from) in few.iter_mut().zip(from) {
                    *to = operation(from)?;
                }
                &*few
            }
            None => {
                many = from.iter().map(operation).collect::<Result<_>>()?;
                &many
            }
        };
        match timeout_ms {
            TVN_TRY => tried(set.try_operate(operations)?.then_some(())),
            ms => set.operate_until(operations, deadline(ms)),
        }
    })
}

/// Takes `n` permits of one semaphore (P); blocks until there are so many, or until `timeout_ms` has passed. Lends `set`.
/// Any thread; a forked child too.
/// @return as tvn_sysv_semaphores_operate(); -EINVAL unless `n` is from 1 to 32767.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_wait(
    set: *const tvn_sysv_semaphores_t,
    index: u16,
    n: u16,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_sysv_semaphores_wait", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        let set = &unsafe { lend(set) }?.0;
        match timeout_ms {
            TVN_TRY => tried(set.try_wait(index, n)?.then_some(())),
            ms => set.wait_until(index, n, deadline(ms)),
        }
    })
}

/// Adds `n` permits to one semaphore (V) and wakes who can go on. Lends `set`. Never blocks. Any thread; a forked child
/// too.
/// @return as tvn_sysv_semaphores_operate(); -EINVAL unless `n` is from 1 to 32767.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_post(set: *const tvn_sysv_semaphores_t, index: u16, n: u16) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_semaphores_post", || unsafe { lend(set) }?.0.post(index, n))
}

/// The value of one semaphore at this moment. Lends `set`. Never blocks. Any thread; a forked child too.
/// @return the value, from 0 on; -EINVAL for one the set does not have; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_value(set: *const tvn_sysv_semaphores_t, index: u16) -> i64 {
    call("tvn_sysv_semaphores_value", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(set) }?.0.value(index).map(u64::from)
    })
}

/// Fills `array` with the values of all semaphores at one moment, as many as there are and at most `count`. Lends `set` and
/// `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many there are, which may be more than `count`; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_values(
    set: *const tvn_sysv_semaphores_t,
    array: *mut u16,
    count: usize,
) -> i64 {
    call("tvn_sysv_semaphores_values", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `count` items to write.
        let (set, array) = unsafe { (&lend(set)?.0, self::array(array, count)?) };
        Ok(fill(array, set.values()?.into_iter()))
    })
}

/// Sets one semaphore and wakes who can go on; what processes have noted to undo for it is forgotten. Lends `set`. Never
/// blocks. Any thread; a forked child too.
/// @return 0; -EINVAL for one the set does not have, or a value above 32767; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_set(set: *const tvn_sysv_semaphores_t, index: u16, value: u16) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_semaphores_set", || unsafe { lend(set) }?.0.set(index, value))
}

/// Sets all semaphores at one moment and wakes who can go on; what processes have noted to undo is forgotten. Lends `set`
/// and `values`. Never blocks. Any thread; a forked child too.
/// @return 0; -EINVAL unless there is one value for each semaphore, none above 32767; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_set_all(
    set: *const tvn_sysv_semaphores_t,
    values: *const u16,
    count: usize,
) -> c_int {
    call("tvn_sysv_semaphores_set_all", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `count` values to read.
        unsafe { lend(set)?.0.set_all(items(values, count)?) }
    })
}

/// How many semaphores it has. Lends `set`. Never blocks. Any thread; a forked child too.
/// @return the count, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_count(set: *const tvn_sysv_semaphores_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_semaphores_count", || Ok(usize::from(unsafe { lend(set) }?.0.count())))
}

/// Its number in the kernel's table. Lends `set`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_id(set: *const tvn_sysv_semaphores_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_semaphores_id", || Ok(unsafe { lend(set) }?.0.id()))
}

/// Fills `*info` with what the kernel tells about one semaphore: its value, who waits, who was last. Lends `set` and
/// `info`. Never blocks. Any thread; a forked child too.
/// @return 0; -EINVAL for one the set does not have; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_semaphore_info(
    set: *const tvn_sysv_semaphores_t,
    index: u16,
    info: *mut tvn_sysv_semaphore_info_t,
) -> c_int {
    call("tvn_sysv_semaphores_semaphore_info", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (set, out) = unsafe { (&lend(set)?.0, output(info)?) };
        out.write(set.semaphore_info(index)?.into());
        Ok(())
    })
}

/// Fills `*info` with what the kernel tells about the set. Lends `set` and `info`. Never blocks. Any thread; a forked child
/// too.
/// @return 0; -EIDRM; -EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_info(
    set: *const tvn_sysv_semaphores_t,
    info: *mut tvn_sysv_semaphores_info_t,
) -> c_int {
    call("tvn_sysv_semaphores_info", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (set, out) = unsafe { (&lend(set)?.0, output(info)?) };
        out.write(set.info()?.into());
        Ok(())
    })
}

/// Fills `array` with all sets of System V semaphores of this system, as many as there are and at most `count`. Lends
/// `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many there are, which may be more than `count`; -ENOSYS where the system has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_semaphores_list(array: *mut tvn_sysv_semaphores_info_t, count: usize) -> i64 {
    call("tvn_sysv_semaphores_list", || {
        // SAFETY: the C contract: `count` items to write.
        let array = unsafe { self::array(array, count) }?;
        Ok(fill(array, SysvSemaphores::list()?.into_iter().map(Into::into)))
    })
}
