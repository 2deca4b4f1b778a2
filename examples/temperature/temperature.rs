//! The temperature monitoring system: many sensors send readings to one mailbox, one monitor prints them.
//!
//! ```text
//! temperature monitor SEGMENT
//! temperature sensor SEGMENT ID [SOURCE.csv]
//! ```
//!
//! Sensor and monitor may be Rust, C or Python: temperature.c and temperature.py tell the same story, and
//! the message is the C struct `{ int32_t sensor_id; float temperature; double time; }`.
//!
//! A sensor says on stdout what it does, so that others can count: `source`, then for each reading `claim`
//! and `sent`. `TRIVENI_PERIOD_MS` is the pause between readings, `TRIVENI_THRESHOLD` the monitor's alert;
//! with `TRIVENI_REPORT=1` the monitor prints `received` lines too, and with `TRIVENI_HOLD_AT=n` a sensor
//! keeps its n-th claim for ever, so that it can be killed there.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use triveni::{Deadline, ErrorKind, Loan, Mailbox, Result, Segment};

const CAPACITY: usize = 100;
const MESSAGE: usize = 16;

/// Set by SIGTERM and SIGINT. Nothing else depends on its order.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: i32) {
    STOP.store(true, Relaxed);
}

#[allow(dead_code)] // the command `triveni` has this file as a module
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        eprintln!("temperature: {error}");
        std::process::exit(1);
    }
}

/// Runs a sensor or the monitor until SIGTERM or SIGINT.
pub fn run(args: &[&str]) -> Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: `stop` only stores to an atomic, which a signal handler may do.
        unsafe { libc::signal(signal, stop as *const () as libc::sighandler_t) };
    }
    match *args {
        ["sensor", segment, id] => sensor(&open(segment)?, number(id)?, Source::find(number(id)?)),
        ["sensor", segment, id, file] => sensor(&open(segment)?, number(id)?, Source::file(file)?),
        ["monitor", segment] => monitor(&open(segment)?),
        _ => {
            eprintln!("usage: temperature sensor SEGMENT ID [SOURCE.csv] | temperature monitor SEGMENT");
            std::process::exit(2)
        }
    }
}

fn open(segment: &str) -> Result<Mailbox> {
    Segment::open_or_create(segment, Segment::DEFAULT_SIZE)?.mailbox("TEMP_MONITOR", CAPACITY, MESSAGE)
}

fn sensor(mailbox: &Mailbox, id: i32, mut source: Source) -> Result<()> {
    let period = Duration::from_millis(setting("TRIVENI_PERIOD_MS", 5000));
    let hold_at = setting("TRIVENI_HOLD_AT", 0);
    println!("source {id} {}", source.describe());
    for n in 1.. {
        let temperature = source.read()?;
        let Some(mut room) = claim(mailbox)? else { break };
        let time = now();
        println!("claim {id} {time:.9}");
        if n == hold_at {
            println!("holding {id} {time:.9}");
            loop {
                std::thread::park();
            }
        }
        room.write(0, &id.to_ne_bytes())?; // in place: nothing is copied on the way
        room.write(4, &temperature.to_ne_bytes())?;
        room.write(8, &time.to_ne_bytes())?;
        room.commit(MESSAGE)?;
        println!("sent {id} {time:.9}");
        if !pause(period) {
            break;
        }
    }
    Ok(())
}

/// Claims room; waits while the mailbox is full, but not longer than we are wanted.
fn claim(mailbox: &Mailbox) -> Result<Option<Loan<'_>>> {
    while !STOP.load(Relaxed) {
        match mailbox.reserve_until(MESSAGE, Deadline::after(Duration::from_millis(200))) {
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            answer => return answer.map(Some),
        }
    }
    Ok(None)
}

