//! The points of a case, and what the scenes share.

use crate::step::*;
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::{Deadline, ErrorKind, ObjectState, Segment};
use triveni_tests::{Name, PATIENCE, Random, watchdog};

/// How many points a case gets, besides that it gets all: after effects, and at regular distances.
pub const EFFECTS: u64 = 25;
pub const DISTANCES: u64 = 12;
/// A case of more instructions than this, a wait with its spinning as a rule, gets half as many: each takes long.
pub const LONG: u64 = 50_000;
/// How far such a point may be from the last instruction that came for the first time. What is further is deep
/// in a loop, say of a wait; effects there are found by the effect.
pub const FAR: u64 = 1000;
/// A case that has shown so many violations is broken enough.
pub const VIOLATIONS: usize = 5;

/// One operation, how it is prepared, and what must hold when it was cut off.
pub trait Scene {
    /// The file of the segment, if there is one before the operation.
    fn file(&self) -> Option<PathBuf>;
    /// The page its children use.
    fn page(&self) -> &'static Page;
    /// In the survivor, before each point.
    fn prepare(&mut self) -> Result<(), Refused>;
    /// In the child: full speed up to [`Step::through`].
    fn act(&self, step: &Step);
    /// In the survivor, after the kill. Leaves everything as before `prepare`.
    fn check(&mut self, killed: &Killed);
    /// What is in the segment, to be shown with a violation.
    fn state(&self) -> String;
    /// How long the survivor had to wait in the last check, if that was measured.
    fn recovery(&self) -> Option<Duration>;
}

/// What came of a case.
#[derive(Default)]
pub struct Tally {
    pub points: u64,
    /// How long the survivors had to wait, where that was measured.
    pub recoveries: Vec<Duration>,
    /// The longest check, and of which point.
    pub worst: (Duration, String),
    pub violations: Vec<String>,
}

impl Tally {
    /// One point: prepares, steps, kills, checks. True: the operation got to its end.
    pub fn point(
        &mut self,
        name: &str,
        scene: &mut Box<dyn Scene>,
        make: &dyn Fn() -> Box<dyn Scene>,
        stop: Stop,
        swept: bool,
    ) -> Result<Killed, Refused> {
        let _watchdog = watchdog(&format!("{name}, killed {stop}, swept {swept}"), PATIENCE);
        scene.prepare()?;
        let mut watch = Watch::new(scene.file(), scene.page());
        let mut killed = Child::start(scene.page(), |step| scene.act(step))?.killed_at(stop, &mut watch)?;
        killed.swept = swept;
        let begin = Instant::now();
        let checked = catch_unwind(AssertUnwindSafe(|| scene.check(&killed)));
        self.points += 1;
        self.recoveries.extend(scene.recovery());
        if begin.elapsed() > self.worst.0 {
            self.worst = (begin.elapsed(), format!("{stop}{}", if swept { ", swept" } else { "" }));
        }
        if let Err(panic) = checked {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
            self.violations.push(format!(
                "{name}, killed {stop}, result {:?}, swept {swept}: {what}\n{}",
                killed.result,
                scene.state()
            ));
            println!("VIOLATION {}", self.violations.last().unwrap());
            *scene = make();
        }
        Ok(killed)
    }
}

/// At most `most` of 1..=n, evenly, beginning anywhere.
pub fn choice(n: u64, most: u64, random: &mut Random) -> Vec<u64> {
    let stride = n.div_ceil(most.max(1)).max(1);
    let first = 1 + random.below(stride);
    (first..=n).step_by(stride as usize).collect()
}

