//! Where a segment's memory comes from: a named file, a sealed memfd, a descriptor somebody sent.

use super::layout::{Geometry, HEADER};
use super::region::Region;
use super::{SegmentOptions, Stale};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::participant::{self, Participant, fork, registry};
use crate::sys::{memory, process};
use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::Duration;

/// Turns an error of std into ours.
fn failed(tried: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Error {
    move |e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), tried)
}

/// The geometry of a new segment.
fn wished(options: &SegmentOptions, size: usize) -> Result<Geometry> {
    let geometry = Geometry::wished(size, options.max_participants, options.max_objects)?;
    Ok(geometry.detecting(options.detect_deadlocks))
}

/// Fills a fresh file and joins it, before anybody else can see it. The caller holds the registry's lock.
fn found(file: File, geometry: Geometry) -> Result<Arc<Participant>> {
    memory::commit(file.as_fd(), 0, geometry.arena() as u64)?;
    file.write_all_at(&geometry.header(), 0).map_err(failed("write a segment's first page"))?;
    let region = Region::new(memory::map(&file, geometry.total_size, true)?, geometry, true);
    let locks = memory::reopen(file.as_fd(), true)?;
    let participant = Arc::new(Participant::join(region, file, locks)?);
    registry::add_locked(&participant);
    Ok(participant)
}

/// Makes a segment and gives it its name.
pub fn create(options: &SegmentOptions, name: &str, size: usize) -> Result<Arc<Participant>> {
    let geometry = wished(options, size)?;
    fork::install();
    registry::LOCK.with(|| create_locked(options, name, geometry))
}

fn create_locked(options: &SegmentOptions, name: &str, geometry: Geometry) -> Result<Arc<Participant>> {
    let path = memory::path_of(name);
    let file = memory::unnamed(options.mode)?;
    memory::set_size(&file, geometry.total_size as u64)?;
    let participant = found(file, geometry)?;
    memory::publish(participant.file()?, &path).map_err(|e| match e.kind() {
        ErrorKind::Exists => Error::new(
            ErrorKind::Exists,
            format!("segment {name:?} exists already; open it, or remove it with `triveni rm {name}`"),
        ),
        _ => e,
    })?;
    Ok(participant)
}

/// Makes a segment without a name.
pub fn anonymous(options: &SegmentOptions, size: usize) -> Result<Arc<Participant>> {
    let geometry = wished(options, size)?;
    fork::install();
    registry::LOCK.with(|| found(memory::sealed(geometry.total_size as u64)?, geometry))
}

/// Joins the segment behind a descriptor.
pub fn from_fd(options: &SegmentOptions, fd: BorrowedFd<'_>) -> Result<Arc<Participant>> {
    fork::install();
    registry::LOCK.with(|| {
        let file = memory::reopen(fd, true)?;
        if memory::is_unsealed_memfd(&file) {
            return Err(Error::new(
                ErrorKind::Incompatible,
                "the descriptor is a memfd that can still shrink; whoever made it must seal it (Segment::anonymous does)",
            ));
        }
        let (region, file) = match checked(options, file, "the received descriptor", true)? {
            Checked::Joined(participant) => return Ok(participant),
            Checked::Fresh(region, file) => (region, file),
        };
        let locks = memory::reopen(file.as_fd(), true)?;
        let participant = Arc::new(Participant::join(region, file, locks)?);
        registry::add_locked(&participant);
        Ok(participant)
    })
}

/// Joins the segment `name`, or makes it where `geometry` says how.
pub fn open(options: &SegmentOptions, name: &str, size: Option<usize>) -> Result<Arc<Participant>> {
    let geometry = size.map(|size| wished(options, size)).transpose()?;
    fork::install();
    let patience = Deadline::after(Duration::from_secs(2));
    // Each round begins anew because somebody created or removed the name in between; that cannot go on for ever.
    let mut rounds = 0;
    while rounds < 100 {
        // The registry's lock keeps other threads from forking: it is not held while waiting.
        match registry::LOCK.with(|| open_locked(options, name, geometry)) {
            Ok(Opened::Done(participant)) => return Ok(participant),
            Ok(Opened::Anew) => rounds += 1,
            Ok(Opened::DoorTaken) if patience.passed() => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "open segment {name:?}: another process has been opening it for two seconds; is it stopped (SIGSTOP, debugger)? Continue or kill it"
                    ),
                ));
            }
            Ok(Opened::DoorTaken) => std::thread::sleep(Duration::from_millis(1)),
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        format!("segment {name:?} is created and removed all the time by others; find out who does"),
    ))
}

enum Opened {
    Done(Arc<Participant>),
    /// The name changed hands meanwhile.
    Anew,
    /// Somebody else is opening it.
    DoorTaken,
}

fn open_locked(options: &SegmentOptions, name: &str, geometry: Option<Geometry>) -> Result<Opened> {
    match (open_existing(options, name), geometry) {
        (Err(e), Some(geometry)) if e.kind() == ErrorKind::NotFound => match create_locked(options, name, geometry) {
            Err(e) if e.kind() == ErrorKind::Exists => Ok(Opened::Anew),
            done => done.map(Opened::Done),
        },
        (done, _) => done,
    }
}

