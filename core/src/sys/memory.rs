//! Shared memory: files without a name, their publication, mapping, and copies in and out.

use crate::error::{Error, ErrorKind, Result};
use memmap2::{MmapOptions, MmapRaw};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where named segments lie: the file system behind `shm_open`.
pub const DIRECTORY: &str = "/dev/shm";
/// What their file names begin with.
pub const PREFIX: &str = "triveni.";

/// The file of the segment called `name`.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{PREFIX}{name}"))
}

/// A new file without a name on the shared-memory file system; [`publish`] names it.
pub fn unnamed(mode: u32) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(mode)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(DIRECTORY)
        .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), format!("make a file in {DIRECTORY}")))?;
    // The umask has taken bits away that the caller asked for.
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "set the segment's mode"))?;
    Ok(file)
}

/// A sealed memfd: it can neither shrink nor grow, so nobody can take the memory away under a reader.
pub fn sealed(size: u64) -> Result<File> {
    // SAFETY: the name is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(c"triveni".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(Error::last_os("make an anonymous segment (memfd_create)"));
    }
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    let file = unsafe { File::from_raw_fd(fd) };
    set_size(&file, size)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(Error::last_os("seal an anonymous segment"));
    }
    Ok(file)
}

/// May the file shrink under its readers? Named segments can; a memfd that is not sealed is refused for it.
pub fn is_unsealed_memfd(file: &File) -> bool {
    // SAFETY: F_GET_SEALS takes no argument.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    // On an ordinary tmpfs file F_SEAL_SEAL is set from the start; other file systems know no seals.
    seals >= 0 && seals & (libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL) == 0
}

/// Sets the size of a fresh file. Nothing is committed by that.
pub fn set_size(file: &File, size: u64) -> Result<()> {
    file.set_len(size)
        .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), format!("size a segment to {size} bytes")))
}

/// Commits memory for a range of the file: a full file system is an error here, not a SIGBUS later.
pub fn commit(fd: BorrowedFd<'_>, at: u64, len: u64) -> Result<()> {
    let (Ok(offset), Ok(length)) = (i64::try_from(at), i64::try_from(len)) else {
        return Err(Error::new(ErrorKind::Invalid, format!("a range of {len} bytes at {at} lies outside any file")));
    };
    loop {
        match nix::fcntl::fallocate(fd, nix::fcntl::FallocateFlags::empty(), offset, length) {
            Ok(()) => return Ok(()),
            // A signal; committing again what is committed already is harmless.
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => {
                return Err(Error::os(
                    e as i32,
                    format!("commit {len} bytes of shared memory; make room in {DIRECTORY} or ask for less"),
                ));
            }
        }
    }
}

/// Gives the whole pages inside a range back to the system; they read as zeros from then on. Best effort.
pub fn give_back(fd: BorrowedFd<'_>, at: u64, len: u64) {
    let (first, end) = (at.next_multiple_of(4096), (at + len) & !4095);
    if let (Ok(offset), Ok(length)) = (i64::try_from(first), i64::try_from(end.saturating_sub(first)))
        && length > 0
    {
        use nix::fcntl::FallocateFlags;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let _ = nix::fcntl::fallocate(fd, hole, offset, length);
    }
}

/// Gives a complete file its name, unless the name is taken: nobody ever sees a half-made one.
pub fn publish(file: &File, path: &Path) -> Result<()> {
    let source = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let Ok(target) = CString::new(path.as_os_str().as_encoded_bytes()) else {
        return Err(Error::new(ErrorKind::Invalid, format!("{} contains a zero byte", path.display())));
    };
    // SAFETY: both paths are C strings that outlive the call.
    let r = unsafe {
        libc::linkat(libc::AT_FDCWD, source.as_ptr(), libc::AT_FDCWD, target.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    if r == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOENT) {
        return Err(Error::os(error.raw_os_error().unwrap_or(libc::EIO), format!("name a segment {}", path.display())));
    }
    // No /proc here. The descriptor itself can be linked where the kernel lets us.
    // SAFETY: as above; the empty path with AT_EMPTY_PATH means the descriptor.
    let r =
        unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), libc::AT_EMPTY_PATH) };
    if r == 0 { Ok(()) } else { Err(Error::last_os(format_args!("name a segment {}", path.display()))) }
}

/// The same file behind a new open file description, whose locks conflict with those of the first.
pub fn reopen(fd: BorrowedFd<'_>, writable: bool) -> Result<File> {
    // SAFETY: F_GETFD takes no argument; a number that is no descriptor is EBADF.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) } < 0 {
        return Err(Error::last_os(format_args!("open descriptor {} anew", fd.as_raw_fd())));
    }
    OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(libc::O_CLOEXEC)
        .open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "open the segment's file anew (through /proc)"))
}

/// Maps the whole file, shared.
pub fn map(file: &File, size: usize, writable: bool) -> Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.len(size);
    let map = if writable { options.map_raw(file) } else { options.map_raw_read_only(file) };
    let map =
        map.map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::ENOMEM), format!("map a segment of {size} bytes")))?;
    // Best effort: a core dump of the owner would delay the moment at which others learn of its death.
    let _ = map.advise(memmap2::Advice::DontDump);
    Ok(map)
}

