//! System V shared memory in C.

use super::TVN_OWNED;
use super::posix_shared_memory::{TVN_READ_ONLY, choices};
use crate::argument::{array, output};
use crate::boundary::call;
use crate::handle::{give, lend, take};
use crate::segment::fill;
use std::ffi::{c_int, c_uint, c_void};
use triveni::Result;
use triveni::kernel::{SysvKey, SysvSharedMemory, SysvSharedMemoryInfo, SysvSharedMemoryOptions};

/// System V shared memory, attached. Any number of threads may use one handle.
pub struct tvn_sysv_shared_memory_t(SysvSharedMemory);

/// What the kernel tells about a System V shared memory segment.
#[repr(C)]
pub struct tvn_sysv_shared_memory_info_t {
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
    /// The process that made it.
    pub creator_pid: u32,
    /// The process that attached or detached it last; 0: none yet.
    pub last_pid: u32,
    /// Was it removed? Then it goes with its last attachment.
    pub removed: bool,
    /// How many bytes it has.
    pub size: u64,
    /// How many attachments there are.
    pub attached: u64,
    /// When somebody last attached it, in seconds since 1970; 0: not yet.
    pub attached_at: i64,
    /// When somebody last detached it, in seconds since 1970; 0: not yet.
    pub detached_at: i64,
    /// When it was made, or its mode changed, in seconds since 1970.
    pub changed_at: i64,
}

impl From<SysvSharedMemoryInfo> for tvn_sysv_shared_memory_info_t {
    fn from(info: SysvSharedMemoryInfo) -> tvn_sysv_shared_memory_info_t {
        tvn_sysv_shared_memory_info_t {
            id: info.id,
            key: info.key.number(),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            creator_pid: info.creator_pid,
            last_pid: info.last_pid,
            removed: info.removed,
            size: info.size as u64,
            attached: info.attached as u64,
            attached_at: info.attached_at,
            detached_at: info.detached_at,
            changed_at: info.changed_at,
        }
    }
}

fn making(mode: c_uint, flags: c_uint) -> Result<SysvSharedMemoryOptions> {
    Ok(SysvSharedMemoryOptions::new().mode(mode).owned(choices(flags, TVN_OWNED)?.0))
}

fn finding(at_least: usize, flags: c_uint) -> Result<SysvSharedMemoryOptions> {
    Ok(SysvSharedMemoryOptions::new().at_least(at_least).read_only(choices(flags, TVN_READ_ONLY)?.1))
}

/// Creates the System V shared memory of `key` (a `key_t`: a number that both sides know, tvn_sysv_key(), or IPC_PRIVATE)
/// with `size` bytes, all 0, and attaches it. `mode` says who may use it: 0600 is this user alone. `flags`: 0 or
/// TVN_OWNED. Plain programs get it by shmget(2) and shmat(2).
///
/// It stays when all its users have ended or were killed, until tvn_sysv_shared_memory_remove() and the last detaches it.
/// Its size is fixed. Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -EEXIST, unless the key is private; -EINVAL for size 0 or above /proc/sys/kernel/shmmax; -ENOSPC beyond
/// /proc/sys/kernel/shmmni segments or /proc/sys/kernel/shmall pages; -ENOMEM; -ENOSYS where the system has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_create(
    key: c_int,
    size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_shared_memory_t,
) -> c_int {
    call("tvn_sysv_shared_memory_create", || {
        let options = making(mode, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.create(SysvKey::new(key), size).map(tvn_sysv_shared_memory_t)) }
    })
}

/// Attaches the System V shared memory of `key`, which must exist and have `at_least` bytes (0: as many as there are).
/// `flags`: 0 or TVN_READ_ONLY. Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE, which finds nothing; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_open(
    key: c_int,
    at_least: usize,
    flags: c_uint,
    out: *mut *mut tvn_sysv_shared_memory_t,
) -> c_int {
    call("tvn_sysv_shared_memory_open", || {
        let options = finding(at_least, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open(SysvKey::new(key)).map(tvn_sysv_shared_memory_t)) }
    })
}

/// Attaches the System V shared memory with the number `id` (tvn_sysv_shared_memory_id()); otherwise as
/// tvn_sysv_shared_memory_open(). Gives `*out`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT if there is none, or not any more; -EACCES; -TVN_EINCOMPATIBLE if it has fewer bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_open_id(
    id: c_int,
    at_least: usize,
    flags: c_uint,
    out: *mut *mut tvn_sysv_shared_memory_t,
) -> c_int {
    call("tvn_sysv_shared_memory_open_id", || {
        let options = finding(at_least, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open_id(id).map(tvn_sysv_shared_memory_t)) }
    })
}

