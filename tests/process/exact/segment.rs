//! Killed in an operation of segments.

use crate::mailbox::{MESSAGE, fills_and_drains};
use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use triveni::*;
use triveni_tests::Name;

#[derive(Clone, Copy, Debug, PartialEq)]
enum DirectoryVerb {
    Create,
    Remove,
    /// Remove what the child itself has open.
    RemoveOwn,
    Open,
    Close,
}

/// The directory of a segment, in which the survivor takes part too.
struct DirectoryScene {
    place: Place,
    verb: DirectoryVerb,
    /// The survivor has the object open.
    held: bool,
    handle: Option<Mailbox>,
}

impl DirectoryScene {
    fn new(verb: DirectoryVerb, held: bool) -> DirectoryScene {
        DirectoryScene { place: Place::new(), verb, held, handle: None }
    }
}

/// Everything that can be done with objects is done once, with the names the dead have used.
fn directory_works(segment: &Segment, names: &[&str]) {
    for name in names {
        let mailbox = segment.mailbox(name, 3, MESSAGE).unwrap();
        fills_and_drains(&mailbox);
        assert!(segment.objects().unwrap().iter().any(|object| object.name == *name));
        let again = segment.open_mailbox(name).unwrap();
        segment.remove(name).unwrap();
        assert_eq!(segment.open_mailbox(name).err().unwrap().kind(), ErrorKind::NotFound);
        drop((mailbox, again));
    }
}