/// Puts page table entries in place for a range of a mapping, so that first use does not fault. Best effort.
///
/// # Safety
/// - The range must lie inside a mapping of ours; otherwise the call fails, harmlessly.
pub unsafe fn prefault(at: *mut u8, len: usize) {
    let start = at as usize & !4095;
    let end = at as usize + len;
    // SAFETY: MADV_POPULATE_WRITE changes no contents; kernels before 5.14 answer EINVAL.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_POPULATE_WRITE) };
}

/// Below this, moving words is faster than starting a string instruction.
const STRING_FROM: usize = 256;

/// Copies `source` to shared memory at `to`.
///
/// Peers may read and write there at any time, so this is no `memcpy` on a slice: every access is volatile
/// (or a string instruction), and what a racing peer leaves there is its own affair.
///
/// # Safety
/// - `to` must be valid for writes of `source.len()` bytes of a live mapping, and must not overlap `source`.
#[inline]
pub unsafe fn copy_in(to: *mut u8, source: &[u8]) {
    // SAFETY: passed on; `source` is a slice.
    unsafe { copy::<true>(to, source.as_ptr(), source.len()) }
}

/// Copies shared memory at `from` out into `target`.
///
/// # Safety
/// - `from` must be valid for reads of `target.len()` bytes of a live mapping, and must not overlap `target`.
#[inline]
pub unsafe fn copy_out(from: *const u8, target: &mut [u8]) {
    // SAFETY: passed on; `target` is a slice.
    unsafe { copy::<false>(target.as_mut_ptr(), from, target.len()) }
}

/// Two words with one store: a stream is limited by how many stores can wait for their cache lines. Into shared memory
/// each word has a load of its own: the caller has often just written one of them, and a load of both could only begin
/// when that store has left the store buffer, behind all those that wait.
///
/// # Safety
/// - `to` must be valid for writes of 16 bytes and `from` for reads of them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn pair<const IN: bool>(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's promise; assembly may race with other processes, as it is outside of Rust's memory model.
    unsafe {
        if IN {
            std::arch::asm!("movq {x}, qword ptr [{from}]", "movhps {x}, qword ptr [{from} + 8]", "movups xmmword ptr [{to}], {x}",
                x = out(xmm_reg) _, to = in(reg) to, from = in(reg) from, options(nostack, preserves_flags));
        } else {
            std::arch::asm!("movups {x}, xmmword ptr [{from}]", "movups xmmword ptr [{to}], {x}",
                x = out(xmm_reg) _, to = in(reg) to, from = in(reg) from, options(nostack, preserves_flags));
        }
    }
}

/// `IN`: the target is shared and gets aligned to words; otherwise the source is.
#[inline(always)]
unsafe fn copy<const IN: bool>(mut to: *mut u8, mut from: *const u8, mut n: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if n >= STRING_FROM {
        // SAFETY: the caller's promise covers `n` bytes at both ends; Rust keeps the direction flag clear.
        unsafe {
            std::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
        return;
    }
    let _ = STRING_FROM;
    let shared = if IN { to as usize } else { from as usize };
    let head = (shared.wrapping_neg() & 7).min(n);
    // SAFETY: in every step the two pointers have at least as many bytes before them as are moved, and `n`
    // counts what is left. Word accesses hit the shared side aligned (`head`), the private side unaligned.
    unsafe {
        for _ in 0..head {
            to.write_volatile(from.read_volatile());
            (to, from) = (to.add(1), from.add(1));
        }
        n -= head;
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        while n >= 16 {
            pair::<IN>(to, from);
            (to, from, n) = (to.add(16), from.add(16), n - 16);
        }
        while n >= 8 {
            if IN {
                to.cast::<u64>().write_volatile(from.cast::<u64>().read_unaligned());
            } else {
                to.cast::<u64>().write_unaligned(from.cast::<u64>().read_volatile());
            }
            (to, from, n) = (to.add(8), from.add(8), n - 8);
        }
        if n >= 4 {
            if IN {
                to.cast::<u32>().write_volatile(from.cast::<u32>().read_unaligned());
            } else {
                to.cast::<u32>().write_unaligned(from.cast::<u32>().read_volatile());
            }
            (to, from, n) = (to.add(4), from.add(4), n - 4);
        }
        for _ in 0..n {
            to.write_volatile(from.read_volatile());
            (to, from) = (to.add(1), from.add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_arrives_and_nothing_beside_it_changes() {
        let source: Vec<u8> = (0..600).map(|i| (i * 7 + 3) as u8).collect();
        for n in (0..70).chain([255, 256, 257, 500]) {
            for offset in 0..9 {
                let mut shared = vec![0xEEu8; 640];
                // SAFETY: offset + n < 640; the vectors do not overlap.
                unsafe { copy_in(shared.as_mut_ptr().add(offset), &source[1..1 + n]) };
                assert_eq!(&shared[offset..offset + n], &source[1..1 + n]);
                assert!(shared[..offset].iter().chain(&shared[offset + n..]).all(|b| *b == 0xEE));
                let mut back = vec![0u8; n];
                // SAFETY: as above.
                unsafe { copy_out(shared.as_ptr().add(offset), &mut back) };
                assert_eq!(back, &source[1..1 + n]);
            }
        }
    }
}