fn monitor(mailbox: &Mailbox) -> Result<()> {
    let threshold: f32 = setting("TRIVENI_THRESHOLD", 40.0);
    let report = setting("TRIVENI_REPORT", 0) == 1;
    let mut message = [0; MESSAGE];
    loop {
        // Asked to stop, take what is left and wait no more.
        let wait = if STOP.load(Relaxed) { Deadline::now() } else { Deadline::after(Duration::from_millis(200)) };
        let received = match mailbox.receive_until(&mut message, wait) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::WouldBlock) => {
                if wait.is_try() {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let [i0, i1, i2, i3, t0, t1, t2, t3, ref time @ ..] = message;
        let (id, temperature) = (i32::from_ne_bytes([i0, i1, i2, i3]), f32::from_ne_bytes([t0, t1, t2, t3]));
        let time = f64::from_ne_bytes(*time);
        println!("Sensor {id}: {temperature:.2}°C at {}", clock(time));
        if temperature > threshold {
            println!("ALERT: sensor {id} is above {threshold:.2}");
        }
        if report {
            println!("received {id} {time:.9} {}", received.redelivered);
        }
    }
}

/// Where a sensor's numbers come from.
enum Source {
    /// A hardware sensor of this machine, in thousandths of a degree.
    Hardware(String),
    /// The busy share of one CPU in percent, for machines that have no hardware sensor; its jiffies so far.
    Load { cpu: usize, busy: u64, total: u64 },
    /// A column of a file, again and again.
    File { name: String, values: Vec<f32>, next: usize },
}

impl Source {
    /// A hardware sensor if there is one, the load of a CPU if not; sensor `id` takes one by turns.
    fn find(id: i32) -> Source {
        let turn = id.unsigned_abs() as usize;
        let mut files = Vec::new();
        for (folder, start, end) in [("/sys/class/hwmon", "temp", "_input"), ("/sys/class/thermal", "temp", "temp")] {
            for device in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                for file in std::fs::read_dir(device.path()).into_iter().flatten().flatten() {
                    let name = file.file_name().to_string_lossy().into_owned();
                    if name.starts_with(start) && name.ends_with(end) {
                        files.push(file.path().to_string_lossy().into_owned());
                    }
                }
            }
        }
        files.retain(|file| thousandths(file).is_some());
        files.sort();
        match files.get(turn % files.len().max(1)) {
            Some(file) => Source::Hardware(file.clone()),
            None => {
                let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
                Source::Load { cpu: turn % cpus, busy: 0, total: 0 }
            }
        }
    }

    /// The last column of a CSV file; lines without a number there (a heading) are skipped.
    fn file(name: &str) -> Result<Source> {
        let text = std::fs::read_to_string(name).map_err(|e| invalid(&format!("source {name:?}: {e}")))?;
        let last = |line: &str| line.rsplit(',').next()?.trim().parse().ok();
        let values: Vec<f32> = text.lines().filter_map(last).collect();
        if values.is_empty() {
            return Err(invalid(&format!("source {name:?} has no number in the last column of any line")));
        }
        Ok(Source::File { name: name.to_string(), values, next: 0 })
    }

    fn describe(&self) -> String {
        match self {
            Source::Hardware(file) => format!("hardware sensor {file}, °C"),
            Source::Load { cpu, .. } => format!("load of CPU {cpu} from /proc/stat, percent (no hardware sensor here)"),
            Source::File { name, .. } => format!("file {name}"),
        }
    }

    fn read(&mut self) -> Result<f32> {
        match self {
            Source::Hardware(file) => thousandths(file).ok_or_else(|| invalid(&format!("{file} gives no number"))),
            Source::Load { cpu, busy, total } => {
                let (busy_now, total_now) = jiffies(*cpu).ok_or_else(|| invalid("/proc/stat lacks a CPU"))?;
                let (busy_part, part) = (busy_now.saturating_sub(*busy), total_now.saturating_sub(*total));
                (*busy, *total) = (busy_now, total_now);
                Ok(if part == 0 { 0.0 } else { 100.0 * busy_part as f32 / part as f32 })
            }
            Source::File { values, next, .. } => {
                *next += 1;
                Ok(values[(*next - 1) % values.len()])
            }
        }
    }
}

fn thousandths(file: &str) -> Option<f32> {
    let value: f32 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Some(value / 1000.0)
}

/// Busy and all jiffies of one CPU since boot.
fn jiffies(cpu: usize) -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&format!("cpu{cpu}")))?;
    let n: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let total: u64 = n.iter().sum();
    Some((total - n.get(3)? - n.get(4)?, total)) // all but idle and iowait
}

/// Sleeps in short slices; false as soon as we are asked to stop.
fn pause(period: Duration) -> bool {
    let end = std::time::Instant::now() + period;
    while !STOP.load(Relaxed) {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn number(text: &str) -> Result<i32> {
    text.parse().map_err(|_| invalid(&format!("sensor id {text:?} is no number; give 1, 2, …")))
}

fn invalid(message: &str) -> triveni::Error {
    triveni::Error::new(ErrorKind::Invalid, message)
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// The time of day, UTC.
fn clock(time: f64) -> String {
    let day = time.rem_euclid(86400.0);
    format!("{:02}:{:02}:{:06.3} UTC", day as u32 / 3600, day as u32 / 60 % 60, (day % 60.0 * 1000.0).floor() / 1000.0)
}
