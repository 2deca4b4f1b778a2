//! Killed in an operation of cells.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum CellVerb {
    Store,
    /// Store with a buffer that a dead writer holds.
    StoreAfterDeath,
    Load,
    /// Wait for a newer value, in vain.
    Wait,
}

struct CellScene {
    place: Place,
    verb: CellVerb,
    cell: Option<RawCell>,
    predecessor: &'static Page,
}

const LEN: usize = 72;

impl CellScene {
    fn new(verb: CellVerb) -> CellScene {
        CellScene { place: Place::new(), verb, cell: None, predecessor: Page::new() }
    }

    fn load(cell: &RawCell) -> (u64, (u64, u64)) {
        let mut bytes = [0; LEN];
        let version = cell.load(&mut bytes).unwrap().expect("a value was stored");
        (version, read(&bytes))
    }

    fn writers(&self) -> Vec<u32> {
        match &self.place.segment.objects().unwrap()[0].state {
            ObjectState::Cell { writers, .. } => writers.clone(),
            other => panic!("{other:?}"),
        }
    }
}

impl Scene for CellScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let options = CellOptions::bytes(LEN).writers(1);
        let cell = self.place.segment.create_cell_with("c", &options).unwrap();
        for seq in 0..3 {
            assert_eq!(cell.store(&message(1, seq, LEN)).unwrap(), seq + 1);
        }
        if self.verb == CellVerb::StoreAfterDeath {
            // Killed wherever it is in its stores, until one of them has left a claim.
            triveni_tests::wait_for("a writer that dies with a claim", || {
                self.predecessor.clear();
                drop(Bystander::start(self.predecessor, |step| {
                    let cell = self.place.segment.open_raw_cell("c").unwrap();
                    step.0.mark.store(BEGUN, Relaxed);
                    loop {
                        cell.store(&message(1, 3, LEN)).unwrap();
                    }
                }));
                !self.writers().is_empty()
            });
        }
        self.cell = Some(cell);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let cell = self.place.segment.open_raw_cell("c").unwrap();
        let bytes = message(2, 0, LEN);
        let buffer = &mut step.0.buffer()[..LEN];
        match self.verb {
            CellVerb::Store | CellVerb::StoreAfterDeath => {
                step.through(|| cell.store_until(&bytes, in_time()).map(|_| OK))
            }
            CellVerb::Load => step.through(|| cell.load(buffer).map(|_| OK)),
            CellVerb::Wait => {
                let seen = cell.version();
                step.through(|| cell.load_newer_until(seen, buffer, soon()).map(|_| OK))
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let cell = self.cell.take().unwrap();
        // The latest value is whole: the last one, or the one that the dead was storing.
        let (version, value) = self.place.recovering(|| Self::load(&cell));
        match self.verb {
            CellVerb::Store => {
                assert!((version, value) == (4, (2, 0)) || (version, value) == (3, (1, 2)) && !killed.done());
            }
            CellVerb::StoreAfterDeath => assert!(value == (2, 0) || value.0 == 1 && !killed.done(), "{value:?}"),
            CellVerb::Load => {
                assert_eq!((version, value), (3, (1, 2)));
                assert!(!killed.done() || read(&self.place.page.left()[..LEN]) == (1, 2));
            }
            CellVerb::Wait => assert_eq!((version, value), (3, (1, 2))),
        }
        // There is a buffer for each of the next writers.
        for seq in 0..3 {
            let stored = self.place.recovering(|| cell.store_until(&message(3, seq, LEN), in_time())).unwrap();
            assert_eq!(stored, version + 1 + seq);
            assert_eq!(Self::load(&cell), (stored, (3, seq)));
        }
        self.place.segment.sweep().unwrap();
        assert!(self.writers().is_empty(), "a claim is left: {:?}", self.writers());
        self.place.segment.remove("c").unwrap();
        drop(cell);
        self.place.is_as_new();
    }
}

#[test]
fn a_cell_has_the_last_value_whoever_dies() {
    use CellVerb::{Load, Store, StoreAfterDeath, Wait};
    let cases =
        [Store, StoreAfterDeath, Load, Wait].map(|verb| case(format!("cell: {verb:?}"), move || CellScene::new(verb)));
    run_all("cell", cases.into());
}
