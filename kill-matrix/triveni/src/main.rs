//! triveni in the kill matrix: the same commands and stories as its peers. The protocol is told in ../probes/speak.py.

mod objects;

use objects::{Commands, Said};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::FileExt;
use std::process::{ExitCode, id};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A pass of two commands is short; this many are counted at once, so that most of the time is not spent counting.
const PAIRS: u64 = 64;

/// Set by SIGUSR1: the loop is to end.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_stop(_: libc::c_int) {
    STOP.store(true, Relaxed);
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["version"] => {
            println!("triveni");
            Ok(())
        }
        [object, name, role] => play(object, name, role == "create"),
        _ => Err("probe version | probe OBJECT NAME create|join".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn play(object: &str, name: &str, is_owner: bool) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the handler only stores to an atomic; the pointer is that of a function with a handler's signature.
    unsafe { libc::signal(libc::SIGUSR1, on_stop as *const () as libc::sighandler_t) };
    let mut commands = objects::open(object, name)?;
    say("ready")?;
    for line in io::stdin().lock().lines() {
        obey(&line?, &mut commands, name)?;
    }
    if is_owner {
        triveni::Segment::unlink(name)?;
    }
    Ok(())
}

/// Carries out one line. What a command answers, also a failure, is told; only a broken protocol is an error here.
fn obey(line: &str, commands: &mut Commands, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (first, rest) = words.split_first().ok_or("an empty line")?;
    if *first == "step" {
        breakpoint();
        for command in rest {
            let _ = commands.run(command);
        }
        breakpoint();
        return Ok(());
    }
    say(&format!("begin {first} {}", now()))?;
    let said = if *first == "loop" { go_round(rest, commands, name)? } else { commands.run(first) };
    commands.rest();
    tell(first, &said)
}

/// The commands for ever, until SIGUSR1 or a failure. The passes are counted in a file that outlives the process.
fn go_round(list: &[&str], commands: &mut Commands, name: &str) -> Result<Said, Box<dyn std::error::Error>> {
    let log = File::create(format!("/dev/shm/{name}.log.{}", id()))?;
    let every = if list.len() == 2 { PAIRS } else { 1 };
    for passes in 1_u64.. {
        for command in list {
            let said = commands.run(command);
            match said {
                Said::Ok(None) => {}
                Said::Failed(_) => return Ok(said),
                _ => tell("loop", &said)?,
            }
        }
        if passes % every == 0 {
            log.write_all_at(&passes.to_le_bytes(), 0)?;
        }
        if STOP.load(Relaxed) {
            break;
        }
    }
    Ok(Said::Ok(None))
}

fn tell(command: &str, said: &Said) -> Result<(), Box<dyn std::error::Error>> {
    let now = now();
    let (word, detail) = match said {
        Said::Ok(detail) => ("ok", detail.as_deref().unwrap_or("")),
        Said::Told(detail) => ("told", detail.as_deref().unwrap_or("")),
        Said::Failed(detail) => ("fail", detail.as_str()),
    };
    say(&format!("end {command} {now} {word} {}", detail.replace('\n', " ")))
}

fn say(line: &str) -> Result<(), Box<dyn std::error::Error>> {
    Ok(io::stdout().write_all(format!("{line}\n").as_bytes())?)
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock that all processes share.
fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to write to; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn breakpoint() {
    // SAFETY: the tracer is told by a trap; registers and memory stay as they are.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("int3")
    };
}