fn open_existing(options: &SegmentOptions, name: &str) -> Result<Opened> {
    let path = memory::path_of(name);
    let what = format!("segment {name:?}");
    let locks = open_path(name, true)?;
    let (region, file) = match checked(options, memory::reopen(locks.as_fd(), true)?, &what, true)? {
        Checked::Joined(participant) => return Ok(Opened::Done(participant)),
        Checked::Fresh(region, file) => (region, file),
    };
    if !participant::try_lock_door(locks.as_fd())? {
        return Ok(Opened::DoorTaken);
    }
    let same = |a: &Metadata, b: &Metadata| a.dev() == b.dev() && a.ino() == b.ino();
    let ours = file.metadata().map_err(failed(&what))?;
    if !std::fs::symlink_metadata(&path).is_ok_and(|there| same(&there, &ours)) {
        return Ok(Opened::Anew);
    }
    let stale = !participant::anybody_alive(locks.as_fd(), region.geometry.max_participants)?
        && participant::anybody_left_behind(&region);
    match options.stale {
        Stale::Fail if stale => {
            return Err(Error::new(
                ErrorKind::PeerDead,
                format!(
                    "{what}: everybody who took part is dead; open it with the policy \"recover\", or remove it with `triveni rm {name}`"
                ),
            ));
        }
        Stale::Recreate if stale => {
            std::fs::remove_file(&path).map_err(failed(format_args!("remove {what}")))?;
            return Ok(Opened::Anew);
        }
        _ => {}
    }
    let participant = Participant::join(region, file, locks)?;
    participant.unlock_door();
    let participant = Arc::new(participant);
    registry::add_locked(&participant);
    Ok(Opened::Done(participant))
}

/// Opens the file of a named segment; never follows a link.
fn open_path(name: &str, writable: bool) -> Result<File> {
    let path = memory::path_of(name);
    OpenOptions::new().read(true).write(writable).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK).open(&path).map_err(|e| {
        match e.raw_os_error() {
            Some(libc::ENOENT) => {
                Error::new(ErrorKind::NotFound, format!("no segment {name:?}; `triveni ls` shows what there is; create makes one"))
            }
            Some(libc::EACCES) => {
                let owner = std::fs::symlink_metadata(&path).map_or("another user".to_string(), |m| format!("user {} with mode {:03o}", m.uid(), m.mode() & 0o777));
                Error::new(ErrorKind::Permission, format!("open segment {name:?}: it belongs to {owner}, you are user {}; its creator can choose another mode", process::effective_uid()))
            }
            Some(libc::ELOOP) => Error::new(ErrorKind::Permission, format!("open segment {name:?}: {} is a symbolic link; remove it", path.display())),
            errno => Error::os(errno.unwrap_or(libc::EIO), format!("open segment {name:?}")),
        }
    })
}

enum Checked {
    /// This process takes part in it already.
    Joined(Arc<Participant>),
    Fresh(Region, File),
}

/// Everything that can be checked is checked before the file is mapped.
fn checked(options: &SegmentOptions, file: File, what: &str, writable: bool) -> Result<Checked> {
    let meta = file.metadata().map_err(failed(what))?;
    if !meta.file_type().is_file() {
        let kind = if meta.file_type().is_fifo() { "a FIFO" } else { "not a regular file" };
        return Err(Error::new(ErrorKind::Corrupt, format!("open {what}: it is {kind}; remove it")));
    }
    let me = process::effective_uid();
    if meta.uid() != me && options.mode & 0o077 == 0 {
        return Err(Error::new(
            ErrorKind::Permission,
            format!(
                "open {what}: it belongs to user {}, you are user {me}; if you trust its owner, open it with a mode that admits others (0o660 or 0o666); open_or_create takes one in every language",
                meta.uid()
            ),
        ));
    }
    let mut page = [0u8; HEADER];
    if meta.len() < HEADER as u64 {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "open {what}: its file has {} bytes, a segment has {HEADER} at least: it was truncated; unlink and create it again",
                meta.len()
            ),
        ));
    }
    file.read_exact_at(&mut page, 0).map_err(failed(what))?;
    let geometry = Geometry::read(&page, meta.len(), what)?;
    if writable && let Some(participant) = registry::find_locked((meta.dev(), meta.ino())) {
        return Ok(Checked::Joined(participant));
    }
    let map = memory::map(&file, geometry.total_size, writable)?;
    Ok(Checked::Fresh(Region::new(map, geometry, writable), file))
}

/// Opens a named segment to look at it: no seat, nothing changed.
pub fn look(name: &str) -> Result<(Region, File, Metadata)> {
    let file = open_path(name, false)?;
    let meta = file.metadata().map_err(failed(name))?;
    let trusting = SegmentOptions::default().mode(0o666);
    match checked(&trusting, file, &format!("segment {name:?}"), false)? {
        Checked::Fresh(region, file) => Ok((region, file, meta)),
        Checked::Joined(_) => Err(ErrorKind::Busy.into()),
    }
}
