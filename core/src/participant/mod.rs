//! Who takes part in a segment, whether he is alive, and what is put right when he is not.
//!
//! A process takes a *seat* when it joins: it locks two bytes of the segment's file and writes who it is into
//! the table. The *life* byte stays locked until the kernel has ended the last thread of the process, however
//! it ends; that is the oracle. The *repair* byte of a seat is held by whoever puts right what its dead owner
//! left, so that a verdict cannot be acted upon after the seat has a new owner.
//!
//! # When a peer dies
//!
//! In any step of joining, sweeping or leaving: the kernel drops both locks, and the next process that joins
//! or sweeps starts over. All steps are idempotent.

pub mod fork;
pub mod registry;
mod sweep;
mod table;
pub mod thread;

pub use table::Seat;

use crate::deadline::now_ns;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::region::Region;
use crate::sys::{lock, memory, process};
use std::cell::Cell;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
// Process-private state: not what other processes race on.
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Life bytes lie here, one for each seat; byte 0 of them serialises joining by name.
const LIFE: i64 = 1 << 40;
/// Repair bytes.
const REPAIR: i64 = 1 << 41;
/// How long sweeps wait for the directory: one that must not be left out, one that others can do later, one on
/// the side of a wait.
const SUCCESSOR_NS: u64 = 2_000_000_000;
const BRIEFLY_NS: u64 = 100_000_000;
const TICK_PATIENCE_NS: u64 = 1_000_000;
/// A page: what is mapped only to keep a description alive.
const PAGE: usize = 4096;
/// How often, at most, a waiting process looks after everybody else.
const TICK_NS: u64 = 50_000_000;

/// This process in one segment.
pub struct Participant {
    pub region: Region,
    /// Tells the participants of this process apart, also those that are gone.
    number: u32,
    /// A description without locks: to open the file anew, to lend, to commit memory. Used after `is_our_file` only.
    file: ManuallyDrop<File>,
    file_id: (u64, u64),
    /// `fork number:32 | slot:32`. Under another fork number the seat is the parent's.
    identity: AtomicU64,
    /// The description that holds our locks. Never duplicated, never sent. -1: none.
    lock_fd: AtomicI32,
    /// A page without access, mapped through `lock_fd` and not inherited by children: it keeps the description, and
    /// so the locks, alive even if the program closes descriptors it did not open. 0: none.
    pin: AtomicUsize,
    /// The fork number under which `pin` was mapped; under another one it is not there.
    pin_fork: AtomicU32,
    pidns: u64,
    /// One thread of this process repairs at a time: threads share the description, so the kernel's lock does not tell them apart.
    repairing: fork::LocalLock,
    pub directory_local: fork::LocalLock,
    /// How many handles this process has on each object.
    pub handles: Box<[AtomicU32]>,
    last_tick: AtomicU64,
}

thread_local! {
    /// The slot whose repair byte this thread holds; 0: none.
    static REPAIRING: Cell<u32> = const { Cell::new(0) };
}

impl Participant {
    /// Joins the segment in `file`, of which `region` is a mapping. `locks` is a fresh description of it.
    /// The caller holds the registry's lock.
    pub fn join(region: Region, file: File, locks: File) -> Result<Participant> {
        let meta = file
            .metadata()
            .map_err(|e| Error::os(e.raw_os_error().unwrap_or(libc::EIO), "look at the segment's file"))?;
        let handles = (0..region.geometry.max_objects).map(|_| AtomicU32::new(0)).collect();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let participant = Participant {
            region,
            number: NEXT.fetch_add(1, Relaxed), // Relaxed: a number, nothing hangs on it.
            file: ManuallyDrop::new(file),
            file_id: (meta.dev(), meta.ino()),
            identity: AtomicU64::new(0),
            lock_fd: AtomicI32::new(-1),
            pin: AtomicUsize::new(0),
            pin_fork: AtomicU32::new(0),
            pidns: process::pid_namespace(),
            repairing: fork::LocalLock::new(),
            directory_local: fork::LocalLock::new(),
            handles,
            last_tick: AtomicU64::new(now_ns()),
        };
        participant.take_seat(locks)?;
        participant.sweep_all(BRIEFLY_NS);
        Ok(participant)
    }

    /// Its number among the participants this process has, or has had.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Device and inode of the file.
    pub fn file_id(&self) -> (u64, u64) {
        self.file_id
    }

