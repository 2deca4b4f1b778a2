//! `triveni demo`: the lecture's temperature monitoring system, with processes in three languages, one of
//! which is killed in the middle of a message.
//!
//! ```text
//! sensors (Rust, C, Python) ──► mailbox SEGMENT/TEMP_MONITOR ──► monitor
//!      │ claim, sent                                               │ received
//!      └───────────────► this process keeps the books ◄────────────┘
//! ```
//!
//! At the end the books must agree: what was sent was received, once, and the one claim that died with its
//! sensor was voided. See [`account`].

mod account;
mod cast;
mod programs;

use crate::{Failure, ls};
use account::Account;
use cast::{BEAT, Cast, Line, in_words};
use programs::{Folder, Language, Program};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::{ErrorKind, Mailbox, Segment};

const MAILBOX: &str = "TEMP_MONITOR";
const CAPACITY: usize = 100;
const MESSAGE: usize = 16;

/// How long the demo may last beyond its seconds, come what may.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the temperature monitoring system: sensors in Rust, C and Python, one of them killed half-way.
#[derive(clap::Args)]
pub struct Demo {
    /// How long the sensors run
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86400))]
    seconds: u64,
    /// How many sensors, in Rust, C and Python by turns
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=50))]
    sensors: i32,
    /// The monitor's language
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    monitor: Language,
    /// Readings from the last column of a CSV file, not from this machine
    #[arg(long, value_name = "FILE.csv")]
    source: Option<PathBuf>,
    /// The monitor alerts above this
    #[arg(long, default_value_t = 40.0)]
    threshold: f32,
    /// Pause between two readings of a sensor
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60000))]
    period_ms: u64,
    /// The segment's name
    #[arg(long, default_value = "lab")]
    segment: String,
}

/// Set by Ctrl-C and SIGTERM. Nothing else depends on its order.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: i32) {
    STOP.store(true, Relaxed);
}

/// A segment's name, removed when dropped.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0); // gone already: fine
    }
}

impl Demo {
    pub fn run(self) -> Result<(), Failure> {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: `stop` only stores to an atomic, which a signal handler may do.
            unsafe { libc::signal(signal, stop as *const () as libc::sighandler_t) };
        }
        // SAFETY: ignoring needs no handler. A closed pipe shall be an error here, for there is a lot to tidy up.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        if let Some(source) = &self.source
            && let Err(error) = std::fs::File::open(source)
        {
            return Err(format!("source {}: {error}", source.display()).into());
        }
        let folder = Folder::new()?;
        let (programs, missing) = programs::find(&folder);
        let monitor = programs.iter().find(|program| program.language == self.monitor).ok_or_else(|| {
            let why = missing.iter().find(|sentence| sentence.starts_with(self.monitor.name()));
            format!("there is no monitor in {}: {}", self.monitor.name(), why.map_or("", |why| why))
        })?;
        let segment = self.create()?;
        let _named = Named(self.segment.clone());
        let mailbox = segment.create_mailbox(MAILBOX, CAPACITY, MESSAGE)?;

        let out = &mut io::stdout().lock();
        let names: Vec<_> = programs.iter().map(|program| program.language.name()).collect();
        writeln!(
            out,
            "{} sensors in {} send to the mailbox {}/{MAILBOX} (capacity {CAPACITY}); a monitor in {} reads.",
            self.sensors,
            names.join(", "),
            self.segment,
            self.monitor.name()
        )?;
        for sentence in &missing {
            writeln!(out, "{sentence}")?;
        }
        let mut show = Show {
            demo: &self,
            out,
            segment: &segment,
            account: Account::default(),
            cast: Cast::new(),
            sensors: Vec::new(),
            monitor: None,
            held: false,
            loads: false,
            begin: Instant::now(),
        };
        show.play(&programs, monitor, &mailbox)
    }

    /// A new segment; one that an interrupted demo left behind is no obstacle.
    fn create(&self) -> Result<Segment, Failure> {
        let name = &self.segment;
        match Segment::create(name, Segment::DEFAULT_SIZE) {
            Err(error) if error.kind() == ErrorKind::Exists => {}
            other => return Ok(other?),
        }
        let there = Segment::inspect(name)?;
        let alive: Vec<String> =
            there.participants.iter().filter(|p| p.alive).map(|p| format!("pid {} ({})", p.pid, p.name)).collect();
        if !alive.is_empty() {
            let who = alive.join(", ");
            return Err(
                format!("segment {name:?} is in use by {who}; end that, or choose another with --segment").into()
            );
        }
        if there.objects.iter().any(|object| object.name != MAILBOX) {
            return Err(format!(
                "segment {name:?} exists, and holds more than a demo leaves behind; \
                 remove it with `triveni rm {name}`, or choose another with --segment"
            )
            .into());
        }
        Segment::unlink(name)?;
        Ok(Segment::create(name, Segment::DEFAULT_SIZE)?)
    }
}

