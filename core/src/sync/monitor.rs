//! A monitor: a mutex with condition variables (Hoare 1974), with the semantics of Mesa (Lampson and Redell 1980):
//! a signal is a hint, and who was woken looks again.
//!
//! # State
//!
//! | at         | word                     | meaning                                                    |
//! |------------|--------------------------|------------------------------------------------------------|
//! | 0          | the mutex, see there     | who is inside                                              |
//! | 64·(j + 1) | an eventcount            | condition j, 0 to 6: where its waiters sleep               |
//! | + 16       | length of the name       | 0: there is no condition j yet                             |
//! | + 24       | the name                 | written once, under the directory's mutex                  |
//!
//! # Orderings
//!
//! Edge `lock` of the mutex: what was changed inside is seen by who enters next. A waiter registers with the
//! eventcount before it leaves, so whoever is inside after it sees the registration by the same edge: a signal given
//! inside, or after having been inside, finds it. Edge `name`: the length is stored after the name.
//!
//! # When a peer dies
//!
//! Inside: who enters next is told (`OwnerDied`), as with a mutex.
//! Asleep, having used up a signal: the sweep wakes everybody, who then look again.
//! Between change and signal: a waiter whose slice ends sweeps the dead, which wakes everybody; 64 ms at most.
//!
//! # Cost
//!
//! Entering and leaving as a mutex. A signal that nobody waits for is two loads.

use super::mutex::{self, Mutex, MutexLine};
use super::{Guard, Holder, LockError};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::name;
use crate::prim::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::segment::object::{InSegment, Kind, Object, View};
use crate::segment::{ObjectKind, ObjectState, WaitMode};
use crate::wait::{self, Bell, EventCount, Spin};
use std::fmt;
use std::marker::PhantomData;
use std::mem::forget;
use std::sync::Arc;

/// Bytes of a monitor behind its header.
pub const SIZE: usize = size_of::<MutexLine>() + Monitor::MAX_CONDITIONS * size_of::<ConditionLine>();

/// One condition in the segment: a cache line of its own.
#[repr(C)]
struct ConditionLine {
    bell: EventCount,
    name_len: AtomicU32,
    _zero: AtomicU32,
    name: [AtomicU64; Monitor::CONDITION_NAME_MAX / 8],
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for ConditionLine {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<ConditionLine>() == 64);

impl ConditionLine {
    fn of(view: View<'_>, index: usize) -> Result<&ConditionLine> {
        view.at(size_of::<MutexLine>() + index * size_of::<ConditionLine>())
    }

    fn all(view: View<'_>) -> impl Iterator<Item = &ConditionLine> {
        (0..Monitor::MAX_CONDITIONS).filter_map(move |index| Self::of(view, index).ok())
    }

    fn is_free(&self) -> bool {
        // ORDER name: Acquire; pairs with the Release in `baptise`.
        self.name_len.load(Acquire) == 0
    }

    /// The name; `None` if there is none, or garbage.
    fn name(&self) -> Option<String> {
        // ORDER name: Acquire; pairs with the Release in `baptise`.
        let len = self.name_len.load(Acquire) as usize;
        if !(1..=Monitor::CONDITION_NAME_MAX).contains(&len) {
            return None;
        }
        // Relaxed: ordered by `name`, and written once.
        let mut bytes: Vec<u8> = self.name.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(len);
        String::from_utf8(bytes).ok().filter(|name| name::check("condition", name).is_ok())
    }

    /// Gives it its name. Under the directory's mutex.
    fn baptise(&self, name: &str) {
        let mut bytes = [0u8; Monitor::CONDITION_NAME_MAX];
        for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        for (word, chunk) in self.name.iter().zip(bytes.chunks_exact(8)) {
            // Relaxed: the length publishes them.
            word.store(chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), Relaxed);
        }
        // ORDER name: Release; pairs with the Acquire in `name` and `is_free`.
        self.name_len.store(name.len() as u32, Release);
    }
}

/// What the segment knows of monitors.
pub static KIND: Kind = Kind {
    kind: ObjectKind::Monitor,
    repair: |view, slot| (mutex::KIND.repair)(view, slot),
    ring: |view| {
        (mutex::KIND.ring)(view);
        ConditionLine::all(view).for_each(|line| line.bell.ring());
    },
    leave: |view, slot, thread| (mutex::KIND.leave)(view, slot, thread),
    holds: |view| (mutex::KIND.holds)(view),
    state: |view| match (mutex::KIND.state)(view)? {
        ObjectState::Mutex { holder, owner_died } => {
            let conditions = ConditionLine::all(view).filter_map(ConditionLine::name).collect();
            Ok(ObjectState::Monitor { holder, owner_died, conditions })
        }
        other => Ok(other),
    },
};

