//! Killed in an operation on what threads meet at: a condition, a barrier, event flags.

use crate::scene::*;
use crate::step::*;
use std::mem::forget;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use triveni::{After, Barrier, Condition, Deadline, Error, ErrorKind, Event, LockError, Monitor, Segment};
use triveni_tests::{PATIENCE, wait_for};

// ------------------------------------------------------------------------------------------------------ conditions

#[derive(Clone, Copy, PartialEq)]
enum ConditionVerb {
    /// Enters, makes the condition true, signals, leaves.
    Signal,
    Broadcast,
    /// Enters, waits until time is up, leaves; the one signal that is given may go to it.
    Wait,
}

/// The condition: the first number in the page is 1. Another process waits for that.
struct ConditionScene {
    place: Place,
    verb: ConditionVerb,
    monitor: Option<Monitor>,
    sleeper: Option<(Bystander, &'static Page)>,
}

fn open(segment: &Segment) -> (Monitor, Condition) {
    let monitor = segment.open_monitor("m").unwrap();
    let condition = monitor.condition("c").unwrap();
    (monitor, condition)
}

/// Enters, whoever died inside.
fn enter(monitor: &Monitor) -> Result<(), Error> {
    match monitor.enter_until(in_time()) {
        Ok(inside) => forget(inside),
        Err(LockError::OwnerDied(inside)) => {
            inside.recover();
            forget(inside);
        }
        Err(LockError::Failed(error)) => return Err(error),
    }
    Ok(())
}

impl Scene for ConditionScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        self.monitor = Some(self.place.segment.create_monitor("m").unwrap());
        let (page, flag) = (Page::new(), &self.place.page.data[0]);
        flag.store(0, Relaxed);
        let sleeper = Bystander::start(page, |step| {
            let (monitor, condition) = open(&self.place.segment);
            enter(&monitor).unwrap();
            step.0.mark.store(BEGUN, Relaxed);
            while flag.load(Relaxed) == 0 {
                match condition.wait_until(Deadline::after(PATIENCE)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::OwnerDied => monitor.recover().unwrap(),
                    Err(error) => panic!("{error}"),
                }
            }
            monitor.leave().unwrap();
            step.0.mark.store(DONE, Relaxed);
            step.wait();
        });
        self.sleeper = Some((sleeper, page));
        wait_for("somebody waits for the condition", || !self.place.segment.waits().unwrap().is_empty());
        Ok(())
    }

    fn act(&self, step: &Step) {
        let (monitor, condition) = open(&self.place.segment);
        let flag = &self.place.page.data[0];
        step.through(|| {
            enter(&monitor)?;
            let answer = match self.verb {
                ConditionVerb::Wait => condition.wait_until(soon()),
                ConditionVerb::Signal => {
                    flag.store(1, Relaxed);
                    condition.signal()
                }
                ConditionVerb::Broadcast => {
                    flag.store(1, Relaxed);
                    condition.broadcast()
                }
            };
            monitor.leave()?;
            answer.map(|()| OK)
        })
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let monitor = self.monitor.take().unwrap();
        let (sleeper, page) = self.sleeper.take().unwrap();
        self.place.recovering(|| {
            if self.place.page.data[0].load(Relaxed) == 0 {
                // It has not come to that. One signal: if the dead one had it, the other must be woken all the same.
                enter(&monitor).unwrap();
                self.place.page.data[0].store(1, Relaxed);
                monitor.condition("c").unwrap().signal().unwrap();
                monitor.leave().unwrap();
            }
            wait_for("the waiter finds the condition true", || page.mark.load(Relaxed) == DONE);
        });
        drop(sleeper);
        enter(&monitor).unwrap();
        monitor.leave().unwrap();
        assert!(monitor.holder().is_none() && !monitor.owner_died());
        self.place.segment.remove("m").unwrap();
        drop(monitor);
        self.place.is_as_new();
    }
}

#[test]
fn who_waits_for_a_condition_is_woken() {
    use ConditionVerb::{Broadcast, Signal, Wait};
    let table = [("signal", Signal), ("broadcast", Broadcast), ("wait beside another, time up", Wait)];
    let cases = table.map(|(name, verb)| {
        case(format!("condition: {name}"), move || ConditionScene {
            place: Place::new(),
            verb,
            monitor: None,
            sleeper: None,
        })
    });
    run_all("condition", cases.into());
}

// -------------------------------------------------------------------------------------------------------- barriers

