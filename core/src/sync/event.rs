//! Event flags: 32 of them, to be waited for alone or together.
//!
//! # State
//!
//! | at | word          | meaning                                                     |
//! |----|---------------|-------------------------------------------------------------|
//! | 0  | `flags`       | the flags; any value is valid                               |
//! | 16 | an eventcount | where waiters sleep, whichever flags they wait for          |
//!
//! Nobody sleeps on `flags` itself: a set that is cleared again between a waiter's look and its sleep would leave the
//! word as it was, and its wake would be lost.
//!
//! # Orderings
//!
//! Edge `flag`: setting releases, a wait that succeeds acquires. What the setter wrote, the waiter sees.
//! Edge `register` (see the eventcount): `set` changes the flags with a full barrier before it looks for sleepers.
//!
//! # When a peer dies
//!
//! Between flags and wake: the next `set` wakes everybody, also if it changes nothing; else sleepers look again when
//! their slice ends, after 64 ms at most. Nothing in the words names anybody.
//!
//! # Cost
//!
//! `set`: one atomic, a system call only if someone sleeps. A wait for flags that are set: one load, or one atomic
//! if it clears them.

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{
    AtomicU32, Full,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::segment::object::{Holds, InSegment, Kind, Object, Resident, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{self, EventCount, Spin};
use std::fmt;
use std::sync::Arc;

/// Exchanges that a wait loses against others before it looks whether it should sleep.
const RETRIES: u32 = 64;

/// The event flags in the segment.
#[repr(C)]
#[derive(Debug)]
pub struct EventWords {
    flags: AtomicU32,
    _zero: [AtomicU32; 3],
    bell: EventCount,
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for EventWords {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<EventWords>() == 32 && std::mem::offset_of!(EventWords, bell) == 16);

/// Bytes of event flags behind their header.
pub const SIZE: usize = 128;

/// What the segment knows of event flags.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Event,
    repair: |_, _| {}, // The words name nobody.
    ring: |view| {
        if let Ok(words) = EventWords::of(view) {
            words.bell.ring();
        }
    },
    leave: |_, _, _| {},
    holds: |_| Holds::Nobody,
    state: |view| Ok(ObjectState::Event { flags: EventWords::of(view)?.flags() }),
};

/// What becomes of the flags that a wait was for, once it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// They stay set: everybody who waits for them goes on.
    Keep,
    /// They are cleared, in the same step: exactly one of those who wait goes on.
    Clear,
}

/// How many of its flags a wait needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Any,
    All,
}

impl EventWords {
    /// Flags on the heap.
    #[cfg(test)]
    fn new(flags: u32) -> EventWords {
        EventWords {
            flags: AtomicU32::new(flags),
            _zero: std::array::from_fn(|_| AtomicU32::new(0)),
            bell: EventCount::new(),
        }
    }

    fn of(view: View<'_>) -> Result<&EventWords> {
        view.at(0)
    }

    fn flags(&self) -> u32 {
        // ORDER flag: Acquire; who sees a flag here sees what its setter wrote.
        self.flags.load(Acquire)
    }

    fn set(&self, flags: u32) -> u32 {
        // ORDER flag, register: a full barrier, so a Release too.
        let before = self.flags.or_full(flags);
        // Also if nothing has changed: a setter before us may have died without waking anybody.
        self.bell.notify(i32::MAX as u32);
        before
    }

    fn clear(&self, flags: u32) -> u32 {
        // ORDER flag: AcqRel; keeps what the setters of the flags that stay have released.
        self.flags.fetch_and(!flags, AcqRel)
    }