/// The name of condition number `index`, as an observer sees it.
pub fn condition_name(view: View<'_>, index: u32) -> Option<String> {
    let index = usize::try_from(index).ok().filter(|index| *index < Monitor::MAX_CONDITIONS)?;
    ConditionLine::of(view, index).ok()?.name()
}

/// A monitor in a segment: of all threads of all processes, one at a time is inside.
///
/// When the process of who is inside dies, or the thread ends, the next one to enter gets in together with the news
/// ([`LockError::OwnerDied`]): it repairs what the monitor guards and calls [`MonitorGuard::recover`].
/// Not recursive: entering twice is `Deadlock`. Threads may share a handle; a forked child may use it, but is not
/// inside where its parent is.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// let monitor = segment.monitor("buffer")?;
/// let not_empty = monitor.condition("not_empty")?;
/// let full = segment.semaphore("full", 1)?; // stands for what the monitor guards
/// let inside = monitor.enter()?;
/// while full.value() == 0 {
///     not_empty.wait()?;
/// }
/// drop(inside);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Monitor {
    mutex: Mutex,
}

impl Monitor {
    /// The most conditions a monitor has.
    pub const MAX_CONDITIONS: usize = 7;
    /// The longest name of a condition, in bytes.
    pub const CONDITION_NAME_MAX: usize = 40;

    pub(crate) fn attach(object: Object) -> Result<Monitor> {
        ConditionLine::of(object.view(), Self::MAX_CONDITIONS - 1)?;
        Ok(Monitor { mutex: Mutex::attach(object)? })
    }

    fn object(&self) -> &Object {
        self.mutex.object()
    }

    /// The mutex of who is inside.
    pub(crate) fn mutex(&self) -> &Mutex {
        &self.mutex
    }

    #[inline]
    fn inside(&self) -> MonitorGuard<'_> {
        MonitorGuard { monitor: self, fork: self.object().fork_number(), _not_send: PhantomData }
    }

    /// Enters; waits for ever until nobody is inside.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; `Deadlock` if the calling thread is inside; `Removed`.
    #[inline]
    pub fn enter(&self) -> Result<MonitorGuard<'_>, LockError<MonitorGuard<'_>>> {
        self.enter_until(Deadline::never())
    }

    /// Enters if nobody is inside; never waits.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard.
    #[inline]
    pub fn try_enter(&self) -> Result<Option<MonitorGuard<'_>>, LockError<MonitorGuard<'_>>> {
        match self.mutex.try_lock() {
            Ok(None) => Ok(None),
            Ok(Some(guard)) => {
                forget(guard);
                Ok(Some(self.inside()))
            }
            Err(LockError::OwnerDied(guard)) => {
                forget(guard);
                Err(LockError::OwnerDied(self.inside()))
            }
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }

    /// Enters; waits until the deadline.
    ///
    /// # Errors
    /// As [`Monitor::enter`]; `Timeout`; `Interrupted` if the deadline is interruptible.
    #[inline]
    pub fn enter_until(&self, deadline: Deadline) -> Result<MonitorGuard<'_>, LockError<MonitorGuard<'_>>> {
        match self.mutex.lock_until(deadline) {
            Ok(guard) => {
                forget(guard);
                Ok(self.inside())
            }
            Err(LockError::OwnerDied(guard)) => {
                forget(guard);
                Err(LockError::OwnerDied(self.inside()))
            }
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }

    /// Leaves without a guard, one that was forgotten with [`std::mem::forget`].
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread is inside.
    pub fn leave(&self) -> Result<()> {
        self.mutex.unlock()
    }

    /// As [`MonitorGuard::recover`], without a guard.
    ///
    /// # Errors
    /// `NotOwner` unless the calling thread is inside.
    pub fn recover(&self) -> Result<()> {
        self.mutex.recover()
    }

    /// Is the calling thread inside?
    pub fn is_mine(&self) -> bool {
        self.mutex.is_mine()
    }

    /// Who is inside at this moment.
    pub fn holder(&self) -> Option<Holder> {
        self.mutex.holder()
    }

    /// Has somebody died inside and nobody recovered since?
    pub fn owner_died(&self) -> bool {
        self.mutex.owner_died()
    }

    /// The condition of this name; made if there is none yet. Does not enter; may be called from inside or outside.
    ///
    /// # Errors
    /// `Invalid` for a bad name, also one longer than [`Monitor::CONDITION_NAME_MAX`]; `NoSpace` if the monitor has
    /// [`Monitor::MAX_CONDITIONS`] others; `Busy` if a stopped process holds the directory.
    pub fn condition(&self, name: &str) -> Result<Condition> {
        name::check("condition", name)?;
        if name.len() > Self::CONDITION_NAME_MAX {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "condition {name:?}: its name has {} bytes, more than {}",
                    name.len(),
                    Self::CONDITION_NAME_MAX
                ),
            ));
        }
        let index = match self.find(|line| line.name().as_deref() == Some(name)) {
            Some(index) => Some(index),
            None => self.object().exclusively(|| {
                self.find(|line| line.name().as_deref() == Some(name)).or_else(|| {
                    let index = self.find(ConditionLine::is_free)?;
                    ConditionLine::of(self.object().view(), index).ok()?.baptise(name);
                    Some(index)
                })
            })?,
        };
        let Some(index) = index else {
            let there: Vec<_> = ConditionLine::all(self.object().view()).filter_map(ConditionLine::name).collect();
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "condition {name:?}: monitor {} has {} conditions already ({}), the most there can be; use one of them or another monitor",
                    self.address(),
                    Self::MAX_CONDITIONS,
                    there.join(", ")
                ),
            ));
        };
        Ok(Condition { monitor: self.clone(), index, name: name.into(), spin: Arc::default() })
    }

    fn find(&self, is_it: impl Fn(&ConditionLine) -> bool) -> Option<usize> {
        ConditionLine::all(self.object().view()).position(is_it)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.mutex.name()
    }

    /// `segment/name`.
    pub fn address(&self) -> String {
        self.mutex.address()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({:?}, inside {:?})", self.address(), self.holder())
    }
}

