//! Killed in an operation of repairers.

use crate::mailbox::{MESSAGE, drain, fills_and_drains};
use crate::ring::RingScene;
use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::time::Duration;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum RepairVerb {
    Sweep,
    /// Lock the mutex that the dead one holds.
    Lock,
    /// Receive past the claim of the dead sender.
    Receive,
    /// Send where the dead receiver holds the only place.
    Send,
    /// Peek at the message that the dead receiver holds.
    Peek,
    /// Join where the dead one's seat is the only one.
    TakeSeat,
    /// Use a directory whose mutex the dead one holds, in the middle of a creation.
    Create,
}

/// Everything is held by a dead process. The child puts it right, and is killed at it; the survivor completes.
struct RepairScene {
    place: Place,
    verb: RepairVerb,
    dead: &'static Page,
    /// Where the first one dies.
    death: Option<Effect>,
}

impl RepairScene {
    fn new(verb: RepairVerb) -> RepairScene {
        let seats = if verb == RepairVerb::TakeSeat { 2 } else { 4 };
        RepairScene { place: Place::with_seats(seats), verb, dead: Page::new(), death: None }
    }
}

impl Scene for RepairScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let segment = &self.place.segment;
        drop(segment.create_mutex("mutex").unwrap());
        let writing = segment.create_mailbox("writing", 3, MESSAGE).unwrap();
        let reading = segment.create_mailbox("reading", 1, MESSAGE).unwrap();
        reading.send(&message(1, 0, 40)).unwrap();
        drop(segment.create_ring("ring", 512).unwrap());
        let mut watch = Watch::new(self.file(), self.dead);
        let dead = Child::start(self.dead, |step| {
            let mutex = segment.open_mutex("mutex").unwrap();
            std::mem::forget(mutex.lock().unwrap());
            let writing = segment.open_mailbox("writing").unwrap();
            writing.reserve(100).unwrap().into_raw();
            let ring = segment.open_ring("ring").unwrap();
            std::mem::forget((ring.producer().unwrap(), ring.consumer().unwrap()));
            let reading = segment.open_mailbox("reading").unwrap();
            let mut buffer = [0; MESSAGE];
            if self.verb == RepairVerb::Create {
                step.through(|| segment.create_semaphore("half", 1).map(|_| OK));
            }
            step.through(|| reading.receive(&mut buffer).map(|_| OK))
        })?;
        // By receiving: once the message is claimed. By creating: with the directory's mutex held, and one thing more.
        let effects = if self.verb == RepairVerb::Create { 3 } else { 1 };
        let killed = dead.killed_at(self.death.map_or(Stop::Effects(effects), Stop::Effect), &mut watch)?;
        assert_eq!(killed.result, None, "the first one was to die in the middle");
        self.death = self.death.or(killed.effects.last().copied());
        writing.send(&message(1, 0, 40)).unwrap();
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        if self.verb == RepairVerb::TakeSeat {
            step.through(|| segment.sweep().map(|_| OK)); // joins first
        }
        segment.participants().unwrap(); // joins
        match self.verb {
            RepairVerb::Sweep | RepairVerb::TakeSeat => step.through(|| segment.sweep().map(|_| OK)),
            RepairVerb::Lock => {
                let mutex = segment.open_mutex("mutex").unwrap();
                step.through(|| match mutex.lock_until(in_time()) {
                    Err(LockError::OwnerDied(guard)) => {
                        drop(guard); // without recover
                        Ok(OK)
                    }
                    Err(LockError::Failed(error)) => Err(error),
                    Ok(_) => Ok(OK + 10),
                })
            }
            RepairVerb::Receive => {
                let mailbox = segment.open_mailbox("writing").unwrap();
                let buffer = step.0.buffer();
                step.through(|| mailbox.receive_until(buffer, in_time()).map(|_| OK))
            }
            RepairVerb::Send => {
                let mailbox = segment.open_mailbox("reading").unwrap();
                let message = message(2, 0, 40);
                step.through(|| mailbox.send_until(&message, Deadline::after(Duration::from_millis(5))).map(|()| OK))
            }
            RepairVerb::Peek => {
                let mailbox = segment.open_mailbox("reading").unwrap();
                let buffer = step.0.buffer();
                step.through(|| mailbox.peek_until(buffer, Deadline::after(Duration::from_millis(5))).map(|_| OK))
            }
            RepairVerb::Create => {
                step.through(|| {
                    std::mem::forget(segment.create_semaphore("other", 1)?);
                    Ok(OK)
                });
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        assert_ne!(killed.result, Some(OK + 10), "the helper was not told of the death");
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mutex = segment.open_mutex("mutex").unwrap();
        match mutex.lock_until(in_time()) {
            Err(LockError::OwnerDied(guard)) => guard.recover(),
            Err(LockError::Failed(error)) => panic!("{error}"),
            Ok(_) => panic!("a death was kept silent"),
        }
        drop(mutex.lock_until(in_time()).expect("a plain lock after the recovery"));

        let writing = segment.open_mailbox("writing").unwrap();
        let got = drain(segment, &writing, (1, 1));
        let taken = self.verb == RepairVerb::Receive && got == [(1, 1, 0)];
        if taken {
            assert_eq!(whole(&self.place.page.left()[..40]), Some((1, 0)), "gone, and the helper had not got it");
        } else {
            // The helper may have died with it too.
            let redelivered = got.first().map_or(0, |key| key.2);
            assert!(redelivered == 0 || self.verb == RepairVerb::Receive, "{got:?}");
            let mut keys: Vec<_> = got.iter().map(|key| (key.0, key.1)).collect();
            keys.sort_unstable();
            assert_eq!(keys, [(1, 0), (1, 1)]);
        }
        fills_and_drains(&writing);

        let reading = segment.open_mailbox("reading").unwrap();
        let got = drain(segment, &reading, (1, 1));
        let half = self.verb == RepairVerb::Create; // there the first one had not begun to receive
        assert!(got.iter().any(|key| (key.0, key.1) == (1, 0) && (key.2 > 0 || half)), "not delivered again: {got:?}");
        assert!(got.len() == 2 || self.verb == RepairVerb::Send && got.len() == 3, "{got:?}");
        fills_and_drains(&reading);

        let ring = segment.open_ring("ring").unwrap();
        RingScene::works(&mut ring.producer().unwrap(), &mut ring.consumer().unwrap());

        is_clean(segment, 1);
        for object in segment.objects().unwrap() {
            segment.remove(&object.name).unwrap();
        }
        drop((mutex, writing, reading, ring));
        self.place.is_as_new();
    }
}

#[test]
fn a_repairer_may_die_too() {
    use RepairVerb::{Create, Lock, Peek, Receive, Send, Sweep, TakeSeat};
    let cases = [Sweep, Lock, Receive, Send, Peek, TakeSeat, Create]
        .map(|verb| case(format!("repair: {verb:?}"), move || RepairScene::new(verb)));
    run_all("repair", cases.into());
}