pub fn run(name: &str, random: &mut Random, make: &dyn Fn() -> Box<dyn Scene>) -> Result<Vec<String>, Refused> {
    if std::env::var("TRIVENI_ONLY").is_ok_and(|only| !name.contains(&only)) {
        return Ok(Vec::new());
    }
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut scene = make();
    let whole = tally.point(name, &mut scene, make, Stop::End, false)?;
    assert!(whole.instructions > 10 && !whole.effects.is_empty(), "{name}: the stepping does not step");
    assert!(whole.result.is_some());
    let after = |n| {
        let passed = whole.anchors.partition_point(|anchor| anchor.before <= n);
        Stop::After { n, anchor: whole.anchors[passed - 1] }
    };
    if std::env::var("TRIVENI_EXACT").is_ok_and(|how| how == "all") {
        for n in 0..whole.instructions {
            let swept = random.below(2) == 0;
            if tally.violations.len() < VIOLATIONS {
                tally.point(name, &mut scene, make, after(n), swept)?;
            }
        }
    } else {
        let share = if whole.instructions > LONG { 2 } else { 1 };
        let distances = choice(whole.instructions, DISTANCES / share, random);
        let distances = distances.into_iter().map(|n| match after(n - 1) {
            Stop::After { n, anchor } => Stop::After { n: n.min(anchor.before + FAR), anchor },
            other => other,
        });
        let effects = choice(whole.effects.len() as u64, EFFECTS / share, random);
        let effects = effects.into_iter().map(|n| Stop::Effect(whole.effects[n as usize - 1]));
        for stop in effects.chain(distances) {
            let both: &[bool] = if matches!(stop, Stop::Effect(_)) { &[false, true] } else { &[false] };
            for swept in both {
                if tally.violations.len() < VIOLATIONS {
                    tally.point(name, &mut scene, make, stop, *swept)?;
                }
            }
        }
    }
    println!(
        "{name}: {} instructions, {} effects; killed at {} points, worst recovery {:.1?} ({}), {} violations, {:.1?}",
        whole.instructions,
        whole.effects.len(),
        tally.points,
        tally.worst.0,
        tally.worst.1,
        tally.violations.len(),
        begin.elapsed()
    );
    row(name, &mut tally);
    Ok(tally.violations)
}

/// Adds a line about the case to the file that the environment names.
fn row(name: &str, tally: &mut Tally) {
    let Ok(file) = std::env::var("TRIVENI_EXACT_ROWS") else { return };
    tally.recoveries.sort_unstable();
    let micros = |at: usize| tally.recoveries.get(at).map(|d| d.as_secs_f64() * 1e6);
    let line = serde_json::json!({
        "case": name,
        "points": tally.points,
        "violations": tally.violations.len(),
        "recovery_p50_us": micros(tally.recoveries.len() / 2),
        "recovery_max_us": micros(tally.recoveries.len().wrapping_sub(1)),
    });
    let opened = File::options().append(true).create(true).open(&file);
    opened.and_then(|mut file| writeln!(file, "{line}")).unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Name of a case, and how its scene is made.
pub type Case = (String, Box<dyn Fn() -> Box<dyn Scene>>);

pub fn case<S: Scene + 'static>(name: impl Into<String>, make: impl Fn() -> S + 'static) -> Case {
    (name.into(), Box::new(move || Box::new(make())))
}

pub fn run_all(what: &str, cases: Vec<Case>) {
    pin();
    if let Err(Refused(why)) = can_step() {
        println!("SKIPPED: {what}, killed at every instruction: {why}");
        return;
    }
    let mut random = Random::seeded(what);
    let mut violations = Vec::new();
    for (name, make) in &cases {
        match run(name, &mut random, make) {
            Ok(found) => violations.extend(found),
            Err(Refused(why)) => {
                println!("SKIPPED: {what}, killed at every instruction: {why}");
                return;
            }
        }
    }
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Keeps this thread and its children on one CPU: a step is then two context switches instead of two wakes of
/// another CPU, ten times as fast. Each thread takes another one.
pub fn pin() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: all zero is an empty set; the kernel reads and writes at most its size; the index is below CPU_SETSIZE.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &mut set) != 0 {
            return; // slower, no more
        }
        let all: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect();
        let cpu = all[NEXT.fetch_add(1, Relaxed) % all.len()];
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

pub fn can_step() -> Result<(), Refused> {
    #[cfg(target_arch = "aarch64")]
    if !std::arch::is_aarch64_feature_detected!("lse") {
        return Err(Refused("a step between load- and store-exclusive makes the store fail for ever".into()));
    }
    Ok(())
}

/// A message that shows whether it is whole.
pub fn message(sender: u64, seq: u64, len: usize) -> Vec<u8> {
    assert!(len >= 24);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(sender.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend((0..len - 24).map(|i| (i as u64 * 7 + seq * 31 + sender) as u8));
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

pub fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325 ^ bytes.len() as u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3))
}

/// Sender and number of a message; `None` if it is torn.
pub fn whole(bytes: &[u8]) -> Option<(u64, u64)> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    (sum == checksum(body).to_le_bytes()).then_some((word(0)?, word(8)?))
}

pub fn read(bytes: &[u8]) -> (u64, u64) {
    whole(bytes).unwrap_or_else(|| panic!("a torn message: {bytes:?}"))
}

/// Long enough for any recovery, shorter than the watchdog.
pub fn in_time() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// For an operation that finds nothing to do.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(1))
}