    /// The flags of `mask` that are set, if they are what is needed; then cleared, if that is wished.
    fn take(&self, mask: u32, need: Need, after: After) -> Option<u32> {
        let mut now = self.flags();
        for _ in 0..RETRIES {
            let met = now & mask;
            if met == 0 || need == Need::All && met != mask {
                return None;
            }
            if after == After::Keep {
                return Some(met);
            }
            // ORDER flag: AcqRel; pairs with the full barrier in `set`, and keeps what other setters have released.
            match self.flags.compare_exchange(now, now & !mask, AcqRel, Acquire) {
                Ok(_) => return Some(met),
                Err(other) => now = other,
            }
        }
        None
    }
}

/// 32 event flags in a segment.
///
/// One thread waits for any or all of some flags, another one sets them. With [`After::Keep`] everybody who waits
/// goes on, with [`After::Clear`] one of them does, and the flags are cleared in the same step. A process that dies
/// leaves the flags as they are. Threads and forked children may share a handle.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::After;
/// const STARTED: u32 = 1 << 0;
/// const FAILED: u32 = 1 << 1;
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let event = segment.event("motor", 0)?;
/// event.set(STARTED)?;
/// assert_eq!(event.wait_any(STARTED | FAILED, After::Clear)?, STARTED);
/// assert_eq!(event.flags(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Event {
    resident: Resident<EventWords>,
    spin: Arc<Spin>,
}

impl Event {
    pub(crate) fn attach(object: Object) -> Result<Event> {
        Ok(Event { resident: Resident::new(object)?, spin: Arc::default() })
    }

    /// Sets fresh flags up. Under the directory's mutex, before anybody can find them.
    pub(crate) fn initialise(view: View<'_>, flags: u32) {
        if let Ok(words) = EventWords::of(view) {
            words.flags.store(flags, Relaxed); // Relaxed: the directory publishes it.
        }
    }

    /// The handle, for whoever waits for several objects.
    pub(crate) fn object(&self) -> &Object {
        self.resident.object()
    }

    /// Where waiters sleep.
    pub(crate) fn bell(&self) -> &EventCount {
        &self.resident.get().bell
    }

    #[inline]
    fn words(&self) -> Result<&EventWords> {
        self.resident.object().me()?;
        Ok(self.resident.get())
    }

    /// Sets flags and wakes everybody who waits. Returns what was set before. Never blocks.
    ///
    /// # Errors
    /// In a forked child, what joining reports.
    pub fn set(&self, flags: u32) -> Result<u32> {
        Ok(self.words()?.set(flags))
    }

    /// Clears flags. Returns what was set before. Never blocks.
    ///
    /// # Errors
    /// As [`Event::set`].
    pub fn clear(&self, flags: u32) -> Result<u32> {
        Ok(self.words()?.clear(flags))
    }

    /// The flags that are set at this moment; 0 if the event is gone.
    pub fn flags(&self) -> u32 {
        self.words().map_or(0, EventWords::flags)
    }

    /// Waits for ever until one of `mask` is set; returns those of `mask` that were.
    ///
    /// # Errors
    /// `Invalid` for an empty mask; `Removed` if the event is removed while waiting.
    pub fn wait_any(&self, mask: u32, after: After) -> Result<u32> {
        self.wait_any_until(mask, after, Deadline::never())
    }

    /// As [`Event::wait_any`], without waiting; `None` if none is set.
    ///
    /// # Errors
    /// `Invalid` for an empty mask.
    pub fn try_wait_any(&self, mask: u32, after: After) -> Result<Option<u32>> {
        self.check(mask)?;
        Ok(self.words()?.take(mask, Need::Any, after))
    }