/// The calling thread is inside. Dropping it leaves; in a forked child it does nothing, as the parent is inside.
#[must_use = "dropping the guard leaves the monitor at once"]
pub struct MonitorGuard<'a> {
    monitor: &'a Monitor,
    fork: u32,
    _not_send: PhantomData<*const ()>,
}

impl MonitorGuard<'_> {
    /// Has somebody died inside, and has nobody called `recover` since?
    pub fn owner_died(&self) -> bool {
        self.monitor.owner_died()
    }

    /// Says that the guarded state is whole again. Without it, the next one to enter gets `OwnerDied` too.
    pub fn recover(&self) {
        if self.fork == self.monitor.object().fork_number() {
            let _ = self.monitor.recover();
        }
    }
}

impl Guard for MonitorGuard<'_> {
    fn address(&self) -> String {
        self.monitor.address()
    }
}

impl Drop for MonitorGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.fork == self.monitor.object().fork_number() {
            let _ = self.monitor.leave(); // Refused if a wait could not enter again.
        }
    }
}

impl fmt::Debug for MonitorGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MonitorGuard({:?})", self.monitor.address())
    }
}

/// A condition variable of a monitor. Threads may share it; a forked child may use it.
///
/// It remembers nothing: a signal that nobody waits for is gone. So change what the condition is about inside the
/// monitor, and look at it in a loop: `while !condition_holds { condition.wait()? }`.
#[derive(Clone)]
pub struct Condition {
    monitor: Monitor,
    index: usize,
    name: Box<str>,
    spin: Arc<Spin>,
}

impl Condition {
    fn line(&self) -> Result<&ConditionLine> {
        ConditionLine::of(self.monitor.object().view(), self.index)
    }