/// A small segment, and the survivor in it.
pub struct Place {
    pub name: Name,
    pub segment: Segment,
    pub page: &'static Page,
    /// Message size of the largest mailbox of one that fits when there is nothing else.
    pub largest: usize,
    /// See [`Scene::recovery`].
    pub recovery: Cell<Option<Duration>>,
}

pub fn small() -> triveni::SegmentOptions {
    Segment::options().max_participants(4).max_objects(8)
}

pub const SIZE: usize = 40 << 10;

impl Place {
    pub fn new() -> Place {
        Place::with_seats(4)
    }

    pub fn with_seats(seats: usize) -> Place {
        let name = Name::fresh("exact");
        let segment = small().max_participants(seats).create(&name, SIZE).unwrap();
        let largest = largest(&segment);
        Place { name, segment, page: Page::new(), largest, recovery: Cell::new(None) }
    }

    /// The survivor's first call after the death, by which its recovery is measured.
    pub fn recovering<R>(&self, call: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let answer = call();
        self.recovery.set(Some(self.recovery.get().unwrap_or_default().max(begin.elapsed())));
        answer
    }

    /// At the end of a check: nobody dead is left at the table, no object, and no memory is lost.
    pub fn is_as_new(&self) {
        is_clean(&self.segment, 1);
        assert_eq!(self.segment.sweep().unwrap(), 0, "a second sweep finds nobody");
        let objects = self.segment.objects().unwrap();
        assert!(objects.is_empty(), "objects are left: {objects:?}");
        fits(&self.segment, self.largest);
    }
}

/// After a sweep: `living` participants, nobody dead, nothing unreadable, nobody attached who is not there.
pub fn is_clean(segment: &Segment, living: usize) {
    segment.sweep().unwrap();
    let participants = segment.participants().unwrap();
    assert!(
        participants.len() == living && participants.iter().all(|p| p.alive),
        "after a sweep, not {living} living: {participants:?}"
    );
    for object in segment.objects().unwrap() {
        assert!(!matches!(object.state, ObjectState::Unreadable(_)), "{object:?}");
        assert!(
            object.attached.iter().all(|pid| participants.iter().any(|p| p.pid == *pid)),
            "the dead are attached: {object:?}"
        );
    }
}

pub fn try_mailbox(segment: &Segment, size: usize) -> bool {
    match segment.create_mailbox("probe", 1, size) {
        Ok(mailbox) => {
            segment.remove("probe").unwrap();
            drop(mailbox);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            false
        }
    }
}

pub fn largest(segment: &Segment) -> usize {
    let (mut fits, mut not) = (1, SIZE);
    while not - fits > 1 {
        let middle = fits.midpoint(not);
        *(if try_mailbox(segment, middle) { &mut fits } else { &mut not }) = middle;
    }
    fits
}

pub fn fits(segment: &Segment, largest: usize) {
    assert!(try_mailbox(segment, largest), "a mailbox of {largest} bytes does not fit any more: memory is lost");
    assert!(!try_mailbox(segment, largest + 1), "a mailbox of more than {largest} bytes fits all of a sudden");
}

pub fn show(segment: &Segment) -> String {
    let mut text = String::new();
    match segment.snapshot() {
        Ok(snapshot) => {
            for participant in snapshot.participants {
                let _ = writeln!(text, "    {participant:?}");
            }
            for object in snapshot.objects {
                let _ = writeln!(text, "    {object:?}");
            }
        }
        Err(error) => text = format!("    {error}"),
    }
    text
}

/// The parts of [`Scene`] that every scene in a [`Place`] has alike.
macro_rules! in_place {
    () => {
        fn file(&self) -> Option<PathBuf> {
            Some(self.place.name.file())
        }
        fn page(&self) -> &'static Page {
            self.place.page
        }
        fn state(&self) -> String {
            show(&self.place.segment)
        }
        fn recovery(&self) -> Option<std::time::Duration> {
            self.place.recovery.take()
        }
    };
}

/// A process that is there while another one dies; killed at the end.
pub struct Bystander(i32);

impl Bystander {
    /// Starts it and waits until it has set its page's mark.
    pub fn start(page: &'static Page, body: impl FnOnce(&Step)) -> Bystander {
        let bystander = Bystander(fork(page, false, body));
        triveni_tests::wait_for("the bystander is ready", || page.mark.load(Relaxed) != IDLE);
        bystander
    }

    /// Waits until it sleeps.
    pub fn sleeps(&self) {
        triveni_tests::wait_for("the bystander sleeps", || {
            std::fs::read_to_string(format!("/proc/{}/stat", self.0))
                .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
        });
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        kill(self.0);
    }
}