/// Attaches the System V shared memory of `key`, or creates it as tvn_sysv_shared_memory_create() does; what is there has
/// `size` bytes at least and is not owned. IPC_PRIVATE always creates. Gives `*out`. Does not wait. Any thread; a forked
/// child too.
/// @return as tvn_sysv_shared_memory_create() and tvn_sysv_shared_memory_open(), without -EEXIST and -ENOENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_open_or_create(
    key: c_int,
    size: usize,
    mode: c_uint,
    flags: c_uint,
    out: *mut *mut tvn_sysv_shared_memory_t,
) -> c_int {
    call("tvn_sysv_shared_memory_open_or_create", || {
        let options = making(mode, flags)?;
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || options.open_or_create(SysvKey::new(key), size).map(tvn_sysv_shared_memory_t)) }
    })
}

/// Removes it: nobody finds it by its key any more, and it goes with its last attachment. This handle keeps its own.
/// Lends `memory`. Does not wait. Any thread; a forked child too.
/// @return 0; -EACCES unless this user made or owns it; -EIDRM if it is gone already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_remove(memory: *const tvn_sysv_shared_memory_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_shared_memory_remove", || unsafe { lend(memory) }?.0.remove())
}

/// Removes the System V shared memory of `key`: nobody finds it any more, and it goes with its last attachment. Does not wait. Any thread.
/// @return 0; -ENOENT; -EINVAL for IPC_PRIVATE; -EACCES unless this user made or owns it.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_sysv_shared_memory_unlink(key: c_int) -> c_int {
    call("tvn_sysv_shared_memory_unlink", || SysvSharedMemory::unlink(SysvKey::new(key)))
}

/// Detaches the memory, and removes it if it is owned, in the process that made it. Takes `memory`; NULL is fine. Pointers
/// from tvn_sysv_shared_memory_data() are no longer good. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_close(memory: *mut tvn_sysv_shared_memory_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_sysv_shared_memory_close", || unsafe { take(memory) });
}

/// Its first byte. Good until tvn_sysv_shared_memory_close(). Other processes read and write there at any time: keep order
/// with a semaphore. Lends `memory`. Never blocks. Any thread; a forked child too.
/// @return the address; NULL only for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_data(memory: *const tvn_sysv_shared_memory_t) -> *mut c_void {
    let mut data = std::ptr::null_mut();
    call("tvn_sysv_shared_memory_data", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        data = unsafe { lend(memory) }?.0.as_ptr().cast();
        Ok(())
    });
    data
}

/// How many bytes it has. Lends `memory`. Never blocks. Any thread; a forked child too.
/// @return the size, from 1 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_size(memory: *const tvn_sysv_shared_memory_t) -> i64 {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_shared_memory_size", || Ok(unsafe { lend(memory) }?.0.size()))
}

/// Its number in the kernel's table. Lends `memory`. Never blocks. Any thread; a forked child too.
/// @return the number, from 0 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_id(memory: *const tvn_sysv_shared_memory_t) -> c_int {
    // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
    call("tvn_sysv_shared_memory_id", || Ok(unsafe { lend(memory) }?.0.id()))
}

/// Fills `*info` with what the kernel tells about it at this moment. Lends `memory` and `info`. Never blocks. Any thread; a
/// forked child too.
/// @return 0; -EACCES for who may not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_info(
    memory: *const tvn_sysv_shared_memory_t,
    info: *mut tvn_sysv_shared_memory_info_t,
) -> c_int {
    call("tvn_sysv_shared_memory_info", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; NULL or a place for the answer.
        let (memory, out) = unsafe { (&lend(memory)?.0, output(info)?) };
        out.write(memory.info()?.into());
        Ok(())
    })
}

/// Fills `array` with the table of all System V shared memory of this system, as many as there are and at most `count`.
/// Lends `array` (NULL will do with 0). Never blocks. Any thread; a forked child too.
/// @return how many there are, which may be more than `count`; -ENOSYS where the system has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_shared_memory_list(array: *mut tvn_sysv_shared_memory_info_t, count: usize) -> i64 {
    call("tvn_sysv_shared_memory_list", || {
        // SAFETY: the C contract: `count` items to write.
        let array = unsafe { self::array(array, count) }?;
        Ok(fill(array, SysvSharedMemory::list()?.into_iter().map(Into::into)))
    })
}
