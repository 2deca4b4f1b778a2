//! Killed in an operation of arrays.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum ArrayVerb {
    Write,
    /// Write after a writer died in the middle, and say that all is whole again.
    Recover,
    Snapshot,
    /// A snapshot of what a dead writer left.
    SnapshotOfDead,
}

impl ArrayVerb {
    fn writes(self) -> bool {
        matches!(self, ArrayVerb::Write | ArrayVerb::Recover)
    }

    fn after_a_death(self) -> bool {
        matches!(self, ArrayVerb::Recover | ArrayVerb::SnapshotOfDead)
    }
}

struct ArrayScene {
    place: Place,
    verb: ArrayVerb,
    array: Option<RawArray>,
    predecessor: &'static Page,
}

const LEN: usize = 120;

/// Writes as a whole; true: told of a death, and put right.
fn write(array: &RawArray, bytes: &[u8]) -> Result<bool> {
    match array.write_until(in_time()) {
        Ok(_guard) => array.write_at(0, bytes).map(|()| false),
        Err(LockError::OwnerDied(guard)) => {
            array.write_at(0, bytes)?;
            guard.recover();
            Ok(true)
        }
        Err(LockError::Failed(error)) => Err(error),
    }
}

impl ArrayScene {
    fn new(verb: ArrayVerb) -> ArrayScene {
        ArrayScene { place: Place::new(), verb, array: None, predecessor: Page::new() }
    }
}

impl Scene for ArrayScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let array = self.place.segment.create_raw_array("a", "B", &[LEN]).unwrap();
        assert!(!write(&array, &message(1, 0, LEN)).unwrap());
        if self.verb.after_a_death() {
            drop(Bystander::start(self.predecessor, |step| {
                let array = self.place.segment.open_raw_array("a").unwrap();
                std::mem::forget(array.write().unwrap());
                array.write_at(0, &[7; LEN / 2]).unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        self.array = Some(array);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let array = self.place.segment.open_raw_array("a").unwrap();
        let bytes = message(2, 0, LEN);
        let buffer = &mut step.0.buffer()[..LEN];
        match self.verb {
            ArrayVerb::Write | ArrayVerb::Recover => step.through(|| write(&array, &bytes).map(|_| OK)),
            ArrayVerb::Snapshot => step.through(|| array.snapshot_until(buffer, in_time()).map(|()| OK)),
            ArrayVerb::SnapshotOfDead => step.through(|| match array.snapshot_until(buffer, in_time()) {
                Err(error) if error.kind() == ErrorKind::OwnerDied => Ok(OK),
                other => panic!("a snapshot of what a dead writer left: {other:?}"),
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let array = self.array.take().unwrap();
        let mut bytes = [0; LEN];
        // What is found is whole: the old values, or the new ones, or word of a death.
        let told = match self.place.recovering(|| array.snapshot_until(&mut bytes, in_time())) {
            Ok(()) => {
                let (sender, _) = read(&bytes);
                match self.verb {
                    ArrayVerb::Write => assert!(sender == 2 || sender == 1 && !killed.done()),
                    ArrayVerb::Recover => assert_eq!(sender, 2, "what the dead had left half-way"),
                    ArrayVerb::Snapshot => assert_eq!(sender, 1),
                    ArrayVerb::SnapshotOfDead => panic!("a snapshot of what a dead writer left"),
                }
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OwnerDied, "{error}");
                assert!(self.verb != ArrayVerb::Snapshot, "nobody wrote");
                assert!(!(self.verb.writes() && killed.done()), "it was written to the end");
                true
            }
        };
        if self.verb == ArrayVerb::Snapshot && killed.done() {
            assert_eq!(read(&self.place.page.left()[..LEN]), (1, 0));
        }
        // The next writer is told what snapshots are told, once; then all is as new.
        for seq in 0..3 {
            assert_eq!(write(&array, &message(3, seq, LEN)).unwrap(), told && seq == 0);
            array.snapshot_until(&mut bytes, in_time()).unwrap();
            assert_eq!(read(&bytes), (3, seq));
        }
        assert_eq!(array.writer(), None);
        assert!(!array.owner_died());
        self.place.segment.remove("a").unwrap();
        drop(array);
        self.place.is_as_new();
    }
}

#[test]
fn an_array_is_whole_or_tells_of_a_death() {
    use ArrayVerb::{Recover, Snapshot, SnapshotOfDead, Write};
    let cases = [Write, Recover, Snapshot, SnapshotOfDead]
        .map(|verb| case(format!("array: {verb:?}"), move || ArrayScene::new(verb)));
    run_all("array", cases.into());
}