    /// As [`Event::wait_any`], until the deadline.
    ///
    /// # Errors
    /// As [`Event::wait_any`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    pub fn wait_any_until(&self, mask: u32, after: After, deadline: Deadline) -> Result<u32> {
        self.wait_until(mask, Need::Any, after, deadline)
    }

    /// Waits for ever until all of `mask` are set at the same time; returns `mask`.
    ///
    /// # Errors
    /// As [`Event::wait_any`].
    pub fn wait_all(&self, mask: u32, after: After) -> Result<u32> {
        self.wait_all_until(mask, after, Deadline::never())
    }

    /// As [`Event::wait_all`], without waiting; `None` if one is missing.
    ///
    /// # Errors
    /// `Invalid` for an empty mask.
    pub fn try_wait_all(&self, mask: u32, after: After) -> Result<Option<u32>> {
        self.check(mask)?;
        Ok(self.words()?.take(mask, Need::All, after))
    }

    /// As [`Event::wait_all`], until the deadline.
    ///
    /// # Errors
    /// As [`Event::wait_any_until`].
    pub fn wait_all_until(&self, mask: u32, after: After, deadline: Deadline) -> Result<u32> {
        self.wait_until(mask, Need::All, after, deadline)
    }

    fn wait_until(&self, mask: u32, need: Need, after: After, deadline: Deadline) -> Result<u32> {
        self.check(mask)?;
        let words = self.words()?;
        let world = self.resident.object().waiting(WaitMode::Flags, mask);
        wait::until(&world, &words.bell, &self.spin, deadline, || None, || Ok(words.take(mask, need, after)))
    }

    fn check(&self, mask: u32) -> Result<()> {
        if mask != 0 { Ok(()) } else { Err(self.no_flags()) }
    }

    #[cold]
    fn no_flags(&self) -> Error {
        Error::new(
            ErrorKind::Invalid,
            format!("wait for {}: the mask is 0, so no flag could ever end the wait; name one", self.address()),
        )
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.resident.object().name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.resident.object().address()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?}, {:#010x})", self.address(), self.flags())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Segment;
    use std::time::Duration;

    fn segment() -> Segment {
        Segment::anonymous(1 << 20).unwrap()
    }

    /// Longer than anything here takes, so that a fault fails and does not hang.
    fn patience() -> Deadline {
        Duration::from_secs(20).into()
    }

    #[test]
    fn any_needs_one_flag_and_all_needs_each() {
        let words = EventWords::new(0b0110);
        assert_eq!(words.take(0b1001, Need::Any, After::Keep), None);
        assert_eq!(words.take(0b1100, Need::Any, After::Keep), Some(0b0100));
        assert_eq!(words.take(0b1100, Need::All, After::Keep), None);
        assert_eq!(words.take(0b0110, Need::All, After::Keep), Some(0b0110));
        assert_eq!(words.flags(), 0b0110);
    }

    #[test]
    fn clearing_takes_what_was_waited_for_and_nothing_else() {
        let words = EventWords::new(0b1011);
        assert_eq!(words.take(0b1100, Need::Any, After::Clear), Some(0b1000));
        assert_eq!(words.take(0b1000, Need::Any, After::Clear), None);
        assert_eq!(words.take(0b0110, Need::All, After::Clear), None);
        assert_eq!(words.take(0b0011, Need::All, After::Clear), Some(0b0011));
        assert_eq!((words.flags(), words.set(5), words.clear(4), words.flags()), (0, 0, 5, 1));
    }

    #[test]
    fn an_empty_mask_is_refused_and_a_missing_flag_times_out() {
        let event = segment().event("e", 0b10).unwrap();
        for error in [
            event.wait_any(0, After::Keep).unwrap_err(),
            event.wait_all(0, After::Clear).unwrap_err(),
            event.try_wait_any(0, After::Keep).unwrap_err(),
            event.try_wait_all(0, After::Keep).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("the mask is 0"), "{error}");
        }
        let soon = || Deadline::after(Duration::from_millis(2));
        assert_eq!(event.try_wait_any(1, After::Keep).unwrap(), None);
        assert_eq!(event.wait_any_until(1, After::Keep, soon()).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(event.wait_all_until(3, After::Clear, soon()).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!((event.wait_any(3, After::Clear).unwrap(), event.flags()), (0b10, 0));
    }

    #[test]
    fn a_set_wakes_all_who_keep_and_lets_one_who_clears_go_on_each_time() {
        let segment = segment();
        let event = segment.event("e", 0).unwrap();
        std::thread::scope(|scope| {
            let keepers: Vec<_> =
                (0..3).map(|_| scope.spawn(|| event.wait_all_until(0b11, After::Keep, patience()).unwrap())).collect();
            event.set(0b01).unwrap();
            event.set(0b10).unwrap();
            assert!(keepers.into_iter().all(|keeper| keeper.join().unwrap() == 0b11));
            event.clear(0b11).unwrap();
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..200).for_each(|_| assert_eq!(event.wait_any_until(4, After::Clear, patience()).unwrap(), 4))
                    })
                })
                .collect();
            for _ in 0..800 {
                while event.set(4).unwrap() & 4 != 0 {
                    std::thread::yield_now(); // That one was set already: it lets nobody else go on.
                }
            }
            takers.into_iter().for_each(|taker| taker.join().unwrap());
            assert_eq!(event.flags(), 0);
        });
    }

    #[test]
    fn a_removed_event_ends_its_waits() {
        let segment = segment();
        let event = segment.event("e", 0).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait_any_until(8, After::Keep, patience()).unwrap_err().kind());
            while segment.waits().unwrap().is_empty() {
                std::thread::yield_now();
            }
            let wait = &segment.waits().unwrap()[0];
            assert_eq!((wait.mode, wait.count), (WaitMode::Flags, 8));
            segment.remove("e").unwrap();
            assert_eq!(waiter.join().unwrap(), ErrorKind::Removed);
        });
    }

    #[test]
    fn flags_are_to_be_seen_from_outside() {
        let segment = segment();
        segment.event("e", 0xF000_0001).unwrap();
        assert_eq!(segment.objects().unwrap()[0].state, ObjectState::Event { flags: 0xF000_0001 });
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::wait::Bell;
    use loom::sync::Arc;

    /// Waits without slices, as a lost wake would otherwise be hidden.
    fn wait(words: &EventWords, mask: u32, need: Need, after: After) -> u32 {
        loop {
            if let Some(met) = words.take(mask, need, after) {
                return met;
            }
            let key = words.bell.prepare();
            if let Some(met) = words.take(mask, need, after) {
                return met;
            }
            words.bell.sleep(key, u64::MAX);
        }
    }

    fn check(model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(model);
    }

    /// Flag 1 is set, taken and set again, while others go to sleep for it: the word is what it was.
    #[test]
    fn each_set_lets_one_of_those_who_clear_go_on_and_no_wake_is_lost() {
        check(|| {
            let words = Arc::new(EventWords::new(0));
            let takers = [(); 2].map(|()| {
                let words = words.clone();
                loom::thread::spawn(move || {
                    assert_eq!(wait(&words, 1, Need::Any, After::Clear), 1);
                    words.set(2);
                })
            });
            for _ in 0..2 {
                assert_eq!(words.set(1) & 1, 0);
                wait(&words, 2, Need::Any, After::Clear);
            }
            for taker in takers {
                taker.join().unwrap();
            }
            assert_eq!(words.flags(), 0);
        });
    }

    #[test]
    fn all_flags_from_two_setters_bring_what_both_wrote() {
        check(|| {
            let cells = [(); 2].map(|()| loom::cell::UnsafeCell::new(0));
            let shared = Arc::new((EventWords::new(0), cells));
            let setters = [0, 1].map(|i: usize| {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    // SAFETY: nobody reads before the flag is set.
                    shared.1[i].with_mut(|p| unsafe { *p = 7 });
                    shared.0.set(1 << i);
                })
            });
            assert_eq!(wait(&shared.0, 3, Need::All, After::Clear), 3);
            for cell in &shared.1 {
                // SAFETY: both flags say that their setter is done.
                assert_eq!(cell.with(|p| unsafe { *p }), 7);
            }
            for setter in setters {
                setter.join().unwrap();
            }
        });
    }
}