/// One sensor's process.
struct Sensor {
    id: i32,
    language: Language,
    who: usize,
    pid: u32,
}

/// The demo while it runs.
struct Show<'d, W: Write> {
    demo: &'d Demo,
    out: &'d mut W,
    segment: &'d Segment,
    account: Account,
    cast: Cast,
    sensors: Vec<Sensor>,
    monitor: Option<usize>,
    /// The victim says that it holds its claim.
    held: bool,
    /// Some sensor has told that its numbers are no temperatures.
    loads: bool,
    begin: Instant,
}

impl<W: Write> Show<'_, W> {
    fn play(&mut self, programs: &[Program], monitor: &Program, mailbox: &Mailbox) -> Result<(), Failure> {
        let length = Duration::from_secs(self.demo.seconds);
        let last_call = self.begin + length + GRACE;
        let victim = 2.min(self.demo.sensors); // the one in C, where there is one
        self.cast_all(programs, monitor, victim)?;
        writeln!(self.out)?;

        // First half: until the victim holds its claim.
        self.listen(self.begin + length, |show| show.held)?;
        if self.held {
            self.kill(victim)?;
        }
        // Second half: the others go on.
        self.listen(self.begin + length, |_| false)?;
        if !self.held && !STOP.load(Relaxed) {
            self.account.wrong(format!("sensor {victim} never came to the claim at which it was to be killed"));
        }

        self.say("the sensors are asked to stop (SIGTERM), then the monitor")?;
        let sensors: Vec<usize> = self.sensors.iter().map(|sensor| sensor.who).collect();
        self.end(&sensors, last_call - GRACE / 4)?;
        self.end(&self.monitor.into_iter().collect::<Vec<_>>(), last_call - GRACE / 8)?;
        self.segment.sweep()?;

        let voided = mailbox.voided();
        writeln!(self.out)?;
        self.account.print(self.out, voided)?;
        let left = mailbox.len();
        if left > 0 {
            self.account.wrong(format!("{left} messages are still in the mailbox"));
        }
        let wrong = self.account.verdict(voided);
        for sentence in &wrong {
            writeln!(self.out, "WRONG: {sentence}")?;
        }
        if STOP.load(Relaxed) {
            return Err(Failure::Said("interrupted; processes ended, segment removed".to_string()));
        }
        if !wrong.is_empty() {
            return Err(Failure::Known);
        }
        Ok(writeln!(self.out, "nothing lost, nothing doubled")?)
    }

    /// Starts the monitor and the sensors. The victim is told to hold its claim half-way.
    fn cast_all(&mut self, programs: &[Program], monitor: &Program, victim: i32) -> Result<(), Failure> {
        let mut command = monitor.command();
        command.args(["monitor", &self.demo.segment]).env("TRIVENI_REPORT", "1");
        command.env("TRIVENI_THRESHOLD", self.demo.threshold.to_string());
        let (who, pid) = self.start(command, monitor.language)?;
        self.monitor = Some(who);
        writeln!(self.out, "  monitor    {:7} pid {pid}", monitor.language.name())?;
        let middle = 1 + self.demo.seconds * 500 / self.demo.period_ms.max(1);
        for (id, program) in (1..=self.demo.sensors).zip(programs.iter().cycle()) {
            let mut command = program.command();
            command.args(["sensor", &self.demo.segment, &id.to_string()]).args(&self.demo.source);
            command.env("TRIVENI_PERIOD_MS", self.demo.period_ms.to_string()).env_remove("TRIVENI_HOLD_AT");
            if id == victim {
                command.env("TRIVENI_HOLD_AT", middle.to_string());
            }
            let language = program.language;
            let (who, pid) = self.start(command, language)?;
            self.account.hire(id, language);
            self.sensors.push(Sensor { id, language, who, pid });
            writeln!(self.out, "  sensor {id:<3} {:7} pid {pid}", language.name())?;
        }
        Ok(())
    }

    fn start(&mut self, command: std::process::Command, language: Language) -> Result<(usize, u32), Failure> {
        let name = format!("{:?}", command.get_program());
        let started = self.cast.start(command);
        started.map_err(|error| format!("the {} program {name} does not start: {error}", language.name()).into())
    }

    /// Handles lines until `until`, or until `enough` says so, or Ctrl-C.
    fn listen(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        while Instant::now() < until && !enough(self) && !STOP.load(Relaxed) {
            if let Some(line) = self.cast.line(until.min(Instant::now() + BEAT)) {
                self.hear(line)?;
            }
            self.look_for_the_dead()?;
        }
        Ok(())
    }

    /// A process that ends before it is asked to is an error.
    fn look_for_the_dead(&mut self) -> Result<(), Failure> {
        for i in 0..self.sensors.len() {
            let who = self.sensors[i].who;
            let (id, language) = (self.sensors[i].id, self.sensors[i].language.name());
            if let Some(status) = self.cast.ended(who)
                && !self.account.is_killed(id)
            {
                return Err(format!("sensor {id} ({language}) {} before its time", in_words(status)).into());
            }
        }
        if let Some(who) = self.monitor
            && let Some(status) = self.cast.ended(who)
        {
            return Err(format!("the monitor {} before its time", in_words(status)).into());
        }
        Ok(())
    }

    /// Books a line, and shows it if it is for people.
    fn hear(&mut self, line: Line) -> Result<(), Failure> {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        if Some(line.who) == self.monitor {
            match words[..] {
                ["received", id, time, again] => match (id.parse(), again.parse()) {
                    (Ok(id), Ok(again)) => self.account.monitor_says(id, time, again),
                    _ => self.account.wrong(format!("the monitor says {:?}", line.text)),
                },
                _ => self.show(&format!("monitor   | {}", line.text))?,
            }
            return Ok(());
        }
        match words[..] {
            [word @ ("claim" | "sent" | "holding"), id, time] => {
                if let Ok(id) = id.parse() {
                    self.account.sensor_says(word, id, time);
                    self.held |= word == "holding";
                }
            }
            ["source", id, ..] => {
                let text = line.text.splitn(3, ' ').nth(2).unwrap_or("");
                self.show(&format!("sensor {id:<3}| reads {text}"))?;
                if text.contains("percent") && !self.loads {
                    self.loads = true;
                    self.say("what the monitor prints as °C, as the text has it, is percent of CPU load here")?;
                }
            }
            _ => {
                let id = self.sensors.iter().find(|s| s.who == line.who).map_or(0, |s| s.id);
                self.show(&format!("sensor {id:<3}| {}", line.text))?;
            }
        }
        Ok(())
    }

    /// SIGKILL for the victim, and a look at the segment.
    fn kill(&mut self, victim: i32) -> Result<(), Failure> {
        let Some(sensor) = self.sensors.iter().find(|sensor| sensor.id == victim) else { return Ok(()) };
        let (who, pid, language) = (sensor.who, sensor.pid, sensor.language.name());
        self.account.killed(victim);
        self.cast.signal(who, libc::SIGKILL);
        self.say(&format!(
            "kill -9 {pid}: sensor {victim} ({language}) dies while it holds a claim, a message half-way into the mailbox"
        ))?;
        let patience = Instant::now() + GRACE / 4;
        while self.cast.ended(who).is_none() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.say("the segment at this moment, as `triveni ls` shows it:")?;
        ls::print(self.out, &self.segment.snapshot()?)?;
        self.say("the others go on")
    }

    /// SIGTERM, then waits until they have ended and all they said is booked.
    fn end(&mut self, whom: &[usize], until: Instant) -> Result<(), Failure> {
        for &who in whom {
            self.cast.signal(who, libc::SIGTERM);
        }
        while !whom.iter().all(|&who| self.cast.is_silent(who)) && Instant::now() < until {
            if let Some(line) = self.cast.line(until.min(Instant::now() + BEAT)) {
                self.hear(line)?;
            }
        }
        while let Some(line) = self.cast.line(Instant::now()) {
            self.hear(line)?;
        }
        for &who in whom {
            let name = match self.sensors.iter().find(|sensor| sensor.who == who) {
                Some(sensor) if self.account.is_killed(sensor.id) => continue,
                Some(sensor) => format!("sensor {} ({})", sensor.id, sensor.language.name()),
                None => "the monitor".to_string(),
            };
            match self.cast.ended(who) {
                Some(status) if status.success() => {}
                Some(status) => self.account.wrong(format!("{name} {}", in_words(status))),
                None => {
                    self.account.wrong(format!("{name} did not stop when asked, and was killed"));
                    self.cast.signal(who, libc::SIGKILL);
                }
            }
        }
        Ok(())
    }

    /// A line of the demo's own.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.show(&format!("--- {text}"))
    }

    fn show(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{:6.2}s  {text}", self.begin.elapsed().as_secs_f64())?;
        Ok(self.out.flush()?)
    }
}