/// A barrier for two; another process may have arrived already.
struct BarrierScene {
    place: Place,
    last: bool,
    barrier: Option<Barrier>,
    other: Option<(Bystander, &'static Page)>,
}

/// How the other one's wait ended.
const WENT_ON: u64 = 1;
const BROKEN: u64 = 2;

impl Scene for BarrierScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let barrier = self.place.segment.create_barrier("b", 2).unwrap();
        if self.last {
            let page = Page::new();
            let other = Bystander::start(page, |step| {
                let barrier = self.place.segment.open_barrier("b").unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                let ended = match barrier.wait_until(Deadline::after(PATIENCE)) {
                    Ok(_) => WENT_ON,
                    Err(error) if error.kind() == ErrorKind::Broken => BROKEN,
                    Err(error) => panic!("{error}"),
                };
                step.0.result.store(ended, Relaxed);
                step.0.mark.store(DONE, Relaxed);
                step.wait();
            });
            wait_for("the other one sleeps", || !self.place.segment.waits().unwrap().is_empty());
            self.other = Some((other, page));
        }
        self.barrier = Some(barrier);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let barrier = self.place.segment.open_barrier("b").unwrap();
        let until = if self.last { in_time() } else { soon() };
        step.through(|| barrier.wait_until(until).map(|_| OK))
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let barrier = self.barrier.take().unwrap();
        if let Some((other, page)) = self.other.take() {
            self.place.recovering(|| {
                wait_for("the other one goes on or is told", || page.mark.load(Relaxed) == DONE);
            });
            let ended = page.result.load(Relaxed);
            assert!(
                !killed.done() || ended == WENT_ON,
                "the round was complete, and the other one was told that it broke"
            );
            drop(other);
        }
        let first = self.place.recovering(|| barrier.wait_until(in_time()));
        let late = match first {
            // It had arrived before it died, so its round is complete; the next one is not.
            Ok(led) => {
                assert!(led && !self.last && !killed.done() && !killed.swept);
                barrier.wait_until(in_time()).unwrap_err()
            }
            Err(error) => error,
        };
        assert_eq!(late.kind(), ErrorKind::Broken, "{late}");
        assert!(barrier.is_broken());
        barrier.reset().unwrap();
        assert!(!barrier.is_broken() && barrier.arrived() == 0);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| barrier.wait_until(in_time()).unwrap());
            let led = barrier.wait_until(in_time()).unwrap();
            assert_ne!(led, one.join().unwrap(), "one of two leads");
        });
        self.place.segment.remove("b").unwrap();
        drop(barrier);
        self.place.is_as_new();
    }
}

#[test]
fn who_waits_at_a_barrier_goes_on_or_is_told() {
    let cases = [("arrive first, time up", false), ("arrive last", true)].map(|(name, last)| {
        case(format!("barrier: {name}"), move || BarrierScene { place: Place::new(), last, barrier: None, other: None })
    });
    run_all("barrier", cases.into());
}

// ----------------------------------------------------------------------------------------------------- event flags

#[derive(Clone, Copy, PartialEq)]
enum EventVerb {
    Set,
    Clear,
    /// Waits for flags that are set, and clears them.
    Take,
    /// Waits for flags that are not set until time is up.
    TimeUp,
}

struct EventScene {
    place: Place,
    verb: EventVerb,
    event: Option<Event>,
    sleeper: Option<(Bystander, &'static Page)>,
}

impl Scene for EventScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let initial = if matches!(self.verb, EventVerb::Clear | EventVerb::Take) { 0b110 } else { 0 };
        let event = self.place.segment.create_event("e", initial).unwrap();
        if self.verb == EventVerb::Set {
            let page = Page::new();
            let sleeper = Bystander::start(page, |step| {
                let event = self.place.segment.open_event("e").unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                assert_eq!(event.wait_all_until(0b110, After::Clear, Deadline::after(PATIENCE)).unwrap(), 0b110);
                step.0.mark.store(DONE, Relaxed);
                step.wait();
            });
            wait_for("somebody waits for the flags", || !self.place.segment.waits().unwrap().is_empty());
            self.sleeper = Some((sleeper, page));
        }
        self.event = Some(event);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let event = self.place.segment.open_event("e").unwrap();
        step.through(|| {
            match self.verb {
                EventVerb::Set => event.set(0b110),
                EventVerb::Clear => event.clear(0b110),
                EventVerb::Take => event.wait_all_until(0b110, After::Clear, soon()),
                EventVerb::TimeUp => event.wait_any_until(1, After::Clear, soon()),
            }
            .map(|_| OK)
        })
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let event = self.event.take().unwrap();
        if let Some((sleeper, page)) = self.sleeper.take() {
            self.place.recovering(|| {
                if !killed.done() && event.flags() == 0 && page.mark.load(Relaxed) != DONE {
                    event.set(0b110).unwrap(); // it may not have come to that
                }
                wait_for("the sleeper gets its flags", || page.mark.load(Relaxed) == DONE);
            });
            drop(sleeper);
        } else {
            let flags = event.flags();
            assert!(flags == 0 || flags == 0b110, "half a change: {flags:#b}");
            assert!(!killed.done() || flags == 0);
        }
        event.clear(u32::MAX).unwrap();
        event.set(1 << 31).unwrap();
        assert_eq!(event.wait_any_until(u32::MAX, After::Clear, in_time()).unwrap(), 1 << 31);
        self.place.segment.remove("e").unwrap();
        drop(event);
        self.place.is_as_new();
    }
}

#[test]
fn event_flags_change_as_a_whole_and_wake() {
    use EventVerb::{Clear, Set, Take, TimeUp};
    let table = [
        ("set, somebody sleeps", Set),
        ("clear", Clear),
        ("wait for flags that are set, clear them", Take),
        ("wait, time up", TimeUp),
    ];
    let cases = table.map(|(name, verb)| {
        case(format!("event: {name}"), move || EventScene { place: Place::new(), verb, event: None, sleeper: None })
    });
    run_all("event", cases.into());
}