impl Scene for DirectoryScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        if self.verb != DirectoryVerb::Create {
            let handle = self.place.segment.create_mailbox("old", 3, MESSAGE).unwrap();
            handle.send(&message(1, 0, 40)).unwrap();
            self.handle = self.held.then_some(handle);
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        segment.participants().unwrap(); // joins
        let own = matches!(self.verb, DirectoryVerb::RemoveOwn | DirectoryVerb::Close)
            .then(|| segment.open_mailbox("old").unwrap());
        match self.verb {
            DirectoryVerb::Create => step.through(|| {
                std::mem::forget(segment.create_mailbox("new", 3, MESSAGE)?);
                Ok(OK)
            }),
            DirectoryVerb::Remove | DirectoryVerb::RemoveOwn => step.through(|| segment.remove("old").map(|()| OK)),
            DirectoryVerb::Open => step.through(|| {
                std::mem::forget(segment.open_mailbox("old")?);
                Ok(OK)
            }),
            DirectoryVerb::Close => step.through(|| {
                drop(own);
                Ok(OK)
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let names: Vec<_> = segment.objects().unwrap().into_iter().map(|object| object.name).collect();
        match self.verb {
            DirectoryVerb::Create => assert!(names.is_empty() && !killed.done() || names == ["new"], "{names:?}"),
            DirectoryVerb::Remove | DirectoryVerb::RemoveOwn => {
                assert!(names.is_empty() || names == ["old"] && !killed.done(), "{names:?}");
            }
            DirectoryVerb::Open | DirectoryVerb::Close => assert_eq!(names, ["old"]),
        }
        if let Some(name) = names.first() {
            let mailbox = segment.open_mailbox(name).unwrap();
            assert_eq!(mailbox.len(), usize::from(name == "old"), "what was in it");
            let mut buffer = [0; MESSAGE];
            if name == "old" {
                let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
                assert_eq!(read(&buffer[..received.size]), (1, 0));
            }
        }
        is_clean(segment, 1);
        directory_works(segment, &["new", "old"]);
        drop(self.handle.take());
        self.place.is_as_new();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SegmentVerb {
    Create,
    Open,
    /// Drop the last handles.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    /// Everybody has left in order.
    Nobody,
    /// One lives.
    Alive,
    /// All are dead; the last one held something.
    Dead,
    /// One lives, one is dead.
    AliveAndDead,
}

/// A segment in which the survivor takes part only after the death.
struct SegmentScene {
    name: Name,
    page: &'static Page,
    verb: SegmentVerb,
    others: Others,
    bystander: Option<Bystander>,
    predecessor: &'static Page,
    largest: usize,
}

impl SegmentScene {
    fn new(verb: SegmentVerb, others: Others) -> SegmentScene {
        let name = Name::fresh("exact");
        let (page, predecessor) = (Page::new(), Page::new());
        let mut scene = SegmentScene { name, page, verb, others, bystander: None, predecessor, largest: 0 };
        let segment = small().create(&scene.name, SIZE).unwrap();
        scene.largest = largest(&segment);
        drop(segment);
        if verb == SegmentVerb::Create {
            Segment::unlink(&scene.name).unwrap();
        }
        if matches!(others, Others::Alive | Others::AliveAndDead) {
            scene.bystander = Some(Bystander::start(Page::new(), |step| {
                let _segment = Segment::open(&scene.name).unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        scene
    }
}

impl Scene for SegmentScene {
    fn file(&self) -> Option<PathBuf> {
        (self.verb != SegmentVerb::Create).then(|| self.name.file())
    }

    fn page(&self) -> &'static Page {
        self.page
    }

    fn recovery(&self) -> Option<Duration> {
        None
    }

    fn prepare(&mut self) -> Result<(), Refused> {
        if matches!(self.others, Others::Dead | Others::AliveAndDead) {
            drop(Bystander::start(self.predecessor, |step| {
                let segment = Segment::open(&self.name).unwrap();
                let mailbox = segment.mailbox("m", 2, MESSAGE).unwrap();
                mailbox.reserve(10).unwrap().into_raw();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        match self.verb {
            SegmentVerb::Create => step.through(|| {
                std::mem::forget(small().create(&self.name, SIZE)?);
                Ok(OK)
            }),
            SegmentVerb::Open => step.through(|| {
                std::mem::forget(Segment::open(&self.name)?);
                Ok(OK)
            }),
            SegmentVerb::Leave => {
                let segment = Segment::open(&self.name).unwrap();
                let mailbox = segment.mailbox("m", 2, MESSAGE).unwrap();
                step.through(|| {
                    drop((mailbox, segment));
                    Ok(OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        if self.verb == SegmentVerb::Create {
            let there = Segment::open(&self.name);
            match &there {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    assert!(!killed.done());
                }
            }
        }
        let segment = small().open_or_create(&self.name, SIZE).unwrap();
        if killed.swept {
            segment.sweep().unwrap();
        }
        let living = 1 + usize::from(self.bystander.is_some());
        if self.others == Others::Dead || self.others == Others::AliveAndDead || self.verb == SegmentVerb::Leave {
            let mailbox = segment.open_mailbox("m").unwrap();
            fills_and_drains_in_time(&mailbox);
            segment.remove("m").unwrap();
        }
        is_clean(&segment, living);
        directory_works(&segment, &["new", "m"]);
        is_clean(&segment, living);
        assert!(segment.objects().unwrap().is_empty());
        fits(&segment, self.largest);
        drop(segment);
        if self.verb == SegmentVerb::Create {
            Segment::unlink(&self.name).unwrap();
        }
    }

    fn state(&self) -> String {
        Segment::inspect(&self.name).map_or_else(|error| error.to_string(), |snapshot| format!("    {snapshot:?}"))
    }
}

/// As [`fills_and_drains`], where a dead sender's claim may be in the way until it is found out.
fn fills_and_drains_in_time(mailbox: &Mailbox) {
    for seq in 0..2 * mailbox.capacity() as u64 {
        mailbox.send_until(&message(3, seq, 40), in_time()).unwrap();
        let mut buffer = [0; MESSAGE];
        let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
        assert_eq!(read(&buffer[..received.size]), (3, seq));
    }
    fills_and_drains(mailbox);
}

#[test]
fn a_directory_stays_whole() {
    use DirectoryVerb::{Close, Create, Open, Remove, RemoveOwn};
    let table = [
        (Create, false),
        (Remove, false),
        (Remove, true),
        (RemoveOwn, false),
        (Open, false),
        (Open, true),
        (Close, false),
    ];
    let cases = table.map(|(verb, held)| {
        let how = if held { ", open in the survivor" } else { "" };
        case(format!("directory: {verb:?}{how}"), move || DirectoryScene::new(verb, held))
    });
    run_all("directory", cases.into());
}

#[test]
fn a_segment_can_be_joined_after_any_death() {
    use Others::{Alive, AliveAndDead, Dead, Nobody};
    use SegmentVerb::{Create, Leave, Open};
    let table = [
        (Create, Nobody),
        (Open, Nobody),
        (Open, Alive),
        (Open, Dead),
        (Open, AliveAndDead),
        (Leave, Nobody),
        (Leave, Alive),
    ];
    let cases = table.map(|(verb, others)| {
        case(format!("segment: {verb:?}, others {others:?}"), move || SegmentScene::new(verb, others))
    });
    run_all("segment", cases.into());
}
