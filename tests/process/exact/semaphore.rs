//! Killed in an operation of semaphores.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use triveni::*;
use triveni_tests::PATIENCE;

#[derive(Clone, Copy, PartialEq)]
enum SemaphoreVerb {
    Wait,
    Post,
}

struct SemaphoreScene {
    place: Place,
    verb: SemaphoreVerb,
    value: u32,
    /// Somebody else sleeps on it.
    slept_on: bool,
    semaphore: Option<Semaphore>,
    sleeper: Option<(Bystander, &'static Page)>,
}

impl SemaphoreScene {
    fn new(verb: SemaphoreVerb, value: u32, slept_on: bool) -> SemaphoreScene {
        SemaphoreScene { place: Place::new(), verb, value, slept_on, semaphore: None, sleeper: None }
    }
}

impl Scene for SemaphoreScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let semaphore = self.place.segment.create_semaphore("s", self.value).unwrap();
        if self.slept_on {
            let page = Page::new();
            let sleeper = Bystander::start(page, |step| {
                let semaphore = self.place.segment.open_semaphore("s").unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                semaphore.wait_until(Deadline::after(PATIENCE)).unwrap();
                step.0.mark.store(DONE, Relaxed);
                step.wait();
            });
            sleeper.sleeps();
            self.sleeper = Some((sleeper, page));
        }
        self.semaphore = Some(semaphore);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let semaphore = self.place.segment.open_semaphore("s").unwrap();
        match self.verb {
            SemaphoreVerb::Wait => step.through(|| semaphore.wait_until(soon()).map(|()| OK)),
            SemaphoreVerb::Post => step.through(|| semaphore.post().map(|()| OK)),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let semaphore = self.semaphore.take().unwrap();
        let mut after = semaphore.value();
        if let Some((sleeper, page)) = self.sleeper.take() {
            if !killed.done() && after == 0 && page.mark.load(Relaxed) != DONE {
                semaphore.post().unwrap(); // it may not have come to that
            }
            let woken = Instant::now();
            triveni_tests::wait_for("the sleeper gets its permit", || page.mark.load(Relaxed) == DONE);
            assert!(woken.elapsed() < Duration::from_secs(5), "the sleeper woke after {:?}", woken.elapsed());
            drop(sleeper);
            after = semaphore.value();
            assert!(after <= 1, "{after} permits of one or two, of which one was taken");
        } else {
            let changed = match self.verb {
                SemaphoreVerb::Post => self.value + 1,
                SemaphoreVerb::Wait => self.value.saturating_sub(1),
            };
            assert!(after == self.value || after == changed, "{after} permits, there were {}", self.value);
            if killed.done() {
                assert_eq!(after, changed, "the operation was done");
            }
        }
        semaphore.post().unwrap();
        assert_eq!(semaphore.value(), after + 1);
        for left in (0..=after).rev() {
            semaphore.wait_until(in_time()).unwrap();
            assert_eq!(semaphore.value(), left);
        }
        assert!(!semaphore.try_wait().unwrap());
        self.place.segment.remove("s").unwrap();
        drop(semaphore);
        self.place.is_as_new();
    }
}

#[test]
fn a_semaphore_keeps_its_permits() {
    use SemaphoreVerb::{Post, Wait};
    let table = [
        ("wait, 1 permit", Wait, 1, false),
        ("wait, 7 permits", Wait, 7, false),
        ("wait, no permit, time up", Wait, 0, false),
        ("post, nobody waits", Post, 0, false),
        ("post, 7 permits", Post, 7, false),
        ("post, somebody sleeps", Post, 0, true),
    ];
    let cases = table.map(|(name, verb, value, slept_on)| {
        case(format!("semaphore: {name}"), move || SemaphoreScene::new(verb, value, slept_on))
    });
    run_all("semaphore", cases.into());
}