    /// A description of the file that holds no locks.
    pub fn file(&self) -> Result<&File> {
        if self.is_our_file(self.file.as_fd()) {
            return Ok(&self.file);
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "this program has closed the segment's descriptor; leave descriptors alone that you did not open, or close them before you open the segment",
        ))
    }

    /// This process's slot. In a forked child: joins first.
    #[inline]
    pub fn me(&self) -> Result<u32> {
        // Relaxed: written under the registry's lock by this very process; the seat it names is ours either way.
        let identity = self.identity.load(Relaxed);
        if (identity >> 32) as u32 == fork::number() { Ok(identity as u32) } else { self.rejoin() }
    }

    /// The slot, if this process has one; a forked child that has not joined has none.
    pub fn me_if_joined(&self) -> Option<u32> {
        let identity = self.identity.load(Relaxed);
        ((identity >> 32) as u32 == fork::number()).then_some(identity as u32)
    }

    #[cold]
    fn rejoin(&self) -> Result<u32> {
        registry::LOCK.with(|| {
            if let Some(me) = self.me_if_joined() {
                return Ok(me);
            }
            self.close_locks();
            let locks = memory::reopen(self.file()?.as_fd(), true)?;
            self.take_seat(locks)
        })
    }

    /// Lets go of the description with the locks. In a forked child they stay the parent's.
    pub fn close_locks(&self) {
        let pin = self.pin.swap(0, Relaxed);
        if pin != 0 && self.pin_fork.load(Relaxed) == fork::number() {
            // SAFETY: `take_seat` mapped this page in this very process, and the swap took it out for us alone.
            unsafe { libc::munmap(pin as *mut libc::c_void, PAGE) };
        }
        let ours = self.locks().is_some();
        let fd = self.lock_fd.swap(-1, Relaxed);
        if ours {
            // SAFETY: the descriptor is ours alone (`lock_fd` never leaves this struct, and it is our file still).
            unsafe { libc::close(fd) };
        }
    }

    /// Our locks' descriptor. `None` also if the program has closed it and another file has its number: there
    /// nobody holds a lock, and what we locked there would be the program's.
    fn locks(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.lock_fd.load(Relaxed);
        if fd < 0 {
            return None;
        }
        // SAFETY: open until `close_locks` (in a forked child, under the registry's lock, before any use) or drop;
        // or closed by the program, which `fstat` then reports.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.is_our_file(fd).then_some(fd)
    }

    /// Finds a seat: a free one, else a dead one's, whose successor then sweeps first of all.
    fn take_seat(&self, locks: File) -> Result<u32> {
        let me = process::myself();
        let seats = self.region.geometry.max_participants as u32;
        let end = now_ns() + BRIEFLY_NS;
        loop {
            let mut in_repair = false;
            for take_dead in [false, true] {
                for slot in 1..=seats {
                    let Some(seat) = self.region.seat(slot) else { continue };
                    if (seat.state().kind() != table::FREE) != take_dead {
                        continue;
                    }
                    if !lock::try_lock(locks.as_fd(), REPAIR + i64::from(slot))? {
                        in_repair = true; // Of a dead one, or just tried by another newcomer.
                        continue;
                    }
                    if lock::try_lock(locks.as_fd(), LIFE + i64::from(slot))? {
                        return self.sit_down(seat, slot, &me, locks);
                    }
                    lock::unlock(locks.as_fd(), REPAIR + i64::from(slot));
                }
            }
            if !in_repair || now_ns() >= end {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(Error::new(
            ErrorKind::NoSpace,
            format!(
                "the segment's table of participants is full: {seats} processes take part; end one, or create the segment with a larger max_participants"
            ),
        ))
    }

    /// Takes the seat whose both bytes `locks` has just locked, so that nobody else changes it.
    fn sit_down(&self, seat: &Seat, slot: u32, me: &process::Myself, locks: File) -> Result<u32> {
        // Read again: it may have moved before.
        let before = seat.state();
        seat.fill(me);
        let reaper = if before.is_taken() { slot } else { before.reaper() };
        seat.set(table::ACTIVE, reaper, before.generation().wrapping_add(1));
        self.pin(&locks);
        self.lock_fd.store(locks.into_raw_fd(), Relaxed);
        self.identity.store(u64::from(fork::number()) << 32 | u64::from(slot), Relaxed);
        if before.kind() != table::FREE && !self.sweep_as_successor(slot) {
            // Words may still name this seat, and they would name us: leave it to the next one.
            seat.set(table::DEAD, 0, seat.state().generation());
            self.identity.store(0, Relaxed);
            self.close_locks();
            return Err(Error::new(
                ErrorKind::Busy,
                "take over the place of a dead participant: the segment's directory is held by a process that is alive but does not go on (SIGSTOP, debugger); continue or kill it",
            ));
        }
        if let Some(fd) = self.locks() {
            lock::unlock(fd, REPAIR + i64::from(slot));
        }
        Ok(slot)
    }

    /// Puts right what the last owner of our seat left. We are ACTIVE by now: the sweep takes the directory's mutex
    /// as us, and we must not look dead to others.
    fn sweep_as_successor(&self, slot: u32) -> bool {
        REPAIRING.set(slot);
        let swept = self.sweep_objects(slot, slot, SUCCESSOR_NS);
        REPAIRING.set(0);
        swept
    }

    /// Maps the page that keeps the locks when descriptors are closed. Best effort.
    fn pin(&self, locks: &File) {
        // SAFETY: a new mapping without access; nothing is replaced.
        let page =
            unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_NONE, libc::MAP_SHARED, locks.as_raw_fd(), 0) };
        if page == libc::MAP_FAILED {
            return;
        }
        // A child must not inherit it, or it would keep its parent's lock alive.
        // SAFETY: our own page.
        if unsafe { libc::madvise(page, PAGE, libc::MADV_DONTFORK) } != 0 {
            // SAFETY: as above.
            unsafe { libc::munmap(page, PAGE) };
            return;
        }
        self.pin_fork.store(fork::number(), Relaxed);
        self.pin.store(page as usize, Relaxed);
    }

    /// Is the participant in `slot` dead? False when in doubt. About a microsecond.
    pub fn is_dead(&self, slot: u32) -> bool {
        if self.me_if_joined() == Some(slot) {
            return false;
        }
        self.locks().is_some_and(|fd| is_dead(&self.region, fd, slot, self.pidns))
    }

    /// Who sits in `slot`, taken to be alive.
    pub fn describe(&self, slot: u32) -> crate::ParticipantInfo {
        describe(&self.region, slot, true)
    }

    /// A descriptor that becomes readable when the process in `slot` has ended. `None` if it lives in another pid
    /// namespace, or is gone, or there are no descriptors left.
    pub fn pidfd(&self, slot: u32) -> Option<OwnedFd> {
        let seat = self.region.seat(slot)?;
        (self.pidns != 0 && seat.pidns() == self.pidns)
            .then(|| process::pidfd(seat.pid(), seat.start_ticks()))
            .flatten()
    }

    /// Does somebody hold the repair byte of `slot`?
    #[cfg(test)]
    pub fn is_being_repaired(&self, slot: u32) -> bool {
        let stranger = memory::reopen(self.file.as_fd(), true).unwrap();
        lock::held_by_another(stranger.as_fd(), REPAIR + i64::from(slot), 1).unwrap()
    }

    /// Leaves as the last handle does.
    #[cfg(test)]
    pub fn leave_for_test(&self) {
        self.leave();
    }

    /// Puts another file behind the number of our descriptor, as a careless program does.
    #[cfg(test)]
    pub fn replace_locks_for_test(&self, other: File) {
        // SAFETY: both are open; what was there is closed, which is the point.
        unsafe { libc::dup2(other.as_raw_fd(), self.lock_fd.load(Relaxed)) };
    }

    fn is_our_file(&self, fd: BorrowedFd<'_>) -> bool {
        nix::sys::stat::fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.file_id)
    }

    /// Runs `f` if the process in `slot` is dead, with its repair byte held: until `f` is done the seat gets no
    /// new owner and nobody else repairs. `None`: alive, or somebody else is at it; look again later.
    pub fn repair<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        if self.me_if_joined() == Some(slot) || self.region.seat(slot).is_none() {
            return None;
        }
        match REPAIRING.get() {
            0 => self.repairing.try_with(|| self.repair_locked(slot, f)).flatten(),
            // The sweep of this very slot found it in the directory's mutex. Its byte must not be given back here.
            held if held == slot => self.is_dead(slot).then(f),
            _ => self.repair_locked(slot, f),
        }
    }

    fn repair_locked<R>(&self, slot: u32, f: impl FnOnce() -> R) -> Option<R> {
        let locks = self.locks()?;
        let byte = REPAIR + i64::from(slot);
        if !lock::try_lock(locks, byte).unwrap_or(false) {
            return None;
        }
        let outer = REPAIRING.replace(slot);
        // Asked again with the byte held: only now can the verdict not grow old.
        let answer = self.is_dead(slot).then(f);
        REPAIRING.set(outer);
        lock::unlock(locks, byte);
        answer
    }

    /// Gives back the byte that `lock_door` took on what are our locks now.
    pub fn unlock_door(&self) {
        if let Some(fd) = self.locks() {
            lock::unlock(fd, LIFE);
        }
    }

    /// Now and then: sweeps whoever died without anybody waiting for him.
    pub fn tick(&self) {
        let now = now_ns();
        let last = self.last_tick.load(Relaxed);
        // Relaxed: of several threads one wins; nothing else hangs on it.
        if now.saturating_sub(last) >= TICK_NS && self.last_tick.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            self.sweep_all(TICK_PATIENCE_NS);
        }
    }

    /// Leaves: what we still hold is treated as after a death, then the seat is free.
    fn leave(&self) {
        let (Some(me), Some(locks)) = (self.me_if_joined(), self.locks()) else { return };
        let Some(seat) = self.region.seat(me) else { return };
        let byte = REPAIR + i64::from(me);
        let swept = self.repairing.with(|| {
            if !lock::try_lock(locks, byte).unwrap_or(false) {
                return false; // Somebody holds our repair byte; whoever sweeps us later finds us dead.
            }
            REPAIRING.set(me);
            let swept = self.sweep_objects(me, me, BRIEFLY_NS);
            REPAIRING.set(0);
            if swept {
                seat.set(table::FREE, 0, seat.state().generation().wrapping_add(1));
            }
            lock::unlock(locks, byte);
            swept
        });
        if swept {
            // A vfork child may hold a copy of the descriptor: unlock, do not rely on close.
            lock::unlock(locks, LIFE + i64::from(me));
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.leave();
        self.close_locks();
        if self.is_our_file(self.file.as_fd()) {
            // SAFETY: dropped once, here; nobody uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// The oracle. Authority: the kernel's lock on the life byte. Second: the pid, where a copy of the lock
/// survives its owner in a forked child. Never a time-out.
pub fn is_dead(region: &Region, fd: BorrowedFd<'_>, slot: u32, pidns: u64) -> bool {
    let Some(seat) = region.seat(slot) else { return false };
    let state = seat.state();
    if state.kind() != table::ACTIVE {
        return true;
    }
    match lock::held_by_another(fd, LIFE + i64::from(slot), 1) {
        Ok(false) => seat.state() == state,
        Ok(true) => {
            let same_namespace = pidns != 0 && seat.pidns() == pidns;
            same_namespace && process::is_gone(seat.pid(), seat.start_ticks()) && seat.state() == state
        }
        Err(_) => false,
    }
}

/// Is anybody alive in the segment behind this fresh description?
pub fn anybody_alive(fd: BorrowedFd<'_>, seats: usize) -> Result<bool> {
    lock::held_by_another(fd, LIFE + 1, seats as i64)
}

/// Did anybody die in the segment who was not swept yet?
pub fn anybody_left_behind(region: &Region) -> bool {
    (1..=region.geometry.max_participants as u32)
        .any(|s| region.seat(s).is_some_and(|seat| seat.state().kind() != table::FREE))
}

/// Takes the byte that serialises opening by name, if nobody else has it.
pub fn try_lock_door(fd: BorrowedFd<'_>) -> Result<bool> {
    lock::try_lock(fd, LIFE)
}

/// Everybody at the table, seen through `fd`.
pub fn list(region: &Region, fd: BorrowedFd<'_>, me: Option<u32>) -> Vec<crate::ParticipantInfo> {
    let pidns = process::pid_namespace();
    (1..=region.geometry.max_participants as u32)
        .filter_map(|slot| {
            let seat = region.seat(slot)?;
            let state = seat.state();
            state.is_taken().then(|| describe(region, slot, me == Some(slot) || !is_dead(region, fd, slot, pidns)))
        })
        .collect()
}

fn describe(region: &Region, slot: u32, alive: bool) -> crate::ParticipantInfo {
    let seat = region.seat(slot);
    crate::ParticipantInfo {
        slot,
        pid: seat.map_or(0, Seat::pid),
        uid: seat.map_or(0, Seat::uid),
        name: seat.map_or_else(String::new, Seat::name),
        alive,
        since: seat.map_or(0, Seat::joined_ns) as f64 / 1e9,
    }
}

/// A description's number, for messages.
impl std::fmt::Debug for Participant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Participant(slot {:?}, file {})", self.me_if_joined(), self.file.as_raw_fd())
    }
}