    /// Leaves the monitor, sleeps until signalled, and enters again. May return without a signal (a death somewhere
    /// wakes everybody): look again at what you wait for.
    ///
    /// # Errors
    /// `NotOwner` if the calling thread is not inside. `OwnerDied` if somebody died inside meanwhile: repair, then
    /// `recover`. After these the calling thread is where it was: outside, or inside.
    /// `Removed`, and `Deadlock` in a segment that detects them: if it could not enter again, it is outside;
    /// [`Monitor::is_mine`] tells.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never())
    }

    /// As [`Condition::wait`], and comes back at the deadline. Entering again may take longer than that.
    ///
    /// # Errors
    /// As `wait`; `Timeout`, and `Interrupted` if the deadline is interruptible: inside again.
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> {
        let Monitor { mutex } = &self.monitor;
        let bell = &self.line()?.bell;
        if !mutex.is_mine() {
            return Err(Error::new(
                ErrorKind::NotOwner,
                format!(
                    "wait for {:?} of monitor {}: the calling thread is not inside; enter first",
                    self.name,
                    self.monitor.address()
                ),
            ));
        }
        // Registered before leaving: who is inside next finds us. ORDER lock (of the mutex).
        let key = bell.prepare();
        mutex.unlock()?;
        let world = mutex.object().waiting(WaitMode::Condition, self.index as u32);
        let signalled = || Ok(bell.has_rung_since(key).then_some(()));
        let waited = wait::until(&world, bell, &self.spin, deadline, || None, signalled);
        match mutex.lock() {
            Ok(guard) => {
                forget(guard);
                match waited {
                    // Signalled while it was on its way in: too late for the deadline, not for who signalled.
                    Err(late) if late.kind() == ErrorKind::Timeout && bell.has_rung_since(key) => Ok(()),
                    waited => waited,
                }
            }
            Err(LockError::OwnerDied(guard)) => {
                let died = Error::new(
                    ErrorKind::OwnerDied,
                    format!(
                        "wait for {:?} of monitor {}: somebody died inside; repair what it guards and call recover()",
                        self.name,
                        self.monitor.address()
                    ),
                );
                forget(guard);
                Err(died)
            }
            Err(LockError::Failed(error)) => Err(error),
        }
    }

    /// Wakes one thread that waits for this condition, if any. Best called inside.
    ///
    /// # Errors
    /// `NoSpace` in a forked child that finds no place in the segment.
    #[inline]
    pub fn signal(&self) -> Result<()> {
        self.monitor.object().me()?;
        self.line()?.bell.notify(1);
        Ok(())
    }

    /// Wakes every thread that waits for this condition. Best called inside.
    ///
    /// # Errors
    /// As [`Condition::signal`].
    #[inline]
    pub fn broadcast(&self) -> Result<()> {
        self.monitor.object().me()?;
        self.line()?.bell.notify(i32::MAX as u32);
        Ok(())
    }

    /// Its name in the monitor.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The monitor it belongs to.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?} of {:?})", self.name, self.monitor.address())
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::prim::Woken;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    /// What a monitor is made of, with loom's own mutex inside: the eventcount is what is checked here.
    struct Shared {
        lock: loom::sync::Mutex<()>,
        bell: EventCount,
        items: UnsafeCell<u32>,
    }

    impl Shared {
        fn items(&self) -> u32 {
            // SAFETY: called with the lock held; loom checks just that.
            self.items.with(|p| unsafe { *p })
        }
        fn add(&self, n: u32) {
            // SAFETY: as above.
            self.items.with_mut(|p| unsafe { *p = p.read().wrapping_add(n) });
        }
    }

    fn take(shared: &Shared) {
        let mut inside = shared.lock.lock().unwrap();
        while shared.items() == 0 {
            let key = shared.bell.prepare();
            drop(inside);
            while !shared.bell.has_rung_since(key) {
                let woken = shared.bell.sleep(key, u64::MAX);
                assert_eq!(woken, Woken::Perhaps);
            }
            inside = shared.lock.lock().unwrap();
        }
        shared.add(u32::MAX);
    }

    fn model(put: impl Fn(&Shared) + Sync + Send + Copy + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let shared = Arc::new(Shared {
                lock: loom::sync::Mutex::new(()),
                bell: EventCount::new(),
                items: UnsafeCell::new(0),
            });
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    loom::thread::spawn(move || take(&shared))
                })
                .collect();
            put(&shared);
            put(&shared);
            for taker in takers {
                taker.join().unwrap();
            }
        });
    }

    #[test]
    fn a_signal_given_inside_is_not_lost() {
        model(|shared| {
            let _inside = shared.lock.lock().unwrap();
            shared.add(1);
            shared.bell.notify(1);
        });
    }

    #[test]
    fn a_signal_given_after_leaving_is_not_lost() {
        model(|shared| {
            let inside = shared.lock.lock().unwrap();
            shared.add(1);
            drop(inside);
            shared.bell.notify(1);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Segment;
    use std::time::Duration;

    fn monitor() -> (Segment, Monitor) {
        let segment = Segment::anonymous(1 << 20).unwrap();
        let monitor = segment.monitor("m").unwrap();
        (segment, monitor)
    }

    #[test]
    fn conditions_are_found_by_name_and_there_are_seven() {
        let (segment, monitor) = monitor();
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        for (i, name) in names.iter().enumerate() {
            assert_eq!(monitor.condition(name).unwrap().index, i);
        }
        assert_eq!(segment.open_monitor("m").unwrap().condition("c").unwrap().index, 2);
        let full = monitor.condition("h").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::NoSpace);
        assert!(full.to_string().contains("a, b, c"), "{full}");
        for bad in ["", "a/b", &"x".repeat(41)] {
            assert_eq!(monitor.condition(bad).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let ObjectState::Monitor { conditions, .. } = &segment.objects().unwrap()[0].state else { panic!() };
        assert_eq!(conditions, &names);
    }

    #[test]
    fn who_waits_outside_is_refused_and_who_waits_too_long_is_inside_again() {
        let (_segment, monitor) = monitor();
        let condition = monitor.condition("c").unwrap();
        assert_eq!(condition.wait().unwrap_err().kind(), ErrorKind::NotOwner);
        let inside = monitor.enter().unwrap();
        let late = condition.wait_until(Duration::from_millis(5).into()).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert!(monitor.is_mine());
        drop(inside);
        assert!(!monitor.is_mine());
    }

    /// A bounded buffer of one place, its state in a semaphore's value so that the segment holds it.
    #[test]
    fn everything_that_is_put_is_taken_by_threads_that_wait_for_conditions() {
        let (segment, monitor) = monitor();
        let (not_empty, not_full) = (monitor.condition("not_empty").unwrap(), monitor.condition("not_full").unwrap());
        let items = segment.semaphore("items", 0).unwrap();
        const N: u32 = 2_000;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..N {
                        let inside = monitor.enter().unwrap();
                        while items.value() > 0 {
                            not_full.wait().unwrap();
                        }
                        items.post().unwrap();
                        not_empty.signal().unwrap();
                        drop(inside);
                    }
                });
                scope.spawn(|| {
                    for _ in 0..N {
                        let inside = monitor.enter().unwrap();
                        while !items.try_wait().unwrap() {
                            not_empty.wait().unwrap();
                        }
                        not_full.signal().unwrap();
                        drop(inside);
                    }
                });
            }
        });
        assert_eq!(items.value(), 0);
    }

    #[test]
    fn a_broadcast_wakes_everybody_and_removal_ends_the_wait() {
        let (segment, monitor) = monitor();
        let go = monitor.condition("go").unwrap();
        let (waiting, open) = (segment.semaphore("waiting", 0).unwrap(), segment.semaphore("open", 0).unwrap());
        std::thread::scope(|scope| {
            let crowd: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let _inside = monitor.enter().unwrap();
                        waiting.post().unwrap();
                        while open.value() == 0 {
                            go.wait().unwrap();
                        }
                    })
                })
                .collect();
            (0..3).for_each(|_| waiting.wait().unwrap());
            let inside = monitor.enter().unwrap(); // All three have left it, so they are registered.
            open.post().unwrap();
            go.broadcast().unwrap();
            drop(inside);
            crowd.into_iter().for_each(|one| one.join().unwrap());
            let last = scope.spawn(|| {
                let _inside = monitor.enter().unwrap();
                waiting.post().unwrap();
                loop {
                    if let Err(error) = go.wait() {
                        return error.kind();
                    }
                }
            });
            waiting.wait().unwrap();
            drop(monitor.enter().unwrap());
            segment.remove("m").unwrap();
            assert_eq!(last.join().unwrap(), ErrorKind::Removed);
        });
    }

    #[test]
    fn a_thread_that_ends_inside_leaves_the_news_to_a_waiter() {
        let (segment, monitor) = monitor();
        let go = monitor.condition("go").unwrap();
        let waiting = segment.semaphore("waiting", 0).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let inside = monitor.enter().unwrap();
                waiting.post().unwrap();
                let died = go.wait().unwrap_err();
                assert_eq!(died.kind(), ErrorKind::OwnerDied);
                assert!(inside.owner_died() && monitor.is_mine());
                inside.recover();
            });
            waiting.wait().unwrap();
            scope.spawn(|| {
                forget(monitor.enter().unwrap());
                go.signal().unwrap();
            });
            waiter.join().unwrap();
        });
        assert!(!monitor.owner_died());
        drop(monitor.enter().unwrap());
    }
}
